package suppress

import (
	"cmp"
	"math"
	"slices"

	"meguri/internal/simplex"
)

// region is a part of the leaves, in the neighbourhood of a cell. Everything
// else is held still, so that what moves in a region moves in the whole: small
// questions give answers for large tables. Only when a region has no answer a
// larger one is tried.
type region struct {
	leaves []int32
	column []int32 // of each leaf of the model: its column here and 1; 0 is none
	rows   []int32 // cells that must not move, or not for nothing
	row    []int32 // of each cell of the model: its row and 1; 0 is none

	// The solver of the last question, which was around a cell while so many
	// decisions had been taken.
	solver    *simplex.Solver
	cell      int32
	decisions int
}

func newRegion(m *model) *region {
	return &region{column: make([]int32, len(m.value)), row: make([]int32, len(m.cells))}
}

// regions are the sizes that are tried.
var regions = [...]int{150, 1500}

// around fills a region with up to size leaves: those of a cell, and then those
// that can make up for them, through the smallest cells first. blocks says which
// cells must not move, moves which leaves can.
func (r *region) around(m *model, cell int32, size int, blocks func(int32) bool, moves func(int32) bool) {
	for _, l := range r.leaves {
		r.column[l] = 0
	}
	for _, c := range r.rows {
		r.row[c] = 0
	}
	r.leaves, r.rows = r.leaves[:0], r.rows[:0]
	take := func(leaves []int32) {
		for _, l := range leaves {
			if len(r.leaves) < size && r.column[l] == 0 && moves(l) {
				r.leaves = append(r.leaves, l)
				r.column[l] = int32(len(r.leaves))
			}
		}
	}
	take(m.cells[cell].Leaves)
	var near []int32
	for at := 0; at < len(r.leaves); at++ {
		near = near[:0]
		for _, c := range m.of[r.leaves[at]] {
			if r.row[c] == 0 && blocks(c) {
				r.rows = append(r.rows, c)
				r.row[c] = int32(len(r.rows))
				near = append(near, c)
			}
		}
		slices.SortFunc(near, func(a, b int32) int {
			return cmp.Or(cmp.Compare(len(m.cells[a].Leaves), len(m.cells[b].Leaves)), cmp.Compare(a, b))
		})
		for _, c := range near {
			take(m.cells[c].Leaves)
		}
	}
}

// matrix has a column for each leaf of the region and a row for each of its
// cells; more says what other rows a leaf is in.
func (r *region) matrix(m *model, extra int, more func(leaf int32) []int32) *simplex.Matrix {
	a := simplex.NewMatrix(len(r.rows) + extra)
	var in []int32
	for _, l := range r.leaves {
		in = in[:0]
		for _, c := range m.of[l] {
			if r.row[c] > 0 {
				in = append(in, r.row[c]-1)
			}
		}
		if more != nil {
			in = append(in, more(l)...)
		}
		a.Column(1, in...)
	}
	return a
}

// solve looks for a move that meets a demand by linear programming.
func (k *prover) solve(d demand) move {
	k.solved++
	blocks := func(c int32) bool { return !k.hidden[c] }
	moves := func(l int32) bool { return k.m.single[l] < 0 || k.hidden[k.m.single[l]] }
	for i, size := range regions {
		r := k.regions[i]
		if r.solver == nil || r.cell != d.cell || r.decisions != k.decisions { // one attacker after the other asks of a cell
			r.around(k.m, d.cell, size, blocks, moves)
			r.solver, r.cell, r.decisions = simplex.New(r.matrix(k.m, 0, nil)), d.cell, k.decisions
			r.solver.Limit = patience
		}
		n := len(r.leaves)
		k.lower, k.upper = grow(k.lower, n), grow(k.upper, n)
		for j, l := range r.leaves {
			own, all := k.m.least(l, d.attacker)
			if k.lower[j], k.upper[j] = own-k.m.value[l], math.Inf(1); all {
				k.lower[j], k.upper[j] = 0, 0
			}
		}
		var objective []simplex.Term
		for _, l := range k.m.cells[d.cell].Leaves {
			if j := r.column[l]; j > 0 {
				objective = append(objective, simplex.Term{Column: j - 1, Value: d.sign})
			}
		}
		_, status := r.solver.Maximize(objective, k.lower, k.upper, d.need)
		if status == simplex.Reached {
			if mv := k.m.settle(r.move(r.solver.Movement())); mv != nil {
				return mv
			}
			// Where the goal cuts an edge there are halves. Corners are whole, as a rule.
			for j := range k.upper {
				k.upper[j] = min(k.upper[j], 2*d.need)
			}
			if _, status = r.solver.Maximize(objective, k.lower, k.upper, math.Inf(1)); status == simplex.Optimal {
				if mv := k.m.settle(r.move(r.solver.Movement())); mv != nil && k.meets(mv, d) {
					return mv
				}
			}
		}
		if n < size { // it was everything
			return nil
		}
	}
	return nil
}

// move is what a solver's movement is on the leaves.
func (r *region) move(terms []simplex.Term) move {
	var mv move
	for _, t := range terms {
		if int(t.Column) < len(r.leaves) && math.Abs(t.Value) > still/1000 {
			mv = append(mv, simplex.Term{Column: r.leaves[t.Column], Value: t.Value})
		}
	}
	slices.SortFunc(mv, func(a, b simplex.Term) int { return cmp.Compare(a.Column, b.Column) })
	return mv
}

// settle makes a movement of whole numbers of one that should be, but for
// rounding. It returns nil when it is not.
func (m *model) settle(mv move) move {
	if !m.whole {
		return mv
	}
	var out move
	for _, t := range mv {
		v := math.Round(t.Value)
		if math.Abs(t.Value-v) > still {
			return nil
		}
		if v != 0 {
			out = append(out, simplex.Term{Column: t.Column, Value: v})
		}
	}
	return out
}

func grow[T any](list []T, n int) []T {
	if cap(list) < n {
		return make([]T, n)
	}
	return list[:n]
}
