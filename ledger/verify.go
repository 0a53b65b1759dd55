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
	Transaction(ctx context.Context, id string) (Posted, error)

	// Batches returns batches whose first entry comes after a sequence number,
	// in order.
	Batches(ctx context.Context, after Seq, limit int) ([]Batch, error)

	// Accounts returns accounts by ID, from the one after the given on.
	Accounts(ctx context.Context, after AccountID, limit int) ([]Balance, error)
}

// Audit says what Verify went through.
type Audit struct {
	Transactions int64
	Entries      int64
	Batches      int64
	Accounts     int64
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

const auditPage = 1000

// Verify recomputes a ledger from its entries, in a stream: the sequence
// without a gap, ledger time, both balances after each entry, floors, zero sum
// per programme, cancels against what they cancel, the chain of seals, and at
// the end the stored accounts. It returns a *FaultError for the first thing
// that is wrong. Progress is called now and then with the entries so far.
//
// It holds the balances of all accounts, about 150 bytes each.
func Verify(ctx context.Context, s Audited, progress func(entries int64)) (Audit, error) {
	v := &verifier{store: s, values: map[AccountID]*Balance{}, sums: map[ProgrammeID]Yen{}}
	err := v.entries(ctx, progress)
	if err == nil {
		err = v.trialBalance()
	}
	if err == nil {
		err = v.accounts(ctx)
	}
	return v.audit, err
}

type verifier struct {
	store  Audited
	audit  Audit
	values map[AccountID]*Balance
	sums   map[ProgrammeID]Yen
	last   time.Time

	batches []Batch // read ahead
	open    []Posted
}

func (v *verifier) entries(ctx context.Context, progress func(int64)) error {
	for {
		page, err := v.store.Changes(ctx, Seq(v.audit.Entries), auditPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			if err := v.transaction(ctx, p); err != nil {
				return err
			}
		}
		progress(v.audit.Entries)
	}
	if len(v.open) > 0 {
		return &FaultError{v.open[0].First(), "no batch holds it"}
	}
	switch more, err := v.store.Batches(ctx, Seq(v.audit.Entries), 1); {
	case err != nil:
		return err
	case len(more) > 0 || len(v.batches) > 0:
		return &FaultError{Seq(v.audit.Entries), "a batch goes on where the entries end"}
	}
	return nil
}

func (v *verifier) transaction(ctx context.Context, p Posted) error {
	if len(p.Entries) == 0 {
		return &FaultError{Seq(v.audit.Entries) + 1, "transaction " + p.ID + " has no entries"}
	}
	if p.LedgerAt.Before(v.last) {
		return &FaultError{p.First(), "ledger time runs backwards"}
	}
	v.last = p.LedgerAt
	for _, e := range p.Entries {
		if err := v.entry(e); err != nil {
			return err
		}
	}
	if p.Kind == Cancel {
		if err := v.cancel(ctx, p); err != nil {
			return err
		}
	}
	v.audit.Transactions++
	v.open = append(v.open, p)
	return v.seal(ctx, p.Last())
}

func (v *verifier) entry(e Entry) error {
	v.audit.Entries++
	if e.Seq != Seq(v.audit.Entries) {
		return &FaultError{Seq(v.audit.Entries), fmt.Sprintf("the next entry bears the number %d", e.Seq)}
	}
	if e.Amount <= 0 {
		return &FaultError{e.Seq, "the amount is not above zero"}
	}
	debit, credit := v.value(e.Debit), v.value(e.Credit)
	debit.Debits += e.Amount
	debit.Version++
	credit.Credits += e.Amount
	credit.Version++
	if debit.Value() != e.DebitAfter || credit.Value() != e.CreditAfter {
		return &FaultError{e.Seq, fmt.Sprintf("the balances after are %d and %d, and not %d and %d",
			debit.Value(), credit.Value(), e.DebitAfter, e.CreditAfter)}
	}
	for _, b := range []*Balance{debit, credit} {
		if b.Programme == "" {
			b.Programme = e.Programme
		}
		if b.Programme != e.Programme {
			return &FaultError{e.Seq, "it crosses programmes"}
		}
	}
	return nil
}

func (v *verifier) value(id AccountID) *Balance {
	b := v.values[id]
	if b == nil {
		b = &Balance{}
		v.values[id] = b
	}
	return b
}

// cancel checks that a cancel turns its payment round, whole, and that the
// payment knows no other.
func (v *verifier) cancel(ctx context.Context, p Posted) error {
	payment, err := v.store.Transaction(ctx, p.Parent)
	if errors.Is(err, ErrNotFound) {
		return &FaultError{p.First(), "it cancels what is not there"}
	}
	if err != nil {
		return err
	}
	if payment.Kind != Pay || payment.CancelledBy != p.ID || payment.First() > p.First() || len(payment.Entries) != len(p.Entries) {
		return &FaultError{p.First(), "it does not cancel a payment, once and as a whole"}
	}
	for i, e := range p.Entries {
		o := payment.Entries[len(payment.Entries)-1-i]
		if e.Debit != o.Credit || e.Credit != o.Debit || e.Amount != o.Amount {
			return &FaultError{e.Seq, "it does not give back what the payment took"}
		}
	}
	return nil
}

// seal closes the batch that ends at an entry, if one does.
func (v *verifier) seal(ctx context.Context, last Seq) error {
	if len(v.batches) == 0 {
		var err error
		if v.batches, err = v.store.Batches(ctx, v.open[0].First()-1, auditPage); err != nil {
			return err
		}
	}
	if len(v.batches) == 0 {
		return &FaultError{last, "no batch holds it"}
	}
	b := v.batches[0]
	switch {
	case b.First != v.open[0].First() || b.Last < last:
		return &FaultError{last, fmt.Sprintf("the batch from %d to %d does not fit the entries", b.First, b.Last)}
	case b.Last > last:
		return nil // it goes on
	}
	if v.audit.Seal = Seal(v.audit.Seal, v.open); v.audit.Seal != b.Seal {
		return &FaultError{b.First, fmt.Sprintf("the seal of the batch from %d to %d is broken: a row of it, or of one before, was changed", b.First, b.Last)}
	}
	v.audit.Batches++
	v.batches, v.open = v.batches[1:], v.open[:0]
	return nil
}

// trialBalance checks that each programme sums to zero.
func (v *verifier) trialBalance() error {
	for _, b := range v.values {
		v.sums[b.Programme] += b.Value()
	}
	for programme, sum := range v.sums {
		if sum != 0 {
			return &FaultError{0, fmt.Sprintf("programme %s sums to %d yen", programme, sum)}
		}
	}
	return nil
}

// accounts compares the stored accounts with what the entries say.
func (v *verifier) accounts(ctx context.Context) error {
	for after := AccountID(""); ; {
		page, err := v.store.Accounts(ctx, after, auditPage)
		if err != nil {
			return err
		}
		for _, b := range page {
			after = b.ID
			v.audit.Accounts++
			want := v.values[b.ID]
			delete(v.values, b.ID)
			if want == nil {
				want = &Balance{Account: Account{Programme: b.Programme}}
			}
			switch {
			case b.Programme != want.Programme || b.Debits != want.Debits || b.Credits != want.Credits || b.Version != want.Version:
				return &FaultError{0, fmt.Sprintf("account %s holds %d in %d entries, and its entries say %d in %d",
					b.ID, b.Value(), b.Version, want.Value(), want.Version)}
			case b.Value() < 0 && !b.Kind.MayGoNegative():
				return &FaultError{0, fmt.Sprintf("account %s is overdrawn", b.ID)}
			}
		}
		if len(page) < auditPage {
			break
		}
	}
	for id := range v.values {
		return &FaultError{0, fmt.Sprintf("account %s is in the entries and not among the accounts", id)}
	}
	return nil
}
