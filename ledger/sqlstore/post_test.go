package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"meguri/internal/sqldb"
	"meguri/ledger"
	"meguri/ledger/sqlstore"
)

var (
	funds = ledger.Account{ID: "funds:v:paid", Programme: "v", Kind: ledger.FundsPaid, Owner: "v"}
	lot   = ledger.Account{ID: "lot:v:r:paid", Programme: "v", Kind: ledger.ResidentLot, Owner: "r", Funding: ledger.Paid}
	till  = ledger.Account{ID: "shop:v:s:2099-12-31", Programme: "v", Kind: ledger.ShopUnsettled, Owner: "s", Period: "2099-12-31"}
)

func charge(id string, yen ledger.Yen) ledger.Transaction {
	return ledger.Transaction{ID: id, Kind: ledger.Charge, Resident: "r", Opens: []ledger.Account{funds, lot},
		Transfers: []ledger.Transfer{{Debit: funds.ID, Credit: lot.ID, Amount: yen}}}
}

func pay(id string, yen ledger.Yen) ledger.Transaction {
	return ledger.Transaction{ID: id, Kind: ledger.Pay, Resident: "r", Shop: "s", Opens: []ledger.Account{till},
		Spends: []ledger.Spend{{Programme: "v", Amount: yen, Into: []ledger.AccountID{till.ID}}}}
}

func mustPost(t testing.TB, s *sqlstore.Store, txs ...ledger.Transaction) []ledger.Outcome {
	t.Helper()
	outcomes, err := s.Post(context.Background(), txs...)
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

func verify(t testing.TB, s *sqlstore.Store) ledger.Audit {
	t.Helper()
	audit, err := ledger.Verify(context.Background(), s, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return audit
}

// What a store keeps from batch to batch is of no use once somebody else has
// written, and it finds that out by itself.
func TestPost_TwoWritersTakeTurns(t *testing.T) {
	onBoth(t, func(t *testing.T, one *sqlstore.Store, db *sqldb.DB) {
		ctx := context.Background()
		two := openStore(t, db, time.Now)
		mustPost(t, one, charge("c", 1000))
		for i := range 20 {
			s := one
			if i%3 == 1 {
				s = two
			}
			o := mustPost(t, s, pay(fmt.Sprint("p", i), 10))[0]
			if o.Err != nil || o.Posted.Entries[0].DebitAfter != ledger.Yen(990-10*i) {
				t.Fatalf("payment %d: %+v", i, o)
			}
		}
		for _, s := range []*sqlstore.Store{one, two} { // each knows what the other has answered
			if o := mustPost(t, s, pay("p3", 10))[0]; o.Err != nil || !o.Replay {
				t.Errorf("sent again: %+v", o)
			}
			if o := mustPost(t, s, pay("p4", 11))[0]; !errors.Is(o.Err, ledger.ErrConflict) {
				t.Errorf("sent again with other content: %+v", o)
			}
			if s.Takeovers() == 0 {
				t.Error("a writer did not notice the other")
			}
		}
		// An account that one has looked for in vain is opened by the other.
		if o := mustPost(t, one, charge("to nowhere", 1), transferTo("x1", "lot:v:q:paid"))[1]; !errors.Is(o.Err, ledger.ErrAccountNotFound) {
			t.Errorf("%+v", o)
		}
		q := lot
		q.ID, q.Owner = "lot:v:q:paid", "q"
		if err := two.OpenAccounts(ctx, q); err != nil {
			t.Fatal(err)
		}
		if o := mustPost(t, one, transferTo("x2", "lot:v:q:paid"))[0]; o.Err != nil {
			t.Errorf("after it was opened: %v", o.Err)
		}
		verify(t, one)
	})
}

func transferTo(id string, to ledger.AccountID) ledger.Transaction {
	return ledger.Transaction{ID: id, Kind: ledger.Charge, Transfers: []ledger.Transfer{{Debit: funds.ID, Credit: to, Amount: 1}}}
}

// What one batch refuses, and what an older one has answered, is known to a
// store that has just been opened.
func TestPost_KnowsOldAnswers(t *testing.T) {
	onBoth(t, func(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
		mustPost(t, s, charge("c", 100), pay("too much", 101), pay("p", 60))
		fresh := openStore(t, db, time.Now)
		mustPost(t, fresh, charge("c2", 1000)) // it keeps the accounts now
		got := mustPost(t, fresh, pay("too much", 101), pay("p", 60), pay("new", 1))
		if !errors.Is(got[0].Err, ledger.ErrInsufficientBalance) || !got[0].Replay || !got[1].Replay || got[2].Err != nil {
			t.Errorf("%+v", got)
		}
		// A batch of nothing but refusals is kept, too.
		mustPost(t, fresh, pay("far too much", 10_000))
		mustPost(t, fresh, charge("c3", 100_000))
		if o := mustPost(t, openStore(t, db, time.Now), pay("far too much", 10_000))[0]; !errors.Is(o.Err, ledger.ErrInsufficientBalance) {
			t.Errorf("a refusal was forgotten: %+v", o)
		}
		if audit := verify(t, s); audit.Batches != 5 {
			t.Errorf("%d batches, want 5: one of them refused, and none for what was answered before", audit.Batches)
		}
	})
}

// A batch goes to PostgreSQL and back once when everything it touches is kept,
// and twice at most.
func TestPost_RoundTrips(t *testing.T) {
	onBoth(t, func(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
		if db.Dialect != sqldb.Postgres {
			return // SQLite has no trips
		}
		trips := func(want int64, txs ...ledger.Transaction) {
			t.Helper()
			before := s.Trips()
			mustPost(t, s, txs...)
			if got := s.Trips() - before; got != want {
				t.Errorf("%d round trips, want %d", got, want)
			}
		}
		trips(2, charge("c", 1000))
		var batch []ledger.Transaction
		for i := range 30 {
			batch = append(batch, pay(fmt.Sprint("p", i), 1))
		}
		trips(2, batch...)                                                         // the till is new
		trips(1, pay("q", 1), pay("r", 1))                                         // nothing is
		trips(1, ledger.Transaction{ID: "back", Kind: ledger.Cancel, Parent: "q"}) // what it takes back is kept
		trips(0, pay("r", 1))                                                      // it was answered a moment ago
		fresh := openStore(t, db, time.Now)
		before := fresh.Trips()
		mustPost(t, fresh, ledger.Transaction{ID: "back2", Kind: ledger.Cancel, Parent: "r"})
		if got := fresh.Trips() - before; got != 2 {
			t.Errorf("a cancel of what is not kept: %d round trips, want 2", got)
		}
	})
}

// More holds end at one instant than one batch releases: what comes next finds
// all of them released.
func TestPost_ReleasesAllThatIsDue(t *testing.T) {
	onBoth(t, func(t *testing.T, _ *sqlstore.Store, db *sqldb.DB) {
		now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
		s := openStore(t, db, func() time.Time { return now })
		limited := funds
		limited.Limit = 4500
		if err := s.OpenAccounts(context.Background(), limited); err != nil {
			t.Fatal(err)
		}
		until := now.Add(time.Hour)
		var batch []ledger.Transaction
		for i := range 4500 {
			h := charge(fmt.Sprint("h", i), 1)
			h.Kind, h.Until, h.Opens = ledger.Hold, until, []ledger.Account{lot}
			if batch = append(batch, h); len(batch) == 1000 || i == 4499 {
				mustPost(t, s, batch...)
				batch = nil
			}
		}
		one := charge("one more", 1)
		one.Opens = nil
		if o := mustPost(t, s, one)[0]; !errors.Is(o.Err, ledger.ErrLimitExceeded) {
			t.Fatalf("while all is held: %+v", o)
		}
		now = until
		b, err := s.Balance(context.Background(), funds.ID)
		if err != nil || b.HeldDebits != 0 {
			t.Errorf("held at the end, before anything was released: %d, %v", b.HeldDebits, err)
		}
		all := charge("all", 4500)
		all.Opens = nil
		if o := mustPost(t, s, all)[0]; o.Err != nil {
			t.Errorf("at the end: %v", o.Err)
		}
		if audit := verify(t, s); audit.OpenHolds != 0 || audit.Transactions != 9001 {
			t.Errorf("%+v", audit)
		}
	})
}

// Statements must have their index whatever the statistics say: a scan at the
// opening of a sale would be the end of it.
func TestStatements_NeedNoScan(t *testing.T) {
	onBoth(t, func(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
		if db.Dialect != sqldb.Postgres {
			return // SQLite has its own way of planning
		}
		for setting, want := range map[string]string{"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"} {
			var got string
			if err := db.QueryRow("SHOW " + setting).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s, want %s (%v)", setting, got, want, err)
			}
		}
		for name, table := range map[string]string{
			"SELECT * FROM transfers WHERE id = ANY ($1::text[]) AND position = 0":                      "transfers",
			"SELECT * FROM transfers WHERE parent = ANY ($1::text[]) AND parent <> '' AND position = 0": "transfers",
			"SELECT * FROM refusals WHERE id = ANY ($1::text[])":                                        "refusals",
			"SELECT * FROM closes WHERE id = ANY ($1::text[])":                                          "closes",
			"SELECT * FROM accounts WHERE id = ANY ($1::text[])":                                        "accounts",
			"SELECT * FROM accounts WHERE owner = ANY ($1::text[]) AND kind = 'resident_lot'":           "accounts",
		} {
			rows, err := db.Query("EXPLAIN " + strings.ReplaceAll(name, "$1", "'{a,b}'"))
			if err != nil {
				t.Fatal(err)
			}
			plan := ""
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				plan += line + "\n"
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(plan, "Seq Scan on "+table) {
				t.Errorf("%s:\n%s", name, plan)
			}
		}
	})
}
