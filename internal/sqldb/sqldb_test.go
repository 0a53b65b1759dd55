package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mattn/go-sqlite3"

	"meguri/internal/sqldb"
	"meguri/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

func TestLoadStatements_RefusesParametersOutOfOrder(t *testing.T) {
	for text, ok := range map[string]bool{
		"SELECT $1, $2, $1":             true,
		"SELECT $2, $1":                 false,
		"SELECT $1, $3":                 false,
		"-- $9 in a comment\nSELECT $1": true,
	} {
		_, err := sqldb.LoadStatements(fstest.MapFS{"sql/q.sql": {Data: []byte(text)}}, "sql", sqldb.SQLite)
		if (err == nil) != ok {
			t.Errorf("%q: got error %v, want ok %v", text, err, ok)
		}
	}
}

func TestLoadStatements_TakesTheDialectsOwnText(t *testing.T) {
	files := fstest.MapFS{
		"sql/q.sql":          {Data: []byte("SELECT 1")},
		"sql/q.postgres.sql": {Data: []byte("SELECT 2")},
	}
	for dialect, want := range map[sqldb.Dialect]string{sqldb.SQLite: "SELECT 1", sqldb.Postgres: "SELECT 2"} {
		s, err := sqldb.LoadStatements(files, "sql", dialect)
		if err != nil || s.Get("q") != want {
			t.Errorf("%s: got %q, %v, want %q", dialect, s["q"], err, want)
		}
	}
}

func TestOpen_SQLiteIsDurable(t *testing.T) {
	db := sqldbtest.SQLite(t)
	var journal string
	var synchronous int
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&journal); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow("PRAGMA synchronous").Scan(&synchronous); err != nil {
		t.Fatal(err)
	}
	if journal != "wal" || synchronous != 2 {
		t.Errorf("got journal %s, synchronous %d, want wal and 2 (FULL)", journal, synchronous)
	}
}

func TestInTx_RetriesWhatTheEngineAsksFor(t *testing.T) {
	db := sqldbtest.SQLite(t)
	runs := 0
	err := db.InTx(context.Background(), func(*sql.Tx) error {
		if runs++; runs < 3 {
			return sqlite3.Error{Code: sqlite3.ErrBusy}
		}
		return nil
	})
	if err != nil || runs != 3 {
		t.Errorf("got %d runs and error %v, want 3 runs and none", runs, err)
	}

	runs = 0
	fault := errors.New("a fault of the caller")
	err = db.InTx(context.Background(), func(*sql.Tx) error { runs++; return fault })
	if !errors.Is(err, fault) || runs != 1 {
		t.Errorf("got %d runs and error %v, want one run and the caller's fault", runs, err)
	}

	runs = 0
	err = db.InTx(context.Background(), func(*sql.Tx) error { runs++; return sqlite3.Error{Code: sqlite3.ErrBusy} })
	var busy sqlite3.Error
	if !errors.As(err, &busy) || busy.Code != sqlite3.ErrBusy || !strings.Contains(err.Error(), "attempts") {
		t.Errorf("after %d runs got %v, want the engine's own last error", runs, err)
	}
}

func TestMigrate_RunsEachStepOnceAndChecksIt(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqldbtest.SQLite, "postgres": sqldbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			files := fstest.MapFS{
				"m/0001_a/up.sql":    {Data: []byte("CREATE TABLE a (x BIGINT)")},
				"m/0001_a/notes.md":  {Data: []byte("why")},
				"m/0001_a/check.sql": {Data: []byte("SELECT COUNT(*) = 0 FROM a")},
			}
			for run, want := range []bool{true, false} {
				steps, err := sqldb.Migrate(context.Background(), db, "test", files, "m")
				if err != nil {
					t.Fatal(err)
				}
				if len(steps) != 1 || steps[0].Applied != want || steps[0].Note != "why" {
					t.Errorf("run %d: got %+v", run, steps)
				}
			}
			files["m/0002_b/up.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE b (x BIGINT)")}
			files["m/0002_b/notes.md"] = &fstest.MapFile{}
			files["m/0002_b/check.sql"] = &fstest.MapFile{Data: []byte("SELECT COUNT(*) = 1 FROM b")}
			if _, err := sqldb.Migrate(context.Background(), db, "test", files, "m"); err == nil {
				t.Error("a step whose check fails was taken")
			}
			if _, err := db.Exec("SELECT x FROM b"); err == nil {
				t.Error("a step whose check failed left its table behind")
			}
		})
	}
}

func TestOpen_KeepsTheLogShort(t *testing.T) {
	ctx := context.Background()
	for option, short := range map[string]bool{"?checkpoint=40": true, "": false} {
		db, err := sqldb.Open(ctx, filepath.Join(t.TempDir(), "x.sqlite")+option)
		if err != nil {
			t.Fatal(err)
		}
		write := func(statement string) {
			t.Helper()
			if err := db.InTx(ctx, func(tx *sql.Tx) error { _, err := tx.Exec(statement); return err }); err != nil {
				t.Fatal(err)
			}
		}
		write("CREATE TABLE x (v BLOB)")
		for range 200 {
			write("INSERT INTO x VALUES (zeroblob(4000))") // a page at least
		}
		var busy, log, copied int
		if err := db.QueryRow("PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &log, &copied); err != nil {
			t.Fatal(err)
		}
		if (log < 60) != short {
			t.Errorf("with %q %d pages are in the log, %d of them copied", option, log, copied)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDurable_NamesTheWeakSetting(t *testing.T) {
	ctx, file := context.Background(), filepath.Join(t.TempDir(), "x.sqlite")
	for address, want := range map[string]error{file: nil, file + "?synchronous=normal": sqldb.ErrNotDurable} {
		db, err := sqldb.Open(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Durable(ctx); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", filepath.Base(address), err, want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, wrong := range []string{"?synchronous=off", "?checkpoint=0", "?checkpoint=x", "?else=1"} {
		if _, err := sqldb.Open(ctx, file+wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
	if err := sqldbtest.Postgres(t).Durable(ctx); !errors.Is(err, sqldb.ErrNotDurable) { // the tests' server has fsync off
		t.Errorf("PostgreSQL without fsync: got %v", err)
	}
}
