package suppress_test

import (
	"math"
	"math/rand/v2"
)

// master is min c·y over inequalities and bounds, by the dual simplex method on
// a dense tableau. The costs are not negative, so it can begin where nothing is
// hidden, and inequalities and bounds can change at any time. It gives ideas:
// what its multipliers prove is worked out elsewhere.
type master struct {
	n     int
	given []float64 // the costs
	cuts  []inequality
	least []float64 // of each inequality, which is scaled
	scale []float64

	cost  []float64   // reduced, of each column: the y, then the surplus of each inequality
	table [][]float64 // row p: the basic column of p in terms of the others
	basis []int
	at    []int  // the row of each column, or -1
	high  []bool // a column that is not basic stands at its upper bound
}

func newMaster(cost []float64) *master {
	m := &master{n: len(cost), given: cost}
	m.begin(rand.New(rand.NewPCG(1, 2)))
	return m
}

// begin makes the tableau, or makes it anew. No two costs are the same, so that
// it does not go in circles.
func (m *master) begin(r *rand.Rand) {
	cuts := m.cuts
	*m = master{n: m.n, given: m.given, high: make([]bool, m.n)}
	for _, c := range m.given {
		m.cost = append(m.cost, c+1e-4*(1+r.Float64()))
		m.at = append(m.at, -1)
	}
	for _, q := range cuts {
		m.add(q)
	}
}

// add adds an inequality. Row p reads: x[basis[p]] + Σ table[p][j]·x[j] = 0 but
// for the right side, which is worked out anew from the bounds.
func (m *master) add(q inequality) {
	m.cuts = append(m.cuts, q)
	scale := float64(max(1, q.least))
	m.least, m.scale = append(m.least, float64(q.least)/scale), append(m.scale, scale)
	columns := len(m.at)
	for p := range m.table {
		m.table[p] = append(m.table[p], 0)
	}
	row := make([]float64, columns+1)
	for i, c := range q.cells { // surplus − Σ by·y = −least
		row[c] = -float64(q.by[i]) / scale
	}
	row[columns] = 1
	for p, b := range m.basis {
		if f := row[b]; f != 0 {
			for j, v := range m.table[p] {
				row[j] -= f * v
			}
		}
	}
	m.table = append(m.table, row)
	m.at = append(m.at, len(m.basis))
	m.basis = append(m.basis, columns)
	m.cost = append(m.cost, 0)
	m.high = append(m.high, false)
}

// solve returns the cheapest y, or, where there is none, multipliers of the
// inequalities that show it.
func (m *master) solve(lower, upper []float64) (y, ray []float64) {
	for seed := range uint64(10) {
		if y, ray, ok := m.run(lower, upper); ok {
			return y, ray
		}
		m.begin(rand.New(rand.NewPCG(seed, 3))) // rounding got the better of it
	}
	panic("the master does not come to an end")
}

func (m *master) run(lower, upper []float64) (y, ray []float64, ok bool) {
	bounds := func(j int) (float64, float64) {
		if j < m.n {
			return lower[j], upper[j]
		}
		return 0, math.Inf(1)
	}
	x := make([]float64, len(m.at))
	for range 2000 {
		// What is not basic stands at the bound that its cost asks for.
		for j := range x {
			if m.at[j] < 0 {
				lo, hi := bounds(j)
				m.high[j] = !math.IsInf(hi, 1) && (m.cost[j] < -1e-9 || m.high[j] && m.cost[j] < 1e-9)
				if x[j] = lo; m.high[j] {
					x[j] = hi
				}
			}
		}
		// The surplus of an inequality gives the right sides: each row is a
		// combination of them.
		leave, worst, goal := -1, 1e-7, 0.0
		for p, b := range m.basis {
			v := 0.0
			for j, a := range m.table[p] {
				if m.at[j] < 0 {
					v -= a * x[j]
				}
			}
			for k, least := range m.least {
				v -= m.table[p][m.n+k] * least
			}
			x[b] = v
			lo, hi := bounds(b)
			if lo-v > worst {
				leave, worst, goal = p, lo-v, lo
			} else if v-hi > worst {
				leave, worst, goal = p, v-hi, hi
			}
		}
		if leave < 0 {
			return x[:m.n], nil, true
		}
		up := x[m.basis[leave]] < goal
		enter, ratio, size := -1, math.Inf(1), 0.0
		for j, a := range m.table[leave] {
			lo, hi := bounds(j)
			if m.at[j] >= 0 || lo == hi || math.Abs(a) < 1e-8 {
				continue
			}
			// The basic one must rise (or fall): x[j] may only rise from below, or fall from above.
			rises := a < 0 == up
			if rises == m.high[j] {
				continue
			}
			r := math.Abs(m.cost[j] / a)
			if r < ratio-1e-9 || r < ratio+1e-9 && math.Abs(a) > size {
				enter, ratio, size = j, r, math.Abs(a)
			}
		}
		if enter < 0 {
			ray = m.prices(m.table[leave])
			if !up {
				for k := range ray {
					ray[k] = -ray[k]
				}
			}
			return nil, ray, true
		}
		m.pivot(leave, enter)
	}
	return nil, nil, false
}

func (m *master) pivot(p, j int) {
	row := m.table[p]
	d := row[j]
	for k := range row {
		row[k] /= d
	}
	for o := range m.table {
		if f := m.table[o][j]; o != p && f != 0 {
			for k, v := range row {
				if v != 0 {
					m.table[o][k] -= f * v
				}
			}
			m.table[o][j] = 0
		}
	}
	f := m.cost[j]
	for k, v := range row {
		m.cost[k] -= f * v
	}
	m.cost[j] = 0
	m.at[m.basis[p]], m.at[j] = -1, p
	m.basis[p] = j
}

// prices are the multipliers of the inequalities in a row.
func (m *master) prices(row []float64) []float64 {
	u := make([]float64, len(m.scale))
	for k, s := range m.scale {
		u[k] = row[m.n+k] / s
	}
	return u
}
