package lake_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"meguri/pseudonymize/lake"
)

// runAt is run, committed at another hour.
func runAt(t fataler, l *lake.Lake, hour int, segment int64, rows ...row) lake.Manifest {
	w := begin(t, l)
	write(t, w, rows)
	c := entered(segment)
	c.At = now.Add(time.Duration(hour) * time.Hour)
	m, err := w.Commit(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAsOf_ReadsWhatWas at any instant, until it is expired.
func TestAsOf_ReadsWhatWas(t *testing.T) {
	l := lake.Open(t.TempDir())
	if _, err := l.AsOf(now); !errors.Is(err, lake.ErrGone) {
		t.Errorf("an empty lake: %v", err)
	}
	for i := range 4 {
		runAt(t, l, i, int64(i+1), payment(i, day(2026, 4, 1+i)))
	}
	for hour, want := range map[float64]int64{-0.1: 0, 0: 1, 0.9: 1, 1: 2, 2.5: 3, 3: 4, 99: 4} {
		m, err := l.AsOf(now.Add(time.Duration(hour * float64(time.Hour))))
		if want == 0 && !errors.Is(err, lake.ErrGone) || want > 0 && (err != nil || m.Snapshot != want || m.Rows("payments") != want) {
			t.Errorf("%v hours later: got snapshot %d, %v, want %d", hour, m.Snapshot, err, want)
		}
	}
	gone, err := l.Expire(now.Add(2 * time.Hour))
	if err != nil || len(gone) != 0 {
		t.Errorf("files of the present snapshot went: %v, %v", gone, err)
	}
	if _, err := l.AsOf(now.Add(90 * time.Minute)); !errors.Is(err, lake.ErrGone) {
		t.Errorf("an expired snapshot: %v", err)
	}
	if m, err := l.AsOf(now.Add(150 * time.Minute)); err != nil || m.Snapshot != 3 {
		t.Errorf("got %d, %v", m.Snapshot, err)
	}
}

// TestVerify_NamesAChangeOfOneBit that leaves the size as it was.
func TestVerify_NamesAChangeOfOneBit(t *testing.T) {
	l := lake.Open(t.TempDir())
	m := run(t, l, 1, payment(1, day(2026, 3, 1)), payment(2, day(2026, 4, 1)))
	var calls int64
	if err := l.Verify(m, func(done, of int64) { calls++ }); err != nil || calls != 2 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	path := l.Paths(m, "payments")[1]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, len(text) / 2, len(text) - 1} {
		changed := slices.Clone(text)
		changed[at] ^= 4
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.Verify(manifest(t, l), nil); !errors.Is(err, lake.ErrChanged) || !strings.Contains(err.Error(), m.Files[1].Path) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

// TestFlush_SortsRowGroups by place and time, and keeps together what is equal.
func TestFlush_SortsRowGroups(t *testing.T) {
	sortable := arrow.NewSchema(append(slices.Clone(schema.Fields()),
		arrow.Field{Name: "shop_id", Type: schema.Field(1).Type, Nullable: true}), nil)
	l := lake.Open(t.TempDir())
	w := begin(t, l)
	payments, err := w.Table("payments", sortable)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	type place struct {
		shop string
		at   int64
		n    int64
	}
	var want []place
	for b := range 3 { // dictionaries with their words in other places
		rows := make([]row, 5000)
		for i := range rows {
			rows[i] = payment(b*5000+i, day(2026, 4, 1+rng.IntN(30)))
			rows[i].At = arrow.Timestamp(int64(rows[i].Day)*86_400_000_000 + rng.Int64N(24)*3_600_000_000)
		}
		plain := batch(t, rows)
		shops := array.NewDictionaryBuilder(memory.DefaultAllocator, schema.Field(1).Type.(*arrow.DictionaryType)).(*array.BinaryDictionaryBuilder)
		for i := range rows {
			shop := fmt.Sprint("shop ", rng.IntN(20))
			if rng.IntN(10) == 0 {
				shop = ""
				shops.AppendNull()
			} else if err := shops.AppendString(shop); err != nil {
				t.Fatal(err)
			}
			want = append(want, place{shop, int64(rows[i].At), rows[i].Yen})
		}
		column := shops.NewArray()
		whole := array.NewRecordBatch(sortable, append(slices.Clone(plain.Columns()), column), int64(len(rows)))
		if err := payments.Write(whole); err != nil {
			t.Fatal(err)
		}
		whole.Release()
		column.Release()
		plain.Release()
		shops.Release()
	}
	m := commit(t, w, 1)
	slices.SortStableFunc(want, func(a, b place) int {
		if c := strings.Compare(a.shop, b.shop); c != 0 {
			return c
		}
		return int(a.at/3_600_000_000 - b.at/3_600_000_000)
	})
	var got []place
	err = l.Read(t.Context(), m.Files[0], nil, func(b arrow.RecordBatch) error {
		shops := b.Column(7).(*array.Dictionary)
		for i := range int(b.NumRows()) {
			p := place{"", int64(b.Column(5).(*array.Timestamp).Value(i)), b.Column(2).(*array.Int64).Value(i)}
			if !shops.IsNull(i) {
				p.shop = strings.Clone(shops.Dictionary().(*array.String).Value(shops.GetValueIndex(i)))
			}
			got = append(got, p)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d rows in another order than wanted, %v", len(got), err)
	}
}

// dropTokens drops the rows whose token is in a set.
func dropTokens(l *lake.Lake, gone map[string]bool) func(lake.File) ([]int64, error) {
	return func(f lake.File) ([]int64, error) {
		return l.Places(context.Background(), f, nil, func(b arrow.RecordBatch) ([]bool, error) {
			drop := make([]bool, b.NumRows())
			tokens := b.Column(0).(*array.FixedSizeBinary)
			for i := range drop {
				drop[i] = !tokens.IsNull(i) && gone[string(tokens.Value(i))]
			}
			return drop, nil
		})
	}
}

// TestRewrite_DropsTheseRowsAndNoOther, from any files, and what expires takes
// them from the disk.
func TestRewrite_DropsTheseRowsAndNoOther(t *testing.T) {
	base, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := fmt.Sprint(base, "/", n)
		defer func() { _ = os.RemoveAll(dir) }()
		l := lake.Open(dir)
		gone := map[string]bool{}
		var want []row
		for segment := range rapid.IntRange(1, 3).Draw(t, "runs") {
			var rows []row
			for range rapid.IntRange(1, 20).Draw(t, "rows") {
				r := payment(rapid.IntRange(0, 30).Draw(t, "row"), day(2026, time.Month(rapid.IntRange(1, 4).Draw(t, "month")), 3))
				rows = append(rows, r)
				if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
					gone[r.Token] = true
				}
			}
			want = append(want, rows...)
			run(t, l, int64(segment+1), rows...)
		}
		lake.SetLarge(t, int64(rapid.SampledFrom([]int{0, 4, 1000}).Draw(t, "large")))
		before := int64(len(want))
		want = slices.DeleteFunc(want, func(r row) bool { return gone[r.Token] })
		w := begin(t, l)
		dropped, err := w.Rewrite(context.Background(), "payments", schema, w.Base().Files, dropTokens(l, gone))
		if err != nil || dropped != before-int64(len(want)) {
			t.Fatalf("%d dropped of %d, %v", dropped, before, err)
		}
		m := commit(t, w)
		if got := content(t, l); !slices.Equal(sorted(want), got) {
			t.Fatal(cmp.Diff(sorted(want), got))
		}
		if _, err := l.Expire(now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := l.Verify(m, nil); err != nil {
			t.Fatal(err)
		}
		if got := names(files(t, dir)); len(got) != len(m.Files)+1 {
			t.Fatalf("left %q, and the manifest has %d files", got, len(m.Files))
		}
	})
}

// TestRewrite_FillsColumnsThatCameLater with null.
func TestRewrite_FillsColumnsThatCameLater(t *testing.T) {
	l := lake.Open(t.TempDir())
	run(t, l, 1, payment(1, day(2026, 4, 1)))
	wider := arrow.NewSchema(append(slices.Clone(schema.Fields()), arrow.Field{Name: "weather", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
	w := begin(t, l)
	if _, err := w.Rewrite(t.Context(), "payments", wider, w.Base().Files, nil); err != nil {
		t.Fatal(err)
	}
	m := commit(t, w)
	err := l.Read(t.Context(), m.Files[0], []string{"weather", "nothing"}, func(b arrow.RecordBatch) error {
		if b.NumCols() != 1 || b.NumRows() != 1 || !b.Column(0).IsNull(0) {
			t.Errorf("got %v", b)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAnew_ForgetsEverything, also the key.
func TestAnew_ForgetsEverything(t *testing.T) {
	l := lake.Open(t.TempDir())
	run(t, l, 1, payment(1, day(2026, 3, 1)))
	w := begin(t, l)
	w.Anew()
	write(t, w, []row{payment(2, day(2026, 4, 1))})
	c := entered(1, 2)
	c.Epoch++
	if _, err := w.Commit(c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]row{payment(2, day(2026, 4, 1))}, content(t, l)); diff != "" {
		t.Error(diff)
	}
	if m := manifest(t, l); m.Epoch != epoch+1 || !slices.Equal(m.Segments, []int64{1, 2}) || m.Snapshot != 2 {
		t.Errorf("got %+v", m)
	}
}

// TestTable_WrittenWholeReplacesWhatWas.
func TestTable_WrittenWholeReplacesWhatWas(t *testing.T) {
	l := lake.Open(t.TempDir())
	plain := arrow.NewSchema(schema.Fields()[:4], nil)
	for i := range 2 {
		w := begin(t, l)
		residents, err := w.Table("residents", plain)
		if err != nil {
			t.Fatal(err)
		}
		whole := batch(t, []row{payment(i, 0)})
		part := array.NewRecordBatch(plain, whole.Columns()[:4], 1)
		if err := residents.Write(part); err != nil {
			t.Fatal(err)
		}
		part.Release()
		whole.Release()
		m := commit(t, w)
		if len(m.Files) != 1 || m.Files[0].Path != fmt.Sprintf("residents/%06d.parquet", i+1) || m.Files[0].Month != "" {
			t.Errorf("got %+v", m.Files)
		}
	}
}

func TestManifest_OfAnEarlierFormatSaysWhatToDo(t *testing.T) {
	l := lake.Open(t.TempDir())
	run(t, l, 1, payment(1, day(2026, 3, 1)))
	path := l.Dir() + "/manifest.json"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for format, want := range map[string]string{`"format": 1`: "move the folder away", `"format": 3`: "a later version"} {
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"format": 2`, format, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Manifest(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// TestCompact_MergesTheFilesOfAMonth and changes no row.
func TestCompact_MergesTheFilesOfAMonth(t *testing.T) {
	l := lake.Open(t.TempDir())
	var want []row
	for i := range 5 {
		rows := []row{payment(i, day(2026, 4, 1+i))}
		if i == 0 {
			rows = append(rows, payment(99, day(2026, 3, 1)))
		}
		want = append(want, rows...)
		run(t, l, int64(i+1), rows...)
	}
	for round, files := range []int{5, 0} {
		w := begin(t, l)
		if merged, err := w.Compact(t.Context(), 2); err != nil || merged != files {
			t.Errorf("round %d: %d files merged, %v", round, merged, err)
		}
		c := entered()
		c.Epoch = 0 // it makes no tokens
		m, err := w.Commit(c)
		if err != nil || len(m.Files) != 2 || m.Epoch != epoch {
			t.Fatalf("round %d: got %+v, %v", round, m, err)
		}
		if diff := cmp.Diff(sorted(want), content(t, l)); diff != "" {
			t.Error(diff)
		}
	}
}
