package ingest

import (
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"meguri/internal/words"
)

// chunk gathers records, column by column, until they are committed together.
// Its columns lie in memory as Arrow wants them, so that a segment is written
// without a copy, and its buffers are used again for the next chunk.
type chunk struct {
	n       int
	size    int // bytes of text, about
	entries []Entry
	lines   []int64 // where the rows stand in the file
	bad     []badRow

	order    []int32 // the rows by key, rows of one key as they came
	spare    []int32 // for the sort
	distinct []Entry // the first of each key

	source, kind, serviceType, serviceID, shopID, shopName, merchantID, terminalID labels

	recordID, personID, targetID, groupID, consentID texts

	amount   []int64
	occurred []arrow.Timestamp
	active   []bool

	set *columns // the rows of a dataset; nil for payments

	end  *position // where the file stands behind the chunk's last row; see resume.go
	hash hasher
}

// dataset names the chunk's.
func (c *chunk) dataset() string {
	if c.set != nil {
		return c.set.dataset.Name
	}
	return PaymentDataset
}

// badRow is a row for the quarantine file.
type badRow struct {
	line int64
	fault
	row string
}

// texts is a column of strings: all bytes in one slice, and where each ends.
type texts struct {
	data    []byte
	offsets []int32 // offsets[i] to offsets[i+1] is string i
}

func (t *texts) add(s string) {
	if len(t.offsets) == 0 {
		t.offsets = append(t.offsets, 0)
	}
	t.data = append(t.data, s...)
	t.offsets = append(t.offsets, int32(len(t.data)))
}

func (t *texts) at(i int) string { return string(t.data[t.offsets[i]:t.offsets[i+1]]) }

func (t *texts) reset() { t.data, t.offsets = t.data[:0], t.offsets[:0] }

func (t *texts) pick(keep []int32) texts {
	var p texts
	for _, i := range keep {
		p.add(t.at(int(i)))
	}
	return p
}

// array returns the column; an empty string is null where the column may be.
func (t *texts) array(nullable bool) arrow.Array {
	n := len(t.offsets) - 1
	buffers := []*memory.Buffer{nil,
		memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(t.offsets)), memory.NewBufferBytes(t.data)}
	nulls := 0
	if nullable {
		valid := make([]byte, (n+7)/8)
		for i := range n {
			if t.offsets[i] == t.offsets[i+1] {
				nulls++
			} else {
				valid[i/8] |= 1 << (i % 8)
			}
		}
		buffers[0] = memory.NewBufferBytes(valid)
	}
	data := array.NewData(arrow.BinaryTypes.String, n, buffers, nil, nulls, 0)
	defer data.Release()
	return array.NewStringData(data)
}

// labels is a column of strings of which few are distinct.
type labels struct {
	codes  []int32
	values words.Table
	last   string // most rows repeat the label before
	lastAt int32
	beside []int32 // codes plus one of those that came last with a code of another column
}

func (l *labels) add(s string) {
	if s != l.last || len(l.codes) == 0 {
		l.lastAt, _ = l.values.Number(s)
		l.last = s
	}
	l.codes = append(l.codes, l.lastAt)
}

// addBeside is add for a label that mostly goes with that of another column in
// the same row: a comparison is cheaper than a look-up.
func (l *labels) addBeside(s string, other *labels) {
	code := other.codes[len(other.codes)-1]
	for int(code) >= len(l.beside) {
		l.beside = append(l.beside, 0)
	}
	if n := l.beside[code] - 1; n >= 0 && string(l.values.Bytes(n)) == s {
		l.codes = append(l.codes, n)
		return
	}
	n, _ := l.values.Number(s)
	l.beside[code] = n + 1
	l.codes = append(l.codes, n)
}

func (l *labels) reset() {
	l.codes, l.last, l.beside = l.codes[:0], "", l.beside[:0]
	l.values.Reset()
}

func (l *labels) pick(keep []int32) labels {
	p := labels{values: l.values}
	p.codes = pick(l.codes, keep)
	return p
}

func (l *labels) array() arrow.Array { return l.nullable(nil) }

// nullable returns the column with a null wherever set, if there is one, says
// so.
func (l *labels) nullable(set []bool) arrow.Array {
	values := l.values.Array()
	defer values.Release()
	var valid *memory.Buffer
	nulls := 0
	if set != nil {
		bits := make([]byte, (len(set)+7)/8)
		for i, ok := range set {
			if ok {
				bits[i/8] |= 1 << (i % 8)
			} else {
				nulls++
			}
		}
		valid = memory.NewBufferBytes(bits)
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(l.codes),
		[]*memory.Buffer{valid, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(l.codes))}, nil, nulls, 0)
	defer data.Release()
	codes := array.NewInt32Data(data)
	defer codes.Release()
	return array.NewDictionaryArray(dictionary, codes, values)
}

func pick[T any](column []T, keep []int32) []T {
	out := make([]T, len(keep))
	for i, at := range keep {
		out[i] = column[at]
	}
	return out
}

// add appends a checked record of a line.
func (c *chunk) add(r *Record, line int64) {
	group := r.GroupID
	if group == "" {
		group = r.ID
	}
	c.n++
	c.entries = append(c.entries, Entry{Key: c.hash.key(r.Source, r.ID), Content: c.hash.content(r)})
	for _, v := range [...]string{r.ID, r.PersonID, r.TargetID, group, r.ConsentID,
		r.ServiceID, r.ShopID, r.ShopName, r.MerchantID, r.TerminalID} {
		c.size += len(v)
	}
	c.lines = append(c.lines, line)
	c.source.add(r.Source)
	c.recordID.add(r.ID)
	c.kind.add(string(r.Kind))
	c.serviceType.add(r.ServiceType)
	c.serviceID.add(r.ServiceID)
	c.personID.add(r.PersonID)
	c.shopID.add(r.ShopID)
	c.shopName.addBeside(r.ShopName, &c.shopID)
	c.merchantID.addBeside(r.MerchantID, &c.shopID)
	c.terminalID.addBeside(r.TerminalID, &c.shopID)
	c.amount = append(c.amount, r.AmountYen)
	c.occurred = append(c.occurred, arrow.Timestamp(r.OccurredAt.UnixMicro()))
	c.targetID.add(r.TargetID)
	c.groupID.add(group)
	c.active = append(c.active, r.Active)
	c.consentID.add(r.ConsentID)
}

// addBad appends a row that goes to quarantine.
func (c *chunk) addBad(line int64, f fault, row string) {
	f.field, row = strings.Clone(f.field), strings.Clone(row) // they must not hold what was read around them
	c.bad = append(c.bad, badRow{line, f, row})
	c.size += len(row) + 100
}

// full tells whether the chunk should be committed: it holds enough rows, or
// so much text that memory, or the 31 bits of an offset, come into question.
func (c *chunk) full(rows int) bool { return c.n >= rows || c.size > 128<<20 }

// sort puts the rows that are not barred into order and returns the first
// entry of each key.
func (c *chunk) sort() []Entry {
	c.order = c.order[:0]
	for i := range c.n {
		if c.lines[i] != barred {
			c.order = append(c.order, int32(i))
		}
	}
	c.spare = sortByKey(c.order, c.entries, c.spare)
	distinct := c.distinct[:0]
	for _, row := range c.order {
		if e := c.entries[row]; len(distinct) == 0 || distinct[len(distinct)-1].Key != e.Key {
			distinct = append(distinct, e)
		}
	}
	c.distinct = distinct
	return distinct
}

// sortByKey sorts rows by key, those of one key by number, which is how they
// come. Keys are hashes and lie evenly: dealt out by their first bits, about
// one to a place, they are nearly in order, and what is left is a step or two.
func sortByKey(rows []int32, entries []Entry, spare []int32) []int32 {
	if len(rows) < 2 {
		return spare
	}
	shift := 64 - bits.Len(uint(len(rows)))
	places := 1 << (64 - shift)
	spare = slices.Grow(spare[:0], len(rows)+places)[:len(rows)+places]
	out, next := spare[:len(rows)], spare[len(rows):]
	clear(next)
	for _, row := range rows {
		next[entries[row].Key.Hi>>shift]++
	}
	sum := int32(0)
	for i, n := range next {
		next[i] = sum
		sum += n
	}
	for _, row := range rows {
		place := entries[row].Key.Hi >> shift
		out[next[place]] = row
		next[place]++
	}
	for i, row := range out {
		key := entries[row].Key
		j := i
		for ; j > 0 && key.Compare(entries[rows[j-1]].Key) < 0; j-- {
			rows[j] = rows[j-1]
		}
		rows[j] = row
	}
	return spare
}

func (c *chunk) reset() {
	c.end = nil
	if c.set != nil {
		c.set.reset()
	}
	c.n, c.size = 0, 0
	c.entries, c.lines, c.bad = c.entries[:0], c.lines[:0], c.bad[:0]
	c.amount, c.occurred, c.active = c.amount[:0], c.occurred[:0], c.active[:0]
	for _, l := range []*labels{&c.source, &c.kind, &c.serviceType, &c.serviceID, &c.shopID, &c.shopName, &c.merchantID, &c.terminalID} {
		l.reset()
	}
	for _, t := range []*texts{&c.recordID, &c.personID, &c.targetID, &c.groupID, &c.consentID} {
		t.reset()
	}
}

// only returns the rows of c that are kept, for a segment.
func (c *chunk) only(keep []int32) *chunk {
	if c.set != nil {
		return &chunk{n: len(keep), set: c.set.only(keep)}
	}
	return &chunk{
		n:      len(keep),
		source: c.source.pick(keep), kind: c.kind.pick(keep), serviceType: c.serviceType.pick(keep),
		serviceID: c.serviceID.pick(keep), shopID: c.shopID.pick(keep), shopName: c.shopName.pick(keep),
		merchantID: c.merchantID.pick(keep), terminalID: c.terminalID.pick(keep),
		recordID: c.recordID.pick(keep), personID: c.personID.pick(keep), targetID: c.targetID.pick(keep),
		groupID: c.groupID.pick(keep), consentID: c.consentID.pick(keep),
		amount: pick(c.amount, keep), occurred: pick(c.occurred, keep), active: pick(c.active, keep),
	}
}

// batch returns the chunk's rows as Arrow; it is valid until the chunk is
// reset.
func (c *chunk) batch() arrow.RecordBatch {
	if c.set != nil {
		return c.set.batch(c.n)
	}
	active := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer active.Release()
	active.AppendValues(c.active, nil)
	amount := array.NewData(arrow.PrimitiveTypes.Int64, c.n,
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.amount))}, nil, 0, 0)
	defer amount.Release()
	occurred := array.NewData(PaymentSchema.Field(11).Type, c.n,
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.TimestampTraits.CastToBytes(c.occurred))}, nil, 0, 0)
	defer occurred.Release()
	columns := []arrow.Array{
		c.source.array(), c.recordID.array(false), c.kind.array(), c.serviceType.array(), c.serviceID.array(),
		c.personID.array(true), c.shopID.array(), c.shopName.array(), c.merchantID.array(), c.terminalID.array(),
		array.NewInt64Data(amount), array.NewTimestampData(occurred), c.targetID.array(true), c.groupID.array(false),
		active.NewArray(), c.consentID.array(true),
	}
	batch := array.NewRecordBatch(PaymentSchema, columns, int64(c.n))
	for _, column := range columns {
		column.Release() // the batch holds its own reference
	}
	return batch
}

// span returns the sum of the amounts and the first and last instant.
func (c *chunk) span() (sum int64, first, last time.Time) {
	if c.n == 0 {
		return 0, time.Time{}, time.Time{}
	}
	if c.set != nil {
		return c.set.span()
	}
	low, high := c.occurred[0], c.occurred[0]
	for i := range c.n {
		sum += c.amount[i] // MaxAmountYen keeps it inside int64
		low, high = min(low, c.occurred[i]), max(high, c.occurred[i])
	}
	return sum, time.UnixMicro(int64(low)).UTC(), time.UnixMicro(int64(high)).UTC()
}
