package ledgertest

import (
	"errors"
	"testing"
	"time"

	"meguri/ledger"
)

var holdRules = []claim{
	{"what is held cannot be spent, and is not the shop's", func(b bench) {
		b.must(charge(100))
		p := b.must(b.hold(60, time.Hour))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 100, till: 0})
		b.held("lot", 60)
		if shop := b.balance(till); shop.HeldCredits != 60 {
			b.Errorf("got %+v, want 60 yen held for the shop", shop)
		}
		if p.Total() != 0 || p.TotalHeld() != 60 || p.Entries[0].DebitAfter != 100 || p.IsPayment() {
			b.Errorf("got %+v, want a hold of 60 yen that moves nothing", p)
		}
		b.refuse(ledger.ErrInsufficientBalance, pay(41))
		b.refuse(ledger.ErrInsufficientBalance, tx(ledger.Pay, move("lot", till, 41)))
		b.refuse(ledger.ErrInsufficientBalance, b.hold(41, time.Hour))
		b.must(pay(40))
		b.refuse(ledger.ErrInsufficientBalance, tx(ledger.Lapse, move("lot", "lapsed", 1)))
	}},
	{"a hold is captured whole", func(b bench) {
		b.must(charge(100))
		h := b.must(b.hold(60, time.Hour))
		p := b.must(capture(h.ID, 0))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 40, till: 60})
		b.held("lot", 0)
		if !p.IsPayment() || p.Resident != "r" || p.Shop != "s" || p.Terminal != "1" || p.Parent != h.ID || p.Entries[0].ResidentAfter != 40 {
			b.Errorf("got %+v, want a payment of the hold's resident in its shop", p)
		}
		b.ended(h.ID, p.ID, ledger.Capture)
	}},
	{"a hold over several lots is captured in part, from the first on, and the rest is free", func(b bench) {
		b.open(lot("first", tokyo("2024-07-01 00:00:00")))
		b.must(tx(ledger.Charge, move("funds", "first", 30), move("funds", "lot", 70)))
		h := b.must(b.hold(60, time.Hour))
		p := b.must(capture(h.ID, 40))
		b.values(map[ledger.AccountID]ledger.Yen{"first": 0, "lot": 60, till: 40})
		b.held("lot", 0)
		if len(p.Entries) != 2 || p.Entries[0].Amount != 30 || p.Entries[1].Amount != 10 || p.Entries[1].Held != -30 {
			b.Errorf("got %+v, want 30 and 10 of 30 each", p.Entries)
		}
		h = b.must(b.hold(60, time.Hour))
		b.must(capture(h.ID, 1)) // a part that the first lot has
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 59})
	}},
	{"no more is captured than was held, and a hold ends once", func(b bench) {
		b.must(charge(100))
		h := b.must(b.hold(60, time.Hour))
		b.refuse(ledger.ErrCaptureBeyondHold, capture(h.ID, 61))
		b.must(capture(h.ID, 60))
		b.refuse(ledger.ErrHoldResolved, capture(h.ID, 1))
		b.refuse(ledger.ErrHoldResolved, after(ledger.Void, h.ID))
		h = b.must(b.hold(40, time.Hour))
		v := b.must(after(ledger.Void, h.ID))
		b.ended(h.ID, v.ID, ledger.Void)
		b.held("lot", 0)
		b.refuse(ledger.ErrHoldResolved, after(ledger.Void, h.ID))
		b.refuse(ledger.ErrHoldResolved, capture(h.ID, 0))
		b.must(pay(40))
	}},
	{"only holds are captured and voided", func(b bench) {
		bought := b.must(charge(100))
		refused := b.hold(101, time.Hour)
		b.refuse(ledger.ErrInsufficientBalance, refused)
		for _, id := range []string{bought.ID, refused.ID, "nothing"} {
			b.refuse(ledger.ErrHoldNotFound, capture(id, 0))
			b.refuse(ledger.ErrHoldNotFound, after(ledger.Void, id))
		}
	}},
	{"a hold ends at its instant, swept or not", func(b bench) {
		for name, swept := range map[string]bool{"not swept": false, "swept": true} {
			b.Run(name, func(t *testing.T) {
				b := b.again()
				b.T = t
				b.must(charge(100))
				h := b.hold(60, time.Minute)
				b.must(h)
				early := b.must(b.hold(40, time.Minute))
				b.clock.Add(time.Minute - time.Microsecond)
				if due, err := b.Due(b.Context()); err != nil || due {
					t.Errorf("before: due is %t, %v", due, err)
				}
				b.must(capture(early.ID, 10)) // in time
				b.held("lot", 60)
				b.clock.Add(time.Microsecond)
				if due, err := b.Due(b.Context()); err != nil || !due {
					t.Errorf("then: due is %t, %v, want true", due, err)
				}
				b.held("lot", 0) // whether or not it was released
				if swept {
					b.sweep()
					if due, err := b.Due(b.Context()); err != nil || due {
						t.Errorf("after the sweep: due is %t, %v", due, err)
					}
				}
				b.refuse(ledger.ErrHoldExpired, capture(h.ID, 0))
				b.refuse(ledger.ErrHoldExpired, after(ledger.Void, h.ID))
				b.must(pay(90))
				released, err := b.Transaction(b.Context(), h.ID)
				if err != nil || released.ResolvedAs != ledger.Release || released.ResolvedBy == "" {
					t.Fatalf("got %+v, %v, want a hold that was released", released, err)
				}
				r, err := b.Transaction(b.Context(), released.ResolvedBy)
				if err != nil || r.Kind != ledger.Release || r.Parent != h.ID || r.Resident != "r" || r.Total() != 0 || r.TotalHeld() != -60 || r.LedgerAt.Before(released.Until) {
					t.Errorf("got the release %+v, %v", r, err)
				}
				b.sweep()
				b.verify()
			})
		}
	}},
	{"many holds end in the order of their ends, then of their IDs", func(b bench) {
		b.must(charge(100))
		var batch []ledger.Transaction
		for _, id := range []string{"h3", "h1", "h2"} {
			h := b.hold(10, time.Minute)
			h.ID = id
			batch = append(batch, h)
		}
		first := b.hold(10, time.Second)
		first.ID = "h9"
		if _, err := b.Post(b.Context(), append(batch, first)...); err != nil {
			b.Fatal(err)
		}
		b.clock.Add(time.Hour)
		b.must(pay(100))
		page, err := b.Changes(b.Context(), 5, 100)
		if err != nil || len(page) != 5 {
			b.Fatalf("got %+v, %v, want four releases and a payment", page, err)
		}
		for i, want := range []string{"h9", "h1", "h2", "h3"} {
			if page[i].Kind != ledger.Release || page[i].Parent != want {
				b.Errorf("release %d is a %s of %s, want %s", i, page[i].Kind, page[i].Parent, want)
			}
		}
	}},
	{"value is not held for longer than it lives, on either side", func(b bench) {
		end := b.clock.Now().Add(time.Hour)
		b.open(lot("brief", end), lot("briefer", end.Add(-time.Minute)))
		b.must(tx(ledger.Charge, move("funds", "brief", 10), move("funds", "briefer", 10), move("funds", "lot", 100)))
		h := b.must(b.hold(50, 24*time.Hour))
		if want := end.Add(-time.Minute); !h.Until.Equal(want) {
			b.Errorf("the hold ends at %v, want %v, when the first of its lots does", h.Until, want)
		}
		sale := tx(ledger.Hold, move("funds", "brief", 5))
		sale.Shop, sale.Until = "", end.Add(time.Hour)
		s := b.must(sale)
		if !s.Until.Equal(end) {
			b.Errorf("the sale ends at %v, want %v, when what is sold does", s.Until, end)
		}
		b.clock.Set(end)
		b.refuse(ledger.ErrHoldExpired, capture(h.ID, 0))
		b.refuse(ledger.ErrHoldExpired, capture(s.ID, 0))
		b.must(tx(ledger.Expire, move("brief", "expired", 10)))
	}},
	{"a sale is reserved, and paid for or given up", func(b bench) {
		sale := func() ledger.Transaction {
			t := tx(ledger.Hold, move("funds", "lot", 1000), move("premium", "lot", 200))
			t.Shop, t.Until = "", b.clock.Now().Add(time.Hour)
			return t
		}
		h := b.must(sale())
		b.values(map[ledger.AccountID]ledger.Yen{"funds": 0, "lot": 0})
		b.refuse(ledger.ErrInsufficientBalance, pay(1)) // it is not there yet
		p := b.must(capture(h.ID, 0))
		b.values(map[ledger.AccountID]ledger.Yen{"funds": -1000, "premium": -200, "lot": 1200})
		if p.IsPayment() {
			b.Error("a sale is no payment")
		}
		b.must(after(ledger.Void, b.must(sale()).ID))
		b.held("funds", 0)
	}},
	{"a hold and what ends it may stand in one batch", func(b bench) {
		b.must(charge(100))
		h, brief := b.hold(60, time.Hour), b.hold(40, 4*time.Microsecond)
		outcomes, err := b.Post(b.Context(), h, brief, capture(h.ID, 10), pay(90), capture(brief.ID, 0))
		if err != nil {
			b.Fatal(err)
		}
		for i, want := range []string{"posted", "posted", "posted", "posted", "hold-expired"} {
			if got := AnswerOf(outcomes[i]); got != want {
				b.Errorf("transaction %d: got %s, want %s", i, got, want)
			}
		}
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 0, till: 100})
	}},
}

// ended checks by what a transaction was ended or taken back.
func (b bench) ended(id, by string, as ledger.Kind) {
	b.Helper()
	p, err := b.Transaction(b.Context(), id)
	if err != nil || p.ResolvedBy != by || p.ResolvedAs != as {
		b.Errorf("it was ended by the %s %q, %v, want the %s %q", p.ResolvedAs, p.ResolvedBy, err, as, by)
	}
}

var reversals = []claim{
	{"a cancel gives the whole payment back to the lots it came from, once (MT-6)", func(b bench) {
		b.open(lot("first", tokyo("2024-07-01 00:00:00")))
		b.must(tx(ledger.Charge, move("funds", "first", 30), move("funds", "lot", 70)))
		b.must(tx(ledger.Grant, move("p-premium", "p-lot", 50)))
		t := pay(60)
		t.Spends = append(t.Spends, ledger.Spend{Programme: "p", Amount: 50, Into: []ledger.AccountID{pTill}})
		paid := b.must(t)
		back := after(ledger.Cancel, paid.ID)
		back.Reason = "wrong-amount"
		c := b.must(back)
		b.values(map[ledger.AccountID]ledger.Yen{"first": 30, "lot": 70, till: 0, "p-lot": 50, pTill: 0})
		if c.Resident != "r" || c.Shop != "s" || c.Reason != "wrong-amount" || len(c.Entries) != 3 || c.Entries[0].Credit != "p-lot" || c.Entries[2].ResidentAfter != 100 {
			b.Errorf("got %+v, want the payment turned round", c)
		}
		b.ended(paid.ID, c.ID, ledger.Cancel)
		b.refuse(ledger.ErrAlreadyCancelled, after(ledger.Cancel, paid.ID))
		b.refuse(ledger.ErrReverseReversal, after(ledger.Cancel, c.ID))
		b.refuse(ledger.ErrReverseReversal, after(ledger.CancelGrant, c.ID))
	}},
	{"what was captured is cancelled like a payment", func(b bench) {
		b.must(charge(100))
		h := b.must(b.hold(60, time.Hour))
		b.refuse(ledger.ErrNotCancellable, after(ledger.Cancel, h.ID))
		p := b.must(capture(h.ID, 25))
		b.refuse(ledger.ErrNotCancellable, after(ledger.CancelGrant, p.ID))
		b.must(after(ledger.Cancel, p.ID))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 100, till: 0})
		b.refuse(ledger.ErrAlreadyCancelled, after(ledger.Cancel, p.ID))
	}},
	{"a cancel skips the lots that a capture took nothing from", func(b bench) {
		b.open(lot("first", tokyo("2024-07-01 00:00:00")))
		b.must(tx(ledger.Charge, move("funds", "first", 30), move("funds", "lot", 70)))
		h := b.must(b.hold(60, time.Hour))
		p := b.must(capture(h.ID, 20))
		c := b.must(after(ledger.Cancel, p.ID))
		if len(c.Entries) != 1 || c.Entries[0].Credit != "first" || c.Entries[0].Amount != 20 {
			b.Errorf("got %+v, want the one entry that moved", c.Entries)
		}
	}},
	{"value goes back to a lot whose time is up, and expires there", func(b bench) {
		end := b.clock.Now().Add(time.Hour)
		b.open(lot("brief", end))
		b.must(tx(ledger.Charge, move("funds", "brief", 30)))
		p := b.must(pay(30))
		b.clock.Set(end)
		b.must(after(ledger.Cancel, p.ID))
		b.refuse(ledger.ErrInsufficientBalance, pay(1))
		b.must(tx(ledger.Expire, move("brief", "expired", 30)))
	}},
	{"only payments are cancelled, and only sales and grants by cancel_grant", func(b bench) {
		bought, given := b.must(charge(100)), b.must(tx(ledger.Grant, move("premium", "lot", 10)))
		paid, refused := b.must(pay(10)), pay(9999)
		b.refuse(ledger.ErrInsufficientBalance, refused)
		moved := b.must(tx(ledger.Refund, move("lot", "refunded", 1)))
		shut := b.must(closing("p", "2024-06-02"))
		for _, id := range []string{bought.ID, given.ID, refused.ID, moved.ID, shut.ID, "nothing"} {
			b.refuse(ledger.ErrNotCancellable, after(ledger.Cancel, id))
		}
		for _, id := range []string{paid.ID, refused.ID, moved.ID, shut.ID, "nothing"} {
			b.refuse(ledger.ErrNotCancellable, after(ledger.CancelGrant, id))
		}
	}},
	{"a sale or a grant is taken back as long as it is there", func(b bench) {
		bought := b.must(tx(ledger.Charge, move("funds", "lot", 1000), move("premium", "lot", 200)))
		given := b.must(tx(ledger.Grant, move("premium", "lot", 10)))
		paid := b.must(pay(11))
		b.refuse(ledger.ErrInsufficientBalance, after(ledger.CancelGrant, bought.ID))
		h := b.must(b.hold(1195, time.Hour))
		b.refuse(ledger.ErrInsufficientBalance, after(ledger.CancelGrant, given.ID)) // what is held is not there
		b.must(after(ledger.Void, h.ID))
		b.must(after(ledger.Cancel, paid.ID))
		c := b.must(after(ledger.CancelGrant, bought.ID))
		b.values(map[ledger.AccountID]ledger.Yen{"funds": 0, "premium": -10, "lot": 10})
		b.ended(bought.ID, c.ID, ledger.CancelGrant)
		b.refuse(ledger.ErrAlreadyCancelled, after(ledger.CancelGrant, bought.ID))
		b.must(after(ledger.CancelGrant, given.ID))
		sale := tx(ledger.Hold, move("funds", "lot", 5))
		sale.Shop, sale.Until = "", b.clock.Now().Add(time.Hour)
		sold := b.must(capture(b.must(sale).ID, 0))
		b.refuse(ledger.ErrNotCancellable, after(ledger.Cancel, sold.ID))
		b.must(after(ledger.CancelGrant, sold.ID))
		b.values(map[ledger.AccountID]ledger.Yen{"funds": 0, "premium": 0, "lot": 0})
	}},
	{"a payment that a correction took from the shop cannot be cancelled any more", func(b bench) {
		b.must(charge(100))
		p := b.must(pay(50))
		b.must(withReason(tx(ledger.Adjust, move(till, "suspense", 1))))
		b.refuse(ledger.ErrInsufficientBalance, after(ledger.Cancel, p.ID))
	}},
	{"two cancels of one payment in one batch take it back once", func(b bench) {
		b.must(charge(100))
		p := pay(50)
		outcomes, err := b.Post(b.Context(), p, after(ledger.Cancel, p.ID), after(ledger.Cancel, p.ID))
		if err != nil || outcomes[1].Err != nil || !errors.Is(outcomes[2].Err, ledger.ErrAlreadyCancelled) {
			b.Errorf("got %+v, %v, want one cancel and ErrAlreadyCancelled", outcomes, err)
		}
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 100})
	}},
}
