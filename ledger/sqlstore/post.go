package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/google/uuid"

	"meguri/ledger"
)

// engine is how a batch goes to a database and back.
type engine interface {
	// unseen reports whether write is worth more than begin and look.
	unseen() bool
	// write writes a batch by itself, for which nothing had to be read. It
	// returns errStale, with nothing written, when another writer has written
	// since or an ID was answered before.
	write(ctx context.Context, r *rows) error
	// begin starts the transaction of a batch that has to be read for.
	begin(ctx context.Context) (session, error)
	// settle waits until a batch that was sent can no longer change its fate.
	settle(ctx context.Context) error
}

// session is the transaction of one batch.
type session interface {
	// lock locks the head, and reads what the batch needs in the same trip.
	lock(ctx context.Context, w want) (*found, error)
	// read reads more.
	read(ctx context.Context, w want, into *found) error
	// write writes what came of it and commits. An error that wraps errUnknown
	// leaves open whether it did.
	write(ctx context.Context, r *rows) error
	// end gives the session back, after rolling back what was not committed.
	end()
}

var (
	// errUnknown is a commit that was sent and not answered.
	errUnknown = errors.New("the answer to the commit was lost")
	// errStale is a batch that was folded on what is not so any more.
	errStale = errors.New("the state is not current")
)

// maxDue is the most holds that one batch releases.
const maxDue = 2000

// want is what is to be read.
type want struct {
	ledger.Needs
	due   bool  // the holds whose time is up
	until int64 // by then, in microseconds
	slack int64 // or that long after the last entry
}

// head is the end of the ledger.
type head struct {
	epoch  int64
	writer string
	batch  int64

	accounts int64 // the last one's number

	seq  ledger.Seq
	at   int64
	seal string
}

// found is what was read for a batch.
type found struct {
	head     head
	posted   map[string]*ledger.Posted
	refused  []refused
	accounts []numbered
	closed   []ledger.Closing
	due      []string
	lastDue  int64 // when the last of them ends
	nextDue  int64 // when the first hold ends that is not among them
}

type refused struct {
	id      string
	request ledger.Digest
	code    ledger.Refusal
}

func newFound() *found { return &found{posted: map[string]*ledger.Posted{}} }

// addTransfer adds a row of a transaction.
func (f *found) addTransfer(t transfer) {
	p := f.posted[t.posted.ID]
	if p == nil {
		p = &t.posted
		f.posted[p.ID] = p
	}
	if n := len(p.Entries); n == 0 || p.Entries[n-1].Seq < t.entry.Seq { // it may have been read before
		p.Entries = append(p.Entries, t.entry)
	}
}

// addClose adds what a transaction has closed, or all of it if nothing moved.
func (f *found) addClose(c ledger.Posted) {
	if p := f.posted[c.ID]; p != nil {
		p.Closed = c.Closed
		return
	}
	f.posted[c.ID] = &c
}

// rows is what a batch writes.
type rows struct {
	delta *ledger.Delta
	head  head // as it was
	next  head // as it becomes
	first ledger.Seq
	token string
	holds []*ledger.Posted // that are open after the batch

	opened, changed []int64  // the accounts' numbers
	ended           []string // holds that the batch ended and had not begun
}

// Post implements ledger.Store.
func (s *Store) Post(ctx context.Context, txs ...ledger.Transaction) ([]ledger.Outcome, error) {
	s.posting.Lock()
	defer s.posting.Unlock()
	for {
		outcomes, more, err := s.post(ctx, txs)
		var unknown *ledger.UnknownError
		switch {
		case errors.As(err, &unknown):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("post %d transactions: %w", len(txs), err)
		case !more:
			return outcomes, nil
		}
	}
}

// kept is what the store keeps from one batch to the next: a state, and the
// head that it belongs to. It is current as long as the head is, which every
// batch finds out under the head's lock, or by its number being taken.
type kept struct {
	state   *ledger.State // nil when nothing is kept
	head    head
	numbers map[ledger.AccountID]int64
	nextDue int64 // no hold ends before
	careful int   // batches for which to look before writing
}

// lookAfter is how many batches look before they write, after one that wrote
// without looking found an ID that was answered long ago: there may be more.
const lookAfter = 20

// post posts a batch. When more holds are due than one batch releases, it
// releases those first, posts nothing else, and wants to be called again.
func (s *Store) post(ctx context.Context, txs []ledger.Transaction) (_ []ledger.Outcome, more bool, err error) {
	now := s.now()
	needs := ledger.NeedsOf(txs)
	bound := max(now.UnixMicro(), s.kept.head.at) + slackOf(txs)
	if s.kept.state != nil && s.kept.careful == 0 && s.engine.unseen() && bound < s.kept.nextDue {
		if m := s.kept.state.Missing(needs); len(m.Parents)+len(m.Accounts)+len(m.Residents)+len(m.Periods)+len(m.Closes) == 0 {
			outcomes, err := s.finish(txs, now, func(r *rows) error { return s.engine.write(ctx, r) })
			if !errors.Is(err, errStale) {
				return outcomes, false, err
			}
			s.kept.careful = lookAfter
		}
	}
	s.kept.careful = max(s.kept.careful-1, 0)
	return s.look(ctx, txs, needs, now)
}

// slackOf is how far a batch may carry ledger time beyond the clock, in
// microseconds: one for each transaction and for each hold that it releases.
func slackOf(txs []ledger.Transaction) int64 { return int64(len(txs)) + maxDue + 1 }

// look posts a batch after reading what it needs and what is not kept.
func (s *Store) look(ctx context.Context, txs []ledger.Transaction, needs ledger.Needs, now time.Time) (_ []ledger.Outcome, more bool, err error) {
	session, err := s.engine.begin(ctx)
	if err != nil {
		return nil, false, err
	}
	defer session.end()
	slack := slackOf(txs)
	w := want{Needs: needs, due: true, until: now.UnixMicro() + slack, slack: slack}
	if s.kept.state != nil {
		w.Needs = s.kept.state.Missing(needs)
		w.due = max(w.until, s.kept.head.at+slack) >= s.kept.nextDue
	}
	have, err := session.lock(ctx, w)
	if err != nil {
		return nil, false, err
	}
	if s.kept.state != nil && have.head != s.kept.head { // somebody else has written
		s.kept = kept{careful: s.kept.careful}
		s.takeovers.Add(1)
		w.Needs, w.due = needs, true
		if err := session.read(ctx, w, have); err != nil {
			return nil, false, err
		}
	}
	if s.kept.state == nil {
		s.kept.state = ledger.NewState(have.head.seq, instant(have.head.at))
		s.kept.numbers = map[ledger.AccountID]int64{}
	}
	s.kept.head = have.head
	if w.due {
		s.kept.nextDue = have.nextDue
		if len(have.due) > 0 && (have.lastDue > now.UnixMicro() || now.UnixMicro() < have.head.at) {
			s.kept.nextDue = 0 // some may not be due after all: look again
		}
	}
	if len(have.due) > 0 {
		more = len(have.due) == maxDue
		if more {
			txs, s.kept.nextDue = nil, 0
		}
		follow := s.kept.state.Missing(ledger.Needs{Parents: have.due})
		if err := session.read(ctx, want{Needs: follow}, have); err != nil {
			s.kept.state = nil
			return nil, false, err
		}
	}
	if err := s.add(have, w.Needs); err != nil {
		s.kept.state = nil
		return nil, false, err
	}
	outcomes, err := s.finish(txs, now, func(r *rows) error { return session.write(ctx, r) })
	if errors.Is(err, errStale) {
		err = fmt.Errorf("%w under the head's lock", err)
	}
	return outcomes, more, err
}

// add adds what was read to the kept state.
func (s *Store) add(have *found, missing ledger.Needs) error {
	state := s.kept.state
	for id, p := range have.posted {
		state.AddKnown(id, ledger.Known{Request: p.Request, Posted: p})
	}
	for _, r := range have.refused {
		state.AddKnown(r.id, ledger.Known{Request: r.request, Refusal: r.code})
	}
	for i := range have.accounts {
		state.AddAccount(have.accounts[i].Balance)
		s.kept.numbers[have.accounts[i].ID] = have.accounts[i].number
	}
	for _, c := range have.closed {
		state.AddClosed(c.Programme, c.Period)
	}
	for _, id := range have.due {
		if !state.AddDue(id) {
			return fmt.Errorf("open hold %s has no transfers", id)
		}
	}
	state.Complete(missing)
	return nil
}

// finish folds a batch on the kept state and writes what comes of it.
func (s *Store) finish(txs []ledger.Transaction, now time.Time, write func(*rows) error) ([]ledger.Outcome, error) {
	state, before := s.kept.state, s.kept.head
	delta := ledger.Fold(state, txs, now)
	if len(delta.Posted) == 0 && len(delta.Refused) == 0 {
		s.keep(before) // all of it was answered before
		return delta.Outcomes, nil
	}
	r := s.rowsOf(delta, before, state)
	switch err := write(r); {
	case err == nil:
		for _, hold := range r.holds {
			s.kept.nextDue = min(s.kept.nextDue, micros(hold.Until))
		}
		s.keep(r.next)
		return delta.Outcomes, nil
	case errors.Is(err, errStale):
		state.Forget(delta, before.seq, instant(before.at))
		return nil, err
	case errors.Is(err, errUnknown):
		s.kept.state = nil
		return nil, &ledger.UnknownError{Batch: fmt.Sprintf("%d %s", r.next.batch, r.token), Outcomes: delta.Outcomes, Err: err}
	default:
		s.kept.state = nil
		return nil, err
	}
}

func (s *Store) keep(h head) {
	s.kept.head = h
	if !s.kept.state.Keep() {
		s.kept.state = nil
	}
}

// rowsOf is what is to be written of a delta.
func (s *Store) rowsOf(d *ledger.Delta, h head, state *ledger.State) *rows {
	r := &rows{delta: d, head: h, next: h, first: h.seq + 1, token: uuid.NewString()}
	if r.next.writer != s.writer {
		r.next.writer = s.writer
		r.next.epoch++
	}
	begun := map[string]bool{}
	for _, p := range d.Posted {
		if p.Kind == ledger.Hold {
			begun[p.ID] = true
			if p.ResolvedBy == "" {
				r.holds = append(r.holds, p)
			}
		}
		if (p.Kind == ledger.Capture || p.Kind == ledger.Void || p.Kind == ledger.Release) && !begun[p.Parent] {
			r.ended = append(r.ended, p.Parent)
		}
	}
	for _, b := range d.Opened {
		r.next.accounts++
		r.opened = append(r.opened, r.next.accounts)
		s.kept.numbers[b.ID] = r.next.accounts
	}
	r.changed = make([]int64, 0, len(d.Accounts))
	for _, b := range d.Accounts {
		r.changed = append(r.changed, s.kept.numbers[b.ID])
	}
	sort.Sort((*byNumber)(r)) // rows that lie together are written together
	r.next.batch++
	r.next.seq = state.LastSeq
	r.next.at = micros(state.LastAt)
	r.next.seal = ledger.Seal(h.seal, d.Posted)
	return r
}

// byNumber sorts the changed accounts of a batch and their numbers.
type byNumber rows

func (r *byNumber) Len() int           { return len(r.changed) }
func (r *byNumber) Less(i, j int) bool { return r.changed[i] < r.changed[j] }
func (r *byNumber) Swap(i, j int) {
	r.changed[i], r.changed[j] = r.changed[j], r.changed[i]
	r.delta.Accounts[i], r.delta.Accounts[j] = r.delta.Accounts[j], r.delta.Accounts[i]
}

// Stands implements ledger.Store.
func (s *Store) Stands(ctx context.Context, unknown *ledger.UnknownError) (bool, error) {
	if err := s.engine.settle(ctx); err != nil {
		return false, err
	}
	var number int64
	var token string
	if _, err := fmt.Sscanf(unknown.Batch, "%d %s", &number, &token); err != nil {
		return false, fmt.Errorf("batch %q: %w", unknown.Batch, err)
	}
	var have string
	err := s.row(ctx, "batch_token", number)(&have)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("look for batch %d: %w", number, err)
	}
	return have == token, nil
}

// Due implements ledger.Store.
func (s *Store) Due(ctx context.Context) (bool, error) {
	var n int
	err := s.row(ctx, "due", s.now().UnixMicro())(&n)
	return n > 0, err
}

// transfer is one row of transfers, with what its transaction shares.
type transfer struct {
	posted ledger.Posted // without entries
	entry  ledger.Entry
}

func scanTransfer(scan scanner) (t transfer, err error) {
	var happened, at, until int64
	var request []byte
	p, e := &t.posted, &t.entry
	err = scan(&p.ID, &p.Kind, &p.Resident, &p.Shop, &p.Terminal, &p.Actor, &p.Reason, &p.Parent, &request,
		&happened, &at, &until, &p.BusinessOn, &p.ResolvedBy, &p.ResolvedAs,
		&e.Seq, &e.Programme, &e.Debit, &e.Credit, &e.Amount, &e.Held,
		&e.DebitAfter, &e.CreditAfter, &e.ResidentAfter, &e.DebitPrev, &e.CreditPrev)
	copy(p.Request[:], request)
	p.At, p.LedgerAt, p.Until = instant(happened), instant(at), instant(until)
	return t, err
}

func scanRefused(scan scanner) (r refused, err error) {
	var request []byte
	err = scan(&r.id, &request, &r.code)
	copy(r.request[:], request)
	return r, err
}

// scanClose reads a transaction that closed a period, without its entries.
func scanClose(scan scanner) (p ledger.Posted, err error) {
	var happened, at int64
	var request []byte
	c := &ledger.Closing{}
	err = scan(&p.ID, &c.Programme, &c.Period, &c.Cut, &p.Actor, &p.Reason, &request, &happened, &at, &p.BusinessOn)
	copy(p.Request[:], request)
	p.Kind, p.At, p.LedgerAt = ledger.Close, instant(happened), instant(at)
	c.By = p.ID
	p.Closed = c
	return p, err
}

// numbered is an account with its number in the database.
type numbered struct {
	ledger.Balance
	number int64
}

func scanBalance(scan scanner) (ledger.Balance, error) {
	a, err := scanNumbered(scan)
	return a.Balance, err
}

func scanNumbered(scan scanner) (b numbered, err error) {
	var expires int64
	err = scan(&b.number, &b.ID, &b.Programme, &b.Kind, &b.Owner, &b.Period, &b.Funding, &b.Rank, &expires, &b.Limit, &b.Closed,
		&b.Debits, &b.Credits, &b.HeldDebits, &b.HeldCredits, &b.Version, &b.LastSeq)
	b.ExpiresAt = instant(expires)
	return b, err
}

func programmesOf(periods []ledger.Closing) (ids []string) {
	for _, c := range periods {
		if n := len(ids); n == 0 || ids[n-1] != string(c.Programme) {
			ids = append(ids, string(c.Programme))
		}
	}
	return ids
}

// deadline bounds a batch: a database that says nothing for longer is as good
// as lost.
const deadline = 30 * time.Second
