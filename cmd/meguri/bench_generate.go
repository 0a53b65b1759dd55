package main

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
	"meguri/pseudonymize/lake"
)

// The made-up city of the pipeline's payments.
const (
	benchShops = 1000
	benchDays  = 90
)

// personsFor are who makes so many payments: a hundred each, until a city of
// some size is full.
func personsFor(rows int) int { return min(max(rows/100, 2000), 200_000) }

var benchStart = time.Date(2024, 6, 3, 0, 0, 0, 0, time.FixedZone("Asia/Tokyo", 9*3600))

func benchPerson(n uint64) string { return fmt.Sprintf("u%07d", n) }

// payments makes a transaction CSV in the columns of the voucher system, in one
// file or in several: payments of many persons in many shops, of whom some pay
// and sell much more than others, with a cancel in fifty.
type payments struct {
	state  uint64 // the same rows every time
	of     uint64 // persons
	made   int
	at     time.Time
	step   time.Duration
	id     string // of the payment before, with whose it was
	person uint64
	shop   uint64
	amount uint64
}

// newPayments begins rows that lie evenly over a quarter.
func newPayments(rows int) *payments {
	return &payments{state: 1, of: uint64(personsFor(rows)), at: benchStart, step: benchDays * 24 * time.Hour / time.Duration(rows)}
}

// next is SplitMix64.
func (p *payments) next(n uint64) uint64 {
	p.state += 0x9e3779b97f4a7c15
	z := p.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) % n
}

// write makes a file of the next rows.
func (p *payments) write(path string, rows int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, strings.Join(ingest.MitakaColumns, ","))
	for range rows {
		id := fmt.Sprintf("T%019d", p.made)
		at := p.at.Format("2006/01/02 15:04:05")
		operation, name, kind, target, status := "OP1", "利用", "SUB", "", "1"
		if p.made%50 == 49 {
			operation, name, kind, target, status = "OP4", "利用キャンセル", "CANCEL", p.id, "2"
		} else {
			p.person = p.next(p.of) * p.next(p.of) / p.of
			p.shop, p.amount = p.next(benchShops)*p.next(benchShops)/benchShops, 100+p.next(5000)
		}
		fmt.Fprintf(w, "%s,op1,svc3,デジタル商品券,3,%s,%s,%s,加盟店%03d,m%03d,店舗%03d,s%03d,端末%03d,t%03d,1,%s,%d,0,0,,,,0,%s,,,0,%s,%s,%s\n",
			id, kind, operation, name, p.shop, p.shop, p.shop, p.shop, p.shop, p.shop, benchPerson(p.person), p.amount, target, status, at, at)
		p.id = id
		p.made++
		p.at = p.at.Add(p.step)
	}
	return w.Flush()
}

// writeAttributes makes what payments are joined with, and the mappings of it.
func writeAttributes(dir string, of int) error {
	var persons, shops strings.Builder
	persons.WriteString("uid,sex,born_on,area\n")
	for n := range uint64(of) {
		fmt.Fprintf(&persons, "%s,%s,%d-%02d-01,13204%04d\n", benchPerson(n), lake.Sexes[n*7%4].Code, 1930+n*13%80, 1+n%12, 1+n%60)
	}
	shops.WriteString("shopId,name,merchant,area,industry\n")
	for n := range benchShops {
		fmt.Fprintf(&shops, "s%03d,店舗%03d,m%03d,13204%04d,%s\n", n, n, n, 1+n%60, lake.Industries[n%len(lake.Industries)].Code)
	}
	for name, text := range map[string]string{
		"persons.csv": persons.String(), "shops.csv": shops.String(), "persons.yaml": personsMap, "shops.yaml": shopsMap,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

const (
	personsMap = `record: person
source: mitaka
columns:
  id: {from: uid}
  sex: {from: sex}
  born_on: {from: born_on, layout: "2006-01-02"}
  area: {from: area}
`
	shopsMap = `record: shop
source: mitaka
columns:
  id: {from: shopId}
  name: {from: name}
  merchant: {from: merchant}
  area: {from: area}
  industry: {from: industry}
`
)

// generateCommand makes the file that the pipeline is measured with.
func generateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "generate ROWS CSV", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			rows, err := strconv.Atoi(args[0])
			if err != nil || rows < 1 {
				return usageError{fmt.Errorf("bench generate: %q is no number of rows", args[0])}
			}
			return newPayments(rows).write(args[1], rows)
		},
	}
}

// duckCopyCommand is what the pipeline is measured against, in a process of its
// own so that its memory can be told apart.
func (p *program) duckCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "duckdb-copy CSV PARQUET", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			db, err := sql.Open("duckdb", "")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			for _, statement := range []string{
				"SET temp_directory = " + quoted(filepath.Join(filepath.Dir(args[1]), "duckdb")),
				fmt.Sprintf("COPY (FROM read_csv(%s) ORDER BY shopId, createdAt) TO %s (FORMAT parquet, COMPRESSION zstd)", quoted(args[0]), quoted(args[1])),
			} {
				if _, err := db.ExecContext(cmd.Context(), statement); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// duckRewriteCommand is what an erasure is measured against: the lake's payments
// written anew without the first persons that come, and nothing else. What it
// writes is removed at once.
func (p *program) duckRewriteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "duckdb-rewrite LAKE PERSONS", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			l := lake.Open(args[0])
			m, err := l.Manifest()
			if err != nil {
				return err
			}
			db, err := sql.Open("duckdb", "")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			dir, err := os.MkdirTemp("", "meguri-bench-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			paths := l.Paths(m, "payments")
			if _, err := db.ExecContext(cmd.Context(), fmt.Sprintf("CREATE TABLE gone AS SELECT DISTINCT person_token FROM read_parquet(%s) WHERE person_token IS NOT NULL LIMIT CAST(%s AS BIGINT)",
				quoted(paths[0]), quoted(args[1]))); err != nil {
				return err
			}
			for _, path := range paths {
				_, err := db.ExecContext(cmd.Context(), fmt.Sprintf("COPY (FROM read_parquet(%s) WHERE person_token IS NULL OR person_token NOT IN (FROM gone)) TO %s (FORMAT parquet, COMPRESSION zstd)",
					quoted(path), quoted(filepath.Join(dir, "rewritten.parquet"))))
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// quoted is a text in SQL.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
