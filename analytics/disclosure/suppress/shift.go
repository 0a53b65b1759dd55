package suppress

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"meguri/internal/simplex"
)

// outsider is the attacker who is no respondent.
const outsider = -1

// demand is that a cell can be shifted: an attacker must not be able to tell the
// table from one in which the cell is larger, or smaller, by so much.
type demand struct {
	cell, attacker int32
	sign           float64 // +1 larger, −1 smaller
	need           float64
}

// move is a movement of the leaves that changes no published cell.
type move []simplex.Term

// proof is a move, and the demands that are met by it.
type proof struct {
	move   move
	serves []demand
	dead   bool
}

// still is a movement that is none, in the unit of the table.
const still = 1e-6

// prover finds proofs, for some of the sensitive cells.
type prover struct {
	m         *model
	hidden    []bool
	regions   [2]*region // one of each size
	decisions int        // changes of hidden so far
	wide      *region    // for repair
	lower     []float64
	upper     []float64

	pool   []move             // moves to try first
	at     [][]int32          // of each leaf: moves of the pool that go through it
	proofs map[int32][]*proof // of each sensitive cell
	by     map[int32][]*proof // of each attacker
	users  map[int32][]*proof // of each hidden cell that is not sensitive: those that change it
	open   map[int32][]demand // of each sensitive cell: demands of outsiders that are not met yet
	failed []demand           // that cannot be met

	d       []float64 // of each leaf, for greedy
	changes []float64 // of each cell, for spread

	solved int // linear programmes

	boxes *boxes // of large tables
	hasty bool   // nothing but boxes is looked for
}

func newProver(m *model, hidden []bool, pool []move) *prover {
	k := &prover{
		m: m, hidden: hidden, at: make([][]int32, len(m.value)),
		proofs: map[int32][]*proof{}, by: map[int32][]*proof{}, users: map[int32][]*proof{}, open: map[int32][]demand{},
		d: make([]float64, len(m.value)), changes: make([]float64, len(m.cells)),
		regions: [2]*region{newRegion(m), newRegion(m)}, wide: newRegion(m),
	}
	for _, mv := range pool {
		k.learn(mv)
	}
	return k
}

// learn puts a move into the pool.
func (k *prover) learn(mv move) {
	n := int32(len(k.pool))
	k.pool = append(k.pool, mv)
	for _, t := range mv {
		k.at[t.Column] = append(k.at[t.Column], n)
	}
}

// demands are what a sensitive cell needs from outsiders.
func (k *prover) demands(cell int32) []demand {
	c := &k.m.cells[cell]
	var all []demand
	if c.Up > still {
		all = append(all, demand{cell, outsider, 1, c.Up})
	}
	if c.Down > still {
		all = append(all, demand{cell, outsider, -1, c.Down})
	}
	return all
}

// prove proves every demand of some sensitive cells.
func (k *prover) prove(cells []int32) {
	for _, c := range cells {
		k.open[c] = k.demands(c)
	}
	for _, c := range cells {
		for len(k.open[c]) > 0 {
			d := k.open[c][0]
			k.open[c] = k.open[c][1:]
			if p := k.find(d); p != nil {
				k.spread(p)
			} else {
				k.failed = append(k.failed, d)
			}
		}
	}
	for _, c := range cells {
		k.insiders(c)
	}
}

// find looks for a proof of a demand: among those of the same cell and the same
// attacker, by moves of the pool, by linear programming.
func (k *prover) find(d demand) *proof {
	for _, p := range k.proofs[d.cell] {
		if !p.dead && k.meets(p.move, d) {
			p.serves = append(p.serves, d)
			return p
		}
	}
	if d.attacker != outsider {
		for _, p := range k.by[d.attacker] {
			if !p.dead && k.meets(p.move, d) {
				k.keep(p, d)
				return p
			}
		}
	}
	if mv := k.box(d); mv != nil {
		p := &proof{move: mv}
		k.keep(p, d)
		return p
	}
	if k.hasty {
		return nil
	}
	mv := k.greedy(d)
	if mv == nil {
		if mv = k.solve(d); mv == nil {
			return nil
		}
		k.learn(mv)
	}
	p := &proof{move: mv}
	k.keep(p, d)
	return p
}

// change is how much a move changes a cell.
func (k *prover) change(mv move, cell int32) float64 {
	leaves := k.m.cells[cell].Leaves
	sum := 0.0
	if len(leaves) == 1 {
		if i, found := slices.BinarySearchFunc(mv, leaves[0], func(t simplex.Term, l int32) int { return cmp.Compare(t.Column, l) }); found {
			return mv[i].Value
		}
		return 0
	}
	for _, t := range mv {
		if _, found := slices.BinarySearch(leaves, t.Column); found {
			sum += t.Value
		}
	}
	return sum
}

// least is what an attacker knows that a leaf has at least, and whether it knows
// the leaf: the others in it are no less than the floor. If they are, the attacker
// is taken to know that the leaf is no smaller than it is.
func (m *model) least(leaf, attacker int32) (least float64, all bool) {
	if attacker == outsider {
		return m.floor, false
	}
	own := m.own(leaf, attacker)
	return math.Min(m.value[leaf], m.floor+math.Max(0, own)), len(m.parts[leaf]) == 1 && own != 0
}

// factor is how many times a move that changes a cell has to be made to meet a
// demand.
func (m *model) factor(d demand, change float64) float64 {
	if m.whole {
		return math.Copysign(math.Ceil(d.need/math.Abs(change)-still), d.sign*change)
	}
	return d.sign * d.need / change
}

// meets reports whether a move, enlarged or turned round as need be, meets a
// demand.
func (k *prover) meets(mv move, d demand) bool {
	change := k.change(mv, d.cell)
	if math.Abs(change) < still {
		return false
	}
	factor := k.m.factor(d, change)
	for _, t := range mv {
		by := factor * t.Value
		if math.Abs(by) < still {
			continue
		}
		own, all := k.m.least(t.Column, d.attacker)
		if all || k.m.value[t.Column]+by < own-still {
			return false
		}
	}
	return true
}

// greedy adds up moves of the pool, each as far as it goes, the ones that get
// farthest first.
func (k *prover) greedy(d demand) move {
	const tries = 48
	type step struct {
		move       int32
		gain, rate float64
	}
	var steps []step
	seen := map[int32]bool{}
	for _, l := range k.m.cells[d.cell].Leaves {
		for _, n := range k.at[l] {
			if seen[n] {
				continue
			}
			seen[n] = true
			if rate := k.change(k.pool[n], d.cell) * d.sign; math.Abs(rate) > still {
				if far := k.far(k.pool[n], rate, d.attacker); far > still {
					steps = append(steps, step{n, far * math.Abs(rate), rate})
				}
			}
		}
		if len(steps) > 16*tries {
			break
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Or(cmp.Compare(b.gain, a.gain), cmp.Compare(a.move, b.move)) })
	steps = steps[:min(len(steps), tries)]
	rest := d.need
	var touched []int32
	for _, s := range steps {
		mv := k.pool[s.move]
		far := min(k.far(mv, s.rate, d.attacker), rest/math.Abs(s.rate))
		if k.m.whole {
			far = min(math.Floor(k.far(mv, s.rate, d.attacker)+still), math.Ceil(rest/math.Abs(s.rate)-still))
		}
		if far <= 0 {
			continue
		}
		by := math.Copysign(far, s.rate)
		for _, t := range mv {
			if k.d[t.Column] == 0 {
				touched = append(touched, t.Column)
			}
			k.d[t.Column] += by * t.Value
		}
		if rest -= far * math.Abs(s.rate); rest <= 0 {
			break
		}
	}
	slices.Sort(touched)
	var mv move
	for _, l := range slices.Compact(touched) {
		if rest <= 0 && math.Abs(k.d[l]) > still/1000 {
			mv = append(mv, simplex.Term{Column: l, Value: k.d[l]})
		}
		k.d[l] = 0
	}
	return mv
}

// far is how far a move goes, in the direction of its rate, from where the
// leaves are moved to already.
func (k *prover) far(mv move, rate float64, attacker int32) float64 {
	far := math.Inf(1)
	for _, t := range mv {
		v := math.Copysign(1, rate) * t.Value
		own, all := k.m.least(t.Column, attacker)
		switch {
		case all:
			return 0
		case v < 0:
			far = min(far, (k.m.value[t.Column]+k.d[t.Column]-own)/-v)
		}
	}
	return far
}

// keep notes what a proof is good for.
func (k *prover) keep(p *proof, d demand) {
	if len(p.serves) == 0 {
		k.index(p)
	}
	p.serves = append(p.serves, d)
	k.proofs[d.cell] = append(k.proofs[d.cell], p)
	if d.attacker != outsider {
		k.by[d.attacker] = append(k.by[d.attacker], p)
	}
}

// index notes which hidden cells a proof stands on.
func (k *prover) index(p *proof) {
	for _, c := range k.sum(p.move) {
		if math.Abs(k.changes[c]) > still && k.hidden[c] && !k.m.cells[c].Sensitive {
			k.users[c] = append(k.users[c], p)
		}
		k.changes[c] = 0
	}
}

// sum adds up what a move changes every cell by. The caller puts the changes
// back to 0.
func (k *prover) sum(mv move) (cells []int32) {
	for _, t := range mv {
		for _, c := range k.m.of[t.Column] {
			if k.changes[c] == 0 {
				cells = append(cells, c)
			}
			k.changes[c] += t.Value
		}
	}
	slices.Sort(cells)
	return slices.Compact(cells)
}

// spread looks for other cells that a move proves as well.
func (k *prover) spread(p *proof) {
	ahead, back := math.Inf(1), math.Inf(1)
	for _, t := range p.move {
		if t.Value < 0 {
			ahead = min(ahead, (k.m.value[t.Column]-k.m.floor+still)/-t.Value)
		} else {
			back = min(back, (k.m.value[t.Column]-k.m.floor+still)/t.Value)
		}
	}
	for _, c := range k.sum(p.move) {
		change := k.changes[c]
		k.changes[c] = 0
		if math.Abs(change) < still || len(k.open[c]) == 0 {
			continue
		}
		k.open[c] = slices.DeleteFunc(k.open[c], func(d demand) bool {
			factor := k.m.factor(d, change)
			if factor > ahead || -factor > back {
				return false
			}
			k.keep(p, d)
			return true
		})
	}
}

// insiders proves a cell against every respondent that could know better than an
// outsider: only those that have a part in a leaf that moves.
func (k *prover) insiders(cell int32) {
	if k.m.percent == 0 && k.m.unit == 0 {
		return
	}
	var up *proof
	for _, p := range k.proofs[cell] {
		if !p.dead && slices.ContainsFunc(p.serves, func(d demand) bool { return d.cell == cell && d.attacker == outsider && d.sign > 0 }) {
			up = p
		}
	}
	if up == nil {
		return
	}
	parties := k.m.parties(cell)
	seen := map[int32]bool{}
	for _, t := range up.move {
		for _, c := range k.m.parts[t.Column] {
			if seen[c.Respondent] {
				continue
			}
			seen[c.Respondent] = true
			if d, ok := k.inside(cell, c.Respondent, parties); ok && k.find(d) == nil {
				k.failed = append(k.failed, d)
			}
		}
	}
}

// inside is the demand of a cell against a respondent: it must not be able to
// estimate the largest of the others within p %, nor to compute the cell.
func (k *prover) inside(cell, respondent int32, parties []Contribution) (demand, bool) {
	own, largest := 0.0, 0.0
	for _, c := range parties {
		if c.Respondent == respondent {
			own = math.Abs(c.Amount)
		} else {
			largest = max(largest, math.Abs(c.Amount))
		}
	}
	need := k.m.unit
	if k.m.percent > 0 {
		need = max(need, own+(1+k.m.percent/100)*largest-k.m.total[cell])
	}
	if k.m.whole {
		need = math.Ceil(need)
	}
	return demand{cell, respondent, 1, need}, largest > 0 && need > still
}

// shards is into how many parts the sensitive cells are divided, so that they
// are proved at the same time. It is fixed so that results do not depend on the
// machine.
const shards = 2

// proveAll proves all sensitive cells.
func proveAll(m *model, hidden []bool, pool []move) []*prover {
	var cells []int32
	for i := range m.cells {
		if m.cells[i].Sensitive {
			cells = append(cells, int32(i))
		}
	}
	all := make([]*prover, shards)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			all[i] = newProver(m, slices.Clone(hidden), pool)
			all[i].prove(cells[len(cells)*i/shards : len(cells)*(i+1)/shards])
		})
	}
	wg.Wait()
	return all
}

// patience is how many steps are taken to find a proof. What takes longer is as
// a rule impossible, and is looked at by repair, which finds a proof that costs
// nothing where there is one.
const patience = 300
