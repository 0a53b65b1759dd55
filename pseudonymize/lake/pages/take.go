package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Group is a row group, ready to be written by a [Writer].
type Group struct {
	rows    int
	columns []column
}

// Rows is how many rows it has.
func (g *Group) Rows() int { return g.rows }

// column is a column of a row group.
type column struct {
	codec    compress.Compression
	words    []byte // the page of its dictionary, if coded
	wordsN   int
	wordsAs  parquet.Encoding
	coded    bool
	plain    bool // it has pages without codes
	pages    []page
	counted  bool // there are statistics
	limits   limits
	nulls    int64
	original *original // it is copied as it lies, and there are no pages
}

// page is a data page, compressed.
type page struct {
	rows     int
	encoding parquet.Encoding
	data     []byte
	size     int // before it was compressed
}

// stretch is rows, or values, from one to before another.
type stretch struct{ from, to int }

// Take reads a row group without the rows at places, which ascend, and compresses
// it as a file with such properties is. Where no row goes, columns are copied as
// they lie in source, which is the file of r, but for those whose dictionary has a
// word that no row has: it may be of a row of another group.
func Take(r *file.Reader, source io.ReaderAt, group int, places []int64, props *parquet.WriterProperties) (*Group, error) {
	rows := int(r.RowGroup(group).NumRows())
	stay := make([]stretch, 0, len(places)+1)
	from := 0
	for _, p := range places {
		if int(p) < from || int(p) >= rows {
			return nil, fmt.Errorf("row group %d has no row %d after row %d", group, p, from-1)
		}
		if int(p) > from {
			stay = append(stay, stretch{from, int(p)})
		}
		from = int(p) + 1
	}
	if from < rows {
		stay = append(stay, stretch{from, rows})
	}
	g := &Group{rows: rows - len(places)}
	for i := range r.MetaData().Schema.NumColumns() {
		var c column
		whole, err := len(places) == 0, error(nil)
		if whole {
			whole, err = needsAllWords(r, group, i)
		}
		switch {
		case err != nil:
		case whole:
			c, err = copyColumn(r, source, group, i)
		default:
			c, err = takeColumn(r, group, i, stay, props)
		}
		if err != nil {
			return nil, fmt.Errorf("row group %d, column %s: %w", group, r.MetaData().Schema.Column(i).Path(), err)
		}
		g.columns = append(g.columns, c)
	}
	return g, nil
}

// needsAllWords tells whether each word of a column's dictionary, if it has one,
// is of one of its rows. It reads pages until it knows.
func needsAllWords(r *file.Reader, group, i int) (bool, error) {
	if begin := r.MetaData().RowGroups[group].Columns[i].MetaData.DictionaryPageOffset; begin == nil || *begin == 0 {
		return true, nil
	}
	t := taking{of: r.MetaData().Schema.Column(i)}
	var err error
	if t.width, err = widthOf(t.of); err != nil {
		return false, err
	}
	var seen []uint32
	unseen := 0
	err = eachPage(r, group, i, func(p *file.DictionaryPage) error {
		err := t.takeWords(p)
		seen, unseen = make([]uint32, len(t.words)), len(t.words)
		return err
	}, func(p *file.DataPageV1, _ int) error {
		if unseen == 0 {
			return errEnough
		}
		if !byCode(parquet.Encoding(p.Encoding())) {
			return nil
		}
		l, data, err := t.levels(p)
		if err != nil {
			return err
		}
		codes, err := t.codes(data, l.values(int(p.NumValues())))
		unseen -= mark(seen, codes, unseen)
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return unseen == 0, err
}

var errEnough = errors.New("enough pages were read")

// taking is what a column is taken with.
type taking struct {
	column
	of     *schema.Column
	width  int // of a value in bytes; 0 for text
	values []rawPage
	words  [][]byte // of the dictionary
	limit  bool     // smallest and largest are wanted
}

// rawPage is a data page with the rows that stay.
type rawPage struct {
	rows     int
	encoding parquet.Encoding
	codes    []uint32 // of words, or flags
	data     []byte   // levels with their length, if there are any, and then values that have no codes
}

func takeColumn(r *file.Reader, group, i int, stay []stretch, props *parquet.WriterProperties) (column, error) {
	t := taking{of: r.MetaData().Schema.Column(i)}
	var err error
	if t.width, err = widthOf(t.of); err != nil {
		return column{}, err
	}
	meta := r.MetaData().RowGroups[group].Columns[i].MetaData
	t.codec = props.CompressionFor(t.of.Path())
	if s := meta.Statistics; s != nil {
		t.counted, t.limit = true, s.IsSetMinValue() || s.IsSetMaxValue()
	}
	err = eachPage(r, group, i, t.takeWords, func(p *file.DataPageV1, at int) error {
		return t.takePage(p, within(stay, at, at+int(p.NumValues())))
	})
	if err != nil {
		return column{}, err
	}
	return t.finish()
}

// eachPage calls fn with the pages of a column, and with the place of their first
// row.
func eachPage(r *file.Reader, group, i int, words func(*file.DictionaryPage) error, fn func(p *file.DataPageV1, at int) error) error {
	reader, err := r.RowGroup(group).GetColumnPageReader(i)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // it was only read
	at, rows := 0, int(r.RowGroup(group).NumRows())
	for reader.Next() {
		switch p := reader.Page().(type) {
		case *file.DictionaryPage:
			err = words(p)
		case *file.DataPageV1:
			if at+int(p.NumValues()) > rows {
				return fmt.Errorf("its pages have more rows than %d", rows)
			}
			err = fn(p, at)
			at += int(p.NumValues())
		default:
			err = fmt.Errorf("%w: a page of type %v", errors.ErrUnsupported, p.Type())
		}
		if err != nil {
			return err
		}
	}
	if err := reader.Err(); err != nil {
		return err
	}
	if at != rows {
		return fmt.Errorf("its pages have %d rows of %d", at, rows)
	}
	return nil
}

// Find returns the places of the rows of a row group that have a value which is
// looked for, in a column of values of one width.
func Find(r *file.Reader, group, i int, is func(value []byte) bool) (places []int64, err error) {
	t := taking{of: r.MetaData().Schema.Column(i)}
	if t.width, err = widthOf(t.of); err == nil && t.width == 0 {
		err = fmt.Errorf("%w: values without a width", errors.ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	err = eachPage(r, group, i, t.takeWords, func(p *file.DataPageV1, at int) error {
		if parquet.Encoding(p.Encoding()) != parquet.Encodings.Plain {
			return fmt.Errorf("%w: values as %v", errors.ErrUnsupported, p.Encoding())
		}
		levels, data, err := t.levels(p)
		if err != nil {
			return err
		}
		for row := range int(p.NumValues()) {
			if !levels.has(row) {
				continue
			}
			if len(data) < t.width {
				return errValues
			}
			if is(data[:t.width]) {
				places = append(places, int64(at+row))
			}
			data = data[t.width:]
		}
		return nil
	})
	return places, err
}

// widthOf is how many bytes a value has, or 0 where each says so itself. A flag
// has one bit.
func widthOf(c *schema.Column) (int, error) {
	if c.MaxRepetitionLevel() > 0 || c.MaxDefinitionLevel() > 1 {
		return 0, fmt.Errorf("%w: a nested column", errors.ErrUnsupported)
	}
	switch c.PhysicalType() {
	case parquet.Types.Int32, parquet.Types.Float:
		return 4, nil
	case parquet.Types.Int64, parquet.Types.Double:
		return 8, nil
	case parquet.Types.FixedLenByteArray:
		return c.TypeLength(), nil
	case parquet.Types.ByteArray, parquet.Types.Boolean:
		return 0, nil
	}
	return 0, fmt.Errorf("%w: values of type %v", errors.ErrUnsupported, c.PhysicalType())
}

// within are stretches as far as they lie between two rows, counted from the first.
func within(all []stretch, from, to int) (some []stretch) {
	first, _ := slices.BinarySearchFunc(all, from, func(s stretch, at int) int {
		if s.to <= at {
			return -1
		}
		return 1
	})
	for _, s := range all[first:] {
		if s.from >= to {
			break
		}
		some = append(some, stretch{max(s.from, from) - from, min(s.to, to) - from})
	}
	return some
}

func length(all []stretch) (n int) {
	for _, s := range all {
		n += s.to - s.from
	}
	return n
}

func (t *taking) takeWords(p *file.DictionaryPage) error {
	if t.column.words != nil {
		return errors.New("two dictionaries")
	}
	t.coded = true
	t.column.words, t.wordsN, t.wordsAs = append([]byte{}, p.Data()...), int(p.NumValues()), parquet.Encoding(p.Encoding())
	if t.of.PhysicalType() == parquet.Types.Boolean {
		return fmt.Errorf("%w: a dictionary of flags", errors.ErrUnsupported)
	}
	var err error
	t.words, err = t.split(t.column.words, t.wordsN)
	return err
}

// split are the values of a plain page.
func (t *taking) split(data []byte, n int) ([][]byte, error) {
	all := make([][]byte, 0, min(n, len(data)))
	for range n {
		size, skip := t.width, 0
		if size == 0 {
			if len(data) < 4 {
				return nil, errValues
			}
			size, skip = int(binary.LittleEndian.Uint32(data)), 4
		}
		if len(data)-skip < size {
			return nil, errValues
		}
		all = append(all, data[skip:skip+size])
		data = data[skip+size:]
	}
	return all, nil
}

var errValues = errors.New("a page's values are cut off")

// takePage takes the rows of a page that stay. The page is the reader's, so what
// stays of it is copied.
func (t *taking) takePage(p *file.DataPageV1, stay []stretch) error {
	raw := rawPage{rows: length(stay), encoding: parquet.Encoding(p.Encoding())}
	if raw.rows == 0 {
		return nil
	}
	levels, data, err := t.levels(p)
	if err != nil {
		return err
	}
	values := int(p.NumValues()) // how many the page has
	if t.of.MaxDefinitionLevel() > 0 {
		raw.data, values, stay = t.takeLevels(levels, values, stay)
	}
	switch {
	case byCode(raw.encoding):
		raw.codes, err = t.codes(data, values)
		raw.codes = only(raw.codes, stay)
	case t.of.PhysicalType() == parquet.Types.Boolean && raw.encoding == parquet.Encodings.Plain:
		raw.codes, err = readPacked(make([]uint32, 0, values), data, 1, values)
		raw.codes = only(raw.codes, stay)
	case t.of.PhysicalType() == parquet.Types.Boolean && raw.encoding == parquet.Encodings.RLE:
		if len(data) < 4 {
			return errHybrid
		}
		raw.codes, err = readHybrid(make([]uint32, 0, values), data[4:], 1, values)
		raw.codes = only(raw.codes, stay)
	case raw.encoding == parquet.Encodings.Plain:
		t.plain = true
		raw.data, err = t.takeValues(raw.data, data, values, stay)
	default:
		err = fmt.Errorf("%w: values as %v", errors.ErrUnsupported, raw.encoding)
	}
	t.values = append(t.values, raw)
	return err
}

// codes are those of the n values of a page.
func (t *taking) codes(data []byte, n int) ([]uint32, error) {
	if n == 0 {
		return nil, nil
	}
	if len(data) == 0 {
		return nil, errHybrid
	}
	codes, err := readHybrid(make([]uint32, 0, n), data[1:], int(data[0]), n)
	for _, code := range codes {
		if int(code) >= len(t.words) {
			return nil, errors.New("a page has a code beyond its dictionary")
		}
	}
	return codes, err
}

// levels tell which rows of a page have a value.
type levels struct {
	each []uint32 // of every row; nil where all are one
	one  uint32
}

func (l levels) has(row int) bool {
	if l.each == nil {
		return l.one == 1
	}
	return l.each[row] == 1
}

// values is how many of n rows have one.
func (l levels) values(n int) int {
	switch {
	case l.each != nil:
		return present(l.each)
	case l.one == 0:
		return 0
	}
	return n
}

// levels are those of a page, and data its values.
func (t *taking) levels(p *file.DataPageV1) (l levels, data []byte, err error) {
	data = p.Data()
	if t.of.MaxDefinitionLevel() == 0 {
		return levels{one: 1}, data, nil
	}
	if p.DefinitionLevelEncoding() != parquet.Encodings.RLE {
		return l, nil, fmt.Errorf("%w: levels as %v", errors.ErrUnsupported, p.DefinitionLevelEncoding())
	}
	if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
		return l, nil, errHybrid
	}
	end := 4 + int(binary.LittleEndian.Uint32(data))
	n, is := int(p.NumValues()), false
	if l.one, is = oneRun(data[4:end], n); !is {
		l.each, err = readHybrid(make([]uint32, 0, n), data[4:end], 1, n)
	}
	return l, data[end:], err
}

// takeLevels says which of n rows that stay have a value, how many values there
// are, and which of them stay.
func (t *taking) takeLevels(l levels, n int, stay []stretch) (page []byte, values int, valuesStay []stretch) {
	page = make([]byte, 4, 16)
	if l.each == nil {
		page = appendRun(page, l.one, length(stay), 1)
		if values, valuesStay = n, stay; l.one == 0 {
			values, valuesStay = 0, nil
			t.nulls += int64(length(stay))
		}
	} else {
		kept, at := make([]uint32, 0, n), 0
		for _, s := range stay {
			values += present(l.each[at:s.from])
			n := present(l.each[s.from:s.to])
			if n > 0 {
				valuesStay = append(valuesStay, stretch{values, values + n})
			}
			values += n
			t.nulls += int64(s.to - s.from - n)
			kept = append(kept, l.each[s.from:s.to]...)
			at = s.to
		}
		values += present(l.each[at:])
		page = appendHybrid(page, kept, 1)
	}
	binary.LittleEndian.PutUint32(page, uint32(len(page)-4))
	return page, values, valuesStay
}

func present(levels []uint32) (n int) {
	for _, l := range levels {
		n += int(l)
	}
	return n
}

// only are the numbers that stay, in their own place.
func only(codes []uint32, stay []stretch) []uint32 {
	to := 0
	for _, s := range stay {
		if s.to > len(codes) { // an error stopped the reading
			break
		}
		to += copy(codes[to:], codes[s.from:s.to])
	}
	return codes[:to]
}

// takeValues appends the values of a plain page that stay to its levels.
func (t *taking) takeValues(levels, data []byte, n int, stay []stretch) ([]byte, error) {
	if t.width > 0 {
		if len(data) < n*t.width {
			return nil, errValues
		}
		kept := append(make([]byte, 0, len(levels)+length(stay)*t.width), levels...)
		for _, s := range stay {
			kept = append(kept, data[s.from*t.width:s.to*t.width]...)
		}
		return kept, t.limits.ofAll(t, kept[len(levels):], length(stay))
	}
	all, err := t.split(data, n)
	if err != nil {
		return nil, err
	}
	kept := append(make([]byte, 0, len(levels)+len(data)), levels...)
	for _, s := range stay {
		for _, text := range all[s.from:s.to] {
			kept = append(binary.LittleEndian.AppendUint32(kept, uint32(len(text))), text...)
		}
	}
	return kept, t.limits.ofAll(t, kept[len(levels):], length(stay))
}

func byCode(e parquet.Encoding) bool {
	return e == parquet.Encodings.RLEDict || e == parquet.Encodings.PlainDict
}

// finish has codes be those of the words that are left, and compresses pages.
func (t *taking) finish() (column, error) {
	flags := t.of.PhysicalType() == parquet.Types.Boolean
	width := 1
	if t.coded {
		width = t.shrink()
	} else if flags && t.limit {
		t.limits.ofFlags(t.values)
	}
	var codec compress.Codec
	if t.codec != compress.Codecs.Uncompressed {
		var err error
		if codec, err = compress.GetCodec(t.codec); err != nil {
			return column{}, err
		}
	}
	for _, raw := range t.values {
		body := raw.data
		switch {
		case byCode(raw.encoding):
			body = appendHybrid(append(body, byte(width)), raw.codes, width)
		case !flags:
		case raw.encoding == parquet.Encodings.Plain:
			body = appendPacked(body, raw.codes, 1)
		default:
			at := len(body)
			body = appendHybrid(append(body, 0, 0, 0, 0), raw.codes, 1)
			binary.LittleEndian.PutUint32(body[at:], uint32(len(body)-at-4))
		}
		p := page{rows: raw.rows, encoding: raw.encoding, size: len(body)}
		if codec == nil {
			p.data = body
		} else if len(body) > 0 {
			p.data = codec.EncodeLevel(make([]byte, 0, codec.CompressBound(int64(len(body)))), body, Level)
		}
		t.pages = append(t.pages, p)
	}
	return t.column, nil
}

// mark sets as of each word that codes name, until no word is left of so many that
// had none, and returns of how many it did.
func mark(as, codes []uint32, left int) (n int) {
	for _, code := range codes {
		if as[code] == 0 {
			as[code] = 1
			if n++; n == left {
				break
			}
		}
	}
	return n
}

// shrink has the dictionary lose the words that no row has any more, and returns
// how many bits a code has.
func (t *taking) shrink() int {
	as := make([]uint32, len(t.words)) // the new code and one
	unseen := len(as)
	for _, raw := range t.values {
		if unseen > 0 {
			unseen -= mark(as, raw.codes, unseen)
		}
	}
	n := uint32(0)
	for word, used := range as {
		if used == 0 {
			continue
		}
		n++
		as[word] = n
		if t.limit {
			t.limits.of(t.of, t.words[word])
		}
	}
	if int(n) < len(t.words) {
		left := make([]byte, 0, len(t.column.words))
		for word, used := range as {
			if used == 0 {
				continue
			}
			if t.width == 0 {
				left = binary.LittleEndian.AppendUint32(left, uint32(len(t.words[word])))
			}
			left = append(left, t.words[word]...)
		}
		t.column.words, t.wordsN = left, int(n)
		for _, raw := range t.values {
			for i, code := range raw.codes {
				raw.codes[i] = as[code] - 1
			}
		}
	}
	return max(bits.Len32(n-min(n, 1)), 1)
}
