package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"meguri/analytics/disclosure"
	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

func (p *program) gateCommand() *cobra.Command {
	gate := &cobra.Command{Use: "gate", Short: "what was released, and whether anybody can work back from it"}
	var a auditing
	attack := &cobra.Command{
		Use:   "audit [FILE]",
		Short: "try to find out what released tables hide",
		Long: `Plays the attackers against released tables, and prints what they find out. Without
a file it takes everything in the register, by who can put it together: the public,
each recipient, each two and all of them with what is public, the city, each shop.
With a file it takes the tables of a dossier. Dossiers and reports are the office's: they
tell who paid what.

The exit code is 0 only when every hidden cell was shown to be protected. It is 1
when some is not, and also when the audit did not come to its end, or a release
cannot be audited any more since its data have changed.`,
		Example: `  meguri gate audit
  meguri gate audit --reader acme
  meguri gate audit dossier.json --format json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.format != "text" && a.format != "json" {
				return usageError{fmt.Errorf("gate audit: the format %q is not there: text or json", a.format)}
			}
			if a.lang != "ja" && a.lang != "en" {
				return usageError{fmt.Errorf("gate audit: the language %q is not there: ja or en", a.lang)}
			}
			a.out = p.stdout
			ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
			defer cancel()
			if len(args) == 1 {
				return a.file(ctx, args[0])
			}
			return p.with(func(app *app) error {
				gate, err := app.gate(ctx)
				if err != nil {
					return err
				}
				all, err := gate.Holdings(ctx)
				if len(all) == 0 && err == nil {
					fmt.Fprintln(p.stderr, "nothing was released yet")
				}
				return errors.Join(err, a.holdings(ctx, all))
			})
		},
	}
	attack.Flags().StringVar(&a.reader, "reader", "", "only what this recipient has a part in, or public, city, or shop and its ID")
	attack.Flags().StringVar(&a.format, "format", "text", "text or json")
	attack.Flags().StringVar(&a.lang, "lang", "ja", "ja or en")
	attack.Flags().BoolVar(&a.intervals, "intervals", false, "work out the whole range of every hidden cell; this takes longer")
	attack.Flags().BoolVar(&a.needless, "needless", false, "list hidden cells that protect nothing; this takes an audit for each")
	attack.Flags().DurationVar(&a.timeout, "timeout", time.Hour, "the longest that it may take; what was not audited by then is not protected")
	gate.AddCommand(attack, p.gateRegisterCommand(), p.gateKeyCommand(), p.gateBudgetCommand())
	return gate
}

// auditing is how to audit, and where the reports go.
type auditing struct {
	out                  io.Writer
	reader, format, lang string
	intervals, needless  bool
	timeout              time.Duration
}

func (a *auditing) file(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := dossier.Read(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return a.look(ctx, name, d)
}

// holdings audits everything that readers have between them, to the end,
// whatever is found.
func (a *auditing) holdings(ctx context.Context, all []disclosure.Holding) error {
	var faults []error
	looked := false
	for _, h := range all {
		if a.reader != "" && !slices.Contains(h.Who, a.reader) {
			continue
		}
		looked = true
		for i, d := range h.Dossiers {
			faults = append(faults, a.look(ctx, fmt.Sprintf("%s, group %d of %d", strings.Join(h.Who, " with "), i+1, len(h.Dossiers)), d))
		}
	}
	if a.reader != "" && !looked {
		faults = append(faults, fmt.Errorf("gate audit: nothing that can be audited was released to %q", a.reader))
	}
	return errors.Join(faults...)
}

// look audits a dossier. It returns nil only when all in it is protected.
func (a *auditing) look(ctx context.Context, name string, d *dossier.Dossier) error {
	r, err := audit.Audit(ctx, d, audit.Options{Intervals: a.intervals, Needless: a.needless})
	if err != nil {
		return fmt.Errorf("audit %s: %w", name, err)
	}
	r.Of = name
	if err := map[string]func() error{
		"text": func() error { return r.Text(a.out, a.lang) },
		"json": func() error { return r.JSON(a.out) },
	}[a.format](); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if !r.Protected {
		return fmt.Errorf("%s: not protected: %d violations, in %s", name, len(r.Violations), strings.Join(violated(r), "; "))
	}
	return nil
}

// violated are the releases of a report's violations.
func violated(r *audit.Report) (releases []string) {
	for _, v := range r.Violations {
		for _, c := range v.Cells {
			releases = append(releases, c.Table)
		}
	}
	slices.Sort(releases)
	return slices.Compact(releases)
}

// attack refuses a release in which an attacker finds something.
func attack(ctx context.Context, d *dossier.Dossier) error {
	r, err := audit.Audit(ctx, d, audit.Options{})
	if err != nil {
		return err
	}
	if !r.Protected {
		return fmt.Errorf("the auditor finds %d violations", len(r.Violations))
	}
	return nil
}

func (p *program) gateRegisterCommand() *cobra.Command {
	register := &cobra.Command{
		Use:   "register",
		Short: "list what was released: when, to whom, by which rules, and its hash",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *app) error {
				register, err := a.register(cmd.Context())
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "no.\treleased\trules\tpurpose\treader\tmetric\tcut\tfrom\tto\tcells\thidden\thash")
				_, err = register.All(cmd.Context(), func(r disclosure.Record) error {
					_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.Number, r.At.In(time.Local).Format(time.DateTime), r.Rules, r.Purpose(), r.Reader, r.Metric,
						r.Cut, r.From, r.To, r.Cells, r.Hidden, r.Hash[:16])
					return err
				})
				return errors.Join(err, w.Flush())
			})
		},
	}
	register.AddCommand(p.gateShowCommand())
	return register
}

func (p *program) gateShowCommand() *cobra.Command {
	var reasons bool
	var format string
	show := &cobra.Command{
		Use:   "show ID",
		Short: "one release: how much it hides, and to the office why",
		Long: `Shows an entry of the register by its number. With --reasons it tells of every
hidden cell why it is hidden. Reasons are hints at the values: they are the
office's, and stand in nothing that others get.`,
		Example: `  meguri gate register show 12 --reasons`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || number < 1 {
				return usageError{fmt.Errorf("gate register show: the number of a release is 1 or more, not %q", args[0])}
			}
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("gate register show: the format %q is not there: text or json", format)}
			}
			return p.with(func(a *app) error {
				register, err := a.register(cmd.Context())
				if err != nil {
					return err
				}
				var found *disclosure.Explained
				last, err := register.All(cmd.Context(), func(r disclosure.Record) error {
					if r.Number != number {
						return nil
					}
					e, err := disclosure.Explain(number, r)
					found = &e
					return err
				})
				if err != nil {
					return err
				}
				if found == nil {
					return fmt.Errorf("gate register show: there is no release %d; the last one is %d", number, last)
				}
				if !reasons {
					found.Cells = nil
				}
				if format == "json" {
					out := json.NewEncoder(p.stdout)
					out.SetIndent("", "  ")
					return out.Encode(found)
				}
				return printRelease(p.stdout, *found)
			})
		},
	}
	show.Flags().BoolVar(&reasons, "reasons", false, "tell why each cell is hidden; for the office alone")
	show.Flags().StringVar(&format, "format", "text", "text or json")
	return show
}

func printRelease(out io.Writer, e disclosure.Explained) error {
	r := e.Record
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "release\t%d\nreleased\t%s\nrules\t%s\npurpose\t%s\nreader\t%s\nmetric\t%s\ncut\t%s\nwindow\t%s to %s\nhidden\t%d of %d (%.1f %%)\n",
		e.Number, r.At.In(time.Local).Format(time.DateTime), r.Rules, r.Purpose(), r.Reader, r.Metric, r.Cut, r.From, r.To, r.Hidden, r.Cells, 100*e.Share())
	for _, region := range e.Regions {
		if len(region.Areas) > 1 {
			fmt.Fprintf(w, "put together\t%s: %s\n", region.Dim, region.Name)
		}
	}
	for _, c := range e.Cells {
		fmt.Fprintf(w, "%s\t%s\n", strings.Join(c.Keys, " / "), c.Reason)
	}
	return w.Flush()
}
