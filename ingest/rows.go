package ingest

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// rowReader reads the rows of a file and reports how far it is.
type rowReader struct {
	*scanner
	in       *input
	progress func(done, total, rows int64)
	rows     int64
	reported time.Time
	fields   []string
	columns  int
}

func (rr *rowReader) header() ([]string, error) {
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

// row returns the next row with its fields, which are valid until the next
// call, or with what is wrong with it.
func (rr *rowReader) row() (record string, fields []string, f fault, err error) {
	raw, f, err := rr.next()
	if err != nil {
		return "", nil, f, err
	}
	rr.rows++
	if rr.rows%4096 == 0 {
		rr.report(false)
	}
	if !f.bad() {
		f = checkEncoding(raw, rr.in.encoding)
	}
	record = string(raw)
	if f.bad() {
		return record, nil, f, nil
	}
	fields, f = rr.split(record)
	return record, fields, f, nil
}

func (rr *rowReader) split(record string) ([]string, fault) {
	fields, err := splitFields(record, rr.comma, rr.fields[:0])
	rr.fields = fields
	if err != nil {
		return nil, fault{"", err.Error(), `write a quote inside a field twice ("") and put the field in quotes`}
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
