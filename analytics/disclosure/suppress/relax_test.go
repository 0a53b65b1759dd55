package suppress_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"meguri/analytics/disclosure/suppress"
)

// line is a problem of one row: leaves with one respondent each, and their total.
func line(values ...float64) *suppress.Problem {
	p := &suppress.Problem{}
	total := suppress.Cell{Cost: 1000}
	for i, v := range values {
		p.Leaves = append(p.Leaves, []suppress.Contribution{{Respondent: int32(i), Amount: v}})
		p.Cells = append(p.Cells, suppress.Cell{Leaves: []int32{int32(i)}, Cost: v})
		total.Leaves = append(total.Leaves, int32(i))
	}
	p.Cells = append(p.Cells, total)
	return p
}

// infeasible is what there is to say about a problem that cannot be protected.
func infeasible(t *testing.T, p *suppress.Problem) *suppress.InfeasibleError {
	t.Helper()
	_, err := suppress.Protect(p)
	var e *suppress.InfeasibleError
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v", err)
	}
	return e
}

func TestProtect_AllCellsSensitive(t *testing.T) {
	p := line(10, 20, 30)
	for i := range p.Cells[:3] {
		p.Cells[i].Sensitive, p.Cells[i].Up, p.Cells[i].Down = true, 25, 5
	}
	p.Cells[3].Fate = suppress.Shown
	if _, err := suppress.Protect(p); err != nil {
		t.Errorf("the total alone gives nothing away: %v", err)
	}
	p.Cells[0].Up = 55 // of 50 that the others have
	e := infeasible(t, p)
	if r := e.Relaxations[0]; len(e.Cells) != 1 || r.Cell != 0 || r.MostUp != 50 || r.MostDown != 10 || !slices.Equal(r.Hide, []int{3}) {
		t.Errorf("the least relaxation is %+v of the cells %v", r, e.Cells)
	}
	want := "1 sensitive cells cannot be protected beside the cells that must be published: cell 0 must be uncertain to outsiders by +550.0 % and −50.0 %, and can be by +500.0 % and −50.0 % at most unless hidden as well: cell 3"
	if e.Error() != want {
		t.Errorf("the message is\n%s\nwant\n%s", e, want)
	}
	// With the total sensitive as well everything is hidden.
	p.Cells[3].Fate, p.Cells[3].Sensitive, p.Cells[3].Up = suppress.Free, true, 10
	if r, err := suppress.Protect(p); err != nil || r.Primary != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	p.Cells[1].Down = 21 // more than there is
	e = infeasible(t, p)
	if r := e.Relaxations[0]; r.Cell != 1 || r.MostDown != 20 || !math.IsInf(r.MostUp, 1) || r.Hide != nil || !strings.HasSuffix(e.Error(), ", whatever is hidden") {
		t.Errorf("the least relaxation is %+v: %v", r, e)
	}
}

func TestProtect_TheOnlyHiddenCellHasAFixedMargin(t *testing.T) {
	p := line(10, 20, 30)
	p.Cells[0].Sensitive, p.Cells[0].Up, p.Cells[0].Down = true, 4, 4
	for i := 1; i < 4; i++ {
		p.Cells[i].Fate = suppress.Shown
	}
	if r := infeasible(t, p).Relaxations[0]; r.Cell != 0 || r.MostUp != 0 || r.MostDown != 0 || !slices.Equal(r.Hide, []int{1}) {
		t.Errorf("the least relaxation is %+v, want that the cheapest cell, 1, is hidden", r)
	}
	p.Cells[1].Fate = suppress.Free
	r, err := suppress.Protect(p)
	if err != nil || !slices.Equal(r.Hidden, []bool{true, true, false, false}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Respondent 7 has a part in every leaf, and is alone in the one that would do
// against outsiders.
func TestProtect_OneRespondentEverywhere(t *testing.T) {
	p := line(100, 50, 150)
	p.Leaves[0] = []suppress.Contribution{{Respondent: 1, Amount: 5}, {Respondent: 7, Amount: 95}}
	p.Leaves[1] = []suppress.Contribution{{Respondent: 7, Amount: 50}}
	p.Leaves[2] = []suppress.Contribution{{Respondent: 2, Amount: 80}, {Respondent: 7, Amount: 70}}
	p.Percent = 10
	p.Cells[0].Sensitive, p.Cells[0].Up, p.Cells[0].Down = true, 5, 5
	p.Cells[2].Fate, p.Cells[3].Fate = suppress.Shown, suppress.Shown
	e := infeasible(t, p)
	if r := e.Relaxations[0]; r.Cell != 0 || !r.Insider || r.Respondent != 7 || r.MostUp != 0 || math.Abs(r.Up-0.5) > 1e-9 || !slices.Equal(r.Hide, []int{2}) {
		t.Errorf("the least relaxation is %+v", r)
	}
	if !strings.Contains(e.Error(), "uncertain to respondent 7 by +0.5 %, and can be by +0.0 % at most unless hidden as well: cell 2") {
		t.Errorf("the message is %s", e)
	}
	p.Cells[2].Fate = suppress.Free
	if r, err := suppress.Protect(p); err != nil || !r.Hidden[2] {
		t.Errorf("%+v, %v", r, err)
	}
	p.Leaves[2] = []suppress.Contribution{{Respondent: 7, Amount: 80}, {Respondent: 7, Amount: 70}}
	if _, err := suppress.Protect(p); !errors.Is(err, suppress.ErrMalformed) {
		t.Errorf("a respondent that is named twice: %v", err)
	}
}

func TestProtect_DimensionWithoutHierarchy(t *testing.T) {
	var only suppress.Dimension
	only.Add("city", "")
	table := suppress.NewTable(only, flat("a", "b"))
	table.Add(1, 10, "city", "a")
	table.Add(2, 20, "city", "b")
	p, keys := table.Problem(0, suppress.Root)
	if len(p.Cells) != 3 {
		t.Fatalf("the cells are %v", keys)
	}
	at := func(code string) int {
		return slices.IndexFunc(keys, func(k []string) bool { return k[0] == "city" && k[1] == code })
	}
	a, total := at("a"), at("")
	p.Cells[a].Sensitive, p.Cells[a].Up, p.Cells[a].Down = true, 1, 1
	p.Cells[total].Fate = suppress.Shown
	if r, err := suppress.Protect(p); err != nil || !r.Hidden[at("b")] {
		t.Errorf("%+v, %v", r, err)
	}
	// Where there is one code below it, the total is the cell.
	table = suppress.NewTable(only, flat("a"))
	table.Add(1, 10, "city", "a")
	p, keys = table.Problem(0, suppress.Root)
	a, total = at("a"), at("")
	p.Cells[a].Sensitive, p.Cells[a].Up, p.Cells[a].Down = true, 1, 1
	p.Cells[total].Fate = suppress.Shown
	if e := infeasible(t, p); e.Cells[0] != a || !slices.Equal(e.Relaxations[0].Hide, []int{total}) {
		t.Errorf("%+v", e)
	}
	p.Cells[a].Sensitive, p.Cells[a].Fate = false, suppress.Withheld
	if e := infeasible(t, p); !strings.Contains(e.Error(), "must be hidden, and can be computed unless hidden as well") {
		t.Errorf("%v", e)
	}
}

func TestProtect_NegativeContributions(t *testing.T) {
	p := line(10, 20, 30)
	p.Leaves[1] = []suppress.Contribution{{Respondent: 1, Amount: 25}, {Respondent: 4, Amount: -5}}
	p.Cells[0].Sensitive, p.Cells[0].Up, p.Cells[0].Down = true, 30, 12
	p.Cells[2].Fate, p.Cells[3].Fate = suppress.Shown, suppress.Shown
	_, err := suppress.Protect(p)
	if !errors.Is(err, suppress.ErrMalformed) || !strings.Contains(err.Error(), "leaf 1 has a negative contribution") || !strings.Contains(err.Error(), "floor") {
		t.Errorf("without a floor: %v", err)
	}
	p.Floor = -8 // so the second leaf can be smaller by 28, and the first by 18
	if r := infeasible(t, p).Relaxations[0]; r.MostUp != 28 || r.MostDown != 18 {
		t.Errorf("%+v", r)
	}
	p.Floor = -10
	if r, err := suppress.Protect(p); err != nil || !r.Hidden[1] || len(r.Verify(p)) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	p.Floor = math.Inf(-1)
	if r, err := suppress.Protect(p); err != nil || !r.Hidden[1] || len(r.Verify(p)) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, floor := range []float64{1, math.NaN()} {
		p.Floor = floor
		if _, err := suppress.Protect(p); !errors.Is(err, suppress.ErrMalformed) {
			t.Errorf("floor %v: %v", floor, err)
		}
	}
	p.Floor = -8
	p.Leaves[2] = []suppress.Contribution{{Respondent: 3, Amount: -9}}
	if _, err := suppress.Protect(p); !errors.Is(err, suppress.ErrMalformed) {
		t.Errorf("below the floor: %v", err)
	}
}

// Who dominates is judged by absolute amounts: 80 of 100 lie with one, and what
// was cancelled hides as much as what was paid.
func TestByPercent_AbsoluteAmounts(t *testing.T) {
	p := line(1, 1)
	p.Percent, p.Floor = 10, math.Inf(-1)
	p.Leaves[0] = []suppress.Contribution{{Respondent: 1, Amount: -80}, {Respondent: 2, Amount: 15}, {Respondent: 3, Amount: 5}}
	p.Leaves[1] = []suppress.Contribution{{Respondent: 1, Amount: 80}, {Respondent: 2, Amount: 15}, {Respondent: 3, Amount: -9}}
	p.ByPercent()
	if c := p.Cells[0]; !c.Sensitive || c.Up != 3 {
		t.Errorf("%+v, want that 8 less 5 are missing", c)
	}
	if c := p.Cells[1]; c.Sensitive {
		t.Errorf("%+v, want that 9 are more than 8", c)
	}
}
