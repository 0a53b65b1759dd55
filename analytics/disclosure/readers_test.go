package disclosure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"meguri/analytics"
	"meguri/analytics/disclosure/audit"
)

func whose(all []Holding) (who [][]string) {
	for _, h := range all {
		who = append(who, h.Who)
	}
	return who
}

// violators are the readers who find something out, and from which releases.
func violators(t rapid.TB, all []Holding) (found []string) {
	t.Helper()
	for _, h := range all {
		for _, d := range h.Dossiers {
			r, err := audit.Audit(context.Background(), d, audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Protected {
				found = append(found, strings.Join(h.Who, "+"))
			}
		}
	}
	return slices.Compact(found)
}

// quarter is a town where one shop alone sells i0 in June, beside three months
// of trade: a quarter less its first two months is that shop.
func quarter() *town {
	e := &town{snapshot: 1}
	for i := range 1800 {
		month := 4 + i/36%3
		shop := i % 36
		if month == 6 && shop%6 == 0 {
			shop = 0
		}
		e.pays = append(e.pays, pay{day: fmt.Sprintf("2026-%02d-%02d", month, 1+i%28), shop: fmt.Sprint(shop), person: fmt.Sprint(i % 331),
			industry: fmt.Sprint("i", shop%6), area: fmt.Sprint("a", shop/6%3), age: fmt.Sprint(20 + 10*(i%5)), home: fmt.Sprint("h", i%4), yen: 1000 + float64(i%7)*100})
	}
	return e
}

var april, may, june, spring = [2]string{"2026-04-01", "2026-04-30"}, [2]string{"2026-05-01", "2026-05-31"}, [2]string{"2026-06-01", "2026-06-30"},
	[2]string{"2026-04-01", "2026-06-30"}

func releaseTo(g *Gate, reader string, window [2]string, by ...string) error {
	a := Recipient
	if reader == "" {
		a = Public
	}
	_, err := g.ReleaseTo(context.Background(), ask("M01a", window[0], window[1], by...), a, reader)
	return err
}

// IC-8: two recipients cannot put together what they have. One gets a quarter,
// the other its first two months: what is left is a month that is hidden from
// everybody.
func TestAttack_TwoRecipientsPool(t *testing.T) {
	e := quarter()
	// Two gates that do not know of each other stand for one that looks at each
	// recipient alone. Between them they let out what must not be.
	apart := &memoryRegister{}
	for _, hand := range []struct {
		reader  string
		windows [][2]string
	}{{"acme", [][2]string{spring}}, {"univ", [][2]string{april, may}}} {
		register := &memoryRegister{}
		g := &Gate{Engine: e, Now: after, Register: register, Audit: attack}
		for _, w := range hand.windows {
			if err := releaseTo(g, hand.reader, w, "industry"); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range register.records {
			if _, err := apart.Append(t.Context(), r, Any); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := (&Gate{Engine: e, Now: after, Register: apart}).Holdings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(whose(all)); got != "[[acme] [univ] [acme univ]]" {
		t.Errorf("audited are %s", got)
	}
	if found := violators(t, all); !slices.Equal(found, []string{"acme+univ"}) {
		t.Errorf("the auditor finds %v, want the two together and nobody alone", found)
	}

	// The gate that knows both lets out less, or nothing, and the auditor finds
	// nothing.
	register := &memoryRegister{}
	g := &Gate{Engine: e, Now: after, Register: register, Audit: attack}
	for _, step := range []struct {
		reader string
		window [2]string
	}{{"acme", spring}, {"univ", april}, {"univ", may}, {"", june}} {
		if err := releaseTo(g, step.reader, step.window, "industry"); err != nil && !errors.Is(err, ErrDiscloses) {
			t.Fatal(err)
		} else if errors.Is(err, errAudit) {
			t.Error(err)
		}
	}
	if all, err = g.Holdings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := violators(t, all); len(found) > 0 {
		t.Errorf("the auditor finds %v", found)
	}
}

// What one recipient has is the same for another, to the byte, and each hand-over
// is in the register.
func TestRelease_OneTableForAllRecipients(t *testing.T) {
	register := &memoryRegister{}
	g := &Gate{Engine: newTown(11, 4000), Now: after, Register: register, Audit: attack}
	q := ask("M01a", "2026-04-01", "2026-04-30", "industry", "shop_area")
	var first Released
	for range 2 { // from memory, and from the register
		for _, reader := range []string{"acme", "univ", "acme"} {
			r, err := g.ReleaseTo(t.Context(), q, Recipient, reader)
			if err != nil {
				t.Fatal(err)
			}
			if first.cells == nil {
				first = r
			}
			if fmt.Sprint(r.cells, r.at) != fmt.Sprint(first.cells, first.at) {
				t.Errorf("%s got another table", reader)
			}
		}
		g = &Gate{Engine: g.Engine, Now: after, Register: register, Audit: attack}
	}
	var got []string
	for _, r := range register.records {
		got = append(got, r.Reader)
	}
	if !slices.Equal(got, []string{"acme", "univ"}) {
		t.Errorf("the register has hand-overs to %v, want one to each", got)
	}
}

// What a recipient was given binds what the public is given after it.
func TestAttack_PublicAfterARecipient(t *testing.T) {
	e := quarter()
	apart := &memoryRegister{}
	for _, hand := range []struct {
		reader string
		window [2]string
	}{{"acme", spring}, {"", april}, {"", may}} {
		own := &memoryRegister{}
		if hand.reader == "" {
			own.records = slices.DeleteFunc(slices.Clone(apart.records), func(r Record) bool { return r.Audience == Recipient })
		}
		n := len(own.records)
		if err := releaseTo(&Gate{Engine: e, Now: after, Register: own}, hand.reader, hand.window, "industry"); err != nil {
			t.Fatal(err)
		}
		for _, r := range own.records[n:] {
			if _, err := apart.Append(t.Context(), r, Any); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := (&Gate{Engine: e, Now: after, Register: apart}).Holdings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found := violators(t, all); !slices.Equal(found, []string{"acme"}) {
		t.Errorf("the auditor finds %v, want the recipient with what is public", found)
	}
	g := &Gate{Engine: e, Now: after, Register: &memoryRegister{}, Audit: attack}
	for _, step := range []struct {
		reader string
		window [2]string
	}{{"acme", spring}, {"", april}, {"", may}} {
		if err := releaseTo(g, step.reader, step.window, "industry"); err != nil && !errors.Is(err, ErrDiscloses) {
			t.Fatal(err)
		}
	}
	if all, err = g.Holdings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := violators(t, all); len(found) > 0 {
		t.Errorf("the auditor finds %v", found)
	}
}

// The city's patterns outlive the process: within a snapshot nothing is decided
// twice, and the auditor looks at them too.
func TestRelease_CityPatternsOutliveTheProcess(t *testing.T) {
	e := newTown(12, 900)
	register := &memoryRegister{}
	one := &Gate{Engine: e, Now: after, Register: register, Audit: attack}
	first := mustRelease(t, one, ask("M01a", "2026-04-01", "2026-04-30", "industry", "age_band"), City)
	two := &Gate{Engine: e, Now: after, Register: register, Audit: attack}
	mustRelease(t, two, ask("M01a", "2026-04-01", "2026-04-30", "industry"), City)
	again := mustRelease(t, two, ask("M01a", "2026-04-01", "2026-04-30", "industry", "age_band"), City)
	if first.Hidden() == 0 || fmt.Sprint(first.cells) != fmt.Sprint(again.cells) {
		t.Errorf("%d cells were hidden, and now others are", first.Hidden())
	}
	all, err := two.Holdings(t.Context())
	if err != nil || fmt.Sprint(whose(all)) != "[[city]]" {
		t.Fatalf("audited are %v, %v", whose(all), err)
	}
	if found := violators(t, all); len(found) > 0 {
		t.Errorf("the auditor finds %v", found)
	}
	// A hidden cell that a second process would show is found.
	for i := range two.given {
		if len(two.given[i].by) == 2 {
			two.given[i].hidden = map[string]bool{}
			for k := range first.cells {
				if c := first.cells[k]; c.State == Suppressed && len(two.given[i].hidden) == 0 {
					two.given[i].hidden[keyOf(first.table.Query.By, c.Keys)] = true
				}
			}
		}
	}
	if all, err = two.Holdings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := violators(t, all); !slices.Equal(found, []string{"city"}) {
		t.Errorf("the auditor finds %v in a table that hides one cell", found)
	}
}

// Data that have changed are said to have, beside what can be audited.
func TestHoldings_ChangedData(t *testing.T) {
	e := newTown(13, 3000)
	g := &Gate{Engine: e, Now: after, Register: &memoryRegister{}, Audit: attack}
	mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30", "industry"), Public)
	mustRelease(t, g, ask("M01a", "2026-05-01", "2026-05-31", "industry"), Public)
	e.snapshot++
	e.pays = append(e.pays, pay{day: "2026-04-03", shop: "s00", person: "p000", industry: "i0", area: "a0", age: "20s", home: "h0", yen: 1})
	all, err := g.Holdings(t.Context())
	if !errors.Is(err, errStale) || !strings.Contains(err.Error(), "2026-04-01") || strings.Contains(err.Error(), "2026-05-01") || len(all) != 1 {
		t.Errorf("got %d holdings, %v", len(all), err)
	}
}

// A window of which nothing is shown binds nobody, within a process or beyond.
func TestRelease_WhatIsAllHiddenBindsNobody(t *testing.T) {
	e := newTown(14, 3000)
	e.pays = slices.DeleteFunc(e.pays, func(p pay) bool { return p.day == "2026-04-30" })
	e.pays = append(e.pays, pay{day: "2026-04-30", shop: "s00", person: "p000", industry: "i0", area: "a0", age: "20s", home: "h0", yen: 500})
	register := &memoryRegister{}
	if r := mustRelease(t, &Gate{Engine: e, Now: after, Register: register}, ask("M01a", "2026-04-30", "2026-04-30"), City); r.Hidden() != 1 {
		t.Errorf("%d cells are hidden of a day of one payment, want 1", r.Hidden())
	}
	g := &Gate{Engine: e, Now: after, Register: register, Audit: attack}
	if r := mustRelease(t, g, ask("M01a", "2026-04-01", "2026-04-30", "industry"), City); r.Hidden() == len(r.Cells()) {
		t.Error("everything is hidden")
	}
}

// Whoever can put tables together is audited together.
func TestHoldings_EveryTwoAndAll(t *testing.T) {
	g := &Gate{Engine: newTown(15, 3000), Now: after, Register: &memoryRegister{}, Audit: attack}
	for _, hand := range []struct {
		reader string
		cut    []string
	}{{"", []string{"age_band"}}, {"a", []string{"industry"}}, {"b", []string{"shop_area"}}, {"c", []string{"week"}}, {"d", []string{"industry"}}} {
		if err := releaseTo(g, hand.reader, april, hand.cut...); err != nil {
			t.Fatal(err)
		}
	}
	r, err := g.Release(t.Context(), analytics.Query{Metric: "M01a", From: april[0], To: april[1], Shop: "s00"}, Owner)
	if err != nil || len(r.Cells()) != 1 {
		t.Fatal(err)
	}
	all, err := g.Holdings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// d has what a has, so whoever is with d was looked at with a.
	if got := fmt.Sprint(whose(all)); got != "[[public] [a] [b] [c] [a b] [a c] [b c] [a b c d] [shop s00]]" {
		t.Errorf("audited are %s", got)
	}
	if found := violators(t, all); len(found) > 0 {
		t.Errorf("the auditor finds %v", found)
	}
	var names []string
	for _, d := range all[len(all)-2].Dossiers {
		for _, table := range d.Tables {
			names = append(names, table.Release)
		}
	}
	if !slices.Contains(names, "no. 2, 5 (recipient a, recipient d) 2026-04-01 to 2026-04-30 by industry") || len(names) != 4 {
		t.Errorf("the tables are called %q", names)
	}
}

// attackAll has everything in the register attacked, by everybody who can put
// something together.
func attackAll(t *testing.T, g *Gate) {
	t.Helper()
	all, err := g.Holdings(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("%d holdings, %v", len(all), err)
	}
	for _, h := range all {
		for _, d := range h.Dossiers {
			if err := attack(t.Context(), d); err != nil {
				t.Errorf("%v: %v", h.Who, err)
			}
		}
	}
}
