package pseudonymize

import (
	"encoding/json"
	"fmt"
	"io"
)

// sealedFile is how another secret than a keyset lies in a file: as a keyset
// does, encrypted with a key that is derived from a passphrase.
type sealedFile struct {
	Format     string    `json:"format"`
	Derivation argonSpec `json:"derivation"`
	Sealed     []byte    `json:"sealed"`
}

// Seal writes a secret, encrypted under the passphrase. Format says what it is;
// a file of one format cannot be passed off as one of another.
func Seal(w io.Writer, passphrase []byte, format string, secret []byte) error {
	spec, err := newArgon()
	if err != nil {
		return fmt.Errorf("seal %s: %w", format, err)
	}
	f := sealedFile{Format: format, Derivation: spec}
	aead, err := spec.aead(passphrase)
	if err != nil {
		return fmt.Errorf("seal %s: %w", format, err)
	}
	if f.Sealed, err = aead.Encrypt(secret, []byte(format)); err != nil {
		return fmt.Errorf("seal %s: %w", format, err)
	}
	return json.NewEncoder(w).Encode(f)
}

// Unseal reads what Seal wrote. It returns ErrPassphrase when the passphrase is
// not the one, or the file was changed, and ErrSealed when it is no such file.
func Unseal(r io.Reader, passphrase []byte, format string) ([]byte, error) {
	var f sealedFile
	if err := json.NewDecoder(r).Decode(&f); err != nil || f.Format != format {
		return nil, ErrSealed
	}
	aead, err := f.Derivation.aead(passphrase)
	if err != nil {
		return nil, ErrSealed
	}
	secret, err := aead.Decrypt(f.Sealed, []byte(format))
	if err != nil {
		return nil, ErrPassphrase
	}
	return secret, nil
}
