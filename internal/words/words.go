// Package words numbers texts: the first that comes is 0, the next that is
// another is 1, and one that comes again has the number that it has. It holds
// millions of short texts in three slices, so that a look-up costs two or three
// lines of the processor's cache and the collector of garbage has nothing to
// follow. Start with [Table.Number].
package words

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zeebo/xxh3"
)

// Table is a set of texts by number. The zero value is empty and ready. It is
// not safe for concurrent use; what Array gave out stays true
// while the table grows, until Reset.
type Table struct {
	slots []uint64 // the upper half of a text's hash, and its number plus one; 0 is free
	data  []byte   // all texts
	ends  []int32  // ends[n] to ends[n+1] is text n
}

// seed keeps texts that were chosen to meet in one place from doing so.
var seed = rand.Uint64()

func hashOf(text string) uint64 { return xxh3.HashStringSeed(text, seed) }

// ErrFull: the texts take more than the 31 bits of an offset.
var ErrFull = errors.New("the different texts of a column take more than 2 GiB")

// Len is how many texts there are.
func (t *Table) Len() int { return max(len(t.ends)-1, 0) }

// Word is a copy of the text of a number.
func (t *Table) Word(n int32) string { return string(t.Bytes(n)) }

// Bytes is the text of a number, to be read and not kept beyond Reset.
func (t *Table) Bytes(n int32) []byte { return t.data[t.ends[n]:t.ends[n+1]:t.ends[n+1]] }

// Find returns the number of a text, or false.
func (t *Table) Find(text string) (int32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	n, _ := t.find(text, hashOf(text))
	return n, n >= 0
}

// FindAll puts the numbers of texts into a list, -1 for those that are not
// there. What costs time in a large table is to wait for memory: here one look-up
// does not wait for another's.
func (t *Table) FindAll(numbers []int32, text func(i int) string) {
	if len(t.slots) == 0 {
		for i := range numbers {
			numbers[i] = -1
		}
		return
	}
	const block = 128
	var hashes [block]uint64
	var slots [block]uint64
	mask := uint64(len(t.slots) - 1)
	for from := 0; from < len(numbers); from += block {
		part := numbers[from:min(from+block, len(numbers))]
		for i := range part {
			hashes[i] = hashOf(text(from + i))
		}
		for i := range part {
			slots[i] = t.slots[hashes[i]&mask]
		}
		for i := range part { // nearly always it is the first
			if n := int32(uint32(slots[i])) - 1; n >= 0 && (slots[i]^hashes[i])>>32 == 0 && string(t.Bytes(n)) == text(from+i) {
				part[i] = n
			} else {
				part[i], _ = t.find(text(from+i), hashes[i])
			}
		}
	}
}

// find returns the text's number, or -1 and the place for it.
func (t *Table) find(text string, hash uint64) (n int32, free uint64) {
	mask := uint64(len(t.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		slot := t.slots[at]
		if slot == 0 {
			return -1, at
		}
		if (slot^hash)>>32 == 0 {
			if n := int32(uint32(slot)) - 1; string(t.Bytes(n)) == text {
				return n, 0
			}
		}
	}
}

// Number returns the number of a text, and whether it is new. It copies a text
// that is. It panics with ErrFull where the texts are too many.
func (t *Table) Number(text string) (n int32, fresh bool) {
	if 2*t.Len() >= len(t.slots) {
		t.grow()
	}
	hash := hashOf(text)
	n, free := t.find(text, hash)
	if n >= 0 {
		return n, false
	}
	if len(t.data)+len(text) > math.MaxInt32 {
		panic(ErrFull)
	}
	n = int32(t.Len())
	t.slots[free] = hash&^math.MaxUint32 | uint64(n+1)
	t.data = append(t.data, text...)
	t.ends = append(t.ends, int32(len(t.data)))
	return n, true
}

func (t *Table) grow() {
	if len(t.ends) == 0 {
		t.ends = append(t.ends, 0)
	}
	t.slots = make([]uint64, max(64, 4*len(t.slots)))
	mask := uint64(len(t.slots) - 1)
	for n := range int32(t.Len()) {
		hash := xxh3.HashSeed(t.Bytes(n), seed)
		at := hash & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = hash&^math.MaxUint32 | uint64(n+1)
	}
}

// Reset empties the table and keeps its memory: nothing that was given out may
// be in use.
func (t *Table) Reset() {
	clear(t.slots)
	t.data, t.ends = t.data[:0], t.ends[:min(len(t.ends), 1)]
}

// Array is the texts in the order of their numbers, without a copy.
func (t *Table) Array() *array.String {
	if len(t.ends) == 0 {
		t.ends = append(t.ends, 0)
	}
	data := array.NewData(arrow.BinaryTypes.String, t.Len(), []*memory.Buffer{nil,
		memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(t.ends)), memory.NewBufferBytes(t.data)}, nil, 0, 0)
	defer data.Release()
	return array.NewStringData(data)
}
