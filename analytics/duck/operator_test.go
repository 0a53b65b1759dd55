package duck_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/analytics"
	"meguri/pseudonymize/lake"
)

// Shops of one operator are one respondent, in files written before operators
// were known too (IC-8).
func TestOperator_IsOneRespondent(t *testing.T) {
	l := lakeOf(t, `
pay a a - p1 s1 100 2024-06-03T12:30 cafe female 20-29
pay b b - p2 s2 200 2024-06-03T12:30 cafe female 20-29
pay c c - p3 s4 400 2024-06-03T12:30 cafe female 20-29
commit
`)
	e := open(t, l)
	old := behind(t, e)
	if len(old) != 3 || old["s1"] != 100 || old["s4"] != 400 {
		t.Errorf("a lake without operators has %v, want each shop by itself", old)
	}
	// What is said later of s1, s2 and s3 goes for what they sold before.
	writeOperated(t, l, map[string]string{"s1": "7000012050002", "s2": "7000012050002", "s3": "7000012050002"})
	if got := behind(t, e); len(got) != 2 || got["7000012050002"] != 330 || got["s4"] != 400 {
		t.Errorf("got %v, want three shops as one", got)
	}
	for _, metric := range []string{"M01a", "M01b", "M02", "M03", "M04", "M05", "M06", "M07", "M08"} {
		table, err := e.Run(t.Context(), analytics.Query{Metric: metric, From: "2024-06-01", To: "2024-06-30"})
		if err != nil {
			t.Fatal(err)
		}
		if table.Cells[0].Shops != 2 {
			t.Errorf("%s: %d shops stand behind the total, want 2", metric, table.Cells[0].Shops)
		}
	}
}

func behind(t *testing.T, e analytics.Engine) map[string]float64 {
	t.Helper()
	parts, err := e.Behind(t.Context(), analytics.Query{From: "2024-06-01", To: "2024-06-30"}, analytics.ByShop)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, p := range parts {
		all[p.Party] += p.Yen
	}
	return all
}

// writeOperated adds a payment of 10 yen at each shop, in rows that name its
// operator.
func writeOperated(t *testing.T, l *lake.Lake, operators map[string]string) {
	t.Helper()
	schema := arrow.NewSchema(append(lakeSchema().Fields(), arrow.Field{Name: "operator", Type: arrow.BinaryTypes.String}), nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	at := time.Date(2024, 6, 4, 9, 0, 0, 0, time.UTC)
	for shop, operator := range operators {
		for col := range 4 {
			if col == 2 {
				b.Field(col).AppendNull()
				continue
			}
			var token [16]byte
			copy(token[:], fmt.Sprintf("%s %s", []string{"row", "row", "", "person"}[col], shop))
			b.Field(col).(*array.FixedSizeBinaryBuilder).Append(token[:])
		}
		for col, s := range map[int]string{4: "test", 5: "pay", 6: "voucher", 11: shop, 12: "cafe", 13: "A", 14: "male", 15: "30-39", 16: "A", 17: operator} {
			b.Field(col).(*array.StringBuilder).Append(s)
		}
		b.Field(7).(*array.Int64Builder).Append(10)
		b.Field(8).(*array.BooleanBuilder).Append(true)
		b.Field(9).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
		b.Field(10).(*array.Date32Builder).Append(arrow.Date32FromTime(at))
	}
	w, err := l.Begin("132047")
	if err != nil {
		t.Fatal(err)
	}
	payments, err := w.Table("payments", schema)
	if err != nil {
		t.Fatal(err)
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	if err := payments.Write(batch); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(lake.Commit{Epoch: 1, At: at}); err != nil {
		t.Fatal(err)
	}
}
