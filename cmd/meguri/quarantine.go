package main

import (
	"errors"
	"fmt"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
)

func (p *program) quarantineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "quarantine",
		Short: "see what waits in quarantine, take corrected rows in, or discard them with a reason",
		Long: `Rows that could not be taken in wait in quarantine files, one for each import.
Correct the last column of a file in a spreadsheet, in place or in a copy, and
retry it; rows that still do not hold come into a new quarantine file. What
nobody will correct is discarded with a reason. The register keeps who did what
and when; files stay until the office erases them by its rules.`,
	}
	c.AddCommand(p.quarantineListCommand(), p.quarantineShowCommand(), p.quarantineRetryCommand(), p.quarantineDiscardCommand())
	return c
}

func (p *program) quarantineListCommand() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "list",
		Short: "list the quarantine files that are open",
		Args:  cobra.NoArgs,
	}
	c.Flags().BoolVar(&all, "all", false, "those that were retried or discarded too")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withImporter(cmd, func(importer *ingest.Importer) error {
			list, err := importer.Quarantines(cmd.Context())
			if err != nil {
				return err
			}
			for _, q := range list {
				if q.State != ingest.QuarantineOpen && !all {
					continue
				}
				numbers.Fprintf(p.stdout, "%s  %-9s  %s  %s  %s: %d rows", q.ImportID, q.State, q.Source, q.Dataset, q.File, q.Rows)
				if q.State != ingest.QuarantineOpen {
					fmt.Fprintf(p.stdout, "  (%s, %s", q.ChangedBy, q.ChangedAt.In(time.Local).Format("2006-01-02 15:04"))
					if q.Reason != "" {
						fmt.Fprintf(p.stdout, ": %s", q.Reason)
					}
					if q.RetriedAs != "" {
						fmt.Fprintf(p.stdout, ", as import %s", q.RetriedAs)
					}
					fmt.Fprint(p.stdout, ")")
				}
				fmt.Fprintln(p.stdout)
			}
			return nil
		})
	}
	return c
}

func (p *program) quarantineShowCommand() *cobra.Command {
	rows := false
	c := &cobra.Command{
		Use:   "show ID",
		Short: "show line, field, problem and remedy of each row",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&rows, "rows", false, "the rows themselves too: these are personal data")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withImporter(cmd, func(importer *ingest.Importer) error {
			return importer.Show(cmd.Context(), args[0], func(r ingest.QuarantineRow) error {
				fmt.Fprintf(p.stdout, "line %d", r.Line)
				if r.Field != "" {
					fmt.Fprintf(p.stdout, ", %s", r.Field)
				}
				fmt.Fprintf(p.stdout, ": %s: %s\n", r.Problem, r.Remedy)
				if rows {
					fmt.Fprintf(p.stdout, "    %s\n", r.Row)
				}
				return nil
			})
		})
	}
	return c
}

func (p *program) quarantineRetryCommand() *cobra.Command {
	var file, by string
	c := &cobra.Command{
		Use:   "retry ID",
		Short: "take in the rows that were corrected in the quarantine file's last column",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&file, "file", "", "a corrected copy, instead of the quarantine file itself")
	c.Flags().StringVar(&by, "by", "", "who does it (default: the user of this machine)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withImporter(cmd, func(importer *ingest.Importer) error {
			summary, err := importer.Retry(cmd.Context(), args[0], file, orElse(by, userName()))
			if summary.Read > 0 || err == nil {
				p.printSummary(args[0], summary)
			}
			return err
		})
	}
	return c
}

func (p *program) quarantineDiscardCommand() *cobra.Command {
	var reason, by string
	c := &cobra.Command{
		Use:   "discard ID",
		Short: "close a quarantine file whose rows nobody will correct",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&reason, "reason", "", "why; it is kept")
	c.Flags().StringVar(&by, "by", "", "who does it (default: the user of this machine)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if reason == "" {
			return usageError{errors.New("quarantine discard: why? --reason TEXT")}
		}
		return p.withImporter(cmd, func(importer *ingest.Importer) error {
			if err := importer.Discard(cmd.Context(), args[0], orElse(by, userName()), reason); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: discarded; its file stays: %s\n", args[0], importer.QuarantinePath(args[0]))
			return nil
		})
	}
	return c
}

// withImporter runs a command's work on the importer of the data folder.
func (p *program) withImporter(cmd *cobra.Command, work func(*ingest.Importer) error) error {
	return p.with(func(a *app) error {
		importer, err := a.importer(cmd.Context())
		if err != nil {
			return err
		}
		return work(importer)
	})
}

func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}
