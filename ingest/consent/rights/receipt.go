package rights

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"meguri/ingest/consent"
)

// ReceiptFormat is the version of a receipt's form.
const ReceiptFormat = "meguri-deletion/1"

// Receipt says what was deleted. It names nobody.
type Receipt struct {
	Format   string    `json:"format"`
	ID       string    `json:"id"`
	Reason   string    `json:"reason"`
	Request  string    `json:"request,omitempty"` // one, or several with spaces between
	By       string    `json:"by"`
	Persons  int       `json:"persons"` // numbers under which persons were known; 0 when it was by age
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Gone     []Gone    `json:"gone"`
	Previous string    `json:"previous"` // SHA-256 of the signed receipt before, or ""
	KeyID    string    `json:"key_id"`
}

// Signed is a receipt with its signature: Ed25519 over the receipt as compact
// JSON.
type Signed struct {
	Receipt   json.RawMessage `json:"receipt"`
	Signature []byte          `json:"signature"`
}

// Errors of receipts.
var (
	ErrNoKey     = errors.New("there is no key to sign receipts with: make one with \"meguri receipts keys\"")
	ErrSignature = errors.New("the receipt is not signed by this key, or was changed")
)

// KeyID is the short name of a public key: the first 16 hexadecimal digits of
// its SHA-256.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

func (s *Shredder) sign(ctx context.Context, o Order, gone []Gone) (Signed, error) {
	if len(s.Key) != ed25519.PrivateKeySize {
		return Signed{}, ErrNoKey
	}
	if gone == nil {
		gone = []Gone{}
	}
	r := Receipt{Format: ReceiptFormat, ID: o.ID, Reason: o.Reason, Request: o.Request, By: o.By, Persons: len(o.Persons), Began: o.At,
		Ended: s.Consents.Now().UTC(), Gone: gone, KeyID: KeyID(s.Key.Public().(ed25519.PublicKey))}
	all, err := Receipts(ctx, s.Consents.Store)
	if err != nil {
		return Signed{}, err
	}
	if len(all) > 0 {
		text, err := all[len(all)-1].Document()
		if err != nil {
			return Signed{}, err
		}
		sum := sha256.Sum256(text)
		r.Previous = hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(r)
	if err != nil {
		return Signed{}, fmt.Errorf("sign a receipt: %w", err)
	}
	return Signed{Receipt: text, Signature: ed25519.Sign(s.Key, text)}, nil
}

// Receipts returns all receipts of deletion, the first one first.
func Receipts(ctx context.Context, store consent.Store) ([]Signed, error) {
	var all []Signed
	for e, err := range store.Entries(ctx, consent.Select{Book: consent.Deletions}) {
		if err != nil {
			return nil, err
		}
		if e.Kind != kindReceipt {
			continue
		}
		var s Signed
		if err := e.Read(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Document is the receipt as a file.
func (s Signed) Document() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// Read is what a receipt of our own log says.
func (s Signed) Read() (Receipt, error) { return s.open() }

func (s Signed) open() (r Receipt, err error) {
	d := json.NewDecoder(bytes.NewReader(s.Receipt))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: its content is of another form", ErrSignature)
	}
	if r.Format != ReceiptFormat {
		return r, fmt.Errorf("%w: its format is not %s", ErrSignature, ReceiptFormat)
	}
	return r, nil
}

// Verify checks a receipt's file against a public key.
func Verify(document []byte, key ed25519.PublicKey) (Receipt, error) {
	var s Signed
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil || d.More() {
		return Receipt{}, fmt.Errorf("%w: the file is no receipt", ErrSignature)
	}
	var compact bytes.Buffer // the file may be indented in any way
	if err := json.Compact(&compact, s.Receipt); err != nil || len(key) != ed25519.PublicKeySize ||
		!ed25519.Verify(key, compact.Bytes(), s.Signature) {
		return Receipt{}, ErrSignature
	}
	return s.open()
}
