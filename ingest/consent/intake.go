package consent

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Summary tells what became of the consents of a file or a registry. Read is
// the sum of the other three.
type Summary struct {
	Read, Entered, Duplicate, Faulty int64
	Withdrawn                        int64 // withdrawals among what was entered
}

// intake enters many receipts, and knows which are there.
type intake struct {
	desk     *Desk
	register *Register
	seen     map[[16]byte]bool
	numbers  map[string][16]byte
	entries  []Entry
}

// batch is how many entries are committed at a time.
const batch = 1000

func (d *Desk) intake(ctx context.Context) (*intake, error) {
	r, err := d.Register(ctx)
	if err != nil {
		return nil, err
	}
	in := &intake{desk: d, register: r, seen: map[[16]byte]bool{}, numbers: map[string][16]byte{}}
	for e, err := range d.Store.Entries(ctx, Select{Book: Consents}) {
		if err != nil {
			return nil, err
		}
		v, err := eventOf(e)
		if err != nil {
			return nil, err
		}
		switch {
		case v.Receipt != nil:
			in.know(*v.Receipt)
		case v.Withdrawal != nil:
			in.seen[v.Withdrawal.print()] = true
		}
	}
	return in, nil
}

func (in *intake) know(c Receipt) {
	in.seen[c.print()], in.numbers[c.ID] = true, c.print()
}

// print is what makes two receipts the same: all but number, evidence and actor.
func (c Receipt) print() [16]byte {
	return shorten("%q %q %q %d %q %q", c.Person.Source, c.Person.ID, c.Text, c.At.UnixMicro(), c.Purposes, c.Items)
}

func (w Withdrawal) print() [16]byte {
	return shorten("withdrawal %q %q %d %q %q %d %t", w.Person.Source, w.Person.ID, w.At.UnixMicro(), w.Purposes, w.Items, micros(w.From), w.Hold)
}

func shorten(format string, args ...any) (short [16]byte) {
	sum := sha256.Sum256(fmt.Appendf(nil, format, args...))
	copy(short[:], sum[:])
	return short
}

// receipt takes a form in, unless it is there already.
func (in *intake) receipt(f Form) (entered bool, err error) {
	c, err := in.register.prepare(f, in.desk.Now())
	if err != nil {
		return false, err
	}
	if old, taken := in.numbers[c.ID]; taken && old != c.print() {
		return false, fmt.Errorf("the number of the consent: %w", ErrConflict)
	}
	if in.seen[c.print()] {
		return false, nil
	}
	e, err := c.entry(in.desk.Now())
	if err != nil {
		return false, err
	}
	in.know(c)
	in.entries = append(in.entries, e)
	return true, nil
}

func (in *intake) withdrawal(w Withdrawal) (entered bool, err error) {
	w.At = w.At.UTC().Truncate(time.Microsecond)
	e, err := in.register.withdrawal(w, in.desk.Now())
	if err != nil || in.seen[w.print()] {
		return false, err
	}
	in.seen[w.print()] = true
	in.entries = append(in.entries, e)
	return true, nil
}

// flush commits what was taken in, once it is a batch or at the end.
func (in *intake) flush(ctx context.Context, end bool) error {
	if len(in.entries) == 0 || len(in.entries) < batch && !end {
		return nil
	}
	err := in.desk.Store.Append(ctx, -1, in.entries)
	in.entries = slices.Delete(in.entries, 0, len(in.entries))
	return err
}

// Known is a resident of a registry that keeps the number of a consent: the
// wallet asked, and the number travels with each of the resident's rows.
type Known struct {
	Person Person
	Number string // "" when there is no consent
	At     time.Time
	BornOn string
}

// Carry makes receipts of the consents that a registry knows by their number,
// under the text that was shown. A number that is there already, withdrawn or
// not, is a duplicate. A child's consent, whose guardian the registry does not
// know, is faulty: fault is called with its place in the registry and the reason.
func (d *Desk) Carry(ctx context.Context, text, actor string, people iter.Seq2[Known, error], fault func(place int64, err error)) (Summary, error) {
	var s Summary
	in, err := d.intake(ctx)
	if err != nil {
		return s, err
	}
	if _, err := in.register.Text(text); err != nil {
		return s, err
	}
	place := int64(0)
	for k, err := range people {
		if err != nil {
			return s, err
		}
		place++
		if k.Number == "" {
			continue
		}
		s.Read++
		entered, err := in.receipt(Form{BornOn: k.BornOn, Receipt: Receipt{
			ID: k.Number, Person: k.Person, Text: text, At: k.At, Route: Carried, Evidence: "number in the registry", Actor: actor,
		}})
		switch {
		case err != nil:
			s.Faulty++
			fault(place, err)
		case entered:
			s.Entered++
		default:
			s.Duplicate++
		}
		if err := in.flush(ctx, false); err != nil {
			return s, err
		}
	}
	return s, in.flush(ctx, true)
}
