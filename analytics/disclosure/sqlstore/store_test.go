package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"meguri/analytics/disclosure"
	"meguri/analytics/disclosure/sqlstore"
	"meguri/internal/sqldb"
	"meguri/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

func TestRegister_SQLite(t *testing.T)   { testRegister(t, sqldbtest.SQLite(t)) }
func TestRegister_Postgres(t *testing.T) { testRegister(t, sqldbtest.Postgres(t)) }

func record(n int) disclosure.Record {
	r := disclosure.Record{
		At: time.Date(2026, 11, 1, 0, 0, n, 0, time.UTC), Audience: disclosure.Public, Rules: "public 1", Metric: "M01a",
		From: "2026-04-01", To: "2026-04-30", Cut: "industry", Snapshot: 3, Cells: n, Hidden: 1, Frozen: n%2 == 0, Body: fmt.Appendf(nil, `{"n":%d}`, n),
	}
	r.Hash = disclosure.HashOf(r.Body)
	return r
}

// Entries come back whole and in order; a changed one is noticed; none can be
// changed or deleted.
func testRegister(t *testing.T, db *sqldb.DB) {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			after := int64(0)
			for {
				_, err := s.Append(ctx, record(n), after)
				if !errors.Is(err, disclosure.ErrMoved) {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if after, err = s.All(ctx, func(disclosure.Record) error { return nil }); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	next := int64(0)
	if last, err := s.All(ctx, func(r disclosure.Record) error {
		if next++; r.Number != next {
			t.Errorf("entry %d is number %d", next, r.Number)
		}
		want := record(r.Cells)
		want.Number = r.Number
		if fmt.Sprint(want) != fmt.Sprint(r) {
			t.Errorf("got %v, want %v", r, want)
		}
		seen[r.Cells] = true
		return nil
	}); err != nil || len(seen) != 20 || last != 20 {
		t.Errorf("%d entries, the last is %d, %v", len(seen), last, err)
	}
	if _, err := s.Append(ctx, record(20), 7); !errors.Is(err, disclosure.ErrMoved) {
		t.Errorf("after an entry that is not the last: got %v, want ErrMoved", err)
	}
	if n, err := s.Append(ctx, record(20), disclosure.Any); err != nil || n != 21 {
		t.Errorf("after any: number %d, %v", n, err)
	}
	for _, text := range []string{"UPDATE releases SET hidden_count = 0", "DELETE FROM releases"} {
		if _, err := db.ExecContext(ctx, text); err == nil {
			t.Errorf("%s was done", text)
		}
	}
	drop := "DROP TRIGGER releases_are_not_changed"
	if db.Dialect == sqldb.Postgres {
		drop += " ON releases"
	}
	for _, text := range []string{drop, "UPDATE releases SET metric = 'M02' WHERE number = 7"} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.All(ctx, func(disclosure.Record) error { return nil }); !errors.Is(err, sqlstore.ErrChain) {
		t.Errorf("got %v, want ErrChain", err)
	}
}
