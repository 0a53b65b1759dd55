package pseudonymize

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
)

// Keyset holds the key that makes the tokens of one project, purpose and epoch.
// The part of it that can re-identify is 削除情報等: keep it apart from the lake.
type Keyset struct {
	Scope  Scope
	handle *keyset.Handle
}

// keysetFile is a file with one key, as it was before there were key rings:
// encrypted with a key that is derived from a passphrase.
type keysetFile struct {
	Format     string    `json:"format"`
	Derivation argonSpec `json:"derivation"`
	Keyset     []byte    `json:"keyset"`
}

const keysetFormat = "meguri-keyset-1"

// NewKeyset makes a keyset of one AES-CMAC key, which is the first epoch of the
// default project and purpose.
func NewKeyset() (*Keyset, error) {
	handle, err := keyset.NewHandle(prf.AESCMACPRFKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make keyset: %w", err)
	}
	return &Keyset{DefaultScope, handle}, nil
}

// Epoch numbers the key that makes new tokens. Tokens of two epochs cannot be
// joined.
func (k *Keyset) Epoch() uint32 { return k.handle.KeysetInfo().GetPrimaryKeyId() }

// Write writes the keyset alone, encrypted under the passphrase. A key ring
// reads it.
func (k *Keyset) Write(w io.Writer, passphrase []byte) error {
	spec, err := newArgon()
	if err != nil {
		return err
	}
	aead, err := spec.aead(passphrase)
	if err != nil {
		return fmt.Errorf("write keyset: %w", err)
	}
	var sealed bytes.Buffer
	if err := k.handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&sealed), aead, []byte(keysetFormat)); err != nil {
		return fmt.Errorf("write keyset: %w", err)
	}
	return json.NewEncoder(w).Encode(keysetFile{keysetFormat, spec, sealed.Bytes()})
}

// ReadKeyset reads what Write wrote. It returns ErrPassphrase when the
// passphrase is not the one, or the file was changed.
func ReadKeyset(r io.Reader, passphrase []byte) (*Keyset, error) {
	var f keysetFile
	if err := json.NewDecoder(r).Decode(&f); err != nil || f.Format != keysetFormat {
		return nil, ErrKeyset
	}
	return f.open(Passphrase(passphrase))
}

func (f keysetFile) open(s Sealer) (*Keyset, error) {
	aead, err := s.Unlock(Lock{Kind: ByPassphrase, Derivation: &f.Derivation})
	if err != nil {
		return nil, err
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(f.Keyset)), aead, []byte(keysetFormat))
	if err != nil {
		return nil, ErrPassphrase
	}
	return &Keyset{DefaultScope, handle}, nil
}
