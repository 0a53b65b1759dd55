package crashtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meguri/internal/sqldb"
	"meguri/ledger"
	"meguri/ledger/sqlstore"
)

// office is a writer in the process of the test, whose database may be behind a
// proxy.
type office struct {
	db     *sqldb.DB
	store  *sqlstore.Store
	writer *ledger.Writer
	counts *counter
	stop   context.CancelFunc
}

func openOffice(t testing.TB, address string) *office {
	t.Helper()
	o := &office{db: open(t, address), counts: &counter{}}
	var err error
	if o.store, err = sqlstore.Open(context.Background(), o.db, time.Now); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	o.stop, o.writer = stop, ledger.NewWriter(ctx, o.store, slog.New(o.counts))
	return o
}

// close ends the office and adds what it met to the figures.
func (o *office) close(f *figures) {
	o.stop()
	_ = o.writer.Wait() // it was asked to stop
	_ = o.db.Close()    // nothing to lose
	f.lost += o.counts.lost
	f.lostStood += o.counts.stood
}

// run lets clients do so many things each.
func run(clients []*client, ops int) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { c.run(context.Background(), ops) })
	}
	wg.Wait()
}

func newRound(t testing.TB, name string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// C1: the connection breaks before every single message of the conversation in
// which batches are read for, written and committed, in both directions, and
// within every one to the server; once for a writer that has everything to read, and once for one
// that only writes.
func TestFailPoints_EveryMessageOfABatch(t *testing.T) {
	b := openBooks(t, newDatabase(t, sharedServer(t)))
	p := newProxy(t, b.address)
	address := through(t, b.address, p)
	r := seeded(t)
	points, step := 0, sized(t, "messages from one fail point to the next", 5, 1)
	for _, toServer := range []bool{true, false} {
		for _, kept := range []bool{false, true} {
			for _, torn := range []bool{false, true} {
				if torn && !toServer {
					continue // half an answer is as good as none
				}
				o := openOffice(t, address)
				k := 1
				for misses := 0; misses < 3; k += step { // the conversation is not quite the same each time
					name := fmt.Sprintf("f%d", b.rounds)
					dir := newRound(t, name)
					a := assignment{Logs: dir, Name: name, Seed: r.Uint64()}
					var clients []*client // new ones, of whom everything has to be read
					for i := range 4 {
						c := newClient(o.writer, &a, i)
						c.purse.patient = true
						clients = append(clients, c)
					}
					if kept {
						run(clients, 3)
					} else {
						p.cutAll() // so that the conversation begins with a new connection
					}
					seen, reached := atomic.Int64{}, atomic.Bool{}
					p.set(func(m *packet) verdict {
						if m.toServer != toServer || seen.Add(1) != int64(k) {
							return m.forward()
						}
						reached.Store(true)
						if torn {
							return verdict{len(m.raw) / 2, true}
						}
						return cut
					}, nil)
					run(clients, 3)
					p.set(nil, nil)
					b.settle(t, dir, name)
					if misses++; reached.Load() {
						misses = 0
						points++
						b.breaks++
					}
				}
				o.close(&b.figures)
				b.verify(t)
				t.Logf("to the server %v, with everything kept %v, within messages %v: %d messages", toServer, kept, torn, k-4*step)
			}
		}
	}
	t.Logf("%d fail points: %v", points, b.figures)
}

// C1: the program is killed at a message of a batch, which the server gets, or
// half of it, or not.
func TestFailPoints_TheProgramIsKilledAtAMessage(t *testing.T) {
	b := openBooks(t, newDatabase(t, sharedServer(t)))
	p := newProxy(t, b.address)
	r := seeded(t)
	for round := range sized(t, "kills", 12, 40) {
		name := fmt.Sprintf("m%d", round)
		dir := newRound(t, name)
		w := hire(t, assignment{Database: through(t, b.address, p), Logs: dir, Name: name, Clients: 8, Seed: r.Uint64()})
		eventually(t, "answers", func() bool { return answers(dir, name) > 20 })
		toServer, k, n, part := round%2 == 0, 1+r.Int64N(80), atomic.Int64{}, r.IntN(3)
		killed := make(chan bool)
		p.set(func(m *packet) verdict {
			if m.toServer != toServer || n.Add(1) != k {
				return m.forward()
			}
			w.kill()
			close(killed)
			return verdict{len(m.raw) * part / 2, true}
		}, nil)
		<-killed
		p.set(nil, nil)
		p.cutAll()
		b.breaks++
		b.settle(t, dir, name)
	}
	b.verify(t)
	t.Log(b.figures)
}
