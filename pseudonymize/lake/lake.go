// Package lake keeps the pseudonymized rows (仮名加工情報) as Parquet files in a
// folder that any tool can read. Start with [Open], [Lake.Begin] and [Tables].
//
// A lake is a folder of immutable files and a manifest that says which of them
// count. A run writes new files beside the old ones, of all tables, and then
// puts a new manifest in place with one rename: whoever reads sees the state
// before or the state after, and a run that dies, or finds the disk full,
// leaves the lake as it was. What it left behind is swept by the next run.
//
//	lake/manifest.json
//	lake/snapshots/000001.json                                   manifests of before, for as-of reads
//	lake/payments/city=132047/month=2024-06/000002.parquet       tables of events, by city and month
//	lake/residents/000002.parquet                                tables that are written whole
//
// Rows of a file are sorted within each row group by place and time, so that
// readers skip the groups whose statistics rule them out. A file may lack
// columns that were added after it was written: read by name.
package lake

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Label stands in every file and manifest, so that it is plain what the data
// are (PPC guideline on 仮名加工情報, 2-2-3-7(3)).
const Label = "仮名加工情報 pseudonymized personal information: no matching with other data to identify a person, no contact (APPI Art. 41(7), 41(8))"

// Table is one of the lake's tables.
type Table struct {
	Name string
	Day  string   // the column of the day that a row is filed under by month; "" for a table written whole
	Sort []string // a column of text, then one of time, by which the rows of a group lie
	Own  []string // pseudonyms that hardly two rows have in common
}

// Tables are all there are. What their columns are is for the policies to say,
// and docs/lake.md to tell.
var Tables = []Table{
	{"payments", DayColumn, []string{"shop_id", "occurred_local"}, []string{"event_token", "payment_token"}},
	{"purchases", DayColumn, []string{"shop_id", "occurred_local"}, []string{"line_token"}},
	{"surveys", DayColumn, []string{"survey_id", DayColumn}, []string{"answer_token"}},
	{"rides", DayColumn, []string{"stop_id", "occurred_local"}, []string{"ride_token"}},
	{"events", DayColumn, []string{"notice_id", "occurred_local"}, []string{"event_token"}},
	{"residents", "", []string{"home_area"}, []string{"person_token"}},
	{"shops", "", []string{"shop_id"}, nil},
}

// DayColumn is the day of what happened, in Asia/Tokyo.
const DayColumn = "occurred_on"

// TableNamed returns a table.
func TableNamed(name string) (Table, bool) {
	for _, t := range Tables {
		if t.Name == name {
			return t, true
		}
	}
	return Table{}, false
}

// Errors of a lake.
var (
	ErrBusy    = errors.New("another run is writing the lake")
	ErrChanged = errors.New("the lake's files are not as its manifest says")
	ErrFormat  = errors.New("the lake was written by an earlier version of the program: move the folder away and run the pipeline, which builds it anew from the segments")
	ErrGone    = errors.New("the lake keeps no snapshot of that time")
	ErrEpoch   = errors.New("the lake's tokens were made with another key, and tokens of two keys cannot be joined: bring the old keyset back, or build the lake anew")
)

// Lake is a folder of Parquet files.
type Lake struct{ dir string }

// Open returns the lake in a folder, which need not exist yet.
func Open(dir string) *Lake { return &Lake{dir} }

// Dir is the lake's folder.
func (l *Lake) Dir() string { return l.dir }

func (l *Lake) manifestPath() string { return filepath.Join(l.dir, "manifest.json") }

func (l *Lake) snapshotPath(number int64) string {
	return filepath.Join(l.dir, "snapshots", fmt.Sprintf("%06d.json", number))
}

func (l *Lake) path(f File) string { return filepath.Join(l.dir, filepath.FromSlash(f.Path)) }

// Paths are the files of a table as paths of the file system.
func (l *Lake) Paths(m Manifest, table string) []string {
	var paths []string
	for _, f := range m.Table(table) {
		paths = append(paths, l.path(f))
	}
	return paths
}

// lock keeps other runs out until the returned function is called, or the
// process ends in whatever way.
func (l *Lake) lock() (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o750); err != nil {
		return nil, fmt.Errorf("make lake: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(l.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock lake: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("lock lake: %w", err)
	}
	return func() { _ = f.Close() }, nil // closing lets the lock go
}

// sweep removes what a run that did not finish left behind.
func (l *Lake) sweep(m Manifest) error {
	strays, err := l.strays(m)
	for _, path := range strays {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// strays are the files of a run after the manifest's that did not finish, and
// of an Install that did not. Any
// other Parquet file that no manifest names is ErrChanged: either somebody put
// it there, or an old manifest, or none, stands in the place of the true one.
// Nothing of the kind may be removed.
func (l *Lake) strays(m Manifest) (strays []string, err error) {
	named := map[string]bool{}
	manifests := []Manifest{m}
	if m.Snapshot > 0 {
		if manifests, err = l.Snapshots(); err != nil {
			return nil, err
		}
	}
	for _, m := range manifests {
		for _, f := range m.Files {
			named[f.Path] = true
		}
	}
	brought := map[string]bool{incoming: true}
	if m, err := l.parse(filepath.Join(l.dir, incoming)); err == nil {
		for _, f := range m.Files {
			brought[f.Path] = true
		}
	}
	next := []string{parquetName(m.Snapshot + 1), carriedName(m.Snapshot + 1)}
	err = filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == l.dir {
			return nil // a lake that is not there yet
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(l.dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch name := d.Name(); {
		case named[rel]:
		case m.Snapshot > 0 && filepath.Dir(rel) == "snapshots" && name >= filepath.Base(l.snapshotPath(m.Snapshot)): // of a commit that was not
			strays = append(strays, path)
		case slices.Contains(next, name), brought[rel], strings.HasSuffix(name, ".parquet.tmp"), strings.HasSuffix(name, ".json.tmp"):
			strays = append(strays, path)
		case strings.HasSuffix(name, ".parquet"):
			return fmt.Errorf("read lake: %w: %s is not in manifest.json", ErrChanged, rel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(strays, func(a, b string) int { // incoming.json last: it explains the others
		return cmp.Compare(strings.Count(filepath.Base(a), incoming), strings.Count(filepath.Base(b), incoming))
	})
	return strays, nil
}

// parquetName is the name of a snapshot's files, and carriedName of those with
// row groups of files before it.
func parquetName(snapshot int64) string { return fmt.Sprintf("%06d.parquet", snapshot) }
func carriedName(snapshot int64) string { return fmt.Sprintf("%06d-carried.parquet", snapshot) }

// writeDurably puts a file in place at once and for good: it is complete under
// its name, also after a loss of power, or not there.
func writeDurably(path string, text []byte, step func(done string)) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	step("manifest complete")
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	step("manifest named")
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
