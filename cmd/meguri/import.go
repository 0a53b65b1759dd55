package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"meguri/ingest"
)

func (p *program) importCommand() *cobra.Command {
	var format, mapFile, encoding, source string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "take in a file of transactions, persons or shops",
		Long: `Takes in a file, plain or gzip, in UTF-8 or Shift_JIS. Good rows are kept, bad
rows wait in a quarantine file with line, field and remedy, and a row that is
there already is counted as a duplicate, so that the same file twice changes
nothing.

Formats:
  mitaka-transactions  the 30 columns of the voucher system's transaction CSV
  csv                  any CSV, described by a mapping (--map); examples are
                       printed by "meguri import --maps"`,
		Args: cobra.MaximumNArgs(1),
	}
	maps := c.Flags().Bool("maps", false, "print the example mappings and end")
	c.Flags().StringVar(&format, "format", "", "mitaka-transactions or csv (default: csv if --map is given)")
	c.Flags().StringVar(&mapFile, "map", "", "mapping document (YAML) for --format csv")
	c.Flags().StringVar(&encoding, "encoding", "auto", "auto, utf-8 or shift_jis")
	c.Flags().StringVar(&source, "source", "", "name of the source, for mitaka-transactions (default \"mitaka\")")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *maps {
			return p.printMaps()
		}
		if len(args) != 1 {
			return usageError{errors.New("import: which file?")}
		}
		options, err := importOptions(format, mapFile, encoding, source)
		if err != nil {
			return err
		}
		return p.with(func(a *app) error {
			importer, err := a.importer(cmd.Context())
			if err != nil {
				return err
			}
			bar := p.progress("import")
			options.Progress = func(done, total, rows int64) { bar.show(done, total, rows, "rows") }
			summary, err := importer.Import(cmd.Context(), args[0], options)
			bar.end()
			if summary.Read > 0 || err == nil {
				p.printSummary(filepath.Base(args[0]), summary)
			}
			return err
		})
	}
	return c
}

func importOptions(format, mapFile, encoding, source string) (ingest.Options, error) {
	if format == "" && mapFile != "" {
		format = string(ingest.CSV)
	}
	o := ingest.Options{Format: ingest.Format(format), Source: source, Encoding: ingest.Encoding(encoding)}
	switch {
	case format != string(ingest.CSV) && format != string(ingest.MitakaTransactions):
		return o, usageError{fmt.Errorf("import: --format is mitaka-transactions or csv, not %q", format)}
	case format == string(ingest.CSV) && mapFile == "":
		return o, usageError{errors.New("import: --format csv needs a mapping, --map FILE")}
	case format != string(ingest.CSV) && mapFile != "":
		return o, usageError{errors.New("import: --map goes with --format csv")}
	case mapFile != "":
		var err error
		if o.Mapping, err = ingest.LoadMapping(mapFile); err != nil {
			return o, err
		}
	}
	return o, nil
}

// printSummary accounts for every row that was read.
func (p *program) printSummary(what string, s ingest.Summary) {
	numbers.Fprintf(p.stdout, "%s: read %d = accepted %d + duplicate %d + quarantined %d\n",
		what, s.Read, s.Accepted, s.Duplicate, s.Quarantined)
	if s.Elapsed > 0 {
		numbers.Fprintf(p.stderr, "took %.1f s, %.0f rows/s\n", s.Elapsed.Seconds(), float64(s.Read)/s.Elapsed.Seconds())
	}
	if s.QuarantinePath != "" {
		fmt.Fprintf(p.stdout, "quarantine: %s\n", s.QuarantinePath)
	}
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
