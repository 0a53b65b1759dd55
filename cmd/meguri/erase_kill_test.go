package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"meguri/ingest/consent"
	"meguri/ingest/consent/rights"
	"meguri/pseudonymize/lake"
)

// erasure is a data folder in which a person has asked to be erased: a resident
// with payments in ledger, segments and lake, with another number at a bus
// company, whose rides are in the lake and whose app events are held.
type erasure struct {
	base    string
	request string
}

var gonePerson = consent.Person{Source: "meguri", ID: "r-000004"}

// in runs the program in this process over a data folder.
func (x erasure) in(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	if code := run(context.Background(), args, strings.NewReader(""), &out, &said, x.getenv(dir)); code != 0 {
		t.Fatalf("meguri %v: exit code %d\n%s", args, code, &said)
	}
	return out.String()
}

func (erasure) getenv(dir string) func(string) string {
	return func(name string) string {
		return map[string]string{"MEGURI_DIR": dir, "MEGURI_LOG_LEVEL": "warn"}[name]
	}
}

func newErasure(t *testing.T) erasure {
	t.Helper()
	x := erasure{base: t.TempDir()}
	files := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	settings := filepath.Join(x.base, "meguri.yaml")
	if err := os.WriteFile(settings, []byte("kms_key: "+fakeKMS+"\n"), 0o600); err != nil { // without a passphrase, which takes its time
		t.Fatal(err)
	}
	x.in(t, x.base, "demo", "--residents", "8", "--shops", "3", "--weeks", "1", "--no-serve", "--seed", "3")
	text, err := os.ReadFile(settings) // the demo has written its own
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, append(text, "kms_key: "+fakeKMS+"\nlinked: [bus]\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	x.in(t, x.base, "basis", "add", "law-ride", "--kind", "law", "--dataset", "ride", "--purpose", "statistics", "--from", "1990-01-01",
		"--until", "2099-12-31", "--document", write("decision.txt", "a decision"), "--by", "test")
	x.in(t, x.base, "link", "import", write("links.csv", "source,person_id,to_source,to_id\nbus,K-4,meguri,r-000004\nbus,K-5,meguri,r-000005\n"), "--by", "test")
	ride := write("ride.yaml", `record: ride
source: bus
timezone: Asia/Tokyo
columns:
  record_id: {from: id}
  person_id: {from: who}
  vehicle_id: {from: vehicle}
  stop_id: {from: stop}
  boarded_at: {from: at, layout: "2006-01-02 15:04"}
`)
	event := write("event.yaml", `record: event
source: bus
timezone: Asia/Tokyo
columns:
  record_id: {from: id}
  person_id: {from: who}
  event: {const: open}
  happened_at: {from: at, layout: "2006-01-02 15:04"}
`)
	var rides, events strings.Builder
	rides.WriteString("id,who,vehicle,stop,at\n")
	events.WriteString("id,who,at\n")
	for i := range 12 {
		fmt.Fprintf(&rides, "B%d,K-%d,bus-1,駅,2026-06-%02d 09:00\n", i, 4+i%2, i+1)
		fmt.Fprintf(&events, "E%d,K-%d,2026-06-%02d 09:00\n", i, 4+i%2, i+1)
	}
	x.in(t, x.base, "import", write("rides.csv", rides.String()), "--map", ride)
	x.in(t, x.base, "import", write("events.csv", events.String()), "--map", event)
	x.in(t, x.base, "pipeline", "--pull=false")
	x.in(t, x.base, "receipts", "keys")
	x.request, _, _ = strings.Cut(x.in(t, x.base, "rights", "open", "erasure", gonePerson.ID, "--by", "窓口"), "\t")
	x.in(t, x.base, "rights", "identify", x.request, "--how", "免許証", "--by", "窓口")
	return x
}

// copied is the folder anew.
func (x erasure) copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if out, err := exec.Command("cp", "-a", x.base, dir).CombinedOutput(); err != nil { // with its modes
		t.Fatalf("copy: %v\n%s", err, out)
	}
	return dir
}

// outcome is what is left when an order was carried out, and what its receipt says.
type outcome struct {
	gone   []string          // of the one receipt: stage, data set, count
	left   []string          // rows by token in each table of the lake
	copies map[string]string // what a copy of a person's data holds, by person and file
}

// bothPersons are the two persons under their two numbers: one is erased, one is not.
var bothPersons = []consent.Person{gonePerson, {Source: "bus", ID: "K-4"}, {Source: "meguri", ID: "r-000005"}, {Source: "bus", ID: "K-5"}}

// look reads the folder with other means than those that erased.
func (x erasure) look(t *testing.T, dir string) outcome {
	t.Helper()
	o := outcome{left: tokens(t, dir, true), copies: map[string]string{}}
	err := x.open(t, dir).with(func(a *app) error {
		ctx := context.Background()
		desk, err := a.consents(ctx)
		if err != nil {
			return err
		}
		if _, err := consent.Verify(ctx, desk.Store); err != nil {
			return err
		}
		if err := a.lake().Strays(); err != nil {
			return err
		}
		all, err := rights.Receipts(ctx, desk.Store)
		if err != nil {
			return err
		}
		if len(all) != 1 {
			return fmt.Errorf("there are %d receipts", len(all))
		}
		key, err := a.publicKey("")
		if err != nil {
			return err
		}
		document, err := all[0].Document()
		if err != nil {
			return err
		}
		receipt, err := rights.Verify(document, key)
		if err != nil {
			return err
		}
		for _, g := range receipt.Gone {
			o.gone = append(o.gone, fmt.Sprint(g.Stage, " ", g.Dataset, " ", g.Count))
		}
		sources, err := a.sources(ctx, desk)
		if err != nil {
			return err
		}
		for _, who := range bothPersons {
			out := filepath.Join(t.TempDir(), "copy")
			if _, _, err := rights.Disclose(ctx, out, []consent.Person{who}, sources, time.Now()); err != nil {
				return err
			}
			for _, name := range []string{"registry.csv", "attributes.csv", "records.csv", "rides.csv", "events.csv"} {
				text, err := os.ReadFile(filepath.Join(out, name))
				if err != nil {
					return err
				}
				o.copies[who.Source+"/"+who.ID+" "+name] = string(text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// open is the program over a folder, before it does anything.
func (x erasure) open(t *testing.T, dir string) *program {
	t.Helper()
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: x.getenv(dir)}
	var err error
	if p.config, err = p.loadConfig(pflag.NewFlagSet("", pflag.ContinueOnError)); err != nil {
		t.Fatal(err)
	}
	return p
}

// tokens are the rows of each person in each table of the lake: in its present
// snapshot, or in every file that lies there.
func tokens(t *testing.T, dir string, everything bool) (rows []string) {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l := lake.Open(filepath.Join(dir, "lake"))
	m, err := l.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"payments", "rides", "residents"} {
		files := l.Paths(m, table)
		if everything {
			files = parquets(t, filepath.Join(dir, "lake", table))
		}
		if len(files) == 0 {
			continue
		}
		found, err := db.Query("SELECT hex(person_token), count(*) FROM read_parquet(['" + strings.Join(files, "', '") + "'], union_by_name = true) GROUP BY 1 ORDER BY 1")
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			var token string
			var n int
			if err := found.Scan(&token, &n); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, fmt.Sprint(table, " ", token, " ", n))
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

func parquets(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".parquet" {
			files = append(files, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

var errStopped = errors.New("the program was stopped")

// stopping is a log of consents that stops the program before or after an entry
// is in it, and everything after.
type stopping struct {
	consent.Store
	at, calls int
}

func (s *stopping) step() error {
	if s.calls++; s.at > 0 && s.calls >= s.at {
		return errStopped
	}
	return nil
}

func (s *stopping) Append(ctx context.Context, after int64, entries []consent.Entry) error {
	if err := s.step(); err != nil {
		return err
	}
	return errors.Join(s.Store.Append(ctx, after, entries), s.step())
}

// stopped carries an order out with everything that the program has wired, up to a
// step; 0 is to the end.
func (x erasure) stopped(t *testing.T, dir string, at int, work func(context.Context, *app, *rights.Shredder) error) (steps int, err error) {
	t.Helper()
	p := x.open(t, dir)
	err = p.with(func(a *app) error {
		ctx := context.Background()
		desk, err := a.consents(ctx)
		if err != nil {
			return err
		}
		log := &stopping{Store: desk.Store, at: at}
		desk.Store = log
		defer func() { steps = log.calls }()
		shredder, err := p.shredder(ctx, a, desk)
		if err != nil {
			return err
		}
		return work(ctx, a, shredder)
	})
	return steps, err
}

// goesOn stops an order at every step, each time in a copy of the folder, carries
// it out again with the program's own command, and compares with how it ends in
// peace. It returns that.
func (x erasure) goesOn(t *testing.T, least int, work func(context.Context, *app, *rights.Shredder) error, again ...string) outcome {
	t.Helper()
	peace := x.copied(t)
	x.in(t, peace, again...)
	want := x.look(t, peace)
	steps, err := x.stopped(t, x.copied(t), 0, work)
	if err != nil || steps < least {
		t.Fatalf("the chain has %d steps: %v", steps, err)
	}
	for at := 1; at <= steps; at++ {
		dir := x.copied(t)
		if _, err := x.stopped(t, dir, at, work); !errors.Is(err, errStopped) {
			t.Fatalf("step %d: got %v, and not a stop", at, err)
		}
		x.in(t, dir, again...)
		x.same(t, fmt.Sprintf("stopped at step %d", at), x.look(t, dir), want)
	}
	return want
}

// IC-9: a request for erasure that is stopped at any step of the whole chain, in
// the lake, segments, quarantine, registry or at the receipt, and carried out again
// comes to the same end: nothing of the person is anywhere, one receipt says all
// that went, and nobody else's rows were touched. The steps within one place are
// ingest's TestErase_SurvivesAKillAtEveryStep.
func TestErase_WholeChainGoesOnAtEveryStep(t *testing.T) {
	t.Parallel()
	x := newErasure(t)
	x.checkPeace(t, x.base, x.goesOn(t, 28, func(ctx context.Context, _ *app, s *rights.Shredder) error {
		_, err := s.Run(ctx, rights.Order{Persons: []consent.Person{gonePerson}, Request: x.request, Reason: "Act 35", By: "課長"})
		return err
	}, "rights", "erase", x.request, "--by", "課長"))
}

// The same of what is past its time: rows of two data sets and a quarantine file.
func TestRetention_WholeChainGoesOnAtEveryStep(t *testing.T) {
	t.Parallel()
	x := newErasure(t)
	quarantine := filepath.Join(x.base, "personal", "quarantine")
	for path, text := range map[string]string{filepath.Join(quarantine, "old.csv"): "a row", filepath.Join(x.base, "retention.yaml"): `version: test
project_ends: 2021-03-31
rules:
  - {dataset: ride, years: 5, basis: test, at_project_end: true}
  - {dataset: event, years: 5, basis: test, at_project_end: true}
  - {dataset: quarantine, days: 90, basis: test, at_project_end: true}
`} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	o := x.goesOn(t, 16, func(ctx context.Context, a *app, s *rights.Shredder) error {
		rules, err := a.retention("")
		if err != nil {
			return err
		}
		_, err = s.RunRetention(ctx, rules, "夜間処理")
		return err
	}, "retention", "run", "--by", "夜間処理")
	want := []string{"lake ride 12", "segments event 24", "segments ride 12", "extracts quarantine 1"}
	if o.gone = slices.DeleteFunc(o.gone, func(line string) bool { return strings.HasPrefix(line, "lake snapshot") }); !slices.Equal(o.gone, want) {
		t.Errorf("the receipt says %q, want %q", o.gone, want)
	}
	rows := slices.DeleteFunc(tokens(t, x.base, false), func(row string) bool { return strings.HasPrefix(row, "rides") })
	if !slices.Equal(o.left, rows) {
		t.Errorf("the lake has %q, want %q", o.left, rows)
	}
	for _, who := range []string{"bus/K-4", "bus/K-5"} {
		if strings.Contains(o.copies[who+" rides.csv"]+o.copies[who+" events.csv"], "K-") {
			t.Errorf("%s has rows yet", who)
		}
	}
}

// checkPeace looks at an erasure that nobody stopped: the others compare with it.
func (x erasure) checkPeace(t *testing.T, before string, o outcome) {
	t.Helper()
	for _, want := range []string{"lake payment", "lake ride 6", "segments payment", "segments ride 6", "segments event 12", "registry resident 1", "registry person 1", "registry link 1"} {
		if !slices.ContainsFunc(o.gone, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("the receipt does not say %q:\n%s", want, strings.Join(o.gone, "\n"))
		}
	}
	rows := tokens(t, before, false)
	if len(rows) != len(o.left)+3 { // of payments, rides and residents
		t.Errorf("of %d persons in the tables %d are left, want 3 fewer", len(rows), len(o.left))
	}
	for _, row := range o.left {
		if !slices.Contains(rows, row) {
			t.Errorf("%s was not there before", row)
		}
	}
	for who, text := range o.copies {
		lines := strings.Count(text, "\n")
		switch mine := strings.HasPrefix(who, "meguri/r-000004") || strings.HasPrefix(who, "bus/K-4"); {
		case mine && strings.HasSuffix(who, "registry.csv"): // the books keep the number
			if strings.Contains(who, "meguri") && !strings.Contains(text, "r-000004,,,,unknown,,,") {
				t.Errorf("the registry keeps more than the number:\n%s", text)
			}
		case mine && lines > 1:
			t.Errorf("%s has %d lines", who, lines)
		case slices.Contains([]string{"bus/K-5 rides.csv", "bus/K-5 events.csv"}, who) && lines != 7, who == "meguri/r-000005 records.csv" && lines < 2:
			t.Errorf("%s has only %d lines", who, lines)
		}
	}
}

func (x erasure) same(t *testing.T, what string, got, want outcome) {
	t.Helper()
	if !slices.Equal(got.gone, want.gone) {
		t.Errorf("%s: the receipt says\n%s\nand not\n%s", what, strings.Join(got.gone, "\n"), strings.Join(want.gone, "\n"))
	}
	if !slices.Equal(got.left, want.left) {
		t.Errorf("%s: the lake has\n%s\nand not\n%s", what, strings.Join(got.left, "\n"), strings.Join(want.left, "\n"))
	}
	for who, text := range want.copies {
		if strings.HasSuffix(who, "registry.csv") { // erased at another instant
			continue
		}
		if got.copies[who] != text {
			t.Errorf("%s: %s is\n%s\nand not\n%s", what, who, got.copies[who], text)
		}
	}
}

// The same by kill -9 of the real program, at random moments.
func TestKill_Erasure(t *testing.T) {
	t.Parallel()
	x, r := newErasure(t), seeded(t)
	erase := []string{"rights", "erase", x.request, "--by", "課長"}
	peace := x.copied(t)
	took := timed(t, peace, erase...)
	want := x.look(t, peace)
	kills := 0
	for range 3 {
		war := x.copied(t)
		kills += killed(t, r, took+10*time.Millisecond, war, erase...)
		x.same(t, "killed", x.look(t, war), want)
	}
	t.Logf("killed %d times", kills)
}
