package ingest

import (
	"bufio"
	"encoding/csv"
	"os"
	"strconv"
	"strings"
)

// quarantine is the file of an import's bad rows, made when the first one
// comes. It holds personal data and is readable by its owner alone.
//
// A row that a spreadsheet would take for a formula is written with an
// apostrophe before it.
type quarantine struct {
	path, name string
	file       *os.File
	buffered   *bufio.Writer
	csv        *csv.Writer
	rows       int64

	register   func(rows int64) error // tells the register; may be nil
	registered int64
}

var quarantineHeader = []string{"file", "line", "field", "problem", "remedy", "row"}

func (q *quarantine) add(b badRow) error {
	if q.file == nil {
		if q.register != nil { // before the file, so that none is unknown
			if err := q.register(0); err != nil {
				return err
			}
		}
		f, err := os.OpenFile(q.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		q.file, q.buffered = f, bufio.NewWriterSize(f, 64<<10)
		q.csv = csv.NewWriter(q.buffered)
		q.csv.UseCRLF = true
		if _, err := q.buffered.Write(byteOrderMark); err != nil {
			return err
		}
		if err := q.csv.Write(quarantineHeader); err != nil {
			return err
		}
	}
	q.rows++
	return q.csv.Write([]string{q.name, strconv.FormatInt(b.line, 10), b.field, b.problem, b.remedy, inert(b.row)})
}

// inert keeps a spreadsheet from taking a row for a formula; active undoes it.
func inert(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if startsFormula(s) || strings.HasPrefix(s, "'") && (startsFormula(s[1:]) || strings.HasPrefix(s[1:], "'")) {
		return "'" + s
	}
	return s
}

func active(s string) string {
	if rest, ok := strings.CutPrefix(s, "'"); ok && (startsFormula(rest) || strings.HasPrefix(rest, "'")) {
		return rest
	}
	return s
}

func startsFormula(s string) bool { return s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0 }

// flush writes out what was added, so that rows are in the file before they
// are counted.
func (q *quarantine) flush() error {
	if q.file == nil {
		return nil
	}
	q.csv.Flush()
	if err := q.csv.Error(); err != nil {
		return err
	}
	if err := q.buffered.Flush(); err != nil {
		return err
	}
	if q.register == nil || q.registered == q.rows {
		return nil
	}
	q.registered = q.rows
	return q.register(q.rows)
}

// sync makes what was added durable.
func (q *quarantine) sync() error {
	if q.file == nil {
		return nil
	}
	if err := q.flush(); err != nil {
		return err
	}
	return q.file.Sync()
}

// close makes the file durable.
func (q *quarantine) close() error {
	if q.file == nil {
		return nil
	}
	err := q.flush()
	if serr := q.file.Sync(); err == nil {
		err = serr
	}
	if cerr := q.file.Close(); err == nil {
		err = cerr
	}
	return err
}
