package chart

import "math"

// Line is a line chart with a marker at each value. A value without a number
// breaks the line.
type Line struct {
	Head
	Cats   []string
	Series []Series
	Aspect float64 // height of the plot to width; 0 for the usual
}

func (l Line) head() Head    { return l.Head }
func (l Line) words() string { return say(l.Head, l.Cats, l.Series) }

func (l Line) names() []string { return Bars{Series: l.Series}.names() }

func (l Line) height(c Canvas, width float64) float64 {
	lo, hi := span(l.Series)
	return legend(c, width, axisTitle(l.Head, lo, hi), l.names(), l.Series, l.Lang, lineSwatch, false) + uprightHeight(c, width, l.Aspect)
}

func (l Line) draw(c Canvas, width float64) {
	lo, hi := span(l.Series)
	top := legend(c, width, axisTitle(l.Head, lo, hi), l.names(), l.Series, l.Lang, lineSwatch, true)
	f := axes(c, l.Head, l.Cats, lo, hi, width, top, l.Aspect)
	for k, s := range l.Series {
		look := lookOf(k)
		var runs [][]Point
		broken := true
		for i, v := range s.Values {
			if v.State != Shown {
				broken = true
				continue
			}
			if broken {
				runs = append(runs, nil)
			}
			broken = false
			runs[len(runs)-1] = append(runs[len(runs)-1], Point{f.x(i), f.y(v.N)})
		}
		if len(runs) > 0 {
			c.Lines(runs, look.color, 2)
		}
		var with map[int]bool
		if len(l.Series) == 1 {
			with = labelled(c, l.Head, s.Values, f.slot)
		}
		for i, v := range s.Values {
			c.Begin(markName(l.Head, l.Cats[i], s.Name, v))
			if v.State != Shown {
				absent(c, f.x(i), f.y(0)-4-float64(k)*c.Size(), f.slot, v.State, l.Lang)
			} else {
				mark(c, Point{f.x(i), f.y(v.N)}, look)
				if with[i] {
					c.Text(f.x(i), f.y(v.N)-9, l.Unit.Short(v.N, l.Lang), Type{Size: c.Size() * .95, Color: ink, Anchor: Middle})
				}
			}
			c.End()
		}
	}
}

// frame is the plot of an upright chart.
type frame struct {
	x    func(i int) float64     // middle of category i
	y    func(v float64) float64 // of a value
	slot float64                 // width of a category
}

func plotHeight(width, aspect float64) float64 {
	if aspect > 0 {
		return width * aspect
	}
	return math.Min(math.Max(width*.34, 160), 240)
}

// headroom is the room above a plot, in letters, for the number on the
// highest mark.
const headroom = 1.2

func uprightHeight(c Canvas, width, aspect float64) float64 {
	return c.Size()*headroom + plotHeight(width, aspect) + c.Size()*1.8
}

// axisTitle is the unit that an axis is counted in: （万円）.
func axisTitle(h Head, lo, hi float64) string {
	_, title := h.Unit.axis(math.Max(math.Abs(lo), hi), h.Lang)
	switch {
	case title == "":
		return ""
	case h.Lang == "en":
		return "(" + title + ")"
	}
	return "（" + title + "）"
}

// axes draws the grid, the ticks and the names of the
// categories, as many as there is room for.
func axes(c Canvas, h Head, cats []string, lo, hi, width, top, aspect float64) frame {
	size := c.Size()
	t := Type{Size: size * .92, Color: muted}
	plot := plotHeight(width, aspect)
	ticks := Ticks(lo, hi, max(3, int(plot/45)), h.Unit.whole())
	div, _ := h.Unit.axis(math.Max(math.Abs(lo), hi), h.Lang)
	labels := tickLabels(ticks, div)
	left := 0.0
	for _, s := range labels {
		left = math.Max(left, c.Width(s, t))
	}
	left += size * .6
	y0 := top + size*headroom
	first, last := ticks[0], ticks[len(ticks)-1]
	f := frame{slot: (width - left) / float64(max(len(cats), 1))}
	f.x = func(i int) float64 { return left + (float64(i)+.5)*f.slot }
	f.y = func(v float64) float64 { return y0 + plot - (v-first)/(last-first)*plot }
	var grid [][]Point
	for i, s := range labels {
		y := f.y(ticks[i])
		grid = append(grid, []Point{{left, y}, {width, y}})
		c.Text(left-size*.5, y+size*.34, s, Type{Size: t.Size, Color: muted, Anchor: End})
	}
	c.Lines(grid, rule, 1)
	c.Lines([][]Point{{{left, f.y(0)}, {width, f.y(0)}}}, muted, 1)
	widest := 0.0
	for _, s := range cats {
		widest = math.Max(widest, c.Width(s, t))
	}
	every := max(1, int(math.Ceil((widest+size*.4)/f.slot)))
	for i, s := range cats {
		if i%every == 0 {
			c.Text(f.x(i), y0+plot+size*1.4, s, Type{Size: t.Size, Color: ink, Anchor: Middle})
		}
	}
	return f
}
