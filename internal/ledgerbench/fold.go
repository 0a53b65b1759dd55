package ledgerbench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"meguri/ledger"
)

// FoldRate is how many payments a second the pure function decides on one core:
// from 100,000 residents to 500 shops, in batches of 1,000, with the requests'
// digests made beforehand as a writer's callers make them.
func FoldRate(batches int) float64 {
	const residents, shops, size, distinct = 100_000, 500, 1000, 64
	c := &City{Residents: residents, Shops: shops, period: "2099-12-31"}
	at := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	state := ledger.NewState(0, at)
	for i := range residents {
		state.AddAccount(ledger.Balance{Credits: 1 << 40, Account: ledger.Account{
			ID: ledger.LotID(voucher, resident(i), ledger.Paid, ""), Programme: voucher, Kind: ledger.ResidentLot, Owner: resident(i), Funding: ledger.Paid,
		}})
	}
	r := rand.New(rand.NewPCG(5, 5))
	work := make([][]ledger.Transaction, distinct)
	for i := range work {
		for range size {
			tx := c.draw(r, false)
			tx.Request = tx.Digest()
			work[i] = append(work[i], tx)
		}
	}
	var took time.Duration
	for b := range batches {
		batch := work[b%distinct]
		if b >= distinct { // the same payments under other IDs
			for i := range batch {
				batch[i].ID = fmt.Sprintf("%08x-%s", b, batch[i].ID[9:])
			}
		}
		at = at.Add(10 * time.Millisecond)
		start := time.Now()
		delta := ledger.Fold(state, batch, at)
		state.Keep()
		took += time.Since(start)
		if n := len(delta.Posted); n != size {
			panic(fmt.Sprintf("ledgerbench: %d of %d payments were posted", n, size))
		}
	}
	return float64(batches*size) / took.Seconds()
}
