package ingest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// SetChunkRows makes an importer commit after few rows.
func SetChunkRows(im *Importer, rows int) { im.chunkRows = rows }

// SetStep has fn called at each step between which a process may die.
func SetStep(im *Importer, fn func(step string)) { im.step = fn }

// SetNow gives an importer another clock.
func SetNow(im *Importer, now func() time.Time) { im.now = now }

// RegisterOf is where an importer keeps what it did.
func RegisterOf(im *Importer) Register { return im.store }

// CheckpointOf returns how far a file was read.
func CheckpointOf(im *Importer, source, file string) (*Checkpoint, error) {
	return im.store.Checkpoint(context.Background(), source, file)
}

// ViewSegment calls fn with the batches of a segment that is mapped.
func ViewSegment(path string, fn func(arrow.RecordBatch)) error {
	v, err := openView(path)
	if err != nil {
		return err
	}
	defer v.close()
	for batch, err := range v.batches {
		if err != nil {
			return err
		}
		fn(batch)
	}
	return nil
}

// Messages counts the messages of an Arrow file.
func Messages(file []byte) (n int, err error) {
	m, err := newMessages(file)
	for err == nil {
		var message *ipc.Message
		if message, err = m.Message(); err == nil {
			message.Release()
			n++
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
