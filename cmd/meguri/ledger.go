package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"meguri/ledger"
	"meguri/ledger/sqlstore"
)

func (p *program) ledgerCommand() *cobra.Command {
	books := &cobra.Command{Use: "ledger", Short: "verify the books, and export them for another program to check"}
	over := func(what string, work func(context.Context, *sqlstore.Store, func(int64)) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *app) error {
				store, err := a.ledger(cmd.Context())
				if err != nil {
					return err
				}
				bar := p.progress(what)
				defer bar.end()
				return work(cmd.Context(), store, func(entries int64) { bar.show(0, 0, entries, "entries") })
			})
		}
	}
	books.AddCommand(&cobra.Command{
		Use:   "verify",
		Short: "recompute the whole ledger and name the first fault",
		Long: `Goes through every entry: the sequence without a gap, ledger time, both balances
after each entry, zero sum per programme, cancels against their payments, the
chain of seals, and the stored accounts. It prints the last seal: keep it apart,
and a later run that goes through the same seal shows that nothing before it was
changed.`,
		Args: cobra.NoArgs,
		RunE: over("verify", func(ctx context.Context, store *sqlstore.Store, progress func(int64)) error {
			audit, err := ledger.Verify(ctx, store, progress)
			if err != nil {
				return err
			}
			numbers.Fprintf(p.stdout, "the ledger is right: %d transactions, %d entries, %d batches, %d accounts\n",
				audit.Transactions, audit.Entries, audit.Batches, audit.Accounts)
			fmt.Fprintf(p.stdout, "seal %s\n", orElse(audit.Seal, "none"))
			return nil
		}),
	})
	var format, out string
	export := &cobra.Command{
		Use:   "export",
		Short: "write the ledger as a journal, with every balance asserted",
		Long: `Writes a journal in the format of hledger, a free program for double-entry
accounts: "hledger -f FILE check" then checks every balance without any code of
ours.`,
		Args: cobra.NoArgs,
	}
	export.RunE = func(cmd *cobra.Command, args []string) error {
		if format != "hledger" || out == "" {
			return usageError{errors.New("ledger export: give --format hledger and --out FILE")}
		}
		return over("export", func(ctx context.Context, store *sqlstore.Store, progress func(int64)) error {
			if err := writeFile(out, func(w io.Writer) error { return ledger.WriteJournal(ctx, w, store, progress) }); err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, out)
			return nil
		})(cmd, args)
	}
	export.Flags().StringVar(&format, "format", "hledger", "hledger")
	export.Flags().StringVarP(&out, "out", "o", "", "file to write")
	books.AddCommand(export)
	return books
}
