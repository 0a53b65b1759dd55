// Package gatebench makes the tables on which the gate is measured: payments of
// a made-up city, by district, industry and age, in three sizes, and counts of
// persons in two and three dimensions.
package gatebench

import (
	"fmt"
	"sort"

	"meguri/analytics/disclosure/suppress"
)

// Instance is a made-up city's payments.
type Instance struct {
	Name                                          string
	Seed                                          uint64
	Wards, Districts, Groups, Industries, AgeBand int
	Shops, Persons, Payments                      int
}

// The instances with which others have been measured.
var Instances = []Instance{
	{"inst1k", 20260702, 4, 3, 4, 3, 5, 150, 1500, 10_000},
	{"inst10k", 20260701, 4, 6, 6, 4, 10, 600, 5000, 50_000},
	{"inst70k", 20260703, 8, 12, 8, 6, 12, 3000, 40_000, 400_000},
}

// random is SplitMix64, so that the instances are the same everywhere.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9E3779B97F4A7C15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (r *random) n(k int) int { return int(r.next() % uint64(k)) }

// skewed draws small numbers more often.
func (r *random) skewed(k int) int { return min(r.n(k), r.n(k)) }

// Payment is one of an instance.
type Payment struct{ District, Industry, Age, Shop, Person, Amount int }

// All are the payments.
func (i Instance) All(yield func(Payment) bool) {
	r := random(i.Seed)
	type shop struct{ district, industry, weight int }
	shops, total := make([]shop, i.Shops), 0
	sums := make([]int, i.Shops)
	for s := range shops {
		d := r.skewed(i.Wards * i.Districts)
		n := r.skewed(i.Groups * i.Industries)
		w := r.n(100)
		shops[s] = shop{d, n, 1 + w*w/100}
		total += shops[s].weight
		sums[s] = total
	}
	ages := make([]int, i.Persons)
	for p := range ages {
		ages[p] = r.skewed(i.AgeBand)
	}
	for range i.Payments {
		draw := r.n(total)
		at := sort.Search(len(sums), func(k int) bool { return sums[k] > draw })
		person := r.n(i.Persons)
		s := shops[at]
		if !yield(Payment{s.district, s.industry, ages[person], at, person, 100 + 10*(r.n(60)*(1+s.weight/10))}) {
			return
		}
	}
}

// Table is the instance as one table with its margins: district within ward,
// industry within group, age band; shops are the respondents.
func (i Instance) Table() *suppress.Table {
	within := func(n, size int, leaf, group string) suppress.Dimension {
		var d suppress.Dimension
		d.Add("", "")
		for g := range n {
			d.Add(fmt.Sprintf("%s%02d", group, g), "")
		}
		for l := range n * size {
			d.Add(fmt.Sprintf("%s%03d", leaf, l), fmt.Sprintf("%s%02d", group, l/size))
		}
		return d
	}
	var ages suppress.Dimension
	ages.Add("", "")
	for a := range i.AgeBand {
		ages.Add(fmt.Sprintf("y%02d", a), "")
	}
	t := suppress.NewTable(within(i.Wards, i.Districts, "a", "w"), within(i.Groups, i.Industries, "i", "g"), ages)
	for p := range i.All {
		t.Add(int32(p.Shop), float64(p.Amount), fmt.Sprintf("a%03d", p.District), fmt.Sprintf("i%03d", p.Industry), fmt.Sprintf("y%02d", p.Age))
	}
	return t
}
