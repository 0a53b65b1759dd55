package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	hidden = Value{State: Suppressed}
	later  = Value{State: Unobserved}
)

// samples has one chart of each kind, with all states of values in it.
func samples() map[string]Chart {
	yen := Head{Title: "純利用額", Message: "見本です。", Lang: "ja", Unit: Yen}
	persons := Head{Title: "Users", Message: "A sample.", Lang: "en", Unit: Persons}
	weeks := []string{"10/5", "10/12", "10/19", "10/26"}
	a := Series{"女性", []Value{N(1234567), hidden, N(0), later}}
	b := Series{"男性", []Value{N(345678), N(700000), hidden, N(math.NaN())}}
	return map[string]Chart{
		"bars":     Bars{Head: yen, Cats: weeks, Series: []Series{{"", a.Values}}},
		"grouped":  Bars{Head: yen, Cats: weeks, Series: []Series{a, b}},
		"stacked":  Bars{Head: yen, Cats: weeks, Series: []Series{a, b}, Stacked: true},
		"lying":    Bars{Head: persons, Cats: weeks, Series: []Series{{"", []Value{N(12), hidden, N(0), later}}}, Horizontal: true},
		"below":    Bars{Head: yen, Cats: weeks, Series: []Series{{"", []Value{N(300000), N(-120000), N(0), N(50000)}}}},
		"line":     Line{Head: persons, Cats: weeks, Series: []Series{{"A", []Value{N(5), N(9), hidden, N(7)}}, {"B", []Value{N(2), N(3), N(4), later}}}},
		"heat":     Heatmap{Head: persons, Rows: []string{"Mon", "Tue"}, Cols: weeks, Values: [][]Value{{N(0), N(5), hidden, N(31)}, {later, N(18), N(50), N(7)}}},
		"nothing":  Bars{Head: yen},
		"no cells": Heatmap{Head: yen},
	}
}

func draw(t *testing.T, c Chart, width float64) string {
	t.Helper()
	var b bytes.Buffer
	if err := SVG(&b, "id", c, width); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parse reads SVG as XML and returns its text.
func parse(s string) (string, error) {
	var text strings.Builder
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text.String(), nil
		}
		if err != nil {
			return "", err
		}
		if c, ok := tok.(xml.CharData); ok {
			text.Write(c)
		}
	}
}

func TestSVG_IsAsBefore(t *testing.T) {
	for name, c := range samples() {
		got := draw(t, c, 500)
		path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".svg")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, string(want)); diff != "" {
			t.Errorf("%s (-got +want; go test -update writes it anew):\n%s", path, diff)
		}
	}
}

func TestSVG_SaysHiddenAndUnobserved(t *testing.T) {
	for name, c := range samples() {
		text, err := parse(draw(t, c, 500))
		if err != nil {
			t.Errorf("%s is not XML: %v", name, err)
		}
		if name == "below" || strings.HasPrefix(name, "no") {
			continue
		}
		words := []string{"―", "秘匿", "…", "未観測"}
		if c.head().Lang == "en" {
			words = []string{"―", "Suppressed", "…", "Not observed"}
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %s", name, w)
			}
		}
	}
}

// What is drawn stays inside the drawing, at all widths.
func TestSVG_StaysInside(t *testing.T) {
	for name, c := range samples() {
		for _, width := range []float64{300, 500, 1040} {
			e := &edges{svgCanvas: svgCanvas{size: 13}}
			c.draw(e, width)
			if e.left < -1 || e.right > width+1 || e.bottom > c.height(e, width)+1 {
				t.Errorf("%s at %v: reaches from %.1f to %.1f and down to %.1f of %.1f", name, width, e.left, e.right, e.bottom, c.height(e, width))
			}
		}
	}
}

type edges struct {
	svgCanvas
	left, right, bottom float64
}

func (e *edges) at(x, y float64) {
	e.left, e.right, e.bottom = min(e.left, x), max(e.right, x), max(e.bottom, y)
}

func (e *edges) Rect(x, y, w, h float64, _, _ Color) { e.at(x, y); e.at(x+w, y+h) }

func (e *edges) Lines(lines [][]Point, _ Color, _ float64) {
	for _, l := range lines {
		for _, p := range l {
			e.at(p.X, p.Y)
		}
	}
}

func (e *edges) Text(x, y float64, s string, t Type) {
	w := e.Width(s, t)
	switch t.Anchor {
	case Middle:
		x -= w / 2
	case End:
		x -= w
	}
	e.at(x, y)
	e.at(x+w, y)
}

func TestHatching_StaysInside(t *testing.T) {
	for k := solid; k <= crossed; k++ {
		for _, l := range hatching(10, 20, 33, 47, k, 4) {
			for _, p := range l {
				if p.X < 10-1e-9 || p.X > 43+1e-9 || p.Y < 20-1e-9 || p.Y > 67+1e-9 {
					t.Errorf("hatch %d leaves its bar at %v", k, p)
				}
			}
		}
	}
}

func TestUnit_Writes(t *testing.T) {
	for _, c := range []struct {
		u           Unit
		v           float64
		lang        string
		full, short string
	}{
		{Yen, 0, "ja", "0円", "0円"},
		{Yen, 98765, "ja", "98,765円", "98,765円"},
		{Yen, 1234567, "ja", "1,234,567円", "123万円"},
		{Yen, 99994999, "ja", "99,994,999円", "9,999万円"},
		{Yen, 99995000, "ja", "99,995,000円", "1.00億円"},
		{Yen, 117441706, "ja", "117,441,706円", "1.17億円"},
		{Yen, -1234567, "ja", "−1,234,567円", "−123万円"},
		{Yen, 1234567, "en", "¥1,234,567", "¥1.23M"},
		{Yen, 999499, "en", "¥999,499", "¥999K"},
		{Yen, -1234567, "en", "−¥1,234,567", "−¥1.23M"},
		{Persons, 1234, "ja", "1,234人", "1,234人"},
		{Visits, 1234, "en", "1,234 visits", "1,234 visits"},
		{Percent, .6195, "ja", "62.0%", "62.0%"},
		{Plain, -.001, "ja", "0.00", "0.00"},
	} {
		if got := c.u.Full(c.v, c.lang); got != c.full {
			t.Errorf("Full(%v, %s) = %q, want %q", c.v, c.lang, got, c.full)
		}
		if got := c.u.Short(c.v, c.lang); got != c.short {
			t.Errorf("Short(%v, %s) = %q, want %q", c.v, c.lang, got, c.short)
		}
	}
}

func TestTicks_AreRound(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		n      int
		whole  bool
		want   []float64
	}{
		{0, 2458, 4, true, []float64{0, 1000, 2000, 3000}},
		{0, 41, 5, true, []float64{0, 10, 20, 30, 40, 50}},
		{0, 0, 4, true, []float64{0, 1}},
		{0, 2, 5, true, []float64{0, 1, 2}},
		{-12, 30, 4, true, []float64{-20, 0, 20, 40}},
		{0, 1, 4, false, []float64{0, .25, .5, .75, 1}},
	} {
		if diff := cmp.Diff(Ticks(c.lo, c.hi, c.n, c.whole), c.want); diff != "" {
			t.Errorf("Ticks(%v, %v, %d, %v) (-got +want):\n%s", c.lo, c.hi, c.n, c.whole, diff)
		}
	}
}

// Ticks enclose the values and 0, ascend evenly and are few, for any values.
func FuzzTicks(f *testing.F) {
	f.Add(0.0, 2458.0, 4, true)
	f.Add(-1e-9, 1e15, 7, false)
	f.Add(5.0, -3.0, 0, true)
	f.Add(0.0, 5e-324, 4, false)
	f.Fuzz(func(t *testing.T, lo, hi float64, n int, whole bool) {
		if math.Abs(lo) > 1e16 || math.Abs(hi) > 1e16 || math.IsNaN(lo) || math.IsNaN(hi) {
			t.Skip("no measure reaches that far")
		}
		if n > 50 {
			n = 50
		}
		got := Ticks(lo, hi, n, whole)
		if len(got) < 2 || len(got) > 2*max(n, 1)+3 {
			t.Fatalf("%d ticks for %d wanted: %v", len(got), n, got)
		}
		eps := 1e-6 * (got[len(got)-1] - got[0])
		if got[0] > math.Min(lo, 0)+eps || got[len(got)-1] < math.Max(hi, 0)-eps {
			t.Errorf("%v does not enclose 0, %v and %v", got, lo, hi)
		}
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Errorf("%v does not ascend", got)
			}
		}
		for _, s := range tickLabels(got, 1) {
			if s == "" || strings.ContainsAny(s, "eN") {
				t.Errorf("a tick of %v reads %q", got, s)
			}
		}
	})
}

// Whatever a label holds, the drawing is XML and the label stays text.
func FuzzSVG_Labels(f *testing.F) {
	f.Add("食料品", "<script>alert(1)</script>")
	f.Add(`" onload="x`, "\x00\x0b\ufffe")
	f.Add("]]>", "&amp;\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		c := Bars{Head: Head{Title: a, Message: b, Lang: "ja", Unit: Persons}, Cats: []string{a, b}, Series: []Series{{b, []Value{N(1), hidden}}, {a, []Value{later, N(2)}}}}
		var out bytes.Buffer
		if err := SVG(&out, a, c, 400); err != nil {
			t.Fatal(err)
		}
		if _, err := parse(out.String()); err != nil {
			t.Errorf("not XML: %v", err)
		}
		if strings.Contains(out.String(), "<script") {
			t.Error("a label became markup")
		}
	})
}
