package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/analytics/recipient"
	"meguri/reports"
)

const july = "?from=2026-07-01&to=2026-07-31"

// table asks for a table as the client of the contract.
func (s *site) table(metric, query string) answer {
	s.Helper()
	return s.get("univ", "/statistics/v1/metrics/"+metric+"/table"+july+query)
}

func TestContractGivesItsTablesByTheRulesForRecipients(t *testing.T) {
	s := newSite(t)
	v := s.table("M01a", "&by=industry").want(t, 200, "")
	rules := v["rules"].(map[string]any)
	if rules["audience"] != "recipient" || rules["round_yen"] != 1000.0 || rules["explained_at"] != "/docs/statistics" {
		t.Errorf("rules %v", rules)
	}
	if v["hidden"] != 1.0 || v["hidden_share"].(float64) < 0.33 {
		t.Errorf("hidden %v, %v", v["hidden"], v["hidden_share"])
	}
	if v := s.get("public", "/statistics/v1/metrics/M01a/table"+july+"&by=industry").want(t, 200, ""); v["rules"].(map[string]any)["audience"] != "public" {
		t.Errorf("without a contract: %v", v["rules"])
	}
	if len(s.contracts.log) != 1 {
		t.Fatalf("log %+v", s.contracts.log)
	}
	e := s.contracts.log[0]
	want := recipient.Entry{At: s.clock.Now(), Contract: "univ-2026", Client: "univ", Purpose: "research", Operation: "getTable", Metric: "M01a", Cut: "industry",
		From: "2026-07-01", To: "2026-07-31", Format: "json", Release: v["release_hash"].(string), Bytes: e.Bytes, Outcome: "given"}
	if e != want || e.Bytes == 0 {
		t.Errorf("entry %+v", e)
	}
}

// readers is a register that keeps only whom tables were released to.
type readers struct{ list []string }

func (r *readers) Append(_ context.Context, rec disclosure.Record, _ int64) (int64, error) {
	r.list = append(r.list, string(rec.Audience)+" "+rec.Reader)
	return int64(len(r.list)), nil
}
func (r *readers) All(context.Context, func(disclosure.Record) error) (int64, error) {
	return int64(len(r.list)), nil
}

func TestGateKnowsWhoReads(t *testing.T) {
	s := newSite(t)
	s.contracts.list[0].Reader = "univ-2025" // the contract before
	register := &readers{}
	s.server.Gate.(*disclosure.Gate).Register = register
	s.table("M01a", "").want(t, 200, "")
	s.get("univ", "/statistics/v1/bundles/2026-07").want(t, 200, "")
	s.get("public", "/statistics/v1/metrics/M01a/table"+july).want(t, 200, "")
	s.get("till", "/statistics/v1/shops/s-001/metrics/M01a/table"+july).want(t, 200, "")
	got := strings.Join(slices.Compact(register.list), ", ")
	if want := "recipient univ-2025, public , shop , public "; got != want {
		t.Errorf("released to %s, want %s", got, want)
	}
}

// endPurpose ends the purpose of the contract, and not the city's own.
func endPurpose(s *site) {
	s.server.Gate.(*disclosure.Gate).Purpose = disclosure.Purpose{Own: "statistics", InForce: func(_ context.Context, purpose string) error {
		if purpose == "research" {
			return errors.New("it has ended")
		}
		return nil
	}}
}

// IC-9: what is handed out under a contract is for its purpose, everything else
// for the city's own.
func TestPurpose_OfWhoAsks(t *testing.T) {
	s := newSite(t)
	endPurpose(s)
	s.table("M01a", "").want(t, 403, "purpose-not-in-force")
	s.get("public", "/statistics/v1/metrics/M01a/table"+july).want(t, 200, "")
	own := "/statistics/v1/shops/s-001/metrics/M01a/table" + july
	s.get("till", own).want(t, 200, "")
	s.server.Purpose = "statistics"
	s.server.Gate.(*disclosure.Gate).Purpose.InForce = func(context.Context, string) error { return errors.New("nothing is registered") }
	s.get("public", "/statistics/v1/metrics/M01a/table"+july).want(t, 403, "purpose-not-in-force")
	s.get("till", own).want(t, 403, "purpose-not-in-force")
}

func TestContractRefusesWhatItDoesNotName(t *testing.T) {
	for _, c := range []struct {
		name, path string
		before     func(*site)
		status     int
		slug       string
	}{
		{"another metric", "/statistics/v1/metrics/M02/table" + july, nil, 403, "not-in-contract"},
		{"another cut", "/statistics/v1/metrics/M01a/table" + july + "&by=sex", nil, 403, "not-in-contract"},
		{"a shop", "/statistics/v1/metrics/M01a/table" + july + "&shop=s-001", nil, 403, "not-in-contract"},
		{"another length of window", "/statistics/v1/metrics/M01a/table?from=2026-04-01&to=2026-06-30", nil, 403, "not-in-contract"},
		{"an odd window", "/statistics/v1/metrics/M01a/table?from=2026-07-02&to=2026-07-31", nil, 403, "not-in-contract"},
		{"before its data", "/statistics/v1/metrics/M01a/table?from=2026-03-01&to=2026-03-31", nil, 403, "not-in-contract"},
		{"a month that is not over", "/statistics/v1/metrics/M01a/table?from=2026-08-01&to=2026-08-31", nil, 403, "table-not-offered"},
		{"another purpose", "/statistics/v1/metrics/M01a/table" + july + "&purpose=advertising", nil, 400, "purpose-needed"},
		{"no such metric", "/statistics/v1/metrics/M99/table" + july, nil, 404, "unknown-metric"},
		{"a bundle of a quarter", "/statistics/v1/bundles/2026-Q2", nil, 403, "not-in-contract"},
		{"a bundle of a month not over", "/statistics/v1/bundles/2026-08", nil, 403, "table-not-offered"},
		{"before the contract", "/statistics/v1/metrics/M01a/table" + july, func(s *site) { s.contracts.list[0].From = "2026-09-01" }, 403, "contract-not-begun"},
		{"after the contract", "/statistics/v1/metrics/M01a/table" + july, func(s *site) { s.clock.add(200 * 24 * time.Hour) }, 403, "contract-ended"},
		{"a purpose that has ended", "/statistics/v1/metrics/M01a/table" + july, endPurpose, 403, "purpose-not-in-force"},
		{"a bundle for one", "/statistics/v1/bundles/2026-07", endPurpose, 403, "purpose-not-in-force"},
		{"ended", "/statistics/v1/bundles/2026-07", func(s *site) { s.contracts.list[0].EndedAt = s.clock.Now() }, 403, "contract-ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			if c.before != nil {
				c.before(s)
			}
			s.get("univ", c.path).want(t, c.status, c.slug)
			if len(s.contracts.log) != 1 || s.contracts.log[0].Outcome != c.slug || s.contracts.log[0].Contract != "univ-2026" {
				t.Errorf("log %+v", s.contracts.log)
			}
		})
	}
	s := newSite(t)
	s.get("public", "/statistics/v1/contract").want(t, 404, "not-found")
	s.get("public", "/statistics/v1/bundles/2026-07").want(t, 404, "not-found")
	s.get("univ", "/statistics/v1/bundles/2026-13").want(t, 400, "invalid-request")
	if len(s.contracts.log) != 0 {
		t.Errorf("log %+v", s.contracts.log)
	}
}

func TestSeveralPurposesMustBeNamed(t *testing.T) {
	s := newSite(t)
	s.contracts.list[0].Purposes = append(slices.Clone(s.contracts.list[0].Purposes), recipient.Purpose{ID: "report", Text: "年次報告"})
	s.table("M01a", "").want(t, 400, "purpose-needed")
	s.table("M01a", "&purpose=report").want(t, 200, "")
	if e := s.contracts.log[1]; e.Purpose != "report" || e.Outcome != recipient.Given {
		t.Errorf("entry %+v", e)
	}
}

func TestQuotaIsUsedUp(t *testing.T) {
	s := newSite(t)
	for _, query := range []string{"", "&by=industry", "&by=weekday,hour", "&by=hour,weekday&format=csv"} { // the last two are one table
		s.table("M01a", query).want(t, 200, "")
	}
	s.table("M03", "").want(t, 200, "") // the fourth table of the day
	a := s.table("M03", "&by=industry")
	a.want(t, 429, "quota-used-up")
	if retry := a.header.Get("Retry-After"); retry != fmt.Sprint(12*60*60) { // noon in Tokyo
		t.Errorf("Retry-After %s", retry)
	}
	for range 7 { // the same table again, up to twelve downloads
		s.table("M03", "&format=json-stat").want(t, 200, "")
	}
	a = s.table("M03", "")
	a.want(t, 429, "quota-used-up")
	if retry := a.header.Get("Retry-After"); retry != fmt.Sprint((30*24+12)*60*60) {
		t.Errorf("Retry-After %s", retry)
	}
	s.get("univ", "/statistics/v1/bundles/2026-07").want(t, 429, "quota-used-up")
	if v := s.get("univ", "/statistics/v1/contract").want(t, 200, ""); v["tables_left"] != 0.0 || v["downloads_left"] != 0.0 {
		t.Errorf("left %v, %v", v["tables_left"], v["downloads_left"])
	}
	s.clock.add(31 * 24 * time.Hour) // the first of September
	s.table("M03", "&by=industry").want(t, 200, "")
}

var formats = []string{"json", "json-stat", "sdmx-csv", "csv"}

// TestEveryFormatHidesTheSameCells reads each format as its readers do.
func TestEveryFormatHidesTheSameCells(t *testing.T) {
	s := newSite(t)
	var shown [][]string // in each format, the values in order, "c" where hidden
	v := s.table("M01a", "&by=industry").want(t, 200, "")
	var list []string
	for _, c := range v["cells"].([]any) {
		c := c.(map[string]any)
		if c["state"] == "suppressed" {
			list = append(list, "c")
		} else {
			list = append(list, fmt.Sprint(c["values"].([]any)[0]))
		}
	}
	shown = append(shown, list)

	v = s.table("M01a", "&by=industry&format=json-stat").want(t, 200, "")
	list = nil
	for i, value := range v["value"].([]any) {
		status := v["status"].(map[string]any)[fmt.Sprint(i)]
		if (status != nil) != (value == nil) {
			t.Errorf("value %v with status %v", value, status)
		}
		if status != nil {
			list = append(list, status.(string))
		} else {
			list = append(list, fmt.Sprint(value))
		}
	}
	shown = append(shown, list)

	a := s.table("M01a", "&by=industry&format=sdmx-csv")
	a.want(t, 200, "")
	if media := a.header.Get("Content-Type"); media != "application/vnd.sdmx.data+csv; version=2.0.0" {
		t.Errorf("media type %q", media)
	}
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	list = nil
	for _, row := range rows[1:] {
		if status := row[column("OBS_STATUS")]; status == "Q" {
			if row[column("OBS_VALUE")] != "" || row[column("CONF_STATUS")] != "C" {
				t.Errorf("hidden row %q", row)
			}
			list = append(list, "c")
		} else {
			list = append(list, row[column("OBS_VALUE")])
		}
	}
	shown = append(shown, list)

	a = s.table("M01a", "&by=industry&format=csv&lang=ja")
	a.want(t, 200, "")
	list = nil
	for _, line := range strings.Split(string(a.body), "\r\n")[1:4] {
		_, value, _ := strings.Cut(line, ",")
		if value == "秘匿" {
			value = "c"
		}
		list = append(list, value)
	}
	shown = append(shown, list)
	for i, list := range shown {
		if !slices.Equal(list, shown[0]) || !slices.Contains(list, "c") {
			t.Errorf("%s shows %q, %s shows %q", formats[i], list, formats[0], shown[0])
		}
	}
}

// TestNothingTellsAHiddenValue compares two cities that differ only in what is
// hidden: no byte, no header, no status may.
func TestNothingTellsAHiddenValue(t *testing.T) {
	var seen [2][]string
	for i, secret := range []float64{0, 987654321} {
		s := newSite(t)
		gate := s.server.Gate.(*disclosure.Gate)
		gate.Engine = engine{now: s.clock.Now, secret: secret}
		s.contracts.list[0].Quota = recipient.Quota{TablesADay: 100, DownloadsAMonth: 100}
		var paths []string
		for _, format := range formats {
			for _, query := range []string{"", "&by=industry", "&by=weekday,hour"} {
				paths = append(paths, "/statistics/v1/metrics/M01a/table"+july+query+"&format="+format, "/statistics/v1/metrics/M03/table"+july+query+"&lang=en&format="+format)
			}
		}
		for _, path := range append(paths, "/statistics/v1/bundles/2026-07", "/statistics/v1/structures/M01a", "/statistics/v1/contract") {
			a := s.get("univ", path)
			a.want(t, 200, "")
			a.header.Del("X-Request-Id")
			a.header.Del("Date")
			seen[i] = append(seen[i], fmt.Sprintln(path, a.status, a.header, string(a.body)))
		}
		if !strings.Contains(seen[i][2], "suppressed") {
			t.Fatalf("nothing is hidden: %s", seen[i][2])
		}
	}
	for i := range seen[0] {
		if seen[0][i] != seen[1][i] {
			t.Errorf("the hidden value shows:\n%s\n%s", seen[0][i], seen[1][i])
		}
	}
}

func TestBundleIsSignedAndTheSameEachTime(t *testing.T) {
	s := newSite(t)
	a := s.get("univ", "/statistics/v1/bundles/2026-07")
	a.want(t, 200, "")
	m, err := reports.VerifyBundle(a.body, s.server.BundleKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if m.Contract != "univ-2026" || m.Purpose != "地域経済の研究" || len(m.Files) != 2*2*3+1 {
		t.Errorf("manifest %+v", m)
	}
	s.clock.add(time.Hour)
	if again := s.get("univ", "/statistics/v1/bundles/2026-07"); !bytes.Equal(a.body, again.body) {
		t.Error("the same releases gave other bytes")
	}
	if e := s.contracts.log[0]; e.Operation != "getBundle" || e.Release == "" || e.Bytes != int64(len(a.body)) {
		t.Errorf("entry %+v", e)
	}
	s = newSite(t)
	s.do(call{method: "GET", path: "/statistics/v1/bundle-key"}).want(t, 200, "")
}

func TestShopSeesItselfAndProtectedPeers(t *testing.T) {
	s := newSite(t)
	path := "/statistics/v1/shops/%s/metrics/M01a/table" + july
	shop := s.memory.shops["s-001"]
	shop.Industry, shop.Area = analytics.CodeList("industry")[1].Code, "k1" // whose peers are few
	s.memory.shops["s-001"] = shop
	v := s.get("till", fmt.Sprintf(path, "s-001")).want(t, 200, "")
	own := v["own"].(map[string]any)
	if own["query"].(map[string]any)["shop"] != "s-001" || own["rules"].(map[string]any)["audience"] != "shop" {
		t.Errorf("own %v", own)
	}
	peers := v["peers"].(map[string]any)
	if peers["rules"].(map[string]any)["audience"] != "public" || len(peers["cells"].([]any)) != 1 {
		t.Fatalf("peers %v", peers)
	}
	if cell := peers["cells"].([]any)[0].(map[string]any); cell["state"] != "suppressed" || peers["hidden"] != 1.0 {
		t.Errorf("peers of a small group are shown: %v", peers)
	}
	// Another shop, and one that there is not, answer alike.
	body := func(shop string) string {
		a := s.get("till", fmt.Sprintf(path, shop))
		a.want(t, 404, "not-found")
		var p map[string]any
		_ = json.Unmarshal(a.body, &p)
		delete(p, "instance")
		return fmt.Sprint(p, len(a.body))
	}
	if body("s-002") != body("s-999") {
		t.Error("another shop's being there shows")
	}
	// In a window that is not over there are no peers, and the shop still has its own.
	v = s.get("till", "/statistics/v1/shops/s-001/metrics/M01a/table?from=2026-07-10&to=2026-08-01").want(t, 200, "")
	if _, there := v["peers"]; there {
		t.Error("peers in a window that the public does not have")
	}
	s.get("till", "/statistics/v1/metrics/M01a/table"+july).want(t, 403, "forbidden")
	s.get("univ", fmt.Sprintf(path, "s-001")).want(t, 403, "forbidden")
	var outcomes []string
	for _, e := range s.contracts.log {
		outcomes = append(outcomes, e.Contract+" "+e.Outcome)
	}
	if want := []string{"shop:s-001 given", "shop:s-002 not-found", "shop:s-999 not-found", "shop:s-001 given"}; !slices.Equal(outcomes, want) {
		t.Errorf("log %q", outcomes)
	}
}

func TestStructureFitsTheTable(t *testing.T) {
	s := newSite(t)
	v := s.get("univ", "/statistics/v1/structures/M01a").want(t, 200, "")
	a := s.table("M01a", "&by=weekday,hour&format=sdmx-csv")
	a.want(t, 200, "")
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	lists := map[any]bool{}
	for _, l := range v["code_lists"].([]any) {
		lists[l.(map[string]any)["id"]] = true
	}
	found := false
	for _, st := range v["structures"].([]any) {
		st := st.(map[string]any)
		for _, d := range st["dimensions"].([]any) {
			d := d.(map[string]any)
			if list, coded := d["code_list_id"]; coded && !lists[list] {
				t.Errorf("there is no list %v", list)
			}
			if st["structure_id"] == rows[1][1] && !slices.Contains(rows[0], d["id"].(string)) {
				t.Errorf("no column %v in %q", d["id"], rows[0])
			}
		}
		found = found || st["structure_id"] == rows[1][1]
	}
	if !found {
		t.Errorf("no structure %s", rows[1][1])
	}
	s.get("univ", "/statistics/v1/structures/M99").want(t, 404, "unknown-metric")
}
