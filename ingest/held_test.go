package ingest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meguri/ingest"
	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

// some is a legal basis that covers some persons, and changes.
type some struct {
	covered map[string]bool // by "source/person", or "dataset/source/person" alone
	changes int
}

func (s *some) Basis(dataset, source, person string, _ time.Time) (string, bool) {
	if ok, told := s.covered[dataset+"/"+source+"/"+person]; told {
		return "basis", ok
	}
	return "basis", s.covered[source+"/"+person]
}

func (s *some) Version() string { return fmt.Sprint(s.changes) }

func (s *some) set(who string, ok bool) {
	s.covered[who] = ok
	s.changes++
}

func paymentOf(id, person string) ingest.Record {
	r := payment(id)
	r.PersonID, r.ConsentID = person, ""
	return r
}

// IC-9: what nothing allows to be used does not enter the lake; it waits on the
// personal plane, is counted, and goes on when it may.
func TestPipeline_HoldsWhatIsNotCovered(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	law := &some{covered: map[string]bool{"mitaka/a": true}}
	p.Basis = law
	add(t, im, "mitaka", paymentOf("T1", "a"), paymentOf("T2", "b"), paymentOf("T3", ""))
	if got := runPipeline(t, p); got.Rows != 2 || got.Uncovered != 1 || got.Total != 2 {
		t.Fatalf("got %+v, want the rows of a and of nobody", got)
	}
	held, err := filepath.Glob(filepath.Join(dir, "personal", "held", "*"))
	if err != nil || len(held) != 1 {
		t.Fatalf("held files: %v, %v", held, err)
	}
	if info, err := os.Stat(held[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the held rows can be read by others: %v, %v", info.Mode(), err)
	}
	// Nothing has changed: nothing is done.
	if got := runPipeline(t, p); got.Rows != 0 || got.Snapshot != 1 || got.Uncovered != 1 {
		t.Errorf("again: got %+v", got)
	}
	add(t, im, "mitaka", paymentOf("T4", "b"))
	if got := runPipeline(t, p); got.Rows != 0 || got.Uncovered != 2 || got.Snapshot != 2 {
		t.Errorf("one more of b: got %+v", got)
	}
	law.set("mitaka/b", true)
	if got := runPipeline(t, p); got.Rows != 2 || got.Uncovered != 0 || got.Total != 4 {
		t.Errorf("b has agreed: got %+v", got)
	}
	if held, err := filepath.Glob(filepath.Join(dir, "personal", "held", "*")); err != nil || len(held) != 0 {
		t.Errorf("held files: %v, %v", held, err)
	}
	rows, _, _ := lakeContent(t, p.Lake)
	for _, row := range rows {
		if (row["consent_token"] == "(null)") != (row["person_token"] == "(null)") {
			t.Errorf("a row of a person without its basis: %v", row)
		}
	}
}

// Rows of several segments are held in one run, though each has dictionaries of
// its own.
func TestPipeline_HoldsRowsOfSeveralSegments(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	law := &some{covered: map[string]bool{}}
	p.Basis = law
	for i := range 3 {
		r := paymentOf(fmt.Sprint("T", i), "a")
		r.ShopID = fmt.Sprint("s", i)
		add(t, im, "mitaka", r)
	}
	if got := runPipeline(t, p); got.Uncovered != 3 || got.Rows != 0 {
		t.Fatalf("got %+v", got)
	}
	law.set("mitaka/a", true)
	if got := runPipeline(t, p); got.Uncovered != 0 || got.Rows != 3 {
		t.Errorf("got %+v", got)
	}
}

// 突合: rows of a source whose persons must be linked wait for the link, and
// are the resident's then, in every source.
func TestPipeline_JoinsByLinks(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	p.Linked = []string{"paycity"}
	put(t, im, []ingest.Person{{Source: "mitaka", ID: "r1", Sex: "female", BornOn: "1980-05-05", Area: "132040010"}}, nil)
	add(t, im, "mitaka", paymentOf("T1", "r1"))
	add(t, im, "paycity", paymentOf("P1", "x9"), paymentOf("P2", "x8"))
	if got := runPipeline(t, p); got.Rows != 1 || got.Unlinked != 2 {
		t.Fatalf("got %+v", got)
	}
	for name, links := range map[string][]ingest.Link{
		"to itself":  {{Source: "paycity", PersonID: "x9", ToSource: "paycity", ToID: "x9"}},
		"in a chain": {{Source: "paycity", PersonID: "x9", ToSource: "mitaka", ToID: "r1"}, {Source: "mitaka", PersonID: "r1", ToSource: "c", ToID: "z"}},
		"half":       {{Source: "paycity", PersonID: "x9", ToSource: "mitaka"}},
		"of nobody":  {{Source: "paycity", ToSource: "mitaka", ToID: "r1"}},
	} {
		if err := im.PutLinks(t.Context(), links, "office", runAt); !errors.Is(err, ingest.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	link := []ingest.Link{{Source: "paycity", PersonID: "x9", ToSource: "mitaka", ToID: "r1"}}
	if err := im.PutLinks(t.Context(), link, "", runAt); !errors.Is(err, ingest.ErrInvalid) {
		t.Errorf("by nobody: got %v", err)
	}
	if err := im.PutLinks(t.Context(), link, "office", runAt); err != nil {
		t.Fatal(err)
	}
	if got := runPipeline(t, p); got.Rows != 1 || got.Unlinked != 1 {
		t.Errorf("linked: got %+v", got)
	}
	rows, _, _ := lakeContent(t, p.Lake)
	if len(rows) != 2 || rows[0]["person_token"] != rows[1]["person_token"] || rows[0]["age_band"] != rows[1]["age_band"] || rows[0]["sex"] != "female" {
		t.Errorf("the two are not the resident's: %v", rows)
	}
}

// TestPipeline_TakesEveryDataset: rows of all datasets in one snapshot, each in
// its table, with tokens of one person.
func TestPipeline_TakesEveryDataset(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	put(t, im, []ingest.Person{hanako}, []ingest.Shop{bakery})
	add(t, im, "mitaka", payment("T1"))
	for _, d := range ingest.Datasets() {
		m, err := ingest.ParseMapping(d.Name, []byte(strings.Replace(d.Template(ingest.CSV), "source: shop-pos", "source: mitaka", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := im.Import(t.Context(), sample(t, d, ingest.CSV), ingest.Options{Format: ingest.CSV, Mapping: m}); err != nil || s.Accepted == 0 {
			t.Fatalf("%s: %+v, %v", d.Name, s, err)
		}
	}
	runPipeline(t, p)
	m, err := p.Lake.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range lake.Tables {
		if m.Rows(table.Name) == 0 {
			t.Errorf("%s: no rows", table.Name)
		}
		if want := map[bool]string{true: "", false: "132047"}[table.Day == ""]; m.Table(table.Name)[0].City != want {
			t.Errorf("%s: filed under %q", table.Name, m.Table(table.Name)[0].City)
		}
	}
}

// TestPipeline_AnyOrderOfConsentsGivesTheSameLake: whatever comes first, rows,
// consents or runs, what is in the lake in the end is what is covered in the
// end and was never withdrawn in between.
func TestPipeline_AnyOrderOfConsentsGivesTheSameLake(t *testing.T) {
	base, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			rt.Fatal(err)
		}
		im := open(t, dir)
		p := pipeline(t, im, dir)
		law := &some{covered: map[string]bool{}}
		p.Basis = law
		want := map[string]int{}
		rows := 0
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				person := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "person")
				rows++
				want[person]++
				add(t, im, "mitaka", paymentOf(fmt.Sprint("T", rows), person))
			case 1:
				law.set("mitaka/"+rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "agrees"), true)
			case 2:
				runPipeline(t, p)
			}
		}
		got := runPipeline(t, p)
		total := int64(0)
		for person, n := range want {
			if law.covered["mitaka/"+person] {
				total += int64(n)
			}
		}
		if got.Total != total || got.Uncovered != int64(rows)-total {
			rt.Fatalf("got %+v, want %d of %d rows", got, total, rows)
		}
	})
}

// TestPipeline_AnewIsTheSameLake, whatever was held or dropped on the way.
func TestPipeline_AnewIsTheSameLake(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	law := &some{covered: map[string]bool{"mitaka/a": true}}
	p.Basis = law
	add(t, im, "mitaka", paymentOf("T1", "a"), paymentOf("T2", "b"))
	runPipeline(t, p)
	add(t, im, "mitaka", paymentOf("T3", "a"))
	runPipeline(t, p)
	before, _, _ := lakeContent(t, p.Lake)
	p.Anew = true
	if got := runPipeline(t, p); got.Rows != 2 || got.Uncovered != 1 || got.Segments != 2 {
		t.Errorf("got %+v", got)
	}
	after, _, _ := lakeContent(t, p.Lake)
	text := func(rows []lakeRow) (all []string) {
		for _, r := range rows {
			all = append(all, fmt.Sprint(r))
		}
		slices.Sort(all)
		return all
	}
	if !slices.Equal(text(before), text(after)) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(text(after), "\n"), strings.Join(text(before), "\n"))
	}
}

// TestPipeline_RekeyLeavesNoTokenOfBefore: the lake that is built anew with
// another key has the same rows, and shares no token with the one before (P6).
func TestPipeline_RekeyLeavesNoTokenOfBefore(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	put(t, im, []ingest.Person{hanako}, []ingest.Shop{bakery})
	add(t, im, "mitaka", combined()...)
	runPipeline(t, p)
	tokens := func() (rows int, all map[string]bool) {
		list, _, _ := lakeContent(t, p.Lake)
		all = map[string]bool{}
		for _, row := range list {
			for column, v := range row {
				if strings.HasSuffix(column, "_token") && v != "(null)" {
					all[v] = true
				}
			}
		}
		return len(list), all
	}
	rows, before := tokens()
	keys, err := pseudonymize.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	p.Keys, p.Anew = keys, true
	runPipeline(t, p)
	again, after := tokens()
	if again != rows || len(after) != len(before) || len(after) < 6 {
		t.Errorf("%d rows with %d tokens, %d with %d before", again, len(after), rows, len(before))
	}
	for token := range after {
		if before[token] {
			t.Errorf("the token %s is in both", token)
		}
	}
}
