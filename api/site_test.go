package api

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"meguri/analytics/disclosure"
	"meguri/analytics/disclosure/budget"
	"meguri/analytics/recipient"
	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
)

// site is the whole server over HTTP, on stores in memory. Every answer of an
// API is checked against its contract on the way out.
type site struct {
	*testing.T
	*memory
	contracts *contracts
	server    *server
	url       string
	http      *http.Client
	log       *bytes.Buffer
	clock     *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var clientScopes = map[string][]string{
	"app":    {"wallet.read", "wallet.write"},
	"office": {"wallet.read", "wallet.write", "ledger.post", "ledger.close", "ledger.read", "ledger.backdate"},
	"ingest": {"residents.read", "payments.read"},
	"public": {"statistics.read"},
	"univ":   {"statistics.read"}, // with a contract
	"till":   {"statistics.shop"}, // of s-001
	"none":   {},
}

const (
	password = "correct horse battery"
	resident = "r-0001"
	voucher  = "voucher-2026"
	points   = "points-2026"
)

// testContract is the contract of the client univ.
var testContract = recipient.Contract{
	ID: "univ-2026", Reader: "univ-2026", Client: "univ", Organisation: "めぐり大学",
	Purposes: []recipient.Purpose{{ID: "research", Text: "地域経済の研究"}},
	Metrics:  []string{"M01a", "M03"}, Cuts: [][]string{{}, {"industry"}, {"weekday", "hour"}}, Windows: []recipient.Kind{recipient.Month},
	DataFrom: "2026-04-01", From: "2026-07-01", Until: "2026-12-31", Quota: recipient.Quota{TablesADay: 4, DownloadsAMonth: 12},
	Noise: &disclosure.NoiseTerms{Kind: "epsilon", Budget: "1", Period: "month", Cells: 1, Yen: 5000},
}

// passwordHash is the hash of password; hashing is slow on purpose.
var passwordHash = sync.OnceValue(func() string {
	hash, err := HashPassword(password)
	if err != nil {
		panic(err)
	}
	return hash
})

// testServer is the server on stores in memory, without a listener.
type testServer struct {
	memory    *memory
	contracts *contracts
	server    *server
	clock     *clock
}

func newTestServer(t testing.TB, log *slog.Logger) testServer {
	t.Helper()
	c := &clock{now: time.Date(2026, 8, 1, 3, 0, 0, 0, time.UTC)}
	m := newMemory(c.Now)
	ctx := t.Context()
	for name, scopes := range clientScopes {
		_ = m.PutClient(ctx, registry.Client{ID: name, TokenDigest: TokenDigest("token-" + name), Scopes: scopes})
	}
	joined := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	_ = m.PutResidents(ctx,
		registry.Resident{ID: resident, Name: "巡 花子", BornOn: "1984-05-12", Sex: registry.Female, Area: "下連雀", ConsentID: "c-1", RegisteredAt: joined},
		registry.Resident{ID: "r-0002", Sex: registry.Unknown, ConsentID: "c-2", Test: true, RegisteredAt: joined},
		registry.Resident{ID: "r-0003", Sex: registry.Male, RegisteredAt: joined}) // without consent
	_ = m.PutShops(ctx,
		registry.Shop{ID: "s-001", Name: "まちのパン屋", Industry: "grocery", Area: "下連雀", JoinedAt: joined},
		registry.Shop{ID: "s-002", Name: "駅前喫茶", Industry: "cafe", Area: "上連雀", JoinedAt: joined})
	for _, s := range []registry.Staff{{Login: "office", Role: registry.Office}, {Login: "city", Role: registry.City},
		{Login: "bakery", Role: registry.Shopkeeper, Shop: "s-001"}} {
		s.PasswordHash = passwordHash()
		_ = m.PutStaff(ctx, s)
	}
	desk := &programme.Desk{Programmes: m, Ledger: m, Poster: poster{m}, Now: c.Now}
	for _, p := range []programme.Programme{
		{ID: voucher, Name: "巡り商品券", Class: programme.Voucher, UnitPrice: 5000, UnitValue: 6500, MaxUnits: 4, OpensOn: "2026-07-01", ClosesOn: "2026-12-31"},
		{ID: points, Name: "巡りポイント", Class: programme.Points},
	} {
		if err := desk.Open(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	k := &contracts{shops: map[[2]string]bool{{"till", "s-001"}: true}, list: []recipient.Contract{testContract}}
	released := oneRelease(t, c.Now)
	s, err := newServer(Deps{
		Recipients: &recipient.Desk{Store: k, Now: c.Now}, BundleKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		Ledger: m, Desk: desk, Programmes: m, Registry: m,
		Gate: &disclosure.Gate{Engine: engine{now: c.Now}, Now: c.Now}, Releases: released,
		Noise: &disclosure.Noise{Engine: engine{now: c.Now}, Store: &budget.Memory{}, Random: rand.Reader, Now: c.Now},
		City:  "巡り市", Provider: "meguri", Demo: true, Now: c.Now,
		Period: func() (string, string) { return "2026-07-01", "2026-07-31" },
		Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return testServer{m, k, s, c}
}

func newSite(t *testing.T) *site {
	t.Helper()
	log := &bytes.Buffer{}
	s := newTestServer(t, slog.New(slog.NewJSONHandler(log, nil)))
	listener := httptest.NewUnstartedServer(conforms(t, s.server))
	listener.Config.MaxHeaderBytes = MaxHeaderBytes
	listener.Start()
	t.Cleanup(listener.Close)
	jar, _ := cookiejar.New(nil)
	return &site{T: t, memory: s.memory, contracts: s.contracts, server: s.server, url: listener.URL, log: log, clock: s.clock, http: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// conforms fails the test when an answer of an API does not fit its contract.
func conforms(t *testing.T, s *server) http.Handler {
	for _, media := range []string{"text/csv", "application/vnd.sdmx.data+csv", "application/zip", "application/x-pem-file"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.FileBodyDecoder)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		s.mux.ServeHTTP(rec, r)
		route := chi.NewRouteContext()
		var op *operation
		if s.mux.Match(route, r.Method, r.URL.Path) {
			op = s.operations[r.Method+" "+route.RoutePattern()]
		}
		if op != nil {
			err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: op.route},
				Status:                 rec.Code, Header: rec.Header(), Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
				Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
			})
			if err != nil {
				t.Errorf("%s answered %d with what its contract does not have: %v", op.id, rec.Code, err)
			}
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// call is a request to an API.
type call struct {
	client, method, path string
	key                  string // Idempotency-Key
	body                 string
	header               http.Header
}

type answer struct {
	status int
	header http.Header
	body   []byte
	key    string // that was sent
}

func (s *site) do(c call) answer {
	s.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(s.Context(), c.method, s.url+c.path, body)
	if err != nil {
		s.Fatal(err)
	}
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.client != "" {
		r.Header.Set("Authorization", "Bearer token-"+c.client)
	}
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	for k, v := range c.header {
		r.Header[k] = v
	}
	a := s.send(r)
	a.key = c.key
	return a
}

func (s *site) send(r *http.Request) answer {
	s.Helper()
	res, err := s.http.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: b}
}

// want fails the test unless the answer has the status and, for a problem, the
// slug. It returns the body as JSON.
func (a answer) want(t testing.TB, status int, slug string) map[string]any {
	t.Helper()
	var v map[string]any
	if strings.Contains(a.header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(a.body, &v); err != nil {
			t.Fatalf("answer is no JSON: %v", err)
		}
	}
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if slug == "" {
		return v
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if v["type"] != "/problems/"+slug {
		t.Errorf("type %v, want /problems/%s", v["type"], slug)
	}
	if id := a.header.Get("X-Request-Id"); v["instance"] != "urn:uuid:"+id && v["instance"] != "urn:uuid:"+a.key {
		t.Errorf("instance %v is neither the request %s nor the key", v["instance"], id)
	}
	return v
}

// key is the n-th idempotency key of a test.
func key(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// charged gives the resident two units of the voucher, 13,000 yen.
func (s *site) charged() *site {
	s.Helper()
	s.do(call{client: "app", method: "POST", path: "/wallet/v1/charges", key: uuid.NewString(),
		body: `{"resident_id":"r-0001","programme_id":"voucher-2026","units":2}`}).want(s, 201, "")
	return s
}

// pay pays a shop from the voucher.
func (s *site) pay(key string, yen int) answer {
	s.Helper()
	return s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments", key: key,
		body: fmt.Sprintf(`{"resident_id":"r-0001","shop_id":"s-001","terminal_id":"t-1","parts":[{"programme_id":"voucher-2026","amount_yen":%d}]}`, yen)})
}

// hold sets value of the voucher aside for a shop.
func (s *site) hold(key string, yen, lasts int) answer {
	s.Helper()
	return s.do(call{client: "app", method: "POST", path: "/wallet/v1/holds", key: key,
		body: fmt.Sprintf(`{"resident_id":"r-0001","shop_id":"s-001","parts":[{"programme_id":"voucher-2026","amount_yen":%d}],"expires_in_seconds":%d}`, yen, lasts)})
}

func (s *site) cancel(payment, key string) answer {
	s.Helper()
	return s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments/" + payment + "/cancel", key: key, body: `{"reason":"wrong-amount"}`})
}

// browse opens a page as a browser does.
func (s *site) browse(path string) answer {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	return s.send(r)
}

func (s *site) post(path string, form url.Values) answer {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), "POST", s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.send(r)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func csrfOf(t testing.TB, page answer) string {
	t.Helper()
	m := csrfField.FindSubmatch(page.body)
	if m == nil {
		t.Fatalf("no csrf field in %s", page.body)
	}
	return string(m[1])
}

func (s *site) login(user, pass string) answer {
	s.Helper()
	form := s.browse("/login")
	return s.post("/login", url.Values{"user": {user}, "password": {pass}, "csrf": {csrfOf(s, form)}})
}

// as logs in and fails the test when that does not work.
func (s *site) as(user string) *site {
	s.Helper()
	if a := s.login(user, password); a.status != http.StatusSeeOther {
		s.Fatalf("login as %s: %d %s", user, a.status, a.body)
	}
	return s
}

var _ ledger.Store = (*memory)(nil)
var _ registry.Store = (*memory)(nil)
