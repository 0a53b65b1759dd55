package lake_test

import (
	"strings"
	"testing"

	"meguri/pseudonymize/lake"
)

// IC-8: who runs a shop is known by a code that was not mistyped.
func TestCheckOperator(t *testing.T) {
	for _, good := range []string{"", "7000012050002", "m-001", "HQ.1_2", "700001205000"} {
		if err := lake.CheckOperator(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"7000012050003", "8000012050002", "本部", "a b", strings.Repeat("a", 65)} {
		err := lake.CheckOperator(bad)
		if err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// FuzzCheckOperator: a changed digit of a corporate number is found, unless the
// check digit does not tell 0 from 9 in its place.
func FuzzCheckOperator(f *testing.F) {
	f.Add("7000012050002", 3, byte('4'))
	f.Fuzz(func(t *testing.T, code string, at int, digit byte) {
		if len(code) != 13 || strings.Trim(code, "0123456789") != "" || at < 0 || at >= 13 || digit < '0' || digit > '9' || lake.CheckOperator(code) != nil {
			return
		}
		other := code[:at] + string(digit) + code[at+1:]
		same := (int(code[at])-int(digit))%9 == 0
		if err := lake.CheckOperator(other); (err == nil) != (other == code || same && at > 0) {
			t.Errorf("a digit of %s changed to %s: %v", code, other, err)
		}
	})
}
