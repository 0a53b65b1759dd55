package disclosure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

// The recipes of attacks that are tried on the gate as a whole. Those on tables
// of known numbers are in package audit, those on what readers get in packages
// reports and api; docs/gate.md lists them all.

// even is a town in which nothing is sensitive: shops with twenty customers
// each, eight to an industry.
func even(industries ...string) *town {
	e := &town{snapshot: 1}
	for n, industry := range industries {
		for s := range 8 {
			for i := range 20 {
				e.pays = append(e.pays, pay{
					day: fmt.Sprintf("2026-04-%02d", 1+i%28), industry: industry, shop: fmt.Sprint(industry, s), person: fmt.Sprint(industry, s, "-", i),
					area: fmt.Sprint("a", s%2), age: fmt.Sprint(20+10*(i%3), "s"), home: fmt.Sprint("h", (n+i)%2), yen: 1000,
				})
			}
		}
	}
	return e
}

func inApril(metric string, by ...string) analytics.Query {
	return ask(metric, "2026-04-01", "2026-04-30", by...)
}

// Recipe 2, over filters: all, and each shop by itself. A shop with few customers
// is not what the others leave over.
func TestRecipe_2DifferencingOverFilters(t *testing.T) {
	e := even("cafe", "books")
	for i := range 3 {
		e.pays = append(e.pays, pay{
			day: "2026-04-02", shop: "small", person: fmt.Sprint("few", i),
			industry: "cafe", area: "a0", age: "20s", home: "h0", yen: 777,
		})
	}
	g := newGate(e)
	all, ok := mustRelease(t, g, inApril("M01a"), City).Cells()[0].Value(0)
	if !ok {
		t.Fatal("the total is hidden")
	}
	left, hidden := all, 0
	shops := []string{"small"}
	for i := range 8 {
		shops = append(shops, fmt.Sprint("cafe", i), fmt.Sprint("books", i))
	}
	for _, shop := range shops {
		q := inApril("M01a")
		q.Shop = shop
		if v, ok := mustRelease(t, g, q, City).Cells()[0].Value(0); ok {
			left -= v
		} else {
			hidden++
		}
	}
	if hidden < 2 || left == 3*777 {
		t.Errorf("%d shops are hidden, and %v is left over", hidden, left)
	}
}

// Recipe 2, over overlapping windows, in cuts that overlap: of April to May, May to June
// and the quarter, each month alone is the difference of two. The three persons
// of the last month stay hidden, whatever comes first.
func TestRecipe_2OverlappingWindows(t *testing.T) {
	windows := [][2]string{{"2026-04-01", "2026-05-31"}, {"2026-05-01", "2026-06-30"}, {"2026-04-01", "2026-06-30"}}
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}} {
		e := even("cafe", "books")
		for _, p := range slices.Clone(e.pays) {
			p.day = strings.Replace(p.day, "-04-", "-05-", 1)
			e.pays = append(e.pays, p)
		}
		for i := range 3 {
			e.pays = append(e.pays, pay{
				day: "2026-06-02", shop: fmt.Sprint("cafe", i), person: fmt.Sprint("few", i),
				industry: "cafe", area: "a0", age: "20s", home: "h0", yen: 777,
			})
		}
		g := newGate(e)
		g.Register = &memoryRegister{}
		shown := map[int]float64{}
		refused := 0
		for _, n := range order {
			for _, cut := range [][]string{nil, {"industry"}, {"shop_area"}, {"industry", "shop_area"}, {"area"}} {
				r, err := g.Release(t.Context(), ask("M01a", windows[n][0], windows[n][1], cut...), Public)
				if errors.Is(err, ErrDiscloses) {
					refused++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if v, ok := r.Cells()[0].Value(0); ok && cut == nil {
					shown[n] = v
				}
			}
		}
		_, first := shown[0]
		_, quarter := shown[2]
		if first && quarter || refused == 0 {
			t.Errorf("in the order %v: %v is shown, %d tables were refused; June is a difference", order, shown, refused)
		}
		attackAll(t, g)
	}
}

// Recipe 6: a hidden cell never reads as empty. One in which something happened
// that comes to nothing, or by nobody known, is hidden; 0 is shown only where
// nobody paid.
func TestRecipe_6HiddenIsNotEmpty(t *testing.T) {
	e := even("cafe", "books")
	e.pays = append(e.pays,
		pay{day: "2026-04-02", shop: "s1", person: "p1", industry: "nets to 0", area: "a0", age: "20s", home: "h0", yen: 500},
		pay{day: "2026-04-02", shop: "s1", person: "p1", industry: "nets to 0", area: "a0", age: "20s", home: "h0", yen: -500},
		pay{day: "2026-04-02", shop: "s2", person: "p2", industry: "of 0 yen", area: "a0", age: "20s", home: "h0"})
	for _, c := range mustRelease(t, newGate(e), inApril("M01a", "industry"), City).Cells() {
		if v, ok := c.Value(0); ok && v == 0 || ok && strings.Contains(c.Keys[0], "0") {
			t.Errorf("%q reads %v", c.Keys[0], v)
		}
	}
	// As the engine tells it: nobody known, or nothing but a measure that is not defined.
	plan := &placed{Hidden: map[string]bool{"books": false}}
	rules, err := RulesFor(City)
	if err != nil {
		t.Fatal(err)
	}
	table := analytics.Table{Query: inApril("M01a", "industry"), Dims: []analytics.Column{{Name: "industry"}}, Measures: []analytics.Column{{Name: "net_yen"}}, Cells: []analytics.Cell{
		{Keys: []string{"by nobody known"}, Values: []float64{300}}, {Keys: []string{"empty"}, Values: []float64{0}},
		{Keys: []string{"undefined, by some"}, Values: []float64{math.NaN()}, Persons: 3}, {Keys: []string{"unknown to the plan"}, Values: []float64{9}, Persons: 90},
	}}
	r, _, err := apply(table, rules, plan, []string{"industry"}, about{how: protection{Treatment: Treatment{Method: Suppression}}}, after())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Cells() {
		if (c.State == Shown) != (c.Keys[0] == "empty") {
			t.Errorf("%q: state %v", c.Keys[0], c.State)
		}
	}
}

// Recipe 9: a question in other words is the same question, and a thousand
// answers are one.
func TestRecipe_9SameQuestionInOtherWords(t *testing.T) {
	e := newTown(11, 3000)
	for _, a := range []Audience{Public, City} {
		g := newGate(e)
		first := shownOf(mustRelease(t, g, inApril("M01a", "industry", "shop_area"), a))
		for range 1000 {
			if again := shownOf(mustRelease(t, g, inApril("M01a", "industry", "shop_area"), a)); !reflect.DeepEqual(first, again) {
				t.Fatal("asked again, the answer is another one")
			}
		}
		q := inApril("M01a", "shop_area", "industry")
		q.SeenTo, q.Visit = q.To, "day" // what it is anyhow
		if other := shownOf(mustRelease(t, g, q, a)); !reflect.DeepEqual(first, other) {
			t.Errorf("%s: with the dimensions in another order the answer is another one", a)
		}
	}
}

// shownOf is what is shown of a table, by its keys in any order.
func shownOf(r Released) map[string]float64 {
	out := map[string]float64{}
	for _, c := range r.Cells() {
		v, ok := c.Value(0)
		if !ok {
			v = math.Inf(-1)
		}
		out[keyOf(r.Query().By, c.Keys)] = v
	}
	return out
}

// Recipe 13: everybody knows the only shop of its industry, however many its
// customers are. It is hidden from the public and from recipients.
func TestRecipe_13PublicJoin(t *testing.T) {
	e := even("cafe", "books", "sport")
	for i := range 60 {
		e.pays = append(e.pays, pay{
			day: "2026-04-02", shop: "the cinema", person: fmt.Sprint("c", i),
			industry: "cinema", area: "a0", age: "20s", home: "h0", yen: 1000,
		})
	}
	for reader, audience := range map[string]Audience{"": Public, "acme": Recipient} {
		g := newGate(e)
		for _, by := range [][]string{{"industry"}, {"industry", "shop_area"}} {
			r, err := g.ReleaseTo(t.Context(), inApril("M01a", by...), audience, reader)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Cells() {
				if _, ok := c.Value(0); ok && c.Keys[0] == "cinema" {
					t.Errorf("%s sees the cinema's sales, by %v", audience, by)
				}
			}
			if r.Hidden() < 2 || r.Hidden() == len(r.Cells()) {
				t.Errorf("%s: %d of %d cells are hidden", audience, r.Hidden(), len(r.Cells()))
			}
		}
	}
}

// cancelling is a town whose metrics tell more than one group apart: of M01b and
// M06 the persons of a group are those of age 90.
type cancelling struct{ *town }

func (c cancelling) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	t, err := c.town.Run(ctx, q)
	if err != nil || !t.Metric.Groups {
		return t, err
	}
	keys, groups := c.groups(t.Query)
	for i := range t.Cells {
		group := map[string]bool{}
		for j, g := range groups {
			for _, p := range g {
				if slices.Equal(keys[j], t.Cells[i].Keys) && p.age == "90s" {
					group[p.person] = true
				}
			}
		}
		t.Cells[i].Values[1] = float64(len(group))
		if len(group) > 0 {
			t.Cells[i].Persons = min(t.Cells[i].Persons, int64(len(group)))
		}
	}
	return t, nil
}

// Recipe 14, of derived measures: a metric that tells a small group apart, such
// as those whose payment was cancelled, cannot be had as the total less the
// other cells, though the payments of the cell are many.
func TestRecipe_14SmallGroupsOfAMetric(t *testing.T) {
	e := even("cafe", "books", "sport")
	late := func(industry string, n int) {
		for i := range n {
			e.pays = append(e.pays, pay{day: "2026-04-02", shop: fmt.Sprint(industry, i%4), person: fmt.Sprint(industry, "late", i), industry: industry,
				area: fmt.Sprint("a", i%2), age: "90s", home: fmt.Sprint("h", i%2), yen: 1000})
		}
	}
	late("cafe", 40)
	late("books", 30)
	late("sport", 2)
	for _, metric := range []string{"M01b", "M06"} {
		g := newGate(cancelling{e})
		total, ok := mustRelease(t, g, inApril(metric), City).Cells()[0].Value(1)
		if !ok {
			t.Fatalf("%s: the total is hidden: the test shows nothing", metric)
		}
		for _, by := range [][]string{{"industry"}, {"industry", "shop_area"}} {
			left := total
			hidden := 0
			for _, c := range mustRelease(t, g, inApril(metric, by...), City).Cells() {
				if v, ok := c.Value(1); ok {
					left -= v
				} else {
					hidden++
				}
			}
			if hidden == 0 || left <= 2 {
				t.Errorf("%s by %v: %d cells are hidden, and %v is left over, which is the two", metric, by, hidden, left)
			}
		}
		if r := mustRelease(t, g, inApril(metric, "shop_area"), City); r.Hidden() > 0 {
			t.Errorf("%s: %d districts are hidden, and none has a small group", metric, r.Hidden())
		}
	}
}

// Recipe 2, of a metric's own groups: two months less one would be the group of
// the other, however small. To the public and to recipients only single months
// are given.
func TestRecipe_2DifferencingOfSmallGroups(t *testing.T) {
	e := even("cafe", "books")
	for i := range 42 {
		day := "2026-04-02"
		if i >= 40 {
			day = "2026-05-02"
		}
		e.pays = append(e.pays, pay{
			day: day, shop: fmt.Sprint("cafe", i%8), person: fmt.Sprint("late", i),
			industry: "cafe", area: "a0", age: "90s", home: "h0", yen: 1000,
		})
	}
	for _, p := range slices.Clone(e.pays[:320]) {
		p.day = strings.Replace(p.day, "-04-", "-05-", 1)
		e.pays = append(e.pays, p)
	}
	g := newGate(cancelling{e})
	g.Register = &memoryRegister{}
	shown := map[string]float64{}
	for name, w := range map[string][2]string{"both": {"2026-04-01", "2026-05-31"}, "April": {"2026-04-01", "2026-04-30"}, "May": {"2026-05-01", "2026-05-31"}} {
		for _, by := range [][]string{nil, {"month"}} {
			r, err := g.Release(t.Context(), ask("M01b", w[0], w[1], by...), Public)
			if errors.Is(err, ErrNotOffered) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := r.Cells()[0].Value(1); ok {
				shown[name] = v
			}
		}
	}
	if len(shown) != 1 || shown["April"] != 40 {
		t.Errorf("shown are %v, want April alone: May has a group of two", shown)
	}
}

// Recipe 14, mean × count: what one metric hides no other metric of the same cut
// shows, so that nothing can be multiplied or divided out.
func TestRecipe_14MeanTimesCount(t *testing.T) {
	for seed := range uint64(6) {
		e := newTown(20+seed, 500)
		for _, a := range []Audience{Public, City} {
			rules, err := RulesFor(a)
			if err != nil {
				t.Fatal(err)
			}
			g := newGate(e)
			for _, cut := range [][]string{{"industry"}, {"shop_area"}, {"age_band"}, {"industry", "shop_area"}} {
				hidden := map[string]bool{}
				for _, m := range []string{"M01a", "M02", "M03", "M04", "M01b", "M07"} {
					r, err := g.Release(t.Context(), inApril(m, cut...), a)
					if err != nil {
						t.Fatalf("%s %s by %v: %v", rules.Audience, m, cut, err)
					}
					for _, c := range r.Cells() {
						key := cellKey(c.Keys)
						if m == "M01a" {
							hidden[key] = c.State != Shown
						} else if hidden[key] && c.State == Shown {
							t.Errorf("%s: %v is hidden in M01a and shown in %s", a, c.Keys, m)
						}
					}
				}
			}
		}
	}
}

// counted counts what the gate asks for.
type counted struct {
	*town
	asked []string
}

func (c *counted) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	c.asked = append(c.asked, fmt.Sprint("run ", q))
	return c.town.Run(ctx, q)
}

func (c *counted) Behind(ctx context.Context, q analytics.Query, p analytics.Party) ([]analytics.Part, error) {
	c.asked = append(c.asked, fmt.Sprint("behind ", q, p))
	return c.town.Behind(ctx, q, p)
}

// Recipe 16, time: hidden or shown, a table goes the same way. The engine, the
// auditor and the register are asked the same, in the same order.
func TestRecipe_16HiddenGoesTheSameWay(t *testing.T) {
	var ways [2][]string
	var shown [2]int
	for n := range ways {
		e := even("cafe", "books", "sport")
		customers := 1
		if n == 1 {
			customers = 20
		}
		for s := range 8 {
			for i := range customers {
				e.pays = append(e.pays, pay{
					day: "2026-04-02", shop: fmt.Sprint("x", s), person: fmt.Sprint("x", s, i), industry: "x",
					area: fmt.Sprint("a", s%2), age: "20s", home: "h0", yen: 1000,
				})
			}
		}
		c := &counted{town: e}
		register := &memoryRegister{}
		g := &Gate{Engine: c, Now: after, Register: register, Audit: func(ctx context.Context, d *dossier.Dossier) error {
			c.asked = append(c.asked, fmt.Sprintf("audit of %d tables", len(d.Tables)))
			return attack(ctx, d)
		}}
		for range 2 {
			for _, by := range [][]string{nil, {"industry"}, {"industry", "shop_area"}} {
				r := mustRelease(t, g, inApril("M01a", by...), Public)
				shown[n] += len(r.Cells()) - r.Hidden()
				c.asked = append(c.asked, fmt.Sprint("register of ", len(register.records)))
			}
		}
		ways[n] = c.asked
	}
	if shown[0] == shown[1] {
		t.Fatal("the same is hidden in both: the test shows nothing")
	}
	if !slices.Equal(ways[0], ways[1]) {
		t.Errorf("what is hidden goes another way:\n%s\nand\n%s", strings.Join(ways[0], "\n"), strings.Join(ways[1], "\n"))
	}
}

// Failure is closed: without a verdict nothing leaves, and nothing is kept.
func TestRelease_NoVerdictNoRelease(t *testing.T) {
	ended, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	auditor := func(ctx context.Context, d *dossier.Dossier) error {
		_, err := audit.Audit(ctx, d, audit.Options{})
		return err
	}
	for name, c := range map[string]struct {
		ctx    context.Context
		audit  func(context.Context, *dossier.Dossier) error
		engine analytics.Engine
		want   error
	}{
		"the auditor finds something":  {t.Context(), func(context.Context, *dossier.Dossier) error { return errAudit }, nil, ErrDiscloses},
		"the auditor has no answer":    {t.Context(), func(context.Context, *dossier.Dossier) error { return audit.ErrNotAudited }, nil, audit.ErrNotAudited},
		"the auditor's time is over":   {ended, auditor, nil, context.DeadlineExceeded},
		"an amount is no number":       {t.Context(), auditor, spoilt{even("cafe"), math.NaN()}, nil},
		"an amount is infinite":        {t.Context(), auditor, spoilt{even("cafe"), math.Inf(1)}, nil},
		"an amount is less than zero":  {t.Context(), auditor, spoilt{even("cafe"), -1e6}, nil},
		"a dossier that contradicts":   {t.Context(), func(context.Context, *dossier.Dossier) error { return audit.ErrInconsistent }, nil, audit.ErrInconsistent},
		"the auditor cannot read it":   {t.Context(), func(context.Context, *dossier.Dossier) error { return audit.ErrMalformed }, nil, audit.ErrMalformed},
		"the auditor is not there yet": {t.Context(), func(context.Context, *dossier.Dossier) error { return errors.New("no auditor") }, nil, ErrDiscloses},
	} {
		register := &memoryRegister{}
		e := cmp.Or[analytics.Engine](c.engine, newTown(12, 2000))
		g := &Gate{Engine: e, Now: after, Register: register, Audit: c.audit}
		r, err := g.Release(c.ctx, inApril("M01a", "industry"), Public)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if len(r.Cells()) > 0 || len(register.records) > 0 || len(g.released) > 0 {
			t.Errorf("%s: something was released", name)
		}
	}
}

// spoilt is a town of which one amount behind the cells is not one.
type spoilt struct {
	*town
	amount float64
}

func (s spoilt) Behind(ctx context.Context, q analytics.Query, p analytics.Party) ([]analytics.Part, error) {
	parts, err := s.town.Behind(ctx, q, p)
	if len(parts) > 0 {
		parts[0].Yen = s.amount
	}
	return parts, err
}

// What a reader does to a table that it was given changes nothing for the next.
func TestReleased_IsNotChangedByItsReaders(t *testing.T) {
	g := newGate(newTown(13, 3000))
	q := inApril("M01a", "industry", "shop_area")
	want := shownOf(mustRelease(t, g, q, Public))
	r := mustRelease(t, g, q, Public)
	for i := range r.Cells() {
		c := r.Cells()[i]
		c.Keys[0], c.State = "another", Shown
		r.Cells()[i].State = Shown
	}
	r.Query().By[0] = "age_band"
	r.Dims()[0].Name = "age_band"
	if got := shownOf(mustRelease(t, g, q, Public)); !reflect.DeepEqual(got, want) {
		t.Error("a reader changed a table for everybody")
	}
}

// Recipe 8: a share of 0 or 1 is true of everybody in the cell, however many they
// are; and a quartile is nearly somebody's own amount where few are beside it. For
// the public neither is shown.
func TestRecipe_8Homogeneity(t *testing.T) {
	rules, err := RulesFor(Public)
	if err != nil {
		t.Fatal(err)
	}
	plan := &placed{By: []string{"industry"}, Hidden: map[string]bool{"a": false, "b": false, "c": false, "d": false}}
	share := analytics.Table{Query: inApril("M08", "industry"), Dims: []analytics.Column{{Name: "industry"}}, Measures: []analytics.Column{{Name: "rate", Unit: analytics.Ratio}},
		Cells: []analytics.Cell{
			{Keys: []string{"a"}, Values: []float64{1}, Persons: 500, Shops: 9}, {Keys: []string{"b"}, Values: []float64{0}, Persons: 500, Shops: 9},
			{Keys: []string{"c"}, Values: []float64{0.5}, Persons: 500, Shops: 9}, {Keys: []string{"d"}, Values: []float64{math.NaN()}, Persons: 500, Shops: 9},
		}}
	none := about{how: protection{Treatment: Treatment{Method: Suppression}}}
	r, why, err := apply(share, rules, plan, []string{"industry"}, none, after())
	if err != nil {
		t.Fatal(err)
	}
	for i, hidden := range []bool{true, true, false} {
		if got := r.Cells()[i].State == Suppressed; got != hidden {
			t.Errorf("a share of %v: hidden is %v", share.Cells[i].Values, got)
		}
	}
	if len(why) != 2 || why[0].Why != Group {
		t.Errorf("the reasons are %+v", why)
	}
	amounts := share
	amounts.Metric.Quartiles, amounts.Measures = true, []analytics.Column{{Name: "median_yen", Unit: analytics.Yen}}
	for persons, hidden := range map[int64]bool{4*rules.MinPersons - 1: true, 4 * rules.MinPersons: false} {
		amounts.Cells = []analytics.Cell{{Keys: []string{"a"}, Values: []float64{1200}, Persons: persons, Shops: 9}}
		r, _, err := apply(amounts, rules, plan, []string{"industry"}, none, after())
		if err != nil || (r.Cells()[0].State == Suppressed) != hidden {
			t.Errorf("quartiles of %d persons: hidden is %v, %v", persons, r.Cells()[0].State == Suppressed, err)
		}
	}
}
