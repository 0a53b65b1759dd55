package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"time"
)

// Migration is one step of a schema: a folder NNNN_slug that holds up.sql (or
// up.sqlite.sql and up.postgres.sql), notes.md with the reason, and check.sql,
// a query whose one value must be true afterwards. A folder is never edited
// once it is released.
type Migration struct {
	Name    string
	Note    string
	Applied bool
}

// Migrate applies the migrations under dir that the database does not have
// yet, each in a transaction of its own, under the given schema name, so that
// two stores can live in one database. It returns all of them in order.
func Migrate(ctx context.Context, db *DB, schema string, fsys fs.FS, dir string) ([]Migration, error) {
	const table = `CREATE TABLE IF NOT EXISTS schema_migrations (
		schema_name TEXT NOT NULL, name TEXT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY (schema_name, name))`
	if _, err := db.ExecContext(ctx, table); err != nil {
		return nil, fmt.Errorf("migrate %s: %w", schema, err)
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("migrate %s: %w", schema, err)
	}
	var steps []Migration
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		note, err := fs.ReadFile(fsys, path.Join(dir, e.Name(), "notes.md"))
		if err != nil {
			return nil, fmt.Errorf("migrate %s: every step has a note: %w", schema, err)
		}
		steps = append(steps, Migration{Name: e.Name(), Note: strings.TrimSpace(string(note))})
	}
	sort.Slice(steps, func(i, j int) bool { return steps[i].Name < steps[j].Name })
	if err := checkKnown(ctx, db, schema, steps); err != nil {
		return nil, err
	}
	for i := range steps {
		if steps[i].Applied, err = apply(ctx, db, schema, fsys, path.Join(dir, steps[i].Name)); err != nil {
			return nil, fmt.Errorf("migrate %s to %s: %w", schema, steps[i].Name, err)
		}
	}
	return steps, nil
}

// checkKnown refuses a database that has steps which this program does not
// know: a newer program, or one from before the first release, made it.
func checkKnown(ctx context.Context, db *DB, schema string, steps []Migration) (err error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM schema_migrations WHERE schema_name = $1 ORDER BY name`, schema)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", schema, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if !slices.ContainsFunc(steps, func(m Migration) bool { return m.Name == name }) {
			return fmt.Errorf("migrate %s: the database has the step %s, which this program does not know: "+
				"use the program that made it, or begin with an empty database", schema, name)
		}
	}
	return rows.Err()
}

// apply runs one step unless it was run before; it reports whether it ran now.
func apply(ctx context.Context, db *DB, schema string, fsys fs.FS, dir string) (ran bool, err error) {
	up, err := fs.ReadFile(fsys, path.Join(dir, "up."+string(db.Dialect)+".sql"))
	if err != nil {
		if up, err = fs.ReadFile(fsys, path.Join(dir, "up.sql")); err != nil {
			return false, err
		}
	}
	check, err := fs.ReadFile(fsys, path.Join(dir, "check.sql"))
	if err != nil {
		return false, fmt.Errorf("every step has a check: %w", err)
	}
	err = db.InTx(ctx, func(tx *sql.Tx) error {
		ran = false
		if db.Dialect == Postgres { // two processes may start at once
			if _, err := tx.ExecContext(ctx, `LOCK TABLE schema_migrations IN EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		var n int
		err := tx.QueryRowContext(ctx,
			`SELECT COUNT(*) FROM schema_migrations WHERE schema_name = $1 AND name = $2`, schema, path.Base(dir)).Scan(&n)
		if err != nil || n > 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(up)); err != nil {
			return err
		}
		var ok bool
		if err := tx.QueryRowContext(ctx, string(check)).Scan(&ok); err != nil {
			return fmt.Errorf("check: %w", err)
		}
		if !ok {
			return fmt.Errorf("check: the schema is not as the step should leave it")
		}
		_, err = tx.ExecContext(ctx,
			`INSERT INTO schema_migrations (schema_name, name, applied_at) VALUES ($1, $2, $3)`,
			schema, path.Base(dir), time.Now().UnixMicro())
		ran = err == nil
		return err
	})
	return ran, err
}
