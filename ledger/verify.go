package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Audited is what Verify and WriteJournal read: everything that is posted, in
// order, and what stands on the accounts. A store need not stop for it.
type Audited interface {
	Changes(ctx context.Context, after Seq, limit int) ([]Posted, error)
	End(ctx context.Context) (Seq, error)

	// Stretch returns what is posted from one entry to another, in order. Of a
	// transaction that reaches over an end it returns what lies within. ResolvedBy
	// and ResolvedAs are left out.
	Stretch(ctx context.Context, first, last Seq) ([]Posted, error)

	Transaction(ctx context.Context, id string) (Posted, error)
	Balance(ctx context.Context, id AccountID) (Balance, error)

	// Batches returns batches after a number, in order.
	Batches(ctx context.Context, after int64, limit int) ([]Batch, error)

	// Accounts returns accounts by ID, from the one after the given on.
	Accounts(ctx context.Context, after AccountID, limit int) ([]Balance, error)

	// EmptyCloses returns what Changes cannot: the transactions that closed a
	// period in which nothing was taken, in the order of ledger time.
	EmptyCloses(ctx context.Context) ([]Posted, error)
}

// Audit says what Verify went through.
type Audit struct {
	Transactions int64
	Entries      int64
	Batches      int64
	Accounts     int64
	OpenHolds    int64
	Seal         string // of the last batch: who kept it knows later that nothing before changed
}

// FaultError is the first thing that is wrong with a ledger.
type FaultError struct {
	Seq  Seq // of the entry, or 0
	What string
}

func (e *FaultError) Error() string {
	if e.Seq == 0 {
		return "the ledger is not right: " + e.What
	}
	return fmt.Sprintf("the ledger is not right at entry %d: %s", e.Seq, e.What)
}

func faultAt(seq Seq, format string, args ...any) error {
	return &FaultError{seq, fmt.Sprintf(format, args...)}
}

const auditPage = 10_000

// Verify recomputes a ledger from its entries, in a stream: the sequence
// without a gap, ledger time, both balances after each entry and the chain of
// each account's entries, floors and limits with what is held counted in, what
// residents had after, zero sums per programme, cancels, captures and releases
// against what they follow, closed periods, the chain of seals, and at the end
// the stored accounts. It returns a *FaultError for the first thing that is
// wrong. Progress is called now and then with the entries so far.
//
// A ledger may be verified while it is written to: what comes after the last
// entry that was seen is left out. It holds the balances of all accounts, about
// 400 bytes each, and the open holds.
func Verify(ctx context.Context, s Audited, progress func(entries int64)) (Audit, error) {
	v := &verifier{
		store: s, accounts: map[AccountID]*Balance{}, residents: map[holding]Yen{},
		holds: map[string]*Posted{}, closed: map[period]bool{},
	}
	err := v.open(ctx)
	if err == nil {
		err = v.entries(ctx, progress)
	}
	if err == nil {
		err = v.trialBalance()
	}
	if err == nil {
		err = v.balances(ctx)
	}
	v.audit.OpenHolds = int64(len(v.holds))
	return v.audit, err
}

// holding is what a resident has of a programme.
type holding struct {
	resident  string
	programme ProgrammeID
}

type verifier struct {
	store     Audited
	audit     Audit
	accounts  map[AccountID]*Balance // recomputed
	residents map[holding]Yen
	holds     map[string]*Posted // that are open
	closed    map[period]bool
	last      time.Time

	empty   []Posted // closes without entries, to come
	batches []Batch  // read ahead
	group   []*Posted
}

// open learns what the accounts are, with nothing on them.
func (v *verifier) open(ctx context.Context) error {
	for after := AccountID(""); ; {
		page, err := v.store.Accounts(ctx, after, auditPage)
		if err != nil {
			return err
		}
		for i := range page {
			after = page[i].ID
			v.accounts[after] = &Balance{Account: page[i].Account}
		}
		if len(page) < auditPage {
			break
		}
	}
	return v.readEmpty(ctx)
}

// readEmpty reads the closes without entries that are still to come. It is
// called after each page, so that it knows all that lie within the page, and not
// after the last one, so that nothing is missing before those that it knows.
func (v *verifier) readEmpty(ctx context.Context) (err error) {
	v.empty, err = v.store.EmptyCloses(ctx)
	for len(v.empty) > 0 && !v.last.Before(v.empty[0].LedgerAt) {
		v.empty = v.empty[1:]
	}
	return err
}

func (v *verifier) entries(ctx context.Context, progress func(int64)) error {
	err := eachStretch(ctx, v.store, 0, func(page []Posted) error {
		if err := v.readEmpty(ctx); err != nil {
			return err
		}
		for i := range page {
			for len(v.empty) > 0 && v.empty[0].LedgerAt.Before(page[i].LedgerAt) {
				if err := v.transaction(ctx, &v.empty[0]); err != nil {
					return err
				}
				v.empty = v.empty[1:]
			}
			if len(page[i].Entries) == 0 {
				return faultAt(Seq(v.audit.Entries)+1, "transaction %s has no entries", page[i].ID)
			}
			if err := v.transaction(ctx, &page[i]); err != nil {
				return err
			}
		}
		progress(v.audit.Entries)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range v.empty {
		if err := v.transaction(ctx, &v.empty[i]); err != nil {
			return err
		}
	}
	if len(v.group) > 0 {
		return faultAt(v.group[0].First(), "no batch holds it")
	}
	more, err := v.batch(ctx, Seq(v.audit.Entries))
	if err != nil || more == nil {
		return err
	}
	since, err := v.since(ctx)
	if err == nil && (more.First <= Seq(v.audit.Entries) || !since) {
		return faultAt(Seq(v.audit.Entries), "a batch goes on where the entries end")
	}
	return err
}

// since tells whether anything was posted after the last entry that was seen,
// and takes note of the periods that were closed by it.
func (v *verifier) since(ctx context.Context) (anything bool, err error) {
	for after := Seq(v.audit.Entries); ; {
		page, err := v.store.Changes(ctx, after, auditPage)
		if err != nil {
			return false, err
		}
		if len(page) == 0 {
			break
		}
		anything, after = true, page[len(page)-1].Last()
		for i := range page {
			if c := page[i].Closed; c != nil {
				v.closed[period{c.Programme, c.Period}] = true
			}
		}
	}
	if err := v.readEmpty(ctx); err != nil {
		return false, err
	}
	for i := range v.empty {
		anything = true
		v.closed[period{v.empty[i].Closed.Programme, v.empty[i].Closed.Period}] = true
	}
	return anything, nil
}

func (v *verifier) transaction(ctx context.Context, p *Posted) error {
	if !v.last.Before(p.LedgerAt) {
		return faultAt(p.First(), "ledger time does not rise")
	}
	v.last = p.LedgerAt
	for i := range p.Entries {
		if err := v.entry(ctx, p, &p.Entries[i]); err != nil {
			return err
		}
	}
	if err := v.follows(ctx, p); err != nil {
		return err
	}
	v.audit.Transactions++
	v.group = append(v.group, p)
	return v.seal(ctx, p)
}

func (v *verifier) entry(ctx context.Context, p *Posted, e *Entry) error {
	v.audit.Entries++
	if e.Seq != Seq(v.audit.Entries) {
		return faultAt(Seq(v.audit.Entries), "the next entry bears the number %d", e.Seq)
	}
	switch {
	case e.Amount < 0 || e.Amount == 0 && e.Held == 0:
		return faultAt(e.Seq, "the amount is not above zero")
	case e.Held > 0 != (p.Kind == Hold), e.Held < 0 && p.Kind != Capture && p.Kind != Void && p.Kind != Release:
		return faultAt(e.Seq, "a %s holds %d yen", p.Kind, e.Held)
	}
	debit, err := v.account(ctx, e, e.Debit)
	if err != nil {
		return err
	}
	credit, err := v.account(ctx, e, e.Credit)
	if err != nil {
		return err
	}
	if debit.LastSeq != e.DebitPrev || credit.LastSeq != e.CreditPrev {
		return faultAt(e.Seq, "the entries before it of its accounts are %d and %d, and not %d and %d",
			debit.LastSeq, credit.LastSeq, e.DebitPrev, e.CreditPrev)
	}
	debit.Debits += e.Amount
	debit.HeldDebits += e.Held
	credit.Credits += e.Amount
	credit.HeldCredits += e.Held
	for _, a := range [2]*Balance{debit, credit} {
		a.Version++
		a.LastSeq = e.Seq
		if a.Period != "" && v.closed[period{a.Programme, a.Period}] {
			return faultAt(e.Seq, "it touches a period that was closed before")
		}
	}
	if debit.Value() != e.DebitAfter || credit.Value() != e.CreditAfter {
		return faultAt(e.Seq, "the balances after are %d and %d, and not %d and %d",
			debit.Value(), credit.Value(), e.DebitAfter, e.CreditAfter)
	}
	switch {
	case !debit.Kind.MayGoNegative() && debit.Available() < 0:
		return faultAt(e.Seq, "account %s is overdrawn", debit.ID)
	case debit.Limit > 0 && -debit.Available() > debit.Limit:
		return faultAt(e.Seq, "account %s has issued more than its limit", debit.ID)
	case debit.HeldDebits < 0 || credit.HeldCredits < 0:
		return faultAt(e.Seq, "more is let go than was held")
	}
	return v.resident(p, e, debit, credit)
}

// account is one of an entry's accounts as recomputed so far.
func (v *verifier) account(ctx context.Context, e *Entry, id AccountID) (*Balance, error) {
	a := v.accounts[id]
	if a == nil { // it may have been opened since Verify began
		b, err := v.store.Balance(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return nil, faultAt(e.Seq, "account %s is in the entries and not among the accounts", id)
		}
		if err != nil {
			return nil, err
		}
		a = &Balance{Account: b.Account}
		v.accounts[id] = a
	}
	if a.Programme != e.Programme {
		return nil, faultAt(e.Seq, "it crosses programmes")
	}
	return a, nil
}

// resident checks what the resident had of the programme after an entry.
func (v *verifier) resident(p *Posted, e *Entry, debit, credit *Balance) error {
	if debit.Kind == ResidentLot {
		v.residents[holding{debit.Owner, e.Programme}] -= e.Amount
	}
	if credit.Kind == ResidentLot {
		v.residents[holding{credit.Owner, e.Programme}] += e.Amount
	}
	want := Yen(0)
	if p.Resident != "" {
		want = v.residents[holding{p.Resident, e.Programme}]
	}
	if e.ResidentAfter != want {
		return faultAt(e.Seq, "the resident has %d after it, and not %d", want, e.ResidentAfter)
	}
	return nil
}

// follows checks a transaction against the one that it ends or takes back.
func (v *verifier) follows(ctx context.Context, p *Posted) error {
	switch p.Kind {
	case Hold:
		v.holds[p.ID] = p
	case Capture, Void, Release:
		hold := v.holds[p.Parent]
		if hold == nil {
			return faultAt(p.First(), "it ends a hold that is not open")
		}
		delete(v.holds, p.Parent)
		if p.Kind == Release && p.LedgerAt.Before(hold.Until) || p.Kind == Capture && !p.LedgerAt.Before(hold.Until) {
			return faultAt(p.First(), "it does not keep the hold's time")
		}
		if len(p.Entries) != len(hold.Entries) {
			return faultAt(p.First(), "it does not end the whole hold")
		}
		for i := range p.Entries {
			e, h := &p.Entries[i], &hold.Entries[i]
			if e.Debit != h.Debit || e.Credit != h.Credit || e.Held != -h.Held || e.Amount > h.Held || p.Kind != Capture && e.Amount > 0 {
				return faultAt(e.Seq, "it does not end what the hold set aside")
			}
		}
	case Cancel, CancelGrant:
		return v.cancel(ctx, p)
	case Close:
		v.closed[period{p.Closed.Programme, p.Closed.Period}] = true
	}
	return nil
}

// cancel checks that a cancel turns its transaction round, whole, and that that
// one knows no other.
func (v *verifier) cancel(ctx context.Context, p *Posted) error {
	payment, err := v.store.Transaction(ctx, p.Parent)
	if errors.Is(err, ErrNotFound) {
		return faultAt(p.First(), "it cancels what is not there")
	}
	if err != nil {
		return err
	}
	var moved []Entry
	for i := range payment.Entries {
		if payment.Entries[i].Amount > 0 {
			moved = append(moved, payment.Entries[i])
		}
	}
	if payment.IsPayment() != (p.Kind == Cancel) || payment.ResolvedBy != p.ID || payment.First() > p.First() || len(moved) != len(p.Entries) {
		return faultAt(p.First(), "it does not cancel a payment, once and as a whole")
	}
	for i, e := range p.Entries {
		o := moved[len(moved)-1-i]
		if e.Debit != o.Credit || e.Credit != o.Debit || e.Amount != o.Amount {
			return faultAt(e.Seq, "it does not give back what the payment took")
		}
	}
	return nil
}

// seal closes the batch that ends with a transaction, if one does.
func (v *verifier) seal(ctx context.Context, p *Posted) error {
	b, err := v.batch(ctx, v.before())
	switch {
	case err != nil:
		return err
	case b == nil:
		return faultAt(p.Last(), "no batch holds it")
	case len(v.group) < b.Transactions:
		return nil // it goes on
	}
	return v.sealed(b, v.before(), Seq(v.audit.Entries))
}

// before is the last entry before the open batch.
func (v *verifier) before() Seq {
	last := Seq(v.audit.Entries)
	for _, p := range v.group {
		last -= Seq(len(p.Entries))
	}
	return last
}

// batch is the next one that posted something, or that lies beyond what was
// seen; those that only refused something are checked on the way.
func (v *verifier) batch(ctx context.Context, last Seq) (*Batch, error) {
	for {
		if len(v.batches) == 0 {
			var err error
			if v.batches, err = v.store.Batches(ctx, v.audit.Batches, auditPage); err != nil || len(v.batches) == 0 {
				return nil, err
			}
		}
		b := &v.batches[0]
		if b.Transactions > 0 || b.Last > last {
			return b, nil
		}
		open := v.group
		v.group = nil
		if err := v.sealed(b, last, last); err != nil {
			return nil, err
		}
		v.group = open
	}
}

// sealed checks that a batch seals the open group, from after one entry to
// another, and closes it.
func (v *verifier) sealed(b *Batch, before, last Seq) error {
	if b.First != before+1 || b.Last != last || b.Number != v.audit.Batches+1 {
		return faultAt(last, "the batch from %d to %d does not fit the entries", b.First, b.Last)
	}
	if v.audit.Seal = Seal(v.audit.Seal, v.group); v.audit.Seal != b.Seal {
		return faultAt(b.First, "the seal of the batch from %d to %d is broken: a row of it, or of one before, was changed", b.First, b.Last)
	}
	v.audit.Batches++
	v.batches, v.group = v.batches[1:], v.group[:0]
	return nil
}

// trialBalance checks that each programme sums to zero.
func (v *verifier) trialBalance() error {
	sums, held := map[ProgrammeID]Yen{}, map[ProgrammeID]Yen{}
	for _, b := range v.accounts {
		sums[b.Programme] += b.Value()
		held[b.Programme] += b.HeldCredits - b.HeldDebits
	}
	for programme, sum := range sums {
		if sum != 0 || held[programme] != 0 {
			return faultAt(0, "programme %s sums to %d yen, and to %d held", programme, sum, held[programme])
		}
	}
	return nil
}

// balances compares the stored accounts with what the entries say.
func (v *verifier) balances(ctx context.Context) error {
	var closed []*Balance // that were not by the last entry
	for after := AccountID(""); ; {
		page, err := v.store.Accounts(ctx, after, auditPage)
		if err != nil {
			return err
		}
		for i := range page {
			b := &page[i]
			after = b.ID
			v.audit.Accounts++
			want := v.accounts[b.ID]
			delete(v.accounts, b.ID)
			switch {
			case b.LastSeq > Seq(v.audit.Entries):
				continue // written to since
			case want == nil:
				want = &Balance{Account: b.Account}
			}
			switch {
			case b.Debits != want.Debits || b.Credits != want.Credits || b.HeldDebits != want.HeldDebits ||
				b.HeldCredits != want.HeldCredits || b.Version != want.Version || b.LastSeq != want.LastSeq:
				return faultAt(0, "account %s holds %d in %d entries, and its entries say %d in %d",
					b.ID, b.Value(), b.Version, want.Value(), want.Version)
			case b.Period != "" && b.Closed && !v.closed[period{b.Programme, b.Period}]:
				closed = append(closed, b)
			case b.Period != "" && !b.Closed && v.closed[period{b.Programme, b.Period}]:
				return faultAt(0, "account %s is not closed with its period", b.ID)
			}
		}
		if len(page) < auditPage {
			break
		}
	}
	for id := range v.accounts {
		return faultAt(0, "account %s is in the entries and not among the accounts", id)
	}
	if len(closed) == 0 {
		return nil
	}
	if _, err := v.since(ctx); err != nil {
		return err
	}
	for _, b := range closed {
		if !v.closed[period{b.Programme, b.Period}] {
			return faultAt(0, "account %s is closed, and its period is not", b.ID)
		}
	}
	return nil
}
