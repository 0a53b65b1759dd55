package ingest_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"meguri/ingest"
	"meguri/pseudonymize/lake"
)

// between is what the stations at both ends of a stretch hold.
func between(l ingest.Line, s ingest.Stretch) (from, to ingest.Sum) {
	switch s {
	case ingest.Intake:
		return l.Read, l.Segments
	case ingest.IntoLake:
		return l.Segments, l.Lake
	}
	if l.Ledger == nil {
		return ingest.Sum{}, ingest.Sum{}
	}
	return *l.Ledger, l.Segments
}

// adds fails where a station is not the next one and all parts between them.
func adds(t *rapid.T, lines []ingest.Line) {
	for _, l := range lines {
		for _, s := range []ingest.Stretch{ingest.Handover, ingest.Intake, ingest.IntoLake} {
			from, to := between(l, s)
			for _, p := range l.Parts {
				if p.Stretch == s {
					to.Rows, to.Yen = to.Rows+p.Rows, to.Yen+p.Yen
				}
			}
			if from != to && (s != ingest.Handover || l.Ledger != nil) {
				t.Fatalf("%v on %s: %v is not %v with its parts", l.Cell, s, from, to)
			}
		}
	}
}

// MT-5: whatever becomes of rows, the parts add up and every difference has its
// reason; a row that is lost, made up, or has another amount has none.
func TestCompare_Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := ingest.Figures{Own: "s0", Ledger: ingest.Sums{}, Unconsented: ingest.Sums{}, NotPulled: ingest.Sums{},
			NotRun: ingest.Sums{}, Test: ingest.Sums{}, Held: ingest.Sums{}, Lake: ingest.Sums{}}
		one := func() (ingest.Cell, ingest.Sum) {
			return ingest.Cell{Source: fmt.Sprint("s", rapid.IntRange(0, 1).Draw(t, "source")), Day: fmt.Sprint("2024-06-0", rapid.IntRange(1, 3).Draw(t, "day")), Kind: "pay"},
				ingest.Sum{Rows: 1, Yen: rapid.Int64Range(1, 900).Draw(t, "yen")}
		}
		for range rapid.IntRange(1, 4).Draw(t, "imports") {
			i := ingest.ImportFigures{Whole: true, Counted: true, Days: ingest.Sums{}, Segments: ingest.Sums{}}
			for range rapid.IntRange(1, 8).Draw(t, "rows") {
				c, sum := one()
				i.Days.Add(c, sum)
				switch fate := rapid.SampledFrom([]string{"lake", "lake", "repeated", "bad", "not run", "test", "held"}).Draw(t, "fate"); fate {
				case "repeated":
					i.Duplicate++
				case "bad":
					i.Bad++
				default:
					i.Accepted++
					i.Segments.Add(c, sum)
					if c.Source == f.Own {
						f.Ledger.Add(c, sum)
					}
					map[string]ingest.Sums{"lake": f.Lake, "not run": f.NotRun, "test": f.Test, "held": f.Held}[fate].Add(c, sum)
				}
			}
			f.Imports = append(f.Imports, i)
		}
		for range rapid.IntRange(0, 3).Draw(t, "not handed over") {
			c, sum := one()
			c.Source = f.Own
			f.Ledger.Add(c, sum)
			rapid.SampledFrom([]ingest.Sums{f.Unconsented, f.NotPulled}).Draw(t, "why").Add(c, sum)
		}
		lines := ingest.Compare(f)
		adds(t, lines)
		for _, l := range lines {
			if open := l.Open(); len(open) > 0 {
				t.Fatalf("%v: nothing explains %v", l.Cell, open)
			}
		}

		c, sum := one()
		if rapid.Bool().Draw(t, "only the amount") {
			sum.Rows = 0
		}
		stretch := ingest.IntoLake
		switch rapid.SampledFrom([]string{"lake", "ledger", "segments"}).Draw(t, "damage") {
		case "lake":
			f.Lake.Add(c, sum)
		case "ledger":
			c.Source, stretch = f.Own, ingest.Handover
			f.Ledger.Add(c, sum)
		case "segments":
			f.Imports[0].Segments.Add(c, sum)
		}
		lines = ingest.Compare(f)
		adds(t, lines)
		for _, l := range lines {
			for _, p := range l.Open() {
				if l.Cell == c && p.Stretch == stretch && (p.Sum == sum || p.Sum == ingest.Sum{Rows: -sum.Rows, Yen: -sum.Yen}) {
					return
				}
			}
		}
		t.Fatalf("%v of %v went unnoticed: %v", sum, c, lines)
	})
}

// An import that was killed has no totals: its rows are explained once the file
// was imported to its end, whether or not that went on where it stopped.
func TestCompare_KilledImports(t *testing.T) {
	c := ingest.Cell{Source: "s", Day: "2024-06-01", Kind: "pay"}
	all := ingest.Sums{c: {Rows: 5, Yen: 500}}
	part := func(n int64) ingest.Sums { return ingest.Sums{c: {Rows: n, Yen: n * 100}} }
	for name, test := range map[string]struct {
		imports []ingest.ImportFigures
		open    bool
	}{
		"never again":       {[]ingest.ImportFigures{{Killed: true, Segments: part(2)}}, true},
		"from its start":    {[]ingest.ImportFigures{{Killed: true, Whole: true, Segments: part(2)}, {Whole: true, Counted: true, Accepted: 3, Duplicate: 2, Days: all, Segments: part(3)}}, false},
		"gone on":           {[]ingest.ImportFigures{{Killed: true, Whole: true, Counted: true, Chain: true, Accepted: 3, Days: all, Segments: part(5)}}, false},
		"gone on, and lost": {[]ingest.ImportFigures{{Killed: true, Whole: true, Counted: true, Chain: true, Changed: true, Accepted: 3, Days: all, Segments: part(4)}}, true},
		"stopped, gone on":  {[]ingest.ImportFigures{{Whole: true, Counted: true, Chain: true, Accepted: 5, Duplicate: 1, Days: all, Segments: part(5)}}, false},
		"before totals":     {[]ingest.ImportFigures{{Whole: true, Accepted: 2, Segments: part(2)}}, false},
		"and rows are gone": {[]ingest.ImportFigures{{Whole: true, Accepted: 3, Segments: part(2)}}, true},
	} {
		in := ingest.Sum{}
		for _, i := range test.imports {
			in.Rows, in.Yen = in.Rows+i.Segments[c].Rows, in.Yen+i.Segments[c].Yen
		}
		lines := ingest.Compare(ingest.Figures{Imports: test.imports, Lake: ingest.Sums{c: in}})
		if len(lines) != 1 || (len(lines[0].Open()) > 0) != test.open {
			t.Errorf("%s: got %+v", name, lines)
		}
	}
}

// What is gathered from a real folder is what was read and kept, over imports,
// the API, held rows and runs.
func TestFigures_OfTheWholeWay(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	p.Basis = &some{covered: map[string]bool{"mitaka/a": true, "mitaka/t": true}}
	put(t, im, []ingest.Person{{Source: "mitaka", ID: "t", Test: true}}, nil)
	look := func() []ingest.Line {
		t.Helper()
		f, claims, faults, err := im.Figures(t.Context(), lake.Open(p.Lake.Dir()))
		if err != nil || len(claims)+len(faults) > 0 {
			t.Fatal(claims, faults, err)
		}
		return ingest.Compare(f)
	}
	if lines := look(); len(lines) != 0 {
		t.Errorf("of nothing: %v", lines)
	}
	add(t, im, "mitaka", paymentOf("T1", "a"), paymentOf("T2", "b"), paymentOf("T3", "t"), paymentOf("T4", ""))
	if s, err := im.Add(t.Context(), "mitaka", []ingest.Record{paymentOf("T1", "a"), paymentOf("T5", "a")}); err != nil || s.Duplicate != 1 {
		t.Fatal(s, err)
	}
	runPipeline(t, p)
	add(t, im, "mitaka", paymentOf("T6", "a"))
	lines := look()
	if len(lines) != 1 || len(lines[0].Open()) > 0 {
		t.Fatalf("got %+v", lines)
	}
	got := map[ingest.Reason]int64{}
	for _, part := range lines[0].Parts {
		got[part.Reason] = part.Rows
	}
	want := fmt.Sprint(map[ingest.Reason]int64{ingest.Repeated: 1, ingest.HeldRow: 1, ingest.TestUser: 1, ingest.NotRun: 1})
	if fmt.Sprint(got) != want || lines[0].Read.Rows != 7 || lines[0].Segments.Rows != 6 || lines[0].Lake.Rows != 3 {
		t.Errorf("got %+v, want the parts %s", lines[0], want)
	}
}
