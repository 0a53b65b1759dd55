package pseudonymize_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"

	"meguri/pseudonymize"
)

func TestMain(m *testing.M) {
	pseudonymize.DeriveCheaply()
	m.Run()
}

func newKeyset(t testing.TB) *pseudonymize.Keyset {
	t.Helper()
	k, err := pseudonymize.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func tokenizer(t testing.TB, k *pseudonymize.Keyset) *pseudonymize.Tokenizer {
	t.Helper()
	tokens, err := pseudonymize.NewTokenizer(k)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

type fataler interface{ Fatal(...any) }

func token(t fataler, tokens *pseudonymize.Tokenizer, domain, source, value string) pseudonymize.Token {
	made, err := tokens.Token(domain, source, value)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestToken_IsTheSameUnderOneKeysetForGood(t *testing.T) {
	keys := newKeyset(t)
	first, second, reread := tokenizer(t, keys), tokenizer(t, keys), tokenizer(t, reopen(t, keys))
	rapid.Check(t, func(t *rapid.T) {
		domain, source, value := rapid.String().Draw(t, "domain"), rapid.String().Draw(t, "source"), rapid.String().Draw(t, "value")
		want := token(t, first, domain, source, value)
		for range 2 { // the second time from memory
			if got, err := first.Remembered(domain, source, value); err != nil || got != want {
				t.Fatalf("remembered: got %x, %v, want %x", got, err, want)
			}
		}
		if got := token(t, second, domain, source, value); got != want {
			t.Fatalf("another tokenizer: got %x, want %x", got, want)
		}
		if got := token(t, reread, domain, source, value); got != want {
			t.Fatalf("after writing and reading the keyset: got %x, want %x", got, want)
		}
	})
}

func TestToken_DiffersAcrossKeysetsDomainsAndSources(t *testing.T) {
	tokens, others := tokenizer(t, newKeyset(t)), tokenizer(t, newKeyset(t))
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value")
		names := rapid.SliceOfNDistinct(rapid.String(), 2, 2, rapid.ID[string]).Draw(t, "names")
		made := map[pseudonymize.Token]string{}
		for name, got := range map[string]pseudonymize.Token{
			"token":          token(t, tokens, names[0], names[0], value),
			"another keyset": token(t, others, names[0], names[0], value),
			"another domain": token(t, tokens, names[1], names[0], value),
			"another source": token(t, tokens, names[0], names[1], value),
		} {
			if twin, ok := made[got]; ok {
				t.Fatalf("%s and %s are both %x", name, twin, got)
			}
			made[got] = name
		}
	})
}

// TestToken_CannotBeMadeToCollideByMovingTheSeams cuts one text into three
// parts in two ways: what stands side by side is the same, the parts are not.
func TestToken_CannotBeMadeToCollideByMovingTheSeams(t *testing.T) {
	tokens := tokenizer(t, newKeyset(t))
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune{0, 1, 'a', ':', '/'}), 1, 20, -1).Draw(t, "text")
		cut := func(label string) [3]string {
			a := rapid.IntRange(0, len(text)).Draw(t, label)
			b := rapid.IntRange(a, len(text)).Draw(t, label)
			return [3]string{text[:a], text[a:b], text[b:]}
		}
		one, other := cut("one"), cut("other")
		same := token(t, tokens, one[0], one[1], one[2]) == token(t, tokens, other[0], other[1], other[2])
		if same != (one == other) {
			t.Fatalf("%q and %q: same token is %v", one, other, same)
		}
	})
}

func TestToken_RefusesWhatTheFrameCannotHold(t *testing.T) {
	tokens := tokenizer(t, newKeyset(t))
	long := strings.Repeat("x", 1<<24)
	for name, make := range map[string]func(domain, source, value string) (pseudonymize.Token, error){"Token": tokens.Token, "Remembered": tokens.Remembered} {
		if _, err := make("person", "mitaka", long); err == nil || len(err.Error()) > 200 {
			t.Errorf("%s of 16 MiB: got %v", name, err)
		}
		if _, err := make("person", "mitaka", long[1:]); err != nil {
			t.Errorf("%s of one byte less: %v", name, err)
		}
	}
}

func TestRemembered_ForgettingChangesNoToken(t *testing.T) {
	tokens := tokenizer(t, newKeyset(t))
	value := func(i int) string { return fmt.Sprint("u", i) }
	var first [100]pseudonymize.Token
	for i := range pseudonymize.MaxCached + len(first) { // one more than it remembers makes it forget
		got, err := tokens.Remembered("person", "mitaka", value(i))
		if err != nil {
			t.Fatal(err)
		}
		if i < len(first) {
			first[i] = got
		}
	}
	for i, want := range first {
		if got, err := tokens.Remembered("person", "mitaka", value(i)); err != nil || got != want {
			t.Fatalf("%s: got %x, %v, want %x", value(i), got, err, want)
		}
	}
}

// attack is what somebody does who has tokens and no keyset: try every value
// with every hash function in every form, and look for the token in what comes
// out. It returns the values that it found.
func attack(tokens map[pseudonymize.Token]bool, domain, source string, values []string) (found []string) {
	functions := []func() hash.Hash{md5.New, sha1.New, sha256.New224, sha256.New, sha512.New384, sha512.New,
		func() hash.Hash { return sha3.New256() },
		func() hash.Hash { h, _ := blake2b.New256(nil); return h },
		func() hash.Hash { h, _ := blake2b.New(16, nil); return h },
	}
	for _, f := range slices.Clone(functions) {
		functions = append(functions,
			func() hash.Hash { return hmac.New(f, []byte(domain)) }, // a key that is no secret
			func() hash.Hash { return hmac.New(f, []byte(source)) })
	}
	framed := func(parts ...string) string {
		var b strings.Builder
		for _, p := range parts {
			b.Write([]byte{byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p))})
			b.WriteString(p)
		}
		return b.String()
	}
	var made []hash.Hash
	for _, f := range functions {
		made = append(made, f())
	}
	var sum []byte
	for _, v := range values {
		forms := []string{v, framed(domain, source, v), framed(v)}
		for _, gap := range []string{"", ":", "/", "|", "\x00"} {
			forms = append(forms, domain+gap+v, source+gap+v, v+gap+source, v+gap+domain,
				domain+gap+source+gap+v, source+gap+domain+gap+v)
		}
		hit := false
		for _, form := range forms {
			for _, h := range made {
				h.Reset()
				h.Write([]byte(form))
				sum = h.Sum(sum[:0])
				if tokens[pseudonymize.Token(sum[:16])] || tokens[pseudonymize.Token(sum[len(sum)-16:])] {
					hit = true
				}
			}
		}
		if hit {
			found = append(found, v)
		}
	}
	return found
}

func phone(i int) string { return fmt.Sprintf("090%08d", 1234_0000+i) }

// TestToken_IsFoundByNoDictionary makes tokens of telephone numbers and tries
// all numbers of the range, as the guideline on 仮名加工情報 (3-2-2-1) warns that
// somebody may. That the attack works is shown on tokens that are bare hashes.
func TestToken_IsFoundByNoDictionary(t *testing.T) {
	const domain, source, rng = "person", "mitaka", 300
	var values []string
	for i := range rng {
		values = append(values, phone(i))
	}
	keyed, bare := map[pseudonymize.Token]bool{}, map[pseudonymize.Token]bool{}
	tokens := tokenizer(t, newKeyset(t))
	for i := range 10 {
		keyed[token(t, tokens, domain, source, phone(i*7))] = true
		sum := sha256.Sum256([]byte(domain + ":" + phone(i*7)))
		bare[pseudonymize.Token(sum[:16])] = true
	}
	if found := attack(bare, domain, source, values); len(found) != 10 {
		t.Fatalf("the attack finds %d of 10 bare hashes: it is no attack", len(found))
	}
	if found := attack(keyed, domain, source, values); len(found) != 0 {
		t.Errorf("an attacker without the keyset found %q", found)
	}
	other := tokenizer(t, newKeyset(t))
	for i := range 20_000 {
		if keyed[token(t, other, domain, source, phone(i))] {
			t.Fatalf("another keyset gives a token of this one, for %s", phone(i))
		}
	}
}

// TestToken_ShowsNothingOfTheValue looks for the value's bytes, and for order.
func TestToken_ShowsNothingOfTheValue(t *testing.T) {
	tokens := tokenizer(t, newKeyset(t))
	rising := 0
	last := token(t, tokens, "person", "mitaka", phone(0))
	for i := 1; i <= 1000; i++ {
		next := token(t, tokens, "person", "mitaka", phone(i))
		if bytes.Contains(next[:], []byte(phone(i)[:4])) {
			t.Errorf("the token of %s holds its beginning", phone(i))
		}
		if bytes.Compare(last[:], next[:]) < 0 {
			rising++
		}
		last = next
	}
	if rising < 400 || rising > 600 { // a fair coin leaves this range once in 10^9
		t.Errorf("%d of 1000 tokens are above the one before: the order of the values shows", rising)
	}
}
