// Package ledgertest is what every ledger.Store must pass: a conformance suite,
// and properties that hold it to a Model and to Books of its own. Call
// [TestStore] from the tests of a store, and [TestSame] with two or more.
package ledgertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"meguri/ledger"
)

// Clock is a clock that a test sets.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at noon of 3 June 2024 in Tokyo.
func NewClock() *Clock { return &Clock{now: time.Date(2024, 6, 3, 12, 0, 0, 0, ledger.Tokyo)} }

// Now is the time that was set.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock, back as well.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set sets the clock.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Open makes an empty store on a clock.
type Open func(t testing.TB, now func() time.Time) ledger.Store

// claim is a test of the suite, by what it claims.
type claim struct {
	claim string
	test  func(bench)
}

// TestStore runs the suite. After each test the books are verified.
func TestStore(t *testing.T, open Open) {
	for _, claims := range [][]claim{rules, lotRules, holdRules, reversals, periodRules, times, reads, writers} {
		for _, c := range claims {
			t.Run(c.claim, func(t *testing.T) {
				b := newBench(t, open)
				c.test(b)
				b.verify()
			})
		}
	}
	t.Run("I1 to I11 hold, and every answer and row is the model's", func(t *testing.T) { testInvariants(t, open) })
	t.Run("I12: however the same transactions are cut into batches, they have the same answers and rows", func(t *testing.T) { testPartition(t, open) })
	t.Run("I14: the order of transactions that share no account changes only their places and times", func(t *testing.T) { testPermutation(t, open) })
}

// bench is a store with a few accounts and the words that the tests need: a
// voucher v and points p, the resident r with a lot of each that does not
// expire, and the shop s.
type bench struct {
	*testing.T
	Auditable
	clock *Clock
	with  Open
}

// The period that the tests begin in, and the next one.
const (
	week     = "2024-06-09"
	nextWeek = "2024-06-16"
)

var limit = ledger.Yen(1_000_000) // of what is sold of v

func newBench(t *testing.T, open Open) bench {
	t.Helper()
	clock := NewClock()
	store, ok := open(t, clock.Now).(Auditable)
	if !ok {
		t.Fatal("the store cannot be audited")
	}
	b := bench{T: t, Auditable: store, clock: clock, with: open}
	accounts := []ledger.Account{
		{ID: "funds", Programme: "v", Kind: ledger.FundsPaid, Owner: "v", Limit: limit},
		{ID: "premium", Programme: "v", Kind: ledger.FundsPremium, Owner: "v"},
		{ID: "expired", Programme: "v", Kind: ledger.Expired, Owner: "v"},
		{ID: "lapsed", Programme: "v", Kind: ledger.Lapsed, Owner: "v"},
		{ID: "refunded", Programme: "v", Kind: ledger.Refunded, Owner: "v"},
		{ID: "bank", Programme: "v", Kind: ledger.BankClearing, Owner: "v"},
		{ID: "suspense", Programme: "v", Kind: ledger.Suspense, Owner: "v"},
		{ID: "lot", Programme: "v", Kind: ledger.ResidentLot, Owner: "r", Funding: ledger.Paid},
		{ID: "p-premium", Programme: "p", Kind: ledger.FundsPremium, Owner: "p"},
		{ID: "p-lot", Programme: "p", Kind: ledger.ResidentLot, Owner: "r", Funding: ledger.Premium},
		takings("v", week), takings("v", nextWeek), takings("p", week),
	}
	if err := b.OpenAccounts(b.Context(), accounts...); err != nil {
		b.Fatal(err)
	}
	return b
}

// takings is the account of the shop s for a period; till is its ID in v.
func takings(p ledger.ProgrammeID, period string) ledger.Account {
	return ledger.Account{ID: ledger.TakingsID(p, "s", period), Programme: p, Kind: ledger.ShopUnsettled, Owner: "s", Period: period}
}

var (
	till     = takings("v", week).ID
	nextTill = takings("v", nextWeek).ID
	pTill    = takings("p", week).ID
)

// lot is a lot of the resident r in v that expires at an instant.
func lot(id ledger.AccountID, expires time.Time) ledger.Account {
	return ledger.Account{ID: id, Programme: "v", Kind: ledger.ResidentLot, Owner: "r", Funding: ledger.Paid, ExpiresAt: expires}
}

// open opens accounts.
func (b bench) open(accounts ...ledger.Account) {
	b.Helper()
	if err := b.OpenAccounts(b.Context(), accounts...); err != nil {
		b.Fatal(err)
	}
}

// post posts one transaction.
func (b bench) post(tx ledger.Transaction) ledger.Outcome {
	b.Helper()
	outcomes, err := b.Post(b.Context(), tx)
	if err != nil {
		b.Fatal(err)
	}
	if len(outcomes) != 1 {
		b.Fatalf("got %d outcomes of one transaction", len(outcomes))
	}
	return outcomes[0]
}

// must posts a transaction that stands.
func (b bench) must(tx ledger.Transaction) ledger.Posted {
	b.Helper()
	o := b.post(tx)
	if o.Err != nil {
		b.Fatalf("post %s: %v", tx.Kind, o.Err)
	}
	return o.Posted
}

// refuse posts a transaction that is refused, and sends it again: the answer is
// kept, and nothing else is.
func (b bench) refuse(want ledger.Refusal, tx ledger.Transaction) {
	b.Helper()
	before, err := b.End(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, replay := range []bool{false, true} {
		if o := b.post(tx); !errors.Is(o.Err, want) || o.Replay != replay {
			b.Errorf("%s: got %v (replay %t), want %v (replay %t)", tx.Kind, o.Err, o.Replay, want, replay)
		}
	}
	if _, err := b.Transaction(b.Context(), tx.ID); !errors.Is(err, ledger.ErrNotFound) {
		b.Errorf("the transaction that was refused is read with %v, want ErrNotFound", err)
	}
	news, err := b.Changes(b.Context(), before, 100)
	for i := range news {
		if err != nil || news[i].Kind != ledger.Release { // of a hold whose time is up, whatever came
			b.Errorf("a refusal posted %+v, %v", news[i], err)
		}
	}
}

// values compares what stands on accounts.
func (b bench) values(want map[ledger.AccountID]ledger.Yen) {
	b.Helper()
	for id, yen := range want {
		if got := b.balance(id); got.Value() != yen {
			b.Errorf("account %s: got %d yen, want %d", id, got.Value(), yen)
		}
	}
}

func (b bench) balance(id ledger.AccountID) ledger.Balance {
	b.Helper()
	balance, err := b.Balance(b.Context(), id)
	if err != nil {
		b.Fatalf("account %s: %v", id, err)
	}
	return balance
}

// held is what is held for taking out of an account.
func (b bench) held(id ledger.AccountID, want ledger.Yen) {
	b.Helper()
	if got := b.balance(id).HeldDebits; got != want {
		b.Errorf("account %s: %d yen are held, want %d", id, got, want)
	}
}

// verify holds the store to its entries, with ledger.Verify and with Books.
func (b bench) verify() {
	b.Helper()
	ctx := b.Context()
	if _, err := ledger.Verify(ctx, b, func(int64) {}); err != nil {
		b.Error(err)
	}
	t, err := NewTrial(b.Auditable, b.clock.Now)
	if err == nil {
		t.Model.Log = []*Record{{Kind: ledger.Close}} // empty closes are looked for
		_, err = t.read(ctx)
	}
	for _, p := range t.Log {
		if err == nil {
			err = t.Books.Add(p)
		}
	}
	if err == nil {
		err = t.Books.Compare(ctx, b)
	}
	if err != nil {
		b.Error(err)
	}
}

func tx(kind ledger.Kind, transfers ...ledger.Transfer) ledger.Transaction {
	return ledger.Transaction{ID: uuid.NewString(), Kind: kind, Resident: "r", Shop: "s", Terminal: "1", Actor: "test", Transfers: transfers}
}

func move(from, to ledger.AccountID, amount ledger.Yen) ledger.Transfer {
	return ledger.Transfer{Debit: from, Credit: to, Amount: amount}
}

// charge sells value into the lot that does not expire.
func charge(amount ledger.Yen) ledger.Transaction {
	return tx(ledger.Charge, move("funds", "lot", amount))
}

// pay spends an amount of v in the shop.
func pay(amount ledger.Yen) ledger.Transaction {
	t := tx(ledger.Pay)
	t.Spends = []ledger.Spend{{Programme: "v", Amount: amount, Into: []ledger.AccountID{till, nextTill}}}
	return t
}

// hold sets an amount of v aside for the shop, for a time from now.
func (b bench) hold(amount ledger.Yen, lasts time.Duration) ledger.Transaction {
	t := pay(amount)
	t.Kind, t.Until = ledger.Hold, b.clock.Now().Add(lasts)
	return t
}

// after is a transaction that ends a hold or takes one back.
func after(kind ledger.Kind, parent string) ledger.Transaction {
	return ledger.Transaction{ID: uuid.NewString(), Kind: kind, Actor: "test", Parent: parent}
}

func capture(hold string, amount ledger.Yen) ledger.Transaction {
	t := after(ledger.Capture, hold)
	t.Amount = amount
	return t
}

func closing(p ledger.ProgrammeID, period string) ledger.Transaction {
	return ledger.Transaction{ID: uuid.NewString(), Kind: ledger.Close, Actor: "office", Programme: p, Period: period}
}

// sweep releases what is due.
func (b bench) sweep() {
	b.Helper()
	if _, err := b.Post(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// tokyo is an instant by the wall clock in Tokyo.
func tokyo(text string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04:05", text, ledger.Tokyo)
	if err != nil {
		panic(err)
	}
	return t
}
