// Package ledgerbench measures the ledger: how many payments a second it takes
// from how many clients, how long each waits and what it costs, beside the
// naive way of doing the same and beside the most that one writer could do.
// Start with [Payments].
//
// All of it is one payment between two accounts. "Uniform" draws both from
// 100,000 accounts; "hot" has one account, a shop's, on every payment.
package ledgerbench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"

	"meguri/internal/sqldb"
	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/sqlstore"
)

// Result is what a load came to.
type Result struct {
	Postings int64
	Seconds  float64
	P50, P99 time.Duration // of one call
	CPU      float64       // seconds of processor time, program and database
	Trips    int64         // to the database and back
	Batches  int64
}

// Rate is postings a second.
func (r Result) Rate() float64 { return float64(r.Postings) / r.Seconds }

// CPUPerPosting is in microseconds.
func (r Result) CPUPerPosting() float64 { return r.CPU / float64(r.Postings) * 1e6 }

// TripsPerPosting is how often a posting went to the database and back.
func (r Result) TripsPerPosting() float64 { return float64(r.Trips) / float64(r.Postings) }

// City is a ledger with residents who have money, and shops.
type City struct {
	Store     *sqlstore.Store
	Residents int
	Shops     int
	period    string
	now       func() time.Time
}

const voucher ledger.ProgrammeID = "voucher"

func resident(i int) string { return fmt.Sprintf("r-%06d", i) }
func shop(i int) string     { return fmt.Sprintf("s-%06d", i) }

// Build fills an empty store: every resident has one lot with plenty on it.
func Build(ctx context.Context, store *sqlstore.Store, residents, shops int, progress func(done, of int)) (*City, error) {
	c := &City{Store: store, Residents: residents, Shops: shops, period: programme.Weekly.Period(ledger.Day(time.Now())), now: time.Now}
	funds := ledger.Account{ID: ledger.FundsID(voucher, ledger.FundsPaid), Programme: voucher, Kind: ledger.FundsPaid, Owner: string(voucher)}
	if err := store.OpenAccounts(ctx, funds); err != nil {
		return nil, err
	}
	var batch []ledger.Transaction
	flush := func() error {
		outcomes, err := store.Post(ctx, batch...)
		for _, o := range outcomes {
			err = errors.Join(err, o.Err)
		}
		batch = batch[:0]
		return err
	}
	for i := range residents {
		lot := ledger.Account{
			ID: ledger.LotID(voucher, resident(i), ledger.Paid, "2099-12-31"), Programme: voucher, Kind: ledger.ResidentLot,
			Owner: resident(i), Funding: ledger.Paid, ExpiresAt: time.Date(2099, 12, 31, 15, 0, 0, 0, time.UTC),
		}
		batch = append(batch, ledger.Transaction{
			ID: uuid.NewString(), Kind: ledger.Charge, Resident: resident(i), Actor: "bench", Opens: []ledger.Account{lot},
			Transfers: []ledger.Transfer{{Debit: funds.ID, Credit: lot.ID, Amount: 1_000_000_000}},
		})
		if len(batch) == 1000 || i == residents-1 {
			if err := flush(); err != nil {
				return nil, err
			}
			progress(i+1, residents)
		}
	}
	// The shops' accounts are there before the measurement, as they are on any
	// day but the first.
	for i := range shops {
		batch = append(batch, c.Payment(i%residents, i, 1))
		if len(batch) == 1000 || i == shops-1 {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// Payment is a payment of a resident to a shop, with a new ID as a device
// makes it: ordered by time.
func (c *City) Payment(from, to int, yen ledger.Yen) ledger.Transaction {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err) // the system has no randomness left
	}
	till := ledger.Account{
		ID: ledger.TakingsID(voucher, shop(to), c.period), Programme: voucher, Kind: ledger.ShopUnsettled,
		Owner: shop(to), Period: c.period,
	}
	return ledger.Transaction{
		ID: id.String(), Kind: ledger.Pay, Resident: resident(from), Shop: shop(to), Terminal: "t-1", Actor: "bench",
		Opens:  []ledger.Account{till},
		Spends: []ledger.Spend{{Programme: voucher, Amount: yen, Into: []ledger.AccountID{till.ID}}},
	}
}

// draw is a random payment; hot ones go to shop 0.
func (c *City) draw(r *rand.Rand, hot bool) ledger.Transaction {
	to := 0
	if !hot {
		to = r.IntN(c.Shops)
	}
	return c.Payment(r.IntN(c.Residents), to, ledger.Yen(1+r.IntN(3000)))
}

// Meter tells the processor time of the database, which is 0 for one that runs
// in this process.
type Meter func() float64

// closedLoop runs clients that each call again as soon as they are answered.
func closedLoop(ctx context.Context, clients int, d time.Duration, cpu Meter, call func(*rand.Rand) error) (Result, error) {
	var failed atomic.Pointer[error]
	times := make([][]time.Duration, clients)
	cpu0, own0, began := cpu(), ownCPU(), time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for time.Since(began) < d && ctx.Err() == nil && failed.Load() == nil {
				start := time.Now()
				if err := call(r); err != nil {
					failed.Store(&err)
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	res := Result{Seconds: time.Since(began).Seconds(), CPU: cpu() - cpu0 + ownCPU() - own0}
	if err := failed.Load(); err != nil {
		return res, *err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	res.Postings = int64(len(all))
	if len(all) == 0 {
		return res, errors.New("nothing was posted")
	}
	res.P50, res.P99 = all[len(all)/2], all[len(all)*99/100]
	return res, ctx.Err()
}

// ownCPU is the processor time that this process has used, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// Payments measures payments through the writer, with all rules on.
func (c *City) Payments(ctx context.Context, clients int, d time.Duration, hot bool, cpu Meter) (Result, error) {
	ctx, stop := context.WithCancel(ctx)
	w := ledger.NewWriter(ctx, c.Store, slog.New(slog.DiscardHandler))
	trips := c.Store.Trips()
	res, err := closedLoop(ctx, clients, d, cpu, func(r *rand.Rand) error {
		_, err := w.Post(ctx, c.draw(r, hot))
		return err
	})
	res.Trips = c.Store.Trips() - trips
	stop()
	return res, errors.Join(err, w.Wait())
}

// Batches posts batches of a size one after another, without a queue, until n
// payments are posted.
func (c *City) Batches(ctx context.Context, size, n int, progress func(done, of int)) (Result, error) {
	r := rand.New(rand.NewPCG(7, 7))
	batch := make([]ledger.Transaction, size)
	own0, began := ownCPU(), time.Now()
	for done := 0; done < n; done += size {
		for i := range batch {
			batch[i] = c.draw(r, false)
		}
		outcomes, err := c.Store.Post(ctx, batch...)
		for _, o := range outcomes {
			err = errors.Join(err, o.Err)
		}
		if err != nil {
			return Result{}, err
		}
		progress(done+size, n)
	}
	return Result{Postings: int64(n), Seconds: time.Since(began).Seconds(), CPU: ownCPU() - own0}, nil
}

// Open opens a store for a measurement.
func Open(ctx context.Context, db *sqldb.DB) (*sqlstore.Store, error) {
	return sqlstore.Open(ctx, db, time.Now)
}
