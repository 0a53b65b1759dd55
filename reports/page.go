package reports

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"

	"meguri/analytics"
)

// Static holds the style sheet at static/meguri.css; pages ask for it at
// /static/meguri.css.
//
//go:embed static
var Static embed.FS

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

// Shell is what stands around every page. The login form posts user,
// password, next and csrf to /login; the logout form posts csrf to /logout.
type Shell struct {
	tongue
	Demo   bool
	City   string
	Title  string
	User   string
	CSRF   string
	Nav    []Link
	Switch string
}

func shell(lang string, s Shell) Shell {
	s.tongue = "ja"
	if lang == "en" {
		s.tongue = "en"
	}
	if s.Switch == "" {
		s.Switch = "?lang=" + s.Other()
	}
	return s
}

// Other is the language that the switch leads to.
func (s Shell) Other() string {
	if s.tongue == "en" {
		return "ja"
	}
	return "en"
}

// Industry is the name of an industry in the language of the page.
func (s Shell) Industry(code string) string {
	return analytics.Label("industry", code, string(s.tongue))
}

// render writes a page whole or not at all.
func render(w io.Writer, name string, page any) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, page); err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	_, err := b.WriteTo(w)
	return err
}

// LoginPage is the form to log in.
type LoginPage struct {
	Lang   string
	Demo   bool
	City   string
	CSRF   string
	Next   string // where to go afterwards
	User   string // what was typed before
	Error  string // why it failed; empty at first
	Switch string
}

// Login writes the login page.
func Login(w io.Writer, p LoginPage) error {
	s := shell(p.Lang, Shell{Demo: p.Demo, City: p.City, Switch: p.Switch})
	s.Title = s.T("login.title")
	return render(w, "login.html", struct {
		Shell
		Form LoginPage
	}{s, p})
}

// HomePage is the page after login: what this user can open.
type HomePage struct {
	Lang   string
	Demo   bool
	City   string
	User   string
	CSRF   string
	Links  []Link
	Switch string
}

// Home writes the home page.
func Home(w io.Writer, p HomePage) error {
	s := shell(p.Lang, Shell{Demo: p.Demo, City: p.City, User: p.User, CSRF: p.CSRF, Switch: p.Switch})
	s.Title = s.T("home.title")
	return render(w, "home.html", struct {
		Shell
		Links []Link
	}{s, p.Links})
}

// ProblemPage says what went wrong and what to do.
type ProblemPage struct {
	Lang   string
	Demo   bool
	City   string
	User   string
	CSRF   string
	Status int
	Title  string
	Detail string
	Home   string // where the way back leads; default /
}

// Problem writes the page for an error.
func Problem(w io.Writer, p ProblemPage) error {
	if p.Home == "" {
		p.Home = "/"
	}
	s := shell(p.Lang, Shell{Demo: p.Demo, City: p.City, User: p.User, CSRF: p.CSRF, Title: p.Title})
	return render(w, "problem.html", struct {
		Shell
		Problem ProblemPage
	}{s, p})
}

// ShopItem is a shop of the list.
type ShopItem struct {
	Name     string
	Industry string // its code
	Href     string
	PDF      string
}

// ShopListPage lists the shops whose reports this user can open.
type ShopListPage struct {
	Lang   string
	Demo   bool
	City   string
	User   string
	CSRF   string
	Nav    []Link
	Shops  []ShopItem
	Switch string
}

// ShopList writes the list of shops.
func ShopList(w io.Writer, p ShopListPage) error {
	s := shell(p.Lang, Shell{Demo: p.Demo, City: p.City, User: p.User, CSRF: p.CSRF, Nav: p.Nav, Switch: p.Switch})
	s.Title = s.T("shops.title")
	return render(w, "shops.html", struct {
		Shell
		Shops []ShopItem
	}{s, p.Shops})
}
