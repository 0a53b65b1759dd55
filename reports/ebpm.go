package reports

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// EBPM is the dashboard of a city (証拠に基づく政策立案), ready to be written.
type EBPM struct {
	o        Options
	tiles    []tile
	defs     []definition
	sections []section
	frame    frame
}

// section is a heading with its charts.
type section struct {
	Title  string
	Note   string
	Panels []panel
}

// frame is what a report says about itself.
type frame struct {
	Period, Released, AsOf string
	Rules                  []string
}

// BuildEBPM asks for the tables of the dashboard, under the rules for the
// city, and makes its charts and sentences.
func BuildEBPM(ctx context.Context, src Source, o Options) (EBPM, error) {
	o, err := o.check()
	if err != nil {
		return EBPM{}, err
	}
	f := &fetch{ctx: ctx, src: src, aud: disclosure.City}
	net := f.get(o.query("M01a"))
	visits := f.get(o.query("M02"))
	persons := f.get(o.query("M03"))
	perVisit := f.get(o.query("M04"))
	repeat := f.get(o.query("M07"))
	netByWeek := f.get(o.query("M01a", "week"))
	personsByWeek := f.get(o.query("M03", "week"))
	netByIndustry := f.get(o.query("M01a", "industry"))
	personsByIndustry := f.get(o.query("M03", "industry"))
	personsByAgeSex := f.get(o.query("M03", "age_band", "sex"))
	visitsBySlot := f.get(o.query("M02", "weekday", "hour"))
	if f.err != nil {
		return EBPM{}, fmt.Errorf("build the dashboard: %w", f.err)
	}

	l := tongue(o.Lang)
	e := EBPM{o: o, frame: l.frame(o, net)}
	e.tiles = []tile{
		l.tile("tile.net", total(net, "net_yen"), chart.Yen, l.T("tile.net.sub")),
		l.tile("tile.visits", total(visits, "visits"), chart.Visits, l.T("tile.visits.sub")),
		l.tile("tile.persons", total(persons, "persons"), chart.Persons, l.T("tile.persons.sub")),
		l.tile("tile.mean", total(perVisit, "yen_per_visit"), chart.Yen, l.T("tile.mean.sub", l.say(total(perVisit, "median_yen_per_visit"), chart.Yen))),
	}
	e.tiles = append(e.tiles, l.repeat(repeat)...)
	for _, r := range []disclosure.Released{net, visits, persons, perVisit, repeat} {
		e.defs = append(e.defs, l.definition(r))
	}

	sum := total(net, "net_yen")
	yen, order := o.ranked("industry-yen", "ebpm.ind.yen", netByIndustry, "net_yen", nil, func(label string, v float64, u chart.Unit) string {
		if sum.State != chart.Shown || sum.N <= 0 {
			return l.T("msg.rank", label, u.Short(v, o.Lang), l.T("tile.net"))
		}
		return l.T("msg.rank.yen", label, u.Short(v, o.Lang), chart.Percent.Full(v/sum.N, o.Lang))
	})
	heads, _ := o.ranked("industry-persons", "ebpm.ind.persons", personsByIndustry, "persons", order, func(label string, v float64, u chart.Unit) string {
		return l.T("msg.rank", label, u.Short(v, o.Lang), l.T("tile.persons"))
	})
	e.sections = []section{
		{Title: l.T("ebpm.weekly"), Panels: []panel{
			o.byWeek("week-yen", "ebpm.week.yen", netByWeek, "net_yen", false, false),
			o.byWeek("week-persons", "ebpm.week.persons", personsByWeek, "persons", true, false),
		}},
		{Title: l.T("ebpm.industry"), Note: l.T("ebpm.add"), Panels: []panel{yen, heads}},
		{Title: l.T("ebpm.who"), Panels: []panel{o.byAgeSex("age-sex", "ebpm.agesex", personsByAgeSex, false)}},
		{Title: l.T("ebpm.when"), Panels: []panel{o.bySlot("slot", "ebpm.slot", visitsBySlot)}},
	}
	return e, nil
}

// HTML writes the dashboard as a page.
func (e EBPM) HTML(w io.Writer) error {
	s := e.o.shell("ebpm.title")
	return render(w, "ebpm.html", struct {
		Shell
		Programme string
		Frame     frame
		Tiles     []tile
		Defs      []definition
		Sections  []section
	}{s, e.o.Programme, e.frame, e.tiles, e.defs, e.sections})
}

func (o Options) shell(title string) Shell {
	s := shell(o.Lang, Shell{Demo: o.Demo, City: o.City, User: o.User, CSRF: o.CSRF, Nav: o.Nav, Switch: o.Links.Switch})
	s.Title = s.T(title)
	return s
}

// frame takes what a report says about itself from one of its tables.
func (l tongue) frame(o Options, r disclosure.Released) frame {
	lang := string(l)
	return frame{
		Period:   l.T("range", day(o.From, lang), day(o.To, lang)),
		Released: dayOf(r.ReleasedAt().In(tokyo), lang),
		AsOf:     minute(r.AsOf(), lang),
		Rules: []string{
			l.T("rules.few", r.Rules().MinPersons), l.T("rules.sum"), l.T("rules.zero"), l.T("rules.nan"), l.T("rules.same"),
		},
	}
}

// repeat gives both bases of M07, each with its denominator in persons.
func (l tongue) repeat(r disclosure.Released) []tile {
	of := func(m string) string { return l.say(total(r, m), chart.Persons) }
	return []tile{
		l.tile("tile.history", total(r, "history"), chart.Percent, l.T("tile.history.sub", of("active"), of("returning"))),
		l.tile("tile.within", total(r, "within"), chart.Percent, l.T("tile.within.sub", of("active"), of("twice"))),
	}
}

// sortDown sorts keys by rank, the highest first; keys of one rank keep their
// order.
func sortDown(keys []string, rank func(string) float64) {
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(rank(b), rank(a)) })
}

// between fills the hours between the first and the last of a list.
func between(hours []string) []string {
	if len(hours) == 0 {
		return nil
	}
	var first, last int
	if _, err := fmt.Sscanf(hours[0], "%d", &first); err != nil {
		return hours
	}
	if _, err := fmt.Sscanf(hours[len(hours)-1], "%d", &last); err != nil {
		return hours
	}
	var out []string
	for h := first; h <= last; h++ {
		out = append(out, fmt.Sprintf("%02d", h))
	}
	return out
}

// ofShop narrows a query to one shop.
func ofShop(q analytics.Query, shop string) analytics.Query {
	q.Shop = shop
	return q
}
