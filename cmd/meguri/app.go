package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"meguri/analytics/disclosure"
	"meguri/analytics/disclosure/perturb"
	registerstore "meguri/analytics/disclosure/sqlstore"
	"meguri/analytics/duck"
	"meguri/api"
	"meguri/ingest"
	ingeststore "meguri/ingest/sqlstore"
	"meguri/internal/sqldb"
	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/ledger/sqlstore"
	"meguri/pseudonymize/lake"
)

// app is what the commands are made of. Each part is opened when it is first
// asked for, and closed by Close.
type app struct {
	config  Config
	logger  *slog.Logger
	writers []*ledger.Writer
	closers []func() error

	releaseKey func() (*perturb.Release, error)
}

// with runs a command's work on the data folder, and closes what was opened.
func (p *program) with(work func(*app) error) (err error) {
	if err := os.MkdirAll(p.config.Dir, 0o750); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	logger, err := newLogger(p.stderr, p.config.LogLevel)
	if err != nil {
		return err
	}
	if err := p.useRules(); err != nil {
		return err
	}
	a := &app{config: p.config, logger: logger, releaseKey: p.readReleaseKey}
	defer func() { err = errors.Join(err, a.Close()) }()
	return work(a)
}

// quiet keeps the log to warnings, for commands that serve the API to
// themselves: their user looks at the command's own words.
func (p *program) quiet() {
	if p.config.LogLevel == "info" {
		p.config.LogLevel = "warn"
	}
}

func newLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{fmt.Errorf("log level %q is none of debug, info, warn, error", level)}
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})), nil
}

// Close closes what was opened, the last first.
func (a *app) Close() error {
	var err error
	for i := len(a.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, a.closers[i]())
	}
	a.closers = nil
	return err
}

func (a *app) onClose(f func() error) { a.closers = append(a.closers, f) }

// database opens PostgreSQL if that is configured, or the named SQLite file.
func (a *app) database(ctx context.Context, file string) (*sqldb.DB, error) {
	address := a.config.Database
	if address == "" {
		address = filepath.Join(a.config.Dir, file)
		if err := os.MkdirAll(filepath.Dir(address), 0o700); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
	}
	db, err := sqldb.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	a.onClose(db.Close)
	return db, nil
}

func (a *app) ledger(ctx context.Context) (*sqlstore.Store, error) {
	db, err := a.database(ctx, "ledger.sqlite")
	if err != nil {
		return nil, err
	}
	return sqlstore.Open(ctx, db, time.Now)
}

func (a *app) ingestStore(ctx context.Context) (*ingeststore.Store, error) {
	db, err := a.database(ctx, filepath.Join("personal", "ingest.sqlite"))
	if err != nil {
		return nil, err
	}
	return ingeststore.Open(ctx, db)
}

func (a *app) importer(ctx context.Context) (*ingest.Importer, error) {
	store, err := a.ingestStore(ctx)
	if err != nil {
		return nil, err
	}
	importer, err := ingest.Open(ctx, a.config.Dir, store)
	if err != nil {
		return nil, err
	}
	a.onClose(importer.Close)
	if err := importer.SetWays(a.config.Providers); err != nil {
		return nil, fmt.Errorf("configuration: providers: %w", err)
	}
	for _, source := range a.config.Linked {
		if provider := importer.ProviderOf(source); provider != source {
			return nil, usageError{fmt.Errorf("configuration: linked: %s is a way of %s: name the provider", source, provider)}
		}
	}
	return importer, nil
}

func (a *app) lake() *lake.Lake { return lake.Open(filepath.Join(a.config.Dir, "lake")) }

// register is the register of releases.
func (a *app) register(ctx context.Context) (*registerstore.Store, error) {
	db, err := a.database(ctx, "releases.sqlite")
	if err != nil {
		return nil, err
	}
	return registerstore.Open(ctx, db)
}

func (a *app) gate(ctx context.Context) (*disclosure.Gate, error) {
	register, err := a.register(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := disclosure.RulesFor(disclosure.City)
	if err != nil {
		return nil, err
	}
	engine, err := duck.Open(a.lake(), duck.Options{Step: int(rules.MinPersons)})
	if err != nil {
		return nil, err
	}
	a.onClose(engine.Close)
	purpose, err := a.gatePurpose(ctx)
	if err != nil {
		return nil, err
	}
	return &disclosure.Gate{Engine: engine, Now: time.Now, Register: register, Audit: attack, Neighbours: a.config.Neighbours, Purpose: purpose,
		ReleaseKey: sync.OnceValues(a.releaseKey)}, nil
}

// writer starts a writer that stops when the app closes.
func (a *app) writer(ctx context.Context, store *sqlstore.Store) *ledger.Writer {
	ctx, stop := context.WithCancel(ctx)
	writer := ledger.NewWriter(ctx, store, a.logger)
	a.writers = append(a.writers, writer)
	a.onClose(func() error {
		stop()
		return writer.Wait()
	})
	return writer
}

// handler builds the whole API over a ledger store. Who may call it is in the
// registry, which may have guests.
func (a *app) handler(ctx context.Context, store *sqlstore.Store, who registry.Store) (http.Handler, error) {
	gate, err := a.gate(ctx)
	if err != nil {
		return nil, err
	}
	register, err := a.register(ctx)
	if err != nil {
		return nil, err
	}
	if disclosure.NeedsReleaseKey() { // its passphrase is asked for now, not in the middle of a request
		if _, err := gate.ReleaseKey(); err != nil {
			a.logger.Warn("tables that are perturbed cannot be released", "error", err.Error())
		}
	}
	recipients, err := a.recipients(ctx)
	if err != nil {
		return nil, err
	}
	accounts, err := a.accounts(ctx)
	if err != nil {
		return nil, err
	}
	key, err := a.bundleKey()
	if err != nil {
		return nil, err
	}
	writer := a.writer(ctx, store)
	return api.New(api.Deps{
		Ledger:     store,
		Desk:       &programme.Desk{Programmes: store, Ledger: store, Poster: writer, Now: time.Now},
		Programmes: store,
		Registry:   who,
		Gate:       gate,
		Recipients: recipients,
		Releases:   register,
		Noise:      disclosure.NoiseOver(gate, accounts, rand.Reader),
		BundleKey:  key,
		City:       a.config.City,
		Purpose:    a.config.Purpose,
		Programme:  a.config.Programme,
		Provider:   a.config.Provider,
		Period:     a.period,
		Demo:       a.config.Demo,
		Now:        time.Now,
		Logger:     a.logger,
		Ready:      store.Ping,
		RetryAfter: writer.RetryAfter,
		Metrics:    ledgerMetrics(store, writer),
	})
}

// ledgerMetrics are the metrics of the writer, among which the API puts its own.
func ledgerMetrics(store *sqlstore.Store, w *ledger.Writer) *prometheus.Registry {
	r := prometheus.NewRegistry()
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	counter("meguri_ledger_batches_total", "Batches that the writer has committed.", func() float64 { n, _ := w.Committed(); return float64(n) })
	counter("meguri_ledger_transactions_total", "Transactions in the batches that the writer has committed.", func() float64 { _, n := w.Committed(); return float64(n) })
	gauge("meguri_ledger_waiting_payments", "Payments in the writer's queue.", func() float64 { n, _ := w.Waiting(); return float64(n) })
	gauge("meguri_ledger_waiting_bulk", "Sales and other bulk work in the writer's queue.", func() float64 { _, n := w.Waiting(); return float64(n) })
	gauge("meguri_ledger_checking", "1 while the fate of a batch is being looked up.", func() float64 {
		if w.Checking() {
			return 1
		}
		return 0
	})
	gauge("meguri_ledger_takeovers", "Batches that found another writer's before them.", func() float64 { return float64(store.Takeovers()) })
	return r
}

// period is the span of days that pages show: what is configured, or the whole
// months that the lake has.
func (a *app) period() (from, to string) {
	from, to = a.config.From, a.config.To
	if from != "" && to != "" {
		return from, to
	}
	m, err := a.lake().Manifest()
	if err != nil || m.Rows("payments") == 0 {
		today := ledger.Day(time.Now())
		return orElse(from, today), orElse(to, today)
	}
	first, last := m.Months("payments")
	end := last + "-28"
	if t, err := time.Parse("2006-01", last); err == nil {
		end = t.AddDate(0, 1, -1).Format(time.DateOnly)
	}
	return orElse(from, first+"-01"), orElse(to, end)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// service is a running HTTP server.
type service struct {
	address string // http://host:port
	server  *http.Server
	failed  chan error
}

// listen serves a handler until stop is called.
func listen(address string, handler http.Handler, logger *slog.Logger) (*service, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	s := &service{
		address: "http://" + l.Addr().String(),
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       60 * time.Second,
			WriteTimeout:      120 * time.Second,
			IdleTimeout:       120 * time.Second,
			MaxHeaderBytes:    api.MaxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		},
		failed: make(chan error, 2), // of the server and of the writer
	}
	go func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return s, nil
}

// stop lets the requests that are running end, for a while.
func (s *service) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return s.server.Shutdown(ctx)
}

// guests are client programs of this process that call the API which it serves
// itself. They are nowhere registered, and gone when the process ends, however
// it ends.
type guests struct {
	registry.Store
	mu      sync.Mutex
	clients []registry.Client
}

// ClientByToken implements registry.Store.
func (g *guests) ClientByToken(ctx context.Context, digest string) (registry.Client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.clients {
		if c.TokenDigest == digest {
			return c, nil
		}
	}
	return g.Store.ClientByToken(ctx, digest)
}

// invite lets a client in and returns its token.
func (g *guests) invite(id string, scopes ...string) (token string) {
	token = api.NewToken()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clients = append(g.clients, registry.Client{ID: id, TokenDigest: api.TokenDigest(token), Scopes: scopes})
	return token
}

// pipeline invites the pipeline.
func (g *guests) pipeline(address string) providerFlags {
	return providerFlags{
		url: address, attributes: true,
		token: g.invite("pipeline", "payments.read", "residents.read", "wallet.read"),
	}
}
