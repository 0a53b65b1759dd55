package analytics

import "context"

// Bound limits what one person can change in an answer: it counts in at most so
// many cells of a cut, with at most so much in each.
type Bound struct {
	Cells int64
	Yen   int64
	Draw  string // which cells count, where there are too many, is drawn with this text
}

// Bounder is an engine that tells what persons did under a bound. Payments by
// nobody known are left out.
type Bounder interface {
	Bounded(ctx context.Context, q Query, b Bound) ([]Part, error)
}
