package suppress

import (
	"cmp"
	"math"
	"slices"

	"meguri/internal/simplex"
)

// repairer finds out what to hide so that a demand can be met: the movement
// that meets it and crosses the cheapest published cells (after Kelly, Golden
// and Assad, Cell suppression, Networks 22, 1992, which minimise the amount by
// which published cells move).
type repairer struct {
	k           *prover // whose hidden cells these are
	solver      *simplex.Solver
	plus        []int32 // of each cell: its column upwards, or -1
	minus       []int32
	target      map[int32]int32 // of each cell with a failed demand: the column of its shift
	scale       float64         // of costs
	lower       []float64
	upper       []float64
	cheap       []simplex.Term // the objective: what crossing costs
	at          []int32        // of each column, its place in the objective
	unshiftable []demand
}

func newRepairer(k *prover, failed []demand) *repairer {
	m := k.m
	r := &repairer{k: k, target: map[int32]int32{}, plus: make([]int32, len(m.cells)), minus: make([]int32, len(m.cells))}
	rows := int32(0)
	for i := range m.cells {
		if r.plus[i] = -1; !m.cells[i].Sensitive {
			r.plus[i] = rows
			rows++
			r.scale = max(r.scale, m.cells[i].Cost)
		}
	}
	for _, d := range failed {
		if _, ok := r.target[d.cell]; !ok {
			r.target[d.cell] = rows
			rows++
		}
	}
	a := simplex.NewMatrix(int(rows))
	for l := range m.value {
		var in []int32
		for _, c := range m.of[l] {
			if r.plus[c] >= 0 {
				in = append(in, r.plus[c])
			}
			if t, ok := r.target[c]; ok {
				in = append(in, t)
			}
		}
		a.Column(1, in...)
	}
	for i := range m.cells {
		if row := r.plus[i]; row >= 0 {
			r.plus[i], r.minus[i] = a.Column(-1, row), a.Column(1, row)
		}
	}
	cells := make([]int32, 0, len(r.target))
	for c := range r.target {
		cells = append(cells, c)
	}
	slices.Sort(cells)
	for _, c := range cells {
		r.target[c] = a.Column(-1, r.target[c])
	}
	r.solver = simplex.New(a)
	r.lower, r.upper = make([]float64, a.Columns()), make([]float64, a.Columns())
	for l, v := range m.value {
		r.lower[l], r.upper[l] = -v, math.Inf(1)
	}
	for _, c := range cells {
		r.lower[r.target[c]], r.upper[r.target[c]] = math.Inf(-1), math.Inf(1)
	}
	for i := range m.cells {
		if r.plus[i] >= 0 && m.cells[i].Fate != Shown {
			r.upper[r.plus[i]], r.upper[r.minus[i]] = math.Inf(1), math.Inf(1)
		}
	}
	return r
}

// hide chooses cells to hide for a demand, and returns them; ok is false when
// what must be shown makes it impossible.
func (r *repairer) hide(d demand) (cells []int32, mv move, ok bool) {
	k, m := r.k, r.k.m
	const pull = 1e4 // what the shift is worth, beside the dearest cell crossed once
	var changed []int32
	if d.attacker != outsider {
		for _, l := range k.owned[d.attacker] {
			changed = append(changed, l)
			own, all := k.least(l, d.attacker)
			if r.lower[l] = own - m.value[l]; all {
				r.lower[l], r.upper[l] = 0, 0
			}
		}
	}
	defer func() {
		for _, l := range changed {
			r.lower[l], r.upper[l] = -m.value[l], math.Inf(1)
		}
	}()
	t := r.target[d.cell]
	r.lower[t], r.upper[t] = 0, d.need
	if d.sign < 0 {
		r.lower[t], r.upper[t] = -d.need, 0
	}
	defer func() { r.lower[t], r.upper[t] = math.Inf(-1), math.Inf(1) }()

	best := math.Inf(1)
	weight := map[int32]float64{} // of cells that were crossed before, by how far
	for range 4 {
		objective := []simplex.Term{{Column: t, Value: d.sign * pull}}
		for i := range m.cells {
			if r.plus[i] < 0 || k.hidden[i] || m.cells[i].Fate == Shown {
				continue
			}
			w := m.cells[i].Cost / r.scale
			if len(weight) > 0 {
				by, crossed := weight[int32(i)]
				if !crossed {
					by = 0
				}
				w /= by/d.need + 0.02
			}
			objective = append(objective, simplex.Term{Column: r.plus[i], Value: -w}, simplex.Term{Column: r.minus[i], Value: -w})
		}
		if _, status := r.solver.Maximize(objective, r.lower, r.upper, math.Inf(1)); status != simplex.Optimal {
			break
		}
		var crossed []int32
		var leaves move
		shift, cost := 0.0, 0.0
		weight = map[int32]float64{}
		column := map[int32]float64{}
		for _, term := range r.solver.Movement() {
			column[term.Column] = term.Value
			switch {
			case term.Column == t:
				shift = math.Abs(term.Value)
			case int(term.Column) < len(m.value) && math.Abs(term.Value) > still/1000:
				leaves = append(leaves, term)
			}
		}
		for i := range m.cells {
			if r.plus[i] < 0 || k.hidden[i] {
				continue
			}
			if by := math.Abs(column[r.plus[i]] - column[r.minus[i]]); by > still {
				weight[int32(i)] = by
				crossed = append(crossed, int32(i))
				cost += m.cells[i].Cost
			}
		}
		if shift < d.need*(1-1e-9) {
			break
		}
		ok = true
		if cost < best {
			best, cells, mv = cost, crossed, leaves
		}
		if len(crossed) <= 1 {
			break
		}
	}
	return cells, mv, ok
}

// repair hides more until every demand is met that was not. It returns those
// that cannot be.
func repair(k *prover, failed []demand) (hopeless []demand) {
	if len(failed) == 0 {
		return nil
	}
	slices.SortStableFunc(failed, func(a, b demand) int {
		return cmp.Or(cmp.Compare(b.need, a.need), cmp.Compare(a.cell, b.cell), cmp.Compare(a.attacker, b.attacker))
	})
	r := newRepairer(k, failed)
	for _, d := range failed {
		cells, mv, ok := r.hide(d)
		if !ok {
			hopeless = append(hopeless, d)
			continue
		}
		for _, c := range cells {
			k.hidden[c] = true
			k.bound(c)
		}
		k.learn(mv)
		k.keep(&proof{move: mv}, d)
	}
	return hopeless
}
