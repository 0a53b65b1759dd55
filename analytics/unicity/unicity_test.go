package unicity_test

import (
	"errors"
	"math"
	"testing"

	"meguri/analytics/unicity"
)

// The interval is that of the textbooks, and stays within 0 and 1 at both ends,
// where the plain one would have no width.
func TestWilson(t *testing.T) {
	for _, test := range []struct {
		hits, n   int64
		low, high float64
	}{
		{10, 100, 0.0552, 0.1744}, // Newcombe, 1998, method 3
		{81, 263, 0.2553, 0.3662}, // his example: 81 of 263
		{0, 20, 0, 0.1611}, {20, 20, 0.8389, 1}, {0, 0, 0, 1},
	} {
		low, high := unicity.Wilson(test.hits, test.n)
		if math.Abs(low-test.low) > 5e-5 || math.Abs(high-test.high) > 5e-5 {
			t.Errorf("%d of %d: got %.4f to %.4f, want %.4f to %.4f", test.hits, test.n, low, high, test.low, test.high)
		}
	}
}

// A policy that says nothing is refused before anybody is asked.
func TestBuild_RefusesAPolicyThatSaysNothing(t *testing.T) {
	draw := unicity.Draw{Persons: 10}
	for name, change := range map[string]func(*unicity.Policy, *unicity.Draw){
		"k": func(p *unicity.Policy, _ *unicity.Draw) { p.K = 0 }, "l": func(p *unicity.Policy, _ *unicity.Draw) { p.L = 0 },
		"points": func(p *unicity.Policy, _ *unicity.Draw) { p.Points = 6 }, "share": func(p *unicity.Policy, _ *unicity.Draw) { p.Share = math.NaN() },
		"draw": func(_ *unicity.Policy, d *unicity.Draw) { d.Persons = 0 },
	} {
		p, d := unicity.Default, draw
		change(&p, &d)
		if _, err := unicity.Build(t.Context(), nil, p, d); !errors.Is(err, unicity.ErrPolicy) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
