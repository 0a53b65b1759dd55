package audit

import "math"

// trust is how exact a witness must be, relative to the shift that it shows: by
// so much may published cells change and leaves pass their bounds. It bounds the
// rounding that can be mistaken for a shift, however large the table is.
const trust = 1e-6

// demand is one thing that must be possible, as far as an attacker can tell: that
// a cell is larger, or smaller, by so much.
type demand struct {
	cell     int32
	attacker pair
	sign     float64 // +1 larger, −1 smaller
	by       float64
}

// witness is a movement of the leaves: the true table and it make another table.
type witness struct {
	leaves []int32
	by     []float64
	error  float64 // the most by which it changes a published cell
	share  float64 // the same, relative to the cell
	ahead  float64 // how many times it can be made before a leaf is below 0
	back   float64 // the same, the other way round
}

// mover is a witness that changes a cell.
type mover struct {
	witness int32
	change  float64
}

// weigh does the arithmetic of a movement on the cells of the dossier. It leaves
// behind what it changes every cell by, in changes, until the next call.
func (w *worker) weigh(leaves []int32, by []float64) witness {
	for _, c := range w.changed {
		w.changes[c], w.touched[c] = 0, false
	}
	w.changed = w.changed[:0]
	x := witness{leaves: leaves, by: by, ahead: math.Inf(1), back: math.Inf(1)}
	for k, l := range leaves {
		v := by[k]
		for _, c := range w.m.in.of(l) {
			if !w.touched[c] {
				w.touched[c] = true
				w.changed = append(w.changed, c)
			}
			w.changes[c] += v
		}
		if v < 0 {
			x.ahead = math.Min(x.ahead, w.m.value[l]/-v)
		} else if v > 0 {
			x.back = math.Min(x.back, w.m.value[l]/v)
		}
	}
	for _, c := range w.changed {
		if one := &w.m.cells[c]; one.shown {
			e := math.Abs(w.changes[c])
			x.error = math.Max(x.error, e)
			x.share = math.Max(x.share, e/math.Max(1, one.value))
		}
	}
	return x
}

// shows reports whether a witness that changes a cell by so much, enlarged or
// turned round as need be, is another table in which a demand is met, and which
// the attacker cannot tell from the true one.
func (w *worker) shows(x *witness, change float64, d demand) bool {
	if change == 0 {
		return false
	}
	factor := d.sign * d.by / change
	size := math.Abs(factor)
	if !(x.error*size <= trust*d.by && x.share*size <= trust) {
		return false
	}
	tolerance := trust * d.by
	if d.attacker == outsider {
		for k, l := range x.leaves {
			if !(w.m.value[l]+factor*x.by[k] >= -tolerance) { // or is no number
				return false
			}
		}
		return true
	}
	for k, l := range x.leaves {
		by := factor * x.by[k]
		least, all := w.m.knows(l, d.attacker)
		if all && !(math.Abs(by) <= tolerance) || !(w.m.value[l]+by >= least-tolerance) {
			return false
		}
	}
	return true
}

// far is how many times a demand is met by a witness that is made as large as it
// can be, for outsiders.
func (x *witness) far(change float64, d demand) float64 {
	room := x.ahead
	if d.sign*change < 0 {
		room = x.back
	}
	return room * math.Abs(change) / d.by
}

// learn keeps a movement as a witness, and notes which sensitive cells it
// changes. Demands of outsiders that it happens to meet are met.
func (w *worker) learn(leaves []int32, by []float64) int32 {
	x := w.weigh(leaves, by)
	largest := 0.0
	for _, v := range by {
		largest = math.Max(largest, math.Abs(v))
	}
	n := int32(len(w.pool))
	w.pool = append(w.pool, x)
	for _, c := range w.changed {
		change := w.changes[c]
		if math.Abs(change) <= 1e-7*largest || math.Abs(change) <= x.error/trust {
			continue // rounding, or as good as
		}
		w.moves[c] = true
		if w.slot[c] < 0 {
			continue
		}
		s := &w.cells[w.slot[c]]
		if len(s.movers) < most {
			s.movers = append(s.movers, mover{n, change})
		}
		for i := range s.open {
			if o := &s.open[i]; o.met < 0 && x.far(change, o.demand) >= 1-trust && w.shows(&x, change, o.demand) {
				o.met = n
				w.reused++
			}
		}
	}
	return n
}

// most is how many witnesses are remembered for one cell.
const most = 32
