package api

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/oapi-codegen/runtime/types"

	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/openapi/wallet"
	op "meguri/openapi/wallet/server"
	"meguri/pseudonymize/lake"
)

// walletAPI answers the operations of the wallet contract: programmes and the
// registry here, what moves money in money.go, what reads the ledger in
// books.go.
type walletAPI struct {
	Deps
	residents, shops cache[struct{}] // that were found: a registration never ends
}

func newWalletAPI(d Deps) *walletAPI { return &walletAPI{Deps: d} }

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
		IssueUnits: r.Body.IssueUnits,
		// What is left out and what is said are the same content.
		SpendFirst: cmp.Or(ledger.Funding(r.Body.SpendFirst), ledger.Premium),
		Settlement: cmp.Or(programme.Settlement(r.Body.Settlement), programme.Weekly),
		OpensOn:    dayIn(r.Body.OpensOn), ClosesOn: dayIn(r.Body.ClosesOn),
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
		if lake.CheckOperator(in.Operator) != nil {
			return nil, &at{errInvalidRequest, []place{{fmt.Sprintf("shops[%d].operator", i), text{
				"法人番号の検査数字が合いません。13桁の番号を確かめるか、別の符号にしてください", "the check digit of the corporate number is wrong: check the 13 digits, or give another code"}}}}
		}
		shops[i] = registry.Shop{
			ID: in.ShopID, Name: in.Name, Merchant: in.MerchantID, Operator: in.Operator, Industry: string(in.Industry), Area: in.Area,
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
			ShopID: in.ID, Name: in.Name, MerchantID: in.Merchant, Operator: in.Operator, Industry: wallet.Industry(in.Industry), Area: in.Area,
			JoinedAt: in.JoinedAt.UTC(),
		})
	}
	return page, nil
}

func programmeOut(p programme.Programme) wallet.Programme {
	return wallet.Programme{
		ProgrammeID: string(p.ID), Name: p.Name, Class: wallet.ProgrammeClass(p.Class),
		UnitPriceYen: int64(p.UnitPrice), UnitValueYen: int64(p.UnitValue), MaxUnits: p.MaxUnits, IssueUnits: p.IssueUnits,
		SpendFirst: wallet.SpendFirst(cmp.Or(p.SpendFirst, ledger.Premium)),
		Settlement: wallet.Settlement(cmp.Or(p.Settlement, programme.Weekly)),
		OpensOn:    dayOut(p.OpensOn), ClosesOn: dayOut(p.ClosesOn),
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
