package pseudonymize_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"meguri/pseudonymize"
)

var memoryOf = regexp.MustCompile(`"memory_kib":[0-9]+`)

func sealedSecret(t testing.TB, format string, secret []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := pseudonymize.Seal(&b, []byte("a passphrase for tests"), format, secret); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// IC-11: what is sealed opens with its passphrase alone, as what it is, and
// unchanged.
func TestUnseal(t *testing.T) {
	secret := []byte("the release key")
	file := sealedSecret(t, "test-1", secret)
	if bytes.Contains(file, secret) {
		t.Error("the secret stands in the file")
	}
	for name, c := range map[string]struct {
		file               []byte
		passphrase, format string
		want               error
	}{
		"as it is":           {file, "a passphrase for tests", "test-1", nil},
		"another passphrase": {file, "another passphrase", "test-1", pseudonymize.ErrPassphrase},
		"another kind":       {file, "a passphrase for tests", "test-2", pseudonymize.ErrSealed},
		"passed off":         {[]byte(strings.Replace(string(file), "test-1", "test-2", 1)), "a passphrase for tests", "test-2", pseudonymize.ErrPassphrase},
		"no file":            {nil, "a passphrase for tests", "test-1", pseudonymize.ErrSealed},
		"much memory":        {memoryOf.ReplaceAll(file, []byte(`"memory_kib":99999999`)), "a passphrase for tests", "test-1", pseudonymize.ErrSealed},
	} {
		got, err := pseudonymize.Unseal(bytes.NewReader(c.file), []byte(c.passphrase), c.format)
		if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, secret) || c.want != nil && got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	at := bytes.Index(file, []byte(`"sealed":"`)) + 15
	for _, i := range []int{at, at + 20, at + 40} {
		changed := bytes.Clone(file)
		if changed[i]++; changed[i] > 'z' {
			changed[i] = 'A'
		}
		if got, err := pseudonymize.Unseal(bytes.NewReader(changed), []byte("a passphrase for tests"), "test-1"); err == nil {
			t.Errorf("changed at %d it opens as %q", i, got)
		}
	}
}

// A file that is none ends in an error that says so.
func FuzzUnseal(f *testing.F) {
	f.Add([]byte(`{"format":"test-1","derivation":{"name":"argon2id","salt":"AAAAAAAAAAAAAAAAAAAAAA==","time":0,"memory_kib":1,"threads":1}}`))
	f.Add([]byte(`{"format":"test-1"}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		var d struct {
			Derivation struct {
				Time      uint32 `json:"time"`
				MemoryKiB uint32 `json:"memory_kib"`
			} `json:"derivation"`
		}
		if json.Unmarshal(file, &d) == nil && d.Derivation.Time > 0 && d.Derivation.MemoryKiB > 1024 {
			return // a derivation that is allowed takes its time
		}
		if secret, err := pseudonymize.Unseal(bytes.NewReader(file), []byte("a passphrase"), "test-1"); err == nil {
			t.Fatalf("it opens as %q", secret)
		}
	})
}
