// Package perturb changes published figures a little instead of hiding some of
// them: by cell keys, so that the same records get the same noise in every
// table, or by controlled rounding, so that the rounded cells still add up.
// Start with [NewPerturber] or [Round].
//
// Both are safe only for a fixed catalogue of tables of which an audience gets
// no cell unperturbed. With a query interface that takes any question, bounded
// noise can be averaged away (Asghar & Kaafar, Averaging attacks on bounded
// noise-based disclosure control algorithms, PETS 2020): such recipients need
// a budget account.
//
// The release key, the p-table and with it the largest deviation are secret.
// Nothing here prints them.
package perturb

import (
	"fmt"
	"log/slog"
	"math/big"
)

// Cell is what the cell-key method needs to know of a cell.
type Cell struct {
	Count int64 // records, ≥ 0
	Key   Key   // sum of their record keys
}

// Amount is what it needs to know of a cell of a magnitude table.
type Amount struct {
	Value   int64 // yen, the sum of contributions none of which is negative
	Largest int64 // yen, the largest contribution
	Key     Key   // sum of the contributors' keys
}

// Perturber perturbs all cells that an audience gets. It is safe for
// concurrent use.
type Perturber struct {
	table *PTable
	scale *big.Rat
}

// NewPerturber returns a Perturber. The p-table must have been made by
// [NewPTable] or [ParsePTable]; scale is δ, the part of the largest
// contribution by which one unit of deviation moves an amount, > 0. It may be
// nil if there are only counts.
func NewPerturber(t *PTable, scale *big.Rat) (*Perturber, error) {
	if t == nil || len(t.rows) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrPTable)
	}
	if scale != nil {
		if scale.Sign() <= 0 {
			return nil, fmt.Errorf("%w: the scale of amounts is not positive", ErrPTable)
		}
		scale = new(big.Rat).Set(scale)
	}
	return &Perturber{t, scale}, nil
}

// Counts returns the perturbed counts of the cells of a table, in their order.
// They do not add up exactly: each cell has the noise of its own records.
// The error is ErrNegative if a count is negative.
func (p *Perturber) Counts(cells []Cell) ([]int64, error) {
	out := make([]int64, len(cells))
	for i, c := range cells {
		if c.Count < 0 {
			return nil, fmt.Errorf("cell %d: %w", i, ErrNegative)
		}
		out[i] = c.Count + p.table.deviation(c.Count, c.Key)
	}
	return out, nil
}

// Amounts returns the perturbed amounts of the cells of a table, in their
// order, rounded to whole yen: x + δ·max·v, where v is the deviation of the
// p-table's row x/(δ·max), interpolated between the rows around it (Handbook on
// Statistical Disclosure Control, 2nd ed., chapter 5, cell key method for
// magnitudes). A perturbed amount is never negative.
//
// The error is ErrNegative if an amount is negative and ErrLargest if it is
// less than its largest contribution.
func (p *Perturber) Amounts(cells []Amount) ([]int64, error) {
	if p.scale == nil {
		return nil, fmt.Errorf("%w: it has no scale for amounts", ErrPTable)
	}
	out := make([]int64, len(cells))
	for i, c := range cells {
		v, err := p.table.amount(c, p.scale)
		if err != nil {
			return nil, fmt.Errorf("cell %d: %w", i, err)
		}
		out[i] = v
	}
	return out, nil
}

func (t *PTable) amount(c Amount, scale *big.Rat) (int64, error) {
	switch {
	case c.Value < 0 || c.Largest < 0:
		return 0, ErrNegative
	case c.Largest > c.Value || c.Largest == 0 && c.Value > 0:
		return 0, ErrLargest
	case c.Value == 0:
		return 0, nil
	}
	unit := new(big.Rat).Mul(scale, new(big.Rat).SetInt64(c.Largest))
	at := new(big.Rat).Quo(new(big.Rat).SetInt64(c.Value), unit)
	v := new(big.Rat)
	floor := new(big.Int).Quo(at.Num(), at.Denom())
	if floor.Cmp(big.NewInt(int64(len(t.rows)-1))) >= 0 {
		v.SetInt64(t.deviation(int64(len(t.rows)-1), c.Key))
	} else {
		n := floor.Int64()
		below, above := t.deviation(n, c.Key), t.deviation(n+1, c.Key)
		v.Sub(at, new(big.Rat).SetInt(floor))
		v.Mul(v, new(big.Rat).SetInt64(above-below))
		v.Add(v, new(big.Rat).SetInt64(below))
	}
	v.Mul(v, unit)
	v.Add(v, new(big.Rat).SetInt64(c.Value))
	n := nearest(v)
	if !n.IsInt64() {
		return 0, ErrOverflow
	}
	return n.Int64(), nil
}

// nearest rounds a rational that is not negative to an integer, halves to even.
func nearest(x *big.Rat) *big.Int {
	two := big.NewInt(2)
	q, r := new(big.Int).QuoRem(x.Num(), x.Denom(), new(big.Int))
	switch r.Mul(r, two).Cmp(x.Denom()) {
	case 1:
		q.Add(q, big.NewInt(1))
	case 0:
		q.Add(q, big.NewInt(int64(q.Bit(0))))
	}
	return q
}

const hidden = "(secret)"

// String tells nothing: what is inside is secret.
func (p *Perturber) String() string { return hidden }

// GoString tells nothing either.
func (p *Perturber) GoString() string { return hidden }

// LogValue keeps a Perturber out of logs.
func (p *Perturber) LogValue() slog.Value { return slog.StringValue(hidden) }
