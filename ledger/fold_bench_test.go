package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"meguri/ledger"
)

// BenchmarkFold is the deciding alone, on one core: payments of 100,000
// residents' lots in 500 shops, in batches of 1,000, over states as a store
// prepares them.
func BenchmarkFold(b *testing.B) {
	const residents, shops, size = 100_000, 500, 1000
	now := time.Date(2024, 6, 3, 12, 0, 0, 0, ledger.Tokyo)
	rng := rand.New(rand.NewPCG(1, 0))
	lots := make([]ledger.Balance, residents)
	for i := range lots {
		resident := fmt.Sprintf("0197a7a0-5c3e-7b1a-8d57-%012d", i)
		lots[i] = ledger.Balance{Credits: 1_000_000, Version: 1, Account: ledger.Account{
			ID: ledger.LotID("voucher", resident, ledger.Paid, "2024-12-31"), Programme: "voucher", Kind: ledger.ResidentLot,
			Owner: resident, Funding: ledger.Paid, ExpiresAt: time.Date(2024, 12, 31, 15, 0, 0, 0, time.UTC),
		}}
	}
	tills := make([]ledger.Balance, shops)
	for i := range tills {
		shop := fmt.Sprintf("shop-%03d", i)
		tills[i] = ledger.Balance{Account: ledger.Account{
			ID: ledger.TakingsID("voucher", shop, "2024-06-30"), Programme: "voucher", Kind: ledger.ShopUnsettled, Owner: shop, Period: "2024-06-30",
		}}
	}
	count := 0
	prepare := func() (*ledger.State, []ledger.Transaction) {
		state, batch := ledger.NewState(0, now), make([]ledger.Transaction, size)
		for i := range batch {
			count++
			lot, till := &lots[rng.IntN(residents)], &tills[rng.IntN(shops)]
			state.AddAccount(*lot)
			state.AddAccount(*till)
			batch[i] = ledger.Transaction{
				ID: fmt.Sprintf("0197a7a0-5c3e-7b1a-8d58-%012d", count), Kind: ledger.Pay, Resident: lot.Owner, Shop: till.Owner, Terminal: "1", Actor: "till",
				Opens:  []ledger.Account{till.Account},
				Spends: []ledger.Spend{{Programme: "voucher", Amount: 1 + ledger.Yen(rng.IntN(1000)), Into: []ledger.AccountID{till.ID}}},
			}
			batch[i].Request = batch[i].Digest()
		}
		return state, batch
	}
	// What the preparation leaves behind is collected while the timer stands.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	b.ReportAllocs()
	posted := 0
	for b.Loop() {
		b.StopTimer()
		state, batch := prepare()
		if count%(20*size) == 0 {
			runtime.GC()
		}
		b.StartTimer()
		posted += len(ledger.Fold(state, batch, now).Posted)
	}
	if posted != b.N*size {
		b.Errorf("%d of %d payments were posted", posted, b.N*size)
	}
	b.ReportMetric(float64(posted)/b.Elapsed().Seconds(), "commands/s")
}
