package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Purpose is a purpose of use (利用目的). Its words are never changed: a changed
// purpose is another one, published anew (Act 41(4), 21(3)).
type Purpose struct {
	Code        string `json:"code"`
	Ja          string `json:"ja"`
	En          string `json:"en"`
	PublishedOn string `json:"published_on,omitempty"` // first day on which it may be used
	Where       string `json:"where,omitempty"`        // where it is published
	EndedOn     string `json:"ended_on,omitempty"`     // first day on which it may not be used any more
}

// Notice is what is published before data are used jointly (共同利用): the fact,
// the items, the users, the purposes, and who answers for it.
type Notice struct {
	ID          string   `json:"id"`
	Version     int      `json:"version"`
	Items       []string `json:"items"`
	Users       []string `json:"users"` // 共同して利用する者の範囲
	Purposes    []string `json:"purposes"`
	Responsible Party    `json:"responsible"`
	PublishedOn string   `json:"published_on"`
}

// BasisKind is a legal basis other than consent.
type BasisKind string

// The kinds.
const (
	Entrustment BasisKind = "entrustment" // 委託
	JointUse    BasisKind = "joint_use"   // 共同利用
	Law         BasisKind = "law"         // 法令に基づく場合
)

// Basis covers a data set of a source for purposes and a period.
type Basis struct {
	ID       string    `json:"id"`
	Kind     BasisKind `json:"kind"`
	Dataset  string    `json:"dataset"`
	Source   string    `json:"source,omitempty"` // "" is every source
	Purposes []string  `json:"purposes"`
	From     string    `json:"from"`
	Until    string    `json:"until"`            // last day; a basis without an end is none
	Notice   string    `json:"notice,omitempty"` // of a joint use
	Document string    `json:"document"`         // name or article
	SHA256   string    `json:"sha256"`           // of the document
}

// The kinds of entries in the registers.
const (
	kindText       = "text"
	kindPurpose    = "purpose"
	kindPublish    = "publish"
	kindPurposeEnd = "purpose_end"
	kindNotice     = "notice"
	kindBasis      = "basis"
	kindBasisEnd   = "basis_end"
)

type publication struct {
	Code  string `json:"code"`
	On    string `json:"on"`
	Where string `json:"where"`
}

type ending struct {
	ID string `json:"id"`
	On string `json:"on"`
}

// said is an entry of the registers with who made it.
type said[T any] struct {
	By string `json:"by"`
	Is T      `json:"is"`
}

// Register is what the registers say at a time.
type Register struct {
	Texts    []Text
	Purposes []Purpose
	Notices  []Notice
	Bases    []Basis
	last     int64
}

// Text returns a version by its key.
func (r *Register) Text(key string) (Text, error) {
	for _, t := range r.Texts {
		if t.Key() == key {
			return t, nil
		}
	}
	return Text{}, fmt.Errorf("consent text: %w: list them with \"meguri consent text list\"", ErrNotFound)
}

// Purpose returns a purpose by its code.
func (r *Register) Purpose(code string) (Purpose, error) {
	for _, p := range r.Purposes {
		if p.Code == code {
			return p, nil
		}
	}
	return Purpose{}, fmt.Errorf("purpose: %w: list them with \"meguri purpose list\"", ErrNotFound)
}

// InForce returns a purpose, and an error unless it may be used on a day: it is
// entered, published by then and not ended.
func (r *Register) InForce(code, day string) (Purpose, error) {
	p, err := r.Purpose(code)
	switch {
	case err != nil:
		return p, fmt.Errorf("purpose %s: %w: enter it with \"meguri purpose add\" and publish it with \"meguri purpose publish\", or name another", code, ErrNotFound)
	case p.PublishedOn == "" || p.PublishedOn > day:
		return p, fmt.Errorf("purpose %s: %w: publish it first with \"meguri purpose publish\" (Act 21, 41(4))", code, ErrUnpublished)
	case p.EndedOn != "" && p.EndedOn <= day:
		return p, fmt.Errorf("purpose %s, on %s: %w: enter another with \"meguri purpose add\" and publish it", code, p.EndedOn, ErrEnded)
	}
	return p, nil
}

// published returns an error unless all purposes may be used on a day.
func (r *Register) published(codes []string, day string) error {
	for _, code := range codes {
		if _, err := r.InForce(code, day); err != nil {
			return err
		}
	}
	return nil
}

// Datasets are all data sets that any text or basis names, in order.
func (r *Register) Datasets() []string {
	var names []string
	for _, t := range r.Texts {
		for _, item := range t.Items {
			name, _ := dataset(item)
			names = append(names, name)
		}
	}
	for _, b := range r.Bases {
		names = append(names, b.Dataset)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Desk decides and writes.
type Desk struct {
	Store Store
	Now   func() time.Time
}

// Register reads the registers as they are.
func (d *Desk) Register(ctx context.Context) (*Register, error) { return d.register(ctx, time.Time{}) }

// register reads the registers as they were; the zero time is now.
func (d *Desk) register(ctx context.Context, asOf time.Time) (*Register, error) {
	r := &Register{}
	for e, err := range d.Store.Entries(ctx, Select{Book: Registers}) {
		if err != nil {
			return nil, fmt.Errorf("read the registers: %w", err)
		}
		if !asOf.IsZero() && e.At.After(asOf) { // a clock may have been set back: look on
			continue
		}
		if err := r.take(e); err != nil {
			return nil, fmt.Errorf("read the registers: %w", err)
		}
		r.last = e.Number
	}
	return r, nil
}

func (r *Register) take(e Entry) error {
	switch e.Kind {
	case kindText:
		return take(e, func(t Text) { r.Texts = append(r.Texts, t) })
	case kindPurpose:
		return take(e, func(p Purpose) { r.Purposes = append(r.Purposes, p) })
	case kindPublish:
		return take(e, func(p publication) {
			for i := range r.Purposes {
				if r.Purposes[i].Code == p.Code {
					r.Purposes[i].PublishedOn, r.Purposes[i].Where = p.On, p.Where
				}
			}
		})
	case kindPurposeEnd:
		return take(e, func(x ending) {
			for i := range r.Purposes {
				if r.Purposes[i].Code == x.ID {
					r.Purposes[i].EndedOn = x.On
				}
			}
		})
	case kindNotice:
		return take(e, func(n Notice) { r.Notices = append(r.Notices, n) })
	case kindBasis:
		return take(e, func(b Basis) { r.Bases = append(r.Bases, b) })
	case kindBasisEnd:
		return take(e, func(x ending) {
			for i := range r.Bases {
				if r.Bases[i].ID == x.ID && x.On < r.Bases[i].Until {
					r.Bases[i].Until = x.On
				}
			}
		})
	}
	return fmt.Errorf("entry %d of the log has the kind %s, which this program does not know", e.Number, e.Kind)
}

func take[T any](e Entry, use func(T)) error {
	var s said[T]
	if err := e.Read(&s); err != nil {
		return err
	}
	use(s.Is)
	return nil
}

// enter adds an entry to the registers that decide allows. When another process
// was first, it is decided anew.
func enter[T any](ctx context.Context, d *Desk, kind, ref, by string, decide func(*Register) (T, error)) error {
	if strings.TrimSpace(by) == "" {
		return fmt.Errorf("%w: say who does it", ErrInvalid)
	}
	for {
		last, err := d.Store.Last(ctx)
		if err != nil {
			return err
		}
		r, err := d.Register(ctx)
		if err != nil {
			return err
		}
		is, err := decide(r)
		if err != nil {
			return err
		}
		e, err := NewEntry(Registers, kind, ref, Person{}, said[T]{By: by, Is: is})
		if err != nil {
			return err
		}
		e.At = d.Now()
		if err = d.Store.Append(ctx, last, []Entry{e}); !errors.Is(err, ErrMoved) {
			return err
		}
	}
}

// AddText enters a version of a text.
func (d *Desk) AddText(ctx context.Context, t Text, by string) error {
	return enter(ctx, d, kindText, t.Key(), by, func(r *Register) (Text, error) {
		if _, err := r.Text(t.Key()); err == nil {
			return t, fmt.Errorf("text %s: %w: give it another version", t.Key(), ErrConflict)
		}
		for _, code := range t.Purposes {
			if _, err := r.Purpose(code); err != nil {
				return t, err
			}
		}
		if t.JointNotice != "" && !slices.ContainsFunc(r.Notices, func(n Notice) bool { return n.ID == t.JointNotice }) {
			return t, fmt.Errorf("joint_notice: %w: enter it with \"meguri notice add\"", ErrNotFound)
		}
		return t, nil
	})
}

// AddPurpose enters a purpose, which is not published yet.
func (d *Desk) AddPurpose(ctx context.Context, p Purpose, by string) error {
	switch {
	case !slug.MatchString(p.Code):
		return fmt.Errorf("%w: the code of a purpose has letters, digits, dots, hyphens and underscores", ErrInvalid)
	case strings.TrimSpace(p.Ja) == "" || strings.TrimSpace(p.En) == "":
		return fmt.Errorf("%w: a purpose has words in Japanese and in English", ErrInvalid)
	}
	return enter(ctx, d, kindPurpose, p.Code, by, func(r *Register) (Purpose, error) {
		if _, err := r.Purpose(p.Code); err == nil {
			return p, fmt.Errorf("purpose %s: %w: give the changed purpose another code", p.Code, ErrConflict)
		}
		return Purpose{Code: p.Code, Ja: p.Ja, En: p.En}, nil
	})
}

// Publish says from which day on a purpose is public, and where.
func (d *Desk) Publish(ctx context.Context, code, day, where, by string) error {
	if _, err := begins(day); err != nil {
		return err
	}
	if strings.TrimSpace(where) == "" {
		return fmt.Errorf("%w: say where the purpose is published", ErrInvalid)
	}
	return enter(ctx, d, kindPublish, code, by, func(r *Register) (publication, error) {
		p, err := r.Purpose(code)
		if err != nil {
			return publication{}, err
		}
		if p.PublishedOn != "" {
			return publication{}, fmt.Errorf("purpose %s, published on %s: %w", code, p.PublishedOn, ErrConflict)
		}
		return publication{Code: code, On: day, Where: where}, nil
	})
}

// EndPurpose ends a purpose today, for good: a purpose that is needed again is
// another one, published anew.
func (d *Desk) EndPurpose(ctx context.Context, code, by string) error {
	return enter(ctx, d, kindPurposeEnd, code, by, func(r *Register) (ending, error) {
		p, err := r.Purpose(code)
		if err == nil && p.EndedOn != "" {
			err = fmt.Errorf("purpose %s, on %s: %w", code, p.EndedOn, ErrEnded)
		}
		return ending{ID: code, On: Day(d.Now())}, err
	})
}

// AddNotice enters a notice, or its next version.
func (d *Desk) AddNotice(ctx context.Context, n Notice, by string) (version int, err error) {
	switch {
	case !slug.MatchString(n.ID):
		return 0, fmt.Errorf("%w: the ID of a notice has letters, digits, dots, hyphens and underscores", ErrInvalid)
	case len(n.Items) == 0 || len(n.Users) == 0 || len(n.Purposes) == 0 || !n.Responsible.whole():
		return 0, fmt.Errorf("%w: a notice has items, users, purposes, and the name, address and representative of who is responsible", ErrInvalid)
	}
	if err := checkItems(n.Items); err != nil {
		return 0, err
	}
	if _, err := begins(n.PublishedOn); err != nil {
		return 0, err
	}
	slices.Sort(n.Items)
	slices.Sort(n.Users)
	err = enter(ctx, d, kindNotice, n.ID, by, func(r *Register) (Notice, error) {
		n.Version = 1
		for _, code := range n.Purposes {
			if _, err := r.Purpose(code); err != nil {
				return n, err
			}
		}
		for _, old := range r.Notices {
			if old.ID != n.ID {
				continue
			}
			n.Version = old.Version + 1
			if !slices.Equal(old.Items, n.Items) || !slices.Equal(old.Users, n.Users) {
				return n, fmt.Errorf("notice %s: %w: make a new notice and ask for consent", n.ID, ErrFixed)
			}
			if n.PublishedOn < old.PublishedOn {
				return n, fmt.Errorf("%w: a later version is not published earlier", ErrInvalid)
			}
		}
		version = n.Version
		return n, nil
	})
	return version, err
}

// Notice is the version of a notice that is in force on a day.
func (r *Register) Notice(id, day string) (Notice, error) {
	var found Notice
	for _, n := range r.Notices {
		if n.ID == id && n.PublishedOn <= day {
			found = n
		}
	}
	if found.ID == "" {
		return found, fmt.Errorf("notice: %w, or it is not published yet: joint use is published beforehand (Act 27(5)(iii))", ErrNotFound)
	}
	return found, nil
}

// AddBasis enters a legal basis other than consent.
func (d *Desk) AddBasis(ctx context.Context, b Basis, by string) error {
	whole := itemForm.MatchString(b.Dataset) && !strings.Contains(b.Dataset, ".")
	switch {
	case !slug.MatchString(b.ID):
		return fmt.Errorf("%w: the ID of a basis has letters, digits, dots, hyphens and underscores", ErrInvalid)
	case b.Kind != Entrustment && b.Kind != JointUse && b.Kind != Law:
		return fmt.Errorf("%w: the kind is entrustment, joint_use or law", ErrInvalid)
	case !whole || len(b.Purposes) == 0:
		return fmt.Errorf("%w: a basis has one data set, and purposes", ErrInvalid)
	case strings.TrimSpace(b.Document) == "" || len(b.SHA256) != 64:
		return fmt.Errorf("%w: a basis stands on a document, with its name and SHA-256", ErrInvalid)
	case (b.Kind == JointUse) != (b.Notice != ""):
		return fmt.Errorf("%w: joint use names its notice, and nothing else does", ErrInvalid)
	case b.Source != "" && !clean(b.Source):
		return fmt.Errorf("%w: the source has control characters", ErrInvalid)
	}
	for _, day := range []string{b.From, b.Until} {
		if _, err := begins(day); err != nil {
			return err
		}
	}
	if b.Until < b.From {
		return fmt.Errorf("%w: the basis ends before it begins", ErrInvalid)
	}
	return enter(ctx, d, kindBasis, b.ID, by, func(r *Register) (Basis, error) {
		if slices.ContainsFunc(r.Bases, func(old Basis) bool { return old.ID == b.ID }) {
			return b, fmt.Errorf("basis %s: %w: give it another ID", b.ID, ErrConflict)
		}
		for _, code := range b.Purposes {
			if _, err := r.Purpose(code); err != nil {
				return b, err
			}
		}
		if b.Kind != JointUse {
			return b, nil
		}
		n, err := r.Notice(b.Notice, b.From)
		if err != nil {
			return b, err
		}
		for _, code := range b.Purposes {
			if !slices.Contains(n.Purposes, code) {
				return b, fmt.Errorf("%w: the notice does not name the purpose %s", ErrInvalid, code)
			}
		}
		if !slices.Contains(n.Items, b.Dataset) {
			return b, fmt.Errorf("%w: the notice does not name the data set", ErrInvalid)
		}
		return b, nil
	})
}

// EndBasis ends a basis early: the day is its last.
func (d *Desk) EndBasis(ctx context.Context, id, day, by string) error {
	if _, err := begins(day); err != nil {
		return err
	}
	return enter(ctx, d, kindBasisEnd, id, by, func(r *Register) (ending, error) {
		for _, b := range r.Bases {
			if b.ID == id && day < b.Until {
				return ending{ID: id, On: day}, nil
			}
		}
		return ending{}, fmt.Errorf("basis that ends later than this day: %w", ErrNotFound)
	})
}
