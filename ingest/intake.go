package ingest

import (
	"cmp"
	"context"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"
)

// brokenFile tells that a file cannot be read further, while all that was read
// is kept.
type brokenFile struct{ error }

// take puts a row that was read into a chunk, or aside, or says what is wrong
// with it.
type take func(c *chunk, line int64, raw string, fields []string) (fault, error)

func (r *run) takePayment(p *plan, waiting *waitingCancels) take {
	var record Record
	column := p.column("occurred_at")
	return func(c *chunk, line int64, raw string, fields []string) (fault, error) {
		if f := p.parse(line, fields, &record); f.bad() {
			return f, nil
		}
		if f := r.tally.onTime(column, record.OccurredAt, r.started); f.bad() {
			return f, nil
		}
		if line >= r.from {
			r.tally.add(record.OccurredAt.UnixMicro(), string(record.Kind), record.AmountYen)
		}
		if record.Kind.takesBack() != "" {
			return fault{}, waiting.add(&record, line, raw)
		}
		c.add(&record, line)
		return fault{}, nil
	}
}

func (r *run) takeRow(p *plan) take {
	var record row
	d := p.mapped.mapping.dataset
	column := p.column(d.When)
	return func(c *chunk, line int64, _ string, fields []string) (fault, error) {
		if f := p.mapped.parseRow(line, fields, &record); f.bad() {
			return f, nil
		}
		if f := r.tally.onTime(column, record.at(), r.started); f.bad() {
			return f, nil
		}
		if line >= r.from {
			r.tally.add(record.get(d.When).number, d.Name, record.amount())
		}
		if d.warn != nil {
			if w := d.warn(&record); w.problem != "" {
				r.warn(Warning{Field: p.column(w.field), Problem: w.problem, FirstLine: line})
			}
		}
		c.addRow(&record, line)
		return fault{}, nil
	}
}

func (r *run) warn(w Warning) {
	at := slices.IndexFunc(r.summary.Warnings, func(o Warning) bool { return o.Field == w.Field && o.Problem == w.Problem })
	if at < 0 {
		at = len(r.summary.Warnings)
		r.summary.Warnings = append(r.summary.Warnings, w)
	}
	r.summary.Warnings[at].Rows++
}

// row returns the next row that is no trailer.
func (r *run) row(rows rowSource) (raw string, fields []string, f fault, err error) {
	for {
		raw, fields, f, err = rows.row()
		if err != nil || f.bad() || !r.trailer.is(fields) {
			return raw, fields, f, err
		}
		told, f := r.trailer.parse(fields)
		if f.bad() {
			return raw, fields, f, nil
		}
		rows.notARow()
		r.told = append(r.told, told)
		r.trailers = append(r.trailers, rows.at())
	}
}

// importRows reads in this goroutine and commits in another; two chunks go
// back and forth between them.
func (r *run) importRows(ctx context.Context, rows rowSource, newChunk func() *chunk, waiting *waitingCancels, take take) error {
	group, both := errgroup.WithContext(ctx)
	ready, free := make(chan *chunk), make(chan *chunk, 2)
	free <- newChunk()
	free <- newChunk()
	var broken error // the file cannot be read further
	group.Go(func() error {
		defer close(ready)
		for broken == nil {
			var c *chunk
			select {
			case c = <-free:
			case <-both.Done():
				return both.Err()
			}
			for most := r.chunkSize(rows.seen()); !c.full(most); {
				raw, fields, f, err := r.row(rows)
				if err != nil {
					broken = err
					break
				}
				if !f.bad() {
					if f, err = take(c, rows.at(), raw, fields); err != nil {
						return err
					}
				}
				if f.bad() {
					c.addBad(rows.at(), f, raw)
				}
			}
			if broken == nil {
				c.end = r.position(rows, waiting)
			}
			select {
			case ready <- c:
			case <-both.Done():
				return both.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		for c := range ready {
			if err := r.commit(both, c, c.sort(), nil); err != nil {
				return err
			}
			if err := r.checkpoint(both, c.end); err != nil {
				return err
			}
			c.reset()
			free <- c
		}
		return both.Err()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if broken != io.EOF {
		return &brokenFile{broken}
	}
	return nil
}

// quarantineLate reads the file once more and puts the late rows into
// quarantine, their fields named as the file names them.
func (r *run) quarantineLate(p *plan) error {
	if len(r.late) == 0 {
		return nil
	}
	slices.SortStableFunc(r.late, func(a, b lateRow) int { return cmp.Compare(a.line, b.line) })
	late := make(map[int64][]*fault, len(r.late))
	for _, l := range r.late {
		late[l.line] = append(late[l.line], l.fault)
	}
	rows, err := p.open()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // it was only read
	if _, err := rows.header(); err != nil {
		return err
	}
	for left := len(r.late); left > 0; {
		raw, _, _, err := rows.row()
		if err != nil {
			return &changedFile{err}
		}
		faults := late[rows.at()]
		if len(faults) == 0 {
			continue
		}
		f := *faults[0]
		f.field = p.column(f.field)
		late[rows.at()] = faults[1:]
		left--
		if err := r.quarantine.add(badRow{rows.at(), f, raw}); err != nil {
			return err
		}
	}
	return nil
}

// changedFile tells that a file was not the same when it was read again.
type changedFile struct{ err error }

func (c *changedFile) Error() string { return "the file changed while it was read: " + c.err.Error() }
func (c *changedFile) Unwrap() error { return c.err }

// importAttributes reads persons or shops. A later row about the same one
// replaces the earlier; a row that changes nothing is a duplicate.
func importAttributes[T any](ctx context.Context, r *run, rows rowSource,
	parse func(int64, []string) (T, fault), put func(context.Context, []T) (int64, error)) error {
	const most = 2000
	batch := make([]T, 0, most)
	flush := func() error {
		changed, err := put(ctx, batch)
		if err != nil {
			return err
		}
		if err := r.quarantine.flush(); err != nil {
			return err
		}
		r.summary.Read += int64(len(batch))
		r.summary.Accepted += changed
		r.summary.Duplicate += int64(len(batch)) - changed
		batch = batch[:0]
		return nil
	}
	for {
		raw, fields, f, err := rows.row()
		if err != nil {
			if ferr := flush(); ferr != nil {
				return ferr
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
		var v T
		if !f.bad() {
			v, f = parse(rows.at(), fields)
		}
		if f.bad() {
			if err := r.quarantine.add(badRow{rows.at(), f, raw}); err != nil {
				return err
			}
			r.summary.Read++
			r.summary.Quarantined++
			continue
		}
		if batch = append(batch, v); len(batch) == most {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}
