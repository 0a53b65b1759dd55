// Package duck answers queries with DuckDB over a lake. It is the only place
// that knows DuckDB. Start with [Open].
//
// The database lives in memory, reads nothing but the lake's folder, has no
// network and no extensions, and its settings are locked before the first
// question.
package duck

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // registers the driver "duckdb"

	"meguri/analytics"
	statements "meguri/analytics/sql"
	"meguri/pseudonymize/lake"
)

// Engine is an analytics.Engine over a lake. It follows the lake: a question
// asked after a new snapshot is answered from that snapshot.
type Engine struct {
	lake      *lake.Lake
	db        *sql.DB
	templates *template.Template

	mu       sync.RWMutex // held for writing while the tables are made anew
	snapshot int64
	at       time.Time
	step     int
	brought  map[lake.File][]arrival
}

// Options bound what the engine takes.
type Options struct {
	MemoryMiB int    // DuckDB's limit; 0 is 2048
	Threads   int    // 0 is DuckDB's own choice
	Temp      string // folder for what does not fit; "" is one beside the lake
	Step      int    // the fewest persons by whose movements a week may change; 0 is any
}

// Open starts an engine over a lake, which may still be empty.
func Open(l *lake.Lake, o Options) (*Engine, error) {
	templates, err := template.ParseFS(statements.Files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("open analytics: %w", err)
	}
	if o.MemoryMiB == 0 {
		o.MemoryMiB = 2048
	}
	if o.Temp == "" {
		o.Temp = filepath.Join(l.Dir(), ".tmp")
	}
	dir, err := filepath.Abs(l.Dir())
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err != nil {
		return nil, fmt.Errorf("open analytics: %w", err)
	}
	settings := append([]string{
		fmt.Sprintf("SET memory_limit = '%dMiB'", o.MemoryMiB),
		"SET temp_directory = " + quote(o.Temp),
		"SET preserve_insertion_order = false",
		"SET allowed_directories = [" + quote(dir) + ", " + quote(o.Temp) + "]",
	}, closed...)
	if o.Threads > 0 {
		settings = append(settings, fmt.Sprintf("SET threads = %d", o.Threads))
	}
	db, err := openLocked(settings, nil)
	if err != nil {
		return nil, fmt.Errorf("open analytics: %w", err)
	}
	return &Engine{lake: lake.Open(dir), db: db, templates: templates, snapshot: -1, step: o.Step, brought: map[lake.File][]arrival{}}, nil
}

// Close ends the engine.
func (e *Engine) Close() error { return e.db.Close() }

// quote makes a text a DuckDB literal.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Run implements analytics.Engine.
func (e *Engine) Run(ctx context.Context, q analytics.Query) (analytics.Table, error) {
	q, metric, dims, err := q.Resolve()
	if err != nil {
		return analytics.Table{}, err
	}
	if err := e.follow(ctx); err != nil {
		return analytics.Table{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	text, areas, err := e.render(metric, q)
	if err != nil {
		return analytics.Table{}, err
	}
	t := analytics.Table{
		Metric: metric, Query: q, Snapshot: e.snapshot, AsOf: e.at, Dims: dims, Measures: metric.Measures,
	}
	rows, err := e.db.QueryContext(ctx, text, append([]any{q.From, q.To, q.Shop, q.Visit, q.Zero, q.SeenTo}, areas...)...)
	if err != nil {
		return t, fmt.Errorf("metric %s: %w", metric.ID, err)
	}
	t.Cells, err = readCells(rows, len(dims), len(metric.Measures))
	if err != nil {
		return t, fmt.Errorf("metric %s: %w", metric.ID, err)
	}
	return t, nil
}

// follow makes the tables anew when the lake has another snapshot than the one
// they were made from.
func (e *Engine) follow(ctx context.Context) error {
	m, err := e.lake.Manifest()
	if err != nil {
		return err
	}
	e.mu.RLock()
	current := e.snapshot == m.Snapshot
	e.mu.RUnlock()
	if current {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.snapshot == m.Snapshot { // somebody else was first
		return nil
	}
	event, files := "event_empty.sql", e.lake.Paths(m, "payments")
	if len(files) > 0 {
		event = "event.sql"
	}
	if e.step > 0 {
		some, err := e.holdBack(ctx, m, files)
		if err != nil {
			return fmt.Errorf("lay out the lake: what is held back: %w", err)
		}
		if some {
			event = "event_held.sql"
		}
	}
	for _, name := range []string{event, "payment.sql", "movement.sql"} {
		var text strings.Builder
		if err := e.templates.ExecuteTemplate(&text, name, map[string]string{"Files": list(files)}); err != nil {
			return fmt.Errorf("lay out the lake: %w", err)
		}
		if _, err := e.db.ExecContext(ctx, text.String()); err != nil {
			return fmt.Errorf("lay out the lake: %s: %w", name, err)
		}
	}
	e.snapshot, e.at = m.Snapshot, m.At
	return nil
}

// render makes the statement of a metric. What goes into the text are names
// from fixed lists; what a caller writes goes in as parameters, the names of
// areas after the others.
func (e *Engine) render(m analytics.Metric, q analytics.Query) (string, []any, error) {
	data := struct {
		Dims, Group, Key, PeriodStart string
		Regions                       []regionParameters
	}{Key: "person_token", PeriodStart: "q.from_on"}
	var areas []any
	for _, dim := range slices.Sorted(maps.Keys(q.Regions)) {
		if !slices.Contains(q.By, dim) {
			continue
		}
		from := slices.Sorted(maps.Keys(q.Regions[dim]))
		into := make([]string, len(from))
		for i, area := range from {
			into[i] = q.Regions[dim][area]
		}
		const queryParameters = 6
		n := queryParameters + len(areas)
		data.Regions = append(data.Regions, regionParameters{Dim: dim, From: n + 1, Into: n + 2})
		areas = append(areas, strings.Join(from, separator), strings.Join(into, separator))
	}
	if len(q.By) > 0 {
		cuts := strings.Join(q.By, ", ")
		data.Dims, data.Group = cuts+", ", "GROUP BY "+cuts+"\nORDER BY "+cuts
	}
	if slices.Contains(q.By, "shop") {
		data.Key = "person_token, shop"
	}
	for _, period := range []string{"month", "week"} { // the shorter one decides
		if slices.Contains(q.By, period) {
			data.PeriodStart = fmt.Sprintf("greatest(q.from_on, date_trunc('%s', scope.occurred_on))", period)
		}
	}
	var text strings.Builder
	for _, name := range []string{"query.sql", m.SQL + ".sql"} {
		if err := e.templates.ExecuteTemplate(&text, name, data); err != nil {
			return "", nil, fmt.Errorf("metric %s: %w", m.ID, err)
		}
	}
	return text.String(), areas, nil
}

// regionParameters are a dimension of areas, and the numbers of the parameters
// that say in which region each of them is.
type regionParameters struct {
	Dim        string
	From, Into int
}

// separator is what areas are told apart by; see regions.sql.
const separator = "\x1f"

// Behind implements analytics.Engine.
func (e *Engine) Behind(ctx context.Context, q analytics.Query, p analytics.Party) ([]analytics.Part, error) {
	column, ok := map[analytics.Party]string{analytics.ByShop: "operator", analytics.ByPerson: "person_token"}[p]
	if !ok {
		return nil, fmt.Errorf("who stands behind a cut: there is no party %q", p)
	}
	parts, err := e.parts(ctx, q, "behind.sql", column)
	if err != nil {
		return nil, fmt.Errorf("who stands behind a cut: %w", err)
	}
	return parts, nil
}

// Bounded implements analytics.Bounder.
func (e *Engine) Bounded(ctx context.Context, q analytics.Query, b analytics.Bound) ([]analytics.Part, error) {
	parts, err := e.parts(ctx, q, "bounded.sql", "", b.Cells, b.Yen, b.Draw)
	if err != nil {
		return nil, fmt.Errorf("what persons did under a bound: %w", err)
	}
	return parts, nil
}

// parts runs a statement that gives the parts of a cut, with parameters after
// those of every question.
func (e *Engine) parts(ctx context.Context, q analytics.Query, statement, column string, more ...any) (_ []analytics.Part, err error) {
	q.Metric = "M01a" // any that can be cut by everything
	q, _, dims, err := q.Resolve()
	if err != nil {
		return nil, err
	}
	if err := e.follow(ctx); err != nil {
		return nil, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	data := struct {
		Dims, Party, PeriodStart string
		Regions                  []regionParameters // none: who is where, as it is
	}{Party: column, PeriodStart: "q.from_on"}
	if len(q.By) > 0 {
		data.Dims = strings.Join(q.By, ", ") + ", "
	}
	var text strings.Builder
	for _, name := range []string{"query.sql", statement} {
		if err := e.templates.ExecuteTemplate(&text, name, data); err != nil {
			return nil, err
		}
	}
	rows, err := e.db.QueryContext(ctx, text.String(), append([]any{q.From, q.To, q.Shop, q.Visit, q.Zero, q.SeenTo}, more...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var parts []analytics.Part
	keys := make([]sql.NullString, len(dims))
	into := make([]any, 0, len(dims)+3)
	for i := range keys {
		into = append(into, &keys[i])
	}
	for rows.Next() {
		part := analytics.Part{Keys: make([]string, len(dims))}
		if err := rows.Scan(append(into, &part.Party, &part.Yen, &part.Payments)...); err != nil {
			return nil, err
		}
		for i, k := range keys {
			part.Keys[i] = k.String
		}
		parts = append(parts, part)
	}
	return parts, rows.Err()
}

// Snapshot implements analytics.Engine.
func (e *Engine) Snapshot(context.Context) (int64, error) {
	m, err := e.lake.Manifest()
	return m.Snapshot, err
}

// exact is the largest whole number up to which float64 has them all.
const exact = 1 << 53

func readCells(rows *sql.Rows, dims, measures int) (_ []analytics.Cell, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	var cells []analytics.Cell
	keys := make([]sql.NullString, dims)
	values := make([]sql.NullFloat64, measures)
	into := make([]any, 0, dims+measures+2)
	for i := range keys {
		into = append(into, &keys[i])
	}
	for i := range values {
		into = append(into, &values[i])
	}
	for rows.Next() {
		c := analytics.Cell{Keys: make([]string, dims), Values: make([]float64, measures)}
		if err := rows.Scan(append(into, &c.Persons, &c.Shops)...); err != nil {
			return nil, err
		}
		for i, k := range keys {
			c.Keys[i] = k.String
		}
		for i, v := range values {
			if c.Values[i] = v.Float64; !v.Valid {
				c.Values[i] = math.NaN()
			}
			if math.Abs(v.Float64) > exact {
				return nil, fmt.Errorf("a sum is beyond %d", int64(exact))
			}
		}
		cells = append(cells, c)
	}
	return cells, rows.Err()
}

var (
	_ analytics.Engine  = (*Engine)(nil)
	_ analytics.Bounder = (*Engine)(nil)
)
