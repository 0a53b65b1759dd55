package sqlstore_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"meguri/analytics/recipient"
	"meguri/analytics/recipient/sqlstore"
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
	for name, test := range map[string]func(*testing.T, *sqlstore.Store, *sqldb.DB){
		"contracts are kept, and ended once":     contractsAreKept,
		"a client has one contract at a time":    oneAtATime,
		"the desk finds the contract in force":   inForce,
		"tables and downloads are counted":       counted,
		"takers at once do not exceed the quota": atOnce,
		"the log is only added to":               appendOnly,
		"shops belong to their clients":          shops,
	} {
		t.Run(name, func(t *testing.T) {
			db := fresh(t)
			store, err := sqlstore.Open(ctx, db)
			if err != nil {
				t.Fatal(err)
			}
			test(t, store, db)
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

var noon = time.Date(2026, 7, 15, 3, 0, 0, 0, time.UTC) // in Tokyo

func contract(id, client, from, until string) recipient.Contract {
	return recipient.Contract{
		ID: id, Reader: "reader", Client: client, Organisation: "めぐり大学", Purposes: []recipient.Purpose{{ID: "research", Text: "地域経済の研究"}},
		Metrics: []string{"M01a"}, Cuts: [][]string{{}, {"industry", "shop_area"}}, Windows: []recipient.Kind{recipient.Month},
		From: from, Until: until, Quota: recipient.Quota{TablesADay: 2, DownloadsAMonth: 4}, CreatedAt: noon,
	}
}

func contractsAreKept(t *testing.T, s *sqlstore.Store, _ *sqldb.DB) {
	ctx := t.Context()
	c := contract("a", "univ", "2026-07-01", "2026-07-31")
	if err := s.PutContract(ctx, c); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Contract(ctx, "a"); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.Contract(ctx, "b"); !errors.Is(err, recipient.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.End(ctx, "b", noon); !errors.Is(err, recipient.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for _, at := range []time.Time{noon, noon.Add(time.Hour)} {
		if err := s.End(ctx, "a", at); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Contract(ctx, "a"); err != nil || !got.EndedAt.Equal(noon) {
		t.Errorf("ended %v, %v", got.EndedAt, err)
	}
}

func oneAtATime(t *testing.T, s *sqlstore.Store, _ *sqldb.DB) {
	ctx := t.Context()
	for _, step := range []struct {
		c  recipient.Contract
		ok bool
	}{
		{contract("a", "univ", "2026-07-01", "2026-07-31"), true},
		{contract("a", "other", "2026-07-01", "2026-07-31"), false},
		{contract("b", "univ", "2026-07-31", "2026-08-31"), false},
		{contract("c", "univ", "2026-01-01", "2026-07-01"), false},
		{contract("d", "univ", "2026-08-01", "2026-08-31"), true},
		{contract("e", "univ", "2026-01-01", "2026-06-30"), true},
		{contract("f", "lab", "2026-07-01", "2026-07-31"), true},
	} {
		if err := s.PutContract(ctx, step.c); (err == nil) != step.ok || err != nil && !errors.Is(err, recipient.ErrConflict) {
			t.Errorf("%s: %v", step.c.ID, err)
		}
	}
	// After one was ended there is room for another.
	if err := s.End(ctx, "a", noon); err != nil {
		t.Fatal(err)
	}
	if err := s.PutContract(ctx, contract("g", "univ", "2026-07-16", "2026-07-31")); err != nil {
		t.Error(err)
	}
	if all, err := s.Contracts(ctx, ""); err != nil || len(all) != 5 || all[0].ID != "e" {
		t.Errorf("%d contracts, %v", len(all), err)
	}
}

func inForce(t *testing.T, s *sqlstore.Store, _ *sqldb.DB) {
	ctx := t.Context()
	now := noon
	desk := &recipient.Desk{Store: s, Now: func() time.Time { return now }}
	if _, ok, err := desk.ContractOf(ctx, "univ"); ok || err != nil {
		t.Errorf("without a contract: %v, %v", ok, err)
	}
	for _, c := range []recipient.Contract{contract("a", "univ", "2026-07-10", "2026-07-20"), contract("b", "univ", "2026-07-25", "2026-07-31")} {
		if err := s.PutContract(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		days int
		id   string
		err  error
	}{{-10, "a", recipient.ErrNotBegun}, {0, "a", nil}, {7, "b", recipient.ErrNotBegun}, {10, "b", nil}, {30, "b", recipient.ErrEnded}} {
		now = noon.AddDate(0, 0, step.days)
		if c, ok, err := desk.ContractOf(ctx, "univ"); !ok || c.ID != step.id || !errors.Is(err, step.err) {
			t.Errorf("day %d: %s, %v", step.days, c.ID, err)
		}
	}
}

func counted(t *testing.T, s *sqlstore.Store, _ *sqldb.DB) {
	ctx := t.Context()
	now := noon
	desk := &recipient.Desk{Store: s, Now: func() time.Time { return now }}
	c := contract("a", "univ", "2026-07-01", "2026-08-31")
	take := func(metric, format string) error {
		e := recipient.Entry{Client: "univ", Metric: metric, Format: format, From: "2026-06-01", To: "2026-06-30", Bytes: 7}
		room := desk.Room(ctx, c, e.Table())
		err := desk.Give(ctx, c, e)
		if (room == nil) != (err == nil) {
			t.Errorf("room %v, given %v", room, err)
		}
		return err
	}
	for i, step := range []struct {
		metric string
		hours  int
		what   string
		again  string
	}{
		{"M01a", 0, "", ""}, {"M01b", 0, "", ""},
		{"M01a", 0, "", ""}, // once more
		{"M02", 0, "tables", "2026-07-16T00:00:00+09:00"},
		{"M02", 12, "", ""}, // midnight in Tokyo
		{"M02", 12, "downloads", "2026-08-01T00:00:00+09:00"},
		{"M02", 24 * 17, "", ""}, // August
	} {
		now = noon.Add(time.Duration(step.hours) * time.Hour)
		err := take(step.metric, "json")
		var used *recipient.UsedUp
		if !errors.As(err, &used) {
			if step.what != "" || err != nil {
				t.Errorf("step %d: %v", i, err)
			}
			continue
		}
		if used.What != step.what || used.Again.Format(time.RFC3339) != step.again || !errors.Is(err, recipient.ErrUsedUp) {
			t.Errorf("step %d: %s, %s", i, used.What, used.Again)
		}
	}
	// What is refused, and what others take, does not count.
	if err := desk.Note(ctx, recipient.Entry{Contract: "a", Metric: "M03", Outcome: "not-in-contract"}); err != nil {
		t.Fatal(err)
	}
	if tables, downloads, err := desk.Left(ctx, c); err != nil || tables != 1 || downloads != 3 {
		t.Errorf("left %d, %d, %v", tables, downloads, err)
	}
}

func atOnce(t *testing.T, s *sqlstore.Store, _ *sqldb.DB) {
	desk := &recipient.Desk{Store: s, Now: func() time.Time { return noon }}
	c := contract("a", "univ", "2026-07-01", "2026-07-31")
	var given, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := desk.Give(t.Context(), c, recipient.Entry{Metric: "M01a"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				given++
			case errors.Is(err, recipient.ErrUsedUp):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if given != 4 || refused != 4 {
		t.Errorf("%d given, %d refused", given, refused)
	}
}

func appendOnly(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
	ctx := t.Context()
	e := recipient.Entry{At: noon, Contract: "a", Client: "univ", Purpose: "research", Operation: "getTable", Metric: "M01a", Cut: "industry",
		From: "2026-06-01", To: "2026-06-30", Format: "csv", Release: "abc", Bytes: 1 << 40, Outcome: recipient.Given}
	for range 3 {
		if err := s.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	log, err := s.Log(ctx, "a", 1, 10)
	if err != nil || len(log) != 2 {
		t.Fatalf("log %+v, %v", log, err)
	}
	e.Number = 3
	if log[1] != e {
		t.Errorf("got %+v", log[1])
	}
	if log, err := s.Log(ctx, "b", 0, 10); err != nil || len(log) != 0 {
		t.Errorf("log %+v, %v", log, err)
	}
	for _, text := range []string{"UPDATE recipient_log SET outcome = 'refused'", "DELETE FROM recipient_log"} {
		if _, err := db.ExecContext(ctx, text); err == nil {
			t.Errorf("%s went through", text)
		}
	}
}

func shops(t *testing.T, s *sqlstore.Store, _ *sqldb.DB) {
	ctx := t.Context()
	for range 2 {
		if err := s.PutShop(ctx, "till", "s-1"); err != nil {
			t.Fatal(err)
		}
	}
	for shop, want := range map[string]bool{"s-1": true, "s-2": false, "": false} {
		if has, err := s.HasShop(ctx, "till", shop); err != nil || has != want {
			t.Errorf("%q: %v, %v", shop, has, err)
		}
	}
	if has, err := s.HasShop(ctx, "other", "s-1"); err != nil || has {
		t.Errorf("another client: %v, %v", has, err)
	}
}
