package simplex

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// What a solver answers is feasible, and no answer can be larger: by duality
// the reduced costs bound the objective from above by the same amount.
func TestMaximize_Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, columns := rapid.IntRange(1, 12).Draw(t, "rows"), rapid.IntRange(1, 30).Draw(t, "columns")
		a := NewMatrix(rows)
		for range columns {
			var in []int32
			for i := range rows {
				if rapid.IntRange(0, 3).Draw(t, "in") == 0 {
					in = append(in, int32(i))
				}
			}
			a.Column(1, in...)
		}
		for i := range rows {
			a.Column(-1, int32(i))
		}
		s := New(a)
		lower, upper := make([]float64, a.Columns()), make([]float64, a.Columns())
		for range rapid.IntRange(1, 8).Draw(t, "questions") {
			var objective []Term
			for j := range a.Columns() {
				lower[j] = -float64(rapid.IntRange(0, 20).Draw(t, "lower"))
				upper[j] = float64(rapid.IntRange(0, 20).Draw(t, "upper"))
				if j >= columns && rapid.Bool().Draw(t, "free") {
					lower[j], upper[j] = math.Inf(-1), math.Inf(1)
				} else if c := rapid.IntRange(-2, 2).Draw(t, "cost"); c != 0 {
					objective = append(objective, Term{int32(j), float64(c)})
				}
			}
			value, status := s.Maximize(objective, lower, upper, math.Inf(1))
			if status == Unbounded {
				continue
			}
			if status != Optimal {
				t.Fatalf("status %d", status)
			}
			d := make([]float64, a.Columns())
			for _, m := range s.Movement() {
				d[m.Column] = m.Value
			}
			sums := make([]float64, rows)
			for j, v := range d {
				if v < lower[j]-1e-6 || v > upper[j]+1e-6 {
					t.Fatalf("column %d is at %v, beyond %v to %v", j, v, lower[j], upper[j])
				}
				in, values := a.columns.of(int32(j))
				for k, i := range in {
					sums[i] += values[k] * v
				}
			}
			for i, sum := range sums {
				if math.Abs(sum) > 1e-6 {
					t.Fatalf("row %d comes to %v", i, sum)
				}
			}
			cost := make([]float64, a.Columns())
			reached := 0.0
			for _, o := range objective {
				cost[o.Column] = o.Value
				reached += o.Value * d[o.Column]
			}
			c, y := make([]float64, s.m), make([]float64, s.m)
			for p, j := range s.basis {
				c[p] = cost[j]
			}
			s.factors.backward(c, y)
			bound := 0.0
			for j := range a.Columns() {
				r := cost[j]
				in, values := s.columns.of(int32(j))
				for k, i := range in {
					r -= values[k] * y[i]
				}
				if r > 1e-7 {
					bound += r * upper[j]
				} else if r < -1e-7 {
					bound += r * lower[j]
				}
			}
			if math.Abs(reached-value) > 1e-5 || math.Abs(bound-value) > 1e-5 {
				t.Fatalf("the answer is %v, the movement reaches %v, the bound is %v", value, reached, bound)
			}
		}
	})
}
