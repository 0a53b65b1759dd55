package pseudonymize

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.yaml.in/yaml/v3"
)

// Action is what becomes of a column.
type Action string

// The actions there are.
const (
	Drop       Action = "drop"        // nothing of it goes on
	Keep       Action = "keep"        // goes on as it is: codes and amounts
	Tokenize   Action = "token"       // a token takes its place
	AgeBand    Action = "age_band"    // a birth date becomes a ten-year band, 90 and over in one
	LocalDay   Action = "local_day"   // an instant becomes the day in Asia/Tokyo
	LocalTime  Action = "local_time"  // an instant becomes the wall clock in Asia/Tokyo, to the minute
	LocalMonth Action = "local_month" // an instant becomes the month, YYYY-MM
)

// Rule says what becomes of one column. A column may have several rules.
type Rule struct {
	From   string `yaml:"from"`
	Action Action `yaml:"action"`
	As     string `yaml:"as"`     // the column of the lake; empty for drop
	Domain string `yaml:"domain"` // for token: what kind of identifier it is
	Law    string `yaml:"law"`    // why, for the evidence
}

// Policy is a field policy (加工方法): a rule for every column of a dataset.
type Policy struct {
	Version string `yaml:"version"`
	Dataset string `yaml:"dataset"`
	Source  string `yaml:"source"` // the column that says who gave the row
	Rules   []Rule `yaml:"rules"`
}

//go:embed payment.yaml
var paymentPolicy []byte

// PaymentPolicy is the policy for payments that comes with the program.
func PaymentPolicy() Policy {
	p, err := ParsePolicy(paymentPolicy)
	if err != nil {
		panic("pseudonymize: payment.yaml: " + err.Error())
	}
	return p
}

// ParsePolicy reads a policy document (YAML). Members it does not know are an
// error.
func ParsePolicy(text []byte) (Policy, error) {
	var p Policy
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return p, fmt.Errorf("%w: something follows the document", ErrPolicy)
	}
	return p, p.check()
}

// check returns what is wrong with a policy, whatever the data are.
func (p Policy) check() error {
	if p.Version == "" || p.Dataset == "" || len(p.Rules) == 0 {
		return fmt.Errorf("%w: it needs a version, a dataset and rules", ErrPolicy)
	}
	var made, dropped, used []string
	for _, r := range p.Rules {
		if r.From == "" {
			return fmt.Errorf("%w: a rule names no column (\"from\")", ErrPolicy)
		}
		switch r.Action {
		case Drop:
			if r.As != "" {
				return fmt.Errorf("%w: %s is dropped, so it has no \"as\"", ErrPolicy, r.From)
			}
			dropped = append(dropped, r.From)
			continue
		case Keep, AgeBand, LocalDay, LocalTime, LocalMonth:
		case Tokenize:
			if r.Domain == "" {
				return fmt.Errorf("%w: %s needs a domain", ErrPolicy, r.From)
			}
		default:
			return fmt.Errorf("%w: %s has the unknown action %q", ErrPolicy, r.From, r.Action)
		}
		if r.As == "" || slices.Contains(made, r.As) {
			return fmt.Errorf("%w: every rule makes a column of its own (%q from %q)", ErrPolicy, r.As, r.From)
		}
		made, used = append(made, r.As), append(used, r.From)
	}
	for _, column := range dropped {
		if slices.Contains(used, column) {
			return fmt.Errorf("%w: %s is dropped by one rule and goes on by another", ErrPolicy, column)
		}
	}
	return nil
}

// Plan is a policy made ready for data of one schema.
type Plan struct {
	Schema *arrow.Schema // of what comes out
	in     *arrow.Schema
	steps  []step
	tokens *Tokenizer
	asOf   time.Time
	mem    memory.Allocator
}

// step makes one column of the output.
type step struct {
	rule    Rule
	in      int // column of the input
	source  int // column that says who gave the row
	sameAs  int // step whose token is this one's too where both inputs are equal, or -1
	convert func(p *Plan, s step, in arrow.RecordBatch, done []arrow.Array) (arrow.Array, error)
}

// Compile makes a policy ready. Every column of the input must have a rule, or
// Compile returns *UnknownColumnError; a rule for a column that is not there is
// ErrPolicy. Ages are those on the day of asOf.
func (p Policy) Compile(in *arrow.Schema, t *Tokenizer, asOf time.Time) (*Plan, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, f := range in.Fields() {
		if !slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.From == f.Name }) {
			return nil, &UnknownColumnError{Column: f.Name}
		}
	}
	plan := &Plan{in: in, tokens: t, asOf: asOf, mem: memory.DefaultAllocator}
	source := slices.IndexFunc(in.Fields(), func(f arrow.Field) bool { return f.Name == p.Source })
	var fields []arrow.Field
	for _, r := range p.Rules {
		i := slices.IndexFunc(in.Fields(), func(f arrow.Field) bool { return f.Name == r.From })
		if i < 0 {
			return nil, fmt.Errorf("%w: there is no column %q in the data", ErrPolicy, r.From)
		}
		if r.Action == Drop {
			continue
		}
		if r.Action == Tokenize && source < 0 {
			return nil, fmt.Errorf("%w: tokens need the source column %q", ErrPolicy, p.Source)
		}
		s := step{rule: r, in: i, source: source, sameAs: -1}
		field, err := s.resolve(in.Field(i))
		if err != nil {
			return nil, err
		}
		if r.Action == Tokenize {
			s.sameAs = slices.IndexFunc(plan.steps, func(o step) bool {
				return o.rule.Action == Tokenize && o.rule.Domain == r.Domain
			})
		}
		fields = append(fields, field)
		plan.steps = append(plan.steps, s)
	}
	plan.Schema = arrow.NewSchema(fields, nil)
	return plan, nil
}

// LocalTimeType is the type of wall clocks: no zone, since it is Tokyo's.
var LocalTimeType = &arrow.TimestampType{Unit: arrow.Microsecond}

// resolve picks the conversion and the type of the output.
func (s *step) resolve(in arrow.Field) (arrow.Field, error) {
	out := arrow.Field{Name: s.rule.As, Nullable: in.Nullable}
	want := func(id arrow.Type) error {
		if in.Type.ID() != id {
			return fmt.Errorf("%w: %s of %q needs %s, and the column is %s", ErrPolicy, s.rule.Action, in.Name, id, in.Type)
		}
		return nil
	}
	instant := func() error {
		if t, ok := in.Type.(*arrow.TimestampType); !ok || t.Unit != arrow.Microsecond || t.TimeZone == "" {
			return fmt.Errorf("%w: %s of %q needs an instant in microseconds (a timestamp with a zone), and the column is %s", ErrPolicy, s.rule.Action, in.Name, in.Type)
		}
		return nil
	}
	var err error
	switch s.rule.Action {
	case Keep:
		out.Type, s.convert = in.Type, keep
	case Tokenize:
		out.Type, s.convert = &arrow.FixedSizeBinaryType{ByteWidth: TokenSize}, tokenize
		err = want(arrow.STRING)
	case AgeBand:
		out.Type, s.convert = arrow.BinaryTypes.String, ageBand
		err = want(arrow.STRING)
	case LocalDay:
		out.Type, s.convert = arrow.FixedWidthTypes.Date32, localDay
		err = instant()
	case LocalTime:
		out.Type, s.convert = LocalTimeType, localTime
		err = instant()
	case LocalMonth:
		out.Type, s.convert = arrow.BinaryTypes.String, localMonth
		err = instant()
	}
	return out, err
}

// Apply makes a batch of the output from a batch of the input, which has the
// schema that the plan was made for. The caller releases both.
func (p *Plan) Apply(in arrow.RecordBatch) (arrow.RecordBatch, error) {
	if !in.Schema().Equal(p.in) {
		return nil, fmt.Errorf("%w: the data have other columns than the plan was made for", ErrPolicy)
	}
	columns := make([]arrow.Array, 0, len(p.steps))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for _, s := range p.steps {
		c, err := s.convert(p, s, in, columns)
		if err != nil {
			return nil, fmt.Errorf("%s of column %q: %w", s.rule.Action, s.rule.From, err)
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(p.Schema, columns, in.NumRows()), nil
}

func keep(_ *Plan, s step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	c := in.Column(s.in)
	c.Retain()
	return c, nil
}

func tokenize(p *Plan, s step, in arrow.RecordBatch, done []arrow.Array) (arrow.Array, error) {
	values := in.Column(s.in).(*array.String)
	source, err := texts(in.Column(s.source))
	if err != nil {
		return nil, err
	}
	b := array.NewFixedSizeBinaryBuilder(p.mem, &arrow.FixedSizeBinaryType{ByteWidth: TokenSize})
	defer b.Release()
	b.Reserve(values.Len())
	make := p.tokens.Token
	if s.rule.Domain == "person" || s.rule.Domain == "consent" {
		make = p.tokens.Remembered
	}
	var twin *array.String // a column whose tokens are made already
	var twins *array.FixedSizeBinary
	if s.sameAs >= 0 {
		twin, twins = in.Column(p.steps[s.sameAs].in).(*array.String), done[s.sameAs].(*array.FixedSizeBinary)
	}
	for i := range values.Len() {
		if values.IsNull(i) {
			b.AppendNull()
			continue
		}
		v := values.Value(i)
		if twin != nil && !twin.IsNull(i) && twin.Value(i) == v {
			b.Append(twins.Value(i))
			continue
		}
		token, err := make(s.rule.Domain, source(i), v)
		if err != nil {
			return nil, err
		}
		b.Append(token[:])
	}
	return b.NewArray(), nil
}

// texts reads a string column, plain or dictionary-encoded. A null in it would
// read as some other row's text, so there may be none.
func texts(c arrow.Array) (func(i int) string, error) {
	if c.NullN() > 0 {
		return nil, fmt.Errorf("%w: a row does not say which source it is from", ErrPolicy)
	}
	switch c := c.(type) {
	case *array.String:
		return c.Value, nil
	case *array.Dictionary:
		words, ok := c.Dictionary().(*array.String)
		if !ok {
			return nil, fmt.Errorf("%w: a dictionary of %s holds no text", ErrPolicy, c.Dictionary().DataType())
		}
		return func(i int) string { return words.Value(c.GetValueIndex(i)) }, nil
	}
	return nil, fmt.Errorf("%w: %s is no text", ErrPolicy, c.DataType())
}

// UnknownBand is the band of persons whose birth date is not known.
const UnknownBand = "unknown"

func ageBand(p *Plan, s step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	born := in.Column(s.in).(*array.String)
	b := array.NewStringBuilder(p.mem)
	defer b.Release()
	bands := map[string]string{}
	for i := range born.Len() {
		if born.IsNull(i) || born.Value(i) == "" {
			b.Append(UnknownBand)
			continue
		}
		band, ok := bands[born.Value(i)]
		if !ok {
			var err error
			if band, err = Band(born.Value(i), p.asOf); err != nil {
				return nil, err
			}
			bands[born.Value(i)] = band
		}
		b.Append(band)
	}
	return b.NewArray(), nil
}

// Band is the ten-year band of somebody born on a day (YYYY-MM-DD), on the day
// of asOf in Tokyo. Years completed are counted, so that the age changes on the
// birthday, and on 1 March for those born on 29 February.
func Band(bornOn string, asOf time.Time) (string, error) {
	born, err := time.Parse(time.DateOnly, bornOn)
	if err != nil {
		return "", fmt.Errorf("a birth date is not of the form YYYY-MM-DD")
	}
	today := asOf.In(tokyo)
	age := today.Year() - born.Year()
	if today.Month() < born.Month() || (today.Month() == born.Month() && today.Day() < born.Day()) {
		age--
	}
	switch {
	case age < 0 || age > 130:
		return UnknownBand, nil
	case age >= 90:
		return "90+", nil
	}
	return fmt.Sprintf("%d-%d", age/10*10, age/10*10+9), nil
}

// tokyo has had no daylight saving since 1951.
var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

const (
	microsPerMinute = 60 * 1_000_000
	microsPerDay    = 24 * 60 * microsPerMinute
	tokyoOffset     = 9 * 60 * microsPerMinute
)

// floorDiv divides towards −∞, as days before 1970 need.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func localDay(p *Plan, s step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	at := in.Column(s.in).(*array.Timestamp)
	b := array.NewDate32Builder(p.mem)
	defer b.Release()
	b.Reserve(at.Len())
	for i := range at.Len() {
		if at.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(arrow.Date32(floorDiv(int64(at.Value(i))+tokyoOffset, microsPerDay)))
	}
	return b.NewArray(), nil
}

func localTime(p *Plan, s step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	at := in.Column(s.in).(*array.Timestamp)
	b := array.NewTimestampBuilder(p.mem, LocalTimeType)
	defer b.Release()
	b.Reserve(at.Len())
	for i := range at.Len() {
		if at.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(arrow.Timestamp(floorDiv(int64(at.Value(i))+tokyoOffset, microsPerMinute) * microsPerMinute))
	}
	return b.NewArray(), nil
}

func localMonth(p *Plan, s step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	at := in.Column(s.in).(*array.Timestamp)
	b := array.NewStringBuilder(p.mem)
	defer b.Release()
	var day int64 = -1 << 62
	var month string
	for i := range at.Len() {
		if at.IsNull(i) {
			b.AppendNull()
			continue
		}
		if d := floorDiv(int64(at.Value(i))+tokyoOffset, microsPerDay); d != day {
			day, month = d, time.Unix(d*86400, 0).UTC().Format("2006-01")
		}
		b.Append(month)
	}
	return b.NewArray(), nil
}
