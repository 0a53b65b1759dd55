package ingest

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// sampleRows is how many rows a sample has.
const sampleRows = 3

// sample returns a field's value in a row of the sample.
func (f *Field) sample(row int) string {
	if len(f.Sample) == 0 {
		return ""
	}
	return f.Sample[row%len(f.Sample)]
}

// WriteSample writes a small file of a dataset, as CSV or JSON Lines, that its
// template takes in.
func (d *Dataset) WriteSample(w io.Writer, format Format) error {
	if format == JSONL {
		for row := range sampleRows {
			var b strings.Builder
			for i := range d.Fields {
				f := &d.Fields[i]
				value, err := json.Marshal(f.sample(row))
				if err != nil {
					return err
				}
				if text := f.sample(row); text != "" && !f.textual() && f.Type != InstantField && f.Type != DayField {
					value = []byte(text) // a number or truth stays what it is
				} else if text == "" {
					value = []byte("null")
				}
				fmt.Fprintf(&b, "%s%q: %s", map[bool]string{true: "{", false: ", "}[i == 0], f.Name, value)
			}
			if _, err := fmt.Fprintf(w, "%s}\n", b.String()); err != nil {
				return err
			}
		}
		return nil
	}
	if format != CSV {
		return fmt.Errorf("%w: a sample is csv or jsonl", ErrInvalid)
	}
	c := csv.NewWriter(w)
	header, values := make([]string, len(d.Fields)), make([]string, len(d.Fields))
	for i, f := range d.Fields {
		header[i] = f.Name
	}
	if err := c.Write(header); err != nil {
		return err
	}
	for row := range sampleRows {
		for i := range d.Fields {
			values[i] = d.Fields[i].sample(row)
		}
		if err := c.Write(values); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// Template is a mapping document to start from, for a file whose columns are
// named like the fields.
func (d *Dataset) Template(format Format) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# %s\n\nrecord: %s\n", d.Ja, d.En, d.Name)
	fmt.Fprintf(&b, "source: my-source   # データ元の名前 / the name of the source\nformat: %s\n", format)
	if format == CSV {
		fmt.Fprintf(&b, "encoding: auto      # %s\n", Encodings())
	}
	b.WriteString("timezone: Asia/Tokyo\n\ncolumns:\n")
	for i := range d.Fields {
		f := &d.Fields[i]
		need := "任意 / optional"
		if f.Required {
			need = "必須 / required"
		}
		fmt.Fprintf(&b, "  # %s。%s\n  # %s\n", need, f.Ja, f.En)
		layout := ""
		if format != Parquet {
			switch f.Type {
			case InstantField:
				layout = `, layout: "2006-01-02 15:04:05"`
			case DayField:
				layout = `, layout: "2006-01-02"`
			}
		}
		fmt.Fprintf(&b, "  %s: {from: %s%s}\n", f.Name, f.Name, layout)
	}
	b.WriteString("\nignore: []\n")
	return b.String()
}

// typeNames say what a field's type is in a file.
var typeNames = map[FieldType][2]string{
	TextField:     {"文字列", "text"},
	CodeField:     {"コード", "code"},
	IntegerField:  {"整数", "whole number"},
	YenField:      {"円（整数）", "whole yen"},
	QuantityField: {"数（小数3桁まで）", "number, up to three decimals"},
	InstantField:  {"日時", "time"},
	DayField:      {"日付", "day"},
	FlagField:     {"真偽", "true or false"},
	PersonField:   {"利用者のID", "ID of a person"},
	ShopField:     {"店舗のID", "ID of a shop"},
}

// WriteDocument writes the page about all datasets, docs/datasets.md.
func WriteDocument(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# データセット / Datasets

決済のほかに取り込めるデータの一覧です。この文書はプログラムの表から作られます。

What can be taken in beside payments. This page is made from the program's own table:
` + "`meguri import datasets`" + `.

見本と、マッピングのひな形は、次の命令で作れます。

` + "```sh" + `
meguri import sample purchase > purchase.csv
meguri import template purchase > purchase.yaml
meguri import purchase.csv --map purchase.yaml
` + "```" + `

行の身元は（データセット、データ元、record_id、version）です。身元も内容も同じ行は重複、身元が同じで内容の違う行は隔離されます。
訂正は、versionを上げた行として送ります。前の版は残り、読む側がいちばん新しい版を使います。

A row's identity is (dataset, source, record_id, version). The same identity with the same content is a duplicate, with
other content it goes to quarantine. A correction is a row with a higher version; the earlier ones stay, and readers
take the highest.
`)
	for _, d := range datasets {
		fmt.Fprintf(&b, "\n## %s\n\n%s / %s\n\n", d.Name, d.Ja, d.En)
		b.WriteString("| 項目 / field | 型 / type | 必須 / required | 意味 / meaning |\n| --- | --- | --- | --- |\n")
		for i := range d.Fields {
			f := &d.Fields[i]
			kind := typeNames[f.Type][0] + " / " + typeNames[f.Type][1]
			if f.Type == CodeField {
				kind += ": `" + strings.Join(f.Codes, "`, `") + "`"
			}
			if f.textual() && f.Type != CodeField {
				kind += fmt.Sprintf(" (≤ %d B)", f.limit())
			}
			required := ""
			if f.Required {
				required = "○"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s / %s |\n", f.Name, kind, required, f.Ja, f.En)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
