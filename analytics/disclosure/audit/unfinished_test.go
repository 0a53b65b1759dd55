package audit

import (
	"strings"
	"testing"

	"meguri/analytics/disclosure/dossier"
)

// A linear program that was not solved to its end is an error, not an answer:
// neither a witness nor a violation comes of it.
func TestSolve_UnfinishedIsAnError(t *testing.T) {
	d := &dossier.Dossier{Format: dossier.Format}
	table := dossier.Table{Release: "t", Rules: dossier.Rules{Name: "r", MinRespondents: 3}}
	total := 0.0
	for i := range int32(6) {
		d.Leaves = append(d.Leaves, dossier.Leaf{Parts: []dossier.Part{{Respondent: i, Amount: 10 + float64(i)}}})
		table.Cells = append(table.Cells, dossier.Cell{Leaves: []int32{i}})
		total += 10 + float64(i)
	}
	table.Cells = append(table.Cells, dossier.Cell{Leaves: []int32{0, 1, 2, 3, 4, 5}, Value: &total})
	d.Tables = []dossier.Table{table}
	m, err := newModel(d, 1)
	if err != nil {
		t.Fatal(err)
	}
	w := m.newWorker()
	w.aim(0)
	w.begin()
	w.solver.Limit = -1
	if n, _, err := w.solve(w.cells[0].open[0].demand); err == nil || n >= 0 || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("got witness %d, %v, want an error", n, err)
	}
	if len(w.violations) > 0 {
		t.Error("it was taken for a violation")
	}
}
