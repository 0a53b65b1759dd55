package perturb

import "slices"

// search decides by search where no network can: a walk that repairs sums that
// are out of bounds, then trying everything. If neither finds a strict answer,
// the best one is taken in which sums are out by no more than relaxation allows.
func (m *rounding) search() (up []int8, found, impossible bool) {
	w := m.walk(false)
	if w.done() {
		return w.up, true, false
	}
	up, found, impossible = m.try()
	switch {
	case found:
		return up, true, false
	case w.best != nil:
		return w.best, true, impossible
	}
	if w = m.walk(true); w.done() {
		return w.up, true, impossible
	}
	return nil, false, impossible
}

// walk is a local search over which leaves go up. Each sum that is out of
// bounds costs its weight for every unit; weights of sums that stay out grow, so
// that the walk leaves dead ends (breakout: Morris 1993).
type walk struct {
	m      *rounding
	up     []int8
	count  []int64 // of each sum, how many leaves go up
	low    []int64
	high   []int64
	weight []int64
	bad    []int32 // sums out of bounds, in any order
	at     []int32 // place of each sum in bad, or −1
	tabu   []int   // step before which a leaf does not move again
	best   []int8  // within relaxed bounds, with the fewest sums out
	fewest int
	over   int // sums outside of relaxed bounds
}

func (w *walk) done() bool { return len(w.bad) == 0 }

func (m *rounding) walk(relaxed bool) *walk {
	n := len(m.sums)
	w := &walk{m: m, up: make([]int8, len(m.leaf)), count: make([]int64, n), low: make([]int64, n), high: make([]int64, n),
		weight: make([]int64, n), at: make([]int32, n), tabu: make([]int, len(m.leaf))}
	for a, r := range m.rest {
		if m.keyed && m.rand.Int64N(m.base) < r || !m.keyed && 2*r >= m.base {
			w.up[a] = 1
			for _, i := range m.of[a] {
				w.count[i]++
			}
		}
	}
	for i := range m.sums {
		s := &m.sums[i]
		w.low[i], w.high[i], w.weight[i], w.at[i] = s.low, s.high, 1, -1
		if relaxed {
			w.low[i], w.high[i] = s.wlow, s.whigh
		}
		w.over += w.wide(int32(i))
		w.note(int32(i))
	}
	for step := 1; !w.done() && step < m.effort; {
		step += w.move(step)
	}
	return w
}

func (w *walk) off(i int32, count int64) int64 { return max(0, w.low[i]-count, count-w.high[i]) }

func (w *walk) wide(i int32) int {
	if s := &w.m.sums[i]; w.count[i] < s.wlow || w.count[i] > s.whigh {
		return 1
	}
	return 0
}

// note keeps bad right for a sum.
func (w *walk) note(i int32) {
	out := w.off(i, w.count[i]) > 0
	switch {
	case out && w.at[i] < 0:
		w.at[i] = int32(len(w.bad))
		w.bad = append(w.bad, i)
	case !out && w.at[i] >= 0:
		last := w.bad[len(w.bad)-1]
		w.bad[w.at[i]], w.at[last] = last, w.at[i]
		w.bad = w.bad[:len(w.bad)-1]
		w.at[i] = -1
	}
}

// gain is by how much flipping a leaf lowers the cost.
func (w *walk) gain(a int32) int64 {
	d := int64(1 - 2*w.up[a])
	var g int64
	for _, i := range w.m.of[a] {
		g += w.weight[i] * (w.off(i, w.count[i]) - w.off(i, w.count[i]+d))
	}
	return g
}

// move flips the best leaf of a sum that is out of bounds, and returns the
// number of steps that looking for it took.
func (w *walk) move(step int) int {
	i := w.bad[w.m.rand.IntN(len(w.bad))]
	want := int8(1)
	if w.count[i] < w.low[i] {
		want = 0
	}
	pick, best := int32(-1), int64(0)
	leaves := w.m.sums[i].leaves
	looks := 1
	// Long sums are looked at in part.
	begin := 0
	if len(leaves) > 64 {
		begin = w.m.rand.IntN(len(leaves))
	}
	for k := 0; k < len(leaves) && (k < 64 || pick < 0); k++ {
		a := leaves[(begin+k)%len(leaves)]
		if w.up[a] != want || w.tabu[a] > step {
			continue
		}
		looks += len(w.m.of[a])
		if g := w.gain(a); pick < 0 || g > best {
			pick, best = a, g
		}
	}
	if pick < 0 {
		return looks
	}
	if best <= 0 {
		for _, b := range w.bad {
			w.weight[b]++
		}
	}
	w.flip(pick)
	w.tabu[pick] = step + looks*(2+w.m.rand.IntN(6))
	if w.over == 0 && (w.best == nil || len(w.bad) < w.fewest) {
		w.best, w.fewest = slices.Clone(w.up), len(w.bad)
	}
	return looks
}

func (w *walk) flip(a int32) {
	d := int64(1 - 2*w.up[a])
	w.up[a] = 1 - w.up[a]
	for _, i := range w.m.of[a] {
		w.over -= w.wide(i)
		w.count[i] += d
		w.over += w.wide(i)
		w.note(i)
	}
}

// attempt is trying everything with propagation: a sum that has as many leaves
// up as it may takes no more, and one that needs all that are left takes them.
type attempt struct {
	m     *rounding
	value []int8 // −1 open
	ups   []int64
	open  []int64 // leaves of each sum that are open
	trail []int32
	steps int
}

// try looks for a strict answer. impossible says that there is none; if neither
// is true, the effort was used up.
func (m *rounding) try() (up []int8, found, impossible bool) {
	t := &attempt{m: m, value: make([]int8, len(m.leaf)), ups: make([]int64, len(m.sums)), open: make([]int64, len(m.sums)), steps: m.effort}
	for a := range t.value {
		t.value[a] = -1
	}
	all := make([]int32, len(m.sums))
	for i := range m.sums {
		all[i] = int32(i)
		t.open[i] = int64(len(m.sums[i].leaves))
	}
	if !t.propagate(all) {
		return nil, false, true
	}
	type choice struct {
		leaf  int32
		mark  int // length of the trail before
		again bool
	}
	var stack []choice
	for t.steps > 0 {
		a := t.next()
		if a < 0 {
			return t.value, true, false
		}
		first := int8(0)
		if 2*m.rest[a] >= m.base {
			first = 1
		}
		stack = append(stack, choice{a, len(t.trail), false})
		ok := t.set(a, first) && t.propagate(m.of[a])
		for !ok && t.steps > 0 {
			for len(stack) > 0 && stack[len(stack)-1].again {
				stack = stack[:len(stack)-1]
			}
			if len(stack) == 0 {
				return nil, false, true
			}
			c := &stack[len(stack)-1]
			tried := t.value[c.leaf]
			t.undo(c.mark)
			c.again = true
			ok = t.set(c.leaf, 1-tried) && t.propagate(m.of[c.leaf])
		}
	}
	return nil, false, false
}

// next is an open leaf of the sum with the fewest open ones, or −1.
func (t *attempt) next() int32 {
	best := int32(-1)
	for i, n := range t.open {
		if n > 0 && (best < 0 || n < t.open[best]) {
			best = int32(i)
		}
	}
	t.steps -= len(t.open)
	if best >= 0 {
		for _, a := range t.m.sums[best].leaves {
			if t.value[a] < 0 {
				return a
			}
		}
	}
	return int32(slices.Index(t.value, -1))
}

// set gives a leaf its value and reports whether no sum is hurt at once.
func (t *attempt) set(a int32, v int8) bool {
	t.value[a] = v
	t.trail = append(t.trail, a)
	ok := true
	for _, i := range t.m.of[a] {
		t.open[i]--
		t.ups[i] += int64(v)
		s := &t.m.sums[i]
		ok = ok && t.ups[i] <= s.high && t.ups[i]+t.open[i] >= s.low
	}
	t.steps -= 1 + len(t.m.of[a])
	return ok
}

func (t *attempt) undo(mark int) {
	for _, a := range t.trail[mark:] {
		for _, i := range t.m.of[a] {
			t.open[i]++
			t.ups[i] -= int64(t.value[a])
		}
		t.value[a] = -1
	}
	t.trail = t.trail[:mark]
}

func (t *attempt) propagate(sums []int32) bool {
	queue := slices.Clone(sums)
	for ; len(queue) > 0; queue = queue[1:] {
		i := queue[0]
		s := &t.m.sums[i]
		if t.ups[i] > s.high || t.ups[i]+t.open[i] < s.low {
			return false
		}
		force := int8(-1)
		switch {
		case t.open[i] == 0:
			continue
		case t.ups[i] == s.high:
			force = 0
		case t.ups[i]+t.open[i] == s.low:
			force = 1
		default:
			continue
		}
		for _, a := range s.leaves {
			if t.value[a] >= 0 {
				continue
			}
			if !t.set(a, force) {
				return false
			}
			queue = append(queue, t.m.of[a]...)
		}
	}
	return true
}
