package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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
	var format, lang string
	var intervals, needless bool
	var audience, reader string
	attack := &cobra.Command{
		Use:   "audit [FILE]",
		Short: "try to find out what released tables hide",
		Long: `Plays the attackers against all tables of a dossier together, and prints what they
find out. Without a file it takes everything in the register that an audience has
been given. The dossier and the report are the office's: they tell who paid what.

The exit code is 0 only when every hidden cell was shown to be protected. It is 1
when some is not, and also when the audit did not come to its end.`,
		Example: `  meguri gate audit
  meguri gate audit --audience recipient --reader acme
  meguri gate audit dossier.json --format json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := map[string]func(*audit.Report, io.Writer) error{
				"text": func(r *audit.Report, w io.Writer) error { return r.Text(w, lang) },
				"json": (*audit.Report).JSON,
			}[format]
			if !ok {
				return usageError{fmt.Errorf("gate audit: the format %q is not there: text or json", format)}
			}
			if lang != "ja" && lang != "en" {
				return usageError{fmt.Errorf("gate audit: the language %q is not there: ja or en", lang)}
			}
			look := func(name string, d *dossier.Dossier) error {
				r, err := audit.Audit(cmd.Context(), d, audit.Options{Intervals: intervals, Needless: needless})
				if err != nil {
					return fmt.Errorf("audit %s: %w", name, err)
				}
				if err := write(r, p.stdout); err != nil {
					return fmt.Errorf("write the report: %w", err)
				}
				if !r.Protected {
					return fmt.Errorf("%s must not be published: %d violations", name, len(r.Violations))
				}
				return nil
			}
			if len(args) == 1 {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				d, err := dossier.Read(f)
				if err != nil {
					return fmt.Errorf("read %s: %w", args[0], err)
				}
				return look(args[0], d)
			}
			return p.with(func(a *app) error {
				gate, err := a.gate(cmd.Context())
				if err != nil {
					return err
				}
				all, err := gate.Dossiers(cmd.Context(), disclosure.Audience(audience), reader)
				if err != nil {
					return err
				}
				if len(all) == 0 {
					fmt.Fprintf(p.stderr, "nothing was released to %s yet that stays as it is\n", audience)
				}
				var faults []error
				for i, d := range all {
					faults = append(faults, look(fmt.Sprintf("%s, group %d of %d", audience, i+1, len(all)), d))
				}
				return errors.Join(faults...)
			})
		},
	}
	attack.Flags().StringVar(&audience, "audience", string(disclosure.Public), "whose releases: public or recipient")
	attack.Flags().StringVar(&reader, "reader", "", "which recipient")
	attack.Flags().StringVar(&format, "format", "text", "text or json")
	attack.Flags().StringVar(&lang, "lang", "ja", "ja or en")
	attack.Flags().BoolVar(&intervals, "intervals", false, "work out the whole range of every hidden cell; this takes longer")
	attack.Flags().BoolVar(&needless, "needless", false, "list hidden cells that protect nothing; this takes an audit for each")
	gate.AddCommand(attack, p.gateRegisterCommand())
	return gate
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
				fmt.Fprintln(w, "released\trules\treader\tmetric\tcut\tfrom\tto\tcells\thidden\thash")
				err = register.All(cmd.Context(), func(r disclosure.Record) error {
					_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.At.In(time.Local).Format(time.DateTime), r.Rules, r.Reader, r.Metric,
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
				at := int64(0)
				err = register.All(cmd.Context(), func(r disclosure.Record) error {
					if at++; at != number {
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
					return fmt.Errorf("gate register show: there is no release %d; the last one is %d", number, at)
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
	fmt.Fprintf(w, "release\t%d\nreleased\t%s\nrules\t%s\nreader\t%s\nmetric\t%s\ncut\t%s\nwindow\t%s to %s\nhidden\t%d of %d (%.1f %%)\n",
		e.Number, r.At.In(time.Local).Format(time.DateTime), r.Rules, r.Reader, r.Metric, r.Cut, r.From, r.To, r.Hidden, r.Cells, 100*e.Share())
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
