package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
	"meguri/pseudonymize"
)

func (p *program) pipelineCommand() *cobra.Command {
	var pull bool
	var from providerFlags
	c := &cobra.Command{
		Use:   "pipeline",
		Short: "pull new payments, pseudonymize what is new, and add it to the lake",
		Long: `Pulls what is new from the ledger through the standard payment-data API, then
takes everything that was imported or pulled and is not in the lake yet through
pseudonymization into the lake. It may be stopped at any time and run again:
nothing is lost and nothing is counted twice.

By default the API is served for the run itself on a local port. With --url it
is the one of a running server, called with the token in MEGURI_TOKEN.`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&pull, "pull", true, "pull from the ledger first")
	c.Flags().StringVar(&from.url, "url", "", "address of a running server, http://host:port")
	c.Flags().BoolVar(&from.attributes, "attributes", true, "the server has residents and shops too, as ours has")
	policyFile := c.Flags().String("policy", "", "field policy (YAML) instead of the one that comes with the program")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		keys, err := p.readKeys()
		if err != nil {
			return err
		}
		policy := pseudonymize.PaymentPolicy()
		if *policyFile != "" {
			if policy, err = readPolicy(*policyFile); err != nil {
				return err
			}
		}
		p.quiet()
		return p.with(func(a *app) error {
			importer, err := a.importer(ctx)
			if err != nil {
				return err
			}
			if pull {
				if err := p.pull(ctx, a, importer, from); err != nil {
					return err
				}
			}
			return p.pipeline(ctx, a, importer, keys, policy)
		})
	}
	return c
}

// providerFlags say where payments are pulled from.
type providerFlags struct {
	url        string // empty: from our own ledger, served for the run
	token      string
	attributes bool
}

// pull takes payments in over HTTP, from a running server or from one of its
// own.
func (p *program) pull(ctx context.Context, a *app, importer *ingest.Importer, from providerFlags) error {
	if from.url != "" {
		from.token = p.getenv("MEGURI_TOKEN")
		return p.pullFrom(ctx, importer, from)
	}
	store, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	guests := &guests{Store: store}
	handler, err := a.handler(ctx, store, guests)
	if err != nil {
		return err
	}
	s, err := listen("127.0.0.1:0", handler, a.logger)
	if err != nil {
		return err
	}
	return errors.Join(p.pullFrom(ctx, importer, guests.pipeline(s.address)), s.stop())
}

func (p *program) pullFrom(ctx context.Context, importer *ingest.Importer, from providerFlags) error {
	provider, err := ingest.Connect(p.config.Provider, from.url, from.token, &http.Client{Timeout: time.Minute})
	if err != nil {
		return err
	}
	if !from.attributes {
		provider.Wallet = nil
	}
	bar := p.progress("pull")
	summary, err := importer.Pull(ctx, provider, func(records int64) { bar.show(0, 0, records, "records") })
	bar.end()
	if err != nil {
		return err
	}
	p.printSummary("pulled from "+p.config.Provider, summary)
	return nil
}

func (p *program) pipeline(ctx context.Context, a *app, importer *ingest.Importer, keys *pseudonymize.Keyset, policy pseudonymize.Policy) error {
	bar := p.progress("pseudonymize")
	run := &ingest.Pipeline{
		Importer: importer, Lake: a.lake(), City: a.config.CityCode, Keys: keys, Policy: policy, Now: time.Now,
		Progress: func(rows, of int64) { bar.show(rows, of, rows, "rows") },
	}
	result, err := run.Run(ctx)
	bar.end()
	if err != nil {
		return err
	}
	numbers.Fprintf(p.stdout, "lake: snapshot %d, %d rows (%d new, %d of test users left out)\n",
		result.Snapshot, result.Total, result.Rows, result.Excluded)
	return nil
}
