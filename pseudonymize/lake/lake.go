// Package lake keeps the pseudonymized rows (仮名加工情報) as Parquet files in a
// folder, partitioned by month, that any tool can read. Start with [Open] and
// [Lake.Begin].
//
// A lake is a folder of immutable files and one manifest that says which of
// them count. A run writes new files beside the old ones and then puts a new
// manifest in place with one rename: whoever reads sees the state before or the
// state after, and a run that dies, or finds the disk full, leaves the lake as
// it was. What it left behind is swept by the next run.
//
//	lake/manifest.json
//	lake/payment/month=2024-06/000002.parquet
package lake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Label stands in every file and manifest, so that it is plain what the data
// are (PPC guideline on 仮名加工情報, 2-2-3-7(3)).
const Label = "仮名加工情報 pseudonymized personal information: no matching with other data to identify a person, no contact (APPI Art. 41(7), 41(8))"

// File is a Parquet file of the lake.
type File struct {
	Path  string `json:"path"` // below the lake's folder, with slashes
	Month string `json:"month"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// Manifest says what the lake holds.
type Manifest struct {
	Label    string    `json:"label"`
	Snapshot int64     `json:"snapshot"` // 1, 2, 3 …; 0 is the empty lake
	At       time.Time `json:"at"`
	Epoch    uint32    `json:"key_epoch"`
	Policy   string    `json:"policy_version"`
	Segments []int64   `json:"segments"` // segments of the personal plane that are in
	Files    []File    `json:"files"`
}

// Rows is the number of rows in the lake.
func (m Manifest) Rows() (n int64) {
	for _, f := range m.Files {
		n += f.Rows
	}
	return n
}

// Errors of a lake.
var (
	ErrBusy    = errors.New("another run is writing the lake")
	ErrChanged = errors.New("the lake's files are not as its manifest says")
	ErrEpoch   = errors.New("the lake's tokens were made with another key, and tokens of two keys cannot be joined: bring the old keyset back, or build the lake anew")
)

// Lake is a folder of Parquet files.
type Lake struct{ dir string }

// Open returns the lake in a folder, which need not exist yet.
func Open(dir string) *Lake { return &Lake{dir} }

// Dir is the lake's folder.
func (l *Lake) Dir() string { return l.dir }

func (l *Lake) manifestPath() string { return filepath.Join(l.dir, "manifest.json") }

// Manifest reads what the lake holds now. The files are checked against it:
// one that is missing, or has another size, is ErrChanged.
func (l *Lake) Manifest() (Manifest, error) {
	var m Manifest
	text, err := os.ReadFile(l.manifestPath())
	if errors.Is(err, fs.ErrNotExist) {
		_, err := l.strays(Manifest{})
		return Manifest{Label: Label}, err
	}
	if err != nil {
		return m, fmt.Errorf("read lake: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read lake: %w: manifest.json: %w", ErrChanged, err)
	}
	if m.Snapshot < 1 {
		return m, fmt.Errorf("read lake: %w: manifest.json has no snapshot", ErrChanged)
	}
	for _, f := range m.Files {
		info, err := os.Stat(filepath.Join(l.dir, filepath.FromSlash(f.Path)))
		if err != nil || info.Size() != f.Bytes {
			return m, fmt.Errorf("read lake: %w: %s", ErrChanged, f.Path)
		}
	}
	return m, nil
}

// Paths are the files of a manifest as paths of the file system.
func (l *Lake) Paths(m Manifest) []string {
	paths := make([]string, len(m.Files))
	for i, f := range m.Files {
		paths[i] = filepath.Join(l.dir, filepath.FromSlash(f.Path))
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

// strays are the files of a run after the manifest's that did not finish. Any
// other Parquet file that the manifest does not name is ErrChanged: either
// somebody put it there, or an old manifest, or none, stands in the place of
// the true one. Nothing of the kind may be removed.
func (l *Lake) strays(m Manifest) (strays []string, err error) {
	next := parquetName(m.Snapshot + 1)
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
		case slices.ContainsFunc(m.Files, func(f File) bool { return f.Path == rel }):
		case name == next, strings.HasSuffix(name, ".parquet.tmp"), rel == "manifest.json.tmp":
			strays = append(strays, path)
		case strings.HasSuffix(name, ".parquet"):
			return fmt.Errorf("read lake: %w: %s is not in manifest.json", ErrChanged, rel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return strays, nil
}

// parquetName is the name of a snapshot's files.
func parquetName(snapshot int64) string { return fmt.Sprintf("%06d.parquet", snapshot) }

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
