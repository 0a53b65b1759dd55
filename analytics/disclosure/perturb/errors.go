package perturb

import "errors"

// The errors of the package. Their texts hold no figure of a table.
var (
	ErrKey      = errors.New("a release key has at least 32 bytes and a measure")
	ErrPTable   = errors.New("not a valid p-table")
	ErrNegative = errors.New("a figure is negative")
	ErrLargest  = errors.New("the largest contribution does not fit the sum")
	ErrOverflow = errors.New("a figure is too large")
	// ErrMalformed: a table to be rounded is none, or the base or a fixed cell
	// does not fit it.
	ErrMalformed = errors.New("the table cannot be rounded as it is given")
	// ErrNoRounding: no additive rounding was found, not even a relaxed one.
	ErrNoRounding = errors.New("no additive rounding keeps the fixed cells")
	// ErrConflict: a cell was published before with another value.
	ErrConflict = errors.New("the cell was published with another value")
)
