package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
)

func (p *program) linkCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "link", Short: "突合：決済事業者の利用者を住民に結びつける / say which resident a provider's person is",
		Long: `データ元ごとの利用者の番号を、住民の番号に結びつけます。結びつけは個人データのうちに行い、仮名加工のあとには行いません。
meguri.yaml の linked に挙げたデータ元の行は、結びつくまで待ち、結びつくと次の pipeline で入ります。

Joins the persons of a source to residents, on the personal plane. Rows of the
sources that "linked" lists in meguri.yaml wait until their person is linked.`,
	}
	c.AddCommand(p.linkImport(), p.linkList(), p.linkWaiting())
	return c
}

var linkHeader = []string{"source", "person_id", "to_source", "to_id"}

func (p *program) linkImport() *cobra.Command {
	var who string
	return by(&cobra.Command{
		Use: "import FILE.csv", Short: "結びつけを取り込む / take links in",
		Long: `CSVの列は source,person_id,to_source,to_id です。to_source と to_id が空の行は、結びつけを解きます。
一行でも誤りがあれば、何も取り込みません。

Columns: source,person_id,to_source,to_id. A row without the last two ends a link.
Nothing is taken in when a row does not hold.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }() // it was only read
			links, err := readLinks(f)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return p.with(func(a *app) error {
				importer, err := a.importer(cmd.Context())
				if err != nil {
					return err
				}
				if err := importer.PutLinks(cmd.Context(), links, who, time.Now()); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				numbers.Fprintf(p.stdout, "%d links taken in\n", len(links))
				return nil
			})
		},
	}, &who)
}

// readLinks reads a CSV of links. Errors name the line and no value.
func readLinks(r io.Reader) ([]ingest.Link, error) {
	rows := csv.NewReader(r)
	header, err := rows.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line 1: %w", errNoCSV)
	}
	if len(header) > 0 {
		header[0] = trimBOM(header[0])
	}
	if !slices.Equal(header, linkHeader) {
		return nil, fmt.Errorf("line 1: the columns must be %v", linkHeader)
	}
	var links []ingest.Link
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := rows.FieldPos(0)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, errNoCSV)
		}
		if row[0] == "" || row[1] == "" || (row[2] == "") != (row[3] == "") {
			return nil, fmt.Errorf("line %d: fill in source and person_id, and either both of to_source and to_id or neither", line)
		}
		links = append(links, ingest.Link{Source: row[0], PersonID: row[1], ToSource: row[2], ToID: row[3]})
	}
	if len(links) == 0 {
		return nil, errors.New("there are no rows")
	}
	return links, nil
}

var errNoCSV = errors.New("this is no row of CSV with four fields: check quotes and commas")

func trimBOM(s string) string {
	const bom = "\ufeff"
	if len(s) >= len(bom) && s[:len(bom)] == bom {
		return s[len(bom):]
	}
	return s
}

func (p *program) linkList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "結びつけの記録をCSVで表示する / list links as CSV", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *app) error {
				importer, err := a.importer(cmd.Context())
				if err != nil {
					return err
				}
				links, err := importer.Links(cmd.Context())
				if err != nil {
					return err
				}
				w := csv.NewWriter(p.stdout)
				_ = w.Write(append(slices.Clone(linkHeader), "linked_at", "by")) // Flush tells
				for _, l := range links {
					_ = w.Write([]string{l.Source, l.PersonID, l.ToSource, l.ToID, l.At.Format(time.RFC3339), l.By})
				}
				w.Flush()
				return w.Error()
			})
		},
	}
}

func (p *program) linkWaiting() *cobra.Command {
	return &cobra.Command{
		Use: "waiting", Short: "待っている行をデータの種類ごとに数える / count the rows that wait, by dataset", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *app) error { return p.waiting(cmd.Context(), a) })
		},
	}
}

// waiting tells what the pipeline holds, and for which persons: their numbers
// are written to a file of the personal plane alone.
func (p *program) waiting(ctx context.Context, a *app) error {
	m, err := a.lake().Manifest()
	if err != nil {
		return err
	}
	count := map[string][2]int64{}
	for _, h := range m.Held {
		n := count[h.Dataset]
		count[h.Dataset] = [2]int64{n[0] + h.Unlinked, n[1] + h.Uncovered}
	}
	if len(count) == 0 {
		fmt.Fprintln(p.stdout, "nothing waits")
		return ctx.Err()
	}
	fmt.Fprintln(p.stdout, "dataset\tfor a link\tfor a legal basis")
	for _, dataset := range slices.Sorted(maps.Keys(count)) {
		numbers.Fprintf(p.stdout, "%s\t%d\t%d\n", dataset, count[dataset][0], count[dataset][1])
	}
	return nil
}
