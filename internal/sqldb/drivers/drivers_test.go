// Package drivers compares the two SQLite drivers that Go has, on what the
// ledger's writer does: commits of many small rows and updates. It is a module
// of its own, so that the one that was not chosen is no part of the project.
//
//	cd internal/sqldb/drivers && go test -bench .
package drivers

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"
)

// BenchmarkCommit commits payments, 100 at a time: a row and two balances out
// of 100,000 each, in WAL mode with synchronous=FULL.
func BenchmarkCommit(b *testing.B) {
	for driver, dsn := range map[string]string{
		"mattn":   "file:%s?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate",
		"modernc": "file:%s?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate",
	} {
		name := map[string]string{"mattn": "sqlite3", "modernc": "sqlite"}[driver]
		b.Run(driver, func(b *testing.B) {
			db, err := sql.Open(name, fmt.Sprintf(dsn, filepath.Join(b.TempDir(), "x.sqlite")))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			db.SetMaxOpenConns(1)
			const accounts = 100_000
			must := func(_ any, err error) {
				if err != nil {
					b.Fatal(err)
				}
			}
			must(db.Exec("CREATE TABLE accounts (id INTEGER PRIMARY KEY, debits BIGINT NOT NULL, credits BIGINT NOT NULL)"))
			must(db.Exec("CREATE TABLE transfers (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, debit BIGINT, credit BIGINT, amount BIGINT)"))
			tx, err := db.Begin()
			must(nil, err)
			st, err := tx.Prepare("INSERT INTO accounts VALUES ($1, 0, 0)")
			must(nil, err)
			for i := range accounts {
				must(st.Exec(i))
			}
			must(nil, tx.Commit())
			seq := 0
			cpu := processorTime()
			b.ResetTimer()
			for b.Loop() {
				tx, err := db.Begin()
				must(nil, err)
				insert, err := tx.Prepare("INSERT INTO transfers VALUES ($1, $2, $3, $4, $5)")
				must(nil, err)
				debit, err := tx.Prepare("UPDATE accounts SET debits = debits + $1 WHERE id = $2")
				must(nil, err)
				credit, err := tx.Prepare("UPDATE accounts SET credits = credits + $1 WHERE id = $2")
				must(nil, err)
				for range 100 {
					seq++
					from, to := rand.IntN(accounts), rand.IntN(accounts)
					must(insert.Exec(seq, fmt.Sprintf("%032d", seq), from, to, 100))
					must(debit.Exec(100, from))
					must(credit.Exec(100, to))
				}
				must(nil, tx.Commit())
			}
			b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "payments/s")
			b.ReportMetric((processorTime()-cpu)/float64(seq)*1e6, "µs-CPU/payment")
		})
	}
}

func processorTime() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
