package index_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"meguri/ingest/index"
)

// entries returns n entries in order whose keys span all bits.
func entries(n int, seed uint64) []index.Entry {
	rng := rand.New(rand.NewPCG(seed, 0))
	list := make([]index.Entry, n)
	for i := range list {
		list[i] = index.Entry{Key: index.Key{Hi: rng.Uint64(), Lo: rng.Uint64()}, Content: rng.Uint64()}
	}
	slices.SortFunc(list, func(a, b index.Entry) int { return a.Key.Compare(b.Key) })
	return list
}

func write(t testing.TB, dir string, number int, list []index.Entry) index.Run {
	t.Helper()
	r, err := index.Write(filepath.Join(dir, fmt.Sprintf("%06d.keys", number)), list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestKnown_IsWhatAMapSays, through writes and merges of any sizes.
func TestKnown_IsWhatAMapSays(t *testing.T) {
	dir, count := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		count++
		folder := filepath.Join(dir, fmt.Sprint(count))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		x := index.Open(folder)
		defer func() {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}()
		model := map[index.Key]uint64{}
		var runs []index.Run
		seed := rapid.Uint64().Draw(t, "seed")
		for step := range rapid.IntRange(1, 12).Draw(t, "steps") {
			// Few distinct keys, so that some come again.
			list := entries(rapid.SampledFrom([]int{1, 2, 255, 256, 257, 600, 3000}).Draw(t, "entries"), seed+uint64(step%5))
			if err := x.Follow(runs); err != nil {
				t.Fatal(err)
			}
			known, err := x.Known(list)
			if err != nil {
				t.Fatal(err)
			}
			var want, fresh []index.Entry
			for _, e := range list {
				if content, ok := model[e.Key]; ok {
					want = append(want, index.Entry{Key: e.Key, Content: content})
				} else {
					fresh = append(fresh, index.Entry{Key: e.Key, Content: e.Content + uint64(step)})
				}
			}
			if !slices.Equal(known, want) {
				t.Fatalf("%d known, want %d", len(known), len(want))
			}
			if len(fresh) > 0 {
				run, err := index.Write(filepath.Join(folder, fmt.Sprintf("%d.keys", step)), fresh)
				if err != nil {
					t.Fatal(err)
				}
				runs = append(runs, run)
				for _, e := range fresh {
					model[e.Key] = e.Content
				}
			}
			if due := index.Due(runs); due != nil {
				merged, err := x.Merge(filepath.Join(folder, fmt.Sprintf("m%d.keys", step)), due)
				if err != nil {
					t.Fatal(err)
				}
				runs = append(slices.DeleteFunc(runs, func(r index.Run) bool { return slices.Contains(due, r) }), merged)
			}
		}
		total := int64(0)
		for _, r := range runs {
			total += r.Entries
		}
		if total != int64(len(model)) {
			t.Errorf("the runs have %d entries, want %d", total, len(model))
		}
	})
}

// TestDue_KeepsRunsFew: their number grows with the logarithm of what is there.
func TestDue_KeepsRunsFew(t *testing.T) {
	var runs []index.Run
	written := int64(0)
	for range 4096 {
		runs = append(runs, index.Run{Entries: 500_000})
		for due := index.Due(runs); due != nil; due = index.Due(runs) {
			sum := index.Run{}
			for _, r := range due {
				sum.Entries += r.Entries
			}
			runs = append(runs[:len(runs)-len(due)], sum) // levels fill from the end here
			written += sum.Entries
		}
	}
	if len(runs) > 3*7 || written > 7*4096*500_000 {
		t.Errorf("%d runs, and each entry was written %d times", len(runs), written/(4096*500_000))
	}
}

// TestOpen_NoticesEveryByte that is not as it was written: when a run is
// opened, or when it is merged.
func TestOpen_NoticesEveryByte(t *testing.T) {
	dir := t.TempDir()
	run := write(t, dir, 1, entries(300, 1))
	whole, err := os.ReadFile(filepath.Join(dir, run.File))
	if err != nil {
		t.Fatal(err)
	}
	notices := func(content []byte) bool {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, run.File), content, 0o600); err != nil {
			t.Fatal(err)
		}
		x := index.Open(folder)
		if err := x.Follow([]index.Run{run}); err != nil {
			return errors.Is(err, index.ErrDamaged)
		}
		_, err := x.Merge(filepath.Join(folder, "m"), []index.Run{run})
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		return errors.Is(err, index.ErrDamaged)
	}
	if notices(whole) {
		t.Fatal("what was written is damaged")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < len(whole); i += 1 + rng.IntN(60) {
		changed := slices.Clone(whole)
		changed[i] ^= 1 << rng.IntN(8)
		if !notices(changed) {
			t.Errorf("byte %d was changed, and nobody noticed", i)
		}
		if !notices(whole[:i]) {
			t.Errorf("cut at byte %d, and nobody noticed", i)
		}
	}
	if !notices(append(slices.Clone(whole), 0)) {
		t.Error("a byte more, and nobody noticed")
	}
}

func TestWrite_RefusesWhatIsNotInOrder(t *testing.T) {
	list := entries(10, 1)
	list[3], list[4] = list[4], list[3]
	path := filepath.Join(t.TempDir(), "a")
	if _, err := index.Write(path, list); err == nil {
		t.Error("it was written")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there")
	}
}

func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	run := write(f, dir, 1, entries(20, 1))
	whole, err := os.ReadFile(filepath.Join(dir, run.File))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, run.File), content, 0o600); err != nil {
			t.Fatal(err)
		}
		x := index.Open(folder)
		if x.Follow([]index.Run{run}) == nil {
			if _, err := x.Known(entries(20, 1)); err != nil {
				t.Error(err)
			}
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// BenchmarkCommit is what a commit of new records costs beside much that is
// there.
func BenchmarkCommit(b *testing.B) {
	for _, stored := range []int{1 << 20, 1 << 23} {
		b.Run(fmt.Sprint(stored), func(b *testing.B) {
			dir := b.TempDir()
			x := index.Open(dir)
			if err := x.Follow([]index.Run{write(b, dir, 0, entries(stored, 7))}); err != nil {
				b.Fatal(err)
			}
			fresh := entries(1<<19, 8)
			b.ResetTimer()
			for i := range b.N {
				if known, err := x.Known(fresh); err != nil || len(known) > 0 {
					b.Fatal(len(known), err)
				}
				write(b, dir, i+1, fresh)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(fresh)), "ns/entry")
		})
	}
}

// TestKnown_ReadsTheFirstFormat: runs that an earlier version wrote count on,
// and are of the present format once they are merged.
func TestKnown_ReadsTheFirstFormat(t *testing.T) {
	old, err := os.ReadFile("testdata/format1.keys")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7)) // what the file was written from
	var list []index.Entry
	for range 300 {
		list = append(list, index.Entry{Key: index.Key{Hi: rng.Uint64(), Lo: rng.Uint64()}, Content: rng.Uint64()})
	}
	slices.SortFunc(list, func(a, b index.Entry) int { return a.Key.Compare(b.Key) })
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "000001.keys"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	x := index.Open(dir)
	knows := func(runs ...index.Run) {
		t.Helper()
		if err := x.Follow(runs); err != nil {
			t.Fatal(err)
		}
		known, err := x.Known(list)
		if err != nil || !slices.Equal(known, list) {
			t.Errorf("%d of %d entries are known, %v", len(known), len(list), err)
		}
	}
	first := index.Run{File: "000001.keys", Entries: 300, Bytes: int64(len(old))}
	knows(first)
	merged, err := x.Merge(filepath.Join(dir, "000002.keys"), []index.Run{first})
	if err != nil {
		t.Fatal(err)
	}
	knows(merged)
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}
