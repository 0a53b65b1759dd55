package disclosure

import (
	"context"
	"errors"
	"testing"

	"meguri/analytics/disclosure/budget"
)

// IC-9: nothing is released for a purpose that is not in force, not even what was
// released before, and the register says for which purpose everything was.
func TestPurpose_NoneInForceNoRelease(t *testing.T) {
	ended := map[string]bool{"advertising": true}
	register := &memoryRegister{}
	g := &Gate{Engine: newTown(4, 2000), Now: after, Register: register, Purpose: Purpose{Own: "statistics", InForce: func(_ context.Context, p string) error {
		if ended[p] {
			return errors.New("it has ended")
		}
		return nil
	}}}
	q := ask("M01a", "2026-04-01", "2026-04-30", "industry")
	if _, err := g.Release(For(t.Context(), "advertising"), q, Public); !errors.Is(err, ErrPurpose) {
		t.Errorf("got %v, want ErrPurpose", err)
	}
	mustRelease(t, g, q, Public)
	if _, err := g.ReleaseTo(For(t.Context(), "research"), q, Recipient, "r"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"statistics", "research"} {
		if got := register.records[i].Purpose(); got != want {
			t.Errorf("entry %d is for %q, want %q", i, got, want)
		}
	}
	ended["statistics"] = true
	if _, err := g.Release(t.Context(), q, Public); !errors.Is(err, ErrPurpose) {
		t.Errorf("released before: got %v, want ErrPurpose", err)
	}
	n := &Noise{Store: &budget.Memory{}, Now: after, Purpose: g.Purpose}
	if _, err := n.Answer(t.Context(), "r", NoiseTerms{}, after(), NoisyQuestion{}); !errors.Is(err, ErrPurpose) {
		t.Errorf("noise: got %v, want ErrPurpose", err)
	}
}
