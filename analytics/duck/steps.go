package duck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"meguri/pseudonymize/lake"
)

// Tables of yesterday and of today must not tell, by their difference, what one
// person did whose payment came late. So a part of time (a week, cut where a
// month ends) changes in steps of at least so many persons as Options.Step says:
// movements that came with fewer are held back until others join them. What is
// held follows from the lake's files alone, so every process sees the same, and
// every table of every audience is of the same rows. What the first snapshot
// brought is never held: there is nothing before it to compare with.

// arrival is what a file brought to a part of time.
type arrival struct {
	file, part string
	snapshot   int64
	persons    []string // all of them where they are fewer than a step
}

// held returns the arrivals that are held back, in any order of all.
func held(all []arrival, step int) (back []arrival) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b arrival) int {
		if c := strings.Compare(a.part, b.part); c != 0 {
			return c
		}
		return int(a.snapshot - b.snapshot)
	})
	for i := 0; i < len(all); {
		part, from := all[i].part, i
		persons := map[string]bool{}
		for ; i < len(all) && all[i].part == part; i++ {
			for _, p := range all[i].persons {
				persons[p] = true
			}
			// A snapshot's files are seen together.
			if last := i+1 == len(all) || all[i+1].part != part || all[i+1].snapshot != all[i].snapshot; last && len(persons) >= step {
				from = i + 1
				clear(persons)
			}
		}
		back = append(back, all[from:i]...)
	}
	return back
}

// arrivals learns what the files of a manifest brought, but for those of the
// lake's first snapshot. Files that are known are not read again: they never
// change.
func (e *Engine) arrivals(ctx context.Context, m lake.Manifest, paths []string) (all []arrival, err error) {
	files := m.Table("payments")
	snapshots := make([]int64, len(paths))
	for i, f := range files {
		named := false
		if snapshots[i], named = f.Snapshot(); !named {
			return nil, fmt.Errorf("the lake's file %s is not named by its snapshot", f.Path)
		}
	}
	if len(paths) == 0 {
		return nil, nil
	}
	first := slices.Min(snapshots)
	var fresh []string
	number := map[string]int{}
	for i, p := range paths {
		number[p] = i
		if _, known := e.brought[files[i]]; !known && snapshots[i] != first {
			fresh = append(fresh, p)
		}
	}
	if len(fresh) > 0 {
		found, err := e.readArrivals(ctx, fresh, paths)
		if err != nil {
			return nil, err
		}
		for _, p := range fresh {
			e.brought[files[number[p]]] = nil
		}
		for _, a := range found {
			i := number[a.file]
			a.snapshot = snapshots[i]
			e.brought[files[i]] = append(e.brought[files[i]], a)
		}
	}
	for _, f := range files {
		all = append(all, e.brought[f]...)
	}
	return all, nil
}

func (e *Engine) readArrivals(ctx context.Context, fresh, paths []string) (all []arrival, err error) {
	text, err := e.aboutFiles("arrivals.sql", fresh, paths)
	if err != nil {
		return nil, err
	}
	rows, err := e.db.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a arrival
		var persons string
		if err := rows.Scan(&a.file, &a.part, &persons); err != nil {
			return nil, err
		}
		a.persons = strings.Fields(persons)
		all = append(all, a)
	}
	return all, rows.Err()
}

// holdBack makes the table of what is held back, and reports whether there is
// anything in it.
func (e *Engine) holdBack(ctx context.Context, m lake.Manifest, paths []string) (bool, error) {
	all, err := e.arrivals(ctx, m, paths)
	if err != nil {
		return false, err
	}
	back := held(all, e.step)
	if len(back) == 0 {
		return false, nil
	}
	var files, inFiles, parts []string
	for _, a := range back {
		if !slices.Contains(files, a.file) {
			files = append(files, a.file)
		}
		inFiles, parts = append(inFiles, a.file), append(parts, a.part)
	}
	text, err := e.aboutFiles("held.sql", files, paths)
	if err != nil {
		return false, err
	}
	_, err = e.db.ExecContext(ctx, "CREATE OR REPLACE TABLE held AS "+text, inFiles, parts)
	return true, err
}

func (e *Engine) aboutFiles(name string, fresh, paths []string) (string, error) {
	data := struct {
		New, Files string
		Step       int
	}{list(fresh), list(paths), e.step}
	var text strings.Builder
	for _, part := range []string{"arrived.sql", name} {
		if err := e.templates.ExecuteTemplate(&text, part, data); err != nil {
			return "", err
		}
	}
	return text.String(), nil
}

// list is a list of texts as DuckDB reads it.
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
