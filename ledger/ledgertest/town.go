package ledgertest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"pgregory.net/rapid"

	"meguri/ledger"
)

// Dice are what a Town throws: a property test's, which can be shrunk, or a
// seed's, which are fast.
type Dice interface {
	// Throw returns one of 0 … sides-1.
	Throw(sides int) int
}

// Seeded returns the dice of a seed.
func Seeded(seed uint64) Dice { return seeded{rand.New(rand.NewPCG(seed, 0))} }

type seeded struct{ *rand.Rand }

func (d seeded) Throw(sides int) int { return d.IntN(sides) }

// drawn are the dice of a property test.
type drawn struct{ *rapid.T }

func (d drawn) Throw(sides int) int { return rapid.IntRange(0, sides-1).Draw(d.T, "throw") }

// Town makes up what happens to a ledger: one shop that has half of the trade,
// residents with little on their lots, IDs that come again with the same and
// with other content, holds that are forgotten, periods that are closed too
// early, late and twice, and now and then a transaction that makes no sense.
//
// Nothing of a Town depends on what is answered, so that several stores can be
// given the same.
type Town struct {
	Dice
	Name      string // before every ID, so that towns can share a ledger
	Residents int
	Shops     int
	Limit     ledger.Yen // of what is sold of one programme
	Patient   bool       // no hold ends within microseconds, where the order of a batch tells

	count                 int
	lately                []ledger.Transaction
	lots                  []ledger.Account
	holds, spent, charged []string
}

// Programmes are the town's: two for everyday, and one for great amounts.
func (c *Town) Programmes() []ledger.ProgrammeID {
	return []ledger.ProgrammeID{c.programme("v"), c.programme("p"), c.programme("x")}
}

func (c *Town) programme(p string) ledger.ProgrammeID { return ledger.ProgrammeID(c.Name + p) }

// pools are the kinds of account of which each programme has one.
var pools = []ledger.AccountKind{ledger.Expired, ledger.Lapsed, ledger.Refunded, ledger.BankClearing, ledger.Suspense}

// Accounts are those that a programme has from its beginning.
func (c *Town) Accounts() (list []ledger.Account) {
	for i, p := range c.Programmes() {
		limit := ledger.Yen(0)
		if i == 0 {
			limit = c.Limit
		}
		list = append(list, ledger.Account{ID: ledger.FundsID(p, ledger.FundsPaid), Programme: p, Kind: ledger.FundsPaid, Owner: string(p), Limit: limit},
			ledger.Account{ID: ledger.FundsID(p, ledger.FundsPremium), Programme: p, Kind: ledger.FundsPremium, Owner: string(p)})
		for _, kind := range pools {
			list = append(list, ledger.Account{ID: ledger.PoolID(p, kind), Programme: p, Kind: kind, Owner: string(p)})
		}
	}
	return list
}

// Step is how far the clock goes before the next batch. It goes back a little
// now and then, and seldom too far.
func (c *Town) Step() time.Duration {
	switch n := c.Throw(100); {
	case n < 15:
		return 0
	case n < 40:
		return time.Duration(c.Throw(2000)) * time.Microsecond
	case n < 70:
		return time.Duration(c.Throw(60)) * time.Second
	case n < 85:
		return time.Duration(c.Throw(24*60)) * time.Minute
	case n < 90:
		return time.Duration(c.Throw(3)) * 24 * time.Hour
	case n < 98:
		return -time.Duration(c.Throw(20)) * time.Second
	}
	return -time.Duration(c.Throw(180)) * time.Second
}

// Command is the next transaction that somebody sends.
func (c *Town) Command(now time.Time) ledger.Transaction {
	if n := c.Throw(100); n < 8 && len(c.lately) > 0 { // again
		tx := c.lately[c.Throw(len(c.lately))]
		if n < 2 {
			tx.Reason += "other"
		}
		return tx
	}
	tx := c.sensible(now)
	c.count++
	tx.ID = fmt.Sprintf("%st%d", c.Name, c.count)
	tx.Actor = "town"
	switch n := c.Throw(200); {
	case n < 3:
		tx.At = now.Add(-time.Duration(c.Throw(5*24)) * time.Hour)
	case n < 4:
		tx.At = now.Add(time.Duration(c.Throw(24)) * time.Hour)
	case n < 14:
		c.spoil(&tx)
	}
	c.remember(tx)
	return tx
}

func (c *Town) remember(tx ledger.Transaction) {
	if tx.ID == "" {
		return
	}
	push(&c.lately, tx)
	switch tx.Kind {
	case ledger.Hold:
		push(&c.holds, tx.ID)
	case ledger.Pay:
		push(&c.spent, tx.ID)
	case ledger.Capture:
		push(&c.spent, tx.ID)
		push(&c.charged, tx.ID)
	case ledger.Charge, ledger.Grant:
		push(&c.charged, tx.ID)
	case ledger.Cancel, ledger.CancelGrant:
		if c.Throw(4) == 0 {
			push(&c.spent, tx.ID)
		}
	}
}

// push keeps the last 40 of a list.
func push[T any](list *[]T, v T) {
	if *list = append(*list, v); len(*list) > 40 {
		*list = (*list)[1:]
	}
}

// oneOf is in most cases one of the last few.
func (c *Town) oneOf(list []string) string {
	if len(list) == 0 || c.Throw(30) == 0 {
		return c.Name + "nothing"
	}
	if few := min(4, len(list)); c.Throw(3) > 0 {
		return list[len(list)-1-c.Throw(few)]
	}
	return list[c.Throw(len(list))]
}

// amount is small, as are the balances.
func (c *Town) amount() ledger.Yen { return ledger.Yen(1 + c.Throw(6)) }

func (c *Town) resident() string { return fmt.Sprintf("%sr%d", c.Name, c.Throw(c.Residents)) }

func (c *Town) shop() string {
	if c.Throw(2) == 0 {
		return c.Name + "s0"
	}
	return fmt.Sprintf("%ss%d", c.Name, c.Throw(c.Shops))
}

// everyday is one of the two programmes that are used.
func (c *Town) everyday() ledger.ProgrammeID { return c.Programmes()[c.Throw(2)] }

// lot is a lot that ends today, later or never.
func (c *Town) lot(p ledger.ProgrammeID, resident string, f ledger.Funding, now time.Time) ledger.Account {
	days := []int{-1, 0, 0, 1, 1, 1, 3, 3, 9, 9, 99, 99}[c.Throw(12)]
	if days == 99 {
		return ledger.Account{ID: ledger.LotID(p, resident, f, ""), Programme: p, Kind: ledger.ResidentLot, Owner: resident, Funding: f, Rank: rank(f)}
	}
	y, m, d := now.In(ledger.Tokyo).Date()
	last := time.Date(y, m, d+days+d%2, 0, 0, 0, 0, ledger.Tokyo)
	return ledger.Account{
		ID: ledger.LotID(p, resident, f, last.Format(time.DateOnly)), Programme: p, Kind: ledger.ResidentLot, Owner: resident, Funding: f, Rank: rank(f),
		ExpiresAt: last.AddDate(0, 0, 1).UTC(),
	}
}

// had is a lot that somebody was given.
func (c *Town) had(p ledger.ProgrammeID, resident string, now time.Time) ledger.Account {
	if len(c.lots) == 0 || c.Throw(10) == 0 {
		return c.lot(p, resident, ledger.Paid, now)
	}
	return c.lots[c.Throw(len(c.lots))]
}

// rank spends what the city gave before what was paid for.
func rank(f ledger.Funding) int {
	if f == ledger.Paid {
		return 1
	}
	return 0
}

// period is the last day of the period of three days that holds an instant, or
// of one before or after it.
func (c *Town) period(now time.Time, shift int) string {
	days := (now.Unix() + 9*60*60) / (24 * 60 * 60)
	return time.Unix((days-days%3+2+int64(3*shift))*24*60*60, 0).UTC().Format(time.DateOnly)
}

func (c *Town) takings(p ledger.ProgrammeID, shop, period string) ledger.Account {
	return ledger.Account{ID: ledger.TakingsID(p, shop, period), Programme: p, Kind: ledger.ShopUnsettled, Owner: shop, Period: period}
}

// charging is the throw for a charge, with which a town begins.
const charging = 49

// sensible is a transaction as the programmes make them.
func (c *Town) sensible(now time.Time) (tx ledger.Transaction) {
	p, resident, shop := c.everyday(), c.resident(), c.shop()
	one := func(kind ledger.Kind, from, to ledger.AccountID) ledger.Transaction {
		return ledger.Transaction{Kind: kind, Transfers: []ledger.Transfer{{Debit: from, Credit: to, Amount: c.amount()}}}
	}
	n := c.Throw(100)
	switch {
	case c.count < 2*c.Residents:
		n = charging
	case n >= 64 && n < 73 && len(c.holds) == 0: // there is no hold to end
		n = 0
	}
	switch {
	case n < 32:
		tx = ledger.Transaction{Kind: ledger.Pay, Resident: resident, Shop: shop, Terminal: "1"}
		c.spend(&tx, p, shop, now)
		if c.Throw(5) == 0 { // combined, of voucher and points
			c.spend(&tx, c.everyday(), shop, now)
		}
	case n < 36:
		into := c.takings(p, shop, c.period(now, 0))
		lot := c.had(p, resident, now)
		into = c.takings(lot.Programme, shop, into.Period)
		tx = one(ledger.Pay, lot.ID, into.ID)
		tx.Resident, tx.Shop, tx.Opens = lot.Owner, shop, []ledger.Account{into}
	case n <= charging:
		paid, premium := c.lot(p, resident, ledger.Paid, now), c.lot(p, resident, ledger.Premium, now)
		tx = ledger.Transaction{Kind: ledger.Charge, Resident: resident, Opens: []ledger.Account{paid, premium}, Transfers: []ledger.Transfer{
			{Debit: ledger.FundsID(p, ledger.FundsPaid), Credit: paid.ID, Amount: 5 * c.amount()},
			{Debit: ledger.FundsID(p, ledger.FundsPremium), Credit: premium.ID, Amount: c.amount()},
		}}
		push(&c.lots, paid)
		push(&c.lots, premium)
	case n < 54:
		lot := c.lot(p, resident, ledger.Premium, now)
		tx = one(ledger.Grant, ledger.FundsID(p, ledger.FundsPremium), lot.ID)
		tx.Resident, tx.Opens = resident, []ledger.Account{lot}
	case n < 61:
		tx = ledger.Transaction{Kind: ledger.Hold, Resident: resident, Shop: shop, Until: c.until(now)}
		c.spend(&tx, p, shop, now)
	case n < 64:
		lot := c.lot(p, resident, ledger.Paid, now)
		tx = one(ledger.Hold, ledger.FundsID(p, ledger.FundsPaid), lot.ID)
		tx.Resident, tx.Opens, tx.Until = resident, []ledger.Account{lot}, c.until(now)
	case n < 71:
		tx = ledger.Transaction{Kind: ledger.Capture, Parent: c.oneOf(c.holds), Amount: ledger.Yen(c.Throw(6))}
	case n < 73:
		tx = ledger.Transaction{Kind: ledger.Void, Parent: c.oneOf(c.holds)}
	case n < 78:
		tx = ledger.Transaction{Kind: ledger.Cancel, Parent: c.oneOf(c.spent)}
	case n < 81:
		tx = ledger.Transaction{Kind: ledger.CancelGrant, Parent: c.oneOf(c.charged)}
	case n < 84:
		lot := c.had(p, resident, now)
		tx = one(ledger.Expire, lot.ID, ledger.PoolID(lot.Programme, ledger.Expired))
	case n < 85:
		lot := c.had(p, resident, now)
		tx = one(ledger.Lapse, lot.ID, ledger.PoolID(lot.Programme, ledger.Lapsed))
		tx.Resident = resident
	case n < 87:
		from := c.had(p, resident, now)
		to := c.lot(from.Programme, c.resident(), ledger.Paid, now)
		tx = one(ledger.Move, from.ID, to.ID)
		tx.Resident, tx.Opens = resident, []ledger.Account{to}
	case n < 88:
		tx = ledger.Transaction{Kind: ledger.Move, Resident: resident}
		to := c.lot(p, resident, ledger.Paid, now)
		tx.Opens = []ledger.Account{to}
		tx.Spends = []ledger.Spend{{Programme: p, Amount: c.amount(), Into: []ledger.AccountID{to.ID}}}
	case n < 90:
		lot := c.had(p, resident, now)
		from := []ledger.AccountID{lot.ID, ledger.PoolID(lot.Programme, ledger.Expired)}[c.Throw(2)]
		tx = one(ledger.Refund, from, ledger.PoolID(lot.Programme, ledger.Refunded))
	case n < 95:
		tx = ledger.Transaction{Kind: ledger.Close, Programme: p, Period: c.period(now, c.Throw(4)-2)}
	case n < 97:
		tx = one(ledger.Payout, ledger.PayableID(p, shop), ledger.PoolID(p, ledger.BankClearing))
	case n < 98:
		tx = one(ledger.PayoutBack, ledger.PoolID(p, ledger.BankClearing), ledger.PayableID(p, shop))
	case n < 99:
		lot := c.had(p, resident, now)
		some := append([]ledger.Account{lot, c.takings(p, shop, c.period(now, 0))}, c.Accounts()...)
		tx = one(ledger.Adjust, some[c.Throw(len(some))].ID, some[c.Throw(len(some))].ID)
		tx.Resident, tx.Reason = resident, "count"
	default: // amounts at the end of what there is, in a programme of their own
		p := c.programme("x")
		lot := c.lot(p, resident, ledger.Paid, now)
		tx = one(ledger.Grant, ledger.FundsID(p, []ledger.AccountKind{ledger.FundsPaid, ledger.FundsPremium}[c.Throw(2)]), lot.ID)
		tx.Resident, tx.Opens = resident, []ledger.Account{lot}
		tx.Transfers[0].Amount = math.MaxInt64 - ledger.Yen(c.Throw(2))
	}
	return tx
}

// spend takes from the resident's lots, into the takings of this period or of
// the next one that is open.
func (c *Town) spend(tx *ledger.Transaction, p ledger.ProgrammeID, shop string, now time.Time) {
	s := ledger.Spend{Programme: p, Amount: c.amount()}
	for shift := -c.Throw(2); shift < 2; shift++ {
		a := c.takings(p, shop, c.period(now, shift))
		tx.Opens = append(tx.Opens, a)
		s.Into = append(s.Into, a.ID)
	}
	tx.Spends = append(tx.Spends, s)
}

func (c *Town) until(now time.Time) time.Time {
	in := []time.Duration{2 * time.Microsecond, time.Second, 10 * time.Second, time.Hour, 50 * time.Hour}[c.Throw(5)]
	if c.Patient {
		in = max(in, time.Second)
	}
	return now.Add(in)
}

// spoil makes a transaction wrong, in most cases.
func (c *Town) spoil(tx *ledger.Transaction) {
	amount := func(y ledger.Yen) {
		switch {
		case len(tx.Transfers) > 0:
			tx.Transfers[c.Throw(len(tx.Transfers))].Amount = y
		case len(tx.Spends) > 0:
			tx.Spends[c.Throw(len(tx.Spends))].Amount = y
		default:
			tx.Amount = y
		}
	}
	account := func(id ledger.AccountID) {
		switch {
		case len(tx.Transfers) > 0 && c.Throw(2) == 0:
			tx.Transfers[0].Debit = id
		case len(tx.Transfers) > 0:
			tx.Transfers[0].Credit = id
		case len(tx.Spends) > 0:
			tx.Spends[0].Into = []ledger.AccountID{id}
		}
	}
	some := c.Accounts()
	switch c.Throw(16) {
	case 0:
		amount(0)
	case 1:
		amount(-1)
	case 2:
		amount(math.MaxInt64)
	case 3:
		account("nowhere")
	case 4:
		account(some[c.Throw(len(some))].ID)
	case 5:
		if len(tx.Transfers) > 0 {
			tx.Transfers[0].Credit = tx.Transfers[0].Debit
		}
	case 6:
		for n := len(tx.Transfers); n > 0 && len(tx.Transfers) <= ledger.MaxTransfers; {
			tx.Transfers = append(tx.Transfers, tx.Transfers[:n]...)
		}
	case 7:
		tx.ID = strings.Repeat("i", ledger.MaxID*c.Throw(2)+c.Throw(2)*len(tx.ID))
	case 8:
		tx.Refused = "outside-term"
	case 9:
		tx.Parent = c.oneOf(c.spent)
	case 10:
		tx.Kind = []ledger.Kind{ledger.Charge, ledger.Pay, ledger.Refund, ledger.Close, ledger.Release, "gift"}[c.Throw(6)]
	case 11:
		tx.Until = c.until(tx.Until)
	case 12:
		tx.Period, tx.Programme = "2024-02-30", c.programme("v")
	case 13:
		if len(tx.Opens) > 0 {
			tx.Opens[0].Owner = "another"
		}
	case 14:
		tx.Opens = nil
	case 15:
		tx.Resident = ""
	}
}
