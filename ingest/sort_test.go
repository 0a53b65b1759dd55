package ingest

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSortByKey_IsAStableSort for keys that lie evenly, are few, or are all in
// one corner.
func TestSortByKey_IsAStableSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var spare []int32
	for _, n := range []int{0, 1, 2, 3, 100, 1023, 1024, 1025} {
		for _, mask := range []uint64{^uint64(0), 7, 7 << 61} {
			entries, rows := make([]Entry, n), make([]int32, n)
			for i := range entries {
				entries[i] = Entry{Key: Key{Hi: rng.Uint64() & mask, Lo: rng.Uint64() & 3}}
				rows[i] = int32(i)
			}
			want := slices.Clone(rows)
			slices.SortStableFunc(want, func(a, b int32) int { return entries[a].Key.Compare(entries[b].Key) })
			spare = sortByKey(rows, entries, spare)
			if !slices.Equal(rows, want) {
				t.Errorf("%d keys under %x: got %v, want %v", n, mask, rows, want)
			}
		}
	}
}

func BenchmarkSortByKey(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	entries, rows := make([]Entry, mostChunkRows), make([]int32, mostChunkRows)
	for i := range entries {
		entries[i].Key = Key{Hi: rng.Uint64(), Lo: rng.Uint64()}
	}
	var spare []int32
	for range b.N {
		for i := range rows {
			rows[i] = int32(i)
		}
		spare = sortByKey(rows, entries, spare)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
}
