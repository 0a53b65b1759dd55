package main

import (
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tink-crypto/tink-go/v2/core/registry"
	"github.com/tink-crypto/tink-go/v2/testing/fakekms"
	"golang.org/x/text/encoding/japanese"

	"meguri/internal/flightdrivers"
	"meguri/pseudonymize/lake"
)

var update = flag.Bool("update", false, "write the scripts' golden files anew")

// fakeKMS is a key of a KMS in this process.
var fakeKMS = func() string {
	client, err := fakekms.NewClient("fake-kms://")
	if err != nil {
		panic(err)
	}
	registry.RegisterKMSClient(client)
	return "fake-kms://CM2b3_MDElQKSAowdHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUuY3J5cHRvLnRpbmsuQWVzR2NtS2V5EhIaEIK75t5L-adlUwVhWvRuWUwYARABGM2b3_MDIAE"
}()

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"meguri": main})
}

// TestScripts drives the whole program. Each script in testdata/script is a
// story; the requirements that it shows stand in its first comment.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MEGURI_PASSPHRASE", "a passphrase for tests")
			e.Setenv("MEGURI_LOG_LEVEL", "warn")
			e.Setenv("MEGURI_DIR", filepath.Join(e.WorkDir, "data"))
			e.Setenv("DATA", dataDir())
			policy, err := filepath.Abs("../../pseudonymize/payment.yaml")
			if err != nil {
				return err
			}
			e.Setenv("POLICY", policy)
			e.Setenv("FAKE_KMS", fakeKMS)
			python, err := flightdrivers.Python()
			e.Setenv("PYTHON", python)
			return err
		},
		Condition: func(cond string) (bool, error) {
			if cond == "adbc" {
				err := flightdrivers.ADBC()
				if err != nil && os.Getenv("CI") == "true" {
					return false, err
				}
				return err == nil, nil
			}
			if cond != "data" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			_, err := os.Stat(filepath.Join(dataDir(), "README.md"))
			if err != nil && os.Getenv("CI") == "true" {
				return false, fmt.Errorf("the real data are absent, and in CI that is a failure: set MEGURI_DATA")
			}
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http":      scriptHTTP,
			"lakesql":   scriptLakeSQL,
			"lawful":    scriptLawful,
			"waitfile":  scriptWaitFile,
			"measure":   scriptMeasure,
			"cohorts":   scriptCohorts,
			"shiftjis":  scriptShiftJIS,
			"repeat":    scriptRepeat,
			"truncate":  scriptTruncate,
			"sentinels": scriptSentinels,
			"store":     scriptStore,
		},
	})
}

// dataDir is the folder of real data, which is no part of the project.
func dataDir() string {
	if dir := os.Getenv("MEGURI_DATA"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs("../../../shared/data")
	if err != nil {
		return ""
	}
	return dir
}

// scriptLakeSQL: lakesql NAME prints what a statement of docs/lake.md finds in the
// lake of the data folder, as CSV without a header.
func scriptLakeSQL(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: lakesql NAME")
	}
	document, err := os.ReadFile(filepath.Join(filepath.Dir(ts.Getenv("POLICY")), "..", "docs", "lake.md"))
	ts.Check(err)
	_, text, found := strings.Cut(string(document), "<!-- "+args[0]+" -->\n```sql\n")
	text, _, ended := strings.Cut(text, "```\n")
	if !found || !ended {
		ts.Fatalf("docs/lake.md has no statement %s", args[0])
	}
	db, err := sql.Open("duckdb", "")
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	l := lake.Open(filepath.Join(ts.Getenv("MEGURI_DIR"), "lake"))
	m, err := l.Manifest()
	ts.Check(err)
	for _, table := range lake.Tables {
		if files := l.Paths(m, table.Name); len(files) > 0 {
			_, err := db.Exec(fmt.Sprintf("CREATE VIEW %s AS FROM read_parquet(['%s'], union_by_name = true, hive_partitioning = false)",
				table.Name, strings.Join(files, "', '")))
			ts.Check(err)
		}
	}
	rows, err := db.Query(text)
	ts.Check(err)
	defer func() { ts.Check(rows.Close()) }()
	names, err := rows.Columns()
	ts.Check(err)
	out := csv.NewWriter(ts.Stdout())
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		ts.Check(rows.Scan(into...))
		record := make([]string, len(values))
		for i, v := range values {
			record[i] = fmt.Sprint(v)
		}
		ts.Check(out.Write(record))
	}
	ts.Check(rows.Err())
	out.Flush()
	ts.Check(out.Error())
}

// scriptLawful: lawful makes the use of every dataset lawful in the data folder.
func scriptLawful(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 0 || neg {
		ts.Fatalf("usage: lawful")
	}
	document := ts.MkAbs("decision.txt")
	ts.Check(os.WriteFile(document, []byte("a decision"), 0o600))
	ts.Check(makeLawful(func(args ...string) error { return ts.Exec("meguri", args...) }, document))
}

// scriptHTTP: http METHOD ADDRESSFILE PATH [Header:value | @bodyfile]... asks a
// server and leaves status, headers and body in stdout. A token comes from a
// file with 'Authorization:Bearer @file'.
func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || neg {
		ts.Fatalf("usage: http METHOD ADDRESSFILE PATH [Header:value | @body]")
	}
	var body io.Reader
	header := http.Header{}
	for _, a := range args[3:] {
		if file, ok := strings.CutPrefix(a, "@"); ok {
			body = strings.NewReader(ts.ReadFile(file))
			continue
		}
		name, value, _ := strings.Cut(a, ":")
		if file, ok := strings.CutPrefix(value, "Bearer @"); ok {
			value = "Bearer " + strings.TrimSpace(ts.ReadFile(file))
		}
		header.Set(name, value)
	}
	req, err := http.NewRequest(args[0], strings.TrimSpace(ts.ReadFile(args[1]))+args[2], body)
	ts.Check(err)
	req.Header = header
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n", resp.StatusCode)
	ts.Check(resp.Header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s\n", text)
}

// scriptWaitFile waits until a file is there, for a minute.
func scriptWaitFile(ts *testscript.TestScript, neg bool, args []string) {
	for range 600 {
		if info, err := os.Stat(ts.MkAbs(args[0])); err == nil && info.Size() > 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}

// released is the part of a metric's JSON that scripts look at.
type released struct {
	Rows []struct {
		Keys   map[string]string `json:"keys"`
		Values map[string]struct {
			State string  `json:"state"`
			Value float64 `json:"value"`
		} `json:"values"`
	} `json:"rows"`
}

// scriptMeasure: measure NAME[+NAME...] KEY [SCALE] compares a measure, or a sum
// of measures, of the last "metrics run --format json" with a figure of the UCI
// reference, to the six digits that it has.
func scriptMeasure(ts *testscript.TestScript, neg bool, args []string) {
	var got released
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &got))
	var reference map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(dataDir(), "reference", "uci_repeat_reference.json"))), &reference))
	want, ok := reference[args[1]].(float64)
	if !ok || len(got.Rows) != 1 {
		ts.Fatalf("there is no figure %q, or not one row", args[1])
	}
	scale := 1.0
	if len(args) > 2 {
		var err error
		scale, err = strconv.ParseFloat(args[2], 64)
		ts.Check(err)
	}
	var sum float64
	for name := range strings.SplitSeq(args[0], "+") {
		v, ok := got.Rows[0].Values[name]
		if !ok || v.State != "shown" {
			ts.Fatalf("measure %q is not shown", name)
		}
		sum += v.Value
	}
	if value := math.Round(sum/scale*1e6) / 1e6; value != want {
		ts.Fatalf("%s: got %v, want %s = %v", args[0], value, args[1], want)
	}
}

// scriptCohorts compares the last "metrics run M10 --format json" with the
// published cohort table.
func scriptCohorts(ts *testscript.TestScript, neg bool, args []string) {
	var got released
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &got))
	rows, err := csv.NewReader(strings.NewReader(ts.ReadFile(filepath.Join(dataDir(), "reference", "cdnow_cohort_monthly.csv")))).ReadAll()
	ts.Check(err)
	want := map[string]string{}
	for _, r := range rows[1:] { // cohort,size,offset,active,censored
		want[r[0]+" "+r[2]] = r[1] + " " + r[3]
	}
	if len(got.Rows) != len(want) {
		ts.Fatalf("got %d cells, want %d", len(got.Rows), len(want))
	}
	for _, r := range got.Rows {
		key := r.Keys["cohort"] + " " + r.Keys["offset"]
		if have := fmt.Sprintf("%.0f %.0f", r.Values["size"].Value, r.Values["active"].Value); have != want[key] {
			ts.Fatalf("cohort and offset %s: got size and active %s, want %s", key, have, want[key])
		}
	}
}

// scriptStore: store FILE BUCKET starts a store of objects that speaks S3, with an
// empty bucket, and writes its address to a file.
func scriptStore(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: store FILE BUCKET")
	}
	backend := s3mem.New()
	ts.Check(backend.CreateBucket(args[1]))
	server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	ts.Defer(server.Close)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(server.URL), 0o600))
}

// scriptShiftJIS: shiftjis IN OUT writes a file in the encoding of Japanese
// offices.
func scriptShiftJIS(ts *testscript.TestScript, neg bool, args []string) {
	text, err := japanese.ShiftJIS.NewEncoder().String(ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

// scriptRepeat: repeat FILE TEXT N appends a text many times.
func scriptRepeat(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	ts.Check(err)
	block := strings.Repeat(args[1], 1<<16)
	for n > 0 {
		part := min(n, 1<<16)
		_, err := f.WriteString(block[:part*len(args[1])])
		ts.Check(err)
		n -= part
	}
	ts.Check(f.Close())
}

// scriptTruncate: truncate FILE BYTES cuts a file's end off.
func scriptTruncate(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()-n))
}

// scriptSentinels: sentinels DIR TEXT... fails when a text stands in any file
// below a folder.
func scriptSentinels(ts *testscript.TestScript, neg bool, args []string) {
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, s := range args[1:] {
			if strings.Contains(string(text), s) {
				return fmt.Errorf("%s holds %q", path, s)
			}
		}
		return nil
	})
	ts.Check(err)
}
