package ledgertest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"meguri/ledger"
)

var rules = []claim{
	{"a charge of two transfers moves paid and premium value into the lot", func(b bench) {
		p := b.must(tx(ledger.Charge, move("funds", "lot", 1000), move("premium", "lot", 200)))
		b.values(map[ledger.AccountID]ledger.Yen{"funds": -1000, "premium": -200, "lot": 1200})
		if p.Total() != 1200 || p.First() != 1 || p.Last() != 2 || p.Entries[1].ResidentAfter != 1200 {
			b.Errorf("got %+v, want 1200 yen in entries 1 and 2", p)
		}
	}},
	{"what is granted can be paid with", func(b bench) {
		b.must(tx(ledger.Grant, move("p-premium", "p-lot", 50)))
		p := b.must(tx(ledger.Pay, move("p-lot", pTill, 30)))
		b.values(map[ledger.AccountID]ledger.Yen{"p-premium": -50, "p-lot": 20, pTill: 30})
		if !p.IsPayment() || p.Entries[0].DebitAfter != 20 || p.Entries[0].CreditAfter != 30 {
			b.Errorf("got %+v, want a payment that leaves 20 and 30", p)
		}
	}},
	{"a combined payment is posted whole or not at all (MT-3)", func(b bench) {
		b.must(charge(1000))
		b.must(tx(ledger.Grant, move("p-premium", "p-lot", 50)))
		both := func(v, p ledger.Yen) ledger.Transaction {
			t := pay(v)
			t.Spends = append(t.Spends, ledger.Spend{Programme: "p", Amount: p, Into: []ledger.AccountID{pTill}})
			return t
		}
		b.refuse(ledger.ErrInsufficientBalance, both(500, 51))
		b.refuse(ledger.ErrInsufficientBalance, tx(ledger.Pay, move("lot", till, 1), move("p-lot", pTill, 51)))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 1000, till: 0, "p-lot": 50, pTill: 0})
		p := b.must(both(500, 50))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 500, till: 500, "p-lot": 0, pTill: 50})
		if len(p.Entries) != 2 || p.Entries[0].ResidentAfter != 500 || p.Entries[1].ResidentAfter != 0 {
			b.Errorf("got %+v, want what the resident has after, by programme", p.Entries)
		}
	}},
	{"a lot is never overdrawn", func(b bench) {
		b.must(charge(1200))
		b.refuse(ledger.ErrInsufficientBalance, tx(ledger.Pay, move("lot", till, 1201)))
		b.refuse(ledger.ErrInsufficientBalance, pay(1201))
		b.must(pay(1200))
		b.refuse(ledger.ErrInsufficientBalance, pay(1))
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 0, till: 1200})
	}},
	{"each kind of transaction moves value only between the kinds of account that it is for", testFlows},
	{"what is not well formed is refused", testMalformed},
	{"an amount beyond int64 is refused, moved or held", testOverflow},
	{"no value moves to another programme", func(b bench) {
		b.must(charge(100))
		b.refuse(ledger.ErrUnbalanced, tx(ledger.Grant, move("funds", "p-lot", 1)))
		b.refuse(ledger.ErrUnbalanced, tx(ledger.Pay, move("lot", pTill, 1)))
		b.refuse(ledger.ErrUnbalanced, withReason(tx(ledger.Adjust, move("lot", "p-lot", 1))))
		t := pay(1)
		t.Spends[0].Into = []ledger.AccountID{pTill}
		b.refuse(ledger.ErrUnbalanced, t)
	}},
	{"accounts must exist", func(b bench) {
		b.must(charge(100))
		b.refuse(ledger.ErrAccountNotFound, tx(ledger.Charge, move("funds", "nowhere", 1)))
		b.refuse(ledger.ErrAccountNotFound, tx(ledger.Charge, move("nowhere", "lot", 1)))
		t := pay(1)
		t.Spends[0].Into = []ledger.AccountID{"nowhere"}
		b.refuse(ledger.ErrAccountNotFound, t)
		t = pay(1)
		t.Spends[0].Into = []ledger.AccountID{"nowhere", till} // the next one will do
		b.must(t)
	}},
	{"what is not on the list of kinds is refused, as are the ledger's own releases", func(b bench) {
		b.must(charge(100))
		h := b.must(b.hold(10, time.Hour))
		for _, kind := range []ledger.Kind{"", "gift", ledger.Release} {
			t := after(kind, h.ID)
			b.refuse(ledger.ErrInvalid, t)
			t = tx(kind, move("lot", till, 1))
			b.refuse(ledger.ErrInvalid, t)
		}
	}},
	{"without a usable ID nothing is kept", func(b bench) {
		t := charge(1)
		t.ID = ""
		long := charge(1)
		long.ID = strings.Repeat("x", ledger.MaxID+1)
		for range 2 {
			if o := b.post(t); !errors.Is(o.Err, ledger.ErrMissingID) || o.Replay || ledger.IsRefusal(o.Err) {
				b.Errorf("no ID: got %v, want ErrMissingID", o.Err)
			}
			if o := b.post(long); !errors.Is(o.Err, ledger.ErrIDTooLong) || o.Replay || ledger.IsRefusal(o.Err) {
				b.Errorf("65 bytes: got %v, want ErrIDTooLong", o.Err)
			}
		}
		long.ID = long.ID[1:]
		b.must(long)
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 1})
	}},
	{"the same ID and content gets the same answer byte for byte, a refusal too, whatever has changed since", testReplay},
	{"the same ID with other content is a conflict and changes nothing", testConflict},
	{"a caller's digest says what is the same request", func(b bench) {
		first := charge(100)
		first.Request = ledger.Digest{1}
		p := b.must(first)
		if p.Request != first.Request {
			b.Errorf("got request %x, want %x", p.Request, first.Request)
		}
		again := first
		again.Actor, again.Transfers = "another", []ledger.Transfer{move("funds", "lot", 999)}
		if o := b.post(again); o.Err != nil || !o.Replay || o.Posted.Actor != "test" {
			b.Errorf("the same digest: got %+v, want the first answer", o)
		}
		first.Request = ledger.Digest{2}
		if o := b.post(first); !errors.Is(o.Err, ledger.ErrConflict) {
			b.Errorf("another digest: got %v, want ErrConflict", o.Err)
		}
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 100})
	}},
	{"a refusal that was decided before is kept, and overrides no answer", func(b bench) {
		t := charge(100)
		t.Refused = "outside-term"
		b.refuse("outside-term", t)
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 0})
		stands := charge(100)
		stands.Request = ledger.Digest{7}
		p := b.must(stands)
		stands.Refused = "outside-term"
		if o := b.post(stands); o.Err != nil || !o.Replay || o.Posted.ID != p.ID {
			b.Errorf("got %+v, want the answer that was given before", o)
		}
		nonsense := ledger.Transaction{ID: uuid.NewString(), Refused: "no-such-shop"} // nothing else of it is looked at
		b.refuse("no-such-shop", nonsense)
	}},
	{"the ID under which a hold will be released cannot be used before", func(b bench) {
		b.must(charge(100))
		first := b.hold(10, time.Minute)
		b.must(first)
		b.clock.Add(time.Minute)
		b.sweep()
		released, err := b.Transaction(b.Context(), first.ID)
		if err != nil || released.ResolvedAs != ledger.Release {
			b.Fatalf("got %+v, %v, want a hold that was released", released, err)
		}
		// The same hold in another ledger has the same release.
		other := b.again()
		other.must(charge(100))
		first.Until = other.clock.Now().Add(time.Minute)
		other.must(first)
		t := charge(1)
		t.ID = released.ResolvedBy
		if o := other.post(t); o.Err == nil {
			b.Error("somebody else's transaction took the ID of a release")
		}
		other.clock.Add(time.Minute)
		other.must(pay(100))
		if o := b.post(t); !errors.Is(o.Err, ledger.ErrConflict) {
			b.Errorf("the ID of a release that stands: got %v, want ErrConflict", o.Err)
		}
		other.verify()
	}},
	{"one batch has the result of many, and repeats in it are replays", func(b bench) {
		buy, over, buys := charge(1200), pay(2000), pay(700)
		outcomes, err := b.Post(b.Context(), buy, buys, over, buys, after(ledger.Cancel, buys.ID), over)
		if err != nil {
			b.Fatal(err)
		}
		want := []string{"posted", "posted", "insufficient-balance", "again posted", "posted", "again insufficient-balance"}
		for i, o := range outcomes {
			if got := AnswerOf(o); got != want[i] {
				b.Errorf("transaction %d: got %s, want %s", i, got, want[i])
			}
		}
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 1200, till: 0})
		if batches, err := b.Batches(b.Context(), 0, 10); err != nil || len(batches) != 1 || batches[0].Transactions != 3 {
			b.Errorf("got batches %+v, %v, want one of 3 transactions", batches, err)
		}
	}},
	{"what keeps nothing is no batch", func(b bench) {
		b.must(charge(100))
		t := pay(1)
		b.must(t)
		if outcomes, err := b.Post(b.Context()); err != nil || len(outcomes) != 0 {
			b.Errorf("nothing: got %+v, %v", outcomes, err)
		}
		b.post(t)
		t.Reason = "other content"
		b.post(t)
		t.ID = ""
		b.post(t)
		if batches, err := b.Batches(b.Context(), 0, 10); err != nil || len(batches) != 2 {
			b.Errorf("got batches %+v, %v, want two", batches, err)
		}
	}},
	{"a limit bounds what is issued, what is held counted in, and what comes back frees it", func(b bench) {
		sold := b.must(charge(limit - 100))
		b.refuse(ledger.ErrLimitExceeded, charge(101))
		sale := tx(ledger.Hold, move("funds", "lot", 60))
		sale.Shop, sale.Until = "", b.clock.Now().Add(time.Minute)
		b.must(sale)
		b.refuse(ledger.ErrLimitExceeded, charge(41))
		b.must(charge(40))
		b.refuse(ledger.ErrLimitExceeded, charge(1))
		b.clock.Add(time.Minute) // the sale was not paid for
		b.must(charge(60))
		b.refuse(ledger.ErrLimitExceeded, charge(1))
		b.must(after(ledger.CancelGrant, sold.ID))
		b.must(charge(limit - 100))
		b.must(tx(ledger.Grant, move("premium", "lot", 10*limit))) // no limit of its own
		b.values(map[ledger.AccountID]ledger.Yen{"funds": -limit, "lot": 11 * limit})
	}},
	{"a correction moves value between any accounts of a programme, with a reason", func(b bench) {
		b.refuse(ledger.ErrInvalid, tx(ledger.Adjust, move("funds", "suspense", 5)))
		b.must(withReason(tx(ledger.Adjust, move("funds", "suspense", 5))))
		b.must(withReason(tx(ledger.Adjust, move("suspense", till, 3))))
		b.refuse(ledger.ErrInsufficientBalance, withReason(tx(ledger.Adjust, move("suspense", "lot", 3))))
		b.values(map[ledger.AccountID]ledger.Yen{"funds": -5, "suspense": 2, till: 3})
	}},
}

// again is a new bench on a store of its own, of the same kind.
func (b bench) again() bench {
	b.Helper()
	return newBench(b.T, b.with)
}

func withReason(t ledger.Transaction) ledger.Transaction {
	t.Reason = "count"
	return t
}

func testFlows(b bench) {
	// One account of each kind, and of those that may stand on both sides two. Each
	// has value, and the lots are over, so that Expire may take from them.
	expiry := b.clock.Now().Add(time.Hour)
	b.open(
		ledger.Account{ID: "funds2", Programme: "v", Kind: ledger.FundsPremium, Owner: "v"},
		ledger.Account{ID: "payable", Programme: "v", Kind: ledger.ShopPayable, Owner: "s"},
		lot("old", expiry), lot("new", time.Time{}),
	)
	b.must(tx(ledger.Charge, move("premium", "old", 1000)))
	from := []ledger.AccountID{"funds", "premium", "lot", till, "payable", "bank", "expired", "lapsed", "refunded", "suspense"}
	to := []ledger.AccountID{"funds2", "new", nextTill, "payable", "bank", "expired", "lapsed", "refunded", "suspense"}
	for _, id := range from[1:] {
		if id != "premium" {
			b.must(withReason(tx(ledger.Adjust, move("premium", id, 1000))))
		}
	}
	b.clock.Add(time.Hour)
	kinds := map[ledger.AccountID]ledger.AccountKind{}
	for _, id := range slices.Concat(from, to, []ledger.AccountID{"old"}) {
		kinds[id] = b.balance(id).Kind
	}
	for kind := range movable {
		var batch []ledger.Transaction
		var want []ledger.Refusal
		for _, debit := range from {
			for _, credit := range to {
				if debit == credit {
					continue
				}
				t := tx(kind, move(debit, credit, 1))
				if kind == ledger.Expire && debit == "lot" {
					t.Transfers[0].Debit = "old"
				}
				if kind == ledger.Hold {
					t.Until = b.clock.Now().Add(time.Hour)
				}
				batch = append(batch, withReason(t))
				refusal := ledger.ErrFlow
				if movable.may(kind, kinds[debit], kinds[credit]) {
					refusal = ""
				}
				want = append(want, refusal)
			}
		}
		outcomes, err := b.Post(b.Context(), batch...)
		if err != nil {
			b.Fatal(err)
		}
		for i, o := range outcomes {
			if ledger.RefusalCode(o.Err) != string(want[i]) {
				b.Errorf("%s from %s to %s: got %v, want %q", kind, batch[i].Transfers[0].Debit, batch[i].Transfers[0].Credit, o.Err, want[i])
			}
		}
	}
	b.refuse(ledger.ErrFlow, tx(ledger.Expire, move("lot", "expired", 1))) // its time is not up
}

func testMalformed(b bench) {
	b.must(charge(1000))
	paid := b.must(pay(1))
	held := b.must(b.hold(1, time.Hour))
	with := func(t ledger.Transaction, change func(*ledger.Transaction)) ledger.Transaction {
		change(&t)
		return t
	}
	many := func(n int) (list []ledger.Transfer) {
		for range n {
			list = append(list, move("lot", till, 1))
		}
		return list
	}
	for name, c := range map[string]struct {
		tx   ledger.Transaction
		want ledger.Refusal
	}{
		"no transfers":                    {tx(ledger.Charge), ledger.ErrInvalid},
		"nothing":                         {tx(ledger.Charge, move("funds", "lot", 0)), ledger.ErrAmountZero},
		"less than nothing":               {tx(ledger.Charge, move("funds", "lot", -1)), ledger.ErrAmountNegative},
		"nothing, second":                 {tx(ledger.Charge, move("funds", "lot", 1), move("premium", "lot", 0)), ledger.ErrAmountZero},
		"the least":                       {tx(ledger.Charge, move("funds", "lot", math.MinInt64)), ledger.ErrAmountNegative},
		"a spend of nothing":              {pay(0), ledger.ErrAmountZero},
		"a spend of less than nothing":    {pay(-1), ledger.ErrAmountNegative},
		"from and to the same":            {tx(ledger.Charge, move("lot", "lot", 1)), ledger.ErrSelfTransfer},
		"101 transfers":                   {tx(ledger.Pay, many(101)...), ledger.ErrGroupTooLarge},
		"100 transfers and a spend":       {with(pay(1), func(t *ledger.Transaction) { t.Transfers = many(100) }), ledger.ErrGroupTooLarge},
		"a parent where none is":          {with(charge(1), func(t *ledger.Transaction) { t.Parent = paid.ID }), ledger.ErrInvalid},
		"a cancel with transfers":         {with(after(ledger.Cancel, paid.ID), func(t *ledger.Transaction) { t.Transfers = many(1) }), ledger.ErrInvalid},
		"a cancel of nothing":             {after(ledger.Cancel, ""), ledger.ErrInvalid},
		"a cancel of a part":              {with(after(ledger.Cancel, paid.ID), func(t *ledger.Transaction) { t.Amount = 1 }), ledger.ErrInvalid},
		"a capture with a spend":          {with(pay(1), func(t *ledger.Transaction) { t.Kind, t.Parent = ledger.Capture, held.ID }), ledger.ErrInvalid},
		"a capture of less than nothing":  {capture(held.ID, -1), ledger.ErrAmountNegative},
		"a void of a part":                {with(after(ledger.Void, held.ID), func(t *ledger.Transaction) { t.Amount = 1 }), ledger.ErrInvalid},
		"a hold without an end":           {with(pay(1), func(t *ledger.Transaction) { t.Kind = ledger.Hold }), ledger.ErrInvalid},
		"a payment with an end":           {with(pay(1), func(t *ledger.Transaction) { t.Until = b.clock.Now().Add(time.Hour) }), ledger.ErrInvalid},
		"a hold that is over":             {b.hold(1, 0), ledger.ErrHoldExpired},
		"a spend of nobody":               {with(pay(1), func(t *ledger.Transaction) { t.Resident = "" }), ledger.ErrInvalid},
		"a spend of no programme":         {with(pay(1), func(t *ledger.Transaction) { t.Spends[0].Programme = "" }), ledger.ErrInvalid},
		"a spend into nothing":            {with(pay(1), func(t *ledger.Transaction) { t.Spends[0].Into = nil }), ledger.ErrInvalid},
		"an adjust without a reason":      {tx(ledger.Adjust, move("lot", till, 1)), ledger.ErrInvalid},
		"a close of no period":            {closing("v", ""), ledger.ErrInvalid},
		"a close of no programme":         {closing("", week), ledger.ErrInvalid},
		"a close of no day":               {closing("v", "2024-02-30"), ledger.ErrInvalid},
		"a close with transfers":          {with(closing("v", week), func(t *ledger.Transaction) { t.Transfers = many(1) }), ledger.ErrInvalid},
		"a close of a shop":               {with(closing("v", week), func(t *ledger.Transaction) { t.Shop = "s" }), ledger.ErrInvalid},
		"a payment of a period":           {with(pay(1), func(t *ledger.Transaction) { t.Programme, t.Period = "v", week }), ledger.ErrInvalid},
		"a move of a lot into itself":     {with(pay(1), func(t *ledger.Transaction) { t.Kind, t.Spends[0].Into = ledger.Move, []ledger.AccountID{"lot"} }), ledger.ErrSelfTransfer},
		"an account without a programme":  {opening(ledger.Account{ID: "n", Kind: ledger.ResidentLot, Owner: "r"}), ledger.ErrInvalid},
		"an account of no kind":           {opening(ledger.Account{ID: "n", Programme: "v", Kind: "purse", Owner: "r"}), ledger.ErrInvalid},
		"a lot with a period":             {opening(ledger.Account{ID: "n", Programme: "v", Kind: ledger.ResidentLot, Owner: "r", Period: week}), ledger.ErrInvalid},
		"an account with too long an ID":  {opening(lot(ledger.AccountID(strings.Repeat("n", 201)), time.Time{})), ledger.ErrInvalid},
		"an account with a limit below 0": {opening(ledger.Account{ID: "n", Programme: "v", Kind: ledger.ResidentLot, Owner: "r", Limit: -1}), ledger.ErrInvalid},
		"takings that expire":             {opening(ledger.Account{ID: "n", Programme: "v", Kind: ledger.ShopUnsettled, Owner: "r", ExpiresAt: b.clock.Now()}), ledger.ErrInvalid},
	} {
		b.Run(name, func(t *testing.T) {
			b := b
			b.T = t
			b.refuse(c.want, c.tx)
		})
	}
	b.must(tx(ledger.Pay, many(100)...))
	b.values(map[ledger.AccountID]ledger.Yen{"funds": -1000, "lot": 899, till: 101})
}

// opening is a charge into an account that it opens.
func opening(a ledger.Account) ledger.Transaction {
	t := tx(ledger.Charge, move("funds", a.ID, 1))
	t.Opens = []ledger.Account{a}
	return t
}

func testOverflow(b bench) {
	const most = ledger.Yen(math.MaxInt64)
	b.open(
		ledger.Account{ID: "great", Programme: "x", Kind: ledger.FundsPaid, Owner: "x"},
		ledger.Account{ID: "greater", Programme: "x", Kind: ledger.FundsPaid, Owner: "x"},
		ledger.Account{ID: "x-lot", Programme: "x", Kind: ledger.ResidentLot, Owner: "r"},
		ledger.Account{ID: "x-lot2", Programme: "x", Kind: ledger.ResidentLot, Owner: "r"},
		ledger.Account{ID: "x-lot3", Programme: "x", Kind: ledger.ResidentLot, Owner: "r2"},
	)
	held := tx(ledger.Hold, move("great", "x-lot", 5))
	held.Shop, held.Until = "", b.clock.Now().Add(time.Hour)
	b.must(held)
	b.refuse(ledger.ErrOverflow, tx(ledger.Charge, move("great", "x-lot3", most-4)))
	b.refuse(ledger.ErrOverflow, tx(ledger.Charge, move("greater", "x-lot", most-4)))
	b.must(tx(ledger.Charge, move("great", "x-lot", most-5)))
	b.refuse(ledger.ErrOverflow, tx(ledger.Charge, move("great", "x-lot3", 1)))
	b.refuse(ledger.ErrOverflow, tx(ledger.Charge, move("greater", "x-lot", 1)))
	b.must(capture(held.ID, 0))
	b.refuse(ledger.ErrOverflow, tx(ledger.Charge, move("greater", "x-lot2", 1))) // more than a resident can have
	b.must(tx(ledger.Charge, move("greater", "x-lot3", most)))
	b.values(map[ledger.AccountID]ledger.Yen{"great": -most, "greater": -most, "x-lot": most, "x-lot2": 0, "x-lot3": most})
}

func testReplay(b bench) {
	good, bad, paid := charge(1000), pay(9999), pay(100)
	held := b.hold(50, time.Hour)
	ends := capture(held.ID, 20)
	back := after(ledger.Cancel, paid.ID)
	tooMuch, ended := capture(held.ID, 51), after(ledger.Void, held.ID)
	shut := closing("p", "2024-06-02")
	all := []ledger.Transaction{good, bad, paid, held, tooMuch, ends, ended, back, shut}
	var first []ledger.Outcome
	for _, t := range all {
		first = append(first, b.post(t))
	}
	for i, want := range []string{"posted", "insufficient-balance", "posted", "posted", "capture-beyond-hold", "posted", "hold-resolved", "posted", "posted"} {
		if got := AnswerOf(first[i]); got != want {
			b.Errorf("%s: got %s, want %s", all[i].Kind, got, want)
		}
	}
	end, err := b.End(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.clock.Add(48 * time.Hour)
	b.must(charge(100_000)) // now what was refused could be paid, and the hold's time would be up
	for range 2 {
		outcomes, err := b.Post(b.Context(), all...)
		if err != nil {
			b.Fatal(err)
		}
		for i, got := range outcomes {
			if !got.Replay {
				b.Errorf("%s: the second answer is not marked as a replay", all[i].Kind)
			}
			got.Replay = false
			if d := gocmp.Diff(first[i], got, gocmp.Comparer(errors.Is), cmpopts.EquateEmpty()); d != "" {
				b.Errorf("%s: the second answer differs from the first:\n%s", all[i].Kind, d)
			}
		}
	}
	if now, err := b.End(b.Context()); err != nil || now != end+1 {
		b.Errorf("the ledger ends at %d, %v, want %d", now, err, end+1)
	}
}

func testConflict(b bench) {
	first, refused := charge(100), pay(9999)
	b.must(first)
	b.refuse(ledger.ErrInsufficientBalance, refused)
	h := b.hold(1, time.Hour)
	b.must(h)
	for what, change := range map[string]func(*ledger.Transaction){
		"amount":    func(t *ledger.Transaction) { t.Transfers = []ledger.Transfer{move("funds", "lot", 5000)} },
		"debit":     func(t *ledger.Transaction) { t.Transfers = []ledger.Transfer{move("premium", "lot", 100)} },
		"resident":  func(t *ledger.Transaction) { t.Resident = "r2" },
		"shop":      func(t *ledger.Transaction) { t.Shop = "s2" },
		"terminal":  func(t *ledger.Transaction) { t.Terminal = "2" },
		"actor":     func(t *ledger.Transaction) { t.Actor = "another" },
		"reason":    func(t *ledger.Transaction) { t.Reason = "x" },
		"kind":      func(t *ledger.Transaction) { t.Kind = ledger.Grant },
		"parent":    func(t *ledger.Transaction) { t.Parent = "x" },
		"programme": func(t *ledger.Transaction) { t.Programme = "v" },
		"period":    func(t *ledger.Transaction) { t.Period = week },
		"part":      func(t *ledger.Transaction) { t.Amount = 1 },
		"time":      func(t *ledger.Transaction) { t.At = b.clock.Now() },
		"end":       func(t *ledger.Transaction) { t.Until = b.clock.Now() },
		"refusal":   func(t *ledger.Transaction) { t.Refused = "x" },
		"spend":     func(t *ledger.Transaction) { t.Spends = pay(1).Spends },
	} {
		for _, t := range []ledger.Transaction{first, refused, h} {
			before := fmt.Sprintf("%+v", t)
			change(&t)
			if before == fmt.Sprintf("%+v", t) {
				continue // it was so before
			}
			if o := b.post(t); !errors.Is(o.Err, ledger.ErrConflict) || o.Replay {
				b.Errorf("another %s: got %v, want ErrConflict", what, o.Err)
			}
		}
	}
	b.values(map[ledger.AccountID]ledger.Yen{"lot": 100})
	b.held("lot", 1)
}
