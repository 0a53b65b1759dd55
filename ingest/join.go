package ingest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/internal/words"
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
	for i := range fields {
		if name := fields[i].Name; name == "person_id" || name == "consent_id" {
			fields[i].Type = dictionary // most rows are of persons who were seen before
		}
	}
	add("consent_id", dictionary, true)
	add("sex", dictionary, false)
	add("born_on", dictionary, false)
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

	// What rows that went on have, by number. The columns that are made of it
	// share these tables, which grow from batch to batch.
	who, born, consents words.Table
	terms               words.Table // codes and areas
}

type personKey struct{ source, id string }

// attributes are what is known of a source.
type attributes struct {
	ids     words.Table  // of persons
	persons [][]resident // by the number of their ID, so many to a block
	shops   map[string]*place
}

// place is a shop, with the numbers of its words among the terms.
type place struct {
	Shop
	merchant, industry, area, operator int32
}

// resident is a person of a source, joined with whom a link says it is. What
// every row asks for stands first, in one line of the processor's cache.
type resident struct {
	who      personKey // under whom the person is known: its own, or the link's
	barred   fate      // what becomes of its rows whatever the law says, or fateGo
	numbered bool      // once a row of it went on
	// Numbers in the joiner's tables; -1 for none.
	token, bornOn, consent int32
	sex, homeArea          int32 // terms

	Person
}

// number gives a person's words their numbers.
func (j *joiner) number(p *resident) {
	p.numbered, p.token, p.consent = true, -1, -1
	if p.who.id != "" {
		p.token, _ = j.who.Number(p.identity())
	}
	if p.ConsentID != "" {
		p.consent, _ = j.consents.Number(p.ConsentID)
	}
	p.bornOn, _ = j.born.Number(p.BornOn)
	p.sex, _ = j.terms.Number(p.Sex)
	p.homeArea, _ = j.terms.Number(p.Area)
}

// identity is what the token is made of.
func (p *resident) identity() string { return PersonID{p.who.source, p.who.id}.identity() }

// place gives a shop's words their numbers.
func (j *joiner) place(s Shop) *place {
	p := &place{Shop: s}
	p.merchant, _ = j.terms.Number(s.Merchant)
	p.industry, _ = j.terms.Number(s.Industry)
	p.area, _ = j.terms.Number(s.Area)
	p.operator, _ = j.terms.Number(s.Operator)
	return p
}

// blockResidents is how many residents lie together, which never move.
const blockResidents = 1024

// add enters a person whose ID is not there yet.
func (a *attributes) add(p Person) *resident {
	n, _ := a.ids.Number(p.ID)
	if n%blockResidents == 0 {
		a.persons = append(a.persons, make([]resident, 0, blockResidents))
	}
	block := &a.persons[n/blockResidents]
	*block = append(*block, resident{Person: p})
	return a.at(n)
}

// at returns a person by the number of its ID.
func (a *attributes) at(n int32) *resident { return &a.persons[n/blockResidents][n%blockResidents] }

// find returns a person, or nil.
func (a *attributes) find(id string) *resident {
	if n, ok := a.ids.Find(id); ok {
		return a.at(n)
	}
	return nil
}

// each are the persons in the order in which they came.
func (a *attributes) each(yield func(*resident) bool) {
	for n := range int32(a.ids.Len()) {
		if !yield(a.at(n)) {
			return
		}
	}
}

// byID are the persons in the order of their IDs.
func (a *attributes) byID() []*resident {
	return slices.SortedFunc(a.each, func(p, q *resident) int { return cmp.Compare(p.ID, q.ID) })
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
	a := &attributes{shops: map[string]*place{}}
	j.known[source] = a // before its links are followed, which may lead back
	const page = 5000
	for after := ""; ; {
		persons, err := j.importer.Persons(ctx, source, after, page)
		if err != nil {
			return nil, err
		}
		for _, p := range persons {
			a.add(p)
			after = p.ID
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
			a.shops[s.ID], after = j.place(s), s.ID
		}
		if len(shops) < page {
			break
		}
	}
	for p := range a.each {
		if err := j.identify(ctx, source, p.ID, p); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// person returns what is known of a person, which may be nothing. n is the number
// of its ID, or -1 when it had none a while ago.
func (j *joiner) person(ctx context.Context, source string, a *attributes, id string, n int32) (*resident, error) {
	if n >= 0 {
		return a.at(n), nil
	}
	if p := a.find(id); p != nil {
		return p, nil
	}
	id = strings.Clone(id) // it lies in a batch that is given back
	p := a.add(Person{Source: source, ID: id})
	return p, j.identify(ctx, source, id, p)
}

// identify says under whom a person is known. What a linked person's own
// source does not tell is taken from whom it is linked to.
func (j *joiner) identify(ctx context.Context, source, id string, p *resident) error {
	p.who = personKey{source, id}
	to, ok := j.links[p.who]
	if ok {
		p.who = to
		there, err := j.attributes(ctx, to.source)
		if err != nil {
			return err
		}
		if other := there.find(to.id); other != nil {
			p.Sex, p.BornOn = cmp.Or(known(p.Sex), other.Sex), cmp.Or(p.BornOn, other.BornOn)
			p.Area, p.ConsentID = cmp.Or(p.Area, other.Area), cmp.Or(p.ConsentID, other.ConsentID)
			p.Test = p.Test || other.Test
		}
	}
	p.Sex = cmp.Or(p.Sex, "unknown")
	switch {
	case p.Test:
		p.barred = fateTest
	case !ok && slices.Contains(j.linked, source):
		p.barred = fateUnlinked
	}
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
	if p.barred != fateGo {
		return p.barred, ""
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
