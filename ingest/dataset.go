package ingest

import (
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// FieldType says what a field of a dataset holds.
type FieldType string

// The types of fields. Persons and shops are identifiers as the source writes
// them; both are texts here, and policies tell them apart.
const (
	TextField     FieldType = "text"
	CodeField     FieldType = "code"     // one of the field's Codes
	IntegerField  FieldType = "integer"  // a whole number
	YenField      FieldType = "yen"      // whole yen
	QuantityField FieldType = "quantity" // a decimal with up to three places, kept in thousandths
	InstantField  FieldType = "instant"  // a time, to the microsecond
	DayField      FieldType = "day"      // a calendar day
	FlagField     FieldType = "flag"     // true or false
	PersonField   FieldType = "person"
	ShopField     FieldType = "shop"
)

// Field is a column of a dataset.
type Field struct {
	Name     string
	Type     FieldType
	Required bool
	Codes    []string // of a CodeField
	Few      bool     // of a TextField with few different values
	MaxBytes int      // of a text; 128 if zero
	En, Ja   string   // what it means
	Sample   []string // the values of the sample's rows, in turn
}

// Dataset is a kind of record other than payments, as a table of fields. Its
// parser, schema, sample, template and documentation are made of it.
type Dataset struct {
	Name   string
	En, Ja string
	Fields []Field // the record's ID and version come before them
	When   string  // the field that says when it happened
	Yen    string  // the field whose sum is kept with a segment, or ""

	check func(*row) fault   // what fields must be to each other
	warn  func(*row) warning // what is strange and taken all the same; may be nil

	schema *arrow.Schema
	place  map[string]int
}

// The fields that every dataset begins with.
const (
	recordIDAt = iota
	versionAt
)

var commonFields = []Field{
	{Name: "record_id", Type: TextField, Required: true, Ja: "データ元での行の番号", En: "the number that the source gave the row"},
	{Name: "version", Type: IntegerField, Ja: "訂正のたびに増える版（なければ1）。版の違う行は別の行として残る",
		En: "grows with each correction, 1 if absent; rows of other versions stay beside it", Sample: []string{"1"}},
}

// maxVersion keeps versions inside what any source counts to.
const maxVersion = 1_000_000_000

// define completes a dataset.
func define(d *Dataset) *Dataset {
	d.Fields = append(slices.Clone(commonFields), d.Fields...)
	d.Fields[recordIDAt].Sample = []string{d.Name + "-0001", d.Name + "-0002", d.Name + "-0003"}
	d.place = make(map[string]int, len(d.Fields))
	columns := []arrow.Field{{Name: "source", Type: dictionary}}
	for i, f := range d.Fields {
		d.place[f.Name] = i
		columns = append(columns, f.arrow())
	}
	metadata := arrow.NewMetadata([]string{"dataset"}, []string{d.Name})
	d.schema = arrow.NewSchema(columns, &metadata)
	return d
}

// Schema is the schema of the dataset's segments; its metadata name the
// dataset. A field that is not required is null where it is empty.
func (d *Dataset) Schema() *arrow.Schema { return d.schema }

// Datasets are all of them, in the order of the documentation.
func Datasets() []*Dataset { return slices.Clone(datasets) }

// DatasetByName finds one, or nil.
func DatasetByName(name string) *Dataset {
	for _, d := range datasets {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// PaymentDataset is the name of payments, whose records and schema are
// [Record] and [PaymentSchema].
const PaymentDataset = "payment"

// SchemaOf returns the schema of a dataset's segments, payments included, or
// nil.
func SchemaOf(dataset string) *arrow.Schema {
	if dataset == PaymentDataset {
		return PaymentSchema
	}
	if d := DatasetByName(dataset); d != nil {
		return d.schema
	}
	return nil
}

func (f *Field) limit() int {
	if f.MaxBytes > 0 {
		return f.MaxBytes
	}
	return 128
}

// few tells whether the column is a dictionary.
func (f *Field) few() bool { return f.Few || f.Type == CodeField || f.Type == ShopField }

// textual tells whether the field's value is a text.
func (f *Field) textual() bool {
	switch f.Type {
	case TextField, CodeField, PersonField, ShopField:
		return true
	}
	return false
}

func (f *Field) arrow() arrow.Field {
	a := arrow.Field{Name: f.Name, Nullable: !f.Required && f.Name != "version"}
	switch {
	case f.few():
		a.Type = dictionary
	case f.textual():
		a.Type = arrow.BinaryTypes.String
	case f.Type == InstantField:
		a.Type = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	case f.Type == DayField:
		a.Type = arrow.FixedWidthTypes.Date32
	case f.Type == FlagField:
		a.Type = arrow.FixedWidthTypes.Boolean
	default:
		a.Type = arrow.PrimitiveTypes.Int64
	}
	if f.Type == QuantityField {
		a.Metadata = arrow.NewMetadata([]string{"unit"}, []string{"1/1000"})
	}
	return a
}

// row is a record of a dataset: a value for each field.
type row struct {
	dataset *Dataset
	source  string
	values  []value
}

// value is a field's: a text, or a number (thousandths, microseconds, days, 1
// for true). It is null until it is set.
type value struct {
	text   string
	number int64
	set    bool
}

func (r *row) reset() {
	if len(r.values) != len(r.dataset.Fields) {
		r.values = make([]value, len(r.dataset.Fields))
	}
	clear(r.values)
}

func (r *row) get(name string) value { return r.values[r.dataset.place[name]] }

// at returns when the row happened.
func (r *row) at() time.Time { return time.UnixMicro(r.get(r.dataset.When).number).UTC() }

// amount returns the yen that a segment's sum counts.
func (r *row) amount() int64 {
	if r.dataset.Yen == "" {
		return 0
	}
	return r.get(r.dataset.Yen).number
}

// holds returns what is wrong with a row whose fields were read one by one.
func (r *row) holds() fault {
	for i := range r.values {
		f, v := &r.dataset.Fields[i], &r.values[i]
		switch {
		case f.Required && !v.set:
			return fault{f.Name, "the field is empty", "every row of " + r.dataset.Name + " needs it"}
		case f.textual() && len(v.text) > f.limit():
			return fault{f.Name, "the text is longer than " + strconv.Itoa(f.limit()) + " bytes", "check the separators, or shorten it"}
		case f.Type == InstantField && v.set && (v.number < earliest.UnixMicro() || v.number >= latest.UnixMicro()):
			return fault{f.Name, "the time lies outside the years 1900 to 2199", "correct the date"}
		case f.Type == YenField && (v.number > MaxAmountYen || v.number < -MaxAmountYen):
			return fault{f.Name, "the amount is beyond 1,000,000,000,000 yen", "correct the amount"}
		case f.Type == CodeField && v.set && !slices.Contains(f.Codes, v.text):
			return fault{f.Name, "there is no such code", "use one of " + joinWords(f.Codes) + ", or map it with values:"}
		}
	}
	if v := &r.values[versionAt]; !v.set {
		v.number, v.set = 1, true
	} else if v.number < 1 || v.number > maxVersion {
		return fault{"version", "the version is no number from 1 on", "count versions from 1, or leave the field out"}
	}
	return r.dataset.check(r)
}
