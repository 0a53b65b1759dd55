package programme

import (
	"time"
)

// Settlement says when a programme's takings are closed (締め日). A settlement
// period is called by its last business day.
type Settlement string

// The settlements.
const (
	Weekly    Settlement = "weekly"     // every Friday
	HalfMonth Settlement = "half_month" // the 15th and the end of the month
	Monthly   Settlement = "monthly"    // the end of the month
)

func (s Settlement) valid() bool {
	return s == "" || s == Weekly || s == HalfMonth || s == Monthly
}

// Period is the last day of the period that a day belongs to, both YYYY-MM-DD.
func (s Settlement) Period(day string) string {
	d, err := time.Parse(time.DateOnly, day)
	if err != nil { // days come from the ledger's own clock
		return day
	}
	endOfMonth := d.AddDate(0, 1, -d.Day())
	switch {
	case s == Monthly, s == HalfMonth && d.Day() > 15:
		d = endOfMonth
	case s == HalfMonth:
		d = d.AddDate(0, 0, 15-d.Day())
	default:
		d = d.AddDate(0, 0, (int(time.Friday)-int(d.Weekday())+7)%7)
	}
	return d.Format(time.DateOnly)
}

// After is the period after a period.
func (s Settlement) After(period string) string {
	d, err := time.Parse(time.DateOnly, period)
	if err != nil {
		return period
	}
	return s.Period(d.AddDate(0, 0, 1).Format(time.DateOnly))
}
