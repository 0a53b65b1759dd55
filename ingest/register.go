package ingest

import (
	"context"
	"time"
)

// Register keeps what an office must be able to show about imports: what came
// in for each day, what a source said that it sent, what waits in quarantine,
// and how far a file was read.
type Register interface {
	// PutImport enters an import, or its later state. The days replace what
	// was kept of its days, and so do the totals.
	PutImport(ctx context.Context, i ImportRecord) error

	// Imports returns the imports, the newest first.
	Imports(ctx context.Context, limit int) ([]ImportRecord, error)

	// Days returns an import's days, and Totals what its source said of them,
	// by day and kind.
	Days(ctx context.Context, importID string) ([]DayTotal, error)
	Totals(ctx context.Context, importID string) ([]TotalCheck, error)

	// PutQuarantine enters a quarantine file, or its number of rows.
	PutQuarantine(ctx context.Context, q Quarantine) error

	// Quarantines returns them all, the oldest first.
	Quarantines(ctx context.Context) ([]Quarantine, error)

	// SettleQuarantine ends an open one. It reports false, and does nothing,
	// where it is not open.
	SettleQuarantine(ctx context.Context, q Quarantine) (bool, error)

	// PutCheckpoint keeps how far a file was read; Checkpoint returns it, or
	// nil; DropCheckpoint forgets it.
	PutCheckpoint(ctx context.Context, c Checkpoint) error
	Checkpoint(ctx context.Context, source, file string) (*Checkpoint, error)
	DropCheckpoint(ctx context.Context, source, file string) error
}

// ImportRecord is a run of the importer, as the register keeps it.
type ImportRecord struct {
	ID         string
	Source     string
	Dataset    string
	File       string // without its folders
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs, or if it never ended
	Continues  string    // the import that read the file's beginning, or ""
	Summary    Summary
}

// DayTotal is what an import read of one day (in Japan) and kind: the rows that
// hold, new or not, and their yen as they are written.
type DayTotal struct {
	Day       string // YYYY-MM-DD
	Kind      string // of a payment; the dataset's name elsewhere
	Rows      int64
	AmountYen int64
}

// TotalCheck is what a source said of a day beside what was read. An empty day
// is the whole file, an empty kind all kinds.
type TotalCheck struct {
	Day      string `json:"day"`
	Kind     string `json:"kind"`
	RowsTold int64  `json:"rows_told"`
	RowsRead int64  `json:"rows_read"`
	YenTold  *int64 `json:"yen_told,omitempty"` // nil where no yen were told
	YenRead  *int64 `json:"yen_read,omitempty"`
}

// Agrees tells whether both are the same.
func (t TotalCheck) Agrees() bool {
	return t.RowsTold == t.RowsRead && (t.YenTold == nil || *t.YenTold == *t.YenRead)
}

// QuarantineState is what became of a quarantine file.
type QuarantineState string

// The states.
const (
	QuarantineOpen      QuarantineState = "open"
	QuarantineRetried   QuarantineState = "retried"
	QuarantineDiscarded QuarantineState = "discarded"
)

// Quarantine is the register's row of a quarantine file: the bad rows of one
// import, with what is needed to read them again.
type Quarantine struct {
	ImportID  string
	Source    string
	Dataset   string
	File      string // that the rows came from
	Rows      int64
	OpenedAt  time.Time
	State     QuarantineState
	Layout    string // JSON: format, header, mapping; see layout
	ChangedAt time.Time
	ChangedBy string
	Reason    string // of a discard
	RetriedAs string // the import that took the rows again
}

// Checkpoint is how far a file was read before its import stopped.
type Checkpoint struct {
	Source   string
	File     string
	ImportID string
	Layout   string     // the mapping it was read by
	Offset   int64      // of its text, decompressed and in UTF-8
	Hash     uint64     // of the text before it
	Line     int64      // of the next row
	Rows     int64      // before it
	Pending  []int64    // lines before it that are not dealt with
	Days     []DayTotal // of the rows before it
}
