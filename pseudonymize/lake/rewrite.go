package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sync/errgroup"

	"meguri/pseudonymize/lake/pages"
)

// reader is an open file of the lake.
type reader struct {
	*file.Reader
	file *os.File
	pq   *pqarrow.FileReader
}

func (l *Lake) open(f File) (_ *reader, err error) {
	r := &reader{}
	if r.file, err = os.Open(l.path(f)); err != nil {
		return nil, err
	}
	if r.Reader, err = file.NewParquetReader(r.file); err != nil {
		_ = r.file.Close() // it was only read
		return nil, err
	}
	if r.pq, err = pqarrow.NewFileReader(r.Reader, pqarrow.ArrowReadProperties{BatchSize: rowGroup}, memory.DefaultAllocator); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// close ends the reading, and closes the file with it.
func (r *reader) close() { _ = r.Reader.Close() } // it was only read

// columns are the file's as they were written.
func (r *reader) columns() (*arrow.Schema, error) {
	schema, err := r.pq.Schema()
	if err != nil {
		return nil, err
	}
	return arrow.NewSchema(schema.Fields(), nil), nil
}

// read calls fn with the rows of a row group; nil columns are all.
func (r *reader) read(ctx context.Context, columns []int, group int, fn func(arrow.RecordBatch) error) error {
	rows, err := r.pq.GetRecordReader(ctx, columns, []int{group})
	if err != nil {
		return err
	}
	defer rows.Release()
	for rows.Next() {
		if err := fn(rows.RecordBatch()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Read calls fn with the rows of a file, row group by row group. Columns may
// be chosen by name; a file without one of them is read without it.
func (l *Lake) Read(ctx context.Context, f File, columns []string, fn func(arrow.RecordBatch) error) error {
	if err := l.readFile(ctx, f, columns, fn); err != nil {
		return fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	return nil
}

func (l *Lake) readFile(ctx context.Context, f File, columns []string, fn func(arrow.RecordBatch) error) error {
	r, err := l.open(f)
	if err != nil {
		return err
	}
	defer r.close()
	var chosen []int // nil means all
	if columns != nil {
		schema, err := r.pq.Schema()
		if err != nil {
			return err
		}
		chosen = []int{}
		for _, name := range columns {
			chosen = append(chosen, schema.FieldIndices(name)...)
		}
	}
	for group := range r.NumRowGroups() {
		if err := r.read(ctx, chosen, group, fn); err != nil {
			return err
		}
	}
	return nil
}

// Places are where in a file the rows stand that mark marks, of which it sees
// some columns.
func (l *Lake) Places(ctx context.Context, f File, columns []string, mark func(arrow.RecordBatch) ([]bool, error)) (places []int64, err error) {
	at := int64(0)
	err = l.Read(ctx, f, columns, func(batch arrow.RecordBatch) error {
		marks, err := mark(batch)
		for i, marked := range marks {
			if marked {
				places = append(places, at+int64(i))
			}
		}
		at += batch.NumRows()
		return err
	})
	return places, err
}

// Find is Places for one column of values of one width, as pseudonyms are. It is
// ErrChanged when the file has no such column.
func (l *Lake) Find(ctx context.Context, f File, column string, width int, is func(value []byte) bool) ([]int64, error) {
	places, err := l.find(ctx, f, column, width, is)
	if err != nil {
		return nil, fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	return places, nil
}

func (l *Lake) find(ctx context.Context, f File, column string, width int, is func(value []byte) bool) (places []int64, err error) {
	r, err := l.open(f)
	if err != nil {
		return nil, err
	}
	defer r.close()
	at := r.MetaData().Schema.ColumnIndexByName(column)
	if at < 0 || r.MetaData().Schema.Column(at).TypeLength() != width {
		return nil, fmt.Errorf("%w: it has no column %s of %d bytes", ErrChanged, column, width)
	}
	first := int64(0)
	for group := range r.NumRowGroups() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		here, err := pages.Find(r.Reader, group, at, is)
		if errors.Is(err, errors.ErrUnsupported) { // another program wrote it
			here, err = r.find(ctx, group, at, is)
		}
		if err != nil {
			return nil, err
		}
		for _, p := range here {
			places = append(places, first+p)
		}
		first += r.RowGroup(group).NumRows()
	}
	return places, nil
}

// find is pages.Find by way of values.
func (r *reader) find(ctx context.Context, group, column int, is func(value []byte) bool) (places []int64, err error) {
	before := int64(0)
	err = r.read(ctx, []int{column}, group, func(batch arrow.RecordBatch) error {
		values, ok := batch.Column(0).(*array.FixedSizeBinary)
		if !ok {
			return fmt.Errorf("%w: a column has another type", ErrChanged)
		}
		for i := range values.Len() {
			if values.IsValid(i) && is(values.Value(i)) {
				places = append(places, before+int64(i))
			}
		}
		before += batch.NumRows()
		return nil
	})
	return places, err
}

// Rewrite has the rows of files stand in new files of their months, but for
// those at the places that gone returns for a file, in order; a nil gone keeps
// all. Large row groups stay what they are, and small ones are gathered. Columns
// that a file lacks are null in the new one. It returns the number of rows that
// went.
func (w *Writer) Rewrite(ctx context.Context, table string, schema *arrow.Schema, files []File, gone func(File) ([]int64, error)) (dropped int64, err error) {
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
		var places []int64
		if gone != nil {
			if places, err = gone(f); err != nil {
				return dropped, err
			}
		}
		if err := t.rewrite(ctx, f, places); err != nil {
			w.err = errors.Join(w.err, err)
			return dropped, fmt.Errorf("rewrite lake: %s: %w", f.Path, err)
		}
		dropped += int64(len(places))
		w.Remove(f)
	}
	return dropped, nil
}

// large is from how many rows on a row group stays one.
var large int64 = rowGroup / 2

// left is a row group with the places that go of it.
type left struct {
	group int
	gone  []int64
}

// carried is a row group on its way from one file to another.
type carried struct {
	left
	made *pages.Group
	err  error
}

// rewrite takes a file's rows over, but for those that go. Row groups that stay
// large go page by page; several are made at once, and they are written in their
// order.
func (t *TableWriter) rewrite(ctx context.Context, f File, gone []int64) error {
	source, err := t.w.lake.open(f)
	if err != nil {
		return err
	}
	defer source.close()
	if len(gone) > 0 && gone[len(gone)-1] >= source.NumRows() {
		return fmt.Errorf("it has no row %d", gone[len(gone)-1])
	}
	schema, err := source.columns()
	if err != nil {
		return err
	}
	same, props := alike(schema, t.schema), t.props()
	var small, strange []left                     // what is gathered, since it is small or was not written by us
	slots := make(chan struct{}, 2*cap(t.w.work)) // while some wait for the disk, there are others
	queue := make(chan chan carried, cap(slots))
	work, going := errgroup.WithContext(ctx)
	work.Go(func() error {
		defer close(queue)
		first := int64(0)
		for group := range source.NumRowGroups() {
			rows := source.RowGroup(group).NumRows()
			n, _ := slices.BinarySearch(gone, first+rows)
			here := slices.Clone(gone[:n])
			for i := range here {
				here[i] -= first
			}
			gone, first = gone[n:], first+rows
			if !same || rows-int64(n) < large {
				small = append(small, left{group, here})
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-going.Done():
				return going.Err()
			}
			made := make(chan carried, 1)
			work.Go(func() error {
				defer func() { <-slots }()
				g, err := pages.Take(source.Reader, source.file, group, here, props)
				made <- carried{left{group, here}, g, err}
				return nil
			})
			select {
			case queue <- made:
			case <-going.Done():
				return going.Err()
			}
		}
		return nil
	})
	work.Go(func() error {
		for made := range queue {
			select {
			case g := <-made:
				switch {
				case errors.Is(g.err, errors.ErrUnsupported):
					strange = append(strange, g.left)
				case g.err != nil:
					return g.err
				default:
					if err := t.carry(partition{f.City, f.Month}, source, g.made); err != nil {
						return err
					}
				}
			case <-going.Done():
				return going.Err()
			}
		}
		return nil
	})
	if err := work.Wait(); err != nil {
		return err
	}
	for _, r := range append(small, strange...) {
		first := int64(0)
		err := source.read(ctx, nil, r.group, func(batch arrow.RecordBatch) error {
			n, _ := slices.BinarySearch(r.gone, first+batch.NumRows())
			rows, err := without(conform(batch, t.schema), r.gone[:n], first)
			if err != nil {
				return err
			}
			r.gone, first = r.gone[n:], first+batch.NumRows()
			defer rows.Release()
			return t.add(partition{f.City, f.Month}, rows, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// alike tells whether two schemas have the same columns, whatever else is noted
// of them.
func alike(a, b *arrow.Schema) bool {
	return slices.EqualFunc(a.Fields(), b.Fields(), func(a, b arrow.Field) bool {
		return a.Name == b.Name && a.Nullable == b.Nullable && arrow.TypeEqual(a.Type, b.Type)
	})
}

// carry writes a row group to a partition's file of such groups.
func (t *TableWriter) carry(at partition, source *reader, g *pages.Group) error {
	p := t.carries[at]
	if p == nil {
		var err error
		if p, err = t.create(at, carriedName(t.w.base.Snapshot+1)); err != nil {
			return named(at.month, err)
		}
		t.carries[at] = p
		if p.carried, err = pages.NewWriter(p.file, source.Reader, t.props()); err != nil {
			return named(at.month, err)
		}
	}
	if err := p.carried.Write(g); err != nil {
		return named(at.month, err)
	}
	p.total += int64(g.Rows())
	t.w.step("rows written")
	return nil
}

// without is a batch without the rows at places, which are counted from before
// its first row.
func without(whole arrow.RecordBatch, places []int64, first int64) (arrow.RecordBatch, error) {
	if len(places) == 0 {
		return whole, nil
	}
	defer whole.Release()
	gone := make([]bool, whole.NumRows())
	for _, i := range places {
		gone[i-first] = true
	}
	return Without(whole.Schema(), []arrow.RecordBatch{whole}, [][]bool{gone})
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
	r, err := l.open(f)
	if err != nil {
		return nil, fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	defer r.close()
	schema, err := r.columns()
	if err != nil {
		return nil, fmt.Errorf("read lake: %s: %w", f.Path, err)
	}
	return schema, nil
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
func (l *Lake) expire(all []Manifest, over func(Manifest) bool) ([]File, error) {
	stay := map[string]bool{}
	var old []Manifest
	for i, m := range all {
		if i < len(all)-1 && over(m) {
			old = append(old, m)
			continue
		}
		for _, f := range m.Files {
			stay[f.Path] = true
		}
	}
	var due []File
	for _, m := range old {
		for _, f := range m.Files {
			if !stay[f.Path] {
				stay[f.Path] = true // once is enough
				due = append(due, f)
			}
		}
	}
	were := make([]bool, len(due))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0)) // a large file takes its time to go
	for i, f := range due {
		g.Go(func() error {
			err := os.Remove(l.path(f))
			if were[i] = err == nil; err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			_ = os.Remove(filepath.Dir(l.path(f))) // the month's folder, if nothing else is in it
			return nil
		})
	}
	err := g.Wait()
	var gone []File
	for i, f := range due {
		if were[i] {
			gone = append(gone, f)
		}
	}
	if err != nil {
		return gone, fmt.Errorf("expire lake: %w", err)
	}
	for _, m := range old { // last, so that a file without a manifest is always somebody else's
		if err := os.Remove(l.snapshotPath(m.Snapshot)); err != nil {
			return gone, fmt.Errorf("expire lake: %w", err)
		}
	}
	return gone, nil
}
