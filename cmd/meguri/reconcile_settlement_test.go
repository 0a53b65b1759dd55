package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"meguri/ingest"
	"meguri/ledger"
	"meguri/ledger/programme"
)

// MT-5: what our ledger pays for a period is what the API told of, but for what
// came late into another period, what it does not hand over, and what the office
// adjusted.
func TestOurs_EveryYenHasItsReason(t *testing.T) {
	o := &ours{source: "us", programmes: map[ledger.ProgrammeID]programme.Settlement{"v": programme.Weekly}, paid: map[till]ledger.Yen{},
		closed: map[till]bool{}, whys: map[till]map[ingest.Reason]ledger.Yen{}}
	first, second := ledger.TakingsID("v", "a:b", "2026-11-20"), ledger.TakingsID("v", "a:b", "2026-11-27")
	entry := func(kind ledger.Kind, day string, from, to ledger.AccountID, yen ledger.Yen) *ledger.Posted {
		return &ledger.Posted{Kind: kind, BusinessOn: day,
			Entries: []ledger.Entry{{Programme: "v", Transfer: ledger.Transfer{Debit: from, Credit: to, Amount: yen}}}}
	}
	o.take(entry(ledger.Pay, "2026-11-20", "lot:v:r:paid", first, 1000), ingest.OtherPeriod) // told of, on its own day
	o.take(entry(ledger.Pay, "2026-11-20", "lot:v:r:paid", second, 200), ingest.OtherPeriod) // told of, and late
	o.take(entry(ledger.Cancel, "2026-11-21", first, "lot:v:r:paid", 30), ingest.OtherPeriod)
	o.take(entry(ledger.Pay, "2026-11-20", "lot:v:x:paid", first, 4), ingest.NotHandedOver)
	o.take(entry(ledger.Adjust, "2026-11-20", "suspense:v", first, 5000), ingest.ByOffice)
	done := entry(ledger.Close, "2026-11-21", first, ledger.PayableID("v", "a:b"), 1000-30+4+5000)
	done.Closed = &ledger.Closing{Programme: "v", Period: "2026-11-20"}
	o.take(done, ingest.ByOffice)
	o.close(done)

	f := ingest.Figures{Takings: ingest.Takings{
		{Source: "us", ShopID: "a:b", ServiceID: "v", Day: "2026-11-20"}: 1200,
		{Source: "us", ShopID: "a:b", ServiceID: "v", Day: "2026-11-21"}: -30,
		{Source: "us", ShopID: "c", ServiceID: "v", Day: "2026-11-20"}:   9, // which the ledger does not know of
	}}
	o.settle(&f)
	paid := ingest.Settlement{Source: "us", ShopID: "a:b", ServiceID: "v", From: "2026-11-14", To: "2026-11-20", AmountYen: 5974, NetYen: 5974}
	unpaid := paid
	unpaid.ShopID, unpaid.AmountYen, unpaid.NetYen = "c", 0, 0
	want := []ingest.Settled{
		{Settlement: paid, TakenYen: 1200, Whys: []ingest.Why{{Reason: ingest.ByOffice, Yen: 5000}, {Reason: ingest.NotHandedOver, Yen: 4},
			{Reason: ingest.OtherPeriod, Yen: -230}}},
		{Settlement: unpaid, TakenYen: 9, OpenYen: -9},
	}
	if diff := cmp.Diff(want, ingest.CompareSettlements(f.Statements, f.Takings, f.Whys)); diff != "" {
		t.Error(diff)
	}
}
