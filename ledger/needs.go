package ledger

import (
	"cmp"
	"slices"
	"time"
)

// Needs is what a store has to read before it can fold a batch. Beside it the
// State needs what the parents' entries and those of the holds that are due
// name: their accounts, and the lots of their residents.
type Needs struct {
	IDs       []string    // of the batch: what was answered under them
	Parents   []string    // of the batch: the transactions themselves, with entries
	Accounts  []AccountID // if they exist
	Residents []string    // whose lots are needed
	Periods   []Closing   // are they closed? Only programme and period are filled in
	Closes    []Closing   // the takings of the period and the payables of the programme
}

// NeedsOf lists what a batch needs, each thing once and in order.
func NeedsOf(batch []Transaction) Needs {
	var n Needs
	n.IDs = make([]string, 0, len(batch))
	for i := range batch {
		tx := &batch[i]
		if tx.ID == "" || len(tx.ID) > MaxID {
			continue
		}
		n.IDs = append(n.IDs, tx.ID)
		if tx.Parent != "" && len(tx.Parent) <= MaxID {
			n.Parents = append(n.Parents, tx.Parent)
		}
		if tx.Resident != "" {
			n.Residents = append(n.Residents, tx.Resident)
		}
		for _, t := range tx.Transfers {
			n.Accounts = append(n.Accounts, t.Debit, t.Credit)
		}
		for j := range tx.Spends {
			n.Accounts = append(n.Accounts, tx.Spends[j].Into...)
		}
		for j := range tx.Opens {
			if o := &tx.Opens[j]; o.Period != "" {
				n.Periods = append(n.Periods, Closing{Programme: o.Programme, Period: o.Period})
			}
		}
		if tx.Kind == Close {
			c := Closing{Programme: tx.Programme, Period: tx.Period}
			n.Periods, n.Closes = append(n.Periods, c), append(n.Closes, c)
		}
	}
	n.IDs, n.Parents, n.Accounts, n.Residents = set(n.IDs), set(n.Parents), set(n.Accounts), set(n.Residents)
	n.Periods, n.Closes = setOf(n.Periods), setOf(n.Closes)
	return n
}

// Missing is what of a batch's needs is not in the state. A state that is kept
// from one batch to the next needs to be read only that, and is right as long
// as nobody else has written.
func (s *State) Missing(n Needs) Needs {
	m := Needs{Closes: n.Closes}
	account := func(id AccountID) {
		if s.accounts[id] == nil && !s.absent[id] {
			m.Accounts = append(m.Accounts, id)
		}
	}
	resident := func(r string) {
		if r != "" && !s.residents[r] {
			m.Residents = append(m.Residents, r)
		}
	}
	for _, id := range n.IDs {
		if _, ok := s.known[id]; !ok {
			m.IDs = append(m.IDs, id)
		}
	}
	for _, id := range n.Parents {
		switch k, ok := s.known[id]; {
		case !ok:
			m.Parents = append(m.Parents, id)
		case k.Posted != nil:
			resident(k.Posted.Resident)
			for i := range k.Posted.Entries {
				account(k.Posted.Entries[i].Debit)
				account(k.Posted.Entries[i].Credit)
			}
		}
	}
	for _, id := range n.Accounts {
		account(id)
	}
	for _, r := range n.Residents {
		resident(r)
	}
	for _, c := range n.Periods {
		if !s.programmes[c.Programme] {
			m.Periods = append(m.Periods, c)
		}
	}
	m.Accounts, m.Residents = set(m.Accounts), set(m.Residents)
	return m
}

// Complete says that everything that was missing was read and added, so that
// what is not there does not exist. Residents of followed transactions are
// complete as well.
func (s *State) Complete(missing Needs) {
	for _, id := range missing.Accounts {
		if s.accounts[id] == nil {
			s.absent[id] = true
		}
	}
	for _, r := range missing.Residents {
		s.residents[r] = true
	}
	for _, c := range missing.Periods {
		s.programmes[c.Programme] = true
	}
}

// Limits of what a state keeps from one batch to the next: about 150 MB.
const (
	keptAccounts = 250_000
	keptAnswers  = 20_000
)

// Keep prepares a state for the next batch, after what the last one came to was
// written. It reports false when the state has grown too large to be kept.
func (s *State) Keep() bool {
	if len(s.known) > keptAnswers {
		clear(s.known)
	}
	s.due = nil
	return len(s.accounts)+len(s.absent) <= keptAccounts && len(s.residents) <= keptAccounts
}

// Forget takes everything out of a state that a batch has touched, after what
// it came to was not written.
func (s *State) Forget(d *Delta, last Seq, at time.Time) {
	s.LastSeq, s.LastAt, s.due = last, at, nil
	clear(s.known)
	for _, list := range [2][]*Balance{d.Accounts, d.Opened} {
		for _, b := range list {
			s.remove(s.accounts[b.ID])
			delete(s.absent, b.ID)
			if b.Kind == ResidentLot {
				delete(s.residents, b.Owner)
			}
		}
	}
	for _, c := range d.Closings {
		delete(s.programmes, c.Programme)
		delete(s.closed, period{c.Programme, c.Period})
	}
}

func set[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}

func setOf(list []Closing) []Closing {
	slices.SortFunc(list, func(a, b Closing) int {
		return cmp.Or(cmp.Compare(a.Programme, b.Programme), cmp.Compare(a.Period, b.Period))
	})
	return slices.Compact(list)
}
