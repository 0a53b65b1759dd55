package pages_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"

	"meguri/pseudonymize/lake/pages"
)

// columns are of every kind that the lake has, with and without nothing in them.
var columns = []arrow.Field{
	{Name: "word", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, Nullable: true},
	{Name: "place", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}},
	{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "amount", Type: arrow.PrimitiveTypes.Int64},
	{Name: "count", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "share", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "token", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}, Nullable: true},
	{Name: "never", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}, Nullable: true},
	{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "active", Type: arrow.FixedWidthTypes.Boolean},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32},
	{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
}

// rows makes n rows, in which values lie in runs of a length, and of a column of
// words come of so many.
func rows(t testing.TB, schema *arrow.Schema, n, run, words, nulls int) arrow.RecordBatch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range n {
		v := i / run * 7919 % words
		for c, f := range schema.Fields() {
			if f.Name == "never" || f.Nullable && nulls > 0 && (i*31+c)%nulls == 0 {
				b.Field(c).AppendNull()
				continue
			}
			switch to := b.Field(c).(type) {
			case *array.FixedSizeBinaryBuilder:
				to.Append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(v)*0x9e3779b97f4a7c15), uint64(i)))
			case *array.Int64Builder:
				to.Append(int64(v) - int64(words)/2)
			case *array.Int32Builder:
				to.Append(int32(v) - 3)
			case *array.Float64Builder:
				to.Append(float64(v) / 7)
			case *array.BooleanBuilder:
				to.Append(v%3 == 0)
			case *array.Date32Builder:
				to.Append(arrow.Date32(v))
			case *array.TimestampBuilder:
				to.Append(arrow.Timestamp(v) * 60e6)
			default:
				if err := to.AppendValueFromString(fmt.Sprint("語", v)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return b.NewRecordBatch()
}

// written is a Parquet file with row groups of so many rows.
func written(t testing.TB, batch arrow.RecordBatch, group int64, options ...parquet.WriterProperty) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(batch.Schema(), &out, props(append([]parquet.WriterProperty{parquet.WithMaxRowGroupLength(group)}, options...)...),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func props(options ...parquet.WriterProperty) *parquet.WriterProperties {
	return parquet.NewWriterProperties(append([]parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryFor("token", false), parquet.WithStatsFor("token", false), parquet.WithCompressionFor("token", compress.Codecs.Uncompressed)}, options...)...)
}

func opened(t testing.TB, data []byte) *file.Reader {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines are the rows of a file as texts.
func lines(t testing.TB, data []byte) (all []string) {
	t.Helper()
	pq, err := pqarrow.NewFileReader(opened(t, data), pqarrow.ArrowReadProperties{BatchSize: 1000}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pq.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	for rows.Next() {
		for i := range int(rows.RecordBatch().NumRows()) {
			line := ""
			for _, c := range rows.RecordBatch().Columns() {
				line += "|" + c.ValueStr(i)
			}
			all = append(all, line)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// rewritten is a file without the rows at places, counted over all row groups.
func rewritten(t testing.TB, data []byte, places []int64) []byte {
	t.Helper()
	var out bytes.Buffer
	r := opened(t, data)
	w, err := pages.NewWriter(&out, r, props())
	if err != nil {
		t.Fatal(err)
	}
	first := int64(0)
	for group := range r.NumRowGroups() {
		var here []int64
		for ; len(places) > 0 && places[0] < first+r.RowGroup(group).NumRows(); places = places[1:] {
			here = append(here, places[0]-first)
		}
		first += r.RowGroup(group).NumRows()
		g, err := pages.Take(r, bytes.NewReader(data), group, here, props())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(g); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// IC-9: the rows that stay are what they were, in their order; a footer and a
// dictionary tell of them alone.
func TestTake_Property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(columns), 1, len(columns), func(f arrow.Field) string { return f.Name }).Draw(rt, "columns")
		n := rapid.IntRange(1, 3000).Draw(rt, "rows")
		batch := rows(t, arrow.NewSchema(some, nil), n, rapid.SampledFrom([]int{1, 2, 7, 9, 40, 1000}).Draw(rt, "run"),
			rapid.SampledFrom([]int{1, 2, 3, 17, 300, 5000}).Draw(rt, "words"), rapid.SampledFrom([]int{0, 1, 2, 11}).Draw(rt, "nulls"))
		options := []parquet.WriterProperty{parquet.WithDataPageSize(int64(rapid.SampledFrom([]int{64, 999, 1 << 20}).Draw(rt, "page"))),
			parquet.WithDictionaryPageSizeLimit(int64(rapid.SampledFrom([]int{100, 1 << 20}).Draw(rt, "dictionary"))), parquet.WithBatchSize(64)}
		if rapid.Bool().Draw(rt, "gzip") {
			options = append(options, parquet.WithCompression(compress.Codecs.Gzip))
		}
		if rapid.Bool().Draw(rt, "plain") {
			options = append(options, parquet.WithDictionaryDefault(false))
		}
		data := written(t, batch, int64(rapid.SampledFrom([]int{100, 777, 5000}).Draw(rt, "group")), options...)
		var places []int64
		var want []string
		every := rapid.SampledFrom([]int{1, 2, 10, 500, 100_000}).Draw(rt, "every")
		until := rapid.IntRange(0, n).Draw(rt, "until")
		for i, line := range lines(t, data) {
			if i < until && (i*2654435761>>7)%every == 0 {
				places = append(places, int64(i))
			} else {
				want = append(want, line)
			}
		}
		got := rewritten(t, data, places)
		if after := lines(t, got); !slices.Equal(after, want) {
			rt.Fatalf("%d rows, want %d: %v\nwant %v", len(after), len(want), after, want)
		}
		tellsOf(rt, got, lines(t, got))
	})
}

// IC-9: a writer may give every group the words of all its rows. A word of a row
// that goes is then to go from the groups too that have no such row.
func TestTake_LeavesNoWordOfAnotherGroup(t *testing.T) {
	batch := rows(t, arrow.NewSchema(columns[:2], nil), 200, 1, 300, 0)
	data := written(t, batch, 100)
	before := opened(t, data)
	if all, _ := words(t, before, 1, 0); len(all) != 200 {
		t.Fatalf("the second group has %d words, want those of both", len(all))
	}
	got := rewritten(t, data, []int64{0})
	tellsOf(t, got, lines(t, got))
}

// tellsOf holds a file's footer and dictionaries against a file of the same rows
// that the usual writer made.
func tellsOf(t rapid.TB, data []byte, lines []string) {
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if int(r.NumRows()) != len(lines) {
		t.Fatalf("the footer says %d rows of %d", r.NumRows(), len(lines))
	}
	pq, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	for group := range r.NumRowGroups() {
		rows, err := pq.GetRecordReader(context.Background(), nil, []int{group})
		if err != nil {
			t.Fatal(err)
		}
		rows.Next()
		batch := rows.RecordBatch()
		here := lines[:batch.NumRows()]
		lines = lines[batch.NumRows():]
		var again bytes.Buffer
		w, err := pqarrow.NewFileWriter(batch.Schema(), &again, props(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
		if err == nil {
			err = errors.Join(w.Write(batch), w.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		other, err := file.NewParquetReader(bytes.NewReader(again.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.MetaData().Schema.NumColumns() {
			name := r.MetaData().Schema.Column(i).Name()
			if is, want := statistics(t, r, group, i), statistics(t, other, 0, i); is != want && name != "share" {
				t.Fatalf("column %s says %s, want %s", name, is, want)
			}
			words, of := words(t, r, group, i)
			for _, w := range words {
				if of.Physical == parquet.Types.ByteArray && !slices.ContainsFunc(here, func(l string) bool { return strings.Contains(l+"|", "|"+string(w)+"|") }) {
					t.Fatalf("column %s of group %d has the word %q, and no row has it", name, group, w)
				}
			}
		}
		rows.Release()
	}
}

func statistics(t rapid.TB, r *file.Reader, group, i int) string {
	chunk, err := r.MetaData().RowGroup(group).ColumnChunk(i)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := chunk.Statistics()
	if err != nil {
		t.Fatal(err)
	}
	if stats == nil {
		return "nothing"
	}
	e, err := stats.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d rows, %d without, from %x (%t) to %x (%t)", chunk.NumValues(), e.NullCount, e.Min, e.HasMin, e.Max, e.HasMax)
}

type of struct{ Physical parquet.Type }

func words(t rapid.TB, r *file.Reader, group, i int) (all [][]byte, _ of) {
	pages, err := r.RowGroup(group).GetColumnPageReader(i)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pages.Close() }() // it was only read
	physical := of{r.MetaData().Schema.Column(i).PhysicalType()}
	for pages.Next() {
		p, ok := pages.Page().(*file.DictionaryPage)
		if !ok || physical.Physical != parquet.Types.ByteArray {
			continue
		}
		data := p.Data()
		for range p.NumValues() {
			n := binary.LittleEndian.Uint32(data)
			all = append(all, slices.Clone(data[4:4+n]))
			data = data[4+n:]
		}
	}
	return all, physical
}

// IC-9: a value is found where it stands, and nowhere else.
func TestFind_Property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		schema := arrow.NewSchema([]arrow.Field{columns[6], columns[3]}, nil)
		batch := rows(t, schema, rapid.IntRange(1, 2000).Draw(rt, "rows"), 3, rapid.IntRange(1, 90).Draw(rt, "words"), rapid.IntRange(0, 5).Draw(rt, "nulls"))
		r := opened(t, written(t, batch, 300, parquet.WithDataPageSize(200), parquet.WithBatchSize(50)))
		first := byte(rapid.IntRange(0, 255).Draw(rt, "first"))
		is := func(v []byte) bool { return v[0] == first }
		var got, want []int64
		for group, before := 0, int64(0); group < r.NumRowGroups(); group++ {
			here, err := pages.Find(r, group, 0, is)
			if err != nil {
				rt.Fatal(err)
			}
			for _, p := range here {
				got = append(got, before+p)
			}
			before += r.RowGroup(group).NumRows()
		}
		tokens := batch.Column(0).(*array.FixedSizeBinary)
		for i := range tokens.Len() {
			if tokens.IsValid(i) && is(tokens.Value(i)) {
				want = append(want, int64(i))
			}
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("found at %v, want %v", got, want)
		}
	})
}

// What another writer may have made is not guessed at.
func TestTake_RefusesWhatTheLakeHasNot(t *testing.T) {
	flat := arrow.NewSchema([]arrow.Field{{Name: "amount", Type: arrow.PrimitiveTypes.Int64}}, nil)
	nested := arrow.NewSchema([]arrow.Field{{Name: "all", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)}}, nil)
	list := array.NewRecordBuilder(memory.DefaultAllocator, nested)
	defer list.Release()
	list.Field(0).(*array.ListBuilder).Append(true)
	for name, data := range map[string][]byte{
		"pages of version 2": written(t, rows(t, flat, 10, 1, 5, 0), 10, parquet.WithDataPageVersion(parquet.DataPageV2)),
		"differences": written(t, rows(t, flat, 10, 1, 5, 0), 10, parquet.WithDictionaryDefault(false),
			parquet.WithEncoding(parquet.Encodings.DeltaBinaryPacked)),
		"a list": written(t, list.NewRecordBatch(), 10),
	} {
		if _, err := pages.Take(opened(t, data), bytes.NewReader(data), 0, []int64{0}, props()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	data := written(t, rows(t, flat, 10, 1, 5, 0), 10)
	for _, places := range [][]int64{{10}, {-1}, {3, 3}, {4, 2}} {
		if _, err := pages.Take(opened(t, data), bytes.NewReader(data), 0, places, props()); err == nil {
			t.Errorf("places %v were taken", places)
		}
	}
}

// A file that ends early, or is not what its footer says, is an error.
func TestTake_SaysWhatIsBroken(t *testing.T) {
	data := written(t, rows(t, arrow.NewSchema(columns, nil), 2000, 3, 50, 7), 2000)
	r := opened(t, data)
	meta := r.MetaData()
	for _, offset := range pageOffsets(meta) {
		for _, bit := range []byte{1, 128} {
			broken := slices.Clone(data)
			for i := range 12 {
				broken[offset+int64(i)] ^= bit
			}
			g, err := pages.Take(opened(t, broken), bytes.NewReader(broken), 0, []int64{1}, props())
			if err == nil && g.Rows() != 1999 {
				t.Errorf("at %d: %d rows", offset, g.Rows())
			}
		}
	}
}

func pageOffsets(meta *metadata.FileMetaData) (all []int64) {
	for _, c := range meta.RowGroups[0].Columns {
		all = append(all, c.MetaData.DataPageOffset)
	}
	return all
}

// BenchmarkTake is what an erasure costs for each row that stays.
func BenchmarkTake(b *testing.B) {
	const n = 128 << 10
	data := written(b, rows(b, arrow.NewSchema(columns, nil), n, 40, 3000, 0), n)
	r := opened(b, data)
	var places []int64
	for i := int64(0); i < n; i += 200 {
		places = append(places, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pages.Take(r, nil, 0, places, props()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}
