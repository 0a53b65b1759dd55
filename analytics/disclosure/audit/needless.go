package audit

import (
	"context"
	"slices"

	"meguri/analytics/disclosure/dossier"
)

// needless publishes the hidden cells that are not sensitive, one at a time, and
// names those without which the rest is as well protected. Each of them could be
// published, but not all together: where one is out another may be needed.
func needless(ctx context.Context, d *dossier.Dossier, m *model, o Options) (all []Name, err error) {
	o.Needless, o.Intervals = false, false
	for i := range m.cells {
		c := &m.cells[i]
		if !c.hidden || c.shown || c.need.sensitive {
			continue
		}
		less := *d
		less.Tables = slices.Clone(d.Tables)
		value := c.value
		for _, p := range c.places { // the same sum in several tables
			t := &less.Tables[p.table]
			t.Cells = slices.Clone(t.Cells)
			t.Cells[p.cell].Value = &value
		}
		r, err := Audit(ctx, &less, o)
		if err != nil {
			return nil, err
		}
		if r.Protected {
			all = append(all, m.names(int32(i), true)...)
		}
	}
	slices.SortFunc(all, compareNames)
	return all, nil
}
