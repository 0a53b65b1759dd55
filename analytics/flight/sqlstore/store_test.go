package sqlstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"meguri/analytics/flight"
	"meguri/analytics/flight/sqlstore"
	"meguri/internal/sqldb"
	"meguri/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

func TestStore_SQLite(t *testing.T)   { testStore(t, sqldbtest.SQLite(t)) }
func TestStore_Postgres(t *testing.T) { testStore(t, sqldbtest.Postgres(t)) }

func TestMigrate_CountsWhatWasUsed_SQLite(t *testing.T)   { testUsedBefore(t, sqldbtest.SQLite(t)) }
func TestMigrate_CountsWhatWasUsed_Postgres(t *testing.T) { testUsedBefore(t, sqldbtest.Postgres(t)) }

// Grants from before there were totals have used what the log says.
func testUsedBefore(t *testing.T, db *sqldb.DB) {
	ctx := context.Background()
	old := fstest.MapFS{}
	for _, name := range []string{"up.sqlite.sql", "up.postgres.sql", "check.sql", "notes.md"} {
		text, err := os.ReadFile(filepath.Join("migrations", "0001_analysts", name))
		if err != nil {
			t.Fatal(err)
		}
		old["migrations/0001_analysts/"+name] = &fstest.MapFile{Data: text}
	}
	if _, err := sqldb.Migrate(ctx, db, "analysts", old, "migrations"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"INSERT INTO analyst_grants VALUES ('an-1', 'n', 'o', 'contract', 'p', 'event', 'd', 1, 1, 2, 0), ('an-2', 'n', 'o', 'contract', 'p', 'event', 'e', 1, 1, 2, 0)",
		`INSERT INTO analyst_log (at, kind, grant_id, who, basis, purpose, session_id, statement_id, statement, parameters, snapshot, row_count, byte_count,
			took_us, outcome, client, recipient, file, sha256) VALUES
			(1, 'answer', 'an-1', '', '', '', '', '', '', '', 1, 7, 70, 1, 'ok', '', '', '', ''),
			(1, 'answer', 'an-1', '', '', '', '', '', '', '', 1, 100, 900, 1, 'too_large', '', '', '', ''),
			(1, 'provision', 'an-1', '', '', '', '', '', '', '', 1, 3, 30, 1, 'ok', '', '', '', '')`,
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	s, err := sqlstore.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]flight.Volume{"an-1": {Rows: 10, Bytes: 100}, "an-2": {}} {
		if g, err := s.Grant(ctx, id); err != nil || g.Used != want || !g.Room() {
			t.Errorf("%s: used %+v, %v, want %+v", id, g.Used, err, want)
		}
	}
}

func testStore(t *testing.T, db *sqldb.DB) {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	g := flight.Grant{ID: "an-1", Name: "解析太郎", Organisation: "大学", Basis: flight.JointUse, Purpose: "回遊の分析",
		Tables: []string{"event", "payment"}, TokenDigest: "d1", CreatedAt: at, From: at, Until: at.Add(time.Hour),
		Most: flight.Volume{Rows: 10, Bytes: 100}}
	if err := s.PutGrant(ctx, g); err != nil {
		t.Fatal(err)
	}
	if err := s.PutGrant(ctx, g); err == nil {
		t.Error("the same grant was taken twice")
	}
	for name, get := range map[string]func() (flight.Grant, error){
		"by id":    func() (flight.Grant, error) { return s.Grant(ctx, "an-1") },
		"by token": func() (flight.Grant, error) { return s.GrantByToken(ctx, "d1") },
	} {
		got, err := get()
		if diff := cmp.Diff(g, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	if _, err := s.GrantByToken(ctx, "d2"); !errors.Is(err, flight.ErrNotFound) {
		t.Errorf("an unknown token: got %v", err)
	}
	e := flight.Entry{At: at, Kind: flight.Answered, Grant: "an-1", Who: "who", Basis: flight.JointUse, Purpose: "p", Session: "s", Statement: "n",
		Text: "SELECT 1", Parameters: "[1]", Snapshot: 3, Rows: 4, Bytes: 5, Took: 6 * time.Microsecond, Outcome: "ok", Client: "c", Recipient: "r", File: "f", SHA256: "x"}
	if err := s.Append(ctx, e); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, flight.Entry{At: at, Kind: flight.Denied, Text: "nul \x00, not UTF-8 \xff"}); err != nil {
		t.Errorf("a text of any bytes: %v", err)
	}
	for range 2 { // the second time says nothing new
		if err := s.Revoke(ctx, "an-1", at.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Revoke(ctx, "an-2", at); !errors.Is(err, flight.ErrNotFound) {
		t.Errorf("revoke an unknown grant: got %v", err)
	}
	take := func(rows, bytes int64) error {
		return s.Take(ctx, flight.Entry{At: at, Kind: flight.Answered, Grant: "an-1", Rows: rows, Bytes: bytes, Outcome: "ok"})
	}
	taken := make(chan error, 12)
	for range cap(taken) {
		go func() { taken <- take(3, 10) }()
	}
	left := 0
	for range cap(taken) {
		if err := <-taken; err == nil {
			left++
		} else if !errors.Is(err, flight.ErrUsedUp) {
			t.Error(err)
		}
	}
	if left != 3 { // 9 rows of 10
		t.Errorf("%d of 12 at a time were given, want 3", left)
	}
	if err := take(1, 71); !errors.Is(err, flight.ErrUsedUp) {
		t.Errorf("one byte too many: got %v", err)
	}
	if err := take(1, 70); err != nil {
		t.Errorf("the last row and byte: %v", err)
	}
	if err := s.Take(ctx, flight.Entry{At: at, Grant: "an-2"}); !errors.Is(err, flight.ErrUsedUp) {
		t.Errorf("of a grant that is not there: got %v", err)
	}
	if g, err := s.Grant(ctx, "an-1"); err != nil || g.Used != g.Most || g.Room() {
		t.Errorf("used %+v of %+v, %v", g.Used, g.Most, err)
	}
	grants, err := s.Grants(ctx)
	if err != nil || len(grants) != 1 || !grants[0].RevokedAt.Equal(at.Add(time.Minute)) {
		t.Errorf("grants: got %+v, %v", grants, err)
	}
	log, err := s.Entries(ctx, "an-1", 0, 10)
	if err != nil || len(log) != 7 {
		t.Fatalf("got %d entries, %v, want grant, answer, revoke and 4 answers", len(log), err)
	}
	e.Number = log[1].Number
	if diff := cmp.Diff(e, log[1]); diff != "" || log[0].Kind != flight.Granted || log[2].Kind != flight.Revoked {
		t.Errorf("the log is %+v: %s", log, diff)
	}
	if rest, err := s.Entries(ctx, "", log[1].Number, 10); err != nil || len(rest) != 6 {
		t.Errorf("after a number: got %d, %v, want 6", len(rest), err)
	}
	for _, text := range []string{"UPDATE analyst_log SET outcome = 'x'", "DELETE FROM analyst_log"} {
		if _, err := db.Exec(text); err == nil {
			t.Errorf("%s was allowed", text)
		}
	}
	statements, err := sqldb.LoadStatements(os.DirFS("."), "sql", db.Dialect)
	if err != nil {
		t.Fatal(err)
	}
	if err := statements.PrepareAll(ctx, db); err != nil {
		t.Error(err)
	}
	if _, err := sqlstore.Open(ctx, db); err != nil {
		t.Errorf("opened again: %v", err)
	}
}
