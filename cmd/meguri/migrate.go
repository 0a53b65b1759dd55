package main

import (
	"fmt"

	"github.com/spf13/cobra"

	recipientstore "meguri/analytics/recipient/sqlstore"
	consentstore "meguri/ingest/consent/sqlstore"
	"meguri/internal/sqldb"
)

func (p *program) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "bring the databases up to date, and list every step with its note",
		Long:  "Brings the databases up to date. Every other command does so too when it starts; this one shows the steps.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *app) error {
				ledger, err := a.ledger(cmd.Context())
				if err != nil {
					return err
				}
				personal, err := a.ingestStore(cmd.Context())
				if err != nil {
					return err
				}
				releases, err := a.register(cmd.Context())
				if err != nil {
					return err
				}
				accounts, err := a.accounts(cmd.Context())
				if err != nil {
					return err
				}
				analysts, err := a.analysts(cmd.Context())
				if err != nil {
					return err
				}
				desk, err := a.recipients(cmd.Context())
				if err != nil {
					return err
				}
				consents, err := a.consents(cmd.Context())
				if err != nil {
					return err
				}
				for _, part := range []struct {
					name  string
					steps []sqldb.Migration
				}{{"ledger", ledger.Migrations()}, {"ingest", personal.Migrations()}, {"releases", releases.Migrations()}, {"budget", accounts.Migrations()}, {"analysts", analysts.Migrations()},
					{"recipients", desk.Store.(*recipientstore.Store).Migrations()},
					{"consent", consents.Store.(*consentstore.Store).Migrations()}} {
					for _, m := range part.steps {
						state := "was there"
						if m.Applied {
							state = "applied"
						}
						fmt.Fprintf(p.stdout, "%s %s: %s\n  %s\n", part.name, m.Name, state, m.Note)
					}
				}
				return nil
			})
		},
	}
}
