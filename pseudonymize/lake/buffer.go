package lake

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// buffer gathers the rows of a partition until they are sorted and written as
// a row group. It copies what it is given.
type buffer struct {
	schema  *arrow.Schema
	columns []column
	n       int
	text    int // the column of Table.Sort that rows lie by first, or -1
	time    int // the next one, or -1
}

// column is a column of a buffer.
type column interface {
	// append copies rows of an array, or all of it.
	append(a arrow.Array, rows []int32)
	// take gives the rows out in an order.
	take(order []int32) arrow.Array
	// reset empties the column and keeps its memory.
	reset()
}

// reset empties the buffer for the next rows.
func (b *buffer) reset() {
	b.n = 0
	for _, c := range b.columns {
		c.reset()
	}
}

func newBuffer(schema *arrow.Schema, t Table) (*buffer, error) {
	b := &buffer{schema: schema, text: -1, time: -1}
	for i, f := range schema.Fields() {
		var c column
		switch typ := f.Type.(type) {
		case *arrow.StringType, *arrow.DictionaryType:
			c = &textColumn{typ: f.Type}
		case *arrow.BooleanType:
			c = &flagColumn{}
		case arrow.FixedWidthDataType:
			c = &fixedColumn{typ: f.Type, width: typ.BitWidth() / 8}
		default:
			return nil, fmt.Errorf("column %s: a lake has no columns of %s", f.Name, f.Type)
		}
		b.columns = append(b.columns, c)
		if slices.Contains(t.Sort, f.Name) {
			if _, ok := c.(*textColumn); ok && b.text < 0 {
				b.text = i
			} else if _, ok := c.(*fixedColumn); ok {
				b.time = i
			}
		}
	}
	return b, nil
}

// add copies rows of a batch; nil means all.
func (b *buffer) add(batch arrow.RecordBatch, rows []int32) {
	for i, c := range b.columns {
		c.append(batch.Column(i), rows)
	}
	if rows == nil {
		b.n += int(batch.NumRows())
	} else {
		b.n += len(rows)
	}
}

// sorted calls fn with each column of the rows by place and time, those that
// are equal as they came. What it gives out shares no memory with the buffer.
func (b *buffer) sorted(fn func(arrow.Array) error) error {
	order := b.order()
	for _, c := range b.columns {
		column := c.take(order)
		err := fn(column)
		column.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// order packs place and time of each row into one number, 24 bits of place and
// 20 of time, and sorts the rows by it.
func (b *buffer) order() []int32 {
	keys := make([]uint64, b.n)
	if b.text >= 0 {
		c := b.columns[b.text].(*textColumn)
		ranks := c.ranks()
		for i, code := range c.codes {
			if code >= 0 {
				keys[i] = uint64(ranks[code]+1) << timeBits
			}
		}
	}
	if b.time >= 0 {
		c := b.columns[b.time].(*fixedColumn)
		low, high := int64(0), int64(0)
		for i := range b.n {
			v := c.number(i)
			if i == 0 || v < low {
				low = v
			}
			if i == 0 || v > high {
				high = v
			}
		}
		shift := max(0, bits.Len64(uint64(high-low))-timeBits) // four seconds, in a month
		for i := range b.n {
			keys[i] |= uint64(c.number(i)-low) >> shift
		}
	}
	return sortRows(keys)
}

const timeBits = 20

// sortRows returns the rows by key, those of one key as they came. It deals
// them out by eleven bits of the key after the other, the last ones first.
func sortRows(keys []uint64) []int32 {
	order, next := make([]int32, len(keys)), make([]int32, len(keys))
	all := uint64(0) // the bits in which keys differ, at most
	for i, k := range keys {
		order[i] = int32(i)
		all |= k
	}
	for shift := 0; all>>shift != 0; shift += 11 {
		var places [1 << 11]int32
		for _, k := range keys {
			places[k>>shift&(1<<11-1)]++
		}
		sum := int32(0)
		for i, n := range places {
			places[i] = sum
			sum += n
		}
		for _, row := range order {
			at := &places[keys[row]>>shift&(1<<11-1)]
			next[*at] = row
			*at++
		}
		order, next = next, order
	}
	return order
}
