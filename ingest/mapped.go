package ingest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// atLine stands for the line number among the positions of columns.
const atLine = -1

// binding is a field with the positions of its columns.
type binding struct {
	field    string
	column   string // the last of them by name, for faults
	from     []int
	join     string
	constant string
	layout   []string
	values   map[string]string

	thousands byte
	at        int // of the field in its dataset
}

// mappedParser reads rows by a mapping.
type mappedParser struct {
	mapping  *Mapping
	bindings []binding
	factors  []int // positions of the amount's factors
	rules    []int // positions of the kind rules' columns
	active   bool  // whether a column says so
	trailer  *trailerRow
}

// value returns the field's text in a row.
func (b *binding) value(line int64, row []string) (string, fault) {
	var v string
	switch len(b.from) {
	case 0:
		return b.constant, fault{}
	case 1:
		v = part(b.from[0], line, row)
	default:
		parts := make([]string, len(b.from))
		for i, at := range b.from {
			parts[i] = part(at, line, row)
		}
		v = strings.Join(parts, b.join)
	}
	if b.values != nil {
		meaning, ok := b.values[v]
		if !ok {
			return "", fault{b.column, "the mapping does not say what the value means", "add it under values: of " + b.field}
		}
		v = meaning
	}
	return v, fault{}
}

func part(at int, line int64, row []string) string {
	if at == atLine {
		return strconv.FormatInt(line, 10)
	}
	return row[at]
}

// instant reads a time or a day in the first layout that fits.
func (b *binding) instant(v string, zone *time.Location) (time.Time, fault) {
	for _, layout := range b.layout {
		if t, err := time.ParseInLocation(layout, v, zone); err == nil {
			return t, fault{}
		}
	}
	return time.Time{}, fault{b.column, "the date does not exist or has another layout",
		"correct it, or give the layout in the mapping under " + b.field}
}

func (p *mappedParser) parse(line int64, row []string, r *Record) fault {
	m := p.mapping
	*r = Record{Source: m.Source, Active: !p.active}
	for i := range p.bindings {
		b := &p.bindings[i]
		v, f := b.value(line, row)
		if f.bad() {
			return f
		}
		switch b.field {
		case "record_id":
			r.ID = v
		case "service_type":
			if v != Money && v != Points && v != Voucher {
				return fault{b.field, "there is no such service type", "map it to money, points or voucher with values:"}
			}
			r.ServiceType = v
		case "service_id":
			r.ServiceID = v
		case "person_id":
			r.PersonID = v
		case "shop_id":
			r.ShopID = v
		case "shop_name":
			r.ShopName = v
		case "merchant_id":
			r.MerchantID = v
		case "terminal_id":
			r.TerminalID = v
		case "target_id":
			r.TargetID = v
		case "group_id":
			r.GroupID = v
		case "consent_id":
			r.ConsentID = v
		case "active":
			if r.Active, f = b.truth(v); f.bad() {
				return f
			}
		case "occurred_at":
			if r.OccurredAt, f = b.instant(v, m.location); f.bad() {
				return f
			}
		}
	}
	if r.GroupID == "" {
		r.GroupID = r.ID
	}
	if f := p.kind(row, r); f.bad() {
		return f
	}
	if r.Kind.takesBack() == "" && r.Kind != Refund {
		r.TargetID = ""
	}
	if f := p.amount(row, r); f.bad() {
		return f
	}
	f := r.check()
	f.field = p.columnOf(f.field)
	return f
}

// columnOf returns the column that a field of a record comes from.
func (p *mappedParser) columnOf(field string) string {
	if field == "amount_yen" && p.mapping.Amount != nil {
		return strings.Join(p.mapping.Amount.Product, "×")
	}
	for i := range p.bindings {
		if b := &p.bindings[i]; b.field == field && b.column != "" && b.column != lineNumber {
			return b.column
		}
	}
	return field
}

func (p *mappedParser) kind(row []string, r *Record) fault {
	for i, rule := range p.mapping.Kind {
		at := p.rules[i]
		if at == atLine || rule.Prefix != nil && strings.HasPrefix(row[at], *rule.Prefix) ||
			rule.Equals != nil && row[at] == *rule.Equals {
			r.Kind = rule.Kind
			return fault{}
		}
	}
	return fault{"kind", "no rule of the mapping fits the row", "add a rule under kind:, or one without a column at the end"}
}

func (p *mappedParser) amount(row []string, r *Record) fault {
	a := p.mapping.Amount
	thousands := byte(0)
	if a.Thousands != "" {
		thousands = a.Thousands[0]
	}
	var space [4]decimal
	factors := append(space[:0], decimal{coefficient: uint64(a.YenPerUnit)})
	for i, at := range p.factors {
		d, problem := parseDecimal(part(at, 0, row), thousands)
		if problem != "" {
			return fault{a.Product[i], "the number " + problem, "write digits with a decimal point and nothing else"}
		}
		factors = append(factors, d)
	}
	n, problem := yen(a.Round, factors...)
	if problem != "" {
		return fault{strings.Join(a.Product, "×"), "the amount " + problem,
			"correct it, or see yen_per_unit: and round: in the mapping"}
	}
	if n < 0 && slices.Contains(a.Absolute, r.Kind) {
		n = -n
	}
	r.AmountYen = n
	return fault{}
}

// truth reads true, false, 1 or 0.
func (b *binding) truth(v string) (bool, fault) {
	switch v {
	case "true", "1":
		return true, fault{}
	case "false", "0":
		return false, fault{}
	}
	return false, fault{b.column, "the value is neither true nor false", "map it with values: of " + b.field}
}

func (p *mappedParser) parsePerson(line int64, row []string) (Person, fault) {
	person := Person{Source: p.mapping.Source}
	for i := range p.bindings {
		b := &p.bindings[i]
		v, f := b.value(line, row)
		if f.bad() {
			return person, f
		}
		switch b.field {
		case "id":
			person.ID = v
		case "sex":
			person.Sex = v
		case "born_on":
			if v == "" {
				continue
			}
			day, f := b.instant(v, time.UTC)
			if f.bad() {
				return person, f
			}
			person.BornOn = day.Format(time.DateOnly)
		case "area":
			person.Area = v
		case "consent_id":
			person.ConsentID = v
		case "test":
			if person.Test, f = b.truth(v); f.bad() {
				return person, f
			}
		}
	}
	return person, person.check()
}

func (p *mappedParser) parseShop(line int64, row []string) (Shop, fault) {
	shop := Shop{Source: p.mapping.Source}
	for i := range p.bindings {
		b := &p.bindings[i]
		v, f := b.value(line, row)
		if f.bad() {
			return shop, f
		}
		switch b.field {
		case "id":
			shop.ID = v
		case "name":
			shop.Name = v
		case "merchant":
			shop.Merchant = v
		case "operator":
			shop.Operator = v
		case "industry":
			shop.Industry = v
		case "area":
			shop.Area = v
		}
	}
	return shop, shop.check()
}
