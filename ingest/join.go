package ingest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// fate is what becomes of a row.
type fate uint8

const (
	fateGo        fate = iota // on, into the lake
	fateTest                  // of a test user: left out
	fateUnlinked              // of a person that no link joins to a resident yet
	fateUncovered             // of a person for whom nothing allows its use yet
	fateCount
)

// joinedSchema is a dataset's row with what is known of its person and shop.
func joinedSchema(dataset string) *arrow.Schema {
	base := SchemaOf(dataset)
	fields := slices.Clone(base.Fields())
	add := func(name string, t arrow.DataType, nullable bool) {
		if !base.HasField(name) {
			fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: nullable})
		}
	}
	add("consent_id", arrow.BinaryTypes.String, true)
	add("sex", dictionary, false)
	add("born_on", arrow.BinaryTypes.String, false)
	add("home_area", dictionary, false)
	if base.HasField("shop_id") {
		add("industry", dictionary, false)
		add("shop_area", dictionary, false)
		add("operator", dictionary, false)
	}
	return arrow.NewSchema(fields, nil)
}

// joiner looks persons and shops up. It holds all of a source's: about 200
// bytes a person.
type joiner struct {
	importer *Importer
	basis    Basis
	linked   []string
	links    map[personKey]personKey
	version  string // changes with the links and corrections

	correctedAt int64
	known       map[string]*attributes
	schemas     map[string]*arrow.Schema
}

type personKey struct{ source, id string }

type attributes struct {
	persons map[string]*resident
	shops   map[string]Shop
}

// resident is a person of a source, joined with whom a link says it is.
type resident struct {
	Person
	who      personKey // under whom the person is known: its own, or the link's
	token    string    // of what the token is made
	unlinked bool
}

func newJoiner(ctx context.Context, p *Pipeline) (*joiner, error) {
	j := &joiner{importer: p.Importer, basis: p.Basis, linked: p.Linked, known: map[string]*attributes{},
		links: map[personKey]personKey{}, schemas: map[string]*arrow.Schema{}}
	links, err := p.Importer.Links(ctx)
	if err != nil {
		return nil, err
	}
	var last int64
	for _, l := range links { // the last word about a person counts
		key := personKey{l.Source, l.PersonID}
		delete(j.links, key)
		if l.ToID != "" {
			j.links[key] = personKey{l.ToSource, l.ToID}
		}
		last = max(last, l.Number)
	}
	j.version = fmt.Sprint(last)
	if j.correctedAt, err = p.Importer.lastCorrection(ctx); j.correctedAt > 0 {
		j.version += "." + fmt.Sprint(j.correctedAt)
	}
	return j, err
}

func (j *joiner) attributes(ctx context.Context, source string) (*attributes, error) {
	if a := j.known[source]; a != nil {
		return a, nil
	}
	a := &attributes{persons: map[string]*resident{}, shops: map[string]Shop{}}
	j.known[source] = a // before its links are followed, which may lead back
	const page = 5000
	for after := ""; ; {
		persons, err := j.importer.Persons(ctx, source, after, page)
		if err != nil {
			return nil, err
		}
		for _, p := range persons {
			a.persons[p.ID], after = &resident{Person: p}, p.ID
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
	for id, p := range a.persons {
		if err := j.identify(ctx, source, id, p); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// person returns what is known of a person, which may be nothing.
func (j *joiner) person(ctx context.Context, source string, a *attributes, id string) (*resident, error) {
	if p := a.persons[id]; p != nil {
		return p, nil
	}
	p := &resident{Person: Person{Source: source, ID: id}}
	a.persons[id] = p
	return p, j.identify(ctx, source, id, p)
}

// identify says under whom a person is known. What a linked person's own
// source does not tell is taken from whom it is linked to.
func (j *joiner) identify(ctx context.Context, source, id string, p *resident) error {
	p.who = personKey{source, id}
	to, ok := j.links[p.who]
	p.unlinked = !ok && slices.Contains(j.linked, source)
	if ok {
		p.who = to
		there, err := j.attributes(ctx, to.source)
		if err != nil {
			return err
		}
		if other := there.persons[to.id]; other != nil {
			p.Sex, p.BornOn = cmp.Or(known(p.Sex), other.Sex), cmp.Or(p.BornOn, other.BornOn)
			p.Area, p.ConsentID = cmp.Or(p.Area, other.Area), cmp.Or(p.ConsentID, other.ConsentID)
			p.Test = p.Test || other.Test
		}
	}
	p.Sex = cmp.Or(p.Sex, "unknown")
	p.token = PersonID{p.who.source, p.who.id}.identity()
	return nil
}

func known(sex string) string {
	if sex == "unknown" {
		return ""
	}
	return sex
}

// may says what becomes of a row of a person, and on which basis it goes on.
func (j *joiner) may(dataset string, p *resident, at time.Time) (fate, string) {
	switch {
	case p.Test:
		return fateTest, ""
	case p.unlinked:
		return fateUnlinked, ""
	}
	id, ok := j.basis.Basis(dataset, p.who.source, p.who.id, at)
	if !ok && p.who != (personKey{p.Source, p.ID}) {
		id, ok = j.basis.Basis(dataset, p.Source, p.ID, at)
	}
	if !ok {
		return fateUncovered, ""
	}
	return fateGo, id
}

// batch joins a batch, and says what becomes of each of its rows.
func (j *joiner) batch(ctx context.Context, dataset string, in arrow.RecordBatch) (arrow.RecordBatch, []fate, error) {
	rows := int(in.NumRows())
	text := func(name string) (func(int) string, error) {
		at := in.Schema().FieldIndices(name)
		if len(at) == 0 {
			return func(int) string { return "" }, nil
		}
		return textOf(in.Column(at[0]))
	}
	source, err := text("source")
	if err != nil {
		return nil, nil, err
	}
	var columns [4]func(int) string
	for i, name := range []string{"person_id", "shop_id", "merchant_id", "consent_id"} {
		if columns[i], err = text(name); err != nil {
			return nil, nil, err
		}
	}
	personID, shopID, merchantID, consentID := columns[0], columns[1], columns[2], columns[3]
	times := in.Column(in.Schema().FieldIndices(whenOf(dataset))[0]).(*array.Timestamp)

	sex, home, industry, area, merchant, operator := newWords(), newWords(), newWords(), newWords(), newWords(), newWords()
	person, born, consent := array.NewStringBuilder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	defer person.Release()
	defer born.Release()
	defer consent.Release()
	for _, b := range []*array.StringBuilder{person, born, consent} {
		b.Reserve(rows)
		b.ReserveData(rows * 24) // what an identifier takes, about
	}
	for _, w := range []*words{sex, home, industry, area, merchant, operator} {
		w.rows.Reserve(rows)
	}
	fates := make([]fate, rows)
	var a *attributes
	of := ""
	nobody := &resident{Person: Person{Sex: "unknown"}}
	for i := range rows {
		if s := source(i); a == nil || s != of {
			if a, err = j.attributes(ctx, s); err != nil {
				return nil, nil, err
			}
			of = s
		}
		p, basis := nobody, ""
		if id := personID(i); id != "" {
			if p, err = j.person(ctx, of, a, id); err != nil {
				return nil, nil, err
			}
			if fates[i], basis = j.may(dataset, p, times.Value(i).ToTime(arrow.Microsecond)); fates[i] != fateGo {
				p = nobody // the words of who stays out must not stay in a dictionary
			}
		}
		if p.token == "" {
			person.AppendNull()
		} else {
			person.Append(p.token)
		}
		sex.add(p.Sex)
		born.Append(p.BornOn)
		home.add(p.Area)
		// What the row says itself goes before what is known of its person and
		// shop.
		if id := cmp.Or(consentID(i), p.ConsentID, basis); id != "" && p != nobody {
			consent.Append(id)
		} else {
			consent.AppendNull()
		}
		shop := a.shops[shopID(i)]
		merchant.add(cmp.Or(merchantID(i), shop.Merchant))
		industry.add(shop.Industry)
		area.add(shop.Area)
		operator.add(shop.Operator)
	}
	made := map[string]arrow.Array{
		"person_id": person.NewArray(), "consent_id": consent.NewArray(), "born_on": born.NewArray(),
		"sex": sex.array(), "home_area": home.array(), "industry": industry.array(), "shop_area": area.array(),
		"merchant_id": merchant.array(), "operator": operator.array(),
	}
	for _, column := range made {
		defer column.Release() // the batch holds its own reference
	}
	schema := j.schemas[dataset]
	if schema == nil {
		schema = joinedSchema(dataset)
		j.schemas[dataset] = schema
	}
	all := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		if column := made[f.Name]; column != nil {
			all[i] = column
		} else {
			all[i] = in.Column(in.Schema().FieldIndices(f.Name)[0])
		}
	}
	return array.NewRecordBatch(schema, all, in.NumRows()), fates, nil
}

// whenOf is the field that says when a row of a dataset happened.
func whenOf(dataset string) string {
	if d := DatasetByName(dataset); d != nil {
		return d.When
	}
	return "occurred_at"
}

// filter returns the rows whose fate is wanted.
func filter(ctx context.Context, batch arrow.RecordBatch, fates []fate, want func(fate) bool) (arrow.RecordBatch, error) {
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	mask.Reserve(len(fates))
	for _, f := range fates {
		mask.UnsafeAppend(want(f))
	}
	chosen := mask.NewBooleanArray()
	defer chosen.Release()
	return compute.FilterRecordBatch(ctx, batch, chosen, compute.DefaultFilterOptions())
}

// words builds a dictionary-encoded column of few different words.
type words struct {
	index map[string]int32
	list  *array.StringBuilder
	rows  *array.Int32Builder
	last  string // most rows repeat the word before
	at    int32
}

func newWords() *words {
	return &words{
		index: map[string]int32{},
		list:  array.NewStringBuilder(memory.DefaultAllocator),
		rows:  array.NewInt32Builder(memory.DefaultAllocator),
		at:    -1,
	}
}

func (w *words) add(word string) {
	if w.at < 0 || word != w.last {
		i, ok := w.index[word]
		if !ok {
			i = int32(len(w.index))
			w.index[word] = i
			w.list.Append(word)
		}
		w.last, w.at = word, i
	}
	w.rows.Append(w.at)
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
