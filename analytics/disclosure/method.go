package disclosure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"meguri/analytics"
	"meguri/analytics/disclosure/perturb"
)

// Method is how the figures of a metric are protected.
type Method string

// The methods. Noise protects persons and no shops: what tells of too few shops
// stays hidden under all of them, see under.
const (
	Suppression Method = "suppression" // 秘匿: sensitive cells are hidden
	Rounding    Method = "rounding"    // 丸め: multiples of a base that add up
	CellKey     Method = "cell_key"    // 摂動: noise that is the same for the same persons
)

// Treatment is what a rule set says of a metric.
type Treatment struct {
	Method Method `yaml:"method"`
	Base   int64  `yaml:"base"` // of Rounding
}

// Errors of methods. Each is a refusal: nothing was released.
var (
	ErrReleaseKey    = errors.New("there is no release key to perturb this table with")
	ErrMethodChanged = errors.New("the window was published by another method, or with another key")
)

// figures are the counts that a metric tells, or that can be worked out of it
// and another one that everybody has. Of those that share one, none may be out
// unchanged when another one has noise.
var figures = map[string][]string{
	"M01b": {"payments"}, "M02": {"visits", "payments"}, "M03": {"persons"}, "M04": {"visits", "payments"}, "M05": {"visits", "persons"},
	"M06": {"persons"}, "M07": {"persons"}, "M08": {"persons"}, "M10": {"persons"},
}

func shareFigures(a, b string) bool {
	return a == b || slices.ContainsFunc(figures[a], func(f string) bool { return slices.Contains(figures[b], f) })
}

// wholePersons is the metric that counts each person of a cell once, so that a
// cell's persons are its records.
const wholePersons = "M03"

func (r RuleSet) treatment(metric string) Treatment {
	if t, ok := r.Methods[metric]; ok {
		return t
	}
	return Treatment{Method: Suppression}
}

func (r RuleSet) checkMethods() error {
	for _, id := range sortedKeys(r.Methods) {
		t := r.Methods[id]
		m, err := analytics.MetricByID(id)
		if err != nil {
			return err
		}
		only := func(units ...analytics.Unit) bool {
			return !slices.ContainsFunc(m.Measures, func(c analytics.Column) bool { return !slices.Contains(units, c.Unit) })
		}
		if t.Method != Rounding && t.Base != 0 {
			return fmt.Errorf("%s: only rounding has a base", id)
		}
		switch t.Method {
		case Suppression:
			continue
		case CellKey, Rounding:
		default:
			return fmt.Errorf("%s: %q is none of %s, %s and %s", id, t.Method, Suppression, Rounding, CellKey)
		}
		switch {
		case slices.ContainsFunc(m.Measures, func(c analytics.Column) bool { return c.Unit == analytics.Yen }):
			return fmt.Errorf("%s is in yen: amounts stay with suppression, since one large part shows through noise", id)
		case !only(analytics.Persons, analytics.Visits, analytics.Count) || len(m.Fixed) > 0:
			return fmt.Errorf("%s is no table of counts: %s is for counts", id, t.Method)
		case t.Method == CellKey && id != wholePersons:
			return fmt.Errorf("%s: cell_key is for %s, which counts each person of a cell once", id, wholePersons)
		case t.Method == Rounding && (t.Base < 3 || t.Base > 1000):
			return fmt.Errorf("%s: the base is %d, and must be 3 to 1000", id, t.Base)
		case len(r.Lattice) == 0 || !r.Frozen:
			return fmt.Errorf("%s: %s is safe for a fixed list of tables that stay as they are: it needs frozen and a lattice", id, t.Method)
		}
		for other, o := range r.Methods {
			if o != t && shareFigures(id, other) {
				return fmt.Errorf("%s and %s tell the same counts: give them one method, or leave one out", id, other)
			}
		}
	}
	return nil
}

// keepsOriginals refuses a metric from which the originals of one with noise
// could be worked out.
func (r RuleSet) keepsOriginals(m analytics.Metric) error {
	for _, id := range sortedKeys(r.Methods) {
		if t := r.Methods[id]; t.Method != Suppression && r.treatment(m.ID) != t && shareFigures(m.ID, id) {
			return fmt.Errorf("%w: %s would tell what %s tells with noise", ErrNotOffered, m.ID, id)
		}
	}
	return nil
}

// noise says whether noise protects the persons in a metric. Where one person
// may be counted many times it does not: there the rules for few persons stay.
func (r RuleSet) noise(m analytics.Metric) bool {
	return r.treatment(m.ID).Method != Suppression &&
		!slices.ContainsFunc(m.Measures, func(c analytics.Column) bool { return c.Unit != analytics.Persons })
}

// parties are those whose parts in a view are protected by hiding.
func (v view) parties() []analytics.Party {
	if v.Noise {
		return []analytics.Party{analytics.ByShop}
	}
	return []analytics.Party{analytics.ByShop, analytics.ByPerson}
}

// protection is how a table is protected.
type protection struct {
	Treatment
	id      string // the same ID is the same noise; "" is Suppression
	release *perturb.Release
}

// protection is that of a query. Whatever shows the same counts of days that it
// shares must have been published with the same one.
func (g *Gate) protection(r RuleSet, v view, q analytics.Query) (protection, error) {
	how := protection{Treatment: r.treatment(q.Metric)}
	switch how.Method {
	case Rounding:
		how.id = fmt.Sprintf("%s %d", Rounding, how.Base)
	case CellKey:
		if g.ReleaseKey == nil {
			return how, ErrReleaseKey
		}
		var err error
		if how.release, err = g.ReleaseKey(); err != nil {
			return how, fmt.Errorf("%w: %w", ErrReleaseKey, err)
		}
		how.id = fmt.Sprintf("%s %s", CellKey, how.release.ID())
	}
	for _, other := range g.released {
		beside := other.of.Audience == v.Audience || r.Frozen && other.rules.Frozen
		if beside && other.how != how.id && shareFigures(q.Metric, other.table.Metric.ID) && other.of.From <= v.To && v.From <= other.of.To {
			return how, fmt.Errorf("%w: %s of %s to %s by %s", ErrMethodChanged, other.table.Metric.ID, other.of.From, other.of.To, other.Method())
		}
	}
	return how, nil
}

// under is the rule set as it is applied with a method: noise stands in place of
// rounding, and of a least number of persons where it protects them. How many
// persons there are of an age tells nothing of the shops that they went to, as
// long as no table that hangs together with this one tells of places or times.
func (r RuleSet) under(how protection, v view, by []string) RuleSet {
	if how.Method != Suppression {
		r.RoundCount = how.Base
	}
	if !v.Noise {
		return r
	}
	r.MinPersons, r.Zeroes = 0, nil // who is in a cell, and that nobody is, the noise hides
	dims := gather(r.lattice(), by).dims
	if len(dims) > 0 && !slices.ContainsFunc(dims, func(d string) bool { return !slices.Contains(ofPersons, d) }) {
		r.MinShops, r.Percent, r.Top, r.Share = 0, 0, 0, 0
	}
	return r
}

// lattice is the rule set's, to be gathered.
func (r RuleSet) lattice() (cuts []*placed) {
	for _, cut := range r.Lattice {
		cuts = append(cuts, &placed{By: cut})
	}
	return cuts
}

// change puts noise into a raw table.
func (g *Gate) change(ctx context.Context, rules RuleSet, how protection, v view, t analytics.Table) (analytics.Table, error) {
	switch how.Method {
	case CellKey:
		return g.keyed(ctx, how.release, t)
	case Rounding:
		return g.rounded(ctx, rules, how, v, t)
	}
	return t, nil
}

// keyed perturbs a count of persons by the keys of just those persons.
func (g *Gate) keyed(ctx context.Context, release *perturb.Release, t analytics.Table) (analytics.Table, error) {
	parts, err := g.Engine.Behind(ctx, t.Query, analytics.ByPerson)
	if err != nil {
		return t, err
	}
	behind := map[string]perturb.Cell{}
	for _, p := range parts {
		if p.Party != "" {
			key := cellKey(p.Keys)
			c := behind[key]
			behind[key] = perturb.Cell{Count: c.Count + 1, Key: c.Key + release.Person(p.Party)}
		}
	}
	cells := make([]perturb.Cell, len(t.Cells))
	for i, c := range t.Cells {
		if cells[i] = behind[cellKey(c.Keys)]; float64(cells[i].Count) != c.Values[0] {
			return t, fmt.Errorf("the persons of a cell are not those that it counts: %w", ErrMoved)
		}
	}
	counts, err := release.Counts(cells)
	if err != nil {
		return t, fmt.Errorf("perturb %s: %w", t.Metric.ID, err)
	}
	t.Cells = slices.Clone(t.Cells)
	for i, n := range counts {
		t.Cells[i].Values = []float64{float64(n)}
	}
	return t, nil
}

// Method is how the table was protected.
func (r Released) Method() Method {
	name, _, _ := strings.Cut(r.how, " ")
	return Method(cmp.Or(name, string(Suppression)))
}
