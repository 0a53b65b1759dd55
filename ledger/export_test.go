package ledger

import (
	"context"
	"log/slog"
	"time"
)

// Request is a transaction on its way.
type Request = request

// NewIdleWriter makes a writer that works only when it is told to, with short
// queues, and waits by a function of the test's.
func NewIdleWriter(store Store, room int, pause func(context.Context, time.Duration)) *Writer {
	w := newWriter(store, slog.New(slog.DiscardHandler))
	w.payments, w.bulk, w.pause = make(chan *request, room), make(chan *request, room), pause
	return w
}

// Hand is the first half of Post.
func (w *Writer) Hand(tx Transaction) (*Request, error) {
	r := newRequest(tx)
	return r, w.enqueue(r)
}

// Turn is one turn of run: what waits is posted, and if nothing does, holds
// whose time is up are released.
func (w *Writer) Turn(ctx context.Context) {
	select {
	case first := <-w.payments:
		w.work(ctx, first)
	default:
		select {
		case first := <-w.bulk:
			w.work(ctx, first)
		default:
			w.sweep(ctx)
		}
	}
}

// Fault is why the writer has stopped.
func (w *Writer) Fault() error { return w.fault }

// Answered returns the answer, if there is one.
func (r *request) Answered() (o Outcome, err error, ok bool) {
	select {
	case a := <-r.answer:
		return a.outcome, a.err, true
	default:
		return Outcome{}, nil, false
	}
}

// GiveUp and Stopped are the two ways in which Post ends without an answer.
func (r *request) GiveUp(reason error) (Outcome, error) { return r.giveUp(reason) }

func (r *request) Stopped(fault error) (Outcome, error) { return r.stopped(fault) }

// AppendPosted and AppendRequest are what a seal and a digest are made of.
var (
	AppendPosted  = appendPosted
	AppendRequest = appendRequest
)
