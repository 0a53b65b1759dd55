package consent

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"
)

// Book is a part of the log.
type Book string

// The books.
const (
	Registers  Book = "register"  // texts, purposes, notices, bases
	Consents   Book = "consent"   // receipts, withdrawals, holds
	Provisions Book = "provision" // 提供・受領の記録
	Rights     Book = "rights"    // 開示等の請求
	Deletions  Book = "deletion"  // what was erased, and the proof
	Uses       Book = "use"       // what the lake's rows were read or handed over for
)

// Person is somebody as a source knows them.
type Person struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// check returns an error unless p can be looked for.
func (p Person) check() error {
	switch {
	case p.Source == "" || p.ID == "":
		return fmt.Errorf("%w: a person has a source and an ID", ErrInvalid)
	case !clean(p.Source) || !clean(p.ID) || len(p.Source) > 64 || len(p.ID) > 256:
		return fmt.Errorf("%w: source and ID of a person are text of at most 64 and 256 bytes", ErrInvalid)
	}
	return nil
}

// clean reports whether a text has no control characters and is valid UTF-8.
func clean(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// Entry is one entry of the log. Its hash is over person and body; the chain is
// over the hashes. A body begins with a random word, so that a hash whose body is
// gone tells nothing of it.
type Entry struct {
	Number    int64 // 1, 2, 3 …
	At        time.Time
	Book      Book
	Kind      string
	Ref       string // ID of what it is about
	Person    Person // zero when it is about nobody
	KeepUntil time.Time
	Body      []byte // nil after it was purged
	Hash      string
	Chain     string
}

// Purged reports whether the entry's content is gone.
func (e Entry) Purged() bool { return e.Body == nil }

// NewEntry makes an entry out of what it says.
func NewEntry(book Book, kind, ref string, about Person, says any) (Entry, error) {
	of, err := json.Marshal(says)
	if err != nil {
		return Entry{}, fmt.Errorf("make an entry of the log: %w", err)
	}
	e := Entry{Book: book, Kind: kind, Ref: ref, Person: about, Body: append([]byte(rand.Text()+" "), of...)}
	e.Hash = e.digest()
	return e, nil
}

// Read fills what with what the entry says.
func (e Entry) Read(what any) error {
	if e.Purged() {
		return fmt.Errorf("entry %d of the log: %w", e.Number, ErrPurged)
	}
	if e.digest() != e.Hash {
		return fmt.Errorf("entry %d of the log: %w", e.Number, ErrChain)
	}
	_, of, _ := bytes.Cut(e.Body, []byte(" "))
	if err := json.Unmarshal(of, what); err != nil {
		return fmt.Errorf("entry %d of the log: %w", e.Number, err)
	}
	return nil
}

func (e Entry) digest() string {
	b := make([]byte, 0, 512)
	for _, part := range []string{e.Ref, e.Person.Source, e.Person.ID} { // none holds a line end
		b = append(append(b, part...), '\n')
	}
	sum := sha256.Sum256(append(b, e.Body...))
	return hex.EncodeToString(sum[:])
}

// Link is the chain's value at an entry, after the one before it.
func (e Entry) Link(before string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d\n%s\n%s\n%d\n%s\n", before, e.Number, e.At.UnixMicro(), e.Book, e.Kind,
		micros(e.KeepUntil), e.Hash))
	return hex.EncodeToString(sum[:])
}

// Check returns an error unless the entry is what was appended after the chain's
// value before. Of a purged entry only its place is left to check.
func (e Entry) Check(before string) error {
	if (!e.Purged() && e.digest() != e.Hash) || e.Link(before) != e.Chain {
		return fmt.Errorf("%w: entry %d of %s", ErrChain, e.Number, e.At.Format(time.RFC3339))
	}
	return nil
}

// micros is a time as it is kept; no time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Select says which entries are read: those of a book, of a person, or of a
// reference, after a number.
type Select struct {
	Book   Book // all books when empty; with Ref or Person it narrows
	After  int64
	Ref    string
	Person Person
}

// Store keeps the log. Package ingest/consent/sqlstore has it in SQLite and
// PostgreSQL.
type Store interface {
	// Append adds entries, all or none, and fills in number and chain. It returns
	// ErrMoved when after is not negative and no longer the last number.
	Append(ctx context.Context, after int64, entries []Entry) error

	// Entries returns what was selected, in order. After an error there is no more.
	Entries(ctx context.Context, which Select) iter.Seq2[Entry, error]

	// Last is the number of the last entry, or 0.
	Last(ctx context.Context) (int64, error)

	// Purge empties the entries of a book whose time of keeping ended by then, and
	// by now, and returns their numbers. Their hashes stay.
	Purge(ctx context.Context, book Book, ended time.Time) ([]int64, error)
}

// Errors that callers branch on.
var (
	ErrInvalid     = errors.New("it does not hold")
	ErrNotFound    = errors.New("there is no such entry")
	ErrConflict    = errors.New("it is there with other content, and is never changed")
	ErrUnpublished = errors.New("the purpose is not published")
	ErrEnded       = errors.New("the purpose has ended")
	ErrFixed       = errors.New("items and users of a joint use cannot be changed (Act 27(5)(iii))")
	ErrGuardian    = errors.New("the person is a child: a guardian must agree")
	ErrMoved       = errors.New("another process added to the log: try again")
	ErrChain       = errors.New("the log of consents was changed by hand")
	ErrPurged      = errors.New("its content was purged")
)

// Verify walks the whole chain and returns how many entries it has.
func Verify(ctx context.Context, s Store) (entries int64, err error) {
	before := ""
	for e, err := range s.Entries(ctx, Select{}) {
		if err != nil {
			return entries, err
		}
		if e.Number != entries+1 {
			return entries, fmt.Errorf("%w: entry %d is missing", ErrChain, entries+1)
		}
		if err := e.Check(before); err != nil {
			return entries, err
		}
		before, entries = e.Chain, e.Number
	}
	return entries, nil
}

// japan is where days begin and end.
var japan = time.FixedZone("JST", 9*60*60)

// Day is the day of an instant in Japan.
func Day(t time.Time) string { return t.In(japan).Format(time.DateOnly) }

// begins is the first instant of a day, ends the first after it.
func begins(day string) (time.Time, error) {
	t, err := time.ParseInLocation(time.DateOnly, day, japan)
	if err != nil || t.Year() < 1900 || t.Year() > 2199 {
		return t, fmt.Errorf("%w: a day is written YYYY-MM-DD", ErrInvalid)
	}
	return t, nil
}

func ends(day string) (time.Time, error) {
	t, err := begins(day)
	return t.AddDate(0, 0, 1), err
}
