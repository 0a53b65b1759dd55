package perturb

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Release is what counts of persons are perturbed with: the release key and the
// p-table, made once and kept together. As long as it stays the same, the same
// persons get the same noise in every table and every release.
type Release struct {
	key     []byte
	table   *PTable
	persons *Keys
	noise   *Perturber
}

// NewRelease makes a release key of 32 random bytes, and a p-table. The error is
// ErrPTable if there is no p-table like that.
func NewRelease(p Params) (*Release, error) {
	table, err := NewPTable(p)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return newRelease(key, table)
}

func newRelease(key []byte, table *PTable) (*Release, error) {
	persons, err := NewKeys(key, "persons")
	if err != nil {
		return nil, err
	}
	noise, err := NewPerturber(table, nil)
	if err != nil {
		return nil, err
	}
	return &Release{key, table, persons, noise}, nil
}

// releaseDocument is the form of a Release in JSON.
type releaseDocument struct {
	Key    []byte          `json:"key"`
	PTable json.RawMessage `json:"p_table"`
}

// Document is the release as JSON. It is secret: it is kept sealed.
func (r *Release) Document() ([]byte, error) {
	return json.Marshal(releaseDocument{r.key, r.table.Document()})
}

// ParseRelease reads what Document wrote. The error is ErrKey or ErrPTable, and
// holds nothing of the document.
func ParseRelease(text []byte) (*Release, error) {
	var d releaseDocument
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, ErrKey // the decoder's words could quote the key
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrKey
	}
	table, err := ParsePTable(d.PTable)
	if err != nil {
		return nil, err
	}
	return newRelease(d.Key, table)
}

// ID names the release without telling anything of it: figures that were
// perturbed with another key or p-table have another ID.
func (r *Release) ID() string {
	h := hmac.New(sha256.New, r.key)
	fmt.Fprintf(h, "release id 1\x00%s", r.table.Document())
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Person is the key of a person's records, given by the person's pseudonym.
func (r *Release) Person(pseudonym string) Key { return r.persons.Record([]byte(pseudonym)) }

// Counts returns the perturbed counts of cells; see [Perturber.Counts].
func (r *Release) Counts(cells []Cell) ([]int64, error) { return r.noise.Counts(cells) }

// String tells nothing: key and table are secret.
func (r *Release) String() string { return hidden }

// GoString tells nothing either.
func (r *Release) GoString() string { return hidden }

// LogValue keeps a Release out of logs.
func (r *Release) LogValue() slog.Value { return slog.StringValue(hidden) }
