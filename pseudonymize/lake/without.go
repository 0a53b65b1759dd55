package lake

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Without makes one batch of several, without the rows that go. Its dictionaries
// have the words of the rows that stay and no other: a word may have been of one
// person.
func Without(schema *arrow.Schema, parts []arrow.RecordBatch, goes [][]bool) (_ arrow.RecordBatch, err error) {
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release() // the batch holds its own reference
			}
		}
	}()
	rows, runs := 0, make([][]run, len(parts))
	for i := range parts {
		runs[i] = runsOf(goes[i])
		for _, r := range runs[i] {
			rows += r.to - r.from
		}
	}
	of := make([]arrow.Array, len(parts))
	for at, f := range schema.Fields() {
		for i, p := range parts {
			of[i] = p.Column(at)
		}
		switch typ := f.Type.(type) {
		case *arrow.DictionaryType:
			columns[at], err = wordsOf(typ, of, runs, rows)
		case *arrow.StringType:
			columns[at] = textsOf(of, runs, rows)
		case *arrow.BooleanType:
			columns[at] = flagsOf(of, runs, rows)
		case arrow.FixedWidthDataType:
			columns[at] = valuesOf(typ, of, runs, rows)
		default:
			err = errors.ErrUnsupported
		}
		if err != nil {
			return nil, fmt.Errorf("column %s of %s: %w", f.Name, f.Type, err)
		}
	}
	return array.NewRecordBatch(schema, columns, int64(rows)), nil
}

// run is a stretch of rows that stay.
type run struct{ from, to int }

func runsOf(goes []bool) (runs []run) {
	for i, g := range goes {
		switch last := len(runs) - 1; {
		case g:
		case last >= 0 && runs[last].to == i:
			runs[last].to++
		default:
			runs = append(runs, run{i, i + 1})
		}
	}
	return runs
}

// made is an array of what was gathered.
func made(typ arrow.DataType, parts []arrow.Array, runs [][]run, rows int, buffers ...[]byte) arrow.Array {
	all := make([]*memory.Buffer, 1, 1+len(buffers))
	for _, b := range buffers {
		all = append(all, memory.NewBufferBytes(b))
	}
	nulls := 0
	if slices.ContainsFunc(parts, func(a arrow.Array) bool { return a.NullN() > 0 }) {
		valid, to := make([]byte, (rows+7)/8), 0
		for i, part := range parts {
			for _, r := range runs[i] {
				for at := r.from; at < r.to; at++ {
					if part.IsNull(at) {
						nulls++
					} else {
						valid[to/8] |= 1 << (to % 8)
					}
					to++
				}
			}
		}
		all[0] = memory.NewBufferBytes(valid)
	}
	data := array.NewData(typ, rows, all, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func valuesOf(typ arrow.FixedWidthDataType, parts []arrow.Array, runs [][]run, rows int) arrow.Array {
	width := typ.BitWidth() / 8
	values := make([]byte, 0, rows*width)
	for i, part := range parts {
		if len(runs[i]) == 0 { // an array without rows may have no memory
			continue
		}
		from := part.Data().Buffers()[1].Bytes()[part.Data().Offset()*width:]
		for _, r := range runs[i] {
			values = append(values, from[r.from*width:r.to*width]...)
		}
	}
	return made(typ, parts, runs, rows, values)
}

func textsOf(parts []arrow.Array, runs [][]run, rows int) arrow.Array {
	size := 0
	for i, part := range parts {
		for _, r := range runs[i] {
			offsets := part.(*array.String).ValueOffsets()
			size += int(offsets[r.to] - offsets[r.from])
		}
	}
	ends, texts, to := make([]int32, rows+1), make([]byte, 0, size), 0
	for i, part := range parts {
		if len(runs[i]) == 0 {
			continue
		}
		text := part.(*array.String)
		bytes, offsets := text.ValueBytes(), text.ValueOffsets()
		for _, r := range runs[i] {
			shift := int32(len(texts)) - offsets[r.from]
			texts = append(texts, bytes[offsets[r.from]-offsets[0]:offsets[r.to]-offsets[0]]...)
			for _, end := range offsets[r.from+1 : r.to+1] {
				to++
				ends[to] = end + shift
			}
		}
	}
	return made(arrow.BinaryTypes.String, parts, runs, rows, arrow.Int32Traits.CastToBytes(ends), texts)
}

func flagsOf(parts []arrow.Array, runs [][]run, rows int) arrow.Array {
	values, to := make([]byte, (rows+7)/8), 0
	for i, part := range parts {
		flags := part.(*array.Boolean)
		for _, r := range runs[i] {
			for at := r.from; at < r.to; at++ {
				if flags.Value(at) {
					values[to/8] |= 1 << (to % 8)
				}
				to++
			}
		}
	}
	return made(arrow.FixedWidthTypes.Boolean, parts, runs, rows, values)
}

func wordsOf(typ *arrow.DictionaryType, parts []arrow.Array, runs [][]run, rows int) (arrow.Array, error) {
	index, list := map[string]int32{}, array.NewStringBuilder(memory.DefaultAllocator)
	defer list.Release()
	codes, to := make([]int32, rows), 0
	for i, part := range parts {
		column := part.(*array.Dictionary)
		words, ok := column.Dictionary().(*array.String)
		indices, is32 := column.Indices().(*array.Int32)
		if !ok || !is32 {
			return nil, errors.ErrUnsupported
		}
		as := make([]int32, words.Len()) // our codes and one, once a row that stays has the word
		number := func(word int32) int32 {
			text := words.Value(int(word))
			code, known := index[text]
			if !known {
				code = int32(len(index))
				index[text] = code
				list.Append(text)
			}
			as[word] = code + 1
			return code + 1
		}
		values, nulls := indices.Int32Values(), column.NullN() > 0
		for _, r := range runs[i] {
			for at, word := range values[r.from:r.to] {
				if nulls && column.IsNull(r.from+at) {
					to++
					continue
				}
				code := as[word]
				if code == 0 {
					code = number(word)
				}
				codes[to] = code - 1
				to++
			}
		}
	}
	indices, texts := made(typ.IndexType, parts, runs, rows, arrow.Int32Traits.CastToBytes(codes)), list.NewArray()
	defer indices.Release()
	defer texts.Release()
	return array.NewDictionaryArray(typ, indices, texts), nil
}
