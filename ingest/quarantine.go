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
}

var quarantineHeader = []string{"file", "line", "field", "problem", "remedy", "row"}

func (q *quarantine) add(b badRow) error {
	if q.file == nil {
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

func inert(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0 {
		return "'" + s
	}
	return s
}

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
	return q.buffered.Flush()
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
