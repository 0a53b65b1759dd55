package audit

import (
	"fmt"
	"testing"

	"meguri/analytics/disclosure/dossier"
)

// TestWitness_IsBelievedByArithmeticOnly hands the auditor movements that a
// broken solver could have made.
func TestWitness_IsBelievedByArithmeticOnly(t *testing.T) {
	// Four leaves in a square; respondent 1 is alone in the first, and has 30 of the
	// 40 in the second. The sums of rows and columns are published.
	d := &dossier.Dossier{Leaves: []dossier.Leaf{
		{Parts: []dossier.Part{{Respondent: 1, Amount: 10}}},
		{Parts: []dossier.Part{{Respondent: 1, Amount: 30}, {Respondent: 2, Amount: 10}}},
		{Parts: []dossier.Part{{Respondent: 3, Amount: 50}}},
		{Parts: []dossier.Part{{Respondent: 4, Amount: 60}}},
	}}
	table := dossier.Table{Release: "t", Rules: dossier.Rules{Percent: 10}}
	for i, sum := range []float64{50, 110, 60, 100} {
		leaves := [][]int32{{0, 1}, {2, 3}, {0, 2}, {1, 3}}[i]
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
	w := m.newWorker()
	respondent := func(name int32) pair { return pair{name - 1, -1} } // they are numbered in order
	const first = 4                                                   // the cell of the first leaf
	for name, c := range map[string]struct {
		by       []float64
		attacker pair
		sign     float64
		shift    float64
		want     bool
	}{
		"a square, up":                              {[]float64{1, -1, -1, 1}, outsider, 1, 5, true},
		"a square, down":                            {[]float64{1, -1, -1, 1}, outsider, -1, 10, true},
		"turned round":                              {[]float64{-1, 1, 1, -1}, outsider, 1, 40, true},
		"farther than a leaf allows":                {[]float64{1, -1, -1, 1}, outsider, 1, 41, false},
		"below zero":                                {[]float64{1, -1, -1, 1}, outsider, -1, 11, false},
		"a published sum changes":                   {[]float64{1, -1, -1, 0.99}, outsider, 1, 5, false},
		"a published sum changes a little":          {[]float64{1, -1, -1, 1 + 1e-5}, outsider, 1, 5, false},
		"the cell does not change":                  {[]float64{0, 0, 0, 0}, outsider, 1, 5, false},
		"it knows its own leaf":                     {[]float64{1, -1, -1, 1}, respondent(1), 1, 5, false},
		"it has no part":                            {[]float64{1, -1, -1, 1}, respondent(2), -1, 5, true},
		"it knows that there is as much":            {[]float64{1, -1, -1, 1}, respondent(2), 1, 31, false},
		"it knows a leaf of its own far away":       {[]float64{1, -1, -1, 1}, respondent(3), 1, 5, false},
		"the two of a leaf know it":                 {[]float64{1, -1, -1, 1}, pair{1, 0}, 1, 5, false},
		"two of whom nobody is alone, within reach": {[]float64{1, -1, -1, 1}, pair{1, -1}, 1, 30, true},
	} {
		x := w.weigh([]int32{0, 1, 2, 3}, c.by)
		if got := w.shows(&x, w.changes[first], demand{first, c.attacker, c.sign, c.shift}); got != c.want {
			t.Errorf("%s: believed %v, want %v", name, got, c.want)
		}
	}
}
