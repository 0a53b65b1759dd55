package reports

import (
	"math"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// change writes a change in per cent: 5.2%減.
func (l tongue) change(from, to float64) string {
	p := (to - from) / from * 100
	switch {
	case math.Abs(p) < .05:
		return l.T("change.still")
	case p < 0:
		return l.T("change.down", chart.Number(-p, 1)+"%")
	}
	return l.T("change.up", chart.Number(p, 1)+"%")
}

// most is the index of the highest shown value above 0, or −1.
func most(vals []chart.Value) int {
	best := -1
	for i, v := range vals {
		if v.State == chart.Shown && v.N > 0 && (best < 0 || v.N > vals[best].N) {
			best = i
		}
	}
	return best
}

// weekly says which week was highest and how the latest full week compares
// with the one before. Weeks that are not whole are compared with none.
func (l tongue) weekly(name string, u chart.Unit, weeks []week, vals []chart.Value) string {
	var whole []int
	var of []chart.Value
	for i, w := range weeks {
		if w.whole {
			whole = append(whole, i)
			of = append(of, vals[i])
		}
	}
	if len(whole) == 0 {
		for i := range weeks {
			whole = append(whole, i)
		}
		of = vals
	}
	best := most(of)
	if best < 0 {
		return l.T("msg.none")
	}
	lang := string(l)
	label := func(i int) string { return keyLabel("week", weeks[whole[i]].key, lang) }
	n := len(of)
	if n < 2 || of[n-1].State != chart.Shown || of[n-2].State != chart.Shown || of[n-2].N <= 0 {
		return l.T("msg.week", name, label(best), u.Short(of[best].N, lang))
	}
	return l.T("msg.week.last", name, label(best), u.Short(of[best].N, lang),
		label(n-1), u.Short(of[n-1].N, lang), l.change(of[n-2].N, of[n-1].N))
}

// best is the highest shown cell of a table, with its keys.
func best(r disclosure.Released, measure string) (keys []string, v float64, ok bool) {
	i := column(r, measure)
	var vals []chart.Value
	cells := r.Cells()
	if i < 0 {
		return nil, 0, false
	}
	for _, c := range cells {
		vals = append(vals, value(c, i))
	}
	k := most(vals)
	if k < 0 {
		return nil, 0, false
	}
	return cells[k].Keys, vals[k].N, true
}

func (l tongue) agesex(r disclosure.Released) string {
	k, v, ok := best(r, "persons")
	if !ok {
		return l.T("msg.none")
	}
	lang := string(l)
	return l.T("msg.agesex", analytics.Label("age_band", k[0], lang), analytics.Label("sex", k[1], lang), chart.Persons.Full(v, lang))
}

func (l tongue) slot(r disclosure.Released) string {
	k, v, ok := best(r, "visits")
	if !ok {
		return l.T("msg.none")
	}
	lang := string(l)
	return l.T("msg.slot", analytics.Label("weekday", k[0], lang), keyLabel("hour", k[1], lang), chart.Visits.Full(v, lang))
}
