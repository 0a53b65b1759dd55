package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/analytics/disclosure"
	"meguri/analytics/recipient"
	recipientstore "meguri/analytics/recipient/sqlstore"
	"meguri/api"
	"meguri/ledger"
	"meguri/ledger/registry"
	"meguri/reports"
)

func (p *program) recipientCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "recipient", Short: "contracts of third parties that receive statistics, and their signed bundles",
		Long: `Third parties receive statistics only, and only those of their contract: metrics, cuts
and windows, for purposes that were agreed, so many tables a day and downloads a
month. What they take is logged. docs/recipients.md tells the whole way.`,
	}
	c.PersistentFlags().String("statistics-key", "", "file with the private key that signs bundles (default: keys/statistics.pem in the data folder)")
	c.AddCommand(p.recipientAdd(), p.recipientList(), p.recipientShow(), p.recipientEnd(), p.recipientLog(),
		p.recipientShop(), p.recipientKeys(), p.recipientBundle(), p.recipientVerify())
	return c
}

// withRecipients runs a command's work on the contracts.
func (p *program) withRecipients(run func(context.Context, *app, *recipient.Desk, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return p.with(func(a *app) error {
			desk, err := a.recipients(cmd.Context())
			if err != nil {
				return err
			}
			return run(cmd.Context(), a, desk, args)
		})
	}
}

// recipients opens the contracts of third parties.
func (a *app) recipients(ctx context.Context) (*recipient.Desk, error) {
	db, err := a.database(ctx, "recipients.sqlite")
	if err != nil {
		return nil, err
	}
	store, err := recipientstore.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	return &recipient.Desk{Store: store, Now: time.Now}, nil
}

func (p *program) recipientAdd() *cobra.Command {
	var k recipient.Contract
	var purposes, cuts, windows []string
	var noise disclosure.NoiseTerms
	c := &cobra.Command{
		Use: "add ID", Short: "enter a contract; it is never changed, only ended",
		Long: `Enters a contract under an ID of letters, digits, dots, hyphens and underscores. The
client is a program of "meguri access add-client" with the scope statistics.read.

A purpose is the code of a published one (meguri purpose list), with the contract's
own words where it has some: --purpose research=地域経済の研究. A cut is dimensions
joined by +, or total. Windows are month, quarter, year and fiscal-year.

With --noise-budget the client may also ask for noisy counts of M03 (persons) and
M01a (yen), as long as the budget of the period holds; docs/recipients.md says what
it means.`,
		Args: cobra.ExactArgs(1),
		RunE: p.withRecipients(func(ctx context.Context, a *app, desk *recipient.Desk, args []string) error {
			k.ID, k.Reader, k.CreatedAt = args[0], orElse(k.Reader, args[0]), desk.Now()
			k.From = orElse(k.From, ledger.Day(desk.Now()))
			for _, text := range purposes {
				id, words, _ := strings.Cut(text, "=")
				registered, err := a.purpose(ctx, id)
				if err != nil {
					return err
				}
				k.Purposes = append(k.Purposes, recipient.Purpose{ID: id, Text: orElse(words, registered.Ja)})
			}
			for _, cut := range cuts {
				by := []string{}
				if cut != "total" {
					by = strings.Split(cut, "+")
				}
				k.Cuts = append(k.Cuts, by)
			}
			for _, w := range windows {
				k.Windows = append(k.Windows, recipient.Kind(w))
			}
			if noise.Budget != "" {
				k.Noise = &noise
			}
			if err := k.Check(); err != nil {
				return usageError{fmt.Errorf("recipient add: %w", err)}
			}
			if err := a.checkClient(ctx, k.Client, "statistics.read"); err != nil {
				return err
			}
			if err := desk.Store.PutContract(ctx, k); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "contract %s for %s: %d metrics by %d cuts, %s to %s\n", k.ID, k.Organisation, len(k.Metrics), len(k.Cuts), k.From, k.Until)
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&k.Organisation, "organisation", "", "who receives")
	f.StringVar(&k.Client, "client", "", "the program that calls the API")
	f.StringVar(&k.Reader, "reader", "", "ID of the first contract, when this one follows it: what was released under it counts (default: the contract's ID)")
	f.StringArrayVar(&purposes, "purpose", nil, "CODE or CODE=words; once for each purpose")
	f.StringSliceVar(&k.Metrics, "metric", nil, "metrics, separated by commas")
	f.StringSliceVar(&cuts, "cut", nil, "cuts, separated by commas: total,industry,industry+shop_area")
	f.StringSliceVar(&windows, "window", []string{"month"}, "kinds of windows, separated by commas")
	f.StringVar(&k.DataFrom, "data-from", "", "no window begins earlier, YYYY-MM-DD")
	f.StringVar(&k.DataTo, "data-to", "", "no window ends later, YYYY-MM-DD")
	f.StringVar(&k.From, "valid-from", "", "first day of the contract, YYYY-MM-DD (default: today)")
	f.StringVar(&k.Until, "valid-until", "", "last day of the contract, YYYY-MM-DD")
	f.Int64Var(&k.Quota.TablesADay, "tables-a-day", 20, "different tables in a day")
	f.Int64Var(&k.Quota.DownloadsAMonth, "downloads-a-month", 200, "downloads in a month")
	f.StringVar(&noise.Budget, "noise-budget", "", "budget for noisy counts in a period, a number or a fraction (default: none)")
	f.StringVar(&noise.Kind, "noise-kind", "epsilon", "what the budget counts: epsilon or rho")
	f.StringVar(&noise.Period, "noise-period", "fiscal-year", "month, quarter, year, fiscal-year, or contract: once and for all")
	f.Int64Var(&noise.Cells, "noise-cells", 1, "a person counts in at most so many cells of an answer")
	f.Int64Var(&noise.Yen, "noise-yen", 0, "with at most so many yen in each; 0 is no amounts")
	return c
}

// checkClient fails unless a client is registered with a scope.
func (a *app) checkClient(ctx context.Context, id, scope string) error {
	store, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	clients, err := store.AllClients(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(clients, func(c registry.Client) bool { return c.ID == id })
	if i < 0 || !slices.Contains(clients[i].Scopes, scope) {
		return fmt.Errorf("there is no client %q with the scope %s: make it with \"meguri access add-client\"", id, scope)
	}
	return nil
}

func (p *program) recipientList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list contracts", Args: cobra.NoArgs,
		RunE: p.withRecipients(func(ctx context.Context, _ *app, desk *recipient.Desk, _ []string) error {
			all, err := desk.Store.Contracts(ctx, "")
			if err != nil {
				return err
			}
			for _, k := range all {
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, stateOf(k, desk.Now()), k.From, k.Until, k.Client, k.Organisation)
			}
			return nil
		}),
	}
}

func stateOf(k recipient.Contract, now time.Time) string {
	switch {
	case !now.Before(k.Ends()):
		return "ended"
	case now.Before(k.Begins()):
		return "not begun"
	}
	return "in force"
}

func (p *program) recipientShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "show a contract and what is left of its quota", Args: cobra.ExactArgs(1),
		RunE: p.withRecipients(func(ctx context.Context, _ *app, desk *recipient.Desk, args []string) error {
			k, err := desk.Store.Contract(ctx, args[0])
			if err != nil {
				return fmt.Errorf("show contract %s: %w", args[0], err)
			}
			tables, downloads, err := desk.Left(ctx, k)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "contract\t%s\nstate\t%s\norganisation\t%s\nclient\t%s\nreader\t%s\nvalid\t%s to %s\n",
				k.ID, stateOf(k, desk.Now()), k.Organisation, k.Client, k.Reader, k.From, k.Until)
			if !k.EndedAt.IsZero() {
				fmt.Fprintf(p.stdout, "ended\t%s\n", k.EndedAt.Format(time.RFC3339))
			}
			for _, purpose := range k.Purposes {
				fmt.Fprintf(p.stdout, "purpose\t%s\t%s\n", purpose.ID, purpose.Text)
			}
			var cuts []string
			for _, by := range k.Cuts {
				cuts = append(cuts, orElse(strings.Join(by, "+"), "total"))
			}
			fmt.Fprintf(p.stdout, "metrics\t%s\ncuts\t%s\nwindows\t%v\ndata\t%s to %s\n", strings.Join(k.Metrics, " "), strings.Join(cuts, " "), k.Windows,
				orElse(k.DataFrom, "any"), orElse(k.DataTo, "any"))
			fmt.Fprintf(p.stdout, "tables\t%d of %d left today\ndownloads\t%d of %d left this month\n",
				tables, k.Quota.TablesADay, downloads, k.Quota.DownloadsAMonth)
			if n := k.Noise; n != nil {
				fmt.Fprintf(p.stdout, "noise\t%s %s in each %s, %d cells and %d yen of a person; see \"meguri gate budget list\"\n", n.Kind, n.Budget, n.Period, n.Cells, n.Yen)
			}
			return nil
		}),
	}
}

func (p *program) recipientEnd() *cobra.Command {
	return &cobra.Command{
		Use: "end ID", Short: "end a contract now", Args: cobra.ExactArgs(1),
		RunE: p.withRecipients(func(ctx context.Context, _ *app, desk *recipient.Desk, args []string) error {
			if err := desk.Store.End(ctx, args[0], desk.Now()); err != nil {
				return fmt.Errorf("end contract %s: %w", args[0], err)
			}
			fmt.Fprintf(p.stdout, "contract %s has ended\n", args[0])
			return nil
		}),
	}
}

func (p *program) recipientLog() *cobra.Command {
	return &cobra.Command{
		Use: "log [ID]", Short: "show who took what, when and for what", Args: cobra.MaximumNArgs(1),
		RunE: p.withRecipients(func(ctx context.Context, _ *app, desk *recipient.Desk, args []string) error {
			const page = 1000
			contract := strings.Join(args, "")
			for after := int64(0); ; {
				entries, err := desk.Store.Log(ctx, contract, after, page)
				if err != nil {
					return err
				}
				for _, e := range entries {
					fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", e.At.Format(time.RFC3339), e.Contract, e.Client,
						e.Purpose, e.Operation, e.Metric, e.Cut, e.From, e.To, e.Format, e.Outcome, e.Bytes, e.Release)
					after = e.Number
				}
				if len(entries) < page {
					return nil
				}
			}
		}),
	}
}

func (p *program) recipientShop() *cobra.Command {
	return &cobra.Command{
		Use: "shop CLIENT SHOP", Short: "let a program with the scope statistics.shop see a shop's own tables", Args: cobra.ExactArgs(2),
		RunE: p.withRecipients(func(ctx context.Context, a *app, desk *recipient.Desk, args []string) error {
			if err := a.checkClient(ctx, args[0], "statistics.shop"); err != nil {
				return err
			}
			if _, _, err := a.shop(ctx, args[1]); err != nil {
				return err
			}
			if err := desk.Store.PutShop(ctx, args[0], args[1]); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "client %s sees shop %s\n", args[0], args[1])
			return nil
		}),
	}
}

func (a *app) bundleKeyPath() string {
	return orElse(a.config.StatisticsKey, filepath.Join(a.config.Dir, "keys", "statistics.pem"))
}

// bundleKey reads the key that signs bundles. Without the default file there is
// no key, and no error.
func (a *app) bundleKey() (ed25519.PrivateKey, error) {
	path := a.bundleKeyPath()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && a.config.StatisticsKey == "" {
		return nil, nil
	}
	return readSigningKey(path)
}

// readSigningKey reads a private key that only its owner reads.
func readSigningKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the key that signs: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key that signs %s can be read by others: set its mode to 0600", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key that signs: %w", err)
	}
	if block, _ := pem.Decode(text); block != nil {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if private, ok := key.(ed25519.PrivateKey); ok {
				return private, nil
			}
		}
	}
	return nil, fmt.Errorf("%s holds no Ed25519 key in PKCS #8", path)
}

func (p *program) recipientKeys() *cobra.Command {
	return &cobra.Command{
		Use: "keys", Short: "make the key that signs bundles, unless there is one, and print the public key",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return p.with(func(a *app) error {
				key, err := a.bundleKey()
				if errors.Is(err, fs.ErrNotExist) {
					key, err = nil, nil
				}
				if err != nil {
					return err
				}
				if key == nil {
					if key, err = makeSigningKey(a.bundleKeyPath()); err != nil {
						return err
					}
					fmt.Fprintf(p.stderr, "made %s\n", a.bundleKeyPath())
				}
				public := key.Public().(ed25519.PublicKey)
				text, err := api.PublicKeyPEM(public)
				if err != nil {
					return err
				}
				fmt.Fprintf(p.stderr, "key %s\n", reports.KeyID(public))
				_, err = p.stdout.Write(text)
				return err
			})
		},
	}
}

// makeSigningKey makes a key in a file that only its owner reads, and never in
// place of another.
func makeSigningKey(path string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the key that signs: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key that signs: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the key that signs: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the key that signs: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("make the key that signs: %w", err)
	}
	return key, nil
}

func (p *program) recipientBundle() *cobra.Command {
	var out, purpose string
	c := &cobra.Command{
		Use: "bundle ID PERIOD", Short: "write a contract's signed bundle: 2026-07, 2026-Q3, 2026 or FY2026",
		Args: cobra.ExactArgs(2),
		RunE: p.withRecipients(func(ctx context.Context, a *app, desk *recipient.Desk, args []string) error {
			if out == "" {
				return usageError{errors.New("recipient bundle: where to? give --out FILE.zip")}
			}
			period, err := recipient.ParsePeriod(args[1])
			if err != nil {
				return usageError{fmt.Errorf("recipient bundle: %w", err)}
			}
			k, err := desk.Store.Contract(ctx, args[0])
			if err != nil {
				return fmt.Errorf("bundle of %s: %w", args[0], err)
			}
			switch stateOf(k, desk.Now()) {
			case "ended":
				return fmt.Errorf("bundle of %s: %w", k.ID, recipient.ErrEnded)
			case "not begun":
				return fmt.Errorf("bundle of %s: %w", k.ID, recipient.ErrNotBegun)
			}
			agreed, err := k.Purpose(purpose)
			if err != nil {
				return fmt.Errorf("bundle of %s: %w: give --purpose", k.ID, err)
			}
			key, err := a.bundleKey()
			if err != nil {
				return err
			}
			if key == nil {
				return errors.New("there is no key to sign bundles with: make one with \"meguri recipient keys\"")
			}
			gate, err := a.gate(ctx)
			if err != nil {
				return err
			}
			tables, omitted, err := recipient.Collect(disclosure.For(ctx, agreed.ID), gate, k, period)
			if err != nil {
				return fmt.Errorf("bundle of %s: %w", k.ID, err)
			}
			var b bytes.Buffer
			hash, err := reports.Bundle(&b, api.BundleHead(k, agreed, period, omitted), tables, key)
			if err != nil {
				return err
			}
			err = desk.Give(ctx, k, recipient.Entry{
				Client: "office", Purpose: agreed.ID, Operation: "bundle", Metric: recipient.BundleMetric, From: period.From, To: period.To,
				Format: "zip", Release: hash, Bytes: int64(b.Len()),
			})
			if err != nil {
				return fmt.Errorf("bundle of %s: %w", k.ID, err)
			}
			if err := writeFile(out, func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err }); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: %d tables, %d omitted, manifest %s\n", out, len(tables), len(omitted), hash)
			return nil
		}),
	}
	c.Flags().StringVarP(&out, "out", "o", "", "file to write, FILE.zip")
	c.Flags().StringVar(&purpose, "purpose", "", "code of the purpose, when the contract has several")
	return c
}

func (p *program) recipientVerify() *cobra.Command {
	var keyFile string
	c := &cobra.Command{
		Use: "verify BUNDLE.zip", Short: "check a bundle's signature and every byte of it", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if keyFile == "" {
				return usageError{errors.New("recipient verify: give --key PUBLIC.pem, from the sender by another way than the bundle")}
			}
			text, err := os.ReadFile(keyFile)
			if err != nil {
				return err
			}
			key := parsePublicKey(text)
			if key == nil {
				return fmt.Errorf("%s holds no Ed25519 public key in PEM", keyFile)
			}
			bundle, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			m, err := reports.VerifyBundle(bundle, key)
			if err != nil {
				return fmt.Errorf("verify %s: %w", args[0], err)
			}
			fmt.Fprintf(p.stdout, "%s is right: %d files for %s, %s, signed by key %s\n", args[0], len(m.Files), m.Organisation, m.Period, m.KeyID)
			return nil
		},
	}
	c.Flags().StringVar(&keyFile, "key", "", "public key in PEM: /statistics/v1/bundle-key, or what \"meguri recipient keys\" prints")
	return c
}

// parsePublicKey reads an Ed25519 key in PEM, or returns nil.
func parsePublicKey(text []byte) ed25519.PublicKey {
	if block, _ := pem.Decode(text); block != nil {
		if any, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			key, _ := any.(ed25519.PublicKey)
			return key
		}
	}
	return nil
}
