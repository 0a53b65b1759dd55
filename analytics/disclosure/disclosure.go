// Package disclosure is the gate: nothing leaves but statistics. It is the
// only place that makes a [Released] table, and a Released table is the only
// thing that reports can take. Start with [Gate.Release].
//
// This first form hides every cell with fewer persons behind it, or behind a
// group of persons that it counts, than the rule set's minimum, and, for the
// public, with too few shops. Cells that give a hidden one away by subtraction
// from others are not yet hidden too.
package disclosure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"meguri/analytics"
)

// Audience is who a release is for.
type Audience string

// The audiences with a rule set.
const (
	Public Audience = "public" // anyone
	City   Audience = "city"   // city and office, under contract
	Owner  Audience = "shop"   // a merchant, about its own shop
)

// RuleSet is a version of the rules for an audience. Released tables name it.
type RuleSet struct {
	Audience   Audience `json:"audience"`
	Version    string   `json:"version"`
	MinPersons int64    `json:"min_persons"` // a cell with fewer persons is hidden, unless nothing happened in it
	MinShops   int64    `json:"min_shops"`   // the same for shops: a shop's sales are its own
}

// RuleSets are the rule sets in force. The minimums are those of the research
// behind the project: 10 persons and 3 shops for the public, 5 persons under
// contract.
var RuleSets = []RuleSet{
	{Audience: Public, Version: "2026-11.2", MinPersons: 10, MinShops: 3},
	{Audience: City, Version: "2026-11.2", MinPersons: 5},
	{Audience: Owner, Version: "2026-11.2", MinPersons: 5},
}

// ErrNoRuleSet: there is no rule set for the audience, so nothing is released.
var ErrNoRuleSet = errors.New("no rule set for this audience")

// RulesFor returns the rule set in force for an audience.
func RulesFor(a Audience) (RuleSet, error) {
	for _, r := range RuleSets {
		if r.Audience == a {
			return r, nil
		}
	}
	return RuleSet{}, fmt.Errorf("%w: %q", ErrNoRuleSet, a)
}

// State says what a cell shows.
type State int

// The states of a cell. Only a Shown cell has values.
const (
	Shown      State = iota
	Suppressed       // 秘匿: too few persons or shops stand behind it
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
}

// Gate answers queries with released tables. It stands in the query layer:
// whoever asks through it never holds a raw table.
type Gate struct {
	Engine analytics.Engine
	Now    func() time.Time
}

// Release runs a query and applies the rule set of the audience to its answer.
func (g *Gate) Release(ctx context.Context, q analytics.Query, a Audience) (Released, error) {
	if _, err := RulesFor(a); err != nil {
		return Released{}, err
	}
	t, err := g.Engine.Run(ctx, q)
	if err != nil {
		return Released{}, err
	}
	return release(t, a, g.Now())
}

func release(t analytics.Table, a Audience, now time.Time) (Released, error) {
	rules, err := RulesFor(a)
	if err != nil {
		return Released{}, err
	}
	r := Released{table: t, rules: rules, at: now.UTC()}
	r.table.Cells = nil
	for _, raw := range t.Cells {
		if len(raw.Keys) != len(t.Dims) || len(raw.Values) != len(t.Measures) || raw.Persons < 0 {
			return Released{}, fmt.Errorf("release %s: a cell does not fit the table", t.Metric.ID)
		}
		c := Cell{Keys: append([]string(nil), raw.Keys...)}
		if (raw.Persons < rules.MinPersons || raw.Shops < rules.MinShops) && !empty(raw) {
			c.State = Suppressed
			r.hidden++
		} else {
			c.values = append([]float64(nil), raw.Values...)
		}
		r.cells = append(r.cells, c)
	}
	return r, nil
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
func (r Released) Query() analytics.Query { return r.table.Query }

// Dims are the dimensions, in the order of a cell's keys.
func (r Released) Dims() []analytics.Column { return append([]analytics.Column(nil), r.table.Dims...) }

// Measures are the measures, in the order of a cell's values.
func (r Released) Measures() []analytics.Column {
	return append([]analytics.Column(nil), r.table.Measures...)
}

// Cells are the rows.
func (r Released) Cells() []Cell { return append([]Cell(nil), r.cells...) }

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
