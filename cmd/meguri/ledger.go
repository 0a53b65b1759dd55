package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/sqlstore"
)

func (p *program) ledgerCommand() *cobra.Command {
	books := &cobra.Command{Use: "ledger", Short: "verify, export and read the books; close a period, book what has expired"}
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
	books.AddCommand(export, p.balanceCommand(), p.statementCommand(), p.closeCommand(), p.expireCommand())
	return books
}

func (p *program) balanceCommand() *cobra.Command {
	var at string
	c := &cobra.Command{
		Use:   "balance ACCOUNT",
		Short: "show what stands on an account, now or at an instant",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			instant := time.Time{}
			if at != "" {
				var err error
				if instant, err = time.Parse(time.RFC3339, at); err != nil {
					return usageError{fmt.Errorf("ledger balance: --at is a time like 2026-11-20T18:00:00+09:00, not %q", at)}
				}
			}
			return p.with(func(a *app) error {
				store, err := a.ledger(cmd.Context())
				if err != nil {
					return err
				}
				id := ledger.AccountID(args[0])
				if at != "" {
					value, seq, err := store.ValueAt(cmd.Context(), id, instant)
					if err != nil {
						return fmt.Errorf("account %s: %w", id, err)
					}
					numbers.Fprintf(p.stdout, "%d yen after entry %d\n", value, seq)
					return nil
				}
				b, err := store.Balance(cmd.Context(), id)
				if err != nil {
					return fmt.Errorf("account %s: %w", id, err)
				}
				numbers.Fprintf(p.stdout, "%d yen, %d held, %d entries, closed: %t\n", b.Value(), b.HeldDebits+b.HeldCredits, b.Version, b.Closed)
				return nil
			})
		},
	}
	c.Flags().StringVar(&at, "at", "", "instant of ledger time, RFC 3339")
	return c
}

func (p *program) statementCommand() *cobra.Command {
	var before int64
	var limit int
	c := &cobra.Command{
		Use:   "statement ACCOUNT",
		Short: "list an account's entries as CSV, the last first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.with(func(a *app) error {
				store, err := a.ledger(cmd.Context())
				if err != nil {
					return err
				}
				id := ledger.AccountID(args[0])
				lines, err := store.Statement(cmd.Context(), id, ledger.Seq(before), limit)
				if err != nil {
					return fmt.Errorf("account %s: %w", id, err)
				}
				w := csv.NewWriter(p.stdout)
				_ = w.Write([]string{"seq", "ledger_at", "business_on", "kind", "transaction", "amount_yen", "balance_yen", "other_account"})
				for i := range lines {
					l := &lines[i]
					amount, after, other := l.Amount, l.CreditAfter, l.Debit
					if l.Debit == id {
						amount, after, other = -l.Amount, l.DebitAfter, l.Credit
					}
					_ = w.Write([]string{fmt.Sprint(l.Seq), l.LedgerAt.In(ledger.Tokyo).Format(time.RFC3339), l.BusinessOn, string(l.Kind),
						l.Transaction, fmt.Sprint(amount), fmt.Sprint(after), string(other)})
				}
				w.Flush()
				return w.Error() // also of every Write
			})
		},
	}
	c.Flags().Int64Var(&before, "before", 0, "go on before this sequence number")
	c.Flags().IntVar(&limit, "limit", 100, "how many entries")
	return c
}

// desk runs work at a counter of its own: several processes may write.
func (p *program) desk(ctx context.Context, work func(*sqlstore.Store, *programme.Desk) error) error {
	return p.with(func(a *app) error {
		store, err := a.ledger(ctx)
		if err != nil {
			return err
		}
		writer := a.writer(ctx, store)
		return work(store, &programme.Desk{Programmes: store, Ledger: store, Poster: writer, Now: time.Now})
	})
}

func (p *program) closeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "close PROGRAMME LAST-DAY",
		Short: "close a settlement period: nothing enters it any more",
		Long: `Fixes what belongs to the settlement period that ends on a day, for example
2026-11-20: every shop's takings of it become payable, and nothing enters it any
more. What is paid afterwards goes to the next period. Doing it again gives the
same answer and changes nothing.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.desk(cmd.Context(), func(store *sqlstore.Store, desk *programme.Desk) error {
				id := ledger.DerivedID("close", args...)
				o, err := desk.Close(cmd.Context(), programme.Origin{ID: id, Actor: "office"}, ledger.ProgrammeID(args[0]), args[1])
				if err != nil {
					return fmt.Errorf("close %s %s: %w", args[0], args[1], err)
				}
				numbers.Fprintf(p.stdout, "closed at entry %d: %d yen of %d shops are payable\n",
					o.Posted.Closed.Cut, o.Posted.Total(), len(o.Posted.Entries))
				return nil
			})
		},
	}
}

func (p *program) expireCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "expire PROGRAMME",
		Short: "book what has passed its last day of use as expired",
		Long: `Moves what stands on lots whose last day of use is over to the programme's
expired account. It changes no decision: expired value cannot be spent, whether or
not it was moved. Doing it again changes nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.desk(cmd.Context(), func(store *sqlstore.Store, desk *programme.Desk) error {
				bar := p.progress("expire")
				defer bar.end()
				n, yen, err := desk.Expire(cmd.Context(), store, "office", ledger.ProgrammeID(args[0]), func(lots int64) { bar.show(0, 0, lots, "lots") })
				if err != nil {
					return err
				}
				numbers.Fprintf(p.stdout, "%d lots, %d yen\n", n, yen)
				return nil
			})
		},
	}
}
