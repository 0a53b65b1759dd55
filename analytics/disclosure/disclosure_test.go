package disclosure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"meguri/analytics"
	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

// newGate is a gate whose releases are all attacked.
func newGate(e analytics.Engine) *Gate { return &Gate{Engine: e, Now: after, Audit: attack} }

var errAudit = errors.New("the auditor finds something")

func attack(ctx context.Context, d *dossier.Dossier) error {
	r, err := audit.Audit(ctx, d, audit.Options{})
	if err == nil && !r.Protected {
		err = fmt.Errorf("%w: %+v", errAudit, r.Violations[0])
	}
	return err
}

// Everything that the public was given in three months, and a recipient beside
// it, is attacked together.
func TestAttack_EverythingInTheRegister(t *testing.T) {
	e := newTown(7, 4000)
	g := &Gate{Engine: e, Now: after, Register: &memoryRegister{}, Audit: attack}
	windows := [][2]string{{"2026-04-01", "2026-04-30"}, {"2026-04-01", "2026-06-30"}, {"2026-05-01", "2026-05-31"}}
	rules, err := RulesFor(Public)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, w := range windows {
		for _, cut := range rules.Lattice {
			if _, err := g.Release(t.Context(), ask("M01a", w[0], w[1], cut...), Public); errors.Is(err, errAudit) {
				t.Error(err)
			} else if errors.Is(err, ErrDiscloses) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := g.ReleaseTo(t.Context(), ask("M01a", "2026-06-01", "2026-06-30", "industry", "shop_area"), Recipient, "acme"); err != nil && !errors.Is(err, ErrDiscloses) {
		t.Fatal(err)
	}
	t.Logf("%d tables were refused", refused)
	all, err := g.Holdings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(whose(all)); got != "[[public] [acme]]" {
		t.Errorf("audited are %s", got)
	}
	for _, h := range all {
		if len(h.Dossiers) < 4 {
			t.Errorf("%v: %d groups of tables, want one each for time, hours, places and persons", h.Who, len(h.Dossiers))
		}
		for _, d := range h.Dossiers {
			if err := attack(t.Context(), d); err != nil {
				t.Errorf("%v: %v", h.Who, err)
			}
		}
	}
}

func mustRelease(t testing.TB, g *Gate, q analytics.Query, a Audience) Released {
	t.Helper()
	r, err := g.Release(t.Context(), q, a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ask(metric, from, to string, by ...string) analytics.Query {
	return analytics.Query{Metric: metric, From: from, To: to, By: by}
}

// A cell with fewer persons than the rule set asks for is hidden, and what it
// takes so that it cannot be had by subtraction.
func TestRelease_HidesSmallCellsAndTheirComplement(t *testing.T) {
	e := &town{snapshot: 1}
	for shop, persons := range map[string]int{"big": 60, "mid": 40, "few": 4} {
		for i := range persons {
			e.pays = append(e.pays, pay{day: "2026-04-02", shop: shop, person: fmt.Sprint(shop, i), industry: shop, area: "a", age: "20s", home: "h", yen: 1000})
		}
	}
	g := newGate(e)
	r := mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30", "industry"), City)
	hidden := 0
	for _, c := range r.Cells() {
		if _, ok := c.Value(0); !ok {
			hidden++
		} else if c.Keys[0] == "few" {
			t.Error("four persons are shown")
		}
	}
	if hidden != 2 || r.Hidden() != 2 {
		t.Errorf("%d cells are hidden, want the small one and one to hide it behind", hidden)
	}
	if v, ok := mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30"), City).Cells()[0].Value(0); !ok || v != 104_000 {
		t.Errorf("the total is %v, %v", v, ok)
	}
	// Another metric of the same cut hides the same cells.
	for i, c := range mustRelease(t, g, ask("M03", "2026-04-01", "2026-04-30", "industry"), City).Cells() {
		if c.State != r.Cells()[i].State {
			t.Errorf("%v is hidden in one metric and shown in another", c.Keys)
		}
	}
}

// What need not be hidden is shown, however the dimensions are ordered.
func TestRelease_ShowsWhatItMay(t *testing.T) {
	e := &town{snapshot: 1}
	for i := range 2000 {
		e.pays = append(e.pays, pay{day: fmt.Sprintf("2026-04-%02d", 1+i%28), shop: fmt.Sprint(i % 40), person: fmt.Sprint(i % 500),
			industry: fmt.Sprint("i", i%40%4), area: fmt.Sprint("a", i%40/4%2), age: fmt.Sprint(20 + 10*(i%3)), home: "h", yen: 1000})
	}
	g := newGate(e)
	for _, a := range []Audience{Public, City} {
		for _, by := range [][]string{{"industry", "shop_area"}, {"shop_area", "industry"}, {"week"}, {"sex", "age_band"}} {
			if r, err := g.Release(t.Context(), ask("M01a", "2026-04-01", "2026-04-30", by...), a); err != nil || r.Hidden() > 0 {
				t.Errorf("%s by %v: %d of %d cells are hidden, %v", a, by, r.Hidden(), len(r.Cells()), err)
			}
		}
	}
}

// A total of too few hides everything.
func TestRelease_NothingOfFew(t *testing.T) {
	e := &town{snapshot: 1}
	for i := range 4 {
		e.pays = append(e.pays, pay{day: "2026-04-02", shop: "s", person: fmt.Sprint(i), industry: fmt.Sprint(i % 2), area: "a", age: "20s", home: "h", yen: 1000})
	}
	for _, by := range [][]string{nil, {"industry"}} {
		r := mustRelease(t, newGate(e), ask("M01a", "2026-04-01", "2026-04-30", by...), City)
		if r.Hidden() != len(r.Cells()) {
			t.Errorf("by %v: %d of %d cells are hidden", by, r.Hidden(), len(r.Cells()))
		}
	}
}

func TestRelease_IsRefused(t *testing.T) {
	g := newGate(newTown(1, 3000))
	april := func(by ...string) analytics.Query { return ask("M01a", "2026-04-01", "2026-04-30", by...) }
	ofShop := april()
	ofShop.Shop = "s00"
	zero := april()
	zero.Zero = true
	for name, c := range map[string]struct {
		q    analytics.Query
		a    Audience
		want error
	}{
		"an unknown audience":           {april(), "press", ErrNoRuleSet},
		"a recipient without a name":    {april(), Recipient, ErrNotOffered},
		"a cut that is not offered":     {april("industry", "age_band"), Public, ErrNotOffered},
		"a shop, to the public":         {ofShop, Public, ErrNotOffered},
		"payments of 0 yen":             {zero, Public, ErrNotOffered},
		"half a month":                  {ask("M01a", "2026-04-01", "2026-04-15"), Public, ErrNotOffered},
		"a month that is not over":      {ask("M01a", "2026-07-01", "2026-07-31"), Public, ErrNotOffered},
		"all shops, to a shop's keeper": {april(), Owner, ErrNotOffered},
		"no metric":                     {ask("M99", "2026-04-01", "2026-04-30"), Public, analytics.ErrUnknownMetric},
	} {
		if _, err := g.Release(t.Context(), c.q, c.a); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// Attack 2 of the research: two windows that differ by a day or two must not
// show what few persons did in between.
func TestAttack_DifferencingOverTime(t *testing.T) {
	e := newTown(2, 3000)
	e.pays = slices.DeleteFunc(e.pays, func(p pay) bool { return p.day == "2026-04-30" })
	e.pays = append(e.pays, pay{day: "2026-04-30", shop: "s00", person: "p000", industry: "i0", area: "a0", age: "20s", home: "h0", yen: 500})
	g := newGate(e)
	mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30"), City)
	if _, err := g.Release(t.Context(), ask("M01a", "2026-04-01", "2026-04-29"), City); !errors.Is(err, ErrDiscloses) {
		t.Errorf("got %v, want ErrDiscloses", err)
	}
	mustRelease(t, g, ask("M01a", "2026-04-01", "2026-05-31"), City) // a month more is many persons
}

// Attack 10: what is released once is the same ever after, from the register
// too; and new data are not mixed with old.
func TestRelease_FrozenStays(t *testing.T) {
	e := newTown(3, 3000)
	register := &memoryRegister{}
	g := &Gate{Engine: e, Now: after, Register: register}
	q := ask("M01a", "2026-04-01", "2026-04-30", "industry")
	first := mustRelease(t, g, q, Public)
	e.snapshot++
	e.pays = append(e.pays, pay{day: "2026-04-03", shop: "s00", person: "p000", industry: "i0", area: "a0", age: "20s", home: "h0", yen: 1})
	g = &Gate{Engine: e, Now: after, Register: register}
	again := mustRelease(t, g, q, Public)
	if !reflect.DeepEqual(first.Cells(), again.Cells()) || !first.ReleasedAt().Equal(again.ReleasedAt()) {
		t.Error("a frozen table changed")
	}
	if _, err := g.Release(t.Context(), ask("M01a", "2026-04-01", "2026-04-30", "age_band"), Public); !errors.Is(err, ErrDiscloses) {
		t.Errorf("got %v, want ErrDiscloses", err)
	}
	if len(register.records) != 1 {
		t.Errorf("%d entries in the register, want 1", len(register.records))
	}
}

// What is not in the register does not leave.
func TestRelease_NoRegisterNoRelease(t *testing.T) {
	register := &memoryRegister{err: errors.New("the disk is full")}
	g := &Gate{Engine: newTown(4, 2000), Now: after, Register: register}
	q := ask("M01a", "2026-04-01", "2026-04-30", "industry")
	if _, err := g.Release(t.Context(), q, Public); err == nil {
		t.Error("it was released")
	}
	register.err = nil
	mustRelease(t, g, q, Public)
	if len(register.records) != 1 || len(register.records[0].Body) == 0 {
		t.Error("the decisions are not in the register")
	}
}

// faltering is a town whose engine fails once.
type faltering struct {
	*town
	failed bool
}

func (f *faltering) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	if !f.failed {
		f.failed = true
		return analytics.Table{}, errors.New("the engine is out of memory")
	}
	return f.town.Run(ctx, q)
}

// What was decided for a release that failed is decided anew, so that it is in
// the register with the one that did not.
func TestRelease_FailedAndAskedAgain(t *testing.T) {
	register := &memoryRegister{}
	g := &Gate{Engine: &faltering{town: newTown(9, 2000)}, Now: after, Register: register}
	q := ask("M01a", "2026-04-01", "2026-04-30", "industry")
	if _, err := g.Release(t.Context(), q, Public); err == nil {
		t.Fatal("it was released")
	}
	mustRelease(t, g, q, Public)
	if len(register.records) != 1 || !bytes.Contains(register.records[0].Body, []byte(`"decided"`)) {
		t.Error("the decisions are not in the register")
	}
}

// A register that was changed is noticed.
func TestRegister_ChangedEntry(t *testing.T) {
	register := &memoryRegister{}
	e := newTown(5, 2000)
	mustRelease(t, &Gate{Engine: e, Now: after, Register: register}, ask("M01a", "2026-04-01", "2026-04-30"), Public)
	register.records[0].Body = bytes.Replace(register.records[0].Body, []byte("2026"), []byte("2025"), 1)
	g := &Gate{Engine: e, Now: after, Register: register}
	if _, err := g.Release(t.Context(), ask("M01a", "2026-04-01", "2026-04-30"), Public); err == nil {
		t.Error("a changed entry was taken for a release")
	}
}

type memoryRegister struct {
	records []Record
	err     error
}

func (m *memoryRegister) Append(_ context.Context, r Record, after int64) (int64, error) {
	if m.err != nil {
		return 0, m.err
	}
	if after != Any && after != int64(len(m.records)) {
		return 0, ErrMoved
	}
	r.Number = int64(len(m.records) + 1)
	m.records = append(m.records, r)
	return r.Number, nil
}

func (m *memoryRegister) All(_ context.Context, f func(Record) error) (int64, error) {
	for _, r := range m.records {
		if err := f(r); err != nil {
			return 0, err
		}
	}
	return int64(len(m.records)), nil
}

// Two processes release from one register: the second one knows what the first
// one has let out, and refuses what does not go with it.
func TestRelease_TwoProcesses(t *testing.T) {
	register := &memoryRegister{}
	e := newTown(8, 3000)
	one, two := &Gate{Engine: e, Now: after, Register: register}, &Gate{Engine: e, Now: after, Register: register}
	mustRelease(t, one, ask("M01a", "2026-04-01", "2026-04-30"), Public)
	mustRelease(t, two, ask("M01a", "2026-05-01", "2026-05-31"), Public)
	q := ask("M01a", "2026-04-01", "2026-04-30", "industry", "shop_area")
	first := mustRelease(t, one, q, Public)
	if again := mustRelease(t, two, q, Public); !reflect.DeepEqual(first.Cells(), again.Cells()) || !first.ReleasedAt().Equal(again.ReleasedAt()) {
		t.Error("the second process released another table")
	}
	if len(register.records) != 3 {
		t.Errorf("%d entries in the register, want 3", len(register.records))
	}
}

// Third parties get rounded numbers.
func TestRelease_Rounds(t *testing.T) {
	g := newGate(newTown(6, 3000))
	r, err := g.ReleaseTo(t.Context(), ask("M01a", "2026-04-01", "2026-04-30", "industry"), Recipient, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Cells() {
		if v, ok := c.Value(0); ok && math.Mod(v, 1000) != 0 {
			t.Errorf("%v is not rounded", v)
		}
	}
}

func TestParseRules_Faults(t *testing.T) {
	for _, text := range []string{
		"", "audience: x\nversion: '1'\nmin_persons: 2", "audience: x\nversion: '1'\nmin_persons: 5\nsurprise: 1",
		"audience: x\nversion: '1'\nmin_persons: 5\ntop: 1", "audience: x\nversion: '1'\nmin_persons: 5\nlattice: [[colour]]",
		"audience: x\nversion: '1'\nmin_persons: 5\nlattice: [[sex, area], [area, sex]]",
	} {
		if _, err := ParseRules([]byte(text)); err == nil {
			t.Errorf("%q was taken for a rule set", text)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte("audience: x\nversion: '1'\nmin_persons: 5"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ParseRules(text); err == nil && r.MinPersons < 3 {
			t.Errorf("%+v protects nobody", r)
		}
	})
}

// A released table never shows a cell with fewer persons or shops than its rule
// set asks for, whatever the town, the cut and the order of the questions.
func TestRelease_Property(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		e := newTown(rapid.Uint64().Draw(r, "seed"), rapid.IntRange(0, 2500).Draw(r, "payments"))
		g := newGate(e)
		for range rapid.IntRange(1, 6).Draw(r, "questions") {
			rules := rapid.SampledFrom([]Audience{Public, Recipient, City}).Draw(r, "audience")
			set, _ := RulesFor(rules)
			cuts, windows := set.Lattice, [][2]string{{"2026-04-01", "2026-04-30"}, {"2026-04-01", "2026-05-31"}, {"2026-05-01", "2026-05-31"}, {"2026-04-01", "2026-06-30"}}
			if cuts == nil {
				cuts = [][]string{nil, {"industry"}, {"week", "industry"}, {"age_band", "area"}, {"shop"}, {"week"}, {"shop_area", "industry"}, {"month", "shop_area"}}
				windows = append(windows, [2]string{"2026-04-15", "2026-05-14"}, [2]string{"2026-04-01", "2026-04-14"})
			}
			window := rapid.SampledFrom(windows).Draw(r, "window")
			q := ask("M01a", window[0], window[1], rapid.SampledFrom(cuts).Draw(r, "cut")...)
			reader := ""
			if rules == Recipient {
				reader = rapid.SampledFrom([]string{"acme", "univ"}).Draw(r, "reader")
			}
			released, err := g.ReleaseTo(context.Background(), q, rules, reader)
			if errors.Is(err, errAudit) {
				r.Fatal(err)
			}
			if errors.Is(err, ErrDiscloses) {
				continue
			}
			if err != nil {
				r.Fatal(err)
			}
			raw, err := e.Run(context.Background(), q)
			if err != nil {
				r.Fatal(err)
			}
			for i, c := range released.Cells() {
				v, shown := c.Value(0)
				if shown && v != 0 && (raw.Cells[i].Persons < set.MinPersons || raw.Cells[i].Shops < set.MinShops) {
					r.Fatalf("a cell of %d persons and %d shops is shown", raw.Cells[i].Persons, raw.Cells[i].Shops)
				}
				if shown && math.Abs(v-raw.Cells[i].Values[0]) > float64(set.RoundYen) {
					r.Fatalf("a shown value changed from %v to %v", raw.Cells[i].Values[0], v)
				}
			}
		}
		all, err := g.Holdings(context.Background())
		if err != nil {
			r.Fatal(err)
		}
		if found := violators(r, all); len(found) > 0 {
			r.Fatalf("of all that was released together, the auditor finds something in the hands of %v", found)
		}
	})
}
