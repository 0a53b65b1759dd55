package ledgertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"meguri/ledger"
)

// Auditable is a store that can be held to its books. Every store can.
type Auditable interface {
	ledger.Store
	ledger.Audited
}

// Trial is a store beside a Model and Books. What is posted goes to both, and
// the first difference is an error.
type Trial struct {
	Store Auditable
	Model *Model
	Books *Books
	Log   []*ledger.Posted // as read back

	now     func() time.Time
	closes  int // without entries
	answers []answered
}

// answered is kept of some transactions, to send them again.
type answered struct {
	tx      ledger.Transaction
	outcome ledger.Outcome
}

// NewTrial begins with an empty store on a clock.
func NewTrial(store ledger.Store, now func() time.Time) (*Trial, error) {
	s, ok := store.(Auditable)
	if !ok {
		return nil, fmt.Errorf("a %T cannot be audited", store)
	}
	return &Trial{Store: s, Model: NewModel(), now: now, Books: NewBooks(func(id ledger.AccountID) (ledger.Account, error) {
		b, err := s.Balance(context.Background(), id)
		return b.Account, err
	})}, nil
}

// Open opens accounts on both sides.
func (t *Trial) Open(ctx context.Context, accounts ...ledger.Account) error {
	for _, a := range accounts {
		t.Model.Open(a)
	}
	return t.Store.OpenAccounts(ctx, accounts...)
}

// AnswerOf is an outcome in the words of the Model.
func AnswerOf(o ledger.Outcome) string {
	answer := "posted"
	switch {
	case errors.Is(o.Err, ledger.ErrConflict):
		answer = "conflict"
	case errors.Is(o.Err, ledger.ErrClock):
		answer = "clock"
	case errors.Is(o.Err, ledger.ErrMissingID):
		answer = "missing-id"
	case errors.Is(o.Err, ledger.ErrIDTooLong):
		answer = "id-too-long"
	case ledger.IsRefusal(o.Err):
		answer = ledger.RefusalCode(o.Err)
	case o.Err != nil:
		answer = o.Err.Error()
	}
	if o.Replay {
		answer = "again " + answer
	}
	return answer
}

// Post posts one batch and compares every answer and every new row.
func (t *Trial) Post(ctx context.Context, txs ...ledger.Transaction) error {
	outcomes, err := t.Store.Post(ctx, txs...)
	if err != nil {
		return err
	}
	return t.Follow(ctx, t.now(), txs, outcomes)
}

// Follow compares what a store that was just given a batch made of it.
func (t *Trial) Follow(ctx context.Context, now time.Time, txs []ledger.Transaction, outcomes []ledger.Outcome) error {
	answers := t.Model.Post(now, txs...)
	for i, o := range outcomes {
		if got := AnswerOf(o); got != answers[i] {
			return fmt.Errorf("transaction %d of %d: got %s, want %s\n%+v", i, len(txs), got, answers[i], txs[i])
		}
		if (o.Err == nil) != (o.Posted.ID != "") {
			return fmt.Errorf("%s is answered with %v and the transaction %+v", txs[i].ID, o.Err, o.Posted)
		}
		if !o.Replay && len(t.answers) < 1000 && (o.Err == nil || ledger.IsRefusal(o.Err)) {
			t.answers = append(t.answers, answered{txs[i], o})
		}
	}
	news, err := t.read(ctx)
	if err != nil {
		return err
	}
	if len(news) != len(t.Model.Log) {
		return fmt.Errorf("%d transactions were posted, want %d", len(news), len(t.Model.Log))
	}
	for i, p := range news {
		if err := differ(p, t.Model.Log[i]); err != nil {
			return err
		}
		if err := t.Books.Add(p); err != nil {
			return err
		}
	}
	t.Model.Log = t.Model.Log[:0]
	for i := range outcomes {
		if o := &outcomes[i]; o.Err == nil {
			if err := sameAnswer(o.Posted, *t.Books.posted[o.Posted.ID]); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads what was posted since it was called last, closes of empty periods
// included.
func (t *Trial) read(ctx context.Context) (news []*ledger.Posted, err error) {
	for after := t.Books.end; ; {
		page, err := t.Store.Changes(ctx, after, 500)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			if page[i].First() != after+1 {
				return nil, fmt.Errorf("I9: after %d comes a transaction with the entries %d to %d", after, page[i].First(), page[i].Last())
			}
			news = append(news, &page[i])
			after = page[i].Last()
		}
	}
	if slices.ContainsFunc(t.Model.Log, func(r *Record) bool { return r.Kind == ledger.Close && len(r.Moves) == 0 }) {
		all, err := t.Store.EmptyCloses(ctx)
		if err != nil {
			return nil, err
		}
		for i := range all[t.closes:] {
			news = append(news, &all[t.closes+i])
		}
		t.closes = len(all)
		sort.SliceStable(news, func(i, j int) bool { return news[i].LedgerAt.Before(news[j].LedgerAt) })
	}
	for _, p := range news {
		p.ResolvedBy, p.ResolvedAs = "", "" // depends on what the batch went on with
	}
	t.Log = append(t.Log, news...)
	return news, nil
}

// differ says what a posted transaction has that its record has not.
func differ(p *ledger.Posted, r *Record) error {
	same := (p.ID == r.ID || p.Kind == ledger.Release) && p.Kind == r.Kind && p.Parent == r.Parent && p.Resident == r.Resident &&
		p.Shop == r.Shop && p.At.Equal(r.At) && p.LedgerAt.Equal(r.LedgerAt) && p.Until.Equal(r.Until) && p.BusinessOn == r.Day &&
		(p.Closed == nil || p.Closed.Cut == r.Cut) && len(p.Entries) == len(r.Moves)
	for i := 0; same && i < len(r.Moves); i++ {
		e := &p.Entries[i]
		same = Move{e.Debit, e.Credit, e.Amount, e.Held, e.DebitAfter, e.CreditAfter, e.ResidentAfter} == r.Moves[i]
	}
	if !same {
		return fmt.Errorf("posted is\n%+v\nwant\n%+v", *p, *r)
	}
	return nil
}

// sameAnswer compares a transaction with what was answered before, but for what
// has become of it since.
func sameAnswer(got, want ledger.Posted) error {
	for _, p := range []*ledger.Posted{&got, &want} {
		p.ResolvedBy, p.ResolvedAs = "", ""
		if len(p.Entries) == 0 {
			p.Entries = nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("I5: %s %s is answered in two ways:\n%s", want.Kind, want.ID, gocmp.Diff(want, got))
	}
	return nil
}

// Check compares what stands on the store with the model, the books and what
// Verify makes of it, and asks for answers again. Dice choose what is read.
func (t *Trial) Check(ctx context.Context, dice Dice) error {
	if err := t.Post(ctx); err != nil { // holds whose time is up
		return err
	}
	audit, err := ledger.Verify(ctx, t.Store, func(int64) {})
	if err != nil {
		return err
	}
	if audit.Transactions != int64(len(t.Log)) || audit.Entries != int64(t.Books.end) || audit.Accounts != int64(len(t.Model.accounts)) {
		return fmt.Errorf("verified %+v, want %d transactions, %d entries and %d accounts", audit, len(t.Log), t.Books.end, len(t.Model.accounts))
	}
	if err := t.Books.Compare(ctx, t.Store); err != nil {
		return err
	}
	for id, got := range t.Books.balances { // which are those stored
		want := t.Model.accounts[id]
		if got.Credits != want.in || got.Debits != want.out || got.HeldCredits != want.heldIn || got.HeldDebits != want.heldOut || got.Closed != want.closed {
			return fmt.Errorf("account %s is\n%+v\nwant\n%+v", id, *got, *want)
		}
	}
	if err := t.again(ctx); err != nil {
		return err
	}
	return t.reads(ctx, dice)
}

// again sends transactions again: they are answered as before, and nothing of
// that is posted.
func (t *Trial) again(ctx context.Context) error {
	for batch := range slices.Chunk(t.answers, 100) {
		var txs []ledger.Transaction
		for _, a := range batch {
			txs = append(txs, a.tx)
		}
		outcomes, err := t.Store.Post(ctx, txs...)
		if err != nil {
			return err
		}
		for i, got := range outcomes {
			want := batch[i].outcome
			if !got.Replay || !errors.Is(got.Err, want.Err) {
				return fmt.Errorf("I5: %s was answered %s before, and now %s", txs[i].ID, AnswerOf(want), AnswerOf(got))
			}
			if err := sameAnswer(got.Posted, want.Posted); err != nil {
				return err
			}
			if got.Posted.ResolvedBy != "" {
				return fmt.Errorf("I5: the second answer to %s says what became of it since", txs[i].ID)
			}
			if _, err := t.Store.Transaction(ctx, txs[i].ID); errors.Is(err, ledger.ErrNotFound) != (want.Err != nil) {
				return fmt.Errorf("I8: %s was answered %s, and the transaction is read with %v", txs[i].ID, AnswerOf(want), err)
			}
		}
	}
	switch end, err := t.Store.End(ctx); {
	case err != nil:
		return err
	case end != t.Books.end:
		return fmt.Errorf("I5: the ledger ends at %d, want %d", end, t.Books.end)
	}
	t.answers = t.answers[:0]
	return nil
}

// reads compares what a reader gets of some account and some transaction with
// the log.
func (t *Trial) reads(ctx context.Context, dice Dice) error {
	if t.Books.end == 0 {
		return nil
	}
	seq := ledger.Seq(dice.Throw(int(t.Books.end))) + 1
	n := sort.Search(len(t.Log), func(i int) bool { return t.lastBefore(i) >= seq })
	want := t.Log[n]
	got, err := t.Store.TransactionOf(ctx, seq)
	if err != nil {
		return err
	}
	if err := sameAnswer(got, *want); err != nil {
		return err
	}
	if end := t.Model.answers[got.ID]; end != nil && (got.ResolvedAs != end.EndedAs || got.ResolvedAs != ledger.Release && got.ResolvedBy != end.EndedBy) {
		return fmt.Errorf("%s was ended by the %s %s, want the %s %s", got.ID, got.ResolvedAs, got.ResolvedBy, end.EndedAs, end.EndedBy)
	}
	e := &want.Entries[seq-want.First()]
	for _, id := range []ledger.AccountID{e.Debit, e.Credit} {
		if err := t.statement(ctx, dice, id); err != nil {
			return err
		}
		balance, err := t.Store.Balance(ctx, id)
		if err != nil || balance != *t.Books.balances[id] {
			return fmt.Errorf("balance of %s: got\n%+v, %w, want\n%+v", id, balance, err, *t.Books.balances[id])
		}
		owned, err := t.Store.BalancesOf(ctx, balance.Owner)
		if err != nil || !slices.Contains(owned, balance) || !slices.IsSortedFunc(owned, func(a, b ledger.Balance) int { return cmp.Compare(a.ID, b.ID) }) {
			return fmt.Errorf("balances of %s: got %+v, %w, want %s among them, by ID", balance.Owner, owned, err, id)
		}
	}
	return nil
}

// lastBefore is the last entry of the log up to a place in it.
func (t *Trial) lastBefore(i int) ledger.Seq {
	for ; i >= 0; i-- {
		if last := t.Log[i].Last(); last > 0 {
			return last
		}
	}
	return 0
}

func (t *Trial) statement(ctx context.Context, dice Dice, id ledger.AccountID) error {
	var want []ledger.Line
	for _, p := range t.Log {
		for _, e := range p.Entries {
			if e.Debit == id || e.Credit == id {
				want = append(want, ledger.Line{
					Transaction: p.ID, Kind: p.Kind, Shop: p.Shop, At: p.At, LedgerAt: p.LedgerAt, BusinessOn: p.BusinessOn, Entry: e,
				})
			}
		}
	}
	place := dice.Throw(len(want)) // and of that one, what stood on the account
	at := want[place].LedgerAt
	for place+1 < len(want) && !want[place+1].LedgerAt.After(at) {
		place++
	}
	value, last, err := t.Store.ValueAt(ctx, id, at)
	if err != nil {
		return err
	}
	stood := want[place].DebitAfter
	if want[place].Credit == id {
		stood = want[place].CreditAfter
	}
	if value != stood || last != want[place].Seq {
		return fmt.Errorf("%s at %v: got %d by entry %d, want %d by %d", id, at, value, last, stood, want[place].Seq)
	}
	slices.Reverse(want)
	want = want[:min(len(want), 200)]
	var got []ledger.Line
	limit := 1 + dice.Throw(100)
	for before := ledger.Seq(0); len(got) < len(want); {
		page, err := t.Store.Statement(ctx, id, before, limit)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		before = page[len(page)-1].Seq
	}
	if d := gocmp.Diff(want, got[:min(len(got), len(want))]); d != "" {
		return fmt.Errorf("statement of %s in pages of %d:\n%s", id, limit, d)
	}
	return nil
}
