package api

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"meguri/ledger/registry"
)

func TestLogin(t *testing.T) {
	s := newSite(t)
	if a := s.browse("/ebpm?lang=en"); a.status != 303 || a.header.Get("Location") != "/login?next=%2Febpm%3Flang%3Den" {
		t.Fatalf("a stranger got %d %s", a.status, a.header.Get("Location"))
	}
	form := s.browse("/login?next=%2Febpm")
	a := s.post("/login", url.Values{"user": {"city"}, "password": {password}, "csrf": {csrfOf(t, form)}, "next": {"/ebpm"}})
	if a.status != 303 || a.header.Get("Location") != "/ebpm" {
		t.Fatalf("login: %d %s", a.status, a.body)
	}
	for _, c := range a.header.Values("Set-Cookie") {
		if !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") {
			t.Errorf("cookie %s", c)
		}
		if strings.Contains(c, "Secure") {
			t.Errorf("a secure cookie over plain HTTP is never sent back: %s", c)
		}
	}
	if a := s.browse("/ebpm"); a.status != 200 {
		t.Fatalf("/ebpm: %d %s", a.status, a.body)
	}
	if strings.Contains(s.log.String(), password) || strings.Contains(s.log.String(), `"city"`) {
		t.Error("the log holds a password or a login")
	}
}

func TestCookiesAreSecureBehindTLS(t *testing.T) {
	s := newSite(t)
	a := s.do(call{method: "GET", path: "/login", header: http.Header{"X-Forwarded-Proto": {"https"}}})
	if c := a.header.Get("Set-Cookie"); !strings.Contains(c, "; Secure") {
		t.Errorf("cookie %s", c)
	}
	if a.header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS")
	}
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "", "evil", "/a\nb"} {
		if got := localPath(next); got != "/" {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	if got := localPath("/shops/s-001/report?lang=en"); got != "/shops/s-001/report?lang=en" {
		t.Errorf("got %q", got)
	}
}

func TestLoginNeedsItsOwnForm(t *testing.T) {
	s := newSite(t)
	s.browse("/login")
	if a := s.post("/login", url.Values{"user": {"city"}, "password": {password}, "csrf": {"made-up"}}); a.status != 403 {
		t.Errorf("status %d", a.status)
	}
	if a := s.post("/login", url.Values{"user": {"city"}, "password": {password}}); a.status != 403 {
		t.Errorf("status %d", a.status)
	}
}

func TestWrongPasswordsAreCounted(t *testing.T) {
	s := newSite(t)
	for range loginAttempts {
		if a := s.login("city", "wrong"); a.status != 401 || strings.Contains(string(a.body), "wrong\"") {
			t.Fatalf("status %d %s", a.status, a.body)
		}
	}
	a := s.login("city", password)
	if a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Fatalf("the right password after too many wrong ones: %d", a.status)
	}
	s.as("office") // another login is not held up
	s.clock.add(loginWindow + time.Second)
	s.as("city")
}

func TestUnknownLoginLooksLikeAWrongPassword(t *testing.T) {
	s := newSite(t)
	known, unknown := s.login("city", "wrong"), s.login("nobody", "wrong")
	strip := func(a answer) string { return csrfField.ReplaceAllString(string(a.body), "") }
	if known.status != unknown.status || strip(known) != strip(unknown) {
		t.Error("the two answers differ")
	}
}

func TestLogout(t *testing.T) {
	s := newSite(t).as("office")
	home := s.browse("/")
	if a := s.post("/logout", url.Values{"csrf": {"made-up"}}); a.status != 403 {
		t.Errorf("logout from elsewhere: %d", a.status)
	}
	if a := s.post("/logout", url.Values{"csrf": {csrfOf(t, home)}}); a.status != 303 {
		t.Errorf("logout: %d", a.status)
	}
	if a := s.browse("/"); a.status != 303 {
		t.Errorf("still logged in: %d", a.status)
	}
}

func TestSessionsEnd(t *testing.T) {
	s := newSite(t).as("office")
	s.clock.add(sessionLife - time.Second)
	if a := s.browse("/"); a.status != 200 {
		t.Errorf("before the end: %d", a.status)
	}
	s.clock.add(time.Second)
	if a := s.browse("/"); a.status != 303 {
		t.Errorf("after the end: %d", a.status)
	}
}

func TestADeletedLoginIsOutAtOnce(t *testing.T) {
	s := newSite(t).as("office")
	_ = s.DeleteStaff(t.Context(), "office")
	if a := s.browse("/shops"); a.status != 303 {
		t.Errorf("status %d", a.status)
	}
}

func TestRolesOpenTheirPagesAndNoOther(t *testing.T) {
	pages := []struct {
		path string
		may  []registry.Role
	}{
		{"/", []registry.Role{"office", "city", "shop"}},
		{"/ebpm", []registry.Role{"office", "city"}},
		{"/ebpm/M03-age_band-sex.csv", []registry.Role{"office", "city"}},
		{"/shops", []registry.Role{"office", "shop"}},
		{"/shops/s-001/report", []registry.Role{"office", "shop"}},
		{"/shops/s-001/report.pdf", []registry.Role{"office", "shop"}},
		{"/shops/s-002/report", []registry.Role{"office"}},
		{"/shops/s-002/report.pdf", []registry.Role{"office"}},
		{"/office/releases", []registry.Role{"office"}},
		{"/office/releases/1", []registry.Role{"office"}},
		{"/office/releases/1.json", []registry.Role{"office"}},
		{"/office/releases/99", nil},
		{"/shops/s-999/report", nil},
		{"/admin", nil},
	}
	for _, who := range []struct {
		login string
		role  registry.Role
	}{{"office", registry.Office}, {"city", registry.City}, {"bakery", registry.Shopkeeper}} {
		s := newSite(t).as(who.login)
		for _, p := range pages {
			want := 404
			for _, role := range p.may {
				if role == who.role {
					want = 200
				}
			}
			a := s.browse(p.path)
			if a.status != want {
				t.Errorf("%s at %s: %d, want %d", who.login, p.path, a.status, want)
			}
			if want == 404 && !strings.Contains(a.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: a problem for people is %s", p.path, a.header.Get("Content-Type"))
			}
		}
	}
}

func TestShopSeesOnlyItself(t *testing.T) {
	s := newSite(t).as("bakery")
	a := s.browse("/shops")
	if !strings.Contains(string(a.body), "まちのパン屋") || strings.Contains(string(a.body), "駅前喫茶") {
		t.Errorf("%s", a.body)
	}
	if home := s.browse("/"); strings.Contains(string(home.body), "/ebpm") {
		t.Error("a shop's home page leads to the dashboard")
	}
}

var (
	href   = regexp.MustCompile(`(?:href|action)="(/[^"#?]*)`)
	inline = regexp.MustCompile(`<script|\sstyle="|\son[a-z]+="|<style|https?://[^"]*"`)
)

// TestLinksOfPagesLeadSomewhere follows every link of every page once.
func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	s := newSite(t).as("office")
	queue, seen := []string{"/", "/docs/", "/problems/"}, map[string]bool{"/logout": true}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		a := s.browse(path)
		if a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			continue
		}
		if bad := inline.FindString(strings.ReplaceAll(string(a.body), `xmlns="http://www.w3.org/2000/svg"`, "")); bad != "" {
			t.Errorf("%s has what its policy forbids: %s", path, bad)
		}
		for _, m := range href.FindAllStringSubmatch(string(a.body), -1) {
			queue = append(queue, m[1])
		}
	}
	for _, path := range []string{"/ebpm", "/shops/s-001/report.pdf", "/ebpm/M03-age_band-sex.csv", "/docs/wallet", "/openapi/wallet.yaml", "/static/docs.css", "/static/meguri.css"} {
		if !seen[path] {
			t.Errorf("nothing leads to %s", path)
		}
	}
}

func TestLanguageIsRemembered(t *testing.T) {
	s := newSite(t).as("city")
	if a := s.browse("/"); !strings.Contains(string(a.body), `<html lang="ja">`) {
		t.Error("the first language is not Japanese")
	}
	s.browse("/?lang=en")
	if a := s.browse("/"); !strings.Contains(string(a.body), `<html lang="en">`) {
		t.Error("the choice was forgotten")
	}
}

func TestHeadAsksWithoutABody(t *testing.T) {
	s := newSite(t)
	if a := s.do(call{method: "HEAD", path: "/docs/"}); a.status != 200 || len(a.body) != 0 {
		t.Errorf("%d with %d bytes", a.status, len(a.body))
	}
}

func TestManualsTellEverything(t *testing.T) {
	s := newSite(t)
	for _, m := range s.server.manuals {
		for _, lang := range []string{"ja", "en"} {
			body := string(s.browse("/docs/" + m.Name + "?lang=" + lang).body)
			for _, op := range s.server.operations {
				if strings.HasPrefix(op.route.Path, m.prefix) {
					for _, want := range append([]string{`id="` + op.id + `"`, op.route.Path}, op.scopes...) {
						if !strings.Contains(body, want) {
							t.Errorf("%s: no %s", m.Name, want)
						}
					}
				}
			}
			for _, schema := range m.Schemas {
				if !strings.Contains(body, `id="schema-`+schema.Name+`"`) {
					t.Errorf("%s: no schema %s", m.Name, schema.Name)
				}
			}
			for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(body, -1) {
				if !strings.Contains(body, `id="`+m[1]+`"`) {
					t.Errorf("a link leads to #%s, which is not there", m[1])
				}
			}
		}
		if a := s.browse("/openapi/" + m.Name + ".yaml"); string(a.body) != string(m.yaml) {
			t.Errorf("%s.yaml is not the contract", m.Name)
		}
	}
	if a := s.browse("/docs/nothing"); a.status != 404 {
		t.Errorf("status %d", a.status)
	}
}

func TestInLangPicksOneLanguage(t *testing.T) {
	for about, want := range map[string][2]string{
		"金額（円） / An amount in yen":             {"金額（円）", "An amount in yen"},
		"事業。 Programmes — what a city issues.": {"事業。", "Programmes — what a city issues."},
		"チャージ。\n二行目。\n\nCharges.\nMore.\n":     {"チャージ。二行目。", "Charges. More."},
		"Only English": {"Only English", "Only English"},
	} {
		if got := [2]string{inLang("ja", about), inLang("en", about)}; got != want {
			t.Errorf("%q: %q, want %q", about, got, want)
		}
	}
}

func TestPasswords(t *testing.T) {
	hash, err := HashPassword("ひみつ")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || !VerifyPassword(hash, "ひみつ") || VerifyPassword(hash, "ひみ") {
		t.Errorf("hash %s", hash)
	}
	if _, err := HashPassword(""); err == nil {
		t.Error("an empty password was taken")
	}
	for _, bad := range []string{"", "plain", "$argon2i$v=19$m=19456,t=2,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=2,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=0,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA", strings.Replace(hash, "v=19", "v=16", 1)} {
		if VerifyPassword(bad, "") || VerifyPassword(bad, "ひみつ") {
			t.Errorf("%q fits a password", bad)
		}
	}
}
