package ledgerbench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"meguri/ledger"
)

// FoldRate is how many payments a second the pure function decides on one core:
// from 100,000 residents to 500 shops, in batches of 1,000, with the requests'
// digests made beforehand as a writer's callers make them. With kept, the state
// is one that holds all residents and is kept from batch to batch; without, it
// is one into which the batch's accounts were just read. What prepares a batch
// is not counted, nor is the collection of its garbage.
func FoldRate(batches int, kept bool) float64 {
	const residents, shops, size = 100_000, 500, 1000
	c := &City{Residents: residents, Shops: shops, period: "2099-12-31"}
	at := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	lots := make([]ledger.Balance, residents)
	for i := range lots {
		lots[i] = ledger.Balance{Credits: 1 << 40, Account: ledger.Account{
			ID: ledger.LotID(voucher, resident(i), ledger.Paid, ""), Programme: voucher, Kind: ledger.ResidentLot, Owner: resident(i), Funding: ledger.Paid,
		}}
	}
	state := ledger.NewState(0, at)
	if kept {
		for _, lot := range lots {
			state.AddAccount(lot)
		}
	}
	r := rand.New(rand.NewPCG(5, 5))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var took time.Duration
	for b := range batches {
		if !kept {
			state = ledger.NewState(0, at)
		}
		batch := make([]ledger.Transaction, size)
		for i := range batch {
			from := r.IntN(residents)
			batch[i] = c.Payment(from, r.IntN(shops), ledger.Yen(1+r.IntN(3000)))
			batch[i].ID = fmt.Sprintf("%08x-%s", b, batch[i].ID[9:])
			batch[i].Request = batch[i].Digest()
			if !kept {
				state.AddAccount(lots[from])
				state.AddAccount(ledger.Balance{Account: batch[i].Opens[0]})
			}
		}
		if b%20 == 0 {
			runtime.GC()
		}
		at = at.Add(10 * time.Millisecond)
		start := time.Now()
		delta := ledger.Fold(state, batch, at)
		if kept { // it is part of the price then
			state.Keep()
		}
		took += time.Since(start)
		if n := len(delta.Posted); n != size {
			panic(fmt.Sprintf("ledgerbench: %d of %d payments were posted", n, size))
		}
	}
	return float64(batches*size) / took.Seconds()
}
