package suppress

import (
	"cmp"
	"slices"
)

// boxed protects the cells of a large table one after the other, each by the
// cheapest box that goes through it, in which what was hidden for others costs
// nothing. What has no box is left to repair. It returns nil when the table is
// no grid.
func (m *model) boxed() *prover {
	hidden := make([]bool, len(m.cells))
	var cells []int32
	for i := range m.cells {
		hidden[i] = m.cells[i].Fate == Withheld
		if m.cells[i].Sensitive {
			cells = append(cells, int32(i))
		}
	}
	k := newProver(m, hidden, nil)
	if k.boxes = newBoxes(k); k.boxes == nil {
		return nil
	}
	slices.SortStableFunc(cells, func(a, b int32) int {
		return cmp.Compare(m.cells[b].Up+m.cells[b].Down, m.cells[a].Up+m.cells[a].Down)
	})
	for _, c := range cells {
		all := k.demands(c)
		if len(all) == 2 && k.cover(all...) {
			continue
		}
		for _, d := range all {
			if !k.cover(d) {
				k.failed = append(k.failed, d)
			}
		}
	}
	for _, c := range cells {
		k.insiders(c)
	}
	return k
}

// cover hides what the cheapest box for some demands of a cell needs.
func (k *prover) cover(all ...demand) bool {
	up, down := 0.0, 0.0
	for _, d := range all {
		if d.sign > 0 {
			up = d.need
		} else {
			down = d.need
		}
	}
	mv, hide := k.boxes.find(all[0].cell, up, down, false)
	if mv == nil {
		return false
	}
	for _, c := range hide {
		k.hidden[c] = true
	}
	if len(hide) > 0 {
		k.decisions++
	}
	p := &proof{move: mv}
	for _, d := range all {
		k.keep(p, d)
	}
	return true
}

// box looks for a box that meets a demand with what is hidden.
func (k *prover) box(d demand) move {
	if k.boxes == nil {
		return nil
	}
	up, down := d.need, 0.0
	if d.sign < 0 {
		up, down = 0, d.need
	}
	mv, _ := k.boxes.find(d.cell, up, down, true)
	if mv == nil || !k.meets(mv, d) {
		return nil
	}
	return mv
}
