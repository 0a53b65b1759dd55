package lake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// File is a Parquet file of the lake.
type File struct {
	Path   string `json:"path"` // below the lake's folder, with slashes
	Table  string `json:"table"`
	City   string `json:"city,omitempty"`
	Month  string `json:"month,omitempty"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Snapshot is the number of the snapshot that a file was written for, by its
// name; false for a file that is not named so.
func (f File) Snapshot() (int64, bool) {
	number, _, _ := strings.Cut(strings.TrimSuffix(path.Base(f.Path), ".parquet"), "-")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, err == nil
}

// Held names a file of the personal plane with rows of segments that are in, but
// that may not be in the lake yet.
type Held struct {
	Dataset   string `json:"dataset"`
	File      string `json:"file"`
	Rows      int64  `json:"rows"`
	Unlinked  int64  `json:"unlinked"`  // whose person no link joins to a resident
	Uncovered int64  `json:"uncovered"` // that nothing allows to be used
}

// Manifest says what the lake holds.
type Manifest struct {
	Label    string            `json:"label"`
	Format   int               `json:"format"`
	Snapshot int64             `json:"snapshot"` // 1, 2, 3 …; 0 is the empty lake
	At       time.Time         `json:"at"`
	Epoch    uint32            `json:"key_epoch"`
	Policies map[string]string `json:"policies"` // version of the policy that each table was last written with
	Segments []int64           `json:"segments"` // segments of the personal plane that are in
	Held     []Held            `json:"held,omitempty"`
	Known    string            `json:"known,omitempty"`  // of what was known of links and legal bases when rows were held
	Erased   int64             `json:"erased,omitempty"` // the last snapshot in which rows of before were erased: those before it must go
	Files    []File            `json:"files"`
}

// format is the layout that this version writes. Format 1 had payments alone.
const format = 2

// Table are the files of a table.
func (m Manifest) Table(name string) (files []File) {
	for _, f := range m.Files {
		if f.Table == name {
			files = append(files, f)
		}
	}
	return files
}

// Rows is the number of rows in a table.
func (m Manifest) Rows(table string) (n int64) {
	for _, f := range m.Table(table) {
		n += f.Rows
	}
	return n
}

// Months are the first and the last month that a table has rows of, or "".
func (m Manifest) Months(table string) (first, last string) {
	for _, f := range m.Table(table) {
		if first == "" || f.Month < first {
			first = f.Month
		}
		last = max(last, f.Month)
	}
	return first, last
}

// Manifest reads what the lake holds now. The files are checked against it:
// one that is missing, or has another size, is ErrChanged. Verify looks into
// them as well.
func (l *Lake) Manifest() (Manifest, error) {
	m, err := l.read(l.manifestPath())
	if errors.Is(err, fs.ErrNotExist) {
		_, err := l.strays(Manifest{})
		return Manifest{Label: Label, Format: format}, err
	}
	return m, err
}

// AsOf reads what the lake held at an instant, if it still keeps that: the
// last snapshot that was committed by then.
func (l *Lake) AsOf(at time.Time) (Manifest, error) {
	all, err := l.Snapshots()
	if err != nil {
		return Manifest{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].At.After(at) {
			return all[i], l.check(all[i])
		}
	}
	return Manifest{}, fmt.Errorf("read lake: %w", ErrGone)
}

// Snapshots are the manifests that the lake keeps, the present one last.
func (l *Lake) Snapshots() ([]Manifest, error) {
	now, err := l.Manifest()
	if err != nil || now.Snapshot == 0 {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(l.snapshotPath(0)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read lake: %w", err)
	}
	var all []Manifest
	for _, e := range entries { // by name, which is by number
		if !strings.HasSuffix(e.Name(), ".json") || e.Name() >= filepath.Base(l.snapshotPath(now.Snapshot)) {
			continue // of a commit that was not
		}
		m, err := l.parse(filepath.Join(filepath.Dir(l.snapshotPath(0)), e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return append(all, now), nil
}

func (l *Lake) read(path string) (Manifest, error) {
	m, err := l.parse(path)
	if err == nil {
		err = l.check(m)
	}
	return m, err
}

func (l *Lake) parse(path string) (m Manifest, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return m, fmt.Errorf("read lake: %w", err)
	}
	return parse(text, filepath.Base(path))
}

func parse(text []byte, name string) (m Manifest, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read lake: %w: %s: %w", ErrChanged, name, err)
	}
	switch {
	case m.Snapshot < 1:
		return m, fmt.Errorf("read lake: %w: %s has no snapshot", ErrChanged, name)
	case m.Format > format:
		return m, fmt.Errorf("read lake: %s is of format %d, which a later version of the program wrote", name, m.Format)
	case m.Format < format:
		return m, fmt.Errorf("read lake: %w", ErrFormat)
	}
	return m, nil
}

func (l *Lake) check(m Manifest) error {
	for _, f := range m.Files {
		info, err := os.Stat(l.path(f))
		if err != nil || info.Size() != f.Bytes {
			return fmt.Errorf("read lake: %w: %s", ErrChanged, f.Path)
		}
	}
	return nil
}

// Strays returns ErrChanged with a Parquet file that no manifest names and no
// run that broke off explains. What a run left behind is no fault.
func (l *Lake) Strays() error {
	m, err := l.Manifest()
	if err == nil {
		_, err = l.strays(m)
	}
	return err
}

// Verify reads every file of a manifest and compares it with what was written.
// It returns ErrChanged with the first that differs. Progress may be nil.
func (l *Lake) Verify(m Manifest, progress func(bytes, of int64)) error {
	var done, of int64
	for _, f := range m.Files {
		of += f.Bytes
	}
	for _, f := range m.Files {
		sum, err := hashFile(l.path(f))
		if err != nil || sum != f.SHA256 {
			return fmt.Errorf("verify lake: %w: %s", ErrChanged, f.Path)
		}
		if done += f.Bytes; progress != nil {
			progress(done, of)
		}
	}
	return nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}
