package ingest

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
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

// OpenSegment reads a segment, batch by batch. A batch is valid until the next
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
		if !r.Schema().Equal(PaymentSchema) {
			yield(nil, fmt.Errorf("open segment %s: its columns are not those of PaymentSchema", filepath.Base(path)))
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

const temporaryPrefix = "writing-"

func segmentName(number int64) string { return fmt.Sprintf("%06d.arrow", number) }

// writeSegment writes a batch to the segment of the given number and makes
// both the file and its name durable.
func (im *Importer) writeSegment(number int64, batch arrow.RecordBatch) (size int64, err error) {
	f, err := os.CreateTemp(im.segments, temporaryPrefix+"*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w, err := ipc.NewFileWriter(buffered, ipc.WithSchema(PaymentSchema), ipc.WithLZ4())
	if err != nil {
		return 0, err
	}
	if err := w.Write(batch); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	if err := buffered.Flush(); err != nil {
		return 0, err
	}
	if size, err = f.Seek(0, 2); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	im.step("segment written")
	if err := os.Rename(f.Name(), filepath.Join(im.segments, segmentName(number))); err != nil {
		return 0, err
	}
	im.step("segment renamed")
	return size, syncDir(im.segments)
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
