package scan

import (
	_ "embed"
	"encoding/base64"
	"math"
	"regexp"
	"strings"
	"unicode"
)

var mail = regexp.MustCompile(`[A-Za-z0-9._%+'-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`)

func hasMail(text string, _ bool) bool {
	return strings.Contains(text, "@") && mail.MatchString(text)
}

// An address goes to the house: 番地, 番, 号, or numbers in a row behind a town.
// A town with its 丁目 is no address but an area.
var (
	house     = regexp.MustCompile(`[0-9一二三四五六七八九十百]{1,4}(?:番地|丁目[ 　]?[0-9一二三四五六七八九十]{1,4}(?:番|-)|番[0-9一二三四五六七八九十]{1,3}号)`)
	dashed    = regexp.MustCompile(`\p{Han}[ぁ-んァ-ヶー]{0,4}[0-9]{1,4}[-ー][0-9]{1,4}[-ー][0-9]{1,5}(?:$|[^0-9])`)
	located   = regexp.MustCompile(`(?:北海道|東京都|京都府|大阪府|\p{Han}{2,3}県|\p{Han}{1,6}[市区郡]).{1,20}?[0-9]{1,4}(?:[-ー][0-9]{1,5}){1,2}`)
	longVowel = regexp.MustCompile(`([0-9])ー([0-9])`)
)

func hasAddress(text string, _ bool) bool {
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return false
	}
	if (strings.Contains(text, "番") || strings.Contains(text, "丁目")) && house.MatchString(text) {
		return true
	}
	if !strings.ContainsFunc(text, func(r rune) bool { return '0' <= r && r <= '9' }) {
		return false
	}
	text = longVowel.ReplaceAllString(text, "$1-$2")
	return dashed.MatchString(text) || located.MatchString(text)
}

//go:embed names.txt
var nameList string

// surnames and given are the commonest names, in kanji, kana and Latin letters.
var surnames, given = readNames(nameList)

// readNames reads names.txt: a line begins with s (surname) or g (given name).
func readNames(text string) (s, g map[string]bool) {
	s, g = map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		into := s
		if words[0] == "g" {
			into = g
		}
		for _, w := range words[1:] {
			into[w] = true
		}
	}
	return s, g
}

// What a kanji given name ends with, when it is not on the list.
const givenEnds = "郎朗太介助輔司史志之夫雄男也哉弥平彦樹人斗翔子美恵江枝代香花華奈菜乃穂音織里"

// isName tells whether the whole text is a person's name. In the middle of a
// sentence a name cannot be told from a place or a shop.
func isName(text string, hinted bool) bool {
	text = strings.TrimSpace(text)
	polite := false
	for _, title := range []string{"様", "さん", "さま", "氏", "殿"} {
		if cut, ok := strings.CutSuffix(text, title); ok {
			text, polite = strings.TrimSpace(cut), true
		}
	}
	words := strings.Fields(strings.ReplaceAll(text, "・", " "))
	switch len(words) {
	case 1:
		return oneWord(words[0], polite, hinted)
	case 2:
		a, b := strings.ToLower(words[0]), strings.ToLower(words[1])
		if surnames[a] && (given[b] || looksGiven(b)) {
			return true
		}
		return isASCII(a) && surnames[b] && given[a] // Taro Yamada
	}
	return false
}

// oneWord: a surname and a given name written together, or a surname alone
// where a title or the column says that it is one.
func oneWord(word string, polite, hinted bool) bool {
	if (polite || hinted) && surnames[strings.ToLower(word)] {
		return true
	}
	if isASCII(word) {
		return false
	}
	r := []rune(word)
	for cut := 1; cut < len(r) && cut <= 4; cut++ {
		a, b := string(r[:cut]), string(r[cut:])
		if surnames[a] && len(r)-cut <= 4 && (given[b] || (len(r)-cut >= 2 && looksGiven(b))) {
			return true
		}
	}
	return false
}

// looksGiven: one to three kanji that end as given names do.
func looksGiven(word string) bool {
	r := []rune(word)
	if len(r) < 1 || len(r) > 3 {
		return false
	}
	for _, c := range r {
		if !unicode.Is(unicode.Han, c) {
			return false
		}
	}
	return len(r) > 1 && strings.ContainsRune(givenEnds, r[len(r)-1])
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Codes that a person's telephone shows at the till: the QR forms of JPQR and
// of EMV, which are Base64 of BER-TLV and begin with their version, and the bar
// codes of 16 to 40 digits behind the head of a provider.
var (
	cpmQR      = regexp.MustCompile(`hQV(?:KUFFS|DUFYw)[A-Za-z0-9+/]{12,}={0,2}`)
	cpmBarcode = []struct {
		head    string
		lengths []int
	}{
		{"90008181", []int{24}}, {"88", []int{24}}, {"9000000000", []int{19}}, {"900001", []int{16}}, {"90000002", []int{22}},
		{"315899", []int{19, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40}},
	}
)

func hasCPM(text string, _ bool) bool {
	if strings.Contains(text, "hQV") && cpmQR.MatchString(text) {
		return true
	}
	if digits(text) < 16 {
		return false
	}
	for run := range runs(text, " ") {
		d := onlyDigits(run)
		for _, c := range cpmBarcode {
			if !strings.HasPrefix(d, c.head) {
				continue
			}
			for _, n := range c.lengths {
				if len(d) == n {
					return true
				}
			}
		}
	}
	return false
}

var (
	jwt    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*`)
	marked = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}|` +
		`\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[A-Za-z0-9_-]{35}|` +
		`(?i:\bbearer [A-Za-z0-9._~+/-]{16,})`)
	spoken  = regexp.MustCompile(`(?i:(?:password|passwd|secret|api[_-]?key|パスワード|合言葉|暗証番号)\s*(?:[:=は]|：)\s*\S{4,})`)
	opaque  = regexp.MustCompile(`[A-Za-z0-9+/_-]{40,}={0,2}`)
	hexOnly = regexp.MustCompile(`^[0-9a-fA-F-]+$`)
)

// hasSecret: what is marked as a secret, a JWT, and long runs of letters and
// digits as random as keys are. A hash in hexadecimal is not one.
func hasSecret(text string, hinted bool) bool {
	if hinted && text != "" {
		return true
	}
	if isCode(text) || (len(text) < 15 && !strings.ContainsAny(text, ":=は")) {
		return false
	}
	if marked.MatchString(text) || (strings.ContainsAny(text, ":=は") && spoken.MatchString(text)) {
		return true
	}
	if !strings.Contains(text, "eyJ") && len(text) < 40 {
		return false
	}
	for _, m := range jwt.FindAllString(text, -1) {
		head, _, _ := strings.Cut(m, ".")
		if b, err := base64.RawURLEncoding.DecodeString(head); err == nil && strings.Contains(string(b), `"alg"`) {
			return true
		}
	}
	for _, m := range opaque.FindAllString(text, -1) {
		if !hexOnly.MatchString(m) && entropy(m) > 4.3 {
			return true
		}
	}
	return false
}

// entropy is Shannon's, in bits a character.
func entropy(s string) float64 {
	var n [256]int
	for i := range len(s) {
		n[s[i]]++
	}
	var h float64
	for _, c := range n {
		if c > 0 {
			p := float64(c) / float64(len(s))
			h -= p * math.Log2(p)
		}
	}
	return h
}
