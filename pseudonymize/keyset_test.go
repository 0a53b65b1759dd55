package pseudonymize_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"meguri/pseudonymize"
)

const passphrase = "correct horse battery staple"

func written(t testing.TB, k *pseudonymize.Keyset) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := k.Write(&file, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func reopen(t testing.TB, k *pseudonymize.Keyset) *pseudonymize.Keyset {
	t.Helper()
	again, err := pseudonymize.ReadKeyset(bytes.NewReader(written(t, k)), []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestReadKeyset_ReadsWhatWriteWrote(t *testing.T) {
	keys := newKeyset(t)
	again := reopen(t, keys)
	if again.Epoch() != keys.Epoch() {
		t.Errorf("epoch: got %d, want %d", again.Epoch(), keys.Epoch())
	}
	want, got := token(t, tokenizer(t, keys), "person", "mitaka", "u1"), token(t, tokenizer(t, again), "person", "mitaka", "u1")
	if got != want {
		t.Errorf("token: got %x, want %x", got, want)
	}
	if other := newKeyset(t); other.Epoch() == keys.Epoch() {
		t.Errorf("two keysets have the epoch %d", other.Epoch())
	}
}

func TestReadKeyset_RefusesAnotherPassphrase(t *testing.T) {
	file := written(t, newKeyset(t))
	for _, wrong := range []string{"", "correct horse battery stapl", passphrase + "\n", strings.ToUpper(passphrase)} {
		_, err := pseudonymize.ReadKeyset(bytes.NewReader(file), []byte(wrong))
		if !errors.Is(err, pseudonymize.ErrPassphrase) {
			t.Errorf("%q: got %v, want ErrPassphrase", wrong, err)
		}
		if wrong != "" && strings.Contains(err.Error(), wrong) {
			t.Errorf("the error shows the passphrase: %v", err)
		}
	}
}

// TestReadKeyset_AChangedByteNeverGivesOtherTokens changes each byte of a
// file in three ways. A change that means nothing, such as white space, may be
// read; then the tokens are the same.
func TestReadKeyset_AChangedByteNeverGivesOtherTokens(t *testing.T) {
	keys := newKeyset(t)
	file := written(t, keys)
	want := token(t, tokenizer(t, keys), "person", "mitaka", "u1")
	read := 0
	for i := range file {
		for _, mask := range []byte{0x01, 0x20, 0x80} {
			changed := bytes.Clone(file)
			changed[i] ^= mask
			again, err := pseudonymize.ReadKeyset(bytes.NewReader(changed), []byte(passphrase))
			switch {
			case errors.Is(err, pseudonymize.ErrPassphrase), errors.Is(err, pseudonymize.ErrKeyset):
			case err != nil:
				t.Errorf("byte %d changed by %#x: %v", i, mask, err)
			default:
				read++
				if got := token(t, tokenizer(t, again), "person", "mitaka", "u1"); got != want {
					t.Errorf("byte %d changed by %#x gives another token", i, mask)
				}
			}
		}
	}
	if read > len(file)/4 {
		t.Errorf("%d of %d changes went unnoticed", read, 3*len(file))
	}
	for n := range len(file) - 2 { // the last two bytes close the document and the line
		if _, err := pseudonymize.ReadKeyset(bytes.NewReader(file[:n]), []byte(passphrase)); !errors.Is(err, pseudonymize.ErrKeyset) {
			t.Errorf("cut after %d bytes: got %v, want ErrKeyset", n, err)
		}
	}
}

func TestReadKeyset_RefusesWhatIsNoKeyset(t *testing.T) {
	const salt = `"salt":"AAAAAAAAAAAAAAAAAAAAAA=="`
	file := func(derivation string) string {
		return `{"format":"meguri-keyset-1","derivation":{` + derivation + `},"keyset":"AAAA"}`
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"null":                "null",
		"an empty document":   "{}",
		"a list":              "[]",
		"a picture":           "\x89PNG\r\n\x1a\n",
		"a later format":      `{"format":"meguri-keyset-2"}`,
		"no derivation":       file(""),
		"another derivation":  file(`"name":"scrypt","time":1,"memory_kib":64,"threads":1,` + salt),
		"no passes":           file(`"name":"argon2id","time":0,"memory_kib":64,"threads":1,` + salt),
		"endless passes":      file(`"name":"argon2id","time":4294967295,"memory_kib":64,"threads":1,` + salt),
		"all memory":          file(`"name":"argon2id","time":1,"memory_kib":4294967295,"threads":1,` + salt),
		"no threads":          file(`"name":"argon2id","time":1,"memory_kib":64,"threads":0,` + salt),
		"a short salt":        file(`"name":"argon2id","time":1,"memory_kib":64,"threads":1,"salt":"AAAA"`),
		"a number beyond its": file(`"name":"argon2id","time":1,"memory_kib":64,"threads":256,` + salt),
	} {
		if _, err := pseudonymize.ReadKeyset(strings.NewReader(text), []byte(passphrase)); !errors.Is(err, pseudonymize.ErrKeyset) {
			t.Errorf("%s: got %v, want ErrKeyset", name, err)
		}
	}
	sealed := file(`"name":"argon2id","time":1,"memory_kib":64,"threads":1,` + salt)
	if _, err := pseudonymize.ReadKeyset(strings.NewReader(sealed), []byte(passphrase)); !errors.Is(err, pseudonymize.ErrPassphrase) {
		t.Errorf("a keyset too short to be one: got %v, want ErrPassphrase", err)
	}
}

func TestWrite_LeavesNoSecretInTheFile(t *testing.T) {
	keys := newKeyset(t)
	clear, err := pseudonymize.ClearText(keys)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(clear, []byte("\x12\x20")) // the key's field: 32 bytes
	if at < 0 || len(clear) < at+34 {
		t.Fatal("the clear text holds no key of 32 bytes")
	}
	key := clear[at+2 : at+34]
	file, second := written(t, keys), written(t, keys)
	type document struct {
		Derivation struct{ Salt []byte }
		Keyset     []byte
	}
	var one, two document
	if err := errors.Join(json.Unmarshal(file, &one), json.Unmarshal(second, &two)); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one.Derivation.Salt, two.Derivation.Salt) || bytes.Equal(one.Keyset, two.Keyset) {
		t.Error("writing twice gives the same salt or the same bytes")
	}
	for what, secret := range map[string][]byte{"passphrase": []byte(passphrase), "key": key, "half of the key": key[:16]} {
		for form, text := range map[string][]byte{"bare": secret, "base64": []byte(base64.RawStdEncoding.EncodeToString(secret)), "hex": []byte(hex.EncodeToString(secret))} {
			if bytes.Contains(file, text) || bytes.Contains(one.Keyset, text) {
				t.Errorf("the file holds the %s (%s)", what, form)
			}
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v", keys, keys, keys); strings.Contains(shown, hex.EncodeToString(key[:4])) || strings.Contains(shown, string(key[:4])) {
		t.Errorf("a printed keyset shows its key: %s", shown)
	}
}

// TestWrite_DerivesAsRFC9106Says guards against tests' cheap setting finding
// its way out: the second recommended setting of RFC 9106 §4.
func TestWrite_DerivesAsRFC9106Says(t *testing.T) {
	d := pseudonymize.DefaultDerivation
	if d.Name != "argon2id" || d.Time != 3 || d.MemoryKiB != 64*1024 || d.Threads != 4 {
		t.Errorf("got %+v", d)
	}
}

func FuzzReadKeyset(f *testing.F) {
	f.Add(written(f, newKeyset(f)))
	f.Add([]byte("{}"))
	f.Add([]byte(`{"format":"meguri-keyset-1","derivation":{"name":"argon2id","salt":"AAAAAAAAAAAAAAAAAAAAAA==","time":1,"memory_kib":8,"threads":1},"keyset":"CgA="}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		var cost struct {
			Derivation struct {
				Time      uint32
				MemoryKiB uint32 `json:"memory_kib"`
				Threads   uint8
			}
		}
		if err := json.Unmarshal(file, &cost); err == nil && cost.Derivation.MemoryKiB > 1024 {
			t.Skip("dear, and no other path")
		}
		k, err := pseudonymize.ReadKeyset(bytes.NewReader(file), []byte(passphrase))
		if err != nil {
			if !errors.Is(err, pseudonymize.ErrKeyset) && !errors.Is(err, pseudonymize.ErrPassphrase) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		token(t, tokenizer(t, k), "person", "mitaka", "u1")
	})
}
