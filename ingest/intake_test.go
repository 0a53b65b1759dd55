package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

func TestFlattener(t *testing.T) {
	f, problem := newFlattener([]string{"id", "shop.id", "n"}, []string{"shop.owner", "junk"})
	if problem != "" {
		t.Fatal(problem)
	}
	for name, c := range map[string]struct {
		in, want, problem string
	}{
		"flat":                     {`{"id":"a","n":1.50}`, "a||1.50", ""},
		"nested":                   {` { "shop" : { "id" : "s\u3042" , "owner":{"x":[1,{"id":2}]} } , "n":true }`, "|sあ|true", ""},
		"null":                     {`{"id":null,"shop":null}`, "||", ""},
		"a large number is exact":  {`{"n":123456789012345678901234567890e-1}`, "||123456789012345678901234567890e-1", ""},
		"escaped quote":            {`{"id":"a\"}","junk":"\"{"}`, `a"}||`, ""},
		"a replacement character":  {`{"id":"\ufffd"}`, "\uFFFD||", ""},
		"twice":                    {`{"id":1,"id":1}`, "", "written twice"},
		"twice, written otherwise": {`{"id":1,"\u0069d":1}`, "", "written twice"},
		"twice inside":             {`{"shop":{"id":1,"id":2}}`, "", "written twice"},
		"unknown":                  {`{"phone":1}`, "", "does not decide"},
		"unknown inside":           {`{"shop":{"phone":1}}`, "", "does not decide"},
		"a point is no path":       {`{"shop.id":1}`, "", "does not decide"},
		"an object for a value":    {`{"id":{}}`, "", "one value is wanted"},
		"a list for a value":       {`{"id":["a"]}`, "", "one value is wanted"},
		"a value for an object":    {`{"shop":"s"}`, "", "not an object"},
		"half a character":         {`{"id":"\ud83d"}`, "", "half a character"},
		"not JSON":                 {`{"id":1,}`, "", "not one object"},
		"two objects":              {`{} {}`, "", "not one object"},
		"a text":                   {`"a"`, "", "not one object"},
	} {
		values, bad := f.fields(c.in)
		if c.problem != "" {
			if !strings.Contains(bad.problem, c.problem) || bad.remedy == "" {
				t.Errorf("%s: got %+v", name, bad)
			}
		} else if bad.bad() || strings.Join(values, "|") != c.want {
			t.Errorf("%s: got %q, %+v", name, values, bad)
		}
	}
	for _, paths := range [][]string{{"a", "a.b"}, {"a..b"}, {""}, {strings.Repeat("a.", 40) + "a"}} {
		if _, problem := newFlattener(paths, nil); problem == "" {
			t.Errorf("%v: no problem", paths)
		}
	}
}

// FuzzFlattener holds the reader of JSON Lines against encoding/json.
func FuzzFlattener(f *testing.F) {
	for _, d := range datasets {
		var b bytes.Buffer
		if err := d.WriteSample(&b, JSONL); err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			f.Add(strings.TrimSpace(line))
		}
	}
	f.Add(`{"a":"x","b":{"c":1},"skip":[{"a":[]},"\"",null]}`)
	f.Add(`{"b":{"c":"\ud83d\ude00"},"a":1e5}`)
	f.Fuzz(func(t *testing.T, line string) {
		flat, problem := newFlattener([]string{"a", "b.c"}, []string{"skip"})
		if problem != "" {
			t.Fatal(problem)
		}
		values, bad := flat.fields(line)
		if bad.bad() {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		var want map[string]any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("took %q: %v", line, err)
		}
		group, _ := want["b"].(map[string]any)
		for i, v := range []any{want["a"], group["c"]} {
			text := ""
			switch v := v.(type) {
			case string:
				text = v
			case json.Number:
				text = v.String()
			case bool:
				text = map[bool]string{true: "true", false: "false"}[v]
			case nil:
			default:
				t.Fatalf("took %q", line)
			}
			if values[i] != text {
				t.Fatalf("%q: got %q, want %q", line, values[i], text)
			}
		}
	})
}

// FuzzDatasetRow reads any row into any dataset: what is taken holds, and reads
// the same again.
func FuzzDatasetRow(f *testing.F) {
	for i, d := range datasets {
		var b bytes.Buffer
		if err := d.WriteSample(&b, CSV); err != nil {
			f.Fatal(err)
		}
		_, rows, _ := strings.Cut(b.String(), "\n")
		for line := range strings.Lines(rows) {
			f.Add(i, strings.TrimSpace(line))
		}
	}
	f.Add(0, "r,1,,,R,1,s,,2026-10-01 10:00:00,,,,-0.001,999999999999,,-999999999999,")
	parsers := make([]*mappedParser, len(datasets))
	for i, d := range datasets {
		m, err := ParseMapping(d.Name, []byte(d.Template(CSV)))
		if err != nil {
			f.Fatal(err)
		}
		var header []string
		for _, field := range d.Fields {
			header = append(header, field.Name)
		}
		if parsers[i], err = m.bind(header); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, which int, text string) {
		if which < 0 {
			which = -(which + 1)
		}
		which %= len(datasets)
		fields, err := splitFields(text, ',', nil)
		if err != nil || len(fields) != len(datasets[which].Fields) {
			return
		}
		var first, second row
		if parsers[which].parseRow(2, fields, &first).bad() {
			return
		}
		if bad := first.holds(); bad.bad() {
			t.Fatalf("took %q, which does not hold: %+v", text, bad)
		}
		if bad := parsers[which].parseRow(3, fields, &second); bad.bad() || !slices.Equal(first.values, second.values) {
			t.Fatalf("%q gave %+v and %+v", text, first.values, second.values)
		}
		c := &chunk{set: newColumns(datasets[which])}
		c.addRow(&first, 2)
		batch := c.batch()
		defer batch.Release()
		if batch.NumRows() != 1 || DatasetOf(batch.Schema()) != datasets[which].Name {
			t.Fatalf("got %v", batch)
		}
	})
}

// FuzzSettlement reads any row as a settlement: what is taken holds, and reads the
// same again as it is written.
func FuzzSettlement(f *testing.F) {
	for _, row := range []string{"s1,,2024-06-01,2024-06-07,1500,15,1485", "s,v,2024-06-01,2024-06-01,-3,0,-3", "s,,0001-01-01,2024-06-07,1e3,0,1000",
		"s,,2024-06-01,2024-06-07,9223372036854775807,-1,-9223372036854775808"} {
		f.Add(row)
	}
	m, err := ParseMapping("settlement", []byte(`{record: settlement, source: p, columns: {shop_id: {from: a}, service_id: {from: b},
  from: {from: c, layout: "2006-01-02"}, to: {from: d, layout: "2006-01-02"}, amount_yen: {from: e}, fee_yen: {from: f}, net_yen: {from: g}}}`))
	if err != nil {
		f.Fatal(err)
	}
	p, err := m.bind(strings.Split("abcdefg", ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := splitFields(text, ',', nil)
		if err != nil || len(fields) != 7 {
			return
		}
		first, bad := p.parseSettlement(2, fields)
		if bad.bad() {
			return
		}
		if bad := first.check(); bad.bad() || first.AmountYen-first.FeeYen != first.NetYen || first.From > first.To || first.ShopID == "" {
			t.Fatalf("took %q, which does not hold: %+v", text, first)
		}
		again := []string{first.ShopID, first.ServiceID, first.From, first.To, fmt.Sprint(first.AmountYen), fmt.Sprint(first.FeeYen), fmt.Sprint(first.NetYen)}
		if second, bad := p.parseSettlement(3, again); bad.bad() || second != first {
			t.Fatalf("%q gave %+v and %+v", text, first, second)
		}
	})
}

// FuzzParquetFile opens any bytes as Parquet: an error or rows, and no panic.
func FuzzParquetFile(f *testing.F) {
	f.Add([]byte("PAR1"))
	f.Add([]byte("PAR1\x15\x04\x15\x10\x15\x14PAR1"))
	f.Add(smallParquet(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "f.parquet")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openParquet(path, nil, 1<<16)
		if err != nil {
			return
		}
		defer func() { _ = p.Close() }()
		for range 10_000 {
			if _, fields, bad, err := p.row(); err != nil {
				return
			} else if !bad.bad() && len(fields) != len(p.names) {
				t.Fatalf("%d fields of %d columns", len(fields), len(p.names))
			}
		}
	})
}

// smallParquet is a file with a text, a number and a group.
func smallParquet(t testing.TB) []byte {
	t.Helper()
	group := arrow.StructOf(arrow.Field{Name: "c", Type: arrow.FixedWidthTypes.Boolean, Nullable: true})
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "a", Type: arrow.BinaryTypes.String}, {Name: "b", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "g", Type: group, Nullable: true}}, nil))
	defer b.Release()
	for _, row := range []string{`{"a":"x","b":1,"g":{"c":true}}`, `{"a":"","b":null,"g":null}`} {
		if err := json.Unmarshal([]byte(row), b); err != nil {
			t.Fatal(err)
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var text bytes.Buffer
	w, err := pqarrow.NewFileWriter(batch.Schema(), &text, nil, pqarrow.NewArrowWriterProperties())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// TestScanner_LinesOfAnyLength: JSON Lines pass through the same scanner, and
// their quotes say nothing.
func TestScanner_LinesOfAnyLength(t *testing.T) {
	in := io.MultiReader(strings.NewReader("{\"a\"\n"), io.LimitReader(endless{}, 64<<20), strings.NewReader("\n\"b\n"))
	s := newScanner(in, ',', DefaultMaxRecordBytes)
	s.lines = true
	var got []string
	for {
		record, f, err := s.next()
		if err != nil {
			break
		}
		if f.bad() {
			got = append(got, "bad"+string(record[len(record)-len(cutMark):]))
		} else {
			got = append(got, string(record))
		}
	}
	if want := []string{`{"a"`, "bad" + cutMark, `"b`}; !slices.Equal(got, want) || len(s.buf) > 4*DefaultMaxRecordBytes {
		t.Errorf("got %q, a buffer of %d", got, len(s.buf))
	}
}

// FuzzInput opens any bytes as a file: compressed or not, in any encoding.
func FuzzInput(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"), "auto")
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x41\x00\x00a,b\n1,2\n"), "auto")
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\xd4\x49\xe2\x32\xd4\x31\xe2\x02\x00"), "utf-8")
	f.Add([]byte("\xa4\xa2,\xa4\xa4\n"), "euc-jp")
	f.Add([]byte("\x82\xa0,\x82\xa2\n"), "auto")
	f.Fuzz(func(t *testing.T, text []byte, encoding string) {
		path := filepath.Join(t.TempDir(), "f.csv")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		rr, err := openText(path, Encoding(encoding), ',', 1<<12, nil)
		if err != nil {
			return
		}
		defer func() { _ = rr.Close() }()
		if _, err := rr.header(); err != nil {
			return
		}
		for {
			if _, _, _, err := rr.row(); err != nil {
				break
			}
		}
		if end := rr.mark(); rr.err != nil {
			hash, err := prefixHash(path, Encoding(encoding), end.offset)
			if err != nil || hash != end.hash {
				t.Fatalf("the hash of what was read is not that of the file: %v", err)
			}
		}
	})
}

// FuzzQuarantineFile reads any bytes as a quarantine file, and what is written
// there comes back as it was.
func FuzzQuarantineFile(f *testing.F) {
	f.Add([]byte("file,line,field,problem,remedy,row\nt.csv,2,a,b,c,'=x\n"), "=1+1")
	f.Add([]byte("file,line,field,problem,remedy,row\nt.csv,x,a,b,c,d\n"), "''a\"b")
	f.Fuzz(func(t *testing.T, text []byte, row string) {
		dir := t.TempDir()
		path := filepath.Join(dir, "q.csv")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if q, err := openQuarantine(path, 1<<12); err == nil {
			for {
				if _, _, _, err := q.row(); err != nil {
					break
				}
			}
			_ = q.Close()
		}
		if strings.ContainsAny(row, "\r\x00") {
			return // a CSV reader makes \n of \r\n, and NUL is no text
		}
		w := quarantine{path: filepath.Join(dir, "w.csv"), name: "t.csv"}
		if err := w.add(badRow{7, fault{"f", "p", "r"}, row}); err != nil {
			t.Fatal(err)
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		q, err := openQuarantine(w.path, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = q.Close() }()
		got, bad, err := q.read()
		if err != nil || bad.bad() || got.Line != 7 || got.Row != strings.ToValidUTF8(row, "\uFFFD") {
			t.Fatalf("%q came back as %+v, %+v, %v", row, got, bad, err)
		}
	})
}

func TestTally_DaysAreJapans(t *testing.T) {
	var days tally
	for _, at := range []string{"2024-02-29T14:59:59.999999Z", "2024-02-29T15:00:00Z", "1969-12-31T14:59:59Z", "1969-12-31T15:00:00Z"} {
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		days.add(when.UnixMicro(), "pay", 5)
	}
	want := []DayTotal{{"1969-12-31", "pay", 1, 5}, {"1970-01-01", "pay", 1, 5}, {"2024-02-29", "pay", 1, 5}, {"2024-03-01", "pay", 1, 5}}
	if got := dayTotals(days.snapshot()); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
