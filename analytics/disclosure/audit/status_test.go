package audit

import (
	"fmt"
	"math"
	"testing"

	"meguri/analytics/disclosure/dossier"
)

// protected is a square of which all four leaves are hidden behind their sums.
func protected(t *testing.T) *model {
	t.Helper()
	d := &dossier.Dossier{}
	for i, amount := range []float64{100, 400, 500, 600} {
		leaf := dossier.Leaf{}
		for k := range 5 {
			leaf.Parts = append(leaf.Parts, dossier.Part{Respondent: int32(10*i + k), Amount: amount / 5})
		}
		if i == 0 {
			leaf.Parts = []dossier.Part{{Respondent: 1, Amount: amount}}
		}
		d.Leaves = append(d.Leaves, leaf)
	}
	table := dossier.Table{Release: "t", Rules: dossier.Rules{Percent: 10}}
	for i, leaves := range [][]int32{{0, 1}, {2, 3}, {0, 2}, {1, 3}} {
		sum := []float64{500, 1100, 600, 1000}[i]
		table.Cells = append(table.Cells, dossier.Cell{Keys: []string{fmt.Sprint("sum", i)}, Leaves: leaves, Value: &sum})
	}
	for i := range d.Leaves {
		table.Cells = append(table.Cells, dossier.Cell{Keys: []string{fmt.Sprint(i)}, Leaves: []int32{int32(i)}})
	}
	d.Tables = []dossier.Table{table}
	m, err := newModel(d, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A linear programme that was not solved to its end is no pass, and no violation
// either: the audit has no verdict.
func TestSolver_WithoutAnAnswerIsNoVerdict(t *testing.T) {
	const first = 4 // the cell of the leaf that one respondent has
	for name, spoil := range map[string]func(*worker){
		"too many steps": func(w *worker) { w.solver.Limit = 1 },
		"an amount that is no number": func(w *worker) {
			w.m.value[0] = math.NaN()
			w.lower[w.column[0]] = math.NaN()
		},
		"a goal that is no number": func(*worker) {},
	} {
		m := protected(t)
		w := m.newWorker()
		w.aim(first)
		w.begin()
		spoil(w)
		d := demand{first, outsider, 1, 10}
		if name == "a goal that is no number" {
			d.by = math.NaN()
		}
		if n, reached, err := w.solve(d); err == nil || n >= 0 {
			t.Errorf("%s: witness %d, reached %v, error %v; want an error and no witness", name, n, reached, err)
		}
	}
	// The same cell is protected when it is solved.
	w := protected(t).newWorker()
	w.aim(first)
	w.begin()
	if n, _, err := w.solve(demand{first, outsider, 1, 10}); err != nil || n < 0 {
		t.Errorf("witness %d, error %v", n, err)
	}
}
