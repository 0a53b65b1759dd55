// Package simplex moves a feasible point of a linear system as far as it goes
// in a direction: the revised simplex method for bounded variables.
//
// It is made for many small questions about one large system. A question starts
// where nothing has moved, which is feasible, so there is no first phase; it
// keeps the basis of the question before; it ends as soon as its goal is
// reached; and the answer, the movement itself, can be checked by anybody who
// multiplies it with the matrix. Start with [New].
package simplex

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Matrix is a sparse matrix, built column by column.
type Matrix struct {
	rows    int
	columns vectors
}

// NewMatrix returns a matrix of rows without columns.
func NewMatrix(rows int) *Matrix {
	m := &Matrix{rows: rows}
	m.columns.reset()
	return m
}

// Column adds a column with one value in every row of a list, in which no row
// stands twice. It returns the number of the column.
func (m *Matrix) Column(value float64, rows ...int32) int32 {
	for _, r := range rows {
		m.columns.add(r, value)
	}
	m.columns.end()
	return int32(len(m.columns.start) - 2)
}

// Columns is how many there are.
func (m *Matrix) Columns() int { return len(m.columns.start) - 1 }

// Term is one column's part of an objective.
type Term struct {
	Column int32
	Value  float64
}

// Status is how a question ended.
type Status int

// Only Reached and Optimal are answers.
const (
	Reached   Status = iota // the goal
	Optimal                 // the objective can get no larger, and the goal is beyond it
	Unbounded               // the objective can get as large as one likes
	Failed                  // no answer: too many steps, or rounding got the better of it
)

// Solver answers questions about one matrix A: how large an objective gets over
// all movements d with A d = 0 and lower ≤ d ≤ upper, where lower ≤ 0 ≤ upper.
// It is not for two goroutines at once.
type Solver struct {
	Steps int // of all questions so far
	Limit int // of steps of one question; 0 is 50 for each row, and 5,000

	columns vectors // of the rows that are left
	m, n    int
	basis   []int32 // the column at each position
	at      []int32 // the position of each column, or -1
	factors factors
	weight  []int32 // entries of each row

	d            []float64 // the movement
	moved        []int32   // columns that are or were not 0
	cost         []float64
	lower, upper []float64

	y, c, alpha, b []float64
	next           int32 // where pricing goes on
	rand           *rand.Rand
}

// New returns a solver. Rows that follow from others are left out.
func New(a *Matrix) *Solver {
	s := &Solver{n: a.Columns(), rand: rand.New(rand.NewPCG(1, 2))}
	s.weight = make([]int32, a.rows)
	for _, r := range a.columns.index {
		s.weight[r]++
	}
	// A basis to begin with: the columns with the fewest entries first.
	order := make([]int32, s.n)
	for j := range order {
		order[j] = int32(j)
	}
	slices.SortStableFunc(order, func(i, j int32) int {
		return cmp.Compare(a.columns.start[i+1]-a.columns.start[i], a.columns.start[j+1]-a.columns.start[j])
	})
	s.factors.begin(a.rows)
	s.at = make([]int32, s.n)
	for j := range s.at {
		s.at[j] = -1
	}
	for _, j := range order {
		if len(s.basis) == a.rows {
			break
		}
		if rows, values := a.columns.of(j); s.factors.add(rows, values, s.weight, -1) {
			s.at[j] = int32(len(s.basis))
			s.basis = append(s.basis, j)
		}
	}
	s.m = len(s.basis)
	// The rows that got no pivot are sums of those that did.
	s.columns.reset()
	s.columns.reserve(len(a.columns.index))
	number := make([]int32, a.rows)
	for i := range number {
		number[i] = -1
		if p := s.factors.position[i]; p >= 0 {
			number[i] = p
		}
	}
	weight := make([]int32, s.m)
	for j := range int32(s.n) {
		rows, values := a.columns.of(j)
		for k, r := range rows {
			if number[r] >= 0 {
				s.columns.add(number[r], values[k])
				weight[number[r]]++
			}
		}
		s.columns.end()
	}
	s.weight = weight
	s.d, s.cost = make([]float64, s.n), make([]float64, s.n)
	s.y, s.c, s.alpha, s.b = make([]float64, s.m), make([]float64, s.m), make([]float64, s.m), make([]float64, s.m)
	s.refactor()
	return s
}

// refactor makes the factors of the basis anew. Columns that rounding has made
// dependent are replaced; it reports false when that cannot be done.
func (s *Solver) refactor() bool {
	order := s.peel()
	s.factors.begin(s.m)
	s.basis = s.basis[:0]
	for _, o := range order {
		if rows, values := s.columns.of(o.column); s.factors.add(rows, values, s.weight, o.row) {
			s.at[o.column] = int32(len(s.basis))
			s.basis = append(s.basis, o.column)
		} else {
			s.at[o.column] = -1
		}
	}
	for j := int32(0); len(s.basis) < s.m && int(j) < s.n; j++ {
		if s.at[j] >= 0 {
			continue
		}
		if rows, values := s.columns.of(j); s.factors.add(rows, values, s.weight, -1) {
			s.at[j] = int32(len(s.basis))
			s.basis = append(s.basis, j)
		}
	}
	if len(s.basis) < s.m {
		return false
	}
	s.factors.finish()
	return true
}

// pivot is a column of the basis and the row where it should have its pivot, or
// -1.
type pivot struct{ column, row int32 }

// peel orders the basis so that factorising it fills in little: again and again
// the column that has one row left, or the row that has one column left. What is
// left then comes last, the shortest columns first.
func (s *Solver) peel() []pivot {
	inRow := make([][]int32, s.m) // columns of the basis
	left := make([]int32, s.m)    // of each row: its columns that are not ordered
	rest := make([]int32, s.n)    // of each column: its rows that have no pivot
	counts := make([]int32, s.m)
	for _, j := range s.basis {
		rows, _ := s.columns.of(j)
		for _, r := range rows {
			counts[r]++
		}
	}
	for r := range inRow {
		inRow[r] = make([]int32, 0, counts[r])
	}
	var single, lonely []int32 // columns with one row, rows with one column
	for _, j := range s.basis {
		rows, _ := s.columns.of(j)
		for _, r := range rows {
			inRow[r] = append(inRow[r], j)
		}
		if rest[j] = int32(len(rows)); rest[j] == 1 {
			single = append(single, j)
		}
	}
	for r := range inRow {
		if left[r] = int32(len(inRow[r])); left[r] == 1 {
			lonely = append(lonely, int32(r))
		}
	}
	order := make([]pivot, 0, s.m)
	ordered, taken := make(map[int32]bool, s.m), make([]bool, s.m)
	take := func(j, r int32) {
		order = append(order, pivot{j, r})
		ordered[j], taken[r] = true, true
		for _, i := range inRow[r] {
			if rest[i]--; rest[i] == 1 && !ordered[i] {
				single = append(single, i)
			}
		}
		rows, _ := s.columns.of(j)
		for _, i := range rows {
			if left[i]--; left[i] == 1 && !taken[i] {
				lonely = append(lonely, i)
			}
		}
	}
	for len(single)+len(lonely) > 0 {
		if n := len(single); n > 0 {
			j := single[n-1]
			single = single[:n-1]
			rows, _ := s.columns.of(j)
			if k := slices.IndexFunc(rows, func(r int32) bool { return !taken[r] }); !ordered[j] && k >= 0 {
				take(j, rows[k])
			}
			continue
		}
		n := len(lonely)
		r := lonely[n-1]
		lonely = lonely[:n-1]
		if k := slices.IndexFunc(inRow[r], func(j int32) bool { return !ordered[j] }); !taken[r] && k >= 0 {
			take(inRow[r][k], r)
		}
	}
	first := len(order)
	for _, j := range s.basis {
		if !ordered[j] {
			order = append(order, pivot{j, -1})
		}
	}
	slices.SortFunc(order[first:], func(a, b pivot) int {
		return cmp.Or(cmp.Compare(rest[a.column], rest[b.column]), cmp.Compare(a.column, b.column))
	})
	return order
}

// Movement is the answer to the last question: each column that moved, and how
// far. It is valid until the next question.
func (s *Solver) Movement() []Term {
	var all []Term
	for _, j := range s.moved {
		if v := s.d[j]; v != 0 {
			all = append(all, Term{j, v})
		}
	}
	slices.SortFunc(all, func(a, b Term) int { return cmp.Compare(a.Column, b.Column) })
	return slices.CompactFunc(all, func(a, b Term) bool { return a.Column == b.Column })
}

const (
	slack    = 1e-9 // by which a bound may be passed
	cheapest = 1e-9 // a reduced cost below it is none
)

// Maximize asks how large an objective gets, and stops at the goal.
func (s *Solver) Maximize(objective []Term, lower, upper []float64, goal float64) (float64, Status) {
	for _, j := range s.moved {
		s.d[j] = 0
	}
	s.moved = s.moved[:0]
	s.lower, s.upper = lower, upper
	for _, t := range objective {
		s.cost[t.Column] += t.Value
	}
	defer func() {
		for _, t := range objective {
			s.cost[t.Column] = 0
		}
	}()
	limit := s.Limit
	if limit == 0 {
		limit = 50*s.m + 5000
	}
	value, idle := 0.0, 0
	for range limit {
		if value >= goal {
			return value, Reached
		}
		s.Steps++
		if len(s.factors.etaAt) >= 64 || len(s.factors.etas.index) > 3*(len(s.factors.l.index)+len(s.factors.u.index)+s.m) {
			if !s.refactor() {
				return value, Failed
			}
		}
		q, gain := s.price(objective, idle > 50)
		if q < 0 {
			return value, Optimal
		}
		sign := 1.0
		if gain < 0 {
			sign = -1
		}
		rows, values := s.columns.of(q)
		for k, r := range rows {
			s.b[r] += values[k]
		}
		s.factors.forward(s.b, s.alpha)
		leave, step := s.ratio(q, sign)
		if need := (goal - value) / math.Abs(gain); step >= need {
			leave, step = -1, need
		}
		if math.IsInf(step, 1) {
			return math.Inf(1), Unbounded
		}
		if step > 0 {
			s.move(q, sign*step)
			for p, a := range s.alpha {
				if math.Abs(a) > tiny {
					s.move(s.basis[p], -sign*step*a)
				}
			}
			value += math.Abs(gain) * step
		}
		if step > slack {
			idle = 0
		} else {
			idle++
		}
		if leave >= 0 {
			out := s.basis[leave]
			s.factors.change(leave, s.alpha)
			s.at[out], s.at[q], s.basis[leave] = -1, leave, q
		}
	}
	return value, Failed
}

func (s *Solver) move(j int32, by float64) {
	if s.d[j] == 0 {
		s.moved = append(s.moved, j)
	}
	s.d[j] += by
}

// price finds a column to move, and what the objective gains when it moves by
// 1; -1 when there is none. It looks at a part of the columns, unless nothing is
// found there; random breaks a circle of steps that lead nowhere.
func (s *Solver) price(objective []Term, random bool) (best int32, gain float64) {
	for _, t := range objective {
		if p := s.at[t.Column]; p >= 0 {
			s.c[p] = s.cost[t.Column]
		}
	}
	s.factors.backward(s.c, s.y)
	best = -1
	merit, seen, part := 0.0, 0, s.n/4+200
	for range s.n {
		if s.next++; s.next >= int32(s.n) {
			s.next = 0
		}
		if seen++; seen > part && best >= 0 {
			break
		}
		j := s.next
		if s.at[j] >= 0 || s.lower[j] == s.upper[j] {
			continue
		}
		r := s.cost[j]
		for k := s.columns.start[j]; k < s.columns.start[j+1]; k++ {
			r -= s.y[s.columns.index[k]] * s.columns.value[k]
		}
		var room float64
		switch {
		case r > cheapest:
			room = s.upper[j] - s.d[j]
		case r < -cheapest:
			room = s.d[j] - s.lower[j]
		}
		if room <= slack {
			continue
		}
		m := math.Abs(r)
		if random {
			m = s.rand.Float64()
		}
		if m > merit {
			best, gain, merit = j, r, m
		}
	}
	return best, gain
}

// ratio is how far column q can move, and which position stops it; -1 when it
// is a bound of its own. Of those that stop it within the slack the one with the
// largest pivot is taken (Harris, Math. Programming 5, 1973).
func (s *Solver) ratio(q int32, sign float64) (leave int32, step float64) {
	step = s.upper[q] - s.d[q]
	if sign < 0 {
		step = s.d[q] - s.lower[q]
	}
	loose := step + slack
	for p, a := range s.alpha {
		if a = sign * a; math.Abs(a) > 1e-7 {
			if room := s.room(int32(p), a); (room+slack)/math.Abs(a) < loose {
				loose = (room + slack) / math.Abs(a)
			}
		}
	}
	leave = -1
	if loose >= step {
		return leave, step
	}
	pivot := 0.0
	for p, a := range s.alpha {
		if a = sign * a; math.Abs(a) > 1e-7 {
			room := s.room(int32(p), a)
			if t := room / math.Abs(a); t <= loose && math.Abs(a) > pivot {
				leave, step, pivot = int32(p), t, math.Abs(a)
			}
		}
	}
	return leave, math.Max(0, step)
}

// room is how far the column at a position can go when another one moves.
func (s *Solver) room(p int32, a float64) float64 {
	j := s.basis[p]
	if a > 0 {
		return s.d[j] - s.lower[j]
	}
	return s.upper[j] - s.d[j]
}
