package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oapi-codegen/runtime/types"

	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/openapi/wallet"
	op "meguri/openapi/wallet/server"
)

// walletAPI answers the operations of the wallet contract.
type walletAPI struct{ Deps }

func (a *walletAPI) ListProgrammes(ctx context.Context, _ op.ListProgrammesRequestObject) (op.ListProgrammesResponseObject, error) {
	programmes, err := a.Programmes.Programmes(ctx)
	if err != nil {
		return nil, err
	}
	list := op.ListProgrammes200JSONResponse{Programmes: []wallet.Programme{}}
	for _, p := range programmes {
		list.Programmes = append(list.Programmes, programmeOut(p))
	}
	return list, nil
}

func (a *walletAPI) PutProgramme(ctx context.Context, r op.PutProgrammeRequestObject) (op.PutProgrammeResponseObject, error) {
	p := programme.Programme{
		ID: ledger.ProgrammeID(r.ProgrammeID), Name: r.Body.Name, Class: programme.Class(r.Body.Class),
		UnitPrice: ledger.Yen(r.Body.UnitPriceYen), UnitValue: ledger.Yen(r.Body.UnitValueYen), MaxUnits: r.Body.MaxUnits,
		OpensOn: dayIn(r.Body.OpensOn), ClosesOn: dayIn(r.Body.ClosesOn),
	}
	if err := a.Desk.Open(ctx, p); err != nil {
		return nil, err
	}
	return op.PutProgramme200JSONResponse(programmeOut(p)), nil
}

func (a *walletAPI) RegisterResidents(ctx context.Context, r op.RegisterResidentsRequestObject) (op.RegisterResidentsResponseObject, error) {
	residents := make([]registry.Resident, len(r.Body.Residents))
	for i, in := range r.Body.Residents {
		residents[i] = registry.Resident{
			ID: in.ResidentID, Name: in.Name, Phone: in.Phone, BornOn: dayIn(in.BornOn), Sex: registry.Sex(in.Sex),
			Area: in.Area, ConsentID: in.ConsentID, Test: in.Test, RegisteredAt: instant(in.RegisteredAt),
		}
		if in.Sex == "" {
			residents[i].Sex = registry.Unknown
		}
	}
	if err := a.Registry.PutResidents(ctx, residents...); err != nil {
		return nil, err
	}
	return op.RegisterResidents200JSONResponse{Registered: len(residents)}, nil
}

func (a *walletAPI) ListResidents(ctx context.Context, r op.ListResidentsRequestObject) (op.ListResidentsResponseObject, error) {
	after, err := decodeCursor(r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	residents, err := a.Registry.Residents(ctx, after, r.Params.Limit+1)
	if err != nil {
		return nil, err
	}
	page := op.ListResidents200JSONResponse{Residents: []wallet.ResidentAttributes{}}
	if page.HasMore = len(residents) > r.Params.Limit; page.HasMore {
		residents = residents[:r.Params.Limit]
		page.NextCursor = encodeCursor(residents[len(residents)-1].ID)
	}
	for _, in := range residents {
		page.Residents = append(page.Residents, wallet.ResidentAttributes{
			ResidentID: in.ID, BornOn: dayOut(in.BornOn), Sex: wallet.Sex(in.Sex), Area: in.Area,
			ConsentID: in.ConsentID, Test: in.Test, RegisteredAt: in.RegisteredAt.UTC(),
		})
	}
	return page, nil
}

func (a *walletAPI) RegisterShops(ctx context.Context, r op.RegisterShopsRequestObject) (op.RegisterShopsResponseObject, error) {
	shops := make([]registry.Shop, len(r.Body.Shops))
	for i, in := range r.Body.Shops {
		shops[i] = registry.Shop{
			ID: in.ShopID, Name: in.Name, Merchant: in.MerchantID, Industry: string(in.Industry), Area: in.Area,
			JoinedAt: instant(in.JoinedAt),
		}
	}
	if err := a.Registry.PutShops(ctx, shops...); err != nil {
		return nil, err
	}
	return op.RegisterShops200JSONResponse{Registered: len(shops)}, nil
}

func (a *walletAPI) ListShops(ctx context.Context, r op.ListShopsRequestObject) (op.ListShopsResponseObject, error) {
	after, err := decodeCursor(r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	shops, err := a.Registry.Shops(ctx, after, r.Params.Limit+1)
	if err != nil {
		return nil, err
	}
	page := op.ListShops200JSONResponse{Shops: []wallet.Shop{}}
	if page.HasMore = len(shops) > r.Params.Limit; page.HasMore {
		shops = shops[:r.Params.Limit]
		page.NextCursor = encodeCursor(shops[len(shops)-1].ID)
	}
	for _, in := range shops {
		page.Shops = append(page.Shops, wallet.Shop{
			ShopID: in.ID, Name: in.Name, MerchantID: in.Merchant, Industry: wallet.Industry(in.Industry), Area: in.Area,
			JoinedAt: in.JoinedAt.UTC(),
		})
	}
	return page, nil
}

func (a *walletAPI) Charge(ctx context.Context, r op.ChargeRequestObject) (op.ChargeResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	if err := a.known(ctx, r.Body.ResidentID, ""); err != nil {
		return nil, err
	}
	o, err := a.Desk.Charge(ctx, origin, r.Body.ResidentID, ledger.ProgrammeID(r.Body.ProgrammeID), r.Body.Units)
	posted, err := receipt(o, err)
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
	posted, err := receipt(o, err)
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
	var parts []programme.Part
	for _, p := range r.Body.Parts {
		parts = append(parts, programme.Part{Programme: ledger.ProgrammeID(p.ProgrammeID), Amount: ledger.Yen(p.AmountYen)})
	}
	o, err := a.Desk.Pay(ctx, origin, r.Body.ResidentID, r.Body.ShopID, r.Body.TerminalID, parts...)
	posted, err := receipt(o, err)
	return op.Pay201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) CancelPayment(ctx context.Context, r op.CancelPaymentRequestObject) (op.CancelPaymentResponseObject, error) {
	origin, err := originOf(ctx, r.Params.IdempotencyKey, r.Body.OccurredAt)
	if err != nil {
		return nil, err
	}
	o, err := a.Desk.Cancel(ctx, origin, r.PaymentID, r.Body.Reason)
	posted, err := receipt(o, err)
	return op.CancelPayment201JSONResponse{PostedJSONResponse: posted}, err
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
	}
	o, err := a.Desk.Poster.Post(ctx, tx)
	posted, err := receipt(o, err)
	return op.PostTransaction201JSONResponse{PostedJSONResponse: posted}, err
}

func (a *walletAPI) GetTransaction(ctx context.Context, r op.GetTransactionRequestObject) (op.GetTransactionResponseObject, error) {
	p, err := a.Ledger.Transaction(ctx, r.TransactionID)
	if err != nil {
		return nil, err
	}
	tx := transactionOut(p)
	tx.CancelledBy = p.CancelledBy
	return op.GetTransaction200JSONResponse(tx), nil
}

func (a *walletAPI) GetBalances(ctx context.Context, r op.GetBalancesRequestObject) (op.GetBalancesResponseObject, error) {
	if _, err := a.Registry.Resident(ctx, r.ResidentID); err != nil {
		return nil, err
	}
	balances, err := a.Ledger.BalancesOf(ctx, r.ResidentID)
	if err != nil {
		return nil, err
	}
	list := op.GetBalances200JSONResponse{ResidentID: r.ResidentID, Balances: []wallet.Balance{}}
	for _, b := range balances {
		if b.Kind == ledger.ResidentLot { // a shop may have the same ID as a resident
			list.Balances = append(list.Balances, wallet.Balance{ProgrammeID: string(b.Programme), BalanceYen: int64(b.Value())})
		}
	}
	return list, nil
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

// known checks that a resident, and a shop where one is named, are registered:
// the ledger opens an account for any name.
func (a *walletAPI) known(ctx context.Context, resident, shop string) error {
	if _, err := a.Registry.Resident(ctx, resident); err != nil {
		return misses(err, errUnknownResident, "#/resident_id")
	}
	if shop == "" {
		return nil
	}
	if _, err := a.Registry.Shop(ctx, shop); err != nil {
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

// receipt is the answer to a posting: the transaction as it was posted, so
// that a repetition after a cancel gives the very same answer.
func receipt(o ledger.Outcome, err error) (op.PostedJSONResponse, error) {
	if err == nil {
		err = o.Err
	}
	if err != nil {
		return op.PostedJSONResponse{}, err
	}
	return op.PostedJSONResponse{
		Body:    transactionOut(o.Posted),
		Headers: op.PostedResponseHeaders{IdempotencyReplayed: o.Replay},
	}, nil
}

func transactionOut(p ledger.Posted) wallet.Transaction {
	tx := wallet.Transaction{
		TransactionID: p.ID, Kind: wallet.TransactionKind(p.Kind), ResidentID: p.Resident, ShopID: p.Shop,
		TerminalID: p.Terminal, Cancels: p.Parent, Reason: p.Reason, TotalYen: int64(p.Total()),
		OccurredAt: p.At.UTC(), PostedAt: p.LedgerAt.UTC(), BusinessOn: dayOut(p.BusinessOn),
		Entries: []wallet.Entry{}, BalancesAfter: []wallet.Balance{},
	}
	place := map[ledger.ProgrammeID]int{} // in BalancesAfter
	for _, e := range p.Entries {
		tx.Entries = append(tx.Entries, wallet.Entry{
			Seq: int64(e.Seq), ProgrammeID: string(e.Programme), Debit: string(e.Debit), Credit: string(e.Credit),
			AmountYen: int64(e.Amount),
		})
		after, touched := ledger.Yen(0), true
		switch programme.LotID(e.Programme, p.Resident) {
		case e.Debit:
			after = e.DebitAfter
		case e.Credit:
			after = e.CreditAfter
		default:
			touched = false
		}
		if !touched {
			continue
		}
		i, seen := place[e.Programme]
		if !seen {
			i = len(tx.BalancesAfter)
			place[e.Programme] = i
			tx.BalancesAfter = append(tx.BalancesAfter, wallet.Balance{ProgrammeID: string(e.Programme)})
		}
		tx.BalancesAfter[i].BalanceYen = int64(after)
	}
	return tx
}

func programmeOut(p programme.Programme) wallet.Programme {
	return wallet.Programme{
		ProgrammeID: string(p.ID), Name: p.Name, Class: wallet.ProgrammeClass(p.Class),
		UnitPriceYen: int64(p.UnitPrice), UnitValueYen: int64(p.UnitValue), MaxUnits: p.MaxUnits,
		OpensOn: dayOut(p.OpensOn), ClosesOn: dayOut(p.ClosesOn),
	}
}

// instant is a time as the stores keep it: UTC, in microseconds. The zero time
// stays zero.
func instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func dayIn(d types.Date) string {
	if d.IsZero() {
		return ""
	}
	return d.Format(time.DateOnly)
}

// dayOut is a day of ours; the zero day is left out of answers.
func dayOut(day string) types.Date {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return types.Date{}
	}
	return types.Date{Time: t}
}
