// Package sqlstore keeps the importer's memory in SQLite or PostgreSQL. Start
// with [Open].
//
// A commit holds the engine's write lock while the importer writes a segment
// and its run of identities, up to a second for the largest. With SQLite the
// store should therefore have a file of its own, apart from the ledger's.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"meguri/ingest"
	"meguri/ingest/index"
	"meguri/internal/sqldb"
)

//go:embed sql/*.sql
var statements embed.FS

//go:embed migrations
var migrations embed.FS

// Store is an ingest.Store.
type Store struct {
	db    *sqldb.DB
	sql   sqldb.Statements
	steps []sqldb.Migration
}

var _ ingest.Store = (*Store)(nil)

// Open brings the schema up to date and returns the store.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	steps, err := sqldb.Migrate(ctx, db, "ingest", migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return &Store{db: db, sql: sqldb.MustLoadStatements(statements, "sql", db.Dialect), steps: steps}, nil
}

// Migrations are the schema's steps, and which of them Open applied.
func (s *Store) Migrations() []sqldb.Migration { return s.steps }

// Commit enters a batch; see ingest.Store.
func (s *Store) Commit(ctx context.Context, b ingest.Batch) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if b.Seal != nil {
			if err := s.enter(ctx, tx, b); err != nil {
				return err
			}
		}
		if b.Cursor != nil {
			_, err := tx.ExecContext(ctx, s.sql.Get("put_cursor"), b.Source, *b.Cursor)
			return err
		}
		return nil
	})
}

func (s *Store) enter(ctx context.Context, tx *sql.Tx, b ingest.Batch) error {
	if err := s.lock(ctx, tx); err != nil {
		return err
	}
	var number int64
	if err := tx.QueryRowContext(ctx, s.sql.Get("next_segment")).Scan(&number); err != nil {
		return err
	}
	runs, err := s.runs(ctx, tx)
	if err != nil {
		return err
	}
	segment, run, err := b.Seal(number, runs)
	if err != nil || segment.Rows == 0 {
		return err
	}
	if segment.Rows != run.Entries {
		return fmt.Errorf("segment %d has %d rows, but %d identities were entered", number, segment.Rows, run.Entries)
	}
	if err := s.putRun(ctx, tx, run); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, s.sql.Get("insert_segment"), number, segment.Path, segment.ImportID,
		segment.Rows, segment.AmountYen, segment.FirstAt.UnixMicro(), segment.LastAt.UnixMicro(), segment.Bytes,
		orPayment(segment.Dataset))
	return err
}

func (s *Store) putRun(ctx context.Context, tx *sql.Tx, r index.Run) error {
	_, err := tx.ExecContext(ctx, s.sql.Get("insert_run"), r.File, r.Entries, r.Bytes)
	return err
}

// Runs returns the runs of identities that count.
func (s *Store) Runs(ctx context.Context) ([]index.Run, error) { return s.runs(ctx, s.db) }

func (s *Store) runs(ctx context.Context, q querier) ([]index.Run, error) {
	return collect(ctx, q, func(rows *sql.Rows) (r index.Run, err error) {
		err = rows.Scan(&r.File, &r.Entries, &r.Bytes)
		return r, err
	}, s.sql.Get("list_runs"))
}

// SwapRuns registers a run in the place of others; see ingest.Store.
func (s *Store) SwapRuns(ctx context.Context, others []index.Run, seal func() (index.Run, error)) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx); err != nil {
			return err
		}
		runs, err := s.runs(ctx, tx)
		if err != nil {
			return err
		}
		for _, r := range others {
			if !slices.Contains(runs, r) {
				return nil
			}
			if _, err := tx.ExecContext(ctx, s.sql.Get("delete_run"), r.File); err != nil {
				return err
			}
		}
		run, err := seal()
		if err != nil {
			return err
		}
		return s.putRun(ctx, tx, run)
	})
}

// ReplaceSegment registers a segment's new file; see ingest.Store.
func (s *Store) ReplaceSegment(ctx context.Context, old string, v ingest.Segment) (replaced bool, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, s.sql.Get("replace_segment"), v.Path, v.Rows, v.AmountYen, v.FirstAt.UnixMicro(), v.LastAt.UnixMicro(),
			v.Bytes, v.Number, old)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		replaced = n == 1
		return err
	})
	return replaced, err
}

// lock keeps other writers of segments out until the transaction ends.
func (s *Store) lock(ctx context.Context, tx *sql.Tx) error {
	if s.db.Dialect != sqldb.Postgres {
		return nil // every transaction of SQLite begins as the only writer
	}
	_, err := tx.ExecContext(ctx, s.sql.Get("lock_segments"))
	return err
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Sweep calls fn with the names of the registered files.
func (s *Store) Sweep(ctx context.Context, fn func(map[string]bool) error) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx); err != nil {
			return err
		}
		segments, err := s.list(ctx, tx)
		if err != nil {
			return err
		}
		files := make(map[string]bool, len(segments))
		for _, segment := range segments {
			files[segment.Path] = true
		}
		runs, err := s.runs(ctx, tx)
		if err != nil {
			return err
		}
		for _, r := range runs {
			files[r.File] = true
		}
		return fn(files)
	})
}

// Segments returns the registered segments by number.
func (s *Store) Segments(ctx context.Context) ([]ingest.Segment, error) { return s.list(ctx, s.db) }

func (s *Store) list(ctx context.Context, q querier) ([]ingest.Segment, error) {
	return collect(ctx, q, func(rows *sql.Rows) (segment ingest.Segment, err error) {
		var first, last int64
		err = rows.Scan(&segment.Number, &segment.Path, &segment.ImportID, &segment.Rows, &segment.AmountYen, &first, &last, &segment.Bytes,
			&segment.Dataset)
		segment.FirstAt, segment.LastAt = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		return segment, err
	}, s.sql.Get("list_segments"))
}

func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), text string, args ...any) (_ []T, err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// Cursor returns how far a source was read.
func (s *Store) Cursor(ctx context.Context, source string) (string, error) {
	var position string
	err := s.db.QueryRowContext(ctx, s.sql.Get("get_cursor"), source).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return position, err
}

// Sources are those that any person or shop is of.
func (s *Store) Sources(ctx context.Context) ([]string, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (source string, err error) {
		err = rows.Scan(&source)
		return source, err
	}, s.sql.Get("list_sources"))
}

// Links returns all links in order.
func (s *Store) Links(ctx context.Context) ([]ingest.Link, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (l ingest.Link, err error) {
		var at int64
		err = rows.Scan(&l.Number, &l.Source, &l.PersonID, &l.ToSource, &l.ToID, &at, &l.By)
		l.At = time.UnixMicro(at).UTC()
		return l, err
	}, s.sql.Get("list_links"))
}

// PutLinks adds links, all of one hand and moment.
func (s *Store) PutLinks(ctx context.Context, links []ingest.Link) error {
	if len(links) == 0 {
		return nil
	}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx); err != nil {
			return err
		}
		var last int64
		if err := tx.QueryRowContext(ctx, s.sql.Get("last_link")).Scan(&last); err != nil {
			return err
		}
		for i := range links {
			links[i].Number = last + int64(i) + 1
		}
		document, err := json.Marshal(links)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, s.sql.Get("insert_links"), links[0].At.UnixMicro(), links[0].By, string(document))
		return err
	})
}

// Corrections returns all corrections in order.
func (s *Store) Corrections(ctx context.Context) ([]ingest.Correction, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (c ingest.Correction, err error) {
		var at int64
		err = rows.Scan(&c.Number, &c.Source, &c.PersonID, &c.Field, &c.Old, &c.New, &c.Request, &c.Reason, &at, &c.By)
		c.At = time.UnixMicro(at).UTC()
		return c, err
	}, s.sql.Get("list_corrections"))
}

// PutCorrections adds corrections, all of them or none.
func (s *Store) PutCorrections(ctx context.Context, list []ingest.Correction) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx); err != nil {
			return err
		}
		var last int64
		if err := tx.QueryRowContext(ctx, s.sql.Get("last_correction")).Scan(&last); err != nil {
			return err
		}
		for i := range list {
			c := &list[i]
			c.Number = last + int64(i) + 1
			if _, err := tx.ExecContext(ctx, s.sql.Get("insert_correction"), c.Number, c.Source, c.PersonID, c.Field, c.Old, c.New,
				c.Request, c.Reason, c.At.UnixMicro(), c.By); err != nil {
				return err
			}
		}
		return nil
	})
}

// ErasePersons deletes persons, their corrections and links; see ingest.Store.
func (s *Store) ErasePersons(ctx context.Context, persons []ingest.PersonID) error {
	if len(persons) == 0 {
		return nil
	}
	document, err := json.Marshal(persons)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		for _, statement := range []string{"delete_links", "delete_corrections", "delete_persons"} {
			if _, err := tx.ExecContext(ctx, s.sql.Get(statement), string(document)); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutPersons enters or replaces persons.
func (s *Store) PutPersons(ctx context.Context, persons []ingest.Person) (int64, error) {
	return put(ctx, s, "put_persons", persons, func(p ingest.Person) [2]string { return [2]string{p.Source, p.ID} })
}

// PutShops enters or replaces shops.
func (s *Store) PutShops(ctx context.Context, shops []ingest.Shop) (int64, error) {
	return put(ctx, s, "put_shops", shops, func(p ingest.Shop) [2]string { return [2]string{p.Source, p.ID} })
}

// PutSettlements enters or replaces settlements.
func (s *Store) PutSettlements(ctx context.Context, list []ingest.Settlement) (int64, error) {
	return put(ctx, s, "put_settlements", list, ingest.Settlement.Key)
}

// put hands the list over as one value of JSON, the last of each ID only: no
// statement may change a row twice.
func put[T any, K comparable](ctx context.Context, s *Store, statement string, list []T, id func(T) K) (int64, error) {
	if len(list) == 0 {
		return 0, nil
	}
	place := make(map[K]int, len(list))
	var distinct []T
	for _, v := range list {
		if at, ok := place[id(v)]; ok {
			distinct[at] = v
			continue
		}
		place[id(v)] = len(distinct)
		distinct = append(distinct, v)
	}
	document, err := json.Marshal(distinct)
	if err != nil {
		return 0, err
	}
	var changed int64
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.sql.Get(statement), string(document))
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

// Persons returns a source's persons.
func (s *Store) Persons(ctx context.Context, source, after string, limit int) ([]ingest.Person, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (p ingest.Person, err error) {
		err = rows.Scan(&p.Source, &p.ID, &p.Sex, &p.BornOn, &p.Area, &p.ConsentID, &p.Test)
		return p, err
	}, s.sql.Get("list_persons"), source, after, limit)
}

// Shops returns a source's shops.
func (s *Store) Shops(ctx context.Context, source, after string, limit int) ([]ingest.Shop, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (p ingest.Shop, err error) {
		err = rows.Scan(&p.Source, &p.ID, &p.Name, &p.Merchant, &p.Operator, &p.Industry, &p.Area)
		return p, err
	}, s.sql.Get("list_shops"), source, after, limit)
}

// Settlements returns all settlements.
func (s *Store) Settlements(ctx context.Context) ([]ingest.Settlement, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (v ingest.Settlement, err error) {
		err = rows.Scan(&v.Source, &v.ShopID, &v.ServiceID, &v.From, &v.To, &v.AmountYen, &v.FeeYen, &v.NetYen)
		return v, err
	}, s.sql.Get("list_settlements"))
}
