package sqlstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"meguri/analytics/disclosure/budget"
	"meguri/analytics/disclosure/sqlstore"
	"meguri/internal/sqldb"
	"meguri/internal/sqldb/sqldbtest"
)

// Two processes have a pool each, on one database.
func TestBudget_SQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "releases.sqlite")
	open := func() *sqldb.DB {
		db, err := sqldb.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() }) // nothing to lose
		return db
	}
	testBudget(t, open(), open())
}

func TestBudget_Postgres(t *testing.T) {
	db := sqldbtest.Postgres(t)
	testBudget(t, db, db)
}

func deskOver(store budget.Store, limit string) *budget.Desk {
	value, _ := new(big.Rat).SetString(limit)
	return &budget.Desk{
		Accounts: &budget.Accounts{Store: store, Now: time.Now, Find: func(_ context.Context, r string) (budget.Account, error) {
			return budget.Account{Recipient: r, Kind: budget.Pure, Limit: budget.Cost{Value: value}}, nil
		}},
		Source: func(context.Context, budget.Query) ([]budget.Contribution, error) {
			return []budget.Contribution{{Person: "p", Cell: "a", Yen: 1}}, nil
		},
		Random: rand.Reader,
	}
}

func question(n int) budget.Query {
	return budget.Query{Snapshot: fmt.Sprint("window ", n), Measure: budget.Persons, By: []string{"age_band"}, Cells: [][]string{{"a"}, {"b"}}}
}

var tenth = budget.Mechanism{Kind: budget.Pure, Cost: budget.Cost{Value: big.NewRat(1, 10)}, Bounds: budget.Bounds{Cells: 1}}

// IC-8: what an account holds is spent once, whoever spends at the same time; the
// same question by two at once has one answer; what was told is there again after
// a restart; and the account cannot be changed.
func testBudget(t *testing.T, one, two *sqldb.DB) {
	ctx := context.Background()
	var stores []*sqlstore.Budget
	for _, db := range []*sqldb.DB{one, two} {
		s, err := sqlstore.OpenBudget(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, s)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	told, refused := map[int][]budget.Answer{}, 0
	for _, s := range stores {
		desk := deskOver(s, "1")
		for n := range 15 {
			wg.Go(func() {
				a, _, err := desk.Answer(ctx, "univ", question(n), tenth)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, budget.ErrUsedUp):
					refused++
				case err != nil:
					t.Error(err)
				default:
					told[n] = append(told[n], a)
				}
			})
		}
	}
	wg.Wait()
	entries, err := stores[0].Entries(ctx, "univ")
	if err != nil || len(entries) != 10 || len(told) != 10 || refused != 10 {
		t.Errorf("%d entries, %d questions answered, %d refused, %v; want 10, 10 and 10", len(entries), len(told), refused, err)
	}
	for n, answers := range told {
		if len(answers) != 2 || !reflect.DeepEqual(answers[0], answers[1]) {
			t.Errorf("question %d has the answers %+v", n, answers)
		}
		again, repeated, err := deskOver(stores[1], "1").Answer(ctx, "univ", question(n), tenth)
		if err != nil || !repeated || !reflect.DeepEqual(again.Cells, answers[0].Cells) || !again.At.Equal(answers[0].At) {
			t.Errorf("after a restart question %d has the answer %+v, %v", n, again, err)
		}
	}
	if left, err := deskOver(stores[0], "1").Accounts.Left(ctx, "univ"); err != nil || left.Value.Sign() != 0 {
		t.Errorf("%v left, %v", left.Value, err)
	}
	if err := stores[1].Append(ctx, entries[9]); !errors.Is(err, budget.ErrConflict) {
		t.Errorf("an entry twice: got %v, want ErrConflict", err)
	}
	for _, text := range []string{"UPDATE budget_entries SET cost = '0'", "DELETE FROM budget_entries"} {
		if _, err := one.ExecContext(ctx, text); err == nil {
			t.Errorf("%s was done", text)
		}
	}
	drop := "DROP TRIGGER budget_entries_are_not_changed"
	if one.Dialect == sqldb.Postgres {
		drop += " ON budget_entries"
	}
	for _, text := range []string{drop, "UPDATE budget_entries SET cost = '1/1000' WHERE seq = 4"} {
		if _, err := one.ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := deskOver(stores[0], "1").Answer(ctx, "univ", question(99), tenth); !errors.Is(err, budget.ErrBroken) {
		t.Errorf("an account changed by hand: got %v, want ErrBroken", err)
	}
}

// A charge and its answer are one row: it is there whole, or not at all, and what
// could not be kept is not told.
func TestBudget_NoChargeWithoutItsAnswer(t *testing.T) {
	ctx := t.Context()
	db := sqldbtest.SQLite(t)
	s, err := sqlstore.OpenBudget(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, `CREATE TRIGGER full BEFORE INSERT ON budget_entries WHEN NEW.seq = 2 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`); err != nil {
		t.Fatal(err)
	}
	desk := deskOver(s, "1")
	if _, _, err := desk.Answer(ctx, "univ", question(1), tenth); err != nil {
		t.Fatal(err)
	}
	if a, _, err := desk.Answer(ctx, "univ", question(2), tenth); err == nil || len(a.Cells) > 0 {
		t.Errorf("an answer that could not be kept was told: %+v", a)
	}
	if left, err := desk.Accounts.Left(ctx, "univ"); err != nil || left.Value.Cmp(big.NewRat(9, 10)) != 0 {
		t.Errorf("%v left, %v", left.Value, err)
	}
}
