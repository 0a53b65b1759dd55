package disclosure

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"meguri/analytics"
)

// pay is a payment of the tests' city.
type pay struct {
	day, shop, person         string
	industry, area, age, home string
	yen                       float64
}

func (p pay) key(dim string) string {
	switch dim {
	case "day":
		return p.day
	case "month":
		return p.day[:7]
	case "week":
		t, err := time.Parse(time.DateOnly, p.day)
		if err != nil {
			panic(err)
		}
		return t.AddDate(0, 0, -(int(t.Weekday())+6)%7).Format(time.DateOnly)
	case "weekday":
		t, err := time.Parse(time.DateOnly, p.day)
		if err != nil {
			panic(err)
		}
		return fmt.Sprint((int(t.Weekday())+6)%7 + 1)
	case "hour":
		return "12"
	case "shop":
		return p.shop
	case "industry":
		return p.industry
	case "shop_area":
		return p.area
	case "age_band":
		return p.age
	case "sex":
		return "f"
	case "area":
		return p.home
	}
	panic("there is no dimension " + dim)
}

// town is an engine over payments in memory.
type town struct {
	pays     []pay
	snapshot int64
}

func (t *town) Snapshot(context.Context) (int64, error) { return t.snapshot, nil }

// groups are the payments of a query by its cut, in order.
func (t *town) groups(q analytics.Query) (keys [][]string, groups [][]pay) {
	at := map[string]int{}
	for _, p := range t.pays {
		if p.day < q.From || p.day > q.To || q.Shop != "" && p.shop != q.Shop {
			continue
		}
		var k []string
		for _, d := range q.By {
			k = append(k, p.key(d))
		}
		i, ok := at[cellKey(k)]
		if !ok {
			i = len(groups)
			at[cellKey(k)] = i
			keys, groups = append(keys, k), append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return keys, groups
}

func (t *town) Run(_ context.Context, q analytics.Query) (analytics.Table, error) {
	q, metric, dims, err := q.Resolve()
	if err != nil {
		return analytics.Table{}, err
	}
	out := analytics.Table{Metric: metric, Query: q, Snapshot: t.snapshot, Dims: dims, Measures: metric.Measures}
	keys, groups := t.groups(q)
	for i, g := range groups {
		c := analytics.Cell{Keys: keys[i], Values: make([]float64, len(metric.Measures))}
		persons, shops := map[string]bool{}, map[string]bool{}
		for _, p := range g {
			c.Values[0] += p.yen
			persons[p.person], shops[p.shop] = true, true
		}
		if metric.ID == "M03" {
			c.Values[0] = float64(len(persons))
		}
		c.Persons, c.Shops = int64(len(persons)), int64(len(shops))
		out.Cells = append(out.Cells, c)
	}
	slices.SortFunc(out.Cells, func(a, b analytics.Cell) int { return slices.Compare(a.Keys, b.Keys) })
	return out, nil
}

func (t *town) Behind(_ context.Context, q analytics.Query, party analytics.Party) ([]analytics.Part, error) {
	var parts []analytics.Part
	keys, groups := t.groups(q)
	for i, g := range groups {
		at := map[string]int{}
		for _, p := range g {
			name := p.person
			if party == analytics.ByShop {
				name = p.shop
			}
			n, ok := at[name]
			if !ok {
				n = len(parts)
				at[name] = n
				parts = append(parts, analytics.Part{Keys: keys[i], Party: name})
			}
			parts[n].Yen += p.yen
			parts[n].Payments++
		}
	}
	slices.SortFunc(parts, func(a, b analytics.Part) int {
		return cmp.Or(slices.Compare(a.Keys, b.Keys), strings.Compare(a.Party, b.Party))
	})
	return parts, nil
}

// newTown makes up a town: three months, 60 shops, 400 persons.
func newTown(seed uint64, payments int) *town {
	r := rand.New(rand.NewPCG(seed, 0))
	t := &town{snapshot: 1}
	skewed := func(n int) int { return min(r.IntN(n), r.IntN(n)) }
	type shop struct{ industry, area string }
	shops := make([]shop, 60)
	for i := range shops {
		shops[i] = shop{fmt.Sprintf("i%d", skewed(8)), fmt.Sprintf("a%d", skewed(6))}
	}
	persons := make([][2]string, 400)
	for i := range persons {
		persons[i] = [2]string{fmt.Sprintf("%d0s", 2+skewed(7)), fmt.Sprintf("h%d", skewed(6))}
	}
	first := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	for range payments {
		s, p := skewed(len(shops)), r.IntN(len(persons))
		t.pays = append(t.pays, pay{
			day:  first.AddDate(0, 0, r.IntN(91)).Format(time.DateOnly),
			shop: fmt.Sprintf("s%02d", s), person: fmt.Sprintf("p%03d", p), industry: shops[s].industry, area: shops[s].area,
			age: persons[p][0], home: persons[p][1], yen: float64(100 + 10*r.IntN(500)),
		})
	}
	return t
}

// after is a clock that is past the town's months.
func after() time.Time { return time.Date(2026, 7, 10, 3, 0, 0, 0, time.UTC) }
