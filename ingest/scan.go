package ingest

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
)

// DefaultMaxRecordBytes is the longest row that is read.
const DefaultMaxRecordBytes = 1 << 20

// scanner cuts a CSV stream into records as RFC 4180 and encoding/csv do, but
// goes on after a fault. A row with a quoting fault costs its first line only:
// the scanner takes up again at the next line, because a stray quote must not
// swallow the rows after it. A row longer than max is skipped without being
// held in memory.
type scanner struct {
	r        io.Reader
	pieces   *readAhead // or nil: r is read from
	clean    bool       // checkEncoding finds nothing in what is unread
	comma    byte
	lines    bool // every line is a record, whatever its quotes
	max      int
	buf      []byte
	pos, end int   // buf[pos:end] is unread
	line     int64 // of the record returned last
	ahead    int64 // of buf[pos]
	err      error // what r said last, once it said something

	hash   *xxh3.Hasher // of all that was consumed, up to buf[hashed]
	hashed int
	offset int64
}

func newScanner(r io.Reader, comma byte, max int) *scanner {
	return &scanner{r: r, comma: comma, max: max, buf: make([]byte, blockBytes), ahead: 1, hash: xxh3.New()}
}

// newScannerAhead returns a scanner of what is read ahead of it.
func newScannerAhead(pieces *readAhead, comma byte, max int) *scanner {
	return &scanner{pieces: pieces, comma: comma, max: max, ahead: 1, hash: xxh3.New()}
}

// mark returns how many bytes were consumed and their hash.
func (s *scanner) mark() (offset int64, hash uint64) {
	_, _ = s.hash.Write(s.buf[s.hashed:s.pos]) // it never fails
	s.offset += int64(s.pos - s.hashed)
	s.hashed = s.pos
	return s.offset, s.hash.Sum64()
}

// sampleBytes of an over-long row are kept for the quarantine file.
const sampleBytes = 200

// cutMark ends a row of which only the beginning was kept, so that nobody takes
// it for the row.
const cutMark = "…[cut]"

// next returns the next record that is not an empty line, without its line
// end. Its bytes are never written again. A fault tells that the record, or the
// part of it that is returned, cannot be read. The error is io.EOF at the end,
// or the reader's; the part of a record before a failing read is not returned.
func (s *scanner) next() ([]byte, fault, error) {
	for {
		record, f, err := s.record()
		if err != nil || len(record) > 0 || f.bad() {
			return record, f, err
		}
	}
}

func (s *scanner) record() ([]byte, fault, error) {
	searched := 0
	for {
		data := s.buf[s.pos:s.end]
		nl := bytes.IndexByte(data[searched:], '\n')
		if nl < 0 {
			searched = len(data)
			switch {
			case len(data) > s.max:
				return s.skipLong()
			case s.err == nil:
				s.fill()
				continue
			case s.err != io.EOF:
				return nil, fault{}, s.err
			case len(data) == 0:
				return nil, fault{}, io.EOF
			}
			nl = 0 // the last line has no end
		}
		nl += searched
		if nl > s.max {
			return s.skipLong()
		}
		if s.lines || bytes.IndexByte(data[:nl], '"') < 0 {
			return s.take(nl, 1), fault{}, nil
		}
		end, lines, state := recordEnd(data, s.comma, s.err == io.EOF)
		switch {
		case state == ended && end <= s.max:
			return s.take(end, lines), fault{}, nil
		case state == unfinished && s.err == nil && len(data) <= s.max:
			s.fill()
			searched = 0
			continue
		case state == unfinished && s.err != nil && s.err != io.EOF:
			return nil, fault{}, s.err
		}
		problem := "a quote stands where none may stand"
		if state == unfinished || state == ended {
			problem = "a quote is opened and not closed"
		}
		return s.take(nl, 1), fault{"", problem, `write a quote inside a field twice ("") and put the field in quotes`}, nil
	}
}

// take consumes a record of n bytes and its line end.
func (s *scanner) take(n int, lines int64) []byte {
	record := s.buf[s.pos : s.pos+n]
	s.line, s.ahead = s.ahead, s.ahead+lines
	s.pos = min(s.pos+n+1, s.end)
	if n > 0 && record[n-1] == '\r' {
		record = record[:n-1]
	}
	return record
}

// skipLong consumes a line longer than max and returns its beginning.
func (s *scanner) skipLong() ([]byte, fault, error) {
	sample := append(bytes.Clone(s.buf[s.pos:min(s.pos+sampleBytes, s.end)]), cutMark...)
	s.line = s.ahead
	for {
		if nl := bytes.IndexByte(s.buf[s.pos:s.end], '\n'); nl >= 0 {
			s.pos += nl + 1
			s.ahead++
			break
		}
		s.pos = s.end
		s.drop()
		if s.err != nil {
			break // the next call reports it
		}
		s.fill()
	}
	return sample, fault{"", "the row is longer than the limit", "check for a missing line end; the rest of the row was skipped"}, nil
}

// drop leaves the buffer to the rows that are parts of it.
func (s *scanner) drop() {
	s.mark()
	if s.pieces == nil {
		s.buf = make([]byte, len(s.buf))
	}
	s.pos, s.end, s.hashed = 0, 0, 0
}

// fill reads more behind what is unread. What is read once stays where it is,
// since the texts of rows are parts of it.
func (s *scanner) fill() {
	rest := s.buf[s.pos:s.end]
	if s.pieces != nil {
		s.drop()
		b := s.pieces.next()
		if len(rest) == 0 {
			s.buf, s.clean = b.text, b.clean
		} else {
			s.buf, s.clean = slices.Concat(rest, b.text), s.clean && b.clean
		}
		s.end, s.err = len(s.buf), b.err
		return
	}
	if s.pos > 0 && len(s.buf)-s.end < len(s.buf)/16 {
		s.drop()
		s.end = copy(s.buf, rest)
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 || err != nil {
			return
		}
	}
	s.err = io.ErrNoProgress
}

type scanState int

const (
	ended      scanState = iota // the record ends at the offset
	unfinished                  // the data ends inside the record
	misquoted                   // a quote stands where none may stand
)

// recordEnd finds where the record at the start of data ends, and how many
// lines it takes. A quote opens only at the start of a field.
func recordEnd(data []byte, comma byte, final bool) (end int, lines int64, state scanState) {
	i := 0
	for { // a field
		if i < len(data) && data[i] == '"' {
			i++
			for { // inside quotes
				q := bytes.IndexByte(data[i:], '"')
				if q < 0 {
					return 0, 0, unfinished
				}
				lines += int64(bytes.Count(data[i:i+q], []byte{'\n'}))
				i += q + 1
				if i < len(data) && data[i] == '"' {
					i++
					continue
				}
				break
			}
			switch {
			case i == len(data) && final:
				return i, lines + 1, ended
			case i == len(data):
				return 0, 0, unfinished
			case data[i] == '\n':
				return i, lines + 1, ended
			case data[i] == '\r' && i+1 == len(data):
				if final {
					return i + 1, lines + 1, ended
				}
				return 0, 0, unfinished
			case data[i] == '\r' && data[i+1] == '\n':
				return i + 1, lines + 1, ended
			case data[i] != comma:
				return 0, 0, misquoted
			}
			i++
			continue
		}
		for ; ; i++ { // a bare field
			if i == len(data) {
				if final {
					return i, lines + 1, ended
				}
				return 0, 0, unfinished
			}
			if c := data[i]; c == comma {
				break
			} else if c == '\n' {
				return i, lines + 1, ended
			} else if c == '"' {
				return 0, 0, misquoted
			}
		}
		i++
	}
}

// splitPlain cuts a record without quotes. Fields are short, so it looks at
// eight bytes at a time rather than for each separator by itself.
func splitPlain(record string, comma byte, fields []string) []string {
	const low, high = 0x7f7f7f7f7f7f7f7f, 0x8080808080808080
	commas := uint64(comma) * 0x0101010101010101
	from, at := 0, 0
	for ; at+8 <= len(record); at += 8 {
		word := eight(record[at:]) ^ commas // a separator is a zero byte
		for found := ^((word&low + low) | word) & high; found != 0; found &= found - 1 {
			i := at + bits.TrailingZeros64(found)>>3
			fields = append(fields, record[from:i])
			from = i + 1
		}
	}
	for ; at < len(record); at++ {
		if record[at] == comma {
			fields = append(fields, record[from:at])
			from = at + 1
		}
	}
	return append(fields, record[from:])
}

// eight is the first eight bytes of a text as a number, which takes one
// instruction.
func eight(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

var errMisquoted = errors.New("a quote stands where none may stand")

// splitFields cuts a record that the scanner returned into its fields, which
// are parts of it wherever no quote is written twice. It appends to fields.
func splitFields(record string, comma byte, fields []string) ([]string, error) {
	if strings.IndexByte(record, '"') < 0 {
		return splitPlain(record, comma, fields), nil
	}
	for {
		if record == "" || record[0] != '"' {
			i := strings.IndexByte(record, comma)
			field, last := record, i < 0
			if !last {
				field = record[:i]
			}
			if strings.IndexByte(field, '"') >= 0 {
				return fields, errMisquoted
			}
			fields = append(fields, field)
			if last {
				return fields, nil
			}
			record = record[i+1:]
			continue
		}
		i, doubled := 1, false
		for {
			q := strings.IndexByte(record[i:], '"')
			if q < 0 {
				return fields, errMisquoted
			}
			i += q + 1
			if i < len(record) && record[i] == '"' {
				doubled = true
				i++
				continue
			}
			break
		}
		field := record[1 : i-1]
		if doubled {
			field = strings.ReplaceAll(field, `""`, `"`)
		}
		if strings.Contains(field, "\r\n") {
			field = strings.ReplaceAll(field, "\r\n", "\n")
		}
		fields = append(fields, field)
		if i == len(record) {
			return fields, nil
		}
		if record[i] != comma {
			return fields, errMisquoted
		}
		record = record[i+1:]
	}
}
