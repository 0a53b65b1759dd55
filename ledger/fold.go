package ledger

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Tokyo is the zone of business days. Japan has had no daylight saving since
// 1951, so a fixed offset is exact for every date a ledger can hold.
var Tokyo = time.FixedZone("Asia/Tokyo", tokyoOffset)

const tokyoOffset = 9 * 60 * 60

// Day is the business day of an instant, YYYY-MM-DD in Asia/Tokyo.
func Day(t time.Time) string { return t.In(Tokyo).Format(time.DateOnly) }

// MaxClockStep is how far the wall clock may be behind ledger time. Ledger time
// stands still meanwhile; a clock that is further back is a fault to repair,
// because expiries and deadlines would wait for it.
const MaxClockStep = time.Minute

// markEvery is how many entries of one account lie between two of its marks,
// from which a statement or a past balance is found without an index over all
// entries.
const markEvery = 64

// Known is what the ledger has kept under an ID: a posted transaction or the
// refusal.
type Known struct {
	Request Digest
	Posted  *Posted
	Refusal Refusal
}

// State is what Fold needs to see: the end of the ledger, and what the batch
// names. Fold changes it, so that a batch of many has the same result as many
// batches of one. Make one with NewState and add what was read.
type State struct {
	LastSeq Seq
	LastAt  time.Time

	accounts map[AccountID]*slot
	holders  map[string]*holder
	known    map[string]Known
	periods  map[period][]*slot // takings accounts
	closed   map[period]bool
	due      []*Posted

	// What is known to be complete, for a store that keeps a state from one batch
	// to the next.
	absent     map[AccountID]bool   // accounts that do not exist
	residents  map[string]bool      // whose lots are all there
	programmes map[ProgrammeID]bool // whose closed periods are all there

	day struct { // the last business day that was asked for
		begins int64
		text   string
	}
}

type (
	// slot is an account in a State.
	slot struct {
		Balance
		opened, changed bool // by this batch
	}
	// holder is a resident in a State.
	holder struct{ lots []*slot } // in the order of spending
	period struct {
		programme ProgrammeID
		lastDay   string
	}
)

// NewState returns the state of a ledger that ends with a transfer.
func NewState(last Seq, at time.Time) *State {
	return &State{
		LastSeq: last, LastAt: at,
		accounts: map[AccountID]*slot{}, holders: map[string]*holder{}, known: map[string]Known{},
		periods: map[period][]*slot{}, closed: map[period]bool{},
		absent: map[AccountID]bool{}, residents: map[string]bool{}, programmes: map[ProgrammeID]bool{},
	}
}

// AddAccount adds an account that a batch may touch. A batch needs those that
// it names, those of its parents' entries, the lots of its residents, and for
// a Close the programme's takings of the period and its payables.
func (s *State) AddAccount(b Balance) {
	if s.accounts[b.ID] == nil {
		s.insert(&slot{Balance: b})
	}
}

func (s *State) insert(a *slot) {
	s.accounts[a.ID] = a
	delete(s.absent, a.ID)
	switch a.Kind {
	case ResidentLot:
		h := s.holders[a.Owner]
		if h == nil {
			h = &holder{}
			s.holders[a.Owner] = h
		}
		at, _ := slices.BinarySearchFunc(h.lots, a, func(b, c *slot) int {
			if b.before(&c.Balance) {
				return -1
			}
			return 1
		})
		h.lots = slices.Insert(h.lots, at, a)
	case ShopUnsettled:
		key := period{a.Programme, a.Period}
		s.periods[key] = append(s.periods[key], a)
	}
}

// remove takes back the insert of an account.
func (s *State) remove(a *slot) {
	delete(s.accounts, a.ID)
	s.absent[a.ID] = true
	is := func(b *slot) bool { return a == b }
	switch a.Kind {
	case ResidentLot:
		h := s.holders[a.Owner]
		h.lots = slices.DeleteFunc(h.lots, is)
	case ShopUnsettled:
		key := period{a.Programme, a.Period}
		s.periods[key] = slices.DeleteFunc(s.periods[key], is)
	}
}

// AddKnown adds what was answered under an ID of the batch, or under a parent.
func (s *State) AddKnown(id string, k Known) {
	if _, ok := s.known[id]; !ok {
		s.known[id] = k
	}
}

// AddClosed adds a settlement period that is closed.
func (s *State) AddClosed(p ProgrammeID, lastDay string) { s.closed[period{p, lastDay}] = true }

// AddDue says that the time of an open hold may be up before the batch ends.
// Ledger time rises by at least a microsecond a transaction, releases included,
// and may be ahead of the clock: a second more than both is enough for any
// batch, and a hold whose time is not up stays as it is. It reports false when
// the hold was not added before, by AddKnown.
func (s *State) AddDue(hold string) bool {
	known := s.known[hold]
	if known.Posted == nil {
		return false
	}
	s.await(known.Posted)
	return true
}

// await puts a hold among those to release, in one order for every store.
func (s *State) await(hold *Posted) {
	at, found := slices.BinarySearchFunc(s.due, hold, func(a, b *Posted) int {
		return cmp.Or(a.Until.Compare(b.Until), strings.Compare(a.ID, b.ID))
	})
	if !found {
		s.due = slices.Insert(s.due, at, hold)
	}
}

// Delta is what a batch came to: what is to be written, and the answers.
type Delta struct {
	Outcomes []Outcome
	Posted   []*Posted  // in the order of the ledger; what was released by time comes first
	Refused  []Refused  // kept under their IDs
	Accounts []*Balance // changed
	Opened   []*Balance // new, and not among Accounts
	Closings []Closing
	Marks    []Mark
}

// Refused is a refusal that is to be kept.
type Refused struct {
	ID      string
	Kind    Kind
	Actor   string
	Request Digest
	Refusal Refusal
	At      time.Time
}

// Mark says that an entry is one of every markEvery of an account.
type Mark struct {
	Account AccountID
	Seq     Seq
}

// Fold decides a batch of transactions in order, after it has released the
// holds whose time is up. It is pure: the same state, batch and time give the
// same outcomes, and nothing else is read or written. A refused transaction
// leaves no trace in the balances.
func Fold(s *State, batch []Transaction, now time.Time) *Delta {
	f := folder{State: s, now: now.UTC().Truncate(time.Microsecond), size: len(batch)}
	f.delta = &Delta{Outcomes: make([]Outcome, len(batch)), Posted: make([]*Posted, 0, len(batch))}
	f.touched = make([]*slot, 0, 2*len(batch))
	if len(s.known) < len(batch) { // rather than growing, again and again
		known := make(map[string]Known, len(s.known)+len(batch))
		maps.Copy(known, s.known)
		s.known = known
	}
	f.release() // also for a batch of nothing
	for i := range batch {
		f.delta.Outcomes[i] = f.fold(&batch[i])
	}
	f.delta.Accounts = make([]*Balance, 0, len(f.touched))
	for _, a := range f.touched {
		switch {
		case a.opened:
			f.delta.Opened = append(f.delta.Opened, &a.Balance)
		default:
			f.delta.Accounts = append(f.delta.Accounts, &a.Balance)
		}
		a.changed, a.opened = false, false
	}
	return f.delta
}

// folder is one run of Fold.
type folder struct {
	*State
	now     time.Time
	size    int // of the batch
	delta   *Delta
	touched []*slot
	spare   []Posted // made for the whole batch at once
	room    []Entry

	// Of the transaction that is being decided:
	at       time.Time // its ledger time
	judge    time.Time // the instant at which expiries are judged
	today    string    // its business day
	posted   *Posted
	holder   *holder // of the resident who was last looked up
	resident string
	undo     [][2]*slot // debit and credit of each entry
	fresh    []*slot    // accounts that it opened
	marks    int        // of the delta, before it
}

func (f *folder) fold(tx *Transaction) Outcome {
	f.release() // ledger time goes on within a batch
	switch {
	case tx.ID == "":
		return Outcome{Err: ErrMissingID}
	case len(tx.ID) > MaxID:
		return Outcome{Err: ErrIDTooLong}
	}
	request := tx.Digest()
	if known, ok := f.known[tx.ID]; ok {
		switch {
		case known.Request != request:
			return Outcome{Err: ErrConflict}
		case known.Refusal != "":
			return Outcome{Err: known.Refusal, Replay: true}
		default:
			again := Outcome{Posted: *known.Posted, Replay: true}
			again.Posted.ResolvedBy, again.Posted.ResolvedAs = "", "" // as it was answered first
			return again
		}
	}
	switch {
	case f.clockFault():
		return Outcome{Err: ErrClock}
	case reserved(tx.ID):
		return Outcome{Err: ErrConflict}
	}
	p, refusal := f.decide(tx, request)
	if refusal != "" {
		f.known[tx.ID] = Known{Request: request, Refusal: refusal}
		f.delta.Refused = append(f.delta.Refused, Refused{tx.ID, tx.Kind, tx.Actor, request, refusal, f.now})
		return Outcome{Err: refusal}
	}
	f.known[tx.ID] = Known{Request: request, Posted: p}
	return Outcome{Posted: *p}
}

// decide posts a transaction or refuses it as a whole.
func (f *folder) decide(tx *Transaction, request Digest) (*Posted, Refusal) {
	f.begin()
	*f.posted = Posted{
		ID: tx.ID, Kind: tx.Kind, Resident: tx.Resident, Shop: tx.Shop, Terminal: tx.Terminal,
		Actor: tx.Actor, Reason: tx.Reason, Parent: tx.Parent, Request: request, LedgerAt: f.at, At: f.at,
	}
	if !tx.At.IsZero() {
		f.posted.At = tx.At.UTC().Truncate(time.Microsecond)
		f.judge = f.posted.At
	}
	f.today = f.dayOf(f.posted.At)
	f.posted.BusinessOn = f.today

	refusal := tx.Refused
	if refusal == "" {
		refusal = f.act(tx)
	}
	if refusal != "" {
		f.rollBack()
		return nil, refusal
	}
	f.keep()
	return f.posted, ""
}

// clockFault reports whether the clock is too far behind ledger time.
func (f *folder) clockFault() bool { return f.now.Before(f.LastAt.Add(-MaxClockStep)) }

func (f *folder) begin() {
	f.at = f.now
	if next := f.LastAt.Add(time.Microsecond); f.at.Before(next) { // the clock stands or was set back
		f.at = next
	}
	f.judge = f.at
	f.undo, f.fresh, f.marks = f.undo[:0], f.fresh[:0], len(f.delta.Marks)
	if len(f.spare) == 0 {
		f.spare = make([]Posted, max(1, f.size))
	}
	f.posted = &f.spare[0]
}

// entries makes room for about n entries.
func (f *folder) entries(n int) []Entry {
	if len(f.room) < n {
		f.room = make([]Entry, max(n, f.size))
	}
	room := f.room[:0:n]
	f.room = f.room[n:]
	return room
}

func (f *folder) keep() {
	for _, a := range f.fresh {
		if !a.changed { // passed over for the next one of a spend: it is not opened after all
			f.remove(a)
		}
	}
	if f.posted.Kind == Hold {
		f.await(f.posted)
	}
	f.LastSeq += Seq(len(f.posted.Entries))
	f.LastAt = f.at
	f.delta.Posted = append(f.delta.Posted, f.posted)
	f.spare = f.spare[1:]
}

func (f *folder) rollBack() {
	for i := len(f.undo) - 1; i >= 0; i-- {
		d, c, e := f.undo[i][0], f.undo[i][1], &f.posted.Entries[i]
		c.Credits -= e.Amount
		c.HeldCredits -= e.Held
		c.Version--
		c.LastSeq = e.CreditPrev
		d.Debits -= e.Amount
		d.HeldDebits -= e.Held
		d.Version--
		d.LastSeq = e.DebitPrev
	}
	for i := len(f.fresh) - 1; i >= 0; i-- {
		f.remove(f.fresh[i])
	}
	if n := len(f.fresh); n > 0 {
		f.touched = slices.DeleteFunc(f.touched, func(a *slot) bool { return slices.Contains(f.fresh, a) })
	}
	f.delta.Marks = f.delta.Marks[:f.marks]
}

func (f *folder) act(tx *Transaction) Refusal {
	if refusal := wellFormed(tx); refusal != "" {
		return refusal
	}
	switch tx.Kind {
	case Capture, Void:
		return f.resolve(tx)
	case Cancel, CancelGrant:
		return f.reverse(tx)
	case Close:
		return f.close(tx)
	}
	held := tx.Kind == Hold
	f.posted.Until = tx.Until.UTC().Truncate(time.Microsecond)
	if held && !f.at.Before(f.posted.Until) {
		return ErrHoldExpired
	}
	f.posted.Entries = f.entries(len(tx.Transfers) + len(tx.Spends))
	for _, t := range tx.Transfers {
		debit, refusal := f.account(tx, t.Debit)
		if refusal != "" {
			return refusal
		}
		credit, refusal := f.account(tx, t.Credit)
		if refusal != "" {
			return refusal
		}
		if refusal := f.transfer(tx.Kind, debit, credit, t.Amount, held); refusal != "" {
			return refusal
		}
	}
	for i := range tx.Spends {
		if refusal := f.spend(tx, &tx.Spends[i], held); refusal != "" {
			return refusal
		}
	}
	return ""
}

// wellFormed checks what can be checked without looking at the ledger.
func wellFormed(tx *Transaction) Refusal {
	n := len(tx.Transfers) + len(tx.Spends)
	_, own := flows[tx.Kind]
	follows := tx.Kind == Capture || tx.Kind == Void || tx.Kind == Cancel || tx.Kind == CancelGrant
	switch {
	case n > MaxTransfers:
		return ErrGroupTooLarge
	case !own && !follows && tx.Kind != Close,
		own == (n == 0),              // transfers of its own, or none
		follows != (tx.Parent != ""), // a parent, or none
		len(tx.Spends) > 0 && tx.Resident == "",
		(tx.Kind == Hold) == tx.Until.IsZero(),
		tx.Amount != 0 && tx.Kind != Capture,
		tx.Kind == Adjust && tx.Reason == "",
		(tx.Kind == Close) != (tx.Programme != "" && tx.Period != ""),
		tx.Kind == Close && (tx.Resident != "" || tx.Shop != "" || tx.Terminal != ""): // it is about all of them
		return ErrInvalid
	}
	amount := func(y Yen) Refusal {
		switch {
		case y == 0:
			return ErrAmountZero
		case y < 0:
			return ErrAmountNegative
		}
		return ""
	}
	for _, t := range tx.Transfers {
		if refusal := amount(t.Amount); refusal != "" {
			return refusal
		}
		if t.Debit == t.Credit {
			return ErrSelfTransfer
		}
	}
	for i := range tx.Spends {
		if refusal := amount(tx.Spends[i].Amount); refusal != "" {
			return refusal
		}
		if tx.Spends[i].Programme == "" || len(tx.Spends[i].Into) == 0 {
			return ErrInvalid
		}
	}
	if tx.Amount < 0 {
		return ErrAmountNegative
	}
	return ""
}

// account finds an account, or opens it when the transaction says how.
func (f *folder) account(tx *Transaction, id AccountID) (*slot, Refusal) {
	a := f.accounts[id]
	for i := range tx.Opens {
		want := &tx.Opens[i]
		if want.ID != id {
			continue
		}
		if a == nil {
			return f.open(want)
		}
		if a.Programme != want.Programme || a.Kind != want.Kind || a.Owner != want.Owner || a.Period != want.Period ||
			a.Funding != want.Funding || !a.ExpiresAt.Equal(want.ExpiresAt.Truncate(time.Microsecond)) {
			return nil, ErrAccountDiffers
		}
		return a, ""
	}
	if a == nil {
		return nil, ErrAccountNotFound
	}
	return a, ""
}

func (f *folder) open(want *Account) (*slot, Refusal) {
	if !want.valid() {
		return nil, ErrInvalid
	}
	a := &slot{Balance: Balance{Account: *want}, opened: true}
	a.ExpiresAt = a.ExpiresAt.UTC().Truncate(time.Microsecond)
	if want.Period != "" && f.closed[period{want.Programme, want.Period}] {
		return nil, ErrPeriodClosed
	}
	f.insert(a)
	f.fresh = append(f.fresh, a)
	return a, ""
}

// transfer checks one movement against the rules of its accounts and makes it.
func (f *folder) transfer(kind Kind, debit, credit *slot, amount Yen, held bool) Refusal {
	switch {
	case debit == credit: // a spend from what it goes into
		return ErrSelfTransfer
	case debit.Programme != credit.Programme:
		return ErrUnbalanced
	}
	if !allowed(kind, debit.Kind, credit.Kind) {
		return ErrFlow
	}
	for _, a := range [2]*slot{debit, credit} {
		switch {
		case a.Closed && a.Kind == ShopUnsettled:
			return ErrPeriodClosed
		case a.Closed:
			return ErrAccountClosed
		}
	}
	if credit.Period != "" && f.today > credit.Period {
		return ErrPeriodClosed // the period was over when this happened
	}
	if kind != Expire && kind != Move && kind != Adjust && !debit.usable(f.judge) {
		return ErrExpired
	}
	if kind == Expire && debit.usable(f.judge) {
		return ErrFlow
	}
	if kind != Cancel && kind != Adjust && !credit.usable(f.judge) {
		return ErrExpired
	}
	if refusal := covers(&debit.Balance, amount); refusal != "" {
		return refusal
	}
	if held {
		for _, a := range [2]*slot{debit, credit} { // value cannot be held for longer than it lives
			if !a.usable(f.posted.Until) {
				f.posted.Until = a.ExpiresAt
			}
		}
		return f.move(debit, credit, 0, amount)
	}
	return f.move(debit, credit, amount, 0)
}

func allowed(kind Kind, from, to AccountKind) bool {
	in := func(list []AccountKind, k AccountKind) bool { return list == nil || slices.Contains(list, k) }
	for i := range flows[kind] {
		if w := &flows[kind][i]; in(w.from, from) && in(w.to, to) {
			return true
		}
	}
	return false
}

// covers reports whether an amount can be taken out, what is held counted in.
func covers(b *Balance, amount Yen) Refusal {
	if b.Debits > math.MaxInt64-b.HeldDebits || b.Debits+b.HeldDebits > math.MaxInt64-amount {
		return ErrOverflow
	}
	switch issued := b.Debits + b.HeldDebits + amount; {
	case b.Kind.MayGoNegative():
		if b.Limit > 0 && issued-b.Credits > b.Limit {
			return ErrLimitExceeded
		}
	case issued > b.Credits:
		return ErrInsufficientBalance
	}
	return ""
}

// move makes an entry: amount moves, and what is held on both sides changes.
func (f *folder) move(debit, credit *slot, amount, held Yen) Refusal {
	if more := amount + held; more > 0 && credit.Credits+credit.HeldCredits > math.MaxInt64-more {
		return ErrOverflow
	}
	e := Entry{
		Seq:      f.LastSeq + Seq(len(f.posted.Entries)) + 1,
		Transfer: Transfer{Debit: debit.ID, Credit: credit.ID, Amount: amount}, Held: held,
		Programme: debit.Programme, DebitPrev: debit.LastSeq, CreditPrev: credit.LastSeq,
	}
	debit.Debits += amount
	debit.HeldDebits += held
	credit.Credits += amount
	credit.HeldCredits += held
	for _, a := range [2]*slot{debit, credit} {
		a.Version++
		a.LastSeq = e.Seq
		if a.Version%markEvery == 0 {
			f.delta.Marks = append(f.delta.Marks, Mark{a.ID, e.Seq})
		}
		f.touch(a)
	}
	e.DebitAfter, e.CreditAfter = debit.Value(), credit.Value()
	if f.posted.Resident != "" {
		for _, lot := range f.lots(f.posted.Resident) {
			if lot.Programme == e.Programme {
				e.ResidentAfter += lot.Value()
			}
		}
	}
	f.undo = append(f.undo, [2]*slot{debit, credit})
	f.posted.Entries = append(f.posted.Entries, e)
	if e.ResidentAfter < 0 { // none of the lots is below zero, but together they are out of range
		return ErrOverflow
	}
	return ""
}

// lots are those of a resident, in the order of spending.
func (f *folder) lots(resident string) []*slot {
	if f.holder == nil || f.resident != resident {
		if f.resident, f.holder = resident, f.holders[resident]; f.holder == nil {
			return nil
		}
	}
	return f.holder.lots
}

func (f *folder) touch(a *slot) {
	if !a.changed {
		a.changed = true
		f.touched = append(f.touched, a)
	}
}

// spend takes an amount out of the resident's lots, in order.
func (f *folder) spend(tx *Transaction, sp *Spend, held bool) Refusal {
	into, refusal := f.into(tx, sp)
	if refusal != "" {
		return refusal
	}
	rest := sp.Amount
	for _, lot := range f.lots(tx.Resident) {
		if rest == 0 {
			break
		}
		part := min(rest, lot.Available())
		if part <= 0 || lot.Programme != sp.Programme || lot.Closed || !lot.usable(f.judge) {
			continue
		}
		if refusal := f.transfer(tx.Kind, lot, into, part, held); refusal != "" {
			return refusal
		}
		rest -= part
	}
	if rest > 0 {
		return ErrInsufficientBalance
	}
	return ""
}

// into is the first account of a spend that is open for this business day.
func (f *folder) into(tx *Transaction, sp *Spend) (*slot, Refusal) {
	refusal := ErrInvalid
	for _, id := range sp.Into {
		a, r := f.account(tx, id)
		switch {
		case r != "":
			refusal = r
		case a.Closed || a.Period != "" && f.today > a.Period:
			refusal = ErrPeriodClosed
		case a.Programme != sp.Programme:
			return nil, ErrUnbalanced
		default:
			return a, ""
		}
	}
	return nil, refusal
}

// resolve captures or voids a hold.
func (f *folder) resolve(tx *Transaction) Refusal {
	known := f.known[tx.Parent]
	switch {
	case known.Posted == nil || known.Posted.Kind != Hold:
		return ErrHoldNotFound
	case known.Posted.ResolvedAs == Release, known.Posted.ResolvedBy == "" && !f.at.Before(known.Posted.Until):
		return ErrHoldExpired
	case known.Posted.ResolvedBy != "":
		return ErrHoldResolved
	}
	hold := known.Posted
	amount := Yen(0)
	if tx.Kind == Capture {
		if amount = tx.Amount; amount == 0 {
			amount = hold.TotalHeld()
		}
		if amount > hold.TotalHeld() {
			return ErrCaptureBeyondHold
		}
	}
	return f.end(hold, amount)
}

// end ends a hold: amount of it moves, and the rest is let go.
func (f *folder) end(hold *Posted, amount Yen) Refusal {
	f.follow(hold)
	for i := range hold.Entries {
		e := &hold.Entries[i]
		part := min(amount, e.Held)
		if refusal := f.move(f.accounts[e.Debit], f.accounts[e.Credit], part, -e.Held); refusal != "" {
			return refusal
		}
		amount -= part
	}
	hold.ResolvedBy, hold.ResolvedAs = f.posted.ID, f.posted.Kind
	return ""
}

// follow takes over whom a transaction is about from the one it follows.
func (f *folder) follow(parent *Posted) {
	f.posted.Resident, f.posted.Shop, f.posted.Terminal = parent.Resident, parent.Shop, parent.Terminal
	f.posted.Entries = f.entries(len(parent.Entries))
}

// release ends the holds whose time is up, each with a transaction of its own
// under an ID that follows from the hold's, so that it happens once.
func (f *folder) release() {
	for len(f.due) > 0 && !f.clockFault() {
		hold := f.due[0]
		f.begin()
		if f.at.Before(hold.Until) {
			return
		}
		f.due = f.due[1:]
		if hold.ResolvedBy != "" {
			continue
		}
		tx := Transaction{ID: releaseID(hold.ID), Kind: Release, Parent: hold.ID, Actor: "ledger"}
		*f.posted = Posted{
			ID: tx.ID, Kind: tx.Kind, Parent: tx.Parent, Actor: tx.Actor, Request: tx.Digest(),
			LedgerAt: f.at, At: f.at, BusinessOn: f.dayOf(f.at),
		}
		if refusal := f.end(hold, 0); refusal != "" { // nothing moves that could be refused
			panic("ledger: a hold cannot be released: " + string(refusal))
		}
		f.keep()
		f.known[tx.ID] = Known{Request: f.posted.Request, Posted: f.posted}
	}
}

// reverse takes back the whole of a payment, a charge or a grant: everything
// goes back to where it came from, also to lots whose time is up.
func (f *folder) reverse(tx *Transaction) Refusal {
	known := f.known[tx.Parent]
	if known.Posted == nil {
		return ErrNotCancellable
	}
	parent := known.Posted
	switch {
	case parent.Kind == Cancel || parent.Kind == CancelGrant:
		return ErrReverseReversal
	case tx.Kind == Cancel && !parent.IsPayment(),
		tx.Kind == CancelGrant && parent.Kind != Charge && parent.Kind != Grant && (parent.Kind != Capture || parent.IsPayment()):
		return ErrNotCancellable
	case parent.ResolvedBy != "":
		return ErrAlreadyCancelled
	}
	f.follow(parent)
	for i := len(parent.Entries) - 1; i >= 0; i-- {
		e := &parent.Entries[i]
		if e.Amount == 0 {
			continue
		}
		debit, credit := f.accounts[e.Credit], f.accounts[e.Debit]
		if debit.Closed && debit.Kind == ShopUnsettled {
			return ErrPeriodClosed
		}
		if refusal := covers(&debit.Balance, e.Amount); refusal != "" {
			return refusal
		}
		if refusal := f.move(debit, credit, e.Amount, 0); refusal != "" {
			return refusal
		}
	}
	parent.ResolvedBy, parent.ResolvedAs = tx.ID, tx.Kind
	return ""
}

// close fixes what belongs to a settlement period: it closes every shop's
// takings account of the period and moves what stands on it to what is payable.
func (f *folder) close(tx *Transaction) Refusal {
	key := period{tx.Programme, tx.Period}
	if _, err := time.Parse(time.DateOnly, tx.Period); err != nil {
		return ErrInvalid
	}
	if f.closed[key] {
		return ErrPeriodClosed
	}
	if f.dayOf(f.at) < tx.Period {
		return ErrPeriodNotOver
	}
	takings := f.periods[key]
	slices.SortFunc(takings, func(a, b *slot) int { return cmp.Compare(a.ID, b.ID) })
	for _, a := range takings {
		if a.HeldCredits > 0 {
			return ErrHoldsOpen
		}
	}
	cut := Closing{Programme: tx.Programme, Period: tx.Period, Cut: f.LastSeq, By: tx.ID}
	f.posted.Entries = f.entries(len(takings))
	for _, a := range takings {
		if a.Value() == 0 {
			continue
		}
		payable := Account{ID: PayableID(a.Programme, a.Owner), Programme: a.Programme, Kind: ShopPayable, Owner: a.Owner}
		to := f.accounts[payable.ID]
		if to == nil {
			var refusal Refusal
			if to, refusal = f.open(&payable); refusal != "" {
				return refusal
			}
		}
		if refusal := f.move(a, to, a.Value(), 0); refusal != "" {
			return refusal
		}
	}
	for _, a := range takings {
		a.Closed = true
		f.touch(a)
	}
	f.closed[key] = true
	f.posted.Closed = &cut
	f.delta.Closings = append(f.delta.Closings, cut)
	return ""
}

// dayOf is Day, remembering the last one.
func (s *State) dayOf(t time.Time) string {
	const day = 24 * 60 * 60
	seconds := t.Unix() + tokyoOffset
	if seconds < s.day.begins || seconds >= s.day.begins+day || s.day.text == "" {
		s.day.begins, s.day.text = seconds-(seconds%day+day)%day, Day(t)
	}
	return s.day.text
}

// DerivedID is the ID of what a machine does because of something else, so
// that doing it again changes nothing: the same words give the same ID.
func DerivedID(of string, words ...string) string {
	name := of
	for _, w := range words {
		name += "\x00" + w
	}
	return uuid.NewSHA1(derived, []byte(name)).String()
}

var derived = uuid.MustParse("5a1c0d6e-5f0f-5b8e-9d5e-6d6567757269")

// releaseID is the ID under which a hold is released. It is reserved: the
// ledger could release nothing any more, and post no batch, if somebody had
// used it before.
func releaseID(hold string) string {
	id := DerivedID(hold, string(Release))
	return reservedIDs + id[len(reservedIDs):14] + "8" + id[15:]
}

// reservedIDs is how IDs begin that only the ledger may use. They are UUIDs of
// version 8, which is free for such things.
const reservedIDs = "6d656775-"

func reserved(id string) bool {
	return len(id) == 36 && strings.HasPrefix(id, reservedIDs) && id[14] == '8'
}

// DigestOf is the digest of a request that is told by its words.
func DigestOf(words ...string) Digest {
	var b []byte
	for _, w := range words {
		b = appendText(b, w)
	}
	return sha256.Sum256(b)
}

// Digest is Request, or what takes its place: a digest of everything that
// makes two requests with one ID the same.
func (t *Transaction) Digest() Digest {
	if t.Request != (Digest{}) {
		return t.Request
	}
	return sha256.Sum256(appendRequest(make([]byte, 0, 1024), t))
}

func appendRequest(b []byte, t *Transaction) []byte {
	for _, s := range [...]string{string(t.Kind), t.Resident, t.Shop, t.Terminal, t.Actor, t.Reason, t.Parent, string(t.Programme), t.Period, string(t.Refused)} {
		b = appendText(b, s)
	}
	b = appendInstant(appendInstant(b, t.Until), t.At)
	b = appendNumber(b, int64(t.Amount))
	b = appendNumber(b, int64(len(t.Transfers)))
	for _, m := range t.Transfers {
		b = appendText(appendText(b, string(m.Debit)), string(m.Credit))
		b = appendNumber(b, int64(m.Amount))
	}
	b = appendNumber(b, int64(len(t.Spends)))
	for i := range t.Spends {
		sp := &t.Spends[i]
		b = appendNumber(appendText(b, string(sp.Programme)), int64(sp.Amount))
		b = appendNumber(b, int64(len(sp.Into)))
		for _, id := range sp.Into {
			b = appendText(b, string(id))
		}
	}
	return b
}
