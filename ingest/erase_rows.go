package ingest

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"meguri/pseudonymize/lake"
)

// marker tells which rows of the personal plane's files go.
type marker struct {
	Erasure
	persons map[string]*idSet // by source
}

// idSet are IDs that are looked for among many others: nearly all of those are
// known by their ends.
type idSet struct {
	all  map[string]bool
	ends [1 << 16]bool
}

func (s *idSet) add(id string) {
	s.all[id] = true
	s.ends[endOf(id)] = true
}

func (s *idSet) has(id string) bool { return s != nil && s.ends[endOf(id)] && s.all[id] }

// endOf is a number that is made of the last eight bytes of an ID.
func endOf(id string) uint16 {
	if len(id) < 8 {
		id = "\x00\x00\x00\x00\x00\x00\x00\x00" + id
	}
	id = id[len(id)-8:]
	end := uint64(id[0]) | uint64(id[1])<<8 | uint64(id[2])<<16 | uint64(id[3])<<24 |
		uint64(id[4])<<32 | uint64(id[5])<<40 | uint64(id[6])<<48 | uint64(id[7])<<56
	return uint16(end * 0x9e3779b97f4a7c15 >> 48) // Fibonacci hashing: neighbours lie apart
}

func (x Erasure) marker() *marker {
	m := &marker{x, map[string]*idSet{}}
	for _, p := range x.Persons {
		if m.persons[p.Source] == nil {
			m.persons[p.Source] = &idSet{all: map[string]bool{}}
		}
		m.persons[p.Source].add(p.ID)
	}
	return m
}

// mayConcern tells by the register whether a segment must be looked at.
func (m *marker) mayConcern(s Segment) bool {
	before, cuts := m.firstInstant(s.Dataset)
	return s.Rows > 0 && (len(m.persons) > 0 || cuts && s.FirstAt.UnixMicro() < before)
}

// firstInstant is the first moment of a dataset that stays, in microseconds.
func (x Erasure) firstInstant(dataset string) (at int64, cuts bool) {
	t, cuts := x.Before[dataset]
	if t.IsZero() {
		return math.MaxInt64, cuts
	}
	y, m, d := t.In(tokyo).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, tokyo).UnixMicro(), cuts
}

// each calls fn with the batches of a file and with which of their rows go.
func (m *marker) each(ctx context.Context, v *segmentView, dataset string, fn func(batch arrow.RecordBatch, goes []bool) error) error {
	for batch, err := range v.batches {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		goes, err := m.marks(batch, dataset)
		if err != nil {
			return err
		}
		if err := fn(batch, goes); err != nil {
			return err
		}
	}
	return nil
}

// marks tells which rows of a batch go.
func (m *marker) marks(batch arrow.RecordBatch, dataset string) ([]bool, error) {
	goes := make([]bool, batch.NumRows())
	if before, cuts := m.firstInstant(dataset); cuts {
		times := batch.Column(batch.Schema().FieldIndices(whenOf(dataset))[0]).(*array.Timestamp)
		for i := range goes {
			goes[i] = int64(times.Value(i)) < before
		}
	}
	if len(m.persons) == 0 {
		return goes, nil
	}
	source, person, err := personsOf(batch)
	if err != nil {
		return nil, err
	}
	if persons, ok := batch.Column(batch.Schema().FieldIndices("person_id")[0]).(*array.String); ok {
		person = persons.Value // of no person it is no text, and without a look at each row's validity
	}
	last := ""
	among := m.persons[last]
	for i := range goes {
		if s := source(i); s != last { // most rows are of the source before
			last, among = s, m.persons[s]
		}
		goes[i] = goes[i] || among.has(person(i))
	}
	return goes, nil
}

// personsOf tells whose the rows of a batch are.
func personsOf(batch arrow.RecordBatch) (source, person func(i int) string, err error) {
	if source, err = textOf(batch.Column(batch.Schema().FieldIndices("source")[0])); err != nil {
		return nil, nil, err
	}
	person, err = textOf(batch.Column(batch.Schema().FieldIndices("person_id")[0]))
	return source, person, err
}

// rest returns the rows of a file that stay, or nil when all do, and the rows
// that go by person.
func (m *marker) rest(ctx context.Context, path, dataset string) (_ arrow.RecordBatch, gone map[PersonID]int64, err error) {
	v, err := openView(path)
	if err != nil {
		return nil, nil, err
	}
	defer v.close()
	var parts []arrow.RecordBatch
	var marks [][]bool
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	gone = map[PersonID]int64{}
	err = m.each(ctx, v, dataset, func(batch arrow.RecordBatch, goes []bool) error {
		kept := batch.NewSlice(0, batch.NumRows()) // the reader takes its own back
		parts, marks = append(parts, kept), append(marks, goes)
		if !slices.Contains(goes, true) {
			return nil
		}
		source, person, err := personsOf(batch)
		for i, g := range goes {
			if err == nil && g {
				gone[PersonID{strings.Clone(source(i)), strings.Clone(person(i))}]++
			}
		}
		return err
	})
	if err != nil || len(gone) == 0 {
		return nil, nil, err
	}
	whole, err := lake.Without(SchemaOf(dataset), parts, marks)
	return whole, gone, err
}

// spanOf is what the register says of a segment's rows.
func spanOf(dataset string, rows arrow.RecordBatch) (n, yen int64, first, last time.Time) {
	if name := amountOf(dataset); name != "" {
		column := rows.Column(rows.Schema().FieldIndices(name)[0]).(*array.Int64)
		for i, v := range column.Int64Values() {
			if column.IsValid(i) {
				yen += v
			}
		}
	}
	low, high := int64(0), int64(0)
	times := rows.Column(rows.Schema().FieldIndices(whenOf(dataset))[0]).(*array.Timestamp)
	for i, t := range times.TimestampValues() {
		if i == 0 {
			low, high = int64(t), int64(t)
		}
		low, high = min(low, int64(t)), max(high, int64(t))
	}
	return rows.NumRows(), yen, time.UnixMicro(low).UTC(), time.UnixMicro(high).UTC()
}
