package flight_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meguri/analytics/flight"
	"meguri/internal/flightdrivers"
	"meguri/pseudonymize/lake"
)

// need installs a driver, which fails only where there is none to be had.
func need(t *testing.T, install func() error) {
	t.Helper()
	if err := install(); err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
}

// TestOutsideClient works with drivers that none of us wrote: ADBC's for Flight
// SQL, from Python.
func TestOutsideClient_ADBC(t *testing.T) {
	need(t, flightdrivers.ADBC)
	program, err := flightdrivers.Python()
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event", "payment")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, filepath.Join("testdata", "client.py"), "grpc://"+h.address, "g")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &stderr)
	}
	got := map[string]string{}
	for line := range bytes.Lines(out) {
		var said struct {
			What  string          `json:"what"`
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(line, &said); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got[said.What] = string(said.Value)
	}
	for what, want := range map[string]string{
		"server":      `"meguri"`,
		"tables":      `["event", "payment"]`,
		"columns":     `18`,
		"rows":        `[{"kind": "cancel", "n": 300, "yen": 60500}, {"kind": "pay", "n": 3000, "yen": 578500}]`,
		"label":       lake.Label,
		"bound":       `[{"n": 1400}]`,
		"many":        `[3300, 0, 399]`,
		"temporary":   `[{"n": 2700}]`,
		"read_csv":    "実行できません",
		"insert":      "SELECT",
		"too many":    "100000 rows",
		"ingest":      "no matching",
		"after":       `[{"one": 1}]`,
		"wrong token": "meguri analyst grant",
	} {
		if !strings.Contains(got[what], want) {
			t.Errorf("%s: got %s, want %s", what, got[what], want)
		}
	}
}

// The other driver that analysts use: Apache Arrow's for JDBC.
func TestOutsideClient_JDBC(t *testing.T) {
	need(t, flightdrivers.JDBC)
	jar, err := flightdrivers.Jar()
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event", "payment")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "java", "-XX:TieredStopAtLevel=1", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", jar, filepath.Join("testdata", "Client.java"), h.address, "g")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &stderr)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		what, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		got[what] = value
	}
	for what, want := range map[string]string{
		"server":      "meguri",
		"tables":      "event payment ",
		"rows":        "cancel,300,60500;pay,3000,578500",
		"bound":       "1400",
		"temporary":   "2700",
		"read_csv":    "read_csv",
		"insert":      "SELECT",
		"too many":    "100000 rows",
		"after":       "1",
		"wrong token": "meguri analyst grant",
	} {
		if !strings.Contains(got[what], want) {
			t.Errorf("%s: got %q, want %s", what, got[what], want)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", fmt.Sprint(got), &stderr)
	}
}
