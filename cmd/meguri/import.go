package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"meguri/ingest"
	"meguri/pseudonymize"
)

// importFlags are the words of a call.
type importFlags struct {
	format, mapFile, encoding, source, totals string
	watch, pipeline                           bool
	settle, every                             time.Duration
}

func (p *program) importCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import FILE|FOLDER|'PATTERN'...",
		Short: "take in files of transactions, purchases, surveys, rides, events, persons or shops",
		Long: `Takes in files, plain, gzip or zstd, in UTF-8, Shift_JIS or EUC-JP. Good rows are
kept, bad rows wait in a quarantine file with line, field and remedy, and a row
that is there already is counted as a duplicate, so that the same file twice
changes nothing. A large file whose import stopped goes on where it was.

Formats:
  mitaka-transactions  the 30 columns of the voucher system's transaction CSV
  csv, jsonl, parquet  described by a mapping (--map); examples are printed by
                       "meguri import --maps", templates by
                       "meguri import template DATASET"

With --pipeline what is taken in goes into the lake as it comes, in about four
fifths of the time that import and pipeline take one after the other.

The exit code is 3 when all was taken in and the source's own totals (--totals,
or trailer: in the mapping) are not what was read.`,
		Args: cobra.ArbitraryArgs,
	}
	maps := c.Flags().Bool("maps", false, "print the example mappings and end")
	c.Flags().StringVar(&f.format, "format", "", "mitaka-transactions, csv, jsonl or parquet (default: the mapping's)")
	c.Flags().StringVar(&f.mapFile, "map", "", "mapping document (YAML)")
	c.Flags().StringVar(&f.encoding, "encoding", "auto", ingest.Encodings())
	c.Flags().StringVar(&f.source, "source", "", "name of the source, for mitaka-transactions (default \"mitaka\")")
	c.Flags().StringVar(&f.totals, "totals", "", "the source's own totals: CSV with the columns day, rows and yen, and kind if they are of kinds")
	c.Flags().BoolVar(&f.pipeline, "pipeline", false, "run the pipeline at the same time, as \"meguri pipeline --pull=false\" does afterwards")
	c.Flags().BoolVar(&f.watch, "watch", false, "watch a folder: take each file that stands still, and move it to done/ or failed/ in it")
	c.Flags().DurationVar(&f.settle, "settle", 10*time.Second, "with --watch: for how long a file must stand still")
	c.Flags().DurationVar(&f.every, "every", 2*time.Second, "with --watch: the time between two looks")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *maps {
			return p.printMaps()
		}
		if len(args) == 0 {
			return usageError{errors.New("import: which file?")}
		}
		options, err := f.options(args)
		if err != nil {
			return err
		}
		return p.with(func(a *app) error {
			roomy()
			importer, err := a.importer(cmd.Context())
			if err != nil {
				return err
			}
			if f.watch {
				return p.watch(cmd.Context(), importer, args[0], options, f)
			}
			files, err := ingest.Files(args)
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			if f.pipeline {
				return p.importIntoLake(cmd.Context(), a, importer, files, options)
			}
			return p.importFiles(cmd.Context(), importer, files, options)
		})
	}
	c.AddCommand(p.sampleCommand(), p.templateCommand(), p.datasetsCommand())
	return c
}

func (f *importFlags) options(args []string) (ingest.Options, error) {
	o := ingest.Options{Format: ingest.Format(f.format), Source: f.source, Encoding: ingest.Encoding(f.encoding)}
	switch o.Format {
	case "":
		if f.mapFile == "" {
			return o, usageError{errors.New("import: which format? --format mitaka-transactions, or a mapping with --map FILE")}
		}
	case ingest.MitakaTransactions:
		if f.mapFile != "" {
			return o, usageError{errors.New("import: --map goes with the formats csv, jsonl and parquet")}
		}
	case ingest.CSV, ingest.JSONL, ingest.Parquet:
		if f.mapFile == "" {
			return o, usageError{fmt.Errorf("import: --format %s needs a mapping, --map FILE", f.format)}
		}
	default:
		return o, usageError{fmt.Errorf("import: --format is mitaka-transactions, csv, jsonl or parquet, not %q", f.format)}
	}
	if f.watch && (len(args) != 1 || f.totals != "" || f.every <= 0) {
		return o, usageError{errors.New("import: --watch takes one folder, a time between looks, and no --totals: " +
			"describe a trailer: in the mapping")}
	}
	if f.watch && f.pipeline {
		return o, usageError{errors.New("import: --pipeline does not go with --watch: run \"meguri pipeline\" when it suits")}
	}
	var err error
	if f.mapFile != "" {
		if o.Mapping, err = ingest.LoadMapping(f.mapFile); err != nil {
			return o, err
		}
	}
	if f.totals != "" {
		if o.Totals, err = ingest.ReadTotals(f.totals); err != nil {
			return o, err
		}
	}
	return o, nil
}

// differError: all was taken in, and the source said something else of it.
type differError struct{ error }

// importFiles takes files in one after the other. What is wrong with one does
// not keep the others out.
func (p *program) importFiles(ctx context.Context, importer *ingest.Importer, files []string, options ingest.Options) error {
	if len(options.Totals) > 0 && len(files) != 1 {
		return usageError{errors.New("import: --totals are of one file: give one, or describe a trailer: in the mapping")}
	}
	var all int64
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			all += info.Size()
		}
	}
	bar := p.progress("import")
	var total ingest.Summary
	var before, rows int64
	failed, differ := 0, 0
	for _, path := range files {
		options.Progress = func(done, _, n int64) { bar.show(before+done, all, rows+n, "rows") }
		summary, err := importer.Import(ctx, path, options)
		bar.end()
		if summary.Read > 0 || err == nil {
			p.printSummary(filepath.Base(path), summary)
		}
		if info, serr := os.Stat(path); serr == nil {
			before += info.Size()
		}
		rows += summary.Read
		total.Read += summary.Read
		total.Accepted += summary.Accepted
		total.Duplicate += summary.Duplicate
		total.Quarantined += summary.Quarantined
		if summary.Differs() {
			differ++
		}
		switch {
		case err == nil:
		case len(files) == 1 || !ingest.FaultOfFile(err):
			return err
		default:
			failed++
			fmt.Fprintf(p.stderr, "meguri: %v\n", err)
		}
	}
	if len(files) > 1 {
		p.printSummary(numbers.Sprintf("total of %d files", len(files)), total)
	}
	switch {
	case failed > 0:
		return fmt.Errorf("import: %d of %d files could not be taken in whole: see above", failed, len(files))
	case differ > 0:
		return differError{errors.New("import: the source's totals are not what was read: all rows that hold are kept; ask the source")}
	}
	return nil
}

// importIntoLake takes files in and runs the pipeline on what comes. Attributes
// come first: it joins rows with those that it finds when it begins.
func (p *program) importIntoLake(ctx context.Context, a *app, importer *ingest.Importer, files []string, options ingest.Options) error {
	keys, err := p.readKeys()
	if err != nil {
		return err
	}
	if _, err := p.basis(ctx, a); err != nil { // before a row is read
		return err
	}
	ended := make(chan struct{})
	var failed error
	load := func(ctx context.Context) {
		defer close(ended)
		failed = p.importFiles(ctx, importer, files, options)
	}
	g, both := errgroup.WithContext(ctx)
	if options.Mapping != nil && options.Mapping.Attributes() {
		load(ctx)
	} else {
		g.Go(func() error { load(both); return nil })
	}
	g.Go(func() error { return p.pipeline(both, a, importer, keys, pseudonymize.Policies(), false, ended) })
	// What was kept of a file with a fault is in the lake. A fault of the pipeline
	// has stopped the import, which goes on where it was when it is run again.
	if err := g.Wait(); err != nil {
		return err
	}
	return failed
}

// watch imports what comes into a folder until it is told to stop.
func (p *program) watch(ctx context.Context, importer *ingest.Importer, dir string, options ingest.Options, f importFlags) error {
	if info, err := os.Stat(dir); err != nil {
		return fmt.Errorf("import: %w", err)
	} else if !info.IsDir() {
		return usageError{errors.New("import: --watch takes a folder")}
	}
	w := &ingest.Watcher{Dir: dir, Settle: f.settle, Every: f.every,
		Import: func(ctx context.Context, path string) error {
			bar := p.progress("import")
			options.Progress = func(done, total, rows int64) { bar.show(done, total, rows, "rows") }
			summary, err := importer.Import(ctx, path, options)
			bar.end()
			if summary.Read > 0 || err == nil {
				p.printSummary(filepath.Base(path), summary)
			}
			return err
		},
		Moved: func(path, to string, err error) {
			if err != nil {
				fmt.Fprintf(p.stderr, "meguri: %v\n", err)
			}
			fmt.Fprintf(p.stdout, "%s: moved to %s\n", filepath.Base(path), to)
		},
	}
	fmt.Fprintf(p.stderr, "watching %s\n", dir)
	return w.Run(ctx)
}

// printSummary accounts for every row that was read.
func (p *program) printSummary(what string, s ingest.Summary) {
	numbers.Fprintf(p.stdout, "%s: read %d = accepted %d + duplicate %d + quarantined %d\n",
		what, s.Read, s.Accepted, s.Duplicate, s.Quarantined)
	if s.Resumed > 0 {
		numbers.Fprintf(p.stdout, "continued: %d rows were dealt with by an earlier import of the file\n", s.Resumed)
	}
	for _, w := range s.Warnings {
		numbers.Fprintf(p.stdout, "warning: %s: %s (%d rows, first in line %d)\n", w.Field, w.Problem, w.Rows, w.FirstLine)
	}
	if s.Ahead > time.Second {
		fmt.Fprintf(p.stdout, "warning: the clock of %s is at least %s ahead of this machine's\n", s.Source, s.Ahead.Round(time.Second))
	}
	for _, t := range s.Totals {
		if !t.Agrees() {
			p.printTotal(t)
		}
	}
	if len(s.Totals) > 0 && !s.Differs() {
		fmt.Fprintln(p.stdout, "totals: as the source says")
	}
	if s.Elapsed > 0 {
		numbers.Fprintf(p.stderr, "took %.1f s, %.0f rows/s\n", s.Elapsed.Seconds(), float64(s.Read)/s.Elapsed.Seconds())
	}
	if s.QuarantinePath != "" {
		fmt.Fprintf(p.stdout, "quarantine: %s\n", s.QuarantinePath)
	}
}

func (p *program) printTotal(t ingest.TotalCheck) {
	day := strings.TrimSpace(orElse(t.Day, "the whole file") + " " + t.Kind)
	numbers.Fprintf(p.stdout, "warning: totals of %s: the source says %d rows, read were %d", day, t.RowsTold, t.RowsRead)
	if t.YenTold != nil {
		numbers.Fprintf(p.stdout, "; it says %d yen, read were %d", *t.YenTold, *t.YenRead)
	}
	fmt.Fprintln(p.stdout)
}

func (p *program) printMaps() error {
	entries, err := ingest.Maps.ReadDir("maps")
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := ingest.Maps.ReadFile("maps/" + e.Name())
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "# ---- %s ----\n%s\n", e.Name(), strings.TrimRight(string(text), "\n"))
	}
	return nil
}
