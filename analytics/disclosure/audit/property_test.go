package audit_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

// small is a table of two by two or two by three with whole numbers, in which
// some cells are hidden. In such a table every vertex of what is possible is
// whole (its sums make a network), so that counting finds the same as the
// auditor.
type small struct {
	rows, columns int
	value         []int
	d             *dossier.Dossier
}

func drawSmall(t *rapid.T, rules dossier.Rules) *small {
	s := &small{rows: 2, columns: rapid.IntRange(2, 3).Draw(t, "columns")}
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint(i))
		}
		return all
	}
	b := newBuilder()
	var keys []string
	for r := range s.rows {
		for c := range s.columns {
			key := fmt.Sprintf("%d|%d", r, c)
			keys = append(keys, key)
			b.leaf(key)
			sum := 0
			for range rapid.IntRange(0, 2).Draw(t, "parts") {
				amount := rapid.IntRange(1, 3).Draw(t, "amount")
				b.leaf(key, part(int32(rapid.IntRange(1, 4).Draw(t, "respondent")), float64(amount)))
				sum += amount
			}
			s.value = append(s.value, sum)
		}
	}
	for _, n := range append(names(s.rows), "Total") {
		keys = append(keys, n+"|Total")
	}
	for _, n := range names(s.columns) {
		keys = append(keys, "Total|"+n)
	}
	hidden := rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 2, len(keys), rapid.ID).Draw(t, "hidden")
	b.table("small", rules, [][]code{flat(names(s.rows)...), flat(names(s.columns)...)}, hidden...)
	s.d = &b.d
	return s
}

// others calls f with every other table that has the published sums, and in
// which every leaf is between a floor and a ceiling.
func (s *small) others(floor, ceiling []int, f func([]int)) {
	x := make([]int, len(s.value))
	var walk func(i int)
	walk = func(i int) {
		if i == len(x) {
			f(x)
			return
		}
		for x[i] = floor[i]; x[i] <= ceiling[i]; x[i]++ {
			if s.possible(x, i) {
				walk(i + 1)
			}
		}
		x[i] = 0
	}
	walk(0)
}

// possible reports whether the leaves up to the last one are within the
// published sums, and are those sums where no leaf is left.
func (s *small) possible(x []int, last int) bool {
	for _, c := range s.d.Tables[0].Cells {
		if c.Value == nil || !slices.Contains(c.Leaves, int32(last)) {
			continue
		}
		sum, value := 0, int(math.Round(*c.Value))
		for _, l := range c.Leaves {
			if int(l) <= last {
				sum += x[l]
			}
		}
		if sum > value || sum < value && int(c.Leaves[len(c.Leaves)-1]) == last {
			return false
		}
	}
	return true
}

// limits are how large each leaf can be: 0 if it is nobody's, or the smallest
// published sum that it is in. One that is in none is free: what it is tells
// nothing about the others, so that it is counted up to its own value only.
func (s *small) limits() (ceiling []int, free []bool) {
	ceiling, free = slices.Clone(s.value), make([]bool, len(s.value))
	for l, v := range s.value {
		if v == 0 {
			continue
		}
		free[l] = true
		for _, c := range s.d.Tables[0].Cells {
			if c.Value == nil || !slices.Contains(c.Leaves, int32(l)) {
				continue
			}
			if sum := int(math.Round(*c.Value)); free[l] || sum < ceiling[l] {
				ceiling[l] = sum
			}
			free[l] = false
		}
	}
	return ceiling, free
}

func TestProperty_IntervalsAreThoseOfCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSmall(t, anyone)
		ceiling, free := s.limits()
		lo, up := map[string]int{}, map[string]int{}
		s.others(make([]int, len(s.value)), ceiling, func(x []int) {
			for _, c := range s.d.Tables[0].Cells {
				sum := 0
				for _, l := range c.Leaves {
					sum += x[l]
				}
				k := fmt.Sprint(c.Keys)
				if old, ok := lo[k]; !ok || sum < old {
					lo[k] = sum
				}
				up[k] = max(up[k], sum)
			}
		})
		r, err := audit.Audit(t.Context(), s.d, audit.Options{Intervals: true, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		reported := map[string]audit.Range{}
		for _, c := range r.CellMargin {
			reported[fmt.Sprint(c.Keys)] = *c.Range
		}
		for _, c := range s.d.Tables[0].Cells {
			if c.Value != nil || *total(s.d, c.Leaves) == 0 {
				continue
			}
			k := fmt.Sprint(c.Keys)
			got, ok := reported[k]
			if !ok {
				// The same sum is published under another name.
				if lo[k] != up[k] {
					t.Fatalf("%s has no range, want [%d, %d]", k, lo[k], up[k])
				}
				continue
			}
			want := float64(up[k])
			if slices.ContainsFunc(c.Leaves, func(l int32) bool { return free[l] }) {
				want = math.Inf(1)
			}
			if math.Abs(float64(got.Lo)-float64(lo[k])) > 1e-6 || float64(got.Up) != want && math.Abs(float64(got.Up)-want) > 1e-6 {
				t.Fatalf("%s is in [%v, %v], want [%d, %v]", k, got.Lo, got.Up, lo[k], want)
			}
		}
	})
}

// TestProperty_ViolationsAreThoseOfCounting compares the verdict about every
// cell and every attacker. With p = 100 all protections are whole numbers.
func TestProperty_ViolationsAreThoseOfCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SampledFrom([]dossier.Rules{
			{Name: "p100", Percent: 100},
			{Name: "p100, two", Percent: 100, Coalition: 2},
			{Name: "two", MinRespondents: 2},
			{Name: "three", MinRespondents: 3, Coalition: 2},
			{Name: "three, p100", MinRespondents: 3, Percent: 100},
		}).Draw(t, "rules")
		s := drawSmall(t, rules)
		r, err := audit.Audit(t.Context(), s.d, audit.Options{Workers: rapid.IntRange(1, 3).Draw(t, "workers")})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, v := range r.Violations {
			for _, n := range v.Cells {
				got[fmt.Sprint(n.Keys, v.Attackers)] = true
			}
		}
		want := s.broken(rules)
		for _, c := range s.d.Tables[0].Cells {
			name := func(a []int) string { return fmt.Sprint(c.Keys, a) }
			if s.told(&c) {
				continue // reported where it is published
			}
			if got[name(nil)] != want[name(nil)] {
				t.Fatalf("%s: reported %v, counted %v\n%+v", name(nil), got[name(nil)], want[name(nil)], r.Violations)
			}
			if c.Value != nil || want[name(nil)] {
				continue // what outsiders know needs no insider
			}
			for _, a := range s.attackers(rules.Coalition)[1:] {
				if len(a) == 2 && (want[name(a[:1])] || want[name(a[1:])]) {
					continue // what one knows, two know
				}
				if got[name(a)] != want[name(a)] {
					t.Fatalf("%s: reported %v, counted %v\n%+v", name(a), got[name(a)], want[name(a)], r.Violations)
				}
			}
		}
	})
}

// told reports whether a hidden cell is published under another name.
func (s *small) told(c *dossier.Cell) bool {
	somebody := func(leaves []int32) (all []int32) {
		for _, l := range leaves {
			if s.value[l] > 0 {
				all = append(all, l)
			}
		}
		return all
	}
	return c.Value == nil && slices.ContainsFunc(s.d.Tables[0].Cells, func(o dossier.Cell) bool {
		return o.Value != nil && slices.Equal(somebody(o.Leaves), somebody(c.Leaves))
	})
}

// attackers are nobody, each of the four respondents, and every two.
func (s *small) attackers(crowd int) (all [][]int) {
	all = [][]int{{}}
	for a := 1; a <= 4; a++ {
		all = append(all, []int{a})
	}
	for a := 1; a <= 4 && crowd == 2; a++ {
		for b := a + 1; b <= 4; b++ {
			all = append(all, []int{a, b})
		}
	}
	return all
}

// broken finds by counting which attackers learn too much of which cells.
func (s *small) broken(rules dossier.Rules) map[string]bool {
	own := make([][]int, 5) // by respondent, and leaf
	for r := range own {
		own[r] = make([]int, len(s.value))
	}
	for l, leaf := range s.d.Leaves {
		for _, p := range leaf.Parts {
			own[p.Respondent][l] += int(p.Amount)
		}
	}
	broken := map[string]bool{}
	for _, c := range s.d.Tables[0].Cells {
		parts, value, few := make([]int, 5), 0, 0
		for r := range own {
			for _, l := range c.Leaves {
				parts[r] += own[r][l]
			}
			if value += parts[r]; parts[r] > 0 {
				few++
			}
		}
		ranked := slices.Sorted(slices.Values(parts))
		need, ratio, exact := -value, false, few > 0 && few < rules.MinRespondents
		for i := range 1 + max(1, rules.Coalition) {
			need += ranked[4-i]
		}
		if need += ranked[4]; rules.Percent > 0 && need > 0 {
			ratio = true
		}
		for _, a := range s.attackers(rules.Coalition) {
			mine, largest := 0, 0
			for r := range parts {
				if slices.Contains(a, r) {
					mine += parts[r]
				} else {
					largest = max(largest, parts[r])
				}
			}
			up, down := s.bounds(c.Leaves, a, own)
			by := mine + 2*largest - value
			if len(a) == 0 {
				by = need
			}
			name := fmt.Sprint(c.Keys, a)
			if ratio && largest > 0 && by > 0 && up < value+by {
				broken[name] = true
			}
			if ratio && len(a) == 0 && down > value-min(by, value) {
				broken[name] = true
			}
			if exact && largest > 0 && up < value+1 && (down > value-1 || len(a) == 0) || exact && len(a) == 0 && down > value-1 {
				broken[name] = true
			}
		}
	}
	return broken
}

// bounds is how large and how small a sum can be for all that an attacker knows.
func (s *small) bounds(leaves []int32, attacker []int, own [][]int) (up, down int) {
	top, free := s.limits()
	floor := make([]int, len(s.value))
	unbounded := false
	for l := range floor {
		for _, r := range attacker {
			floor[l] += own[r][l]
		}
		switch {
		case floor[l] == s.value[l]:
			top[l] = floor[l]
		case free[l]:
			unbounded = unbounded || slices.Contains(leaves, int32(l))
		}
	}
	up, down = math.MinInt, math.MaxInt
	s.others(floor, top, func(x []int) {
		sum := 0
		for _, l := range leaves {
			sum += x[l]
		}
		up, down = max(up, sum), min(down, sum)
	})
	if unbounded {
		up = math.MaxInt
	}
	return up, down
}
