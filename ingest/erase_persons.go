package ingest

import (
	"context"
	"errors"
	"fmt"
)

// ErasePersons forgets the attributes and links of persons.
func (e *Eraser) ErasePersons(ctx context.Context, persons []PersonID) error {
	return e.Importer.store.ErasePersons(ctx, persons)
}

// FindPersons calls found for each person that is known and for each link of one.
func (e *Eraser) FindPersons(ctx context.Context, persons []PersonID, found func(dataset, identity string)) error {
	wanted, sources := map[PersonID]bool{}, map[string]bool{}
	for _, p := range persons {
		wanted[p], sources[p.Source] = true, true
	}
	const page = 5000
	for _, source := range sortedKeys(sources) {
		for after := ""; ; {
			known, err := e.Importer.Persons(ctx, source, after, page)
			if err != nil {
				return err
			}
			for _, p := range known {
				if after = p.ID; wanted[PersonID{source, p.ID}] {
					found("person", PersonID{source, p.ID}.identity())
				}
			}
			if len(known) < page {
				break
			}
		}
	}
	links, err := e.Importer.store.Links(ctx)
	for _, l := range links {
		if wanted[PersonID{l.Source, l.PersonID}] || wanted[PersonID{l.ToSource, l.ToID}] {
			found("link", fmt.Sprint(l.Number))
		}
	}
	return errors.Join(err, e.findCorrections(ctx, wanted, found))
}
