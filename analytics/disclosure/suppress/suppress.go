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
}

// Protect decides which cells to hide. The error is an *InfeasibleError when
// what must be shown gives sensitive cells away.
func Protect(p *Problem) (*Result, error) {
	m, err := newModel(p)
	if err != nil {
		return nil, err
	}
	basis, hidden, open := eliminate(m)
	if open != nil {
		return nil, m.infeasible(open)
	}
	k := merged(proveAll(m, hidden, basis.movements()))
	for len(k.failed) > 0 {
		failed := k.failed
		k.failed = nil
		if hopeless := k.repair(failed); len(hopeless) > 0 {
			var cells []int32
			for _, d := range hopeless {
				cells = append(cells, d.cell)
			}
			slices.Sort(cells)
			return nil, m.infeasible(slices.Compact(cells))
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
	r := &Result{Hidden: make([]bool, len(p.Cells)), Solved: k.solved}
	for i, h := range k.hidden {
		for _, o := range m.origin[i] {
			r.Hidden[o] = h
		}
		switch {
		case h && m.cells[i].Fate == Withheld:
			r.Primary += len(m.origin[i])
		case h:
			r.Secondary += len(m.origin[i])
		}
	}
	for _, list := range k.proofs {
		r.Proofs += len(list)
	}
	return r, nil
}

func (m *model) infeasible(cells []int32) error {
	e := &InfeasibleError{}
	for _, c := range cells {
		e.Cells = append(e.Cells, int(m.origin[c][0]))
	}
	return e
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
