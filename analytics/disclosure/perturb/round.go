package perturb

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// Table is a group of tables to be rounded together: every cell, of a table or
// of its margins, is the sum of some leaves, the parts of the finest partition
// that the tables have in common. Cell i has the leaves
// Sum[Start[i]:Start[i+1]], without repeats. A published leaf is a cell of one
// leaf; a cell of none is 0.
type Table struct {
	Leaves []int64 // values, in the unit of the base; may be negative
	Start  []int32 // of each cell, and the end: one more than there are cells
	Sum    []int32 // numbers of leaves
}

// Cells is the number of cells.
func (t *Table) Cells() int { return max(0, len(t.Start)-1) }

// Add adds a cell, the sum of these leaves, and returns its number.
func (t *Table) Add(leaves ...int32) int {
	if len(t.Start) == 0 {
		t.Start = []int32{0}
	}
	t.Sum = append(t.Sum, leaves...)
	t.Start = append(t.Start, int32(len(t.Sum)))
	return len(t.Start) - 2
}

// Options say how to round.
type Options struct {
	Base int64 // 2 or more: 3, 5, 10, 100 …
	// Fixed are cells with the rounded value that they were published with, a
	// multiple of the base. They keep it, even if the data has changed since.
	Fixed map[int]int64
	// Keys are cell keys of the leaves, one each. With them, rounding is random
	// and the same for the same keys: with P(up) = residue/base for every cell
	// where a network decides and nothing is fixed, about that elsewhere. Without
	// them cells are rounded to the nearest multiples that add up.
	Keys []Key
	// Effort bounds the steps of each search; 0 is 20,000,000.
	Effort int
}

// Rounded is a table that has been rounded.
type Rounded struct {
	Leaves []int64 // multiples of the base; each cell is the sum of its leaves exactly
	Cells  []int64
	// Network says that the cells could be told apart into two families each of
	// which is a hierarchy (rows and columns, one of them with groups of groups),
	// so that the answer is exact.
	Network bool
	// Relaxed are the cells that are not one of the two multiples next to their
	// value, since no additive rounding with all of them was found: sums of
	// several leaves that are between one and two bases away, and fixed cells.
	// Where it is empty every cell is less than one base away, and multiples of
	// the base have stayed as they were.
	Relaxed []int
	// Impossible says that Relaxed is not empty because it cannot be, proved by
	// a network, by trying everything, or by the values of fixed cells; otherwise
	// the search gave up.
	Impossible bool
}

// Round rounds every cell of a table to one of the two multiples of the base
// next to it, such that the rounded cells add up as the true ones do; multiples
// of the base stay as they are (zero-restricted controlled rounding: Cox &
// Ernst, Controlled rounding, 1982; Cox, A constructive procedure for unbiased
// controlled rounding, 1987). Leaves are rounded too, published or not.
//
// Where two hierarchical families hold all cells there always is such a
// rounding if nothing is fixed, and a network finds it. Elsewhere, in tables of
// three dimensions or with groups in both of two, there may be none (Causey,
// Cox & Ernst, 1985): then sums of several leaves may go one base further, as
// few as were found, and Relaxed names them. The same table and options always
// give the same result.
//
// The error is ErrMalformed for tables or options that are wrong in themselves,
// and ErrNoRounding if the fixed cells contradict each other or nothing was
// found.
func Round(t *Table, o Options) (*Rounded, error) {
	m, err := newRounding(t, o)
	if err != nil {
		return nil, err
	}
	r := &Rounded{}
	var found bool
	var up []int8
	if left, right, ok := m.families(); ok {
		r.Network = true
		up, found, r.Impossible = m.flow(left, right)
	} else {
		up, found, r.Impossible = m.search()
	}
	if !found {
		return nil, ErrNoRounding
	}
	r.Leaves = slices.Clone(m.floor)
	for a, leaf := range m.leaf {
		r.Leaves[leaf] += int64(up[a])
	}
	for i := range r.Leaves {
		n, ok := times(r.Leaves[i], o.Base)
		if !ok {
			return nil, fmt.Errorf("leaf %d: %w", i, ErrOverflow)
		}
		r.Leaves[i] = n
	}
	r.Cells = make([]int64, t.Cells())
	for i := range r.Cells {
		var value int64
		for _, l := range t.Sum[t.Start[i]:t.Start[i+1]] {
			n := r.Leaves[l]
			if r.Cells[i] += n; n > 0 && r.Cells[i] < math.MinInt64+n || n < 0 && r.Cells[i] > math.MaxInt64+n {
				return nil, fmt.Errorf("cell %d: %w", i, ErrOverflow)
			}
			value += t.Leaves[l]
		}
		low := floorDiv(value, o.Base)
		if q := r.Cells[i] / o.Base; q != low && (q != low+1 || value == low*o.Base) {
			r.Relaxed = append(r.Relaxed, i)
		}
	}
	r.Impossible = (r.Impossible || m.forced) && len(r.Relaxed) > 0
	return r, nil
}

// RandomRound rounds one figure by itself: up with P = residue/base, within
// 2⁻³², as the cell key says. The same records are rounded in the same way
// everywhere, but the cells of a table do not add up.
//
// The error is ErrMalformed if the base is less than 2 or more than 2³¹, and
// ErrOverflow if the result does not fit.
func RandomRound(value, base int64, key Key) (int64, error) {
	if base < 2 || base > 1<<31 {
		return 0, fmt.Errorf("%w: its base is not between 2 and 2^31", ErrMalformed)
	}
	low := floorDiv(value, base)
	if rest := uint64(value - low*base); uint64(key)*uint64(base) < rest<<32 {
		low++
	}
	n, ok := times(low, base)
	if !ok {
		return 0, ErrOverflow
	}
	return n, nil
}

// Published remembers rounded values by the name of a cell, so that a cell that
// several tables or releases share has the same value in all of them. A name
// has to say everything that makes the cell what it is: measure, period and the
// code of each dimension.
type Published map[string]int64

// Fixed are the cells among these, given by their names, that were published
// before.
func (p Published) Fixed(names []string) map[int]int64 {
	fixed := map[int]int64{}
	for i, name := range names {
		if v, ok := p[name]; ok {
			fixed[i] = v
		}
	}
	return fixed
}

// Add remembers the cells of a table. The error is ErrConflict, and nothing is
// remembered, if one was published with another value.
func (p Published) Add(names []string, cells []int64) error {
	if len(names) != len(cells) {
		return fmt.Errorf("%w: %d names for %d cells", ErrMalformed, len(names), len(cells))
	}
	fresh := Published{}
	for i, name := range names {
		for _, book := range []Published{p, fresh} {
			if v, ok := book[name]; ok && v != cells[i] {
				return fmt.Errorf("cell %d: %w", i, ErrConflict)
			}
		}
		fresh[name] = cells[i]
	}
	maps.Copy(p, fresh)
	return nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func times(a, b int64) (int64, bool) {
	if c := a * b; c/b == a {
		return c, true
	}
	return 0, false
}

// rounding is the choice behind a table: each active leaf goes up or not, and
// the number of active leaves of a sum that go up is within its bounds.
type rounding struct {
	base   int64
	floor  []int64 // of each leaf of the table, in bases; what is fixed has its value
	leaf   []int32 // active leaves: those that are no multiple and not fixed
	rest   []int64 // of each active leaf, over its floor, 1 to base−1
	sums   []sum
	of     [][]int32 // the sums of each active leaf
	forced bool      // by what is fixed: some sum is not next to its value
	keyed  bool
	rand   *rand.Rand
	effort int
}

// sum is a set of at least two active leaves, with how many may go up: strictly,
// and with relaxation.
type sum struct {
	leaves      []int32
	low, high   int64
	wlow, whigh int64
	target      int64 // what would be exact, as a multiple of 1/base
}

// newRounding checks the table and finds what is to be chosen. Sums of one
// active leaf fix it; sums over the same leaves become one.
func newRounding(t *Table, o Options) (*rounding, error) {
	if err := t.check(o); err != nil {
		return nil, err
	}
	m := &rounding{base: o.Base, keyed: o.Keys != nil, rand: seeded(o.Keys), effort: o.Effort}
	if m.effort <= 0 {
		m.effort = 20_000_000
	}
	low := make([]int64, t.Cells()) // in bases, strict
	high := make([]int64, t.Cells())
	fixed := map[int32]int64{} // leaves, in bases
	for i := range low {
		leaves := t.Sum[t.Start[i]:t.Start[i+1]]
		value, ok := int64(0), true
		for _, l := range leaves {
			n := t.Leaves[l]
			if value += n; n > 0 && value < math.MinInt64+n || n < 0 && value > math.MaxInt64+n {
				ok = false
			}
		}
		if !ok {
			return nil, fmt.Errorf("cell %d: %w", i, ErrOverflow)
		}
		low[i] = floorDiv(value, o.Base)
		high[i] = low[i]
		if value != low[i]*o.Base {
			high[i]++
		}
		v, is := o.Fixed[i]
		if !is {
			continue
		}
		if len(leaves) == 0 && v != 0 {
			return nil, ErrNoRounding
		}
		m.forced = m.forced || v/o.Base < low[i] || v/o.Base > high[i]
		low[i], high[i] = v/o.Base, v/o.Base
		if len(leaves) == 1 {
			if before, is := fixed[leaves[0]]; is && before != v/o.Base {
				return nil, ErrNoRounding
			}
			fixed[leaves[0]] = v / o.Base
		}
	}
	number := make([]int32, len(t.Leaves))
	m.floor = make([]int64, len(t.Leaves))
	for l, v := range t.Leaves {
		m.floor[l] = floorDiv(v, o.Base)
		number[l] = -1
		if n, is := fixed[int32(l)]; is {
			m.floor[l] = n
		} else if r := v - m.floor[l]*o.Base; r > 0 {
			number[l] = int32(len(m.leaf))
			m.leaf, m.rest = append(m.leaf, int32(l)), append(m.rest, r)
		}
	}
	return m, m.addSums(t, o, number, low, high)
}

func (m *rounding) addSums(t *Table, o Options, number []int32, low, high []int64) error {
	known := map[string]int{}
	for i := range low {
		s := sum{low: low[i], high: high[i]}
		for _, l := range t.Sum[t.Start[i]:t.Start[i+1]] {
			s.low, s.high = s.low-m.floor[l], s.high-m.floor[l]
			if a := number[l]; a >= 0 {
				s.leaves, s.target = append(s.leaves, a), s.target+m.rest[a]
			}
		}
		n := int64(len(s.leaves))
		s.wlow, s.whigh = s.low, s.high
		if _, is := o.Fixed[i]; !is {
			s.wlow, s.whigh = s.low-1, s.high+1
		}
		if n == 0 { // nothing to choose: fixed leaves may force the sum away
			if 0 < s.wlow || 0 > s.whigh {
				return ErrNoRounding
			}
			m.forced = m.forced || 0 < s.low || 0 > s.high
			continue
		}
		slices.Sort(s.leaves)
		key := make([]byte, 0, 4*n)
		for _, a := range s.leaves {
			key = binary.LittleEndian.AppendUint32(key, uint32(a))
		}
		if at, is := known[string(key)]; is {
			e := &m.sums[at]
			e.low, e.high, e.wlow, e.whigh = max(e.low, s.low), min(e.high, s.high), max(e.wlow, s.wlow), min(e.whigh, s.whigh)
			continue
		}
		known[string(key)] = len(m.sums)
		m.sums = append(m.sums, s)
	}
	m.of = make([][]int32, len(m.leaf))
	for i := range m.sums {
		s := &m.sums[i]
		n := int64(len(s.leaves))
		s.wlow, s.whigh = max(s.wlow, 0), min(s.whigh, n)
		if s.wlow > s.whigh {
			return ErrNoRounding
		}
		for _, a := range s.leaves {
			m.of[a] = append(m.of[a], int32(i))
		}
	}
	return nil
}

func (t *Table) check(o Options) error {
	switch {
	case o.Base < 2 || o.Base > 1<<31:
		return fmt.Errorf("%w: the base is not between 2 and 2^31", ErrMalformed)
	case o.Keys != nil && len(o.Keys) != len(t.Leaves):
		return fmt.Errorf("%w: %d keys for %d leaves", ErrMalformed, len(o.Keys), len(t.Leaves))
	case len(t.Start) == 0 && len(t.Sum) > 0 || len(t.Start) > 0 && (t.Start[0] != 0 || int(t.Start[len(t.Start)-1]) != len(t.Sum)):
		return fmt.Errorf("%w: the sums do not begin and end with the list", ErrMalformed)
	}
	seen := make([]int, len(t.Leaves))
	for i := range t.Cells() {
		if t.Start[i] > t.Start[i+1] || int(t.Start[i+1]) > len(t.Sum) {
			return fmt.Errorf("%w: cell %d ends before it begins", ErrMalformed, i)
		}
		for _, l := range t.Sum[t.Start[i]:t.Start[i+1]] {
			if l < 0 || int(l) >= len(t.Leaves) || seen[l] == i+1 {
				return fmt.Errorf("%w: cell %d names a leaf that is not there, or names it twice", ErrMalformed, i)
			}
			seen[l] = i + 1
		}
	}
	for i, v := range o.Fixed {
		if i < 0 || i >= t.Cells() || v%o.Base != 0 {
			return fmt.Errorf("%w: fixed cell %d is not there, or its value is no multiple of the base", ErrMalformed, i)
		}
	}
	return nil
}

// seeded is the random source that the keys give.
func seeded(keys []Key) *rand.Rand {
	var b bytes.Buffer
	for _, k := range keys {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(k)))
	}
	return rand.New(rand.NewChaCha8(sha256.Sum256(b.Bytes())))
}

// families tells the sums apart into two families in each of which any two are
// apart or one holds the other. ok is false if there are no two such families.
func (m *rounding) families() (left, right []int32, ok bool) {
	cross := make([][]int32, len(m.sums))
	shared := make([]int32, len(m.sums))
	for i := range m.sums {
		var met []int32
		for _, a := range m.sums[i].leaves {
			for _, j := range m.of[a] {
				if shared[j] == 0 {
					met = append(met, j)
				}
				shared[j]++
			}
		}
		for _, j := range met {
			if int(shared[j]) < min(len(m.sums[i].leaves), len(m.sums[j].leaves)) {
				cross[i] = append(cross[i], j)
			}
			shared[j] = 0
		}
	}
	side := make([]int8, len(m.sums))
	for i := range m.sums {
		if side[i] != 0 {
			continue
		}
		side[i] = 1
		for queue := []int32{int32(i)}; len(queue) > 0; queue = queue[1:] {
			for _, j := range cross[queue[0]] {
				switch side[j] {
				case 0:
					side[j] = -side[queue[0]]
					queue = append(queue, j)
				case side[queue[0]]:
					return nil, nil, false
				}
			}
		}
	}
	for i, s := range side {
		if s > 0 {
			left = append(left, int32(i))
		} else {
			right = append(right, int32(i))
		}
	}
	smaller := func(i, j int32) int { return cmp.Compare(len(m.sums[i].leaves), len(m.sums[j].leaves)) }
	slices.SortStableFunc(left, smaller)
	slices.SortStableFunc(right, smaller)
	return left, right, true
}
