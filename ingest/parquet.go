package ingest

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

var parquetMagic = []byte("PAR1")

// parquetBatchRows is how many rows are decoded at a time.
const parquetBatchRows = 4096

// parquetReader reads the rows of a Parquet file, batch by batch. Columns that
// the mapping ignores are not read. Every value becomes the text that a mapping
// reads, so that all formats pass the same checks; a column whose type has no
// exact text is refused when it is bound.
type parquetReader struct {
	file     *os.File
	size     int64
	done     atomic.Int64
	records  pqarrow.RecordReader
	ignored  map[string]bool
	names    []string
	types    []arrow.DataType
	batch    arrow.RecordBatch
	cells    []cell // of the batch
	next     int    // row of the batch
	rows     int64
	line     int64
	most     int // bytes of a row
	fields   []string
	progress func(done, total, rows int64)
	reported time.Time
}

// cell is a column of a batch, with the groups around it.
type cell struct {
	column arrow.Array
	around []arrow.Array
}

func openParquet(path string, ignore []string, max int) (_ *parquetReader, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the reason above says more
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p := &parquetReader{file: f, size: info.Size(), most: max, ignored: map[string]bool{}}
	for _, name := range ignore {
		p.ignored[name] = true
	}
	if p.size == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrEmptyFile)
	}
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil || string(magic[:]) != string(parquetMagic) {
		return nil, fmt.Errorf("%s: %w: it is no Parquet file: correct format: in the mapping", path, ErrNotText)
	}
	if err := p.open(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// guarded turns what a damaged file makes the decoder do into an error.
func guarded(work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("it cannot be decoded")
		}
		if err != nil && err != io.EOF && !errors.Is(err, ErrNotText) {
			err = fmt.Errorf("%w: %w", ErrDamagedParquet, err)
		}
	}()
	return work()
}

func (p *parquetReader) open() error {
	return guarded(func() error {
		properties := parquet.NewReaderProperties(memory.DefaultAllocator)
		properties.BufferedStreamEnabled = true // a row group is never in memory as a whole
		r, err := file.NewParquetReader(struct {
			io.ReaderAt
			io.ReadSeeker
		}{&countingReaderAt{p.file, &p.done}, p.file}, file.WithReadProps(properties))
		if err != nil {
			return err
		}
		fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: parquetBatchRows}, memory.DefaultAllocator)
		if err != nil {
			return err
		}
		var leaves []int
		for i := range fr.Manifest.Fields {
			leaves = p.leaves(&fr.Manifest.Fields[i], "", leaves)
		}
		if len(leaves) == 0 {
			return fmt.Errorf("%w: it has no column that the mapping reads", ErrNotText)
		}
		slices.Sort(leaves)
		p.records, err = fr.GetRecordReader(context.Background(), leaves, nil)
		return err
	})
}

// leaves adds a field's columns to the names and types.
func (p *parquetReader) leaves(f *pqarrow.SchemaField, above string, list []int) []int {
	name := strings.TrimPrefix(above+"."+f.Field.Name, ".")
	if p.ignored[name] {
		return list
	}
	if f.Field.Type.ID() == arrow.STRUCT && len(f.Children) > 0 {
		for i := range f.Children {
			list = p.leaves(&f.Children[i], name, list)
		}
		return list
	}
	p.names = append(p.names, name)
	p.types = append(p.types, f.Field.Type)
	return allLeaves(f, list)
}

func allLeaves(f *pqarrow.SchemaField, list []int) []int {
	if f.IsLeaf() {
		return append(list, f.ColIndex)
	}
	for i := range f.Children {
		list = allLeaves(&f.Children[i], list)
	}
	return list
}

func (p *parquetReader) header() ([]string, error) { return p.names, nil }
func (p *parquetReader) at() int64                 { return p.line }
func (p *parquetReader) seen() int64               { return p.rows }
func (p *parquetReader) notARow()                  { p.rows-- }
func (p *parquetReader) mark() *position           { return nil }
func (p *parquetReader) resume(Checkpoint)         {}
func (p *parquetReader) bytes() int64              { return p.size }

func (p *parquetReader) Close() error {
	if p.batch != nil {
		p.batch.Release()
	}
	if p.records != nil {
		p.records.Release()
	}
	return p.file.Close()
}

func (p *parquetReader) row() (string, []string, fault, error) {
	for p.batch == nil || int64(p.next) == p.batch.NumRows() {
		if err := guarded(p.read); err != nil {
			return "", nil, fault{}, err
		}
	}
	p.fields = p.fields[:0]
	size := 0
	for _, c := range p.cells {
		v := c.text(p.next)
		size += len(v)
		p.fields = append(p.fields, v)
	}
	p.next++
	p.rows++
	p.line++
	if size > p.most {
		return cutMark, nil, fault{"", "the row is longer than the limit", "shorten its texts"}, nil
	}
	raw := asCSV(p.fields)
	for _, v := range p.fields {
		if f := checkText(v); f.bad() {
			return raw, nil, f, nil
		}
	}
	return raw, p.fields, fault{}, nil
}

// read takes the next batch, which also ends the one before.
func (p *parquetReader) read() error {
	p.report(false)
	if p.batch != nil {
		p.batch.Release()
		p.batch = nil
	}
	batch, err := p.records.Read()
	if err != nil {
		return err
	}
	batch.Retain()
	p.batch, p.next, p.cells = batch, 0, p.cells[:0]
	for i, f := range batch.Schema().Fields() {
		p.cells = flatten(p.cells, f.Type, batch.Column(i), nil)
	}
	if len(p.cells) != len(p.names) {
		return fmt.Errorf("it has %d columns and %d were expected", len(p.cells), len(p.names))
	}
	return nil
}

func flatten(list []cell, t arrow.DataType, column arrow.Array, around []arrow.Array) []cell {
	group, ok := column.(*array.Struct)
	if !ok {
		return append(list, cell{column, around})
	}
	around = append(slices.Clone(around), column)
	for i, f := range t.(*arrow.StructType).Fields() {
		list = flatten(list, f.Type, group.Field(i), around)
	}
	return list
}

// text returns a value as a mapping reads it; what is null is empty.
func (c cell) text(i int) string {
	for _, group := range c.around {
		if group.IsNull(i) {
			return ""
		}
	}
	if c.column.IsNull(i) {
		return ""
	}
	switch a := c.column.(type) {
	case *array.String:
		return a.Value(i)
	case *array.LargeString:
		return a.Value(i)
	case *array.Dictionary:
		return cell{column: a.Dictionary()}.text(a.GetValueIndex(i))
	case *array.Int64:
		return strconv.FormatInt(a.Value(i), 10)
	case *array.Boolean:
		return strconv.FormatBool(a.Value(i))
	case *array.Date32:
		return a.Value(i).ToTime().Format(time.DateOnly)
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		return a.Value(i).ToTime(t.Unit).UTC().Format(parquetLayout(t))
	case *array.Int8, *array.Int16, *array.Int32, *array.Uint8, *array.Uint16, *array.Uint32, *array.Uint64,
		*array.Decimal32, *array.Decimal64, *array.Decimal128, *array.Decimal256:
		return a.ValueStr(i)
	}
	return ""
}

// parquetLayouts are the layouts of times that come from typed columns: with a
// zone, and in the mapping's.
var parquetLayouts = []string{"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", time.DateOnly}

func parquetLayout(t *arrow.TimestampType) string {
	if t.TimeZone != "" {
		return parquetLayouts[0]
	}
	return parquetLayouts[1]
}

// suits tells whether a column's type can be bound to a field: exactly, or not
// at all. Where the mapping gives a layout, times are texts.
func suits(want FieldType, t arrow.DataType, layout bool) (ok bool, remedy string) {
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	text := t.ID() == arrow.STRING || t.ID() == arrow.LARGE_STRING
	number := arrow.IsInteger(t.ID()) || arrow.IsDecimal(t.ID())
	switch want {
	case IntegerField, YenField, QuantityField:
		return number, "write it as an integer or a decimal: a float is not exact"
	case InstantField:
		return layout && (text || t.ID() == arrow.DATE32) || !layout && t.ID() == arrow.TIMESTAMP,
			"write it as a timestamp, or as text with a layout:"
	case DayField:
		return layout && text || !layout && t.ID() == arrow.DATE32, "write it as a date, or as text with a layout:"
	case FlagField:
		return t.ID() == arrow.BOOL, "write it as a boolean, or map it with values:"
	}
	return text || arrow.IsInteger(t.ID()), "write it as text"
}

// exact tells whether a type has a text at all, for columns that are mapped
// value by value.
func exact(t arrow.DataType) bool {
	for _, want := range []FieldType{TextField, QuantityField, InstantField, DayField, FlagField} {
		if ok, _ := suits(want, t, false); ok {
			return true
		}
	}
	return false
}

// asCSV is how a row of typed columns stands in a quarantine file.
func asCSV(fields []string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // a Builder never fails
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// split reads a row that was set aside.
func (p *parquetReader) split(raw string) ([]string, fault) {
	fields, err := splitFields(raw, ',', p.fields[:0])
	if err != nil || len(fields) != len(p.names) {
		return nil, fault{"", "the row has not as many fields as the file has columns", "write it as it came, with a comma between fields"}
	}
	return fields, fault{}
}

func (p *parquetReader) report(final bool) {
	if p.progress == nil {
		return
	}
	if now := time.Now(); final || now.Sub(p.reported) > 200*time.Millisecond {
		p.reported = now
		p.progress(min(p.done.Load(), p.size), p.size, p.rows)
	}
}

type countingReaderAt struct {
	r io.ReaderAt
	n *atomic.Int64
}

func (c *countingReaderAt) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(b, at)
	c.n.Add(int64(n))
	return n, err
}
