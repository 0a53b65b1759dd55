package perturb

// network is a circulation whose edges are the leaves and the sums: from a root
// down the first family of sums, through the leaves, up the second family, and
// back to the root. What flows through an edge is how many of its leaves go up.
type network struct {
	from, to []int32
	at       [][]int32 // edges of each node
	flow     []int64
	low      []int64
	high     []int64
	strict   []sum // bounds and target of each edge
	base     int64
	near     bool    // distances count in the cost
	leaf     []int32 // edge of each active leaf
}

// flow decides by a network. impossible says that nothing strict is there.
func (m *rounding) flow(left, right []int32) (up []int8, found, impossible bool) {
	n := m.network(left, right)
	n.round(m)
	for e := range n.flow {
		n.low[e], n.high[e] = n.strict[e].low, n.strict[e].high
	}
	if !n.repair() {
		impossible = true
		for e := range n.flow {
			n.low[e], n.high[e] = n.strict[e].wlow, n.strict[e].whigh
		}
		if !n.repair() {
			return nil, false, true
		}
	}
	if n.near || impossible {
		n.improve(m.effort)
	}
	up = make([]int8, len(m.leaf))
	for a, e := range n.leaf {
		up[a] = int8(n.flow[e])
	}
	return up, true, impossible
}

func (m *rounding) network(left, right []int32) *network {
	nodes := len(m.sums) + 1 // node 0 is the root, node 1+i that of sum i
	n := &network{at: make([][]int32, nodes), base: m.base, near: !m.keyed}
	add := func(from, to int32, s sum) {
		e := int32(len(n.from))
		n.from, n.to, n.strict = append(n.from, from), append(n.to, to), append(n.strict, s)
		n.at[from] = append(n.at[from], e)
		if from != to {
			n.at[to] = append(n.at[to], e)
		}
	}
	// Sums come by size, so the last one that has taken a leaf is the next
	// smaller one around it.
	parents := func(family []int32) (of []int32, leaf []int32) {
		of, leaf = make([]int32, nodes), make([]int32, len(m.leaf))
		top := make([]int32, len(m.leaf))
		for _, i := range family {
			for _, a := range m.sums[i].leaves {
				if top[a] == 0 {
					leaf[a] = i + 1
				} else {
					of[top[a]] = i + 1
				}
				top[a] = i + 1
			}
		}
		return of, leaf
	}
	above, in := parents(left)
	below, out := parents(right)
	for a, r := range m.rest {
		n.leaf = append(n.leaf, int32(len(n.from)))
		add(in[a], out[a], sum{high: 1, whigh: 1, target: r})
	}
	for _, i := range left {
		add(above[i+1], i+1, m.sums[i])
	}
	for _, i := range right {
		add(i+1, below[i+1], m.sums[i])
	}
	n.flow, n.low, n.high = make([]int64, len(n.from)), make([]int64, len(n.from)), make([]int64, len(n.from))
	return n
}

// round finds a circulation of whole numbers, each next to its target (Cox
// 1987). Where an edge is not whole, another one is not at each of its ends: so
// there is a cycle of them, around which the flow can move one way or the other
// until an edge is whole. Choosing the way by chance, with the probabilities
// that keep every expectation, makes the result unbiased.
func (n *network) round(m *rounding) {
	for e := range n.flow {
		n.flow[e] = n.strict[e].target
	}
	next := make([]int, len(n.at)) // edges before it are whole for good
	pos := make([]int, len(n.at))  // place on the path, from 1
	var path []int32               // edges
	nodes := []int32{}
	open := func(v int32, not int32) int32 {
		for next[v] < len(n.at[v]) && n.flow[n.at[v][next[v]]]%n.base == 0 {
			next[v]++
		}
		for _, e := range n.at[v][next[v]:] {
			if e != not && n.flow[e]%n.base != 0 {
				return e
			}
		}
		return -1
	}
	for start := range n.at {
		nodes = append(nodes[:0], int32(start))
		path = path[:0]
		pos[start] = 1
		for len(nodes) > 0 {
			v, came := nodes[len(nodes)-1], int32(-1)
			if len(path) > 0 {
				came = path[len(path)-1]
			}
			e := open(v, came)
			if e < 0 {
				if len(path) > 0 {
					panic("perturb: a node of the network has a single edge that is not whole")
				}
				pos[v] = 0
				break
			}
			path = append(path, e)
			w := n.to[e]
			if w == v {
				w = n.from[e]
			}
			if pos[w] == 0 {
				nodes = append(nodes, w)
				pos[w] = len(nodes)
				continue
			}
			first := pos[w] - 1
			n.turn(m, path[first:], w)
			for _, u := range nodes[first+1:] {
				pos[u] = 0
			}
			nodes, path = nodes[:first+1], path[:first]
		}
	}
	for e := range n.flow {
		n.flow[e] /= n.base
	}
}

// turn moves the flow around a cycle that begins at a node until one of its
// edges is whole.
func (n *network) turn(m *rounding, cycle []int32, at int32) {
	ahead := make([]bool, len(cycle))
	up, down := n.base, n.base // how far the flow can move with the cycle, and against
	for i, e := range cycle {
		r := n.flow[e] % n.base
		ahead[i] = n.from[e] == at
		if at = n.to[e]; !ahead[i] {
			at, r = n.from[e], n.base-r
		}
		up, down = min(up, n.base-r), min(down, r)
	}
	move := up
	if m.keyed && m.rand.Int64N(up+down) < up || !m.keyed && down < up {
		move = -down
	}
	for i, e := range cycle {
		if ahead[i] {
			n.flow[e] += move
		} else {
			n.flow[e] -= move
		}
	}
}

// repair moves the flow into the bounds, one unit of one edge at a time, around
// cycles that push no other edge further out. It fails only if no circulation
// is within the bounds: the difference to one would be such cycles.
func (n *network) repair() bool {
	for e := range n.flow {
		if n.low[e] > n.high[e] {
			return false
		}
	}
	before := make([]int32, len(n.at))
	for e := range n.flow {
		for n.flow[e] < n.low[e] || n.flow[e] > n.high[e] {
			source, sink, way := n.to[e], n.from[e], int64(1)
			if n.flow[e] > n.high[e] {
				source, sink, way = sink, source, -1
			}
			if source != sink {
				for v := range before {
					before[v] = -1
				}
				queue := []int32{source}
				for ; len(queue) > 0 && before[sink] < 0; queue = queue[1:] {
					v := queue[0]
					for _, d := range n.at[v] {
						w, can := n.to[d], n.flow[d] < max(n.high[d], n.flow[d])
						if w == v {
							w, can = n.from[d], n.flow[d] > min(n.low[d], n.flow[d])
						}
						if int(d) != e && can && w != source && before[w] < 0 {
							before[w] = d
							queue = append(queue, w)
						}
					}
				}
				if before[sink] < 0 {
					return false
				}
				for v := sink; v != source; {
					d := before[v]
					if n.to[d] == v {
						n.flow[d]++
						v = n.from[d]
					} else {
						n.flow[d]--
						v = n.to[d]
					}
				}
			}
			n.flow[e] += way
		}
	}
	return true
}

// outside is the cost of one base outside of the strict bounds: more than any
// distance.
const outside = 1 << 40

// cost of a flow through an edge: a convex function.
func (n *network) cost(e int32, flow int64) int64 {
	s := &n.strict[e]
	c := outside * max(0, s.low-flow, flow-s.high)
	if d := n.base*flow - s.target; n.near {
		c += max(d, -d)
	}
	return c
}

// improve moves the flow around cycles of negative cost (Bellman-Ford) until
// there is none: then no circulation is cheaper. Effort bounds the steps.
func (n *network) improve(effort int) {
	dist := make([]int64, len(n.at))
	before := make([]int32, len(n.at))
	for effort > 0 {
		last := int32(-1)
		for v := range dist {
			dist[v], before[v] = 0, -1
		}
		for range n.at {
			last = -1
			for d := range int32(len(n.from)) {
				if a, b := n.from[d], n.to[d]; a != b {
					if n.flow[d] < n.high[d] {
						if c := dist[a] + n.cost(d, n.flow[d]+1) - n.cost(d, n.flow[d]); c < dist[b] {
							dist[b], before[b], last = c, d, b
						}
					}
					if n.flow[d] > n.low[d] {
						if c := dist[b] + n.cost(d, n.flow[d]-1) - n.cost(d, n.flow[d]); c < dist[a] {
							dist[a], before[a], last = c, d, a
						}
					}
				}
			}
			if effort -= len(n.from); last < 0 {
				break
			}
			if n.cancel(before) {
				break
			}
		}
		if last < 0 {
			break
		}
	}
	for e := range int32(len(n.from)) { // leaves in no sum
		if n.from[e] == n.to[e] {
			for _, f := range []int64{n.low[e], n.high[e]} {
				if n.cost(e, f) < n.cost(e, n.flow[e]) {
					n.flow[e] = f
				}
			}
		}
	}
}

// cancel moves one unit around each cycle of the pointers, if there are any:
// such cycles have negative cost.
func (n *network) cancel(before []int32) bool {
	mark := make([]int32, len(before))
	any := false
	for start := range before {
		v := int32(start)
		for mark[v] == 0 && before[v] >= 0 {
			mark[v] = int32(start + 1)
			v = n.other(before[v], v)
		}
		if mark[v] != int32(start+1) || before[v] < 0 {
			continue
		}
		any = true
		for w := v; ; {
			d := before[w]
			if n.to[d] == w {
				n.flow[d]++
			} else {
				n.flow[d]--
			}
			if w = n.other(d, w); w == v {
				break
			}
		}
	}
	return any
}

func (n *network) other(e, v int32) int32 {
	if n.to[e] == v {
		return n.from[e]
	}
	return n.to[e]
}
