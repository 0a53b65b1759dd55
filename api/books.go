package api

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/oapi-codegen/runtime/types"

	"meguri/ledger"
	"meguri/openapi/wallet"
	op "meguri/openapi/wallet/server"
)

func (a *walletAPI) GetTransaction(ctx context.Context, r op.GetTransactionRequestObject) (op.GetTransactionResponseObject, error) {
	p, err := a.Ledger.Transaction(ctx, r.TransactionID)
	if err != nil {
		return nil, err
	}
	return op.GetTransaction200JSONResponse(standing(&p)), nil
}

func (a *walletAPI) GetTransfer(ctx context.Context, r op.GetTransferRequestObject) (op.GetTransferResponseObject, error) {
	p, err := a.Ledger.TransactionOf(ctx, ledger.Seq(r.Seq))
	if err != nil {
		return nil, err
	}
	return op.GetTransfer200JSONResponse(standing(&p)), nil
}

// standing is a transaction as it stands now.
func standing(p *ledger.Posted) wallet.Transaction {
	tx := transactionOut(p)
	tx.ResolvedBy, tx.ResolvedAs = p.ResolvedBy, wallet.Resolution(p.ResolvedAs)
	if p.ResolvedAs == ledger.Cancel || p.ResolvedAs == ledger.CancelGrant {
		tx.CancelledBy = p.ResolvedBy
	}
	return tx
}

func (a *walletAPI) ListChanges(ctx context.Context, r op.ListChangesRequestObject) (op.ListChangesResponseObject, error) {
	last, err := decodeSeq(r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	stretch, err := a.Ledger.Changes(ctx, last, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	page := op.ListChanges200JSONResponse{Transactions: make([]wallet.Transaction, len(stretch))}
	for i := range stretch {
		page.Transactions[i] = transactionOut(&stretch[i])
		last = stretch[i].Last()
	}
	page.NextCursor = encodeSeq(last)
	if len(stretch) > 0 {
		rest, err := a.Ledger.Changes(ctx, last, 1)
		if err != nil {
			return nil, err
		}
		page.HasMore = len(rest) > 0
	}
	return page, nil
}

func (a *walletAPI) GetAccount(ctx context.Context, r op.GetAccountRequestObject) (op.GetAccountResponseObject, error) {
	if r.Params.At.After(a.Now()) { // it is not known yet what will stand there
		return nil, &at{errInvalidRequest, []place{{"at", text{"未来は指定できません", "must not be in the future"}}}}
	}
	id := ledger.AccountID(r.AccountID)
	b, err := a.Ledger.Balance(ctx, id)
	if err != nil {
		return nil, err
	}
	account := wallet.Account{
		AccountID: string(b.ID), ProgrammeID: string(b.Programme), Kind: wallet.AccountKind(b.Kind), OwnerID: b.Owner,
		Period: dayOut(b.Period), Funding: wallet.Funding(b.Funding), ExpiresOn: lastDay(b.ExpiresAt), LimitYen: int64(b.Limit),
	}
	if !r.Params.At.IsZero() {
		value, seq, err := a.Ledger.ValueAt(ctx, id, r.Params.At)
		if err != nil {
			return nil, err
		}
		account.At, account.ValueYen, account.Seq = r.Params.At.UTC(), int64(value), int64(seq)
		return op.GetAccount200JSONResponse(account), nil
	}
	held, expected := int64(b.HeldDebits), int64(b.HeldCredits)
	account.ValueYen, account.Seq = int64(b.Value()), int64(b.LastSeq)
	account.HeldYen, account.ExpectedYen, account.Closed = &held, &expected, &b.Closed
	if !b.Kind.MayGoNegative() || b.Limit > 0 {
		available := int64(b.Limit + b.Available())
		account.AvailableYen = &available
	}
	return op.GetAccount200JSONResponse(account), nil
}

func (a *walletAPI) ListEntries(ctx context.Context, r op.ListEntriesRequestObject) (op.ListEntriesResponseObject, error) {
	before, err := decodeSeq(r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	lines, err := a.Ledger.Statement(ctx, ledger.AccountID(r.AccountID), before, r.Params.Limit+1)
	if err != nil {
		return nil, err
	}
	page := op.ListEntries200JSONResponse{AccountID: r.AccountID}
	if page.HasMore = len(lines) > r.Params.Limit; page.HasMore {
		lines = lines[:r.Params.Limit]
		page.NextCursor = encodeSeq(lines[len(lines)-1].Seq)
	}
	page.Lines = make([]wallet.StatementLine, len(lines))
	for i := range lines {
		page.Lines[i] = lineOut(&lines[i], ledger.AccountID(r.AccountID))
	}
	return page, nil
}

// lineOut is an entry as one of its two accounts sees it.
func lineOut(l *ledger.Line, id ledger.AccountID) wallet.StatementLine {
	out := wallet.StatementLine{
		Seq: int64(l.Seq), TransactionID: l.Transaction, Kind: wallet.TransactionKind(l.Kind), ShopID: l.Shop, HeldYen: int64(l.Held),
		OccurredAt: l.At.UTC(), PostedAt: l.LedgerAt.UTC(), BusinessOn: dayOut(l.BusinessOn),
	}
	if l.Debit == id {
		out.CounterAccountID, out.ChangeYen, out.BalanceYen = string(l.Credit), -int64(l.Amount), int64(l.DebitAfter)
	} else {
		out.CounterAccountID, out.ChangeYen, out.BalanceYen = string(l.Debit), int64(l.Amount), int64(l.CreditAfter)
	}
	return out
}

func (a *walletAPI) GetBalances(ctx context.Context, r op.GetBalancesRequestObject) (op.GetBalancesResponseObject, error) {
	if err := a.resident(ctx, r.ResidentID); err != nil {
		return nil, err
	}
	balances, err := a.Ledger.BalancesOf(ctx, r.ResidentID)
	if err != nil {
		return nil, err
	}
	return op.GetBalances200JSONResponse{ResidentID: r.ResidentID, Balances: holdings(balances, a.Now())}, nil
}

// holdings sums up by programme what can be used of a resident's accounts.
func holdings(accounts []ledger.Balance, now time.Time) []wallet.Holding {
	lots := slices.DeleteFunc(accounts, func(b ledger.Balance) bool {
		expired := !b.ExpiresAt.IsZero() && !now.Before(b.ExpiresAt)
		return b.Kind != ledger.ResidentLot || b.Closed || expired // a shop may have the same ID as a resident
	})
	slices.SortFunc(lots, func(b, c ledger.Balance) int { // by programme, and then as they are spent
		return cmp.Or(cmp.Compare(b.Programme, c.Programme), expiry(b).Compare(expiry(c)), cmp.Compare(b.Rank, c.Rank), cmp.Compare(b.ID, c.ID))
	})
	list := []wallet.Holding{}
	for i := range lots {
		lot := &lots[i]
		if n := len(list); n == 0 || list[n-1].ProgrammeID != string(lot.Programme) {
			list = append(list, wallet.Holding{ProgrammeID: string(lot.Programme), Lots: []wallet.Lot{}})
		}
		h := &list[len(list)-1]
		h.BalanceYen += int64(lot.Value())
		h.AvailableYen += int64(lot.Available())
		if lot.Value() > 0 {
			h.Lots = append(h.Lots, wallet.Lot{
				Funding: wallet.Funding(lot.Funding), ExpiresOn: lastDay(lot.ExpiresAt), BalanceYen: int64(lot.Value()),
			})
		}
	}
	return list
}

// expiry is when a lot expires; what never does comes after all others.
func expiry(b ledger.Balance) time.Time {
	if b.ExpiresAt.IsZero() {
		return time.Unix(math.MaxInt32<<8, 0)
	}
	return b.ExpiresAt
}

// lastDay is the last day of use of what expires at an instant.
func lastDay(expires time.Time) types.Date {
	if expires.IsZero() {
		return types.Date{}
	}
	return dayOut(ledger.Day(expires.Add(-time.Microsecond)))
}

// patience is how long a read waits for the ledger to have what its caller has
// seen.
const patience = 2 * time.Second

// await lets a read pass once the ledger is where its caller has seen it: the
// caller wrote at another server, or what is read here is a copy that follows.
func (s *server) await(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen := r.Header.Get(minSequence); seen != "" && requestOf(r).contract.awaits {
			if err := s.reach(r.Context(), seen); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

const minSequence = "Min-Ledger-Sequence"

// reach returns when the ledger has an entry.
func (s *server) reach(ctx context.Context, sequence string) error {
	want, err := strconv.ParseInt(sequence, 10, 64)
	if err != nil { // 1e3 is an integer to the contract
		return &at{errInvalidRequest, []place{{minSequence, text{"読めない値です", "the value cannot be read"}}}}
	}
	limit := time.NewTimer(s.patience)
	defer limit.Stop()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		end, err := s.Ledger.End(ctx)
		if err != nil || end >= ledger.Seq(want) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-limit.C:
			return errBehind
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
