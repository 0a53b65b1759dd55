package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/ledger/registry"
	"meguri/reports"
)

func (s *server) mountPages() {
	s.handle("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	s.handle("GET /readyz", s.ready)
	s.handle("GET /metrics", s.metrics.handler.ServeHTTP)
	s.handle("GET /static/*", s.static())
	s.mountManuals()

	s.handle("GET /login", func(w http.ResponseWriter, r *http.Request) { s.loginForm(w, r, "", http.StatusOK) })
	s.handle("POST /login", s.login)
	s.handle("POST /logout", s.logout)
	s.handle("GET /", s.home)
	s.handle("GET /ebpm", s.ebpm)
	s.handle("GET /ebpm/{table}.csv", s.ebpmCSV)
	s.handle("GET /office/releases", s.releases)
	s.handle("GET /office/releases/{id}", s.releaseReasons)
	s.handle("GET /office/releases/{id}.json", s.releaseReasonsJSON)
	s.handle("GET /shops", s.shops)
	s.handle("GET /shops/{id}/report", s.shopReport)
	s.handle("GET /shops/{id}/report.pdf", s.shopPDF)
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.Ready(r.Context()); err != nil {
		s.Logger.WarnContext(r.Context(), "not ready", "request_id", requestOf(r).id, "error", err.Error())
		s.fail(w, r, errNotReady)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

// static serves the style sheets. They change only with the program.
func (s *server) static() http.HandlerFunc {
	own, err := fs.Sub(files, "static")
	if err != nil {
		panic("api: " + err.Error()) // the folder is part of the program
	}
	theirs, err := fs.Sub(reports.Static, "static")
	if err != nil {
		panic("api: " + err.Error())
	}
	servers := []struct {
		files  fs.FS
		server http.Handler
	}{{own, http.FileServerFS(own)}, {theirs, http.FileServerFS(theirs)}}
	return func(w http.ResponseWriter, r *http.Request) {
		name := chi.URLParam(r, "*")
		for _, f := range servers {
			if info, err := fs.Stat(f.files, name); err == nil && !info.IsDir() {
				w.Header().Set("Cache-Control", "public, max-age=3600")
				http.StripPrefix("/static", f.server).ServeHTTP(w, r)
				return
			}
		}
		s.fail(w, r, errNoPage)
	}
}

type visitorKey struct{}

// visitor is the member of staff who opened a page.
type visitor struct {
	registry.Staff
	csrf string
}

func visitorOf(r *http.Request) visitor {
	v, _ := r.Context().Value(visitorKey{}).(visitor)
	return v
}

// withRole opens a page to the roles that are listed for it. Nobody else
// learns whether the page exists.
func (s *server) withRole(roles []registry.Role, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visitor(r)
		if errors.Is(err, errNoSession) && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		requestOf(r).caller = "staff:" + string(v.Role)
		r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
		if len(roles) > 0 && !slices.Contains(roles, v.Role) {
			s.fail(w, r, errNoPage)
			return
		}
		if r.Method == http.MethodPost && !sameSecret(v.csrf, r.PostFormValue("csrf")) {
			s.fail(w, r, errForm)
			return
		}
		rememberLang(w, r)
		h(w, r)
	}
}

func (s *server) visitor(r *http.Request) (visitor, error) {
	session, ok := s.sessions.find(r)
	if !ok {
		return visitor{}, errNoSession
	}
	staff, err := s.Registry.Staff(r.Context(), session.login)
	if errors.Is(err, registry.ErrNotFound) { // deleted since the login
		return visitor{}, errNoSession
	}
	return visitor{staff, session.csrf}, err
}

// rememberLang keeps a language that the address chose.
func rememberLang(w http.ResponseWriter, r *http.Request) {
	if lang := r.URL.Query().Get("lang"); lang == "ja" || lang == "en" {
		setCookie(w, r, langCookie, lang, 365*24*time.Hour)
	}
}

// page writes what draw draws, whole or not at all.
func (s *server) page(w http.ResponseWriter, r *http.Request, status int, contentType string, draw func(io.Writer) error) {
	var b bytes.Buffer
	if err := draw(&b); err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

const (
	typeHTML = "text/html; charset=utf-8"
	typeCSV  = "text/csv; charset=utf-8"
	typePDF  = "application/pdf"
)

// problemPage is a problem for people. Drawing it may not fail with the same
// fault again, so what is left then is plain words.
func (s *server) problemPage(w http.ResponseWriter, r *http.Request, p row) {
	v, lang := visitorOf(r), langOf(r)
	var b bytes.Buffer
	err := reports.Problem(&b, reports.ProblemPage{
		Lang: lang, Demo: s.Demo, City: s.City, User: v.Login, CSRF: v.csrf,
		Status: p.status, Title: p.title.in(lang), Detail: p.help.in(lang),
	})
	if err != nil {
		http.Error(w, p.title.in(lang), p.status)
		return
	}
	w.Header().Set("Content-Type", typeHTML)
	w.WriteHeader(p.status)
	_, _ = b.WriteTo(w)
}

// loginForm shows the form. Its csrf value stands in a cookie too: a form that
// another site sends has no cookie of ours with it.
func (s *server) loginForm(w http.ResponseWriter, r *http.Request, failed string, status int) {
	rememberLang(w, r)
	token := NewToken()
	setCookie(w, r, loginCookie, token, time.Hour)
	next := r.URL.Query().Get("next")
	if r.Method == http.MethodPost {
		next = r.PostFormValue("next")
	}
	s.page(w, r, status, typeHTML, func(b io.Writer) error {
		return reports.Login(b, reports.LoginPage{Lang: langOf(r), Demo: s.Demo, City: s.City, CSRF: token,
			Next: localPath(next), Error: failed})
	})
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie(loginCookie)
	if err != nil || !sameSecret(c.Value, r.PostFormValue("csrf")) {
		s.fail(w, r, errForm)
		return
	}
	login := r.PostFormValue("user")
	key := attemptKey(login, r)
	if !s.sessions.attempt(key) {
		s.fail(w, r, errTooManyLogins)
		return
	}
	staff, err := s.Registry.Staff(r.Context(), login)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		s.fail(w, r, err)
		return
	}
	right, err := s.sessions.verify(r.Context(), staff.PasswordHash, r.PostFormValue("password"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if !right {
		wrong := text{"ユーザー名かパスワードが違います。", "The user name or the password is wrong."}
		s.loginForm(w, r, wrong.in(langOf(r)), http.StatusUnauthorized)
		return
	}
	s.sessions.succeeded(key)
	s.sessions.close(r) // whoever used this browser before
	setCookie(w, r, loginCookie, "", 0)
	setCookie(w, r, sessionCookie, s.sessions.open(login), sessionLife)
	http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
}

func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	s.sessions.close(r)
	setCookie(w, r, sessionCookie, "", 0)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// navigation are the pages that links lead to. Whether a visitor sees one is
// for pageRoles to say.
var navigation = []struct {
	path       string
	text, note text
}{
	{"/ebpm", text{"統計ダッシュボード", "Dashboard"}, text{"利用額・利用者・リピートを、地域全体で見ます。", "Use, users and repeat visits across the region."}},
	{"/shops", text{"店舗レポート", "Shop reports"}, text{"店舗ごとのレポートとPDFです。", "A report and a PDF for each shop."}},
	{"/office/releases", text{"公表の記録", "Releases"}, text{"公表した表と、秘匿の理由です。", "What was released, and why cells are suppressed."}},
	{"/docs/", text{"API文書", "API documentation"}, text{"ウォレット、決済データ、統計のAPIです。", "The wallet, payment-data and statistics APIs."}},
}

func links(r *http.Request) []reports.Link {
	var list []reports.Link
	for _, n := range navigation {
		roles, page := pageRoles["GET "+n.path]
		if page && !slices.Contains(roles, visitorOf(r).Role) {
			continue
		}
		list = append(list, reports.Link{Href: n.path, Text: n.text.in(langOf(r)), Note: n.note.in(langOf(r)),
			Current: strings.HasPrefix(r.URL.Path, n.path)})
	}
	return list
}

func (s *server) home(w http.ResponseWriter, r *http.Request) {
	v := visitorOf(r)
	s.page(w, r, http.StatusOK, typeHTML, func(b io.Writer) error {
		return reports.Home(b, reports.HomePage{Lang: langOf(r), Demo: s.Demo, City: s.City, User: v.Login, CSRF: v.csrf, Links: links(r)})
	})
}

func (s *server) options(r *http.Request) reports.Options {
	v := visitorOf(r)
	from, to := s.Period()
	return reports.Options{Lang: langOf(r), Demo: s.Demo, City: s.City, Programme: s.Programme, From: from, To: to,
		User: v.Login, CSRF: v.csrf, Nav: links(r)}
}

func (s *server) ebpm(w http.ResponseWriter, r *http.Request) {
	o := s.options(r)
	o.Links.CSV = func(q analytics.Query) string { return "/ebpm/" + tableName(q) + ".csv" }
	page, err := reports.BuildEBPM(r.Context(), s.Gate, o)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.page(w, r, http.StatusOK, typeHTML, page.HTML)
}

// tableName names the table behind a chart: its metric and its dimensions. The
// window is the page's own.
func tableName(q analytics.Query) string {
	return strings.Join(append([]string{q.Metric}, q.By...), "-")
}

func (s *server) ebpmCSV(w http.ResponseWriter, r *http.Request) {
	from, to := s.Period()
	parts := strings.Split(chi.URLParam(r, "table"), "-")
	q := analytics.Query{Metric: parts[0], By: parts[1:], From: from, To: to}
	released, err := s.Gate.Release(r.Context(), q, disclosure.City)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+reports.CSVName(released)+`"`)
	s.page(w, r, http.StatusOK, typeCSV, func(b io.Writer) error { return reports.CSV(b, released, langOf(r)) })
}

// shopsOf are the shops whose reports a visitor may open: all for the office,
// its own for a shop.
func (s *server) shopsOf(ctx context.Context, v visitor) ([]registry.Shop, error) {
	if v.Role != registry.Office {
		shop, err := s.Registry.Shop(ctx, v.Shop)
		return []registry.Shop{shop}, err
	}
	const page = 1000
	var all []registry.Shop
	for after := ""; ; after = all[len(all)-1].ID {
		shops, err := s.Registry.Shops(ctx, after, page)
		if err != nil {
			return nil, err
		}
		all = append(all, shops...)
		if len(shops) < page {
			return all, nil
		}
	}
}

func (s *server) shops(w http.ResponseWriter, r *http.Request) {
	v := visitorOf(r)
	shops, err := s.shopsOf(r.Context(), v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	list := reports.ShopListPage{Lang: langOf(r), Demo: s.Demo, City: s.City, User: v.Login, CSRF: v.csrf, Nav: links(r)}
	for _, shop := range shops {
		href := "/shops/" + url.PathEscape(shop.ID) + "/report"
		list.Shops = append(list.Shops, reports.ShopItem{Name: shop.Name, Industry: shop.Industry, Href: href, PDF: href + ".pdf"})
	}
	s.page(w, r, http.StatusOK, typeHTML, func(b io.Writer) error { return reports.ShopList(b, list) })
}

// shop builds the report of the shop that the address names. A shop that is
// not the visitor's own is not found, as one that does not exist.
func (s *server) shop(r *http.Request) (reports.Shop, error) {
	v, id := visitorOf(r), chi.URLParam(r, "id")
	if v.Role != registry.Office && (v.Shop == "" || id != v.Shop) {
		return reports.Shop{}, errNoPage
	}
	shop, err := s.Registry.Shop(r.Context(), id)
	if err != nil {
		return reports.Shop{}, err
	}
	o := s.options(r)
	o.Links.PDF = "/shops/" + url.PathEscape(id) + "/report.pdf"
	return reports.BuildShop(r.Context(), s.Gate, shop.ID, shop.Name, shop.Industry, o)
}

func (s *server) shopReport(w http.ResponseWriter, r *http.Request) {
	report, err := s.shop(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.page(w, r, http.StatusOK, typeHTML, report.HTML)
}

func (s *server) shopPDF(w http.ResponseWriter, r *http.Request) {
	report, err := s.shop(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Disposition", `inline; filename="report.pdf"`)
	s.page(w, r, http.StatusOK, typePDF, report.PDF)
}
