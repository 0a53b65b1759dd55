package audit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"meguri/analytics/disclosure/dossier"
)

// lists is a list of lists without a pointer for each.
type lists struct{ start, index []int32 }

func (l *lists) of(i int32) []int32 { return l.index[l.start[i]:l.start[i+1]] }

// turned returns the lists the other way round: for each of n, who has it.
func (l *lists) turned(n int) lists {
	t := lists{start: make([]int32, n+1), index: make([]int32, len(l.index))}
	for _, i := range l.index {
		t.start[i+1]++
	}
	for i := range n {
		t.start[i+1] += t.start[i]
	}
	next := slices.Clone(t.start[:n])
	for j := range len(l.start) - 1 {
		for _, i := range l.of(int32(j)) {
			t.index[next[i]] = int32(j)
			next[i]++
		}
	}
	return t
}

// model is a dossier as an attacker looks at it. Leaves that are nobody's are
// left out: they are known to be 0, unless the dossier says that nobody is to
// know. Cells over the same leaves are one.
type model struct {
	d    *dossier.Dossier
	unit float64

	value  []float64 // of each leaf
	fixed  []bool    // leaves that are published themselves
	parts  lists     // of each leaf: the respondents, ascending
	amount []float64 // of each entry of parts
	owned  lists     // of each respondent: its leaves
	name   []int32   // of each respondent, in the dossier

	cells  []cell
	leaves lists // of each cell
	in     lists // of each leaf: the cells
	empty  []place
}

// cell is one or several cells of the dossier that are the same sum.
type cell struct {
	value  float64
	shown  bool // some table, or something known, tells the value
	hidden bool // some table hides it
	places []place
	need   need
}

// place is where a cell stands in the dossier; table -1 is what is known.
type place struct{ table, cell int32 }

func (m *model) at(p place) *dossier.Cell {
	if p.table < 0 {
		return &m.d.Known[p.cell]
	}
	return &m.d.Tables[p.table].Cells[p.cell]
}

// where says where a cell stands, for people.
func (m *model) where(p place) string {
	c := m.at(p)
	keys := strings.Join(c.Keys, " · ")
	if keys == "" {
		keys = fmt.Sprintf("no. %d", p.cell)
	}
	if p.table < 0 {
		return fmt.Sprintf("known sum %q", keys)
	}
	return fmt.Sprintf("table %q cell %q", m.d.Tables[p.table].Release, keys)
}

func newModel(d *dossier.Dossier, unit float64) (*model, error) {
	m := &model{d: d, unit: unit}
	for i := range d.Tables {
		if err := checkRules(&d.Tables[i]); err != nil {
			return nil, err
		}
	}
	number, err := m.takeLeaves()
	if err != nil {
		return nil, err
	}
	if err := m.takeCells(number); err != nil {
		return nil, err
	}
	m.fixed = make([]bool, len(m.value))
	for i := range m.cells {
		if l := m.leaves.of(int32(i)); m.cells[i].shown && len(l) == 1 {
			m.fixed[l[0]] = true
		}
	}
	m.needs()
	return m, nil
}

// takeLeaves numbers the leaves that are somebody's, and their respondents. What
// one respondent has in a leaf is added up first: a cancelled payment is no
// part. What stays negative is refused, since attackers who may not take amounts
// for positive are others than those that are played here.
func (m *model) takeLeaves() (number []int32, err error) {
	respondents := map[int32]int32{}
	var names []int32
	for _, l := range m.d.Leaves {
		for _, p := range l.Parts {
			if _, ok := respondents[p.Respondent]; !ok {
				respondents[p.Respondent] = 0
				names = append(names, p.Respondent)
			}
		}
	}
	slices.Sort(names)
	for i, n := range names {
		respondents[n] = int32(i)
	}
	m.name = names
	number = make([]int32, len(m.d.Leaves))
	m.parts.start = append(m.parts.start, 0)
	var parts []dossier.Part
	for i, l := range m.d.Leaves {
		parts = append(parts[:0], l.Parts...)
		slices.SortStableFunc(parts, func(a, b dossier.Part) int { return cmp.Compare(a.Respondent, b.Respondent) })
		sum, first := 0.0, len(m.parts.index)
		for k := 0; k < len(parts); {
			net, from := 0.0, k
			for ; k < len(parts) && parts[k].Respondent == parts[from].Respondent; k++ {
				net += parts[k].Amount
			}
			switch {
			case math.IsNaN(net) || math.IsInf(net, 0):
				return nil, fmt.Errorf("%w: leaf %d has an amount that is no number", ErrMalformed, i)
			case net < 0:
				return nil, fmt.Errorf("%w: leaf %d: respondent %d has less than nothing in it", ErrMalformed, i, parts[from].Respondent)
			case net > 0:
				m.parts.index = append(m.parts.index, respondents[parts[from].Respondent])
				m.amount = append(m.amount, net)
				sum += net
			}
		}
		if number[i] = -1; len(m.parts.index) > first || l.Open {
			number[i] = int32(len(m.value))
			m.value = append(m.value, sum)
			m.parts.start = append(m.parts.start, int32(len(m.parts.index)))
		}
	}
	m.owned = m.parts.turned(len(names))
	return number, nil
}

// same reports whether two values are one, but for the rounding of sums.
func same(a, b float64) bool {
	return math.Abs(a-b) <= 1e-6+1e-9*math.Max(math.Abs(a), math.Abs(b))
}

// takeCells puts cells over the same leaves together, and refuses published
// values that contradict each other or the leaves.
func (m *model) takeCells(number []int32) error {
	known := map[uint64][]int32{}
	m.leaves.start = append(m.leaves.start, 0)
	var leaves []int32
	take := func(p place) error {
		c := m.at(p)
		if c.Value != nil && (math.IsNaN(*c.Value) || math.IsInf(*c.Value, 0)) {
			return fmt.Errorf("%w: %s has a value that is no number", ErrMalformed, m.where(p))
		}
		if !(c.Up >= 0 && c.Down >= 0) || math.IsInf(c.Up, 0) || math.IsInf(c.Down, 0) {
			return fmt.Errorf("%w: %s has a protection that is no amount", ErrMalformed, m.where(p))
		}
		if p.table < 0 && c.Value == nil {
			return fmt.Errorf("%w: %s has no value", ErrMalformed, m.where(p))
		}
		leaves = leaves[:0]
		h, sum := uint64(14695981039346656037), 0.0
		for k, l := range c.Leaves {
			if l < 0 || int(l) >= len(number) || k > 0 && c.Leaves[k-1] >= l {
				return fmt.Errorf("%w: %s names a leaf that is not there, or out of order", ErrMalformed, m.where(p))
			}
			if n := number[l]; n >= 0 {
				leaves = append(leaves, n)
				sum += m.value[n]
				h = (h ^ uint64(n)) * 1099511628211
				h ^= h >> 29
			}
		}
		if len(leaves) == 0 {
			if c.Value != nil && !same(*c.Value, 0) {
				return fmt.Errorf("%w: %s is %v, and its parts add up to 0", ErrInconsistent, m.where(p), *c.Value)
			}
			if c.Value == nil {
				m.empty = append(m.empty, p)
			}
			return nil
		}
		at := int32(-1)
		for _, k := range known[h] {
			if slices.Equal(m.leaves.of(k), leaves) {
				at = k
				break
			}
		}
		if at < 0 {
			at = int32(len(m.cells))
			known[h] = append(known[h], at)
			m.cells = append(m.cells, cell{value: sum})
			m.leaves.index = append(m.leaves.index, leaves...)
			m.leaves.start = append(m.leaves.start, int32(len(m.leaves.index)))
		}
		one := &m.cells[at]
		if c.Value != nil {
			for _, q := range one.places {
				if v := m.at(q).Value; v != nil && !same(*v, *c.Value) {
					return fmt.Errorf("%w: %s is %v and %s is %v, and they are the same sum", ErrInconsistent, m.where(q), *v, m.where(p), *c.Value)
				}
			}
			if !same(*c.Value, sum) {
				return fmt.Errorf("%w: %s is %v, and its parts add up to %v", ErrInconsistent, m.where(p), *c.Value, sum)
			}
		}
		one.places = append(one.places, p)
		one.shown = one.shown || c.Value != nil
		one.hidden = one.hidden || c.Value == nil
		return nil
	}
	for t := range m.d.Tables {
		for c := range m.d.Tables[t].Cells {
			if err := take(place{int32(t), int32(c)}); err != nil {
				return err
			}
		}
	}
	for c := range m.d.Known {
		if err := take(place{-1, int32(c)}); err != nil {
			return err
		}
	}
	m.in = m.leaves.turned(len(m.value))
	return nil
}

// own is what a respondent has in a leaf.
func (m *model) own(leaf, respondent int32) float64 {
	a, b := m.parts.start[leaf], m.parts.start[leaf+1]
	if k, found := slices.BinarySearch(m.parts.index[a:b], respondent); found {
		return m.amount[int(a)+k]
	}
	return 0
}

// pair is an attacker: nobody, a respondent, or two who put together what they
// know. -1 is nobody.
type pair [2]int32

var outsider = pair{-1, -1}

// knows is what an attacker knows that a leaf has at least, and whether it knows
// all of it, since there is nobody else in the leaf.
func (m *model) knows(leaf int32, a pair) (least float64, all bool) {
	if a[0] < 0 {
		return 0, false
	}
	n := m.parts.start[leaf+1] - m.parts.start[leaf]
	for _, r := range a {
		if r < 0 {
			continue
		}
		if own := m.own(leaf, r); own > 0 {
			least += own
			n--
		}
	}
	return least, n == 0 && least > 0
}
