package audit_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
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
	d, p, err := instance(gatebench.Instances[0], true)
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
	t.Run("mutations", func(t *testing.T) { mutate(t, d, p) })
}

// mutate publishes hidden cells that protect others, one at a time. The auditor
// must notice; those of which it does not were hidden for nothing.
func mutate(t *testing.T, d *dossier.Dossier, p *suppress.Problem) {
	var secondary []int
	for i, c := range d.Tables[0].Cells {
		if c.Value == nil && !p.Cells[i].Sensitive {
			secondary = append(secondary, i)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(secondary), func(i, j int) { secondary[i], secondary[j] = secondary[j], secondary[i] })
	secondary = secondary[:100]
	missed := 0
	for _, i := range secondary {
		c := &d.Tables[0].Cells[i]
		c.Value = total(d, c.Leaves)
		if r := run(t, d, audit.Options{Workers: 2}); r.Protected {
			missed++
			t.Logf("hidden for nothing: %s", strings.Join(c.Keys, " · "))
		}
		c.Value = nil
	}
	t.Logf("%d of %d mutations are noticed", len(secondary)-missed, len(secondary))
	if 20*missed > len(secondary) {
		t.Errorf("%d of %d mutations are not noticed, want at most 5 %%", missed, len(secondary))
	}
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
