package recipient

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
)

func whole() Contract {
	return Contract{
		ID: "univ-2026", Reader: "univ", Client: "univ", Organisation: "めぐり大学", Purposes: []Purpose{{"research", "地域経済の研究"}},
		Metrics: []string{"M01a", "M05"}, Cuts: [][]string{{}, {"month"}, {"industry", "shop_area"}}, Windows: []Kind{Month, FiscalYear},
		DataFrom: "2026-04-01", DataTo: "2027-03-31", From: "2026-07-01", Until: "2026-07-31", Quota: Quota{2, 3},
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	if err := whole().Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Contract){
		"needs an ID":         func(c *Contract) { c.ID = "shop:1" },
		"organisation":        func(c *Contract) { c.Organisation = " " },
		"needs a purpose":     func(c *Contract) { c.Purposes = nil },
		"has an ID":           func(c *Contract) { c.Purposes = append(c.Purposes, c.Purposes[0]) },
		"offers nothing":      func(c *Contract) { c.Windows = nil },
		"no such metric":      func(c *Contract) { c.Metrics = []string{"M99"} },
		"M10 is not offered":  func(c *Contract) { c.Metrics = []string{"M10"} },
		"no cut by [shop]":    func(c *Contract) { c.Cuts = [][]string{{"shop"}} },
		"no cut by [sex hou":  func(c *Contract) { c.Cuts = [][]string{{"sex", "hour"}} },
		"not \"decade\"":      func(c *Contract) { c.Windows = []Kind{"decade"} },
		"is no day":           func(c *Contract) { c.Until = "2026-02-30" },
		"ends no earlier":     func(c *Contract) { c.Until = "2026-06-30" },
		"quota is at least 1": func(c *Contract) { c.Quota.TablesADay = 0 },
	} {
		c := whole()
		spoil(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestPeriods(t *testing.T) {
	for name, want := range map[string]string{
		"2026-02": "month 2026-02-01 2026-02-28", "2024-02": "month 2024-02-01 2024-02-29", "2026-12": "month 2026-12-01 2026-12-31",
		"2026-Q4": "quarter 2026-10-01 2026-12-31", "2026": "year 2026-01-01 2026-12-31", "FY2026": "fiscal-year 2026-04-01 2027-03-31",
	} {
		p, err := ParsePeriod(name)
		if err != nil || string(p.Kind)+" "+p.From+" "+p.To != want {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if back, ok := PeriodOf(p.From, p.To); !ok || back != p {
			t.Errorf("%s: back %+v", name, back)
		}
	}
	for _, name := range []string{"", "2026-13", "2026-Q5", "26", "fy2026", "2026-07-01", "FY2026-07"} {
		if p, err := ParsePeriod(name); err == nil {
			t.Errorf("%q is %+v", name, p)
		}
	}
	if _, ok := PeriodOf("2026-02-01", "2026-04-30"); ok {
		t.Error("a quarter from February")
	}
}

func TestOffers(t *testing.T) {
	c := whole()
	for _, q := range []analytics.Query{
		{Metric: "M01a", From: "2026-07-01", To: "2026-07-31"},
		{Metric: "M01a", From: "2026-04-01", To: "2027-03-31", By: []string{"shop_area", "industry"}},
	} {
		if err := c.Offers(q); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, q := range []analytics.Query{
		{Metric: "M03", From: "2026-07-01", To: "2026-07-31"},
		{Metric: "M01a", From: "2026-07-01", To: "2026-07-31", Shop: "s-1"},
		{Metric: "M01a", From: "2026-07-01", To: "2026-07-31", By: []string{"industry"}},
		{Metric: "M01a", From: "2026-07-01", To: "2026-09-30"},
		{Metric: "M01a", From: "2026-03-01", To: "2026-03-31"},
		{Metric: "M01a", From: "2027-04-01", To: "2027-04-30"},
		{Metric: "M01a"},
	} {
		if err := c.Offers(q); !errors.Is(err, ErrNotInContract) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	p, _ := ParsePeriod("2026-07")
	if queries, err := c.Tables(p); err != nil || len(queries) != 5 { // M05 has no cut by month
		t.Errorf("%d queries, %v", len(queries), err)
	}
}

type gate struct{ refuse map[string]error }

func (g gate) ReleaseTo(_ context.Context, q analytics.Query, a disclosure.Audience, reader string) (disclosure.Released, error) {
	if a != disclosure.Recipient || reader != "univ" {
		return disclosure.Released{}, errors.New("asked for another")
	}
	return disclosure.Released{}, g.refuse[q.Metric]
}

func TestCollectOmitsWhatTheGateRefuses(t *testing.T) {
	p, _ := ParsePeriod("2026-07")
	tables, omitted, err := Collect(t.Context(), gate{map[string]error{"M05": disclosure.ErrDiscloses}}, whole(), p)
	if err != nil || len(tables) != 3 || len(omitted) != 2 || omitted[0].Metric != "M05" {
		t.Errorf("%d tables, omitted %v, %v", len(tables), omitted, err)
	}
	_, _, err = Collect(t.Context(), gate{map[string]error{"M05": disclosure.ErrDiscloses, "M01a": disclosure.ErrNotOffered}}, whole(), p)
	if !errors.Is(err, disclosure.ErrDiscloses) {
		t.Errorf("all refused: %v", err)
	}
	failure := errors.New("no disk")
	if _, _, err = Collect(t.Context(), gate{map[string]error{"M01a": failure}}, whole(), p); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestContractIsInForceFromMidnightToMidnight(t *testing.T) {
	c := whole()
	for at, want := range map[string]bool{
		"2026-06-30T23:59:59+09:00": false, "2026-07-01T00:00:00+09:00": true,
		"2026-07-31T23:59:59+09:00": true, "2026-08-01T00:00:00+09:00": false,
	} {
		now, _ := time.Parse(time.RFC3339, at)
		if in := !now.Before(c.Begins()) && now.Before(c.Ends()); in != want {
			t.Errorf("%s: %v", at, in)
		}
	}
}
