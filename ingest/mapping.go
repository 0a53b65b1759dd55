package ingest

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Maps holds mapping documents to start from, with every key explained:
// maps/uci-online-retail.yaml, maps/cdnow.yaml, maps/persons.yaml,
// maps/shops.yaml and maps/settlement.yaml.
//
//go:embed maps/*.yaml
var Maps embed.FS

// RecordType says what the rows of a mapped file are.
type RecordType string

// The record types; the others are the names of [Datasets].
const (
	PaymentRows RecordType = PaymentDataset
	PersonRows  RecordType = "person"
	ShopRows    RecordType = "shop"

	SettlementRows RecordType = "settlement"
)

// Mapping says how the columns of a file become records. It is strict both
// ways: a key that it does not know is refused with its line, and a column of
// the file that it neither uses nor ignores by name stops the run.
type Mapping struct {
	Record    RecordType        `yaml:"record"`
	Format    Format            `yaml:"format"` // CSV if empty
	Source    string            `yaml:"source"`
	Encoding  Encoding          `yaml:"encoding"`
	Delimiter string            `yaml:"delimiter"`
	Timezone  string            `yaml:"timezone"`
	Columns   map[string]Column `yaml:"columns"`
	Amount    *Amount           `yaml:"amount"`
	Kind      []KindRule        `yaml:"kind"`
	Trailer   *Trailer          `yaml:"trailer"`
	Ignore    []string          `yaml:"ignore"`

	location *time.Location
	file     string
	text     string // of the document
	dataset  *Dataset
}

// Trailer describes rows of a file that are no records but the source's own
// totals, of each day or of the whole file.
type Trailer struct {
	Column string  `yaml:"column"` // that tells such a row
	Prefix *string `yaml:"prefix"`
	Equals *string `yaml:"equals"`
	Day    string  `yaml:"day"`    // the column of the day; the whole file if empty
	Layout Names   `yaml:"layout"` // of the day
	Rows   string  `yaml:"rows"`   // the column of the number of rows
	Yen    string  `yaml:"yen"`    // the column of the sum of yen, or empty
}

// Column says where a field comes from: one column or several joined, or a
// constant. "$line" stands for the row's line number in the file.
type Column struct {
	From   Names             `yaml:"from"`
	Join   *string           `yaml:"join"`   // between several; "-" if absent
	Const  *string           `yaml:"const"`  // instead of from
	Layout Names             `yaml:"layout"` // of a time or day, in Go's notation of 2006-01-02 15:04:05
	Values map[string]string `yaml:"values"` // what each value of the file means; others are faults

	Thousands string `yaml:"thousands"` // of a number: the separator of thousands
}

// Amount says how the amount is computed: one column, or the product of
// several, times YenPerUnit. It is computed exactly.
type Amount struct {
	Column     string   `yaml:"column"`
	Product    []string `yaml:"product"`
	YenPerUnit int64    `yaml:"yen_per_unit"` // 1 if absent
	Thousands  string   `yaml:"thousands"`    // the separator of thousands, if the file writes one
	Round      Rounding `yaml:"round"`
	Absolute   []Kind   `yaml:"absolute"` // kinds whose sign is dropped
}

// KindRule gives a kind to the rows whose column has the prefix or equals the
// text. The first rule that fits decides; one without a column always fits.
type KindRule struct {
	Column string  `yaml:"column"`
	Prefix *string `yaml:"prefix"`
	Equals *string `yaml:"equals"`
	Kind   Kind    `yaml:"kind"`
}

// Names is a text or a list of texts.
type Names []string

// UnmarshalYAML reads either form.
func (n *Names) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*n = Names{node.Value}
		return nil
	}
	var list []string
	if err := node.Decode(&list); err != nil {
		return fmt.Errorf("line %d: write a name or a list of names", node.Line)
	}
	*n = list
	return nil
}

const lineNumber = "$line"

// The fields that each record type has; those that are true must be mapped.
var mappedFields = map[RecordType]map[string]bool{
	PaymentRows: {
		"record_id": true, "service_type": true, "service_id": false, "person_id": false,
		"shop_id": true, "shop_name": false, "merchant_id": false, "terminal_id": false,
		"occurred_at": true, "target_id": false, "group_id": false, "active": false, "consent_id": false,
	},
	PersonRows: {"id": true, "sex": false, "born_on": false, "area": false, "consent_id": false, "test": false},
	ShopRows:   {"id": true, "name": true, "merchant": false, "operator": false, "industry": false, "area": false},
	SettlementRows: {
		"shop_id": true, "service_id": false, "from": true, "to": true, "amount_yen": true, "fee_yen": true, "net_yen": true,
	},
}

// fieldTypes are the types of the fields that are no texts.
var fieldTypes = map[string]FieldType{"occurred_at": InstantField, "born_on": DayField, "active": FlagField, "test": FlagField,
	"from": DayField, "to": DayField, "amount_yen": YenField, "fee_yen": YenField, "net_yen": YenField}

// fields returns the fields of the mapping's records and whether each must be
// mapped, or nil where there is no such record.
func (m *Mapping) fields() map[string]bool {
	if m.dataset == nil {
		return mappedFields[m.Record]
	}
	fields := make(map[string]bool, len(m.dataset.Fields))
	for _, f := range m.dataset.Fields {
		fields[f.Name] = f.Required
	}
	return fields
}

func (m *Mapping) typeOf(field string) FieldType {
	if m.dataset != nil {
		return m.dataset.Fields[m.dataset.place[field]].Type
	}
	if t, ok := fieldTypes[field]; ok {
		return t
	}
	return TextField
}

// names returns the columns that the mapping uses, each once, in order.
func (m *Mapping) names() []string {
	var names []string
	for _, c := range m.Columns {
		names = append(names, c.From...)
	}
	if m.Amount != nil {
		names = append(names, m.Amount.Product...)
	}
	for _, rule := range m.Kind {
		names = append(names, rule.Column)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" || n == lineNumber })
}

// LoadMapping reads a mapping document from a file.
func LoadMapping(path string) (*Mapping, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseMapping(path, data)
}

// ParseMapping reads a mapping document; name is used in errors.
func ParseMapping(name string, data []byte) (*Mapping, error) {
	m := &Mapping{file: name, text: string(data)}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(m); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the document is empty")
		}
		return nil, fmt.Errorf("%s: %w: %s", name, ErrMapping, plainYAML(err))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w: it holds more than one document", name, ErrMapping)
	}
	if problem := m.complete(); problem != "" {
		return nil, fmt.Errorf("%s: %w: %s", name, ErrMapping, problem)
	}
	return m, nil
}

var unknownKey = regexp.MustCompile(`field (\S+) not found in type \S+`)

// plainYAML puts the decoder's words into ours.
func plainYAML(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	return strings.Join(strings.Fields(unknownKey.ReplaceAllString(text, `there is no key "$1"`)), " ")
}

// complete fills in defaults and returns what is wrong with the document.
func (m *Mapping) complete() string {
	m.dataset = DatasetByName(string(m.Record))
	fields := m.fields()
	if fields == nil {
		return "record: must be payment, person, shop, settlement" + recordNames()
	}
	switch m.Format {
	case "":
		m.Format = CSV
	case CSV, JSONL, Parquet:
	default:
		return "format: must be csv, jsonl or parquet"
	}
	if err := checkSource(m.Source); err != nil {
		return "source: must be the name of the source"
	}
	if !slices.Contains(encodings, m.Encoding) && m.Encoding != "" {
		return "encoding: must be " + Encodings()
	}
	if m.Format != CSV && (m.Encoding != "" && m.Encoding != UTF8 || m.Delimiter != "") {
		return "encoding: and delimiter: are for csv: the other formats are UTF-8"
	}
	if m.Delimiter == "" {
		m.Delimiter = ","
	}
	if len(m.Delimiter) != 1 || strings.ContainsAny(m.Delimiter, "\"\r\n\x00") || m.Delimiter[0] >= utf8.RuneSelf {
		return `delimiter: must be one character, such as "," or "\t"`
	}
	for name, c := range m.Columns {
		if _, ok := fields[name]; !ok {
			return fmt.Sprintf("columns: a %s has no field %s", m.Record, name)
		}
		if problem := c.check(); problem != "" {
			return fmt.Sprintf("columns: %s: %s", name, problem)
		}
		kind := m.typeOf(name)
		isTime := kind == InstantField || kind == DayField
		if typed := m.Format == Parquet && len(c.Layout) == 0; isTime && typed {
			c.Layout = parquetLayouts
			m.Columns[name] = c
		}
		if isTime != (len(c.Layout) > 0) {
			return fmt.Sprintf("columns: %s: layout: is for times and days, which must have one", name)
		}
		isNumber := kind == IntegerField || kind == YenField || kind == QuantityField
		if c.Thousands != "" && (!isNumber || badThousands(c.Thousands)) {
			return fmt.Sprintf(`columns: %s: thousands: is for numbers, and one character such as ","`, name)
		}
	}
	if problem := m.completeTrailer(); problem != "" {
		return problem
	}
	for name, required := range fields {
		if _, ok := m.Columns[name]; required && !ok {
			return fmt.Sprintf("columns: %s: must be mapped", name)
		}
	}
	if m.Record != PaymentRows {
		if m.Amount != nil || m.Kind != nil || m.Timezone != "" && m.dataset == nil {
			return "amount:, kind: and timezone: are for payments"
		}
		if m.dataset != nil {
			return m.completeZone()
		}
		return ""
	}
	if problem := m.completeZone(); problem != "" {
		return problem
	}
	return m.completePayment()
}

func recordNames() string {
	names := ""
	for i, d := range datasets {
		if names += ", "; i == len(datasets)-1 {
			names = names[:len(names)-2] + " or "
		}
		names += d.Name
	}
	return names
}

func badThousands(s string) bool { return len(s) > 1 || strings.ContainsAny(s, "0123456789.+-") }

// Attributes tells whether rows say what persons, shops or settlements are,
// rather than what happened.
func (m *Mapping) Attributes() bool {
	return m.Record == PersonRows || m.Record == ShopRows || m.Record == SettlementRows
}

func (m *Mapping) completeTrailer() string {
	t := m.Trailer
	switch {
	case t == nil:
	case m.Format != CSV:
		return "trailer: is for csv"
	case m.Attributes():
		return "trailer: is for what has a time"
	case t.Column == "" || (t.Prefix == nil) == (t.Equals == nil):
		return "trailer: must have column: and either prefix: or equals:"
	case t.Rows == "":
		return "trailer: rows: must name the column of the number of rows"
	case (t.Day == "") != (len(t.Layout) == 0):
		return "trailer: day: must have a layout:"
	}
	return ""
}

func (m *Mapping) completeZone() string {
	switch m.Timezone {
	case "":
		return "timezone: must be given, such as Asia/Tokyo"
	case "Asia/Tokyo":
		m.location = tokyo
	default:
		location, err := time.LoadLocation(m.Timezone)
		if err != nil || m.Timezone == "Local" { // the machine's own zone says nothing about the file
			return "timezone: there is no such zone"
		}
		m.location = location
	}
	return ""
}

func (m *Mapping) completePayment() string {
	a := m.Amount
	if a == nil || (a.Column == "") == (len(a.Product) == 0) {
		return "amount: must have either column: or product:"
	}
	if a.Column != "" {
		a.Product = []string{a.Column}
	}
	if a.YenPerUnit == 0 {
		a.YenPerUnit = 1
	}
	switch {
	case a.YenPerUnit < 0:
		return "amount: yen_per_unit: must be positive"
	case slices.Contains(a.Product, "") || slices.Contains(a.Product, lineNumber):
		return "amount: must name columns of the file"
	case badThousands(a.Thousands):
		return `amount: thousands: must be one character, such as ","`
	case !slices.Contains([]Rounding{RoundRefuse, RoundHalfEven, RoundDown}, a.Round):
		return "amount: round: must be half_even or down, or be left out to refuse parts of a yen"
	}
	for _, k := range a.Absolute {
		if !slices.Contains(kinds, k) {
			return "amount: absolute: must list kinds of " + joinKinds()
		}
	}
	if len(m.Kind) == 0 {
		return "kind: must have at least one rule"
	}
	for i, rule := range m.Kind {
		switch {
		case !slices.Contains(kinds, rule.Kind):
			return fmt.Sprintf("kind: rule %d: kind: must be one of %s", i+1, joinKinds())
		case rule.Column == lineNumber:
			return fmt.Sprintf("kind: rule %d: must name a column of the file", i+1)
		case rule.Column == "" && (rule.Prefix != nil || rule.Equals != nil):
			return fmt.Sprintf("kind: rule %d: must name its column", i+1)
		case rule.Column != "" && (rule.Prefix == nil) == (rule.Equals == nil):
			return fmt.Sprintf("kind: rule %d: must have either prefix: or equals:", i+1)
		case rule.Column == "" && i != len(m.Kind)-1:
			return fmt.Sprintf("kind: rule %d: always fits, so the rules after it never do", i+1)
		}
		if _, ok := m.Columns["target_id"]; rule.Kind.takesBack() != "" && !ok {
			return fmt.Sprintf("kind: rule %d: a %s names what it cancels: map target_id", i+1, rule.Kind)
		}
	}
	return ""
}

func (c *Column) check() string {
	switch {
	case (c.Const == nil) == (len(c.From) == 0):
		return "must have either from: or const:"
	case slices.Contains(c.From, ""):
		return "from: a name is empty"
	case c.Join != nil && len(c.From) < 2:
		return "join: is for several columns"
	case c.Const != nil && (len(c.Layout) > 0 || c.Values != nil):
		return "const: stands alone"
	case slices.Contains(c.Layout, ""):
		return "layout: is empty"
	}
	return ""
}

// bind finds the columns that the mapping names in a file's header and checks
// that every column of the header is decided about.
func (m *Mapping) bind(header []string) (*mappedParser, error) {
	position, err := indexHeader(header)
	if err != nil {
		return nil, err
	}
	used := make([]bool, len(header))
	find := func(name string) (int, error) {
		if name == lineNumber {
			return atLine, nil
		}
		i, ok := position[name]
		if !ok {
			return 0, &LineError{Line: 1, Field: name, Problem: "the mapping names a column that the file does not have",
				Remedy: "correct the mapping " + m.file + " or the export", Err: ErrMissingColumn}
		}
		used[i] = true
		return i, nil
	}
	p := &mappedParser{mapping: m, active: m.Columns["active"].From != nil || m.Columns["active"].Const != nil}
	for name := range m.fields() {
		c, ok := m.Columns[name]
		if !ok {
			continue
		}
		b := binding{field: name, join: "-", layout: c.Layout, values: c.Values}
		if c.Thousands != "" {
			b.thousands = c.Thousands[0]
		}
		if m.dataset != nil {
			b.at = m.dataset.place[name]
		}
		if c.Join != nil {
			b.join = *c.Join
		}
		if c.Const != nil {
			b.constant = *c.Const
		}
		for _, from := range c.From {
			i, err := find(from)
			if err != nil {
				return nil, err
			}
			b.from = append(b.from, i)
			b.column = from
		}
		p.bindings = append(p.bindings, b)
	}
	slices.SortFunc(p.bindings, func(a, b binding) int { return strings.Compare(a.field, b.field) })
	if m.Record == PaymentRows {
		for _, name := range m.Amount.Product {
			i, err := find(name)
			if err != nil {
				return nil, err
			}
			p.factors = append(p.factors, i)
		}
		for _, rule := range m.Kind {
			i := atLine
			if rule.Column != "" {
				if i, err = find(rule.Column); err != nil {
					return nil, err
				}
			}
			p.rules = append(p.rules, i)
		}
	}
	if t := m.Trailer; t != nil {
		p.trailer = &trailerRow{Trailer: t}
		names := [...]string{t.Column, t.Day, t.Rows, t.Yen}
		for i, at := range [...]*int{&p.trailer.at, &p.trailer.day, &p.trailer.rows, &p.trailer.yen} {
			if *at = atLine; names[i] != "" {
				if *at, err = find(names[i]); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, name := range m.Ignore {
		if i, ok := position[name]; ok {
			used[i] = true
		}
	}
	for i, name := range header {
		if !used[i] {
			return nil, &LineError{Line: 1, Field: name, Problem: "the mapping does not decide about the column",
				Remedy: "map it in " + m.file + ", or name it under ignore:", Err: ErrUnknownColumn}
		}
	}
	return p, nil
}
