package disclosure

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Reason is why a cell is hidden. It is a hint at what the cell is, and the
// office's alone: the register keeps it, and no released table does.
type Reason string

// The reasons.
const (
	FewPersons Reason = "few-persons"
	FewShops   Reason = "few-operators" // shops of one operator are one
	Dominance  Reason = "dominance"     // by p % or (n, k)
	Group      Reason = "group"         // nearly all of a group are in it
	Empty      Reason = "empty"         // nobody is in it, and nobody is to know
	SmallArea  Reason = "small-area"    // of an area that is hidden as a whole
	Between    Reason = "between"       // what lies between two releases is sensitive
	Earlier    Reason = "earlier"       // hidden in an earlier release
	Secondary  Reason = "secondary"     // it would give another one away
	Unrecorded Reason = "unrecorded"    // of a release before reasons were kept
)

// Reasons are all of them.
var Reasons = []Reason{FewPersons, FewShops, Dominance, Group, Empty, SmallArea, Between, Earlier, Secondary, Unrecorded}

// Explained is a release as the office looks at it.
type Explained struct {
	Number  int64           `json:"number"`
	Record  Record          `json:"-"`
	Regions []Region        `json:"regions,omitempty"`
	Dims    []string        `json:"dims"`  // of the keys
	Cells   []ExplainedCell `json:"cells"` // the hidden ones
}

// MarshalJSON writes what the office needs of the record, and no values.
func (e Explained) MarshalJSON() ([]byte, error) {
	type plain Explained
	r := e.Record
	return json.Marshal(struct {
		plain
		ReleasedAt  time.Time `json:"released_at"`
		Rules       string    `json:"rules"`
		Reader      string    `json:"reader,omitempty"`
		Metric      string    `json:"metric_id"`
		From        string    `json:"from"`
		To          string    `json:"to"`
		Hidden      int       `json:"hidden"`
		HiddenShare float64   `json:"hidden_share"`
	}{plain(e), r.At.UTC(), r.Rules, r.Reader, r.Metric, r.From, r.To, r.Hidden, e.Share()})
}

// ExplainedCell is a hidden cell, and why it is hidden.
type ExplainedCell struct {
	Keys   []string `json:"keys"`
	Reason Reason   `json:"reason"`
}

// Share is how much of the release is hidden, 0 to 1.
func (e Explained) Share() float64 {
	if e.Record.Cells == 0 {
		return 0
	}
	return float64(e.Record.Hidden) / float64(e.Record.Cells)
}

// Explain tells why the cells of an entry of the register are hidden. It is for
// the office.
func Explain(number int64, rec Record) (Explained, error) {
	var b body
	if err := json.Unmarshal(rec.Body, &b); err != nil {
		return Explained{}, fmt.Errorf("the entry of the register: %w", err)
	}
	out := Explained{Number: number, Record: rec, Regions: b.Regions, Dims: b.Dims}
	for _, c := range b.Hidden {
		out.Cells = append(out.Cells, ExplainedCell{c.Keys, c.Why})
	}
	if b.Hidden == nil && b.Table != nil {
		out.Dims = nil
		for _, d := range b.Table.Dims {
			out.Dims = append(out.Dims, d.Name)
		}
		for _, c := range b.Table.Cells {
			if c.Hidden {
				out.Cells = append(out.Cells, ExplainedCell{c.Keys, Unrecorded})
			}
		}
	}
	return out, nil
}

// hiddenBody is a hidden cell in the body of a record.
type hiddenBody struct {
	Keys []string `json:"keys"`
	Why  Reason   `json:"why"`
}

// keys are the keys of a cell in the order of the sorted dimensions.
func (c cellOf) keys() []string { return strings.Split(c.key, keySeparator) }

// secondary tells why cells are hidden that are not sensitive themselves: since
// they were before, since a part of theirs lies between two releases, or since
// they would give others away.
func secondary(tables []table, cells []cellOf, whys []Reason, hidden []bool) func(i int) Reason {
	earlier, between := map[string]bool{}, map[string]bool{}
	sum := func(c cellOf) string { return fmt.Sprint(c.leaves) }
	cut := func(c cellOf) string { return cutName(tables[c.table].by) + keySeparator + c.key }
	for i, c := range cells {
		switch t := tables[c.table]; {
		case t.between:
			between[cut(c)] = true
		case t.decided != nil && hidden[i]:
			earlier[sum(c)] = true
		}
	}
	return func(i int) Reason {
		switch {
		case whys[i] != "":
			return whys[i]
		case earlier[sum(cells[i])]:
			return Earlier
		case between[cut(cells[i])]:
			return Between
		}
		return Secondary
	}
}
