package sqlstore_test

import (
	"context"
	"errors"
	"os"
	"testing"
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

func testStore(t *testing.T, db *sqldb.DB) {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	g := flight.Grant{ID: "an-1", Name: "解析太郎", Organisation: "大学", Basis: flight.JointUse, Purpose: "回遊の分析",
		Tables: []string{"event", "payment"}, TokenDigest: "d1", CreatedAt: at, From: at, Until: at.Add(time.Hour)}
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
	grants, err := s.Grants(ctx)
	if err != nil || len(grants) != 1 || !grants[0].RevokedAt.Equal(at.Add(time.Minute)) {
		t.Errorf("grants: got %+v, %v", grants, err)
	}
	log, err := s.Entries(ctx, "an-1", 0, 10)
	if err != nil || len(log) != 3 {
		t.Fatalf("got %d entries, %v, want grant, answer, revoke", len(log), err)
	}
	e.Number = log[1].Number
	if diff := cmp.Diff(e, log[1]); diff != "" || log[0].Kind != flight.Granted || log[2].Kind != flight.Revoked {
		t.Errorf("the log is %+v: %s", log, diff)
	}
	if rest, err := s.Entries(ctx, "", log[1].Number, 10); err != nil || len(rest) != 2 {
		t.Errorf("after a number: got %d, %v, want 2", len(rest), err)
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
