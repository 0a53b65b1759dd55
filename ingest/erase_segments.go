package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/pseudonymize/lake"
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
	look := func(path, dataset string) error {
		err := x.rows(ctx, path, dataset, func(batch arrow.RecordBatch, goes []bool) error {
			source, err := textOf(batch.Column(batch.Schema().FieldIndices("source")[0]))
			if err != nil {
				return err
			}
			id, err := textOf(batch.Column(batch.Schema().FieldIndices("record_id")[0]))
			if err != nil {
				return err
			}
			for i, g := range goes {
				if g {
					found(dataset, filepath.Base(path)+"\x1f"+source(i)+"\x1f"+id(i))
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("search %s: %w", filepath.Base(path), err)
		}
		return nil
	}
	for _, s := range segments {
		if !x.mayConcern(s) {
			continue
		}
		if err := look(s.Path, s.Dataset); err != nil {
			return err
		}
	}
	for _, h := range m.Held {
		if err := look(e.Importer.heldPath(h.File), h.Dataset); err != nil {
			return err
		}
	}
	return nil
}

// mayConcern tells by the register whether a segment must be looked at.
func (x Erasure) mayConcern(s Segment) bool {
	before, cuts := x.firstInstant(s.Dataset)
	return s.Rows > 0 && (len(x.Persons) > 0 || cuts && s.FirstAt.UnixMicro() < before)
}

// firstInstant is the first moment of a dataset that stays, in microseconds.
func (x Erasure) firstInstant(dataset string) (at int64, cuts bool) {
	t, cuts := x.Before[dataset]
	if t.IsZero() {
		return math.MaxInt64, cuts
	}
	y, m, d := t.In(tokyo).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, tokyo).UnixMicro(), cuts
}

// rows calls fn with the batches of a file that have rows that go.
func (x Erasure) rows(ctx context.Context, path, dataset string, fn func(arrow.RecordBatch, []bool) error) error {
	for batch, err := range OpenSegment(path) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		goes, err := x.marks(batch, dataset)
		if err != nil {
			return err
		}
		if slices.Contains(goes, true) {
			if err := fn(batch, goes); err != nil {
				return err
			}
		}
	}
	return nil
}

// marks tells which rows of a batch go.
func (x Erasure) marks(batch arrow.RecordBatch, dataset string) ([]bool, error) {
	goes := make([]bool, batch.NumRows())
	if before, cuts := x.firstInstant(dataset); cuts {
		times := batch.Column(batch.Schema().FieldIndices(whenOf(dataset))[0]).(*array.Timestamp)
		for i := range goes {
			goes[i] = int64(times.Value(i)) < before
		}
	}
	if len(x.Persons) == 0 {
		return goes, nil
	}
	whose, err := personsOf(batch)
	if err != nil {
		return nil, err
	}
	persons := make(map[PersonID]bool, len(x.Persons))
	for _, p := range x.Persons {
		persons[p] = true
	}
	for i := range goes {
		goes[i] = goes[i] || persons[whose(i)]
	}
	return goes, nil
}

// personsOf tells whose the rows of a batch are.
func personsOf(batch arrow.RecordBatch) (func(i int) PersonID, error) {
	source, err := textOf(batch.Column(batch.Schema().FieldIndices("source")[0]))
	if err != nil {
		return nil, err
	}
	person, err := textOf(batch.Column(batch.Schema().FieldIndices("person_id")[0]))
	return func(i int) PersonID { return PersonID{source(i), person(i)} }, err
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
	for _, s := range segments {
		if !x.mayConcern(s) {
			continue
		}
		if err := e.segment(ctx, x, s); err != nil {
			return fmt.Errorf("segment %d: %w", s.Number, err)
		}
	}
	return e.held(ctx, x, w)
}

// segment writes a segment anew if rows of it go.
func (e *Eraser) segment(ctx context.Context, x Erasure, s Segment) error {
	im := e.Importer
	rest, _, err := x.rest(ctx, s.Path, s.Dataset)
	if err != nil || rest == nil {
		return err
	}
	defer rest.Release()
	d, err := im.writeRows(rest)
	if err != nil {
		return err
	}
	old := s.Path
	s.Path, s.Bytes = nextName(filepath.Base(old)), d.size
	s.Rows, s.AmountYen, s.FirstAt, s.LastAt = spanOf(s.Dataset, rest)
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
	return syncDir(im.segments)
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

// rest returns the rows of a file that stay, or nil when all do, and the rows
// that go by person.
func (x Erasure) rest(ctx context.Context, path, dataset string) (_ arrow.RecordBatch, gone map[PersonID]int64, err error) {
	gone = map[PersonID]int64{}
	err = x.rows(ctx, path, dataset, func(batch arrow.RecordBatch, goes []bool) error {
		whose, err := personsOf(batch)
		for i, g := range goes {
			if err == nil && g {
				gone[whose(i)]++
			}
		}
		return err
	})
	if err != nil || len(gone) == 0 {
		return nil, nil, err
	}
	var parts []arrow.RecordBatch
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	for batch, err := range OpenSegment(path) {
		if err != nil {
			return nil, nil, err
		}
		part, err := x.without(ctx, batch, dataset)
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, part)
	}
	whole, err := joinBatches(SchemaOf(dataset), parts)
	return whole, gone, err
}

// without is a batch without the rows that go.
func (x Erasure) without(ctx context.Context, batch arrow.RecordBatch, dataset string) (arrow.RecordBatch, error) {
	goes, err := x.marks(batch, dataset)
	if err != nil {
		return nil, err
	}
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	for _, g := range goes {
		mask.Append(!g)
	}
	chosen := mask.NewBooleanArray()
	defer chosen.Release()
	return compute.FilterRecordBatch(ctx, batch, chosen, compute.DefaultFilterOptions())
}

// joinBatches makes one batch, whose dictionaries have the words of its rows and
// no other: a word may have been of one person.
func joinBatches(schema *arrow.Schema, parts []arrow.RecordBatch) (arrow.RecordBatch, error) {
	rows := int64(0)
	for _, p := range parts {
		rows += p.NumRows()
	}
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release() // the batch holds its own reference
			}
		}
	}()
	for at, f := range schema.Fields() {
		if f.Type.ID() != arrow.DICTIONARY {
			var all []arrow.Array
			for _, p := range parts {
				all = append(all, p.Column(at))
			}
			var err error
			if columns[at], err = array.Concatenate(all, memory.DefaultAllocator); err != nil {
				return nil, err
			}
			continue
		}
		w := newWords()
		for _, p := range parts {
			text, err := textOf(p.Column(at))
			if err != nil {
				return nil, err
			}
			for i := range int(p.NumRows()) {
				if p.Column(at).IsNull(i) {
					w.null()
				} else {
					w.add(text(i))
				}
			}
		}
		columns[at] = w.array()
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}

// spanOf is what the register says of a segment's rows.
func spanOf(dataset string, rows arrow.RecordBatch) (n, yen int64, first, last time.Time) {
	if name := amountOf(dataset); name != "" {
		column := rows.Column(rows.Schema().FieldIndices(name)[0]).(*array.Int64)
		for i, v := range column.Int64Values() {
			if column.IsValid(i) {
				yen += v
			}
		}
	}
	low, high := int64(0), int64(0)
	times := rows.Column(rows.Schema().FieldIndices(whenOf(dataset))[0]).(*array.Timestamp)
	for i, t := range times.TimestampValues() {
		if i == 0 {
			low, high = int64(t), int64(t)
		}
		low, high = min(low, int64(t)), max(high, int64(t))
	}
	return rows.NumRows(), yen, time.UnixMicro(low).UTC(), time.UnixMicro(high).UTC()
}

// held writes what the pipeline holds anew where rows of it go.
func (e *Eraser) held(ctx context.Context, x Erasure, w *lake.Writer) error {
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
		rest, gone, err := x.rest(ctx, im.heldPath(old.File), old.Dataset)
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
	m, err := w.Commit(lake.Commit{At: e.Now(), Held: held, Known: base.Known})
	if err != nil {
		return err
	}
	h.files = nil // they count
	im.step("held committed")
	return dropHeld(im.held, m)
}

func (e *Eraser) linked(ctx context.Context) (map[PersonID]bool, error) {
	links, err := e.Importer.Links(ctx)
	linked := map[PersonID]bool{}
	for _, l := range links {
		linked[PersonID{l.Source, l.PersonID}] = l.ToID != ""
	}
	return linked, err
}

// ErasePersons forgets the attributes and links of persons.
func (e *Eraser) ErasePersons(ctx context.Context, persons []PersonID) error {
	return e.Importer.store.ErasePersons(ctx, persons)
}

// FindPersons calls found for each person that is known and for each link of one.
func (e *Eraser) FindPersons(ctx context.Context, persons []PersonID, found func(dataset, identity string)) error {
	wanted, sources := map[PersonID]bool{}, map[string]bool{}
	for _, p := range persons {
		wanted[p], sources[p.Source] = true, true
	}
	const page = 5000
	for _, source := range sortedKeys(sources) {
		for after := ""; ; {
			known, err := e.Importer.Persons(ctx, source, after, page)
			if err != nil {
				return err
			}
			for _, p := range known {
				if after = p.ID; wanted[PersonID{source, p.ID}] {
					found("person", PersonID{source, p.ID}.identity())
				}
			}
			if len(known) < page {
				break
			}
		}
	}
	links, err := e.Importer.store.Links(ctx)
	for _, l := range links {
		if wanted[PersonID{l.Source, l.PersonID}] || wanted[PersonID{l.ToSource, l.ToID}] {
			found("link", fmt.Sprint(l.Number))
		}
	}
	return errors.Join(err, e.findCorrections(ctx, wanted, found))
}
