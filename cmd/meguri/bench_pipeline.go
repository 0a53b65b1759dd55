package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"meguri/ingest"
	"meguri/ingest/consent"
	"meguri/ingest/consent/rights"
)

// measured is what a program took.
type measured struct {
	seconds float64
	cpu     float64 // seconds of processors, in the program and in the system for it
	peakMiB float64
}

// and is what two programs took that ran one after the other.
func (m measured) and(n measured) measured {
	return measured{m.seconds + n.seconds, m.cpu + n.cpu, max(m.peakMiB, n.peakMiB)}
}

// measure runs a program to its end.
func measure(cmd *exec.Cmd) (measured, error) {
	started := time.Now()
	err := cmd.Run()
	m := measured{seconds: time.Since(started).Seconds()}
	if cmd.ProcessState != nil {
		m.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			m.peakMiB = float64(usage.Maxrss) / 1024 // Linux counts in KiB
		}
	}
	return m, err
}

const benchPassphrase = "a passphrase for benchmarks"

// self runs this binary with other arguments and measures it.
func (p *program) self(ctx context.Context, args ...string) (measured, error) {
	binary, err := os.Executable()
	if err != nil {
		return measured{}, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = p.stderr, p.stderr
	cmd.Env = append(os.Environ(), "MEGURI_PASSPHRASE="+benchPassphrase)
	m, err := measure(cmd)
	if err != nil {
		return m, fmt.Errorf("%s: %w", strings.Join(args[:min(2, len(args))], " "), err)
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

// benchFile is the most payments that stand in one file: what is compared reads
// the first, and none stays on the disk once it is imported.
const benchFile = 20_000_000

// benchCity is a data folder that the pipeline is measured in.
type benchCity struct {
	p         *program
	dir, data string
	rows      int
	payments  *payments
}

func (p *program) newBenchCity(ctx context.Context, dir string, rows int) (*benchCity, error) {
	c := &benchCity{p: p, dir: dir, data: filepath.Join(dir, "data"), rows: rows, payments: newPayments(rows)}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeAttributes(dir, personsFor(rows)); err != nil {
		return nil, err
	}
	if _, err := c.run(ctx, "keys", "init"); err != nil {
		return nil, err
	}
	err := makeLawful(func(args ...string) error { _, err := c.run(ctx, args...); return err }, filepath.Join(c.data, "keys", "keyset.json"))
	for _, name := range []string{"persons", "shops"} {
		if err == nil {
			_, err = c.run(ctx, "import", c.file(name+".csv"), "--format", "csv", "--map", c.file(name+".yaml"))
		}
	}
	return c, err
}

func (c *benchCity) file(name string) string { return filepath.Join(c.dir, name) }

func (c *benchCity) run(ctx context.Context, args ...string) (measured, error) {
	return c.p.self(ctx, append(args, "--dir", c.data)...)
}

// load makes files of the next payments, one after the other, and takes them into
// the lake. The first is shown to whom it is compared with, if anybody is named.
func (c *benchCity) load(ctx context.Context, rows int, first func(file string, rows int) error) (took measured, err error) {
	file := c.file("transactions.csv")
	for left := rows; left > 0; left -= benchFile {
		n := min(left, benchFile)
		numbers.Fprintf(c.p.stderr, "generating %d rows\n", n)
		if err := c.payments.write(file, n); err != nil {
			return took, err
		}
		if first != nil {
			if err := first(file, n); err != nil {
				return took, err
			}
			first = nil
		}
		m, err := c.run(ctx, "import", file, "--format", string(ingest.MitakaTransactions), "--pipeline")
		if err != nil {
			return took, err
		}
		took = took.and(m)
		if err := os.Remove(file); err != nil {
			return took, err
		}
	}
	return took, nil
}

// request opens a request for erasure for each of so many persons, and confirms
// who asks.
func (c *benchCity) request(ctx context.Context, persons int) (ids []string, err error) {
	q := *c.p
	q.config.Dir = c.data
	err = q.with(func(a *app) error {
		log, err := a.consents(ctx)
		if err != nil {
			return err
		}
		desk := a.rights(log)
		for n := range persons { // evenly among those who pay much and little
			who := consent.Person{Source: "mitaka", ID: benchPerson(uint64(n) * c.payments.of / uint64(persons))}
			r, err := desk.Take(ctx, rights.Erasure, who, "", "bench")
			if err != nil {
				return err
			}
			if err := desk.Identify(ctx, r.ID, "bench", "bench"); err != nil {
				return err
			}
			ids = append(ids, r.ID)
		}
		return nil
	})
	return ids, err
}

// Goals of the pipeline.
const (
	goalRate     = 400_000
	goalPeak     = 1536
	goalShare    = 40 // % of DuckDB's speed
	goalDay      = 10
	goalErasure  = 60
	goalRekey    = 500_000
	goalSameRate = 85 // % of the rate with a fifth of the rows
)

func (p *program) benchPipeline(ctx context.Context, amounts benchAmounts) (_ []figure, err error) {
	rows, day, persons := 20_000_000, 300_000, 1000
	if amounts.quick {
		rows, day, persons = 100_000, 3000, 20
	}
	if amounts.rows > 0 {
		rows = amounts.rows
	}
	dir, err := os.MkdirTemp("", "meguri-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := p.newBenchCity(ctx, filepath.Join(dir, "city"), rows)
	if err != nil {
		return nil, err
	}
	var others others
	load, err := c.load(ctx, rows, func(file string, rows int) (err error) {
		others, err = p.measureOthers(ctx, c.dir, file, rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	rate := float64(rows) / load.seconds
	figures := []figure{
		{Name: numbers.Sprintf("import and pipeline of %d payments, from CSV to lake (ratio: of its speed to that of DuckDB's bare COPY)", rows),
			Value: rate, Unit: "rows/s", Goal: goalRate, Ratio: rate / others.duck.rate()},
		{Name: "processor time (ratio: to DuckDB's)", Value: load.cpu * 1e6 / float64(rows), Unit: "µs/row", Ratio: load.cpu / float64(rows) / others.duck.cpuPerRow()},
		{Name: "peak memory (ratio: to DuckDB's)", Value: load.peakMiB, Unit: "MiB", Goal: goalPeak, atMost: true, Ratio: load.peakMiB / others.duck.peakMiB},
		{Name: "share of the speed of DuckDB's bare COPY", Value: 100 * rate / others.duck.rate(), Unit: "%", Goal: goalShare},
	}
	figures = append(figures, others.figures(rate)...)
	changes, err := c.benchChanges(ctx, day, persons)
	if err != nil {
		return nil, err
	}
	rekey, err := c.benchRekey(ctx)
	if err != nil {
		return nil, err
	}
	figures = append(append(figures, changes...), rekey...)
	if err := os.RemoveAll(c.dir); err != nil || !amounts.growth {
		return figures, err
	}
	grown, err := p.benchGrown(ctx, filepath.Join(dir, "grown"), 5*rows, day, persons, rate, load)
	return append(figures, grown...), err
}

// benchChanges measures what comes to a lake that is there: a day, an erasure.
func (c *benchCity) benchChanges(ctx context.Context, day, persons int) ([]figure, error) {
	c.payments.at = benchStart.AddDate(0, 0, benchDays)
	c.payments.step = 24 * time.Hour / time.Duration(day)
	next, err := c.load(ctx, day, nil)
	if err != nil {
		return nil, err
	}
	if _, err := c.run(ctx, "receipts", "keys"); err != nil {
		return nil, err
	}
	duck, err := c.run(ctx, "bench", "duckdb-rewrite", filepath.Join(c.data, "lake"), strconv.Itoa(persons))
	if err != nil {
		return nil, err
	}
	ids, err := c.request(ctx, persons)
	if err != nil {
		return nil, err
	}
	erase, err := c.run(ctx, append([]string{"rights", "erase", "--by", "bench"}, ids...)...)
	if err != nil {
		return nil, err
	}
	rows := float64(c.payments.made)
	lake := numbers.Sprintf("a lake of %d", c.rows)
	return []figure{
		{Name: numbers.Sprintf("a new day of %d payments into %s, from CSV to lake", day, lake),
			Value: next.seconds, Unit: "s", Goal: goalDay, atMost: true},
		{Name: "a new day: processor time", Value: next.cpu, Unit: "s"},
		{Name: numbers.Sprintf("erasure of %d persons from %s, segments and registers, searched before and after (ratio: to DuckDB's)", persons, lake),
			Value: erase.seconds, Unit: "s", Goal: goalErasure, atMost: true, Ratio: erase.seconds / duck.seconds},
		{Name: "DuckDB writes the lake's payments anew without so many persons, and does nothing else", Value: duck.seconds, Unit: "s"},
		{Name: "erasure: processor time for each row that was there", Value: erase.cpu * 1e6 / rows, Unit: "µs/row"},
		{Name: "a new day, an erasure: peak memory", Value: max(next.peakMiB, erase.peakMiB), Unit: "MiB", Goal: goalPeak, atMost: true},
	}, nil
}

// benchRekey measures a new key.
func (c *benchCity) benchRekey(ctx context.Context) ([]figure, error) {
	rekey, err := c.run(ctx, "rekey")
	if err != nil {
		return nil, err
	}
	rows := float64(c.payments.made) // but for those of the erased
	return []figure{
		{Name: "rekey: new pseudonyms for everybody", Value: rows / rekey.seconds, Unit: "rows/s", Goal: goalRekey},
		{Name: "rekey: processor time", Value: rekey.cpu * 1e6 / rows, Unit: "µs/row"},
		{Name: "rekey: peak memory", Value: rekey.peakMiB, Unit: "MiB", Goal: goalPeak, atMost: true},
	}, nil
}

// benchGrown measures whether rate and memory stay when there is more, and what
// changes cost then.
func (p *program) benchGrown(ctx context.Context, dir string, rows, day, persons int, rate float64, before measured) ([]figure, error) {
	c, err := p.newBenchCity(ctx, dir, rows)
	if err != nil {
		return nil, err
	}
	load, err := c.load(ctx, rows, nil)
	if err != nil {
		return nil, err
	}
	grown := float64(rows) / load.seconds
	figures := []figure{
		{Name: numbers.Sprintf("import and pipeline of %d payments (ratio: of its speed to that of a fifth)", rows), Value: grown, Unit: "rows/s", Ratio: grown / rate},
		{Name: "share of the speed with a fifth of the rows", Value: 100 * grown / rate, Unit: "%", Goal: goalSameRate},
		{Name: "peak memory of it (ratio: to that of a fifth)", Value: load.peakMiB, Unit: "MiB", Goal: goalPeak, atMost: true, Ratio: load.peakMiB / before.peakMiB},
	}
	changes, err := c.benchChanges(ctx, day, persons)
	return append(figures, changes...), err
}
