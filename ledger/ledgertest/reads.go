package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"meguri/ledger"
)

var reads = []claim{
	{"what is absent is not found", func(b bench) {
		ctx := b.Context()
		refused := pay(1)
		b.refuse(ledger.ErrInsufficientBalance, refused)
		for _, id := range []string{"", "nothing", refused.ID} {
			if _, err := b.Transaction(ctx, id); !errors.Is(err, ledger.ErrNotFound) {
				b.Errorf("transaction %q: got %v, want ErrNotFound", id, err)
			}
		}
		for _, seq := range []ledger.Seq{-1, 0, 1} {
			if _, err := b.TransactionOf(ctx, seq); !errors.Is(err, ledger.ErrNotFound) {
				b.Errorf("entry %d: got %v, want ErrNotFound", seq, err)
			}
		}
		if _, err := b.Balance(ctx, "nowhere"); !errors.Is(err, ledger.ErrNotFound) {
			b.Errorf("account: got %v, want ErrNotFound", err)
		}
		if _, _, err := b.ValueAt(ctx, "nowhere", b.clock.Now()); !errors.Is(err, ledger.ErrNotFound) {
			b.Errorf("value: got %v, want ErrNotFound", err)
		}
		if _, err := b.Statement(ctx, "nowhere", 0, 10); !errors.Is(err, ledger.ErrNotFound) {
			b.Errorf("statement: got %v, want ErrNotFound", err)
		}
		if lines, err := b.Statement(ctx, "lot", 0, 10); err != nil || len(lines) > 0 {
			b.Errorf("statement of nothing: got %+v, %v", lines, err)
		}
		if list, err := b.BalancesOf(ctx, "nobody"); err != nil || len(list) > 0 {
			b.Errorf("accounts of nobody: got %+v, %v", list, err)
		}
		if end, err := b.End(ctx); err != nil || end != 0 {
			b.Errorf("the end: got %d, %v", end, err)
		}
		if page, err := b.Changes(ctx, 0, 10); err != nil || len(page) > 0 {
			b.Errorf("changes: got %+v, %v", page, err)
		}
	}},
	{"a balance leaves out what is held by holds whose time is up", func(b bench) {
		b.must(charge(100))
		b.must(b.hold(10, time.Minute))
		b.must(b.hold(20, time.Hour))
		both := func(debits ledger.Yen) {
			b.Helper()
			b.held("lot", debits)
			if got := b.balance(till).HeldCredits; got != debits {
				b.Errorf("%d yen are held for the shop, want %d", got, debits)
			}
			list, err := b.BalancesOf(b.Context(), "r")
			if err != nil || len(list) != 2 || list[0].ID != "lot" || list[0].HeldDebits != debits || list[0].Available() != 100-debits {
				b.Errorf("the resident's accounts: got %+v, %v, want %d held", list, err, debits)
			}
		}
		both(30)
		b.clock.Add(time.Minute)
		both(20)
		b.sweep()
		both(20)
		b.clock.Add(time.Hour)
		both(0)
	}},
	{"the accounts of an owner come by ID", func(b bench) {
		b.open(lot("b", time.Time{}), lot("a", time.Time{}), ledger.Account{ID: "c", Programme: "p", Kind: ledger.ResidentLot, Owner: "r"},
			ledger.Account{ID: "d", Programme: "v", Kind: ledger.ResidentLot, Owner: "r2"})
		list, err := b.BalancesOf(b.Context(), "r")
		var got []ledger.AccountID
		for _, a := range list {
			got = append(got, a.ID)
		}
		if d := gocmp.Diff([]ledger.AccountID{"a", "b", "c", "lot", "p-lot"}, got); err != nil || d != "" {
			b.Errorf("%v\n%s", err, d)
		}
	}},
	{"a transaction is read as it was answered, by its ID and by each of its entries, with what became of it", func(b bench) {
		b.must(charge(100))
		t := tx(ledger.Pay, move("lot", till, 10), move("lot", till, 20))
		t.Reason = "r"
		p := b.must(t)
		c := b.must(after(ledger.Cancel, p.ID))
		p.ResolvedBy, p.ResolvedAs = c.ID, ledger.Cancel
		got, err := b.Transaction(b.Context(), p.ID)
		if d := gocmp.Diff(p, got); err != nil || d != "" {
			b.Errorf("by ID: %v\n%s", err, d)
		}
		for seq := p.First(); seq <= p.Last(); seq++ {
			got, err := b.TransactionOf(b.Context(), seq)
			if d := gocmp.Diff(p, got); err != nil || d != "" {
				b.Errorf("by entry %d: %v\n%s", seq, err, d)
			}
		}
		page, err := b.Changes(b.Context(), 1, 2)
		if d := gocmp.Diff([]ledger.Posted{p}, page); err != nil || d != "" {
			b.Errorf("in the changes: %v\n%s", err, d)
		}
	}},
	{"changes come in sequence, without gap, whole", func(b bench) {
		many := tx(ledger.Charge)
		for range ledger.MaxTransfers {
			many.Transfers = append(many.Transfers, move("funds", "lot", 1))
		}
		b.must(many)
		for i := range 7 {
			b.post(pay(999_999)) // a refusal leaves no gap
			b.must(tx(ledger.Charge, move("funds", "lot", 1), move("premium", "lot", 1)))
			if i%3 == 2 {
				b.must(closing("v", fmt.Sprintf("2024-05-%02d", i+1))) // nor does a close of nothing
			}
		}
		for _, limit := range []int{1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 99, 100, 101, 102, 103, 113, 114, 115, 1000} {
			next := ledger.Seq(1)
			for {
				page, err := b.Changes(b.Context(), next-1, limit)
				if err != nil {
					b.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				n := 0
				for _, p := range page {
					for _, e := range p.Entries {
						if e.Seq != next {
							b.Fatalf("limit %d: got entry %d, want %d", limit, e.Seq, next)
						}
						next++
						n++
					}
				}
				if n > limit && len(page) > 1 {
					b.Errorf("limit %d: got %d entries of %d transactions", limit, n, len(page))
				}
				// No more would have fitted.
				if more, err := b.Changes(b.Context(), next-1, 1); err != nil || len(more) > 0 && n+len(more[0].Entries) <= limit {
					b.Errorf("limit %d: got %d entries, and %d more would fit, %v", limit, n, len(more[0].Entries), err)
				}
			}
			if next != 115 {
				b.Errorf("limit %d: %d entries came, want 114", limit, next-1)
			}
		}
	}},
	{"what stood on an account at an instant is found among hundreds of entries", testValueAt},
	{"a statement comes in pages, the last entry first", testStatement},
	{"the books are verified, and written as a journal", func(b bench) {
		ctx, quiet := b.Context(), func(int64) {}
		if audit, err := ledger.Verify(ctx, b, quiet); err != nil || audit.Entries != 0 || audit.Accounts != 13 {
			b.Errorf("an empty ledger: got %+v, %v", audit, err)
		}
		b.must(charge(1200))
		paid, h := pay(700), b.hold(5, time.Hour)
		if _, err := b.Post(ctx, paid, pay(9999), after(ledger.Cancel, paid.ID), charge(10), h); err != nil {
			b.Fatal(err)
		}
		b.must(closing("v", "2024-06-02"))
		audit, err := ledger.Verify(ctx, b, quiet)
		if err != nil || audit.Transactions != 6 || audit.Entries != 5 || audit.Batches != 3 || audit.OpenHolds != 1 || len(audit.Seal) != 64 {
			b.Errorf("got %+v, %v, want 6 transactions, 5 entries, 3 batches and a hold", audit, err)
		}
		var journal strings.Builder
		if err := ledger.WriteJournal(ctx, &journal, b, quiet); err != nil {
			b.Fatal(err)
		}
		for _, want := range []string{`lot  1200 "v" = 1200 "v"`, `lot  -700 "v" = 500 "v"`, "of:" + paid.ID, `; held 5 "v" from lot`} {
			if !strings.Contains(journal.String(), want) {
				b.Errorf("the journal does not say %s:\n%s", want, journal.String())
			}
		}
	}},
	{"each commit is sealed over the one before, also one that only refused", func(b bench) {
		var want []ledger.Batch
		seal := ""
		add := func(first, last ledger.Seq, posted ...ledger.Posted) {
			var list []*ledger.Posted
			for i := range posted {
				list = append(list, &posted[i])
			}
			seal = ledger.Seal(seal, list)
			want = append(want, ledger.Batch{Number: int64(len(want) + 1), First: first, Last: last, Transactions: len(posted), Seal: seal})
		}
		add(1, 1, b.must(charge(10)))
		b.post(pay(9999))
		add(2, 1)
		outcomes, err := b.Post(b.Context(), charge(20), pay(9999), pay(5), closing("p", "2024-06-02"))
		if err != nil {
			b.Fatal(err)
		}
		add(2, 3, outcomes[0].Posted, outcomes[2].Posted, outcomes[3].Posted)
		add(4, 3, b.must(closing("v", "2024-06-02")))
		got, err := b.Batches(b.Context(), 0, 10)
		if d := gocmp.Diff(want, got); err != nil || d != "" {
			b.Errorf("%v\n%s", err, d)
		}
		got, err = b.Batches(b.Context(), 1, 2)
		if d := gocmp.Diff(want[1:3], got); err != nil || d != "" {
			b.Errorf("two after the first: %v\n%s", err, d)
		}
	}},
	{"accounts come in pages, by ID", func(b bench) {
		all, err := b.Accounts(b.Context(), "", 1000)
		if err != nil || len(all) != 13 {
			b.Fatalf("got %d accounts, %v, want 13", len(all), err)
		}
		for limit := 1; limit < 15; limit++ {
			var got []ledger.Balance
			after := ledger.AccountID("")
			for {
				page, err := b.Accounts(b.Context(), after, limit)
				if err != nil || len(page) > limit {
					b.Fatalf("limit %d: got %d, %v", limit, len(page), err)
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				after = page[len(page)-1].ID
			}
			if d := gocmp.Diff(all, got); d != "" {
				b.Errorf("limit %d:\n%s", limit, d)
			}
		}
	}},
}

func testValueAt(b bench) {
	before := b.clock.Now()
	b.must(charge(100_000))
	type stand struct {
		at    time.Time
		value ledger.Yen
		seq   ledger.Seq
	}
	p := b.must(pay(1))
	want := []stand{{before.Add(-time.Second), 0, 0}, {p.LedgerAt, 1, p.Last()}}
	for i := range 300 { // two at a time, so that batches are of more than one
		b.clock.Add(time.Second)
		outcomes, err := b.Post(b.Context(), pay(1), pay(2))
		if err != nil {
			b.Fatal(err)
		}
		for j, o := range outcomes {
			if o.Err != nil {
				b.Fatal(o.Err)
			}
			want = append(want, stand{o.Posted.LedgerAt, ledger.Yen(2 + 3*i + 2*j), o.Posted.Last()})
		}
	}
	for i, w := range want {
		if i > 20 && i < len(want)-20 && i%7 > 0 {
			continue
		}
		next := time.Hour
		if i+1 < len(want) {
			next = want[i+1].at.Sub(w.at)
		}
		for _, later := range []time.Duration{0, next - time.Microsecond} { // right then, and right before the next
			value, last, err := b.ValueAt(b.Context(), till, w.at.Add(later))
			if err != nil || value != w.value || last != w.seq {
				b.Errorf("place %d, %v later: got %d by entry %d, %v, want %d by %d", i, later, value, last, err, w.value, w.seq)
			}
		}
	}
	if value, last, err := b.ValueAt(b.Context(), "lot", want[300].at); err != nil || value != 100_000-want[300].value || last != want[300].seq {
		b.Errorf("the other side: got %d by %d, %v", value, last, err)
	}
	if value, last, err := b.ValueAt(b.Context(), "suspense", b.clock.Now()); err != nil || value != 0 || last != 0 {
		b.Errorf("an account without entries: got %d by %d, %v", value, last, err)
	}
}

func testStatement(b bench) {
	b.must(charge(100_000))
	var want []ledger.Line
	line := func(p ledger.Posted) {
		for _, e := range p.Entries {
			want = append([]ledger.Line{{Transaction: p.ID, Kind: p.Kind, Shop: p.Shop, At: p.At, LedgerAt: p.LedgerAt, BusinessOn: p.BusinessOn, Entry: e}}, want...)
		}
	}
	for i := range 110 {
		b.clock.Add(time.Second)
		line(b.must(tx(ledger.Pay, move("lot", till, 1), move("lot", till, 2))))
		b.must(tx(ledger.Grant, move("p-premium", "p-lot", 1))) // of other accounts
		if i%10 == 0 {
			h := b.must(b.hold(1, time.Hour))
			line(h)
			line(b.must(after(ledger.Void, h.ID)))
		}
	}
	for _, limit := range []int{1, 50, 63, 64, 65, 100, 1000} {
		var got []ledger.Line
		before := ledger.Seq(0)
		for {
			page, err := b.Statement(b.Context(), till, before, limit)
			if err != nil || len(page) > limit {
				b.Fatalf("limit %d: got %d lines, %v", limit, len(page), err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			before = page[len(page)-1].Seq
		}
		if d := gocmp.Diff(want, got); d != "" {
			b.Errorf("limit %d:\n%s", limit, d)
		}
	}
	// From a place that is no entry of the account.
	page, err := b.Statement(b.Context(), "p-lot", want[0].Seq, 3)
	if err != nil || len(page) != 3 || page[0].Seq >= want[0].Seq || page[2].CreditAfter != page[0].CreditAfter-2 {
		b.Errorf("got %+v, %v, want three lines before entry %d", page, err, want[0].Seq)
	}
}

var writers = []claim{
	{"callers at once lose nothing and repeat nothing", func(b bench) {
		b.must(charge(10_000))
		ctx, stop := context.WithCancel(b.Context())
		ws := []*ledger.Writer{ledger.NewWriter(ctx, b, slog.New(slog.DiscardHandler)), ledger.NewWriter(ctx, b, slog.New(slog.DiscardHandler))}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for range 20 {
					t := pay(10)
					first, err := ws[i%2].Post(ctx, t)
					if err != nil {
						b.Errorf("post: %v", err)
						return
					}
					again, err := ws[(i+1)%2].Post(ctx, t)
					if err != nil || !again.Replay {
						b.Errorf("again: %v, replay %t", err, again.Replay)
					}
					again.Replay = first.Replay
					if d := gocmp.Diff(first, again, cmpopts.EquateEmpty()); d != "" {
						b.Errorf("the second answer differs:\n%s", d)
					}
				}
			})
		}
		wg.Wait()
		stop()
		for _, w := range ws {
			if err := w.Wait(); err != nil {
				b.Error(err)
			}
		}
		b.values(map[ledger.AccountID]ledger.Yen{"lot": 10_000 - 16*20*10, till: 16 * 20 * 10})
	}},
	{"balances are read while others pay, and are those of some moment", func(b bench) {
		b.must(charge(1000))
		var wg sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			wg.Go(func() {
				for last := ledger.Yen(0); ; {
					select {
					case <-done:
						return
					default:
					}
					a, err := b.Balance(b.Context(), till)
					if err != nil || a.Value() < last || a.Value()%10 != 0 {
						b.Errorf("got %d, %v after %d", a.Value(), err, last)
						return
					}
					last = a.Value()
				}
			})
		}
		for range 50 {
			outcomes, err := b.Post(b.Context(), pay(3), pay(7)) // 10 together
			if err != nil || outcomes[0].Err != nil || outcomes[1].Err != nil {
				b.Errorf("got %+v, %v", outcomes, err)
			}
		}
		close(done)
		wg.Wait()
	}},
	{"I15: no payment is refused while sales fill their queue", func(b bench) {
		b.must(charge(1000))
		gate := &gated{Auditable: b.Auditable, arrived: make(chan struct{}, 1000), open: make(chan struct{})}
		ctx, stop := context.WithCancel(b.Context())
		w := ledger.NewWriter(ctx, gate, slog.New(slog.DiscardHandler))
		var wg sync.WaitGroup
		var mu sync.Mutex
		busy := 0
		wg.Go(func() {
			if _, err := w.Post(ctx, charge(1)); err != nil {
				b.Errorf("first sale: %v", err)
			}
		})
		<-gate.arrived
		// The writer stands before the gate. Sales come until their queue is full.
		for full := false; !full; {
			for range 100 {
				wg.Go(func() {
					if _, err := w.Post(ctx, charge(1)); errors.Is(err, ledger.ErrBusy) {
						mu.Lock()
						busy++
						mu.Unlock()
					} else if err != nil {
						b.Errorf("sale: %v", err)
					}
				})
			}
			runtime.Gosched()
			mu.Lock()
			full = busy > 0
			mu.Unlock()
		}
		const payments = 500
		for range payments {
			wg.Go(func() {
				if o, err := w.Post(ctx, pay(1)); err != nil || o.Err != nil {
					b.Errorf("payment: %v, %v", err, o.Err)
				}
			})
		}
		for {
			if n, _ := w.Waiting(); n == payments {
				break
			}
			runtime.Gosched()
		}
		close(gate.open)
		wg.Wait()
		stop()
		if err := w.Wait(); err != nil {
			b.Error(err)
		}
		b.values(map[ledger.AccountID]ledger.Yen{till: payments})
		// The first batch was taken before; all payments are in the next one.
		if gate.kinds[1][ledger.Pay] != payments || gate.kinds[1][ledger.Charge] == 0 {
			b.Errorf("the second batch was %v, want all payments and a share of sales", gate.kinds[1])
		}
	}},
}

// gated lets no batch through before it is open, and counts the kinds in each.
type gated struct {
	Auditable
	arrived, open chan struct{}
	kinds         []map[ledger.Kind]int
}

func (g *gated) Post(ctx context.Context, txs ...ledger.Transaction) ([]ledger.Outcome, error) {
	g.arrived <- struct{}{}
	<-g.open
	if len(txs) > 0 {
		kinds := map[ledger.Kind]int{}
		for i := range txs {
			kinds[txs[i].Kind]++
		}
		g.kinds = append(g.kinds, kinds)
	}
	return g.Auditable.Post(ctx, txs...)
}
