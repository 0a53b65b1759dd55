package consent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Route is the way by which somebody agreed or withdrew.
type Route string

// The routes.
const (
	App     Route = "app"
	Web     Route = "web"
	Paper   Route = "paper"
	Counter Route = "counter" // 窓口
	Carried Route = "carried" // taken over from the wallet's registry, which asked
)

// Receipt is what is kept of a consent: who agreed to what, when, and how that
// can be shown.
type Receipt struct {
	ID       string    `json:"id"`
	Person   Person    `json:"person"`
	Text     string    `json:"text"` // key of the version that was shown
	TextHash string    `json:"text_hash"`
	Purposes []string  `json:"purposes"`
	Items    []string  `json:"items"`
	At       time.Time `json:"at"`
	Route    Route     `json:"route"`
	Evidence string    `json:"evidence"`           // version of the screen, or number of the form
	Unticked bool      `json:"unticked"`           // the box was not ticked beforehand
	Actor    string    `json:"actor"`              // the person, or the member of staff
	Child    bool      `json:"child,omitempty"`    // was below the text's age; the birth date is not kept
	Guardian bool      `json:"guardian,omitempty"` // a guardian agreed
}

// Withdrawal takes consent back. No purposes or no items means all of them, no
// From means rows of all times.
type Withdrawal struct {
	Person   Person    `json:"person"`
	Purposes []string  `json:"purposes,omitempty"`
	Items    []string  `json:"items,omitempty"`
	From     time.Time `json:"from,omitzero"`
	At       time.Time `json:"at"`
	Route    Route     `json:"route"`
	Actor    string    `json:"actor"`
	Reason   string    `json:"reason,omitempty"`
	Hold     bool      `json:"hold,omitempty"` // 利用停止: whatever the basis
}

// The kinds of entries in the book of consents.
const (
	kindReceipt    = "receipt"
	kindWithdrawal = "withdrawal"
	kindHold       = "hold"
)

// Form is a receipt before it is checked.
type Form struct {
	Receipt
	BornOn string // YYYY-MM-DD when it is known; it is looked at and not kept
}

// prepare checks a form against the registers and completes the receipt.
func (r *Register) prepare(f Form, now time.Time) (Receipt, error) {
	c := f.Receipt
	if err := c.Person.check(); err != nil {
		return c, err
	}
	t, err := r.Text(c.Text)
	if err != nil {
		return c, err
	}
	c.TextHash = t.Hash
	if len(c.Purposes) == 0 {
		c.Purposes = t.Purposes
	}
	if len(c.Items) == 0 {
		c.Items = t.Items
	}
	fault := func(problem string) (Receipt, error) { return c, fmt.Errorf("%w: %s", ErrInvalid, problem) }
	switch {
	case c.At.IsZero() || c.At.After(now):
		return fault("the time of consent is missing or lies in the future")
	case !slices.Contains([]Route{App, Web, Paper, Counter, Carried}, c.Route):
		return fault("the route is app, web, paper, counter or carried")
	case strings.TrimSpace(c.Evidence) == "" || strings.TrimSpace(c.Actor) == "":
		return fault("say what shows the consent (screen version or form number) and who gave or took it")
	case (c.Route == App || c.Route == Web) && !c.Unticked:
		return fault("a consent on a screen counts only when the box was not ticked beforehand: state it")
	case c.ID != "" && (!clean(c.ID) || len(c.ID) > 64):
		return fault("the number of a consent is text of at most 64 bytes")
	}
	for _, code := range c.Purposes {
		if !slices.Contains(t.Purposes, code) {
			return fault("the text does not name one of the purposes")
		}
	}
	for _, item := range c.Items {
		name, _ := dataset(item)
		if !slices.Contains(t.Items, item) && !slices.Contains(t.Items, name) {
			return fault("the text does not name one of the items")
		}
	}
	if err := r.published(c.Purposes, Day(c.At)); err != nil {
		return c, err
	}
	if f.BornOn != "" {
		born, err := begins(f.BornOn)
		if err != nil {
			return c, err
		}
		c.Child = born.AddDate(t.GuardianUnder, 0, 0).After(c.At)
	}
	if c.Child && !c.Guardian {
		return c, fmt.Errorf("consent of somebody below %d: %w", t.GuardianUnder, ErrGuardian)
	}
	if c.ID == "" {
		c.ID = "c-" + strings.ToLower(rand.Text()[:20])
	}
	c.At = c.At.UTC().Truncate(time.Microsecond)
	return c, nil
}

// entry makes a log entry of a checked receipt.
func (c Receipt) entry(now time.Time) (Entry, error) {
	e, err := NewEntry(Consents, kindReceipt, c.ID, c.Person, c)
	e.At = now
	return e, err
}

// Record enters a consent. The same receipt again changes nothing; its number
// with other content is a conflict.
func (d *Desk) Record(ctx context.Context, f Form) (Receipt, error) {
	r, err := d.Register(ctx)
	if err != nil {
		return Receipt{}, err
	}
	c, err := r.prepare(f, d.Now())
	if err != nil {
		return c, err
	}
	for {
		last, err := d.Store.Last(ctx)
		if err != nil {
			return c, err
		}
		for e, err := range d.Store.Entries(ctx, Select{Book: Consents, Ref: c.ID}) {
			if err != nil {
				return c, err
			}
			var old Receipt
			if err := e.Read(&old); err != nil {
				return c, err
			}
			if !old.same(c) {
				return c, fmt.Errorf("consent %s: %w: leave the number away and a new one is given", c.ID, ErrConflict)
			}
			return old, nil
		}
		e, err := c.entry(d.Now())
		if err != nil {
			return c, err
		}
		if err := d.Store.Append(ctx, last, []Entry{e}); !errors.Is(err, ErrMoved) {
			return c, err
		}
	}
}

// same reports whether two receipts say the same.
func (c Receipt) same(o Receipt) bool {
	return c.Person == o.Person && c.Text == o.Text && c.At.Equal(o.At) && slices.Equal(c.Purposes, o.Purposes) && slices.Equal(c.Items, o.Items)
}

// Withdraw enters a withdrawal, or a hold. It returns how many receipts the
// person has, for a caller who may have written another's number.
func (d *Desk) Withdraw(ctx context.Context, w Withdrawal) (receipts int, err error) {
	if w.At.IsZero() {
		w.At = d.Now()
	}
	r, err := d.Register(ctx)
	if err != nil {
		return 0, err
	}
	e, err := r.withdrawal(w, d.Now())
	if err != nil {
		return 0, err
	}
	events, err := d.Of(ctx, w.Person)
	if err != nil {
		return 0, err
	}
	for _, v := range events {
		if v.Receipt != nil {
			receipts++
		}
	}
	return receipts, d.Store.Append(ctx, -1, []Entry{e})
}

// Hold is the entry that stops all use of a person's data, for a transaction of
// another desk.
func (d *Desk) Hold(p Person, actor, reason string) (Entry, error) {
	return (&Register{}).withdrawal(Withdrawal{Person: p, At: d.Now(), Route: Counter, Actor: actor, Reason: reason, Hold: true}, d.Now())
}

func (r *Register) withdrawal(w Withdrawal, now time.Time) (Entry, error) {
	if err := w.Person.check(); err != nil {
		return Entry{}, err
	}
	switch {
	case w.At.After(now):
		return Entry{}, fmt.Errorf("%w: a withdrawal counts from when it was made, and not from the future", ErrInvalid)
	case strings.TrimSpace(w.Actor) == "":
		return Entry{}, fmt.Errorf("%w: say who does it", ErrInvalid)
	case w.Hold && (len(w.Purposes) > 0 || len(w.Items) > 0 || !w.From.IsZero()):
		return Entry{}, fmt.Errorf("%w: a hold is whole", ErrInvalid)
	}
	for _, code := range w.Purposes {
		if _, err := r.Purpose(code); err != nil {
			return Entry{}, err
		}
	}
	if err := checkItems(w.Items); err != nil {
		return Entry{}, err
	}
	for _, item := range w.Items { // a misspelt item would withdraw nothing
		if name, _ := dataset(item); !slices.Contains(r.Datasets(), name) {
			return Entry{}, fmt.Errorf("%w: no text and no basis names this item", ErrInvalid)
		}
	}
	w.At, w.From = w.At.UTC().Truncate(time.Microsecond), w.From.UTC().Truncate(time.Microsecond)
	kind := kindWithdrawal
	if w.Hold {
		kind = kindHold
	}
	e, err := NewEntry(Consents, kind, "", w.Person, w)
	e.At = now
	return e, err
}

// Event is a receipt or a withdrawal, as it was entered.
type Event struct {
	Number     int64
	EnteredAt  time.Time
	Receipt    *Receipt
	Withdrawal *Withdrawal
}

func eventOf(e Entry) (Event, error) {
	v := Event{Number: e.Number, EnteredAt: e.At}
	var what any
	switch e.Kind {
	case kindReceipt:
		v.Receipt = &Receipt{}
		what = v.Receipt
	case kindWithdrawal, kindHold:
		v.Withdrawal = &Withdrawal{}
		what = v.Withdrawal
	default:
		return v, fmt.Errorf("entry %d of the log has the kind %s, which this program does not know", e.Number, e.Kind)
	}
	return v, e.Read(what)
}

// Of returns all receipts and withdrawals of a person, in the order of the log.
func (d *Desk) Of(ctx context.Context, p Person) ([]Event, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var all []Event
	for e, err := range d.Store.Entries(ctx, Select{Book: Consents, Person: p}) {
		if err != nil {
			return nil, err
		}
		v, err := eventOf(e)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
