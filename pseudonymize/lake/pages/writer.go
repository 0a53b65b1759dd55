package pages

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Level is how hard pages are compressed: what stays was compressed once before,
// and most of it, pseudonyms, does not become smaller.
const Level = 1

const magic = "PAR1"

// original is where a column lies that is copied.
type original struct {
	from  *file.Reader
	bytes []byte
	group int
	begin int64 // in its file
}

// copyColumn reads a column that is to be written as it lies.
func copyColumn(r *file.Reader, source io.ReaderAt, group, i int) (column, error) {
	meta := r.MetaData().RowGroups[group].Columns[i].MetaData
	begin := meta.DataPageOffset
	if d := meta.DictionaryPageOffset; d != nil && *d > 0 {
		begin = min(begin, *d)
	}
	o := &original{from: r, group: group, begin: begin, bytes: make([]byte, meta.TotalCompressedSize)}
	_, err := source.ReadAt(o.bytes, begin)
	return column{original: o}, err
}

// Writer writes row groups as a file. It does not close what it writes to.
type Writer struct {
	to     counted
	buffer *bufio.Writer // under it, for the many small headers
	props  *parquet.WriterProperties
	schema *schema.Schema
	meta   *metadata.FileMetaDataBuilder
	groups int16
}

// counted knows how much was written.
type counted struct {
	io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *counted) Tell() int64 { return c.n }

// NewWriter begins a file whose columns and whose words about itself are those of
// another.
func NewWriter(to io.Writer, like *file.Reader, props *parquet.WriterProperties) (*Writer, error) {
	buffer := bufio.NewWriterSize(to, 256<<10)
	w := &Writer{to: counted{Writer: buffer}, buffer: buffer, props: props, schema: like.MetaData().Schema,
		meta: metadata.NewFileMetadataBuilder(like.MetaData().Schema, props, like.MetaData().KeyValueMetadata())}
	_, err := io.WriteString(&w.to, magic)
	return w, err
}

// Write adds a row group, which must be of a file with the same columns. One
// without rows is none.
func (w *Writer) Write(g *Group) error {
	if g.rows == 0 {
		return nil
	}
	if len(g.columns) != w.schema.NumColumns() {
		return errors.New("a row group has other columns")
	}
	group := w.meta.AppendRowGroup()
	group.SetNumRows(g.rows)
	for i, c := range g.columns {
		var err error
		if meta := group.NextColumnChunk(); c.original != nil {
			err = w.copy(c.original, i, meta)
		} else {
			err = w.write(c, i, meta)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", w.schema.Column(i).Path(), err)
		}
	}
	w.groups++
	return group.Finish(w.to.n, w.groups-1)
}

func (w *Writer) write(c column, i int, meta *metadata.ColumnChunkMetaDataBuilder) error {
	of := w.schema.Column(i)
	if c.codec != w.props.CompressionFor(of.Path()) {
		return fmt.Errorf("it was compressed as %v for another file", c.codec)
	}
	pager, err := file.NewPageWriter(&w.to, c.codec, Level, meta, w.groups, int16(i), memory.DefaultAllocator, false, nil, nil)
	if err != nil {
		return err
	}
	if c.coded {
		if _, err := pager.WriteDictionaryPage(file.NewDictionaryPage(memory.NewBufferBytes(c.words), int32(c.wordsN), c.wordsAs)); err != nil {
			return err
		}
	}
	for _, p := range c.pages {
		page := file.NewDataPageV1(memory.NewBufferBytes(p.data), int32(p.rows), p.encoding, parquet.Encodings.RLE, parquet.Encodings.RLE, int32(p.size))
		_, err := pager.WriteDataPage(page)
		page.Release()
		if err != nil {
			return err
		}
	}
	if c.counted {
		stats := metadata.EncodedStatistics{Signed: of.SortOrder() == schema.SortSIGNED}
		stats.SetNullCount(c.nulls)
		if c.limits.known {
			stats.SetMin(bytes.Clone(c.limits.low)).SetMax(bytes.Clone(c.limits.high)) // the footer keeps them, and no page with them
			stats.ApplyStatSizeLimits(int(w.props.MaxStatsSizeFor(of.Path())))
		}
		meta.SetStats(stats)
	}
	return pager.Close(c.coded, c.coded && c.plain)
}

// copy writes a column as it lay, and says where it lies now.
func (w *Writer) copy(o *original, i int, meta *metadata.ColumnChunkMetaDataBuilder) error {
	was := o.from.MetaData().RowGroups[o.group].Columns[i].MetaData
	by := w.to.n - o.begin
	if _, err := w.to.Write(o.bytes); err != nil {
		return err
	}
	info := metadata.ChunkMetaInfo{NumValues: was.NumValues, IndexPageOffset: -1, DataPageOffset: was.DataPageOffset + by,
		CompressedSize: was.TotalCompressedSize, UncompressedSize: was.TotalUncompressedSize}
	if d := was.DictionaryPageOffset; d != nil && *d > 0 {
		info.DictPageOffset = *d + by
	}
	if err := meta.Finish(info, info.DictPageOffset > 0, false, metadata.EncodingStats{}); err != nil {
		return err
	}
	is := meta.Contents().MetaData
	is.Codec, is.Encodings, is.EncodingStats, is.Statistics = was.Codec, was.Encodings, was.EncodingStats, was.Statistics
	_, err := meta.WriteTo(&w.to)
	return err
}

// Close writes the footer.
func (w *Writer) Close() error {
	meta, err := w.meta.Finish()
	if err != nil {
		return err
	}
	n, err := meta.WriteTo(&w.to, nil)
	if err != nil {
		return err
	}
	_, err = w.to.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), magic...))
	return errors.Join(err, w.buffer.Flush())
}
