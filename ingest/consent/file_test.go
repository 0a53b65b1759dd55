package consent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/japanese"

	"meguri/ingest/consent"
)

const mapping = `source: meguri
text: all/2026-10/ja
route: paper
actor: 窓口
evidence: 同意書
columns: {person: 番号, at: 同意日時, purposes: 目的, born_on: 生年月日, guardian: 保護者, withdrawn: 撤回日時}
ignore: [氏名]
`

const file = "番号,氏名,同意日時,目的,生年月日,保護者,撤回日時\n" +
	"r-1,巡 花子,2026-09-10 10:00:00,,1980-01-01,,\n" +
	"r-2,\"巡, 太郎\",2026-09-10 10:00:00,access,1980-01-01,,2026-09-20 09:00:00\n" +
	"r-3,巡 子,2026-09-10 10:00:00,,2015-01-01,,\n" +
	"r-4,巡 子,2026-09-10 10:00:00,,2015-01-01,はい,\n" +
	"r-5,\"巡 秘密,2026-09-10 10:00:00,,,,\n" +
	"r-6,秘密,2026-13-10 10:00:00,,,,\n" +
	"r-7,秘密,2026-09-10 10:00:00,later,,,\n" +
	",秘密,2026-09-10 10:00:00,,,,\n" +
	"r-8,秘密,2026-09-10 10:00:00,,,,2026-09-01 10:00:00\n" +
	"\n" +
	"r-9,秘密\n"

func importText(t *testing.T, o *office, m, text string) (consent.Summary, []consent.Fault, error) {
	t.Helper()
	parsed, err := consent.ParseMapping([]byte(m))
	must(t, err)
	var faults []consent.Fault
	s, err := o.Import(context.Background(), "同意.csv", strings.NewReader(text), parsed, func(f consent.Fault) error { faults = append(faults, f); return nil })
	return s, faults, err
}

// Every row is accounted for; a bad one is named by line and column, without its
// values, and stops no other; the same file again changes nothing.
func TestImport_NamesBadRowsAndKeepsTheGoodOnes(t *testing.T) {
	o := city(t)
	s, faults, err := importText(t, o, mapping, file)
	must(t, err)
	if want := (consent.Summary{Read: 10, Entered: 3, Faulty: 7, Withdrawn: 1}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	var places []string
	for _, f := range faults {
		places = append(places, fmt.Sprintf("%d %s", f.Line, f.Field))
		if f.Remedy == "" || strings.Contains(f.Error(), "秘密") || strings.Contains(f.Error(), "r-") || !strings.HasPrefix(f.Error(), "同意.csv line ") {
			t.Errorf("got %q", f.Error())
		}
	}
	if got, want := strings.Join(places, "; "), "4 番号; 6 ; 7 同意日時; 8 番号; 9 番号; 10 撤回日時; 12 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s, _, err = importText(t, o, mapping, "\ufeff"+file); err != nil || s.Duplicate != 3 || s.Entered != 0 || s.Withdrawn != 0 {
		t.Errorf("again: got %+v, %v", s, err)
	}
	sjis, err := japanese.ShiftJIS.NewEncoder().String(file)
	must(t, err)
	if s, _, err = importText(t, o, mapping+"encoding: shift_jis\n", sjis); err != nil || s.Duplicate != 3 || s.Faulty != 7 {
		t.Errorf("in Shift_JIS: got %+v, %v", s, err)
	}
	if _, _, err = importText(t, o, mapping, sjis); err == nil || !strings.Contains(err.Error(), "encoding") {
		t.Errorf("Shift_JIS taken for UTF-8: got %v", err)
	}
	c, err := o.Coverage(context.Background(), "access", o.clock)
	must(t, err)
	for person, want := range map[string]bool{"r-1": true, "r-2": false, "r-3": false, "r-4": true, "r-6": false} {
		if _, ok := c.Basis("person", "meguri", person, o.clock); ok != want {
			t.Errorf("%s is covered: %v, want %v", person, ok, want)
		}
	}
}

func TestImport_StopsAtAnotherHeader(t *testing.T) {
	o := city(t)
	for text, want := range map[string]string{
		"":                                "empty",
		"番号,同意日時\n":                       "missing",
		"番号,番号\n":                         "twice",
		"番号,電話\n":                         "no. 2: the mapping says nothing",
		strings.SplitAfter(file, "\n")[0]: "no rows",
	} {
		if _, _, err := importText(t, o, mapping, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
	for _, m := range []string{"", "source: x", mapping + "colums: {}\n", strings.Replace(mapping, "source: meguri", "", 1), mapping + "encoding: utf-16\n"} {
		if _, err := consent.ParseMapping([]byte(m)); !errors.Is(err, consent.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", m, err)
		}
	}
}

// The wallet's consents become receipts under their number; what was withdrawn
// afterwards is not brought back by carrying them over again.
func TestCarry(t *testing.T) {
	o, ctx := city(t), context.Background()
	at := time.Date(2026, 9, 5, 0, 0, 0, 0, time.UTC)
	people := func(yield func(consent.Known, error) bool) {
		for i, k := range []consent.Known{{Number: "c-1"}, {}, {Number: "c-3", BornOn: "2020-01-01"}, {Number: "c-4"}} {
			k.Person, k.At = consent.Person{Source: "meguri", ID: fmt.Sprint("r-", i+1)}, at
			if !yield(k, nil) {
				return
			}
		}
	}
	var faults []string
	carry := func() consent.Summary {
		s, err := o.Carry(ctx, "all/2026-10/ja", "事務局", people, func(place int64, err error) {
			faults = append(faults, fmt.Sprint(place, errors.Is(err, consent.ErrGuardian)))
		})
		must(t, err)
		return s
	}
	if s := carry(); s != (consent.Summary{Read: 3, Entered: 2, Faulty: 1}) || strings.Join(faults, " ") != "3 true" {
		t.Errorf("got %+v, faulty %v", s, faults)
	}
	_, err := o.Withdraw(ctx, consent.Withdrawal{Person: consent.Person{Source: "meguri", ID: "r-1"}, Actor: "本人"})
	must(t, err)
	if s := carry(); s != (consent.Summary{Read: 3, Duplicate: 2, Faulty: 1}) {
		t.Errorf("again: got %+v", s)
	}
	c, err := o.Coverage(ctx, "access", o.clock)
	must(t, err)
	if _, ok := c.Basis("payment", "meguri", "r-1", o.clock); ok {
		t.Error("a withdrawn consent was brought back")
	}
	if id, _ := c.Basis("payment", "meguri", "r-4", o.clock); id != "c-4" {
		t.Errorf("got %q, want the registry's number c-4", id)
	}
}

// Records of provision name each person, and those that need none say why.
func TestRecordProvision(t *testing.T) {
	o, ctx := city(t), context.Background()
	party := consent.Party{Name: "めぐり大学", Address: "学園町1", Representative: "学長"}
	a, b := consent.Person{Source: "meguri", ID: "r-1"}, consent.Person{Source: "meguri", ID: "r-2"}
	p := consent.Provision{Direction: consent.Provided, At: o.clock, Party: party, Items: []string{"payment"}, Basis: "consent", By: "窓口"}
	_, err := o.RecordProvision(ctx, p, []consent.Person{a, b})
	must(t, err)
	p.Basis = "entrustment"
	if _, err := o.RecordProvision(ctx, p, []consent.Person{a}); !errors.Is(err, consent.ErrInvalid) {
		t.Errorf("an exempt one with persons: got %v", err)
	}
	exempt, err := o.RecordProvision(ctx, p, nil)
	if err != nil || !strings.Contains(exempt.Exempt, "委託") {
		t.Errorf("got %+v, %v", exempt, err)
	}
	p.Basis, p.Direction = "consent", consent.Received
	if _, err := o.RecordProvision(ctx, p, []consent.Person{a}); !errors.Is(err, consent.ErrInvalid) {
		t.Errorf("received, without its origin: got %v", err)
	}
	for person, want := range map[consent.Person]int{a: 1, {}: 3} {
		n := 0
		must(t, o.Provisions(ctx, person, func(h consent.Handed) error { n++; return nil }))
		if n != want {
			t.Errorf("%v: got %d records, want %d", person, n, want)
		}
	}
	for e, err := range o.Store.Entries(ctx, consent.Select{Book: consent.Provisions}) {
		must(t, err)
		if e.KeepUntil.Before(o.clock.AddDate(3, 0, -1)) {
			t.Errorf("entry %d may go on %s", e.Number, e.KeepUntil)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(file)
	f.Add("番号,氏名,同意日時,目的,生年月日,保護者,撤回日時\r\n\"r\"\"1\",,2026-09-10 10:00:00,,,,")
	f.Add("\"")
	o := city(f)
	m, err := consent.ParseMapping([]byte(mapping))
	must(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		faults := int64(0)
		s, err := o.Import(context.Background(), "x.csv", strings.NewReader(text), m, func(v consent.Fault) error {
			if faults++; v.Line < 2 || v.Problem == "" || v.Remedy == "" {
				t.Errorf("a fault without place or remedy: %+v", v)
			}
			return nil
		})
		if s.Read != s.Entered+s.Duplicate+s.Faulty || s.Faulty != faults {
			t.Errorf("%+v, %d faults, %v", s, faults, err)
		}
	})
}

func FuzzParseText(f *testing.F) {
	f.Add(consent.Example)
	f.Fuzz(func(t *testing.T, document string) {
		text, err := consent.ParseText([]byte(document))
		if err == nil && (text.Hash == "" || len(text.Items) == 0 || text.Key() == "//") {
			t.Errorf("took %+v", text)
		}
	})
}
