package budget

import (
	"bufio"
	"fmt"
	"io"
	"math/big"
)

// Sampler draws from discrete distributions exactly, with integers and
// fractions only, from random bits (Canonne, Kamath & Steinke, The discrete
// Gaussian for differential privacy, 2020, algorithms 1 to 3). How long a draw
// takes depends on its value: answers are to be given after all are drawn.
//
// It is for one goroutine. What was read ahead is lost with it.
type Sampler struct {
	random io.Reader
	err    error
}

// NewSampler returns a Sampler that takes its bits from random:
// crypto/rand.Reader, but in tests.
func NewSampler(random io.Reader) *Sampler {
	return &Sampler{random: bufio.NewReaderSize(random, 512)}
}

// Laplace draws x with P(x) proportional to e^(−|x|/scale). The error is
// ErrMechanism if the scale is not positive, or that of the source.
func (s *Sampler) Laplace(scale *big.Rat) (*big.Int, error) {
	if scale.Sign() <= 0 {
		return nil, fmt.Errorf("%w: the scale of the noise is not positive", ErrMechanism)
	}
	x := s.laplace(scale)
	return x, s.failed()
}

// Gaussian draws x with P(x) proportional to e^(−x²/2σ²); variance is σ². The
// error is as in Laplace.
func (s *Sampler) Gaussian(variance *big.Rat) (*big.Int, error) {
	if variance.Sign() <= 0 {
		return nil, fmt.Errorf("%w: the variance of the noise is not positive", ErrMechanism)
	}
	x := s.gaussian(variance)
	return x, s.failed()
}

func (s *Sampler) failed() error {
	if s.err != nil {
		return fmt.Errorf("read random bits: %w", s.err)
	}
	return nil
}

var (
	bigOne = big.NewInt(1)
	ratOne = big.NewRat(1, 1)
)

// uniform draws from 0 to n−1, n ≥ 1, by drawing bits until they are below n.
// When the source has failed it returns 0, and every loop below ends.
func (s *Sampler) uniform(n *big.Int) *big.Int {
	top := new(big.Int).Sub(n, bigOne)
	bits := top.BitLen()
	buf := make([]byte, (bits+7)/8)
	x := new(big.Int)
	for s.err == nil {
		if _, s.err = io.ReadFull(s.random, buf); s.err != nil {
			break
		}
		if len(buf) > 0 && bits%8 != 0 {
			buf[0] &= 1<<(bits%8) - 1
		}
		if x.SetBytes(buf); x.Cmp(n) < 0 {
			return x
		}
	}
	return x.SetInt64(0)
}

// bernoulli is true with probability num/den, between 0 and 1.
func (s *Sampler) bernoulli(num, den *big.Int) bool {
	return s.uniform(den).Cmp(num) < 0
}

// decay is true with probability e^(−x), x ≥ 0 (algorithm 1).
func (s *Sampler) decay(x *big.Rat) bool {
	for x.Cmp(ratOne) > 0 {
		if !s.decayOne(bigOne, bigOne) || s.err != nil {
			return false
		}
		x = new(big.Rat).Sub(x, ratOne)
	}
	return s.decayOne(x.Num(), x.Denom())
}

// decayOne is true with probability e^(−num/den), where num/den is between 0
// and 1: the number of successes with probabilities x/1, x/2, x/3 … before the
// first failure is even with just that probability.
func (s *Sampler) decayOne(num, den *big.Int) bool {
	even := true
	by := new(big.Int).Set(den)
	for s.err == nil && s.bernoulli(num, by) {
		by.Add(by, den)
		even = !even
	}
	return even
}

// laplace is algorithm 2, with scale = t/s in its letters.
func (s *Sampler) laplace(scale *big.Rat) *big.Int {
	t, div := scale.Num(), scale.Denom()
	for s.err == nil {
		u := s.uniform(t)
		if !s.decayOne(u, t) {
			continue
		}
		x := new(big.Int)
		for s.err == nil && s.decayOne(bigOne, bigOne) {
			x.Add(x, t)
		}
		x.Quo(x.Add(x, u), div)
		if s.uniform(big.NewInt(2)).Sign() == 0 {
			return x
		}
		if x.Sign() != 0 { // −0 is drawn again
			return x.Neg(x)
		}
	}
	return new(big.Int)
}

// gaussian is algorithm 3: discrete Laplace noise of scale t = ⌊σ⌋+1, kept with
// probability e^(−(|x|−σ²/t)²/2σ²).
func (s *Sampler) gaussian(variance *big.Rat) *big.Int {
	t := new(big.Int).Quo(variance.Num(), variance.Denom())
	t.Sqrt(t).Add(t, bigOne)
	scale := new(big.Rat).SetInt(t)
	center := new(big.Rat).Quo(variance, scale)
	double := new(big.Rat).Add(variance, variance)
	for s.err == nil {
		x := s.laplace(scale)
		d := new(big.Rat).SetInt(new(big.Int).Abs(x))
		d.Sub(d, center)
		d.Mul(d, d)
		if s.decay(d.Quo(d, double)) {
			return x
		}
	}
	return new(big.Int)
}
