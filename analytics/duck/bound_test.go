package duck_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"meguri/analytics"
)

// One person never changes more than the bound says: so many cells, so much in
// each. What is cut off is drawn, the same each time, and another draw is another
// choice. Whoever is within the bound is told as by Behind.
func TestBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	var text strings.Builder
	for i := range 400 {
		person := fmt.Sprint("p", rng.IntN(25))
		if rng.IntN(20) == 0 {
			person = "-"
		}
		fmt.Fprintf(&text, "pay r%03d r%03d - %s s%d %d 2024-06-%02dT%02d:30 grocery female 30-39\n", i, i, person, rng.IntN(4), 100+rng.IntN(3000), 1+rng.IntN(28), 8+rng.IntN(12))
	}
	text.WriteString("commit\n")
	e := open(t, lakeOf(t, text.String()))
	q := analytics.Query{From: "2024-06-01", To: "2024-06-30", By: []string{"weekday", "hour"}}
	exact, err := e.Behind(t.Context(), q, analytics.ByPerson)
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]float64{}
	cells := map[string]int{}
	for _, p := range exact {
		if p.Party != "" {
			whole[p.Party+strings.Join(p.Keys, "/")] = p.Yen
			cells[p.Party]++
		}
	}
	ask := func(b analytics.Bound) map[string]float64 {
		t.Helper()
		parts, err := e.Bounded(t.Context(), q, b)
		if err != nil {
			t.Fatal(err)
		}
		got, of := map[string]float64{}, map[string]int{}
		for _, p := range parts {
			name := p.Party + strings.Join(p.Keys, "/")
			if yen, ok := whole[name]; !ok || p.Yen != min(yen, float64(b.Yen)) {
				t.Errorf("%v: %g, and in truth %g", p.Keys, p.Yen, yen)
			}
			got[name] = p.Yen
			of[p.Party]++
		}
		for person, n := range cells {
			if of[person] != min(n, int(b.Cells)) {
				t.Errorf("a person of %d cells counts in %d, bound %d", n, of[person], b.Cells)
			}
		}
		return got
	}
	first := ask(analytics.Bound{Cells: 3, Yen: 2000, Draw: "2024-06"})
	if again := ask(analytics.Bound{Cells: 3, Yen: 2000, Draw: "2024-06"}); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Error("the same draw is another choice")
	}
	if other := ask(analytics.Bound{Cells: 3, Yen: 2000, Draw: "2024-07"}); fmt.Sprint(other) == fmt.Sprint(first) {
		t.Error("another draw is the same choice")
	}
	if all := ask(analytics.Bound{Cells: 1000, Yen: 1 << 40, Draw: "x"}); fmt.Sprint(all) != fmt.Sprint(whole) {
		t.Error("a wide bound cuts something off")
	}
	if len(first) == len(whole) {
		t.Error("the bound cuts nothing off, and the test shows nothing")
	}
}

// Cell keys stand on the tokens' text: with another one, noise that was published
// could not be repeated.
func TestBehind_TokensKeepTheirText(t *testing.T) {
	e := open(t, lakeOf(t, "pay r1 r1 - p\xff\x00'\\ s1 100 2024-06-03T12:30 grocery female 30-39\ncommit\n"))
	parts, err := e.Behind(t.Context(), analytics.Query{From: "2024-06-01", To: "2024-06-30"}, analytics.ByPerson)
	if err != nil || len(parts) != 1 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	if want := `p\xFF\x00\x27\x5C` + strings.Repeat(`\x00`, 11); parts[0].Party != want {
		t.Errorf("got %s, want %s", parts[0].Party, want)
	}
}
