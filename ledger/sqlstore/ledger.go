package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
		for _, a := range missing {
			if err := p.exec(ctx, "insert_account", a.ID, a.Programme, a.Kind, a.Owner, a.Closed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open accounts: %w", err)
	}
	// Somebody else may have opened one of them in between, as another account.
	_, err = s.missingAccounts(ctx, missing)
	return err
}

func (s *Store) missingAccounts(ctx context.Context, accounts []ledger.Account) (missing []ledger.Account, err error) {
	for _, a := range accounts {
		if a.ID == "" || !a.Kind.Valid() {
			return nil, fmt.Errorf("open account: %w", ledger.ErrInvalid)
		}
		have, err := s.Balance(ctx, a.ID)
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			missing = append(missing, a)
		case err != nil:
			return nil, err
		case have.Programme != a.Programme || have.Kind != a.Kind || have.Owner != a.Owner:
			return nil, fmt.Errorf("open account: %w", ledger.ErrConflict)
		}
	}
	return missing, nil
}

// Balance implements ledger.Store.
func (s *Store) Balance(ctx context.Context, id ledger.AccountID) (ledger.Balance, error) {
	b, err := scanBalance(s.db.QueryRowContext(ctx, s.statements.Get("account"), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return b, ledger.ErrNotFound
	}
	return b, err
}

// BalancesOf implements ledger.Store.
func (s *Store) BalancesOf(ctx context.Context, owner string) ([]ledger.Balance, error) {
	return collect(ctx, s.db, s.statements.Get("accounts_of_owner"), scanBalance, owner)
}

func scanBalance(scan func(...any) error) (b ledger.Balance, err error) {
	err = scan(&b.ID, &b.Programme, &b.Kind, &b.Owner, &b.Closed, &b.Debits, &b.Credits, &b.Version)
	return b, err
}

// Post implements ledger.Store: it reads the state that the batch names, folds
// the batch, and writes what came of it.
func (s *Store) Post(ctx context.Context, txs ...ledger.Transaction) ([]ledger.Outcome, error) {
	var outcomes []ledger.Outcome
	err := s.inTx(ctx, func(p *prepared) error {
		state, err := p.state(ctx, txs)
		if err != nil {
			return err
		}
		before := map[ledger.AccountID]int64{}
		for id, b := range state.Accounts {
			before[id] = b.Version
		}
		outcomes = ledger.Fold(state, txs, s.now())
		for i, o := range outcomes {
			if err := p.keep(ctx, state, txs[i], o); err != nil {
				return err
			}
		}
		if err := p.seal(ctx, outcomes); err != nil {
			return err
		}
		for id, b := range state.Accounts {
			if b.Version == before[id] {
				continue
			}
			if err := p.exec(ctx, "update_account", b.Debits, b.Credits, b.Version, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("post %d transactions: %w", len(txs), err)
	}
	return outcomes, nil
}

// seal closes a batch that posted something.
func (p *prepared) seal(ctx context.Context, outcomes []ledger.Outcome) error {
	var posted []ledger.Posted
	for _, o := range outcomes {
		if o.Err == nil && !o.Replay {
			posted = append(posted, o.Posted)
		}
	}
	if len(posted) == 0 {
		return nil
	}
	last, err := p.stmt(ctx, "last_seal")
	if err != nil {
		return err
	}
	var previous string
	if err := last.QueryRowContext(ctx).Scan(&previous); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return p.exec(ctx, "insert_batch", posted[0].First(), posted[len(posted)-1].Last(), ledger.Seal(previous, posted))
}

// Batches implements ledger.Audited.
func (s *Store) Batches(ctx context.Context, after ledger.Seq, limit int) ([]ledger.Batch, error) {
	return collect(ctx, s.db, s.statements.Get("batches_after"), func(scan func(...any) error) (b ledger.Batch, err error) {
		err = scan(&b.First, &b.Last, &b.Seal)
		return b, err
	}, after, limit)
}

// Accounts implements ledger.Audited.
func (s *Store) Accounts(ctx context.Context, after ledger.AccountID, limit int) ([]ledger.Balance, error) {
	return collect(ctx, s.db, s.statements.Get("accounts_after"), scanBalance, after, limit)
}

// state reads the end of the ledger, and the accounts and IDs that a batch
// names.
func (p *prepared) state(ctx context.Context, txs []ledger.Transaction) (*ledger.State, error) {
	state := &ledger.State{
		Accounts: map[ledger.AccountID]*ledger.Balance{},
		Known:    map[string]*ledger.Known{},
	}
	for _, tx := range txs {
		for _, id := range []string{tx.ID, tx.Parent} {
			if err := p.readKnown(ctx, state, id); err != nil {
				return nil, err
			}
		}
	}
	var accounts []ledger.AccountID
	for _, tx := range txs {
		for _, t := range tx.Transfers {
			accounts = append(accounts, t.Debit, t.Credit)
		}
	}
	for _, known := range state.Known {
		for _, e := range known.Posted.Entries {
			accounts = append(accounts, e.Debit, e.Credit)
		}
	}
	for _, id := range accounts {
		if err := p.readAccount(ctx, state, id); err != nil {
			return nil, err
		}
	}

	// The end of the ledger is read last: on PostgreSQL the row locks above make
	// a batch that meets another one wait here, or fail to serialize and retry.
	last, err := p.stmt(ctx, "last_transfer")
	if err != nil {
		return nil, err
	}
	var at int64
	switch err := last.QueryRowContext(ctx).Scan(&state.LastSeq, &at); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return nil, err
	default:
		state.LastAt = instant(at)
	}
	return state, nil
}

func (p *prepared) readAccount(ctx context.Context, state *ledger.State, id ledger.AccountID) error {
	if _, seen := state.Accounts[id]; seen {
		return nil
	}
	st, err := p.stmt(ctx, "account_for_update")
	if err != nil {
		return err
	}
	b, err := scanBalance(st.QueryRowContext(ctx, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // Fold refuses what names it
	}
	if err != nil {
		return fmt.Errorf("read account: %w", err)
	}
	state.Accounts[id] = &b
	return nil
}

func (p *prepared) readKnown(ctx context.Context, state *ledger.State, id string) error {
	if _, seen := state.Known[id]; seen || id == "" {
		return nil
	}
	st, err := p.stmt(ctx, "transaction")
	if err != nil {
		return err
	}
	known, err := scanTransaction(st.QueryRowContext(ctx, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read transaction: %w", err)
	}
	if known.Refusal == "" {
		entries, err := p.stmt(ctx, "entries")
		if err != nil {
			return err
		}
		rows, err := entries.QueryContext(ctx, id)
		if err != nil {
			return err
		}
		if known.Posted, err = withEntries(known.Posted, rows); err != nil {
			return err
		}
	}
	state.Known[id] = &known
	return nil
}

// keep writes one outcome: nothing for a replay or a conflict, one row for a
// refusal, and the transfers as well for what was posted.
func (p *prepared) keep(ctx context.Context, state *ledger.State, tx ledger.Transaction, o ledger.Outcome) error {
	if o.Replay || errors.Is(o.Err, ledger.ErrConflict) {
		return nil
	}
	row, refusal := o.Posted, ledger.RefusalCode(o.Err)
	var first, last any
	if o.Err != nil {
		row = ledger.Posted{Transaction: tx, LedgerAt: time.UnixMicro(0)}
	} else {
		first, last = row.First(), row.Last()
	}
	err := p.exec(ctx, "insert_transaction", tx.ID, tx.Hash(), refusal, tx.Kind, tx.Resident, tx.Shop, tx.Terminal,
		tx.Actor, tx.Reason, tx.Parent, micros(row.At), micros(row.LedgerAt), row.BusinessOn, first, last)
	if err != nil {
		return err
	}
	for _, e := range row.Entries {
		err := p.exec(ctx, "insert_transfer", e.Seq, tx.ID, e.Programme, e.Debit, e.Credit, e.Amount, e.DebitAfter, e.CreditAfter)
		if err != nil {
			return err
		}
	}
	return nil
}

// Transaction implements ledger.Store.
func (s *Store) Transaction(ctx context.Context, id string) (ledger.Posted, error) {
	known, err := scanTransaction(s.db.QueryRowContext(ctx, s.statements.Get("transaction"), id).Scan)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && known.Refusal != "") {
		return ledger.Posted{}, ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Posted{}, err
	}
	return s.readEntries(ctx, known.Posted)
}

// Changes implements ledger.Store: two statements a page.
func (s *Store) Changes(ctx context.Context, after ledger.Seq, limit int) ([]ledger.Posted, error) {
	rows, err := collect(ctx, s.db, s.statements.Get("transactions_after"), scanStretch, after, limit)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	// As many as fit in limit entries, and the first in any case.
	n := 1
	for n < len(rows) && rows[n].last <= rows[0].first-1+ledger.Seq(limit) {
		n++
	}
	rows = rows[:n]
	entries, err := collect(ctx, s.db, s.statements.Get("entries_between"), scanOwnedEntry, rows[0].first, rows[n-1].last)
	if err != nil {
		return nil, err
	}
	page := make([]ledger.Posted, n)
	for i, r := range rows {
		page[i] = r.Posted
		for len(entries) > 0 && entries[0].transaction == r.ID {
			page[i].Entries = append(page[i].Entries, entries[0].Entry)
			page[i].Transfers = append(page[i].Transfers, entries[0].Transfer)
			entries = entries[1:]
		}
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("read changes: entry %d is of no transaction", entries[0].Seq)
	}
	return page, nil
}

// stretch is a posted transaction with its place.
type stretch struct {
	ledger.Posted
	first, last ledger.Seq
}

func scanStretch(scan func(...any) error) (r stretch, err error) {
	known, err := scanTransaction(func(into ...any) error { return scan(append(into, &r.first, &r.last)...) })
	r.Posted = known.Posted
	return r, err
}

type ownedEntry struct {
	ledger.Entry
	transaction string
}

func scanOwnedEntry(scan func(...any) error) (e ownedEntry, err error) {
	err = scan(&e.transaction, &e.Seq, &e.Programme, &e.Debit, &e.Credit, &e.Amount, &e.DebitAfter, &e.CreditAfter)
	return e, err
}

func (s *Store) readEntries(ctx context.Context, p ledger.Posted) (ledger.Posted, error) {
	rows, err := s.db.QueryContext(ctx, s.statements.Get("entries"), p.ID)
	if err != nil {
		return ledger.Posted{}, err
	}
	return withEntries(p, rows)
}

func scanTransaction(scan func(...any) error) (k ledger.Known, err error) {
	var happened, at int64
	p := &k.Posted
	err = scan(&p.ID, &k.Hash, &k.Refusal, &p.Kind, &p.Resident, &p.Shop, &p.Terminal, &p.Actor, &p.Reason, &p.Parent,
		&happened, &at, &p.BusinessOn, &p.CancelledBy)
	p.At, p.LedgerAt = instant(happened), instant(at)
	return k, err
}

func withEntries(p ledger.Posted, rows *sql.Rows) (_ ledger.Posted, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e ledger.Entry
		if err := rows.Scan(&e.Seq, &e.Programme, &e.Debit, &e.Credit, &e.Amount, &e.DebitAfter, &e.CreditAfter); err != nil {
			return ledger.Posted{}, err
		}
		p.Entries = append(p.Entries, e)
		p.Transfers = append(p.Transfers, e.Transfer)
	}
	return p, rows.Err()
}
