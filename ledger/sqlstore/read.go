package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"meguri/ledger"
)

// OpenAccounts implements ledger.Store.
func (s *Store) OpenAccounts(ctx context.Context, accounts ...ledger.Account) error {
	missing, err := s.missingAccounts(ctx, accounts)
	if err != nil || len(missing) == 0 {
		return err
	}
	err = s.inTx(ctx, func(p *prepared) error {
		last, err := p.stmt(ctx, "last_account")
		if err != nil {
			return err
		}
		var number int64
		if err := last.QueryRowContext(ctx).Scan(&number); err != nil {
			return err
		}
		for i := range missing {
			a := &missing[i]
			if err := refuseClosed(ctx, p, a); err != nil {
				return err
			}
			number++
			err := p.exec(ctx, "open_account", number, a.ID, a.Programme, a.Kind, a.Owner, a.Period, a.Funding, a.Rank,
				micros(a.ExpiresAt), a.Limit)
			if err == nil {
				err = p.exec(ctx, "open_balance", number)
			}
			if err != nil {
				return err
			}
		}
		return p.exec(ctx, "raise_epoch", len(missing)) // a writer may think that they do not exist
	})
	if err != nil {
		return fmt.Errorf("open accounts: %w", err)
	}
	// Somebody else may have opened one of them in between, as another account.
	_, err = s.missingAccounts(ctx, missing)
	return err
}

// refuseClosed refuses takings of a settlement period that is closed.
func refuseClosed(ctx context.Context, p *prepared, a *ledger.Account) error {
	if a.Period == "" {
		return nil
	}
	st, err := p.stmt(ctx, "closed_period")
	if err != nil {
		return err
	}
	var n int
	err = st.QueryRowContext(ctx, a.Programme, a.Period).Scan(&n)
	if err == nil && n > 0 {
		err = ledger.ErrPeriodClosed
	}
	return err
}

func (s *Store) missingAccounts(ctx context.Context, accounts []ledger.Account) (missing []ledger.Account, err error) {
	for _, a := range accounts {
		a.ExpiresAt = instant(micros(a.ExpiresAt))
		if a.ID == "" || !a.Kind.Valid() {
			return nil, fmt.Errorf("open account: %w", ledger.ErrInvalid)
		}
		have, err := s.balance(ctx, a.ID)
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			missing = append(missing, a)
		case err != nil:
			return nil, err
		case have.Account != a:
			return nil, fmt.Errorf("open account: %w", ledger.ErrConflict)
		}
	}
	return missing, nil
}

func (s *Store) balance(ctx context.Context, id ledger.AccountID) (ledger.Balance, error) {
	b, err := scanBalance(s.row(ctx, "account", id))
	if errors.Is(err, sql.ErrNoRows) {
		return b, ledger.ErrNotFound
	}
	return b, err
}

// Balance implements ledger.Reader.
func (s *Store) Balance(ctx context.Context, id ledger.AccountID) (ledger.Balance, error) {
	b, err := s.balance(ctx, id)
	if err != nil {
		return b, err
	}
	return b, s.leaveOutLapsed(ctx, &b)
}

// BalancesOf implements ledger.Reader.
func (s *Store) BalancesOf(ctx context.Context, owner string) ([]ledger.Balance, error) {
	list, err := collect(ctx, s.db, s.statements.Get("accounts_of_owner"), scanBalance, owner)
	for i := range list {
		err = errors.Join(err, s.leaveOutLapsed(ctx, &list[i]))
	}
	return list, err
}

// leaveOutLapsed reads an account on which something is held again, without
// what is held by holds whose time is up and that nobody has released yet.
func (s *Store) leaveOutLapsed(ctx context.Context, b *ledger.Balance) error {
	if b.HeldDebits == 0 && b.HeldCredits == 0 {
		return nil
	}
	now, err := scanBalance(s.row(ctx, "account_but_lapsed", s.now().UnixMicro(), b.ID))
	*b = now
	return err
}

// ValueAt implements ledger.Reader.
func (s *Store) ValueAt(ctx context.Context, id ledger.AccountID, at time.Time) (ledger.Yen, ledger.Seq, error) {
	if _, err := s.balance(ctx, id); err != nil {
		return 0, 0, err
	}
	var last ledger.Seq
	if err := s.row(ctx, "seq_at", micros(at))(&last); err != nil {
		return 0, 0, err
	}
	lines, err := s.statement(ctx, id, last+1, 1)
	switch {
	case err != nil || len(lines) == 0:
		return 0, 0, err
	case lines[0].Debit == id:
		return lines[0].DebitAfter, lines[0].Seq, nil
	}
	return lines[0].CreditAfter, lines[0].Seq, nil
}

// Statement implements ledger.Reader.
func (s *Store) Statement(ctx context.Context, id ledger.AccountID, before ledger.Seq, limit int) ([]ledger.Line, error) {
	if _, err := s.balance(ctx, id); err != nil {
		return nil, err
	}
	if before <= 0 {
		before = math.MaxInt64
	}
	return s.statement(ctx, id, before, limit)
}

// sinceMark is the most entries of an account between where a walk begins and
// the entry that it looks for.
const sinceMark = 65

func (s *Store) statement(ctx context.Context, id ledger.AccountID, before ledger.Seq, limit int) ([]ledger.Line, error) {
	return collect(ctx, s.db, s.statements.Get("statement"), func(scan scanner) (l ledger.Line, err error) {
		var happened, at int64
		e := &l.Entry
		err = scan(&l.Transaction, &l.Kind, &l.Shop, &happened, &at, &l.BusinessOn,
			&e.Seq, &e.Programme, &e.Debit, &e.Credit, &e.Amount, &e.Held,
			&e.DebitAfter, &e.CreditAfter, &e.ResidentAfter, &e.DebitPrev, &e.CreditPrev)
		l.At, l.LedgerAt = instant(happened), instant(at)
		return l, err
	}, id, before, limit+sinceMark, limit)
}

// Transaction implements ledger.Reader.
func (s *Store) Transaction(ctx context.Context, id string) (ledger.Posted, error) {
	rows, err := collect(ctx, s.db, s.statements.Get("transaction"), scanTransfer, id)
	if err != nil {
		return ledger.Posted{}, err
	}
	have := newFound()
	for _, t := range rows {
		have.addTransfer(t)
	}
	if len(rows) == 0 || rows[0].posted.Kind == ledger.Close {
		closes, err := collect(ctx, s.db, s.statements.Get("close"), scanClose, id)
		if err != nil {
			return ledger.Posted{}, err
		}
		for _, c := range closes {
			have.addClose(c)
		}
	}
	if p := have.posted[id]; p != nil {
		return *p, nil
	}
	return ledger.Posted{}, ledger.ErrNotFound
}

// TransactionOf implements ledger.Reader.
func (s *Store) TransactionOf(ctx context.Context, seq ledger.Seq) (ledger.Posted, error) {
	var id string
	err := s.row(ctx, "transaction_of", seq)(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Posted{}, ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Posted{}, err
	}
	return s.Transaction(ctx, id)
}

// Changes implements ledger.Reader. A page is one stretch of transfers; its
// last transaction is read to the end.
func (s *Store) Changes(ctx context.Context, after ledger.Seq, limit int) ([]ledger.Posted, error) {
	var page []ledger.Posted
	var closes bool
	next := after + 1
	read := func(limit int) (int, error) {
		rows, err := collect(ctx, s.db, s.statements.Get("transfers_after"), scanTransfer, next-1, limit)
		for i := range rows {
			t := &rows[i]
			if t.entry.Seq != next {
				return 0, fmt.Errorf("read changes: transfer %d is missing", next)
			}
			next++
			if n := len(page); n == 0 || page[n-1].ID != t.posted.ID {
				page = append(page, t.posted)
				closes = closes || t.posted.Kind == ledger.Close
			}
			last := &page[len(page)-1]
			last.Entries = append(last.Entries, t.entry)
		}
		return len(rows), err
	}
	// One more than the limit tells whether the last transaction is whole.
	n, err := read(limit + 1)
	if err != nil || n == 0 {
		return nil, err
	}
	if n > limit {
		switch {
		case len(page) > 1: // the last one may go on, and has no place anyway
			page = page[:len(page)-1]
		default: // one transaction of more entries than the limit: all of it
			for n > 0 && len(page) == 1 {
				if n, err = read(ledger.MaxTransfers); err != nil {
					return nil, err
				}
			}
			page = page[:1]
		}
	}
	if closes {
		return page, s.addCloses(ctx, page)
	}
	return page, nil
}

func (s *Store) addCloses(ctx context.Context, page []ledger.Posted) error {
	closes, err := collect(ctx, s.db, s.statements.Get("closes_between"), scanClose,
		micros(page[0].LedgerAt), micros(page[len(page)-1].LedgerAt))
	if err != nil {
		return err
	}
	byID := map[string]*ledger.Closing{}
	for _, c := range closes {
		byID[c.ID] = c.Closed
	}
	for i := range page {
		page[i].Closed = byID[page[i].ID]
	}
	return nil
}

// End implements ledger.Reader.
func (s *Store) End(ctx context.Context) (end ledger.Seq, err error) {
	err = s.row(ctx, "ledger_end")(&end)
	return end, err
}

// Stretch implements ledger.Audited.
func (s *Store) Stretch(ctx context.Context, first, last ledger.Seq) ([]ledger.Posted, error) {
	rows, err := s.transfersBetween(ctx, first, last)
	if err != nil {
		return nil, err
	}
	var list []ledger.Posted
	closes := false
	for i := range rows {
		t := &rows[i]
		if want := first + ledger.Seq(i); t.entry.Seq != want {
			return nil, fmt.Errorf("read transfers: transfer %d is missing", want)
		}
		if n := len(list); n == 0 || list[n-1].ID != t.posted.ID {
			list = append(list, t.posted)
			closes = closes || t.posted.Kind == ledger.Close
		}
		p := &list[len(list)-1]
		p.Entries = append(p.Entries, t.entry)
	}
	if closes {
		return list, s.addCloses(ctx, list)
	}
	return list, nil
}

// Batches implements ledger.Audited.
func (s *Store) Batches(ctx context.Context, after int64, limit int) ([]ledger.Batch, error) {
	return collect(ctx, s.db, s.statements.Get("batches_after"), func(scan scanner) (b ledger.Batch, err error) {
		err = scan(&b.Number, &b.First, &b.Last, &b.Transactions, &b.Seal)
		return b, err
	}, after, limit)
}

// Accounts implements ledger.Audited.
func (s *Store) Accounts(ctx context.Context, after ledger.AccountID, limit int) ([]ledger.Balance, error) {
	return collect(ctx, s.db, s.statements.Get("accounts_after"), scanBalance, after, limit)
}

// EmptyCloses implements ledger.Audited.
func (s *Store) EmptyCloses(ctx context.Context) ([]ledger.Posted, error) {
	return collect(ctx, s.db, s.statements.Get("empty_closes"), scanClose)
}
