package ingest

import (
	"errors"
	"fmt"
)

// The reasons for which a run stops, for callers that branch.
var (
	ErrEmptyFile       = errors.New("the file is empty: export it again")
	ErrNoRows          = errors.New("the file has a header and no rows: check the period that was exported")
	ErrNotText         = errors.New("the file is not CSV text")
	ErrEncoding        = errors.New("the file is in another encoding than was named")
	ErrMissingColumn   = errors.New("a column is missing")
	ErrUnknownColumn   = errors.New("a column is not expected")
	ErrDuplicateColumn = errors.New("a column name appears twice")
	ErrTruncated       = errors.New("the compressed file ends early: " +
		"the good rows before the break are kept; fetch the file again and import the whole file")
	ErrDamaged = errors.New("the compressed file is damaged: " +
		"the good rows before the damage are kept; fetch the file again and import the whole file")
	ErrDamagedParquet = errors.New("the Parquet file is damaged: " +
		"the good rows before the damage are kept; fetch the file again and import the whole file")
	ErrColumnType = errors.New("a column has another type than its field")
	ErrTotals     = errors.New("the totals cannot be read")
	ErrMapping    = errors.New("the mapping does not hold")
	ErrInvalid    = errors.New("a record does not hold")
)

// LineError says what is wrong with one row, or with the header. It never
// holds the value of a field.
type LineError struct {
	File    string
	Line    int64  // of the row's first line; the header is line 1
	Field   string // the column as the file names it; empty for the whole row
	Problem string
	Remedy  string
	Err     error // one of the sentinels, where a caller may branch
}

// Error tells the place, the problem and the remedy.
func (e *LineError) Error() string {
	s := fmt.Sprintf("%s line %d", e.File, e.Line)
	if e.Field != "" {
		s += ", column " + e.Field
	}
	s += ": " + e.Problem
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

// Unwrap returns the sentinel.
func (e *LineError) Unwrap() error { return e.Err }

// fault is a LineError before its file and line are known. Parsers return it
// by value, so that a good row costs nothing.
type fault struct {
	field, problem, remedy string
}

func (f fault) bad() bool { return f.problem != "" }
