package ingest

import (
	"context"
	"time"
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
