package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"meguri/api"
	"meguri/pseudonymize"
	"meguri/pseudonymize/custody"
	"meguri/reports"
)

func (p *program) keysCommand() *cobra.Command {
	keys := &cobra.Command{
		Use:   "keys",
		Short: "the keys that pseudonyms are made with: make, show, rotate, destroy, and who used them",
		Long: `A key makes the pseudonyms of one project and purpose (project and purpose in
the configuration), for one epoch. All lie in keys/keyset.json of the data
folder, sealed with a passphrase, or with the key of a KMS that kms_key names.
The passphrase comes from MEGURI_PASSPHRASE, from --passphrase-file, or is asked
for. Every use stands in keys/audit.jsonl.`,
	}
	keys.AddCommand(p.keysInit(), p.keysShow(), p.keysAdd(), p.keysRotate(), p.keysDestroy(), p.keysReceipt(), p.keysPassphrase(), p.keysAudit())
	return keys
}

func (p *program) keysInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "make a new keyset, sealed",
		Long: `Makes the keyset in keys/keyset.json of the data folder.

Keep the keyset apart from the lake, and a copy of both keyset and passphrase in
a safe place: without them no new data can be joined to what the lake holds.
An existing keyset is never replaced.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			k, err := p.initKeys()
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "made %s (%s, epoch %d)\n", p.keysetPath(), k.Scope, k.Epoch)
			return nil
		},
	}
}

func (p *program) keysShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "show projects, purposes and epochs, and never a key",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := p.box().Keys()
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "keyset %s\n", p.keysetPath())
			return p.printKeys(keys)
		},
	}
}

func (p *program) printKeys(keys []pseudonymize.Key) error {
	day := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Format(time.DateOnly)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "project\tpurpose\tepoch\tstate\tcreated\tretired\tdestroyed")
	for _, k := range keys {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", k.Project, k.Purpose, k.Epoch, k.State, day(k.Created), day(k.Retired), day(k.Destroyed))
	}
	return w.Flush()
}

// scopeFlags are --project and --purpose, which are the configuration's unless
// they are given.
func (p *program) scopeFlags(c *cobra.Command) func() pseudonymize.Scope {
	project := c.Flags().String("project", "", "project (default: the configuration's)")
	purpose := c.Flags().String("purpose", "", "purpose (default: the configuration's)")
	return func() pseudonymize.Scope {
		return pseudonymize.Scope{Project: orElse(*project, p.config.Project), Purpose: orElse(*purpose, p.config.Purpose)}
	}
}

func (p *program) keysAdd() *cobra.Command {
	c := &cobra.Command{
		Use:   "add",
		Short: "make the key of another project or purpose, whose pseudonyms cannot be joined with any other's",
		Args:  cobra.NoArgs,
	}
	scope := p.scopeFlags(c)
	c.RunE = func(*cobra.Command, []string) error {
		k, err := p.box().Add(scope())
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "added %s (epoch %d)\n", k.Scope, k.Epoch)
		return nil
	}
	return c
}

func (p *program) keysRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "begin a new epoch, as after a leak",
		Long: `Makes a new key for the project and purpose, and retires the one before. A lake
holds pseudonyms of one epoch, so build it anew afterwards: move the lake away,
and run "meguri pipeline". Then destroy the epoch before with "meguri keys
destroy --epoch", and the old lake.`,
		Args: cobra.NoArgs,
	}
	scope := p.scopeFlags(c)
	c.RunE = func(*cobra.Command, []string) error {
		k, err := p.box().Rotate(scope())
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "rotated %s (epoch %d)\n", k.Scope, k.Epoch)
		fmt.Fprintf(p.stderr, "a lake of the epoch before takes no more rows: move it away and run \"meguri pipeline\"\n")
		return nil
	}
	return c
}

func (p *program) keysDestroy() *cobra.Command {
	var which pseudonymize.Selection
	var reason, confirm string
	c := &cobra.Command{
		Use:   "destroy --project PROJECT --reason WHY --confirm PROJECT",
		Short: "destroy the keys of a project for good, with a signed receipt",
		Long: `Destroys all keys of a project, or those of a purpose or an epoch. From then on
nobody can compute a pseudonym of the project from a person, nor a person from a
pseudonym: the data are erased as far as a person is concerned. It cannot be
undone.

Copies of the keyset are not reached: destroy them too. The receipt is signed by
keys/receipts.pem, which is made when it is first needed.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&which.Project, "project", "", "whose keys are destroyed")
	c.Flags().StringVar(&which.Purpose, "purpose", "", "only those of a purpose")
	c.Flags().Uint32Var(&which.Epoch, "epoch", 0, "only that of an epoch")
	c.Flags().StringVar(&reason, "reason", "", "why, for receipt and log")
	c.Flags().StringVar(&confirm, "confirm", "", "the project once more")
	c.RunE = func(*cobra.Command, []string) error {
		if which.Project == "" || reason == "" || confirm != which.Project {
			return usageError{errors.New("keys destroy: give --project, --reason, and the project once more with --confirm: " +
				"what is destroyed does not come back")}
		}
		if _, err := os.Stat(p.keysetPath()); err != nil {
			_, err := p.box().Keys()
			return err
		}
		sign, err := readSigningKey(p.receiptKeyPath())
		if errors.Is(err, fs.ErrNotExist) {
			sign, err = makeSigningKey(p.receiptKeyPath())
		}
		if err != nil {
			return err
		}
		r, path, err := p.box().Destroy(which, reason, sign)
		if err != nil {
			return err
		}
		if err := p.printKeys(r.Keys); err != nil {
			return err
		}
		public := sign.Public().(ed25519.PublicKey)
		text, err := api.PublicKeyPEM(public)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "receipt %s\nsigned by key %s:\n%s", path, reports.KeyID(public), text)
		fmt.Fprintln(p.stderr, "destroy the copies of the keyset too: the receipt says so, and the copies do not know")
		return nil
	}
	return c
}

func (p *program) receiptKeyPath() string {
	return filepath.Join(filepath.Dir(p.keysetPath()), "receipts.pem")
}

func (p *program) keysReceipt() *cobra.Command {
	var keyFile string
	c := &cobra.Command{
		Use: "receipt RECEIPT.json", Short: "check the receipt of a destruction", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if keyFile == "" {
				return usageError{errors.New("keys receipt: give --key PUBLIC.pem, as \"keys destroy\" printed it")}
			}
			var read [3][]byte
			for i, path := range []string{keyFile, args[0], args[0] + ".sig"} {
				var err error
				if read[i], err = os.ReadFile(path); err != nil {
					return fmt.Errorf("read receipt: %w", err)
				}
			}
			r, err := custody.VerifyReceipt(read[1], read[2], parsePublicKey(read[0]))
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintf(p.stdout, "%s is right: %s by %s, signed by key %s\n", args[0], r.At.Format(time.RFC3339), r.By, r.KeyID)
			return p.printKeys(r.Keys)
		},
	}
	c.Flags().StringVar(&keyFile, "key", "", "public key in PEM")
	return c
}

func (p *program) keysPassphrase() *cobra.Command {
	var file, uri string
	c := &cobra.Command{
		Use:   "passphrase",
		Short: "seal the keyset with another passphrase, or with a key of a KMS",
		Long: `The keyset is opened as it is sealed now, and sealed anew. The new passphrase
comes from MEGURI_NEW_PASSPHRASE, from --new-passphrase-file, or is asked for
twice. With --kms it is sealed with that key; set kms_key to it afterwards. Keys
and pseudonyms stay as they are. Copies keep the old passphrase.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var with pseudonymize.Sealer
			note := "with a passphrase"
			if uri != "" {
				k, err := kms(uri)
				if err != nil {
					return err
				}
				with, note = k, "with a key of a KMS"
			} else {
				passphrase, err := p.newPassphrase(file)
				if err != nil {
					return err
				}
				with = pseudonymize.Passphrase(passphrase)
			}
			if err := p.box().Reseal(with, note); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "sealed %s anew, %s\n", p.keysetPath(), note)
			return nil
		},
	}
	c.Flags().StringVar(&file, "new-passphrase-file", "", "file with the new passphrase (or set MEGURI_NEW_PASSPHRASE)")
	c.Flags().StringVar(&uri, "kms", "", "URI of a key in a KMS")
	return c
}

func (p *program) keysAudit() *cobra.Command {
	var through string
	c := &cobra.Command{
		Use:   "audit",
		Short: "check the log of the keys' uses and show it",
		Long: `Shows who used which key for what, and checks that no line was changed, taken out
or put in. Note the last hash elsewhere now and then: with --through it is
checked that the log still has that line, since whoever can write the file could
write all of it anew.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			uses, err := p.box().Audit(through)
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			for _, u := range uses {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", u.At.Format(time.RFC3339), u.What, epochOf(u), u.User, u.Note, u.Hash[:16])
			}
			if err := errors.Join(w.Flush(), err); err != nil {
				return err
			}
			if len(uses) > 0 {
				fmt.Fprintf(p.stdout, "%d uses, the chain holds; the last is %s\n", len(uses), uses[len(uses)-1].Hash)
			}
			return nil
		},
	}
	c.Flags().StringVar(&through, "through", "", "hash of a line that was noted earlier")
	return c
}

func epochOf(u custody.Use) string {
	if u.Epoch == 0 {
		return "-"
	}
	return fmt.Sprintf("%s/%s %d", u.Project, u.Purpose, u.Epoch)
}
