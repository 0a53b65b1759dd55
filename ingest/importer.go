package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"meguri/ingest/index"
)

// Format names the layout of a file.
type Format string

// The formats. All but the first need a mapping.
const (
	MitakaTransactions Format = "mitaka-transactions"
	CSV                Format = "csv"
	JSONL              Format = "jsonl"   // JSON Lines: an object a line
	Parquet            Format = "parquet" // its columns' types must fit exactly

	apiFormat Format = "api" // records that came over an API
)

// Options say how a file is read.
type Options struct {
	Format         Format   // a mapping's own if empty
	Mapping        *Mapping // for all formats but MitakaTransactions
	Source         string   // for MitakaTransactions; "mitaka" if empty
	Encoding       Encoding // Auto if empty; a mapping's own goes before
	MaxRecordBytes int      // DefaultMaxRecordBytes if zero
	Totals         []Told   // what the source says that it sent

	// Progress, if set, is called a few times a second and at the end, with
	// the bytes of the file that were read, its size, and the rows read.
	Progress func(bytesDone, bytesTotal, rows int64)
}

// Summary tells what became of the rows. Read is always the sum of Accepted,
// Duplicate and Quarantined.
type Summary struct {
	ImportID    string
	Source      string
	Dataset     string
	Read        int64
	Accepted    int64
	Duplicate   int64
	Quarantined int64
	Resumed     int64 // rows before them that an earlier import of the file dealt with
	Segments    int64
	Bytes       int64 // of the file, as it lies on the disk
	Elapsed     time.Duration

	Days     []DayTotal    // of the rows that hold, from the file's beginning
	Totals   []TotalCheck  // what the source told, if it did
	Ahead    time.Duration // by how much the latest row lay after this machine's clock
	Warnings []Warning

	QuarantinePath string // empty if no row is there
}

// Warning is something strange in rows that were taken all the same.
type Warning struct {
	Field, Problem  string
	Rows, FirstLine int64
}

// Differs tells whether the source's totals are not what was read.
func (s *Summary) Differs() bool {
	return slices.ContainsFunc(s.Totals, func(t TotalCheck) bool { return !t.Agrees() })
}

// check compares the rows that were dealt with to those that the reader saw.
func (s *Summary) check(seen int64) error {
	if s.Read != seen || s.Read != s.Accepted+s.Duplicate+s.Quarantined {
		return fmt.Errorf("%d rows came in, but %d were dealt with: %d accepted, %d duplicate, %d quarantined: this is a fault of the program",
			seen, s.Read, s.Accepted, s.Duplicate, s.Quarantined)
	}
	return nil
}

// Importer takes in records. It may be used by several goroutines, and several
// processes may share its folder and its store.
type Importer struct {
	store                Store
	index                *index.Index
	segments, quarantine string
	identities           string            // the folder of runs
	held                 string            // the folder of rows that the pipeline holds
	ways                 map[string]string // source → provider; see SetWays
	now                  func() time.Time
	chunkRows            int
	step                 func(string) // where a test kills the process
}

// Rows are committed in chunks. The index is a B-tree of hashes, so a commit
// touches most of its pages: the more rows a commit has, sorted, the fewer
// pages are written per row. A chunk therefore has an eighth of the rows that
// the index has, within bounds: small ones keep reader and writer busy side by
// side, and the largest takes about 100 MB while it waits.
const (
	leastChunkRows = 64 << 10
	mostChunkRows  = 512 << 10
)

func (r *run) chunkSize(read int64) int {
	return int(min(max((r.indexed+read)/8, leastChunkRows), int64(r.chunkRows)))
}

// Open returns an importer that keeps its files under dir/personal. It removes
// what a crash left: files that were being written and segments that no
// transaction registered.
func Open(ctx context.Context, dir string, store Store) (*Importer, error) {
	im := &Importer{
		store:      store,
		segments:   filepath.Join(dir, "personal", "segments"),
		quarantine: filepath.Join(dir, "personal", "quarantine"),
		identities: filepath.Join(dir, "personal", "identities"),
		held:       filepath.Join(dir, "personal", "held"),
		now:        time.Now,
		chunkRows:  mostChunkRows,
		step:       func(string) {},
	}
	im.index = index.Open(im.identities)
	for _, folder := range []string{im.segments, im.quarantine, im.identities, im.held} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("open importer: %w", err)
		}
	}
	if err := store.Sweep(ctx, im.sweep); err != nil {
		return nil, fmt.Errorf("open importer: %w", err)
	}
	runs, err := store.Runs(ctx)
	if err == nil && len(runs) == 0 {
		err = im.reindex(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open importer: %w", err)
	}
	return im, nil
}

// Close lets the files of the index go.
func (im *Importer) Close() error { return im.index.Close() }

// sweep removes files that are not registered and misses none that is.
func (im *Importer) sweep(registered map[string]bool) error {
	present := map[string]bool{}
	for folder, suffix := range map[string]string{im.segments: ".arrow", im.identities: runSuffix} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			present[name] = true
			orphan := strings.HasSuffix(name, suffix) && !registered[name]
			if orphan || strings.HasPrefix(name, temporaryPrefix) {
				if err := os.Remove(filepath.Join(folder, name)); err != nil {
					return err
				}
			}
		}
	}
	for name := range registered {
		if !present[name] {
			return fmt.Errorf("%s is registered and its file is gone: restore the folder %s from the backup that belongs to the database",
				name, filepath.Dir(im.segments))
		}
	}
	return nil
}

// run is one import.
type run struct {
	*Importer
	summary    Summary
	started    time.Time
	way        string // whose cursor moves, where it is not the source
	file       string
	layout     string // how the file is read, for the register
	continues  string // the import before this one that read the file's beginning
	from       int64  // lines before it were counted by that import
	quarantine quarantine
	indexed    int64     // rows in the index when the run began
	repeats    bool      // the last chunk had rows that were known
	late       []lateRow // rows that turned out bad when their text was gone
	tally      tally
	trailer    *trailerRow
	told       []Told
	trailers   []int64 // lines of trailers
}

// lateRow is a row whose fault showed only against the index. Chunks do not
// hold the text of their rows, so it is fetched at the end.
type lateRow struct {
	line int64
	*fault
}

func (im *Importer) begin(ctx context.Context, source, dataset, file, layout string) (*run, error) {
	r := &run{Importer: im, started: im.now(), file: file, layout: layout}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	r.summary.ImportID = r.started.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(random[:])
	r.summary.Source, r.summary.Dataset = source, dataset
	r.quarantine = quarantine{path: filepath.Join(im.quarantine, r.summary.ImportID+".csv"), name: file,
		register: func(rows int64) error {
			return im.store.PutQuarantine(context.WithoutCancel(ctx), Quarantine{ImportID: r.summary.ImportID, Source: source,
				Dataset: dataset, File: file, Rows: rows, OpenedAt: r.started, Layout: layout})
		}}
	segments, err := im.store.Segments(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range segments {
		r.indexed += s.Rows
	}
	return r, im.store.PutImport(ctx, r.record(time.Time{}))
}

func (r *run) record(finished time.Time) ImportRecord {
	return ImportRecord{ID: r.summary.ImportID, Source: r.summary.Source, Dataset: r.summary.Dataset, File: r.file,
		StartedAt: r.started, FinishedAt: finished, Continues: r.continues, Summary: r.summary}
}

// end closes the run whatever happened in it and returns its summary; seen are
// the rows that came in.
func (r *run) end(ctx context.Context, seen int64, err error) (Summary, error) {
	if cerr := r.quarantine.close(); err == nil {
		err = cerr
	}
	if r.quarantine.rows > 0 {
		r.summary.QuarantinePath = r.quarantine.path
	}
	finished := r.now()
	r.summary.Elapsed = finished.Sub(r.started)
	r.summary.Days, r.summary.Ahead = dayTotals(r.tally.snapshot()), max(r.tally.ahead, 0)
	if err == nil {
		err = r.summary.check(seen)
	}
	if err == nil && len(r.told) > 0 {
		r.summary.Totals = compareTotals(r.told, r.summary.Days)
	}
	// A run that was cancelled is registered as well.
	if perr := r.store.PutImport(context.WithoutCancel(ctx), r.record(finished)); err == nil {
		err = perr
	}
	return r.summary, err
}

// Import reads a file. The summary is valid with an error too: it tells what
// was kept before the run stopped. Importing the file again is always safe, and
// goes on where the run stopped if the file is still the same.
func (im *Importer) Import(ctx context.Context, path string, opts Options) (_ Summary, err error) {
	name := filepath.Base(path)
	if opts, err = im.ofProvider(ctx, opts); err != nil {
		return Summary{}, located(err, name)
	}
	p, err := openPlan(path, opts)
	if err != nil {
		return Summary{}, located(err, name)
	}
	defer func() { _ = p.rows.Close() }() // it was only read
	r, err := im.begin(ctx, p.layout.Source, p.dataset(), name, p.layout.text())
	if err != nil {
		return Summary{}, located(err, name)
	}
	r.told = slices.Clone(opts.Totals)
	if err = r.resume(ctx, p); err == nil {
		err = r.read(ctx, p)
	}
	p.rows.report(true)
	r.summary.Bytes = p.rows.bytes()
	if err == nil && r.summary.Read+r.summary.Resumed == 0 {
		err = ErrNoRows
	}
	if err == nil {
		err = im.store.DropCheckpoint(ctx, p.layout.Source, name)
	}
	summary, err := r.end(ctx, p.rows.seen(), err)
	return summary, located(err, name)
}

// read takes all rows in.
func (r *run) read(ctx context.Context, p *plan) error {
	r.trailer = p.trailer()
	switch {
	case p.mapped != nil && p.mapped.mapping.Record == PersonRows:
		return importAttributes(ctx, r, p.rows, p.mapped.parsePerson, r.store.PutPersons)
	case p.mapped != nil && p.mapped.mapping.Record == ShopRows:
		return importAttributes(ctx, r, p.rows, p.mapped.parseShop, r.store.PutShops)
	case p.mapped != nil && p.mapped.mapping.Record == SettlementRows:
		return importAttributes(ctx, r, p.rows, p.mapped.parseSettlement, r.store.PutSettlements)
	}
	waiting := &waitingCancels{limit: r.chunkRows}
	defer waiting.close()
	var err error
	if p.mapped != nil && p.mapped.mapping.dataset != nil {
		d := p.mapped.mapping.dataset
		err = r.importRows(ctx, p.rows, func() *chunk { return &chunk{set: newColumns(d)} }, waiting, r.takeRow(p))
	} else {
		err = r.importRows(ctx, p.rows, func() *chunk { return &chunk{} }, waiting, r.takePayment(p, waiting))
	}
	if broken := (*brokenFile)(nil); err == nil || errors.As(err, &broken) {
		// What a file holds before the break is kept, its cancellations too.
		if werr := waiting.each(p.rows, p.parse, func(c *chunk) error { return r.commitCancels(ctx, c, nil) }); werr != nil {
			err = werr
		} else if broken != nil {
			err = broken.error
		}
	}
	if lerr := r.quarantineLate(p); err == nil {
		err = lerr
	}
	return err
}

// located says in which file an error happened.
func located(err error, name string) error {
	if line := (*LineError)(nil); errors.As(err, &line) {
		line.File = name
		return fmt.Errorf("import: %w", err)
	}
	if err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	return nil
}
