package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"meguri/ledger/sqlstore"
)

func (p *program) serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "serve the APIs and the pages until interrupted",
		Long: `Serves the wallet, payment-data and statistics APIs, their documentation, and the
pages. Logs are JSON lines on standard error. It stops gracefully on SIGINT and
SIGTERM: requests that are running end first.

Client programs and staff are added with "meguri access".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *app) error {
				s, _, err := p.start(cmd.Context(), a)
				if err != nil {
					return err
				}
				if err := p.announce(s); err != nil {
					return errors.Join(err, s.stop())
				}
				a.logger.Info("serving", "address", s.address)
				if _, err := a.purpose(cmd.Context(), a.config.Purpose); err != nil {
					a.logger.Warn("no page of statistics can be opened", "reason", err.Error())
				}
				return s.wait(cmd.Context())
			})
		},
	}
	p.serverFlags(c)
	return c
}

func (p *program) serverFlags(c *cobra.Command) {
	c.Flags().StringVar(&p.flags.listen, "listen", "127.0.0.1:8080", "address to serve on; port 0 takes a free one")
	c.Flags().String("address-file", "", "file to write the address to once the server answers")
}

// collectAt is how much the heap may grow over what is in use before garbage is
// collected, in percent, unless GOGC says otherwise. What the ledger keeps from
// batch to batch stays, so each collection walks through it for nothing: a third
// of the usual number costs a few hundred MiB at most.
const collectAt = 300

// start opens the ledger and serves everything on the configured address. The
// guests it returns may call it.
func (p *program) start(ctx context.Context, a *app) (*service, *guests, error) {
	p.collectLess()
	store, err := a.ledger(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := p.checkDurable(ctx, a, store); err != nil {
		return nil, nil, err
	}
	who := &guests{Store: store}
	// The handler outlives ctx: requests that are running may still post.
	handler, err := a.handler(context.WithoutCancel(ctx), store, who)
	if err != nil {
		return nil, nil, err
	}
	s, err := listen(p.config.Listen, handler, a.logger)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range a.writers { // after a failure of the storage nothing may go on
		go func() {
			if err := w.Wait(); err != nil {
				s.failed <- err
			}
		}()
	}
	return s, who, nil
}

// checkDurable refuses a database that may lose what it has committed, unless
// nothing depends on it.
func (p *program) checkDurable(ctx context.Context, a *app, store *sqlstore.Store) error {
	if p.config.Profile != production && p.config.Profile != trial {
		return usageError{fmt.Errorf("profile %q is neither %s nor %s", p.config.Profile, production, trial)}
	}
	err := store.Durable(ctx)
	if err != nil && p.config.Profile == production {
		return fmt.Errorf("%w: change the setting, or set the profile %s if nothing depends on the data", err, trial)
	}
	if err != nil {
		a.logger.Warn("what is committed may be lost with the power", "reason", err.Error())
	}
	return nil
}

func (p *program) collectLess() {
	if p.getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}

// announce writes the address where the caller asked for it.
func (p *program) announce(s *service) error {
	if p.config.AddressFile == "" {
		return nil
	}
	if err := writeFile(p.config.AddressFile, func(w io.Writer) error {
		_, err := io.WriteString(w, s.address)
		return err
	}); err != nil {
		return fmt.Errorf("write address: %w", err)
	}
	return nil
}

// wait returns when the server fails, or has stopped because ctx ended.
func (s *service) wait(ctx context.Context) error {
	select {
	case err := <-s.failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return s.stop()
	}
}
