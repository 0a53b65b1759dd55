package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// PutLinks joins persons of sources to residents of others (突合), in the name
// of somebody. A link to itself is refused, and so is one to a person that is
// linked further: who is who must be plain from one record.
func (im *Importer) PutLinks(ctx context.Context, links []Link, by string, now time.Time) error {
	if by == "" {
		return fmt.Errorf("put links: %w: say who links them", ErrInvalid)
	}
	to := map[personKey]personKey{}
	before, err := im.Links(ctx)
	if err != nil {
		return err
	}
	for i := range links {
		links[i].Source, links[i].ToSource = im.ProviderOf(links[i].Source), im.ProviderOf(links[i].ToSource)
	}
	corrected, err := im.correctedLinks(ctx)
	if err != nil {
		return err
	}
	for _, l := range slices.Concat(before, links, corrected) {
		delete(to, l.from())
		if l.ToID != "" {
			to[l.from()] = personKey{l.ToSource, l.ToID}
		}
	}
	for i := range links {
		l := &links[i]
		if l.Source == "" || l.PersonID == "" || (l.ToSource == "") != (l.ToID == "") {
			return fmt.Errorf("put links: number %d: %w: a link names a source and its person, and the source and person they are", i+1, ErrInvalid)
		}
		for _, s := range []string{l.Source, l.PersonID, l.ToSource, l.ToID} {
			if f := checkText(s); f.bad() {
				return fmt.Errorf("put links: number %d: %w: %s", i+1, ErrInvalid, f.problem)
			}
		}
		if _, further := to[personKey{l.ToSource, l.ToID}]; l.ToID != "" && further {
			return fmt.Errorf("put links: number %d: %w: who it leads to is linked further, or to itself: link both to the resident", i+1, ErrInvalid)
		}
		l.At, l.By = now, by
	}
	for from, at := range to {
		if _, further := to[at]; further {
			return fmt.Errorf("put links: %w: a person of %s would be linked to one who is linked further", ErrInvalid, from.source)
		}
	}
	if err := im.store.PutLinks(ctx, links); err != nil {
		return fmt.Errorf("put links: %w", err)
	}
	return nil
}

func (l Link) from() personKey { return personKey{l.Source, l.PersonID} }

// Links returns all links in the order in which they were made, and those that
// were corrected at the end, without a number: no other undoes them.
func (im *Importer) Links(ctx context.Context) ([]Link, error) {
	links, err := im.store.Links(ctx)
	var corrected []Link
	if err == nil {
		corrected, err = im.correctedLinks(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return append(links, corrected...), nil
}
