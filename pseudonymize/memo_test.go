package pseudonymize_test

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	numbered "meguri/internal/words"
	"meguri/pseudonymize"
)

// TestApply_ByTheWordsOfDictionaries: what was made of a dictionary's words is
// used again while it grows from batch to batch, and never for the words of
// another one, nor for another source.
func TestApply_ByTheWordsOfDictionaries(t *testing.T) {
	coded := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	schema := arrow.NewSchema([]arrow.Field{{Name: "source", Type: coded}, {Name: "person", Type: coded, Nullable: true},
		{Name: "consent", Type: coded, Nullable: true}, {Name: "born_on", Type: coded}}, nil)
	policy := policyOf(
		pseudonymize.Rule{From: "person", Action: pseudonymize.Tokenize, As: "person_token", Domain: "person", Within: "resident"},
		pseudonymize.Rule{From: "consent", Action: pseudonymize.Tokenize, As: "consent_token", Domain: "consent"},
		pseudonymize.Rule{From: "source", Action: pseudonymize.Keep, As: "source"},
		pseudonymize.Rule{From: "born_on", Action: pseudonymize.AgeBand, As: "age_band"})
	keys := newKeyset(t)
	rapid.Check(t, func(rt *rapid.T) {
		plan, err := policy.Compile(schema, tokenizer(t, keys), noon)
		if err != nil {
			rt.Fatal(err)
		}
		oracle := tokenizer(t, keys)
		var persons, consents, days [2]numbered.Table // two sets of dictionaries that take turns
		for range rapid.IntRange(1, 6).Draw(rt, "batches") {
			set := rapid.IntRange(0, 1).Draw(rt, "dictionaries")
			sources := rapid.SampledFrom([][]string{{"a"}, {"b"}, {"a", "b"}}).Draw(rt, "sources")
			n := rapid.IntRange(1, 40).Draw(rt, "rows")
			var list numbered.Table
			for _, s := range sources {
				list.Number(s)
			}
			column := func(table *numbered.Table, nullable bool, draw func() string) (arrow.Array, []string) {
				codes := array.NewInt32Builder(memory.DefaultAllocator)
				defer codes.Release()
				texts := make([]string, n)
				for i := range texts {
					if texts[i] = draw(); nullable && texts[i] == "" {
						codes.AppendNull()
						continue
					}
					code, _ := table.Number(texts[i])
					codes.Append(code)
				}
				indices, dict := codes.NewArray(), table.Array()
				defer indices.Release()
				defer dict.Release()
				return array.NewDictionaryArray(coded, indices, dict), texts
			}
			some := func(prefix string) func() string {
				return func() string {
					if k := rapid.IntRange(0, 30).Draw(rt, prefix); k > 0 {
						return fmt.Sprint(prefix, k)
					}
					return ""
				}
			}
			source, sourceOf := column(&list, false, func() string { return rapid.SampledFrom(sources).Draw(rt, "source") })
			person, personOf := column(&persons[set], true, some("p"))
			consent, consentOf := column(&consents[set], true, some("c"))
			born, bornOf := column(&days[set], false, func() string {
				return rapid.SampledFrom([]string{"", "1950-01-01", "1990-05-05", "2010-12-31"}).Draw(rt, "born")
			})
			batch := array.NewRecordBatch(schema, []arrow.Array{source, person, consent, born}, int64(n))
			out, err := plan.Apply(batch)
			batch.Release()
			for _, c := range []arrow.Array{source, person, consent, born} {
				c.Release()
			}
			if err != nil {
				rt.Fatal(err)
			}
			for i := range n {
				for at, want := range []struct{ domain, source, value string }{{"person", "resident", personOf[i]}, {"consent", sourceOf[i], consentOf[i]}} {
					got := out.Column(at).(*array.FixedSizeBinary)
					if want.value == "" {
						if got.IsValid(i) {
							rt.Fatalf("row %d has a token of no %s", i, want.domain)
						}
						continue
					}
					token, err := oracle.Token(want.domain, want.source, want.value)
					if err != nil || got.IsNull(i) || pseudonymize.Token(got.Value(i)) != token {
						rt.Fatalf("row %d: the token of %s is another's", i, want.value)
					}
				}
				band := pseudonymize.UnknownBand
				if bornOf[i] != "" {
					if band, err = pseudonymize.Band(bornOf[i], noon); err != nil {
						rt.Fatal(err)
					}
				}
				if got := out.Column(3).(*array.String).Value(i); got != band {
					rt.Fatalf("row %d: born on %s is %s, want %s", i, bornOf[i], got, band)
				}
			}
			out.Release()
		}
	})
}
