package ingest

import (
	"context"
	"fmt"
	"time"
)

// Settlement is what a provider says that it pays a shop for a period (精算書):
// what the shop took, the provider's fee, and what is left of it.
type Settlement struct {
	Source    string `json:"source"`
	ShopID    string `json:"shop_id"`
	ServiceID string `json:"service_id"` // of which it is; "" is of all services
	From      string `json:"from"`       // first and last day in Japan, YYYY-MM-DD
	To        string `json:"to"`
	AmountYen int64  `json:"amount_yen"` // payments less what was taken back in the period
	FeeYen    int64  `json:"fee_yen"`
	NetYen    int64  `json:"net_yen"`
}

// Key is what a later statement replaces.
func (s Settlement) Key() [5]string {
	return [5]string{s.Source, s.ShopID, s.ServiceID, s.From, s.To}
}

// longestPeriod is longer than any period that shops are paid for at once.
const longestPeriod = 366 * 24 * time.Hour

// check returns what is wrong with a settlement.
func (s *Settlement) check() fault {
	from, err := time.Parse(time.DateOnly, s.From)
	to, terr := time.Parse(time.DateOnly, s.To)
	switch {
	case s.ShopID == "":
		return fault{"shop_id", "the row names no shop", "every row needs the ID that the payments' shop has"}
	case err != nil || from.Before(earliest) || !from.Before(latest):
		return fault{"from", "the day is missing or lies outside the years 1900 to 2199", "write the first day of the period"}
	case terr != nil || to.Before(from) || to.Sub(from) > longestPeriod:
		return fault{"to", "the day is missing, before the first one, or more than a year after it",
			"write the last day of the period"}
	}
	for _, v := range []struct {
		name string
		yen  int64
	}{{"amount_yen", s.AmountYen}, {"fee_yen", s.FeeYen}, {"net_yen", s.NetYen}} {
		if v.yen > MaxAmountYen || v.yen < -MaxAmountYen {
			return fault{v.name, "the amount is beyond 1,000,000,000,000 yen", "correct the amount"}
		}
	}
	if s.AmountYen-s.FeeYen != s.NetYen {
		return fault{"net_yen", "what is paid is not the amount less the fee", "ask the provider which of the three is right"}
	}
	for _, text := range []string{s.ShopID, s.ServiceID} {
		if f := checkText(text); f.bad() {
			return f
		}
	}
	return fault{}
}

func (p *mappedParser) parseSettlement(line int64, row []string) (Settlement, fault) {
	s := Settlement{Source: p.mapping.Source}
	texts := map[string]*string{"shop_id": &s.ShopID, "service_id": &s.ServiceID}
	days := map[string]*string{"from": &s.From, "to": &s.To}
	amounts := map[string]*int64{"amount_yen": &s.AmountYen, "fee_yen": &s.FeeYen, "net_yen": &s.NetYen}
	for i := range p.bindings {
		b := &p.bindings[i]
		text, f := b.value(line, row)
		if f.bad() {
			return s, f
		}
		if to := texts[b.field]; to != nil {
			*to = text
			continue
		}
		if text == "" {
			return s, fault{p.columnOf(b.field), "the field is empty", "fill it in, or write 0 for no yen"}
		}
		v := value{}
		if f := b.read(&Field{Name: b.field, Type: p.mapping.typeOf(b.field)}, text, time.UTC, &v); f.bad() {
			return s, f
		}
		if to := days[b.field]; to != nil {
			*to = time.Unix(v.number*86400, 0).UTC().Format(time.DateOnly)
		} else {
			*amounts[b.field] = v.number
		}
	}
	f := s.check()
	f.field = p.columnOf(f.field)
	return s, f
}

// PutSettlements enters settlements, or replaces those of the same shop,
// service and period.
func (im *Importer) PutSettlements(ctx context.Context, list []Settlement) error {
	check := func(s *Settlement) error { return foreign(s.Source, s.check()) }
	return put(ctx, "settlements", list, check, im.store.PutSettlements)
}

// Settlements returns what providers say that they pay.
func (im *Importer) Settlements(ctx context.Context) ([]Settlement, error) {
	list, err := im.store.Settlements(ctx)
	if err != nil {
		return nil, fmt.Errorf("list settlements: %w", err)
	}
	return list, nil
}
