package crashtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"meguri/ledger"
)

// The town: a voucher that is sold with a premium, points, and shops whose
// period ends long after the tests.
const (
	voucher ledger.ProgrammeID = "v"
	points  ledger.ProgrammeID = "p"
	period                     = "2099-12-31"
	shops                      = 4
	far                        = time.Hour              // a hold that a test does not outlive
	near                       = 150 * time.Millisecond // a hold that ends by itself
)

func found(t testing.TB, s ledger.Store) {
	t.Helper()
	err := s.OpenAccounts(context.Background(),
		ledger.Account{ID: ledger.FundsID(voucher, ledger.FundsPaid), Programme: voucher, Kind: ledger.FundsPaid, Owner: string(voucher)},
		ledger.Account{ID: ledger.FundsID(voucher, ledger.FundsPremium), Programme: voucher, Kind: ledger.FundsPremium, Owner: string(voucher)},
		ledger.Account{ID: ledger.FundsID(points, ledger.FundsPremium), Programme: points, Kind: ledger.FundsPremium, Owner: string(points)})
	if err != nil {
		t.Fatal(err)
	}
}

// op is what a client asks for, as its log has it.
type op struct {
	ID       string
	Kind     ledger.Kind
	Resident string
	Shop     string     `json:",omitempty"`
	Voucher  ledger.Yen `json:",omitempty"`
	Points   ledger.Yen `json:",omitempty"`
	Parent   string     `json:",omitempty"`
	Until    time.Time  `json:",omitzero"`
	Want     []string   `json:",omitempty"` // the codes that are right answers, "" for posted; none is posted
}

func (o *op) tx() ledger.Transaction {
	tx := ledger.Transaction{ID: o.ID, Kind: o.Kind, Actor: "crashtest", Parent: o.Parent, Until: o.Until}
	lot := func(p ledger.ProgrammeID, f ledger.Funding) ledger.AccountID {
		id := ledger.LotID(p, o.Resident, f, "")
		tx.Opens = append(tx.Opens, ledger.Account{ID: id, Programme: p, Kind: ledger.ResidentLot, Owner: o.Resident, Funding: f})
		return id
	}
	spend := func(p ledger.ProgrammeID, amount ledger.Yen) {
		if amount == 0 {
			return
		}
		id := ledger.TakingsID(p, o.Shop, period)
		tx.Opens = append(tx.Opens, ledger.Account{ID: id, Programme: p, Kind: ledger.ShopUnsettled, Owner: o.Shop, Period: period})
		tx.Spends = append(tx.Spends, ledger.Spend{Programme: p, Amount: amount, Into: []ledger.AccountID{id}})
	}
	switch o.Kind {
	case ledger.Charge:
		tx.Resident = o.Resident
		tx.Transfers = []ledger.Transfer{
			{Debit: ledger.FundsID(voucher, ledger.FundsPaid), Credit: lot(voucher, ledger.Paid), Amount: o.Voucher},
			{Debit: ledger.FundsID(voucher, ledger.FundsPremium), Credit: lot(voucher, ledger.Premium), Amount: o.Voucher / 5},
		}
	case ledger.Grant:
		tx.Resident = o.Resident
		tx.Transfers = []ledger.Transfer{{Debit: ledger.FundsID(points, ledger.FundsPremium), Credit: lot(points, ledger.Premium), Amount: o.Points}}
	case ledger.Pay, ledger.Hold:
		tx.Resident, tx.Shop = o.Resident, o.Shop
		spend(voucher, o.Voucher)
		spend(points, o.Points)
	case ledger.Capture:
		tx.Amount = o.Voucher
	}
	return tx
}

// purse is what a client knows of its own money, from its own answers: the
// oracle beside the ledger, which shares no code with it.
type purse struct {
	voucher, points ledger.Yen
	holds, payments []op // that can be ended, and taken back
	patient         bool // no hold that ends by itself, for which a test would have to wait
}

// next draws what the client does next.
func (p *purse) next(r *rand.Rand, id, resident string) op {
	o := op{ID: id, Resident: resident, Kind: ledger.Pay, Shop: fmt.Sprintf("s%d", r.IntN(shops)), Voucher: 1 + ledger.Yen(r.Int64N(60))}
	switch n := r.IntN(100); {
	case p.voucher < 5_000: // also the first time
		return op{ID: id, Resident: resident, Kind: ledger.Charge, Voucher: 50_000}
	case n < 5:
		return op{ID: id, Resident: resident, Kind: ledger.Grant, Points: 500}
	case n < 17:
		o.Kind, o.Until = ledger.Hold, time.Now().Add(far)
		if n < 8 && !p.patient {
			o.Until = time.Now().Add(near)
			o.Want = []string{"", string(ledger.ErrHoldExpired)} // it may wait for longer than that
		}
	case n < 30 && len(p.holds) > 0:
		hold := p.holds[r.IntN(len(p.holds))]
		o = op{ID: id, Resident: resident, Kind: ledger.Capture, Parent: hold.ID}
		switch r.IntN(3) {
		case 0:
			o.Kind = ledger.Void
		case 1:
			o.Voucher = (hold.Voucher + 1) / 2
		}
		if !hold.lasts() {
			o.Want = []string{"", string(ledger.ErrHoldExpired)}
		}
	case n < 38 && len(p.payments) > 0:
		return op{ID: id, Resident: resident, Kind: ledger.Cancel, Parent: p.payments[r.IntN(len(p.payments))].ID}
	case n < 42:
		o.Voucher, o.Want = 1_000_000, []string{string(ledger.ErrInsufficientBalance)}
	case n < 60 && p.points >= 20:
		o.Points = 1 + ledger.Yen(r.Int64N(20))
	}
	return o
}

// lasts reports whether a hold outlives the test.
func (o *op) lasts() bool { return len(o.Want) == 0 }

// apply takes in an answer. It returns what the transaction must have moved.
func (p *purse) apply(o op, code string) (moved ledger.Yen, err error) {
	if want := o.Want; len(want) > 0 && !slices.Contains(want, code) || len(want) == 0 && code != "" {
		return 0, fmt.Errorf("%s %s was answered %q, want one of %q", o.Kind, o.ID, code, o.Want)
	}
	parent := func(list *[]op) (op, error) {
		i := slices.IndexFunc(*list, func(q op) bool { return q.ID == o.Parent })
		if i < 0 {
			return op{}, fmt.Errorf("%s %s: its parent %s was not answered", o.Kind, o.ID, o.Parent)
		}
		found := (*list)[i]
		*list = slices.Delete(*list, i, i+1)
		return found, nil
	}
	if code != "" {
		if o.Parent != "" { // a hold whose time is up
			_, err = parent(&p.holds)
		}
		return 0, err
	}
	switch o.Kind {
	case ledger.Charge:
		moved = o.Voucher + o.Voucher/5
		p.voucher += moved
	case ledger.Grant:
		moved = o.Points
		p.points += moved
	case ledger.Pay:
		moved = o.Voucher + o.Points
		p.voucher -= o.Voucher
		p.points -= o.Points
		p.payments = append(p.payments, o)
	case ledger.Hold:
		p.holds = append(p.holds, o)
	case ledger.Capture, ledger.Void:
		hold, err := parent(&p.holds)
		if err != nil {
			return 0, err
		}
		if o.Kind == ledger.Capture {
			moved = hold.Voucher
			if o.Voucher > 0 {
				moved = o.Voucher
			}
			p.voucher -= moved
		}
	case ledger.Cancel:
		payment, err := parent(&p.payments)
		if err != nil {
			return 0, err
		}
		moved = payment.Voucher + payment.Points
		p.voucher += payment.Voucher
		p.points += payment.Points
	}
	return moved, nil
}

// held is what must be held for the client at an instant.
func (p *purse) held(now time.Time) (sum ledger.Yen) {
	for i := range p.holds {
		if now.Before(p.holds[i].Until) {
			sum += p.holds[i].Voucher
		}
	}
	return sum
}

// fingerprint is a short digest of everything in a posted transaction that
// never changes.
func fingerprint(p *ledger.Posted) string {
	q := *p
	q.ResolvedBy, q.ResolvedAs = "", ""
	text, err := json.Marshal(q)
	if err != nil {
		panic(err) // it has no field that could not be written
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
