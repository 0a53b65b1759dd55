package suppress

import (
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"

	"meguri/internal/simplex"
)

// The field in which spans are computed: whole numbers modulo the prime 2⁶¹−1.
// There is no rounding and nothing overflows.
const prime = 1<<61 - 1

func mul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return fold(lo&prime + (lo>>61 | hi<<3))
}

func fold(a uint64) uint64 {
	if a >= prime {
		a -= prime
	}
	return a
}

func add(a, b uint64) uint64 { return fold(a + b) }

func sub(a, b uint64) uint64 { return fold(a + prime - b) }

// inverse is a to the power of prime−2 (Fermat).
func inverse(a uint64) uint64 {
	r := uint64(1)
	for e := uint64(prime - 2); e > 0; e >>= 1 {
		if e&1 == 1 {
			r = mul(r, a)
		}
		a = mul(a, a)
	}
	return r
}

// kernel is what an outsider cannot tell apart: a basis of all movements of the
// leaves that leave every published cell as it is. A cell can be computed from
// the published ones exactly when no movement changes it; that is seen on one
// random movement, with an error of less than 2⁻⁶⁰ a cell.
//
// It is held by leaf: which movements go through it.
type kernel struct {
	rows    [][]entry // of each leaf, by movement
	through [][]int32 // leaves of each movement, some of which it may have left
	random  []uint64  // of each leaf: the random movement
	sums    []uint64  // of each cell: what the random movement changes it by

	acc     []uint64 // of each movement
	touched []int32
}

type entry struct {
	movement int32
	value    uint64
}

func newKernel(m *model, r *rand.Rand) *kernel {
	n := len(m.value)
	k := &kernel{rows: make([][]entry, n), through: make([][]int32, n), random: make([]uint64, n), acc: make([]uint64, n), sums: make([]uint64, len(m.cells))}
	for i := range n {
		k.rows[i] = []entry{{int32(i), 1}}
		k.through[i] = []int32{int32(i)}
		k.random[i] = 1 + r.Uint64N(prime-1)
		for _, c := range m.of[i] {
			k.sums[c] = add(k.sums[c], k.random[i])
		}
	}
	return k
}

// publish takes out the movements that change a cell. Unless forced it does so
// only when every sensitive cell still moves; it reports whether the cell is
// published now.
func (k *kernel) publish(m *model, cell int32, forced bool) bool {
	k.touched = k.touched[:0]
	for _, l := range m.cells[cell].Leaves {
		for _, e := range k.rows[l] {
			if k.acc[e.movement] == 0 {
				k.touched = append(k.touched, e.movement) // twice, when it came back to 0
			}
			k.acc[e.movement] = add(k.acc[e.movement], e.value)
		}
	}
	slices.Sort(k.touched)
	k.touched = slices.Compact(k.touched)
	changes := make([]entry, 0, len(k.touched))
	for _, i := range k.touched {
		if k.acc[i] != 0 {
			changes = append(changes, entry{i, k.acc[i]})
			k.acc[i] = 0
		}
	}
	if len(changes) == 0 { // it follows from what is published
		return true
	}
	pivot := slices.MinFunc(changes, func(a, b entry) int {
		return cmp.Or(cmp.Compare(len(k.through[a.movement]), len(k.through[b.movement])), cmp.Compare(b.movement, a.movement))
	})
	scale := inverse(pivot.value)

	// The pivot's movement, leaf by leaf.
	var leaves []entry
	list := k.through[pivot.movement]
	slices.Sort(list)
	for _, l := range slices.Compact(list) {
		if i, found := find(k.rows[l], pivot.movement); found {
			leaves = append(leaves, entry{l, k.rows[l][i].value})
		}
	}
	// What becomes of the random movement.
	factor := mul(k.sums[cell], scale)
	if !forced {
		changed := map[int32]uint64{}
		for _, e := range leaves {
			by := mul(factor, e.value)
			for _, c := range m.of[e.movement] {
				if m.cells[c].Sensitive {
					changed[c] = add(changed[c], by)
				}
			}
		}
		for c, by := range changed {
			if k.sums[c] == by {
				return false
			}
		}
	}
	for _, e := range leaves {
		by := mul(factor, e.value)
		k.random[e.movement] = sub(k.random[e.movement], by)
		for _, c := range m.of[e.movement] {
			k.sums[c] = sub(k.sums[c], by)
		}
	}
	for i := range changes {
		changes[i].value = mul(changes[i].value, scale)
	}
	for _, e := range leaves {
		l := e.movement
		k.rows[l] = k.merge(l, k.rows[l], changes, e.value)
	}
	k.through[pivot.movement] = nil
	return true
}

func find(row []entry, movement int32) (int, bool) {
	return slices.BinarySearchFunc(row, movement, func(e entry, i int32) int { return cmp.Compare(e.movement, i) })
}

// merge takes value times the changes from a row.
func (k *kernel) merge(leaf int32, row, changes []entry, value uint64) []entry {
	out := make([]entry, 0, len(row)+len(changes))
	i, j := 0, 0
	for i < len(row) || j < len(changes) {
		switch {
		case j == len(changes) || i < len(row) && row[i].movement < changes[j].movement:
			out = append(out, row[i])
			i++
		case i == len(row) || changes[j].movement < row[i].movement:
			if v := mul(value, changes[j].value); v != 0 {
				out = append(out, entry{changes[j].movement, sub(0, v)})
				k.through[changes[j].movement] = append(k.through[changes[j].movement], leaf)
			}
			j++
		default:
			if v := sub(row[i].value, mul(value, changes[j].value)); v != 0 {
				out = append(out, entry{row[i].movement, v})
			}
			i++
			j++
		}
	}
	return out
}

// movements are the basis itself, as whole numbers, for those of it that are
// small ones: they leave every published cell exactly as it is.
func (k *kernel) movements() []move {
	const small = 1 << 20
	all := make([]move, len(k.through))
	for l, row := range k.rows {
		for _, e := range row {
			v := float64(e.value)
			if e.value > prime/2 {
				v = -float64(prime - e.value)
			}
			if all[e.movement] == nil && k.through[e.movement] == nil { // taken out
				continue
			}
			all[e.movement] = append(all[e.movement], simplex.Term{Column: int32(l), Value: v})
		}
	}
	return slices.DeleteFunc(all, func(m move) bool {
		return len(m) == 0 || len(m) > 200 || slices.ContainsFunc(m, func(t simplex.Term) bool { return t.Value > small || t.Value < -small })
	})
}
