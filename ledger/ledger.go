package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Yen is an amount of money or points in whole units. One point is one yen.
type Yen int64

// Seq is the place of a transfer in the ledger: 1, 2, 3 … without a gap.
type Seq int64

// AccountID names an account, for example "lot:voucher-2026:r-0001".
type AccountID string

// ProgrammeID names what a city issues: a voucher, a point scheme (事業).
// Value never moves from one programme to another.
type ProgrammeID string

// AccountKind says what an account's balance means.
type AccountKind string

// The kinds of account. Funds are where value comes from and stand below zero
// by what they have issued; all others hold value and may not fall below zero.
const (
	FundsPaid     AccountKind = "funds_paid"     // what residents paid for
	FundsPremium  AccountKind = "funds_premium"  // what the city adds
	ResidentLot   AccountKind = "resident_lot"   // a resident's value in one programme
	ShopUnsettled AccountKind = "shop_unsettled" // a shop's takings not yet closed
)

// Valid reports whether k is one of the kinds above.
func (k AccountKind) Valid() bool {
	switch k {
	case FundsPaid, FundsPremium, ResidentLot, ShopUnsettled:
		return true
	}
	return false
}

// MayGoNegative reports whether accounts of this kind may be overdrawn. Only
// funds may: their negative balance is the value in circulation.
func (k AccountKind) MayGoNegative() bool { return k == FundsPaid || k == FundsPremium }

// Account is a place value can be in. Owner is the resident, shop or
// programme it belongs to.
type Account struct {
	ID        AccountID
	Programme ProgrammeID
	Kind      AccountKind
	Owner     string
	Closed    bool
}

// Balance is an account with its two counters. Version counts the transfers
// that touched it.
type Balance struct {
	Account
	Debits  Yen // taken out, since the beginning
	Credits Yen // put in, since the beginning
	Version int64
}

// Value is what stands on the account: credits less debits.
func (b Balance) Value() Yen { return b.Credits - b.Debits }

// Kind says what a transaction is for.
type Kind string

// The kinds of transaction.
const (
	Charge Kind = "charge" // チャージ: a resident buys value
	Grant  Kind = "grant"  // 付与: the city gives value
	Pay    Kind = "pay"    // 利用: a resident pays a shop
	Cancel Kind = "cancel" // 利用キャンセル: takes back the whole of a payment
)

// Transfer moves Amount out of Debit into Credit. Amount is above zero.
type Transfer struct {
	Debit  AccountID
	Credit AccountID
	Amount Yen
}

// Transaction is a group of transfers that is posted whole or not at all: a
// combined payment (併用決済) of voucher and points is one transaction.
//
// A Cancel carries no transfers of its own: [Fold] turns those of Parent round.
type Transaction struct {
	ID        string // UUID made by the caller before the first attempt; the idempotency key
	Kind      Kind
	Resident  string
	Shop      string
	Terminal  string
	Actor     string // who asked: a client or a staff login
	Reason    string // free of names: a code or a short word
	Parent    string // the payment that a Cancel takes back
	Transfers []Transfer

	// At is when it happened, for value taken over from elsewhere; the zero
	// value means now. Ledger time is the ledger's own in any case.
	At time.Time
}

// Hash is a digest of everything that makes two requests with one ID the same
// request, or a conflict.
func (t Transaction) Hash() string {
	t.At = t.At.UTC()
	b, err := json.Marshal(t)
	if err != nil { // strings, integers and a time cannot fail to encode
		panic("ledger: encode transaction: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Entry is a posted transfer: its place, and both balances right after it.
type Entry struct {
	Seq Seq
	Transfer
	Programme   ProgrammeID
	DebitAfter  Yen
	CreditAfter Yen
}

// Posted is a transaction as the ledger keeps it.
type Posted struct {
	Transaction
	Entries     []Entry
	LedgerAt    time.Time // when the ledger took it; never earlier than the row before
	BusinessOn  string    // day of At in Asia/Tokyo, YYYY-MM-DD
	CancelledBy string    // the Cancel that took this payment back, if any
}

// First is the sequence number of the first entry.
func (p Posted) First() Seq { return p.Entries[0].Seq }

// Last is the sequence number of the last entry.
func (p Posted) Last() Seq { return p.Entries[len(p.Entries)-1].Seq }

// Total is the sum of the entries' amounts.
func (p Posted) Total() (sum Yen) {
	for _, e := range p.Entries {
		sum += e.Amount
	}
	return sum
}

// Outcome is the answer to one transaction: Posted when it stands in the
// ledger, or Err, one of the package's refusals. Replay marks an answer that
// was given before.
type Outcome struct {
	Posted Posted
	Err    error
	Replay bool
}

// Store keeps a ledger. Every method is safe for concurrent use.
type Store interface {
	// OpenAccounts makes the accounts that do not exist yet. An account that
	// exists with another programme, kind or owner is ErrConflict.
	OpenAccounts(ctx context.Context, accounts ...Account) error

	// Post decides the transactions in order with Fold and keeps the result in
	// one database transaction. Refusals are outcomes; an error means that
	// nothing of the batch was kept.
	Post(ctx context.Context, txs ...Transaction) ([]Outcome, error)

	// Balance returns one account, or ErrNotFound.
	Balance(ctx context.Context, id AccountID) (Balance, error)

	// BalancesOf returns the accounts of an owner, ordered by ID.
	BalancesOf(ctx context.Context, owner string) ([]Balance, error)

	// Transaction returns a posted transaction, or ErrNotFound.
	Transaction(ctx context.Context, id string) (Posted, error)

	// Changes returns posted transactions whose entries come after the given
	// sequence number, in sequence order, as many as fit in limit entries but
	// at least one. It never splits a transaction.
	Changes(ctx context.Context, after Seq, limit int) ([]Posted, error)
}
