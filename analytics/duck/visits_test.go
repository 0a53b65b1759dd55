package duck_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"meguri/analytics"
	"meguri/analytics/duck"
	statements "meguri/analytics/sql"
)

// TestVisits_AreThoseOfM02: the view that analysts have counts as the metric
// does (IC-7): combined payments are one, cancels are taken off, a payment over
// midnight is of its first day, several payments of a day are one visit.
func TestVisits_AreThoseOfM02(t *testing.T) {
	ctx := context.Background()
	l := lakeOf(t, `
pay    p1 p1 -  a s1 100 2024-06-03T12:00 cafe female 20-29
pay    p2 p2 -  a s1 200 2024-06-03T18:00 cafe female 20-29
pay    p3 p3 -  a s2 300 2024-06-03T19:00 cafe female 20-29
pay    p4 c4 -  b s1 400 2024-06-03T23:59 cafe male 30-39
pay    p5 c4 -  b s1 500 2024-06-04T00:00 cafe male 30-39
pay    p6 p6 -  b s1 600 2024-06-05T09:00 cafe male 30-39
pay    p7 p7 -  - s1 700 2024-06-05T10:00 cafe unknown unknown
pay    p8 c8 -  c s1 800 2024-06-05T11:00 cafe male 40-49
pay    p9 c8 -  c s1 900 2024-06-05T11:00 cafe male 40-49
commit
cancel x6 x6 p6 b s1 600 2024-06-06T09:00 cafe male 30-39
cancel x9 x9 p9 c s1 900 2024-06-06T09:00 cafe male 40-49
commit
`)
	table, err := open(t, l).Run(ctx, analytics.Query{Metric: "M02", From: "2024-06-01", To: "2024-06-30"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := duck.OpenSandbox(ctx, l, duck.SandboxOptions{Tables: []string{"visits"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	st, err := s.Check(ctx, "SELECT count(*) AS n, CAST(sum(payments) AS BIGINT) AS payments, CAST(sum(net_yen) AS BIGINT) AS yen FROM visits")
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	err = s.Run(ctx, st, nil, 10, func(*arrow.Schema) error { return nil }, func(b arrow.RecordBatch) error {
		for _, c := range b.Columns() {
			got = append(got, c.(*array.Int64).Value(0))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[4 5 2300]"; fmt.Sprint(got) != want {
		t.Errorf("got visits, payments and yen %v, want %s", got, want)
	}
	if m02 := table.Cells[0].Values; float64(got[0]) != m02[0] || float64(got[1]) != m02[2] {
		t.Errorf("got %v, and M02 is %v", got, m02)
	}
}

// TestViews_AreTheLakes: an analyst's own DuckDB sees by the statements what the
// sandbox and the metric see, also of a month that has two files.
func TestViews_AreTheLakes(t *testing.T) {
	ctx := context.Background()
	l := lakeOf(t, `
pay    p1 p1 -  a s1 100 2024-06-03T12:00 cafe female 20-29
pay    p2 p2 -  b s'2 200 2024-06-30T18:00 cafe female 20-29
commit
cancel x2 x2 p2 b s'2 200 2024-07-01T09:00 cafe female 20-29
pay    p3 p3 -  c s1 300 2024-06-04T19:00 cafe male 30-39
commit
`)
	m, err := l.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := duck.WriteViews(&text, l, m); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := db.ExecContext(ctx, text.String()); err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	for query, want := range map[string]string{
		"SELECT count(*) || ' ' || sum(amount_yen) FROM payments": "4 800",
		"SELECT count(*) || ' ' || sum(net_yen) FROM visits":      "2 400",
	} {
		var got string
		if err := db.QueryRowContext(ctx, query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", query, got, err, want)
		}
	}
}

// TestVisits_DocumentIsInSync: the text in docs/lake.md is the view's.
func TestVisits_DocumentIsInSync(t *testing.T) {
	document, err := os.ReadFile("../../docs/lake.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := statements.Files.ReadFile("visits.sql")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(document), "<!-- visits -->\n```sql\n"+string(text)+"```\n") {
		t.Error("docs/lake.md has another text than analytics/sql/visits.sql")
	}
}
