package scan

import (
	"iter"
	"regexp"
	"strings"
)

// runs are the runs of digits in a text. What joins digits within a run is a
// hyphen, a blank, a dot or brackets, one or two of them; sep are those that
// are allowed. A run that touches a letter of ASCII is a code, and is left out.
func runs(text, sep string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); {
			if !isDigit(text[i]) {
				i++
				continue
			}
			start, end := i, i // end is after the last digit
			for i < len(text) && (isDigit(text[i]) || (strings.IndexByte(sep, text[i]) >= 0 && i-end < 2)) {
				if isDigit(text[i]) {
					end = i + 1
				}
				i++
			}
			i = max(i, end)
			if (start > 0 && isLetter(text[start-1])) || (end < len(text) && isLetter(text[end])) {
				continue
			}
			if !yield(text[start:end]) {
				return
			}
		}
	}
}

// isCode tells that no word is in a text but letters a to f, digits and
// hyphens, as in a UUID.
func isCode(text string) bool {
	return strings.Trim(text, "0123456789abcdefABCDEF-") == ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool {
	return c == '_' || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z')
}

// digits counts them.
func digits(s string) (n int) {
	for i := range len(s) {
		if isDigit(s[i]) {
			n++
		}
	}
	return n
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// luhn is the check of ISO/IEC 7812-1.
func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// issuer tells whether a number begins as cards do, and has a length of theirs:
// Visa 4, Mastercard 51–55 and 2221–2720, JCB 3528–3589, American Express 34 and
// 37, Diners 30, 36, 38 and 39, Discover 6011, 64 and 65, UnionPay 62, Maestro.
func issuer(d string) bool {
	n := len(d)
	four := d[:4]
	switch {
	case d[0] == '4':
		return n == 13 || n == 16 || n == 19
	case "51" <= d[:2] && d[:2] <= "55", "2221" <= four && four <= "2720":
		return n == 16
	case "3528" <= four && four <= "3589":
		return n >= 16
	case d[:2] == "34", d[:2] == "37":
		return n == 15
	case d[:2] == "30", d[:2] == "36", d[:2] == "38", d[:2] == "39":
		return n >= 14
	case four == "6011", d[:2] == "64", d[:2] == "65", d[:2] == "62":
		return n >= 16
	case d[:2] == "50", "56" <= d[:2] && d[:2] <= "58", d[:2] == "63", d[:2] == "67":
		return true
	}
	return false
}

func hasCard(text string, hinted bool) bool {
	for run := range runs(text, "- .") {
		d := onlyDigits(run)
		if 13 <= len(d) && len(d) <= 19 && strings.Trim(d, "0") != "" && luhn(d) && (hinted || issuer(d)) {
			return true
		}
	}
	return false
}

// hasMyNumber: 個人番号, 12 digits with the check digit of 行政手続における特定の
// 個人を識別するための番号の利用等に関する省令 第5条.
func hasMyNumber(text string, _ bool) bool {
	for run := range runs(text, "- ") {
		if d := onlyDigits(run); len(d) == 12 && strings.Trim(d, "0") != "" && myNumberCheck(d[:11]) == d[11] {
			return true
		}
	}
	return false
}

func myNumberCheck(d string) byte {
	sum := 0
	for n := 1; n <= 11; n++ {
		q := n + 1
		if n > 6 {
			q = n - 5
		}
		sum += int(d[11-n]-'0') * q
	}
	if r := sum % 11; r > 1 {
		return byte('0' + 11 - r)
	}
	return '0'
}

var (
	international = regexp.MustCompile(`(?:^|[^0-9A-Za-z])(?:\+|00)81[- .]?\(?0?\)?[- .]?[1-9](?:[- .()]{0,2}[0-9]){8,9}(?:$|[^0-9A-Za-z])`)
	abroad        = regexp.MustCompile(`(?:^|[^0-9A-Za-z])\+[1-9](?:[- .()]{0,2}[0-9]){7,14}(?:$|[^0-9A-Za-z])`)
)

// hasPhone: E.164; 0 and nine digits (landlines and freephone), 0x0 and eight
// (mobile, IP, 0800). A number in groups must be in groups as telephones are.
func hasPhone(text string, hinted bool) bool {
	if (strings.Contains(text, "0081") || strings.Contains(text, "+81")) && international.MatchString(text) {
		return true
	}
	if strings.Contains(text, "+") && abroad.MatchString(text) {
		return true
	}
	for run := range runs(text, "-. ()") {
		d := onlyDigits(run)
		if (len(d) != 10 && len(d) != 11) || d[0] != '0' || d[1] == '0' {
			continue
		}
		if hinted || len(run) == len(d) {
			if len(d) == 10 || (d[2] == '0' && d[1] >= '5') {
				return true
			}
			continue
		}
		groups := strings.FieldsFunc(run, func(r rune) bool { return r < '0' || r > '9' })
		if len(groups) == 3 && between(groups[0], 2, 5) && between(groups[1], 1, 4) && between(groups[2], 3, 4) {
			return true
		}
	}
	return false
}

func between(s string, least, most int) bool { return least <= len(s) && len(s) <= most }

var (
	// Bank, branch, perhaps the kind, and account.
	bankGroups = regexp.MustCompile(`(?:^|[^0-9A-Za-z-])[0-9]{4}[- ][0-9]{3}[- ](?:[0-9][- ])?[0-9]{7}(?:$|[^0-9A-Za-z-])`)
	bankWords  = regexp.MustCompile(`(?:普通|当座|貯蓄|口座|預金|bank account|account no)[^0-9]{0,12}[0-9]{6,8}(?:$|[^0-9])`)
	postBank   = regexp.MustCompile(`(?:^|[^0-9A-Za-z-])1[0-9]{3}0[- ][0-9]{7}1(?:$|[^0-9A-Za-z-])`) // ゆうちょ: 記号 and 番号
	sevenAlone = regexp.MustCompile(`^[0-9]{7}$`)
	iban       = regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,4})?\b`)
)

func hasBank(text string, hinted bool) bool {
	n := digits(text)
	if n < 6 {
		return false
	}
	if (n >= 13 && (bankGroups.MatchString(text) || postBank.MatchString(text))) || (hinted && sevenAlone.MatchString(text)) {
		return true
	}
	if !isASCII(text) || strings.ContainsAny(text, "Aa") {
		if bankWords.MatchString(strings.ToLower(text)) {
			return true
		}
	}
	if n < 8 || !strings.ContainsFunc(text, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
		return false
	}
	for _, m := range iban.FindAllString(text, -1) {
		if ibanCheck(strings.ReplaceAll(m, " ", "")) {
			return true
		}
	}
	return false
}

// ibanCheck is ISO 13616: the number, its first four characters last, is 1
// modulo 97.
func ibanCheck(s string) bool {
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	rest := 0
	for _, c := range []byte(s[4:] + s[:4]) {
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A'+10)) % 97
		}
	}
	return rest == 1
}

var (
	japanesePassport = regexp.MustCompile(`(?:^|[^0-9A-Za-z])[MT][A-Z][0-9]{7}(?:$|[^0-9A-Za-z])`)
	anyPassport      = regexp.MustCompile(`(?:^|[^0-9A-Za-z])[A-Z]{1,2}[0-9]{7}(?:$|[^0-9A-Za-z])`)
	passportWords    = regexp.MustCompile(`(?i:旅券|パスポート|passport)`)
	licenceWords     = regexp.MustCompile(`(?i:免許証?(?:の)?(?:番号)|driver'?s? licen[cs]e)`)
	twelve           = regexp.MustCompile(`(?:^|[^0-9])[0-9]{12}(?:$|[^0-9])`)
)

// hasPassport: Japan's passports begin with M or T; two letters and seven
// digits of another kind are one where the word stands beside them.
func hasPassport(text string, hinted bool) bool {
	if digits(text) < 7 {
		return false
	}
	if strings.ContainsAny(text, "MT") && japanesePassport.MatchString(text) {
		return true
	}
	return (hinted || (!isCode(text) && passportWords.MatchString(text))) && anyPassport.MatchString(text)
}

// hasLicence: twelve digits prove nothing by themselves, so the word must stand
// beside them.
func hasLicence(text string, hinted bool) bool {
	return digits(text) >= 12 && (hinted || (!isCode(text) && licenceWords.MatchString(text))) && twelve.MatchString(text)
}
