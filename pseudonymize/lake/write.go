package lake

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	pqcompress "github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"meguri/pseudonymize/lake/pages"
)

// A row group of this many rows keeps what a reader must take in at once, and
// what a writer holds for a month that is open, at about 15 MB.
const rowGroup = 128 << 10

// mostHeld bounds the rows that wait in all partitions together.
const mostHeld = 12 * rowGroup

// Writer adds to a lake, or takes from it. Nothing of it counts before Commit.
type Writer struct {
	lake   *Lake
	city   string
	base   Manifest
	tables map[string]*TableWriter
	gone   map[string]bool // paths of base that will not count
	held   int             // rows in buffers
	work   chan struct{}   // has room for as many row groups as are written at once
	unlock func()
	create func(path string) (io.WriteCloser, error)
	step   func(done string) // called wherever a process may die
	err    error             // why nothing more can be written
	ended  bool
}

var errEnded = errors.New("the run has ended")

// TableWriter adds rows to one table.
type TableWriter struct {
	w       *Writer
	table   Table
	schema  *arrow.Schema
	day     int // column, or -1
	parts   map[partition]*part
	carries map[partition]*part // of row groups taken over as they were
	spare   chan *buffer        // that were written, for the next rows
}

// partition is where rows are filed; it is empty in a table written whole.
type partition struct{ city, month string }

func (p partition) compare(o partition) int {
	return cmp.Or(strings.Compare(p.city, o.city), strings.Compare(p.month, o.month))
}

// part is a partition that is being written.
type part struct {
	partition
	path    string // final, below the lake's folder
	tmp     string
	file    *hashed
	pq      *pqarrow.FileWriter
	rows    *buffer
	carried *pages.Writer // in the place of pq and rows
	total   int64
	done    chan error // of the row group that is being written; nil if none is
}

// hashed is a file that knows the hash of what went into it. It is made durable
// while it is written, so that a commit need not wait for all of it.
type hashed struct {
	io.WriteCloser
	sum      hash.Hash
	unsynced int
	syncing  chan error // nil if nothing is made durable
	err      error      // of a sync; it is told once, so that it is kept
}

// syncEvery is after how many bytes a file is made durable.
const syncEvery = 64 << 20

func (h *hashed) Write(p []byte) (int, error) {
	n, err := h.WriteCloser.Write(p)
	_, _ = h.sum.Write(p[:n]) // a hash never fails
	if h.unsynced += n; h.unsynced >= syncEvery {
		h.sync()
	}
	return n, errors.Join(err, h.err)
}

// sync begins to make durable what was written, unless that is going on.
func (h *hashed) sync() {
	file, ok := h.WriteCloser.(interface{ Sync() error })
	if !ok {
		return
	}
	if h.syncing != nil {
		select {
		case err := <-h.syncing:
			h.err = errors.Join(h.err, err)
		default:
			return
		}
	}
	h.unsynced, h.syncing = 0, make(chan error, 1)
	go func(done chan<- error) { done <- file.Sync() }(h.syncing)
}

// Close waits for what is being made durable.
func (h *hashed) Close() error {
	if h.syncing != nil {
		h.err = errors.Join(h.err, <-h.syncing)
		h.syncing = nil
	}
	return errors.Join(h.err, h.WriteCloser.Close())
}

// Begin starts a run. It locks the lake until Commit or Abort, and sweeps what
// an earlier run left behind. City is the code of the municipality
// (全国地方公共団体コード) that the rows are filed under.
func (l *Lake) Begin(city string) (*Writer, error) {
	if city == "" || strings.ContainsFunc(city, func(r rune) bool { return r < '0' || r > '9' }) {
		return nil, fmt.Errorf("write lake: %q is no code of a municipality", city)
	}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	m, err := l.Manifest()
	if err == nil {
		err = l.sweep(m)
	}
	if err == nil {
		err = l.forget(m)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return &Writer{
		lake: l, city: city, base: m, tables: map[string]*TableWriter{}, gone: map[string]bool{}, unlock: unlock,
		work: make(chan struct{}, runtime.GOMAXPROCS(0)),
		create: func(path string) (io.WriteCloser, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
		},
		step: func(string) {},
	}, nil
}

// Base is what the lake held when the run began.
func (w *Writer) Base() Manifest { return w.base }

// Anew has the run begin from nothing: no file and no segment of before counts
// after it, and its tokens may be of another key.
func (w *Writer) Anew() {
	w.Remove(w.base.Files...)
	w.base.Segments, w.base.Policies, w.base.Epoch = nil, nil, 0
	w.base.Held, w.base.Known = nil, ""
}

// Remove has files count no more after this run.
func (w *Writer) Remove(files ...File) {
	for _, f := range files {
		w.gone[f.Path] = true
	}
}

// Table begins to write a table. One that is written whole takes the place of
// what was there.
func (w *Writer) Table(name string, schema *arrow.Schema) (*TableWriter, error) {
	table, ok := TableNamed(name)
	if !ok {
		return nil, fmt.Errorf("write lake: there is no table %q", name)
	}
	if t := w.tables[name]; t != nil {
		if !t.schema.Equal(schema) {
			return nil, fmt.Errorf("write lake: %s: the columns changed within a run", name)
		}
		return t, nil
	}
	t := &TableWriter{w: w, table: table, schema: schema, day: -1, parts: map[partition]*part{}, carries: map[partition]*part{},
		spare: make(chan *buffer, cap(w.work))}
	if table.Day == "" {
		for _, f := range w.base.Files {
			if f.Table == name {
				w.Remove(f)
			}
		}
	} else {
		day := schema.FieldIndices(table.Day)
		if len(day) != 1 || schema.Field(day[0]).Type.ID() != arrow.DATE32 {
			return nil, fmt.Errorf("write lake: %s: rows need a date column %s", name, table.Day)
		}
		t.day = day[0]
	}
	if _, err := newBuffer(schema, table); err != nil {
		return nil, fmt.Errorf("write lake: %s: %w", name, err)
	}
	w.tables[name] = t
	return t, nil
}

// Write adds a batch. After an error the run can only be aborted: part of the
// batch may have been written.
func (t *TableWriter) Write(batch arrow.RecordBatch) error {
	if t.w.err == nil {
		t.w.err = t.write(batch)
	}
	if t.w.err != nil {
		return fmt.Errorf("write lake: %s: %w", t.table.Name, t.w.err)
	}
	return nil
}

func (t *TableWriter) write(batch arrow.RecordBatch) error {
	if !batch.Schema().Equal(t.schema) {
		return errors.New("the rows have other columns than the run began with")
	}
	if batch.NumRows() == 0 {
		return nil
	}
	if t.day < 0 {
		return t.add(partition{}, batch, nil)
	}
	days := batch.Column(t.day).(*array.Date32)
	if days.NullN() > 0 {
		return fmt.Errorf("a row has no day in %s", t.table.Day)
	}
	var months []string
	var rows [][]int32
	at, low, high := 0, arrow.Date32(1), arrow.Date32(0) // the days of months[at]
	for i := range days.Len() {
		if d := days.Value(i); d < low || d > high {
			first := d.ToTime().AddDate(0, 0, 1-d.ToTime().Day())
			low, high = arrow.Date32FromTime(first), arrow.Date32FromTime(first.AddDate(0, 1, -1))
			if at = slices.Index(months, first.Format("2006-01")); at < 0 {
				at = len(months)
				months, rows = append(months, first.Format("2006-01")), append(rows, nil)
			}
		}
		rows[at] = append(rows[at], int32(i))
	}
	if len(months) == 1 {
		return t.add(partition{t.w.city, months[0]}, batch, nil)
	}
	for i, month := range months {
		if err := t.add(partition{t.w.city, month}, batch, rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// add puts rows of a batch into a partition, a row group's worth at a time.
func (t *TableWriter) add(at partition, batch arrow.RecordBatch, rows []int32) error {
	n := int(batch.NumRows())
	if rows != nil {
		n = len(rows)
	}
	if n == 0 {
		return nil
	}
	p := t.parts[at]
	if p == nil {
		var err error
		if p, err = t.open(at); err != nil {
			return named(at.month, err)
		}
	}
	for from := 0; from < n; {
		to := min(n, from+rowGroup-p.rows.n)
		switch {
		case rows != nil:
			p.rows.add(batch, rows[from:to])
		default:
			slice := batch.NewSlice(int64(from), int64(to))
			p.rows.add(slice, nil)
			slice.Release()
		}
		t.w.held += to - from
		from = to
		if p.rows.n >= rowGroup {
			if err := t.flush(p); err != nil {
				return named(at.month, err)
			}
		}
	}
	t.w.step("rows taken")
	for t.w.held > mostHeld {
		if err := t.w.flushLargest(); err != nil {
			return err
		}
	}
	return nil
}

func named(month string, err error) error {
	if month == "" {
		return err
	}
	return fmt.Errorf("%s: %w", month, err)
}

func (w *Writer) flushLargest() error {
	var most *part
	var of *TableWriter
	for _, t := range w.tables {
		for _, p := range t.parts {
			if most == nil || p.rows.n > most.rows.n {
				most, of = p, t
			}
		}
	}
	return named(most.month, of.flush(most))
}

// flush has what a partition holds sorted and written as a row group, while
// the next rows come.
func (t *TableWriter) flush(p *part) error {
	if p.rows.n == 0 {
		return nil
	}
	if err := p.wait(); err != nil {
		return err
	}
	full := p.rows
	t.w.held -= full.n
	p.total += int64(full.n)
	var err error
	if p.rows, err = t.buffer(); err != nil {
		return err
	}
	p.done = make(chan error, 1)
	t.w.work <- struct{}{}
	go func(done chan<- error) {
		defer func() { <-t.w.work }()
		err := p.writeGroup(full)
		full.reset()
		select {
		case t.spare <- full:
		default:
		}
		t.w.step("rows written")
		done <- err
	}(p.done)
	return nil
}

// buffer returns an empty one.
func (t *TableWriter) buffer() (*buffer, error) {
	select {
	case b := <-t.spare:
		return b, nil
	default:
		return newBuffer(t.schema, t.table)
	}
}

// writeGroup writes a row group, column by column.
func (p *part) writeGroup(rows *buffer) error {
	if err := p.pq.NewRowGroupChecked(); err != nil {
		return err
	}
	return rows.sorted(func(column arrow.Array) error {
		whole := arrow.NewChunked(column.DataType(), []arrow.Array{column})
		defer whole.Release()
		return p.pq.WriteColumnChunked(whole, 0, int64(whole.Len()))
	})
}

// wait lets a partition's row group be written to its end.
func (p *part) wait() error {
	if p.done == nil {
		return nil
	}
	err := <-p.done
	p.done = nil
	return err
}

func (t *TableWriter) open(at partition) (*part, error) {
	p, err := t.create(at, parquetName(t.w.base.Snapshot+1))
	if err != nil {
		return nil, err
	}
	t.parts[at] = p
	meta := arrow.NewMetadata([]string{"label", "table"}, []string{Label, t.table.Name})
	schema := arrow.NewSchema(t.schema.Fields(), &meta)
	if p.rows, err = t.buffer(); err != nil {
		return nil, err
	}
	p.pq, err = pqarrow.NewFileWriter(schema, p.file, t.props(),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	return p, err
}

// create makes a partition's file. Whoever has it enters it, so that Abort
// removes it.
func (t *TableWriter) create(at partition, name string) (*part, error) {
	rel := t.table.Name
	if at.month != "" {
		rel = filepath.Join(t.table.Name, "city="+at.city, "month="+at.month)
	}
	rel = filepath.Join(rel, name)
	full := filepath.Join(t.w.lake.dir, rel)
	if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
		return nil, err
	}
	p := &part{partition: at, path: filepath.ToSlash(rel), tmp: full + ".tmp"}
	file, err := t.w.create(p.tmp)
	if err != nil {
		return nil, err
	}
	p.file = &hashed{WriteCloser: file, sum: sha256.New()}
	t.w.step("file made")
	return p, nil
}

// props are how files are written.
func (t *TableWriter) props() *parquet.WriterProperties {
	options := []parquet.WriterProperty{
		parquet.WithCompression(pqcompress.Codecs.Zstd),
		parquet.WithCompressionLevel(pages.Level),
		parquet.WithMaxRowGroupLength(rowGroup),
		parquet.WithStats(true),
		parquet.WithCreatedBy("meguri"),
	}
	for _, field := range t.schema.Fields() {
		switch field.Type.ID() {
		case arrow.FIXED_SIZE_BINARY: // tokens repeat too seldom for a dictionary
			options = append(options, parquet.WithDictionaryFor(field.Name, false), parquet.WithStatsFor(field.Name, false))
			if slices.Contains(t.table.Own, field.Name) { // what never repeats does not become smaller
				options = append(options, parquet.WithCompressionFor(field.Name, pqcompress.Codecs.Uncompressed))
			}
		case arrow.DICTIONARY, arrow.STRING: // where rows do not lie by a word, each group has nearly all
			if !slices.Contains(t.table.Sort, field.Name) {
				options = append(options, parquet.WithStatsFor(field.Name, false))
			}
		}
	}
	return parquet.NewWriterProperties(options...)
}

// written are the files of a run, in order.
func (t *TableWriter) written() []*part {
	var all []*part
	for _, at := range slices.SortedFunc(maps.Keys(t.parts), partition.compare) {
		all = append(all, t.parts[at])
	}
	for _, at := range slices.SortedFunc(maps.Keys(t.carries), partition.compare) {
		all = append(all, t.carries[at])
	}
	return all
}

// Commit is what a run is entered with.
type Commit struct {
	Segments []int64           // of the personal plane, which are in now
	Policies map[string]string // version of the policy of each table that was written
	Epoch    uint32            // of the key that made the tokens; 0 for a run that makes none
	At       time.Time

	// Held and Known take the place of the manifest's, unless Known is empty.
	Held  []Held
	Known string

	// Erases has no snapshot of before stay, since rows that this one leaves out
	// must be nowhere.
	Erases bool
}

// Commit makes the rows part of the lake, in one step. It returns ErrEpoch
// when the lake holds tokens of another epoch.
func (w *Writer) Commit(c Commit) (Manifest, error) {
	m, err := w.commit(c)
	if err != nil {
		w.Abort()
		return Manifest{}, fmt.Errorf("commit lake: %w", err)
	}
	err = w.lake.forget(m) // the next Begin goes on if this is broken off
	w.end()
	return m, err
}

func (w *Writer) commit(c Commit) (Manifest, error) {
	if w.err != nil {
		return Manifest{}, w.err
	}
	if c.Epoch == 0 {
		c.Epoch = w.base.Epoch
	}
	if w.base.Epoch != 0 && w.base.Epoch != c.Epoch {
		return Manifest{}, ErrEpoch
	}
	m := w.base
	m.Label, m.Format, m.At, m.Epoch = Label, format, c.At.UTC(), c.Epoch
	m.Snapshot++
	m.Segments = append(slices.Clone(m.Segments), c.Segments...)
	slices.Sort(m.Segments)
	m.Policies = maps.Clone(m.Policies)
	if m.Policies == nil {
		m.Policies = map[string]string{}
	}
	maps.Copy(m.Policies, c.Policies)
	if c.Known != "" {
		m.Held, m.Known = c.Held, c.Known
	}
	if c.Erases {
		m.Erased = m.Snapshot
	}
	m.Files = slices.DeleteFunc(slices.Clone(m.Files), func(f File) bool { return w.gone[f.Path] })
	for _, name := range slices.Sorted(maps.Keys(w.tables)) {
		t := w.tables[name]
		for _, p := range t.written() {
			f, err := t.finish(p)
			if err != nil {
				return m, named(p.month, err)
			}
			m.Files = append(m.Files, f)
			if err := w.syncFolders(name, p.city); err != nil {
				return m, err
			}
		}
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if err := w.keepBase(); err != nil {
		return m, err
	}
	text, err := m.Text()
	if err != nil {
		return m, err
	}
	return m, writeDurably(w.lake.manifestPath(), text, w.step)
}

// syncFolders makes the names of folders durable that may be new.
func (w *Writer) syncFolders(table, city string) error {
	folders := []string{table, "."}
	if city != "" {
		folders = append(folders, filepath.Join(table, "city="+city))
	}
	for _, dir := range folders {
		if err := syncDir(filepath.Join(w.lake.dir, dir)); err != nil {
			return err
		}
	}
	return nil
}

// keepBase keeps the manifest of before for as-of reads.
func (w *Writer) keepBase() error {
	text, err := os.ReadFile(w.lake.manifestPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	path := w.lake.snapshotPath(w.base.Snapshot)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return writeDurably(path, text, func(string) {})
}

// finish closes a partition's file, makes it durable and gives it its name.
func (t *TableWriter) finish(p *part) (File, error) {
	if p.carried != nil {
		if err := errors.Join(p.carried.Close(), p.file.Close()); err != nil {
			return File{}, err
		}
	} else if err := errors.Join(t.flush(p), p.wait()); err != nil {
		return File{}, err
	} else if err := p.pq.Close(); err != nil {
		return File{}, err
	}
	// The Parquet writer has closed the file beneath it, so that a sync needs it
	// opened once more.
	full := filepath.Join(t.w.lake.dir, filepath.FromSlash(p.path))
	tmp, err := os.Open(p.tmp)
	if err != nil {
		return File{}, err
	}
	info, err := tmp.Stat()
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return File{}, err
	}
	t.w.step("file complete")
	if err := os.Rename(p.tmp, full); err != nil {
		return File{}, err
	}
	t.w.step("file named")
	if err := syncDir(filepath.Dir(full)); err != nil {
		return File{}, err
	}
	return File{Path: p.path, Table: t.table.Name, City: p.city, Month: p.month, Rows: p.total, Bytes: info.Size(),
		SHA256: hex.EncodeToString(p.file.sum.Sum(nil))}, nil
}

// Abort gives the run up and leaves the lake as it was. It does nothing after
// Commit.
func (w *Writer) Abort() {
	if w.ended { // the lake may be another run's by now
		return
	}
	for _, t := range w.tables {
		for _, p := range t.written() {
			_ = p.wait()       // whoever starts a goroutine waits for it
			_ = p.file.Close() // a file that does not count
		}
	}
	// What cannot be removed now is swept by the next run. The manifest is read
	// again because a commit may fail after it was put in place.
	if m, err := w.lake.Manifest(); err == nil {
		_ = w.lake.sweep(m)
	}
	for _, t := range w.tables {
		for _, p := range t.written() {
			dir := filepath.Dir(p.tmp) // its folders, if nothing else is in them
			for range 3 {
				if dir == w.lake.dir || os.Remove(dir) != nil {
					break
				}
				dir = filepath.Dir(dir)
			}
		}
	}
	w.end()
}

// end lets the next run begin.
func (w *Writer) end() {
	w.ended, w.err, w.tables = true, errEnded, nil
	w.unlock()
}
