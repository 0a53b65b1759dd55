// Package sqlstore keeps the log of consents in SQLite or PostgreSQL. Start with
// [Open].
//
// Triggers let no entry be changed or deleted. The one change that they allow is
// to empty an entry whose time of keeping is over.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"meguri/ingest/consent"
	"meguri/internal/sqldb"
)

//go:embed sql/*.sql
var statements embed.FS

//go:embed migrations
var migrations embed.FS

// Store is a consent.Store.
type Store struct {
	db    *sqldb.DB
	sql   sqldb.Statements
	steps []sqldb.Migration
}

var _ consent.Store = (*Store)(nil)

// Open brings the schema up to date and returns the store.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	steps, err := sqldb.Migrate(ctx, db, "consent", migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return &Store{db: db, sql: sqldb.MustLoadStatements(statements, "sql", db.Dialect), steps: steps}, nil
}

// Migrations are the schema's steps, and which of them Open applied.
func (s *Store) Migrations() []sqldb.Migration { return s.steps }

// Append implements consent.Store.
func (s *Store) Append(ctx context.Context, after int64, entries []consent.Entry) error {
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		var last int64
		var chain string
		err := tx.QueryRowContext(ctx, s.sql.Get("last_entry")).Scan(&last, &chain)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if after >= 0 && last != after {
			return consent.ErrMoved
		}
		insert, err := tx.PrepareContext(ctx, s.sql.Get("insert_entry"))
		if err != nil {
			return err
		}
		defer func() { _ = insert.Close() }() // it ends with the transaction
		for i := range entries {
			e := &entries[i]
			last++
			e.Number, e.At = last, e.At.UTC().Truncate(time.Microsecond)
			e.Chain = e.Link(chain)
			chain = e.Chain
			if _, err := insert.ExecContext(ctx, e.Number, e.At.UnixMicro(), string(e.Book), e.Kind, e.Ref, e.Person.Source, e.Person.ID,
				micros(e.KeepUntil), string(e.Body), e.Hash, e.Chain); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, consent.ErrMoved) {
		if sqldb.IsDuplicate(err) { // another process took the number in between
			if after >= 0 {
				return consent.ErrMoved
			}
			return s.Append(ctx, after, entries)
		}
		return fmt.Errorf("append to the log of consents: %w", err)
	}
	return err
}

// Last implements consent.Store.
func (s *Store) Last(ctx context.Context) (last int64, err error) {
	var chain string
	err = s.db.QueryRowContext(ctx, s.sql.Get("last_entry")).Scan(&last, &chain)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return last, err
}

// Entries implements consent.Store.
func (s *Store) Entries(ctx context.Context, which consent.Select) iter.Seq2[consent.Entry, error] {
	name, args := "entries", []any{which.After}
	switch {
	case which.Person != (consent.Person{}):
		name, args = "entries_of_person", []any{which.Person.Source, which.Person.ID, which.After}
	case which.Ref != "":
		name, args = "entries_of_ref", []any{which.Ref, which.After}
	case which.Book != "":
		name, args = "entries_of_book", []any{string(which.Book), which.After}
	}
	return func(yield func(consent.Entry, error) bool) {
		// Under a context that can be cancelled the SQLite driver starts a
		// goroutine for every row.
		rows, err := s.db.QueryContext(context.WithoutCancel(ctx), s.sql.Get(name), args...)
		if err != nil {
			yield(consent.Entry{}, fmt.Errorf("read the log of consents: %w", err))
			return
		}
		defer func() { _ = rows.Close() }() // it was only read
		for n := 0; rows.Next(); n++ {
			e, err := scan(rows)
			if err == nil && n%1024 == 0 {
				err = ctx.Err()
			}
			if err != nil {
				yield(consent.Entry{}, fmt.Errorf("read the log of consents: %w", err))
				return
			}
			if which.Book != "" && e.Book != which.Book || which.Ref != "" && e.Ref != which.Ref {
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(consent.Entry{}, fmt.Errorf("read the log of consents: %w", err))
		}
	}
}

func scan(rows *sql.Rows) (e consent.Entry, err error) {
	var at, keep int64
	var body sql.NullString
	err = rows.Scan(&e.Number, &at, &e.Book, &e.Kind, &e.Ref, &e.Person.Source, &e.Person.ID, &keep, &body, &e.Hash, &e.Chain)
	e.At = time.UnixMicro(at).UTC()
	if keep != 0 {
		e.KeepUntil = time.UnixMicro(keep).UTC()
	}
	if body.Valid {
		e.Body = []byte(body.String)
	}
	return e, err
}

// Purge implements consent.Store. The database's own clock has the last word.
func (s *Store) Purge(ctx context.Context, book consent.Book, ended time.Time) (numbers []int64, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) (err error) {
		numbers = nil
		rows, err := tx.QueryContext(ctx, s.sql.Get("purge"), string(book), min(ended.UnixMicro(), time.Now().UnixMicro()))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				return err
			}
			numbers = append(numbers, n)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("purge the log of consents: %w", err)
	}
	slices.Sort(numbers)
	return numbers, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
