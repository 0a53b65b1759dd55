package ingest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"meguri/ingest"
	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

func eraser(p *ingest.Pipeline) *ingest.Eraser {
	return &ingest.Eraser{Importer: p.Importer, Lake: p.Lake, City: p.City, Linked: p.Linked, Now: p.Now,
		Keys: func() (*pseudonymize.Keyset, error) { return p.Keys, nil }}
}

// erase does what the shredder does with a person: it finds, erases, and finds
// nothing more. It returns the rows that it found in the lake and in segments.
func erase(t testing.TB, e *ingest.Eraser, x ingest.Erasure) (inLake, inSegments int) {
	t.Helper()
	ctx := context.Background()
	find := func() (in [3]int) {
		count := func(n *int) func(string, string) {
			return func(dataset, _ string) {
				if dataset != "resident" && dataset != "snapshot" {
					*n++
				}
			}
		}
		err := errors.Join(e.FindInLake(ctx, x, count(&in[0])), e.FindInSegments(ctx, x, count(&in[1])), e.FindPersons(ctx, x.Persons, count(&in[2])))
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	before := find()
	if err := errors.Join(e.EraseFromLake(ctx, x), e.EraseFromSegments(ctx, x), e.ErasePersons(ctx, x.Persons)); err != nil {
		t.Fatal(err)
	}
	if left := find(); left != [3]int{} {
		t.Fatalf("left: %v", left)
	}
	return before[0], before[1]
}

// everything is all that lies in files of the lake, of segments and of what is
// held, registered or not, decoded; amounts are those of the rows.
func everything(t testing.TB, dir string, l *lake.Lake) (inLake, inFiles []int64, values [][]byte) {
	t.Helper()
	rows, _, values := lakeContent(t, l)
	for _, r := range rows {
		yen, err := strconv.ParseInt(r["amount_yen"], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		inLake = append(inLake, yen)
	}
	snapshots, err := l.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range snapshots {
		for _, f := range m.Files {
			if path := filepath.Join(l.Dir(), f.Path); !named[path] {
				named[path] = true
				values = append(values, valuesOf(t, l, f)...)
			}
		}
	}
	for path, text := range lakeFiles(t, l) {
		if strings.HasSuffix(path, ".parquet") && !named[path] {
			t.Errorf("%s is in no manifest", path)
		}
		values = append(values, []byte(text))
	}
	for _, folder := range []string{"segments", "held"} {
		files, err := filepath.Glob(filepath.Join(dir, "personal", folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for b, err := range ingest.OpenSegment(file) {
				if err != nil {
					t.Fatal(err)
				}
				for c := range b.Columns() {
					if d, ok := b.Column(c).(*array.Dictionary); ok {
						for i := range d.Dictionary().Len() {
							values = append(values, []byte(d.Dictionary().ValueStr(i)))
						}
					}
					for i := range int(b.NumRows()) {
						values = append(values, []byte(b.Column(c).ValueStr(i)))
					}
				}
				if yen := b.Column(10).(*array.Int64); folder == "segments" {
					inFiles = append(inFiles, yen.Int64Values()...)
				}
			}
		}
	}
	slices.Sort(inLake)
	slices.Sort(inFiles)
	return inLake, inFiles, values
}

// valuesOf are all tokens and texts of a file's rows.
func valuesOf(t testing.TB, l *lake.Lake, f lake.File) (values [][]byte) {
	t.Helper()
	err := l.Read(t.Context(), f, nil, func(b arrow.RecordBatch) error {
		for _, column := range b.Columns() {
			for i := range column.Len() {
				if token, ok := column.(*array.FixedSizeBinary); ok && token.IsValid(i) {
					values = append(values, bytes.Clone(token.Value(i)))
				} else {
					values = append(values, []byte(column.ValueStr(i)))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func tokenOf(t testing.TB, p *ingest.Pipeline, source, id string) []byte {
	t.Helper()
	tokens, err := pseudonymize.NewTokenizer(p.Keys)
	if err != nil {
		t.Fatal(err)
	}
	made, err := tokens.Token("person", "resident", source+"\x1f"+id)
	if err != nil {
		t.Fatal(err)
	}
	return made[:]
}

func assertGone(t testing.TB, values [][]byte, words ...[]byte) {
	t.Helper()
	for _, v := range values {
		for _, w := range words {
			if bytes.Contains(v, w) {
				t.Fatalf("%q (%s) is still there", w, hex.EncodeToString(w))
			}
		}
	}
}

// IC-9, Act 35: whatever came before, nothing of an erased person is in any file
// of the lake, of segments, or of what is held, and everybody else's rows are
// what they were. Importing the same records again does not bring them back.
func TestErase_Property(t *testing.T) {
	base, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > 40 { // each builds a lake of its own
			return
		}
		dir := filepath.Join(base, fmt.Sprint(n))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			rt.Fatal(err)
		}
		im := open(t, dir)
		defer func() { _ = im.Close() }()
		p := pipeline(t, im, dir)
		p.Linked = []string{"linked"}
		law := &some{covered: map[string]bool{"mitaka/person-a": true, "mitaka/person-b": true}} // c is held
		p.Basis = law
		people := []string{"person-a", "person-b", "person-c"}
		for _, id := range people {
			put(t, im, []ingest.Person{{Source: "mitaka", ID: id, Area: "home-" + id}}, nil)
		}
		link := func(id string) string { return "app-of-" + id }
		if rapid.Bool().Draw(rt, "linked") {
			if err := im.PutLinks(rt.Context(), []ingest.Link{{Source: "linked", PersonID: link("person-a"), ToSource: "mitaka", ToID: "person-a"}}, "office", runAt); err != nil {
				rt.Fatal(err)
			}
		}
		all, gone := map[string][]ingest.Record{}, map[string]bool{}
		linkedOf, owner := map[string]bool{}, map[int64]string{}
		var yen int64
		for range rapid.IntRange(2, 8).Draw(rt, "steps") {
			who := rapid.SampledFrom(people).Draw(rt, "person")
			switch rapid.SampledFrom([]string{"import", "import", "run", "erase", "again", "anew"}).Draw(rt, "step") {
			case "import":
				if gone[who] {
					continue
				}
				source, id := "mitaka", who
				if rapid.Bool().Draw(rt, "by the app") {
					source, id = "linked", link(who)
					linkedOf[who] = true
				}
				var records []ingest.Record
				for range rapid.IntRange(1, 3).Draw(rt, "rows") {
					yen++
					r := paymentOf(fmt.Sprint("T", yen), id)
					r.AmountYen, r.ShopID, owner[yen] = yen, "shop-of-"+who, who
					records = append(records, r)
				}
				add(t, im, source, records...)
				all[source] = append(all[source], records...)
			case "run":
				runPipeline(t, p)
			case "anew":
				p.Anew = true
				runPipeline(t, p)
				p.Anew = false
			case "again":
				for source, records := range all {
					if s, err := im.Add(rt.Context(), source, records); err != nil || s.Accepted != 0 {
						rt.Fatalf("imported again: %+v, %v", s, err)
					}
				}
			case "erase":
				ids := []ingest.PersonID{{Source: "mitaka", ID: who}, {Source: "linked", ID: link(who)}}
				if !linkedOf[who] {
					ids = ids[:1]
				}
				same, err := im.Same(rt.Context(), ids)
				if err != nil {
					rt.Fatal(err)
				}
				erase(t, eraser(p), ingest.Erasure{Persons: same})
				gone[who] = true
			}
		}
		total := runPipeline(t, p)
		inLake, inFiles, values := everything(t, dir, p.Lake)
		var want []int64
		for y := range yen {
			if !gone[owner[y+1]] {
				want = append(want, y+1)
			}
		}
		if !slices.Equal(inFiles, want) {
			rt.Fatalf("segments have %v, want %v", inFiles, want)
		}
		if got := int64(len(inLake)) + total.Unlinked + total.Uncovered; got != int64(len(want)) {
			rt.Fatalf("%d rows in the lake and %+v, want %d", len(inLake), total, len(want))
		}
		for who := range gone {
			assertGone(t, values, []byte(who), tokenOf(t, p, "mitaka", who), tokenOf(t, p, "linked", link(who)))
		}
		if m, err := p.Lake.Manifest(); err != nil || p.Lake.Verify(m, nil) != nil {
			rt.Fatal("the lake is not as its manifest says")
		}
	})
}

// Act 22: rows of before a day in Tokyo go, months that are wholly before it
// without being read, and the others stay.
func TestErase_ByDay(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	at := func(id string, yen int64, when time.Time) ingest.Record {
		r := payment(id)
		r.AmountYen, r.OccurredAt = yen, when
		return r
	}
	midnight := time.Date(2026, 4, 9, 15, 0, 0, 0, time.UTC) // of April 10 in Tokyo
	add(t, im, "mitaka", at("T1", 1, midnight.AddDate(0, -1, 0)), at("T2", 2, midnight.Add(-time.Second)), at("T3", 3, midnight), at("T4", 4, midnight.AddDate(0, 1, 0)))
	runPipeline(t, p)
	add(t, im, "mitaka", at("T5", 5, midnight.AddDate(0, -2, 0)))
	runPipeline(t, p)
	before, err := p.Lake.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	cut := ingest.Erasure{Before: map[string]time.Time{ingest.PaymentDataset: midnight.Add(5 * time.Hour)}}
	if l, s := erase(t, eraser(p), cut); l != 3 || s != 3 {
		t.Errorf("found %d and %d rows, want 3", l, s)
	}
	inLake, inFiles, _ := everything(t, dir, p.Lake)
	if want := []int64{3, 4}; !slices.Equal(inLake, want) || !slices.Equal(inFiles, want) {
		t.Errorf("got %v and %v, want %v", inLake, inFiles, want)
	}
	after, err := p.Lake.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	same := func(month string) bool {
		of := func(m lake.Manifest) (paths []string) {
			for _, f := range m.Table("payments") {
				if f.Month == month {
					paths = append(paths, f.Path)
				}
			}
			return paths
		}
		return slices.Equal(of(before), of(after))
	}
	if !same("2026-05") || same("2026-04") {
		t.Errorf("only April is written anew: %+v", after.Files)
	}
	if all, err := p.Lake.Snapshots(); err != nil || len(all) != 1 {
		t.Errorf("%d snapshots stay, %v", len(all), err)
	}
	if got := runPipeline(t, p); got.Rows != 0 || got.Total != 2 {
		t.Errorf("got %+v", got)
	}
}

// Without the key that made the tokens nobody says that nothing is there.
func TestErase_NeedsTheKey(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	add(t, im, "mitaka", paymentOf("T1", "a"))
	runPipeline(t, p)
	x := ingest.Erasure{Persons: []ingest.PersonID{{Source: "mitaka", ID: "a"}}}
	e := eraser(p)
	e.Keys = func() (*pseudonymize.Keyset, error) { return nil, os.ErrNotExist }
	for _, err := range []error{e.FindInLake(t.Context(), x, func(string, string) {}), e.EraseFromLake(t.Context(), x)} {
		if !errors.Is(err, ingest.ErrTokens) || !strings.Contains(err.Error(), "bring the keyset back") {
			t.Errorf("no key: %v", err)
		}
	}
	e.Keys = pseudonymize.NewKeyset
	if err := e.EraseFromLake(t.Context(), x); !errors.Is(err, lake.ErrEpoch) {
		t.Errorf("another key: %v", err)
	}
	if rows, _, _ := lakeContent(t, p.Lake); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}

// IC-9: what a person takes back goes from the lake in the next run, and stays
// out; others' rows and what is covered otherwise stay.
func TestPipeline_ErasesWhatWasWithdrawn(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	law := &some{covered: map[string]bool{"mitaka/a": true, "mitaka/b": true, "paycity/x": true}}
	p.Basis = law
	since, back := "", ingest.Withdrawn{}
	p.Withdrawn = func(_ context.Context, version string) (ingest.Withdrawn, error) { since = version; return back, nil }
	put(t, im, []ingest.Person{{Source: "mitaka", ID: "a", Area: "somewhere"}}, nil)
	if err := im.PutLinks(t.Context(), []ingest.Link{{Source: "paycity", PersonID: "x", ToSource: "mitaka", ToID: "a"}}, "office", runAt); err != nil {
		t.Fatal(err)
	}
	add(t, im, "mitaka", paymentOf("T1", "a"), paymentOf("T2", "b"))
	add(t, im, "paycity", paymentOf("P1", "x"))
	if got := runPipeline(t, p); got.Total != 3 || since != "" {
		t.Fatalf("got %+v", got)
	}
	// The resident's own consent goes; that given to the app stands.
	law.set("mitaka/a", false)
	back.Persons = []ingest.PersonID{{Source: "mitaka", ID: "a"}}
	if got := runPipeline(t, p); got.Withdrawn != 1 || got.Total != 2 || since != "0" {
		t.Errorf("got %+v since %q", got, since)
	}
	if m, err := p.Lake.Manifest(); err != nil || len(m.Table("residents")) != 0 {
		t.Errorf("the resident stays: %+v, %v", m.Table("residents"), err)
	}
	law.set("paycity/x", false)
	if got := runPipeline(t, p); got.Withdrawn != 1 || got.Total != 1 {
		t.Errorf("got %+v", got)
	}
	if all, err := p.Lake.Snapshots(); err != nil || len(all) != 1 {
		t.Errorf("%d snapshots stay, %v", len(all), err)
	}
	for _, text := range lakeFiles(t, p.Lake) {
		if strings.Contains(text, string(tokenOf(t, p, "mitaka", "a"))) {
			t.Error("a token of the person is there")
		}
	}
	// A basis ends: everybody is asked about again.
	law.set("mitaka/b", false)
	back = ingest.Withdrawn{Everyone: true}
	if got := runPipeline(t, p); got.Withdrawn != 1 || got.Total != 0 || got.Uncovered != 3 {
		t.Errorf("got %+v", got)
	}
}

// TestEraseCrashChild is the process that TestErase_SurvivesAKillAtEveryStep
// kills; by itself it does nothing.
func TestEraseCrashChild(t *testing.T) {
	dir := os.Getenv("MEGURI_ERASE_DIR")
	if dir == "" {
		return
	}
	at, err := strconv.Atoi(os.Getenv("MEGURI_ERASE_AT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pseudonymize.ReadKeyset(bytes.NewReader(text), []byte("for tests"))
	if err != nil {
		t.Fatal(err)
	}
	p, calls := crashPipeline(t, dir, keys), make(chan int, 1)
	calls <- 0
	ingest.SetStep(p.Importer, func(string) {
		n := <-calls + 1
		if n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until the signal arrives
		}
		calls <- n
	})
	erase(t, eraser(p), personA)
}

var personA = ingest.Erasure{Persons: []ingest.PersonID{{Source: "mitaka", ID: "person-a"}}}

func crashPipeline(t *testing.T, dir string, keys *pseudonymize.Keyset) *ingest.Pipeline {
	t.Helper()
	p := pipeline(t, open(t, dir), dir)
	p.Keys, p.Basis = keys, &some{covered: map[string]bool{"mitaka/person-a": true, "mitaka/person-b": true}}
	return p
}

// TestErase_SurvivesAKillAtEveryStep: wherever it dies, doing it again leaves
// nothing of the person, and all of everybody else.
func TestErase_SurvivesAKillAtEveryStep(t *testing.T) {
	keys, err := pseudonymize.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	if err := keys.Write(&sealed, []byte("for tests")); err != nil {
		t.Fatal(err)
	}
	step := 1
	for ; ; step++ {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "keys"), sealed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		p := crashPipeline(t, dir, keys)
		law := p.Basis.(*some)
		yen := int64(0)
		of := func(who string) ingest.Record {
			yen++
			r := paymentOf(fmt.Sprint("T", yen), who)
			r.AmountYen = yen
			return r
		}
		add(t, p.Importer, "mitaka", of("person-a"), of("person-b"))
		runPipeline(t, p)
		add(t, p.Importer, "mitaka", of("person-a"), of("person-c"))
		law.set("mitaka/person-a", false) // its second row is held
		runPipeline(t, p)
		if err := p.Importer.Close(); err != nil {
			t.Fatal(err)
		}
		command := exec.Command(os.Args[0], "-test.run=^TestEraseCrashChild$")
		command.Env = append(os.Environ(), "MEGURI_ERASE_DIR="+dir, fmt.Sprint("MEGURI_ERASE_AT=", step))
		output, err := command.CombinedOutput()
		killed := err != nil
		if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("the child failed: %v\n%s", err, output)
		}
		p = crashPipeline(t, dir, keys)
		erase(t, eraser(p), personA)
		inLake, inFiles, values := everything(t, dir, p.Lake)
		if !slices.Equal(inLake, []int64{2}) || !slices.Equal(inFiles, []int64{2, 4}) {
			t.Errorf("after a kill at step %d: %v and %v", step, inLake, inFiles)
		}
		assertGone(t, values, []byte("person-a"), tokenOf(t, p, "mitaka", "person-a"))
		if got := runPipeline(t, p); got.Total != 1 || got.Uncovered != 1 {
			t.Errorf("after a kill at step %d: %+v", step, got)
		}
		if !killed {
			break
		}
	}
	if step < 12 {
		t.Errorf("erasing has only %d steps", step-1)
	}
}
