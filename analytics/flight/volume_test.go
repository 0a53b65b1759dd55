package flight_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"meguri/analytics/flight"
)

// What leaves under a grant adds up over statements, sessions, servers and
// files, and ends where the grant says.
func TestVolume_AddsUpOverSessions(t *testing.T) {
	h := build(t, flight.Options{})
	h.most = flight.Volume{Rows: 250, Bytes: 1 << 20}
	h.grant("g", flight.JointUse, "event")
	h.grant("other", flight.JointUse, "event")
	h.analyst("g").want("SELECT count(*) FROM (SELECT i FROM range(5000) t(i))", "[[5000]]") // one row leaves
	for range 2 {                                                                            // each in a session of its own
		if rows, _, err := h.analyst("g").query("SELECT i FROM range(100) t(i)"); err != nil || len(rows) != 100 {
			t.Fatalf("got %d rows, %v", len(rows), err)
		}
	}
	a := h.analyst("g")
	a.refused("SELECT i FROM range(50) t(i)", codes.ResourceExhausted, "new grant")
	x := flight.Export{Lake: h.lake, Store: shaky{h.store, h}, Now: h.now, Grant: "g", Out: filepath.Join(h.dir, "x.parquet"),
		Recipient: "r", Purpose: "回遊の分析", Query: "SELECT kind FROM event LIMIT 50"}
	if _, err := x.Write(context.Background()); !errors.Is(err, flight.ErrUsedUp) || !strings.Contains(err.Error(), "50 rows") {
		t.Errorf("a file of 50 rows: got %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, "*x*")); err != nil || len(left) > 0 {
		t.Errorf("the file that was refused left %q, %v", left, err)
	}
	x.Query = "SELECT kind FROM event LIMIT 49"
	if _, err := x.Write(context.Background()); err != nil {
		t.Errorf("a file of 49 rows: %v", err)
	}
	// Now there is nothing left, and nothing runs any more.
	a.refused("SELECT 1", codes.ResourceExhausted, "new grant")
	h.analyst("other").want("SELECT 1", "[[1]]")
	g, err := h.store.Grant(context.Background(), "g")
	if err != nil || g.Used.Rows != 250 || g.Used.Bytes == 0 {
		t.Errorf("used %+v, %v", g.Used, err)
	}
	var total flight.Volume
	words := map[string]int{}
	for _, e := range h.log("g") {
		words[string(e.Kind)+" "+e.Outcome]++
		if e.Outcome == "ok" && (e.Kind == flight.Answered || e.Kind == flight.Provision) {
			total.Rows, total.Bytes = total.Rows+e.Rows, total.Bytes+e.Bytes
		}
	}
	if total != g.Used {
		t.Errorf("the log has %+v, the grant %+v", total, g.Used)
	}
	if words["answer used_up"] != 2 || words["statement used_up"] != 1 {
		t.Errorf("the log has %v", words)
	}
}

// Bytes end a grant as rows do.
func TestVolume_Bytes(t *testing.T) {
	h := build(t, flight.Options{})
	h.most = flight.Volume{Rows: 1 << 40, Bytes: 50_000}
	h.grant("g", flight.Contract, "event")
	h.analyst("g").want("SELECT length(repeat('x', 60000))", "[[60000]]")
	h.analyst("g").refused("SELECT repeat('x', 60000)", codes.ResourceExhausted, "new grant")
}
