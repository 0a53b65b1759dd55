package reports

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"meguri/analytics"
	"meguri/analytics/disclosure"
)

// shifting is the town with other values in its small cells, and with its rows in
// the order of the values, whichever these are.
type shifting struct {
	town
	secret float64
	down   bool
	plus   float64 // on what is shown
}

func (s shifting) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	t, err := s.town.Run(ctx, q)
	for i := range t.Cells {
		c := &t.Cells[i]
		for k := range c.Values {
			if c.Persons < 5 {
				c.Values[k] = s.secret + float64(i+k)
			} else {
				c.Values[k] += s.plus
			}
		}
	}
	slices.SortStableFunc(t.Cells, func(a, b analytics.Cell) int {
		by := cmp.Compare(a.Values[0], b.Values[0])
		if s.down {
			return -by
		}
		return by
	})
	return t, err
}

// everyForm is all that readers can get of a town, by name, and how many cells
// are hidden in it.
func everyForm(t *testing.T, e analytics.Engine) (forms map[string][]byte, hidden int) {
	t.Helper()
	g := &disclosure.Gate{Engine: e, Now: gate(town{}).Now}
	forms = map[string][]byte{}
	write := func(name string, f func(io.Writer) error) { forms[name] = written(t, f) }
	for _, lang := range []string{"ja", "en"} {
		page, err := BuildEBPM(t.Context(), g, options(lang))
		if err != nil {
			t.Fatal(err)
		}
		write("dashboard "+lang, page.HTML)
		s, err := BuildShop(t.Context(), g, "s-001", "髙﨑屋", "restaurant", options(lang))
		if err != nil {
			t.Fatal(err)
		}
		write("shop "+lang, s.HTML)
		write("shop PDF "+lang, s.PDF)
	}
	var tables []disclosure.Released
	for _, q := range []analytics.Query{
		{Metric: "M01a", By: []string{"week"}}, {Metric: "M01a", By: []string{"age_band", "sex"}},
		{Metric: "M03", By: []string{"age_band", "sex"}}, {Metric: "M02", By: []string{"weekday", "hour"}}, {Metric: "M01a"},
	} {
		q.From, q.To = "2026-10-01", "2026-10-31"
		public, err := g.Release(t.Context(), q, disclosure.Public)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := g.ReleaseTo(t.Context(), q, disclosure.Recipient, "r")
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, theirs)
		for reader, r := range map[string]disclosure.Released{"public": public, "recipient": theirs} {
			hidden += r.Hidden()
			name := fmt.Sprint(" of ", q.Metric, q.By, " for ", reader)
			write("SDMX"+name, func(w io.Writer) error { return SDMXCSV(w, r) })
			write("JSON"+name, func(w io.Writer) error { return JSON(w, r) })
			for _, lang := range []string{"ja", "en"} {
				write("CSV"+name+lang, func(w io.Writer) error { return CSV(w, r, lang) })
				write("text"+name+lang, func(w io.Writer) error { return Text(w, r, lang) })
				write("JSON-stat"+name+lang, func(w io.Writer) error { return JSONStat(w, r, lang) })
			}
		}
	}
	write("bundle", func(w io.Writer) error {
		_, err := Bundle(w, Manifest{Contract: "c", Period: "2026-10"}, tables, ed25519.NewKeyFromSeed(make([]byte, 32)))
		return err
	})
	return forms, hidden
}

// Recipe 16, side channels: towns that differ in hidden values only, and in the
// order in which the engine gives the rows, are the same to the last byte in
// every form: pages with their drawings, titles and descriptions, sentences,
// paper, files, the bundle and its hashes.
func TestRecipe_16NoFormTellsAHiddenValue(t *testing.T) {
	want, hidden := everyForm(t, shifting{secret: 1})
	if hidden == 0 {
		t.Fatal("nothing is hidden: the test shows nothing")
	}
	for _, e := range []shifting{{secret: sentinel}, {secret: 5e9, down: true}} {
		got, also := everyForm(t, e)
		if also != hidden {
			t.Errorf("%+v: %d cells are hidden, and %d", e, also, hidden)
		}
		for name, form := range want {
			if !bytes.Equal(got[name], form) {
				t.Errorf("with %v in hidden cells, in the order of values (down: %v), %s is another one", e.secret, e.down, name)
			}
		}
	}
	other, _ := everyForm(t, shifting{secret: 1, plus: 1000})
	for name, form := range want {
		if bytes.Equal(other[name], form) {
			t.Errorf("%s is the same for other values that are shown: the test shows nothing", name)
		}
	}
}

// Recipe 16, the paper's layers: a PDF has no attachment, comment, script or
// metadata in which a value could be left, and in none of its streams, once they
// are inflated, is there a number of a hidden cell.
func TestRecipe_16PaperHasNothingBeneath(t *testing.T) {
	pdf := written(t, shop(t, town{secret: true}, "髙﨑屋", options("ja")).PDF)
	if at := regexp.MustCompile(`/(EmbeddedFiles?|Filespec|JavaScript|JS|Annots?|Metadata|OpenAction|AA|OCG|OCProperties|ActualText|Alt|PieceInfo)\b`).Find(pdf); at != nil {
		t.Errorf("the PDF has %s", at)
	}
	streams := 0
	for _, part := range bytes.Split(pdf, []byte("stream"))[1:] {
		in, err := zlib.NewReader(bytes.NewReader(bytes.TrimLeft(part, "\r\n")))
		if err != nil {
			continue // not compressed: it is looked through as it stands
		}
		streams++
		text, err := io.ReadAll(in)
		if len(text) == 0 && err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(strconv.Itoa(sentinel))) {
			t.Errorf("stream %d has a number of a hidden cell", streams)
		}
	}
	if streams < 3 || bytes.Contains(pdf, []byte(strconv.Itoa(sentinel))) {
		t.Errorf("%d streams were looked through", streams)
	}
}

// Recipe 14, of totals and shares: what pages say in sentences is made from shown
// cells. Where the total is hidden no share of it is given, and nothing hidden is
// first, last, or part of a sum.
func TestRecipe_14SentencesAreOfWhatIsShown(t *testing.T) {
	for _, secret := range []float64{0, 9e9} {
		page, err := BuildEBPM(t.Context(), &disclosure.Gate{Engine: shifting{secret: secret}, Now: gate(town{}).Now}, options("ja"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.sections {
			for _, p := range s.Panels {
				last := false
				for _, row := range p.Table.Rows {
					hidden := len(row.Cells) == 1 && row.Cells[0].State == "suppressed"
					if p.ID == "industry-yen" && last && !hidden {
						t.Errorf("%s: a shown row stands below a hidden one, by the hidden one's value", p.Title)
					}
					last = hidden
				}
			}
		}
	}
	// Of a shop with few users nothing is said at all.
	few := &disclosure.Gate{Engine: shifting{town: town{persons: 4}, secret: 7}, Now: gate(town{}).Now}
	s, err := BuildShop(t.Context(), few, "s-001", "髙﨑屋", "restaurant", options("ja"))
	if err != nil || !s.few || len(s.findings)+len(s.tiles) > 0 {
		t.Errorf("%v: a shop of four has %d findings and %d tiles", err, len(s.findings), len(s.tiles))
	}
}
