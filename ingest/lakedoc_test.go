package ingest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

// meanings are of columns that are in no table of fields: of payments, and of
// what is joined.
var meanings = map[string][2]string{
	"source":       {"データ元", "who gave the row"},
	"record_id":    {"この行", "this row"},
	"group_id":     {"行が属する決済。行ではなくこれを数える", "the payment that the row is part of; count these, not rows"},
	"target_id":    {"取消の行：取り消す行のevent_token", "on a cancel: the event_token that it takes back"},
	"person_id":    {"利用者。分からなければ空", "who; null where nobody is known"},
	"consent_id":   {"行とともに届いた同意", "the consent that came with the row"},
	"kind":         {"`pay` `cancel` `refund` `adjustment` `charge` `grant` `grant_cancel`", "what moved"},
	"service_type": {"`money` `points` `voucher`", "of what kind of value"},
	"service_id":   {"事業。空のことがある", "the programme; may be empty"},
	"amount_yen":   {"円。`adjustment` のほかは0以上", "whole yen, never negative but for `adjustment`"},
	"active":       {"データ元が取消済みとした行はfalse", "false where the source itself marks the row as cancelled"},
	"occurred_at":  {"日時", "when"},
	"shop_id":      {"店舗。チャージなどでは空", "the shop; empty for charges and grants"},
	"merchant_id":  {"加盟店", "the merchant behind the shop"},
	"industry":     {"業種（12のコード）。不明なら空", "one of twelve codes, empty where unknown"},
	"shop_area":    {"店舗の地区", "district of the shop"},
	"operator":     {"店の運営者。空なら店そのもの", "who runs the shop; empty is the shop itself"},
	"sex":          {"`female` `male` `other` `unknown`", "sex"},
	"born_on":      {"年齢階級：`0-9` … `80-89` `90+` `unknown`", "band of age on the day of the run"},
	"home_area":    {"居住地区", "district of residence"},
	"area":         {"店舗の地区", "district of the shop"},
}

func meaning(dataset, column string) (ja, en string) {
	if d := DatasetByName(dataset); d != nil {
		for _, f := range d.Fields {
			if f.Name == column {
				return f.Ja, f.En
			}
		}
	}
	m := meanings[column]
	return m[0], m[1]
}

var updateLake = flag.Bool("update-lake", false, "write the columns of docs/lake.md anew")

// TestLakeDocument_IsInSync holds the columns in docs/lake.md against the policies
// and datasets that they come out of (IC-7).
func TestLakeDocument_IsInSync(t *testing.T) {
	path := filepath.Join("..", "docs", "lake.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- columns: made by TestLakeDocument_IsInSync -->\n", "<!-- end of columns -->\n"
	head, rest, ok := strings.Cut(string(text), begin)
	body, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the columns", path)
	}
	want := columnsOfTheLake(t)
	if *updateLake {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if body != want {
		t.Errorf("%s is not in sync: go test ./ingest -run TestLakeDocument -update-lake", path)
	}
}

func columnsOfTheLake(t *testing.T) string {
	keys, err := pseudonymize.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := pseudonymize.NewTokenizer(keys)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, table := range lake.Tables {
		dataset := strings.TrimSuffix(table.Name, "s")
		policy, schema := pseudonymize.Policies()[dataset], residentSchema
		switch dataset {
		case ResidentDataset:
		case ShopDataset:
			schema = shopSchema
		default:
			schema = joinedSchema(dataset)
		}
		plan, err := policy.Compile(schema, tokens, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		where := "`" + table.Name + "/city=…/month=…/`"
		if table.Day == "" {
			where = "`" + table.Name + "/`（全体を書き直す / written whole）"
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s、並び / sorted by `%s`。加工方法 / policy `%s` %s\n\n", table.Name, where, strings.Join(table.Sort, "`, `"), dataset+".yaml", policy.Version)
		b.WriteString("| 列 / column | 型 / type | 空 / null | 意味 / meaning | 加工 / action | 根拠 / law |\n| --- | --- | --- | --- | --- | --- |\n")
		at := 0
		for _, r := range policy.Rules {
			ja, en := meaning(dataset, r.From)
			if r.Action == pseudonymize.Drop {
				fmt.Fprintf(&b, "| — | — | — | `%s` | drop | %s |\n", r.From, r.Law)
				continue
			}
			if ja == "" || en == "" {
				t.Errorf("%s: nothing says what %s means", dataset, r.From)
			}
			f := plan.Schema.Field(at)
			at++
			null := ""
			if f.Nullable {
				null = "○"
			}
			action := strings.TrimSpace(string(r.Action) + " " + r.Parameters())
			if r.Action != pseudonymize.Keep {
				action += " ← `" + r.From + "`"
			}
			if r.Action == pseudonymize.Keep { // as it came, in the same unit
				f.Metadata = schema.Field(schema.FieldIndices(r.From)[0]).Metadata
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s / %s | %s | %s |\n", f.Name, typeOf(t, f), null, ja, en, action, r.Law)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// typeOf is what Parquet's readers see.
func typeOf(t *testing.T, f arrow.Field) string {
	switch f.Type.ID() {
	case arrow.FIXED_SIZE_BINARY:
		return "FIXED_LEN_BYTE_ARRAY(16)"
	case arrow.STRING, arrow.DICTIONARY:
		return "STRING"
	case arrow.INT64:
		if unit, ok := f.Metadata.GetValue("unit"); ok {
			return "INT64 × " + unit
		}
		return "INT64"
	case arrow.BOOL:
		return "BOOLEAN"
	case arrow.DATE32:
		return "DATE"
	case arrow.TIMESTAMP:
		return "TIMESTAMP(µs, no zone)"
	}
	t.Fatalf("%s: %s", f.Name, f.Type)
	return ""
}
