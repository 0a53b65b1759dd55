package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Limits of the writer's queue. A batch is what arrived while the last one was
// committing; there is no timer.
const (
	maxBatch = 1000
	maxBulk  = maxBatch / 5 // the share of sales and other bulk work in a batch
	maxQueue = 4000         // of each class
)

// patience is how long a caller waits for an answer. A transaction that was
// not begun by then is taken back; one that is being checked goes on.
const patience = 10 * time.Second

// Writer posts transactions in groups: one batch commits while the next one
// gathers, so that many callers share the price of one durable commit.
//
// It has two queues. Payments go first; sales and other bulk work get a share
// of each batch, so that the opening of a sale does not stop the tills.
//
// Several writers may work on one database, in one process or in many: the
// store lets one batch in at a time.
type Writer struct {
	store    Store
	payments chan *request
	bulk     chan *request
	done     chan struct{}
	fault    error // why it stopped; read after done is closed

	log      *slog.Logger
	patience time.Duration
	pause    func(context.Context, time.Duration) // between attempts to learn a batch's fate
	checking atomic.Bool
	batches  atomic.Int64 // committed
	posted   atomic.Int64 // transactions answered
	rate     atomic.Int64 // transactions a second, of late
}

// request is a transaction on its way. Whoever moves state away from waiting
// has it: the writer to post it, or its caller to give up.
type request struct {
	tx     Transaction
	state  atomic.Int32
	answer chan answer // room for one, so that the writer never waits
}

const (
	waiting int32 = iota
	taken
	withdrawn
)

type answer struct {
	outcome Outcome
	err     error
}

// NewWriter starts a writer over a store. It runs until ctx ends or the storage
// fails; [Writer.Wait] waits for that.
func NewWriter(ctx context.Context, store Store, log *slog.Logger) *Writer {
	w := newWriter(store, log)
	go w.run(ctx)
	return w
}

func newWriter(store Store, log *slog.Logger) *Writer {
	return &Writer{
		store: store, payments: make(chan *request, maxQueue), bulk: make(chan *request, maxQueue),
		done: make(chan struct{}), log: log, patience: patience,
		pause: func(ctx context.Context, d time.Duration) {
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		},
	}
}

// bulky reports whether a transaction is of the class that waits for payments.
func bulky(tx *Transaction) bool {
	switch tx.Kind {
	case Pay, Capture, Void, Cancel:
		return false
	case Hold:
		return len(tx.Spends) == 0 // a sale that is reserved, rather than a payment
	}
	return true
}

// Post hands in a transaction and returns its outcome once it is durable. It
// returns ErrBusy or ErrUnavailable with nothing recorded, and ErrChecking when
// the database was lost at the one moment at which it is open whether the
// transaction stands. When ctx ends first the transaction may still be posted.
// In all cases the same ID may be sent again.
func (w *Writer) Post(ctx context.Context, tx Transaction) (Outcome, error) {
	r := newRequest(tx)
	if err := w.enqueue(r); err != nil {
		return Outcome{}, err
	}
	limit := time.NewTimer(w.patience)
	defer limit.Stop()
	select {
	case a := <-r.answer:
		return a.outcome, a.err
	case <-w.done:
		return r.stopped(w.fault)
	case <-limit.C:
		return r.giveUp(ErrBusy)
	case <-ctx.Done():
		return r.giveUp(ctx.Err())
	}
}

func newRequest(tx Transaction) *request {
	tx.Request = tx.Digest() // here, and not in the one place that all wait for
	return &request{tx: tx, answer: make(chan answer, 1)}
}

// stopped is what becomes of a request when the writer has stopped: the last
// batch may have answered just before, and what is left was not begun.
func (r *request) stopped(fault error) (Outcome, error) {
	select {
	case a := <-r.answer:
		return a.outcome, a.err
	default:
		return Outcome{}, errors.Join(ErrUnavailable, fault)
	}
}

// giveUp takes a request back that the writer has not begun, for a reason. One
// that it has begun has an answer, or gets none from here.
func (r *request) giveUp(reason error) (Outcome, error) {
	if r.state.CompareAndSwap(waiting, withdrawn) {
		return Outcome{}, reason
	}
	select {
	case a := <-r.answer:
		return a.outcome, a.err
	default:
		return Outcome{}, ErrChecking
	}
}

// enqueue puts a request in its queue, or refuses it before anything is
// recorded: when the queue is full.
func (w *Writer) enqueue(r *request) error {
	queue := w.payments
	if bulky(&r.tx) {
		queue = w.bulk
	}
	select {
	case queue <- r:
		return nil
	default:
		return ErrBusy
	}
}

// RetryAfter is how long a caller who was refused had better wait: about as
// long as the writer needs for what is in its queues.
func (w *Writer) RetryAfter() time.Duration {
	rate := max(w.rate.Load(), 100)
	wait := time.Duration(len(w.payments)+len(w.bulk)) * time.Second / time.Duration(rate)
	return min(max(wait, time.Second), 30*time.Second)
}

// Checking reports whether the fate of a batch is being looked up.
func (w *Writer) Checking() bool { return w.checking.Load() }

// Waiting is how many payments and how many others are in the queues.
func (w *Writer) Waiting() (payments, bulk int) { return len(w.payments), len(w.bulk) }

// Committed is how many batches the writer has committed, with how many
// transactions. What one commit is shared by says how the ledger is doing.
func (w *Writer) Committed() (batches, transactions int64) { return w.batches.Load(), w.posted.Load() }

// Done is closed when the writer has stopped, and Wait waits for that. Wait
// returns an error that wraps ErrStorage when the storage failed: the process
// must end then, since what the disk holds is not known any more.
func (w *Writer) Done() <-chan struct{} { return w.done }

// Wait returns when the writer has stopped.
func (w *Writer) Wait() error {
	<-w.done
	return w.fault
}

// sweepEvery is how often an idle writer looks for holds whose time is up. No
// decision and no balance waits for it: both leave such holds out anyway.
const sweepEvery = time.Second

func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for w.fault == nil {
		var first *request
		select {
		case <-ctx.Done():
			return
		case first = <-w.payments:
		default:
			select {
			case <-ctx.Done():
				return
			case first = <-w.payments:
			case first = <-w.bulk:
			case <-sweep.C:
				w.sweep(ctx)
				continue
			}
		}
		began := time.Now()
		n := w.work(ctx, first)
		if took := time.Since(began); took > 0 && n > 0 {
			rate := int64(float64(n) / took.Seconds())
			w.rate.Store((w.rate.Load()*7 + rate) / 8)
		}
	}
}

// work posts what is waiting, and returns how many transactions that were.
func (w *Writer) work(ctx context.Context, first *request) int {
	batch := w.gather(first)
	w.post(ctx, batch)
	return len(batch)
}

// gather makes a batch of what is waiting: payments first, then bulk work up to
// its share.
func (w *Writer) gather(first *request) []*request {
	var batch []*request
	bulk := 0
	take := func(r *request) {
		if !r.state.CompareAndSwap(waiting, taken) {
			return
		}
		batch = append(batch, r)
		if bulky(&r.tx) {
			bulk++
		}
	}
	take(first)
	for len(batch) < maxBatch {
		select {
		case r := <-w.payments:
			take(r)
			continue
		default:
		}
		break
	}
	for len(batch) < maxBatch && bulk < maxBulk {
		select {
		case r := <-w.bulk:
			take(r)
			continue
		default:
		}
		break
	}
	return batch
}

// post commits a batch and answers it. A batch that the store cannot take for
// what is in it is posted in halves, so that one bad transaction does not fail
// its neighbours.
func (w *Writer) post(ctx context.Context, batch []*request) {
	if len(batch) == 0 {
		return
	}
	txs := make([]Transaction, len(batch))
	for i, r := range batch {
		txs[i] = r.tx
	}
	// What was taken is carried through: the end of the process waits for it.
	outcomes, err := w.commit(ctx, txs)
	switch {
	case err == nil:
		for i, r := range batch {
			r.answer <- answer{outcomes[i], outcomes[i].Err}
		}
		w.batches.Add(1)
		w.posted.Add(int64(len(batch)))
	case errors.Is(err, ErrStorage):
		w.fault = err
		w.log.Error("the ledger's storage failed: the writer stops", "error", err.Error())
		w.fail(batch, ErrChecking)
	case errors.Is(err, ErrChecking): // whatever kept it from being learned: nobody is told that nothing was recorded
		w.log.Error("it is not known whether a batch stands", "transactions", len(batch), "error", err.Error())
		w.fail(batch, ErrChecking)
	case errors.Is(err, ErrUnavailable):
		w.log.Error("batch was not posted", "transactions", len(batch), "error", err.Error())
		w.fail(batch, err)
	case len(batch) == 1:
		w.log.Error("transaction cannot be posted", "transaction", batch[0].tx.ID, "kind", batch[0].tx.Kind, "error", err.Error())
		w.fail(batch, fmt.Errorf("post transaction: %w", err))
	default:
		w.post(ctx, batch[:len(batch)/2])
		if w.fault == nil {
			w.post(ctx, batch[len(batch)/2:])
		}
	}
}

func (w *Writer) fail(batch []*request, err error) {
	for _, r := range batch {
		r.answer <- answer{err: err}
	}
}

// commit posts transactions. Where the answer to a commit was lost it finds out
// what became of it before anybody is answered.
func (w *Writer) commit(ctx context.Context, txs []Transaction) ([]Outcome, error) {
	for {
		outcomes, err := w.store.Post(context.WithoutCancel(ctx), txs...)
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			return outcomes, err
		}
		w.log.Warn("the answer to a commit was lost", "batch", unknown.Batch, "transactions", len(txs), "error", err.Error())
		switch stands, err := w.learn(ctx, unknown); {
		case err != nil:
			return nil, err
		case stands:
			return unknown.Outcomes, nil
		} // and if it does not stand, nothing of it does
	}
}

// learn asks for the fate of a batch until there is an answer, or until the
// process ends.
func (w *Writer) learn(ctx context.Context, unknown *UnknownError) (bool, error) {
	w.checking.Store(true)
	defer w.checking.Store(false)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		stands, err := w.store.Stands(context.WithoutCancel(ctx), unknown)
		if err == nil {
			w.log.Info("the fate of a batch is known", "batch", unknown.Batch, "stands", stands)
			return stands, nil
		}
		switch {
		case errors.Is(err, ErrStorage):
			return false, err
		case ctx.Err() != nil:
			return false, errors.Join(ErrChecking, err)
		}
		w.pause(ctx, wait)
	}
}

// sweep releases holds whose time is up.
func (w *Writer) sweep(ctx context.Context) {
	due, err := w.store.Due(ctx)
	if err == nil && due {
		_, err = w.commit(ctx, nil)
	}
	switch {
	case errors.Is(err, ErrStorage):
		w.fault = err
	case err != nil && ctx.Err() == nil:
		w.log.Warn("holds were not released", "error", err.Error())
	}
}
