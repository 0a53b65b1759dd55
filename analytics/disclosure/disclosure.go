// Package disclosure is the gate: nothing leaves but statistics. It is the
// only place that makes a [Released] table, and a Released table is the only
// thing that reports can take. Start with [Gate.Release].
//
// A table is judged by the rule set of its audience. A cell is hidden when it is
// sensitive itself (too few persons or shops behind it, or one of them too large
// a part of it), and when it is needed to keep another one hidden: package
// suppress decides that for all cuts of a view together, and for views that
// overlap in time, so that no cell can be had by subtraction from any others.
// What was released is in the register, and what is released later is fitted to
// it, or refused.
package disclosure

import (
	"fmt"
	"math"
	"slices"
	"time"

	"meguri/analytics"
)

// State says what a cell shows.
type State int

// The states of a cell. Only a Shown cell has values.
const (
	Shown      State = iota
	Suppressed       // 秘匿: sensitive, or needed to keep another cell hidden
)

// Cell is one row of a released table. A hidden cell has no values: there is
// nothing to read by accident.
type Cell struct {
	Keys   []string
	State  State
	values []float64
}

// Value returns measure i. ok is false when the cell is hidden or the measure
// is not observable; Observed tells the two apart.
func (c Cell) Value(i int) (v float64, ok bool) {
	if c.State != Shown || math.IsNaN(c.values[i]) {
		return 0, false
	}
	return c.values[i], true
}

// Released is a table that may be shown to its audience. Its zero value is an
// empty table, and only a Gate makes another.
type Released struct {
	table  analytics.Table // without cells
	rules  RuleSet
	cells  []Cell
	at     time.Time
	hidden int
	of     view
	how    string // the ID of its protection

	regions []Region
}

// about is what is told of a table beside its cells.
type about struct {
	of      view
	how     protection
	regions []Region
}

// apply applies a rule set, and the plan of a cut, to a raw table. by is the
// plan's cut: the query's, and shop where the query names one. A cell that the
// plan does not know is hidden, unless it is empty. why tells of the hidden cells
// why they are.
func apply(t analytics.Table, rules RuleSet, plan *placed, by []string, a about, now time.Time) (_ Released, why []hiddenBody, err error) {
	r := Released{table: t, rules: rules, at: now.UTC(), of: a.of, how: a.how.id, regions: a.regions}
	r.table.Cells, r.table.Query.By = nil, slices.Clone(t.Query.By)
	own := len(t.Query.By)
	if err := once(t); err != nil {
		return Released{}, nil, err
	}
	there := map[string]bool{}
	alone := false // a cell is hidden that the plan would show
	for _, raw := range t.Cells {
		if len(raw.Keys) != len(t.Dims) || len(raw.Keys) < own || len(raw.Values) != len(t.Measures) || raw.Persons < 0 {
			return Released{}, nil, fmt.Errorf("release %s: a cell does not fit the table", t.Metric.ID)
		}
		c := Cell{Keys: append([]string(nil), raw.Keys...)}
		keys := raw.Keys[len(raw.Keys)-own:]
		if len(by) > own {
			keys = append(slices.Clone(keys), t.Query.Shop)
		}
		key := keyOf(by, keys)
		there[key] = true
		hidden, known := plan.Hidden[key]
		few := raw.Persons < rules.MinPersons || raw.Shops < rules.MinShops || rules.tells(t, raw) != ""
		if (few || hidden || !known) && !empty(raw) || hidden && rules.Zeroes != nil {
			c.State = Suppressed
			r.hidden++
			why = append(why, hiddenBody{c.Keys, plan.reason(key, t, raw, rules)})
			alone = alone || t.Metric.Groups && known && !hidden
		} else {
			for i, v := range raw.Values {
				c.values = append(c.values, rules.round(v, t.Measures[i].Unit))
			}
		}
		r.cells = append(r.cells, c)
	}
	if alone {
		r.hidden, why = hideAll(r.cells, why)
	}
	if a.how.Method != Suppression {
		r.cells = slices.DeleteFunc(r.cells, noisedAway)
	}
	if rules.Zeroes == nil || own < len(t.Dims) || own < len(by) {
		return r, why, nil
	}
	// What is empty and may not be known to be: a row like any hidden one.
	for _, key := range sortedKeys(plan.Hidden) {
		if own > 0 && plan.Hidden[key] && !there[key] {
			c := Cell{Keys: keysIn(by, key), State: Suppressed}
			r.cells = append(r.cells, c)
			r.hidden++
			why = append(why, hiddenBody{c.Keys, plan.Why[key]})
		}
	}
	if len(r.cells) > len(t.Cells) {
		slices.SortStableFunc(r.cells, func(a, b Cell) int { return slices.Compare(a.Keys, b.Keys) })
	}
	return r, why, nil
}

// reason is why a cell is hidden: as it was decided for the cut, or since this
// table's measure counts fewer than the cut has.
func (p *placed) reason(key string, t analytics.Table, raw analytics.Cell, rules RuleSet) Reason {
	switch why := p.Why[key]; {
	case p.Hidden[key] && why != "":
		return why
	case p.Hidden[key]:
		return Unrecorded
	case raw.Persons < rules.MinPersons:
		return FewPersons
	case raw.Shops < rules.MinShops:
		return FewShops
	}
	if why := rules.tells(t, raw); why != "" {
		return why
	}
	return Secondary
}

// tells says why a cell of a metric tells too much of its persons although they
// are many, or "". A share of 0 or 1 is true of each of them; a quartile is an
// amount of few where it does not have the least number of persons on each side
// (research on statistical disclosure asks for 10 on each side of a quantile).
func (r RuleSet) tells(t analytics.Table, raw analytics.Cell) Reason {
	if r.Zeroes == nil {
		return ""
	}
	if t.Metric.Quartiles && raw.Persons < 4*r.MinPersons {
		return FewPersons
	}
	for i, m := range t.Measures {
		if m.Unit == analytics.Ratio && i < len(raw.Values) && (raw.Values[i] == 0 || raw.Values[i] == 1) && raw.Persons > 0 {
			return Group
		}
	}
	return ""
}

// once refuses a table that has a cell twice: a part of it would be read as all.
func once(t analytics.Table) error {
	seen := map[string]bool{}
	for _, c := range t.Cells {
		k := cellKey(c.Keys)
		if seen[k] {
			return fmt.Errorf("release %s: %w: a cell stands twice", t.Metric.ID, ErrUneven)
		}
		seen[k] = true
	}
	return nil
}

// noisedAway reports whether noise has made a cell 0. It is left out, as one is in
// which nothing happened: the two must look the same.
func noisedAway(c Cell) bool {
	return c.State == Shown && len(c.Keys) > 0 && !slices.ContainsFunc(c.values, func(v float64) bool { return v != 0 })
}

// hideAll hides whatever is not empty, and returns how many cells are hidden and
// why. A metric may tell smaller groups apart than the plan knows, such as those
// whose payment was cancelled. Where one of them is too small nothing hides it
// from subtraction, in this table or another of the metric. Every finer cut has
// such a group too, and is hidden with it.
func hideAll(cells []Cell, why []hiddenBody) (hidden int, _ []hiddenBody) {
	for i, c := range cells {
		if slices.ContainsFunc(c.values, func(v float64) bool { return v != 0 && !math.IsNaN(v) }) {
			cells[i] = Cell{Keys: c.Keys, State: Suppressed}
			why = append(why, hiddenBody{c.Keys, Secondary})
		}
		if cells[i].State == Suppressed {
			hidden++
		}
	}
	return hidden, why
}

// round brings a value to the rule set's base. Shares and means stay as they
// are: they are of rounded size already.
func (r RuleSet) round(v float64, u analytics.Unit) float64 {
	base := int64(0)
	switch u {
	case analytics.Yen:
		base = r.RoundYen
	case analytics.Persons, analytics.Visits, analytics.Count:
		base = r.RoundCount
	}
	if base <= 1 || math.IsNaN(v) {
		return v
	}
	return math.Round(v/float64(base)) * float64(base)
}

// empty reports whether nothing happened in a cell. A cell of payments by nobody
// known has no persons and is not empty: it may be one person's.
func empty(c analytics.Cell) bool {
	for _, v := range c.Values {
		if v != 0 && !math.IsNaN(v) {
			return false
		}
	}
	return c.Persons == 0
}

// Metric is what the table measures.
func (r Released) Metric() analytics.Metric { return r.table.Metric }

// Query is the question that the table answers.
func (r Released) Query() analytics.Query {
	q := r.table.Query
	q.By = slices.Clone(q.By)
	return q
}

// Dims are the dimensions, in the order of a cell's keys.
func (r Released) Dims() []analytics.Column { return append([]analytics.Column(nil), r.table.Dims...) }

// Measures are the measures, in the order of a cell's values.
func (r Released) Measures() []analytics.Column {
	return append([]analytics.Column(nil), r.table.Measures...)
}

// Cells are the rows.
func (r Released) Cells() []Cell {
	cells := slices.Clone(r.cells)
	for i := range cells {
		cells[i].Keys = slices.Clone(cells[i].Keys)
	}
	return cells
}

// Rules is the rule set that was applied.
func (r Released) Rules() RuleSet { return r.rules }

// AsOf is what was known: the time of the lake's snapshot.
func (r Released) AsOf() time.Time { return r.table.AsOf }

// Snapshot is the number of the lake's snapshot.
func (r Released) Snapshot() int64 { return r.table.Snapshot }

// ReleasedAt is when the gate let the table out.
func (r Released) ReleasedAt() time.Time { return r.at }

// Hidden is how many cells are hidden.
func (r Released) Hidden() int { return r.hidden }
