// Package ledgertest is what every ledger.Store must pass: a conformance suite,
// and a state machine that drives a store beside a small model of its own.
// Call [TestStore] from the tests of a store.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// Open makes an empty store on a clock.
type Open func(t testing.TB, now func() time.Time) ledger.Store

// TestStore runs the suite.
func TestStore(t *testing.T, open Open) {
	tests := []struct {
		claim string
		run   func(*testing.T, bench)
	}{
		{"a charge of two transfers moves paid and premium value into the lot", testCharge},
		{"a transaction is posted whole or not at all", testAllOrNothing},
		{"a lot is never overdrawn", testFloor},
		{"no transfer crosses programmes", testProgrammes},
		{"what is not well formed is refused", testInvalid},
		{"an amount beyond int64 is refused", testOverflow},
		{"the same ID and content gets the same answer, a refusal too", testReplay},
		{"the same ID with other content is a conflict and changes nothing", testConflict},
		{"a cancel returns the whole payment, once", testCancel},
		{"only payments can be cancelled", testNotCancellable},
		{"one batch has the result of many", testBatch},
		{"an account is opened once", testOpenAccounts},
		{"ledger time never runs backwards, and days are Tokyo's", testTime},
		{"changes come in sequence, without gap, whole", testChanges},
		{"callers at once lose nothing and repeat nothing", testConcurrent},
		{"what is absent is not found", testNotFound},
		{"the books can be verified, and a journal written", testAudit},
	}
	for _, test := range tests {
		t.Run(test.claim, func(t *testing.T) {
			clock := NewClock()
			b := bench{T: t, Store: open(t, clock.Now), clock: clock}
			b.open("v", ledger.FundsPaid, "funds")
			b.open("v", ledger.FundsPremium, "premium")
			b.open("v", ledger.ResidentLot, "lot")
			b.open("v", ledger.ShopUnsettled, "shop")
			b.open("p", ledger.FundsPremium, "p-funds")
			b.open("p", ledger.ResidentLot, "p-lot")
			b.open("p", ledger.ShopUnsettled, "p-shop")
			test.run(t, b)
		})
	}
	t.Run("random commands agree with a model", func(t *testing.T) { testModel(t, open) })
}

// bench is a store with the words that the tests need.
type bench struct {
	*testing.T
	ledger.Store
	clock *Clock
}

func (b bench) open(programme ledger.ProgrammeID, kind ledger.AccountKind, id ledger.AccountID) {
	b.Helper()
	err := b.OpenAccounts(context.Background(), ledger.Account{ID: id, Programme: programme, Kind: kind, Owner: "o-" + string(id)})
	if err != nil {
		b.Fatal(err)
	}
}

func (b bench) post(tx ledger.Transaction) ledger.Outcome {
	b.Helper()
	outcomes, err := b.Post(context.Background(), tx)
	if err != nil {
		b.Fatal(err)
	}
	return outcomes[0]
}

func (b bench) mustPost(tx ledger.Transaction) ledger.Posted {
	b.Helper()
	o := b.post(tx)
	if o.Err != nil {
		b.Fatalf("post %s: %v", tx.Kind, o.Err)
	}
	return o.Posted
}

func (b bench) value(id ledger.AccountID) ledger.Yen {
	b.Helper()
	balance, err := b.Balance(context.Background(), id)
	if err != nil {
		b.Fatal(err)
	}
	return balance.Value()
}

func (b bench) wantValues(want map[ledger.AccountID]ledger.Yen) {
	b.Helper()
	for id, yen := range want {
		if got := b.value(id); got != yen {
			b.Errorf("account %s: got %d yen, want %d", id, got, yen)
		}
	}
}

func tx(kind ledger.Kind, transfers ...ledger.Transfer) ledger.Transaction {
	return ledger.Transaction{ID: uuid.NewString(), Kind: kind, Resident: "r", Shop: "s", Actor: "test", Transfers: transfers}
}

func move(from, to ledger.AccountID, amount ledger.Yen) ledger.Transfer {
	return ledger.Transfer{Debit: from, Credit: to, Amount: amount}
}

func charge() ledger.Transaction {
	return tx(ledger.Charge, move("funds", "lot", 1000), move("premium", "lot", 200))
}

func cancel(payment string) ledger.Transaction {
	return ledger.Transaction{ID: uuid.NewString(), Kind: ledger.Cancel, Parent: payment, Actor: "test"}
}

func testCharge(t *testing.T, b bench) {
	p := b.mustPost(charge())
	b.wantValues(map[ledger.AccountID]ledger.Yen{"funds": -1000, "premium": -200, "lot": 1200})
	want := []ledger.Entry{
		{Seq: 1, Transfer: move("funds", "lot", 1000), Programme: "v", DebitAfter: -1000, CreditAfter: 1000},
		{Seq: 2, Transfer: move("premium", "lot", 200), Programme: "v", DebitAfter: -200, CreditAfter: 1200},
	}
	if d := cmp.Diff(want, p.Entries); d != "" {
		t.Error(d)
	}
	got, err := b.Transaction(context.Background(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, got); d != "" {
		t.Errorf("what was answered is not what is kept:\n%s", d)
	}
}

func testAllOrNothing(t *testing.T, b bench) {
	b.mustPost(charge())
	b.mustPost(tx(ledger.Grant, move("p-funds", "p-lot", 50)))
	o := b.post(tx(ledger.Pay, move("lot", "shop", 500), move("p-lot", "p-shop", 51)))
	if !errors.Is(o.Err, ledger.ErrInsufficientBalance) {
		t.Fatalf("got %v, want ErrInsufficientBalance", o.Err)
	}
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 1200, "shop": 0, "p-lot": 50, "p-shop": 0})
	b.mustPost(tx(ledger.Pay, move("lot", "shop", 500), move("p-lot", "p-shop", 50)))
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 700, "shop": 500, "p-lot": 0, "p-shop": 50})
}

func testFloor(t *testing.T, b bench) {
	b.mustPost(charge())
	if o := b.post(tx(ledger.Pay, move("lot", "shop", 1201))); !errors.Is(o.Err, ledger.ErrInsufficientBalance) {
		t.Errorf("got %v, want ErrInsufficientBalance", o.Err)
	}
	b.mustPost(tx(ledger.Pay, move("lot", "shop", 1200)))
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 0, "shop": 1200})
}

func testProgrammes(t *testing.T, b bench) {
	if o := b.post(tx(ledger.Grant, move("funds", "p-lot", 1))); !errors.Is(o.Err, ledger.ErrUnbalanced) {
		t.Errorf("got %v, want ErrUnbalanced", o.Err)
	}
}

func testInvalid(t *testing.T, b bench) {
	withParent := charge()
	withParent.Parent = uuid.NewString()
	cancelWithTransfers := cancel(uuid.NewString())
	cancelWithTransfers.Transfers = []ledger.Transfer{move("funds", "lot", 1)}
	for name, c := range map[string]struct {
		tx   ledger.Transaction
		want error
	}{
		"no transfers":            {tx(ledger.Charge), ledger.ErrInvalid},
		"nothing":                 {tx(ledger.Charge, move("funds", "lot", 0)), ledger.ErrInvalid},
		"less than nothing":       {tx(ledger.Charge, move("funds", "lot", -1)), ledger.ErrInvalid},
		"from and to the same":    {tx(ledger.Charge, move("lot", "lot", 1)), ledger.ErrInvalid},
		"a parent without cancel": {withParent, ledger.ErrInvalid},
		"a cancel with transfers": {cancelWithTransfers, ledger.ErrInvalid},
		"no such account":         {tx(ledger.Charge, move("funds", "nowhere", 1)), ledger.ErrAccountNotFound},
	} {
		if o := b.post(c.tx); !errors.Is(o.Err, c.want) {
			t.Errorf("%s: got %v, want %v", name, o.Err, c.want)
		}
	}
	b.wantValues(map[ledger.AccountID]ledger.Yen{"funds": 0, "lot": 0})
}

func testOverflow(t *testing.T, b bench) {
	const most = ledger.Yen(1<<63 - 1)
	b.mustPost(tx(ledger.Charge, move("funds", "lot", most)))
	if o := b.post(tx(ledger.Charge, move("funds", "lot", 1))); !errors.Is(o.Err, ledger.ErrOverflow) {
		t.Errorf("got %v, want ErrOverflow", o.Err)
	}
	b.wantValues(map[ledger.AccountID]ledger.Yen{"funds": -most, "lot": most})
}

func testReplay(t *testing.T, b bench) {
	good, bad := charge(), tx(ledger.Pay, move("lot", "shop", 9999))
	first, refused := b.post(good), b.post(bad)
	b.clock.Add(time.Hour)
	b.mustPost(tx(ledger.Charge, move("funds", "lot", 100000))) // now the refused one could be paid
	for _, c := range []struct {
		tx   ledger.Transaction
		want ledger.Outcome
	}{{good, first}, {bad, refused}} {
		got := b.post(c.tx)
		if !got.Replay {
			t.Errorf("%s: the second answer is not marked as a replay", c.tx.Kind)
		}
		got.Replay = false
		if d := cmp.Diff(c.want, got, cmp.Comparer(errors.Is)); d != "" {
			t.Errorf("%s: the second answer differs from the first:\n%s", c.tx.Kind, d)
		}
	}
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 101200, "shop": 0})
}

func testConflict(t *testing.T, b bench) {
	first := charge()
	b.mustPost(first)
	other := first
	other.Transfers = []ledger.Transfer{move("funds", "lot", 5000)}
	if o := b.post(other); !errors.Is(o.Err, ledger.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", o.Err)
	}
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 1200})
}

func testCancel(t *testing.T, b bench) {
	b.mustPost(charge())
	b.mustPost(tx(ledger.Grant, move("p-funds", "p-lot", 50)))
	pay := b.mustPost(tx(ledger.Pay, move("lot", "shop", 500), move("p-lot", "p-shop", 50)))
	c := b.mustPost(cancel(pay.ID))
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 1200, "shop": 0, "p-lot": 50, "p-shop": 0})
	got, err := b.Transaction(context.Background(), pay.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.CancelledBy != c.ID {
		t.Errorf("the payment is cancelled by %q, want %q", got.CancelledBy, c.ID)
	}
	if o := b.post(cancel(pay.ID)); !errors.Is(o.Err, ledger.ErrAlreadyCancelled) {
		t.Errorf("second cancel: got %v, want ErrAlreadyCancelled", o.Err)
	}
}

func testNotCancellable(t *testing.T, b bench) {
	bought := b.mustPost(charge())
	refused := tx(ledger.Pay, move("lot", "shop", 9999))
	b.post(refused)
	for name, id := range map[string]string{"a charge": bought.ID, "a refused payment": refused.ID, "nothing": uuid.NewString()} {
		if o := b.post(cancel(id)); !errors.Is(o.Err, ledger.ErrNotCancellable) {
			t.Errorf("cancel of %s: got %v, want ErrNotCancellable", name, o.Err)
		}
	}
}

func testBatch(t *testing.T, b bench) {
	buy, over := charge(), tx(ledger.Pay, move("lot", "shop", 2000))
	pay := tx(ledger.Pay, move("lot", "shop", 700))
	outcomes, err := b.Post(context.Background(), buy, pay, over, pay, cancel(pay.ID))
	if err != nil {
		t.Fatal(err)
	}
	want := []error{nil, nil, ledger.ErrInsufficientBalance, nil, nil}
	for i, o := range outcomes {
		if !errors.Is(o.Err, want[i]) {
			t.Errorf("transaction %d: got %v, want %v", i, o.Err, want[i])
		}
	}
	if !outcomes[3].Replay {
		t.Error("a repeat within a batch is not marked as a replay")
	}
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 1200, "shop": 0})
}

func testOpenAccounts(t *testing.T, b bench) {
	b.mustPost(charge())
	b.open("v", ledger.ResidentLot, "lot")
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 1200})
	err := b.OpenAccounts(context.Background(), ledger.Account{ID: "lot", Programme: "p", Kind: ledger.ResidentLot, Owner: "o-lot"})
	if !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	balances, err := b.BalancesOf(context.Background(), "o-lot")
	if err != nil || len(balances) != 1 || balances[0].Value() != 1200 {
		t.Errorf("got %+v, %v, want the one lot with 1200 yen", balances, err)
	}
}

func testTime(t *testing.T, b bench) {
	first := b.mustPost(charge())
	b.clock.Add(-time.Hour)
	second := b.mustPost(charge())
	if second.LedgerAt.Before(first.LedgerAt) {
		t.Errorf("ledger time went from %v back to %v", first.LedgerAt, second.LedgerAt)
	}
	late := charge()
	late.At = time.Date(2024, 6, 7, 15, 0, 0, 0, time.UTC) // midnight in Tokyo
	if got := b.mustPost(late).BusinessOn; got != "2024-06-08" {
		t.Errorf("business day: got %s, want 2024-06-08", got)
	}
}

func testChanges(t *testing.T, b bench) {
	ctx := context.Background()
	for i := range 7 {
		if i%3 == 2 {
			b.post(tx(ledger.Pay, move("lot", "shop", 999999))) // a refusal leaves no gap
		}
		b.mustPost(charge())
	}
	for limit := 1; limit < 20; limit++ {
		var after ledger.Seq
		next := ledger.Seq(1)
		for {
			page, err := b.Changes(ctx, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, p := range page {
				for _, e := range p.Entries {
					if e.Seq != next {
						t.Fatalf("limit %d: got sequence number %d, want %d", limit, e.Seq, next)
					}
					next++
				}
			}
			after = page[len(page)-1].Last()
		}
		if next != 15 {
			t.Errorf("limit %d: %d entries came, want 14", limit, next-1)
		}
	}
}

func testConcurrent(t *testing.T, b bench) {
	b.mustPost(tx(ledger.Charge, move("funds", "lot", 10000)))
	ctx, stop := context.WithCancel(context.Background())
	w := ledger.NewWriter(ctx, b.Store)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				pay := tx(ledger.Pay, move("lot", "shop", 10))
				for range 2 { // every call is sent twice
					if _, err := w.Post(ctx, pay); err != nil {
						t.Errorf("post: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	stop()
	w.Wait()
	b.wantValues(map[ledger.AccountID]ledger.Yen{"lot": 10000 - 16*20*10, "shop": 16 * 20 * 10})
}

func testNotFound(t *testing.T, b bench) {
	ctx := context.Background()
	if _, err := b.Transaction(ctx, uuid.NewString()); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("transaction: got %v, want ErrNotFound", err)
	}
	if _, err := b.Balance(ctx, "nowhere"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("account: got %v, want ErrNotFound", err)
	}
	refused := tx(ledger.Pay, move("lot", "shop", 1))
	b.post(refused)
	if _, err := b.Transaction(ctx, refused.ID); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("refused transaction: got %v, want ErrNotFound", err)
	}
}

func testAudit(t *testing.T, b bench) {
	audited, ok := b.Store.(ledger.Audited)
	if !ok {
		t.Fatal("the store cannot be audited")
	}
	ctx, quiet := context.Background(), func(int64) {}
	if audit, err := ledger.Verify(ctx, audited, quiet); err != nil || audit.Entries != 0 || audit.Accounts != 7 {
		t.Errorf("an empty ledger: got %+v, %v", audit, err)
	}
	b.mustPost(charge())
	pay := tx(ledger.Pay, move("lot", "shop", 700))
	if _, err := b.Post(ctx, pay, tx(ledger.Pay, move("lot", "shop", 9999)), cancel(pay.ID), charge()); err != nil {
		t.Fatal(err)
	}
	audit, err := ledger.Verify(ctx, audited, quiet)
	if err != nil || audit.Transactions != 4 || audit.Entries != 6 || audit.Batches != 2 || len(audit.Seal) != 64 {
		t.Errorf("got %+v, %v, want 4 transactions, 6 entries and 2 batches", audit, err)
	}
	var journal strings.Builder
	if err := ledger.WriteJournal(ctx, &journal, audited, quiet); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`lot  1000 "v" = 1000 "v"`, `lot  -700 "v" = 500 "v"`, "cancels:" + pay.ID} {
		if !strings.Contains(journal.String(), want) {
			t.Errorf("the journal does not say %s:\n%s", want, journal.String())
		}
	}
}

// String keeps failure output short.
func (b bench) String() string { return fmt.Sprintf("store %T", b.Store) }
