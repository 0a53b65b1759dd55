package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"meguri/analytics"
	"meguri/analytics/disclosure"
)

// shifting is the engine with another value in its hidden cell, without that cell,
// or with its rows the other way round.
type shifting struct {
	engine
	without, turned bool
	asked           *[]string
}

func (e shifting) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	if e.asked != nil {
		*e.asked = append(*e.asked, fmt.Sprint("run ", q))
	}
	t, err := e.engine.Run(ctx, q)
	if e.without && len(t.Cells) > 1 {
		t.Cells = slices.Delete(t.Cells, 1, 2)
	}
	if e.turned {
		slices.Reverse(t.Cells)
	}
	return t, err
}

// everyAnswer is what browsers and programs get from a city, by path: status,
// headers and body.
func everyAnswer(t *testing.T, e shifting) map[string]string {
	t.Helper()
	out := map[string]string{}
	note := func(path string, a answer) {
		for _, name := range []string{"X-Request-Id", "Date", "Set-Cookie"} {
			a.header.Del(name)
		}
		body := string(a.body)
		if at := strings.Index(body, `name="csrf" value="`); at >= 0 { // the form's own secret
			body = strings.ReplaceAll(body, body[at+19:at+19+strings.Index(body[at+19:], `"`)], "")
		}
		out[path] = fmt.Sprintln(a.status, a.header, len(body), body)
	}
	s := newSite(t)
	e.now = s.clock.Now
	s.server.Gate.(*disclosure.Gate).Engine = e
	s.as("office")
	for _, path := range []string{"/", "/ebpm", "/ebpm?lang=en", "/ebpm/M01a-industry.csv", "/ebpm/M02-weekday-hour.csv?lang=en", "/ebpm/M03-age_band-sex.csv",
		"/shops", "/shops/s-001/report", "/shops/s-001/report?lang=en", "/shops/s-001/report.pdf", "/shops/s-002/report", "/docs/statistics", "/docs/disclosure"} {
		note("office "+path, s.browse(path))
	}
	for client, paths := range map[string][]string{
		"univ": {"/statistics/v1/metrics", "/statistics/v1/structures/M01a", "/statistics/v1/contract"},
		"public": {"/statistics/v1/metrics", "/statistics/v1/structures/M01a", "/statistics/v1/metrics/M01a/table" + july + "&by=industry",
			"/statistics/v1/metrics/M01a/table" + july + "&by=area&format=csv"},
		"till": {"/statistics/v1/shops/s-001/metrics/M01a/table" + july, "/statistics/v1/shops/s-001/metrics/M03/table" + july + "&by=sex"},
	} {
		for _, path := range paths {
			note(client+" "+path, s.get(client, path))
		}
	}
	return out
}

// Recipe 16, pages: two cities that differ in hidden values, or in the order in
// which the engine gives the rows, give the same answers to browsers and shops:
// the same status, headers, lengths and bytes. What clients of the contracts get
// is in TestNothingTellsAHiddenValue.
func TestRecipe_16NoAnswerTellsAHiddenValue(t *testing.T) {
	want := everyAnswer(t, shifting{})
	hidden := 0
	for path, a := range want {
		if !strings.HasPrefix(a, "200 ") {
			t.Errorf("%s: %s", path, a[:min(len(a), 300)])
		}
		if strings.Contains(a, "秘匿") || strings.Contains(a, "suppressed") {
			hidden++
		}
	}
	if hidden < 8 {
		t.Fatalf("%d answers hide something: the test shows nothing", hidden)
	}
	for name, e := range map[string]shifting{"another hidden value": {engine: engine{secret: 987654321}}, "another order": {turned: true}} {
		for path, a := range everyAnswer(t, e) {
			if a != want[path] {
				t.Errorf("%s shows in %s", name, path)
			}
		}
	}
}

// Recipe 16, filter menus: what can be asked for stands in lists that do not
// depend on payments. A value that only a hidden cell has is in them, or is not,
// whether or not there is such a cell; so is one that nobody has.
func TestRecipe_16MenusTellNothing(t *testing.T) {
	with, without := everyAnswer(t, shifting{}), everyAnswer(t, shifting{without: true})
	menus := 0
	for path, a := range with {
		for _, menu := range []string{" /", "/shops", "/statistics/v1/metrics", "/statistics/v1/contract", "/structures/M01a", "/docs/statistics", "/docs/disclosure"} {
			if strings.HasSuffix(path, menu) {
				menus++
				if without[path] != a {
					t.Errorf("%s depends on who has paid", path)
				}
			}
		}
	}
	if path := "public /statistics/v1/metrics/M01a/table" + july + "&by=industry"; menus < 9 || with[path] == without[path] {
		t.Errorf("%d menus were looked at; the tables themselves must differ", menus)
	}
}

// Recipe 16, status and time: asked for what is hidden the server does what it
// does for what is shown: one answer of status 200, and the same questions to
// the engine.
func TestRecipe_16HiddenGoesTheSameWay(t *testing.T) {
	var ways [2][]string
	var answers [2]string
	for n := range ways {
		s := newSite(t)
		s.server.Gate.(*disclosure.Gate).Engine = shifting{engine: engine{now: s.clock.Now}, without: n == 1, asked: &ways[n]}
		for _, format := range formats {
			a := s.table("M01a", "&by=industry&format="+format)
			a.want(t, 200, "")
			answers[n] += string(a.body)
		}
	}
	if answers[0] == answers[1] || len(ways[0]) == 0 {
		t.Fatal("the same is hidden in both: the test shows nothing")
	}
	if !slices.Equal(ways[0], ways[1]) {
		t.Errorf("what is hidden goes another way:\n%q\n%q", ways[0], ways[1])
	}
}
