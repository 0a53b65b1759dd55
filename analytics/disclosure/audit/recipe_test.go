package audit_test

import (
	"slices"
	"testing"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

var p10 = dossier.Rules{Name: "p10", Percent: 10}

func part(respondent int32, amount float64) dossier.Part {
	return dossier.Part{Respondent: respondent, Amount: amount}
}

// shared adds a leaf that is safe by itself: five equal respondents of its own.
func (b *builder) shared(codes string, amount float64) {
	for i := range 5 {
		b.leaf(codes, part(int32(100_000+10*len(b.d.Leaves)+i), amount/5))
	}
}

// square is a table of two by two; the corner a|x is one respondent's, number 1.
func square() *builder {
	b := newBuilder()
	b.leaf("a|x", part(1, 100))
	b.shared("a|y", 400)
	b.shared("b|x", 500)
	b.shared("b|y", 600)
	return b
}

var sides = [][]code{flat("a", "b"), flat("x", "y")}

func TestRecipe_1Margins(t *testing.T) {
	b := square()
	b.table("t", p10, sides, "a|x")
	r := run(t, &b.d, audit.Options{})
	if len(r.Violations) != 2 || !found(r, audit.Outsider, "a|x") || r.Violations[0].Reached > 1e-6 {
		t.Errorf("one hidden cell in its row: %+v, want that it is known exactly", r.Violations)
	}
	b.d.Tables = nil
	b.table("t", p10, sides, "a|x", "a|y", "b|x", "b|y")
	if r := run(t, &b.d, audit.Options{}); !r.Protected {
		t.Errorf("four hidden cells: %+v, want no violation", r.Violations)
	}
	b.d.Tables = nil
	b.table("t", p10, sides)
	if r := run(t, &b.d, audit.Options{}); len(r.Violations) != 1 || !found(r, audit.Published, "a|x") {
		t.Errorf("nothing hidden: %+v, want that a sensitive cell is published", r.Violations)
	}
}

func TestRecipe_2Differencing(t *testing.T) {
	// January's total, and January's total with late data: one shop.
	b := newBuilder()
	b.shared("first", 1000)
	b.leaf("late", part(1, 70))
	b.d.Tables = []dossier.Table{
		{Release: "january", Rules: p10, Cells: []dossier.Cell{b.sum([]string{"total"}, []int32{0}, false)}},
	}
	if r := run(t, &b.d, audit.Options{}); !r.Protected {
		t.Errorf("the first release: %+v, want no violation", r.Violations)
	}
	second := dossier.Table{Release: "january, revised", Rules: p10, Cells: []dossier.Cell{
		b.sum([]string{"total"}, []int32{0, 1}, false),
		b.sum([]string{"the difference"}, []int32{1}, true),
	}}
	b.d.Tables = append(b.d.Tables, second)
	if r := run(t, &b.d, audit.Options{}); !found(r, audit.Outsider, "the difference") {
		t.Errorf("both releases: %+v, want that the difference is found", r.Violations)
	}
	// All, and all except one: two filters of one table.
	b = square()
	b.table("t", p10, sides, "a|x", "a|y", "b|x", "b|y")
	b.d.Tables = append(b.d.Tables, dossier.Table{Release: "without a|x", Rules: p10,
		Cells: []dossier.Cell{b.sum([]string{"rest"}, []int32{1, 2, 3}, false)}})
	if r := run(t, &b.d, audit.Options{}); !found(r, audit.Outsider, "a|x") {
		t.Errorf("all and all except one: %+v, want a violation", r.Violations)
	}
}

func TestRecipe_3LinkedTables(t *testing.T) {
	// Hidden in one table, published in another, which has another name for it.
	b := square()
	b.table("t", p10, sides, "a|x", "a|y", "b|x", "b|y")
	b.d.Tables = append(b.d.Tables, dossier.Table{Release: "mesh", Rules: p10,
		Cells: []dossier.Cell{b.sum([]string{"a mesh"}, []int32{0, 1}, false), b.sum([]string{"a shop"}, []int32{0}, false)}})
	if r := run(t, &b.d, audit.Options{}); !found(r, audit.Published, "a shop") {
		t.Errorf("%+v, want that the other table's cell is found", r.Violations)
	}
}

func TestRecipe_4Singleton(t *testing.T) {
	// Geurts' table: outsiders learn little, but if one cell is one shop's, the
	// shop knows its own, and with it the others of the rectangle.
	b := newBuilder()
	b.leaf("1|1", part(1, 40))
	b.leaf("1|2", part(2, 30))
	b.shared("2|1", 20)
	b.shared("2|2", 50)
	b.table("t", p10, [][]code{flat("1", "2"), flat("1", "2")}, "1|1", "1|2", "2|1", "2|2")
	r := run(t, &b.d, audit.Options{})
	if !found(r, audit.Respondent, "1|1") || !found(r, audit.Respondent, "1|2") || found(r, audit.Outsider, "1|1") {
		t.Errorf("%+v, want that each of two singletons knows the other", r.Violations)
	}
	for _, v := range r.Violations {
		if v.Kind == audit.Respondent && (len(v.Attackers) != 1 || v.Reached > 1e-6) {
			t.Errorf("%+v, want one respondent who knows it exactly", v)
		}
	}
}

func TestRecipe_5Insider(t *testing.T) {
	// The second largest has 90 of 195 in the cell, and 61 of 65 in the other hidden
	// cell of the row. Outsiders see a range that is wide enough; it does not.
	b := newBuilder()
	b.leaf("a|x", part(1, 100), part(2, 90), part(3, 5))
	b.leaf("a|y", part(2, 61), part(3, 3), part(4, 1))
	b.shared("a|z", 700)
	b.shared("b|x", 500)
	b.shared("b|y", 600)
	b.shared("b|z", 600)
	b.table("t", p10, [][]code{flat("a", "b"), flat("x", "y", "z")}, "a|x", "a|y", "b|x", "b|y")
	r := run(t, &b.d, audit.Options{})
	if found(r, audit.Outsider, "a|x") || !found(r, audit.Respondent, "a|x") {
		t.Errorf("%+v, want that a respondent and no outsider comes too near to a|x", r.Violations)
	}
	for _, v := range r.Violations {
		if !slices.Equal(v.Attackers, []int32{2}) && v.Cells[0].Keys[0] == "a" && v.Cells[0].Keys[1] == "x" {
			t.Errorf("%+v, want that it is respondent 2", v)
		}
	}
}

func TestRecipe_5Coalition(t *testing.T) {
	// Two in four cells of a rectangle know one of them together, and not alone.
	b := newBuilder()
	b.leaf("a|x", part(1, 1000))
	b.leaf("a|y", part(2, 800), part(3, 700))
	b.shared("b|x", 5000)
	b.shared("b|y", 5000)
	dims := [][]code{flat("a", "b"), flat("x", "y")}
	hidden := []string{"a|x", "a|y", "b|x", "b|y"}
	b.table("t", p10, dims, hidden...)
	if r := run(t, &b.d, audit.Options{}); found(r, audit.Respondent, "a|x") || found(r, audit.Coalition, "a|x") {
		t.Errorf("alone: %+v, want that nobody knows a|x", r.Violations)
	}
	b.d.Tables[0].Rules.Coalition = 2
	r := run(t, &b.d, audit.Options{})
	if !found(r, audit.Coalition, "a|x") || found(r, audit.Respondent, "a|x") {
		t.Errorf("two: %+v, want that respondents 2 and 3 know a|x", r.Violations)
	}
	if r.Coalitions == 0 {
		t.Error("no coalition was looked at")
	}
}

func TestRecipe_6Zero(t *testing.T) {
	b := square()
	b.leaf("b|z")
	b.leaf("a|z")
	b.table("t", p10, [][]code{flat("a", "b"), flat("x", "y", "z")}, "a|x", "a|y", "b|x", "b|y", "b|z")
	r := run(t, &b.d, audit.Options{})
	if !r.Protected || len(r.Findings) != 1 || r.Findings[0].Kind != audit.Zero || r.Findings[0].Cells[0].Keys[1] != "z" {
		t.Errorf("%+v %+v, want that b|z is known to be 0", r.Violations, r.Findings)
	}
	// A zero that everybody knows takes a cell's protection away.
	b = square()
	b.d.Leaves[b.number["b|x"]].Parts = nil
	b.shared("c|x", 300)
	b.shared("c|y", 300)
	b.table("t", p10, [][]code{flat("a", "b", "c"), flat("x", "y")}, "a|x", "a|y", "b|x", "b|y")
	if r := run(t, &b.d, audit.Options{}); !found(r, audit.Outsider, "a|x") {
		t.Errorf("%+v, want that a known zero gives a|x away", r.Violations)
	}
}

func TestRecipe_7Dominance(t *testing.T) {
	// Shop 1 is nearly alone in both hidden cells of the row. Each is protected by
	// the other, and their sum, which all can compute, is the shop's.
	b := newBuilder()
	b.leaf("a|x", part(1, 500), part(3, 5))
	b.leaf("a|y", part(1, 480), part(2, 5))
	b.shared("a|z", 3000)
	b.shared("b|x", 5000)
	b.shared("b|y", 5000)
	b.shared("b|z", 3000)
	b.table("t", p10, [][]code{flat("a", "b"), flat("x", "y", "z")}, "a|x", "a|y", "b|x", "b|y")
	r := run(t, &b.d, audit.Options{})
	if !r.Protected || !slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Kind == audit.Dominated && f.Amount == 990 }) {
		t.Errorf("%+v %+v, want that the hidden rest of the row is dominated", r.Violations, r.Findings)
	}
}

func TestRecipe_15KnownElsewhere(t *testing.T) {
	b := square()
	b.table("t", p10, sides, "a|x", "a|y", "b|x", "b|y")
	b.d.Known = []dossier.Cell{b.sum([]string{"budget of a|y and b|y"}, []int32{1, 3}, false)}
	if r := run(t, &b.d, audit.Options{}); !r.Protected {
		t.Errorf("%+v, want that a margin known elsewhere changes nothing", r.Violations)
	}
	b.d.Known = []dossier.Cell{b.sum([]string{"annual report"}, []int32{1}, false)}
	if r := run(t, &b.d, audit.Options{}); !found(r, audit.Outsider, "a|x") {
		t.Errorf("%+v, want that an annual report gives a|x away", r.Violations)
	}
	b.d.Known = []dossier.Cell{b.sum([]string{"its own annual report"}, []int32{0}, false)}
	if r := run(t, &b.d, audit.Options{}); len(r.Violations) != 1 || r.Violations[0].Cells[0].Table != "known" {
		t.Errorf("%+v, want that a|x is known elsewhere", r.Violations)
	}
}

func TestAudit_RedundantCell(t *testing.T) {
	b := square()
	b.shared("c|x", 300)
	b.shared("c|y", 300)
	b.table("t", p10, [][]code{flat("a", "b", "c"), flat("x", "y")}, "a|x", "a|y", "b|x", "b|y", "c|y")
	r := run(t, &b.d, audit.Options{})
	if !r.Protected || len(r.Findings) != 1 || r.Findings[0].Kind != audit.Redundant || r.Findings[0].Cells[0].Keys[0] != "c" {
		t.Errorf("%+v %+v, want that c|y is hidden for nothing", r.Violations, r.Findings)
	}
}
