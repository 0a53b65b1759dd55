package disclosure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"meguri/analytics"
	"meguri/analytics/disclosure/perturb"
)

// rounded rounds a table together with all that hang together with it, so that
// what adds up still does, in any of them. What was published keeps its figure.
// The total is brought to the nearest multiple, which ties the rest together.
func (g *Gate) rounded(ctx context.Context, rules RuleSet, how protection, v view, t analytics.Table) (analytics.Table, error) {
	metric, err := analytics.MetricByID(t.Metric.ID)
	if err != nil {
		return t, err
	}
	lattice := slices.DeleteFunc(rules.lattice(), func(p *placed) bool { // not every metric has every cut
		return slices.ContainsFunc(p.By, func(d string) bool { return !slices.Contains(metric.Cuts, d) })
	})
	together := gather(lattice, t.Query.By)
	cuts := [][]string{nil}
	for _, p := range together.cuts {
		cuts = append(cuts, p.By)
	}
	slices.SortFunc(cuts, func(a, b []string) int { return cmp.Compare(cutName(a), cutName(b)) })
	cuts = slices.CompactFunc(cuts, func(a, b []string) bool { return cutName(a) == cutName(b) })
	finest, err := g.ofCut(ctx, t, together.dims)
	if err != nil {
		return t, err
	}
	tables := make([]map[string][]float64, len(cuts))
	for i, by := range cuts {
		if tables[i], err = g.ofCut(ctx, t, by); err != nil {
			return t, err
		}
	}
	published := map[string][]float64{}
	for _, r := range g.released {
		if r.of != v || r.table.Metric.ID != t.Metric.ID {
			continue
		}
		for _, c := range r.cells {
			if c.State == Shown {
				published[figureName(r.table.Query.By, c.Keys)] = c.values
			}
		}
	}
	t.Cells = slices.Clone(t.Cells)
	for i := range t.Cells {
		t.Cells[i].Values = slices.Clone(t.Cells[i].Values)
	}
	for m := range t.Measures {
		figures, err := roundTogether(how.Base, m, together.dims, finest, cuts, tables, published)
		if err != nil {
			return t, fmt.Errorf("round %s: %w", t.Metric.ID, err)
		}
		for i, c := range t.Cells {
			figure, ok := figures[figureName(t.Query.By, c.Keys)]
			if !ok {
				return t, fmt.Errorf("round %s: a cell is not there any more: %w", t.Metric.ID, ErrMoved)
			}
			t.Cells[i].Values[m] = float64(figure)
		}
	}
	return t, nil
}

// figureName names a cell of a cut, whatever the order of the dimensions.
func figureName(by, keys []string) string { return cutName(by) + "\x1e" + keyOf(by, keys) }

// ofCut asks for the values of a table's metric by another cut, by cellKey of
// the sorted dimensions.
func (g *Gate) ofCut(ctx context.Context, t analytics.Table, by []string) (map[string][]float64, error) {
	q := t.Query
	q.By = by
	other, err := g.Engine.Run(ctx, q)
	if err != nil {
		return nil, err
	}
	if other.Snapshot != t.Snapshot {
		return nil, fmt.Errorf("the lake has changed meanwhile: %w", ErrMoved)
	}
	values := map[string][]float64{}
	for _, c := range other.Cells {
		values[keyOf(by, c.Keys)] = c.Values
	}
	return values, nil
}

// roundTogether rounds one measure of some cuts over the cells of their finest
// common one. A cell that is not the sum of its parts, as persons are not over
// places, is rounded by itself.
func roundTogether(base int64, measure int, dims []string, finest map[string][]float64, cuts [][]string, tables []map[string][]float64, published map[string][]float64) (map[string]int64, error) {
	whole := func(v float64) (int64, error) {
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return 0, errors.New("a count is no whole number")
		}
		return int64(v), nil
	}
	table := &perturb.Table{}
	parts := make([]map[string][]int32, len(cuts))
	for i := range parts {
		parts[i] = map[string][]int32{}
	}
	for _, key := range sortedKeys(finest) {
		n, err := whole(finest[key][measure])
		if err != nil {
			return nil, err
		}
		leaf := int32(len(table.Leaves))
		table.Leaves = append(table.Leaves, n)
		keys := strings.Split(key, keySeparator)
		for i, by := range cuts {
			var of []string
			for _, d := range by {
				of = append(of, keys[slices.Index(dims, d)])
			}
			k := keyOf(by, of)
			parts[i][k] = append(parts[i][k], leaf)
		}
	}
	o := perturb.Options{Base: base, Fixed: map[int]int64{}}
	var names []string
	for i, by := range cuts {
		for _, key := range sortedKeys(tables[i]) {
			n, err := whole(tables[i][key][measure])
			if err != nil {
				return nil, err
			}
			sum := int64(0)
			for _, l := range parts[i][key] {
				sum += table.Leaves[l]
			}
			if sum != n {
				parts[i][key] = []int32{int32(len(table.Leaves))}
				table.Leaves = append(table.Leaves, n)
			}
			cell := table.Add(parts[i][key]...)
			name := cutName(by) + "\x1e" + key
			names = append(names, name)
			if before, ok := published[name]; ok {
				o.Fixed[cell] = int64(before[measure])
			} else if len(by) == 0 {
				o.Fixed[cell] = (n + base/2) / base * base
			}
		}
	}
	rounded, err := perturb.Round(table, o)
	if errors.Is(err, perturb.ErrNoRounding) {
		return nil, fmt.Errorf("%w: %w", ErrNotOffered, err)
	}
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for i, name := range names {
		out[name] = rounded.Cells[i]
	}
	return out, nil
}
