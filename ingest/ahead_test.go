package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// FuzzReadAhead: what is read and checked ahead gives the rows, faults, lines
// and marks that reading from the text itself gives, wherever blocks end.
func FuzzReadAhead(f *testing.F) {
	for _, seed := range []string{"a,b\nc,d\n", "店,\"a\n券\"\n\xff\n", "\x00\nx", strings.Repeat("長い", 100) + "行,b\nc\n", "\"a\n\"", "\"\na\n", "\uFFFD\n"} {
		f.Add([]byte(seed), uint8(5))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		rows := func(s *scanner, encoding Encoding) (list []string) {
			for {
				record, bad, err := s.next()
				if !bad.bad() && err == nil && !s.clean {
					bad = checkEncoding(record, encoding)
				}
				offset, hash := s.mark()
				list = append(list, fmt.Sprintf("%d %q %v %v %d %x", s.line, record, bad, err, offset, hash))
				if err != nil {
					return list
				}
			}
		}
		failing := func() io.Reader { return io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errors.New("broken"))) }
		for _, encoding := range []Encoding{UTF8, ShiftJIS} {
			for name, open := range map[string]func() io.Reader{
				"whole":   func() io.Reader { return bytes.NewReader(data) },
				"in bits": func() io.Reader { return iotest.OneByteReader(bytes.NewReader(data)) },
				"at once": func() io.Reader { return iotest.DataErrReader(bytes.NewReader(data)) },
				"failing": failing,
			} {
				want := rows(newScanner(open(), ',', 2*sampleBytes), encoding)
				pieces := newReadAhead(open(), encoding, int(size)+1)
				got := rows(newScannerAhead(pieces, ',', 2*sampleBytes), encoding)
				pieces.close()
				if !slices.Equal(got, want) {
					t.Fatalf("%s, blocks of %d: got\n%s\nwant\n%s", name, int(size)+1, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		}
	})
}

// TestReadAhead_Ends wherever its reader stops: before the first block, and
// with more ahead than it has room for.
func TestReadAhead_Ends(t *testing.T) {
	for taken := range 3 {
		pieces := newReadAhead(strings.NewReader(strings.Repeat("a,b\n", 1000)), UTF8, 8)
		for range taken {
			if b := pieces.next(); len(b.text) == 0 || b.err != nil {
				t.Fatalf("got %d bytes, %v", len(b.text), b.err)
			}
		}
		pieces.close()
		pieces.close()
	}
}

// FuzzValidUTF8 holds it against the standard library.
func FuzzValidUTF8(f *testing.F) {
	for _, seed := range []string{"", "abcdefgh店abcdefgh", "\xe3\x81", "\xed\xa0\x80", "\xe0\x80\x80", "12345678\xff", "𠮷野家", "é"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := validUTF8(text), utf8.Valid(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	})
}

// FuzzSplitPlain holds it against the standard library.
func FuzzSplitPlain(f *testing.F) {
	for _, seed := range []string{"", ",", "a,b", "一,二,三,,,,,,,", "12345678,\x2d\x2b,\xac\xac,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, record string) {
		for _, comma := range []byte{',', ';', '\t'} {
			if got, want := splitPlain(record, comma, nil), strings.Split(record, string(comma)); !slices.Equal(got, want) {
				t.Errorf("%q: got %q, want %q", record, got, want)
			}
		}
	})
}

// Every second of the years that a record may lie in is the one that
// time.Date says.
func TestParseTokyo_IsTimeDate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(earliest.Unix()-86400, latest.Unix()).Draw(t, "unix"), 0).In(tokyo)
		got, ok := parseTokyo(at.Format("2006/01/02 15:04:05"))
		if want := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, tokyo); !ok || got != want {
			t.Errorf("got %v, %v, want %v", got, ok, want)
		}
	})
}
