// Package sqlstore keeps the ledger, the registry and the programmes in SQL,
// in SQLite or PostgreSQL. Start with [Open].
//
// Every statement is a file under sql/, the same text for both engines but for
// the two that lock a row. The rules are not here: [ledger.Fold] decides, this
// package reads what Fold needs and writes what it decided, in one database
// transaction.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"meguri/internal/sqldb"
	"meguri/ledger"
)

//go:embed sql/*.sql
var statementFiles embed.FS

//go:embed migrations
var migrationFiles embed.FS

// Store is a ledger.Store, a registry.Store and a programme.Store.
type Store struct {
	db         *sqldb.DB
	statements sqldb.Statements
	now        func() time.Time
	migrations []sqldb.Migration
}

// Open brings the schema up to date and returns the store. now is the wall
// clock that ledger time follows.
func Open(ctx context.Context, db *sqldb.DB, now func() time.Time) (*Store, error) {
	statements, err := sqldb.LoadStatements(statementFiles, "sql", db.Dialect)
	if err != nil {
		return nil, err
	}
	migrations, err := sqldb.Migrate(ctx, db, "ledger", migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	return &Store{db: db, statements: statements, now: now, migrations: migrations}, nil
}

// Migrations are the schema's steps, and which of them Open applied.
func (s *Store) Migrations() []sqldb.Migration { return s.migrations }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// querier is a database or a transaction of it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// prepared runs the statements of one batch, each prepared once.
type prepared struct {
	tx         *sql.Tx
	statements sqldb.Statements
	stmts      map[string]*sql.Stmt
}

func (p *prepared) stmt(ctx context.Context, name string) (*sql.Stmt, error) {
	if st := p.stmts[name]; st != nil {
		return st, nil
	}
	st, err := p.tx.PrepareContext(ctx, p.statements.Get(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.stmts[name] = st
	return st, nil
}

func (p *prepared) exec(ctx context.Context, name string, args ...any) error {
	st, err := p.stmt(ctx, name)
	if err != nil {
		return err
	}
	if _, err := st.ExecContext(ctx, args...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// inTx runs fn with statements prepared on one transaction.
func (s *Store) inTx(ctx context.Context, fn func(*prepared) error) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		return fn(&prepared{tx: tx, statements: s.statements, stmts: map[string]*sql.Stmt{}})
	})
}

// collect reads every row of a query with scan.
func collect[T any](ctx context.Context, q querier, query string, scan func(func(...any) error) (T, error), args ...any) (_ []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var all []T
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

var (
	_ ledger.Store   = (*Store)(nil)
	_ ledger.Audited = (*Store)(nil)
)

// PrepareAll prepares every statement on the store's engine.
func (s *Store) PrepareAll(ctx context.Context) error { return s.statements.PrepareAll(ctx, s.db) }
