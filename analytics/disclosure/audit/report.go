package audit

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// Format is the version of the report.
const Format = "meguri-audit/1"

// Report is what an audit found. It exists only if the audit came to its end.
type Report struct {
	Format    string `json:"format"`
	Of        string `json:"of,omitempty"` // what was audited, in the caller's words
	Protected bool   `json:"protected"`

	Tables    int `json:"tables"`
	Cells     int `json:"cells"`     // of all tables
	Hidden    int `json:"hidden"`    // of them
	Sensitive int `json:"sensitive"` // of those that are hidden, by the rules
	Secondary int `json:"secondary"` // hidden, and not sensitive
	Sums      int `json:"sums"`      // different sums that are published or known
	Unknowns  int `json:"unknowns"`  // leaves that are somebody's and are not published

	Outsider    int `json:"outsider"`    // demands that were looked at
	Respondents int `json:"respondents"` // the same, against single respondents
	Coalitions  int `json:"coalitions"`  // the same, against two

	Witnesses  int     `json:"witnesses"`  // other tables that were found
	Reused     int     `json:"reused"`     // demands met by a witness found for another
	Programmes int     `json:"programmes"` // linear programs solved
	Steps      int     `json:"steps"`      // of them
	Seconds    float64 `json:"seconds"`

	Violations []Violation  `json:"violations"`
	Findings   []Finding    `json:"findings,omitempty"`
	Needless   []Name       `json:"needless,omitempty"` // hidden, and any one of them could be published
	Least      *CellReport  `json:"least,omitempty"`    // the cell with the least margin
	CellMargin []CellReport `json:"cell_margins,omitempty"`
}

// Name is a cell's name.
type Name struct {
	Table string   `json:"table"` // its release; "known" is what is known elsewhere
	Keys  []string `json:"keys,omitempty"`
}

// String is the name for people; an empty key, a total, is a star.
func (n Name) String() string {
	keys := slices.Clone(n.Keys)
	for i, k := range keys {
		if k == "" {
			keys[i] = "*"
		}
	}
	return n.Table + ": " + strings.Join(keys, " · ")
}

func compareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), slices.Compare(a.Keys, b.Keys))
}

// Kind is who finds something out.
type Kind string

// The kinds of violations.
const (
	Published  Kind = "published"  // a cell is published although it is sensitive
	Outsider   Kind = "outsider"   // somebody who only reads the tables
	Respondent Kind = "respondent" // somebody who knows its own part
	Coalition  Kind = "coalition"  // two who put together what they know
)

// Violation is a cell that is not protected.
type Violation struct {
	Kind      Kind    `json:"kind"`
	Cells     []Name  `json:"cells"`               // where it stands; all are the same sum
	Attackers []int32 `json:"attackers,omitempty"` // respondents
	Direction string  `json:"direction,omitempty"` // "up" or "down"
	Needed    float64 `json:"needed"`              // by how much it must be able to be larger or smaller
	Reached   float64 `json:"reached"`             // by how much it can be
}

func compareViolations(a, b Violation) int {
	return cmp.Or(compareNames(a.Cells[0], b.Cells[0]), cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Attackers, b.Attackers), cmp.Compare(b.Direction, a.Direction))
}

// Bound is an end of a range; in JSON an infinite one is null.
type Bound float64

// MarshalJSON writes a bound.
func (b Bound) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(b), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(b))
}

// Range is what an outsider can compute of a hidden cell.
type Range struct {
	Lo Bound `json:"lo"`
	Up Bound `json:"up"`
}

// CellReport is what was found about a hidden cell.
type CellReport struct {
	Name
	Sensitive bool    `json:"sensitive"`
	Up        float64 `json:"up,omitempty"`   // the protection that it needs
	Down      float64 `json:"down,omitempty"` // the same
	// Margin is how many times its protection against outsiders was shown: at
	// least 1 where there is no violation. It is a lower bound; with intervals it
	// is exact.
	Margin Bound  `json:"margin,omitempty"`
	Range  *Range `json:"range,omitempty"`
}

// Finding is something that is worth a look, and no violation of the rules.
type Finding struct {
	Kind  FindingKind `json:"kind"`
	Cells []Name      `json:"cells"`
	// Amount is the sum in question.
	Amount float64 `json:"amount,omitempty"`
}

// FindingKind is what was found.
type FindingKind string

// The kinds of findings.
const (
	// Zero is a hidden cell that is known to be 0: hiding it protects nothing, and
	// shows that it is none of the empty ones.
	Zero FindingKind = "zero"
	// Redundant is a hidden cell that is not sensitive and can be computed from
	// what is published.
	Redundant FindingKind = "redundant"
	// Dominated is a published sum whose hidden rest, which anybody can compute,
	// breaks the p % rule as a whole though its cells may be protected one by one.
	Dominated FindingKind = "dominated"
)

func (m *model) named(p place) Name {
	if p.table < 0 {
		return Name{"known", m.at(p).Keys}
	}
	return Name{m.d.Tables[p.table].Release, m.at(p).Keys}
}

// names are the places of a cell that are hidden, or that are not.
func (m *model) names(c int32, hidden bool) (all []Name) {
	for _, p := range m.cells[c].places {
		if (m.at(p).Value == nil) == hidden {
			all = append(all, m.named(p))
		}
	}
	return all
}

// count fills in what there is to audit.
func (m *model) count(r *Report) {
	r.Tables = len(m.d.Tables)
	for _, t := range m.d.Tables {
		r.Cells += len(t.Cells)
	}
	r.Hidden = len(m.empty)
	for i := range m.cells {
		c := &m.cells[i]
		if c.shown {
			r.Sums++
		}
		for _, p := range c.places {
			switch {
			case m.at(p).Value != nil:
				continue
			case c.need.sensitive:
				r.Sensitive++
			}
			r.Hidden++
		}
	}
	r.Secondary = r.Hidden - r.Sensitive
	for _, f := range m.fixed {
		if !f {
			r.Unknowns++
		}
	}
	r.Violations = []Violation{}
}

// published reports sensitive cells that are published, by their own table or
// by another.
func (m *model) published(r *Report) {
	for i := range m.cells {
		if c := &m.cells[i]; c.need.sensitive && c.shown {
			r.Violations = append(r.Violations, Violation{
				Kind: Published, Cells: m.names(int32(i), false), Needed: math.Max(c.need.up, c.need.down),
			})
		}
	}
}

// violate reports a demand that is not met.
func (w *worker) violate(d demand, reached float64) {
	v := Violation{Kind: Outsider, Cells: w.m.names(d.cell, true), Direction: "up", Needed: d.by, Reached: reached}
	if d.sign < 0 {
		v.Direction = "down"
	}
	for _, r := range d.attacker {
		if r >= 0 {
			v.Attackers = append(v.Attackers, w.m.name[r])
		}
	}
	slices.Sort(v.Attackers)
	switch len(v.Attackers) {
	case 1:
		v.Kind = Respondent
	case 2:
		v.Kind = Coalition
	}
	w.violations = append(w.violations, v)
}

// hand hands a worker's findings to the report.
func (w *worker) hand(r *Report) {
	r.Outsider += w.outside
	r.Respondents += w.inside
	r.Coalitions += w.together
	r.Witnesses += len(w.pool)
	r.Reused += w.reused
	r.Programmes += w.programmes
	r.Steps += w.steps
	r.Violations = append(r.Violations, w.violations...)
	ranges := map[int32]*Range{}
	for _, b := range w.ranges {
		ranges[b.cell] = &Range{Bound(b.lo), Bound(b.up)}
		if w.slot[b.cell] < 0 {
			for _, n := range w.m.names(b.cell, true) {
				r.CellMargin = append(r.CellMargin, CellReport{Name: n, Range: ranges[b.cell]})
			}
		}
	}
	for _, t := range w.cells {
		n := &w.m.cells[t.cell].need
		margin := math.Inf(1)
		for i := range t.open {
			margin = math.Min(margin, w.margin(&t, &t.open[i], ranges[t.cell]))
		}
		for _, name := range w.m.names(t.cell, true) {
			r.CellMargin = append(r.CellMargin, CellReport{Name: name, Sensitive: true, Up: n.up, Down: n.down, Margin: Bound(margin), Range: ranges[t.cell]})
		}
	}
}

// margin is how many times a demand of outsiders is met, as far as is known.
func (w *worker) margin(t *target, o *open, exact *Range) (shown float64) {
	value := w.m.cells[t.cell].value
	switch {
	case exact != nil && o.sign > 0:
		return (float64(exact.Up) - value) / o.by
	case exact != nil:
		return (value - float64(exact.Lo)) / o.by
	case o.met < 0:
		return 0
	}
	for _, v := range t.movers {
		shown = math.Max(shown, w.pool[v.witness].far(v.change, o.demand))
	}
	return math.Max(shown, 1)
}

// least finds the sensitive cell with the least margin.
func (r *Report) least() {
	for i := range r.CellMargin {
		if c := &r.CellMargin[i]; c.Sensitive && (r.Least == nil || c.Margin < r.Least.Margin) {
			r.Least = c
		}
	}
}
