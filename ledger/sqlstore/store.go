// Package sqlstore keeps the ledger, the registry and the programmes in SQL,
// in SQLite or PostgreSQL. Start with [Open].
//
// The rules are not here: [ledger.Fold] decides. A batch is one database
// transaction: it locks the head of the ledger, reads what Fold needs and what
// the store has not kept from the batches before, and writes what Fold decided
// (post.go). On PostgreSQL that is one trip to read and one to write, and only
// the latter when everything is kept; on SQLite prepared statements in a loop.
// The statements are files under sql/, the same text for both engines where a
// row is all that is read or written.
//
// # The writer's lease
//
// The head's row lock is the lease: one batch at a time, of whatever process.
// It ends with the batch, and PostgreSQL ends it for a writer that stalls
// (sqldb.LeaseTime). The head's epoch counts the changes of writer, and every
// batch is numbered, once: a stale writer finds its transaction gone or its
// number taken, and can do nothing but look again. SQLite's write lock is the
// same in small.
//
// What is kept never outranks the database: it is used only when the head is
// the very one that the last batch left, which is checked under the lock, or by
// the database when the batch's number is taken.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"meguri/internal/sqldb"
	"meguri/ledger"
)

//go:embed sql/*.sql
var statementFiles embed.FS

//go:embed migrations
var migrationFiles embed.FS

// Store is a ledger.Store, a ledger.Audited, a registry.Store and a
// programme.Store.
type Store struct {
	db         *sqldb.DB
	statements sqldb.Statements
	now        func() time.Time
	migrations []sqldb.Migration
	engine     engine
	writer     string // names this store among the writers of the ledger

	posting sync.Mutex // guards what follows
	kept    kept

	takeovers atomic.Int64 // batches that found another writer's before them
	trips     atomic.Int64 // to the database, for batches
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
	s := &Store{db: db, statements: statements, now: now, migrations: migrations, writer: uuid.NewString()}
	switch db.Dialect {
	case sqldb.Postgres:
		s.engine = &postgres{s}
	default:
		s.engine = newSQLite(s)
	}
	return s, nil
}

// Migrations are the schema's steps, and which of them Open applied.
func (s *Store) Migrations() []sqldb.Migration { return s.migrations }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// Durable returns an error that names the setting when the database does not
// keep what it has committed.
func (s *Store) Durable(ctx context.Context) error { return s.db.Durable(ctx) }

// Takeovers is how often this store's writer found that another one had written
// since, and Trips how often its batches went to the database and back.
func (s *Store) Takeovers() int64 { return s.takeovers.Load() }

// Trips is how often batches went to the database and back.
func (s *Store) Trips() int64 { return s.trips.Load() }

// querier is a database or a transaction of it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// prepared runs the statements of one transaction, each prepared once.
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
	return reached(s.db.InTx(ctx, func(tx *sql.Tx) error {
		return fn(&prepared{tx: tx, statements: s.statements, stmts: map[string]*sql.Stmt{}})
	}))
}

// reached says of an error that the database did not answer, where that is so.
func reached(err error) error {
	if sqldb.IsUnreachable(err) {
		return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return err
}

// row asks for one row.
func (s *Store) row(ctx context.Context, name string, args ...any) scanner {
	return func(to ...any) error {
		return reached(s.db.QueryRowContext(ctx, s.statements.Get(name), args...).Scan(to...))
	}
}

// scanner reads the columns of one row.
type scanner func(...any) error

// collect reads every row of a query with scan.
func collect[T any](ctx context.Context, q querier, query string, scan func(scanner) (T, error), args ...any) (_ []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, reached(err)
	}
	defer func() { err = reached(errors.Join(err, rows.Close())) }()
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

// micros is an instant as it is kept; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

var (
	_ ledger.Store   = (*Store)(nil)
	_ ledger.Audited = (*Store)(nil)
)

// PrepareAll prepares every statement on the store's engine.
func (s *Store) PrepareAll(ctx context.Context) error { return s.statements.PrepareAll(ctx, s.db) }
