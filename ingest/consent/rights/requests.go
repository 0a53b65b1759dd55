package rights

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meguri/ingest/consent"
)

// Kind is what a person asks for.
type Kind string

// The kinds.
const (
	Disclosure Kind = "disclosure" // 開示, also of records of provision (Act 33)
	Correction Kind = "correction" // 訂正等 (Act 34)
	Stop       Kind = "stop"       // 利用停止等 (Act 35)
	Erasure    Kind = "erasure"    // 消去 (Act 35)
)

// Outcome is how a request was answered.
type Outcome string

// The outcomes. All but Done need a reason (Act 36).
const (
	Done    Outcome = "done"
	Part    Outcome = "part"
	Refused Outcome = "refused"
)

// Request is a person's request and what became of it.
type Request struct {
	ID        string
	Kind      Kind
	Person    consent.Person
	Note      string // what exactly, in the office's words
	OpenedAt  time.Time
	OpenedBy  string
	Due       string // last day for the answer
	Identity  string // how the person was identified; "" when not yet
	Disclosed string // hash of what was handed over
	Corrected string // which fields, and how many records
	Erased    string // ID of the deletion receipt
	Outcome   Outcome
	Reason    string
	Answered  time.Time
	By        string
}

// Open reports whether a request has no answer yet.
func (r Request) Open() bool { return r.Outcome == "" }

// Overdue reports whether its last day is over.
func (r Request) Overdue(now time.Time) bool { return r.Open() && r.Due < consent.Day(now) }

// Errors that callers branch on.
var (
	ErrInvalid  = errors.New("the request does not hold")
	ErrNotFound = errors.New("there is no such request")
	ErrAnswered = errors.New("the request was answered, and stays so")
	ErrIdentity = errors.New("nobody has confirmed who asks: \"meguri rights identify\"")
	ErrNotDone  = errors.New("what was asked for is not done yet")
)

const (
	kindRequest   = "request"
	kindIdentity  = "identity"
	kindDisclosed = "disclosed"
	kindCorrected = "corrected"
	kindAnswer    = "answer"
)

type request struct {
	Kind Kind   `json:"kind"`
	Note string `json:"note,omitempty"`
	By   string `json:"by"`
	Due  string `json:"due"`
}

type remark struct {
	Text    string  `json:"text"`
	By      string  `json:"by"`
	Outcome Outcome `json:"outcome,omitempty"`
}

// Desk takes requests and keeps their log.
type Desk struct {
	Consents *consent.Desk
	Days     int // within which an answer is due
}

// DefaultDays is the deadline unless the office sets another.
const DefaultDays = 30

func (d *Desk) now() time.Time { return d.Consents.Now() }

func (d *Desk) append(ctx context.Context, kind, id string, p consent.Person, says any, more ...consent.Entry) error {
	e, err := consent.NewEntry(consent.Rights, kind, id, p, says)
	if err != nil {
		return err
	}
	e.At = d.now()
	return d.Consents.Store.Append(ctx, -1, append([]consent.Entry{e}, more...))
}

// Take opens a request.
func (d *Desk) Take(ctx context.Context, kind Kind, p consent.Person, note, by string) (Request, error) {
	r := Request{ID: "r-" + strings.ToLower(rand.Text()[:8]), Kind: kind, Person: p, Note: note, OpenedBy: by}
	switch {
	case !slices.Contains([]Kind{Disclosure, Correction, Stop, Erasure}, kind):
		return r, fmt.Errorf("%w: a request is for disclosure, correction, stop or erasure", ErrInvalid)
	case by == "" || p.ID == "" || p.Source == "":
		return r, fmt.Errorf("%w: it needs the person and who takes it", ErrInvalid)
	case kind == Correction && note == "":
		return r, fmt.Errorf("%w: say what is to be corrected", ErrInvalid)
	}
	r.OpenedAt = d.now()
	r.Due = consent.Day(r.OpenedAt.AddDate(0, 0, d.Days))
	return r, d.append(ctx, kindRequest, r.ID, p, request{kind, note, by, r.Due})
}

// Identify says how it was confirmed who asks.
func (d *Desk) Identify(ctx context.Context, id, how, by string) error {
	r, err := d.Request(ctx, id)
	if err != nil {
		return err
	}
	if !r.Open() {
		return fmt.Errorf("request %s: %w", id, ErrAnswered)
	}
	if how == "" || by == "" {
		return fmt.Errorf("%w: say how the person was identified, and by whom", ErrInvalid)
	}
	return d.append(ctx, kindIdentity, id, r.Person, remark{Text: how, By: by})
}

// Answer closes a request. Stopping use takes effect with the answer; data that
// were asked for must have been handed over, corrected or erased before.
func (d *Desk) Answer(ctx context.Context, id string, outcome Outcome, reason, by string) error {
	r, err := d.Request(ctx, id)
	switch {
	case err != nil:
		return err
	case !r.Open():
		return fmt.Errorf("request %s: %w", id, ErrAnswered)
	case by == "" || !slices.Contains([]Outcome{Done, Part, Refused}, outcome):
		return fmt.Errorf("%w: an answer is done, part or refused, and somebody's", ErrInvalid)
	case outcome != Done && strings.TrimSpace(reason) == "":
		return fmt.Errorf("%w: whoever is not given all is told why (Act 36)", ErrInvalid)
	case outcome != Refused && r.Identity == "":
		return fmt.Errorf("request %s: %w", id, ErrIdentity)
	case outcome == Done && r.Kind == Disclosure && r.Disclosed == "":
		return fmt.Errorf("request %s: %w: \"meguri rights disclose\" with --request %s", id, ErrNotDone, id)
	case outcome == Done && r.Kind == Correction && r.Corrected == "":
		return fmt.Errorf("request %s: %w: \"meguri rights correct %s\"", id, ErrNotDone, id)
	case outcome == Done && r.Kind == Erasure && r.Erased == "":
		return fmt.Errorf("request %s: %w: \"meguri rights erase %s\"", id, ErrNotDone, id)
	}
	var more []consent.Entry
	if r.Kind == Stop && outcome != Refused {
		hold, err := d.Consents.Hold(r.Person, by, id)
		if err != nil {
			return err
		}
		more = append(more, hold)
	}
	if r.Kind == Correction {
		reason = strings.TrimSpace(reason + "\n" + PaymentsNote)
	}
	return d.append(ctx, kindAnswer, id, r.Person, remark{Text: reason, By: by, Outcome: outcome}, more...)
}

// PaymentsNote is part of every answer to a request for correction.
const PaymentsNote = "決済の記録は、決済事業者が取消・返金などで訂正し、その記録が次の取込で入ります。決済事業者にお申し出ください。"

// HasCorrected enters that data were corrected: which fields, and of how many
// records. What they were and are stands with the corrections alone.
func (d *Desk) HasCorrected(ctx context.Context, id, fields string, records int, by string) error {
	r, err := d.Request(ctx, id)
	switch {
	case err != nil:
		return err
	case r.Kind != Correction || fields == "" || by == "":
		return fmt.Errorf("%w: it is no request for correction, or does not say what was corrected, and by whom", ErrInvalid)
	case !r.Open():
		return fmt.Errorf("request %s: %w", id, ErrAnswered)
	case r.Identity == "":
		return fmt.Errorf("request %s: %w", id, ErrIdentity)
	}
	return d.append(ctx, kindCorrected, id, r.Person, remark{Text: fmt.Sprintf("%s (%d)", fields, records), By: by})
}

// Handed enters that a copy was handed over. The request may be empty: a person
// may ask without a form.
func (d *Desk) Handed(ctx context.Context, id string, p consent.Person, hash, by string) error {
	if id != "" {
		r, err := d.Request(ctx, id)
		switch {
		case err != nil:
			return err
		case r.Person != p:
			return fmt.Errorf("%w: the request is another person's", ErrInvalid)
		case r.Identity == "":
			return fmt.Errorf("request %s: %w", id, ErrIdentity)
		}
	}
	return d.append(ctx, kindDisclosed, id, p, remark{Text: hash, By: by})
}

// Request returns one by its ID.
func (d *Desk) Request(ctx context.Context, id string) (Request, error) {
	all, err := d.read(ctx, consent.Select{Ref: id})
	if err == nil && (id == "" || len(all) == 0) {
		err = fmt.Errorf("%w: list them with \"meguri rights list\"", ErrNotFound)
	}
	if err != nil {
		return Request{}, err
	}
	return all[0], nil
}

// Requests returns all: what is overdue first, then by the last day, answered
// ones at the end.
func (d *Desk) Requests(ctx context.Context) ([]Request, error) {
	all, err := d.read(ctx, consent.Select{})
	slices.SortStableFunc(all, func(a, b Request) int {
		return cmp.Or(rank(a).Compare(rank(b)), cmp.Compare(a.Due, b.Due))
	})
	return all, err
}

func rank(r Request) time.Time { return r.Answered } // the zero time, of open ones, is the earliest

func (d *Desk) read(ctx context.Context, which consent.Select) ([]Request, error) {
	var all []Request
	find := func(id string) *Request {
		if i := slices.IndexFunc(all, func(r Request) bool { return r.ID == id }); i >= 0 {
			return &all[i]
		}
		return &Request{}
	}
	which.Book = consent.Rights
	for e, err := range d.Consents.Store.Entries(ctx, which) {
		if err != nil {
			return nil, err
		}
		if e.Purged() {
			continue
		}
		if e.Kind == kindRequest {
			var q request
			if err := e.Read(&q); err != nil {
				return nil, err
			}
			all = append(all, Request{ID: e.Ref, Kind: q.Kind, Person: e.Person, Note: q.Note, OpenedAt: e.At, OpenedBy: q.By, Due: q.Due})
			continue
		}
		var m remark
		if err := e.Read(&m); err != nil {
			return nil, err
		}
		switch r := find(e.Ref); e.Kind {
		case kindIdentity:
			r.Identity = m.Text + "（" + m.By + "）"
		case kindDisclosed:
			r.Disclosed = m.Text
		case kindCorrected:
			r.Corrected = strings.TrimSpace(r.Corrected + " " + m.Text)
		case kindAnswer:
			r.Outcome, r.Reason, r.By, r.Answered = m.Outcome, m.Text, m.By, e.At
		}
	}
	which.Book = consent.Deletions
	which.Ref = ""
	for e, err := range d.Consents.Store.Entries(ctx, which) {
		if err != nil {
			return nil, err
		}
		var signed Signed
		if e.Kind != kindReceipt {
			continue
		}
		if err := e.Read(&signed); err != nil {
			return nil, err
		}
		if receipt, err := signed.open(); err == nil {
			for _, id := range strings.Fields(receipt.Request) {
				find(id).Erased = receipt.ID
			}
		}
	}
	return all, nil
}
