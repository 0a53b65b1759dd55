package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
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

// benchAmounts say how much is measured.
type benchAmounts struct {
	quick  bool // little, to see that it runs
	rows   int  // of the pipeline's payments; 0: what is usual
	growth bool // five times as many rows besides
}

// benchmarks are what can be measured, in the order of "bench all".
var benchmarks = []struct {
	name, about string
	run         func(*program, context.Context, benchAmounts) ([]figure, error)
}{
	{"pipeline", "import and pipeline of generated payments, beside DuckDB's bare COPY, pandas and Polars; a new day, an erasure, a rekey", (*program).benchPipeline},
	{"ledger", "payments on SQLite and PostgreSQL, in process and through HTTP, beside the naive way and the ceiling", (*program).benchLedger},
	{"ledger-growth", "ten million payments: what they cost at the end beside the beginning, and how long they take to verify", (*program).benchLedgerGrowth},
	{"gate", "protection and audit of three made-up tables by the p % rule, shops as respondents", (*program).benchGate},
	{"demo", "time from the start of the demo to its first page", (*program).benchDemo},
	{"build", "build from an empty cache, and the size of the binary", (*program).benchBuild},
}

func (p *program) benchCommand() *cobra.Command {
	var amounts benchAmounts
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
			if amounts.rows < 0 {
				return usageError{fmt.Errorf("bench: --rows is a number of payments, not %d", amounts.rows)}
			}
			var figures []figure
			for _, b := range benchmarks {
				if args[0] != b.name && args[0] != "all" {
					continue
				}
				fmt.Fprintf(p.stderr, "bench %s\n", b.name)
				f, err := b.run(p, cmd.Context(), amounts)
				if err != nil {
					return fmt.Errorf("bench %s: %w", b.name, err)
				}
				for i := range f {
					f[i] = f[i].judge()
				}
				figures = append(figures, f...)
			}
			return p.printFigures(figures, format, amounts)
		},
	}
	c.Flags().BoolVar(&amounts.quick, "quick", false, "small amounts: to see that it runs, not how fast")
	c.Flags().IntVar(&amounts.rows, "rows", 0, "payments of the pipeline (default 20,000,000)")
	c.Flags().BoolVar(&amounts.growth, "growth", false, "the pipeline with five times the rows as well: does the rate stay?")
	c.Flags().StringVar(&format, "format", "table", "table, json or markdown")
	c.AddCommand(p.duckCopyCommand(), p.duckRewriteCommand(), generateCommand())
	return c
}

func (p *program) printFigures(figures []figure, format string, amounts benchAmounts) error {
	switch format {
	case "json":
		return printJSON(p.stdout, map[string]any{"figures": figures})
	case "markdown":
		return p.printMarkdown(figures, amounts)
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

func (p *program) printMarkdown(figures []figure, amounts benchAmounts) error {
	commit := "unknown"
	if out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	scale := "full amounts"
	switch {
	case amounts.rows > 0:
		scale = numbers.Sprintf("%d payments in the pipeline", amounts.rows)
	case amounts.quick:
		scale = "small amounts (--quick): these show that it runs, not how fast"
	}
	fmt.Fprintf(p.stdout, `# Benchmarks

Made by `+"`make bench`"+` at commit %s, %s, %s.
Machine: %s/%s, %d cores, %s, %s.

| figure | value | unit | goal | ratio | met |
| --- | ---: | --- | ---: | ---: | --- |
`, commit, time.Now().UTC().Format(time.DateOnly), scale, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())
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

func (p *program) benchDemo(ctx context.Context, amounts benchAmounts) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "meguri-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	address := filepath.Join(dir, "address")
	args := []string{"demo", "--dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--address-file", address}
	if amounts.quick {
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

func (p *program) benchBuild(ctx context.Context, amounts benchAmounts) (_ []figure, err error) {
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
	if !amounts.quick {
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
