package custody

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"meguri/pseudonymize"
)

// ReceiptFormat is the version of the receipt's form.
const ReceiptFormat = "meguri-key-destruction/1"

// ErrReceipt: a receipt is not signed by the key, or of another form.
var ErrReceipt = errors.New("the receipt is not signed by this key")

const statement = "The keys named here were taken out of the keyset, and this program cannot make their tokens again. " +
	"Copies of the keyset made before are not reached by this: destroy them too, with their passphrase or their key in the KMS."

// Receipt says that keys were destroyed. It is signed as bundles of statistics
// are: Ed25519 over the bytes of the file, in a file beside it.
type Receipt struct {
	Format    string             `json:"format"`
	Keys      []pseudonymize.Key `json:"keys"`
	Reason    string             `json:"reason"`
	At        time.Time          `json:"destroyed_at"`
	By        string             `json:"by"`
	Before    string             `json:"keyset_before_sha256"`
	After     string             `json:"keyset_after_sha256"`
	AuditHead string             `json:"audit_head"` // the line of the log
	KeyID     string             `json:"key_id"`     // of the key that signs: 16 digits of its SHA-256
	Statement string             `json:"statement"`
}

// save writes the receipt and its signature.
func (r *Receipt) save(dir string, sign ed25519.PrivateKey) (path string, err error) {
	id := sha256.Sum256(sign.Public().(ed25519.PublicKey))
	r.KeyID = hex.EncodeToString(id[:8])
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, fmt.Sprintf("destroyed-%s-%s.json", r.At.Format("20060102T150405Z"), r.AuditHead[:8]))
	if err := writeDurably(path+".sig", ed25519.Sign(sign, text.Bytes())); err != nil {
		return "", err
	}
	return path, writeDurably(path, text.Bytes())
}

// VerifyReceipt reads a receipt that is signed by a key.
func VerifyReceipt(text, signature []byte, key ed25519.PublicKey) (Receipt, error) {
	var r Receipt
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, text, signature) {
		return r, ErrReceipt
	}
	if err := json.Unmarshal(text, &r); err != nil || r.Format != ReceiptFormat {
		return r, fmt.Errorf("%w: it is of another form", ErrReceipt)
	}
	return r, nil
}
