package duck

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever comes in whatever snapshots: what was shown stays shown, each part
// changes by as many persons as a step has or not at all, and nothing is held
// that has company.
func TestHeld_Property(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		step := rapid.IntRange(1, 6).Draw(r, "step")
		var all []arrival
		last := rapid.IntRange(2, 8).Draw(r, "snapshots")
		for s := 2; s <= last; s++ {
			for f := range rapid.IntRange(0, 4).Draw(r, "files") {
				a := arrival{file: fmt.Sprint(s, ".", f), snapshot: int64(s), part: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "part")}
				for p := range rapid.IntRange(0, step).Draw(r, "persons") {
					a.persons = append(a.persons, fmt.Sprint("p", (p+rapid.IntRange(0, 7).Draw(r, "from"))%8))
				}
				slices.Sort(a.persons)
				a.persons = slices.Compact(a.persons)
				all = append(all, a)
			}
		}
		before := map[string]bool{}
		for s := 2; s <= last; s++ {
			var known []arrival
			for _, a := range all {
				if a.snapshot <= int64(s) {
					known = append(known, a)
				}
			}
			back := map[string]bool{}
			for _, a := range held(known, step) {
				back[a.file] = true
			}
			shown, fresh, waiting := map[string]bool{}, map[string]map[string]bool{}, map[string]map[string]bool{}
			for _, a := range known {
				into := waiting
				switch {
				case back[a.file] && before[a.file]:
					r.Fatalf("%s was shown, and is held after snapshot %d", a.file, s)
				case back[a.file]:
				case before[a.file]:
					shown[a.file] = true
					continue
				default:
					shown[a.file], into = true, fresh
				}
				if into[a.part] == nil {
					into[a.part] = map[string]bool{}
				}
				for _, p := range a.persons {
					into[a.part][p] = true
				}
			}
			for part, persons := range fresh {
				if len(persons) < step {
					r.Fatalf("snapshot %d changes %s by %d persons, a step has %d", s, part, len(persons), step)
				}
			}
			for part, persons := range waiting {
				if len(persons) >= step {
					r.Fatalf("after snapshot %d %d persons wait in %s, a step has %d", s, len(persons), part, step)
				}
			}
			before = shown
		}
	})
}
