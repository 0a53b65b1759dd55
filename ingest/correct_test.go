package ingest_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meguri/ingest"
)

// IC-9: what was corrected of a person is right in the residents and on every
// payment of the lake after the next run, under all their numbers; neither the
// source's old rows nor old links undo it, and a run without a correction builds
// nothing anew.
func TestCorrect_RewritesTheLakeAndStands(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	old := []ingest.Person{{Source: "city", ID: "r", Sex: "male", BornOn: "1990-05-05", Area: "1"}, {Source: "city", ID: "q", Sex: "male"},
		{Source: "pay", ID: "x", Sex: "male"}, {Source: "pay", ID: "y"}}
	put(t, im, old, nil)
	links := func() []ingest.Link {
		return []ingest.Link{{Source: "pay", PersonID: "x", ToSource: "city", ToID: "r"}, {Source: "pay", PersonID: "y", ToSource: "city", ToID: "q"}}
	}
	link := func() {
		t.Helper()
		if err := im.PutLinks(t.Context(), links(), "窓口", runAt); err != nil {
			t.Fatal(err)
		}
	}
	link()
	add(t, im, "city", paymentOf("T1", "r"), paymentOf("T2", "q"))
	add(t, im, "pay", paymentOf("T3", "x"), paymentOf("T4", "y"))
	runPipeline(t, p)
	sexes := func() map[string]int {
		rows, _, _ := lakeContent(t, p.Lake)
		n := map[string]int{}
		for _, row := range rows {
			n[row["sex"]+" "+row["age_band"]]++
		}
		return n
	}
	tokens := func() int {
		rows, _, _ := lakeContent(t, p.Lake)
		n := map[string]bool{}
		for _, row := range rows {
			n[row["person_token"]] = true
		}
		return len(n)
	}
	before := sexes()
	if len(before) != 2 || tokens() != 2 {
		t.Fatalf("got %v", before)
	}

	ask := ingest.Correcting{Person: ingest.PersonID{Source: "city", ID: "r"}, Set: map[string]string{"sex": "female", "born_on": "1950-05-05"},
		Request: "r-1", Reason: "住民票", By: "窓口", At: runAt}
	done, err := im.Correct(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, c := range done {
		told = append(told, fmt.Sprint(c.Number, " ", c.Source, "/", c.PersonID, " ", c.Field, " ", c.Old, "→", c.New, " ", c.Request, " ", c.By))
	}
	want := []string{"1 city/r born_on 1990-05-05→1950-05-05 r-1 窓口", "2 city/r sex male→female r-1 窓口", "3 pay/x sex male→female r-1 窓口"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if _, err := im.Correct(t.Context(), ask); !errors.Is(err, ingest.ErrRight) {
		t.Errorf("corrected again: %v", err)
	}
	runPipeline(t, p)
	after := sexes()
	if n := slices.Sorted(maps.Values(after)); len(after) != 2 || !slices.Equal(n, []int{2, 2}) || !hasFemale(after) {
		t.Errorf("before %v, after %v", before, after)
	}
	put(t, im, old, nil)
	link()
	if got := runPipeline(t, p); got.Segments != 0 {
		t.Errorf("the lake was built anew for an old file: %+v", got)
	}
	if diff := cmp.Diff(after, sexes()); diff != "" {
		t.Error(diff)
	}

	// A link that was wrong: y is r, and not q; the old links do not bring it back.
	ask.Set, ask.Link, ask.At = nil, []ingest.PersonID{{Source: "pay", ID: "y"}}, runAt.AddDate(0, 0, 1)
	if done, err = im.Correct(t.Context(), ask); err != nil || len(done) != 1 || done[0].Old != "city\x1fq" {
		t.Fatal(done, err)
	}
	link()
	runPipeline(t, p)
	if n := sexes(); !hasFemale(n) || slices.Max(slices.Collect(maps.Values(n))) != 3 {
		t.Errorf("y is r now: %v", n)
	}
	ask.Link, ask.Unlink, ask.At = nil, []ingest.PersonID{{Source: "pay", ID: "y"}}, runAt.AddDate(0, 0, 2)
	if _, err = im.Correct(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	link()
	runPipeline(t, p)
	if tokens() != 3 {
		t.Errorf("%d persons, want y to be nobody else", tokens())
	}
	for name, wrong := range map[string]ingest.Correcting{
		"no reason":    {Person: ask.Person, Set: map[string]string{"sex": "male"}, By: "x"},
		"another code": {Person: ask.Person, Set: map[string]string{"sex": "boy"}, By: "x", Reason: "r"},
		"a field":      {Person: ask.Person, Set: map[string]string{"test": "true"}, By: "x", Reason: "r"},
		"itself":       {Person: ask.Person, Link: []ingest.PersonID{ask.Person}, By: "x", Reason: "r"},
		"no link":      {Person: ask.Person, Unlink: []ingest.PersonID{{Source: "pay", ID: "y"}}, By: "x", Reason: "r"},
		"further":      {Person: ingest.PersonID{Source: "pay", ID: "x"}, Link: []ingest.PersonID{{Source: "pay", ID: "z"}}, By: "x", Reason: "r"},
	} {
		if _, err := im.Correct(t.Context(), wrong); !errors.Is(err, ingest.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := im.Correct(t.Context(), ingest.Correcting{Person: ingest.PersonID{Source: "city", ID: "none"}, Set: map[string]string{"area": ""}, By: "x", Reason: "r"}); !errors.Is(err, ingest.ErrNotKnown) {
		t.Errorf("nobody: got %v", err)
	}

	// With the person what was corrected of them goes.
	e := &ingest.Eraser{Importer: im}
	gone := 0
	count := func(dataset, _ string) {
		if dataset == "correction" {
			gone++
		}
	}
	who := []ingest.PersonID{{Source: "city", ID: "r"}}
	if err := e.FindPersons(t.Context(), who, count); err != nil || gone != 4 {
		t.Errorf("%d corrections would go, %v", gone, err)
	}
	if err := e.ErasePersons(t.Context(), who); err != nil {
		t.Fatal(err)
	}
	gone = 0
	if err := e.FindPersons(t.Context(), who, count); err != nil || gone != 0 {
		t.Errorf("%d corrections are left, %v", gone, err)
	}
}

func hasFemale(n map[string]int) bool {
	for what := range n {
		if strings.HasPrefix(what, "female 70") {
			return true
		}
	}
	return false
}
