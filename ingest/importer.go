package ingest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"meguri/ingest/index"
)

// Format names the layout of a file.
type Format string

// The formats.
const (
	MitakaTransactions Format = "mitaka-transactions"
	CSV                Format = "csv"
)

// Options say how a file is read.
type Options struct {
	Format         Format
	Mapping        *Mapping // for CSV
	Source         string   // for MitakaTransactions; "mitaka" if empty
	Encoding       Encoding // Auto if empty; a mapping's own goes before
	MaxRecordBytes int      // DefaultMaxRecordBytes if zero

	// Progress, if set, is called a few times a second and at the end, with
	// the bytes of the file that were read, its size, and the rows read.
	Progress func(bytesDone, bytesTotal, rows int64)
}

// Summary tells what became of the rows. Read is always the sum of Accepted,
// Duplicate and Quarantined.
type Summary struct {
	ImportID    string
	Source      string
	Read        int64
	Accepted    int64
	Duplicate   int64
	Quarantined int64
	Segments    int64
	Bytes       int64 // of the file, as it lies on the disk
	Elapsed     time.Duration

	QuarantinePath string // empty if no row is there
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
	identities           string // the folder of runs
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
		now:        time.Now,
		chunkRows:  mostChunkRows,
		step:       func(string) {},
	}
	im.index = index.Open(im.identities)
	for _, folder := range []string{im.segments, im.quarantine, im.identities} {
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
	file       string
	quarantine quarantine
	indexed    int64     // rows in the index when the run began
	repeats    bool      // the last chunk had rows that were known
	late       []lateRow // rows that turned out bad when their text was gone
}

// lateRow is a row whose fault showed only against the index. Chunks do not
// hold the text of their rows, so it is fetched at the end.
type lateRow struct {
	line int64
	*fault
}

func (im *Importer) begin(ctx context.Context, source, file string) (*run, error) {
	r := &run{Importer: im, started: im.now(), file: file}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	r.summary.ImportID = r.started.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(random[:])
	r.summary.Source = source
	r.quarantine = quarantine{path: filepath.Join(im.quarantine, r.summary.ImportID+".csv"), name: file}
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
	return ImportRecord{ID: r.summary.ImportID, Source: r.summary.Source, File: r.file,
		StartedAt: r.started, FinishedAt: finished, Summary: r.summary}
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
	if err == nil {
		err = r.summary.check(seen)
	}
	// A run that was cancelled is registered as well.
	if perr := r.store.PutImport(context.WithoutCancel(ctx), r.record(finished)); err == nil {
		err = perr
	}
	return r.summary, err
}

// Import reads a file. The summary is valid with an error too: it tells what
// was kept before the run stopped. Importing the file again is always safe.
func (im *Importer) Import(ctx context.Context, path string, opts Options) (_ Summary, err error) {
	name := filepath.Base(path)
	encoding, source, comma := opts.Encoding, opts.Source, byte(',')
	switch opts.Format {
	case MitakaTransactions:
		if source == "" {
			source = "mitaka"
		}
	case CSV:
		m := opts.Mapping
		if m == nil || m.Record == "" {
			return Summary{}, fmt.Errorf("import %s: %w: the format csv needs a mapping", name, ErrMapping)
		}
		source, comma = m.Source, m.Delimiter[0]
		if m.Encoding != "" && m.Encoding != Auto {
			encoding = m.Encoding
		}
	default:
		return Summary{}, fmt.Errorf("import %s: there is no format %q: use %s or %s", name, opts.Format, MitakaTransactions, CSV)
	}
	if err := checkSource(source); err != nil {
		return Summary{}, fmt.Errorf("import %s: %w", name, err)
	}
	if opts.MaxRecordBytes <= 0 {
		opts.MaxRecordBytes = DefaultMaxRecordBytes
	}
	in, err := openInput(path, encoding)
	if err != nil {
		return Summary{}, fmt.Errorf("import: %w", err)
	}
	defer func() { _ = in.Close() }() // it was only read
	rows := &rowReader{scanner: newScanner(in, comma, opts.MaxRecordBytes), in: in, progress: opts.Progress}
	header, err := rows.header()
	if err != nil {
		return Summary{}, located(err, name)
	}
	var parse func(int64, []string, *Record) fault
	var mapped *mappedParser
	if opts.Format == MitakaTransactions {
		var p *mitakaParser
		if p, err = newMitakaParser(source, header); err == nil {
			parse = p.parse
		}
	} else if mapped, err = opts.Mapping.bind(header); err == nil {
		parse = mapped.parse
	}
	if err != nil {
		return Summary{}, located(err, name)
	}

	r, err := im.begin(ctx, source, name)
	if err != nil {
		return Summary{}, fmt.Errorf("import %s: %w", name, err)
	}
	switch {
	case mapped != nil && mapped.mapping.Record == PersonRows:
		err = importAttributes(ctx, r, rows, mapped.parsePerson, im.store.PutPersons)
	case mapped != nil && mapped.mapping.Record == ShopRows:
		err = importAttributes(ctx, r, rows, mapped.parseShop, im.store.PutShops)
	default:
		err = r.importPayments(ctx, rows, parse)
		name := mapped.columnOf
		if mapped == nil {
			name = mitakaColumn
		}
		if lerr := r.quarantineLate(path, encoding, comma, opts.MaxRecordBytes, name); err == nil {
			err = lerr
		}
	}
	rows.report(true)
	r.summary.Bytes = in.done.Load()
	if err == nil && r.summary.Read == 0 {
		err = ErrNoRows
	}
	summary, err := r.end(ctx, rows.rows, err)
	return summary, located(err, name)
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

// importPayments reads in this goroutine and commits in another; two chunks go
// back and forth between them.
func (r *run) importPayments(ctx context.Context, rows *rowReader, parse func(int64, []string, *Record) fault) error {
	group, both := errgroup.WithContext(ctx)
	type sorted struct {
		*chunk
		entries []Entry
	}
	ready, free := make(chan sorted), make(chan *chunk, 2)
	free <- &chunk{}
	free <- &chunk{}
	waiting := &waitingCancels{limit: r.chunkRows}
	defer waiting.close()
	var broken error // the file cannot be read further
	group.Go(func() error {
		defer close(ready)
		var record Record
		for broken == nil {
			var c *chunk
			select {
			case c = <-free:
			case <-both.Done():
				return both.Err()
			}
			for most := r.chunkSize(rows.rows); !c.full(most); {
				raw, fields, f, err := rows.row()
				if err != nil {
					broken = err
					break
				}
				if !f.bad() {
					f = parse(rows.line, fields, &record)
				}
				switch {
				case f.bad():
					c.addBad(rows.line, f, raw)
				case record.Kind.takesBack() != "":
					if err := waiting.add(&record, rows.line, raw); err != nil {
						return err
					}
				default:
					c.add(&record, rows.line)
				}
			}
			select {
			case ready <- sorted{c, c.sort()}:
			case <-both.Done():
				return both.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		for c := range ready {
			if err := r.commit(both, c.chunk, c.entries, nil); err != nil {
				return err
			}
			c.reset()
			free <- c.chunk
		}
		return both.Err()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := waiting.each(rows, parse, func(c *chunk) error { return r.commitCancels(ctx, c, nil) }); err != nil {
		return err
	}
	if broken != io.EOF {
		return broken
	}
	return nil
}

// quarantineLate reads the file once more and puts the late rows into
// quarantine, their fields named as the file names them.
func (r *run) quarantineLate(path string, encoding Encoding, comma byte, limit int, name func(string) string) error {
	if len(r.late) == 0 {
		return nil
	}
	slices.SortStableFunc(r.late, func(a, b lateRow) int { return cmp.Compare(a.line, b.line) })
	in, err := openInput(path, encoding)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	for rows, late := newScanner(in, comma, limit), r.late; len(late) > 0; {
		record, _, err := rows.next()
		if err != nil {
			return fmt.Errorf("the file changed while it was read: %w", err)
		}
		if rows.line == late[0].line {
			f := *late[0].fault
			f.field = name(f.field)
			if err := r.quarantine.add(badRow{rows.line, f, string(record)}); err != nil {
				return err
			}
			late = late[1:]
		}
	}
	return nil
}

// importAttributes reads persons or shops. A later row about the same one
// replaces the earlier; a row that changes nothing is a duplicate.
func importAttributes[T any](ctx context.Context, r *run, rows *rowReader,
	parse func(int64, []string) (T, fault), put func(context.Context, []T) (int64, error)) error {
	const most = 2000
	batch := make([]T, 0, most)
	flush := func() error {
		changed, err := put(ctx, batch)
		if err != nil {
			return err
		}
		if err := r.quarantine.flush(); err != nil {
			return err
		}
		r.summary.Read += int64(len(batch))
		r.summary.Accepted += changed
		r.summary.Duplicate += int64(len(batch)) - changed
		batch = batch[:0]
		return nil
	}
	for {
		raw, fields, f, err := rows.row()
		if err != nil {
			if ferr := flush(); ferr != nil {
				return ferr
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
		var v T
		if !f.bad() {
			v, f = parse(rows.line, fields)
		}
		if f.bad() {
			if err := r.quarantine.add(badRow{rows.line, f, raw}); err != nil {
				return err
			}
			r.summary.Read++
			r.summary.Quarantined++
			continue
		}
		if batch = append(batch, v); len(batch) == most {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}
