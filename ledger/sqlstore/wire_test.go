package sqlstore

import (
	"fmt"
	"testing"
	"time"

	"meguri/internal/sqldb/sqldbtest"
	"meguri/ledger"
)

// BenchmarkStretch reads 10,000 transfers from PostgreSQL, as they come over the
// wire and through database/sql.
func BenchmarkStretch(b *testing.B) {
	db := sqldbtest.Postgres(b)
	s, err := Open(b.Context(), db, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	_, err = db.Exec(fmt.Sprintf(`INSERT INTO transfers (seq, id, position, kind, programme, debit, credit, amount_yen, held_yen,
		debit_after, credit_after, resident_after, debit_prev, credit_prev, resident, shop, terminal, actor, reason, parent,
		request, happened_at, ledger_at, until_at, business_on)
		SELECT n, 'id-' || n, 0, '%s', 'voucher', 'debit-' || n, 'credit-' || n, 1, 0, 2, 3, 4, 0, 0, 'resident-' || n, 'shop', 't-1',
		'bench', '', '', sha256('x'), n, n, 0, '2026-04-01' FROM generate_series(1, 10000) n`, ledger.Pay))
	if err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func() ([]transfer, error){
		"wire": func() ([]transfer, error) { return s.transfersBetween(b.Context(), 1, 10_000) },
		"sql": func() ([]transfer, error) {
			return collect(b.Context(), s.db, s.statements.Get("transfers_between"), scanTransfer, 1, 10_000)
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if list, err := read(); err != nil || len(list) != 10_000 {
					b.Fatalf("got %d transfers and %v", len(list), err)
				}
			}
			b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "transfers/s")
		})
	}
}
