package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"meguri/ingest/consent"
	"meguri/ingest/consent/sqlstore"
	"meguri/internal/sqldb"
	"meguri/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

func TestLog_SQLite(t *testing.T)   { testLog(t, sqldbtest.SQLite(t)) }
func TestLog_Postgres(t *testing.T) { testLog(t, sqldbtest.Postgres(t)) }

func entry(t *testing.T, book consent.Book, ref, person string, at, keep time.Time) consent.Entry {
	t.Helper()
	p := consent.Person{}
	if person != "" {
		p = consent.Person{Source: "meguri", ID: person}
	}
	e, err := consent.NewEntry(book, "test", ref, p, map[string]string{"says": ref})
	if err != nil {
		t.Fatal(err)
	}
	e.At, e.KeepUntil = at, keep
	return e
}

func read(t *testing.T, s *sqlstore.Store, which consent.Select) (all []consent.Entry) {
	t.Helper()
	for e, err := range s.Entries(context.Background(), which) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// The log keeps what it was given, in one chain, whoever writes; nothing can be
// changed, and only what is past its time can be emptied.
func testLog(t *testing.T, db *sqldb.DB) {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	if last, err := s.Last(ctx); err != nil || last != 0 {
		t.Fatalf("an empty log ends at %d, %v", last, err)
	}
	old := now.AddDate(-4, 0, 0)
	first := []consent.Entry{
		entry(t, consent.Provisions, "over", "a", old, old.AddDate(3, 0, 0)),
		entry(t, consent.Provisions, "young", "a", now.AddDate(-2, 0, 0), now.AddDate(1, 0, 0)),
		entry(t, consent.Consents, "kept", "b", old, time.Time{}),
	}
	if err := s.Append(ctx, 0, first); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, 2, first[:1]); !errors.Is(err, consent.ErrMoved) {
		t.Errorf("after another entry: got %v, want ErrMoved", err)
	}
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			batch := []consent.Entry{entry(t, consent.Consents, fmt.Sprint("x", n), "c", now, time.Time{}), entry(t, consent.Rights, fmt.Sprint("y", n), "", now, time.Time{})}
			if err := s.Append(ctx, -1, batch); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, err := consent.Verify(ctx, s); err != nil || n != 27 {
		t.Fatalf("the chain has %d entries, %v, want 27", n, err)
	}
	for _, c := range []struct {
		which consent.Select
		want  int
	}{
		{consent.Select{}, 27},
		{consent.Select{After: 25}, 2},
		{consent.Select{Book: consent.Provisions}, 2},
		{consent.Select{Book: consent.Consents, After: 3}, 12},
		{consent.Select{Person: consent.Person{Source: "meguri", ID: "a"}}, 2},
		{consent.Select{Person: consent.Person{Source: "meguri", ID: "a"}, Book: consent.Consents}, 0},
		{consent.Select{Person: consent.Person{Source: "other", ID: "a"}}, 0},
		{consent.Select{Ref: "kept"}, 1},
		{consent.Select{Ref: "kept", Book: consent.Rights}, 0},
	} {
		if got := read(t, s, c.which); len(got) != c.want {
			t.Errorf("%+v: got %d entries, want %d", c.which, len(got), c.want)
		}
	}
	kept := read(t, s, consent.Select{Ref: "kept"})[0]
	var says map[string]string
	if err := kept.Read(&says); err != nil || says["says"] != "kept" || kept.Person.ID != "b" || !kept.At.Equal(old) || !kept.KeepUntil.IsZero() {
		t.Errorf("got %+v, %v", kept, err)
	}

	// IC-9: records cannot be purged before their three years are over.
	for _, text := range []string{
		"UPDATE consent_log SET body = 'other' WHERE number = 3", "UPDATE consent_log SET body = NULL, ref = '', source = '', person = ''",
		"UPDATE consent_log SET body = NULL, ref = '', source = '', person = '', hash = '' WHERE number = 1",
		"UPDATE consent_log SET body = NULL, ref = '', source = '', person = '', keep_until = 1 WHERE number = 3",
		"DELETE FROM consent_log WHERE number = 1",
	} {
		if _, err := db.ExecContext(ctx, text); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if db.Dialect == sqldb.Postgres {
		if _, err := db.ExecContext(ctx, "TRUNCATE consent_log"); err == nil {
			t.Error("the log was truncated")
		}
	}
	gone, err := s.Purge(ctx, consent.Provisions, now)
	if err != nil || fmt.Sprint(gone) != "[1]" {
		t.Errorf("purged %v, %v, want [1]", gone, err)
	}
	if again, err := s.Purge(ctx, consent.Provisions, now); err != nil || len(again) != 0 {
		t.Errorf("purged %v again, %v", again, err)
	}
	purged := read(t, s, consent.Select{})[0]
	if err := purged.Read(&says); !purged.Purged() || purged.Person.ID != "" || !errors.Is(err, consent.ErrPurged) {
		t.Errorf("got %+v, %v", purged, err)
	}
	if n, err := consent.Verify(ctx, s); err != nil || n != 27 {
		t.Errorf("after the purge the chain has %d entries, %v", n, err)
	}

	// A change by hand, past the triggers, is found.
	drop := "DROP TRIGGER consent_log_is_only_emptied"
	if db.Dialect == sqldb.Postgres {
		drop += " ON consent_log"
	}
	for _, text := range []string{drop, "UPDATE consent_log SET person = 'z' WHERE number = 3"} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := consent.Verify(ctx, s); !errors.Is(err, consent.ErrChain) {
		t.Errorf("got %v, want ErrChain", err)
	}
}
