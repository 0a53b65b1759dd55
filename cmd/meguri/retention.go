package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"meguri/api"
	"meguri/ingest"
	"meguri/ingest/consent"
	"meguri/ingest/consent/rights"
	"meguri/ledger/registry"
)

// erasers are all that can delete something, in this program. Within a stage
// they go in this order.
func (p *program) erasers(ctx context.Context, a *app, desk *consent.Desk, importer *ingest.Importer) ([]rights.Eraser, error) {
	store, err := a.ledger(ctx)
	if err != nil {
		return nil, err
	}
	places := &ingest.Eraser{Importer: importer, Lake: a.lake(), City: a.config.CityCode, Keys: sync.OnceValues(p.readKeys), Linked: a.config.Linked, Now: time.Now}
	return []rights.Eraser{
		rights.LakeOf(places),
		rights.SegmentsOf(places),
		rights.RecordsOf(desk),
		rights.QuarantineOf(places),
		rights.FilesOf("quarantine", filepath.Join(a.config.Dir, "personal", "quarantine"), importer.QuarantineEnds),
		rights.RegistryOf(a.config.Provider,
			func(ctx context.Context, id string) (bool, error) {
				r, err := store.Resident(ctx, id)
				if errors.Is(err, registry.ErrNotFound) {
					return false, nil
				}
				return r.ErasedAt.IsZero(), err
			},
			func(ctx context.Context, ids []string) error { return store.EraseResidents(ctx, time.Now(), ids...) }),
		rights.AttributesOf(places),
	}, nil
}

func (a *app) receiptKeyPath() string { return filepath.Join(a.config.Dir, "keys", "receipts.pem") }

// receiptKey reads the key that signs receipts of deletion; without its file
// there is no key, and no error.
func (a *app) receiptKey() (ed25519.PrivateKey, error) {
	if _, err := os.Stat(a.receiptKeyPath()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return readSigningKey(a.receiptKeyPath())
}

func (p *program) shredder(ctx context.Context, a *app, desk *consent.Desk) (*rights.Shredder, error) {
	key, err := a.receiptKey()
	if err != nil {
		return nil, err
	}
	importer, err := a.importer(ctx)
	if err != nil {
		return nil, err
	}
	erasers, err := p.erasers(ctx, a, desk, importer)
	bar := p.progress("erase")
	step := func(place string, doing rights.Doing, at, of int) {
		bar.step(at, of, fmt.Sprintf("%s: %s", place, doing))
	}
	return &rights.Shredder{Consents: desk, Erasers: erasers, Key: key, Same: rights.SameOf(importer), Step: step}, err
}

// retention reads the document of the data folder, or the one of the program.
func (a *app) retention(file string) (rights.Retention, error) {
	must := file != ""
	file = orElse(file, filepath.Join(a.config.Dir, "retention.yaml"))
	document, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !must {
		document, err = rights.DefaultRetention(), nil
	}
	if err != nil {
		return rights.Retention{}, err
	}
	r, err := rights.ParseRetention(document)
	if err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

func (p *program) retentionCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "retention", Short: "保存期間と削除 / times of keeping, and deletion",
		Long: `データフォルダの retention.yaml に、データの種類ごとの保存期間と根拠を書きます。「plan」は今消える
ものを示し、「run」（毎晩のタイマーで）は消して、署名付きの削除証明を残します。途中で止まった削除は、
次の「run」が続けます。事業の終わり（project_ends）を過ぎると、at_project_end の種類はすべて消えます。`,
	}
	var file, who string
	plan := &cobra.Command{
		Use: "plan", Short: "今消えるものを示す（何も消さない） / show what would go now", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, _ []string) error {
			r, err := a.retention(file)
			if err != nil {
				return err
			}
			shredder, err := p.shredder(ctx, a, desk)
			if err != nil {
				return err
			}
			due, err := shredder.PlanRetention(ctx, r)
			if err != nil {
				return err
			}
			for _, d := range due {
				before, count := "all", 0
				if !d.Cut.Before.IsZero() {
					before = "before " + consent.Day(d.Cut.Before)
				}
				for _, g := range d.Gone {
					count += g.Count
				}
				state := numbers.Sprintf("%d would go", count)
				if d.Err != nil {
					state = "CANNOT BE ERASED: " + d.Err.Error()
				}
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\n", d.Rule.Dataset, before, state, d.Rule.Basis)
			}
			return nil
		}),
	}
	run := by(&cobra.Command{
		Use: "run", Short: "期限の過ぎたものを消し、削除証明を残す / delete what is past its time, and sign a receipt", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, _ []string) error {
			r, err := a.retention(file)
			if err != nil {
				return err
			}
			shredder, err := p.shredder(ctx, a, desk)
			if err != nil {
				return err
			}
			receipts, err := shredder.RunRetention(ctx, r, who)
			for _, signed := range receipts {
				err = errors.Join(err, p.printReceipt(signed))
			}
			if len(receipts) == 0 && err == nil {
				fmt.Fprintln(p.stdout, "nothing is due")
			}
			return err
		}),
	}, &who)
	for _, sub := range []*cobra.Command{plan, run} {
		sub.Flags().StringVar(&file, "rules", "", "文書（既定はデータフォルダの retention.yaml）/ the document (default: retention.yaml in the data folder)")
	}
	c.AddCommand(plan, run, &cobra.Command{
		Use: "example", Short: "文書のひな形を表示する / print a document to begin with", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { _, err := p.stdout.Write(rights.DefaultRetention()); return err },
	})
	return c
}

// printReceipt says in lines what a receipt says.
func (p *program) printReceipt(signed rights.Signed) error {
	r, err := signed.Read()
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "receipt %s\t%s\t%s\tby %s\tkey %s\n", r.ID, r.Ended.In(japan).Format(time.DateTime), r.Reason, r.By, r.KeyID)
	for _, g := range r.Gone {
		numbers.Fprintf(p.stdout, "  %s\t%s\t%d\t%s\t%s\n", g.Stage, g.Dataset, g.Count, g.Digest[:16], g.Rule)
	}
	return nil
}

func (p *program) receiptsCommand() *cobra.Command {
	c := &cobra.Command{Use: "receipts", Short: "署名付きの削除証明 / signed receipts of deletion"}
	var keyFile string
	verify := &cobra.Command{
		Use: "verify FILE.json", Short: "削除証明の署名を確かめる / check a receipt's signature", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return p.with(func(a *app) error {
				document, err := os.ReadFile(args[0])
				if err != nil {
					return err
				}
				key, err := a.publicKey(keyFile)
				if err != nil {
					return err
				}
				r, err := rights.Verify(document, key)
				if err != nil {
					return fmt.Errorf("verify %s: %w", args[0], err)
				}
				fmt.Fprintf(p.stdout, "%s is right: receipt %s, %d data sets, signed by key %s\n", args[0], r.ID, len(r.Gone), r.KeyID)
				return nil
			})
		},
	}
	verify.Flags().StringVar(&keyFile, "key", "", "公開鍵（PEM。既定は自分の鍵）/ public key in PEM (default: our own)")
	c.AddCommand(verify, &cobra.Command{
		Use: "list", Short: "削除証明の一覧 / list receipts", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) error {
			all, err := rights.Receipts(ctx, desk.Store)
			for _, signed := range all {
				err = errors.Join(err, p.printReceipt(signed))
			}
			return err
		}),
	}, &cobra.Command{
		Use: "show ID", Short: "削除証明を一つ、渡せる形で書き出す / print a receipt as it is handed over", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) error {
			all, err := rights.Receipts(ctx, desk.Store)
			if err != nil {
				return err
			}
			for _, signed := range all {
				if r, err := signed.Read(); err == nil && r.ID == args[0] {
					text, err := signed.Document()
					if err != nil {
						return err
					}
					_, err = p.stdout.Write(text)
					return err
				}
			}
			return fmt.Errorf("receipt: %w", consent.ErrNotFound)
		}),
	}, &cobra.Command{
		Use: "keys", Short: "署名の鍵を作り（なければ）、公開鍵を表示する / make the key, unless there is one, and print the public key", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return p.with(func(a *app) error {
				key, err := a.receiptKey()
				if err != nil {
					return err
				}
				if key == nil {
					if key, err = makeSigningKey(a.receiptKeyPath()); err != nil {
						return err
					}
					fmt.Fprintf(p.stderr, "made %s\n", a.receiptKeyPath())
				}
				text, err := api.PublicKeyPEM(key.Public().(ed25519.PublicKey))
				if err != nil {
					return err
				}
				_, err = p.stdout.Write(text)
				return err
			})
		},
	})
	return c
}

// publicKey reads a public key, or takes our own.
func (a *app) publicKey(file string) (ed25519.PublicKey, error) {
	if file == "" {
		key, err := a.receiptKey()
		if err == nil && key == nil {
			err = rights.ErrNoKey
		}
		if err != nil {
			return nil, err
		}
		return key.Public().(ed25519.PublicKey), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(text); block != nil {
		if any, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if key, ok := any.(ed25519.PublicKey); ok {
				return key, nil
			}
		}
	}
	return nil, fmt.Errorf("%s holds no Ed25519 public key in PEM", file)
}
