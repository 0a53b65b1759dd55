package pseudonymize

import (
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/pseudonymize/scan"
)

// Plan is a policy made ready for data of one schema. It counts what it does,
// and is not safe for concurrent use.
type Plan struct {
	Schema *arrow.Schema // of what comes out
	policy Policy
	in     *arrow.Schema
	steps  []*step
	tokens *Tokenizer
	asOf   time.Time
	mem    memory.Allocator
	rows   int64
}

// step makes one column of the output.
type step struct {
	rule     Rule
	in       int // column of the input
	source   int // column that says who gave the row
	sameAs   int // step whose token is this one's too where both inputs are equal, or -1
	convert  func(p *Plan, s *step, in arrow.RecordBatch, done []arrow.Array) (arrow.Array, error)
	watch    *scan.Watch // of what goes on as text, or nil
	tokens   memo[Token]
	bands    memo[string]
	nulls    int64
	withheld int64 // values that could not be read, or that were taken out
}

// Compile makes a policy ready. Every column of the input must have a rule, or
// Compile returns *UnknownColumnError; a rule for a column that is not there is
// ErrPolicy, and a key of another purpose ErrPurpose. Ages are those on the day
// of asOf.
func (p Policy) Compile(in *arrow.Schema, t *Tokenizer, asOf time.Time) (*Plan, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if t.scope.Purpose != p.Purpose {
		return nil, fmt.Errorf("%w: %q and %q: name the policy's purpose in the configuration, or give another policy",
			ErrPurpose, p.Purpose, t.scope.Purpose)
	}
	for _, f := range in.Fields() {
		if !slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.From == f.Name }) {
			return nil, &UnknownColumnError{Column: f.Name}
		}
	}
	plan := &Plan{policy: p, in: in, tokens: t, asOf: asOf, mem: memory.DefaultAllocator}
	source := slices.IndexFunc(in.Fields(), func(f arrow.Field) bool { return f.Name == p.Source })
	var fields []arrow.Field
	for _, r := range p.Rules {
		i := slices.IndexFunc(in.Fields(), func(f arrow.Field) bool { return f.Name == r.From })
		if i < 0 {
			return nil, noColumn(r.From, p.Dataset)
		}
		if r.Action == Drop {
			continue
		}
		if r.Action == Tokenize && r.Within == "" && source < 0 {
			return nil, fmt.Errorf("%w: tokens need the source column %q", ErrPolicy, p.Source)
		}
		s := &step{rule: r, in: i, source: source, sameAs: -1}
		field, err := s.resolve(in.Field(i))
		if err != nil {
			return nil, err
		}
		if r.Action == Tokenize {
			s.sameAs = slices.IndexFunc(plan.steps, func(o *step) bool {
				return o.rule.Action == Tokenize && o.rule.Domain == r.Domain && o.rule.Within == r.Within
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
	mismatch := func(what string) error {
		return fmt.Errorf("%w: %s of %q needs %s, and the column is %s", ErrPolicy, s.rule.Action, in.Name, what, in.Type)
	}
	want := func(id arrow.Type) error {
		if in.Type.ID() != id {
			return mismatch(id.String())
		}
		return nil
	}
	words := func() error {
		if !isText(in.Type) {
			return mismatch("text, plain or dictionary-encoded")
		}
		return nil
	}
	instant := func() error {
		if t, ok := in.Type.(*arrow.TimestampType); !ok || t.Unit != arrow.Microsecond || t.TimeZone == "" {
			return mismatch("an instant in microseconds (a timestamp with a zone)")
		}
		return nil
	}
	var err error
	switch s.rule.Action {
	case Keep:
		out.Type, s.convert = in.Type, keep
		s.watch = scan.NewWatch(s.rule.From)
	case Tokenize:
		out.Type, s.convert = &arrow.FixedSizeBinaryType{ByteWidth: TokenSize}, tokenize
		err = words()
	case AgeBand:
		out.Type, s.convert = arrow.BinaryTypes.String, ageBand
		err = words()
	case AmountBand:
		out.Type, s.convert = arrow.BinaryTypes.String, amountBand
		err = want(arrow.INT64)
	case Area:
		generalise := areas[s.rule.To]
		out.Type, s.convert = in.Type, mapWords(generalise)
		s.watch = scan.NewWatch(s.rule.From)
		err = words()
	case Category:
		out.Type, s.convert = in.Type, mapWords(s.rule.category)
		err = words()
	case FreeText:
		out.Type, out.Nullable, s.convert = in.Type, true, freeText
		s.watch = scan.NewWatch(s.rule.From)
		err = want(arrow.STRING)
	case LocalDay, LocalWeek:
		out.Type, s.convert = arrow.FixedWidthTypes.Date32, localDay
		err = instant()
	case LocalTime, LocalHour:
		out.Type, s.convert = LocalTimeType, localTime
		err = instant()
	case LocalMonth:
		out.Type, s.convert = arrow.BinaryTypes.String, localMonth
		err = instant()
	}
	return out, err
}

func isText(t arrow.DataType) bool {
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	return t.ID() == arrow.STRING
}

// Apply makes a batch of the output from a batch of the input, which has the
// schema that the plan was made for. Where a column that was to go on holds what
// must not it returns *FoundError. The caller releases both.
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
		s.nulls += int64(c.NullN())
		if s.watch != nil && s.rule.Action != FreeText {
			if err := s.look(c); err != nil {
				return nil, err
			}
		}
	}
	p.rows += in.NumRows()
	return array.NewRecordBatch(p.Schema, columns, in.NumRows()), nil
}

// look scans what goes on.
func (s *step) look(c arrow.Array) error {
	for v := range scan.Texts(c) {
		s.watch.Look(v)
	}
	if found := s.watch.Found.Without(s.rule.exempt()); len(found) > 0 {
		return &FoundError{Column: s.rule.From, Found: found}
	}
	return nil
}

// Report says what a plan has done so far.
type Report struct {
	Policy  Policy
	Rows    int64
	Columns []ColumnReport // in the order of the rules
}

// ColumnReport is what became of a column.
type ColumnReport struct {
	Rule     Rule
	Type     string      // of the output; empty for drop
	Nulls    int64       // rows without a value
	Withheld int64       // rows whose value could not be read, or was taken out
	Scanned  int         // different values that a scanner looked at
	Found    scan.Counts // what it found; only what is exempted or was taken out
}

// Report is for the evidence of a run.
func (p *Plan) Report() Report {
	r := Report{Policy: p.policy, Rows: p.rows}
	at := 0
	for _, rule := range p.policy.Rules {
		c := ColumnReport{Rule: rule}
		if rule.Action != Drop {
			s := p.steps[at]
			c.Type, c.Nulls, c.Withheld = p.Schema.Field(at).Type.String(), s.nulls, s.withheld
			if s.watch != nil {
				c.Scanned, c.Found = s.watch.Values, s.watch.Found
			}
			at++
		}
		r.Columns = append(r.Columns, c)
	}
	return r
}
