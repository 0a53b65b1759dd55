package duck_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/analytics"
	"meguri/analytics/duck"
	"meguri/pseudonymize/lake"
)

var update = flag.Bool("update", false, "write the answers of testdata anew")

func lakeSchema() *arrow.Schema {
	token := &arrow.FixedSizeBinaryType{ByteWidth: 16}
	str := arrow.BinaryTypes.String
	return arrow.NewSchema([]arrow.Field{
		{Name: "event_token", Type: token}, {Name: "payment_token", Type: token},
		{Name: "target_token", Type: token, Nullable: true}, {Name: "person_token", Type: token, Nullable: true},
		{Name: "source", Type: str}, {Name: "kind", Type: str}, {Name: "service_type", Type: str},
		{Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64}, {Name: "active", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "occurred_local", Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
		{Name: "occurred_on", Type: arrow.FixedWidthTypes.Date32},
		{Name: "shop_id", Type: str}, {Name: "industry", Type: str}, {Name: "shop_area", Type: str},
		{Name: "sex", Type: str}, {Name: "age_band", Type: str}, {Name: "home_area", Type: str},
	}, nil)
}

// lakeOf makes a lake of rows that are written as text:
//
//	kind row payment target person shop yen 2024-06-03T12:30 industry sex age
//
// with - for nothing. Every line "commit" is a snapshot of its own, after which
// each is called.
func lakeOf(t *testing.T, text string, each ...func(*lake.Lake)) *lake.Lake {
	t.Helper()
	schema := lakeSchema()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	bin := func(col int, s string) {
		if s == "-" {
			b.Field(col).AppendNull()
			return
		}
		var tok [16]byte
		copy(tok[:], s)
		b.Field(col).(*array.FixedSizeBinaryBuilder).Append(tok[:])
	}
	l := lake.Open(t.TempDir())
	commit := func() {
		w, err := l.Begin("132047")
		if err != nil {
			t.Fatal(err)
		}
		payments, err := w.Table("payments", schema)
		if err != nil {
			t.Fatal(err)
		}
		batch := b.NewRecordBatch()
		defer batch.Release()
		if err := payments.Write(batch); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(lake.Commit{Epoch: 1, At: time.Date(2024, 9, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
		for _, f := range each {
			f(l)
		}
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(line, "#"):
			continue
		case f[0] == "commit":
			commit()
			continue
		case len(f) != 11:
			t.Fatalf("a row has 11 fields: %q", line)
		}
		yen, err := strconv.ParseInt(f[6], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("2006-01-02T15:04", f[7])
		if err != nil {
			t.Fatal(err)
		}
		bin(0, f[1])
		bin(1, f[2])
		bin(2, f[3])
		bin(3, f[4])
		for col, s := range map[int]string{4: "test", 5: f[0], 6: "voucher", 11: f[5], 12: f[8], 13: "A", 14: f[9], 15: f[10], 16: "A"} {
			b.Field(col).(*array.StringBuilder).Append(s)
		}
		b.Field(7).(*array.Int64Builder).Append(yen)
		b.Field(8).(*array.BooleanBuilder).Append(true)
		b.Field(9).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
		b.Field(10).(*array.Date32Builder).Append(arrow.Date32FromTime(at))
	}
	return l
}

func open(t *testing.T, l *lake.Lake) *duck.Engine {
	t.Helper()
	e, err := duck.Open(l, duck.Options{MemoryMiB: 256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// parseQuery reads "M07 2024-06-01 2024-06-30 by=month,shop shop=s1 visit=payment".
func parseQuery(t *testing.T, line string) analytics.Query {
	t.Helper()
	f := strings.Fields(line)
	q := analytics.Query{Metric: f[0], From: f[1], To: f[2]}
	for _, option := range f[3:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "by":
			q.By = strings.Split(value, ",")
		case "shop":
			q.Shop = value
		case "visit":
			q.Visit = value
		case "seen":
			q.SeenTo = value
		case "zero":
			q.Zero = true
		default:
			t.Fatalf("option %q", option)
		}
	}
	return q
}

func printTable(table analytics.Table, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, c := range table.Cells {
		for _, k := range c.Keys {
			fmt.Fprintf(&b, "%s ", k)
		}
		for i, v := range c.Values {
			if math.IsNaN(v) {
				fmt.Fprintf(&b, "%s=NA ", table.Measures[i].Name)
			} else {
				fmt.Fprintf(&b, "%s=%s ", table.Measures[i].Name, strconv.FormatFloat(v, 'f', -1, 64))
			}
		}
		fmt.Fprintf(&b, "n=%d k=%d\n", c.Persons, c.Shops)
	}
	return b.String()
}

// TestMetrics runs testdata/*.txt: rows, a line "----", and then questions with
// their answers, each ended by a blank line.
func TestMetrics(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rows, questions, ok := strings.Cut(string(text), "----\n")
			if !ok {
				t.Fatal("there is no line ----")
			}
			engine := open(t, lakeOf(t, rows))
			var got bytes.Buffer
			got.WriteString(rows + "----\n")
			for i, block := range strings.Split(strings.TrimSpace(questions), "\n\n") {
				if i > 0 {
					got.WriteByte('\n')
				}
				question, _, _ := strings.Cut(block, "\n")
				got.WriteString(question + "\n" + printTable(engine.Run(context.Background(), parseQuery(t, strings.TrimPrefix(question, "? ")))))
			}
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != string(text) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), text)
			}
		})
	}
}

func TestRun_FollowsTheLake(t *testing.T) {
	const first = "pay p1 p1 - a s1 100 2024-06-03T12:00 cafe female 20-29\ncommit\n"
	l := lakeOf(t, first)
	e := open(t, l)
	q := analytics.Query{Metric: "M01a", From: "2024-06-01", To: "2024-06-30"}
	table, err := e.Run(context.Background(), q)
	if err != nil || table.Cells[0].Values[0] != 100 || table.Snapshot != 1 {
		t.Fatalf("got %+v, %v", table, err)
	}
	w, err := l.Begin("132047")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(lake.Commit{Segments: []int64{2}, Epoch: 1, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if table, err := e.Run(context.Background(), q); err != nil || table.Snapshot != 2 {
		t.Errorf("after another snapshot: got %d, %v", table.Snapshot, err)
	}
}

func TestRun_EmptyLakeHasNoPersons(t *testing.T) {
	e := open(t, lake.Open(t.TempDir()))
	for _, m := range analytics.Metrics {
		table, err := e.Run(context.Background(), analytics.Query{Metric: m.ID, From: "2024-06-01", To: "2024-06-30"})
		if err != nil {
			t.Errorf("%s: %v", m.ID, err)
		}
		for _, c := range table.Cells {
			if c.Persons != 0 {
				t.Errorf("%s: %d persons in an empty lake", m.ID, c.Persons)
			}
		}
	}
}

func TestRun_EveryMetricTakesEveryCutItNames(t *testing.T) {
	e := open(t, lakeOf(t, "pay p1 p1 - a s1 100 2024-06-03T12:00 cafe female 20-29\ncommit\n"))
	for _, m := range analytics.Metrics {
		for _, cut := range m.Cuts {
			q := analytics.Query{Metric: m.ID, From: "2024-06-01", To: "2024-06-30", By: []string{cut}}
			if table, err := e.Run(context.Background(), q); err != nil || len(table.Cells) != 1 {
				t.Errorf("%s by %s: got %d cells, %v, want 1", m.ID, cut, len(table.Cells), err)
			}
		}
	}
}

func TestOpen_LocksTheDatabase(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.txt")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := open(t, lake.Open(filepath.Join(dir, "lake")))
	for _, text := range []string{
		"SELECT * FROM read_text('" + secret + "')",
		"COPY (SELECT 1) TO '" + filepath.Join(dir, "out.csv") + "'",
		"ATTACH '" + filepath.Join(dir, "other.db") + "'",
		"SET enable_external_access = true",
		"SET memory_limit = '10GB'",
		"INSTALL httpfs",
	} {
		if err := duck.Exec(e, text); err == nil {
			t.Errorf("%s was allowed", text)
		}
	}
}

func TestResolve_RefusesWhatTheMetricDoesNotAnswer(t *testing.T) {
	for name, q := range map[string]analytics.Query{
		"no metric":     {Metric: "M99", From: "2024-06-01", To: "2024-06-30"},
		"no day":        {Metric: "M03", From: "2024-02-30", To: "2024-06-30"},
		"backwards":     {Metric: "M03", From: "2024-07-01", To: "2024-06-30"},
		"unknown cut":   {Metric: "M03", From: "2024-06-01", To: "2024-06-30", By: []string{"phone"}},
		"not its cut":   {Metric: "M08", From: "2024-06-01", To: "2024-06-30", By: []string{"hour"}},
		"the same cut":  {Metric: "M03", From: "2024-06-01", To: "2024-06-30", By: []string{"sex", "sex"}},
		"unknown visit": {Metric: "M07", From: "2024-06-01", To: "2024-06-30", Visit: "hour"},
		"early base":    {Metric: "M08", From: "2024-06-01", To: "2024-06-30", SeenTo: "2024-06-01"},
	} {
		_, _, _, err := q.Resolve()
		if !errors.Is(err, analytics.ErrBadQuery) && !errors.Is(err, analytics.ErrUnknownMetric) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
