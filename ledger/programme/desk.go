package programme

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"meguri/ledger"
)

// Poster takes a transaction and answers when it stands. [ledger.Writer] is one.
type Poster interface {
	Post(ctx context.Context, tx ledger.Transaction) (ledger.Outcome, error)
}

// Desk is the counter at which programmes are bought and used. It must not be
// copied after its first use.
//
// Accounts are opened by the transactions that first touch them, so nothing is
// written but what the ledger decides.
type Desk struct {
	Programmes Store
	Ledger     ledger.Store
	Poster     Poster
	Now        func() time.Time

	// A programme never changes, so what was seen once need not be asked for
	// again at every payment.
	programmes sync.Map // ledger.ProgrammeID → Programme
}

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

// Open adds a programme and its funds, which can issue no more than the whole
// issue.
func (d *Desk) Open(ctx context.Context, p Programme) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if err := d.Programmes.PutProgramme(ctx, p); err != nil {
		return err
	}
	issue := ledger.Yen(p.IssueUnits)
	fund := func(kind ledger.AccountKind, limit ledger.Yen) ledger.Account {
		return ledger.Account{ID: ledger.FundsID(p.ID, kind), Programme: p.ID, Kind: kind, Owner: string(p.ID), Limit: limit}
	}
	return d.Ledger.OpenAccounts(ctx,
		fund(ledger.FundsPaid, p.UnitPrice*issue), fund(ledger.FundsPremium, (p.UnitValue-p.UnitPrice)*issue))
}

// Origin says who asked for a transaction, under which ID, and when it
// happened where that is not now.
type Origin struct {
	ID    string // idempotency key
	Actor string
	At    time.Time
}

// transaction begins a transaction. The words are what was asked for: the same
// ID with other words is another request, whatever day it is.
func (o Origin) transaction(kind ledger.Kind, words ...string) ledger.Transaction {
	at := ""
	if !o.At.IsZero() {
		at = o.At.UTC().Format(time.RFC3339Nano)
	}
	return ledger.Transaction{
		ID: o.ID, Kind: kind, Actor: o.Actor, At: o.At,
		Request: ledger.DigestOf(append([]string{string(kind), o.Actor, at}, words...)...),
	}
}

// Charge sells units of a programme to a resident: the price comes from the
// paid funds and the premium from the premium funds.
func (d *Desk) Charge(ctx context.Context, o Origin, resident string, id ledger.ProgrammeID, units int) (ledger.Outcome, error) {
	tx := o.transaction(ledger.Charge, resident, string(id), strconv.Itoa(units))
	return d.sell(ctx, tx, resident, id, units)
}

// Reserve sets units of a programme aside for a resident for a while: a won
// lottery, a slip that is to be paid at a convenience store. Capture makes a
// charge of it; what is not captured by then goes back into the issue.
func (d *Desk) Reserve(ctx context.Context, o Origin, resident string, id ledger.ProgrammeID, units int, lasts time.Duration) (ledger.Outcome, error) {
	tx := o.transaction(ledger.Hold, resident, string(id), strconv.Itoa(units), lasts.String())
	tx.Until = d.Now().Add(lasts)
	return d.sell(ctx, tx, resident, id, units)
}

func (d *Desk) sell(ctx context.Context, tx ledger.Transaction, resident string, id ledger.ProgrammeID, units int) (ledger.Outcome, error) {
	p, err := d.programme(ctx, id)
	if err != nil {
		return ledger.Outcome{}, err
	}
	tx.Resident = resident
	switch {
	case p.UnitValue == 0:
		tx.Refused = ErrNotOnSale
	case units < 1 || (p.MaxUnits > 0 && units > p.MaxUnits) || ledger.Yen(units) > maxIssue/p.UnitValue:
		tx.Refused = ErrUnits
	default:
		n := ledger.Yen(units)
		d.issue(&tx, &p, ledger.FundsPaid, ledger.Paid, p.UnitPrice*n)
		d.issue(&tx, &p, ledger.FundsPremium, ledger.Premium, (p.UnitValue-p.UnitPrice)*n)
	}
	return d.Poster.Post(ctx, tx)
}

// issue adds value from a fund to one of the resident's lots.
func (d *Desk) issue(tx *ledger.Transaction, p *Programme, fund ledger.AccountKind, f ledger.Funding, amount ledger.Yen) {
	if amount == 0 {
		return
	}
	lot := p.lot(tx.Resident, f)
	tx.Opens = append(tx.Opens, lot)
	tx.Transfers = append(tx.Transfers, ledger.Transfer{Debit: ledger.FundsID(p.ID, fund), Credit: lot.ID, Amount: amount})
}

// Grant gives a resident value that nobody paid for, for example points for an
// event.
func (d *Desk) Grant(ctx context.Context, o Origin, resident string, id ledger.ProgrammeID, amount ledger.Yen) (ledger.Outcome, error) {
	p, err := d.programme(ctx, id)
	if err != nil {
		return ledger.Outcome{}, err
	}
	tx := o.transaction(ledger.Grant, resident, string(id), fmt.Sprint(amount))
	tx.Resident = resident
	lot := p.lot(resident, ledger.Premium)
	tx.Opens = []ledger.Account{lot}
	tx.Transfers = []ledger.Transfer{{Debit: ledger.FundsID(p.ID, ledger.FundsPremium), Credit: lot.ID, Amount: amount}}
	return d.Poster.Post(ctx, tx)
}

// Part is the share of a payment that one programme pays.
type Part struct {
	Programme ledger.ProgrammeID
	Amount    ledger.Yen
}

func wordsOf(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%q %d ", string(p.Programme), p.Amount)
	}
	return b.String()
}

// Pay moves value from a resident to a shop. Several parts are one combined
// payment (併用決済): all or nothing. What expires first is spent first.
func (d *Desk) Pay(ctx context.Context, o Origin, resident, shop, terminal string, parts ...Part) (ledger.Outcome, error) {
	tx := o.transaction(ledger.Pay, resident, shop, terminal, wordsOf(parts))
	return d.spend(ctx, tx, resident, shop, terminal, parts)
}

// Hold sets value aside for a payment for a while, for example while the till
// counts down. Capture makes a payment of the whole or a part of it.
func (d *Desk) Hold(ctx context.Context, o Origin, resident, shop, terminal string, lasts time.Duration, parts ...Part) (ledger.Outcome, error) {
	tx := o.transaction(ledger.Hold, resident, shop, terminal, wordsOf(parts), lasts.String())
	tx.Until = d.Now().Add(lasts)
	return d.spend(ctx, tx, resident, shop, terminal, parts)
}

func (d *Desk) spend(ctx context.Context, tx ledger.Transaction, resident, shop, terminal string, parts []Part) (ledger.Outcome, error) {
	tx.Resident, tx.Shop, tx.Terminal = resident, shop, terminal
	now := d.Now()
	today, day := ledger.Day(now), ledger.Day(now)
	if !tx.At.IsZero() {
		day = ledger.Day(tx.At)
	}
	for _, part := range parts {
		p, err := d.programme(ctx, part.Programme)
		if err != nil {
			return ledger.Outcome{}, err
		}
		if !p.inUse(day) {
			tx.Refused = ErrOutside
		}
		tills := tills(&p, shop, day, today)
		sp := ledger.Spend{Programme: p.ID, Amount: part.Amount}
		for _, t := range tills {
			sp.Into = append(sp.Into, t.ID)
		}
		tx.Opens = append(tx.Opens, tills...)
		tx.Spends = append(tx.Spends, sp)
	}
	return d.Poster.Post(ctx, tx)
}

// tills are the takings accounts that a payment of a day may go into, in the
// order of trying: that of the day's own period, and where that is closed the
// one that is open now or the next.
func tills(p *Programme, shop, day, today string) []ledger.Account {
	now := p.Settlement.Period(today)
	periods := slices.Compact([]string{p.Settlement.Period(day), now, p.Settlement.After(now)})
	accounts := make([]ledger.Account, len(periods))
	for i, period := range periods {
		accounts[i] = ledger.Account{
			ID: ledger.TakingsID(p.ID, shop, period), Programme: p.ID, Kind: ledger.ShopUnsettled, Owner: shop, Period: period,
		}
	}
	return accounts
}

// Capture takes the whole or a part of a hold; 0 is the whole. The rest goes
// back.
func (d *Desk) Capture(ctx context.Context, o Origin, hold string, amount ledger.Yen) (ledger.Outcome, error) {
	tx := o.transaction(ledger.Capture, hold, fmt.Sprint(amount))
	tx.Parent, tx.Amount = hold, amount
	return d.Poster.Post(ctx, tx)
}

// Void gives the whole of a hold back.
func (d *Desk) Void(ctx context.Context, o Origin, hold, reason string) (ledger.Outcome, error) {
	return d.follow(ctx, o, ledger.Void, hold, reason)
}

// Cancel takes back the whole of a payment, once, to the lots it came from.
func (d *Desk) Cancel(ctx context.Context, o Origin, payment, reason string) (ledger.Outcome, error) {
	return d.follow(ctx, o, ledger.Cancel, payment, reason)
}

// CancelGrant takes back the whole of a charge or a grant, once, as long as
// nothing of it was spent.
func (d *Desk) CancelGrant(ctx context.Context, o Origin, transaction, reason string) (ledger.Outcome, error) {
	return d.follow(ctx, o, ledger.CancelGrant, transaction, reason)
}

func (d *Desk) follow(ctx context.Context, o Origin, kind ledger.Kind, parent, reason string) (ledger.Outcome, error) {
	tx := o.transaction(kind, parent, reason)
	tx.Parent, tx.Reason = parent, reason
	return d.Poster.Post(ctx, tx)
}

// Close closes a settlement period of a programme: nothing enters it any more,
// and what each shop took in it becomes payable.
func (d *Desk) Close(ctx context.Context, o Origin, id ledger.ProgrammeID, period string) (ledger.Outcome, error) {
	p, err := d.programme(ctx, id)
	if err != nil {
		return ledger.Outcome{}, err
	}
	tx := o.transaction(ledger.Close, string(id), period)
	tx.Programme, tx.Period = id, period
	if p.Settlement.Period(period) != period { // not the last day of any period
		tx.Refused = ledger.ErrInvalid
	}
	return d.Poster.Post(ctx, tx)
}

// Account is the account that an ID names, where a transaction of the office may
// open it: a pool of a programme that is known, or a resident's lot.
func (d *Desk) Account(ctx context.Context, id ledger.AccountID) (a ledger.Account, ok bool, err error) {
	words := strings.Split(string(id), ":")
	if len(words) < 2 {
		return a, false, nil
	}
	p, err := d.programme(ctx, ledger.ProgrammeID(words[1]))
	switch kind := ledger.AccountKind(words[0]); {
	case errors.Is(err, ErrNotFound):
		return a, false, nil
	case err != nil:
		return a, false, err
	case slices.Contains(pools, kind):
		a = ledger.Account{ID: ledger.PoolID(p.ID, kind), Programme: p.ID, Kind: kind, Owner: string(p.ID)}
	case kind == "lot" && len(words) > 3 && (words[3] == string(ledger.Paid) || words[3] == string(ledger.Premium)):
		a = p.lot(words[2], ledger.Funding(words[3]))
	}
	return a, a.ID == id, nil
}

// pools are the kinds of account of which a programme has one.
var pools = []ledger.AccountKind{ledger.Expired, ledger.Lapsed, ledger.Refunded, ledger.BankClearing, ledger.Suspense}

// Lots are the pages of accounts that Expire reads.
type Lots interface {
	Accounts(ctx context.Context, after ledger.AccountID, limit int) ([]ledger.Balance, error)
}

// Expire empties the lots of a programme whose time is up, and returns how many
// lots and how much. Running it again does nothing. No decision waits for it:
// expired value cannot be spent in any case. Progress is called with the lots
// so far.
func (d *Desk) Expire(ctx context.Context, lots Lots, actor string, id ledger.ProgrammeID, progress func(lots int64)) (n int64, yen ledger.Yen, err error) {
	prefix := "lot:" + string(id) + ":"
	now := d.Now()
	var count, sum atomic.Int64
	for after, more := ledger.AccountID(prefix), true; more; {
		page, err := lots.Accounts(ctx, after, 1000)
		if err != nil {
			return count.Load(), ledger.Yen(sum.Load()), err
		}
		more = len(page) == 1000
		g, ctx := errgroup.WithContext(ctx) // together, so that they share a commit
		for i := range page {
			lot := &page[i]
			after = lot.ID
			if !strings.HasPrefix(string(lot.ID), prefix) {
				more = false
				break
			}
			if lot.Available() <= 0 || lot.ExpiresAt.IsZero() || now.Before(lot.ExpiresAt) {
				continue
			}
			g.Go(func() error {
				outcome, err := d.Poster.Post(ctx, expiry(lot, actor))
				if err != nil {
					return fmt.Errorf("expire %s: %w", lot.ID, err)
				}
				count.Add(1)
				sum.Add(int64(outcome.Posted.Total()))
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return count.Load(), ledger.Yen(sum.Load()), err
		}
		progress(count.Load())
	}
	return count.Load(), ledger.Yen(sum.Load()), nil
}

// expiry empties a lot. The lot's version is part of the ID: what is cancelled
// back onto it later expires once more.
func expiry(lot *ledger.Balance, actor string) ledger.Transaction {
	into := ledger.Account{
		ID: ledger.PoolID(lot.Programme, ledger.Expired), Programme: lot.Programme, Kind: ledger.Expired, Owner: string(lot.Programme),
	}
	return ledger.Transaction{
		ID: ledger.DerivedID(string(lot.ID), "expire", fmt.Sprint(lot.Version)), Kind: ledger.Expire,
		Resident: lot.Owner, Actor: actor, Opens: []ledger.Account{into},
		Transfers: []ledger.Transfer{{Debit: lot.ID, Credit: into.ID, Amount: lot.Available()}},
	}
}
