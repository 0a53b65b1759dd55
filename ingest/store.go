package ingest

import (
	"cmp"
	"context"
	"strings"
	"time"

	"meguri/ingest/index"
)

// Store keeps what the importer must remember: the register of segments, runs
// of identities and imports, cursors, persons and shops. Package
// ingest/sqlstore has it in SQLite and PostgreSQL.
type Store interface {
	// Commit enters a batch in one transaction, all of it or nothing.
	Commit(ctx context.Context, b Batch) error

	// Runs returns the runs of identities that count.
	Runs(ctx context.Context) ([]index.Run, error)

	// SwapRuns registers the run that seal names in the place of others, while
	// nothing can be committed. It does nothing, and does not call seal, when
	// one of the others is registered no more.
	SwapRuns(ctx context.Context, others []index.Run, seal func() (index.Run, error)) error

	// Sweep calls fn with the files of all registered segments and runs while
	// nothing can be committed.
	Sweep(ctx context.Context, fn func(files map[string]bool) error) error

	// ReplaceSegment registers a segment's new file, rows, sum, times and bytes
	// in the place of the old one, and tells whether the old one still stood
	// there. Number, import and dataset stay.
	ReplaceSegment(ctx context.Context, old string, s Segment) (replaced bool, err error)

	// Segments returns the registered segments by number.
	Segments(ctx context.Context) ([]Segment, error)

	// Cursor returns how far a source was read, or "".
	Cursor(ctx context.Context, source string) (string, error)

	// PutPersons and PutShops enter or replace, and return how many differed
	// from what was there.
	PutPersons(ctx context.Context, persons []Person) (changed int64, err error)
	PutShops(ctx context.Context, shops []Shop) (changed int64, err error)

	// Persons and Shops return a source's rows by ID, from the ID after on.
	Persons(ctx context.Context, source, after string, limit int) ([]Person, error)
	Shops(ctx context.Context, source, after string, limit int) ([]Shop, error)

	// PutSettlements enters or replaces what providers say that they pay, and
	// returns how many differed from what was there; Settlements returns all.
	PutSettlements(ctx context.Context, list []Settlement) (changed int64, err error)
	Settlements(ctx context.Context) ([]Settlement, error)

	// Sources are those that any person or shop is of, in order.
	Sources(ctx context.Context) ([]string, error)

	// PutLinks adds links and gives them numbers; Links returns them in order.
	PutLinks(ctx context.Context, links []Link) error
	Links(ctx context.Context) ([]Link, error)

	// PutCorrections adds corrections and gives them numbers; Corrections returns
	// them in order.
	PutCorrections(ctx context.Context, list []Correction) error
	Corrections(ctx context.Context) ([]Correction, error)

	// ErasePersons deletes persons, their corrections, and all links from and to
	// them, at once.
	ErasePersons(ctx context.Context, persons []PersonID) error

	Register
}

// Link says that a person of a source is a resident of another, or, with no
// ToID, that it is nobody's any more. The last one of a person counts.
type Link struct {
	Number   int64     `json:"number"`
	Source   string    `json:"source"`
	PersonID string    `json:"person_id"`
	ToSource string    `json:"to_source"`
	ToID     string    `json:"to_id"`
	At       time.Time `json:"-"`
	By       string    `json:"-"` // who linked them
}

// PersonID is by what a source knows a person.
type PersonID struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

func (p PersonID) compare(o PersonID) int {
	return cmp.Or(strings.Compare(p.Source, o.Source), strings.Compare(p.ID, o.ID))
}

// identity is what tokens of a person are made of: no identifier has a control
// character.
func (p PersonID) identity() string { return p.Source + "\x1f" + p.ID }

// Batch is what one transaction of the store takes.
type Batch struct {
	// Seal is called inside the transaction with the number that the segment
	// will have and the runs that are registered. It writes the segment and the
	// run of its identities. The store registers both, unless the segment has no
	// rows. Seal may be called again if the engine asks for another attempt. It
	// is nil when there is only a cursor.
	Seal func(number int64, runs []index.Run) (Segment, index.Run, error)

	// Cursor is kept for Source with the batch, unless it is nil.
	Source string
	Cursor *string
}

// Segment is a file of accepted records.
type Segment struct {
	Number    int64
	Path      string // the store keeps the file's name, the importer gives the path
	ImportID  string
	Dataset   string // PaymentDataset, or the name of one of Datasets
	Rows      int64
	AmountYen int64 // sum over all kinds, for checks
	FirstAt   time.Time
	LastAt    time.Time
	Bytes     int64
}
