package disclosure

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meguri/analytics"
)

type fixed struct{ table analytics.Table }

func (f fixed) Run(context.Context, analytics.Query) (analytics.Table, error) { return f.table, nil }

func tableOf(cells ...analytics.Cell) analytics.Table {
	return analytics.Table{
		Dims:     []analytics.Column{{Name: "shop"}},
		Measures: []analytics.Column{{Name: "net_yen", Unit: analytics.Yen}},
		Cells:    cells,
	}
}

func TestRelease_HidesCellsOfFewPersons(t *testing.T) {
	cell := func(persons int64, value float64) analytics.Cell {
		return analytics.Cell{Keys: []string{"s"}, Values: []float64{value}, Persons: persons, Shops: 3}
	}
	gate := &Gate{Engine: fixed{tableOf(cell(0, 0), cell(0, 250), cell(1, 100), cell(4, 100), cell(5, 100), cell(9, 100), cell(10, 100), cell(12, math.NaN()))}, Now: time.Now}
	for audience, want := range map[Audience]string{
		City:   "o-- -ooo?",
		Owner:  "o-- -ooo?",
		Public: "o-- ---o?",
	} {
		r, err := gate.Release(context.Background(), analytics.Query{}, audience)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for i, c := range r.Cells() {
			if i == 3 {
				got.WriteByte(' ')
			}
			_, ok := c.Value(0)
			switch {
			case c.State == Suppressed:
				got.WriteByte('-')
			case ok:
				got.WriteByte('o')
			default:
				got.WriteByte('?')
			}
		}
		if got.String() != want {
			t.Errorf("%s: got %s, want %s", audience, got.String(), want)
		}
		if hidden := strings.Count(want, "-"); r.Hidden() != hidden {
			t.Errorf("%s: %d cells are counted as hidden, want %d", audience, r.Hidden(), hidden)
		}
	}
}

// A shop's sales are its own: the public sees cells of three shops or more.
func TestRelease_HidesCellsOfFewShopsFromThePublic(t *testing.T) {
	for shops, want := range map[int64]State{1: Suppressed, 2: Suppressed, 3: Shown} {
		table := tableOf(analytics.Cell{Keys: []string{"s"}, Values: []float64{1000}, Persons: 50, Shops: shops})
		gate := &Gate{Engine: fixed{table}, Now: time.Now}
		for audience, want := range map[Audience]State{Public: want, City: Shown, Owner: Shown} {
			r, err := gate.Release(context.Background(), analytics.Query{}, audience)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Cells()[0].State; got != want {
				t.Errorf("%d shops, %s: got state %d, want %d", shops, audience, got, want)
			}
		}
	}
}

func TestRelease_NoRuleSetNoRelease(t *testing.T) {
	gate := &Gate{Engine: fixed{tableOf()}, Now: time.Now}
	if _, err := gate.Release(context.Background(), analytics.Query{}, "press"); !errors.Is(err, ErrNoRuleSet) {
		t.Errorf("got %v, want ErrNoRuleSet", err)
	}
}

// A released table never shows a cell with fewer persons than its rule set
// asks for, whatever the raw table.
func TestRelease_Property(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var cells []analytics.Cell
		for range rapid.IntRange(0, 20).Draw(r, "cells") {
			cells = append(cells, analytics.Cell{
				Keys:    []string{rapid.StringN(0, 3, 9).Draw(r, "key")},
				Values:  []float64{rapid.Float64().Draw(r, "value")},
				Persons: rapid.Int64Range(0, 20).Draw(r, "persons"),
			})
		}
		rules := rapid.SampledFrom(RuleSets).Draw(r, "rules")
		gate := &Gate{Engine: fixed{tableOf(cells...)}, Now: time.Now}
		released, err := gate.Release(context.Background(), analytics.Query{}, rules.Audience)
		if err != nil {
			r.Fatal(err)
		}
		for i, c := range released.Cells() {
			v, shown := c.Value(0)
			if shown && v != 0 && cells[i].Persons < rules.MinPersons {
				r.Fatalf("a cell of %d persons is shown", cells[i].Persons)
			}
			if shown && v != cells[i].Values[0] {
				r.Fatalf("a shown value changed from %v to %v", cells[i].Values[0], v)
			}
		}
	})
}

// IC-8: only statistics leave.
// Nothing outside this package can fill a Released: its fields are unexported,
// and of the exported functions only Gate.Release returns one.
func TestReleased_OnlyTheGateMakesIt(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var makers []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.IsExported() && n.Type.Results != nil {
					for _, result := range n.Type.Results.List {
						if id, ok := result.Type.(*ast.Ident); ok && id.Name == "Released" {
							makers = append(makers, n.Name.Name)
						}
					}
				}
			case *ast.TypeSpec:
				if n.Name.Name == "Released" {
					for _, f := range n.Type.(*ast.StructType).Fields.List {
						for _, name := range f.Names {
							if name.IsExported() {
								t.Errorf("field %s of Released is exported", name.Name)
							}
						}
					}
				}
			}
			return true
		})
	}
	if len(makers) != 1 || makers[0] != "Release" {
		t.Errorf("Released is made by %v, want Release alone", makers)
	}
}
