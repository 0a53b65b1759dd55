package pages

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"pgregory.net/rapid"
)

func TestHybrid_Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 32).Draw(t, "width")
		var values []uint32
		for range rapid.IntRange(0, 20).Draw(t, "runs") {
			v := rapid.Uint32Range(0, uint32(uint64(1)<<width-1)).Draw(t, "value")
			for range rapid.SampledFrom([]int{1, 1, 2, 7, 8, 9, 15, 16, 17, 300}).Draw(t, "length") {
				values = append(values, v)
			}
		}
		data := appendHybrid(nil, values, width)
		got, err := readHybrid(nil, data, width, len(values))
		if err != nil || !slices.Equal(got, values) {
			t.Fatalf("got %v, %v; want %v of % x", got, err, values, data)
		}
		if most := len(values)*width/8 + len(values)/8*4 + width + 16; len(data) > most {
			t.Fatalf("%d numbers of %d bits are %d bytes", len(values), width, len(data))
		}
	})
}

// The format's own example (Encodings.md): 0 to 7 in three bits.
func TestHybrid_AsTheFormatHasIt(t *testing.T) {
	numbers := []uint32{0, 1, 2, 3, 4, 5, 6, 7}
	want := []byte{1<<1 | 1, 0b10001000, 0b11000110, 0b11111010}
	if got := appendHybrid(nil, numbers, 3); !slices.Equal(got, want) {
		t.Errorf("got %08b", got)
	}
	if got := appendHybrid(nil, slices.Repeat([]uint32{5}, 100), 3); !slices.Equal(got, []byte{200, 1, 5}) {
		t.Errorf("a run is % x", got)
	}
}

func FuzzReadHybrid(f *testing.F) {
	f.Add([]byte{3, 0b10001000, 0b11000110, 0b11111010}, 3, 8)
	f.Add([]byte{200, 1, 5}, 3, 100)
	f.Add([]byte{}, 0, 0)
	f.Fuzz(func(t *testing.T, data []byte, width, n int) {
		if n < 0 || n > 1<<16 {
			return
		}
		got, err := readHybrid(nil, data, width, n)
		if err != nil {
			return
		}
		if len(got) != n {
			t.Fatalf("%d numbers, want %d", len(got), n)
		}
		for _, v := range got {
			if bits.Len32(v) > width {
				t.Fatalf("%d in %d bits", v, width)
			}
		}
	})
}

// FuzzTakePage: whatever is in a page, its rows are taken or there is an error.
func FuzzTakePage(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 16, 1, 1, 2, 3, 4, 5, 6, 7, 8}, 8, 1, int32(parquet.Encodings.Plain), true)
	f.Add([]byte{2, 3, 0b10001000, 0b11000110, 0b11111010}, 8, 3, int32(parquet.Encodings.RLEDict), false)
	f.Add([]byte{1, 0, 0, 0, 'a', 0, 0, 0, 0}, 2, 0, int32(parquet.Encodings.Plain), false)
	kinds := []parquet.Type{parquet.Types.ByteArray, parquet.Types.Int32, parquet.Types.Int64, parquet.Types.Boolean}
	f.Fuzz(func(t *testing.T, data []byte, n, gone int, encoding int32, nullable bool) {
		if n < 1 || n > 1000 || gone < 0 || gone >= n {
			return
		}
		repetition := parquet.Repetitions.Required
		if nullable {
			repetition = parquet.Repetitions.Optional
		}
		for _, kind := range kinds {
			node, err := schema.NewPrimitiveNode("c", repetition, kind, -1, -1)
			if err != nil {
				t.Fatal(err)
			}
			group, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{node}, -1)
			if err != nil {
				t.Fatal(err)
			}
			tk := taking{of: schema.NewSchema(group).Column(0), words: [][]byte{[]byte("a"), []byte("b"), []byte("12345678")}, limit: true}
			tk.width, _ = widthOf(tk.of)
			p := file.NewDataPageV1(memory.NewBufferBytes(data), int32(n), parquet.Encoding(encoding), parquet.Encodings.RLE, parquet.Encodings.RLE, int32(len(data)))
			stay := []stretch{{0, gone}, {gone + 1, n}}
			if err := tk.takePage(p, slices.DeleteFunc(stay, func(s stretch) bool { return s.from == s.to })); err != nil {
				continue
			}
			for _, raw := range tk.values {
				if raw.rows != n-1 {
					t.Fatalf("%d rows, want %d", raw.rows, n-1)
				}
			}
		}
	})
}
