package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meguri/ledger"
)

// model is the ledger in the fewest words: what stands on each account, what
// was answered to each ID, and which payments are gone. It shares no code with
// Fold.
type model struct {
	funds     ledger.AccountID
	value     map[ledger.AccountID]int64
	answers   map[string]string // ID → hash and answer
	paid      map[string]ledger.Transaction
	cancelled map[string]bool
	entries   int
}

func (m *model) apply(tx ledger.Transaction) string {
	if past, ok := m.answers[tx.ID]; ok {
		if want := tx.Hash() + " "; past[:len(want)] == want {
			return past[len(want):]
		}
		return "conflict"
	}
	answer := m.decide(tx)
	m.answers[tx.ID] = tx.Hash() + " " + answer
	return answer
}

func (m *model) decide(tx ledger.Transaction) string {
	moves := tx.Transfers
	if tx.Kind == ledger.Cancel {
		payment, ok := m.paid[tx.Parent]
		if !ok {
			return "not-cancellable"
		}
		if m.cancelled[tx.Parent] {
			return "already-cancelled"
		}
		moves = nil
		for _, t := range payment.Transfers {
			moves = append([]ledger.Transfer{{Debit: t.Credit, Credit: t.Debit, Amount: t.Amount}}, moves...)
		}
	}
	after := map[ledger.AccountID]int64{}
	for id, v := range m.value {
		after[id] = v
	}
	for _, t := range moves {
		if after[t.Debit] < int64(t.Amount) && t.Debit != m.funds {
			return "insufficient-balance"
		}
		after[t.Debit] -= int64(t.Amount)
		after[t.Credit] += int64(t.Amount)
	}
	m.value = after
	m.entries += len(moves)
	switch tx.Kind {
	case ledger.Pay:
		m.paid[tx.ID] = tx
	case ledger.Cancel:
		m.cancelled[tx.Parent] = true
	}
	return "posted"
}

func answerOf(o ledger.Outcome) string {
	switch {
	case o.Err == nil:
		return "posted"
	case errors.Is(o.Err, ledger.ErrConflict):
		return "conflict"
	default:
		return ledger.RefusalCode(o.Err)
	}
}

// testModel drives a store and the model with the same commands, in batches of
// any size, and compares every answer and every balance. All runs share one
// store, each with accounts and IDs of its own.
func testModel(t *testing.T, open Open) {
	clock := NewClock()
	store := open(t, clock.Now)
	run := 0
	var end ledger.Seq // of the runs before
	kinds := []ledger.AccountKind{ledger.FundsPaid, ledger.ResidentLot, ledger.ResidentLot, ledger.ShopUnsettled, ledger.ShopUnsettled}
	rapid.Check(t, func(r *rapid.T) {
		ctx := context.Background()
		run++
		prefix := fmt.Sprintf("%d-", run)
		name := func(s string) ledger.AccountID { return ledger.AccountID(prefix + s) }
		accounts := []ledger.AccountID{name("funds"), name("lot-1"), name("lot-2"), name("shop-1"), name("shop-2")}
		m := &model{
			funds: accounts[0], value: map[ledger.AccountID]int64{}, answers: map[string]string{},
			paid: map[string]ledger.Transaction{}, cancelled: map[string]bool{},
		}
		for i, id := range accounts {
			if err := store.OpenAccounts(ctx, ledger.Account{ID: id, Programme: "v", Kind: kinds[i], Owner: "o"}); err != nil {
				r.Fatal(err)
			}
		}
		id := rapid.Custom(func(r *rapid.T) string { return prefix + fmt.Sprint(rapid.IntRange(1, 12).Draw(r, "id")) })
		command := rapid.Custom(func(r *rapid.T) ledger.Transaction {
			tx := ledger.Transaction{ID: id.Draw(r, "tx"), Actor: "model"}
			lot := rapid.SampledFrom(accounts[1:3]).Draw(r, "lot")
			shop := rapid.SampledFrom(accounts[3:]).Draw(r, "shop")
			amount := ledger.Yen(rapid.IntRange(1, 5).Draw(r, "amount"))
			switch rapid.IntRange(0, 3).Draw(r, "kind") {
			case 0:
				tx.Kind, tx.Transfers = ledger.Charge, []ledger.Transfer{move(accounts[0], lot, amount)}
			case 1:
				tx.Kind, tx.Transfers = ledger.Pay, []ledger.Transfer{move(lot, shop, amount)}
			case 2:
				tx.Kind, tx.Transfers = ledger.Pay, []ledger.Transfer{move(lot, shop, amount), move(accounts[1], shop, 1)}
			default:
				tx.Kind, tx.Parent = ledger.Cancel, id.Draw(r, "parent")
			}
			return tx
		})
		for range rapid.IntRange(1, 12).Draw(r, "batches") {
			batch := rapid.SliceOfN(command, 1, 6).Draw(r, "batch")
			clock.Add(time.Duration(rapid.IntRange(-5, 5).Draw(r, "seconds")) * time.Second)
			outcomes, err := store.Post(ctx, batch...)
			if err != nil {
				r.Fatal(err)
			}
			for i, o := range outcomes {
				if got, want := answerOf(o), m.apply(batch[i]); got != want {
					r.Fatalf("transaction %d %+v: got %s, want %s", i, batch[i], got, want)
				}
			}
		}
		end = checkAgainst(ctx, r, store, m, accounts, end)
	})
}

func checkAgainst(ctx context.Context, r *rapid.T, store ledger.Store, m *model, accounts []ledger.AccountID, end ledger.Seq) ledger.Seq {
	var sum ledger.Yen
	for _, id := range accounts {
		b, err := store.Balance(ctx, id)
		if err != nil {
			r.Fatal(err)
		}
		if int64(b.Value()) != m.value[id] {
			r.Fatalf("account %s: got %d yen, want %d", id, b.Value(), m.value[id])
		}
		sum += b.Value()
	}
	if sum != 0 {
		r.Fatalf("the programme sums to %d yen, want 0", sum)
	}
	all, err := store.Changes(ctx, end, 1000)
	if err != nil {
		r.Fatal(err)
	}
	if audited, ok := store.(ledger.Audited); ok {
		if _, err := ledger.Verify(ctx, audited, func(int64) {}); err != nil {
			r.Fatal(err)
		}
	}
	replayed := map[ledger.AccountID]ledger.Yen{}
	next := end + 1
	var last time.Time
	for _, p := range all {
		for _, e := range p.Entries {
			replayed[e.Debit] -= e.Amount
			replayed[e.Credit] += e.Amount
			if e.Seq != next || e.DebitAfter != replayed[e.Debit] || e.CreditAfter != replayed[e.Credit] {
				r.Fatalf("entry %+v does not follow from the ones before it", e)
			}
			next++
		}
		if p.LedgerAt.Before(last) {
			r.Fatalf("ledger time runs backwards at %s", p.ID)
		}
		last = p.LedgerAt
	}
	if int(next-1-end) != m.entries {
		r.Fatalf("the ledger has %d new entries, want %d", next-1-end, m.entries)
	}
	return next - 1
}
