// Package analytics turns questions into tables of numbers. Start with
// [Metrics], the registry of everything that can be asked, and [Query], one
// question with its window and cuts.
//
// A [Table] is raw: it still carries small cells, and it may not leave. Only
// the gate (package disclosure) reads it, and what the gate makes of it is
// what reports can show.
package analytics

import (
	"context"
	"time"
)

// Unit is what a measure counts.
type Unit string

// The units of measures.
const (
	Yen     Unit = "yen"     // 円
	Persons Unit = "persons" // 人, distinct
	Visits  Unit = "visits"  // 回
	Ratio   Unit = "ratio"   // 0 to 1
	Rate    Unit = "rate"    // per person or per visit, a real number
	Count   Unit = "count"   // 件
)

// Column describes a dimension or a measure of a table.
type Column struct {
	Name string `json:"name"` // stable, for programs: "net_yen", "industry"
	Ja   string `json:"ja"`
	En   string `json:"en"`
	Unit Unit   `json:"unit,omitempty"` // of a measure; empty for a dimension
}

// Cell is one row of a table: where it stands, what was measured, and how many
// persons and shops stand behind it; shops of one operator are one. A measure that is not defined or not yet
// observable is NaN (未観測), never 0.
//
// Persons is the smallest group of persons, other than nobody, that the cell
// tells something about: where measures count groups apart (new and returning,
// payers and those whose payment was cancelled), the smallest of these.
type Cell struct {
	Keys    []string // one per dimension; "" is unknown
	Values  []float64
	Persons int64
	Shops   int64
}

// Table is the raw answer to a query. Yen values are whole numbers below 2⁵³,
// which float64 holds exactly; an engine refuses larger sums.
type Table struct {
	Metric   Metric
	Query    Query
	AsOf     time.Time // the lake's snapshot: what was known
	Snapshot int64     // its number
	Dims     []Column
	Measures []Column
	Cells    []Cell
}

// Query asks for one metric. From and To are days in Asia/Tokyo, both
// inclusive, YYYY-MM-DD.
type Query struct {
	Metric string   `json:"metric"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	Shop   string   `json:"shop,omitempty"`     // only this shop
	By     []string `json:"by,omitempty"`       // dimensions, see Dimensions
	Visit  string   `json:"visit,omitempty"`    // "day" (default): visits are days; "payment": each payment is one
	SeenTo string   `json:"seen_to,omitempty"`  // M08: the base is everybody seen up to this day; default To
	Zero   bool     `json:"zero_yen,omitempty"` // a payment of 0 yen counts; by default it is a test or a void

	// Regions put areas together: for a dimension, in which region an area is. The
	// gate says so; nobody asks for it.
	Regions map[string]map[string]string `json:"-"`
}

// Party is who can stand behind a cell.
type Party string

// The parties: each shop, where shops of one operator are one, and each person.
const (
	ByShop   Party = "shop"
	ByPerson Party = "person"
)

// Part is what one party has in one cell of a cut. It is as raw as a table.
type Part struct {
	Keys     []string // one for each dimension of the cut
	Party    string   // operator or pseudonym; "" is nobody known
	Yen      float64
	Payments int64
}

// Engine answers queries over a lake. Package duck has the one there is.
type Engine interface {
	Run(ctx context.Context, q Query) (Table, error)
	// Behind tells who stands behind the cells of a query's cut. The query's
	// metric does not matter.
	Behind(ctx context.Context, q Query, p Party) ([]Part, error)
	// Snapshot is the number of the lake's snapshot.
	Snapshot(ctx context.Context) (int64, error)
}
