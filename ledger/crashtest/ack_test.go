package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meguri/ledger"
)

// C3: the connection is lost after a batch was sent and before its answer came,
// again and again: the server has it, or has not. New connections are refused
// or slow for a while. The clients learn the truth: what they are told was not
// recorded is not there, and what they are told stands.
func TestLostAnswer_ClientsLearnTheTruth(t *testing.T) {
	b := openBooks(t, newDatabase(t, sharedServer(t)))
	p := newProxy(t, b.address)
	r := seeded(t)
	var mu sync.Mutex // guards the random source
	draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }
	var refuse, answersLost, batchesLost, refused atomic.Int64
	hook := func(m *packet) verdict {
		switch {
		case m.write && draw(6) == 0: // the batch does not get there
			batchesLost.Add(1)
			refuse.Store(int64(draw(4)))
			return cut
		case m.toServer || !m.writing.Load():
		case m.doomed.Load() && m.kind == 'Z': // it is committed, and the answer does not get there
			time.Sleep(time.Duration(draw(20)) * time.Millisecond)
			answersLost.Add(1)
			refuse.Store(int64(draw(4)))
			return cut
		case m.doomed.Load():
			return discard
		case m.kind == '2' && draw(3) == 0: // BindComplete: the first word about the batch
			m.doomed.Store(true)
			return discard
		}
		return m.forward()
	}
	enter := func() bool {
		if refuse.Add(-1) >= 0 {
			refused.Add(1)
			return false
		}
		if draw(4) == 0 {
			time.Sleep(time.Duration(draw(50)) * time.Millisecond)
		}
		return true
	}
	for round := range sized(t, "rounds", 1, 3) {
		name := fmt.Sprintf("a%d", round)
		dir := newRound(t, name)
		o := openOffice(t, through(t, b.address, p))
		a := assignment{Logs: dir, Name: name, Seed: r.Uint64()}
		var clients []*client
		for i := range 16 {
			c := newClient(o.writer, &a, i)
			c.unsaid = func(op *op) {
				if _, err := b.store.Transaction(context.Background(), op.ID); !errors.Is(err, ledger.ErrNotFound) {
					t.Errorf("%s was said not to be recorded, and looking for it gives %v", op.ID, err)
				}
			}
			clients = append(clients, c)
		}
		p.set(hook, enter)
		run(clients, 60)
		p.set(nil, nil)
		o.close(&b.figures)
		b.settle(t, dir, name)
		b.verify(t)
	}
	if answersLost.Load() == 0 || batchesLost.Load() == 0 || b.lost == 0 || b.lostStood == 0 || b.lostStood == b.lost {
		t.Errorf("the test has not met what it is about")
	}
	t.Logf("%d answers and %d batches lost, %d connections refused: %v", answersLost.Load(), batchesLost.Load(), refused.Load(), b.figures)
}

// C3: the database is out of reach for longer than a caller waits. Who was sent
// hears that it is being checked, who was not that nothing was recorded; and
// both get their answers later.
func TestLostAnswer_OutOfReach(t *testing.T) {
	t.Parallel()
	b := openBooks(t, newDatabase(t, sharedServer(t)))
	p := newProxy(t, b.address)
	o := openOffice(t, through(t, b.address, p))
	r := seeded(t)
	var purse purse
	draw := func(id string) op { return purse.next(rand.New(rand.NewPCG(r.Uint64(), 0)), id, "o-0") }
	first := draw("o-0-1")
	if _, err := o.writer.Post(t.Context(), first.tx()); err != nil {
		t.Fatal(err)
	}
	if _, err := purse.apply(first, ""); err != nil {
		t.Fatal(err)
	}

	// Every connection hangs from the moment at which a batch was sent.
	holding, release := atomic.Bool{}, make(chan bool)
	p.set(func(m *packet) verdict {
		if m.writing.Load() && !m.toServer {
			holding.Store(true)
		}
		if holding.Load() {
			<-release
		}
		return m.forward()
	}, func() bool {
		if holding.Load() {
			<-release
		}
		return true
	})
	ops := []op{
		{ID: "o-0-2", Kind: ledger.Pay, Resident: "o-0", Shop: "s1", Voucher: 7},
		{ID: "o-0-3", Kind: ledger.Pay, Resident: "o-0", Shop: "s1", Voucher: 8},
	}
	got := make([]error, len(ops))
	var wg sync.WaitGroup
	for i := range ops {
		wg.Go(func() { _, got[i] = o.writer.Post(context.Background(), ops[i].tx()) })
		if i == 0 {
			eventually(t, "the first batch to be sent", holding.Load)
		}
	}
	wg.Wait()
	if !errors.Is(got[0], ledger.ErrChecking) {
		t.Errorf("what was sent is answered %v, want ErrChecking", got[0])
	}
	if !errors.Is(got[1], ledger.ErrBusy) {
		t.Errorf("what waited behind it is answered %v, want ErrBusy", got[1])
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := o.writer.Post(short, ops[1].tx()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller with less patience is answered %v", err)
	}

	// It is in reach again: both are sent again and get their answers.
	p.set(nil, nil)
	close(release)
	later := func() {
		for i := range ops {
			again(t, "send it later", func() (any, error) {
				_, err := o.writer.Post(context.Background(), ops[i].tx())
				return nil, err
			})
		}
	}
	later()
	for i := range ops {
		if _, err := purse.apply(ops[i], ""); err != nil {
			t.Fatal(err)
		}
	}

	// And nobody listens at all. On a new connection nothing can have been sent; on
	// one that was there before the writer would have to look.
	p.set(nil, func() bool { return false })
	o.db.SetMaxIdleConns(0)
	last := op{ID: "o-0-4", Kind: ledger.Pay, Resident: "o-0", Shop: "s1", Voucher: 9}
	if _, err := o.writer.Post(context.Background(), last.tx()); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("with no server a payment is answered %v, want ErrUnavailable", err)
	}
	if _, err := b.store.Transaction(t.Context(), last.ID); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("%s was said not to be recorded, and looking for it gives %v", last.ID, err)
	}
	p.set(nil, nil)
	ops = append(ops, last)
	later()
	if _, err := purse.apply(last, ""); err != nil {
		t.Fatal(err)
	}
	o.close(&b.figures)
	b.count(t, "o-0", &purse)
	b.verify(t)
	t.Logf("answered while it was out of reach: %v; %v", got[0], got[1])
}

// C3: a batch that lies in the net for long, when its writer has asked for its
// fate and was told that it does not stand, does not land after that.
func TestLostAnswer_ABatchThatWasGivenUpDoesNotLand(t *testing.T) {
	b := openBooks(t, newDatabase(t, sharedServer(t)))
	p := newProxy(t, b.address)
	o := openOffice(t, through(t, b.address, p))
	defer o.close(&b.figures)
	ctx := context.Background()
	charge := op{ID: "g-1", Kind: ledger.Charge, Resident: "g", Voucher: 1000}
	if _, err := o.store.Post(ctx, charge.tx()); err != nil {
		t.Fatal(err)
	}
	shop := op{ID: "g-2", Kind: ledger.Pay, Resident: "g", Shop: "s1", Voucher: 5}
	if _, err := o.store.Post(ctx, shop.tx()); err != nil { // from now on there is nothing to read
		t.Fatal(err)
	}
	// The messages of the batch are kept back, the client's side is closed, and
	// nobody can be asked to end the session at the server.
	lost, release, landed := make(chan bool), make(chan bool), make(chan string, 1)
	var held *link
	var late, answer []byte
	p.set(func(m *packet) verdict {
		switch {
		case m.write && held == nil:
			held = m.link
			held.widowed.Store(true)
			late = append(late, m.raw...)
			return discard
		case m.link != held:
		case m.toServer:
			late = append(late, m.raw...)
			if m.kind == 'S' { // Sync: all of it was sent
				_ = m.client.Close()
				close(lost)
				<-release
				_, _ = m.server.Write(late) // the answer tells
			}
			return discard
		default:
			if answer = append(answer, m.kind); m.kind == 'Z' {
				landed <- string(answer)
			}
		}
		return m.forward()
	}, func() bool { return held == nil })
	pay := op{ID: "g-3", Kind: ledger.Pay, Resident: "g", Shop: "s1", Voucher: 7}
	_, err := o.store.Post(ctx, pay.tx())
	var unknown *ledger.UnknownError
	if !errors.As(err, &unknown) {
		t.Fatalf("got %v, want an UnknownError", err)
	}
	<-lost
	hook, _ := p.rules()
	p.set(hook, nil)
	if again(t, "ask for its fate", func() (bool, error) { return o.store.Stands(ctx, unknown) }) {
		t.Fatal("a batch that did not arrive stands")
	}
	close(release)
	select {
	case said := <-landed:
		t.Logf("the server answers the late batch with the messages %q", said)
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not answer the late batch")
	}
	if _, err := b.store.Transaction(ctx, pay.ID); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("it was told that the batch does not stand, and now it does: %v", err)
	}
	if _, err := o.store.Post(ctx, pay.tx()); err != nil {
		t.Error(err)
	}
	b.verify(t)
}
