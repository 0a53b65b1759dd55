package sqldb

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Statements are SQL texts by name: "insert_account" for insert_account.sql.
type Statements map[string]string

// LoadStatements reads a folder of .sql files, one statement a file. Where
// name.sqlite.sql or name.postgres.sql stands beside or instead of name.sql,
// the one of the dialect is taken.
func LoadStatements(fsys fs.FS, dir string, d Dialect) (Statements, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("load statements: %w", err)
	}
	s := Statements{}
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".sql")
		if !ok {
			continue
		}
		name, dialect, special := strings.Cut(stem, ".")
		if special && Dialect(dialect) != d {
			continue
		}
		if _, taken := s[name]; taken && !special {
			continue
		}
		text, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("load statements: %w", err)
		}
		if err := checkParameters(string(text)); err != nil {
			return nil, fmt.Errorf("statement %s: %w", e.Name(), err)
		}
		s[name] = string(text)
	}
	return s, nil
}

// MustLoadStatements is LoadStatements for texts that are part of the program.
func MustLoadStatements(fsys fs.FS, dir string, d Dialect) Statements {
	s, err := LoadStatements(fsys, dir, d)
	if err != nil {
		panic(err)
	}
	return s
}

// Get returns a statement. A name that does not exist is a fault of the
// program and panics; the store's test touches every one.
func (s Statements) Get(name string) string {
	text, ok := s[name]
	if !ok {
		panic("sqldb: there is no statement " + name)
	}
	return text
}

// PrepareAll prepares every statement, as a test of the texts.
func (s Statements) PrepareAll(ctx context.Context, db *DB) error {
	for name, text := range s {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return fmt.Errorf("statement %s on %s: %w", name, db.Dialect, err)
		}
		if err := stmt.Close(); err != nil {
			return fmt.Errorf("statement %s on %s: %w", name, db.Dialect, err)
		}
	}
	return nil
}

var (
	comments  = regexp.MustCompile(`--[^\n]*`)
	parameter = regexp.MustCompile(`\$(\d+)`)
)

// checkParameters refuses a text whose parameters do not first appear in the
// order 1, 2, 3 …
func checkParameters(text string) error {
	highest := 0
	for _, m := range parameter.FindAllStringSubmatch(comments.ReplaceAllString(text, ""), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		switch {
		case n == highest+1:
			highest = n
		case n > highest || n == 0:
			return fmt.Errorf("$%d appears before $%d: number parameters in order of appearance", n, highest+1)
		}
	}
	return nil
}
