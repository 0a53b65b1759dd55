// Package custody keeps the key ring in a folder: sealed, apart from the lake,
// for its owner alone, with a log of every use. Keys are 削除情報等, and this is
// what Rule 32 asks for: that it is settled who handles them, that nobody else
// can, and that it can be reviewed. Start with [Box].
//
// No key leaves the box before its use stands in the log, and none is made in
// place of one that is lost.
package custody

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"meguri/pseudonymize"
)

var (
	// ErrNone: there is no key ring in the folder.
	ErrNone = errors.New("there is no keyset")
	// ErrExists: a key ring is never replaced.
	ErrExists = errors.New("a keyset is never replaced, since the lake could not be joined any more")
	// ErrPlace: the folder is no place for keys.
	ErrPlace = errors.New("the folder is no place for keys")
	// ErrAudit: the log of uses is not as it was written.
	ErrAudit = errors.New("the log of the keys' uses was changed")
)

// Box is a folder with a key ring.
type Box struct {
	Dir    string
	Lake   string              // the lake's folder, which must not hold it
	Sealer pseudonymize.Sealer // opens and closes the ring
	Old    pseudonymize.Scope  // of a file of before there were key rings
	User   string              // whom the log names
	Now    func() time.Time
}

// Path is the file of the ring.
func (b *Box) Path() string { return filepath.Join(b.Dir, "keyset.json") }

// place refuses a folder that others can read, or that is within the lake's or
// around it: who may read tokens must not find the keys beside them.
func (b *Box) place() error {
	for path, fix := range map[string]string{b.Dir: "0700", b.Path(): "0600"} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return fmt.Errorf("%w: %s can be read by others than its owner (mode %04o): set its mode to %s", ErrPlace, path, mode, fix)
		}
	}
	keys, lake := resolve(b.Dir), resolve(b.Lake)
	if within(keys, lake) || within(lake, keys) {
		return fmt.Errorf("%w: %s and the lake %s lie one in the other: keep the keys apart from what they can re-identify", ErrPlace, b.Dir, b.Lake)
	}
	return nil
}

// resolve follows the links of a path as far as it is there.
func resolve(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolve(parent), filepath.Base(path))
	}
	return path
}

func within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// lock keeps other processes from changing the ring until the returned function
// is called, or the process ends in whatever way.
func (b *Box) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(b.Dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock keys: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock keys: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing lets the lock go
}

// Init makes a ring with one key.
func (b *Box) Init(s pseudonymize.Scope) (pseudonymize.Key, error) {
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return pseudonymize.Key{}, fmt.Errorf("make keyset: %w", err)
	}
	if err := b.place(); err != nil {
		return pseudonymize.Key{}, err
	}
	unlock, err := b.lock()
	if err != nil {
		return pseudonymize.Key{}, err
	}
	defer unlock()
	if _, err := os.Lstat(b.Path()); err == nil {
		return pseudonymize.Key{}, fmt.Errorf("%s exists: %w", b.Path(), ErrExists)
	}
	ring := &pseudonymize.Ring{}
	k, err := ring.Add(s, b.Now())
	if err != nil {
		return k, fmt.Errorf("make keyset: %w", err)
	}
	_, err = b.commit(ring, b.Sealer, "init", "", []pseudonymize.Key{k})
	return k, err
}

// read opens the ring.
func (b *Box) read() (*pseudonymize.Ring, []byte, error) {
	if err := b.place(); err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(b.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: make one with \"meguri keys init\", or bring yours back from its safe place", ErrNone)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read keyset: %w", err)
	}
	ring, err := pseudonymize.ReadRing(bytes.NewReader(text), b.Sealer, b.Old)
	if err != nil {
		err = fmt.Errorf("read keyset %s: %w", b.Path(), err)
		if errors.Is(err, pseudonymize.ErrPassphrase) || errors.Is(err, pseudonymize.ErrKMS) {
			_, logged := b.record(Use{What: "refused"})
			err = errors.Join(err, logged)
		}
		return nil, nil, err
	}
	return ring, text, nil
}

// Open is the active key of a scope. What it is for stands in the log.
func (b *Box) Open(s pseudonymize.Scope, why string) (*pseudonymize.Keyset, error) {
	ring, _, err := b.read()
	if err != nil {
		return nil, err
	}
	k, err := ring.Keyset(s)
	if err != nil {
		return nil, err
	}
	return k, b.opened(k, why)
}

// OpenEpoch is the key of an epoch, active or retired.
func (b *Box) OpenEpoch(epoch uint32, why string) (*pseudonymize.Keyset, error) {
	ring, _, err := b.read()
	if err != nil {
		return nil, err
	}
	k, err := ring.Of(epoch)
	if err != nil {
		return nil, err
	}
	return k, b.opened(k, why)
}

func (b *Box) opened(k *pseudonymize.Keyset, why string) error {
	_, err := b.record(Use{What: "open", Epoch: k.Epoch(), Project: k.Scope.Project, Purpose: k.Scope.Purpose, Note: why})
	return err
}

// Keys are what may be told of the ring's keys.
func (b *Box) Keys() ([]pseudonymize.Key, error) {
	ring, _, err := b.read()
	if err != nil {
		return nil, err
	}
	_, err = b.record(Use{What: "show"})
	return ring.Keys(), err
}

// Add makes the first key of another project or purpose.
func (b *Box) Add(s pseudonymize.Scope) (pseudonymize.Key, error) {
	return b.one("add", func(r *pseudonymize.Ring) (pseudonymize.Key, error) { return r.Add(s, b.Now()) })
}

// Rotate begins a new epoch.
func (b *Box) Rotate(s pseudonymize.Scope) (pseudonymize.Key, error) {
	return b.one("rotate", func(r *pseudonymize.Ring) (pseudonymize.Key, error) { return r.Rotate(s, b.Now()) })
}

func (b *Box) one(what string, change func(*pseudonymize.Ring) (pseudonymize.Key, error)) (k pseudonymize.Key, err error) {
	err = b.change(func(r *pseudonymize.Ring, _ []byte) error {
		if k, err = change(r); err != nil {
			return err
		}
		_, err = b.commit(r, b.Sealer, what, "", []pseudonymize.Key{k})
		return err
	})
	return k, err
}

// Reseal closes the ring with another passphrase, or another key of a KMS. The
// keys stay, and so do the tokens.
func (b *Box) Reseal(with pseudonymize.Sealer, note string) error {
	return b.change(func(r *pseudonymize.Ring, _ []byte) error {
		_, err := b.commit(r, with, "reseal", note, nil)
		return err
	})
}

// Destroy destroys keys, and signs a receipt that it did.
func (b *Box) Destroy(which pseudonymize.Selection, reason string, sign ed25519.PrivateKey) (r Receipt, path string, err error) {
	err = b.change(func(ring *pseudonymize.Ring, before []byte) error {
		gone, err := ring.Destroy(which, b.Now())
		if err != nil {
			return err
		}
		old, err := os.OpenFile(b.Path(), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		head, err := b.commit(ring, b.Sealer, "destroy", reason, gone)
		if err != nil {
			return errors.Join(err, old.Close())
		}
		// The old file has no name any more. That its sealed bytes go too is as
		// much as a program can do on a disk that may keep copies.
		_, err = old.Write(make([]byte, len(before)))
		if err := errors.Join(err, old.Sync(), old.Close()); err != nil {
			return fmt.Errorf("the keys are destroyed, and their old file could not be overwritten: %w", err)
		}
		after, err := os.ReadFile(b.Path())
		if err != nil {
			return err
		}
		r = Receipt{
			Format: ReceiptFormat, Keys: gone, Reason: reason, At: gone[0].Destroyed, By: b.User,
			Before: sum(before), After: sum(after), AuditHead: head, Statement: statement,
		}
		if path, err = r.save(filepath.Join(b.Dir, "receipts"), sign); err != nil {
			return fmt.Errorf("the keys are destroyed, and the receipt could not be written: %w", err)
		}
		return nil
	})
	return r, path, err
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// change reads the ring and has it changed, while nobody else can.
func (b *Box) change(do func(r *pseudonymize.Ring, text []byte) error) error {
	if _, err := os.Stat(b.Dir); err == nil {
		unlock, err := b.lock()
		if err != nil {
			return err
		}
		defer unlock()
	}
	ring, text, err := b.read()
	if err != nil {
		return err
	}
	return do(ring, text)
}

// commit logs a change and puts the ring in place, at once and for good. The log
// comes first: a line too much can be explained, a change without a line cannot.
func (b *Box) commit(r *pseudonymize.Ring, with pseudonymize.Sealer, what, note string, keys []pseudonymize.Key) (head string, err error) {
	var sealed bytes.Buffer
	if err := r.Write(&sealed, with); err != nil {
		return "", err
	}
	if keys == nil {
		keys = []pseudonymize.Key{{}}
	}
	for _, k := range keys {
		if head, err = b.record(Use{What: what, Epoch: k.Epoch, Project: k.Project, Purpose: k.Purpose, Note: note}); err != nil {
			return "", err
		}
	}
	if err := writeDurably(b.Path(), sealed.Bytes()); err != nil {
		_, logged := b.record(Use{What: "failed", Note: what})
		return "", errors.Join(fmt.Errorf("write keyset: %w", err), logged)
	}
	return head, nil
}

// writeDurably puts a file in place that is complete under its name, also after
// a loss of power, or not there.
func writeDurably(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
