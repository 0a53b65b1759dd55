package duck

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meguri/analytics/unicity"
)

// Extract is the lake's rows as an analyst would see them, for the questions of
// package unicity. It holds one snapshot until it is closed.
type Extract struct {
	engine *Engine
	conn   *sql.Conn // its temporary tables are its own
	files  string    // of the residents
}

// Extract opens the rows of the lake's present snapshot.
func (e *Engine) Extract(ctx context.Context) (*Extract, error) {
	if err := e.follow(ctx); err != nil {
		return nil, err
	}
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("open extract: %w", err)
	}
	e.mu.RLock()
	x := &Extract{engine: e, conn: conn}
	m, err := e.lake.Manifest()
	if err == nil && m.Snapshot != e.snapshot {
		err = errors.New("a run has changed the lake in this moment: try again")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open extract: %w", err), x.Close())
	}
	if files := e.lake.Paths(m, "residents"); len(files) > 0 {
		x.files = list(files)
	}
	return x, nil
}

// Close lets the snapshot go.
func (x *Extract) Close() error {
	x.engine.mu.RUnlock()
	return x.conn.Close()
}

// Snapshot implements unicity.Source.
func (x *Extract) Snapshot() (int64, time.Time) { return x.engine.snapshot, x.engine.at }

// Classes implements unicity.Source.
func (x *Extract) Classes(ctx context.Context, g unicity.Grain, k, l int64, residents bool) (c unicity.Classes, err error) {
	data := struct {
		unicity.Grain
		Residents string
	}{Grain: g}
	if residents {
		if data.Residents = x.files; x.files == "" {
			return c, nil
		}
	}
	text, err := x.render("unicity_classes.sql", data)
	if err != nil {
		return c, err
	}
	err = x.conn.QueryRowContext(ctx, text, k, l).Scan(&c.Persons, &c.Classes, &c.Unique, &c.BelowK, &c.BelowL)
	return c, err
}

// The columns that a visit is known by.
var (
	places  = map[unicity.Place]string{unicity.Shop: "shop_id", unicity.ShopArea: "shop_area", unicity.IndustryArea: "(industry, shop_area)"}
	moments = map[unicity.Time]string{unicity.Day: "occurred_on", unicity.Week: "date_trunc('week', occurred_on)", unicity.Month: "date_trunc('month', occurred_on)"}
)

// Visits implements unicity.Source.
func (x *Extract) Visits(ctx context.Context, g unicity.Grain, d unicity.Draw, points ...int) (drawn int64, unique []int64, keys int64, err error) {
	place, moment := places[g.Place], moments[g.Time]
	if place == "" || moment == "" {
		return 0, nil, 0, fmt.Errorf("there is no visit by %q and %q", g.Place, g.Time)
	}
	if g.Hour {
		moment = "(" + moment + ", hour(occurred_local))"
	}
	text, err := x.render("unicity_visit.sql", map[string]string{"Place": place, "Time": moment})
	if err != nil {
		return 0, nil, 0, err
	}
	if _, err := x.conn.ExecContext(ctx, text); err != nil {
		return 0, nil, 0, err
	}
	for _, name := range []string{"unicity_drawn.sql", "unicity_point.sql"} {
		if text, err = x.render(name, nil); err != nil {
			return 0, nil, 0, err
		}
		args := []any{fmt.Sprint(d.Seed), d.Persons}
		if name == "unicity_point.sql" {
			args[1] = slices.Max(points)
		}
		if _, err := x.conn.ExecContext(ctx, text, args...); err != nil {
			return 0, nil, 0, err
		}
	}
	if text, err = x.render("unicity_known.sql", nil); err != nil {
		return 0, nil, 0, err
	}
	for _, n := range points {
		var shared int64
		if err := x.conn.QueryRowContext(ctx, text, n).Scan(&drawn, &shared, &keys); err != nil {
			return 0, nil, 0, err
		}
		unique = append(unique, drawn-shared)
	}
	return drawn, unique, keys, nil
}

func (x *Extract) render(name string, data any) (string, error) {
	var text strings.Builder
	err := x.engine.templates.ExecuteTemplate(&text, name, data)
	return text.String(), err
}
