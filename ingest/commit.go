package ingest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"meguri/ingest/index"
)

// commitCancels commits a chunk of cancellations, those aside whose payment is
// unknown: by now all payments of the file are in the index.
func (r *run) commitCancels(ctx context.Context, c *chunk, cursor *string) error {
	var h hasher
	targets := make([]Key, c.n)
	for i := range c.n {
		targets[i] = h.key(r.summary.Source, c.targetID.at(i))
	}
	known, err := r.lookup(ctx, targets)
	if err != nil {
		return err
	}
	for i := range c.n {
		at, ok := slices.BinarySearchFunc(known, targets[i], func(e Entry, k Key) int { return e.Key.Compare(k) })
		switch {
		case !ok:
			r.late = append(r.late, lateRow{c.lines[i], &unknownTarget})
		case kindOf(known[at]) != kindOf(c.entries[i]).takesBack():
			r.late = append(r.late, lateRow{c.lines[i], &wrongTarget})
		default:
			continue
		}
		c.lines[i] = barred
	}
	return r.commit(ctx, c, c.sort(), cursor)
}

// barred marks a row of a chunk that is in quarantine already.
const barred = -1

// The faults that show against the index.
var (
	conflict = fault{"record_id", "the same transaction ID came before with other content",
		"ask the source which of the two is right; the first one stays"}
	unknownTarget = fault{"target_id", "the cancelled transaction is unknown",
		"import the file that holds the payment first, then import this file again"}
	wrongTarget = fault{"target_id", "the cancelled transaction is of a kind that this row cannot cancel",
		"correct the ID of the cancelled transaction"}
)

// commit puts a chunk's new records into a segment and the index, and its bad
// rows into quarantine. The entries are what c.sort returned.
func (r *run) commit(ctx context.Context, c *chunk, entries []Entry, cursor *string) error {
	var keep, conflicts []int32
	if len(entries) > 0 || cursor != nil {
		var err error
		if keep, conflicts, err = r.enter(ctx, c, entries, cursor); err != nil {
			return fmt.Errorf("commit records: %w", err)
		}
	}
	for _, row := range conflicts {
		r.late = append(r.late, lateRow{c.lines[row], &conflict})
	}
	slices.SortStableFunc(c.bad, func(a, b badRow) int { return cmp.Compare(a.line, b.line) })
	for _, b := range c.bad {
		if err := r.quarantine.add(b); err != nil {
			return fmt.Errorf("write quarantine: %w", err)
		}
	}
	if err := r.quarantine.flush(); err != nil {
		return fmt.Errorf("write quarantine: %w", err)
	}
	s := &r.summary
	s.Read += int64(c.n + len(c.bad))
	s.Accepted += int64(len(keep))
	s.Duplicate += int64(len(c.order) - len(keep) - len(conflicts))
	s.Quarantined += int64(len(c.bad) + len(conflicts) + c.n - len(c.order))
	if len(keep) > 0 {
		s.Segments++
		return r.mergeRuns(ctx)
	}
	return nil
}

// enter runs the transaction of a chunk. The segment is written beside it, in
// the belief that every row is new; where that fails, it is written again with
// the rows that are.
func (r *run) enter(ctx context.Context, c *chunk, entries []Entry, cursor *string) (keep, conflicts []int32, err error) {
	type written struct {
		draft
		err error
	}
	var ahead chan written
	if len(entries) == c.n && c.n > 0 && !r.repeats {
		ahead = make(chan written, 1)
		go func() {
			d, err := r.writeDraft(c)
			ahead <- written{d, err}
		}()
	}
	var spare draft // what ahead brought, until it is installed
	var installed []string
	seal := func(number int64, runs []index.Run) (_ Segment, run index.Run, _ error) {
		for _, path := range installed { // by an attempt that was rolled back
			if err := os.Remove(path); err != nil {
				return Segment{}, run, err
			}
		}
		installed = nil
		known, err := r.known(runs, entries)
		if err != nil {
			return Segment{}, run, err
		}
		keep, conflicts = judge(c.entries, c.order, known)
		s := Segment{Number: number, Path: segmentName(number), ImportID: r.summary.ImportID, Dataset: c.dataset(), Rows: int64(len(keep))}
		if len(keep) == 0 {
			return s, run, nil
		}
		d, accepted := draft{}, c
		if ahead != nil {
			w := <-ahead
			ahead = nil
			if w.err != nil {
				return s, run, fmt.Errorf("write segment: %w", w.err)
			}
			spare = w.draft
		}
		if len(keep) == c.n && spare.path != "" {
			d, spare = spare, draft{}
		} else {
			if len(keep) < c.n {
				accepted = c.only(keep)
			}
			if d, err = r.writeDraft(accepted); err != nil {
				return s, run, fmt.Errorf("write segment: %w", err)
			}
		}
		installed = []string{filepath.Join(r.segments, s.Path)}
		if err := r.install(d, s.Path); err != nil {
			return s, run, fmt.Errorf("write segment: %w", err)
		}
		path := filepath.Join(r.identities, runName(number))
		installed = append(installed, path)
		if run, err = index.Write(path, without(entries, known)); err != nil {
			return s, run, err
		}
		if err := syncDir(r.identities); err != nil {
			return s, run, err
		}
		r.step("identities written")
		s.AmountYen, s.FirstAt, s.LastAt = accepted.span()
		s.Bytes = d.size
		r.step("before commit")
		return s, run, nil
	}
	b := Batch{Source: cmp.Or(r.way, r.summary.Source), Cursor: cursor}
	if len(entries) > 0 {
		b.Seal = seal
	}
	err = r.store.Commit(ctx, b)
	if ahead != nil { // whoever starts a goroutine waits for it
		if w := <-ahead; w.err == nil {
			spare = w.draft
		}
	}
	if spare.path != "" {
		_ = os.Remove(spare.path) // the next Open removes it otherwise
	}
	r.step("after commit")
	r.repeats = len(keep) < c.n
	return keep, conflicts, err
}

// judge decides about the rows of a chunk, given their order by key and the
// entries that were known: rows to keep, in the order in which they came, and
// rows whose content differs from that of the first of their identity. The
// others are duplicates.
func judge(entries []Entry, order []int32, known []Entry) (keep, conflicts []int32) {
	kept := make([]bool, len(entries))
	var first Entry
	n := 0
	for i, row := range order {
		e := entries[row]
		if i == 0 || e.Key != first.Key {
			first = e
			for len(known) > 0 && known[0].Key.Compare(e.Key) < 0 {
				known = known[1:]
			}
			if len(known) == 0 || known[0].Key != e.Key {
				kept[row] = true
				n++
				continue
			}
			first = known[0]
		}
		if e.Content != first.Content {
			conflicts = append(conflicts, row)
		}
	}
	keep = make([]int32, 0, n)
	for row, is := range kept {
		if is {
			keep = append(keep, int32(row))
		}
	}
	return keep, conflicts
}
