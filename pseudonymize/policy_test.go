package pseudonymize_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"meguri/pseudonymize"
)

const smallPolicy = `
version: "1"
dataset: payment
purpose: statistics
source: source
rules:
  - {from: source, action: keep, as: source, law: "a code"}
  - {from: person, action: token, as: person_token, domain: person, law: "Rule 31(1)"}
  - {from: name, action: drop, law: "Rule 31(1)"}
`

func TestParsePolicy_RefusesAPolicyThatLeavesAQuestionOpen(t *testing.T) {
	rule := func(r string) string {
		return "version: \"1\"\ndataset: d\npurpose: p\nsource: source\nrules:\n  - " + r + "\n"
	}
	for name, c := range map[string]struct{ text, says string }{
		"nothing":                 {"", "EOF"},
		"no YAML":                 {"\t{", "found character that cannot start any token"},
		"no version":              {strings.Replace(smallPolicy, `version: "1"`, "", 1), "needs a version"},
		"no dataset":              {strings.Replace(smallPolicy, "dataset: payment", "", 1), "needs a version, a dataset"},
		"no purpose":              {strings.Replace(smallPolicy, "purpose: statistics", "", 1), "a purpose"},
		"no rules":                {"version: \"1\"\ndataset: d\npurpose: p\nrules: []\n", "and rules"},
		"no reason in law":        {rule("{from: a, action: keep, as: a}"), "line 6: a has no \"law\""},
		"a line that is named":    {rule("{from: a, action: drop, law: x}\n\n  - {from: b, action: hash, as: b}"), `line 8: b has the unknown action "hash"`},
		"another's parameter":     {rule("{from: a, action: keep, as: a, domain: d}"), `takes no "domain"`},
		"seven years":             {rule("{from: a, action: age_band, as: a, width: 7}"), "5 or 10 years wide"},
		"a top of a hundred":      {rule("{from: a, action: age_band, as: a, top: 100}"), "from 60 to 90"},
		"a top between bands":     {rule("{from: a, action: age_band, as: a, top: 85}"), "one of their bounds"},
		"a band of three":         {rule("{from: a, action: amount_band, as: a, lowest: 300}"), "of the row 1, 2, 5"},
		"a top below":             {rule("{from: a, action: amount_band, as: a, lowest: 500, top: 200}"), "lowest is less"},
		"an area of nothing":      {rule("{from: a, action: area, as: a}"), `and not to ""`},
		"an area of a house":      {rule("{from: a, action: area, as: a, to: house}"), `and not to "house"`},
		"no codes":                {rule("{from: a, action: category, as: a, other: x}"), "needs codes"},
		"no other":                {rule("{from: a, action: category, as: a, codes: {x: y}}"), `"other"`},
		"free text":               {rule("{from: a, action: free_text, as: a}"), "free text is refused"},
		"free text for a blank":   {rule("{from: a, action: free_text, as: a, reason: ' '}"), "free text is refused"},
		"an exemption of nothing": {rule("{from: a, action: keep, as: a, exempt: [{kind: everything, reason: x}]}"), `not "everything"`},
		"an exemption for none":   {rule("{from: a, action: keep, as: a, exempt: [{kind: phone, reason: ''}]}"), "and a reason"},
		"a member nobody knows":   {smallPolicy + "default: keep\n", "default"},
		"a rule's unknown member": {rule("{from: a, action: drop, unless: b}"), "unless"},
		"an unknown action":       {rule("{from: a, action: hash, as: b}"), `unknown action "hash"`},
		"no action":               {rule("{from: a, as: b}"), `unknown action ""`},
		"no column":               {rule("{action: keep, as: b}"), "names no column"},
		"a drop of no column":     {rule("{action: drop}"), "names no column"},
		"a drop with a name":      {rule("{from: a, action: drop, as: b}"), `a is dropped`},
		"keep without a name":     {rule("{from: a, action: keep}"), "a column of its own"},
		"a token of no domain":    {rule("{from: a, action: token, as: b}"), "a needs a domain"},
		"two rules for one name":  {rule("{from: a, action: keep, as: x}\n  - {from: b, action: keep, as: x}"), "a column of its own"},
		"dropped and kept":        {rule("{from: a, action: drop}\n  - {from: a, action: keep, as: a}"), "a is dropped by one rule and goes on by another"},
		"kept and dropped":        {rule("{from: a, action: keep, as: a}\n  - {from: a, action: drop}"), "a is dropped by one rule and goes on by another"},
		"a second document":       {smallPolicy + "---\nrules: [{from: secret, action: drop}]\n", "something follows"},
		"rubbish after it":        {smallPolicy + "---\n\t{", "cannot start any token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pseudonymize.ParsePolicy([]byte(c.text))
			if !errors.Is(err, pseudonymize.ErrPolicy) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want ErrPolicy with %q", err, c.says)
			}
		})
	}
	if _, err := pseudonymize.ParsePolicy([]byte(smallPolicy)); err != nil {
		t.Errorf("the policy that the cases are made from: %v", err)
	}
}

// FuzzParsePolicy: what is accepted means the same when it is written out and
// read again, and makes columns of distinct names.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(smallPolicy))
	whole, err := yaml.Marshal(pseudonymize.PaymentPolicy())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("version: &a x\ndataset: *a\nrules: [{from: *a, action: keep, as: *a}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := pseudonymize.ParsePolicy(text)
		if err != nil {
			if !errors.Is(err, pseudonymize.ErrPolicy) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		names := map[string]bool{}
		for _, r := range p.Rules {
			if r.Action != pseudonymize.Drop {
				if r.From == "" || r.As == "" || names[r.As] {
					t.Fatalf("accepted %+v", r)
				}
				names[r.As] = true
			}
		}
		out, err := yaml.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := pseudonymize.ParsePolicy(out)
		if err != nil {
			t.Fatalf("%v: written out it is refused:\n%s", err, out)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatalf("written out it means something else:\n%s", diff)
		}
	})
}

// columnsOf are the columns of the joined rows of each dataset.
var columnsOf = map[string]string{
	"purchase": "source record_id version person_id sex born_on home_area consent_id payment_id receipt_id line_no shop_id merchant_id " +
		"industry shop_area sold_at item_code item_name category quantity unit_price_yen discount_yen amount_yen operator target_id",
	"survey": "source record_id version person_id sex born_on home_area consent_id survey_id wave answered_at question_id answer_code " +
		"answer_number answer_text",
	"ride": "source record_id version person_id sex born_on home_area consent_id vehicle_id route_id trip_id stop_id stop_area boarded_at " +
		"alighted_stop_id alighted_at",
	"event":    "source record_id version person_id sex born_on home_area consent_id event notice_id programme_id device_id platform happened_at",
	"resident": "source person_id sex born_on home_area consent_id",
	"shop":     "source shop_id name merchant_id operator industry area",
}

// TestPolicies_DecideAboutEveryColumn of every dataset, each with its reason,
// since that is evidence (IC-7, P1). What identifies never goes on as it is.
func TestPolicies_DecideAboutEveryColumn(t *testing.T) {
	personal := strings.Fields("record_id group_id target_id person_id consent_id receipt_id payment_id trip_id shop_name name terminal_id " +
		"born_on occurred_at sold_at answered_at boarded_at alighted_at happened_at device_id item_name answer_text home_area")
	for _, dataset := range pseudonymize.Datasets() {
		p, err := pseudonymize.PolicyFor(dataset)
		if err != nil {
			t.Fatal(err)
		}
		if p.Dataset != dataset || p.Purpose != pseudonymize.DefaultScope.Purpose {
			t.Errorf("%s: it is of %q for %q", dataset, p.Dataset, p.Purpose)
		}
		if columns, known := columnsOf[dataset]; known {
			if err := p.CheckColumns(strings.Fields(columns)); err != nil {
				t.Errorf("%s: %v", dataset, err)
			}
		} else if dataset != "payment" {
			t.Errorf("%s: nobody said which columns it has", dataset)
		}
		for _, r := range p.Rules {
			if slices.Contains(personal, r.From) && r.Action == pseudonymize.Keep {
				t.Errorf("%s: %s goes on as it is", dataset, r.From)
			}
			changed := r.Action == pseudonymize.Tokenize || r.Action == pseudonymize.AgeBand || r.Action == pseudonymize.Area
			if changed && r.Clause() != 1 {
				t.Errorf("%s: %s is changed and names no clause of Rule 31", dataset, r.From)
			}
		}
	}
	if got := len(pseudonymize.Datasets()); got != 7 {
		t.Errorf("%d datasets, want 7", got)
	}
}

func TestCheckColumns_NamesTheColumn(t *testing.T) {
	p := pseudonymize.PaymentPolicy()
	var unknown *pseudonymize.UnknownColumnError
	if err := p.CheckColumns(append(p.Columns(), "phone")); !errors.As(err, &unknown) || unknown.Column != "phone" {
		t.Errorf("one more: got %v", err)
	}
	if err := p.CheckColumns(p.Columns()[1:]); !errors.Is(err, pseudonymize.ErrPolicy) || !strings.Contains(err.Error(), `"record_id"`) {
		t.Errorf("one less: got %v", err)
	}
}

func TestCompile_RefusesAKeyOfAnotherPurpose(t *testing.T) {
	p := pseudonymize.PaymentPolicy()
	p.Purpose = "marketing"
	if _, err := p.Compile(joined, tokenizer(t, newKeyset(t)), noon); !errors.Is(err, pseudonymize.ErrPurpose) {
		t.Errorf("got %v, want ErrPurpose", err)
	}
}

var (
	text    = arrow.BinaryTypes.String
	words   = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: text}
	instant = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
)

// joined is what the payment policy is for: a payment with what is known of
// the person and the shop.
var joined = arrow.NewSchema([]arrow.Field{
	{Name: "source", Type: words}, {Name: "record_id", Type: text}, {Name: "kind", Type: words}, {Name: "service_type", Type: words},
	{Name: "service_id", Type: words}, {Name: "person_id", Type: text, Nullable: true}, {Name: "shop_id", Type: words},
	{Name: "shop_name", Type: words}, {Name: "merchant_id", Type: words}, {Name: "terminal_id", Type: words},
	{Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64}, {Name: "occurred_at", Type: instant},
	{Name: "target_id", Type: text, Nullable: true}, {Name: "group_id", Type: text}, {Name: "active", Type: arrow.FixedWidthTypes.Boolean},
	{Name: "consent_id", Type: text, Nullable: true}, {Name: "sex", Type: words}, {Name: "born_on", Type: text},
	{Name: "home_area", Type: words}, {Name: "industry", Type: words}, {Name: "shop_area", Type: words},
	{Name: "operator", Type: words},
}, nil)

// batch makes a batch of rows. Texts are given by column; nil is null.
func batch(t fataler, schema *arrow.Schema, rows []map[string]any) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, row := range rows {
		for i, f := range schema.Fields() {
			v, given := row[f.Name]
			if given && v == nil {
				b.Field(i).AppendNull()
				continue
			}
			var err error
			switch column := b.Field(i).(type) {
			case *array.StringBuilder:
				s, _ := v.(string)
				column.Append(s)
			case *array.BinaryDictionaryBuilder:
				s, _ := v.(string)
				err = column.AppendString(s)
			case *array.Int64Builder:
				n, _ := v.(int64)
				column.Append(n)
			case *array.TimestampBuilder:
				at, _ := v.(time.Time)
				column.Append(arrow.Timestamp(at.UnixMicro()))
			case *array.BooleanBuilder:
				yes, _ := v.(bool)
				column.Append(yes)
			default:
				err = fmt.Errorf("a column of %s", f.Type)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.NewRecordBatch()
}

var noon = time.Date(2026, 7, 1, 3, 0, 0, 0, time.UTC)

// apply takes rows through a policy and gives a column of what comes out, and
// checks that all memory was given back.
func apply(t *testing.T, p pseudonymize.Policy, schema *arrow.Schema, rows []map[string]any) arrow.RecordBatch {
	t.Helper()
	plan, err := p.Compile(schema, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	pseudonymize.SetAllocator(plan, mem)
	in := batch(t, schema, rows)
	defer in.Release()
	out, err := plan.Apply(in)
	if err != nil {
		t.Fatal(err)
	}
	if !out.Schema().Equal(plan.Schema) || out.NumRows() != int64(len(rows)) {
		t.Fatalf("got %d rows of %v", out.NumRows(), out.Schema())
	}
	t.Cleanup(func() {
		out.Release()
		mem.AssertSize(t, 0)
	})
	return out
}

func column(t *testing.T, b arrow.RecordBatch, name string) []string {
	t.Helper()
	at := b.Schema().FieldIndices(name)
	if len(at) != 1 {
		t.Fatalf("there is no column %s in %v", name, b.Schema())
	}
	values := make([]string, b.NumRows())
	for i := range values {
		values[i] = b.Column(at[0]).ValueStr(i)
	}
	return values
}

func policyOf(rules ...pseudonymize.Rule) pseudonymize.Policy {
	return pseudonymize.Policy{Version: "1", Dataset: "test", Purpose: "statistics", Source: "source", Rules: rules}
}

func TestCompile_StopsAtAColumnThatNobodyDecidedAbout(t *testing.T) {
	tokens := tokenizer(t, newKeyset(t))
	for _, name := range []string{"電話番号", "email", "Source", "source "} {
		fields := append(joined.Fields(), arrow.Field{Name: name, Type: text})
		_, err := pseudonymize.PaymentPolicy().Compile(arrow.NewSchema(fields, nil), tokens, noon)
		var unknown *pseudonymize.UnknownColumnError
		if !errors.As(err, &unknown) || unknown.Column != name || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want *UnknownColumnError", name, err)
		}
	}
}

func TestCompile_RefusesAPolicyThatDoesNotFitTheData(t *testing.T) {
	source := arrow.Field{Name: "source", Type: text}
	keepSource := pseudonymize.Rule{From: "source", Action: pseudonymize.Keep, As: "source"}
	rule := func(action pseudonymize.Action) pseudonymize.Rule {
		r := pseudonymize.Rule{From: "x", Action: action, As: "y"}
		if action == pseudonymize.Tokenize {
			r.Domain = "d"
		}
		return r
	}
	zoneless := &arrow.TimestampType{Unit: arrow.Microsecond}
	seconds := &arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}
	for name, c := range map[string]struct {
		of     arrow.DataType
		policy pseudonymize.Policy
	}{
		"a rule for a column that is not there": {text, policyOf(keepSource, pseudonymize.Rule{From: "x", Action: pseudonymize.Drop}, pseudonymize.Rule{From: "gone", Action: pseudonymize.Drop})},
		"a token of a number":                   {arrow.PrimitiveTypes.Int64, policyOf(keepSource, rule(pseudonymize.Tokenize))},
		"an area of a number":                   {arrow.PrimitiveTypes.Int64, policyOf(keepSource, pseudonymize.Rule{From: "x", Action: pseudonymize.Area, As: "y", To: "town"})},
		"a band of text":                        {text, policyOf(keepSource, pseudonymize.Rule{From: "x", Action: pseudonymize.AmountBand, As: "y"})},
		"an age band of a date":                 {arrow.FixedWidthTypes.Date32, policyOf(keepSource, rule(pseudonymize.AgeBand))},
		"a day of text":                         {text, policyOf(keepSource, rule(pseudonymize.LocalDay))},
		"a time of a number":                    {arrow.PrimitiveTypes.Int64, policyOf(keepSource, rule(pseudonymize.LocalTime))},
		"a month of a wall clock":               {zoneless, policyOf(keepSource, rule(pseudonymize.LocalMonth))},
		"a day of seconds":                      {seconds, policyOf(keepSource, rule(pseudonymize.LocalDay))},
		"an action that there is not":           {text, policyOf(keepSource, rule("hash"))},
		"two rules for one name":                {text, policyOf(keepSource, rule(pseudonymize.Keep), rule(pseudonymize.Keep))},
		"tokens and no source":                  {text, pseudonymize.Policy{Version: "1", Dataset: "test", Purpose: "statistics", Source: "origin", Rules: []pseudonymize.Rule{keepSource, rule(pseudonymize.Tokenize)}}},
	} {
		schema := arrow.NewSchema([]arrow.Field{source, {Name: "x", Type: c.of}}, nil)
		if _, err := c.policy.Compile(schema, tokenizer(t, newKeyset(t)), noon); !errors.Is(err, pseudonymize.ErrPolicy) {
			t.Errorf("%s: got %v, want ErrPolicy", name, err)
		}
	}
}

// TestApply_RefusesDataOfAnotherSchema: what the plan never saw has no rule.
func TestApply_RefusesDataOfAnotherSchema(t *testing.T) {
	plan, err := pseudonymize.PaymentPolicy().Compile(joined, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	fields := joined.Fields()
	swapped := slices.Clone(fields)
	swapped[1], swapped[5] = swapped[5], swapped[1]
	for name, other := range map[string][]arrow.Field{"one more": append(slices.Clone(fields), arrow.Field{Name: "phone", Type: text}), "one less": fields[1:], "another order": swapped} {
		in := batch(t, arrow.NewSchema(other, nil), []map[string]any{{}})
		if _, err := plan.Apply(in); !errors.Is(err, pseudonymize.ErrPolicy) {
			t.Errorf("%s: got %v, want ErrPolicy", name, err)
		}
		in.Release()
	}
}

func TestApply_RefusesARowWithoutASource(t *testing.T) {
	for _, kind := range []arrow.DataType{text, words} {
		schema := arrow.NewSchema([]arrow.Field{{Name: "source", Type: kind, Nullable: true}, {Name: "x", Type: text}}, nil)
		plan, err := policyOf(pseudonymize.Rule{From: "source", Action: pseudonymize.Drop},
			pseudonymize.Rule{From: "x", Action: pseudonymize.Tokenize, As: "y", Domain: "d"}).Compile(schema, tokenizer(t, newKeyset(t)), noon)
		if err != nil {
			t.Fatal(err)
		}
		in := batch(t, schema, []map[string]any{{"source": "a", "x": "1"}, {"source": nil, "x": "1"}})
		if _, err := plan.Apply(in); !errors.Is(err, pseudonymize.ErrPolicy) || !strings.Contains(err.Error(), "source") {
			t.Errorf("%s: got %v, want ErrPolicy", kind, err)
		}
		in.Release()
	}
}

func TestBand_CountsCompletedYears(t *testing.T) {
	day := func(s string) time.Time {
		at, err := time.ParseInLocation(time.DateOnly, s, time.FixedZone("", 9*60*60))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct{ born, on, want, why string }{
		{"1986-07-01", "2026-06-30", "30-39", "the day before the birthday"},
		{"1986-07-01", "2026-07-01", "40-49", "the birthday"},
		{"1986-06-30", "2026-07-01", "40-49", "the day after"},
		{"1986-12-31", "2026-12-30", "30-39", "the day before, at the end of the year"},
		{"2004-02-29", "2024-02-28", "10-19", "29 February, a leap year, the day before"},
		{"2004-02-29", "2024-02-29", "20-29", "29 February, a leap year"},
		{"1996-02-29", "2026-02-28", "20-29", "29 February, another year, 28 February"},
		{"1996-02-29", "2026-03-01", "30-39", "29 February, another year, 1 March"},
		{"2026-07-01", "2026-07-01", "0-9", "born today"},
		{"2016-07-02", "2026-07-01", "0-9", "nine, tomorrow ten"},
		{"1936-07-02", "2026-07-01", "80-89", "eighty-nine"},
		{"1936-07-01", "2026-07-01", "90+", "ninety"},
		{"1926-07-01", "2026-07-01", "90+", "a hundred"},
		{"1896-07-01", "2026-07-01", "90+", "a hundred and thirty"},
		{"1895-07-01", "2026-07-01", "unknown", "older than anybody was"},
		{"2026-07-02", "2026-07-01", "unknown", "born tomorrow"},
		{"2999-01-01", "2026-07-01", "unknown", "a date for none"},
	} {
		for _, at := range []time.Time{day(c.on), day(c.on).Add(24*time.Hour - 1)} { // midnight and the last instant in Tokyo
			if got, err := pseudonymize.Band(c.born, at); err != nil || got != c.want {
				t.Errorf("%s: born %s, on %s: got %s, %v, want %s", c.why, c.born, at, got, err, c.want)
			}
		}
	}
	for _, bad := range []string{"1980", "1980-02-30", "1980/01/01", "昭和55年", "1980-1-1", " 1980-01-01"} {
		if got, err := pseudonymize.Band(bad, noon); err == nil {
			t.Errorf("%q: got %s", bad, got)
		} else if strings.Contains(err.Error(), "1980") {
			t.Errorf("the error shows a birth date: %v", err)
		}
	}
}

func TestAgeBand_OfAColumn(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "born_on", Type: text, Nullable: true}}, nil)
	policy := policyOf(pseudonymize.Rule{From: "born_on", Action: pseudonymize.AgeBand, As: "age_band"})
	out := apply(t, policy, schema, []map[string]any{{"born_on": "1990-01-01"}, {"born_on": ""}, {"born_on": nil}, {"born_on": "1930-01-01"}, {"born_on": "1990-01-01"}})
	if diff := cmp.Diff([]string{"30-39", "unknown", "unknown", "90+", "30-39"}, column(t, out, "age_band")); diff != "" {
		t.Error(diff)
	}
	plan, err := policy.Compile(schema, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	in := batch(t, schema, []map[string]any{{"born_on": "1990-13-01"}})
	defer in.Release()
	if _, err := plan.Apply(in); err == nil || !strings.Contains(err.Error(), `"born_on"`) || strings.Contains(err.Error(), "1990") {
		t.Errorf("a day that there is not: got %v, want an error with the column and without the day", err)
	}
}

func TestLocalTimes_AreTokyos(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "at", Type: instant, Nullable: true}}, nil)
	policy := policyOf(
		pseudonymize.Rule{From: "at", Action: pseudonymize.LocalDay, As: "day"},
		pseudonymize.Rule{From: "at", Action: pseudonymize.LocalTime, As: "time"},
		pseudonymize.Rule{From: "at", Action: pseudonymize.LocalMonth, As: "month"})
	var rows []map[string]any
	cases := []struct{ utc, day, time, month string }{
		{"2026-03-31T14:59:59.999999Z", "2026-03-31", "2026-03-31T23:59:00", "2026-03"}, // the last instant of the fiscal year
		{"2026-03-31T15:00:00Z", "2026-04-01", "2026-04-01T00:00:00", "2026-04"},
		{"2026-03-31T15:00:59.999999Z", "2026-04-01", "2026-04-01T00:00:00", "2026-04"}, // seconds are cut, never rounded
		{"2024-02-28T15:30:00Z", "2024-02-29", "2024-02-29T00:30:00", "2024-02"},
		{"1970-01-01T00:00:00Z", "1970-01-01", "1970-01-01T09:00:00", "1970-01"},
		{"1969-12-31T15:00:00Z", "1970-01-01", "1970-01-01T00:00:00", "1970-01"},
		{"1969-12-31T14:59:59.999999Z", "1969-12-31", "1969-12-31T23:59:00", "1969-12"},
		{"1964-10-10T05:00:30Z", "1964-10-10", "1964-10-10T14:00:00", "1964-10"},
		{"1900-01-01T00:00:00Z", "1900-01-01", "1900-01-01T09:00:00", "1900-01"},
		{"2199-12-31T14:59:00Z", "2199-12-31", "2199-12-31T23:59:00", "2199-12"},
	}
	for _, c := range cases {
		at, err := time.Parse(time.RFC3339, c.utc)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, map[string]any{"at": at})
	}
	rows = append(rows, map[string]any{"at": nil})
	out := apply(t, policy, schema, rows)
	days, times, months := column(t, out, "day"), column(t, out, "time"), column(t, out, "month")
	for i, c := range cases {
		if days[i] != c.day || times[i] != c.time || months[i] != c.month {
			t.Errorf("%s: got %s, %s, %s, want %s, %s, %s", c.utc, days[i], times[i], months[i], c.day, c.time, c.month)
		}
	}
	for _, name := range []string{"day", "time", "month"} {
		if at := out.Column(out.Schema().FieldIndices(name)[0]); !at.IsNull(len(cases)) {
			t.Errorf("the %s of no instant: got %s, want null", name, at.ValueStr(len(cases)))
		}
	}
}

// TestLocalTimes_AgreeWithTheTimePackage on any instant that a record may have.
func TestLocalTimes_AgreeWithTheTimePackage(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "at", Type: instant}}, nil)
	plan, err := policyOf(
		pseudonymize.Rule{From: "at", Action: pseudonymize.LocalDay, As: "day"},
		pseudonymize.Rule{From: "at", Action: pseudonymize.LocalTime, As: "time"},
		pseudonymize.Rule{From: "at", Action: pseudonymize.LocalMonth, As: "month"}).Compile(schema, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	tokyo := time.FixedZone("", 9*60*60)
	rapid.Check(t, func(t *rapid.T) {
		var rows []map[string]any
		var want []time.Time
		for _, micros := range rapid.SliceOfN(rapid.Int64Range(-2208988800e6, 7258118400e6), 1, 20).Draw(t, "micros") {
			at := time.UnixMicro(micros)
			rows, want = append(rows, map[string]any{"at": at}), append(want, at.In(tokyo))
		}
		in := batch(t, schema, rows)
		defer in.Release()
		out, err := plan.Apply(in)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Release()
		for i, at := range want {
			day := out.Column(0).(*array.Date32).Value(i).ToTime().Format(time.DateOnly)
			clock := out.Column(1).(*array.Timestamp).Value(i).ToTime(arrow.Microsecond).Format(time.DateTime)
			month := out.Column(2).(*array.String).Value(i)
			if day != at.Format(time.DateOnly) || clock != at.Format("2006-01-02 15:04:00") || month != at.Format("2006-01") {
				t.Fatalf("%s: got %s, %s, %s", at, day, clock, month)
			}
		}
	})
}

// TestKeep_OutlivesTheInput: the column that goes on is held, not borrowed.
func TestKeep_OutlivesTheInput(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "source", Type: text}, {Name: "amount", Type: arrow.PrimitiveTypes.Int64}}, nil)
	plan, err := policyOf(pseudonymize.Rule{From: "source", Action: pseudonymize.Keep, As: "source"},
		pseudonymize.Rule{From: "amount", Action: pseudonymize.Keep, As: "yen"}).Compile(schema, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	b := array.NewRecordBuilder(mem, schema)
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"a", "b"}, nil)
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{-5, 1500}, nil)
	in := b.NewRecordBatch()
	b.Release()
	out, err := plan.Apply(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Release()
	if mem.CurrentAlloc() == 0 {
		t.Error("the kept columns went with the input")
	}
	if got := append(column(t, out, "source"), column(t, out, "yen")...); !slices.Equal(got, []string{"a", "b", "-5", "1500"}) {
		t.Errorf("got %q", got)
	}
	out.Release()
	mem.AssertSize(t, 0)
}

// TestApply_TokensAreThoseOfTheTokenizer, also where the token of a column
// beside it is taken over because both hold the same value.
func TestApply_TokensAreThoseOfTheTokenizer(t *testing.T) {
	keys := newKeyset(t)
	tokens, direct := tokenizer(t, keys), tokenizer(t, keys)
	policy := pseudonymize.PaymentPolicy()
	plan, err := policy.Compile(joined, tokens, noon)
	if err != nil {
		t.Fatal(err)
	}
	columns := []string{"record_id", "group_id", "target_id", "person_id", "consent_id"}
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SampledFrom([]string{"a", "b", "ab", ""})
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[string]any {
			row := map[string]any{"source": few.Draw(t, "source")}
			for _, c := range columns {
				row[c] = few.Draw(t, c)
				if nullable := joined.Field(joined.FieldIndices(c)[0]).Nullable; nullable && rapid.Bool().Draw(t, "null") {
					row[c] = nil
				}
			}
			return row
		}), 1, 20).Draw(t, "rows")
		in := batch(t, joined, rows)
		defer in.Release()
		out, err := plan.Apply(in)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Release()
		for _, r := range policy.Rules {
			if r.Action != pseudonymize.Tokenize {
				continue
			}
			made := out.Column(out.Schema().FieldIndices(r.As)[0]).(*array.FixedSizeBinary)
			for i, row := range rows {
				if row[r.From] == nil {
					if !made.IsNull(i) {
						t.Fatalf("%s of nothing is a token", r.As)
					}
					continue
				}
				of := r.Within
				if of == "" {
					of = row["source"].(string)
				}
				want := token(t, direct, r.Domain, of, row[r.From].(string))
				if got := made.Value(i); made.IsNull(i) || !bytes.Equal(got, want[:]) {
					t.Fatalf("%s in row %d: got %x, want %x", r.As, i, got, want)
				}
			}
		}
	})
}

// TestApply_LetsNothingOfAPersonThrough puts a mark into every column that
// could lead to a person and looks for it in every byte that comes out.
func TestApply_LetsNothingOfAPersonThrough(t *testing.T) {
	policy := pseudonymize.PaymentPolicy()
	plan, err := policy.Compile(joined, tokenizer(t, newKeyset(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	var personal, open []string
	for _, f := range joined.Fields() {
		if slices.ContainsFunc(policy.Rules, func(r pseudonymize.Rule) bool { return r.From == f.Name && r.Action == pseudonymize.Keep }) {
			open = append(open, f.Name)
		} else if f.Name != "occurred_at" && f.Name != "born_on" {
			personal = append(personal, f.Name)
		}
	}
	if want := []string{"record_id", "person_id", "shop_name", "terminal_id", "target_id", "group_id", "consent_id", "home_area"}; !slices.Equal(personal, want) {
		t.Fatalf("the personal columns are %q, want %q", personal, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		mark := rapid.StringMatching(`[A-Z][0-9]{9}`).Draw(t, "mark")
		born := fmt.Sprintf("19%02d-%02d-%02d", rapid.IntRange(30, 99).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(10, 28).Draw(t, "day"))
		at := time.UnixMicro(rapid.Int64Range(1e15, 2e15).Draw(t, "at"))
		var rows []map[string]any
		for i := range rapid.IntRange(1, 50).Draw(t, "rows") {
			row := map[string]any{"source": "mitaka", "born_on": born, "occurred_at": at, "active": true, "amount_yen": int64(i)}
			for _, c := range personal {
				row[c] = fmt.Sprint(c[:1], mark, i)
			}
			row["home_area"] = fmt.Sprint("下連雀三丁目", i, "番", mark)
			for _, c := range open {
				if _, set := row[c]; !set {
					row[c] = "open"
				}
			}
			rows = append(rows, row)
		}
		in := batch(t, joined, rows)
		defer in.Release()
		out, err := plan.Apply(in)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Release()
		var all bytes.Buffer
		w := ipc.NewWriter(&all, ipc.WithSchema(out.Schema()))
		if err := errors.Join(w.Write(out), w.Close()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(all.Bytes(), []byte("open")) {
			t.Fatal("what may go on is not found either: the search is none")
		}
		for _, secret := range []string{mark, born, born[:7]} {
			if bytes.Contains(all.Bytes(), []byte(secret)) {
				t.Fatalf("%q came through", secret)
			}
		}
		if exact := arrow.Timestamp(at.UnixMicro()); at.Second() != 0 && bytes.Contains(all.Bytes(), (*[8]byte)(arrow.TimestampTraits.CastToBytes([]arrow.Timestamp{exact}))[:]) {
			t.Fatal("the instant came through to the microsecond")
		}
	})
}

// TestApply_NothingIsNobodysTwin: an empty identifier beside no identifier has
// a token of its own.
func TestApply_NothingIsNobodysTwin(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "source", Type: text}, {Name: "a", Type: text, Nullable: true}, {Name: "b", Type: text, Nullable: true}}, nil)
	out := apply(t, policyOf(pseudonymize.Rule{From: "source", Action: pseudonymize.Drop},
		pseudonymize.Rule{From: "a", Action: pseudonymize.Tokenize, As: "a", Domain: "d"},
		pseudonymize.Rule{From: "b", Action: pseudonymize.Tokenize, As: "b", Domain: "d"}), schema,
		[]map[string]any{{"source": "x", "a": "", "b": ""}, {"source": "x", "a": nil, "b": ""}, {"source": "x", "a": "", "b": nil}})
	a, b := column(t, out, "a"), column(t, out, "b")
	if want := []string{a[0], array.NullValueStr, a[0]}; !slices.Equal(a, want) {
		t.Errorf("a: got %q, want %q", a, want)
	}
	if want := []string{a[0], a[0], array.NullValueStr}; !slices.Equal(b, want) {
		t.Errorf("b: got %q, want %q", b, want)
	}
}
