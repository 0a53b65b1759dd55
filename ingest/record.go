package ingest

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"meguri/pseudonymize/lake"
)

// Kind says what a payment event does.
type Kind string

// The kinds. A cancel and a grant_cancel name what they take back; a refund is
// money given back that may name nothing; an adjustment is the one kind whose
// amount may be negative.
const (
	Pay         Kind = "pay"
	Cancel      Kind = "cancel"
	Refund      Kind = "refund"
	Adjustment  Kind = "adjustment"
	Charge      Kind = "charge"
	Grant       Kind = "grant"
	GrantCancel Kind = "grant_cancel"
)

// kinds gives each kind its code in the index; the order is never changed.
var kinds = []Kind{Pay, Cancel, Refund, Adjustment, Charge, Grant, GrantCancel}

// takesBack returns the kind that a cancellation of kind k must name, or "".
func (k Kind) takesBack() Kind {
	switch k {
	case Cancel:
		return Pay
	case GrantCancel:
		return Grant
	}
	return ""
}

// The service types.
const (
	Money   = "money"
	Points  = "points"
	Voucher = "voucher"
)

// MaxAmountYen bounds the amount of one record. No payment in a city comes
// near it, and sums over any segment stay far inside int64.
const MaxAmountYen = 1_000_000_000_000

// Record is a payment event. An empty PersonID, TargetID or ConsentID is null.
type Record struct {
	Source      string
	ID          string
	Kind        Kind
	ServiceType string
	ServiceID   string
	PersonID    string
	ShopID      string
	ShopName    string
	MerchantID  string
	TerminalID  string
	AmountYen   int64
	OccurredAt  time.Time
	TargetID    string // what a cancellation takes back
	GroupID     string // shared by the rows of one payment (併用決済); empty means alone
	Active      bool
	ConsentID   string
}

// Person is who paid, as the source describes them, for the later join.
type Person struct {
	Source    string `json:"source"`
	ID        string `json:"id"`
	Sex       string `json:"sex"`     // a code of lake.Sexes; empty is kept as unknown
	BornOn    string `json:"born_on"` // YYYY-MM-DD, or empty
	Area      string `json:"area"`
	ConsentID string `json:"consent_id"`
	Test      bool   `json:"test"` // an account of the office, not of a resident
}

// Shop is where it was paid.
type Shop struct {
	Source   string `json:"source"`
	ID       string `json:"id"`
	Name     string `json:"name"`
	Merchant string `json:"merchant"`
	Operator string `json:"operator"` // who runs it: a corporate number or a code; empty is the shop itself
	Industry string `json:"industry"` // a code of lake.Industries, or empty
	Area     string `json:"area"`
}

var dictionary = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

// PaymentSchema is the schema of a segment.
var PaymentSchema = arrow.NewSchema([]arrow.Field{
	{Name: "source", Type: dictionary},
	{Name: "record_id", Type: arrow.BinaryTypes.String},
	{Name: "kind", Type: dictionary},
	{Name: "service_type", Type: dictionary},
	{Name: "service_id", Type: dictionary},
	{Name: "person_id", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "shop_id", Type: dictionary},
	{Name: "shop_name", Type: dictionary},
	{Name: "merchant_id", Type: dictionary},
	{Name: "terminal_id", Type: dictionary},
	{Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64},
	{Name: "occurred_at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
	{Name: "target_id", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "group_id", Type: arrow.BinaryTypes.String},
	{Name: "active", Type: arrow.FixedWidthTypes.Boolean},
	{Name: "consent_id", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// check returns what is wrong with a record, whatever format it came in.
func (r *Record) check() fault {
	switch {
	case r.ID == "":
		return fault{"record_id", "the record has no ID", "every row needs the ID that the source gave it"}
	case r.ShopID == "" && (r.Kind == Pay || r.Kind == Refund):
		return fault{"shop_id", "a payment names no shop", "export the row with its shop"}
	case r.AmountYen < 0 && r.Kind != Adjustment:
		return fault{"amount_yen", "the amount is negative",
			"a cancellation or refund is a row of its own kind with a positive amount"}
	case r.AmountYen > MaxAmountYen || r.AmountYen < -MaxAmountYen:
		return fault{"amount_yen", "the amount is beyond 1,000,000,000,000 yen", "correct the amount"}
	case r.OccurredAt.Before(earliest) || !r.OccurredAt.Before(latest):
		return fault{"occurred_at", "the time lies outside the years 1900 to 2199", "correct the date"}
	case r.TargetID == "" && r.Kind.takesBack() != "":
		return fault{"target_id", "a cancellation does not name what it cancels",
			"export the row with the ID of the cancelled transaction"}
	}
	return fault{}
}

// checkForeign checks what a parser of ours guarantees by itself: known codes
// and clean text. It is for records that come from elsewhere.
func (r *Record) checkForeign() fault {
	if !slices.Contains(kinds, r.Kind) {
		return fault{"kind", "there is no such kind", "use one of " + joinKinds()}
	}
	switch r.ServiceType {
	case Money, Points, Voucher:
	default:
		return fault{"service_type", "there is no such service type", "use money, points or voucher"}
	}
	for _, s := range []string{r.ID, r.ServiceID, r.PersonID, r.ShopID, r.ShopName, r.MerchantID,
		r.TerminalID, r.TargetID, r.GroupID, r.ConsentID} {
		if f := checkText(s); f.bad() {
			return f
		}
	}
	return r.check()
}

func joinKinds() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func checkText(s string) fault {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return fault{"", "a field holds a NUL byte", "export the file again as text"}
	case !utf8.ValidString(s):
		return fault{"", "a field is not valid UTF-8", "send text in UTF-8"}
	}
	return fault{}
}

func checkSource(source string) error {
	if source == "" || len(source) > 64 || strings.ContainsFunc(source, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		return fmt.Errorf("%w: a source has a name of 1 to 64 bytes without control characters", ErrInvalid)
	}
	return nil
}

// check returns what is wrong with a person.
func (p *Person) check() fault {
	switch {
	case p.ID == "":
		return fault{"id", "the person has no ID", "every row needs the ID that the source gave it"}
	case p.Sex != "" && !knownCode(lake.Sexes, p.Sex):
		return fault{"sex", "there is no such code", "use one of " + joinCodes(lake.Sexes) + ", or map it with values:"}
	}
	if p.BornOn != "" {
		if day, err := time.Parse(time.DateOnly, p.BornOn); err != nil || day.Year() < 1850 {
			return fault{"born_on", "the day does not exist or is not written YYYY-MM-DD", "correct the date or give its layout"}
		}
	}
	for _, s := range []string{p.ID, p.Area, p.ConsentID} {
		if f := checkText(s); f.bad() {
			return f
		}
	}
	return fault{}
}

// check returns what is wrong with a shop.
func (s *Shop) check() fault {
	switch {
	case s.ID == "":
		return fault{"id", "the shop has no ID", "every row needs the ID that the source gave it"}
	case s.Industry != "" && !knownCode(lake.Industries, s.Industry):
		return fault{"industry", "there is no such code",
			"use one of " + joinCodes(lake.Industries) + ", or map it with values:"}
	}
	if err := lake.CheckOperator(s.Operator); err != nil {
		return fault{"operator", err.Error(), "give a corporate number (法人番号) of 13 digits, another code, or nothing"}
	}
	for _, v := range []string{s.ID, s.Name, s.Merchant, s.Area} {
		if f := checkText(v); f.bad() {
			return f
		}
	}
	return fault{}
}

func knownCode(list []lake.Code, code string) bool {
	return slices.ContainsFunc(list, func(c lake.Code) bool { return c.Code == code })
}

func joinCodes(list []lake.Code) string {
	codes := make([]string, len(list))
	for i, c := range list {
		codes[i] = c.Code
	}
	return strings.Join(codes, ", ")
}
