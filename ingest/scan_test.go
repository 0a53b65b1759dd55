package ingest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

type scanned struct {
	line   int64
	fields []string
	bad    bool
}

func scanAll(t testing.TB, r io.Reader, max int) []scanned {
	t.Helper()
	s := newScanner(r, ',', max)
	s.buf = make([]byte, 16) // so that records cross the buffer's end
	var all []scanned
	for {
		record, f, err := s.next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		row := scanned{line: s.line, bad: f.bad()}
		if !row.bad {
			fields, err := splitFields(string(record), ',', nil)
			row.fields, row.bad = fields, err != nil
		}
		all = append(all, row)
	}
}

func TestScanner_GoesOnAfterAFault(t *testing.T) {
	long := strings.Repeat("x", 100)
	for name, c := range map[string]struct {
		in   string
		want []scanned
	}{
		"plain":                {"a,b\nc,d\n", []scanned{{1, []string{"a", "b"}, false}, {2, []string{"c", "d"}, false}}},
		"no last line end":     {"a\nb", []scanned{{1, []string{"a"}, false}, {2, []string{"b"}, false}}},
		"CRLF and empty lines": {"a\r\n\r\n\nb\r\n", []scanned{{1, []string{"a"}, false}, {4, []string{"b"}, false}}},
		"line end in quotes":   {"\"a\r\nb\",\"c\"\"d\"\ne\n", []scanned{{1, []string{"a\nb", `c"d`}, false}, {3, []string{"e"}, false}}},
		"stray quote":          {"a\"b,c\nd\n", []scanned{{1, nil, true}, {2, []string{"d"}, false}}},
		"text after a quote":   {"\"a\"b\nd\n", []scanned{{1, nil, true}, {2, []string{"d"}, false}}},
		"quote never closed":   {"\"a,b\nc\nd\n", []scanned{{1, nil, true}, {2, []string{"c"}, false}, {3, []string{"d"}, false}}},
		"over-long line":       {"a\n" + long + "\nb\n", []scanned{{1, []string{"a"}, false}, {2, nil, true}, {3, []string{"b"}, false}}},
		"over-long last line":  {"a\n" + long, []scanned{{1, []string{"a"}, false}, {2, nil, true}}},
		"over-long in quotes":  {"\"a\n" + strings.Repeat("b\n", 60) + "\"\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				got := scanAll(t, r, 64)
				if c.want == nil { // the first line is bad, the sixty after it are not
					if !got[0].bad || len(got) < 61 || got[60].bad {
						t.Errorf("got %d rows, first %+v", len(got), got[0])
					}
					continue
				}
				if !slices.EqualFunc(got, c.want, func(a, b scanned) bool {
					return a.line == b.line && a.bad == b.bad && (a.bad || slices.Equal(a.fields, b.fields))
				}) {
					t.Errorf("got %+v\nwant %+v", got, c.want)
				}
			}
		})
	}
}

// TestScanner_SkipsALineOfAnyLength reads a line of two gigabytes that exists
// only in a reader.
func TestScanner_SkipsALineOfAnyLength(t *testing.T) {
	size := int64(2 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	in := io.MultiReader(strings.NewReader("a,b\n"), io.LimitReader(endless{}, size), strings.NewReader("\nc,d\n"))
	s := newScanner(in, ',', DefaultMaxRecordBytes)
	var lines []int64
	var bad int
	for {
		_, f, err := s.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.bad() {
			bad++
		}
		lines = append(lines, s.line)
	}
	if !slices.Equal(lines, []int64{1, 2, 3}) || bad != 1 {
		t.Errorf("got lines %v, %d bad", lines, bad)
	}
	if len(s.buf) > 4*DefaultMaxRecordBytes {
		t.Errorf("the buffer grew to %d bytes", len(s.buf))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestScanner_ReturnsNoPartBeforeAFailingRead(t *testing.T) {
	failure := errors.New("gone")
	s := newScanner(io.MultiReader(strings.NewReader("a,b\nc,"), iotest.ErrReader(failure)), ',', 100)
	if record, _, err := s.next(); err != nil || string(record) != "a,b" {
		t.Fatalf("got %q, %v", record, err)
	}
	if record, _, err := s.next(); err != failure {
		t.Fatalf("got %q, %v", record, err)
	}
}

// FuzzScanner holds the scanner against encoding/csv: as far as that reads
// without a fault, both read the same.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{"a,b\nc,d\n", "\"a\"\"b\",c\r\nd", "\"a\nb\"\n\nx,\"\"\n", "a\"b\n\"c\"d\n", "\"", "\r", "a\r", "\"a\"\r", ",\n,,"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := csv.NewReader(bytes.NewReader(data))
		reader.FieldsPerRecord = -1
		got := scanAll(t, bytes.NewReader(data), 1<<20)
		for i := 0; ; i++ {
			want, err := reader.Read()
			if err == io.EOF {
				if i != len(got) {
					t.Fatalf("%d rows, encoding/csv has %d", len(got), i)
				}
				return
			}
			if err != nil {
				if i >= len(got) || !got[i].bad {
					t.Fatalf("row %d: encoding/csv says %v, we read %+v", i, err, got)
				}
				return
			}
			line, _ := reader.FieldPos(0)
			if i >= len(got) || got[i].bad || !slices.Equal(got[i].fields, want) || got[i].line != int64(line) {
				t.Fatalf("row %d: want line %d %q, got %+v", i, line, want, got)
			}
		}
	})
}
