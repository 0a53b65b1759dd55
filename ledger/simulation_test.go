package ledger_test

import (
	"container/heap"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/ledgertest"
)

var seeds = flag.Int("ledger.seeds", 2000, "seeds of TestSimulation")

// A simulation is clients, writers and a store that fails in every way it may,
// on one goroutine and a made-up clock, so that a seed is a run. Clients send
// again until they are answered; writers are those of the ledger, told when to
// take their turn; what happens while one of them waits happens inside its wait.
// -ledger.seed replays one.
func TestSimulation_WhatIsAnsweredIsTrue(t *testing.T) {
	first, n := uint64(1), *seeds
	if testing.Short() {
		n = min(n, 200)
	}
	if *seed != 0 {
		first, n = *seed, 1
	}
	var total tally
	for s := first; s < first+uint64(n); s++ {
		counts, err := simulate(s, bug{})
		if err != nil {
			t.Fatalf("go test ./ledger -run TestSimulation -ledger.seed %d:\n%v", s, err)
		}
		total.add(counts)
	}
	t.Logf("%+v", total)
	if *seed == 0 {
		total.check(t)
	}
}

// The simulation would be worth nothing if it passed anything: each of these
// bugs is found.
func TestSimulation_FindsBugs(t *testing.T) {
	for name, b := range map[string]struct {
		bug
		want string
	}{
		"a store says of a batch that is lost that it stands":  {bug{standsLies: true}, "was answered"},
		"a store lets a batch land after it said it will not":  {bug{landsLate: true}, "is recorded by"},
		"a store loses a batch that it has answered":           {bug{loses: true}, "was answered"},
		"a store commits a batch twice":                        {bug{twice: true}, "after"},
		"a writer answers before the fate of a batch is known": {bug{hasty: true}, "was answered"},
		"a writer gives a batch up whose fate is not known":    {bug{denies: true}, "was told that nothing was recorded"},
		"a writer fails the neighbours of a bad transaction":   {bug{noHalves: true}, "nothing is wrong with it"},
	} {
		t.Run(name, func(t *testing.T) {
			for s := uint64(1); s <= 300; s++ {
				if _, err := simulate(s, b.bug); err != nil {
					if !strings.Contains(err.Error(), b.want) {
						t.Errorf("seed %d: got %v, want %q", s, err, b.want)
					}
					return
				}
			}
			t.Error("it was not found by any of 300 seeds")
		})
	}
}

// bug is what is planted.
type bug struct{ standsLies, landsLate, loses, twice, hasty, denies, noHalves bool }

// tally counts what a simulation has gone through, to see that it does.
type tally struct {
	commands, posted, refused, replays, conflicts         int
	busy, unavailable, checking, clock, poison, withdrawn int
	lost, landed, dropped, inFlight, storage              int
	unanswered, crashed, unwound, neighbours              int
}

func (t *tally) add(u tally) {
	into, from := reflect.ValueOf(t).Elem(), reflect.ValueOf(u)
	for i := range from.NumField() {
		*(*int)(into.Field(i).Addr().UnsafePointer()) += int(from.Field(i).Int())
	}
}

// check fails when something that may happen did not, or a hundred times too
// seldom.
func (t *tally) check(tb testing.TB) {
	v := reflect.ValueOf(*t)
	for i := range v.NumField() {
		if v.Field(i).Int() < 20 {
			tb.Errorf("the simulations had only %d times: %s", v.Field(i).Int(), v.Type().Field(i).Name)
		}
	}
}

type sim struct {
	tally
	bug
	rng     *rand.Rand
	now     time.Time     // by a clock that is right
	skew    time.Duration // of the clock that the ledger has
	calm    bool          // nothing fails any more
	events  events
	serial  int
	store   *shaky
	offices []*office
	clients []*client
	sent    []ledger.Transaction // once each
	acked   map[key]ledger.Outcome
	denied  []denial
	wrong   error // the first thing
}

// key is a request: an ID and its content.
type key struct {
	id      string
	request ledger.Digest
}

// denial is an answer that nothing was recorded by an attempt.
type denial struct {
	key
	attempt, why string
}

type event struct {
	at time.Time
	n  int
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// simulate runs one seed.
func simulate(seed uint64, b bug) (tally, error) {
	s := &sim{bug: b, rng: rand.New(rand.NewPCG(seed, 7)), now: ledgertest.NewClock().Now(), acked: map[key]ledger.Outcome{}}
	memory := ledgertest.NewMemory(s.wall)
	trial, err := ledgertest.NewTrial(memory, s.wall)
	if err != nil {
		return s.tally, err
	}
	s.store = &shaky{Memory: memory, sim: s, trial: trial, recorded: map[string]recorded{}, fates: map[string]bool{}, tainted: map[string]bool{}}
	town := &ledgertest.Town{Dice: dice{s.rng}, Residents: 3, Shops: 2, Limit: 100}
	if err := trial.Open(context.Background(), town.Accounts()...); err != nil {
		return s.tally, err
	}
	for range 1 + s.rng.IntN(2) {
		s.offices = append(s.offices, &office{sim: s})
	}
	for i := range 2 + s.rng.IntN(4) {
		c := &client{sim: s, name: fmt.Sprint("c", i), town: town, left: 5 + s.rng.IntN(15)}
		s.clients = append(s.clients, c)
		s.after(s.upTo(time.Second), c.next)
	}
	for _, o := range s.offices {
		o.start()
	}
	s.after(s.upTo(time.Minute), s.trouble)
	for steps := 0; len(s.events) > 0 && s.wrong == nil && s.working(); steps++ {
		if steps > 100_000 {
			return s.tally, errors.New("it never ends")
		}
		s.step()
	}
	if s.wrong == nil {
		s.wrong = s.settle()
	}
	return s.tally, s.wrong
}

type dice struct{ *rand.Rand }

func (d dice) Throw(sides int) int { return d.IntN(sides) }

func (s *sim) wall() time.Time { return s.now.Add(s.skew) }

func (s *sim) fail(format string, args ...any) {
	if s.wrong == nil {
		s.wrong = fmt.Errorf(format, args...)
	}
}

// chance is how something may go wrong: so many times in a hundred.
func (s *sim) chance(percent int) bool { return !s.calm && s.rng.IntN(100) < percent }

func (s *sim) upTo(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }

func (s *sim) after(d time.Duration, do func()) {
	heap.Push(&s.events, event{s.now.Add(d), s.n(), do})
}

func (s *sim) step() {
	e := heap.Pop(&s.events).(event)
	if e.at.After(s.now) {
		s.now = e.at
	}
	e.do()
}

// pass lets time go by within a wait, and what is due in it happen.
func (s *sim) pass(d time.Duration) {
	until := s.now.Add(d)
	for len(s.events) > 0 && !s.events[0].at.After(until) && s.wrong == nil {
		s.step()
	}
	if until.After(s.now) {
		s.now = until
	}
}

func (s *sim) working() bool {
	for _, c := range s.clients {
		if c.left > 0 || c.busy {
			return true
		}
	}
	return false
}

// trouble is what happens to machines: processes end, clocks jump.
func (s *sim) trouble() {
	o := s.offices[s.rng.IntN(len(s.offices))]
	switch s.rng.IntN(5) {
	case 0:
		o.crash()
	case 1:
		o.stop()
	case 2:
		s.skew += s.upTo(2 * time.Hour)
	case 3:
		s.skew -= s.upTo(2 * time.Hour)
	case 4:
		s.skew -= s.upTo(30 * time.Second)
	}
	s.after(s.upTo(4*time.Minute), s.trouble)
}

// office is a process with a writer. It crashes, with its queue, and comes back.
type office struct {
	*sim
	w      *ledger.Writer
	stopIt context.CancelFunc
	ctx    context.Context
	alive  bool
	busy   bool // it is taking a turn, and may be waiting in it
	doomed bool // it crashes when it goes on
}

// crashed unwinds an office that is in the middle of something.
type crashed struct{ *office }

func (o *office) start() {
	if o.alive {
		return
	}
	o.ctx, o.stopIt = context.WithCancel(context.Background())
	o.w = ledger.NewIdleWriter(&counter{o.store, o}, 1+o.rng.IntN(6), func(_ context.Context, d time.Duration) { o.wait(d) })
	o.alive, o.busy, o.doomed = true, false, false
	o.after(0, o.tick)
}

// tick is the sweep of an office that has nothing else to do.
func (o *office) tick() {
	if w := o.w; o.alive {
		o.turn()
		o.after(time.Second+o.upTo(time.Second), func() {
			if o.w == w {
				o.tick()
			}
		})
	}
}

// turn lets the writer post what waits.
func (o *office) turn() {
	if !o.alive || o.busy {
		return
	}
	o.busy = true
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(crashed{o}) {
				panic(r)
			}
		}()
		o.w.Turn(o.ctx)
	}()
	o.busy = false
	switch {
	case o.doomed:
		o.unwound++
		o.die()
	case o.w.Fault() != nil || o.ctx.Err() != nil:
		o.close()
	default:
		for _, c := range o.clients {
			if call := c.call; call != nil && call.office == o {
				if outcome, err, ok := call.request.Answered(); ok {
					c.answered(call, outcome, err)
				}
			}
		}
		if payments, bulk := o.w.Waiting(); payments+bulk > 0 {
			o.after(0, o.turn)
		}
	}
}

// wait lets time go by for an office.
func (o *office) wait(d time.Duration) {
	o.pass(d)
	if o.doomed {
		panic(crashed{o})
	}
}

func (o *office) crash() {
	if !o.alive {
		return
	}
	o.crashed++
	if o.doomed = true; !o.busy {
		o.die()
	}
}

// die loses the queue. An answer may have gone out just before.
func (o *office) die() {
	o.alive = false
	for _, c := range o.clients {
		call := c.call
		if call == nil || call.office != o {
			continue
		}
		if outcome, err, ok := call.request.Answered(); ok && o.rng.IntN(2) == 0 {
			c.answered(call, outcome, err)
		} else {
			c.lost(call)
		}
	}
	o.after(o.upTo(20*time.Second), o.start)
}

// stop ends the process in good order.
func (o *office) stop() {
	if !o.alive {
		return
	}
	if o.stopIt(); !o.busy {
		o.close()
	}
}

func (o *office) close() {
	o.alive = false
	for _, c := range o.clients {
		if call := c.call; call != nil && call.office == o {
			outcome, err := call.request.Stopped(o.w.Fault())
			c.answered(call, outcome, err)
		}
	}
	o.after(o.upTo(20*time.Second), o.start)
}

// client sends commands, one after the other, each until it is answered.
type client struct {
	*sim
	name string
	town *ledgertest.Town
	left int
	busy bool
	call *call
}

// call is one attempt.
type call struct {
	tx      ledger.Transaction
	attempt int
	label   string // stands in the ledger with what this attempt recorded
	office  *office
	request *ledger.Request
}

const poison = "poison"

func (c *client) next() {
	if c.left == 0 {
		c.busy = false
		return
	}
	c.left--
	c.busy = true
	c.commands++
	tx := c.town.Command(c.wall())
	if c.rng.IntN(25) == 0 {
		tx.ID, tx.Reason = fmt.Sprint("bad", len(c.sent)), poison
	}
	tx.Request = tx.Digest()
	c.sent = append(c.sent, tx)
	c.send(tx, 1)
}

func (c *client) send(tx ledger.Transaction, attempt int) {
	o := c.offices[c.rng.IntN(len(c.offices))]
	if !o.alive { // nobody is there
		c.after(c.upTo(5*time.Second), func() { c.send(tx, attempt) })
		return
	}
	call := &call{tx: tx, attempt: attempt, label: fmt.Sprintf("%s#%d", c.name, c.n()), office: o}
	tx.Actor = call.label
	var err error
	if call.request, err = o.w.Hand(tx); err != nil {
		c.answered(call, ledger.Outcome{}, err)
		return
	}
	c.call = call
	c.after(c.upTo(5*time.Millisecond), o.turn)
	patience, reason := 10*time.Second, ledger.ErrBusy
	if c.rng.IntN(10) == 0 { // the caller goes away
		patience, reason = c.upTo(patience), context.Canceled
	}
	c.after(patience, func() {
		if c.call == call {
			outcome, err := call.request.GiveUp(reason)
			c.answered(call, outcome, err)
		}
	})
}

// n is another number each time.
func (s *sim) n() int { s.serial++; return s.serial }

// lost is a connection that ends without an answer.
func (c *client) lost(call *call) {
	c.call = nil
	c.unanswered++
	c.again(call)
}

// again sends a command once more, later and later; a client may have crashed
// in between, or forget about it.
func (c *client) again(call *call) {
	if c.rng.IntN(20) == 0 {
		c.after(c.upTo(time.Second), c.next) // it will be asked for in the end
		return
	}
	wait := c.upTo(min(time.Second<<min(call.attempt, 20), 10*time.Minute))
	if c.rng.IntN(10) == 0 {
		wait += c.upTo(5 * time.Minute)
	}
	c.after(wait, func() { c.send(call.tx, call.attempt+1) })
}

// answered takes an answer in, and holds it to what it says.
func (c *client) answered(call *call, o ledger.Outcome, err error) {
	c.call = nil
	tx := call.tx
	if o.Err != nil {
		err = nil // it is the same
	}
	deny := func(why error, count *int) {
		*count++
		c.denied = append(c.denied, denial{key{tx.ID, tx.Request}, call.label, why.Error()})
		c.again(call)
	}
	switch {
	case errors.Is(err, ledger.ErrChecking):
		if c.checking++; errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrBusy) {
			c.fail("%s was told two things: %v", tx.ID, err)
		}
		c.again(call)
	case errors.Is(err, ledger.ErrBusy):
		deny(err, &c.sim.busy)
	case errors.Is(err, ledger.ErrUnavailable):
		deny(err, &c.unavailable)
	case errors.Is(err, context.Canceled):
		deny(err, &c.withdrawn)
	case errors.Is(o.Err, ledger.ErrClock):
		deny(o.Err, &c.clock)
	case err == nil && (o.Err == nil || ledger.IsRefusal(o.Err)):
		c.acknowledge(tx, o)
		if c.rng.IntN(8) == 0 { // the answer did not reach the person
			c.again(call)
			return
		}
		c.after(c.upTo(2*time.Second), c.next)
	case err == nil: // a conflict, or no usable ID
		if errors.Is(o.Err, ledger.ErrConflict) {
			c.conflicts++
			if r, ok := c.store.recorded[tx.ID]; !ok || r.request == tx.Request {
				c.fail("%s: %v, and %+v is recorded", tx.ID, o.Err, r)
			}
		}
		c.after(c.upTo(2*time.Second), c.next)
	default:
		if tx.Reason != poison {
			c.fail("%s failed, and nothing is wrong with it: %v", tx.ID, err)
		}
		c.sim.poison++
		c.after(c.upTo(2*time.Second), c.next)
	}
}

// acknowledge compares an answer with what is in the store, and with the answers
// that were given before.
func (s *sim) acknowledge(tx ledger.Transaction, o ledger.Outcome) {
	switch {
	case o.Replay:
		s.replays++
	case o.Err != nil:
		s.refused++
	default:
		s.posted++
	}
	o.Replay = false
	o.Posted.ResolvedBy, o.Posted.ResolvedAs = "", ""
	k := key{tx.ID, tx.Request}
	if before, ok := s.acked[k]; ok && !reflect.DeepEqual(before, o) {
		s.fail("%s was answered\n%+v\nand then\n%+v", tx.ID, before, o)
	}
	s.acked[k] = o
	r, ok := s.store.recorded[tx.ID]
	if !ok || r.request != tx.Request || !errors.Is(o.Err, r.err) {
		s.fail("%s was answered %s, and %+v is recorded", tx.ID, ledgertest.AnswerOf(o), r)
	}
}

// settle ends a run: everything is sent again to a store that does not fail, and
// compared.
func (s *sim) settle() error {
	ctx := context.Background()
	s.calm = true
	s.store.land()
	if last := s.store.last; s.wall().Before(last) {
		s.skew = last.Sub(s.now)
	}
	s.skew += time.Second
	for _, d := range s.denied {
		if r, ok := s.store.recorded[d.id]; ok && r.attempt == d.attempt {
			return fmt.Errorf("%s was told that nothing was recorded (%s), and %+v is", d.id, d.why, r)
		}
	}
	for k, o := range s.acked {
		p, err := s.store.Transaction(ctx, k.id)
		if o.Err != nil {
			if !errors.Is(err, ledger.ErrNotFound) {
				return fmt.Errorf("%s was answered %v, and is read with %v", k.id, o.Err, err)
			}
			continue
		}
		p.ResolvedBy, p.ResolvedAs = "", ""
		if err != nil || !reflect.DeepEqual(p, o.Posted) {
			return fmt.Errorf("%s was answered\n%+v\nand is\n%+v, %v", k.id, o.Posted, p, err)
		}
	}
	o := &office{sim: s}
	o.start()
	for _, tx := range s.sent {
		if tx.Reason == poison {
			continue
		}
		tx.Actor = "settle"
		r, err := o.w.Hand(tx)
		if err != nil {
			return err
		}
		o.w.Turn(ctx)
		outcome, err, ok := r.Answered()
		switch {
		case !ok || err != nil && outcome.Err == nil || errors.Is(outcome.Err, ledger.ErrClock):
			return fmt.Errorf("%s sent again is answered %v, %v", tx.ID, err, outcome.Err)
		case outcome.Err == nil || ledger.IsRefusal(outcome.Err):
			s.acknowledge(tx, outcome)
		}
	}
	if s.wrong != nil {
		return s.wrong
	}
	return s.store.trial.Check(ctx, dice{s.rng})
}

// shaky is a store that fails. It keeps what it keeps in Memory, and each batch
// that lands is compared with a model.
type shaky struct {
	*ledgertest.Memory
	*sim
	trial    *ledgertest.Trial
	recorded map[string]recorded
	fates    map[string]bool
	tainted  map[string]bool // by a bad neighbour
	flying   func(bool)      // the batch whose fate is open, if there is one
	last     time.Time
}

// recorded is what stands under an ID, and by which attempt.
type recorded struct {
	request ledger.Digest
	attempt string
	err     error
}

// land decides the fate of a batch that is still on its way. Nothing passes it:
// it holds the lock.
func (k *shaky) land() {
	if f := k.flying; f != nil {
		k.flying = nil
		f(k.rng.IntN(2) == 0)
	}
}

// counter is the store as one office sees it.
type counter struct {
	*shaky
	office *office
}

var errBad = errors.New("a value is out of range for its column")

// stall is a wait within a call, in which everything else goes on.
func (c *counter) stall() {
	switch {
	case c.chance(10):
		c.office.wait(c.upTo(200 * time.Millisecond))
	case c.chance(5):
		c.office.wait(c.upTo(20 * time.Second)) // longer than a caller waits
	}
}

func (c *counter) Post(ctx context.Context, txs ...ledger.Transaction) ([]ledger.Outcome, error) {
	outcomes, err := c.post(ctx, txs)
	var unknown *ledger.UnknownError
	switch {
	case errors.As(err, &unknown) && c.hasty:
		return unknown.Outcomes, nil
	case errors.As(err, &unknown) && c.denies:
		return nil, ledger.ErrUnavailable
	}
	return outcomes, err
}

func (c *counter) post(ctx context.Context, txs []ledger.Transaction) ([]ledger.Outcome, error) {
	c.stall()
	if !c.landsLate {
		c.land()
	}
	for i := range txs {
		if txs[i].Reason == poison {
			c.neighbours += len(txs) - 1
			for j := range txs {
				c.tainted[txs[j].ID] = c.noHalves
			}
		}
		if txs[i].Reason == poison || c.tainted[txs[i].ID] {
			return nil, errBad
		}
	}
	now := c.wall()
	switch {
	case c.chance(8):
		return nil, fmt.Errorf("connect: %w", ledger.ErrUnavailable)
	case c.chance(1) && len(txs) > 0: // and nobody knows what the disk has
		c.storage++
		if c.rng.IntN(2) == 0 {
			outcomes, commit := c.Begin(txs...)
			commit()
			c.note(ctx, now, txs, outcomes)
		}
		return nil, fmt.Errorf("sync: %w", ledger.ErrStorage)
	}
	outcomes, commit := c.Begin(txs...)
	lands := func() {
		commit()
		if c.twice && c.chance(10) {
			commit()
		}
		c.note(ctx, now, txs, outcomes)
		if c.landsLate {
			c.land()
		}
	}
	if c.chance(12) && len(txs) > 0 {
		c.sim.lost++
		batch := fmt.Sprint(c.n())
		fly := func(ok bool) {
			if c.fates[batch] = ok; ok {
				c.landed++
				lands()
			} else {
				c.dropped++
			}
		}
		switch c.rng.IntN(3) {
		case 0:
			fly(true)
		case 1:
			fly(false)
		case 2:
			c.inFlight++
			c.flying = fly
		}
		c.stall()
		return nil, &ledger.UnknownError{Batch: batch, Outcomes: outcomes, Err: fmt.Errorf("commit: %w: %w", io.ErrUnexpectedEOF, ledger.ErrUnavailable)}
	}
	if c.loses && c.chance(5) {
		return outcomes, nil
	}
	lands()
	c.stall() // or crash, with the answer
	return outcomes, nil
}

// note takes down what a batch has recorded.
func (c *counter) note(ctx context.Context, now time.Time, txs []ledger.Transaction, outcomes []ledger.Outcome) {
	for i, o := range outcomes {
		if o.Replay || o.Err != nil && !ledger.IsRefusal(o.Err) {
			continue
		}
		if before, ok := c.recorded[txs[i].ID]; ok {
			c.fail("%s is recorded by %s, and was by %s", txs[i].ID, txs[i].Actor, before.attempt)
		}
		c.recorded[txs[i].ID] = recorded{txs[i].Request, txs[i].Actor, o.Err}
		if o.Err == nil {
			c.last = o.Posted.LedgerAt
		}
	}
	if err := c.trial.Follow(ctx, now, txs, outcomes); err != nil {
		c.fail("%w", err)
	}
	if n := len(c.trial.Log); n > 0 {
		c.last = c.trial.Log[n-1].LedgerAt
	}
}

func (c *counter) Stands(_ context.Context, unknown *ledger.UnknownError) (bool, error) {
	c.stall()
	switch {
	case c.chance(40):
		return false, fmt.Errorf("connect: %w", ledger.ErrUnavailable)
	case c.chance(1):
		return false, fmt.Errorf("sync: %w", ledger.ErrStorage)
	case c.standsLies:
		c.land()
		return true, nil
	case c.landsLate && c.flying != nil:
		return false, nil
	}
	c.land()
	return c.fates[unknown.Batch], nil
}

func (c *counter) Due(ctx context.Context) (bool, error) {
	c.stall()
	c.land()
	if c.chance(5) {
		return false, fmt.Errorf("connect: %w", ledger.ErrUnavailable)
	}
	return c.Memory.Due(ctx)
}
