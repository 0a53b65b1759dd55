package pseudonymize

import (
	"github.com/apache/arrow-go/v18/arrow/array"
)

// memo keeps what was made of the words of a dictionary, by code. A dictionary
// that grows from batch to batch in one memory keeps it; another one begins
// anew.
type memo[T any] struct {
	words *array.String // held, so that its memory is nobody else's
	of    string        // what else was made of, the source of tokens
	made  []T
	known []bool
}

// follow makes the memo one of a dictionary.
func (m *memo[T]) follow(words *array.String, of string) {
	if m.words == nil || m.of != of || !grewFrom(words, m.words) {
		m.made, m.known, m.of = m.made[:0], m.known[:0], of
	}
	words.Retain()
	if m.words != nil {
		m.words.Release()
	}
	m.words = words
	if more := words.Len() - len(m.known); more > 0 {
		m.made, m.known = append(m.made, make([]T, more)...), append(m.known, make([]bool, more)...)
	}
}

// grewFrom tells whether all of before lies at the beginning of words, in the
// same memory. What a batch holds is never written again.
func grewFrom(words, before *array.String) bool {
	return words.Len() >= before.Len() && words.NullN() == 0 && before.NullN() == 0 &&
		sameMemory(words.ValueOffsets(), before.ValueOffsets()) && sameMemory(words.ValueBytes(), before.ValueBytes())
}

// sameMemory tells whether two slices begin at one place; what is empty begins
// nowhere.
func sameMemory[T any](a, b []T) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }
