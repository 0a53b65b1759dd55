package disclosure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"meguri/analytics/disclosure/dossier"
)

// dossier lays a component down for an auditor: who stands behind its leaves,
// and what of its tables is shown.
// What is between two windows is a table of nothing but hidden cells.
func (p *population) dossier(tables []table) *dossier.Dossier {
	d := &dossier.Dossier{Format: dossier.Format}
	for l, parts := range p.shops {
		leaf := dossier.Leaf{Parts: []dossier.Part{}, Open: p.empty(int32(l))}
		for _, c := range parts {
			leaf.Parts = append(leaf.Parts, dossier.Part{Respondent: c.Respondent, Amount: c.Amount})
		}
		d.Leaves = append(d.Leaves, leaf)
	}
	for n, t := range tables {
		rules := t.rules
		own := dossier.Rules{Name: string(rules.Audience) + " " + rules.Version, MinRespondents: 1}
		if rules.MinShops > 0 {
			own.MinRespondents, own.Percent, own.Top, own.Share = int(rules.MinShops), rules.Percent, rules.Top, rules.Share
		}
		out := dossier.Table{Release: cmp.Or(t.release, fmt.Sprintf("%d %s", n+1, cutName(t.by))), Audience: string(rules.Audience), Rules: own,
			Measure: "net_yen", Dims: slices.Sorted(slices.Values(t.by))}
		all := p.cells(t, n)
		for i, v := range rules.verdicts(p, t, all) {
			c := all[i]
			cell := dossier.Cell{Leaves: c.leaves}
			if len(t.by) > 0 {
				cell.Keys = strings.Split(c.key, keySeparator)
			}
			switch {
			case t.between && v.why == "":
				continue
			case !t.between && !t.decided.Hidden[c.key]:
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
