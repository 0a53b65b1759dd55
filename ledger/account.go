package ledger

import "time"

// AccountID names an account, for example "lot:voucher-2026:r-0001:paid:2026-12-31".
type AccountID string

// ProgrammeID names what a city issues: a voucher, a point scheme (事業).
// Value never moves from one programme to another.
type ProgrammeID string

// AccountKind says what an account's balance means.
type AccountKind string

// The kinds of account. Funds are where value comes from and stand below zero
// by what they have issued; all others hold value and may not fall below zero.
const (
	FundsPaid     AccountKind = "funds_paid"     // 有償原資: what residents paid for
	FundsPremium  AccountKind = "funds_premium"  // プレミアム原資: what the city adds
	ResidentLot   AccountKind = "resident_lot"   // a resident's value of one programme, expiry and funding
	ShopUnsettled AccountKind = "shop_unsettled" // 未締め: a shop's takings of one settlement period
	ShopPayable   AccountKind = "shop_payable"   // 支払予定: closed, not yet paid to the shop
	BankClearing  AccountKind = "bank_clearing"  // 振込済: handed to the bank
	Expired       AccountKind = "expired"        // 有効期限切れ: what ran out of time
	Lapsed        AccountKind = "lapsed"         // 失効: what was lost with its holder's account
	Refunded      AccountKind = "refund"         // 払戻し: given back in cash
	Suspense      AccountKind = "suspense"       // 仮勘定: not yet known where it belongs
)

// accountKinds are all of them, and whether they may be overdrawn.
var accountKinds = map[AccountKind]bool{
	FundsPaid: true, FundsPremium: true,
	ResidentLot: false, ShopUnsettled: false, ShopPayable: false, BankClearing: false,
	Expired: false, Lapsed: false, Refunded: false, Suspense: false,
}

// Valid reports whether k is one of the kinds above.
func (k AccountKind) Valid() bool {
	_, ok := accountKinds[k]
	return ok
}

// MayGoNegative reports whether accounts of this kind may be overdrawn. Only
// funds may: their negative balance is the value in circulation.
func (k AccountKind) MayGoNegative() bool { return k == FundsPaid || k == FundsPremium }

// Funding says who paid for the value of a lot, which the law on prepaid
// payment instruments (資金決済法) asks to be told apart.
type Funding string

// The fundings of a lot.
const (
	Paid    Funding = "paid"    // 有償
	Premium Funding = "premium" // 無償・プレミアム
)

// Account is a place value can be in. Everything in it is fixed when the
// account is opened.
//
// Lots are accounts (resident × programme × expiry × funding), so that expiry
// and the split of paid and premium value need no mechanism of their own.
type Account struct {
	ID        AccountID
	Programme ProgrammeID
	Kind      AccountKind
	Owner     string // the resident, shop or programme it belongs to

	Period    string    // of a ShopUnsettled: the last business day of its settlement period, YYYY-MM-DD
	Funding   Funding   // of a lot
	Rank      int       // of a lot: which goes first among those that expire together, the lowest
	ExpiresAt time.Time // of a lot: it can be used before this instant; zero is never
	Limit     Yen       // of funds: the most that may be issued (発行総額); 0 is no limit
}

// valid reports whether an account is well formed.
func (a *Account) valid() bool {
	return a.ID != "" && len(a.ID) <= maxAccountID && a.Programme != "" && a.Kind.Valid() && a.Limit >= 0 &&
		(a.Kind == ShopUnsettled || a.Period == "") && (a.Kind == ResidentLot || a.ExpiresAt.IsZero())
}

const maxAccountID = 200

// Balance is an account with its counters, each of which only grows but for
// the two of what is held.
type Balance struct {
	Account
	Closed bool // 締め済み・停止: nothing goes in or out, but for what is held

	Debits      Yen // taken out, since the beginning
	Credits     Yen // put in, since the beginning
	HeldDebits  Yen // held for taking out
	HeldCredits Yen // held for putting in
	Version     int64
	LastSeq     Seq // the last entry that touched it; 0 when none did
}

// Value is what stands on the account: credits less debits.
func (b *Balance) Value() Yen { return b.Credits - b.Debits }

// Available is what may be taken out of an account that may not be overdrawn.
func (b *Balance) Available() Yen { return b.Credits - b.Debits - b.HeldDebits }

// usable reports whether a lot's value may be used at an instant.
func (b *Balance) usable(at time.Time) bool { return b.ExpiresAt.IsZero() || at.Before(b.ExpiresAt) }

// before reports whether lot b is spent before lot c: the earliest expiry
// first, then by the programme's rule.
func (b *Balance) before(c *Balance) bool {
	switch {
	case !b.ExpiresAt.Equal(c.ExpiresAt):
		return c.ExpiresAt.IsZero() || (!b.ExpiresAt.IsZero() && b.ExpiresAt.Before(c.ExpiresAt))
	case b.Rank != c.Rank:
		return b.Rank < c.Rank
	default:
		return b.ID < c.ID
	}
}

// LotID names the account of a resident's value of one funding and expiry. The
// day is the last on which it can be used, "" for value that does not expire.
func LotID(p ProgrammeID, resident string, f Funding, lastDay string) AccountID {
	id := "lot:" + string(p) + ":" + resident + ":" + string(f)
	if lastDay != "" {
		id += ":" + lastDay
	}
	return AccountID(id)
}

// TakingsID names the account of a shop's takings of one settlement period,
// which is called by its last business day.
func TakingsID(p ProgrammeID, shop, period string) AccountID {
	return AccountID("shop:" + string(p) + ":" + shop + ":" + period)
}

// PayableID names the account of what a shop is owed.
func PayableID(p ProgrammeID, shop string) AccountID {
	return AccountID("payable:" + string(p) + ":" + shop)
}

// FundsID names one of a programme's funds, FundsPaid or FundsPremium.
func FundsID(p ProgrammeID, kind AccountKind) AccountID {
	f := Paid
	if kind == FundsPremium {
		f = Premium
	}
	return AccountID("funds:" + string(p) + ":" + string(f))
}

// PoolID names a programme's only account of a kind that has no owner of its
// own, for example Expired or BankClearing.
func PoolID(p ProgrammeID, kind AccountKind) AccountID {
	return AccountID(string(kind) + ":" + string(p))
}
