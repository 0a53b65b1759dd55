package scan

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Kind is a kind of thing that must not be there.
type Kind string

// The kinds, and the clause of Rule 31 that each is under.
const (
	Name     Kind = "name"      // (1) 氏名
	Phone    Kind = "phone"     // (1)
	Mail     Kind = "mail"      // (1)
	Address  Kind = "address"   // (1) to the house number
	MyNumber Kind = "my_number" // (2) 個人番号
	Passport Kind = "passport"  // (2)
	Licence  Kind = "licence"   // (2) 運転免許証
	Card     Kind = "card"      // (3)
	Bank     Kind = "bank"      // (3) 口座
	CPM      Kind = "cpm"       // (3) a payment code that a person shows
	Secret   Kind = "secret"    // (3) passwords, tokens, keys
)

// Kinds are all of them.
var Kinds = []Kind{Name, Phone, Mail, Address, MyNumber, Passport, Licence, Card, Bank, CPM, Secret}

// Clause is the number of the kind in Rule 31.
func (k Kind) Clause() int {
	switch k {
	case MyNumber, Passport, Licence:
		return 2
	case Card, Bank, CPM, Secret:
		return 3
	}
	return 1
}

// Counts says how many different values are of a kind.
type Counts map[Kind]int

// Add adds other counts.
func (c Counts) Add(other Counts) {
	for kind, n := range other {
		c[kind] += n
	}
}

// Without leaves kinds out.
func (c Counts) Without(kinds []Kind) Counts {
	left := maps.Clone(c)
	for _, kind := range kinds {
		delete(left, kind)
	}
	return left
}

// Column scans the values of a column. Its name is a hint: a value that proves
// nothing by itself, such as a word of two kanji, counts in a column that says
// that it holds names.
func Column(name string, values iter.Seq[string]) Counts {
	found := Counts{}
	hint := HintOf(name)
	for v := range values {
		for _, kind := range Value(v, hint) {
			found[kind]++
		}
	}
	return found
}

// HintOf is the kind that a column's name speaks of, or "".
func HintOf(name string) Kind {
	name = strings.ToLower(name)
	for _, h := range hints {
		if slices.ContainsFunc(h.words, func(w string) bool { return strings.Contains(name, w) }) {
			return h.kind
		}
	}
	return ""
}

var hints = []struct {
	kind  Kind
	words []string
}{
	{Phone, []string{"phone", "mobile", "telno", "tel_", "_tel", "電話", "携帯"}},
	{Mail, []string{"mail", "メール"}},
	{MyNumber, []string{"my_number", "mynumber", "個人番号", "マイナンバー"}},
	{Passport, []string{"passport", "旅券", "パスポート"}},
	{Licence, []string{"licence", "license", "免許"}},
	{Card, []string{"card_no", "card_number", "cardnumber", "カード番号"}},
	{Bank, []string{"bank_account", "account_no", "口座"}},
	{Secret, []string{"password", "secret", "パスワード", "合言葉"}},
	{Address, []string{"address", "住所"}},
	{Name, []string{"full_name", "family_name", "given_name", "person_name", "user_name", "氏名", "姓名", "フリガナ", "ふりがな"}},
}

// Value says what a value is, or holds.
func Value(v string, hint Kind) []Kind {
	if hint == "" && !suspicious(v) {
		return nil
	}
	text := v
	if !isASCII(v) {
		text = dashes.Replace(norm.NFKC.String(v)) // full-width digits and letters, half-width kana
	}
	var found []Kind
	for _, d := range detectors {
		if d.found(text, hint == d.kind) {
			found = append(found, d.kind)
		}
	}
	return found
}

// dashes are what people write for a hyphen between digits. A long vowel mark
// (ー) is one as well only there, which the patterns see to.
var dashes = strings.NewReplacer("‐", "-", "‑", "-", "‒", "-", "–", "-", "—", "-", "―", "-", "−", "-", "﹣", "-")

// suspicious is a quick look that lets short codes pass: without seven digits,
// an @, twenty characters or a letter beyond ASCII nothing below is found.
func suspicious(v string) bool {
	if len(v) >= 20 {
		return true
	}
	digits := 0
	for i := range len(v) {
		switch c := v[i]; {
		case '0' <= c && c <= '9':
			if digits++; digits >= 7 {
				return true
			}
		case c == '@', c >= 0x80, c == ' ':
			return true
		}
	}
	return false
}

// detectors get a text in NFKC, and whether the column's name speaks of them.
// Patterns are slow: each is asked only where a letter that it needs is there.
var detectors = []struct {
	kind  Kind
	found func(text string, hinted bool) bool
}{
	{Name, isName}, {Phone, hasPhone}, {Mail, hasMail}, {Address, hasAddress}, {MyNumber, hasMyNumber},
	{Passport, hasPassport}, {Licence, hasLicence}, {Card, hasCard}, {Bank, hasBank}, {CPM, hasCPM}, {Secret, hasSecret},
}
