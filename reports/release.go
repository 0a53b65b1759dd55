package reports

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// Hash names what a released table says: the SHA-256, in hexadecimal, of a text
// of its question, columns, rules, snapshot and cells, with nothing for a hidden
// value. The same table in another format, or let out once more, has the same
// hash; its cells' order does not matter.
func Hash(r disclosure.Released) (string, error) {
	type cell struct {
		Keys   []string `json:"keys"`
		Hidden bool     `json:"hidden,omitempty"`
		Values []any    `json:"values,omitempty"`
	}
	doc := struct {
		Metric   string             `json:"metric"`
		Query    analytics.Query    `json:"query"`
		Dims     []analytics.Column `json:"dims"`
		Measures []analytics.Column `json:"measures"`
		Rules    string             `json:"rules"`
		Method   disclosure.Method  `json:"method,omitempty"`
		AsOf     time.Time          `json:"as_of"`
		Snapshot int64              `json:"snapshot"`
		Cells    []cell             `json:"cells"`
	}{r.Metric().ID, r.Query(), r.Dims(), r.Measures(), ruleSet(r), methodOf(r), r.AsOf().UTC(), r.Snapshot(), nil}
	for _, c := range InOrder(r) {
		out := cell{Keys: c.Keys, Hidden: c.State != disclosure.Shown}
		for i := range doc.Measures {
			if !out.Hidden {
				out.Values = append(out.Values, number(value(c, i)))
			}
		}
		doc.Cells = append(doc.Cells, out)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return "", fmt.Errorf("hash %s: %w", r.Metric().ID, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// HiddenShare is which part of a table's cells is hidden, 0 to 1.
func HiddenShare(r disclosure.Released) float64 {
	if len(r.Cells()) == 0 {
		return 0
	}
	return float64(r.Hidden()) / float64(len(r.Cells()))
}

// number is a value for programs, or nil.
func number(v chart.Value) any {
	if v.State == chart.Shown {
		return v.N
	}
	return nil
}

func ruleSet(r disclosure.Released) string {
	return string(r.Rules().Audience) + " " + r.Rules().Version
}

// methodOf is how a table was protected, or "" where by suppression alone.
func methodOf(r disclosure.Released) disclosure.Method {
	if r.Method() == disclosure.Suppression {
		return ""
	}
	return r.Method()
}

// InOrder gives a table's cells by their keys, in the order of the dimensions'
// lists. No value has a say in it.
func InOrder(r disclosure.Released) []disclosure.Cell {
	var rank []map[string]int
	for d := range r.Dims() {
		rank = append(rank, map[string]int{})
		for i, key := range keysOf(r, d) {
			rank[d][key] = i
		}
	}
	cells := r.Cells()
	slices.SortStableFunc(cells, func(a, b disclosure.Cell) int {
		for d := range rank {
			if by := rank[d][a.Keys[d]] - rank[d][b.Keys[d]]; by != 0 {
				return by
			}
		}
		return 0
	})
	return cells
}

// code is a key in the formats of statistical offices, which have no empty code.
func code(key string) string {
	if key == "" {
		return "_U"
	}
	return key
}

// StructureID is the identifier of a table's structure in SDMX form: agency,
// structure and version. Each cut of a metric has one.
func StructureID(metric string, by []string) string {
	return "MEGURI:" + strings.Join(append([]string{metric}, by...), "_") + "(1.0.0)"
}
