// Package reports turns released tables into what people read: the dashboard
// of a city, the report of a shop on screen and on paper, and the same tables
// as CSV, JSON and text. Start with [BuildEBPM] and [BuildShop].
//
// It promises that a hidden cell says 秘匿 and a cell that cannot be known yet
// says 未観測 in every form alike, down to the description of a picture; that
// each number comes with its definition, window, as-of time, rule set and the
// count of hidden cells; and that the same released tables give the same
// bytes. Pages need no script and work under a policy that forbids inline
// styles.
//
// It never sees a raw table: a [Source] gives out what has gone through the
// gate and nothing else. It never adds up persons, because one person stands
// in many cells, and it never asks the clock: the date of a report is the time
// at which its tables were released.
package reports

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// Source answers queries with released tables. A *disclosure.Gate is one.
type Source interface {
	Release(ctx context.Context, q analytics.Query, a disclosure.Audience) (disclosure.Released, error)
}

// Options say what a report is about and what stands around it. From and To
// are days in Asia/Tokyo, both inclusive, YYYY-MM-DD.
type Options struct {
	Lang      string // "ja" or "en"; anything else is "ja"
	Demo      bool   // the data are made up, and every page says so
	City      string
	Programme string
	From, To  string

	User  string // who is signed in; empty for nobody
	CSRF  string // token of the logout form
	Nav   []Link
	Links Links
}

// Links are the addresses that a page points to. What is empty is left out.
type Links struct {
	CSV    func(q analytics.Query) string // the table behind a chart
	PDF    string                         // the shop report on paper
	Switch string                         // this page in the other language; default ?lang=
}

// Link is an entry of a navigation.
type Link struct {
	Href    string
	Text    string
	Note    string // what is to be found there, on the home page
	Current bool
}

// ErrWindow: the window of a report is not two days in order.
var ErrWindow = errors.New("the window must be two days YYYY-MM-DD, the first not after the last")

var tokyo = time.FixedZone("JST", 9*60*60)

func (o Options) check() (Options, error) {
	if o.Lang != "en" {
		o.Lang = "ja"
	}
	from, err1 := time.Parse(time.DateOnly, o.From)
	to, err2 := time.Parse(time.DateOnly, o.To)
	if err1 != nil || err2 != nil || to.Before(from) {
		return o, fmt.Errorf("%w: %q to %q", ErrWindow, o.From, o.To)
	}
	return o, nil
}

func (o Options) query(metric string, by ...string) analytics.Query {
	return analytics.Query{Metric: metric, From: o.From, To: o.To, By: by}
}

// fetch releases one table after another and keeps the first error, so that a
// page can be read as a list of its questions.
type fetch struct {
	ctx context.Context
	src Source
	aud disclosure.Audience
	err error
}

func (f *fetch) get(q analytics.Query) disclosure.Released {
	if f.err != nil {
		return disclosure.Released{}
	}
	r, err := f.src.Release(f.ctx, q, f.aud)
	if err != nil {
		f.err = fmt.Errorf("release %s by %s: %w", q.Metric, strings.Join(q.By, ", "), err)
	}
	return r
}

// column finds a measure of a table by name.
func column(r disclosure.Released, name string) int {
	return slices.IndexFunc(r.Measures(), func(c analytics.Column) bool { return c.Name == name })
}

// value is measure i of a cell as charts take it.
func value(c disclosure.Cell, i int) chart.Value {
	if c.State != disclosure.Shown {
		return chart.Value{State: chart.Suppressed}
	}
	v, ok := c.Value(i)
	if !ok {
		return chart.Value{State: chart.Unobserved}
	}
	return chart.N(v)
}

// total is a measure of a table without dimensions. A table without cells, or
// without that measure, has nothing to be observed.
func total(r disclosure.Released, measure string) chart.Value {
	i, cells := column(r, measure), r.Cells()
	if i < 0 || len(cells) != 1 {
		return chart.Value{State: chart.Unobserved}
	}
	return value(cells[0], i)
}

// lookup gives a measure by the keys of its cell. A cell that the table does
// not have is one in which nothing happened, which is 0.
func lookup(r disclosure.Released, measure string) func(keys ...string) chart.Value {
	i := column(r, measure)
	cells := map[string]disclosure.Cell{}
	for _, c := range r.Cells() {
		cells[strings.Join(c.Keys, "\x00")] = c
	}
	return func(keys ...string) chart.Value {
		if i < 0 {
			return chart.Value{State: chart.Unobserved}
		}
		c, ok := cells[strings.Join(keys, "\x00")]
		if !ok {
			return chart.N(0)
		}
		return value(c, i)
	}
}

// keysOf are the keys of dimension d in a table, in the order of the
// dimension's list, then by name, the unknown last.
func keysOf(r disclosure.Released, d int) []string {
	name := r.Dims()[d].Name
	rank := map[string]int{}
	for i, c := range analytics.CodeList(name) {
		rank[c.Code] = i + 1
	}
	var keys []string
	for _, c := range r.Cells() {
		if !slices.Contains(keys, c.Keys[d]) {
			keys = append(keys, c.Keys[d])
		}
	}
	order := func(k string) int {
		if n, ok := rank[k]; ok {
			return n
		}
		if k == "" {
			return 1 << 20
		}
		return 1 << 10
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := order(a) - order(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return keys
}

// week is one week of a window.
type week struct {
	key   string // its Monday
	whole bool   // all seven days lie in the window and were known
	past  bool   // at least one of its days was known
}

// weeksOf are the weeks of a window from Monday to Monday. Whether a week is
// whole depends on the table too: days after its as-of time are not known yet.
func weeksOf(r disclosure.Released) []week {
	from, err1 := time.Parse(time.DateOnly, r.Query().From)
	to, err2 := time.Parse(time.DateOnly, r.Query().To)
	if err1 != nil || err2 != nil {
		return nil
	}
	known := r.AsOf().In(tokyo)
	today := time.Date(known.Year(), known.Month(), known.Day(), 0, 0, 0, 0, time.UTC)
	var out []week
	for mon := from.AddDate(0, 0, -(int(from.Weekday())+6)%7); !mon.After(to); mon = mon.AddDate(0, 0, 7) {
		sun := mon.AddDate(0, 0, 6)
		first := mon
		if first.Before(from) {
			first = from
		}
		out = append(out, week{
			key:   mon.Format(time.DateOnly),
			whole: !mon.Before(from) && !sun.After(to) && sun.Before(today),
			past:  !first.After(today),
		})
	}
	return out
}

// unitOf maps the unit of a measure to how charts write it.
func unitOf(u analytics.Unit) chart.Unit {
	switch u {
	case analytics.Yen:
		return chart.Yen
	case analytics.Persons:
		return chart.Persons
	case analytics.Visits:
		return chart.Visits
	case analytics.Count:
		return chart.Count
	case analytics.Ratio:
		return chart.Percent
	}
	return chart.Plain
}

// keyLabel is what readers see for a key: the list's label, a short date for
// days, weeks and months, 9時 for hours.
func keyLabel(dim, key, lang string) string {
	switch dim {
	case "week", "day":
		if t, err := time.Parse(time.DateOnly, key); err == nil {
			if lang == "en" {
				return t.Format("2 Jan")
			}
			return t.Format("1/2")
		}
	case "hour":
		if len(key) == 2 {
			h := strings.TrimPrefix(key, "0")
			if lang == "en" {
				return h
			}
			return h + "時"
		}
	}
	return analytics.Label(dim, key, lang)
}

func columnLabel(c analytics.Column, lang string) string {
	if lang == "en" {
		return c.En
	}
	return c.Ja
}

func day(s, lang string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return s
	}
	return dayOf(t, lang)
}

func dayOf(t time.Time, lang string) string {
	if lang == "en" {
		return t.Format("2 January 2006")
	}
	return t.Format("2006年1月2日")
}

func minute(t time.Time, lang string) string {
	t = t.In(tokyo)
	return dayOf(t, lang) + t.Format(" 15:04")
}
