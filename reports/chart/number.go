package chart

import (
	"math"
	"strconv"
	"strings"
)

// Unit is how numbers are written.
type Unit int

// The units.
const (
	Plain   Unit = iota // a real number
	Yen                 // 円
	Persons             // 人
	Visits              // 回
	Count               // 件
	Percent             // of a ratio, 0 to 1
)

var suffixes = map[Unit][2]string{ // Japanese, English
	Yen: {"円", " yen"}, Persons: {"人", " persons"}, Visits: {"回", " visits"}, Count: {"件", ""},
}

func pick(lang string, s [2]string) string {
	if lang == "en" {
		return s[1]
	}
	return s[0]
}

// Full writes a number to its last digit: 1,234,567円.
func (u Unit) Full(v float64, lang string) string {
	switch u {
	case Percent:
		return Number(v*100, 1) + "%"
	case Plain:
		return Number(v, 2)
	case Yen:
		if lang == "en" {
			if v < 0 {
				return "−¥" + Number(-v, 0)
			}
			return "¥" + Number(v, 0)
		}
	}
	return Number(v, 0) + pick(lang, suffixes[u])
}

// Short writes a number as it is said: 123万円, ¥1.2M. Small numbers are
// written in full.
func (u Unit) Short(v float64, lang string) string {
	if u != Yen || math.Abs(v) < 1e5 {
		return u.Full(v, lang)
	}
	a := math.Abs(v)
	sign := ""
	if v < 0 {
		sign = "−"
	}
	if lang == "en" {
		if a >= 999.5e3 {
			return sign + "¥" + significant(a/1e6) + "M"
		}
		return sign + "¥" + significant(a/1e3) + "K"
	}
	if a >= 9999.5e4 {
		return sign + significant(a/1e8) + "億円"
	}
	return sign + significant(a/1e4) + "万円"
}

// significant keeps three digits, and all digits before the point.
func significant(v float64) string {
	switch {
	case v >= 99.95:
		return Number(v, 0)
	case v >= 9.995:
		return Number(v, 1)
	}
	return Number(v, 2)
}

// axis gives the number that an axis is counted in, and its title.
func (u Unit) axis(top float64, lang string) (div float64, title string) {
	switch u {
	case Percent:
		return .01, "%"
	case Plain:
		return 1, ""
	case Yen:
		if lang == "en" {
			switch {
			case top >= 1e6:
				return 1e6, "million yen"
			case top >= 1e4:
				return 1e3, "thousand yen"
			}
			return 1, "yen"
		}
		switch {
		case top >= 1e8:
			return 1e8, "億円"
		case top >= 1e5:
			return 1e4, "万円"
		}
	}
	return 1, strings.TrimSpace(pick(lang, suffixes[u]))
}

// whole says whether a value between two whole numbers has no meaning.
func (u Unit) whole() bool { return u == Yen || u == Persons || u == Visits || u == Count }

// Number writes a number with at most so many decimals and with commas
// between thousands. The minus sign is −.
func Number(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "…"
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
	whole, frac, _ := strings.Cut(s, ".")
	var b strings.Builder
	if v < 0 && strings.Trim(s, "0.") != "" {
		b.WriteString("−")
	}
	for i, r := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	if frac != "" {
		b.WriteString("." + frac)
	}
	return b.String()
}

// Ticks gives round numbers, 0 among them, that enclose lo and hi: about n
// steps of 1, 2, 2.5 or 5 times a power of ten. With whole set no step is
// smaller than 1. Spans under a billionth count as none.
func Ticks(lo, hi float64, n int, whole bool) []float64 {
	lo, hi = math.Min(lo, 0), math.Max(hi, 0)
	if math.IsNaN(lo) || math.IsNaN(hi) || math.IsInf(hi-lo, 0) || hi-lo < 1e-9 {
		hi = lo + 1
	}
	n = max(n, 1)
	rough := (hi - lo) / float64(n)
	mag := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * mag
	for _, k := range []float64{1, 2, 2.5, 5} {
		if k*mag >= rough*(1-1e-9) {
			step = k * mag
			break
		}
	}
	if whole && step < 1 {
		step = 1
	}
	if whole && step == 2.5 {
		step = 5
	}
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	if last == first {
		last++
	}
	var out []float64
	for k := first; k <= last; k++ {
		out = append(out, k*step)
	}
	return out
}

// tickLabels writes ticks with as many decimals as tell them apart.
func tickLabels(ticks []float64, div float64) []string {
	decimals := 0
	for ; decimals < 6; decimals++ {
		exact := true
		for _, t := range ticks {
			v := t / div * math.Pow(10, float64(decimals))
			exact = exact && math.Abs(v-math.Round(v)) < 1e-6*math.Max(1, math.Abs(v))
		}
		if exact {
			break
		}
	}
	var out []string
	for _, t := range ticks {
		out = append(out, Number(t/div, decimals))
	}
	return out
}
