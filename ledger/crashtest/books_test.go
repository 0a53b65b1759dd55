package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"meguri/internal/sqldb"
	"meguri/ledger"
	"meguri/ledger/sqlstore"
)

// answer is what a client was told: the code of a refusal, or what was posted.
type answer struct {
	Code  string
	Print string
	Seq   ledger.Seq
	At    int64 // the size of the trace
}

func answerOf(o ledger.Outcome, err error, at int64) answer {
	a := answer{Code: ledger.RefusalCode(err), At: at}
	if err == nil {
		a.Print, a.Seq = fingerprint(&o.Posted), o.Posted.Last()
	}
	return a
}

func (a answer) String() string { return fmt.Sprintf("%q %q %d %d", a.Code, a.Print, a.Seq, a.At) }

// same reports whether two answers say the same.
func (a answer) same(b answer) bool { return a.Code == b.Code && a.Print == b.Print && a.Seq == b.Seq }

// sent is one request of a client, as its log has it.
type sent struct {
	op
	answer *answer // nil when there was none
}

// figures are what a test comes to.
type figures struct {
	rounds, breaks    int // and how often something was killed or cut
	sent, answered    int
	unanswered, stood int // sent and not answered, and how many of those were found in the ledger
	checking          int // answers "it is being checked"
	unavailable, busy int // answers "nothing was recorded"
	resent, verified  int
	lost, lostStood   int // batches whose answer was lost and whose fate was learned, and those that stood
	transactions      int64
}

func (f figures) String() string {
	return fmt.Sprintf("%d rounds, %d breaks; %d sent, %d answered, %d without an answer, of which %d stood; "+
		"%d batches whose commit was not answered and whose fate the writer learned, of which %d stood; "+
		"%d times \"checking\", %d \"unavailable\", %d \"busy\"; %d sent again with the same answer; verified %d times, %d transactions in the end",
		f.rounds, f.breaks, f.sent, f.answered, f.unanswered, f.stood, f.lost, f.lostStood, f.checking, f.unavailable, f.busy, f.resent, f.verified, f.transactions)
}

// books is the side of the test, with a store of its own: another writer of the
// ledger, which looks at what stands and sends again what was sent.
type books struct {
	figures
	address string
	db      *sqldb.DB
	store   *sqlstore.Store
	writer  *ledger.Writer
	stop    context.CancelFunc
	end     ledger.Seq // what is before was looked at
}

// openBooks opens a ledger, founds the town in it and closes the books with the
// test.
func openBooks(t testing.TB, address string) *books {
	t.Helper()
	b := &books{address: address}
	b.open(t)
	t.Cleanup(b.close)
	found(t, b.store)
	return b
}

func (b *books) open(t testing.TB) {
	t.Helper()
	b.db = open(t, b.address)
	store, err := sqlstore.Open(context.Background(), b.db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.store, b.stop, b.writer = store, stop, ledger.NewWriter(ctx, store, slog.New(slog.DiscardHandler))
}

func (b *books) close() {
	if b.db == nil {
		return
	}
	b.stop()
	_ = b.writer.Wait() // it was asked to stop
	_ = b.db.Close()    // nothing to lose
	b.db = nil
}

// again does something until the database answers.
func again[T any](t testing.TB, what string, fn func() (T, error)) (v T) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if v, err = fn(); err == nil {
			return v
		}
	}
	t.Fatalf("%s: %v", what, err)
	return v
}

// readLogs reads what the clients of a round sent and were answered. A last
// line without an end was not written, so what it tells was not done.
func readLogs(t testing.TB, dir string, f *figures) map[string][]*sent {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*sent{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		var list []*sent
		for _, line := range lines[:len(lines)-1] {
			kind, rest, _ := strings.Cut(line, " ")
			switch kind {
			case "S":
				s := &sent{}
				if err := json.Unmarshal([]byte(rest), &s.op); err != nil {
					t.Fatalf("%s: %q: %v", name, line, err)
				}
				list = append(list, s)
			case "A":
				a := &answer{}
				if _, err := fmt.Sscanf(rest, "%q %q %d %d", &a.Code, &a.Print, &a.Seq, &a.At); err != nil {
					t.Fatalf("%s: %q: %v", name, line, err)
				}
				list[len(list)-1].answer = a
			case "E":
				switch kind, _, _ := strings.Cut(rest, " "); kind {
				case "checking":
					f.checking++
				case "unavailable":
					f.unavailable++
				case "busy":
					f.busy++
				default:
					t.Errorf("%s was answered %s", list[len(list)-1].ID, rest)
				}
			}
		}
		all[filepath.Base(name)] = list
	}
	return all
}

// answers counts the answers in the logs of a round so far, of the clients whose
// names begin in a way.
func answers(dir, name string) (n int) {
	files, _ := filepath.Glob(filepath.Join(dir, name+"-*")) // the pattern is right
	for _, name := range files {
		text, _ := os.ReadFile(name) // it is there
		n += strings.Count(string(text), "\nA ")
	}
	return n
}

// settle holds what the clients of a round know against the ledger. The workers
// of the round have ended, and nobody else writes.
func (b *books) settle(t testing.TB, dir, round string) {
	t.Helper()
	b.rounds++
	clients := readLogs(t, dir, &b.figures)
	lost, _ := os.ReadFile(dir + fates) // there is none where there was no worker
	b.lost += strings.Count(string(lost), "\n")
	b.lostStood += strings.Count(string(lost), "true\n")
	stored := b.news(t, round)
	known := map[string]bool{}
	for _, list := range clients {
		for _, s := range list {
			known[s.ID] = true
			b.sent++
			have, stands := stored[s.ID]
			switch {
			case s.answer == nil:
				b.unanswered++
				if stands {
					b.stood++
				}
			case !stands:
				t.Errorf("%s %s was answered and is not in the ledger", s.Kind, s.ID)
			case !s.answer.same(have):
				t.Errorf("%s %s was answered %v and stands as %v", s.Kind, s.ID, s.answer, have)
			}
			if s.answer != nil {
				b.answered++
			}
		}
	}
	for id := range stored {
		if !known[id] {
			t.Errorf("%s stands and was sent by nobody", id)
		}
	}
	b.resend(t, clients, stored)
	if t.Failed() {
		t.FailNow() // with one fault, and not with all that follow from it
	}
}

// news is what was posted since the last look, and refused in this round.
func (b *books) news(t testing.TB, round string) map[string]answer {
	t.Helper()
	ctx := context.Background()
	stored := map[string]answer{}
	for {
		page := again(t, "read changes", func() ([]ledger.Posted, error) { return b.store.Changes(ctx, b.end, 10_000) })
		for i := range page {
			p := &page[i]
			b.end = p.Last()
			if p.Kind == ledger.Release { // the ledger's own
				continue
			}
			if _, twice := stored[p.ID]; twice {
				t.Errorf("%s stands twice", p.ID)
			}
			stored[p.ID] = answer{Print: fingerprint(p), Seq: p.Last()}
		}
		if len(page) == 0 {
			break
		}
	}
	refused := again(t, "read refusals", func() (map[string]string, error) { return refusals(ctx, b.db, round) })
	for id, code := range refused {
		if _, twice := stored[id]; twice {
			t.Errorf("%s stands and is refused", id)
		}
		stored[id] = answer{Code: code}
	}
	return stored
}

func refusals(ctx context.Context, db *sqldb.DB, round string) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, code FROM refusals WHERE id >= $1 AND id < $2", round+"-", round+".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err tells
	all := map[string]string{}
	for rows.Next() {
		var id, code string
		if err := rows.Scan(&id, &code); err != nil {
			return nil, err
		}
		all[id] = code
	}
	return all, rows.Err()
}

// resend sends everything of a round again, each client's in its order, and
// works out from the answers what each client must have.
func (b *books) resend(t testing.TB, clients map[string][]*sent, stored map[string]answer) {
	t.Helper()
	ctx := context.Background()
	var wg sync.WaitGroup
	for resident, list := range clients {
		var txs []ledger.Transaction
		for _, s := range list {
			txs = append(txs, s.tx())
		}
		outcomes := again(t, "send again", func() ([]ledger.Outcome, error) { return b.store.Post(ctx, txs...) })
		var p purse
		for i, s := range list {
			o := &outcomes[i]
			got := answerOf(*o, o.Err, 0)
			have, stands := stored[s.ID]
			switch {
			case o.Err != nil && !ledger.IsRefusal(o.Err):
				t.Errorf("%s %s, sent again: %v", s.Kind, s.ID, o.Err)
			case s.answer != nil && !s.answer.same(got):
				t.Errorf("%s %s was answered %v and then %v", s.Kind, s.ID, s.answer, got)
			case stands && !have.same(got):
				t.Errorf("%s %s stood as %v and is answered %v", s.Kind, s.ID, have, got)
			case stands && !o.Replay:
				t.Errorf("%s %s stood and was posted again", s.Kind, s.ID)
			case !stands && o.Replay: // a batch of a program that was killed landed after the look at the ledger
				b.stood++
			}
			switch moved, err := p.apply(s.op, got.Code); {
			case err != nil:
				t.Error(err)
			case got.Code == "" && o.Posted.Total() != moved:
				t.Errorf("%s %s moved %d yen, want %d", s.Kind, s.ID, o.Posted.Total(), moved)
			}
		}
		b.resent += len(list)
		wg.Go(func() { b.count(t, resident, &p) })
	}
	wg.Wait()
	b.end = again(t, "read the end", func() (ledger.Seq, error) { return b.store.End(ctx) })
}

// count holds what a resident has against what follows from the answers.
func (b *books) count(t testing.TB, resident string, p *purse) {
	t.Helper()
	for i := range p.holds {
		if o := &p.holds[i]; !o.lasts() {
			time.Sleep(time.Until(o.Until)) // so that there is no doubt about it
		}
	}
	lots := again(t, "read balances", func() ([]ledger.Balance, error) { return b.store.BalancesOf(context.Background(), resident) })
	var got purse
	var held ledger.Yen
	for i := range lots {
		switch lots[i].Programme {
		case voucher:
			got.voucher += lots[i].Value()
		case points:
			got.points += lots[i].Value()
		}
		held += lots[i].HeldDebits
	}
	if want := p.held(time.Now()); got.voucher != p.voucher || got.points != p.points || held != want {
		t.Errorf("%s has %d yen and %d points with %d held, and its answers come to %d, %d and %d",
			resident, got.voucher, got.points, held, p.voucher, p.points, want)
	}
}

// verify recomputes the whole ledger.
func (b *books) verify(t testing.TB) {
	t.Helper()
	audit := again(t, "verify", func() (ledger.Audit, error) {
		audit, err := ledger.Verify(context.Background(), b.store, func(int64) {})
		if fault := (*ledger.FaultError)(nil); errors.As(err, &fault) {
			t.Fatal(fault)
		}
		return audit, err
	})
	b.verified++
	b.transactions = audit.Transactions
}
