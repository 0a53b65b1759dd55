package disclosure

import "testing"

// What the gate adds to a page whose tables were released before.
func BenchmarkRelease_Warm(b *testing.B) {
	g := newGate(newTown(1, 4000))
	q := ask("M01a", "2026-04-01", "2026-04-30", "industry")
	mustRelease(b, g, q, City)
	for b.Loop() {
		mustRelease(b, g, q, City)
	}
}
