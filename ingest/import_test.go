package ingest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"meguri/ingest"
	"meguri/ingest/sqlstore"
	"meguri/internal/sqldb"
)

// open returns an importer on a new folder, or on one that a test gives.
func open(t testing.TB, dir string) *ingest.Importer {
	t.Helper()
	ctx := context.Background()
	db, err := sqldb.Open(ctx, filepath.Join(dir, "ingest.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := sqlstore.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	im, err := ingest.Open(ctx, dir, store)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

const mitakaHeader = "tranId,serviceOperatorId,serviceId,serviceDisplayName,serviceType,operationType,operationId,operationName," +
	"merchantDisplayName,merchantId,shopDisplayName,shopId,terminalDisplayName,terminalId,terminalType,uid,amount," +
	"beforeValue,afterValue,note1,note2,note3,targetAmount,targetTranId,from,to,closed,status,createdAt,updatedAt\n"

const idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// writeMitaka writes rows such as the provider's export has: 20-letter random
// IDs, 400 shops, one cancellation in a hundred rows, the newest row first.
func writeMitaka(w io.Writer, rows int, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := bufio.NewWriterSize(w, 1<<20)
	id := func() string {
		b := make([]byte, 20)
		for i := range b {
			b[i] = idLetters[rng.IntN(len(idLetters))]
		}
		return string(b)
	}
	users := make([]string, 20_000)
	for i := range users {
		users[i] = id() + "12345678"
	}
	out.WriteString(mitakaHeader)
	at := time.Date(2024, 12, 31, 23, 59, 59, 0, time.UTC)
	cancels := ""
	for i := range rows {
		at = at.Add(-time.Duration(rng.IntN(20)) * time.Second)
		shop, tran, target := rng.IntN(400), id(), ""
		operation := "SUB,OP1,利用"
		if cancels != "" {
			tran, target = cancels, ""
			cancels = ""
		} else if i%100 == 50 && i+1 < rows {
			operation, target = "CANCEL,OP4,利用キャンセル", id()
			cancels = target
		}
		when := at.Format("2006/01/02 15:04:05")
		amount := strconv.Itoa(rng.IntN(5000) + 1)
		fmt.Fprintf(out, "%s,mitaka,svc-%d,みたかデジタル商品券,%d,%s,加盟店%03d,m%03d,店舗%03d,s%03d,レジ1,t%03d-1,1,%s,%s,10000,%d,,,,,%s,,,0,1,%s,%s\n",
			tran, shop%2, 2+shop%2, operation, shop, shop, shop, shop, shop, users[rng.IntN(len(users))], amount, 10000-i%5000, target, when, when)
	}
	return out.Flush()
}

func writeFile(t testing.TB, name string, write func(io.Writer) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// BenchmarkImportMitaka imports a file of MEGURI_BENCH_ROWS rows (200,000 if
// unset) into an empty SQLite store on the disk.
func BenchmarkImportMitaka(b *testing.B) {
	rows := 200_000
	if n, err := strconv.Atoi(os.Getenv("MEGURI_BENCH_ROWS")); err == nil {
		rows = n
	}
	path := writeFile(b, "transactions.csv", func(w io.Writer) error { return writeMitaka(w, rows, 7) })
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		im := open(b, b.TempDir())
		s, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions})
		if err != nil {
			b.Fatal(err)
		}
		if s.Accepted != int64(rows) {
			b.Fatalf("accepted %d of %d rows: %+v", s.Accepted, rows, s)
		}
		b.ReportMetric(float64(rows)/s.Elapsed.Seconds(), "rows/s")
	}
}
