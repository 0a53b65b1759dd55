package audit

import (
	"fmt"
	"math"
	"slices"

	"meguri/analytics/disclosure/dossier"
)

// need is the protection that a cell needs.
type need struct {
	sensitive bool
	up, down  float64 // against outsiders
	percent   float64 // p, where the p % rule made it sensitive; else 0
	unit      float64 // by how much nobody may be certain, where there are too few respondents; else 0
	crowd     int     // how many respondents attack together: 1 or 2
}

// join makes a need as strict as both.
func (n *need) join(o need) {
	n.sensitive = n.sensitive || o.sensitive
	n.up, n.down = math.Max(n.up, o.up), math.Max(n.down, o.down)
	n.percent, n.unit = math.Max(n.percent, o.percent), math.Max(n.unit, o.unit)
	n.crowd = max(n.crowd, o.crowd)
}

// checkRules refuses rules that the auditor does not know: it would have to take
// every cell for safe.
func checkRules(t *dossier.Table) error {
	r := t.Rules
	fault := ""
	switch given := false; {
	case !(r.Percent >= 0) || math.IsInf(r.Percent, 0):
		fault = "its percentage is no number"
	case r.MinRespondents < 0:
		fault = "its minimum of respondents is negative"
	case r.Top < 0 || !(r.Share >= 0) || r.Share > 100 || (r.Top > 0) != (r.Share > 0):
		fault = "its (n, k) rule has no n, or no k between 0 and 100"
	case r.Coalition < 0 || r.Coalition > 2:
		fault = "coalitions of more than two are not played"
	case r.Percent == 0 && r.MinRespondents == 0 && r.Top == 0:
		for i := range t.Cells {
			given = given || t.Cells[i].Up > 0 || t.Cells[i].Down > 0
		}
		if !given {
			fault = "it has no rule, and no cell tells its protection"
		}
	}
	if fault != "" {
		return fmt.Errorf("%w: table %q, rules %q: %s", ErrMalformed, t.Release, r.Name, fault)
	}
	return nil
}

// party is a respondent's part of a cell.
type party struct {
	respondent int32
	amount     float64
}

// tally adds up who has what in a cell.
type tally struct {
	m    *model
	sums []float64 // of each respondent
	who  []int32   // who has something
	top  [3]party  // the largest, the largest first; -1 is nobody
}

func newTally(m *model) *tally { return &tally{m: m, sums: make([]float64, len(m.name))} }

// take adds up some leaves.
func (t *tally) take(leaves []int32) {
	for _, r := range t.who {
		t.sums[r] = 0
	}
	t.who = t.who[:0]
	for _, l := range leaves {
		for k := t.m.parts.start[l]; k < t.m.parts.start[l+1]; k++ {
			r := t.m.parts.index[k]
			if t.sums[r] == 0 {
				t.who = append(t.who, r)
			}
			t.sums[r] += t.m.amount[k]
		}
	}
	t.top = [3]party{{respondent: -1}, {respondent: -1}, {respondent: -1}}
	for _, r := range t.who {
		p := party{r, t.sums[r]}
		for i := range t.top {
			if p.amount > t.top[i].amount {
				t.top[i], p = p, t.top[i]
			}
		}
	}
}

// largest is the largest part that is not an attacker's own.
func (t *tally) largest(a pair) float64 {
	for _, p := range t.top {
		if p.respondent >= 0 && p.respondent != a[0] && p.respondent != a[1] {
			return p.amount
		}
	}
	return 0
}

// own is what an attacker has in the cell.
func (t *tally) own(a pair) (sum float64) {
	for _, r := range a {
		if r >= 0 {
			sum += t.sums[r]
		}
	}
	return sum
}

// first is the sum of the n largest parts.
func (t *tally) first(n int) (sum float64) {
	if n <= len(t.top) {
		for _, p := range t.top[:n] {
			sum += p.amount
		}
		return sum
	}
	// A rule over more than three is rare, and may cost a sort.
	all := make([]float64, 0, len(t.who))
	for _, r := range t.who {
		all = append(all, t.sums[r])
	}
	slices.Sort(all)
	for _, a := range all[max(0, len(all)-n):] {
		sum += a
	}
	return sum
}

// byPercent is what is missing by the p % rule: those who attack know their own
// parts, and must not come within p % of the largest one. The most dangerous are
// the next largest (Handbook on Statistical Disclosure Control, 2nd ed., 4.2.2).
func (t *tally) byPercent(value, percent float64, crowd int) float64 {
	rest := value - t.first(1+crowd)
	return percent/100*t.top[0].amount - rest
}

// judge is the protection that the rules of a table ask for a sum of leaves.
func (t *tally) judge(value float64, r *dossier.Rules, unit float64) need {
	n := need{crowd: max(1, r.Coalition)}
	rounding := 1e-9 * value
	ask := func(up float64) {
		n.sensitive = true
		n.up, n.down = math.Max(n.up, up), math.Max(n.down, math.Min(up, value))
	}
	if up := t.byPercent(value, r.Percent, n.crowd); r.Percent > 0 && up > rounding {
		ask(up)
		n.percent = r.Percent
	}
	if r.Top > 0 {
		if up := 100/r.Share*t.first(r.Top) - value; up > rounding {
			ask(up)
		}
	}
	if len(t.who) < r.MinRespondents {
		ask(unit)
		n.unit = unit
	}
	return n
}

// needs works out the protection of every cell.
func (m *model) needs() {
	t := newTally(m)
	for i := range m.cells {
		c := &m.cells[i]
		t.take(m.leaves.of(int32(i)))
		for _, p := range c.places {
			if p.table >= 0 {
				c.need.join(m.asked(t, c.value, p))
			}
		}
		// The strictest of several tables' rules taken together may be stricter than
		// each. A witness against outsiders that is enough for it is enough for
		// everybody who has no part in it.
		if c.need.percent > 0 {
			c.need.up = math.Max(c.need.up, t.byPercent(c.value, c.need.percent, c.need.crowd))
		}
	}
}

// asked is the protection that one table asks for a cell: by its rules, and by
// what stands beside the cell. No cell can be protected below 0.
func (m *model) asked(t *tally, value float64, p place) need {
	n := t.judge(value, &m.d.Tables[p.table].Rules, m.unit)
	if c := m.at(p); c.Up > 0 || c.Down > 0 {
		n.sensitive = true
		n.up, n.down = math.Max(n.up, c.Up), math.Max(n.down, math.Min(c.Down, value))
	}
	return n
}
