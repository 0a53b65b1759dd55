package suppress

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// tables is a small problem of whole numbers, with an oracle that counts all
// tables there could be.
type tables struct {
	p      *Problem
	hidden []bool
	value  []int
	steps  int
}

func countsOf(p *Problem, r *Result) *tables {
	o := &tables{p: p, hidden: r.Hidden, value: make([]int, len(p.Leaves))}
	for l, parts := range p.Leaves {
		for _, c := range parts {
			o.value[l] += int(c.Amount)
		}
	}
	return o
}

// exists looks for a table in which a cell differs by at least so much, that
// agrees with everything that is published, and in which no leaf is below its
// least; fixed leaves are as they are. It tries every whole number there could be.
func (o *tables) exists(cell, by int, least []int, fixed []bool) bool {
	target := o.p.Cells[cell].Leaves
	order := slices.Clone(target) // what must move comes first
	for l := range o.value {
		if _, in := slices.BinarySearch(target, int32(l)); !in {
			order = append(order, int32(l))
		}
	}
	got, set := slices.Clone(o.value), make([]bool, len(o.value))
	var fill func(n int) bool
	fill = func(n int) bool {
		if o.steps++; n == len(target) {
			change := 0
			for _, l := range target {
				change += got[l] - o.value[l]
			}
			if by > 0 && change < by || by < 0 && change > by {
				return false
			}
		}
		if n == len(order) {
			return true
		}
		l := order[n]
		lo, hi := least[l], math.MaxInt
		if fixed[l] {
			lo, hi = o.value[l], o.value[l]
		}
		for i, c := range o.p.Cells {
			if _, in := slices.BinarySearch(c.Leaves, l); !in || o.hidden[i] {
				continue
			}
			left, floor, last := 0, 0, true // what the cell has for this leaf and those not set
			for _, x := range c.Leaves {
				left += o.value[x]
				switch {
				case set[x]:
					left -= got[x]
				case x != l:
					floor += least[x]
					last = false
				}
			}
			if hi = min(hi, left-floor); last {
				lo = max(lo, left)
			}
		}
		set[l] = true
		defer func() { set[l] = false }()
		for far := 0; o.value[l]-far >= lo || o.value[l]+far <= hi; far++ { // the nearest first
			for _, v := range []int{o.value[l] + far, o.value[l] - far} {
				if v >= lo && v <= hi {
					if got[l] = v; fill(n + 1) {
						return true
					}
				}
			}
		}
		return false
	}
	return fill(0)
}

// check reports every sensitive cell that an outsider knows within its interval,
// and with a unit every one that a person who is counted in the table does.
func (o *tables) check(t interface{ Fatalf(string, ...any) }) {
	n := len(o.p.Leaves)
	known := make([]bool, n)
	for l := range known {
		known[l] = len(o.p.Leaves[l]) == 0
	}
	for i, c := range o.p.Cells {
		if !c.Sensitive {
			continue
		}
		floor := make([]int, n)
		for l := range floor {
			if !known[l] {
				floor[l] = int(o.p.Floor)
			}
		}
		if !o.hidden[i] {
			t.Fatalf("cell %d is sensitive and published", i)
		}
		if up := int(math.Ceil(c.Up)); up > 0 && !o.exists(i, up, floor, known) {
			t.Fatalf("cell %d: no table has it larger by %d; leaves %v, hidden %v, cells %v", i, up, o.value, o.hidden, o.p.Cells)
		}
		if down := int(math.Ceil(c.Down)); down > 0 && !o.exists(i, -down, floor, known) {
			t.Fatalf("cell %d: no table has it smaller by %d; leaves %v, hidden %v, cells %v", i, down, o.value, o.hidden, o.p.Cells)
		}
		if o.p.Unit == 0 {
			continue
		}
		for l, parts := range o.p.Leaves {
			for _, me := range parts {
				if !o.others(i, me.Respondent) {
					continue
				}
				least, sole := slices.Clone(floor), slices.Clone(known)
				least[l] = min(o.value[l], int(o.p.Floor+max(0, me.Amount)))
				sole[l] = known[l] || len(parts) == 1
				if !o.exists(i, int(o.p.Unit), least, sole) {
					t.Fatalf("cell %d: somebody in leaf %d can compute it; leaves %v, hidden %v", i, l, o.value, o.hidden)
				}
				if o.p.Floor == 0 {
					break // one person of a leaf knows as much as any other
				}
			}
		}
	}
}

// others reports whether somebody else has a part in a cell.
func (o *tables) others(cell int, me int32) bool {
	return slices.ContainsFunc(o.p.Cells[cell].Leaves, func(l int32) bool {
		return slices.ContainsFunc(o.p.Leaves[l], func(c Contribution) bool { return c.Respondent != me && c.Amount != 0 })
	})
}

// drawCounts is a table of two or three dimensions with its margins, in which
// everybody knows the total.
func drawCounts(t *rapid.T, low int) *Problem {
	sizes := rapid.SampledFrom([][]int{{2, 2}, {2, 3}, {3, 3}, {2, 2, 2}, {2, 2, 3}}).Draw(t, "sizes")
	p := &Problem{Whole: true, Floor: float64(min(0, low))}
	person := int32(0)
	at := make([]int32, len(sizes))
	spread := rapid.IntRange(1, 3).Draw(t, "spread")
	byMargin := map[string]int{}
	for {
		count := rapid.OneOf(rapid.IntRange(0, 2), rapid.IntRange(0, 7)).Draw(t, "count")
		var parts []Contribution
		for k := range count {
			amount := 1
			if low < 0 { // two at most, with more or less than nothing
				if k == 2 {
					break
				}
				amount = rapid.SampledFrom([]int{low / 2, 1, 2, 5}).Draw(t, "amount")
			}
			parts = append(parts, Contribution{person, float64(amount)})
			person++
		}
		l := int32(len(p.Leaves))
		p.Leaves = append(p.Leaves, parts)
		p.Codes = append(p.Codes, slices.Clone(at))
		for above := range 1 << len(sizes) {
			name := ""
			for d, c := range at {
				if above>>d&1 == 1 {
					c = -1
				}
				name += fmt.Sprint(c, " ")
			}
			i, ok := byMargin[name]
			if !ok {
				i = len(p.Cells)
				byMargin[name] = i
				p.Cells = append(p.Cells, Cell{})
			}
			p.Cells[i].Leaves = append(p.Cells[i].Leaves, l)
			if above == 1<<len(sizes)-1 {
				p.Cells[i].Fate = Shown
			}
		}
		d := len(at) - 1
		for ; d >= 0; d-- {
			if at[d]++; int(at[d]) < sizes[d] {
				break
			}
			at[d] = 0
		}
		if d < 0 {
			break
		}
	}
	for i := range p.Cells {
		c := &p.Cells[i]
		sum, some := 0.0, false
		for _, l := range c.Leaves {
			for _, part := range p.Leaves[l] {
				sum += part.Amount
				some = true
			}
		}
		c.Cost = 1 + math.Abs(sum)
		if c.Fate != Shown && some && sum < 3 && rapid.Bool().Draw(t, "sensitive") {
			c.Sensitive, c.Up, c.Down = true, float64(spread), float64(spread)
			if low >= 0 {
				c.Down = min(c.Down, sum)
			}
		}
	}
	return p
}

// No count of too few persons can be computed to within its interval, not by
// whole numbers either, nor by a person who is counted, whichever way the table
// was protected.
func TestProtect_CountsAreUncertain(t *testing.T) { uncertain(t, 0) }

// The same with amounts that can be negative, where everybody knows how far.
func TestProtect_NegativeAmountsAreUncertain(t *testing.T) { uncertain(t, -2) }

func uncertain(t *testing.T, low int) {
	protected, refused := 0, 0
	check := func(t *rapid.T) {
		p := drawCounts(t, low)
		p.Unit = float64(rapid.IntRange(0, 1).Draw(t, "unit"))
		for _, large := range []int{large, 0} {
			r, err := protect(p, large)
			if err != nil {
				refused++
				continue
			}
			protected++
			countsOf(p, r).check(t)
			if open := r.Verify(p); len(open) > 0 {
				t.Fatalf("cells %v have no proof that is one", open)
			}
		}
	}
	for range 4 { // about one table in five hundred has a proof by halves only
		rapid.Check(t, check)
	}
	if protected < refused {
		t.Errorf("%d tables were protected, %d refused", protected, refused)
	}
}

// What is refused could not be done, the relaxation that is named is the least,
// and with it the table can be protected.
func TestProtect_NamesTheLeastRelaxation(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		p := drawCounts(t, 0)
		for i := range p.Cells {
			if c := &p.Cells[i]; !c.Sensitive && c.Fate == Free && rapid.Bool().Draw(t, "shown") {
				c.Fate = Shown
			}
		}
		_, err := Protect(p)
		var e *InfeasibleError
		if !errors.As(err, &e) || len(e.Relaxations) == 0 {
			return // it can be done, or one sum is to be hidden and shown
		}
		refused++
		free := &Result{Hidden: make([]bool, len(p.Cells))}
		for i, c := range p.Cells {
			free.Hidden[i] = c.Fate != Shown
		}
		o := countsOf(p, free)
		least, known := make([]int, len(p.Leaves)), make([]bool, len(p.Leaves))
		for l := range known {
			known[l] = len(p.Leaves[l]) == 0
		}
		short, vain, rounds := false, false, 0
		for _, r := range e.Relaxations {
			for _, side := range []struct {
				sign      int
				ask, most float64
			}{{1, r.Up, r.MostUp}, {-1, r.Down, r.MostDown}} {
				if short = short || side.most < side.ask; side.most >= side.ask {
					continue
				}
				if o.exists(r.Cell, side.sign*int(side.most+1), least, known) {
					t.Fatalf("cell %d can be uncertain by more than %+v", r.Cell, r)
				}
				if most := int(side.most); most > 0 && len(p.Codes[0]) == 2 && !o.exists(r.Cell, side.sign*most, least, known) {
					t.Fatalf("cell %d cannot be uncertain by %+v", r.Cell, r)
				}
			}
			for _, i := range r.Hide {
				p.Cells[i].Fate = Free
			}
			vain = vain || len(r.Hide) == 0
		}
		if !short {
			t.Fatalf("the table was refused for no reason: %v", err)
		}
		for err != nil && !vain { // what is relaxed for one cell may be needed by the next
			rounds++
			if _, err = Protect(p); err == nil {
				break
			}
			if !errors.As(err, &e) || rounds > len(p.Cells) {
				t.Fatalf("with what was to be hidden free it is refused still: %v", err)
			}
			for _, r := range e.Relaxations {
				vain = vain || len(r.Hide) == 0
				for _, i := range r.Hide {
					p.Cells[i].Fate = Free
				}
			}
		}
	})
	if refused == 0 {
		t.Error("no table was refused")
	}
}

// Half a person is no proof.
func TestSettle_RefusesHalves(t *testing.T) {
	m := &model{whole: true}
	if mv := m.settle(move{{Column: 0, Value: 1}, {Column: 1, Value: -0.5}, {Column: 2, Value: -0.5}}); mv != nil {
		t.Errorf("settled %v", mv)
	}
	mv := m.settle(move{{Column: 0, Value: 1 + 1e-9}, {Column: 1, Value: 1e-9}, {Column: 2, Value: -1}})
	if len(mv) != 2 || mv[0].Value != 1 || mv[1].Column != 2 {
		t.Errorf("settled %v", mv)
	}
	for _, c := range []struct{ need, change, want float64 }{{3, 2, 2}, {4, 2, 2}, {3, -2, -2}, {1, 1, 1}} {
		if got := m.factor(demand{sign: 1, need: c.need}, c.change); got != c.want {
			t.Errorf("a change of %v is made %v times for %v, want %v", c.change, got, c.need, c.want)
		}
	}
}
