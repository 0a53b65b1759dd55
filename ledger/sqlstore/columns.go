package sqlstore

import (
	"meguri/ledger"
)

// columns is what a batch writes, by column: PostgreSQL takes the columns as
// arrays, SQLite row by row.
type columns struct {
	transfers transferColumns
	opened    accountColumns
	begun     balanceColumns // of those that are opened
	changed   balanceColumns
	refusals  refusalColumns
	marks     struct {
		account []string
		seq     []int64
	}
	holds struct {
		id    []string
		until []int64
	}
	closes [][]any
}

type transferColumns struct {
	seq, position, amount, held, debitAfter, creditAfter, residentAfter, debitPrev, creditPrev []int64
	happenedAt, ledgerAt, untilAt                                                              []int64
	id, kind, programme, debit, credit                                                         []string
	resident, shop, terminal, actor, reason, parent, businessOn                                []string
	request                                                                                    [][]byte
}

func (c *transferColumns) arrays() []any {
	return []any{c.seq, c.id, c.position, c.kind, c.programme, c.debit, c.credit, c.amount, c.held, c.debitAfter, c.creditAfter,
		c.residentAfter, c.debitPrev, c.creditPrev, c.resident, c.shop, c.terminal, c.actor, c.reason, c.parent, c.request,
		c.happenedAt, c.ledgerAt, c.untilAt, c.businessOn}
}

// accountColumns are accounts as they are opened.
type accountColumns struct {
	id, programme, kind, owner, period, funding []string
	number, rank, expiresAt, limit              []int64
}

func (c *accountColumns) add(b *ledger.Balance, number int64) {
	c.number = append(c.number, number)
	c.id = append(c.id, string(b.ID))
	c.programme = append(c.programme, string(b.Programme))
	c.kind = append(c.kind, string(b.Kind))
	c.owner = append(c.owner, b.Owner)
	c.period = append(c.period, b.Period)
	c.funding = append(c.funding, string(b.Funding))
	c.rank = append(c.rank, int64(b.Rank))
	c.expiresAt = append(c.expiresAt, micros(b.ExpiresAt))
	c.limit = append(c.limit, int64(b.Limit))
}

func (c *accountColumns) arrays() []any {
	return []any{c.number, c.id, c.programme, c.kind, c.owner, c.period, c.funding, c.rank, c.expiresAt, c.limit}
}

// balanceColumns are what stands on accounts.
type balanceColumns struct {
	number, debits, credits, heldDebits, heldCredits, version, lastSeq []int64
	closed, floored                                                    []bool
}

func (c *balanceColumns) add(b *ledger.Balance, number int64) {
	c.number = append(c.number, number)
	c.debits = append(c.debits, int64(b.Debits))
	c.credits = append(c.credits, int64(b.Credits))
	c.heldDebits = append(c.heldDebits, int64(b.HeldDebits))
	c.heldCredits = append(c.heldCredits, int64(b.HeldCredits))
	c.version = append(c.version, b.Version)
	c.lastSeq = append(c.lastSeq, int64(b.LastSeq))
	c.closed = append(c.closed, b.Closed)
	c.floored = append(c.floored, !b.Kind.MayGoNegative())
}

func (c *balanceColumns) arrays() []any {
	return []any{c.number, c.debits, c.credits, c.heldDebits, c.heldCredits, c.version, c.lastSeq, c.closed, c.floored}
}

func (c *balanceColumns) updates() []any {
	return []any{c.debits, c.credits, c.heldDebits, c.heldCredits, c.version, c.lastSeq, c.closed, c.number}
}

type refusalColumns struct {
	id, code, kind, actor []string
	request               [][]byte
	refusedAt             []int64
}

func (c *refusalColumns) arrays() []any {
	return []any{c.id, c.request, c.code, c.kind, c.actor, c.refusedAt}
}

func columnsOf(r *rows) *columns {
	c := &columns{}
	for _, p := range r.delta.Posted {
		for i := range p.Entries {
			c.transfers.add(p, i)
		}
		if p.Closed != nil {
			c.closes = append(c.closes, []any{p.ID, string(p.Closed.Programme), p.Closed.Period, int64(p.Closed.Cut), int64(len(p.Entries)),
				p.Actor, p.Reason, p.Request[:], micros(p.At), micros(p.LedgerAt), p.BusinessOn})
		}
	}
	for i, b := range r.delta.Opened {
		c.opened.add(b, r.opened[i])
		c.begun.add(b, r.opened[i])
	}
	for i, b := range r.delta.Accounts {
		c.changed.add(b, r.changed[i])
	}
	for i := range r.delta.Refused {
		f := &r.delta.Refused[i]
		c.refusals.id = append(c.refusals.id, f.ID)
		c.refusals.request = append(c.refusals.request, f.Request[:])
		c.refusals.code = append(c.refusals.code, string(f.Refusal))
		c.refusals.kind = append(c.refusals.kind, string(f.Kind))
		c.refusals.actor = append(c.refusals.actor, f.Actor)
		c.refusals.refusedAt = append(c.refusals.refusedAt, micros(f.At))
	}
	for _, m := range r.delta.Marks {
		c.marks.account = append(c.marks.account, string(m.Account))
		c.marks.seq = append(c.marks.seq, int64(m.Seq))
	}
	for _, h := range r.holds {
		c.holds.id = append(c.holds.id, h.ID)
		c.holds.until = append(c.holds.until, micros(h.Until))
	}
	return c
}

// rows is how many rows a batch writes, but for the batch's own and the head's.
func (c *columns) rows(r *rows) int {
	return len(c.transfers.seq) + 2*len(c.opened.id) + len(c.changed.number) + len(c.refusals.id) + len(c.marks.seq) +
		len(c.holds.id) + len(r.ended) + len(c.closes)
}

func (c *transferColumns) add(p *ledger.Posted, i int) {
	e := &p.Entries[i]
	c.seq = append(c.seq, int64(e.Seq))
	c.id = append(c.id, p.ID)
	c.position = append(c.position, int64(i))
	c.kind = append(c.kind, string(p.Kind))
	c.programme = append(c.programme, string(e.Programme))
	c.debit = append(c.debit, string(e.Debit))
	c.credit = append(c.credit, string(e.Credit))
	c.amount = append(c.amount, int64(e.Amount))
	c.held = append(c.held, int64(e.Held))
	c.debitAfter = append(c.debitAfter, int64(e.DebitAfter))
	c.creditAfter = append(c.creditAfter, int64(e.CreditAfter))
	c.residentAfter = append(c.residentAfter, int64(e.ResidentAfter))
	c.debitPrev = append(c.debitPrev, int64(e.DebitPrev))
	c.creditPrev = append(c.creditPrev, int64(e.CreditPrev))
	c.resident = append(c.resident, p.Resident)
	c.shop = append(c.shop, p.Shop)
	c.terminal = append(c.terminal, p.Terminal)
	c.actor = append(c.actor, p.Actor)
	c.reason = append(c.reason, p.Reason)
	c.parent = append(c.parent, p.Parent)
	c.request = append(c.request, p.Request[:])
	c.happenedAt = append(c.happenedAt, micros(p.At))
	c.ledgerAt = append(c.ledgerAt, micros(p.LedgerAt))
	c.untilAt = append(c.untilAt, micros(p.Until))
	c.businessOn = append(c.businessOn, p.BusinessOn)
}

func (r *rows) batchArgs() []any {
	return []any{r.next.batch, int64(r.first), int64(r.next.seq), r.next.at, int64(len(r.delta.Posted)), r.next.seal, r.token, r.next.epoch}
}

func (r *rows) headArgs() []any {
	return []any{r.next.epoch, r.next.writer, r.next.batch, r.next.accounts, int64(r.next.seq), r.next.at, r.next.seal, r.head.batch, r.head.epoch}
}

// writeBatch is the statement that writes a batch on PostgreSQL, and its
// parameters.
func (r *rows) writeBatch(c *columns) (name string, args []any) {
	args = r.headArgs()
	plain := len(c.opened.id)+len(c.refusals.id)+len(c.marks.seq)+len(c.holds.id)+len(r.ended) == 0
	if !plain {
		args = append(args, c.opened.arrays()...)
		args = append(args, c.begun.arrays()...)
	}
	args = append(args, c.changed.updates()...)
	args = append(args, c.transfers.arrays()...)
	if plain {
		return "write_transfers", append(args, r.batchArgs()...)
	}
	args = append(args, c.refusals.arrays()...)
	args = append(args, c.marks.account, c.marks.seq, c.holds.id, c.holds.until, r.ended)
	return "write_batch", append(args, r.batchArgs()...)
}

// ids are all transactions that a batch names.
func (w *want) ids() []string {
	ids := make([]string, 0, len(w.IDs)+len(w.Parents))
	return append(append(ids, w.IDs...), w.Parents...)
}

func (f *found) scanAccount(scan scanner) error {
	a, err := scanNumbered(scan)
	f.accounts = append(f.accounts, a)
	return err
}

func (f *found) scanClosed(scan scanner) error {
	var c ledger.Closing
	err := scan(&c.Programme, &c.Period)
	f.closed = append(f.closed, c)
	return err
}

func (f *found) scanDue(scan scanner) error {
	var id string
	var until int64
	err := scan(&id, &until)
	f.due, f.lastDue = append(f.due, id), until
	return err
}

func (f *found) scanNext(scan scanner) error { return scan(&f.nextDue) }

func (f *found) scanTransfer(scan scanner) error {
	t, err := scanTransfer(scan)
	if err == nil {
		f.addTransfer(t)
	}
	return err
}

func (f *found) scanClose(scan scanner) error {
	c, err := scanClose(scan)
	if err == nil {
		f.addClose(c)
	}
	return err
}

func (f *found) scanRefused(scan scanner) error {
	r, err := scanRefused(scan)
	f.refused = append(f.refused, r)
	return err
}
