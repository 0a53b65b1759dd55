package ledgertest

import (
	"errors"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"meguri/ledger"
)

var periodRules = []claim{
	{"a close moves each shop's takings to what it is owed, and fixes the cut", func(b bench) {
		till2 := takings("v", week)
		till2.ID, till2.Owner = ledger.TakingsID("v", "s2", week), "s2"
		idle := takings("v", week)
		idle.ID, idle.Owner = ledger.TakingsID("v", "s3", week), "s3"
		b.open(till2, idle)
		b.must(charge(100))
		paid := b.must(pay(30))
		b.must(tx(ledger.Pay, move("lot", till2.ID, 20)))
		back := b.must(pay(5))
		b.must(after(ledger.Cancel, back.ID))
		b.clock.Set(tokyo("2024-06-10 09:00:00"))
		p := b.must(closing("v", week))
		payable, payable2 := ledger.PayableID("v", "s"), ledger.PayableID("v", "s2")
		b.values(map[ledger.AccountID]ledger.Yen{till: 0, till2.ID: 0, payable: 30, payable2: 20})
		if want := (ledger.Closing{Programme: "v", Period: week, Cut: 5, By: p.ID}); p.Closed == nil || *p.Closed != want || p.Total() != 50 || p.First() != 6 {
			b.Errorf("got %+v, want 50 yen and %+v", p, want)
		}
		for _, id := range []ledger.AccountID{till, till2.ID, idle.ID} {
			if !b.balance(id).Closed {
				b.Errorf("account %s is not closed", id)
			}
		}
		if b.balance(nextTill).Closed || b.balance(pTill).Closed || b.balance(payable).Closed {
			b.Error("what is not of the period was closed")
		}
		if got := b.balance(payable).Account; got != (ledger.Account{ID: payable, Programme: "v", Kind: ledger.ShopPayable, Owner: "s"}) {
			b.Errorf("got the payable %+v", got)
		}
		stored, err := b.Transaction(b.Context(), p.ID)
		if d := gocmp.Diff(p, stored); err != nil || d != "" {
			b.Errorf("the close is read as %v:\n%s", err, d)
		}
		b.refuse(ledger.ErrPeriodClosed, after(ledger.Cancel, paid.ID))
	}},
	{"nothing enters or leaves a period that is closed, whatever day it says", func(b bench) {
		b.must(charge(100))
		b.must(pay(30))
		b.clock.Set(tokyo("2024-06-09 15:00:00")) // its last day, so that the day alone forbids nothing
		b.must(closing("v", week))
		b.refuse(ledger.ErrPeriodClosed, tx(ledger.Pay, move("lot", till, 1)))
		b.refuse(ledger.ErrPeriodClosed, b.holdFrom("lot", 1, time.Hour))
		b.refuse(ledger.ErrPeriodClosed, withReason(tx(ledger.Adjust, move(till, "suspense", 1))))
		b.refuse(ledger.ErrPeriodClosed, withReason(tx(ledger.Adjust, move("lot", till, 1))))
		early := tx(ledger.Pay, move("lot", till, 1))
		early.At = tokyo("2024-06-05 12:00:00")
		b.refuse(ledger.ErrPeriodClosed, early)
		only := pay(1)
		only.Spends[0].Into = []ledger.AccountID{till}
		b.refuse(ledger.ErrPeriodClosed, only)
		b.must(pay(10)) // rolls to the next period
		b.values(map[ledger.AccountID]ledger.Yen{till: 0, nextTill: 10})
		// A shop that comes new cannot open takings of it either.
		late := takings("v", week)
		late.ID, late.Owner = ledger.TakingsID("v", "s9", week), "s9"
		t := pay(1)
		t.Opens, t.Spends[0].Into = []ledger.Account{late}, []ledger.AccountID{late.ID, nextTill}
		b.must(t)
		t = tx(ledger.Pay, move("lot", late.ID, 1))
		t.Opens = []ledger.Account{late}
		b.refuse(ledger.ErrPeriodClosed, t)
		if err := b.OpenAccounts(b.Context(), late); !errors.Is(err, ledger.ErrPeriodClosed) {
			b.Errorf("takings of a closed period: got %v, want ErrPeriodClosed", err)
		}
		if _, err := b.Balance(b.Context(), late.ID); !errors.Is(err, ledger.ErrNotFound) {
			b.Errorf("takings of a closed period are read with %v, want ErrNotFound", err)
		}
		b.open(takings("v", week)) // those that are there are there
	}},
	{"takings go to the period that holds the business day, in Tokyo", func(b bench) {
		b.must(charge(100))
		b.clock.Set(tokyo("2024-06-09 23:59:59"))
		b.must(pay(1))
		b.clock.Set(tokyo("2024-06-10 00:00:00"))
		b.must(pay(10))
		b.refuse(ledger.ErrPeriodClosed, tx(ledger.Pay, move("lot", till, 1)))
		yesterday := pay(5)
		yesterday.At = tokyo("2024-06-09 23:00:00")
		b.must(yesterday)
		b.values(map[ledger.AccountID]ledger.Yen{till: 6, nextTill: 10})
		b.refuse(ledger.ErrPeriodClosed, withReason(tx(ledger.Adjust, move("lot", till, 1))))
		b.must(withReason(tx(ledger.Adjust, move(till, "suspense", 1)))) // out of it, until it is closed
	}},
	{"a period is closed once, from its last day on, and the close is answered again", func(b bench) {
		b.must(charge(100))
		b.must(pay(30))
		b.clock.Set(tokyo("2024-06-08 23:59:59"))
		b.refuse(ledger.ErrPeriodNotOver, closing("v", week))
		b.clock.Set(tokyo("2024-06-09 00:00:00"))
		c := closing("v", week)
		p := b.must(c)
		b.refuse(ledger.ErrPeriodClosed, closing("v", week))
		o := b.post(c)
		if d := gocmp.Diff(p, o.Posted); o.Err != nil || !o.Replay || d != "" {
			b.Errorf("the close again: got %v, replay %t:\n%s", o.Err, o.Replay, d)
		}
		b.must(closing("p", week)) // another programme's
	}},
	{"a period in which nothing was taken is closed too", func(b bench) {
		b.must(charge(100))
		empty := []ledger.Transaction{closing("v", "2024-06-02"), closing("p", "2024-06-02")}
		empty[0].Reason = "monday"
		var want []ledger.Posted
		for _, t := range empty {
			b.clock.Add(time.Second)
			want = append(want, b.must(t))
		}
		if c := want[0].Closed; want[0].First() != 0 || c == nil || c.Cut != 1 {
			b.Errorf("got %+v, want a close without entries after the first", want[0])
		}
		b.refuse(ledger.ErrPeriodClosed, closing("v", "2024-06-02"))
		got, err := b.EmptyCloses(b.Context())
		for i := range got {
			got[i].Entries = want[i].Entries
		}
		if d := gocmp.Diff(want, got); err != nil || d != "" {
			b.Errorf("empty closes: %v\n%s", err, d)
		}
		stored, err := b.Transaction(b.Context(), want[0].ID)
		stored.Entries = want[0].Entries
		if d := gocmp.Diff(want[0], stored); err != nil || d != "" {
			b.Errorf("the close is read as %v:\n%s", err, d)
		}
		past := takings("v", "2024-06-02")
		t := tx(ledger.Pay, move("lot", past.ID, 1))
		t.Opens, t.At = []ledger.Account{past}, tokyo("2024-06-01 12:00:00")
		b.refuse(ledger.ErrPeriodClosed, t)
		b.must(pay(1))
	}},
	{"a period in which something is held is closed when the hold has ended", func(b bench) {
		b.must(charge(100))
		h := b.must(b.hold(30, 30*24*time.Hour))
		brief := b.must(b.hold(20, time.Hour))
		b.clock.Set(tokyo("2024-06-10 09:00:00"))
		b.refuse(ledger.ErrHoldsOpen, closing("v", week))
		b.must(capture(h.ID, 10)) // what was set aside in time comes in
		b.refuse(ledger.ErrHoldExpired, capture(brief.ID, 0))
		p := b.must(closing("v", week))
		if p.Total() != 10 {
			b.Errorf("it closes with %d yen, want 10", p.Total())
		}
	}},
	{"what is payable goes to the bank and may come back", func(b bench) {
		b.must(charge(100))
		b.must(pay(30))
		b.clock.Set(tokyo("2024-06-10 09:00:00"))
		b.must(closing("v", week))
		payable := ledger.PayableID("v", "s")
		b.refuse(ledger.ErrInsufficientBalance, tx(ledger.Payout, move(payable, "bank", 31)))
		b.must(tx(ledger.Payout, move(payable, "bank", 30)))
		b.values(map[ledger.AccountID]ledger.Yen{payable: 0, "bank": 30})
		b.must(tx(ledger.PayoutBack, move("bank", payable, 30)))
		b.refuse(ledger.ErrInsufficientBalance, tx(ledger.PayoutBack, move("bank", payable, 1)))
		b.must(pay(20))
		b.clock.Set(tokyo("2024-06-17 09:00:00"))
		b.must(closing("v", nextWeek)) // the payable is there
		b.values(map[ledger.AccountID]ledger.Yen{payable: 50, "bank": 0})
	}},
	{"a close and what comes with it in one batch", func(b bench) {
		b.must(charge(100))
		b.clock.Set(tokyo("2024-06-09 18:00:00"))
		p, c := pay(10), closing("v", week)
		outcomes, err := b.Post(b.Context(), p, c, pay(7), after(ledger.Cancel, p.ID), closing("v", week), c)
		if err != nil {
			b.Fatal(err)
		}
		for i, want := range []string{"posted", "posted", "posted", "period-closed", "period-closed", "again posted"} {
			if got := AnswerOf(outcomes[i]); got != want {
				b.Errorf("transaction %d: got %s, want %s", i, got, want)
			}
		}
		b.values(map[ledger.AccountID]ledger.Yen{till: 0, nextTill: 7, ledger.PayableID("v", "s"): 10})
	}},
}

var times = []claim{
	{"ledger time is the clock's and rises with every transaction", func(b bench) {
		b.clock.Set(tokyo("2024-06-03 12:00:00").Add(1234567 * time.Nanosecond))
		outcomes, err := b.Post(b.Context(), charge(1), charge(2), pay(9), charge(3))
		if err != nil {
			b.Fatal(err)
		}
		first := tokyo("2024-06-03 12:00:00").Add(1234 * time.Microsecond) // instants are whole microseconds, in UTC
		for i, o := range []ledger.Outcome{outcomes[0], outcomes[1], outcomes[3]} {
			if want := first.Add(time.Duration(i) * time.Microsecond); !o.Posted.LedgerAt.Equal(want) || o.Posted.At != o.Posted.LedgerAt || o.Posted.LedgerAt.Location() != time.UTC {
				b.Errorf("transaction %d: got %v, want %v", i, o.Posted.LedgerAt, want)
			}
		}
	}},
	{"when the clock goes back a little, ledger time waits for it and still rises", func(b bench) {
		first := b.must(charge(100))
		h := b.must(b.hold(10, time.Minute))
		b.clock.Add(-59 * time.Second)
		second := b.must(pay(1))
		if want := first.LedgerAt.Add(2 * time.Microsecond); !second.LedgerAt.Equal(want) {
			b.Errorf("ledger time goes from %v to %v, want %v", first.LedgerAt, second.LedgerAt, want)
		}
		b.clock.Add(time.Minute)
		b.must(capture(h.ID, 0)) // its time is not up
		b.clock.Add(time.Hour)
		if third := b.must(pay(1)); !third.LedgerAt.Equal(b.clock.Now()) {
			b.Errorf("got ledger time %v, want the clock's again", third.LedgerAt)
		}
	}},
	{"when the clock is more than a minute behind, nothing is recorded and old answers are given", func(b bench) {
		paid := charge(100)
		b.must(paid)
		h := b.must(b.hold(10, time.Second))
		refused := pay(200)
		b.refuse(ledger.ErrInsufficientBalance, refused)
		b.clock.Add(time.Minute)
		b.must(pay(1)) // the hold is released before it
		late := b.must(b.hold(10, time.Second))
		b.clock.Add(-time.Minute - time.Millisecond)
		fresh := pay(1)
		for range 2 {
			if o := b.post(fresh); !errors.Is(o.Err, ledger.ErrClock) || o.Replay || ledger.IsRefusal(o.Err) {
				b.Errorf("got %v, want ErrClock", o.Err)
			}
		}
		if o := b.post(paid); o.Err != nil || !o.Replay {
			b.Errorf("a payment that stands: got %v, replay %t", o.Err, o.Replay)
		}
		if o := b.post(refused); !errors.Is(o.Err, ledger.ErrInsufficientBalance) || !o.Replay {
			b.Errorf("a refusal: got %v, replay %t", o.Err, o.Replay)
		}
		other := paid
		other.Reason = "x"
		if o := b.post(other); !errors.Is(o.Err, ledger.ErrConflict) {
			b.Errorf("other content: got %v, want ErrConflict", o.Err)
		}
		b.sweep()
		b.clock.Add(time.Hour)
		b.must(fresh)
		b.refuse(ledger.ErrHoldExpired, capture(h.ID, 0))
		b.refuse(ledger.ErrHoldExpired, capture(late.ID, 0))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 98})
	}},
	{"a hold ends by ledger time, also when the clock is behind it", func(b bench) {
		b.must(charge(100))
		h := b.must(b.hold(60, 10*time.Second))
		b.clock.Add(20 * time.Second)
		if outcomes, err := b.Post(b.Context(), charge(5)); err != nil || outcomes[0].Err != nil { // and with it the release
			b.Fatalf("got %+v, %v", outcomes, err)
		}
		b.clock.Add(-30 * time.Second) // to before its end
		b.refuse(ledger.ErrHoldExpired, capture(h.ID, 0))
		b.must(pay(105))
	}},
	{"business days are Tokyo's", func(b bench) {
		for at, want := range map[string]string{"2024-06-08 00:00:00": "2024-06-08", "2024-06-08 08:59:59": "2024-06-08", "2024-06-07 23:59:59": "2024-06-07"} {
			t := charge(1)
			t.At = tokyo(at)
			if p := b.must(t); p.BusinessOn != want || !p.At.Equal(t.At) || !p.LedgerAt.Before(p.At) {
				b.Errorf("at %s: got %+v, want the business day %s", at, p, want)
			}
		}
	}},
	{"what happened before is judged at its own time", func(b bench) {
		end := tokyo("2024-06-05 00:00:00")
		b.open(lot("brief", end))
		b.must(tx(ledger.Charge, move("funds", "brief", 100)))
		b.clock.Set(tokyo("2024-06-12 12:00:00"))
		past := pay(60)
		past.At = end.Add(-time.Hour)
		p := b.must(past)
		if p.BusinessOn != "2024-06-04" || !p.LedgerAt.Equal(b.clock.Now()) {
			b.Errorf("got %+v, want the business day 2024-06-04, and the ledger's own time", p)
		}
		b.values(map[ledger.AccountID]ledger.Yen{"brief": 40, till: 60})
		too := pay(10)
		too.At = end
		b.refuse(ledger.ErrInsufficientBalance, too)
		early := tx(ledger.Expire, move("brief", "expired", 40))
		early.At = end.Add(-time.Microsecond)
		b.refuse(ledger.ErrFlow, early)
		late := tx(ledger.Grant, move("premium", "brief", 1))
		late.At = end.Add(-time.Hour)
		b.must(late)
	}},
}
