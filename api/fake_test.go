package api

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"meguri/analytics"
	"meguri/analytics/analyticstest"
	"meguri/analytics/recipient"
	"meguri/ledger"
	"meguri/ledger/ledgertest"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
)

// memory is a ledger, its desk's programmes and a registry in memory.
type memory struct {
	*ledgertest.Memory
	programmes map[ledger.ProgrammeID]programme.Programme
	residents  map[string]registry.Resident
	shops      map[string]registry.Shop
	staff      map[string]registry.Staff
	clients    map[string]registry.Client
	busy       error        // what a posting meets when it is set
	asked      atomic.Int64 // look-ups of a resident, a shop or a client
}

func newMemory(now func() time.Time) *memory {
	return &memory{
		Memory:     ledgertest.NewMemory(now),
		programmes: map[ledger.ProgrammeID]programme.Programme{}, residents: map[string]registry.Resident{},
		shops: map[string]registry.Shop{}, staff: map[string]registry.Staff{}, clients: map[string]registry.Client{},
	}
}

// poster posts without waiting, as ledger.Writer does for one.
type poster struct{ *memory }

func (p poster) Post(ctx context.Context, tx ledger.Transaction) (ledger.Outcome, error) {
	if p.busy != nil {
		return ledger.Outcome{}, p.busy
	}
	out, err := p.memory.Post(ctx, tx)
	if err != nil {
		return ledger.Outcome{}, err
	}
	return out[0], nil
}

func (m *memory) PutProgramme(_ context.Context, p programme.Programme) error {
	if have, ok := m.programmes[p.ID]; ok && have != p {
		return programme.ErrConflict
	}
	m.programmes[p.ID] = p
	return nil
}

func (m *memory) Programme(_ context.Context, id ledger.ProgrammeID) (programme.Programme, error) {
	if p, ok := m.programmes[id]; ok {
		return p, nil
	}
	return programme.Programme{}, programme.ErrNotFound
}

func (m *memory) Programmes(context.Context) ([]programme.Programme, error) {
	return slices.SortedFunc(maps.Values(m.programmes), func(a, b programme.Programme) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func put[T any](rows map[string]T, id func(T) string, add []T) error {
	for _, v := range add {
		if have, ok := rows[id(v)]; ok && !reflect.DeepEqual(have, v) {
			return registry.ErrConflict
		}
	}
	for _, v := range add {
		rows[id(v)] = v
	}
	return nil
}

func after[T any](rows map[string]T, after string, limit int) []T {
	var list []T
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if id > after && len(list) < limit {
			list = append(list, rows[id])
		}
	}
	return list
}

func get[T any](rows map[string]T, id string) (T, error) {
	v, ok := rows[id]
	if !ok {
		return v, registry.ErrNotFound
	}
	return v, nil
}

func (m *memory) PutResidents(_ context.Context, r ...registry.Resident) error {
	return put(m.residents, func(r registry.Resident) string { return r.ID }, r)
}
func (m *memory) Residents(_ context.Context, id string, limit int) ([]registry.Resident, error) {
	return after(m.residents, id, limit), nil
}
func (m *memory) Resident(_ context.Context, id string) (registry.Resident, error) {
	m.asked.Add(1)
	return get(m.residents, id)
}
func (m *memory) PutShops(_ context.Context, s ...registry.Shop) error {
	return put(m.shops, func(s registry.Shop) string { return s.ID }, s)
}
func (m *memory) Shops(_ context.Context, id string, limit int) ([]registry.Shop, error) {
	return after(m.shops, id, limit), nil
}
func (m *memory) Shop(_ context.Context, id string) (registry.Shop, error) {
	m.asked.Add(1)
	return get(m.shops, id)
}
func (m *memory) PutStaff(_ context.Context, s registry.Staff) error {
	m.staff[s.Login] = s
	return nil
}
func (m *memory) Staff(_ context.Context, login string) (registry.Staff, error) {
	return get(m.staff, login)
}
func (m *memory) AllStaff(context.Context) ([]registry.Staff, error) {
	return after(m.staff, "", len(m.staff)), nil
}
func (m *memory) DeleteStaff(_ context.Context, login string) error {
	delete(m.staff, login)
	return nil
}
func (m *memory) PutClient(_ context.Context, c registry.Client) error {
	m.clients[c.ID] = c
	return nil
}
func (m *memory) ClientByToken(_ context.Context, digest string) (registry.Client, error) {
	m.asked.Add(1)
	for _, c := range m.clients {
		if strings.EqualFold(c.TokenDigest, digest) {
			return c, nil
		}
	}
	return registry.Client{}, registry.ErrNotFound
}
func (m *memory) AllClients(context.Context) ([]registry.Client, error) {
	return after(m.clients, "", len(m.clients)), nil
}
func (m *memory) DeleteClient(_ context.Context, id string) error {
	delete(m.clients, id)
	return nil
}

// engine answers every query of the registry of metrics with invented numbers:
// one cell without dimensions, otherwise three of which one is small. secret is
// added to the values of the small one.
type engine struct {
	now    func() time.Time
	secret float64
}

// Behind implements analytics.Engine.
func (e engine) Behind(ctx context.Context, q analytics.Query, p analytics.Party) ([]analytics.Part, error) {
	q.Metric = "M01a"
	table, err := e.Run(ctx, q)
	return analyticstest.Behind(table, p), err
}

// Bounded implements analytics.Bounder: what it gives is within any bound.
func (e engine) Bounded(ctx context.Context, q analytics.Query, _ analytics.Bound) ([]analytics.Part, error) {
	return e.Behind(ctx, q, analytics.ByPerson)
}

// Snapshot implements analytics.Engine.
func (e engine) Snapshot(context.Context) (int64, error) { return 7, nil }

func (e engine) Run(_ context.Context, q analytics.Query) (analytics.Table, error) {
	q, metric, dims, err := q.Resolve()
	if err != nil {
		return analytics.Table{}, err
	}
	t := analytics.Table{Metric: metric, Query: q, AsOf: e.now(), Snapshot: 7, Dims: dims, Measures: metric.Measures}
	cells := 1
	if len(dims) > 0 {
		cells = 3
	}
	for i := range cells {
		c := analytics.Cell{Persons: []int64{40, 3, 25}[i], Shops: 5}
		for _, d := range dims {
			key := "k" + strconv.Itoa(i)
			if list := analytics.CodeList(d.Name); list != nil {
				key = list[i].Code
			} else if d.Name == "week" || d.Name == "day" || d.Name == "month" {
				key = time.Date(2026, 7, 6+7*i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
			} else if d.Name == "hour" {
				key = []string{"09", "12", "18"}[i]
			}
			c.Keys = append(c.Keys, key)
		}
		for range metric.Measures {
			v := float64(100 * (i + 1))
			if i == 1 {
				v += e.secret
			}
			c.Values = append(c.Values, v)
		}
		t.Cells = append(t.Cells, c)
	}
	return t, nil
}

// contracts is a recipient.Store in memory.
type contracts struct {
	list  []recipient.Contract
	shops map[[2]string]bool
	log   []recipient.Entry
}

func (s *contracts) PutContract(_ context.Context, c recipient.Contract) error {
	s.list = append(s.list, c)
	return nil
}
func (s *contracts) Contract(_ context.Context, id string) (recipient.Contract, error) {
	for _, c := range s.list {
		if c.ID == id {
			return c, nil
		}
	}
	return recipient.Contract{}, recipient.ErrNotFound
}
func (s *contracts) Contracts(_ context.Context, client string) (list []recipient.Contract, _ error) {
	for _, c := range s.list {
		if client == "" || c.Client == client {
			list = append(list, c)
		}
	}
	return list, nil
}
func (s *contracts) End(_ context.Context, id string, at time.Time) error {
	for i := range s.list {
		if s.list[i].ID == id {
			s.list[i].EndedAt = at
		}
	}
	return nil
}
func (s *contracts) Take(ctx context.Context, e recipient.Entry, q recipient.Quota, day, month time.Time) (recipient.Use, bool, error) {
	use, err := s.Used(ctx, e.Contract, e.Table(), day, month)
	if err != nil || !q.Fits(use) {
		return use, false, err
	}
	return use, true, s.Append(ctx, e)
}
func (s *contracts) Used(_ context.Context, contract, table string, day, month time.Time) (u recipient.Use, _ error) {
	tables := map[string]bool{}
	for _, e := range s.log {
		if e.Contract != contract || e.Outcome != recipient.Given || e.At.Before(month) {
			continue
		}
		u.Downloads++
		if e.Table() != table && !e.At.Before(day) {
			tables[e.Table()] = true
		}
	}
	u.Tables = int64(len(tables))
	return u, nil
}
func (s *contracts) Append(_ context.Context, e recipient.Entry) error {
	s.log = append(s.log, e)
	return nil
}
func (s *contracts) Log(context.Context, string, int64, int) ([]recipient.Entry, error) {
	return s.log, nil
}
func (s *contracts) PutShop(_ context.Context, client, shop string) error {
	s.shops[[2]string{client, shop}] = true
	return nil
}
func (s *contracts) HasShop(_ context.Context, client, shop string) (bool, error) {
	return s.shops[[2]string{client, shop}], nil
}
