package ingest_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"meguri/ingest"
	"meguri/pseudonymize/lake"
)

// A pipeline that runs beside an import makes the lake that one makes after it.
func TestPipeline_BesideAnImport(t *testing.T) {
	file := writeFile(t, "t.csv", func(w io.Writer) error { return writeMitaka(w, 5000, 1) })
	importFile := func(ctx context.Context, im *ingest.Importer) error {
		_, err := im.Import(ctx, file, ingest.Options{Format: ingest.MitakaTransactions})
		return err
	}
	newCity := func() (*ingest.Importer, string) {
		dir := t.TempDir()
		im := open(t, dir)
		ingest.SetChunkRows(im, 300) // many segments
		return im, dir
	}
	im, dir := newCity()
	after := pipeline(t, im, dir)
	if err := importFile(t.Context(), im); err != nil {
		t.Fatal(err)
	}
	want := runPipeline(t, after)

	im, dir = newCity()
	beside := pipeline(t, im, dir)
	beside.Keys = after.Keys
	ended, waits := make(chan struct{}), 0
	beside.More = func(ctx context.Context) (bool, error) {
		waits++
		select {
		case <-ended:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Millisecond):
			return true, nil
		}
	}
	var got ingest.Result
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error {
		defer close(ended)
		return importFile(ctx, im)
	})
	g.Go(func() (err error) {
		got, err = beside.Run(ctx)
		return err
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got != want || want.Segments < 10 || waits < 2 {
		t.Errorf("got %+v after %d waits, want %+v", got, waits, want)
	}
	sorted := func(l *lake.Lake) []string {
		rows, columns, _ := lakeContent(t, l)
		texts := make([]string, len(rows))
		for i, row := range rows {
			for _, c := range columns {
				texts[i] += row[c] + "\x1f"
			}
		}
		slices.Sort(texts)
		return texts
	}
	if diff := cmp.Diff(sorted(after.Lake), sorted(beside.Lake)); diff != "" {
		t.Errorf("the lakes differ (-after +beside):\n%s", diff)
	}
	// A run after it has nothing to do, and one that waits in vain makes no snapshot.
	beside.More = func(context.Context) (bool, error) { return false, nil }
	if r := runPipeline(t, beside); r.Segments != 0 || r.Snapshot != got.Snapshot {
		t.Errorf("a run with nothing new: %+v", r)
	}
}
