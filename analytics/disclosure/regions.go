package disclosure

import (
	"context"
	"maps"
	"slices"
	"strings"

	"meguri/analytics"
)

// Region is what was made of small areas in the tables of a view.
type Region struct {
	Dim    string   `json:"dim"`
	Name   string   `json:"name"`
	Areas  []string `json:"areas"`            // that it puts together
	Hidden bool     `json:"hidden,omitempty"` // it is too small still
}

// regionName is the name of areas that are put together.
func regionName(areas []string) string { return strings.Join(areas, "・") }

// merges are the regions that put areas together, by dimension and area.
func merges(regions []Region) map[string]map[string]string {
	var out map[string]map[string]string
	for _, r := range regions {
		if len(r.Areas) < 2 {
			continue
		}
		if out == nil {
			out = map[string]map[string]string{}
		}
		if out[r.Dim] == nil {
			out[r.Dim] = map[string]string{}
		}
		for _, a := range r.Areas {
			out[r.Dim][a] = r.Name
		}
	}
	return out
}

// mergesOf are the merges of some dimensions.
func mergesOf(regions []Region, by []string) map[string]map[string]string {
	all := merges(regions)
	maps.DeleteFunc(all, func(dim string, _ map[string]string) bool { return !slices.Contains(by, dim) })
	if len(all) == 0 {
		return nil
	}
	return all
}

// sights are who was seen in an area.
type sights struct{ persons, shops map[string]bool }

func (s sights) add(o sights) sights {
	maps.Copy(s.persons, o.persons)
	maps.Copy(s.shops, o.shops)
	return s
}

// ever is a window that holds every day.
var ever = analytics.Query{From: "0001-01-01", To: "9999-12-31"}

// regions are the areas of a window that are too small to stand alone, put
// together with their neighbours. They are decided once for a view, of its whole
// window, so that no table of it has an area both alone and with another.
func (g *Gate) regions(ctx context.Context, rules RuleSet, v view) ([]Region, error) {
	var all []Region
	if rules.Regions == nil {
		return nil, nil
	}
	for _, dim := range []string{"area", "shop_area"} {
		seen := map[string]sights{}
		note := func(q analytics.Query, party analytics.Party, count bool) error {
			q.By = []string{dim}
			parts, err := g.Engine.Behind(ctx, q, party)
			for _, p := range parts {
				area := p.Keys[0]
				if _, ok := seen[area]; !ok && area != "" {
					seen[area] = sights{map[string]bool{}, map[string]bool{}}
				}
				switch {
				case area == "" || !count || p.Party == "":
				case party == analytics.ByShop:
					seen[area].shops[p.Party] = true
				default:
					seen[area].persons[p.Party] = true
				}
			}
			return err
		}
		window := analytics.Query{From: v.From, To: v.To, Shop: v.Shop, Zero: v.Zero}
		if err := note(ever, analytics.ByShop, false); err != nil {
			return nil, err
		}
		if err := note(window, analytics.ByPerson, true); err != nil {
			return nil, err
		}
		minShops := int64(0) // a resident may pay anywhere
		if dim == "shop_area" {
			minShops = rules.Regions.MinShops
			if err := note(window, analytics.ByShop, true); err != nil {
				return nil, err
			}
		}
		small := func(s sights) bool {
			return int64(len(s.persons)) < rules.Regions.MinPersons || int64(len(s.shops)) < minShops
		}
		all = append(all, join(dim, seen, g.Neighbours, small)...)
	}
	return all, nil
}

// join puts small areas together with their neighbours until none is small that
// has another neighbour. The order of the names decides, so that the same data
// give the same regions.
func join(dim string, seen map[string]sights, neighbours map[string]string, small func(sights) bool) []Region {
	in := map[string]string{} // the region of an area, by the first of its areas
	regions := map[string]Region{}
	for a := range seen {
		in[a], regions[a] = a, Region{Dim: dim, Areas: []string{a}}
	}
	for again := true; again; {
		again = false
		for _, name := range slices.Sorted(maps.Keys(regions)) {
			if !small(seen[name]) {
				continue
			}
			for _, a := range regions[name].Areas {
				to, ok := in[neighbours[a]]
				if !ok || to == name {
					continue
				}
				areas := slices.Sorted(slices.Values(append(slices.Clone(regions[name].Areas), regions[to].Areas...)))
				first := areas[0]
				both := seen[name].add(seen[to])
				delete(regions, name)
				delete(regions, to)
				regions[first], seen[first] = Region{Dim: dim, Areas: areas}, both
				for _, a := range areas {
					in[a] = first
				}
				again = true
				break
			}
			if again {
				break
			}
		}
	}
	var out []Region
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		r := regions[name]
		r.Name, r.Hidden = regionName(r.Areas), small(seen[name])
		if len(r.Areas) > 1 || r.Hidden {
			out = append(out, r)
		}
	}
	return out
}

// small reports whether a cell of a table lies in a region that is hidden as a
// whole.
func (t table) small(key string) bool {
	var keys []string
	for _, r := range t.regions {
		if !r.Hidden {
			continue
		}
		if keys == nil {
			keys = strings.Split(key, keySeparator)
		}
		for i, d := range slices.Sorted(slices.Values(t.by)) {
			if d == r.Dim && keys[i] == r.Name {
				return true
			}
		}
	}
	return false
}

// Regions are the areas that were put together in the table's cells.
func (r Released) Regions() []Region {
	var out []Region
	for _, one := range r.regions {
		if len(one.Areas) > 1 && slices.Contains(r.table.Query.By, one.Dim) {
			out = append(out, Region{Dim: one.Dim, Name: one.Name, Areas: slices.Clone(one.Areas)})
		}
	}
	return out
}
