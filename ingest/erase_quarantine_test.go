package ingest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meguri/ingest"
	"meguri/ingest/sqlstore"
	"meguri/internal/sqldb"
)

// inQuarantine are the rows that lie in quarantine now, by the file's name.
func inQuarantine(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "personal", "quarantine"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, "personal", "quarantine", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

// eraseQuarantine finds, erases and finds nothing more; it returns how many rows
// and whole files went.
func eraseQuarantine(t testing.TB, im *ingest.Importer, persons ...ingest.PersonID) (rows, files int) {
	t.Helper()
	e := &ingest.Eraser{Importer: im}
	count := func(dataset, _ string) {
		if rows++; dataset != "quarantine" {
			rows, files = rows-1, files+1
		}
	}
	if err := errors.Join(e.FindInQuarantine(t.Context(), persons, count), e.EraseFromQuarantine(t.Context(), persons)); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := e.FindInQuarantine(t.Context(), persons, func(string, string) { left++ }); err != nil || left > 0 {
		t.Fatalf("%d are left, %v", left, err)
	}
	return rows, files
}

// IC-9: a person's rows in quarantine go, whatever came in and however broken it
// is; those of others stay, can be retried, and go by their age as before.
func TestEraseFromQuarantine_EveryFormat(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	mapping := wayMapping(t, "p")
	persons, err := ingest.ParseMapping("persons.yaml", []byte("record: person\nsource: p\ncolumns: {id: {from: id}, sex: {from: sex}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	bad := func(path string, o ingest.Options, want int64) ingest.Summary {
		t.Helper()
		s, err := im.Import(t.Context(), path, o)
		if err != nil || s.Quarantined != want {
			t.Fatal(s, err)
		}
		return s
	}
	const at = "2024-06-03T10:00:00+09:00,"
	mixed := bad(csvOf(t, "id,kind,person,shop,yen,at,target",
		`T1,pay,u-1,"s,1",x,`+at,   // u-1's
		"T2,pay,u-2,s1,x,"+at,      // another's
		"T3,pay,u-12,s1,x,"+at,     // another's, whose number begins alike
		"T4,pay,u-1,s1",            // broken, and names u-1
		"T5,pay,u-2,u-1",           // broken, and names both
		"T6,pay,u-11;xu-1;u-1a,s1", // broken, and names others
		"T7,pay,,s1,x,"+at,         // nobody's
		"=T8,pay,u-2,u-1,x,"+at,    // another's, at a shop of that number
	), ingest.Options{Mapping: mapping}, 8)
	old := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(mixed.QuarantinePath, old, old); err != nil {
		t.Fatal(err)
	}
	whole := bad(csvOf(t, "id,kind,person,shop,yen,at,target", "T9,pay,u-1,s1,x,"+at), ingest.Options{Mapping: mapping}, 1)
	people := bad(csvOf(t, "id,sex", "u-1,boy", "u-2,boy"), ingest.Options{Mapping: persons}, 2)
	mitaka := bad(csvOf(t, strings.TrimSpace(mitakaHeader), strings.TrimSpace(mitakaRow("uid=u-1", "amount=x")), strings.TrimSpace(mitakaRow("uid=u-3", "amount=x"))),
		ingest.Options{Format: ingest.MitakaTransactions, Source: "p"}, 2)
	other := bad(csvOf(t, strings.TrimSpace(mitakaHeader), strings.TrimSpace(mitakaRow("uid=u-1", "amount=x"))),
		ingest.Options{Format: ingest.MitakaTransactions, Source: "elsewhere"}, 1) // another provider's u-1
	api, err := im.Add(t.Context(), "p", []ingest.Record{{ID: "A1", PersonID: "u-1"}, {ID: "A2", PersonID: "u-2"}})
	if err != nil || api.Quarantined != 2 {
		t.Fatal(api, err)
	}
	folder := filepath.Dir(mixed.QuarantinePath)
	for name, text := range map[string]string{"copy.csv": "u-1さんの行", "note.txt": "u-12", "q.csv": "file,line,field,problem,remedy,row\nf,1,,,,\"u-1,x\"\nf,2,,,,\"u-2,x\"\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	if rows, files := eraseQuarantine(t, im, ingest.PersonID{Source: "p", ID: "u-1"}); rows != 3+1+1+1+1+1 || files != 1 {
		t.Errorf("%d rows and %d files went", rows, files)
	}
	left := inQuarantine(t, dir)
	for _, gone := range []string{"copy.csv", filepath.Base(whole.QuarantinePath)} {
		if _, ok := left[gone]; ok {
			t.Errorf("%s is left", gone)
		}
	}
	for name, want := range map[string][]string{filepath.Base(mixed.QuarantinePath): {"T2", "T3", "T6", "T7", "=T8"}, filepath.Base(people.QuarantinePath): {"u-2"},
		filepath.Base(mitaka.QuarantinePath): {"u-3"}, filepath.Base(other.QuarantinePath): {"u-1"}, filepath.Base(api.QuarantinePath): {"u-2"},
		"note.txt": {"u-12"}, "q.csv": {"u-2"}} {
		for _, w := range want {
			if !strings.Contains(left[name], w) {
				t.Errorf("%s of another is gone from %s:\n%s", w, name, left[name])
			}
		}
		if name != filepath.Base(mixed.QuarantinePath) && name != "note.txt" && strings.Count(left[name], "\n") > 2 {
			t.Errorf("%s has more than one row:\n%s", name, left[name])
		}
	}
	for _, gone := range []string{"T1,", "T4", "T5"} {
		if strings.Contains(left[filepath.Base(mixed.QuarantinePath)], gone) {
			t.Errorf("%s is left", gone)
		}
	}
	if info, err := os.Stat(mixed.QuarantinePath); err != nil || !info.ModTime().Equal(old) || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's time and mode: %v, %v", info, err)
	}
	list, err := im.Quarantines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range list {
		if q.ImportID == mixed.ImportID && (q.Rows != 5 || q.State != ingest.QuarantineOpen) ||
			q.ImportID == whole.ImportID && (q.Rows != 0 || q.State != ingest.QuarantineDiscarded) {
			t.Errorf("the register says %+v", q)
		}
	}
	// What is left can be corrected as ever.
	text := strings.ReplaceAll(left[filepath.Base(mixed.QuarantinePath)], ",x,", ",9,")
	if err := os.WriteFile(mixed.QuarantinePath, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := im.Retry(t.Context(), mixed.ImportID, "", "窓口"); err != nil || s.Accepted != 4 || s.Quarantined != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
	if rows, files := eraseQuarantine(t, im); rows+files != 0 {
		t.Errorf("of nobody %d went", rows+files)
	}
}

// unfinish makes an import one that has not ended.
func unfinish(t testing.TB, dir, id string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(dir, "ingest.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store, err := sqlstore.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	all, err := store.Imports(t.Context(), 100)
	for _, i := range all {
		if i.ID == id {
			i.FinishedAt = time.Time{}
			err = errors.Join(err, store.PutImport(t.Context(), i))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file that an import may still write to is left alone, and said so.
func TestEraseFromQuarantine_NotUnderAnImport(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	s, err := im.Import(t.Context(), csvOf(t, "id,kind,person,shop,yen,at,target", "T1,pay,u-1,s1,x,2024-06-03T10:00:00+09:00,"), ingest.Options{Mapping: wayMapping(t, "p")})
	if err != nil {
		t.Fatal(err)
	}
	unfinish(t, dir, s.ImportID)
	e, who := &ingest.Eraser{Importer: im}, []ingest.PersonID{{Source: "p", ID: "u-1"}}
	if err := e.EraseFromQuarantine(t.Context(), who); !errors.Is(err, ingest.ErrImporting) {
		t.Errorf("got %v", err)
	}
	past := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(s.QuarantinePath, past, past); err != nil {
		t.Fatal(err)
	}
	if rows, _ := eraseQuarantine(t, im, who...); rows != 1 {
		t.Errorf("%d rows went", rows)
	}
}

// Whatever the rows are, no row of the person is left and none of others went.
func TestEraseFromQuarantine_Property(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("file,line,field,problem,remedy,row\n")
		mine, others := 0, []string{}
		for i := range rapid.IntRange(1, 9).Draw(t, "rows") {
			row := fmt.Sprintf("T%d,%s", i, rapid.StringMatching(`[a-z ,"';\n]{0,6}`).Draw(t, "text"))
			switch rapid.IntRange(0, 2).Draw(t, "whose") {
			case 0:
				mine++
				row += ",u-1," + rapid.StringMatching(`[ ,;"]{0,3}`).Draw(t, "after")
			case 1:
				row += ",u-" + rapid.StringMatching(`1[0-9a-z]|[2-9]`).Draw(t, "other")
				others = append(others, row)
			default:
				others = append(others, row)
			}
			fmt.Fprintf(&b, "f.csv,%d,,,,\"%s\"\n", i+1, strings.ReplaceAll(row, `"`, `""`))
		}
		path := filepath.Join(dir, "personal", "quarantine", "copy.csv")
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		e, who, found := &ingest.Eraser{Importer: im}, []ingest.PersonID{{Source: "p", ID: "u-1"}}, 0
		if err := e.FindInQuarantine(t.Context(), who, func(string, string) { found++ }); err != nil || found != mine {
			t.Fatalf("%d of %d rows would go, %v", found, mine, err)
		}
		if err := e.EraseFromQuarantine(t.Context(), who); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil && (!errors.Is(err, os.ErrNotExist) || len(others) > 0) {
			t.Fatal(err)
		}
		for _, row := range others {
			if !strings.Contains(string(text), strings.ReplaceAll(row, `"`, `""`)) {
				t.Fatalf("%q of another is gone from %q", row, text)
			}
		}
		if strings.Contains(string(text), "u-1,") {
			t.Fatalf("a row is left in %q", text)
		}
	})
}
