// Package dossier is the file in which the gate lays down what was published and
// what stands behind it, for an auditor to look at. It is all that the gate and
// the auditor have in common.
//
// A dossier tells who paid what. It is the office's, and never leaves.
package dossier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Format is the version of the file.
const Format = "meguri-dossier/1"

// Dossier is a group of tables over one set of leaves: everything that one
// audience can see.
type Dossier struct {
	Format string  `json:"format"`
	Leaves []Leaf  `json:"leaves"` // the finest partition that the tables have in common
	Tables []Table `json:"tables"`
	// Known are sums that everybody can find elsewhere, such as a budget.
	Known []Cell `json:"known,omitempty"`
}

// Leaf is a part that no table divides further.
type Leaf struct {
	Parts []Part `json:"parts"`
	Open  bool   `json:"open,omitempty"` // it is empty, and nobody is to know
}

// Part is what one respondent has in a leaf, in the unit of the measure.
type Part struct {
	Respondent int32   `json:"r"` // whoever acts as one: a holding, a person
	Amount     float64 `json:"a"`
}

// Rules are the rules by which a table's cells are sensitive.
type Rules struct {
	Name           string  `json:"name"`                      // of the rule set, with its version
	Percent        float64 `json:"percent,omitempty"`         // the p % rule; 0 is none
	MinRespondents int     `json:"min_respondents,omitempty"` // fewer are too few
	Top            int     `json:"top,omitempty"`             // n of the (n, k) rule; 0 is none
	Share          float64 `json:"share,omitempty"`           // k of it, in %
	Coalition      int     `json:"coalition,omitempty"`       // respondents who put together what they know: 0 and 1 is each for itself
}

// Table is a published table.
type Table struct {
	Release     string    `json:"release"` // its number in the register
	Audience    string    `json:"audience"`
	Rules       Rules     `json:"rules"`
	PublishedAt time.Time `json:"published_at"`
	Measure     string    `json:"measure"`
	Dims        []string  `json:"dims"`
	Cells       []Cell    `json:"cells"`
}

// Cell is a cell of a published table: the sum of some leaves.
type Cell struct {
	Keys   []string `json:"keys,omitempty"`
	Leaves []int32  `json:"leaves"`
	Value  *float64 `json:"value"` // null is hidden
	// Up and Down are the protection of a hidden cell that is sensitive by a rule
	// that is not in Rules: nobody may know that it is below its value and Up, or
	// above its value less Down.
	Up   float64 `json:"up,omitempty"`
	Down float64 `json:"down,omitempty"`
}

// ErrMalformed says that a file is no dossier.
var ErrMalformed = errors.New("this is no dossier")

// Write writes a dossier as JSON.
func Write(w io.Writer, d *Dossier) error {
	d.Format = Format
	return json.NewEncoder(w).Encode(d)
}

// Read reads a dossier and checks that it is well formed.
func Read(r io.Reader) (*Dossier, error) {
	var d Dossier
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if d.Format != Format {
		return nil, fmt.Errorf("%w: its format is %q, not %q", ErrMalformed, d.Format, Format)
	}
	for i, l := range d.Leaves {
		for _, p := range l.Parts {
			if math.IsNaN(p.Amount) || math.IsInf(p.Amount, 0) {
				return nil, fmt.Errorf("%w: leaf %d has an amount that is no number", ErrMalformed, i)
			}
		}
	}
	cells := func(where string, list []Cell) error {
		for i, c := range list {
			for k, l := range c.Leaves {
				if l < 0 || int(l) >= len(d.Leaves) || k > 0 && c.Leaves[k-1] >= l {
					return fmt.Errorf("%w: cell %d of %s names a leaf that is not there, or out of order", ErrMalformed, i, where)
				}
			}
		}
		return nil
	}
	for _, t := range d.Tables {
		if err := cells("table "+t.Release, t.Cells); err != nil {
			return nil, err
		}
	}
	return &d, cells("what is known", d.Known)
}
