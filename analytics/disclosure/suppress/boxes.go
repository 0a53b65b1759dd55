package suppress

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"meguri/internal/simplex"
)

// boxes finds the simplest movements of a table: a leaf gets larger, the one
// beside it along a dimension smaller, and so on round all corners of a box. No
// sum of a full box changes. In two dimensions these are the shortest cycles of
// the network that a table is (Gusfield, A graph theoretic approach to
// statistical data security, SIAM J. Comput. 17, 1988).
//
// Where a leaf stands is only what it looks for; what a box changes is added up
// over the cells.
type boxes struct {
	k    *prover
	at   map[uint64]int32 // leaves, by where they stand
	base []uint64         // of each dimension
	dims int

	partners [][]int32
	dear     []partner
	corners  []int32
	chosen   []int32 // of each dimension: the partner
	best     float64
	found    []int32
	shape    uint
	origin   int32
}

// newBoxes returns nil when the table is no grid.
func newBoxes(k *prover) *boxes {
	m := k.m
	if len(m.codes) == 0 || len(m.codes[0]) == 0 || len(m.codes[0]) > 6 {
		return nil
	}
	b := &boxes{k: k, dims: len(m.codes[0]), at: make(map[uint64]int32, len(m.codes))}
	most := make([]uint64, b.dims)
	for _, codes := range m.codes {
		if len(codes) != b.dims {
			return nil
		}
		for d, c := range codes {
			if c < 0 {
				return nil
			}
			most[d] = max(most[d], uint64(c))
		}
	}
	size := uint64(1)
	for d := range most {
		b.base = append(b.base, size)
		over, low := bits.Mul64(size, most[d]+1)
		if over > 0 {
			return nil
		}
		size = low
	}
	for l, codes := range m.codes {
		b.at[b.place(codes)] = int32(l)
	}
	if len(b.at) < len(m.codes) { // two leaves in one place
		return nil
	}
	b.partners, b.chosen = make([][]int32, b.dims), make([]int32, b.dims)
	b.corners = make([]int32, 1<<b.dims)
	return b
}

func (b *boxes) place(codes []int32) (at uint64) {
	for d, c := range codes {
		at += b.base[d] * uint64(c)
	}
	return at
}

// wide is how many partners are looked at along a dimension, so that the boxes
// to look at are about a thousand.
var wide = [...]int{0, 64, 32, 10, 6, 4, 3}

// find finds the cheapest box that can make a cell larger by up and smaller by
// down, and the cells that have to be hidden for it. With free it may cost
// nothing.
func (b *boxes) find(cell int32, up, down float64, free bool) (mv move, hide []int32) {
	m := b.k.m
	leaves := m.cells[cell].Leaves
	bases := leaves
	if len(leaves) > 1 { // the largest leaves have the most room
		bases = slices.Clone(leaves)
		slices.SortFunc(bases, func(x, y int32) int { return cmp.Or(cmp.Compare(m.value[y], m.value[x]), cmp.Compare(x, y)) })
		bases = bases[:min(len(bases), 3)]
	}
	b.best, b.found = math.Inf(1), nil
	if free {
		b.best = math.SmallestNonzeroFloat64
	}
	for full := b.dims; full >= 0 && b.found == nil; full-- {
		for _, l := range bases {
			if m.value[l]-m.floor < down {
				continue
			}
			for shape := uint(0); shape < 1<<b.dims; shape++ {
				if bits.OnesCount(shape) == full && b.best > 0 {
					b.origin, b.shape = l, shape
					b.search(cell, up, down)
				}
			}
		}
	}
	if b.found == nil {
		return nil, nil
	}
	for i, l := range b.found {
		mv = append(mv, simplex.Term{Column: l, Value: 1 - 2*float64(bits.OnesCount(uint(i))&1)})
	}
	slices.SortFunc(mv, func(x, y simplex.Term) int { return cmp.Compare(x.Column, y.Column) })
	b.price(mv, cell, &hide)
	return mv, hide
}

// search looks at the boxes of a shape: the dimensions along which they extend.
func (b *boxes) search(cell int32, up, down float64) {
	for d := range b.dims {
		if b.partners[d] = b.partners[d][:0]; b.shape>>d&1 == 0 {
			continue
		}
		if b.beside(cell, d, up); len(b.partners[d]) == 0 {
			return
		}
	}
	b.corners[0] = b.origin
	b.extend(cell, 0, 0, up, down)
}

// beside are the partners of the origin along a dimension: those in the smallest
// sum that has any, the hidden and the cheap ones first.
func (b *boxes) beside(cell int32, d int, up float64) {
	m := b.k.m
	target := m.cells[cell].Leaves
	var lines [][]int32
	for _, c := range m.of[b.origin] {
		if all := m.cells[c].Leaves; len(all) > 1 && b.along(all[0], d) && b.along(all[len(all)-1], d) {
			lines = append(lines, all)
		}
	}
	slices.SortFunc(lines, func(x, y []int32) int { return cmp.Compare(len(x), len(y)) })
	n := wide[bits.OnesCount(b.shape)]
	list, dear := b.partners[d], b.dear[:0]
	for _, line := range lines {
		from, _ := slices.BinarySearch(line, b.origin)
		for i := range line {
			l := line[(from+i)%len(line)]
			if l == b.origin || m.value[l]-m.floor < up || !b.along(l, d) {
				continue
			}
			toll := b.toll(l)
			if _, found := slices.BinarySearch(target, l); found || toll >= b.best {
				continue
			}
			if toll > 0 {
				dear = append(dear, partner{l, toll})
			} else if list = append(list, l); len(list) == n {
				break
			}
		}
		if len(list)+len(dear) > 0 {
			break
		}
	}
	if len(list) < n {
		slices.SortFunc(dear, func(x, y partner) int {
			return cmp.Or(cmp.Compare(x.toll, y.toll), cmp.Compare(x.leaf, y.leaf))
		})
		for _, p := range dear[:min(len(dear), n-len(list))] {
			list = append(list, p.leaf)
		}
	}
	b.partners[d], b.dear = list, dear
}

// partner is a leaf beside the origin that would have to be hidden.
type partner struct {
	leaf int32
	toll float64
}

// along reports whether a leaf stands beside the origin along a dimension.
func (b *boxes) along(leaf int32, d int) bool {
	x, y := b.k.m.codes[leaf], b.k.m.codes[b.origin]
	for i := range x {
		if i != d && x[i] != y[i] {
			return false
		}
	}
	return true
}

// toll is what it costs to hide the cell that a leaf is, if there is one.
func (b *boxes) toll(leaf int32) float64 {
	c := b.k.m.single[leaf]
	switch {
	case c < 0 || b.k.hidden[c]:
		return 0
	case b.k.m.cells[c].Fate == Shown:
		return math.Inf(1)
	}
	return b.k.m.cells[c].Cost
}

// extend chooses the partner along a dimension, and has the corners that follow
// from it. n is how many dimensions of the box have been chosen.
func (b *boxes) extend(cell int32, d, n int, up, down float64) {
	m := b.k.m
	for ; d < b.dims && b.shape>>d&1 == 0; d++ {
	}
	if d == b.dims {
		b.weigh(cell, n)
		return
	}
	for _, partner := range b.partners[d] {
		shift := b.base[d] * uint64(m.codes[partner][d]-m.codes[b.origin][d]) // may wrap round, and back
		cost, ok := 0.0, true
		for i := range 1 << n {
			l, there := b.at[b.place(m.codes[b.corners[i]])+shift]
			need := up
			if bits.OnesCount(uint(i))&1 == 1 {
				need = down
			}
			if ok = there && m.value[l]-m.floor >= need; !ok {
				break
			}
			b.corners[1<<n+i] = l
		}
		for i := 0; ok && i < 2<<n; i++ {
			cost += b.toll(b.corners[i])
			ok = cost < b.best
		}
		if ok {
			b.extend(cell, d+1, n+1, up, down)
		}
		if b.best == 0 {
			return
		}
	}
}

// weigh looks whether a box is the cheapest so far.
func (b *boxes) weigh(cell int32, n int) {
	mv := make(move, 1<<n)
	for i := range mv {
		mv[i] = simplex.Term{Column: b.corners[i], Value: 1 - 2*float64(bits.OnesCount(uint(i))&1)}
	}
	if cost := b.price(mv, cell, nil); cost < b.best {
		b.best, b.found = cost, slices.Clone(b.corners[:1<<n])
	}
}

// price is what it costs to hide every cell that a box changes. It is infinite
// when one must not be hidden, or when the box changes the cell not by 1.
func (b *boxes) price(mv move, cell int32, hide *[]int32) (cost float64) {
	k := b.k
	change := 0.0
	for _, c := range k.sum(mv) {
		by := k.changes[c]
		k.changes[c] = 0
		switch {
		case by == 0:
		case c == cell:
			change = by
		case k.m.cells[c].Fate == Shown:
			cost = math.Inf(1)
		case !k.hidden[c]:
			cost += k.m.cells[c].Cost
			if hide != nil {
				*hide = append(*hide, c)
			}
		}
	}
	if change != 1 {
		return math.Inf(1)
	}
	return cost
}
