package programme_test

import (
	"context"
	"errors"
	"log/slog"
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

// The lots of resident r.
var (
	paidLot    = ledger.LotID("voucher", "r", ledger.Paid, "2024-08-31")
	premiumLot = ledger.LotID("voucher", "r", ledger.Premium, "2024-08-31")
	pointsLot  = ledger.LotID("points", "r", ledger.Premium, "")
)

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
	writer := ledger.NewWriter(ctx, store, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		stop()
		if err := writer.Wait(); err != nil {
			t.Error(err)
		}
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
		paidLot: 3000, premiumLot: 600, "funds:voucher:paid": -3000, "funds:voucher:premium": -600,
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
		premiumLot: 0, paidLot: 200, pointsLot: 0, // the premium goes first
		ledger.TakingsID("voucher", "s", "2024-06-07"): 1000, ledger.TakingsID("points", "s", "2024-06-07"): 300,
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
		premiumLot: 200, paidLot: 1000, pointsLot: 300, ledger.TakingsID("voucher", "s", "2024-06-07"): 0,
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
	for name, change := range map[string]func(*programme.Programme){
		"no such order":      func(p *programme.Programme) { p.SpendFirst = "newest" },
		"no such settlement": func(p *programme.Programme) { p.Settlement = "daily" },
		"too large an issue": func(p *programme.Programme) { p.IssueUnits = 1 << 60 },
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

// MC-2, RP-3: the whole issue is a limit of the funds, what is reserved counted
// in. RR-3: a slip that nobody pays expires.
func TestReserve_CountsAgainstTheIssue(t *testing.T) {
	c, ctx := open(t), context.Background()
	few := programme.Programme{ID: "few", Name: "限定", Class: programme.Voucher, UnitPrice: 1000, UnitValue: 1500, IssueUnits: 3}
	if err := c.Open(ctx, few); err != nil {
		t.Fatal(err)
	}
	reserved, err := c.Reserve(ctx, origin(), "r1", "few", 2, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Charge(ctx, origin(), "r2", "few", 2); !errors.Is(err, ledger.ErrLimitExceeded) {
		t.Errorf("two of one left: got %v, want ErrLimitExceeded", err)
	}
	if _, err := c.Charge(ctx, origin(), "r2", "few", 1); err != nil {
		t.Errorf("the last one: %v", err)
	}
	c.now = c.now.Add(time.Hour) // nobody paid the slip
	if _, err := c.Capture(ctx, origin(), reserved.Posted.ID, 0); !errors.Is(err, ledger.ErrHoldExpired) {
		t.Errorf("capture too late: got %v, want ErrHoldExpired", err)
	}
	if _, err := c.Charge(ctx, origin(), "r3", "few", 2); err != nil {
		t.Errorf("what nobody paid is for sale again: %v", err)
	}
}

// MT-5, MT-6: a week is closed on Friday, and a payment of it cannot be
// cancelled after that. What comes later goes to the next week.
func TestClose_FixesTheWeek(t *testing.T) {
	c, ctx := open(t), context.Background()
	if _, err := c.Charge(ctx, origin(), "r", "voucher", 3); err != nil {
		t.Fatal(err)
	}
	part := programme.Part{Programme: "voucher", Amount: 500}
	paid, err := c.Pay(ctx, origin(), "r", "s", "t", part)
	if err != nil {
		t.Fatal(err)
	}
	c.now = time.Date(2024, 6, 7, 18, 0, 0, 0, ledger.Tokyo) // Friday
	if _, err := c.Close(ctx, origin(), "voucher", "2024-06-06"); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a Thursday: got %v, want ErrInvalid", err)
	}
	closing, err := c.Close(ctx, origin(), "voucher", "2024-06-07")
	if err != nil {
		t.Fatal(err)
	}
	if cut := closing.Posted.Closed.Cut; cut != paid.Posted.Last() {
		t.Errorf("the cut is %d, want the payment's %d", cut, paid.Posted.Last())
	}
	if _, err := c.Cancel(ctx, origin(), paid.Posted.ID, "returned"); !errors.Is(err, ledger.ErrPeriodClosed) {
		t.Errorf("cancel after the close: got %v, want ErrPeriodClosed", err)
	}
	if _, err := c.Pay(ctx, origin(), "r", "s", "t", part); err != nil {
		t.Errorf("a payment later on that Friday: %v", err)
	}
	c.values(map[ledger.AccountID]ledger.Yen{
		ledger.TakingsID("voucher", "s", "2024-06-07"): 0, ledger.PayableID("voucher", "s"): 500,
		ledger.TakingsID("voucher", "s", "2024-06-14"): 500,
	})
}

// What has expired is booked once, and once more after a cancel gives some back.
func TestExpire_IsDoneOnce(t *testing.T) {
	c, ctx := open(t), context.Background()
	if _, err := c.Charge(ctx, origin(), "r", "voucher", 1); err != nil {
		t.Fatal(err)
	}
	c.now = time.Date(2024, 8, 31, 23, 0, 0, 0, ledger.Tokyo)
	paid, err := c.Pay(ctx, origin(), "r", "s", "t", programme.Part{Programme: "voucher", Amount: 300})
	if err != nil {
		t.Fatal(err)
	}
	expire := func(lots int64, yen ledger.Yen) {
		t.Helper()
		n, sum, err := c.Expire(ctx, c.store, "test", "voucher", func(int64) {})
		if err != nil || n != lots || sum != yen {
			t.Errorf("got %d lots, %d yen, %v, want %d and %d", n, sum, err, lots, yen)
		}
	}
	expire(0, 0)
	c.now = c.now.Add(time.Hour)
	expire(1, 900)
	expire(0, 0)
	if _, err := c.Cancel(ctx, origin(), paid.Posted.ID, "returned"); err != nil {
		t.Fatal(err)
	}
	expire(2, 300) // 200 of premium and 100 paid
	c.values(map[ledger.AccountID]ledger.Yen{"expired:voucher": 1200})
}

func TestSettlement_NamesPeriodsByTheirLastDay(t *testing.T) {
	for _, c := range []struct {
		s                programme.Settlement
		day, want, after string
	}{
		{programme.Weekly, "2024-06-03", "2024-06-07", "2024-06-14"},
		{programme.Weekly, "2024-06-07", "2024-06-07", "2024-06-14"},
		{"", "2024-06-08", "2024-06-14", "2024-06-21"},
		{programme.HalfMonth, "2024-02-15", "2024-02-15", "2024-02-29"},
		{programme.HalfMonth, "2024-02-16", "2024-02-29", "2024-03-15"},
		{programme.Monthly, "2024-12-01", "2024-12-31", "2025-01-31"},
	} {
		if got := c.s.Period(c.day); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.s, c.day, got, c.want)
		}
		if got := c.s.After(c.want); got != c.after {
			t.Errorf("%s after %s: got %s, want %s", c.s, c.want, got, c.after)
		}
	}
}
