package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

func (p *program) gateCommand() *cobra.Command {
	gate := &cobra.Command{Use: "gate", Short: "attack what is to be published, as an outsider and as every respondent"}
	var format, lang string
	var intervals bool
	attack := &cobra.Command{
		Use:   "audit FILE",
		Short: "try to find out what a dossier's tables hide",
		Long: `Reads a dossier, plays the attackers against all of its tables together, and
prints what they find out. The dossier and the report are the office's: they tell
who paid what.

The exit code is 0 only when every hidden cell was shown to be protected. It is 1
when some is not, and also when the audit did not come to its end.`,
		Args: cobra.ExactArgs(1),
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
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			d, err := dossier.Read(f)
			if err != nil {
				return fmt.Errorf("read %s: %w", args[0], err)
			}
			r, err := audit.Audit(cmd.Context(), d, audit.Options{Intervals: intervals})
			if err != nil {
				return fmt.Errorf("audit %s: %w", args[0], err)
			}
			if err := write(r, p.stdout); err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			if !r.Protected {
				return fmt.Errorf("%s must not be published: %d violations", args[0], len(r.Violations))
			}
			return nil
		},
	}
	attack.Flags().StringVar(&format, "format", "text", "text or json")
	attack.Flags().StringVar(&lang, "lang", "ja", "ja or en")
	attack.Flags().BoolVar(&intervals, "intervals", false, "work out the whole range of every hidden cell; this takes longer")
	gate.AddCommand(attack)
	return gate
}
