package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/ledgertest"
)

// town is a ledger that a made-up town has filled.
func town(t *testing.T, seed uint64, batches int) (*ledgertest.Memory, func()) {
	t.Helper()
	clock := ledgertest.NewClock()
	m := ledgertest.NewMemory(clock.Now)
	town := &ledgertest.Town{Dice: ledgertest.Seeded(seed), Residents: 3, Shops: 2, Limit: 200}
	if err := m.OpenAccounts(t.Context(), town.Accounts()...); err != nil {
		t.Fatal(err)
	}
	more := func() {
		clock.Add(max(0, town.Step()))
		var batch []ledger.Transaction
		for range town.Throw(6) {
			batch = append(batch, town.Command(clock.Now()))
		}
		if _, err := m.Post(context.Background(), batch...); err != nil {
			t.Fatal(err)
		}
	}
	for range batches {
		more()
	}
	return m, more
}

// written is a ledger that is written to before everything that is read of it,
// and hands out small pages.
type written struct {
	*ledgertest.Memory
	more func()
}

func (w *written) Changes(ctx context.Context, after ledger.Seq, _ int) ([]ledger.Posted, error) {
	w.more()
	return w.Memory.Changes(ctx, after, 20)
}

func (w *written) End(ctx context.Context) (ledger.Seq, error) {
	w.more()
	end, err := w.Memory.End(ctx)
	w.more()
	return end, err
}

func (w *written) Stretch(ctx context.Context, first, last ledger.Seq) ([]ledger.Posted, error) {
	w.more()
	return w.Memory.Stretch(ctx, first, last)
}

func (w *written) Batches(ctx context.Context, after int64, _ int) ([]ledger.Batch, error) {
	w.more()
	return w.Memory.Batches(ctx, after, 7)
}

func (w *written) EmptyCloses(ctx context.Context) ([]ledger.Posted, error) {
	w.more()
	return w.Memory.EmptyCloses(ctx)
}

func (w *written) Accounts(ctx context.Context, after ledger.AccountID, limit int) ([]ledger.Balance, error) {
	w.more()
	return w.Memory.Accounts(ctx, after, limit)
}

func (w *written) Transaction(ctx context.Context, id string) (ledger.Posted, error) {
	w.more()
	return w.Memory.Transaction(ctx, id)
}

func (w *written) Balance(ctx context.Context, id ledger.AccountID) (ledger.Balance, error) {
	w.more()
	return w.Memory.Balance(ctx, id)
}

// What comes while Verify reads is no fault, whatever it is: entries, accounts,
// closes with and without entries.
func TestVerify_MayRunWhileOthersWrite(t *testing.T) {
	for seed := range uint64(150) {
		m, more := town(t, seed, 30)
		left := 20 + int(seed%200) // and then they have gone home
		var mu sync.Mutex
		w := &written{m, func() {
			mu.Lock()
			defer mu.Unlock()
			if left > 0 {
				left--
				more()
			}
		}}
		audit, err := ledger.Verify(t.Context(), w, func(int64) {})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if audit.Entries == 0 {
			t.Errorf("seed %d: nothing was verified", seed)
		}
	}
}

// forged is a ledger of which a row is not what it was. Sealed again, it is as
// if nobody had ever sealed it otherwise.
type forged struct {
	*ledgertest.Memory
	posted   []ledger.Posted
	accounts func([]ledger.Balance)
	batches  func([]ledger.Batch) []ledger.Batch
	sealed   bool
}

func (f *forged) Changes(_ context.Context, after ledger.Seq, _ int) (page []ledger.Posted, _ error) {
	for _, p := range f.posted {
		if p.First() > after {
			page = append(page, p)
		}
	}
	return page, nil
}

func (f *forged) Stretch(_ context.Context, first, last ledger.Seq) (list []ledger.Posted, _ error) {
	place := ledger.Seq(0)
	for _, p := range f.posted {
		all := p.Entries
		p.Entries = nil
		for _, e := range all {
			if place++; place >= first && place <= last {
				p.Entries = append(p.Entries, e)
			}
		}
		if len(p.Entries) > 0 {
			list = append(list, p)
		}
	}
	return list, nil
}

func (f *forged) Transaction(_ context.Context, id string) (ledger.Posted, error) {
	for _, p := range f.posted {
		if p.ID == id {
			return p, nil
		}
	}
	return ledger.Posted{}, ledger.ErrNotFound
}

func (f *forged) Accounts(ctx context.Context, after ledger.AccountID, limit int) ([]ledger.Balance, error) {
	page, err := f.Memory.Accounts(ctx, after, limit)
	if f.accounts != nil {
		f.accounts(page)
	}
	return page, err
}

func (f *forged) Batches(ctx context.Context, after int64, limit int) ([]ledger.Batch, error) {
	list, err := f.Memory.Batches(ctx, 0, 1000)
	if f.batches != nil {
		list = f.batches(list)
	}
	if f.sealed {
		rest, seal := f.posted, ""
		for i := range list {
			var of []*ledger.Posted
			for range min(list[i].Transactions, len(rest)) {
				of, rest = append(of, &rest[0]), rest[1:]
			}
			seal = ledger.Seal(seal, of)
			list[i].Seal = seal
		}
	}
	return list[min(int(after), len(list)):], err
}

// Whoever changes the past is told of, also where the change was sealed.
func TestVerify_NamesTheFault(t *testing.T) {
	const charge, pay, cancel, hold, capture, shut = 0, 1, 2, 3, 4, 5
	at := func(i int, change func(*ledger.Posted)) func(*forged) {
		return func(f *forged) { change(&f.posted[i]) }
	}
	entry := func(i int, change func(*ledger.Entry)) func(*forged) {
		return func(f *forged) { change(&f.posted[i].Entries[0]) }
	}
	for name, c := range map[string]struct {
		want  string
		forge func(*forged)
	}{
		"a number":                   {"bears the number", entry(pay, func(e *ledger.Entry) { e.Seq = 7 })},
		"no entries":                 {"bears the number", at(pay, func(p *ledger.Posted) { p.Entries = nil })},
		"time":                       {"time does not rise", at(pay, func(p *ledger.Posted) { p.LedgerAt = p.LedgerAt.Add(-time.Hour) })},
		"an amount":                  {"balances after", entry(pay, func(e *ledger.Entry) { e.Amount++ })},
		"no amount":                  {"not above zero", entry(pay, func(e *ledger.Entry) { e.Amount = 0 })},
		"a balance":                  {"balances after", entry(pay, func(e *ledger.Entry) { e.CreditAfter++ })},
		"a balance below zero":       {"overdrawn", func(f *forged) { f.amount(pay, 101) }},
		"beyond the limit":           {"more than its limit", func(f *forged) { f.amount(charge, 1001) }},
		"more held than there is":    {"overdrawn", func(f *forged) { f.hold("lot", "till", 101) }},
		"held beyond the limit":      {"more than its limit", func(f *forged) { f.hold("funds", "lot", 901) }},
		"what the resident had":      {"the resident has", entry(pay, func(e *ledger.Entry) { e.ResidentAfter = 1 })},
		"another resident":           {"the resident has", at(pay, func(p *ledger.Posted) { p.Resident = "r2" })},
		"the entry before":           {"entries before it", entry(cancel, func(e *ledger.Entry) { e.DebitPrev = 1 })},
		"an account that is unknown": {"not among the accounts", entry(pay, func(e *ledger.Entry) { e.Debit = "nowhere" })},
		"another programme":          {"crosses programmes", entry(pay, func(e *ledger.Entry) { e.Debit = "p-lot" })},
		"a payment that holds":       {"holds 5 yen", entry(pay, func(e *ledger.Entry) { e.Held = 5 })},
		"a payment that lets go":     {"holds -5 yen", entry(pay, func(e *ledger.Entry) { e.Held = -5 })},
		"a hold ended twice":         {"not open", at(capture, func(p *ledger.Posted) { p.Parent = "pay" })},
		"a hold ended in part":       {"set aside", entry(capture, func(e *ledger.Entry) { e.Held = -9 })},
		"a void that moves":          {"set aside", at(capture, func(p *ledger.Posted) { p.Kind = ledger.Void })},
		"a capture too late":         {"time", at(hold, func(p *ledger.Posted) { p.Until = p.LedgerAt })},
		"a release too early":        {"time", at(capture, func(p *ledger.Posted) { p.Kind = ledger.Release })},
		"a cancel of nothing":        {"not there", at(cancel, func(p *ledger.Posted) { p.Parent = "nothing" })},
		"a cancel of a charge":       {"once and as a whole", at(cancel, func(p *ledger.Posted) { p.Parent = "charge" })},
		"a cancel of another":        {"once and as a whole", at(pay, func(p *ledger.Posted) { p.ResolvedBy = "x" })},
		"a cancel of a part":         {"what the payment took", func(f *forged) { f.amount(cancel, 9) }},
		"into a closed period": {"closed before", func(f *forged) {
			last := &f.posted[shut+1].Entries[0]
			last.Debit, last.Credit = "lot", "till"
			f.order()
		}},
		"a stored balance": {"its entries say", accounts(func(b *ledger.Balance) { b.Credits++ })},
		"a stored version": {"its entries say", accounts(func(b *ledger.Balance) { b.Version++ })},
		"what is held":     {"its entries say", accounts(func(b *ledger.Balance) { b.HeldDebits++ })},
		"the last entry":   {"its entries say", accounts(func(b *ledger.Balance) { b.LastSeq-- })},
		"opened again":     {"not closed with its period", accounts(func(b *ledger.Balance) { b.Closed = false })},
		"closed by hand":   {"its period is not", accounts(func(b *ledger.Balance) { b.Closed = b.Period != "" })},
		"a batch less":     {"no batch holds it", func(f *forged) { f.batches = func(l []ledger.Batch) []ledger.Batch { return l[:len(l)-1] } }},
		"a batch more": {"a batch goes on", func(f *forged) {
			f.batches = func(l []ledger.Batch) []ledger.Batch {
				last := l[len(l)-1]
				return append(l, ledger.Batch{Number: last.Number + 1, First: last.Last + 1, Last: last.Last + 1, Transactions: 1})
			}
		}},
		"a batch of another length": {"does not fit", func(f *forged) {
			f.batches = func(l []ledger.Batch) []ledger.Batch { l[1].Last++; return l }
		}},
		"a batch of another number": {"does not fit", func(f *forged) {
			f.batches = func(l []ledger.Batch) []ledger.Batch { l[1].Number++; return l }
		}},
	} {
		for _, sealed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, sealed %t", name, sealed), func(t *testing.T) {
				f := original(t)
				if _, err := ledger.Verify(t.Context(), f, func(int64) {}); err != nil {
					t.Fatalf("before: %v", err)
				}
				c.forge(f)
				f.sealed = sealed
				_, err := ledger.Verify(t.Context(), f, func(int64) {})
				var fault *ledger.FaultError
				if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) && (sealed || !strings.Contains(err.Error(), "seal")) {
					t.Errorf("got %v, want a fault that says %q", err, c.want)
				}
			})
		}
	}
	// What no rule forbids, the seal tells.
	for name, change := range map[string]func(*ledger.Posted){
		"an ID":       func(p *ledger.Posted) { p.ID = "x" },
		"an actor":    func(p *ledger.Posted) { p.Actor = "x" },
		"a shop":      func(p *ledger.Posted) { p.Shop = "x" },
		"a terminal":  func(p *ledger.Posted) { p.Terminal = "x" },
		"a reason":    func(p *ledger.Posted) { p.Reason = "x" },
		"a digest":    func(p *ledger.Posted) { p.Request[0]++ },
		"an instant":  func(p *ledger.Posted) { p.At = p.At.Add(time.Microsecond) },
		"a day":       func(p *ledger.Posted) { p.BusinessOn = "2024-06-04" },
		"ledger time": func(p *ledger.Posted) { p.LedgerAt = p.LedgerAt.Add(time.Nanosecond * 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			f := original(t)
			change(&f.posted[len(f.posted)-1])
			_, err := ledger.Verify(t.Context(), f, func(int64) {})
			if err == nil || !strings.Contains(err.Error(), "the seal of the batch from 7 to 7 is broken") {
				t.Errorf("got %v, want a broken seal", err)
			}
		})
	}
}

// original is a ledger with one transaction of most kinds.
func original(t *testing.T) *forged {
	t.Helper()
	clock := ledgertest.NewClock()
	m := ledgertest.NewMemory(clock.Now)
	err := m.OpenAccounts(t.Context(),
		ledger.Account{ID: "till", Programme: "v", Kind: ledger.ShopUnsettled, Owner: "s", Period: "2024-06-03"},
		ledger.Account{ID: "next", Programme: "v", Kind: ledger.ShopUnsettled, Owner: "s", Period: "2024-06-09"},
		ledger.Account{ID: "funds", Programme: "v", Kind: ledger.FundsPaid, Owner: "v", Limit: 1000},
		ledger.Account{ID: "lot", Programme: "v", Kind: ledger.ResidentLot, Owner: "r"},
		ledger.Account{ID: "p-lot", Programme: "p", Kind: ledger.ResidentLot, Owner: "r"})
	if err != nil {
		t.Fatal(err)
	}
	spend := []ledger.Spend{{Programme: "v", Amount: 10, Into: []ledger.AccountID{"till"}}}
	for _, tx := range []ledger.Transaction{
		{ID: "charge", Kind: ledger.Charge, Resident: "r", Transfers: []ledger.Transfer{{Debit: "funds", Credit: "lot", Amount: 100}}},
		{ID: "pay", Kind: ledger.Pay, Resident: "r", Shop: "s", Spends: spend},
		{ID: "cancel", Kind: ledger.Cancel, Parent: "pay"},
		{ID: "hold", Kind: ledger.Hold, Resident: "r", Shop: "s", Spends: spend, Until: clock.Now().Add(time.Hour)},
		{ID: "capture", Kind: ledger.Capture, Parent: "hold", Amount: 6},
		{ID: "close", Kind: ledger.Close, Programme: "v", Period: "2024-06-03"},
		{ID: "last", Kind: ledger.Charge, Resident: "r", Transfers: []ledger.Transfer{{Debit: "funds", Credit: "lot", Amount: 1}}},
	} {
		if outcomes, err := m.Post(t.Context(), tx); err != nil || outcomes[0].Err != nil {
			t.Fatalf("%s: %v, %v", tx.ID, err, outcomes[0].Err)
		}
	}
	posted, err := m.Changes(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range posted {
		posted[i].Entries = slices.Clone(posted[i].Entries)
	}
	return &forged{Memory: m, posted: posted}
}

// amount changes an amount and all balances that follow from it, so that only
// the rule that it breaks can tell.
func (f *forged) amount(i int, to ledger.Yen) {
	f.posted[i].Entries[0].Amount = to
	f.order()
}

// hold makes the hold, and what ended it, one of another amount.
func (f *forged) hold(debit, credit ledger.AccountID, held ledger.Yen) {
	for i := range f.posted {
		switch e := &f.posted[i].Entries[0]; f.posted[i].Kind {
		case ledger.Hold:
			e.Debit, e.Credit, e.Held = debit, credit, held
		case ledger.Capture:
			e.Debit, e.Credit, e.Held = debit, credit, -held
		}
	}
	f.order()
}

// order makes the places and balances of all entries right again.
func (f *forged) order() {
	value, last, seq := map[ledger.AccountID]ledger.Yen{}, map[ledger.AccountID]ledger.Seq{}, ledger.Seq(0)
	for i := range f.posted {
		if i > 0 && !f.posted[i-1].LedgerAt.Before(f.posted[i].LedgerAt) {
			f.posted[i].LedgerAt = f.posted[i-1].LedgerAt.Add(time.Microsecond)
		}
		for j := range f.posted[i].Entries {
			e := &f.posted[i].Entries[j]
			seq++
			value[e.Debit] -= e.Amount
			value[e.Credit] += e.Amount
			e.Seq, e.DebitPrev, e.CreditPrev = seq, last[e.Debit], last[e.Credit]
			e.DebitAfter, e.CreditAfter = value[e.Debit], value[e.Credit]
			e.ResidentAfter = 0
			if f.posted[i].Resident != "" {
				e.ResidentAfter = value["lot"]
			}
			last[e.Debit], last[e.Credit] = seq, seq
		}
	}
}

func accounts(change func(*ledger.Balance)) func(*forged) {
	return func(f *forged) {
		f.accounts = func(page []ledger.Balance) {
			for i := range page {
				change(&page[i])
			}
		}
	}
}
