package pseudonymize

import (
	"crypto/rand"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Sealer closes a key ring at rest and opens it again.
type Sealer interface {
	// Lock makes a lock for a file, and what the file says of it.
	Lock() (tink.AEAD, Lock, error)
	// Unlock finds the lock of a file again.
	Unlock(Lock) (tink.AEAD, error)
}

// Lock is what a file says of how it is sealed. No secret is in it.
type Lock struct {
	Kind       string     `json:"kind"`
	Derivation *argonSpec `json:"derivation,omitempty"` // of a passphrase
	URI        string     `json:"uri,omitempty"`        // of a key in a KMS
}

// The kinds of locks.
const (
	ByPassphrase = "passphrase"
	ByKMS        = "kms"
)

// wrong is the error of a lock that does not open.
func (l Lock) wrong() error {
	if l.Kind == ByKMS {
		return ErrKMS
	}
	return ErrPassphrase
}

type argonSpec struct {
	Name      string `json:"name"`
	Salt      []byte `json:"salt"`
	Time      uint32 `json:"time"`
	MemoryKiB uint32 `json:"memory_kib"`
	Threads   uint8  `json:"threads"`
}

// The second recommended setting of RFC 9106 §4: 3 passes over 64 MiB.
var argonDefault = argonSpec{Name: "argon2id", Time: 3, MemoryKiB: 64 << 10, Threads: 4}

func (s argonSpec) aead(passphrase []byte) (*subtle.XChaCha20Poly1305, error) {
	// Bounds keep a changed file from asking for all memory.
	if s.Name != "argon2id" || s.Time < 1 || s.Time > 16 || s.MemoryKiB > 1<<20 || s.Threads < 1 || len(s.Salt) < 16 {
		return nil, ErrKeyset
	}
	key := argon2.IDKey(passphrase, s.Salt, s.Time, s.MemoryKiB, s.Threads, chacha20poly1305.KeySize)
	return subtle.NewXChaCha20Poly1305(key)
}

// newArgon is the default derivation with a salt of its own.
func newArgon() (argonSpec, error) {
	s := argonDefault
	s.Salt = make([]byte, 16)
	_, err := rand.Read(s.Salt)
	return s, err
}

type passphraseSealer []byte

// Passphrase seals with a key that argon2id derives from a passphrase.
func Passphrase(passphrase []byte) Sealer { return passphraseSealer(passphrase) }

func (p passphraseSealer) Lock() (tink.AEAD, Lock, error) {
	spec, err := newArgon()
	if err != nil {
		return nil, Lock{}, err
	}
	aead, err := spec.aead(p)
	return aead, Lock{Kind: ByPassphrase, Derivation: &spec}, err
}

func (p passphraseSealer) Unlock(l Lock) (tink.AEAD, error) {
	if l.Kind == ByKMS {
		return nil, fmt.Errorf("%w: it is sealed by the key %s of a KMS, not by a passphrase", ErrKMS, l.URI)
	}
	if l.Kind != ByPassphrase || l.Derivation == nil {
		return nil, ErrKeyset
	}
	return l.Derivation.aead(p)
}

type kmsSealer struct {
	uri  string
	aead tink.AEAD
}

// KMS seals with a key that never leaves a key management service: Tink's AEAD
// of the key with that URI.
func KMS(uri string, aead tink.AEAD) Sealer { return kmsSealer{uri, aead} }

func (k kmsSealer) Lock() (tink.AEAD, Lock, error) {
	return k.aead, Lock{Kind: ByKMS, URI: k.uri}, nil
}

func (k kmsSealer) Unlock(l Lock) (tink.AEAD, error) {
	if l.Kind != ByKMS || l.URI != k.uri {
		return nil, fmt.Errorf("%w: it is not sealed by the key %s", ErrKMS, k.uri)
	}
	return k.aead, nil
}
