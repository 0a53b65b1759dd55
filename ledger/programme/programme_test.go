package programme_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"meguri/internal/sqldb/sqldbtest"
	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/sqlstore"
)

var voucher = programme.Programme{
	ID: "voucher", Name: "商品券", Class: programme.Voucher, UnitPrice: 1000, UnitValue: 1200, MaxUnits: 30,
	OpensOn: "2024-06-03", ClosesOn: "2024-08-31",
}

var points = programme.Programme{ID: "points", Name: "ポイント", Class: programme.Points}

// counter is a desk over a real store, on a clock that the test sets.
type counter struct {
	*testing.T
	*programme.Desk
	store *sqlstore.Store
	now   time.Time
}

func open(t *testing.T) *counter {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &counter{T: t, now: time.Date(2024, 6, 3, 12, 0, 0, 0, ledger.Tokyo)}
	store, err := sqlstore.Open(ctx, sqldbtest.SQLite(t), func() time.Time { return c.now })
	if err != nil {
		t.Fatal(err)
	}
	writer := ledger.NewWriter(ctx, store)
	t.Cleanup(func() {
		stop()
		writer.Wait()
	})
	c.store = store
	c.Desk = &programme.Desk{Programmes: store, Ledger: store, Poster: writer, Now: func() time.Time { return c.now }}
	for _, p := range []programme.Programme{voucher, points} {
		if err := c.Open(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *counter) values(want map[ledger.AccountID]ledger.Yen) {
	c.Helper()
	for id, yen := range want {
		b, err := c.store.Balance(context.Background(), id)
		if err != nil {
			c.Fatal(err)
		}
		if b.Value() != yen {
			c.Errorf("%s: got %d yen, want %d", id, b.Value(), yen)
		}
	}
}

func origin() programme.Origin { return programme.Origin{ID: uuid.NewString(), Actor: "test"} }

// MT-1: 1,000 yen buys 1,200.
func TestCharge_SellsUnitsWithTheirPremium(t *testing.T) {
	c, ctx := open(t), context.Background()
	if _, err := c.Charge(ctx, origin(), "r", "voucher", 3); err != nil {
		t.Fatal(err)
	}
	c.values(map[ledger.AccountID]ledger.Yen{
		programme.LotID("voucher", "r"): 3600, "funds:voucher:paid": -3000, "funds:voucher:premium": -600,
	})
	for name, test := range map[string]struct {
		id    ledger.ProgrammeID
		units int
		want  error
	}{
		"no units":       {"voucher", 0, programme.ErrUnits},
		"too many units": {"voucher", 31, programme.ErrUnits},
		"not sold":       {"points", 1, programme.ErrNotOnSale},
		"no programme":   {"nothing", 1, programme.ErrNotFound},
	} {
		if _, err := c.Charge(ctx, origin(), "r", test.id, test.units); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// MT-3: a combined payment of voucher and points is one, and is cancelled as one.
func TestPay_CombinesAndCancelsAsAWhole(t *testing.T) {
	c, ctx := open(t), context.Background()
	if _, err := c.Charge(ctx, origin(), "r", "voucher", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Grant(ctx, origin(), "r", "points", 300); err != nil {
		t.Fatal(err)
	}
	both := []programme.Part{{Programme: "voucher", Amount: 1000}, {Programme: "points", Amount: 300}}
	paid, err := c.Pay(ctx, origin(), "r", "s", "t1", both...)
	if err != nil {
		t.Fatal(err)
	}
	c.values(map[ledger.AccountID]ledger.Yen{
		programme.LotID("voucher", "r"): 200, programme.LotID("points", "r"): 0,
		programme.TakingsID("voucher", "s"): 1000, programme.TakingsID("points", "s"): 300,
	})
	if _, err := c.Pay(ctx, origin(), "r", "s", "t1", both...); !errors.Is(err, ledger.ErrInsufficientBalance) {
		t.Errorf("second payment: got %v, want ErrInsufficientBalance", err)
	}
	back, err := c.Cancel(ctx, origin(), paid.Posted.ID, "returned")
	if err != nil {
		t.Fatal(err)
	}
	if back.Posted.Resident != "r" || back.Posted.Shop != "s" {
		t.Errorf("the cancel is of resident %q at shop %q, want the payment's", back.Posted.Resident, back.Posted.Shop)
	}
	c.values(map[ledger.AccountID]ledger.Yen{
		programme.LotID("voucher", "r"): 1200, programme.LotID("points", "r"): 300, programme.TakingsID("voucher", "s"): 0,
	})
	if _, err := c.Cancel(ctx, origin(), uuid.NewString(), ""); !errors.Is(err, ledger.ErrNotCancellable) {
		t.Errorf("cancel of nothing: got %v, want ErrNotCancellable", err)
	}
}

func TestPay_HoldsThePeriodOfUse(t *testing.T) {
	c, ctx := open(t), context.Background()
	if _, err := c.Charge(ctx, origin(), "r", "voucher", 2); err != nil {
		t.Fatal(err)
	}
	part := programme.Part{Programme: "voucher", Amount: 500}
	c.now = time.Date(2024, 8, 31, 23, 59, 59, 0, ledger.Tokyo)
	last := origin()
	first, err := c.Pay(ctx, last, "r", "s", "t", part)
	if err != nil {
		t.Fatalf("in the last second: %v", err)
	}
	c.now = c.now.Add(time.Second)
	if _, err := c.Pay(ctx, origin(), "r", "s", "t", part); !errors.Is(err, programme.ErrOutside) {
		t.Errorf("a second later: got %v, want ErrOutside", err)
	}
	again, err := c.Pay(ctx, last, "r", "s", "t", part)
	if err != nil || !again.Replay || again.Posted.LedgerAt != first.Posted.LedgerAt {
		t.Errorf("the payment of the last second, sent again: got %+v, %v, want its first answer", again, err)
	}
	before := origin()
	before.At = time.Date(2024, 6, 2, 23, 0, 0, 0, ledger.Tokyo)
	if _, err := c.Pay(ctx, before, "r", "s", "t", part); !errors.Is(err, programme.ErrOutside) {
		t.Errorf("the day before: got %v, want ErrOutside", err)
	}
}

func TestOpen_RefusesWhatIsNotAProgramme(t *testing.T) {
	c, ctx := open(t), context.Background()
	for name, change := range map[string]func(*programme.Programme){
		"no name":           func(p *programme.Programme) { p.Name = "" },
		"no class":          func(p *programme.Programme) { p.Class = "cash" },
		"a negative price":  func(p *programme.Programme) { p.UnitPrice = -1 },
		"less than it cost": func(p *programme.Programme) { p.UnitValue = 900 },
		"closed before":     func(p *programme.Programme) { p.ClosesOn = "2024-01-01" },
	} {
		p := voucher
		change(&p)
		if err := c.Open(ctx, p); !errors.Is(err, programme.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	other := voucher
	other.UnitValue = 1300
	if err := c.Open(ctx, other); !errors.Is(err, programme.ErrConflict) {
		t.Errorf("another programme of the same ID: got %v, want ErrConflict", err)
	}
}
