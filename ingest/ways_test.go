package ingest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"meguri/ingest"
	"meguri/pseudonymize/lake"
)

const wayMap = `record: payment
source: %s
timezone: Asia/Tokyo
columns:
  record_id: {from: id}
  person_id: {from: person}
  shop_id: {from: shop}
  occurred_at: {from: at, layout: "2006-01-02T15:04:05Z07:00"}
  service_type: {const: voucher}
  target_id: {from: target}
amount: {column: yen}
kind:
  - {column: kind, equals: cancel, kind: cancel}
  - {kind: pay}
`

// delivery is how a provider's records come: each by one way or by both.
type delivery struct {
	records   [2][]ingest.Record // payments, and what takes them back
	ways      map[string][]string
	fileFirst bool
}

var deliveries = rapid.Custom(func(t *rapid.T) delivery {
	d := delivery{ways: map[string][]string{}, fileFirst: rapid.Bool().Draw(t, "the file first")}
	for i := range rapid.IntRange(1, 12).Draw(t, "payments") {
		r := ingest.Record{ID: fmt.Sprint("T", i), Kind: ingest.Pay, ServiceType: ingest.Voucher, ShopID: fmt.Sprint("s", i%2), Active: true,
			PersonID: fmt.Sprint("u", rapid.IntRange(0, 2).Draw(t, "who")), AmountYen: rapid.Int64Range(1, 999).Draw(t, "yen"),
			OccurredAt: time.Date(2024, 6, 1+i%3, 3, i, 0, 1000*rapid.IntRange(0, 1).Draw(t, "part of a second"), time.UTC)}
		by := rapid.SampledFrom([][]string{{"api"}, {"file"}, {"api", "file"}})
		d.records[0], d.ways[r.ID] = append(d.records[0], r), by.Draw(t, "by")
		if rapid.Bool().Draw(t, "cancelled") {
			r.TargetID, r.ID, r.Kind = r.ID, r.ID+"c", ingest.Cancel
			d.records[1], d.ways[r.ID] = append(d.records[1], r), by.Draw(t, "by")
		}
	}
	return d
})

// bring takes a delivery in as a provider's; in one way where file is nil.
func (d delivery) bring(t testing.TB, im *ingest.Importer, provider string, file *ingest.Mapping) {
	for _, part := range d.records { // nothing is cancelled before it came
		if file == nil {
			if s, err := im.Add(t.Context(), provider, part); err != nil || s.Accepted != int64(len(part)) {
				t.Fatal(s, err)
			}
			continue
		}
		by := map[string][]ingest.Record{}
		for _, r := range part {
			for _, way := range d.ways[r.ID] {
				by[way] = append(by[way], r)
			}
		}
		order := []string{"api", "file"}
		if d.fileFirst {
			slices.Reverse(order)
		}
		for _, way := range order {
			var s ingest.Summary
			var err error
			if way == "api" {
				s, err = im.Add(t.Context(), provider+"-api", by[way])
			} else if len(by[way]) > 0 {
				s, err = im.Import(t.Context(), fileOf(t, by[way]), ingest.Options{Mapping: file})
			}
			if err != nil || s.Quarantined > 0 || s.Read > 0 && s.Source != provider {
				t.Fatal(way, s, err)
			}
		}
	}
}

func wayMapping(t testing.TB, source string) *ingest.Mapping {
	m, err := ingest.ParseMapping("way.yaml", fmt.Appendf(nil, wayMap, source))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// IC-6: one provider in two ways. However its payments are spread over an API and
// files, in whichever order and however many of them come by both, what is kept is
// what a single way brings.
func TestWays_Property(t *testing.T) {
	im, ways := open(t, t.TempDir()), map[string]string{}
	for seed := range 15 { // not rapid.Check's hundred: each writes to the disk
		d := deliveries.Example(seed)
		one, two := fmt.Sprint("one", seed), fmt.Sprint("two", seed)
		ways[two+"-api"], ways[two+"-file"] = two, two
		if err := im.SetWays(ways); err != nil {
			t.Fatal(err)
		}
		before, err := im.Segments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d.bring(t, im, one, nil)
		d.bring(t, im, two, wayMapping(t, two+"-file"))
		kept := map[string][]string{}
		segments, err := im.Segments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments[len(before):] {
			for batch, err := range ingest.OpenSegment(s.Path) {
				if err != nil {
					t.Fatal(err)
				}
				for i := range int(batch.NumRows()) {
					line := ""
					for c := 1; c < int(batch.NumCols()); c++ {
						line += "|" + strings.Replace(batch.Column(c).ValueStr(i), ".000001Z", "Z", 1) // files tell seconds
					}
					kept[batch.Column(0).ValueStr(i)] = append(kept[batch.Column(0).ValueStr(i)], line)
				}
			}
		}
		slices.Sort(kept[one])
		slices.Sort(kept[two])
		if diff := cmp.Diff(kept[one], kept[two]); diff != "" || len(kept) != 2 {
			t.Fatalf("seed %d, %+v: %d sources; %s", seed, d, len(kept), diff)
		}
	}
}

// IC-6: and the lake is the lake of a single way, with its residents, whichever way
// told of a person.
func TestWays_OneLake(t *testing.T) {
	persons, err := ingest.ParseMapping("persons.yaml", []byte("record: person\nsource: p-file\ncolumns: {id: {from: id}, sex: {from: sex}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range 2 {
		d := deliveries.Example(seed)
		keys := pipeline(t, open(t, t.TempDir()), t.TempDir()).Keys
		lakeOf := func(file *ingest.Mapping) (all []string) {
			dir := t.TempDir()
			im := open(t, dir)
			if err := im.SetWays(map[string]string{"p-api": "p", "p-file": "p"}); err != nil {
				t.Fatal(err)
			}
			if file == nil {
				put(t, im, []ingest.Person{{Source: "p", ID: "u0", Sex: "female"}}, nil)
			} else if _, err := im.Import(t.Context(), csvOf(t, "id,sex", "u0,female"), ingest.Options{Mapping: persons}); err != nil {
				t.Fatal(err)
			}
			d.bring(t, im, "p", file)
			p := pipeline(t, im, dir)
			p.Keys = keys
			runPipeline(t, p)
			rows, columns, _ := lakeContent(t, p.Lake)
			for _, row := range rows {
				line := ""
				for _, c := range columns {
					line += row[c] + "|"
				}
				all = append(all, line)
			}
			slices.Sort(all)
			f, claims, faults, err := im.Figures(t.Context(), lake.Open(p.Lake.Dir()))
			if err != nil || len(claims)+len(faults) > 0 {
				t.Fatal(claims, faults, err)
			}
			for _, l := range ingest.Compare(f) {
				if len(l.Open()) > 0 {
					t.Fatalf("nothing explains %+v", l)
				}
			}
			m, err := p.Lake.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			return append(all, fmt.Sprint(m.Rows("residents"), " residents"))
		}
		if diff := cmp.Diff(lakeOf(nil), lakeOf(wayMapping(t, "p-file"))); diff != "" {
			t.Error(diff)
		}
	}
}

func csvOf(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.csv")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fileOf(t testing.TB, records []ingest.Record) string {
	lines := []string{"id,kind,person,shop,yen,at,target"}
	for _, r := range records {
		lines = append(lines, fmt.Sprintf("%s,%s,%s,%s,%d,%s,%s", r.ID, r.Kind, r.PersonID, r.ShopID, r.AmountYen, r.OccurredAt.Format(time.RFC3339), r.TargetID))
	}
	return csvOf(t, lines...)
}

// Each way has its cursor, a quarantined row is retried as the provider's, links
// may name a way, and a way that came in under its own name is not made another's.
func TestWays_CursorsRetryAndRefusals(t *testing.T) {
	ctx, im := t.Context(), open(t, t.TempDir())
	for _, wrong := range []map[string]string{{"a": "b", "b": "c"}, {"a": "a"}, {"": "b"}, {"a": "x\n"}} {
		if err := im.SetWays(wrong); !errors.Is(err, ingest.ErrInvalid) {
			t.Errorf("%v: got %v", wrong, err)
		}
	}
	add(t, im, "old", paymentOf("T1", "a"))
	put(t, im, []ingest.Person{{Source: "known", ID: "a"}}, nil)
	if err := im.SetWays(map[string]string{"old": "p", "known": "p", "p-api": "p", "p-app": "p", "p-file": "p"}); err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"old", "known"} {
		if _, err := im.Add(ctx, way, []ingest.Record{paymentOf("T1", "a")}); !errors.Is(err, ingest.ErrWay) {
			t.Errorf("%s: got %v", way, err)
		}
	}
	for i, way := range []string{"p-api", "p-app"} {
		if s, err := im.AddWithCursor(ctx, way, []ingest.Record{paymentOf("T1", "a")}, "at "+way); err != nil || s.Accepted != int64(1-i) {
			t.Errorf("%s: got %+v, %v", way, s, err)
		}
	}
	for way, want := range map[string]string{"p-api": "at p-api", "p-app": "at p-app", "p": ""} {
		if cursor, err := im.Cursor(ctx, way); err != nil || cursor != want {
			t.Errorf("%s: the cursor is %q, %v", way, cursor, err)
		}
	}
	mapping := wayMapping(t, "p-file")
	path := csvOf(t, "id,kind,person,shop,yen,at,target", "T9,pay,a,s1,x,2024-06-03T10:00:00+09:00,")
	s, err := im.Import(ctx, path, ingest.Options{Mapping: mapping})
	if err != nil || s.Quarantined != 1 {
		t.Fatal(s, err)
	}
	text, err := os.ReadFile(s.QuarantinePath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.QuarantinePath, []byte(strings.Replace(string(text), ",x,", ",700,", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = im.Retry(ctx, s.ImportID, "", "窓口"); err != nil || s.Accepted != 1 || s.Source != "p" {
		t.Errorf("got %+v, %v", s, err)
	}
	if err := im.PutLinks(ctx, []ingest.Link{{Source: "p-file", PersonID: "a", ToSource: "city", ToID: "r"}}, "窓口", runAt); err != nil {
		t.Fatal(err)
	}
	if links, err := im.Links(ctx); err != nil || len(links) != 1 || links[0].Source != "p" {
		t.Errorf("got %+v, %v", links, err)
	}
}
