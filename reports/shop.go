package reports

import (
	"context"
	"fmt"
	"io"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// Shop is the report of a shop for its keeper, ready to be written on screen
// or on paper.
type Shop struct {
	o              Options
	name, industry string
	frame          frame
	minimum        int64
	few            bool // fewer persons than the rules ask for: no numbers at all
	released       disclosure.Released

	tiles    []tile
	defs     []definition
	weekly   panel
	slots    panel
	findings []finding
	ages     panel
	fresh    panel
	repeat   []tile
}

// finding is a sentence that the numbers bear out, with the numbers.
type finding struct {
	Kind     string
	Text     string
	Evidence string
}

// BuildShop asks for the tables of one shop, under the rules for a shop's
// owner. industry is a code of the list of industries. Where the shop has
// fewer users than those rules' minimum, or where that count is itself hidden,
// no further question is asked and the report is a plain note.
func BuildShop(ctx context.Context, src Source, shopID, shopName, industry string, o Options) (Shop, error) {
	o, err := o.check()
	if err != nil {
		return Shop{}, err
	}
	f := &fetch{ctx: ctx, src: src, aud: disclosure.Owner}
	ask := func(metric string, by ...string) disclosure.Released {
		return f.get(ofShop(o.query(metric, by...), shopID))
	}
	l := tongue(o.Lang)
	persons := ask("M03")
	s := Shop{
		o: o, name: shopName, industry: analytics.Label("industry", industry, o.Lang),
		frame: l.frame(o, persons), minimum: persons.Rules().MinPersons, released: persons,
	}
	users := total(persons, "persons")
	if f.err == nil && (users.State != chart.Shown || users.N < float64(s.minimum)) {
		s.few = true
		return s, nil
	}
	net := ask("M01a")
	visits := ask("M02")
	perVisit := ask("M04")
	fresh := ask("M06")
	repeat := ask("M07")
	netByWeek := ask("M01a", "week")
	visitsBySlot := ask("M02", "weekday", "hour")
	personsByAgeSex := ask("M03", "age_band", "sex")
	if f.err != nil {
		return Shop{}, fmt.Errorf("build the report of shop %s: %w", shopID, f.err)
	}

	s.tiles = []tile{
		l.tile("tile.net", total(net, "net_yen"), chart.Yen, l.T("tile.net.sub")),
		l.tile("tile.visits", total(visits, "visits"), chart.Visits, l.T("tile.visits.sub")),
		l.tile("tile.persons", users, chart.Persons, l.T("tile.persons.sub")),
		l.tile("tile.median", total(perVisit, "median_yen_per_visit"), chart.Yen, l.T("tile.median.sub", l.say(total(perVisit, "yen_per_visit"), chart.Yen))),
	}
	for _, r := range []disclosure.Released{net, visits, persons, perVisit, repeat} {
		s.defs = append(s.defs, l.definition(r))
	}
	s.weekly = o.byWeek("week-yen", "shop.week", netByWeek, "net_yen", false, true)
	s.slots = o.bySlot("slot", "shop.slot", visitsBySlot)
	s.ages = o.byAgeSex("age-sex", "shop.agesex", personsByAgeSex, true)
	s.fresh = o.newAndReturning(fresh)
	s.repeat = l.repeat(repeat)
	s.findings = l.findings(netByWeek, visitsBySlot, fresh)
	return s, nil
}

// newAndReturning is M06 as two bars.
func (o Options) newAndReturning(r disclosure.Released) panel {
	l, p := tongue(o.Lang), o.panel("new", "shop.new", r)
	vals := []chart.Value{total(r, "new_persons"), total(r, "returning_persons")}
	cats := []string{l.T("new"), l.T("returning")}
	p.Message = l.T("msg.none")
	if vals[0].State == chart.Shown && vals[1].State == chart.Shown {
		p.Message = l.T("msg.new", l.say(vals[0], chart.Persons), l.say(vals[1], chart.Persons))
	}
	p.Table = grid{Caption: p.Title, Cols: []string{l.T("tile.persons")}}
	for i, c := range cats {
		p.Table.Rows = append(p.Table.Rows, gridRow{c, []gridCell{l.cell(vals[i], chart.Persons)}})
	}
	c := chart.Bars{Head: chart.Head{Title: p.Title, Message: p.Message, Lang: o.Lang, Unit: chart.Persons}, Cats: cats, Series: []chart.Series{{Values: vals}}, Horizontal: true}
	return p.draw(c, c)
}

// findings are what the numbers bear out: the busiest time, how the last full
// weeks compare with those before, and what the mix of new and known customers
// suggests. A finding whose numbers are hidden is not made.
func (l tongue) findings(weekly, slots, fresh disclosure.Released) []finding {
	lang := string(l)
	var out []finding
	if k, v, ok := best(slots, "visits"); ok {
		out = append(out, finding{
			l.T("find.strong"),
			l.T("find.slot", analytics.Label("weekday", k[0], lang), keyLabel("hour", k[1], lang)),
			l.T("find.slot.ev", chart.Visits.Full(v, lang)),
		})
	}
	if n, before, last, ok := lastWeeks(weekly); ok {
		out = append(out, finding{
			l.T("find.change"),
			l.T("find.trend", n, l.change(before, last)),
			l.T("find.trend.ev", chart.Yen.Short(before, lang), chart.Yen.Short(last, lang)),
		})
	}
	a, b := total(fresh, "new_persons"), total(fresh, "returning_persons")
	if a.State == chart.Shown && b.State == chart.Shown && a.N+b.N > 0 {
		text := "find.returning"
		if a.N > b.N {
			text = "find.new"
		}
		out = append(out, finding{
			l.T("find.next"), l.T(text),
			l.T("find.new.ev", chart.Persons.Full(a.N, lang), chart.Persons.Full(b.N, lang)),
		})
	}
	return out
}

// lastWeeks sums net yen over the last n whole weeks and the n before them,
// for n of at most four. Yen can be added over weeks, which persons cannot.
func lastWeeks(r disclosure.Released) (n int, before, last float64, ok bool) {
	at := lookup(r, "net_yen")
	var vals []float64
	for _, w := range weeksOf(r) {
		if !w.whole {
			continue
		}
		v := at(w.key)
		if v.State != chart.Shown {
			vals = nil // what came before the gap is not next to what comes after
			continue
		}
		vals = append(vals, v.N)
	}
	n = min(len(vals)/2, 4)
	if n < 2 {
		return 0, 0, 0, false
	}
	vals = vals[len(vals)-2*n:]
	for i := range n {
		before += vals[i]
		last += vals[n+i]
	}
	return n, before, last, before > 0
}

// HTML writes the report as a page.
func (s Shop) HTML(w io.Writer) error {
	sh := s.o.shell("shop.title")
	sh.Title = sh.T("shop.of", s.name)
	return render(w, "shop.html", struct {
		Shell
		Name, Industry, Programme string
		Frame                     frame
		Few                       bool
		Minimum                   int64
		PDF                       string
		Tiles                     []tile
		Defs                      []definition
		Trend, Slots, Ages, New   panel
		Findings                  []finding
		Repeat                    []tile
	}{sh, s.name, s.industry, s.o.Programme, s.frame, s.few, s.minimum, s.o.Links.PDF,
		s.tiles, s.defs, s.weekly, s.slots, s.ages, s.fresh, s.findings, s.repeat})
}
