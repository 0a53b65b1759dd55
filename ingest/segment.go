package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Segments returns all segments by number.
func (im *Importer) Segments(ctx context.Context) ([]Segment, error) {
	segments, err := im.store.Segments(ctx)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	for i := range segments {
		segments[i].Path = filepath.Join(im.segments, segments[i].Path)
	}
	return segments, nil
}

// DatasetOf names the dataset whose segments have a schema, or "".
func DatasetOf(schema *arrow.Schema) string {
	if schema.Equal(PaymentSchema) {
		return PaymentDataset
	}
	for _, d := range datasets {
		if schema.Equal(d.schema) {
			return d.Name
		}
	}
	return ""
}

// OpenSegment reads a segment of any dataset, batch by batch; [DatasetOf] the
// batch's schema says which. A batch is valid until the next
// one is asked for; Retain it to keep it. After an error there is no more.
func OpenSegment(path string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, fmt.Errorf("open segment: %w", err))
			return
		}
		defer func() { _ = f.Close() }() // it was only read
		r, err := ipc.NewFileReader(f)
		if err != nil {
			yield(nil, fmt.Errorf("open segment %s: %w", filepath.Base(path), err))
			return
		}
		defer func() { _ = r.Close() }()
		if DatasetOf(r.Schema()) == "" {
			yield(nil, fmt.Errorf("open segment %s: %w", filepath.Base(path), errColumns))
			return
		}
		for i := range r.NumRecords() {
			batch, err := r.RecordBatch(i)
			if err != nil {
				yield(nil, fmt.Errorf("read segment %s: %w", filepath.Base(path), err))
				return
			}
			more := yield(batch, nil)
			batch.Release()
			if !more {
				return
			}
		}
	}
}

// segmentView is a segment for whoever looks at few columns, or copies what it
// keeps: the file is mapped into memory, and what nobody looks at is not read.
// Batches and their texts are the file's own bytes, and go with it. A segment is
// never changed or cut while it has its name, so what is mapped stays there.
type segmentView struct {
	name string
	file []byte
	r    *ipc.Reader
}

func openView(path string) (_ *segmentView, err error) {
	v := &segmentView{name: filepath.Base(path)}
	if v.file, err = mapped(path); err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	messages, err := newMessages(v.file)
	if err == nil {
		v.r, err = ipc.NewReaderFromMessageReader(messages)
	}
	if err == nil && DatasetOf(v.r.Schema()) == "" {
		err = errColumns
	}
	if err != nil {
		v.close()
		return nil, fmt.Errorf("open segment %s: %w", v.name, err)
	}
	return v, nil
}

func (v *segmentView) close() {
	if v.r != nil {
		v.r.Release()
	}
	_ = syscall.Munmap(v.file) // it was only read
}

func (v *segmentView) batches(yield func(arrow.RecordBatch, error) bool) {
	for v.r.Next() {
		if !yield(v.r.RecordBatch(), nil) {
			return
		}
	}
	if err := v.r.Err(); err != nil {
		yield(nil, fmt.Errorf("read segment %s: %w", v.name, err))
	}
}

func mapped(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // what is mapped stays
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%s is empty", filepath.Base(path))
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err == nil {
		_ = syscall.Madvise(data, syscall.MADV_WILLNEED) // read it in one go, rather than where it is looked at; only advice
	}
	return data, err
}

// messages are those of an Arrow file: between its magic and its footer, one is
// the same as a stream (Arrow Columnar Format, IPC File Format).
// [ipc.NewMappedFileReader] knows no dictionaries (arrow-go 18.8).
type messages struct{ rest []byte }

const arrowMagic = "ARROW1"

var (
	errColumns = errors.New("its columns are not those of any dataset")
	errCutOff  = errors.New("it is no Arrow file, or is cut off")
)

func newMessages(file []byte) (*messages, error) {
	if len(file) < 8 || !bytes.HasPrefix(file, []byte(arrowMagic)) || !bytes.HasSuffix(file, []byte(arrowMagic)) {
		return nil, errCutOff
	}
	return &messages{file[8:]}, nil
}

// Message returns the next message, whose body lies where it lay.
func (m *messages) Message() (_ *ipc.Message, err error) {
	defer func() {
		if recover() != nil { // arrow-go's, at bytes that are no message
			err = errCutOff
		}
	}()
	if len(m.rest) < 8 || binary.LittleEndian.Uint32(m.rest) != math.MaxUint32 {
		return nil, errCutOff
	}
	size := int64(binary.LittleEndian.Uint32(m.rest[4:]))
	if size == 0 {
		return nil, io.EOF
	}
	if size > int64(len(m.rest)-8) {
		return nil, errCutOff
	}
	meta, rest := memory.NewBufferBytes(m.rest[8:8+size]), m.rest[8+size:]
	length := ipc.NewMessage(meta, memory.NewBufferBytes(nil)).BodyLen()
	if length < 0 || length > int64(len(rest)) {
		return nil, errCutOff
	}
	m.rest = rest[length:]
	return ipc.NewMessage(meta, memory.NewBufferBytes(rest[:length])), nil
}

// Retain and Release do nothing: whoever mapped the file lets it go.
func (m *messages) Retain()  {}
func (m *messages) Release() {}

const temporaryPrefix = "writing-"

func segmentName(number int64) string { return fmt.Sprintf("%06d.arrow", number) }

// segmentBatchRows is how many rows of a segment a reader holds at a time.
const segmentBatchRows = 64 << 10

// draft is a segment that is written and synced and has no number yet.
type draft struct {
	path string
	size int64
}

// writeDraft writes a chunk's rows to a temporary file.
func (im *Importer) writeDraft(c *chunk) (draft, error) {
	whole := c.batch()
	defer whole.Release()
	return im.writeRows(whole)
}

func (im *Importer) writeRows(whole arrow.RecordBatch) (d draft, err error) {
	f, err := os.CreateTemp(im.segments, temporaryPrefix+"*")
	if err != nil {
		return d, err
	}
	d.path = f.Name()
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(d.path)
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w, err := ipc.NewFileWriter(buffered, ipc.WithSchema(whole.Schema()))
	if err != nil {
		return d, err
	}
	for from := int64(0); from < whole.NumRows(); from += segmentBatchRows {
		part := whole.NewSlice(from, min(from+segmentBatchRows, whole.NumRows()))
		err := w.Write(part)
		part.Release()
		if err != nil {
			return d, err
		}
	}
	if err := w.Close(); err != nil {
		return d, err
	}
	if err := buffered.Flush(); err != nil {
		return d, err
	}
	if d.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return d, err
	}
	if err := f.Sync(); err != nil {
		return d, err
	}
	im.step("segment written")
	return d, f.Close()
}

// install gives a draft its name and makes the name durable. It never puts
// a file in another's place: a writer that lost its database connection, and
// with it the lock on numbers, must not destroy what the next writer committed.
func (im *Importer) install(d draft, name string) error {
	path := filepath.Join(im.segments, name)
	switch err := os.Link(d.path, path); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already: a crash of another process left it; run again, and it is removed: %w", path, err)
	case err == nil:
		if err := os.Remove(d.path); err != nil {
			return err
		}
	default: // a file system without links
		if err := os.Rename(d.path, path); err != nil {
			return err
		}
	}
	im.step("segment named")
	return syncDir(im.segments)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
