package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"meguri/api"
	"meguri/internal/ledgerbench"
	"meguri/internal/pgserver"
	"meguri/internal/sqldb"
	"meguri/ledger"
)

// ledgerGoals are what the ledger is to reach on one engine.
type ledgerGoals struct {
	ceiling       float64 // share of what one writer can do, 512 clients
	naiveHot      float64 // times the naive way, 64 clients
	naiveUniform  float64
	http64        float64 // a second
	http256       float64
	cpuPerPosting float64 // µs, 64 clients
}

// engineUnderTest is a database to measure on.
type engineUnderTest struct {
	name    string
	address func() string // of a new, empty database
	cpu     ledgerbench.Meter
	goals   ledgerGoals
}

// ledgerScale is how much is measured.
type ledgerScale struct {
	each      time.Duration
	accounts  int
	growth    int // transfers stored
	sample    int // of them, measured at the beginning and at the end
	foldBatch int
}

// benchLedger measures the ledger on both engines.
func (p *program) benchLedger(ctx context.Context, amounts benchAmounts) ([]figure, error) {
	return p.onEngines(ctx, amounts, p.benchEngine, p.benchHTTP)
}

// benchLedgerGrowth measures a ledger that is full.
func (p *program) benchLedgerGrowth(ctx context.Context, amounts benchAmounts) ([]figure, error) {
	return p.onEngines(ctx, amounts, p.benchGrowth)
}

type engineBench func(context.Context, engineUnderTest, ledgerScale) ([]figure, error)

func (p *program) onEngines(ctx context.Context, amounts benchAmounts, parts ...engineBench) (_ []figure, err error) {
	p.collectLess() // as a server does
	scale := ledgerScale{each: 5 * time.Second, accounts: 100_000, growth: 10_000_000, sample: 300_000, foldBatch: 3000}
	if amounts.quick {
		scale = ledgerScale{each: 300 * time.Millisecond, accounts: 2000, growth: 20_000, sample: 5000, foldBatch: 20}
	}
	dir, err := os.MkdirTemp("", "meguri-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	n := 0
	engines := []engineUnderTest{{
		name: "SQLite", cpu: func() float64 { return 0 },
		address: func() string { n++; return filepath.Join(dir, fmt.Sprint(n, ".sqlite")) },
		goals:   ledgerGoals{ceiling: 0.6, http64: 6000},
	}}
	switch server, err := pgserver.Start("", "shared_buffers=1GB", "max_wal_size=8GB", "fsync=on", "synchronous_commit=on"); {
	case errors.Is(err, pgserver.ErrAbsent):
		fmt.Fprintln(p.stderr, "PostgreSQL is not installed: only SQLite is measured")
	case err != nil:
		return nil, err
	default:
		defer server.Stop()
		engines = append(engines, engineUnderTest{
			name: "PostgreSQL", cpu: server.CPU,
			address: func() string { n++; return fmt.Sprintf("%s&search_path=bench%d", server.URL, n) },
			goals:   ledgerGoals{ceiling: 0.5, naiveHot: 15, naiveUniform: 2.5, http64: 6000, http256: 8000, cpuPerPosting: 200},
		})
	}
	figures := []figure{
		{Name: "fold alone, one core, the best of five", Value: bestOf(5, func() float64 { return ledgerbench.FoldRate(scale.foldBatch/5, false) }), Unit: "payments/s", Goal: 1_000_000},
		{Name: "fold over a state kept of 100,000 residents, which no cache holds", Value: ledgerbench.FoldRate(scale.foldBatch, true), Unit: "payments/s"},
	}
	for _, e := range engines {
		for _, part := range parts {
			f, err := part(ctx, e, scale)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.name, err)
			}
			figures = append(figures, f...)
		}
	}
	return figures, nil
}

// bestOf repeats a short measurement, which others on the machine may disturb.
func bestOf(times int, rate func() float64) (best float64) {
	for range times {
		best = max(best, rate())
	}
	return best
}

// fresh opens a new database of an engine.
func (e engineUnderTest) fresh(ctx context.Context) (*sqldb.DB, string, error) {
	address := e.address()
	if _, schema, ok := strings.Cut(address, "&search_path="); ok {
		admin, err := sqldb.Open(ctx, strings.TrimSuffix(address, "&search_path="+schema))
		if err != nil {
			return nil, "", err
		}
		_, err = admin.ExecContext(ctx, "CREATE SCHEMA "+schema)
		if err := errors.Join(err, admin.Close()); err != nil {
			return nil, "", err
		}
	}
	db, err := sqldb.Open(ctx, address)
	return db, address, err
}

// benchEngine measures payments in process, beside the naive way and the
// ceiling on plain tables of the same database.
func (p *program) benchEngine(ctx context.Context, e engineUnderTest, scale ledgerScale) (figures []figure, err error) {
	db, _, err := e.fresh(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	add := func(f figure) { figures = append(figures, f) }
	note := func(what string) { fmt.Fprintf(p.stderr, "  %s: %s\n", e.name, what) }

	note("plain tables")
	plain, err := ledgerbench.BuildPlain(ctx, db, scale.accounts)
	if err != nil {
		return nil, err
	}
	commit, err := plain.Commit(ctx, scale.each, e.cpu)
	if err != nil {
		return nil, err
	}
	kinds := map[bool]string{false: "uniform", true: "hot"}
	ceiling, naive := map[bool]ledgerbench.Result{}, map[bool]ledgerbench.Result{}
	for _, hot := range []bool{false, true} {
		if ceiling[hot], err = plain.Ceiling(ctx, scale.each, hot, e.cpu); err != nil {
			return nil, err
		}
		if naive[hot], err = plain.Naive(ctx, 64, scale.each, hot, e.cpu); err != nil {
			return nil, err
		}
		add(figure{Name: e.name + ", ceiling: one writer, 1,000 plain payments a commit, " + kinds[hot], Value: ceiling[hot].Rate(), Unit: "payments/s"})
		add(figure{Name: e.name + ", naive: a transaction a payment, 64 clients, " + kinds[hot], Value: naive[hot].Rate(), Unit: "payments/s",
			Ratio: naive[hot].Rate() / ceiling[hot].Rate()})
	}
	db.SetMaxOpenConns(16)

	note("the ledger")
	store, err := ledgerbench.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	city, err := ledgerbench.Build(ctx, store, scale.accounts/2, scale.accounts/2, func(int, int) {})
	if err != nil {
		return nil, err
	}
	ours := map[bool]map[int]ledgerbench.Result{false: {}, true: {}}
	for _, clients := range []int{1, 64, 512} {
		for _, hot := range []bool{false, true} {
			r, err := city.Payments(ctx, clients, scale.each, hot, e.cpu)
			if err != nil {
				return nil, err
			}
			ours[hot][clients] = r
			where := fmt.Sprintf("%s, %d clients, %s", e.name, clients, kinds[hot])
			add(figure{Name: where + " (ratio: to the ceiling)", Value: r.Rate(), Unit: "payments/s", Ratio: r.Rate() / ceiling[hot].Rate()})
			f := figure{Name: where + ": p99", Value: r.P99.Seconds() * 1000, Unit: "ms"}
			if clients == 512 {
				f.Goal, f.atMost = 100, true
			}
			add(figure{Name: where + ": p50", Value: r.P50.Seconds() * 1000, Unit: "ms"})
			add(f)
			f = figure{Name: where + ": processor time, program and database", Value: r.CPUPerPosting(), Unit: "µs/payment"}
			if clients == 64 && e.goals.cpuPerPosting > 0 {
				f.Goal, f.atMost = e.goals.cpuPerPosting, true
			}
			add(f)
			if clients == 64 && e.name == "PostgreSQL" {
				add(figure{Name: where + ": round trips", Value: r.TripsPerPosting(), Unit: "/payment", Goal: 0.15, atMost: true})
			}
		}
	}
	add(figure{Name: e.name + ", share of the ceiling, 512 clients, uniform", Value: ours[false][512].Rate() / ceiling[false].Rate(), Unit: "×", Goal: e.goals.ceiling})
	add(figure{Name: e.name + ", share of the ceiling, 512 clients, hot", Value: ours[true][512].Rate() / ceiling[true].Rate(), Unit: "×", Goal: e.goals.ceiling})
	add(figure{Name: e.name + ", times the naive way, 64 clients, hot", Value: ours[true][64].Rate() / naive[true].Rate(), Unit: "×", Goal: e.goals.naiveHot})
	add(figure{Name: e.name + ", times the naive way, 64 clients, uniform", Value: ours[false][64].Rate() / naive[false].Rate(), Unit: "×", Goal: e.goals.naiveUniform})
	add(figure{Name: e.name + ", hot to uniform, 64 clients", Value: ours[true][64].Rate() / ours[false][64].Rate(), Unit: "×", Goal: 0.9})
	add(figure{Name: e.name + ", one client: p50 to that of a bare commit", Value: ours[false][1].P50.Seconds() / commit.P50.Seconds(), Unit: "×", Goal: 1.5, atMost: true})
	_, err = ledger.Verify(ctx, store, func(int64) {})
	return figures, err
}

// benchHTTP measures payments through the API of a server in a process of its
// own. The generator of the load runs on the same machine.
func (p *program) benchHTTP(ctx context.Context, e engineUnderTest, scale ledgerScale) (figures []figure, err error) {
	fmt.Fprintf(p.stderr, "  %s: through HTTP\n", e.name)
	db, address, err := e.fresh(ctx)
	if err != nil {
		return nil, err
	}
	store, err := ledgerbench.Open(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	city, err := ledgerbench.Build(ctx, store, scale.accounts/5, scale.accounts/50, func(int, int) {})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	token := api.NewToken()
	if err := errors.Join(city.Admit(ctx, api.TokenDigest(token)), db.Close()); err != nil {
		return nil, err
	}
	server, err := p.serveForBench(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	cpu := func() float64 { return e.cpu() + server.cpu() }
	// A server that has run for a while knows its residents and shops.
	if _, err := city.HTTP(ctx, server.address, token, 64, 3*scale.each, false, cpu); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		connections int
		hot         bool
		goal, p99   float64
	}{{64, true, e.goals.http64, 30}, {64, false, 0, 0}, {256, true, e.goals.http256, 0}, {256, false, 0, 0}} {
		r, err := city.HTTP(ctx, server.address, token, c.connections, scale.each, c.hot, cpu)
		if err != nil {
			return nil, err
		}
		where := fmt.Sprintf("%s, HTTP, %d connections, %s", e.name, c.connections, map[bool]string{true: "hot", false: "uniform"}[c.hot])
		figures = append(figures,
			figure{Name: where, Value: r.Rate(), Unit: "payments/s", Goal: c.goal},
			figure{Name: where + ": p99", Value: r.P99.Seconds() * 1000, Unit: "ms", Goal: c.p99, atMost: true},
			figure{Name: where + ": processor time, generator counted in", Value: r.CPUPerPosting(), Unit: "µs/payment"})
	}
	return figures, nil
}

// benchServer is a server in a process of its own.
type benchServer struct {
	cmd     *exec.Cmd
	address string // host:port
}

func (p *program) serveForBench(ctx context.Context, database string) (*benchServer, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "meguri-bench-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "address")
	cmd := exec.CommandContext(ctx, binary, "serve", "--dir", filepath.Join(dir, "data"), "--database", database,
		"--listen", "127.0.0.1:0", "--address-file", file, "--log-level", "warn")
	cmd.Stderr = p.stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &benchServer{cmd: cmd}
	for range 600 {
		if text, err := os.ReadFile(file); err == nil {
			s.address = strings.TrimPrefix(string(text), "http://")
			return s, os.RemoveAll(dir)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("the server did not come up"), s.stop())
}

// cpu is the processor time that the server has used, in seconds.
func (s *benchServer) cpu() float64 { return pgserver.ProcessCPU(s.cmd.Process.Pid) }

func (s *benchServer) stop() error {
	return errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), s.cmd.Wait())
}

// benchGrowth measures how a full ledger compares with a new one, and how long
// it takes to verify.
func (p *program) benchGrowth(ctx context.Context, e engineUnderTest, scale ledgerScale) (figures []figure, err error) {
	db, address, err := e.fresh(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store, err := ledgerbench.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	bar := p.progress(e.name + ": growth")
	show := func(done, of int) { bar.show(0, 0, int64(done), "payments") }
	city, err := ledgerbench.Build(ctx, store, scale.accounts/2, scale.accounts/2, func(int, int) {})
	if err != nil {
		return nil, err
	}
	first, err := city.Batches(ctx, 500, scale.sample, show)
	if err == nil {
		_, err = city.Batches(ctx, 500, scale.growth-2*scale.sample, show)
	}
	var last ledgerbench.Result
	if err == nil {
		last, err = city.Batches(ctx, 500, scale.sample, show)
	}
	bar.end()
	if err != nil {
		return nil, err
	}
	check, err := p.self(ctx, "ledger", "verify", "--database", address, "--dir", os.TempDir())
	if err != nil {
		return nil, err
	}
	stored := numbers.Sprintf("%d", scale.growth)
	return []figure{
		{Name: e.name + ", batches of 500, the first " + numbers.Sprintf("%d", scale.sample), Value: first.Rate(), Unit: "payments/s"},
		{Name: e.name + ", with " + stored + " stored (ratio: to the first)", Value: last.Rate() / first.Rate(), Unit: "×", Goal: 0.85},
		{Name: e.name + ", verify of " + stored, Value: check.seconds, Unit: "s", Goal: 120, atMost: true},
		{Name: e.name + ", verify of " + stored + ": peak memory", Value: check.peakMiB, Unit: "MiB", Goal: 500, atMost: true},
	}, nil
}
