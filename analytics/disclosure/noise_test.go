package disclosure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure/budget"
)

// Bounded implements analytics.Bounder, without a bound: package budget bounds
// whatever it is given.
func (t *town) Bounded(ctx context.Context, q analytics.Query, _ analytics.Bound) ([]analytics.Part, error) {
	return t.Behind(ctx, q, analytics.ByPerson)
}

var (
	terms = NoiseTerms{Kind: "epsilon", Budget: "1", Period: "month", Cells: 2, Yen: 5000}
	july  = time.Date(2026, 7, 1, 0, 0, 0, 0, tokyo)
	ages  = NoisyQuestion{Measure: "persons", From: "2026-04-01", To: "2026-04-30", By: []string{"sex", "age_band"}, Cost: "1/4"}
)

func newNoise(e *town, seed byte) *Noise {
	return &Noise{Engine: e, Store: &budget.Memory{}, Random: rand.NewChaCha8([32]byte{seed}), Now: after}
}

func mustCount(t testing.TB, n *Noise, q NoisyQuestion) NoisyAnswer {
	t.Helper()
	a, err := n.Answer(t.Context(), "univ", terms, july, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Attack 9, IC-8: the same question, however it is put and whatever became of the
// data, has the same answer to the bit and costs nothing; parts of it and its
// complement are other questions, and cost.
func TestNoise_SameQuestionSameAnswer(t *testing.T) {
	e := newTown(1, 2000)
	n := newNoise(e, 1)
	first := mustCount(t, n, ages)
	if first.Repeated || first.Left != "3/4" || first.Cost != "1/4" || first.Scale != "8" || len(first.Cells) != 5*12 || !reflect.DeepEqual(first.By, []string{"age_band", "sex"}) {
		t.Fatalf("%+v", first)
	}
	same := ages
	same.By, same.Cost = []string{"age_band", "sex"}, "0.25"
	e.snapshot++
	e.pays = e.pays[:100]
	for range 200 {
		again := mustCount(t, n, same)
		if !again.Repeated || again.Left != "3/4" {
			t.Fatalf("asked again: repeated %t, %s left", again.Repeated, again.Left)
		}
		again.Repeated = false
		if !reflect.DeepEqual(again, first) {
			t.Fatalf("got %+v, want %+v", again, first)
		}
	}
	for i, q := range []NoisyQuestion{
		{"persons", "2026-04-01", "2026-04-30", []string{"sex"}, "1/4"},              // its parts
		{"persons", "2026-04-01", "2026-04-30", nil, "1/8"},                          // the whole
		{"persons", "2026-05-01", "2026-05-31", []string{"sex", "age_band"}, "1/16"}, // its complement in two months
		{"yen", "2026-04-01", "2026-04-30", []string{"sex", "age_band"}, "1/16"},
		{"persons", "2026-04-01", "2026-04-30", []string{"sex", "age_band"}, "1/8"}, // more noise: another answer
	} {
		want := []string{"1/2", "3/8", "5/16", "1/4", "1/8"}[i]
		if a := mustCount(t, n, q); a.Repeated || a.Left != want {
			t.Errorf("%+v: repeated %t, %s left, want %s", q, a.Repeated, a.Left, want)
		}
	}
	over := ages
	over.Cost = "1/5"
	if _, err := n.Answer(t.Context(), "univ", terms, july, over); !errors.Is(err, ErrBudget) {
		t.Errorf("got %v, want ErrBudget", err)
	}
	if a := mustCount(t, n, ages); !a.Repeated {
		t.Error("what was answered is not answered any more")
	}
	// Another reader has an account of its own, and noise of its own.
	other, err := n.Answer(t.Context(), "press", terms, july, ages)
	if err != nil || other.Repeated || other.Left != "3/4" {
		t.Errorf("%+v, %v", other, err)
	}
	// A new period has a new budget, and the old answers.
	august := july.AddDate(0, 1, 0)
	n.Now = func() time.Time { return august.Add(time.Hour) }
	if left, answers, err := n.Account(t.Context(), "univ", terms, august); err != nil || left != "1" || answers != 6 {
		t.Errorf("%s left after %d answers, %v", left, answers, err)
	}
	if a, err := n.Answer(t.Context(), "univ", terms, august, ages); err != nil || !a.Repeated || a.Left != "1" || !reflect.DeepEqual(a.Cells, first.Cells) {
		t.Errorf("in the next period: %+v, %v", a, err)
	}
}

// Attack 17: the noise around the true bounded figure has exactly the
// distribution that the answer names.
func TestNoise_ExactDistribution(t *testing.T) {
	e := newTown(2, 3000)
	true := map[string]int64{} // by window and cell, as the engine says
	for i := range e.pays {    // each person once, so that no bound cuts anything off
		p := &e.pays[i]
		p.person = fmt.Sprint("once", i)
		true[p.day[:7]+"-01"+budget.CellName("12", p.key("weekday"))]++
	}
	for _, c := range []struct {
		kind, cost, distribution, scale string
		mass                            func(k float64) float64
	}{
		{"epsilon", "1/2", "discrete-laplace", "2", func(k float64) float64 { return math.Exp(-math.Abs(k) / 2) }},
		{"rho", "1/8", "discrete-gaussian", "4", func(k float64) float64 { return math.Exp(-k * k / 8) }},
	} {
		n := newNoise(e, 7)
		terms := NoiseTerms{Kind: c.kind, Budget: "1", Period: "month", Cells: 1}
		seen, total := map[int64]float64{}, 0.0
		for round := range 40 { // readers with accounts of their own
			for _, w := range [][2]string{{"2026-04-01", "2026-04-30"}, {"2026-05-01", "2026-05-31"}} {
				q := NoisyQuestion{"persons", w[0], w[1], []string{"weekday", "hour"}, c.cost}
				a, err := n.Answer(t.Context(), fmt.Sprint("reader", round), terms, july, q)
				if err != nil {
					t.Fatal(err)
				}
				if a.Distribution != c.distribution || a.Scale != c.scale {
					t.Fatalf("%s of scale %s, want %s of %s", a.Distribution, a.Scale, c.distribution, c.scale)
				}
				for _, cell := range a.Cells {
					seen[cell.Value-true[w[0]+budget.CellName(cell.Keys...)]]++
					total++
				}
			}
		}
		mass := 0.0
		for k := -200.0; k <= 200; k++ {
			mass += c.mass(k)
		}
		chi, rest, left, classes := 0.0, 1.0, total, 0
		for k := int64(-6); k <= 6; k++ {
			p := c.mass(float64(k)) / mass
			chi += (seen[k] - p*total) * (seen[k] - p*total) / (p * total)
			rest, left, classes = rest-p, left-seen[k], classes+1
		}
		chi += (left - rest*total) * (left - rest*total) / (rest * total)
		if bound := float64(classes) + 4*math.Sqrt(2*float64(classes)); chi > bound || total < 13_000 {
			t.Errorf("%s: chi-square %.1f over %d classes, more than %.1f; %g draws", c.kind, chi, classes+1, bound, total)
		}
	}
}

func TestNoise_Refuses(t *testing.T) {
	n := newNoise(newTown(1, 500), 1)
	for name, c := range map[string]struct {
		change func(*NoisyQuestion)
		want   error
	}{
		"shops":                    {func(q *NoisyQuestion) { q.By = []string{"industry"} }, ErrNoise},
		"places":                   {func(q *NoisyQuestion) { q.By = []string{"area"} }, ErrNoise},
		"a cut that is on no list": {func(q *NoisyQuestion) { q.By = []string{"hour", "sex"} }, ErrNotOffered},
		"another measure":          {func(q *NoisyQuestion) { q.Measure = "visits" }, ErrNoise},
		"no cost":                  {func(q *NoisyQuestion) { q.Cost = "0" }, ErrNoise},
		"a cost that is no number": {func(q *NoisyQuestion) { q.Cost = "1e-9" }, ErrNoise},
		"a division by 0":          {func(q *NoisyQuestion) { q.Cost = "1/0" }, ErrNoise},
		"half a month":             {func(q *NoisyQuestion) { q.To = "2026-04-15" }, ErrNotOffered},
		"a month that is not over": {func(q *NoisyQuestion) { q.From, q.To = "2026-07-01", "2026-07-31" }, ErrNotOffered},
		"more than there is":       {func(q *NoisyQuestion) { q.Cost = "1.000001" }, ErrBudget},
	} {
		q := ages
		c.change(&q)
		if _, err := n.Answer(t.Context(), "univ", terms, july, q); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	without := terms
	without.Yen = 0
	yen := ages
	yen.Measure = "yen"
	if _, err := n.Answer(t.Context(), "univ", without, july, yen); !errors.Is(err, ErrNoise) {
		t.Errorf("amounts without a bound: got %v, want ErrNoise", err)
	}
	if left, answers, err := n.Account(t.Context(), "univ", terms, july); err != nil || left != "1" || answers != 0 {
		t.Errorf("refusals cost: %s left, %d answers, %v", left, answers, err)
	}
	for _, bad := range []NoiseTerms{
		{Kind: "delta", Budget: "1", Cells: 1}, {Kind: "rho", Budget: "-1", Cells: 1}, {Kind: "rho", Budget: "", Cells: 1}, {Kind: "rho", Budget: "0.0", Cells: 1},
		{Kind: "rho", Budget: "1", Cells: 0}, {Kind: "rho", Budget: "1", Cells: 1, Yen: -1},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// crashing is a store that loses the answer: before it is kept, or after.
type crashing struct {
	budget.Memory
	before, afterwards bool
}

var errCrash = errors.New("the process was killed")

func (c *crashing) Append(ctx context.Context, e budget.Entry) error {
	if c.before {
		return errCrash
	}
	if err := c.Memory.Append(ctx, e); err != nil {
		return err
	}
	if c.afterwards {
		return errCrash
	}
	return nil
}

// A crash before the charge costs nothing; one after it, before the answer was
// told, leaves the answer to be had for nothing.
func TestNoise_CrashBetweenChargeAndAnswer(t *testing.T) {
	e := newTown(4, 800)
	store := &crashing{before: true}
	n := newNoise(e, 1)
	n.Store = store
	if _, err := n.Answer(t.Context(), "univ", terms, july, ages); !errors.Is(err, errCrash) {
		t.Fatalf("got %v, want the crash", err)
	}
	if left, _, err := n.Account(t.Context(), "univ", terms, july); err != nil || left != "1" {
		t.Errorf("before the charge: %s left, %v", left, err)
	}
	store.before, store.afterwards = false, true
	a, err := n.Answer(t.Context(), "univ", terms, july, ages)
	if !errors.Is(err, errCrash) || len(a.Cells) > 0 {
		t.Fatalf("an answer of which nobody knows that it was kept was told: %v", err)
	}
	kept, err := store.Entries(t.Context(), "univ")
	if err != nil || len(kept) != 1 {
		t.Fatalf("%d entries, %v", len(kept), err)
	}
	store.afterwards = false
	n.Random = strings.NewReader("") // no noise can be made any more
	a = mustCount(t, n, ages)
	if !a.Repeated || a.Left != "3/4" || !strings.Contains(string(kept[0].Answer), a.ID) {
		t.Errorf("after the crash: repeated %t, %s left", a.Repeated, a.Left)
	}
}

// The cells of an answer are those of lists and calendar, whatever the data.
func TestNoise_CellsDoNotDependOnTheData(t *testing.T) {
	for _, by := range [][]string{nil, {"month"}, {"week"}, {"weekday"}, {"weekday", "hour"}, {"age_band"}, {"sex"}, {"sex", "age_band"}} {
		q := NoisyQuestion{"persons", "2026-04-01", "2026-06-30", by, "1/10"}
		full, none := mustCount(t, newNoise(newTown(1, 2000), 1), q), mustCount(t, newNoise(&town{}, 2), q)
		for i := range full.Cells {
			if len(full.Cells) != len(none.Cells) || !reflect.DeepEqual(full.Cells[i].Keys, none.Cells[i].Keys) {
				t.Fatalf("by %v: %d cells of a town and %d of none", by, len(full.Cells), len(none.Cells))
			}
		}
		want := map[int]int{0: 1, 1: len(full.Cells), 2: len(full.Cells)}[len(by)]
		if len(full.Cells) != want || len(full.Cells) == 0 {
			t.Errorf("by %v: %d cells", by, len(full.Cells))
		}
	}
	for dim, want := range map[string]int{"month": 3, "week": 14, "day": 91, "weekday": 7, "hour": 24} {
		if codes, err := noisyCodes(dim, "2026-04-01", "2026-06-30"); err != nil || len(codes) != want {
			t.Errorf("%d %ss, want %d: %v", len(codes), dim, want, err)
		}
	}
}
