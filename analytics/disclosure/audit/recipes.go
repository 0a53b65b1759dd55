package audit

import (
	"cmp"
	"slices"
)

// findings are what the structure of the tables gives away beside the demands.
func (m *model) findings(workers []*worker) []Finding {
	var all []Finding
	for _, p := range m.empty {
		all = append(all, Finding{Kind: Zero, Cells: []Name{m.named(p)}})
	}
	for i := range m.cells {
		c := &m.cells[i]
		if !c.hidden || c.need.sensitive {
			continue
		}
		moves := slices.ContainsFunc(workers, func(w *worker) bool { return w.moves[i] })
		if c.shown || !moves {
			all = append(all, Finding{Kind: Redundant, Cells: m.names(int32(i), true), Amount: c.value})
		}
	}
	all = append(all, m.dominated()...)
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), compareNames(a.Cells[0], b.Cells[0]))
	})
	return all
}

// dominated takes every published sum apart along every dimension of its table:
// what is left when all published parts are taken off is a sum of hidden cells
// that anybody can compute. The p % rule is applied to it as if it were a cell.
func (m *model) dominated() (all []Finding) {
	x := &dissector{m: m, covered: make([]bool, len(m.value)), count: make([]int32, len(m.cells)), tally: newTally(m)}
	for i := range m.cells {
		if !m.cells[i].shown || len(m.leaves.of(int32(i))) < 2 {
			continue
		}
		x.take(int32(i))
		for _, p := range m.cells[i].places {
			if p.table < 0 || m.at(p).Value == nil || m.d.Tables[p.table].Rules.Percent == 0 {
				continue
			}
			if sum, found := x.dominated(p); found {
				all = append(all, Finding{Kind: Dominated, Cells: []Name{m.named(p)}, Amount: sum})
				break
			}
		}
	}
	return all
}

// dissector takes published sums apart.
type dissector struct {
	m       *model
	whole   []int32 // leaves of the sum
	parts   []int32 // published cells within it, the largest first
	covered []bool  // leaves of published parts
	count   []int32 // of each cell: how many of its leaves are in the sum
	tally   *tally
}

// take takes the next sum.
func (x *dissector) take(cell int32) {
	m := x.m
	x.whole, x.parts = m.leaves.of(cell), x.parts[:0]
	for _, l := range x.whole {
		for _, c := range m.in.of(l) {
			if x.count[c]++; int(x.count[c]) == len(m.leaves.of(c)) && m.cells[c].shown && c != cell {
				x.parts = append(x.parts, c)
			}
		}
	}
	for _, l := range x.whole {
		for _, c := range m.in.of(l) {
			x.count[c] = 0
		}
	}
	slices.SortFunc(x.parts, func(a, b int32) int {
		return cmp.Or(cmp.Compare(len(m.leaves.of(b)), len(m.leaves.of(a))), cmp.Compare(a, b))
	})
}

// dominated reports whether the rest along some dimension breaks the p % rule.
func (x *dissector) dominated(p place) (sum float64, found bool) {
	rules := &x.m.d.Tables[p.table].Rules
	for dim := range x.m.at(p).Keys {
		rest := x.rest(p, dim)
		if len(rest) == 0 || len(rest) == len(x.whole) {
			continue
		}
		sum = 0
		for _, l := range rest {
			sum += x.m.value[l]
		}
		x.tally.take(rest)
		if x.tally.byPercent(sum, rules.Percent, max(1, rules.Coalition)) > 1e-9*sum {
			return sum, true
		}
	}
	return 0, false
}

// rest are the leaves that are left when the published parts along a dimension
// are taken off.
func (x *dissector) rest(p place, dim int) (rest []int32) {
	m := x.m
	for _, l := range x.whole {
		x.covered[l] = m.fixed[l]
	}
	for _, c := range x.parts {
		part := m.leaves.of(c)
		apart := !slices.ContainsFunc(part, func(l int32) bool { return x.covered[l] && !m.fixed[l] })
		if !apart || !m.along(c, p, dim) {
			continue
		}
		for _, l := range part {
			x.covered[l] = true
		}
	}
	for _, l := range x.whole {
		if !x.covered[l] {
			rest = append(rest, l)
		}
	}
	return rest
}

// along reports whether a cell stands in the table of a place where only one key
// is another one.
func (m *model) along(c int32, at place, dim int) bool {
	keys := m.at(at).Keys
	return slices.ContainsFunc(m.cells[c].places, func(p place) bool {
		if p.table != at.table || m.at(p).Value == nil || len(m.at(p).Keys) != len(keys) {
			return false
		}
		for d, k := range m.at(p).Keys {
			if d != dim && k != keys[d] {
				return false
			}
		}
		return true
	})
}
