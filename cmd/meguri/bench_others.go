package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"meguri/internal/flightdrivers"
)

// other is a program that did the same, or less, with the same file.
type other struct {
	name string
	rows int
	measured
	why string // it was not measured
}

func (o other) rate() float64      { return float64(o.rows) / o.seconds }
func (o other) cpuPerRow() float64 { return o.cpu / float64(o.rows) }

// others are what the pipeline is measured beside.
type others struct {
	duck   other // it only reads, sorts and writes
	python []other
}

// mostRows bounds what a library is given that holds all rows in memory.
var mostRows = map[string]int{"pandas": 5_000_000, "Polars": benchFile}

//go:embed bench_others.py
var othersScript []byte

// measureOthers runs them on a file. That Python, or PyPI, is not there is no
// failure: the figures say so.
func (p *program) measureOthers(ctx context.Context, dir, file string, rows int) (o others, err error) {
	out := filepath.Join(dir, "others")
	if err := os.Mkdir(out, 0o700); err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(out)) }()
	fmt.Fprintln(p.stderr, "DuckDB's bare COPY")
	o.duck = other{name: "DuckDB's bare COPY of the CSV to sorted Parquet: no check, no join, no pseudonym", rows: rows}
	if o.duck.measured, err = p.self(ctx, "bench", "duckdb-copy", file, filepath.Join(out, "bare.parquet")); err != nil {
		return o, err
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(out, "duckdb")), os.Remove(filepath.Join(out, "bare.parquet"))); err != nil {
		return o, err
	}
	script := filepath.Join(out, "others.py")
	if err := os.WriteFile(script, othersScript, 0o600); err != nil {
		return o, err
	}
	python, absent := readersPython()
	if absent != nil {
		fmt.Fprintln(p.stderr, absent)
	}
	for _, name := range []string{"pandas", "Polars"} {
		fmt.Fprintln(p.stderr, name)
		one := other{name: name, rows: min(rows, mostRows[name])}
		if absent != nil {
			one.why = "they need python3 with venv, and PyPI once"
		} else {
			made := filepath.Join(out, name)
			cmd := exec.CommandContext(ctx, python, script, strings.ToLower(name), file, filepath.Join(dir, "persons.csv"), made, fmt.Sprint(one.rows))
			var said strings.Builder
			cmd.Stdout, cmd.Stderr = p.stderr, &said
			if one.measured, err = measure(cmd); ctx.Err() != nil {
				return o, ctx.Err()
			} else if err != nil {
				fmt.Fprint(p.stderr, said.String())
				one.why = "it broke off: " + err.Error()
			}
			if err := os.RemoveAll(made); err != nil {
				return o, err
			}
		}
		o.python = append(o.python, one)
	}
	return o, nil
}

// readersPython is an interpreter that has pandas and Polars.
func readersPython() (string, error) {
	if err := flightdrivers.Readers(); err != nil {
		return "", err
	}
	return flightdrivers.ReadersPython()
}

// figures show them beside the pipeline's rate.
func (o others) figures(rate float64) []figure {
	all := []figure{
		{Name: o.duck.name + " (ratio: the pipeline's speed to it)", Value: o.duck.rate(), Unit: "rows/s", Ratio: rate / o.duck.rate()},
	}
	for _, one := range o.python {
		if one.why != "" {
			all = append(all, figure{Name: fmt.Sprintf("%s: not measured: %s", one.name, one.why), Unit: "rows/s"})
			continue
		}
		all = append(all,
			figure{Name: numbers.Sprintf("%s, the same steps with %d rows, tokens of persons alone (ratio: the pipeline's speed to it)", one.name, one.rows),
				Value: one.rate(), Unit: "rows/s", Ratio: rate / one.rate()},
			figure{Name: one.name + ": peak memory", Value: one.peakMiB, Unit: "MiB"})
	}
	return all
}
