package ingest

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// Told is a total that a source gives of what it sent: of a day, or of the
// whole file where Day is empty; of a kind of payment, or of all of them.
type Told struct {
	Day, Kind string
	Rows      int64
	Yen       *int64 // nil where none is told
}

// dayKind and total gather DayTotals while a file is read.
type dayKind struct {
	day  int32 // in Japan, since 1970
	kind string
}

type total struct{ rows, yen int64 }

// tally counts what was read; most rows are of the day and kind before them.
type tally struct {
	days  map[dayKind]*total
	last  dayKind
	lastT *total
	ahead time.Duration // by how much the latest row lies after now
}

const dayMicros = 24 * 60 * 60 * 1_000_000

// japaneseDay is the day in Japan of an instant, in days since 1970.
func japaneseDay(micros int64) int32 {
	shifted := micros + 9*60*60*1_000_000
	day := shifted / dayMicros
	if shifted < 0 && shifted%dayMicros != 0 {
		day--
	}
	return int32(day)
}

func (t *tally) add(micros int64, kind string, yen int64) {
	k := dayKind{japaneseDay(micros), kind}
	if t.lastT == nil || k != t.last {
		if t.days == nil {
			t.days = map[dayKind]*total{}
		}
		if t.days[k] == nil {
			t.days[k] = &total{}
		}
		t.last, t.lastT = k, t.days[k]
	}
	t.lastT.rows++
	t.lastT.yen += yen
}

func (t *tally) snapshot() map[dayKind]total {
	days := make(map[dayKind]total, len(t.days))
	for k, v := range t.days {
		days[k] = *v
	}
	return days
}

func dayTotals(days map[dayKind]total) []DayTotal {
	list := make([]DayTotal, 0, len(days))
	for k, v := range days {
		day := time.Unix(int64(k.day)*86400, 0).UTC().Format(time.DateOnly)
		list = append(list, DayTotal{Day: day, Kind: k.kind, Rows: v.rows, AmountYen: v.yen})
	}
	slices.SortFunc(list, func(a, b DayTotal) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Kind, b.Kind)) })
	return list
}

// maxAhead is how far a row may lie ahead of this machine's clock.
const maxAhead = 10 * time.Minute

// onTime returns what is wrong with a time that is still to come, and keeps by
// how much the source's clock is ahead at the least: what happened cannot have
// happened later than now.
func (t *tally) onTime(field string, at, now time.Time) fault {
	ahead := at.Sub(now)
	t.ahead = max(t.ahead, ahead)
	if ahead > maxAhead {
		return fault{field, "the time lies in the future",
			"correct the date, or set the clock of the source right; import the row again when its time has come"}
	}
	return fault{}
}

// compareTotals puts what was told beside what was read. A day that was read
// and that nobody told of is a difference too, where days were told at all.
func compareTotals(told []Told, read []DayTotal) []TotalCheck {
	type key struct{ day, kind string }
	var checks []TotalCheck
	days, kinds, yen := map[string]bool{}, false, false
	for _, t := range told {
		if t.Day != "" {
			days[t.Day] = true
		}
		kinds, yen = kinds || t.Kind != "", yen || t.Yen != nil
	}
	sum := func(k key) (rows, yen int64) {
		for _, d := range read {
			if (k.day == "" || k.day == d.Day) && (k.kind == "" || k.kind == d.Kind) {
				rows += d.Rows
				yen += d.AmountYen
			}
		}
		return rows, yen
	}
	add := func(t Told) {
		c := TotalCheck{Day: t.Day, Kind: t.Kind, RowsTold: t.Rows, YenTold: t.Yen}
		var amount int64
		if c.RowsRead, amount = sum(key{t.Day, t.Kind}); t.Yen != nil {
			c.YenRead = &amount
		}
		checks = append(checks, c)
	}
	for _, t := range told {
		add(t)
	}
	for _, d := range read {
		if len(days) == 0 || days[d.Day] {
			continue
		}
		days[d.Day] = true
		t := Told{Day: d.Day}
		if yen {
			t.Yen = new(int64)
		}
		add(t)
	}
	slices.SortStableFunc(checks, func(a, b TotalCheck) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Kind, b.Kind))
	})
	return checks
}

// ReadTotals reads a source's totals from a CSV file with the columns day,
// rows and yen, and kind where they are of kinds. A row without a day is of the
// whole file.
func ReadTotals(path string) (_ []Told, err error) {
	name := filepath.Base(path)
	rr, err := openText(path, Auto, ',', DefaultMaxRecordBytes, nil)
	if err != nil {
		return nil, fmt.Errorf("totals: %w", err)
	}
	defer func() { _ = rr.Close() }() // it was only read
	header, err := rr.header()
	if err != nil {
		return nil, located(err, name)
	}
	position, err := indexHeader(header)
	if err != nil {
		return nil, located(err, name)
	}
	place := func(column string) int {
		if at, ok := position[column]; ok {
			delete(position, column)
			return at
		}
		return atLine
	}
	t := &trailerRow{Trailer: &Trailer{Day: "day", Layout: Names{time.DateOnly, "2006/1/2"}, Rows: "rows", Yen: "yen"},
		day: place("day"), rows: place("rows"), yen: place("yen")}
	kind := place("kind")
	if t.rows == atLine {
		return nil, located(&LineError{Line: 1, Field: "rows", Problem: "the column is missing",
			Remedy: "totals have the columns day, rows and yen, and kind if they are of kinds", Err: ErrMissingColumn}, name)
	}
	for column := range position {
		return nil, located(&LineError{Line: 1, Field: column, Problem: "totals do not have this column",
			Remedy: "remove it", Err: ErrUnknownColumn}, name)
	}
	var list []Told
	seen := map[[2]string]bool{}
	for {
		_, fields, f, err := rr.row()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, located(err, name)
		}
		var told Told
		if !f.bad() {
			whole := *t
			if whole.day != atLine && fields[whole.day] == "" {
				whole.day = atLine
			}
			if told, f = whole.parse(fields); kind != atLine && !f.bad() {
				told.Kind = fields[kind]
			}
		}
		if k := [2]string{told.Day, told.Kind}; !f.bad() && seen[k] {
			f = fault{"day", "the day and kind stand there twice", "write one row for each"}
		} else if !f.bad() {
			seen[k] = true
		}
		if f.bad() { // totals are few, and half of them would lie
			return nil, located(&LineError{Line: rr.line, Field: f.field, Problem: f.problem, Remedy: f.remedy, Err: ErrTotals}, name)
		}
		list = append(list, told)
	}
	if len(list) == 0 {
		return nil, located(ErrNoRows, name)
	}
	return list, nil
}
