package recipient

import (
	"context"
	"errors"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
)

// Desk is where recipients are served: it knows which contract is in force, and
// keeps the quotas and the log.
type Desk struct {
	Store Store
	Now   func() time.Time
}

// ContractOf returns the contract under which a client calls. ok is false when
// there never was one: the client gets what is public. Between contracts the
// error is ErrNotBegun or ErrEnded, and the contract is the one that it is about.
func (d *Desk) ContractOf(ctx context.Context, client string) (c Contract, ok bool, err error) {
	all, err := d.Store.Contracts(ctx, client)
	if err != nil || len(all) == 0 {
		return Contract{}, false, err
	}
	now := d.Now()
	var next, last *Contract
	for i := range all {
		switch c := &all[i]; {
		case !now.Before(c.Ends()):
			if last == nil || c.Ends().After(last.Ends()) {
				last = c
			}
		case now.Before(c.Begins()):
			if next == nil || c.Begins().Before(next.Begins()) {
				next = c
			}
		default:
			return *c, true, nil
		}
	}
	if next != nil {
		return *next, true, ErrNotBegun
	}
	return *last, true, ErrEnded
}

// Left is what a quota still has.
func (d *Desk) Left(ctx context.Context, c Contract) (tables, downloads int64, err error) {
	day, month := begins(d.Now())
	use, err := d.Store.Used(ctx, c.ID, "", day, month)
	return max(0, c.Quota.TablesADay-use.Tables), max(0, c.Quota.DownloadsAMonth-use.Downloads), err
}

// Room says whether a table may still be handed over, before the work of making
// it. Nil is yes; Give has the last word.
func (d *Desk) Room(ctx context.Context, c Contract, table string) error {
	day, month := begins(d.Now())
	use, err := d.Store.Used(ctx, c.ID, table, day, month)
	if err != nil {
		return err
	}
	return refusal(use, c.Quota, d.Now())
}

// Give enters a hand-over in the log and counts it, durably, before it leaves.
// An error that is ErrUsedUp is a *UsedUp: nothing may be handed over.
func (d *Desk) Give(ctx context.Context, c Contract, e Entry) error {
	now := d.Now()
	day, month := begins(now)
	e.At, e.Outcome, e.Contract = now, Given, c.ID
	use, ok, err := d.Store.Take(ctx, e, c.Quota, day, month)
	if err != nil || ok {
		return err
	}
	return refusal(use, c.Quota, now)
}

// Note enters what counts for no quota: a refusal, or what a shop took.
func (d *Desk) Note(ctx context.Context, e Entry) error {
	e.At = d.Now()
	return d.Store.Append(ctx, e)
}

// Fits reports whether a quota has room for one more table.
func (q Quota) Fits(use Use) bool {
	return use.Tables < q.TablesADay && use.Downloads < q.DownloadsAMonth
}

func refusal(use Use, q Quota, now time.Time) error {
	day, month := begins(now)
	switch {
	case use.Downloads >= q.DownloadsAMonth:
		return &UsedUp{What: "downloads", Again: month.AddDate(0, 1, 0)}
	case use.Tables >= q.TablesADay:
		return &UsedUp{What: "tables", Again: day.AddDate(0, 0, 1)}
	}
	return nil
}

// begins are when the day and the month of a moment began.
func begins(at time.Time) (day, month time.Time) {
	y, m, d := at.In(tokyo).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, tokyo), time.Date(y, m, 1, 0, 0, 0, 0, tokyo)
}

// Gate gives out released tables to one reader; disclosure.Gate is one.
type Gate interface {
	ReleaseTo(ctx context.Context, q analytics.Query, a disclosure.Audience, reader string) (disclosure.Released, error)
}

// Collect releases every table of a contract for a period, in the order of the
// contract. What the gate refuses is omitted; when it refuses all, its last
// refusal is the error.
func Collect(ctx context.Context, gate Gate, c Contract, p Period) (tables []disclosure.Released, omitted []analytics.Query, err error) {
	queries, err := c.Tables(p)
	if err != nil {
		return nil, nil, err
	}
	var last error
	for _, q := range queries {
		r, err := gate.ReleaseTo(ctx, q, disclosure.Recipient, c.Reader)
		switch {
		case errors.Is(err, disclosure.ErrNotOffered) || errors.Is(err, disclosure.ErrDiscloses) || errors.Is(err, disclosure.ErrMethodChanged):
			omitted, last = append(omitted, q), err
		case err != nil:
			return nil, nil, err
		default:
			tables = append(tables, r)
		}
	}
	if len(tables) == 0 {
		if last == nil {
			last = ErrNotInContract // no metric has any of the cuts
		}
		return nil, nil, last
	}
	return tables, omitted, nil
}
