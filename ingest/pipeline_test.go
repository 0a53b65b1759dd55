package ingest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"meguri/ingest"
	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

var runAt = time.Date(2026, 7, 1, 3, 0, 0, 0, time.UTC)

func pipeline(t testing.TB, im *ingest.Importer, dir string) *ingest.Pipeline {
	t.Helper()
	keys, err := pseudonymize.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return &ingest.Pipeline{
		Importer: im, Lake: lake.Open(filepath.Join(dir, "lake")), City: "132047", Keys: keys, Policies: pseudonymize.Policies(), Basis: everybody{},
		Now: func() time.Time { return runAt },
	}
}

// everybody is a city in which a law orders every use.
type everybody struct{}

func (everybody) Basis(string, string, string, time.Time) (string, bool) { return "", true }
func (everybody) Version() string                                        { return "1" }

func runPipeline(t testing.TB, p *ingest.Pipeline) ingest.Result {
	t.Helper()
	r, err := p.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func add(t testing.TB, im *ingest.Importer, source string, records ...ingest.Record) {
	t.Helper()
	s, err := im.Add(context.Background(), source, records)
	if err != nil || s.Accepted != int64(len(records)) {
		t.Fatalf("add to %s: got %+v, %v", source, s, err)
	}
}

func put(t testing.TB, im *ingest.Importer, persons []ingest.Person, shops []ingest.Shop) {
	t.Helper()
	if err := errors.Join(im.PutPersons(context.Background(), persons), im.PutShops(context.Background(), shops)); err != nil {
		t.Fatal(err)
	}
}

// lakeRow is a row of the lake, its columns as text; a null is "(null)".
type lakeRow map[string]string

// lakeContent reads the lake with nothing but a Parquet reader. It returns the
// rows, the columns in their order, and every text and token that lies in a
// file, whether a row shows it or not.
func lakeContent(t testing.TB, l *lake.Lake) (rows []lakeRow, columns []string, values [][]byte) {
	t.Helper()
	m, err := l.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range l.Paths(m, "payments") {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		table, err := pqarrow.ReadTable(context.Background(), f, parquet.NewReaderProperties(nil), pqarrow.ArrowReadProperties{BatchSize: 1 << 16}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		columns = nil
		for _, field := range table.Schema().Fields() {
			columns = append(columns, field.Name)
		}
		reader := array.NewTableReader(table, -1)
		for reader.Next() {
			batch := reader.RecordBatch()
			for i := range int(batch.NumRows()) {
				row := lakeRow{}
				for c, name := range columns {
					row[name] = batch.Column(c).ValueStr(i)
					if token, ok := batch.Column(c).(*array.FixedSizeBinary); ok && !token.IsNull(i) {
						row[name] = hex.EncodeToString(token.Value(i))
						values = append(values, bytes.Clone(token.Value(i)))
					}
				}
				rows = append(rows, row)
			}
			for _, column := range batch.Columns() {
				texts := column
				if d, ok := column.(*array.Dictionary); ok {
					texts = d.Dictionary()
				}
				if s, ok := texts.(*array.String); ok {
					for i := range s.Len() {
						values = append(values, []byte(s.Value(i)))
					}
				}
			}
		}
		reader.Release()
		table.Release()
		_ = f.Close() // it was only read
	}
	return rows, columns, values
}

// lakeFiles are the lake's files with their bytes.
func lakeFiles(t testing.TB, l *lake.Lake) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(l.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// combined is a payment of two parts by somebody who is known, its
// cancellation, and a payment by somebody who is not.
func combined() []ingest.Record {
	voucher := payment("T1/1")
	voucher.ServiceType, voucher.ServiceID, voucher.GroupID, voucher.AmountYen = ingest.Voucher, "gift", "T1", 1200
	voucher.OccurredAt = time.Date(2026, 3, 31, 14, 59, 59, 0, time.UTC) // 23:59:59 in Tokyo
	points := voucher
	points.ID, points.ServiceType, points.ServiceID, points.AmountYen = "T1/2", ingest.Points, "pt", 300
	back := points
	back.ID, back.Kind, back.TargetID, back.GroupID = "R1", ingest.Cancel, "T1/2", "R1"
	back.OccurredAt = time.Date(2026, 3, 31, 15, 0, 0, 0, time.UTC) // midnight in Tokyo, the next month
	stranger := payment("T2")
	stranger.PersonID, stranger.ConsentID, stranger.ShopID, stranger.Active = "", "", "s9", false
	return []ingest.Record{voucher, points, back, stranger}
}

var (
	hanako = ingest.Person{Source: "mitaka", ID: "p1", Sex: "female", BornOn: "1986-07-01", Area: "132040010", ConsentID: "c1"}
	bakery = ingest.Shop{Source: "mitaka", ID: "s1", Name: "三鷹ベーカリー", Merchant: "m1", Operator: "7000012050002", Industry: "grocery", Area: "132040020"}
)

func TestPipeline_JoinsThenPseudonymizes(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	put(t, im, []ingest.Person{hanako}, []ingest.Shop{bakery})
	add(t, im, "mitaka", combined()...)
	p := pipeline(t, im, dir)
	got := runPipeline(t, p)
	if want := (ingest.Result{Segments: got.Segments, Rows: 4, Snapshot: 1, Total: 4}); got != want || got.Segments < 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	rows, columns, _ := lakeContent(t, p.Lake)
	if want := []string{"event_token", "payment_token", "target_token", "person_token", "consent_token", "source", "kind", "service_type",
		"service_id", "amount_yen", "active", "occurred_local", "occurred_on", "shop_id", "merchant_id", "industry", "shop_area", "operator",
		"sex", "age_band", "home_area"}; !slices.Equal(columns, want) {
		t.Errorf("got the columns %q, want %q", columns, want)
	}
	tokens, err := pseudonymize.NewTokenizer(p.Keys)
	if err != nil {
		t.Fatal(err)
	}
	token := func(domain, value string) string {
		source := "mitaka"
		if domain == "person" { // who is who is told by one register
			source, value = "resident", source+"\x1f"+value
		}
		made, err := tokens.Token(domain, source, value)
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(made[:])
	}
	known := func(row lakeRow) lakeRow {
		for name, value := range map[string]string{"person_token": token("person", "p1"), "consent_token": token("consent", "c1"), "target_token": array.NullValueStr,
			"source": "mitaka", "active": "true", "shop_id": "s1", "merchant_id": "m1", "operator": "7000012050002", "industry": "grocery", "shop_area": "132040020",
			"sex": "female", "age_band": "40-49", "home_area": "132040010"} {
			if _, given := row[name]; !given {
				row[name] = value
			}
		}
		return row
	}
	want := []lakeRow{
		known(lakeRow{"event_token": token("payment", "T1/1"), "payment_token": token("payment", "T1"), "kind": "pay", "service_type": "voucher", "service_id": "gift",
			"amount_yen": "1200", "occurred_local": "2026-03-31T23:59:00", "occurred_on": "2026-03-31"}),
		known(lakeRow{"event_token": token("payment", "T1/2"), "payment_token": token("payment", "T1"), "kind": "pay", "service_type": "points", "service_id": "pt",
			"amount_yen": "300", "occurred_local": "2026-03-31T23:59:00", "occurred_on": "2026-03-31"}),
		known(lakeRow{"event_token": token("payment", "R1"), "payment_token": token("payment", "R1"), "target_token": token("payment", "T1/2"), "kind": "cancel",
			"service_type": "points", "service_id": "pt", "amount_yen": "300", "occurred_local": "2026-04-01T00:00:00", "occurred_on": "2026-04-01"}),
		known(lakeRow{"event_token": token("payment", "T2"), "payment_token": token("payment", "T2"), "person_token": array.NullValueStr, "consent_token": array.NullValueStr,
			"kind": "pay", "service_type": "points", "service_id": "pt", "amount_yen": "100", "active": "false", "occurred_local": "2026-04-01T12:00:00", "occurred_on": "2026-04-01",
			"shop_id": "s9", "merchant_id": "", "operator": "", "industry": "", "shop_area": "", "sex": "unknown", "age_band": "unknown", "home_area": ""}),
	}
	byEvent := func(a, b lakeRow) int { return strings.Compare(a["event_token"], b["event_token"]) }
	slices.SortFunc(rows, byEvent)
	slices.SortFunc(want, byEvent)
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

// TestPipeline_WhatThePaymentSaysGoesFirst: consent and merchant are those of
// the payment, and those of its person and shop where it names none.
func TestPipeline_WhatThePaymentSaysGoesFirst(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	put(t, im, []ingest.Person{hanako, {Source: "mitaka", ID: "p2"}}, []ingest.Shop{bakery})
	own, silent, none := payment("T1"), payment("T2"), payment("T3")
	own.AmountYen, own.ConsentID, own.MerchantID = 1, "c-own", "m-own"
	silent.AmountYen, silent.ConsentID = 2, ""
	none.AmountYen, none.ConsentID, none.PersonID, none.ShopID = 3, "", "p2", "s2"
	add(t, im, "mitaka", own, silent, none)
	p := pipeline(t, im, dir)
	runPipeline(t, p)
	tokens, err := pseudonymize.NewTokenizer(p.Keys)
	if err != nil {
		t.Fatal(err)
	}
	rows, _, _ := lakeContent(t, p.Lake)
	slices.SortFunc(rows, func(a, b lakeRow) int { return strings.Compare(a["amount_yen"], b["amount_yen"]) })
	for i, want := range []struct{ consent, merchant string }{{"c-own", "m-own"}, {"c1", "m1"}, {"", ""}} {
		consent := array.NullValueStr
		if want.consent != "" {
			made, err := tokens.Token("consent", "mitaka", want.consent)
			if err != nil {
				t.Fatal(err)
			}
			consent = hex.EncodeToString(made[:])
		}
		if rows[i]["consent_token"] != consent || rows[i]["merchant_id"] != want.merchant {
			t.Errorf("payment %d: got %s and %q, want %s and %q", i+1, rows[i]["consent_token"], rows[i]["merchant_id"], consent, want.merchant)
		}
	}
}

// TestPipeline_JoinsMoreThanAPage has more rows than a batch and more persons
// and shops than the store gives at once.
func TestPipeline_JoinsMoreThanAPage(t *testing.T) {
	const records, persons, shops, tests = 70_000, 5_003, 5_001, 17
	dir := t.TempDir()
	im := open(t, dir)
	var people []ingest.Person
	for i := range persons {
		people = append(people, ingest.Person{Source: "mitaka", ID: fmt.Sprint("p", i), Area: fmt.Sprint("home ", i%13), Test: i < tests})
	}
	var places []ingest.Shop
	for i := range shops {
		places = append(places, ingest.Shop{Source: "mitaka", ID: fmt.Sprint("s", i), Name: "x", Area: fmt.Sprint("street ", i%11)})
	}
	put(t, im, people, places)
	var list []ingest.Record
	for i := range records {
		r := payment(fmt.Sprint("T", i))
		r.PersonID, r.ShopID, r.AmountYen = fmt.Sprint("p", i%persons), fmt.Sprint("s", i%shops), int64(i)
		list = append(list, r)
	}
	add(t, im, "mitaka", list...)
	p := pipeline(t, im, dir)
	var last, of int64
	p.Progress = func(rows, total int64) {
		if rows < last || total != records {
			t.Errorf("progress: %d of %d after %d", rows, total, last)
		}
		last, of = rows, total
	}
	excluded := int64(0)
	for i := range records {
		if i%persons < tests {
			excluded++
		}
	}
	got := runPipeline(t, p)
	if got.Rows != records-excluded || got.Excluded != excluded || got.Total != got.Rows || last != got.Rows || of != records {
		t.Errorf("got %+v and progress to %d of %d, want %d rows and %d left out", got, last, of, records-excluded, excluded)
	}
	rows, _, _ := lakeContent(t, p.Lake)
	for _, row := range rows {
		i, err := strconv.Atoi(row["amount_yen"])
		if err != nil {
			t.Fatal(err)
		}
		if i%persons < tests {
			t.Fatalf("row %d is of a test user", i)
		}
		if home, street := fmt.Sprint("home ", i%persons%13), fmt.Sprint("street ", i%shops%11); row["home_area"] != home || row["shop_area"] != street {
			t.Fatalf("row %d: got %q and %q, want %q and %q", i, row["home_area"], row["shop_area"], home, street)
		}
	}
	if int64(len(rows)) != got.Rows {
		t.Errorf("got %d rows, want %d", len(rows), got.Rows)
	}
}

func TestPipeline_LeavesTestUsersOutAndCountsThem(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	office := ingest.Person{Source: "mitaka", ID: "office", Sex: "other", Area: "town hall", Test: true}
	put(t, im, []ingest.Person{hanako, office}, nil)
	trial := payment("T2")
	trial.PersonID = "office"
	add(t, im, "mitaka", payment("T1"), trial)
	p := pipeline(t, im, dir)
	if got := runPipeline(t, p); got.Rows != 1 || got.Excluded != 1 || got.Total != 1 {
		t.Errorf("got %+v, want 1 row and 1 left out", got)
	}
	trial.ID = "T3"
	add(t, im, "mitaka", trial)
	if got := runPipeline(t, p); got.Rows != 0 || got.Excluded != 1 || got.Total != 1 || got.Snapshot != 2 {
		t.Errorf("nothing but test users: got %+v", got)
	}
	if got := runPipeline(t, p); got.Segments != 0 || got.Snapshot != 2 {
		t.Errorf("once more: got %+v", got)
	}
	rows, _, _ := lakeContent(t, p.Lake)
	if len(rows) != 1 || rows[0]["sex"] != "female" {
		t.Errorf("got %v", rows)
	}
}

func TestPipeline_TakesEachSegmentInOnce(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	p := pipeline(t, im, dir)
	if got := runPipeline(t, p); got != (ingest.Result{}) {
		t.Errorf("nothing to do: got %+v", got)
	}
	if got := lakeFiles(t, p.Lake); len(got) != 0 {
		t.Errorf("nothing to do made %v", got)
	}
	add(t, im, "mitaka", payment("T1"), payment("T2"))
	if got := runPipeline(t, p); got != (ingest.Result{Segments: 1, Rows: 2, Snapshot: 1, Total: 2}) {
		t.Errorf("first: got %+v", got)
	}
	before := lakeFiles(t, p.Lake)
	if got := runPipeline(t, p); got != (ingest.Result{Snapshot: 1, Total: 2}) {
		t.Errorf("again: got %+v", got)
	}
	if diff := cmp.Diff(before, lakeFiles(t, p.Lake)); diff != "" {
		t.Errorf("a second run changed the lake: %s", diff)
	}
	add(t, im, "mitaka", payment("T3"))
	add(t, im, "chichibu", payment("T3"))
	if got := runPipeline(t, p); got != (ingest.Result{Segments: 2, Rows: 2, Snapshot: 2, Total: 4}) {
		t.Errorf("new segments: got %+v", got)
	}
	for path, text := range lakeFiles(t, p.Lake) {
		if was, there := before[path]; there && was != text && filepath.Base(path) != "manifest.json" {
			t.Errorf("%s was written again", path)
		}
	}
	rows, _, _ := lakeContent(t, p.Lake)
	events := map[string]bool{}
	for _, row := range rows {
		events[row["event_token"]] = true
	}
	if len(rows) != 4 || len(events) != 4 {
		t.Errorf("got %d rows of %d events, want 4 of 4", len(rows), len(events))
	}
}

// TestPipeline_KeepsSourcesApart: one name at two sources may be two persons.
// Within a source it is one person, from run to run.
func TestPipeline_KeepsSourcesApart(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	other := ingest.Person{Source: "chichibu", ID: "p1", Sex: "male"}
	put(t, im, []ingest.Person{hanako, other}, nil)
	p := pipeline(t, im, dir)
	persons, consents := map[string]map[string]bool{}, map[string]map[string]bool{}
	for i := range 2 {
		add(t, im, "mitaka", payment(fmt.Sprint("T", i)))
		add(t, im, "chichibu", payment(fmt.Sprint("T", i)))
		runPipeline(t, p)
	}
	rows, _, _ := lakeContent(t, p.Lake)
	for _, row := range rows {
		for column, seen := range map[string]map[string]map[string]bool{"person_token": persons, "consent_token": consents} {
			if seen[row["source"]] == nil {
				seen[row["source"]] = map[string]bool{}
			}
			seen[row["source"]][row[column]] = true
		}
		if want := map[string]string{"mitaka": "female", "chichibu": "male"}[row["source"]]; row["sex"] != want {
			t.Errorf("%s: got sex %s, want %s", row["source"], row["sex"], want)
		}
	}
	if len(rows) != 4 {
		t.Fatalf("got %d rows, want 4", len(rows))
	}
	for what, seen := range map[string]map[string]map[string]bool{"person": persons, "consent": consents} {
		if len(seen["mitaka"]) != 1 || len(seen["chichibu"]) != 1 || cmp.Equal(seen["mitaka"], seen["chichibu"]) {
			t.Errorf("tokens of the same %s ID: got %v, want one for each source", what, seen)
		}
	}
}

// TestPipeline_LetsNoIdentifierIntoTheLake marks everything that could lead to
// a person and looks for the marks in every value and every byte of the lake.
func TestPipeline_LetsNoIdentifierIntoTheLake(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	const phone, born, name, till = "09012345678", "1986-07-03", "理容田中花子", "till-MARK"
	put(t, im, []ingest.Person{{Source: "mitaka", ID: phone, Sex: "female", BornOn: born, Area: "132040010", ConsentID: "consent-MARK"}},
		[]ingest.Shop{{Source: "mitaka", ID: "s1", Name: name, Merchant: "m1", Industry: "beauty", Area: "132040010"}})
	var list []ingest.Record
	for i := range 200 {
		r := payment(fmt.Sprint("record-MARK", i))
		r.PersonID, r.ConsentID, r.ShopName, r.TerminalID, r.GroupID = phone, "consent-MARK", name, till, fmt.Sprint("group-MARK", i)
		r.OccurredAt = r.OccurredAt.Add(time.Duration(i) * 12 * time.Hour)
		back := r
		back.ID, back.Kind, back.TargetID, back.GroupID = fmt.Sprint("back-MARK", i), ingest.Cancel, r.ID, ""
		list = append(list, r, back)
	}
	add(t, im, "mitaka", list...)
	p := pipeline(t, im, dir)
	runPipeline(t, p)
	rows, _, values := lakeContent(t, p.Lake)
	if len(rows) != len(list) {
		t.Fatalf("got %d rows, want %d", len(rows), len(list))
	}
	for _, text := range lakeFiles(t, p.Lake) {
		values = append(values, []byte(text))
	}
	found := func(s string) bool {
		return slices.ContainsFunc(values, func(v []byte) bool { return bytes.Contains(v, []byte(s)) })
	}
	for _, open := range []string{"mitaka", "132040010", "beauty", "30-39"} {
		if !found(open) {
			t.Errorf("%q, which may be there, is not found: the search is none", open)
		}
	}
	for _, secret := range []string{phone, phone[1:], "MARK", born, name, "田中", till} {
		if found(secret) {
			t.Errorf("%q is in the lake", secret)
		}
	}
}

func TestPipeline_StopsAtAColumnThePolicyDoesNotName(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	add(t, im, "mitaka", payment("T1"))
	p := pipeline(t, im, dir)
	whole := p.Policies["payment"]
	for _, column := range []string{"shop_name", "person_id", "home_area"} {
		less := whole
		less.Rules = slices.DeleteFunc(slices.Clone(whole.Rules), func(r pseudonymize.Rule) bool { return r.From == column })
		p.Policies["payment"] = less
		_, err := p.Run(context.Background())
		var unknown *pseudonymize.UnknownColumnError
		if !errors.As(err, &unknown) || unknown.Column != column {
			t.Errorf("without a rule for %s: got %v", column, err)
		}
		if got := lakeFiles(t, p.Lake); len(got) != 0 {
			t.Errorf("without a rule for %s: the lake has %v", column, got)
		}
	}
	p.Policies["payment"] = whole
	if got := runPipeline(t, p); got.Rows != 1 {
		t.Errorf("with all rules: got %+v", got)
	}
}

// TestPipeline_AFailedRunLeavesTheLakeAsItWas, and the next one succeeds.
func TestPipeline_AFailedRunLeavesTheLakeAsItWas(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, p *ingest.Pipeline) (context.Context, func(), error){
		"a damaged segment": func(t *testing.T, p *ingest.Pipeline) (context.Context, func(), error) {
			mend := replaceLast(t, p.Importer, func(text, _ []byte) []byte { return text[:len(text)/2] })
			return context.Background(), mend, nil
		},
		"another segment in its place": func(t *testing.T, p *ingest.Pipeline) (context.Context, func(), error) {
			mend := replaceLast(t, p.Importer, func(_, first []byte) []byte { return first })
			return context.Background(), mend, ingest.ErrSegmentChanged
		},
		"cancelled before": func(*testing.T, *ingest.Pipeline) (context.Context, func(), error) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, func() {}, context.Canceled
		},
		"cancelled between two batches": func(_ *testing.T, p *ingest.Pipeline) (context.Context, func(), error) {
			ctx, cancel := context.WithCancel(context.Background())
			p.Progress = func(rows, _ int64) { cancel() }
			return ctx, func() { p.Progress = nil }, context.Canceled
		},
		"another run": func(t *testing.T, p *ingest.Pipeline) (context.Context, func(), error) {
			w := beginLake(t, p.Lake)
			return context.Background(), w.Abort, lake.ErrBusy
		},
		"another keyset": func(t *testing.T, p *ingest.Pipeline) (context.Context, func(), error) {
			keys := p.Keys
			other, err := pseudonymize.NewKeyset()
			if err != nil {
				t.Fatal(err)
			}
			p.Keys = other
			return context.Background(), func() { p.Keys = keys }, lake.ErrEpoch
		},
		"a policy of another shape": func(_ *testing.T, p *ingest.Pipeline) (context.Context, func(), error) {
			whole := p.Policies["payment"]
			other := whole
			other.Rules = append(slices.Clone(whole.Rules), pseudonymize.Rule{From: "weather", Action: pseudonymize.Drop})
			p.Policies["payment"] = other
			return context.Background(), func() { p.Policies["payment"] = whole }, pseudonymize.ErrPolicy
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			im := open(t, dir)
			p := pipeline(t, im, dir)
			add(t, im, "mitaka", payment("T0"), payment("T00"))
			runPipeline(t, p)
			const more = 30 // many more batches than wait between making and writing
			for i := range more {
				add(t, im, "mitaka", payment(fmt.Sprint("T", i+1)))
			}
			before := lakeFiles(t, p.Lake)
			ctx, mend, want := fail(t, p)
			if got, err := p.Run(ctx); err == nil || want != nil && !errors.Is(err, want) || got != (ingest.Result{}) {
				t.Errorf("got %+v, %v, want %v", got, err, want)
			}
			mend()
			if diff := cmp.Diff(before, lakeFiles(t, p.Lake)); diff != "" {
				t.Errorf("the lake changed: %s", diff)
			}
			if got := runPipeline(t, p); got != (ingest.Result{Segments: more, Rows: more, Snapshot: 2, Total: 2 + more}) {
				t.Errorf("afterwards: got %+v", got)
			}
		})
	}
}

// replaceLast puts something else in the place of the last segment's file until
// mend is called.
func replaceLast(t *testing.T, im *ingest.Importer, by func(last, first []byte) []byte) (mend func()) {
	t.Helper()
	segments, err := im.Segments(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	path := segments[len(segments)-1].Path
	last, err := os.ReadFile(path)
	first, ferr := os.ReadFile(segments[0].Path)
	if err := errors.Join(err, ferr, os.WriteFile(path, by(last, first), 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, last, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// beginLake holds the lake as another run does.
func beginLake(t *testing.T, l *lake.Lake) *lake.Writer {
	t.Helper()
	w, err := l.Begin("132047")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestPipelineCrashChild is the process that
// TestPipeline_ADeadRunDoublesNothing kills; by itself it does nothing.
func TestPipelineCrashChild(t *testing.T) {
	dir := os.Getenv("MEGURI_PIPELINE_DIR")
	if dir == "" {
		return
	}
	f, err := os.Open(filepath.Join(dir, "keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pseudonymize.ReadKeyset(f, []byte("a passphrase for tests"))
	if err != nil {
		t.Fatal(err)
	}
	die := func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal arrives
	}
	im := open(t, dir)
	p := pipeline(t, im, dir)
	p.Keys = keys
	times := 0
	switch os.Getenv("MEGURI_PIPELINE_AT") {
	case "records committed":
		ingest.SetStep(im, func(step string) {
			if step == "after commit" {
				die()
			}
		})
	case "rows written":
		p.Progress = func(int64, int64) { die() }
	case "before the commit":
		p.Now = func() time.Time {
			if times++; times == 2 {
				die()
			}
			return runAt
		}
	}
	add(t, im, "mitaka", payment("T1"), payment("T2"), payment("T3"))
	runPipeline(t, p)
	die()
}

func TestPipeline_ADeadRunDoublesNothing(t *testing.T) {
	for _, at := range []string{"records committed", "rows written", "before the commit", "the end"} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			im := open(t, dir)
			p := pipeline(t, im, dir)
			f, err := os.Create(filepath.Join(dir, "keyset.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(p.Keys.Write(f, []byte("a passphrase for tests")), f.Close()); err != nil {
				t.Fatal(err)
			}
			add(t, im, "mitaka", payment("T0"))
			runPipeline(t, p)
			command := exec.Command(os.Args[0], "-test.run=^TestPipelineCrashChild$")
			command.Env = append(os.Environ(), "MEGURI_PIPELINE_DIR="+dir, "MEGURI_PIPELINE_AT="+at)
			output, err := command.CombinedOutput()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the child was not killed: %v\n%s", err, output)
			}
			total := int64(1)
			if at == "the end" {
				total = 4
			}
			if m, err := p.Lake.Manifest(); err != nil || m.Rows("payments") != total {
				t.Errorf("after the kill: got %d rows, %v, want %d", m.Rows("payments"), err, total)
			}
			again := []ingest.Record{payment("T1"), payment("T2"), payment("T3")} // whoever sent them sends them again
			if s, err := im.Add(context.Background(), "mitaka", again); err != nil || s.Duplicate != 3 {
				t.Errorf("added again: got %+v, %v", s, err)
			}
			if got := runPipeline(t, p); got.Total != 4 || got.Snapshot != 2 {
				t.Errorf("run again: got %+v, want 4 rows", got)
			}
			rows, _, _ := lakeContent(t, p.Lake)
			events := map[string]bool{}
			for _, row := range rows {
				events[row["event_token"]] = true
			}
			if len(rows) != 4 || len(events) != 4 {
				t.Errorf("got %d rows of %d events, want 4 of 4", len(rows), len(events))
			}
		})
	}
}
