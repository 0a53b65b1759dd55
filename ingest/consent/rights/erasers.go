package rights

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"meguri/ingest/consent"
)

// before returns where an order cuts a data set, and whether it does.
func (o Order) before(dataset string) (t time.Time, cuts bool) {
	for _, c := range o.Cuts {
		if c.Dataset == dataset {
			return c.Before, true
		}
	}
	return t, false
}

// records empties records of provision whose three years are over. A person's
// wish does not shorten them (Act 29(2), Rule 21).
type records struct{ desk *consent.Desk }

// RecordsOf is the eraser of the records of provision.
func RecordsOf(d *consent.Desk) Eraser { return records{d} }

func (records) Name() string       { return "provision records" }
func (records) Stage() Stage       { return Extracts }
func (records) Datasets() []string { return []string{"provision"} }

// ended is the time by which the keeping of what goes has ended.
func (r records) ended(o Order) (t time.Time, cuts bool) {
	t, cuts = o.before("provision")
	if t = t.AddDate(consent.KeepYears, 0, 0); t.After(r.desk.Now()) {
		t = r.desk.Now()
	}
	return t, cuts
}

func (r records) Plan(ctx context.Context, o Order, t *Tally) error {
	ended, cuts := r.ended(o)
	if !cuts {
		return nil
	}
	for e, err := range r.desk.Store.Entries(ctx, consent.Select{Book: consent.Provisions}) {
		if err != nil {
			return err
		}
		if !e.Purged() && !e.KeepUntil.IsZero() && !e.KeepUntil.After(ended) {
			t.Add("provision", strconv.FormatInt(e.Number, 10))
		}
	}
	return nil
}

func (r records) Erase(ctx context.Context, o Order) error {
	ended, cuts := r.ended(o)
	if !cuts {
		return nil
	}
	_, err := r.desk.Store.Purge(ctx, consent.Provisions, ended)
	return err
}

// files deletes files of a folder by the day of their last change.
type files struct {
	dataset, dir string
	going        func(ctx context.Context, name string) error
}

// FilesOf is the eraser of a folder of files, like the quarantine. Going, which
// may be nil, is told of each before it goes.
func FilesOf(dataset, dir string, going func(ctx context.Context, name string) error) Eraser {
	return files{dataset, dir, going}
}

func (f files) Name() string       { return f.dataset + " files" }
func (files) Stage() Stage         { return Extracts }
func (f files) Datasets() []string { return []string{f.dataset} }

func (f files) due(o Order) (names []string, err error) {
	before, cuts := o.before(f.dataset)
	if !cuts {
		return nil, nil
	}
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr == nil && info.Mode().IsRegular() && (before.IsZero() || info.ModTime().Before(before)) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (f files) Plan(_ context.Context, o Order, t *Tally) error {
	names, err := f.due(o)
	for _, name := range names {
		t.Add(f.dataset, name)
	}
	return err
}

func (f files) Erase(ctx context.Context, o Order) error {
	names, err := f.due(o)
	for _, name := range names {
		if f.going != nil {
			if err := f.going(ctx, name); err != nil {
				return err
			}
		}
		err = errors.Join(err, os.Remove(filepath.Join(f.dir, name)))
	}
	if err != nil || len(names) == 0 {
		return err
	}
	d, err := os.Open(f.dir) // the names are gone for good once the folder is synced
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
