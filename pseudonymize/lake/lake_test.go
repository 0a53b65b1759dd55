package lake_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"meguri/pseudonymize/lake"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "token", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}, Nullable: true},
	{Name: "kind", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}},
	{Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64},
	{Name: "active", Type: arrow.FixedWidthTypes.Boolean},
	{Name: lake.DayColumn, Type: arrow.FixedWidthTypes.Date32},
	{Name: "occurred_local", Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
	{Name: "age_band", Type: arrow.BinaryTypes.String},
}, nil)

type row struct {
	Token  string // 16 bytes, or empty for null
	Kind   string
	Yen    int64
	Active bool
	Day    arrow.Date32
	At     arrow.Timestamp
	Band   string
}

type fataler interface{ Fatal(...any) }

func batch(t fataler, rows []row) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, r := range rows {
		if r.Token == "" {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.FixedSizeBinaryBuilder).Append([]byte(r.Token))
		}
		if err := b.Field(1).(*array.BinaryDictionaryBuilder).AppendString(r.Kind); err != nil {
			t.Fatal(err)
		}
		b.Field(2).(*array.Int64Builder).Append(r.Yen)
		b.Field(3).(*array.BooleanBuilder).Append(r.Active)
		b.Field(4).(*array.Date32Builder).Append(r.Day)
		b.Field(5).(*array.TimestampBuilder).Append(r.At)
		b.Field(6).(*array.StringBuilder).Append(r.Band)
	}
	return b.NewRecordBatch()
}

func day(year int, month time.Month, d int) arrow.Date32 {
	return arrow.Date32FromTime(time.Date(year, month, d, 0, 0, 0, 0, time.UTC))
}

// payment is row number i of a day.
func payment(i int, on arrow.Date32) row {
	return row{Token: fmt.Sprintf("%016d", i), Kind: []string{"pay", "cancel"}[i%2], Yen: int64(i), Active: i%3 == 0, Day: on,
		At: arrow.Timestamp(int64(on)*86_400_000_000 + int64(i%1440)*60_000_000), Band: []string{"20-29", "90+", "unknown"}[i%3]}
}

func begin(t fataler, l *lake.Lake) *lake.Writer {
	w, err := l.Begin(city)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const city = "132047"

func table(t fataler, w *lake.Writer) *lake.TableWriter {
	payments, err := w.Table("payments", schema)
	if err != nil {
		t.Fatal(err)
	}
	return payments
}

func write(t fataler, w *lake.Writer, rows []row) {
	b := batch(t, rows)
	defer b.Release()
	if err := table(t, w).Write(b); err != nil {
		t.Fatal(err)
	}
}

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 9*60*60))

const epoch = 7

// entered is what runs of these tests are entered with.
func entered(segments ...int64) lake.Commit {
	return lake.Commit{Segments: segments, Policies: map[string]string{"payments": "2026-11.1"}, Epoch: epoch, At: now}
}

func commit(t fataler, w *lake.Writer, segments ...int64) lake.Manifest {
	m, err := w.Commit(entered(segments...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func run(t fataler, l *lake.Lake, segment int64, rows ...row) lake.Manifest {
	w := begin(t, l)
	write(t, w, rows)
	return commit(t, w, segment)
}

func manifest(t fataler, l *lake.Lake) lake.Manifest {
	m, err := l.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// content is the rows of the lake, and checks that each lies in its month.
func content(t fataler, l *lake.Lake) []row {
	m := manifest(t, l)
	var all []row
	for i, path := range l.Paths(m, "payments") {
		rows := parquetRows(t, path)
		for _, r := range rows {
			if month := r.Day.ToTime().Format("2006-01"); month != m.Files[i].Month || m.Files[i].Path != fmt.Sprintf("payments/city=%s/month=%s/%s", city, month, filepath.Base(path)) {
				t.Fatal(fmt.Sprintf("%s holds a row of %s", m.Files[i].Path, month))
			}
		}
		if int64(len(rows)) != m.Files[i].Rows {
			t.Fatal(fmt.Sprintf("%s: got %d rows, want %d", m.Files[i].Path, len(rows), m.Files[i].Rows))
		}
		all = append(all, rows...)
	}
	return sorted(all)
}

func sorted(rows []row) []row {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b row) int {
		if c := strings.Compare(a.Token, b.Token); c != 0 {
			return c
		}
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	return rows
}

func parquetRows(t fataler, path string) (rows []row) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	table, err := pqarrow.ReadTable(context.Background(), f, parquet.NewReaderProperties(nil), pqarrow.ArrowReadProperties{BatchSize: 1 << 16}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(path, ": ", err)
	}
	defer table.Release()
	for i, want := range schema.Fields() {
		if got := table.Schema().Field(i); got.Name != want.Name || got.Nullable != want.Nullable || !arrow.TypeEqual(got.Type, want.Type) {
			t.Fatal(fmt.Sprintf("%s: got the column %v, want %v", path, got, want))
		}
	}
	reader := array.NewTableReader(table, -1)
	defer reader.Release()
	for reader.Next() {
		b := reader.RecordBatch()
		kinds := b.Column(1).(*array.Dictionary)
		for i := range int(b.NumRows()) {
			r := row{
				Kind:   kinds.Dictionary().(*array.String).Value(kinds.GetValueIndex(i)),
				Yen:    b.Column(2).(*array.Int64).Value(i),
				Active: b.Column(3).(*array.Boolean).Value(i),
				Day:    b.Column(4).(*array.Date32).Value(i),
				At:     b.Column(5).(*array.Timestamp).Value(i),
				Band:   strings.Clone(b.Column(6).(*array.String).Value(i)),
			}
			if !b.Column(0).IsNull(i) {
				r.Token = string(b.Column(0).(*array.FixedSizeBinary).Value(i))
			}
			r.Kind = strings.Clone(r.Kind)
			rows = append(rows, r)
		}
	}
	return rows
}

// files are the files below a folder with their content.
func files(t fataler, dir string) map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(all, ".lock")
	return all
}

func names[V any](files map[string]V) []string {
	var list []string
	for name := range files {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func TestManifest_OfALakeThatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	m, err := lake.Open(dir).Manifest()
	if err != nil || m.Snapshot != 0 || m.Rows("payments") != 0 || len(m.Files) != 0 || m.Label != lake.Label {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made a folder: %v", err)
	}
}

func TestCommit_SaysWhatTheLakeHolds(t *testing.T) {
	l := lake.Open(filepath.Join(t.TempDir(), "a", "lake"))
	w := begin(t, l)
	if base := w.Base(); base.Snapshot != 0 {
		t.Errorf("base: got %+v", base)
	}
	write(t, w, []row{payment(1, day(2026, 4, 1)), payment(2, day(2026, 3, 31)), payment(3, day(2026, 4, 30))})
	got := commit(t, w, 2, 1)
	size := func(path string) int64 {
		info, err := os.Stat(filepath.Join(l.Dir(), path))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	file := func(month string, rows int64) lake.File {
		path := "payments/city=" + city + "/month=" + month + "/000001.parquet"
		sum := sha256.Sum256([]byte(files(t, l.Dir())[path]))
		return lake.File{Path: path, Table: "payments", City: city, Month: month, Rows: rows, Bytes: size(path), SHA256: hex.EncodeToString(sum[:])}
	}
	want := lake.Manifest{Label: lake.Label, Format: 2, Snapshot: 1, At: now.UTC(), Epoch: epoch,
		Policies: map[string]string{"payments": "2026-11.1"}, Segments: []int64{1, 2},
		Files: []lake.File{file("2026-03", 1), file("2026-04", 2)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, manifest(t, l)); diff != "" {
		t.Errorf("read again: %s", diff)
	}

	first := files(t, l.Dir())
	run(t, l, 3, payment(4, day(2026, 4, 2)))
	m := manifest(t, l)
	if m.Snapshot != 2 || m.Rows("payments") != 4 || !slices.Equal(m.Segments, []int64{1, 2, 3}) || len(m.Files) != 3 {
		t.Errorf("after a second run: got %+v", m)
	}
	for name, text := range files(t, l.Dir()) {
		if was, there := first[name]; there && was != text && name != "manifest.json" {
			t.Errorf("the second run changed %s", name)
		}
	}
	if got, want := len(content(t, l)), 4; got != want {
		t.Errorf("got %d rows, want %d", got, want)
	}
}

func TestCommit_OfNoRowsStillTakesTheSegmentsIn(t *testing.T) {
	l := lake.Open(t.TempDir())
	w := begin(t, l)
	write(t, w, nil) // a batch of no rows
	if m := commit(t, w, 1); m.Snapshot != 1 || len(m.Files) != 0 || !slices.Equal(m.Segments, []int64{1}) {
		t.Errorf("got %+v", m)
	}
	run(t, l, 2, payment(1, day(2026, 4, 1)))
	if m := manifest(t, l); m.Snapshot != 2 || m.Rows("payments") != 1 {
		t.Errorf("got %+v", m)
	}
}

// TestWrite_GivesBackTheRowsByMonth writes any rows in any batches and runs.
func TestWrite_GivesBackTheRowsByMonth(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		defer func() { _ = os.RemoveAll(dir) }()
		l := lake.Open(dir)
		rows := rapid.Custom(func(t *rapid.T) row {
			r := row{
				Kind:   rapid.SampledFrom([]string{"pay", "cancel", "refund", ""}).Draw(t, "kind"),
				Yen:    rapid.Int64().Draw(t, "yen"),
				Active: rapid.Bool().Draw(t, "active"),
				Day:    arrow.Date32(rapid.IntRange(-40, 80).Draw(t, "day")), // about new year 1970
				Band:   rapid.StringN(0, 3, -1).Draw(t, "band"),
			}
			if rapid.Bool().Draw(t, "has token") {
				r.Token = rapid.StringMatching(`[a-z]{16}`).Draw(t, "token")
			}
			r.At = arrow.Timestamp(r.Day) * 86_400_000_000
			return r
		})
		var want []row
		for segment, batches := range rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(rows, 0, 8), 0, 4), 1, 3).Draw(t, "runs") {
			w := begin(t, l)
			for _, b := range batches {
				write(t, w, b)
				want = append(want, b...)
			}
			commit(t, w, int64(segment+1))
		}
		if diff := cmp.Diff(sorted(want), content(t, l)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestWrite_TakesABatchOverManyMonths: rows of 300 months in one batch, each
// month again and again.
func TestWrite_TakesABatchOverManyMonths(t *testing.T) {
	for _, months := range []int{127, 128, 129, 300} {
		l := lake.Open(t.TempDir())
		var rows []row
		for i := range 2 * months {
			rows = append(rows, payment(i, day(2000, time.Month(i*7%months+1), 15)))
		}
		run(t, l, 1, rows...)
		if m := manifest(t, l); len(m.Files) != months {
			t.Errorf("%d months: got %d files", months, len(m.Files))
		}
		if diff := cmp.Diff(sorted(rows), content(t, l)); diff != "" {
			t.Errorf("%d months: %s", months, diff)
		}
	}
}

// TestWrite_GoesOnBeyondARowGroup with batches whose dictionaries have their
// words in other places.
func TestWrite_GoesOnBeyondARowGroup(t *testing.T) {
	l := lake.Open(t.TempDir())
	w := begin(t, l)
	var want []row
	for i := range 5 {
		part := make([]row, lake.RowGroup/2)
		for j := range part {
			part[j] = payment(i*len(part)+j+i%2, day(2026, 4, 1+i))
			part[j].Kind = fmt.Sprint("kind ", (j+i)%(3+i))
		}
		write(t, w, part)
		want = append(want, part...)
	}
	m := commit(t, w, 1)
	got := content(t, l)
	if want = sorted(want); !slices.Equal(got, want) {
		t.Errorf("got %d rows, want %d, and not the same", len(got), len(want))
	}
	r, err := file.OpenParquetFile(l.Paths(m, "payments")[0], false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if r.NumRowGroups() != 3 {
		t.Errorf("got %d row groups, want 3", r.NumRowGroups())
	}
}

func TestCommit_LabelsAndCompressesEveryFile(t *testing.T) {
	l := lake.Open(t.TempDir())
	m := run(t, l, 1, payment(1, day(2026, 3, 1)), payment(2, day(2026, 4, 1)))
	if m.Label != lake.Label || !strings.Contains(m.Label, "仮名加工情報") {
		t.Errorf("the manifest's label: %q", m.Label)
	}
	for _, path := range l.Paths(m, "payments") {
		r, err := file.OpenParquetFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		if label := r.MetaData().KeyValueMetadata().FindValue("label"); label == nil || *label != lake.Label {
			t.Errorf("%s: got the label %v", path, label)
		}
		for c := range schema.NumFields() {
			chunk, err := r.MetaData().RowGroup(0).ColumnChunk(c)
			if err != nil {
				t.Fatal(err)
			}
			if chunk.Compression() != compress.Codecs.Zstd {
				t.Errorf("%s, %s: got %v, want zstd", path, schema.Field(c).Name, chunk.Compression())
			}
			if token := schema.Field(c).Type.ID() == arrow.FIXED_SIZE_BINARY; token && chunk.HasDictionaryPage() {
				t.Errorf("%s: the tokens have a dictionary", path)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTable_NeedsTheDayColumn(t *testing.T) {
	for name, fields := range map[string][]arrow.Field{
		"none":         {{Name: "x", Type: arrow.FixedWidthTypes.Date32}},
		"of text":      {{Name: lake.DayColumn, Type: arrow.BinaryTypes.String}},
		"of two names": {schema.Field(4), schema.Field(4)},
	} {
		w := begin(t, lake.Open(t.TempDir()))
		if _, err := w.Table("payments", arrow.NewSchema(fields, nil)); err == nil || !strings.Contains(err.Error(), lake.DayColumn) {
			t.Errorf("%s: got %v", name, err)
		}
		w.Abort()
	}
}

func TestTable_RefusesWhatALakeDoesNotHave(t *testing.T) {
	w := begin(t, lake.Open(t.TempDir()))
	defer w.Abort()
	if _, err := w.Table("secrets", schema); err == nil {
		t.Error("there is a table of secrets")
	}
	lists := arrow.NewSchema([]arrow.Field{schema.Field(4), {Name: "list", Type: arrow.ListOf(arrow.BinaryTypes.String)}}, nil)
	if _, err := w.Table("payments", lists); err == nil || !strings.Contains(err.Error(), "column list") {
		t.Errorf("a column of lists: %v", err)
	}
	table(t, w)
	if _, err := w.Table("payments", arrow.NewSchema(schema.Fields()[1:], nil)); err == nil {
		t.Error("the columns changed within a run")
	}
	for _, code := range []string{"", "三鷹", "13/2047", ".."} {
		if _, err := lake.Open(t.TempDir()).Begin(code); err == nil {
			t.Errorf("a run began for the municipality %q", code)
		}
	}
}

func TestWrite_RefusesRowsThatDoNotFit(t *testing.T) {
	nullable := schema.Fields()
	nullable[4].Nullable = true
	for name, c := range map[string]struct {
		began, rows *arrow.Schema
	}{
		"other columns": {schema, arrow.NewSchema(schema.Fields()[1:], nil)},
		"no day":        {arrow.NewSchema(nullable, nil), arrow.NewSchema(nullable, nil)},
	} {
		l := lake.Open(t.TempDir())
		w := begin(t, l)
		payments, err := w.Table("payments", c.began)
		if err != nil {
			t.Fatal(err)
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, c.rows)
		for i := range c.rows.NumFields() {
			b.Field(i).AppendNull()
		}
		rows := b.NewRecordBatch()
		if err := payments.Write(rows); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := w.Commit(entered(1)); err == nil {
			t.Errorf("%s: a run that failed was committed", name)
		}
		if got := names(files(t, l.Dir())); len(got) != 0 {
			t.Errorf("%s: left %q", name, got)
		}
		rows.Release()
		b.Release()
	}
}

func TestAbort_LeavesNothing(t *testing.T) {
	l := lake.Open(t.TempDir())
	handles := openFiles(t)
	w := begin(t, l)
	write(t, w, []row{payment(1, day(2026, 3, 1)), payment(2, day(2026, 4, 1))})
	if len(files(t, l.Dir())) != 2 {
		t.Fatalf("the run has not begun to write: %q", names(files(t, l.Dir())))
	}
	w.Abort()
	if got := names(files(t, l.Dir())); len(got) != 0 {
		t.Errorf("left %q", got)
	}
	entries, err := filepath.Glob(filepath.Join(l.Dir(), "payments", "*"))
	if err != nil || len(entries) != 0 {
		t.Errorf("left %q, %v", entries, err)
	}
	if got := openFiles(t); got != handles {
		t.Errorf("%d files are open, %d were before", got, handles)
	}
	before := run(t, l, 1, payment(1, day(2026, 3, 1)))
	want := files(t, l.Dir())
	w = begin(t, l)
	write(t, w, []row{payment(2, day(2026, 3, 1))})
	w.Abort()
	w.Abort()
	if diff := cmp.Diff(want, files(t, l.Dir())); diff != "" {
		t.Errorf("the lake changed: %s", diff)
	}
	if m := manifest(t, l); m.Snapshot != before.Snapshot {
		t.Errorf("got snapshot %d", m.Snapshot)
	}
	if got := openFiles(t); got != handles {
		t.Errorf("after two runs %d files are open, %d were before", got, handles)
	}
}

// openFiles counts the files that this process holds open.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		entries, err = os.ReadDir("/dev/fd")
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestWriter_IsOverAfterItsEnd(t *testing.T) {
	for name, end := range map[string]func(*lake.Writer){"Abort": (*lake.Writer).Abort, "Commit": func(w *lake.Writer) { commit(t, w, 1) }} {
		l := lake.Open(t.TempDir())
		w := begin(t, l)
		write(t, w, []row{payment(1, day(2026, 3, 1))})
		payments := table(t, w)
		end(w)
		next := begin(t, l) // another run, which the first must leave alone
		write(t, next, []row{payment(2, day(2026, 3, 1))})
		b := batch(t, []row{payment(3, day(2026, 3, 1))})
		if err := payments.Write(b); err == nil {
			t.Errorf("Write after %s: no error", name)
		}
		b.Release()
		if _, err := w.Commit(entered(9)); err == nil {
			t.Errorf("Commit after %s: no error", name)
		}
		w.Abort()
		m := commit(t, next, 2)
		if slices.Contains(m.Segments, 9) || len(content(t, l)) != int(m.Rows("payments")) {
			t.Errorf("after %s: got %+v", name, m)
		}
	}
}

func TestBegin_KeepsASecondWriterOut(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, lake.Open(dir))
	for range 2 {
		if _, err := lake.Open(dir).Begin(city); !errors.Is(err, lake.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
	}
	if m := manifest(t, lake.Open(dir)); m.Snapshot != 0 { // readers are not kept out
		t.Errorf("got %+v", m)
	}
	write(t, w, []row{payment(1, day(2026, 3, 1))})
	commit(t, w, 1)
	begin(t, lake.Open(dir)).Abort()
	run(t, lake.Open(dir), 2, payment(2, day(2026, 3, 1)))
}

// TestBegin_LetsOneOfManyWrite: of runs that begin at once one gets the lake,
// and every run that got it is in it.
func TestBegin_LetsOneOfManyWrite(t *testing.T) {
	dir := t.TempDir()
	type outcome struct {
		segment int64
		err     error
	}
	done := make(chan outcome)
	const runs = 16
	for i := range runs {
		go func() {
			segment := int64(i + 1)
			w, err := lake.Open(dir).Begin(city)
			if err == nil {
				b := batch(t, []row{payment(i, day(2026, 3, 1))})
				var payments *lake.TableWriter
				if payments, err = w.Table("payments", schema); err == nil {
					err = payments.Write(b)
				}
				b.Release()
				if err == nil {
					_, err = w.Commit(entered(segment))
				}
			}
			done <- outcome{segment, err}
		}()
	}
	var want []int64
	for range runs {
		o := <-done
		if o.err == nil {
			want = append(want, o.segment)
		} else if !errors.Is(o.err, lake.ErrBusy) {
			t.Error(o.err)
		}
	}
	slices.Sort(want)
	m := manifest(t, lake.Open(dir))
	if !slices.Equal(m.Segments, want) || len(want) == 0 || m.Snapshot != int64(len(want)) || len(content(t, lake.Open(dir))) != len(want) {
		t.Errorf("got %+v, want the segments %v", m, want)
	}
}

func TestCommit_RefusesTokensOfAnotherKey(t *testing.T) {
	l := lake.Open(t.TempDir())
	run(t, l, 1, payment(1, day(2026, 3, 1)))
	want := files(t, l.Dir())
	w := begin(t, l)
	write(t, w, []row{payment(2, day(2026, 3, 1))})
	other := entered(2)
	other.Epoch++
	if _, err := w.Commit(other); !errors.Is(err, lake.ErrEpoch) {
		t.Errorf("got %v, want ErrEpoch", err)
	}
	if diff := cmp.Diff(want, files(t, l.Dir())); diff != "" {
		t.Errorf("the lake changed: %s", diff)
	}
	run(t, l, 2, payment(2, day(2026, 3, 1)))
}

// TestManifest_NamesWhatSomebodyChanged, and no run begins over it.
func TestManifest_NamesWhatSomebodyChanged(t *testing.T) {
	const march, april = "payments/city=132047/month=2026-03/000001.parquet", "payments/city=132047/month=2026-04/000002.parquet"
	in := func(dir, name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	overwrite := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(in(dir, name), []byte(text), 0o600) }
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		says   string
	}{
		"a file deleted":                 {func(dir string) error { return os.Remove(in(dir, march)) }, march},
		"a file cut":                     {func(dir string) error { return os.Truncate(in(dir, april), 10) }, april},
		"a file replaced":                {overwrite(april, "PAR1 something else PAR1"), april},
		"a month deleted":                {func(dir string) error { return os.RemoveAll(in(dir, "payments/city=132047/month=2026-04")) }, april},
		"a file added":                   {overwrite("payments/city=132047/month=2026-03/export.parquet", "x"), "payments/city=132047/month=2026-03/export.parquet"},
		"a file of an earlier run added": {overwrite("payments/city=132047/month=2026-04/000001.parquet", "x"), "payments/city=132047/month=2026-04/000001.parquet"},
		"a manifest emptied":             {overwrite("manifest.json", ""), "manifest.json"},
		"a manifest cut":                 {func(dir string) error { return os.Truncate(in(dir, "manifest.json"), 100) }, "manifest.json"},
		"a manifest of zeroes":           {overwrite("manifest.json", strings.Repeat("\x00", 400)), "manifest.json"},
		"a manifest that says nothing":   {overwrite("manifest.json", "{}"), "manifest.json"},
		"a manifest that is null":        {overwrite("manifest.json", "null"), "manifest.json"},
		"a manifest deleted":             {func(dir string) error { return os.Remove(in(dir, "manifest.json")) }, april},
	} {
		t.Run(name, func(t *testing.T) {
			l := lake.Open(t.TempDir())
			run(t, l, 1, payment(1, day(2026, 3, 1)))
			run(t, l, 2, payment(2, day(2026, 4, 1)))
			if err := c.change(l.Dir()); err != nil {
				t.Fatal(err)
			}
			before := files(t, l.Dir())
			if !strings.Contains(name, "added") { // readers go by the manifest and need not look for more
				if _, err := l.Manifest(); !errors.Is(err, lake.ErrChanged) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Manifest: got %v, want ErrChanged with %s", err, c.says)
				}
			}
			for range 2 { // the second time the lock is free
				if _, err := l.Begin(city); !errors.Is(err, lake.ErrChanged) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Begin: got %v, want ErrChanged with %s", err, c.says)
				}
			}
			if diff := cmp.Diff(before, files(t, l.Dir())); diff != "" {
				t.Errorf("the files were touched: %s", diff)
			}
		})
	}
}
