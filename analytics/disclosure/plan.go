package disclosure

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"meguri/analytics"
	"meguri/analytics/disclosure/suppress"
)

// view is one audience's look at one population: everything released in it is
// protected together. All recipients have one: what one of them has keeps its
// pattern for all, so that none can learn from another.
type view struct {
	Audience Audience `json:"audience"`
	From     string   `json:"from"`
	To       string   `json:"to"`
	Shop     string   `json:"shop,omitempty"`
	Zero     bool     `json:"zero_yen,omitempty"`
	Noise    bool     `json:"noise,omitempty"`    // persons are protected by noise: only shops are by hiding
	Snapshot int64    `json:"snapshot,omitempty"` // 0 where what is published stays
}

// placed is a cut of a view whose pattern is decided: which of its cells are
// hidden.
type placed struct {
	By     []string        `json:"by"`
	Hidden map[string]bool `json:"hidden"` // by cellKey; a cell that is not there is empty
	// Why says of hidden cells why they are. It is the office's.
	Why map[string]Reason `json:"why,omitempty"`
}

// cutName is the same for the same dimensions in any order.
func cutName(by []string) string {
	by = slices.Clone(by)
	slices.Sort(by)
	return strings.Join(by, "+")
}

// cellKey is a cell of a cut, its keys in the order of the sorted dimensions.
func cellKey(keys []string) string { return strings.Join(keys, keySeparator) }

const keySeparator = "\x1f"

// keyOf is the cellKey of keys that stand in the order of by.
func keyOf(by, keys []string) string {
	order := make([]int, len(by))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(by[i], by[j]) })
	sorted := make([]string, len(by))
	for i, o := range order {
		sorted[i] = keys[o]
	}
	return cellKey(sorted)
}

// keysIn are the keys of a cellKey in the order of by.
func keysIn(by []string, key string) []string {
	sorted := strings.Split(key, keySeparator)
	dims := slices.Sorted(slices.Values(by))
	keys := make([]string, len(by))
	for i, d := range by {
		keys[i] = sorted[slices.Index(dims, d)]
	}
	return keys
}

// maxLeaves bounds what is protected together.
const maxLeaves = 300_000

// component is the cuts of a view that hang together by their dimensions. Cuts
// of different components have nothing in common but the total. Whatever is
// hidden in one stays so whatever is known of the others: for any two tables of
// one total there is a population that has both (their product), so that another
// table of the one component fits every table of the other. That is why each
// component is protected by itself.
type component struct {
	dims []string
	cuts []*placed // decided before
}

// gather puts the cuts that a new one hangs together with into one component.
func gather(cuts []*placed, by []string) component {
	c := component{dims: slices.Clone(by)}
	taken := map[*placed]bool{}
	for grew := true; grew; {
		grew = false
		for _, p := range cuts {
			if taken[p] || !slices.ContainsFunc(p.By, func(d string) bool { return slices.Contains(c.dims, d) }) {
				continue
			}
			taken[p], grew = true, true
			c.cuts = append(c.cuts, p)
			for _, d := range p.By {
				if !slices.Contains(c.dims, d) {
					c.dims = append(c.dims, d)
				}
			}
		}
	}
	slices.Sort(c.dims)
	return c
}

// segment is a part of a window that no release divides.
type segment struct{ from, to string }

// population is who stands behind the leaves of a component.
type population struct {
	dims    []string
	keys    [][]string // of each leaf
	segment []int      // of each leaf
	shops   [][]suppress.Contribution
	persons [][]suppress.Contribution
}

// clone is a population to which leaves may be added, and the first stays.
func (p *population) clone() *population {
	return &population{p.dims, slices.Clip(p.keys), slices.Clip(p.segment), slices.Clip(p.shops), slices.Clip(p.persons)}
}

// table is a window and a cut of a component's leaves.
type table struct {
	by       []string
	segments []int // of its window
	decided  *placed
	regions  []Region
	between  bool    // never shown: its sensitive cells must not be had by subtraction
	rules    RuleSet // of its audience
	release  string  // its name for the auditor
}

// spansDays tells whether a window can cut through a dimension's values.
func spansDays(dim string) bool { return dim == "week" || dim == "month" }

// mapped are a leaf's keys with the regions of the table's view.
func (t table) mapped(dims, keys []string) []string {
	if t.regions == nil {
		return keys
	}
	in := merges(t.regions)
	keys = slices.Clone(keys)
	for i, d := range dims {
		if name, ok := in[d][keys[i]]; ok {
			keys[i] = name
		}
	}
	return keys
}

// cellOf is a cell of a table over the leaves.
type cellOf struct {
	table  int
	key    string
	leaves []int32
}

// cells groups the leaves by a table's dimensions.
func (p *population) cells(t table, n int) []cellOf {
	at := make([]int, len(t.by))
	for i, d := range t.by {
		at[i] = slices.Index(p.dims, d)
	}
	index := map[string]int{}
	var all []cellOf
	keys, in := make([]string, len(t.by)), merges(t.regions)
	for l := range p.keys {
		if !slices.Contains(t.segments, p.segment[l]) {
			continue
		}
		for i, k := range at {
			keys[i] = p.keys[l][k]
			if name, ok := in[t.by[i]][keys[i]]; ok {
				keys[i] = name
			}
		}
		key := keyOf(t.by, keys)
		i, ok := index[key]
		if !ok {
			i = len(all)
			index[key] = i
			all = append(all, cellOf{table: n, key: key})
		}
		all[i].leaves = append(all[i].leaves, int32(l))
	}
	return all
}

// judge says whether a cell is sensitive by the rules, why, and how much
// protection it needs. Parts are judged by their size: what was taken back is as
// much somebody's as what was paid.
func (r RuleSet) judge(p *population, leaves []int32) (why Reason, need float64) {
	shops, _ := sums(p.shops, leaves)
	persons, _ := sums(p.persons, leaves)
	total := 0.0
	for i := range shops {
		shops[i].Amount = math.Abs(shops[i].Amount)
		total += shops[i].Amount
	}
	for i := range persons {
		persons[i].Amount = math.Abs(persons[i].Amount)
	}
	slices.SortFunc(shops, largestFirst)
	slices.SortFunc(persons, largestFirst)
	known := 0
	for _, c := range persons {
		if c.Respondent != nobody {
			known++
		}
	}
	ask := func(reason Reason, missing float64) {
		if why == "" {
			why = reason
		}
		need = math.Max(need, missing)
	}
	// Too few: the value must not be computed, nor nearly so.
	if int64(known) < r.MinPersons {
		ask(FewPersons, math.Max(1, total/10))
	}
	if int64(len(shops)) < r.MinShops {
		ask(FewShops, math.Max(1, total/10))
	}
	for _, parts := range [][]suppress.Contribution{shops, persons} {
		if r.Percent == 0 || len(parts) == 0 {
			continue
		}
		rest := 0.0
		for _, c := range parts {
			rest += c.Amount
		}
		for _, c := range parts[:min(2, len(parts))] {
			rest -= c.Amount
		}
		if missing := r.Percent/100*parts[0].Amount - rest; missing > 0 {
			ask(Dominance, missing)
		}
	}
	if r.Top > 0 {
		top := 0.0
		for _, c := range shops[:min(r.Top, len(shops))] {
			top += c.Amount
		}
		if missing := 100/r.Share*top - total; missing > 0 {
			ask(Dominance, missing)
		}
	}
	return why, need
}

func largestFirst(a, b suppress.Contribution) int {
	return cmp.Or(cmp.Compare(b.Amount, a.Amount), cmp.Compare(a.Respondent, b.Respondent))
}

// verdict is what the rules say of a cell.
type verdict struct {
	why      Reason // "" where it is not sensitive
	up, down float64
	total    float64
}

// verdicts judge the cells of a table.
func (r RuleSet) verdicts(p *population, t table, cells []cellOf) []verdict {
	out := make([]verdict, len(cells))
	var group []bool
	if !t.between {
		group = r.Zeroes.group(p, t, cells)
	}
	for i, c := range cells {
		v := &out[i]
		_, v.total = sums(p.shops, c.leaves)
		if len(c.leaves) > 0 && p.allEmpty(c.leaves) {
			if r.Zeroes != nil && !t.between {
				v.why, v.up = Empty, 1
			}
			continue
		}
		var need float64
		if v.why, need = r.judge(p, c.leaves); v.why != "" {
			v.up, v.down = need, math.Max(0, math.Min(need, v.total))
		}
		switch {
		case v.why != "" || t.between:
		case group[i]: // that it is smaller is what nobody may exclude
			v.why, v.down = Group, math.Max(0, math.Min(math.Max(1, v.total/10), v.total))
		case t.small(c.key):
			v.why, v.up = SmallArea, 1
		}
	}
	return out
}

// nobody is the respondent of payments by nobody known.
const nobody = 0

// sums are the parts of a cell by respondent, the largest first.
func sums(parts [][]suppress.Contribution, leaves []int32) (all []suppress.Contribution, total float64) {
	by := map[int32]float64{}
	for _, l := range leaves {
		for _, c := range parts[l] {
			by[c.Respondent] += c.Amount
			total += c.Amount
		}
	}
	for r, a := range by {
		all = append(all, suppress.Contribution{Respondent: r, Amount: a})
	}
	slices.SortFunc(all, largestFirst)
	return all, total
}

// add puts parts into the population: those of one segment and one kind of
// party.
func (p *population) add(parts []analytics.Part, n int, shops bool, leaves map[string]int, numbers map[string]int32) error {
	for _, part := range parts {
		key := fmt.Sprintf("%d\x1e%s", n, cellKey(part.Keys))
		l, ok := leaves[key]
		if !ok {
			if l = len(p.keys); l == maxLeaves {
				return errTooMany(p.dims)
			}
			leaves[key] = l
			p.append(part.Keys, n)
		}
		who, ok := numbers[part.Party]
		if !ok {
			who = int32(len(numbers) + 1)
			if part.Party == "" {
				who = nobody
			}
			numbers[part.Party] = who
		}
		into := &p.persons[l]
		if shops {
			into = &p.shops[l]
		}
		*into = append(*into, suppress.Contribution{Respondent: who, Amount: part.Yen})
	}
	return nil
}

// append adds a leaf in which nobody is yet.
func (p *population) append(keys []string, segment int) {
	p.keys = append(p.keys, keys)
	p.segment = append(p.segment, segment)
	p.shops = append(p.shops, nil)
	p.persons = append(p.persons, nil)
}

func errTooMany(dims []string) error {
	return fmt.Errorf("%w: its cuts %v have more than %d combinations", ErrNotOffered, dims, maxLeaves)
}

// tidy adds up what one respondent has in a leaf, and checks that persons and
// shops, where both were asked for, come to the same: both are all payments, divided
// in another way.
func (p *population) tidy(both bool) error {
	for l := range p.shops {
		var totals [2]float64
		for i, list := range []*[]suppress.Contribution{&p.shops[l], &p.persons[l]} {
			slices.SortFunc(*list, func(a, b suppress.Contribution) int { return cmp.Compare(a.Respondent, b.Respondent) })
			one := (*list)[:0]
			for _, c := range *list {
				if math.IsNaN(c.Amount) || math.IsInf(c.Amount, 0) {
					return fmt.Errorf("%w: an amount in a cut by %v is no number", ErrUneven, p.dims)
				}
				totals[i] += c.Amount
				if n := len(one); n > 0 && one[n-1].Respondent == c.Respondent {
					one[n-1].Amount += c.Amount
				} else {
					one = append(one, c)
				}
			}
			*list = one
		}
		if both && math.Abs(totals[0]-totals[1]) > 0.5 {
			return fmt.Errorf("%w: persons and shops of a cut by %v come to different sums; make the lake anew from its segments", ErrUneven, p.dims)
		}
	}
	return nil
}

// plan decides which cells of the tables are hidden that are not decided yet.
// The tables are over one population and are protected together.
func (r RuleSet) plan(p *population, tables []table) ([]*placed, error) {
	problem := &suppress.Problem{Leaves: p.shops, Percent: r.Percent}
	for l := range p.shops {
		if p.empty(int32(l)) {
			problem.Open = append(problem.Open, int32(l))
		}
	}
	if r.Percent > 0 && r.MinShops == 0 {
		problem.Percent = 0 // shops' parts are no secret here
	}
	if r.MinShops > 0 {
		problem.Unit = 1
	}
	var cells []cellOf
	var whys []Reason
	shown := p.shownEmpty(tables)
	for n, t := range tables {
		all := p.cells(t, n)
		for i, v := range t.rules.verdicts(p, t, all) {
			c := all[i]
			one := suppress.Cell{Leaves: c.leaves, Cost: math.Sqrt(math.Max(1, math.Abs(v.total))), Sensitive: v.why != "", Up: v.up, Down: v.down}
			if v.why == Empty && !slices.ContainsFunc(c.leaves, func(l int32) bool { return !shown[l] }) {
				one.Sensitive, v.why = false, "" // everybody knows
			}
			if t.between {
				if !one.Sensitive {
					continue
				}
				one.Fate = suppress.Withheld
			}
			if t.decided != nil {
				one.Fate = suppress.Shown
				if t.decided.Hidden[c.key] {
					one.Fate = suppress.Withheld
				}
				if one.Fate == suppress.Shown {
					one.Sensitive = false // it is out
				}
			}
			cells, whys = append(cells, c), append(whys, v.why)
			problem.Cells = append(problem.Cells, one)
		}
	}
	// What everybody knows: the total of each segment. It is what ties the
	// components together, so it may not move.
	var totals [][]int32
	for l, s := range p.segment {
		for len(totals) <= s {
			totals = append(totals, nil)
		}
		totals[s] = append(totals[s], int32(l))
	}
	for _, leaves := range totals {
		if len(leaves) > 0 {
			problem.Cells = append(problem.Cells, suppress.Cell{Leaves: leaves, Cost: 1, Fate: suppress.Shown})
		}
	}
	result, err := suppress.Protect(problem)
	var infeasible *suppress.InfeasibleError
	if errors.As(err, &infeasible) {
		return nil, fmt.Errorf("%w: %w", ErrDiscloses, err)
	}
	if err != nil {
		return nil, err
	}
	out := make([]*placed, len(tables))
	for n, t := range tables {
		out[n] = t.decided
		if t.decided == nil && !t.between {
			out[n] = &placed{By: t.by, Hidden: map[string]bool{}, Why: map[string]Reason{}}
		}
	}
	why := secondary(tables, cells, whys, result.Hidden)
	for i, c := range cells {
		if t := tables[c.table]; t.decided == nil && !t.between {
			if out[c.table].Hidden[c.key] = result.Hidden[i]; result.Hidden[i] {
				out[c.table].Why[c.key] = why(i)
			}
		}
	}
	return out, nil
}
