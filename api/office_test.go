package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
)

// register is a register of releases in memory.
type register struct{ records []disclosure.Record }

func (r *register) Append(_ context.Context, rec disclosure.Record, _ int64) (int64, error) {
	r.records = append(r.records, rec)
	return int64(len(r.records)), nil
}

func (r *register) All(_ context.Context, f func(disclosure.Record) error) (int64, error) {
	for i, rec := range r.records {
		rec.Number = int64(i + 1)
		if err := f(rec); err != nil {
			return 0, err
		}
	}
	return int64(len(r.records)), nil
}

// oneRelease is a register with one release, which hides something.
func oneRelease(t testing.TB, now func() time.Time) *register {
	t.Helper()
	r := &register{}
	g := &disclosure.Gate{Engine: engine{now: now}, Now: now, Register: r}
	from, to := "2026-10-01", "2026-11-30"
	if _, err := g.Release(t.Context(), analytics.Query{Metric: "M03", From: from, To: to, By: []string{"age_band", "sex"}}, disclosure.City); err != nil {
		t.Fatal(err)
	}
	if r.records[0].Hidden == 0 {
		t.Fatal("nothing is hidden")
	}
	return r
}

// IC-10: the office reads why cells are hidden; nobody else does, and nothing
// that others get says it.
func TestReasonsAreTheOfficesAlone(t *testing.T) {
	site := newSite(t)
	office := site.as("office")
	page := string(office.browse("/office/releases/1?lang=en").body)
	if !strings.Contains(page, "too few persons") || !strings.Contains(page, "Suppressed cells") {
		t.Errorf("the page has no reasons:\n%s", page)
	}
	var e struct {
		Cells       []struct{ Reason string }
		Hidden      int     `json:"hidden"`
		HiddenShare float64 `json:"hidden_share"`
	}
	if err := json.Unmarshal(office.browse("/office/releases/1.json").body, &e); err != nil || len(e.Cells) == 0 || len(e.Cells) != e.Hidden || e.HiddenShare <= 0 {
		t.Errorf("%+v, %v", e, err)
	}
	for _, login := range []string{"city", "bakery"} {
		who := newSite(t).as(login)
		for _, path := range []string{"/office/releases", "/office/releases/1", "/office/releases/1.json"} {
			if a := who.browse(path); a.status != 404 || strings.Contains(string(a.body), "few-persons") {
				t.Errorf("%s at %s: %d", login, path, a.status)
			}
		}
	}
	others := newSite(t).as("city")
	for _, path := range []string{"/ebpm?lang=en", "/ebpm/M03-age_band-sex.csv", "/docs/disclosure"} {
		body := string(others.browse(path).body)
		for _, r := range disclosure.Reasons {
			if word := string(r); strings.Contains(word, "-") && strings.Contains(body, word) || strings.Contains(body, "too few persons") {
				t.Errorf("%s says %s", path, r)
			}
		}
	}
	if strings.Contains(site.log.String(), "few-persons") {
		t.Error("the log holds a reason")
	}
}
