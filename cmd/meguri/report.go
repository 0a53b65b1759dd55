package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"meguri/reports"
)

func (p *program) reportCommand() *cobra.Command {
	report := &cobra.Command{Use: "report", Short: "write reports: the city's EBPM page, a shop's two pages"}
	var out, lang, from, to string
	flags := func(c *cobra.Command) *cobra.Command {
		c.Flags().StringVarP(&out, "out", "o", "", "file to write; a shop's report may end in .pdf")
		c.Flags().StringVar(&lang, "lang", "ja", "ja or en")
		c.Flags().StringVar(&from, "from", "", "first day, YYYY-MM-DD (default: the data's first month)")
		c.Flags().StringVar(&to, "to", "", "last day, YYYY-MM-DD (default: the data's last month)")
		return forPurpose(c)
	}
	with := func(ctx context.Context, write func(context.Context, *app, reports.Options) (func(io.Writer) error, error)) (err error) {
		if out == "" {
			return usageError{errors.New("report: where to? give --out FILE.html or FILE.pdf")}
		}
		return p.with(func(a *app) error {
			first, last := a.period()
			render, err := write(ctx, a, reports.Options{
				Lang: lang, Demo: p.config.Demo, City: p.config.City, Programme: p.config.Programme,
				From: orElse(from, first), To: orElse(to, last),
			})
			if err != nil {
				return err
			}
			if err := writeFile(out, render); err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, out)
			return nil
		})
	}
	report.AddCommand(flags(&cobra.Command{
		Use: "ebpm", Short: "write the city's page (HTML)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.HasSuffix(out, ".pdf") {
				return usageError{errors.New("report: the city's page is HTML: give --out FILE.html, and print it from a browser")}
			}
			return with(cmd.Context(), func(ctx context.Context, a *app, o reports.Options) (func(io.Writer) error, error) {
				gate, err := a.gate(cmd.Context())
				if err != nil {
					return nil, err
				}
				page, err := reports.BuildEBPM(ctx, gate, o)
				return page.HTML, err
			})
		},
	}), flags(&cobra.Command{
		Use: "shop SHOP", Short: "write a shop's report (HTML or PDF)", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return with(cmd.Context(), func(ctx context.Context, a *app, o reports.Options) (func(io.Writer) error, error) {
				name, industry, err := a.shop(ctx, args[0])
				if err != nil {
					return nil, err
				}
				gate, err := a.gate(cmd.Context())
				if err != nil {
					return nil, err
				}
				shop, err := reports.BuildShop(ctx, gate, args[0], name, industry, o)
				if strings.HasSuffix(out, ".pdf") {
					return shop.PDF, err
				}
				return shop.HTML, err
			})
		},
	}))
	return report
}

// shop finds a registered shop's name and industry.
func (a *app) shop(ctx context.Context, id string) (name, industry string, err error) {
	store, err := a.ledger(ctx)
	if err != nil {
		return "", "", err
	}
	s, err := store.Shop(ctx, id)
	if err != nil {
		return "", "", fmt.Errorf("shop %s: %w", id, err)
	}
	return s.Name, s.Industry, nil
}

// writeFile puts a document in place when it is whole.
func writeFile(path string, render func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".meguri-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = errors.Join(render(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
