package gatebench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/suppress"
)

// Counts is a made-up table of persons: how many live where codes of each
// dimension meet. Persons are no attackers in it.
type Counts struct {
	Name  string
	Seed  uint64
	Sizes []int // codes of each dimension
	// Arithmetic judges by the arithmetic of the engine's own proofs, where the
	// auditor's attack takes too long.
	Arithmetic bool
}

// Large are the tables of persons, of a million cells.
var Large = []Counts{
	{"million, two-dimensional", 20260704, []int{1000, 1000}, false},
	{"million, three-dimensional", 20260705, []int{100, 100, 100}, true},
}

// Small are their like of ten thousand cells.
var Small = []Counts{
	{"ten thousand, two-dimensional", 20260704, []int{100, 100}, false},
	{"ten thousand, three-dimensional", 20260705, []int{22, 22, 22}, false},
}

// A count of fewer than few persons is sensitive, and must be uncertain by
// spread either way, though never below 0.
const few, spread = 10, 5

// Problem is the table with its margins. Counts are products of the weights of
// their codes and of chance, so that most are small and some are very large.
func (c Counts) Problem() (*suppress.Problem, [][]string) {
	r := random(c.Seed)
	dims := make([]suppress.Dimension, len(c.Sizes))
	weights := make([][]float64, len(c.Sizes))
	codes := make([][]string, len(c.Sizes))
	for d, n := range c.Sizes {
		dims[d].Add("", "")
		for i := range n {
			codes[d] = append(codes[d], fmt.Sprintf("%04d", i))
			dims[d].Add(codes[d][i], "")
			weights[d] = append(weights[d], math.Exp(r.bell()/2))
		}
	}
	t := suppress.NewTable(dims...)
	at := make([]int, len(c.Sizes))
	key := make([]string, len(c.Sizes))
	for person := int32(0); ; person++ {
		size := 60 * math.Exp(r.bell())
		for d, i := range at {
			size *= weights[d][i]
			key[d] = codes[d][i]
		}
		if count := math.Floor(size); count > 0 {
			t.Add(person, count, key...)
		}
		d := len(at) - 1
		for ; d >= 0; d-- {
			if at[d]++; at[d] < c.Sizes[d] {
				break
			}
			at[d] = 0
		}
		if d < 0 {
			break
		}
	}
	p, keys := t.Problem(0, suppress.Root)
	p.Whole = true
	for i := range p.Cells {
		cell := &p.Cells[i]
		sum := 0.0
		for _, l := range cell.Leaves {
			sum += p.Leaves[l][0].Amount
		}
		if sum < few {
			cell.Sensitive, cell.Up, cell.Down = true, spread, math.Min(spread, sum)
		}
	}
	return p, keys
}

// bell draws from about a normal distribution.
func (r *random) bell() float64 {
	sum := -6.0
	for range 12 {
		sum += float64(r.n(1<<20)) / (1 << 20)
	}
	return sum
}

// RunCounts protects a table of persons and has it attacked.
func RunCounts(ctx context.Context, c Counts) (Figures, error) {
	p, keys := c.Problem()
	runtime.GC()
	peak := watchHeap()
	began := time.Now()
	r, err := suppress.Protect(p)
	if err != nil {
		return Figures{}, fmt.Errorf("protect %s: %w", c.Name, err)
	}
	f := Figures{Cells: len(p.Cells), Primary: r.Primary, Secondary: r.Secondary, Protect: time.Since(began)}
	began = time.Now()
	if c.Arithmetic {
		f.Outsider = len(r.Verify(p))
	} else {
		d := Dossier(p, keys, r, 0)
		for i := range d.Tables[0].Cells {
			d.Tables[0].Cells[i].Up, d.Tables[0].Cells[i].Down = p.Cells[i].Up, p.Cells[i].Down
		}
		report, err := audit.Audit(ctx, d, audit.Options{})
		if err != nil {
			return Figures{}, fmt.Errorf("audit %s: %w", c.Name, err)
		}
		f.Outsider = len(report.Violations)
	}
	f.Audit = time.Since(began)
	f.PeakMiB = peak()
	return f, nil
}
