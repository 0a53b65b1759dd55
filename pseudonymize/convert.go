package pseudonymize

import (
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/internal/words"
)

func keep(_ *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	c := in.Column(s.in)
	c.Retain()
	return c, nil
}

// texts reads a string column, plain or dictionary-encoded, where it has no
// null.
func texts(c arrow.Array) (func(i int) string, error) {
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

// mapWords changes each word of a column. A word that cannot be read becomes
// nothing.
func mapWords(change func(string) (string, bool)) func(*Plan, *step, arrow.RecordBatch, []arrow.Array) (arrow.Array, error) {
	type result struct {
		word string
		ok   bool
	}
	known := map[string]result{}
	changed := func(word string) result {
		r, ok := known[word]
		if !ok {
			r.word, r.ok = change(word)
			if len(known) >= maxCached {
				clear(known)
			}
			known[word] = r
		}
		return r
	}
	return func(p *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
		c := in.Column(s.in)
		value, err := texts(c)
		if err != nil {
			return nil, err
		}
		if d, ok := c.(*array.Dictionary); ok && d.Indices().DataType().ID() == arrow.INT32 {
			return mapCodes(s, d, func(word string) (string, bool) { r := changed(word); return r.word, r.ok })
		}
		b := array.NewBuilder(p.mem, c.DataType())
		defer b.Release()
		var add func(string) error
		switch b := b.(type) {
		case *array.StringBuilder:
			add = func(w string) error { b.Append(w); return nil }
		case *array.BinaryDictionaryBuilder:
			add = b.AppendString
		}
		for i := range c.Len() {
			if c.IsNull(i) {
				b.AppendNull()
				continue
			}
			r := changed(value(i))
			if !r.ok {
				s.withheld++
			}
			if err := add(r.word); err != nil {
				return nil, err
			}
		}
		return b.NewArray(), nil
	}
}

// mapCodes changes the words of a dictionary that rows have, each once.
func mapCodes(s *step, c *array.Dictionary, change func(string) (string, bool)) (arrow.Array, error) {
	list := c.Dictionary().(*array.String)
	as := make([]int32, list.Len()) // the new codes plus one
	lost := make([]bool, list.Len())
	var made words.Table
	codes := array.NewInt32Builder(memory.DefaultAllocator)
	defer codes.Release()
	codes.Reserve(c.Len())
	nulls := c.NullN() > 0
	for i := range c.Len() {
		if nulls && c.IsNull(i) {
			codes.AppendNull()
			continue
		}
		code := c.GetValueIndex(i)
		if as[code] == 0 {
			word, ok := change(list.Value(code))
			n, _ := made.Number(word)
			as[code], lost[code] = n+1, !ok
		}
		if lost[code] {
			s.withheld++
		}
		codes.UnsafeAppend(as[code] - 1)
	}
	indices, texts := codes.NewArray(), made.Array()
	defer indices.Release()
	defer texts.Release()
	return array.NewDictionaryArray(c.DataType(), indices, texts), nil
}

// category is the coarser code of a code.
func (r Rule) category(code string) (string, bool) {
	if coarse, ok := r.Codes[code]; ok {
		return coarse, true
	}
	return r.Other, true
}

// freeText lets a text go on in which no scanner finds anything.
func freeText(p *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	c := in.Column(s.in).(*array.String)
	b := array.NewStringBuilder(p.mem)
	defer b.Release()
	for i := range c.Len() {
		switch {
		case c.IsNull(i):
			b.AppendNull()
		case s.watch.Look(c.Value(i)):
			s.withheld++
			b.AppendNull()
		default:
			b.Append(c.Value(i))
		}
	}
	return b.NewArray(), nil
}

// UnknownBand is the band of persons whose birth date is not known.
const UnknownBand = "unknown"

func ageBand(p *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	column := in.Column(s.in)
	born, err := texts(column)
	if err != nil {
		return nil, err
	}
	b := array.NewStringBuilder(p.mem)
	defer b.Release()
	b.Reserve(column.Len())
	b.ReserveData(column.Len() * len(UnknownBand))
	width, top := s.rule.ages()
	band := func(day string) (string, error) {
		if day == "" {
			return UnknownBand, nil
		}
		return bandOf(day, p.asOf, width, top)
	}
	d, coded := column.(*array.Dictionary)
	if coded {
		s.bands.follow(d.Dictionary().(*array.String), "")
	}
	days := map[string]string{}
	for i := range column.Len() {
		if column.IsNull(i) {
			b.Append(UnknownBand)
			continue
		}
		var text string
		known := false
		if coded {
			code := d.GetValueIndex(i)
			text, known = s.bands.made[code], s.bands.known[code]
		} else {
			text, known = days[born(i)]
		}
		if !known {
			if text, err = band(born(i)); err != nil {
				return nil, err
			}
			if coded {
				code := d.GetValueIndex(i)
				s.bands.made[code], s.bands.known[code] = text, true
			} else {
				days[born(i)] = text
			}
		}
		b.Append(text)
	}
	return b.NewArray(), nil
}

// Band is the ten-year band of somebody born on a day (YYYY-MM-DD), on the day
// of asOf in Tokyo. Years completed are counted, so that the age changes on the
// birthday, and on 1 March for those born on 29 February.
func Band(bornOn string, asOf time.Time) (string, error) { return bandOf(bornOn, asOf, 10, 90) }

func bandOf(bornOn string, asOf time.Time, width, top int) (string, error) {
	born, err := time.Parse(time.DateOnly, bornOn)
	if err != nil {
		return "", errors.New("a birth date is not of the form YYYY-MM-DD")
	}
	today := asOf.In(tokyo)
	age := today.Year() - born.Year()
	if today.Month() < born.Month() || (today.Month() == born.Month() && today.Day() < born.Day()) {
		age--
	}
	switch {
	case age < 0 || age > 130:
		return UnknownBand, nil
	case age >= top:
		return fmt.Sprintf("%d+", top), nil
	}
	return fmt.Sprintf("%d-%d", age/width*width, age/width*width+width-1), nil
}

func amountBand(p *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	yen := in.Column(s.in).(*array.Int64)
	b := array.NewStringBuilder(p.mem)
	defer b.Release()
	lowest, top := s.rule.amounts()
	for i := range yen.Len() {
		if yen.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(bandOfYen(yen.Value(i), lowest, top))
	}
	return b.NewArray(), nil
}

// bandOfYen is the band of an amount: 0, 1-99, 100-199, 200-499, 500-999 … and
// one from the top upwards. Those below zero are the same with a minus.
func bandOfYen(v, lowest, top int64) string {
	switch {
	case v == 0:
		return "0"
	case v <= -top: // the least int64 has no opposite
		return fmt.Sprintf("minus %d+", top)
	case v < 0:
		return "minus " + bandOfYen(-v, lowest, top)
	case v >= top:
		return fmt.Sprintf("%d+", top)
	case v < lowest:
		return fmt.Sprintf("1-%d", lowest-1)
	}
	from := lowest
	for {
		to := next125(from)
		if v < to {
			return fmt.Sprintf("%d-%d", from, to-1)
		}
		from = to
	}
}

// next125 is the number after one of the row 1, 2, 5, 10, 20, 50 …
func next125(n int64) int64 {
	lead := n
	for lead >= 10 {
		lead /= 10
	}
	if lead == 2 {
		return n / 2 * 5
	}
	return n * 2
}

func is125(n int64) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1 || n == 2 || n == 5
}

// tokyo has had no daylight saving since 1951.
var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

const (
	microsPerMinute = 60 * 1_000_000
	microsPerHour   = 60 * microsPerMinute
	microsPerDay    = 24 * microsPerHour
	tokyoOffset     = 9 * microsPerHour
)

// floorDiv divides towards −∞, as days before 1970 need.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func localDay(p *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	at := in.Column(s.in).(*array.Timestamp)
	b := array.NewDate32Builder(p.mem)
	defer b.Release()
	b.Reserve(at.Len())
	for i := range at.Len() {
		if at.IsNull(i) {
			b.AppendNull()
			continue
		}
		day := floorDiv(int64(at.Value(i))+tokyoOffset, microsPerDay)
		if s.rule.Action == LocalWeek {
			day = floorDiv(day+3, 7)*7 - 3 // day 0 was a Thursday
		}
		b.Append(arrow.Date32(day))
	}
	return b.NewArray(), nil
}

func localTime(p *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
	at := in.Column(s.in).(*array.Timestamp)
	b := array.NewTimestampBuilder(p.mem, LocalTimeType)
	defer b.Release()
	b.Reserve(at.Len())
	unit := int64(microsPerMinute)
	if s.rule.Action == LocalHour {
		unit = microsPerHour
	}
	for i := range at.Len() {
		if at.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(arrow.Timestamp(floorDiv(int64(at.Value(i))+tokyoOffset, unit) * unit))
	}
	return b.NewArray(), nil
}

func localMonth(p *Plan, s *step, in arrow.RecordBatch, _ []arrow.Array) (arrow.Array, error) {
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
