package duck_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/analytics"
	"meguri/analytics/duck"
	"meguri/pseudonymize/lake"
)

// IC-8: beside yesterday's tables, today's do not tell what one person did whose
// payment, or whose cancel, came late. A week changes by no fewer persons than a
// step has.
func TestStep_OneLatePaymentIsHeldBack(t *testing.T) {
	pay := func(row, person, day string, yen int) string {
		return fmt.Sprintf("pay %s %s - %s s1 %d %sT10:00 cafe female 20-29\n", row, row, person, yen, day)
	}
	cancel := func(row, target, person, day string) string {
		return fmt.Sprintf("cancel %s %s %s %s s1 0 %sT11:00 cafe female 20-29\n", row, target, target, person, day)
	}
	many := func(prefix, day string, n int) (out string) {
		for i := range n {
			out += pay(fmt.Sprint(prefix, i), fmt.Sprint("p", i), day, 100)
		}
		return out
	}
	// Each is a snapshot, and what the weeks of 3 and 10 June show after it.
	steps := []struct{ rows, want string }{
		{many("a", "2024-06-03", 3), "300 0"},                                                      // the first: nothing is before it
		{pay("late1", "x1", "2024-06-04", 7777) + many("b", "2024-06-10", 6), "300 600"},           // one late payment, and a new week
		{cancel("c0", "b0", "p0", "2024-06-11") + many("d", "2024-06-12", 6), "300 1100"},          // with six others, a cancel goes through
		{cancel("c1", "a1", "p1", "2024-06-12") + many("e", "2024-06-13", 5), "300 1600"},          // a late cancel changes the week of its payment
		{pay("late2", "x1", "2024-06-05", 1) + pay("late3", "x2", "2024-06-05", 1), "300 1600"},    // three persons are too few
		{cancel("c2", "late3", "x2", "2024-06-05") + pay("f", "x4", "2024-06-14", 9), "300 1600"},  // what is held may be taken back
		{pay("late4", "x5", "2024-06-05", 10) + pay("late5", "x6", "2024-06-05", 20), "8008 1600"}, // now five: 300 + 7777 - 100 + 1 + 30
		{pay("late6", "x5", "2024-06-05", 10000) + pay("-", "-", "2024-06-06", 4000), "8008 1600"}, // a payment by nobody known is nobody's company
		{pay("eom", "x1", "2024-06-30", 5) + many("g", "2024-07-01", 5), "8008 1600"},              // a week of two months is two parts
	}
	text := ""
	for _, s := range steps {
		text += strings.ReplaceAll(s.rows, "pay - -", "pay n n") + "commit\n"
	}
	var follower *duck.Engine // one that sees the lake grow
	n := 0
	lakeOf(t, text, func(l *lake.Lake) {
		fresh := stepping(t, l)
		if n == 0 {
			follower = fresh
		}
		for name, e := range map[string]*duck.Engine{"opened now": fresh, "that follows the lake": follower} {
			table, err := e.Run(t.Context(), analytics.Query{Metric: "M01a", From: "2024-06-01", To: "2024-06-30", By: []string{"week"}})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]float64{}
			for _, c := range table.Cells {
				got[c.Keys[0]] = c.Values[0]
			}
			if text := fmt.Sprintf("%.0f %.0f", got["2024-06-03"], got["2024-06-10"]); text != steps[n].want || got["2024-06-24"] != 0 {
				t.Errorf("after snapshot %d an engine %s has %v, want %s", n+1, name, got, steps[n].want)
			}
		}
		n++
	})
	if n != len(steps) {
		t.Errorf("%d snapshots, want %d", n, len(steps))
	}
}

func stepping(t *testing.T, l *lake.Lake) *duck.Engine {
	t.Helper()
	e, err := duck.Open(l, duck.Options{MemoryMiB: 256, Step: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// IC-9: an erasure leaves files of another name, of row groups as they were. What
// they tell is what there is without the person, stepped or not.
func TestStep_AfterAnErasure(t *testing.T) {
	const persons, each = 7000, 10 // one large row group
	var text strings.Builder
	for i := range persons * each {
		fmt.Fprintf(&text, "pay r%d r%d - p%d s1 100 2024-06-03T10:00 cafe female 20-29\n", i, i, i%persons)
	}
	l := lakeOf(t, text.String()+"commit\npay x x - p7 s1 5 2024-06-04T10:00 cafe female 20-29\ncommit\n")
	follower := stepping(t, l)
	w, err := l.Begin("132047")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort() // it does nothing after Commit
	gone := make([]byte, 16)
	copy(gone, "p5")
	files := w.Base().Table("payments")
	n, err := w.Rewrite(t.Context(), "payments", lakeSchema(), files, func(f lake.File) ([]int64, error) {
		return l.Find(t.Context(), f, "person_token", 16, func(v []byte) bool { return bytes.Equal(v, gone) })
	})
	if err != nil || n != each {
		t.Fatalf("%d rows went, %v", n, err)
	}
	m, err := w.Commit(lake.Commit{At: time.Date(2024, 9, 2, 0, 0, 0, 0, time.UTC), Erases: true})
	if err != nil || !slices.ContainsFunc(m.Files, func(f lake.File) bool { return strings.Contains(f.Path, "carried") }) {
		t.Fatalf("%v, %v", m.Files, err)
	}
	for name, e := range map[string]*duck.Engine{"opened now": stepping(t, l), "that follows the lake": follower, "without steps": open(t, l)} {
		table, err := e.Run(t.Context(), analytics.Query{Metric: "M01a", From: "2024-06-01", To: "2024-06-30"})
		if err != nil || len(table.Cells) != 1 || table.Cells[0].Values[0] != 100*each*(persons-1)+5 {
			t.Errorf("%s: got %v, %v", name, table.Cells, err)
		}
	}
}
