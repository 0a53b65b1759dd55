package crashtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/sqlstore"
)

// wall is a clock that goes like any other, from where it was set.
type wall struct{ offset atomic.Int64 }

func (w *wall) now() time.Time       { return time.Now().Add(time.Duration(w.offset.Load())) }
func (w *wall) set(t time.Time)      { w.offset.Store(int64(time.Until(t))) }
func (w *wall) move(d time.Duration) { w.offset.Add(int64(d)) }
func (w *wall) tokyo(text string) (t time.Time) {
	t, _ = time.ParseInLocation(time.DateTime, text, ledger.Tokyo)
	return t
}

// till is a shop's counter with many payments at once: their takings go into the
// period of the day, or the next one when that is closed.
type till struct {
	clock  *wall
	writer *ledger.Writer
	made   atomic.Int64
	paid   atomic.Int64 // yen
	stop   atomic.Bool
	wg     sync.WaitGroup
}

// open starts customers who pay one yen after the other. Errors are counted by
// what is.
func (s *till) open(t *testing.T, customers int, errs func(tx ledger.Transaction, err error)) {
	for i := range customers {
		s.wg.Go(func() {
			for !s.stop.Load() {
				tx := s.payment(fmt.Sprintf("pay-%d", s.made.Add(1)), fmt.Sprintf("c%d", i))
				if _, err := s.writer.Post(context.Background(), tx); err != nil {
					errs(tx, err)
					continue
				}
				s.paid.Add(1)
			}
		})
	}
}

// payment is a yen from a customer, of today as the till sees it.
func (s *till) payment(id, customer string) ledger.Transaction {
	now := s.clock.now()
	tx := ledger.Transaction{ID: id, Kind: ledger.Pay, Actor: "crashtest", Resident: customer, Shop: "s"}
	spend := ledger.Spend{Programme: voucher, Amount: 1}
	for _, day := range []string{ledger.Day(now), ledger.Day(now.AddDate(0, 0, 1))} { // periods of one day
		a := ledger.Account{ID: ledger.TakingsID(voucher, "s", day), Programme: voucher, Kind: ledger.ShopUnsettled, Owner: "s", Period: day}
		tx.Opens = append(tx.Opens, a)
		spend.Into = append(spend.Into, a.ID)
	}
	tx.Spends = []ledger.Spend{spend}
	return tx
}

// charge gives a customer money, until the end of a day.
func (s *till) charge(t *testing.T, customer string, until time.Time) {
	t.Helper()
	lot := ledger.Account{ID: ledger.LotID(voucher, customer, ledger.Paid, ledger.Day(until)), Programme: voucher, Kind: ledger.ResidentLot,
		Owner: customer, Funding: ledger.Paid, ExpiresAt: until}
	_, err := s.writer.Post(t.Context(), ledger.Transaction{ID: "charge-" + string(lot.ID), Kind: ledger.Charge, Resident: customer,
		Opens: []ledger.Account{lot}, Transfers: []ledger.Transfer{{Debit: ledger.FundsID(voucher, ledger.FundsPaid), Credit: lot.ID, Amount: 1_000_000}}})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *till) close() {
	s.stop.Store(true)
	s.wg.Wait()
	s.stop.Store(false)
}

func openTill(t *testing.T, address string) (*till, *sqlstore.Store) {
	t.Helper()
	db := open(t, address)
	s := &till{clock: &wall{}}
	s.clock.set(s.clock.tokyo("2026-05-20 23:59:58"))
	store, err := sqlstore.Open(t.Context(), db, s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	found(t, store)
	ctx, stop := context.WithCancel(context.Background())
	s.writer = ledger.NewWriter(ctx, store, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		stop()
		_ = s.writer.Wait() // it was asked to stop
		_ = db.Close()      // nothing to lose
	})
	for i := range 8 {
		s.charge(t, fmt.Sprintf("c%d", i), s.clock.tokyo("2026-06-01 00:00:00"))
	}
	return s, store
}

// rises checks that ledger time rises with every transaction, and the ledger.
func rises(t *testing.T, store *sqlstore.Store) (transactions int) {
	t.Helper()
	var last time.Time
	for after := ledger.Seq(0); ; {
		page, err := store.Changes(t.Context(), after, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			if !last.Before(page[i].LedgerAt) {
				t.Fatalf("at entry %d ledger time goes from %v to %v", page[i].First(), last, page[i].LedgerAt)
			}
			last, after = page[i].LedgerAt, page[i].Last()
			transactions++
		}
	}
	if _, err := ledger.Verify(t.Context(), store, func(int64) {}); err != nil {
		t.Error(err)
	}
	return transactions
}

// C7: midnight in Tokyo comes while payments are made, and the day is closed at
// once, in the middle of them. Nothing enters it after that; what was paid goes
// to the one day or the other.
func TestClock_MidnightDuringAClose(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		s, store := openTill(t, address)
		day, next := "2026-05-20", "2026-05-21"
		s.open(t, 8, func(tx ledger.Transaction, err error) { t.Errorf("payment %s: %v", tx.ID, err) })
		eventually(t, "payments of the day", func() bool { return s.paid.Load() > 100 })
		eventually(t, "midnight", func() bool { return ledger.Day(s.clock.now()) == next })
		closing, err := s.writer.Post(t.Context(), ledger.Transaction{ID: "close", Kind: ledger.Close, Programme: voucher, Period: day})
		if err != nil {
			t.Fatal(err)
		}
		closed := s.paid.Load()
		eventually(t, "payments after the close", func() bool { return s.paid.Load() > closed+100 })
		s.close()

		var taken, carried ledger.Yen
		inside := 0
		for after := ledger.Seq(0); ; {
			page, err := store.Changes(t.Context(), after, 10_000)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for i := range page {
				p := &page[i]
				after = p.Last()
				if p.Kind != ledger.Pay {
					continue
				}
				switch into := p.Entries[0].Credit; {
				case into == ledger.TakingsID(voucher, "s", next):
					carried += p.Total()
				case p.First() > closing.Posted.Closed.Cut || p.BusinessOn > day:
					t.Fatalf("payment %s of %s entered %s at entry %d, and the period was cut at %d", p.ID, p.BusinessOn, into, p.First(), closing.Posted.Closed.Cut)
				default:
					taken += p.Total()
				}
				if p.BusinessOn == next && p.First() < closing.Posted.Closed.Cut {
					inside++
				}
			}
		}
		if got := closing.Posted.Total(); got != taken || taken+carried != ledger.Yen(s.paid.Load()) {
			t.Errorf("the close moved %d yen of %d, and %d were paid after it, of %d in all", got, taken, carried, s.paid.Load())
		}
		t.Logf("%d yen in the period, %d in the next, of which %d before the close; %d transactions", taken, carried, inside, rises(t, store))
	})
}

// C7: the clock goes back by a little, by an hour, and is right again; it goes a
// day forward, and back.
func TestClock_BackAndForward(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		s, store := openTill(t, address)
		s.clock.set(s.clock.tokyo("2026-05-21 12:00:00"))
		end := func() ledger.Seq {
			last, err := store.End(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return last
		}
		var faults atomic.Int64
		only := func(want error) func(ledger.Transaction, error) {
			return func(tx ledger.Transaction, err error) {
				if want == nil || !errors.Is(err, want) {
					t.Errorf("payment %s: %v", tx.ID, err)
				}
				faults.Add(1)
			}
		}
		pays := func() (n int64) {
			before := s.paid.Load()
			s.open(t, 8, only(nil))
			eventually(t, "payments", func() bool { return s.paid.Load() > before+200 })
			s.close()
			return s.paid.Load() - before
		}
		before := s.payment("before", "c0")
		first, err := s.writer.Post(t.Context(), before)
		if err != nil {
			t.Fatal(err)
		}
		hold := s.payment("hold", "c1")
		hold.Kind, hold.Until = ledger.Hold, s.clock.now().Add(time.Hour)
		if _, err := s.writer.Post(t.Context(), hold); err != nil {
			t.Fatal(err)
		}

		s.clock.move(-30 * time.Second) // within what ledger time waits out
		little := pays()

		s.clock.move(-time.Hour)
		at := end()
		s.open(t, 8, only(ledger.ErrClock))
		eventually(t, "refusals", func() bool { return faults.Load() > 200 })
		s.close()
		if now := end(); now != at {
			t.Errorf("with the clock an hour back the ledger went from %d to %d", at, now)
		}
		again, err := s.writer.Post(t.Context(), before)
		if err != nil || fingerprint(&again.Posted) != fingerprint(&first.Posted) || !again.Replay {
			t.Errorf("what was answered before the clock went wrong is answered %+v, %v", again, err)
		}

		s.clock.move(time.Hour + 30*time.Second) // it is right again
		right := pays()

		// A day forward: the hold is over, and what expires expires. Nothing is lost.
		s.charge(t, "short", s.clock.tokyo("2026-05-22 00:00:00"))
		s.clock.move(24 * time.Hour)
		if _, err := s.writer.Post(t.Context(), s.payment("expired", "short")); !errors.Is(err, ledger.ErrInsufficientBalance) {
			t.Errorf("value that was good until yesterday pays: %v", err)
		}
		forward := pays()
		if _, err := s.writer.Post(t.Context(), ledger.Transaction{ID: "late", Kind: ledger.Capture, Parent: "hold"}); !errors.Is(err, ledger.ErrHoldExpired) {
			t.Errorf("a hold whose time is up is captured: %v", err)
		}

		// And back: ledger time is a day ahead of the clock now, and waits for it.
		s.clock.move(-24 * time.Hour)
		at, refused := end(), faults.Load()
		s.open(t, 8, only(ledger.ErrClock))
		eventually(t, "refusals", func() bool { return faults.Load() > refused+200 })
		s.close()
		if now := end(); now != at {
			t.Errorf("with the clock a day behind ledger time the ledger went from %d to %d", at, now)
		}
		s.clock.move(24 * time.Hour)
		late := pays()
		t.Logf("paid %d with the clock 30 s back, %d when it was right again, %d a day ahead, %d after a day behind; %d times ErrClock; %d transactions",
			little, right, forward, late, faults.Load(), rises(t, store))
	})
}
