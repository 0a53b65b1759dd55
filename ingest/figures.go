package ingest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"meguri/pseudonymize/lake"
)

// Claim is what a source said of an import that is not what was read.
type Claim struct {
	Source string `json:"source"`
	File   string `json:"file"`
	TotalCheck
	Bad       int64 `json:"quarantined"` // rows of the import
	Explained bool  `json:"explained"`   // by them
}

// Figures gathers the sums of payments at every station but the ledger, and what
// sources said that is not so. Faults name what could not be read.
func (im *Importer) Figures(ctx context.Context, l *lake.Lake) (f Figures, claims []Claim, faults []string, err error) {
	g := &gatherer{Importer: im, Figures: Figures{NotRun: Sums{}, Test: Sums{}, Held: Sums{}, Lake: Sums{}}, group: map[string]*ImportFigures{},
		unplaced: map[[2]string]unplaced{}}
	g.Takings = Takings{}
	fail := func(err error) (Figures, []Claim, []string, error) {
		return Figures{}, nil, nil, fmt.Errorf("reconcile: %w", err)
	}
	if g.manifest, err = l.Manifest(); err != nil {
		return fail(err)
	}
	if g.join, err = newJoiner(ctx, &Pipeline{Importer: im}); err != nil {
		return fail(err)
	}
	if err := g.imports(ctx); err != nil {
		return fail(err)
	}
	segments, err := im.Segments(ctx)
	if err != nil {
		return fail(err)
	}
	for _, s := range segments {
		if s.Dataset == PaymentDataset {
			if err := g.segment(ctx, s); err != nil {
				return fail(err)
			}
		}
	}
	if err := g.place(ctx, segments); err != nil {
		return fail(err)
	}
	if g.Statements, err = im.Settlements(ctx); err != nil {
		return fail(err)
	}
	for _, h := range g.manifest.Held {
		if h.Dataset != PaymentDataset {
			continue
		}
		if err := eachPayment(im.heldPath(h.File), func(c Cell, sum Sum, _ *paymentRow) error { g.Held.Add(c, sum); return nil }); err != nil {
			g.faults = append(g.faults, err.Error())
		}
	}
	for _, file := range g.manifest.Table(tableOf(PaymentDataset)) {
		if err := l.Read(ctx, file, []string{"source", "kind", "amount_yen", lake.DayColumn}, g.lakeRows); err != nil {
			return fail(err)
		}
	}
	for _, i := range g.order {
		g.Imports = append(g.Imports, *i)
	}
	return g.Figures, g.claims, g.faults, nil
}

type gatherer struct {
	*Importer
	Figures
	manifest lake.Manifest
	join     *joiner
	group    map[string]*ImportFigures // by every import in it
	order    []*ImportFigures
	claims   []Claim
	faults   []string
	unplaced map[[2]string]unplaced // by source and ID of the payment that they take back
}

// unplaced are takings that name no shop: that of the payment is meant.
type unplaced []struct {
	Taking
	yen int64
}

// imports gathers what imports counted. Those of one file that go on from each
// other are one: the last one's totals are of the file from its beginning.
func (g *gatherer) imports(ctx context.Context) error {
	all, err := g.store.Imports(ctx, math.MaxInt32)
	if err != nil {
		return err
	}
	slices.Reverse(all) // the oldest first
	last := map[string]time.Time{}
	for _, r := range all {
		if key := r.Source + "\x1f" + r.File; !r.FinishedAt.IsZero() {
			last[key] = r.StartedAt
		}
	}
	for _, r := range all {
		if r.Dataset != PaymentDataset {
			continue
		}
		i := g.group[r.Continues]
		if i == nil || r.Continues == "" {
			i = &ImportFigures{ID: r.ID, Source: r.Source, File: r.File, Days: Sums{}, Segments: Sums{}}
			g.order = append(g.order, i)
		} else {
			i.Chain = true
		}
		g.group[r.ID] = i
		i.Accepted += r.Summary.Accepted
		i.Duplicate += r.Summary.Duplicate
		i.Bad += r.Summary.Quarantined
		i.Killed = i.Killed || r.FinishedAt.IsZero()
		i.Whole = !r.FinishedAt.IsZero() || last[r.Source+"\x1f"+r.File].After(r.StartedAt)
		days, err := g.store.Days(ctx, r.ID)
		if err != nil {
			return err
		}
		if len(days) > 0 {
			i.Counted, i.Days = true, Sums{}
		}
		for _, d := range days {
			i.Days.Add(Cell{r.Source, d.Day, d.Kind}, Sum{d.Rows, d.AmountYen})
		}
		totals, err := g.store.Totals(ctx, r.ID)
		if err != nil {
			return err
		}
		for _, t := range totals {
			if missing := t.RowsTold - t.RowsRead; !t.Agrees() {
				g.claims = append(g.claims, Claim{r.Source, r.File, t, i.Bad, missing > 0 && missing <= i.Bad})
			}
		}
	}
	return nil
}

// segment gathers a segment, and compares it with what was registered.
func (g *gatherer) segment(ctx context.Context, s Segment) error {
	i := g.group[s.ImportID]
	if i == nil {
		i = &ImportFigures{ID: s.ImportID, Whole: true, Killed: true, Days: Sums{}, Segments: Sums{}}
		g.group[s.ImportID] = i
		g.order = append(g.order, i)
	}
	_, in := slices.BinarySearch(g.manifest.Segments, s.Number)
	var whole Sum
	err := eachPayment(s.Path, func(c Cell, sum Sum, row *paymentRow) error {
		whole = whole.plus(sum)
		i.Segments.Add(c, sum)
		g.take(c, sum, row)
		person := row.personID()
		if !in {
			g.NotRun.Add(c, sum)
			return nil
		}
		if person == "" {
			return nil
		}
		a, err := g.join.attributes(ctx, c.Source)
		if err != nil {
			return err
		}
		p, err := g.join.person(ctx, c.Source, a, person, -1)
		if err == nil && p.Test {
			g.Test.Add(c, sum)
		}
		return err
	})
	switch {
	case err != nil:
		g.faults = append(g.faults, fmt.Sprintf("segment %d: %v", s.Number, err))
	case whole != Sum{s.Rows, s.AmountYen}:
		g.faults = append(g.faults, fmt.Sprintf("segment %d: %v: it has %d rows and %d yen, and was registered with %d and %d",
			s.Number, ErrSegmentChanged, whole.Rows, whole.Yen, s.Rows, s.AmountYen))
	default:
		return ctx.Err()
	}
	i.Changed = true
	return ctx.Err()
}

// take adds a row to what its shop took.
func (g *gatherer) take(c Cell, sum Sum, row *paymentRow) {
	sign := takingSign(Kind(c.Kind))
	if sign == 0 {
		return
	}
	t := Taking{c.Source, row.shopID(), row.serviceID(), c.Day}
	if t.ShopID != "" {
		g.Takings[t] += sign * sum.Yen
		return
	}
	payment := [2]string{c.Source, row.targetID()}
	g.unplaced[payment] = append(g.unplaced[payment], struct {
		Taking
		yen int64
	}{t, sign * sum.Yen})
}

// place looks for the shops of the rows that name none but a payment.
func (g *gatherer) place(ctx context.Context, segments []Segment) error {
	for _, s := range segments {
		if s.Dataset != PaymentDataset || len(g.unplaced) == 0 {
			continue
		}
		err := eachPayment(s.Path, func(c Cell, _ Sum, row *paymentRow) error {
			payment := [2]string{c.Source, row.recordID()}
			for _, u := range g.unplaced[payment] {
				u.ShopID = row.shopID()
				g.Takings[u.Taking] += u.yen
			}
			delete(g.unplaced, payment)
			return nil
		})
		if err != nil && len(g.faults) == 0 { // a fault of a file was told before
			return err
		}
	}
	return ctx.Err()
}

// paymentRow gives what a row of a segment or held file holds beside its sum.
type paymentRow struct {
	at   int
	text [5]func(int) string
}

func (r *paymentRow) personID() string  { return r.text[0](r.at) }
func (r *paymentRow) shopID() string    { return r.text[1](r.at) }
func (r *paymentRow) serviceID() string { return r.text[2](r.at) }
func (r *paymentRow) recordID() string  { return r.text[3](r.at) }
func (r *paymentRow) targetID() string  { return r.text[4](r.at) }

// eachPayment calls fn with each row of a segment or held file.
func eachPayment(path string, fn func(c Cell, sum Sum, row *paymentRow) error) error {
	days := days{}
	for batch, err := range OpenSegment(path) {
		if err != nil {
			return err
		}
		if !batch.Schema().Equal(PaymentSchema) {
			return fmt.Errorf("%w: it holds another dataset than %s", ErrSegmentChanged, PaymentDataset)
		}
		var text [7]func(int) string
		for i, name := range []string{"source", "kind", "person_id", "shop_id", "service_id", "record_id", "target_id"} {
			if text[i], err = textOf(batch.Column(PaymentSchema.FieldIndices(name)[0])); err != nil {
				return err
			}
		}
		row := &paymentRow{text: [5]func(int) string(text[2:])}
		yen := batch.Column(PaymentSchema.FieldIndices("amount_yen")[0]).(*array.Int64)
		at := batch.Column(PaymentSchema.FieldIndices("occurred_at")[0]).(*array.Timestamp)
		for i := range int(batch.NumRows()) {
			c := Cell{text[0](i), days.name(japaneseDay(int64(at.Value(i)))), text[1](i)}
			row.at = i
			if err := fn(c, Sum{1, yen.Value(i)}, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// lakeRows counts rows of the lake.
func (g *gatherer) lakeRows(batch arrow.RecordBatch) error {
	column := func(name string) arrow.Array {
		at := batch.Schema().FieldIndices(name)
		if len(at) == 0 {
			return nil
		}
		return batch.Column(at[0])
	}
	yen, ok := column("amount_yen").(*array.Int64)
	on, also := column(lake.DayColumn).(*array.Date32)
	if !ok || !also || column("source") == nil || column("kind") == nil {
		return fmt.Errorf("%w: it has not the columns that a reconciliation needs", lake.ErrChanged)
	}
	source, err := textOf(column("source"))
	if err != nil {
		return err
	}
	kind, err := textOf(column("kind"))
	if err != nil {
		return err
	}
	days := days{}
	for i := range int(batch.NumRows()) {
		g.Lake.Add(Cell{source(i), days.name(int32(on.Value(i))), kind(i)}, Sum{1, yen.Value(i)})
	}
	return nil
}

// days remembers how days are written; there are few of them.
type days map[int32]string

func (d days) name(day int32) string {
	text, ok := d[day]
	if !ok {
		text = time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly)
		d[day] = text
	}
	return text
}
