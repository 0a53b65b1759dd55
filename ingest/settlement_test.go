package ingest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"meguri/ingest"
	"meguri/pseudonymize/lake"
)

// MT-5: a provider's settlement statement, in UTF-8 and Shift_JIS. What does not
// hold is in quarantine, and a row that came before changes nothing.
func TestSettlement_Golden(t *testing.T) {
	pattern, err := ingest.Maps.ReadFile("maps/settlement.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ingest.ParseMapping("settlement.yaml", pattern)
	if err != nil {
		t.Fatal(err)
	}
	im := open(t, t.TempDir())
	for i, path := range []string{"testdata/settlement.csv", shifted(t, "testdata/settlement.csv")} {
		s, err := im.Import(t.Context(), path, ingest.Options{Mapping: m})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int64{true: 3}[i == 0]; s.Accepted != want || s.Duplicate != 4-want || s.Quarantined != 8 || s.Dataset != "settlement" {
			t.Errorf("got %+v", s)
		}
		var b strings.Builder
		list, err := im.Settlements(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			fmt.Fprintf(&b, "%+v\n", s)
		}
		for _, row := range quarantined(t, s) {
			b.WriteString(strings.Join(row[1:], " | ") + "\n")
		}
		golden := filepath.Join("testdata", "settlement.golden")
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Error(diff)
		}
	}
	if err := im.PutSettlements(t.Context(), []ingest.Settlement{{Source: "s", ShopID: "s1", From: "2024-06-01", To: "2024-06-02", AmountYen: 10, NetYen: 9}}); err == nil {
		t.Error("took a settlement whose net is not its amount less its fee")
	}
}

// MT-5: settlements that say what was taken in agree; every yen that a shop is
// paid too much or too little, and every shop that is paid nothing, is found; and
// what has a reason is explained by that much and no more.
func TestCompareSettlements_Property(t *testing.T) {
	day := func(n int) string {
		return time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n).Format(time.DateOnly)
	}
	rapid.Check(t, func(t *rapid.T) {
		takings, sums := ingest.Takings{}, map[[2]int]int64{} // by shop and week
		for range rapid.IntRange(1, 30).Draw(t, "takings") {
			shop, n := rapid.IntRange(0, 2).Draw(t, "shop"), rapid.IntRange(0, 20).Draw(t, "day")
			yen := rapid.Int64Range(-500, 900).Draw(t, "yen")
			takings[ingest.Taking{Source: "p", ShopID: fmt.Sprint("s", shop), ServiceID: fmt.Sprint("v", rapid.IntRange(0, 1).Draw(t, "service")), Day: day(n)}] += yen
			if n < 14 { // the third week is not settled yet
				sums[[2]int{shop, n / 7}] += yen
			}
		}
		takings[ingest.Taking{Source: "other", ShopID: "s0", Day: day(0)}] = 77 // which has no statement
		var list []ingest.Settlement
		at := map[[2]int]int{}
		for shop := range 3 {
			for week := range 2 {
				yen := sums[[2]int{shop, week}]
				at[[2]int{shop, week}] = len(list)
				list = append(list, ingest.Settlement{Source: "p", ShopID: fmt.Sprint("s", shop), From: day(week * 7), To: day(week*7 + 6),
					AmountYen: yen, FeeYen: 3, NetYen: yen - 3})
			}
		}
		differing := func(whys ingest.Whys) (found []ingest.Settled) {
			for _, s := range ingest.CompareSettlements(list, takings, whys) {
				if s.Differs() {
					found = append(found, s)
				}
			}
			return found
		}
		if found := differing(nil); len(found) > 0 {
			t.Fatalf("nothing is wrong, and found %+v", found)
		}
		shop, week := rapid.IntRange(0, 2).Draw(t, "whose"), rapid.IntRange(0, 1).Draw(t, "which week")
		which, yen := at[[2]int{shop, week}], rapid.Int64Range(1, 99).Draw(t, "by")
		switch rapid.SampledFrom([]string{"more", "explained", "left out", "twice"}).Draw(t, "damage") {
		case "more":
			list[which].AmountYen += yen
			list[which].NetYen += yen
			if found := differing(nil); len(found) != 1 || found[0].OpenYen != yen || found[0].Key() != list[which].Key() {
				t.Fatalf("%d yen too much of %+v: found %+v", yen, list[which], found)
			}
		case "explained":
			list[which].AmountYen += yen
			whys := ingest.Whys{}
			whys.Add(list[which], ingest.NotHandedOver, yen-1)
			if found := differing(whys); len(found) != 1 || found[0].OpenYen != 1 {
				t.Fatalf("one yen of %d is not explained: found %+v", yen, found)
			}
			whys.Add(list[which], ingest.NotPulled, 1)
			if found := differing(whys); len(found) > 0 {
				t.Fatalf("all is explained, and found %+v", found)
			}
		case "left out":
			gone := list[which]
			list[which].ShopID = "" // the period was settled, for others
			found := differing(nil)
			if want := -gone.AmountYen; want == 0 && len(found) > 0 || want != 0 && (len(found) != 1 || found[0].OpenYen != want || found[0].ShopID != gone.ShopID) {
				t.Fatalf("%+v was not paid: found %+v", gone, found)
			}
		case "twice":
			again := list[which]
			again.To = day(week*7 + 5)
			list = append(list, again)
			found := differing(nil)
			if len(found) != 2 || !found[0].Twice || !found[1].Twice {
				t.Fatalf("days were settled twice: found %+v", found)
			}
		}
	})
}

// What a shop took is its payments less what was taken back, on the day of each,
// whether or not a cancellation names the shop; grants and charges are not.
func TestTakings_OfTheSegments(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	one := func(id string, kind ingest.Kind, shop, target string, yen int64, hours int) ingest.Record {
		return ingest.Record{ID: id, Kind: kind, ServiceType: ingest.Voucher, ServiceID: "v", ShopID: shop, PersonID: "a", AmountYen: yen, Active: true,
			OccurredAt: time.Date(2024, 6, 3, 10, 0, 0, 0, time.UTC).Add(time.Duration(hours) * time.Hour), TargetID: target}
	}
	add(t, im, "p", one("1", ingest.Pay, "s1", "", 500, 0), one("2", ingest.Pay, "s2", "", 300, 0), one("3", ingest.Pay, "s1", "", 40, 0),
		one("4", ingest.Grant, "", "", 9000, 0), one("5", ingest.Charge, "s1", "", 8000, 0), one("6", ingest.Adjustment, "s2", "", -7, 0))
	add(t, im, "p", one("7", ingest.Cancel, "", "1", 500, 20), one("8", ingest.Cancel, "s1", "3", 40, 1), one("9", ingest.Refund, "s2", "", 100, 20))
	f, _, faults, err := im.Figures(t.Context(), lake.Open(filepath.Join(dir, "lake")))
	if err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
	at := func(shop, day string) ingest.Taking {
		return ingest.Taking{Source: "p", ShopID: shop, ServiceID: "v", Day: day}
	}
	want := ingest.Takings{at("s1", "2024-06-03"): 500, at("s2", "2024-06-03"): 293, at("s1", "2024-06-04"): -500, at("s2", "2024-06-04"): -100}
	if diff := cmp.Diff(want, f.Takings); diff != "" {
		t.Error(diff)
	}
}
