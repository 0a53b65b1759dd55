package pseudonymize_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"

	"meguri/pseudonymize"
)

var (
	statistics = pseudonymize.Scope{Project: "voucher-2026", Purpose: "statistics"}
	research   = pseudonymize.Scope{Project: "voucher-2026", Purpose: "research"}
	buses      = pseudonymize.Scope{Project: "buses", Purpose: "statistics"}
	sealed     = pseudonymize.Passphrase([]byte(passphrase))
)

func newRing(t testing.TB, scopes ...pseudonymize.Scope) *pseudonymize.Ring {
	t.Helper()
	r := &pseudonymize.Ring{}
	for _, s := range scopes {
		if _, err := r.Add(s, noon); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func ringFile(t testing.TB, r *pseudonymize.Ring, s pseudonymize.Sealer) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readRing(t testing.TB, file []byte, s pseudonymize.Sealer) *pseudonymize.Ring {
	t.Helper()
	r, err := pseudonymize.ReadRing(bytes.NewReader(file), s, pseudonymize.DefaultScope)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ringToken(t fataler, r *pseudonymize.Ring, s pseudonymize.Scope, value string) pseudonymize.Token {
	k, err := r.Keyset(s)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := pseudonymize.NewTokenizer(k)
	if err != nil {
		t.Fatal(err)
	}
	return token(t, tokens, "person", "mitaka", value)
}

// kmsDouble is a KMS whose key is a local keyset of Tink.
func kmsDouble(t testing.TB, uri string) pseudonymize.Sealer {
	t.Helper()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	key, err := aead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return pseudonymize.KMS(uri, key)
}

func TestRing_KeepsItsKeysWhateverSealsIt(t *testing.T) {
	for name, s := range map[string]pseudonymize.Sealer{"passphrase": sealed, "KMS": kmsDouble(t, "test-kms://one")} {
		r := newRing(t, statistics, research, buses)
		if _, err := r.Rotate(statistics, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Destroy(pseudonymize.Selection{Project: "buses"}, noon.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		again := readRing(t, ringFile(t, r, s), s)
		if !slices.Equal(again.Keys(), r.Keys()) {
			t.Errorf("%s: got %+v, want %+v", name, again.Keys(), r.Keys())
		}
		for _, scope := range []pseudonymize.Scope{statistics, research} {
			if ringToken(t, again, scope, "u1") != ringToken(t, r, scope, "u1") {
				t.Errorf("%s: another token of %s", name, scope)
			}
		}
		// Under another seal the keys are the same.
		other := kmsDouble(t, "test-kms://two")
		if ringToken(t, readRing(t, ringFile(t, again, other), other), research, "u1") != ringToken(t, r, research, "u1") {
			t.Errorf("%s: another token after sealing anew", name)
		}
	}
}

// TestRing_TwoPurposesCannotBeJoined, nor two projects, epochs or recipients.
func TestRing_TwoPurposesCannotBeJoined(t *testing.T) {
	r := newRing(t, statistics, research, buses)
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value")
		made := map[pseudonymize.Token]bool{}
		for _, s := range []pseudonymize.Scope{statistics, research, buses} {
			made[ringToken(t, r, s, value)] = true
		}
		if len(made) != 3 {
			t.Fatalf("%d tokens of three scopes", len(made))
		}
	})
}

func TestRotate_BeginsAnEpochAndKeepsTheOneBefore(t *testing.T) {
	r := newRing(t, statistics)
	first, old := r.Keys()[0], ringToken(t, r, statistics, "u1")
	second, err := r.Rotate(statistics, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if second.Epoch == first.Epoch || ringToken(t, r, statistics, "u1") == old {
		t.Error("the epoch did not change")
	}
	if k := r.Keys()[0]; k.State != pseudonymize.Retired || !k.Retired.Equal(noon.Add(time.Hour)) {
		t.Errorf("the key before is %+v", k)
	}
	k, err := r.Of(first.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	if token(t, tokenizer(t, k), "person", "mitaka", "u1") != old {
		t.Error("the retired key gives other tokens")
	}
}

func TestRing_Refuses(t *testing.T) {
	r := newRing(t, statistics, buses)
	if _, err := r.Destroy(pseudonymize.Selection{Project: "buses"}, noon); err != nil {
		t.Fatal(err)
	}
	gone := r.Keys()[1].Epoch
	_, twice := r.Add(statistics, noon)
	_, unnamed := r.Add(pseudonymize.Scope{Project: "Mitaka City", Purpose: "statistics"}, noon)
	_, none := r.Keyset(research)
	_, destroyed := r.Keyset(buses)
	_, rotated := r.Rotate(buses, noon)
	_, ofNone := r.Of(1)
	_, ofGone := r.Of(gone)
	_, again := r.Destroy(pseudonymize.Selection{Project: "buses"}, noon)
	_, oldScope := pseudonymize.ReadRing(bytes.NewReader(written(t, newKeyset(t))), sealed, pseudonymize.Scope{})
	for name, c := range map[string][2]error{
		"a second key":            {twice, pseudonymize.ErrKeyExists},
		"a name with a blank":     {unnamed, pseudonymize.ErrScope},
		"a scope without a key":   {none, pseudonymize.ErrNoKey},
		"a destroyed key":         {destroyed, pseudonymize.ErrDestroyed},
		"rotating what is gone":   {rotated, pseudonymize.ErrDestroyed},
		"an epoch nobody had":     {ofNone, pseudonymize.ErrNoKey},
		"an epoch that is gone":   {ofGone, pseudonymize.ErrDestroyed},
		"destroying it again":     {again, pseudonymize.ErrNoKey},
		"an old key for no scope": {oldScope, pseudonymize.ErrScope},
	} {
		if !errors.Is(c[0], c[1]) {
			t.Errorf("%s: got %v, want %v", name, c[0], c[1])
		}
	}
}

// TestDestroy_NobodyCanComputeATokenAgain: crypto-shredding of a project (P8,
// RP-9). What was in the file before is nowhere in the one after, in any form,
// and a key that is made in its place gives other tokens.
func TestDestroy_NobodyCanComputeATokenAgain(t *testing.T) {
	r := newRing(t, statistics, research, buses)
	if _, err := r.Rotate(statistics, noon); err != nil {
		t.Fatal(err)
	}
	var secrets [][]byte
	for _, k := range r.Keys() {
		if k.Project != "voucher-2026" {
			continue
		}
		keys, err := r.Of(k.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		clear, err := pseudonymize.ClearText(keys)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(clear, []byte("\x12\x20"))
		secrets = append(secrets, clear[at+2:at+34])
	}
	before, kept := ringToken(t, r, statistics, "u1"), ringToken(t, r, buses, "u1")
	var sealedKeys struct {
		Keys []struct{ Sealed []byte }
	}
	if err := json.Unmarshal(ringFile(t, r, sealed), &sealedKeys); err != nil {
		t.Fatal(err)
	}
	gone, err := r.Destroy(pseudonymize.Selection{Project: "voucher-2026"}, noon.Add(time.Hour))
	if err != nil || len(gone) != 3 || len(secrets) != 3 {
		t.Fatalf("got %d keys, %v", len(gone), err)
	}
	file := ringFile(t, r, sealed)
	again := readRing(t, file, sealed)
	for _, ring := range []*pseudonymize.Ring{r, again} {
		for _, k := range gone {
			if _, err := ring.Of(k.Epoch); !errors.Is(err, pseudonymize.ErrDestroyed) {
				t.Errorf("epoch %d: got %v", k.Epoch, err)
			}
		}
		if ringToken(t, ring, buses, "u1") != kept {
			t.Error("the other project's tokens changed")
		}
	}
	var after struct {
		Keys []struct {
			State  string
			Sealed []byte
		}
	}
	if err := json.Unmarshal(file, &after); err != nil {
		t.Fatal(err)
	}
	for i, k := range after.Keys {
		if (k.State == "destroyed") != (k.Sealed == nil) {
			t.Errorf("key %d is %s with %d bytes", i, k.State, len(k.Sealed))
		}
	}
	for _, secret := range secrets {
		shown := fmt.Sprintf("%v %+v", again, again.Keys())
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), string(secret[:16])} {
			if bytes.Contains(file, []byte(form)) || strings.Contains(shown, form) {
				t.Error("a destroyed key is still to be seen")
			}
		}
	}
	if _, err := again.Add(statistics, noon.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if ringToken(t, again, statistics, "u1") == before {
		t.Error("a new key gives a token of the destroyed one")
	}
}

// TestReadRing_ReadsAFileOfOneKey, as it was before there were rings: epoch and
// tokens go on, also after the file was written as a ring.
func TestReadRing_ReadsAFileOfOneKey(t *testing.T) {
	keys := newKeyset(t)
	r, err := pseudonymize.ReadRing(bytes.NewReader(written(t, keys)), sealed, statistics)
	if err != nil {
		t.Fatal(err)
	}
	want := token(t, tokenizer(t, keys), "person", "mitaka", "u1")
	for _, ring := range []*pseudonymize.Ring{r, readRing(t, ringFile(t, r, sealed), sealed)} {
		k := ring.Keys()
		if len(k) != 1 || k[0].Epoch != keys.Epoch() || k[0].Scope != statistics || k[0].State != pseudonymize.Active {
			t.Errorf("got %+v", k)
		}
		if ringToken(t, ring, statistics, "u1") != want {
			t.Error("another token")
		}
	}
	if _, err := pseudonymize.ReadRing(bytes.NewReader(written(t, keys)), pseudonymize.Passphrase([]byte("another")), statistics); !errors.Is(err, pseudonymize.ErrPassphrase) {
		t.Errorf("another passphrase: got %v", err)
	}
}

func TestReadRing_RefusesAnotherSeal(t *testing.T) {
	one, other := kmsDouble(t, "test-kms://one"), kmsDouble(t, "test-kms://one")
	two := kmsDouble(t, "test-kms://two")
	r := newRing(t, statistics)
	byPassphrase, byKMS := ringFile(t, r, sealed), ringFile(t, r, one)
	for name, c := range map[string]struct {
		file []byte
		with pseudonymize.Sealer
		want error
	}{
		"another passphrase":          {byPassphrase, pseudonymize.Passphrase([]byte(passphrase + "\n")), pseudonymize.ErrPassphrase},
		"no passphrase":               {byPassphrase, pseudonymize.Passphrase(nil), pseudonymize.ErrPassphrase},
		"a KMS for a passphrase":      {byPassphrase, one, pseudonymize.ErrKMS},
		"a passphrase for a KMS":      {byKMS, sealed, pseudonymize.ErrKMS},
		"another key of the URI":      {byKMS, other, pseudonymize.ErrKMS},
		"a key of another URI":        {byKMS, two, pseudonymize.ErrKMS},
		"a KMS for a file of one key": {written(t, newKeyset(t)), one, pseudonymize.ErrKMS},
	} {
		_, err := pseudonymize.ReadRing(bytes.NewReader(c.file), c.with, pseudonymize.DefaultScope)
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), passphrase) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestReadRing_NothingOfItCanBeChanged: each member of the file, and keys that
// are taken out, doubled, or put back where they were destroyed.
func TestReadRing_NothingOfItCanBeChanged(t *testing.T) {
	r := newRing(t, statistics, research)
	older := ringFile(t, r, sealed)
	if _, err := r.Destroy(pseudonymize.Selection{Project: statistics.Project, Purpose: "statistics"}, noon); err != nil {
		t.Fatal(err)
	}
	file := ringFile(t, r, sealed)
	type document = map[string]any
	keys := func(d document) []any { return d["keys"].([]any) }
	parse := func(b []byte) document {
		var d document
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if err := dec.Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, change := range map[string]func(d document){
		"active again":          func(d document) { keys(d)[0].(document)["state"] = "active" },
		"another purpose":       func(d document) { keys(d)[1].(document)["purpose"] = "statistics" },
		"another epoch":         func(d document) { keys(d)[1].(document)["epoch"] = 7 },
		"another day":           func(d document) { keys(d)[1].(document)["created"] = "2020-01-01T00:00:00Z" },
		"a key taken out":       func(d document) { d["keys"] = keys(d)[:1] },
		"a key twice":           func(d document) { d["keys"] = append(keys(d), keys(d)[1]) },
		"the order":             func(d document) { slices.Reverse(keys(d)) },
		"an older key put back": func(d document) { keys(d)[0] = keys(parse(older))[0] },
		"another's seal":        func(d document) { d["seal"] = parse(older)["seal"] },
		"a member more":         func(d document) { d["note"] = "x" },
		"no seal":               func(d document) { delete(d, "seal") },
	} {
		d := parse(file)
		change(d)
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pseudonymize.ReadRing(bytes.NewReader(text), sealed, pseudonymize.DefaultScope); !errors.Is(err, pseudonymize.ErrPassphrase) && !errors.Is(err, pseudonymize.ErrKeyset) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestRing_BehavesAsAModel draws orders of additions, rotations, destructions
// and rereadings: never two active keys of a scope, never an epoch twice, and a
// destroyed key stays so.
func TestRing_BehavesAsAModel(t *testing.T) {
	scopes := []pseudonymize.Scope{statistics, research, buses}
	rapid.Check(t, func(t *rapid.T) {
		r, active, dead := &pseudonymize.Ring{}, map[pseudonymize.Scope]uint32{}, map[uint32]bool{}
		scope := func(t *rapid.T) pseudonymize.Scope { return rapid.SampledFrom(scopes).Draw(t, "scope") }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				s := scope(t)
				k, err := r.Add(s, noon)
				if (err == nil) == (active[s] != 0) {
					t.Fatalf("added beside %d: %v", active[s], err)
				}
				if err == nil {
					active[s] = k.Epoch
				}
			},
			"rotate": func(t *rapid.T) {
				s := scope(t)
				k, err := r.Rotate(s, noon)
				if (err == nil) != (active[s] != 0) {
					t.Fatalf("rotated %d: %v", active[s], err)
				}
				if err == nil {
					active[s] = k.Epoch
				}
			},
			"destroy": func(t *rapid.T) {
				s := scope(t)
				gone, err := r.Destroy(pseudonymize.Selection{Project: s.Project, Purpose: s.Purpose}, noon)
				if err != nil && active[s] != 0 {
					t.Fatal(err)
				}
				for _, k := range gone {
					dead[k.Epoch] = true
				}
				delete(active, s)
			},
			"": func(t *rapid.T) {
				seen := map[uint32]bool{}
				for _, k := range r.Keys() {
					if seen[k.Epoch] || (k.State == pseudonymize.Active) != (active[k.Scope] == k.Epoch) || (k.State == pseudonymize.Destroyed) != dead[k.Epoch] {
						t.Fatalf("%+v: active %v, destroyed %v", k, active, dead)
					}
					seen[k.Epoch] = true
				}
				for s, epoch := range active {
					if k, err := r.Keyset(s); err != nil || k.Epoch() != epoch {
						t.Fatalf("%s: %v", s, err)
					}
				}
			},
		})
	})
}

// nullSealer opens what is written in the clear, so that the fuzzer comes past
// the seal.
type nullSealer struct{}

func (nullSealer) Lock() (tink.AEAD, pseudonymize.Lock, error) {
	return nullSealer{}, pseudonymize.Lock{Kind: pseudonymize.ByKMS}, nil
}
func (nullSealer) Unlock(pseudonymize.Lock) (tink.AEAD, error) { return nullSealer{}, nil }
func (nullSealer) Encrypt(clear, _ []byte) ([]byte, error)     { return append([]byte("x"), clear...), nil }
func (nullSealer) Decrypt(text, _ []byte) ([]byte, error) {
	if len(text) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return text[1:], nil
}

func FuzzReadRing(f *testing.F) {
	r := newRing(f, statistics, buses)
	f.Add(ringFile(f, r, nullSealer{}))
	if _, err := r.Destroy(pseudonymize.Selection{Project: "buses"}, noon); err != nil {
		f.Fatal(err)
	}
	f.Add(ringFile(f, r, nullSealer{}))
	f.Add([]byte(`{"format":"meguri-keyring-1","lock":{"kind":"kms"},"keys":[{"created":"9999-12-31T23:59:59+23:59"}],"seal":"eA=="}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := pseudonymize.ReadRing(bytes.NewReader(file), nullSealer{}, pseudonymize.DefaultScope)
		if err != nil {
			if !errors.Is(err, pseudonymize.ErrKeyset) && !errors.Is(err, pseudonymize.ErrPassphrase) && !errors.Is(err, pseudonymize.ErrKMS) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		for _, k := range r.Keys() {
			if keys, err := r.Of(k.Epoch); err == nil {
				token(t, tokenizer(t, keys), "person", "mitaka", "u1")
			}
		}
		if again := readRing(t, ringFile(t, r, nullSealer{}), nullSealer{}); len(again.Keys()) != len(r.Keys()) {
			t.Fatal("written and read again it has other keys")
		}
	})
}
