package ingest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"meguri/pseudonymize/lake"
)

// holder writes the rows that a run of the pipeline holds: a file for each file
// that they come from, since a file has one dictionary for each column. It is
// named after the snapshot whose manifest will name it.
type holder struct {
	dir      string
	snapshot int64
	kept     []lake.Held // of runs before, which are held on
	open     *heldFile   // of the file that is being read; nil if none of its rows is held
	files    []*heldFile
}

type heldFile struct {
	lake.Held
	file     *os.File
	buffered *bufio.Writer
	w        *ipc.FileWriter
}

func (im *Importer) heldPath(name string) string { return filepath.Join(im.held, name) }

// newHolder begins a run, and removes what a run that did not commit left.
func (im *Importer) newHolder(snapshot int64) (*holder, error) {
	h := &holder{dir: im.held, snapshot: snapshot}
	left, err := filepath.Glob(filepath.Join(h.dir, fmt.Sprintf("%06d-*", snapshot)))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return h, err
}

// next begins the rows of another file.
func (h *holder) next() { h.open = nil }

func (h *holder) add(dataset string, batch arrow.RecordBatch, unlinked, uncovered int64) error {
	f := h.open
	if f == nil {
		name := fmt.Sprintf("%06d-%s-%d.arrow", h.snapshot, dataset, len(h.files)+1)
		file, err := os.OpenFile(filepath.Join(h.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("hold rows: %w", err)
		}
		f = &heldFile{Held: lake.Held{Dataset: dataset, File: name}, file: file, buffered: bufio.NewWriterSize(file, 1<<20)}
		h.files, h.open = append(h.files, f), f
		if f.w, err = ipc.NewFileWriter(f.buffered, ipc.WithSchema(batch.Schema()), ipc.WithLZ4(), ipc.WithDictionaryDeltas(false)); err != nil {
			return fmt.Errorf("hold rows: %w", err)
		}
	}
	f.Rows += batch.NumRows()
	f.Unlinked += unlinked
	f.Uncovered += uncovered
	if err := f.w.Write(batch); err != nil {
		return fmt.Errorf("hold rows: %w", err)
	}
	return nil
}

// end completes the files and makes them durable. They count once a manifest
// names them.
func (h *holder) end() ([]lake.Held, error) {
	held := slices.Clone(h.kept)
	for _, f := range h.files {
		if err := errors.Join(f.w.Close(), f.buffered.Flush(), f.file.Sync(), f.file.Close()); err != nil {
			return nil, fmt.Errorf("hold rows: %w", err)
		}
		f.w = nil
		held = append(held, f.Held)
	}
	if len(h.files) == 0 {
		return held, nil
	}
	return held, syncDir(h.dir)
}

// committed removes the files that the lake's manifests name no more. What
// cannot be removed now is removed by the next run.
func (h *holder) committed(m lake.Manifest) {
	_ = dropHeld(h.dir, m)
	h.files = nil
}

// dropHeld removes the files that a manifest does not name.
func dropHeld(dir string, m lake.Manifest) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !slices.ContainsFunc(m.Held, func(one lake.Held) bool { return one.File == e.Name() }) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, syncDir(dir))
}

// abort removes what does not count; it does nothing after committed.
func (h *holder) abort() {
	for _, f := range h.files {
		if f.w != nil {
			_ = f.file.Close() // a file that does not count
		}
		if err := os.Remove(f.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // the next run removes it
		}
	}
}
