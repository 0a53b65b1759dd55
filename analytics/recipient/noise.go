package recipient

import (
	"fmt"
	"slices"
	"time"

	"meguri/analytics/disclosure"
)

// OnceAndForAll is the period of a budget of noise that does not come back.
const OnceAndForAll = "contract"

func checkNoise(t *disclosure.NoiseTerms) error {
	if t == nil {
		return nil
	}
	if t.Period != OnceAndForAll && !slices.Contains(Kinds, Kind(t.Period)) {
		return fmt.Errorf("noise: the budget's period is one of %v or %s, not %q", Kinds, OnceAndForAll, t.Period)
	}
	return t.Check()
}

// BudgetPeriod is when the budget for noise that is in force at a moment began,
// and when there is a new one. Both are zero where it is once and for all.
func (c Contract) BudgetPeriod(at time.Time) (since, next time.Time) {
	y, m, _ := at.In(tokyo).Date()
	months := 12
	switch Kind(c.Noise.Period) {
	case Month:
		months = 1
	case Quarter:
		m, months = m-(m-1)%3, 3
	case Year:
		m = time.January
	case FiscalYear:
		if m < time.April {
			y--
		}
		m = time.April
	default:
		return time.Time{}, time.Time{}
	}
	since = time.Date(y, m, 1, 0, 0, 0, 0, tokyo)
	return since, since.AddDate(0, months, 0)
}
