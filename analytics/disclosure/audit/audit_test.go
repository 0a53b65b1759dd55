package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
	"meguri/analytics/disclosure/suppress"
	"meguri/internal/gatebench"
)

// instance is one of the made-up cities as a dossier. What is hidden was chosen
// by the engine, or is just what is sensitive.
func instance(in gatebench.Instance, protect bool) (*dossier.Dossier, *suppress.Problem, error) {
	p, keys := in.Table().Problem(10, suppress.Root)
	p.ByPercent()
	hidden := make([]bool, len(p.Cells))
	for i := range p.Cells {
		hidden[i] = p.Cells[i].Sensitive
	}
	if protect {
		r, err := suppress.Protect(p)
		if err != nil {
			return nil, nil, err
		}
		hidden = r.Hidden
	}
	d := &dossier.Dossier{}
	for _, l := range p.Leaves {
		var leaf dossier.Leaf
		for _, c := range l {
			leaf.Parts = append(leaf.Parts, part(c.Respondent, c.Amount))
		}
		d.Leaves = append(d.Leaves, leaf)
	}
	t := dossier.Table{Release: in.Name, Rules: p10, Dims: []string{"area", "industry", "age"}}
	for i, c := range p.Cells {
		cell := dossier.Cell{Keys: keys[i], Leaves: c.Leaves}
		if !hidden[i] {
			cell.Value = total(d, c.Leaves)
		}
		t.Cells = append(t.Cells, cell)
	}
	d.Tables = []dossier.Table{t}
	return d, p, nil
}

func total(d *dossier.Dossier, leaves []int32) *float64 {
	sum := 0.0
	for _, l := range leaves {
		for _, p := range d.Leaves[l].Parts {
			sum += p.Amount
		}
	}
	return &sum
}

func TestAudit_ProtectedInstance(t *testing.T) {
	d, _, err := instance(gatebench.Instances[0], true)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, d, audit.Options{Workers: 2})
	if !r.Protected || r.Sensitive != 659 || r.Outsider == 0 || r.Respondents == 0 {
		t.Errorf("protected %v, %d sensitive, %d and %d questions, %v", r.Protected, r.Sensitive, r.Outsider, r.Respondents, r.Violations)
	}
	if r.Least == nil || r.Least.Margin < 1 {
		t.Errorf("the least margin is %v, want at least 1", r.Least)
	}
	// The verdict does not depend on who works.
	if one := run(t, d, audit.Options{Workers: 1}); one.Protected != r.Protected {
		t.Error("one worker and two workers do not agree")
	}
}

// Publishing any one of the cells that are hidden to protect others is noticed,
// in at least 95 of 100; the report lists the rest, which were hidden for
// nothing.
func TestAudit_NoticesEachMutation(t *testing.T) {
	all, noticed := 0, 0
	for seed := range uint64(4) {
		in := gatebench.Instance{
			Name: fmt.Sprint("small ", seed), Seed: seed, Wards: 2, Districts: 3, Groups: 2, Industries: 3, AgeBand: 4, Shops: 60, Persons: 400, Payments: 2500,
		}
		d, p, err := instance(in, true)
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, d, audit.Options{Workers: 2, Needless: true})
		for i := range d.Tables[0].Cells {
			if c := &d.Tables[0].Cells[i]; c.Value == nil && !p.Cells[i].Sensitive {
				protected := published(t, d, c)
				listed := slices.ContainsFunc(r.Needless, func(n audit.Name) bool { return slices.Equal(n.Keys, c.Keys) })
				if protected != listed {
					t.Errorf("%s: without %v the rest is protected: %v, and it is listed as hidden for nothing: %v", in.Name, c.Keys, protected, listed)
				}
				if all++; !protected {
					noticed++
				}
			}
		}
	}
	// Of the large one, some.
	d, p, err := instance(gatebench.Instances[0], true)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, i := range random.Perm(len(d.Tables[0].Cells)) {
		if c := &d.Tables[0].Cells[i]; c.Value == nil && !p.Cells[i].Sensitive && random.IntN(6) == 0 {
			if all++; !published(t, d, c) {
				noticed++
			}
		}
	}
	t.Logf("%d of %d mutations are noticed", noticed, all)
	if all < 250 || 20*noticed < 19*all {
		t.Errorf("%d of %d mutations are noticed, want at least 95 of 100", noticed, all)
	}
}

// published reports whether a dossier is protected with one cell published.
func published(t *testing.T, d *dossier.Dossier, c *dossier.Cell) bool {
	t.Helper()
	c.Value = total(d, c.Leaves)
	defer func() { c.Value = nil }()
	return run(t, d, audit.Options{Workers: 2}).Protected
}

func TestAudit_UnprotectedInstance(t *testing.T) {
	d, _, err := instance(gatebench.Instances[0], false)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, d, audit.Options{Workers: 2})
	t.Logf("%d violations in %.2f s", len(r.Violations), r.Seconds)
	if r.Protected || len(r.Violations) < 50 {
		t.Errorf("%d violations, want many: only sensitive cells are hidden", len(r.Violations))
	}
}

func TestReport_SpeaksBothLanguages(t *testing.T) {
	b := square()
	b.table("t", p10, sides, "a|x")
	r := run(t, &b.d, audit.Options{Intervals: true})
	for lang, want := range map[string]string{"en": "NOT PROTECTED: 2 violations", "ja": "違反 2 件"} {
		var text bytes.Buffer
		if err := r.Text(&text, lang); err != nil || !strings.Contains(text.String(), want) || !strings.Contains(text.String(), "a · x") {
			t.Errorf("%s: %v: %s", lang, err, text.String())
		}
	}
	if err := r.Text(&bytes.Buffer{}, "fr"); err == nil {
		t.Error("a report in French")
	}
	var out bytes.Buffer
	if err := r.JSON(&out); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["protected"] != false || back["format"] != audit.Format {
		t.Errorf("%v: %s", err, out.String())
	}
}

func BenchmarkAudit(b *testing.B) {
	for _, in := range gatebench.Instances[:2] {
		b.Run(in.Name, func(b *testing.B) {
			d, _, err := instance(in, true)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r := run(b, d, audit.Options{Workers: 2})
				b.ReportMetric(float64(len(r.Violations)), "violations")
				b.ReportMetric(float64(r.Programmes), "programs")
			}
		})
	}
}
