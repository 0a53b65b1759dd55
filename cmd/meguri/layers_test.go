package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A layer says who may import whom among our own packages. Arrows go one way:
// cmd → api → {reports, analytics, ingest, ledger}; reports → analytics;
// ingest → ledger, pseudonymize; analytics → the lake's schema. A package that
// is not listed may import nothing of ours.
type layer struct {
	from    string   // a package, or a folder with all below it when it ends in /...
	to      []string // the same
	because string
}

var layers = []layer{
	{"cmd/meguri", []string{"api", "reports", "analytics/...", "ingest/...", "ledger/...", "pseudonymize/...", "openapi/...", "internal/..."},
		"cmd wires the rooms together"},
	{"api", []string{"reports", "analytics", "analytics/disclosure", "analytics/recipient", "ledger", "ledger/programme", "ledger/registry", "pseudonymize/lake", "openapi/..."},
		"api knows interfaces: no store, no DuckDB, no raw table beyond the gate"},
	{"reports", []string{"reports/chart", "reports/fonts", "analytics", "analytics/disclosure"},
		"reports take released tables and nothing else"},
	{"reports/fonts", nil, "fonts are bytes"},
	{"reports/chart", nil, "charts know figures, not where they come from"},
	{"analytics", []string{"pseudonymize/lake"}, "analytics sees the lake's schema and never the personal plane"},
	{"analytics/sql", nil, "SQL is text"},
	{"analytics/unicity", []string{"pseudonymize/lake"}, "what singles a person out is told of the lake, whoever counts"},
	{"analytics/duck", []string{"analytics", "analytics/sql", "analytics/unicity", "pseudonymize/lake"}, "the only place with DuckDB"},
	{"analytics/disclosure", []string{"analytics", "analytics/disclosure/suppress", "analytics/disclosure/dossier", "analytics/disclosure/perturb", "analytics/disclosure/budget"}, "the gate reads raw tables"},
	{"analytics/disclosure/sqlstore", []string{"analytics/disclosure", "analytics/disclosure/budget", "internal/sqldb"}, "SQL stands in packages named sqlstore"},
	{"analytics/disclosure/suppress", []string{"internal/simplex"}, "suppression knows cells, not what they count"},
	{"analytics/disclosure/dossier", nil, "a file format is all that gate and auditor share"},
	{"analytics/disclosure/audit", []string{"analytics/disclosure/dossier", "internal/simplex"}, "the auditor shares the file format with the gate, and no code; the solver's answers it checks itself"},
	{"analytics/disclosure/perturb", nil, "noise knows cells, not what they count"},
	{"analytics/disclosure/budget", nil, "noise knows cells, not what they count"},
	{"analytics/analyticstest", []string{"analytics"}, "for tests with an engine of their own"},
	{"analytics/flight", []string{"analytics", "analytics/duck", "analytics/sql", "pseudonymize/lake"}, "analysts are in the lake, behind a door of their own"},
	{"analytics/recipient", []string{"analytics", "analytics/disclosure"}, "what a third party may ask for"},
	{"analytics/recipient/sqlstore", []string{"analytics/recipient", "internal/sqldb"}, "SQL stands in packages named sqlstore"},
	{"analytics/flight/sqlstore", []string{"analytics/flight", "internal/sqldb"}, "SQL stands in packages named sqlstore"},
	{"ingest", []string{"ingest/index", "internal/words", "pseudonymize", "pseudonymize/lake", "openapi/paymentdata/...", "openapi/wallet/...", "openapi/paymentdata", "openapi/wallet"},
		"ingest is a client of the contracts, and hands rows to pseudonymize; one way"},
	{"ingest/index", nil, "the index knows identities and nothing of records"},
	{"ingest/sqlstore", []string{"ingest", "ingest/index", "internal/sqldb"}, "SQL stands in packages named sqlstore"},
	{"ingest/consent", nil, "the law's side knows no rows, only whether one may be used"},
	{"ingest/consent/sqlstore", []string{"ingest/consent", "internal/sqldb"}, "SQL stands in packages named sqlstore"},
	{"ingest/consent/rights", []string{"ingest", "ingest/consent"}, "what a person may ask for comes out of what was taken in"},
	{"ingest/consent/safety", nil, "safety measures know folders and settings"},
	{"pseudonymize", []string{"pseudonymize/scan", "internal/words"}, "pseudonymize knows no room: keys and rows come in, rows go out"},
	{"pseudonymize/scan", nil, "scanners know texts, not where they come from"},
	{"pseudonymize/custody", []string{"pseudonymize"}, "custody knows keys, not what they are for"},
	{"pseudonymize/evidence", []string{"pseudonymize", "pseudonymize/scan"}, "evidence is of what a plan did"},
	{"pseudonymize/lake", []string{"pseudonymize/lake/pages", "internal/words"}, "the lake is a folder of Parquet"},
	{"pseudonymize/lake/pages", nil, "pages know rows, not what they say"},
	{"pseudonymize/lake/objects", []string{"pseudonymize/lake"}, "a copy of a lake is a lake"},
	{"ledger", nil, "the core imports nothing of ours"},
	{"ledger/registry", nil, "the core imports nothing of ours"},
	{"ledger/programme", []string{"ledger"}, "programmes are transactions of the ledger"},
	{"ledger/ledgertest", []string{"ledger"}, "every store passes one suite"},
	{"ledger/crashtest", []string{"ledger/...", "internal/..."}, "crashes need real databases"},
	{"ledger/sqlstore", []string{"ledger", "ledger/programme", "ledger/registry", "internal/sqldb"}, "SQL stands in packages named sqlstore"},
	{"openapi", nil, "contracts import nothing of ours"},
	{"openapi/...", []string{"openapi/..."}, "generated code imports its own contract"},
	{"internal/sqldb", nil, "the engine under the stores knows none of them"},
	{"internal/sqldb/sqldbtest", []string{"internal/sqldb", "internal/pgserver"}, "test databases"},
	{"internal/pgserver", nil, "a server of somebody else's"},
	{"internal/ledgerbench", []string{"ledger/...", "internal/sqldb"}, "loads on the ledger"},
	{"internal/words", nil, "texts and their numbers, of whatever column"},
	{"internal/simplex", nil, "a solver knows numbers"},
	{"internal/gatebench", []string{"analytics/disclosure/suppress", "analytics/disclosure/audit", "analytics/disclosure/dossier"}, "tables to measure the gate on"},
	{"internal/flightdrivers", nil, "drivers of others know nothing of ours"},
	{"internal/democity", []string{"openapi/wallet", "openapi/wallet/...", "pseudonymize/lake"}, "the demo lives through the API, like any client"},
}

// outside says which packages of others only some of ours may import.
var outside = []struct {
	module  string
	only    []string
	because string
}{
	{"github.com/duckdb/duckdb-go", []string{"analytics/duck", "cmd/meguri"}, "DuckDB is in analytics/duck alone; cmd measures against it"},
	{"database/sql", []string{"internal/...", "ledger/sqlstore", "ingest/sqlstore", "ingest/consent/sqlstore", "analytics/disclosure/sqlstore", "analytics/flight/sqlstore", "analytics/recipient/sqlstore", "analytics/duck", "cmd/meguri"}, "SQL stands in packages named sqlstore"},
	{"github.com/minio/minio-go", []string{"pseudonymize/lake/objects"}, "one place speaks S3"},
	{"net/http", []string{"api", "openapi/...", "ingest", "internal/democity", "internal/ledgerbench", "pseudonymize/lake/objects", "cmd/meguri"}, "HTTP is api's, and the contracts' clients'"},
}

const module = "meguri"

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

func matches(pattern, pkg string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == folder || strings.HasPrefix(pkg, folder+"/")
	}
	return pkg == pattern
}

func anyMatches(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}

func TestLayers(t *testing.T) {
	cmd := exec.Command("go", "list", "-tags", "duckdb_arrow", "-json=ImportPath,Doc,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Doc == "" {
			t.Errorf("package %s has no comment that says what it is for", p.ImportPath)
		}
		for _, breach := range breaches(strings.TrimPrefix(p.ImportPath, module+"/"), p.Imports) {
			t.Error(breach)
		}
	}
}

// breaches names every import of a package that the tables do not allow.
func breaches(from string, imports []string) (found []string) {
	rule := slices.IndexFunc(layers, func(l layer) bool { return matches(l.from, from) })
	if rule < 0 {
		return []string{fmt.Sprintf("package %s is in no rule of layers: add one, with its reason", from)}
	}
	l := layers[rule]
	for _, path := range imports {
		if to, ours := strings.CutPrefix(path, module+"/"); ours {
			if !anyMatches(l.to, to) {
				found = append(found, fmt.Sprintf("%s → %s\n  breaks the rule: %s may import %v (%s)", from, to, l.from, l.to, l.because))
			}
			continue
		}
		for _, o := range outside {
			if (path == o.module || strings.HasPrefix(path, o.module+"/")) && !anyMatches(o.only, from) {
				found = append(found, fmt.Sprintf("%s → %s\n  breaks the rule: only %v may import it (%s)", from, path, o.only, o.because))
			}
		}
	}
	return found
}

func TestLayers_NamesTheEdgeAndTheRule(t *testing.T) {
	for _, edge := range [][2]string{
		{"analytics", "meguri/ledger"},
		{"reports", "meguri/ingest"},
		{"ledger", "meguri/pseudonymize"},
		{"pseudonymize", "meguri/ingest"},
		{"ledger", "database/sql"},
		{"reports", "github.com/duckdb/duckdb-go/v2"},
		{"a/new/room", "fmt"},
	} {
		got := breaches(edge[0], []string{edge[1]})
		if len(got) != 1 || !strings.Contains(got[0], edge[0]) || !strings.Contains(got[0], "rule") {
			t.Errorf("%s → %s: got %q, want the edge and its rule", edge[0], edge[1], got)
		}
	}
}
