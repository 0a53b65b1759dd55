package ingest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"sync/atomic"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/transform"
)

// Encoding names how a file's text is written.
type Encoding string

// The encodings. Auto looks at the first 64 KiB; see sniff.
const (
	Auto     Encoding = "auto"
	UTF8     Encoding = "utf-8"
	ShiftJIS Encoding = "shift_jis" // as Windows writes it, CP932
	EUCJP    Encoding = "euc-jp"
)

var encodings = []Encoding{Auto, UTF8, ShiftJIS, EUCJP}

// Encodings lists them for messages.
func Encodings() string { return "auto, utf-8, shift_jis or euc-jp" }

const sniffBytes = 64 << 10

// input is an open file as UTF-8 text, decompressed. A byte that is not text
// in the file's encoding arrives as invalid UTF-8 or as U+FFFD.
type input struct {
	io.Reader
	encoding Encoding
	size     int64        // of the file, as it lies on the disk
	done     atomic.Int64 // bytes of it that were read
	file     *os.File
	end      func() // of the decompressor, if it has something to free
}

// Close closes the file.
func (in *input) Close() error {
	if in.end != nil {
		in.end()
	}
	return in.file.Close()
}

func openInput(path string, encoding Encoding) (_ *input, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	in := &input{file: f}
	defer func() {
		if err != nil {
			_ = in.Close() // the reason above says more
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
	switch magic, _ := raw.Peek(4); {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		zr, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, compressionError(err))
		}
		raw = bufio.NewReaderSize(&unpacked{zr}, sniffBytes)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// What a file unpacks to passes through a window of this size, however
		// much it is.
		zr, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20),
			zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, compressionError(err))
		}
		in.end = zr.Close
		raw = bufio.NewReaderSize(&unpacked{zr}, sniffBytes)
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")):
		return nil, fmt.Errorf("%s: %w: it is a zip archive or an Excel workbook: save it as CSV", path, ErrNotText)
	case bytes.Equal(magic, parquetMagic):
		return nil, fmt.Errorf("%s: %w: it is Parquet: write format: parquet in its mapping", path, ErrNotText)
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
	if decoder := in.encoding.decoder(); decoder != nil {
		in.Reader = transform.NewReader(raw, decoder.NewDecoder())
	} else if bytes.HasPrefix(head, byteOrderMark) {
		if _, err := raw.Discard(len(byteOrderMark)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return in, nil
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// decoder returns what turns the encoding into UTF-8, or nil.
func (e Encoding) decoder() encoding.Encoding {
	switch e {
	case ShiftJIS:
		return japanese.ShiftJIS
	case EUCJP:
		return japanese.EUCJP
	}
	return nil
}

// sniff decides the encoding from the head of a file. What is valid UTF-8 is
// UTF-8. Of the two others EUC-JP must show itself: nearly every text in it
// also reads as Shift_JIS, though as rows of half-width katakana. Where both
// are possible and neither shows itself, somebody must say which it is.
func sniff(head []byte, want Encoding) (Encoding, error) {
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return "", fmt.Errorf("%w: it is UTF-16: save it as CSV UTF-8", ErrEncoding)
	}
	marked := bytes.HasPrefix(head, byteOrderMark)
	switch want {
	case ShiftJIS, EUCJP:
		if marked {
			return "", fmt.Errorf("%w: %s was named, and the file starts with the mark of UTF-8", ErrEncoding, want)
		}
		return want, nil
	case UTF8:
		return UTF8, nil
	case Auto, "":
	default:
		return "", fmt.Errorf("%w: there is no encoding %q: use %s", ErrEncoding, want, Encodings())
	}
	if marked || utf8.Valid(head) {
		return UTF8, nil
	}
	for cut := 1; cut < utf8.UTFMax && len(head) == sniffBytes; cut++ { // the head may end inside a character
		if utf8.Valid(head[:len(head)-cut]) {
			return UTF8, nil
		}
	}
	sjis, euc := lookAt(head, ShiftJIS), lookAt(head, EUCJP)
	switch {
	case euc.bad > 0: // what is neither goes to quarantine row by row
		return ShiftJIS, nil
	case sjis.bad > 0:
		return EUCJP, nil
	case 2*sjis.halfKana < sjis.others:
		return ShiftJIS, nil
	case 10*euc.kana >= euc.others:
		return EUCJP, nil
	}
	return "", fmt.Errorf("%w: its text can be read as Shift_JIS and as EUC-JP: "+
		"say which it is, with encoding: in the mapping or with --encoding", ErrEncoding)
}

// looks counts the characters of a text that are not ASCII.
type looks struct{ others, kana, halfKana, bad int }

func lookAt(head []byte, e Encoding) (l looks) {
	for whole := head; ; {
		text, _, err := transform.Bytes(e.decoder().NewDecoder(), whole)
		if err != nil {
			l.bad++
			return l
		}
		if cut := len(head) == sniffBytes && len(whole) > len(head)-2 && bytes.HasSuffix(text, []byte("\uFFFD")); cut {
			whole = whole[:len(whole)-1] // the head may end inside a character
			continue
		}
		for _, c := range string(text) {
			switch {
			case c < utf8.RuneSelf:
				continue
			case c == utf8.RuneError:
				l.bad++
			case c >= 0xff61 && c <= 0xff9f:
				l.halfKana++
			case c >= 0x3041 && c <= 0x30fc:
				l.kana++
			}
			l.others++
		}
		return l
	}
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

// unpacked gives the errors of a broken file their names.
type unpacked struct{ r io.Reader }

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	return n, compressionError(err)
}

// zstdFaults are what the decompressor says of a file that it cannot read.
var zstdFaults = []error{zstd.ErrReservedBlockType, zstd.ErrCompressedSizeTooBig, zstd.ErrBlockTooSmall, zstd.ErrUnexpectedBlockSize,
	zstd.ErrMagicMismatch, zstd.ErrWindowSizeExceeded, zstd.ErrWindowSizeTooSmall, zstd.ErrDecoderSizeExceeded,
	zstd.ErrUnknownDictionary, zstd.ErrFrameSizeExceeded, zstd.ErrFrameSizeMismatch, zstd.ErrCRCMismatch}

func compressionError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for _, fault := range zstdFaults {
		if errors.Is(err, fault) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}

var encodingNames = map[Encoding]string{ShiftJIS: "Shift_JIS", EUCJP: "EUC-JP"}

// checkEncoding returns what is wrong with the text of a record.
func checkEncoding(record []byte, encoding Encoding) fault {
	switch {
	case bytes.IndexByte(record, 0) >= 0:
		return fault{"", "the row holds a NUL byte", "export the file again as text"}
	case encoding.decoder() != nil && bytes.Contains(record, []byte("\uFFFD")):
		return fault{"", "the row holds bytes that are not " + encodingNames[encoding], "save the file as UTF-8, or give its encoding"}
	case !validUTF8(record):
		return fault{"", "the row holds bytes that are not UTF-8", "save the file as UTF-8, or give its encoding (shift_jis, euc-jp)"}
	}
	return fault{}
}

// validUTF8 is utf8.Valid, quicker where ASCII and Japanese text take turns:
// the standard one takes to bytes at the first character beyond ASCII.
func validUTF8(text []byte) bool {
	for i := 0; i < len(text); {
		if len(text)-i >= 8 {
			beyond := binary.LittleEndian.Uint64(text[i:]) & 0x8080808080808080
			if beyond == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(beyond) / 8
		} else if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		if c := text[i]; c > 0xe0 && c < 0xed && len(text)-i >= 3 && text[i+1]&0xc0 == 0x80 && text[i+2]&0xc0 == 0x80 {
			i += 3 // kana and kanji; the ranges of their second and third byte have no exception
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return false
		}
		i += size
	}
	return true
}
