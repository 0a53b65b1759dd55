package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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
// the batch, and writes what came of it, each with one statement for the whole
// batch.
func (s *Store) Post(ctx context.Context, txs ...ledger.Transaction) ([]ledger.Outcome, error) {
	var outcomes []ledger.Outcome
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		state, seal, err := s.state(ctx, tx, txs)
		if err != nil {
			return err
		}
		before := map[ledger.AccountID]int64{}
		for id, b := range state.Accounts {
			before[id] = b.Version
		}
		outcomes = ledger.Fold(state, txs, s.now())
		return s.keep(ctx, tx, txs, outcomes, seal, touched(state, before))
	})
	if err != nil {
		return nil, fmt.Errorf("post %d transactions: %w", len(txs), err)
	}
	return outcomes, nil
}

// The rows of a batch go to the database as one JSON list each, which both
// engines read.
type (
	transactionRow struct {
		ID         string `json:"id"`
		Hash       string `json:"hash"`
		Refusal    string `json:"refusal"`
		Kind       string `json:"kind"`
		Resident   string `json:"resident"`
		Shop       string `json:"shop"`
		Terminal   string `json:"terminal"`
		Actor      string `json:"actor"`
		Reason     string `json:"reason"`
		Parent     string `json:"parent"`
		HappenedAt int64  `json:"happened_at"`
		LedgerAt   int64  `json:"ledger_at"`
		BusinessOn string `json:"business_on"`
		FirstSeq   *int64 `json:"first_seq"` // null for a refusal
		LastSeq    *int64 `json:"last_seq"`
	}
	transferRow struct {
		Seq         ledger.Seq `json:"seq"`
		Transaction string     `json:"transaction_id"`
		Programme   string     `json:"programme"`
		Debit       string     `json:"debit"`
		Credit      string     `json:"credit"`
		AmountYen   ledger.Yen `json:"amount_yen"`
		DebitAfter  ledger.Yen `json:"debit_after"`
		CreditAfter ledger.Yen `json:"credit_after"`
	}
	accountRow struct {
		ID      ledger.AccountID `json:"id"`
		Debits  ledger.Yen       `json:"debits"`
		Credits ledger.Yen       `json:"credits"`
		Version int64            `json:"version"`
	}
)

// touched are the accounts whose counters the fold changed.
func touched(state *ledger.State, before map[ledger.AccountID]int64) (rows []accountRow) {
	for id, b := range state.Accounts {
		if b.Version != before[id] {
			rows = append(rows, accountRow{id, b.Debits, b.Credits, b.Version})
		}
	}
	return rows
}

// keep writes a batch: nothing for a replay or a conflict, one row for a
// refusal, and the transfers as well for what was posted, under a seal.
func (s *Store) keep(ctx context.Context, tx *sql.Tx, txs []ledger.Transaction, outcomes []ledger.Outcome, seal string, accounts []accountRow) error {
	var answers []transactionRow
	var transfers []transferRow
	var posted []ledger.Posted
	for i, o := range outcomes {
		if o.Replay || errors.Is(o.Err, ledger.ErrConflict) {
			continue
		}
		answers = append(answers, rowOf(txs[i], o))
		if o.Err != nil {
			continue
		}
		posted = append(posted, o.Posted)
		for _, e := range o.Posted.Entries {
			transfers = append(transfers, transferRow{
				e.Seq, o.Posted.ID, string(e.Programme), string(e.Debit), string(e.Credit), e.Amount, e.DebitAfter, e.CreditAfter,
			})
		}
	}
	if err := s.write(ctx, tx, "insert_transactions", answers, len(answers)); err != nil {
		return err
	}
	if len(posted) == 0 {
		return nil
	}
	if err := s.write(ctx, tx, "insert_transfers", transfers, len(transfers)); err != nil {
		return err
	}
	if err := s.write(ctx, tx, "update_accounts", accounts, len(accounts)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, s.statements.Get("insert_batch"),
		posted[0].First(), posted[len(posted)-1].Last(), ledger.Seal(seal, posted))
	return err
}

func rowOf(tx ledger.Transaction, o ledger.Outcome) transactionRow {
	p := o.Posted
	if o.Err != nil {
		p = ledger.Posted{Transaction: tx, LedgerAt: time.UnixMicro(0)}
	}
	row := transactionRow{
		ID: tx.ID, Hash: tx.Hash(), Refusal: ledger.RefusalCode(o.Err), Kind: string(tx.Kind),
		Resident: tx.Resident, Shop: tx.Shop, Terminal: tx.Terminal, Actor: tx.Actor, Reason: tx.Reason, Parent: tx.Parent,
		HappenedAt: micros(p.At), LedgerAt: micros(p.LedgerAt), BusinessOn: p.BusinessOn,
	}
	if o.Err == nil {
		first, last := int64(p.First()), int64(p.Last())
		row.FirstSeq, row.LastSeq = &first, &last
	}
	return row
}

// write runs a statement over a list of rows, and checks that it took them all.
func (s *Store) write(ctx context.Context, tx *sql.Tx, statement string, rows any, n int) error {
	if n == 0 {
		return nil
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	result, err := tx.ExecContext(ctx, s.statements.Get(statement), string(list))
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	if took, err := result.RowsAffected(); err != nil || took != int64(n) {
		return errors.Join(err, fmt.Errorf("%s: %d of %d rows", statement, took, n))
	}
	return nil
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

// state reads what a batch names: the answers under its IDs and those of the
// payments it cancels, the accounts that these and its transfers touch, locked,
// and the end of the ledger.
func (s *Store) state(ctx context.Context, tx *sql.Tx, txs []ledger.Transaction) (_ *ledger.State, seal string, err error) {
	state := &ledger.State{
		Accounts: map[ledger.AccountID]*ledger.Balance{},
		Known:    map[string]*ledger.Known{},
	}
	ids, accounts := map[string]bool{}, map[string]bool{}
	for _, t := range txs {
		ids[t.ID], ids[t.Parent] = true, true
		for _, m := range t.Transfers {
			accounts[string(m.Debit)], accounts[string(m.Credit)] = true, true
		}
	}
	delete(ids, "")
	if err := s.readKnown(ctx, tx, state, ids); err != nil {
		return nil, "", err
	}
	for _, known := range state.Known {
		for _, e := range known.Posted.Entries {
			accounts[string(e.Debit)], accounts[string(e.Credit)] = true, true
		}
	}
	balances, err := collect(ctx, tx, s.statements.Get("accounts_for_update"), scanBalance, listOf(accounts))
	if err != nil {
		return nil, "", fmt.Errorf("read accounts: %w", err)
	}
	for i := range balances {
		state.Accounts[balances[i].ID] = &balances[i]
	}
	// The end of the ledger is read last: on PostgreSQL the row locks above make
	// a batch that meets another one wait here, or fail to serialize and retry.
	var at int64
	if err := tx.QueryRowContext(ctx, s.statements.Get("ledger_end")).Scan(&state.LastSeq, &at, &seal); err != nil {
		return nil, "", fmt.Errorf("read the end of the ledger: %w", err)
	}
	state.LastAt = instant(at)
	return state, seal, nil
}

func (s *Store) readKnown(ctx context.Context, tx *sql.Tx, state *ledger.State, ids map[string]bool) error {
	known, err := collect(ctx, tx, s.statements.Get("transactions_by_id"), scanTransaction, listOf(ids))
	if err != nil {
		return fmt.Errorf("read transactions: %w", err)
	}
	if len(known) == 0 {
		return nil
	}
	found := map[string]bool{}
	for i := range known {
		found[known[i].Posted.ID] = true
		state.Known[known[i].Posted.ID] = &known[i]
	}
	entries, err := collect(ctx, tx, s.statements.Get("entries_by_transaction"), scanOwnedEntry, listOf(found))
	if err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	for _, e := range entries {
		p := &state.Known[e.transaction].Posted
		p.Entries = append(p.Entries, e.Entry)
		p.Transfers = append(p.Transfers, e.Transfer)
	}
	return nil
}

// listOf is a set as a JSON list, sorted, so that every batch locks in one
// order.
func listOf(set map[string]bool) string {
	ids := append([]string{}, slices.Sorted(maps.Keys(set))...) // an empty list, never null
	list, err := json.Marshal(ids)
	if err != nil { // texts cannot fail to encode
		panic("sqlstore: encode list: " + err.Error())
	}
	return string(list)
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
