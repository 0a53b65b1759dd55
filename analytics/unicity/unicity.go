// Package unicity asks how easily a person can be singled out in the rows that
// an analyst may see, and which generalisation would mend it. Start with [Build].
//
// Two questions are asked. Classes: how many persons share sex, age and area
// (k-anonymity), and how many industries they visited between them (l-diversity).
// Unicity: of persons drawn at random, how many are the only one who was at some
// few places at some time (de Montjoye et al., Science 347, 2015, who found that
// four purchases are enough for nine persons in ten).
//
// The figures are of 仮名加工情報 and for the office: they have not passed the
// gate, and must not be published.
package unicity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"meguri/pseudonymize/lake"
)

// Place is how exactly a visit's place is known.
type Place string

// The places and times, the finest first.
const (
	Shop         Place = "shop"
	ShopArea     Place = "shop_area"
	IndustryArea Place = "industry_area" // industry and area of the shop
)

// Time is how exactly a visit's time is known.
type Time string

// The times.
const (
	Day   Time = "day"
	Week  Time = "week"
	Month Time = "month"
)

// Grain is how exactly rows tell of a person and of a visit.
type Grain struct {
	Age20 bool  `json:"age20"` // age in bands of 20 years instead of 10
	City  bool  `json:"city"`  // the whole city instead of an area of it
	Place Place `json:"place"`
	Time  Time  `json:"time"`
	Hour  bool  `json:"hour"` // with the hour of the day
}

// Classes says how small the classes by sex, age and area are.
type Classes struct {
	Persons int64 `json:"persons"`
	Classes int64 `json:"classes"`
	Unique  int64 `json:"unique"`  // persons who are alone in theirs
	BelowK  int64 `json:"below_k"` // persons in classes of fewer than k
	BelowL  int64 `json:"below_l"` // persons in classes that visited fewer than l industries
}

// Known says how many of the persons drawn are unique by some visits.
type Known struct {
	Points int     `json:"points"`
	Drawn  int64   `json:"drawn"`
	Unique int64   `json:"unique"`
	Share  float64 `json:"share"`
	Low    float64 `json:"low"` // Wilson's interval, 95 %
	High   float64 `json:"high"`
}

// Source is the lake as it stands, looked at by a grain.
type Source interface {
	Snapshot() (number int64, at time.Time)
	// Classes returns the classes of those who paid, or of all residents.
	Classes(ctx context.Context, g Grain, k, l int64, residents bool) (Classes, error)
	// Visits draws persons and tells, for each number of points, how many are
	// unique; keys is how many places and times there are to tell apart.
	Visits(ctx context.Context, g Grain, d Draw, points ...int) (drawn int64, unique []int64, keys int64, err error)
}

// Draw is which persons are drawn.
type Draw struct {
	Persons int64  `json:"persons"`
	Seed    uint64 `json:"seed"`
}

// Policy is what rows must keep to before an analyst may see them.
type Policy struct {
	K      int64   `json:"k"`      // the fewest persons of a class
	L      int64   `json:"l"`      // the fewest industries that a class visited
	Points int     `json:"points"` // visits that somebody is taken to know
	Share  float64 `json:"share"`  // of persons who may be unique by them
}

// Default is the policy where none is set.
var Default = Policy{K: 10, L: 3, Points: 4, Share: 0.05}

// MostPoints is how many visits somebody may know at the most.
const MostPoints = 5

// ErrPolicy is a policy or a draw that says nothing.
var ErrPolicy = errors.New("k and l are at least 1, points 1 to 5, the share 0 to 1, and at least one person is drawn")

// Cut is the unicity by one kind of visit.
type Cut struct {
	Grain Grain   `json:"grain"`
	Known []Known `json:"known"` // by 1, 2, … points
}

// Rung is one step of the ladder; each generalises what the one before left.
type Rung struct {
	Step        string  `json:"step"` // a key of the words
	Grain       Grain   `json:"grain"`
	Classes     Classes `json:"classes"`
	Known       Known   `json:"known"` // at the policy's number of points
	Keys        int64   `json:"keys"`  // places and times that can be told apart
	LostClasses int64   `json:"lost_classes"`
	LostKeys    int64   `json:"lost_keys"`
	Holds       bool    `json:"holds"`
}

// Report is what was found.
type Report struct {
	Label     string    `json:"label"`
	Snapshot  int64     `json:"snapshot"`
	At        time.Time `json:"at"` // of the snapshot
	Policy    Policy    `json:"policy"`
	Draw      Draw      `json:"draw"`
	Residents Classes   `json:"residents"`
	Cuts      []Cut     `json:"cuts"`
	Ladder    []Rung    `json:"ladder"` // the first is the rows as they are
	Mends     string    `json:"mends"`  // the first step that keeps to the policy, or ""
}

// Holds tells whether the rows as they are keep to the policy.
func (r *Report) Holds() bool { return r.Ladder[0].Holds }

// cuts are the visits that are reported as the rows tell of them.
var cuts = []Grain{{Place: Shop, Time: Day}, {Place: ShopArea, Time: Day}, {Place: Shop, Time: Day, Hour: true}}

// ladder is the order in which rows are generalised: what costs an analysis of
// visits least comes first.
var ladder = []struct {
	step string
	take func(*Grain)
}{
	{"as-is", func(*Grain) {}},
	{"age", func(g *Grain) { g.Age20 = true }},
	{"area", func(g *Grain) { g.City = true }},
	{"week", func(g *Grain) { g.Time = Week }},
	{"month", func(g *Grain) { g.Time = Month }},
	{"industry", func(g *Grain) { g.Place = IndustryArea }},
	{"hour", func(g *Grain) { g.Hour = false }},
}

// asIs is the grain of the rows as they are.
var asIs = Grain{Place: Shop, Time: Day, Hour: true}

func (p Policy) check(d Draw) error {
	if p.K < 1 || p.L < 1 || p.Points < 1 || p.Points > MostPoints || !(p.Share >= 0 && p.Share <= 1) || d.Persons < 1 {
		return ErrPolicy
	}
	return nil
}

// AsIs asks a source about the rows as they are, and nothing else.
func AsIs(ctx context.Context, s Source, p Policy, d Draw) (Rung, error) {
	if err := p.check(d); err != nil {
		return Rung{}, err
	}
	return measure(ctx, s, p, d, ladder[0].step, asIs)
}

func measure(ctx context.Context, s Source, p Policy, d Draw, step string, g Grain) (r Rung, err error) {
	r = Rung{Step: step, Grain: g}
	if r.Classes, err = s.Classes(ctx, g, p.K, p.L, false); err != nil {
		return r, fmt.Errorf("classes at step %s: %w", step, err)
	}
	drawn, unique, keys, err := s.Visits(ctx, g, d, p.Points)
	if err != nil {
		return r, fmt.Errorf("unicity at step %s: %w", step, err)
	}
	r.Known, r.Keys = known(p.Points, drawn, unique[0]), keys
	r.Holds = r.Classes.BelowK == 0 && r.Classes.BelowL == 0 && r.Known.Share <= p.Share
	return r, nil
}

// Build asks a source.
func Build(ctx context.Context, s Source, p Policy, d Draw) (*Report, error) {
	if err := p.check(d); err != nil {
		return nil, err
	}
	r := &Report{Label: lake.Label, Policy: p, Draw: d}
	r.Snapshot, r.At = s.Snapshot()
	var err error
	if r.Residents, err = s.Classes(ctx, Grain{}, p.K, p.L, true); err != nil {
		return nil, fmt.Errorf("classes of residents: %w", err)
	}
	for _, g := range cuts {
		drawn, unique, _, err := s.Visits(ctx, g, d, 1, 2, 3, 4, MostPoints)
		if err != nil {
			return nil, fmt.Errorf("unicity by %s and %s: %w", g.Place, g.Time, err)
		}
		c := Cut{Grain: g}
		for i, n := range unique {
			c.Known = append(c.Known, known(i+1, drawn, n))
		}
		r.Cuts = append(r.Cuts, c)
	}
	g := asIs
	for _, l := range ladder {
		l.take(&g)
		rung, err := measure(ctx, s, p, d, l.step, g)
		if err != nil {
			return nil, err
		}
		first := rung
		if len(r.Ladder) > 0 {
			first = r.Ladder[0]
		}
		rung.LostClasses, rung.LostKeys = first.Classes.Classes-rung.Classes.Classes, first.Keys-rung.Keys
		if rung.Holds && r.Mends == "" {
			r.Mends = rung.Step
		}
		r.Ladder = append(r.Ladder, rung)
	}
	return r, nil
}

func known(points int, drawn, unique int64) Known {
	k := Known{Points: points, Drawn: drawn, Unique: unique}
	if drawn > 0 {
		k.Share = float64(unique) / float64(drawn)
	}
	k.Low, k.High = Wilson(unique, drawn)
	return k
}

// Wilson is the 95 % interval of a share of which n were drawn (Wilson, 1927).
func Wilson(hits, n int64) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	of, share := float64(n), float64(hits)/float64(n)
	middle := share + z*z/(2*of)
	half := z * math.Sqrt(share*(1-share)/of+z*z/(4*of*of))
	return max(0, (middle-half)/(1+z*z/of)), min(1, (middle+half)/(1+z*z/of))
}
