package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Add takes in records that came over an API, like the rows of a file: the
// same identities, segments and quarantine. The records' Source must be empty
// or the given one. A record that does not hold, and a cancellation of an
// unknown payment, goes to quarantine.
func (im *Importer) Add(ctx context.Context, source string, records []Record) (Summary, error) {
	return im.add(ctx, source, records, nil)
}

// AddWithCursor is Add and keeps the cursor with the last of the records, in
// one transaction: after a crash the cursor never stands beyond what was kept.
func (im *Importer) AddWithCursor(ctx context.Context, source string, records []Record, cursor string) (Summary, error) {
	return im.add(ctx, source, records, &cursor)
}

// Cursor returns the cursor that was kept last for a source, or "".
func (im *Importer) Cursor(ctx context.Context, source string) (string, error) {
	cursor, err := im.store.Cursor(ctx, source)
	if err != nil {
		return "", fmt.Errorf("cursor of %s: %w", source, err)
	}
	return cursor, nil
}

func (im *Importer) add(ctx context.Context, source string, records []Record, cursor *string) (Summary, error) {
	if err := checkSource(source); err != nil {
		return Summary{}, fmt.Errorf("add records: %w", err)
	}
	provider, err := im.providerOf(ctx, source)
	if err != nil {
		return Summary{}, fmt.Errorf("add records: %w", err)
	}
	r, err := im.begin(ctx, provider, PaymentDataset, "api", (&layout{Format: apiFormat, Source: provider}).text())
	if err != nil {
		return Summary{}, fmt.Errorf("add records of %s: %w", source, err)
	}
	r.way = source
	err = r.addAll(ctx, records, cursor)
	for _, l := range r.late {
		row, jerr := json.Marshal(records[l.line-1])
		if err = errors.Join(err, jerr, r.quarantine.add(badRow{l.line, *l.fault, string(row)})); err != nil {
			break
		}
	}
	summary, err := r.end(ctx, int64(len(records)), err)
	if err != nil {
		return summary, fmt.Errorf("add records of %s: %w", source, err)
	}
	return summary, nil
}

func (r *run) addAll(ctx context.Context, records []Record, cursor *string) error {
	payments, cancels := &chunk{}, []*chunk{{}}
	for i := range records {
		record := records[i]
		f := fault{}
		if record.Source != "" && record.Source != r.summary.Source && record.Source != r.way {
			f = fault{"source", "the record is of another source", "add the records of each source by themselves"}
		}
		record.Source = r.summary.Source
		if !f.bad() {
			f = record.checkForeign()
		}
		if !f.bad() {
			f = r.tally.onTime("occurred_at", record.OccurredAt, r.started)
		}
		if !f.bad() {
			r.tally.add(record.OccurredAt.UnixMicro(), string(record.Kind), record.AmountYen)
		}
		c := payments
		if record.Kind.takesBack() != "" {
			if c = cancels[len(cancels)-1]; c.full(r.chunkRows) {
				c = &chunk{}
				cancels = append(cancels, c)
			}
		}
		if f.bad() {
			row, err := json.Marshal(record)
			if err != nil {
				return err
			}
			payments.addBad(int64(i+1), f, string(row))
		} else {
			c.add(&record, int64(i+1))
		}
		if payments.full(r.chunkRows) {
			if err := r.commit(ctx, payments, payments.sort(), nil); err != nil {
				return err
			}
			payments.reset()
		}
	}
	if cancels[0].n == 0 {
		return r.commit(ctx, payments, payments.sort(), cursor)
	}
	if err := r.commit(ctx, payments, payments.sort(), nil); err != nil {
		return err
	}
	last := len(cancels) - 1
	for _, c := range cancels[:last] {
		if err := r.commitCancels(ctx, c, nil); err != nil {
			return err
		}
	}
	return r.commitCancels(ctx, cancels[last], cursor)
}

// PutPersons enters persons, or replaces what was known of them.
func (im *Importer) PutPersons(ctx context.Context, persons []Person) error {
	return put(ctx, "persons", persons, (*Person).checkForeign, im.store.PutPersons)
}

// PutShops enters shops, or replaces what was known of them.
func (im *Importer) PutShops(ctx context.Context, shops []Shop) error {
	return put(ctx, "shops", shops, (*Shop).checkForeign, im.store.PutShops)
}

func put[T any](ctx context.Context, what string, list []T, check func(*T) error, store func(context.Context, []T) (int64, error)) error {
	for i := range list {
		if err := check(&list[i]); err != nil {
			return fmt.Errorf("put %s: number %d: %w", what, i+1, err)
		}
	}
	if _, err := store(ctx, list); err != nil {
		return fmt.Errorf("put %s: %w", what, err)
	}
	return nil
}

func (p *Person) checkForeign() error {
	return foreign(p.Source, p.check())
}

func (s *Shop) checkForeign() error {
	return foreign(s.Source, s.check())
}

func foreign(source string, f fault) error {
	if err := checkSource(source); err != nil {
		return err
	}
	if f.bad() {
		return fmt.Errorf("%w: %s: %s: %s", ErrInvalid, f.field, f.problem, f.remedy)
	}
	return nil
}

// Persons returns a source's persons by ID, from the first after the given ID
// on; "" starts at the beginning. What was corrected of them is as it should be.
func (im *Importer) Persons(ctx context.Context, source, after string, limit int) ([]Person, error) {
	persons, err := im.store.Persons(ctx, source, after, limit)
	if err == nil {
		persons, err = im.corrected(ctx, persons)
	}
	if err != nil {
		return nil, fmt.Errorf("list persons: %w", err)
	}
	return persons, nil
}

// Shops returns a source's shops by ID, like Persons.
func (im *Importer) Shops(ctx context.Context, source, after string, limit int) ([]Shop, error) {
	shops, err := im.store.Shops(ctx, source, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list shops: %w", err)
	}
	return shops, nil
}
