package ingest

import (
	"encoding/binary"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zeebo/xxh3"
)

// columns are the rows of a dataset in a chunk, column by column. Payments have
// columns of their own, with names, for speed.
type columns struct {
	dataset *Dataset
	source  labels
	fields  []column
}

// column is a field's: one of the three is used.
type column struct {
	few     labels
	many    texts
	numbers []int64
	set     []bool // of numbers and of labels that may be null
}

func newColumns(d *Dataset) *columns {
	return &columns{dataset: d, fields: make([]column, len(d.Fields))}
}

// addRow appends a checked row of a line.
func (c *chunk) addRow(r *row, line int64) {
	c.n++
	c.entries = append(c.entries, Entry{Key: c.hash.rowKey(r), Content: c.hash.rowContent(r)})
	c.lines = append(c.lines, line)
	c.set.source.add(r.source)
	for i := range c.set.fields {
		f, col, v := &r.dataset.Fields[i], &c.set.fields[i], &r.values[i]
		switch {
		case f.few():
			col.few.add(v.text)
			col.set = append(col.set, v.set)
		case f.textual():
			col.many.add(v.text)
		default:
			col.numbers = append(col.numbers, v.number)
			col.set = append(col.set, v.set)
		}
		c.size += len(v.text) + 8
	}
}

// rowKey hashes dataset, source, ID and version. A payment's key has one NUL
// in it and this three, so that the two never meet.
func (h *hasher) rowKey(r *row) Key {
	b := append(append(h.buf[:0], r.dataset.Name...), 0)
	b = append(append(b, r.source...), 0)
	b = append(append(b, r.values[recordIDAt].text...), 0)
	h.buf = binary.LittleEndian.AppendUint64(b, uint64(r.values[versionAt].number))
	sum := xxh3.Hash128(h.buf)
	return Key{Hi: sum.Hi, Lo: sum.Lo}
}

// noKind is the code of what is no payment: no cancellation can mean it.
const noKind = 7

// rowContent hashes every field behind ID and version.
func (h *hasher) rowContent(r *row) uint64 {
	b := h.buf[:0]
	for i := versionAt + 1; i < len(r.values); i++ {
		v := &r.values[i]
		b = append(append(b, v.text...), 0)
		if !r.dataset.Fields[i].textual() {
			set := byte(0)
			if v.set {
				set = 1
			}
			b = binary.LittleEndian.AppendUint64(append(b, set), uint64(v.number))
		}
	}
	h.buf = b
	return xxh3.Hash(b) | noKind
}

func (c *columns) reset() {
	c.source.reset()
	for i := range c.fields {
		col := &c.fields[i]
		col.few.reset()
		col.many.reset()
		col.numbers, col.set = col.numbers[:0], col.set[:0]
	}
}

func (c *columns) only(keep []int32) *columns {
	p := &columns{dataset: c.dataset, source: c.source.pick(keep), fields: make([]column, len(c.fields))}
	for i := range c.fields {
		from, to := &c.fields[i], &p.fields[i]
		switch f := &c.dataset.Fields[i]; {
		case f.few():
			to.few, to.set = from.few.pick(keep), pick(from.set, keep)
		case f.textual():
			to.many = from.many.pick(keep)
		default:
			to.numbers, to.set = pick(from.numbers, keep), pick(from.set, keep)
		}
	}
	return p
}

func (c *columns) batch(n int) arrow.RecordBatch {
	list := []arrow.Array{c.source.array()}
	for i := range c.fields {
		list = append(list, c.fields[i].array(c.dataset.schema.Field(i+1), &c.dataset.Fields[i]))
	}
	batch := array.NewRecordBatch(c.dataset.schema, list, int64(n))
	for _, a := range list {
		a.Release() // the batch holds its own reference
	}
	return batch
}

func (c *column) array(a arrow.Field, f *Field) arrow.Array {
	switch {
	case f.few():
		if a.Nullable {
			return c.few.nullable(c.set)
		}
		return c.few.array()
	case f.textual():
		return c.many.array(a.Nullable)
	}
	switch f.Type {
	case DayField:
		b := array.NewDate32Builder(memory.DefaultAllocator)
		return build(b, c, func(n int64) { b.Append(arrow.Date32(n)) })
	case FlagField:
		b := array.NewBooleanBuilder(memory.DefaultAllocator)
		return build(b, c, func(n int64) { b.Append(n != 0) })
	case InstantField:
		b := array.NewTimestampBuilder(memory.DefaultAllocator, a.Type.(*arrow.TimestampType))
		return build(b, c, func(n int64) { b.Append(arrow.Timestamp(n)) })
	}
	b := array.NewInt64Builder(memory.DefaultAllocator)
	return build(b, c, b.Append)
}

func build(b array.Builder, c *column, appendTo func(int64)) arrow.Array {
	defer b.Release()
	b.Reserve(len(c.numbers))
	for i, n := range c.numbers {
		if c.set[i] {
			appendTo(n)
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray()
}

// span returns the sum of yen and the first and last instant.
func (c *columns) span() (sum int64, first, last time.Time) {
	if at, ok := c.dataset.place[c.dataset.Yen]; ok {
		for _, n := range c.fields[at].numbers {
			sum += n
		}
	}
	times := c.fields[c.dataset.place[c.dataset.When]].numbers
	low, high := times[0], times[0]
	for _, at := range times {
		low, high = min(low, at), max(high, at)
	}
	return sum, time.UnixMicro(low).UTC(), time.UnixMicro(high).UTC()
}
