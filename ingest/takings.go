package ingest

import (
	"cmp"
	"slices"
)

// Taking is what a shop took of one service on one day in Japan.
type Taking struct{ Source, ShopID, ServiceID, Day string }

// Takings are yen: payments less what was taken back on the day.
type Takings map[Taking]int64

// takingSign says whether a kind of record adds to what a shop takes.
func takingSign(k Kind) int64 {
	switch k {
	case Pay, Adjustment:
		return 1
	case Cancel, Refund:
		return -1
	}
	return 0
}

// The reasons for which our own ledger pays another amount than the segments have.
const (
	OtherPeriod Reason = "other_period" // its own period was closed, so it came into another
	ByOffice    Reason = "by_office"    // adjusted by the office, without a payment
)

// Whys are yen that are settled and not in the segments, with their reasons.
type Whys map[[5]string]map[Reason]int64

// Add counts yen for a reason.
func (w Whys) Add(s Settlement, r Reason, yen int64) {
	if w[s.Key()] == nil {
		w[s.Key()] = map[Reason]int64{}
	}
	w[s.Key()][r] += yen
}

// Why is what a reason accounts for.
type Why struct {
	Reason Reason `json:"reason"`
	Yen    int64  `json:"yen"`
}

// Settled is a settlement beside the payments that were taken in.
type Settled struct {
	Settlement
	TakenYen int64 `json:"taken_yen"` // in the segments
	Whys     []Why `json:"whys,omitempty"`
	OpenYen  int64 `json:"open_yen"`        // settled and not explained; negative when too little is paid
	Twice    bool  `json:"twice,omitempty"` // another settlement of the shop has some of its days as well
}

// Differs tells whether a settlement is not what was taken in.
func (s Settled) Differs() bool { return s.OpenYen != 0 || s.Twice }

// CompareSettlements puts settlements beside takings, to the yen. A shop that
// took something on days that its source has settled for others, and is settled
// for none of them, is listed with 0 yen. A settlement without a shop says only
// that its period was settled.
func CompareSettlements(list []Settlement, takings Takings, whys Whys) []Settled {
	type shop struct{ source, id string }
	type taken struct {
		Taking
		yen     int64
		covered bool
	}
	byShop := map[shop][]*taken{}
	for t, yen := range takings {
		of := shop{t.Source, t.ShopID}
		byShop[of] = append(byShop[of], &taken{Taking: t, yen: yen})
	}
	settlements, periods := map[shop][]Settlement{}, map[string][]Settlement{}
	seen := map[[5]string]bool{}
	for _, s := range list {
		if s.ShopID != "" {
			settlements[shop{s.Source, s.ShopID}] = append(settlements[shop{s.Source, s.ShopID}], s)
		}
		period := Settlement{Source: s.Source, ServiceID: s.ServiceID, From: s.From, To: s.To}
		if !seen[period.Key()] {
			seen[period.Key()] = true
			periods[s.Source] = append(periods[s.Source], period)
		}
	}
	var all []Settled
	for of, mine := range settlements {
		for i, s := range mine {
			one := Settled{Settlement: s}
			one.Twice = slices.ContainsFunc(mine[:i], s.overlaps) || slices.ContainsFunc(mine[i+1:], s.overlaps)
			for _, t := range byShop[of] {
				if s.has(t.Taking) {
					t.covered = true
					one.TakenYen += t.yen
				}
			}
			all = append(all, one)
		}
	}
	left := map[[5]string]*Settled{}
	for of, ts := range byShop {
		for _, t := range ts {
			at := slices.IndexFunc(periods[of.source], func(p Settlement) bool { return p.has(t.Taking) })
			if t.covered || at < 0 {
				continue
			}
			s := periods[of.source][at]
			s.ShopID = of.id
			if left[s.Key()] == nil {
				left[s.Key()] = &Settled{Settlement: s}
			}
			left[s.Key()].TakenYen += t.yen
		}
	}
	for _, s := range left {
		all = append(all, *s)
	}
	for i := range all {
		all[i].explain(whys[all[i].Key()])
	}
	slices.SortFunc(all, func(a, b Settled) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.To, b.To), cmp.Compare(a.ShopID, b.ShopID),
			cmp.Compare(a.ServiceID, b.ServiceID), cmp.Compare(a.From, b.From))
	})
	return all
}

// has tells whether a taking belongs to a settlement of its shop.
func (s Settlement) has(t Taking) bool {
	return s.From <= t.Day && t.Day <= s.To && (s.ServiceID == "" || s.ServiceID == t.ServiceID)
}

func (s Settlement) overlaps(o Settlement) bool {
	return s.From <= o.To && o.From <= s.To && (s.ServiceID == "" || o.ServiceID == "" || s.ServiceID == o.ServiceID)
}

func (s *Settled) explain(whys map[Reason]int64) {
	s.OpenYen = s.AmountYen - s.TakenYen
	for reason, yen := range whys {
		if yen != 0 {
			s.Whys = append(s.Whys, Why{reason, yen})
			s.OpenYen -= yen
		}
	}
	slices.SortFunc(s.Whys, func(a, b Why) int { return cmp.Compare(a.Reason, b.Reason) })
}
