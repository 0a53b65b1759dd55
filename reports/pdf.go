package reports

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/signintech/gopdf"
	"golang.org/x/text/width"

	"meguri/reports/chart"
	"meguri/reports/fonts"
)

// Paper is A4 upright, in points. Its letters are for readers of any age:
// what is to be read is 14 points or more.
const (
	pageWidth  = 595.28
	pageHeight = 841.89
	margin     = 40
	inner      = pageWidth - 2*margin
	foot       = pageHeight - 29

	body      = 14.0
	lead      = 19.0 // from line to line of body text
	inChart   = 11.5
	headSize  = 17.0
	titleSize = 24.0
)

// PDF writes the report as two A4 pages, or as one where there are no numbers
// to show. A character that the typeface lacks is an error that names it.
//
// The file is not tagged, which its writer cannot do: the page that HTML
// writes is the accessible form of the same report.
func (s Shop) PDF(w io.Writer) error {
	p, err := newSheet(s)
	if err != nil {
		return fmt.Errorf("write the PDF of %s: %w", s.name, err)
	}
	if s.few {
		p.page(1, 1)
		p.head()
		p.gap(24)
		p.para(p.l.T("shop.few", s.minimum), body+2, true)
		p.gap(8)
		p.para(p.l.T("shop.few.why"), body, false)
	} else {
		p.page(1, 2)
		p.head()
		p.first(s)
		p.page(2, 2)
		p.second(s)
	}
	if p.err == nil {
		p.err = p.missing.Err()
	}
	if p.err == nil {
		_, p.err = p.pdf.WriteTo(w)
	}
	if p.err != nil {
		return fmt.Errorf("write the PDF of %s: %w", s.name, p.err)
	}
	return nil
}

// sheet sets text and charts down a page. The first error stays.
type sheet struct {
	l       tongue
	s       Shop
	pdf     *gopdf.GoPdf
	missing *fonts.Missing
	y       float64 // top of what comes next
	err     error
}

func newSheet(s Shop) (*sheet, error) {
	p := &sheet{l: tongue(s.o.Lang), s: s, pdf: &gopdf.GoPdf{}}
	p.pdf.Start(gopdf.Config{PageSize: gopdf.Rect{W: pageWidth, H: pageHeight}})
	p.pdf.SetInfo(gopdf.PdfInfo{
		Title:        p.l.T("shop.of", s.name) + " " + s.frame.Period,
		Author:       s.o.City,
		Creator:      "Meguri",
		Producer:     "Meguri",
		CreationDate: s.released.ReleasedAt(),
	})
	var err error
	p.missing, err = fonts.Use(p.pdf)
	return p, err
}

func (p *sheet) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *sheet) font(size float64, bold bool) {
	style := ""
	if bold {
		style = "B"
	}
	p.keep(p.pdf.SetFont(fonts.Family, style, size))
}

func (p *sheet) width(s string, size float64, bold bool) float64 {
	p.font(size, bold)
	w, err := p.pdf.MeasureTextWidth(s)
	p.keep(err)
	return w
}

type color [3]uint8

var (
	black = color{0x1A, 0x1A, 0x1A}
	dim   = color{0x59, 0x59, 0x59}
	navy  = color{0x00, 0x30, 0x5C}
	blue  = color{0x00, 0x72, 0xB2}
	edge  = color{0xD9, 0xDE, 0xE3}
	warn  = color{0x5C, 0x3A, 0x00}
)

// put sets one line of text on a baseline.
func (p *sheet) put(x, y float64, s string, size float64, bold bool, k color) {
	p.font(size, bold)
	p.pdf.SetTextColor(k[0], k[1], k[2])
	p.pdf.SetXY(x, y)
	p.keep(p.pdf.Text(s))
}

func (p *sheet) box(x, y, w, h float64, fill, stroke color) {
	p.pdf.SetFillColor(fill[0], fill[1], fill[2])
	p.pdf.SetStrokeColor(stroke[0], stroke[1], stroke[2])
	p.pdf.SetLineWidth(.8)
	p.pdf.RectFromUpperLeftWithStyle(x, y, w, h, "FD")
}

func (p *sheet) fill(x, y, w, h float64, k color) {
	p.pdf.SetFillColor(k[0], k[1], k[2])
	p.pdf.RectFromUpperLeftWithStyle(x, y, w, h, "F")
}

func (p *sheet) gap(h float64) { p.y += h }

func leading(size float64) float64 { return size * lead / body }

// para sets a paragraph over the width of the page.
func (p *sheet) para(s string, size float64, bold bool) {
	p.lines(p.wrap(s, size, bold, inner), margin, size, bold, black)
}

func (p *sheet) lines(lines []string, x, size float64, bold bool, k color) {
	for _, line := range lines {
		p.put(x, p.y+size*.95, line, size, bold, k)
		p.y += leading(size)
	}
}

func (p *sheet) heading(s string) {
	p.fill(margin, p.y+2, 4, headSize+2, blue)
	p.put(margin+11, p.y+headSize, s, headSize, true, navy)
	p.y += headSize + 11
}

// page begins a page with what stands on every one: the note on demo data at
// the top, the definition of hidden values and the page number at the foot.
func (p *sheet) page(n, of int) {
	p.pdf.AddPage()
	p.y = 30
	if p.s.o.Demo {
		text := p.l.T("demo")
		if p.l == "en" {
			text += "  " + tongue("ja").T("demo")
		}
		p.box(margin, p.y-8, inner, 25, color{0xFF, 0xF4, 0xD6}, color{0xB2, 0x50, 0x00})
		p.put(margin+(inner-p.width(text, 15, true))/2, p.y+10, text, 15, true, warn)
		p.y += 27
	}
	text := p.l.T("shop.page", n, of)
	p.put(pageWidth-margin-p.width(text, 11, false), foot+10, text, 11, false, dim)
	p.put(margin, foot+10, p.l.T("asof")+" "+p.s.frame.AsOf+p.l.T("dot")+p.l.T("def.rules")+" "+p.s.released.Rules().Version, 11, false, dim)
	if n > 1 {
		p.put(margin, p.y+body, p.s.name+"　"+p.s.frame.Period, body, false, dim)
		p.y += lead + 6
	}
}

func (p *sheet) head() {
	kind := p.l.T("shop.title")
	beside := p.width(kind, body, true) + 16
	size := titleSize
	for size > body && p.width(p.s.name, size, true) > inner-beside {
		size--
	}
	p.put(margin, p.y+size*.95, p.s.name, size, true, navy)
	p.put(margin+inner-beside+16, p.y+size*.95, kind, body, true, blue)
	p.y += size + 7
	line := p.l.T("period") + " " + p.s.frame.Period
	if p.s.industry != "" {
		line = p.s.industry + p.l.T("dot") + line
	}
	p.para(line, body, false)
	p.para(p.l.T("released")+" "+p.s.frame.Released+p.l.T("dot")+p.l.T("asof")+" "+p.s.frame.AsOf, body, false)
	p.gap(2)
	p.fill(margin, p.y, inner, 1.2, navy)
	p.y += 9
}

// tiles sets tiles two in a row.
func (p *sheet) tiles(tiles []tile) {
	const gap, high = 10, 37
	w := (inner - gap) / 2
	for i, t := range tiles {
		x := margin + float64(i%2)*(w+gap)
		p.box(x, p.y, w, high, color{0xFF, 0xFF, 0xFF}, edge)
		p.fill(x, p.y, 4, high, blue)
		p.put(x+12, p.y+24, t.Label, body, false, black)
		size, k := 20.0, navy
		if t.State != "" {
			size, k = 16, dim
		}
		for size > body && p.width(t.Label, body, false)+p.width(t.Value, size, true)+34 > w {
			size--
		}
		p.put(x+w-10-p.width(t.Value, size, true), p.y+26, t.Value, size, true, k)
		if i%2 == 1 || i == len(tiles)-1 {
			p.y += high + 7
		}
	}
}

// figure sets the sentence of a panel and its chart below it.
func (p *sheet) figure(n panel, c chart.Chart) {
	p.para(n.Message, body, false)
	p.gap(3)
	if c == nil {
		return
	}
	paper := p.paper()
	p.keep(chart.PDF(paper, c, margin, p.y, inner))
	p.y += paper.Height(c, inner) + 4
}

func (p *sheet) paper() chart.Paper {
	return chart.Paper{PDF: p.pdf, Family: fonts.Family, Size: inChart}
}

// tall is how much room a figure takes.
func (p *sheet) tall(n panel, c chart.Chart) float64 {
	h := float64(len(p.wrap(n.Message, body, false, inner)))*lead + 7
	if c != nil {
		h += p.paper().Height(c, inner)
	}
	return h
}

// first fills the page 今期のまとめ. What is left over after the rest has its
// room goes to the weekly chart; where there is too little, the last finding
// waits for another period.
func (p *sheet) first(s Shop) {
	p.heading(p.l.T("shop.p1"))
	p.tiles(s.tiles)
	p.gap(4)
	weekly := s.weekly.drawn
	bars, ok := weekly.(chart.Bars)
	findings := s.findings
	for {
		bars.Aspect = .11
		if ok {
			weekly = bars
		}
		used := p.y + p.tall(s.weekly, weekly) + p.tall(s.slots, s.slots.drawn) + 8 + headSize + 11
		for _, f := range findings {
			used += p.findingHeight(f)
		}
		if left := foot - 6 - used; left >= 0 || len(findings) == 0 {
			if ok && left > 0 {
				bars.Aspect += min(left/inner, .16)
				weekly = bars
			}
			break
		}
		findings = findings[:len(findings)-1]
	}
	p.figure(s.weekly, weekly)
	p.figure(s.slots, s.slots.drawn)
	p.gap(4)
	if len(findings) == 0 && len(s.findings) > 0 {
		return
	}
	p.heading(p.l.T("shop.finding"))
	if len(findings) == 0 {
		p.para(p.l.T("find.none"), body, false)
	}
	for _, f := range findings {
		p.finding(f)
	}
}

// kindWidth is the room for the kind of a finding, which stands beside it.
func (p *sheet) kindWidth() float64 {
	w := 0.0
	for _, f := range p.s.findings {
		w = max(w, p.width(f.Kind, body, true))
	}
	return w + 14
}

func (p *sheet) findingLines(f finding) (text, evidence []string) {
	return p.wrap(f.Text, body, true, inner-p.kindWidth()), p.wrap(f.Evidence, body, false, inner-p.kindWidth())
}

func (p *sheet) findingHeight(f finding) float64 {
	text, evidence := p.findingLines(f)
	return float64(len(text)+len(evidence))*lead + 5
}

func (p *sheet) finding(f finding) {
	p.put(margin, p.y+body*.95, f.Kind, body, true, blue)
	text, evidence := p.findingLines(f)
	p.lines(text, margin+p.kindWidth(), body, true, black)
	p.lines(evidence, margin+p.kindWidth(), body, false, dim)
	p.gap(5)
}

// second fills the page お客さま.
func (p *sheet) second(s Shop) {
	p.heading(p.l.T("shop.p2"))
	p.figure(s.ages, s.ages.drawn)
	p.gap(6)
	p.figure(s.fresh, s.fresh.drawn)
	p.gap(6)
	p.heading(p.l.T("shop.repeat"))
	const gap = 10
	w := (inner - gap) / 2
	top, bottom := p.y, p.y
	for i, t := range s.repeat {
		x := margin + float64(i)*(w+gap)
		p.y = top
		p.lines(p.wrap(t.Label, body, true, w), x, body, true, black)
		p.lines([]string{t.Value}, x, 22, true, navy)
		p.lines(p.wrap(t.Sub, body, false, w), x, body, false, dim)
		bottom = max(bottom, p.y)
	}
	p.y = bottom + 8
	terms := []string{p.l.T("terms.suppressed", s.minimum), p.l.T("terms.net"), p.l.T("terms.visits"), p.l.T("terms.median"), p.l.T("terms.unobserved"), p.l.T("terms.repeat")}
	if p.y+headSize+11+lead > foot-6 {
		return
	}
	p.heading(p.l.T("terms"))
	for _, t := range terms {
		lines := p.wrap(t, body, false, inner)
		if p.y+float64(len(lines))*lead > foot-6 {
			continue // the page on screen has them all
		}
		p.lines(lines, margin, body, false, black)
		p.gap(2)
	}
}

// Characters that must not begin or end a line (行頭禁則, 行末禁則).
const (
	notFirst = "、。，．・：；？！）」』】〕］｝〉》％%円万億人回件台週日月年時分ー～…ゃゅょっァィゥェォャュョッ,.)!?:;"
	notLast  = "（「『【〔［｛〈《(¥"
)

// wrap breaks text into lines of a width: between wide characters, and between
// words of narrow ones, never inside a number.
func (p *sheet) wrap(s string, size float64, bold bool, room float64) []string {
	var atoms []string
	for _, r := range s {
		if n := len(atoms); n > 0 {
			last, _ := lastRune(atoms[n-1])
			glue := strings.ContainsRune(notFirst, r) || strings.ContainsRune(notLast, last) ||
				(!wide(r) && !wide(last) && !unicode.IsSpace(last))
			if glue {
				atoms[n-1] += string(r)
				continue
			}
		}
		atoms = append(atoms, string(r))
	}
	var lines []string
	line := ""
	for _, a := range atoms {
		if line != "" && p.width(strings.TrimRight(line+a, " "), size, bold) > room {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += a
	}
	if line != "" {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

func lastRune(s string) (rune, bool) {
	r := []rune(s)
	if len(r) == 0 {
		return 0, false
	}
	return r[len(r)-1], true
}

func wide(r rune) bool {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return true
	}
	return false
}
