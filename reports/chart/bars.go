package chart

import (
	"math"
	"strings"
)

// Bars is a bar chart: one bar for each category and series, side by side, or
// on top of each other when Stacked.
type Bars struct {
	Head
	Cats       []string
	Series     []Series
	Horizontal bool
	Stacked    bool
	Aspect     float64 // height of the plot to width, of upright bars; 0 for the usual
}

func (b Bars) head() Head    { return b.Head }
func (b Bars) words() string { return say(b.Head, b.Cats, b.Series) }

// names are the names in the legend: none where there is one series.
func (b Bars) names() []string {
	if len(b.Series) < 2 {
		return nil
	}
	var out []string
	for _, s := range b.Series {
		out = append(out, s.Name)
	}
	return out
}

// reach is the span of the axis: of the bars, or of the stacks.
func (b Bars) reach() (lo, hi float64) {
	if !b.Stacked {
		return span(b.Series)
	}
	for i := range b.Cats {
		up := 0.0
		for _, s := range b.Series {
			if s.Values[i].State == Shown {
				up += max(s.Values[i].N, 0)
			}
		}
		hi = math.Max(hi, up)
	}
	return 0, hi
}

// unit is the title of an upright axis; a lying one has it behind its last tick.
func (b Bars) unit() string {
	if b.Horizontal {
		return ""
	}
	lo, hi := b.reach()
	return axisTitle(b.Head, lo, hi)
}

func (b Bars) height(c Canvas, width float64) float64 {
	top := legend(c, width, b.unit(), b.names(), b.Series, b.Lang, barSwatch, false)
	if b.Horizontal {
		return top + float64(len(b.Cats))*b.pitch(c) + c.Size()*2
	}
	return top + uprightHeight(c, width, b.Aspect)
}

func (b Bars) draw(c Canvas, width float64) {
	top := legend(c, width, b.unit(), b.names(), b.Series, b.Lang, barSwatch, true)
	if b.Horizontal {
		b.lying(c, width, top)
		return
	}
	lo, hi := b.reach()
	f := axes(c, b.Head, b.Cats, lo, hi, width, top, b.Aspect)
	labelled := b.labels(c, f.slot)
	n := float64(len(b.Series))
	if b.Stacked {
		n = 1
	}
	each := math.Min(f.slot*.78/n, 56)
	for i, cat := range b.Cats {
		up, above := 0.0, 0.0
		for _, k := range b.order(i) {
			s, v := b.Series[k], b.Series[k].Values[i]
			x := f.x(i) - each*n/2
			if !b.Stacked {
				x += each * float64(k)
			}
			c.Begin(markName(b.Head, cat, s.Name, v))
			switch {
			case v.State != Shown:
				absent(c, x+each/2, f.y(up)-4-above, each, v.State, b.Lang)
				if b.Stacked {
					above += c.Size() * 2
				}
			default:
				y0, y1 := f.y(up), f.y(up+v.N)
				gap := 0.0
				if n > 1 {
					gap = 1
				}
				bar(c, x+gap, math.Min(y0, y1), each-2*gap, math.Abs(y1-y0), lookOf(k))
				if b.Stacked {
					up += v.N
				}
				if labelled[i] {
					c.Text(x+each/2, math.Min(y0, y1)-4, b.Unit.Short(v.N, b.Lang), Type{Size: c.Size() * .95, Color: ink, Anchor: Middle})
				}
			}
			c.End()
		}
	}
}

// order is the order in which the series of a category are drawn: as they
// come, but in a stack what has no number comes last, beyond the bars, for it
// has no length to stand on.
func (b Bars) order(i int) []int {
	var shown, rest []int
	for k, s := range b.Series {
		if b.Stacked && s.Values[i].State != Shown {
			rest = append(rest, k)
		} else {
			shown = append(shown, k)
		}
	}
	return append(shown, rest...)
}

// labels says which bars carry their number: all where there is room, else
// the highest.
func (b Bars) labels(c Canvas, slot float64) map[int]bool {
	if len(b.Series) != 1 {
		return nil
	}
	return labelled(c, b.Head, b.Series[0].Values, slot)
}

func labelled(c Canvas, h Head, vals []Value, slot float64) map[int]bool {
	out := map[int]bool{}
	widest, peak := 0.0, -1
	for i, v := range vals {
		if v.State != Shown {
			continue
		}
		widest = math.Max(widest, c.Width(h.Unit.Short(v.N, h.Lang), Type{Size: c.Size() * .95}))
		if peak < 0 || v.N > vals[peak].N {
			peak = i
		}
		out[i] = true
	}
	if widest+4 <= slot || len(out) == 0 {
		return out
	}
	return map[int]bool{peak: true}
}

// absent draws the glyph of a value without a number, and its word where
// there is room for it; the legend has the word in any case.
func absent(c Canvas, x, y, room float64, s State, lang string) {
	t := Type{Size: c.Size() * .95, Color: muted, Anchor: Middle}
	word := stateWord(s, lang)
	if c.Width(word, t) <= room {
		c.Text(x, y, word, t)
		y -= c.Size()
	}
	c.Text(x, y, Glyph(s), t)
}

func markName(h Head, cat, series string, v Value) string {
	s := cat
	if series != "" {
		if h.Lang == "en" {
			s += ", "
		} else {
			s += "・"
		}
		s += series
	}
	return s + ": " + h.Unit.Say(v, h.Lang)
}

func (b Bars) thick(c Canvas) float64 {
	if len(b.Series) == 1 || b.Stacked {
		return c.Size() * 1.25
	}
	return c.Size() * 1.05
}

// pitch is the height of a category with the space below it.
func (b Bars) pitch(c Canvas) float64 {
	n := float64(len(b.Series))
	if b.Stacked {
		n = 1
	}
	return n*b.thick(c) + c.Size()*.7
}

func (b Bars) lying(c Canvas, width, top float64) {
	size := c.Size()
	t := Type{Size: size, Color: ink}
	left, right := 0.0, 0.0
	for _, cat := range b.Cats {
		left = math.Max(left, c.Width(cat, t))
	}
	for _, s := range b.Series {
		for _, v := range s.Values {
			label := b.Unit.Short(v.N, b.Lang)
			if v.State != Shown {
				label = ""
			}
			right = math.Max(right, c.Width(label, t))
		}
	}
	left += size * .6
	right += size * .6
	if b.Stacked {
		right = size * 2.5
	}
	lo, hi := b.reach()
	ticks := Ticks(lo, hi, max(2, int((width-left-right)/80)), b.Unit.whole())
	div, title := b.Unit.axis(math.Max(math.Abs(lo), hi), b.Lang)
	labels := tickLabels(ticks, div)
	if b.Lang == "en" && title != "%" {
		title = " " + title
	}
	labels[len(labels)-1] += strings.TrimRight(title, " ")
	right = math.Max(right, c.Width(labels[len(labels)-1], t)/2)
	first, last := ticks[0], ticks[len(ticks)-1]
	at := func(v float64) float64 { return left + (v-first)/(last-first)*(width-left-right) }
	bottom := top + float64(len(b.Cats))*b.pitch(c)
	for i, label := range labels {
		x := at(ticks[i])
		c.Lines([][]Point{{{x, top}, {x, bottom}}}, rule, 1)
		c.Text(x, bottom+size*1.3, label, Type{Size: size * .92, Color: muted, Anchor: Middle})
	}
	for i, cat := range b.Cats {
		y := top + float64(i)*b.pitch(c) + size*.35
		c.Text(left-size*.6, y+(b.pitch(c)-size*.7)/2+size*.36, cat, Type{Size: size, Color: ink, Anchor: End})
		up := 0.0
		end := at(0)
		for _, k := range b.order(i) {
			s, v := b.Series[k], b.Series[k].Values[i]
			row := y
			if !b.Stacked {
				row += float64(k) * b.thick(c)
			}
			h := b.thick(c) - 1
			c.Begin(markName(b.Head, cat, s.Name, v))
			base := row + h/2 + size*.36
			switch {
			case v.State != Shown && b.Stacked:
				c.Text(end+4, base, Glyph(v.State), Type{Size: size, Color: muted})
				end += c.Width(Glyph(v.State), t) + 4
			case v.State != Shown:
				c.Text(at(0)+5, base, Glyph(v.State)+" "+stateWord(v.State, b.Lang), Type{Size: size * .95, Color: muted})
			default:
				x0, x1 := at(up), at(up+v.N)
				bar(c, math.Min(x0, x1), row, math.Abs(x1-x0), h, lookOf(k))
				if b.Stacked {
					up += v.N
					end = math.Max(end, x1)
					inside(c, (x0+x1)/2, row, x1-x0, h, Number(v.N, 0))
				} else {
					c.Text(math.Max(x0, x1)+5, base, b.Unit.Short(v.N, b.Lang), Type{Size: size * .95, Color: ink})
				}
			}
			c.End()
		}
	}
	c.Lines([][]Point{{{at(0), top}, {at(0), bottom}}}, muted, 1)
}

// inside writes a number on a white ground within its part of a stack, where
// it fits: letters on a pattern cannot be read.
func inside(c Canvas, x, y, room, h float64, s string) {
	t := Type{Size: c.Size() * .9, Color: ink, Anchor: Middle}
	w := c.Width(s, t) + 4
	if w+4 > room {
		return
	}
	c.Rect(x-w/2, y+1.5, w, h-3, white, "")
	c.Text(x, y+h/2+t.Size*.36, s, t)
}
