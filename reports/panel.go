package reports

import (
	"html/template"
	"strings"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// tile is a number with its name.
type tile struct {
	Label string
	Value string
	Exact string // the value to its last digit, where Value is shortened
	Sub   string
	State string // "suppressed" or "unobserved", or empty
}

func (l tongue) tile(label string, v chart.Value, u chart.Unit, sub string) tile {
	t := tile{Label: l.T(label), Sub: sub}
	switch v.State {
	case chart.Suppressed:
		t.Value, t.State = chart.Glyph(v.State)+" "+l.T("suppressed"), "suppressed"
	case chart.Unobserved:
		t.Value, t.State = chart.Glyph(v.State)+" "+l.T("unobserved"), "unobserved"
	default:
		t.Value = u.Short(v.N, string(l))
		if full := u.Full(v.N, string(l)); full != t.Value {
			t.Exact = full
		}
	}
	return t
}

func (l tongue) say(v chart.Value, u chart.Unit) string { return u.Say(v, string(l)) }

// grid is a table on a page.
type grid struct {
	Caption string
	Corner  string
	Cols    []string
	Rows    []gridRow
}

type gridRow struct {
	Name  string
	Cells []gridCell
}

type gridCell struct {
	Text  string
	State string
}

func (l tongue) cell(v chart.Value, u chart.Unit) gridCell {
	c := gridCell{Text: l.say(v, u)}
	switch v.State {
	case chart.Suppressed:
		c.State = "suppressed"
	case chart.Unobserved:
		c.State = "unobserved"
	}
	return c
}

// definition is what stands under この数字の定義.
type definition struct {
	ID, Name                                    string
	Formula, Rule, Window, AsOfRule, Source     string
	Period, AsOf, Snapshot, Rules, Hidden, Gate string
	Regions                                     string
}

func (l tongue) definition(r disclosure.Released) definition {
	m, lang := r.Metric(), string(l)
	d := definition{
		ID: m.ID, Name: m.Ja, Formula: m.FormulaJa, Rule: m.RuleJa, Window: m.WindowJa, AsOfRule: m.AsOfJa, Source: m.Source,
		Period:   l.T("range", day(r.Query().From, lang), day(r.Query().To, lang)),
		AsOf:     minute(r.AsOf(), lang),
		Snapshot: chart.Number(float64(r.Snapshot()), 0),
		Rules:    l.protection(r),
		Hidden:   l.T("def.hidden.n", r.Hidden(), chart.Percent.Full(HiddenShare(r), lang)),
		Regions:  l.merged(r.Regions()),
		Gate:     minute(r.ReleasedAt(), lang),
	}
	if lang == "en" {
		d.Name, d.Formula, d.Rule, d.Window, d.AsOfRule = m.En, m.Formula, m.Rule, m.Window, m.AsOf
	}
	return d
}

// protection says by which rules, and how, a table was protected.
func (l tongue) protection(r disclosure.Released) string {
	switch r.Method() {
	case disclosure.Rounding:
		return l.T("def.rules.rounding", r.Rules().Version, r.Rules().RoundCount)
	case disclosure.CellKey:
		return l.T("def.rules.cell_key", r.Rules().Version)
	}
	return l.T("def.rules.is", r.Rules().Version, r.Rules().MinPersons)
}

// panel is one chart on a page with everything that belongs to it.
type panel struct {
	tongue
	ID      string
	Title   string
	Message string
	Note    string
	Full    bool // as wide as the page
	Wide    template.HTML
	Narrow  template.HTML
	Table   grid
	CSV     string
	Defs    []definition

	drawn chart.Chart // for paper
}

// The widths in pixels that charts are drawn for. A style sheet shows one of
// the drawings, so that letters keep their size and small screens need not
// scroll sideways.
const (
	narrow = 330
	half   = 500
	full   = 1040
)

// draw puts the chart on the panel, once for wide and once for small screens.
func (p panel) draw(wide, small chart.Chart) panel {
	w := half
	if p.Full {
		w = full
	}
	p.drawn = wide
	p.Wide = svg(p.ID+"-w", wide, float64(w))
	p.Narrow = svg(p.ID+"-n", small, narrow)
	return p
}

func svg(id string, c chart.Chart, width float64) template.HTML {
	var b strings.Builder
	if err := chart.SVG(&b, id, c, width); err != nil {
		panic("reports: a strings.Builder was believed to take any write: " + err.Error())
	}
	return template.HTML(b.String()) // package chart escapes all labels
}

func (o Options) panel(id, title string, r disclosure.Released) panel {
	l := tongue(o.Lang)
	p := panel{tongue: l, ID: id, Title: l.T(title), Defs: []definition{l.definition(r)}}
	if o.Links.CSV != nil {
		p.CSV = o.Links.CSV(r.Query())
	}
	return p
}

// byWeek is a measure week by week, as bars or as a line.
func (o Options) byWeek(id, title string, r disclosure.Released, measure string, line, wide bool) panel {
	l, p := tongue(o.Lang), o.panel(id, title, r)
	p.Full = wide
	i := column(r, measure)
	if i < 0 {
		p.Message = l.T("msg.none")
		return p
	}
	m := r.Measures()[i]
	u := unitOf(m.Unit)
	weeks, at := weeksOf(r), lookup(r, measure)
	var labels []string
	var vals []chart.Value
	p.Table = grid{Caption: p.Title, Corner: l.dim("week"), Cols: []string{columnLabel(m, o.Lang)}}
	for _, w := range weeks {
		v := chart.Value{State: chart.Unobserved}
		if w.past {
			v = at(w.key)
		}
		label := keyLabel("week", w.key, o.Lang)
		if !w.whole {
			label = l.T("week.star", label)
			p.Note = l.T("week.partial")
		}
		labels, vals = append(labels, label), append(vals, v)
		p.Table.Rows = append(p.Table.Rows, gridRow{label, []gridCell{l.cell(v, u)}})
	}
	p.Message = l.weekly(columnLabel(m, o.Lang), u, weeks, vals)
	h := chart.Head{Title: p.Title, Message: p.Message, Lang: o.Lang, Unit: u}
	s := []chart.Series{{Values: vals}}
	if line {
		c := chart.Line{Head: h, Cats: labels, Series: s}
		return p.draw(c, c)
	}
	c := chart.Bars{Head: h, Cats: labels, Series: s}
	return p.draw(c, c)
}

// ranked is a measure by one dimension, the highest first and what has no
// number last. The order of the keys is returned so that a second chart can
// follow the first.
func (o Options) ranked(id, title string, r disclosure.Released, measure string, order []string, message func(label string, v float64, u chart.Unit) string) (panel, []string) {
	l, p := tongue(o.Lang), o.panel(id, title, r)
	i := column(r, measure)
	if i < 0 || len(r.Dims()) != 1 {
		p.Message = l.T("msg.none")
		return p, order
	}
	m, dim := r.Measures()[i], r.Dims()[0].Name
	u, at := unitOf(m.Unit), lookup(r, measure)
	if order == nil {
		order = keysOf(r, 0)
		rank := func(k string) float64 {
			if v := at(k); v.State == chart.Shown {
				return v.N
			}
			return -1e18
		}
		sortDown(order, rank)
	}
	var labels []string
	var vals []chart.Value
	p.Table = grid{Caption: p.Title, Corner: l.dim(dim), Cols: []string{columnLabel(m, o.Lang)}}
	for _, k := range order {
		label, v := keyLabel(dim, k, o.Lang), at(k)
		labels, vals = append(labels, label), append(vals, v)
		p.Table.Rows = append(p.Table.Rows, gridRow{label, []gridCell{l.cell(v, u)}})
	}
	p.Message = l.T("msg.none")
	if k := most(vals); k >= 0 {
		p.Message = message(labels[k], vals[k].N, u)
	}
	c := chart.Bars{Head: chart.Head{Title: p.Title, Message: p.Message, Lang: o.Lang, Unit: u}, Cats: labels, Series: []chart.Series{{Values: vals}}, Horizontal: true}
	return p.draw(c, c), order
}

// cross is a measure by two dimensions, as a table of labels and values.
func (o Options) cross(r disclosure.Released, measure string, rows, cols []string) (rowNames, colNames []string, vals [][]chart.Value, g grid) {
	l, at := tongue(o.Lang), lookup(r, measure)
	d := r.Dims()
	u := chart.Persons
	if i := column(r, measure); i >= 0 {
		u = unitOf(r.Measures()[i].Unit)
	}
	g.Corner = l.dim(d[0].Name)
	for _, c := range cols {
		colNames = append(colNames, keyLabel(d[1].Name, c, o.Lang))
	}
	g.Cols = colNames
	for _, k := range rows {
		row := gridRow{Name: keyLabel(d[0].Name, k, o.Lang)}
		var line []chart.Value
		for _, c := range cols {
			v := at(k, c)
			line = append(line, v)
			row.Cells = append(row.Cells, l.cell(v, u))
		}
		rowNames, vals, g.Rows = append(rowNames, row.Name), append(vals, line), append(g.Rows, row)
	}
	return rowNames, colNames, vals, g
}

// byAgeSex is persons by age band and sex: side by side on the wide page of
// the city, stacked where the page is narrow.
func (o Options) byAgeSex(id, title string, r disclosure.Released, stacked bool) panel {
	l, p := tongue(o.Lang), o.panel(id, title, r)
	p.Full = !stacked
	p.Message = l.agesex(r)
	if len(r.Dims()) != 2 || len(r.Cells()) == 0 {
		return p
	}
	bands, sexes, vals, g := o.cross(r, "persons", keysOf(r, 0), keysOf(r, 1))
	p.Table = g
	p.Table.Caption = p.Title
	var series []chart.Series
	for j, name := range sexes {
		s := chart.Series{Name: name}
		for i := range bands {
			s.Values = append(s.Values, vals[i][j])
		}
		series = append(series, s)
	}
	c := chart.Bars{Head: chart.Head{Title: p.Title, Message: p.Message, Lang: o.Lang, Unit: chart.Persons}, Cats: bands, Series: series, Horizontal: stacked, Stacked: stacked, Aspect: .26}
	small := c
	small.Horizontal = true
	return p.draw(c, small)
}

// bySlot is visits by day of week and hour. All seven days and every hour
// between the first and the last are shown.
func (o Options) bySlot(id, title string, r disclosure.Released) panel {
	l, p := tongue(o.Lang), o.panel(id, title, r)
	p.Full = true
	p.Message = l.slot(r)
	if len(r.Dims()) != 2 || len(r.Cells()) == 0 {
		return p
	}
	var days []string
	for _, c := range analytics.CodeList("weekday") {
		days = append(days, c.Code)
	}
	names, hours, vals, g := o.cross(r, "visits", days, between(keysOf(r, 1)))
	p.Table = g
	p.Table.Caption = p.Title
	m := chart.Heatmap{Head: chart.Head{Title: p.Title, Message: p.Message, Lang: o.Lang, Unit: chart.Visits}, Rows: names, Cols: hours, Values: vals}
	return p.draw(m, m.Turned())
}

func (l tongue) dim(name string) string {
	c, err := analytics.DimensionByName(name)
	if err != nil {
		return name
	}
	return columnLabel(c, string(l))
}
