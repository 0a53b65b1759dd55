// Package democity makes up a city and lives in it through the wallet API: its
// residents register, buy a premium voucher, pay in its shops, and now and then
// a shop cancels. Start with [NewPlan], which decides everything from a seed,
// and [Plan.Drive], which does it over HTTP.
//
// Nobody in it is real, and it looks so: residents are called 架空 and a
// number, and their telephone numbers cannot be called.
package democity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"meguri/pseudonymize/lake"
)

// Config says how large a city is.
type Config struct {
	Residents int    `json:"residents"`
	Shops     int    `json:"shops"`
	Weeks     int    `json:"weeks"`
	Seed      uint64 `json:"seed"`
}

// Default is the city that "meguri demo" makes.
var Default = Config{Residents: 5000, Shops: 150, Weeks: 13, Seed: 1}

// Validate reports what is wrong with a config.
func (c Config) Validate() error {
	switch {
	case c.Residents < 1 || c.Residents > 200_000:
		return fmt.Errorf("a demo city has 1 to 200,000 residents, not %d", c.Residents)
	case c.Shops < 1 || c.Shops > 5_000:
		return fmt.Errorf("a demo city has 1 to 5,000 shops, not %d", c.Shops)
	case c.Weeks < 1 || c.Weeks > 26:
		return fmt.Errorf("a demo city lives for 1 to 26 weeks, not %d", c.Weeks)
	}
	return nil
}

// The programmes of the city, after Mitaka's: 1,000 yen buys 1,200, 30 units at
// most, and community points beside it.
const (
	VoucherID = "demo-voucher"
	PointsID  = "demo-points"

	unitPrice = 1000
	unitValue = 1200
	maxUnits  = 30
)

// tokyo has had no daylight saving since 1951.
var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// Start is the first day of use, a Monday as in Mitaka.
var Start = time.Date(2026, 6, 1, 0, 0, 0, 0, tokyo)

// Days returns the first and the last day of the city's life, YYYY-MM-DD.
func (c Config) Days() (from, to string) {
	return Start.Format(time.DateOnly), Start.AddDate(0, 0, 7*c.Weeks-1).Format(time.DateOnly)
}

var towns = []string{"桜台", "若葉町", "本町", "緑が丘", "川辺", "駅前", "南新田", "山の手"}

// Resident is a made-up person.
type Resident struct {
	ID, Name, Phone, BornOn, Sex, Area, ConsentID string
	Test                                          bool
	Events                                        []Event // in order of time
}

// Shop is a made-up shop.
type Shop struct {
	ID, Name, Merchant, Industry, Area string
	appeal                             float64
}

// Event is something a resident does, or a shop for a resident.
type Event struct {
	ID      string
	Kind    string // charge, grant, pay, cancel
	At      time.Time
	Units   int // charge
	Shop    string
	Voucher int64 // yen paid with the voucher
	Points  int64 // yen paid with points, or granted
	Target  string
}

// Plan is a whole city.
type Plan struct {
	Config    Config
	Shops     []Shop
	Residents []Resident
}

// NewPlan makes a city. The same config gives the same city.
func NewPlan(c Config) *Plan {
	p := &Plan{Config: c}
	r := rand.New(rand.NewPCG(c.Seed, 1))
	p.Shops = makeShops(c, r)
	for i := range c.Residents {
		p.Residents = append(p.Residents, p.makeResident(i))
	}
	return p
}

// Payments counts the payments of a plan.
func (p *Plan) Payments() (n int) {
	for _, r := range p.Residents {
		for _, e := range r.Events {
			if e.Kind == "pay" {
				n++
			}
		}
	}
	return n
}

// Busiest is the shop with the most payments.
func (p *Plan) Busiest() string {
	count := map[string]int{}
	busiest := p.Shops[0].ID
	for _, r := range p.Residents {
		for _, e := range r.Events {
			count[e.Shop]++
			if e.Kind == "pay" && count[e.Shop] > count[busiest] {
				busiest = e.Shop
			}
		}
	}
	return busiest
}

// trade is how a line of business is used.
type trade struct {
	share  float64    // of all shops
	pull   float64    // visits, against the others
	median float64    // yen of a payment
	spread float64    // of the logarithm
	open   [2]int     // hours
	peaks  []float64  // hours that are busiest
	ages   [2]float64 // at which age it is liked most, and how narrowly
	sunday float64    // how much more at the weekend
}

var trades = map[string]trade{
	"grocery":     {.12, 1.3, 1300, .5, [2]int{9, 19}, []float64{10.5, 16.5}, [2]float64{62, 28}, 1.0},
	"supermarket": {.08, 2.6, 2300, .6, [2]int{9, 22}, []float64{11, 17.5}, [2]float64{48, 30}, 1.3},
	"convenience": {.10, 1.5, 680, .4, [2]int{6, 24}, []float64{8, 12.3, 18.5}, [2]float64{35, 22}, .9},
	"drugstore":   {.07, 1.4, 1700, .6, [2]int{9, 22}, []float64{11, 18}, [2]float64{55, 26}, 1.1},
	"restaurant":  {.18, 1.2, 1500, .5, [2]int{11, 22}, []float64{12.3, 19}, [2]float64{42, 24}, 1.5},
	"cafe":        {.12, 1.0, 820, .4, [2]int{8, 20}, []float64{10, 15}, [2]float64{38, 22}, 1.4},
	"clothing":    {.07, .5, 4200, .7, [2]int{10, 20}, []float64{14, 17}, [2]float64{44, 22}, 1.8},
	"household":   {.05, .5, 5200, .9, [2]int{10, 20}, []float64{13, 16}, [2]float64{52, 24}, 1.7},
	"books":       {.05, .6, 1500, .5, [2]int{10, 21}, []float64{15, 18}, [2]float64{40, 26}, 1.3},
	"beauty":      {.07, .5, 4600, .4, [2]int{9, 20}, []float64{11, 15}, [2]float64{45, 24}, 1.2},
	"leisure":     {.03, .5, 2400, .6, [2]int{10, 22}, []float64{14, 19}, [2]float64{30, 18}, 2.0},
	"services":    {.06, .6, 2000, .7, [2]int{9, 19}, []float64{10, 15}, [2]float64{58, 26}, .8},
}

func makeShops(c Config, r *rand.Rand) []Shop {
	var shops []Shop
	for i := range c.Shops {
		// The first shops are one of each trade, so that a small city has all.
		code := lake.Industries[i%len(lake.Industries)]
		if i >= len(lake.Industries) {
			code = lake.Industries[pick(r, len(lake.Industries), func(k int) float64 { return trades[lake.Industries[k].Code].share })]
		}
		merchant := i + 1
		if i > 0 && r.Float64() < .08 { // a branch of the shop before
			merchant = i
		}
		shops = append(shops, Shop{
			ID:       fmt.Sprintf("s-%04d", i+1),
			Name:     fmt.Sprintf("デモ%s %03d", code.Ja, i+1),
			Merchant: fmt.Sprintf("m-%04d", merchant),
			Industry: code.Code,
			Area:     towns[r.IntN(len(towns))],
			appeal:   math.Exp(r.NormFloat64() * .9), // a few shops are liked by many
		})
	}
	return shops
}

// ages are the shares of ten-year bands from 10 on, after the age pyramid of a
// suburban city.
var ages = []float64{4, 11, 14, 16, 18, 14, 13, 8, 2}

func (p *Plan) makeResident(i int) Resident {
	r := rand.New(rand.NewPCG(p.Config.Seed, uint64(i)+1000))
	band := pick(r, len(ages), func(k int) float64 { return ages[k] })
	age := 10 + 10*band + r.IntN(10)
	if age < 15 {
		age = 15
	}
	born := Start.AddDate(-age, 0, -r.IntN(365))
	sex := []string{"female", "male", "other", "unknown"}[pick(r, 4, func(k int) float64 { return []float64{52, 45, .5, 2.5}[k] })]
	res := Resident{
		ID:        fmt.Sprintf("r-%06d", i+1),
		Name:      fmt.Sprintf("架空 %06d", i+1),
		Phone:     fmt.Sprintf("+8100%08d", i+1), // no Japanese number begins with 00
		BornOn:    born.Format(time.DateOnly),
		Sex:       sex,
		Area:      towns[r.IntN(len(towns))],
		ConsentID: fmt.Sprintf("c-%06d", i+1),
		Test:      i < 3 && p.Config.Residents > 100,
	}
	life := &life{plan: p, who: &res, r: r, age: float64(age), number: i}
	life.live()
	return res
}

// life makes one resident's events.
type life struct {
	plan    *Plan
	who     *Resident
	r       *rand.Rand
	age     float64
	number  int
	made    int
	favours []int // shops that this resident goes back to
	voucher int64
	points  int64
	units   int
}

// add appends an event under an ID that the seed decides, so that a drive that
// broke off can be repeated.
func (l *life) add(e Event) Event {
	l.made++
	e.ID = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "meguri-demo/%d/%d/%d", l.plan.Config.Seed, l.number, l.made)).String()
	l.who.Events = append(l.who.Events, e)
	return e
}

func (l *life) live() {
	r, days := l.r, 7*l.plan.Config.Weeks
	want := int(math.Exp(2.55 + .95*r.NormFloat64())) // payments in thirteen weeks
	if r.Float64() < .08 {
		want = 1 // bought, used once, and no more
	}
	want = max(1, want*l.plan.Config.Weeks/13)
	first := int(float64(days) * math.Pow(r.Float64(), 2.2)) // most begin early
	for range 1 + r.IntN(5) {
		l.favours = append(l.favours, l.anyShop())
	}
	begun := l.dayAt(first, 9+r.IntN(3), r.IntN(60))
	l.buy(begun, min(maxUnits, 1+int(float64(want)*(.9+1.2*r.Float64()))))
	if r.Float64() < .3 { // volunteers get points
		l.grant(begun.Add(time.Minute), int64(100+50*r.IntN(9)))
	}
	for _, at := range l.times(want, first, days) {
		l.pay(at)
	}
	slices.SortStableFunc(l.who.Events, func(a, b Event) int { return a.At.Compare(b.At) })
}

func (l *life) dayAt(day, hour, minute int) time.Time {
	return Start.AddDate(0, 0, day).Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(l.r.IntN(60))*time.Second)
}

func (l *life) buy(at time.Time, units int) {
	units = min(units, maxUnits-l.units)
	if units < 1 {
		return
	}
	l.add(Event{Kind: "charge", At: at, Units: units})
	l.units += units
	l.voucher += int64(units) * unitValue
	if l.age >= 70 { // 3 % of the price for those of 70 and over, as points
		l.grant(at.Add(time.Second), int64(units)*unitPrice*3/100)
	}
}

func (l *life) grant(at time.Time, yen int64) {
	l.add(Event{Kind: "grant", At: at, Points: yen})
	l.points += yen
}

// weekdays are the shares of the days from Monday on.
var weekdays = []float64{.85, .85, .9, .9, 1.15, 1.35, 1.25}

// times draws the days of a resident's payments, in order. Hours come with the
// shop.
func (l *life) times(n, first, days int) []time.Time {
	day := make([]int, n)
	for i := range day {
		if i == 0 {
			day[i] = first
			continue
		}
		for {
			d := first + l.r.IntN(days-first)
			if l.r.Float64()*1.4 < weekdays[d%7] {
				day[i] = d
				break
			}
		}
	}
	slices.Sort(day)
	at := make([]time.Time, n)
	for i, d := range day {
		at[i] = Start.AddDate(0, 0, d)
	}
	return at
}

// anyShop draws a shop by its appeal, the resident's age, and how near it is.
func (l *life) anyShop() int {
	shops := l.plan.Shops
	return pick(l.r, len(shops), func(i int) float64 {
		t := trades[shops[i].Industry]
		away := (l.age - t.ages[0]) / t.ages[1]
		weight := shops[i].appeal * t.pull * math.Exp(-away*away/2)
		if shops[i].Area == l.who.Area {
			weight *= 4
		}
		return weight
	})
}

func (l *life) pay(day time.Time) {
	at := l.favours[l.r.IntN(len(l.favours))]
	if l.r.Float64() < .28 {
		at = l.anyShop()
	}
	shop := l.plan.Shops[at]
	t := trades[shop.Industry]
	when := l.within(day, t)
	if n := len(l.who.Events); n > 0 && !when.After(l.who.Events[n-1].At) {
		when = l.who.Events[n-1].At.Add(time.Duration(2+l.r.IntN(20)) * time.Minute)
	}
	if when.After(Start.AddDate(0, 0, 7*l.plan.Config.Weeks).Add(-time.Hour)) {
		return // too late on the last day, with an hour for a cancel
	}
	yen := int64(t.median * math.Exp(t.spread*l.r.NormFloat64()))
	yen = max(100, yen-yen%int64([]int{1, 1, 10, 50}[l.r.IntN(4)]))
	if l.voucher+l.points < yen {
		l.buy(when.Add(-time.Minute), 1+int(yen/unitValue)+l.r.IntN(3))
	}
	pay := Event{Kind: "pay", At: when, Shop: shop.ID}
	switch {
	case l.points > 0 && l.voucher > 0 && l.r.Float64() < .35: // both in one payment
		pay.Points = min(l.points, yen-1)
		pay.Voucher = min(l.voucher, yen-pay.Points)
	case l.voucher > 0:
		pay.Voucher = min(l.voucher, yen)
	case l.points > 0:
		pay.Points = min(l.points, yen)
	default:
		return // everything is spent
	}
	l.voucher -= pay.Voucher
	l.points -= pay.Points
	pay = l.add(pay)
	if l.r.Float64() < .015 { // the shop takes it back
		l.add(Event{Kind: "cancel", At: when.Add(time.Duration(1+l.r.IntN(30)) * time.Minute), Target: pay.ID})
		l.voucher += pay.Voucher
		l.points += pay.Points
	}
}

// within draws a time of day for a trade: around one of its peaks.
func (l *life) within(day time.Time, t trade) time.Time {
	peak := t.peaks[l.r.IntN(len(t.peaks))]
	hour := peak + l.r.NormFloat64()*1.3
	hour = min(max(hour, float64(t.open[0])), float64(t.open[1])-.1)
	return day.Add(time.Duration(hour * float64(time.Hour))).Truncate(time.Second)
}

// pick draws an index by weight.
func pick(r *rand.Rand, n int, weight func(int) float64) int {
	var sum float64
	for i := range n {
		sum += weight(i)
	}
	x := r.Float64() * sum
	for i := range n {
		if x -= weight(i); x < 0 {
			return i
		}
	}
	return n - 1
}
