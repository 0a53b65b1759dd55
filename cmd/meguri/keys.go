package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"meguri/pseudonymize"
)

func (p *program) keysCommand() *cobra.Command {
	keys := &cobra.Command{Use: "keys", Short: "make and show the keyset that pseudonyms are made with"}
	keys.AddCommand(&cobra.Command{
		Use:   "init",
		Short: "make a new keyset, encrypted under a passphrase",
		Long: `Makes the keyset in keys/keyset.json of the data folder. The passphrase comes from
MEGURI_PASSPHRASE, from --passphrase-file, or is asked for.

Keep the keyset apart from the lake, and a copy of both keyset and passphrase in
a safe place: without them no new data can be joined to what the lake holds.
An existing keyset is never replaced.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			passphrase, err := p.passphrase(true)
			if err != nil {
				return err
			}
			k, err := p.initKeys(passphrase)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "made %s (epoch %d)\n", p.keysetPath(), k.Epoch())
			return nil
		},
	}, &cobra.Command{
		Use:   "show",
		Short: "show the keyset's epoch, and never a key",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			k, err := p.readKeys()
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "keyset\t%s\nepoch\t%d\n", p.keysetPath(), k.Epoch())
			return nil
		},
	})
	return keys
}

func (p *program) keysetPath() string { return filepath.Join(p.config.Dir, "keys", "keyset.json") }

func (p *program) initKeys(passphrase []byte) (*pseudonymize.Keyset, error) {
	k, err := pseudonymize.NewKeyset()
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	if err := k.Write(&sealed, passphrase); err != nil {
		return nil, err
	}
	err = writeNew(p.keysetPath(), sealed.Bytes())
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists: a keyset is never replaced, since the lake could not be joined any more", p.keysetPath())
	}
	if err != nil {
		return nil, fmt.Errorf("make keyset: %w", err)
	}
	return k, nil
}

func (p *program) readKeys() (*pseudonymize.Keyset, error) {
	f, err := os.Open(p.keysetPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no keyset: make one with \"meguri keys init\", or bring yours back from its safe place")
	}
	if err != nil {
		return nil, fmt.Errorf("read keyset: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	passphrase, err := p.passphrase(false)
	if err != nil {
		return nil, err
	}
	k, err := pseudonymize.ReadKeyset(f, passphrase)
	if err != nil {
		return nil, fmt.Errorf("read keyset %s: %w", p.keysetPath(), err)
	}
	return k, nil
}

// shortest is the least length of a new passphrase (NIST SP 800-63B-4: 15 where
// it is the only factor).
const shortest = 15

func (p *program) passphrase(fresh bool) ([]byte, error) {
	text, err := p.findPassphrase()
	if err != nil {
		return nil, err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || (fresh && len(text) < shortest) {
		return nil, fmt.Errorf("a passphrase has at least %d characters", shortest)
	}
	return text, nil
}

func (p *program) findPassphrase() ([]byte, error) {
	file := p.config.PassphraseFile
	if p.config.Demo {
		file = p.demoPassphrasePath()
	} else if v := p.getenv("MEGURI_PASSPHRASE"); v != "" {
		return []byte(v), nil
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read passphrase: %w", err)
		}
		return text, nil
	}
	if f, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(p.stderr, "passphrase: ")
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.stderr)
		return text, err
	}
	return nil, errors.New("the keyset needs its passphrase: set MEGURI_PASSPHRASE or give --passphrase-file")
}

// demoPassphrasePath is where a demo keeps its passphrase: beside the keyset,
// which is only right for data that nobody needs to be protected by.
func (p *program) demoPassphrasePath() string {
	return filepath.Join(p.config.Dir, "keys", "demo-passphrase.txt")
}
