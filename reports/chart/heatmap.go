package chart

import "math"

// Heatmap is a table of values with a shade behind each number. The number
// stands in the cell, so the shade is never the only sign.
type Heatmap struct {
	Head
	Rows, Cols []string
	Values     [][]Value // by row, then column
}

// Turned swaps rows and columns, for narrow screens.
func (m Heatmap) Turned() Heatmap {
	t := Heatmap{Head: m.Head, Rows: m.Cols, Cols: m.Rows}
	for j := range m.Cols {
		var row []Value
		for i := range m.Rows {
			row = append(row, m.Values[i][j])
		}
		t.Values = append(t.Values, row)
	}
	return t
}

func (m Heatmap) head() Head { return m.Head }

func (m Heatmap) series() []Series {
	var out []Series
	for i, r := range m.Rows {
		out = append(out, Series{Name: r, Values: m.Values[i]})
	}
	return out
}

func (m Heatmap) words() string { return say(m.Head, m.Cols, m.series()) }

// shades run from light to dark in one hue, so they keep their order in grey.
var shades = []Color{"#EEF4F9", "#CFE1EF", "#9CC3DF", "#5E9DC8", "#1F6FA8", "#00305C"}

func (m Heatmap) rowHeight(c Canvas) float64 { return c.Size() * 1.7 }

func (m Heatmap) height(c Canvas, width float64) float64 {
	below := c.Size() * 2.2
	if _, need := m.ranges(c); m.left(c)+m.absent(c, 0, 0, false)+need > width {
		below += c.Size() * 1.6
	}
	return c.Size()*1.7 + float64(len(m.Rows))*m.rowHeight(c) + below
}

func (m Heatmap) draw(c Canvas, width float64) {
	size := c.Size()
	left, top := m.left(c), size*1.7
	high := m.rowHeight(c)
	wide := (width - left) / float64(max(len(m.Cols), 1))
	widest := 0.0
	for _, s := range m.Cols {
		widest = math.Max(widest, c.Width(s, Type{Size: size}))
	}
	every := max(1, int(math.Ceil((widest+2)/wide)))
	for j, s := range m.Cols {
		if j%every == 0 {
			c.Text(left+(float64(j)+.5)*wide, top-size*.6, s, Type{Size: size, Color: ink, Anchor: Middle})
		}
	}
	labels, _ := m.ranges(c)
	step := m.step()
	shade := func(v float64) int {
		if v <= 0 {
			return 0
		}
		return tone(min(int(math.Ceil(v/step-1e-9)), len(labels)-1), len(labels))
	}
	small := Type{Size: size * .92, Anchor: Middle}
	for i, r := range m.Rows {
		y := top + float64(i)*high
		c.Text(left-size*.6, y+high/2+size*.36, r, Type{Size: size, Color: ink, Anchor: End})
		for j, s := range m.Cols {
			v, x := m.Values[i][j], left+float64(j)*wide
			c.Begin(markName(m.Head, r, s, v))
			t := small
			text := Glyph(v.State)
			if v.State == Shown {
				k := shade(v.N)
				t.Color = ink
				if k >= 4 {
					t.Color = white
				}
				c.Rect(x+.5, y+.5, wide-1, high-1, shades[k], "")
				text = compact(v.N, m.Unit)
			} else {
				t.Color = muted
				c.Rect(x+1, y+1, wide-2, high-2, white, rule)
				if word := text + " " + stateWord(v.State, m.Lang); c.Width(word, t)+8 <= wide {
					text = word
				}
			}
			c.Text(x+wide/2, y+high/2+size*.34, text, t)
			c.End()
		}
	}
	m.key(c, left, top+float64(len(m.Rows))*high+size*.9, width)
}

// tone spreads n ranges over the shades, so that the highest is the darkest.
func tone(k, n int) int {
	if k == 0 || n < 3 {
		return k * (len(shades) - 1)
	}
	return 1 + (k-1)*(len(shades)-2)/(n-2)
}

func (m Heatmap) left(c Canvas) float64 {
	left := 0.0
	for _, r := range m.Rows {
		left = math.Max(left, c.Width(r, Type{Size: c.Size()}))
	}
	return left + c.Size()*.6
}

// step is how much one shade covers.
func (m Heatmap) step() float64 {
	_, hi := span(m.series())
	ticks := Ticks(0, hi, len(shades)-1, m.Unit.whole())
	return ticks[1] - ticks[0]
}

// ranges are the labels of the shades in use, and the room they need.
func (m Heatmap) ranges(c Canvas) (labels []string, need float64) {
	_, hi := span(m.series())
	step := m.step()
	for k := range shades {
		label, last := "0", k == len(shades)-1
		if k > 0 {
			lo := step * float64(k-1)
			from, to := compact(lo, m.Unit), compact(lo+step, m.Unit)
			if m.Unit.whole() {
				from = compact(lo+1, m.Unit)
			}
			label = from + "–" + to
			if from == to {
				label = to
			}
			last = last || lo+step >= hi
		}
		if last {
			label += unitWord(m.Unit, m.Lang)
		}
		labels = append(labels, label)
		need += c.Size()*2.7 + c.Width(label, Type{Size: c.Size() * .92})
		if last {
			break
		}
	}
	return labels, need
}

// absent explains the glyphs for values without a number, where there are
// any, and returns the room they take. With on unset it only measures.
func (m Heatmap) absent(c Canvas, x, y float64, on bool) float64 {
	from := x
	t := Type{Size: c.Size() * .92, Color: ink}
	for _, s := range []State{Suppressed, Unobserved} {
		if !has(m.series(), s) {
			continue
		}
		word := Glyph(s) + " " + stateWord(s, m.Lang)
		if on {
			c.Text(x, y, word, t)
		}
		x += c.Width(word, t) + c.Size()*1.2
	}
	return x - from
}

// key explains the glyphs and the shades: each with its range where there is
// room, else in a row of their own, between their ends if that is too long
// too.
func (m Heatmap) key(c Canvas, x, y, width float64) {
	size := c.Size()
	t := Type{Size: size * .92, Color: ink}
	left := x
	labels, need := m.ranges(c)
	x += m.absent(c, x, y+size*.9, true)
	if x+need > width && x > left {
		x, y = left, y+size*1.6
	}
	if x+need <= width {
		for k, label := range labels {
			c.Rect(x, y, size*1.3, size, shades[tone(k, len(labels))], Grey)
			c.Text(x+size*1.7, y+size*.9, label, t)
			x += size*2.7 + c.Width(label, t)
		}
		return
	}
	c.Text(x, y+size*.9, "0", t)
	x += c.Width("0", t) + size*.5
	for k := range labels {
		c.Rect(x, y, size*1.3, size, shades[tone(k, len(labels))], Grey)
		x += size * 1.3
	}
	c.Text(x+size*.5, y+size*.9, compact(m.step()*float64(len(labels)-1), m.Unit)+unitWord(m.Unit, m.Lang), t)
}

func unitWord(u Unit, lang string) string {
	if u == Percent {
		return "%"
	}
	return pick(lang, suffixes[u])
}

// compact writes a number without its unit, to fit a cell.
func compact(v float64, u Unit) string {
	switch u {
	case Percent:
		return Number(v*100, 0)
	case Plain:
		return Number(v, 1)
	}
	return Number(v, 0)
}
