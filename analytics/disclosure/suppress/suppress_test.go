package suppress_test

import (
	"testing"

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
}
