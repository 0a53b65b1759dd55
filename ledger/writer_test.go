package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meguri/ledger"
	"meguri/ledger/ledgertest"
)

// scripted is a store that does as a test says, and writes down the batches.
type scripted struct {
	*ledgertest.Memory
	post   func(txs []ledger.Transaction) ([]ledger.Outcome, error) // nil: as Memory does
	stands func() (bool, error)
	mu     sync.Mutex
	got    [][]string // IDs, by batch
}

func script() *scripted { return &scripted{Memory: ledgertest.NewMemory(ledgertest.NewClock().Now)} }

func (s *scripted) Post(ctx context.Context, txs ...ledger.Transaction) ([]ledger.Outcome, error) {
	var ids []string
	for i := range txs {
		ids = append(ids, txs[i].ID)
	}
	s.mu.Lock()
	s.got = append(s.got, ids)
	s.mu.Unlock()
	if s.post != nil {
		return s.post(txs)
	}
	return s.Memory.Post(ctx, txs...)
}

func (s *scripted) Stands(context.Context, *ledger.UnknownError) (bool, error) { return s.stands() }

// payment and sale are refused by an empty ledger, which is an answer as well.
func payment(id string) ledger.Transaction { return paying(id, 1) }

func sale(id string) ledger.Transaction {
	return ledger.Transaction{ID: id, Kind: ledger.Charge, Transfers: []ledger.Transfer{{Debit: "funds", Credit: "lot", Amount: 1}}}
}

func hand(t *testing.T, w *ledger.Writer, txs ...ledger.Transaction) (list []*ledger.Request) {
	t.Helper()
	for _, tx := range txs {
		r, err := w.Hand(tx)
		if err != nil {
			t.Fatalf("hand in %s: %v", tx.ID, err)
		}
		list = append(list, r)
	}
	return list
}

func refusedAll(t *testing.T, requests []*ledger.Request) {
	t.Helper()
	for i, r := range requests {
		if o, err, ok := r.Answered(); !ok || !errors.Is(err, ledger.ErrAccountNotFound) || !errors.Is(o.Err, err) {
			t.Errorf("request %d: got %v, %v, answered %t, want the ledger's refusal", i, o.Err, err, ok)
		}
	}
}

func never(context.Context, time.Duration) {}

func TestWriter_TakesPaymentsFirstAndAShareOfSales(t *testing.T) {
	s := script()
	w := ledger.NewIdleWriter(s, 2000, never)
	var requests []*ledger.Request
	for i := range 350 {
		requests = append(requests, hand(t, w, sale(fmt.Sprint("s", i)))...)
	}
	for i := range 900 {
		requests = append(requests, hand(t, w, payment(fmt.Sprint("p", i)))...)
	}
	for range 4 {
		w.Turn(t.Context())
	}
	refusedAll(t, requests)
	var sizes []int
	for _, ids := range s.got {
		sizes = append(sizes, len(ids))
	}
	// 900 payments and what fits of the sales' share, then sales by their share.
	if d := cmp.Diff([]int{1000, 200, 50}, sizes); d != "" {
		t.Error(d)
	}
	if last := slices.IndexFunc(s.got[0], func(id string) bool { return id[0] == 's' }); last != 900 {
		t.Errorf("the first sale is at %d, want 900", last)
	}
	if wait := w.RetryAfter(); wait != time.Second {
		t.Errorf("with nothing waiting, try again after %v, want a second", wait)
	}
}

func TestWriter_TellsPaymentsFromBulk(t *testing.T) {
	spend := []ledger.Spend{{Programme: "v", Amount: 1, Into: []ledger.AccountID{"till"}}}
	for _, c := range []struct {
		tx      ledger.Transaction
		payment bool
	}{
		{ledger.Transaction{ID: "1", Kind: ledger.Pay}, true},
		{ledger.Transaction{ID: "2", Kind: ledger.Hold, Spends: spend}, true},
		{ledger.Transaction{ID: "3", Kind: ledger.Capture}, true},
		{ledger.Transaction{ID: "4", Kind: ledger.Void}, true},
		{ledger.Transaction{ID: "5", Kind: ledger.Cancel}, true},
		{ledger.Transaction{ID: "6", Kind: ledger.Hold}, false},
		{ledger.Transaction{ID: "7", Kind: ledger.Charge}, false},
		{ledger.Transaction{ID: "8", Kind: ledger.Expire}, false},
		{ledger.Transaction{ID: "9", Kind: ledger.Close}, false},
	} {
		w := ledger.NewIdleWriter(script(), 1, never)
		hand(t, w, c.tx)
		if payments, bulk := w.Waiting(); payments+bulk != 1 || (payments == 1) != c.payment {
			t.Errorf("%s: %d payments and %d others wait", c.tx.Kind, payments, bulk)
		}
	}
}

func TestWriter_IsBusyWhenAQueueIsFull(t *testing.T) {
	s := script()
	w := ledger.NewIdleWriter(s, 2, never)
	hand(t, w, sale("s1"), sale("s2"))
	if _, err := w.Hand(sale("s3")); !errors.Is(err, ledger.ErrBusy) {
		t.Errorf("a third sale: got %v, want ErrBusy", err)
	}
	hand(t, w, payment("p1"), payment("p2")) // the tills go on
	if _, err := w.Hand(payment("p3")); !errors.Is(err, ledger.ErrBusy) {
		t.Errorf("a third payment: got %v, want ErrBusy", err)
	}
	w.Turn(t.Context())
	if d := cmp.Diff([][]string{{"p1", "p2", "s1", "s2"}}, s.got); d != "" {
		t.Error(d)
	}
}

func TestWriter_WhatIsTakenBackIsNotPosted(t *testing.T) {
	s := script()
	w := ledger.NewIdleWriter(s, 10, never)
	r := hand(t, w, payment("first"), payment("second"), payment("third"))
	for _, i := range []int{0, 1} {
		if _, err := r[i].GiveUp(ledger.ErrBusy); !errors.Is(err, ledger.ErrBusy) {
			t.Errorf("request %d: got %v, want ErrBusy", i, err)
		}
	}
	w.Turn(t.Context())
	refusedAll(t, r[2:])
	if d := cmp.Diff([][]string{{"third"}}, s.got); d != "" {
		t.Error(d)
	}
	// What is being posted is not taken back.
	var during error
	var begun *ledger.Request
	s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
		_, during = begun.GiveUp(ledger.ErrBusy)
		return s.Memory.Post(t.Context(), txs...)
	}
	begun = hand(t, w, payment("fourth"))[0]
	w.Turn(t.Context())
	if !errors.Is(during, ledger.ErrChecking) {
		t.Errorf("while it is posted: got %v, want ErrChecking", during)
	}
	if _, err := begun.GiveUp(ledger.ErrBusy); !errors.Is(err, ledger.ErrAccountNotFound) {
		t.Errorf("after it was posted: got %v, want its answer", err)
	}
}

func TestWriter_FindsTheBadOneByHalves(t *testing.T) {
	s := script()
	bad := errors.New("out of range")
	s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
		if slices.ContainsFunc(txs, func(tx ledger.Transaction) bool { return tx.ID == "d" }) {
			return nil, bad
		}
		return s.Memory.Post(t.Context(), txs...)
	}
	w := ledger.NewIdleWriter(s, 10, never)
	r := hand(t, w, payment("a"), payment("b"), payment("c"), payment("d"), payment("e"))
	w.Turn(t.Context())
	if _, err, ok := r[3].Answered(); !ok || !errors.Is(err, bad) {
		t.Errorf("the bad one: got %v, answered %t", err, ok)
	}
	refusedAll(t, slices.Delete(r, 3, 4))
	if d := cmp.Diff([][]string{{"a", "b", "c", "d", "e"}, {"a", "b"}, {"c", "d", "e"}, {"c"}, {"d", "e"}, {"d"}, {"e"}}, s.got); d != "" {
		t.Error(d)
	}
}

func TestWriter_ADatabaseThatDoesNotAnswerIsNotAskedByHalves(t *testing.T) {
	s := script()
	s.post = func([]ledger.Transaction) ([]ledger.Outcome, error) {
		return nil, fmt.Errorf("connect: %w", ledger.ErrUnavailable)
	}
	w := ledger.NewIdleWriter(s, 10, never)
	for _, r := range hand(t, w, payment("a"), payment("b")) {
		defer func() {
			if _, err, ok := r.Answered(); !ok || !errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrChecking) {
				t.Errorf("got %v, answered %t, want ErrUnavailable", err, ok)
			}
		}()
	}
	w.Turn(t.Context())
	if len(s.got) != 1 {
		t.Errorf("it was asked %d times, want once", len(s.got))
	}
}

// A batch whose answer was lost is answered when its fate is known: with what
// was lost if it stands, and else by posting it again.
func TestWriter_LearnsTheFateOfABatch(t *testing.T) {
	for _, stands := range []bool{true, false} {
		t.Run(fmt.Sprintf("stands %t", stands), func(t *testing.T) {
			s := script()
			var w *ledger.Writer
			var waits []time.Duration
			s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
				if len(s.got) > 1 {
					return s.Memory.Post(t.Context(), txs...)
				}
				outcomes, commit := s.Begin(txs...)
				if stands {
					commit()
				}
				return nil, &ledger.UnknownError{Batch: "1", Outcomes: outcomes, Err: io.ErrUnexpectedEOF}
			}
			asked := 0
			s.stands = func() (bool, error) {
				if asked++; asked < 10 {
					return false, ledger.ErrUnavailable
				}
				return stands, nil
			}
			w = ledger.NewIdleWriter(s, 10, func(_ context.Context, d time.Duration) {
				waits = append(waits, d)
				if !w.Checking() {
					t.Error("it does not say that it is checking")
				}
			})
			r := hand(t, w, payment("a"), payment("b"))
			w.Turn(t.Context())
			refusedAll(t, r)
			want := []time.Duration{10, 20, 40, 80, 160, 320, 640, 1000, 1000}
			for i := range want {
				want[i] *= time.Millisecond
			}
			if d := cmp.Diff(want, waits); d != "" {
				t.Error(d)
			}
			if n := len(s.got); w.Checking() || stands && n != 1 || !stands && n != 2 {
				t.Errorf("it was posted %d times, and is checking: %t", n, w.Checking())
			}
		})
	}
}

// When the process ends before the fate is known, nobody is told that nothing
// was recorded.
func TestWriter_EndsWhileItIsChecking(t *testing.T) {
	s := script()
	ctx, stop := context.WithCancel(t.Context())
	s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
		return nil, &ledger.UnknownError{Batch: "1", Outcomes: make([]ledger.Outcome, len(txs)), Err: ledger.ErrUnavailable}
	}
	s.stands = func() (bool, error) { return false, fmt.Errorf("connect: %w", ledger.ErrUnavailable) }
	w := ledger.NewIdleWriter(s, 10, func(context.Context, time.Duration) { stop() })
	r := hand(t, w, payment("a"))[0]
	w.Turn(ctx)
	if _, err, ok := r.Answered(); !ok || !errors.Is(err, ledger.ErrChecking) || errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("got %v, answered %t, want ErrChecking alone", err, ok)
	}
}

// A failed disk stops the writer for good. What was tried may or may not be
// there; what waited is not.
func TestWriter_StopsWhenTheStorageFails(t *testing.T) {
	s := script()
	s.post = func([]ledger.Transaction) ([]ledger.Outcome, error) {
		return nil, fmt.Errorf("sync: %w", ledger.ErrStorage)
	}
	w := ledger.NewWriter(t.Context(), s, slog.New(slog.DiscardHandler))
	if _, err := w.Post(t.Context(), payment("a")); !errors.Is(err, ledger.ErrChecking) {
		t.Errorf("got %v, want ErrChecking", err)
	}
	if err := w.Wait(); !errors.Is(err, ledger.ErrStorage) {
		t.Errorf("the writer ended with %v, want ErrStorage", err)
	}
	<-w.Done()
	if _, err := w.Post(t.Context(), payment("b")); !errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrChecking) {
		t.Errorf("after that: got %v, want ErrUnavailable", err)
	}
	if d := cmp.Diff([][]string{{"a"}}, s.got); d != "" {
		t.Error(d)
	}
}

func TestWriter_ADiskThatFailsWhileItIsCheckedStopsItToo(t *testing.T) {
	s := script()
	s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
		return nil, &ledger.UnknownError{Batch: "1", Outcomes: make([]ledger.Outcome, len(txs)), Err: io.ErrUnexpectedEOF}
	}
	s.stands = func() (bool, error) { return false, ledger.ErrStorage }
	w := ledger.NewIdleWriter(s, 10, never)
	r := hand(t, w, payment("a"))[0]
	w.Turn(t.Context())
	if _, err, ok := r.Answered(); !ok || !errors.Is(err, ledger.ErrChecking) {
		t.Errorf("got %v, answered %t, want ErrChecking", err, ok)
	}
	if err := w.Fault(); !errors.Is(err, ledger.ErrStorage) || errors.Is(err, ledger.ErrChecking) {
		t.Errorf("the writer's fault is %v, want ErrStorage alone", err)
	}
}

// After the disk has failed nothing is written any more, not even the other half
// of a batch, nor by a sweep.
func TestWriter_WritesNothingAfterTheStorageFailed(t *testing.T) {
	s := script()
	s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
		if len(txs) > 1 {
			return nil, errors.New("out of range")
		}
		return nil, ledger.ErrStorage
	}
	w := ledger.NewIdleWriter(s, 10, never)
	r := hand(t, w, payment("a"), payment("b"))
	w.Turn(t.Context())
	if d := cmp.Diff([][]string{{"a", "b"}, {"a"}}, s.got); d != "" {
		t.Error(d)
	}
	if _, err := r[1].Stopped(w.Fault()); !errors.Is(err, ledger.ErrUnavailable) || !errors.Is(err, ledger.ErrStorage) {
		t.Errorf("the other half: got %v, want ErrUnavailable for the storage", err)
	}
	swept := &due{script()}
	swept.post = func([]ledger.Transaction) ([]ledger.Outcome, error) { return nil, ledger.ErrStorage }
	w = ledger.NewIdleWriter(swept, 10, never)
	w.Turn(t.Context())
	if err := w.Fault(); !errors.Is(err, ledger.ErrStorage) {
		t.Errorf("after a sweep the writer's fault is %v, want ErrStorage", err)
	}
}

// due is a store in which something always is.
type due struct{ *scripted }

func (due) Due(context.Context) (bool, error) { return true, nil }

// What was begun when the process is told to end is carried through and
// answered; what comes later is not recorded.
func TestWriter_AnswersWhatItHasBegunBeforeItStops(t *testing.T) {
	s := script()
	ctx, stop := context.WithCancel(t.Context())
	s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
		stop()
		return s.Memory.Post(context.Background(), txs...)
	}
	w := ledger.NewWriter(ctx, s, slog.New(slog.DiscardHandler))
	if _, err := w.Post(t.Context(), payment("a")); !errors.Is(err, ledger.ErrAccountNotFound) {
		t.Errorf("got %v, want its answer", err)
	}
	if err := w.Wait(); err != nil {
		t.Errorf("the writer ended with %v", err)
	}
	if _, err := w.Post(t.Context(), payment("b")); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("after that: got %v, want ErrUnavailable", err)
	}
	if d := cmp.Diff([][]string{{"a"}}, s.got); d != "" {
		t.Error(d)
	}
}

func TestWriter_ACallerMayGoAway(t *testing.T) {
	s := script()
	begun, gate := make(chan struct{}), make(chan struct{})
	s.post = func(txs []ledger.Transaction) ([]ledger.Outcome, error) {
		close(begun)
		<-gate
		return s.Memory.Post(context.Background(), txs...)
	}
	ctx, stop := context.WithCancel(t.Context())
	w := ledger.NewWriter(ctx, s, slog.New(slog.DiscardHandler))
	first := make(chan error)
	go func() {
		_, err := w.Post(t.Context(), payment("a"))
		first <- err
	}()
	<-begun
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := w.Post(gone, payment("b")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(gate)
	if err := <-first; !errors.Is(err, ledger.ErrAccountNotFound) {
		t.Errorf("the one who waits: got %v, want its answer", err)
	}
	stop()
	if err := w.Wait(); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([][]string{{"a"}}, s.got); d != "" {
		t.Error(d)
	}
}

// An idle writer releases what is due, and nothing when nothing is.
func TestWriter_SweepsWhenItIsIdle(t *testing.T) {
	clock := ledgertest.NewClock()
	s := &scripted{Memory: ledgertest.NewMemory(clock.Now)}
	if err := s.OpenAccounts(t.Context(), ledger.Account{ID: "funds", Programme: "v", Kind: ledger.FundsPaid, Owner: "v"},
		ledger.Account{ID: "lot", Programme: "v", Kind: ledger.ResidentLot, Owner: "r"}); err != nil {
		t.Fatal(err)
	}
	h := sale("h")
	h.Kind, h.Until = ledger.Hold, clock.Now().Add(time.Minute)
	if _, err := s.Memory.Post(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	w := ledger.NewIdleWriter(s, 1, never)
	w.Turn(t.Context())
	clock.Add(time.Minute)
	w.Turn(t.Context())
	w.Turn(t.Context())
	if d := cmp.Diff([][]string{nil}, s.got); d != "" {
		t.Errorf("it was swept otherwise than once:\n%s", d)
	}
	if p, err := s.Transaction(t.Context(), "h"); err != nil || p.ResolvedAs != ledger.Release {
		t.Errorf("got %+v, %v, want a hold that was released", p, err)
	}
}
