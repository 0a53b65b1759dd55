package disclosure

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"meguri/analytics"
	"meguri/analytics/disclosure/perturb"
)

// withMethods puts methods into the rule sets for the public and for recipients,
// until the test ends.
func withMethods(t testing.TB, methods map[string]Treatment) {
	t.Helper()
	before := RuleSets
	RuleSets = slices.Clone(RuleSets)
	for i := range RuleSets {
		if a := RuleSets[i].Audience; a == Public || a == Recipient {
			RuleSets[i].Methods = methods
			if err := RuleSets[i].checkMethods(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() { RuleSets = before })
}

var (
	perturbed = map[string]Treatment{"M03": {Method: CellKey}}
	rounding5 = map[string]Treatment{"M02": {Method: Rounding, Base: 5}}
)

func newRelease(t testing.TB) *perturb.Release {
	t.Helper()
	r, err := perturb.NewRelease(perturb.Params{Deviation: 5, Variance: big.NewRat(3, 1), Forbidden: 2})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func keyedGate(e analytics.Engine, r *perturb.Release) *Gate {
	return &Gate{Engine: e, Now: after, Audit: attack, Register: &memoryRegister{}, ReleaseKey: func() (*perturb.Release, error) { return r, nil }}
}

// counter is a town that counts visits and payments too.
type counter struct{ *town }

func (c counter) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	t, err := c.town.Run(ctx, q)
	if err != nil || t.Metric.ID != "M02" {
		return t, err
	}
	values := map[string][]float64{}
	keys, groups := c.groups(t.Query)
	for i, g := range groups {
		visits := map[[3]string]bool{}
		for _, p := range g {
			visits[[3]string{p.person, p.shop, p.day}] = true
		}
		values[cellKey(keys[i])] = []float64{float64(len(visits)), float64(len(g)), float64(len(g))}
	}
	for i := range t.Cells {
		t.Cells[i].Values = values[cellKey(t.Cells[i].Keys)]
	}
	return t, nil
}

// who are the persons of each cell of a cut, counted apart from the gate.
func who(e *town, from, to string, by ...string) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	keys, groups := e.groups(analytics.Query{From: from, To: to, By: by})
	for i, g := range groups {
		persons := map[string]bool{}
		for _, p := range g {
			persons[p.person] = true
		}
		out[cellKey(keys[i])] = persons
	}
	return out
}

// Attack 9 of the research, IC-8: the same persons have the same noise in every
// table, cut, order, window, reader, process and snapshot, so that asking again
// gives nothing to average; and what is told is never told without noise.
func TestCellKey_SamePersonsSameNoise(t *testing.T) {
	withMethods(t, perturbed)
	e, release := newTown(11, 2500), newRelease(t)
	// Two districts, and an industry of one of them, with just the same customers.
	for i := range 40 {
		for _, shop := range []struct{ name, industry, area string }{{"x1", "same", "here"}, {"x2", "same", "here"}, {"x3", "same", "here"}, {"y1", "i0", "there"}, {"y2", "i1", "there"}, {"y3", "i2", "there"}} {
			e.pays = append(e.pays, pay{day: "2026-04-02", shop: shop.name, person: fmt.Sprintf("p%03d", i), industry: shop.industry, area: shop.area, age: "20s", home: "h0", yen: 1000})
		}
	}
	rules, err := RulesFor(Public)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]float64{} // by the persons counted
	told, small := 0, 0
	look := func(r Released, from, to string) {
		t.Helper()
		if r.Method() != CellKey || r.Rules().RoundCount != 0 || r.Rules().MinPersons != 0 {
			t.Fatalf("%v says it was protected by %s under %+v", r.Query(), r.Method(), r.Rules())
		}
		true := who(e, from, to, r.Query().By...)
		for _, c := range r.Cells() {
			persons := true[cellKey(c.Keys)]
			v, ok := c.Value(0)
			if !ok {
				continue
			}
			if v == 1 || v == 2 || v == 0 && len(c.Keys) > 0 {
				t.Errorf("%v: %g is shown", c.Keys, v)
			}
			if d := v - float64(len(persons)); d < -5 || d > 5 {
				t.Errorf("%v moved by %g", c.Keys, d)
			}
			if len(persons) < 10 {
				small++
			}
			told++
			name := strings.Join(slices.Sorted(mapsKeys(persons)), " ")
			if before, ok := seen[name]; ok && before != v {
				t.Errorf("%v: the same %d persons are %g and %g", c.Keys, len(persons), before, v)
			}
			seen[name] = v
		}
	}
	moved := 0
	for _, g := range []*Gate{keyedGate(e, release), keyedGate(e, release)} { // two processes that know nothing of each other
		for _, w := range [][2]string{{"2026-04-01", "2026-04-30"}, {"2026-05-01", "2026-05-31"}, {"2026-04-01", "2026-06-30"}} {
			for _, cut := range append([][]string{{"shop_area", "industry"}, {"sex", "age_band"}}, rules.Lattice...) {
				q := ask("M03", w[0], w[1], cut...)
				r, err := g.Release(t.Context(), q, Public)
				if errors.Is(err, ErrDiscloses) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				look(r, w[0], w[1])
				if r, err = g.ReleaseTo(t.Context(), q, Recipient, "acme"); err == nil {
					look(r, w[0], w[1])
				} else if !errors.Is(err, ErrDiscloses) {
					t.Fatal(err)
				}
			}
		}
		e.snapshot++
	}
	for name, v := range seen {
		if float64(len(strings.Fields(name))) != v {
			moved++
		}
	}
	if told < 300 || small == 0 || moved < len(seen)/2 {
		t.Errorf("%d cells were looked at, %d of them of few persons; %d of %d groups moved", told, small, moved, len(seen))
	}
	april := keyedGate(e, release)
	here := mustRelease(t, april, ask("M03", "2026-04-01", "2026-04-30", "shop_area"), Public)
	same := mustRelease(t, april, ask("M03", "2026-04-01", "2026-04-30", "industry"), Public)
	if a, b := figure(t, here, "here"), figure(t, same, "same"); a != b {
		t.Errorf("the same customers are %g by district and %g by industry", a, b)
	}
	// The originals are told nowhere beside: what they could be worked out of is
	// not offered.
	for _, metric := range []string{"M05", "M06", "M07", "M08"} {
		if _, err := april.Release(t.Context(), ask(metric, "2026-04-01", "2026-04-30", "industry"), Public); !errors.Is(err, ErrNotOffered) {
			t.Errorf("%s: got %v, want ErrNotOffered", metric, err)
		}
	}
	// Another metric is as it was.
	if r := mustRelease(t, april, ask("M01a", "2026-04-01", "2026-04-30", "industry"), Public); r.Method() != Suppression || r.Rules().MinPersons != 10 {
		t.Errorf("amounts are protected by %s", r.Method())
	}
}

func mapsKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func figure(t testing.TB, r Released, keys ...string) float64 {
	t.Helper()
	for _, c := range r.Cells() {
		if slices.Equal(c.Keys, keys) {
			if v, ok := c.Value(0); ok {
				return v
			}
		}
	}
	t.Fatalf("%v is not shown", keys)
	return 0
}

// Noise protects persons; a table in which a shop stands alone still hides it.
func TestCellKey_HidesFewShops(t *testing.T) {
	withMethods(t, perturbed)
	e := &town{snapshot: 1}
	for i := range 300 {
		shop := i % 10
		industry := "many"
		if shop == 0 {
			industry = "single"
		}
		e.pays = append(e.pays, pay{day: "2026-04-02", shop: fmt.Sprint("s", shop), person: fmt.Sprint(i), industry: industry, area: "a", age: "20s", home: "h", yen: 1000})
	}
	e.pays = append(e.pays, pay{day: "2026-04-02", shop: "s1", person: "x", industry: "many", area: "a", age: "90s", home: "h", yen: 1000})
	r := mustRelease(t, keyedGate(e, newRelease(t)), ask("M03", "2026-04-01", "2026-04-30", "industry"), Public)
	for _, c := range r.Cells() {
		if _, ok := c.Value(0); ok && c.Keys[0] == "single" {
			t.Error("the customers of a single shop are told")
		}
	}
}

// IC-8, IC-11: without the key nothing is perturbed, and nothing let out instead.
func TestCellKey_MissingKey(t *testing.T) {
	withMethods(t, perturbed)
	away := errors.New("the file is away")
	for _, key := range []func() (*perturb.Release, error){nil, func() (*perturb.Release, error) { return nil, away }} {
		register := &memoryRegister{}
		g := &Gate{Engine: newTown(3, 2000), Now: after, Audit: attack, Register: register, ReleaseKey: key}
		_, err := g.Release(t.Context(), ask("M03", "2026-04-01", "2026-04-30", "industry"), Public)
		if !errors.Is(err, ErrReleaseKey) || key != nil && !errors.Is(err, away) {
			t.Errorf("got %v, want ErrReleaseKey and the reason", err)
		}
		if len(register.records) > 0 {
			t.Error("something was released")
		}
		mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30", "industry"), Public)
	}
}

// IC-8: one window is published by one method, also after a restart, with another
// key, or to a recipient, who has what is public beside it.
func TestMethod_ChangeIsRefused(t *testing.T) {
	e, release := newTown(5, 2500), newRelease(t)
	register := &memoryRegister{}
	gate := func(r *perturb.Release) *Gate {
		g := keyedGate(e, r)
		g.Register = register
		return g
	}
	april := ask("M03", "2026-04-01", "2026-04-30", "age_band")
	mustRelease(t, gate(release), april, Public)
	withMethods(t, perturbed)
	for name, c := range map[string]struct {
		q    analytics.Query
		a    Audience
		to   string
		want error
	}{
		"the same table":          {april, Public, "", ErrMethodChanged},
		"another cut":             {ask("M03", "2026-04-01", "2026-04-30", "industry"), Public, "", ErrMethodChanged},
		"a window that holds it":  {ask("M03", "2026-04-01", "2026-06-30", "age_band"), Public, "", ErrMethodChanged},
		"a recipient":             {april, Recipient, "acme", ErrMethodChanged},
		"another window":          {ask("M03", "2026-05-01", "2026-05-31", "age_band"), Public, "", nil},
		"a metric without counts": {ask("M01a", "2026-04-01", "2026-04-30", "age_band"), Public, "", nil},
	} {
		if _, err := gate(release).ReleaseTo(t.Context(), c.q, c.a, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := gate(newRelease(t)).Release(t.Context(), ask("M03", "2026-05-01", "2026-05-31", "sex"), Public); !errors.Is(err, ErrMethodChanged) {
		t.Errorf("with another key: got %v, want ErrMethodChanged", err)
	}
	before := len(register.records)
	mustRelease(t, gate(release), ask("M03", "2026-05-01", "2026-05-31", "age_band"), Public)
	if len(register.records) != before {
		t.Error("what was published with noise is entered anew after a restart")
	}
}

// The rounded figures of all tables that hang together add up, are multiples of
// the base, and are the same whichever is asked for first.
func TestRounding_AddsUp(t *testing.T) {
	withMethods(t, rounding5)
	rapid.Check(t, func(rt *rapid.T) {
		e := &town{snapshot: 1}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		for range rapid.IntRange(1, 400).Draw(rt, "payments") {
			shop, person := rng.IntN(12), rng.IntN(60)
			e.pays = append(e.pays, pay{day: fmt.Sprintf("2026-04-%02d", 1+rng.IntN(28)), shop: fmt.Sprint(shop), person: fmt.Sprint(person),
				industry: fmt.Sprint("i", shop%4), area: fmt.Sprint("a", shop%3), age: fmt.Sprint(person % 5), home: "h", yen: 1000})
		}
		rules, err := RulesFor(Public)
		if err != nil {
			rt.Fatal(err)
		}
		how := protection{Treatment: Treatment{Method: Rounding, Base: 5}}
		cuts := [][]string{{"industry", "shop_area"}, {"industry"}, {"shop_area"}, nil, {"age_band"}}
		rng.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
		tables := map[string]map[string][]float64{}
		for _, by := range cuts {
			g := keyedGate(counter{e}, nil)
			raw, err := g.Engine.Run(t.Context(), ask("M02", "2026-04-01", "2026-04-30", by...))
			if err != nil {
				rt.Fatal(err)
			}
			out, err := g.rounded(t.Context(), rules, how, view{}, raw)
			if err != nil {
				rt.Fatal(err)
			}
			rounded := map[string][]float64{}
			for i, c := range out.Cells {
				for m, v := range c.Values {
					if d := v - raw.Cells[i].Values[m]; int64(v)%5 != 0 || d <= -5 || d >= 5 {
						rt.Fatalf("%v: %g becomes %g", c.Keys, raw.Cells[i].Values[m], v)
					}
				}
				rounded[keyOf(by, c.Keys)] = c.Values
			}
			tables[cutName(by)] = rounded
		}
		for _, sum := range []struct {
			of, to string
			key    func(keys []string) string
		}{
			{"industry+shop_area", "industry", func(k []string) string { return k[0] }},
			{"industry+shop_area", "shop_area", func(k []string) string { return k[1] }},
			{"industry", "", func([]string) string { return "" }},
			{"shop_area", "", func([]string) string { return "" }},
			{"age_band", "", func([]string) string { return "" }},
		} {
			got := map[string][]float64{}
			for key, values := range tables[sum.of] {
				to := sum.key(strings.Split(key, keySeparator))
				if got[to] == nil {
					got[to] = make([]float64, len(values))
				}
				for m, v := range values {
					got[to][m] += v
				}
			}
			if !reflect.DeepEqual(got, tables[sum.to]) {
				rt.Fatalf("%s sums to %v, and %q is %v", sum.of, got, sum.to, tables[sum.to])
			}
		}
	})
}

// Rounded tables of events keep hiding what tells of few, are frozen to the byte,
// and take what was published for given.
func TestRounding_IsReleased(t *testing.T) {
	withMethods(t, rounding5)
	e := counter{newTown(8, 3000)}
	register := &memoryRegister{}
	ask := func(g *Gate, metric string, by ...string) Released {
		t.Helper()
		g.Register = register
		return mustRelease(t, g, ask(metric, "2026-04-01", "2026-04-30", by...), Public)
	}
	visits := ask(keyedGate(e, nil), "M02", "industry", "shop_area")
	if visits.Method() != Rounding || visits.Rules().RoundCount != 5 || visits.Hidden() == 0 {
		t.Errorf("%s, rounded to %d, %d hidden", visits.Method(), visits.Rules().RoundCount, visits.Hidden())
	}
	yen := ask(keyedGate(e, nil), "M01a", "industry", "shop_area")
	hidden := map[string]State{}
	for _, c := range yen.Cells() {
		hidden[cellKey(c.Keys)] = c.State
	}
	for _, c := range visits.Cells() {
		if c.State != hidden[cellKey(c.Keys)] {
			t.Errorf("%v is hidden in one metric and shown in another", c.Keys)
		}
		if v, ok := c.Value(0); ok && int64(v)%5 != 0 {
			t.Errorf("%v is %g", c.Keys, v)
		}
	}
	again := ask(keyedGate(e, nil), "M02", "industry", "shop_area")
	if !reflect.DeepEqual(again.Cells(), visits.Cells()) || again.Method() != Rounding {
		t.Error("a rounded table changed with a restart")
	}
	for _, by := range []string{"industry", "shop_area"} {
		at := slices.Index([]string{"industry", "shop_area"}, by)
		sums, whole := map[string]float64{}, map[string]bool{}
		for _, c := range visits.Cells() {
			v, ok := c.Value(1)
			sums[c.Keys[at]] += v
			if !ok {
				whole[c.Keys[at]] = true // a part is hidden
			}
		}
		for _, c := range ask(keyedGate(e, nil), "M02", by).Cells() {
			if v, ok := c.Value(1); ok && !whole[c.Keys[0]] && v != sums[c.Keys[0]] {
				t.Errorf("%s is %g, and its parts are %g", c.Keys[0], v, sums[c.Keys[0]])
			}
		}
	}
	if _, err := keyedGate(e, nil).Release(t.Context(), analytics.Query{Metric: "M04", From: "2026-04-01", To: "2026-04-30"}, Public); !errors.Is(err, ErrNotOffered) {
		t.Errorf("amounts per visit: got %v, want ErrNotOffered", err)
	}
}

// A figure that does not add up in truth is rounded by itself.
func TestRounding_PersonsOverPlaces(t *testing.T) {
	withMethods(t, map[string]Treatment{"M03": {Method: Rounding, Base: 3}})
	e := newTown(9, 3000)
	g := keyedGate(e, nil)
	for _, by := range [][]string{nil, {"shop_area"}, {"industry", "shop_area"}, {"age_band"}} {
		r := mustRelease(t, g, ask("M03", "2026-04-01", "2026-04-30", by...), Public)
		persons := who(e, "2026-04-01", "2026-04-30", by...)
		for _, c := range r.Cells() {
			v, ok := c.Value(0)
			if d := v - float64(len(persons[cellKey(c.Keys)])); ok && (int64(v)%3 != 0 || d <= -3 || d >= 3) {
				t.Errorf("%v of %d persons is %g", c.Keys, len(persons[cellKey(c.Keys)]), v)
			}
		}
	}
}

func TestParseRules_Methods(t *testing.T) {
	public, err := documents.ReadFile("rules/public.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for methods, want := range map[string]string{
		"  M03: {method: cell_key}":                                     "",
		"  M02: {method: rounding, base: 5}":                            "",
		"  M03: {method: suppression}":                                  "",
		"  M01a: {method: cell_key}":                                    "M01a is in yen: amounts stay with suppression",
		"  M04: {method: rounding, base: 5}":                            "M04 is in yen",
		"  M02: {method: cell_key}":                                     "cell_key is for M03",
		"  M07: {method: rounding, base: 5}":                            "M07 is no table of counts",
		"  M10: {method: rounding, base: 5}":                            "M10 is no table of counts",
		"  M02: {method: rounding}":                                     "the base is 0",
		"  M03: {method: cell_key, base: 5}":                            "only rounding has a base",
		"  M03: {method: noise}":                                        `"noise" is none of`,
		"  M99: {method: cell_key}":                                     "no such metric",
		"  M03: {method: cell_key}\n  M06: {method: rounding, base: 5}": "give them one method",
		"  M03: {way: cell_key}":                                        "field way not found",
	} {
		_, err := ParseRules([]byte(string(public) + "methods:\n" + methods + "\n"))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", methods, err, want)
		}
	}
	city := "audience: city\nversion: x\nmin_persons: 5\nmethods:\n  M03: {method: cell_key}\n"
	if _, err := ParseRules([]byte(city)); err == nil || !strings.Contains(err.Error(), "needs frozen and a lattice") {
		t.Errorf("without a fixed list of tables: %v", err)
	}
}

func TestUseRules(t *testing.T) {
	before := RuleSets
	t.Cleanup(func() { RuleSets = before })
	read := func(name string, replace ...string) *fstest.MapFile {
		text, err := documents.ReadFile("rules/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return &fstest.MapFile{Data: []byte(strings.NewReplacer(replace...).Replace(string(text)))}
	}
	other := []string{"2026-11.4", "city-1", "lattice:", "methods: {M03: {method: cell_key}}\nlattice:"}
	for name, c := range map[string]struct {
		folder fstest.MapFS
		want   string
	}{
		"both with noise":       {fstest.MapFS{"a.yaml": read("public.yaml", other...), "b.yaml": read("recipient.yaml", other...)}, ""},
		"noise in one of them":  {fstest.MapFS{"a.yaml": read("public.yaml", other...)}, "M03 must have one method in both"},
		"a version that is one": {fstest.MapFS{"a.yaml": read("public.yaml", "min_persons: 10", "min_persons: 9")}, "give another one"},
		"an audience twice":     {fstest.MapFS{"a.yaml": read("city.yaml", "2026-11.3", "x"), "b.yaml": read("city.yaml", "2026-11.3", "y")}, "keep one of them"},
		"nobody's":              {fstest.MapFS{"a.yaml": read("city.yaml", "audience: city", "audience: press")}, "no rule set for this audience"},
		"no YAML":               {fstest.MapFS{"a.yaml": {Data: []byte("audience")}}, "rules/a.yaml: read a rule set"},
	} {
		RuleSets = before
		err := UseRules(c.folder)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if err != nil && !reflect.DeepEqual(RuleSets, before) || NeedsReleaseKey() != (err == nil) {
			t.Errorf("%s: the rules in force are not as they should be", name)
		}
	}
}
