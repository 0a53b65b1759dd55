package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meguri/ingest"
	"meguri/ingest/index"
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
		"a batch is registered":                 registered,
		"runs are swapped at once":              swapped,
		"a failed batch leaves nothing":         failedBatch,
		"the cursor moves with its batch":       cursorMoves,
		"writers take turns":                    writersTakeTurns,
		"a sweep sees all segments":             sweepSees,
		"persons and shops are replaced":        replaced,
		"settlements are replaced":              settlements,
		"a segment's file is replaced":          segmentReplaced,
		"persons are erased with their links":   personsErased,
		"an import is registered twice":         importTwice,
		"quarantine files are settled once":     settledOnce,
		"checkpoints come and go":               checkpoints,
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

// seal enters so many records.
func seal(rows int64) func(int64, []index.Run) (ingest.Segment, index.Run, error) {
	return func(number int64, _ []index.Run) (ingest.Segment, index.Run, error) {
		at := time.Date(2026, 4, 1, 0, 0, 0, 123_000, time.UTC)
		return ingest.Segment{Number: number, Path: fmt.Sprintf("%06d.arrow", number), ImportID: "i", Rows: rows,
				AmountYen: 1 << 60, FirstAt: at, LastAt: at.Add(time.Hour), Bytes: 7},
			index.Run{File: fmt.Sprintf("%06d.keys", number), Entries: rows, Bytes: 9}, nil
	}
}

func registered(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	for _, rows := range []int64{3000, 0, 500} { // what has no rows leaves nothing
		if err := s.Commit(ctx, ingest.Batch{Seal: seal(rows)}); err != nil {
			t.Fatal(err)
		}
	}
	segments, err := s.Segments(ctx)
	if err != nil || len(segments) != 2 || segments[0].Rows != 3000 || segments[1].Rows != 500 || segments[1].Number != 2 ||
		segments[0].AmountYen != 1<<60 || !segments[0].FirstAt.Equal(time.Date(2026, 4, 1, 0, 0, 0, 123_000, time.UTC)) {
		t.Errorf("got %+v, %v", segments, err)
	}
	if runs, err := s.Runs(ctx); err != nil || !slices.Equal(runs, []index.Run{
		{File: "000001.keys", Entries: 3000, Bytes: 9}, {File: "000002.keys", Entries: 500, Bytes: 9}}) {
		t.Errorf("got %+v, %v", runs, err)
	}
	wrong := func(number int64, runs []index.Run) (ingest.Segment, index.Run, error) {
		if len(runs) != 2 {
			t.Errorf("got %+v", runs)
		}
		segment, run, err := seal(10)(number, runs)
		run.Entries--
		return segment, run, err
	}
	if err := s.Commit(ctx, ingest.Batch{Seal: wrong}); err == nil {
		t.Error("a segment with another number of rows than identities was registered")
	}
}

// segmentReplaced: a file takes another's place once, also with no row left, and
// its number is not given away.
func segmentReplaced(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	for range 2 {
		if err := s.Commit(ctx, ingest.Batch{Seal: seal(10)}); err != nil {
			t.Fatal(err)
		}
	}
	epoch := time.UnixMicro(0).UTC()
	empty := ingest.Segment{Number: 2, Path: "000002-2.arrow", FirstAt: epoch, LastAt: epoch, Bytes: 3}
	for round, want := range []bool{true, false} {
		if done, err := s.ReplaceSegment(ctx, "000002.arrow", empty); err != nil || done != want {
			t.Errorf("round %d: %v, %v", round, done, err)
		}
	}
	empty.ImportID, empty.Dataset = "i", ingest.PaymentDataset
	segments, err := s.Segments(ctx)
	if err != nil || len(segments) != 2 || segments[0].Rows != 10 || segments[1] != empty {
		t.Errorf("got %+v, %v", segments, err)
	}
	if err := s.Commit(ctx, ingest.Batch{Seal: seal(10)}); err != nil {
		t.Fatal(err)
	}
	if segments, err = s.Segments(ctx); err != nil || len(segments) != 3 || segments[2].Number != 3 {
		t.Errorf("got %+v, %v", segments, err)
	}
	if runs, err := s.Runs(ctx); err != nil || len(runs) != 3 {
		t.Errorf("identities must stay: %+v, %v", runs, err)
	}
}

func personsErased(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	people := []ingest.Person{{Source: "a", ID: "1", Sex: "unknown"}, {Source: "a", ID: "2", Sex: "unknown"}, {Source: "b", ID: "1", Sex: "unknown"}}
	if _, err := s.PutPersons(ctx, people); err != nil {
		t.Fatal(err)
	}
	links := []ingest.Link{{Source: "b", PersonID: "1", ToSource: "a", ToID: "2", By: "x"}, {Source: "b", PersonID: "9", ToSource: "a", ToID: "1", By: "x"},
		{Source: "a", PersonID: "1", By: "x"}, {Source: "c", PersonID: "1", ToSource: "b", ToID: "2", By: "x"}}
	if err := s.PutLinks(ctx, links); err != nil {
		t.Fatal(err)
	}
	at := time.UnixMicro(1234567).UTC()
	corrections := []ingest.Correction{
		{Source: "a", PersonID: "1", Field: "sex", Old: "male", New: "female", Request: "r", Reason: "本人", At: at, By: "x"},
		{Source: "a", PersonID: "2", Field: "area", New: "1", At: at, By: "x"},
		{Source: "c", PersonID: "1", Field: "link", Old: "a\x1f1", New: "a\x1f2", At: at, By: "x"},
		{Source: "c", PersonID: "2", Field: "link", New: "a\x1f1", At: at, By: "x"},
	}
	if err := s.PutCorrections(ctx, corrections); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Corrections(ctx); err != nil || !slices.Equal(got, corrections) || got[3].Number != 4 {
		t.Errorf("got %+v, %v", got, err)
	}
	for range 2 {
		if err := s.ErasePersons(ctx, []ingest.PersonID{{Source: "a", ID: "1"}, {Source: "z", ID: "1"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ErasePersons(ctx, nil); err != nil {
		t.Error(err)
	}
	left, err := s.Persons(ctx, "a", "", 10)
	if err != nil || len(left) != 1 || left[0].ID != "2" {
		t.Errorf("got %+v, %v", left, err)
	}
	if left, err = s.Persons(ctx, "b", "", 10); err != nil || len(left) != 1 {
		t.Errorf("got %+v, %v", left, err)
	}
	if left, err := s.Corrections(ctx); err != nil || len(left) != 1 || left[0] != corrections[1] {
		t.Errorf("got %+v, %v", left, err)
	}
	rest, err := s.Links(ctx)
	if err != nil || len(rest) != 2 || rest[0].Number != 1 || rest[1].Number != 4 {
		t.Errorf("got %+v, %v", rest, err)
	}
}

func swapped(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	for range 3 {
		if err := s.Commit(ctx, ingest.Batch{Seal: seal(10)}); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := s.Runs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	merged := index.Run{File: "m.keys", Entries: 20, Bytes: 1}
	for round := range 2 { // the second time the others are gone
		calls := 0
		err := s.SwapRuns(ctx, runs[:2], func() (index.Run, error) { calls++; return merged, nil })
		if err != nil || calls != 1-round {
			t.Errorf("round %d: %d calls, %v", round, calls, err)
		}
		if got, err := s.Runs(ctx); err != nil || !slices.Equal(got, []index.Run{runs[2], merged}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	failure := errors.New("no")
	if err := s.SwapRuns(ctx, runs[2:], func() (index.Run, error) { return merged, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if got, err := s.Runs(ctx); err != nil || len(got) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func failedBatch(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	cursor, failure := "late", errors.New("disk full")
	fail := func(int64, []index.Run) (ingest.Segment, index.Run, error) {
		return ingest.Segment{}, index.Run{}, failure
	}
	if err := s.Commit(ctx, ingest.Batch{Seal: fail, Source: "a", Cursor: &cursor}); !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if got, err := s.Cursor(ctx, "a"); err != nil || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
}

func cursorMoves(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	for _, cursor := range []string{"one", "two", ""} {
		if err := s.Commit(ctx, ingest.Batch{Seal: seal(10), Source: "a", Cursor: &cursor}); err != nil {
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

// writersTakeTurns has writers commit at once: each is told of all runs that
// were committed before, and no number is given twice.
func writersTakeTurns(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	const writers, commits = 4, 5
	results := make(chan error)
	for range writers {
		go func() {
			var err error
			for range commits {
				err = errors.Join(err, s.Commit(ctx, ingest.Batch{Seal: func(number int64, runs []index.Run) (ingest.Segment, index.Run, error) {
					if int64(len(runs)) != number-1 {
						return ingest.Segment{}, index.Run{}, fmt.Errorf("segment %d was told of %d runs", number, len(runs))
					}
					return seal(10)(number, runs)
				}}))
			}
			results <- err
		}()
	}
	for range writers {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if runs, err := s.Runs(ctx); err != nil || len(runs) != writers*commits {
		t.Errorf("%d runs, %v", len(runs), err)
	}
}

func sweepSees(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	if err := s.Commit(ctx, ingest.Batch{Seal: seal(10)}); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no")
	err := s.Sweep(ctx, func(files map[string]bool) error {
		if len(files) != 2 || !files["000001.arrow"] || !files["000001.keys"] {
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
	shops := []ingest.Shop{{Source: "a", ID: "1", Name: "店", Merchant: "m", Operator: "7000012050002", Industry: "cafe", Area: "x"}}
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

// MT-5: what a provider pays is kept once for each shop, service and period.
func settlements(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	list := []ingest.Settlement{
		{Source: "b", ShopID: "1", From: "2024-06-01", To: "2024-06-07", AmountYen: 1 << 60, FeeYen: 1, NetYen: 1<<60 - 1},
		{Source: "a", ShopID: "1", From: "2024-06-01", To: "2024-06-07", AmountYen: 5, FeeYen: 9, NetYen: -4},
		{Source: "a", ShopID: "1", ServiceID: "v", From: "2024-06-01", To: "2024-06-07"},
		{Source: "a", ShopID: "1", From: "2024-06-01", To: "2024-06-07", AmountYen: 6, FeeYen: 9, NetYen: -3},
	}
	for round, want := range []int64{3, 0} {
		if changed, err := s.PutSettlements(ctx, list); err != nil || changed != want {
			t.Errorf("round %d: %d changed, %v", round, changed, err)
		}
	}
	want := []ingest.Settlement{list[3], list[2], list[0]}
	if got, err := s.Settlements(ctx); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func importTwice(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	yen := int64(-5)
	i := ingest.ImportRecord{ID: "i", Source: "a", Dataset: "ride", File: "f.csv", StartedAt: time.Unix(1, 0).UTC()}
	i.Summary.Days = []ingest.DayTotal{{Day: "2026-01-01", Kind: "ride", Rows: 9}}
	if err := s.PutImport(ctx, i); err != nil {
		t.Fatal(err)
	}
	i.FinishedAt, i.Continues = time.Unix(2, 0).UTC(), "h"
	i.Summary = ingest.Summary{ImportID: "i", Source: "a", Dataset: "ride", Read: 3, Accepted: 1, Duplicate: 1, Quarantined: 1, Ahead: time.Minute}
	later := i
	later.Summary.Days = []ingest.DayTotal{{Day: "2026-01-01", Kind: "ride", Rows: 1 << 40, AmountYen: -1 << 50}, {Day: "2026-01-02", Kind: "ride", Rows: 1}}
	later.Summary.Totals = []ingest.TotalCheck{{RowsTold: 1, RowsRead: 2}, {Day: "2026-01-01", Kind: "ride", RowsTold: 1, RowsRead: 1, YenTold: &yen, YenRead: &yen}}
	if err := s.PutImport(ctx, later); err != nil {
		t.Fatal(err)
	}
	list, err := s.Imports(ctx, 5)
	if diff := cmp.Diff([]ingest.ImportRecord{i}, list); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
	days, err := s.Days(ctx, "i")
	if diff := cmp.Diff(later.Summary.Days, days); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
	totals, err := s.Totals(ctx, "i")
	if diff := cmp.Diff(later.Summary.Totals, totals); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
}

func settledOnce(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	q := ingest.Quarantine{ImportID: "q", Source: "a", Dataset: "ride", File: "f.csv", OpenedAt: time.Unix(1, 0).UTC(),
		State: ingest.QuarantineOpen, Layout: "{}"}
	for rows := range int64(3) {
		q.Rows = rows
		if err := s.PutQuarantine(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Quarantines(ctx)
	if diff := cmp.Diff([]ingest.Quarantine{q}, list); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
	q.State, q.ChangedAt, q.ChangedBy = ingest.QuarantineDiscarded, time.Unix(2, 0).UTC(), "x"
	if _, err := s.SettleQuarantine(ctx, q); err == nil {
		t.Error("discarded without a reason")
	}
	q.Reason = "r"
	for _, want := range []bool{true, false} {
		if got, err := s.SettleQuarantine(ctx, q); err != nil || got != want {
			t.Errorf("got %v, %v", got, err)
		}
	}
	list, err = s.Quarantines(ctx)
	if diff := cmp.Diff([]ingest.Quarantine{q}, list); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
}

func checkpoints(t *testing.T, s *sqlstore.Store) {
	ctx := context.Background()
	c := ingest.Checkpoint{Source: "a", File: "f", ImportID: "i", Layout: "{}", Offset: 1 << 40, Hash: 1<<64 - 1, Line: 2, Rows: 3}
	for _, pending := range [][]int64{{1}, {5, 7}} {
		c.Pending, c.Days = pending, []ingest.DayTotal{{Day: "2026-01-01", Kind: "pay", Rows: 1, AmountYen: 2}}
		if err := s.PutCheckpoint(ctx, c); err != nil {
			t.Fatal(err)
		}
		got, err := s.Checkpoint(ctx, "a", "f")
		if diff := cmp.Diff(&c, got); diff != "" || err != nil {
			t.Errorf("%s, %v", diff, err)
		}
	}
	if err := s.DropCheckpoint(ctx, "a", "f"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Checkpoint(ctx, "a", "f"); err != nil || got != nil {
		t.Errorf("got %+v, %v", got, err)
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
