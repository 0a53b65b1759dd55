package ledger

import (
	"context"
	"crypto/sha256"
	"time"
)

// Yen is an amount of money or points in whole units. One point is one yen.
type Yen int64

// Seq is the place of a transfer in the ledger: 1, 2, 3 … without a gap.
type Seq int64

// Kind says what a transaction is for.
type Kind string

// The kinds of transaction.
const (
	Charge      Kind = "charge"        // チャージ: a resident buys value
	Grant       Kind = "grant"         // 付与: the city gives value
	Pay         Kind = "pay"           // 利用: a resident pays a shop
	Hold        Kind = "hold"          // 仮押さえ: sets value aside for a payment or a sale
	Capture     Kind = "capture"       // 確定: takes the whole or a part of a hold
	Void        Kind = "void"          // 仮押さえの取消: gives the whole of a hold back
	Release     Kind = "release"       // 仮押さえの失効: what the ledger does when a hold's time is up
	Cancel      Kind = "cancel"        // 利用キャンセル: takes back the whole of a payment
	CancelGrant Kind = "cancel_grant"  // 付与キャンセル: takes back the whole of a charge or a grant
	Expire      Kind = "expire"        // 有効期限切れ: empties a lot whose time is up
	Lapse       Kind = "lapse"         // 失効: empties a lot whose holder has left
	Move        Kind = "move"          // 残高移行: from one lot to another
	Refund      Kind = "refund"        // 払戻し: value given back in cash
	Close       Kind = "close"         // 締め: fixes what belongs to a settlement period
	Payout      Kind = "payout"        // 振込: what is payable goes to the bank
	PayoutBack  Kind = "payout_return" // 振込不能: and comes back
	Adjust      Kind = "adjust"        // 調整: an approved correction by the office
)

// flow is the kinds of account that a transaction may move value between.
type flow struct{ from, to []AccountKind }

var (
	funds = []AccountKind{FundsPaid, FundsPremium}
	lots  = []AccountKind{ResidentLot}
	every = []AccountKind(nil) // of any kind
)

// flows says what each kind of transaction that carries its own transfers may
// move. A kind that is not listed carries none.
var flows = map[Kind][]flow{
	Charge:     {{funds, lots}},
	Grant:      {{funds, lots}},
	Pay:        {{lots, []AccountKind{ShopUnsettled}}},
	Hold:       {{lots, []AccountKind{ShopUnsettled}}, {funds, lots}},
	Expire:     {{lots, []AccountKind{Expired}}},
	Lapse:      {{lots, []AccountKind{Lapsed}}},
	Move:       {{lots, lots}},
	Refund:     {{lots, []AccountKind{Refunded}}, {[]AccountKind{Expired}, []AccountKind{Refunded}}},
	Payout:     {{[]AccountKind{ShopPayable}, []AccountKind{BankClearing}}},
	PayoutBack: {{[]AccountKind{BankClearing}, []AccountKind{ShopPayable}}},
	Adjust:     {{every, every}},
}

// Transfer moves Amount out of Debit into Credit. Amount is above zero.
type Transfer struct {
	Debit  AccountID
	Credit AccountID
	Amount Yen
}

// Spend moves Amount out of the resident's lots of a programme, the one that
// expires first first, into the first of Into that is not closed.
type Spend struct {
	Programme ProgrammeID
	Amount    Yen
	Into      []AccountID
}

// Digest is a SHA-256 digest.
type Digest [sha256.Size]byte

// MaxTransfers is the most transfers and spends that one transaction may ask
// for, and MaxID the most bytes of its ID.
const (
	MaxTransfers = 100
	MaxID        = 64
)

// Transaction is a group of transfers that is posted whole or not at all: a
// combined payment (併用決済) of voucher and points is one transaction.
//
// A Capture, Void, Cancel or CancelGrant carries no transfers of its own:
// [Fold] works on those of Parent. A Close names a programme and a period.
type Transaction struct {
	ID       string // made by the caller before the first attempt; the idempotency key
	Kind     Kind
	Resident string
	Shop     string
	Terminal string
	Actor    string // who asked: a client or a staff login
	Reason   string // free of names: a code or a short word
	Parent   string // the hold or the transaction that this one ends or takes back

	Opens     []Account  // opened with it, unless they are there
	Transfers []Transfer // what it moves,
	Spends    []Spend    // and what it moves out of the resident's lots

	Until     time.Time   // of a Hold: the instant at which it ends by itself
	Amount    Yen         // of a Capture: how much of the hold; 0 is the whole
	Programme ProgrammeID // of a Close
	Period    string      // of a Close: the last business day

	// At is when it happened, for value taken over from elsewhere; the zero
	// value means now. Ledger time is the ledger's own in any case.
	At time.Time

	// Request is the digest of what the caller asked for, which makes two
	// requests with one ID the same request or a conflict. The zero value is
	// filled in from the other fields.
	Request Digest

	// Refused is a refusal that was decided before the ledger was asked. It is
	// kept under the ID like the ledger's own, unless the ID was answered before.
	Refused Refusal
}

// Entry is a posted transfer: its place, and what stood on both sides right
// after it.
//
// A payment moves Amount and leaves Held at 0. A hold moves nothing and adds
// to what is held; what ends the hold takes that away again.
type Entry struct {
	Seq         Seq
	Transfer        // Amount is what moved, 0 when value was only held or let go
	Held        Yen // change of what is held on both sides
	Programme   ProgrammeID
	DebitAfter  Yen // the value of both accounts
	CreditAfter Yen
	DebitPrev   Seq // the entry before, of each account: 0 for its first
	CreditPrev  Seq

	// ResidentAfter is what the resident had of the programme, in all lots.
	ResidentAfter Yen
}

// Posted is a transaction as the ledger keeps it.
type Posted struct {
	ID       string
	Kind     Kind
	Resident string
	Shop     string
	Terminal string
	Actor    string
	Reason   string
	Parent   string
	Request  Digest
	At       time.Time // when it happened
	LedgerAt time.Time // when the ledger took it; later than that of every one before
	Until    time.Time // of a Hold

	BusinessOn string // day of At in Asia/Tokyo, YYYY-MM-DD
	Entries    []Entry

	// ResolvedBy is the transaction that took this one back or ended this hold,
	// if there is one, and ResolvedAs its kind.
	ResolvedBy string
	ResolvedAs Kind

	// Closed is what a Close has fixed.
	Closed *Closing
}

// Closing is a settlement period that is closed: of the programme's payments,
// those up to the cut belong to this period or an earlier one, and nothing
// comes in later.
type Closing struct {
	Programme ProgrammeID
	Period    string // last business day, YYYY-MM-DD
	Cut       Seq
	By        string // the transaction that closed it
}

// First is the sequence number of the first entry; 0 without entries.
func (p *Posted) First() Seq {
	if len(p.Entries) == 0 {
		return 0
	}
	return p.Entries[0].Seq
}

// Last is the sequence number of the last entry; 0 without entries.
func (p *Posted) Last() Seq {
	if len(p.Entries) == 0 {
		return 0
	}
	return p.Entries[len(p.Entries)-1].Seq
}

// Total is the sum of the amounts moved.
func (p *Posted) Total() (sum Yen) {
	for i := range p.Entries {
		sum += p.Entries[i].Amount
	}
	return sum
}

// TotalHeld is the sum of what a Hold set aside.
func (p *Posted) TotalHeld() (sum Yen) {
	for i := range p.Entries {
		sum += p.Entries[i].Held
	}
	return sum
}

// IsPayment reports whether value went from a resident to a shop.
func (p *Posted) IsPayment() bool { return p.Kind == Pay || p.Kind == Capture && p.Shop != "" }

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
	// exists as another one is ErrConflict; takings of a closed period are
	// ErrPeriodClosed.
	OpenAccounts(ctx context.Context, accounts ...Account) error

	// Post decides the transactions in order with Fold and keeps the result in
	// one database transaction. Refusals are outcomes. An error means that
	// nothing of the batch was kept, except for an *UnknownError; one that wraps
	// ErrUnavailable has nothing to do with what the batch holds, and after one
	// that wraps ErrStorage nothing may be written any more.
	Post(ctx context.Context, txs ...Transaction) ([]Outcome, error)

	// Stands tells whether the batch of an *UnknownError was kept. Once it has
	// answered, the batch can no longer change its fate.
	Stands(ctx context.Context, unknown *UnknownError) (bool, error)

	// Due reports whether there is a hold whose time is up and that was not
	// released. Post with no transactions releases what is due.
	Due(ctx context.Context) (bool, error)

	Reader
}

// Reader reads what is posted.
type Reader interface {
	// Balance returns one account, or ErrNotFound. Holds whose time is up count
	// no more, whether or not they were released.
	Balance(ctx context.Context, id AccountID) (Balance, error)

	// ValueAt returns what stood on an account right after the last transaction
	// that was posted by an instant of ledger time, and that one's last entry for
	// the account; 0 and 0 before its first.
	ValueAt(ctx context.Context, id AccountID, at time.Time) (Yen, Seq, error)

	// BalancesOf returns the accounts of an owner, ordered by ID.
	BalancesOf(ctx context.Context, owner string) ([]Balance, error)

	// Transaction returns a posted transaction, or ErrNotFound.
	Transaction(ctx context.Context, id string) (Posted, error)

	// TransactionOf returns the posted transaction that holds an entry, or
	// ErrNotFound.
	TransactionOf(ctx context.Context, seq Seq) (Posted, error)

	// Statement returns entries of an account, the last first, from the one
	// before a sequence number on; before 0 it starts with the last of all.
	Statement(ctx context.Context, id AccountID, before Seq, limit int) ([]Line, error)

	// Changes returns posted transactions whose entries come after the given
	// sequence number, in sequence order, as many as fit in limit entries but
	// at least one. It never splits a transaction.
	Changes(ctx context.Context, after Seq, limit int) ([]Posted, error)

	// End returns the last sequence number.
	End(ctx context.Context) (Seq, error)
}

// Line is one entry of an account's statement (取引明細).
type Line struct {
	Transaction string
	Kind        Kind
	Shop        string
	At          time.Time
	LedgerAt    time.Time
	BusinessOn  string
	Entry
}
