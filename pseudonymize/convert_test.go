package pseudonymize_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"meguri/pseudonymize"
	"meguri/pseudonymize/scan"
)

// one takes texts of one column through one rule.
func one(t *testing.T, kind arrow.DataType, rule pseudonymize.Rule, values ...any) []string {
	t.Helper()
	rule.From, rule.As = "x", "y"
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: kind, Nullable: true}}, nil)
	var rows []map[string]any
	for _, v := range values {
		rows = append(rows, map[string]any{"x": v})
	}
	return column(t, apply(t, policyOf(rule), schema, rows), "y")
}

func TestArea_IsGeneralised(t *testing.T) {
	for _, c := range []struct{ to, in, want string }{
		{"town", "東京都三鷹市下連雀三丁目35番1号", "東京都三鷹市下連雀三丁目"},
		{"town", "東京都三鷹市下連雀３丁目３５−１ メゾン連雀201", "東京都三鷹市下連雀三丁目"},
		{"district", "東京都三鷹市下連雀三丁目35番1号", "東京都三鷹市下連雀"},
		{"town", "下連雀三丁目", "下連雀三丁目"},
		{"district", "下連雀3丁目", "下連雀"},
		{"town", "下連雀3-35-1", "下連雀"}, // the first number may be the house's
		{"town", "大字木次115番地2", "大字木次"},
		{"town", "大字木次百十五番地", "大字木次"},
		{"town", "札幌市中央区北1条西2丁目3-4", "札幌市中央区北一条西二丁目"},
		{"district", "四番町", "四番町"},
		{"district", "十日市場町12番地", "十日市場町"},
		{"town", "青山二十三丁目1", "青山二十三丁目"},
		{"town", "青山23丁目1", "青山二十三丁目"},
		{"district", "井の頭", "井の頭"},
		{"district", "d-07", "d-07"}, // a code of a list of areas
		{"district", "", ""},
		{"district", "United Kingdom", "United Kingdom"},
		{"district", "home 4", "home 4"},
		{"town", "Shimorenjaku 3-35-1", ""},
		{"town", "12 High Street", ""},
		{"town", "High Street 1234", ""},
		{"district", "3-35-1 Shimorenjaku, Mitaka", ""}, // nobody reads it
		{"district", "35番地", ""},
		{"mesh_1km", "533935471", "53393547"},
		{"mesh_1km", "5339-35-47", "53393547"},
		{"mesh_500m", "53393547112", "533935471"},
		{"mesh_10km", "533935471", "533935"},
		{"mesh_500m", "53393547", ""},  // coarser than it is to be
		{"mesh_1km", "533985471", ""},  // 8 is no digit of a second mesh
		{"mesh_500m", "533935475", ""}, // 5 is no quarter
		{"mesh_1km", "990035471", ""},  // not in Japan
		{"mesh_1km", "下連雀", ""},
	} {
		for _, kind := range []arrow.DataType{text, words} {
			if got := one(t, kind, pseudonymize.Rule{Action: pseudonymize.Area, To: c.to}, c.in, c.in); got[0] != c.want || got[1] != c.want {
				t.Errorf("%s of %q: got %q, want %q", c.to, c.in, got, c.want)
			}
		}
	}
}

// TestArea_TellsNoHouse whatever the address is: no number of the house goes on.
func TestArea_TellsNoHouse(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: text}}, nil)
	for _, to := range []string{"town", "district"} {
		plan, err := policyOf(pseudonymize.Rule{From: "x", Action: pseudonymize.Area, To: to, As: "y"}).Compile(schema, tokenizer(t, newKeyset(t)), noon)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			house := rapid.IntRange(100, 9999).Draw(t, "house")
			address := rapid.SampledFrom([]string{"東京都三鷹市", "三鷹市", "", "島根県雲南市"}).Draw(t, "city") +
				rapid.SampledFrom([]string{"下連雀", "井の頭", "大字木次", "八幡町"}).Draw(t, "town") +
				rapid.SampledFrom([]string{"", "三丁目", "3丁目", "12丁目"}).Draw(t, "chome") +
				fmt.Sprintf(rapid.SampledFrom([]string{"%d番地", "%d番1号", "%d-1", " %d", "−%d"}).Draw(t, "form"), house)
			in := batch(t, schema, []map[string]any{{"x": address}})
			defer in.Release()
			out, err := plan.Apply(in)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Release()
			if got := out.Column(0).ValueStr(0); strings.ContainsAny(got, "0123456789") || got == "" {
				t.Fatalf("%s of %q: got %q", to, address, got)
			}
		})
	}
}

func TestAmountBand(t *testing.T) {
	for _, c := range []struct {
		yen, lowest, top int64
		want             string
	}{
		{0, 0, 0, "0"}, {1, 0, 0, "1-99"}, {99, 0, 0, "1-99"}, {100, 0, 0, "100-199"}, {199, 0, 0, "100-199"}, {200, 0, 0, "200-499"},
		{999, 0, 0, "500-999"}, {1000, 0, 0, "1000-1999"}, {99_999, 0, 0, "50000-99999"}, {100_000, 0, 0, "100000+"},
		{math.MaxInt64, 0, 0, "100000+"}, {-1, 0, 0, "minus 1-99"}, {-1500, 0, 0, "minus 1000-1999"}, {math.MinInt64, 0, 0, "minus 100000+"},
		{700, 500, 5000, "500-999"}, {4999, 500, 5000, "2000-4999"}, {5000, 500, 5000, "5000+"}, {499, 500, 5000, "1-499"},
	} {
		got := one(t, arrow.PrimitiveTypes.Int64, pseudonymize.Rule{Action: pseudonymize.AmountBand, Lowest: c.lowest, Top: c.top}, c.yen)[0]
		if got != c.want {
			t.Errorf("%d: got %s, want %s", c.yen, got, c.want)
		}
	}
	rule := pseudonymize.Rule{Action: pseudonymize.AmountBand}
	rapid.Check(t, func(rt *rapid.T) { // a band holds the amount that is in it
		yen := rapid.Int64Range(1, 99_999).Draw(rt, "yen")
		var from, to int64
		if _, err := fmt.Sscanf(one(t, arrow.PrimitiveTypes.Int64, rule, yen)[0], "%d-%d", &from, &to); err != nil || yen < from || yen > to {
			rt.Fatalf("%d is in %d-%d, %v", yen, from, to, err)
		}
	})
}

func TestAgeBand_OfAnotherWidthAndTop(t *testing.T) {
	rule := pseudonymize.Rule{Action: pseudonymize.AgeBand, Width: 5, Top: 75}
	got := one(t, text, rule, "1990-01-01", "1951-07-02", "1951-07-01", "1910-01-01", nil)
	if want := []string{"35-39", "70-74", "75+", "75+", "unknown"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCategory_HasNoOtherCodes(t *testing.T) {
	rule := pseudonymize.Rule{Action: pseudonymize.Category, Codes: map[string]string{"grocery": "food", "cafe": "food"}, Other: "other"}
	for _, kind := range []arrow.DataType{text, words} {
		got := one(t, kind, rule, "grocery", "cafe", "山田太郎", nil, "grocery")
		if want := []string{"food", "food", "other", array.NullValueStr, "food"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLocalHourAndWeek_AreTokyos(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ utc, hour, week string }{
		{"2026-03-31T14:59:59Z", "2026-03-31T23:00:00", "2026-03-30"},
		{"2026-04-05T14:59:59Z", "2026-04-05T23:00:00", "2026-03-30"}, // Sunday night
		{"2026-04-05T15:00:00Z", "2026-04-06T00:00:00", "2026-04-06"},
		{"1969-12-28T15:00:00Z", "1969-12-29T00:00:00", "1969-12-29"}, // a Monday before day 0
		{"1969-12-28T14:59:59Z", "1969-12-28T23:00:00", "1969-12-22"},
	} {
		hour := one(t, instant, pseudonymize.Rule{Action: pseudonymize.LocalHour}, at(c.utc))[0]
		week := one(t, instant, pseudonymize.Rule{Action: pseudonymize.LocalWeek}, at(c.utc))[0]
		if hour != c.hour || week != c.week {
			t.Errorf("%s: got %s and %s, want %s and %s", c.utc, hour, week, c.hour, c.week)
		}
	}
}

// TestKeep_StopsAtWhatMustNotGoOn (P2, P3): a column that was to go on holds a
// card number. The error names kind and column, and never the value.
func TestKeep_StopsAtWhatMustNotGoOn(t *testing.T) {
	const card = "4111-1111-1111-1111"
	for _, kind := range []arrow.DataType{text, words} {
		schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: kind}}, nil)
		keep := pseudonymize.Rule{From: "x", Action: pseudonymize.Keep, As: "y"}
		rows := []map[string]any{{"x": "s001"}, {"x": card}, {"x": card}}
		plan, err := policyOf(keep).Compile(schema, tokenizer(t, newKeyset(t)), noon)
		if err != nil {
			t.Fatal(err)
		}
		in := batch(t, schema, rows)
		defer in.Release()
		_, err = plan.Apply(in)
		var found *pseudonymize.FoundError
		if !errors.As(err, &found) || found.Column != "x" || found.Found[scan.Card] != 1 || strings.Contains(err.Error(), "4111") {
			t.Errorf("%s: got %v, want *FoundError without the number", kind, err)
		}
		keep.Exempt = []pseudonymize.Exemption{{Kind: scan.Card, Reason: "test numbers"}}
		if plan, err = policyOf(keep).Compile(schema, tokenizer(t, newKeyset(t)), noon); err != nil {
			t.Fatal(err)
		}
		out, err := plan.Apply(in)
		if err != nil {
			t.Fatalf("exempted: %v", err)
		}
		out.Release()
		r := plan.Report()
		if c := r.Columns[0]; r.Rows != 3 || c.Scanned != 2 || c.Found[scan.Card] != 1 {
			t.Errorf("the report says %+v", r)
		}
	}
}

func TestKeep_ScansNumbersToo(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil)
	plan, err := policyOf(pseudonymize.Rule{From: "x", Action: pseudonymize.Keep, As: "y"}).Compile(schema, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	in := batch(t, schema, []map[string]any{{"x": int64(1500)}, {"x": int64(4111111111111111)}})
	defer in.Release()
	var found *pseudonymize.FoundError
	if _, err := plan.Apply(in); !errors.As(err, &found) {
		t.Errorf("got %v, want *FoundError", err)
	}
}

func TestFreeText_LosesWhatAScannerFinds(t *testing.T) {
	rule := pseudonymize.Rule{From: "x", As: "y", Action: pseudonymize.FreeText, Reason: "自由回答の分類のため"}
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: text, Nullable: true}}, nil)
	plan, err := policyOf(rule).Compile(schema, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	in := batch(t, schema, []map[string]any{{"x": "バスの本数が少ない"}, {"x": "電話は090-1234-5678へ"}, {"x": nil}})
	defer in.Release()
	out, err := plan.Apply(in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	if got := column(t, out, "y"); got[0] != "バスの本数が少ない" || got[1] != array.NullValueStr || got[2] != array.NullValueStr {
		t.Errorf("got %q", got)
	}
	if c := plan.Report().Columns[0]; c.Withheld != 1 || c.Found[scan.Phone] != 1 {
		t.Errorf("the report says %+v", c)
	}
}

// TestToken_WithinOneRegister: rows of two sources whose persons were joined
// with one register have one token.
func TestToken_WithinOneRegister(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "source", Type: text}, {Name: "x", Type: words}}, nil)
	drop := pseudonymize.Rule{From: "source", Action: pseudonymize.Drop}
	rows := []map[string]any{{"source": "till", "x": "r1"}, {"source": "bus", "x": "r1"}}
	for within, same := range map[string]bool{"": false, "residents": true} {
		out := apply(t, policyOf(drop, pseudonymize.Rule{From: "x", Action: pseudonymize.Tokenize, As: "y", Domain: "person", Within: within}), schema, rows)
		if y := column(t, out, "y"); (y[0] == y[1]) != same {
			t.Errorf("within %q: got %q", within, y)
		}
	}
}
