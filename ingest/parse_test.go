package ingest

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestYen_IsExact(t *testing.T) {
	for _, c := range []struct {
		factors string
		round   Rounding
		want    int64
		problem string
	}{
		{"100 × 6 × 2.55", RoundRefuse, 1530, ""},
		{"100 × -1 × 4.95", RoundRefuse, -495, ""},
		{"1 × 1.10", RoundRefuse, 0, "is not a whole number of yen"},
		{"10 × 1.10", RoundRefuse, 11, ""},
		{"100 × 1 × 0.001", RoundHalfEven, 0, ""},
		{"1 × 0.5", RoundHalfEven, 0, ""},
		{"1 × 1.5", RoundHalfEven, 2, ""},
		{"1 × -1.5", RoundHalfEven, -2, ""},
		{"1 × 1.9", RoundDown, 1, ""},
		{"1 × 9223372036854775807", RoundRefuse, 9223372036854775807, ""},
		{"1 × 9223372036854775808", RoundRefuse, 0, "is beyond the largest amount"},
		{"100 × 9223372036854775807", RoundRefuse, 0, "is beyond the largest amount"},
		{"5000000000 × 5000000000 × 0.0000000001", RoundRefuse, 2500000000, ""},
		{"1 × 99999999999999999999", RoundRefuse, 0, "is too large or has too many digits"},
		{"1 × ", RoundRefuse, 0, "is not a number"},
		{"1 × 1e3", RoundRefuse, 0, "is not a number"},
		{"1 × １００", RoundRefuse, 0, "is not a number"},
		{"1 × 1,000", RoundRefuse, 0, "is not a number"},
		{"1 × .5", RoundRefuse, 0, "is not a number"},
		{"1 × 5.", RoundRefuse, 0, "is not a number"},
		{"1 × --5", RoundRefuse, 0, "is not a number"},
		{"1 × -0", RoundRefuse, 0, ""},
	} {
		var factors []decimal
		problem := ""
		for part := range strings.SplitSeq(c.factors, " × ") {
			d, p := parseDecimal(part, 0)
			if p != "" {
				problem = p
			}
			factors = append(factors, d)
		}
		var got int64
		if problem == "" {
			got, problem = yen(c.round, factors...)
		}
		if got != c.want || problem != c.problem {
			t.Errorf("%s: got %d %q, want %d %q", c.factors, got, problem, c.want, c.problem)
		}
	}
	if d, problem := parseDecimal("1,234,567", ','); problem != "" || d.coefficient != 1234567 {
		t.Errorf("thousands: got %+v %q", d, problem)
	}
	if _, problem := parseDecimal("12,34", ','); problem == "" {
		t.Error("misplaced thousands are taken")
	}
}

// FuzzAmount holds the amount against rational arithmetic.
func FuzzAmount(f *testing.F) {
	f.Add("6", "2.55", int64(100))
	f.Add("-80995", "0.00000000001", int64(1))
	f.Add("9223372036854775807", "9223372036854775807", int64(1))
	f.Fuzz(func(t *testing.T, a, b string, rate int64) {
		x, p := parseDecimal(a, 0)
		y, q := parseDecimal(b, 0)
		if p != "" || q != "" || rate <= 0 {
			return
		}
		exact := new(big.Rat).SetInt64(rate)
		for _, s := range []string{a, b} {
			r, ok := new(big.Rat).SetString(s)
			if !ok {
				t.Fatalf("%q is no number to math/big", s)
			}
			exact.Mul(exact, r)
		}
		got, problem := yen(RoundRefuse, decimal{coefficient: uint64(rate)}, x, y)
		switch {
		case problem == "" && exact.Cmp(new(big.Rat).SetInt64(got)) != 0:
			t.Fatalf("%s × %s × %d = %s, got %d", a, b, rate, exact, got)
		case problem != "" && exact.IsInt() && exact.Num().IsInt64() && exact.Num().Int64() != -1<<63:
			t.Fatalf("%s × %s × %d = %s, got problem %q", a, b, rate, exact, problem)
		}
	})
}

func TestParseTokyo(t *testing.T) {
	for in, want := range map[string]string{
		"2023/11/10 0:00":             "2023-11-09T15:00:00Z",
		"2024/02/13 18:47:15":         "2024-02-13T09:47:15Z",
		"2024/2/3 8:07":               "2024-02-02T23:07:00Z",
		"2024-02-13 18:47:15":         "2024-02-13T09:47:15Z",
		"2024-02-13T18:47:15":         "2024-02-13T09:47:15Z",
		"2024-02-13T18:47:15.25Z":     "2024-02-13T18:47:15.25Z",
		"2024-02-13T18:47:15+09:00":   "2024-02-13T09:47:15Z",
		"2024/02/29 00:00":            "2024-02-28T15:00:00Z",
		"2024-02-30 00:00:00":         "",
		"2023/02/29 00:00":            "",
		"2024-02-30T00:00:00Z":        "",
		"2024/13/01 00:00":            "",
		"2024/02/13":                  "",
		"2024/02/13 24:00":            "",
		"2024/02/13 18:47:60":         "",
		"2024/02-13 18:47":            "",
		"13/02/2024 18:47":            "",
		"45335.78":                    "",
		"":                            "",
		"2024/02/13 18:47:15 (JST)":   "",
		"２０２４/02/13 18:47":            "",
		"2024-02-13T18:47:15+09:00  ": "",
	} {
		got, ok := parseTokyo(in)
		text := ""
		if ok {
			text = got.UTC().Format(time.RFC3339Nano)
		}
		if text != want {
			t.Errorf("%q: got %q, want %q", in, text, want)
		}
	}
}

// FuzzMitaka parses rows of any content: no panic, and what is accepted holds.
func FuzzMitaka(f *testing.F) {
	header := strings.Join(MitakaColumns, ",")
	good := "T1,mitaka,svc,券,3,SUB,OP1,利用,店,m1,店,s1,レジ,t1,1,u1,1200,2000,800,,,,,,,,0,1,2024/02/13 18:34:47,2024/02/13 18:34:47"
	f.Add(header, good)
	f.Add(header, strings.Replace(good, "OP1", "OP4", 1))
	f.Add(strings.Join(MitakaColumns[1:], ","), good)
	f.Fuzz(func(t *testing.T, header, row string) {
		names, err := splitFields(header, ',', nil)
		if err != nil {
			return
		}
		p, err := newMitakaParser("fuzz", names)
		if err != nil {
			if line := (*LineError)(nil); !errors.As(err, &line) || line.Field == "" {
				t.Fatalf("a refused header names no column: %v", err)
			}
			return
		}
		fields, err := splitFields(row, ',', nil)
		if err != nil || len(fields) != len(names) || !utf8.ValidString(row) || strings.Contains(row, "\x00") {
			return
		}
		var r Record
		if bad := p.parse(2, fields, &r); bad.bad() {
			if bad.field == "" || bad.remedy == "" {
				t.Fatalf("a fault without field or remedy: %+v", bad)
			}
			return
		}
		if bad := r.checkForeign(); bad.bad() {
			t.Fatalf("accepted %+v: %+v", r, bad)
		}
	})
}

const goodMapping = `record: payment
source: shop
timezone: Asia/Tokyo
columns:
  record_id: {from: id}
  shop_id: {const: s}
  service_type: {const: money}
  occurred_at: {from: at, layout: "2006-01-02"}
amount: {column: yen}
kind: [{kind: pay}]
ignore: [note]
`

func TestParseMapping_RefusesWhatItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":              {"ignore:", "ignored:", `line 11: there is no key "ignored"`},
		"unknown key deep":         {"column: yen", "columm: yen", `line 9: there is no key "columm"`},
		"unknown field":            {"shop_id:", "shop_idd:", "a payment has no field shop_idd"},
		"duplicate key":            {"source: shop", "source: shop\nsource: shop", "already defined at line 2"},
		"no source":                {"source: shop\n", "", "source: must be"},
		"no zone":                  {"timezone: Asia/Tokyo\n", "", "timezone: must be given"},
		"strange zone":             {"Asia/Tokyo", "Asia/Kyoto", "timezone: there is no such zone"},
		"missing required":         {"  record_id: {from: id}\n", "", "record_id: must be mapped"},
		"from and const":           {"{const: s}", "{const: s, from: x}", "must have either from: or const:"},
		"no layout":                {`, layout: "2006-01-02"`, "", "occurred_at: layout:"},
		"bad record":               {"record: payment", "record: sale", "record: must be"},
		"bad encoding":             {"source: shop", "source: shop\nencoding: latin1", "encoding: must be"},
		"bad delimiter":            {"source: shop", "source: shop\ndelimiter: '\"'", "delimiter: must be"},
		"bad kind":                 {"{kind: pay}", "{kind: sale}", "must be one of"},
		"cancel without target":    {"{kind: pay}", "{kind: cancel}", "map target_id"},
		"rule that hides others":   {"[{kind: pay}]", "[{kind: pay}, {kind: refund}]", "always fits"},
		"rule on the line number":  {"[{kind: pay}]", "[{column: $line, equals: '2', kind: pay}]", "must name a column"},
		"rule without a condition": {"[{kind: pay}]", "[{column: id, kind: pay}]", "either prefix: or equals:"},
		"column and product":       {"{column: yen}", "{column: yen, product: [a, b]}", "either column: or product:"},
		"bad rounding":             {"{column: yen}", "{column: yen, round: up}", "round: must be"},
		"two documents":            {"ignore: [note]", "ignore: [note]\n---\na: 1", "more than one document"},
		"from is a table":          {"{from: id}", "{from: {a: b}}", "line 5: write a name or a list"},
	} {
		text := strings.Replace(goodMapping, c.old, c.new, 1)
		if text == goodMapping {
			t.Fatalf("%s: the case changes nothing", name)
		}
		_, err := ParseMapping("map.yaml", []byte(text))
		if !errors.Is(err, ErrMapping) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := ParseMapping("map.yaml", []byte(goodMapping)); err != nil {
		t.Error(err)
	}
	if _, err := ParseMapping("map.yaml", nil); !errors.Is(err, ErrMapping) {
		t.Errorf("empty document: %v", err)
	}
}

func TestMaps_Hold(t *testing.T) {
	entries, err := Maps.ReadDir("maps")
	if err != nil || len(entries) < 4 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		text, err := Maps.ReadFile("maps/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseMapping(e.Name(), text); err != nil {
			t.Error(err)
		}
	}
}

// FuzzMapping reads any document: no panic, and one that holds can be bound to
// a header and parse a row.
func FuzzMapping(f *testing.F) {
	f.Add(goodMapping, "id,at,yen,note", "1,2024-01-02,100,x")
	entries, err := Maps.ReadDir("maps")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		text, err := Maps.ReadFile("maps/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "customer_id,date,cds,amount_usd", "00001,1997-01-01,1,11.77")
	}
	f.Fuzz(func(t *testing.T, text, header, row string) {
		m, err := ParseMapping("map.yaml", []byte(text))
		if err != nil {
			return
		}
		names, err := splitFields(header, ',', nil)
		if err != nil {
			return
		}
		p, err := m.bind(names)
		if err != nil {
			return
		}
		fields, err := splitFields(row, ',', nil)
		if err != nil || len(fields) != len(names) {
			return
		}
		switch m.Record {
		case PaymentRows:
			var r Record
			if bad := p.parse(2, fields, &r); !bad.bad() && r.check().bad() {
				t.Fatalf("accepted %+v", r)
			}
		case PersonRows:
			p.parsePerson(2, fields)
		case ShopRows:
			p.parseShop(2, fields)
		}
	})
}
