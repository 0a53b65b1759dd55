package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"meguri/openapi/paymentdata"
	paymentclient "meguri/openapi/paymentdata/client"
	"meguri/openapi/wallet"
	walletclient "meguri/openapi/wallet/client"
)

// Provider is a payment provider that speaks the standard payment-data API.
// Our own ledger is one of them, the first.
type Provider struct {
	Source   string // the name under which its records are kept
	Payments *paymentclient.ClientWithResponses
	// Wallet gives the attributes of residents and shops. It is nil for a
	// provider that has none for us.
	Wallet *walletclient.ClientWithResponses
}

// Connect returns the provider at an address, reached with a bearer token.
func Connect(source, address, token string, client *http.Client) (*Provider, error) {
	authorize := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	payments, err := paymentclient.NewClientWithResponses(address,
		paymentclient.WithHTTPClient(client), paymentclient.WithRequestEditorFn(authorize))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", source, err)
	}
	residents, err := walletclient.NewClientWithResponses(address,
		walletclient.WithHTTPClient(client), walletclient.WithRequestEditorFn(authorize))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", source, err)
	}
	return &Provider{Source: source, Payments: payments, Wallet: residents}, nil
}

// ErrProvider: a provider did not answer as its contract says.
var ErrProvider = errors.New("the provider did not answer as the contract says")

// Page sizes of a pull: as large as the contracts allow.
const (
	paymentPage   = 1000
	attributePage = 1000
)

// Pull takes in what a provider has that we have not: residents and shops, and
// every payment since the cursor that was kept last. The cursor moves with the
// payments, in one transaction, so a pull that breaks off goes on from there.
// Progress is called after each page with the number of payments so far.
func (im *Importer) Pull(ctx context.Context, p *Provider, progress func(payments int64)) (Summary, error) {
	total := Summary{Source: p.Source}
	started := time.Now()
	if p.Wallet != nil {
		if err := im.pullAttributes(ctx, p); err != nil {
			return total, fmt.Errorf("pull from %s: %w", p.Source, err)
		}
	}
	cursor, err := im.Cursor(ctx, p.Source)
	if err != nil {
		return total, fmt.Errorf("pull from %s: %w", p.Source, err)
	}
	way := path{}
	for more := true; more; {
		answer, err := p.Payments.SyncPaymentsWithResponse(ctx, &paymentdata.SyncPaymentsParams{Cursor: cursor, Limit: paymentPage})
		if err != nil {
			return total, fmt.Errorf("pull from %s: %w", p.Source, err)
		}
		page := answer.JSON200
		if page == nil {
			return total, fmt.Errorf("pull from %s: payments: %w", p.Source, refused(answer.StatusCode(), answer.ApplicationProblemJSONDefault))
		}
		if err := way.on(cursor, page.NextCursor, page.HasMore); err != nil {
			return total, fmt.Errorf("pull from %s: payments: %w", p.Source, err)
		}
		if len(page.Removed) > 0 {
			return total, fmt.Errorf("pull from %s: %w: it takes payments away, which this version cannot follow", p.Source, ErrProvider)
		}
		var records []Record
		for _, list := range [][]paymentdata.Payment{page.Added, page.Updated} {
			for i := range list {
				records = append(records, recordsOf(&list[i])...)
			}
		}
		if len(records) > 0 || page.NextCursor != cursor {
			s, err := im.AddWithCursor(ctx, p.Source, records, page.NextCursor)
			if err != nil {
				return total, err
			}
			total.Read += s.Read
			total.Accepted += s.Accepted
			total.Duplicate += s.Duplicate
			total.Quarantined += s.Quarantined
			if s.QuarantinePath != "" {
				total.QuarantinePath = s.QuarantinePath
			}
		}
		cursor, more = page.NextCursor, page.HasMore
		if progress != nil {
			progress(total.Read)
		}
	}
	total.Elapsed = time.Since(started)
	return total, nil
}

// path remembers the cursors of a pull, so that pages that lead back to where
// it was are an error and not a pull without end.
type path map[string]bool

func (p path) on(from, to string, more bool) error {
	p[from] = true
	if more && p[to] {
		return fmt.Errorf("%w: a page leads back to itself, or to one before it", ErrProvider)
	}
	return nil
}

func (im *Importer) pullAttributes(ctx context.Context, p *Provider) error {
	source, err := im.providerOf(ctx, p.Source)
	if err != nil {
		return err
	}
	way := path{}
	for cursor, more := "", true; more; {
		answer, err := p.Wallet.ListResidentsWithResponse(ctx, &wallet.ListResidentsParams{Cursor: cursor, Limit: attributePage})
		if err != nil {
			return err
		}
		page := answer.JSON200
		if page == nil {
			return fmt.Errorf("residents: %w", refused(answer.StatusCode(), problemOf(answer.ApplicationProblemJSONDefault)))
		}
		persons := make([]Person, len(page.Residents))
		for i, r := range page.Residents {
			persons[i] = Person{
				Source: source, ID: r.ResidentID, Sex: string(r.Sex), Area: r.Area,
				ConsentID: r.ConsentID, Test: r.Test,
			}
			if !r.BornOn.IsZero() {
				persons[i].BornOn = r.BornOn.Format(time.DateOnly)
			}
		}
		if err := im.PutPersons(ctx, persons); err != nil {
			return err
		}
		if err := way.on(cursor, page.NextCursor, page.HasMore); err != nil {
			return fmt.Errorf("residents: %w", err)
		}
		cursor, more = page.NextCursor, page.HasMore
	}
	way = path{}
	for cursor, more := "", true; more; {
		answer, err := p.Wallet.ListShopsWithResponse(ctx, &wallet.ListShopsParams{Cursor: cursor, Limit: attributePage})
		if err != nil {
			return err
		}
		page := answer.JSON200
		if page == nil {
			return fmt.Errorf("shops: %w", refused(answer.StatusCode(), problemOf(answer.ApplicationProblemJSONDefault)))
		}
		shops := make([]Shop, len(page.Shops))
		for i, s := range page.Shops {
			shops[i] = Shop{
				Source: source, ID: s.ShopID, Name: s.Name, Merchant: s.MerchantID, Operator: s.Operator,
				Industry: string(s.Industry), Area: s.Area,
			}
		}
		if err := im.PutShops(ctx, shops); err != nil {
			return err
		}
		if err := way.on(cursor, page.NextCursor, page.HasMore); err != nil {
			return fmt.Errorf("shops: %w", err)
		}
		cursor, more = page.NextCursor, page.HasMore
	}
	return nil
}

func problemOf(p *wallet.Problem) *paymentdata.Problem {
	if p == nil {
		return nil
	}
	return &paymentdata.Problem{Title: p.Title, Detail: p.Detail}
}

// refused says what a provider answered instead of a page.
func refused(status int, p *paymentdata.Problem) error {
	if p == nil {
		return fmt.Errorf("%w: it answered %d", ErrProvider, status)
	}
	return fmt.Errorf("%w: it answered %d: %s", ErrProvider, status, p.Title)
}

// recordsOf turns a payment of the standard API into records: one for each
// part that paid, and one for each part that a reversal gave back. A payment
// that comes again with a higher version gives the same records and the new
// reversals; the ones that are known already count as duplicates.
func recordsOf(p *paymentdata.Payment) []Record {
	part := func(id string, i int) string {
		if len(p.Funding.Parts) == 1 {
			return id
		}
		return id + "/" + strconv.Itoa(i+1)
	}
	var records []Record
	for i, f := range p.Funding.Parts {
		records = append(records, Record{
			ID: part(p.PaymentID, i), GroupID: p.PaymentID, Kind: Pay,
			ServiceType: serviceTypes[f.Kind], ServiceID: f.ProgrammeID,
			PersonID: p.LinkID, ShopID: p.Merchant.ProviderStoreID, ShopName: p.Merchant.Name, TerminalID: p.TerminalID,
			AmountYen: f.Amount, OccurredAt: p.OccurredAt, Active: true, ConsentID: p.ConsentID,
		})
	}
	for _, r := range p.Reversals {
		if r.Amount != p.Amount.Value { // a part: it takes no payment away, and counts on its own day
			back := records[0]
			back.ID, back.GroupID, back.Kind = r.ReversalID, r.ReversalID, Refund
			back.AmountYen, back.OccurredAt = r.Amount, r.OccurredAt
			records = append(records, back)
			continue
		}
		for i := range p.Funding.Parts {
			back := records[i]
			back.TargetID = back.ID
			back.ID, back.GroupID, back.Kind = part(r.ReversalID, i), r.ReversalID, Cancel
			back.OccurredAt = r.OccurredAt
			records = append(records, back)
		}
	}
	return records
}

// serviceTypes says which kind of value a funding is. Money on a balance, at a
// bank or on a card is money to us.
var serviceTypes = map[paymentdata.FundingKind]string{
	paymentdata.FundingKindBalance: Money,
	paymentdata.FundingKindPoints:  Points,
	paymentdata.FundingKindCoupon:  Voucher,
}
