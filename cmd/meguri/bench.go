package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
)

// figure is one measured number beside its goal.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Goal  float64 `json:"goal"`  // 0: there is none
	Ratio float64 `json:"ratio"` // to what was run next to it; 0: nothing was
	Met   bool    `json:"met"`

	atMost bool // the goal is an upper bound
	none   bool // the goal is that there is none
}

// judge fills in whether the goal is met.
func (f figure) judge() figure {
	if f.none {
		f.Met = f.Value == 0
		return f
	}
	f.Met = f.Goal == 0 || (f.atMost && f.Value <= f.Goal) || (!f.atMost && f.Value >= f.Goal)
	return f
}

// benchmarks are what can be measured, in the order of "bench all".
var benchmarks = []struct {
	name, about string
	run         func(*program, context.Context, bool) ([]figure, error)
}{
	{"pipeline", "import → pipeline of a generated transaction CSV, beside DuckDB's bare COPY of the same file", (*program).benchPipeline},
	{"ledger", "payments on SQLite and PostgreSQL, in process and through HTTP, beside the naive way and the ceiling", (*program).benchLedger},
	{"ledger-growth", "ten million payments: what they cost at the end beside the beginning, and how long they take to verify", (*program).benchLedgerGrowth},
	{"gate", "protection and audit of three made-up tables by the p % rule, shops as respondents", (*program).benchGate},
	{"demo", "time from the start of the demo to its first page", (*program).benchDemo},
	{"build", "build from an empty cache, and the size of the binary", (*program).benchBuild},
}

func (p *program) benchCommand() *cobra.Command {
	var quick bool
	var format string
	var names []string
	about := "Measures, and prints each figure beside its goal and its ratio to what was run next to it.\n\n"
	for _, b := range benchmarks {
		names = append(names, b.name)
		about += fmt.Sprintf("  %-13s %s\n", b.name, b.about)
	}
	c := &cobra.Command{
		Use: "bench NAME|all", Short: "measure speed and memory", Long: about, ValidArgs: append(names, "all"),
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var figures []figure
			for _, b := range benchmarks {
				if args[0] != b.name && args[0] != "all" {
					continue
				}
				fmt.Fprintf(p.stderr, "bench %s\n", b.name)
				f, err := b.run(p, cmd.Context(), quick)
				if err != nil {
					return fmt.Errorf("bench %s: %w", b.name, err)
				}
				for i := range f {
					f[i] = f[i].judge()
				}
				figures = append(figures, f...)
			}
			return p.printFigures(figures, format, quick)
		},
	}
	c.Flags().BoolVar(&quick, "quick", false, "small amounts: to see that it runs, not how fast")
	c.Flags().StringVar(&format, "format", "table", "table, json or markdown")
	c.AddCommand(p.duckCopyCommand(), p.generateCommand())
	return c
}

func (p *program) printFigures(figures []figure, format string, quick bool) error {
	switch format {
	case "json":
		return printJSON(p.stdout, map[string]any{"figures": figures})
	case "markdown":
		return p.printMarkdown(figures, quick)
	case "table":
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "figure\tvalue\tunit\tgoal\tratio\tmet")
		for _, f := range figures {
			fmt.Fprintln(w, strings.Join(f.row(), "\t"))
		}
		return w.Flush()
	}
	return usageError{fmt.Errorf("bench: --format is table, json or markdown, not %q", format)}
}

func (f figure) row() []string {
	goal, ratio, met := "", "", "yes"
	if f.Goal != 0 {
		goal = "≥ " + numbers.Sprintf("%v", f.Goal)
		if f.atMost {
			goal = "≤ " + numbers.Sprintf("%v", f.Goal)
		}
	}
	if f.none {
		goal = "0"
	}
	if f.Ratio != 0 {
		ratio = fmt.Sprintf("%.2f", f.Ratio)
	}
	switch {
	case f.Goal == 0 && !f.none:
		met = ""
	case !f.Met:
		met = "no"
	}
	return []string{f.Name, numbers.Sprintf("%.1f", f.Value), f.Unit, goal, ratio, met}
}

func (p *program) printMarkdown(figures []figure, quick bool) error {
	commit := "unknown"
	if out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	amounts := "full amounts"
	if quick {
		amounts = "small amounts (--quick): these show that it runs, not how fast"
	}
	fmt.Fprintf(p.stdout, `# Benchmarks

Made by `+"`make bench`"+` at commit %s, %s, %s.
Machine: %s/%s, %d cores, %s, %s.

| figure | value | unit | goal | ratio | met |
| --- | ---: | --- | ---: | ---: | --- |
`, commit, time.Now().UTC().Format(time.DateOnly), amounts, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())
	for _, f := range figures {
		fmt.Fprintf(p.stdout, "| %s |\n", strings.Join(f.row(), " | "))
	}
	_, err := fmt.Fprintln(p.stdout, "\nA ratio is to what was run next to it in the same run; the figure's name says what that is.")
	return err
}

// processor is the name of the machine's processor, where the system tells.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}

// measured is what a program of ours took.
type measured struct {
	seconds float64
	peakMiB float64
}

// self runs this binary with other arguments and measures it.
func (p *program) self(ctx context.Context, args ...string) (measured, error) {
	binary, err := os.Executable()
	if err != nil {
		return measured{}, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = p.stderr, p.stderr
	cmd.Env = append(os.Environ(), "MEGURI_PASSPHRASE=a passphrase for benchmarks")
	started := time.Now()
	if err := cmd.Run(); err != nil {
		return measured{}, fmt.Errorf("%s: %w", strings.Join(args[:min(2, len(args))], " "), err)
	}
	m := measured{seconds: time.Since(started).Seconds()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.peakMiB = float64(usage.Maxrss) / 1024 // Linux counts in KiB
	}
	return m, nil
}

// lawfulDatasets are those that makeLawful covers.
var lawfulDatasets = []string{"payment", "person", "purchase", "survey", "ride", "event"}

// makeLawful, for benchmarks and tests, publishes the default purpose and enters a law that orders the use
// of every dataset for it, so that the pipeline lets rows through.
func makeLawful(run func(args ...string) error, document string) error {
	for _, args := range [][]string{
		{"purpose", "add", "statistics", "--ja", "統計", "--en", "statistics", "--by", "bench"},
		{"purpose", "publish", "statistics", "--on", "1990-01-01", "--where", "bench", "--by", "bench"},
	} {
		if err := run(args...); err != nil {
			return err
		}
	}
	for _, dataset := range lawfulDatasets {
		err := run("basis", "add", "law-"+dataset, "--kind", "law", "--dataset", dataset, "--purpose", "statistics",
			"--from", "1990-01-01", "--until", "2100-12-31", "--document", document, "--by", "bench")
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) benchPipeline(ctx context.Context, quick bool) (_ []figure, err error) {
	rows := 5_000_000
	if quick {
		rows = 100_000
	}
	dir, err := os.MkdirTemp("", "meguri-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "transactions.csv")
	numbers.Fprintf(p.stderr, "generating %d rows\n", rows)
	if err := generateTransactions(file, rows); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if _, err := p.self(ctx, "keys", "init", "--dir", data); err != nil {
		return nil, err
	}
	err = makeLawful(func(args ...string) error {
		_, err := p.self(ctx, append(args, "--dir", data)...)
		return err
	}, filepath.Join(data, "keys", "keyset.json"))
	if err != nil {
		return nil, err
	}
	load, err := p.self(ctx, "import", file, "--dir", data, "--format", string(ingest.MitakaTransactions))
	if err != nil {
		return nil, err
	}
	make, err := p.self(ctx, "pipeline", "--dir", data, "--pull=false")
	if err != nil {
		return nil, err
	}
	bare, err := p.self(ctx, "bench", "duckdb-copy", file, filepath.Join(dir, "bare.parquet"))
	if err != nil {
		return nil, err
	}
	total := load.seconds + make.seconds
	return []figure{
		{Name: "import → pipeline, end to end (ratio: time to DuckDB's bare COPY (FROM read_csv) TO parquet)",
			Value: float64(rows) / total, Unit: "rows/s", Goal: 150_000, Ratio: total / bare.seconds},
		{Name: "of which import", Value: float64(rows) / load.seconds, Unit: "rows/s", Ratio: load.seconds / bare.seconds},
		{Name: "of which pipeline", Value: float64(rows) / make.seconds, Unit: "rows/s", Ratio: make.seconds / bare.seconds},
		{Name: "peak memory of either (ratio: to DuckDB's COPY)", Value: max(load.peakMiB, make.peakMiB), Unit: "MiB",
			Goal: 1536, atMost: true, Ratio: max(load.peakMiB, make.peakMiB) / bare.peakMiB},
		{Name: "DuckDB's bare COPY, for comparison", Value: float64(rows) / bare.seconds, Unit: "rows/s"},
	}, nil
}

// generateTransactions writes a transaction CSV in the columns of the voucher
// system: payments of 50,000 persons in 500 shops over a quarter, with cancels.
func generateTransactions(path string, rows int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, strings.Join(ingest.MitakaColumns, ","))
	start := time.Date(2024, 6, 3, 9, 0, 0, 0, time.FixedZone("Asia/Tokyo", 9*3600))
	step := 90 * 24 * time.Hour / time.Duration(rows)
	state := uint64(1)
	next := func(n uint64) uint64 { // SplitMix64: the same file every time
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return (z ^ z>>31) % n
	}
	var last struct {
		id           string
		person, shop uint64
		amount       uint64
	}
	for i := range rows {
		id := fmt.Sprintf("T%019d", i)
		at := start.Add(time.Duration(i) * step).Format("2006/01/02 15:04:05")
		operation, name, target, status := "OP1", "利用", "", "1"
		kind := "SUB"
		person, shop, amount := next(50_000)*next(3)/2, next(500), 100+next(5000)
		if i%50 == 49 {
			operation, name, kind, target, status = "OP4", "利用キャンセル", "CANCEL", last.id, "2"
			person, shop, amount = last.person, last.shop, last.amount
		}
		fmt.Fprintf(w, "%s,op1,svc3,デジタル商品券,3,%s,%s,%s,加盟店%03d,m%03d,店舗%03d,s%03d,端末%03d,t%03d,1,u%07d,%d,0,0,,,,0,%s,,,0,%s,%s,%s\n",
			id, kind, operation, name, shop, shop, shop, shop, shop, shop, person, amount, target, status, at, at)
		last.id, last.person, last.shop, last.amount = id, person, shop, amount
	}
	return w.Flush()
}

// generateCommand makes the file that the pipeline is measured with.
func (p *program) generateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "generate ROWS CSV", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			rows, err := strconv.Atoi(args[0])
			if err != nil || rows < 1 {
				return usageError{fmt.Errorf("bench generate: %q is no number of rows", args[0])}
			}
			return generateTransactions(args[1], rows)
		},
	}
}

// duckCopyCommand is what the pipeline is measured against, in a process of its
// own so that its memory can be told apart.
func (p *program) duckCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "duckdb-copy CSV PARQUET", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := sql.Open("duckdb", "")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
			_, err = db.ExecContext(cmd.Context(), fmt.Sprintf(
				"COPY (FROM read_csv(%s) ORDER BY shopId, createdAt) TO %s (FORMAT parquet, COMPRESSION zstd)", quote(args[0]), quote(args[1])))
			return err
		},
	}
}

func (p *program) benchDemo(ctx context.Context, quick bool) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "meguri-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	address := filepath.Join(dir, "address")
	args := []string{"demo", "--dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--address-file", address}
	if quick {
		args = append(args, "--residents", "200", "--shops", "24", "--weeks", "4")
	}
	first, err := p.firstPage(ctx, address, args)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(address); err != nil {
		return nil, err
	}
	second, err := p.firstPage(ctx, address, args)
	if err != nil {
		return nil, err
	}
	return []figure{
		{Name: "demo: time to first page", Value: first, Unit: "s", Goal: 60, atMost: true},
		{Name: "demo: second start to first page (ratio: to the first)", Value: second, Unit: "s", Goal: 5, atMost: true, Ratio: second / first},
	}, nil
}

// firstPage starts the demo and returns the seconds until a page came.
func (p *program) firstPage(ctx context.Context, addressFile string, args []string) (seconds float64, err error) {
	binary, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stderr = p.stderr
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if e := <-ended; err == nil {
			err = e
		}
	}()
	for {
		select {
		case e := <-ended:
			ended <- nil
			return 0, fmt.Errorf("the demo ended early: %w", errors.Join(e, errors.New("see above")))
		case <-time.After(20 * time.Millisecond):
		}
		address, err := os.ReadFile(addressFile)
		if err != nil {
			continue // not there yet
		}
		resp, err := http.Get(string(address) + "/login")
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return 0, err
		}
		if resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("the first page answered %d", resp.StatusCode)
		}
		return time.Since(started).Seconds(), nil
	}
}

func (p *program) benchBuild(ctx context.Context, quick bool) (_ []figure, err error) {
	if out, err := exec.CommandContext(ctx, "go", "list", "-m").Output(); err != nil || strings.TrimSpace(string(out)) != "meguri" {
		return nil, errors.New("run it in the project's folder, with Go installed")
	}
	dir, err := os.MkdirTemp("", "meguri-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "meguri")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "duckdb_arrow", "-o", binary, "./cmd/meguri")
	cmd.Env = os.Environ()
	name := "build from a warm cache"
	if !quick {
		name = "cold build"
		cmd.Env = append(cmd.Env, "GOCACHE="+filepath.Join(dir, "cache"))
	}
	cmd.Stderr = p.stderr
	started := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	seconds := time.Since(started).Seconds()
	info, err := os.Stat(binary)
	if err != nil {
		return nil, err
	}
	return []figure{
		{Name: name, Value: seconds, Unit: "s"},
		{Name: "binary", Value: float64(info.Size()) / (1 << 20), Unit: "MiB"},
	}, nil
}
