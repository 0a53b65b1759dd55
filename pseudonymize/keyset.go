package pseudonymize

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Keyset holds the keys that make tokens. The part of it that can re-identify
// is 削除情報等: keep it apart from the lake.
type Keyset struct {
	handle *keyset.Handle
}

// keysetFile is how a keyset lies in a file: encrypted with a key that is
// derived from a passphrase.
type keysetFile struct {
	Format     string    `json:"format"`
	Derivation argonSpec `json:"derivation"`
	Keyset     []byte    `json:"keyset"`
}

type argonSpec struct {
	Name      string `json:"name"`
	Salt      []byte `json:"salt"`
	Time      uint32 `json:"time"`
	MemoryKiB uint32 `json:"memory_kib"`
	Threads   uint8  `json:"threads"`
}

const keysetFormat = "meguri-keyset-1"

// The second recommended setting of RFC 9106 §4: 3 passes over 64 MiB.
var argonDefault = argonSpec{Name: "argon2id", Time: 3, MemoryKiB: 64 << 10, Threads: 4}

// NewKeyset makes a keyset of one AES-CMAC key, which is the first epoch.
func NewKeyset() (*Keyset, error) {
	handle, err := keyset.NewHandle(prf.AESCMACPRFKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make keyset: %w", err)
	}
	return &Keyset{handle}, nil
}

// Epoch numbers the key that makes new tokens. Tokens of two epochs cannot be
// joined.
func (k *Keyset) Epoch() uint32 { return k.handle.KeysetInfo().GetPrimaryKeyId() }

// Write writes the keyset, encrypted under the passphrase.
func (k *Keyset) Write(w io.Writer, passphrase []byte) error {
	f := keysetFile{Format: keysetFormat, Derivation: argonDefault}
	f.Derivation.Salt = make([]byte, 16)
	if _, err := rand.Read(f.Derivation.Salt); err != nil {
		return err
	}
	aead, err := f.Derivation.aead(passphrase)
	if err != nil {
		return fmt.Errorf("write keyset: %w", err)
	}
	var sealed bytes.Buffer
	if err := k.handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&sealed), aead, []byte(keysetFormat)); err != nil {
		return fmt.Errorf("write keyset: %w", err)
	}
	f.Keyset = sealed.Bytes()
	return json.NewEncoder(w).Encode(f)
}

// ReadKeyset reads what Write wrote. It returns ErrPassphrase when the
// passphrase is not the one, or the file was changed.
func ReadKeyset(r io.Reader, passphrase []byte) (*Keyset, error) {
	var f keysetFile
	if err := json.NewDecoder(r).Decode(&f); err != nil || f.Format != keysetFormat {
		return nil, ErrKeyset
	}
	aead, err := f.Derivation.aead(passphrase)
	if err != nil {
		return nil, err
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(f.Keyset)), aead, []byte(keysetFormat))
	if err != nil {
		return nil, ErrPassphrase
	}
	return &Keyset{handle}, nil
}

func (s argonSpec) aead(passphrase []byte) (*subtle.XChaCha20Poly1305, error) {
	// Bounds keep a changed file from asking for all memory.
	if s.Name != "argon2id" || s.Time < 1 || s.Time > 16 || s.MemoryKiB > 1<<20 || s.Threads < 1 || len(s.Salt) < 16 {
		return nil, ErrKeyset
	}
	key := argon2.IDKey(passphrase, s.Salt, s.Time, s.MemoryKiB, s.Threads, chacha20poly1305.KeySize)
	return subtle.NewXChaCha20Poly1305(key)
}
