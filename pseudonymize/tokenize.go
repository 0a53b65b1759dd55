package pseudonymize

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func tokenize(p *Plan, s *step, in arrow.RecordBatch, done []arrow.Array) (arrow.Array, error) {
	column := in.Column(s.in)
	value, err := texts(column)
	if err != nil {
		return nil, err
	}
	source := func(int) string { return s.rule.Within }
	only, one := s.rule.Within, s.rule.Within != ""
	if !one {
		c := in.Column(s.source)
		// A null would read as some other row's text.
		if c.NullN() > 0 {
			return nil, fmt.Errorf("%w: a row does not say which source it is from", ErrPolicy)
		}
		if source, err = texts(c); err != nil {
			return nil, err
		}
		if d, ok := c.(*array.Dictionary); ok && d.Dictionary().Len() == 1 {
			only, one = source(0), true
		}
	}
	out := make([]byte, column.Len()*TokenSize)
	d, coded := column.(*array.Dictionary)
	if coded && one && column.Len() > 0 {
		return p.tokenizeWords(s, d, only, out)
	}
	make := p.tokens.Token
	if s.rule.Domain == "person" || s.rule.Domain == "consent" || coded {
		make = p.tokens.Remembered
	}
	var twin arrow.Array // a column whose tokens are made already
	var twinValue func(int) string
	var twins *array.FixedSizeBinary
	if s.sameAs >= 0 {
		twin, twins = in.Column(p.steps[s.sameAs].in), done[s.sameAs].(*array.FixedSizeBinary)
		if twinValue, err = texts(twin); err != nil {
			return nil, err
		}
	}
	nulls, twinNulls := column.NullN() > 0, twin != nil && twin.NullN() > 0
	for i := range column.Len() {
		if nulls && column.IsNull(i) {
			continue
		}
		to, v := out[i*TokenSize:(i+1)*TokenSize], value(i)
		if twin != nil && !(twinNulls && twin.IsNull(i)) && twinValue(i) == v {
			copy(to, twins.Value(i))
			continue
		}
		token, err := make(s.rule.Domain, source(i), v)
		if err != nil {
			return nil, err
		}
		copy(to, token[:])
	}
	return tokensLike(column, out), nil
}

// tokenizeWords makes the token of each word of a dictionary once.
func (p *Plan) tokenizeWords(s *step, column *array.Dictionary, source string, out []byte) (arrow.Array, error) {
	words, ok := column.Dictionary().(*array.String)
	if !ok {
		return nil, fmt.Errorf("%w: a dictionary of %s holds no text", ErrPolicy, column.Dictionary().DataType())
	}
	s.tokens.follow(words, source)
	nulls := column.NullN() > 0
	for i := range column.Len() {
		if nulls && column.IsNull(i) {
			continue
		}
		code := column.GetValueIndex(i)
		if !s.tokens.known[code] {
			token, err := p.tokens.Remembered(s.rule.Domain, source, words.Value(code))
			if err != nil {
				return nil, err
			}
			s.tokens.made[code], s.tokens.known[code] = token, true
		}
		copy(out[i*TokenSize:(i+1)*TokenSize], s.tokens.made[code][:])
	}
	return tokensLike(column, out), nil
}

// tokensLike makes a column of tokens that is null where another is.
func tokensLike(like arrow.Array, tokens []byte) arrow.Array {
	var valid *memory.Buffer
	if like.NullN() > 0 {
		bits := make([]byte, (like.Len()+7)/8)
		for i := range like.Len() {
			if like.IsValid(i) {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		valid = memory.NewBufferBytes(bits)
	}
	data := array.NewData(&arrow.FixedSizeBinaryType{ByteWidth: TokenSize}, like.Len(),
		[]*memory.Buffer{valid, memory.NewBufferBytes(tokens)}, nil, like.NullN(), 0)
	defer data.Release()
	return array.NewFixedSizeBinaryData(data)
}
