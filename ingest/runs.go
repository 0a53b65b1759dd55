package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"meguri/ingest/index"
)

// runSuffix ends the names of runs of identities.
const runSuffix = ".keys"

// runName is the run of a segment's identities.
func runName(segment int64) string { return fmt.Sprintf("%06d", segment) + runSuffix }

// known returns which of the entries, sorted by key and distinct, are in the
// runs.
func (im *Importer) known(runs []index.Run, entries []Entry) ([]Entry, error) {
	if err := im.index.Follow(runs); err != nil {
		return nil, err
	}
	return im.index.Known(entries)
}

// lookup returns the entries of the keys that are known, sorted.
func (im *Importer) lookup(ctx context.Context, keys []Key) ([]Entry, error) {
	runs, err := im.store.Runs(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(keys))
	for i, k := range keys {
		entries[i].Key = k
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Key.Compare(b.Key) })
	return im.known(runs, slices.Compact(entries))
}

// without returns the entries that are not known; both are sorted by key.
func without(entries, known []Entry) []Entry {
	if len(known) == 0 {
		return entries
	}
	fresh := make([]Entry, 0, len(entries)-len(known))
	for _, e := range entries {
		for len(known) > 0 && known[0].Key.Compare(e.Key) < 0 {
			known = known[1:]
		}
		if len(known) == 0 || known[0].Key != e.Key {
			fresh = append(fresh, e)
		}
	}
	return fresh
}

// mergeRuns keeps the runs few. A merge that another process was faster with
// is given up.
func (im *Importer) mergeRuns(ctx context.Context) error {
	for {
		runs, err := im.store.Runs(ctx)
		if err != nil {
			return err
		}
		due := index.Due(runs)
		if due == nil {
			return nil
		}
		merged, err := im.mergeOnce(ctx, due)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !merged {
			return nil // the runs were merged, or the draft was swept, by another process
		}
		if err != nil {
			return fmt.Errorf("merge identities: %w", err)
		}
	}
}

func (im *Importer) mergeOnce(ctx context.Context, due []index.Run) (merged bool, err error) {
	slices.SortFunc(due, func(a, b index.Run) int { return strings.Compare(a.File, b.File) })
	first, last := due[0].File, due[len(due)-1].File
	name := strings.TrimSuffix(first, runSuffix) + "-" + strings.TrimSuffix(last, runSuffix)
	if len(name) > 60 { // of names that were merged before
		name = name[:strings.IndexByte(name, '-')] + name[strings.LastIndexByte(name, '-'):]
	}
	draft := filepath.Join(im.identities, fmt.Sprintf("%s%s-%d", temporaryPrefix, name, os.Getpid()))
	run, err := im.index.Merge(draft, due)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(draft) }() // it has its name by then, or does not count
	im.step("runs merged")
	run.File = name + runSuffix
	err = im.store.SwapRuns(ctx, due, func() (index.Run, error) {
		if err := os.Rename(draft, im.index.Path(run)); err != nil {
			return run, err
		}
		merged = true
		return run, syncDir(im.identities)
	})
	if err != nil || !merged {
		return false, err
	}
	im.step("runs swapped")
	for _, r := range due { // who has one open goes on reading it
		if err := os.Remove(im.index.Path(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
	}
	return true, nil
}

// reindex makes the runs anew from the segments, where there are none: for a
// folder of an earlier version. It is one step: the runs are all there or none is.
func (im *Importer) reindex(ctx context.Context) error {
	segments, err := im.Segments(ctx)
	if err != nil {
		return err
	}
	var runs []index.Run
	for _, s := range segments {
		var entries []Entry
		for batch, err := range OpenSegment(s.Path) {
			if err != nil {
				return err
			}
			column := func(name string) func(int) string {
				read, rerr := textOf(batch.Column(PaymentSchema.FieldIndices(name)[0]))
				err = errors.Join(err, rerr)
				return read
			}
			source, id, kind := column("source"), column("record_id"), column("kind")
			service, serviceID, person := column("service_type"), column("service_id"), column("person_id")
			shop, merchant, terminal := column("shop_id"), column("merchant_id"), column("terminal_id")
			target, group := column("target_id"), column("group_id")
			if err != nil {
				return err
			}
			amounts := batch.Column(PaymentSchema.FieldIndices("amount_yen")[0]).(*array.Int64)
			at := batch.Column(PaymentSchema.FieldIndices("occurred_at")[0]).(*array.Timestamp)
			var h hasher
			for i := range int(batch.NumRows()) {
				r := Record{Source: source(i), ID: id(i), Kind: Kind(kind(i)), ServiceType: service(i), ServiceID: serviceID(i),
					PersonID: person(i), ShopID: shop(i), MerchantID: merchant(i), TerminalID: terminal(i),
					AmountYen: amounts.Value(i), OccurredAt: at.Value(i).ToTime(arrow.Microsecond), TargetID: target(i), GroupID: group(i)}
				entries = append(entries, Entry{Key: h.key(r.Source, r.ID), Content: h.content(&r)})
			}
		}
		slices.SortFunc(entries, func(a, b Entry) int { return a.Key.Compare(b.Key) })
		draft := filepath.Join(im.identities, temporaryPrefix+runName(s.Number))
		defer func() { _ = os.Remove(draft) }()
		run, err := index.Write(draft, entries)
		if err != nil {
			return fmt.Errorf("segment %d: %w", s.Number, err)
		}
		runs = append(runs, run)
	}
	if len(runs) == 0 {
		return nil
	}
	draft := filepath.Join(im.identities, temporaryPrefix+"all")
	defer func() { _ = os.Remove(draft) }()
	all, err := im.index.Merge(draft, runs)
	if err != nil {
		return err
	}
	all.File = "all" + runSuffix
	return im.store.SwapRuns(ctx, nil, func() (index.Run, error) {
		if err := os.Rename(draft, im.index.Path(all)); err != nil {
			return all, err
		}
		return all, syncDir(im.identities)
	})
}

// textOf reads a column of text, plain or by a dictionary; null is empty.
func textOf(column arrow.Array) (func(i int) string, error) {
	switch c := column.(type) {
	case *array.String:
		return func(i int) string {
			if c.IsNull(i) {
				return ""
			}
			return c.Value(i)
		}, nil
	case *array.Dictionary:
		if words, ok := c.Dictionary().(*array.String); ok {
			if c.NullN() == 0 {
				return func(i int) string { return words.Value(c.GetValueIndex(i)) }, nil
			}
			return func(i int) string {
				if c.IsNull(i) {
					return ""
				}
				return words.Value(c.GetValueIndex(i))
			}, nil
		}
	}
	return nil, fmt.Errorf("a column of %s is no text", column.DataType())
}
