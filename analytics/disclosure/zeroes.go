package disclosure

import (
	"context"
	"slices"

	"meguri/analytics"
)

// ofPersons are the dimensions that tell something of a person.
var ofPersons = []string{"age_band", "area", "sex"}

func personal(dim string) bool { return slices.Contains(ofPersons, dim) }

// unknown are the keys that tell nothing.
func unknown(key string) bool { return key == "" || key == "unknown" }

// values are what the dimensions of persons can be: what was ever seen.
func (g *Gate) values(ctx context.Context, dims []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, d := range dims {
		if !personal(d) {
			continue
		}
		q := ever
		q.By = []string{d}
		parts, err := g.Engine.Behind(ctx, q, analytics.ByShop)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if !unknown(p.Keys[0]) && !slices.Contains(out[d], p.Keys[0]) {
				out[d] = append(out[d], p.Keys[0])
			}
		}
		slices.Sort(out[d])
	}
	return out, nil
}

// open adds a leaf for every combination of a window that is empty and could be
// somebody's: an attacker is not to know that it is empty.
func (p *population) open(values map[string][]string, tables []table) error {
	if len(values) == 0 {
		return nil
	}
	for n, t := range tables {
		same := func(o table) bool { return !o.between && slices.Equal(o.segments, t.segments) }
		if t.between || slices.ContainsFunc(tables[:n], same) {
			continue
		}
		taken := map[string]bool{}
		var others [][]string // the combinations of what is not of persons
		seen := map[string]bool{}
		for l, keys := range p.keys {
			if p.empty(int32(l)) || !slices.Contains(t.segments, p.segment[l]) {
				continue
			}
			taken[cellKey(t.mapped(p.dims, keys))] = true
			rest := slices.Clone(keys)
			for i, d := range p.dims {
				if personal(d) {
					rest[i] = ""
				}
			}
			if k := cellKey(rest); !seen[k] {
				seen[k] = true
				others = append(others, rest)
			}
		}
		for i, d := range p.dims {
			if !personal(d) {
				continue
			}
			var next [][]string
			for _, keys := range others {
				for _, v := range values[d] {
					one := slices.Clone(keys)
					one[i] = v
					next = append(next, one)
				}
			}
			others = next
		}
		for _, keys := range others {
			if k := cellKey(t.mapped(p.dims, keys)); taken[k] {
				continue
			} else if taken[k] = true; len(p.keys) == maxLeaves {
				return errTooMany(p.dims)
			}
			p.append(keys, t.segments[0])
		}
	}
	return nil
}

// empty reports whether nobody is in a leaf.
func (p *population) empty(leaf int32) bool {
	return len(p.shops[leaf]) == 0 && len(p.persons[leaf]) == 0
}

func (p *population) allEmpty(leaves []int32) bool {
	return !slices.ContainsFunc(leaves, func(l int32) bool { return !p.empty(l) })
}

// group reports whether so few of a row or column are outside a cell that
// everybody known to be of it is known to be in the cell.
func (z *Zeroes) group(p *population, t table, cells []cellOf) []bool {
	out := make([]bool, len(cells))
	if z == nil || len(t.by) < 2 || !slices.ContainsFunc(t.by, personal) {
		return out
	}
	inside := make([]map[int32]bool, len(cells))
	for i, c := range cells {
		inside[i] = map[int32]bool{}
		for _, l := range c.leaves {
			for _, part := range p.persons[l] {
				if part.Respondent != nobody {
					inside[i][part.Respondent] = true
				}
			}
		}
	}
	for d := range t.by {
		times, values := map[string]map[int32]int{}, map[string]bool{} // how often each person is in a row
		rows := make([]string, len(cells))
		for i, c := range cells {
			keys := c.keys()
			if len(inside[i]) > 0 {
				values[keys[d]] = true
			}
			rows[i] = cellKey(slices.Delete(slices.Clone(keys), d, d+1))
			if times[rows[i]] == nil {
				times[rows[i]] = map[int32]int{}
			}
			for r := range inside[i] {
				times[rows[i]][r]++
			}
		}
		if len(values) < 2 {
			continue // what holds for all is told by the total
		}
		for i, c := range cells {
			if len(inside[i]) == 0 || unknown(c.keys()[d]) {
				continue
			}
			elsewhere := int64(0)
			for r, n := range times[rows[i]] {
				if n > 1 || !inside[i][r] {
					elsewhere++
				}
			}
			out[i] = out[i] || elsewhere <= z.Elsewhere
		}
	}
	return out
}

// shownEmpty are the leaves of which an earlier table told that they are empty,
// by saying nothing of their cell.
func (p *population) shownEmpty(tables []table) map[int32]bool {
	shown := map[int32]bool{}
	for n, t := range tables {
		if t.decided == nil || t.between {
			continue
		}
		for _, c := range p.cells(t, n) {
			if p.allEmpty(c.leaves) && !t.decided.Hidden[c.key] {
				for _, l := range c.leaves {
					shown[l] = true
				}
			}
		}
	}
	return shown
}
