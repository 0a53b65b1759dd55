package audit_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

// code is a code of a dimension, and the leaf codes that it is the sum of.
type code struct {
	name string
	of   []string
}

// flat is a dimension of leaves and their total.
func flat(leaves ...string) []code {
	d := []code{{"Total", leaves}}
	for _, l := range leaves {
		d = append(d, code{l, []string{l}})
	}
	return d
}

// builder makes dossiers of small tables.
type builder struct {
	d      dossier.Dossier
	number map[string]int32 // of leaves, by their codes
}

func newBuilder() *builder { return &builder{number: map[string]int32{}} }

// leaf adds parts to a leaf.
func (b *builder) leaf(codes string, parts ...dossier.Part) {
	n, ok := b.number[codes]
	if !ok {
		n = int32(len(b.d.Leaves))
		b.number[codes] = n
		b.d.Leaves = append(b.d.Leaves, dossier.Leaf{})
	}
	b.d.Leaves[n].Parts = append(b.d.Leaves[n].Parts, parts...)
}

// lone adds a leaf of one respondent that is nowhere else; 0 is nobody's.
func (b *builder) lone(codes string, amount float64) {
	if b.leaf(codes); amount > 0 {
		b.leaf(codes, dossier.Part{Respondent: int32(1000 + len(b.d.Leaves)), Amount: amount})
	}
}

// people adds a leaf of so many respondents, who have 1 each.
func (b *builder) people(codes string, n int) {
	b.leaf(codes)
	for range n {
		b.leaf(codes, dossier.Part{Respondent: int32(1000*len(b.d.Leaves) + len(b.d.Leaves[b.number[codes]].Parts)), Amount: 1})
	}
}

// sum is a cell over some leaves.
func (b *builder) sum(keys []string, leaves []int32, hidden bool) dossier.Cell {
	c := dossier.Cell{Keys: keys, Leaves: slices.Sorted(slices.Values(leaves))}
	if !hidden {
		sum := 0.0
		for _, l := range leaves {
			for _, p := range b.d.Leaves[l].Parts {
				sum += p.Amount
			}
		}
		c.Value = &sum
	}
	return c
}

// table adds a table with all margins, in which the cells of a list are hidden.
// Their keys are joined by a bar.
func (b *builder) table(release string, rules dossier.Rules, dims [][]code, hidden ...string) *dossier.Table {
	t := dossier.Table{Release: release, Rules: rules}
	var walk func(keys []string, of [][]string)
	walk = func(keys []string, of [][]string) {
		if len(keys) < len(dims) {
			for _, c := range dims[len(keys)] {
				walk(append(slices.Clone(keys), c.name), append(slices.Clone(of), c.of))
			}
			return
		}
		leaves := []int32{}
		for name, n := range b.number {
			inside := true
			for d, c := range strings.Split(name, "|") {
				inside = inside && slices.Contains(of[d], c)
			}
			if inside {
				leaves = append(leaves, n)
			}
		}
		if len(leaves) > 0 {
			t.Cells = append(t.Cells, b.sum(keys, leaves, slices.Contains(hidden, strings.Join(keys, "|"))))
		}
	}
	walk(nil, nil)
	b.d.Tables = append(b.d.Tables, t)
	return &b.d.Tables[len(b.d.Tables)-1]
}

// protect writes the protection of a cell into the table.
func protect(t *dossier.Table, key string, down, up float64) {
	for i := range t.Cells {
		if strings.Join(t.Cells[i].Keys, "|") == key {
			t.Cells[i].Down, t.Cells[i].Up = down, up
		}
	}
}

// anyone is a rule that no cell breaks.
var anyone = dossier.Rules{Name: "anyone", MinRespondents: 1}

func run(t testing.TB, d *dossier.Dossier, o audit.Options) *audit.Report {
	t.Helper()
	r, err := audit.Audit(context.Background(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ranges are the intervals of all hidden cells by table and key.
func ranges(t testing.TB, d *dossier.Dossier) map[string][2]float64 {
	t.Helper()
	all := map[string][2]float64{}
	for _, c := range run(t, d, audit.Options{Intervals: true}).CellMargin {
		all[strings.Join(c.Keys, "|")] = [2]float64{float64(c.Range.Lo), float64(c.Range.Up)}
	}
	return all
}

// wantRanges compares intervals.
func wantRanges(t testing.TB, got map[string][2]float64, want map[string][]float64, scale float64) {
	t.Helper()
	for k, w := range want {
		g, ok := got[k]
		if !ok || math.Abs(g[0]-w[0]*scale) > 1e-6 || math.Abs(g[1]-w[1]*scale) > 1e-6 {
			t.Errorf("%s is in %v, want %v times %v", k, g, w, scale)
		}
	}
}

// found reports whether a kind of violation of a cell was found.
func found(r *audit.Report, kind audit.Kind, key string) bool {
	return slices.ContainsFunc(r.Violations, func(v audit.Violation) bool {
		return v.Kind == kind && slices.ContainsFunc(v.Cells, func(n audit.Name) bool { return strings.Join(n.Keys, "|") == key })
	})
}
