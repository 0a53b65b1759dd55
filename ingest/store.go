package ingest

import (
	"context"
	"time"
)

// Store keeps what the importer must remember: the index of identities, the
// register of segments and imports, cursors, persons and shops. Package
// ingest/sqlstore has it in SQLite and PostgreSQL.
type Store interface {
	// Commit enters a batch in one transaction, all of it or nothing.
	Commit(ctx context.Context, b Batch) error

	// Lookup returns the entries among keys that the index has. The keys are
	// sorted and distinct; so is the answer.
	Lookup(ctx context.Context, keys []Key) ([]Entry, error)

	// Sweep calls fn with the files of all registered segments while no
	// segment can be committed.
	Sweep(ctx context.Context, fn func(files map[string]bool) error) error

	// Segments returns the registered segments by number.
	Segments(ctx context.Context) ([]Segment, error)

	// PutImport enters an import, or its later state.
	PutImport(ctx context.Context, i ImportRecord) error

	// Cursor returns how far a source was read, or "".
	Cursor(ctx context.Context, source string) (string, error)

	// PutPersons and PutShops enter or replace, and return how many differed
	// from what was there.
	PutPersons(ctx context.Context, persons []Person) (changed int64, err error)
	PutShops(ctx context.Context, shops []Shop) (changed int64, err error)

	// Persons and Shops return a source's rows by ID, from the ID after on.
	Persons(ctx context.Context, source, after string, limit int) ([]Person, error)
	Shops(ctx context.Context, source, after string, limit int) ([]Shop, error)
}

// Batch is what one transaction of the store takes.
type Batch struct {
	// Entries are sorted by key and distinct; the store enters those whose key
	// it does not have.
	Entries []Entry

	// Seal is called inside the transaction with the number that the segment
	// will have and with the batch's entries that were there before, sorted by
	// key, as the index has them. It writes the segment. The store registers
	// what Seal returns, unless it has no rows. Seal may be called again if the
	// engine asks for another attempt.
	Seal func(number int64, known []Entry) (Segment, error)

	// Cursor is kept for Source with the batch, unless it is nil.
	Source string
	Cursor *string
}

// Segment is a file of accepted records.
type Segment struct {
	Number    int64
	Path      string // the store keeps the file's name, the importer gives the path
	ImportID  string
	Rows      int64
	AmountYen int64 // sum over all kinds, for checks
	FirstAt   time.Time
	LastAt    time.Time
	Bytes     int64
}

// ImportRecord is a run of the importer, as the register keeps it.
type ImportRecord struct {
	ID         string
	Source     string
	File       string // without its folders
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs, or if it never ended
	Summary    Summary
}
