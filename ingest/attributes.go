package ingest

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// The datasets of what is known, which become tables of the lake that are
// written whole.
const (
	ResidentDataset = "resident"
	ShopDataset     = "shop"
)

// PersonItem is what texts of consent call the attributes of a resident.
const PersonItem = "person"

var residentSchema = arrow.NewSchema([]arrow.Field{
	{Name: "source", Type: dictionary},
	{Name: "person_id", Type: arrow.BinaryTypes.String},
	{Name: "consent_id", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "sex", Type: dictionary},
	{Name: "born_on", Type: arrow.BinaryTypes.String},
	{Name: "home_area", Type: dictionary},
}, nil)

var shopSchema = arrow.NewSchema([]arrow.Field{
	{Name: "source", Type: dictionary},
	{Name: "shop_id", Type: dictionary},
	{Name: "name", Type: arrow.BinaryTypes.String},
	{Name: "merchant_id", Type: dictionary},
	{Name: "operator", Type: dictionary},
	{Name: "industry", Type: dictionary},
	{Name: "area", Type: dictionary},
}, nil)

// attributes makes the tables of residents and shops: of all that is known now
// and may be used.
func (r *pipelineRun) attributes(ctx context.Context, joined chan<- joint) error {
	sources, err := r.Importer.store.Sources(ctx)
	if err != nil {
		return err
	}
	for _, source := range sources {
		a, err := r.join.attributes(ctx, source)
		if err != nil {
			return err
		}
		if err := r.residents(ctx, source, a, joined); err != nil {
			return err
		}
		if err := r.shops(ctx, source, a, joined); err != nil {
			return err
		}
	}
	return nil
}

// residents gives those of a source who are themselves, and not linked to
// somebody of another: each resident has one row.
func (r *pipelineRun) residents(ctx context.Context, source string, a *attributes, joined chan<- joint) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, residentSchema)
	defer b.Release()
	n := 0
	now := r.Now()
	for _, p := range a.byID() {
		if p.who != (personKey{source, p.ID}) {
			continue
		}
		f, basis := r.join.may(PersonItem, p, now)
		if f != fateGo {
			continue
		}
		if p.ConsentID != "" {
			basis = p.ConsentID
		}
		if err := appendTexts(b, source, p.identity(), basis, p.Sex, p.BornOn, p.Area); err != nil {
			return err
		}
		n++
	}
	return r.whole(ctx, ResidentDataset, b, n, joined)
}

func (r *pipelineRun) shops(ctx context.Context, source string, a *attributes, joined chan<- joint) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, shopSchema)
	defer b.Release()
	for _, id := range sortedKeys(a.shops) {
		s := a.shops[id]
		if err := appendTexts(b, source, s.ID, s.Name, s.Merchant, s.Operator, s.Industry, s.Area); err != nil {
			return err
		}
	}
	return r.whole(ctx, ShopDataset, b, len(a.shops), joined)
}

// appendTexts appends a row; "" is null where the column may be.
func appendTexts(b *array.RecordBuilder, values ...string) error {
	for i, v := range values {
		switch c := b.Field(i).(type) {
		case *array.StringBuilder:
			if v == "" && b.Schema().Field(i).Nullable {
				c.AppendNull()
			} else {
				c.Append(v)
			}
		case *array.BinaryDictionaryBuilder:
			if err := c.AppendString(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *pipelineRun) whole(ctx context.Context, dataset string, b *array.RecordBuilder, n int, joined chan<- joint) error {
	if n == 0 {
		return nil
	}
	batch := b.NewRecordBatch()
	plan, err := r.plan(dataset, batch.Schema())
	if err != nil {
		batch.Release()
		return err
	}
	select {
	case joined <- joint{tableOf(dataset), plan, batch}:
		return nil
	case <-ctx.Done():
		batch.Release()
		return ctx.Err()
	}
}
