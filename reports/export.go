package reports

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/width"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// CSVName is a file name for the table: the metric, its cuts and its window.
func CSVName(r disclosure.Released) string {
	parts := append([]string{"meguri", r.Metric().ID}, r.Query().By...)
	if r.Query().Shop != "" {
		parts = append(parts, r.Query().Shop)
	}
	parts = append(parts, r.Query().From, r.Query().To)
	name := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			return c
		}
		return '-'
	}, strings.Join(parts, "_"))
	return name + ".csv"
}

// CSV writes a table for the spreadsheets of Japanese offices: UTF-8 with a
// byte order mark, CRLF, a header of labels. After an empty line comes what
// the numbers mean, a name and a value in each row, so that it cannot be
// parted from them.
func CSV(w io.Writer, r disclosure.Released, lang string) error {
	l := tongue(lang)
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return fmt.Errorf("write CSV of %s: %w", r.Metric().ID, err)
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	head, rows := l.texts(r, exact)
	records := append([][]string{head}, rows...)
	records = append(records, nil)
	for _, m := range l.meta(r) {
		records = append(records, []string{m[0], m[1]})
	}
	for _, rec := range records {
		for i := range rec {
			rec[i] = inert(rec[i])
		}
		// A record without fields is an empty line.
		if err := out.Write(rec); err != nil {
			return fmt.Errorf("write CSV of %s: %w", r.Metric().ID, err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write CSV of %s: %w", r.Metric().ID, err)
	}
	return nil
}

// inert keeps a spreadsheet from taking a label for a formula. Numbers, which
// may begin with a minus sign, are left as they are.
func inert(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s
	}
	return "'" + s
}

// exact writes a value for programs and spreadsheets: no commas, no unit.
func exact(v float64, u analytics.Unit) string {
	switch u {
	case analytics.Ratio:
		return strconv.FormatFloat(v, 'f', 4, 64)
	case analytics.Rate:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// texts are the header and the rows of a table in words. The rows are in the
// order of the dimensions, since the engine's may follow a value.
func (l tongue) texts(r disclosure.Released, number func(float64, analytics.Unit) string) (head []string, rows [][]string) {
	for _, d := range r.Dims() {
		head = append(head, columnLabel(d, string(l)))
	}
	for _, m := range r.Measures() {
		label := columnLabel(m, string(l))
		if m.Unit != "" {
			label += "[" + l.T("unit."+string(m.Unit)) + "]"
		}
		head = append(head, label)
	}
	for _, c := range InOrder(r) {
		var row []string
		for i, d := range r.Dims() {
			row = append(row, fileLabel(d.Name, c.Keys[i], string(l)))
		}
		for i, m := range r.Measures() {
			switch v := value(c, i); v.State {
			case chart.Suppressed:
				row = append(row, l.T("suppressed"))
			case chart.Unobserved:
				row = append(row, l.T("unobserved"))
			default:
				row = append(row, number(v.N, m.Unit))
			}
		}
		rows = append(rows, row)
	}
	return head, rows
}

// fileLabel is a key in a file: as on pages, but days keep their year.
func fileLabel(dim, key, lang string) string {
	if dim == "week" || dim == "day" {
		return analytics.Label(dim, key, lang)
	}
	return keyLabel(dim, key, lang)
}

// meta is what the numbers mean, as pairs.
func (l tongue) meta(r disclosure.Released) [][2]string {
	d := l.definition(r)
	pairs := [][2]string{
		{l.T("def.metric"), d.ID + " " + d.Name},
		{l.T("def.formula"), d.Formula},
		{l.T("def.rule"), d.Rule},
		{l.T("def.window"), r.Query().From + " – " + r.Query().To},
		{l.T("def.asof"), r.AsOf().In(tokyo).Format(time.RFC3339)},
		{l.T("def.snapshot"), strconv.FormatInt(r.Snapshot(), 10)},
		{l.T("def.rules"), d.Rules},
		{l.T("def.hidden"), d.Hidden},
		{l.T("def.regions"), d.Regions},
		{l.T("def.issued"), r.ReleasedAt().In(tokyo).Format(time.RFC3339)},
		{l.T("def.source"), d.Source},
	}
	var out [][2]string
	for _, p := range pairs {
		if p[1] != "" {
			out = append(out, p)
		}
	}
	return append(out, [2]string{"", l.T("file.note")})
}

// JSON writes a table for programs. Each value says its state, so that a
// hidden value cannot be read as 0 or as missing by mistake:
//
//	{"keys":{"week":"2026-11-02"},"values":{"net_yen":{"state":"suppressed"}}}
func JSON(w io.Writer, r disclosure.Released) error {
	type cell struct {
		State string   `json:"state"`
		Value *float64 `json:"value,omitempty"`
	}
	type row struct {
		Keys   map[string]string `json:"keys"`
		Values map[string]cell   `json:"values"`
	}
	doc := struct {
		Metric     analytics.Metric   `json:"metric"`
		Query      analytics.Query    `json:"query"`
		Dims       []analytics.Column `json:"dims"`
		Measures   []analytics.Column `json:"measures"`
		Rows       []row              `json:"rows"`
		Hidden     int                `json:"hidden"`
		Rules      disclosure.RuleSet `json:"rules"`
		Method     disclosure.Method  `json:"method,omitempty"` // none is suppression
		AsOf       time.Time          `json:"as_of"`
		Snapshot   int64              `json:"snapshot"`
		ReleasedAt time.Time          `json:"released_at"`
	}{r.Metric(), r.Query(), r.Dims(), r.Measures(), []row{}, r.Hidden(), r.Rules(), methodOf(r), r.AsOf().UTC(), r.Snapshot(), r.ReleasedAt()}
	for _, c := range InOrder(r) {
		out := row{Keys: map[string]string{}, Values: map[string]cell{}}
		for i, d := range doc.Dims {
			out.Keys[d.Name] = c.Keys[i]
		}
		for i, m := range doc.Measures {
			switch v := value(c, i); v.State {
			case chart.Suppressed:
				out.Values[m.Name] = cell{State: "suppressed"}
			case chart.Unobserved:
				out.Values[m.Name] = cell{State: "unobserved"}
			default:
				out.Values[m.Name] = cell{State: "shown", Value: &v.N}
			}
		}
		doc.Rows = append(doc.Rows, out)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write JSON of %s: %w", r.Metric().ID, err)
	}
	return nil
}

// Text writes a table for a terminal, its columns aligned by the width that
// wide characters take there, and what the numbers mean below it.
func Text(w io.Writer, r disclosure.Released, lang string) error {
	l := tongue(lang)
	head, rows := l.texts(r, func(v float64, u analytics.Unit) string { return unitOf(u).Full(v, lang) })
	wides := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, s := range row {
			wides[i] = max(wides[i], columns(s))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		var s strings.Builder
		for i, text := range row {
			pad := strings.Repeat(" ", wides[i]-columns(text))
			if i < len(r.Dims()) {
				s.WriteString(text + pad + "  ")
			} else {
				s.WriteString(pad + text + "  ")
			}
		}
		b.WriteString(strings.TrimRight(s.String(), " ") + "\n")
	}
	line(head)
	for i, n := range wides {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(strings.Repeat("-", n))
	}
	b.WriteString("\n")
	for _, row := range rows {
		line(row)
	}
	b.WriteString("\n")
	for _, m := range l.meta(r) {
		if m[0] != "" {
			b.WriteString(m[0] + ": ")
		}
		b.WriteString(m[1] + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table of %s: %w", r.Metric().ID, err)
	}
	return nil
}

// columns is how many columns of a terminal a text takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
