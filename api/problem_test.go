package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"meguri/ledger"
)

// sentinels are the errors of the rooms that reach a handler.
func sentinels(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, dir := range []string{"ledger", "ledger/registry", "ledger/programme", "analytics", "analytics/disclosure", "analytics/recipient"} {
		names, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no source in %s: %v", dir, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.ValueSpec)
				for i := 0; ok && i < len(spec.Names); i++ {
					if name := spec.Names[i].Name; strings.HasPrefix(name, "Err") {
						found[file.Name.Name+"."+name] = true
					}
				}
				return true
			})
		}
	}
	return found
}

func TestEverySentinelHasARow(t *testing.T) {
	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range sentinels(t) {
		if !strings.Contains(string(source), name+"}") && !strings.Contains(string(source), name+",") {
			t.Errorf("%s has no row in problems", name)
		}
	}
}

func TestRowsAreDistinctAndReachable(t *testing.T) {
	slugs := map[string]bool{}
	for i, p := range problems {
		if slugs[p.slug] {
			t.Errorf("two rows are called %s", p.slug)
		}
		slugs[p.slug] = true
		if p.title.ja == "" || p.title.en == "" || p.help.ja == "" || p.help.en == "" {
			t.Errorf("%s lacks words", p.slug)
		}
		if last := i == len(problems)-1; last != (len(p.errs) == 0) {
			t.Errorf("%s: only the last row may match without an error", p.slug)
		}
		for _, err := range p.errs {
			if got := rowOf(fmt.Errorf("wrapped: %w", err)); got.slug != p.slug {
				t.Errorf("%v goes to %s before %s", err, got.slug, p.slug)
			}
			if code := ledger.RefusalCode(err); code != "" && code != p.slug {
				t.Errorf("the ledger calls %s what the table calls %s", code, p.slug)
			}
		}
	}
	if got := rowOf(errors.New("never seen")).slug; got != "internal" {
		t.Errorf("an unknown error is %s", got)
	}
}

// TestProblemsOfTheAPIs provokes every row that a program can meet.
func TestProblemsOfTheAPIs(t *testing.T) {
	sale := `{"resident_id":"r-0001","programme_id":"%s","units":%d}`
	charge := func(programme string, units int) call {
		return call{client: "app", method: "POST", path: "/wallet/v1/charges", key: uuid.NewString(), body: fmt.Sprintf(sale, programme, units)}
	}
	post := func(kind, debit, credit string, yen int64) call {
		return call{client: "office", method: "POST", path: "/wallet/v1/transactions", key: uuid.NewString(),
			body: fmt.Sprintf(`{"kind":%q,"reason":"correction","transfers":[{"debit":%q,"credit":%q,"amount_yen":%d}]}`, kind, debit, credit, yen)}
	}
	end := func(hold, how, body string) call {
		return call{client: "app", method: "POST", path: "/wallet/v1/holds/" + hold + "/" + how, key: uuid.NewString(), body: body}
	}
	period := func(day string) call {
		return call{client: "office", method: "POST", path: "/wallet/v1/closes", key: uuid.NewString(),
			body: fmt.Sprintf(`{"programme_id":"voucher-2026","period":%q}`, day)}
	}
	pay := func(resident, shop, when string) call {
		return call{client: "office", method: "POST", path: "/wallet/v1/payments", key: uuid.NewString(),
			body: fmt.Sprintf(`{"resident_id":%q,"shop_id":%q,"parts":[{"programme_id":"voucher-2026","amount_yen":100}]%s}`, resident, shop, when)}
	}
	programme := func(body string) call {
		return call{client: "office", method: "PUT", path: "/wallet/v1/programmes/voucher-2026", body: body}
	}
	table := func(query string) call {
		return call{client: "public", method: "GET", path: "/statistics/v1/metrics/" + query}
	}
	get := func(client, path string) call { return call{client: client, method: "GET", path: path} }

	for _, c := range []struct {
		name   string
		call   call
		before func(*site)
		status int
		slug   string
	}{
		{"unknown path", get("app", "/wallet/v1/purses"), nil, 404, "not-found"},
		{"unknown transaction", get("app", "/wallet/v1/transactions/"+key(1)), nil, 404, "not-found"},
		{"unknown payment", get("ingest", "/payment-data/v1/payments/"+key(1)), nil, 404, "not-found"},
		{"a charge is no payment", get("ingest", "/payment-data/v1/payments/"+key(1)), func(s *site) {
			c := charge(voucher, 1)
			c.key = key(1)
			s.do(c).want(s, 201, "")
		}, 404, "not-found"},
		{"unknown resident's balances", get("app", "/wallet/v1/residents/nobody/balances"), nil, 404, "not-found"},
		{"cursor of another kind", get("ingest", "/payment-data/v1/payments:sync?cursor=MTphYmM"), nil, 400, "invalid-cursor"},
		{"cursor of no kind", get("ingest", "/wallet/v1/residents?cursor=abc"), nil, 400, "invalid-cursor"},
		{"wrong method", call{client: "app", method: "DELETE", path: "/wallet/v1/shops"}, nil, 405, "method-not-allowed"},
		{"body too large", call{client: "app", method: "POST", path: "/wallet/v1/shops", body: `{"shops":[` + strings.Repeat(" ", maxBody) + `]}`}, nil, 413, "too-large"},
		{"wrong media type", call{client: "app", method: "POST", path: "/wallet/v1/shops", body: `{}`, header: http.Header{"Content-Type": {"text/plain"}}}, nil, 415, "unsupported-media-type"},
		{"key without a body", call{client: "app", method: "POST", path: "/wallet/v1/charges", key: key(1)}, nil, 400, "invalid-request"},
		{"no key", call{client: "app", method: "POST", path: "/wallet/v1/charges", body: fmt.Sprintf(sale, voucher, 1)}, nil, 400, "key-missing"},
		{"resident registered otherwise", call{client: "app", method: "POST", path: "/wallet/v1/residents",
			body: `{"residents":[{"resident_id":"r-0001","consent_id":"c-7","registered_at":"2026-07-30T10:00:00Z"}]}`}, nil, 409, "registered-otherwise"},
		{"programme exists", programme(`{"name":"x","class":"voucher","unit_price_yen":1,"unit_value_yen":1}`), nil, 409, "programme-exists"},
		{"programme priced above its value", programme(`{"name":"x","class":"voucher","unit_price_yen":2,"unit_value_yen":1}`), nil, 422, "invalid-programme"},
		{"not cancellable", call{client: "app", method: "POST", path: "/wallet/v1/payments/" + key(7) + "/cancel", key: key(8), body: `{}`}, nil, 409, "not-cancellable"},
		{"cancelled before", call{client: "app", method: "POST", path: "/wallet/v1/payments/" + key(1) + "/cancel", key: key(3), body: `{}`}, func(s *site) {
			s.charged().pay(key(1), 500).want(s, 201, "")
			s.cancel(key(1), key(2)).want(s, 201, "")
		}, 409, "already-cancelled"},
		{"cancel of a cancel", call{client: "app", method: "POST", path: "/wallet/v1/payments/" + key(2) + "/cancel", key: key(3), body: `{}`}, func(s *site) {
			s.charged().pay(key(1), 500).want(s, 201, "")
			s.cancel(key(1), key(2)).want(s, 201, "")
		}, 409, "reversal-not-reversed"},
		{"cancel of a closed period", call{client: "app", method: "POST", path: "/wallet/v1/payments/" + key(1) + "/cancel", key: key(3), body: `{}`}, func(s *site) {
			s.charged().pay(key(1), 500).want(s, 201, "")
			s.clock.add(7 * 24 * time.Hour)
			s.do(period("2026-08-07")).want(s, 201, "")
		}, 409, "period-closed"},
		{"closed twice", period("2026-07-31"), func(s *site) { s.do(period("2026-07-31")).want(s, 201, "") }, 409, "period-closed"},
		{"closed too early", period("2026-08-07"), nil, 409, "period-not-over"},
		{"closed while something is held", period("2026-08-07"), func(s *site) {
			s.charged().clock.add(6*24*time.Hour - time.Minute)
			s.hold(key(1), 100, 3600).want(s, 201, "")
		}, 409, "holds-open"},
		{"a day that ends no period", period("2026-07-30"), nil, 422, "invalid"},
		{"no such hold", end(key(1), "capture", "{}"), nil, 404, "hold-not-found"},
		{"hold captured twice", end(key(1), "capture", "{}"), func(s *site) {
			s.charged().hold(key(1), 100, 60).want(s, 201, "")
			s.do(end(key(1), "capture", "{}")).want(s, 201, "")
		}, 409, "hold-resolved"},
		{"hold voided too late", end(key(1), "void", "{}"), func(s *site) {
			s.charged().hold(key(1), 100, 60).want(s, 201, "")
			s.clock.add(time.Minute)
		}, 409, "hold-expired"},
		{"more than was held", end(key(1), "capture", `{"amount_yen":101}`), func(s *site) {
			s.charged().hold(key(1), 100, 60).want(s, 201, "")
		}, 422, "capture-beyond-hold"},
		{"not enough", pay(resident, "s-001", ""), nil, 422, "insufficient-balance"},
		{"sold out", call{client: "app", method: "POST", path: "/wallet/v1/charges", key: key(2), body: fmt.Sprintf(sale, "small", 2)}, func(s *site) {
			s.do(call{client: "office", method: "PUT", path: "/wallet/v1/programmes/small",
				body: `{"name":"x","class":"voucher","unit_price_yen":100,"unit_value_yen":120,"issue_units":3}`}).want(s, 200, "")
			s.do(call{client: "app", method: "POST", path: "/wallet/v1/charges", key: key(1), body: fmt.Sprintf(sale, "small", 2)}).want(s, 201, "")
		}, 422, "limit-exceeded"},
		{"charged after its time", charge(voucher, 1), func(s *site) { s.clock.add(200 * 24 * time.Hour) }, 422, "expired"},
		{"no such account", post("grant", "funds:points-2026:premium", "lot:points-2026:nobody:premium", 1), nil, 422, "account-not-found"},
		{"another account of that name", post("adjust", "funds:points-2026:premium", "suspense:points-2026", 1), func(s *site) {
			_ = s.OpenAccounts(s.Context(), ledger.Account{ID: "suspense:points-2026", Programme: points, Kind: ledger.Suspense, Owner: "somebody"})
		}, 409, "account-differs"},
		{"grant into the bank", post("grant", "funds:points-2026:premium", "bank_clearing:points-2026", 1), nil, 422, "wrong-account"},
		{"across programmes", post("adjust", "funds:points-2026:premium", "funds:voucher-2026:premium", 1), nil, 422, "unbalanced"},
		{"out of range", post("grant", "funds:points-2026:premium", "lot:points-2026:r-0001:premium", 9007199254740991), func(s *site) {
			s.do(post("grant", "funds:points-2026:premium", "lot:points-2026:r-0001:premium", 1)).want(s, 201, "")
			_, err := s.memory.Post(s.Context(), ledger.Transaction{ID: "large", Kind: ledger.Grant, Transfers: []ledger.Transfer{
				{Debit: "funds:points-2026:premium", Credit: "lot:points-2026:r-0001:premium", Amount: 1<<63 - 10}}})
			if err != nil {
				s.Fatal(err)
			}
		}, 400, "overflow"},
		{"to itself", post("adjust", "funds:points-2026:premium", "funds:points-2026:premium", 1), nil, 422, "self-transfer"},
		{"unknown resident pays", pay("nobody", "s-001", ""), nil, 422, "unknown-resident"},
		{"unknown shop", pay(resident, "nowhere", ""), nil, 422, "unknown-shop"},
		{"unknown programme", charge("nothing", 1), nil, 422, "unknown-programme"},
		{"not for sale", charge(points, 1), nil, 422, "not-on-sale"},
		{"too many units", charge(voucher, 5), nil, 422, "units"},
		{"before it opens", pay(resident, "s-001", `,"occurred_at":"2026-06-30T14:59:59Z"`), nil, 422, "outside-period"},
		{"unknown metric", table("M99/table?from=2026-07-01&to=2026-07-31"), nil, 404, "unknown-metric"},
		{"window turned round", table("M03/table?from=2026-07-31&to=2026-07-01"), nil, 400, "bad-query"},
		{"busy", charge(voucher, 1), func(s *site) { s.busy = ledger.ErrBusy }, 503, "busy"},
		{"being checked", charge(voucher, 1), func(s *site) { s.busy = ledger.ErrChecking }, 503, "checking"},
		{"no database", charge(voucher, 1), func(s *site) { s.busy = fmt.Errorf("%w: secret-host is gone", ledger.ErrUnavailable) }, 503, "unavailable"},
		{"no disk", charge(voucher, 1), func(s *site) { s.busy = ledger.ErrStorage }, 503, "storage-failed"},
		{"clock set back", charge(voucher, 1), func(s *site) { s.charged().clock.add(-time.Hour) }, 503, "clock-behind"},
		{"behind", call{client: "app", method: "GET", path: "/wallet/v1/residents/r-0001/balances", header: http.Header{"Min-Ledger-Sequence": {"1"}}}, func(s *site) {
			s.server.patience = time.Millisecond
		}, 503, "behind"},
		{"interrupted", charge(voucher, 1), func(s *site) { s.busy = context.DeadlineExceeded }, 503, "interrupted"},
		{"unforeseen", charge(voucher, 1), func(s *site) { s.busy = errors.New("disk 7 of host secret-host is full") }, 500, "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			if c.before != nil {
				c.before(s)
			}
			a := s.do(c.call)
			a.want(t, c.status, c.slug)
			if c.status == 405 && a.header.Get("Allow") != "GET, POST" {
				t.Errorf("Allow: %q", a.header.Get("Allow"))
			}
			if c.status == 503 && a.header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			if strings.Contains(string(a.body), "secret-host") {
				t.Error("the answer tells what went wrong inside")
			}
			if logged := strings.Contains(s.log.String(), "secret-host"); logged != (c.slug == "internal") {
				t.Errorf("logged: %v", logged)
			}
		})
	}
}

func TestPanicIsAProblem(t *testing.T) {
	s := newSite(t)
	s.server.handleForTest("GET /panic", func(http.ResponseWriter, *http.Request) { panic("token-of-somebody") })
	a := s.do(call{method: "GET", path: "/panic"})
	a.want(t, 500, "internal")
	if strings.Contains(string(a.body), "somebody") {
		t.Error("the answer repeats the panic")
	}
}

func (s *server) handleForTest(route string, h http.HandlerFunc) {
	method, path, _ := strings.Cut(route, " ")
	s.mux.Method(method, path, h)
}

func TestProblemsSpeakTheCallersLanguage(t *testing.T) {
	s := newSite(t)
	c := call{method: "GET", path: "/wallet/v1/shops"}
	if v := s.do(c).want(t, 401, "unauthenticated"); v["title"] != "認証が必要です" {
		t.Errorf("title %v", v["title"])
	}
	c.header = http.Header{"Accept-Language": {"en-GB,en;q=0.9"}}
	if v := s.do(c).want(t, 401, "unauthenticated"); v["title"] != "A valid token is needed" {
		t.Errorf("title %v", v["title"])
	}
}

func TestEveryTypeLeadsToAPage(t *testing.T) {
	s := newSite(t)
	for _, p := range problems {
		a := s.browse(p.uri())
		if a.status != 200 || !strings.Contains(string(a.body), p.help.ja) {
			t.Errorf("%s: %d", p.uri(), a.status)
		}
	}
}

func TestRequestsAreCountedByOperation(t *testing.T) {
	s := newSite(t)
	s.do(call{client: "app", method: "GET", path: "/wallet/v1/shops"}).want(t, 200, "")
	s.do(call{method: "GET", path: "/wallet/v1/shops"}).want(t, 401, "unauthenticated")
	a := s.do(call{method: "GET", path: "/metrics"})
	for _, series := range []string{`meguri_http_requests_total{operation="listShops",status="200"} 1`,
		`meguri_http_requests_total{operation="listShops",status="401"} 1`, "go_goroutines"} {
		if !strings.Contains(string(a.body), series) {
			t.Errorf("no %s", series)
		}
	}
}

func TestReadiness(t *testing.T) {
	s := newSite(t)
	s.do(call{method: "GET", path: "/healthz"}).want(t, 200, "")
	s.do(call{method: "GET", path: "/readyz"}).want(t, 200, "")
	s.server.Ready = func(context.Context) error { return errors.New("no database") }
	s.do(call{method: "GET", path: "/healthz"}).want(t, 200, "")
	s.do(call{method: "GET", path: "/readyz"}).want(t, 503, "not-ready")
}

// TestLogHoldsNothingOfThePerson reads each line field by field: what is
// made by chance there (the request's own ID, the clock) may hold any digits.
func TestLogHoldsNothingOfThePerson(t *testing.T) {
	s := newSite(t).charged()
	s.pay(key(1), 4321).want(t, 201, "")
	s.do(call{client: "app", method: "GET", path: "/wallet/v1/residents/r-0001/balances"}).want(t, 200, "")
	s.do(call{client: "ingest", method: "GET", path: "/payment-data/v1/payments:sync?limit=7&cursor=MTow"}).want(t, 200, "")
	byChance := map[string]bool{"time": true, "request_id": true, "ms": true}
	lines := 0
	for line := range strings.Lines(s.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		lines++
		for name, value := range fields {
			for _, secret := range []string{"4321", "r-0001", "token-app", "MTow", "limit", key(1)} {
				if !byChance[name] && strings.Contains(fmt.Sprint(value), secret) {
					t.Errorf("the log holds %q in %s: %s", secret, name, line)
				}
			}
		}
	}
	if lines < 3 {
		t.Errorf("%d lines for four requests", lines)
	}
}

func TestHeadersForBrowsers(t *testing.T) {
	s := newSite(t)
	h := s.browse("/docs/").header
	if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	if h.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("types may be guessed")
	}
}
