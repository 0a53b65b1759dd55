package ledgertest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/ledgertest"
)

// story is a ledger with a little of everything, as posted.
func story(t *testing.T) (*ledgertest.Memory, []ledger.Posted) {
	t.Helper()
	clock := ledgertest.NewClock()
	m := ledgertest.NewMemory(clock.Now)
	till := ledger.Account{ID: "till", Programme: "v", Kind: ledger.ShopUnsettled, Owner: "s", Period: "2024-06-03"}
	err := m.OpenAccounts(t.Context(), till,
		ledger.Account{ID: "funds", Programme: "v", Kind: ledger.FundsPaid, Owner: "v", Limit: 100},
		ledger.Account{ID: "lot", Programme: "v", Kind: ledger.ResidentLot, Owner: "r", ExpiresAt: clock.Now().Add(time.Hour)},
		ledger.Account{ID: "other", Programme: "p", Kind: ledger.ResidentLot, Owner: "r"})
	if err != nil {
		t.Fatal(err)
	}
	spend := []ledger.Spend{{Programme: "v", Amount: 10, Into: []ledger.AccountID{"till"}}}
	outcomes, err := m.Post(t.Context(),
		ledger.Transaction{ID: "charge", Kind: ledger.Charge, Resident: "r", Transfers: []ledger.Transfer{{Debit: "funds", Credit: "lot", Amount: 100}}},
		ledger.Transaction{ID: "pay", Kind: ledger.Pay, Resident: "r", Shop: "s", Spends: spend},
		ledger.Transaction{ID: "cancel", Kind: ledger.Cancel, Parent: "pay"},
		ledger.Transaction{ID: "hold", Kind: ledger.Hold, Resident: "r", Shop: "s", Spends: spend, Until: clock.Now().Add(time.Minute)},
		ledger.Transaction{ID: "capture", Kind: ledger.Capture, Parent: "hold", Amount: 6},
		ledger.Transaction{ID: "late", Kind: ledger.Pay, Resident: "r", Shop: "s", Spends: spend},
		ledger.Transaction{ID: "close", Kind: ledger.Close, Programme: "v", Period: "2024-06-03"},
		ledger.Transaction{ID: "last", Kind: ledger.Charge, Resident: "r", Transfers: []ledger.Transfer{{Debit: "funds", Credit: "lot", Amount: 1}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes[:7] {
		if o.Err != nil {
			t.Fatalf("%+v", outcomes)
		}
	}
	posted, err := m.Changes(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return m, posted
}

func read(m *ledgertest.Memory, posted []ledger.Posted) (*ledgertest.Books, error) {
	books := ledgertest.NewBooks(func(id ledger.AccountID) (ledger.Account, error) {
		b, err := m.Balance(context.Background(), id)
		return b.Account, err
	})
	for i := range posted {
		if err := books.Add(&posted[i]); err != nil {
			return books, err
		}
	}
	return books, books.Compare(context.Background(), m)
}

// The books would be worth nothing if they passed anything: each invariant is
// broken once.
func TestBooks_TellEachFault(t *testing.T) {
	m, right := story(t)
	if _, err := read(m, right); err != nil {
		t.Fatalf("before: %v", err)
	}
	const charge, pay, cancel, hold, capture, late, shut = 0, 1, 2, 3, 4, 5, 6
	for name, c := range map[string]struct {
		want   string
		tamper func([]ledger.Posted) []ledger.Posted
	}{
		"across programmes":        {"I1", func(l []ledger.Posted) []ledger.Posted { l[pay].Entries[0].Debit = "other"; return l }},
		"an entry less":            {"I2", func(l []ledger.Posted) []ledger.Posted { return l[:shut] }},
		"below zero":               {"I3", func(l []ledger.Posted) []ledger.Posted { return amount(l, pay, 101) }},
		"more than the limit":      {"I4", func(l []ledger.Posted) []ledger.Posted { return amount(l, charge, 101) }},
		"an ID twice":              {"I5", func(l []ledger.Posted) []ledger.Posted { l[late].ID = "pay"; return l }},
		"a hold ended twice":       {"I6", func(l []ledger.Posted) []ledger.Posted { l[late] = turned(l[capture], l[late]); return l }},
		"captured too late":        {"I6", func(l []ledger.Posted) []ledger.Posted { l[hold].Until = l[capture].LedgerAt; return l }},
		"captured beyond the hold": {"I6", func(l []ledger.Posted) []ledger.Posted { return amount(l, capture, 11) }},
		"a part given back":        {"I7", func(l []ledger.Posted) []ledger.Posted { return amount(l, cancel, 9) }},
		"cancelled twice":          {"I7", func(l []ledger.Posted) []ledger.Posted { l[pay].ResolvedBy = "another"; return l }},
		"nothing moved":            {"I8", func(l []ledger.Posted) []ledger.Posted { l[late].Entries = nil; return l }},
		"a hold ended in part":     {"I8", func(l []ledger.Posted) []ledger.Posted { l[capture].Entries[0].Debit = "funds"; return chained(l) }},
		"a gap":                    {"I9", func(l []ledger.Posted) []ledger.Posted { return slices.Delete(l, 1, 2) }},
		"time stands still":        {"I9", func(l []ledger.Posted) []ledger.Posted { l[pay].LedgerAt = l[charge].LedgerAt; return l }},
		"a broken chain":           {"I9", func(l []ledger.Posted) []ledger.Posted { l[cancel].Entries[0].CreditPrev = 1; return l }},
		"a false balance":          {"I9", func(l []ledger.Posted) []ledger.Posted { l[cancel].Entries[0].CreditAfter++; return l }},
		"into a closed period":     {"I10", func(l []ledger.Posted) []ledger.Posted { return append(l, again(l[late], l[shut])) }},
		"a close of nothing":       {"I10", func(l []ledger.Posted) []ledger.Posted { l[shut].Closed = nil; return l }},
		"a close with a false cut": {"I10", func(l []ledger.Posted) []ledger.Posted { l[shut].Closed.Cut++; return l }},
		"a shop that is left out":  {"I10", func(l []ledger.Posted) []ledger.Posted { l[shut].Entries = nil; l[shut].Closed.Cut = 6; return l }},
		"after its expiry":         {"I11", func(l []ledger.Posted) []ledger.Posted { l[pay].At = l[pay].At.Add(time.Hour); return l }},
	} {
		t.Run(name, func(t *testing.T) {
			m, posted := story(t)
			posted = slices.Clone(posted)
			for i := range posted {
				posted[i].Entries = slices.Clone(posted[i].Entries)
			}
			_, err := read(m, c.tamper(posted))
			if err == nil || !strings.Contains(err.Error(), c.want+":") {
				t.Errorf("got %v, want a fault of %s", err, c.want)
			}
		})
	}
}

// amount changes an amount and all that follows from it.
func amount(l []ledger.Posted, i int, to ledger.Yen) []ledger.Posted {
	l[i].Entries[0].Amount = to
	return chained(l)
}

// chained makes the balances and places of entries right again.
func chained(l []ledger.Posted) []ledger.Posted {
	value, last := map[ledger.AccountID]ledger.Yen{}, map[ledger.AccountID]ledger.Seq{}
	for i := range l {
		for j := range l[i].Entries {
			e := &l[i].Entries[j]
			value[e.Debit] -= e.Amount
			value[e.Credit] += e.Amount
			e.DebitAfter, e.CreditAfter = value[e.Debit], value[e.Credit]
			e.DebitPrev, e.CreditPrev = last[e.Debit], last[e.Credit]
			last[e.Debit], last[e.Credit] = e.Seq, e.Seq
		}
	}
	return l
}

// turned is a transaction once more in the place of another.
func turned(p, place ledger.Posted) ledger.Posted {
	p.ID, p.LedgerAt = "again", place.LedgerAt
	p.Entries = slices.Clone(place.Entries)
	p.Entries[0].Held = -10
	return p
}

// again is a transaction once more after another.
func again(p, before ledger.Posted) ledger.Posted {
	p.ID, p.LedgerAt = "again", before.LedgerAt.Add(time.Second)
	p.Entries = slices.Clone(p.Entries)
	e := &p.Entries[0]
	e.Seq, e.DebitPrev, e.CreditPrev = before.Last()+1, e.Seq, before.Last()
	return p
}
