package perturb

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// cube is a table with all margins. Each dimension has groups of size leaves
// below its total; a size of 0 is a dimension without groups.
func cube(values []int64, dims, size []int) *Table {
	t := &Table{Leaves: values}
	// ranges of each dimension: single codes, groups, the total.
	var ranges [][][2]int
	for d, n := range dims {
		var list [][2]int
		for i := range n {
			list = append(list, [2]int{i, i + 1})
		}
		if size[d] > 0 {
			for i := 0; i < n; i += size[d] {
				list = append(list, [2]int{i, min(n, i+size[d])})
			}
		}
		ranges = append(ranges, append(list, [2]int{0, n}))
	}
	var walk func(d int, at []int32)
	walk = func(d int, at []int32) {
		if d == len(dims) {
			t.Add(at...)
			return
		}
		for _, r := range ranges[d] {
			var next []int32
			for _, a := range at {
				for i := r[0]; i < r[1]; i++ {
					next = append(next, a*int32(dims[d])+int32(i))
				}
			}
			walk(d+1, next)
		}
	}
	walk(0, []int32{0})
	return t
}

func values(rng *rand.Rand, n int, top int64) []int64 {
	v := make([]int64, n)
	for i := range v {
		if rng.IntN(4) > 0 {
			v[i] = rng.Int64N(top)
		}
	}
	return v
}

// checkRounding checks what Round promises of every result.
func checkRounding(t interface {
	Helper()
	Errorf(string, ...any)
}, table *Table, o Options, r *Rounded) {
	t.Helper()
	for i := range table.Cells() {
		var value, got int64
		for _, l := range table.Sum[table.Start[i]:table.Start[i+1]] {
			value += table.Leaves[l]
			got += r.Leaves[l]
		}
		away := max(r.Cells[i]-value, value-r.Cells[i])
		fixed, is := o.Fixed[i]
		switch {
		case got != r.Cells[i]:
			t.Errorf("cell %d is %d, and its leaves %d", i, r.Cells[i], got)
		case r.Cells[i]%o.Base != 0:
			t.Errorf("cell %d is %d, no multiple of %d", i, r.Cells[i], o.Base)
		case is && r.Cells[i] != fixed:
			t.Errorf("cell %d is %d and was fixed at %d", i, r.Cells[i], fixed)
		case away >= o.Base && !slices.Contains(r.Relaxed, i):
			t.Errorf("cell %d of %d is %d, too far for base %d", i, value, r.Cells[i], o.Base)
		case away > 2*o.Base && !is:
			t.Errorf("relaxed cell %d of %d is %d, too far for base %d", i, value, r.Cells[i], o.Base)
		case value%o.Base == 0 && away != 0 && !slices.Contains(r.Relaxed, i):
			t.Errorf("cell %d of %d, a multiple of the base, is %d", i, value, r.Cells[i])
		}
	}
}

func TestRound_TwoDimensionsAlwaysAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rows, cols := rapid.IntRange(1, 9).Draw(t, "rows"), rapid.IntRange(1, 9).Draw(t, "cols")
		groups := rapid.IntRange(0, 3).Draw(t, "groups")
		table := cube(values(rng, rows*cols, 60), []int{rows, cols}, []int{groups, 0})
		o := Options{Base: rapid.SampledFrom([]int64{2, 3, 5, 10, 100}).Draw(t, "base")}
		if rapid.Bool().Draw(t, "random") {
			for range table.Leaves {
				o.Keys = append(o.Keys, Key(rng.Uint32()))
			}
		}
		r, err := Round(table, o)
		if err != nil || !r.Network || len(r.Relaxed) > 0 {
			t.Fatalf("%+v, error %v", r, err)
		}
		checkRounding(t, table, o, r)
		again, _ := Round(table, o)
		if !reflect.DeepEqual(r, again) {
			t.Error("a second time the result is another one")
		}
		// What was published stays: fix half of the cells at what they were.
		o.Fixed = map[int]int64{}
		for i := range r.Cells {
			if rng.IntN(2) == 0 {
				o.Fixed[i] = r.Cells[i]
			}
		}
		fixed, err := Round(table, o)
		if err != nil || len(fixed.Relaxed) > 0 {
			t.Fatalf("with fixed cells: %+v, error %v", fixed, err)
		}
		checkRounding(t, table, o, fixed)
	})
}

func distance(table *Table, cells []int64) (sum int64) {
	seen := map[string]bool{}
	for i := range cells {
		leaves := table.Sum[table.Start[i]:table.Start[i+1]]
		if key := fmt.Sprint(leaves); !seen[key] {
			seen[key] = true
			v := cells[i]
			for _, l := range leaves {
				v -= table.Leaves[l]
			}
			sum += max(v, -v)
		}
	}
	return sum
}

// The network's rounding is the nearest of all that add up, by trying all.
func TestRound_NearestInTwoDimensions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		rows, cols := 2+rng.IntN(2), 2+rng.IntN(3)
		table := cube(values(rng, rows*cols, 20), []int{rows, cols}, []int{0, 0})
		r, err := Round(table, Options{Base: 5})
		if err != nil {
			t.Fatal(err)
		}
		best := int64(-1)
		n := len(table.Leaves)
	choices:
		for mask := range 1 << n {
			cells := make([]int64, table.Cells())
			leaves := make([]int64, n)
			for l, v := range table.Leaves {
				leaves[l] = v / 5 * 5
				if mask>>l&1 == 1 {
					if v%5 == 0 {
						continue choices
					}
					leaves[l] += 5
				}
			}
			for i := range cells {
				var v int64
				for _, l := range table.Sum[table.Start[i]:table.Start[i+1]] {
					cells[i] += leaves[l]
					v += table.Leaves[l]
				}
				if d := cells[i] - v; d <= -5 || d >= 5 {
					continue choices
				}
			}
			if d := distance(table, cells); best < 0 || d < best {
				best = d
			}
		}
		if got := distance(table, r.Cells); got != best {
			t.Errorf("%d×%d %v: distance %d, the nearest is %d", rows, cols, table.Leaves, got, best)
		}
	}
}

// With keys every cell goes up with P = residue/base (Cox 1987): the mean over
// many keys is the true value.
func TestRound_RandomIsUnbiased(t *testing.T) {
	table := cube([]int64{1, 7, 13, 4, 0, 9, 22, 5, 3, 8, 6, 2}, []int{4, 3}, []int{2, 0})
	rng := rand.New(rand.NewPCG(5, 6))
	const runs = 3000
	up := make([]int, table.Cells())
	for range runs {
		o := Options{Base: 5}
		for range table.Leaves {
			o.Keys = append(o.Keys, Key(rng.Uint32()))
		}
		r, err := Round(table, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range up {
			up[i] += int(r.Cells[i])
		}
	}
	for i := range up {
		var value int64
		for _, l := range table.Sum[table.Start[i]:table.Start[i+1]] {
			value += table.Leaves[l]
		}
		// Four standard errors of one cell are 4·2.5/√3000 = 0.18.
		if mean := float64(up[i]) / runs; mean < float64(value)-.18 || mean > float64(value)+.18 {
			t.Errorf("cell %d of %d is %.3f on average", i, value, mean)
		}
	}
}

func TestRound_ThreeDimensions(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	relaxed := 0
	for i := range 40 {
		dims := []int{2 + rng.IntN(4), 2 + rng.IntN(4), 2 + rng.IntN(4)}
		size := []int{rng.IntN(3), rng.IntN(3), 0}
		table := cube(values(rng, dims[0]*dims[1]*dims[2], 40), dims, size)
		o := Options{Base: []int64{3, 5, 10}[i%3], Effort: 300_000}
		r, err := Round(table, o)
		if err != nil {
			t.Errorf("%v %v: %v", dims, size, err)
			continue
		}
		checkRounding(t, table, o, r)
		if len(r.Relaxed) > 0 {
			relaxed++
		}
	}
	if relaxed > 4 {
		t.Errorf("%d of 40 tables were relaxed", relaxed)
	}
	t.Logf("%d of 40 tables were relaxed", relaxed)
}

// Both dimensions have groups, and so no network decides.
func TestRound_GroupsInBothDimensions(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	start := time.Now()
	table := cube(values(rng, 24*24, 500), []int{24, 24}, []int{4, 6})
	o := Options{Base: 10}
	r, err := Round(table, o)
	if err != nil || r.Network || len(r.Relaxed) > 0 {
		t.Fatalf("network %v, %d relaxed, error %v", r.Network, len(r.Relaxed), err)
	}
	checkRounding(t, table, o, r)
	t.Logf("%d cells in %v", table.Cells(), time.Since(start))
}

// No rounding to base 2 of this table adds up: of any two of the four ones just
// one may go up, in the manner of Causey, Cox & Ernst (1985).
func TestRound_SaysWhenThereIsNone(t *testing.T) {
	table := cube([]int64{1, 0, 0, 1, 0, 1, 1, 0}, []int{2, 2, 2}, []int{0, 0, 0})
	o := Options{Base: 2, Effort: 200_000}
	r, err := Round(table, o)
	if err != nil || r.Network || !r.Impossible || len(r.Relaxed) == 0 {
		t.Fatalf("%+v, error %v", r, err)
	}
	checkRounding(t, table, o, r)
}

func TestRound_Fixed(t *testing.T) {
	// One row of three with its total.
	table := &Table{Leaves: []int64{4, 4, 4}}
	for l := range int32(3) {
		table.Add(l)
	}
	table.Add(0, 1, 2)
	for name, c := range map[string]struct {
		fixed   map[int]int64
		total   int64
		relaxed []int
		err     error
	}{
		"nothing":                  {nil, 15, nil, nil},
		"a leaf":                   {map[int]int64{2: 0}, 10, nil, nil},
		"the total":                {map[int]int64{3: 15}, 15, nil, nil},
		"leaves that force a sum":  {map[int]int64{0: 0, 1: 0}, 5, []int{3}, nil},
		"an old value, far off":    {map[int]int64{0: 10}, 15, []int{0}, nil},
		"a contradiction":          {map[int]int64{0: 0, 1: 0, 3: 15}, 0, nil, ErrNoRounding},
		"what is no multiple":      {map[int]int64{0: 3}, 0, nil, ErrMalformed},
		"a cell that is not there": {map[int]int64{4: 0}, 0, nil, ErrMalformed},
	} {
		r, err := Round(table, Options{Base: 5, Fixed: c.fixed})
		if !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", name, err, c.err)
			continue
		}
		if err != nil {
			continue
		}
		checkRounding(t, table, Options{Base: 5, Fixed: c.fixed}, r)
		if !slices.Equal(r.Relaxed, c.relaxed) || r.Impossible != (c.relaxed != nil) || r.Cells[3] != c.total {
			t.Errorf("%s: %+v, want total %d and relaxed %v", name, r, c.total, c.relaxed)
		}
	}
}

// Cells that two tables share have one value in both.
func TestPublished_TwoTablesShareCells(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	v := values(rng, 36, 40)
	first := cube(v, []int{6, 6}, []int{0, 0})
	second := cube(v, []int{6, 6}, []int{2, 0}) // groups of rows are new
	names := func(t *Table) (list []string) {
		for i := range t.Cells() {
			list = append(list, fmt.Sprint(t.Sum[t.Start[i]:t.Start[i+1]]))
		}
		return list
	}
	book := Published{}
	a, err := Round(first, Options{Base: 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Add(names(first), a.Cells); err != nil {
		t.Fatal(err)
	}
	b, err := Round(second, Options{Base: 5, Fixed: book.Fixed(names(second))})
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Add(names(second), b.Cells); err != nil {
		t.Error(err)
	}
	b.Cells[0] += 5
	if err := book.Add(names(second), b.Cells); !errors.Is(err, ErrConflict) {
		t.Errorf("another value: error %v", err)
	}
}

func TestRound_NegativeAndEmpty(t *testing.T) {
	table := cube([]int64{-7, 12, 3, -1}, []int{2, 2}, []int{0, 0})
	table.Add()
	o := Options{Base: 5}
	r, err := Round(table, o)
	if err != nil {
		t.Fatal(err)
	}
	checkRounding(t, table, o, r)
	if r, err := Round(&Table{}, o); err != nil || len(r.Cells) != 0 {
		t.Errorf("an empty table: %v, error %v", r, err)
	}
	for name, bad := range map[string]*Table{
		"a leaf that is not there": {Leaves: []int64{1}, Start: []int32{0, 1}, Sum: []int32{1}},
		"a leaf twice":             {Leaves: []int64{1}, Start: []int32{0, 2}, Sum: []int32{0, 0}},
		"a list too long":          {Leaves: []int64{1}, Start: []int32{0, 1}, Sum: []int32{0, 0}},
		"an end before":            {Leaves: []int64{1}, Start: []int32{0, 3, 1}, Sum: []int32{0}},
	} {
		if _, err := Round(bad, o); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRandomRound(t *testing.T) {
	const base = 8 // divides 2³², so that probabilities are exact
	for v := int64(-20); v <= 20; v++ {
		up := 0
		low := floorDiv(v, base) * base
		for k := range uint32(base) {
			got, err := RandomRound(v, base, Key(k<<29))
			if err != nil || got != low && got != low+base {
				t.Fatalf("%d becomes %d (%v)", v, got, err)
			}
			if got > low {
				up++
			}
		}
		if int64(up) != v-low {
			t.Errorf("%d goes up for %d of %d keys", v, up, base)
		}
	}
}

func TestRound_Large(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, c := range []struct{ dims, size []int }{
		{[]int{100, 60}, []int{10, 0}},
		{[]int{24, 24, 6}, []int{6, 4, 0}},
	} {
		n := 1
		for _, d := range c.dims {
			n *= d
		}
		table := cube(values(rng, n, 300), c.dims, c.size)
		start := time.Now()
		o := Options{Base: 10, Effort: 1_000_000}
		r, err := Round(table, o)
		if err != nil {
			t.Fatal(err)
		}
		checkRounding(t, table, o, r)
		t.Logf("%v: %d cells, network %v, %d relaxed, impossible %v, %v", c.dims, table.Cells(), r.Network, len(r.Relaxed), r.Impossible, time.Since(start).Round(time.Millisecond))
	}
}
