package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"meguri/analytics/recipient"
)

func (s *site) count(body string) answer {
	s.Helper()
	return s.do(call{client: "univ", method: "POST", path: "/statistics/v1/noisy-counts", body: body})
}

// IC-8: what a contract's budget pays for is told with its noise and its
// interval; the same question is the same answer; then there is no more until
// the next period. All of it is in the log.
func TestNoisyCounts(t *testing.T) {
	s := newSite(t)
	const ask = `{"measure":"persons","period":"2026-07","by":["weekday","hour"],"cost":"0.5"}`
	first := s.count(ask).want(t, 200, "")
	want := map[string]any{"measure": "persons", "from": "2026-07-01", "to": "2026-07-31", "by": []any{"hour", "weekday"}, "within": 6.0, "kind": "epsilon",
		"distribution": "discrete-laplace", "scale": "2", "cost": "1/2", "left": "1/2", "repeated": false, "question_id": first["question_id"],
		"answered_at": "2026-08-01T03:00:00Z", "cells": first["cells"]}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("%v", first)
	}
	cells := first["cells"].([]any)
	if len(cells) != 7*24 {
		t.Errorf("%d cells", len(cells))
	}
	for _, c := range cells {
		c := c.(map[string]any)
		if c["high"].(float64)-c["value"].(float64) != 6 || c["value"].(float64)-c["low"].(float64) != 6 {
			t.Errorf("%v is no interval of 6 on each side", c)
		}
	}
	again := s.count(`{"measure":"persons","period":"2026-07","by":["hour","weekday"],"cost":"1/2","purpose":"research"}`).want(t, 200, "")
	if again["repeated"] != true || again["left"] != "1/2" || !reflect.DeepEqual(again["cells"], first["cells"]) {
		t.Errorf("asked again: %v", again)
	}
	s.count(`{"measure":"yen","period":"2026-07","cost":"1/2"}`).want(t, 200, "")
	over := s.count(`{"measure":"persons","period":"2026-07","cost":"0.000001"}`)
	over.want(t, 429, "privacy-budget-used-up")
	if wait := over.header.Get("Retry-After"); wait != fmt.Sprint(30*24*3600+12*3600) { // 1 August, noon in Tokyo, to 1 September
		t.Errorf("Retry-After %q", wait)
	}
	s.count(ask).want(t, 200, "")
	var log []string
	for _, e := range s.contracts.log {
		log = append(log, strings.Join([]string{e.Operation, e.Metric, e.Cut, e.Purpose, e.Format, e.Outcome}, " "))
	}
	if got, want := strings.Join(log, "\n"), strings.Join([]string{
		"countWithNoise M03 hour+weekday research noise given", "countWithNoise M03 hour+weekday research noise given",
		"countWithNoise M01a  research noise given", "countWithNoise M03   noise privacy-budget-used-up", "countWithNoise M03 hour+weekday research noise given",
	}, "\n"); got != want {
		t.Errorf("log:\n%s\nwant:\n%s", got, want)
	}
	if terms := s.get("univ", "/statistics/v1/contract").want(t, 200, "")["noise"]; !reflect.DeepEqual(terms, map[string]any{
		"kind": "epsilon", "budget": "1", "left": "0", "period": "month", "max_cells": 1.0, "max_yen": 5000.0}) {
		t.Errorf("the contract says %v", terms)
	}
	s.clock.add(31 * 24 * time.Hour)
	s.count(`{"measure":"persons","period":"2026-07","cost":"1/4"}`).want(t, 200, "")
}

func TestNoisyCounts_AreRefused(t *testing.T) {
	for _, c := range []struct {
		name, body string
		before     func(*site)
		status     int
		slug       string
	}{
		{"shops", `{"measure":"persons","period":"2026-07","by":["industry"],"cost":"1/4"}`, nil, 400, "noise-question"},
		{"no cost", `{"measure":"persons","period":"2026-07","cost":"0"}`, nil, 400, "noise-question"},
		{"a cut of no contract", `{"measure":"persons","period":"2026-07","by":["sex"],"cost":"1/4"}`, nil, 403, "not-in-contract"},
		{"a window of no contract", `{"measure":"persons","period":"2026-Q2","cost":"1/4"}`, nil, 403, "not-in-contract"},
		{"a month that is not over", `{"measure":"persons","period":"2026-08","cost":"1/4"}`, nil, 403, "table-not-offered"},
		{"another purpose", `{"measure":"persons","period":"2026-07","cost":"1/4","purpose":"advertising"}`, nil, 400, "purpose-needed"},
		{"no noise in the contract", `{"measure":"persons","period":"2026-07","cost":"1/4"}`, func(s *site) { s.contracts.list[0].Noise = nil }, 403, "not-in-contract"},
		{"no amounts in the contract", `{"measure":"yen","period":"2026-07","cost":"1/4"}`, func(s *site) {
			terms := *testContract.Noise
			terms.Yen = 0
			s.contracts.list[0].Noise = &terms
		}, 400, "noise-question"},
		{"ended", `{"measure":"persons","period":"2026-07","cost":"1/4"}`, func(s *site) { s.contracts.list[0].EndedAt = s.clock.Now() }, 403, "contract-ended"},
		{"the quota is used up", `{"measure":"persons","period":"2026-07","cost":"1/4"}`, func(s *site) { s.contracts.list[0].Quota.DownloadsAMonth = 0 }, 429, "quota-used-up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			if c.before != nil {
				c.before(s)
			}
			s.count(c.body).want(t, c.status, c.slug)
			if len(s.contracts.log) != 1 || s.contracts.log[0].Outcome != c.slug {
				t.Errorf("log %+v", s.contracts.log)
			}
		})
	}
	s := newSite(t)
	s.count(`{"measure":"persons","period":"2026-07","cost":"1e3"}`).want(t, 400, "invalid-request")
	s.do(call{client: "public", method: "POST", path: "/statistics/v1/noisy-counts", body: `{"measure":"persons","period":"2026-07","cost":"1/4"}`}).want(t, 404, "not-found")
}

// A contract's terms come back as they were written.
func TestNoiseTermsAreKept(t *testing.T) {
	text, err := json.Marshal(testContract)
	if err != nil {
		t.Fatal(err)
	}
	var c recipient.Contract
	if err := json.Unmarshal(text, &c); err != nil || !reflect.DeepEqual(c.Noise, testContract.Noise) {
		t.Errorf("%+v, %v", c.Noise, err)
	}
}
