package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/openapi/paymentdata"
	op "meguri/openapi/paymentdata/server"
)

// What discovery says. The limits repeat the contract, a test compares them.
const (
	itemTableVersion = "1.0.0"
	embeddedMode     = 1 // 連携方式1: the wallet is part of the platform
	syncDefault      = 100
	syncMax          = 1000
)

// paymentDataAPI answers the operations of the payment-data contract out of
// our own ledger, which is provider number one.
type paymentDataAPI struct{ Deps }

// SyncPayments shows a stretch of the ledger. Everything in it is shown as it
// stood at the stretch's end, whatever came later, so that the same cursor
// gives the same page as long as the stretch is full.
func (a *paymentDataAPI) SyncPayments(ctx context.Context, r op.SyncPaymentsRequestObject) (op.SyncPaymentsResponseObject, error) {
	after, err := decodeSeq(r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	stretch, err := a.Ledger.Changes(ctx, after, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	cancels := map[string]ledger.Posted{} // by the payment that they take back
	for _, tx := range stretch {
		if tx.Kind == ledger.Cancel {
			cancels[tx.Parent] = tx
		}
	}
	page := op.SyncPayments200JSONResponse{
		Added: []paymentdata.Payment{}, Updated: []paymentdata.Payment{}, Removed: []paymentdata.Removed{},
	}
	view := a.view(ctx)
	last := after
	for _, tx := range stretch {
		last = tx.Last()
		switch {
		case tx.IsPayment():
			if page.Added, err = view.append(page.Added, tx, cancels[tx.ID]); err != nil {
				return nil, err
			}
			delete(cancels, tx.ID) // told in this page's payment
		case tx.Kind == ledger.Cancel:
			cancel, before := cancels[tx.Parent]
			if !before {
				continue
			}
			payment, err := a.Ledger.Transaction(ctx, tx.Parent)
			if err != nil {
				return nil, fmt.Errorf("payment of cancel %s: %w", tx.ID, err)
			}
			if page.Updated, err = view.append(page.Updated, payment, cancel); err != nil {
				return nil, err
			}
		}
	}
	page.NextCursor = encodeSeq(last)
	if last > after {
		rest, err := a.Ledger.Changes(ctx, last, 1)
		if err != nil {
			return nil, err
		}
		page.HasMore = len(rest) > 0
	}
	return page, nil
}

// GetPayment shows a payment as it stands now.
func (a *paymentDataAPI) GetPayment(ctx context.Context, r op.GetPaymentRequestObject) (op.GetPaymentResponseObject, error) {
	tx, err := a.Ledger.Transaction(ctx, r.PaymentID)
	if err != nil {
		return nil, err
	}
	if !tx.IsPayment() {
		return nil, ledger.ErrNotFound
	}
	var cancel ledger.Posted
	if tx.ResolvedAs == ledger.Cancel {
		if cancel, err = a.Ledger.Transaction(ctx, tx.ResolvedBy); err != nil {
			return nil, fmt.Errorf("cancel of payment %s: %w", tx.ID, err)
		}
	}
	payments, err := a.view(ctx).append(nil, tx, cancel)
	if err != nil {
		return nil, err
	}
	if len(payments) == 0 { // without consent it is as if it were not there
		return nil, ledger.ErrNotFound
	}
	return op.GetPayment200JSONResponse(payments[0]), nil
}

// GetDiscovery says what this API offers.
func (a *paymentDataAPI) GetDiscovery(context.Context, op.GetDiscoveryRequestObject) (op.GetDiscoveryResponseObject, error) {
	return op.GetDiscovery200JSONResponse{
		ProviderID: a.Provider, ItemTableVersion: itemTableVersion, LinkageModes: []int{embeddedMode},
		Limits: paymentdata.Limits{PageDefault: syncDefault, PageMax: syncMax},
	}, nil
}

// view draws payments for one request, and looks up every resident, shop and
// programme once.
type view struct {
	provider  string
	resident  func(id string) (registry.Resident, error)
	shop      func(id string) (registry.Shop, error)
	programme func(id ledger.ProgrammeID) (programme.Programme, error)
}

func (a *paymentDataAPI) view(ctx context.Context) view {
	return view{a.Provider, once(ctx, a.Registry.Resident), once(ctx, a.Registry.Shop), once(ctx, a.Programmes.Programme)}
}

// once remembers what a look-up found.
func once[K comparable, V any](ctx context.Context, find func(context.Context, K) (V, error)) func(K) (V, error) {
	found := map[K]V{}
	return func(k K) (V, error) {
		if v, ok := found[k]; ok {
			return v, nil
		}
		v, err := find(ctx, k)
		if err == nil {
			found[k] = v
		}
		return v, err
	}
}

// append adds a payment, and the cancel that took it back if there is one, to
// a list. A payment whose resident has given no consent is left out: without
// consent nothing of it may be handed over.
func (v view) append(list []paymentdata.Payment, tx, cancel ledger.Posted) ([]paymentdata.Payment, error) {
	resident, err := v.resident(tx.Resident)
	switch {
	case errors.Is(err, registry.ErrNotFound) || err == nil && resident.ConsentID == "":
		return list, nil
	case err != nil:
		return nil, err
	}
	funding, err := v.funding(tx)
	if err != nil {
		return nil, err
	}
	total := int64(tx.Total())
	p := paymentdata.Payment{
		PaymentID: tx.ID, LinkID: tx.Resident, Version: 1,
		Status: paymentdata.PaymentStatusCompleted, Finality: paymentdata.FinalityMutable,
		Amount: paymentdata.Amount{Value: total, Currency: paymentdata.AmountCurrencyJPY}, NetAmount: total,
		OccurredAt: tx.At.UTC(), PostedOn: dayOut(tx.BusinessOn), UpdatedAt: tx.LedgerAt.UTC(),
		Merchant: paymentdata.Merchant{ProviderStoreID: tx.Shop}, TerminalID: tx.Terminal,
		Method: paymentdata.MethodMpmStatic, Funding: funding, Reversals: []paymentdata.Reversal{},
		Source:    paymentdata.Source{Mode: embeddedMode, ProviderID: v.provider},
		ConsentID: resident.ConsentID,
	}
	switch shop, err := v.shop(tx.Shop); {
	case err == nil:
		p.Merchant.Name = shop.Name
	case !errors.Is(err, registry.ErrNotFound):
		return nil, err
	}
	if cancel.ID != "" {
		p.Version, p.Status, p.NetAmount = 2, paymentdata.PaymentStatusCanceled, 0
		p.UpdatedAt = cancel.LedgerAt.UTC()
		p.Reversals = append(p.Reversals, paymentdata.Reversal{
			ReversalID: cancel.ID, Type: paymentdata.ReversalTypeCancel, Amount: total,
			OccurredAt: cancel.At.UTC(), ReasonCode: cancel.Reason,
		})
	}
	return append(list, p), nil
}

// fundingKinds says what the classes of programmes are called in the item table.
var fundingKinds = map[programme.Class]paymentdata.FundingKind{
	programme.Money:   paymentdata.FundingKindBalance,
	programme.Points:  paymentdata.FundingKindPoints,
	programme.Voucher: paymentdata.FundingKindCoupon,
}

// funding says which programmes paid how much, whatever lots it came from.
func (v view) funding(tx ledger.Posted) (paymentdata.Funding, error) {
	var f paymentdata.Funding
	for _, e := range tx.Entries {
		if e.Amount == 0 { // held and let go by a capture of less
			continue
		}
		if i := slices.IndexFunc(f.Parts, func(p paymentdata.FundingPart) bool { return p.ProgrammeID == string(e.Programme) }); i >= 0 {
			f.Parts[i].Amount += int64(e.Amount)
			continue
		}
		p, err := v.programme(e.Programme)
		if err != nil {
			return f, err
		}
		kind := fundingKinds[p.Class]
		f.Parts = append(f.Parts, paymentdata.FundingPart{ProgrammeID: string(p.ID), Kind: kind, Amount: int64(e.Amount)})
		if f.Kind == "" {
			f.Kind = kind
		} else if f.Kind != kind {
			f.Kind = paymentdata.FundingKindMixed
		}
	}
	return f, nil
}
