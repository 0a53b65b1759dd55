package ingest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// rowSource is a file's rows, whatever its format.
type rowSource interface {
	// header returns the names of the columns.
	header() ([]string, error)

	// row returns the next row as it came, with its fields, which are valid
	// until the next call, or with what is wrong with it.
	row() (raw string, fields []string, f fault, err error)

	// split returns the fields of a row that was set aside.
	split(raw string) ([]string, fault)

	at() int64           // the line of the row returned last
	seen() int64         // the rows returned
	notARow()            // the row returned last does not count
	mark() *position     // where another run could go on; nil if it could not
	resume(c Checkpoint) // skips what an earlier run dealt with
	report(final bool)
	bytes() int64
	Close() error
}

// position is a place between two rows of a file.
type position struct {
	offset, line, rows int64
	hash               uint64
	pending            []int64           // lines before it that are not dealt with
	days               map[dayKind]total // of the rows before it
}

// rowReader reads the rows of a text, CSV or JSON Lines.
type rowReader struct {
	*scanner
	in       *input
	flat     *flattener // of JSON Lines
	trailer  func(fields []string) bool
	progress func(done, total, rows int64)
	rows     int64
	reported time.Time
	fields   []string
	columns  int

	from    int64 // lines before it were dealt with by an earlier run
	pending []int64
	skipped int64
}

// openText opens a text. names are the columns of JSON Lines, which have no
// header.
func openText(path string, encoding Encoding, comma byte, max int, flat *flattener) (*rowReader, error) {
	in, err := openInput(path, encoding)
	if err != nil {
		return nil, err
	}
	rr := &rowReader{scanner: newScannerAhead(newReadAhead(in, in.encoding, blockBytes), comma, max), in: in, flat: flat}
	rr.lines = flat != nil
	return rr, nil
}

// Close ends what reads ahead, and closes the file.
func (rr *rowReader) Close() error {
	rr.pieces.close()
	return rr.in.Close()
}

func (rr *rowReader) at() int64    { return rr.line }
func (rr *rowReader) seen() int64  { return rr.rows }
func (rr *rowReader) notARow()     { rr.rows-- }
func (rr *rowReader) bytes() int64 { return rr.in.done.Load() }

func (rr *rowReader) mark() *position {
	offset, hash := rr.scanner.mark()
	return &position{offset: offset, hash: hash, line: rr.ahead, rows: rr.skipped + rr.rows}
}

func (rr *rowReader) resume(c Checkpoint) {
	rr.from, rr.pending = c.Line, slices.Sorted(slices.Values(c.Pending))
}

func (rr *rowReader) header() ([]string, error) {
	if rr.flat != nil {
		rr.columns = len(rr.flat.names)
		return rr.flat.names, nil
	}
	record, f, err := rr.next()
	switch {
	case err == io.EOF:
		return nil, ErrEmptyFile
	case err != nil:
		return nil, err
	}
	if f.bad() {
		return nil, &LineError{Line: rr.line, Problem: f.problem, Remedy: f.remedy, Err: ErrNotText}
	}
	if f := checkEncoding(record, rr.in.encoding); f.bad() {
		return nil, &LineError{Line: rr.line, Problem: f.problem, Remedy: f.remedy, Err: ErrEncoding}
	}
	names, err := splitFields(string(record), rr.comma, nil)
	if err != nil {
		return nil, &LineError{Line: rr.line, Problem: err.Error(), Err: ErrNotText}
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	rr.columns = len(names)
	return names, nil
}

func (rr *rowReader) row() (record string, fields []string, f fault, err error) {
	raw, f, err := rr.next()
	for err == nil && rr.line < rr.from { // dealt with, but for the pending ones
		if len(rr.pending) > 0 && rr.pending[0] == rr.line {
			rr.pending = rr.pending[1:]
			break
		}
		rr.skipped++
		raw, f, err = rr.next()
	}
	if err != nil {
		return "", nil, f, err
	}
	rr.rows++
	if rr.rows%4096 == 0 {
		rr.report(false)
	}
	if !f.bad() && !rr.clean {
		f = checkEncoding(raw, rr.in.encoding)
	}
	record = string(raw)
	if f.bad() {
		return record, nil, f, nil
	}
	if fields, f = rr.split(record); f.bad() && rr.rows == 1 && rr.skipped == 0 && rr.flat != nil && rr.flat.unknown {
		// What stands in the first record stands in all of them.
		return "", nil, f, &LineError{Line: rr.line, Field: f.field, Problem: f.problem, Remedy: f.remedy, Err: ErrUnknownColumn}
	}
	return record, fields, f, nil
}

func (rr *rowReader) split(record string) ([]string, fault) {
	if rr.flat != nil {
		return rr.flat.fields(record)
	}
	fields, err := splitFields(record, rr.comma, rr.fields[:0])
	rr.fields = fields
	if err != nil {
		return nil, fault{"", err.Error(), `write a quote inside a field twice ("") and put the field in quotes`}
	}
	if len(fields) < rr.columns && rr.trailer != nil && rr.trailer(fields) {
		for len(fields) < rr.columns {
			fields = append(fields, "")
		}
		rr.fields = fields
	}
	if len(fields) != rr.columns {
		return nil, fault{"", fmt.Sprintf("the row has %d fields and the header %d", len(fields), rr.columns),
			"check for a separator or a line end inside a field: put such a field in quotes"}
	}
	return fields, fault{}
}

func (rr *rowReader) report(final bool) {
	if rr.progress == nil {
		return
	}
	if now := time.Now(); final || now.Sub(rr.reported) > 200*time.Millisecond {
		rr.reported = now
		rr.progress(rr.in.done.Load(), rr.in.size, rr.rows)
	}
}
