// Package sqlstore keeps analysts' grants, and the log of what they did, in
// SQLite or PostgreSQL. Start with [Open].
//
// The log has no way to be changed: neither here nor, by triggers, in the
// database.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"meguri/analytics/flight"
	"meguri/internal/sqldb"
)

//go:embed sql/*.sql
var statements embed.FS

//go:embed migrations
var migrations embed.FS

// Store is a flight.Store.
type Store struct {
	db    *sqldb.DB
	sql   sqldb.Statements
	steps []sqldb.Migration
}

var _ flight.Store = (*Store)(nil)

// Open brings the schema up to date and returns the store.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	steps, err := sqldb.Migrate(ctx, db, "analysts", migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return &Store{db: db, sql: sqldb.MustLoadStatements(statements, "sql", db.Dialect), steps: steps}, nil
}

// Migrations are the schema's steps, and which of them Open applied.
func (s *Store) Migrations() []sqldb.Migration { return s.steps }

// PutGrant enters a new grant; see flight.Store.
func (s *Store) PutGrant(ctx context.Context, g flight.Grant) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql.Get("insert_grant"), g.ID, g.Name, g.Organisation, string(g.Basis), g.Purpose,
			strings.Join(g.Tables, ","), g.TokenDigest, micros(g.CreatedAt), micros(g.From), micros(g.Until), micros(g.RevokedAt),
			g.Most.Rows, g.Most.Bytes)
		if err != nil {
			return fmt.Errorf("enter grant: %w", err)
		}
		return s.append(ctx, tx, g.MadeEntry())
	})
}

// Grant returns a grant by its ID, or flight.ErrNotFound.
func (s *Store) Grant(ctx context.Context, id string) (flight.Grant, error) {
	return scanGrant(s.db.QueryRowContext(ctx, s.sql.Get("get_grant"), id))
}

// GrantByToken returns the grant of a token, or flight.ErrNotFound.
func (s *Store) GrantByToken(ctx context.Context, digest string) (flight.Grant, error) {
	return scanGrant(s.db.QueryRowContext(ctx, s.sql.Get("get_grant_by_token"), digest))
}

// Grants returns every grant there ever was.
func (s *Store) Grants(ctx context.Context) (_ []flight.Grant, err error) {
	rows, err := s.db.QueryContext(ctx, s.sql.Get("list_grants"))
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var grants []flight.Grant
	for rows.Next() {
		g, err := scanGrant(rows)
		if err != nil {
			return nil, err
		}
		grants = append(grants, g)
	}
	return grants, rows.Err()
}

// Revoke takes a grant back. One that was taken back before stays as it is.
func (s *Store) Revoke(ctx context.Context, id string, at time.Time) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		g, err := scanGrant(tx.QueryRowContext(ctx, s.sql.Get("get_grant"), id))
		if err != nil || !g.RevokedAt.IsZero() {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.sql.Get("revoke_grant"), micros(at), id); err != nil {
			return fmt.Errorf("revoke grant: %w", err)
		}
		return s.append(ctx, tx, g.RevokedEntry(at))
	})
}

// Append adds an entry to the log.
func (s *Store) Append(ctx context.Context, e flight.Entry) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error { return s.append(ctx, tx, e) })
}

// Take appends an entry and counts what leaves by it; see flight.Store.
func (s *Store) Take(ctx context.Context, e flight.Entry) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, s.sql.Get("use_grant"), e.Rows, e.Bytes, e.Grant)
		if err != nil {
			return fmt.Errorf("count what leaves: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return cmp.Or(err, flight.ErrUsedUp)
		}
		return s.append(ctx, tx, e)
	})
}

func (s *Store) append(ctx context.Context, tx *sql.Tx, e flight.Entry) error {
	_, err := tx.ExecContext(ctx, s.sql.Get("append_log"), micros(e.At), string(e.Kind), e.Grant, e.Who, string(e.Basis), e.Purpose,
		e.Session, e.Statement, clean(e.Text), clean(e.Parameters), e.Snapshot, e.Rows, e.Bytes, e.Took.Microseconds(), e.Outcome,
		e.Client, e.Recipient, e.File, e.SHA256)
	if err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	return nil
}

// clean makes a text of any bytes one that every engine takes.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Entries reads the log; see flight.Store.
func (s *Store) Entries(ctx context.Context, grant string, after int64, limit int) (_ []flight.Entry, err error) {
	rows, err := s.db.QueryContext(ctx, s.sql.Get("list_log"), after, grant, limit)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var entries []flight.Entry
	for rows.Next() {
		var e flight.Entry
		var at, took int64
		if err := rows.Scan(&e.Number, &at, &e.Kind, &e.Grant, &e.Who, &e.Basis, &e.Purpose, &e.Session, &e.Statement, &e.Text,
			&e.Parameters, &e.Snapshot, &e.Rows, &e.Bytes, &took, &e.Outcome, &e.Client, &e.Recipient, &e.File, &e.SHA256); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		e.At, e.Took = instant(at), time.Duration(took)*time.Microsecond
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

func scanGrant(row interface{ Scan(...any) error }) (flight.Grant, error) {
	var g flight.Grant
	var tables string
	var created, from, until, revoked int64
	err := row.Scan(&g.ID, &g.Name, &g.Organisation, &g.Basis, &g.Purpose, &tables, &g.TokenDigest, &created, &from, &until, &revoked,
		&g.Most.Rows, &g.Most.Bytes, &g.Used.Rows, &g.Used.Bytes)
	if errors.Is(err, sql.ErrNoRows) {
		return g, flight.ErrNotFound
	}
	if err != nil {
		return g, fmt.Errorf("read grant: %w", err)
	}
	g.Tables = strings.Split(tables, ",")
	g.CreatedAt, g.From, g.Until, g.RevokedAt = instant(created), instant(from), instant(until), instant(revoked)
	return g, nil
}

// micros is a time as it is kept; no time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
