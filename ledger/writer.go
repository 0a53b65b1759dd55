package ledger

import (
	"context"
	"errors"
	"fmt"
)

// Limits of the writer's queue. A batch is what arrived while the last one was
// committing; there is no timer.
const (
	maxBatch = 1000
	maxQueue = 4000
)

// Writer posts transactions in groups: one batch commits while the next one
// gathers, so that many callers share the price of one durable commit.
type Writer struct {
	store Store
	queue chan request
	done  chan struct{}
}

type request struct {
	tx     Transaction
	answer chan<- answer // room for one, so that the writer never waits
}

type answer struct {
	outcome Outcome
	err     error
}

// NewWriter starts a writer over a store. It runs until ctx ends; [Writer.Wait]
// waits for that.
func NewWriter(ctx context.Context, store Store) *Writer {
	w := &Writer{store: store, queue: make(chan request, maxQueue), done: make(chan struct{})}
	go w.run(ctx)
	return w
}

// Post hands in a transaction and returns its outcome once it is durable. It
// returns ErrBusy, with nothing recorded, when the queue is full.
//
// When ctx ends first the transaction may still be posted: the caller learns
// which by sending the same ID again.
func (w *Writer) Post(ctx context.Context, tx Transaction) (Outcome, error) {
	ch := make(chan answer, 1)
	select {
	case w.queue <- request{tx, ch}:
	default:
		return Outcome{}, ErrBusy
	}
	select {
	case a := <-ch:
		return a.outcome, a.err
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	case <-w.done: // the last batch may have answered just before
		select {
		case a := <-ch:
			return a.outcome, a.err
		default:
			return Outcome{}, errors.New("the ledger is closing")
		}
	}
}

// Wait returns when the writer has stopped.
func (w *Writer) Wait() { <-w.done }

func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-w.queue:
			w.post(context.WithoutCancel(ctx), w.gather(first))
		}
	}
}

func (w *Writer) gather(first request) []request {
	batch := []request{first}
	for len(batch) < maxBatch {
		select {
		case r := <-w.queue:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// post commits a batch. A batch that the store cannot take is posted again one
// by one, so that one bad row does not fail its neighbours.
func (w *Writer) post(ctx context.Context, batch []request) {
	txs := make([]Transaction, len(batch))
	for i, r := range batch {
		txs[i] = r.tx
	}
	outcomes, err := w.store.Post(ctx, txs...)
	switch {
	case err == nil:
		for i, r := range batch {
			r.answer <- answer{outcome: outcomes[i], err: outcomes[i].Err}
		}
	case len(batch) == 1:
		batch[0].answer <- answer{err: fmt.Errorf("post transaction: %w", err)}
	default:
		for _, r := range batch {
			w.post(ctx, []request{r})
		}
	}
}
