package api

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/openapi/paymentdata"
	op "meguri/openapi/paymentdata/server"
)

// TestSyncTellsEveryPaymentOnce draws a history of charges, payments, holds and
// cancels, some while it is read, and reads it in pages of any size. The voucher
// has lots of two kinds, on which a payment may draw at once.
func TestSyncTellsEveryPaymentOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		c := &clock{now: time.Date(2026, 8, 1, 3, 0, 0, 0, time.UTC)}
		m := newMemory(c.Now)
		desk := &programme.Desk{Programmes: m, Ledger: m, Poster: poster{m}, Now: c.Now}
		for _, p := range []programme.Programme{
			{ID: voucher, Name: "x", Class: programme.Voucher, UnitPrice: 10, UnitValue: 15}, {ID: points, Name: "x", Class: programme.Points},
		} {
			if err := desk.Open(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
		_ = m.PutResidents(ctx, registry.Resident{ID: "agrees", ConsentID: "c-1"}, registry.Resident{ID: "does-not"})
		api := &paymentDataAPI{Deps{Ledger: m, Registry: m, Programmes: m, Provider: "meguri"}}

		var payments []string // of the resident who agrees
		var open []string     // not cancelled
		n := 0
		origin := func() programme.Origin {
			n++
			c.add(time.Second)
			return programme.Origin{ID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)).String(), Actor: "test"}
		}
		act := func() {
			resident := rapid.SampledFrom([]string{"agrees", "agrees", "does-not"}).Draw(t, "resident")
			paid := func(o ledger.Outcome, err error) {
				if err == nil && o.Err == nil && resident == "agrees" {
					payments, open = append(payments, o.Posted.ID), append(open, o.Posted.ID)
				}
			}
			both := []programme.Part{{Programme: voucher, Amount: 10}, {Programme: points, Amount: 5}}
			switch rapid.SampledFrom([]string{"charge", "pay", "pay", "combined", "capture", "void", "hold", "cancel", "cancel"}).Draw(t, "act") {
			case "charge":
				_, _ = desk.Charge(ctx, origin(), resident, voucher, 10)
				_, _ = desk.Grant(ctx, origin(), resident, points, 1000)
			case "pay":
				paid(desk.Pay(ctx, origin(), resident, "s-1", "", programme.Part{Programme: voucher, Amount: 10}))
			case "combined":
				paid(desk.Pay(ctx, origin(), resident, "s-1", "", both...))
			case "capture":
				if o, err := desk.Hold(ctx, origin(), resident, "s-1", "", time.Hour, both...); err == nil && o.Err == nil {
					paid(desk.Capture(ctx, origin(), o.Posted.ID, ledger.Yen(rapid.IntRange(0, 15).Draw(t, "amount"))))
				}
			case "void":
				if o, err := desk.Hold(ctx, origin(), resident, "s-1", "", time.Hour, both...); err == nil && o.Err == nil {
					_, _ = desk.Void(ctx, origin(), o.Posted.ID, "test")
				}
			case "hold": // which the ledger releases
				_, _ = desk.Hold(ctx, origin(), resident, "s-1", "", 3*time.Second, both...)
			case "cancel":
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					if _, err := desk.Cancel(ctx, origin(), open[i], "test"); err != nil {
						t.Fatal(err)
					}
					open = append(open[:i], open[i+1:]...)
				}
			}
		}
		page := func(cursor string, limit int) op.SyncPayments200JSONResponse {
			res, err := api.SyncPayments(ctx, op.SyncPaymentsRequestObject{Params: paymentdata.SyncPaymentsParams{Cursor: cursor, Limit: limit}})
			if err != nil {
				t.Fatal(err)
			}
			return res.(op.SyncPayments200JSONResponse)
		}

		for range rapid.IntRange(0, 40).Draw(t, "history") {
			act()
		}
		type told struct {
			cursor string
			limit  int
			body   []byte
			full   bool
		}
		var pages []told
		seen := map[string]paymentdata.Payment{}
		cursor, quiet := "", false
		for !quiet {
			limit := rapid.IntRange(1, 7).Draw(t, "limit")
			p := page(cursor, limit)
			body, _ := json.Marshal(p)
			pages = append(pages, told{cursor, limit, body, p.HasMore})
			for _, add := range p.Added {
				if _, twice := seen[add.PaymentID]; twice {
					t.Fatalf("%s was added twice", add.PaymentID)
				}
				seen[add.PaymentID] = add
			}
			for _, up := range p.Updated {
				before, ok := seen[up.PaymentID]
				if !ok || up.Version != before.Version+1 {
					t.Fatalf("%s: version %d after %d", up.PaymentID, up.Version, before.Version)
				}
				seen[up.PaymentID] = up
			}
			cursor = p.NextCursor
			quiet = !p.HasMore
			if len(pages) < 10 && rapid.Bool().Draw(t, "meanwhile") {
				act()
				quiet = false
			}
		}
		if len(seen) != len(payments) {
			t.Fatalf("told %d payments of %d", len(seen), len(payments))
		}
		for _, id := range payments {
			res, err := api.GetPayment(ctx, op.GetPaymentRequestObject{PaymentID: id})
			if err != nil {
				t.Fatal(err)
			}
			if now := paymentdata.Payment(res.(op.GetPayment200JSONResponse)); !reflect.DeepEqual(now, seen[id]) {
				t.Fatalf("what was told is not what stands:\n%+v\n%+v", seen[id], now)
			}
			rest, from := seen[id].Amount.Value, map[string]bool{}
			for _, part := range seen[id].Funding.Parts {
				if rest -= part.Amount; part.Amount == 0 || from[part.ProgrammeID] {
					t.Fatalf("funding %+v", seen[id].Funding)
				}
				from[part.ProgrammeID] = true
			}
			if rest != 0 {
				t.Fatalf("parts are %d yen less than %d", rest, seen[id].Amount.Value)
			}
		}
		for _, p := range pages {
			if again, _ := json.Marshal(page(p.cursor, p.limit)); p.full && string(again) != string(p.body) {
				t.Fatalf("the same cursor gave\n%s\nand then\n%s", p.body, again)
			}
		}
	})
}

func TestPaymentsWithoutConsentAreNotHandedOver(t *testing.T) {
	s := newSite(t)
	s.do(call{client: "office", method: "POST", path: "/wallet/v1/grants", key: key(1), body: `{"resident_id":"r-0003","programme_id":"points-2026","amount_yen":500}`}).want(t, 201, "")
	s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments", key: key(2), body: `{"resident_id":"r-0003","shop_id":"s-001","parts":[{"programme_id":"points-2026","amount_yen":100}]}`}).want(t, 201, "")
	v := s.do(call{client: "ingest", method: "GET", path: "/payment-data/v1/payments:sync"}).want(t, 200, "")
	if added := v["added"].([]any); len(added) != 0 {
		t.Errorf("handed over: %v", added)
	}
	s.do(call{client: "ingest", method: "GET", path: "/payment-data/v1/payments/" + key(2)}).want(t, 404, "not-found")
}
