package ingest

import (
	"context"
	"slices"

	"meguri/pseudonymize/lake"
)

// held writes what the pipeline holds anew where rows of it go.
func (e *Eraser) held(ctx context.Context, m *marker, w *lake.Writer) error {
	im, base := e.Importer, w.Base()
	h, err := im.newHolder(base.Snapshot + 1)
	if err != nil {
		return err
	}
	defer h.abort()
	linked, err := e.linked(ctx)
	if err != nil {
		return err
	}
	changed := false
	for _, old := range base.Held {
		rest, gone, err := m.rest(ctx, im.heldPath(old.File), old.Dataset)
		if err != nil {
			return err
		}
		if rest == nil {
			h.kept = append(h.kept, old)
			continue
		}
		changed = true
		unlinked := old.Unlinked
		for p, n := range gone {
			if slices.Contains(e.Linked, p.Source) && !linked[p] {
				unlinked -= n
			}
		}
		// Links may have changed since the rows were held: the next run counts anew.
		unlinked = min(max(unlinked, 0), rest.NumRows())
		h.next()
		for from := int64(0); err == nil && from < rest.NumRows(); from += segmentBatchRows {
			part := rest.NewSlice(from, min(from+segmentBatchRows, rest.NumRows()))
			n := min(unlinked, part.NumRows())
			unlinked -= n
			err = h.add(old.Dataset, part, n, part.NumRows()-n)
			part.Release()
		}
		rest.Release()
		if err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	held, err := h.end()
	if err != nil {
		return err
	}
	im.step("held rewritten")
	after, err := w.Commit(lake.Commit{At: e.Now(), Held: held, Known: base.Known})
	if err != nil {
		return err
	}
	h.files = nil // they count
	im.step("held committed")
	return dropHeld(im.held, after)
}

func (e *Eraser) linked(ctx context.Context) (map[PersonID]bool, error) {
	links, err := e.Importer.Links(ctx)
	linked := map[PersonID]bool{}
	for _, l := range links {
		linked[PersonID{l.Source, l.PersonID}] = l.ToID != ""
	}
	return linked, err
}
