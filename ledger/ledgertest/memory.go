package ledgertest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"meguri/ledger"
)

// Memory is a ledger.Store in memory, for tests of what stands on a ledger. The
// rules are those of ledger.Fold; nothing of them is written again here. No call
// takes longer because the ledger is longer, so that a test may post millions.
type Memory struct {
	mu       sync.Mutex
	now      func() time.Time
	accounts map[ledger.AccountID]*ledger.Balance
	order    []ledger.AccountID // sorted, unless it is shorter than accounts
	owned    map[string][]*ledger.Balance
	payables map[ledger.ProgrammeID][]*ledger.Balance
	takings  map[ledger.Closing][]*ledger.Balance // by programme and period
	known    map[string]*ledger.Known
	entries  []*ledger.Posted // by sequence number, from 1 on
	moved    map[ledger.AccountID][]ledger.Seq
	closes   []*ledger.Posted                // without entries
	periods  map[ledger.ProgrammeID][]string // that are closed
	holds    []*ledger.Posted                // that are open, the next to end first
	batches  []ledger.Batch
	lastAt   time.Time

	keeps bool
	state *ledger.State // from the last batch, if it is kept
	turn  int
}

var (
	_ ledger.Store   = (*Memory)(nil)
	_ ledger.Audited = (*Memory)(nil)
)

// NewMemory returns an empty ledger.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now: now, accounts: map[ledger.AccountID]*ledger.Balance{}, owned: map[string][]*ledger.Balance{},
		payables: map[ledger.ProgrammeID][]*ledger.Balance{}, takings: map[ledger.Closing][]*ledger.Balance{},
		known: map[string]*ledger.Known{}, moved: map[ledger.AccountID][]ledger.Seq{}, periods: map[ledger.ProgrammeID][]string{},
	}
}

// NewKeepingMemory returns an empty ledger that keeps a state from one batch to
// the next and reads only what is missing. One batch in three it folds twice,
// as after a write that has failed, and one in ten on a new state.
func NewKeepingMemory(now func() time.Time) *Memory {
	m := NewMemory(now)
	m.keeps = true
	return m
}

// OpenAccounts implements ledger.Store.
func (m *Memory) OpenAccounts(_ context.Context, accounts ...ledger.Account) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range accounts {
		a := &accounts[i]
		a.ExpiresAt = a.ExpiresAt.UTC().Truncate(time.Microsecond)
		have := m.accounts[a.ID]
		switch {
		case a.ID == "" || !a.Kind.Valid():
			return ledger.ErrInvalid
		case have != nil && have.Account != *a:
			return ledger.ErrConflict
		case have == nil && a.Period != "" && slices.Contains(m.periods[a.Programme], a.Period):
			return ledger.ErrPeriodClosed
		}
	}
	m.state = nil // it may know that they are absent
	for _, a := range accounts {
		if m.accounts[a.ID] == nil {
			m.add(&ledger.Balance{Account: a})
		}
	}
	return nil
}

func (m *Memory) add(b *ledger.Balance) {
	m.accounts[b.ID] = b
	m.owned[b.Owner] = append(m.owned[b.Owner], b)
	switch b.Kind {
	case ledger.ShopPayable:
		m.payables[b.Programme] = append(m.payables[b.Programme], b)
	case ledger.ShopUnsettled:
		of := ledger.Closing{Programme: b.Programme, Period: b.Period}
		m.takings[of] = append(m.takings[of], b)
	}
}

// copyOf is a posted transaction that the fold may change.
func copyOf(p *ledger.Posted) *ledger.Posted {
	c := *p
	return &c
}

// Post implements ledger.Store.
func (m *Memory) Post(_ context.Context, txs ...ledger.Transaction) ([]ledger.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delta := m.fold(txs)
	m.keep(delta)
	return delta.Outcomes, nil
}

// Begin is the first half of a Post and returns the second, for stores that
// fail between the two. Nothing else may be posted in between.
func (m *Memory) Begin(txs ...ledger.Transaction) (outcomes []ledger.Outcome, commit func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delta := m.fold(txs)
	return delta.Outcomes, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.keep(delta)
	}
}

func (m *Memory) fold(txs []ledger.Transaction) *ledger.Delta {
	now := m.now()
	state, needs := m.state, ledger.NeedsOf(txs)
	if state == nil {
		state = ledger.NewState(ledger.Seq(len(m.entries)), m.lastAt)
	}
	m.read(state, state.Missing(needs))
	delta := ledger.Fold(state, txs, now)
	m.turn++
	if m.keeps && m.turn%3 == 0 {
		state.Forget(delta, ledger.Seq(len(m.entries)), m.lastAt)
		m.read(state, state.Missing(needs))
		delta = ledger.Fold(state, txs, now)
	}
	if m.state = nil; m.keeps && state.Keep() && m.turn%10 > 0 {
		m.state = state
	}
	return delta
}

// read adds to a state what it needs.
func (m *Memory) read(state *ledger.State, needs ledger.Needs) {
	of := func(p *ledger.Posted) {
		needs.Residents = append(needs.Residents, p.Resident)
		for i := range p.Entries {
			needs.Accounts = append(needs.Accounts, p.Entries[i].Debit, p.Entries[i].Credit)
		}
	}
	for _, hold := range m.due(m.ledgerTime().Add(time.Second)) {
		hold = copyOf(hold)
		state.AddKnown(hold.ID, ledger.Known{Request: hold.Request, Posted: hold})
		state.AddDue(hold.ID)
		of(hold)
	}
	for _, id := range slices.Concat(needs.IDs, needs.Parents) {
		if known := m.known[id]; known != nil {
			k := *known
			if k.Posted != nil {
				k.Posted = copyOf(k.Posted)
				of(k.Posted)
			}
			state.AddKnown(id, k)
		}
	}
	for _, c := range needs.Periods {
		for _, period := range m.periods[c.Programme] {
			state.AddClosed(c.Programme, period)
		}
	}
	for _, id := range needs.Accounts {
		if b := m.accounts[id]; b != nil {
			state.AddAccount(*b)
		}
	}
	for _, resident := range needs.Residents {
		for _, b := range m.owned[resident] {
			if b.Kind == ledger.ResidentLot {
				state.AddAccount(*b)
			}
		}
	}
	for _, c := range needs.Closes {
		for _, b := range slices.Concat(m.takings[c], m.payables[c.Programme]) {
			state.AddAccount(*b)
		}
	}
	state.Complete(needs)
}

func (m *Memory) keep(d *ledger.Delta) {
	for _, r := range d.Refused {
		m.known[r.ID] = &ledger.Known{Request: r.Request, Refusal: r.Refusal}
	}
	if len(d.Posted)+len(d.Refused) == 0 {
		return
	}
	first := ledger.Seq(len(m.entries)) + 1
	for _, p := range d.Posted {
		p = copyOf(p)
		m.known[p.ID] = &ledger.Known{Request: p.Request, Posted: p}
		for i := range p.Entries {
			m.entries = append(m.entries, p)
			for _, id := range [2]ledger.AccountID{p.Entries[i].Debit, p.Entries[i].Credit} {
				m.moved[id] = append(m.moved[id], p.Entries[i].Seq)
			}
		}
		m.lastAt = p.LedgerAt
		switch {
		case p.Kind == ledger.Hold && p.ResolvedBy == "":
			at, _ := slices.BinarySearchFunc(m.holds, p, byEnd)
			m.holds = slices.Insert(m.holds, at, p)
		case p.Kind == ledger.Close && len(p.Entries) == 0:
			m.closes = append(m.closes, p)
		}
		if p.Parent != "" {
			parent := m.known[p.Parent].Posted
			parent.ResolvedBy, parent.ResolvedAs = p.ID, p.Kind
			if at, found := slices.BinarySearchFunc(m.holds, parent, byEnd); found {
				m.holds = slices.Delete(m.holds, at, at+1)
			}
		}
	}
	for _, b := range d.Opened {
		opened := *b
		m.add(&opened)
	}
	for _, b := range d.Accounts {
		*m.accounts[b.ID] = *b
	}
	for _, c := range d.Closings {
		m.periods[c.Programme] = append(m.periods[c.Programme], c.Period)
	}
	seal := ""
	if n := len(m.batches); n > 0 {
		seal = m.batches[n-1].Seal
	}
	m.batches = append(m.batches, ledger.Batch{
		Number: int64(len(m.batches)) + 1, First: first, Last: ledger.Seq(len(m.entries)),
		Transactions: len(d.Posted), Seal: ledger.Seal(seal, d.Posted),
	})
}

func byEnd(a, b *ledger.Posted) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID)) }

// ledgerTime is the clock, unless ledger time is ahead of it.
func (m *Memory) ledgerTime() time.Time {
	if now := m.now(); now.After(m.lastAt) {
		return now
	}
	return m.lastAt
}

// due are the open holds that end by an instant.
func (m *Memory) due(by time.Time) []*ledger.Posted {
	n, _ := slices.BinarySearchFunc(m.holds, by, func(p *ledger.Posted, by time.Time) int {
		if p.Until.After(by) {
			return 1
		}
		return -1
	})
	return m.holds[:n]
}

// Stands implements ledger.Store; the fate of a batch is never unknown here.
func (m *Memory) Stands(context.Context, *ledger.UnknownError) (bool, error) { return false, nil }

// Due implements ledger.Store.
func (m *Memory) Due(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.due(m.ledgerTime())) > 0, nil
}

// lapsed takes what is held by holds whose time is up off a balance.
func (m *Memory) lapsed(b ledger.Balance) ledger.Balance {
	for _, hold := range m.due(m.ledgerTime()) {
		for i := range hold.Entries {
			if e := &hold.Entries[i]; e.Debit == b.ID {
				b.HeldDebits -= e.Held
			} else if e.Credit == b.ID {
				b.HeldCredits -= e.Held
			}
		}
	}
	return b
}

// Balance implements ledger.Reader.
func (m *Memory) Balance(_ context.Context, id ledger.AccountID) (ledger.Balance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.accounts[id]
	if b == nil {
		return ledger.Balance{}, ledger.ErrNotFound
	}
	return m.lapsed(*b), nil
}

// ValueAt implements ledger.Reader.
func (m *Memory) ValueAt(_ context.Context, id ledger.AccountID, at time.Time) (value ledger.Yen, last ledger.Seq, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.accounts[id] == nil {
		return 0, 0, ledger.ErrNotFound
	}
	seqs := m.moved[id]
	n := sort.Search(len(seqs), func(i int) bool { return m.entries[seqs[i]-1].LedgerAt.After(at) })
	if n == 0 {
		return 0, 0, nil
	}
	last = seqs[n-1]
	e := m.entry(last)
	if e.Debit == id {
		return e.DebitAfter, last, nil
	}
	return e.CreditAfter, last, nil
}

func (m *Memory) entry(seq ledger.Seq) *ledger.Entry {
	p := m.entries[seq-1]
	return &p.Entries[seq-p.First()]
}

// BalancesOf implements ledger.Reader.
func (m *Memory) BalancesOf(_ context.Context, owner string) ([]ledger.Balance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []ledger.Balance
	for _, b := range m.owned[owner] {
		list = append(list, m.lapsed(*b))
	}
	slices.SortFunc(list, func(a, b ledger.Balance) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// Transaction implements ledger.Reader.
func (m *Memory) Transaction(_ context.Context, id string) (ledger.Posted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.known[id]; known != nil && known.Posted != nil {
		return *known.Posted, nil
	}
	return ledger.Posted{}, ledger.ErrNotFound
}

// TransactionOf implements ledger.Reader.
func (m *Memory) TransactionOf(_ context.Context, seq ledger.Seq) (ledger.Posted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq < 1 || int(seq) > len(m.entries) {
		return ledger.Posted{}, ledger.ErrNotFound
	}
	return *m.entries[seq-1], nil
}

// Statement implements ledger.Reader.
func (m *Memory) Statement(_ context.Context, id ledger.AccountID, before ledger.Seq, limit int) ([]ledger.Line, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.accounts[id] == nil {
		return nil, ledger.ErrNotFound
	}
	seqs := m.moved[id]
	n := len(seqs)
	if before > 0 {
		n, _ = slices.BinarySearch(seqs, before)
	}
	var lines []ledger.Line
	for ; n > 0 && len(lines) < limit; n-- {
		p := m.entries[seqs[n-1]-1]
		lines = append(lines, ledger.Line{
			Transaction: p.ID, Kind: p.Kind, Shop: p.Shop, At: p.At, LedgerAt: p.LedgerAt, BusinessOn: p.BusinessOn, Entry: *m.entry(seqs[n-1]),
		})
	}
	return lines, nil
}

// Changes implements ledger.Reader.
func (m *Memory) Changes(_ context.Context, after ledger.Seq, limit int) ([]ledger.Posted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []ledger.Posted
	for i := int(after); i < len(m.entries); {
		p := m.entries[i]
		if i += len(p.Entries); i-int(after) > limit && len(page) > 0 {
			break
		}
		page = append(page, *p)
	}
	return page, nil
}

// End implements ledger.Reader.
func (m *Memory) End(context.Context) (ledger.Seq, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ledger.Seq(len(m.entries)), nil
}

// Stretch implements ledger.Audited.
func (m *Memory) Stretch(_ context.Context, first, last ledger.Seq) ([]ledger.Posted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []ledger.Posted
	for seq := max(first, 1); seq <= last && int(seq) <= len(m.entries); seq++ {
		p := m.entries[seq-1]
		if n := len(list); n == 0 || list[n-1].ID != p.ID {
			list = append(list, *p)
			list[n].Entries = nil
		}
		last := &list[len(list)-1]
		last.Entries = append(last.Entries, p.Entries[seq-p.First()])
	}
	return list, nil
}

// Batches implements ledger.Audited.
func (m *Memory) Batches(_ context.Context, after int64, limit int) ([]ledger.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.batches[min(int(after), len(m.batches)):]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

// Accounts implements ledger.Audited.
func (m *Memory) Accounts(_ context.Context, after ledger.AccountID, limit int) ([]ledger.Balance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.order) < len(m.accounts) {
		m.order = slices.Sorted(maps.Keys(m.accounts))
	}
	n, found := slices.BinarySearch(m.order, after)
	if found {
		n++
	}
	rest := m.order[n:]
	rest = rest[:min(limit, len(rest))]
	list := make([]ledger.Balance, len(rest))
	for i, id := range rest {
		list[i] = *m.accounts[id]
	}
	return list, nil
}

// EmptyCloses implements ledger.Audited.
func (m *Memory) EmptyCloses(context.Context) ([]ledger.Posted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []ledger.Posted
	for _, p := range m.closes {
		list = append(list, *p)
	}
	return list, nil
}
