package suppress_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"meguri/analytics/disclosure/suppress"
	"meguri/internal/simplex"
)

// The cheapest pattern there is, for small tables, by the integer programme of
// Fischetti and Salazar (Solving the cell suppression problem on tabular data
// with linear constraints, Management Science 47(7), 2001): which cells are
// hidden is binary, and each attacker's linear programme yields inequalities that
// every safe pattern fulfils. Linear programmes are only asked for ideas. An
// inequality is taken when its multipliers fulfil their equations in whole
// numbers; a bound is a Lagrangian one, in whole numbers; a pattern is safe when
// another table in whole numbers shows it.

// inequality is Σ by·y ≥ least over the cells' binary y.
type inequality struct {
	cells []int32
	by    []int64
	least int64
}

// exact looks for the cheapest safe pattern.
type exact struct {
	p        *suppress.Problem
	value    []int64 // of each leaf
	total    []int64 // of each cell
	cost     []int64 // of each cell; 0 where it is hidden anyhow
	attacks  []attack
	identity *simplex.Solver // columns 2c and 2c+1: a cell, and less a cell
	columns  int

	known  map[string]bool
	cuts   []inequality
	master *master
	lower  []float64 // of each y
	upper  []float64

	best   int64
	hidden []bool // the best pattern
	nodes  int
}

// attack is a sensitive cell that must be able to be larger or smaller.
type attack struct {
	cell int32
	sign int64
	need int64
}

// newExact takes a problem whose amounts, costs and levels are whole numbers, in
// which every leaf is a cell and respondents are no attackers.
func newExact(t rapid.TB, p *suppress.Problem) *exact {
	e := &exact{p: p, known: map[string]bool{}, best: math.MaxInt64}
	whole := func(v float64) int64 {
		n := int64(math.Round(v))
		if math.Abs(v-float64(n)) > 1e-9 {
			t.Helper()
			t.Fatalf("%v is no whole number", v)
		}
		return n
	}
	for _, leaf := range p.Leaves {
		sum := 0.0
		for _, c := range leaf {
			sum += c.Amount
		}
		e.value = append(e.value, whole(sum))
	}
	a := simplex.NewMatrix(len(p.Leaves))
	for i, c := range p.Cells {
		a.Column(1, c.Leaves...)
		a.Column(-1, c.Leaves...)
		total := int64(0)
		for _, l := range c.Leaves {
			total += e.value[l]
		}
		cost, upper := whole(c.Cost), 1.0
		switch {
		case c.Sensitive:
			for sign, need := range map[int64]float64{1: c.Up, -1: c.Down} {
				if n := whole(need); n > 0 {
					e.attacks = append(e.attacks, attack{int32(i), sign, n})
				}
			}
			cost = 0
		case c.Fate == suppress.Shown:
			upper = 0
		}
		e.total, e.cost, e.upper = append(e.total, total), append(e.cost, cost), append(e.upper, upper)
		e.lower = append(e.lower, 0)
		if c.Sensitive {
			e.lower[i] = 1
		}
	}
	sort.Slice(e.attacks, func(i, j int) bool {
		return e.attacks[i].cell < e.attacks[j].cell || e.attacks[i].cell == e.attacks[j].cell && e.attacks[i].sign < e.attacks[j].sign
	})
	e.identity, e.columns = simplex.New(a), a.Columns()
	cost := make([]float64, len(e.cost))
	for i, c := range e.cost {
		cost[i] = float64(c)
	}
	e.master = newMaster(cost)
	return e
}

// whole brings numbers to whole ones of one denominator, if a small one does it.
func wholes(v []float64) (n []int64, den int64, ok bool) {
	n = make([]int64, len(v))
next:
	for den = 1; den <= 60; den++ {
		for i, x := range v {
			r := math.Round(x * float64(den))
			if math.Abs(x*float64(den)-r) > 1e-6 {
				continue next
			}
			n[i] = int64(r)
		}
		return n, den, true
	}
	return nil, 0, false
}

// combine writes a cell as a sum of multiples of others, in the cheapest way by
// the weights of adding and of taking off each. The cell itself may be used.
func (e *exact) combine(cell int32, plus, minus func(int) float64) (cells []int32, n []int64, den int64, ok bool) {
	lower, upper := make([]float64, e.columns), make([]float64, e.columns)
	var objective []simplex.Term
	for c := range e.p.Cells {
		upper[2*c], upper[2*c+1] = 50, 50
		objective = append(objective, simplex.Term{Column: int32(2 * c), Value: -plus(c) - 1e-5}, simplex.Term{Column: int32(2*c + 1), Value: -minus(c) - 1e-5})
	}
	lower[2*cell] = -1 // it stands for itself to begin with
	if _, status := e.identity.Maximize(objective, lower, upper, math.Inf(1)); status != simplex.Optimal {
		return nil, nil, 0, false
	}
	by := make([]float64, len(e.p.Cells))
	by[cell] = 1
	for _, m := range e.identity.Movement() {
		by[m.Column/2] += m.Value * float64(1-2*(m.Column%2))
	}
	all, den, ok := wholes(by)
	if !ok {
		return nil, nil, 0, false
	}
	left := make([]int64, len(e.p.Leaves))
	for _, l := range e.p.Cells[cell].Leaves {
		left[l] = den
	}
	for c, k := range all {
		if k == 0 {
			continue
		}
		cells, n = append(cells, int32(c)), append(n, k)
		for _, l := range e.p.Cells[c].Leaves {
			left[l] -= k
		}
	}
	for _, v := range left {
		if v != 0 {
			return nil, nil, 0, false
		}
	}
	return cells, n, den, true
}

// capacity is the inequality that says: the cells of a combination must leave an
// attacked cell the room that it needs. A cell can fall by what is in it, and
// rise without end.
func (e *exact) capacity(a attack, y []float64) (inequality, bool) {
	room := func(c int, sign int64) float64 {
		if sign > 0 {
			return y[c] * float64(a.need)
		}
		return y[c] * float64(min(a.need, e.total[c]))
	}
	weight := func(sign int64) func(int) float64 {
		return func(c int) float64 {
			if int32(c) == a.cell {
				return 1e6 // that it may be itself says nothing
			}
			return room(c, sign*a.sign)
		}
	}
	cells, n, den, ok := e.combine(a.cell, weight(1), weight(-1))
	if !ok || slices.Contains(cells, a.cell) {
		return inequality{}, false
	}
	q := inequality{cells: cells, least: a.need * den}
	for i, c := range cells {
		by := q.least
		if n[i]*a.sign < 0 {
			by = min(by, max(n[i], -n[i])*e.total[c])
		}
		q.by = append(q.by, by)
	}
	return q, true
}

// bridgeless is the inequality that says: the cheapest pattern hides no cell
// that can be computed, so where a cell is hidden another one of a combination is.
func (e *exact) bridgeless(cell int32, y []float64) (inequality, bool) {
	weight := func(c int) float64 {
		if int32(c) == cell {
			return 1e6
		}
		return y[c]
	}
	cells, _, _, ok := e.combine(cell, weight, weight)
	if !ok || slices.Contains(cells, cell) {
		return inequality{}, false
	}
	q := inequality{cells: append(cells, cell)}
	for range cells {
		q.by = append(q.by, 1)
	}
	q.by = append(q.by, -1)
	return q, true
}

// add adds an inequality that a solution breaks.
func (e *exact) add(q inequality, y []float64) bool {
	reached := 0.0
	for i, c := range q.cells {
		reached += float64(q.by[i]) * y[c]
	}
	if reached > float64(q.least)-1e-4*float64(max(1, q.least)) {
		return false
	}
	var name strings.Builder
	for i, c := range q.cells {
		name.WriteString(string(rune(c+1)) + string(rune(1000+q.by[i])))
	}
	if e.known[name.String()] {
		return false
	}
	e.known[name.String()] = true
	e.cuts = append(e.cuts, q)
	e.master.add(q)
	return true
}

// separate adds inequalities that a solution of the master breaks.
func (e *exact) separate(y []float64, all bool) (added int) {
	for _, a := range e.attacks {
		if q, ok := e.capacity(a, y); ok && e.add(q, y) {
			added++
		}
	}
	if added > 0 && !all {
		return added
	}
	for c := range e.p.Cells {
		if y[c] > 1e-6 && e.cost[c] > 0 {
			if q, ok := e.bridgeless(int32(c), y); ok && e.add(q, y) {
				added++
			}
		}
	}
	return added
}

// safe reports whether a pattern protects every cell: another table shows it, in
// whole numbers.
func (e *exact) safe(hidden []bool) bool {
	shown := 0
	in := make([][]int32, len(e.p.Leaves))
	for i, c := range e.p.Cells {
		if !hidden[i] {
			for _, l := range c.Leaves {
				in[l] = append(in[l], int32(shown))
			}
			shown++
		}
	}
	m := simplex.NewMatrix(shown)
	lower, upper := make([]float64, len(in)), make([]float64, len(in))
	for l, rows := range in {
		m.Column(1, rows...)
		lower[l], upper[l] = -float64(e.value[l]), math.Inf(1)
	}
	s := simplex.New(m)
	for _, a := range e.attacks {
		var objective []simplex.Term
		for _, l := range e.p.Cells[a.cell].Leaves {
			objective = append(objective, simplex.Term{Column: l, Value: float64(a.sign)})
		}
		if _, status := s.Maximize(objective, lower, upper, float64(a.need)); status == simplex.Failed {
			return false
		}
		by := make([]float64, len(in))
		for _, t := range s.Movement() {
			by[t.Column] = t.Value
		}
		if !e.shows(hidden, a, by) {
			return false
		}
	}
	return true
}

// shows reports whether a movement is another table that an outsider cannot tell
// from the true one, and in which a cell is as far away as it must be.
func (e *exact) shows(hidden []bool, a attack, by []float64) bool {
	n, den, ok := wholes(by)
	if !ok {
		return false
	}
	for l, v := range n {
		if v < -e.value[l]*den {
			return false
		}
	}
	for i, c := range e.p.Cells {
		sum := int64(0)
		for _, l := range c.Leaves {
			sum += n[l]
		}
		if !hidden[i] && sum != 0 || int32(i) == a.cell && a.sign*sum < a.need*den {
			return false
		}
	}
	return true
}

// offer takes a pattern as the best so far if it is safe and cheaper, and
// reports whether it is safe or too dear to matter.
func (e *exact) offer(hidden []bool) bool {
	sum := int64(0)
	for i, h := range hidden {
		if h {
			sum += e.cost[i]
		}
	}
	if sum >= e.best {
		return true
	}
	if !e.safe(hidden) {
		return false
	}
	e.best, e.hidden = sum, slices.Clone(hidden)
	return true
}

// grain is how finely the multipliers of a bound are rounded.
const grain = 1 << 16

// bound is the least that any pattern within the bounds of y costs, times so
// much, by multipliers of the master: whatever they are, it is true. Above 0 for
// no cost at all it says that there is no pattern.
func (e *exact) bound(price []float64, times int64) (least int64, reduced []int64) {
	reduced = make([]int64, len(e.cost))
	for i, c := range e.cost {
		reduced[i] = c * grain * times
	}
	sum := int64(0)
	for k, q := range e.cuts {
		u := int64(math.Round(max(0, price[k]) * grain))
		sum += u * q.least
		for i, c := range q.cells {
			reduced[c] -= u * q.by[i]
		}
	}
	for i, r := range reduced {
		if r < 0 && e.upper[i] > 0 || r > 0 && e.lower[i] > 0 {
			sum += r
		}
	}
	return sum, reduced
}

// solve returns the cost of the cheapest safe pattern. It is not found when
// there is none.
func (e *exact) solve() (int64, []bool) {
	e.branch()
	return e.best, e.hidden
}

func (e *exact) branch() {
	e.nodes++
	var undo []func()
	defer func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}()
	fix := func(c int, lower, upper float64) {
		l, u := e.lower[c], e.upper[c]
		e.lower[c], e.upper[c] = lower, upper
		undo = append(undo, func() { e.lower[c], e.upper[c] = l, u })
	}
	var y []float64
	last := math.Inf(-1)
	for round := 0; ; round++ {
		var ray []float64
		if y, ray = e.master.solve(e.lower, e.upper); ray != nil {
			if least, _ := e.bound(ray, 0); least <= 0 {
				panic("the master finds no pattern, and cannot show it")
			}
			return
		}
		least, reduced := e.bound(e.master.prices(e.master.cost), 1)
		if e.best < math.MaxInt64 {
			if least > (e.best-1)*grain {
				return
			}
			for c, r := range reduced { // what would cost too much to turn is fixed
				if e.lower[c] == e.upper[c] {
					continue
				}
				if r > 0 && least+r > (e.best-1)*grain {
					fix(c, 0, 0)
				} else if r < 0 && least-r > (e.best-1)*grain {
					fix(c, 1, 1)
				}
			}
		}
		now := float64(least) / grain
		stalled := round > 3 && now < last+0.05
		last = now
		if integral(y) || !stalled {
			if e.separate(y, true) > 0 {
				continue
			}
		}
		break
	}
	hidden := make([]bool, len(y))
	split, far := -1, 0.0
	for c, v := range y {
		hidden[c] = v > 1e-6
		if d := math.Min(v, 1-v) * math.Sqrt(float64(e.cost[c])); v > 1e-6 && v < 1-1e-6 && d > far {
			split, far = c, d
		}
	}
	safe := e.offer(hidden)
	if split < 0 {
		if !safe {
			panic("a pattern breaks no inequality, and cannot be shown to be safe")
		}
		return
	}
	for _, v := range []float64{1, 0} {
		l, u := e.lower[split], e.upper[split]
		e.lower[split], e.upper[split] = v, v
		e.branch()
		e.lower[split], e.upper[split] = l, u
	}
}

func integral(y []float64) bool {
	return !slices.ContainsFunc(y, func(v float64) bool { return v > 1e-6 && v < 1-1e-6 })
}

// Fischetti and Salazar's own table: what the literature gives as the optimum.
func TestExact_FischettiSalazar(t *testing.T) {
	for _, c := range fischettiSalazar(t) {
		got, _ := newExact(t, c.problem).solve()
		if got != int64(c.optimum) {
			t.Errorf("%s: the optimum is %d, want %v", c.name, got, c.optimum)
		}
	}
}

// The vignette of sdcTable: nothing cheaper than 354 is safe, and no fewer cells
// than 21 are.
func TestExact_Vignette(t *testing.T) {
	p, o := vignette(t)
	for want, cost := range map[int64]func(float64) float64{
		o.ByValue: func(value float64) float64 { return value },
		o.ByCount: func(float64) float64 { return 1 },
	} {
		q := *p
		q.Cells = slices.Clone(p.Cells)
		for i := range q.Cells {
			q.Cells[i].Cost = cost(q.Cells[i].Cost)
		}
		e := newExact(t, &q)
		got, _ := e.solve()
		t.Logf("%d nodes, %d inequalities", e.nodes, len(e.cuts))
		if got != want {
			t.Errorf("the optimum is %d, want %v", got, want)
		}
	}
}

// On tables of a few cells the programme's optimum is that of trying all
// patterns.
func TestExact_IsThatOfTryingAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dearer := 0
	for range 40 {
		leaves := map[string]float64{}
		for _, name := range []string{"a|x", "a|y", "a|z", "b|x", "b|y", "b|z"} {
			leaves[name] = float64(r.IntN(40))
		}
		p, _ := tableOf([]suppress.Dimension{flat("a", "b"), flat("x", "y", "z")}, leaves).Problem(0, byValue)
		for i := range p.Cells {
			if c := &p.Cells[i]; c.Cost <= 12 {
				c.Sensitive, c.Up, c.Down = true, 7, math.Min(5, c.Cost)
			}
		}
		e := newExact(t, p)
		got, _ := e.solve()
		best := int64(math.MaxInt64)
		hidden := make([]bool, len(p.Cells))
		for pattern := range 1 << len(p.Cells) {
			sum := int64(0)
			for i, c := range p.Cells {
				if hidden[i] = pattern>>i&1 == 1; hidden[i] {
					sum += e.cost[i]
				} else if c.Sensitive {
					sum = best
					break
				}
			}
			if sum < best && e.safe(hidden) {
				best = sum
			}
		}
		if got != best {
			t.Errorf("%v: the programme says %d, trying all says %d", leaves, got, best)
		}
		if best > 0 && best < math.MaxInt64 {
			dearer++
		}
	}
	if dearer < 20 {
		t.Errorf("only %d tables need another cell hidden: the test shows little", dearer)
	}
}

// No pattern of the engine is unsafe, and none can be cheaper than the cheapest.
func TestProtect_IsNeverBelowTheOptimum(t *testing.T) {
	ratios, n, best := 0.0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var dims []suppress.Dimension
		for _, codes := range [][]string{{"a", "b", "c", "d"}, {"x", "y", "z", "w"}} {
			dims = append(dims, flat(codes[:rapid.IntRange(3, 4).Draw(t, "codes")]...))
		}
		leaves := map[string]float64{}
		for _, a := range dims[0].Codes[1:] {
			for _, b := range dims[1].Codes[1:] {
				leaves[a+"|"+b] = float64(rapid.IntRange(0, 60).Draw(t, "value"))
			}
		}
		p, _ := tableOf(dims, leaves).Problem(0, byValue)
		for i := range p.Cells {
			c := &p.Cells[i]
			if c.Cost <= 10 && len(c.Leaves) == 1 {
				need := float64(rapid.IntRange(1, 8).Draw(t, "need"))
				c.Sensitive, c.Up, c.Down = true, need, math.Min(need, c.Cost)
			}
		}
		e := newExact(t, p)
		optimum, _ := e.solve()
		r, err := suppress.Protect(p)
		if err != nil {
			if e.hidden != nil {
				t.Fatalf("the engine finds no pattern, and there is one of %d: %v", optimum, err)
			}
			return
		}
		if e.hidden == nil {
			t.Fatal("the engine finds a pattern where there is none")
		}
		_, value := cost(p, r)
		if int64(value) < optimum {
			t.Fatalf("the engine hides %v, and the least is %d", value, optimum)
		}
		if !e.safe(r.Hidden) {
			t.Fatalf("the engine's pattern is not safe")
		}
		if optimum > 0 {
			ratios, n = ratios+value/float64(optimum), n+1
			if int64(value) == optimum {
				best++
			}
		}
	})
	if n > 0 {
		t.Logf("the engine hides %.3f times the optimum on average, over %d tables; %d are the optimum itself", ratios/float64(n), n, best)
	}
}

type instance struct {
	name    string
	problem *suppress.Problem
	optimum float64
}

// fischettiSalazar are the cases of the table of investments.
func fischettiSalazar(t *testing.T) (all []instance) {
	var o struct {
		Table struct {
			Values map[string]float64
			Cases  []struct {
				LPL, UPL, Opt float64
				Cost          string
			}
		} `json:"fischetti_salazar_3x3"`
	}
	oracles(t, &o)
	leaves := map[string]float64{}
	for name, v := range o.Table.Values {
		if !strings.Contains(name, "T") {
			leaves[name] = v
		}
	}
	for _, c := range o.Table.Cases {
		by := byValue
		if c.Cost == "unit" {
			by = func(float64, int) float64 { return 1 }
		}
		p, keys := tableOf([]suppress.Dimension{flat("I", "II", "III"), flat("A", "B", "C")}, leaves).Problem(0, by)
		for i, k := range keys {
			if k[0] == "II" && k[1] == "C" {
				p.Cells[i].Sensitive, p.Cells[i].Up, p.Cells[i].Down = true, c.UPL, c.LPL
			}
		}
		all = append(all, instance{fmt.Sprintf("levels %v and %v, cost by %s", c.LPL, c.UPL, c.Cost), p, c.Opt})
	}
	return all
}

// optima are the cheapest patterns by what is in them, and by how many they are.
type optima struct {
	Leaves  map[string]float64 `json:"leaf_freq"`
	ByValue int64              `json:"exact_value_optimum"`
	ByCount int64              `json:"exact_unit_optimum"`
}

// vignette is sdcTable's example in three dimensions, with the cells of at most
// ten to be hidden.
func vignette(t *testing.T) (*suppress.Problem, optima) {
	var o struct {
		Table optima `json:"sdctable_vignette_3d"`
	}
	oracles(t, &o)
	v1 := flat("A", "B", "C", "D")
	for _, c := range []string{"Ba", "Bb", "Bc"} {
		v1.Add(c, "B")
	}
	leaves := map[string]float64{}
	for name, v := range o.Table.Leaves {
		n := len(name)
		leaves[name[:n-2]+"|"+name[n-2:n-1]+"|"+name[n-1:]] = v
	}
	p, _ := tableOf([]suppress.Dimension{v1, flat("m", "w"), flat("a", "b", "c", "d", "e", "f")}, leaves).Problem(0, byValue)
	for i := range p.Cells {
		if c := &p.Cells[i]; c.Cost <= 10 {
			c.Sensitive, c.Up, c.Down = true, 1, 1
		}
	}
	return p, o.Table
}
