package pseudonymize_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/tink-crypto/tink-go/v2/prf/subtle"

	"meguri/pseudonymize"
)

// Japan's mobile numbers are 070, 080 and 090 with eight digits: 3 × 10⁸. That is
// half a minute of SHA-256 on one processor, so a bare hash hides nothing.
const mobileSpace = 3 * 100_000_000

// mobile is the number at a place of the space.
func mobile(i int) string {
	return [...]string{"070", "080", "090"}[i/100_000_000] + fmt.Sprintf("%08d", i%100_000_000)
}

// forms are the ways in which a system may write a number.
func forms(number string) [4]string {
	return [4]string{number, number[:3] + "-" + number[3:7] + "-" + number[7:], "+81" + number[1:], "81" + number[1:]}
}

// keyless are functions of somebody who has no key: hashes, MACs under keys that
// anybody guesses, and the token's own function under those and under the key of
// another dataset.
func keyless(t *testing.T, other *pseudonymize.Tokenizer) map[string]func(framed, bare []byte, number string) pseudonymize.Token {
	t.Helper()
	functions := map[string]func(framed, bare []byte, number string) pseudonymize.Token{
		"SHA-256 of the number": func(_, bare []byte, _ string) pseudonymize.Token {
			sum := sha256.Sum256(bare)
			return pseudonymize.Token(sum[:16])
		},
		"SHA-256 of the frame": func(framed, _ []byte, _ string) pseudonymize.Token {
			sum := sha256.Sum256(framed)
			return pseudonymize.Token(sum[:16])
		},
		"the key of another dataset": func(_, _ []byte, number string) pseudonymize.Token {
			return token(t, other, "person", "mitaka", number)
		},
	}
	for _, guess := range []string{"", "secret", "mitaka"} {
		mac := hmac.New(sha256.New, []byte(guess))
		sum := make([]byte, 0, 32)
		functions[fmt.Sprintf("HMAC under %q", guess)] = func(_, bare []byte, _ string) pseudonymize.Token {
			mac.Reset()
			mac.Write(bare)
			sum = mac.Sum(sum[:0])
			return pseudonymize.Token(sum[:16])
		}
		key := sha256.Sum256([]byte(guess))
		if guess == "" {
			key = [32]byte{}
		}
		cmac, err := subtle.NewAESCMACPRF(key[:])
		if err != nil {
			t.Fatal(err)
		}
		functions[fmt.Sprintf("the token's function under a key of %q", guess)] = func(framed, _ []byte, _ string) pseudonymize.Token {
			out, err := cmac.ComputePRF(framed, pseudonymize.TokenSize)
			if err != nil {
				t.Fatal(err)
			}
			return pseudonymize.Token(out)
		}
	}
	return functions
}

// TestToken_IsFoundByNoDictionaryOfMobileNumbers attacks as the guideline on
// 仮名加工情報 (2-2-2-2, 3-2-2-1) warns that somebody may: by trying numbers (P4,
// IC-7). The dictionary is a stride through the whole space, so that every
// prefix and every leading digit is in it, and it holds all the numbers whose
// tokens are attacked: an attack that works finds every one of them, and the
// same attack with the key does. What it finds without is nothing.
//
// Nothing changes for the rest of the space. What finds a token is the right
// function, and then it finds those that were tried; the wrong ones agree with a
// token by chance alone, with 128 bits: for the whole space, all forms and
// functions, and a million tokens, less than once in 10²¹ attacks.
func TestToken_IsFoundByNoDictionaryOfMobileNumbers(t *testing.T) {
	const stride, every = 19_993, 10 // a prime: 15,006 numbers, spread over the space
	keys := newKeyset(t)
	tokens, other := tokenizer(t, keys), tokenizer(t, newKeyset(t))
	attacked, bare := map[pseudonymize.Token]bool{}, map[pseudonymize.Token]bool{}
	prefixes, leading := map[string]int{}, map[byte]int{}
	targets, tried := 0, 0
	for i := 0; i < mobileSpace; i += stride {
		number := mobile(i)
		prefixes[number[:3]]++
		leading[number[3]]++
		if tried++; tried%every == 0 {
			targets++
			for _, form := range forms(number) {
				attacked[token(t, tokens, "person", "mitaka", form)] = true
				sum := sha256.Sum256([]byte(form))
				bare[pseudonymize.Token(sum[:16])] = true
			}
		}
	}
	if len(prefixes) != 3 || len(leading) != 10 || tried < 15_000 || len(attacked) != 4*targets {
		t.Fatalf("the dictionary has %d numbers of %v and %v", tried, prefixes, leading)
	}
	search := func(in map[pseudonymize.Token]bool, f func(framed, bare []byte, number string) pseudonymize.Token) (found int) {
		for i := 0; i < mobileSpace; i += stride {
			for _, form := range forms(mobile(i)) {
				framed := []byte{0, 0, 6}
				framed = append(append(append(framed, "person"...), 0, 0, 6), "mitaka"...)
				framed = append(append(framed, 0, 0, byte(len(form))), form...)
				if in[f(framed, []byte(form), form)] {
					found++
				}
			}
		}
		return found
	}
	functions := keyless(t, other)
	if found := search(bare, functions["SHA-256 of the number"]); found != 4*targets {
		t.Fatalf("of %d bare hashes the attack finds %d: it is no attack", 4*targets, found)
	}
	withKey := func(_, _ []byte, number string) pseudonymize.Token {
		return token(t, tokens, "person", "mitaka", number)
	}
	if found := search(attacked, withKey); found != 4*targets {
		t.Fatalf("with the key the attack finds %d of %d", found, 4*targets)
	}
	for name, f := range functions {
		if found := search(attacked, f); found != 0 {
			t.Errorf("%s: finds %d of %d tokens", name, found, 4*targets)
		}
	}
	// The epoch, which stands in the manifest for all to see, is no key either.
	key := make([]byte, 32)
	binary.BigEndian.PutUint32(key[28:], keys.Epoch())
	cmac, err := subtle.NewAESCMACPRF(key)
	if err != nil {
		t.Fatal(err)
	}
	if found := search(attacked, func(framed, _ []byte, _ string) pseudonymize.Token {
		out, err := cmac.ComputePRF(framed, pseudonymize.TokenSize)
		if err != nil {
			t.Fatal(err)
		}
		return pseudonymize.Token(out)
	}); found != 0 {
		t.Errorf("the epoch finds %d tokens", found)
	}
}
