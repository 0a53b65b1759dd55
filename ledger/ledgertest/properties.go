package ledgertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"meguri/ledger"
)

// ground is where property tests run: trials on stores that all runs share,
// each with a town of its own, until one fails.
type ground struct {
	t      *testing.T
	clock  *Clock
	opens  []Open
	trials []*Trial
	runs   int
}

func newGround(t *testing.T, opens ...Open) *ground {
	return &ground{t: t, clock: NewClock(), opens: opens}
}

// run runs a property with as many trials as there are stores, and with a name
// that no run had before.
func (g *ground) run(property func(ctx context.Context, r *rapid.T, name string, trials []*Trial) error) {
	rapid.Check(g.t, func(r *rapid.T) {
		trials := g.trials
		g.trials = nil // a failed run leaves the stores to nobody
		if trials == nil || g.runs%100 == 0 {
			trials = nil
			for _, open := range g.opens {
				trial, err := NewTrial(open(g.t, g.clock.Now), g.clock.Now)
				if err != nil {
					r.Fatal(err)
				}
				trials = append(trials, trial)
			}
		}
		g.runs++
		g.clock.Add(time.Hour) // past what the run before held the clock back
		if err := property(context.Background(), r, fmt.Sprintf("%d", g.runs), trials); err != nil {
			r.Fatal(err)
		}
		g.trials = trials
	})
}

func newTown(dice Dice, name string) *Town {
	return &Town{Dice: dice, Name: name, Residents: 3, Shops: 2, Limit: 50}
}

func openAll(ctx context.Context, trials []*Trial, accounts []ledger.Account) error {
	for _, trial := range trials {
		if err := trial.Open(ctx, accounts...); err != nil {
			return err
		}
	}
	return nil
}

// testInvariants: I1 to I11 hold, and every answer and row is the model's,
// whatever is sent.
func testInvariants(t *testing.T, open Open) {
	g := newGround(t, open)
	g.run(func(ctx context.Context, r *rapid.T, name string, trials []*Trial) error {
		dice, trial := drawn{r}, trials[0]
		town := newTown(dice, name)
		if err := openAll(ctx, trials, town.Accounts()); err != nil {
			return err
		}
		for range 1 + dice.Throw(10) {
			g.clock.Add(town.Step())
			var batch []ledger.Transaction
			for range dice.Throw(9) {
				batch = append(batch, town.Command(g.clock.Now()))
			}
			if err := trial.Post(ctx, batch...); err != nil {
				return err
			}
		}
		g.clock.Add(time.Hour)
		return trial.Check(ctx, dice)
	})
}

// testPartition: I12, however the same transactions are cut into batches, they
// have the same answers and rows.
func testPartition(t *testing.T, open Open) {
	g := newGround(t, open, open, open)
	g.run(func(ctx context.Context, r *rapid.T, name string, trials []*Trial) error {
		dice := drawn{r}
		town := newTown(dice, name)
		if err := openAll(ctx, trials, town.Accounts()); err != nil {
			return err
		}
		for range 1 + dice.Throw(5) {
			g.clock.Add(town.Step())
			var batch []ledger.Transaction
			for range 1 + dice.Throw(9) {
				batch = append(batch, town.Command(g.clock.Now()))
			}
			rest := batch
			for len(rest) > 0 {
				n := 1 + dice.Throw(len(rest))
				if err := trials[2].Post(ctx, rest[:n]...); err != nil {
					return err
				}
				rest = rest[n:]
			}
			for i := range batch {
				if err := trials[1].Post(ctx, batch[i]); err != nil {
					return err
				}
			}
			if err := trials[0].Post(ctx, batch...); err != nil {
				return err
			}
		}
		return sameLedgers(ctx, trials)
	})
}

// sameLedgers compares the rows and the accounts of ledgers.
func sameLedgers(ctx context.Context, trials []*Trial) error {
	first := trials[0]
	for i, other := range trials[1:] {
		if d := gocmp.Diff(first.Log, other.Log, cmpopts.EquateEmpty()); d != "" {
			return fmt.Errorf("the rows of ledgers 0 and %d differ:\n%s", i+1, d)
		}
		var accounts [2][]ledger.Balance
		var posted [2][]ledger.Posted // with what became of it
		for j, trial := range []*Trial{first, other} {
			var err error
			if accounts[j], err = trial.Store.Accounts(ctx, "", 100_000); err != nil {
				return err
			}
			for _, p := range trial.Log {
				p, err := trial.Store.Transaction(ctx, p.ID)
				if err != nil {
					return err
				}
				posted[j] = append(posted[j], p)
			}
		}
		if d := gocmp.Diff(accounts[0], accounts[1]); d != "" {
			return fmt.Errorf("the accounts of ledgers 0 and %d differ:\n%s", i+1, d)
		}
		if d := gocmp.Diff(posted[0], posted[1], cmpopts.EquateEmpty()); d != "" {
			return fmt.Errorf("the transactions of ledgers 0 and %d differ:\n%s", i+1, d)
		}
	}
	for _, trial := range trials {
		trial.Log = nil
	}
	return nil
}

// TestSame runs I13: stores that are given the same transactions in the same
// batches give the same answers and keep the same rows, accounts and seals.
func TestSame(t *testing.T, opens map[string]Open) {
	var names []string
	var list []Open
	for name, open := range opens {
		names, list = append(names, name), append(list, open)
	}
	if len(list) < 2 {
		t.Fatalf("the stores %v are not two", names)
	}
	g := newGround(t, list...)
	g.run(func(ctx context.Context, r *rapid.T, name string, trials []*Trial) error {
		dice := drawn{r}
		town := newTown(dice, name)
		if err := openAll(ctx, trials, town.Accounts()); err != nil {
			return err
		}
		for range 1 + dice.Throw(10) {
			g.clock.Add(town.Step())
			var batch []ledger.Transaction
			for range dice.Throw(9) {
				batch = append(batch, town.Command(g.clock.Now()))
			}
			for i, trial := range trials {
				if err := trial.Post(ctx, batch...); err != nil {
					return fmt.Errorf("%s: %w", names[i], err)
				}
			}
		}
		if err := sameLedgers(ctx, trials); err != nil {
			return fmt.Errorf("%v: %w", names, err)
		}
		var seals [][]ledger.Batch
		for _, trial := range trials {
			batches, err := trial.Store.Batches(ctx, 0, 100_000)
			if err != nil {
				return err
			}
			seals = append(seals, batches)
			if d := gocmp.Diff(seals[0], batches); d != "" {
				return fmt.Errorf("the batches of %v differ:\n%s", names, d)
			}
		}
		return nil
	})
}

// testPermutation: I14, transactions of two towns that share nothing may come in
// any order: only their places and times differ.
func testPermutation(t *testing.T, open Open) {
	g := newGround(t, open, open)
	g.run(func(ctx context.Context, r *rapid.T, name string, trials []*Trial) error {
		dice := drawn{r}
		towns := []*Town{newTown(dice, name+"a"), newTown(dice, name+"b")}
		for _, town := range towns {
			town.Patient = true
			if err := openAll(ctx, trials, town.Accounts()); err != nil {
				return err
			}
		}
		for range 1 + dice.Throw(5) {
			g.clock.Add(max(0, towns[0].Step()))
			var sent [2][]ledger.Transaction
			for range 1 + dice.Throw(9) {
				i := dice.Throw(2)
				sent[i] = append(sent[i], towns[i].Command(g.clock.Now()))
			}
			for _, trial := range trials {
				if err := trial.Post(ctx, shuffled(dice, sent[0], sent[1])...); err != nil {
					return err
				}
			}
		}
		if d := gocmp.Diff(placeless(trials[0].Log), placeless(trials[1].Log), cmpopts.EquateEmpty()); d != "" {
			return fmt.Errorf("another order has other rows:\n%s", d)
		}
		for _, trial := range trials {
			trial.Log = nil
		}
		return nil
	})
}

// shuffled is two lists as one, each in its own order.
func shuffled(dice Dice, a, b []ledger.Transaction) (all []ledger.Transaction) {
	for len(a) > 0 && len(b) > 0 {
		from := &a
		if dice.Throw(2) == 0 {
			from = &b
		}
		all = append(all, (*from)[0])
		*from = (*from)[1:]
	}
	return slices.Concat(all, a, b)
}

// placeless are posted transactions by ID, without their places and times. The
// entry before an entry is named by its transaction.
func placeless(log []*ledger.Posted) map[string]any {
	type row struct {
		ledger.Posted
		Before []string
	}
	of := map[ledger.Seq]string{}
	rows := map[string]any{}
	for _, p := range log {
		r := row{Posted: *p}
		r.At, r.LedgerAt = time.Time{}, time.Time{}
		r.Entries = slices.Clone(p.Entries)
		if r.Closed != nil {
			closed := *r.Closed
			closed.Cut = 0
			r.Closed = &closed
		}
		for i := range r.Entries {
			e := &r.Entries[i]
			of[e.Seq] = p.ID
			r.Before = append(r.Before, of[e.DebitPrev], of[e.CreditPrev])
			e.Seq, e.DebitPrev, e.CreditPrev = 0, 0, 0
		}
		rows[p.ID] = r
	}
	return rows
}
