package suppress

import (
	"cmp"
	"math"
	"slices"

	"meguri/internal/simplex"
)

// hide chooses cells to hide so that a demand can be met: those that the
// movement that meets it crosses at the least cost (after Kelly, Golden and
// Assad, Cell suppression, Networks 22, 1992, who minimise the amount by which
// published cells move). ok is false when what must be shown makes it impossible.
func (k *prover) hide(d demand) (cells []int32, mv move, ok bool) {
	blocks := func(c int32) bool { return !k.m.cells[c].Sensitive && !(k.hidden[c] && k.m.cells[c].Fate == Withheld) }
	all := func(int32) bool { return true }
	price := func(c int32) float64 {
		switch {
		case k.m.cells[c].Fate == Shown:
			return -1
		case k.hidden[c]:
			return 0
		}
		return k.m.cells[c].Cost
	}
	const most = 30_000 // what has no proof among so many leaves is not waited for
	for _, size := range []int{120, 600, 3000, min(most, len(k.m.value))} {
		k.wide.around(k.m, d.cell, size, blocks, all)
		if cells, mv, ok = k.cross(d, price); ok || len(k.wide.leaves) == len(k.m.value) {
			break
		}
	}
	return cells, mv, ok
}

// cross looks within the region. The price of crossing a cell is negative when
// it must not be crossed.
func (k *prover) cross(d demand, price func(int32) float64) (cells []int32, mv move, ok bool) {
	const pull = 1e4 // what the shift is worth, beside the dearest cell crossed once
	m, r := k.m, k.wide
	target := int32(len(r.rows))
	aimed := make(map[int32]bool, len(m.cells[d.cell].Leaves))
	for _, l := range m.cells[d.cell].Leaves {
		aimed[l] = true
	}
	a := r.matrix(m, 1, func(leaf int32) []int32 {
		if aimed[leaf] {
			return []int32{target}
		}
		return nil
	})
	n := len(r.leaves)
	// Every cell that may be crossed has two columns, up and down.
	plus := make([]int32, len(r.rows))
	scale := 0.0
	for i, c := range r.rows {
		if plus[i] = -1; price(c) >= 0 {
			plus[i] = a.Column(-1, int32(i))
			a.Column(1, int32(i))
			scale = max(scale, m.cells[c].Cost)
		}
	}
	t := a.Column(-1, target)
	lower, upper := make([]float64, a.Columns()), make([]float64, a.Columns())
	for j := n; j < a.Columns(); j++ {
		upper[j] = math.Inf(1)
	}
	for j, l := range r.leaves {
		own, whole := k.m.least(l, d.attacker)
		if lower[j], upper[j] = own-m.value[l], math.Inf(1); whole {
			lower[j], upper[j] = 0, 0
		}
	}
	if lower[t], upper[t] = 0, d.need; d.sign < 0 {
		lower[t], upper[t] = -d.need, 0
	}
	solver := simplex.New(a)
	solver.Limit = 4 * patience
	best := math.Inf(1)
	weight := make([]float64, len(r.rows)) // by how far each cell was crossed before
	for round := range 3 {
		objective := []simplex.Term{{Column: t, Value: d.sign * pull}}
		for i, c := range r.rows {
			if plus[i] < 0 {
				continue
			}
			w := price(c) / scale
			if round > 0 {
				w /= weight[i]/d.need + 0.02
			}
			if round > 0 && m.whole { // short ways are whole, as a rule
				w += float64(round) / 100
			}
			if w == 0 {
				continue
			}
			objective = append(objective, simplex.Term{Column: plus[i], Value: -w}, simplex.Term{Column: plus[i] + 1, Value: -w})
		}
		// Where it takes too long, a movement that is not the cheapest will do.
		if _, status := solver.Maximize(objective, lower, upper, math.Inf(1)); status == simplex.Unbounded {
			break
		}
		moved := make([]float64, a.Columns())
		terms := solver.Movement()
		for _, term := range terms {
			moved[term.Column] = term.Value
		}
		if math.Abs(moved[t]) < d.need*(1-1e-9) {
			break
		}
		var crossed []int32
		cost := 0.0
		for i, c := range r.rows {
			if weight[i] = 0; plus[i] < 0 || price(c) == 0 {
				continue
			}
			if weight[i] = math.Abs(moved[plus[i]] - moved[plus[i]+1]); weight[i] > still {
				crossed = append(crossed, c)
				cost += m.cells[c].Cost
			}
		}
		whole := m.settle(r.move(terms))
		if whole == nil {
			continue
		}
		ok = true
		if cost < best {
			best, cells, mv = cost, crossed, whole
		}
		if len(crossed) <= 1 {
			break
		}
	}
	return cells, mv, ok
}

// repair hides more until every demand is met that was not. It returns those
// that cannot be.
func (k *prover) repair(failed []demand) (hopeless []demand) {
	slices.SortStableFunc(failed, func(a, b demand) int {
		return cmp.Or(cmp.Compare(b.need, a.need), cmp.Compare(a.cell, b.cell), cmp.Compare(a.attacker, b.attacker))
	})
	for _, d := range failed {
		if k.find(d) != nil { // what was hidden for others is enough
			continue
		}
		cells, mv, ok := k.hide(d)
		if !ok {
			hopeless = append(hopeless, d)
			continue
		}
		for _, c := range cells {
			k.hidden[c] = true
		}
		k.decisions++
		k.learn(mv)
		k.keep(&proof{move: mv}, d)
	}
	return hopeless
}
