package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"meguri/analytics/disclosure"
	"meguri/analytics/disclosure/perturb"
	registerstore "meguri/analytics/disclosure/sqlstore"
	"meguri/analytics/recipient"
	"meguri/pseudonymize"
)

const releaseFormat = "meguri-release-key-1"

func (p *program) releaseKeyPath() string {
	return filepath.Join(p.config.Dir, "keys", "release.json")
}

func (p *program) gateKeyCommand() *cobra.Command {
	key := &cobra.Command{Use: "key", Short: "make and show the release key that counts are perturbed with"}
	var params perturb.Params
	var variance string
	init := &cobra.Command{
		Use:   "init",
		Short: "make a release key and its table of probabilities, sealed under the passphrase",
		Long: `Makes keys/release.json in the data folder: a random key, and the table that says how
far a count moves with which probability. Both stay as they are: with others, what
was published could not be repeated, and two noises of one figure could be averaged.
So an existing key is never replaced. Keep a copy with the keyset's.

The largest deviation and the variance are secret, like the p of the p % rule.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v, ok := new(big.Rat).SetString(variance)
			if !ok || len(variance) > 20 {
				return usageError{fmt.Errorf("gate key init: the variance %q is no number", variance)}
			}
			params.Variance = v
			release, err := perturb.NewRelease(params)
			if err != nil {
				return usageError{fmt.Errorf("gate key init: %w", err)}
			}
			passphrase, err := p.passphrase(true)
			if err != nil {
				return err
			}
			document, err := release.Document()
			if err != nil {
				return err
			}
			var sealed bytes.Buffer
			if err := pseudonymize.Seal(&sealed, passphrase, releaseFormat, document); err != nil {
				return err
			}
			if err := writeNew(p.releaseKeyPath(), sealed.Bytes()); err != nil {
				if errors.Is(err, fs.ErrExist) {
					return fmt.Errorf("%s exists: a release key is never replaced, since what was published could not be repeated", p.releaseKeyPath())
				}
				return fmt.Errorf("make release key: %w", err)
			}
			fmt.Fprintf(p.stdout, "made %s (id %s)\n", p.releaseKeyPath(), release.ID())
			return nil
		},
	}
	init.Flags().Int64Var(&params.Deviation, "deviation", 5, "no count moves by more, 1 to 200")
	init.Flags().StringVar(&variance, "variance", "3", "of the noise: a number or a fraction")
	init.Flags().Int64Var(&params.Forbidden, "forbidden", 2, "counts from 1 to this are never published")
	show := &cobra.Command{
		Use: "show", Short: "show the release key's id, and never the key", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			release, err := p.readReleaseKey()
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "release key\t%s\nid\t%s\n", p.releaseKeyPath(), release.ID())
			return nil
		},
	}
	key.AddCommand(init, show)
	return key
}

// writeNew writes a whole file under its name, or none, and never in place of
// another: then the error is fs.ErrExist.
func writeNew(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // its other name stays
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

// readReleaseKey reads the release key. There is never a new one in its place.
func (p *program) readReleaseKey() (*perturb.Release, error) {
	f, err := os.Open(p.releaseKeyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("make one with \"meguri gate key init\", or, if anything was published with one, bring that back from its safe place")
	}
	if err != nil {
		return nil, fmt.Errorf("read release key: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	passphrase, err := p.passphrase(false)
	if err != nil {
		return nil, err
	}
	document, err := pseudonymize.Unseal(f, passphrase, releaseFormat)
	if err != nil {
		return nil, fmt.Errorf("read release key %s: %w", p.releaseKeyPath(), err)
	}
	release, err := perturb.ParseRelease(document)
	if err != nil {
		return nil, fmt.Errorf("read release key %s: %w", p.releaseKeyPath(), err)
	}
	return release, nil
}

// useRules takes the rule sets of the data folder, if it has any.
func (p *program) useRules() error {
	folder := filepath.Join(p.config.Dir, "rules")
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := disclosure.UseRules(os.DirFS(folder)); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	return nil
}

// accounts are those of recipients who ask for noisy counts.
func (a *app) accounts(ctx context.Context) (*registerstore.Budget, error) {
	db, err := a.database(ctx, "releases.sqlite")
	if err != nil {
		return nil, err
	}
	return registerstore.OpenBudget(ctx, db)
}

func (p *program) gateBudgetCommand() *cobra.Command {
	budget := &cobra.Command{Use: "budget", Short: "accounts of recipients who ask for noisy counts"}
	budget.AddCommand(&cobra.Command{
		Use: "list", Short: "list what each contract's budget for noise still holds", Args: cobra.NoArgs,
		RunE: p.withRecipients(func(ctx context.Context, a *app, desk *recipient.Desk, _ []string) error {
			store, err := a.accounts(ctx)
			if err != nil {
				return err
			}
			noise := &disclosure.Noise{Store: store, Now: time.Now}
			all, err := desk.Store.Contracts(ctx, "")
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "contract\taccount\tstate\tkind\tbudget\tleft\tsince\tanswers")
			for _, k := range all {
				if k.Noise == nil {
					continue
				}
				since, _ := k.BudgetPeriod(desk.Now())
				left, answers, err := noise.Account(ctx, k.Reader, *k.Noise, since)
				if err != nil {
					return fmt.Errorf("the account of %s: %w", k.ID, err)
				}
				begin := "its beginning"
				if !since.IsZero() {
					begin = since.Format(time.DateOnly)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", k.ID, k.Reader, stateOf(k, desk.Now()), k.Noise.Kind, k.Noise.Budget, left, begin, answers)
			}
			return w.Flush()
		}),
	})
	return budget
}
