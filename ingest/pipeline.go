package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sync/errgroup"

	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

// Pipeline takes segments into the lake: it joins each record with what is
// known of the person and the shop, on the personal plane, then pseudonymizes
// the joined row, then writes it. The order is the law's: matching first, while
// the data are personal data, and none after.
type Pipeline struct {
	Importer *Importer
	Lake     *lake.Lake
	City     string // code of the municipality that the rows are filed under
	Keys     *pseudonymize.Keyset
	Policy   pseudonymize.Policy
	Anew     bool // build the lake anew from all segments, with the present key
	Now      func() time.Time
	Progress func(rows, of int64) // may be nil
}

// Result says what a run of the pipeline did.
type Result struct {
	Segments int   // taken in by this run
	Rows     int64 // written by this run
	Excluded int64 // rows of test users, left out
	Snapshot int64 // of the lake, after the run
	Total    int64 // rows in the lake
}

// Run takes in the segments that the lake does not have. They all become part
// of the lake at once; a run that fails leaves the lake as it was, and the next
// one begins anew.
func (p *Pipeline) Run(ctx context.Context) (Result, error) {
	tokens, err := pseudonymize.NewTokenizer(p.Keys)
	if err != nil {
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	plan, err := p.Policy.Compile(joinedSchema, tokens, p.Now())
	if err != nil {
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	segments, err := p.Importer.Segments(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	writer, err := p.Lake.Begin(p.City)
	if err != nil {
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	if p.Anew {
		writer.Anew()
	}
	payments, err := writer.Table("payments", plan.Schema)
	if err != nil {
		writer.Abort()
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	base := writer.Base()
	if base.Epoch != 0 && base.Epoch != p.Keys.Epoch() { // before the work, not at its end
		writer.Abort()
		return Result{}, fmt.Errorf("pipeline: %w", lake.ErrEpoch)
	}
	in := map[int64]bool{}
	for _, number := range base.Segments {
		in[number] = true
	}
	segments = slices.DeleteFunc(segments, func(s Segment) bool { return in[s.Number] || s.Dataset != PaymentDataset })
	if len(segments) == 0 {
		writer.Abort()
		return Result{Snapshot: base.Snapshot, Total: base.Rows("payments")}, nil
	}
	result, err := p.write(ctx, plan, payments, segments)
	if err != nil {
		writer.Abort()
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	numbers := make([]int64, len(segments))
	for i, s := range segments {
		numbers[i] = s.Number
	}
	m, err := writer.Commit(lake.Commit{
		Segments: numbers, Policies: map[string]string{"payments": p.Policy.Version}, Epoch: p.Keys.Epoch(), At: p.Now(),
	})
	if err != nil {
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	result.Segments, result.Snapshot, result.Total = len(segments), m.Snapshot, m.Rows("payments")
	return result, nil
}

// write makes and writes the rows at the same time, a few batches apart.
func (p *Pipeline) write(ctx context.Context, plan *pseudonymize.Plan, w *lake.TableWriter, segments []Segment) (Result, error) {
	var result Result
	var of int64
	for _, s := range segments {
		of += s.Rows
	}
	made := make(chan arrow.RecordBatch, 2)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(made)
		join := &joiner{importer: p.Importer, known: map[string]*attributes{}}
		for _, s := range segments {
			excluded, err := p.make(ctx, plan, join, s, made)
			if err != nil {
				return err
			}
			result.Excluded += excluded
		}
		return nil
	})
	g.Go(func() error {
		for batch := range made {
			err := w.Write(batch)
			result.Rows += batch.NumRows()
			batch.Release()
			if err != nil {
				return err
			}
			if p.Progress != nil {
				p.Progress(result.Rows, of)
			}
		}
		return nil
	})
	err := g.Wait()
	for batch := range made { // what was made and not written
		batch.Release()
	}
	return result, err
}

// A batch of this many rows keeps what is in flight small.
const batchRows = 64 << 10

func (p *Pipeline) make(ctx context.Context, plan *pseudonymize.Plan, join *joiner, s Segment, made chan<- arrow.RecordBatch) (excluded int64, err error) {
	var rows, yen int64
	for whole, err := range OpenSegment(s.Path) {
		if err != nil {
			return excluded, err
		}
		rows += whole.NumRows()
		for _, amount := range whole.Column(amountColumn).(*array.Int64).Int64Values() {
			yen += amount
		}
		for from := int64(0); from < whole.NumRows(); from += batchRows {
			batch := whole.NewSlice(from, min(from+batchRows, whole.NumRows()))
			joined, left, err := join.batch(ctx, batch)
			batch.Release()
			if err != nil {
				return excluded, err
			}
			excluded += left
			out, err := plan.Apply(joined)
			joined.Release()
			if err != nil {
				return excluded, fmt.Errorf("segment %d: %w", s.Number, err)
			}
			select {
			case made <- out:
			case <-ctx.Done():
				out.Release()
				return excluded, ctx.Err()
			}
		}
	}
	if rows != s.Rows || yen != s.AmountYen {
		return excluded, fmt.Errorf("segment %d: %w: it has %d rows and %d yen, and was registered with %d and %d: bring the file back from a backup",
			s.Number, ErrSegmentChanged, rows, yen, s.Rows, s.AmountYen)
	}
	return excluded, nil
}

// ErrSegmentChanged: a segment is not what the importer wrote.
var ErrSegmentChanged = errors.New("the file was changed")

var amountColumn = PaymentSchema.FieldIndices("amount_yen")[0]

// joinedSchema is a segment's row with what is known of its person and shop.
var joinedSchema = arrow.NewSchema(append(slices.Clone(PaymentSchema.Fields()),
	arrow.Field{Name: "sex", Type: dictionary},
	arrow.Field{Name: "born_on", Type: arrow.BinaryTypes.String},
	arrow.Field{Name: "home_area", Type: dictionary},
	arrow.Field{Name: "industry", Type: dictionary},
	arrow.Field{Name: "shop_area", Type: dictionary},
	arrow.Field{Name: "operator", Type: dictionary},
), nil)

// joiner looks persons and shops up. It holds all of a source's: about 200
// bytes a person.
type joiner struct {
	importer *Importer
	known    map[string]*attributes
}

type attributes struct {
	persons map[string]Person
	shops   map[string]Shop
}

func (j *joiner) attributes(ctx context.Context, source string) (*attributes, error) {
	if a := j.known[source]; a != nil {
		return a, nil
	}
	a := &attributes{persons: map[string]Person{}, shops: map[string]Shop{}}
	const page = 5000
	for after := ""; ; {
		persons, err := j.importer.Persons(ctx, source, after, page)
		if err != nil {
			return nil, err
		}
		for _, p := range persons {
			a.persons[p.ID], after = p, p.ID
		}
		if len(persons) < page {
			break
		}
	}
	for after := ""; ; {
		shops, err := j.importer.Shops(ctx, source, after, page)
		if err != nil {
			return nil, err
		}
		for _, s := range shops {
			a.shops[s.ID], after = s, s.ID
		}
		if len(shops) < page {
			break
		}
	}
	j.known[source] = a
	return a, nil
}

// batch joins a batch and leaves the rows of test users out.
func (j *joiner) batch(ctx context.Context, in arrow.RecordBatch) (_ arrow.RecordBatch, excluded int64, err error) {
	column := func(name string) arrow.Array { return in.Column(PaymentSchema.FieldIndices(name)[0]) }
	sources, shops := column("source").(*array.Dictionary), column("shop_id").(*array.Dictionary)
	sourceNames, shopNames := sources.Dictionary().(*array.String), shops.Dictionary().(*array.String)
	persons := column("person_id").(*array.String)

	merchants, consents := column("merchant_id").(*array.Dictionary), column("consent_id").(*array.String)
	merchantNames := merchants.Dictionary().(*array.String)

	sex, home, industry, area, merchant, operator := newWords(), newWords(), newWords(), newWords(), newWords(), newWords()
	born, consent := array.NewStringBuilder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	defer born.Release()
	defer consent.Release()
	keep := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer keep.Release()
	var known *attributes
	source := -1
	for i := range persons.Len() {
		if s := sources.GetValueIndex(i); s != source {
			if known, err = j.attributes(ctx, sourceNames.Value(s)); err != nil {
				return nil, 0, err
			}
			source = s
		}
		var person Person
		if !persons.IsNull(i) && len(known.persons) > 0 {
			person = known.persons[persons.Value(i)]
		}
		shop := known.shops[shopNames.Value(shops.GetValueIndex(i))]
		if person.Test { // the row goes, and its words must not stay in a dictionary
			person = Person{Test: true}
		}
		if person.Sex == "" {
			person.Sex = "unknown"
		}
		sex.add(person.Sex)
		born.Append(person.BornOn)
		home.add(person.Area)
		// What the payment says itself goes before what is known of its person
		// and shop.
		switch {
		case !consents.IsNull(i):
			consent.Append(consents.Value(i))
		case person.ConsentID != "":
			consent.Append(person.ConsentID)
		default:
			consent.AppendNull()
		}
		merchant.add(cmp.Or(merchantNames.Value(merchants.GetValueIndex(i)), shop.Merchant))
		industry.add(shop.Industry)
		area.add(shop.Area)
		operator.add(shop.Operator)
		keep.Append(!person.Test)
		if person.Test {
			excluded++
		}
	}
	columns := slices.Clone(in.Columns())
	for name, made := range map[string]arrow.Array{"merchant_id": merchant.array(), "consent_id": consent.NewArray()} {
		defer made.Release()
		columns[PaymentSchema.FieldIndices(name)[0]] = made
	}
	for _, made := range []arrow.Array{sex.array(), born.NewArray(), home.array(), industry.array(), area.array(), operator.array()} {
		defer made.Release()
		columns = append(columns, made)
	}
	joined := array.NewRecordBatch(joinedSchema, columns, in.NumRows())
	if excluded == 0 {
		return joined, 0, nil
	}
	defer joined.Release()
	mask := keep.NewBooleanArray()
	defer mask.Release()
	kept, err := compute.FilterRecordBatch(ctx, joined, mask, compute.DefaultFilterOptions())
	return kept, excluded, err
}

// words builds a dictionary-encoded column of few different words.
type words struct {
	index map[string]int32
	list  *array.StringBuilder
	rows  *array.Int32Builder
}

func newWords() *words {
	return &words{
		index: map[string]int32{},
		list:  array.NewStringBuilder(memory.DefaultAllocator),
		rows:  array.NewInt32Builder(memory.DefaultAllocator),
	}
}

func (w *words) add(word string) {
	i, ok := w.index[word]
	if !ok {
		i = int32(len(w.index))
		w.index[word] = i
		w.list.Append(word)
	}
	w.rows.Append(i)
}

// array returns the column and ends the builder.
func (w *words) array() arrow.Array {
	rows, list := w.rows.NewArray(), w.list.NewArray()
	defer rows.Release()
	defer list.Release()
	w.rows.Release()
	w.list.Release()
	return array.NewDictionaryArray(dictionary, rows, list)
}
