package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sync/errgroup"

	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

// joint is a batch that was joined, and what becomes of it.
type joint struct {
	table string
	plan  *pseudonymize.Plan
	batch arrow.RecordBatch
}

// made is a batch for a table of the lake.
type made struct {
	table string
	batch arrow.RecordBatch
}

// work makes and writes the rows at the same time, a few batches apart.
func (r *pipelineRun) work(ctx context.Context, segments []Segment, held []lake.Held) error {
	for _, h := range held {
		r.of.Add(h.Rows)
	}
	joined, ready := make(chan joint, 2), make(chan made, 2)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(joined)
		for _, h := range held {
			if err := r.file(ctx, r.Importer.heldPath(h.File), h.Dataset, joined); err != nil {
				return err
			}
		}
		if err := r.take(ctx, segments, joined); err != nil {
			return err
		}
		return r.attributes(ctx, joined)
	})
	g.Go(func() error {
		defer close(ready)
		for j := range joined {
			out, err := j.plan.Apply(j.batch)
			j.batch.Release()
			if err != nil {
				return err
			}
			select {
			case ready <- made{j.table, out}:
			case <-ctx.Done():
				out.Release()
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for m := range ready {
			table, err := r.writer.Table(m.table, m.batch.Schema())
			r.schemas[m.table] = m.batch.Schema()
			if err == nil {
				err = table.Write(m.batch)
			}
			if m.table != "residents" && m.table != "shops" {
				r.rows += m.batch.NumRows()
			}
			m.batch.Release()
			if err != nil {
				return err
			}
			if r.Progress != nil {
				r.Progress(r.rows, r.of.Load())
			}
		}
		return nil
	})
	err := g.Wait()
	for _, table := range lake.Tables { // nobody is left in it
		if table.Day == "" && r.schemas[table.Name] == nil {
			r.writer.Remove(r.writer.Base().Table(table.Name)...)
		}
	}
	for j := range joined { // what was made and not taken on
		j.batch.Release()
	}
	for m := range ready {
		m.batch.Release()
	}
	return err
}

// take takes segments in, and those that come meanwhile, if some are to come.
func (r *pipelineRun) take(ctx context.Context, segments []Segment, joined chan<- joint) error {
	for {
		for _, s := range segments {
			_, r.known = slices.BinarySearch(r.before.Segments, s.Number)
			if err := r.segment(ctx, s, joined); err != nil {
				return err
			}
		}
		if r.More == nil {
			return nil
		}
		more, err := r.More(ctx)
		if err != nil {
			return err
		}
		if segments, err = r.new(ctx); err != nil || len(segments) == 0 && !more {
			return err
		}
	}
}

// A batch of this many rows keeps what is in flight small.
const batchRows = 64 << 10

// segment takes a segment in, and compares it with what was registered.
func (r *pipelineRun) segment(ctx context.Context, s Segment, joined chan<- joint) error {
	var rows, yen int64
	amount := -1
	if name := amountOf(s.Dataset); name != "" {
		amount = SchemaOf(s.Dataset).FieldIndices(name)[0]
	}
	err := r.each(ctx, s.Path, s.Dataset, joined, func(batch arrow.RecordBatch) {
		rows += batch.NumRows()
		if amount >= 0 {
			column := batch.Column(amount).(*array.Int64)
			for i, v := range column.Int64Values() {
				if column.IsValid(i) {
					yen += v
				}
			}
		}
	})
	if err != nil {
		return fmt.Errorf("segment %d: %w", s.Number, err)
	}
	if rows != s.Rows || yen != s.AmountYen {
		return fmt.Errorf("segment %d: %w: it has %d rows and %d yen, and was registered with %d and %d: bring the file back from a backup",
			s.Number, ErrSegmentChanged, rows, yen, s.Rows, s.AmountYen)
	}
	r.taken, r.in[s.Number] = append(r.taken, s.Number), true
	return nil
}

// amountOf is the field of a dataset whose sum is kept with a segment, or "".
func amountOf(dataset string) string {
	if dataset == PaymentDataset {
		return "amount_yen"
	}
	if d := DatasetByName(dataset); d != nil {
		return d.Yen
	}
	return ""
}

func (r *pipelineRun) file(ctx context.Context, path, dataset string, joined chan<- joint) error {
	return r.each(ctx, path, dataset, joined, func(arrow.RecordBatch) {})
}

// each makes rows of the lake of a file's.
func (r *pipelineRun) each(ctx context.Context, path, dataset string, joined chan<- joint, seen func(arrow.RecordBatch)) error {
	plan, err := r.plan(dataset, joinedSchema(dataset))
	if err != nil {
		return err
	}
	schema := SchemaOf(dataset)
	r.hold.next()
	for whole, err := range OpenSegment(path) {
		if err != nil {
			return err
		}
		if !whole.Schema().Equal(schema) {
			return fmt.Errorf("%w: it holds another dataset than %s", ErrSegmentChanged, dataset)
		}
		seen(whole)
		for from := int64(0); from < whole.NumRows(); from += batchRows {
			batch := whole.NewSlice(from, min(from+batchRows, whole.NumRows()))
			out, err := r.joined(ctx, dataset, batch)
			batch.Release()
			if err != nil {
				return err
			}
			if out == nil {
				continue
			}
			if r.known {
				r.anew += out.NumRows()
			}
			select {
			case joined <- joint{tableOf(dataset), plan, out}:
			case <-ctx.Done():
				out.Release()
				return ctx.Err()
			}
		}
	}
	return nil
}

// joined joins a batch, and parts what may go on from what is held and what is
// left out. It returns nil when nothing goes on.
func (r *pipelineRun) joined(ctx context.Context, dataset string, batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	joined, fates, err := r.join.batch(ctx, dataset, batch)
	if err != nil {
		return nil, err
	}
	var count [fateCount]int64
	for _, f := range fates {
		count[f]++
	}
	done := r.done[dataset]
	done.Read += joined.NumRows()
	done.Excluded += count[fateTest]
	done.Held += count[fateUnlinked] + count[fateUncovered]
	r.excluded += count[fateTest]
	if count[fateGo] == joined.NumRows() {
		return joined, nil
	}
	defer joined.Release()
	if n := count[fateUnlinked] + count[fateUncovered]; n > 0 {
		waits, err := filter(ctx, batch, fates, func(f fate) bool { return f == fateUnlinked || f == fateUncovered })
		if err != nil {
			return nil, err
		}
		err = r.hold.add(dataset, waits, count[fateUnlinked], count[fateUncovered])
		waits.Release()
		if err != nil {
			return nil, err
		}
	}
	if count[fateGo] == 0 {
		return nil, nil
	}
	return filter(ctx, joined, fates, func(f fate) bool { return f == fateGo })
}
