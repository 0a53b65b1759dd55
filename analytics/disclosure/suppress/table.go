package suppress

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Dimension is a hierarchy of codes: a total, and parts of parts of it.
type Dimension struct {
	Codes  []string
	parent []int32 // -1 for the first one, the total
	number map[string]int32
}

// Add adds a code below another one, which must be there; the first code is the
// total, whatever its parent.
func (d *Dimension) Add(code, parent string) {
	if d.number == nil {
		d.number = map[string]int32{}
	}
	up, ok := d.number[parent]
	switch {
	case len(d.Codes) == 0:
		up = -1
	case !ok:
		panic(fmt.Sprintf("suppress: the dimension has no code %q", parent))
	}
	d.number[code] = int32(len(d.Codes))
	d.Codes, d.parent = append(d.Codes, code), append(d.parent, up)
}

// Table is a table with all margins, made from contributions.
type Table struct {
	dims  []Dimension
	sums  map[string]map[int32]float64 // of each leaf
	codes map[string][]int32           // of each leaf
	names []string                     // of the leaves
}

// NewTable returns an empty table.
func NewTable(dims ...Dimension) *Table {
	return &Table{dims: dims, sums: map[string]map[int32]float64{}, codes: map[string][]int32{}}
}

// Add adds an amount of a respondent at a code of each dimension.
func (t *Table) Add(respondent int32, amount float64, codes ...string) {
	key := strings.Join(codes, "\x00")
	leaf := t.sums[key]
	if leaf == nil {
		leaf = map[int32]float64{}
		t.sums[key] = leaf
		t.names = append(t.names, key)
		at := make([]int32, len(codes))
		for d, code := range codes {
			n, ok := t.dims[d].number[code]
			if !ok {
				panic(fmt.Sprintf("suppress: dimension %d has no code %q", d, code))
			}
			at[d] = n
		}
		t.codes[key] = at
	}
	leaf[respondent] += amount
}

// Problem is the table with every cell that is not empty, and their keys. The
// cost of hiding a cell is given by its value.
func (t *Table) Problem(percent float64, cost func(value float64, leaves int) float64) (*Problem, [][]string) {
	p := &Problem{Percent: percent}
	slices.Sort(t.names)
	cells := map[string]int32{}
	var keys [][]string
	var totals []float64
	for i, name := range t.names {
		var parts []Contribution
		sum := 0.0
		for r, a := range t.sums[name] {
			parts = append(parts, Contribution{r, a})
			sum += a
		}
		slices.SortFunc(parts, func(a, b Contribution) int { return cmp.Compare(a.Respondent, b.Respondent) })
		p.Leaves = append(p.Leaves, parts)
		p.Codes = append(p.Codes, t.codes[name])
		t.ancestors(t.codes[name], func(codes []int32) {
			var b []byte
			for _, c := range codes {
				b = append(b, byte(c), byte(c>>8), byte(c>>16))
			}
			at, ok := cells[string(b)]
			if !ok {
				at = int32(len(p.Cells))
				cells[string(b)] = at
				p.Cells = append(p.Cells, Cell{})
				totals = append(totals, 0)
				key := make([]string, len(codes))
				for d, c := range codes {
					key[d] = t.dims[d].Codes[c]
				}
				keys = append(keys, key)
			}
			p.Cells[at].Leaves = append(p.Cells[at].Leaves, int32(i))
			totals[at] += sum
		})
	}
	for i := range p.Cells {
		p.Cells[i].Cost = cost(totals[i], len(p.Cells[i].Leaves))
	}
	return p, keys
}

// ancestors calls f with every combination of a leaf's codes and what is above
// them.
func (t *Table) ancestors(leaf []int32, f func([]int32)) {
	at := slices.Clone(leaf)
	for {
		f(at)
		d := len(at) - 1
		for ; d >= 0; d-- {
			if up := t.dims[d].parent[at[d]]; up >= 0 {
				at[d] = up
				break
			}
			at[d] = leaf[d]
		}
		if d < 0 {
			return
		}
	}
}

// Root is a cost between counting cells and counting what is in them: a cell of
// a hundred times the value costs ten times as much to hide. What comes to
// nothing costs a little.
func Root(value float64, _ int) float64 { return math.Sqrt(math.Max(math.Abs(value), 1e-6)) }

// ByPercent makes the cells sensitive that break the p % rule: the second
// largest respondent, who knows its own part, must not be able to estimate the
// largest one's within p %. The protection that a cell needs is what is missing.
// Negative amounts count as large as positive ones (Handbook on Statistical
// Disclosure Control, 2nd ed., 4.2.2).
func (p *Problem) ByPercent() {
	m := model{parts: p.Leaves, cells: p.Cells}
	for i := range p.Cells {
		parties := m.parties(int32(i))
		if len(parties) == 0 {
			continue
		}
		rest := 0.0
		for _, c := range parties[min(2, len(parties)):] {
			rest += math.Abs(c.Amount)
		}
		if need := p.Percent/100*math.Abs(parties[0].Amount) - rest; need > 0 {
			c := &p.Cells[i]
			c.Sensitive, c.Up, c.Down = true, max(c.Up, need), max(c.Down, need)
		}
	}
}
