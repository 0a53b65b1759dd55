package budget

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// bits is a source that gives the same bits in every run.
func bits(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// The chi-square statistic of draws against the exact probabilities. Seeds are
// fixed, so the tests say the same in every run; the bound is four standard
// deviations above what is expected.
func TestSampler_DrawsTheExactDistribution(t *testing.T) {
	const n = 15_000
	for i, c := range []struct {
		name  string
		scale *big.Rat
		draw  func(*Sampler, *big.Rat) (*big.Int, error)
		mass  func(x, scale float64) float64
	}{
		{"Laplace", big.NewRat(1, 3), (*Sampler).Laplace, func(x, s float64) float64 { return math.Exp(-math.Abs(x) / s) }},
		{"Laplace", big.NewRat(3, 2), (*Sampler).Laplace, func(x, s float64) float64 { return math.Exp(-math.Abs(x) / s) }},
		{"Laplace", big.NewRat(20, 1), (*Sampler).Laplace, func(x, s float64) float64 { return math.Exp(-math.Abs(x) / s) }},
		{"Gaussian", big.NewRat(1, 2), (*Sampler).Gaussian, func(x, v float64) float64 { return math.Exp(-x * x / 2 / v) }},
		{"Gaussian", big.NewRat(9, 1), (*Sampler).Gaussian, func(x, v float64) float64 { return math.Exp(-x * x / 2 / v) }},
		{"Gaussian", big.NewRat(500, 3), (*Sampler).Gaussian, func(x, v float64) float64 { return math.Exp(-x * x / 2 / v) }},
	} {
		scale, _ := c.scale.Float64()
		s := NewSampler(bits(byte(i)))
		seen := map[int64]int{}
		for range n {
			x, err := c.draw(s, c.scale)
			if err != nil {
				t.Fatal(err)
			}
			seen[x.Int64()]++
		}
		const far = 1000
		total := 0.0
		for x := -far; x <= far; x++ {
			total += c.mass(float64(x), scale)
		}
		chi, classes, rest, left := 0.0, 0, 1.0, n
		for x := int64(-far); x <= far; x++ {
			p := c.mass(float64(x), scale) / total
			if p*n < 8 {
				continue
			}
			d := float64(seen[x]) - p*n
			chi += d * d / (p * n)
			classes, rest, left = classes+1, rest-p, left-seen[x]
		}
		if rest*n >= 8 { // all others together
			d := float64(left) - rest*n
			chi += d * d / (rest * n)
			classes++
		}
		df := float64(classes - 1)
		if bound := df + 4*math.Sqrt(2*df); chi > bound {
			t.Errorf("%s %v: chi-square %.1f over %d classes, more than %.1f", c.name, c.scale, chi, classes, bound)
		}
	}
}

func TestSampler_EndsWhenTheSourceFails(t *testing.T) {
	for n := range 12 {
		s := NewSampler(io.LimitReader(bits(1), int64(n)))
		for range 1000 {
			if _, err := s.Gaussian(big.NewRat(10_000, 1)); err != nil {
				break
			}
		}
		if _, err := s.Laplace(big.NewRat(5, 1)); err == nil {
			t.Errorf("after %d bytes there still is noise", n)
		}
	}
	s := NewSampler(bits(1))
	if _, err := s.Laplace(new(big.Rat)); !errors.Is(err, ErrMechanism) {
		t.Errorf("scale 0: error %v", err)
	}
	if _, err := s.Gaussian(big.NewRat(-1, 2)); !errors.Is(err, ErrMechanism) {
		t.Errorf("a negative variance: error %v", err)
	}
}

func TestMechanism_WithinHolds95Percent(t *testing.T) {
	for _, m := range []Mechanism{
		{Pure, Cost{Value: big.NewRat(1, 2)}, Bounds{Cells: 3}},
		{Pure, Cost{Value: big.NewRat(4, 1)}, Bounds{Cells: 1}},
		{ZCDP, Cost{Value: big.NewRat(1, 50)}, Bounds{Cells: 2}},
		{ZCDP, Cost{Value: big.NewRat(2, 1)}, Bounds{Cells: 1}},
	} {
		s := NewSampler(bits(9))
		w, in := m.within(Persons), 0
		const n = 4000
		for range n {
			x, err := m.noise(s, Persons)
			if err != nil {
				t.Fatal(err)
			}
			if x.CmpAbs(big.NewInt(w)) <= 0 {
				in++
			}
		}
		if share := float64(in) / n; share < .94 {
			t.Errorf("%s %s: %.3f of the noise is within %d", m.Kind, m.Cost.Value.RatString(), share, w)
		}
	}
}

// The stochastic tester: of two databases that differ by one person, no outcome
// may be more than e^ε times as likely with one as with the other. The slack is
// for chance; the same tester must find noise that is half as wide as needed.
func TestMechanism_NeighboursLookAlike(t *testing.T) {
	q, err := Query{Snapshot: "s", Measure: Yen, By: []string{"area"}, Cells: [][]string{{"a"}, {"b"}, {"c"}}}.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	without := []Contribution{{"p1", "a", 2}, {"p2", "b", 1}, {"p2", "c", -4}}
	with := append(slices.Clone(without), Contribution{"p3", "a", 100}, Contribution{"p3", "b", 100}, Contribution{"p3", "c", 100})
	right := Mechanism{Pure, Cost{Value: big.NewRat(1, 1)}, Bounds{Cells: 2, Yen: 2}}
	const n, slack = 6_000, 4
	const share = math.E / (1 + math.E) // of x in x+y, at most
	excess := func(x, y int) float64 {
		n := float64(x + y)
		if n < 10 {
			return 0
		}
		return (float64(x) - n*share) / math.Sqrt(n*share*(1-share))
	}
	worst := func(m Mechanism) float64 {
		sums := func(list []Contribution, seed byte) map[int64]int {
			random, seen := bits(seed), map[int64]int{}
			for range n {
				a, err := m.answer(q, list, random)
				if err != nil {
					t.Fatal(err)
				}
				// Attackers may combine cells.
				seen[min(a.Cells[0].Value, a.Cells[1].Value, a.Cells[2].Value)]++
				seen[1000+max(a.Cells[0].Value, a.Cells[1].Value, a.Cells[2].Value)]++
				for i, c := range a.Cells {
					seen[int64(2000+1000*i)+c.Value]++
				}
				low := int64(0) // events in which all cells are small at once
				for _, c := range a.Cells {
					if c.Value <= 1 {
						low++
					}
				}
				seen[10_000+low]++
			}
			return seen
		}
		x, y := sums(with, 3), sums(without, 4)
		top := 0.0 // by how many standard deviations an outcome exceeds e^1 times the other
		for k := range x {
			top = max(top, excess(x[k], y[k]))
		}
		for k := range y {
			top = max(top, excess(y[k], x[k]))
		}
		return top
	}
	got := worst(right)
	if got > slack {
		t.Errorf("an outcome is more than e^1 times as likely with a person as without, by %.1f deviations", got)
	}
	sums, err := right.Bounds.sums(Yen, "s", q.Names(), with)
	if err != nil || sums[0]+sums[1]+sums[2] != 3+4 {
		t.Errorf("bounded sums are %v (%v), want the person with 2 in two cells", sums, err)
	}
	wrong := right // half as wide as it claims
	wrong.Cost.Value = big.NewRat(2, 1)
	got = worst(wrong)
	t.Logf("noise that is too narrow is %.1f deviations off", got)
	if got <= slack {
		t.Errorf("the tester does not see noise that is too narrow: %.1f deviations", got)
	}
}

func desk(limit *big.Rat, kind Kind, list []Contribution) (*Desk, *Memory) {
	store := &Memory{}
	return &Desk{
		Accounts: &Accounts{
			Store: store,
			Find: func(_ context.Context, r string) (Account, error) {
				if r == "nobody" {
					return Account{}, ErrNoAccount
				}
				return Account{Recipient: r, Kind: kind, Limit: Cost{limit, big.NewRat(1, 1_000_000)}}, nil
			},
			Now: func() time.Time { return time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC) },
		},
		Source: func(context.Context, Query) ([]Contribution, error) { return list, nil },
		Random: bits(7),
	}, store
}

var (
	people = []Contribution{
		{"p1", CellName("20s", "north"), 300}, {"p2", CellName("20s", "north"), 500},
		{"p2", CellName("30s", "south"), 700}, {"p3", CellName("30s", "south"), 1_000_000},
	}
	question = Query{
		Snapshot: "sha256:1", Measure: Yen, By: []string{"area", "age"},
		Where: []Filter{{"industry", []string{"food", "drinks"}}, {"month", []string{"2026-10"}}},
		Cells: [][]string{{"north", "20s"}, {"south", "30s"}},
	}
	ten = Mechanism{Pure, Cost{Value: big.NewRat(1, 10)}, Bounds{Cells: 2, Yen: 10_000}}
)

// Attack 9: a question asked 1,000 times, under other names and in other orders,
// has one answer, and averaging it tells nothing.
func TestDesk_RepeatedQuestionsHaveOneAnswer(t *testing.T) {
	for _, kind := range []Kind{Pure, ZCDP} {
		d, store := desk(big.NewRat(1, 1), kind, people)
		m := ten
		m.Kind = kind
		first, repeated, err := d.Answer(t.Context(), "uni", question, m)
		if err != nil || repeated {
			t.Fatalf("repeated %v, error %v", repeated, err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 1000 {
			q := question
			q.Label = fmt.Sprintf("question %d", i)
			q.Where = append(slices.Clone(q.Where), q.Where[rng.IntN(2)])
			rng.Shuffle(len(q.Where), func(i, j int) { q.Where[i], q.Where[j] = q.Where[j], q.Where[i] })
			for j := range q.Where {
				v := slices.Clone(q.Where[j].Values)
				v = append(v, v[0])
				slices.Reverse(v)
				q.Where[j].Values = v
			}
			q.Cells = append(slices.Clone(q.Cells), q.Cells[rng.IntN(2)])
			if i%2 == 0 {
				q.By = []string{"age", "area"}
				for j, c := range q.Cells {
					q.Cells[j] = []string{c[1], c[0]}
				}
			}
			a, repeated, err := d.Answer(t.Context(), "uni", q, m)
			if err != nil || !repeated || !reflect.DeepEqual(a, first) {
				t.Fatalf("question %d: %+v, repeated %v, error %v; the first answer was %+v", i, a, repeated, err, first)
			}
		}
		left, err := d.Accounts.Left(t.Context(), "uni")
		if err != nil || left.Value.Cmp(big.NewRat(9, 10)) != 0 || len(store.list["uni"]) != 1 {
			t.Errorf("%v is left, error %v, after %d entries", left.Value, err, len(store.list["uni"]))
		}
	}
}

// Attack 9: parts that are asked apart and added up cost each, until the account
// is used up; what was answered is still answered then.
func TestDesk_SplitQuestionsCost(t *testing.T) {
	d, _ := desk(big.NewRat(3, 10), Pure, people)
	ask := func(values ...string) error {
		q := question
		q.Where = []Filter{{"industry", values}}
		_, _, err := d.Answer(t.Context(), "uni", q, ten)
		return err
	}
	for i, parts := range [][]string{{"food", "drinks"}, {"food"}, {"drinks"}} {
		if err := ask(parts...); err != nil {
			t.Fatalf("question %d: %v", i, err)
		}
	}
	if err := ask("books"); !errors.Is(err, ErrUsedUp) {
		t.Errorf("a fourth question: error %v", err)
	}
	if err := ask("drinks", "food"); err != nil {
		t.Errorf("the first question again: %v", err)
	}
	exact := ten
	exact.Cost.Value = big.NewRat(1, 1)
	if _, _, err := d.Answer(t.Context(), "uni", question, exact); !errors.Is(err, ErrUsedUp) {
		t.Errorf("the first question, more exactly: error %v", err)
	}
	later := question
	later.Snapshot = "sha256:2"
	if _, _, err := d.Answer(t.Context(), "uni", later, ten); !errors.Is(err, ErrUsedUp) {
		t.Errorf("the first question about other data: error %v", err)
	}
	if _, _, err := d.Answer(t.Context(), "nobody", question, ten); !errors.Is(err, ErrNoAccount) {
		t.Errorf("a recipient without account: error %v", err)
	}
}

// Ten tenths are one: as floats they are not.
func TestAccounts_FractionsAddUpExactly(t *testing.T) {
	d, _ := desk(big.NewRat(1, 1), Pure, nil)
	spend := func(i int) error {
		_, _, err := d.Accounts.Spend(t.Context(), "uni", Pure, Cost{Value: big.NewRat(1, 10)}, fmt.Sprint(i), func() ([]byte, error) { return []byte("x"), nil })
		return err
	}
	for i := range 10 {
		if err := spend(i); err != nil {
			t.Fatalf("tenth %d: %v", i, err)
		}
	}
	if err := spend(10); !errors.Is(err, ErrUsedUp) {
		t.Errorf("the eleventh tenth: error %v", err)
	}
}

// Two processes that spend from one account at once do not overdraw it, and one
// question has one answer.
func TestAccounts_Concurrent(t *testing.T) {
	d, store := desk(big.NewRat(5, 1), Pure, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers, refused := map[string][]byte{}, 0
	for i := range 60 {
		wg.Go(func() {
			print := fmt.Sprint(i % 20)
			b, _, err := d.Accounts.Spend(t.Context(), "uni", Pure, Cost{Value: big.NewRat(1, 2)}, print, func() ([]byte, error) { return fmt.Append(nil, i), nil })
			mu.Lock()
			defer mu.Unlock()
			switch before := answers[print]; {
			case errors.Is(err, ErrUsedUp):
				refused++
			case err != nil:
				t.Error(err)
			case before != nil && !bytes.Equal(before, b):
				t.Errorf("question %s has the answers %s and %s", print, before, b)
			default:
				answers[print] = b
			}
		})
	}
	wg.Wait()
	if len(store.list["uni"]) != 10 || len(answers) != 10 || refused == 0 {
		t.Errorf("%d entries, %d answers, %d refused; want 10, 10 and some", len(store.list["uni"]), len(answers), refused)
	}
}

func TestAccounts_SeeChangedEntries(t *testing.T) {
	for name, change := range map[string]func(m *Memory){
		"a cheaper entry":   func(m *Memory) { m.list["uni"][0].Cost = "1/100" },
		"another answer":    func(m *Memory) { m.list["uni"][1].Answer[0]++ },
		"a removed entry":   func(m *Memory) { m.list["uni"] = m.list["uni"][1:] },
		"a moved entry":     func(m *Memory) { l := m.list["uni"]; l[0], l[1] = l[1], l[0] },
		"another recipient": func(m *Memory) { m.list["uni"][0].Recipient = "other" },
	} {
		d, store := desk(big.NewRat(1, 1), Pure, people)
		for _, s := range []string{"1", "2", "3"} {
			q := question
			q.Snapshot = s
			if _, _, err := d.Answer(t.Context(), "uni", q, ten); err != nil {
				t.Fatal(err)
			}
		}
		change(store)
		if _, _, err := d.Answer(t.Context(), "uni", question, ten); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// failing is a store that cannot write.
type failing struct{ Memory }

func (*failing) Append(context.Context, Entry) error { return io.ErrClosedPipe }

// An answer that could not be recorded is not given, and one that could not be
// made costs nothing.
func TestDesk_FailsClosed(t *testing.T) {
	d, store := desk(big.NewRat(1, 1), Pure, people)
	d.Accounts.Store = &failing{}
	if a, _, err := d.Answer(t.Context(), "uni", question, ten); !errors.Is(err, io.ErrClosedPipe) || a.Cells != nil {
		t.Errorf("answer %v, error %v", a.Cells, err)
	}
	d.Accounts.Store = store
	d.Random = io.LimitReader(bits(1), 3)
	if a, _, err := d.Answer(t.Context(), "uni", question, ten); err == nil || a.Cells != nil || len(store.list) > 0 {
		t.Errorf("without randomness: answer %v, error %v", a.Cells, err)
	}
	for name, m := range map[string]Mechanism{
		"no cost":        {Pure, Cost{}, ten.Bounds},
		"a cost of 0":    {Pure, Cost{Value: new(big.Rat)}, ten.Bounds},
		"no cells":       {Pure, ten.Cost, Bounds{Yen: 1}},
		"no yen":         {Pure, ten.Cost, Bounds{Cells: 1}},
		"no kind":        {"", ten.Cost, ten.Bounds},
		"another kind":   {ZCDP, ten.Cost, ten.Bounds},
		"a needless δ":   {Pure, Cost{ten.Cost.Value, big.NewRat(1, 2)}, ten.Bounds},
		"a long cost":    {Pure, Cost{Value: new(big.Rat).SetFrac(bigOne, new(big.Int).Lsh(bigOne, 70))}, ten.Bounds},
		"a negative one": {Pure, Cost{Value: big.NewRat(-1, 2)}, ten.Bounds},
	} {
		if _, _, err := d.Answer(t.Context(), "uni", question, m); !errors.Is(err, ErrMechanism) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, change := range map[string]func(*Query){
		"no snapshot":          func(q *Query) { q.Snapshot = "" },
		"no measure":           func(q *Query) { q.Measure = "" },
		"no cells":             func(q *Query) { q.Cells = nil },
		"a dimension twice":    func(q *Query) { q.By = []string{"age", "age"} },
		"a code too few":       func(q *Query) { q.Cells = [][]string{{"north"}} },
		"contradicting filter": func(q *Query) { q.Where = append(q.Where, Filter{"month", []string{"2026-09"}}) },
		"a joined code":        func(q *Query) { q.Cells = [][]string{{"a\x1fb", "c"}} },
		"sparse yen":           func(q *Query) { q.Cells, q.Sparse = nil, true },
	} {
		q := question
		q.Where = slices.Clone(q.Where)
		change(&q)
		if _, _, err := d.Answer(t.Context(), "uni", q, ten); !errors.Is(err, ErrQuery) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Attack 17: answers are whole numbers whose granularity tells nothing, and the
// order of the contributions changes no bit, even where floats would lose yen.
func TestDesk_OrderOfContributionsChangesNothing(t *testing.T) {
	q, err := question.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var list []Contribution
		for range rng.IntN(60) {
			c := Contribution{fmt.Sprint("p", rng.IntN(9)), q.Names()[rng.IntN(2)], 1 + rng.Int64N(5)}
			switch rng.IntN(4) {
			case 0:
				c.Yen = math.MaxInt64 - rng.Int64N(9)
			case 1:
				c.Yen = math.MinInt64 + rng.Int64N(9)
			}
			list = append(list, c)
		}
		m := Mechanism{Pure, ten.Cost, Bounds{Cells: 1, Yen: 1 << 40}}
		first, err := m.answer(q, list, bits(5))
		if err != nil {
			t.Fatal(err)
		}
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		second, err := m.answer(q, list, bits(5))
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%v and %v (%v)", first, second, err)
		}
	})
	// The precision attack on float noise: with sums of 0 and of 1 the answers
	// have the same support.
	m := Mechanism{Pure, Cost{Value: big.NewRat(1, 1)}, Bounds{Cells: 1, Yen: 1}}
	support := func(list []Contribution) map[int64]bool {
		random, seen := bits(6), map[int64]bool{}
		for range 3000 {
			a, err := m.answer(q, list, random)
			if err != nil {
				t.Fatal(err)
			}
			if v := a.Cells[0].Value; v >= -3 && v <= 4 {
				seen[v] = true
			}
		}
		return seen
	}
	if a, b := support(nil), support([]Contribution{{"p", q.Names()[0], 1}}); len(a) != 8 || !reflect.DeepEqual(a, b) {
		t.Errorf("the supports are %v and %v", a, b)
	}
}

// One more person changes the bounded sums by at most the sensitivity, in L1 and
// squared L2.
func TestBounds_Sensitivity(t *testing.T) {
	cells := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		b := Bounds{rapid.Int64Range(1, 4).Draw(t, "cells"), rapid.Int64Range(1, 50).Draw(t, "yen")}
		measure := rapid.SampledFrom([]Measure{Persons, Yen}).Draw(t, "measure")
		part := func(person string) []Contribution {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Contribution {
				return Contribution{person, rapid.SampledFrom(append(cells, "x")).Draw(t, "cell"), rapid.Int64Range(-60, 100).Draw(t, "yen")}
			}), 0, 12).Draw(t, person)
		}
		base := append(part("p1"), part("p2")...)
		x, err := b.sums(measure, "s", cells, base)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.sums(measure, "s", cells, append(part("p3"), base...))
		if err != nil {
			t.Fatal(err)
		}
		var l1, l2 int64
		for i := range x {
			d := y[i] - x[i]
			if d < 0 {
				t.Fatalf("a person more made cell %d smaller", i)
			}
			l1, l2 = l1+d, l2+d*d
		}
		if s := b.step(measure); l1 > b.Cells*s || l2 > b.Cells*s*s {
			t.Fatalf("a person moved the sums by %d, squared %d", l1, l2)
		}
	})
}

// Cells that come from the data are told only from the threshold on, and one
// that is there because of one person less often than δ allows.
func TestDesk_Sparse(t *testing.T) {
	var list []Contribution
	for i := range 400 {
		list = append(list, Contribution{fmt.Sprint("p", i), "crowd", 1})
	}
	list = append(list, Contribution{"q", "alone", 1})
	d, _ := desk(big.NewRat(100, 1), Pure, list)
	m := Mechanism{Pure, Cost{big.NewRat(1, 2), big.NewRat(1, 10_000_000)}, Bounds{Cells: 2}}
	q := Query{Snapshot: "s", Measure: Persons, By: []string{"area"}, Sparse: true}
	a, _, err := d.Answer(t.Context(), "uni", q, m)
	if err != nil || len(a.Cells) != 1 || a.Cells[0].Cell != "crowd" {
		t.Fatalf("%+v, error %v", a, err)
	}
	// 2·e^(−(least−1)/4) ≤ 10⁻⁷, and not far below it.
	if p := 2 * math.Exp(-float64(a.Least-1)/4); p > 1e-7 || p < 1e-8 {
		t.Errorf("from %d on a cell is told, for a single person with P = %g", a.Least, p)
	}
	left, err := d.Accounts.Left(t.Context(), "uni")
	if err != nil || left.Delta.Cmp(big.NewRat(9, 10_000_000)) != 0 {
		t.Errorf("δ %v is left, error %v", left.Delta, err)
	}
	m.Cost.Delta = big.NewRat(1, 10)
	if _, _, err := d.Answer(t.Context(), "uni", q, m); !errors.Is(err, ErrUsedUp) {
		t.Errorf("more δ than there is: error %v", err)
	}
	// With a δ that can be measured: a single person in a cell of its own.
	m = Mechanism{Pure, Cost{big.NewRat(1, 1), big.NewRat(1, 10)}, Bounds{Cells: 1}}
	random, told := bits(8), 0
	for range 5000 {
		a, err := m.answer(q, list[400:], random)
		if err != nil {
			t.Fatal(err)
		}
		told += len(a.Cells)
	}
	if told > 500 || told == 0 {
		t.Errorf("a cell of one person was told in %d of 5,000 answers, δ allows 500", told)
	}
}

func BenchmarkSampler(b *testing.B) {
	for name, draw := range map[string]func(*Sampler) (*big.Int, error){
		"Laplace":  func(s *Sampler) (*big.Int, error) { return s.Laplace(big.NewRat(20_000, 1)) },
		"Gaussian": func(s *Sampler) (*big.Int, error) { return s.Gaussian(big.NewRat(100_000_000, 1)) },
	} {
		b.Run(name, func(b *testing.B) {
			s := NewSampler(bits(1))
			for b.Loop() {
				if _, err := draw(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
