package lake_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"pgregory.net/rapid"

	"meguri/pseudonymize/lake"
)

// IC-9: the rows that stay are what they were, in their order, wherever the
// batches lie in memory; words that only rows that go had are nowhere.
func TestWithout_Property(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "word", Type: code, Nullable: true}, {Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "number", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "token", Type: token, Nullable: true},
		{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "day", Type: arrow.FixedWidthTypes.Date32},
	}, nil)
	rapid.Check(t, func(rt *rapid.T) {
		var parts []arrow.RecordBatch
		var goes [][]bool
		var want []string
		stay := map[string]bool{}
		n := 0
		for range rapid.IntRange(1, 3).Draw(rt, "batches") {
			b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			rows := rapid.IntRange(0, 30).Draw(rt, "rows")
			for range rows {
				n++
				for i := range schema.NumFields() {
					if schema.Field(i).Nullable && rapid.IntRange(0, 4).Draw(rt, "null") == 0 {
						b.Field(i).AppendNull()
						continue
					}
					value := map[string]string{"word": fmt.Sprint("語", n%7), "text": fmt.Sprint("text ", n), "number": fmt.Sprint(n),
						"flag": fmt.Sprint(n%3 == 0), "day": arrow.Date32(n).FormattedString()}[schema.Field(i).Name]
					if f, ok := b.Field(i).(*array.FixedSizeBinaryBuilder); ok {
						f.Append(fmt.Appendf(nil, "token %010d", n))
					} else if err := b.Field(i).AppendValueFromString(value); err != nil {
						rt.Fatal(err)
					}
				}
			}
			whole := b.NewRecordBatch()
			from := rapid.IntRange(0, rows).Draw(rt, "from")
			part := whole.NewSlice(int64(from), int64(rapid.IntRange(from, rows).Draw(rt, "to")))
			gone := rapid.SliceOfN(rapid.Bool(), int(part.NumRows()), int(part.NumRows())).Draw(rt, "goes")
			for row, g := range gone {
				if !g {
					want = append(want, line(part, row))
					stay[part.Column(0).ValueStr(row)] = true
				}
			}
			parts, goes = append(parts, part), append(goes, gone)
		}
		rest, err := lake.Without(schema, parts, goes)
		if err != nil {
			rt.Fatal(err)
		}
		var got []string
		for row := range int(rest.NumRows()) {
			got = append(got, line(rest, row))
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
		words := rest.Column(0).(*array.Dictionary).Dictionary()
		for i := range words.Len() {
			if !stay[words.ValueStr(i)] {
				rt.Fatalf("the word %s is there, and no row has it", words.ValueStr(i))
			}
		}
	})
}

func line(b arrow.RecordBatch, row int) string {
	var values []string
	for _, c := range b.Columns() {
		values = append(values, c.ValueStr(row))
	}
	return fmt.Sprint(values)
}

// IC-9: a large row group without the rows that go stays a group, in its order;
// small ones are gathered. Nothing else changes.
func TestRewrite_KeepsTheOrderOfLargeGroups(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "shop_id", Type: code}, {Name: "person_token", Type: token, Nullable: true}, {Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64},
		{Name: "occurred_local", Type: clock}, {Name: lake.DayColumn, Type: arrow.FixedWidthTypes.Date32},
	}, nil)
	const rows = 200_000 // a large group and a small one
	l := lake.Open(t.TempDir())
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	var want int64
	for i := range rows {
		at := time.Date(2026, 4, 1, 0, 0, i, 0, time.UTC)
		if err := b.Field(0).AppendValueFromString(fmt.Sprint("店", i*7919%50)); err != nil {
			t.Fatal(err)
		}
		b.Field(1).(*array.FixedSizeBinaryBuilder).Append(fmt.Appendf(nil, "person %09d", i%1000))
		b.Field(2).(*array.Int64Builder).Append(int64(i))
		b.Field(3).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
		b.Field(4).(*array.Date32Builder).Append(arrow.Date32FromTime(at))
		if i%1000%9 != 0 {
			want += int64(i)
		}
	}
	w := begin(t, l)
	table, err := w.Table("payments", schema)
	if err == nil {
		err = table.Write(b.NewRecordBatch())
	}
	if err != nil {
		t.Fatal(err)
	}
	m := commit(t, w, 1)
	w = begin(t, l)
	dropped, err := w.Rewrite(t.Context(), "payments", schema, m.Files, func(f lake.File) ([]int64, error) {
		return l.Places(t.Context(), f, []string{"person_token"}, func(b arrow.RecordBatch) ([]bool, error) {
			gone, persons := make([]bool, b.NumRows()), b.Column(0).(*array.FixedSizeBinary)
			for i := range gone {
				var n int
				if _, err := fmt.Sscanf(string(persons.Value(i)), "person %d", &n); err != nil {
					return nil, err
				}
				gone[i] = n%9 == 0
			}
			return gone, nil
		})
	})
	if err != nil || dropped != rows/1000*112 {
		t.Fatalf("%d rows dropped, %v", dropped, err)
	}
	m = commit(t, w, 2)
	if err := l.Verify(m, nil); err != nil {
		t.Fatal(err)
	}
	var sum, groups, got int64
	for _, f := range m.Table("payments") {
		got += f.Rows
		err := l.Read(t.Context(), f, nil, func(b arrow.RecordBatch) error {
			groups++
			shops, times := b.Column(0), b.Column(3).(*array.Timestamp)
			for i := range int(b.NumRows()) {
				sum += b.Column(2).(*array.Int64).Value(i)
				if i > 0 && cmp.Or(strings.Compare(shops.ValueStr(i-1), shops.ValueStr(i)), cmp.Compare(times.Value(i-1), times.Value(i))) > 0 {
					return fmt.Errorf("row %d of group %d is out of order", i, groups)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if sum != want || got != rows-dropped || groups != 2 {
		t.Errorf("%d rows in %d groups add up to %d, want %d", got, groups, sum, want)
	}
}

// Pseudonyms that no two rows share lie as they are: compression makes nothing of
// them. Those of persons, who come back, are compressed like all else.
func TestWrite_CompressesWhatRepeats(t *testing.T) {
	l := lake.Open(t.TempDir())
	w := begin(t, l)
	schema := columnsOf("payments", false)
	batch, _ := rowsOf(t, rand.New(rand.NewPCG(3, 3)), schema, 50, nil)
	table, err := w.Table("payments", schema)
	if err == nil {
		err = table.Write(batch)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range l.Paths(commit(t, w, 1), "payments") {
		r, err := file.OpenParquetFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.MetaData().Schema.NumColumns() {
			name := r.MetaData().Schema.Column(i).Name()
			chunk, err := r.MetaData().RowGroup(0).ColumnChunk(i)
			if err != nil {
				t.Fatal(err)
			}
			if bare := chunk.Compression() == compress.Codecs.Uncompressed; bare != (name == "event_token" || name == "payment_token") {
				t.Errorf("column %s is compressed as %v", name, chunk.Compression())
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
