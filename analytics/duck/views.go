package duck

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	statements "meguri/analytics/sql"
	"meguri/pseudonymize/lake"
)

// WriteViews writes statements for an analyst's own DuckDB that make a view of
// each table of a snapshot, by the files that its manifest names, and of visits.
func WriteViews(w io.Writer, l *lake.Lake, m lake.Manifest) error {
	dir, err := filepath.Abs(l.Dir())
	if err != nil {
		return fmt.Errorf("write views: %w", err)
	}
	texts, err := template.ParseFS(statements.Files, "views.sql", "visits.sql")
	if err != nil {
		return fmt.Errorf("write views: %w", err)
	}
	l = lake.Open(dir) // paths hold wherever the statements are run
	type table struct{ Name, Files string }
	var tables []table
	for _, t := range lake.Tables {
		var paths []string
		for _, p := range l.Paths(m, t.Name) {
			paths = append(paths, quote(p))
		}
		if len(paths) > 0 {
			tables = append(tables, table{t.Name, "[\n  " + strings.Join(paths, ",\n  ") + "]"})
		}
	}
	err = texts.ExecuteTemplate(w, "views.sql", map[string]any{"Label": m.Label, "Snapshot": m.Snapshot,
		"At": m.At.Format(time.RFC3339), "Epoch": m.Epoch, "Tables": tables})
	if err != nil {
		return fmt.Errorf("write views: %w", err)
	}
	return nil
}
