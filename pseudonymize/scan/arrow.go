package scan

import (
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Texts are the texts in an array. Those of a dictionary come once each, and
// whole numbers as text where they have twelve digits or more. Bytes come when
// they are text in fact: a token is not.
func Texts(a arrow.Array) iter.Seq[string] {
	return func(yield func(string) bool) { texts(a, yield) }
}

func texts(a arrow.Array, yield func(string) bool) bool {
	bytesOf := func(value func(int) []byte) bool {
		for i := range a.Len() {
			if a.IsNull(i) {
				continue
			}
			if s, ok := printable(value(i)); ok && !yield(s) {
				return false
			}
		}
		return true
	}
	switch a := a.(type) {
	case array.StringLike:
		for i := range a.Len() {
			if a.IsValid(i) && !yield(a.Value(i)) {
				return false
			}
		}
	case *array.Dictionary:
		return texts(a.Dictionary(), yield)
	case *array.Int64:
		const twelveDigits = 100_000_000_000
		for i := range a.Len() {
			if v := a.Value(i); a.IsValid(i) && v >= twelveDigits && !yield(strconv.FormatInt(v, 10)) {
				return false
			}
		}
	case *array.FixedSizeBinary:
		return bytesOf(a.Value)
	case *array.Binary:
		return bytesOf(a.Value)
	case *array.LargeBinary:
		return bytesOf(a.Value)
	case *array.Struct:
		for i := range a.NumField() {
			if !texts(a.Field(i), yield) {
				return false
			}
		}
	case array.ListLike:
		return texts(a.ListValues(), yield)
	}
	return true
}

// printable tells whether bytes are a text, without what fills them up.
func printable(b []byte) (string, bool) {
	s := strings.TrimRight(string(b), "\x00 ")
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", false
	}
	return s, true
}

// Watch scans a column that comes in pieces, and looks at each value once.
type Watch struct {
	Found  Counts
	Values int // different values that were looked at
	hint   Kind
	seen   map[string]bool // and whether something was found in it
}

// NewWatch begins a column.
func NewWatch(column string) *Watch {
	return &Watch{Found: Counts{}, hint: HintOf(column), seen: map[string]bool{}}
}

// maxSeen bounds what is remembered: about 50 MB for a column. Beyond it a
// value may be looked at, and counted, again.
const maxSeen = 1 << 19

// Look scans a value and tells whether something was found in it.
func (w *Watch) Look(v string) bool {
	if found, ok := w.seen[v]; ok {
		return found
	}
	kinds := Value(v, w.hint)
	for _, kind := range kinds {
		w.Found[kind]++
	}
	w.Values++
	if len(w.seen) >= maxSeen {
		clear(w.seen)
	}
	w.seen[strings.Clone(v)] = len(kinds) > 0
	return len(kinds) > 0
}
