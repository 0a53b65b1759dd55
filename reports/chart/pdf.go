package chart

import (
	"fmt"
	"strconv"

	"github.com/signintech/gopdf"
)

// Paper is where charts are drawn in a PDF: its writer, the font family with
// its regular and bold faces, and the size of ordinary chart text in points.
type Paper struct {
	PDF    *gopdf.GoPdf
	Family string
	Size   float64
}

// Height is how much room a chart takes at a width, in points.
func (p Paper) Height(ch Chart, width float64) float64 {
	return ch.height(&pdfCanvas{Paper: p}, width)
}

// PDF draws a chart with its upper left corner at x, y, in points. It sets the
// writer's font and colours.
func PDF(p Paper, ch Chart, x, y, width float64) error {
	c := &pdfCanvas{Paper: p, x: x, y: y}
	ch.draw(c, width)
	if c.err != nil {
		return fmt.Errorf("draw chart %q: %w", ch.head().Title, c.err)
	}
	return nil
}

type pdfCanvas struct {
	Paper
	x, y float64
	err  error
}

func (c *pdfCanvas) Size() float64 { return c.Paper.Size }

func (c *pdfCanvas) Rect(x, y, w, h float64, fill, stroke Color) {
	c.Polygon([]Point{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}}, fill, stroke)
}

func (c *pdfCanvas) Polygon(pts []Point, fill, stroke Color) {
	style := ""
	if fill != "" {
		c.PDF.SetFillColor(fill.rgb())
		style = "F"
	}
	if stroke != "" {
		c.PDF.SetStrokeColor(stroke.rgb())
		c.PDF.SetLineWidth(.8)
		style += "D"
	}
	var out []gopdf.Point
	for _, p := range pts {
		out = append(out, gopdf.Point{X: c.x + p.X, Y: c.y + p.Y})
	}
	if style != "" {
		c.PDF.Polygon(out, style)
	}
}

func (c *pdfCanvas) Lines(lines [][]Point, stroke Color, width float64) {
	c.PDF.SetStrokeColor(stroke.rgb())
	c.PDF.SetLineWidth(width)
	for _, l := range lines {
		for i := 1; i < len(l); i++ {
			c.PDF.Line(c.x+l[i-1].X, c.y+l[i-1].Y, c.x+l[i].X, c.y+l[i].Y)
		}
	}
}

func (c *pdfCanvas) Text(x, y float64, s string, t Type) {
	switch w := c.Width(s, t); t.Anchor {
	case Middle:
		x -= w / 2
	case End:
		x -= w
	}
	c.PDF.SetTextColor(t.Color.rgb())
	c.PDF.SetXY(c.x+x, c.y+y)
	c.keep(c.PDF.Text(s))
}

func (c *pdfCanvas) Width(s string, t Type) float64 {
	style := ""
	if t.Bold {
		style = "B"
	}
	c.keep(c.PDF.SetFont(c.Family, style, t.Size))
	w, err := c.PDF.MeasureTextWidth(s)
	c.keep(err)
	return w
}

// Begin and End name marks, which this PDF writer has no tags for.
func (c *pdfCanvas) Begin(string) {}
func (c *pdfCanvas) End()         {}

func (c *pdfCanvas) keep(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (k Color) rgb() (r, g, b uint8) {
	v, err := strconv.ParseUint(string(k[1:]), 16, 32)
	if err != nil {
		panic(fmt.Sprintf("chart: %q was believed to be #RRGGBB", string(k)))
	}
	return uint8(v >> 16), uint8(v >> 8), uint8(v)
}
