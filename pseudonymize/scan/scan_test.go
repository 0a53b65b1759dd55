package scan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"meguri/pseudonymize/scan"
)

// TestValue_FindsTheRealThing (P2, P3). Card numbers are those that issuers give
// for tests, codes of payment those of the specifications.
func TestValue_FindsTheRealThing(t *testing.T) {
	for kind, values := range map[scan.Kind][]string{
		scan.Phone: {"090-1234-5678", "09012345678", "０９０−１２３４−５６７８", "080 1234 5678", "(0422)45-1151", "0422-45-1151", "03-1234-5678", "0312345678",
			"+819012345678", "+81 90 1234 5678", "+81(0)90-1234-5678", "0120-123-456", "TEL:042-245-1151まで", "+14155552671", "050-1234-5678", "0081-90-1234-5678"},
		scan.Mail:     {"taro@example.jp", "連絡はTaro.Yamada+x@mail.example.co.jpへ", "ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐ"},
		scan.Address:  {"東京都三鷹市下連雀三丁目35番1号", "三鷹市下連雀3-35-1", "下連雀3-35-1", "島根県雲南市木次町里方521番地1", "京都市中京区寺町通御池上る488番地", "下連雀３ー３５ー１", "大字木次百十五番地", "北海道札幌市中央区北1条西2丁目3番"},
		scan.MyNumber: {"123456789018", "1234 5678 9018", "１２３４−５６７８−９０１８", "番号 123456789018 です"},
		scan.Card: {"4111111111111111", "4111-1111-1111-1111", "5555 5555 5555 4444", "378282246310005", "3530111333300000", "36259600000004", "6011111111111117",
			"４１１１１１１１１１１１１１１１", "カード4242424242424242", "2223003122003222", "6240008631401148"},
		scan.Bank: {"0001-123-1234567", "0001 123 1 1234567", "普通 1234567", "口座番号：1234567", "10320-12345671", "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"},
		scan.CPM: {"hQVDUFYwMWEfTwigAAAAZQOSAlcTMViZAHkkKUPUkSEhAAAFEgAADw==", "hQVKUFFSMWElTwgxMjM0NTY3OFcIODc2NTQzMjGZD3sia2V5IjoidmFsdWUifQ==",
			"900081811234567890123456", "9000011234567890", "3158990079242943123"},
		scan.Passport: {"TK1234567", "MU7654321", "旅券 AB1234567"},
		scan.Licence:  {"免許証番号 301234567890", "Driver's license 301234567890"},
		scan.Secret: {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "sk_live_0123456789abcdef", "xoxb-0123456789", "sk_test_0123456789", "AKIAIOSFODNN7EXAMPLE", "Bearer abcdefghijklmnop0123",
			"password: hunter22", "パスワードは himitsu1", "-----BEGIN PRIVATE KEY-----", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYq83vT0"},
		scan.Name: {"山田太郎", "山田 太郎", "山田　太郎 様", "ヤマダ タロウ", "ﾔﾏﾀﾞ ﾀﾛｳ", "佐藤花子", "Yamada Taro", "TARO YAMADA", "髙橋美咲", "田中さん", "長谷川 健一", "鈴木一朗"},
	} {
		for _, v := range values {
			if got := scan.Value(v, ""); !slices.Contains(got, kind) {
				t.Errorf("%q: got %v, want %s", v, got, kind)
			}
		}
	}
}

// TestValue_LetsCodesPass: what a lake is full of is none of these.
func TestValue_LetsCodesPass(t *testing.T) {
	for _, v := range []string{
		"", "s001", "s-0005", "m-12", "voucher-2026", "grocery", "unknown", "90+", "30-39", "2026-06", "2026-06-03", "1500", "100000", "minus 1-99",
		"4111111111111112", "1234567890123456", "0000000000000000", // no check digit, no issuer, nothing
		"123456789012", "000000000000", "202406030001", // no check digit of 個人番号
		"0190c3a2-5e1f-7a33-9a7d-1234567890ab", "0190c3a25e1f7a339a7d1234567890ab",
		"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", // a hash
		"0000012345", "s0901234567", "A09012345678", "20240603-000123", "2024-06-03 10:00:00", "2024-06-03T10:00:00Z",
		"下連雀", "下連雀三丁目", "三鷹市", "東京都三鷹市", "東京都三鷹市下連雀三丁目", "山口県", "福島", "石川県金沢市", "中野区", "千葉市", "渋谷区", "松本市", "川崎市中原区",
		"三鷹駅南口", "井の頭公園", "JR中央線", "鷹66-2", "バス停 山田", "佐藤商店", "田中屋", "森の家", "小林製作所", "山田うどん", "原宿", "お客様", "皆様", "中村屋カレー",
		"食料品", "衣料品", "コンビニ", "喫茶・菓子", "スポーツ・娯楽", "はい", "いいえ", "とても満足", "バスの本数が少ない", "1番の理由", "二つ以上",
		"meguri", "mitaka", "test", "iOS 18.1", "Android 15", "App Store", "hello world", "MT-1234567-9", "ST123456", "@example", "a@b",
	} {
		if got := scan.Value(v, ""); len(got) > 0 {
			t.Errorf("%q: got %v, want nothing", v, got)
		}
	}
}

// TestColumn_TakesTheNameAsAHint: what proves nothing by itself counts where the
// column says what it holds.
func TestColumn_TakesTheNameAsAHint(t *testing.T) {
	for _, c := range []struct {
		column string
		values []string
		kind   scan.Kind
		want   int
	}{
		{"氏名", []string{"佐藤", "田中", "下連雀"}, scan.Name, 2},
		{"shop_area", []string{"佐藤", "田中"}, scan.Name, 0},
		{"免許証番号", []string{"301234567890"}, scan.Licence, 1},
		{"code", []string{"301234567890"}, scan.Licence, 0},
		{"bank_account", []string{"1234567"}, scan.Bank, 1},
		{"item", []string{"1234567"}, scan.Bank, 0},
		{"card_number", []string{"9999999999999995"}, scan.Card, 1},
		{"password", []string{"x"}, scan.Secret, 1},
		{"phone", []string{"090.1234.5678", "s001"}, scan.Phone, 1},
	} {
		if got := scan.Column(c.column, slices.Values(c.values))[c.kind]; got != c.want {
			t.Errorf("%s: %d of %s, want %d", c.column, got, c.kind, c.want)
		}
	}
	for _, column := range []string{"shop_id", "amount_yen", "home_area", "age_band", "item_code", "notice_id", "platform", "consent_token", "cancelled"} {
		if hint := scan.HintOf(column); hint != "" {
			t.Errorf("%s is taken for %s", column, hint)
		}
	}
}

// luhnDigit and myNumberDigit are the check digits as their standards put them,
// written once more.
func luhnDigit(d string) string {
	for check := range 10 {
		sum := check
		for i, c := range []byte(d) {
			n := int(c - '0')
			if (len(d)-i)%2 == 1 {
				n = n*2/10 + n*2%10
			}
			sum += n
		}
		if sum%10 == 0 {
			return strconv.Itoa(check)
		}
	}
	panic("no digit")
}

func myNumberDigit(d string) string {
	weights := [11]int{6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(d[i]-'0')
	}
	if r := 11 - sum%11; r < 10 {
		return strconv.Itoa(r)
	}
	return "0"
}

// grouped puts separators between digits, and may write them full-width.
func grouped(t *rapid.T, digits string, sizes ...int) string {
	sep := rapid.SampledFrom([]string{"", "-", " ", "−", "－"}).Draw(t, "separator")
	var parts []string
	for _, n := range sizes {
		n = min(n, len(digits))
		parts, digits = append(parts, digits[:n]), digits[n:]
	}
	if digits != "" {
		parts = append(parts, digits)
	}
	text := strings.Join(parts, sep)
	if rapid.Bool().Draw(t, "wide") {
		text = strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return r - '0' + '０'
			}
			return r
		}, text)
	}
	return text
}

func TestNumbers_AreFoundHoweverTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.SampledFrom([]string{"%s", "番号は%sです", "(%s)", "x: %s"}).Draw(t, "around")
		is := func(kind scan.Kind, text string) {
			if v := fmt.Sprintf(around, text); !slices.Contains(scan.Value(v, ""), kind) {
				t.Fatalf("%q is not found to be %s", v, kind)
			}
		}
		card := rapid.StringMatching(`(4[0-9]{14}|5[1-5][0-9]{13}|35[3-8][0-9]{12})`).Draw(t, "card")
		card += luhnDigit(card)
		is(scan.Card, grouped(t, card, 4, 4, 4))
		number := rapid.StringMatching(`[1-9][0-9]{10}`).Draw(t, "my number")
		is(scan.MyNumber, grouped(t, number+myNumberDigit(number), 4, 4))
		is(scan.Phone, grouped(t, rapid.StringMatching(`0[789]0[0-9]{8}`).Draw(t, "phone"), 3, 4))
	})
}

// TestNumbers_WithAnotherCheckDigitPass: each number that differs in its check
// digit alone.
func TestNumbers_WithAnotherCheckDigitPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		other := func(right string) string {
			return strconv.Itoa((int(right[0]-'0') + rapid.IntRange(1, 9).Draw(t, "off")) % 10)
		}
		card := rapid.StringMatching(`4[0-9]{14}`).Draw(t, "card")
		if v := card + other(luhnDigit(card)); slices.Contains(scan.Value(v, ""), scan.Card) {
			t.Fatalf("%s is taken for a card", v)
		}
		number := rapid.StringMatching(`[1-9][0-9]{10}`).Draw(t, "number")
		if v := number + other(myNumberDigit(number)); slices.Contains(scan.Value(v, ""), scan.MyNumber) {
			t.Fatalf("%s is taken for 個人番号", v)
		}
	})
}

// TestValue_FewCodesAreTakenForSomethingElse: of codes as systems number them,
// at random, none but what a check digit lets through by chance.
func TestValue_FewCodesAreTakenForSomethingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching(`[a-z]{1,3}-?[0-9]{1,6}|[A-Z][0-9]{1,11}|[1-9][0-9]{0,10}|[a-z_]{1,30}`).Draw(t, "code")
		if got := scan.Value(v, ""); len(got) > 0 {
			t.Fatalf("%q: got %v", v, got)
		}
	})
}

func TestWatch_LooksOnceAtEachValue(t *testing.T) {
	w := scan.NewWatch("x")
	for range 3 {
		if !w.Look("090-1234-5678") || w.Look("s001") {
			t.Fatal("the answer changed")
		}
	}
	if w.Values != 2 || w.Found[scan.Phone] != 1 {
		t.Errorf("%d values, found %v", w.Values, w.Found)
	}
	if left := w.Found.Without([]scan.Kind{scan.Phone}); len(left) != 0 || len(w.Found) != 1 {
		t.Errorf("left %v of %v", left, w.Found)
	}
}

func TestKinds_AllHaveAClause(t *testing.T) {
	n := map[int]int{}
	for _, k := range scan.Kinds {
		n[k.Clause()]++
	}
	if n[1] != 4 || n[2] != 3 || n[3] != 4 || len(scan.Kinds) != 11 {
		t.Errorf("got %v", n)
	}
}

func FuzzValue(f *testing.F) {
	for _, seed := range []string{"090-1234-5678", "hQVDUFYw", "0-0-0-0-0-0-0-0-0-0", "eyJhb.e.", "GB82 WEST", "三鷹市1-1", "\xff\xfe", "((((", "+81", "-- 4"} {
		f.Add(seed, "")
		f.Add(seed, "氏名")
	}
	f.Fuzz(func(t *testing.T, v, column string) {
		hint := scan.HintOf(column)
		found := scan.Value(v, hint)
		if again := scan.Value(v, hint); !slices.Equal(found, again) {
			t.Fatalf("%q: %v and then %v", v, found, again)
		}
		for _, kind := range found {
			if !slices.Contains(scan.Kinds, kind) {
				t.Fatalf("%q is of an unknown kind %q", v, kind)
			}
		}
		// What is found in a text is found in it with words around.
		if !utf8.ValidString(v) || len(found) == 0 || hint != "" {
			return
		}
		if slices.Contains(found, scan.Mail) && !slices.Contains(scan.Value("（"+v+"）", ""), scan.Mail) {
			t.Fatalf("%q is not found between brackets", v)
		}
	})
}

func BenchmarkValue(b *testing.B) {
	for name, v := range map[string]string{"short code": "s-0005", "UUID": "0190c3a2-5e1f-7a33-9a7d-1234567890ab", "Japanese": "下連雀三丁目"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				scan.Value(v, "")
			}
		})
	}
}
