package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/parquet"
	pqcompress "github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// DayColumn is the column that decides a row's partition.
const DayColumn = "occurred_on"

// A row group of this many rows is about 10 MB before compression, and so is
// what the writer holds for each month that is open.
const rowGroup = 128 << 10

// Writer adds rows to a lake. Nothing of it counts before Commit.
type Writer struct {
	lake   *Lake
	base   Manifest
	schema *arrow.Schema
	day    int
	months map[string]*monthFile
	unlock func()
	create func(path string) (io.WriteCloser, error)
	step   func(done string) // called wherever a process may die
	err    error             // why nothing more can be written
}

var errEnded = errors.New("the run has ended")

type monthFile struct {
	path string // final, below the lake's folder
	tmp  string
	file io.WriteCloser
	pq   *pqarrow.FileWriter
	rows int64
}

// Begin starts a run that adds rows of a schema. It locks the lake until Commit
// or Abort, and sweeps what an earlier run left behind.
func (l *Lake) Begin(schema *arrow.Schema) (*Writer, error) {
	day := schema.FieldIndices(DayColumn)
	if len(day) != 1 || schema.Field(day[0]).Type.ID() != arrow.DATE32 {
		return nil, fmt.Errorf("write lake: rows need a date column %s", DayColumn)
	}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	m, err := l.Manifest()
	if err == nil {
		err = l.sweep(m)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return &Writer{
		lake: l, base: m, schema: schema, day: day[0], months: map[string]*monthFile{}, unlock: unlock,
		create: func(path string) (io.WriteCloser, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
		},
		step: func(string) {},
	}, nil
}

// Base is what the lake held when the run began.
func (w *Writer) Base() Manifest { return w.base }

// Write adds a batch, split by month. After an error the run can only be
// aborted: part of the batch may have been written.
func (w *Writer) Write(ctx context.Context, batch arrow.RecordBatch) error {
	if w.err == nil {
		w.err = w.write(ctx, batch)
	}
	if w.err != nil {
		return fmt.Errorf("write lake: %w", w.err)
	}
	return nil
}

func (w *Writer) write(ctx context.Context, batch arrow.RecordBatch) error {
	if !batch.Schema().Equal(w.schema) {
		return errors.New("the rows have other columns than the run began with")
	}
	days := batch.Column(w.day).(*array.Date32)
	if days.NullN() > 0 {
		return fmt.Errorf("a row has no day in %s", DayColumn)
	}
	months := make([]string, 0, 2)
	of := make([]int8, days.Len()) // index into months, by row
	var last arrow.Date32
	var at int
	for i := range days.Len() {
		if d := days.Value(i); i == 0 || d != last {
			last = d
			month := d.ToTime().Format("2006-01")
			if at = slices.Index(months, month); at < 0 {
				if at = len(months); at > 127 { // split the batch instead
					return w.writeHalves(ctx, batch)
				}
				months = append(months, month)
			}
		}
		of[i] = int8(at)
	}
	if len(months) == 1 {
		return w.append(months[0], batch)
	}
	for m, month := range months {
		part, err := selectRows(ctx, batch, of, int8(m))
		if err != nil {
			return fmt.Errorf("%s: %w", month, err)
		}
		err = w.append(month, part)
		part.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) writeHalves(ctx context.Context, batch arrow.RecordBatch) error {
	half := batch.NumRows() / 2
	for _, bounds := range [][2]int64{{0, half}, {half, batch.NumRows()}} {
		part := batch.NewSlice(bounds[0], bounds[1])
		err := w.write(ctx, part)
		part.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func selectRows(ctx context.Context, batch arrow.RecordBatch, of []int8, month int8) (arrow.RecordBatch, error) {
	mask := array.NewBooleanBuilder(compute.GetAllocator(ctx))
	defer mask.Release()
	mask.Reserve(len(of))
	for _, m := range of {
		mask.UnsafeAppend(m == month)
	}
	chosen := mask.NewBooleanArray()
	defer chosen.Release()
	return compute.FilterRecordBatch(ctx, batch, chosen, compute.DefaultFilterOptions())
}

func (w *Writer) append(month string, batch arrow.RecordBatch) error {
	f := w.months[month]
	if f == nil {
		var err error
		if f, err = w.open(month); err != nil {
			return fmt.Errorf("%s: %w", month, err)
		}
	}
	if err := f.pq.WriteBuffered(batch); err != nil {
		return fmt.Errorf("%s: %w", month, err)
	}
	f.rows += batch.NumRows()
	w.step("rows written")
	return nil
}

func (w *Writer) open(month string) (*monthFile, error) {
	rel := filepath.Join("payment", "month="+month, parquetName(w.base.Snapshot+1))
	full := filepath.Join(w.lake.dir, rel)
	if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
		return nil, err
	}
	f := &monthFile{path: filepath.ToSlash(rel), tmp: full + ".tmp"}
	var err error
	if f.file, err = w.create(f.tmp); err != nil {
		return nil, err
	}
	w.months[month] = f // from here on Abort removes it
	w.step("file made")
	options := []parquet.WriterProperty{
		parquet.WithCompression(pqcompress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithMaxRowGroupLength(rowGroup),
		parquet.WithStats(true),
		parquet.WithCreatedBy("meguri"),
	}
	for _, field := range w.schema.Fields() {
		if field.Type.ID() == arrow.FIXED_SIZE_BINARY { // tokens repeat too seldom for a dictionary
			options = append(options, parquet.WithDictionaryFor(field.Name, false), parquet.WithStatsFor(field.Name, false))
		}
	}
	meta := arrow.NewMetadata([]string{"label"}, []string{Label})
	schema := arrow.NewSchema(w.schema.Fields(), &meta)
	f.pq, err = pqarrow.NewFileWriter(schema, f.file, parquet.NewWriterProperties(options...),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	return f, err
}

// Commit makes the rows part of the lake, in one step, as the run that took in
// the given segments with a policy and a key epoch. It returns ErrEpoch when
// the lake holds tokens of another epoch.
func (w *Writer) Commit(segments []int64, policy string, epoch uint32, now time.Time) (Manifest, error) {
	m, err := w.commit(segments, policy, epoch, now)
	if err != nil {
		w.Abort()
		return Manifest{}, fmt.Errorf("commit lake: %w", err)
	}
	w.end()
	return m, nil
}

func (w *Writer) commit(segments []int64, policy string, epoch uint32, now time.Time) (Manifest, error) {
	if w.err != nil {
		return Manifest{}, w.err
	}
	if w.base.Snapshot > 0 && w.base.Epoch != epoch {
		return Manifest{}, ErrEpoch
	}
	m := w.base
	m.Label, m.At, m.Policy, m.Epoch = Label, now.UTC(), policy, epoch
	m.Snapshot++
	m.Files = slices.Clone(m.Files)
	m.Segments = append(slices.Clone(m.Segments), segments...)
	slices.Sort(m.Segments)

	months := make([]string, 0, len(w.months))
	for month := range w.months {
		months = append(months, month)
	}
	slices.Sort(months)
	for _, month := range months {
		f, err := w.finish(month)
		if err != nil {
			return m, fmt.Errorf("%s: %w", month, err)
		}
		m.Files = append(m.Files, f)
	}
	if len(months) > 0 { // the months' folders may be new
		if err := syncDir(filepath.Join(w.lake.dir, "payment")); err != nil {
			return m, err
		}
	}
	slices.SortFunc(m.Files, func(a, b File) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	return m, writeDurably(w.lake.manifestPath(), append(text, '\n'), w.step)
}

// finish closes a month's file, makes it durable and gives it its name.
func (w *Writer) finish(month string) (File, error) {
	f := w.months[month]
	if err := f.pq.Close(); err != nil {
		return File{}, err
	}
	// The Parquet writer has closed the file beneath it, so that a sync needs it
	// opened once more.
	full := filepath.Join(w.lake.dir, filepath.FromSlash(f.path))
	tmp, err := os.Open(f.tmp)
	if err != nil {
		return File{}, err
	}
	info, err := tmp.Stat()
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return File{}, err
	}
	w.step("file complete")
	if err := os.Rename(f.tmp, full); err != nil {
		return File{}, err
	}
	w.step("file named")
	if err := syncDir(filepath.Dir(full)); err != nil {
		return File{}, err
	}
	return File{Path: f.path, Month: month, Rows: f.rows, Bytes: info.Size()}, nil
}

// Abort gives the run up and leaves the lake as it was. It does nothing after
// Commit.
func (w *Writer) Abort() {
	if w.months == nil { // the lake may be another run's by now
		return
	}
	for _, f := range w.months {
		_ = f.file.Close() // a file that does not count
	}
	// What cannot be removed now is swept by the next run. The manifest is read
	// again because a commit may fail after it was put in place.
	if m, err := w.lake.Manifest(); err == nil {
		_ = w.lake.sweep(m)
	}
	for _, f := range w.months {
		_ = os.Remove(filepath.Dir(f.tmp)) // the month's folder, if nothing else is in it
	}
	w.end()
}

// end lets the next run begin.
func (w *Writer) end() {
	w.months, w.err = nil, errEnded
	w.unlock()
}
