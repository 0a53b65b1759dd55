package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func pointers(t *testing.T, v map[string]any) []string {
	t.Helper()
	var list []string
	errs, _ := v["errors"].([]any)
	for _, e := range errs {
		list = append(list, e.(map[string]any)["pointer"].(string))
	}
	slices.Sort(list)
	return list
}

func TestFaultsAreNamedByTheirPlace(t *testing.T) {
	s := newSite(t)
	good := `{"resident_id":"r-0001","shop_id":"s-001","parts":[{"programme_id":"voucher-2026","amount_yen":100}]}`
	many := func(n int, what string) string {
		return strings.Replace(good, `[{"programme_id":"voucher-2026","amount_yen":100}]`, "["+strings.Repeat(what+",", n-1)+what+"]", 1)
	}
	for _, c := range []struct {
		name, key, query, body string
		want                   []string
	}{
		{"amount as text", key(1), "", strings.Replace(good, "100", `"100"`, 1), []string{"#/parts/0/amount_yen"}},
		{"amount with a fraction", key(1), "", strings.Replace(good, "100", "1.5", 1), []string{"#/parts/0/amount_yen"}},
		{"amount below zero with a fraction", key(1), "", strings.Replace(good, "100", "-1.5", 1), []string{"#/parts/0/amount_yen"}},
		{"several at once", key(1), "", `{"resident_id":"","parts":[]}`, []string{"#/parts", "#/resident_id", "#/shop_id"}},
		{"member that is not named", key(1), "", strings.Replace(good, `"shop_id"`, `"AMOUNT":1,"shop_id"`, 1), []string{"#"}},
		{"member in other letters", key(1), "", strings.Replace(good, `"shop_id"`, `"Shop_ID"`, 1), []string{"#", "#/shop_id"}},
		{"member named twice", key(1), "", strings.Replace(good, `"shop_id"`, `"resident_id":"r-0002","shop_id"`, 1), []string{"#"}},
		{"something after the end", key(1), "", good + "{}", []string{"#"}},
		{"no JSON", key(1), "", "amount=100", []string{"#"}},
		{"character NUL", key(1), "", strings.Replace(good, "r-0001", `r\u0000`, 1), []string{"#"}},
		{"deeply nested", key(1), "", strings.Repeat("[", 100) + strings.Repeat("]", 100), []string{"#"}},
		{"faults of two kinds", "not-a-uuid", "", strings.Replace(good, "100", "0", 1), []string{"#/parts/0/amount_yen", "Idempotency-Key"}},
		{"amounts of two kinds", key(1), "", many(2, `{"programme_id":"p","amount_yen":0},{"programme_id":"p","amount_yen":-1}`),
			[]string{"#/parts/0/amount_yen", "#/parts/1/amount_yen", "#/parts/2/amount_yen", "#/parts/3/amount_yen"}},
		{"a fault of money and another", key(1), "", strings.Replace(strings.Replace(good, "100", "0", 1), "s-001", "", 1), []string{"#/parts/0/amount_yen", "#/shop_id"}},
		{"unknown parameter", key(1), "?dry_run=true", good, []string{"query"}},
		{"query that cannot be read", key(1), "?%zz", good, []string{"query"}},
	} {
		v := s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments" + c.query, key: c.key, body: c.body}).want(t, 400, "invalid-request")
		if got := slices.Compact(pointers(t, v)); !slices.Equal(got, c.want) {
			t.Errorf("%s: places %v, want %v", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		name, key, body, slug string
		want                  []string
	}{
		{"amount of zero", key(1), strings.Replace(good, "100", "0", 1), "amount-zero", []string{"#/parts/0/amount_yen"}},
		{"amount of less than nothing", key(1), strings.Replace(good, "100", "-0", 1), "amount-zero", []string{"#/parts/0/amount_yen"}},
		{"amount below zero", key(1), strings.Replace(good, "100", "-5", 1), "amount-negative", []string{"#/parts/0/amount_yen"}},
		{"amount far below zero", key(1), strings.Replace(good, "100", "-1"+strings.Repeat("0", 30), 1), "amount-negative", []string{"#/parts/0/amount_yen"}},
		{"amount beyond exact floats", key(1), strings.Replace(good, "100", "9007199254740993", 1), "overflow", []string{"#/parts/0/amount_yen"}},
		{"amount beyond 64 bits", key(1), strings.Replace(good, "100", "1"+strings.Repeat("0", 30), 1), "overflow", []string{"#/parts/0/amount_yen"}},
		{"amount beyond floats", key(1), strings.Replace(good, "100", "1"+strings.Repeat("0", 400), 1), "overflow", []string{"#/parts/0/amount_yen"}},
		{"two amounts of zero", key(1), many(2, `{"programme_id":"p","amount_yen":0}`), "amount-zero", []string{"#/parts/0/amount_yen", "#/parts/1/amount_yen"}},
		{"too many parts", key(1), many(101, `{"programme_id":"p","amount_yen":1}`), "group-too-large", []string{"#/parts"}},
		{"no key", "", good, "key-missing", []string{"Idempotency-Key"}},
		{"key that is no UUID", "not-a-uuid", good, "key-malformed", []string{"Idempotency-Key"}},
		{"key in capitals", strings.ToUpper("0197a7a0-5c3e-7b1a-8d57-3a1f2b6c9d10"), good, "key-malformed", []string{"Idempotency-Key"}},
		{"key of a letter too many", key(1) + "0", good, "key-too-long", []string{"Idempotency-Key"}},
		{"key of a megabyte", strings.Repeat("k", 1<<20), good, "key-too-long", []string{"Idempotency-Key"}},
	} {
		v := s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments", key: c.key, body: c.body}).want(t, 400, c.slug)
		if got := slices.Compact(pointers(t, v)); !slices.Equal(got, c.want) {
			t.Errorf("%s: places %v, want %v", c.name, got, c.want)
		}
	}
	v := s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments", body: good, header: http.Header{"Idempotency-Key": {""}}}).want(t, 400, "key-missing")
	if got := slices.Compact(pointers(t, v)); !slices.Equal(got, []string{"Idempotency-Key"}) {
		t.Errorf("empty key: places %v", got)
	}
	v = s.do(call{client: "ingest", method: "GET", path: "/payment-data/v1/payments:sync?limit=1&limit=2"}).want(t, 400, "invalid-request")
	if got := pointers(t, v); !slices.Equal(got, []string{"limit"}) {
		t.Errorf("limit twice: %v", got)
	}
	s.do(call{client: "ingest", method: "GET", path: "/payment-data/v1/payments:sync?limit=0"}).want(t, 400, "invalid-request")
	s.do(call{client: "app", method: "GET", path: "/wallet/v1/transactions/123"}).want(t, 400, "invalid-request")
}

// An amount written as 1e3 is an integer to the schema. It is refused all the
// same: there is one way to write yen.
func TestAmountWithAnExponentIsRefused(t *testing.T) {
	s := newSite(t).charged()
	s.do(call{client: "app", method: "POST", path: "/wallet/v1/payments", key: key(1),
		body: `{"resident_id":"r-0001","shop_id":"s-001","parts":[{"programme_id":"voucher-2026","amount_yen":1e3}]}`}).want(t, 400, "invalid-request")
}

func TestLargestAmountStaysExact(t *testing.T) {
	s := newSite(t)
	v := s.do(call{client: "office", method: "POST", path: "/wallet/v1/grants", key: key(1),
		body: `{"resident_id":"r-0001","programme_id":"points-2026","amount_yen":9007199254740991}`})
	v.want(t, 201, "")
	if !strings.Contains(string(v.body), `"total_yen":9007199254740991`) {
		t.Errorf("%s", v.body)
	}
}

// TestNoAnswerRepeatsWhatWasSent puts a mark into every place of every body in
// turn, as a value of every wrong sort and as the name of a member.
func TestNoAnswerRepeatsWhatWasSent(t *testing.T) {
	s := newSite(t)
	const mark = "4980-mark-1234" // as of a card number typed into the wrong field
	check := func(operation string, c call) {
		a := s.do(c)
		if a.status < 400 {
			return // the mark was a fitting value there
		}
		if strings.Contains(string(a.body), mark) || strings.Contains(string(a.body), "49801234") || strings.Contains(fmt.Sprint(a.header), mark) {
			t.Errorf("%s repeats what was sent: %s", operation, a.body)
		}
	}
	wrong := []any{mark, "!" + mark + "!", 498012340000.5, []any{mark}, map[string]any{mark: mark}, "", nil, strings.Repeat(mark, 30)}
	for _, step := range story {
		c := step.call
		c.key = key(77)
		if c.body == "" {
			c.path += "?x" + mark + "=" + mark
			if c.client != "" {
				check(step.operation, c)
			}
			continue
		}
		var body any
		if err := json.Unmarshal([]byte(c.body), &body); err != nil {
			t.Fatal(err)
		}
		for _, w := range wrong {
			each(body, func(set func(any), old any) {
				set(w)
				b, _ := json.Marshal(body)
				set(old)
				c.body = string(b)
				check(step.operation, c)
			})
		}
		c.body = `{"` + mark + `":"` + mark + `"}`
		check(step.operation, c)
		c.body = mark
		check(step.operation, c)
		c.body, c.key = step.call.body, mark
		check(step.operation, c)
	}
	for _, path := range []string{"/" + mark, "/wallet/v1/" + mark, "/wallet/v1/transactions/" + mark, "/wallet/v1/residents/" + mark + "/balances",
		"/wallet/v1/residents?cursor=" + mark, "/wallet/v1/residents?limit=" + mark} {
		check(path, call{client: "app", method: "GET", path: path})
		check(path, call{client: "ingest", method: "GET", path: path})
	}
	check("metric", call{client: "public", method: "GET", path: "/statistics/v1/metrics/" + mark + "/table?from=" + mark + "&to=2026-07-01&by=" + mark})
	check("authorization", call{method: "GET", path: "/wallet/v1/shops", header: http.Header{"Authorization": {"Bearer " + mark}}})
	check("media type", call{client: "app", method: "POST", path: "/wallet/v1/shops", body: "{}", header: http.Header{"Content-Type": {mark}}})
}

// each visits every value inside v with a function that replaces it.
func each(v any, visit func(set func(any), old any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, old := range v {
			visit(func(n any) { v[k] = n }, old)
			each(old, visit)
		}
	case []any:
		for i, old := range v {
			visit(func(n any) { v[i] = n }, old)
			each(old, visit)
		}
	}
}

func TestPointerStopsAtTheCallersOwnWords(t *testing.T) {
	names := map[string]bool{"parts": true, "amount_yen": true}
	for want, path := range map[string][]string{
		"#":                    {},
		"#/parts/0/amount_yen": {"parts", "0", "amount_yen"},
		"#/parts/0":            {"parts", "0", "4980-1234", "amount_yen"},
	} {
		if got := pointer(path, names); got != want {
			t.Errorf("%v: %s, want %s", path, got, want)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5,"x",null,true]}`, `{"a":1,"a":2}`, `[1] 2`, `9223372036854775807`, `{`, `"\u0000"`, ``, " { } ", `[ ]`, `{"a" : [ ] , "b" : { } }`,
		`"\\\"\u00e9\ud83d\ude00"`, "\"\xff\"", `[-0,1e9,true,false,null]`, `{"\u0061":1,"a":2}`, `[[[[]]],{"x":{"y":[{}]}}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeJSON(data)
		if err != nil {
			return
		}
		var want any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil || !reflect.DeepEqual(v, want) {
			t.Fatalf("%q is %v, and %v to encoding/json: %v", data, v, want, err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeJSON(b)
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%q came back as %q: %v", data, b, err)
		}
	})
}
