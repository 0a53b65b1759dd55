package safety_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"meguri/ingest/consent/safety"
)

var update = flag.Bool("update", false, "write the generated parts of the documents anew")

var now = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// site is an installation in which every measure is met or stated.
func site(t *testing.T) safety.Site {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{".": 0o750, "personal": 0o700, "keys": 0o700, "lake": 0o750} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(path, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	s := safety.Site{Dir: dir, Listen: "127.0.0.1:8080", Now: now, Stated: map[string]safety.Statement{}, Profiles: map[string]safety.Profile{},
		Ask: map[string]func(context.Context) (safety.Finding, error){}}
	for _, m := range safety.Measures {
		switch {
		case m.Asked:
			s.Ask[m.ID] = func(context.Context) (safety.Finding, error) { return safety.Finding{Met: true}, nil }
		case !m.Live():
			s.Stated[m.ID] = safety.Statement{By: "田中", On: "2026-09-01"}
		}
	}
	return s
}

func examine(t *testing.T, s safety.Site) (unmet []string) {
	t.Helper()
	r, err := safety.Examine(context.Background(), s, "ja")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Results {
		if x.Must && x.State != safety.Met && x.State != safety.IsStated {
			unmet = append(unmet, x.ID)
		}
	}
	if r.Unmet != len(unmet) {
		t.Errorf("%d are counted of %v", r.Unmet, unmet)
	}
	return unmet
}

// Each live measure sees the one thing that is wrong.
func TestExamine_SeesWhatIsWrong(t *testing.T) {
	if got := examine(t, site(t)); len(got) != 0 {
		t.Fatalf("unmet where all is right: %v", got)
	}
	write := func(s safety.Site, name string, mode os.FileMode) string {
		path := filepath.Join(s.Dir, name)
		if err := errors.Join(os.WriteFile(path, nil, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		spoil func(*safety.Site)
		want  string
	}{
		"personal open to the group": {func(s *safety.Site) { _ = os.Chmod(filepath.Join(s.Dir, "personal"), 0o750) }, "folders"},
		"data folder open to all":    {func(s *safety.Site) { _ = os.Chmod(s.Dir, 0o755) }, "folders"},
		"keyset open to the group":   {func(s *safety.Site) { write(*s, "keys/keyset.json", 0o640) }, "folders"},
		"lake inside keys": {func(s *safety.Site) {
			_ = errors.Join(os.Remove(filepath.Join(s.Dir, "lake")), os.Symlink("keys", filepath.Join(s.Dir, "lake")))
		}, "apart"},
		"all addresses":          {func(s *safety.Site) { s.Listen = ":8080" }, "listen"},
		"another address":        {func(s *safety.Site) { s.Listen = "192.0.2.1:8080" }, "listen"},
		"PostgreSQL, no TLS":     {func(s *safety.Site) { s.Database = "postgres://u@db.example/m?sslmode=disable" }, "database"},
		"PostgreSQL, by default": {func(s *safety.Site) { s.Database = "postgres://u@db.example/m" }, "database"},
		"PostgreSQL, unverified": {func(s *safety.Site) { s.Database = "postgres://u@db.example/m?sslmode=require" }, "database"},
		"passphrase open":        {func(s *safety.Site) { s.PassphraseFile = write(*s, "../pass-open", 0o644) }, "passphrase"},
		"passphrase by the keys": {func(s *safety.Site) { s.PassphraseFile = write(*s, "pass", 0o600) }, "passphrase"},
		"passphrase not there":   {func(s *safety.Site) { s.PassphraseFile = filepath.Join(s.Dir, "none") }, "passphrase"},
		"registry basic":         {func(s *safety.Site) { s.Profiles["registry"] = safety.Basic }, "profiles"},
		"not stated":             {func(s *safety.Site) { delete(s.Stated, "training") }, "training"},
		"stated long ago":        {func(s *safety.Site) { s.Stated["training"] = safety.Statement{By: "田中", On: "2025-09-30"} }, "training"},
		"stated of the future":   {func(s *safety.Site) { s.Stated["training"] = safety.Statement{By: "田中", On: "2026-10-02"} }, "training"},
		"asked and not met": {func(s *safety.Site) {
			s.Ask["requests"] = func(context.Context) (safety.Finding, error) { return safety.Finding{}, nil }
		}, "requests"},
	} {
		s := site(t)
		c.spoil(&s)
		if got := examine(t, s); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: unmet %v, want %s", name, got, c.want)
		}
	}
	for name, change := range map[string]func(*safety.Site){
		"PostgreSQL verified": func(s *safety.Site) { s.Database = "postgres://u@db.example/m?sslmode=verify-full" },
		"PostgreSQL here":     func(s *safety.Site) { s.Database = "postgres://u@localhost/m" },
		"IPv6 loopback":       func(s *safety.Site) { s.Listen = "[::1]:8080" },
		"passphrase apart":    func(s *safety.Site) { s.PassphraseFile = write(*s, "../pass-good", 0o600) },
		"optional missing":    func(s *safety.Site) { delete(s.Stated, "media") },
	} {
		s := site(t)
		change(&s)
		if got := examine(t, s); len(got) != 0 {
			t.Errorf("%s: unmet %v", name, got)
		}
	}
}

// IC-11: nothing that handles raw personal data starts with the basic profile.
func TestRefuse(t *testing.T) {
	for _, c := range safety.Components {
		s := site(t)
		s.Profiles[c.ID] = safety.Basic
		if err := safety.Refuse(s); errors.Is(err, safety.ErrUnsafe) != c.Raw || c.Raw && !strings.Contains(err.Error(), c.ID) {
			t.Errorf("%s basic: got %v", c.ID, err)
		}
		s.Profiles[c.ID] = safety.Enhanced
		if err := safety.Refuse(s); err != nil {
			t.Errorf("%s enhanced: got %v", c.ID, err)
		}
	}
	for name, change := range map[string]func(*safety.Site){
		"a component that is not there": func(s *safety.Site) { s.Profiles["legder"] = safety.Enhanced },
		"a profile that is not there":   func(s *safety.Site) { s.Profiles["ledger"] = "good" },
		"a measure that is not there":   func(s *safety.Site) { s.Stated["disk"] = safety.Statement{By: "田中", On: "2026-09-01"} },
		"a live measure, stated":        func(s *safety.Site) { s.Stated["folders"] = safety.Statement{By: "田中", On: "2026-09-01"} },
		"nobody":                        func(s *safety.Site) { s.Stated["nda"] = safety.Statement{On: "2026-09-01"} },
	} {
		s := site(t)
		change(&s)
		if err := safety.Refuse(s); !errors.Is(err, safety.ErrConfig) {
			t.Errorf("%s: got %v, want ErrConfig", name, err)
		}
	}
}

func TestMeasures_AreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range safety.Measures {
		if seen[m.ID] || m.Ja == "" || m.En == "" || m.Section == "" {
			t.Errorf("%s stands twice, or lacks words", m.ID)
		}
		seen[m.ID] = true
	}
}

// The tables in the documents are those of the program.
func TestDocs_AreInSync(t *testing.T) {
	for file, tables := range map[string]map[string]string{
		"README.md":   {"profiles": safety.Profiles()},
		"basic.md":    {"basic": safety.Table(safety.Basic)},
		"enhanced.md": {"enhanced": safety.Table(safety.Enhanced)},
	} {
		path := filepath.Join("../../../docs/safety", file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, table := range tables {
			begin, end := "<!-- 自動生成 "+name+" -->\n", "<!-- 自動生成ここまで -->"
			head, rest, ok1 := strings.Cut(string(text), begin)
			old, tail, ok2 := strings.Cut(rest, end)
			switch {
			case !ok1 || !ok2:
				t.Errorf("%s has no place for %s", file, name)
			case *update:
				if err := os.WriteFile(path, []byte(head+begin+table+end+tail), 0o644); err != nil {
					t.Fatal(err)
				}
			case old != table:
				t.Errorf("%s: the table %s is not the program's: go test ./ingest/consent/safety -update", file, name)
			}
		}
	}
}
