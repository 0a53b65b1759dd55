package suppress

import "math"

// Verify does the arithmetic of all proofs on a problem as it was given, and
// returns the sensitive cells for which there is none against outsiders: for
// tables that are too large for an auditor. It has only Hidden and the movements
// from the engine.
func (r *Result) Verify(p *Problem) (unproven []int) {
	value := make([]float64, len(p.Leaves))
	for l, parts := range p.Leaves {
		for _, c := range parts {
			value[l] += c.Amount
		}
	}
	// The cells of each leaf.
	start := make([]int32, len(p.Leaves)+1)
	for i := range p.Cells {
		for _, l := range p.Cells[i].Leaves {
			start[l+1]++
		}
	}
	for l := range p.Leaves {
		start[l+1] += start[l]
	}
	in := make([]int32, start[len(p.Leaves)])
	next := append([]int32(nil), start...)
	for i := range p.Cells {
		for _, l := range p.Cells[i].Leaves {
			in[next[l]] = int32(i)
			next[l]++
		}
	}
	changes := map[int32]float64{}
	shows := func(cell int, mv move, sign, need float64) bool {
		clear(changes)
		for _, t := range mv {
			l := r.leaf[t.Column]
			for _, c := range in[start[l]:start[l+1]] {
				changes[c] += t.Value
			}
		}
		by := changes[int32(cell)]
		if by == 0 {
			return false
		}
		times := sign * need / by
		if p.Whole {
			times = math.Copysign(math.Ceil(math.Abs(times)-still), times)
		}
		const trust = 1e-6 // of the shift
		for c, v := range changes {
			if !r.Hidden[c] && math.Abs(v*times) > trust*need {
				return false
			}
		}
		for _, t := range mv {
			l := r.leaf[t.Column]
			v := t.Value * times
			if value[l]+v < p.Floor-trust*need || len(p.Leaves[l]) == 0 || p.Whole && v != math.Trunc(v) {
				return false
			}
		}
		return true
	}
	for i := range p.Cells {
		c := &p.Cells[i]
		if !c.Sensitive {
			continue
		}
		up, down := c.Up <= still, c.Down <= still
		for _, proof := range r.shifts[i] {
			up = up || shows(i, proof.move, 1, c.Up)
			down = down || shows(i, proof.move, -1, c.Down)
		}
		if !r.Hidden[i] || !up || !down {
			unproven = append(unproven, i)
		}
	}
	return unproven
}
