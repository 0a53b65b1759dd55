package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"meguri/ingest"
)

// datasetArg finds the dataset that a call names.
func datasetArg(name string) (*ingest.Dataset, error) {
	var names []string
	for _, d := range ingest.Datasets() {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return nil, usageError{fmt.Errorf("import: there is no dataset %q: it is one of %s; for payments, persons and shops see \"meguri import --maps\"",
		name, strings.Join(names, ", "))}
}

func (p *program) sampleCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "sample DATASET",
		Short: "print a small file of a dataset, to see what it looks like",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := datasetArg(args[0])
			if err != nil {
				return err
			}
			return d.WriteSample(p.stdout, ingest.Format(format))
		},
	}
	c.Flags().StringVar(&format, "format", string(ingest.CSV), "csv or jsonl")
	return c
}

func (p *program) templateCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "template DATASET",
		Short: "print a mapping document for a dataset, to start from",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := datasetArg(args[0])
			if err != nil {
				return err
			}
			switch f := ingest.Format(format); f {
			case ingest.CSV, ingest.JSONL, ingest.Parquet:
				_, err = fmt.Fprint(p.stdout, d.Template(f))
				return err
			}
			return usageError{fmt.Errorf("import: --format is csv, jsonl or parquet, not %q", format)}
		},
	}
	c.Flags().StringVar(&format, "format", string(ingest.CSV), "csv, jsonl or parquet")
	return c
}

func (p *program) datasetsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "datasets",
		Short: "print what each dataset holds, as a page of Markdown",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return ingest.WriteDocument(p.stdout) },
	}
}
