package democity

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"
	"golang.org/x/sync/errgroup"

	"meguri/openapi/wallet"
	"meguri/openapi/wallet/client"
)

// workers call the API at the same time, each for its own residents.
const workers = 48

// Drive does everything that the plan says, through the wallet API. A drive
// that broke off may be repeated: what was done is answered and not done again.
// Progress is called with the number of events done and of all.
func (p *Plan) Drive(ctx context.Context, c *client.ClientWithResponses, progress func(done, of int64)) error {
	if err := p.register(ctx, c); err != nil {
		return fmt.Errorf("demo city: %w", err)
	}
	var of int64
	for _, r := range p.Residents {
		of += int64(len(r.Events))
	}
	var done, next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(p.Residents)); i = next.Add(1) - 1 {
				who := &p.Residents[i]
				for _, e := range who.Events {
					if err := do(ctx, c, who, e); err != nil {
						return fmt.Errorf("demo city: %s of resident %s: %w", e.Kind, who.ID, err)
					}
					progress(done.Add(1), of)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (p *Plan) register(ctx context.Context, c *client.ClientWithResponses) error {
	from, to := p.Config.Days()
	opens, closes := day(from), day(to)
	for _, v := range []struct {
		id   string
		body wallet.ProgrammeContent
	}{
		{VoucherID, wallet.ProgrammeContent{
			Name: "デモ市デジタル商品券", Class: wallet.ProgrammeClassVoucher,
			UnitPriceYen: unitPrice, UnitValueYen: unitValue, MaxUnits: maxUnits, OpensOn: opens, ClosesOn: closes,
		}},
		{PointsID, wallet.ProgrammeContent{Name: "デモ市地域ポイント", Class: wallet.ProgrammeClassPoints, OpensOn: opens, ClosesOn: closes}},
	} {
		answer, err := c.PutProgrammeWithResponse(ctx, v.id, v.body)
		if err := check("programme", answer, err); err != nil {
			return err
		}
	}
	var shops []wallet.Shop
	for _, s := range p.Shops {
		shops = append(shops, wallet.Shop{
			ShopID: s.ID, Name: s.Name, MerchantID: s.Merchant, Industry: wallet.Industry(s.Industry), Area: s.Area,
			JoinedAt: Start.AddDate(0, -2, 0),
		})
	}
	const batch = 1000
	for ; len(shops) > 0; shops = shops[min(batch, len(shops)):] {
		answer, err := c.RegisterShopsWithResponse(ctx, wallet.ShopBatch{Shops: shops[:min(batch, len(shops))]})
		if err := check("shops", answer, err); err != nil {
			return err
		}
	}
	var residents []wallet.Resident
	for _, r := range p.Residents {
		residents = append(residents, wallet.Resident{
			ResidentID: r.ID, Name: r.Name, Phone: r.Phone, BornOn: day(r.BornOn), Sex: wallet.Sex(r.Sex),
			Area: r.Area, ConsentID: r.ConsentID, Test: r.Test, RegisteredAt: Start.AddDate(0, 0, -14),
		})
	}
	for ; len(residents) > 0; residents = residents[min(batch, len(residents)):] {
		answer, err := c.RegisterResidentsWithResponse(ctx, wallet.ResidentBatch{Residents: residents[:min(batch, len(residents))]})
		if err := check("residents", answer, err); err != nil {
			return err
		}
	}
	return nil
}

func day(text string) openapi_types.Date {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil { // the plan makes its own days
		panic(err)
	}
	return openapi_types.Date{Time: t}
}

// do does one event. A full queue is no failure: it says when to come again.
func do(ctx context.Context, c *client.ClientWithResponses, who *Resident, e Event) error {
	for {
		status, err := try(ctx, c, who, e)
		if err != nil || status != http.StatusServiceUnavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func try(ctx context.Context, c *client.ClientWithResponses, who *Resident, e Event) (status int, err error) {
	var answer response
	switch e.Kind {
	case "charge":
		answer, err = c.ChargeWithResponse(ctx, &wallet.ChargeParams{IdempotencyKey: e.ID}, wallet.ChargeRequest{
			ResidentID: who.ID, ProgrammeID: VoucherID, Units: e.Units, OccurredAt: e.At,
		})
	case "grant":
		answer, err = c.GrantWithResponse(ctx, &wallet.GrantParams{IdempotencyKey: e.ID}, wallet.GrantRequest{
			ResidentID: who.ID, ProgrammeID: PointsID, AmountYen: e.Points, OccurredAt: e.At,
		})
	case "pay":
		var parts []wallet.Part
		if e.Voucher > 0 {
			parts = append(parts, wallet.Part{ProgrammeID: VoucherID, AmountYen: e.Voucher})
		}
		if e.Points > 0 {
			parts = append(parts, wallet.Part{ProgrammeID: PointsID, AmountYen: e.Points})
		}
		answer, err = c.PayWithResponse(ctx, &wallet.PayParams{IdempotencyKey: e.ID}, wallet.PayRequest{
			ResidentID: who.ID, ShopID: e.Shop, TerminalID: e.Shop + "-1", Parts: parts, OccurredAt: e.At,
		})
	case "cancel":
		answer, err = c.CancelPaymentWithResponse(ctx, e.Target, &wallet.CancelPaymentParams{IdempotencyKey: e.ID},
			wallet.CancelRequest{Reason: "returned", OccurredAt: e.At})
	}
	if err != nil {
		return 0, err
	}
	if answer.StatusCode() == http.StatusServiceUnavailable {
		return http.StatusServiceUnavailable, nil
	}
	return answer.StatusCode(), check(e.Kind, answer, nil)
}

type response interface {
	StatusCode() int
	GetBody() []byte
}

func check(what string, answer response, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if answer.StatusCode() >= 300 {
		return fmt.Errorf("%s: the server answered %d: %s", what, answer.StatusCode(), answer.GetBody())
	}
	return nil
}
