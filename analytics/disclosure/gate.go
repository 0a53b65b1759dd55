package disclosure

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure/dossier"
	"meguri/analytics/disclosure/perturb"
)

// Gate answers queries with released tables. It stands in the query layer:
// whoever asks through it never holds a raw table.
type Gate struct {
	Engine   analytics.Engine
	Now      func() time.Time
	Register Register // where releases are kept; nil is nowhere, for audiences that are not frozen
	// Audit attacks what is about to be released; on an error nothing is. nil is
	// no audit.
	Audit func(context.Context, *dossier.Dossier) error
	// Neighbours names for an area the one that it is put together with when it is
	// too small.
	Neighbours map[string]string
	// Purpose is what tables are released for.
	Purpose Purpose
	// ReleaseKey is what cell-key noise is made with; nil is none.
	ReleaseKey func() (*perturb.Release, error)

	mu       sync.RWMutex
	loaded   bool
	last     int64 // entry of the register that is known
	snapshot int64 // of what is kept in the two maps for audiences that are not frozen
	views    map[view]*viewState
	released map[string]Released     // by releaseKey
	why      map[string][]hiddenBody // why cells of these are hidden; it stays here
	given    []given                 // what was released, in the order of the register
	has      map[string]bool         // recipients with their tables: by reader and releaseKey
}

// viewState is what is decided in a view.
type viewState struct {
	cuts        map[string]*placed // by cutName
	fingerprint string             // of the population, where what is published stays
	regions     []Region           // what was made of small areas, in all its tables
	cutThrough  map[string]bool    // what was looked at, and cuts through nothing
}

// Release runs a query and applies the rule set of the audience to its answer.
func (g *Gate) Release(ctx context.Context, q analytics.Query, a Audience) (Released, error) {
	return g.ReleaseTo(ctx, q, a, "")
}

// ReleaseTo is Release to one reader of an audience: a recipient by its ID. What
// another recipient has is the same table, and entered for each.
func (g *Gate) ReleaseTo(ctx context.Context, q analytics.Query, a Audience, reader string) (Released, error) {
	if err := g.Purpose.check(ctx); err != nil { // also of what was released before
		return Released{}, err
	}
	rules, err := RulesFor(a)
	if err != nil {
		return Released{}, err
	}
	if (a == Recipient) != (reader != "") {
		return Released{}, fmt.Errorf("%w: a recipient must be named, and nobody else", ErrNotOffered)
	}
	asked := q
	q, metric, _, err := q.Resolve()
	if err != nil {
		return Released{}, err
	}
	if err := rules.offers(q, metric, g.Now()); err != nil {
		return Released{}, err
	}
	snapshot, err := g.Engine.Snapshot(ctx)
	if err != nil {
		return Released{}, err
	}
	v := view{Audience: a, From: q.From, To: q.To, Zero: q.Zero, Noise: rules.noise(metric)}
	by := q.By
	if rules.OwnShop {
		v.Shop = q.Shop
	} else if q.Shop != "" && !slices.Contains(by, "shop") { // a part of the cut by shop
		by = append(slices.Clone(by), "shop")
	}
	if !rules.Frozen {
		v.Snapshot = snapshot
	}

	key, err := releaseKey(v, q)
	if err != nil {
		return Released{}, err
	}
	g.mu.RLock()
	r, ok := g.released[key]
	ok = ok && (reader == "" || g.has[reader+key])
	g.mu.RUnlock()
	if ok {
		return r, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for range 5 { // another process may be releasing too
		r, err := g.release(ctx, rules, v, reader, asked, q, by, snapshot)
		if !errors.Is(err, ErrMoved) {
			return r, err
		}
		g.loaded = false
	}
	return Released{}, fmt.Errorf("release %s: %w, again and again", q.Metric, ErrMoved)
}

// release answers a query that was resolved, in a view, by the plan of a cut.
func (g *Gate) release(ctx context.Context, rules RuleSet, v view, reader string, asked, q analytics.Query, by []string, snapshot int64) (Released, error) {
	if err := g.load(ctx, snapshot); err != nil {
		return Released{}, err
	}
	key, err := releaseKey(v, q)
	if err != nil {
		return Released{}, err
	}
	if r, ok := g.released[key]; ok {
		if reader == "" || g.has[reader+key] {
			return r, nil
		}
		if err := g.hand(ctx, v, reader, by, nil, r, g.why[key]); err != nil {
			return Released{}, fmt.Errorf("release %s: %w", q.Metric, err)
		}
		return r, nil
	}
	how, err := g.protection(rules, v, q)
	if err != nil {
		return Released{}, err
	}
	rules = rules.under(how, v, by)
	plan, fresh, err := g.place(ctx, rules, v, by)
	if err != nil {
		return Released{}, err
	}
	r, why, err := g.enter(ctx, rules, how, v, reader, asked, by, snapshot, plan, fresh)
	if err != nil {
		for _, p := range fresh { // what the register does not have was not decided
			delete(g.views[v].cuts, cutName(p.By))
		}
		return Released{}, fmt.Errorf("release %s: %w", q.Metric, err)
	}
	g.released[key], g.why[key] = r, why
	return r, nil
}

// enter applies a plan to the answer of the engine and enters the release in the
// register: what is not there is not released.
func (g *Gate) enter(ctx context.Context, rules RuleSet, how protection, v view, reader string, asked analytics.Query, by []string, snapshot int64,
	plan *placed, fresh []*placed) (Released, []hiddenBody, error) {
	asked.Regions = mergesOf(g.views[v].regions, asked.By)
	t, err := g.Engine.Run(ctx, asked)
	if err != nil {
		return Released{}, nil, err
	}
	t.Query.Regions = nil
	if !rules.Frozen && t.Snapshot != snapshot {
		return Released{}, nil, fmt.Errorf("the lake has changed meanwhile: %w", ErrMoved)
	}
	if t, err = g.change(ctx, rules, how, v, t); err != nil {
		return Released{}, nil, err
	}
	r, why, err := apply(t, rules, plan, by, about{of: v, how: how, regions: g.views[v].regions}, g.Now())
	if err != nil {
		return r, nil, err
	}
	if err := g.hand(ctx, v, reader, by, fresh, r, why); err != nil {
		return Released{}, nil, err
	}
	return r, why, nil
}

// offers says whether a rule set has a table for a query.
func (r RuleSet) offers(q analytics.Query, m analytics.Metric, now time.Time) error {
	if r.OwnShop != (q.Shop != "") && (r.OwnShop || len(r.Lattice) > 0) {
		if r.OwnShop {
			return fmt.Errorf("%w: a shop's table must name the shop", ErrNotOffered)
		}
		return fmt.Errorf("%w: a single shop's sales are its own", ErrNotOffered)
	}
	if len(r.Lattice) > 0 {
		if !slices.ContainsFunc(r.Lattice, func(cut []string) bool { return cutName(cut) == cutName(q.By) }) {
			return fmt.Errorf("%w: it has no cut by %v", ErrNotOffered, q.By)
		}
		if q.Zero || len(m.Fixed) > 0 || q.SeenTo != q.To {
			return fmt.Errorf("%w: %s is not offered with these options", ErrNotOffered, m.ID)
		}
	}
	if err := r.keepsOriginals(m); err != nil {
		return err
	}
	if r.WholeMonths {
		from, err1 := time.Parse(time.DateOnly, q.From)
		to, err2 := time.Parse(time.DateOnly, q.To)
		if err1 != nil || err2 != nil || from.Day() != 1 || to.AddDate(0, 0, 1).Day() != 1 {
			return fmt.Errorf("%w: its windows are whole months", ErrNotOffered)
		}
		if now.In(tokyo).Format(time.DateOnly) <= q.To {
			return fmt.Errorf("%w: the window is not over yet", ErrNotOffered)
		}
		// What lies between two windows of a metric's own groups is in no plan.
		if m.Groups && from.Format("2006-01") != to.Format("2006-01") {
			return fmt.Errorf("%w: %s has single months only", ErrNotOffered, m.ID)
		}
	}
	return nil
}

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// load reads the register once, and forgets what is of an old snapshot.
func (g *Gate) load(ctx context.Context, snapshot int64) error {
	if g.views == nil {
		g.views, g.released, g.why = map[view]*viewState{}, map[string]Released{}, map[string][]hiddenBody{}
	}
	if !g.loaded && g.Register != nil {
		g.given, g.has = nil, nil
		last, err := g.Register.All(ctx, func(rec Record) error {
			if !rec.Frozen && rec.Snapshot != snapshot {
				return nil // other data: it does not bind
			}
			return g.restore(rec)
		})
		if err != nil {
			return fmt.Errorf("read the register of releases: %w", err)
		}
		g.last = last
	}
	g.loaded = true
	if g.snapshot != snapshot {
		for v := range g.views {
			if v.Snapshot != 0 && v.Snapshot != snapshot {
				delete(g.views, v)
			}
		}
		for key, r := range g.released {
			if !r.rules.Frozen {
				delete(g.released, key)
			}
		}
		g.given = slices.DeleteFunc(g.given, func(h given) bool { return h.view.Snapshot != 0 && h.view.Snapshot != snapshot })
		g.snapshot = snapshot
	}
	return nil
}

// place returns the pattern of a query's cut, deciding it if it is new. fresh
// are the cuts that were decided now.
func (g *Gate) place(ctx context.Context, rules RuleSet, v view, by []string) (plan *placed, fresh []*placed, err error) {
	state := g.views[v]
	known := state != nil
	if !known {
		state = &viewState{cuts: map[string]*placed{}}
		if state.regions, err = g.regions(ctx, rules, v); err != nil {
			return nil, nil, err
		}
	}
	if rules.Frozen {
		print, err := g.fingerprint(ctx, v)
		if err != nil {
			return nil, nil, err
		}
		if known && state.fingerprint != print {
			return nil, nil, fmt.Errorf("%w: the data of the window have changed since the first table was published", ErrDiscloses)
		}
		state.fingerprint = print
	}
	if p := state.cuts[cutName(by)]; p != nil {
		return p, nil, nil
	}
	tables, segments, through, err := g.tables(rules, v, state, by)
	if err != nil {
		return nil, nil, err
	}
	dims := []string{}
	for _, t := range tables {
		for _, d := range t.by {
			if !slices.Contains(dims, d) {
				dims = append(dims, d)
			}
		}
	}
	slices.Sort(dims)
	p, err := g.populate(ctx, v, dims, segments)
	if err != nil {
		return nil, nil, err
	}
	if err := g.open(ctx, rules, p, tables); err != nil {
		return nil, nil, err
	}
	own := segmentsOf(segments, v.From, v.To)
	decided, dark, err := rules.decide(p, tables, own)
	if err != nil {
		return nil, nil, err
	}
	if !dark {
		if err := g.cutThrough(ctx, rules, v, state, segments, through); err != nil {
			return nil, nil, err
		}
	}
	if g.Audit != nil && !dark {
		shown := slices.Clone(tables)
		for i := range shown {
			shown[i].decided = decided[i]
		}
		if err := g.Audit(ctx, p.dossier(shown)); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrDiscloses, err)
		}
	}
	for i, t := range tables {
		if t.decided == nil && !t.between {
			state.cuts[cutName(t.by)] = decided[i]
			fresh = append(fresh, decided[i])
		}
	}
	g.views[v] = state
	return state.cuts[cutName(by)], fresh, nil
}

// decide is plan, unless the total of the view's own window is sensitive: then it
// is dark, everything in it is hidden, and nothing is known that was not before.
func (r RuleSet) decide(p *population, tables []table, own []int) (out []*placed, dark bool, err error) {
	var all []int32
	for l, s := range p.segment {
		if slices.Contains(own, s) {
			all = append(all, int32(l))
		}
	}
	why, _ := r.judge(p, all)
	if why == "" || len(all) == 0 {
		out, err = r.plan(p, tables)
		return out, false, err
	}
	out = make([]*placed, len(tables))
	for n, t := range tables {
		if out[n] = t.decided; out[n] != nil || t.between {
			continue
		}
		out[n] = &placed{By: t.by, Hidden: map[string]bool{}, Why: map[string]Reason{}}
		for _, c := range p.cells(t, n) {
			out[n].Hidden[c.key], out[n].Why[c.key] = true, why
		}
	}
	return out, true, nil
}

// tables are the cut that is asked for, those of the same view that it hangs
// together with, decided or to be decided, and those of earlier views that
// overlap in time: of the same readers and, where what is published stays, of
// the public and every recipient. Recipients can put together what they have,
// and the public's tables are everybody's.
func (g *Gate) tables(rules RuleSet, v view, state *viewState, by []string) (tables []table, segments []segment, through []table, err error) {
	want := [][]string{by}
	if len(rules.Lattice) > 0 {
		var lattice []*placed
		for _, cut := range rules.Lattice {
			lattice = append(lattice, &placed{By: cut})
		}
		for _, p := range gather(lattice, by).cuts {
			want = append(want, p.By)
		}
	} else {
		for n := range 1 << len(by) { // its margins
			var margin []string
			for i, d := range by {
				if n>>i&1 == 1 {
					margin = append(margin, d)
				}
			}
			want = append(want, margin)
		}
	}
	// Windows that overlap, and those that overlap with these: a quarter and its
	// first month give away what the third and the second are together.
	windows := []view{v}
	taken := map[view]bool{v: true}
	for at := 0; at < len(windows); at++ {
		w := windows[at]
		for other := range g.views {
			if !taken[other] && other.Snapshot == v.Snapshot && other.Shop == v.Shop && other.Noise == v.Noise && other.From <= w.To && w.From <= other.To &&
				(other.Audience == v.Audience || rules.Frozen) && !g.views[other].dark() {
				taken[other] = true
				windows = append(windows, other)
			}
		}
	}
	slices.SortFunc(windows[1:], compareViews)
	segments = divide(windows)
	var earlier []*placed
	of := map[*placed]view{}
	for _, w := range windows {
		cuts := state.cuts
		if w != v {
			cuts = g.views[w].cuts
		}
		for _, name := range sortedKeys(cuts) {
			earlier = append(earlier, cuts[name])
			of[cuts[name]] = w
		}
	}
	together := gather(earlier, by).cuts
	for _, p := range together {
		if of[p] == v {
			want = append(want, p.By)
		}
	}
	seen := map[string]bool{}
	for _, cut := range want {
		if name := cutName(cut); !seen[name] {
			seen[name] = true
			tables = append(tables, table{by: cut, segments: segmentsOf(segments, v.From, v.To), decided: state.cuts[name], regions: state.regions, rules: rules})
		}
	}
	for _, w := range windows[1:] {
		theirs, err := RulesFor(w.Audience)
		if err != nil {
			return nil, nil, nil, err
		}
		cuts := slices.DeleteFunc(slices.Clone(together), func(p *placed) bool { return of[p] != w })
		if total := g.views[w].cuts[""]; total != nil && len(by) > 0 {
			cuts = append(cuts, total)
		}
		for _, p := range cuts {
			tables = append(tables, table{by: p.By, segments: segmentsOf(segments, w.From, w.To), decided: p, regions: g.views[w].regions, rules: theirs})
		}
	}
	if len(segments) > 1 {
		// What is between two windows must not be seen either, in any cut of one of
		// them: weeks of the one window, taken from a month that is the other, leave
		// the days of a week that are in the month.
		between := map[string]bool{}
		for _, t := range slices.Clone(tables) {
			if name := cutName(t.by); !between[name] {
				between[name] = true
				for n := range segments {
					tables = append(tables, table{by: t.by, segments: []int{n}, between: true, rules: t.rules})
				}
			}
		}
		for _, p := range earlier {
			t := table{segments: segmentsOf(segments, of[p].From, of[p].To)}
			if len(t.segments) == 1 || slices.Contains(together, p) {
				continue
			}
			for _, d := range p.By {
				if spansDays(d) {
					t.by = []string{d}
					through = append(through, t)
				}
			}
		}
	}
	return tables, segments, through, nil
}

// cutThrough refuses a window that cuts through a week or month of another table
// so that a sensitive part is left: what is shown of whole weeks, taken from the
// total of a month, is the days of the last week that are in the month.
func (g *Gate) cutThrough(ctx context.Context, rules RuleSet, v view, state *viewState, segments []segment, through []table) error {
	for _, t := range through {
		name := fmt.Sprint(segments, t.by, t.segments)
		if state.cutThrough[name] {
			continue
		}
		p, err := g.populate(ctx, v, t.by, segments)
		if err != nil {
			return err
		}
		parts := map[string][]int32{}
		for l, keys := range p.keys {
			if slices.Contains(t.segments, p.segment[l]) {
				parts[keys[0]] = append(parts[keys[0]], int32(l))
			}
		}
		for _, key := range sortedKeys(parts) {
			for _, l := range parts[key] {
				if why, _ := rules.judge(p, []int32{l}); why != "" && len(parts[key]) > 1 {
					s := segments[p.segment[l]]
					return fmt.Errorf("%w: the %s of %s has too few payments between %s and %s", ErrDiscloses, t.by[0], key, s.from, s.to)
				}
			}
		}
		if state.cutThrough == nil {
			state.cutThrough = map[string]bool{}
		}
		state.cutThrough[name] = true
	}
	return nil
}

// dark reports whether a view shows nothing: then nothing can be subtracted from
// it, and it binds nobody.
func (s *viewState) dark() bool {
	for _, p := range s.cuts {
		if len(p.Hidden) == 0 {
			return false // that nothing happened is shown
		}
		for _, hidden := range p.Hidden {
			if !hidden {
				return false
			}
		}
	}
	return true
}

// divide cuts windows into segments at every end of one of them.
func divide(windows []view) []segment {
	var begins []string
	last := ""
	for _, w := range windows {
		begins = append(begins, w.From, dayAfter(w.To))
		last = max(last, w.To)
	}
	slices.Sort(begins)
	begins = slices.Compact(begins)
	var out []segment
	for i, from := range begins {
		if from > last {
			break
		}
		to := last
		if i+1 < len(begins) {
			to = dayBefore(begins[i+1])
		}
		if slices.ContainsFunc(windows, func(w view) bool { return w.From <= from && to <= w.To }) {
			out = append(out, segment{from, to})
		}
	}
	return out
}

func segmentsOf(all []segment, from, to string) (in []int) {
	for i, s := range all {
		if from <= s.from && s.to <= to {
			in = append(in, i)
		}
	}
	return in
}

func dayAfter(day string) string  { return shift(day, 1) }
func dayBefore(day string) string { return shift(day, -1) }

func shift(day string, by int) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic("disclosure: a window that was not resolved: " + day)
	}
	return t.AddDate(0, 0, by).Format(time.DateOnly)
}

// populate asks who stands behind the leaves.
func (g *Gate) populate(ctx context.Context, v view, dims []string, segments []segment) (*population, error) {
	p := &population{dims: dims}
	leaves := map[string]int{}
	numbers := map[analytics.Party]map[string]int32{analytics.ByShop: {}, analytics.ByPerson: {}}
	for n, s := range segments {
		for _, party := range v.parties() {
			q := analytics.Query{From: s.from, To: s.to, Shop: v.Shop, Zero: v.Zero, By: dims}
			parts, err := g.Engine.Behind(ctx, q, party)
			if err != nil {
				return nil, err
			}
			if err := p.add(parts, n, party == analytics.ByShop, leaves, numbers[party]); err != nil {
				return nil, err
			}
		}
	}
	return p, p.tidy(len(v.parties()) == 2)
}

// open adds what is empty and could be somebody's, where the rules ask for it.
func (g *Gate) open(ctx context.Context, rules RuleSet, p *population, tables []table) error {
	if rules.Zeroes == nil {
		return nil
	}
	values, err := g.values(ctx, p.dims)
	if err != nil {
		return err
	}
	return p.open(values, tables)
}

// fingerprint is the same as long as the data of a window are.
func (g *Gate) fingerprint(ctx context.Context, v view) (string, error) {
	h := sha256.New()
	for _, party := range []analytics.Party{analytics.ByShop, analytics.ByPerson} {
		parts, err := g.Engine.Behind(ctx, analytics.Query{From: v.From, To: v.To, Shop: v.Shop, Zero: v.Zero}, party)
		if err != nil {
			return "", err
		}
		for _, p := range parts {
			fmt.Fprintf(h, "%s\x00%v\x00%d\n", p.Party, p.Yen, p.Payments)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// releaseKey names a table: the same question in the same view.
func releaseKey(v view, q analytics.Query) (string, error) {
	text, err := json.Marshal([]any{v, q})
	return string(text), err
}
