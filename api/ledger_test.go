package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/ledger"
)

func (s *site) get(client, path string) answer {
	s.Helper()
	return s.do(call{client: client, method: "GET", path: path})
}

func (s *site) office(path, key, body string) answer {
	s.Helper()
	return s.do(call{client: "office", method: "POST", path: path, key: key, body: body})
}

func (s *site) end(hold, how, key, body string) answer {
	s.Helper()
	return s.do(call{client: "app", method: "POST", path: "/wallet/v1/holds/" + hold + "/" + how, key: key, body: body})
}

// holding is what the resident has of the voucher: balance, available, lots.
func (s *site) holding() (balance, available float64, lots []any) {
	s.Helper()
	for _, b := range s.get("app", "/wallet/v1/residents/r-0001/balances").want(s, 200, "")["balances"].([]any) {
		if h := b.(map[string]any); h["programme_id"] == voucher {
			return h["balance_yen"].(float64), h["available_yen"].(float64), h["lots"].([]any)
		}
	}
	return 0, 0, nil
}

func (s *site) wantHolding(balance, available float64, lots int) {
	s.Helper()
	if b, a, l := s.holding(); b != balance || a != available || len(l) != lots {
		s.Errorf("the resident has %v, %v available, in %d lots; want %v, %v, %d", b, a, len(l), balance, available, lots)
	}
}

// 13,000 yen of the voucher are 3,000 yen of premium and 10,000 yen paid for.
func TestPaymentDrawsOnSeveralLotsAndIsOneToTheOutside(t *testing.T) {
	s := newSite(t).charged()
	s.wantHolding(13000, 13000, 2)
	v := s.pay(key(1), 4000).want(t, 201, "")
	if entries := v["entries"].([]any); len(entries) != 2 {
		t.Errorf("%d entries, want one for each lot: %v", len(entries), entries)
	}
	if got := fmt.Sprint(v["balances_after"]); got != "[map[balance_yen:9000 programme_id:voucher-2026]]" {
		t.Errorf("balances after: %s", got)
	}
	s.wantHolding(9000, 9000, 1)
	p := s.get("ingest", "/payment-data/v1/payments/"+key(1)).want(t, 200, "")
	if got := fmt.Sprint(p["funding"]); got != "map[kind:coupon parts:[map[amount:4000 kind:coupon programme_id:voucher-2026]]]" {
		t.Errorf("funding: %s", got)
	}
	s.cancel(key(1), key(2)).want(t, 201, "")
	s.wantHolding(13000, 13000, 2)
	_, _, lots := s.holding()
	if got := fmt.Sprint(lots[0]); got != "map[balance_yen:3000 expires_on:2026-12-31 funding:premium]" {
		t.Errorf("the lot to be spent first is %s", got)
	}
	s.clock.add(200 * 24 * time.Hour) // the voucher's time is up
	s.wantHolding(0, 0, 0)
}

func TestHoldIsCapturedInPart(t *testing.T) {
	s := newSite(t).charged()
	first := s.hold(key(1), 4000, 600)
	if v := first.want(t, 201, ""); v["held_yen"] != 4000. || v["total_yen"] != 0. || v["held_until"] != "2026-08-01T03:10:00Z" {
		t.Errorf("hold: %s", first.body)
	}
	s.wantHolding(13000, 9000, 2)
	s.clock.add(time.Minute) // the instant of the end does not depend on when the request came again
	if again := s.hold(key(1), 4000, 600); string(again.body) != string(first.body) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("sent again: %s", again.body)
	}
	s.hold(key(1), 4000, 601).want(t, 409, "id-conflict")
	s.pay(key(2), 9001).want(t, 422, "insufficient-balance")
	s.get("ingest", "/payment-data/v1/payments/"+key(1)).want(t, 404, "not-found")

	v := s.end(key(1), "capture", key(3), `{"amount_yen":3500}`).want(t, 201, "")
	if v["total_yen"] != 3500. || v["hold_id"] != key(1) || v["shop_id"] != "s-001" {
		t.Errorf("capture: %v", v)
	}
	s.wantHolding(9500, 9500, 1)
	if v := s.get("app", "/wallet/v1/transactions/"+key(1)).want(t, 200, ""); v["resolved_as"] != "capture" || v["resolved_by"] != key(3) || v["cancelled_by"] != nil {
		t.Errorf("the hold stands as %v", v)
	}
	p := s.get("ingest", "/payment-data/v1/payments/"+key(3)).want(t, 200, "")
	if got := fmt.Sprint(p["funding"]); got != "map[kind:coupon parts:[map[amount:3500 kind:coupon programme_id:voucher-2026]]]" {
		t.Errorf("funding: %s", got)
	}
	s.cancel(key(3), key(4)).want(t, 201, "")
	s.wantHolding(13000, 13000, 2)
	page := s.get("ingest", "/payment-data/v1/payments:sync").want(t, 200, "")
	if added := page["added"].([]any); len(added) != 1 || added[0].(map[string]any)["status"] != "canceled" {
		t.Errorf("handed over: %v", added)
	}
}

func TestHoldGoesBackByItself(t *testing.T) {
	s := newSite(t).charged()
	s.hold(key(1), 4000, 60).want(t, 201, "")
	s.clock.add(time.Minute)
	s.wantHolding(13000, 13000, 2)
	s.end(key(1), "capture", key(2), `{}`).want(t, 409, "hold-expired")
	hold := s.get("app", "/wallet/v1/transactions/"+key(1)).want(t, 200, "")
	if hold["resolved_as"] != "release" {
		t.Errorf("the hold stands as %v", hold)
	}
	release := s.get("app", "/wallet/v1/transactions/"+hold["resolved_by"].(string)).want(t, 200, "")
	if release["kind"] != "release" || release["hold_id"] != key(1) || release["resident_id"] != resident {
		t.Errorf("the release is %v", release)
	}
	if got := fmt.Sprint(s.pages("office", "/wallet/v1/changes?limit=9", "transactions", "kind")); got != "[charge hold release]" {
		t.Errorf("changes: %s", got)
	}
}

func TestReservationIsAChargeOnceItIsCaptured(t *testing.T) {
	s := newSite(t)
	reserve := func(n int) answer {
		return s.do(call{client: "app", method: "POST", path: "/wallet/v1/reservations", key: key(n),
			body: `{"resident_id":"r-0001","programme_id":"voucher-2026","units":2,"expires_in_seconds":2592000}`})
	}
	reserve(1).want(t, 201, "")
	s.wantHolding(0, 0, 0)
	v := s.get("app", "/wallet/v1/accounts/lot:voucher-2026:r-0001:paid:2026-12-31").want(t, 200, "")
	if v["expected_yen"] != 10000. || v["value_yen"] != 0. {
		t.Errorf("the lot: %v", v)
	}
	s.end(key(1), "capture", key(2), `{}`).want(t, 201, "")
	s.wantHolding(13000, 13000, 2)
	page := s.get("ingest", "/payment-data/v1/payments:sync").want(t, 200, "")
	if added := page["added"].([]any); len(added) != 0 {
		t.Errorf("handed over as payments: %v", added)
	}
	s.office("/wallet/v1/transactions/"+key(2)+"/cancel", key(3), `{"reason":"not-paid"}`).want(t, 201, "")
	s.wantHolding(0, 0, 0)
	reserve(4).want(t, 201, "")
	s.end(key(4), "void", key(5), `{}`).want(t, 201, "")
	s.wantHolding(0, 0, 0)
}

func TestChargeIsCancelledAsLongAsNothingIsSpent(t *testing.T) {
	s := newSite(t)
	charge := `{"resident_id":"r-0001","programme_id":"voucher-2026","units":1}`
	s.office("/wallet/v1/charges", key(1), charge).want(t, 201, "")
	s.office("/wallet/v1/charges", key(2), charge).want(t, 201, "")
	cancel := func(n, by int) answer {
		return s.office("/wallet/v1/transactions/"+key(n)+"/cancel", key(by), `{"reason":"wrong-resident"}`)
	}
	v := cancel(1, 3).want(t, 201, "")
	if v["kind"] != "cancel_grant" || v["cancels"] != key(1) || v["total_yen"] != 6500. {
		t.Errorf("cancel: %v", v)
	}
	s.wantHolding(6500, 6500, 2)
	cancel(1, 4).want(t, 409, "already-cancelled")
	cancel(3, 5).want(t, 409, "reversal-not-reversed")
	s.pay(key(6), 1).want(t, 201, "")
	cancel(2, 7).want(t, 422, "insufficient-balance")
	cancel(6, 8).want(t, 409, "not-cancellable")
	s.cancel(key(2), key(9)).want(t, 409, "not-cancellable") // by the operation for payments
}

// The way of the money to the shops: closed, paid out, sent back.
func TestCloseMakesTakingsPayable(t *testing.T) {
	s := newSite(t).charged()
	s.pay(key(1), 4000).want(t, 201, "")
	paid := s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments", key: key(2),
		body: `{"resident_id":"r-0001","shop_id":"s-002","parts":[{"programme_id":"voucher-2026","amount_yen":300}]}`})
	paid.want(t, 201, "")
	s.clock.add(7 * 24 * time.Hour)
	closes := `{"programme_id":"voucher-2026","period":"2026-08-07"}`
	a := s.office("/wallet/v1/closes", key(3), closes)
	v := a.want(t, 201, "")["closing"].(map[string]any)
	if got := fmt.Sprint(v["shops"]); got != "[map[amount_yen:4000 shop_id:s-001] map[amount_yen:300 shop_id:s-002]]" {
		t.Errorf("shops: %s", got)
	}
	if got, want := fmt.Sprint(v["cut_seq"]), paid.header.Get("Ledger-Sequence"); got != want {
		t.Errorf("cut at %s, want %s, the last payment", got, want)
	}
	if again := s.office("/wallet/v1/closes", key(3), closes); string(again.body) != string(a.body) {
		t.Errorf("sent again: %s", again.body)
	}
	if v := s.get("app", "/wallet/v1/accounts/shop:voucher-2026:s-001:2026-08-07").want(t, 200, ""); v["closed"] != true || v["period"] != "2026-08-07" {
		t.Errorf("takings: %v", v)
	}
	refused := s.cancel(key(1), key(4)).want(t, 409, "period-closed")
	if refused["route"] != "cash-refund" || !strings.Contains(fmt.Sprint(refused["detail"]), "店舗で現金で返金") {
		t.Errorf("refused: %v", refused)
	}
	s.pay(key(5), 100).want(t, 201, "") // goes into the next period

	move := func(kind, debit, credit string) string {
		return fmt.Sprintf(`{"kind":%q,"reason":"bank","transfers":[{"debit":%q,"credit":%q,"amount_yen":4000}]}`, kind, debit, credit)
	}
	s.office("/wallet/v1/transactions", key(6), move("payout", "payable:voucher-2026:s-001", "bank_clearing:voucher-2026")).want(t, 201, "")
	s.office("/wallet/v1/transactions", key(7), move("payout_return", "bank_clearing:voucher-2026", "payable:voucher-2026:s-001")).want(t, 201, "")
	if v := s.get("app", "/wallet/v1/accounts/payable:voucher-2026:s-001").want(t, 200, ""); v["value_yen"] != 4000. || v["owner_id"] != "s-001" {
		t.Errorf("payable: %v", v)
	}
}

func TestOfficeOpensPoolsAndLotsByCreditingThem(t *testing.T) {
	s := newSite(t).charged()
	paid := "lot:voucher-2026:r-0001:paid:2026-12-31"
	post := func(n int, kind, debit, credit string, yen int) answer {
		return s.office("/wallet/v1/transactions", key(n), fmt.Sprintf(
			`{"kind":%q,"reason":"left-the-city","resident_id":"r-0001","transfers":[{"debit":%q,"credit":%q,"amount_yen":%d}]}`, kind, debit, credit, yen))
	}
	post(1, "refund", paid, "refund:voucher-2026", 1000).want(t, 201, "")
	post(2, "refund", paid, "refund:voucher-2026", 1000).want(t, 201, "")
	post(3, "lapse", paid, "lapsed:voucher-2026", 1000).want(t, 201, "")
	post(4, "adjust", paid, "suspense:voucher-2026", 1000).want(t, 201, "")
	moved := post(5, "move", paid, "lot:voucher-2026:r-0002:paid:2026-12-31", 2000).want(t, 201, "")
	if got := fmt.Sprint(moved["balances_after"]); got != "[map[balance_yen:7000 programme_id:voucher-2026]]" {
		t.Errorf("balances after: %s", got)
	}
	post(6, "move", paid, "lot:voucher-2026:nobody:paid:2026-12-31", 1).want(t, 422, "account-not-found")
	post(7, "move", paid, "lot:voucher-2026:r-0002:paid:2027-12-31", 1).want(t, 422, "account-not-found")
	post(8, "move", paid, "lot:voucher-2026:r-0002:gold:2026-12-31", 1).want(t, 422, "account-not-found")
	post(9, "refund", paid, "refund:nothing", 1).want(t, 422, "account-not-found")
	post(10, "refund", paid, "lapsed:voucher-2026", 1).want(t, 422, "wrong-account")
	if v := s.get("app", "/wallet/v1/accounts/refund:voucher-2026").want(t, 200, ""); v["value_yen"] != 2000. || v["kind"] != "refund" {
		t.Errorf("refunded: %v", v)
	}
}

// What the ledger refused it refuses again, in the same bytes, whatever has
// become of the balance. A fault of the request alone is nothing it keeps.
func TestRefusalIsTheSameDocumentEachTime(t *testing.T) {
	s := newSite(t)
	first := s.pay(key(1), 500)
	v := first.want(t, 422, "insufficient-balance")
	if v["instance"] != "urn:uuid:"+key(1) {
		t.Errorf("instance %v is not the key", v["instance"])
	}
	s.charged()
	if again := s.pay(key(1), 500); again.status != first.status || string(again.body) != string(first.body) {
		t.Errorf("first %s\nthen  %s", first.body, again.body)
	}
	s.pay(key(1), 501).want(t, 409, "id-conflict")
	s.pay(key(2), 500).want(t, 201, "")
	for name, a := range map[string]answer{"conflict": s.pay(key(2), 501), "contract": s.pay(key(3), 0)} {
		v := a.want(t, a.status, strings.TrimPrefix(fmt.Sprint(a.want(t, a.status, "")["type"]), "/problems/"))
		if v["instance"] != "urn:uuid:"+a.header.Get("X-Request-Id") {
			t.Errorf("%s: instance %v is not the request", name, v["instance"])
		}
	}
}

func TestReadsWaitForWhatTheCallerHasSeen(t *testing.T) {
	s := newSite(t)
	read := func(path, seen string) answer {
		return s.do(call{client: "office", method: "GET", path: path, header: http.Header{"Min-Ledger-Sequence": {seen}}})
	}
	seen := s.charged().pay(key(1), 100).header.Get("Ledger-Sequence")
	if seen != "3" { // two of the charge, one of the payment
		t.Fatalf("Ledger-Sequence: %q", seen)
	}
	if again := s.pay(key(1), 100).header.Get("Ledger-Sequence"); again != seen {
		t.Errorf("sent again: %q", again)
	}
	paths := []string{"/wallet/v1/residents/r-0001/balances", "/wallet/v1/transactions/" + key(1), "/wallet/v1/transfers/3", "/wallet/v1/changes",
		"/wallet/v1/accounts/funds:voucher-2026:paid", "/wallet/v1/accounts/funds:voucher-2026:paid/entries"}
	for _, path := range paths {
		read(path, seen).want(t, 200, "")
	}
	s.server.patience = 20 * time.Millisecond
	for _, path := range paths {
		if a := read(path, "4"); a.want(t, 503, "behind") != nil && a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After %q", path, a.header.Get("Retry-After"))
		}
	}
	s.server.patience = patience
	done := make(chan answer)
	go func() { done <- read(paths[0], "4") }()
	time.Sleep(10 * time.Millisecond)
	s.pay(key(2), 100).want(t, 201, "")
	(<-done).want(t, 200, "")
	for _, bad := range []string{"-1", "x", "1e3", "9223372036854775808"} {
		v := read(paths[0], bad).want(t, 400, "invalid-request")
		if got := slices.Compact(pointers(t, v)); !slices.Equal(got, []string{"Min-Ledger-Sequence"}) {
			t.Errorf("%s: places %v", bad, got)
		}
	}
}

func TestAccountThenAndNow(t *testing.T) {
	s := newSite(t).charged()
	s.clock.add(time.Hour)
	s.pay(key(1), 4000).want(t, 201, "")
	lot := "/wallet/v1/accounts/lot:voucher-2026:r-0001:paid:2026-12-31"
	v := s.get("app", lot).want(t, 200, "")
	if v["value_yen"] != 9000. || v["available_yen"] != 9000. || v["held_yen"] != 0. || v["closed"] != false || v["expires_on"] != "2026-12-31" || v["owner_id"] != "r-0001" {
		t.Errorf("now: %v", v)
	}
	v = s.get("app", lot+"?at=2026-08-01T03:30:00Z").want(t, 200, "")
	if v["value_yen"] != 10000. || v["seq"] != 1. || v["available_yen"] != nil {
		t.Errorf("half an hour ago: %v", v)
	}
	v = s.get("app", lot+"?at=2026-08-01T02:00:00Z").want(t, 200, "")
	if v["value_yen"] != 0. || v["seq"] != 0. {
		t.Errorf("before the charge: %v", v)
	}
	s.get("app", lot+"?at=2026-08-01T04:30:00Z").want(t, 400, "invalid-request")
	s.get("app", "/wallet/v1/accounts/lot:voucher-2026:r-0002:paid:2026-12-31").want(t, 404, "not-found")
	s.get("app", "/wallet/v1/accounts/lot:voucher-2026:r-0002:paid:2026-12-31/entries").want(t, 404, "not-found")
	s.get("app", "/wallet/v1/accounts/nothing").want(t, 400, "invalid-request")
	s.get("app", "/wallet/v1/transfers/99").want(t, 404, "not-found")
	s.get("app", "/wallet/v1/transfers/0").want(t, 400, "invalid-request")
}

func TestFundsTellWhatMayStillBeIssued(t *testing.T) {
	s := newSite(t)
	s.do(call{client: "office", method: "PUT", path: "/wallet/v1/programmes/small",
		body: `{"name":"x","class":"voucher","unit_price_yen":100,"unit_value_yen":120,"issue_units":30,"spend_first":"paid","settlement":"half_month"}`}).want(t, 200, "")
	s.office("/wallet/v1/charges", key(1), `{"resident_id":"r-0001","programme_id":"small","units":10}`).want(t, 201, "")
	v := s.get("app", "/wallet/v1/accounts/funds:small:paid").want(t, 200, "")
	if v["limit_yen"] != 3000. || v["available_yen"] != 2000. || v["value_yen"] != -1000. {
		t.Errorf("funds: %v", v)
	}
	if v := s.get("app", "/wallet/v1/accounts/funds:points-2026:premium").want(t, 200, ""); v["available_yen"] != nil {
		t.Errorf("funds without a limit: %v", v)
	}
	// What is left out and what is said are the same programme.
	same := call{client: "office", method: "PUT", path: "/wallet/v1/programmes/plain", body: `{"name":"x","class":"points","unit_price_yen":0,"unit_value_yen":0}`}
	s.do(same).want(t, 200, "")
	same.body = `{"name":"x","class":"points","unit_price_yen":0,"unit_value_yen":0,"issue_units":0,"spend_first":"premium","settlement":"weekly"}`
	if v := s.do(same).want(t, 200, ""); v["settlement"] != "weekly" || v["spend_first"] != "premium" {
		t.Errorf("programme: %v", v)
	}
}

// pages reads a list to its end, and returns what is in it, by a member.
func (s *site) pages(client, path, list, member string) (all []any) {
	s.Helper()
	for next := path; ; {
		v := s.get(client, next).want(s, 200, "")
		for _, row := range v[list].([]any) {
			all = append(all, row.(map[string]any)[member])
		}
		if v["has_more"] != true {
			return all
		}
		next = path + "&cursor=" + v["next_cursor"].(string)
	}
}

func TestStatementAndChangesComeInPages(t *testing.T) {
	s := newSite(t).charged()
	for i := range 5 {
		s.pay(key(i), 1000).want(t, 201, "")
	}
	lot := "/wallet/v1/accounts/lot:voucher-2026:r-0001:paid:2026-12-31/entries?limit="
	for _, limit := range []string{"1", "2", "3", "4"} {
		if got := fmt.Sprint(s.pages("app", lot+limit, "lines", "balance_yen")); got != "[8000 9000 10000]" {
			t.Errorf("balances by %s: %v", limit, got)
		}
		if got := fmt.Sprint(s.pages("app", lot+limit, "lines", "change_yen")); got != "[-1000 -1000 10000]" {
			t.Errorf("changes of the balance by %s: %v", limit, got)
		}
		if got := fmt.Sprint(s.pages("office", "/wallet/v1/changes?limit="+limit, "transactions", "kind")); got != "[charge pay pay pay pay pay]" {
			t.Errorf("changes of the ledger by %s: %v", limit, got)
		}
	}
	// The end of the ledger is a place too, from which the next ones follow.
	end := s.get("office", "/wallet/v1/changes").want(t, 200, "")["next_cursor"].(string)
	s.cancel(key(0), key(9)).want(t, 201, "")
	v := s.get("office", "/wallet/v1/changes?cursor="+end).want(t, 200, "")
	if txs := v["transactions"].([]any); len(txs) != 1 || txs[0].(map[string]any)["cancels"] != key(0) {
		t.Errorf("after the end: %v", txs)
	}
	// A page shows what was posted, whatever came later.
	v = s.get("office", "/wallet/v1/changes").want(t, 200, "")
	if pay := v["transactions"].([]any)[1].(map[string]any); pay["resolved_by"] != nil {
		t.Errorf("a change shows what came later: %v", pay)
	}
	s.get("app", "/wallet/v1/changes").want(t, 403, "forbidden")
}

func TestBusySaysHowLongToWait(t *testing.T) {
	s := newSite(t)
	s.busy = fmt.Errorf("in the queue: %w", ledger.ErrBusy)
	if got := s.pay(key(1), 1).header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
	s.server.RetryAfter = func() time.Duration { return 6*time.Second + time.Millisecond }
	if got := s.pay(key(1), 1).header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After %q, want the writer's", got)
	}
}

func TestRegistryIsAskedOnce(t *testing.T) {
	s := newSite(t).charged()
	s.pay(key(1), 1).want(t, 201, "")
	before := s.asked.Load()
	s.pay(key(2), 1).want(t, 201, "")
	if n := s.asked.Load() - before; n != 0 {
		t.Errorf("the second payment asked the registry %d times", n)
	}
	body := `{"resident_id":"r-new","shop_id":"s-001","parts":[{"programme_id":"voucher-2026","amount_yen":1}]}`
	s.office("/wallet/v1/payments", key(3), body).want(t, 422, "unknown-resident")
	s.do(call{client: "app", method: "POST", path: "/wallet/v1/residents",
		body: `{"residents":[{"resident_id":"r-new","consent_id":"c-9","registered_at":"2026-07-30T10:00:00Z"}]}`}).want(t, 200, "")
	s.office("/wallet/v1/payments", key(4), body).want(t, 422, "insufficient-balance") // known at once
}

func TestRevokedTokenDiesSoon(t *testing.T) {
	s := newSite(t)
	shops := func() answer { return s.get("app", "/wallet/v1/shops") }
	shops().want(t, 200, "")
	_ = s.DeleteClient(t.Context(), "app")
	s.clock.add(clientTTL)
	shops().want(t, 401, "unauthenticated")
}

func TestCacheForgetsWhatIsOldOrTooMuch(t *testing.T) {
	clock := &clock{now: time.Now()}
	var c cache[int]
	finds := 0
	find := func() (int, error) { finds++; return finds, nil }
	for i := range cacheSize * 3 {
		if _, err := c.get(fmt.Sprint(i), find); err != nil {
			t.Fatal(err)
		}
		if _, err := c.get("asked for all the time", find); err != nil {
			t.Fatal(err)
		}
	}
	if finds != cacheSize*3+1 || len(c.young)+len(c.old) > 2*cacheSize {
		t.Errorf("%d finds, %d remembered", finds, len(c.young)+len(c.old))
	}
	fails := func() (int, error) { return 0, errors.New("not now") }
	if _, err := c.get("missing", fails); err == nil {
		t.Error("a failure was remembered as an answer")
	}
	if v, err := c.get("missing", func() (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("after a failure: %d, %v", v, err)
	}
	short := cache[int]{ttl: time.Second, now: clock.Now}
	at := func(n int) int {
		v, _ := short.get("k", func() (int, error) { return n, nil })
		return v
	}
	at(1)
	clock.add(time.Second - 1)
	if at(2) != 1 {
		t.Error("forgotten too early")
	}
	clock.add(1)
	if at(3) != 3 {
		t.Error("remembered for too long")
	}
	clock.add(-time.Hour)
	if at(4) != 4 {
		t.Error("a clock that was set back makes it live longer")
	}
}
