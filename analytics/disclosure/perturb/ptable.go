package perturb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
)

// one is the sum of the weights of a row: probabilities are multiples of 2⁻³²,
// as keys are, so that both are exact.
const one = 1 << 32

// maxDeviation bounds D, and with it the size of a p-table.
const maxDeviation = 200

// Params say what a p-table must be like.
type Params struct {
	Deviation int64    // D: no count moves further, 1 to 200; secret
	Variance  *big.Rat // of the noise of every count but 0, > 0
	Forbidden int64    // counts 1 to Forbidden are never published; 0 for none
}

// outcome is a deviation with its weight, a multiple of 2⁻³².
type outcome struct {
	move   int64
	weight uint64
}

// PTable says, for each count, with which probability it moves how far. Row n
// is that of count n, and the last row that of all greater counts. Every row
// has mean 0 and sum 1 exactly, moves nothing by more than D, makes no negative
// and no forbidden count; 0 stays 0. Only [NewPTable] and [ParsePTable] make
// one.
type PTable struct {
	params Params
	rows   [][]outcome
}

// NewPTable makes the p-table of maximum entropy: of all distributions with
// mean 0 and the variance, the one that tells an attacker least (Giessing,
// Computational issues in the design of transition probabilities and disclosure
// risk estimation for additive noise, 2016). Weights are rounded to multiples
// of 2⁻³² such that sum and mean stay exact; the variance is met within 0.001.
//
// A p-table is to be made once and kept as a document: another processor may
// round its last bits in another way. The error is ErrPTable, and names the
// count, if no such distribution exists; a larger deviation helps.
func NewPTable(p Params) (*PTable, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	v, _ := p.Variance.Float64()
	t := &PTable{params: p, rows: [][]outcome{{{0, one}}}}
	t.params.Variance = new(big.Rat).Set(p.Variance)
	for n := int64(1); n < p.counts(); n++ {
		var moves []int64
		for m := max(-n, -p.Deviation); m <= p.Deviation; m++ {
			if p.publishable(n + m) {
				moves = append(moves, m)
			}
		}
		row, err := entropic(moves, v)
		if err != nil {
			return nil, fmt.Errorf("%w: count %d: %w", ErrPTable, n, err)
		}
		t.rows = append(t.rows, row)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func (p Params) check() error {
	switch {
	case p.Deviation < 1 || p.Deviation > maxDeviation:
		return fmt.Errorf("%w: its largest deviation is not between 1 and %d", ErrPTable, maxDeviation)
	case p.Forbidden < 0 || p.Forbidden > maxDeviation:
		return fmt.Errorf("%w: its forbidden counts are not between 0 and %d", ErrPTable, maxDeviation)
	case p.Variance == nil || p.Variance.Sign() <= 0:
		return fmt.Errorf("%w: its variance is not positive", ErrPTable)
	}
	return nil
}

// counts is the number of rows: from there on neither 0 nor a forbidden count
// is in reach.
func (p Params) counts() int64 { return p.Deviation + p.Forbidden + 2 }

func (p Params) publishable(n int64) bool { return n == 0 || n > p.Forbidden }

// entropic is the distribution of maximum entropy over the moves: weights
// proportional to exp(a·m + b·m²), with a and b by Newton's method on the dual.
func entropic(moves []int64, variance float64) ([]outcome, error) {
	least, most := spread(moves)
	if !(variance > least && variance < most) {
		return nil, fmt.Errorf("the variance must be between %g and %g there", least, most)
	}
	a, b := 0.0, 0.0
	p := make([]float64, len(moves))
	// dual fills p and returns ln Z − b·variance, which is to be least.
	dual := func(a, b float64) float64 {
		top := math.Inf(-1)
		for i, m := range moves {
			x := float64(m)
			p[i] = a*x + b*x*x
			top = max(top, p[i])
		}
		z := 0.0
		for i := range p {
			p[i] = math.Exp(p[i] - top)
			z += p[i]
		}
		for i := range p {
			p[i] /= z
		}
		return math.Log(z) + top - b*variance
	}
	value := dual(a, b)
	for range 500 {
		var m1, m2, m3, m4 float64
		for i, m := range moves {
			x := float64(m)
			m1, m2, m3, m4 = m1+p[i]*x, m2+p[i]*x*x, m3+p[i]*x*x*x, m4+p[i]*x*x*x*x
		}
		g1, g2 := m1, m2-variance
		if math.Abs(g1) < 1e-12 && math.Abs(g2) < 1e-12 {
			break
		}
		h11, h12, h22 := m2-m1*m1, m3-m1*m2, m4-m2*m2
		det := h11*h22 - h12*h12
		if !(det > 1e-300) {
			break
		}
		d1, d2 := (h22*g1-h12*g2)/det, (h11*g2-h12*g1)/det
		step, slope := 1.0, g1*d1+g2*d2
		next := dual(a-d1, b-d2)
		for step > 1e-9 && !(next <= value-1e-4*step*slope) {
			step /= 2
			next = dual(a-step*d1, b-step*d2)
		}
		if step <= 1e-9 { // as near as floats come
			dual(a, b)
			break
		}
		a, b, value = a-step*d1, b-step*d2, next
	}
	return quantise(moves, p)
}

// spread is the range of variances of distributions over the moves with mean 0.
func spread(moves []int64) (least, most float64) {
	below, above := int64(math.MinInt32), int64(math.MaxInt32)
	for _, m := range moves {
		if m <= 0 {
			below = max(below, m)
		}
		if m >= 0 {
			above = min(above, m)
		}
	}
	if len(moves) == 0 || moves[0] > 0 || moves[len(moves)-1] < 0 {
		return math.Inf(1), 0
	}
	return float64(-below * above), float64(-moves[0] * moves[len(moves)-1])
}

// quantise turns probabilities into weights with sum and mean exact. What
// rounding left is put on two moves that are one apart, which can take any rest.
func quantise(moves []int64, p []float64) ([]outcome, error) {
	weights := make([]int64, len(moves))
	var sum, mean int64
	pair := -1
	for i, m := range moves {
		weights[i] = int64(math.Round(p[i] * one))
		sum += weights[i]
		mean += m * weights[i]
		if i > 0 && m == moves[i-1]+1 && (pair < 0 || min(weights[i-1], weights[i]) > min(weights[pair], weights[pair+1])) {
			pair = i - 1
		}
	}
	if pair < 0 && (sum != one || mean != 0) {
		return nil, errors.New("too few counts are in reach")
	}
	if pair >= 0 {
		rest := one - sum
		upper := -mean - moves[pair]*rest
		weights[pair] += rest - upper
		weights[pair+1] += upper
	}
	var row []outcome
	for i, w := range weights {
		if w < 0 {
			return nil, errors.New("the variance is at the end of its range")
		}
		if w > 0 {
			row = append(row, outcome{moves[i], uint64(w)})
		}
	}
	return row, nil
}

// check proves in integers what a PTable promises.
func (t *PTable) check() error {
	if err := t.params.check(); err != nil {
		return err
	}
	if int64(len(t.rows)) != t.params.counts() {
		return fmt.Errorf("%w: it has %d rows, not %d", ErrPTable, len(t.rows), t.params.counts())
	}
	for n, row := range t.rows {
		if err := t.checkRow(int64(n), row); err != nil {
			return fmt.Errorf("%w: count %d: %w", ErrPTable, n, err)
		}
	}
	return nil
}

func (t *PTable) checkRow(n int64, row []outcome) error {
	if n == 0 {
		if len(row) != 1 || row[0] != (outcome{0, one}) {
			return errors.New("0 does not stay 0")
		}
		return nil
	}
	var sum uint64
	var mean, square int64 // |m| ≤ 200 and weights ≤ 2³² with sum 2³²: no overflow
	for i, o := range row {
		switch {
		case i > 0 && row[i-1].move >= o.move:
			return errors.New("its deviations are not in ascending order")
		case o.weight == 0 || o.weight > one:
			return errors.New("a weight is not between 1 and 2^32")
		case o.move > t.params.Deviation || -o.move > t.params.Deviation:
			return errors.New("a deviation is larger than the largest")
		case n+o.move < 0:
			return errors.New("it can become negative")
		case !t.params.publishable(n + o.move):
			return errors.New("it can become a forbidden count")
		}
		if sum += o.weight; sum > one {
			return errors.New("its weights are more than 2^32")
		}
		mean += o.move * int64(o.weight)
		square += o.move * o.move * int64(o.weight)
	}
	if sum != one {
		return errors.New("its weights are less than 2^32")
	}
	if mean != 0 {
		return errors.New("its mean is not 0")
	}
	off := new(big.Rat).SetFrac64(square, one)
	if off.Sub(off, t.params.Variance).Abs(off).Cmp(big.NewRat(1, 1000)) > 0 {
		return errors.New("its variance is not that of the table")
	}
	return nil
}

// deviation is by how much a count with a cell key moves: the first deviation
// up to which the weights reach the key. Key 0 counts as 1, which is the same
// modulo 1, so that each deviation has exactly its probability.
func (t *PTable) deviation(n int64, key Key) int64 {
	row := t.rows[min(n, int64(len(t.rows)-1))]
	u := uint64(key)
	if u == 0 {
		u = one
	}
	var sum uint64
	for _, o := range row {
		if sum += o.weight; u <= sum {
			return o.move
		}
	}
	panic("perturb: a row of a p-table sums to less than 1")
}

// document is the form of a p-table in JSON. Row n has pairs of a deviation and
// its weight in multiples of 2⁻³².
type document struct {
	Deviation int64     `json:"deviation"`
	Variance  string    `json:"variance"` // a rational: "3", "5/2"
	Forbidden int64     `json:"forbidden"`
	Rows      [][]entry `json:"rows"`
}

type entry [2]int64

// UnmarshalJSON takes exactly two integers: an array of Go would take more or
// fewer.
func (e *entry) UnmarshalJSON(b []byte) error {
	var list []int64
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if len(list) != 2 {
		return errors.New("not a deviation and a weight")
	}
	*e = entry{list[0], list[1]}
	return nil
}

// Document is the p-table as JSON, for safe keeping: it is secret.
func (t *PTable) Document() []byte {
	d := document{Deviation: t.params.Deviation, Variance: t.params.Variance.RatString(), Forbidden: t.params.Forbidden}
	for _, row := range t.rows {
		list := make([]entry, len(row))
		for i, o := range row {
			list[i] = entry{o.move, int64(o.weight)}
		}
		d.Rows = append(d.Rows, list)
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("perturb: integers do not make JSON: %v", err))
	}
	return b
}

// ParsePTable reads what Document wrote, and checks everything that a PTable
// promises. The error is ErrPTable.
func ParsePTable(b []byte) (*PTable, error) {
	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPTable, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows it", ErrPTable)
	}
	if len(d.Variance) > 40 { // an exponent would make a number of any size
		return nil, fmt.Errorf("%w: its variance is not a fraction", ErrPTable)
	}
	for _, c := range d.Variance {
		if (c < '0' || c > '9') && c != '/' {
			return nil, fmt.Errorf("%w: its variance is not a fraction", ErrPTable)
		}
	}
	variance, ok := new(big.Rat).SetString(d.Variance)
	if !ok {
		return nil, fmt.Errorf("%w: its variance is not a fraction", ErrPTable)
	}
	t := &PTable{params: Params{d.Deviation, variance, d.Forbidden}}
	for n, list := range d.Rows {
		row := make([]outcome, len(list))
		for i, e := range list {
			if e[1] < 0 {
				return nil, fmt.Errorf("%w: count %d: a weight is negative", ErrPTable, n)
			}
			row[i] = outcome{e[0], uint64(e[1])}
		}
		t.rows = append(t.rows, row)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

// String tells nothing: the table is secret.
func (t *PTable) String() string { return hidden }

// GoString tells nothing either.
func (t *PTable) GoString() string { return hidden }

// LogValue keeps a PTable out of logs.
func (t *PTable) LogValue() slog.Value { return slog.StringValue(hidden) }
