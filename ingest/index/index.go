// Package index keeps the identities of records in sorted runs: immutable
// files, one for each commit, that are merged as their number grows. Start
// with [Index.Follow] and [Index.Known].
//
// A commit costs what it brings, however much is there: nearly all records of
// a commit are new, and a filter in memory (about 12 bits an entry) tells so
// without a look at the files. The keys are hashes, so they lie evenly, and a
// thin table of every 256th key finds the place of one that is there with one
// read.
//
// Which runs count is not for the folder to say: the store registers them in
// the transaction that registers the segment they belong to.
package index

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
)

// Key is the identity of a record: 128 bits of hash over its source and ID.
// At ten thousand million records the chance that any two share one is below
// one in 10^18.
type Key struct{ Hi, Lo uint64 }

// Compare puts keys into the order of the runs.
func (k Key) Compare(other Key) int {
	switch {
	case k.Hi < other.Hi || k.Hi == other.Hi && k.Lo < other.Lo:
		return -1
	case k == other:
		return 0
	}
	return 1
}

// Entry is what the index keeps of a record: who it is and what it said.
type Entry struct {
	Key     Key
	Content uint64 // hash of the content
}

// Run is a file of entries, sorted by key, as the register has it.
type Run struct {
	File    string // its name, without folders
	Entries int64
	Bytes   int64
}

// ErrDamaged: a run is not what was written.
var ErrDamaged = errors.New("the index of records is damaged: restore the folder from the backup that belongs to the database")

// Index answers from the runs of a folder. It may be used by several
// goroutines.
type Index struct {
	dir string

	mu    sync.RWMutex // held for writing while runs are opened and closed
	files map[string]*file
}

// Open returns the index of a folder; it reads nothing before Follow.
func Open(dir string) *Index { return &Index{dir: dir, files: map[string]*file{}} }

// Path is where a run lies.
func (x *Index) Path(r Run) string { return filepath.Join(x.dir, r.File) }

// Follow makes these runs the ones that count.
func (x *Index) Follow(runs []Run) error {
	if x.follows(runs) {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	counts := make(map[string]bool, len(runs))
	for _, r := range runs {
		counts[r.File] = true
		if x.files[r.File] != nil {
			continue
		}
		f, err := open(x.Path(r))
		if err == nil && int64(f.entries) != r.Entries {
			err = errors.Join(fmt.Errorf("%s: %w", r.File, ErrDamaged), f.close())
		}
		if err != nil {
			return err
		}
		x.files[r.File] = f
	}
	var err error
	for name, f := range x.files {
		if !counts[name] {
			err = errors.Join(err, f.close())
			delete(x.files, name)
		}
	}
	return err
}

func (x *Index) follows(runs []Run) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(runs) == len(x.files) && !slices.ContainsFunc(runs, func(r Run) bool { return x.files[r.File] == nil })
}

// Known returns the entries that the runs have of those given, which are
// sorted by key and distinct. The answer is sorted too, with the content that
// was kept.
func (x *Index) Known(entries []Entry) ([]Entry, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var known []Entry
	for _, f := range x.files {
		found, err := f.known(entries)
		if err != nil {
			return nil, err
		}
		known = append(known, found...)
	}
	slices.SortFunc(known, func(a, b Entry) int { return a.Key.Compare(b.Key) })
	return known, nil
}

// Close lets the files go.
func (x *Index) Close() error { return x.Follow(nil) }

// fanIn is how many runs of about one size there may be, less one. Each entry
// is written again once for each power of it.
const fanIn = 4

// Due returns the runs that should become one now, or none: the smallest
// level that is full, a level being the runs within a factor of fanIn.
func Due(runs []Run) []Run {
	levels := map[int][]Run{}
	for _, r := range runs {
		level := 0
		for n := r.Entries; n >= fanIn; n /= fanIn {
			level++
		}
		levels[level] = append(levels[level], r)
	}
	for level := range 64 {
		if len(levels[level]) >= fanIn {
			return levels[level]
		}
	}
	return nil
}
