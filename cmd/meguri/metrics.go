package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports"
)

func (p *program) metricsCommand() *cobra.Command {
	metrics := &cobra.Command{Use: "metrics", Short: "list, explain and compute metrics over the lake"}
	metrics.AddCommand(p.metricsListCommand(), p.metricsShowCommand(), p.metricsRunCommand())
	return metrics
}

func (p *program) metricsListCommand() *cobra.Command {
	var format, lang string
	c := &cobra.Command{
		Use: "list", Short: "list the metrics", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if format == "json" {
				return printJSON(p.stdout, analytics.Metrics)
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			for _, m := range analytics.Metrics {
				name := m.Ja
				if lang == "en" {
					name = m.En
				}
				fmt.Fprintf(w, "%s\t%s\n", m.ID, name)
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table or json")
	c.Flags().StringVar(&lang, "lang", "ja", "ja or en")
	return c
}

func (p *program) metricsShowCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "show METRIC", Short: "explain a metric: formula, unit, window, source", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := analytics.MetricByID(args[0])
			if err != nil {
				return fmt.Errorf("%w: \"meguri metrics list\" has them all", err)
			}
			if format == "json" {
				return printJSON(p.stdout, m)
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			for _, row := range [][2]string{
				{"id", m.ID}, {"name", m.Ja + " / " + m.En}, {"formula", m.Formula}, {"", m.FormulaJa}, {"rule", m.Rule}, {"", m.RuleJa},
				{"window", m.Window}, {"", m.WindowJa}, {"as of", m.AsOf}, {"", m.AsOfJa}, {"source", m.Source}, {"cuts", strings.Join(m.Cuts, ", ")},
			} {
				fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
			}
			for _, c := range m.Measures {
				fmt.Fprintf(w, "measure\t%s (%s): %s / %s\n", c.Name, c.Unit, c.Ja, c.En)
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table or json")
	return c
}

func (p *program) metricsRunCommand() *cobra.Command {
	var q analytics.Query
	var format, lang, audience string
	c := &cobra.Command{
		Use:   "run METRIC",
		Short: "compute a metric; what comes out has passed the gate",
		Long: `Computes a metric over the lake. Days are inclusive, in Asia/Tokyo. Cells with
too few persons behind them are hidden (秘匿) by the rule set of the audience.`,
		Example: `  meguri metrics run M07 --from 2024-06-01 --to 2024-06-30
  meguri metrics run M01a --from 2024-06-01 --to 2024-06-30 --by week,industry --format csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Metric = args[0]
			print, ok := map[string]func(io.Writer, disclosure.Released) error{
				"table": func(w io.Writer, r disclosure.Released) error { return reports.Text(w, r, lang) },
				"csv":   func(w io.Writer, r disclosure.Released) error { return reports.CSV(w, r, lang) },
				"json":  reports.JSON,
			}[format]
			if !ok {
				return usageError{fmt.Errorf("metrics run: --format is table, json or csv, not %q", format)}
			}
			if _, err := analytics.MetricByID(q.Metric); err != nil {
				return fmt.Errorf("%w: \"meguri metrics list\" has them all", err)
			}
			return p.with(func(a *app) error {
				from, to := a.period()
				q.From, q.To = orElse(q.From, from), orElse(q.To, to)
				p.sayIfLarge(a)
				gate, err := a.gate(cmd.Context())
				if err != nil {
					return err
				}
				released, err := gate.Release(cmd.Context(), q, disclosure.Audience(audience))
				if err != nil {
					return err
				}
				return print(p.stdout, released)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&q.From, "from", "", "first day, YYYY-MM-DD (default: the data's first month)")
	f.StringVar(&q.To, "to", "", "last day, YYYY-MM-DD (default: the data's last month)")
	f.StringVar(&q.Shop, "shop", "", "only this shop")
	f.StringSliceVar(&q.By, "by", nil, "cuts: "+cutNames())
	f.StringVar(&q.Visit, "visit", "day", "what a repeated visit is: day or payment")
	f.StringVar(&q.SeenTo, "seen-to", "", "M08: last day of the base (default: the last day of the window)")
	f.BoolVar(&q.Zero, "zero-yen", false, "count payments of 0 yen too")
	f.StringVar(&format, "format", "table", "table, json or csv")
	f.StringVar(&lang, "lang", "ja", "ja or en")
	f.StringVar(&audience, "audience", string(disclosure.City), "whose rule set: city, shop or public")
	return forPurpose(c)
}

// sayIfLarge tells what takes its time, where that is more than two seconds.
func (p *program) sayIfLarge(a *app) {
	if m, err := a.lake().Manifest(); err == nil && m.Rows("payments") > 2_000_000 {
		numbers.Fprintf(p.stderr, "reading the lake: %d rows\n", m.Rows("payments"))
	}
}

func cutNames() string {
	names := make([]string, len(analytics.Dimensions))
	for i, d := range analytics.Dimensions {
		names[i] = d.Name
	}
	return strings.Join(names, ", ")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
