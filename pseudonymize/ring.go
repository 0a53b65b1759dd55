package pseudonymize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
)

// Scope is what a key is for. Tokens of two scopes cannot be joined, since they
// are made with two keys: so it is with two purposes and with two recipients.
type Scope struct {
	Project string `json:"project"`
	Purpose string `json:"purpose"`
}

// DefaultScope is the scope of an office with one project.
var DefaultScope = Scope{"meguri", "statistics"}

func (s Scope) String() string { return s.Project + "/" + s.Purpose }

var scopeName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (s Scope) check() error {
	if !scopeName.MatchString(s.Project) || !scopeName.MatchString(s.Purpose) {
		return ErrScope
	}
	return nil
}

// State is how far a key is in its life.
type State string

// The states, in their order.
const (
	Active    State = "active"    // makes new tokens
	Retired   State = "retired"   // makes tokens for what was made with it, and nothing new
	Destroyed State = "destroyed" // is not there any more
)

// Key is what may be told of a key.
type Key struct {
	Scope
	Epoch     uint32    `json:"epoch"`
	State     State     `json:"state"`
	Created   time.Time `json:"created,omitzero"` // zero: a file of before there were key rings
	Retired   time.Time `json:"retired,omitzero"`
	Destroyed time.Time `json:"destroyed,omitzero"`
}

// Ring holds the keys of all projects, purposes and epochs.
type Ring struct{ keys []ringKey }

type ringKey struct {
	Key
	handle *keyset.Handle // nil when it was destroyed
}

// Keys are the ring's keys in the order in which they were made.
func (r *Ring) Keys() []Key {
	keys := make([]Key, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.Key
	}
	return keys
}

func (r *Ring) active(s Scope) *ringKey {
	i := slices.IndexFunc(r.keys, func(k ringKey) bool { return k.Scope == s && k.State == Active })
	if i < 0 {
		return nil
	}
	return &r.keys[i]
}

// Add makes the first key of a scope, or the first after its destruction.
func (r *Ring) Add(s Scope, now time.Time) (Key, error) {
	if err := s.check(); err != nil {
		return Key{}, err
	}
	if r.active(s) != nil {
		return Key{}, fmt.Errorf("%s: %w", s, ErrKeyExists)
	}
	for {
		handle, err := keyset.NewHandle(prf.AESCMACPRFKeyTemplate())
		if err != nil {
			return Key{}, fmt.Errorf("make key: %w", err)
		}
		epoch := handle.KeysetInfo().GetPrimaryKeyId()
		if slices.ContainsFunc(r.keys, func(k ringKey) bool { return k.Epoch == epoch }) {
			continue // an epoch names one key for good
		}
		k := Key{Scope: s, Epoch: epoch, State: Active, Created: second(now)}
		r.keys = append(r.keys, ringKey{k, handle})
		return k, nil
	}
}

// second is an instant as a file shows it.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// Rotate begins a new epoch of a scope and retires the one before.
func (r *Ring) Rotate(s Scope, now time.Time) (Key, error) {
	old := r.active(s)
	if old == nil {
		return Key{}, r.missing(s)
	}
	old.State, old.Retired = Retired, second(now)
	return r.Add(s, now)
}

// Selection says which keys of a project are meant: all, or those of one
// purpose, or one epoch.
type Selection struct {
	Project, Purpose string // an empty purpose means all
	Epoch            uint32 // 0 means all
}

// Destroy takes keys out of the ring for good. What stays of them is that they
// were there.
func (r *Ring) Destroy(which Selection, now time.Time) ([]Key, error) {
	var gone []Key
	for i := range r.keys {
		k := &r.keys[i]
		if k.State == Destroyed || k.Project != which.Project || (which.Purpose != "" && k.Purpose != which.Purpose) ||
			(which.Epoch != 0 && k.Epoch != which.Epoch) {
			continue
		}
		k.State, k.Destroyed, k.handle = Destroyed, second(now), nil
		gone = append(gone, k.Key)
	}
	if gone == nil {
		return nil, fmt.Errorf("%w: nothing of project %q is there to destroy", ErrNoKey, which.Project)
	}
	return gone, nil
}

// Keyset is the active key of a scope.
func (r *Ring) Keyset(s Scope) (*Keyset, error) {
	if k := r.active(s); k != nil {
		return &Keyset{s, k.handle}, nil
	}
	return nil, r.missing(s)
}

// Of is the key of an epoch, active or retired.
func (r *Ring) Of(epoch uint32) (*Keyset, error) {
	for _, k := range r.keys {
		switch {
		case k.Epoch != epoch:
		case k.State == Destroyed:
			return nil, fmt.Errorf("epoch %d: %w", epoch, ErrDestroyed)
		default:
			return &Keyset{k.Scope, k.handle}, nil
		}
	}
	return nil, fmt.Errorf("epoch %d: %w", epoch, ErrNoKey)
}

// missing says why a scope has no active key.
func (r *Ring) missing(s Scope) error {
	if slices.ContainsFunc(r.keys, func(k ringKey) bool { return k.Scope == s && k.State == Destroyed }) {
		return fmt.Errorf("%s: %w", s, ErrDestroyed)
	}
	return fmt.Errorf("%s: %w: add one with \"meguri keys add\", or set project and purpose as they were", s, ErrNoKey)
}

// ringFile is how a ring lies in a file. What may be told stands in the clear;
// the seal holds all of it together, so that no line of it can be changed,
// added or taken away without the passphrase.
type ringFile struct {
	Format string      `json:"format"`
	Lock   Lock        `json:"lock"`
	Keys   []sealedKey `json:"keys"`
	Seal   []byte      `json:"seal"`
}

type sealedKey struct {
	Key
	Sealed []byte `json:"sealed,omitempty"` // nothing of a key that was destroyed
}

const ringFormat = "meguri-keyring-1"

// about is what the seal of a key, or of the list of all, is bound to.
func about(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("pseudonymize: a key cannot be written: " + err.Error()) // times of five digits are refused when read
	}
	return append([]byte(ringFormat+"\n"), text...)
}

// identity is the part of a key that never changes.
type identity struct {
	Scope
	Epoch uint32 `json:"epoch"`
}

func (k Key) identity() identity { return identity{k.Scope, k.Epoch} }

// Write writes the ring, sealed.
func (r *Ring) Write(w io.Writer, s Sealer) error {
	aead, lock, err := s.Lock()
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	f := ringFile{Format: ringFormat, Lock: lock, Keys: []sealedKey{}}
	for _, k := range r.keys {
		sealed := sealedKey{Key: k.Key}
		if k.handle != nil {
			var b bytes.Buffer
			if err := k.handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&b), aead, about(k.identity())); err != nil {
				return fmt.Errorf("write keys: %w", err)
			}
			sealed.Sealed = b.Bytes()
		}
		f.Keys = append(f.Keys, sealed)
	}
	if f.Seal, err = aead.Encrypt([]byte{}, about(f.Keys)); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(f)
}

// ReadRing reads what Write wrote. A file with a single key, as it was before
// there were rings, is a ring of one key whose scope is old and whose epoch
// goes on.
func ReadRing(r io.Reader, s Sealer, old Scope) (*Ring, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var single keysetFile
	if err := json.Unmarshal(text, &single); err == nil && single.Format == keysetFormat {
		if err := old.check(); err != nil {
			return nil, err
		}
		k, err := single.open(s)
		if err != nil {
			return nil, err
		}
		return &Ring{[]ringKey{{Key{Scope: old, Epoch: k.Epoch(), State: Active}, k.handle}}}, nil
	}
	var f ringFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || f.Format != ringFormat {
		return nil, ErrKeyset
	}
	return f.open(s)
}

func (f ringFile) open(s Sealer) (*Ring, error) {
	aead, err := s.Unlock(f.Lock)
	if err != nil {
		return nil, err
	}
	if _, err := aead.Decrypt(f.Seal, about(f.Keys)); err != nil {
		return nil, f.Lock.wrong()
	}
	ring := &Ring{}
	for _, k := range f.Keys {
		opened := ringKey{Key: k.Key}
		if k.State != Destroyed {
			opened.handle, err = keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(k.Sealed)), aead, about(k.identity()))
			if err != nil || opened.handle.KeysetInfo().GetPrimaryKeyId() != k.Epoch {
				return nil, errors.Join(ErrKeyset, f.Lock.wrong())
			}
		}
		ring.keys = append(ring.keys, opened)
	}
	return ring, nil
}
