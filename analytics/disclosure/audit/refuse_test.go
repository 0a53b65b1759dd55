package audit_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
	"meguri/internal/gatebench"
)

func TestAudit_Refuses(t *testing.T) {
	value := func(v float64) *float64 { return &v }
	for name, c := range map[string]struct {
		spoil func(*dossier.Dossier)
		want  error
		says  string
	}{
		"a part that is no number":       {func(d *dossier.Dossier) { d.Leaves[0].Parts[0].Amount = math.NaN() }, audit.ErrMalformed, "leaf 0"},
		"an infinite part":               {func(d *dossier.Dossier) { d.Leaves[1].Parts[0].Amount = math.Inf(1) }, audit.ErrMalformed, "leaf 1"},
		"a negative part":                {func(d *dossier.Dossier) { d.Leaves[2].Parts[0].Amount = -1 }, audit.ErrMalformed, "leaf 2"},
		"a value that is no number":      {func(d *dossier.Dossier) { d.Tables[0].Cells[0].Value = value(math.NaN()) }, audit.ErrMalformed, "Total · Total"},
		"a protection that is no number": {func(d *dossier.Dossier) { d.Tables[0].Cells[0].Up = math.NaN() }, audit.ErrMalformed, "Total · Total"},
		"a negative protection":          {func(d *dossier.Dossier) { d.Tables[0].Cells[0].Down = -1 }, audit.ErrMalformed, "Total · Total"},
		"a leaf that is not there":       {func(d *dossier.Dossier) { d.Tables[0].Cells[0].Leaves[0] = 99 }, audit.ErrMalformed, "Total · Total"},
		"a sum that is none":             {func(d *dossier.Dossier) { *d.Tables[0].Cells[0].Value += 0.5 }, audit.ErrInconsistent, `table "t" cell "Total · Total"`},
		"an empty cell with a value": {func(d *dossier.Dossier) {
			d.Tables[0].Cells = append(d.Tables[0].Cells, dossier.Cell{Keys: []string{"c"}, Value: value(3)})
		}, audit.ErrInconsistent, `"c"`},
		"two values of one sum": {func(d *dossier.Dossier) {
			one := d.Tables[0].Cells[0]
			one.Value, one.Keys = value(1234), []string{"again"}
			d.Tables = append(d.Tables, dossier.Table{Release: "u", Rules: p10, Cells: []dossier.Cell{one}})
		}, audit.ErrInconsistent, `table "u" cell "again"`},
		"something known without a value": {func(d *dossier.Dossier) { d.Known = []dossier.Cell{{Leaves: []int32{0}}} }, audit.ErrMalformed, "known"},
		"a known sum that is none": {func(d *dossier.Dossier) {
			d.Known = []dossier.Cell{{Keys: []string{"budget"}, Leaves: []int32{0}, Value: value(1)}}
		}, audit.ErrInconsistent, "budget"},
		"no rule":             {func(d *dossier.Dossier) { d.Tables[0].Rules = dossier.Rules{Name: "none"} }, audit.ErrMalformed, `rules "none"`},
		"a larger coalition":  {func(d *dossier.Dossier) { d.Tables[0].Rules.Coalition = 3 }, audit.ErrMalformed, "coalitions"},
		"n without k":         {func(d *dossier.Dossier) { d.Tables[0].Rules.Top = 2 }, audit.ErrMalformed, "(n, k)"},
		"a percentage of NaN": {func(d *dossier.Dossier) { d.Tables[0].Rules.Percent = math.NaN() }, audit.ErrMalformed, "percentage"},
	} {
		b := square()
		b.table("t", p10, sides, "a|x", "a|y", "b|x", "b|y")
		c.spoil(&b.d)
		r, err := audit.Audit(context.Background(), &b.d, audit.Options{})
		if r != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, %v, want no report, and an error with %q", name, r, err, c.says)
		}
	}
}

func TestAudit_CancelledIsNoPass(t *testing.T) {
	b := square()
	b.table("t", p10, sides, "a|x", "a|y", "b|x", "b|y")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := audit.Audit(ctx, &b.d, audit.Options{})
	if r != nil || !errors.Is(err, audit.ErrNotAudited) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want no report", r, err)
	}
}

func TestAudit_CancelledMidwayIsNoPass(t *testing.T) {
	d, _, err := instance(gatebench.Instances[0], false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if r, err := audit.Audit(ctx, d, audit.Options{}); r != nil || !errors.Is(err, audit.ErrNotAudited) {
		t.Errorf("got %v, %v, want no report", r, err)
	}
}

func TestAudit_CancelsWithinALeafAreNoParts(t *testing.T) {
	b := square()
	b.leaf("b|y", part(7, 50), part(7, -50))
	b.table("t", p10, sides, "a|x", "a|y", "b|x", "b|y")
	if r := run(t, &b.d, audit.Options{}); !r.Protected {
		t.Errorf("%+v, want no violation", r.Violations)
	}
}
