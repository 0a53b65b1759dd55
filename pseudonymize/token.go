package pseudonymize

import (
	"fmt"
	"strings"

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
	scope  Scope
	prf    prf.PRF
	spaces map[[2]string]*space
	last   *space // rows of one column come one after the other
	cached int
}

// space is what tokens of one domain and one source share.
type space struct {
	domain, source string
	input          []byte // the frame of both, with room for a value
	head           int    // how much of input they take
	known          map[string]Token
}

// A cache entry is about 100 bytes, so the cache stays under 50 MB.
const maxCached = 1 << 19

// NewTokenizer returns a tokenizer over a keyset.
func NewTokenizer(k *Keyset) (*Tokenizer, error) {
	set, err := prf.NewPRFSet(k.handle)
	if err != nil {
		return nil, fmt.Errorf("use keyset: %w", err)
	}
	return &Tokenizer{scope: k.Scope, prf: set.PRFs[set.PrimaryID], spaces: map[[2]string]*space{}}, nil
}

// Token returns the token of a value. Domain says what kind of value it is and
// source who gave it: the same text from another source is another person, or
// may be.
func (t *Tokenizer) Token(domain, source, value string) (Token, error) {
	s, err := t.space(domain, source)
	if err != nil {
		return Token{}, err
	}
	return t.compute(s, value)
}

// Remembered is Token for values that come again and again, such as persons.
func (t *Tokenizer) Remembered(domain, source, value string) (Token, error) {
	s, err := t.space(domain, source)
	if err != nil {
		return Token{}, err
	}
	if token, ok := s.known[value]; ok {
		return token, nil
	}
	token, err := t.compute(s, value)
	if err != nil {
		return token, err
	}
	if t.cached >= maxCached {
		for _, s := range t.spaces {
			clear(s.known)
		}
		t.cached = 0
	}
	s.known[strings.Clone(value)] = token // the value may lie in a batch that is given back
	t.cached++
	return token, nil
}

func (t *Tokenizer) space(domain, source string) (*space, error) {
	if s := t.last; s != nil && s.domain == domain && s.source == source {
		return s, nil
	}
	s := t.spaces[[2]string{domain, source}]
	if s == nil {
		s = &space{domain: strings.Clone(domain), source: strings.Clone(source), known: map[string]Token{}}
		for _, part := range []string{domain, source} {
			var err error
			if s.input, err = frame(s.input, part); err != nil {
				return nil, err
			}
		}
		s.head = len(s.input)
		t.spaces[[2]string{s.domain, s.source}] = s
	}
	t.last = s
	return s, nil
}

// frame puts the parts after each other so that no two triples give the same
// bytes: each part is preceded by its length in three bytes.
func frame(b []byte, part string) ([]byte, error) {
	n := len(part)
	if n >= 1<<24 {
		return b, fmt.Errorf("compute token: an identifier of %d bytes is too long", n)
	}
	return append(append(b, byte(n>>16), byte(n>>8), byte(n)), part...), nil
}

func (t *Tokenizer) compute(s *space, value string) (token Token, err error) {
	if s.input, err = frame(s.input[:s.head], value); err != nil {
		return token, err
	}
	out, err := t.prf.ComputePRF(s.input, TokenSize)
	if err != nil {
		return token, fmt.Errorf("compute token: %w", err)
	}
	return Token(out), nil
}
