package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/ingest"
	"meguri/ingest/sqlstore"
	"meguri/internal/sqldb"
	"meguri/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

func TestStore_SQLite(t *testing.T) {
	testStore(t, func(t *testing.T) *sqldb.DB { return sqldbtest.SQLite(t) })
}

func TestStore_Postgres(t *testing.T) {
	testStore(t, func(t *testing.T) *sqldb.DB { return sqldbtest.Postgres(t) })
}

// testStore is what every engine must pass; fresh gives an empty database.
func testStore(t *testing.T, fresh func(*testing.T) *sqldb.DB) {
	ctx := context.Background()
	for name, test := range map[string]func(*testing.T, *sqlstore.Store){
		"a batch is entered once":               enteredOnce,
		"a failed batch leaves nothing":         failedBatch,
		"the cursor moves with its batch":       cursorMoves,
		"writers take turns":                    writersTakeTurns,
		"a sweep sees all segments":             sweepSees,
		"persons and shops are replaced":        replaced,
		"an import is registered twice":         importTwice,
		"an importer gives the same everywhere": importer,
	} {
		t.Run(name, func(t *testing.T) {
			store, err := sqlstore.Open(ctx, fresh(t))
			if err != nil {
				t.Fatal(err)
			}
			test(t, store)
		})
	}
	t.Run("every statement can be prepared", func(t *testing.T) {
		db := fresh(t)
		if _, err := sqlstore.Open(ctx, db); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlstore.Open(ctx, db); err != nil {
			t.Errorf("opened again: %v", err)
		}
		statements, err := sqldb.LoadStatements(os.DirFS("."), "sql", db.Dialect)
		if err != nil {
			t.Fatal(err)
		}
		if err := statements.PrepareAll(ctx, db); err != nil {
			t.Error(err)
		}
	})
}

// entries returns n entries in order whose keys span all bits.
func entries(n int, seed uint64) []ingest.Entry {
	rng := rand.New(rand.NewPCG(seed, 0))
	list := make([]ingest.Entry, n)
	for i := range list {
		list[i] = ingest.Entry{Key: ingest.Key{Hi: rng.Uint64(), Lo: rng.Uint64()}, Content: rng.Uint64()}
	}
	sortEntries(list)
	return list
}

func sortEntries(list []ingest.Entry) {
	slices.SortFunc(list, func(a, b ingest.Entry) int {
		if a.Key.Hi < b.Key.Hi || a.Key.Hi == b.Key.Hi && a.Key.Lo < b.Key.Lo {
			return -1
		}
		return 1
	})
}

// seal keeps what it was told and accepts all that was not known.
func seal(all []ingest.Entry, known *[]ingest.Entry) func(int64, []ingest.Entry) (ingest.Segment, error) {
	return func(number int64, k []ingest.Entry) (ingest.Segment, error) {
		*known = k
		at := time.Date(2026, 4, 1, 0, 0, 0, 123_000, time.UTC)
		return ingest.Segment{Number: number, Path: fmt.Sprintf("%06d.arrow", number), ImportID: "i", Rows: int64(len(all) - len(k)),
			AmountYen: 1 << 60, FirstAt: at, LastAt: at.Add(time.Hour), Bytes: 7}, nil
	}
}

func enteredOnce(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	first := entries(3000, 1)
	var known []ingest.Entry
	if err := s.Commit(ctx, ingest.Batch{Entries: first, Seal: seal(first, &known)}); err != nil || len(known) != 0 {
		t.Fatalf("%d known, %v", len(known), err)
	}
	mixed := slices.Concat(first[:1000], entries(500, 2))
	for i := range 10 {
		mixed[i].Content++ // the index's content is returned, not ours
	}
	sortEntries(mixed)
	if err := s.Commit(ctx, ingest.Batch{Entries: mixed, Seal: seal(mixed, &known)}); err != nil || !slices.Equal(known, first[:1000]) {
		t.Fatalf("%d known, %v", len(known), err)
	}
	if err := s.Commit(ctx, ingest.Batch{Entries: mixed, Seal: seal(mixed, &known)}); err != nil || len(known) != 1500 {
		t.Fatalf("%d known, %v", len(known), err)
	}
	segments, err := s.Segments(ctx)
	if err != nil || len(segments) != 2 || segments[0].Rows != 3000 || segments[1].Rows != 500 || segments[1].Number != 2 ||
		segments[0].AmountYen != 1<<60 || !segments[0].FirstAt.Equal(time.Date(2026, 4, 1, 0, 0, 0, 123_000, time.UTC)) {
		t.Errorf("got %+v, %v", segments, err)
	}
	keys := []ingest.Key{{}, first[0].Key, first[7].Key, {Hi: ^uint64(0), Lo: ^uint64(0)}}
	found, err := s.Lookup(ctx, keys)
	if err != nil || !slices.Equal(found, []ingest.Entry{first[0], first[7]}) {
		t.Errorf("got %+v, %v", found, err)
	}
	if found, err = s.Lookup(ctx, nil); err != nil || found != nil {
		t.Errorf("got %+v, %v", found, err)
	}
}

func failedBatch(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	list, cursor, failure := entries(100, 1), "late", errors.New("disk full")
	fail := func(int64, []ingest.Entry) (ingest.Segment, error) { return ingest.Segment{}, failure }
	if err := s.Commit(ctx, ingest.Batch{Entries: list, Seal: fail, Source: "a", Cursor: &cursor}); !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if found, err := s.Lookup(ctx, []ingest.Key{list[0].Key}); err != nil || len(found) != 0 {
		t.Errorf("got %+v, %v", found, err)
	}
	if got, err := s.Cursor(ctx, "a"); err != nil || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
}

func cursorMoves(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	var known []ingest.Entry
	for i, cursor := range []string{"one", "two", ""} {
		list := entries(10, uint64(i))
		if err := s.Commit(ctx, ingest.Batch{Entries: list, Seal: seal(list, &known), Source: "a", Cursor: &cursor}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Cursor(ctx, "a"); err != nil || got != cursor {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if got, err := s.Cursor(ctx, "b"); err != nil || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
}

// writersTakeTurns has writers commit overlapping batches at once: each
// identity is new to exactly one of them, and no number is given twice.
func writersTakeTurns(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	all := entries(800, 5)
	const writers = 4
	type result struct {
		accepted int
		err      error
	}
	results := make(chan result)
	for range writers {
		go func() {
			var r result
			for from := 0; from < len(all) && r.err == nil; from += 200 {
				list := all[from : from+200]
				var known []ingest.Entry
				r.err = s.Commit(ctx, ingest.Batch{Entries: list, Seal: seal(list, &known)})
				r.accepted += len(list) - len(known)
			}
			results <- r
		}()
	}
	accepted := 0
	for range writers {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		accepted += r.accepted
	}
	if accepted != len(all) {
		t.Errorf("%d accepted of %d", accepted, len(all))
	}
}

func sweepSees(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	list := entries(10, 1)
	var known []ingest.Entry
	if err := s.Commit(ctx, ingest.Batch{Entries: list, Seal: seal(list, &known)}); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no")
	err := s.Sweep(ctx, func(files map[string]bool) error {
		if len(files) != 1 || !files["000001.arrow"] {
			t.Errorf("got %v", files)
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func replaced(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	persons := []ingest.Person{
		{Source: "a", ID: "2", Sex: "male", BornOn: "1990-01-02", Area: "東", ConsentID: "c"},
		{Source: "a", ID: "1", Test: true},
		{Source: "a", ID: "2", Sex: "male", BornOn: "1990-01-02", Area: `"西"`, ConsentID: "c"},
		{Source: "b", ID: "1"},
	}
	for round, want := range []int64{3, 0} {
		if changed, err := s.PutPersons(ctx, persons); err != nil || changed != want {
			t.Errorf("round %d: %d changed, %v", round, changed, err)
		}
	}
	persons[1].Test = false
	if changed, err := s.PutPersons(ctx, persons[1:2]); err != nil || changed != 1 {
		t.Errorf("%d changed, %v", changed, err)
	}
	got, err := s.Persons(ctx, "a", "", 10)
	if err != nil || !slices.Equal(got, []ingest.Person{{Source: "a", ID: "1", Sex: "unknown"}, persons[2]}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = s.Persons(ctx, "a", "1", 1); err != nil || len(got) != 1 || got[0].ID != "2" {
		t.Errorf("got %+v, %v", got, err)
	}
	shops := []ingest.Shop{{Source: "a", ID: "1", Name: "店", Merchant: "m", Industry: "cafe", Area: "x"}}
	for round, want := range []int64{1, 0} {
		if changed, err := s.PutShops(ctx, shops); err != nil || changed != want {
			t.Errorf("round %d: %d changed, %v", round, changed, err)
		}
	}
	if list, err := s.Shops(ctx, "a", "", 5); err != nil || !slices.Equal(list, shops) {
		t.Errorf("got %+v, %v", list, err)
	}
	if changed, err := s.PutShops(ctx, nil); err != nil || changed != 0 {
		t.Errorf("%d changed, %v", changed, err)
	}
}

func importTwice(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	i := ingest.ImportRecord{ID: "i", Source: "a", File: "f.csv", StartedAt: time.Unix(1, 0)}
	if err := s.PutImport(ctx, i); err != nil {
		t.Fatal(err)
	}
	i.FinishedAt, i.Summary = time.Unix(2, 0), ingest.Summary{Read: 3, Accepted: 1, Duplicate: 1, Quarantined: 1}
	if err := s.PutImport(ctx, i); err != nil {
		t.Fatal(err)
	}
}

func importer(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	dir := t.TempDir()
	im, err := ingest.Open(ctx, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "testdata", "mitaka.csv")
	for round, accepted := range []int64{9, 0} {
		got, err := im.Import(ctx, path, ingest.Options{Format: ingest.MitakaTransactions})
		if err != nil || got.Read != 15 || got.Accepted != accepted || got.Quarantined != 5 {
			t.Errorf("round %d: got %+v, %v", round, got, err)
		}
	}
	segments, err := im.Segments(ctx)
	if err != nil || len(segments) == 0 || !strings.HasPrefix(segments[0].Path, dir) {
		t.Fatalf("got %+v, %v", segments, err)
	}
}
