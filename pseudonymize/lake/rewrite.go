package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sync/errgroup"
)

// Read calls fn with the rows of a file, row group by row group. Columns may
// be chosen by name; a file without one of them is read without it.
func (l *Lake) Read(ctx context.Context, f File, columns []string, fn func(arrow.RecordBatch) error) error {
	if err := l.readFile(ctx, f, columns, fn); err != nil {
		return fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	return nil
}

func (l *Lake) readFile(ctx context.Context, f File, columns []string, fn func(arrow.RecordBatch) error) error {
	r, err := file.OpenParquetFile(l.path(f), false)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was only read
	pq, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: rowGroup}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	var chosen []int // nil means all
	if columns != nil {
		schema, err := pq.Schema()
		if err != nil {
			return err
		}
		chosen = []int{}
		for _, name := range columns {
			chosen = append(chosen, schema.FieldIndices(name)...)
		}
	}
	for group := range r.NumRowGroups() {
		reader, err := pq.GetRecordReader(ctx, chosen, []int{group})
		if err != nil {
			return err
		}
		for reader.Next() {
			if err = fn(reader.RecordBatch()); err != nil {
				break
			}
		}
		err = errors.Join(err, reader.Err())
		reader.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Rewrite has the rows of files stand in one new file for each month, but for
// the rows that drop names by their number in the batch; a nil drop keeps all.
// Columns that a file lacks are null in the new one. It returns the number of
// rows that were dropped.
func (w *Writer) Rewrite(ctx context.Context, table string, schema *arrow.Schema, files []File,
	drop func(arrow.RecordBatch) ([]bool, error)) (dropped int64, err error) {
	seen := map[string]bool{}
	for _, f := range files {
		if f.Table != table || w.gone[f.Path] || seen[f.Path] {
			return 0, fmt.Errorf("rewrite lake: %s is not a file of %s, or was taken before", f.Path, table)
		}
		seen[f.Path] = true
	}
	t, err := w.Table(table, schema)
	if err != nil {
		return 0, err
	}
	if t.day < 0 && len(files) != len(w.base.Table(table)) {
		return 0, fmt.Errorf("rewrite lake: %s is written whole, and not all of its files were given", table)
	}
	for _, f := range files {
		lost, err := t.rewrite(ctx, f, drop)
		dropped += lost
		if err != nil {
			w.err = errors.Join(w.err, err)
			return dropped, err
		}
		w.Remove(f)
	}
	return dropped, nil
}

// rewrite takes a file's rows over. While some are written, the next are read.
func (t *TableWriter) rewrite(ctx context.Context, f File, drop func(arrow.RecordBatch) ([]bool, error)) (dropped int64, err error) {
	rest := make(chan arrow.RecordBatch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(rest)
		return t.w.lake.Read(ctx, f, nil, func(batch arrow.RecordBatch) error {
			rows, err := without(conform(batch, t.schema), drop)
			if err != nil {
				return err
			}
			dropped += batch.NumRows() - rows.NumRows()
			select {
			case rest <- rows:
				return nil
			case <-ctx.Done():
				rows.Release()
				return ctx.Err()
			}
		})
	})
	g.Go(func() error {
		for rows := range rest {
			err := t.take(partition{f.City, f.Month}, rows)
			rows.Release()
			if err != nil {
				return err
			}
		}
		return nil
	})
	err = g.Wait()
	return dropped, err
}

// without is a batch without the rows that drop names.
func without(whole arrow.RecordBatch, drop func(arrow.RecordBatch) ([]bool, error)) (arrow.RecordBatch, error) {
	if drop == nil {
		return whole, nil
	}
	gone, err := drop(whole)
	if err == nil && !slices.Contains(gone, true) {
		return whole, nil
	}
	defer whole.Release()
	if err != nil {
		return nil, err
	}
	return Without(whole.Schema(), []arrow.RecordBatch{whole}, [][]bool{gone})
}

// take adds rows of a row group. They lie in order as they were: when they are
// enough, they stay a group, and others are gathered and sorted anew.
func (t *TableWriter) take(at partition, rows arrow.RecordBatch) error {
	p := t.parts[at]
	if p == nil && rows.NumRows() > 0 {
		var err error
		if p, err = t.open(at); err != nil {
			return named(at.month, err)
		}
	}
	if rows.NumRows() < rowGroup/2 {
		return t.add(at, rows, nil)
	}
	if err := errors.Join(p.wait(), p.pq.Write(rows)); err != nil {
		return named(at.month, err)
	}
	p.total += rows.NumRows()
	t.w.step("rows written")
	return nil
}

// Compact has the files of each month stand as one, where there are at least
// so many: many small files are slow to read. It returns the number of files
// that were merged.
func (w *Writer) Compact(ctx context.Context, least int) (merged int, err error) {
	for _, table := range Tables {
		byMonth := map[partition][]File{}
		var latest File // its columns are the newest
		for _, f := range w.base.Files {
			if f.Table == table.Name && table.Day != "" {
				byMonth[partition{f.City, f.Month}] = append(byMonth[partition{f.City, f.Month}], f)
				if filepath.Base(f.Path) >= filepath.Base(latest.Path) {
					latest = f
				}
			}
		}
		for _, at := range slices.SortedFunc(maps.Keys(byMonth), partition.compare) {
			files := byMonth[at]
			if len(files) < max(least, 2) {
				continue
			}
			schema, err := w.lake.SchemaOf(latest)
			if err != nil {
				return merged, err
			}
			if _, err := w.Rewrite(ctx, table.Name, schema, files, nil); err != nil {
				return merged, err
			}
			merged += len(files)
		}
	}
	return merged, nil
}

// conform gives a batch the columns of a schema: those it lacks are null.
func conform(batch arrow.RecordBatch, schema *arrow.Schema) arrow.RecordBatch {
	columns := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		if at := batch.Schema().FieldIndices(f.Name); len(at) == 1 {
			columns[i] = batch.Column(at[0])
			columns[i].Retain()
		} else {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(batch.NumRows()))
		}
		defer columns[i].Release() // the batch holds its own reference
	}
	return array.NewRecordBatch(schema, columns, batch.NumRows())
}

// SchemaOf is the schema of a file, as it was written.
func (l *Lake) SchemaOf(f File) (*arrow.Schema, error) {
	r, err := file.OpenParquetFile(l.path(f), false)
	if err != nil {
		return nil, fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	pq, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	schema, err := pq.Schema()
	if err != nil {
		return nil, fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	return arrow.NewSchema(schema.Fields(), nil), nil
}

// Expire forgets the snapshots that were committed before an instant, and
// removes the files that only they had. The present snapshot always stays. It
// returns the files that went. When it breaks off, the next one goes on.
func (l *Lake) Expire(before time.Time) ([]File, error) {
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := l.Snapshots()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if err := l.sweep(all[len(all)-1]); err != nil {
		return nil, err
	}
	return l.expire(all, func(m Manifest) bool { return m.At.Before(before) })
}

// forget removes the snapshots that an erasure does not let stay.
func (l *Lake) forget(m Manifest) error {
	if m.Erased == 0 {
		return nil
	}
	all, err := l.Snapshots()
	if err != nil {
		return err
	}
	_, err = l.expire(all, func(old Manifest) bool { return old.Snapshot < m.Erased })
	return err
}

// expire removes the manifests that are due, but for the present one, and the
// files that only they name.
func (l *Lake) expire(all []Manifest, due func(Manifest) bool) ([]File, error) {
	stay := map[string]bool{}
	var old []Manifest
	for i, m := range all {
		if i < len(all)-1 && due(m) {
			old = append(old, m)
			continue
		}
		for _, f := range m.Files {
			stay[f.Path] = true
		}
	}
	var gone []File
	for _, m := range old {
		for _, f := range m.Files {
			if stay[f.Path] {
				continue
			}
			stay[f.Path] = true // once is enough
			switch err := os.Remove(l.path(f)); {
			case err == nil:
				gone = append(gone, f)
			case !errors.Is(err, fs.ErrNotExist):
				return gone, fmt.Errorf("expire lake: %w", err)
			}
			_ = os.Remove(filepath.Dir(l.path(f))) // the month's folder, if nothing else is in it
		}
	}
	for _, m := range old { // last, so that a file without a manifest is always somebody else's
		if err := os.Remove(l.snapshotPath(m.Snapshot)); err != nil {
			return gone, fmt.Errorf("expire lake: %w", err)
		}
	}
	return gone, nil
}
