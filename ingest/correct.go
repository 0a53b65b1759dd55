package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Correction is what the office corrected of a person at their request (訂正, Act
// 34): an attribute, or whom of another source the person is. It stands over what
// the source says, now and later, so that an old file does not undo it; another
// correction of the same does. The source's own row stays as it came.
//
// Payments are not corrected here: their provider cancels them or gives back, and
// that comes as records of its own.
type Correction struct {
	Number   int64
	Source   string
	PersonID string
	Field    string // sex, born_on, area or link
	Old, New string // of a link: source and person with a unit separator between them
	Request  string
	Reason   string
	At       time.Time
	By       string
}

// LinkField is the field of a correction of a link.
const LinkField = "link"

// Correctable are the attributes of a person that can be corrected.
func Correctable() []string { return []string{"area", "born_on", "sex"} }

func (p *Person) attribute(field string) *string {
	switch field {
	case "sex":
		return &p.Sex
	case "born_on":
		return &p.BornOn
	case "area":
		return &p.Area
	}
	return nil
}

// Correcting is what is to be corrected of a person.
type Correcting struct {
	Person  PersonID
	Set     map[string]string // by attribute; "" is unknown
	Link    []PersonID        // who are the person
	Unlink  []PersonID        // who were linked to the person, and are somebody else
	Request string
	Reason  string
	By      string
	At      time.Time
}

// The reasons for which nothing is corrected.
var (
	ErrNotKnown = errors.New("nothing is known of the person's attributes: see the number and its source")
	ErrRight    = errors.New("the data say so already")
)

// Correct enters corrections: of an attribute with all numbers of the person under
// which something else is known. The next run of the pipeline rewrites the lake.
func (im *Importer) Correct(ctx context.Context, c Correcting) ([]Correction, error) {
	list, err := im.corrections(ctx, c)
	if err == nil && len(list) == 0 {
		err = ErrRight
	}
	if err == nil {
		err = im.store.PutCorrections(ctx, list)
	}
	if err != nil {
		return nil, fmt.Errorf("correct: %w", err)
	}
	return list, nil
}

func (im *Importer) corrections(ctx context.Context, c Correcting) ([]Correction, error) {
	nobody, nothing := c.Person.Source == "" || c.Person.ID == "", len(c.Set)+len(c.Link)+len(c.Unlink) == 0
	if c.By == "" || strings.TrimSpace(c.Reason) == "" || nobody || nothing {
		return nil, fmt.Errorf("%w: a correction names the person, what is right, the reason, and who corrects", ErrInvalid)
	}
	c.Person.Source = im.ProviderOf(c.Person.Source)
	one := func(p PersonID, field, from, to string) Correction {
		return Correction{Source: p.Source, PersonID: p.ID, Field: field, Old: from, New: to,
			Request: c.Request, Reason: c.Reason, At: c.At, By: c.By}
	}
	links, err := im.correctLinks(ctx, c, one)
	if err != nil || len(c.Set) == 0 {
		return links, err
	}
	same, err := im.Same(ctx, []PersonID{c.Person})
	if err != nil {
		return nil, err
	}
	var list []Correction
	known := false
	for _, id := range same {
		p, ok, err := im.person(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		known = true
		for _, field := range sortedKeys(c.Set) {
			now, right := p.attribute(field), c.Set[field]
			if now == nil {
				return nil, fmt.Errorf("%w: %s cannot be corrected: use %s", ErrInvalid, field, strings.Join(Correctable(), ", "))
			}
			if field == "sex" {
				right = cmp.Or(right, "unknown")
			}
			// Who of another source tells nothing is told by the link.
			if *now == right || id != c.Person && said(field, *now) == "" {
				continue
			}
			list = append(list, one(id, field, *now, right))
			*now = right
		}
		if f := p.check(); f.bad() {
			return nil, fmt.Errorf("%w: %s: %s: %s", ErrInvalid, f.field, f.problem, f.remedy)
		}
	}
	if !known {
		return nil, ErrNotKnown
	}
	return append(list, links...), nil
}

// correctLinks are the corrections of links, checked with all that there are.
func (im *Importer) correctLinks(ctx context.Context, c Correcting,
	one func(p PersonID, field, from, to string) Correction) (list []Correction, err error) {
	all, err := im.Links(ctx)
	if err != nil {
		return nil, err
	}
	to := map[PersonID]PersonID{}
	for _, l := range all { // the last word about a person counts
		delete(to, PersonID{l.Source, l.PersonID})
		if l.ToID != "" {
			to[PersonID{l.Source, l.PersonID}] = PersonID{l.ToSource, l.ToID}
		}
	}
	text := func(p PersonID) string {
		if p.ID == "" {
			return ""
		}
		return p.identity()
	}
	for _, from := range c.Link {
		from.Source = im.ProviderOf(from.Source)
		if to[from] != c.Person {
			list = append(list, one(from, LinkField, text(to[from]), c.Person.identity()))
			to[from] = c.Person
		}
	}
	for _, from := range c.Unlink {
		from.Source = im.ProviderOf(from.Source)
		if to[from] != c.Person {
			return nil, fmt.Errorf("%w: a number of %s is not linked to the person", ErrInvalid, from.Source)
		}
		list = append(list, one(from, LinkField, text(to[from]), ""))
		delete(to, from)
	}
	for _, l := range list {
		if at, ok := to[PersonID{l.Source, l.PersonID}]; ok {
			if _, further := to[at]; further || l.Source == "" || l.PersonID == "" {
				return nil, fmt.Errorf("%w: who it leads to is linked further, or to itself: link both to the resident",
					ErrInvalid)
			}
		}
		for _, at := range to {
			if at == (PersonID{l.Source, l.PersonID}) && l.New != "" {
				return nil, fmt.Errorf("%w: others are linked to a number of %s: link them to the resident first", ErrInvalid, l.Source)
			}
		}
	}
	return list, nil
}

// said is a value, or "" where it says nothing.
func said(field, value string) string {
	if field == "sex" {
		return known(value)
	}
	return value
}

// person looks for one by its number, as it is after corrections.
func (im *Importer) person(ctx context.Context, id PersonID) (Person, bool, error) {
	const page = 5000
	for after := ""; ; {
		list, err := im.Persons(ctx, id.Source, after, page)
		if err != nil {
			return Person{}, false, err
		}
		if at := slices.IndexFunc(list, func(p Person) bool { return p.ID == id.ID }); at >= 0 {
			return list[at], true, nil
		}
		if len(list) < page {
			return Person{}, false, nil
		}
		after = list[len(list)-1].ID
	}
}

// Corrections returns what was corrected, in order.
func (im *Importer) Corrections(ctx context.Context) ([]Correction, error) {
	list, err := im.store.Corrections(ctx)
	if err != nil {
		return nil, fmt.Errorf("list corrections: %w", err)
	}
	return list, nil
}

// corrected puts corrections over what the source says of persons.
func (im *Importer) corrected(ctx context.Context, persons []Person) ([]Person, error) {
	list, err := im.store.Corrections(ctx)
	if err != nil || len(list) == 0 {
		return persons, err
	}
	of := map[PersonID][]Correction{}
	for _, c := range list {
		of[PersonID{c.Source, c.PersonID}] = append(of[PersonID{c.Source, c.PersonID}], c)
	}
	for i := range persons {
		for _, c := range of[PersonID{persons[i].Source, persons[i].ID}] {
			if at := persons[i].attribute(c.Field); at != nil {
				*at = c.New
			}
		}
	}
	return persons, nil
}

// correctedLinks are the links that were corrected: the last words about their
// persons.
func (im *Importer) correctedLinks(ctx context.Context) (links []Link, err error) {
	list, err := im.store.Corrections(ctx)
	for _, c := range list {
		if c.Field == LinkField {
			source, id, _ := strings.Cut(c.New, "\x1f")
			links = append(links, Link{Source: c.Source, PersonID: c.PersonID, ToSource: source, ToID: id,
				At: c.At, By: c.By})
		}
	}
	return links, err
}

// lastCorrection is the moment of the last one, in microseconds; 0 for none.
func (im *Importer) lastCorrection(ctx context.Context) (at int64, err error) {
	list, err := im.store.Corrections(ctx)
	for _, c := range list {
		at = max(at, c.At.UnixMicro())
	}
	return at, err
}

// correctedSince tells whether something was corrected after a lake was written,
// by what its manifest says was known then.
func (j *joiner) correctedSince(known string) bool {
	_, text, _ := strings.Cut(known[strings.LastIndexByte(known, '/')+1:], ".")
	then, err := strconv.ParseInt(text, 10, 64)
	return known != "" && (err != nil && j.correctedAt > 0 || j.correctedAt > then)
}

// findCorrections calls found for each correction of persons.
func (e *Eraser) findCorrections(ctx context.Context, persons map[PersonID]bool, found func(dataset, identity string)) error {
	list, err := e.Importer.Corrections(ctx)
	for _, c := range list {
		gone := persons[PersonID{c.Source, c.PersonID}]
		for _, end := range []string{c.Old, c.New} {
			source, id, _ := strings.Cut(end, "\x1f")
			gone = gone || c.Field == LinkField && persons[PersonID{source, id}]
		}
		if gone {
			found("correction", strconv.FormatInt(c.Number, 10))
		}
	}
	return err
}
