package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"
)

// FindInSegments calls found for each row of the personal plane's files that
// would go.
func (e *Eraser) FindInSegments(ctx context.Context, x Erasure, found func(dataset, identity string)) error {
	segments, err := e.Importer.Segments(ctx)
	if err != nil {
		return err
	}
	m, err := e.Lake.Manifest()
	if err != nil {
		return err
	}
	type place struct{ path, dataset string }
	var places []place
	marker := x.marker()
	for _, s := range segments {
		if marker.mayConcern(s) {
			places = append(places, place{s.Path, s.Dataset})
		}
	}
	for _, h := range m.Held {
		places = append(places, place{e.Importer.heldPath(h.File), h.Dataset})
	}
	var one sync.Mutex // found is called by one at a time
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range places {
		g.Go(func() error {
			v, err := openView(p.path)
			if err != nil {
				return err
			}
			defer v.close()
			err = marker.each(ctx, v, p.dataset, func(batch arrow.RecordBatch, goes []bool) error {
				source, err := textOf(batch.Column(batch.Schema().FieldIndices("source")[0]))
				if err != nil {
					return err
				}
				id, err := textOf(batch.Column(batch.Schema().FieldIndices("record_id")[0]))
				if err != nil {
					return err
				}
				one.Lock()
				defer one.Unlock()
				for i, g := range goes {
					if g {
						found(p.dataset, filepath.Base(p.path)+"\x1f"+source(i)+"\x1f"+id(i))
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("search %s: %w", filepath.Base(p.path), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// EraseFromSegments takes the rows out of segments and of what the pipeline
// holds. Each file stands anew under another name, and is registered in the
// place of the old one before that is removed. Identities stay, so importing a
// file again does not bring its rows back.
func (e *Eraser) EraseFromSegments(ctx context.Context, x Erasure) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("erase from segments: %w", err)
		}
	}()
	im := e.Importer
	w, err := e.Lake.Begin(e.City) // the pipeline reads what is rewritten here
	if err != nil {
		return err
	}
	defer w.Abort() // it does nothing after Commit
	// What was broken off before may have left files.
	if err := errors.Join(im.store.Sweep(ctx, im.sweep), dropHeld(im.held, w.Base())); err != nil {
		return err
	}
	segments, err := im.Segments(ctx)
	if err != nil {
		return err
	}
	marker := x.marker()
	segments = slices.DeleteFunc(segments, func(s Segment) bool { return !marker.mayConcern(s) })
	if err := e.segments(ctx, marker, segments); err != nil {
		return err
	}
	return e.held(ctx, marker, w)
}

// segments writes those anew of which rows go. While some wait for the disk,
// there are others for each processor.
func (e *Eraser) segments(ctx context.Context, m *marker, segments []Segment) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	for _, s := range segments {
		g.Go(func() error {
			rows, _, err := m.rest(ctx, s.Path, s.Dataset)
			if err == nil && rows != nil {
				err = e.replace(ctx, s, rows)
				rows.Release()
			}
			if err != nil {
				return fmt.Errorf("segment %d: %w", s.Number, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return syncDir(e.Importer.segments) // what was removed stays so; a crash before is swept up
}

// replace has the rows of a segment that stay stand in its place.
func (e *Eraser) replace(ctx context.Context, s Segment, rows arrow.RecordBatch) error {
	im := e.Importer
	d, err := im.writeRows(rows)
	if err != nil {
		return err
	}
	old := s.Path
	s.Path, s.Bytes = nextName(filepath.Base(old)), d.size
	s.Rows, s.AmountYen, s.FirstAt, s.LastAt = spanOf(s.Dataset, rows)
	if err := im.install(d, s.Path); err != nil {
		return err
	}
	replaced, err := im.store.ReplaceSegment(ctx, filepath.Base(old), s)
	if err == nil && !replaced {
		err = errors.New("another run has rewritten it: run again")
	}
	if err != nil {
		return err // the new file is swept: whether it was registered may be unknown
	}
	im.step("segment replaced")
	if err := os.Remove(old); err != nil {
		return err
	}
	im.step("segment removed")
	return nil
}

// nextName is the name of a segment's next file: 000001.arrow, 000001-2.arrow …
func nextName(name string) string {
	number, revision, _ := strings.Cut(strings.TrimSuffix(name, ".arrow"), "-")
	n, err := strconv.Atoi(revision)
	if err != nil {
		n = 1
	}
	return fmt.Sprintf("%s-%d.arrow", number, n+1)
}
