package ledgertest

import (
	"errors"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"meguri/ledger"
)

// lotRules are those of lots: what is spent first, when it expires, and how
// accounts come to be.
var lotRules = []claim{
	{"value is spent in order of expiry, then of rank, then by ID, and last what does not expire", func(b bench) {
		soon, late := tokyo("2024-06-05 00:00:00"), tokyo("2024-07-01 00:00:00")
		second := lot("a-second", soon)
		second.Rank = 1
		b.open(second, lot("b-first", soon), lot("c-third", late), lot("d-fourth", late), lot("e-gone", b.clock.Now().Add(time.Minute)))
		for _, id := range []ledger.AccountID{"lot", "d-fourth", "c-third", "b-first", "a-second", "e-gone"} {
			b.must(tx(ledger.Charge, move("funds", id, 10)))
		}
		b.clock.Add(time.Minute)
		p := b.must(pay(45))
		var got []ledger.Transfer
		var after []ledger.Yen
		for _, e := range p.Entries {
			got, after = append(got, e.Transfer), append(after, e.ResidentAfter)
		}
		want := []ledger.Transfer{move("b-first", till, 10), move("a-second", till, 10), move("c-third", till, 10), move("d-fourth", till, 10), move("lot", till, 5)}
		if d := gocmp.Diff(want, got); d != "" {
			b.Errorf("spent otherwise:\n%s", d)
		}
		if d := gocmp.Diff([]ledger.Yen{50, 40, 30, 20, 15}, after); d != "" { // what is expired is still the resident's
			b.Errorf("what the resident had after:\n%s", d)
		}
		b.refuse(ledger.ErrInsufficientBalance, pay(6)) // what is expired is not spent
		b.must(pay(5))
		b.values(map[ledger.AccountID]ledger.Yen{"e-gone": 10, "lot": 0, till: 50})
	}},
	{"value can be used before its expiry and not from that instant on", func(b bench) {
		end := tokyo("2024-06-05 00:00:00")
		b.open(lot("brief", end))
		b.must(tx(ledger.Charge, move("funds", "brief", 100)))
		b.refuse(ledger.ErrFlow, tx(ledger.Expire, move("brief", "expired", 1)))
		b.clock.Set(end.Add(-time.Microsecond))
		b.must(tx(ledger.Pay, move("brief", till, 10)))
		b.clock.Set(end)
		b.refuse(ledger.ErrExpired, tx(ledger.Pay, move("brief", till, 10)))
		b.refuse(ledger.ErrInsufficientBalance, pay(10))
		b.refuse(ledger.ErrExpired, tx(ledger.Charge, move("funds", "brief", 10)))
		b.refuse(ledger.ErrExpired, tx(ledger.Refund, move("brief", "refunded", 10)))
		b.refuse(ledger.ErrExpired, tx(ledger.Lapse, move("brief", "lapsed", 10)))
		b.refuse(ledger.ErrExpired, b.holdFrom("brief", 10, time.Hour))
		b.must(tx(ledger.Move, move("brief", "lot", 10)))
		b.must(withReason(tx(ledger.Adjust, move("brief", "suspense", 10))))
		b.must(withReason(tx(ledger.Adjust, move("suspense", "brief", 10))))
		b.refuse(ledger.ErrExpired, tx(ledger.Move, move("lot", "brief", 10)))
		b.refuse(ledger.ErrInsufficientBalance, tx(ledger.Expire, move("brief", "expired", 81)))
		b.must(tx(ledger.Expire, move("brief", "expired", 80)))
		b.must(tx(ledger.Refund, move("expired", "refunded", 30)))
		b.values(map[ledger.AccountID]ledger.Yen{"brief": 0, "lot": 10, "expired": 50, "refunded": 30, till: 10})
	}},
	{"what a holder leaves lapses, moves or is refunded", func(b bench) {
		b.open(lot("other", time.Time{}))
		b.must(charge(100))
		b.must(tx(ledger.Lapse, move("lot", "lapsed", 20)))
		b.must(tx(ledger.Refund, move("lot", "refunded", 30)))
		spent := tx(ledger.Move)
		spent.Spends = []ledger.Spend{{Programme: "v", Amount: 40, Into: []ledger.AccountID{"other"}}}
		b.must(spent)
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 10, "other": 40, "lapsed": 20, "refunded": 30})
	}},
	{"accounts are opened with the transaction that needs them, and with one that is refused none are", func(b bench) {
		fresh, shop2 := lot("fresh", tokyo("2024-08-01 00:00:00")), takings("v", week)
		shop2.ID, shop2.Owner = ledger.TakingsID("v", "s2", week), "s2"
		bought := tx(ledger.Charge, move("funds", "fresh", limit+1))
		bought.Opens = []ledger.Account{fresh}
		b.refuse(ledger.ErrLimitExceeded, bought)
		half := tx(ledger.Charge, move("funds", "fresh", 1), move("funds", "nowhere", 1))
		half.Opens = []ledger.Account{fresh}
		b.refuse(ledger.ErrAccountNotFound, half)
		if _, err := b.Balance(b.Context(), "fresh"); !errors.Is(err, ledger.ErrNotFound) {
			b.Errorf("an account of a refused transaction is read with %v, want ErrNotFound", err)
		}
		bought = tx(ledger.Charge, move("funds", "fresh", 100))
		bought.Opens = []ledger.Account{fresh, lot("unused", time.Time{})}
		spent := pay(30)
		spent.Spends[0].Into = []ledger.AccountID{shop2.ID}
		spent.Opens = []ledger.Account{shop2}
		// In one batch, the second uses what the first has opened.
		outcomes, err := b.Post(b.Context(), bought, tx(ledger.Charge, move("funds", "fresh", 1)), spent)
		if err != nil || outcomes[0].Err != nil || outcomes[1].Err != nil || outcomes[2].Err != nil {
			b.Fatalf("got %+v, %v", outcomes, err)
		}
		b.values(map[ledger.AccountID]ledger.Yen{"fresh": 71, shop2.ID: 30})
		got := b.balance("fresh")
		fresh.ExpiresAt = fresh.ExpiresAt.UTC()
		if d := gocmp.Diff(fresh, got.Account); d != "" || got.Version != 3 || got.LastSeq != 3 {
			b.Errorf("it was opened as %+v:\n%s", got, d)
		}
		if _, err := b.Balance(b.Context(), "unused"); !errors.Is(err, ledger.ErrNotFound) {
			b.Errorf("an account that nothing moves on is read with %v, want ErrNotFound", err)
		}
		spent.ID, spent.Opens = "again", []ledger.Account{shop2} // it is there
		b.must(spent)
	}},
	{"an account that a spend passes over is not opened", func(b bench) {
		b.must(charge(100))
		past := takings("v", "2024-06-02")
		t := pay(10)
		t.Opens = []ledger.Account{past}
		t.Spends[0].Into = []ledger.AccountID{past.ID, till}
		later := tx(ledger.Pay, move("lot", past.ID, 10))
		later.At = tokyo("2024-06-01 12:00:00")
		outcomes, err := b.Post(b.Context(), t, later)
		if err != nil || outcomes[0].Err != nil || !errors.Is(outcomes[1].Err, ledger.ErrAccountNotFound) {
			b.Errorf("got %+v, %v, want a payment and ErrAccountNotFound", outcomes, err)
		}
		b.values(map[ledger.AccountID]ledger.Yen{till: 10})
	}},
	{"an account is not opened as another one", func(b bench) {
		end := tokyo("2024-08-01 00:00:00")
		was := lot("fresh", end)
		b.must(opening(was))
		for what, change := range map[string]func(*ledger.Account){
			"programme": func(a *ledger.Account) { a.Programme = "p" },
			"kind":      func(a *ledger.Account) { a.Kind, a.ExpiresAt = ledger.Suspense, time.Time{} },
			"owner":     func(a *ledger.Account) { a.Owner = "r2" },
			"funding":   func(a *ledger.Account) { a.Funding = ledger.Premium },
			"expiry":    func(a *ledger.Account) { a.ExpiresAt = end.Add(time.Microsecond) },
			"no expiry": func(a *ledger.Account) { a.ExpiresAt = time.Time{} },
		} {
			a := was
			change(&a)
			b.refuse(ledger.ErrAccountDiffers, opening(a))
			if err := b.OpenAccounts(b.Context(), a); !errors.Is(err, ledger.ErrConflict) {
				b.Errorf("another %s: got %v, want ErrConflict", what, err)
			}
		}
		b.must(opening(was))
		b.open(was)
		b.values(map[ledger.AccountID]ledger.Yen{"fresh": 2})
	}},
	{"what is opened by itself is opened once and must be well formed", func(b bench) {
		b.must(charge(1200))
		b.open(b.balance("lot").Account, lot("one", time.Time{}))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 1200, "one": 0})
		if err := b.OpenAccounts(b.Context(), ledger.Account{Programme: "v", Kind: ledger.Suspense}); !errors.Is(err, ledger.ErrInvalid) {
			b.Errorf("no ID: got %v, want ErrInvalid", err)
		}
		if err := b.OpenAccounts(b.Context(), ledger.Account{ID: "n", Programme: "v", Kind: "purse"}); !errors.Is(err, ledger.ErrInvalid) {
			b.Errorf("no kind: got %v, want ErrInvalid", err)
		}
		all := ledger.Account{ID: "all", Programme: "v", Kind: ledger.ResidentLot, Owner: "r", Funding: ledger.Premium, Rank: 3, ExpiresAt: tokyo("2025-01-01 00:00:00").UTC()}
		b.open(all, takings("v", "2024-06-30"))
		if got := b.balance("all"); got != (ledger.Balance{Account: all}) {
			b.Errorf("got %+v, want %+v", got, all)
		}
		if got := b.balance("funds").Limit; got != limit {
			b.Errorf("got a limit of %d, want %d", got, limit)
		}
	}},
}

// holdFrom sets value of one lot aside.
func (b bench) holdFrom(lot ledger.AccountID, amount ledger.Yen, lasts time.Duration) ledger.Transaction {
	t := tx(ledger.Hold, move(lot, till, amount))
	t.Until = b.clock.Now().Add(lasts)
	return t
}
