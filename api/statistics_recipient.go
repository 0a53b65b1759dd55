package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/analytics/recipient"
	"meguri/openapi/statistics"
	op "meguri/openapi/statistics/server"
	"meguri/reports"
)

// contract returns the contract under which the caller asks; see
// [recipient.Desk.ContractOf].
func (a *statisticsAPI) contract(ctx context.Context) (recipient.Contract, bool, error) {
	if a.Recipients == nil {
		return recipient.Contract{}, false, nil
	}
	return a.Recipients.ContractOf(ctx, clientOf(ctx).ID)
}

func entryOf(ctx context.Context, q analytics.Query) recipient.Entry {
	return recipient.Entry{Client: clientOf(ctx).ID, Metric: q.Metric, Cut: recipient.Cut(q.By), From: q.From, To: q.To}
}

// refused enters a refusal in the access log, under its problem's name, and
// returns it.
func (a *statisticsAPI) refused(ctx context.Context, e recipient.Entry, refusal error) error {
	e.Outcome = rowOf(refusal).slug
	if err := a.Recipients.Note(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("enter a refusal in the access log: %w", err)
	}
	return refusal
}

// contracted hands a table over under a contract. It leaves only when it is in
// the log.
func (a *statisticsAPI) contracted(ctx context.Context, c recipient.Contract, q analytics.Query, e recipient.Entry, format statistics.GetTableParamsFormat, lang string) (download, error) {
	purpose, err := c.Purpose(e.Purpose)
	if err != nil {
		return download{}, err
	}
	e.Purpose = purpose.ID
	if err := c.Offers(q); err != nil {
		return download{}, err
	}
	if err := a.Recipients.Room(ctx, c, e.Table()); err != nil {
		return download{}, err
	}
	released, err := a.Gate.ReleaseTo(disclosure.For(ctx, purpose.ID), q, disclosure.Recipient, c.Reader)
	if err != nil {
		return download{}, err
	}
	if e.Release, err = reports.Hash(released); err != nil {
		return download{}, err
	}
	answer, err := render(released, format, lang)
	if err != nil {
		return download{}, err
	}
	e.Bytes = int64(len(answer.body))
	return answer, a.Recipients.Give(ctx, c, e)
}

// GetContract tells a recipient its own contract, while it is in force.
func (a *statisticsAPI) GetContract(ctx context.Context, _ op.GetContractRequestObject) (op.GetContractResponseObject, error) {
	c, ok, err := a.contract(ctx)
	if err == nil && !ok {
		err = recipient.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	out := op.GetContract200JSONResponse{
		ContractID: c.ID, Organisation: c.Organisation, Metrics: c.Metrics, From: dayOut(c.From), Until: dayOut(c.Until),
		DataFrom: c.DataFrom, DataTo: c.DataTo, TablesADay: c.Quota.TablesADay, DownloadsAMonth: c.Quota.DownloadsAMonth,
		Purposes: []statistics.AgreedPurpose{}, Cuts: [][]statistics.Dimension{}, Windows: []statistics.WindowKind{},
	}
	for _, p := range c.Purposes {
		out.Purposes = append(out.Purposes, statistics.AgreedPurpose{ID: p.ID, Text: p.Text})
	}
	for _, cut := range c.Cuts {
		out.Cuts = append(out.Cuts, dimensionsOut(cut))
	}
	for _, k := range c.Windows {
		out.Windows = append(out.Windows, statistics.WindowKind(k))
	}
	if c.Noise != nil && a.Noise != nil {
		if out.Noise, err = a.noiseOut(ctx, c); err != nil {
			return nil, err
		}
	}
	out.TablesLeft, out.DownloadsLeft, err = a.Recipients.Left(ctx, c)
	return out, err
}

// GetBundle hands over every table of a contract for a period.
func (a *statisticsAPI) GetBundle(ctx context.Context, r op.GetBundleRequestObject) (op.GetBundleResponseObject, error) {
	c, ok, err := a.contract(ctx)
	if err == nil && !ok {
		err = recipient.ErrNotFound
	}
	if !ok {
		return nil, err
	}
	e := recipient.Entry{
		Contract: c.ID, Client: clientOf(ctx).ID, Purpose: r.Params.Purpose, Operation: "getBundle",
		Metric: recipient.BundleMetric, Format: "zip",
	}
	period, parseErr := recipient.ParsePeriod(r.Period)
	if parseErr != nil { // the contract's pattern lets none through
		return nil, errInvalidRequest
	}
	e.From, e.To = period.From, period.To
	if err != nil {
		return nil, a.refused(ctx, e, err)
	}
	answer, err := a.bundle(ctx, c, period, e)
	if err != nil {
		return nil, a.refused(ctx, e, err)
	}
	return answer, nil
}

func (a *statisticsAPI) bundle(ctx context.Context, c recipient.Contract, p recipient.Period, e recipient.Entry) (download, error) {
	if len(a.BundleKey) == 0 {
		return download{}, errNoPage
	}
	purpose, err := c.Purpose(e.Purpose)
	if err != nil {
		return download{}, err
	}
	e.Purpose = purpose.ID
	if err := c.OffersPeriod(p); err != nil {
		return download{}, err
	}
	if err := a.Recipients.Room(ctx, c, e.Table()); err != nil {
		return download{}, err
	}
	tables, omitted, err := recipient.Collect(disclosure.For(ctx, purpose.ID), a.Gate, c, p)
	if err != nil {
		return download{}, err
	}
	var b bytes.Buffer
	if e.Release, err = reports.Bundle(&b, BundleHead(c, purpose, p, omitted), tables, a.BundleKey); err != nil {
		return download{}, err
	}
	e.Bytes = int64(b.Len())
	return download{"application/zip", b.Bytes()}, a.Recipients.Give(ctx, c, e)
}

// BundleHead is what a bundle's manifest says about the contract.
func BundleHead(c recipient.Contract, purpose recipient.Purpose, p recipient.Period, omitted []analytics.Query) reports.Manifest {
	m := reports.Manifest{
		Contract: c.ID, Organisation: c.Organisation, PurposeID: purpose.ID, Purpose: purpose.Text, Period: p.Name, From: p.From, To: p.To,
	}
	for _, q := range omitted {
		m.Omitted = append(m.Omitted, reports.BundleOmitted{Metric: q.Metric, Cut: recipient.Cut(q.By)})
	}
	return m
}

// GetBundleKey gives the public key to everybody.
func (a *statisticsAPI) GetBundleKey(context.Context, op.GetBundleKeyRequestObject) (op.GetBundleKeyResponseObject, error) {
	if len(a.BundleKey) == 0 {
		return nil, errNoPage
	}
	text, err := PublicKeyPEM(a.BundleKey.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return op.GetBundleKey200ApplicationXPemFileResponse{Body: bytes.NewReader(text), ContentLength: int64(len(text))}, nil
}

// PublicKeyPEM writes a public key as SubjectPublicKeyInfo in PEM (RFC 8410).
func PublicKeyPEM(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("write public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// GetShopTable gives a shop its own table, and the public's for its industry and
// district. Whether another shop exists is not told: what is not the caller's is
// looked up nowhere.
func (a *statisticsAPI) GetShopTable(ctx context.Context, r op.GetShopTableRequestObject) (op.GetShopTableResponseObject, error) {
	if a.Recipients == nil {
		return nil, errNoPage
	}
	q := analytics.Query{Metric: r.MetricID, From: dayIn(r.Params.From), To: dayIn(r.Params.To), Shop: r.ShopID, By: dimensionsIn(r.Params.By)}
	e := entryOf(ctx, q)
	e.Contract, e.Operation, e.Purpose, e.Format = "shop:"+r.ShopID, "getShopTable", a.Purpose, "json"
	answer, err := a.shopTable(ctx, q, &e)
	if err != nil {
		return nil, a.refused(ctx, e, err)
	}
	e.Outcome = recipient.Given
	if err := a.Recipients.Note(ctx, e); err != nil {
		return nil, fmt.Errorf("enter a shop's table in the access log: %w", err)
	}
	return op.GetShopTable200JSONResponse(answer), nil
}

func (a *statisticsAPI) shopTable(ctx context.Context, q analytics.Query, e *recipient.Entry) (statistics.ShopTable, error) {
	own, err := a.Recipients.Store.HasShop(ctx, clientOf(ctx).ID, q.Shop)
	if err != nil {
		return statistics.ShopTable{}, err
	}
	if !own {
		return statistics.ShopTable{}, errNoPage
	}
	shop, err := a.Registry.Shop(ctx, q.Shop)
	if err != nil {
		return statistics.ShopTable{}, err
	}
	released, err := a.Gate.Release(ctx, q, disclosure.Owner)
	if err != nil {
		return statistics.ShopTable{}, err
	}
	out := statistics.ShopTable{ShopID: shop.ID}
	if out.Own, err = tableOut(released); err != nil {
		return statistics.ShopTable{}, err
	}
	e.Release = out.Own.ReleaseHash
	peers, err := a.Gate.Release(ctx, analytics.Query{Metric: q.Metric, From: q.From, To: q.To, By: []string{"industry", "shop_area"}}, disclosure.Public)
	switch {
	case errors.Is(err, disclosure.ErrNotOffered), errors.Is(err, disclosure.ErrDiscloses), errors.Is(err, analytics.ErrBadQuery),
		errors.Is(err, disclosure.ErrMethodChanged), errors.Is(err, disclosure.ErrReleaseKey):
		return out, nil // the public has no such table
	case err != nil:
		return statistics.ShopTable{}, err
	}
	if out.Peers, err = tableOut(peers); err != nil {
		return statistics.ShopTable{}, err
	}
	cells := out.Peers.Cells
	out.Peers.Cells, out.Peers.Hidden, out.Peers.HiddenShare = []statistics.Cell{}, 0, 0
	for _, c := range cells {
		if c.Keys[0] != shop.Industry || c.Keys[1] != shop.Area {
			continue
		}
		out.Peers.Cells = append(out.Peers.Cells, c)
		if c.State == statistics.CellStateSuppressed {
			out.Peers.Hidden, out.Peers.HiddenShare = 1, 1
		}
	}
	return out, nil
}
