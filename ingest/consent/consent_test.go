package consent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meguri/ingest/consent"
	"meguri/ingest/consent/sqlstore"
	"meguri/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

// office is a desk with a clock of its own.
type office struct {
	*consent.Desk
	clock time.Time
}

func open(t testing.TB) *office {
	t.Helper()
	store, err := sqlstore.Open(context.Background(), sqldbtest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{clock: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}
	o.Desk = &consent.Desk{Store: store, Now: func() time.Time { o.clock = o.clock.Add(time.Second); return o.clock }}
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text is the example with another name, items, purposes and days.
func text(t testing.TB, id, items, purposes, from, until, end string) consent.Text {
	t.Helper()
	document := consent.Example
	for old, new := range map[string]string{
		"id: wallet": "id: " + id, "[payment, person, shop]": "[" + items + "]", "[shopping-access]": "[" + purposes + "]",
		`data_from: ""`: fmt.Sprintf("data_from: %q", from), `data_until: ""`: fmt.Sprintf("data_until: %q", until), "ends_on: 2029-03-31": "ends_on: " + end,
	} {
		document = strings.Replace(document, old, new, 1)
	}
	parsed, err := consent.ParseText([]byte(document))
	must(t, err)
	return parsed
}

const sha = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// city registers two published purposes, three texts and three bases.
func city(t testing.TB) *office {
	o, ctx := open(t), context.Background()
	for _, code := range []string{"access", "traffic", "later"} {
		must(t, o.AddPurpose(ctx, consent.Purpose{Code: code, Ja: "目的 " + code, En: "purpose " + code}, "推進主体"))
	}
	for _, code := range []string{"access", "traffic"} {
		must(t, o.Publish(ctx, code, "2026-09-01", "https://city.example/purposes", "推進主体"))
	}
	must(t, o.AddText(ctx, text(t, "all", "payment, ride, person", "access, traffic", "", "", "2029-03-31"), "推進主体"))
	must(t, o.AddText(ctx, text(t, "past", "payment, ride.stop", "access", "2026-04-01", "2026-12-31", "2029-03-31"), "推進主体"))
	must(t, o.AddText(ctx, text(t, "short", "ride", "traffic", "2026-01-01", "", "2026-10-02"), "推進主体"))
	_, err := o.AddNotice(ctx, consent.Notice{ID: "joint", Items: []string{"ride", "shop"}, Users: []string{"バス会社", "市"}, Purposes: []string{"traffic"},
		Responsible: consent.Party{Name: "市", Address: "本町1-1", Representative: "市長"}, PublishedOn: "2026-09-01"}, "推進主体")
	must(t, err)
	for _, b := range []consent.Basis{
		{ID: "b-law", Kind: consent.Law, Dataset: "survey", Purposes: []string{"access"}, From: "2026-01-01", Until: "2027-03-31"},
		{ID: "b-joint", Kind: consent.JointUse, Dataset: "ride", Source: "bus", Purposes: []string{"traffic"}, From: "2026-09-01", Until: "2027-03-31", Notice: "joint"},
		{ID: "b-entrusted", Kind: consent.Entrustment, Dataset: "payment", Purposes: []string{"access"}, From: "2026-01-01", Until: "2026-06-30"},
		{ID: "b-entrusted-2", Kind: consent.Entrustment, Dataset: "ride", Purposes: []string{"access"}, From: "2026-01-01", Until: "2027-06-30"},
	} {
		b.Document, b.SHA256 = "契約書", sha
		must(t, o.AddBasis(ctx, b, "推進主体"))
	}
	return o
}

func (o *office) agrees(p consent.Person, text string, purposes, items []string, at time.Time) (consent.Receipt, error) {
	return o.Record(context.Background(), consent.Form{Receipt: consent.Receipt{Person: p, Text: text, Purposes: purposes, Items: items, At: at,
		Route: consent.App, Evidence: "screen 3", Unticked: true, Actor: "本人"}})
}

// naive says by the rules of the package, event by event, what covers a row.
func naive(r *consent.Register, events []consent.Event, purpose, dataset, source string, at, asOf time.Time) string {
	day := func(t time.Time) string { return consent.Day(t) }
	in := func(list []string, s string) bool { return slices.Contains(list, s) }
	var best *consent.Receipt
	objects := false
	matches := func(w *consent.Withdrawal) bool {
		items := len(w.Items) == 0 || slices.ContainsFunc(w.Items, func(i string) bool { return i == dataset || strings.HasPrefix(i, dataset+".") })
		return (len(w.Purposes) == 0 || in(w.Purposes, purpose)) && items && (w.From.IsZero() || !at.Before(w.From))
	}
	for _, v := range events {
		if v.EnteredAt.After(asOf) {
			continue
		}
		if w := v.Withdrawal; w != nil && matches(w) {
			objects = true
		}
		c := v.Receipt
		if c == nil || !in(c.Purposes, purpose) || !in(c.Items, dataset) {
			continue
		}
		text, _ := r.Text(c.Text)
		if text.EndsOn < day(asOf) || text.DataUntil != "" && day(at) > text.DataUntil {
			continue
		}
		if text.DataFrom == "" && at.Before(c.At) || text.DataFrom != "" && day(at) < text.DataFrom {
			continue
		}
		if slices.ContainsFunc(events, func(v consent.Event) bool {
			w := v.Withdrawal
			return w != nil && !v.EnteredAt.After(asOf) && !w.At.Before(c.At) && matches(w)
		}) {
			continue
		}
		if best == nil || !c.At.Before(best.At) {
			best = c
		}
	}
	if best != nil {
		return best.ID
	}
	for _, v := range events {
		if v.Withdrawal != nil && v.Withdrawal.Hold && !v.EnteredAt.After(asOf) {
			return ""
		}
	}
	for _, b := range r.Bases {
		if b.Dataset == dataset && (b.Source == "" || b.Source == source) && in(b.Purposes, purpose) && b.From <= day(asOf) && day(asOf) <= b.Until &&
			b.From <= day(at) && day(at) <= b.Until && (b.Kind == consent.Law || !objects) {
			return b.ID
		}
	}
	return ""
}

// IC-9: what the snapshot says is what the rules say of the log, at any time; and
// who has withdrawn is covered by nothing but a law.
func TestCoverage_Property(t *testing.T) {
	o, ctx := city(t), context.Background()
	r, err := o.Register(ctx)
	must(t, err)
	datasets, purposes := []string{"payment", "ride", "person", "survey", "shop", "unknown"}, []string{"access", "traffic"}
	n, first := 0, time.Date(2026, 9, 29, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		n++
		p := consent.Person{Source: rapid.SampledFrom([]string{"bus", "meguri"}).Draw(t, "source"), ID: fmt.Sprint("r-", n)}
		moment := func(label string) time.Time { // few enough that two are often the same
			return first.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, label)) * 6 * time.Hour)
		}
		some := func(label string, of []string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID).Draw(t, label)
		}
		for range rapid.IntRange(1, 7).Draw(t, "events") {
			switch text := rapid.SampledFrom(r.Texts).Draw(t, "text"); rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2, 3:
				w := consent.Withdrawal{Person: p, At: moment("at"), Route: consent.App, Actor: "本人", Purposes: some("purposes", purposes),
					Items: some("items", []string{"payment", "ride", "ride.stop", "person.sex"})}
				if rapid.Bool().Draw(t, "since") {
					w.From = moment("from")
				}
				_, err = o.Withdraw(ctx, w)
			case 4:
				_, err = o.Withdraw(ctx, consent.Withdrawal{Person: p, At: moment("at"), Actor: "窓口", Hold: true})
			default:
				_, err = o.agrees(p, text.Key(), some("purposes", text.Purposes), some("items", text.Items), moment("at"))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		events, err := o.Of(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		asOf := []time.Time{o.clock, o.clock.AddDate(0, 0, 3)}
		for _, v := range events {
			asOf = append(asOf, v.EnteredAt)
		}
		purpose, when := rapid.SampledFrom(purposes).Draw(t, "purpose"), rapid.SampledFrom(asOf).Draw(t, "as of")
		c, err := o.Coverage(ctx, purpose, when)
		if err != nil {
			t.Fatal(err)
		}
		for _, dataset := range datasets {
			for i := range 36 { // just before each moment, at it, and just after
				at := first.Add(time.Duration(i/3-3)*6*time.Hour + time.Duration(i%3-1)*time.Microsecond)
				got, ok := c.Basis(dataset, p.Source, p.ID, at)
				if want := naive(r, events, purpose, dataset, p.Source, at, when); got != want || ok != (want != "") {
					t.Fatalf("%s of %s at %s as of %s: got %q, want %q\n%+v", dataset, purpose, at, when, got, want, events)
				}
			}
		}
		if _, err := o.Withdraw(ctx, consent.Withdrawal{Person: p, Actor: "本人"}); err != nil {
			t.Fatal(err)
		}
		if c, err = o.Coverage(ctx, purpose, o.clock); err != nil {
			t.Fatal(err)
		}
		for _, dataset := range datasets {
			for hours := -6000; hours <= 100; hours += 500 {
				if id, ok := c.Basis(dataset, p.Source, p.ID, o.clock.Add(time.Duration(hours)*time.Hour)); ok && id != "b-law" {
					t.Fatalf("%s is covered by %s after the withdrawal", dataset, id)
				}
			}
		}
	})
	if entries, err := consent.Verify(ctx, o.Store); err != nil || entries < int64(2*n) {
		t.Errorf("the chain has %d entries after %d runs, %v", entries, n, err)
	}
}

// IC-9: a purpose that is not published yet can neither be agreed to nor used.
func TestPurpose_IsPublishedFirst(t *testing.T) {
	o, ctx := city(t), context.Background()
	must(t, o.AddText(ctx, text(t, "next", "payment", "later", "", "", "2029-03-31"), "推進主体"))
	p := consent.Person{Source: "meguri", ID: "r-1"}
	if _, err := o.agrees(p, "next/2026-10/ja", nil, nil, o.clock); !errors.Is(err, consent.ErrUnpublished) {
		t.Errorf("got %v, want ErrUnpublished", err)
	}
	must(t, o.Publish(ctx, "later", "2026-10-03", "広報", "推進主体"))
	if _, err := o.Coverage(ctx, "later", o.clock); !errors.Is(err, consent.ErrUnpublished) {
		t.Errorf("before the day: got %v, want ErrUnpublished", err)
	}
	o.clock = time.Date(2026, 10, 3, 1, 0, 0, 0, time.UTC)
	if _, err := o.agrees(p, "next/2026-10/ja", nil, nil, o.clock); err != nil {
		t.Error(err)
	}
	c, err := o.Coverage(ctx, "later", o.clock)
	must(t, err)
	if _, ok := c.Basis("payment", "meguri", "r-1", o.clock.Add(time.Hour)); !ok {
		t.Error("what was agreed to is not covered")
	}
	if err := o.Publish(ctx, "later", "2026-10-01", "広報", "推進主体"); !errors.Is(err, consent.ErrConflict) {
		t.Errorf("published again: got %v, want ErrConflict", err)
	}
	if err := o.AddPurpose(ctx, consent.Purpose{Code: "later", Ja: "別", En: "other"}, "推進主体"); !errors.Is(err, consent.ErrConflict) {
		t.Errorf("other words: got %v, want ErrConflict", err)
	}
}

// IC-9: a purpose that has ended covers nothing and nothing is read for it, and
// what was read for which purpose is in the log.
func TestPurpose_EndsForGood(t *testing.T) {
	o, ctx := city(t), context.Background()
	for _, code := range []string{"access", "nobody's", "later"} {
		_, err := o.Use(ctx, consent.Use{Purpose: code, What: "unicity", By: "office"})
		if want := map[string]error{"nobody's": consent.ErrNotFound, "later": consent.ErrUnpublished}[code]; !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", code, err, want)
		}
	}
	must(t, o.EndPurpose(ctx, "access", "推進主体"))
	if _, err := o.Use(ctx, consent.Use{Purpose: "access", What: "unicity", By: "office"}); !errors.Is(err, consent.ErrEnded) {
		t.Errorf("used: got %v, want ErrEnded", err)
	}
	if _, err := o.Coverage(ctx, "access", o.clock); !errors.Is(err, consent.ErrEnded) {
		t.Errorf("covers: got %v, want ErrEnded", err)
	}
	if _, err := o.Coverage(ctx, "traffic", o.clock); err != nil {
		t.Errorf("another purpose: %v", err)
	}
	if err := o.EndPurpose(ctx, "access", "推進主体"); !errors.Is(err, consent.ErrEnded) {
		t.Errorf("ended again: got %v, want ErrEnded", err)
	}
	if err := o.Publish(ctx, "access", "2026-12-01", "広報", "推進主体"); !errors.Is(err, consent.ErrConflict) {
		t.Errorf("published again: got %v, want ErrConflict", err)
	}
	var uses []consent.Use
	must(t, o.Uses(ctx, func(u consent.Use) error { uses = append(uses, u); return nil }))
	if len(uses) != 1 || uses[0].Purpose != "access" || uses[0].What != "unicity" || uses[0].By != "office" || uses[0].At.IsZero() {
		t.Errorf("the log has %+v", uses)
	}
}

// The law asks for each: a box that was not ticked beforehand, a guardian for a
// child, purposes and items of the text that was shown.
func TestRecord_Refuses(t *testing.T) {
	o, ctx := city(t), context.Background()
	good := func() consent.Form {
		return consent.Form{Receipt: consent.Receipt{ID: "c-1", Person: consent.Person{Source: "meguri", ID: "r-1"}, Text: "all/2026-10/ja",
			At: o.clock, Route: consent.App, Evidence: "screen 3", Unticked: true, Actor: "本人"}, BornOn: "1990-01-01"}
	}
	for name, c := range map[string]struct {
		change func(*consent.Form)
		want   error
	}{
		"ticked beforehand":                {func(f *consent.Form) { f.Unticked = false }, consent.ErrInvalid},
		"no evidence":                      {func(f *consent.Form) { f.Evidence = " " }, consent.ErrInvalid},
		"a child alone":                    {func(f *consent.Form) { f.BornOn = "2010-10-02" }, consent.ErrGuardian},
		"no such text":                     {func(f *consent.Form) { f.Text = "all/1/ja" }, consent.ErrNotFound},
		"another purpose":                  {func(f *consent.Form) { f.Purposes = []string{"later"} }, consent.ErrInvalid},
		"another item":                     {func(f *consent.Form) { f.Items = []string{"purchase"} }, consent.ErrInvalid},
		"tomorrow":                         {func(f *consent.Form) { f.At = o.clock.AddDate(0, 0, 1) }, consent.ErrInvalid},
		"nobody":                           {func(f *consent.Form) { f.Person.ID = "" }, consent.ErrInvalid},
		"before the purpose was published": {func(f *consent.Form) { f.At = o.clock.AddDate(0, -2, 0) }, consent.ErrUnpublished},
	} {
		f := good()
		c.change(&f)
		if _, err := o.Record(ctx, f); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	f := good()
	f.BornOn, f.Guardian = "2010-10-02", true
	first, err := o.Record(ctx, f)
	must(t, err)
	if !first.Child || !first.Guardian || first.TextHash == "" || len(first.Purposes) != 2 || len(first.Items) != 3 {
		t.Errorf("got %+v", first)
	}
	if again, err := o.Record(ctx, f); err != nil || again.ID != first.ID {
		t.Errorf("the same again: got %v", err)
	}
	f.Person.ID = "r-2"
	if _, err := o.Record(ctx, f); !errors.Is(err, consent.ErrConflict) {
		t.Errorf("the number of another: got %v, want ErrConflict", err)
	}
	if events, err := o.Of(ctx, consent.Person{Source: "meguri", ID: "r-1"}); err != nil || len(events) != 1 {
		t.Errorf("got %d events, %v, want 1", len(events), err)
	}
	if _, err := o.Withdraw(ctx, consent.Withdrawal{Person: f.Person, Actor: "本人", Items: []string{"paymnt"}}); !errors.Is(err, consent.ErrInvalid) {
		t.Errorf("a misspelt item: got %v, want ErrInvalid", err)
	}
}

// Items and users of a joint use never change; who is responsible may, when the
// new version was published (P10).
func TestNotice_ItemsAndUsersAreFixed(t *testing.T) {
	o, ctx := city(t), context.Background()
	n := consent.Notice{ID: "joint", Items: []string{"shop", "ride"}, Users: []string{"市", "バス会社"}, Purposes: []string{"traffic"},
		Responsible: consent.Party{Name: "協議会", Address: "本町2-2", Representative: "会長"}, PublishedOn: "2026-11-01"}
	if version, err := o.AddNotice(ctx, n, "推進主体"); err != nil || version != 2 {
		t.Fatalf("got version %d, %v", version, err)
	}
	more := n
	more.Users = []string{"バス会社", "市", "広告会社"}
	if _, err := o.AddNotice(ctx, more, "推進主体"); !errors.Is(err, consent.ErrFixed) {
		t.Errorf("another user: got %v, want ErrFixed", err)
	}
	r, err := o.Register(ctx)
	must(t, err)
	for day, want := range map[string]int{"2026-10-31": 1, "2026-11-01": 2} {
		if got, err := r.Notice("joint", day); err != nil || got.Version != want {
			t.Errorf("%s: got version %d, %v, want %d", day, got.Version, err, want)
		}
	}
	early := consent.Basis{ID: "b-early", Kind: consent.JointUse, Dataset: "ride", Purposes: []string{"traffic"}, From: "2026-08-01", Until: "2027-03-31",
		Notice: "joint", Document: "覚書", SHA256: sha}
	if err := o.AddBasis(ctx, early, "推進主体"); !errors.Is(err, consent.ErrNotFound) {
		t.Errorf("before it was published: got %v", err)
	}
	for day, lacks := range map[string]string{"2026-10-31": "協議会", "2026-11-01": "本町1-1"} {
		for _, html := range []bool{true, false} {
			var page strings.Builder
			must(t, r.Page(&page, "めぐり市", day, html))
			if !strings.Contains(page.String(), "バス会社、市") || !strings.Contains(page.String(), "目的 access") ||
				strings.Contains(page.String(), "目的 later") || strings.Contains(page.String(), lacks) {
				t.Errorf("%s:\n%s", day, page.String())
			}
		}
	}
}

// The erasure run hears of whoever withdrew, and of bases that ended.
func TestChangedSince(t *testing.T) {
	o, ctx := city(t), context.Background()
	a, b := consent.Person{Source: "meguri", ID: "r-1"}, consent.Person{Source: "meguri", ID: "r-2"}
	for _, p := range []consent.Person{a, b} {
		_, err := o.agrees(p, "all/2026-10/ja", nil, nil, o.clock)
		must(t, err)
	}
	start, err := o.ChangedSince(ctx, 0)
	must(t, err)
	if !start.Everyone { // a basis of theirs ended in June
		t.Errorf("from the beginning: got %+v", start)
	}
	before, err := o.ChangedSince(ctx, start.Last)
	must(t, err)
	if len(before.Persons) != 0 || before.Everyone {
		t.Errorf("got %+v before anybody withdrew", before)
	}
	for range 2 {
		_, err = o.Withdraw(ctx, consent.Withdrawal{Person: b, Actor: "本人", Purposes: []string{"traffic"}})
		must(t, err)
	}
	after, err := o.ChangedSince(ctx, before.Last)
	must(t, err)
	if !slices.Equal(after.Persons, []consent.Person{b}) || after.Everyone || after.Last != before.Last+2 {
		t.Errorf("got %+v, want r-2", after)
	}
	must(t, o.EndBasis(ctx, "b-entrusted-2", "2026-09-30", "推進主体"))
	if c, err := o.ChangedSince(ctx, after.Last); err != nil || !c.Everyone || len(c.Persons) != 0 {
		t.Errorf("a basis that was ended: got %+v, %v", c, err)
	}
	end, err := o.ChangedSince(ctx, after.Last+1)
	must(t, err)
	o.clock = time.Date(2026, 10, 3, 0, 0, 0, 0, time.UTC) // the text "short" ended on the 2nd
	if c, err := o.ChangedSince(ctx, end.Last); err != nil || end.Everyone || !c.Everyone {
		t.Errorf("a text that ended by itself: got %+v, then %+v, %v", end, c, err)
	}
}

// A row is asked about hundreds of millions of times.
func TestBasis_AllocatesNothing(t *testing.T) {
	o, ctx := city(t), context.Background()
	_, err := o.agrees(consent.Person{Source: "meguri", ID: "r-1"}, "all/2026-10/ja", nil, nil, o.clock)
	must(t, err)
	c, err := o.Coverage(ctx, "access", o.clock)
	must(t, err)
	at, yes := o.clock.Add(time.Hour), 0
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := c.Basis("payment", "meguri", "r-1", at); ok {
			yes++
		}
	}); n != 0 || yes == 0 || c.People() != 1 {
		t.Errorf("%v allocations, %d times covered, %d persons", n, yes, c.People())
	}
}

func BenchmarkBasis(b *testing.B) {
	o, ctx := city(b), context.Background()
	people := func(yield func(consent.Known, error) bool) {
		for i := range 100_000 {
			if !yield(consent.Known{Person: consent.Person{Source: "meguri", ID: fmt.Sprintf("r-%06d", i)}, Number: fmt.Sprintf("c-%06d", i), At: o.clock}, nil) {
				return
			}
		}
	}
	_, err := o.Carry(ctx, "all/2026-10/ja", "事務局", people, func(int64, error) { b.Error("faulty") })
	must(b, err)
	start := time.Now()
	c, err := o.Coverage(ctx, "access", o.clock.Add(time.Hour))
	must(b, err)
	load := time.Since(start)
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("r-%06d", (i*7919)%100_000)
	}
	at := o.clock.Add(time.Hour)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := c.Basis("payment", "meguri", names[i%100_000], at); !ok {
			b.Fatal("not covered")
		}
		i++
	}
	b.ReportMetric(float64(load.Milliseconds()), "ms/load")
}
