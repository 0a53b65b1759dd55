package evidence_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meguri/pseudonymize"
	"meguri/pseudonymize/evidence"
	"meguri/pseudonymize/scan"
)

var update = flag.Bool("update", false, "write the golden files anew")

// record is a run over purchase lines, with one of every case.
func record(t *testing.T) (pseudonymize.Report, evidence.Run) {
	t.Helper()
	p, err := pseudonymize.PolicyFor("purchase")
	if err != nil {
		t.Fatal(err)
	}
	p.Rules = append(p.Rules, pseudonymize.Rule{From: "remark", Action: pseudonymize.FreeText, As: "remark", Law: "規則31条1号：走査で見つかったものは削除",
		Reason: "要望の分類のため <b>"})
	r := pseudonymize.Report{Policy: p, Rows: 12345}
	for _, rule := range p.Rules {
		c := pseudonymize.ColumnReport{Rule: rule, Type: "utf8"}
		switch rule.From {
		case "item_code":
			c.Scanned, c.Found = 400, scan.Counts{scan.Card: 41}
		case "remark":
			c.Scanned, c.Withheld, c.Found = 90, 2, scan.Counts{scan.Phone: 2}
		case "home_area":
			c.Withheld, c.Nulls = 7, 1
		}
		if rule.Action == pseudonymize.Drop {
			c.Type = ""
		}
		r.Columns = append(r.Columns, c)
	}
	return r, evidence.Run{
		At: time.Date(2026, 11, 1, 3, 4, 0, 0, time.UTC), Project: "meguri", Epoch: 4242424242, Snapshot: 3,
		RowsRead: 12400, Held: 50, Excluded: 5, Program: "meguri test",
		Files: []evidence.File{
			{Path: "purchase/month=2026-10/000003.parquet", Rows: 12000, SHA256: strings.Repeat("ab", 32)},
			{Path: "purchase/month=2026-09/000003.parquet", Rows: 345, SHA256: strings.Repeat("cd", 32)},
		},
	}
}

// TestWrite_Golden (IC-7, P1 to P3): every column with what became of it and why.
func TestWrite_Golden(t *testing.T) {
	dir := t.TempDir()
	report, run := record(t)
	if _, err := evidence.Write(dir, report, run); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"evidence.json", "evidence.html"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "purchase."+strings.TrimPrefix(name, "evidence."))
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (run with -update to accept):\n%s", name, diff)
		}
	}
}

func TestWrite_NamesEveryColumnOnce(t *testing.T) {
	dir := t.TempDir()
	report, run := record(t)
	e, err := evidence.Write(dir, report, run)
	if err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(filepath.Join(dir, "evidence.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Policy.Rules {
		as := r.As
		if as == "" {
			as = "（なし）"
		}
		row := regexp.MustCompile("<tr><td>" + r.From + "</td><td>[^<]+</td><td>" + as + "</td>")
		if n := len(row.FindAll(html, -1)); n != 1 {
			t.Errorf("%s as %s stands %d times on the page", r.From, as, n)
		}
	}
	if bytes.Contains(html, []byte("<b>")) {
		t.Error("a policy's words are markup on the page")
	}
	if e.RowsRead != e.RowsWritten+e.RowsHeld+e.RowsExcluded {
		t.Errorf("read %d, written %d, held %d, excluded %d", e.RowsRead, e.RowsWritten, e.RowsHeld, e.RowsExcluded)
	}
	text, err := os.ReadFile(filepath.Join(dir, "evidence.json"))
	if err != nil {
		t.Fatal(err)
	}
	var again evidence.Evidence
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, again); diff != "" {
		t.Errorf("read again it is another record:\n%s", diff)
	}
	// Another policy has another hash.
	report.Policy.Rules[0].Law += "."
	if other, err := evidence.Of(report, run); err != nil || other.PolicySHA256 == e.PolicySHA256 {
		t.Errorf("a changed policy has the hash of the one before, %v", err)
	}
}
