package suppress

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Contribution is what one respondent put into a leaf. A respondent is whoever
// acts as one: a holding with several shops is one.
type Contribution struct {
	Respondent int32
	Amount     float64 // in the unit of the table; ≥ 0, unless the problem has a floor
}

// Fate is what may become of a cell.
type Fate int

// The fates of a cell.
const (
	Free     Fate = iota // to be decided
	Shown                // must be published: it was before, or it was asked for
	Withheld             // must be hidden: it is sensitive, or it was hidden before
)

// Cell is a cell of one of the tables: the sum of some leaves.
type Cell struct {
	Leaves []int32 // ascending, without repeats
	Cost   float64 // of hiding it, > 0
	Fate   Fate
	// Sensitive cells need protection: no outsider may learn that the value is
	// below value+Up or above value−Down, and for ratio rules no respondent may
	// come as near as that to another one.
	Sensitive bool
	Up, Down  float64
}

// Problem is a group of tables that are protected together, over the finest
// partition that they have in common: its parts are the leaves. Tables that
// share cells, hierarchies and earlier releases are all cells over the leaves.
type Problem struct {
	Leaves [][]Contribution // of each leaf, one for each respondent in it
	Cells  []Cell
	Open   []int32 // leaves that are empty, of which nobody is to know that they are
	// Percent is p of the p % rule: no respondent may estimate another one's
	// amount within p %. With Percent and Unit both 0 respondents are not attackers.
	Percent float64
	// Unit is the least that a respondent may not know of a sensitive cell in which
	// others have a part, so that it cannot compute the cell.
	Unit float64
	// Whole says that amounts are whole numbers, as those of persons are, and that
	// attackers know it: the other tables that prove the protection are whole, too.
	// Persons are counted once in a cell, so the leaves of a table of persons are
	// those that are in the same cells, and Up and Down are by how many its counts
	// must be uncertain.
	Whole bool
	// Floor is what everybody knows a leaf to be at least, and what others than
	// oneself have in it. It is 0 unless amounts can be negative, as with payments
	// that were cancelled later; -Inf is that nobody knows anything.
	Floor float64
	// Codes may tell where each leaf stands in one table: a code for each dimension.
	// It is what large tables are protected by; it is never believed.
	Codes [][]int32
}

// ErrMalformed says that a problem is not one.
var ErrMalformed = errors.New("the tables cannot be protected as they are given")

func (p *Problem) check() error {
	if !(p.Floor <= 0) {
		return fmt.Errorf("%w: its floor is above 0, or no number", ErrMalformed)
	}
	if p.Codes != nil && len(p.Codes) != len(p.Leaves) {
		return fmt.Errorf("%w: it has codes of %d leaves, and %d leaves", ErrMalformed, len(p.Codes), len(p.Leaves))
	}
	for i, leaf := range p.Leaves {
		sum := 0.0
		for k, c := range leaf {
			sum += c.Amount
			switch {
			case math.IsNaN(c.Amount) || math.IsInf(c.Amount, 0):
				return fmt.Errorf("%w: leaf %d has a contribution that is no number", ErrMalformed, i)
			case c.Amount < 0 && p.Floor == 0:
				return fmt.Errorf("%w: leaf %d has a negative contribution, and there is no floor that says how far everybody knows amounts to go: "+
					"set it off against what was paid, or name the floor", ErrMalformed, i)
			case p.Whole && c.Amount != math.Trunc(c.Amount):
				return fmt.Errorf("%w: leaf %d has a contribution that is not whole", ErrMalformed, i)
			case k > 0 && leaf[k-1].Respondent >= c.Respondent:
				return fmt.Errorf("%w: leaf %d names a respondent twice or out of order", ErrMalformed, i)
			}
		}
		if sum < p.Floor {
			return fmt.Errorf("%w: leaf %d is below the floor that everybody knows", ErrMalformed, i)
		}
	}
	for _, l := range p.Open {
		if l < 0 || int(l) >= len(p.Leaves) || len(p.Leaves[l]) > 0 {
			return fmt.Errorf("%w: leaf %d is not there, or is somebody's and is called empty", ErrMalformed, l)
		}
	}
	for i := range p.Cells {
		c := &p.Cells[i]
		for k, l := range c.Leaves {
			if l < 0 || int(l) >= len(p.Leaves) || k > 0 && c.Leaves[k-1] >= l {
				return fmt.Errorf("%w: cell %d names a leaf that is not there, or names it twice or out of order", ErrMalformed, i)
			}
		}
		switch {
		case !(c.Cost > 0) || math.IsInf(c.Cost, 0):
			return fmt.Errorf("%w: cell %d has no cost", ErrMalformed, i)
		case c.Sensitive && !(c.Up >= 0 && c.Down >= 0) || math.IsInf(c.Up, 0) || math.IsInf(c.Down, 0):
			return fmt.Errorf("%w: cell %d has no levels of protection", ErrMalformed, i)
		}
	}
	return nil
}

// model is a problem without what cannot move: leaves that are nobody's are
// known to be 0 but for open ones, and cells over the same leaves are one.
type model struct {
	p       *Problem
	percent float64
	unit    float64
	whole   bool
	floor   float64
	leaf    []int32   // the problem's leaf that each of these is
	codes   [][]int32 // of each leaf, or nil
	value   []float64 // of each leaf
	parts   [][]Contribution
	cells   []Cell
	origin  [][]int32 // the problem's cells that each of these stands for
	of      [][]int32 // cells of each leaf
	total   []float64 // of each cell, in absolute amounts
	single  []int32   // of each leaf: the cell that is the leaf, or -1
}

func newModel(p *Problem) (*model, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	m := &model{p: p, percent: p.Percent, unit: p.Unit, whole: p.Whole, floor: p.Floor}
	number := make([]int32, len(p.Leaves))
	open := make([]bool, len(p.Leaves))
	for _, l := range p.Open {
		open[l] = true
	}
	var gross []float64 // of each leaf, in absolute amounts
	for i, leaf := range p.Leaves {
		sum, all := 0.0, 0.0
		for _, c := range leaf {
			sum += c.Amount
			all += math.Abs(c.Amount)
		}
		if number[i] = -1; all > 0 || open[i] {
			number[i] = int32(len(m.value))
			gross = append(gross, all)
			m.leaf = append(m.leaf, int32(i))
			if p.Codes != nil {
				m.codes = append(m.codes, p.Codes[i])
			}
			m.value = append(m.value, sum)
			m.parts = append(m.parts, leaf)
		}
	}
	m.of = make([][]int32, len(m.value))
	known := make(map[uint64][]int32, len(p.Cells))
	var leaves []int32
	for i := range p.Cells {
		c := p.Cells[i]
		leaves = leaves[:0]
		for _, l := range c.Leaves {
			if number[l] >= 0 {
				leaves = append(leaves, number[l])
			}
		}
		if len(leaves) == 0 {
			continue
		}
		key, at := uint64(14695981039346656037), int32(-1) // FNV, four bytes at a time
		for _, l := range leaves {
			key = (key ^ uint64(l)) * 1099511628211
			key ^= key >> 29
		}
		for _, k := range known[key] {
			if slices.Equal(m.cells[k].Leaves, leaves) {
				at = k
				break
			}
		}
		if at < 0 {
			at = int32(len(m.cells))
			known[key] = append(known[key], at)
			c.Leaves = slices.Clone(leaves)
			m.cells = append(m.cells, c)
			m.origin = append(m.origin, []int32{int32(i)})
			sum := 0.0
			for _, l := range leaves {
				m.of[l] = append(m.of[l], at)
				sum += gross[l]
			}
			m.total = append(m.total, sum)
			continue
		}
		one := &m.cells[at]
		one.Cost += c.Cost
		one.Up, one.Down = max(one.Up, c.Up), max(one.Down, c.Down)
		one.Sensitive = one.Sensitive || c.Sensitive
		m.origin[at] = append(m.origin[at], int32(i))
		if c.Fate != Free {
			if one.Fate != Free && one.Fate != c.Fate {
				return nil, m.contradiction(at)
			}
			one.Fate = c.Fate
		}
	}
	m.single = make([]int32, len(m.value))
	for l := range m.single {
		m.single[l] = -1
	}
	for i := range m.cells {
		c := &m.cells[i]
		if len(c.Leaves) == 1 {
			m.single[c.Leaves[0]] = int32(i)
		}
		if c.Sensitive {
			if c.Fate == Shown {
				return nil, m.contradiction(int32(i))
			}
			c.Fate = Withheld
			if m.whole {
				c.Up, c.Down = math.Ceil(c.Up), math.Ceil(c.Down)
			}
		}
	}
	return m, nil
}

// own is a respondent's part of a leaf.
func (m *model) own(leaf, respondent int32) float64 {
	parts := m.parts[leaf]
	i, found := slices.BinarySearchFunc(parts, respondent, func(c Contribution, r int32) int { return cmp.Compare(c.Respondent, r) })
	if !found {
		return 0
	}
	return parts[i].Amount
}

// parties are the amounts of the respondents in a cell, the largest first. Who
// dominates a cell is judged by absolute amounts.
func (m *model) parties(cell int32) []Contribution {
	sums := map[int32]float64{}
	for _, l := range m.cells[cell].Leaves {
		for _, c := range m.parts[l] {
			sums[c.Respondent] += c.Amount
		}
	}
	all := make([]Contribution, 0, len(sums))
	for r, a := range sums {
		all = append(all, Contribution{r, a})
	}
	slices.SortFunc(all, func(a, b Contribution) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Amount), math.Abs(a.Amount)), cmp.Compare(a.Respondent, b.Respondent))
	})
	return all
}
