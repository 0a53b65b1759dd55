package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/tink-crypto/tink-go/v2/core/registry"
	"github.com/tink-crypto/tink-go/v2/tink"
	"golang.org/x/term"

	"meguri/pseudonymize"
	"meguri/pseudonymize/custody"
	"meguri/pseudonymize/lake"
)

// box is the folder of keys, apart from the lake.
func (p *program) box() *custody.Box {
	return &custody.Box{
		Dir: filepath.Dir(p.keysetPath()), Lake: filepath.Join(p.config.Dir, "lake"),
		Sealer: &sealer{p: p}, Old: p.scope(), User: processUser(), Now: time.Now,
	}
}

func (p *program) keysetPath() string { return filepath.Join(p.config.Dir, "keys", "keyset.json") }

// scope is the project and purpose of the configuration.
func (p *program) scope() pseudonymize.Scope {
	return pseudonymize.Scope{Project: p.config.Project, Purpose: p.config.Purpose}
}

func processUser() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprintf("uid %d", os.Getuid())
	}
	return fmt.Sprintf("%s (uid %s)", u.Username, u.Uid)
}

// initKeys makes a keyset, but not while there is a lake: its tokens are of a
// key that is lost, and a new one in silence would split every person in two.
func (p *program) initKeys() (pseudonymize.Key, error) {
	m, err := lake.Open(filepath.Join(p.config.Dir, "lake")).Manifest()
	if err != nil {
		return pseudonymize.Key{}, fmt.Errorf("make keyset: %w", err)
	}
	box := p.box()
	if _, err := os.Lstat(box.Path()); err != nil && m.Snapshot > 0 {
		return pseudonymize.Key{}, fmt.Errorf("the keyset is gone, and the lake holds tokens of its epoch %d: "+
			"bring %s back from its safe place, or, when it is lost for good, move the lake away: all pseudonyms change",
			m.Epoch, box.Path())
	}
	return box.Init(p.scope())
}

// readKeys opens the key of the configuration's project and purpose.
func (p *program) readKeys() (*pseudonymize.Keyset, error) {
	return p.box().Open(p.scope(), "pipeline")
}

// sealer seals with the key of a KMS where the configuration names one, or with
// the passphrase. It opens what either has sealed, so that one can follow the
// other, and asks for the passphrase once, when it is needed.
type sealer struct {
	p     *program
	known []byte
}

func (s *sealer) Lock() (tink.AEAD, pseudonymize.Lock, error) {
	if uri := s.p.config.KMSKey; uri != "" {
		k, err := kms(uri)
		if err != nil {
			return nil, pseudonymize.Lock{}, err
		}
		return k.Lock()
	}
	if s.known == nil {
		var err error
		if s.known, err = s.p.passphrase(true); err != nil {
			return nil, pseudonymize.Lock{}, err
		}
	}
	return pseudonymize.Passphrase(s.known).Lock()
}

func (s *sealer) Unlock(l pseudonymize.Lock) (tink.AEAD, error) {
	if l.Kind == pseudonymize.ByKMS {
		if s.p.config.KMSKey == "" {
			return nil, fmt.Errorf("%w: it is sealed with %s: set kms_key", pseudonymize.ErrKMS, l.URI)
		}
		k, err := kms(s.p.config.KMSKey) // never the file's word for it
		if err != nil {
			return nil, err
		}
		return k.Unlock(l)
	}
	if s.known == nil {
		var err error
		if s.known, err = s.p.passphrase(false); err != nil {
			return nil, err
		}
	}
	return pseudonymize.Passphrase(s.known).Unlock(l)
}

// kms finds a key through the clients that are registered with Tink. A build for
// a certain KMS imports its client and registers it.
func kms(uri string) (pseudonymize.Sealer, error) {
	client, err := registry.GetKMSClient(uri)
	if err != nil {
		return nil, fmt.Errorf("this build has no client for the KMS of the key that the keyset is sealed with: %w", err)
	}
	aead, err := client.GetAEAD(uri)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", pseudonymize.ErrKMS, err)
	}
	return pseudonymize.KMS(uri, aead), nil
}

// shortest is the least length of a new passphrase (NIST SP 800-63B-4: 15 where
// it is the only factor).
const shortest = 15

func (p *program) passphrase(fresh bool) ([]byte, error) {
	text, err := p.findPassphrase()
	if err != nil {
		return nil, err
	}
	return checkPassphrase(text, fresh)
}

func checkPassphrase(text []byte, fresh bool) ([]byte, error) {
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
	if text, asked, err := p.ask("passphrase: "); asked {
		return text, err
	}
	return nil, errors.New("the keyset needs its passphrase: set MEGURI_PASSPHRASE or give --passphrase-file")
}

// newPassphrase is what the keyset is to be sealed with from now on.
func (p *program) newPassphrase(file string) ([]byte, error) {
	if v := p.getenv("MEGURI_NEW_PASSPHRASE"); v != "" {
		return checkPassphrase([]byte(v), true)
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read passphrase: %w", err)
		}
		return checkPassphrase(text, true)
	}
	first, asked, err := p.ask("new passphrase: ")
	if !asked {
		return nil, errors.New("give the new passphrase: set MEGURI_NEW_PASSPHRASE or give --new-passphrase-file")
	}
	second, _, again := p.ask("the same again: ")
	if err := errors.Join(err, again); err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the two are not the same: nothing was changed")
	}
	return checkPassphrase(first, true)
}

// ask asks on a terminal, and says whether there is one.
func (p *program) ask(prompt string) (text []byte, asked bool, err error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false, nil
	}
	fmt.Fprint(p.stderr, prompt)
	text, err = term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(p.stderr)
	return text, true, err
}

// demoPassphrasePath is where a demo keeps its passphrase: beside the keyset,
// which is only right for data that nobody needs to be protected by.
func (p *program) demoPassphrasePath() string {
	return filepath.Join(p.config.Dir, "keys", "demo-passphrase.txt")
}
