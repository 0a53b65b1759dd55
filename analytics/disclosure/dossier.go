package disclosure

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"meguri/analytics/disclosure/dossier"
)

// dossier lays a component down for an auditor: who stands behind its leaves,
// and what of its tables is shown.
func (p *population) dossier(rules RuleSet, a Audience, tables []table) *dossier.Dossier {
	d := &dossier.Dossier{Format: dossier.Format}
	for l, parts := range p.shops {
		leaf := dossier.Leaf{Parts: []dossier.Part{}, Open: p.empty(int32(l))}
		for _, c := range parts {
			leaf.Parts = append(leaf.Parts, dossier.Part{Respondent: c.Respondent, Amount: c.Amount})
		}
		d.Leaves = append(d.Leaves, leaf)
	}
	own := dossier.Rules{Name: string(rules.Audience) + " " + rules.Version, MinRespondents: 1}
	if rules.MinShops > 0 {
		own.MinRespondents, own.Percent, own.Top, own.Share = int(rules.MinShops), rules.Percent, rules.Top, rules.Share
	}
	for n, t := range tables {
		if t.between {
			continue
		}
		out := dossier.Table{Release: fmt.Sprintf("%d %s", n+1, cutName(t.by)), Audience: string(a), Rules: own, Measure: "net_yen", Dims: slices.Sorted(slices.Values(t.by))}
		all := p.cells(t, n)
		for i, v := range rules.verdicts(p, t, all) {
			c := all[i]
			cell := dossier.Cell{Leaves: c.leaves}
			if len(t.by) > 0 {
				cell.Keys = strings.Split(c.key, keySeparator)
			}
			switch {
			case !t.decided.Hidden[c.key]:
				cell.Value = &v.total
			case v.why != "":
				cell.Up, cell.Down = v.up, v.down
			}
			out.Cells = append(out.Cells, cell)
		}
		d.Tables = append(d.Tables, out)
	}
	return d
}

// Dossiers lay down everything that an audience whose tables stay as they are
// has been given, for an auditor: one for each group of cuts that hang together.
// A recipient's are with what is public.
func (g *Gate) Dossiers(ctx context.Context, a Audience, reader string) ([]*dossier.Dossier, error) {
	rules, err := RulesFor(a)
	if err != nil {
		return nil, err
	}
	snapshot, err := g.Engine.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(ctx, snapshot); err != nil {
		return nil, err
	}
	var windows []view
	var all []*placed
	for v, state := range g.views {
		if v.Snapshot != 0 || v.Audience != Public && (v.Audience != a || v.Reader != reader) {
			continue
		}
		print, err := g.fingerprint(ctx, v)
		if err != nil {
			return nil, err
		}
		if print != state.fingerprint {
			return nil, fmt.Errorf("the data of %s to %s have changed since they were published: the release cannot be audited against them", v.From, v.To)
		}
		windows = append(windows, v)
		for _, name := range sortedKeys(state.cuts) {
			all = append(all, state.cuts[name])
		}
	}
	slices.SortFunc(windows, compareViews)
	segments := divide(windows)
	var out []*dossier.Dossier
	done := map[string]bool{}
	for _, cut := range all {
		dims := gather(all, cut.By).dims
		if name := cutName(dims); len(dims) == 0 || done[name] {
			continue
		} else {
			done[name] = true
		}
		p, err := g.populate(ctx, view{Audience: a}, dims, segments)
		if err != nil {
			return nil, err
		}
		var tables []table
		for _, w := range windows {
			for _, name := range sortedKeys(g.views[w].cuts) {
				if c := g.views[w].cuts[name]; !slices.ContainsFunc(c.By, func(d string) bool { return !slices.Contains(dims, d) }) {
					tables = append(tables, table{by: c.By, segments: segmentsOf(segments, w.From, w.To), decided: c, regions: g.views[w].regions})
				}
			}
		}
		if err := g.open(ctx, rules, p, tables); err != nil {
			return nil, err
		}
		out = append(out, p.dossier(rules, a, tables))
	}
	return out, nil
}
