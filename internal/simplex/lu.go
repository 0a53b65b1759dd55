package simplex

import (
	"math"
	"slices"
)

// vectors is a list of sparse vectors.
type vectors struct {
	start []int32 // of each, and the end of the last
	index []int32
	value []float64
}

func (v *vectors) reset() {
	v.start, v.index, v.value = append(v.start[:0], 0), v.index[:0], v.value[:0]
}

// reserve makes room for more entries.
func (v *vectors) reserve(n int) {
	v.index, v.value = slices.Grow(v.index, n), slices.Grow(v.value, n)
}

func (v *vectors) add(index int32, value float64) {
	v.index, v.value = append(v.index, index), append(v.value, value)
}
func (v *vectors) end() { v.start = append(v.start, int32(len(v.index))) }
func (v *vectors) of(i int32) ([]int32, []float64) {
	a, b := v.start[i], v.start[i+1]
	return v.index[a:b], v.value[a:b]
}

// transpose returns the vectors the other way round: n of them.
func (v *vectors) transpose(n int, into *vectors) {
	count := make([]int32, n+1)
	for _, i := range v.index {
		count[i+1]++
	}
	for i := range n {
		count[i+1] += count[i]
	}
	into.start = append(into.start[:0], count...)
	into.index = grow(into.index, len(v.index))
	into.value = grow(into.value, len(v.index))
	for j := range len(v.start) - 1 {
		for k := v.start[j]; k < v.start[j+1]; k++ {
			at := count[v.index[k]]
			into.index[at], into.value[at] = int32(j), v.value[k]
			count[v.index[k]]++
		}
	}
}

func grow[T any](list []T, n int) []T {
	if cap(list) < n {
		return make([]T, n)
	}
	return list[:n]
}

// factors are L and U of a basis, with the changes since: the product form of
// the inverse. Positions count the pivots in their order; rows and columns of
// the basis are permuted to it.
type factors struct {
	m        int
	rowAt    []int32 // the row of each position
	position []int32 // of each row; -1 while it has no pivot
	l, lRows vectors // below the diagonal of ones, by position
	u, uRows vectors // above the diagonal
	diagonal []float64
	etas     vectors
	etaAt    []int32 // the position that each eta changes
	etaPivot []float64

	// For the factorisation.
	work    []float64
	touched []int32
	marked  []bool
	stack   []frame
	order   []int32
}

type frame struct{ position, next int32 }

const (
	tiny      = 1e-11 // what is smaller is the rounding of a zero
	threshold = 0.1   // of the largest entry, that a pivot must have
)

// begin starts a factorisation of columns over m rows.
func (f *factors) begin(m int) {
	f.m = m
	f.rowAt, f.diagonal = f.rowAt[:0], f.diagonal[:0]
	f.position = grow(f.position, m)
	for i := range f.position {
		f.position[i] = -1
	}
	f.work, f.marked = grow(f.work, m), grow(f.marked, m)
	clear(f.work)
	clear(f.marked)
	f.l.reset()
	f.u.reset()
	f.etas.reset()
	f.etaAt, f.etaPivot = f.etaAt[:0], f.etaPivot[:0]
}

// add takes a column into the basis, by the left-looking way of Gilbert and
// Peierls (SIAM J. Sci. Stat. Comput. 9, 1988). Of the rows that are large
// enough the pivot is the one with the fewest entries. It reports false, and
// changes nothing, when the column depends on those before it.
func (f *factors) add(rows []int32, values []float64, weight []int32, want int32) bool {
	f.touched, f.order = f.touched[:0], f.order[:0]
	for i, r := range rows {
		if !f.marked[r] {
			f.reach(r)
		}
		f.work[r] += values[i]
	}
	for i := len(f.order) - 1; i >= 0; i-- { // in topological order
		p := f.order[i]
		v := f.work[f.rowAt[p]]
		if v == 0 {
			continue
		}
		index, value := f.l.of(p)
		for k, r := range index {
			f.work[r] -= v * value[k]
		}
	}
	largest := 0.0
	for _, r := range f.touched {
		if f.position[r] < 0 {
			largest = math.Max(largest, math.Abs(f.work[r]))
		}
	}
	pivot := int32(-1)
	if want >= 0 && f.position[want] < 0 && math.Abs(f.work[want]) > 1e-7 && math.Abs(f.work[want]) >= threshold*largest {
		pivot = want
	} else if largest > 1e-7 {
		for _, r := range f.touched {
			if f.position[r] < 0 && math.Abs(f.work[r]) >= threshold*largest &&
				(pivot < 0 || weight[r] < weight[pivot] || weight[r] == weight[pivot] && r < pivot) {
				pivot = r
			}
		}
	}
	if pivot >= 0 {
		d := f.work[pivot]
		for _, r := range f.touched {
			v := f.work[r]
			if p := f.position[r]; p >= 0 {
				if math.Abs(v) > tiny {
					f.u.add(p, v)
				}
			} else if r != pivot && math.Abs(v) > tiny {
				f.l.add(r, v/d)
			}
		}
		f.l.end()
		f.u.end()
		f.position[pivot] = int32(len(f.rowAt))
		f.rowAt = append(f.rowAt, pivot)
		f.diagonal = append(f.diagonal, d)
	}
	for _, r := range f.touched {
		f.work[r], f.marked[r] = 0, false
	}
	return pivot >= 0
}

// reach finds the rows that a column comes to touch, depth first.
func (f *factors) reach(row int32) {
	f.marked[row] = true
	f.touched = append(f.touched, row)
	if f.position[row] < 0 {
		return
	}
	f.stack = append(f.stack[:0], frame{f.position[row], f.l.start[f.position[row]]})
	for len(f.stack) > 0 {
		top := &f.stack[len(f.stack)-1]
		if top.next == f.l.start[top.position+1] {
			f.order = append(f.order, top.position)
			f.stack = f.stack[:len(f.stack)-1]
			continue
		}
		r := f.l.index[top.next]
		top.next++
		if f.marked[r] {
			continue
		}
		f.marked[r] = true
		f.touched = append(f.touched, r)
		if p := f.position[r]; p >= 0 {
			f.stack = append(f.stack, frame{p, f.l.start[p]})
		}
	}
}

// finish makes a factorisation usable. All rows must have their pivot.
func (f *factors) finish() {
	for i, r := range f.l.index { // from rows to positions
		f.l.index[i] = f.position[r]
	}
	f.l.transpose(f.m, &f.lRows)
	f.u.transpose(f.m, &f.uRows)
}

// forward solves B x = b. b is by row and is used up; x is by position.
func (f *factors) forward(b, x []float64) {
	for p := range f.m {
		v := b[f.rowAt[p]]
		b[f.rowAt[p]] = 0
		x[p] = v
	}
	for p := range f.m {
		if v := x[p]; v != 0 {
			for k := f.l.start[p]; k < f.l.start[p+1]; k++ {
				x[f.l.index[k]] -= v * f.l.value[k]
			}
		}
	}
	for p := f.m - 1; p >= 0; p-- {
		if v := x[p]; v != 0 {
			if math.Abs(v) < tiny {
				x[p] = 0
				continue
			}
			v /= f.diagonal[p]
			x[p] = v
			for k := f.u.start[p]; k < f.u.start[p+1]; k++ {
				x[f.u.index[k]] -= v * f.u.value[k]
			}
		}
	}
	for e, at := range f.etaAt {
		v := x[at]
		if v == 0 {
			continue
		}
		v /= f.etaPivot[e]
		x[at] = v
		for k := f.etas.start[e]; k < f.etas.start[e+1]; k++ {
			x[f.etas.index[k]] -= v * f.etas.value[k]
		}
	}
}

// backward solves y B = c. c is by position and is used up; y is by row.
func (f *factors) backward(c, y []float64) {
	for e := len(f.etaAt) - 1; e >= 0; e-- {
		at := f.etaAt[e]
		v := c[at]
		for k := f.etas.start[e]; k < f.etas.start[e+1]; k++ {
			v -= f.etas.value[k] * c[f.etas.index[k]]
		}
		c[at] = v / f.etaPivot[e]
	}
	for p := range f.m {
		v := c[p]
		if v == 0 {
			continue
		}
		v /= f.diagonal[p]
		c[p] = v
		for k := f.uRows.start[p]; k < f.uRows.start[p+1]; k++ {
			c[f.uRows.index[k]] -= v * f.uRows.value[k]
		}
	}
	for p := f.m - 1; p >= 0; p-- {
		v := c[p]
		c[p] = 0
		y[f.rowAt[p]] = v
		if v == 0 {
			continue
		}
		for k := f.lRows.start[p]; k < f.lRows.start[p+1]; k++ {
			c[f.lRows.index[k]] -= v * f.lRows.value[k]
		}
	}
}

// change puts another column at a position; alpha is forward's answer to it.
func (f *factors) change(at int32, alpha []float64) {
	for p, v := range alpha {
		if int32(p) != at && math.Abs(v) > tiny {
			f.etas.add(int32(p), v)
		}
	}
	f.etas.end()
	f.etaAt = append(f.etaAt, at)
	f.etaPivot = append(f.etaPivot, alpha[at])
}
