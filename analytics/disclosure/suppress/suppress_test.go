package suppress_test

import (
	"slices"
	"testing"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/suppress"
	"meguri/internal/gatebench"
)

func TestProtect_Instances(t *testing.T) {
	p, _ := gatebench.Instances[0].Table().Problem(10, suppress.Root)
	p.ByPercent()
	r, err := suppress.Protect(p)
	if err != nil {
		t.Fatal(err)
	}
	if r.Primary != 659 || r.Secondary > 225 {
		t.Errorf("%d primary and %d secondary cells are hidden, want 659 and at most 225", r.Primary, r.Secondary)
	}
	if open := r.Verify(p); len(open) > 0 {
		t.Errorf("%d cells have no proof", len(open))
	}
}

// Tables of ten thousand cells are protected as those of a million are, and
// stand the attack of the auditor.
func TestProtect_LargeTables(t *testing.T) {
	most := []float64{0.05, 1} // secondary for each primary
	for i, c := range gatebench.Small {
		f, err := gatebench.RunCounts(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if f.Outsider > 0 || f.Cells < 10_000 || f.Primary < f.Cells/50 || float64(f.Secondary) > most[i]*float64(f.Primary) {
			t.Errorf("%s: %+v", c.Name, f)
		}
	}
}

// Hierarchies and respondents that attack do no harm to boxes: what has none is
// left to linear programmes.
func TestProtect_BoxesInAHierarchy(t *testing.T) {
	p, keys := gatebench.Instances[0].Table().Problem(10, suppress.Root)
	p.ByPercent()
	r, err := suppress.ProtectByBoxes(p)
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Audit(t.Context(), gatebench.Dossier(p, keys, r, 10), audit.Options{})
	if err != nil || !report.Protected {
		t.Errorf("%v, violations %v", err, report)
	}
	if open := r.Verify(p); len(open) > 0 || r.Primary != 659 || r.Secondary > 2*225 {
		t.Errorf("%d cells have no proof; %d primary and %d secondary", len(open), r.Primary, r.Secondary)
	}
}

// Verify finds what is wrong: a hidden cell that is published, a proof that asks
// too little, an amount that is smaller than it was.
func TestVerify_FindsWhatIsNotProved(t *testing.T) {
	make := func() (*suppress.Problem, *suppress.Result) {
		p, _ := gatebench.Counts{Seed: 1, Sizes: []int{30, 30}}.Problem()
		r, err := suppress.ProtectByBoxes(p)
		if err != nil {
			t.Fatal(err)
		}
		if open := r.Verify(p); len(open) > 0 || r.Primary < 20 {
			t.Fatalf("%d primary, %v have no proof", r.Primary, open)
		}
		return p, r
	}
	p, r := make()
	for i := range p.Cells {
		if r.Hidden[i] && !p.Cells[i].Sensitive {
			r.Hidden[i] = false
			if len(r.Verify(p)) == 0 {
				t.Errorf("cell %d is published, and every proof holds", i)
			}
			r.Hidden[i] = true
		}
	}
	at := slices.IndexFunc(p.Cells, func(c suppress.Cell) bool { return c.Sensitive })
	p.Cells[at].Down = 1e9
	if open := r.Verify(p); !slices.Equal(open, []int{at}) {
		t.Errorf("cells %v have no proof, want %d", open, at)
	}
	p, r = make()
	for l := range p.Leaves {
		p.Leaves[l] = []suppress.Contribution{{Amount: 1}}
	}
	if len(r.Verify(p)) == 0 {
		t.Error("leaves of 1 are moved by more")
	}
}
