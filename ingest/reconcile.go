package ingest

import (
	"cmp"
	"maps"
	"slices"
)

// Sum is rows and their yen.
type Sum struct {
	Rows int64 `json:"rows"`
	Yen  int64 `json:"yen"`
}

func (s Sum) plus(o Sum) Sum  { return Sum{s.Rows + o.Rows, s.Yen + o.Yen} }
func (s Sum) minus(o Sum) Sum { return Sum{s.Rows - o.Rows, s.Yen - o.Yen} }

// Cell is a source's payments of one kind on one day in Japan.
type Cell struct {
	Source string `json:"source"`
	Day    string `json:"day"`
	Kind   string `json:"kind"`
}

// Sums are those of cells.
type Sums map[Cell]Sum

// Add counts a row.
func (s Sums) Add(c Cell, sum Sum) { s[c] = s[c].plus(sum) }

// Reason is why two stations differ.
type Reason string

// The reasons. What none of them explains is Unexplained.
const (
	NotHandedOver  Reason = "not_handed_over" // of a resident without consent: the API does not tell of it
	NotPulled      Reason = "not_pulled"      // came after the last pull
	Repeated       Reason = "repeated"        // was there before, from another import
	Quarantined    Reason = "quarantined"     // lies in quarantine, though its day and amount could be read
	RepeatedOrBad  Reason = "repeated_or_bad" // one of both: the import had both
	NoControlTotal Reason = "no_total"        // no control total was kept of the import
	NotRun         Reason = "not_run"         // no pipeline has run since it came
	TestUser       Reason = "test_user"       // left out
	HeldRow        Reason = "held"            // waits for a link or a legal basis
	Unexplained    Reason = "unexplained"
)

// Stretch is the way between two stations.
type Stretch string

// The stretches: ledger → segments, what imports read → segments, segments → lake.
const (
	Handover Stretch = "ledger_segments"
	Intake   Stretch = "imports_segments"
	IntoLake Stretch = "segments_lake"
)

// Part is what a reason takes away on a stretch.
type Part struct {
	Stretch Stretch `json:"stretch"`
	Reason  Reason  `json:"reason"`
	Sum
}

// Line is a cell at every station, and why they differ.
type Line struct {
	Cell
	Ledger   *Sum   `json:"ledger,omitempty"` // nil for what is not our own
	Read     Sum    `json:"read"`             // what imports counted
	Segments Sum    `json:"segments"`
	Lake     Sum    `json:"lake"`
	Parts    []Part `json:"parts,omitempty"`
}

// ImportFigures are one import, with those that it continues: what it counted,
// and what is in the segments that it wrote.
type ImportFigures struct {
	ID        string
	Source    string
	File      string
	Whole     bool // it ended, or the file was imported again to its end
	Counted   bool // control totals were kept
	Chain     bool // it continued another, so that repeated rows are counted more than once
	Killed    bool // it, or one that it continues, never ended, so that its counts are not known
	Changed   bool // a segment of it is not what was registered, or is gone
	Accepted  int64
	Duplicate int64
	Bad       int64 // in quarantine
	Days      Sums
	Segments  Sums
}

// Figures are the sums at every station.
type Figures struct {
	Ledger, Unconsented, NotPulled Sums // of our own ledger; nil where there is none
	Own                            string
	Imports                        []ImportFigures
	NotRun, Test, Held, Lake       Sums
	Statements                     []Settlement // of providers, and of our own ledger
	Takings                        Takings      // of shops, in the segments
	Whys                           Whys         // of our own settlements
}

// Compare puts the stations side by side, by source, day and kind. On each
// stretch the first station is the second and all its parts.
func Compare(f Figures) []Line {
	lines := map[Cell]*Line{}
	at := func(c Cell) *Line {
		if lines[c] == nil {
			lines[c] = &Line{Cell: c}
		}
		return lines[c]
	}
	for _, i := range f.Imports {
		for c, sum := range i.Segments {
			at(c).Segments = at(c).Segments.plus(sum)
		}
		for c, sum := range i.Days {
			at(c).Read = at(c).Read.plus(sum)
		}
	}
	for _, sums := range []Sums{f.NotRun, f.Test, f.Held, f.Lake, f.Ledger} {
		for c := range sums {
			at(c)
		}
	}
	for _, i := range f.Imports {
		i.explain(at)
	}
	for c, l := range lines {
		l.Lake = f.Lake[c]
		l.stretch(IntoLake, l.Segments.minus(l.Lake), map[Reason]Sum{NotRun: f.NotRun[c], TestUser: f.Test[c], HeldRow: f.Held[c]})
		if f.Ledger != nil && c.Source == f.Own {
			sum := f.Ledger[c]
			l.Ledger = &sum
			l.stretch(Handover, sum.minus(l.Segments), map[Reason]Sum{NotHandedOver: f.Unconsented[c], NotPulled: f.NotPulled[c]})
		}
	}
	list := make([]Line, 0, len(lines))
	for _, l := range lines {
		list = append(list, l.merged())
	}
	slices.SortFunc(list, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Kind, b.Kind))
	})
	return list
}

// stretch adds the parts of a difference, and what they leave.
func (l *Line) stretch(s Stretch, difference Sum, parts map[Reason]Sum) {
	for _, reason := range slices.Sorted(maps.Keys(parts)) {
		l.add(s, reason, parts[reason])
		difference = difference.minus(parts[reason])
	}
	l.add(s, Unexplained, difference)
}

func (l *Line) add(s Stretch, r Reason, sum Sum) {
	if sum != (Sum{}) {
		l.Parts = append(l.Parts, Part{s, r, sum})
	}
}

// merged has one part for each stretch and reason.
func (l *Line) merged() Line {
	type key struct {
		Stretch
		Reason
	}
	sums, out := map[key]Sum{}, *l
	var order []key
	for _, p := range l.Parts {
		k := key{p.Stretch, p.Reason}
		if _, seen := sums[k]; !seen {
			order = append(order, k)
		}
		sums[k] = sums[k].plus(p.Sum)
	}
	slices.SortFunc(order, func(a, b key) int { return cmp.Or(cmp.Compare(a.Stretch, b.Stretch), cmp.Compare(a.Reason, b.Reason)) })
	out.Parts = nil
	for _, k := range order {
		out.add(k.Stretch, k.Reason, sums[k])
	}
	return out
}

// explain says of one import why what it counted is not what its segments hold.
// Its rows are either new, and in its segments, or were there before, or went to
// quarantine after they were counted; the import knows how many of each there
// were. Where that comes out wrong nothing of it is believed.
func (i *ImportFigures) explain(at func(Cell) *Line) {
	rest, rows, held := Sums{}, int64(0), int64(0)
	for c, sum := range i.Days {
		rest.Add(c, sum)
	}
	for c, sum := range i.Segments {
		rest.Add(c, Sum{}.minus(sum))
		held += sum.Rows
	}
	right := !i.Changed
	for _, sum := range rest {
		rows += sum.Rows
		if i.Counted && (sum.Rows < 0 || sum.Rows == 0 && sum.Yen != 0) {
			right = false
		}
	}
	reason := Unexplained
	switch {
	case !right, !i.Killed && i.Accepted != held:
	case !i.Counted:
		if i.Whole {
			reason = NoControlTotal
		}
	case !i.Killed && rows > i.Duplicate+i.Bad, rows < i.Duplicate && !i.Chain:
	case rows == 0 || i.Bad == 0 || rows == i.Duplicate && !i.Chain:
		reason = Repeated
	case i.Duplicate == 0:
		reason = Quarantined
	default:
		reason = RepeatedOrBad
	}
	for c, sum := range rest {
		at(c).add(Intake, reason, sum)
	}
}

// Open is what of a line nothing explains, by stretch.
func (l *Line) Open() (parts []Part) {
	for _, p := range l.Parts {
		if p.Reason == Unexplained {
			parts = append(parts, p)
		}
	}
	return parts
}
