// Package programme is what a city issues: vouchers (商品券) and points
// (ポイント). It turns "buy 3 units" or "pay 1,500 yen at this shop" into the
// ledger's transactions, and names the accounts they touch.
//
// Start with [Programme] and [Desk].
package programme

import (
	"context"
	"errors"
	"fmt"
	"time"

	"meguri/ledger"
)

// Class is the legal nature of what is issued.
type Class string

// The classes, with their service type numbers in the Mitaka CSV.
const (
	Money   Class = "money"   // 1
	Points  Class = "points"  // 2
	Voucher Class = "voucher" // 3
)

// Programme is one issue of a voucher or one point scheme.
type Programme struct {
	ID         ledger.ProgrammeID
	Name       string
	Class      Class
	UnitPrice  ledger.Yen     // what a unit costs (1口の販売価格); 0 when it is not sold
	UnitValue  ledger.Yen     // what a unit is worth; more than UnitPrice by the premium
	MaxUnits   int            // of one charge; 0 is no limit
	IssueUnits int            // of the whole issue (発行口数); 0 is no limit
	SpendFirst ledger.Funding // which value is spent first among what expires together; "" is premium
	Settlement Settlement     // when takings are closed; "" is every Friday
	OpensOn    string         // first day of use, YYYY-MM-DD in Asia/Tokyo
	ClosesOn   string         // last day of use
}

// Refusals of the counter, which the ledger keeps like its own.
const (
	ErrNotOnSale ledger.Refusal = "not-on-sale"
	ErrUnits     ledger.Refusal = "units"
	ErrOutside   ledger.Refusal = "outside-period"
)

// Errors of the counter.
var (
	ErrNotFound = errors.New("programme does not exist")
	ErrConflict = errors.New("programme exists with other content")
	ErrInvalid  = errors.New("programme is not well formed")
)

// Validate reports what is wrong with a programme.
func (p Programme) Validate() error {
	switch {
	case p.ID == "" || p.Name == "":
		return fmt.Errorf("%w: it needs an ID and a name", ErrInvalid)
	case p.Class != Money && p.Class != Points && p.Class != Voucher:
		return fmt.Errorf("%w: class %q is none of money, points, voucher", ErrInvalid, p.Class)
	case p.UnitPrice < 0 || p.UnitValue < p.UnitPrice || p.MaxUnits < 0 || p.IssueUnits < 0:
		return fmt.Errorf("%w: price, value and units must be ordered 0 ≤ price ≤ value", ErrInvalid)
	case p.IssueUnits > 0 && p.UnitValue > maxIssue/ledger.Yen(p.IssueUnits):
		return fmt.Errorf("%w: the whole issue is worth more than can be counted", ErrInvalid)
	case p.SpendFirst != ledger.Paid && p.SpendFirst != ledger.Premium && p.SpendFirst != "":
		return fmt.Errorf("%w: %q cannot be spent first", ErrInvalid, p.SpendFirst)
	case !p.Settlement.valid():
		return fmt.Errorf("%w: there is no settlement %q", ErrInvalid, p.Settlement)
	case p.OpensOn > p.ClosesOn:
		return fmt.Errorf("%w: it closes before it opens", ErrInvalid)
	}
	return nil
}

// maxIssue is a hundred times what Japan turns over in a year.
const maxIssue ledger.Yen = 100_000_000_000_000_000

// lot is the account of a resident's value of one funding. Value can be used
// until the end of the programme's last day.
func (p *Programme) lot(resident string, f ledger.Funding) ledger.Account {
	a := ledger.Account{
		ID: ledger.LotID(p.ID, resident, f, p.ClosesOn), Programme: p.ID, Kind: ledger.ResidentLot, Owner: resident, Funding: f,
	}
	first := p.SpendFirst
	if first == "" {
		first = ledger.Premium
	}
	if f != first {
		a.Rank = 1
	}
	if last, err := time.ParseInLocation(time.DateOnly, p.ClosesOn, ledger.Tokyo); err == nil {
		a.ExpiresAt = last.AddDate(0, 0, 1).UTC()
	}
	return a
}

// inUse reports whether a programme can be used on a day.
func (p *Programme) inUse(day string) bool {
	return (p.OpensOn == "" || day >= p.OpensOn) && (p.ClosesOn == "" || day <= p.ClosesOn)
}

// Store keeps programmes.
type Store interface {
	// PutProgramme adds a programme; the same content again changes nothing.
	PutProgramme(ctx context.Context, p Programme) error
	Programme(ctx context.Context, id ledger.ProgrammeID) (Programme, error)
	Programmes(ctx context.Context) ([]Programme, error)
}
