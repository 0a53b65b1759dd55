package budget

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Query is a question: a count or a sum for each of some cells of a snapshot.
type Query struct {
	Snapshot string     `json:"snapshot"` // names the data that is asked; nothing may be told by the name
	Measure  Measure    `json:"measure"`
	Where    []Filter   `json:"where"` // all of them hold
	By       []string   `json:"by"`    // dimensions that make the cells
	Cells    [][]string `json:"cells"` // codes of each cell, one for each dimension of By
	// Sparse asks for the cells that the data has, in place of a list. It costs δ
	// besides ε, and leaves out cells with few persons. Only persons can be
	// counted like this.
	Sparse bool   `json:"sparse"`
	Label  string `json:"-"` // what the recipient calls it; says nothing
}

// Filter keeps what has one of the values in a dimension.
type Filter struct {
	Dimension string   `json:"dimension"`
	Values    []string `json:"values"`
}

// separator is between the codes in the name of a cell.
const separator = "\x1f"

// CellName is the name of a cell in contributions and answers: its codes, in the
// order of the canonical question's dimensions.
func CellName(codes ...string) string { return strings.Join(codes, separator) }

// Names are the names of the cells.
func (q Query) Names() []string {
	names := make([]string, len(q.Cells))
	for i, codes := range q.Cells {
		names[i] = CellName(codes...)
	}
	return names
}

// Canonical is the question in the one form that questions have which mean the
// same: with dimensions, filters, values and cells in order and without
// repeats, filters of one dimension as one, and no label. Questions that mean
// the same for other reasons, such as a filter that everything passes, are
// different ones, and cost each: that is safe.
//
// The error is ErrQuery, for a question that nothing can answer.
func (q Query) Canonical() (Query, error) {
	c := Query{Snapshot: q.Snapshot, Measure: q.Measure, Sparse: q.Sparse, By: slices.Sorted(slices.Values(q.By))}
	switch {
	case q.Snapshot == "":
		return Query{}, fmt.Errorf("%w: no snapshot", ErrQuery)
	case q.Measure != Persons && q.Measure != Yen:
		return Query{}, fmt.Errorf("%w: unknown measure %q", ErrQuery, q.Measure)
	case q.Sparse && (len(q.Cells) > 0 || q.Measure != Persons):
		return Query{}, fmt.Errorf("%w: without a list of cells only persons can be counted", ErrQuery)
	case !q.Sparse && len(q.Cells) == 0:
		return Query{}, fmt.Errorf("%w: no cells", ErrQuery)
	case len(slices.Compact(slices.Clone(c.By))) != len(c.By):
		return Query{}, fmt.Errorf("%w: a dimension twice", ErrQuery)
	}
	c.Where = []Filter{}
	for _, f := range q.Where {
		f.Values = slices.Compact(slices.Sorted(slices.Values(f.Values)))
		at := slices.IndexFunc(c.Where, func(o Filter) bool { return o.Dimension == f.Dimension })
		if at < 0 {
			c.Where = append(c.Where, f)
			continue
		}
		c.Where[at].Values = slices.DeleteFunc(c.Where[at].Values, func(v string) bool {
			_, found := slices.BinarySearch(f.Values, v)
			return !found
		})
	}
	for _, f := range c.Where {
		if len(f.Values) == 0 {
			return Query{}, fmt.Errorf("%w: nothing passes the filters", ErrQuery)
		}
	}
	slices.SortFunc(c.Where, func(a, b Filter) int { return strings.Compare(a.Dimension, b.Dimension) })
	order := make([]int, len(c.By))
	for i, d := range c.By {
		order[i] = slices.Index(q.By, d)
	}
	c.Cells = [][]string{}
	for _, codes := range q.Cells {
		if len(codes) != len(c.By) {
			return Query{}, fmt.Errorf("%w: a cell needs a code for each dimension", ErrQuery)
		}
		cell := make([]string, len(codes))
		for i, o := range order {
			if cell[i] = codes[o]; strings.Contains(cell[i], separator) {
				return Query{}, fmt.Errorf("%w: a code has a control character", ErrQuery)
			}
		}
		c.Cells = append(c.Cells, cell)
	}
	slices.SortFunc(c.Cells, slices.Compare)
	c.Cells = slices.CompactFunc(c.Cells, slices.Equal)
	if c.By == nil {
		c.By = []string{}
	}
	return c, nil
}

// fingerprint identifies the canonical question with the mechanism that answers
// it: asking again for a more exact answer is another question.
func (q Query) fingerprint(m Mechanism) string {
	delta := ""
	if q.Sparse {
		delta = m.Cost.Delta.RatString()
	}
	b, err := json.Marshal(struct {
		Query  Query  `json:"query"`
		Kind   Kind   `json:"kind"`
		Cost   string `json:"cost"`
		Delta  string `json:"delta"`
		Bounds Bounds `json:"bounds"`
	}{q, m.Kind, m.Cost.Value.RatString(), delta, m.Bounds})
	if err != nil {
		panic(fmt.Sprintf("budget: strings and integers do not make JSON: %v", err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
