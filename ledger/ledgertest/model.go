package ledgertest

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"meguri/ledger"
)

// Model is the ledger once more, in few words, to hold a store against: what
// stands on each account, what was answered, and what each answer moved. It
// shares no code with ledger.Fold, and knows no batches and no store.
type Model struct {
	Log []*Record // what was posted, in order; a caller may cut it

	last     time.Time // ledger time
	entries  ledger.Seq
	accounts map[ledger.AccountID]*account
	groups   map[[3]string][]*account // the lots of a resident, the takings of a period
	closed   map[[2]string]bool
	answers  map[string]*Record
	holds    []*Record // the one that ends first is the first
}

type account struct {
	ledger.Account
	place                    string // in the order in which lots are spent
	in, out, heldIn, heldOut ledger.Yen
	moves                    int
	closed                   bool
}

// Record is a transaction that stands or, with Refused, one that does not.
type Record struct {
	ID, Parent, Resident, Shop string
	Kind                       ledger.Kind
	Refused                    ledger.Refusal
	At, LedgerAt, Until        time.Time
	Day                        string
	Moves                      []Move
	EndedBy                    string
	EndedAs                    ledger.Kind
	Cut                        ledger.Seq // of a close

	content [sha256.Size]byte
	opened  []*account
	undo    []func()
}

// Move is one entry of a Record.
type Move struct {
	Debit, Credit                                        ledger.AccountID
	Amount, Held, DebitAfter, CreditAfter, ResidentAfter ledger.Yen
}

// NewModel returns an empty ledger.
func NewModel() *Model {
	return &Model{
		accounts: map[ledger.AccountID]*account{}, groups: map[[3]string][]*account{}, closed: map[[2]string]bool{}, answers: map[string]*Record{},
	}
}

// Open opens an account.
func (m *Model) Open(a ledger.Account) *account {
	b := &account{Account: a, place: "never"}
	if !a.ExpiresAt.IsZero() {
		b.place = a.ExpiresAt.UTC().Format("2006-01-02 15:04:05.000000")
	}
	b.place += fmt.Sprintf("%5d %s", a.Rank, a.ID)
	m.accounts[a.ID] = b
	g := append(m.groups[b.group()], b)
	sort.Slice(g, func(i, j int) bool { return g[i].place < g[j].place })
	m.groups[b.group()] = g
	return b
}

func (b *account) group() [3]string {
	if b.Kind == ledger.ResidentLot {
		return [3]string{"lots", b.Owner, string(b.Programme)}
	}
	return [3]string{string(b.Kind), b.Period, string(b.Programme)}
}

// Post answers transactions at an instant: posted, or the code of what is
// wrong, with "again " before it for an answer that was given before.
func (m *Model) Post(now time.Time, txs ...ledger.Transaction) (answers []string) {
	m.release(now)
	for i := range txs {
		answers = append(answers, m.answer(now.Truncate(time.Microsecond), &txs[i]))
	}
	return answers
}

func (m *Model) answer(now time.Time, tx *ledger.Transaction) string {
	m.release(now)
	content := tx.Request
	if content == (ledger.Digest{}) {
		content = sha256.Sum256(fmt.Appendf(nil, "%q %v %v %d %d %d", []string{string(tx.Kind), tx.Resident, tx.Shop, tx.Terminal, tx.Actor, tx.Reason,
			tx.Parent, string(tx.Programme), tx.Period, string(tx.Refused)}, tx.Transfers, tx.Spends, tx.Until.UnixMicro(), tx.At.UnixMicro(), tx.Amount))
	}
	past := m.answers[tx.ID]
	switch {
	case tx.ID == "":
		return "missing-id"
	case len(tx.ID) > 64:
		return "id-too-long"
	case past != nil && past.content == content:
		return "again " + past.answer()
	case past != nil:
		return "conflict"
	case m.last.Sub(now) > time.Minute:
		return "clock"
	case len(tx.ID) == 36 && strings.HasPrefix(tx.ID, "6d656775-") && tx.ID[14] == '8':
		return "conflict"
	}
	at := m.next(now)
	r := &Record{ID: tx.ID, Kind: tx.Kind, Parent: tx.Parent, Resident: tx.Resident, Shop: tx.Shop, LedgerAt: at, At: at, content: content}
	if !tx.At.IsZero() {
		r.At = tx.At.Truncate(time.Microsecond)
	}
	r.Day = day(r.At)
	m.answers[tx.ID] = r
	m.decide(tx, r)
	if r.Refused == "" {
		m.stand(r)
	}
	return r.answer()
}

func (r *Record) answer() string {
	if r.Refused != "" {
		return string(r.Refused)
	}
	return "posted"
}

// decide makes the moves of a transaction, or takes them back where one of the
// rules below panics with a refusal.
func (m *Model) decide(tx *ledger.Transaction, r *Record) {
	defer func() {
		refusal := recover()
		if refusal != nil {
			r.Refused = refusal.(ledger.Refusal) // or go on with what is no refusal
			for _, undo := range slices.Backward(r.undo) {
				undo()
			}
			r.Moves = nil
		}
		for _, b := range r.opened {
			if refusal != nil || b.moves == 0 {
				delete(m.accounts, b.ID)
				m.groups[b.group()] = slices.DeleteFunc(m.groups[b.group()], func(c *account) bool { return c == b })
			}
		}
		r.undo, r.opened = nil, nil
	}()
	must(tx.Refused == "", tx.Refused)
	wellFormed(tx)
	switch tx.Kind {
	case ledger.Capture, ledger.Void:
		m.endHold(tx, r)
	case ledger.Cancel, ledger.CancelGrant:
		m.takeBack(tx, r)
	case ledger.Close:
		m.closePeriod(tx, r)
	default:
		r.Until = tx.Until.Truncate(time.Microsecond)
		must(tx.Kind != ledger.Hold || r.Until.After(r.LedgerAt), ledger.ErrHoldExpired)
		for _, t := range tx.Transfers {
			from := m.find(tx, r, t.Debit)
			m.transfer(r, from, m.find(tx, r, t.Credit), t.Amount)
		}
		for _, s := range tx.Spends {
			m.spend(tx, r, s)
		}
	}
}

func must(ok bool, otherwise ledger.Refusal) {
	if !ok {
		panic(otherwise)
	}
}

func (m *Model) stand(r *Record) {
	m.entries += ledger.Seq(len(r.Moves))
	m.last = r.LedgerAt
	m.Log = append(m.Log, r)
	if parent := m.answers[r.Parent]; parent != nil {
		parent.EndedBy, parent.EndedAs = r.ID, r.Kind
	}
	if r.Kind == ledger.Hold {
		at := sort.Search(len(m.holds), func(i int) bool {
			h := m.holds[i]
			return h.Until.After(r.Until) || h.Until.Equal(r.Until) && h.ID > r.ID
		})
		m.holds = slices.Insert(m.holds, at, r)
	}
}

func day(t time.Time) string { return t.UTC().Add(9 * time.Hour).Format("2006-01-02") }

func (m *Model) next(now time.Time) time.Time {
	if after := m.last.Add(time.Microsecond); now.Before(after) {
		return after
	}
	return now
}

// release ends the holds whose time is up.
func (m *Model) release(now time.Time) {
	now = now.Truncate(time.Microsecond)
	for len(m.holds) > 0 && m.last.Sub(now) <= time.Minute && !m.holds[0].Until.After(m.next(now)) {
		hold, at := m.holds[0], m.next(now)
		m.holds = m.holds[1:]
		if hold.EndedBy == "" {
			r := &Record{ID: "release of " + hold.ID, Kind: ledger.Release, Parent: hold.ID, At: at, LedgerAt: at, Day: day(at)}
			m.letGo(r, hold, 0)
			m.stand(r)
		}
	}
}

// flows says from what to what each kind of transaction moves value.
type flows map[ledger.Kind]string

var movable = flows{
	"charge": "funds resident_lot", "grant": "funds resident_lot", "pay": "resident_lot shop_unsettled",
	"hold": "resident_lot shop_unsettled, funds resident_lot", "expire": "resident_lot expired", "lapse": "resident_lot lapsed",
	"move": "resident_lot resident_lot", "refund": "resident_lot refund, expired refund", "payout": "shop_payable bank_clearing",
	"payout_return": "bank_clearing shop_payable", "adjust": "any",
}

func (f flows) may(kind ledger.Kind, from, to ledger.AccountKind) bool {
	word := func(k ledger.AccountKind) string {
		return strings.TrimSuffix(strings.TrimSuffix(string(k), "_paid"), "_premium")
	}
	return f[kind] == "any" || slices.Contains(strings.Split(f[kind], ", "), word(from)+" "+word(to))
}

func wellFormed(tx *ledger.Transaction) {
	own, n, closes, kind := movable[tx.Kind] != "", len(tx.Transfers)+len(tx.Spends), tx.Kind == ledger.Close, tx.Kind
	follows := kind == ledger.Capture || kind == ledger.Void || kind == ledger.Cancel || kind == ledger.CancelGrant
	must(n <= 100, ledger.ErrGroupTooLarge)
	must(own || follows || closes, ledger.ErrInvalid)
	must(own == (n > 0) && follows == (tx.Parent != "") && closes == (tx.Programme != "" && tx.Period != ""), ledger.ErrInvalid)
	must(!closes || tx.Resident+tx.Shop+tx.Terminal == "", ledger.ErrInvalid)
	must(len(tx.Spends) == 0 || tx.Resident != "", ledger.ErrInvalid)
	must((kind == ledger.Hold) == !tx.Until.IsZero() && (kind == ledger.Capture || tx.Amount == 0), ledger.ErrInvalid)
	must(kind != ledger.Adjust || tx.Reason != "", ledger.ErrInvalid)
	for _, t := range tx.Transfers {
		positive(t.Amount)
		must(t.Debit != t.Credit, ledger.ErrSelfTransfer)
	}
	for _, s := range tx.Spends {
		positive(s.Amount)
		must(s.Programme != "" && len(s.Into) > 0, ledger.ErrInvalid)
	}
	must(tx.Amount >= 0, ledger.ErrAmountNegative)
}

func positive(y ledger.Yen) {
	must(y != 0, ledger.ErrAmountZero)
	must(y > 0, ledger.ErrAmountNegative)
}

func (m *Model) spend(tx *ledger.Transaction, r *Record, s ledger.Spend) {
	into := m.into(tx, r, s)
	rest := s.Amount
	for _, lot := range m.groups[[3]string{"lots", tx.Resident, string(s.Programme)}] {
		if part := min(rest, lot.in-lot.out-lot.heldOut); part > 0 && !over(lot, r.At) {
			m.transfer(r, lot, into, part)
			rest -= part
		}
	}
	must(rest == 0, ledger.ErrInsufficientBalance)
}

// into is the first of the accounts of a spend that takes it.
func (m *Model) into(tx *ledger.Transaction, r *Record, s ledger.Spend) (b *account) {
	for i, id := range s.Into {
		why := func() (why ledger.Refusal) {
			defer func() { why, _ = recover().(ledger.Refusal) }()
			b = m.find(tx, r, id)
			must(!b.closed && (b.Period == "" || b.Period >= r.Day), ledger.ErrPeriodClosed)
			return
		}()
		if why == "" {
			break
		}
		must(i+1 < len(s.Into), why)
	}
	must(b.Programme == s.Programme, ledger.ErrUnbalanced)
	return b
}

func over(b *account, at time.Time) bool { return !b.ExpiresAt.IsZero() && !b.ExpiresAt.After(at) }

func (m *Model) find(tx *ledger.Transaction, r *Record, id ledger.AccountID) *account {
	b := m.accounts[id]
	for _, w := range tx.Opens {
		if w.ID != id {
			continue
		}
		if b != nil { // rank and limit may differ
			must(b.Programme == w.Programme && b.Kind == w.Kind && b.Owner == w.Owner && b.Period == w.Period &&
				b.Funding == w.Funding && b.ExpiresAt.UnixMicro() == w.ExpiresAt.UnixMicro(), ledger.ErrAccountDiffers)
			return b
		}
		must(len(id) <= 200 && w.Programme != "" && w.Kind.Valid() && w.Limit >= 0 && (w.Period == "" || w.Kind == ledger.ShopUnsettled) &&
			(w.ExpiresAt.IsZero() || w.Kind == ledger.ResidentLot), ledger.ErrInvalid)
		must(w.Period == "" || !m.closed[[2]string{string(w.Programme), w.Period}], ledger.ErrPeriodClosed)
		b = m.Open(w)
		r.opened = append(r.opened, b)
		return b
	}
	must(b != nil, ledger.ErrAccountNotFound)
	return b
}

func (m *Model) transfer(r *Record, from, to *account, amount ledger.Yen) {
	freed := r.Kind == ledger.Expire || r.Kind == ledger.Move || r.Kind == ledger.Adjust
	must(from != to, ledger.ErrSelfTransfer)
	must(from.Programme == to.Programme, ledger.ErrUnbalanced)
	must(movable.may(r.Kind, from.Kind, to.Kind), ledger.ErrFlow)
	must(!from.closed && !to.closed, ledger.ErrPeriodClosed) // only takings are ever closed here
	must(to.Period == "" || to.Period >= r.Day, ledger.ErrPeriodClosed)
	must(freed || !over(from, r.At), ledger.ErrExpired)
	must(r.Kind != ledger.Expire || over(from, r.At), ledger.ErrFlow)
	must(r.Kind == ledger.Adjust || !over(to, r.At), ledger.ErrExpired)
	enough(from, amount)
	if r.Kind != ledger.Hold {
		m.move(r, from, to, amount, 0)
		return
	}
	for _, b := range []*account{from, to} {
		if over(b, r.Until) {
			r.Until = b.ExpiresAt
		}
	}
	m.move(r, from, to, 0, amount)
}

func enough(b *account, amount ledger.Yen) {
	gone := uint64(b.out) + uint64(b.heldOut) + uint64(amount)
	funds := b.Kind == ledger.FundsPaid || b.Kind == ledger.FundsPremium
	must(gone <= math.MaxInt64, ledger.ErrOverflow)
	must(!funds || b.Limit == 0 || ledger.Yen(gone)-b.in <= b.Limit, ledger.ErrLimitExceeded)
	must(funds || ledger.Yen(gone) <= b.in, ledger.ErrInsufficientBalance)
}

func (m *Model) move(r *Record, from, to *account, amount, held ledger.Yen) {
	must(amount+held <= 0 || uint64(to.in)+uint64(to.heldIn)+uint64(amount+held) <= math.MaxInt64, ledger.ErrOverflow)
	shift := func(amount, held ledger.Yen, moves int) {
		from.out, from.heldOut, from.moves = from.out+amount, from.heldOut+held, from.moves+moves
		to.in, to.heldIn, to.moves = to.in+amount, to.heldIn+held, to.moves+moves
	}
	shift(amount, held, 1)
	r.undo = append(r.undo, func() { shift(-amount, -held, -1) })
	has := ledger.Yen(0)
	if r.Resident != "" {
		for _, lot := range m.groups[[3]string{"lots", r.Resident, string(from.Programme)}] {
			must(has <= math.MaxInt64-(lot.in-lot.out), ledger.ErrOverflow)
			has += lot.in - lot.out
		}
	}
	r.Moves = append(r.Moves, Move{from.ID, to.ID, amount, held, from.in - from.out, to.in - to.out, has})
}

func (m *Model) endHold(tx *ledger.Transaction, r *Record) {
	hold := m.answers[tx.Parent]
	must(hold != nil && hold.Refused == "" && hold.Kind == ledger.Hold, ledger.ErrHoldNotFound)
	must(hold.EndedAs != ledger.Release, ledger.ErrHoldExpired)
	must(hold.EndedBy == "", ledger.ErrHoldResolved)
	held := ledger.Yen(0)
	for _, e := range hold.Moves {
		held += e.Held
	}
	must(tx.Amount <= held, ledger.ErrCaptureBeyondHold)
	switch {
	case tx.Kind == ledger.Void:
		held = 0
	case tx.Amount > 0:
		held = tx.Amount
	}
	m.letGo(r, hold, held)
}

func (m *Model) letGo(r, hold *Record, amount ledger.Yen) {
	r.Resident, r.Shop = hold.Resident, hold.Shop
	for _, e := range hold.Moves {
		part := min(amount, e.Held)
		m.move(r, m.accounts[e.Debit], m.accounts[e.Credit], part, -e.Held)
		amount -= part
	}
}

func (m *Model) takeBack(tx *ledger.Transaction, r *Record) {
	p := m.answers[tx.Parent]
	must(p != nil && p.Refused == "" && p != r, ledger.ErrNotCancellable)
	must(p.Kind != ledger.Cancel && p.Kind != ledger.CancelGrant, ledger.ErrReverseReversal)
	paid := p.Kind == ledger.Pay || p.Kind == ledger.Capture && p.Shop != ""
	given := p.Kind == ledger.Charge || p.Kind == ledger.Grant || p.Kind == ledger.Capture && p.Shop == ""
	must(tx.Kind == ledger.Cancel && paid || tx.Kind == ledger.CancelGrant && given, ledger.ErrNotCancellable)
	must(p.EndedBy == "", ledger.ErrAlreadyCancelled)
	r.Resident, r.Shop = p.Resident, p.Shop
	for _, e := range slices.Backward(p.Moves) {
		if e.Amount > 0 {
			must(!m.accounts[e.Credit].closed, ledger.ErrPeriodClosed)
			enough(m.accounts[e.Credit], e.Amount)
			m.move(r, m.accounts[e.Credit], m.accounts[e.Debit], e.Amount, 0)
		}
	}
}

func (m *Model) closePeriod(tx *ledger.Transaction, r *Record) {
	_, err := time.Parse("2006-01-02", tx.Period)
	must(err == nil, ledger.ErrInvalid)
	must(!m.closed[[2]string{string(tx.Programme), tx.Period}], ledger.ErrPeriodClosed)
	must(day(r.LedgerAt) >= tx.Period, ledger.ErrPeriodNotOver)
	r.Cut = m.entries
	takings := m.groups[[3]string{string(ledger.ShopUnsettled), tx.Period, string(tx.Programme)}]
	for _, b := range takings {
		must(b.heldIn == 0, ledger.ErrHoldsOpen)
	}
	for _, b := range takings {
		if b.in > b.out {
			owed := ledger.Account{ID: ledger.AccountID(fmt.Sprintf("payable:%s:%s", b.Programme, b.Owner)), Programme: b.Programme, Kind: ledger.ShopPayable, Owner: b.Owner}
			m.move(r, b, m.find(&ledger.Transaction{Opens: []ledger.Account{owed}}, r, owed.ID), b.in-b.out, 0)
		}
	}
	for _, b := range takings {
		b.closed = true
	}
	m.closed[[2]string{string(tx.Programme), tx.Period}] = true
}
