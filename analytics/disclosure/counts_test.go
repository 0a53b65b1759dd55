package disclosure

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRelease_CountsOfPersonsAreUncertain asks for counts of persons by age, by
// where they live, by both and in all, and tries every table of counts that agrees
// with what is shown: the pattern that protects yen leaves no hidden count of few
// persons to be computed (recipe 1, for frequency tables).
func TestRelease_CountsOfPersonsAreUncertain(t *testing.T) {
	ages, homes := []string{"20s", "30s", "40s"}, []string{"east", "west"}
	rapid.Check(t, func(rt *rapid.T) {
		e := &town{snapshot: 1}
		counts := map[string]int{}
		for _, age := range ages {
			for _, home := range homes {
				n := rapid.IntRange(0, 9).Draw(rt, age+" "+home)
				counts[age+" "+home] = n
				for i := range n {
					e.pays = append(e.pays, pay{day: "2026-04-02", shop: fmt.Sprint("s", i%4), person: fmt.Sprint(age, home, i), industry: "cafe",
						area: "a", age: age, home: home, yen: float64(rapid.IntRange(100, 900).Draw(rt, "yen"))})
				}
			}
		}
		if len(e.pays) == 0 {
			return
		}
		g := newGate(e)
		type cell struct {
			of    []string // the leaves
			value int
			shown bool
			there bool
		}
		var cells []cell
		for _, by := range [][]string{{"age_band", "area"}, {"age_band"}, {"area"}, {}} {
			r, err := g.Release(t.Context(), inApril("M03", by...), City)
			if err != nil {
				return // it is refused as a whole
			}
			seen := map[string]bool{}
			for _, c := range r.Cells() {
				one := cell{there: true}
				for _, age := range ages {
					for _, home := range homes {
						has := map[string]string{"age_band": age, "area": home}
						fits := true
						for i, d := range by {
							fits = fits && c.Keys[i] == has[d]
						}
						if fits {
							one.of = append(one.of, age+" "+home)
						}
					}
				}
				if v, ok := c.Value(0); ok {
					one.shown, one.value = true, int(v)
				}
				seen[strings.Join(c.Keys, " ")] = true
				cells = append(cells, one)
			}
			if len(by) == 2 { // a cell that is not there is known to be empty
				for leaf := range counts {
					if !seen[leaf] {
						cells = append(cells, cell{of: []string{leaf}, shown: true})
					}
				}
			}
		}
		var leaves []string
		for _, age := range ages {
			for _, home := range homes {
				leaves = append(leaves, age+" "+home)
			}
		}
		possible := make([]map[int]bool, len(cells))
		for i := range possible {
			possible[i] = map[int]bool{}
		}
		table := map[string]int{}
		var try func(at int)
		try = func(at int) {
			if at == len(leaves) {
				for _, c := range cells {
					sum := 0
					for _, leaf := range c.of {
						sum += table[leaf]
					}
					if c.shown && sum != c.value {
						return
					}
				}
				for i, c := range cells {
					sum := 0
					for _, leaf := range c.of {
						sum += table[leaf]
					}
					possible[i][sum] = true
				}
				return
			}
			for n := range 11 {
				table[leaves[at]] = n
				bad := false // cells whose leaves are all set
				for _, c := range cells {
					sum, all := 0, true
					for _, leaf := range c.of {
						in := false
						for _, l := range leaves[:at+1] {
							in = in || l == leaf
						}
						all = all && in
						sum += table[leaf]
					}
					if all && c.shown && sum != c.value {
						bad = true
					}
				}
				if !bad {
					try(at + 1)
				}
			}
			delete(table, leaves[at])
		}
		try(0)
		for i, c := range cells {
			real := 0
			for _, leaf := range c.of {
				real += counts[leaf]
			}
			if !possible[i][real] {
				rt.Fatalf("the true table is not among those that are possible: the test is wrong")
			}
			if !c.shown && real > 0 && real < 5 && len(possible[i]) < 2 {
				rt.Fatalf("%v: %d persons can be computed", c.of, real)
			}
		}
	})
}
