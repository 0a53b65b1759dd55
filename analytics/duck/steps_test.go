package duck_test

import (
	"fmt"
	"strings"
	"testing"

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
