package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"meguri/internal/sqldb"
	"meguri/ledger"
	"meguri/ledger/sqlstore"
)

const workerEnv = "MEGURI_CRASH_WORKER"

// assignment is what a worker is told, as JSON in workerEnv.
type assignment struct {
	Database string
	Logs     string // folder
	Name     string // of the round: every key and resident begins with it
	Clients  int
	Ops      int // of each client; 0 is until SIGTERM
	Seed     uint64
	Trace    string // file that grows with every write to the disk: its size is the time

	Readers int // keep a SQLite file's checkpoints from copying the whole log
}

// report is what a worker says in the end.
type report struct {
	Takeovers int64
	Fault     string   // why the writer stopped
	Storage   bool     // and whether that is ledger.ErrStorage
	After     []string // what it said to requests after that
}

// fates is the end of the name of a file beside the logs, to which a line is
// added for every batch whose answer was lost: "true" when it stood.
const fates = ".fates"

const storageFailed = 3 // exit code of a worker whose writer stopped by itself

// work is the program that is killed.
func work(text string) int {
	var a assignment
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		panic(err)
	}
	db, err := sqldb.Open(context.Background(), a.Database)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	store, err := sqlstore.Open(context.Background(), db, time.Now)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	counts := &counter{}
	if counts.fates, err = os.OpenFile(a.Logs+fates, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		panic(err)
	}
	running, stop := context.WithCancel(context.Background())
	writer := ledger.NewWriter(running, store, slog.New(counts))
	for range a.Readers {
		go func() {
			for {
				if err := linger(db); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
			}
		}()
	}
	term, ignore := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer ignore()
	fmt.Println("ready")

	var wg sync.WaitGroup
	var after sync.Map
	for i := range a.Clients {
		wg.Go(func() {
			c := newClient(writer, &a, i)
			c.run(term, a.Ops)
			for n := range 3 { // what a writer that has stopped says to new requests
				select {
				case <-writer.Done():
					o := c.purse.next(c.rand, fmt.Sprintf("%s-after-%d", c.resident, n), c.resident)
					_, err := writer.Post(term, o.tx())
					after.Store(kindOf(err), true)
				default:
				}
			}
		})
	}
	wg.Wait()
	stop()
	fault := writer.Wait()
	r := report{Takeovers: store.Takeovers()}
	after.Range(func(kind, _ any) bool { r.After = append(r.After, kind.(string)); return true })
	if fault != nil {
		r.Fault, r.Storage = fault.Error(), errors.Is(fault, ledger.ErrStorage)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
	if fault != nil {
		return storageFailed
	}
	_ = db.Close() // nothing is written any more
	return 0
}

// linger reads the ledger as it is now for some time, and goes away for longer.
func linger(db *sqldb.DB) error {
	rows, err := db.Query("SELECT id FROM refusals UNION ALL SELECT 'none'")
	if err != nil {
		return err
	}
	rows.Next()
	time.Sleep(rand.N(10 * time.Millisecond))
	err = rows.Close()
	time.Sleep(rand.N(40 * time.Millisecond))
	return err
}

// client is somebody at a till: one request after the other, each with a key
// that is written down before it is sent for the first time, and sent until
// there is an answer.
type client struct {
	writer   *ledger.Writer
	rand     *rand.Rand
	resident string
	log      *os.File
	trace    string
	purse    purse
	count    int
	unsaid   func(o *op) // is told of every answer that nothing was recorded
}

func newClient(w *ledger.Writer, a *assignment, i int) *client {
	name := fmt.Sprintf("%s-%d", a.Name, i)
	log, err := os.OpenFile(filepath.Join(a.Logs, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return &client{writer: w, rand: rand.New(rand.NewPCG(a.Seed, uint64(i))), resident: name, log: log, trace: a.Trace}
}

// write adds a line to the client's log with one write(2), so that a kill
// leaves it whole or not at all, but for a last line that has no end.
func (c *client) write(format string, args ...any) {
	if _, err := c.log.WriteString(fmt.Sprintf(format, args...) + "\n"); err != nil {
		panic(err)
	}
}

// run does a number of things, or goes on until ctx ends. What was sent gets its
// answer even then, for a while.
func (c *client) run(ctx context.Context, ops int) {
	for n := 0; ctx.Err() == nil && (ops == 0 || n < ops); n++ {
		c.count++
		o := c.purse.next(c.rand, fmt.Sprintf("%s-%d", c.resident, c.count), c.resident)
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		c.write("S %s", text)
		if !c.send(ctx, &o) {
			return
		}
	}
}

func (c *client) send(ctx context.Context, o *op) bool {
	var end time.Time
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 80*time.Millisecond) {
		outcome, err := c.writer.Post(context.Background(), o.tx())
		if err == nil || ledger.IsRefusal(err) {
			c.write("A %s", answerOf(outcome, err, c.size()))
			_, _ = c.purse.apply(*o, ledger.RefusalCode(err)) // the parent looks whether it is right
			return true
		}
		if c.unsaid != nil && !errors.Is(err, ledger.ErrChecking) {
			c.unsaid(o)
		}
		kind := kindOf(err)
		c.write("E %s %q", kind, err)
		if kind == "other" { // no answer that a client could live with: the test fails for it
			return false
		}
		select {
		case <-c.writer.Done():
			return false
		default:
		}
		switch now := time.Now(); {
		case ctx.Err() == nil:
		case end.IsZero():
			end = now.Add(20 * time.Second)
		case now.After(end):
			return false
		}
		time.Sleep(wait)
	}
}

// size is how much was written to the disk so far.
func (c *client) size() int64 {
	if c.trace == "" {
		return 0
	}
	info, err := os.Stat(c.trace)
	if err != nil {
		panic(err)
	}
	return info.Size()
}

// kindOf is the one word for an error that is no answer.
func kindOf(err error) string {
	switch {
	case errors.Is(err, ledger.ErrChecking):
		return "checking"
	case errors.Is(err, ledger.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ledger.ErrBusy):
		return "busy"
	case errors.Is(err, ledger.ErrClock):
		return "clock"
	}
	return "other"
}

// counter is a log that only counts the batches whose answer was lost.
type counter struct {
	mu          sync.Mutex
	lost, stood int
	fates       *os.File // may be nil
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counter) WithGroup(string) slog.Handler            { return c }
func (c *counter) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "stands" {
			return true
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lost++
		if a.Value.Bool() {
			c.stood++
		}
		if c.fates != nil {
			_, _ = fmt.Fprintln(c.fates, a.Value.Bool()) // only a figure
		}
		return false
	})
	return nil
}

// worker is a running program.
type worker struct {
	*exec.Cmd
	said *bufio.Scanner
	errs *strings.Builder
}

// hire starts a worker and waits until its clients begin.
func hire(t testing.TB, a assignment, env ...string) *worker {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{Cmd: exec.Command(self), errs: &strings.Builder{}}
	w.Env = append(append(os.Environ(), workerEnv+"="+string(text)), env...)
	w.Stderr = w.errs
	out, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.said = bufio.NewScanner(out)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Process.Kill() }) // does nothing to one that has ended
	if !w.said.Scan() || w.said.Text() != "ready" {
		_ = w.Wait() // what it says on stderr is more
		t.Fatalf("the worker did not begin: %s", w.errs)
	}
	return w
}

// kill is kill -9.
func (w *worker) kill() {
	_ = w.Process.Kill() // it is there, or was killed before
	_ = w.Wait()
}

// dismiss lets a worker end by itself: what was sent is answered.
func (w *worker) dismiss(t testing.TB) report {
	t.Helper()
	if err := w.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r, code := w.end(t)
	if code != 0 {
		t.Fatalf("the worker ended with %d: %+v\n%s", code, r, w.errs)
	}
	return r
}

// end waits for a worker and returns what it says, and its exit code.
func (w *worker) end(t testing.TB) (r report, code int) {
	t.Helper()
	if w.said.Scan() {
		if err := json.Unmarshal(w.said.Bytes(), &r); err != nil {
			t.Fatalf("the worker says %q: %v", w.said.Text(), err)
		}
	}
	_ = w.Wait() // the code says it
	return r, w.ProcessState.ExitCode()
}
