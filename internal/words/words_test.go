package words

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A table is a map and a list, whatever comes.
func TestTable_Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table
		numbers, list := map[string]int32{}, []string{}
		kept := table.Array()
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			for range rapid.IntRange(0, 300).Draw(t, "texts") {
				text := rapid.OneOf(rapid.StringMatching(`[a-c]{0,3}`), rapid.String()).Draw(t, "text")
				want, known := numbers[text]
				if n, ok := table.Find(text); ok != known || ok && n != want {
					t.Fatalf("Find(%q) = %d, %v; want %d, %v", text, n, ok, want, known)
				}
				n, fresh := table.Number(text)
				if !known {
					want = int32(len(list))
					numbers[text], list = want, append(list, text)
				}
				if n != want || fresh == known || table.Word(n) != text {
					t.Fatalf("Number(%q) = %d, %v; want %d, %v", text, n, fresh, want, !known)
				}
			}
			if table.Len() != len(list) {
				t.Fatalf("Len() = %d, want %d", table.Len(), len(list))
			}
			kept.Release()
			kept = table.Array()
			if kept.Len() != len(list) {
				t.Fatalf("the array has %d texts, want %d", kept.Len(), len(list))
			}
			for i, text := range list {
				if kept.Value(i) != text {
					t.Fatalf("text %d of the array is %q, want %q", i, kept.Value(i), text)
				}
			}
			asked := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(append(list, "not there")), rapid.String()), 0, 400).Draw(t, "asked")
			found := make([]int32, len(asked))
			table.FindAll(found, func(i int) string { return asked[i] })
			for i, text := range asked {
				want, known := numbers[text]
				if !known {
					want = -1
				}
				if found[i] != want {
					t.Fatalf("FindAll of %q = %d, want %d", text, found[i], want)
				}
			}
			if rapid.Bool().Draw(t, "reset") {
				table.Reset()
				clear(numbers)
				list = list[:0]
			}
		}
		kept.Release()
	})
}

// What was given out stays as it is while the table grows.
func TestTable_GivesOutWhatStays(t *testing.T) {
	var table Table
	table.Number("first")
	array, word := table.Array(), table.Word(0)
	defer array.Release()
	for i := range 10_000 {
		table.Number(strings.Repeat("x", i%40) + string(rune('0'+i%10)))
	}
	if array.Len() != 1 || array.Value(0) != "first" || word != "first" {
		t.Errorf("array has %d texts, the first %q; word is %q", array.Len(), array.Value(0), word)
	}
}
