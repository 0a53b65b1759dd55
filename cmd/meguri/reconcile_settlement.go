package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"meguri/ingest"
	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/sqlstore"
)

// ours gathers what our own ledger pays to shops, by the periods that it closed,
// and why that is not what the payment-data API has told of. The ledger takes no
// fee: what a shop takes is what it is paid.
type ours struct {
	source     string
	programmes map[ledger.ProgrammeID]programme.Settlement
	paid       map[till]ledger.Yen
	closed     map[till]bool // without a shop
	whys       map[till]map[ingest.Reason]ledger.Yen
}

// till is what a shop takes in one settlement period of a programme.
type till struct {
	programme ledger.ProgrammeID
	shop      string
	period    string // its last day
}

func closedPeriods(ctx context.Context, store *sqlstore.Store, f *ingest.Figures) (*ours, error) {
	o := &ours{source: f.Own, programmes: map[ledger.ProgrammeID]programme.Settlement{}, paid: map[till]ledger.Yen{},
		closed: map[till]bool{}, whys: map[till]map[ingest.Reason]ledger.Yen{}}
	all, err := store.Programmes(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		o.programmes[p.ID] = cmp.Or(p.Settlement, programme.Weekly)
	}
	empty, err := store.EmptyCloses(ctx)
	for i := range empty {
		o.close(&empty[i])
	}
	return o, err
}

// close takes in what a close made payable.
func (o *ours) close(tx *ledger.Posted) {
	if tx.Kind != ledger.Close || tx.Closed == nil {
		return
	}
	o.closed[till{tx.Closed.Programme, "", tx.Closed.Period}] = true
	for _, e := range tx.Entries {
		if t, ok := tillOf(e.Debit, e.Programme); ok {
			o.paid[t] += e.Amount
		}
	}
}

// take counts what a transaction brought into tills, or took out of them, for a
// reason. What the API told of is counted on its own day: only where it came into
// another period than its day's is there anything to explain.
func (o *ours) take(tx *ledger.Posted, why ingest.Reason) {
	if tx.Kind == ledger.Close {
		return
	}
	count := func(account ledger.AccountID, of ledger.ProgrammeID, yen ledger.Yen) {
		t, ok := tillOf(account, of)
		if !ok {
			return
		}
		if why == ingest.OtherPeriod {
			own := t
			if own.period = o.programmes[of].Period(tx.BusinessOn); own == t {
				return
			}
			o.add(own, why, -yen)
		}
		o.add(t, why, yen)
	}
	for _, e := range tx.Entries {
		count(e.Credit, e.Programme, e.Amount)
		count(e.Debit, e.Programme, -e.Amount)
	}
}

func (o *ours) add(t till, why ingest.Reason, yen ledger.Yen) {
	if o.whys[t] == nil {
		o.whys[t] = map[ingest.Reason]ledger.Yen{}
	}
	o.whys[t][why] += yen
}

// settle hands over what was gathered.
func (o *ours) settle(f *ingest.Figures) {
	f.Whys = ingest.Whys{}
	for t := range o.closed {
		f.Statements = append(f.Statements, o.settlement(t, 0))
	}
	for t, yen := range o.paid {
		f.Statements = append(f.Statements, o.settlement(t, yen))
	}
	for t, reasons := range o.whys {
		for why, yen := range reasons {
			f.Whys.Add(o.settlement(t, 0), why, int64(yen))
		}
	}
}

func (o *ours) settlement(t till, yen ledger.Yen) ingest.Settlement {
	return ingest.Settlement{Source: o.source, ShopID: t.shop, ServiceID: string(t.programme),
		From: firstDay(o.programmes[t.programme], t.period), To: t.period, AmountYen: int64(yen), NetYen: int64(yen)}
}

// firstDay is the first day of a period.
func firstDay(s programme.Settlement, period string) string {
	day, err := time.Parse(time.DateOnly, period)
	if err != nil { // periods come from the ledger
		return period
	}
	for {
		before := day.AddDate(0, 0, -1)
		if s.Period(before.Format(time.DateOnly)) != period {
			return day.Format(time.DateOnly)
		}
		day = before
	}
}

// tillOf reads the name that ledger.TakingsID gives to a till.
func tillOf(id ledger.AccountID, of ledger.ProgrammeID) (t till, ok bool) {
	rest, ok := strings.CutPrefix(string(id), "shop:"+string(of)+":")
	at := strings.LastIndexByte(rest, ':')
	if !ok || at < 0 {
		return t, false
	}
	t = till{of, rest[:at], rest[at+1:]}
	return t, ledger.TakingsID(t.programme, t.shop, t.period) == id
}

// settled are the lines of settlements that differ, and how many do not.
func (r reconciliation) settled(lang string) (lines []string) {
	if len(r.Settled) == 0 {
		return nil
	}
	say := func(key string, args ...any) string { return reconcileWord(lang, key, args...) }
	for _, s := range r.Settled {
		if len(s.Whys) == 0 && !s.Differs() {
			continue
		}
		name := strings.TrimSpace(fmt.Sprintf("%s %s %s", s.Source, s.ShopID, s.ServiceID))
		lines = append(lines, say("settled", name, s.From, s.To, s.AmountYen, s.FeeYen, s.NetYen,
			s.TakenYen, s.AmountYen-s.TakenYen))
		for _, w := range s.Whys {
			lines = append(lines, say("why", say(string(w.Reason)), w.Yen))
		}
		if s.OpenYen != 0 {
			lines = append(lines, say("why", say(string(ingest.Unexplained)), s.OpenYen))
		}
		if s.Twice {
			lines = append(lines, say("twice"))
		}
	}
	differ := 0
	for _, s := range r.Settled {
		if s.Differs() {
			differ++
		}
	}
	return append(lines, say("settlements", len(r.Settled), differ))
}
