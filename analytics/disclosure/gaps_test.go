package disclosure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"meguri/analytics"
	"meguri/analytics/disclosure/suppress"
)

// holdings is a town in which shops have operators, and areas are put together.
type holdings struct {
	*town
	operators map[string]string
	twice     bool // every part is told in two halves
	astray    bool // what persons have is not what shops have
}

func (h *holdings) Behind(ctx context.Context, q analytics.Query, party analytics.Party) ([]analytics.Part, error) {
	parts, err := h.town.Behind(ctx, q, party)
	for i := range parts {
		if o := h.operators[parts[i].Party]; party == analytics.ByShop && o != "" {
			parts[i].Party = o
		}
		if h.astray && party == analytics.ByPerson {
			parts[i].Yen++
		}
	}
	if h.twice {
		for i := range parts {
			parts[i].Yen /= 2
		}
		parts = append(parts, parts...)
	}
	return parts, err
}

func (h *holdings) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	moved := &town{snapshot: h.snapshot}
	for _, p := range h.pays {
		if to, ok := q.Regions["area"][p.home]; ok {
			p.home = to
		}
		if to, ok := q.Regions["shop_area"][p.area]; ok {
			p.area = to
		}
		if o := h.operators[p.shop]; o != "" && !slices.Contains(q.By, "shop") {
			p.shop = o
		}
		moved.pays = append(moved.pays, p)
	}
	return moved.Run(ctx, q)
}

// crowd adds payments of 1000 yen by n persons at a shop.
func (t *town) crowd(n int, p pay) {
	for i := range n {
		one := p
		one.day, one.person, one.yen = "2026-04-02", fmt.Sprint(p.shop, p.home, p.age, i), 1000
		t.pays = append(t.pays, one)
	}
}

// IC-8: shops of one operator are one respondent: three of them are too few, and
// one of three operators with two shops knows both of its own.
func TestRelease_HoldingsAreOne(t *testing.T) {
	town := func() *town {
		e := &town{snapshot: 1}
		for _, industry := range []string{"a", "b", "c", "d"} {
			for shop := range 4 {
				e.crowd(40, pay{shop: fmt.Sprint(industry, shop), industry: industry, area: "x", age: "20s", home: "h"})
			}
		}
		return e
	}
	hidden := func(operators map[string]string) (out []string) {
		r := mustRelease(t, newGate(&holdings{town: town(), operators: operators}), ask("M01a", "2026-04-01", "2026-04-30", "industry"), Public)
		for _, c := range r.Cells() {
			if c.State == Suppressed {
				out = append(out, c.Keys[0])
			}
		}
		return out
	}
	if got := hidden(nil); got != nil {
		t.Errorf("%v are hidden, and no shop belongs to another", got)
	}
	if got := hidden(map[string]string{"a0": "hq", "a1": "hq", "a2": "hq"}); !slices.Contains(got, "a") {
		t.Errorf("two operators are shown: hidden are %v", got)
	}
}

// p % with an operator as the insider: 500 of one shop stand beside two of 250
// and two of 20. Four are safe from each other; the two of 250 as one are not.
func TestJudge_OperatorIsTheInsider(t *testing.T) {
	rules := RuleSet{Percent: 15}
	of := func(respondents ...int32) *population {
		p := &population{persons: [][]suppress.Contribution{nil}, shops: [][]suppress.Contribution{nil}}
		for i, amount := range []float64{500, 250, 250, 20, 20} {
			p.shops[0] = append(p.shops[0], suppress.Contribution{Respondent: respondents[i], Amount: amount})
		}
		return p
	}
	if why, _ := rules.judge(of(1, 2, 3, 4, 5), []int32{0}); why != "" {
		t.Errorf("five operators: %s", why)
	}
	if why, need := rules.judge(of(1, 2, 2, 4, 5), []int32{0}); why != Dominance || need != 35 {
		t.Errorf("the second with two shops: %q, %v, want dominance and 0.15·500−40", why, need)
	}
}

// What was taken back is judged by its size: 900 of 1000 that moved are one's.
func TestJudge_NegativeParts(t *testing.T) {
	rules := RuleSet{Percent: 10, Top: 1, Share: 85}
	p := &population{shops: [][]suppress.Contribution{{{Respondent: 1, Amount: -900}, {Respondent: 2, Amount: 50}, {Respondent: 3, Amount: 50}}}, persons: [][]suppress.Contribution{nil}}
	if why, need := rules.judge(p, []int32{0}); why != Dominance || need <= 0 {
		t.Errorf("%q, %v", why, need)
	}
	p.shops[0][0].Amount = -40
	if why, _ := rules.judge(p, []int32{0}); why != "" {
		t.Errorf("three of nearly the same size: %q", why)
	}
}

// In a row in which nearly all are in one cell, that cell is hidden; and an empty
// cell is not told from a hidden one, in any table.
func TestRelease_ZeroesTellNothing(t *testing.T) {
	e := &sexes{town: &town{snapshot: 1}}
	for shop := range 6 {
		for _, age := range []string{"20s", "30s", "40s", "50s"} {
			e.crowd(30, pay{shop: fmt.Sprint("f", shop), industry: "i", area: "x", age: age, home: "h"})
			if age != "40s" {
				e.crowd(30, pay{shop: fmt.Sprint("m", shop), industry: "i", area: "x", age: age, home: "h"})
			}
		}
	}
	register := &memoryRegister{}
	g := newGate(e)
	g.Register = register
	r := mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30", "age_band", "sex"), Public)
	states := map[string]State{}
	for _, c := range r.Cells() {
		states[cellKey(c.Keys)] = c.State
	}
	if len(r.Cells()) != 8 || states[cellKey([]string{"40s", "m"})] != Suppressed || states[cellKey([]string{"40s", "f"})] != Suppressed {
		t.Errorf("of 8 cells, the empty one among them, %d stand there: %v", len(r.Cells()), states)
	}
	if r.Hidden() == len(r.Cells()) || r.Hidden() < 4 {
		t.Errorf("%d of %d are hidden, want the two, what hides them, and no more than needed", r.Hidden(), len(r.Cells()))
	}
	why := map[string]Reason{}
	explained, err := Explain(1, register.records[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range explained.Cells {
		why[strings.Join(c.Keys, " ")] = c.Reason
	}
	if why["40s m"] != Empty || why["40s f"] != Group || len(why) != r.Hidden() {
		t.Errorf("the register says %v", why)
	}
	// The whole group of tables stands an attack later too.
	attackAll(t, g)
	for _, c := range mustRelease(t, g, ask("M03", "2026-04-01", "2026-04-30", "age_band", "sex"), Public).Cells() {
		if c.State != states[cellKey(c.Keys)] {
			t.Errorf("%v is hidden in one measure and shown in another", c.Keys)
		}
	}
}

// sexes is a town in which the shop's first letter tells the payer's sex.
type sexes struct{ *town }

func (s *sexes) split(q analytics.Query) (*town, analytics.Query) {
	by := slices.Clone(q.By)
	for i, d := range by {
		if d == "sex" {
			by[i] = "area"
		}
	}
	out := &town{snapshot: s.snapshot}
	for _, p := range s.pays {
		p.home = p.shop[:1]
		out.pays = append(out.pays, p)
	}
	q.By = by
	return out, q
}

func (s *sexes) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	moved, asked := s.split(q)
	out, err := moved.Run(ctx, asked)
	if err == nil {
		out.Query, _, out.Dims, err = q.Resolve()
	}
	return out, err
}

func (s *sexes) Behind(ctx context.Context, q analytics.Query, party analytics.Party) ([]analytics.Part, error) {
	moved, asked := s.split(q)
	return moved.Behind(ctx, asked, party)
}

// Small areas are put together with the neighbour that is named, in every table
// of the view, and hidden where none is.
func TestRelease_SmallAreasAreMerged(t *testing.T) {
	e := &holdings{town: &town{snapshot: 1}}
	for shop := range 5 {
		for home, n := range map[string]int{"north": 12, "south": 12, "east": 12, "west": 2, "hill": 2} {
			e.crowd(n, pay{shop: fmt.Sprint("s", shop), industry: "i", area: "centre", age: "20s", home: home})
		}
	}
	g := newGate(e)
	register := &memoryRegister{}
	g.Register, g.Neighbours = register, map[string]string{"west": "north"}
	r := mustRelease(t, g, ask("M03", "2026-04-01", "2026-04-30", "area"), Public)
	got := map[string]float64{}
	for _, c := range r.Cells() {
		v, ok := c.Value(0)
		if !ok {
			v = -1
		}
		got[c.Keys[0]] = v
	}
	if _, alone := got["west"]; alone || got["north・west"] != 70 || got["hill"] != -1 {
		t.Errorf("got %v, want west in north, and hill hidden", got)
	}
	if want := []Region{{Dim: "area", Name: "north・west", Areas: []string{"north", "west"}}}; !reflect.DeepEqual(r.Regions(), want) {
		t.Errorf("the note says %v, want %v", r.Regions(), want)
	}
	// Another process, with other neighbours: the view keeps its regions.
	other := &Gate{Engine: e, Now: after, Audit: attack, Register: register}
	again := mustRelease(t, other, ask("M01a", "2026-04-01", "2026-04-30", "area"), Public)
	if !reflect.DeepEqual(again.Regions(), r.Regions()) || len(again.Cells()) != len(r.Cells()) {
		t.Errorf("merged in one table and not in another: %v", again.Cells())
	}
	attackAll(t, other)
}

// Whatever the areas and their neighbours, regions divide them, and none is
// small that has a neighbour outside.
func TestJoin_Property(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(r, "areas")
		seen, neighbours := map[string]sights{}, map[string]string{}
		for i := range n {
			s := sights{map[string]bool{}, map[string]bool{}}
			for k := range rapid.IntRange(0, 30).Draw(r, "persons") {
				s.persons[fmt.Sprint(i, k)] = true
			}
			seen[fmt.Sprint("a", i)] = s
			neighbours[fmt.Sprint("a", i)] = fmt.Sprint("a", rapid.IntRange(0, n).Draw(r, "neighbour"))
		}
		counts := map[string]int{}
		for a, s := range seen {
			counts[a] = len(s.persons)
		}
		regions := join("area", seen, neighbours, func(s sights) bool { return len(s.persons) < 20 })
		taken := map[string]int{}
		for _, region := range regions {
			total := 0
			for _, a := range region.Areas {
				taken[a]++
				total += counts[a]
			}
			if region.Hidden != (total < 20) {
				r.Fatalf("%v has %d persons", region, total)
			}
			for _, a := range region.Areas {
				to := neighbours[a]
				if _, there := counts[to]; region.Hidden && there && !slices.Contains(region.Areas, to) {
					r.Fatalf("%v is small and %s has a neighbour outside", region, a)
				}
			}
		}
		for a, c := range counts {
			if taken[a] > 1 || taken[a] == 0 && c < 20 {
				r.Fatalf("%s with %d persons is in %d regions", a, c, taken[a])
			}
		}
	})
}

// Bad input of the gate: each is refused with an error that says what is wrong,
// or judged as what it is.
func TestRelease_BadInput(t *testing.T) {
	april := ask("M01a", "2026-04-01", "2026-04-30", "industry")
	if _, err := newGate(&holdings{town: newTown(1, 2000), astray: true}).Release(t.Context(), april, Public); !errors.Is(err, ErrUneven) {
		t.Errorf("persons and shops that do not add up: got %v, want ErrUneven", err)
	}
	if _, err := newGate(&uneven{newTown(1, 2000)}).Release(t.Context(), april, Public); !errors.Is(err, ErrUneven) {
		t.Errorf("a cell that stands twice: got %v, want ErrUneven", err)
	}
	if _, err := newGate(newTown(1, 2000)).Release(t.Context(), april, "press"); !errors.Is(err, ErrNoRuleSet) {
		t.Errorf("an unknown audience: got %v, want ErrNoRuleSet", err)
	}
	// One who is told twice is added up.
	once := mustRelease(t, newGate(&holdings{town: newTown(1, 2000)}), april, Public)
	twice := mustRelease(t, newGate(&holdings{town: newTown(1, 2000), twice: true}), april, Public)
	if !reflect.DeepEqual(once.Cells(), twice.Cells()) {
		t.Error("contributors that are told twice change the table")
	}
	// All cells are sensitive, and their total is not.
	e := &town{snapshot: 1}
	for i := range 8 {
		e.crowd(4, pay{shop: fmt.Sprint("s", i), industry: fmt.Sprint("i", i), area: "x", age: "20s", home: "h"})
	}
	if r := mustRelease(t, newGate(e), april, Public); r.Hidden() != 8 || len(r.Cells()) != 8 {
		t.Errorf("%d of %d cells are hidden, want all", r.Hidden(), len(r.Cells()))
	}
	// A dimension without hierarchy: a small shop hides behind another one.
	e = &town{snapshot: 1}
	for shop, n := range map[string]int{"a": 30, "b": 20, "c": 3} {
		e.crowd(n, pay{shop: shop, industry: "i", area: "x", age: "20s", home: "h"})
	}
	if r := mustRelease(t, newGate(e), ask("M01a", "2026-04-01", "2026-04-30", "shop"), City); r.Hidden() != 2 {
		t.Errorf("%d shops are hidden, want the small one and one more", r.Hidden())
	}
}

// uneven is an engine that tells a cell twice.
type uneven struct{ *town }

func (u *uneven) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	t, err := u.town.Run(ctx, q)
	t.Cells = append(t.Cells, t.Cells[0])
	return t, err
}

// Every hidden cell of every release has its reason in the register, and nothing
// of it in the released table; a register of before is read as well.
func TestExplain_EveryHiddenCellAndNobodyElse(t *testing.T) {
	register := &memoryRegister{}
	e := newTown(7, 4000)
	g := newGate(e)
	g.Register = register
	seen := map[Reason]bool{}
	for _, w := range [][2]string{{"2026-04-01", "2026-06-30"}, {"2026-04-01", "2026-04-30"}} {
		for _, by := range [][]string{{"industry", "shop_area"}, {"age_band"}, {"area"}} {
			r, err := g.Release(t.Context(), ask("M01a", w[0], w[1], by...), Public)
			if errors.Is(err, ErrDiscloses) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			explained, err := Explain(1, register.records[len(register.records)-1])
			if err != nil {
				t.Fatal(err)
			}
			if len(explained.Cells) != r.Hidden() || explained.Record.Hidden != r.Hidden() {
				t.Errorf("by %v: %d reasons for %d hidden cells", by, len(explained.Cells), r.Hidden())
			}
			for _, c := range explained.Cells {
				seen[c.Reason] = true
				if c.Reason == "" || c.Reason == Unrecorded {
					t.Errorf("%v has the reason %q", c.Keys, c.Reason)
				}
			}
		}
	}
	for _, want := range []Reason{Secondary, FewShops} {
		if !seen[want] {
			t.Errorf("no cell is hidden for %s: %v", want, seen)
		}
	}
	for i := range reflect.TypeFor[Cell]().NumField() {
		if f := reflect.TypeFor[Cell]().Field(i); f.Type == reflect.TypeFor[Reason]() {
			t.Error("a released cell has room for a reason")
		}
	}
	// As the register was written by 2026-11.3.
	var old body
	rec := register.records[0]
	if err := json.Unmarshal(rec.Body, &old); err != nil {
		t.Fatal(err)
	}
	old.Hidden, old.Regions, old.Dims = nil, nil, nil
	for _, p := range old.Decided {
		p.Why = nil
	}
	old.Table.Rules.Version = "2026-11.3"
	rec.Body, _ = json.Marshal(old)
	rec.Hash, rec.Rules = HashOf(rec.Body), "public 2026-11.3"
	explained, err := Explain(1, rec)
	if err != nil || len(explained.Cells) != rec.Hidden || len(explained.Cells) > 0 && explained.Cells[0].Reason != Unrecorded {
		t.Errorf("%d cells, %v", len(explained.Cells), err)
	}
	again := &Gate{Engine: e, Now: after, Audit: attack, Register: &memoryRegister{records: []Record{rec}}}
	r := mustRelease(t, again, ask("M01a", "2026-04-01", "2026-06-30", "industry", "shop_area"), Public)
	if r.Rules().Version != "2026-11.3" || r.Hidden() != rec.Hidden {
		t.Errorf("version %s with %d hidden cells", r.Rules().Version, r.Hidden())
	}
	mustRelease(t, again, ask("M03", "2026-04-01", "2026-06-30", "industry", "shop_area"), Public)
}

// What is left of a month when its whole weeks are taken off, which another
// window shows, is a few days of a week: nobody released them, and they are of
// three persons in the one industry, and of few in all where payments are few.
func TestRelease_NoWindowCutsThroughAWeek(t *testing.T) {
	for _, c := range []struct {
		seed     uint64
		payments int
		by       []string // of the month
	}{{0, 300, []string{"industry"}}, {3, 100, nil}} {
		g := newGate(newTown(c.seed, c.payments))
		mustRelease(t, g, ask("M01a", "2026-04-01", "2026-05-31", "week", "industry"), City)
		r, err := g.Release(t.Context(), ask("M01a", "2026-04-01", "2026-04-30", c.by...), City)
		if !errors.Is(err, ErrDiscloses) {
			t.Errorf("town %d: got %v, want %v; the table has %v", c.seed, err, ErrDiscloses, r.Cells())
		}
	}
}

// A window in which so few paid that all of it is hidden tells nothing: it is
// given, it binds nobody, and the auditor does not lay what was known before to
// its charge.
func TestRelease_NothingShownDisclosesNothing(t *testing.T) {
	g := newGate(newTown(0x551b, 16))
	mustRelease(t, g, ask("M01a", "2026-04-01", "2026-05-31", "industry"), City)
	r := mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30", "industry"), City)
	for _, c := range r.Cells() {
		if v, ok := c.Value(0); ok {
			t.Errorf("%v shows %v", c.Keys, v)
		}
	}
	attackAll(t, g)
}
