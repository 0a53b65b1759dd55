package ledger

import (
	"errors"
	"math"
	"time"
)

// Tokyo is the zone of business days. Japan has had no daylight saving since
// 1951, so a fixed offset is exact for every date a ledger can hold.
var Tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// Day is the business day of an instant, YYYY-MM-DD in Asia/Tokyo.
func Day(t time.Time) string { return t.In(Tokyo).Format(time.DateOnly) }

// Known is what the ledger has kept under an ID: a posted transaction or the
// code of a refusal.
type Known struct {
	Hash    string
	Posted  Posted
	Refusal string
}

// State is what Fold needs to see: the end of the ledger, and the accounts and
// IDs that the batch names. Fold changes it, so that a batch of many has the
// same result as many batches of one.
type State struct {
	LastSeq  Seq
	LastAt   time.Time
	Accounts map[AccountID]*Balance
	Known    map[string]*Known // IDs of the batch and of the payments it cancels
}

// Fold decides a batch of transactions in order. It is pure: the same state,
// batch and time give the same outcomes, and nothing else is read or written.
// A refused transaction leaves no trace in the balances.
func Fold(s *State, batch []Transaction, now time.Time) []Outcome {
	outcomes := make([]Outcome, len(batch))
	for i, tx := range batch {
		outcomes[i] = s.fold(tx, now.UTC().Truncate(time.Microsecond))
	}
	return outcomes
}

func (s *State) fold(tx Transaction, now time.Time) Outcome {
	hash := tx.Hash()
	if known := s.Known[tx.ID]; known != nil {
		switch {
		case known.Hash != hash:
			return Outcome{Err: ErrConflict}
		case known.Refusal != "":
			return Outcome{Err: Refusal(known.Refusal), Replay: true}
		default:
			return Outcome{Posted: known.Posted, Replay: true}
		}
	}
	posted, err := s.decide(tx, now)
	if err != nil {
		s.Known[tx.ID] = &Known{Hash: hash, Refusal: RefusalCode(err)}
		return Outcome{Err: err}
	}
	s.Known[tx.ID] = &Known{Hash: hash, Posted: posted}
	return Outcome{Posted: posted}
}

func (s *State) decide(tx Transaction, now time.Time) (Posted, error) {
	transfers, parent, err := s.transfersOf(tx)
	if err != nil {
		return Posted{}, err
	}
	if now.Before(s.LastAt) { // the clock was set back: ledger time stands still
		now = s.LastAt
	}
	happened := tx.At
	if happened.IsZero() {
		happened = now
	}
	p := Posted{Transaction: tx, LedgerAt: now, BusinessOn: Day(happened)}
	p.At = happened.UTC().Truncate(time.Microsecond)
	p.Transfers = transfers

	for i, t := range transfers {
		entry, err := s.move(t)
		if err != nil {
			for ; i > 0; i-- {
				s.undo(transfers[i-1])
			}
			return Posted{}, err
		}
		entry.Seq = s.LastSeq + Seq(i) + 1
		p.Entries = append(p.Entries, entry)
	}
	s.LastSeq += Seq(len(transfers))
	s.LastAt = now
	if parent != nil {
		parent.Posted.CancelledBy = tx.ID
	}
	return p, nil
}

// transfersOf returns what a transaction moves: its own transfers, or those of
// the payment it cancels turned round, last first.
func (s *State) transfersOf(tx Transaction) ([]Transfer, *Known, error) {
	if tx.Kind != Cancel {
		if len(tx.Transfers) == 0 || tx.Parent != "" {
			return nil, nil, ErrInvalid
		}
		return tx.Transfers, nil, nil
	}
	if len(tx.Transfers) > 0 {
		return nil, nil, ErrInvalid
	}
	parent := s.Known[tx.Parent]
	if parent == nil || parent.Refusal != "" || parent.Posted.Kind != Pay {
		return nil, nil, ErrNotCancellable
	}
	if parent.Posted.CancelledBy != "" {
		return nil, nil, ErrAlreadyCancelled
	}
	var back []Transfer
	for i := len(parent.Posted.Entries) - 1; i >= 0; i-- {
		e := parent.Posted.Entries[i]
		back = append(back, Transfer{Debit: e.Credit, Credit: e.Debit, Amount: e.Amount})
	}
	return back, parent, nil
}

func (s *State) move(t Transfer) (Entry, error) {
	debit, credit := s.Accounts[t.Debit], s.Accounts[t.Credit]
	switch {
	case t.Amount <= 0 || t.Debit == t.Credit:
		return Entry{}, ErrInvalid
	case debit == nil || credit == nil:
		return Entry{}, ErrAccountNotFound
	case debit.Programme != credit.Programme:
		return Entry{}, ErrUnbalanced
	case debit.Closed || credit.Closed:
		return Entry{}, ErrAccountClosed
	case debit.Debits > math.MaxInt64-t.Amount || credit.Credits > math.MaxInt64-t.Amount:
		return Entry{}, ErrOverflow
	case !debit.Kind.MayGoNegative() && debit.Value() < t.Amount:
		return Entry{}, ErrInsufficientBalance
	}
	debit.Debits += t.Amount
	debit.Version++
	credit.Credits += t.Amount
	credit.Version++
	return Entry{
		Transfer:    t,
		Programme:   debit.Programme,
		DebitAfter:  debit.Value(),
		CreditAfter: credit.Value(),
	}, nil
}

func (s *State) undo(t Transfer) {
	debit, credit := s.Accounts[t.Debit], s.Accounts[t.Credit]
	debit.Debits -= t.Amount
	debit.Version--
	credit.Credits -= t.Amount
	credit.Version--
}

// IsRefusal reports whether err is an answer of the business rather than a
// fault: it is kept, and trying again gives it again.
func IsRefusal(err error) bool {
	return err != nil && RefusalCode(err) != "" && !errors.Is(err, ErrConflict)
}
