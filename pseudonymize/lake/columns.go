package lake

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/internal/words"
)

// textColumn holds the numbers of its words; -1 is null.
type textColumn struct {
	typ   arrow.DataType
	words words.Table
	codes []int32
	nulls int
}

func (c *textColumn) append(a arrow.Array, rows []int32) {
	switch a := a.(type) {
	case *array.Dictionary:
		list := a.Dictionary().(*array.String)
		as := make([]int32, list.Len()) // our codes plus one, each made when a row has its word
		code := func(w int32) int32 {
			if as[w] == 0 {
				n, _ := c.words.Number(list.Value(int(w)))
				as[w] = n + 1
			}
			return as[w] - 1
		}
		if indices, ok := a.Indices().(*array.Int32); ok && a.NullN() == 0 {
			values := indices.Int32Values()
			if rows == nil {
				for _, w := range values {
					c.codes = append(c.codes, code(w))
				}
				return
			}
			for _, i := range rows {
				c.codes = append(c.codes, code(values[i]))
			}
			return
		}
		c.each(a, rows, func(i int) int32 { return code(int32(a.GetValueIndex(i))) })
	case *array.String:
		last, number := "", int32(-1) // many rows repeat the word before
		c.each(a, rows, func(i int) int32 {
			if word := a.Value(i); number < 0 || word != last {
				last = word
				number, _ = c.words.Number(word)
			}
			return number
		})
	}
}

func (c *textColumn) each(a arrow.Array, rows []int32, code func(i int) int32) {
	each(a, rows, func(i int, null bool) {
		if null {
			c.nulls++
			c.codes = append(c.codes, -1)
			return
		}
		c.codes = append(c.codes, code(i))
	})
}

// ranks says where each word stands among all, in order.
func (c *textColumn) ranks() []int32 {
	by := make([]int32, c.words.Len())
	for i := range by {
		by[i] = int32(i)
	}
	slices.SortFunc(by, func(a, b int32) int { return bytes.Compare(c.words.Bytes(a), c.words.Bytes(b)) })
	ranks := make([]int32, len(by))
	for rank, word := range by {
		ranks[word] = int32(rank)
	}
	return ranks
}

func (c *textColumn) reset() {
	c.words = words.Table{} // the one of before may live on in a row group's statistics
	c.codes, c.nulls = c.codes[:0], 0
}

// fewWords is up to how many words a column of plain text is written by their
// numbers.
const fewWords = 4096

// take gives a column out by the numbers of its words, also where its type is
// plain text, unless it has too many.
func (c *textColumn) take(order []int32) arrow.Array {
	if _, coded := c.typ.(*arrow.DictionaryType); !coded && c.words.Len() > fewWords {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.Reserve(len(order))
		for _, i := range order {
			if code := c.codes[i]; code < 0 {
				b.AppendNull()
			} else {
				b.BinaryBuilder.Append(c.words.Bytes(code))
			}
		}
		return b.NewArray()
	}
	codes := make([]int32, len(order))
	for to, from := range order {
		codes[to] = max(c.codes[from], 0)
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(codes))}
	if c.nulls > 0 {
		buffers[0] = validity(order, func(from int32) bool { return c.codes[from] >= 0 })
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(order), buffers, nil, c.nulls, 0)
	defer data.Release()
	indices, list := array.NewInt32Data(data), c.words.Array()
	defer indices.Release()
	defer list.Release()
	return array.NewDictionaryArray(byNumber, indices, list)
}

var byNumber = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

// validity are the bits of the rows that have a value.
func validity(order []int32, valid func(from int32) bool) *memory.Buffer {
	bits := make([]byte, (len(order)+7)/8)
	for to, from := range order {
		if valid(from) {
			bits[to/8] |= 1 << (to % 8)
		}
	}
	return memory.NewBufferBytes(bits)
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
	if a.NullN() == 0 && c.nulls == 0 {
		c.data = slices.Grow(c.data, len(rows)*c.width)
		for _, i := range rows {
			c.data = append(c.data, bytes[int(i)*c.width:(int(i)+1)*c.width]...)
		}
		c.rows += len(rows)
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

func (c *fixedColumn) reset() { c.data, c.null, c.rows, c.nulls = c.data[:0], nil, 0, 0 }

// number is a value as a number, for the sort.
func (c *fixedColumn) number(i int) int64 {
	switch c.width {
	case 8:
		return int64(binary.LittleEndian.Uint64(c.data[8*i:]))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(c.data[4*i:])))
	}
	return 0
}

func (c *fixedColumn) take(order []int32) arrow.Array {
	data := make([]byte, len(order)*c.width)
	switch c.width {
	case 16:
		for to, from := range order {
			*(*[16]byte)(data[16*to:]) = *(*[16]byte)(c.data[16*int(from):])
		}
	case 8:
		for to, from := range order {
			*(*[8]byte)(data[8*to:]) = *(*[8]byte)(c.data[8*int(from):])
		}
	case 4:
		for to, from := range order {
			*(*[4]byte)(data[4*to:]) = *(*[4]byte)(c.data[4*int(from):])
		}
	default:
		for to, from := range order {
			copy(data[to*c.width:(to+1)*c.width], c.data[int(from)*c.width:])
		}
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(data)}
	if c.nulls > 0 {
		buffers[0] = validity(order, func(from int32) bool { return !c.null[from] })
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

func (c *flagColumn) reset() { c.values = c.values[:0] }

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
