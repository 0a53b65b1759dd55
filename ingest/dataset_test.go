package ingest_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"meguri/ingest"
)

// template returns the mapping that the program prints for a dataset.
func template(t testing.TB, d *ingest.Dataset, format ingest.Format) *ingest.Mapping {
	t.Helper()
	m, err := ingest.ParseMapping(d.Name+".yaml", []byte(d.Template(format)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sample writes the program's own sample of a dataset.
func sample(t testing.TB, d *ingest.Dataset, format ingest.Format) string {
	t.Helper()
	if format == ingest.Parquet {
		return parquetSample(t, d)
	}
	return writeFile(t, d.Name+"."+string(format), func(w io.Writer) error { return d.WriteSample(w, format) })
}

// parquetSample writes the sample with the types that a database would give.
func parquetSample(t testing.TB, d *ingest.Dataset) string {
	t.Helper()
	var text bytes.Buffer
	if err := d.WriteSample(&text, ingest.CSV); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var fields []arrow.Field
	for _, f := range d.Fields {
		fields = append(fields, arrow.Field{Name: f.Name, Type: parquetType(f), Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, row := range rows[1:] {
		for i, v := range row {
			field := b.Field(i)
			if ts, ok := field.(*array.TimestampBuilder); ok && v != "" {
				at, err := time.ParseInLocation("2006-01-02 15:04:05", v, time.FixedZone("", 9*3600))
				if err != nil {
					t.Fatal(err)
				}
				ts.Append(arrow.Timestamp(at.UnixMilli()))
				continue
			}
			if v == "" {
				field.AppendNull()
			} else if err := field.AppendValueFromString(v); err != nil {
				t.Fatal(err)
			}
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	return writeParquet(t, d.Name+".parquet", batch)
}

func parquetType(f ingest.Field) arrow.DataType {
	switch f.Type {
	case ingest.IntegerField:
		return arrow.PrimitiveTypes.Int32
	case ingest.YenField:
		return arrow.PrimitiveTypes.Int64
	case ingest.QuantityField:
		return &arrow.Decimal128Type{Precision: 12, Scale: 3}
	case ingest.InstantField:
		return &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}
	}
	return arrow.BinaryTypes.String
}

func writeParquet(t testing.TB, name string, batches ...arrow.RecordBatch) string {
	t.Helper()
	return writeFile(t, name, func(w io.Writer) error {
		pw, err := pqarrow.NewFileWriter(batches[0].Schema(), struct{ io.Writer }{w}, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties())
		if err != nil {
			return err
		}
		for _, b := range batches { // each a row group
			if err := pw.Write(b); err != nil {
				return err
			}
		}
		return pw.Close()
	})
}

// rowsOf returns what the segments hold, as text, with the dataset first.
func rowsOf(t testing.TB, im *ingest.Importer) []string {
	t.Helper()
	segments, err := im.Segments(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range segments {
		for batch, err := range ingest.OpenSegment(s.Path) {
			if err != nil {
				t.Fatal(err)
			}
			if got := ingest.DatasetOf(batch.Schema()); got != s.Dataset {
				t.Errorf("segment %d is of %s and registered as %s", s.Number, got, s.Dataset)
			}
			for i := range int(batch.NumRows()) {
				row := s.Dataset
				for c, f := range batch.Schema().Fields() {
					v := batch.Column(c).ValueStr(i)
					if dictionary, ok := batch.Column(c).(*array.Dictionary); ok && dictionary.IsValid(i) {
						v = dictionary.Dictionary().ValueStr(dictionary.GetValueIndex(i))
					}
					row += " " + f.Name + "=" + v
				}
				all = append(all, row)
			}
		}
	}
	return all
}

// TestDatasets_Golden takes the sample of each dataset in, in each format: the
// same rows come out, and the second time they are duplicates (IC-1, IC-12).
func TestDatasets_Golden(t *testing.T) {
	for _, d := range ingest.Datasets() {
		t.Run(d.Name, func(t *testing.T) {
			im := open(t, t.TempDir())
			for i, format := range []ingest.Format{ingest.CSV, ingest.JSONL, ingest.Parquet} {
				s, err := im.Import(context.Background(), sample(t, d, format), ingest.Options{Mapping: template(t, d, format)})
				if err != nil {
					t.Fatal(err)
				}
				if want := map[bool]int64{true: 3}[i == 0]; s.Accepted != want || s.Duplicate != 3-want || s.Dataset != d.Name {
					t.Errorf("%s: got %+v", format, s)
				}
			}
			golden := filepath.Join("testdata", d.Name+".golden")
			got := d.Template(ingest.CSV) + "\n" + strings.Join(rowsOf(t, im), "\n") + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDatasets_DocumentIsInSync holds docs/datasets.md against the table.
func TestDatasets_DocumentIsInSync(t *testing.T) {
	var b bytes.Buffer
	if err := ingest.WriteDocument(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "docs", "datasets.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("run the test with -update: %s", diff)
	}
}

// datasetFile writes the first row of a dataset's sample, with some fields
// changed each time.
func datasetFile(t testing.TB, d *ingest.Dataset, rows ...map[string]string) string {
	t.Helper()
	var text bytes.Buffer
	if err := d.WriteSample(&text, ingest.CSV); err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, d.Name+".csv", func(w io.Writer) error {
		c := csv.NewWriter(w)
		if err := c.Write(all[0]); err != nil {
			return err
		}
		for _, changes := range rows {
			row := append([]string(nil), all[1]...)
			for i, name := range all[0] {
				if v, ok := changes[name]; ok {
					row[i] = v
				}
			}
			if err := c.Write(row); err != nil {
				return err
			}
		}
		c.Flush()
		return c.Error()
	})
}

// TestDatasets_QuarantineWhatDoesNotHold keeps the rows around it (IC-1).
func TestDatasets_QuarantineWhatDoesNotHold(t *testing.T) {
	for name, c := range map[string]struct {
		dataset, field, problem string
		changes                 map[string]string
	}{
		"no ID":                   {"purchase", "record_id", "empty", map[string]string{"record_id": ""}},
		"version 0":               {"purchase", "version", "from 1 on", map[string]string{"version": "0"}},
		"version in parts":        {"purchase", "version", "not a whole number", map[string]string{"version": "1.5"}},
		"no shop":                 {"purchase", "shop_id", "empty", map[string]string{"shop_id": ""}},
		"quantity in words":       {"purchase", "quantity", "not a number", map[string]string{"quantity": "二"}},
		"quantity of 4 decimals":  {"purchase", "quantity", "three decimals", map[string]string{"quantity": "0.1234"}},
		"quantity of nothing":     {"purchase", "quantity", "is 0", map[string]string{"quantity": "0"}},
		"exponent":                {"purchase", "amount_yen", "not a number", map[string]string{"amount_yen": "1e3"}},
		"part of a yen":           {"purchase", "unit_price_yen", "whole number of yen", map[string]string{"unit_price_yen": "10.5"}},
		"amount over int64":       {"purchase", "amount_yen", "beyond", map[string]string{"amount_yen": "9223372036854775808"}},
		"amount beyond the limit": {"purchase", "amount_yen", "1,000,000,000,000", map[string]string{"amount_yen": "1000000000001"}},
		"negative price":          {"purchase", "unit_price_yen", "negative", map[string]string{"unit_price_yen": "-1"}},
		"negative discount":       {"purchase", "discount_yen", "negative", map[string]string{"discount_yen": "-1"}},
		"discount over the price": {"purchase", "discount_yen", "more than price", map[string]string{"discount_yen": "421"}},
		"negative and no return":  {"purchase", "amount_yen", "no return", map[string]string{"amount_yen": "-400"}},
		"signs that differ":       {"purchase", "amount_yen", "positive", map[string]string{"quantity": "-2"}},
		"takes itself back":       {"purchase", "target_id", "itself", map[string]string{"target_id": "x", "record_id": "x"}},
		"no such day":             {"purchase", "sold_at", "does not exist", map[string]string{"sold_at": "2026-02-30 10:00:00"}},
		"long before":             {"purchase", "sold_at", "1900 to 2199", map[string]string{"sold_at": "0001-01-01 00:00:00"}},
		"text too long":           {"purchase", "item_name", "longer than 512", map[string]string{"item_name": strings.Repeat("あ", 200)}},
		"no such wave":            {"survey", "wave", "no such code", map[string]string{"wave": "during"}},
		"no answer":               {"survey", "answer_code", "no answer", map[string]string{"answer_code": ""}},
		"off before on":           {"ride", "alighted_at", "before they boarded", map[string]string{"alighted_at": "2026-10-03 08:59:59"}},
		"a ride of days":          {"ride", "alighted_at", "more than a day", map[string]string{"alighted_at": "2026-10-05 09:00:00"}},
		"no such event":           {"event", "event", "no such code", map[string]string{"event": "deleted"}},
		"a notice without one":    {"event", "notice_id", "none is named", map[string]string{"event": "notice_sent"}},
		"nobody":                  {"event", "person_id", "neither", map[string]string{"device_id": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			d := ingest.DatasetByName(c.dataset)
			path := datasetFile(t, d, map[string]string{"record_id": "good-1"}, c.changes, map[string]string{"record_id": "good-2"})
			s, err := open(t, t.TempDir()).Import(context.Background(), path, ingest.Options{Mapping: template(t, d, ingest.CSV)})
			if err != nil || s.Read != 3 || s.Accepted != 2 || s.Quarantined != 1 {
				t.Fatalf("got %+v, %v", s, err)
			}
			row := quarantined(t, s)[0]
			if row[1] != "3" || row[2] != c.field || !strings.Contains(row[3], c.problem) || row[4] == "" {
				t.Errorf("got %q", row)
			}
		})
	}
}

// TestDatasets_Identity: dataset, source, ID and version are who a row is.
func TestDatasets_Identity(t *testing.T) {
	d := ingest.DatasetByName("purchase")
	im := open(t, t.TempDir())
	path := datasetFile(t, d,
		map[string]string{"record_id": "a"},
		map[string]string{"record_id": "a"},
		map[string]string{"record_id": "a", "item_name": "other"},
		map[string]string{"record_id": "a", "version": "2", "item_name": "other"},
		map[string]string{"record_id": "a", "version": "1", "discount_yen": ""},
		map[string]string{"record_id": "b", "quantity": "-2", "amount_yen": "-400", "target_id": "a"})
	s, err := im.Import(context.Background(), path, ingest.Options{Mapping: template(t, d, ingest.CSV)})
	if err != nil || s.Accepted != 3 || s.Duplicate != 1 || s.Quarantined != 2 {
		t.Fatalf("got %+v, %v", s, err)
	}
	for i, row := range quarantined(t, s) {
		if want := []string{"4", "6"}[i]; row[1] != want || row[2] != "record_id" || !strings.Contains(row[3], "other content") {
			t.Errorf("got %q", row)
		}
	}
	// A payment of the same source and ID is another record.
	add(t, im, "my-source", payment("a"))
	segments, err := im.Segments(context.Background())
	if err != nil || len(segments) != 2 || segments[0].Dataset != "purchase" || segments[1].Dataset != ingest.PaymentDataset ||
		segments[0].Rows != 3 || segments[0].AmountYen != 400 {
		t.Fatalf("got %+v, %v", segments, err)
	}
	// The lake has both, each in its table.
	result := runPipeline(t, pipeline(t, im, t.TempDir()))
	if result.Rows != 4 || result.Segments != 2 {
		t.Errorf("got %+v", result)
	}
}

// TestDatasets_WarnOfACheckDigit and take the row.
func TestDatasets_WarnOfACheckDigit(t *testing.T) {
	d := ingest.DatasetByName("purchase")
	path := datasetFile(t, d, map[string]string{"record_id": "a"}, map[string]string{"record_id": "b", "item_code": "4901234567895"},
		map[string]string{"record_id": "c", "item_code": "12345670"}, map[string]string{"record_id": "d", "item_code": "12345671"},
		map[string]string{"record_id": "e", "item_code": "4901"})
	s, err := open(t, t.TempDir()).Import(context.Background(), path, ingest.Options{Mapping: template(t, d, ingest.CSV)})
	if err != nil || s.Accepted != 5 || len(s.Warnings) != 1 || s.Warnings[0].Rows != 2 || s.Warnings[0].FirstLine != 3 || s.Warnings[0].Field != "item_code" {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestDatasets_AnySplitGivesTheSameRows, across chunks and imports.
func TestDatasets_AnySplitGivesTheSameRows(t *testing.T) {
	d := ingest.DatasetByName("ride")
	var rows []map[string]string
	for i := range 300 {
		rows = append(rows, map[string]string{"record_id": "r" + strconv.Itoa(i%250), "person_id": "p" + strconv.Itoa(i%250%7),
			"alighted_at": "", "alighted_stop_id": "s" + strconv.Itoa(i%250%4)})
		if i%250%3 != 0 {
			rows[i]["alighted_at"] = "2026-10-03 09:30:00"
		}
	}
	whole := open(t, t.TempDir())
	opts := ingest.Options{Mapping: template(t, d, ingest.CSV)}
	if s, err := whole.Import(context.Background(), datasetFile(t, d, rows...), opts); err != nil || s.Accepted != 250 || s.Duplicate != 50 {
		t.Fatalf("got %+v, %v", s, err)
	}
	parts := open(t, t.TempDir())
	ingest.SetChunkRows(parts, 17)
	for from := 0; from < len(rows); from += 90 {
		if _, err := parts.Import(context.Background(), datasetFile(t, d, rows[from:min(from+130, len(rows))]...), opts); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(rowsOf(t, whole))), slices.Sorted(slices.Values(rowsOf(t, parts)))); diff != "" {
		t.Error(diff)
	}
}

// TestImport_RowsThatAreStillToComeWait, and tell by how much the source's
// clock is ahead.
func TestImport_RowsThatAreStillToComeWait(t *testing.T) {
	d := ingest.DatasetByName("ride")
	im := open(t, t.TempDir())
	now := time.Date(2026, 10, 3, 0, 0, 0, 0, time.UTC) // 9:00 in Japan
	ingest.SetNow(im, func() time.Time { return now })
	path := datasetFile(t, d, map[string]string{"record_id": "a", "boarded_at": "2026-10-03 09:10:00"},
		map[string]string{"record_id": "b", "boarded_at": "2026-10-03 09:10:01"})
	s, err := im.Import(context.Background(), path, ingest.Options{Mapping: template(t, d, ingest.CSV)})
	if err != nil || s.Accepted != 1 || s.Quarantined != 1 || s.Ahead != 10*time.Minute+time.Second {
		t.Fatalf("got %+v, %v", s, err)
	}
	if row := quarantined(t, s)[0]; row[2] != "boarded_at" || !strings.Contains(row[3], "future") || !strings.Contains(row[4], "clock") {
		t.Errorf("got %q", row)
	}
	now = now.Add(time.Second)
	record := payment("late")
	record.OccurredAt = now.Add(time.Hour)
	if s, err = im.Add(context.Background(), "api", []ingest.Record{record}); err != nil || s.Quarantined != 1 || s.Ahead != time.Hour {
		t.Errorf("got %+v, %v", s, err)
	}
	imports, err := ingest.RegisterOf(im).Imports(context.Background(), 1)
	if err != nil || len(imports) != 1 || imports[0].Summary.Ahead != time.Hour {
		t.Errorf("got %+v, %v", imports, err)
	}
}

// TestImport_RefusesWhatIsNoFileOfTheFormat for the formats beside CSV.
func TestImport_RefusesWhatIsNoFileOfTheFormat(t *testing.T) {
	d := ingest.DatasetByName("survey")
	good, err := os.ReadFile(sample(t, d, ingest.Parquet))
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(good)
	for i := 8; i < 200; i++ {
		damaged[i] ^= 0x5a
	}
	line, err := os.ReadFile(sample(t, d, ingest.JSONL))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(line), "\n")
	for name, c := range map[string]struct {
		format     ingest.Format
		text, says string
		want       error
	}{
		"empty JSON Lines":            {ingest.JSONL, "", "empty", ingest.ErrEmptyFile},
		"a member nobody decided on":  {ingest.JSONL, `{"phone":"0312345678"}` + "\n", "column phone", ingest.ErrUnknownColumn},
		"a list of objects":           {ingest.JSONL, "[" + first + "]\n", "", nil},
		"empty Parquet":               {ingest.Parquet, "", "empty", ingest.ErrEmptyFile},
		"CSV for Parquet":             {ingest.Parquet, "a,b\n", "no Parquet file", ingest.ErrNotText},
		"Parquet for CSV":             {ingest.CSV, string(good), "format: parquet", ingest.ErrNotText},
		"Parquet cut short":           {ingest.Parquet, string(good[:len(good)/2]), "damaged", ingest.ErrDamagedParquet},
		"Parquet that is only a mark": {ingest.Parquet, "PAR1", "damaged", ingest.ErrDamagedParquet},
		"Parquet damaged inside":      {ingest.Parquet, string(damaged), "damaged", ingest.ErrDamagedParquet},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "t."+string(c.format), func(w io.Writer) error { _, err := io.WriteString(w, c.text); return err })
			s, err := open(t, t.TempDir()).Import(context.Background(), path, ingest.Options{Mapping: template(t, d, c.format)})
			if c.want == nil {
				if err != nil || s.Quarantined != 1 {
					t.Errorf("got %+v, %v", s, err)
				}
				return
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "t."+string(c.format)) ||
				strings.Contains(err.Error(), "0312345678") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestParquet_BindsTypesStrictly: no float becomes money, and no text a time.
func TestParquet_BindsTypesStrictly(t *testing.T) {
	d := ingest.DatasetByName("survey")
	for name, c := range map[string]struct {
		field string
		to    arrow.DataType
		value string
		ok    bool
	}{
		"float for a number":   {"answer_number", arrow.PrimitiveTypes.Float64, "1.5", false},
		"text for a number":    {"answer_number", arrow.BinaryTypes.String, "1.5", false},
		"integer for a number": {"answer_number", arrow.PrimitiveTypes.Int16, "15", true},
		"text for a time":      {"answered_at", arrow.BinaryTypes.String, "2026-09-20 14:00:00", false},
		"date for a time":      {"answered_at", arrow.FixedWidthTypes.Date32, "2026-09-20", false},
		"float for an ID":      {"person_id", arrow.PrimitiveTypes.Float64, "17", false},
		"integer for an ID":    {"person_id", arrow.PrimitiveTypes.Int64, "17", true},
		"local time":           {"answered_at", &arrow.TimestampType{Unit: arrow.Nanosecond}, "2026-09-20 14:00:00", true},
	} {
		t.Run(name, func(t *testing.T) {
			var fields []arrow.Field
			values := map[string]string{"record_id": "a", "person_id": "K-1", "survey_id": "s", "wave": "before", "question_id": "q", "answer_code": "x", c.field: c.value}
			for _, f := range d.Fields {
				kind := parquetType(f)
				if f.Name == c.field {
					kind = c.to
				}
				fields = append(fields, arrow.Field{Name: f.Name, Type: kind, Nullable: true})
			}
			b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
			defer b.Release()
			for i, f := range fields {
				if ts, ok := b.Field(i).(*array.TimestampBuilder); ok {
					unit := f.Type.(*arrow.TimestampType).Unit
					at, err := arrow.TimestampFromTime(time.Date(2026, 9, 20, 14, 0, 0, 0, time.UTC), unit)
					if err != nil {
						t.Fatal(err)
					}
					ts.Append(at)
				} else if v := values[f.Name]; v == "" {
					b.Field(i).AppendNull()
				} else if err := b.Field(i).AppendValueFromString(v); err != nil {
					t.Fatal(err)
				}
			}
			batch := b.NewRecordBatch()
			defer batch.Release()
			im := open(t, t.TempDir())
			s, err := im.Import(context.Background(), writeParquet(t, "t.parquet", batch), ingest.Options{Mapping: template(t, d, ingest.Parquet)})
			if !c.ok {
				if !errors.Is(err, ingest.ErrColumnType) || !strings.Contains(err.Error(), c.field) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || s.Accepted != 1 {
				t.Fatalf("got %+v, %v", s, err)
			}
			if c.field == "answered_at" && !strings.Contains(rowsOf(t, im)[0], "answered_at=2026-09-20T05:00:00") &&
				!strings.Contains(rowsOf(t, im)[0], "answered_at=2026-09-20 05:00:00") {
				t.Errorf("the time of the mapping's zone: %s", rowsOf(t, im)[0])
			}
		})
	}
}

// TestParquet_ReadsGroupsAndRowGroups: nested columns by their paths, several
// row groups, and columns that are ignored are not read.
func TestParquet_ReadsGroupsAndRowGroups(t *testing.T) {
	person := arrow.StructOf(arrow.Field{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "phone", Type: arrow.BinaryTypes.String, Nullable: true})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "person", Type: person, Nullable: true},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
	}, nil)
	var batches []arrow.RecordBatch
	for group := range 3 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range 5000 {
			b.Field(0).(*array.Int64Builder).Append(int64(group*5000 + i))
			s := b.Field(1).(*array.StructBuilder)
			if i%2 == 0 {
				s.Append(true)
				s.FieldBuilder(0).(*array.StringBuilder).Append("p" + strconv.Itoa(i))
				s.FieldBuilder(1).(*array.StringBuilder).Append("SECRET")
			} else {
				s.AppendNull()
			}
			l := b.Field(2).(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.StringBuilder).Append("x")
			b.Field(3).(*array.TimestampBuilder).Append(arrow.Timestamp(1_790_000_000_000_000))
		}
		batches = append(batches, b.NewRecordBatch())
		b.Release()
	}
	m, err := ingest.ParseMapping("m.yaml", []byte(`
record: event
source: app
format: parquet
timezone: Asia/Tokyo
columns:
  record_id: {from: n}
  person_id: {from: person.id}
  device_id: {const: d}
  event: {const: open}
  happened_at: {from: at}
ignore: [person.phone, tags]
`))
	if err != nil {
		t.Fatal(err)
	}
	im := open(t, t.TempDir())
	s, err := im.Import(context.Background(), writeParquet(t, "t.parquet", batches...), ingest.Options{Mapping: m})
	if err != nil || s.Accepted != 15_000 {
		t.Fatalf("got %+v, %v", s, err)
	}
	rows := rowsOf(t, im)
	if !strings.Contains(rows[1], "record_id=1 ") || !strings.Contains(rows[1], "person_id=(null)") || !strings.Contains(rows[2], "person_id=p2 ") {
		t.Errorf("got %s\n%s", rows[1], rows[2])
	}
}
