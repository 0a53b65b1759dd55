package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meguri/ledger"
)

var noon = time.Date(2024, 6, 3, 12, 0, 0, 0, ledger.Tokyo)

func balance(id ledger.AccountID, kind ledger.AccountKind, credits ledger.Yen) ledger.Balance {
	return ledger.Balance{Account: ledger.Account{ID: id, Programme: "v", Kind: kind, Owner: "r"}, Credits: credits}
}

// start is a state with a lot of 1000 yen and a till.
func start() *ledger.State {
	s := ledger.NewState(10, noon)
	s.AddAccount(balance("lot", ledger.ResidentLot, 1000))
	s.AddAccount(balance("till", ledger.ShopUnsettled, 0))
	return s
}

func paying(id string, amount ledger.Yen) ledger.Transaction {
	return ledger.Transaction{ID: id, Kind: ledger.Pay, Resident: "r", Transfers: []ledger.Transfer{{Debit: "lot", Credit: "till", Amount: amount}}}
}

// An account that is closed takes and gives nothing, but for what was held
// before: 停止 of a lot, of which only takings know another word.
func TestFold_ClosedAccounts(t *testing.T) {
	held := ledger.Posted{ID: "hold", Kind: ledger.Hold, Resident: "r", Shop: "s", Until: noon.Add(time.Hour), Entries: []ledger.Entry{
		{Seq: 9, Transfer: ledger.Transfer{Debit: "a-shut", Credit: "till"}, Held: 100, Programme: "v"},
	}}
	for name, c := range map[string]struct {
		tx   ledger.Transaction
		want error
	}{
		"out of it":              {ledger.Transaction{ID: "a", Kind: ledger.Pay, Transfers: []ledger.Transfer{{Debit: "a-shut", Credit: "till", Amount: 1}}}, ledger.ErrAccountClosed},
		"into it":                {ledger.Transaction{ID: "a", Kind: ledger.Move, Transfers: []ledger.Transfer{{Debit: "lot", Credit: "a-shut", Amount: 1}}}, ledger.ErrAccountClosed},
		"by a correction":        {ledger.Transaction{ID: "a", Kind: ledger.Adjust, Reason: "x", Transfers: []ledger.Transfer{{Debit: "a-shut", Credit: "till", Amount: 1}}}, ledger.ErrAccountClosed},
		"of takings":             {ledger.Transaction{ID: "a", Kind: ledger.Pay, Transfers: []ledger.Transfer{{Debit: "lot", Credit: "a-shut-till", Amount: 1}}}, ledger.ErrPeriodClosed},
		"a spend passes it over": {ledger.Transaction{ID: "a", Kind: ledger.Pay, Resident: "r", Spends: []ledger.Spend{{Programme: "v", Amount: 1000, Into: []ledger.AccountID{"a-shut-till", "till"}}}}, nil},
		"what was held":          {ledger.Transaction{ID: "a", Kind: ledger.Capture, Parent: "hold"}, nil},
		"what was held, back":    {ledger.Transaction{ID: "a", Kind: ledger.Void, Parent: "hold"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := start()
			shut := balance("a-shut", ledger.ResidentLot, 1000)
			shut.HeldDebits, shut.Closed = 100, true
			s.AddAccount(shut)
			shutTill := balance("a-shut-till", ledger.ShopUnsettled, 0)
			shutTill.Closed = true
			s.AddAccount(shutTill)
			h := held
			s.AddKnown("hold", ledger.Known{Posted: &h})
			o := ledger.Fold(s, []ledger.Transaction{c.tx}, noon.Add(time.Minute)).Outcomes[0]
			if !errors.Is(o.Err, c.want) {
				t.Errorf("got %v, want %v", o.Err, c.want)
			}
			for _, e := range o.Posted.Entries {
				if len(o.Posted.Parent) == 0 && e.Debit == "a-shut" {
					t.Errorf("it takes from the closed lot: %+v", e)
				}
			}
		})
	}
}

func TestFold_MarksEvery64thEntryOfAnAccount(t *testing.T) {
	s := start()
	var batch []ledger.Transaction
	for i := range 200 {
		half := paying(fmt.Sprint("half of it", i), 1)
		half.Transfers = append(half.Transfers, ledger.Transfer{Debit: "lot", Credit: "till", Amount: 1001})
		batch = append(batch, paying(fmt.Sprint(i), 1), half)
	}
	var got []ledger.Mark
	for half := range slices.Chunk(batch, 150) { // a mark does not depend on batches
		got = append(got, ledger.Fold(s, half, noon).Marks...)
	}
	var want []ledger.Mark
	for _, n := range []ledger.Seq{64, 128, 192} {
		want = append(want, ledger.Mark{Account: "lot", Seq: 10 + n}, ledger.Mark{Account: "till", Seq: 10 + n})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFold_ListsWhatIsToBeWrittenOnceAndByID(t *testing.T) {
	s := start()
	second := paying("b", 5)
	second.Opens = []ledger.Account{{ID: "a-till", Programme: "v", Kind: ledger.ShopUnsettled, Owner: "s"}}
	second.Transfers[0].Credit = "a-till"
	refused := paying("c", 5000)
	refused.Opens = []ledger.Account{{ID: "b-till", Programme: "v", Kind: ledger.ShopUnsettled, Owner: "s"}}
	refused.Transfers[0].Credit = "b-till"
	refused.Actor = "x"
	before := fmt.Sprintf("%+v", []ledger.Transaction{second, refused})
	d := ledger.Fold(s, []ledger.Transaction{paying("a", 5), second, refused, paying("a", 5), paying("d", 1)}, noon)
	var changed, opened, posted []string
	for _, b := range d.Accounts {
		changed = append(changed, string(b.ID))
	}
	for _, b := range d.Opened {
		opened = append(opened, string(b.ID))
	}
	for _, p := range d.Posted {
		posted = append(posted, p.ID)
	}
	if diff := cmp.Diff([][]string{{"lot", "till"}, {"a-till"}, {"a", "b", "d"}}, [][]string{changed, opened, posted}); diff != "" {
		t.Error(diff)
	}
	if d.Accounts[0].Debits != 11 || d.Accounts[0].Version != 3 || d.Accounts[0].LastSeq != 13 || d.Opened[0].Credits != 5 {
		t.Errorf("got %+v and %+v", d.Accounts[0], d.Opened[0])
	}
	want := ledger.Refused{ID: "c", Kind: ledger.Pay, Actor: "x", Request: refused.Digest(), Refusal: ledger.ErrInsufficientBalance, At: noon.UTC()}
	if len(d.Refused) != 1 || d.Refused[0] != want {
		t.Errorf("got the refusals %+v, want %+v", d.Refused, want)
	}
	if after := fmt.Sprintf("%+v", []ledger.Transaction{second, refused}); after != before {
		t.Errorf("the batch was changed to %s", after)
	}
	if s.LastSeq != 13 || !s.LastAt.Equal(noon.Add(3*time.Microsecond)) {
		t.Errorf("the state ends at %d, %v", s.LastSeq, s.LastAt)
	}
	// What the first batch opened and touched, the next one only changes.
	next := ledger.Fold(s, []ledger.Transaction{paying("e", 1)}, noon)
	if len(next.Opened) != 0 || len(next.Accounts) != 2 || len(next.Refused) != 0 {
		t.Errorf("got %+v", next)
	}
}

// A store may say too early that a hold is due, and it may be late.
func TestFold_JudgesHoldsByTheirInstant(t *testing.T) {
	with := func(until time.Time, due bool) *ledger.State {
		s := ledger.NewState(10, noon)
		lot, till := balance("lot", ledger.ResidentLot, 1000), balance("till", ledger.ShopUnsettled, 0)
		lot.HeldDebits, till.HeldCredits = 600, 600
		s.AddAccount(lot)
		s.AddAccount(till)
		if s.AddDue("hold") {
			t.Error("a hold that was not added is due")
		}
		s.AddKnown("hold", ledger.Known{Posted: &ledger.Posted{ID: "hold", Kind: ledger.Hold, Resident: "r", Until: until, Entries: []ledger.Entry{
			{Seq: 9, Transfer: ledger.Transfer{Debit: "lot", Credit: "till"}, Held: 600, Programme: "v"},
		}}})
		if due && !s.AddDue("hold") {
			t.Error("a hold that was added is not due")
		}
		return s
	}
	now := noon.Add(time.Minute)
	if o := ledger.Fold(with(now.Add(time.Microsecond), true), []ledger.Transaction{paying("a", 500)}, now); !errors.Is(o.Outcomes[0].Err, ledger.ErrInsufficientBalance) || len(o.Posted) > 0 {
		t.Errorf("a microsecond before: got %+v", o)
	}
	if o := ledger.Fold(with(now, true), []ledger.Transaction{paying("a", 500)}, now); o.Outcomes[0].Err != nil || len(o.Posted) != 2 || o.Posted[0].Kind != ledger.Release {
		t.Errorf("at its instant: got %+v", o)
	}
	capture := ledger.Transaction{ID: "c", Kind: ledger.Capture, Parent: "hold"}
	if o := ledger.Fold(with(now, false), []ledger.Transaction{capture}, now).Outcomes[0]; !errors.Is(o.Err, ledger.ErrHoldExpired) {
		t.Errorf("a store that is late: got %v, want ErrHoldExpired", o.Err)
	}
	// Within a batch ledger time goes on, a microsecond a transaction.
	two := ledger.Fold(with(now.Add(time.Microsecond), true), []ledger.Transaction{paying("a", 400), paying("b", 600)}, now)
	if two.Outcomes[1].Err != nil || len(two.Posted) != 3 {
		t.Errorf("in a batch: got %+v", two)
	}
}

func TestFold_BusinessDays(t *testing.T) {
	for _, at := range []string{
		"2024-06-03T14:59:59.999999Z", "2024-06-03T15:00:00Z", "1970-01-01T00:00:00Z",
		"1969-12-31T15:00:00Z", "1969-12-31T14:59:59.9Z", "1900-02-28T15:00:00Z", "2100-02-28T14:59:59Z",
	} {
		s := start()
		var batch []ledger.Transaction
		for i, step := range []time.Duration{0, -time.Microsecond, 24 * time.Hour, -24 * time.Hour, time.Microsecond} {
			tx := paying(fmt.Sprint(i), 1)
			instant, err := time.Parse(time.RFC3339Nano, at)
			if err != nil {
				t.Fatal(err)
			}
			tx.At = instant.Add(step)
			batch = append(batch, tx)
		}
		for i, o := range ledger.Fold(s, batch, noon).Outcomes {
			if want := batch[i].At.UTC().Add(9 * time.Hour).Format(time.DateOnly); o.Err != nil || o.Posted.BusinessOn != want || ledger.Day(batch[i].At) != want {
				t.Errorf("%v: got %s, %v, want %s", batch[i].At, o.Posted.BusinessOn, o.Err, want)
			}
		}
	}
}

func TestDerivedID_DependsOnEachWord(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{
		ledger.DerivedID("a"), ledger.DerivedID("a", ""), ledger.DerivedID("a", "b"), ledger.DerivedID("ab"), ledger.DerivedID("a", "b", "c"), ledger.DerivedID("a", "bc"),
	} {
		if seen[id] {
			t.Errorf("%s comes twice", id)
		}
		seen[id] = true
	}
	if again := ledger.DerivedID("a", "b"); !seen[again] {
		t.Error("the same words give two IDs")
	}
}
