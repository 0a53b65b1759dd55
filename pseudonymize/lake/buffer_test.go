package lake

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSortRows_IsAStableSort of keys that differ in any of their bits.
func TestSortRows_IsAStableSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mask := rapid.SampledFrom([]uint64{0, 1, 3 << 10, 1<<20 - 1, 1<<44 - 1, 5 << 60, 1<<64 - 1}).Draw(t, "mask")
		keys := rapid.SliceOfN(rapid.Uint64(), 0, 500).Draw(t, "keys")
		want := make([]int32, len(keys))
		for i := range keys {
			keys[i] &= mask
			want[i] = int32(i)
		}
		slices.SortStableFunc(want, func(a, b int32) int { return cmp.Compare(keys[a], keys[b]) })
		if got := sortRows(keys); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
