package lake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"meguri/internal/flightdrivers"
	"meguri/pseudonymize/lake"
)

var (
	token = &arrow.FixedSizeBinaryType{ByteWidth: 16}
	code  = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	clock = &arrow.TimestampType{Unit: arrow.Microsecond}
)

// described are the tables that the others read: a number, a token, and a text
// that came later.
var described = map[string][3]string{
	"payments": {"amount_yen", "person_token", "operator"},
	"rides":    {"version", "ride_token", "route_id"},
}

func columnsOf(table string, later bool) *arrow.Schema {
	texts := []string{"kind", "shop_id", "industry", "shop_area", "sex", "age_band", "home_area"}
	tokens := []string{"event_token", "payment_token", "target_token", "person_token"}
	if table == "rides" {
		texts, tokens = []string{"stop_id", "sex"}, []string{"ride_token"}
	}
	var fields []arrow.Field
	for _, name := range tokens {
		fields = append(fields, arrow.Field{Name: name, Type: token, Nullable: true})
	}
	for _, name := range texts {
		fields = append(fields, arrow.Field{Name: name, Type: code})
	}
	fields = append(fields,
		arrow.Field{Name: described[table][0], Type: arrow.PrimitiveTypes.Int64},
		arrow.Field{Name: "active", Type: arrow.FixedWidthTypes.Boolean},
		arrow.Field{Name: "occurred_local", Type: clock},
		arrow.Field{Name: lake.DayColumn, Type: arrow.FixedWidthTypes.Date32})
	if later {
		fields = append(fields, arrow.Field{Name: described[table][2], Type: code, Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// paid is a row of payments as the count of visits sees it.
type paid struct {
	event, payment, target, person, shop, kind string
	yen                                        int64
	active                                     bool
	day                                        arrow.Date32
}

// rowsOf makes rows of four months, some of them combined payments and cancels
// of what came in earlier runs.
func rowsOf(t *testing.T, rng *rand.Rand, schema *arrow.Schema, n int, before []paid) (arrow.RecordBatch, []paid) {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var rows []paid
	for i := range n {
		at := time.Date(2026, time.Month(3+rng.IntN(4)), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), 0, 0, time.UTC)
		r := paid{event: fmt.Sprintf("%08x%08x", rng.Uint32(), i), person: fmt.Sprintf("person %09d", rng.IntN(40)), shop: fmt.Sprint("店", rng.IntN(5)), kind: "pay",
			yen: int64(1 + rng.IntN(9_000)), active: rng.IntN(30) > 0, day: arrow.Date32FromTime(at)}
		r.payment = r.event
		switch last := len(rows) - 1; {
		case rng.IntN(10) == 0:
			r.person = ""
		case last >= 0 && rng.IntN(6) == 0 && rows[last].kind == "pay":
			r.payment, r.person, r.shop, r.day = rows[last].payment, rows[last].person, rows[last].shop, rows[last].day
			at = r.day.ToTime().Add(time.Hour)
		case len(before) > 0 && rng.IntN(8) == 0:
			r.kind, r.target = "cancel", before[rng.IntN(len(before))].event
		}
		rows = append(rows, r)
		for column := range schema.NumFields() {
			switch f := b.Field(column).(type) {
			case *array.FixedSizeBinaryBuilder:
				text := map[string]string{"event_token": r.event, "ride_token": r.event, "payment_token": r.payment, "target_token": r.target, "person_token": r.person}[schema.Field(column).Name]
				if text == "" {
					f.AppendNull()
				} else {
					f.Append([]byte(text))
				}
			case *array.BinaryDictionaryBuilder:
				text, ok := map[string]string{"kind": r.kind, "shop_id": r.shop}[schema.Field(column).Name]
				if !ok {
					text = fmt.Sprint("語", rng.IntN(3))
				}
				if schema.Field(column).Nullable && i%3 == 0 {
					f.AppendNull()
				} else if err := f.AppendString(text); err != nil {
					t.Fatal(err)
				}
			case *array.Int64Builder:
				f.Append(r.yen)
			case *array.BooleanBuilder:
				f.Append(r.active)
			case *array.TimestampBuilder:
				f.Append(arrow.Timestamp(at.UnixMicro()))
			case *array.Date32Builder:
				f.Append(r.day)
			}
		}
	}
	return b.NewRecordBatch(), rows
}

// visitsOf counts visits without SQL.
func visitsOf(rows []paid) string {
	cancelled := map[string]bool{}
	for _, r := range rows {
		if r.kind == "cancel" {
			cancelled[r.target] = true
		}
	}
	type visit struct {
		person, shop string
		day          arrow.Date32
	}
	visits, payments, yen := map[visit]bool{}, map[string]bool{}, int64(0)
	for _, r := range rows {
		if r.kind == "pay" && r.active && r.person != "" && !cancelled[r.event] {
			visits[visit{r.person, r.shop, r.day}] = true
			payments[r.payment] = true
			yen += r.yen
		}
	}
	return fmt.Sprint(len(visits), len(payments), yen)
}

// summary is what a month of a table adds up to, as Go reads it.
func summary(t *testing.T, l *lake.Lake, table string) map[string]string {
	t.Helper()
	type sums struct {
		rows, total, added int64
		tokens             map[string]bool
		latest             arrow.Timestamp
	}
	months := map[string]*sums{}
	m := manifest(t, l)
	for _, f := range m.Table(table) {
		s := months[f.Month]
		if s == nil {
			s = &sums{tokens: map[string]bool{}}
			months[f.Month] = s
		}
		d := described[table]
		rows := int64(0)
		err := l.Read(t.Context(), f, nil, func(b arrow.RecordBatch) error {
			at := func(name string) int { return b.Schema().FieldIndices(name)[0] }
			rows += b.NumRows()
			for i := range int(b.NumRows()) {
				s.total += b.Column(at(d[0])).(*array.Int64).Value(i)
				if c := b.Column(at(d[1])).(*array.FixedSizeBinary); !c.IsNull(i) {
					s.tokens[string(c.Value(i))] = true
				}
				s.latest = max(s.latest, b.Column(at("occurred_local")).(*array.Timestamp).Value(i))
			}
			if later := b.Schema().FieldIndices(d[2]); len(later) == 1 {
				s.added += b.NumRows() - int64(b.Column(later[0]).NullN())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if rows != f.Rows {
			t.Errorf("%s has %d rows, and the manifest says %d", f.Path, rows, f.Rows)
		}
		s.rows += rows
	}
	all := map[string]string{}
	for month, s := range months {
		all[table+" "+month] = fmt.Sprint(s.rows, s.total, len(s.tokens), s.added, " ") +
			s.latest.ToTime(arrow.Microsecond).Format("2006-01-02T15:04")
	}
	return all
}

// TestOutsideReaders_SeeTheSame (IC-7): DuckDB, pandas, pyarrow, Polars and Spark,
// none of them ours, find in every month of every table what the manifest and our
// own reading say, after late runs, a column that was added, and a compaction
// of half of them; and the examples of docs/lake.md run as they stand.
func TestOutsideReaders_SeeTheSame(t *testing.T) {
	err := flightdrivers.Readers()
	var java []string
	if err == nil {
		java, err = flightdrivers.Spark()
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("readers of Parquet need python3 with venv, a JDK, and PyPI and Maven's repository once: %v", err)
	}
	python, err := flightdrivers.ReadersPython()
	if err != nil {
		t.Fatal(err)
	}
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir, rng := t.TempDir(), rand.New(rand.NewPCG(7, 7))
	l := lake.Open(filepath.Join(dir, "lake"))
	var all []paid
	for segment := range 4 {
		w := begin(t, l)
		for _, name := range []string{"payments", "rides"} {
			schema := columnsOf(name, segment > 1)
			writer, err := w.Table(name, schema)
			if err != nil {
				t.Fatal(err)
			}
			batch, rows := rowsOf(t, rng, schema, 700, all)
			if name == "payments" {
				all = append(all, rows...)
			}
			if err := writer.Write(batch); err != nil {
				t.Fatal(err)
			}
			batch.Release()
		}
		commit(t, w, int64(segment+1))
		if segment == 2 { // what comes after it stays apart
			w := begin(t, l)
			if n, err := w.Compact(t.Context(), 2); n != 3*2*4 || err != nil {
				t.Fatal(n, err)
			}
			commit(t, w)
		}
	}
	// Somebody is erased: row groups go to other files without the rows.
	lake.SetLarge(t, 100)
	const gone = "person 000000007"
	w, carried := begin(t, l), 0
	n, err := w.Rewrite(t.Context(), "payments", columnsOf("payments", true), w.Base().Table("payments"), dropPerson(l, gone))
	if before := len(all); err != nil || n == 0 {
		t.Fatal(n, err)
	} else if all = slices.DeleteFunc(all, func(r paid) bool { return r.person == gone }); int64(before-len(all)) != n {
		t.Fatalf("%d rows went, want %d", n, before-len(all))
	}
	for _, f := range commit(t, w).Table("payments") {
		if strings.HasSuffix(f.Path, "-carried.parquet") {
			carried++
		}
	}
	if carried != 4 {
		t.Fatalf("%d files of row groups as they were, want 4", carried)
	}
	if err := os.WriteFile(filepath.Join(dir, "lake", "payments", "000009.parquet.tmp"), []byte("of a run that broke off"), 0o600); err != nil {
		t.Fatal(err)
	}
	tables, err := json.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	document, err := filepath.Abs("../../docs/lake.md")
	if err != nil {
		t.Fatal(err)
	}
	got, want := map[string]string{}, map[string]string{"label": lake.Label, "visits": visitsOf(all), "visits by Spark": visitsOf(all)}
	for _, command := range [][]string{
		{python, filepath.Join(testdata, "readers.py")},
		slices.Concat([]string{"java"}, java, []string{filepath.Join(testdata, "Spark.java")}),
	} {
		for line := range bytes.Lines(outsider(t, dir, append(command, string(tables), document)...)) {
			var said struct{ Key, Value string }
			if err := json.Unmarshal(line, &said); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			got[said.Key] = said.Value
		}
	}
	for name := range described {
		for key, value := range summary(t, l, name) {
			for _, tool := range []string{"duckdb", "pandas", "pyarrow", "polars", "spark"} {
				want[tool+" "+key] = value
			}
		}
	}
	for _, title := range []string{"DuckDB", "pandas・pyarrow", "Polars", "Spark"} {
		want[title] = fmt.Sprint(manifest(t, l).Rows("payments"))
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 2*4*5+7 {
		t.Errorf("%d figures: %s", len(want), diff)
	}
}

// dropPerson has the rows of one go.
func dropPerson(l *lake.Lake, token string) func(lake.File) ([]int64, error) {
	return func(f lake.File) ([]int64, error) {
		return l.Find(context.Background(), f, "person_token", len(token), func(v []byte) bool { return string(v) == token })
	}
}

// outsider runs somebody else's reader in a folder, and returns what it says.
func outsider(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &stderr)
	}
	return out
}
