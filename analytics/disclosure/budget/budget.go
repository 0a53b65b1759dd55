// Package budget answers recipients who ask again and again, with differential
// privacy: noise in proportion to what one person can change, and an account
// that says how much a recipient may still learn. Start with [Desk.Answer].
//
// What it promises: for the persons in a snapshot, all answers that one
// recipient ever gets are ε-differentially private (noise from the discrete
// Laplace distribution) or ρ-zero-concentrated (discrete Gaussian), where ε or ρ
// is the limit of its account, and a person is added or left out with
// everything it did. The same question about the same snapshot has the same
// answer bit for bit and costs nothing. An answer is recorded, with what it
// cost, before anybody sees it.
//
// Sampling uses integers and fractions only: floats have given such noise away
// by their lowest bits (Mironov 2012). Recipients who pool what they got have
// learned the sum of their accounts: those who may, share one account.
package budget

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
	"slices"
	"time"
)

// Kind is what an account counts, and with it the distribution of the noise.
type Kind string

// The kinds of account.
const (
	Pure Kind = "epsilon" // ε-differential privacy, discrete Laplace
	ZCDP Kind = "rho"     // ρ-zCDP (Bun & Steinke 2016), discrete Gaussian
)

// Answer is what a recipient gets. Values may be negative: they are unbiased as
// they are, and cutting them off at 0 would make sums of them too large.
type Answer struct {
	Fingerprint string  `json:"fingerprint"` // of the question in its canonical form
	Cells       []Value `json:"cells"`       // in the order of the canonical question
	// Within is the half-width of the 95 % interval around each value: the noise
	// is at most this much in at least 95 of 100 answers, in persons or yen. What
	// bounding has cut off comes on top and is not told.
	Within int64  `json:"within"`
	Kind   Kind   `json:"kind"`
	Cost   string `json:"cost"`  // ε or ρ, a fraction
	Delta  string `json:"delta"` // δ, a fraction
	// Scale is that of the noise, a fraction: of discrete Laplace noise its scale,
	// of discrete Gaussian noise its variance.
	Scale string    `json:"scale"`
	At    time.Time `json:"at"` // when it was made, UTC
	// Least is, for a sparse question, the least value that is told; else 0.
	Least int64 `json:"least,omitempty"`
}

// Value is the answer for one cell.
type Value struct {
	Cell  string `json:"cell"`
	Value int64  `json:"value"` // persons or yen
}

// Mechanism says how noise is made for a question.
type Mechanism struct {
	Kind   Kind
	Cost   Cost // of the whole answer; δ is for sparse questions only
	Bounds Bounds
}

// Source gives the contributions to the cells of a question. It is called only
// for fresh answers.
type Source func(ctx context.Context, q Query) ([]Contribution, error)

// Desk answers questions.
type Desk struct {
	Accounts *Accounts
	Source   Source
	Random   io.Reader // crypto/rand.Reader, but in tests
}

// Answer returns the answer to a question, fresh or as it was given before.
// repeated says which.
//
// The error is ErrQuery for a question that is none, ErrMechanism for noise
// that cannot be made, and ErrUsedUp if the account does not hold its cost.
func (d *Desk) Answer(ctx context.Context, recipient string, q Query, m Mechanism) (a Answer, repeated bool, err error) {
	q, err = q.Canonical()
	if err != nil {
		return Answer{}, false, err
	}
	if err := m.check(q); err != nil {
		return Answer{}, false, err
	}
	if !q.Sparse { // nobody is in more cells than there are
		m.Bounds.Cells = min(m.Bounds.Cells, int64(len(q.Cells)))
	}
	print := q.fingerprint(m)
	text, repeated, err := d.Accounts.Spend(ctx, recipient, m.Kind, m.Cost, print, func() ([]byte, error) {
		list, err := d.Source(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("read contributions: %w", err)
		}
		a, err := m.answer(q, list, d.Random)
		if err != nil {
			return nil, err
		}
		a.Fingerprint, a.At = print, d.Accounts.Now().UTC().Truncate(time.Microsecond)
		return json.Marshal(a)
	})
	if err != nil {
		return Answer{}, false, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&a); err != nil {
		return Answer{}, false, fmt.Errorf("read the answer as it was given: %w", err)
	}
	return a, repeated, nil
}

func (m Mechanism) check(q Query) error {
	switch {
	case m.Kind != Pure && m.Kind != ZCDP:
		return fmt.Errorf("%w: unknown kind %q", ErrMechanism, m.Kind)
	case m.Bounds.Cells < 1 || m.Bounds.Cells > 1<<20:
		return fmt.Errorf("%w: a person must count in 1 to 2^20 cells", ErrMechanism)
	case q.Measure == Yen && (m.Bounds.Yen < 1 || m.Bounds.Yen > 1<<40):
		return fmt.Errorf("%w: a person must count with 1 to 2^40 yen", ErrMechanism)
	case !q.Sparse && m.Cost.delta().Sign() != 0:
		return fmt.Errorf("%w: only sparse questions cost δ", ErrMechanism)
	case q.Sparse && (m.Kind != Pure || m.Cost.delta().Sign() <= 0 || m.Cost.delta().Cmp(ratOne) >= 0):
		return fmt.Errorf("%w: sparse questions need discrete Laplace noise and a δ between 0 and 1", ErrMechanism)
	}
	return m.Cost.check()
}

// answer adds noise to the bounded sums. Where the cells were asked for, all of
// them are told, also those in which nothing happened: which cells are there
// must not depend on the data. Where they come from the data, only those are
// told that reach the threshold.
func (m Mechanism) answer(q Query, list []Contribution, random io.Reader) (Answer, error) {
	a := Answer{Cells: []Value{}, Kind: m.Kind, Cost: m.Cost.Value.RatString(), Delta: m.Cost.delta().RatString(), Within: m.within(q.Measure), Scale: m.scale(q.Measure).RatString()}
	cells := q.Names()
	if q.Sparse {
		for _, c := range list {
			cells = append(cells, c.Cell)
		}
		slices.Sort(cells)
		cells = slices.Compact(cells)
		least := m.threshold()
		if !least.IsInt64() {
			return Answer{}, ErrOverflow
		}
		a.Least = least.Int64()
	}
	sums, err := m.Bounds.sums(q.Measure, q.Snapshot, cells, list)
	if err != nil {
		return Answer{}, err
	}
	s := NewSampler(random)
	for i, cell := range cells {
		if q.Sparse && sums[i] == 0 {
			continue // bounding has left nobody in it
		}
		z, err := m.noise(s, q.Measure)
		if err != nil {
			return Answer{}, err
		}
		if z.Add(z, big.NewInt(sums[i])); !z.IsInt64() {
			return Answer{}, ErrOverflow
		}
		if v := z.Int64(); !q.Sparse || v >= a.Least {
			a.Cells = append(a.Cells, Value{cell, v})
		}
	}
	return a, nil
}

// threshold is the least noisy count of persons with which a cell is told that
// comes from the data: a cell that is there because of one person is told with
// probability at most δ over all cells of that person (Korolova et al.,
// Releasing search queries and clicks privately, 2009). It is 1+k, where k is a
// whole number with cells·e^(−k/s) ≤ δ, s being the scale of the discrete
// Laplace noise; logarithms are rounded up, with ln 2 < 0.693148.
func (m Mechanism) threshold() *big.Int {
	ratio := new(big.Rat).SetInt64(m.Bounds.Cells)
	ratio.Quo(ratio, m.Cost.Delta)
	bits := new(big.Int).Sub(ceil(ratio), bigOne).BitLen() // cells/δ ≤ 2^bits
	k := ceil(new(big.Rat).Mul(m.scale(Persons), big.NewRat(int64(bits)*693148, 1_000_000)))
	return k.Add(k, bigOne)
}

func ceil(x *big.Rat) *big.Int {
	up := new(big.Int).Add(x.Num(), x.Denom())
	return up.Quo(up.Sub(up, bigOne), x.Denom())
}

// scale is that of the noise: the discrete Laplace's Δ₁/ε, or the discrete
// Gaussian's σ² = Δ₂²/2ρ.
func (m Mechanism) scale(measure Measure) *big.Rat {
	one := new(big.Rat).SetInt64(m.Bounds.step(measure))
	cells := new(big.Rat).SetInt64(m.Bounds.Cells)
	s := new(big.Rat).Mul(cells, one)
	if m.Kind == ZCDP {
		s.Mul(s, one)
		s.Quo(s, big.NewRat(2, 1))
	}
	return s.Quo(s, m.Cost.Value)
}

func (m Mechanism) noise(s *Sampler, measure Measure) (*big.Int, error) {
	if m.Kind == ZCDP {
		return s.Gaussian(m.scale(measure))
	}
	return s.Laplace(m.scale(measure))
}

// within is told, not used: floats do no harm here.
func (m Mechanism) within(measure Measure) int64 {
	s, _ := m.scale(measure).Float64()
	var w float64
	if m.Kind == ZCDP {
		w = math.Ceil(1.96*math.Sqrt(s) + .5)
	} else {
		// P(|X| > w) = 2·e^(−(w+1)/s)/(1+e^(−1/s)) ≤ 1/20
		w = math.Ceil(s*math.Log(40/(1+math.Exp(-1/s)))) - 1
	}
	return int64(min(max(w, 0), math.MaxInt64/2))
}

const hidden = "(secret)"

// LogValue keeps answers out of logs: they are for one recipient.
func (a Answer) LogValue() slog.Value { return slog.StringValue(hidden) }
