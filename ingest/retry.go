package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The reasons for which a quarantine file is not taken again.
var (
	ErrNoQuarantine = errors.New("there is no such quarantine file: see the list")
	ErrSettled      = errors.New("the quarantine file was retried or discarded before")
	ErrRowsGone     = errors.New("rows of the quarantine file are gone: " +
		"leave rows that cannot be corrected as they are, they come into a new quarantine file, which can be discarded with a reason")
)

// QuarantineRow is a row of a quarantine file.
type QuarantineRow struct {
	Line                   int64 // in the file that it came from
	Field, Problem, Remedy string
	Row                    string // as it came, or as it was corrected
}

// Quarantines returns the register of quarantine files, the oldest first.
func (im *Importer) Quarantines(ctx context.Context) ([]Quarantine, error) {
	list, err := im.store.Quarantines(ctx)
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	return list, nil
}

// QuarantinePath returns where a quarantine file lies.
func (im *Importer) QuarantinePath(id string) string { return filepath.Join(im.quarantine, id+".csv") }

func (im *Importer) quarantineOf(ctx context.Context, id string) (Quarantine, error) {
	list, err := im.store.Quarantines(ctx)
	if err != nil {
		return Quarantine{}, err
	}
	at := slices.IndexFunc(list, func(q Quarantine) bool { return q.ImportID == id })
	if at < 0 {
		return Quarantine{}, ErrNoQuarantine
	}
	return list[at], nil
}

// Show calls fn with the rows of a quarantine file.
func (im *Importer) Show(ctx context.Context, id string, fn func(QuarantineRow) error) error {
	if _, err := im.quarantineOf(ctx, id); err != nil {
		return fmt.Errorf("quarantine %s: %w", id, err)
	}
	rows, err := openQuarantine(im.QuarantinePath(id), DefaultMaxRecordBytes)
	if err != nil {
		return located(err, id+".csv")
	}
	defer func() { _ = rows.Close() }() // it was only read
	for {
		row, f, err := rows.read()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return located(err, id+".csv")
		case f.bad():
			return located(&LineError{Line: rows.outer.line, Field: f.field, Problem: f.problem, Remedy: f.remedy, Err: ErrNotText}, id+".csv")
		}
		if err := fn(row); err != nil {
			return err
		}
	}
}

// Discard closes a quarantine file whose rows nobody will correct. The file
// stays until the office erases it by its rules.
func (im *Importer) Discard(ctx context.Context, id, by, reason string) error {
	if strings.TrimSpace(reason) == "" || by == "" {
		return fmt.Errorf("quarantine %s: %w: a discard needs a reason and a name", id, ErrInvalid)
	}
	q, err := im.quarantineOf(ctx, id)
	if err == nil {
		q.State, q.ChangedAt, q.ChangedBy, q.Reason = QuarantineDiscarded, im.now(), by, reason
		err = im.settle(ctx, q)
	}
	if err != nil {
		return fmt.Errorf("quarantine %s: %w", id, err)
	}
	return nil
}

// QuarantineEnds tells the register that a quarantine file goes, whose time is up.
// A file that is not registered, or not open, goes without a word.
func (im *Importer) QuarantineEnds(ctx context.Context, name string) error {
	q, err := im.quarantineOf(ctx, strings.TrimSuffix(name, ".csv"))
	if errors.Is(err, ErrNoQuarantine) || err == nil && q.State != QuarantineOpen {
		return nil
	}
	if err == nil {
		q.State, q.ChangedAt, q.ChangedBy, q.Reason = QuarantineDiscarded, im.now(), "meguri", "保存期間の満了 / retention ended"
		err = im.settle(ctx, q)
	}
	if err != nil {
		return fmt.Errorf("quarantine %s: %w", name, err)
	}
	return nil
}

func (im *Importer) settle(ctx context.Context, q Quarantine) error {
	settled, err := im.store.SettleQuarantine(ctx, q)
	if err == nil && !settled {
		err = ErrSettled
	}
	return err
}

// Retry imports the rows of a quarantine file, which an office has corrected in
// place or in a copy of it, through the mapping that they first came by. Rows
// that still do not hold come into a new quarantine file.
func (im *Importer) Retry(ctx context.Context, id, corrected, by string) (_ Summary, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("quarantine %s: %w", id, err)
		}
	}()
	q, err := im.quarantineOf(ctx, id)
	if err != nil {
		return Summary{}, err
	}
	if q.State != QuarantineOpen {
		return Summary{}, ErrSettled
	}
	var l layout
	if err := json.Unmarshal([]byte(q.Layout), &l); err != nil {
		return Summary{}, fmt.Errorf("the register is damaged: %w", err)
	}
	if corrected == "" {
		corrected = im.QuarantinePath(id)
	}
	if err := im.rowsStand(corrected, q.Rows); err != nil {
		return Summary{}, located(err, filepath.Base(corrected))
	}
	var summary Summary
	if l.Format == apiFormat {
		summary, err = im.retryRecords(ctx, corrected, l.Source)
	} else {
		summary, err = im.retryRows(ctx, q, l, corrected)
	}
	if err != nil {
		return summary, err
	}
	q.State, q.ChangedAt, q.ChangedBy, q.RetriedAs = QuarantineRetried, im.now(), by, summary.ImportID
	return summary, im.settle(ctx, q)
}

// rowsStand refuses a file with fewer rows than were put into it: a row that
// vanished in a spreadsheet would be lost in silence.
func (im *Importer) rowsStand(path string, want int64) error {
	rows, err := openQuarantine(path, DefaultMaxRecordBytes)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // it was only read
	for n := int64(0); ; n++ {
		if _, _, err := rows.read(); err == io.EOF {
			if n < want {
				return fmt.Errorf("%w: it has %d of %d", ErrRowsGone, n, want)
			}
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (im *Importer) retryRows(ctx context.Context, q Quarantine, l layout, path string) (Summary, error) {
	p := &plan{layout: l}
	var m *Mapping
	if l.Format != MitakaTransactions {
		var err error
		if m, err = ParseMapping(l.MapFile, []byte(l.Mapping)); err != nil {
			return Summary{}, err
		}
		m.Source = l.Source // of the provider, as it came
	}
	p.open = func() (rowSource, error) {
		rows, err := openQuarantine(path, DefaultMaxRecordBytes)
		if err != nil {
			return nil, err
		}
		rows.names, rows.comma = l.Header, ','
		switch l.Format {
		case JSONL:
			var problem string
			if rows.flat, problem = newFlattener(l.Header, m.Ignore); problem != "" {
				err = fmt.Errorf("%w: %s", ErrMapping, problem)
			}
		case CSV:
			rows.comma = m.Delimiter[0]
		}
		return rows, err
	}
	var err error
	if p.rows, err = p.open(); err != nil {
		return Summary{}, located(err, filepath.Base(path))
	}
	defer func() { _ = p.rows.Close() }() // it was only read
	if err := p.bind(m); err != nil {
		return Summary{}, located(err, q.File)
	}
	r, err := im.begin(ctx, l.Source, p.dataset(), q.File, q.Layout)
	if err != nil {
		return Summary{}, err
	}
	err = r.read(ctx, p)
	r.summary.Bytes = p.rows.bytes()
	summary, err := r.end(ctx, p.rows.seen(), err)
	return summary, located(err, filepath.Base(path))
}

// retryRecords takes records that came over an API, which stand in the file as
// JSON.
func (im *Importer) retryRecords(ctx context.Context, path, source string) (Summary, error) {
	rows, err := openQuarantine(path, DefaultMaxRecordBytes)
	if err != nil {
		return Summary{}, err
	}
	defer func() { _ = rows.Close() }() // it was only read
	var records []Record
	for {
		row, f, err := rows.read()
		if err == io.EOF {
			return im.Add(ctx, source, records)
		}
		if err != nil {
			return Summary{}, err
		}
		var record Record
		decoder := json.NewDecoder(strings.NewReader(row.Row))
		decoder.DisallowUnknownFields()
		if f.bad() || decoder.Decode(&record) != nil {
			return Summary{}, located(&LineError{Line: rows.outer.line, Field: "row", Problem: "the row is not the record in JSON that it was",
				Remedy: "change its values only", Err: ErrNotText}, filepath.Base(path))
		}
		records = append(records, record)
	}
}

// quarantineReader gives the rows of a quarantine file as those of the file
// that they came from, with their lines.
type quarantineReader struct {
	outer *rowReader
	flat  *flattener
	comma byte
	names []string
	line  int64
	value []string
}

func openQuarantine(path string, max int) (*quarantineReader, error) {
	// A row is written with its quotes doubled, beside problem and remedy.
	outer, err := openText(path, Auto, ',', 2*max+4096, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: its file is gone from %s", err, filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	header, err := outer.header()
	if err == nil && !slices.Equal(header, quarantineHeader) {
		err = &LineError{Line: 1, Problem: "it is no quarantine file", Err: ErrMissingColumn,
			Remedy: "keep the columns " + strings.Join(quarantineHeader, ", ")}
	}
	if err != nil {
		_ = outer.Close() // the reason above says more
		return nil, err
	}
	return &quarantineReader{outer: outer}, nil
}

// read returns the next row of the quarantine file itself.
func (q *quarantineReader) read() (QuarantineRow, fault, error) {
	_, fields, f, err := q.outer.row()
	if err != nil || f.bad() {
		return QuarantineRow{}, f, err
	}
	line, perr := strconv.ParseInt(strings.TrimSpace(fields[1]), 10, 64)
	if perr != nil || line < 1 {
		return QuarantineRow{}, fault{"line", "the line is no number", "leave the column as it was"}, nil
	}
	return QuarantineRow{line, fields[2], fields[3], fields[4], active(fields[5])}, fault{}, nil
}

func (q *quarantineReader) header() ([]string, error) { return q.names, nil }
func (q *quarantineReader) at() int64                 { return q.line }
func (q *quarantineReader) seen() int64               { return q.outer.seen() }
func (q *quarantineReader) notARow()                  { q.outer.notARow() }
func (q *quarantineReader) mark() *position           { return nil }
func (q *quarantineReader) resume(Checkpoint)         {}
func (q *quarantineReader) report(bool)               {}
func (q *quarantineReader) bytes() int64              { return q.outer.bytes() }
func (q *quarantineReader) Close() error              { return q.outer.Close() }

func (q *quarantineReader) row() (string, []string, fault, error) {
	row, f, err := q.read()
	if err != nil {
		return "", nil, f, err
	}
	q.line = row.Line
	switch {
	case f.bad():
		q.line = q.outer.line
		return "", nil, f, nil
	case strings.HasSuffix(row.Row, cutMark):
		return row.Row, nil, fault{"", "only the beginning of the row was kept",
			"write the whole row, from the file that it came from"}, nil
	case strings.Contains(row.Row, "\uFFFD"):
		return row.Row, nil, fault{"", "the row holds characters that were lost",
			"write them again, from the file that the row came from"}, nil
	}
	fields, f := q.split(row.Row)
	return row.Row, fields, f, nil
}

func (q *quarantineReader) split(raw string) (fields []string, f fault) {
	if q.flat != nil {
		return q.flat.fields(raw)
	}
	fields, err := splitFields(raw, q.comma, q.value[:0])
	if q.value = fields; err != nil || len(fields) != len(q.names) {
		return nil, fault{"", fmt.Sprintf("the row has not the %d fields of the file's header", len(q.names)),
			"write it as in the file that it came from"}
	}
	return fields, fault{}
}
