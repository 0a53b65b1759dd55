package chart

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SVG writes a chart as an SVG element to stand inside an HTML page, drawn for
// a width in pixels. The id must be unique on the page; the ids inside the
// element begin with it.
func SVG(w io.Writer, id string, ch Chart, wide float64) error {
	c := &svgCanvas{size: 13}
	h := ch.head()
	high := ch.height(c, wide)
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-labelledby="%s-t %s-d" class="chart">`,
		num(wide), num(high), num(wide), num(high), escape(id), escape(id))
	c.printf("\n<title id=\"%s-t\">%s</title>\n<desc id=\"%s-d\">%s</desc>\n", escape(id), escape(h.Title), escape(id), escape(strings.TrimSpace(h.Message+" "+ch.words())))
	ch.draw(c, wide)
	c.printf("</svg>\n")
	if _, err := io.WriteString(w, c.b.String()); err != nil {
		return fmt.Errorf("write chart %s: %w", id, err)
	}
	return nil
}

type svgCanvas struct {
	b    strings.Builder
	size float64
}

func (c *svgCanvas) printf(format string, args ...any) { fmt.Fprintf(&c.b, format, args...) }

func (c *svgCanvas) Size() float64 { return c.size }

func (c *svgCanvas) Rect(x, y, w, h float64, fill, stroke Color) {
	c.printf(`<rect x="%s" y="%s" width="%s" height="%s"%s/>`+"\n", num(x), num(y), num(max(w, 0)), num(max(h, 0)), paint(fill, stroke))
}

func (c *svgCanvas) Polygon(pts []Point, fill, stroke Color) {
	var s []string
	for _, p := range pts {
		s = append(s, num(p.X)+","+num(p.Y))
	}
	c.printf(`<polygon points="%s"%s/>`+"\n", strings.Join(s, " "), paint(fill, stroke))
}

func (c *svgCanvas) Lines(lines [][]Point, stroke Color, width float64) {
	var d strings.Builder
	for _, l := range lines {
		for i, p := range l {
			op := "L"
			if i == 0 {
				op = "M"
			}
			d.WriteString(op + num(p.X) + " " + num(p.Y))
		}
	}
	c.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="%s"/>`+"\n", d.String(), stroke, num(width))
}

func (c *svgCanvas) Text(x, y float64, s string, t Type) {
	attr := ""
	if t.Bold {
		attr += ` font-weight="700"`
	}
	switch t.Anchor {
	case Middle:
		attr += ` text-anchor="middle"`
	case End:
		attr += ` text-anchor="end"`
	}
	c.printf(`<text x="%s" y="%s" font-size="%s" fill="%s"%s>%s</text>`+"\n", num(x), num(y), num(t.Size), t.Color, attr, escape(s))
}

// Width is that of BIZ UDPGothic, which the style sheet asks for first. Other
// faces of the list are narrower in their Latin letters, so text still fits.
func (c *svgCanvas) Width(s string, t Type) float64 {
	em := 0.0
	for _, r := range s {
		switch {
		case ' ' <= r && r <= '~':
			em += float64(latin[r-' ']) / 100
		case r == '–':
			em += .5
		default:
			em++
		}
	}
	return em * t.Size
}

// latin are the advances of the characters from space to ~, in hundredths of
// an em.
var latin = [...]uint8{
	33, 33, 47, 92, 80, 100, 89, 29, 49, 49, 50, 84, 31, 48, 31, 50,
	76, 63, 76, 76, 76, 76, 76, 76, 76, 76, 31, 31, 84, 84, 84, 77,
	98, 76, 77, 80, 84, 70, 66, 84, 82, 42, 54, 75, 60, 98, 82, 86,
	74, 89, 76, 71, 70, 84, 74, 98, 80, 72, 75, 50, 50, 50, 50, 30,
	50, 65, 71, 64, 71, 69, 50, 67, 70, 32, 38, 63, 33, 94, 70, 68,
	71, 71, 45, 59, 47, 70, 58, 88, 60, 61, 58, 52, 44, 52, 50,
}

func (c *svgCanvas) Begin(label string) {
	c.printf("<g><title>%s</title>\n", escape(label))
}

func (c *svgCanvas) End() { c.printf("</g>\n") }

func paint(fill, stroke Color) string {
	f := "none"
	if fill != "" {
		f = string(fill)
	}
	if stroke == "" {
		return ` fill="` + f + `"`
	}
	return ` fill="` + f + `" stroke="` + string(stroke) + `"`
}

func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// escape makes any text safe inside SVG. Characters that XML cannot hold at
// all become U+FFFD.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < 0x20, r == 0xFFFE, r == 0xFFFF:
			return utf8.RuneError
		}
		return r
	}, s)
	return escaper.Replace(s)
}
