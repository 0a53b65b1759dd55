// Package chart draws the few charts that the reports need: bars, lines and
// heat maps, from one description to SVG for the screen and to PDF for paper.
// Start with [Bars] and [SVG]; [Line] and [Heatmap] are the other charts, and
// [PDF] is the other way out.
//
// It is our own because the two usual ways were tried and fall short. ECharts
// draws well but needs a JavaScript engine on the server or in the browser,
// and our pages have neither. gonum/plot's PDF writer garbles Japanese and
// embeds whole fonts. What is left to draw once the chart types are fixed is
// rectangles, lines and text, which is the [Canvas].
//
// It promises that a hidden value is drawn as ― with the word 秘匿, that a
// value not yet observable is drawn as 未観測, and that neither is ever drawn
// as 0 or left blank; that series differ by pattern or marker as well as by
// colour; and that the same chart gives the same bytes. SVG carries its title
// and description, keeps text as text, and has no script and no inline style.
//
// It never invents values: it neither interpolates across a gap nor stacks
// over a hidden part without saying so.
package chart

import (
	"math"
	"strings"
)

// Color is #RRGGBB, or empty for none.
type Color string

// The palette. All are at least 4.5:1 on white; no pair of series is told
// apart by colour alone.
const (
	Blue   Color = "#0072B2"
	Orange Color = "#B25000"
	Green  Color = "#00694D"
	Purple Color = "#7A3E8E"
	Navy   Color = "#00305C"
	Grey   Color = "#767676"

	ink   Color = "#1A1A1A"
	muted Color = "#595959"
	rule  Color = "#D9DEE3"
	white Color = "#FFFFFF"
)

// State says what a value shows.
type State int

// The states of a value.
const (
	Shown      State = iota
	Suppressed       // 秘匿
	Unobserved       // 未観測
)

// Value is one number of a chart. A value that is not Shown has no number.
type Value struct {
	State State
	N     float64
}

// N is a shown value.
func N(v float64) Value {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Value{State: Unobserved}
	}
	return Value{N: v}
}

// Series is a row of values with its name.
type Series struct {
	Name   string
	Values []Value
}

// Head is what every chart has: a title and one sentence that says what is to
// be seen, the language of its words, and how its numbers are written.
type Head struct {
	Title   string
	Message string
	Lang    string // "ja" or "en"
	Unit    Unit
}

// Chart is a chart that can be drawn at any width.
type Chart interface {
	head() Head
	// height is how much room the chart takes at a width.
	height(c Canvas, width float64) float64
	// draw draws into the rectangle from 0,0 to width,height.
	draw(c Canvas, width float64)
	// words says every value, for the description.
	words() string
}

// Point is a place on a canvas; y grows downwards.
type Point struct{ X, Y float64 }

// Anchor says which point of a text stands at its x.
type Anchor int

// The anchors.
const (
	Start Anchor = iota
	Middle
	End
)

// Type is how text is set.
type Type struct {
	Size   float64
	Bold   bool
	Color  Color
	Anchor Anchor
}

// Canvas is all that a chart asks of a place to draw. Text stands on its
// baseline.
type Canvas interface {
	Rect(x, y, w, h float64, fill, stroke Color)
	Polygon(pts []Point, fill, stroke Color)
	Lines(lines [][]Point, stroke Color, width float64)
	Text(x, y float64, s string, t Type)
	Width(s string, t Type) float64
	Size() float64      // of ordinary text
	Begin(label string) // what follows is one mark of that name
	End()               // of the mark
}

// stateWord is the word for a value without a number.
func stateWord(s State, lang string) string {
	switch {
	case s == Suppressed && lang == "en":
		return "Suppressed"
	case s == Suppressed:
		return "秘匿"
	case s == Unobserved && lang == "en":
		return "Not observed"
	case s == Unobserved:
		return "未観測"
	}
	return ""
}

// Glyph is what stands in the place of a value without a number.
func Glyph(s State) string {
	switch s {
	case Suppressed:
		return "―"
	case Unobserved:
		return "…"
	}
	return ""
}

// Say writes a value in words: its number in full, or the word for why there
// is none.
func (u Unit) Say(v Value, lang string) string {
	if v.State != Shown {
		return stateWord(v.State, lang)
	}
	return u.Full(v.N, lang)
}

// look is the pattern and marker of a series, besides its colour.
type look struct {
	color  Color
	hatch  hatch
	marker int
}

var looks = []look{
	{Blue, solid, 0}, {Orange, rising, 1}, {Green, level, 2}, {Purple, crossed, 3}, {Navy, falling, 4}, {Grey, upright, 5},
}

func lookOf(i int) look { return looks[i%len(looks)] }

type hatch int

const (
	solid hatch = iota
	rising
	falling
	level
	upright
	crossed
)

// bar draws a rectangle in the look of a series.
func bar(c Canvas, x, y, w, h float64, l look) {
	if l.hatch == solid {
		c.Rect(x, y, w, h, l.color, l.color)
		return
	}
	c.Rect(x, y, w, h, white, l.color)
	if lines := hatching(x, y, w, h, l.hatch, 4); len(lines) > 0 {
		c.Lines(lines, l.color, 1.2)
	}
}

// hatching gives the lines of a pattern, cut to a rectangle. They stand on a
// grid of the whole canvas, so that neighbouring bars match.
func hatching(x, y, w, h float64, k hatch, gap float64) [][]Point {
	var out [][]Point
	if w <= 0 || h <= 0 {
		return nil
	}
	switch k {
	case level:
		for v := math.Ceil(y/gap) * gap; v < y+h; v += gap {
			out = append(out, []Point{{x, v}, {x + w, v}})
		}
	case upright:
		for v := math.Ceil(x/gap) * gap; v < x+w; v += gap {
			out = append(out, []Point{{v, y}, {v, y + h}})
		}
	case rising: // X+Y = v
		step := gap * math.Sqrt2
		for v := math.Ceil((x+y)/step) * step; v < x+w+y+h; v += step {
			a := math.Max(x, v-(y+h))
			b := math.Min(x+w, v-y)
			if a < b {
				out = append(out, []Point{{a, v - a}, {b, v - b}})
			}
		}
	case falling: // Y−X = v
		step := gap * math.Sqrt2
		for v := math.Ceil((y-x-w)/step) * step; v < y+h-x; v += step {
			a := math.Max(x, y-v)
			b := math.Min(x+w, y+h-v)
			if a < b {
				out = append(out, []Point{{a, a + v}, {b, b + v}})
			}
		}
	case crossed:
		out = append(hatching(x, y, w, h, rising, gap*1.3), hatching(x, y, w, h, falling, gap*1.3)...)
	}
	return out
}

// mark draws the marker of a series around a point.
func mark(c Canvas, p Point, l look) {
	const r = 4
	switch l.marker {
	case 1:
		c.Rect(p.X-r+.5, p.Y-r+.5, 2*r-1, 2*r-1, white, l.color)
	case 2:
		c.Polygon([]Point{{p.X, p.Y - r}, {p.X + r, p.Y + r}, {p.X - r, p.Y + r}}, l.color, l.color)
	case 3:
		c.Polygon([]Point{{p.X, p.Y - r}, {p.X + r, p.Y}, {p.X, p.Y + r}, {p.X - r, p.Y}}, white, l.color)
	case 4:
		c.Rect(p.X-r+.5, p.Y-r+.5, 2*r-1, 2*r-1, l.color, l.color)
	default: // a circle, filled or not
		fill := l.color
		if l.marker == 5 {
			fill = white
		}
		var pts []Point
		for i := range 16 {
			s, k := math.Sincos(2 * math.Pi * float64(i) / 16)
			pts = append(pts, Point{p.X + r*k, p.Y + r*s})
		}
		c.Polygon(pts, fill, l.color)
	}
}

// legend draws the unit of the axis, the names of the series, and the glyphs
// for values without a number where there are any, and returns its height.
// With on unset it only measures.
func legend(c Canvas, width float64, unit string, names []string, vals []Series, lang string, swatch func(Canvas, Point, float64, look), on bool) float64 {
	size := c.Size()
	t := Type{Size: size, Color: ink}
	x, y, used := 0.0, size, false
	item := func(w float64, draw func()) {
		if x > 0 && x+w > width {
			x, y = 0, y+size*1.6
		}
		if on {
			draw()
		}
		x += w + size*1.4
		used = true
	}
	if unit != "" {
		item(c.Width(unit, t), func() { c.Text(x, y, unit, Type{Size: size * .92, Color: muted}) })
	}
	box := size * .9
	for i, name := range names {
		item(box*1.2+size*.4+c.Width(name, t), func() {
			swatch(c, Point{x, y - box + 1}, box, lookOf(i))
			c.Text(x+box*1.2+size*.4, y, name, t)
		})
	}
	for _, s := range []State{Suppressed, Unobserved} {
		if has(vals, s) {
			word := Glyph(s) + " " + stateWord(s, lang)
			item(c.Width(word, t), func() { c.Text(x, y, word, t) })
		}
	}
	if !used {
		return 0
	}
	return y + size*.9
}

// barSwatch and lineSwatch show the look of a series in the legend.
func barSwatch(c Canvas, p Point, box float64, l look) { bar(c, p.X, p.Y, box*1.2, box, l) }

func lineSwatch(c Canvas, p Point, box float64, l look) {
	y := p.Y + box/2
	c.Lines([][]Point{{{p.X, y}, {p.X + box*1.2, y}}}, l.color, 2)
	mark(c, Point{p.X + box*.6, y}, l)
}

func has(series []Series, s State) bool {
	for _, r := range series {
		for _, v := range r.Values {
			if v.State == s {
				return true
			}
		}
	}
	return false
}

// span is the lowest and highest shown value, with 0 always inside.
func span(series []Series) (lo, hi float64) {
	for _, s := range series {
		for _, v := range s.Values {
			if v.State == Shown {
				lo, hi = math.Min(lo, v.N), math.Max(hi, v.N)
			}
		}
	}
	return lo, hi
}

// say writes every value of a chart.
func say(h Head, cats []string, series []Series) string {
	var b strings.Builder
	for _, s := range series {
		if b.Len() > 0 {
			b.WriteString(" ")
		}
		if s.Name != "" {
			b.WriteString(s.Name + ": ")
		}
		for i, v := range s.Values {
			if i > 0 {
				if h.Lang == "en" {
					b.WriteString("; ")
				} else {
					b.WriteString("、")
				}
			}
			b.WriteString(cats[i] + " " + h.Unit.Say(v, h.Lang))
		}
		if h.Lang == "en" {
			b.WriteString(".")
		} else {
			b.WriteString("。")
		}
	}
	return b.String()
}
