package api

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/analytics/recipient"
	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/openapi/paymentdata"
	paymentdataserver "meguri/openapi/paymentdata/server"
	"meguri/openapi/statistics"
	statisticsserver "meguri/openapi/statistics/server"
	"meguri/openapi/wallet"
	walletserver "meguri/openapi/wallet/server"
)

// Gate gives out released tables; [disclosure.Gate] is the one there is.
type Gate interface {
	Release(ctx context.Context, q analytics.Query, a disclosure.Audience) (disclosure.Released, error)
	ReleaseTo(ctx context.Context, q analytics.Query, a disclosure.Audience, reader string) (disclosure.Released, error)
}

// Deps is what the server needs of the other rooms. Metrics, Logger, Ready,
// RetryAfter, Recipients, Releases, Noise and BundleKey may be left out; everything else is
// needed.
type Deps struct {
	Ledger     ledger.Store
	Desk       *programme.Desk
	Programmes programme.Store
	Registry   registry.Store
	Gate       Gate
	Recipients *recipient.Desk    // contracts of third parties; without, everybody gets what is public
	Releases   Releases           // the register, for the office's page; without, there is none
	Noise      Noise              // counts with noise for recipients; without, there are none
	BundleKey  ed25519.PrivateKey // signs bundles; without, there are none

	City      string                   // shown on pages
	Purpose   string                   // what tables are handed out for where there is no contract (利用目的)
	Programme string                   // what pages report on; may be empty
	Provider  string                   // provider_id of our own payment data
	Period    func() (from, to string) // days that pages report on, YYYY-MM-DD
	Demo      bool                     // pages say that the data is invented

	Now        func() time.Time
	Logger     *slog.Logger
	Ready      func(ctx context.Context) error // nil when requests can be served
	RetryAfter func() time.Duration            // how long a caller waits when the ledger's queue is full
	Metrics    *prometheus.Registry
}

// complete checks what is needed and fills in what may be left out.
func (d *Deps) complete() error {
	switch {
	case d.Ledger == nil || d.Desk == nil || d.Programmes == nil || d.Registry == nil || d.Gate == nil:
		return errors.New("api: a store, the desk or the gate is missing")
	case d.Now == nil || d.Period == nil:
		return errors.New("api: the clock or the period is missing")
	case d.City == "" || d.Provider == "":
		return errors.New("api: the names of the city and the provider are missing")
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Ready == nil {
		d.Ready = func(context.Context) error { return nil }
	}
	if d.Metrics == nil {
		d.Metrics = prometheus.NewRegistry()
	}
	return nil
}

type server struct {
	Deps
	mux        *chi.Mux
	operations map[string]*operation // by "METHOD /path/{parameter}"
	manuals    []manual
	sessions   *sessions
	metrics    *metrics
	clients    cache[registry.Client] // by the digest of their tokens
	patience   time.Duration          // of a read that waits for the ledger
}

// New returns the handler of everything that Meguri serves over HTTP.
func New(d Deps) (http.Handler, error) {
	s, err := newServer(d)
	if err != nil {
		return nil, err
	}
	return s.mux, nil
}

func newServer(d Deps) (*server, error) {
	if err := d.complete(); err != nil {
		return nil, err
	}
	registerDecoder()
	s := &server{
		Deps: d, mux: chi.NewRouter(), operations: map[string]*operation{}, patience: patience,
		clients: cache[registry.Client]{ttl: clientTTL, now: d.Now},
	}
	var err error
	if s.metrics, err = newMetrics(d.Metrics); err != nil {
		return nil, err
	}
	if s.sessions, err = newSessions(d.Now); err != nil {
		return nil, err
	}

	// The order in which a request passes.
	s.mux.Use(
		s.observe,       // gives it an ID; one log line, one count
		s.recoverPanics, // a panic is a problem too
		s.headers,       // what browsers may do with the answer
		limitBody,       // 1 MiB, before anything reads it
	)
	s.mux.NotFound(func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNoPage) })
	s.mux.MethodNotAllowed(s.methodNotAllowed)
	contracts := s.mux.With(
		s.authorise, // token and scopes, before the contract is consulted
		s.validate,  // the contract
		s.await,     // what the caller has seen of the ledger is there
	)
	if err := s.mountContracts(contracts); err != nil {
		return nil, err
	}
	s.mountPages()
	return s, nil
}

// contract is one of the APIs: how to load its document and mount its handlers.
type contract struct {
	name  string
	yaml  []byte
	load  func() (*openapi3.T, error)
	mount func(chi.Router)
}

func (s *server) contracts() []contract {
	// Binding faults and handlers' errors go to the same writer as all others.
	// The binder's own text repeats the value, so only its place is kept.
	badParameter := func(w http.ResponseWriter, r *http.Request, _ error) { s.fail(w, r, errInvalidRequest) }
	return []contract{
		{"wallet", wallet.YAML, wallet.Load, func(r chi.Router) {
			h := walletserver.NewStrictHandlerWithOptions(newWalletAPI(s.Deps),
				[]walletserver.StrictMiddlewareFunc{answered[walletserver.StrictHandlerFunc]},
				walletserver.StrictHTTPServerOptions{RequestErrorHandlerFunc: badParameter, ResponseErrorHandlerFunc: s.fail})
			walletserver.HandlerWithOptions(h, walletserver.ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: badParameter})
		}},
		{"paymentdata", paymentdata.YAML, paymentdata.Load, func(r chi.Router) {
			h := paymentdataserver.NewStrictHandlerWithOptions(&paymentDataAPI{s.Deps},
				[]paymentdataserver.StrictMiddlewareFunc{answered[paymentdataserver.StrictHandlerFunc]},
				paymentdataserver.StrictHTTPServerOptions{RequestErrorHandlerFunc: badParameter, ResponseErrorHandlerFunc: s.fail})
			paymentdataserver.HandlerWithOptions(h, paymentdataserver.ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: badParameter})
		}},
		{"statistics", statistics.YAML, statistics.Load, func(r chi.Router) {
			h := statisticsserver.NewStrictHandlerWithOptions(&statisticsAPI{s.Deps},
				[]statisticsserver.StrictMiddlewareFunc{answered[statisticsserver.StrictHandlerFunc]},
				statisticsserver.StrictHTTPServerOptions{RequestErrorHandlerFunc: badParameter, ResponseErrorHandlerFunc: s.fail})
			statisticsserver.HandlerWithOptions(h, statisticsserver.ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: badParameter})
		}},
	}
}

// answered makes an error of a handler that returns nothing: the generated
// code takes that for an empty 200.
func answered[H ~func(context.Context, http.ResponseWriter, *http.Request, any) (any, error)](next H, operation string) H {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		response, err := next(ctx, w, r, request)
		if err == nil && response == nil {
			return nil, fmt.Errorf("%s returned no answer", operation)
		}
		return response, err
	}
}

func (s *server) mountContracts(r chi.Router) error {
	for _, c := range s.contracts() {
		doc, err := c.load()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		m, err := newManual(c.name, c.yaml, doc)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		s.manuals = append(s.manuals, m)
		ops, err := operationsOf(doc)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		maps.Copy(s.operations, ops)
		c.mount(r)
	}
	return nil
}

// handle mounts a page. What stands on none of the lists of auth.go is a
// mistake of ours, found when the server starts.
func (s *server) handle(route string, h http.HandlerFunc) {
	method, path, _ := strings.Cut(route, " ")
	if roles, listed := pageRoles[route]; listed {
		h = s.withRole(roles, h)
	} else if !slices.Contains(publicRoutes, route) {
		panic("api: nobody is named who may open " + route)
	}
	s.mux.Method(method, path, h)
	if method == http.MethodGet {
		s.mux.Method(http.MethodHead, path, h)
	}
}

// methodNotAllowed answers a known address with an unknown method.
func (s *server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		if s.mux.Match(chi.NewRouteContext(), m, r.URL.Path) {
			allow = append(allow, m)
		}
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	s.fail(w, r, errMethod)
}
