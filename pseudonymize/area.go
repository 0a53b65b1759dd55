package pseudonymize

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// areas are what an area can be generalised to. Each returns false, and nothing,
// for what it cannot read: a text that nobody understands does not go on.
var areas = map[string]func(string) (string, bool){
	"town":      func(s string) (string, bool) { return generaliseAddress(s, true) },
	"district":  func(s string) (string, bool) { return generaliseAddress(s, false) },
	"mesh_500m": func(s string) (string, bool) { return generaliseMesh(s, 9) },
	"mesh_1km":  func(s string) (string, bool) { return generaliseMesh(s, 8) },
	"mesh_10km": func(s string) (string, bool) { return generaliseMesh(s, 6) },
}

var (
	chome     = regexp.MustCompile(`^(.*?[\p{Han}\p{Hiragana}\p{Katakana}ー々])[ ]?([0-9]{1,2}|[一二三四五六七八九十]{1,3})丁目`)
	jo        = regexp.MustCompile(`([0-9]{1,2})条`) // 北1条西2丁目
	houseAt   = regexp.MustCompile(`[0-9]|[一二三四五六七八九十百千]+(?:番地|番[一二三四五六七八九十]|号)`)
	areaName  = regexp.MustCompile(`^(?:[A-Za-z0-9_-]{1,12}|[A-Za-z][A-Za-z .'()-]{0,40}[0-9]{0,2})$`)
	meshDigit = regexp.MustCompile(`^[0-9]{4}(?:[0-7]{2}(?:[0-9]{2}(?:[1-4]{1,3})?)?)?$`)
)

// generaliseAddress cuts an address behind its 丁目, or before it. Without a
// 丁目 everything from the first number on goes, since it may be the house's.
// A short code, which names an area of a list, stays, and so does a name in Latin
// letters that has no house number.
func generaliseAddress(s string, withChome bool) (string, bool) {
	text := strings.TrimSpace(norm.NFKC.String(s))
	if text == "" || areaName.MatchString(text) {
		return text, true
	}
	text = jo.ReplaceAllStringFunc(text, func(m string) string { return kanjiNumber(strings.TrimSuffix(m, "条")) + "条" })
	if m := chome.FindStringSubmatch(text); m != nil && !strings.ContainsAny(m[1], "0123456789") {
		if !withChome {
			return m[1], true
		}
		return m[1] + kanjiNumber(m[2]) + "丁目", true
	}
	if i := houseAt.FindStringIndex(text); i != nil {
		text = strings.TrimRight(text[:i[0]], " 　-")
	}
	first, _ := utf8.DecodeRuneInString(text)
	if first < 0x80 { // nothing before the number, or an address in Latin letters
		return "", false
	}
	return text, true
}

// kanjiNumber writes 1 to 99 as official names of towns do.
func kanjiNumber(s string) string {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return s
	}
	digits := []string{"", "一", "二", "三", "四", "五", "六", "七", "八", "九"}
	switch tens := n / 10; {
	case tens == 0:
		return digits[n]
	case tens == 1:
		return "十" + digits[n%10]
	default:
		return digits[tens] + "十" + digits[n%10]
	}
}

// generaliseMesh cuts a 地域メッシュコード (JIS X 0410) to so many digits: six are
// about 10 km, eight 1 km, nine 500 m. A code that is coarser already cannot be
// made finer, and mixed with others it would count twice.
func generaliseMesh(s string, digits int) (string, bool) {
	code := strings.ReplaceAll(strings.TrimSpace(norm.NFKC.String(s)), "-", "")
	if code == "" {
		return "", true
	}
	if len(code) < digits || !meshDigit.MatchString(code) {
		return "", false
	}
	// The first two digits are 1.5 times the latitude, the next two the
	// longitude less 100: Japan is within 30 to 69 and 22 to 54.
	if lat, lon := code[:2], code[2:4]; lat < "30" || lat > "69" || lon < "22" || lon > "54" {
		return "", false
	}
	return code[:digits], true
}
