package ingest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/transform"
	"pgregory.net/rapid"

	"meguri/ingest"
	"meguri/ingest/sqlstore"
	"meguri/internal/sqldb"
)

// open returns an importer on a new folder, or on one that a test used before.
func open(t testing.TB, dir string) *ingest.Importer {
	t.Helper()
	im, err := openErr(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func openErr(t testing.TB, dir string) (*ingest.Importer, error) {
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
	if err == nil {
		t.Cleanup(func() { _ = im.Close() })
	}
	return im, err
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
// unset) into an empty SQLite store on the disk. Processor time tells more than
// the clock where others work on the same machine.
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
		before := processorTime(b)
		s, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions})
		if err != nil {
			b.Fatal(err)
		}
		if s.Accepted != int64(rows) {
			b.Fatalf("accepted %d of %d rows: %+v", s.Accepted, rows, s)
		}
		b.ReportMetric(float64(rows)/s.Elapsed.Seconds(), "rows/s")
		b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(rows), "cpu-ns/row")
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var update = flag.Bool("update", false, "write the golden files anew")

// content returns all accepted records as text, one a line, sorted.
func content(t testing.TB, im *ingest.Importer) []string {
	t.Helper()
	segments, err := im.Segments(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range segments {
		rows, amount := int64(0), int64(0)
		for batch, err := range ingest.OpenSegment(s.Path) {
			if err != nil {
				t.Fatal(err)
			}
			rows += batch.NumRows()
			for _, yen := range batch.Column(10).(*array.Int64).Int64Values() {
				amount += yen
			}
			for i := range int(batch.NumRows()) {
				var fields []string
				for _, column := range batch.Columns() {
					fields = append(fields, column.ValueStr(i))
				}
				all = append(all, strings.Join(fields, " | "))
			}
		}
		if rows != s.Rows || amount != s.AmountYen || rows == 0 {
			t.Errorf("segment %d: %d rows of %d yen, registered %d of %d", s.Number, rows, amount, s.Rows, s.AmountYen)
		}
	}
	slices.Sort(all)
	return all
}

func quarantined(t testing.TB, s ingest.Summary) [][]string {
	t.Helper()
	if s.Quarantined == 0 {
		if s.QuarantinePath != "" {
			t.Errorf("no row is in quarantine, but the summary names %s", s.QuarantinePath)
		}
		return nil
	}
	info, err := os.Stat(s.QuarantinePath)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the quarantine file has mode %v", info.Mode())
	}
	text, err := os.ReadFile(s.QuarantinePath)
	if err != nil {
		t.Fatal(err)
	}
	text, marked := bytes.CutPrefix(text, []byte("\xef\xbb\xbf"))
	if !marked {
		t.Error("the quarantine file has no byte order mark")
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(rows)-1) != s.Quarantined {
		t.Errorf("the quarantine file has %d rows, the summary says %d", len(rows)-1, s.Quarantined)
	}
	return rows[1:]
}

func mapping(t testing.TB, path string) *ingest.Mapping {
	t.Helper()
	m, err := ingest.LoadMapping(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shifted writes a UTF-8 file again as Shift_JIS.
func shifted(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Base(path), func(w io.Writer) error {
		encoder := transform.NewWriter(w, japanese.ShiftJIS.NewEncoder())
		if _, err := encoder.Write(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))); err != nil {
			return err
		}
		return encoder.Close()
	})
}

func zipped(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Base(path)+".gz", func(w io.Writer) error {
		z := gzip.NewWriter(w)
		if _, err := z.Write(text); err != nil {
			return err
		}
		return z.Close()
	})
}

// TestImport_Golden shows what becomes of a sample of each format, in UTF-8,
// in Shift_JIS and compressed alike.
func TestImport_Golden(t *testing.T) {
	register := mapping(t, "testdata/register.yaml")
	for _, c := range []struct {
		name, golden string
		path         string
		opts         ingest.Options
	}{
		{"mitaka", "mitaka", "testdata/mitaka.csv", ingest.Options{Format: ingest.MitakaTransactions}},
		{"mitaka in Shift_JIS", "mitaka", shifted(t, "testdata/mitaka.csv"), ingest.Options{Format: ingest.MitakaTransactions}},
		{"mitaka compressed", "mitaka", zipped(t, "testdata/mitaka.csv"), ingest.Options{Format: ingest.MitakaTransactions}},
		{"register", "register", "testdata/register.csv", ingest.Options{Format: ingest.CSV, Mapping: register}},
		{"register in Shift_JIS", "register", shifted(t, "testdata/register.csv"), ingest.Options{Format: ingest.CSV, Mapping: register}},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := open(t, t.TempDir())
			s, err := im.Import(context.Background(), c.path, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "read %d accepted %d duplicate %d quarantined %d\n\n", s.Read, s.Accepted, s.Duplicate, s.Quarantined)
			b.WriteString(strings.Join(content(t, im), "\n") + "\n\n")
			for _, row := range quarantined(t, s) {
				b.WriteString(strings.Join(row[1:], " | ") + "\n")
			}
			golden := filepath.Join("testdata", c.golden+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}

			again, err := im.Import(context.Background(), c.path, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if again.Accepted != 0 || again.Duplicate != s.Accepted+s.Duplicate || again.Quarantined != s.Quarantined || again.Segments != 0 {
				t.Errorf("imported again: %+v", again)
			}
		})
	}
}

// mitakaRow returns a good row with some columns changed, as "name=value".
func mitakaRow(changes ...string) string {
	names := strings.Split(strings.TrimSpace(mitakaHeader), ",")
	row := strings.Split("T1,mitaka,svc,券,3,SUB,OP1,利用,店,m1,店,s1,レジ,t1,1,u1,1200,2000,800,,,,,,,,0,1,2024/02/13 18:34:47,x", ",")
	for _, c := range changes {
		name, value, _ := strings.Cut(c, "=")
		row[slices.Index(names, name)] = value
	}
	return strings.Join(row, ",") + "\n"
}

func TestImport_QuarantinesBadRowsAndKeepsTheGoodOnes(t *testing.T) {
	for name, c := range map[string]struct {
		row, field, problem string
		options             ingest.Options
	}{
		"negative amount":     {row: mitakaRow("amount=-1"), field: "amount", problem: "negative"},
		"amount over int64":   {row: mitakaRow("amount=9223372036854775808"), field: "amount", problem: "beyond the largest"},
		"amount of 30 digits": {row: mitakaRow("amount=123456789012345678901234567890"), field: "amount", problem: "too large"},
		"amount too large":    {row: mitakaRow("amount=1000000000001"), field: "amount", problem: "1,000,000,000,000"},
		"amount in words":     {row: mitakaRow("amount=千"), field: "amount", problem: "not a number"},
		"amount with sen":     {row: mitakaRow("amount=1.5"), field: "amount", problem: "whole number"},
		"amount empty":        {row: mitakaRow("amount="), field: "amount", problem: "not a number"},
		"no such day":         {row: mitakaRow("createdAt=2024-02-30 10:00:00"), field: "createdAt", problem: "does not exist"},
		"placeholder date":    {row: mitakaRow("createdAt=0001/01/01 00:00"), field: "createdAt", problem: "1900 to 2199"},
		"no ID":               {row: mitakaRow("tranId="), field: "tranId", problem: "no ID"},
		"no shop":             {row: mitakaRow("shopId="), field: "shopId", problem: "no shop"},
		"no status":           {row: mitakaRow("status="), field: "status", problem: "empty"},
		"unknown operation":   {row: mitakaRow("operationId=OP6"), field: "operationId", problem: "no such operation"},
		"contradiction":       {row: mitakaRow("operationType=ADD"), field: "operationType", problem: "contradicts"},
		"unknown service":     {row: mitakaRow("serviceType=4"), field: "serviceType", problem: "no such service type"},
		"cancel of nothing":   {row: mitakaRow("operationType=CANCEL", "operationId=OP4"), field: "targetTranId", problem: "does not name"},
		"too few fields":      {row: "T1,mitaka\n", problem: "2 fields and the header 30"},
		"too many fields":     {row: strings.TrimSpace(mitakaRow()) + ",x\n", problem: "31 fields and the header 30"},
		"NUL byte":            {row: mitakaRow("shopDisplayName=a\x00b"), problem: "NUL"},
		"stray quote":         {row: mitakaRow("shopDisplayName=a\"b"), problem: "quote"},
		"open quote":          {row: mitakaRow("shopDisplayName=\"ab"), problem: "quote"},
		"over-long row":       {row: mitakaRow("note1=" + strings.Repeat("あ", 1000)), problem: "longer than the limit", options: ingest.Options{MaxRecordBytes: 1000}},
		"bytes of no encoding": {row: mitakaRow("shopDisplayName=\xff\xfe"), problem: "not UTF-8",
			options: ingest.Options{Encoding: ingest.UTF8}},
		"Shift_JIS read as UTF-8": {row: mitakaRow("shopDisplayName=\x93\x58"), problem: "not UTF-8",
			options: ingest.Options{Encoding: ingest.UTF8}},
		"bytes of no Shift_JIS": {row: mitakaRow("shopDisplayName=\x81\xff\xfd"), problem: "not Shift_JIS",
			options: ingest.Options{Encoding: ingest.ShiftJIS}},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := mitakaRow("tranId=GOOD1"), mitakaRow("tranId=GOOD2")
			text := mitakaHeader + before + c.row + after
			if c.options.Encoding == ingest.ShiftJIS { // ASCII around it
				text = strings.NewReplacer("券", "x", "利用", "x", "店", "x", "レジ", "x").Replace(text)
			}
			path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
			c.options.Format = ingest.MitakaTransactions
			im := open(t, t.TempDir())
			s, err := im.Import(context.Background(), path, c.options)
			if err != nil {
				t.Fatal(err)
			}
			if s.Read != 3 || s.Accepted != 2 || s.Quarantined != 1 {
				t.Errorf("got %+v", s)
			}
			row := quarantined(t, s)[0]
			if row[0] != "t.csv" || row[1] != "3" || row[2] != c.field || !strings.Contains(row[3], c.problem) || row[4] == "" || row[5] == "" {
				t.Errorf("got %q", row)
			}
		})
	}
}

func TestImport_RefusesAFileThatCannotBeRead(t *testing.T) {
	columns := strings.Split(strings.TrimSpace(mitakaHeader), ",")
	whole := new(bytes.Buffer)
	z := gzip.NewWriter(whole)
	if err := writeMitaka(z, 20_000, 3); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole.Bytes())
	damaged[len(damaged)-6] ^= 1 // in the checksum
	for name, c := range map[string]struct {
		text string
		want error
		says string
		kept bool
	}{
		"empty":             {"", ingest.ErrEmptyFile, "empty", false},
		"only a mark":       {"\xef\xbb\xbf", ingest.ErrEmptyFile, "empty", false},
		"header only":       {mitakaHeader, ingest.ErrNoRows, "no rows", false},
		"missing column":    {strings.Join(columns[1:], ",") + "\n", ingest.ErrMissingColumn, "column tranId", false},
		"renamed column":    {strings.Replace(mitakaHeader, "uid", "userId", 1), ingest.ErrMissingColumn, "column uid", false},
		"extra column":      {"phone," + mitakaHeader, ingest.ErrUnknownColumn, "column phone", false},
		"duplicate column":  {"uid," + mitakaHeader, ingest.ErrDuplicateColumn, "column uid", false},
		"nameless column":   {"," + mitakaHeader, ingest.ErrUnknownColumn, "number 1", false},
		"UTF-16":            {"\xff\xfet\x00r\x00", ingest.ErrEncoding, "UTF-16", false},
		"Excel workbook":    {"PK\x03\x04xxxx", ingest.ErrNotText, "CSV", false},
		"NUL in the header": {"a\x00b\n", ingest.ErrEncoding, "NUL", false},
		"truncated gzip":    {whole.String()[:whole.Len()*2/3], ingest.ErrTruncated, "import the whole file", true},
		"truncated at once": {whole.String()[:12], ingest.ErrTruncated, "ends early", false},
		"damaged gzip":      {string(damaged), ingest.ErrDamaged, "damaged", true},
		"a zip of nothing":  {"\x1f\x8b\x08", ingest.ErrTruncated, "ends early", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := io.WriteString(w, c.text); return err })
			im := open(t, t.TempDir())
			s, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "t.csv") {
				t.Errorf("got %v", err)
			}
			if (s.Accepted > 0) != c.kept || int(s.Accepted) != len(content(t, im)) || s.Read != s.Accepted+s.Duplicate+s.Quarantined {
				t.Errorf("got %+v", s)
			}
			if !c.kept {
				return
			}
			path = writeFile(t, "t.csv.gz", func(w io.Writer) error { _, err := w.Write(whole.Bytes()); return err })
			again, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions})
			if err != nil || again.Accepted != 20_000-s.Accepted || len(content(t, im)) != 20_000 {
				t.Errorf("after %+v the whole file gave %+v, %v", s, again, err)
			}
		})
	}
	im := open(t, t.TempDir())
	m := mapping(t, "testdata/register.yaml")
	path := writeFile(t, "r.csv", func(w io.Writer) error {
		_, err := io.WriteString(w, "レシート,明細,日時,商品,数量,単価,会員,電話\n")
		return err
	})
	if _, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.CSV, Mapping: m}); !errors.Is(err, ingest.ErrUnknownColumn) || !strings.Contains(err.Error(), "電話") {
		t.Errorf("a column that nobody decided about: %v", err)
	}
	if _, err := im.Import(context.Background(), filepath.Join(t.TempDir(), "none.csv"), ingest.Options{Format: ingest.MitakaTransactions}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestImport_ErrorsHoldNoValues looks for a person's ID and note in errors.
func TestImport_ErrorsHoldNoValues(t *testing.T) {
	path := writeFile(t, "t.csv", func(w io.Writer) error {
		_, err := io.WriteString(w, mitakaHeader+mitakaRow("uid=SECRET-PERSON", "note1=三鷹太郎", "amount=-5"))
		return err
	})
	im := open(t, t.TempDir())
	s, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions})
	if err != nil {
		t.Fatal(err)
	}
	row := quarantined(t, s)[0]
	if text := strings.Join(row[:5], " "); strings.Contains(text, "SECRET") || strings.Contains(text, "三鷹太郎") {
		t.Errorf("the problem holds a value: %s", text)
	}
	if !strings.Contains(row[5], "SECRET-PERSON") {
		t.Error("the row is not in quarantine as it came")
	}
}

// TestImport_WaitsForPaymentsToTheEndOfTheFile lists every cancellation before
// its payment and has more of them than memory takes.
func TestImport_WaitsForPaymentsToTheEndOfTheFile(t *testing.T) {
	const pairs = 500
	path := writeFile(t, "t.csv", func(w io.Writer) error {
		text := mitakaHeader
		for i := range pairs {
			text += mitakaRow(fmt.Sprint("tranId=C", i), fmt.Sprint("targetTranId=P", i), "operationType=CANCEL", "operationId=OP4")
		}
		for i := range pairs - 10 {
			text += mitakaRow(fmt.Sprint("tranId=P", i))
		}
		_, err := io.WriteString(w, text)
		return err
	})
	im := open(t, t.TempDir())
	ingest.SetChunkRows(im, 64)
	opts := ingest.Options{Format: ingest.MitakaTransactions}
	s, err := im.Import(context.Background(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	if s.Accepted != 2*pairs-20 || s.Quarantined != 10 {
		t.Errorf("got %+v", s)
	}
	for _, row := range quarantined(t, s) {
		if row[2] != "targetTranId" || !strings.Contains(row[4], "first, then import this file again") || !strings.HasPrefix(row[5], "C49") {
			t.Errorf("got %q", row)
		}
	}
	rest := writeFile(t, "rest.csv", func(w io.Writer) error {
		text := mitakaHeader
		for i := pairs - 10; i < pairs; i++ {
			text += mitakaRow(fmt.Sprint("tranId=P", i))
		}
		_, err := io.WriteString(w, text)
		return err
	})
	for _, c := range []struct {
		path     string
		accepted int64
	}{{rest, 10}, {path, 10}, {path, 0}} {
		if s, err = im.Import(context.Background(), c.path, opts); err != nil || s.Accepted != c.accepted || s.Quarantined != 0 {
			t.Errorf("%s: got %+v, %v", c.path, s, err)
		}
	}
}

func TestImport_ReportsProgress(t *testing.T) {
	path := writeFile(t, "t.csv", func(w io.Writer) error { return writeMitaka(w, 30_000, 9) })
	var done, total, rows int64
	_, err := open(t, t.TempDir()).Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions,
		Progress: func(d, n, r int64) {
			if d < done || r < rows {
				t.Error("progress goes back")
			}
			done, total, rows = d, n, r
		}})
	if err != nil || done != total || rows != 30_000 {
		t.Errorf("got %d of %d bytes, %d rows, %v", done, total, rows, err)
	}
}

func TestImport_StopsWhenCancelled(t *testing.T) {
	path := writeFile(t, "t.csv", func(w io.Writer) error { return writeMitaka(w, 30_000, 9) })
	dir := t.TempDir()
	im := open(t, dir)
	ingest.SetChunkRows(im, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	commits := 0
	ingest.SetStep(im, func(step string) {
		if step == "after commit" {
			if commits++; commits == 5 {
				cancel()
			}
		}
	})
	s, err := im.Import(ctx, path, ingest.Options{Format: ingest.MitakaTransactions})
	if !errors.Is(err, context.Canceled) || s.Accepted == 0 || s.Accepted != int64(len(content(t, im))) {
		t.Errorf("got %+v, %v", s, err)
	}
	if s, err = open(t, dir).Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions}); err != nil || len(content(t, im)) != 30_000 {
		t.Errorf("again: got %+v, %v", s, err)
	}
}

// TestImport_AnySplitGivesTheSameSet deals a set of records out to files, in
// any order and with repeats, and imports them: what is accepted is the set.
// Cancellations may meet their payments late, so the files come twice.
func TestImport_AnySplitGivesTheSameSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(rt, "records")
		rows := make([]string, n)
		for i := range rows {
			changes := []string{fmt.Sprint("tranId=T", i), fmt.Sprint("amount=", i), fmt.Sprint("uid=u", i%7)}
			if i%5 == 4 {
				changes = append(changes, "operationType=CANCEL", "operationId=OP4", fmt.Sprint("targetTranId=T", i-1))
			}
			rows[i] = mitakaRow(changes...)
		}
		order := rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 2*n).Draw(rt, "repeats")
		order = append(order, rapid.Permutation(sequence(n)).Draw(rt, "order")...)
		files := make([]string, rapid.IntRange(1, 4).Draw(rt, "files"))
		for _, row := range order {
			files[rapid.IntRange(0, len(files)-1).Draw(rt, "file")] += rows[row]
		}
		im := open(t, t.TempDir())
		ingest.SetChunkRows(im, rapid.IntRange(1, 70).Draw(rt, "chunk"))
		for range 2 {
			for _, text := range files {
				if text == "" {
					continue
				}
				path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := io.WriteString(w, mitakaHeader+text); return err })
				if _, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		want := open(t, t.TempDir())
		path := writeFile(t, "t.csv", func(w io.Writer) error {
			_, err := io.WriteString(w, mitakaHeader+strings.Join(rows, ""))
			return err
		})
		if _, err := want.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions}); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(content(t, want), content(t, im)); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func sequence(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// dataFile returns a file of real data, which is not part of the project.
func dataFile(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("MEGURI_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not there: set MEGURI_DATA", path)
		}
		t.Skipf("%s is not there: set MEGURI_DATA to run this test", path)
	}
	return path
}

// totals returns the sum and number of rows by kind.
func totals(t *testing.T, im *ingest.Importer) (sum, rows map[string]int64) {
	t.Helper()
	sum, rows = map[string]int64{}, map[string]int64{}
	segments, err := im.Segments(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		for batch, err := range ingest.OpenSegment(s.Path) {
			if err != nil {
				t.Fatal(err)
			}
			kind, amount := batch.Column(2).(*array.Dictionary), batch.Column(10).(*array.Int64)
			for i := range int(batch.NumRows()) {
				sum[kind.ValueStr(i)] += amount.Value(i)
				rows[kind.ValueStr(i)]++
			}
		}
	}
	return sum, rows
}

func exampleMapping(t *testing.T, name string) *ingest.Mapping {
	t.Helper()
	text, err := ingest.Maps.ReadFile("maps/" + name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ingest.ParseMapping(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestImport_UCIOnlineRetail(t *testing.T) {
	path := dataFile(t, "retail_uk/transactions.csv.gz")
	im := open(t, t.TempDir())
	opts := ingest.Options{Format: ingest.CSV, Mapping: exampleMapping(t, "uci-online-retail.yaml")}
	s, err := im.Import(context.Background(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	if s.Read != 541_909 || s.Accepted != 541_909 {
		t.Errorf("got %+v", s)
	}
	sum, rows := totals(t, im)
	if got := sum["pay"] - sum["refund"] + sum["adjustment"]; got != 974_774_793 {
		t.Errorf("total: got %d", got)
	}
	if sum["refund"] != 89_681_249 || rows["refund"] != 9_288 || rows["adjustment"] != 3 {
		t.Errorf("refunds: got %v of %v rows", sum, rows)
	}
	if again, err := im.Import(context.Background(), path, opts); err != nil || again.Duplicate != 541_909 || again.Segments != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func TestImport_CDNOW(t *testing.T) {
	path := dataFile(t, "cdnow/cdnow_master.csv")
	im := open(t, t.TempDir())
	s, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.CSV, Mapping: exampleMapping(t, "cdnow.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	sum, rows := totals(t, im)
	if s.Accepted != 69_659 || rows["pay"] != 69_659 || sum["pay"] != 250_031_563 {
		t.Errorf("got %+v, %v", s, sum)
	}
}
