// Package recipient knows who outside may get which statistics, for what, and
// how many: the contracts of third parties (第三者提供先), their quotas, and the
// log of what they took. Start with [Contract] and [Desk].
//
// What is not named is not given: a program without a contract has none of what
// stands here, and a contract gives the tables that it lists and no other. The
// tables themselves come from the gate (package disclosure), under the rule set
// for recipients; nothing here can make one.
//
// Days, months and their ends are those of Asia/Tokyo.
package recipient

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
)

// Purpose is what a recipient does with what it gets (利用目的), in words that
// were agreed. Its ID is what a request names.
type Purpose struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Contract says what a third party may get. It is never changed: other terms
// are another contract. From and Until are its first and its last day.
type Contract struct {
	ID           string     `json:"-"`
	Reader       string     `json:"-"` // who reads, for the gate: contracts that follow each other share it
	Client       string     `json:"-"` // the program that calls the API under it
	Organisation string     `json:"organisation"`
	Purposes     []Purpose  `json:"purposes"`
	Metrics      []string   `json:"metrics"`
	Cuts         [][]string `json:"cuts"`                // of the lattice of the rule set for recipients
	Windows      []Kind     `json:"windows"`             // what a window may be
	DataFrom     string     `json:"data_from,omitempty"` // no window begins earlier; "" is no limit
	DataTo       string     `json:"data_to,omitempty"`   // no window ends later
	From         string     `json:"from"`
	Until        string     `json:"until"`
	Quota        Quota      `json:"quota"`
	// Noise is the budget for noisy counts; nil is none.
	Noise     *disclosure.NoiseTerms `json:"noise,omitempty"`
	CreatedAt time.Time              `json:"-"`
	EndedAt   time.Time              `json:"-"` // when it was ended before its last day; zero is never
}

// Quota is how much a contract gives: different tables in a day, and downloads
// in a month. The same table again is a download, and no other table.
type Quota struct {
	TablesADay      int64 `json:"tables_a_day"`
	DownloadsAMonth int64 `json:"downloads_a_month"`
}

// Use is how much of a quota is used up. Tables leaves one table out: the one
// that is asked for.
type Use struct {
	Tables    int64
	Downloads int64
}

// Entry is a line of the access log: who took what, when and for what, or was
// refused it. It is only added, never changed, and holds no value of a table.
type Entry struct {
	Number    int64 // given by the store
	At        time.Time
	Contract  string
	Client    string
	Purpose   string // the ID of the purpose
	Operation string // of the API, or bundle from the command line
	Metric    string
	Cut       string // dimensions joined by +
	From, To  string
	Format    string
	Release   string // the release's hash, see reports.Hash; of a bundle, its manifest's
	Bytes     int64
	Outcome   string // Given, or the problem's name
}

// BundleMetric stands in place of a metric where an entry is about a bundle.
const BundleMetric = "bundle"

// Given is the outcome of what was handed over.
const Given = "given"

// Table names what an entry is about: the same table in another format has the
// same name.
func (e Entry) Table() string { return strings.Join([]string{e.Metric, e.Cut, e.From, e.To}, "|") }

// Errors of this package. Each is a refusal: nothing was handed over.
var (
	ErrNotFound      = errors.New("there is no such contract")
	ErrConflict      = errors.New("the contract exists, or the client has another one in that time")
	ErrNotBegun      = errors.New("the contract has not begun")
	ErrEnded         = errors.New("the contract has ended")
	ErrNotInContract = errors.New("the contract does not offer this table")
	ErrPurpose       = errors.New("the request names no purpose of the contract")
	ErrUsedUp        = errors.New("the contract's quota is used up")
)

// UsedUp is ErrUsedUp with the time from which there is more.
type UsedUp struct {
	What  string // "tables" or "downloads"
	Again time.Time
}

func (u *UsedUp) Error() string { return ErrUsedUp.Error() + ": " + u.What }

// Is makes it ErrUsedUp for errors.Is.
func (u *UsedUp) Is(target error) bool { return target == ErrUsedUp }

// Store keeps contracts, and the access log, which is what quotas are counted
// by. Package sqlstore has the one there is.
type Store interface {
	// PutContract enters a new contract, or returns ErrConflict.
	PutContract(ctx context.Context, c Contract) error
	// Contract returns a contract, or ErrNotFound.
	Contract(ctx context.Context, id string) (Contract, error)
	// Contracts returns all contracts, of one client unless that is "".
	Contracts(ctx context.Context, client string) ([]Contract, error)
	// End ends a contract, or returns ErrNotFound. One that was ended before
	// stays as it is.
	End(ctx context.Context, id string, at time.Time) error
	// Take enters a hand-over if the quota has room for it, counted since
	// the beginnings of its day and month, and says what was used before.
	Take(ctx context.Context, e Entry, q Quota, day, month time.Time) (Use, bool, error)
	// Used counts what is used since the beginnings of a day and a month,
	// leaving out one table.
	Used(ctx context.Context, contract, table string, day, month time.Time) (Use, error)
	// Append adds an entry that counts for no quota.
	Append(ctx context.Context, e Entry) error
	// Log returns entries after a number, of one contract unless that is "".
	Log(ctx context.Context, contract string, after int64, limit int) ([]Entry, error)
	// PutShop lets a client see a shop's own tables.
	PutShop(ctx context.Context, client, shop string) error
	// HasShop says whether a client may see a shop's own tables.
	HasShop(ctx context.Context, client, shop string) (bool, error)
}

// Check says what is wrong with a contract before it is entered.
func (c Contract) Check() error {
	rules, err := disclosure.RulesFor(disclosure.Recipient)
	if err != nil {
		return err
	}
	switch {
	case !name.MatchString(c.ID) || !name.MatchString(c.Reader) || c.Client == "" || strings.TrimSpace(c.Organisation) == "":
		return errors.New("a contract needs an ID and a reader of letters, digits, dots, hyphens and underscores, a client and an organisation")
	case len(c.Purposes) == 0:
		return errors.New("a contract needs a purpose")
	case len(c.Metrics) == 0 || len(c.Cuts) == 0 || len(c.Windows) == 0:
		return errors.New("a contract that offers no metric, no cut or no window offers nothing")
	case c.Quota.TablesADay < 1 || c.Quota.DownloadsAMonth < 1:
		return errors.New("a quota is at least 1 table a day and 1 download a month")
	}
	for i, p := range c.Purposes {
		if !name.MatchString(p.ID) || strings.TrimSpace(p.Text) == "" || slices.ContainsFunc(c.Purposes[:i], func(o Purpose) bool { return o.ID == p.ID }) {
			return fmt.Errorf("purpose %q: each has an ID of its own and words", p.ID)
		}
	}
	for _, id := range c.Metrics {
		m, err := analytics.MetricByID(id)
		if err != nil {
			return err
		}
		if len(m.Fixed) > 0 {
			return fmt.Errorf("metric %s is not offered to recipients", id)
		}
	}
	for _, cut := range c.Cuts {
		if !slices.ContainsFunc(rules.Lattice, func(other []string) bool { return sameCut(cut, other) }) {
			return fmt.Errorf("the rule set for recipients has no cut by %v", cut)
		}
	}
	for _, k := range c.Windows {
		if !slices.Contains(Kinds, k) {
			return fmt.Errorf("a window is one of %v, not %q", Kinds, k)
		}
	}
	for _, day := range []string{c.From, c.Until, orElse(c.DataFrom, c.From), orElse(c.DataTo, c.From)} {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return fmt.Errorf("%q is no day, YYYY-MM-DD", day)
		}
	}
	if c.Until < c.From || c.DataTo != "" && c.DataTo < c.DataFrom {
		return errors.New("a contract, and what it offers, ends no earlier than it begins")
	}
	return checkNoise(c.Noise)
}

// Begins and Ends are the moments from which, and before which, a contract is
// in force.
func (c Contract) Begins() time.Time { return midnight(c.From) }

// Ends is the moment at which a contract ends, or was ended.
func (c Contract) Ends() time.Time {
	end := midnight(c.Until).AddDate(0, 0, 1)
	if !c.EndedAt.IsZero() && c.EndedAt.Before(end) {
		return c.EndedAt
	}
	return end
}

// Purpose returns the purpose that a request names. A contract with one purpose
// has it by default.
func (c Contract) Purpose(id string) (Purpose, error) {
	if id == "" && len(c.Purposes) == 1 {
		return c.Purposes[0], nil
	}
	if i := slices.IndexFunc(c.Purposes, func(p Purpose) bool { return p.ID == id }); i >= 0 {
		return c.Purposes[i], nil
	}
	return Purpose{}, ErrPurpose
}

// Offers says whether a contract has the table of a query. Nil is yes.
func (c Contract) Offers(q analytics.Query) error {
	if _, err := analytics.MetricByID(q.Metric); err != nil {
		return err
	}
	if q.Shop != "" || !slices.Contains(c.Metrics, q.Metric) ||
		!slices.ContainsFunc(c.Cuts, func(cut []string) bool { return sameCut(cut, q.By) }) {
		return ErrNotInContract
	}
	p, ok := PeriodOf(q.From, q.To)
	if !ok {
		return ErrNotInContract
	}
	return c.OffersPeriod(p)
}

// OffersPeriod says whether a contract has windows like a period. Nil is yes.
func (c Contract) OffersPeriod(p Period) error {
	if !slices.Contains(c.Windows, p.Kind) || p.From < c.DataFrom || c.DataTo != "" && p.To > c.DataTo {
		return ErrNotInContract
	}
	return nil
}

// Tables are all queries of a contract for a period that its metrics answer, in
// the order of the contract.
func (c Contract) Tables(p Period) ([]analytics.Query, error) {
	if err := c.OffersPeriod(p); err != nil {
		return nil, err
	}
	var out []analytics.Query
	for _, id := range c.Metrics {
		for _, cut := range c.Cuts {
			q := analytics.Query{Metric: id, From: p.From, To: p.To, By: slices.Clone(cut)}
			if _, _, _, err := q.Resolve(); err == nil { // not every metric has every cut
				out = append(out, q)
			}
		}
	}
	return out, nil
}

// Cut is the name of a cut: its dimensions in the order of the alphabet, joined
// by +.
func Cut(by []string) string { return strings.Join(slices.Sorted(slices.Values(by)), "+") }

var name = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func sameCut(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// midnight is when a day begins. A text that is no day begins never.
func midnight(day string) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, day, tokyo)
	if err != nil {
		return time.Date(9999, 1, 1, 0, 0, 0, 0, tokyo)
	}
	return t
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
