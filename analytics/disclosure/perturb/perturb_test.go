package perturb

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cumulative makes rows of a p-table from cumulative probabilities, as they are
// printed in examples, without the checks of a PTable.
func cumulative(rows ...map[int64]float64) *PTable {
	t := &PTable{}
	for _, m := range rows {
		var row []outcome
		last := uint64(0)
		for _, v := range slices.Sorted(maps.Keys(m)) {
			to := uint64(m[v] * one)
			row = append(row, outcome{v, to - last})
			last = to
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// The example of the Handbook on Statistical Disclosure Control: record keys
// .9, .3 and .6, count 3, amount 300 with largest contribution 200.
func TestCellKey_HandbookExample(t *testing.T) {
	key := func(f float64) Key { return Key(uint64(f * one)) }
	table := cumulative(
		map[int64]float64{0: 1},
		map[int64]float64{-1: .5, 1: 1},
		map[int64]float64{0: .8, 1: 1},
		map[int64]float64{-1: .3, 0: .7, 1: 1},
	)
	sum := Sum(key(.9), key(.3), key(.6))
	if f := float64(sum) / one; math.Abs(f-.8) > 1e-8 {
		t.Errorf("cell key is %v, want .8", f)
	}
	if got := 3 + table.deviation(3, sum); got != 4 {
		t.Errorf("count 3 becomes %d, want 4", got)
	}
	for _, c := range []struct {
		scale *big.Rat
		want  int64
	}{{big.NewRat(1, 2), 400}, {big.NewRat(3, 5), 360}} {
		got, err := table.amount(Amount{300, 200, sum}, c.scale)
		if err != nil || got != c.want {
			t.Errorf("amount 300 with scale %v becomes %d (%v), want %d", c.scale, got, err, c.want)
		}
	}
}

// The p-table of τ-ARGUS's test data (tau_testW): D = 7, variance 4, no 1 or 2.
func TestNewPTable_IsThatOfTauArgus(t *testing.T) {
	table, err := NewPTable(Params{7, big.NewRat(4, 1), 2})
	if err != nil {
		t.Fatal(err)
	}
	row := table.rows[1]
	for i, want := range []float64{.775078851, .0873643732} {
		if got := float64(row[i].weight) / one; math.Abs(got-want) > 2e-9 {
			t.Errorf("count 1 becomes %d with %.10f, want %.10f", 1+row[i].move, got, want)
		}
	}
	if len(row) != 7 || row[1].move != 2 || row[6].move != 7 {
		t.Errorf("count 1 has the outcomes %v", row)
	}
}

func TestPTable_Properties(t *testing.T) {
	made := 0
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Int64Range(1, 12).Draw(t, "d")
		p := Params{d, big.NewRat(rapid.Int64Range(1, 4*d).Draw(t, "variance"), 4), rapid.Int64Range(0, 3).Draw(t, "forbidden")}
		table, err := NewPTable(p)
		if err != nil {
			if !errors.Is(err, ErrPTable) {
				t.Fatalf("error %v", err)
			}
			return
		}
		made++
		n := rapid.Int64Range(0, 40).Draw(t, "n")
		key := Key(rapid.Uint32().Draw(t, "key"))
		pt, err := NewPerturber(table, big.NewRat(1, 3))
		if err != nil {
			t.Fatal(err)
		}
		got, err := pt.Counts([]Cell{{n, key}, {n, key}})
		switch {
		case err != nil:
			t.Fatal(err)
		case got[0] != got[1]:
			t.Fatalf("the same cell became %d and %d", got[0], got[1])
		case got[0] < 0 || got[0] > 0 && got[0] <= p.Forbidden || n == 0 && got[0] != 0:
			t.Fatalf("count %d became %d", n, got[0])
		case max(got[0]-n, n-got[0]) > d:
			t.Fatalf("count %d became %d, more than %d away", n, got[0], d)
		}
		largest := rapid.Int64Range(1, 1000).Draw(t, "largest")
		a := Amount{largest + rapid.Int64Range(0, 5000).Draw(t, "others"), largest, key}
		out, err := pt.Amounts([]Amount{a})
		if err != nil || out[0] < 0 || math.Abs(float64(out[0]-a.Value)) > float64(d*largest)/3+1 {
			t.Fatalf("amount %+v became %v (%v)", a, out, err)
		}
		again, err := ParsePTable(table.Document())
		if err != nil || string(again.Document()) != string(table.Document()) {
			t.Fatalf("the document does not read as it was written: %v", err)
		}
	})
	if made < 10 {
		t.Errorf("only %d tables could be made", made)
	}
}

// Over all keys, deviations have their probabilities exactly: here by counting
// the keys at which the outcome changes.
func TestPTable_ProbabilitiesAreExact(t *testing.T) {
	table, err := NewPTable(Params{5, big.NewRat(2, 1), 0})
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(len(table.rows)) {
		var sum uint64
		for _, o := range table.rows[n] {
			if got := table.deviation(n, Key(sum+1)); got != o.move {
				t.Errorf("count %d key %d moves by %d, want %d", n, sum+1, got, o.move)
			}
			sum += o.weight
			if got := table.deviation(n, Key(sum)); got != o.move {
				t.Errorf("count %d key %d moves by %d, want %d", n, sum, got, o.move)
			}
		}
	}
}

func TestParsePTable_Refuses(t *testing.T) {
	table, err := NewPTable(Params{2, big.NewRat(1, 1), 0})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*document){
		"a row less":               func(d *document) { d.Rows = d.Rows[1:] },
		"0 that moves":             func(d *document) { d.Rows[0][0][0] = 1 },
		"a mean that is not 0":     func(d *document) { d.Rows[3][0][1]--; d.Rows[3][1][1]++ },
		"a sum that is not 1":      func(d *document) { d.Rows[3][0][1]--; d.Rows[3][4][1]-- },
		"another variance":         func(d *document) { d.Variance = "2" },
		"a variance that is none":  func(d *document) { d.Variance = "1e99999999" },
		"a smaller deviation":      func(d *document) { d.Deviation = 1; d.Rows = d.Rows[:3] },
		"forbidden counts":         func(d *document) { d.Forbidden = 1; d.Rows = append(d.Rows, d.Rows[3]) },
		"deviations out of order":  func(d *document) { slices.Reverse(d.Rows[3]) },
		"a negative weight":        func(d *document) { d.Rows[3][0][1] = -1 },
		"a count that is negative": func(d *document) { d.Rows[1] = d.Rows[3] },
	} {
		var d document
		if err := json.Unmarshal(table.Document(), &d); err != nil {
			t.Fatal(err)
		}
		change(&d)
		b, _ := json.Marshal(d)
		if _, err := ParsePTable(b); !errors.Is(err, ErrPTable) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := ParsePTable(append(table.Document(), '1')); !errors.Is(err, ErrPTable) {
		t.Errorf("something after it: error %v", err)
	}
}

func FuzzParsePTable(f *testing.F) {
	for _, p := range []Params{{2, big.NewRat(1, 1), 0}, {7, big.NewRat(4, 1), 2}} {
		table, err := NewPTable(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(table.Document())
	}
	f.Add([]byte(`{"deviation":1,"variance":"1/2","forbidden":0,"rows":[[[0,4294967296]],[[0]]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ParsePTable(b)
		if err != nil {
			if !errors.Is(err, ErrPTable) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := ParsePTable(table.Document())
		if err != nil || string(again.Document()) != string(table.Document()) {
			t.Errorf("the document does not read as it was written: %v", err)
		}
		for n := range int64(len(table.rows) + 3) {
			for _, k := range []Key{0, 1, 1 << 31, math.MaxUint32} {
				if m := n + table.deviation(n, k); m < 0 || n == 0 && m != 0 {
					t.Errorf("count %d becomes %d", n, m)
				}
			}
		}
	})
}

// Two tables over the same records, grouped and ordered in different ways: cells
// with the same records have the same figures.
func TestPerturb_SameRecordsSameNoise(t *testing.T) {
	keys, err := NewKeys(make([]byte, 32), "persons")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := NewKeys(make([]byte, 32), "yen")
	table, err := NewPTable(Params{5, big.NewRat(3, 1), 0})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := NewPerturber(table, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	ward, shop := map[int]Cell{}, map[int]Cell{} // shop s is in ward s/3; ward 9 has one shop
	var noise, different int
	for i := range 3000 {
		k := keys.Record(fmt.Appendf(nil, "person %d", i))
		if k != other.Record(fmt.Appendf(nil, "person %d", i)) {
			different++
		}
		s := rng.IntN(28)
		c := shop[s]
		shop[s] = Cell{c.Count + 1, c.Key + k}
	}
	if different < 2990 {
		t.Errorf("only %d of 3,000 records have other keys for another measure", different)
	}
	order := rng.Perm(28)
	for _, s := range order {
		c := ward[s/3]
		ward[s/3] = Cell{c.Count + shop[s].Count, c.Key + shop[s].Key}
	}
	byWard, _ := p.Counts([]Cell{ward[9], ward[0]})
	byShop, _ := p.Counts([]Cell{shop[0], shop[27]})
	if byWard[0] != byShop[1] {
		t.Errorf("the shop has %d and the ward that is it alone %d", byShop[1], byWard[0])
	}
	for s := range 28 {
		got, _ := p.Counts([]Cell{shop[s]})
		if got[0] != shop[s].Count {
			noise++
		}
	}
	if noise < 10 {
		t.Errorf("only %d of 28 counts have moved", noise)
	}
}

func TestPerturber_TellsNothing(t *testing.T) {
	table, err := NewPTable(Params{5, big.NewRat(3, 1), 0})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := NewPerturber(table, nil)
	keys, _ := NewKeys(make([]byte, 32), "persons")
	for _, v := range []any{p, table, keys} {
		for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
			if got := fmt.Sprintf(f, v); got != hidden {
				t.Errorf("%s of %T is %q", f, v, got)
			}
		}
	}
}

func TestPerturber_Refuses(t *testing.T) {
	table, err := NewPTable(Params{5, big.NewRat(3, 1), 0})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := NewPerturber(table, big.NewRat(1, 2))
	if _, err := p.Counts([]Cell{{Count: -1}}); !errors.Is(err, ErrNegative) {
		t.Errorf("a negative count: error %v", err)
	}
	for want, a := range map[error]Amount{ErrNegative: {Value: -1}, ErrLargest: {Value: 5, Largest: 6}} {
		if _, err := p.Amounts([]Amount{a}); !errors.Is(err, want) {
			t.Errorf("amount %+v: error %v, want %v", a, err, want)
		}
	}
	if got, err := p.Amounts([]Amount{{}}); err != nil || got[0] != 0 {
		t.Errorf("0 became %v (%v)", got, err)
	}
	if _, err := NewKeys([]byte("short"), "yen"); !errors.Is(err, ErrKey) {
		t.Errorf("a short key: error %v", err)
	}
}
