package audit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"meguri/internal/simplex"
)

// open is a demand of outsiders, and the witness that meets it; -1 is none yet.
type open struct {
	demand
	met int32
}

// target is a sensitive cell under attack.
type target struct {
	cell   int32
	open   []open
	movers []mover
}

// worker attacks some of the sensitive cells.
type worker struct {
	m     *model
	cells []target
	slot  []int32 // of each cell: its place in cells, or -1

	solver       *simplex.Solver
	column       []int32 // of each leaf, or -1
	leaf         []int32 // of each column
	lower, upper []float64

	pool    []witness
	moves   []bool // of each cell: some witness changes it
	changes []float64
	touched []bool
	changed []int32

	tally *tally
	seen  []int32 // of each respondent: when it was last seen
	stamp int32

	programmes, reused, steps int
	outside, inside, together int // demands that were looked at, by who attacks
	violations                []Violation
	ranges                    []bounds
	fresh                     bool // the solver is new
}

// bounds is what an outsider can compute of a hidden cell.
type bounds struct {
	cell   int32
	lo, up float64
}

// equations is the matrix of what is published: a row for each sum, a column for
// each leaf that is not known.
func (m *model) equations() (a *simplex.Matrix, column, leaf []int32, rows int) {
	row := make([]int32, len(m.cells))
	for i := range m.cells {
		if row[i] = -1; !m.cells[i].shown {
			continue
		}
		if slices.ContainsFunc(m.leaves.of(int32(i)), func(l int32) bool { return !m.fixed[l] }) {
			row[i] = int32(rows)
			rows++
		}
	}
	a = simplex.NewMatrix(rows)
	column = make([]int32, len(m.value))
	for l := range m.value {
		if column[l] = -1; !m.fixed[l] {
			leaf = append(leaf, int32(l))
		}
	}
	// The largest leaves come first, so that they are in the basis to begin with:
	// there they leave the most room to the others.
	slices.SortStableFunc(leaf, func(a, b int32) int {
		switch {
		case m.value[a] > m.value[b]:
			return -1
		case m.value[a] < m.value[b]:
			return 1
		}
		return 0
	})
	var in []int32
	for _, l := range leaf {
		in = in[:0]
		for _, c := range m.in.of(l) {
			if row[c] >= 0 {
				in = append(in, row[c])
			}
		}
		column[l] = a.Column(1, in...)
	}
	return a, column, leaf, rows
}

func (m *model) newWorker() *worker {
	w := &worker{
		m: m, slot: make([]int32, len(m.cells)), moves: make([]bool, len(m.cells)),
		changes: make([]float64, len(m.cells)), touched: make([]bool, len(m.cells)),
		tally: newTally(m), seen: make([]int32, len(m.name)),
	}
	for i := range w.slot {
		w.slot[i] = -1
	}
	return w
}

// begin makes the solver, or makes it anew.
func (w *worker) begin() {
	a, column, leaf, rows := w.m.equations()
	if w.solver != nil {
		w.steps += w.solver.Steps
	}
	w.solver = simplex.New(a)
	w.solver.Limit = 20*rows + 10_000
	w.column, w.leaf, w.fresh = column, leaf, true
	w.lower, w.upper = make([]float64, len(leaf)), make([]float64, len(leaf))
	for j, l := range leaf {
		w.lower[j], w.upper[j] = -w.m.value[l], math.Inf(1)
	}
}

// attack attacks all sensitive cells that are hidden.
func (m *model) attack(ctx context.Context, o Options) ([]*worker, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := make([]*worker, o.Workers)
	for i := range workers {
		workers[i] = m.newWorker()
	}
	// Neighbours go to one worker: what shows the one often shows the other.
	const together = 32
	n, hidden := 0, make([][]int32, o.Workers)
	for i := range m.cells {
		c := &m.cells[i]
		if c.shown || !c.hidden {
			continue
		}
		at := n / together % o.Workers
		n++
		hidden[at] = append(hidden[at], int32(i))
		if c.need.sensitive {
			workers[at].aim(int32(i))
		}
	}
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			if err := w.run(ctx, hidden[i], o); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return workers, nil
}

// aim makes a cell a target.
func (w *worker) aim(cell int32) {
	w.slot[cell] = int32(len(w.cells))
	n := &w.m.cells[cell].need
	t := target{cell: cell}
	if n.up > 0 {
		t.open = append(t.open, open{demand{cell, outsider, 1, n.up}, -1})
	}
	if n.down > 0 {
		t.open = append(t.open, open{demand{cell, outsider, -1, n.down}, -1})
	}
	w.cells = append(w.cells, t)
}

func (w *worker) run(ctx context.Context, hidden []int32, o Options) error {
	w.begin()
	for i := range w.cells {
		for k := range w.cells[i].open {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := w.shut(&w.cells[i].open[k]); err != nil {
				return err
			}
		}
	}
	for i := range w.cells {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.insiders(&w.cells[i]); err != nil {
			return err
		}
	}
	for _, c := range hidden {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.stirs(c); err != nil {
			return err
		}
		if o.Intervals {
			if err := w.interval(c); err != nil {
				return err
			}
		}
	}
	w.steps += w.solver.Steps
	return nil
}

// shut meets a demand of outsiders, or reports the violation.
func (w *worker) shut(o *open) error {
	w.outside++
	if o.met >= 0 {
		return nil
	}
	n, reached, err := w.solve(o.demand)
	if err != nil {
		return err
	}
	if o.met = n; n < 0 {
		w.violate(o.demand, reached)
	}
	return nil
}

// find finds a witness for a demand: among those that are known to change the
// cell, the latest first, or a new one. It returns -1 when there is none, and how
// far the cell can be shifted.
func (w *worker) find(d demand) (n int32, reached float64, err error) {
	t := &w.cells[w.slot[d.cell]]
	for i := len(t.movers) - 1; i >= 0; i-- {
		if v := t.movers[i]; w.shows(&w.pool[v.witness], v.change, d) {
			w.reused++
			return v.witness, d.by, nil
		}
	}
	return w.solve(d)
}

// solve looks for a witness by linear programming.
func (w *worker) solve(d demand) (n int32, reached float64, err error) {
	for {
		reached, status := w.ask(d.cell, d.attacker, d.sign, d.by)
		switch status {
		case simplex.Reached, simplex.Optimal, simplex.Unbounded:
			if reached < d.by*(1-trust/10) {
				if status == simplex.Optimal {
					w.fresh = false
					return -1, math.Max(0, reached), nil
				}
				break
			}
			n := w.take(d.by)
			x := &w.pool[n]
			w.weigh(x.leaves, x.by)
			if w.shows(x, w.changes[d.cell], d) {
				t := &w.cells[w.slot[d.cell]]
				if k := len(t.movers); k == most && t.movers[k-1].witness != n {
					copy(t.movers, t.movers[1:])
					t.movers[k-1] = mover{n, w.changes[d.cell]}
				}
				w.fresh = false
				return n, reached, nil
			}
		}
		// Rounding got the better of the solver. A new one starts from another basis.
		if w.fresh {
			return -1, 0, fmt.Errorf("%s: the linear program has no answer (status %d)", w.m.where(w.m.cells[d.cell].places[0]), status)
		}
		w.begin()
	}
}

// ask asks how far an attacker can shift a cell, up to a goal.
func (w *worker) ask(cell int32, a pair, sign, goal float64) (float64, simplex.Status) {
	w.programmes++
	var bound []int32
	for _, r := range a {
		if r < 0 {
			continue
		}
		for _, l := range w.m.owned.of(r) {
			if j := w.column[l]; j >= 0 {
				least, all := w.m.knows(l, a)
				w.lower[j], w.upper[j] = math.Min(0, least-w.m.value[l]), math.Inf(1)
				if all {
					w.lower[j], w.upper[j] = 0, 0
				}
				bound = append(bound, j)
			}
		}
	}
	var objective []simplex.Term
	for _, l := range w.m.leaves.of(cell) {
		if j := w.column[l]; j >= 0 {
			objective = append(objective, simplex.Term{Column: j, Value: sign})
		}
	}
	defer func() {
		for _, j := range bound {
			w.lower[j], w.upper[j] = -w.m.value[w.leaf[j]], math.Inf(1)
		}
	}()
	return w.solver.Maximize(objective, w.lower, w.upper, goal)
}

// take keeps the solver's movement as a witness. What is nothing beside the shift
// is left out.
func (w *worker) take(shift float64) int32 {
	var leaves []int32
	var by []float64
	for _, t := range w.solver.Movement() {
		if math.Abs(t.Value) > 1e-9*shift {
			leaves, by = append(leaves, w.leaf[t.Column]), append(by, t.Value)
		}
	}
	return w.learn(leaves, by)
}

// stirs makes sure whether a hidden cell moves at all. If none of the witnesses
// changes it, and nothing else does, then it can be computed.
func (w *worker) stirs(cell int32) error {
	if w.moves[cell] {
		return nil
	}
	goal := math.Max(w.m.cells[cell].value/1000, trust)
	for range 2 {
		_, status := w.ask(cell, outsider, 1, goal)
		if status == simplex.Optimal || status == simplex.Reached || status == simplex.Unbounded {
			if shift := w.solver.Movement(); len(shift) > 0 {
				w.take(goal)
			}
			return nil
		}
		w.begin()
	}
	return fmt.Errorf("%s: the linear program has no answer", w.m.where(w.m.cells[cell].places[0]))
}

// interval works out the range of a hidden cell.
func (w *worker) interval(cell int32) error {
	b := bounds{cell: cell}
	value := w.m.cells[cell].value
	for _, sign := range []float64{1, -1} {
		by, status := w.ask(cell, outsider, sign, math.Inf(1))
		if status != simplex.Optimal && status != simplex.Unbounded || math.IsNaN(by) {
			w.begin()
			if by, status = w.ask(cell, outsider, sign, math.Inf(1)); status != simplex.Optimal && status != simplex.Unbounded || math.IsNaN(by) {
				return fmt.Errorf("%s: the linear program has no answer (status %d)", w.m.where(w.m.cells[cell].places[0]), status)
			}
		}
		if sign > 0 {
			b.up = value + by
		} else {
			b.lo = math.Max(0, value-by)
		}
	}
	w.ranges = append(w.ranges, b)
	return nil
}
