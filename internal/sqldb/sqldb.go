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
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
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
	keeper  *keeper // of a SQLite file

	closing []func()
}

// OnClose has something done before the database is closed: giving up a
// connection that somebody keeps.
func (db *DB) OnClose(do func()) { db.closing = append(db.closing, do) }

// Close closes the database, but a SQLite file whose checkpoint failed: that is
// left to the end of the process.
func (db *DB) Close() error {
	if db.keeper != nil {
		unlock, err := db.LockWriting()
		if err != nil {
			return nil // whoever writes is told; what stands is in the log
		}
		unlock()
	}
	for _, do := range db.closing {
		do()
	}
	err := db.DB.Close()
	if db.keeper != nil {
		err = errors.Join(err, db.keeper.Close())
	}
	return err
}

// Open opens a database by its address: "postgres://…" for PostgreSQL, and
// any other text for the path of a SQLite file, which is made if absent.
//
// SQLite runs in WAL mode with synchronous=FULL: what is committed survives
// loss of power. "file.sqlite?synchronous=normal" asks for less, which
// [DB.Durable] reports; "?checkpoint=1000" copies the write-ahead log into the
// database whenever it has so many pages. On PostgreSQL a session that sits in a transaction for longer
// than LeaseTime is ended by the server, whatever it was about to do.
func Open(ctx context.Context, address string) (*DB, error) {
	db := &DB{Dialect: SQLite}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		config, err := pgx.ParseConfig(address)
		if err != nil {
			return nil, fmt.Errorf("open postgres database: %w", err)
		}
		// Every statement of ours has its index. A plan must not turn into a scan
		// because a table was empty when it was made: neither of one table, nor of
		// one for every row, or all rows, of another.
		config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
		for _, way := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material", "jit"} {
			config.RuntimeParams[way] = "off"
		}
		config.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(LeaseTime.Milliseconds(), 10)
		db.Dialect, db.DB = Postgres, stdlib.OpenDB(*config)
	} else {
		address, options, _ := strings.Cut(address, "?")
		synchronous, pages, err := sqliteOptions(options)
		if err != nil {
			return nil, fmt.Errorf("open sqlite database: %w", err)
		}
		q := url.Values{
			"_journal_mode":    {"WAL"},
			"_synchronous":     {synchronous},
			"_foreign_keys":    {"on"},
			"_busy_timeout":    {"10000"},
			"_txlock":          {"immediate"},
			"_stmt_cache_size": {"64"},    // a store has some thirty statements
			"_cache_size":      {"-8192"}, // KiB, for each connection
		}
		file := sqliteFile("file:" + (&url.URL{Path: address}).EscapedPath() + "?" + q.Encode())
		db.DB, db.keeper = sql.OpenDB(file), newKeeper(file, pages)
	}
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // the ping's error says more
		return nil, fmt.Errorf("open %s database: %w", db.Dialect, err)
	}
	return db, nil
}

func sqliteOptions(text string) (synchronous string, pages int, err error) {
	synchronous, pages = "FULL", checkpointPages
	options, err := url.ParseQuery(text)
	for name := range options {
		switch value := options.Get(name); {
		case name == "synchronous" && (value == "full" || value == "normal"):
			synchronous = strings.ToUpper(value)
		case name == "checkpoint":
			if pages, err = strconv.Atoi(value); err != nil || pages < 1 {
				return "", 0, fmt.Errorf("checkpoint is a number of pages, not %q", value)
			}
		default:
			return "", 0, fmt.Errorf("the options are synchronous=full or normal and checkpoint=PAGES, not %q", name+"="+value)
		}
	}
	return synchronous, pages, err
}

// ErrNotDurable: the database would lose what it has committed with the power.
var ErrNotDurable = errors.New("the database does not keep what it has committed")

// Durable returns an error that wraps ErrNotDurable, and names the setting, when
// a commit does not wait for the disk.
func (db *DB) Durable(ctx context.Context) error {
	want := map[string]func(string) bool{ // setting → is it enough?
		"fsync":              func(v string) bool { return v == "on" },
		"full_page_writes":   func(v string) bool { return v == "on" },
		"synchronous_commit": func(v string) bool { return v != "off" },
	}
	show := "SHOW "
	if db.Dialect == SQLite {
		show, want = "PRAGMA ", map[string]func(string) bool{
			"synchronous":  func(v string) bool { return v == "2" || v == "3" }, // FULL, EXTRA
			"journal_mode": func(v string) bool { return v == "wal" },
		}
	}
	for setting, enough := range want {
		var value string
		if err := db.QueryRowContext(ctx, show+setting).Scan(&value); err != nil {
			return fmt.Errorf("read %s: %w", setting, err)
		}
		if !enough(value) {
			return fmt.Errorf("%w: %s is %s", ErrNotDurable, setting, value)
		}
	}
	return nil
}

// maxConns is the size of the pool. More would wait for each other: SQLite has
// one writer, and a PostgreSQL server serves a few per core.
const maxConns = 16

// sqliteFile opens connections to a SQLite file.
type sqliteFile string

var sqliteDriver = &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
	_, err := c.Exec("PRAGMA wal_autocheckpoint = 0", nil) // the keeper makes them
	return err
}}

// Connect implements driver.Connector.
func (f sqliteFile) Connect(context.Context) (driver.Conn, error) {
	return sqliteDriver.Open(string(f))
}

// Driver implements driver.Connector.
func (f sqliteFile) Driver() driver.Driver { return sqliteDriver }

const maxAttempts = 8

// LeaseTime is how long a session may sit in a transaction without a word.
const LeaseTime = 5 * time.Second

// LockWriting keeps the other writers of this process away from a SQLite file
// until the function that it returns is called. Its error is that the disk
// failed, and that this process may not write any more. Other engines need no
// such thing.
func (db *DB) LockWriting() (unlock func(), err error) {
	if db.keeper == nil {
		return func() {}, nil
	}
	db.writing.Lock()
	if err := db.keeper.failed; err != nil {
		db.writing.Unlock()
		return nil, err
	}
	return func() {
		db.keeper.wrote()
		db.writing.Unlock()
	}, nil
}

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
		unlock, err := db.LockWriting()
		if err != nil {
			return err
		}
		defer unlock()
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

// IsUnreachable reports whether err is that the database did not answer, or is
// going away: what it is asked again may be answered.
func IsUnreachable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "08")
	}
	var connect *pgconn.ConnectError
	var network *net.OpError
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF)
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
