package disclosure

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"meguri/analytics"
)

// Record is an entry of the register: what was released to whom, when, by which
// rules, and which cuts were decided for it. It is only added, never changed.
type Record struct {
	Number   int64 // given by the register
	At       time.Time
	Audience Audience
	Reader   string
	Rules    string // the rule set's audience and version
	Metric   string
	From, To string
	Cut      string // the dimensions, joined by +
	Snapshot int64
	Cells    int
	Hidden   int
	Frozen   bool
	Hash     string // SHA-256 of Body, in hexadecimal
	Body     []byte // JSON: the view, the decisions and, where what is published stays, the table
}

// ErrMoved: somebody else has entered something in the register meanwhile.
var ErrMoved = errors.New("the register has moved on")

// Register keeps what was released. Entries are numbered from 1.
type Register interface {
	// Append adds an entry, durably, before the table leaves. It is added only
	// when the last entry is number after, otherwise ErrMoved is returned: it was
	// decided without knowing what was released meanwhile. Any is for an entry
	// that decides nothing.
	Append(ctx context.Context, r Record, after int64) (number int64, err error)
	// All calls f with every entry, in the order in which they were added. It
	// returns the number of the last one.
	All(ctx context.Context, f func(Record) error) (last int64, err error)
}

// Any is the number after which an entry goes that decides nothing.
const Any = -1

// body is the JSON of a record.
type body struct {
	View        view      `json:"view"`
	Purpose     string    `json:"purpose,omitempty"`
	By          []string  `json:"by,omitempty"` // the cut by whose plan it was released
	Fingerprint string    `json:"fingerprint,omitempty"`
	Decided     []*placed `json:"decided,omitempty"`
	Regions     []Region  `json:"regions,omitempty"`
	// Hidden says why cells are hidden: the office's, as all of the register is.
	Hidden []hiddenBody `json:"hidden,omitempty"`
	Dims   []string     `json:"dims,omitempty"` // of the keys of Hidden
	Table  *tableBody   `json:"table,omitempty"`
}

type tableBody struct {
	Query    analytics.Query    `json:"query"`
	AsOf     time.Time          `json:"as_of"`
	Snapshot int64              `json:"snapshot"`
	Dims     []analytics.Column `json:"dims"`
	Measures []analytics.Column `json:"measures"`
	Rules    RuleSet            `json:"rules"`
	How      string             `json:"how,omitempty"` // the ID of its protection; none is suppression
	At       time.Time          `json:"released_at"`
	Cells    []cellBody         `json:"cells"`
}

// cellBody is a cell; a value that is not observed is null.
type cellBody struct {
	Keys   []string   `json:"keys"`
	Hidden bool       `json:"hidden,omitempty"`
	Values []*float64 `json:"values,omitempty"`
}

// hand enters a release in the register: it is the reader's from then on.
func (g *Gate) hand(ctx context.Context, v view, reader string, by []string, fresh []*placed, r Released, why []hiddenBody) error {
	var number int64
	if g.Register != nil {
		rec, err := recordOf(v, by, g.views[v], fresh, r, why, g.Purpose.of(ctx))
		if err != nil {
			return err
		}
		rec.At, rec.Reader = g.Now().UTC(), reader
		after := g.last
		if !rec.Frozen && len(fresh) == 0 {
			after = Any
		}
		number, err = g.Register.Append(ctx, rec, after)
		if err != nil {
			return fmt.Errorf("enter it in the register: %w", err)
		}
		if number == g.last+1 { // otherwise others have entered something too
			g.last = number
		}
	}
	return g.note(number, reader, v, by, r)
}

func recordOf(v view, by []string, state *viewState, fresh []*placed, r Released, why []hiddenBody, purpose string) (Record, error) {
	b := body{View: v, Purpose: purpose, By: by, Decided: fresh, Regions: state.regions, Hidden: why}
	for _, d := range r.table.Dims {
		b.Dims = append(b.Dims, d.Name)
	}
	if r.rules.Frozen {
		b.Fingerprint = state.fingerprint
		b.Table = &tableBody{
			Query: r.table.Query, AsOf: r.table.AsOf, Snapshot: r.table.Snapshot, Dims: r.table.Dims, Measures: r.table.Measures, Rules: r.rules, How: r.how, At: r.at,
		}
		for _, c := range r.cells {
			out := cellBody{Keys: c.Keys, Hidden: c.State == Suppressed}
			for _, value := range c.values {
				var p *float64
				if !math.IsNaN(value) {
					p = &value
				}
				out.Values = append(out.Values, p)
			}
			b.Table.Cells = append(b.Table.Cells, out)
		}
	}
	text, err := json.Marshal(b)
	if err != nil {
		return Record{}, fmt.Errorf("enter a release: %w", err)
	}
	return Record{
		Audience: v.Audience, Rules: string(r.rules.Audience) + " " + r.rules.Version, Metric: r.table.Metric.ID,
		From: v.From, To: v.To, Cut: cutName(r.table.Query.By), Snapshot: r.table.Snapshot, Cells: len(r.cells), Hidden: r.hidden,
		Frozen: r.rules.Frozen, Hash: HashOf(text), Body: text,
	}, nil
}

// HashOf is the hash of a record's body.
func HashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// restore takes in an entry of the register.
func (g *Gate) restore(rec Record) error {
	if HashOf(rec.Body) != rec.Hash {
		return fmt.Errorf("the entry of %s, %s, was changed: its hash does not fit", rec.At.Format(time.RFC3339), rec.Metric)
	}
	var b body
	if err := json.Unmarshal(rec.Body, &b); err != nil {
		return fmt.Errorf("the entry of %s, %s: %w", rec.At.Format(time.RFC3339), rec.Metric, err)
	}
	if len(b.By) == 0 && rec.Cut != "" { // entries from before cuts were in the body
		b.By = strings.Split(rec.Cut, "+")
	}
	state := g.views[b.View]
	if state == nil {
		state = &viewState{cuts: map[string]*placed{}, fingerprint: b.Fingerprint, regions: b.Regions}
		g.views[b.View] = state
	}
	for _, p := range b.Decided {
		state.cuts[cutName(p.By)] = p
	}
	if b.Table == nil {
		return g.note(rec.Number, rec.Reader, b.View, b.By, Released{})
	}
	q, metric, _, err := b.Table.Query.Resolve()
	if err != nil {
		return err
	}
	r := Released{rules: b.Table.Rules, at: b.Table.At, of: b.View, how: b.Table.How, regions: b.Regions, table: analytics.Table{
		Metric: metric, Query: b.Table.Query, AsOf: b.Table.AsOf, Snapshot: b.Table.Snapshot, Dims: b.Table.Dims, Measures: b.Table.Measures,
	}}
	for _, c := range b.Table.Cells {
		out := Cell{Keys: c.Keys}
		if c.Hidden {
			out.State = Suppressed
			r.hidden++
		}
		for _, v := range c.Values {
			value := math.NaN()
			if v != nil {
				value = *v
			}
			out.values = append(out.values, value)
		}
		r.cells = append(r.cells, out)
	}
	key, err := releaseKey(b.View, q)
	if err != nil {
		return err
	}
	g.released[key], g.why[key] = r, b.Hidden
	return g.note(rec.Number, rec.Reader, b.View, b.By, r)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func compareViews(a, b view) int {
	return cmp.Or(cmp.Compare(a.Audience, b.Audience), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}
