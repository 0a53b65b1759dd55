package ingest

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/internal/words"
)

// batch joins a batch, and says what becomes of each of its rows. What a row
// says itself goes before what is known of its person and shop.
func (j *joiner) batch(ctx context.Context, dataset string, in arrow.RecordBatch) (arrow.RecordBatch, []fate, error) {
	rows := int(in.NumRows())
	var columns [5]coded
	for i, name := range []string{"source", "person_id", "shop_id", "merchant_id", "consent_id"} {
		at := in.Schema().FieldIndices(name)
		if len(at) == 0 {
			continue
		}
		var err error
		if columns[i], err = codesOf(in.Column(at[0])); err != nil {
			return nil, nil, err
		}
	}
	source, personID, shopID, merchantID, consentID := &columns[0], &columns[1], &columns[2], &columns[3], &columns[4]
	times := in.Column(in.Schema().FieldIndices(whenOf(dataset))[0]).(*array.Timestamp).TimestampValues()

	fates := make([]fate, rows)
	person, born, consent := make([]int32, rows), make([]int32, rows), make([]int32, rows)
	nobody := &resident{Person: Person{Sex: "unknown"}}
	j.number(nobody)
	var a *attributes
	of, name := int32(-1), ""
	numbers := make([]int32, rows)               // of the persons' IDs in a
	places := make([]*place, shopID.different()) // of one source
	merchants := j.termsOf(merchantID)
	var sex, home, industry, area, merchant, operator termColumn
	for _, c := range []*termColumn{&sex, &home, &industry, &area, &merchant, &operator} {
		c.codes = make([]int32, 0, rows)
	}
	unknown := j.place(Shop{})
	lastBasis, lastConsent := "", int32(-1)
	for i := range rows {
		if s := source.at(i); a == nil || s != of {
			var err error
			if of, name = s, source.text(s); s < 0 {
				name = ""
			}
			if a, err = j.attributes(ctx, name); err != nil {
				return nil, nil, err
			}
			clear(places)
			end := i + 1
			for end < rows && source.at(end) == s {
				end++
			}
			a.ids.FindAll(numbers[i:end], func(n int) string { return personID.text(personID.at(i + n)) })
		}
		p, basis := nobody, ""
		if id := personID.text(personID.at(i)); id != "" {
			var err error
			if p, err = j.person(ctx, name, a, id, numbers[i]); err != nil {
				return nil, nil, err
			}
			fates[i], basis = j.may(dataset, p, times[i].ToTime(arrow.Microsecond))
			switch {
			case fates[i] != fateGo:
				p = nobody // the words of who stays out must not stay in a dictionary
			case !p.numbered:
				j.number(p)
			}
		}
		person[i], born[i] = p.token, p.bornOn
		sex.add(p.sex)
		home.add(p.homeArea)
		consent[i] = p.consent
		if id := consentID.text(consentID.at(i)); id != "" && p != nobody {
			basis, consent[i] = id, -1
		}
		if consent[i] < 0 && basis != "" && p != nobody {
			if basis != lastBasis {
				lastBasis = basis
				lastConsent, _ = j.consents.Number(basis)
			}
			consent[i] = lastConsent
		}
		shop := unknown
		if code := shopID.at(i); code >= 0 {
			if shop = places[code]; shop == nil {
				if shop = a.shops[shopID.text(code)]; shop == nil {
					shop = unknown
				}
				places[code] = shop
			}
		}
		term := shop.merchant
		if code := merchantID.at(i); code >= 0 && merchants[code] != unknown.merchant {
			term = merchants[code]
		}
		merchant.add(term)
		industry.add(shop.industry)
		area.add(shop.area)
		operator.add(shop.operator)
	}
	made := map[string]arrow.Array{
		"person_id": dictionaryOf(person, j.who.Array()), "consent_id": dictionaryOf(consent, j.consents.Array()),
		"born_on": dictionaryOf(born, j.born.Array()), "sex": sex.array(&j.terms), "home_area": home.array(&j.terms),
		"industry": industry.array(&j.terms), "shop_area": area.array(&j.terms), "merchant_id": merchant.array(&j.terms),
		"operator": operator.array(&j.terms),
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

// termsOf are the numbers of a column's words among the terms.
func (j *joiner) termsOf(c *coded) []int32 {
	numbers := make([]int32, c.different())
	for code := range numbers {
		numbers[code], _ = j.terms.Number(c.text(int32(code)))
	}
	return numbers
}

// coded reads a column of text by the codes of its words. Of a plain column the
// code is the row. The zero value is a column that is not there.
type coded struct {
	column arrow.Array
	codes  []int32 // nil for a plain column
	words  *array.String
	nulls  bool
}

func codesOf(column arrow.Array) (c coded, err error) {
	c = coded{column: column, nulls: column.NullN() > 0}
	switch a := column.(type) {
	case *array.String:
		c.words = a
		return c, nil
	case *array.Dictionary:
		list, ok := a.Dictionary().(*array.String)
		indices, also := a.Indices().(*array.Int32)
		if ok && also {
			c.codes, c.words = indices.Int32Values(), list
			return c, nil
		}
	}
	return c, fmt.Errorf("a column of %s is no text", column.DataType())
}

// different is how many codes there are.
func (c *coded) different() int {
	if c.column == nil {
		return 0
	}
	return c.words.Len()
}

// at is the code of a row, -1 for none.
func (c *coded) at(i int) int32 {
	switch {
	case c.column == nil || c.nulls && c.column.IsNull(i):
		return -1
	case c.codes == nil:
		return int32(i)
	}
	return c.codes[i]
}

// text is the word of a code.
func (c *coded) text(code int32) string {
	if code < 0 {
		return ""
	}
	return c.words.Value(int(code))
}

// termColumn is a column of terms in which a batch's words alone stand.
type termColumn struct {
	codes []int32
	code  []int32 // of each term, plus one; 0 for those that no row has
	terms []int32 // by code
}

func (c *termColumn) add(term int32) {
	for int(term) >= len(c.code) {
		c.code = append(c.code, 0)
	}
	if c.code[term] == 0 {
		c.terms = append(c.terms, term)
		c.code[term] = int32(len(c.terms))
	}
	c.codes = append(c.codes, c.code[term]-1)
}

func (c *termColumn) array(terms *words.Table) arrow.Array {
	list := array.NewStringBuilder(memory.DefaultAllocator)
	defer list.Release()
	for _, term := range c.terms {
		list.Append(terms.Word(term))
	}
	return dictionaryOf(c.codes, list.NewStringArray())
}

// dictionaryOf makes a column of codes, -1 being null, and takes over the list
// of its words.
func dictionaryOf(codes []int32, list arrow.Array) arrow.Array {
	defer list.Release()
	nulls := 0
	for _, code := range codes {
		if code < 0 {
			nulls++
		}
	}
	var valid *memory.Buffer
	if nulls > 0 {
		bits := make([]byte, (len(codes)+7)/8)
		for i, code := range codes {
			if code >= 0 {
				bits[i/8] |= 1 << (i % 8)
			} else {
				codes[i] = 0
			}
		}
		valid = memory.NewBufferBytes(bits)
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(codes),
		[]*memory.Buffer{valid, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(codes))}, nil, nulls, 0)
	defer data.Release()
	indices := array.NewInt32Data(data)
	defer indices.Release()
	return array.NewDictionaryArray(dictionary, indices, list)
}
