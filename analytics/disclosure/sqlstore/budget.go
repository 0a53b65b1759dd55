package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"meguri/analytics/disclosure/budget"
	"meguri/internal/sqldb"
)

//go:embed budget/sql/*.sql budget/migrations
var budgetFiles embed.FS

// Budget is a budget.Store: the accounts of recipients who ask for noisy counts.
type Budget struct {
	db    *sqldb.DB
	sql   sqldb.Statements
	steps []sqldb.Migration
}

var _ budget.Store = (*Budget)(nil)

// OpenBudget brings the schema up to date and returns the accounts.
func OpenBudget(ctx context.Context, db *sqldb.DB) (*Budget, error) {
	steps, err := sqldb.Migrate(ctx, db, "budget", budgetFiles, "budget/migrations")
	if err != nil {
		return nil, err
	}
	return &Budget{db: db, sql: sqldb.MustLoadStatements(budgetFiles, "budget/sql", db.Dialect), steps: steps}, nil
}

// Migrations are the schema's steps, and which of them OpenBudget applied.
func (b *Budget) Migrations() []sqldb.Migration { return b.steps }

// Entries implements budget.Store.
func (b *Budget) Entries(ctx context.Context, recipient string) (list []budget.Entry, err error) {
	rows, err := b.db.QueryContext(ctx, b.sql.Get("entries"), recipient)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e := budget.Entry{Recipient: recipient}
		var at int64
		if err := rows.Scan(&e.Seq, &e.Kind, &e.Cost, &e.Delta, &e.Fingerprint, &e.Answer, &at, &e.Previous, &e.Hash); err != nil {
			return nil, err
		}
		e.At = time.UnixMicro(at).UTC()
		list = append(list, e)
	}
	return list, rows.Err()
}

// Append implements budget.Store. Of two processes that charge at the same time
// the second one gets budget.ErrConflict.
func (b *Budget) Append(ctx context.Context, e budget.Entry) error {
	err := b.db.InTx(ctx, func(tx *sql.Tx) error {
		var last int64
		if err := tx.QueryRowContext(ctx, b.sql.Get("last_entry"), e.Recipient).Scan(&last); err != nil {
			return err
		}
		if e.Seq != last+1 {
			return budget.ErrConflict
		}
		_, err := tx.ExecContext(ctx, b.sql.Get("insert_entry"), e.Recipient, e.Seq, string(e.Kind), e.Cost, e.Delta, e.Fingerprint, e.Answer,
			e.At.UnixMicro(), e.Previous, e.Hash)
		return err
	})
	if sqldb.IsDuplicate(err) {
		err = budget.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("charge an account: %w", err)
	}
	return nil
}
