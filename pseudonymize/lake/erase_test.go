package lake_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"meguri/pseudonymize/lake"
)

// What a commit erases is in no snapshot of before, nor on the disk; a run that
// was broken off before they went is ended by the next.
func TestCommit_ErasesWhatWasBefore(t *testing.T) {
	l := lake.Open(t.TempDir())
	before := runAt(t, l, 0, 1, payment(1, day(2026, 3, 1)), payment(2, day(2026, 4, 1)))
	runAt(t, l, 1, 2, payment(3, day(2026, 5, 1)))
	kept, err := os.ReadFile(filepath.Join(l.Dir(), "snapshots", "000001.json"))
	if err != nil {
		t.Fatal(err)
	}
	old := l.Paths(before, "payments")[0]
	bytes, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	w := begin(t, l)
	w.Remove(before.Files[0])
	m, err := w.Commit(lake.Commit{At: now, Erases: true})
	if err != nil || m.Erased != m.Snapshot || m.Rows("payments") != 2 {
		t.Fatalf("got %+v, %v", m, err)
	}
	gone := func(when string) {
		t.Helper()
		if all, err := l.Snapshots(); err != nil || len(all) != 1 {
			t.Errorf("%s: %d snapshots stay, %v", when, len(all), err)
		}
		if _, err := os.Stat(old); err == nil {
			t.Errorf("%s: the file is there", when)
		}
	}
	gone("erased")
	// As if the power had gone before they were removed.
	for path, text := range map[string][]byte{filepath.Join(l.Dir(), "snapshots", "000001.json"): kept, old: bytes} {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, l).Abort()
	gone("begun again")
	// Snapshots of after it are kept as ever.
	runAt(t, l, 2, 3, payment(4, day(2026, 5, 2)))
	begin(t, l).Abort()
	if all, err := l.Snapshots(); err != nil || len(all) != 2 {
		t.Errorf("%d snapshots, %v", len(all), err)
	}
}

// Row groups that another program wrote are read as values, and the rows go all
// the same.
func TestRewrite_TakesWhatOthersWrote(t *testing.T) {
	lake.SetLarge(t, 1)
	l := lake.Open(t.TempDir())
	m := run(t, l, 1, payment(1, day(2026, 3, 1)), payment(2, day(2026, 3, 2)), payment(3, day(2026, 3, 3)))
	schema, err := l.SchemaOf(m.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	var rows arrow.RecordBatch
	if err := l.Read(t.Context(), m.Files[0], nil, func(b arrow.RecordBatch) error { b.Retain(); rows = b; return nil }); err != nil {
		t.Fatal(err)
	}
	var other bytes.Buffer
	w, err := pqarrow.NewFileWriter(rows.Schema(), &other, parquet.NewWriterProperties(parquet.WithDataPageVersion(parquet.DataPageV2)),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err == nil {
		err = errors.Join(w.Write(rows), w.Close(), os.WriteFile(l.Paths(m, "payments")[0], other.Bytes(), 0o600))
	}
	m.Files[0].Bytes = int64(other.Len()) // and whoever did so knew the manifest
	text, terr := m.Text()
	err = errors.Join(err, terr, os.WriteFile(filepath.Join(l.Dir(), "manifest.json"), text, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	run := begin(t, l)
	second := payment(2, day(2026, 3, 2)).Token
	_, err = run.Rewrite(t.Context(), "payments", schema, m.Files, func(f lake.File) ([]int64, error) {
		return l.Find(t.Context(), f, "token", len(second), func(v []byte) bool { return string(v) == second })
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find(t.Context(), m.Files[0], "another_token", len(second), nil); !errors.Is(err, lake.ErrChanged) {
		t.Errorf("a column that is not there: %v", err)
	}
	if _, err := run.Commit(lake.Commit{At: now, Erases: true}); err != nil { // with it goes the other's file
		t.Fatal(err)
	}
	if got, want := content(t, l), sorted([]row{payment(1, day(2026, 3, 1)), payment(3, day(2026, 3, 3))}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A row group of theirs may be larger than ours.
func TestRewrite_TakesLargerGroups(t *testing.T) {
	l := lake.Open(t.TempDir())
	m := run(t, l, 1, payment(1, day(2026, 3, 1)))
	schema, err := l.SchemaOf(m.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	const n = lake.RowGroup + 5
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	err = l.Read(t.Context(), m.Files[0], nil, func(one arrow.RecordBatch) error {
		for range n {
			for i, c := range one.Columns() {
				if err := b.Field(i).AppendValueFromString(c.ValueStr(0)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := b.NewRecordBatch()
	var other bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &other, parquet.NewWriterProperties(parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithMaxRowGroupLength(n)),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err == nil {
		m.Files[0].Rows = n
		err = errors.Join(w.Write(rows), w.Close(), os.WriteFile(l.Paths(m, "payments")[0], other.Bytes(), 0o600))
	}
	m.Files[0].Bytes = int64(other.Len())
	text, terr := m.Text()
	if err := errors.Join(err, terr, os.WriteFile(filepath.Join(l.Dir(), "manifest.json"), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	run := begin(t, l)
	gone := []int64{0, lake.RowGroup - 1, lake.RowGroup, n - 1}
	if _, err := run.Rewrite(t.Context(), "payments", schema, m.Files, func(lake.File) ([]int64, error) { return gone, nil }); err != nil {
		t.Fatal(err)
	}
	after, err := run.Commit(lake.Commit{At: now, Erases: true})
	if err != nil || after.Rows("payments") != n-int64(len(gone)) {
		t.Errorf("%d rows stay, %v", after.Rows("payments"), err)
	}
}

// No row goes that is not there.
func TestRewrite_RefusesRowsThatAreNotThere(t *testing.T) {
	l := lake.Open(t.TempDir())
	m := run(t, l, 1, payment(1, day(2026, 3, 1)))
	schema, err := l.SchemaOf(m.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	w := begin(t, l)
	defer w.Abort()
	if _, err := w.Rewrite(t.Context(), "payments", schema, m.Files, func(lake.File) ([]int64, error) { return []int64{1}, nil }); err == nil {
		t.Error("a second row went of one")
	}
	if _, err := w.Commit(lake.Commit{At: now}); err == nil {
		t.Error("what failed was committed")
	}
}

// A file is rewritten once, and with it all others of a table that is written
// whole.
func TestRewrite_RefusesAFileTwice(t *testing.T) {
	l := lake.Open(t.TempDir())
	m := run(t, l, 1, payment(1, day(2026, 3, 1)), payment(2, day(2026, 4, 1)))
	schema, err := l.SchemaOf(m.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	all := func(lake.File) ([]int64, error) { return []int64{0}, nil }
	w := begin(t, l)
	defer w.Abort()
	if _, err := w.Rewrite(context.Background(), "payments", schema, []lake.File{m.Files[0], m.Files[0]}, all); err == nil {
		t.Error("a file was taken twice")
	}
	if n, err := w.Rewrite(context.Background(), "payments", schema, m.Files[:1], all); err != nil || n != 1 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := w.Rewrite(context.Background(), "payments", schema, m.Files[:1], all); err == nil {
		t.Error("a file was taken again")
	}
}
