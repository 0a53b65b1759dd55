package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/openapi/wallet"
	op "meguri/openapi/wallet/server"
)

func (a *walletAPI) Charge(ctx context.Context, r op.ChargeRequestObject) (op.ChargeResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	if err := a.known(ctx, r.Body.ResidentID, ""); err != nil {
		return nil, err
	}
	o, err := a.Desk.Charge(ctx, origin, r.Body.ResidentID, ledger.ProgrammeID(r.Body.ProgrammeID), r.Body.Units)
	posted, err := receipt(origin, o, err)
	return op.Charge201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) Grant(ctx context.Context, r op.GrantRequestObject) (op.GrantResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	if err := a.known(ctx, r.Body.ResidentID, ""); err != nil {
		return nil, err
	}
	o, err := a.Desk.Grant(ctx, origin, r.Body.ResidentID, ledger.ProgrammeID(r.Body.ProgrammeID), ledger.Yen(r.Body.AmountYen))
	posted, err := receipt(origin, o, err)
	return op.Grant201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) Pay(ctx context.Context, r op.PayRequestObject) (op.PayResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	if err := a.known(ctx, r.Body.ResidentID, r.Body.ShopID); err != nil {
		return nil, err
	}
	o, err := a.Desk.Pay(ctx, origin, r.Body.ResidentID, r.Body.ShopID, r.Body.TerminalID, partsOf(r.Body.Parts)...)
	posted, err := receipt(origin, o, err)
	return op.Pay201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) CancelPayment(ctx context.Context, r op.CancelPaymentRequestObject) (op.CancelPaymentResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	o, err := a.Desk.Cancel(ctx, origin, r.PaymentID, r.Body.Reason)
	posted, err := receipt(origin, o, err)
	return op.CancelPayment201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) CancelTransaction(ctx context.Context, r op.CancelTransactionRequestObject) (op.CancelTransactionResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	o, err := a.Desk.CancelGrant(ctx, origin, r.TransactionID, r.Body.Reason)
	posted, err := receipt(origin, o, err)
	return op.CancelTransaction201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) Hold(ctx context.Context, r op.HoldRequestObject) (op.HoldResponseObject, error) {
	if err := a.known(ctx, r.Body.ResidentID, r.Body.ShopID); err != nil {
		return nil, err
	}
	origin, lasts := now(ctx, r.Params.IdempotencyKey), seconds(r.Body.ExpiresInSeconds)
	o, err := a.Desk.Hold(ctx, origin, r.Body.ResidentID, r.Body.ShopID, r.Body.TerminalID, lasts, partsOf(r.Body.Parts)...)
	posted, err := receipt(origin, o, err)
	return op.Hold201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) Reserve(ctx context.Context, r op.ReserveRequestObject) (op.ReserveResponseObject, error) {
	if err := a.known(ctx, r.Body.ResidentID, ""); err != nil {
		return nil, err
	}
	origin, lasts := now(ctx, r.Params.IdempotencyKey), seconds(r.Body.ExpiresInSeconds)
	o, err := a.Desk.Reserve(ctx, origin, r.Body.ResidentID, ledger.ProgrammeID(r.Body.ProgrammeID), r.Body.Units, lasts)
	posted, err := receipt(origin, o, err)
	return op.Reserve201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) Capture(ctx context.Context, r op.CaptureRequestObject) (op.CaptureResponseObject, error) {
	origin := now(ctx, r.Params.IdempotencyKey)
	o, err := a.Desk.Capture(ctx, origin, r.HoldID, ledger.Yen(r.Body.AmountYen))
	posted, err := receipt(origin, o, err)
	return op.Capture201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) Void(ctx context.Context, r op.VoidRequestObject) (op.VoidResponseObject, error) {
	origin := now(ctx, r.Params.IdempotencyKey)
	o, err := a.Desk.Void(ctx, origin, r.HoldID, r.Body.Reason)
	posted, err := receipt(origin, o, err)
	return op.Void201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) ClosePeriod(ctx context.Context, r op.ClosePeriodRequestObject) (op.ClosePeriodResponseObject, error) {
	origin := now(ctx, r.Params.IdempotencyKey)
	o, err := a.Desk.Close(ctx, origin, ledger.ProgrammeID(r.Body.ProgrammeID), dayIn(r.Body.Period))
	posted, err := receipt(origin, o, err)
	return op.ClosePeriod201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) PostTransaction(ctx context.Context, r op.PostTransactionRequestObject) (op.PostTransactionResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	if r.Body.ResidentID != "" {
		if err := a.known(ctx, r.Body.ResidentID, ""); err != nil {
			return nil, err
		}
	}
	tx := ledger.Transaction{
		ID: origin.ID, Kind: ledger.Kind(r.Body.Kind), Resident: r.Body.ResidentID, Actor: origin.Actor,
		Reason: r.Body.Reason, At: origin.At,
	}
	for _, t := range r.Body.Transfers {
		tx.Transfers = append(tx.Transfers, ledger.Transfer{
			Debit: ledger.AccountID(t.Debit), Credit: ledger.AccountID(t.Credit), Amount: ledger.Yen(t.AmountYen),
		})
		opens, ok, err := a.opens(ctx, ledger.AccountID(t.Credit))
		if err != nil {
			return nil, err
		}
		if ok {
			tx.Opens = append(tx.Opens, opens)
		}
	}
	o, err := a.Desk.Poster.Post(ctx, tx)
	posted, err := receipt(origin, o, err)
	return op.PostTransaction201JSONResponse{PostedJSONResponse: posted}, err
}

// opens is the account that the office may open by crediting it: a programme's
// pool, or a lot of a resident who is registered.
func (a *walletAPI) opens(ctx context.Context, id ledger.AccountID) (ledger.Account, bool, error) {
	account, ok, err := a.Desk.Account(ctx, id)
	if err != nil || !ok || account.Kind != ledger.ResidentLot {
		return account, ok, err
	}
	err = a.resident(ctx, account.Owner)
	if errors.Is(err, registry.ErrNotFound) {
		return account, false, nil
	}
	return account, err == nil, err
}

// originOf says who asks, under which key and when it happened. Only a client
// with the scope for it may name another time than now.
func originOf(ctx context.Context, key string, occurredAt time.Time) (programme.Origin, error) {
	client := clientOf(ctx)
	if !occurredAt.IsZero() && !slices.Contains(client.Scopes, scopeBackdate) {
		return programme.Origin{}, &at{errForbidden, []place{{"#/occurred_at",
			text{"scope " + scopeBackdate + " が必要です", "needs the scope " + scopeBackdate}}}}
	}
	return programme.Origin{ID: key, Actor: client.ID, At: instant(occurredAt)}, nil
}

// now says who asks for something that happens now.
func now(ctx context.Context, key string) programme.Origin {
	return programme.Origin{ID: key, Actor: clientOf(ctx).ID}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func partsOf(in []wallet.Part) []programme.Part {
	parts := make([]programme.Part, len(in))
	for i, p := range in {
		parts[i] = programme.Part{Programme: ledger.ProgrammeID(p.ProgrammeID), Amount: ledger.Yen(p.AmountYen)}
	}
	return parts
}

// known checks that a resident, and a shop where one is named, are registered:
// the ledger opens an account for any name.
func (a *walletAPI) known(ctx context.Context, resident, shop string) error {
	if err := a.resident(ctx, resident); err != nil {
		return misses(err, errUnknownResident, "#/resident_id")
	}
	if shop == "" {
		return nil
	}
	if err := a.shop(ctx, shop); err != nil {
		return misses(err, errUnknownShop, "#/shop_id")
	}
	return nil
}

func misses(err, fault error, pointer string) error {
	if errors.Is(err, registry.ErrNotFound) {
		return &at{fault, []place{{pointer, text{"登録されていません", "is not registered"}}}}
	}
	return err
}

// resident returns nil for one who is registered.
func (a *walletAPI) resident(ctx context.Context, id string) error {
	_, err := a.residents.get(id, func() (struct{}, error) {
		_, err := a.Registry.Resident(ctx, id)
		return struct{}{}, err
	})
	return err
}

// shop returns nil for one that is registered.
func (a *walletAPI) shop(ctx context.Context, id string) error {
	_, err := a.shops.get(id, func() (struct{}, error) {
		_, err := a.Registry.Shop(ctx, id)
		return struct{}{}, err
	})
	return err
}

// receipt is the answer to a posting: the transaction as it was posted, so
// that a repetition after a cancel gives the very same answer.
func receipt(origin programme.Origin, o ledger.Outcome, err error) (op.PostedJSONResponse, error) {
	if err == nil {
		err = o.Err
	}
	if ledger.IsRefusal(err) {
		err = &kept{err, origin.ID}
	}
	if err != nil {
		return op.PostedJSONResponse{}, err
	}
	seq := o.Posted.Last()
	if seq == 0 && o.Posted.Closed != nil { // a close that moved nothing
		seq = o.Posted.Closed.Cut
	}
	return op.PostedJSONResponse{
		Body:    transactionOut(&o.Posted),
		Headers: op.PostedResponseHeaders{IdempotencyReplayed: o.Replay, LedgerSequence: int64(seq)},
	}, nil
}

// transactionOut is a transaction as it was posted, whatever came later.
func transactionOut(p *ledger.Posted) wallet.Transaction {
	tx := wallet.Transaction{
		TransactionID: p.ID, Kind: wallet.TransactionKind(p.Kind), ResidentID: p.Resident, ShopID: p.Shop,
		TerminalID: p.Terminal, Reason: p.Reason, TotalYen: int64(p.Total()),
		OccurredAt: p.At.UTC(), PostedAt: p.LedgerAt.UTC(), BusinessOn: dayOut(p.BusinessOn),
		Entries: make([]wallet.Entry, len(p.Entries)), BalancesAfter: []wallet.Balance{},
	}
	switch p.Kind {
	case ledger.Hold:
		tx.HeldYen, tx.HeldUntil = int64(p.TotalHeld()), p.Until.UTC()
	case ledger.Capture, ledger.Void, ledger.Release:
		tx.HoldID = p.Parent
	case ledger.Cancel, ledger.CancelGrant:
		tx.Cancels = p.Parent
	case ledger.Close:
		tx.Closing = closingOut(p)
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		tx.Entries[i] = wallet.Entry{
			Seq: int64(e.Seq), ProgrammeID: string(e.Programme), Debit: string(e.Debit), Credit: string(e.Credit),
			AmountYen: int64(e.Amount), HeldYen: int64(e.Held),
		}
		if p.Resident != "" {
			tx.BalancesAfter = balancesAfter(tx.BalancesAfter, e)
		}
	}
	return tx
}

// balancesAfter enters what the resident had of a programme after an entry, the last of
// which counts.
func balancesAfter(list []wallet.Balance, e *ledger.Entry) []wallet.Balance {
	for i := range list {
		if list[i].ProgrammeID == string(e.Programme) {
			list[i].BalanceYen = int64(e.ResidentAfter)
			return list
		}
	}
	return append(list, wallet.Balance{ProgrammeID: string(e.Programme), BalanceYen: int64(e.ResidentAfter)})
}

func closingOut(p *ledger.Posted) wallet.Closing {
	if p.Closed == nil {
		return wallet.Closing{}
	}
	c := wallet.Closing{
		ProgrammeID: string(p.Closed.Programme), Period: dayOut(p.Closed.Period), CutSeq: int64(p.Closed.Cut), Shops: []wallet.ClosedShop{},
	}
	payable := string(ledger.PayableID(p.Closed.Programme, ""))
	for i := range p.Entries {
		e := &p.Entries[i]
		c.Shops = append(c.Shops, wallet.ClosedShop{ShopID: strings.TrimPrefix(string(e.Credit), payable), AmountYen: int64(e.Amount)})
	}
	return c
}
