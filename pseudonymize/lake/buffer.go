package lake

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// buffer gathers the rows of a partition until they are sorted and written as
// a row group. It copies what it is given, and hands its memory on when it
// gives the rows out.
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
}

func newBuffer(schema *arrow.Schema, t Table) (*buffer, error) {
	b := &buffer{schema: schema, text: -1, time: -1}
	for i, f := range schema.Fields() {
		var c column
		switch typ := f.Type.(type) {
		case *arrow.StringType, *arrow.DictionaryType:
			c = &textColumn{typ: f.Type, code: map[string]int32{}}
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

// sorted gives the rows out by place and time, those that are equal as they
// came, and leaves the buffer to be thrown away.
func (b *buffer) sorted() arrow.RecordBatch {
	order := b.order()
	columns := make([]arrow.Array, len(b.columns))
	for i, c := range b.columns {
		columns[i] = c.take(order)
		defer columns[i].Release() // the batch holds its own reference
	}
	return array.NewRecordBatch(b.schema, columns, int64(b.n))
}

// order packs place, time and number of each row into one number, so that the
// sort compares words alone: 24 bits of place, 20 of time, 20 of number.
func (b *buffer) order() []int32 {
	keys := make([]uint64, b.n)
	if b.text >= 0 {
		c := b.columns[b.text].(*textColumn)
		ranks := c.ranks()
		for i, code := range c.codes {
			if code >= 0 {
				keys[i] = uint64(ranks[code]+1) << 40
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
		shift := max(0, bits.Len64(uint64(high-low))-20) // four seconds, in a month
		for i := range b.n {
			keys[i] |= uint64(c.number(i)-low) >> shift << 20
		}
	}
	for i := range keys {
		keys[i] |= uint64(i)
	}
	slices.Sort(keys)
	order := make([]int32, len(keys))
	for i, k := range keys {
		order[i] = int32(k & (1<<20 - 1))
	}
	return order
}

// textColumn holds codes of its words; -1 is null.
type textColumn struct {
	typ   arrow.DataType
	code  map[string]int32
	words []string
	codes []int32
}

func (c *textColumn) intern(word string) int32 {
	code, ok := c.code[word]
	if !ok {
		word = string([]byte(word)) // the array's memory is not ours
		code = int32(len(c.words))
		c.words = append(c.words, word)
		c.code[word] = code
	}
	return code
}

func (c *textColumn) append(a arrow.Array, rows []int32) {
	at := func(int) int32 { return -1 }
	switch a := a.(type) {
	case *array.Dictionary:
		words := a.Dictionary().(*array.String)
		as := make([]int32, words.Len()) // our codes, each made when a row has its word
		for i := range as {
			as[i] = -1
		}
		if indices, ok := a.Indices().(*array.Int32); ok {
			values := indices.Int32Values()
			at = func(i int) int32 { return values[i] }
		} else {
			at = func(i int) int32 { return int32(a.GetValueIndex(i)) }
		}
		inner := at
		at = func(i int) int32 {
			w := inner(i)
			if as[w] < 0 {
				as[w] = c.intern(words.Value(int(w)))
			}
			return as[w]
		}
	case *array.String:
		at = func(i int) int32 { return c.intern(a.Value(i)) }
	}
	each(a, rows, func(i int, null bool) {
		if null {
			c.codes = append(c.codes, -1)
			return
		}
		c.codes = append(c.codes, at(i))
	})
}

// ranks says where each word stands among all, in order.
func (c *textColumn) ranks() []int32 {
	by := make([]int32, len(c.words))
	for i := range by {
		by[i] = int32(i)
	}
	slices.SortFunc(by, func(a, b int32) int { return cmp.Compare(c.words[a], c.words[b]) })
	ranks := make([]int32, len(by))
	for rank, word := range by {
		ranks[word] = int32(rank)
	}
	return ranks
}

func (c *textColumn) take(order []int32) arrow.Array {
	if _, ok := c.typ.(*arrow.DictionaryType); !ok {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.Reserve(len(order))
		for _, i := range order {
			if code := c.codes[i]; code < 0 {
				b.AppendNull()
			} else {
				b.Append(c.words[code])
			}
		}
		return b.NewArray()
	}
	codes := array.NewInt32Builder(memory.DefaultAllocator)
	defer codes.Release()
	codes.Reserve(len(order))
	for _, i := range order {
		if code := c.codes[i]; code < 0 {
			codes.AppendNull()
		} else {
			codes.UnsafeAppend(code)
		}
	}
	words := array.NewStringBuilder(memory.DefaultAllocator)
	defer words.Release()
	words.AppendValues(c.words, nil)
	indices, list := codes.NewArray(), words.NewArray()
	defer indices.Release()
	defer list.Release()
	return array.NewDictionaryArray(c.typ, indices, list)
}

// fixedColumn holds values of a fixed width as they lie in Arrow.
type fixedColumn struct {
	typ   arrow.DataType
	width int
	data  []byte
	null  []bool // empty while no row is null
	rows  int
	nulls int
}

func (c *fixedColumn) append(a arrow.Array, rows []int32) {
	data := a.Data()
	bytes := data.Buffers()[1].Bytes()[data.Offset()*c.width:]
	if rows == nil && a.NullN() == 0 && c.nulls == 0 {
		c.data = append(c.data, bytes[:a.Len()*c.width]...)
		c.rows += a.Len()
		return
	}
	each(a, rows, func(i int, null bool) {
		c.data = append(c.data, bytes[i*c.width:(i+1)*c.width]...)
		if null && c.nulls == 0 {
			c.null = make([]bool, c.rows, c.rows+a.Len())
		}
		c.rows++
		if null {
			c.nulls++
		}
		if c.nulls > 0 {
			c.null = append(c.null, null)
		}
	})
}

// number is a value as a number, for the sort.
func (c *fixedColumn) number(i int) (v int64) {
	for at := (i + 1) * c.width; at > i*c.width; at-- {
		v = v<<8 | int64(c.data[at-1])
	}
	if c.width == 4 {
		return int64(int32(v))
	}
	return v
}

func (c *fixedColumn) take(order []int32) arrow.Array {
	data := make([]byte, len(order)*c.width)
	for to, from := range order {
		copy(data[to*c.width:(to+1)*c.width], c.data[int(from)*c.width:])
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(data)}
	if c.nulls > 0 {
		valid := make([]byte, (len(order)+7)/8)
		for to, from := range order {
			if !c.null[from] {
				valid[to/8] |= 1 << (to % 8)
			}
		}
		buffers[0] = memory.NewBufferBytes(valid)
	}
	made := array.NewData(c.typ, len(order), buffers, nil, c.nulls, 0)
	defer made.Release()
	return array.MakeFromData(made)
}

// flagColumn holds what is true, false, or null.
type flagColumn struct{ values []int8 }

func (c *flagColumn) append(a arrow.Array, rows []int32) {
	flags := a.(*array.Boolean)
	each(a, rows, func(i int, null bool) {
		v := int8(0)
		switch {
		case null:
			v = -1
		case flags.Value(i):
			v = 1
		}
		c.values = append(c.values, v)
	})
}

func (c *flagColumn) take(order []int32) arrow.Array {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(order))
	for _, i := range order {
		if v := c.values[i]; v < 0 {
			b.AppendNull()
		} else {
			b.UnsafeAppend(v == 1)
		}
	}
	return b.NewArray()
}

// each calls fn for rows of an array, or for all.
func each(a arrow.Array, rows []int32, fn func(i int, null bool)) {
	nulls := a.NullN() > 0
	if rows == nil {
		for i := range a.Len() {
			fn(i, nulls && a.IsNull(i))
		}
		return
	}
	for _, i := range rows {
		fn(int(i), nulls && a.IsNull(int(i)))
	}
}
