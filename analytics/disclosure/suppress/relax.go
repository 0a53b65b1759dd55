package suppress

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"meguri/internal/simplex"
)

// InfeasibleError says that some cells cannot be protected while others must be
// published, and how little would have to be given up.
type InfeasibleError struct {
	Cells       []int        // sensitive ones that stay open
	Relaxations []Relaxation // of the first of them
}

// Relaxation is the least by which the protection of a cell would have to be
// relaxed: its levels, or else the cells that must be published.
type Relaxation struct {
	Cell       int
	Insider    bool  // it is a respondent who knows too much, not an outsider
	Respondent int32 // which one
	// Up and Down are what is asked for, MostUp and MostDown what there is when
	// everything is hidden that may be: the attacker can tell that the cell lies
	// between its value less MostDown and its value and MostUp.
	Up, Down         float64
	MostUp, MostDown float64
	// Hide are cells that must be published, and hiding which would do. Without
	// any there are none that would.
	Hide []int

	value float64
	whole bool
}

// relaxed is for how many cells the least relaxation is worked out.
const relaxed = 20

func (e *InfeasibleError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sensitive cells cannot be protected beside the cells that must be published", len(e.Cells))
	for i, r := range e.Relaxations {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		b.WriteString(r.String())
	}
	return b.String()
}

// String tells amounts as parts of the cell, and counts as they are, and neither
// beyond what is asked for, so that they do not give away what is in it.
func (r Relaxation) String() string {
	who := "outsiders"
	if r.Insider {
		who = fmt.Sprintf("respondent %d", r.Respondent)
	}
	s := fmt.Sprintf("cell %d must be uncertain to %s by %s, and ", r.Cell, who, r.span(r.Up, r.Down))
	switch {
	case r.Up == 0 && r.Down == 0:
		s = fmt.Sprintf("cell %d must be hidden, and can be computed", r.Cell)
	case r.enough():
		s += "no proof was found that it is"
	default:
		s += "can be by " + r.span(math.Min(r.Up, r.MostUp), math.Min(r.Down, r.MostDown)) + " at most"
	}
	switch {
	case len(r.Hide) > 0:
		s += " unless hidden as well: cell " + strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Hide), " ", ", "), "[]")
	case !r.enough():
		s += ", whatever is hidden"
	}
	return s
}

func (r Relaxation) enough() bool {
	return r.MostUp >= r.Up-still && r.MostDown >= r.Down-still
}

func (r Relaxation) span(up, down float64) string {
	amount := func(v float64) string {
		if r.whole || r.value == 0 {
			return fmt.Sprintf("%.6g", v)
		}
		return fmt.Sprintf("%.1f %%", 100*v/r.value)
	}
	if r.Insider {
		return "+" + amount(up)
	}
	return "+" + amount(up) + " and −" + amount(down)
}

// contradiction is that cells are one sum, which must be hidden and published.
func (m *model) contradiction(cell int32) error {
	r := Relaxation{Hide: m.published(cell), value: m.total[cell], whole: m.whole}
	for _, o := range m.origin[cell] {
		switch c := &m.p.Cells[o]; {
		case c.Sensitive:
			r.Cell, r.Up, r.Down = int(o), max(r.Up, c.Up), max(r.Down, c.Down)
		case c.Fate == Withheld && r.Up+r.Down == 0:
			r.Cell = int(o)
		}
	}
	return &InfeasibleError{Cells: []int{r.Cell}, Relaxations: []Relaxation{r}}
}

// published are the problem's cells of one sum that must be published.
func (m *model) published(cell int32) (all []int) {
	for _, o := range m.origin[cell] {
		if m.p.Cells[o].Fate == Shown {
			all = append(all, int(o))
		}
	}
	return all
}

// bare are the demands of cells that can be computed.
func (m *model) bare(cells []int32) (all []demand) {
	for _, c := range cells {
		all = append(all, demand{c, outsider, 1, m.cells[c].Up}, demand{c, outsider, -1, m.cells[c].Down})
	}
	return all
}

// infeasible is the error that demands cannot be met.
func (m *model) infeasible(hopeless []demand) error {
	e := &InfeasibleError{}
	hopeless = slices.Clone(hopeless)
	slices.SortFunc(hopeless, func(a, b demand) int { return cmp.Or(cmp.Compare(a.cell, b.cell), cmp.Compare(a.attacker, b.attacker)) })
	open := make([]bool, len(m.cells)) // all that may be hidden is
	for i := range open {
		open[i] = m.cells[i].Fate != Shown
	}
	k := newProver(m, open, nil)
	for i, d := range hopeless {
		if i == 0 || d.cell != hopeless[i-1].cell {
			e.Cells = append(e.Cells, int(m.origin[d.cell][0]))
		} else if d.attacker == hopeless[i-1].attacker {
			continue
		}
		if len(e.Relaxations) < relaxed {
			e.Relaxations = append(e.Relaxations, k.relax(d))
		}
	}
	return e
}

// relax works out how far an attacker's uncertainty of a cell can go.
func (k *prover) relax(d demand) Relaxation {
	m, c := k.m, &k.m.cells[d.cell]
	out := Relaxation{
		Cell: int(m.origin[d.cell][0]), Insider: d.attacker != outsider, Respondent: d.attacker,
		Up: c.Up, Down: c.Down, value: m.total[d.cell], whole: m.whole,
	}
	if out.Insider {
		out.Up, out.Down = d.need, 0
	}
	must := func(c int32) bool { return m.cells[c].Fate == Shown }
	k.wide.around(m, d.cell, len(m.value), must, func(int32) bool { return true })
	solver := simplex.New(k.wide.matrix(m, 0, nil))
	lower, upper := make([]float64, len(k.wide.leaves)), make([]float64, len(k.wide.leaves))
	for j, l := range k.wide.leaves {
		least, all := m.least(l, d.attacker)
		if lower[j], upper[j] = least-m.value[l], math.Inf(1); all {
			lower[j], upper[j] = 0, 0
		}
	}
	price := func(c int32) float64 {
		if must(c) {
			return m.cells[c].Cost
		}
		return 0
	}
	vain := false
	for _, side := range []struct {
		sign, need float64
		most       *float64
	}{{1, out.Up, &out.MostUp}, {-1, out.Down, &out.MostDown}} {
		if out.Insider && side.sign < 0 {
			break
		}
		var objective []simplex.Term
		for _, l := range c.Leaves {
			objective = append(objective, simplex.Term{Column: k.wide.column[l] - 1, Value: side.sign})
		}
		most, status := solver.Maximize(objective, lower, upper, math.Inf(1))
		if status == simplex.Failed {
			most = math.Inf(1) // nobody knows
		}
		if m.whole {
			most = math.Floor(most + still)
		}
		if *side.most = most; most >= side.need-still {
			continue
		}
		cells, _, ok := k.cross(demand{d.cell, d.attacker, side.sign, side.need}, price)
		if !ok {
			vain = true
		}
		for _, c := range cells {
			out.Hide = append(out.Hide, m.published(c)...)
		}
	}
	if slices.Sort(out.Hide); vain { // what helps the one side is not enough
		out.Hide = nil
	}
	out.Hide = slices.Compact(out.Hide)
	return out
}
