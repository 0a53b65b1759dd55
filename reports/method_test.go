package reports

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/analytics/disclosure/perturb"
)

// crowd is a town of whole persons that tells each of those whom it counts.
type crowd struct{ town }

func (c crowd) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	t, err := c.town.Run(ctx, q)
	for i := range t.Cells {
		t.Cells[i].Values = []float64{float64(10 * t.Cells[i].Persons)}
	}
	return t, err
}

func (c crowd) Behind(ctx context.Context, q analytics.Query, p analytics.Party) (parts []analytics.Part, err error) {
	q.Metric = "M03"
	table, err := c.Run(ctx, q)
	for _, cell := range table.Cells {
		for i := range int(cell.Values[0]) {
			who := fmt.Sprint(cell.Keys, i)
			if p == analytics.ByShop {
				who = fmt.Sprint("shop ", i%9)
			}
			parts = append(parts, analytics.Part{Keys: cell.Keys, Party: who, Yen: 1, Payments: 1})
		}
	}
	return parts, err
}

// IC-8: whatever the form, a table says how its figures were protected, and has
// none of the original ones.
func TestEveryFormNamesTheMethod(t *testing.T) {
	before := disclosure.RuleSets
	t.Cleanup(func() { disclosure.RuleSets = before })
	release, err := perturb.NewRelease(perturb.Params{Deviation: 9, Variance: big.NewRat(5, 1), Forbidden: 2})
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]bool{}
	for _, c := range []struct {
		method disclosure.Treatment
		ja, en string
	}{
		{disclosure.Treatment{Method: disclosure.Suppression}, "未満のセルを秘匿", "are suppressed"},
		{disclosure.Treatment{Method: disclosure.Rounding, Base: 7}, "丸め：件数は7の倍数", "multiples of 7"},
		{disclosure.Treatment{Method: disclosure.CellKey}, "摂動：人数に小さな増減", "perturbed: a little"},
	} {
		disclosure.RuleSets = slices.Clone(before)
		for i := range disclosure.RuleSets {
			if disclosure.RuleSets[i].Audience == disclosure.Recipient {
				disclosure.RuleSets[i].Methods = map[string]disclosure.Treatment{"M03": c.method}
			}
		}
		g := gate(town{})
		g.Engine, g.ReleaseKey = crowd{}, func() (*perturb.Release, error) { return release, nil }
		r, err := g.ReleaseTo(t.Context(), analytics.Query{Metric: "M03", From: "2026-10-01", To: "2026-10-31", By: []string{"age_band"}}, disclosure.Recipient, "r")
		if err != nil {
			t.Fatal(err)
		}
		named := string(c.method.Method)
		if c.method.Method == disclosure.Suppression {
			named = ""
		}
		hash, err := Hash(r)
		if err != nil {
			t.Fatal(err)
		}
		hashes[hash] = true
		for lang, words := range map[string]string{"ja": c.ja, "en": c.en} {
			var table, text, stat bytes.Buffer
			if err := CSV(&table, r, lang); err != nil {
				t.Fatal(err)
			}
			if err := Text(&text, r, lang); err != nil {
				t.Fatal(err)
			}
			if err := JSONStat(&stat, r, lang); err != nil {
				t.Fatal(err)
			}
			for form, out := range map[string]string{"CSV": table.String(), "text": text.String()} {
				if !strings.Contains(out, words) {
					t.Errorf("%s in %s of %s does not say %q", form, lang, c.method.Method, words)
				}
			}
			var d jsonStat
			if err := json.Unmarshal(stat.Bytes(), &d); err != nil {
				t.Fatal(err)
			}
			if noted := len(d.Note) == 2 && strings.Contains(d.Note[1], words); string(d.Extension.Method) != named || noted != (named != "") {
				t.Errorf("JSON-stat in %s of %s: method %q, notes %q", lang, c.method.Method, d.Extension.Method, d.Note)
			}
		}
		var b bytes.Buffer
		if err := SDMXCSV(&b, r); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			want := map[bool]string{true: "METHOD", false: named}[i == 0]
			if named == "" {
				want = rows[i][len(row)-1] // no such column
			}
			if row[len(row)-1] != want || slices.Contains(rows[0], "METHOD") != (named != "") {
				t.Errorf("SDMX-CSV of %s: row %v", c.method.Method, row)
			}
		}
		b.Reset()
		if err := JSON(&b, r); err != nil || strings.Contains(b.String(), `"method": "`+named+`"`) != (named != "") {
			t.Errorf("JSON of %s: %v", c.method.Method, err)
		}
	}
	if len(hashes) != 3 {
		t.Error("tables by different methods have one hash")
	}
}
