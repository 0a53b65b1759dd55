package consent

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Coverage answers, for one purpose at one time, on which basis a row may be
// used. It is a snapshot in memory: nothing changes it.
type Coverage struct {
	Purpose string
	AsOf    time.Time
	Last    int64 // number of the last entry of the log that it knows

	bits    map[string]uint64 // data set → its bit
	sources map[string]*crowd
	spans   []span
	covered []based
}

// span is a stretch of time of the rows of some data sets. Times are in
// microseconds, from the first on and before the second.
type span struct {
	datasets    uint64
	from, until int64
	id          string // of the consent; of what was taken back, "hold" when no basis is left
}

const held = "hold"

// based is a basis other than consent.
type based struct {
	datasets    uint64
	from, until int64
	source, id  string
	law         bool
}

// Basis returns the consent or other basis that covers a row, or false when
// there is none. The person is empty for a row of nobody.
func (c *Coverage) Basis(dataset, source, person string, at time.Time) (basisID string, ok bool) {
	bit := c.bits[dataset]
	if bit == 0 {
		return "", false
	}
	row := at.UnixMicro()
	objects := false
	if s := c.sources[source].find(person); s != nil {
		all := c.spans[s.first:][:int(s.allows)+int(s.takes)]
		for i := range all[:s.allows] {
			if a := &all[i]; a.datasets&bit != 0 && a.from <= row && row < a.until {
				return a.id, true
			}
		}
		for i := range all[s.allows:] {
			if t := &all[int(s.allows)+i]; t.datasets&bit != 0 && t.from <= row {
				if t.id == held {
					return "", false
				}
				objects = true
			}
		}
	}
	for i := range c.covered {
		b := &c.covered[i]
		if b.datasets&bit != 0 && (b.source == "" || b.source == source) && b.from <= row && row < b.until && (b.law || !objects) {
			return b.id, true
		}
	}
	return "", false
}

// People is how many persons the snapshot knows.
func (c *Coverage) People() (n int) {
	for _, of := range c.sources {
		n += of.people
	}
	return n
}

// mostDatasets is how many data sets a snapshot has room for: one bit each.
const mostDatasets = 64

// happened is an event of a person, with what of it is about the purpose.
type happened struct {
	at, from, until int64
	number          int64
	datasets        uint64
	takes           bool
	id              string
}

// Coverage takes a snapshot of what is covered for a purpose, as the log knew it
// at a time. A purpose that was not published by then is an error.
func (d *Desk) Coverage(ctx context.Context, purpose string, asOf time.Time) (*Coverage, error) {
	r, err := d.register(ctx, asOf)
	if err != nil {
		return nil, err
	}
	if err := r.published([]string{purpose}, Day(asOf)); err != nil {
		return nil, err
	}
	c := &Coverage{Purpose: purpose, AsOf: asOf, Last: r.last, bits: map[string]uint64{}, sources: map[string]*crowd{}}
	names := r.Datasets()
	if len(names) > mostDatasets {
		return nil, fmt.Errorf("coverage: texts and bases name %d data sets, and there is room for %d", len(names), mostDatasets)
	}
	for i, name := range names {
		c.bits[name] = 1 << i
	}
	for _, b := range r.Bases {
		if slices.Contains(b.Purposes, purpose) && b.From <= Day(asOf) && Day(asOf) <= b.Until {
			from, _ := begins(b.From) // both were checked when they were entered
			until, _ := ends(b.Until)
			c.covered = append(c.covered, based{datasets: c.bits[b.Dataset], from: from.UnixMicro(), until: until.UnixMicro(),
				source: b.Source, id: b.ID, law: b.Kind == Law})
		}
	}
	terms, err := r.terms(Day(asOf))
	if err != nil {
		return nil, err
	}
	people := map[Person][]happened{}
	for e, err := range d.Store.Entries(ctx, Select{Book: Consents}) {
		if err != nil {
			return nil, fmt.Errorf("coverage: %w", err)
		}
		if e.At.After(asOf) { // a clock may have been set back: look on
			continue
		}
		c.Last = max(c.Last, e.Number)
		v, err := eventOf(e)
		if err != nil {
			return nil, fmt.Errorf("coverage: %w", err)
		}
		if h, about := c.happened(v, terms); about {
			people[e.Person] = append(people[e.Person], h)
		}
	}
	c.lay(people)
	return c, nil
}

// term is what a text says about time.
type term struct {
	from, until int64
	whenAgreed  bool // the data begin at the moment of consent
}

// terms are the texts that still count on a day.
func (r *Register) terms(day string) (map[string]term, error) {
	terms := map[string]term{}
	for _, t := range r.Texts {
		if t.EndsOn < day {
			continue
		}
		in := term{until: math.MaxInt64, whenAgreed: t.DataFrom == ""}
		if t.DataFrom != "" {
			from, err := begins(t.DataFrom)
			if err != nil {
				return nil, err
			}
			in.from = from.UnixMicro()
		}
		if t.DataUntil != "" {
			until, err := ends(t.DataUntil)
			if err != nil {
				return nil, err
			}
			in.until = until.UnixMicro()
		}
		terms[t.Key()] = in
	}
	return terms, nil
}

func (c *Coverage) happened(v Event, terms map[string]term) (h happened, about bool) {
	h.number = v.Number
	if w := v.Withdrawal; w != nil {
		if len(w.Purposes) > 0 && !slices.Contains(w.Purposes, c.Purpose) {
			return h, false
		}
		h.at, h.takes, h.from, h.until, h.datasets = w.At.UnixMicro(), true, math.MinInt64, math.MaxInt64, math.MaxUint64
		if !w.From.IsZero() {
			h.from = w.From.UnixMicro()
		}
		if len(w.Items) > 0 {
			h.datasets = 0
			for _, item := range w.Items { // a field taken back takes its data set with it
				name, _ := dataset(item)
				h.datasets |= c.bits[name]
			}
		}
		if w.Hold {
			h.id = held
		}
		return h, true
	}
	t, counts := terms[v.Receipt.Text]
	if !counts || !slices.Contains(v.Receipt.Purposes, c.Purpose) {
		return h, false
	}
	h.at, h.from, h.until, h.id = v.Receipt.At.UnixMicro(), t.from, t.until, v.Receipt.ID
	if t.whenAgreed {
		h.from = h.at
	}
	for _, item := range v.Receipt.Items {
		if name, whole := dataset(item); whole {
			h.datasets |= c.bits[name]
		}
	}
	return h, h.datasets != 0
}

// lay works out everybody's spans, and lays them and all names side by side.
func (c *Coverage) lay(people map[Person][]happened) {
	count := map[string]int{}
	for p := range people {
		count[p.Source]++
	}
	for source, n := range count {
		c.sources[source] = newCrowd(n)
	}
	var allows, takes []span
	for p, events := range people {
		allows, takes = allows[:0], takes[:0]
		slices.SortFunc(events, func(a, b happened) int {
			// At one instant the withdrawal comes last: in doubt it counts.
			return cmp.Or(cmp.Compare(a.at, b.at), compareBool(a.takes, b.takes), cmp.Compare(a.number, b.number))
		})
		for _, h := range events {
			if !h.takes {
				allows = append(allows, span{h.datasets, h.from, h.until, h.id})
				continue
			}
			takes = append(takes, span{h.datasets, h.from, h.until, h.id})
			allows = takeBack(allows, h)
		}
		slices.Reverse(allows)
		*c.sources[p.Source].add(p.ID) = sheet{uint32(len(c.spans)), uint32(len(allows)), uint32(len(takes))}
		c.spans = append(append(c.spans, allows...), takes...)
	}
	c.spans = slices.Clip(c.spans)
}

// takeBack cuts what a withdrawal covers out of what was allowed until then.
func takeBack(allows []span, w happened) []span {
	var left []span
	for _, a := range allows {
		hit := a
		hit.datasets &= w.datasets
		a.datasets &^= w.datasets
		if a.datasets != 0 {
			left = append(left, a)
		}
		if hit.until = min(hit.until, w.from); hit.datasets != 0 && hit.from < hit.until {
			left = append(left, hit)
		}
	}
	return left
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Changes says whose coverage was taken back since a number of the log.
type Changes struct {
	Persons  []Person // who withdrew, or is under hold
	Everyone bool     // a basis or a text has ended: anybody may be concerned
	Last     int64    // ask from here the next time
}

// ChangedSince says who must be looked at again after an entry of the log, for
// the run that erases.
func (d *Desk) ChangedSince(ctx context.Context, number int64) (Changes, error) {
	last, err := d.Store.Last(ctx)
	if err != nil {
		return Changes{}, err
	}
	c := Changes{Last: max(last, number)}
	since := time.Time{}
	for e, err := range d.Store.Entries(ctx, Select{After: number - 1}) {
		if err != nil {
			return c, err
		}
		if e.Number == number {
			since = e.At
		}
		if e.Number <= number || e.Number > last {
			continue
		}
		switch {
		case e.Book == Consents && e.Kind != kindReceipt:
			c.Persons = append(c.Persons, e.Person)
		case e.Book == Registers && e.Kind == kindBasisEnd:
			c.Everyone = true
		}
	}
	r, err := d.Register(ctx)
	if err != nil {
		return c, err
	}
	passed := func(day string) bool { return Day(since) <= day && day < Day(d.Now()) }
	for _, t := range r.Texts {
		c.Everyone = c.Everyone || passed(t.EndsOn)
	}
	for _, b := range r.Bases {
		c.Everyone = c.Everyone || passed(b.Until)
	}
	slices.SortFunc(c.Persons, func(a, b Person) int { return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.ID, b.ID)) })
	c.Persons = slices.Compact(c.Persons)
	return c, nil
}
