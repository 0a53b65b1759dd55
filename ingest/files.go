package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Files finds what is meant by names, folders and patterns: each file once, the
// arguments in their order, and the files of a folder or pattern by name. Of a
// folder it takes what stands in it, but for hidden files and quarters of its
// own ([doneFolder], [failedFolder]).
func Files(args []string) ([]string, error) {
	var list []string
	seen := map[string]bool{}
	add := func(path string) {
		if path = filepath.Clean(path); !seen[path] {
			seen[path] = true
			list = append(list, path)
		}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err == nil && info.IsDir():
			names, err := folder(arg)
			if err != nil {
				return nil, err
			}
			if len(names) == 0 {
				return nil, fmt.Errorf("%s: %w: there is no file in the folder", arg, fs.ErrNotExist)
			}
			for _, name := range names {
				add(filepath.Join(arg, name))
			}
		case err == nil:
			add(arg)
		case strings.ContainsAny(arg, "*?["):
			found, gerr := filepath.Glob(arg)
			if gerr != nil {
				return nil, fmt.Errorf("%s: %w", arg, gerr)
			}
			slices.Sort(found)
			some := false
			for _, path := range found {
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && !hidden(filepath.Base(path)) {
					add(path)
					some = true
				}
			}
			if !some {
				return nil, fmt.Errorf("%s: %w: no file has such a name", arg, fs.ErrNotExist)
			}
		default:
			return nil, err
		}
	}
	return list, nil
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// folder lists the regular files in a folder by name.
func folder(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && !hidden(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// The quarters of a watched folder: what was imported, and what could not be.
const (
	doneFolder   = "done"
	failedFolder = "failed"
)

// Watcher imports the files that come into a folder. A file is taken when its
// size and time have stood still for Settle, and moved to done/ or failed/
// beside it when it was imported. What stops in between is taken up again.
type Watcher struct {
	Dir    string
	Settle time.Duration
	Every  time.Duration // between two looks
	Import func(ctx context.Context, path string) error

	// Moved is told what became of a file.
	Moved func(path, to string, err error)
}

// still is how a file looked, and since when.
type still struct {
	size     int64
	modified time.Time
	since    time.Time
}

// Run watches until the context ends, which is no error. It ends with one
// where the fault is not the file's: a full disk, a database that is away.
func (w *Watcher) Run(ctx context.Context) error {
	for _, name := range []string{doneFolder, failedFolder} {
		if err := os.MkdirAll(filepath.Join(w.Dir, name), 0o700); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	looks := map[string]still{}
	for {
		ready, err := w.look(looks)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		for _, name := range ready {
			if ctx.Err() != nil {
				return nil
			}
			if err := w.take(ctx, filepath.Join(w.Dir, name)); err != nil {
				return err
			}
			delete(looks, name)
		}
		timer := time.NewTimer(w.Every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// look returns the files that stand still, by name.
func (w *Watcher) look(looks map[string]still) (ready []string, err error) {
	names, err := folder(w.Dir)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, name := range names {
		info, err := os.Stat(filepath.Join(w.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was taken away
		}
		if err != nil {
			return nil, err
		}
		before, known := looks[name]
		if !known || before.size != info.Size() || !before.modified.Equal(info.ModTime()) {
			looks[name] = still{info.Size(), info.ModTime(), now}
			before = looks[name]
		}
		if now.Sub(before.since) >= w.Settle {
			ready = append(ready, name)
		}
	}
	for name := range looks {
		if !slices.Contains(names, name) {
			delete(looks, name)
		}
	}
	return ready, nil
}

func (w *Watcher) take(ctx context.Context, path string) error {
	err := w.Import(ctx, path)
	quarter := doneFolder
	switch {
	case ctx.Err() != nil:
		return nil // it stays where it is, and is taken up again
	case err != nil && !FaultOfFile(err):
		return err
	case err != nil:
		quarter = failedFolder
	}
	to, merr := moveBeside(path, quarter)
	if merr != nil {
		return fmt.Errorf("watch: %w", merr)
	}
	w.Moved(path, to, err)
	return nil
}

// FaultOfFile tells whether an import failed because of its file, so that
// another file may go well.
func FaultOfFile(err error) bool {
	var line *LineError
	if errors.As(err, &line) {
		return true
	}
	for _, fault := range []error{ErrEmptyFile, ErrNoRows, ErrNotText, ErrEncoding, ErrTruncated, ErrDamaged, ErrDamagedParquet} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

// moveBeside moves a file into a folder beside it, and never in another's place:
// a second file of a name gets a number.
func moveBeside(path, folder string) (to string, err error) {
	dir, name := filepath.Split(path)
	extension := filepath.Ext(name)
	for n := 1; ; n++ {
		to = filepath.Join(dir, folder, name)
		if n > 1 {
			to = filepath.Join(dir, folder, fmt.Sprintf("%s.%d%s", strings.TrimSuffix(name, extension), n, extension))
		}
		switch err := os.Link(path, to); {
		case errors.Is(err, fs.ErrExist):
			continue
		case err == nil:
			return to, errors.Join(os.Remove(path), syncDir(filepath.Join(dir, folder)))
		}
		// A file system without links.
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		return to, os.Rename(path, to)
	}
}
