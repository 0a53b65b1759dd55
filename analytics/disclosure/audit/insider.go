package audit

import "math"

// insiders attacks a cell as every respondent that could know better than an
// outsider: those that have a part in the witness against outsiders. With
// coalitions also as every two of them: two of which none has a part in it know
// no more than an outsider, and when one of them has none in the witness against
// the other, they know no more than that one.
func (w *worker) insiders(t *target) error {
	n := &w.m.cells[t.cell].need
	if n.percent == 0 && n.unit == 0 || len(t.open) == 0 || t.open[0].sign < 0 || t.open[0].met < 0 {
		return nil // nobody to attack, or outsiders know too much already
	}
	w.tally.take(w.m.leaves.of(t.cell))
	for _, r := range w.parties(t.open[0].met, nil) {
		alone := pair{r, -1}
		if n.percent > 0 {
			if err := w.estimate(t, alone); err != nil {
				return err
			}
		}
		if n.unit > 0 {
			if err := w.certain(t, alone); err != nil {
				return err
			}
		}
	}
	return nil
}

// parties are the respondents with a part in a witness, and those of a list.
func (w *worker) parties(n int32, more []int32) []int32 {
	w.stamp++
	var all []int32
	take := func(r int32) {
		if w.seen[r] != w.stamp {
			w.seen[r] = w.stamp
			all = append(all, r)
		}
	}
	for _, l := range w.pool[n].leaves {
		for _, r := range w.m.parts.of(l) {
			take(r)
		}
	}
	for _, r := range more {
		take(r)
	}
	return all
}

// missing is by how much a cell must be able to be larger so that an attacker
// does not come within p % of the largest one of the others: the attacker takes
// its own part off the most that the cell can be. 0 is nothing to fear.
func (w *worker) missing(t *target, a pair) float64 {
	c := &w.m.cells[t.cell]
	largest := w.tally.largest(a)
	need := w.tally.own(a) + (1+c.need.percent/100)*largest - c.value
	if largest == 0 || need <= 1e-9*c.value {
		return 0
	}
	return need
}

// estimate plays the p % rule: one respondent, and with coalitions everybody who
// could help.
func (w *worker) estimate(t *target, alone pair) error {
	need := w.missing(t, alone)
	if w.m.cells[t.cell].need.crowd < 2 {
		if need == 0 {
			return nil
		}
		w.inside++
		return w.meet(demand{t.cell, alone, 1, need})
	}
	// One witness that is far enough for any second respondent spares looking at
	// most of them. It may be too much to ask; then the first one's own will do.
	most := need
	for _, r := range w.tally.who {
		if r != alone[0] {
			most = math.Max(most, w.missing(t, pair{alone[0], r}))
		}
	}
	if most == 0 {
		return nil
	}
	w.inside++
	n, _, err := w.find(demand{t.cell, alone, 1, most})
	if err != nil {
		return err
	}
	shown := most
	if n < 0 {
		if shown = need; need == 0 {
			return w.pairs(t, alone, -1, 0, w.missing)
		}
		d := demand{t.cell, alone, 1, need}
		var reached float64
		if n, reached, err = w.find(d); err != nil {
			return err
		}
		if n < 0 {
			w.violate(d, reached)
			return nil // what one knows, two know
		}
	}
	return w.pairs(t, alone, n, shown, w.missing)
}

// pairs plays a respondent with everybody who could help: those with a part in
// the witness against the first one, and those for whom more is needed than it
// shows.
func (w *worker) pairs(t *target, alone pair, n int32, shown float64, missing func(*target, pair) float64) error {
	var list []int32
	if n >= 0 {
		list = w.parties(n, w.tally.who)
	} else {
		list = w.tally.who
	}
	for _, r := range list {
		both := pair{alone[0], r}
		if r == alone[0] {
			continue
		}
		need := missing(t, both)
		if need == 0 || need <= shown && !w.has(n, r) {
			continue
		}
		w.together++
		if err := w.meet(demand{t.cell, both, 1, need}); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether a respondent has a part in a witness.
func (w *worker) has(n, respondent int32) bool {
	for _, l := range w.pool[n].leaves {
		if w.m.own(l, respondent) > 0 {
			return true
		}
	}
	return false
}

// meet meets a demand of insiders, or reports the violation.
func (w *worker) meet(d demand) error {
	n, reached, err := w.find(d)
	if err != nil {
		return err
	}
	if n < 0 {
		w.violate(d, reached)
	}
	return nil
}

// certain plays the minimum of respondents: nobody may compute a cell exactly in
// which there is somebody else. Whether it could be larger or smaller does not
// matter.
func (w *worker) certain(t *target, alone pair) error {
	n, err := w.uncertain(t, alone)
	if err != nil || n < 0 || w.m.cells[t.cell].need.crowd < 2 {
		return err
	}
	for _, r := range w.parties(n, nil) {
		if r == alone[0] {
			continue
		}
		if _, err := w.uncertain(t, pair{alone[0], r}); err != nil {
			return err
		}
	}
	return nil
}

// uncertain finds a witness that a cell could be larger or smaller, or reports
// the violation and returns -1.
func (w *worker) uncertain(t *target, a pair) (int32, error) {
	c := &w.m.cells[t.cell]
	others := c.value - w.tally.own(a)
	if others <= 1e-9*c.value {
		return -1, nil
	}
	if a[1] < 0 {
		w.inside++
	} else {
		w.together++
	}
	up := demand{t.cell, a, 1, c.need.unit}
	down := demand{t.cell, a, -1, math.Min(c.need.unit, others)}
	for i := len(t.movers) - 1; i >= 0; i-- {
		for _, d := range []demand{up, down} {
			if v := t.movers[i]; w.shows(&w.pool[v.witness], v.change, d) {
				w.reused++
				return v.witness, nil
			}
		}
	}
	n, reached, err := w.solve(up)
	if err != nil || n >= 0 {
		return n, err
	}
	if n, _, err = w.solve(down); err != nil || n >= 0 {
		return n, err
	}
	w.violate(up, reached)
	return -1, nil
}
