package disclosure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"meguri/analytics/disclosure/dossier"
)

// given is a table in somebody's hands.
type given struct {
	number int64 // in the register
	reader string
	view   view
	by     []string
	hidden map[string]bool // by cellKey: what its plan hides, and what the table does
}

// note keeps in mind who has a table, for the auditor. Without a table, which
// the register does not keep for every audience, the plan says what is hidden.
func (g *Gate) note(number int64, reader string, v view, by []string, r Released) error {
	h := given{number: number, reader: reader, view: v, by: by, hidden: map[string]bool{}}
	if state := g.views[v]; state != nil && state.cuts[cutName(by)] != nil {
		maps.Copy(h.hidden, state.cuts[cutName(by)].Hidden)
	}
	if own := r.table.Query.By; len(own) == len(by) {
		for _, c := range r.cells {
			if len(c.Keys) == len(own) {
				h.hidden[keyOf(own, c.Keys)] = c.State == Suppressed
			}
		}
	}
	g.given = append(g.given, h)
	if reader == "" {
		return nil
	}
	if g.has == nil {
		g.has = map[string]bool{}
	}
	q, _, _, err := r.table.Query.Resolve()
	if err != nil {
		return err
	}
	key, err := releaseKey(v, q)
	g.has[reader+key] = err == nil
	return err
}

// Holding is everything that some readers have between them, as an auditor
// takes it: a dossier for each group of cuts that hang together.
type Holding struct {
	Who      []string
	Dossiers []*dossier.Dossier
}

// errStale says that what was released cannot be audited any more, since the
// data behind it have changed.
var errStale = errors.New("the data have changed since they were released")

// Holdings lay down all releases of the register, by who can put them together:
// the public; each recipient, each two of them, and all of them, with what is
// public; and, of the present data, the city, and each shop. Those that hold no more than others
// before them are left out, and so are windows of which nothing is shown. What
// cannot be laid down is in the error, beside the rest.
func (g *Gate) Holdings(ctx context.Context) (all []Holding, err error) {
	snapshot, err := g.Engine.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(ctx, snapshot); err != nil {
		return nil, err
	}
	fresh, faults := g.unchanged(ctx)
	fresh = slices.DeleteFunc(fresh, func(h given) bool { return g.views[h.view].dark() })
	taken := map[string]bool{}
	people := map[string]*population{}
	for _, c := range circles(fresh) {
		var numbers []string
		for _, h := range c.has {
			numbers = append(numbers, sheet(h))
		}
		slices.Sort(numbers)
		if name := strings.Join(slices.Compact(numbers), "\n"); taken[name] {
			continue
		} else {
			taken[name] = true
		}
		holding := Holding{Who: c.who}
		for _, has := range overlapping(c.has) {
			dossiers, err := g.dossiers(ctx, has, people)
			if err != nil {
				return nil, err
			}
			holding.Dossiers = append(holding.Dossiers, dossiers...)
		}
		all = append(all, holding)
	}
	return all, faults
}

// unchanged are the tables whose data are still those that they were made from,
// and an error that names the other windows.
func (g *Gate) unchanged(ctx context.Context) (fresh []given, faults error) {
	known := map[view]bool{}
	for _, h := range g.given {
		if h.view.Noise { // it has no exact figures to solve for
			continue
		}
		ok, seen := known[h.view]
		if !seen {
			ok = h.view.Snapshot != 0
			if !ok {
				print, err := g.fingerprint(ctx, h.view)
				if ok = err == nil && print == g.views[h.view].fingerprint; !ok {
					faults = errors.Join(faults, err, fmt.Errorf("%w: %s, %s to %s", errStale, h.view.Audience, h.view.From, h.view.To))
				}
			}
			known[h.view] = ok
		}
		if ok {
			fresh = append(fresh, h)
		}
	}
	return fresh, faults
}

// circle is readers who put together what they have.
type circle struct {
	who []string
	has []given
}

func circles(all []given) (out []circle) {
	recipients := map[string][]given{}
	others := map[string][]given{}
	var public []given
	for _, h := range all {
		switch v := h.view; {
		case v.Audience == Public:
			public = append(public, h)
		case v.Audience == Recipient:
			recipients[h.reader] = append(recipients[h.reader], h)
		default:
			name := string(v.Audience)
			if v.Shop != "" {
				name += " " + v.Shop
			}
			if v.Zero {
				name += ", payments of 0 yen"
			}
			others[name] = append(others[name], h)
		}
	}
	if len(public) > 0 {
		out = append(out, circle{[]string{string(Public)}, public})
	}
	names := sortedKeys(recipients)
	for _, a := range names {
		out = append(out, circle{[]string{a}, slices.Concat(public, recipients[a])})
	}
	union := slices.Clone(public)
	for i, a := range names {
		union = slices.Concat(union, recipients[a])
		for _, b := range names[i+1:] {
			out = append(out, circle{[]string{a, b}, slices.Concat(public, recipients[a], recipients[b])})
		}
	}
	if len(names) > 2 {
		out = append(out, circle{names, union})
	}
	for _, name := range sortedKeys(others) {
		out = append(out, circle{[]string{name}, others[name]})
	}
	return out
}

// sheet is the same for tables that tell the same: one cut of one window with
// one pattern.
func sheet(h given) string {
	hidden := sortedKeys(h.hidden)
	hidden = slices.DeleteFunc(hidden, func(k string) bool { return !h.hidden[k] })
	return fmt.Sprintf("%v %s %q", h.view, cutName(h.by), hidden)
}

// overlapping divides tables into those whose windows overlap, or overlap with
// ones that do: others tell nothing of each other.
func overlapping(has []given) (out [][]given) {
	has = slices.Clone(has)
	slices.SortStableFunc(has, func(a, b given) int { return cmp.Compare(a.view.From, b.view.From) })
	last := ""
	for _, h := range has {
		if len(out) == 0 || h.view.From > last {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], h)
		last = max(last, h.view.To)
	}
	return out
}

// dossiers lay down tables over one population: one for each group of cuts that
// hang together. Populations that were asked for are kept in people.
func (g *Gate) dossiers(ctx context.Context, has []given, people map[string]*population) (out []*dossier.Dossier, err error) {
	var windows []view
	var sheets []string
	of := map[string][]given{}
	for _, h := range has {
		if !slices.Contains(windows, h.view) {
			windows = append(windows, h.view)
		}
		name := sheet(h)
		if of[name] == nil {
			sheets = append(sheets, name)
		}
		of[name] = append(of[name], h)
	}
	slices.SortFunc(windows, compareViews)
	segments := divide(windows)
	var cuts []*placed
	for _, name := range sheets {
		cuts = append(cuts, &placed{By: of[name][0].by, Hidden: of[name][0].hidden})
	}
	done := map[string]bool{}
	for i, cut := range cuts {
		dims := gather(cuts, cut.By).dims
		if done[cutName(dims)] || len(dims) == 0 && (i < len(cuts)-1 || len(done) > 0) {
			continue // a total is in every group
		}
		done[cutName(dims)] = true
		v := has[0].view
		key := fmt.Sprint(v.Shop, v.Zero, dims, segments)
		p := people[key]
		if p == nil {
			if p, err = g.populate(ctx, view{Audience: v.Audience, Shop: v.Shop, Zero: v.Zero}, dims, segments); err != nil {
				return nil, err
			}
			people[key] = p
		}
		var tables []table
		seen := map[view]bool{} // windows with more than a total
		for n := range sheets {
			if len(cuts[n].By) > 0 && !slices.ContainsFunc(cuts[n].By, func(d string) bool { return !slices.Contains(dims, d) }) {
				seen[of[sheets[n]][0].view] = true
			}
		}
		between := map[string]bool{}
		for n, name := range sheets {
			if slices.ContainsFunc(cuts[n].By, func(d string) bool { return !slices.Contains(dims, d) }) {
				continue
			}
			h := of[name][0]
			rules, err := RulesFor(h.view.Audience)
			if err != nil {
				return nil, err
			}
			tables = append(tables, table{by: h.by, segments: segmentsOf(segments, h.view.From, h.view.To), decided: cuts[n], rules: rules,
				regions: g.views[h.view].regions, release: entryNames(of[name])})
			cut := h.by
			if len(seen) < 2 { // beside nothing but totals, a window is divided by time alone
				cut = slices.DeleteFunc(slices.Clone(cut), func(d string) bool { return !spansDays(d) })
			}
			if name := cutName(cut); len(segments) > 1 && !between[name] {
				between[name] = true
				for s, w := range segments {
					tables = append(tables, table{by: cut, segments: []int{s}, between: true, rules: rules, regions: g.views[h.view].regions,
						release: fmt.Sprintf("%s to %s by %s", w.from, w.to, name)})
				}
			}
		}
		if p, err = g.opened(ctx, p, tables); err != nil {
			return nil, err
		}
		out = append(out, p.dossier(tables))
	}
	return out, nil
}

// opened is a population with what is empty and could be somebody's, where the
// rules of a table ask for it. The one that is given stays as it is.
func (g *Gate) opened(ctx context.Context, p *population, tables []table) (*population, error) {
	for _, t := range tables {
		if t.rules.Zeroes != nil {
			p = p.clone()
			return p, g.open(ctx, t.rules, p, tables)
		}
	}
	return p, nil
}

// entryNames name a table for people: its entries in the register, readers, window
// and cut.
func entryNames(same []given) string {
	var numbers, readers []string
	for _, h := range same {
		numbers = append(numbers, fmt.Sprint(h.number))
		readers = append(readers, strings.TrimSpace(string(h.view.Audience)+" "+h.reader))
	}
	const most = 8
	if len(numbers) > most {
		numbers = append(numbers[:most], "…")
	}
	slices.Sort(readers)
	h := same[0]
	return fmt.Sprintf("no. %s (%s) %s to %s by %s", strings.Join(numbers, ", "), strings.Join(slices.Compact(readers), ", "),
		h.view.From, h.view.To, cutName(h.by))
}
