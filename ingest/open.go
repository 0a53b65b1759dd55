package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/transform"
)

// Encoding names how a file's text is written.
type Encoding string

// The encodings. Auto reads UTF-8 where the first 64 KiB are valid UTF-8, and
// Shift_JIS (as Windows writes it, CP932) elsewhere.
const (
	Auto     Encoding = "auto"
	UTF8     Encoding = "utf-8"
	ShiftJIS Encoding = "shift_jis"
)

const sniffBytes = 64 << 10

// input is an open file as UTF-8 text, decompressed. A byte that is not text
// in the file's encoding arrives as invalid UTF-8 or as U+FFFD.
type input struct {
	io.Reader
	encoding Encoding
	size     int64        // of the file, as it lies on the disk
	done     atomic.Int64 // bytes of it that were read
	file     *os.File
}

// Close closes the file.
func (in *input) Close() error { return in.file.Close() }

func openInput(path string, encoding Encoding) (_ *input, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	in := &input{file: f}
	defer func() {
		if err != nil {
			_ = f.Close() // the reason above says more
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if in.size = info.Size(); info.IsDir() {
		return nil, fmt.Errorf("%s: %w: it is a folder", path, ErrNotText)
	}
	var r io.Reader = &countingReader{f, &in.done}
	raw := bufio.NewReaderSize(r, sniffBytes)
	if magic, _ := raw.Peek(4); bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) {
		zr, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, compressionError(err))
		}
		raw = bufio.NewReaderSize(&gzipReader{zr}, sniffBytes)
	} else if bytes.HasPrefix(magic, []byte("PK\x03\x04")) {
		return nil, fmt.Errorf("%s: %w: it is a zip archive or an Excel workbook: save it as CSV", path, ErrNotText)
	}
	head, err := raw.Peek(sniffBytes)
	if len(head) == 0 {
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return nil, fmt.Errorf("%s: %w", path, ErrEmptyFile)
	}
	in.encoding, err = sniff(head, encoding)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	in.Reader = raw
	if in.encoding == ShiftJIS {
		in.Reader = transform.NewReader(raw, japanese.ShiftJIS.NewDecoder())
	} else if bytes.HasPrefix(head, byteOrderMark) {
		if _, err := raw.Discard(len(byteOrderMark)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return in, nil
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// sniff decides the encoding from the head of a file.
func sniff(head []byte, want Encoding) (Encoding, error) {
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return "", fmt.Errorf("%w: it is UTF-16: save it as CSV UTF-8", ErrEncoding)
	}
	marked := bytes.HasPrefix(head, byteOrderMark)
	switch want {
	case ShiftJIS:
		if marked {
			return "", fmt.Errorf("%w: shift_jis was named, and the file starts with the mark of UTF-8", ErrEncoding)
		}
		return ShiftJIS, nil
	case UTF8:
		return UTF8, nil
	case Auto, "":
	default:
		return "", fmt.Errorf("%w: there is no encoding %q: use auto, utf-8 or shift_jis", ErrEncoding, want)
	}
	if marked || utf8.Valid(head) {
		return UTF8, nil
	}
	for cut := 1; cut < utf8.UTFMax && len(head) == sniffBytes; cut++ { // the head may end inside a character
		if utf8.Valid(head[:len(head)-cut]) {
			return UTF8, nil
		}
	}
	return ShiftJIS, nil
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// gzipReader gives the errors of a broken file their names.
type gzipReader struct{ zr *gzip.Reader }

func (g *gzipReader) Read(p []byte) (int, error) {
	n, err := g.zr.Read(p)
	return n, compressionError(err)
}

func compressionError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// checkEncoding returns what is wrong with the text of a record.
func checkEncoding(record []byte, encoding Encoding) fault {
	switch {
	case bytes.IndexByte(record, 0) >= 0:
		return fault{"", "the row holds a NUL byte", "export the file again as text"}
	case encoding == ShiftJIS && bytes.Contains(record, []byte("\uFFFD")):
		return fault{"", "the row holds bytes that are not Shift_JIS", "save the file as UTF-8, or give its encoding"}
	case !utf8.Valid(record):
		return fault{"", "the row holds bytes that are not UTF-8", "save the file as UTF-8, or give its encoding (shift_jis)"}
	}
	return fault{}
}
