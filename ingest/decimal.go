package ingest

import (
	"math/big"
	"math/bits"
	"strings"
)

// Rounding says what becomes of a part of a yen.
type Rounding string

// The roundings. The zero value refuses.
const (
	RoundRefuse   Rounding = ""          // a part of a yen is a fault
	RoundHalfEven Rounding = "half_even" // to the nearest yen, a half to the even one
	RoundDown     Rounding = "down"      // towards zero
)

// decimal is coefficient × 10^-scale, exactly.
type decimal struct {
	coefficient uint64
	scale       int
	negative    bool
}

const maxDigits = 19

// parseDecimal reads an optional sign, digits, and an optional point with
// digits. A separator of thousands, where one is given, must stand between
// groups of three.
func parseDecimal(s string, thousands byte) (decimal, string) {
	var d decimal
	t := s
	if t != "" && (t[0] == '-' || t[0] == '+') {
		d.negative = t[0] == '-'
		t = t[1:]
	}
	whole, fraction, pointed := strings.Cut(t, ".")
	if whole == "" || pointed && fraction == "" {
		return decimal{}, "is not a number"
	}
	if thousands != 0 && strings.IndexByte(whole, thousands) >= 0 {
		groups := strings.Split(whole, string(thousands))
		for i, g := range groups {
			if i == 0 && (g == "" || len(g) > 3) || i > 0 && len(g) != 3 {
				return decimal{}, "has its separators of thousands in the wrong places"
			}
		}
		whole = strings.Join(groups, "")
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(strings.TrimLeft(whole, "0"))+len(fraction) > maxDigits {
		for _, part := range []string{whole, fraction} {
			if strings.ContainsFunc(part, func(r rune) bool { return r < '0' || r > '9' }) {
				return decimal{}, "is not a number"
			}
		}
		return decimal{}, "is too large or has too many digits"
	}
	for _, part := range [...]string{whole, fraction} {
		for i := 0; i < len(part); i++ {
			c := part[i] - '0'
			if c > 9 {
				return decimal{}, "is not a number"
			}
			hi, lo := bits.Mul64(d.coefficient, 10)
			sum, carry := bits.Add64(lo, uint64(c), 0)
			if hi != 0 || carry != 0 {
				return decimal{}, "is too large or has too many digits"
			}
			d.coefficient = sum
		}
	}
	d.scale = len(fraction)
	return d, ""
}

// yen returns the product of the factors in whole yen, computed exactly.
func yen(round Rounding, factors ...decimal) (int64, string) {
	product, scale, negative := uint64(1), 0, false
	for _, f := range factors {
		hi, lo := bits.Mul64(product, f.coefficient)
		if hi != 0 {
			return bigYen(round, factors)
		}
		product, scale, negative = lo, scale+f.scale, negative != f.negative
	}
	if product == 0 {
		return 0, ""
	}
	if scale >= maxDigits {
		return bigYen(round, factors)
	}
	unit := uint64(1)
	for range scale {
		unit *= 10
	}
	n, rest := product/unit, product%unit
	if rest != 0 {
		switch {
		case round == RoundRefuse:
			return 0, "is not a whole number of yen"
		case round == RoundHalfEven && (rest > unit-rest || rest == unit-rest && n%2 == 1):
			n++
		}
	}
	if n > 1<<63-1 {
		return 0, "is beyond the largest amount"
	}
	if negative {
		return -int64(n), ""
	}
	return int64(n), ""
}

// bigYen is yen for products beyond 64 bits.
func bigYen(round Rounding, factors []decimal) (int64, string) {
	product, scale, negative := big.NewInt(1), int64(0), false
	for _, f := range factors {
		product.Mul(product, new(big.Int).SetUint64(f.coefficient))
		scale += int64(f.scale)
		negative = negative != f.negative
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil)
	n, rest := new(big.Int).QuoRem(product, unit, new(big.Int))
	if rest.Sign() != 0 {
		half := new(big.Int).Lsh(rest, 1).Cmp(unit)
		switch {
		case round == RoundRefuse:
			return 0, "is not a whole number of yen"
		case round == RoundHalfEven && (half > 0 || half == 0 && n.Bit(0) == 1):
			n.Add(n, big.NewInt(1))
		}
	}
	if negative {
		n.Neg(n)
	}
	if !n.IsInt64() {
		return 0, "is beyond the largest amount"
	}
	return n.Int64(), ""
}
