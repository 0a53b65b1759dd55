package ingest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/zeebo/xxh3"
)

// A large file whose import stopped goes on where it was. After each chunk a
// checkpoint keeps how many bytes of the text were dealt with, their hash, and
// the lines among them that were not: cancellations that wait for the file's
// end, rows whose fault is written at the end, and trailers. The next import of
// a file with that name and layout compares the hash, skips the rows, and takes
// the pending ones once more; if the file is another one, it begins at its
// beginning. Taking a row twice does no harm, so a checkpoint may lie behind.

// mostPending bounds a checkpoint; with more, the last one stays.
const mostPending = 100_000

// position returns where the rows stand behind a chunk, or nil.
func (r *run) position(rows rowSource, waiting *waitingCancels) *position {
	end := rows.mark()
	if end == nil || end.line <= r.from || len(waiting.lines)+len(r.trailers) > mostPending {
		return nil
	}
	end.pending = slices.Concat(waiting.lines, r.trailers)
	end.days = r.tally.snapshot()
	return end
}

// checkpoint keeps where the file stands.
func (r *run) checkpoint(ctx context.Context, end *position) error {
	if end == nil || len(end.pending)+len(r.late) > mostPending {
		return nil
	}
	if err := r.quarantine.sync(); err != nil { // what is skipped next time must be there
		return fmt.Errorf("write quarantine: %w", err)
	}
	for _, l := range r.late {
		end.pending = append(end.pending, l.line)
	}
	err := r.store.PutCheckpoint(ctx, Checkpoint{Source: r.summary.Source, File: r.file, ImportID: r.summary.ImportID, Layout: r.layout,
		Offset: end.offset, Hash: end.hash, Line: end.line, Rows: end.rows, Pending: end.pending, Days: dayTotals(end.days)})
	if err != nil {
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	r.step("checkpoint")
	return nil
}

// resume skips what an earlier import of the same file dealt with.
func (r *run) resume(ctx context.Context, p *plan) error {
	c, err := r.store.Checkpoint(ctx, r.summary.Source, r.file)
	if err != nil || c == nil || c.Layout != r.layout || p.prefix == nil {
		return err
	}
	hash, err := p.prefix(c.Offset)
	if err != nil || hash != c.Hash {
		return nil // it is another file, or a shorter one
	}
	p.rows.resume(*c)
	r.continues, r.from = c.ImportID, c.Line
	r.summary.Resumed = c.Rows - int64(len(c.Pending))
	r.tally.days = map[dayKind]*total{}
	for _, d := range c.Days {
		day, err := time.Parse(time.DateOnly, d.Day)
		if err != nil {
			return fmt.Errorf("the checkpoint of %s is damaged: %w", r.file, err)
		}
		r.tally.days[dayKind{int32(day.Unix() / 86400), d.Kind}] = &total{d.Rows, d.AmountYen}
	}
	return nil
}

// prefixHash hashes the beginning of a file's text.
func prefixHash(path string, encoding Encoding, bytes int64) (uint64, error) {
	in, err := openInput(path, encoding)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }() // it was only read
	h := xxh3.New()
	if _, err := io.CopyN(h, in, bytes); err != nil {
		return 0, err
	}
	return h.Sum64(), nil
}
