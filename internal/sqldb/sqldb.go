// Package sqldb is the one small engine under every package named sqlstore: it
// opens SQLite or PostgreSQL, runs transactions with a retry, loads statements
// from files and brings a schema up to date. Start with [Open].
//
// There is one SQL text for both engines, in plain $1 form. What differs is a
// file with the dialect's name in it (insert.sqlite.sql beside
// insert.postgres.sql) and the few lines of [Dialect].
//
// The SQLite driver gives $1, $2 … their numbers by order of first appearance,
// whatever the digits say, so a text that names $2 before $1 would swap its
// parameters in silence. [LoadStatements] refuses such a text.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
	"github.com/mattn/go-sqlite3"
)

// Dialect names an engine.
type Dialect string

// The engines.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// DB is an open database.
type DB struct {
	*sql.DB
	Dialect Dialect

	// SQLite has one writer at a time, and a second one that finds the file
	// locked sleeps and looks again. Writers of this process queue here instead,
	// and are woken at once.
	writing sync.Mutex
}

// Open opens a database by its address: "postgres://…" for PostgreSQL, and
// any other text for the path of a SQLite file, which is made if absent.
//
// SQLite runs in WAL mode with synchronous=FULL: what is committed survives
// loss of power.
func Open(ctx context.Context, address string) (*DB, error) {
	db := &DB{Dialect: SQLite}
	driver, dsn := "sqlite3", ""
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		db.Dialect, driver, dsn = Postgres, "pgx", address
	} else {
		q := url.Values{
			"_journal_mode":    {"WAL"},
			"_synchronous":     {"FULL"},
			"_foreign_keys":    {"on"},
			"_busy_timeout":    {"10000"},
			"_txlock":          {"immediate"},
			"_stmt_cache_size": {"64"}, // a store has some thirty statements
		}
		dsn = "file:" + (&url.URL{Path: address}).EscapedPath() + "?" + q.Encode()
	}
	pool, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s database: %w", db.Dialect, err)
	}
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	db.DB = pool
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close() // the ping's error says more
		return nil, fmt.Errorf("open %s database: %w", db.Dialect, err)
	}
	return db, nil
}

// maxConns is the size of the pool. More would wait for each other: SQLite has
// one writer, and a PostgreSQL server serves a few per core.
const maxConns = 16

const maxAttempts = 8

// InTx runs fn in a serializable transaction and commits it. Where the engine
// asks for it (a serialization failure, a deadlock, a busy file), fn is run
// again from the start, so it must not keep anything from a run that failed.
func (db *DB) InTx(ctx context.Context, fn func(*sql.Tx) error) error {
	var err error
	for attempt := range maxAttempts {
		if attempt > 0 {
			wait := time.Duration(1<<attempt) * time.Millisecond
			wait += rand.N(wait) // apart from the others that failed with us
			select {
			case <-ctx.Done():
				return errors.Join(ctx.Err(), err)
			case <-time.After(wait):
			}
		}
		if err = db.tryTx(ctx, fn); err == nil || !retryable(err) {
			return err
		}
	}
	return fmt.Errorf("given up after %d attempts: %w", maxAttempts, err)
}

func (db *DB) tryTx(ctx context.Context, fn func(*sql.Tx) error) error {
	opts := &sql.TxOptions{}
	switch db.Dialect {
	case Postgres:
		opts.Isolation = sql.LevelSerializable
	case SQLite:
		db.writing.Lock()
		defer db.writing.Unlock()
	}
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func retryable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // serialization failure, deadlock
	}
	var lite sqlite3.Error
	return errors.As(err, &lite) && (lite.Code == sqlite3.ErrBusy || lite.Code == sqlite3.ErrLocked)
}

// IsDuplicate reports whether err is the breach of a unique or primary key.
func IsDuplicate(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite sqlite3.Error
	return errors.As(err, &lite) &&
		(lite.ExtendedCode == sqlite3.ErrConstraintUnique || lite.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}
