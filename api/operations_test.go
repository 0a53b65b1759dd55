package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"meguri/openapi/wallet"
	"meguri/openapi/wallet/client"
)

// story calls every operation of the contracts once, in an order that makes
// sense, and says what it answers.
var story = []struct {
	operation string
	call      call
	status    int
	has       string // in the answer
}{
	{"putProgramme", call{client: "office", method: "PUT", path: "/wallet/v1/programmes/summer-2026",
		body: `{"name":"夏の商品券","class":"voucher","unit_price_yen":1000,"unit_value_yen":1200,"opens_on":"2026-08-01","closes_on":"2026-08-31"}`}, 200, `"max_units":0`},
	{"listProgrammes", call{client: "app", method: "GET", path: "/wallet/v1/programmes"}, 200, `"summer-2026"`},
	{"registerResidents", call{client: "app", method: "POST", path: "/wallet/v1/residents",
		body: `{"residents":[{"resident_id":"r-9001","name":"巡 太郎","phone":"+819012345678","born_on":"1990-01-31","consent_id":"c-9","registered_at":"2026-07-30T10:00:00+09:00"}]}`}, 200, `"registered":1`},
	{"listResidents", call{client: "ingest", method: "GET", path: "/wallet/v1/residents?limit=2"}, 200, `"has_more":true`},
	{"registerShops", call{client: "app", method: "POST", path: "/wallet/v1/shops",
		body: `{"shops":[{"shop_id":"s-009","name":"角の書店","industry":"books","joined_at":"2026-07-01T00:00:00Z"}]}`}, 200, `"registered":1`},
	{"listShops", call{client: "app", method: "GET", path: "/wallet/v1/shops"}, 200, `"s-009"`},
	{"charge", call{client: "app", method: "POST", path: "/wallet/v1/charges", key: key(1),
		body: `{"resident_id":"r-9001","programme_id":"summer-2026","units":3}`}, 201, `"balance_yen":3600`},
	{"grant", call{client: "office", method: "POST", path: "/wallet/v1/grants", key: key(2),
		body: `{"resident_id":"r-9001","programme_id":"points-2026","amount_yen":300}`}, 201, `"kind":"grant"`},
	{"pay", call{client: "app", method: "POST", path: "/wallet/v1/payments", key: key(3),
		body: `{"resident_id":"r-9001","shop_id":"s-009","parts":[{"programme_id":"summer-2026","amount_yen":900},{"programme_id":"points-2026","amount_yen":100}]}`}, 201, `"total_yen":1000`},
	{"getPayment", call{client: "ingest", method: "GET", path: "/payment-data/v1/payments/" + key(3)}, 200, `"kind":"mixed"`},
	{"cancelPayment", call{client: "app", method: "POST", path: "/wallet/v1/payments/" + key(3) + "/cancel", key: key(4), body: `{}`}, 201, `"cancels":"` + key(3) + `"`},
	{"getTransaction", call{client: "app", method: "GET", path: "/wallet/v1/transactions/" + key(3)}, 200, `"cancelled_by":"` + key(4) + `"`},
	{"hold", call{client: "app", method: "POST", path: "/wallet/v1/holds", key: key(5),
		body: `{"resident_id":"r-9001","shop_id":"s-009","terminal_id":"t-1","parts":[{"programme_id":"summer-2026","amount_yen":500}],"expires_in_seconds":600}`}, 201, `"held_yen":500`},
	{"capture", call{client: "app", method: "POST", path: "/wallet/v1/holds/" + key(5) + "/capture", key: key(6), body: `{"amount_yen":400}`}, 201, `"total_yen":400`},
	{"reserve", call{client: "app", method: "POST", path: "/wallet/v1/reservations", key: key(7),
		body: `{"resident_id":"r-9001","programme_id":"summer-2026","units":2,"expires_in_seconds":604800}`}, 201, `"held_until":"2026-08-08T03:00:00Z"`},
	{"void", call{client: "app", method: "POST", path: "/wallet/v1/holds/" + key(7) + "/void", key: key(8), body: `{"reason":"not-paid"}`}, 201, `"hold_id":"` + key(7) + `"`},
	{"cancelTransaction", call{client: "office", method: "POST", path: "/wallet/v1/transactions/" + key(2) + "/cancel", key: key(9), body: `{}`}, 201, `"kind":"cancel_grant"`},
	{"postTransaction", call{client: "office", method: "POST", path: "/wallet/v1/transactions", key: key(10),
		body: `{"kind":"grant","resident_id":"r-9001","reason":"correction","occurred_at":"2026-07-20T09:00:00+09:00","transfers":[{"debit":"funds:points-2026:premium","credit":"lot:points-2026:r-9001:premium","amount_yen":50}]}`}, 201, `"business_on":"2026-07-20"`},
	{"closePeriod", call{client: "office", method: "POST", path: "/wallet/v1/closes", key: key(11), body: `{"programme_id":"summer-2026","period":"2026-07-31"}`}, 201, `"cut_seq":17`},
	{"getBalances", call{client: "app", method: "GET", path: "/wallet/v1/residents/r-9001/balances"}, 200,
		`{"available_yen":50,"balance_yen":50,"lots":[{"balance_yen":50,"funding":"premium"}],"programme_id":"points-2026"}`},
	{"getAccount", call{client: "app", method: "GET", path: "/wallet/v1/accounts/lot:summer-2026:r-9001:premium:2026-08-31"}, 200, `"value_yen":200`},
	{"listEntries", call{client: "app", method: "GET", path: "/wallet/v1/accounts/lot:summer-2026:r-9001:premium:2026-08-31/entries"}, 200, `"change_yen":-400`},
	{"getTransfer", call{client: "app", method: "GET", path: "/wallet/v1/transfers/1"}, 200, `"transaction_id":"` + key(1) + `"`},
	{"listChanges", call{client: "office", method: "GET", path: "/wallet/v1/changes?limit=1000"}, 200, `"kind":"void"`},
	{"syncPayments", call{client: "ingest", method: "GET", path: "/payment-data/v1/payments:sync"}, 200, `"status":"canceled"`},
	{"getDiscovery", call{method: "GET", path: "/payment-data/v1/discovery"}, 200, `"linkage_modes":[1]`},
	{"listMetrics", call{client: "public", method: "GET", path: "/statistics/v1/metrics"}, 200, `"M01a"`},
	{"getTable", call{client: "public", method: "GET", path: "/statistics/v1/metrics/M03/table?from=2026-07-01&to=2026-07-31&by=industry"}, 200, `"state":"suppressed","values":[null`},
	{"getStructure", call{client: "public", method: "GET", path: "/statistics/v1/structures/M03"}, 200, `"structure_id":"MEGURI:M03_industry_shop_area(1.0.0)"`},
	{"getContract", call{client: "univ", method: "GET", path: "/statistics/v1/contract"}, 200, `"tables_left":4`},
	{"countWithNoise", call{client: "univ", method: "POST", path: "/statistics/v1/noisy-counts", body: `{"measure":"yen","period":"2026-07","by":["weekday","hour"],"cost":"1/4"}`}, 200, `"left":"3/4"`},
	{"getBundle", call{client: "univ", method: "GET", path: "/statistics/v1/bundles/2026-07"}, 200, "manifest.json.sig"},
	{"getBundleKey", call{method: "GET", path: "/statistics/v1/bundle-key"}, 200, "BEGIN PUBLIC KEY"},
	{"getShopTable", call{client: "till", method: "GET", path: "/statistics/v1/shops/s-001/metrics/M01a/table?from=2026-07-01&to=2026-07-31&by=week"}, 200, `"peers":{`},
}

func TestEveryOperationAnswersAsItsContractSays(t *testing.T) {
	s := newSite(t)
	told := map[string]bool{}
	for _, step := range story {
		told[step.operation] = true
		a := s.do(step.call)
		a.want(t, step.status, "")
		if !strings.Contains(string(a.body), step.has) {
			t.Errorf("%s: no %s in %s", step.operation, step.has, a.body)
		}
		if last := lastLine(s.log.String()); !strings.Contains(last, `"operation":"`+step.operation+`"`) {
			t.Errorf("%s: log line %s", step.operation, last)
		}
	}
	for _, op := range s.server.operations {
		if !told[op.id] {
			t.Errorf("no test calls %s", op.id)
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func TestRoutesAndContractsAgree(t *testing.T) {
	s := newSite(t)
	routes := map[string]bool{}
	err := chi.Walk(s.server.mux, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes[method+" "+route] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for route := range s.server.operations {
		if !routes[route] {
			t.Errorf("the contract has %s, the server does not", route)
		}
	}
	for route := range routes {
		page := strings.Replace(route, "HEAD ", "GET ", 1)
		_, listed := pageRoles[page]
		if s.server.operations[route] == nil && !listed && !slices.Contains(publicRoutes, page) {
			t.Errorf("the server has %s, no contract and no list does", route)
		}
	}
	for page := range pageRoles {
		if !routes[page] {
			t.Errorf("%s is listed but not served", page)
		}
	}
	for _, page := range publicRoutes {
		if !routes[page] {
			t.Errorf("%s is listed but not served", page)
		}
	}
}

func TestOperationsNeedScopesOrStandOnTheShortList(t *testing.T) {
	public := []string{"getDiscovery", "getBundleKey"}
	for _, op := range newSite(t).server.operations {
		if op.public != slices.Contains(public, op.id) {
			t.Errorf("%s: public is %v", op.id, op.public)
		}
		if !op.public && len(op.scopes) == 0 {
			t.Errorf("%s asks for no scope", op.id)
		}
	}
}

func TestOperationsRefuseStrangersAndOtherScopes(t *testing.T) {
	s := newSite(t)
	for _, step := range story {
		if step.operation == "getDiscovery" || step.operation == "getBundleKey" {
			continue
		}
		c := step.call
		c.client = ""
		a := s.do(c)
		a.want(t, 401, "unauthenticated")
		if a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", step.operation)
		}
		c.client = "unheard-of"
		s.do(c).want(t, 401, "unauthenticated")
		c.client = "none"
		a = s.do(c)
		a.want(t, 403, "forbidden")
		if !strings.Contains(a.header.Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("%s: 403 does not name the scope", step.operation)
		}
	}
}

func TestReplayGivesTheFirstAnswerEvenAfterACancel(t *testing.T) {
	s := newSite(t).charged()
	first := s.pay(key(1), 1200)
	first.want(t, 201, "")
	s.cancel(key(1), key(2)).want(t, 201, "")
	again := s.pay(key(1), 1200)
	again.want(t, 201, "")
	if string(first.body) != string(again.body) {
		t.Errorf("replay differs:\n%s\n%s", first.body, again.body)
	}
	if first.header.Get("Idempotency-Replayed") != "false" || again.header.Get("Idempotency-Replayed") != "true" {
		t.Error("Idempotency-Replayed does not tell the two apart")
	}
	s.pay(key(1), 1300).want(t, 409, "id-conflict")
}

func TestBackdatingNeedsItsScope(t *testing.T) {
	s := newSite(t)
	body := `{"resident_id":"r-0001","programme_id":"voucher-2026","units":1,"occurred_at":"2026-07-02T23:30:00Z"}`
	c := call{client: "app", method: "POST", path: "/wallet/v1/charges", key: key(1), body: body}
	v := s.do(c).want(t, 403, "forbidden")
	if pointer := v["errors"].([]any)[0].(map[string]any)["pointer"]; pointer != "#/occurred_at" {
		t.Errorf("pointer %v", pointer)
	}
	c.client = "office"
	if v := s.do(c).want(t, 201, ""); v["business_on"] != "2026-07-03" {
		t.Errorf("business day %v is not the one in Tokyo", v["business_on"])
	}
}

func TestListResidentsGivesNoNames(t *testing.T) {
	s := newSite(t)
	var ids []string
	path := "/wallet/v1/residents?limit=2"
	for {
		a := s.do(call{client: "ingest", method: "GET", path: path})
		a.want(t, 200, "")
		if strings.Contains(string(a.body), "花子") || strings.Contains(string(a.body), "phone") {
			t.Fatalf("a name or a phone number: %s", a.body)
		}
		var page struct {
			Residents []struct {
				ID string `json:"resident_id"`
			}
			Next string `json:"next_cursor"`
			More bool   `json:"has_more"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Residents {
			ids = append(ids, r.ID)
		}
		if !page.More {
			break
		}
		path = "/wallet/v1/residents?limit=2&cursor=" + page.Next
	}
	if want := []string{"r-0001", "r-0002", "r-0003"}; !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
}

func TestTableAsCSV(t *testing.T) {
	s := newSite(t)
	a := s.do(call{client: "public", method: "GET", path: "/statistics/v1/metrics/M03/table?from=2026-07-01&to=2026-07-31&by=industry&format=csv&lang=en"})
	a.want(t, 200, "")
	if !strings.Contains(string(a.body), "suppressed") && !strings.Contains(string(a.body), "Suppressed") {
		t.Errorf("a hidden cell does not say so: %s", a.body)
	}
}

func TestDiscoveryTellsTheContractsLimits(t *testing.T) {
	op := newSite(t).server.operations["GET /payment-data/v1/payments:sync"]
	limit := op.route.Operation.Parameters.GetByInAndName("query", "limit").Schema.Value
	if *limit.Max != syncMax || limit.Default.(float64) != syncDefault {
		t.Errorf("contract says %v and %v", *limit.Max, limit.Default)
	}
}

// TestClientSpeaksToTheServer uses what other programs use.
func TestClientSpeaksToTheServer(t *testing.T) {
	s := newSite(t)
	c, err := client.NewClientWithResponses(s.url, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer token-office")
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := c.PutProgrammeWithResponse(t.Context(), "coins", wallet.ProgrammeContent{
		Name: "地域通貨", Class: wallet.ProgrammeClassMoney, UnitPriceYen: 1, UnitValueYen: 1,
	})
	if err != nil || opened.JSON200 == nil || !opened.JSON200.OpensOn.IsZero() {
		t.Fatalf("put: %v %s", err, opened.Body)
	}
	charged, err := c.ChargeWithResponse(t.Context(), &wallet.ChargeParams{IdempotencyKey: key(1)},
		wallet.ChargeRequest{ResidentID: resident, ProgrammeID: "coins", Units: 700})
	if err != nil || charged.JSON201 == nil || charged.JSON201.TotalYen != 700 {
		t.Fatalf("charge: %v %s", err, charged.Body)
	}
	lot, err := c.GetAccountWithResponse(t.Context(), "lot:coins:r-0001:paid", &wallet.GetAccountParams{MinLedgerSequence: 1})
	if err != nil || lot.JSON200 == nil || *lot.JSON200.AvailableYen != 700 {
		t.Fatalf("account: %v %s", err, lot.Body)
	}
	refused, err := c.ChargeWithResponse(t.Context(), &wallet.ChargeParams{IdempotencyKey: key(2)},
		wallet.ChargeRequest{ResidentID: "nobody", ProgrammeID: "coins", Units: 1})
	if err != nil || refused.ApplicationProblemJSONDefault == nil || refused.ApplicationProblemJSONDefault.Status != 422 {
		t.Fatalf("refusal: %v %s", err, refused.Body)
	}
}
