package recipient

import (
	"strings"
	"testing"
	"time"

	"meguri/analytics/disclosure"
)

func TestBudgetPeriod(t *testing.T) {
	for period, want := range map[string]map[string]string{
		"month":       {"2026-07-31T23:59:59+09:00": "2026-07-01 2026-08-01", "2026-12-31T15:00:00Z": "2027-01-01 2027-02-01"},
		"quarter":     {"2026-07-31T23:59:59+09:00": "2026-07-01 2026-10-01", "2026-12-31T23:00:00+09:00": "2026-10-01 2027-01-01"},
		"year":        {"2026-07-31T23:59:59+09:00": "2026-01-01 2027-01-01"},
		"fiscal-year": {"2026-03-31T23:59:59+09:00": "2025-04-01 2026-04-01", "2026-03-31T15:00:00Z": "2026-04-01 2027-04-01"},
		"contract":    {"2026-07-31T23:59:59+09:00": "0001-01-01 0001-01-01"},
	} {
		c := whole()
		c.Noise = &disclosure.NoiseTerms{Kind: "epsilon", Budget: "1", Period: period, Cells: 1}
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", period, err)
		}
		for at, want := range want {
			now, err := time.Parse(time.RFC3339, at)
			if err != nil {
				t.Fatal(err)
			}
			since, next := c.BudgetPeriod(now)
			if got := since.Format(time.DateOnly) + " " + next.Format(time.DateOnly); got != want || since.After(now) || !next.IsZero() && !next.After(now) {
				t.Errorf("%s at %s: got %s, want %s", period, at, got, want)
			}
		}
	}
	c := whole()
	for want, terms := range map[string]disclosure.NoiseTerms{
		"period is one of": {Kind: "epsilon", Budget: "1", Period: "week", Cells: 1},
		"no budget":        {Kind: "epsilon", Budget: "much", Period: "year", Cells: 1},
	} {
		c.Noise = &terms
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", terms, err, want)
		}
	}
}
