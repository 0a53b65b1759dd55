package ingest

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
)

// parseRow reads a row of a dataset.
func (p *mappedParser) parseRow(line int64, fields []string, r *row) fault {
	r.dataset, r.source = p.mapping.dataset, p.mapping.Source
	r.reset()
	for i := range p.bindings {
		b := &p.bindings[i]
		text, f := b.value(line, fields)
		if f.bad() {
			return f
		}
		if text == "" {
			continue
		}
		if f := b.read(&r.dataset.Fields[b.at], text, p.mapping.location, &r.values[b.at]); f.bad() {
			return f
		}
	}
	f := r.holds()
	f.field = p.columnOf(f.field)
	return f
}

// read puts a text that is not empty into a field.
func (b *binding) read(f *Field, text string, zone *time.Location, v *value) fault {
	v.set = true
	column := b.column
	if column == "" || column == lineNumber {
		column = b.field
	}
	switch f.Type {
	case InstantField:
		t, bad := b.instant(text, zone)
		v.number = t.UnixMicro()
		return bad
	case DayField:
		t, bad := b.instant(text, time.UTC)
		v.number = t.Unix() / 86400
		return bad
	case FlagField:
		yes, bad := b.truth(text)
		if yes {
			v.number = 1
		}
		return bad
	case IntegerField, YenField, QuantityField:
		d, problem := parseDecimal(text, b.thousands)
		if problem == "" {
			v.number, problem = d.fixed(f.Type)
		}
		if problem != "" {
			return fault{column, "the number " + problem, "write digits, with a decimal point where a part is meant"}
		}
		return fault{}
	}
	switch {
	case !utf8.ValidString(text):
		return fault{column, "the text is not valid UTF-8", "send text in UTF-8"}
	case strings.IndexByte(text, 0) >= 0:
		return fault{column, "the text holds a NUL byte", "export the file again as text"}
	}
	v.text = text
	return fault{}
}

// fixed returns the number as the field keeps it, exactly.
func (d decimal) fixed(t FieldType) (int64, string) {
	if t == QuantityField {
		n, problem := yen(RoundRefuse, d, decimal{coefficient: 1000})
		if problem == "is not a whole number of yen" {
			problem = "has more than three decimals"
		}
		return n, problem
	}
	n, problem := yen(RoundRefuse, d)
	if problem == "is not a whole number of yen" && t == IntegerField {
		problem = "is not a whole number"
	}
	return n, problem
}

// checkTypes refuses columns of a Parquet file whose types do not fit exactly.
func (p *mappedParser) checkTypes(names []string, types []arrow.DataType) error {
	refuse := func(at int, remedy string) error {
		return &LineError{Line: 1, Field: names[at], Remedy: remedy, Err: ErrColumnType,
			Problem: "the column's type " + types[at].Name() + " does not fit the field"}
	}
	for i := range p.bindings {
		b := &p.bindings[i]
		layout := len(b.layout) > 0 && &b.layout[0] != &parquetLayouts[0]
		for _, at := range b.from {
			if at == atLine {
				continue
			}
			if b.values != nil || len(b.from) > 1 {
				if !exact(types[at]) {
					return refuse(at, "write it as text")
				}
			} else if ok, remedy := suits(p.mapping.typeOf(b.field), types[at], layout); !ok {
				return refuse(at, remedy)
			}
		}
	}
	for _, at := range p.factors {
		if ok, remedy := suits(YenField, types[at], false); !ok {
			return refuse(at, remedy)
		}
	}
	for _, at := range p.rules {
		if at != atLine && !exact(types[at]) {
			return refuse(at, "write it as text")
		}
	}
	return nil
}

// trailerRow is a Trailer with the positions of its columns.
type trailerRow struct {
	*Trailer
	at, day, rows, yen int
}

// is tells whether a row holds totals.
func (t *trailerRow) is(fields []string) bool {
	if t == nil || t.at >= len(fields) {
		return false
	}
	v := fields[t.at]
	return t.Prefix != nil && strings.HasPrefix(v, *t.Prefix) || t.Equals != nil && v == *t.Equals
}

// parse reads the totals of a row.
func (t *trailerRow) parse(fields []string) (Told, fault) {
	var told Told
	if t.day != atLine {
		b := binding{field: "trailer", column: t.Day, layout: t.Layout}
		day, f := b.instant(fields[t.day], time.UTC)
		if f.bad() {
			return told, f
		}
		told.Day = day.Format(time.DateOnly)
	}
	n, problem := wholeNumber(fields[t.rows])
	if problem != "" {
		return told, fault{t.Rows, "the number " + problem, "write digits"}
	}
	told.Rows = n
	if t.yen != atLine {
		n, problem := wholeNumber(fields[t.yen])
		if problem != "" {
			return told, fault{t.Yen, "the number " + problem, "write whole yen in digits"}
		}
		told.Yen = &n
	}
	return told, fault{}
}

// wholeNumber reads digits, with or without commas of thousands.
func wholeNumber(s string) (int64, string) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, ""
	}
	d, problem := parseDecimal(s, ',')
	if problem != "" {
		return 0, problem
	}
	return d.fixed(IntegerField)
}
