package rights_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/ingest/consent"
	"meguri/ingest/consent/rights"
	"meguri/ingest/consent/sqlstore"
	"meguri/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

var (
	hanako = consent.Person{Source: "meguri", ID: "r-1"}
	taro   = consent.Person{Source: "meguri", ID: "r-2"}
	key    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public = key.Public().(ed25519.PublicKey)
)

// office is a desk whose clock stands where the test puts it.
type office struct {
	*rights.Desk
	clock time.Time
}

func open(t testing.TB) *office {
	t.Helper()
	store, err := sqlstore.Open(context.Background(), sqldbtest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{clock: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}
	o.Desk = &rights.Desk{Days: 30, Consents: &consent.Desk{Store: store, Now: func() time.Time { o.clock = o.clock.Add(time.Second); return o.clock }}}
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// A request has a deadline, needs an identity, and is answered once, with a reason
// where not all is given. What is overdue comes first.
func TestRequests(t *testing.T) {
	o, ctx := open(t), context.Background()
	take := func(kind rights.Kind, p consent.Person) rights.Request {
		r, err := o.Take(ctx, kind, p, "住所", "窓口")
		must(t, err)
		return r
	}
	stop := take(rights.Stop, hanako)
	o.clock = o.clock.AddDate(0, 0, 20)
	fix, see := take(rights.Correction, taro), take(rights.Disclosure, hanako)
	_, err := o.Take(ctx, "advice", hanako, "", "窓口")
	wants(t, "another kind", err, rights.ErrInvalid)
	o.clock = o.clock.AddDate(0, 0, 15)

	wants(t, "refused without a reason", o.Answer(ctx, fix.ID, rights.Refused, " ", "課長"), rights.ErrInvalid)
	wants(t, "done without identity", o.Answer(ctx, fix.ID, rights.Done, "", "課長"), rights.ErrIdentity)
	must(t, o.Answer(ctx, fix.ID, rights.Refused, "事実と異ならないため", "課長"))
	wants(t, "answered again", o.Answer(ctx, fix.ID, rights.Refused, "やはり", "課長"), rights.ErrAnswered)
	_, err = o.Request(ctx, "r-none")
	wants(t, "another ID", err, rights.ErrNotFound)

	must(t, o.Identify(ctx, see.ID, "マイナンバーカード", "窓口"))
	wants(t, "not handed over", o.Answer(ctx, see.ID, rights.Done, "", "課長"), rights.ErrNotDone)
	wants(t, "another's copy", o.Handed(ctx, see.ID, taro, "abc", "窓口"), rights.ErrInvalid)
	must(t, o.Handed(ctx, see.ID, hanako, "abc", "窓口"))
	must(t, o.Answer(ctx, see.ID, rights.Done, "", "課長"))

	all, err := o.Requests(ctx)
	must(t, err)
	var got []string
	for _, r := range all {
		got = append(got, fmt.Sprint(r.Kind, " ", r.Due, " ", r.Overdue(o.clock), " ", r.Outcome))
	}
	if want := []string{"stop 2026-10-31 true ", "correction 2026-11-20 false refused", "disclosure 2026-11-20 false done"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	// IC-9: stopping use takes effect with the answer, whatever the basis.
	must(t, o.Consents.AddPurpose(ctx, consent.Purpose{Code: "p", Ja: "目的", En: "purpose"}, "市"))
	must(t, o.Consents.Publish(ctx, "p", "2026-01-01", "広報", "市"))
	must(t, o.Consents.AddBasis(ctx, consent.Basis{ID: "law", Kind: consent.Law, Dataset: "payment", Purposes: []string{"p"}, From: "2026-01-01", Until: "2027-01-01",
		Document: "条例", SHA256: strings.Repeat("0", 64)}, "市"))
	must(t, o.Identify(ctx, stop.ID, "本人限定受取郵便", "窓口"))
	for _, want := range []bool{true, false} {
		c, err := o.Consents.Coverage(ctx, "p", o.clock)
		must(t, err)
		if _, ok := c.Basis("payment", "meguri", "r-1", o.clock); ok != want {
			t.Errorf("covered: %v, want %v", ok, want)
		}
		if _, ok := c.Basis("payment", "meguri", "r-2", o.clock); !ok {
			t.Error("another person is stopped too")
		}
		if want {
			must(t, o.Answer(ctx, stop.ID, rights.Done, "", "課長"))
		}
	}

	// What was to be corrected is, before it is called done; and who corrects payments is said.
	right := take(rights.Correction, hanako)
	wants(t, "corrected without identity", o.HasCorrected(ctx, right.ID, "sex", 1, "窓口"), rights.ErrIdentity)
	must(t, o.Identify(ctx, right.ID, "免許証", "窓口"))
	wants(t, "not corrected", o.Answer(ctx, right.ID, rights.Done, "", "課長"), rights.ErrNotDone)
	wants(t, "another kind of request", o.HasCorrected(ctx, stop.ID, "sex", 1, "窓口"), rights.ErrInvalid)
	must(t, o.HasCorrected(ctx, right.ID, "sex", 2, "窓口"))
	must(t, o.Answer(ctx, right.ID, rights.Done, "", "課長"))
	if r, err := o.Request(ctx, right.ID); err != nil || r.Corrected != "sex (2)" || r.Reason != rights.PaymentsNote {
		t.Errorf("got %+v, %v", r, err)
	}
	wants(t, "corrected after the answer", o.HasCorrected(ctx, right.ID, "sex", 1, "窓口"), rights.ErrAnswered)
}

// drawer is an eraser over a folder with one file for each record, named by the
// person; it fails when told to.
type drawer struct {
	stage rights.Stage
	dir   string
	fails func(step string) error
	order *[]rights.Stage
	keeps bool // claims to erase, and does not
}

func (d drawer) Name() string        { return string(d.stage) + " drawer" }
func (d drawer) Stage() rights.Stage { return d.stage }
func (d drawer) Datasets() []string  { return nil }

func (d drawer) names(o rights.Order) (names []string) {
	entries, _ := os.ReadDir(d.dir)
	for _, e := range entries {
		if slices.ContainsFunc(o.Persons, func(p consent.Person) bool { return strings.HasPrefix(e.Name(), p.ID+"_") }) {
			names = append(names, e.Name())
		}
	}
	return names
}

func (d drawer) Plan(_ context.Context, o rights.Order, t *rights.Tally) error {
	for _, name := range d.names(o) {
		t.Add(string(d.stage)+" rows", name)
	}
	return d.fails(string(d.stage) + " plan")
}

func (d drawer) Erase(_ context.Context, o rights.Order) error {
	*d.order = append(*d.order, d.stage)
	for i, name := range d.names(o) {
		if d.keeps {
			continue
		}
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			return err
		}
		if err := d.fails(fmt.Sprint(d.stage, " file ", i)); err != nil {
			return err
		}
	}
	return d.fails(string(d.stage) + " erased")
}

func drawers(t *testing.T, fails func(string) error) (all []rights.Eraser, order *[]rights.Stage, dir string) {
	dir, order = t.TempDir(), &[]rights.Stage{}
	for _, stage := range []rights.Stage{rights.Registry, rights.Extracts, rights.Lake, rights.Segments} { // not in order
		sub := filepath.Join(dir, string(stage))
		must(t, os.Mkdir(sub, 0o700))
		for _, name := range []string{"r-1_a", "r-1_b", "r-2_a"} {
			must(t, os.WriteFile(filepath.Join(sub, name), nil, 0o600))
		}
		all = append(all, drawer{stage: stage, dir: sub, fails: fails, order: order})
	}
	return all, order, dir
}

// Wherever a run stops, the next one goes on, in order; the receipt tells all that
// went, once, and is signed.
func TestShredder_GoesOnAtEveryStep(t *testing.T) {
	var steps []string
	collect := func(s string) error { steps = append(steps, s); return nil }
	run := func(fails func(string) error) rights.Receipt {
		o, ctx := open(t), context.Background()
		erasers, order, dir := drawers(t, fails)
		s := &rights.Shredder{Consents: o.Consents, Erasers: erasers, Key: key}
		signed, err := s.Run(ctx, rights.Order{Persons: []consent.Person{hanako}, Reason: "消去の請求", By: "課長"})
		if err != nil {
			pending, perr := s.Unfinished(ctx)
			must(t, perr)
			if len(pending) != 1 {
				t.Fatalf("%d orders are unfinished after %v", len(pending), err)
			}
			signed, err = s.Resume(ctx, pending[0])
		}
		must(t, err)
		if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) != 4 || slices.ContainsFunc(left, func(f string) bool { return strings.Contains(f, "r-1") }) {
			t.Errorf("left: %v", left)
		}
		if !slices.IsSortedFunc(*order, func(a, b rights.Stage) int {
			at := []rights.Stage{rights.Lake, rights.Segments, rights.Extracts, rights.Registry}
			return slices.Index(at, a) - slices.Index(at, b)
		}) {
			t.Errorf("erased in the order %v", *order)
		}
		events, err := o.Consents.Of(ctx, hanako)
		if err != nil || len(events) != 1 || !events[0].Withdrawal.Hold {
			t.Errorf("new intake is not held: %v, %v", events, err)
		}
		document, err := signed.Document()
		must(t, err)
		r, err := rights.Verify(document, public)
		must(t, err)
		if strings.Contains(string(document), "r-1") || r.Persons != 1 || len(r.Gone) != 4 {
			t.Errorf("receipt:\n%s", document)
		}
		for _, g := range r.Gone {
			if g.Count != 2 || len(g.Digest) != 64 {
				t.Errorf("got %+v, want 2 of each", g)
			}
		}
		if pending, err := s.Unfinished(ctx); err != nil || len(pending) != 0 {
			t.Errorf("%v is unfinished, %v", pending, err)
		}
		if again, err := s.Resume(ctx, r.ID); err != nil || string(again.Receipt) != string(signed.Receipt) {
			t.Errorf("resumed after its end: %v", err)
		}
		return r
	}
	run(collect)
	if len(steps) < 16 {
		t.Fatalf("only %d steps", len(steps))
	}
	for at := range steps {
		n := 0
		run(func(string) error {
			if n++; n == at+1 {
				return errors.New("power is gone")
			}
			return nil
		})
	}
}

// A request has one order: carried out again it goes on with it, or has its receipt.
func TestShredder_ARequestHasOneOrder(t *testing.T) {
	o, ctx, at := open(t), context.Background(), 3
	erasers, _, _ := drawers(t, func(string) error {
		if at--; at == 0 {
			return errors.New("power is gone")
		}
		return nil
	})
	s := &rights.Shredder{Consents: o.Consents, Erasers: erasers, Key: key}
	order := rights.Order{Persons: []consent.Person{hanako}, Request: "r-1 r-1b", Reason: "消去の請求", By: "課長"}
	if _, err := s.Run(ctx, order); err == nil {
		t.Fatal("it was not stopped")
	}
	order.Request = "r-1b" // one of those that were asked for together is enough
	first, err := s.Run(ctx, order)
	must(t, err)
	again, err := s.Run(ctx, order)
	must(t, err)
	r, err := first.Read()
	must(t, err)
	if string(again.Receipt) != string(first.Receipt) || len(r.Gone) != 4 || r.Gone[0].Count != 2 {
		t.Errorf("got %s and %s", first.Receipt, again.Receipt)
	}
	if all, err := rights.Receipts(ctx, o.Consents.Store); err != nil || len(all) != 1 {
		t.Errorf("there are %d receipts, %v", len(all), err)
	}
	order.Request = "r-2"
	if other, err := s.Run(ctx, order); err != nil || string(other.Receipt) == string(first.Receipt) {
		t.Errorf("another request: %s, %v", other.Receipt, err)
	}
	for _, mixed := range []string{"r-1 r-2", "r-2 r-3", "r-3 r-2"} {
		order.Request = mixed
		_, err = s.Run(ctx, order)
		wants(t, mixed, err, rights.ErrInvalid)
	}
}

func TestShredder_Refuses(t *testing.T) {
	o, ctx := open(t), context.Background()
	erasers, order, dir := drawers(t, func(string) error { return nil })
	person := rights.Order{Persons: []consent.Person{hanako}, Reason: "請求", By: "課長"}

	_, err := (&rights.Shredder{Consents: o.Consents, Erasers: erasers[:3], Key: key}).Run(ctx, person)
	wants(t, "a stage without an eraser", err, rights.ErrNoEraser)
	_, err = (&rights.Shredder{Consents: o.Consents, Erasers: erasers}).Run(ctx, person)
	wants(t, "no key", err, rights.ErrNoKey)
	_, err = (&rights.Shredder{Consents: o.Consents, Erasers: erasers, Key: key}).Run(ctx, rights.Order{Reason: "請求", By: "課長"})
	wants(t, "nothing to erase", err, rights.ErrInvalid)
	if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(files) != 12 || len(*order) != 0 {
		t.Errorf("%d files are left of 12", len(files))
	}
	lazy := erasers[2].(drawer)
	lazy.keeps = true
	erasers[2] = lazy
	s := &rights.Shredder{Consents: o.Consents, Erasers: erasers, Key: key}
	_, err = s.Run(ctx, person)
	wants(t, "an eraser that leaves something", err, rights.ErrLeft)
	if all, err := rights.Receipts(ctx, o.Consents.Store); err != nil || len(all) != 0 {
		t.Errorf("%d receipts for what is not gone, %v", len(all), err)
	}
}

// An erasure that was asked for is answered when its receipt is there.
func TestErasure_NeedsItsReceipt(t *testing.T) {
	o, ctx := open(t), context.Background()
	r, err := o.Take(ctx, rights.Erasure, hanako, "", "窓口")
	must(t, err)
	must(t, o.Identify(ctx, r.ID, "免許証", "窓口"))
	wants(t, "before", o.Answer(ctx, r.ID, rights.Done, "", "課長"), rights.ErrNotDone)
	erasers, _, _ := drawers(t, func(string) error { return nil })
	s := &rights.Shredder{Consents: o.Consents, Erasers: erasers, Key: key}
	_, err = s.Run(ctx, rights.Order{Persons: []consent.Person{r.Person}, Request: r.ID, Reason: "消去の請求", By: "課長"})
	must(t, err)
	must(t, o.Answer(ctx, r.ID, rights.Done, "", "課長"))
	if r, err = o.Request(ctx, r.ID); err != nil || r.Erased == "" || r.Outcome != rights.Done {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Retention on what is really there: records of provision after their three years,
// quarantine files by age and at the end of the project. What nothing can carry
// out is said, and stops no other rule.
func TestRetention(t *testing.T) {
	o, ctx := open(t), context.Background()
	party := consent.Party{Name: "大学", Address: "学園町", Representative: "学長"}
	provide := func(at time.Time, people ...consent.Person) {
		o.clock = at
		_, err := o.Consents.RecordProvision(ctx, consent.Provision{Direction: consent.Provided, At: at, Party: party, Items: []string{"payment"}, Basis: "consent", By: "窓口"}, people)
		must(t, err)
	}
	now := time.Now().UTC()
	provide(now.AddDate(-4, 0, 0), hanako, taro)
	provide(now.AddDate(-3, 0, 2), hanako)
	o.clock = now
	dir := t.TempDir()
	for name, days := range map[string]int{"old.csv": 91, "new.csv": 89} {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, nil, 0o600))
		must(t, os.Chtimes(file, now, now.AddDate(0, 0, -days)))
	}
	s := &rights.Shredder{Consents: o.Consents, Key: key, Erasers: []rights.Eraser{rights.RecordsOf(o.Consents), rights.FilesOf("quarantine", dir, nil)}}
	document := string(rights.DefaultRetention())
	run := func(document string) ([]rights.Signed, error) {
		r, err := rights.ParseRetention([]byte(document))
		must(t, err)
		return s.RunRetention(ctx, r, "夜間処理")
	}
	receipts, err := run(document + "  - {dataset: payment, years: 5, basis: 要綱}\n")
	wants(t, "payments, which nothing can erase here", err, rights.ErrNoEraser)
	if len(receipts) != 1 {
		t.Fatalf("%d receipts, want 1", len(receipts))
	}
	r, err := receipts[0].Read()
	must(t, err)
	var got []string
	for _, g := range r.Gone {
		got = append(got, fmt.Sprint(g.Dataset, " ", g.Count, " ", g.Rule))
	}
	if want := "provision 2 2026-11 provision: 3 years; quarantine 1 2026-11 quarantine: 90 days"; strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "; "), want)
	}
	left := 0
	must(t, o.Consents.Provisions(ctx, consent.Person{}, func(consent.Handed) error { left++; return nil }))
	if left != 1 {
		t.Errorf("%d records of provision are left, want the young one", left)
	}
	if _, err := consent.Verify(ctx, o.Consents.Store); err != nil {
		t.Error(err)
	}
	if receipts, err := run(document); err != nil || len(receipts) != 0 {
		t.Errorf("again: %d receipts, %v", len(receipts), err)
	}
	first, err := receipts[0].Document()
	must(t, err)
	receipts, err = run(strings.Replace(document, `project_ends: ""`, `project_ends: "2026-03-31"`, 1))
	must(t, err)
	if r, err = receipts[0].Read(); err != nil || len(r.Gone) != 1 || !strings.Contains(r.Gone[0].Rule, "project ended on 2026-03-31") || r.Previous == "" {
		t.Errorf("at the end of the project: got %+v, %v", r, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d files are left", len(files))
	}

	// Receipts: any change is noticed.
	if _, err := rights.Verify(first, public); err != nil {
		t.Error(err)
	}
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize))).Public().(ed25519.PublicKey)
	_, err = rights.Verify(first, other)
	wants(t, "another key", err, rights.ErrSignature)
	_, err = rights.Verify([]byte(strings.Replace(string(first), `"count": 2`, `"count": 1`, 1)), public)
	wants(t, "another count", err, rights.ErrSignature)
}

func TestParseRetention_Refuses(t *testing.T) {
	for _, text := range []string{
		"", "version: x\n", "version: x\nrules: [{dataset: provision, years: 2, basis: b}]\n", "version: x\nrules: [{dataset: a, basis: b}]\n",
		"version: x\nrules: [{dataset: a, years: 1, days: 1, basis: b}]\n", "version: x\nrules: [{dataset: a, years: 1}]\n",
		"version: x\nrules: [{dataset: a, years: 1, basis: b}, {dataset: a, days: 1, basis: b}]\n", "version: x\nyears: 1\n",
		"version: x\nproject_ends: soon\nrules: [{dataset: a, years: 1, basis: b}]\n", "version: x\nrules: [{dataset: provision, years: 3, basis: b, at_project_end: true}]\n",
	} {
		if _, err := rights.ParseRetention([]byte(text)); !errors.Is(err, rights.ErrRetention) {
			t.Errorf("%q: got %v, want ErrRetention", text, err)
		}
	}
}

// A copy holds what the sources have, in two forms; a spreadsheet takes no value
// for a formula.
func TestDisclose(t *testing.T) {
	o, ctx := open(t), context.Background()
	_, err := o.Consents.RecordProvision(ctx, consent.Provision{Direction: consent.Provided, At: o.clock, Items: []string{"payment"}, Basis: "consent", By: "窓口",
		Party: consent.Party{Name: "=大学", Address: "学園町", Representative: "学長"}}, []consent.Person{hanako, taro})
	must(t, err)
	_, err = o.Consents.Withdraw(ctx, consent.Withdrawal{Person: hanako, Actor: "本人"})
	must(t, err)
	dir := filepath.Join(t.TempDir(), "copy")
	sources := []rights.Source{rights.Provisions(o.Consents), rights.Consents(o.Consents)}
	d, hash, err := rights.Disclose(ctx, dir, []consent.Person{hanako}, sources, o.clock)
	must(t, err)
	if len(d.Files) != 4 || len(hash) != 64 || d.Files[0].Rows != 1 {
		t.Errorf("got %+v, %s", d, hash)
	}
	text, err := os.ReadFile(filepath.Join(dir, "provisions.json"))
	must(t, err)
	var rows []map[string]string
	if err := json.Unmarshal(text, &rows); err != nil || rows[0]["party"] != "=大学" {
		t.Errorf("got %s, %v", text, err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "provisions.csv"))
	must(t, err)
	if !strings.HasPrefix(string(table), "\ufeffdirection,at,party") || !strings.Contains(string(table), ",'=大学,") {
		t.Errorf("got %q", table)
	}
	if info, err := os.Stat(filepath.Join(dir, "consents.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy can be read by others: %v, %v", info.Mode(), err)
	}
	if _, _, err := rights.Disclose(ctx, dir, []consent.Person{hanako}, sources, o.clock); err == nil {
		t.Error("a folder that was there is written into")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"receipt":{"format":"meguri-deletion/1"},"signature":"AAAA"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		if r, err := rights.Verify(document, public); err == nil {
			t.Errorf("took %+v", r)
		}
	})
}

func FuzzParseRetention(f *testing.F) {
	f.Add(rights.DefaultRetention())
	f.Fuzz(func(t *testing.T, document []byte) {
		if r, err := rights.ParseRetention(document); err == nil && (r.Version == "" || len(r.Rules) == 0) {
			t.Errorf("took %+v", r)
		}
	})
}
