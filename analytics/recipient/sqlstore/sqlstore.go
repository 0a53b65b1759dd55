// Package sqlstore keeps recipients' contracts, and the log of what they took, in
// SQLite or PostgreSQL. Start with [Open].
//
// Quotas are counted by the log, in the transaction that adds to it. The log has
// no way to be changed: neither here nor, by triggers, in the database.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"meguri/analytics/recipient"
	"meguri/internal/sqldb"
)

//go:embed sql/*.sql
var statements embed.FS

//go:embed migrations
var migrations embed.FS

// Store is a recipient.Store.
type Store struct {
	db    *sqldb.DB
	sql   sqldb.Statements
	steps []sqldb.Migration
}

var _ recipient.Store = (*Store)(nil)

// Open brings the schema up to date and returns the store.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	steps, err := sqldb.Migrate(ctx, db, "recipients", migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return &Store{db: db, sql: sqldb.MustLoadStatements(statements, "sql", db.Dialect), steps: steps}, nil
}

// Migrations are the schema's steps, and which of them Open applied.
func (s *Store) Migrations() []sqldb.Migration { return s.steps }

// PutContract enters a new contract; see recipient.Store.
func (s *Store) PutContract(ctx context.Context, c recipient.Contract) error {
	terms, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("enter contract: %w", err)
	}
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		var others int64
		err := tx.QueryRowContext(ctx, s.sql.Get("count_overlapping"), c.Client, micros(c.Ends()), micros(c.Begins())).Scan(&others)
		if err != nil {
			return err
		}
		if others > 0 {
			return recipient.ErrConflict
		}
		_, err = tx.ExecContext(ctx, s.sql.Get("insert_contract"), c.ID, c.Reader, c.Client,
			micros(c.Begins()), micros(c.Ends()), string(terms), micros(c.CreatedAt), micros(c.EndedAt))
		return err
	})
	if sqldb.IsDuplicate(err) {
		err = recipient.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("enter contract %s: %w", c.ID, err)
	}
	return nil
}

// Contract returns a contract by its ID, or recipient.ErrNotFound.
func (s *Store) Contract(ctx context.Context, id string) (recipient.Contract, error) {
	return scanContract(s.db.QueryRowContext(ctx, s.sql.Get("get_contract"), id))
}

// Contracts returns contracts, the earliest first; see recipient.Store.
func (s *Store) Contracts(ctx context.Context, client string) ([]recipient.Contract, error) {
	rows, err := s.db.QueryContext(ctx, s.sql.Get("list_contracts"), client)
	return collect(rows, err, scanContract)
}

// End ends a contract; see recipient.Store.
func (s *Store) End(ctx context.Context, id string, at time.Time) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := scanContract(tx.QueryRowContext(ctx, s.sql.Get("get_contract"), id)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, s.sql.Get("end_contract"), micros(at), id)
		return err
	})
}

// Take enters a hand-over if the quota has room; see recipient.Store.
func (s *Store) Take(ctx context.Context, e recipient.Entry, q recipient.Quota, day, month time.Time) (use recipient.Use, ok bool, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		var err error
		if use, err = s.used(ctx, tx, e.Contract, e.Table(), day, month); err != nil {
			return err
		}
		if ok = q.Fits(use); !ok {
			return nil
		}
		return s.append(ctx, tx, e)
	})
	if err != nil {
		return use, false, fmt.Errorf("enter a hand-over: %w", err)
	}
	return use, ok, nil
}

// Used counts what is used; see recipient.Store.
func (s *Store) Used(ctx context.Context, contract, table string, day, month time.Time) (recipient.Use, error) {
	return s.used(ctx, s.db, contract, table, day, month)
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) used(ctx context.Context, q querier, contract, table string, day, month time.Time) (u recipient.Use, err error) {
	err = q.QueryRowContext(ctx, s.sql.Get("count_used"), micros(day), table, contract, micros(month)).Scan(&u.Tables, &u.Downloads)
	return u, err
}

// Append adds an entry to the log.
func (s *Store) Append(ctx context.Context, e recipient.Entry) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error { return s.append(ctx, tx, e) })
}

func (s *Store) append(ctx context.Context, tx *sql.Tx, e recipient.Entry) error {
	_, err := tx.ExecContext(ctx, s.sql.Get("append_log"), micros(e.At), e.Contract, e.Client, e.Purpose, e.Operation,
		e.Metric, e.Cut, e.From, e.To, e.Format, e.Release, e.Bytes, e.Outcome, e.Table())
	if err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	return nil
}

// Log returns entries of the log; see recipient.Store.
func (s *Store) Log(ctx context.Context, contract string, after int64, limit int) ([]recipient.Entry, error) {
	rows, err := s.db.QueryContext(ctx, s.sql.Get("list_log"), after, contract, limit)
	return collect(rows, err, func(row scanner) (e recipient.Entry, err error) {
		var at int64
		err = row.Scan(&e.Number, &at, &e.Contract, &e.Client, &e.Purpose, &e.Operation, &e.Metric, &e.Cut, &e.From, &e.To,
			&e.Format, &e.Release, &e.Bytes, &e.Outcome)
		e.At = timeOf(at)
		return e, err
	})
}

// PutShop lets a client see a shop's own tables.
func (s *Store) PutShop(ctx context.Context, client, shop string) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql.Get("put_shop"), client, shop)
		return err
	})
}

// HasShop says whether a client may see a shop's own tables.
func (s *Store) HasShop(ctx context.Context, client, shop string) (bool, error) {
	var n int64
	err := s.db.QueryRowContext(ctx, s.sql.Get("has_shop"), client, shop).Scan(&n)
	return n > 0, err
}

type scanner interface{ Scan(...any) error }

func scanContract(row scanner) (recipient.Contract, error) {
	var c recipient.Contract
	var id, reader, client, terms string
	var created, ended int64
	err := row.Scan(&id, &reader, &client, &terms, &created, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return c, recipient.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal([]byte(terms), &c)
	}
	if err != nil {
		return c, fmt.Errorf("read contract: %w", err)
	}
	c.ID, c.Reader, c.Client, c.CreatedAt, c.EndedAt = id, reader, client, timeOf(created), timeOf(ended)
	return c, nil
}

func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) (list []T, _ error) {
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, v)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
