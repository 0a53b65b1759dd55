package consent

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Use says that rows of the lake were read or handed over: for which purpose,
// how, and by whom.
type Use struct {
	Purpose string    `json:"purpose"`
	What    string    `json:"what"` // the command and its object
	By      string    `json:"by"`
	At      time.Time `json:"-"` // the entry's
}

// Figures are how easily a person is singled out in rows, as it was measured.
type Figures struct {
	Snapshot int64   `json:"snapshot"`
	Persons  int64   `json:"persons"`
	BelowK   int64   `json:"below_k"`
	BelowL   int64   `json:"below_l"`
	Unique   float64 `json:"unique"` // share of those drawn
	Drawn    int64   `json:"drawn"`
}

// Acceptance says that rows may leave for a purpose though persons can be singled
// out in them more easily than the house's policy allows: by how much at most,
// what was seen, why, who answers for it and until when.
type Acceptance struct {
	Purpose string    `json:"purpose"`
	K       int64     `json:"k"`
	L       int64     `json:"l"`
	Points  int       `json:"points"`
	Share   float64   `json:"share"`
	Seen    Figures   `json:"seen"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	Until   string    `json:"until"` // last day
	At      time.Time `json:"-"`     // the entry's
}

const (
	kindUse       = "use"
	kindAccept    = "unicity_accepted"
	kindAcceptEnd = "unicity_taken_back"
)

// longestAcceptance is how many days figures may be accepted for.
const longestAcceptance = 366

// Use enters a use in the log, unless its purpose may not be used today. It is
// entered before anything is read: what breaks off was tried.
func (d *Desk) Use(ctx context.Context, u Use) (Purpose, error) {
	r, err := d.Register(ctx)
	if err != nil {
		return Purpose{}, err
	}
	p, err := r.InForce(u.Purpose, Day(d.Now()))
	if err != nil {
		return p, err
	}
	if strings.TrimSpace(u.What) == "" || strings.TrimSpace(u.By) == "" {
		return p, fmt.Errorf("%w: a use says what is done, and who does it", ErrInvalid)
	}
	return p, d.note(ctx, kindUse, u.Purpose, u)
}

// Accept enters an acceptance, which stands in place of an earlier one for the
// same purpose.
func (d *Desk) Accept(ctx context.Context, a Acceptance) error {
	r, err := d.Register(ctx)
	if err != nil {
		return err
	}
	now := d.Now()
	if _, err := r.InForce(a.Purpose, Day(now)); err != nil {
		return err
	}
	if _, err := begins(a.Until); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(a.By) == "" || strings.TrimSpace(a.Reason) == "":
		return fmt.Errorf("%w: figures are accepted by somebody with a name, for a reason", ErrInvalid)
	case a.Until < Day(now) || a.Until > Day(now.AddDate(0, 0, longestAcceptance)):
		return fmt.Errorf("%w: figures are accepted until a day within the next year", ErrInvalid)
	}
	return d.note(ctx, kindAccept, a.Purpose, a)
}

// TakeBack ends the acceptance of a purpose.
func (d *Desk) TakeBack(ctx context.Context, purpose, by string) error {
	_, found, err := d.Accepted(ctx, purpose)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("acceptance for the purpose %s: %w", purpose, ErrNotFound)
	case strings.TrimSpace(by) == "":
		return fmt.Errorf("%w: say who does it", ErrInvalid)
	}
	return d.note(ctx, kindAcceptEnd, purpose, said[string]{By: by, Is: purpose})
}

// Accepted is the acceptance that is in force for a purpose.
func (d *Desk) Accepted(ctx context.Context, purpose string) (last Acceptance, found bool, err error) {
	for e, err := range d.Store.Entries(ctx, Select{Book: Uses, Ref: purpose}) {
		if err != nil {
			return last, false, err
		}
		switch e.Kind {
		case kindAccept:
			last = Acceptance{At: e.At}
			if err := e.Read(&last); err != nil {
				return last, false, err
			}
			found = true
		case kindAcceptEnd:
			found = false
		}
	}
	return last, found && Day(d.Now()) <= last.Until, nil
}

// note adds an entry to the book of uses.
func (d *Desk) note(ctx context.Context, kind, ref string, says any) error {
	e, err := NewEntry(Uses, kind, ref, Person{}, says)
	if err != nil {
		return err
	}
	e.At = d.Now()
	return d.Store.Append(ctx, -1, []Entry{e})
}

// Uses calls use with what was entered, in order.
func (d *Desk) Uses(ctx context.Context, use func(Use) error) error {
	for e, err := range d.Store.Entries(ctx, Select{Book: Uses}) {
		if err != nil {
			return err
		}
		if e.Kind != kindUse {
			continue
		}
		u := Use{At: e.At}
		if err := e.Read(&u); err != nil {
			return err
		}
		if err := use(u); err != nil {
			return err
		}
	}
	return nil
}
