package perturb

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Key is a record key or a cell key: a fraction of 2³². Keys are added with +,
// which is addition modulo 1 of the fractions, so that neither the order nor
// the grouping of the records matters; a database may sum them as integers, and
// conversion of the sum to Key does the rest. A record counts once in a cell.
type Key uint32

// Sum is the cell key of the records with these keys.
func Sum(keys ...Key) Key {
	var sum Key
	for _, k := range keys {
		sum += k
	}
	return sum
}

// Keys makes the record keys of one measure of a release.
type Keys struct{ secret []byte }

// NewKeys derives the keys of a measure, such as "persons" or "yen", from the
// release key, which has at least 32 random bytes. Measures have unrelated
// keys, so that the noise of a count does not tell that of an amount. Tables
// that are to be consistent share release key and measure.
func NewKeys(release []byte, measure string) (*Keys, error) {
	if len(release) < 32 || measure == "" {
		return nil, ErrKey
	}
	h := hmac.New(sha256.New, release)
	fmt.Fprintf(h, "cell key 1\x00%s", measure)
	return &Keys{h.Sum(nil)}, nil
}

// Record is the key of a record, given by its pseudonym: the first 32 bits of
// its HMAC-SHA256 (Fraser & Wooton, A proposed method for confidentialising
// tabular output to protect against differencing, 2005, with a keyed function
// in place of stored random numbers).
func (k *Keys) Record(pseudonym []byte) Key {
	h := hmac.New(sha256.New, k.secret)
	h.Write(pseudonym)
	var sum [sha256.Size]byte
	return Key(binary.BigEndian.Uint32(h.Sum(sum[:0])))
}

// String tells nothing: the key is secret.
func (k *Keys) String() string { return hidden }

// GoString tells nothing either.
func (k *Keys) GoString() string { return hidden }
