package ledger_test

import (
	"context"
	"flag"
	"runtime/debug"
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/ledgertest"
)

var (
	commands = flag.Int("ledger.commands", 1_000_000, "transactions of TestMillion")
	seed     = flag.Uint64("ledger.seed", 0, "the first seed of TestMillion, the only one of TestSimulation; 0 is the default")
)

// chapter is how many transactions one ledger of TestMillion takes, so that any
// number of them fits in memory.
const chapter = 100_000

// A million transactions of a made-up town, beside a model, with the books
// checked all along. A failure names its seed: -ledger.seed replays it.
func TestMillion_EveryAnswerIsTheModels(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // nearly all of it is kept to the end of a chapter
	left := *commands
	if testing.Short() {
		left = min(left, 50_000)
	}
	for first := max(*seed, 1); left > 0 && !t.Failed(); first++ {
		n := min(left, chapter)
		if done, err := liveThrough(first, n); err != nil {
			t.Errorf("go test ./ledger -run TestMillion -ledger.seed %d: after %d transactions: %v", first, done, err)
		}
		left -= n
	}
}

// liveThrough posts n transactions in batches of any size to an empty ledger.
func liveThrough(seed uint64, n int) (done int, err error) {
	ctx, clock, dice := context.Background(), ledgertest.NewClock(), ledgertest.Seeded(seed)
	trial, err := ledgertest.NewTrial(ledgertest.NewMemory(clock.Now), clock.Now)
	if err != nil {
		return 0, err
	}
	town := &ledgertest.Town{Dice: dice, Residents: 2000, Shops: 50, Limit: 500_000}
	if err := trial.Open(ctx, town.Accounts()...); err != nil {
		return 0, err
	}
	for check := n / 4; done < n; {
		clock.Add(town.Step() / 20) // the town is busy
		batch := make([]ledger.Transaction, min(dice.Throw(1000), n-done))
		for i := range batch {
			batch[i] = town.Command(clock.Now())
		}
		if err := trial.Post(ctx, batch...); err != nil {
			return done, err
		}
		if done += len(batch); done >= check || done == n {
			clock.Add(time.Minute) // past what holds it back
			if err := trial.Check(ctx, dice); err != nil {
				return done, err
			}
			check += n / 4
		}
	}
	return done, nil
}
