package rights

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meguri/ingest/consent"
)

// Stage is a place where data lie, in the order in which they go.
type Stage string

// The stages, after intake is held.
const (
	Lake     Stage = "lake"
	Segments Stage = "segments"
	Extracts Stage = "extracts" // quarantine, copies, records
	Registry Stage = "registry"
)

var stages = []Stage{Lake, Segments, Extracts, Registry}

// Cut says that what is older than a time goes, and by which rule. The zero time
// means all of the data set.
type Cut struct {
	Dataset string    `json:"dataset"`
	Before  time.Time `json:"before"`
	Rule    string    `json:"rule"`
}

// Order says what goes: all of some persons, or what is older than the cuts.
type Order struct {
	ID      string           `json:"id"`
	Persons []consent.Person `json:"persons,omitempty"`
	Cuts    []Cut            `json:"cuts,omitempty"`
	Request string           `json:"request,omitempty"` // one, or several with spaces between
	Reason  string           `json:"reason"`
	By      string           `json:"by"`
	At      time.Time        `json:"at"`
	Key     []byte           `json:"key"` // of the digests; it never leaves the log
}

// Eraser deletes what an order names in one place.
type Eraser interface {
	Name() string
	Stage() Stage
	// Datasets are the data sets of cuts that it can carry out. An order of
	// persons concerns every eraser.
	Datasets() []string
	// Plan counts the identity of everything that would go now.
	Plan(ctx context.Context, o Order, t *Tally) error
	// Erase deletes it. It may be called again after a crash: what is gone is gone.
	Erase(ctx context.Context, o Order) error
}

// Tally counts identities and makes a digest of them. It keeps keyed hashes and
// no identity.
type Tally struct {
	key    []byte
	hashes map[string][][16]byte
}

// NewTally counts under an order's key.
func NewTally(o Order) *Tally { return &Tally{key: o.Key, hashes: map[string][][16]byte{}} }

// Add counts one identity of a data set.
func (t *Tally) Add(dataset, identity string) {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(identity))
	t.hashes[dataset] = append(t.hashes[dataset], [16]byte(mac.Sum(nil)))
}

// Gone is what went of a data set.
type Gone struct {
	Stage   Stage  `json:"stage"`
	Eraser  string `json:"eraser"`
	Dataset string `json:"dataset"`
	Count   int    `json:"count"`
	Digest  string `json:"digest"` // SHA-256 over the sorted keyed hashes of the identities
	Rule    string `json:"rule,omitempty"`
}

// gone are the counts by data set, in order.
func (t *Tally) gone(e Eraser, o Order) []Gone {
	var all []Gone
	for dataset, hashes := range t.hashes {
		slices.SortFunc(hashes, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
		h := sha256.New()
		for _, one := range hashes {
			h.Write(one[:])
		}
		g := Gone{Stage: e.Stage(), Eraser: e.Name(), Dataset: dataset, Count: len(hashes), Digest: hex.EncodeToString(h.Sum(nil))}
		for _, c := range o.Cuts {
			if c.Dataset == dataset {
				g.Rule = c.Rule
			}
		}
		if r, ok := e.(interface{ Rule() string }); ok && g.Rule == "" {
			g.Rule = r.Rule()
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b Gone) int { return strings.Compare(a.Dataset, b.Dataset) })
	return all
}

// Errors of deletion.
var (
	ErrNoEraser = errors.New("nothing in this program can erase it")
	ErrLeft     = errors.New("something was left after erasing")
)

// The kinds of entries in the book of deletions.
const (
	kindOrder   = "order"
	kindPlanned = "planned"
	kindErased  = "erased"
	kindReceipt = "receipt"
)

type progress struct {
	Eraser string `json:"eraser"`
	Gone   []Gone `json:"gone,omitempty"`
}

// Shredder carries orders out.
type Shredder struct {
	Consents *consent.Desk
	Erasers  []Eraser
	Key      ed25519.PrivateKey
	Same     func(ctx context.Context, persons []consent.Person) ([]consent.Person, error) // with their other numbers; may be nil
	Step     func(place string, doing Doing, at, of int)                                   // of an order, as it begins; may be nil
}

// Doing is what is done at a place.
type Doing string

// Each place is searched, erased, and searched again.
const (
	Searching Doing = "search"
	Erasing   Doing = "erase"
	Checking  Doing = "check"
)

var doings = []Doing{Searching, Erasing, Checking}

func (s *Shredder) step(places []Eraser, e Eraser, d Doing) {
	if s.Step != nil {
		at := slices.IndexFunc(places, func(p Eraser) bool { return p.Name() == e.Name() })
		s.Step(e.Name(), d, at*len(doings)+slices.Index(doings, d), len(places)*len(doings))
	}
}

// concerned are the erasers of an order, by stage; it fails when a place has none.
func (s *Shredder) concerned(o Order) ([]Eraser, error) {
	var all []Eraser
	for _, stage := range stages {
		for _, e := range s.Erasers {
			if e.Stage() == stage && (len(o.Persons) > 0 || slices.ContainsFunc(o.Cuts, func(c Cut) bool { return slices.Contains(e.Datasets(), c.Dataset) })) {
				all = append(all, e)
			}
		}
		if len(o.Persons) > 0 && !slices.ContainsFunc(all, func(e Eraser) bool { return e.Stage() == stage }) {
			return nil, fmt.Errorf("stage %s: %w", stage, ErrNoEraser)
		}
	}
	for _, c := range o.Cuts {
		if !slices.ContainsFunc(all, func(e Eraser) bool { return slices.Contains(e.Datasets(), c.Dataset) }) {
			return nil, fmt.Errorf("data set %s: %w", c.Dataset, ErrNoEraser)
		}
	}
	return all, nil
}

// Plan says what an order would delete now.
func (s *Shredder) Plan(ctx context.Context, o Order) ([]Gone, error) {
	if len(o.Key) == 0 {
		o.Key = make([]byte, 32)
		_, _ = rand.Read(o.Key) // it never fails
	}
	erasers, err := s.concerned(o)
	if err != nil {
		return nil, err
	}
	var all []Gone
	for _, e := range erasers {
		t := NewTally(o)
		if err := e.Plan(ctx, o, t); err != nil {
			return nil, fmt.Errorf("plan of %s: %w", e.Name(), err)
		}
		all = append(all, t.gone(e, o)...)
	}
	return all, nil
}

// Run carries an order out, and returns its signed receipt. New intake of the
// persons is held with the order itself. A request has one order: one that broke
// off goes on, and one that came to its end has its receipt.
func (s *Shredder) Run(ctx context.Context, o Order) (Signed, error) {
	if o.By == "" || o.Reason == "" || (len(o.Persons) == 0) == (len(o.Cuts) == 0) {
		return Signed{}, fmt.Errorf("%w: an order has persons or cuts, a reason, and somebody who gives it", ErrInvalid)
	}
	if _, err := s.concerned(o); err != nil {
		return Signed{}, err
	}
	if len(s.Key) != ed25519.PrivateKeySize {
		return Signed{}, ErrNoKey
	}
	switch id, err := s.orderOf(ctx, strings.Fields(o.Request)); {
	case err != nil:
		return Signed{}, err
	case id != "":
		return s.Resume(ctx, id)
	}
	if s.Same != nil && len(o.Persons) > 0 { // now, since links go too
		var err error
		if o.Persons, err = s.Same(ctx, o.Persons); err != nil {
			return Signed{}, err
		}
	}
	o.ID, o.At, o.Key = "d-"+strings.ToLower(rand.Text()[:12]), s.Consents.Now().UTC(), make([]byte, 32)
	_, _ = rand.Read(o.Key) // it never fails
	e, err := consent.NewEntry(consent.Deletions, kindOrder, o.ID, consent.Person{}, o)
	if err != nil {
		return Signed{}, err
	}
	e.At = o.At
	entries := []consent.Entry{e}
	for _, p := range o.Persons {
		hold, err := s.Consents.Hold(p, o.By, o.ID)
		if err != nil {
			return Signed{}, err
		}
		entries = append(entries, hold)
	}
	if err := s.Consents.Store.Append(ctx, -1, entries); err != nil {
		return Signed{}, err
	}
	return s.Resume(ctx, o.ID)
}

// orderOf finds the order of requests. Those of one order, or some of them, have
// that order; requests of several have to be asked for apart.
func (s *Shredder) orderOf(ctx context.Context, requests []string) (id string, err error) {
	orders := map[string]string{} // by request
	for e, err := range s.Consents.Store.Entries(ctx, consent.Select{Book: consent.Deletions}) {
		if err != nil {
			return "", err
		}
		if e.Kind != kindOrder {
			continue
		}
		var o Order
		if err := e.Read(&o); err != nil {
			return "", err
		}
		for _, request := range strings.Fields(o.Request) {
			orders[request] = o.ID
		}
	}
	for i, request := range requests {
		if i > 0 && orders[request] != id {
			return "", fmt.Errorf("%w: requests %s and %s are not of one order: carry out the one that was begun by itself",
				ErrInvalid, requests[0], request)
		}
		id = orders[request]
	}
	return id, nil
}

// Unfinished are the orders that were begun and have no receipt.
func (s *Shredder) Unfinished(ctx context.Context) (ids []string, err error) {
	for e, err := range s.Consents.Store.Entries(ctx, consent.Select{Book: consent.Deletions}) {
		switch {
		case err != nil:
			return nil, err
		case e.Kind == kindOrder:
			ids = append(ids, e.Ref)
		case e.Kind == kindReceipt:
			ids = slices.DeleteFunc(ids, func(id string) bool { return id == e.Ref })
		}
	}
	return ids, nil
}

// Resume goes on with an order where it was.
func (s *Shredder) Resume(ctx context.Context, id string) (Signed, error) {
	var o Order
	planned, erased := map[string][]Gone{}, map[string]bool{}
	for e, err := range s.Consents.Store.Entries(ctx, consent.Select{Book: consent.Deletions, Ref: id}) {
		if err != nil {
			return Signed{}, err
		}
		switch e.Kind {
		case kindOrder:
			if err := e.Read(&o); err != nil {
				return Signed{}, err
			}
		case kindPlanned, kindErased:
			var p progress
			if err := e.Read(&p); err != nil {
				return Signed{}, err
			}
			if e.Kind == kindPlanned {
				planned[p.Eraser] = p.Gone
			} else {
				erased[p.Eraser] = true
			}
		case kindReceipt:
			var done Signed
			return done, e.Read(&done)
		}
	}
	if o.ID == "" {
		return Signed{}, fmt.Errorf("order of deletion: %w", consent.ErrNotFound)
	}
	erasers, err := s.concerned(o)
	if err != nil {
		return Signed{}, err
	}
	var gone []Gone
	for _, e := range erasers {
		what, known := planned[e.Name()]
		if !known {
			s.step(erasers, e, Searching)
			t := NewTally(o)
			if err := e.Plan(ctx, o, t); err != nil {
				return Signed{}, fmt.Errorf("plan of %s: %w", e.Name(), err)
			}
			what = t.gone(e, o)
			if err := s.append(ctx, kindPlanned, o.ID, progress{e.Name(), what}); err != nil {
				return Signed{}, err
			}
		}
		if !erased[e.Name()] {
			if err := s.erase(ctx, erasers, e, o); err != nil {
				return Signed{}, err
			}
		}
		gone = append(gone, what...)
	}
	signed, err := s.sign(ctx, o, gone)
	if err != nil {
		return Signed{}, err
	}
	return signed, s.append(ctx, kindReceipt, o.ID, signed)
}

// erase has an eraser do its work and looks whether anything is left.
func (s *Shredder) erase(ctx context.Context, places []Eraser, e Eraser, o Order) error {
	s.step(places, e, Erasing)
	if err := e.Erase(ctx, o); err != nil {
		return fmt.Errorf("erase %s: %w", e.Name(), err)
	}
	s.step(places, e, Checking)
	t := NewTally(o)
	if err := e.Plan(ctx, o, t); err != nil {
		return fmt.Errorf("look after %s: %w", e.Name(), err)
	}
	if len(t.hashes) > 0 {
		return fmt.Errorf("%s: %w", e.Name(), ErrLeft)
	}
	return s.append(ctx, kindErased, o.ID, progress{Eraser: e.Name()})
}

func (s *Shredder) append(ctx context.Context, kind, id string, says any) error {
	e, err := consent.NewEntry(consent.Deletions, kind, id, consent.Person{}, says)
	if err != nil {
		return err
	}
	e.At = s.Consents.Now()
	return s.Consents.Store.Append(ctx, -1, []consent.Entry{e})
}
