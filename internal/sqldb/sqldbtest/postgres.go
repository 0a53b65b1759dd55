// Package sqldbtest gives tests their databases: a SQLite file in the test's
// folder, and a schema of its own in a PostgreSQL server that the test run
// starts for itself.
package sqldbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"meguri/internal/pgserver"
	"meguri/internal/sqldb"
)

// SQLite opens a new SQLite file that lives as long as the test.
func SQLite(t testing.TB) *sqldb.DB {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "test.sqlite"))
}

// Postgres opens a new, empty schema in a PostgreSQL server. The server is the
// one at MEGURI_TEST_POSTGRES if that is set, and else one that the test binary
// starts in a temporary folder, on a free port, and stops at the end.
//
// Without PostgreSQL's programs the test is skipped; with CI=true that fails.
func Postgres(t testing.TB) *sqldb.DB {
	t.Helper()
	server.once.Do(func() { server.url, server.err = startServer() })
	if errors.Is(server.err, pgserver.ErrAbsent) && os.Getenv("CI") != "true" {
		t.Skip("PostgreSQL is not installed: this suite runs on SQLite only")
	}
	if server.err != nil {
		t.Fatalf("start PostgreSQL: %v", server.err)
	}
	admin, err := sql.Open("pgx", server.url)
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("t%d", time.Now().UnixNano())
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
			t.Error(err)
		}
		_ = admin.Close() // nothing to lose
	})
	address, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("search_path", schema)
	address.RawQuery = query.Encode()
	return open(t, address.String())
}

func open(t testing.TB, address string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// server is started once for all tests of a binary.
var server struct {
	once sync.Once
	url  string
	err  error
	stop func()
}

// Main runs a package's tests and stops the server that they started. A
// package that calls Postgres has TestMain call it.
func Main(m *testing.M) {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

func startServer() (string, error) {
	if address := os.Getenv("MEGURI_TEST_POSTGRES"); address != "" {
		return address, nil
	}
	s, err := pgserver.Start("", "fsync=off", "max_connections=400")
	if err != nil {
		return "", err
	}
	server.stop = s.Stop
	return s.URL, nil
}
