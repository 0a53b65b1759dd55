package custody_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"meguri/pseudonymize"
	"meguri/pseudonymize/custody"
)

var (
	noon       = time.Date(2026, 7, 1, 3, 0, 0, 0, time.UTC)
	statistics = pseudonymize.DefaultScope
	research   = pseudonymize.Scope{Project: "meguri", Purpose: "research"}
	buses      = pseudonymize.Scope{Project: "buses", Purpose: "statistics"}
	signing    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
)

// kms seals at next to no cost, with a local key of Tink in a KMS's place.
func kms(t testing.TB) pseudonymize.Sealer {
	t.Helper()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	key, err := aead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return pseudonymize.KMS("test-kms://one", key)
}

// box is an empty box beside a lake.
func box(t testing.TB) *custody.Box {
	t.Helper()
	dir := t.TempDir()
	now := noon
	var mu sync.Mutex
	return &custody.Box{
		Dir: filepath.Join(dir, "keys"), Lake: filepath.Join(dir, "lake"), Sealer: kms(t), Old: statistics, User: "tanaka (uid 1000)",
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(time.Minute)
			return now
		},
	}
}

func filled(t testing.TB) *custody.Box {
	t.Helper()
	b := box(t)
	if _, err := b.Init(statistics); err != nil {
		t.Fatal(err)
	}
	for _, s := range []pseudonymize.Scope{research, buses} {
		if _, err := b.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func token(t testing.TB, k *pseudonymize.Keyset) pseudonymize.Token {
	t.Helper()
	tokens, err := pseudonymize.NewTokenizer(k)
	if err != nil {
		t.Fatal(err)
	}
	made, err := tokens.Token("person", "mitaka", "u1")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func open(t testing.TB, b *custody.Box, s pseudonymize.Scope) *pseudonymize.Keyset {
	t.Helper()
	k, err := b.Open(s, "a test")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func whats(t testing.TB, b *custody.Box) (list []string) {
	t.Helper()
	uses, err := b.Audit("")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uses {
		list = append(list, u.What)
	}
	return list
}

// TestBox_NoSilentNewKey: what is there is never replaced, and what is not
// there is never made by reading.
func TestBox_NoSilentNewKey(t *testing.T) {
	b := box(t)
	_, opened := b.Open(statistics, "")
	_, added := b.Add(research)
	_, rotated := b.Rotate(statistics)
	_, _, destroyed := b.Destroy(pseudonymize.Selection{Project: "meguri"}, "x", signing)
	_, shown := b.Keys()
	for name, err := range map[string]error{"open": opened, "add": added, "rotate": rotated, "destroy": destroyed, "show": shown, "reseal": b.Reseal(b.Sealer, "")} {
		if !errors.Is(err, custody.ErrNone) {
			t.Errorf("%s: got %v, want ErrNone", name, err)
		}
	}
	if _, err := os.Stat(b.Path()); err == nil {
		t.Fatal("a keyset was made")
	}
	if _, err := b.Init(statistics); err != nil {
		t.Fatal(err)
	}
	want := token(t, open(t, b, statistics))
	if _, err := b.Init(statistics); !errors.Is(err, custody.ErrExists) {
		t.Errorf("made again: %v", err)
	}
	if token(t, open(t, b, statistics)) != want {
		t.Error("another token")
	}
	if _, err := b.Open(research, ""); !errors.Is(err, pseudonymize.ErrNoKey) {
		t.Errorf("another purpose: %v", err)
	}
}

func TestBox_RefusesAPlaceThatOthersReach(t *testing.T) {
	for name, spoil := range map[string]func(b *custody.Box) error{
		"a folder for the group":  func(b *custody.Box) error { return os.Chmod(b.Dir, 0o750) },
		"a folder for others":     func(b *custody.Box) error { return os.Chmod(b.Dir, 0o701) },
		"a file for the group":    func(b *custody.Box) error { return os.Chmod(b.Path(), 0o640) },
		"a file for others":       func(b *custody.Box) error { return os.Chmod(b.Path(), 0o604) },
		"the lake's own folder":   func(b *custody.Box) error { b.Lake = b.Dir; return nil },
		"a folder in the lake":    func(b *custody.Box) error { b.Lake = filepath.Dir(b.Dir); return nil },
		"a lake among the keys":   func(b *custody.Box) error { b.Lake = filepath.Join(b.Dir, "a", "lake"); return nil },
		"the lake by another way": func(b *custody.Box) error { b.Lake = filepath.Join(b.Dir, "..", "keys", "..", "keys"); return nil },
		"the lake by a link": func(b *custody.Box) error {
			b.Lake = filepath.Join(filepath.Dir(b.Dir), "link")
			return os.Symlink(b.Dir, b.Lake)
		},
	} {
		b := filled(t)
		if err := spoil(b); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Open(statistics, ""); !errors.Is(err, custody.ErrPlace) || !strings.Contains(err.Error(), "keys") {
			t.Errorf("%s: got %v, want ErrPlace", name, err)
		}
		if _, err := b.Rotate(statistics); !errors.Is(err, custody.ErrPlace) {
			t.Errorf("%s: rotated: %v", name, err)
		}
	}
	b := filled(t)
	b.Lake = b.Dir + "-lake" // beside it, though the name begins alike
	open(t, b, statistics)
}

func TestBox_EveryUseStandsInTheLog(t *testing.T) {
	b := filled(t)
	k := open(t, b, research)
	rotated, err := b.Rotate(research)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.OpenEpoch(k.Epoch(), "a withdrawal"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Keys(); err != nil {
		t.Fatal(err)
	}
	if err := b.Reseal(b.Sealer, "yearly"); err != nil {
		t.Fatal(err)
	}
	other := *b
	other.Sealer = kms(t)
	if _, err := other.Open(research, ""); !errors.Is(err, pseudonymize.ErrKMS) {
		t.Fatalf("another key opens it: %v", err)
	}
	if _, _, err := b.Destroy(pseudonymize.Selection{Project: "buses"}, "the end", signing); err != nil {
		t.Fatal(err)
	}
	if got, want := whats(t, b), []string{"init", "add", "add", "open", "rotate", "open", "show", "reseal", "refused", "destroy"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	uses, err := b.Audit("")
	if err != nil {
		t.Fatal(err)
	}
	if u := uses[4]; u.Epoch != rotated.Epoch || u.Project != "meguri" || u.Purpose != "research" || u.User != "tanaka (uid 1000)" || u.At.IsZero() {
		t.Errorf("a rotation is told as %+v", u)
	}
	if u := uses[5]; u.Note != "a withdrawal" || u.Epoch != k.Epoch() {
		t.Errorf("a use is told as %+v", u)
	}
	if _, err := b.Audit(uses[3].Hash); err != nil {
		t.Errorf("a line that was noted: %v", err)
	}
	if _, err := b.Audit(strings.Repeat("0", 64)); !errors.Is(err, custody.ErrAudit) {
		t.Errorf("a line that was never there: %v", err)
	}
}

// TestBox_NoKeyWithoutALine: where the log cannot be written, nothing is handed
// out and nothing changes.
func TestBox_NoKeyWithoutALine(t *testing.T) {
	b := filled(t)
	before, err := os.ReadFile(b.Path())
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(b.Dir, "audit.jsonl")
	if err := errors.Join(os.Remove(log), os.Mkdir(log, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(statistics, ""); err == nil {
		t.Error("a key was handed out")
	}
	if _, err := b.Rotate(statistics); err == nil {
		t.Error("a key was rotated")
	}
	if after, err := os.ReadFile(b.Path()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the ring changed, %v", err)
	}
}

// TestAudit_FindsEveryChange of a log: each line taken out, doubled, changed in
// any byte, or the order.
func TestAudit_FindsEveryChange(t *testing.T) {
	b := filled(t)
	for range 3 {
		open(t, b, statistics)
	}
	path := filepath.Join(b.Dir, "audit.jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	refused := func(name string, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Audit(""); !errors.Is(err, custody.ErrAudit) {
			t.Errorf("%s: got %v, want ErrAudit", name, err)
		}
	}
	for i := range len(lines) {
		without := slices.Delete(slices.Clone(lines), i, i+1)
		if i < len(lines)-1 { // the last one is what the noted hash is for
			refused(fmt.Sprintf("without line %d", i+1), bytes.Join(without, nil))
		}
		refused(fmt.Sprintf("line %d twice", i+1), bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil))
	}
	swapped := slices.Clone(lines)
	swapped[2], swapped[3] = swapped[3], swapped[2]
	refused("two lines swapped", bytes.Join(swapped, nil))
	for i := range len(whole) - 1 {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		refused(fmt.Sprintf("byte %d changed", i), changed)
	}
	// The last line can be cut off; the hash that was noted tells.
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	uses, err := b.Audit("")
	if err != nil {
		t.Fatal(err)
	}
	noted := uses[len(uses)-1].Hash
	if err := os.WriteFile(path, bytes.Join(lines[:len(lines)-1], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Audit(noted); !errors.Is(err, custody.ErrAudit) {
		t.Errorf("cut off at the end: got %v", err)
	}
}

// TestAudit_GoesOnAfterAHalfLine, which a process left that died: the key of
// that use was not handed out.
func TestAudit_GoesOnAfterAHalfLine(t *testing.T) {
	b := filled(t)
	path := filepath.Join(b.Dir, "audit.jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range []string{"{", `{"at":"2026-07-01T03:00:00Z","what":"open"`, strings.Repeat("x", 5000)} {
		if err := os.WriteFile(path, append(bytes.Clone(whole), half...), 0o600); err != nil {
			t.Fatal(err)
		}
		open(t, b, statistics)
		if got := whats(t, b); len(got) != 4 {
			t.Errorf("got %v", got)
		}
	}
	if err := os.WriteFile(path, append(bytes.Clone(whole), "nothing of ours\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(statistics, ""); !errors.Is(err, custody.ErrAudit) {
		t.Errorf("behind a line of somebody else's: got %v", err)
	}
}

func TestAudit_ManyProcessesMakeOneChain(t *testing.T) {
	b := filled(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := b.Open(statistics, "at once"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			if _, err := b.Rotate(buses); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if got := whats(t, b); len(got) != 3+40+5 {
		t.Errorf("%d lines", len(got))
	}
}

// TestDestroy_LeavesAReceiptAndNoKey: after a project's end nobody who has the
// folder can make its tokens (P8), and the receipt says so.
func TestDestroy_LeavesAReceiptAndNoKey(t *testing.T) {
	b := filled(t)
	kept := token(t, open(t, b, buses))
	gone := open(t, b, statistics)
	before := token(t, gone)
	r, path, err := b.Destroy(pseudonymize.Selection{Project: "meguri"}, "end of the project", signing)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(statistics, ""); !errors.Is(err, pseudonymize.ErrDestroyed) {
		t.Errorf("the key is handed out: %v", err)
	}
	if _, err := b.OpenEpoch(gone.Epoch(), ""); !errors.Is(err, pseudonymize.ErrDestroyed) {
		t.Errorf("the epoch is handed out: %v", err)
	}
	if _, err := b.Rotate(research); !errors.Is(err, pseudonymize.ErrDestroyed) {
		t.Errorf("it is rotated: %v", err)
	}
	if token(t, open(t, b, buses)) != kept {
		t.Error("another project's tokens changed")
	}
	if _, err := b.Add(statistics); err != nil {
		t.Fatal(err)
	}
	if token(t, open(t, b, statistics)) == before {
		t.Error("a new key makes the old token")
	}

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := os.ReadFile(path + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	public := signing.Public().(ed25519.PublicKey)
	read, err := custody.VerifyReceipt(text, signature, public)
	if err != nil {
		t.Fatal(err)
	}
	if len(read.Keys) != 2 || read.Reason != "end of the project" || read.AuditHead != r.AuditHead || read.Before == read.After || read.By != b.User {
		t.Errorf("the receipt says %+v", read)
	}
	for _, k := range read.Keys {
		if k.State != pseudonymize.Destroyed || k.Project != "meguri" {
			t.Errorf("the receipt names %+v", k)
		}
	}
	if _, err := b.Audit(read.AuditHead); err != nil {
		t.Errorf("the receipt's line: %v", err)
	}
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1
		if _, err := custody.VerifyReceipt(changed, signature, public); !errors.Is(err, custody.ErrReceipt) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	if _, err := custody.VerifyReceipt(text, signature, nil); !errors.Is(err, custody.ErrReceipt) {
		t.Errorf("without a key: %v", err)
	}
	if _, _, err := b.Destroy(pseudonymize.Selection{Project: "nobody"}, "x", signing); !errors.Is(err, pseudonymize.ErrNoKey) {
		t.Errorf("what is not there: %v", err)
	}
}

// TestDestroy_OverwritesTheOldFile, so far as a program can: who held it open,
// or has it under another name, finds zeros.
func TestDestroy_OverwritesTheOldFile(t *testing.T) {
	b := filled(t)
	other := filepath.Join(t.TempDir(), "hard link")
	if err := os.Link(b.Path(), other); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Destroy(pseudonymize.Selection{Project: "buses"}, "the end", signing); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.Trim(left, "\x00")) > 0 {
		t.Error("the sealed keys are still in the old file")
	}
}

// TestBox_HoldsNoSecretInTheClear looks for the passphrase in every file.
func TestBox_HoldsNoSecretInTheClear(t *testing.T) {
	b := box(t)
	const passphrase = "correct horse battery staple"
	b.Sealer = pseudonymize.Passphrase([]byte(passphrase))
	if _, err := b.Init(statistics); err != nil {
		t.Fatal(err)
	}
	open(t, b, statistics)
	err := filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(passphrase)) {
			t.Errorf("%s holds the passphrase", path)
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBox_ReadsAFileOfOneKey(t *testing.T) {
	b := box(t)
	b.Sealer = pseudonymize.Passphrase([]byte("a passphrase for tests"))
	k, err := pseudonymize.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := errors.Join(k.Write(&file, []byte("a passphrase for tests")), os.Mkdir(b.Dir, 0o700), os.WriteFile(b.Path(), file.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if token(t, open(t, b, statistics)) != token(t, k) {
		t.Error("another token")
	}
	fresh, err := b.Rotate(statistics)
	if err != nil {
		t.Fatal(err)
	}
	old, err := b.OpenEpoch(k.Epoch(), "")
	if err != nil || token(t, old) != token(t, k) || fresh.Epoch == k.Epoch() {
		t.Errorf("after a rotation: %v", err)
	}
}

func FuzzAudit(f *testing.F) {
	b := filled(f)
	whole, err := os.ReadFile(filepath.Join(b.Dir, "audit.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"at":"2026-07-01T03:00:00Z","what":"open","user":"","before":"","hash":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := box(t)
		if err := errors.Join(os.Mkdir(b.Dir, 0o700), os.WriteFile(filepath.Join(b.Dir, "audit.jsonl"), text, 0o600)); err != nil {
			t.Fatal(err)
		}
		uses, err := b.Audit("")
		if err != nil && !errors.Is(err, custody.ErrAudit) {
			t.Fatalf("an error of no kind: %v", err)
		}
		last := ""
		for _, u := range uses {
			again, err := json.Marshal(u)
			if err != nil || !bytes.Contains(text, again) || u.Before != last {
				t.Fatalf("%+v is not what was read", u)
			}
			last = u.Hash
		}
	})
}
