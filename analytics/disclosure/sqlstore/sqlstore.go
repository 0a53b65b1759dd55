// Package sqlstore keeps the register of releases in SQLite or PostgreSQL. Start
// with [Open].
package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"meguri/analytics/disclosure"
	"meguri/internal/sqldb"
)

//go:embed sql/*.sql
var statements embed.FS

//go:embed migrations
var migrations embed.FS

// Store is a disclosure.Register.
type Store struct {
	db    *sqldb.DB
	sql   sqldb.Statements
	steps []sqldb.Migration
}

var _ disclosure.Register = (*Store)(nil)

// ErrChain says that an entry was changed, taken out or put in by hand.
var ErrChain = errors.New("the register of releases was changed by hand")

// Open brings the schema up to date and returns the register.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	steps, err := sqldb.Migrate(ctx, db, "releases", migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return &Store{db: db, sql: sqldb.MustLoadStatements(statements, "sql", db.Dialect), steps: steps}, nil
}

// Migrations are the schema's steps, and which of them Open applied.
func (s *Store) Migrations() []sqldb.Migration { return s.steps }

// Append implements disclosure.Register. Of two processes that add an entry at
// the same time the second one tries again.
func (s *Store) Append(ctx context.Context, r disclosure.Record, after int64) (number int64, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		var last int64
		var chain string
		err := tx.QueryRowContext(ctx, s.sql.Get("last_release")).Scan(&last, &chain)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if after != disclosure.Any && last != after {
			return disclosure.ErrMoved
		}
		number = last + 1
		_, err = tx.ExecContext(ctx, s.sql.Get("insert_release"), number, r.At.UnixMicro(), string(r.Audience), r.Reader, r.Rules, r.Metric,
			r.From, r.To, r.Cut, r.Snapshot, r.Cells, r.Hidden, r.Frozen, r.Hash, link(chain, r), r.Body)
		return err
	})
	return number, err
}

// link is the chain's next value.
func link(before string, r disclosure.Record) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%q\n%q\n%q\n%q\n%s\n%s\n%q\n%d\n%d\n%d\n%t\n%s\n", before, r.At.UnixMicro(), r.Audience, r.Reader, r.Rules,
		r.Metric, r.From, r.To, r.Cut, r.Snapshot, r.Cells, r.Hidden, r.Frozen, r.Hash))
	return hex.EncodeToString(sum[:])
}

// All implements disclosure.Register. It checks the chain up to each entry, and
// returns ErrChain at the first one that does not fit.
func (s *Store) All(ctx context.Context, f func(disclosure.Record) error) (last int64, err error) {
	rows, err := s.db.QueryContext(ctx, s.sql.Get("releases"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	before := ""
	for rows.Next() {
		var r disclosure.Record
		var at int64
		var chain string
		if err := rows.Scan(&r.Number, &at, &r.Audience, &r.Reader, &r.Rules, &r.Metric, &r.From, &r.To, &r.Cut, &r.Snapshot, &r.Cells, &r.Hidden, &r.Frozen,
			&r.Hash, &chain, &r.Body); err != nil {
			return 0, err
		}
		r.At = time.UnixMicro(at).UTC()
		if link(before, r) != chain || disclosure.HashOf(r.Body) != r.Hash {
			return 0, fmt.Errorf("%w: the entry of %s, %s", ErrChain, r.At.Format(time.RFC3339), r.Metric)
		}
		last, before = r.Number, chain
		if err := f(r); err != nil {
			return 0, err
		}
	}
	return last, rows.Err()
}
