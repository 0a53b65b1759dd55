package recipient

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Kind is a length of window that contracts offer. There are few on purpose:
// windows that overlap in odd ways are how a difference is taken.
type Kind string

// The kinds of windows. A fiscal year (年度) is from April to March.
const (
	Month      Kind = "month"
	Quarter    Kind = "quarter"
	Year       Kind = "year"
	FiscalYear Kind = "fiscal-year"
)

// Kinds are all of them.
var Kinds = []Kind{Month, Quarter, Year, FiscalYear}

// Period is a window with a name: 2026-07, 2026-Q3, 2026 or FY2026. From and To
// are its first and last day, YYYY-MM-DD.
type Period struct {
	Kind     Kind
	Name     string
	From, To string
}

var periodForm = regexp.MustCompile(`^(?:([0-9]{4})(?:-(0[1-9]|1[0-2])|-Q([1-4]))?|FY([0-9]{4}))$`)

// ParsePeriod reads the name of a period.
func ParsePeriod(name string) (Period, error) {
	m := periodForm.FindStringSubmatch(name)
	if m == nil {
		return Period{}, fmt.Errorf("%q is no period: 2026-07, 2026-Q3, 2026 or FY2026", name)
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n } // digits, by the form
	p, first, months := Period{Name: name}, time.January, 0
	switch {
	case m[4] != "":
		p.Kind, first, months, m[1] = FiscalYear, time.April, 12, m[4]
	case m[3] != "":
		p.Kind, first, months = Quarter, time.Month(3*number(m[3])-2), 3
	case m[2] != "":
		p.Kind, first, months = Month, time.Month(number(m[2])), 1
	default:
		p.Kind, months = Year, 12
	}
	begin := time.Date(number(m[1]), first, 1, 0, 0, 0, 0, time.UTC)
	p.From, p.To = begin.Format(time.DateOnly), begin.AddDate(0, months, -1).Format(time.DateOnly)
	return p, nil
}

// PeriodOf is the period with these first and last days, if there is one.
func PeriodOf(from, to string) (Period, bool) {
	begin, err := time.Parse(time.DateOnly, from)
	if err != nil {
		return Period{}, false
	}
	for _, name := range []string{
		begin.Format("2006-01"), fmt.Sprintf("%04d-Q%d", begin.Year(), (begin.Month()+2)/3), begin.Format("2006"), begin.Format("FY2006"),
	} {
		if p, err := ParsePeriod(name); err == nil && p.From == from && p.To == to {
			return p, true
		}
	}
	return Period{}, false
}
