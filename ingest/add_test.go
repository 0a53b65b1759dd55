package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/ingest"
)

func payment(id string) ingest.Record {
	return ingest.Record{ID: id, Kind: ingest.Pay, ServiceType: ingest.Points, ServiceID: "pt", PersonID: "p1", ShopID: "s1",
		AmountYen: 100, OccurredAt: time.Date(2026, 4, 1, 3, 0, 0, 0, time.UTC), Active: true, ConsentID: "c1"}
}

func TestAddWithCursor_KeepsRecordsAndCursorOnce(t *testing.T) {
	ctx := context.Background()
	im := open(t, t.TempDir())
	if cursor, err := im.Cursor(ctx, "ledger"); err != nil || cursor != "" {
		t.Fatalf("got %q, %v", cursor, err)
	}
	cancel := payment("c1")
	cancel.Kind, cancel.TargetID = ingest.Cancel, "p1"
	lost := payment("c2")
	lost.Kind, lost.TargetID = ingest.Cancel, "nowhere"
	wrong := payment("p3")
	wrong.Kind = "gift"
	other := payment("p1")
	other.AmountYen = 101
	foreign := payment("p4")
	foreign.Source = "somebody else"
	records := []ingest.Record{cancel, payment("p1"), payment("p2"), payment("p2"), lost, wrong, other, foreign}
	for round := range 2 {
		s, err := im.AddWithCursor(ctx, "ledger", records, fmt.Sprint("at ", round))
		if err != nil {
			t.Fatal(err)
		}
		accepted := int64(3 - 3*round)
		if s.Read != 8 || s.Accepted != accepted || s.Duplicate != 4-accepted || s.Quarantined != 4 {
			t.Errorf("round %d: got %+v", round, s)
		}
		for _, row := range quarantined(t, s) {
			if row[4] == "" || !strings.HasPrefix(row[5], `{"Source"`) {
				t.Errorf("got %q", row)
			}
		}
		if cursor, err := im.Cursor(ctx, "ledger"); err != nil || cursor != fmt.Sprint("at ", round) {
			t.Errorf("got %q, %v", cursor, err)
		}
	}
	if got := content(t, im); len(got) != 3 {
		t.Errorf("got %d records", len(got))
	}
	if s, err := im.AddWithCursor(ctx, "ledger", nil, "end"); err != nil || s.Read != 0 {
		t.Errorf("an empty page: %+v, %v", s, err)
	}
	if cursor, err := im.Cursor(ctx, "ledger"); err != nil || cursor != "end" {
		t.Errorf("got %q, %v", cursor, err)
	}
	if _, err := im.Add(ctx, "", nil); !errors.Is(err, ingest.ErrInvalid) {
		t.Errorf("no source: %v", err)
	}
}

func TestAdd_MeetsWhatAFileBrought(t *testing.T) {
	ctx := context.Background()
	im := open(t, t.TempDir())
	path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := io.WriteString(w, mitakaHeader+mitakaRow()); return err })
	if _, err := im.Import(ctx, path, ingest.Options{Format: ingest.MitakaTransactions}); err != nil {
		t.Fatal(err)
	}
	same := ingest.Record{ID: "T1", Kind: ingest.Pay, ServiceType: ingest.Voucher, ServiceID: "svc", PersonID: "u1", ShopID: "s1", ShopName: "renamed",
		MerchantID: "m1", TerminalID: "t1", AmountYen: 1200, OccurredAt: time.Date(2024, 2, 13, 9, 34, 47, 0, time.UTC), GroupID: "T1"}
	if s, err := im.Add(ctx, "mitaka", []ingest.Record{same}); err != nil || s.Duplicate != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestImport_PersonsAndShops(t *testing.T) {
	ctx := context.Background()
	im := open(t, t.TempDir())
	file := func(text string) string {
		return writeFile(t, "list.csv", func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	}
	persons := ingest.Options{Format: ingest.CSV, Mapping: exampleMapping(t, "persons.yaml")}
	const header = "uid,性別,生年月日,町丁目コード,同意番号,テスト,氏名,電話番号,メールアドレス,住所\n"
	first := file(header + "u1,女性,1980/4/1,132040010,c1,,三鷹花子,1,2,3\nu2,男性,2000-02-30,1,c2,,x,1,2,3\nu3,不詳,,1,c3,,x,1,2,3\nu4,回答しない,,1,,テスト,x,1,2,3\n")
	s, err := im.Import(ctx, first, persons)
	if err != nil || s.Read != 4 || s.Accepted != 2 || s.Quarantined != 2 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if s, err = im.Import(ctx, first, persons); err != nil || s.Duplicate != 2 || s.Accepted != 0 {
		t.Errorf("again: %+v, %v", s, err)
	}
	if s, err = im.Import(ctx, file(header+"u1,女性,1980/4/1,132040020,c1,,三鷹花子,1,2,3\n"), persons); err != nil || s.Accepted != 1 {
		t.Errorf("moved house: %+v, %v", s, err)
	}
	got, err := im.Persons(ctx, "mitaka", "", 10)
	want := []ingest.Person{
		{Source: "mitaka", ID: "u1", Sex: "female", BornOn: "1980-04-01", Area: "132040020", ConsentID: "c1"},
		{Source: "mitaka", ID: "u4", Sex: "unknown", Area: "1", Test: true},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = im.Persons(ctx, "mitaka", "u1", 10); err != nil || len(got) != 1 {
		t.Errorf("after u1: %+v, %v", got, err)
	}

	shops := ingest.Options{Format: ingest.CSV, Mapping: exampleMapping(t, "shops.yaml")}
	s, err = im.Import(ctx, file("shopId,店舗名,merchantId,町丁目コード,業種,代表者,電話番号,口座番号\ns1,喫茶めぐり,m1,132040010,喫茶・菓子,a,b,c\ns2,x,m1,1,占い,a,b,c\n"), shops)
	if err != nil || s.Accepted != 1 || s.Quarantined != 1 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if list, err := im.Shops(ctx, "mitaka", "", 10); err != nil || len(list) != 1 || list[0].Industry != "cafe" || list[0].Name != "喫茶めぐり" {
		t.Errorf("got %+v, %v", list, err)
	}
	for _, p := range []ingest.Person{{Source: "x"}, {Source: "x", ID: "1", Sex: "F"}, {Source: "x", ID: "1", BornOn: "2000-02-30"}, {ID: "1"}} {
		if err := im.PutPersons(ctx, []ingest.Person{p}); !errors.Is(err, ingest.ErrInvalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := im.PutShops(ctx, []ingest.Shop{{Source: "x", ID: "1", Industry: "magic"}}); !errors.Is(err, ingest.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
