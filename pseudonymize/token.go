package pseudonymize

import (
	"fmt"

	"github.com/tink-crypto/tink-go/v2/prf"
)

// TokenSize is the length of a token in bytes. 128 bits make an accidental
// match impossible in practice, and are never cut shorter.
const TokenSize = 16

// Token is a pseudonym.
type Token [TokenSize]byte

// Tokenizer makes tokens with a keyset's primary key. It remembers the ones it
// made, up to a bound, since most rows are of persons who were seen before.
// It is not safe for concurrent use.
type Tokenizer struct {
	prf   *prf.Set
	cache map[string]Token
	input []byte
}

// A cache entry is about 100 bytes, so the cache stays under 50 MB.
const maxCached = 1 << 19

// NewTokenizer returns a tokenizer over a keyset.
func NewTokenizer(k *Keyset) (*Tokenizer, error) {
	set, err := prf.NewPRFSet(k.handle)
	if err != nil {
		return nil, fmt.Errorf("use keyset: %w", err)
	}
	return &Tokenizer{prf: set, cache: map[string]Token{}}, nil
}

// Token returns the token of a value. Domain says what kind of value it is and
// source who gave it: the same text from another source is another person, or
// may be.
func (t *Tokenizer) Token(domain, source, value string) (Token, error) {
	if err := t.frame(domain, source, value); err != nil {
		return Token{}, err
	}
	return t.compute()
}

// Remembered is Token for values that come again and again, such as persons.
func (t *Tokenizer) Remembered(domain, source, value string) (Token, error) {
	if err := t.frame(domain, source, value); err != nil {
		return Token{}, err
	}
	if token, ok := t.cache[string(t.input)]; ok {
		return token, nil
	}
	token, err := t.compute()
	if err != nil {
		return token, err
	}
	if len(t.cache) >= maxCached {
		clear(t.cache)
	}
	t.cache[string(t.input)] = token
	return token, nil
}

// frame puts the parts after each other so that no two triples give the same
// bytes: each part is preceded by its length in three bytes.
func (t *Tokenizer) frame(parts ...string) error {
	t.input = t.input[:0]
	for _, p := range parts {
		n := len(p)
		if n >= 1<<24 {
			return fmt.Errorf("compute token: an identifier of %d bytes is too long", n)
		}
		t.input = append(t.input, byte(n>>16), byte(n>>8), byte(n))
		t.input = append(t.input, p...)
	}
	return nil
}

func (t *Tokenizer) compute() (token Token, err error) {
	out, err := t.prf.ComputePrimaryPRF(t.input, TokenSize)
	if err != nil {
		return token, fmt.Errorf("compute token: %w", err)
	}
	copy(token[:], out)
	return token, nil
}
