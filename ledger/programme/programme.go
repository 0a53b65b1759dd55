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
	"sync"
	"sync/atomic"
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
	ID        ledger.ProgrammeID
	Name      string
	Class     Class
	UnitPrice ledger.Yen // what a unit costs (1口の販売価格); 0 when it is not sold
	UnitValue ledger.Yen // what a unit is worth; more than UnitPrice by the premium
	MaxUnits  int        // of one charge; 0 is no limit
	OpensOn   string     // first day of use, YYYY-MM-DD in Asia/Tokyo
	ClosesOn  string     // last day of use
}

// Errors of the counter.
var (
	ErrNotFound  = errors.New("programme does not exist")
	ErrConflict  = errors.New("programme exists with other content")
	ErrNotOnSale = errors.New("programme is not for sale")
	ErrUnits     = errors.New("number of units is out of range")
	ErrInvalid   = errors.New("programme is not well formed")
	ErrOutside   = errors.New("programme is not in use on that day")
)

// Validate reports what is wrong with a programme.
func (p Programme) Validate() error {
	switch {
	case p.ID == "" || p.Name == "":
		return fmt.Errorf("%w: it needs an ID and a name", ErrInvalid)
	case p.Class != Money && p.Class != Points && p.Class != Voucher:
		return fmt.Errorf("%w: class %q is none of money, points, voucher", ErrInvalid, p.Class)
	case p.UnitPrice < 0 || p.UnitValue < p.UnitPrice || p.MaxUnits < 0:
		return fmt.Errorf("%w: price, value and units must be ordered 0 ≤ price ≤ value", ErrInvalid)
	case p.OpensOn > p.ClosesOn:
		return fmt.Errorf("%w: it closes before it opens", ErrInvalid)
	}
	return nil
}

// Store keeps programmes.
type Store interface {
	// PutProgramme adds a programme; the same content again changes nothing.
	PutProgramme(ctx context.Context, p Programme) error
	Programme(ctx context.Context, id ledger.ProgrammeID) (Programme, error)
	Programmes(ctx context.Context) ([]Programme, error)
}

// Poster takes a transaction and answers when it stands. [ledger.Writer] is one.
type Poster interface {
	Post(ctx context.Context, tx ledger.Transaction) (ledger.Outcome, error)
}

// Desk is the counter at which programmes are bought and used. It must not be
// copied after its first use.
type Desk struct {
	Programmes Store
	Ledger     ledger.Store
	Poster     Poster
	Now        func() time.Time

	// Neither a programme nor the nature of an account ever changes, so what was
	// seen once need not be asked for again at every payment.
	programmes sync.Map // ledger.ProgrammeID → Programme
	opened     sync.Map // ledger.AccountID → ledger.Account
	count      atomic.Int64
}

// maxOpened bounds what the desk remembers: about 200 bytes an account.
const maxOpened = 250_000

func (d *Desk) programme(ctx context.Context, id ledger.ProgrammeID) (Programme, error) {
	if p, ok := d.programmes.Load(id); ok {
		return p.(Programme), nil
	}
	p, err := d.Programmes.Programme(ctx, id)
	if err == nil {
		d.programmes.Store(id, p)
	}
	return p, err
}

// open makes the accounts that the desk has not seen.
func (d *Desk) open(ctx context.Context, accounts ...ledger.Account) error {
	var fresh []ledger.Account
	for _, a := range accounts {
		if seen, ok := d.opened.Load(a.ID); !ok || seen != a {
			fresh = append(fresh, a)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := d.Ledger.OpenAccounts(ctx, fresh...); err != nil {
		return err
	}
	if d.count.Add(int64(len(fresh))) > maxOpened {
		d.opened.Clear()
		d.count.Store(0)
	}
	for _, a := range fresh {
		d.opened.Store(a.ID, a)
	}
	return nil
}

// Open adds a programme and its funds.
func (d *Desk) Open(ctx context.Context, p Programme) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if err := d.Programmes.PutProgramme(ctx, p); err != nil {
		return err
	}
	return d.Ledger.OpenAccounts(ctx,
		ledger.Account{ID: fundsPaid(p.ID), Programme: p.ID, Kind: ledger.FundsPaid, Owner: string(p.ID)},
		ledger.Account{ID: fundsPremium(p.ID), Programme: p.ID, Kind: ledger.FundsPremium, Owner: string(p.ID)},
	)
}

// Origin says who asked for a transaction, under which ID, and when it
// happened where that is not now.
type Origin struct {
	ID    string // idempotency key
	Actor string
	At    time.Time
}

// Charge sells units of a programme to a resident: the price comes from the
// paid funds and the premium from the premium funds.
func (d *Desk) Charge(ctx context.Context, o Origin, resident string, id ledger.ProgrammeID, units int) (ledger.Outcome, error) {
	p, err := d.programme(ctx, id)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if p.UnitValue == 0 {
		return ledger.Outcome{}, ErrNotOnSale
	}
	if units < 1 || (p.MaxUnits > 0 && units > p.MaxUnits) {
		return ledger.Outcome{}, ErrUnits
	}
	lot := LotID(id, resident)
	if err := d.openLot(ctx, p, resident); err != nil {
		return ledger.Outcome{}, err
	}
	var transfers []ledger.Transfer
	if paid := p.UnitPrice * ledger.Yen(units); paid > 0 {
		transfers = append(transfers, ledger.Transfer{Debit: fundsPaid(id), Credit: lot, Amount: paid})
	}
	if premium := (p.UnitValue - p.UnitPrice) * ledger.Yen(units); premium > 0 {
		transfers = append(transfers, ledger.Transfer{Debit: fundsPremium(id), Credit: lot, Amount: premium})
	}
	return d.Poster.Post(ctx, ledger.Transaction{
		ID: o.ID, Kind: ledger.Charge, Resident: resident, Actor: o.Actor, At: o.At, Transfers: transfers,
	})
}

// Grant gives a resident value that nobody paid for, for example points for an
// event.
func (d *Desk) Grant(ctx context.Context, o Origin, resident string, id ledger.ProgrammeID, amount ledger.Yen) (ledger.Outcome, error) {
	p, err := d.programme(ctx, id)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if err := d.openLot(ctx, p, resident); err != nil {
		return ledger.Outcome{}, err
	}
	return d.Poster.Post(ctx, ledger.Transaction{
		ID: o.ID, Kind: ledger.Grant, Resident: resident, Actor: o.Actor, At: o.At,
		Transfers: []ledger.Transfer{{Debit: fundsPremium(id), Credit: LotID(id, resident), Amount: amount}},
	})
}

// Part is the share of a payment that one programme pays.
type Part struct {
	Programme ledger.ProgrammeID
	Amount    ledger.Yen
}

// Pay moves value from a resident to a shop. Several parts are one combined
// payment (併用決済): all or nothing.
func (d *Desk) Pay(ctx context.Context, o Origin, resident, shop, terminal string, parts ...Part) (ledger.Outcome, error) {
	at := o.At
	if at.IsZero() {
		at = d.Now()
	}
	day := ledger.Day(at)
	var transfers []ledger.Transfer
	var takings []ledger.Account
	for _, part := range parts {
		p, err := d.programme(ctx, part.Programme)
		if err != nil {
			return ledger.Outcome{}, err
		}
		if (p.OpensOn != "" && day < p.OpensOn) || (p.ClosesOn != "" && day > p.ClosesOn) {
			// A payment that stands is answered as it was, also after the last day.
			if _, err := d.Ledger.Transaction(ctx, o.ID); err != nil {
				return ledger.Outcome{}, ErrOutside
			}
		}
		till := TakingsID(part.Programme, shop)
		takings = append(takings, ledger.Account{ID: till, Programme: part.Programme, Kind: ledger.ShopUnsettled, Owner: shop})
		transfers = append(transfers, ledger.Transfer{Debit: LotID(part.Programme, resident), Credit: till, Amount: part.Amount})
	}
	if err := d.open(ctx, takings...); err != nil {
		return ledger.Outcome{}, err
	}
	return d.Poster.Post(ctx, ledger.Transaction{
		ID: o.ID, Kind: ledger.Pay, Resident: resident, Shop: shop, Terminal: terminal,
		Actor: o.Actor, At: o.At, Transfers: transfers,
	})
}

// Cancel takes back the whole of a payment, once. The cancel carries the
// payment's resident and shop, so that statements and exports need no look-up.
func (d *Desk) Cancel(ctx context.Context, o Origin, payment, reason string) (ledger.Outcome, error) {
	tx := ledger.Transaction{ID: o.ID, Kind: ledger.Cancel, Parent: payment, Actor: o.Actor, At: o.At, Reason: reason}
	switch p, err := d.Ledger.Transaction(ctx, payment); {
	case err == nil:
		tx.Resident, tx.Shop, tx.Terminal = p.Resident, p.Shop, p.Terminal
	case !errors.Is(err, ledger.ErrNotFound): // not found is the ledger's refusal to give
		return ledger.Outcome{}, err
	}
	return d.Poster.Post(ctx, tx)
}

func (d *Desk) openLot(ctx context.Context, p Programme, resident string) error {
	return d.open(ctx, ledger.Account{
		ID: LotID(p.ID, resident), Programme: p.ID, Kind: ledger.ResidentLot, Owner: resident,
	})
}

// LotID names the account that holds a resident's value in a programme.
func LotID(id ledger.ProgrammeID, resident string) ledger.AccountID {
	return ledger.AccountID("lot:" + string(id) + ":" + resident)
}

// TakingsID names the account of a shop's takings that are not yet closed.
func TakingsID(id ledger.ProgrammeID, shop string) ledger.AccountID {
	return ledger.AccountID("shop:" + string(id) + ":" + shop)
}

func fundsPaid(id ledger.ProgrammeID) ledger.AccountID {
	return ledger.AccountID("funds:" + string(id) + ":paid")
}

func fundsPremium(id ledger.ProgrammeID) ledger.AccountID {
	return ledger.AccountID("funds:" + string(id) + ":premium")
}
