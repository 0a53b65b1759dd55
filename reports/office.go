package reports

import (
	"io"
	"strings"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// Releases is the office's page of what was released.
type Releases struct {
	Shell
	List []disclosure.Explained
}

// ReleaseList writes the list of what was released.
func ReleaseList(w io.Writer, lang string, s Shell, list []disclosure.Explained) error {
	p := Releases{shell(lang, s), list}
	p.Title = p.T("office.title")
	return render(w, "releases.html", p)
}

// Release is the office's page of one release: which cells are hidden, and why.
type Release struct {
	Shell
	One disclosure.Explained
}

// ReleaseReasons writes the page of one release.
func ReleaseReasons(w io.Writer, lang string, s Shell, e disclosure.Explained) error {
	p := Release{shell(lang, s), e}
	p.Title = p.T("office.release", e.Number)
	return render(w, "release.html", p)
}

// Hidden says how much of a release is hidden: the number and the share.
func (s Shell) Hidden(e disclosure.Explained) string {
	return s.T("def.hidden.n", e.Record.Hidden, chart.Percent.Full(e.Share(), string(s.tongue)))
}

// Reason is a reason for people.
func (s Shell) Reason(r disclosure.Reason) string { return s.T("reason." + string(r)) }

// Keys are the keys of a cell of a release for people.
func (s Shell) Keys(e disclosure.Explained, c disclosure.ExplainedCell) []string {
	if len(e.Dims) == 0 || len(e.Dims) != len(c.Keys) {
		return []string{s.T("office.total")}
	}
	var out []string
	for i, d := range e.Dims {
		out = append(out, analytics.Label(d, c.Keys[i], string(s.tongue)))
	}
	return out
}

// Issued is when a release was made.
func (s Shell) Issued(e disclosure.Explained) string { return minute(e.Record.At, string(s.tongue)) }

// Cut is what a release is cut by.
func (s Shell) Cut(e disclosure.Explained) string {
	var names []string
	for _, d := range e.Dims {
		column, err := analytics.DimensionByName(d)
		switch {
		case err != nil:
			names = append(names, d)
		case s.tongue == "en":
			names = append(names, column.En)
		default:
			names = append(names, column.Ja)
		}
	}
	if len(names) == 0 {
		return s.T("office.total")
	}
	return strings.Join(names, " × ")
}

// Merged names the areas that a release puts together.
func (s Shell) Merged(e disclosure.Explained) string { return s.merged(e.Regions) }

func (l tongue) merged(regions []disclosure.Region) string {
	var names []string
	for _, r := range regions {
		if len(r.Areas) > 1 {
			names = append(names, l.T("def.regions.is", strings.Join(r.Areas, "・"), r.Name))
		}
	}
	return strings.Join(names, l.T("def.regions.and"))
}
