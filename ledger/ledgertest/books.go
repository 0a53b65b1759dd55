package ledgertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"meguri/ledger"
)

// Books reads what a ledger has posted and says which of its invariants does
// not hold. It decides nothing, and so knows neither Fold nor the Model:
//
//	I1   debits equal credits in each programme, moved and held
//	I2   the counters of an account are those of its entries
//	I3   what is no fund is never below zero, what is held counted in
//	I4   funds issue no more than their limit, and what they issued is all there
//	I5   an ID is posted once (and answered the same again: see Trial)
//	I6   a hold ends once, by no more than was held, and what is held is of open holds
//	I7   what is taken back is the whole, once, and goes where it came from
//	I8   a transaction is whole (and a refused one leaves nothing: see Trial)
//	I9   the sequence has no gap, ledger time rises, each account's entries are a chain
//	I10  nothing enters a closed period, and what it closes with is what was paid in
//	I11  a lot is not used after its expiry
//
// I12, I13 and I14 compare ledgers, and I15 is the Writer's.
type Books struct {
	Accounts func(ledger.AccountID) (ledger.Account, error)

	end      ledger.Seq
	last     time.Time
	balances map[ledger.AccountID]*ledger.Balance
	posted   map[string]*ledger.Posted
	holds    map[string]*ledger.Posted // that are open
	closed   map[ledger.Closing]bool
}

// NewBooks returns the books of an empty ledger.
func NewBooks(accounts func(ledger.AccountID) (ledger.Account, error)) *Books {
	return &Books{
		Accounts: accounts, balances: map[ledger.AccountID]*ledger.Balance{}, posted: map[string]*ledger.Posted{},
		holds: map[string]*ledger.Posted{}, closed: map[ledger.Closing]bool{},
	}
}

func (b *Books) account(id ledger.AccountID) (*ledger.Balance, error) {
	if a := b.balances[id]; a != nil {
		return a, nil
	}
	account, err := b.Accounts(id)
	if err != nil {
		return nil, fmt.Errorf("I2: account %s of an entry: %w", id, err)
	}
	b.balances[id] = &ledger.Balance{Account: account}
	return b.balances[id], nil
}

// Add reads the next transaction.
func (b *Books) Add(p *ledger.Posted) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s %s: "+format, append([]any{p.Kind, p.ID}, args...)...)
	}
	if b.posted[p.ID] != nil {
		return wrong("I5: it was posted before")
	}
	b.posted[p.ID] = p
	if !b.last.Before(p.LedgerAt) {
		return wrong("I9: ledger time goes from %v to %v", b.last, p.LedgerAt)
	}
	b.last = p.LedgerAt
	if len(p.Entries) == 0 && p.Kind != ledger.Close {
		return wrong("I8: it has no entries")
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		if b.end++; e.Seq != b.end {
			return wrong("I9: entry %d where %d is next", e.Seq, b.end)
		}
		if err := b.entry(p, e); err != nil {
			return wrong("entry %d: %w", e.Seq, err)
		}
	}
	if err := b.follow(p); err != nil {
		return wrong("%w", err)
	}
	return nil
}

func (b *Books) entry(p *ledger.Posted, e *ledger.Entry) error {
	debit, err := b.account(e.Debit)
	if err != nil {
		return err
	}
	credit, err := b.account(e.Credit)
	if err != nil {
		return err
	}
	if debit.Programme != e.Programme || credit.Programme != e.Programme {
		return fmt.Errorf("I1: from programme %s to %s", debit.Programme, credit.Programme)
	}
	if e.DebitPrev != debit.LastSeq || e.CreditPrev != credit.LastSeq {
		return fmt.Errorf("I9: it follows %d and %d, want %d and %d", e.DebitPrev, e.CreditPrev, debit.LastSeq, credit.LastSeq)
	}
	for _, a := range []*ledger.Balance{debit, credit} {
		if a.Closed {
			return fmt.Errorf("I10: account %s was closed before", a.ID)
		}
		a.Version++
		a.LastSeq = e.Seq
	}
	if e.Amount < 0 || e.Amount+e.Held == 0 && p.Kind != ledger.Capture && p.Kind != ledger.Void && p.Kind != ledger.Release {
		return fmt.Errorf("I8: it moves %d and holds %d", e.Amount, e.Held)
	}
	debit.Debits, debit.HeldDebits = debit.Debits+e.Amount, debit.HeldDebits+e.Held
	credit.Credits, credit.HeldCredits = credit.Credits+e.Amount, credit.HeldCredits+e.Held
	if debit.Value() != e.DebitAfter || credit.Value() != e.CreditAfter {
		return fmt.Errorf("I9: it leaves %d and %d, want %d and %d", e.DebitAfter, e.CreditAfter, debit.Value(), credit.Value())
	}
	fund := debit.Kind == ledger.FundsPaid || debit.Kind == ledger.FundsPremium
	switch {
	case !fund && debit.Credits-debit.Debits-debit.HeldDebits < 0:
		return fmt.Errorf("I3: account %s is below zero", debit.ID)
	case fund && debit.Limit > 0 && debit.Debits+debit.HeldDebits-debit.Credits > debit.Limit:
		return fmt.Errorf("I4: %s has issued more than %d", debit.ID, debit.Limit)
	}
	switch p.Kind {
	case ledger.Expire, ledger.Move, ledger.Adjust, ledger.Release, ledger.Void, ledger.CancelGrant, ledger.Cancel:
	case ledger.Capture:
		if !debit.ExpiresAt.IsZero() && !p.LedgerAt.Before(debit.ExpiresAt) {
			return fmt.Errorf("I11: %s expired at %v", debit.ID, debit.ExpiresAt)
		}
	default:
		if !debit.ExpiresAt.IsZero() && !p.At.Before(debit.ExpiresAt) {
			return fmt.Errorf("I11: %s expired at %v", debit.ID, debit.ExpiresAt)
		}
	}
	return nil
}

// follow checks a transaction against the one that it ends, takes back or closes.
func (b *Books) follow(p *ledger.Posted) error {
	switch p.Kind {
	case ledger.Hold:
		b.holds[p.ID] = p
	case ledger.Capture, ledger.Void, ledger.Release:
		hold := b.holds[p.Parent]
		if hold == nil {
			return fmt.Errorf("I6: the hold %s is not open", p.Parent)
		}
		delete(b.holds, p.Parent)
		if up := !p.LedgerAt.Before(hold.Until); up != (p.Kind == ledger.Release) {
			return fmt.Errorf("I6: at %v, and the hold ends at %v", p.LedgerAt, hold.Until)
		}
		if p.Kind != ledger.Capture && p.Total() > 0 || p.Total() > hold.TotalHeld() || p.TotalHeld() != -hold.TotalHeld() {
			return fmt.Errorf("I6: it moves %d and lets go %d of %d", p.Total(), p.TotalHeld(), hold.TotalHeld())
		}
		if !slices.EqualFunc(p.Entries, hold.Entries, func(e, h ledger.Entry) bool {
			return e.Debit == h.Debit && e.Credit == h.Credit && e.Held == -h.Held && e.Amount <= h.Held
		}) {
			return fmt.Errorf("I8: its entries are not those of the hold")
		}
	case ledger.Cancel, ledger.CancelGrant:
		return b.back(p)
	case ledger.Close:
		return b.close(p)
	}
	return nil
}

func (b *Books) back(p *ledger.Posted) error {
	parent := b.posted[p.Parent]
	if parent == nil {
		return fmt.Errorf("I7: there is no %s to take back", p.Parent)
	}
	if parent.ResolvedBy != "" && parent.ResolvedBy != p.ID {
		return fmt.Errorf("I7: %s was taken back by %s", p.Parent, parent.ResolvedBy)
	}
	parent.ResolvedBy = p.ID
	var want, got []ledger.Transfer
	for _, e := range slices.Backward(parent.Entries) {
		if e.Amount > 0 {
			want = append(want, ledger.Transfer{Debit: e.Credit, Credit: e.Debit, Amount: e.Amount})
		}
	}
	for _, e := range p.Entries {
		got = append(got, e.Transfer)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("I7: it moves %v, want %v", got, want)
	}
	return nil
}

func (b *Books) close(p *ledger.Posted) error {
	c := p.Closed
	if c == nil {
		return fmt.Errorf("I10: it does not say what it closed")
	}
	key := ledger.Closing{Programme: c.Programme, Period: c.Period}
	if b.closed[key] {
		return fmt.Errorf("I10: %s %s was closed before", c.Programme, c.Period)
	}
	b.closed[key] = true
	if want := b.end - ledger.Seq(len(p.Entries)); c.Cut != want || c.By != p.ID {
		return fmt.Errorf("I10: the cut is %d by %s, want %d", c.Cut, c.By, want)
	}
	for _, a := range b.balances {
		if a.Kind != ledger.ShopUnsettled || a.Programme != c.Programme || a.Period != c.Period {
			continue
		}
		// What stood on it, payments less cancels, went to the shop's payable.
		if a.Value() != 0 || a.HeldCredits != 0 {
			return fmt.Errorf("I10: %s closes with %d on it and %d held for it", a.ID, a.Value(), a.HeldCredits)
		}
		a.Closed = true
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		from, to := b.balances[e.Debit], b.balances[e.Credit]
		if from.Kind != ledger.ShopUnsettled || from.Period != c.Period || to.Kind != ledger.ShopPayable || to.Owner != from.Owner {
			return fmt.Errorf("I10: it moves from %s to %s", e.Debit, e.Credit)
		}
	}
	return nil
}

// Compare holds the stored accounts against the entries.
func (b *Books) Compare(ctx context.Context, s ledger.Audited) error {
	type sums struct{ value, held, issued, elsewhere ledger.Yen }
	programmes := map[ledger.ProgrammeID]*sums{}
	seen := 0
	for after := ledger.AccountID(""); ; {
		page, err := s.Accounts(ctx, after, 1000)
		if err != nil {
			return err
		}
		for i := range page {
			got := &page[i]
			if after >= got.ID {
				return fmt.Errorf("account %s comes after %s", got.ID, after)
			}
			after = got.ID
			want := b.balances[got.ID]
			if want == nil {
				want = &ledger.Balance{Account: got.Account, Closed: got.Closed}
			} else {
				seen++
			}
			if got.Period != "" {
				want.Closed = b.closed[ledger.Closing{Programme: got.Programme, Period: got.Period}]
			}
			if *got != *want {
				return fmt.Errorf("I2: account %s is stored as\n%+v\nand its entries say\n%+v", got.ID, *got, *want)
			}
			sum := programmes[got.Programme]
			if sum == nil {
				sum = &sums{}
				programmes[got.Programme] = sum
			}
			sum.value += got.Value()
			sum.held += got.HeldCredits - got.HeldDebits
			if got.Kind == ledger.FundsPaid || got.Kind == ledger.FundsPremium {
				sum.issued -= got.Value()
			} else {
				sum.elsewhere += got.Value()
			}
		}
		if len(page) < 1000 {
			break
		}
	}
	if seen != len(b.balances) {
		return fmt.Errorf("I2: %d accounts have entries, and %d of them are stored", len(b.balances), seen)
	}
	for programme, sum := range programmes {
		switch {
		case sum.value != 0 || sum.held != 0:
			return fmt.Errorf("I1: programme %s sums to %d, and to %d held", programme, sum.value, sum.held)
		case sum.issued != sum.elsewhere:
			return fmt.Errorf("I4: programme %s has issued %d, and %d is there", programme, sum.issued, sum.elsewhere)
		}
	}
	return b.held()
}

// held checks that what is held on an account is of holds that are open.
func (b *Books) held() error {
	debits, credits := map[ledger.AccountID]ledger.Yen{}, map[ledger.AccountID]ledger.Yen{}
	for _, hold := range b.holds {
		for i := range hold.Entries {
			debits[hold.Entries[i].Debit] += hold.Entries[i].Held
			credits[hold.Entries[i].Credit] += hold.Entries[i].Held
		}
	}
	for id, a := range b.balances {
		if a.HeldDebits != debits[id] || a.HeldCredits != credits[id] {
			return fmt.Errorf("I6: on %s %d and %d are held, and by open holds %d and %d", id, a.HeldDebits, a.HeldCredits, debits[id], credits[id])
		}
	}
	return nil
}
