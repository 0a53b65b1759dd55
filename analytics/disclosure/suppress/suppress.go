// Package suppress decides which cells of a group of tables have to be hidden
// so that the sensitive ones cannot be computed, nor be known too well, from
// those that are published. Start with [Protect].
//
// It works in three stages. Elimination hides cells until no sensitive one is
// the sum or difference of published ones. Proof looks, for every sensitive cell
// and every attacker, for another table that the attacker cannot tell from the
// true one and in which the cell is as much larger or smaller as its protection
// asks; where there is none, repair hides the cheapest cells with which there
// is. Clean-up publishes again whatever no proof needs.
//
// Elimination is too slow for large tables. There the proofs come first: every
// sensitive cell gets the cheapest box through it, a movement between the corners
// of which no sum changes, and what the boxes stand on is hidden.
package suppress

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// Result is what was decided.
type Result struct {
	Hidden    []bool // of each cell of the problem
	Primary   int    // hidden because they are sensitive, or were to be withheld
	Secondary int    // hidden to protect others
	Proofs    int    // other tables that show the protection
	Solved    int    // linear programmes

	shifts [][]*proof // of each cell of the problem
	leaf   []int32    // the problem's leaf that each of the proofs' is
}

// Protect decides which cells to hide. The error is an *InfeasibleError when
// what must be shown gives sensitive cells away.
func Protect(p *Problem) (*Result, error) {
	if p.Whole {
		return protect(p, largeWhole)
	}
	return protect(p, large)
}

// From so many cells on elimination takes too long, and boxes are looked for
// instead. Boxes are whole, so tables of whole numbers are better off with them
// sooner.
const large, largeWhole = 100_000, 5_000

func protect(p *Problem, large int) (*Result, error) {
	m, err := newModel(p)
	if err != nil {
		return nil, err
	}
	var k *prover
	if len(m.cells) >= large {
		k = m.boxed()
	}
	if k == nil {
		basis, hidden, open := eliminate(m)
		if open != nil {
			return nil, m.infeasible(m.bare(open))
		}
		k = merged(proveAll(m, hidden, basis.movements()))
	}
	for len(k.failed) > 0 {
		failed := k.failed
		k.failed = nil
		if hopeless := k.repair(failed); len(hopeless) > 0 {
			return nil, m.infeasible(hopeless)
		}
		cells := map[int32]bool{}
		for _, d := range failed {
			cells[d.cell] = true
		}
		for _, c := range slices.Sorted(maps.Keys(cells)) {
			k.insiders(c)
		}
	}
	k.clean()
	return k.result(len(p.Cells)), nil
}

// result is what was decided, for the cells of the problem.
func (k *prover) result(cells int) *Result {
	m := k.m
	r := &Result{Hidden: make([]bool, cells), Solved: k.solved, shifts: make([][]*proof, cells), leaf: m.leaf}
	for i, h := range k.hidden {
		alive := slices.DeleteFunc(k.proofs[int32(i)], func(p *proof) bool { return p.dead })
		for _, o := range m.origin[i] {
			r.Hidden[o], r.shifts[o] = h, alive
		}
		r.Proofs += len(alive)
		switch {
		case h && m.cells[i].Fate == Withheld:
			r.Primary += len(m.origin[i])
		case h:
			r.Secondary += len(m.origin[i])
		}
	}
	return r
}

// eliminate hides cells until no sensitive one can be computed: it publishes
// the dearest cells first, and hides those with which a sensitive one became the
// sum or difference of others (Langsrud, Secondary cell suppression by Gaussian
// elimination, 2024).
func eliminate(m *model) (k *kernel, hidden []bool, open []int32) {
	k = newKernel(m, rand.New(rand.NewPCG(1, 2)))
	hidden = make([]bool, len(m.cells))
	var order []int32
	for i := range m.cells {
		switch m.cells[i].Fate {
		case Shown:
			k.publish(m, int32(i), true)
		case Withheld:
			hidden[i] = true
		default:
			order = append(order, int32(i))
		}
	}
	for i := range m.cells {
		if m.cells[i].Sensitive && k.sums[i] == 0 {
			open = append(open, int32(i))
		}
	}
	if open != nil {
		return k, hidden, open
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(m.cells[b].Cost, m.cells[a].Cost), cmp.Compare(len(m.cells[b].Leaves), len(m.cells[a].Leaves)))
	})
	for _, i := range order {
		hidden[i] = !k.publish(m, i, false)
	}
	return k, hidden, nil
}

// merged puts together what provers of different cells have found.
func merged(all []*prover) *prover {
	k := all[0]
	for _, o := range all[1:] {
		maps.Copy(k.proofs, o.proofs)
		for a, list := range o.by {
			k.by[a] = append(k.by[a], list...)
		}
		for c, list := range o.users {
			k.users[c] = append(k.users[c], list...)
		}
		k.failed = append(k.failed, o.failed...)
		k.solved += o.solved
	}
	return k
}

// clean publishes hidden cells again that no proof needs, or that only proofs
// need in whose place others can be found, the dearest first.
func (k *prover) clean() {
	k.hasty = k.boxes != nil
	var cells []int32
	for i, h := range k.hidden {
		if h && k.m.cells[i].Fate == Free {
			cells = append(cells, int32(i))
		}
	}
	slices.SortStableFunc(cells, func(a, b int32) int { return cmp.Compare(k.m.cells[b].Cost, k.m.cells[a].Cost) })
	for _, c := range cells {
		if len(k.users[c]) <= 64 {
			k.release(c)
		}
	}
}

// release publishes a hidden cell if every demand can still be met.
func (k *prover) release(cell int32) bool {
	k.hidden[cell] = false
	k.decisions++
	var dead []*proof
	for _, p := range k.users[cell] {
		if !p.dead {
			p.dead = true
			dead = append(dead, p)
		}
	}
	pool := k.pool
	k.pool = slices.Clone(pool)
	for _, l := range k.m.cells[cell].Leaves { // moves that go through it are out
		for _, n := range k.at[l] {
			if k.pool[n] != nil && math.Abs(k.change(k.pool[n], cell)) > still {
				k.pool[n] = nil
			}
		}
	}
	ok := true
	ups := map[int32]bool{}
	for _, p := range dead {
		for _, d := range p.serves {
			if ok = k.find(d) != nil; !ok {
				break
			}
			if d.attacker == outsider && d.sign > 0 {
				ups[d.cell] = true
			}
		}
		if !ok {
			break
		}
	}
	if ok {
		for _, c := range slices.Sorted(maps.Keys(ups)) {
			if k.insiders(c); len(k.failed) > 0 {
				k.failed, ok = nil, false
				break
			}
		}
	}
	if ok {
		return true
	}
	for _, p := range dead {
		p.dead = false
	}
	// What was found meanwhile stands: it needs one hidden cell less.
	k.pool = append(pool, k.pool[len(pool):]...)
	k.hidden[cell] = true
	k.decisions++
	return false
}
