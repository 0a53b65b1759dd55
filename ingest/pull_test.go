package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oapi-codegen/runtime/types"

	"meguri/ingest"
	"meguri/openapi/paymentdata"
	"meguri/openapi/wallet"
)

const bearer = "secret-token-of-the-pull"

// provider serves pages from memory, by cursor, as the contracts of the
// payment data and of the wallet say.
type provider struct {
	payments  map[string]paymentdata.SyncPage
	residents map[string]wallet.ResidentPage
	shops     map[string]wallet.ShopPage
	// instead answers a request, as "payments c2", in another way when it is set.
	instead map[string]http.HandlerFunc

	mu    sync.Mutex
	asked []string
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := map[string]string{"/payment-data/v1/payments:sync": "payments", "/wallet/v1/residents": "residents", "/wallet/v1/shops": "shops"}[r.URL.Path]
	cursor := r.URL.Query().Get("cursor")
	request := strings.TrimSpace(what + " " + cursor)
	p.mu.Lock()
	p.asked = append(p.asked, request)
	p.mu.Unlock()
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	switch {
	case p.instead[request] != nil:
		p.instead[request](w, r)
		return
	case r.Header.Get("Authorization") != "Bearer "+bearer:
		problem(http.StatusUnauthorized, "Who is there?")(w, r)
		return
	case what == "" || err != nil || limit < 1 || limit > 1000: // the contracts' bounds
		problem(http.StatusBadRequest, "Not of the contract")(w, r)
		return
	}
	var page any
	var known bool
	switch what {
	case "payments":
		page, known = p.payments[cursor]
	case "residents":
		page, known = p.residents[cursor]
	case "shops":
		page, known = p.shops[cursor]
	}
	if !known && cursor != "" {
		problem(http.StatusBadRequest, "No such cursor")(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page)
}

// requests are what was asked since the last time.
func (p *provider) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func problem(status int, title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(paymentdata.Problem{Type: "about:blank", Title: title, Status: status, Instance: "urn:uuid:0"})
	}
}

func answer(status int, kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

func connect(t *testing.T, p http.Handler) *ingest.Provider {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	connected, err := ingest.Connect("meguri", server.URL, bearer, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	return connected
}

// pay is a payment of 1500 yen by the residents' r1: with one part that is all
// of it, with more each part has 100 yen less than the one before.
func pay(id string, parts ...paymentdata.FundingKind) paymentdata.Payment {
	p := paymentdata.Payment{
		PaymentID: id, Version: 1, Status: paymentdata.PaymentStatusCompleted, Method: paymentdata.MethodMpmStatic,
		Amount: paymentdata.Amount{Currency: paymentdata.AmountCurrencyJPY}, Finality: paymentdata.FinalityMutable,
		LinkID: "r1", ConsentID: "c1", TerminalID: "t1", Merchant: paymentdata.Merchant{ProviderStoreID: "s1", Name: "めぐり書店"},
		OccurredAt: time.Date(2026, 7, 3, 3, 15, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 7, 3, 3, 15, 0, 0, time.UTC),
		PostedOn: types.Date{Time: time.Date(2026, 7, 3, 0, 0, 0, 0, time.UTC)}, Reversals: []paymentdata.Reversal{},
		Source: paymentdata.Source{Mode: 1, ProviderID: "meguri"}, Funding: paymentdata.Funding{Kind: parts[0]},
	}
	if len(parts) > 1 {
		p.Funding.Kind = paymentdata.FundingKindMixed
	}
	for i, kind := range parts {
		part := paymentdata.FundingPart{Kind: kind, Amount: int64(1500 - 100*i), ProgrammeID: "programme-" + string(kind)}
		p.Funding.Parts = append(p.Funding.Parts, part)
		p.Amount.Value += part.Amount
	}
	p.NetAmount = p.Amount.Value
	return p
}

// reversed is the payment's second version.
func reversed(p paymentdata.Payment, id string) paymentdata.Payment {
	p.Version, p.Status, p.NetAmount = 2, paymentdata.PaymentStatusCanceled, 0
	p.UpdatedAt = p.OccurredAt.Add(time.Hour)
	p.Reversals = []paymentdata.Reversal{{ReversalID: id, Type: paymentdata.ReversalTypeCancel, Amount: p.Amount.Value, OccurredAt: p.UpdatedAt}}
	return p
}

func page(next string, more bool, added ...paymentdata.Payment) paymentdata.SyncPage {
	return paymentdata.SyncPage{Added: slices.Concat([]paymentdata.Payment{}, added), Updated: []paymentdata.Payment{}, Removed: []paymentdata.Removed{}, NextCursor: next, HasMore: more}
}

func updated(p paymentdata.SyncPage, list ...paymentdata.Payment) paymentdata.SyncPage {
	p.Updated = list
	return p
}

const (
	points  = paymentdata.FundingKindPoints
	coupon  = paymentdata.FundingKindCoupon
	balance = paymentdata.FundingKindBalance
)

// kept are the accepted records, each with what tells it from the others:
// ID, kind, service type, target, group and amount.
func kept(t *testing.T, im *ingest.Importer) []string {
	t.Helper()
	var list []string
	for _, line := range content(t, im) {
		f := strings.Split(line, " | ")
		list = append(list, strings.Join([]string{f[1], f[2], f[3], f[12], f[13], f[10]}, " "))
	}
	return list
}

func cursor(t *testing.T, im *ingest.Importer) string {
	t.Helper()
	at, err := im.Cursor(context.Background(), "meguri")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestPull_TakesPersonsShopsAndEveryPage(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := &provider{
		residents: map[string]wallet.ResidentPage{
			"": {HasMore: true, NextCursor: "r1", Residents: []wallet.ResidentAttributes{
				{ResidentID: "r1", Sex: wallet.SexFemale, Area: "132040010", ConsentID: "c1", BornOn: types.Date{Time: time.Date(1986, 7, 1, 0, 0, 0, 0, time.UTC)}}}},
			"r1": {Residents: []wallet.ResidentAttributes{{ResidentID: "r2", Sex: wallet.SexUnknown, Test: true}}},
		},
		shops: map[string]wallet.ShopPage{
			"":   {HasMore: true, NextCursor: "s1", Shops: []wallet.Shop{{ShopID: "s1", Name: "めぐり書店", MerchantID: "m1", Industry: wallet.IndustryBooks, Area: "132040020"}}},
			"s1": {Shops: []wallet.Shop{{ShopID: "s2", Name: "めぐり茶房", Industry: wallet.IndustryCafe}}},
		},
		payments: map[string]paymentdata.SyncPage{
			"":   page("c1", true, pay("p1", balance), pay("p2", points)),
			"c1": page("c2", true), // a page of entries that are no payments
			"c2": page("c3", false, pay("p3", coupon)),
		},
	}
	var progress []int64
	from := connect(t, p)
	s, err := im.Pull(context.Background(), from, func(n int64) { progress = append(progress, n) })
	if err != nil || s.Source != "meguri" || s.Read != 3 || s.Accepted != 3 || s.Duplicate != 0 || s.Quarantined != 0 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if want := []int64{2, 2, 3}; !slices.Equal(progress, want) {
		t.Errorf("progress: got %v, want %v", progress, want)
	}
	if want := []string{"residents", "residents r1", "shops", "shops s1", "payments", "payments c1", "payments c2"}; !slices.Equal(p.requests(), want) {
		t.Errorf("it did not ask for %q", want)
	}
	if diff := cmp.Diff([]string{
		"p1 pay money (null) p1 1500",
		"p2 pay points (null) p2 1500",
		"p3 pay voucher (null) p3 1500",
	}, kept(t, im)); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"r1", "c1", "s1", "めぐり書店", "t1", "programme-balance", "2026-07-03"} {
		if line := content(t, im)[0]; !strings.Contains(line, want) {
			t.Errorf("the record has no %q: %s", want, line)
		}
	}
	persons, err := im.Persons(context.Background(), "meguri", "", 10)
	if diff := cmp.Diff([]ingest.Person{
		{Source: "meguri", ID: "r1", Sex: "female", BornOn: "1986-07-01", Area: "132040010", ConsentID: "c1"},
		{Source: "meguri", ID: "r2", Sex: "unknown", Test: true},
	}, persons); diff != "" || err != nil {
		t.Error(diff, err)
	}
	shops, err := im.Shops(context.Background(), "meguri", "", 10)
	if diff := cmp.Diff([]ingest.Shop{
		{Source: "meguri", ID: "s1", Name: "めぐり書店", Merchant: "m1", Industry: "books", Area: "132040020"},
		{Source: "meguri", ID: "s2", Name: "めぐり茶房", Industry: "cafe"},
	}, shops); diff != "" || err != nil {
		t.Error(diff, err)
	}

	p.payments["c3"] = page("c3", false)
	if s, err := im.Pull(context.Background(), from, nil); err != nil || s.Read != 0 {
		t.Errorf("nothing new: got %+v, %v", s, err)
	}
	if got := p.requests(); got[len(got)-1] != "payments c3" || strings.Contains(strings.Join(got, ","), "payments,") {
		t.Errorf("the second pull did not go on from the cursor: %q", got)
	}
	lakes := pipeline(t, im, dir)
	runPipeline(t, lakes)
	rows, _, _ := lakeContent(t, lakes.Lake)
	if len(rows) != 3 || rows[0]["industry"] != "books" || rows[0]["sex"] != "female" || rows[0]["age_band"] != "30-39" && rows[0]["age_band"] != "40-49" {
		t.Errorf("in the lake: %v", rows)
	}
}

func TestPull_WithoutAWalletAsksForNoPersons(t *testing.T) {
	im := open(t, t.TempDir())
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("c1", false, pay("p1", points))}}
	from := connect(t, p)
	from.Wallet = nil
	if s, err := im.Pull(context.Background(), from, nil); err != nil || s.Accepted != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
	if got := p.requests(); !slices.Equal(got, []string{"payments"}) {
		t.Errorf("asked for %q", got)
	}
}

// TestPull_KeepsTheCursorOfEmptyPages, so that a city where nobody pays is not
// read from the beginning every time.
func TestPull_KeepsTheCursorOfEmptyPages(t *testing.T) {
	im := open(t, t.TempDir())
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("c1", true), "c1": page("c2", false)}}
	if s, err := im.Pull(context.Background(), connect(t, p), nil); err != nil || s.Read != 0 || cursor(t, im) != "c2" {
		t.Errorf("got %+v, %v and the cursor %q", s, err, cursor(t, im))
	}
}

func TestPull_MakesARecordOfEachPart(t *testing.T) {
	im := open(t, t.TempDir())
	mixed := pay("p1", coupon, points, balance)
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("c1", false, reversed(mixed, "v1"), reversed(pay("p2", points), "v2"))}}
	s, err := im.Pull(context.Background(), connect(t, p), nil)
	if err != nil || s.Accepted != 8 || s.Quarantined != 0 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if diff := cmp.Diff([]string{
		"p1/1 pay voucher (null) p1 1500",
		"p1/2 pay points (null) p1 1400",
		"p1/3 pay money (null) p1 1300",
		"p2 pay points (null) p2 1500",
		"v1/1 cancel voucher p1/1 v1 1500",
		"v1/2 cancel points p1/2 v1 1400",
		"v1/3 cancel money p1/3 v1 1300",
		"v2 cancel points p2 v2 1500",
	}, kept(t, im)); diff != "" {
		t.Error(diff)
	}
}

func TestPull_ALaterVersionAddsOnlyTheCancel(t *testing.T) {
	im := open(t, t.TempDir())
	mixed, single := pay("p1", coupon, points), pay("p2", balance)
	p := &provider{payments: map[string]paymentdata.SyncPage{
		"":   page("c1", false, mixed, single),
		"c1": updated(page("c2", false), reversed(mixed, "v1")),
		"c2": updated(page("c3", false), reversed(mixed, "v1"), reversed(single, "v2")), // told twice
	}}
	from := connect(t, p)
	for i, want := range []ingest.Summary{
		{Read: 3, Accepted: 3},
		{Read: 4, Accepted: 2, Duplicate: 2},
		{Read: 6, Accepted: 1, Duplicate: 5},
	} {
		s, err := im.Pull(context.Background(), from, nil)
		if err != nil || s.Read != want.Read || s.Accepted != want.Accepted || s.Duplicate != want.Duplicate || s.Quarantined != 0 {
			t.Errorf("pull %d: got %+v, %v, want %+v", i+1, s, err, want)
		}
	}
	if diff := cmp.Diff([]string{
		"p1/1 pay voucher (null) p1 1500", "p1/2 pay points (null) p1 1400", "p2 pay money (null) p2 1500",
		"v1/1 cancel voucher p1/1 v1 1500", "v1/2 cancel points p1/2 v1 1400", "v2 cancel money p2 v2 1500",
	}, kept(t, im)); diff != "" {
		t.Error(diff)
	}
}

// TestPull_APartGivenBackIsARefund: it takes no payment away.
func TestPull_APartGivenBackIsARefund(t *testing.T) {
	im := open(t, t.TempDir())
	mixed := reversed(pay("p1", coupon, points), "v1")
	mixed.Reversals[0].Amount = 400
	second := mixed.Reversals[0]
	second.ReversalID, second.Amount = "v2", 300
	mixed.Reversals = append(mixed.Reversals, second)
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("c1", false, mixed)}}
	if s, err := im.Pull(context.Background(), connect(t, p), nil); err != nil || s.Accepted != 4 {
		t.Errorf("got %+v, %v", s, err)
	}
	if diff := cmp.Diff([]string{
		"p1/1 pay voucher (null) p1 1500", "p1/2 pay points (null) p1 1400",
		"v1 refund voucher (null) v1 400", "v2 refund voucher (null) v2 300",
	}, kept(t, im)); diff != "" {
		t.Error(diff)
	}
}

// TestPull_StopsWhereAPaymentIsTakenAway rather than keep what the provider
// asks to be deleted.
func TestPull_StopsWhereAPaymentIsTakenAway(t *testing.T) {
	im := open(t, t.TempDir())
	gone := page("c2", false, pay("p2", points))
	gone.Removed = []paymentdata.Removed{{PaymentID: "p1"}}
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("c1", true, pay("p1", points)), "c1": gone}}
	s, err := im.Pull(context.Background(), connect(t, p), nil)
	if !errors.Is(err, ingest.ErrProvider) || s.Accepted != 1 || cursor(t, im) != "c1" {
		t.Errorf("got %+v, %v and the cursor %q, want ErrProvider and the cursor before", s, err, cursor(t, im))
	}
}

// TestPull_QuarantinesAKindOfMoneyItDoesNotKnow and goes on.
func TestPull_QuarantinesAKindOfMoneyItDoesNotKnow(t *testing.T) {
	im := open(t, t.TempDir())
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("c1", true, pay("p1", "seashells")), "c1": page("c2", false, pay("p2", points))}}
	s, err := im.Pull(context.Background(), connect(t, p), nil)
	if err != nil || s.Read != 2 || s.Accepted != 1 || s.Quarantined != 1 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if rows := quarantined(t, s); len(rows) != 1 || rows[0][2] != "service_type" {
		t.Errorf("got %q", rows)
	}
}

func TestPull_GoesOnWhereItBrokeOff(t *testing.T) {
	im := open(t, t.TempDir())
	p := &provider{payments: map[string]paymentdata.SyncPage{}, instead: map[string]http.HandlerFunc{}}
	const pages = 5
	var want []string
	for i := range pages {
		at, id := fmt.Sprint("c", i), fmt.Sprint("p", i)
		if i == 0 {
			at = ""
		}
		p.payments[at] = page(fmt.Sprint("c", i+1), i < pages-1, pay(id, points))
		want = append(want, id+" pay points (null) "+id+" 1500")
	}
	p.instead["payments c2"] = problem(http.StatusServiceUnavailable, "Closed for the night")
	from := connect(t, p)
	s, err := im.Pull(context.Background(), from, nil)
	if !errors.Is(err, ingest.ErrProvider) || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "Closed for the night") {
		t.Errorf("got %v, want ErrProvider with the problem's title", err)
	}
	if s.Accepted != 2 || cursor(t, im) != "c2" {
		t.Errorf("before the break: got %+v and the cursor %q", s, cursor(t, im))
	}
	p.requests()
	delete(p.instead, "payments c2")
	if s, err = im.Pull(context.Background(), from, nil); err != nil || s.Read != 3 || s.Accepted != 3 || s.Duplicate != 0 {
		t.Errorf("afterwards: got %+v, %v", s, err)
	}
	if got := p.requests(); !slices.Equal(got, []string{"residents", "shops", "payments c2", "payments c3", "payments c4"}) {
		t.Errorf("asked for %q", got)
	}
	if diff := cmp.Diff(want, kept(t, im)); diff != "" {
		t.Error(diff)
	}
}

func TestPull_RefusesAPageThatLeadsBackToItself(t *testing.T) {
	im := open(t, t.TempDir())
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("c1", true, pay("p1", points)), "c1": page("c1", true, pay("p2", points))}}
	s, err := im.Pull(context.Background(), connect(t, p), nil)
	if !errors.Is(err, ingest.ErrProvider) || !strings.Contains(err.Error(), "meguri") || !strings.Contains(err.Error(), "leads back") {
		t.Errorf("got %v, want ErrProvider", err)
	}
	if s.Accepted != 1 || cursor(t, im) != "c1" || len(kept(t, im)) != 1 {
		t.Errorf("got %+v and the cursor %q", s, cursor(t, im))
	}
}

func TestPull_RefusesPagesInACircle(t *testing.T) {
	round := map[string]wallet.ResidentPage{"": {HasMore: true, NextCursor: "r1"}, "r1": {HasMore: true, NextCursor: "r2"}, "r2": {HasMore: true, NextCursor: "r1"}}
	_, err := open(t, t.TempDir()).Pull(context.Background(), connect(t, &provider{residents: round}), nil)
	if !errors.Is(err, ingest.ErrProvider) || !strings.Contains(err.Error(), "residents") {
		t.Errorf("residents: got %v, want ErrProvider", err)
	}
	p := &provider{payments: map[string]paymentdata.SyncPage{"": page("a", true, pay("p1", points)), "a": page("b", true), "b": page("a", true)}}
	if _, err := open(t, t.TempDir()).Pull(context.Background(), connect(t, p), nil); !errors.Is(err, ingest.ErrProvider) {
		t.Errorf("payments: got %v, want ErrProvider", err)
	}
}

// TestPull_SaysWhatTheProviderAnswered and never the token.
func TestPull_SaysWhatTheProviderAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		answer  http.HandlerFunc
		says    []string
		answers bool // whether it answered at all
	}{
		"a problem":               {"payments", problem(500, "The ledger sleeps"), []string{"500", "The ledger sleeps"}, true},
		"no access":               {"payments", problem(403, "Not for you"), []string{"403", "Not for you"}, true},
		"a gateway's page":        {"payments", answer(502, "text/html", "<h1>Bad gateway</h1>"), []string{"502"}, true},
		"a page of HTML":          {"payments", answer(200, "text/html", "<h1>Welcome</h1>"), []string{"200"}, true},
		"half a page":             {"payments", answer(200, "application/json", `{"added":[{"payment_id":"p1"`), []string{"unexpected end of JSON"}, false},
		"no connection":           {"payments", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []string{"EOF"}, false},
		"no persons":              {"residents", problem(403, "Not for you"), []string{"residents", "403", "Not for you"}, true},
		"no shops":                {"shops", problem(500, "The ledger sleeps"), []string{"shops", "500", "The ledger sleeps"}, true},
		"no persons, and no word": {"residents", answer(503, "text/plain", ""), []string{"residents", "503"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			im := open(t, t.TempDir())
			p := &provider{instead: map[string]http.HandlerFunc{c.request: c.answer}}
			s, err := im.Pull(context.Background(), connect(t, p), nil)
			if err == nil || errors.Is(err, ingest.ErrProvider) != c.answers {
				t.Fatalf("got %v", err)
			}
			for _, want := range append(c.says, "pull from meguri") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want it to say %q", err, want)
				}
			}
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, bearer) {
				t.Errorf("the error shows the token: %s", text)
			}
			if s.Accepted != 0 || cursor(t, im) != "" {
				t.Errorf("got %+v and the cursor %q", s, cursor(t, im))
			}
		})
	}
	im := open(t, t.TempDir())
	gone := httptest.NewServer(nil)
	gone.Close()
	from, err := ingest.Connect("meguri", gone.URL, bearer, gone.Client())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := im.Pull(context.Background(), from, nil); err == nil || strings.Contains(err.Error(), bearer) {
		t.Errorf("nobody there: got %v", err)
	}
	if from, err = ingest.Connect("meguri", "http://[::1", bearer, gone.Client()); err == nil {
		_, err = im.Pull(context.Background(), from, nil)
	}
	if err == nil || strings.Contains(err.Error(), bearer) {
		t.Errorf("no address: got %v", err)
	}
}

// TestPull_GivesTheTokenToTheProviderAlone: a redirect to another host goes
// without it.
func TestPull_GivesTheTokenToTheProviderAlone(t *testing.T) {
	var got []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		problem(401, "Who is there?")(w, r)
	}))
	defer elsewhere.Close()
	address := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	p := &provider{instead: map[string]http.HandlerFunc{"payments": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusFound) }}}
	if _, err := open(t, t.TempDir()).Pull(context.Background(), connect(t, p), nil); !errors.Is(err, ingest.ErrProvider) {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(got, []string{""}) {
		t.Errorf("the other host was given %q", got)
	}
}

func TestPull_StopsWhenCancelled(t *testing.T) {
	im := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := &provider{
		payments: map[string]paymentdata.SyncPage{"": page("c1", true, pay("p1", points)), "c1": page("c2", false, pay("p2", points))},
		instead: map[string]http.HandlerFunc{"payments c1": func(_ http.ResponseWriter, r *http.Request) {
			cancel() // while the answer is waited for
			<-r.Context().Done()
		}},
	}
	from := connect(t, p)
	s, err := im.Pull(ctx, from, nil)
	if !errors.Is(err, context.Canceled) || s.Accepted != 1 || cursor(t, im) != "c1" {
		t.Errorf("got %+v, %v and the cursor %q", s, err, cursor(t, im))
	}
	delete(p.instead, "payments c1")
	if s, err := im.Pull(context.Background(), from, nil); err != nil || s.Accepted != 1 || len(kept(t, im)) != 2 {
		t.Errorf("afterwards: got %+v, %v", s, err)
	}
}
