package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"meguri/analytics/disclosure"
	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

// small is two shops in two streets, and what is hidden of them.
func small(hidden ...int) *dossier.Dossier {
	d := &dossier.Dossier{Format: dossier.Format}
	t := dossier.Table{Release: "no. 7 (recipient acme)", Rules: dossier.Rules{Name: "recipient 1", MinRespondents: 3}, Dims: []string{"industry"}}
	total := 0.0
	for i, yen := range []float64{100, 200, 300} {
		leaf := dossier.Leaf{}
		for who := range int32(i + 2) {
			leaf.Parts = append(leaf.Parts, dossier.Part{Respondent: 10*int32(i) + who, Amount: yen})
			total += yen
		}
		d.Leaves = append(d.Leaves, leaf)
	}
	for i, l := range d.Leaves {
		c := dossier.Cell{Keys: []string{string(rune('a' + i))}, Leaves: []int32{int32(i)}}
		sum := 0.0
		for _, p := range l.Parts {
			sum += p.Amount
		}
		c.Value = &sum
		for _, h := range hidden {
			if h == i {
				c.Value = nil
			}
		}
		t.Cells = append(t.Cells, c)
	}
	t.Cells = append(t.Cells, dossier.Cell{Keys: []string{""}, Leaves: []int32{0, 1, 2}, Value: &total})
	d.Tables = append(d.Tables, t)
	return d
}

// The command says that all is well only of what was audited to the end, and
// names the readers and the releases otherwise.
func TestGateAudit_SaysOKOnlyWhenItIs(t *testing.T) {
	spoilt := small(0, 1)
	spoilt.Leaves[2].Parts[0].Amount = math.NaN()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		d    *dossier.Dossier
		want error
		says []string
	}{
		"protected":       {t.Context(), small(0, 1), nil, nil},
		"by subtraction":  {t.Context(), small(0), nil, []string{"acme with univ, group 1 of 1", "not protected", "no. 7 (recipient acme)"}},
		"no number":       {t.Context(), spoilt, audit.ErrMalformed, []string{"acme with univ"}},
		"out of time":     {over, small(0, 1), audit.ErrNotAudited, []string{"acme with univ"}},
		"one bad, of two": {t.Context(), nil, nil, []string{"group 2 of 2: not protected"}},
	} {
		for _, format := range []string{"text", "json"} {
			a := auditing{out: &bytes.Buffer{}, format: format, lang: "en"}
			h := disclosure.Holding{Who: []string{"acme", "univ"}, Dossiers: []*dossier.Dossier{c.d}}
			if c.d == nil {
				h.Dossiers = []*dossier.Dossier{small(0, 1), small(0)}
			}
			err := a.holdings(c.ctx, []disclosure.Holding{h})
			if (err == nil) != (c.says == nil) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: got %v", name, err)
			}
			for _, text := range c.says {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("%s: %v does not say %q", name, err, text)
				}
			}
		}
	}
}
