package duck

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/duckdb/duckdb-go/v2"

	statements "meguri/analytics/sql"
	"meguri/pseudonymize/lake"
)

// SandboxTables are the tables that a sandbox can show: the lake's rows, the
// payments that stand, all movements of sales, and visits.
var SandboxTables = []string{"event", "movement", "payment", "visits"}

// ErrOutOfMemory is a statement that needs more memory than its sandbox has.
var ErrOutOfMemory = errors.New("the statement needs more memory than the session has")

// Refusal is a statement that a sandbox does not run, whatever is in the lake:
// what in it is not allowed, in both languages.
type Refusal struct{ Ja, En string }

// Error implements error.
func (r *Refusal) Error() string { return "not allowed: " + r.En }

// Sandbox is a database of its own over one snapshot of a lake, for statements
// that a stranger writes. It has one connection, so its callers take turns.
//
// There are two walls. DuckDB itself opens no file but those of the snapshot,
// has no network, no extensions and no place to spill to, and its settings are
// locked. Before that, each statement is read by DuckDB's own parser, and only
// a SELECT runs, or a temporary table or view made of one, with table functions
// from a short list and no table that was not granted.
type Sandbox struct {
	db        *sql.DB
	conn      *sql.Conn
	templates *template.Template
	manifest  lake.Manifest
	tables    []string
	temporary map[string]bool
}

// SandboxOptions bound a sandbox.
type SandboxOptions struct {
	MemoryMiB int      // 0 is 512
	Threads   int      // 0 is 2
	Tables    []string // some of SandboxTables; empty shows none
}

// OpenSandbox opens a sandbox over the lake's present snapshot.
func OpenSandbox(ctx context.Context, l *lake.Lake, o SandboxOptions) (_ *Sandbox, err error) {
	if o.MemoryMiB == 0 {
		o.MemoryMiB = 512
	}
	if o.Threads == 0 {
		o.Threads = 2
	}
	templates, err := template.ParseFS(statements.Files, "analyst_*.sql", "visits.sql")
	if err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	dir, err := filepath.Abs(l.Dir())
	if err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	l = lake.Open(dir)
	m, err := l.Manifest()
	if err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	s := &Sandbox{templates: templates, manifest: m, tables: o.Tables, temporary: map[string]bool{}}
	var paths []string
	for _, p := range l.Paths(m, "payments") {
		paths = append(paths, quote(p))
	}
	files := ""
	if len(paths) > 0 {
		files = "[" + strings.Join(paths, ", ") + "]"
	}
	var layOut []string
	for _, table := range o.Tables {
		if !slices.Contains(SandboxTables, table) {
			return nil, fmt.Errorf("open sandbox: there is no table %q; there are %s", table, strings.Join(SandboxTables, ", "))
		}
		text, err := s.render("analyst_"+table+".sql", map[string]string{"Files": files})
		if err != nil {
			return nil, fmt.Errorf("open sandbox: %w", err)
		}
		layOut = append(layOut, text)
	}
	s.db, err = openLocked(append([]string{
		fmt.Sprintf("SET memory_limit = '%dMiB'", o.MemoryMiB),
		fmt.Sprintf("SET threads = %d", o.Threads),
		"SET temp_directory = ''", // nothing of the lake is written anywhere
		"SET TimeZone = 'Asia/Tokyo'",
		"SET allowed_paths = [" + strings.Join(paths, ", ") + "]",
	}, closed...), layOut)
	if err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return nil, fmt.Errorf("open sandbox: %w", errors.Join(err, s.db.Close()))
	}
	return s, nil
}

// closed are the settings that shut a database off from the world.
var closed = []string{
	"SET autoinstall_known_extensions = false",
	"SET autoload_known_extensions = false",
	"SET allow_community_extensions = false",
	"SET enable_external_access = false",
}

// openLocked opens a database in memory, applies settings, runs statements
// under them and locks the settings.
func openLocked(settings, layOut []string) (*sql.DB, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	for _, text := range slices.Concat(settings, layOut, []string{"SET lock_configuration = true"}) {
		if _, err := db.Exec(text); err != nil {
			return nil, fmt.Errorf("%s: %w", text, errors.Join(err, db.Close()))
		}
	}
	return db, nil
}

// Close ends the sandbox and everything that was made in it.
func (s *Sandbox) Close() error { return errors.Join(s.conn.Close(), s.db.Close()) }

// Manifest is the snapshot that the sandbox shows.
func (s *Sandbox) Manifest() lake.Manifest { return s.manifest }

// Tables are the tables that the sandbox shows.
func (s *Sandbox) Tables() []string { return s.tables }

func (s *Sandbox) render(name string, data any) (string, error) {
	var text strings.Builder
	err := s.templates.ExecuteTemplate(&text, name, data)
	return text.String(), err
}

// Statement is a statement that may run. Only Check makes it.
type Statement struct {
	text       string
	query      bool // the text is a SELECT that can stand in parentheses
	Parameters int
	Temporary  string // the temporary table or view that it makes, or ""
}

var (
	explain   = regexp.MustCompile(`(?is)^\s*EXPLAIN\s+(.*)$`)
	temporary = regexp.MustCompile(`(?is)^\s*CREATE\s+(?:OR\s+REPLACE\s+)?TEMP(?:ORARY)?\s+(TABLE|VIEW)\s+([\pL_][\pL\pN_]*)\s+AS\s+(.*)$`)
)

// longest is how much a statement may say, in bytes.
const longest = 64 << 10

// Check reads a statement. It returns a *Refusal for one that may not run, and
// another error for one that cannot be read.
func (s *Sandbox) Check(ctx context.Context, text string) (Statement, error) {
	if len(text) > longest {
		return Statement{}, &Refusal{fmt.Sprintf("%d バイトを超える文", longest), fmt.Sprintf("a statement of more than %d bytes", longest)}
	}
	if m := temporary.FindStringSubmatch(text); m != nil {
		kind, name, query := strings.ToUpper(m[1]), strings.ToLower(m[2]), m[3]
		if slices.Contains(SandboxTables, name) {
			return Statement{}, &Refusal{"レイクの表と同じ名前の一時表 " + name, "a temporary table with the name of one of the lake's, " + name}
		}
		n, err := s.read(ctx, query)
		if err == nil && n > 0 {
			err = &Refusal{"値を渡す一時表", "a temporary table with parameters"}
		}
		return Statement{text: "CREATE OR REPLACE TEMP " + kind + " " + name + " AS " + query, Temporary: name}, err
	}
	if m := explain.FindStringSubmatch(text); m != nil { // ANALYZE would run it; it is no SELECT
		n, err := s.read(ctx, m[1])
		return Statement{text: "EXPLAIN " + m[1], Parameters: n}, err
	}
	n, err := s.read(ctx, text)
	return Statement{text: strings.TrimRight(text, "; \t\r\n"), query: true, Parameters: n}, err
}

// read has DuckDB's parser read a SELECT, and returns how many parameters it has.
func (s *Sandbox) read(ctx context.Context, text string) (parameters int, err error) {
	parse, err := s.render("analyst_parse.sql", nil)
	if err != nil {
		return 0, err
	}
	var serialized string
	if err := s.conn.QueryRowContext(ctx, parse, text).Scan(&serialized); err != nil {
		return 0, fmt.Errorf("read statement: %w", err)
	}
	var tree struct {
		Error      bool   `json:"error"`
		Type       string `json:"error_type"`
		Message    string `json:"error_message"`
		Statements []struct {
			Node   any `json:"node"`
			Params []struct {
				Key   string `json:"key"`
				Value int    `json:"value"`
			} `json:"named_param_map"`
		} `json:"statements"`
	}
	if err := json.Unmarshal([]byte(serialized), &tree); err != nil {
		return 0, fmt.Errorf("read statement: %w", err)
	}
	switch {
	case tree.Error && tree.Type == "not implemented":
		return 0, &Refusal{"1つの SELECT、CREATE TEMP TABLE／VIEW 名前 AS SELECT 以外の文", "anything but one SELECT, or CREATE TEMP TABLE or VIEW name AS SELECT"}
	case tree.Error:
		return 0, fmt.Errorf("read statement: %s", tree.Message)
	case len(tree.Statements) != 1:
		return 0, &Refusal{"一度に2つ以上の文", "more or less than one statement at a time"}
	}
	for _, p := range tree.Statements[0].Params {
		if p.Key != fmt.Sprint(p.Value) {
			return 0, &Refusal{"名前つきの値（? か $1 と書いてください）", "a parameter with a name (write ? or $1)"}
		}
	}
	names := map[string]bool{}
	common(tree.Statements[0].Node, names)
	return len(tree.Statements[0].Params), s.walk(tree.Statements[0].Node, names)
}

// common gathers the names of common table expressions.
func common(node any, names map[string]bool) {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			common(child, names)
		}
	case map[string]any:
		if ctes, ok := n["cte_map"].(map[string]any); ok {
			if list, ok := ctes["map"].([]any); ok {
				for _, e := range list {
					if entry, ok := e.(map[string]any); ok {
						names[strings.ToLower(fmt.Sprint(entry["key"]))] = true
					}
				}
			}
		}
		for _, child := range n {
			common(child, names)
		}
	}
}

// What a statement may call and name besides its own.
var (
	tableFunctions = []string{"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
	secretive      = []string{"current_setting", "getenv", "getvariable", "write_log", "nextval", "currval", "json_execute_serialized_sql"}
	information    = []string{"tables", "columns", "schemata"}
)

// walk looks at every node of a statement.
func (s *Sandbox) walk(node any, names map[string]bool) error {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			if err := s.walk(child, names); err != nil {
				return err
			}
		}
	case map[string]any:
		if err := s.look(n, names); err != nil {
			return err
		}
		for _, child := range n {
			if err := s.walk(child, names); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Sandbox) look(n map[string]any, names map[string]bool) error {
	text := func(key string) string {
		t, _ := n[key].(string)
		return strings.ToLower(t)
	}
	switch n["type"] {
	case "BASE_TABLE":
		schema, table := text("schema_name"), text("table_name")
		known := slices.Contains(s.tables, table)
		switch {
		case schema == "information_schema" && slices.Contains(information, table):
		case schema == "" && (known || s.temporary[table] || names[table]):
		case schema == "main" && known:
		default:
			return &Refusal{fmt.Sprintf("表 %q（使えるのは %s）", table, strings.Join(s.tables, ", ")), fmt.Sprintf("the table %q (there are %s)", table, strings.Join(s.tables, ", "))}
		}
	case "TABLE_FUNCTION":
		f, _ := n["function"].(map[string]any)
		if name, _ := f["function_name"].(string); !slices.Contains(tableFunctions, strings.ToLower(name)) {
			return &Refusal{fmt.Sprintf("表関数 %q", name), fmt.Sprintf("the table function %q", name)}
		}
	case "FUNCTION":
		if slices.Contains(secretive, text("function_name")) {
			return &Refusal{fmt.Sprintf("関数 %q", text("function_name")), fmt.Sprintf("the function %q", text("function_name"))}
		}
	}
	return nil
}

// limited is the text of a query that ends after so many rows.
func (s *Sandbox) limited(st Statement, limit int64) (string, error) {
	if !st.query {
		return st.text, nil
	}
	return s.render("analyst_limited.sql", map[string]any{"Query": st.text, "Limit": limit})
}

// Schema says what columns a query will have, without running it. Parameters
// that are not given are taken as NULL.
func (s *Sandbox) Schema(ctx context.Context, st Statement, args []any) (*arrow.Schema, error) {
	if args == nil {
		args = make([]any, st.Parameters)
	}
	if !st.query {
		return nil, nil
	}
	text, err := s.limited(st, 0)
	if err != nil {
		return nil, err
	}
	var schema *arrow.Schema
	err = s.stream(ctx, text, args, func(found *arrow.Schema) error { schema = found; return nil },
		func(arrow.RecordBatch) error { return nil })
	return schema, err
}

// Run runs a statement. It hands over the schema and then batch after batch,
// at most limit rows and one, so that whoever counts sees that there are more.
func (s *Sandbox) Run(ctx context.Context, st Statement, args []any, limit int64,
	begin func(*arrow.Schema) error, each func(arrow.RecordBatch) error) error {
	text, err := s.limited(st, limit+1)
	if err != nil {
		return err
	}
	if err := s.stream(ctx, text, args, begin, each); err != nil {
		return err
	}
	if st.Temporary != "" {
		s.temporary[st.Temporary] = true
	}
	return nil
}

func (s *Sandbox) stream(ctx context.Context, text string, args []any,
	begin func(*arrow.Schema) error, each func(arrow.RecordBatch) error) error {
	err := s.conn.Raw(func(conn any) error {
		driver, ok := conn.(*duckdb.Conn)
		if !ok {
			return fmt.Errorf("a connection of DuckDB is a %T", conn)
		}
		a, err := duckdb.NewArrowFromConn(driver)
		if err != nil {
			return err
		}
		rows, err := a.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Release()
		if err := begin(rows.Schema()); err != nil {
			return err
		}
		for rows.Next() {
			if err := each(rows.RecordBatch()); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if d := (*duckdb.Error)(nil); errors.As(err, &d) && d.Type == duckdb.ErrorTypeOutOfMemory {
		return fmt.Errorf("%w: %w", ErrOutOfMemory, err)
	}
	return err
}
