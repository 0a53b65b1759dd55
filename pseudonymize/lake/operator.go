package lake

import "errors"

// ErrOperator says that the code of a shop's operator is none.
var ErrOperator = errors.New("the code of the operator is none: a number of 13 digits must have the check digit of a corporate number, " +
	"any other code has up to 64 letters, digits, dots, hyphens and underscores")

// CheckOperator checks the code of who runs a shop: a corporate number (法人番号)
// or another code that the city gives out. None is the shop itself.
func CheckOperator(code string) error {
	if len(code) > 64 {
		return ErrOperator
	}
	digits := 0
	for _, c := range []byte(code) {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '.', c == '-', c == '_':
		default:
			return ErrOperator
		}
	}
	if digits == 13 && len(code) == 13 && code[0] != checkDigit(code[1:]) {
		return ErrOperator
	}
	return nil
}

// checkDigit is the first digit of a corporate number whose other twelve are
// given (Ordinance on the Designation of Corporate Numbers, Article 2).
func checkDigit(rest string) byte {
	sum := 0
	for i := range len(rest) {
		weight := 1 + i%2 // the last digit has the weight 1
		sum += int(rest[len(rest)-1-i]-'0') * weight
	}
	return byte('0' + 9 - sum%9)
}
