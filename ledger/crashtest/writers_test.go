package crashtest

import (
	"bytes"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"meguri/internal/sqldb"
)

// pair is two programs on one ledger, whose clients' names tell them apart.
type pair struct {
	*books
	dir  string
	seed *rand.Rand
	a, b *worker
}

func newPair(t *testing.T, address string) *pair {
	t.Helper()
	return &pair{books: openBooks(t, address), dir: newRound(t, "t"), seed: seeded(t)}
}

func (p *pair) answersOf(who string) int { return answers(p.dir, "t-"+who) }

// hire starts one of the two.
func (p *pair) hire(t *testing.T, who, address string) *worker {
	t.Helper()
	return hire(t, assignment{Database: address, Logs: p.dir, Name: "t-" + who, Clients: 8, Seed: p.seed.Uint64()})
}

// goesOn waits until one of the two has so many more answers, and returns how
// long that took.
func (p *pair) goesOn(t *testing.T, who string, n int) time.Duration {
	t.Helper()
	began, before := time.Now(), p.answersOf(who)
	eventually(t, "answers of "+who, func() bool { return p.answersOf(who) >= before+n })
	return time.Since(began)
}

// stop is SIGSTOP.
func stop(t *testing.T, w *worker) {
	t.Helper()
	if err := w.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program to stop", func() bool { return state(w.Process.Pid) == "T" })
}

func resume(t *testing.T, w *worker) {
	t.Helper()
	if err := w.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// finish ends both and looks at the ledger.
func (p *pair) finish(t *testing.T) {
	t.Helper()
	a, b := p.a.dismiss(t), p.b.dismiss(t)
	if a.Takeovers == 0 || b.Takeovers == 0 {
		t.Errorf("the two found each other's batches %d and %d times, want both", a.Takeovers, b.Takeovers)
	}
	var epoch int64
	if err := p.db.QueryRow("SELECT epoch FROM ledger_head").Scan(&epoch); err != nil || epoch < 3 {
		t.Errorf("the epoch is %d, %v: the writers did not change", epoch, err)
	}
	p.settle(t, p.dir, "t")
	p.verify(t)
	t.Logf("takeovers %d and %d, epoch %d: %v", a.Takeovers, b.Takeovers, epoch, p.figures)
}

// soon is within how long the other writer must go on when one has stopped.
const soon = sqldb.LeaseTime + 10*time.Second

// C4: one of two writers is stopped anywhere, for longer than the lease.
func TestTwoWriters_OneIsStopped(t *testing.T) {
	t.Parallel()
	p := newPair(t, newDatabase(t, sharedServer(t)))
	p.a = p.hire(t, "a", p.address)
	p.b = p.hire(t, "b", p.address)
	p.goesOn(t, "a", 100)
	p.goesOn(t, "b", 100)
	stop(t, p.a)
	end := time.Now().Add(sqldb.LeaseTime + time.Second)
	longest := time.Duration(0)
	for time.Now().Before(end) {
		longest = max(longest, p.goesOn(t, "b", 10))
	}
	if longest > soon {
		t.Errorf("the other writer went on after %v, want less than %v", longest, soon)
	}
	t.Logf("while one was stopped, the other had ten answers in %v at the longest", longest)
	resume(t, p.a)
	p.goesOn(t, "a", 100)
	p.finish(t)
}

// C4: a writer is stopped when it holds the lease and has sent its batch, which
// is kept back on the way. The server ends its session with the lease, and the
// batch finds nobody.
func TestTwoWriters_StoppedBetweenLockAndWrite(t *testing.T) {
	t.Parallel()
	p := newPair(t, newDatabase(t, sharedServer(t)))
	held := newHolder('T')
	way := newProxy(t, p.address)
	p.a = p.hire(t, "a", through(t, p.address, way))
	p.b = p.hire(t, "b", p.address)
	p.goesOn(t, "a", 50)
	p.goesOn(t, "b", 50)
	way.set(held.hook, nil)
	<-held.holding
	stop(t, p.a)
	took := p.goesOn(t, "b", 50)
	if took > soon || took < sqldb.LeaseTime/2 {
		t.Errorf("the other writer went on after %v, want the lease of %v and not much more", took, sqldb.LeaseTime)
	}
	close(held.release)
	if code := <-held.code; code != "25P03" {
		t.Errorf("the server ended the session with %q, want 25P03: idle in a transaction", code)
	}
	resume(t, p.a)
	t.Logf("the other writer went on after %v", took)
	p.goesOn(t, "a", 50)
	p.finish(t)
}

// C4: a batch that is a statement of its own is kept back on the way, and its
// writer stopped. It holds no lease, so that the other one goes on at once; and
// when the batch arrives it is stale.
func TestTwoWriters_StoppedBeforeAWriteByItself(t *testing.T) {
	t.Parallel()
	p := newPair(t, newDatabase(t, sharedServer(t)))
	held := newHolder('I')
	way := newProxy(t, p.address)
	p.a = p.hire(t, "a", through(t, p.address, way))
	p.goesOn(t, "a", 200) // alone: it keeps what it needs
	way.set(held.hook, nil)
	<-held.holding
	stop(t, p.a)
	p.b = p.hire(t, "b", p.address)
	took := p.goesOn(t, "b", 200)
	if took > soon {
		t.Errorf("the other writer went on after %v", took)
	}
	close(held.release)
	if code := <-held.code; code != "22012" && code != "23505" {
		t.Errorf("the server answers the stale batch with %q, want a refusal", code)
	}
	resume(t, p.a)
	t.Logf("the other writer had 200 answers after %v", took)
	p.goesOn(t, "a", 50)
	p.goesOn(t, "b", 50)
	p.finish(t)
}

// C4 on SQLite: two programs on one file. What one of them holds while it is
// stopped is the operating system's lock, which has no lease: the other one
// waits. It goes with the program when that is killed.
func TestTwoWriters_OnOneFile(t *testing.T) {
	t.Parallel()
	p := newPair(t, newFile(t))
	p.a = p.hire(t, "a", p.address)
	p.b = p.hire(t, "b", p.address)
	p.goesOn(t, "a", 50)
	p.goesOn(t, "b", 50)
	stop(t, p.a)
	time.Sleep(time.Second)
	resume(t, p.a)
	waited := max(p.goesOn(t, "b", 50), p.goesOn(t, "a", 50))
	p.a.kill()
	p.breaks++
	took := p.goesOn(t, "b", 50)
	t.Logf("after the stop the slower one had 50 answers in %v; after the kill the other one in %v", waited, took)
	p.a = p.hire(t, "c", p.address)
	p.goesOn(t, "c", 50)
	p.goesOn(t, "b", 50)
	p.finish(t)
}

// holder keeps back the first message that writes a batch while the session is
// in a state: 'T' in a transaction, 'I' in none.
type holder struct {
	status           byte
	holding, release chan bool
	code             chan string // of the error that the session then gets
	link             atomic.Pointer[link]
}

func newHolder(status byte) *holder {
	return &holder{status: status, holding: make(chan bool), release: make(chan bool), code: make(chan string, 1)}
}

func (h *holder) hook(m *packet) verdict {
	switch {
	case m.write && byte(m.status.Load()) == h.status && h.link.CompareAndSwap(nil, m.link):
		close(h.holding)
		<-h.release
	case !m.toServer && m.kind == 'E' && h.link.Load() == m.link:
		select {
		case h.code <- errorCode(m.raw):
		default: // it has had its error
		}
	}
	return m.forward()
}

// errorCode is the SQLSTATE of an ErrorResponse.
func errorCode(raw []byte) string {
	for _, field := range bytes.Split(raw[5:], []byte{0}) {
		if len(field) > 1 && field[0] == 'C' {
			return string(field[1:])
		}
	}
	return ""
}
