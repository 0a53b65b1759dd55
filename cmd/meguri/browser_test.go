package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "folder to write the documentation's pictures to")

// site is a running demo.
type site struct {
	address string
	logins  map[string]string
}

// startDemo starts a demo city that lives as long as the test.
func startDemo(t *testing.T, args ...string) site {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "address")
	cmd := meguri(t, filepath.Join(dir, "data"), append([]string{"demo", "--listen", "127.0.0.1:0", "--address-file", file}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo did not stop gracefully: %v\n%s", err, said.Bytes())
		}
	})
	for range 1200 {
		if address, err := os.ReadFile(file); err == nil {
			var state demoState
			text, err := os.ReadFile(filepath.Join(dir, "data", "demo.json"))
			if err == nil {
				err = json.Unmarshal(text, &state)
			}
			if err != nil {
				t.Fatal(err)
			}
			return site{address: string(address), logins: state.Logins}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the demo did not come up:\n%s", said.Bytes())
	return site{}
}

// watch collects what a browser complains about, and where it goes.
type watch struct {
	mu         sync.Mutex
	complaints []string
	hosts      []string
}

func (w *watch) see(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		w.complaints = append(w.complaints, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		w.complaints = append(w.complaints, e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Scheme != "data" && !slices.Contains(w.hosts, u.Host) {
			w.hosts = append(w.hosts, u.Host)
		}
	}
}

func openBrowser(t *testing.T) (context.Context, *watch) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Chromium is not installed, and in CI that is a failure")
		}
		t.Skip("Chromium is not installed: pages are not tried in a real browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("lang", "ja-JP"), chromedp.Flag("accept-lang", "ja"),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	w := &watch{}
	if err := chromedp.Do(ctx); err != nil { // starts the browser
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, w.see); err != nil {
		t.Fatal(err)
	}
	return ctx, w
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return v
}

func (s site) login(t *testing.T, ctx context.Context, who string) {
	t.Helper()
	do(t, ctx,
		chromedp.Navigate(s.address+"/login"),
		chromedp.SendKeys(chromedp.CSS("input[name=user]"), who),
		chromedp.SendKeys(chromedp.CSS("input[name=password]"), s.logins[who]))
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS("main button[type=submit]"))); err != nil {
		t.Fatal(err)
	}
}

func (s site) shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(*screenshots, name), picture, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// RR-12, RR-11, RP-5: an official and a shopkeeper look at their pages in a real
// browser: no complaint on the console, no other host, a table for each chart
// by keyboard, and each sees only what is theirs.
func TestBrowser(t *testing.T) {
	ctx, watch := openBrowser(t)
	args := []string{"--residents", "400", "--shops", "24", "--weeks", "6"}
	if *screenshots != "" {
		args = nil // the whole demo city
	}
	s := startDemo(t, args...)

	s.login(t, ctx, "city")
	do(t, ctx, chromedp.Navigate(s.address+"/ebpm"))
	text := evaluate[string](t, ctx, "document.body.innerText")
	for _, want := range []string{"デモデータ（架空）", "純利用額", "リピーター率", "業種", "秘匿"} {
		if !strings.Contains(text, want) {
			t.Errorf("the EBPM page does not say %s", want)
		}
	}
	if lang := evaluate[string](t, ctx, "document.documentElement.lang"); lang != "ja" {
		t.Errorf("the page's language is %q, want ja", lang)
	}
	figures := evaluate[int](t, ctx, "document.querySelectorAll('figure').length")
	tables := evaluate[int](t, ctx, "document.querySelectorAll('.panel details table').length")
	if figures < 5 || tables < figures {
		t.Errorf("%d charts have %d tables, want one for each of five or more", figures, tables)
	}
	if n := evaluate[int](t, ctx, "document.querySelectorAll('svg[role=img]:not([aria-label]):not([aria-labelledby])').length"); n > 0 {
		t.Errorf("%d pictures have no name", n)
	}
	s.shoot(t, ctx, "ebpm.png")
	// The first table opens with the keyboard.
	do(t, ctx, chromedp.Focus(chromedp.CSS(".panel details summary")), chromedp.KeyEvent("\r"))
	if !evaluate[bool](t, ctx, "document.querySelector('.panel details').open") {
		t.Error("Enter does not open a chart's table")
	}
	// Nothing is wider than a telephone.
	do(t, ctx, chromedp.EmulateViewport(320, 640), chromedp.Navigate(s.address+"/ebpm"))
	if wide := evaluate[int](t, ctx, "document.documentElement.scrollWidth"); wide > 320 {
		t.Errorf("the page is %d px wide on a screen of 320", wide)
	}
	do(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.address+"/ebpm?lang=en"))
	if text := evaluate[string](t, ctx, "document.body.innerText"); !strings.Contains(text, "Net amount used") || !strings.Contains(text, "デモデータ") {
		t.Error("the English page is not English, or does not say that it is a demo")
	}
	for _, page := range []string{"/docs/wallet", "/docs/paymentdata", "/docs/statistics", "/problems/", "/?lang=ja"} {
		do(t, ctx, chromedp.Navigate(s.address+page))
		if !strings.Contains(evaluate[string](t, ctx, "document.body.innerText"), "デモデータ（架空）") {
			t.Errorf("%s does not say that it is a demo", page)
		}
	}
	do(t, ctx, chromedp.Navigate(s.address+"/docs/paymentdata"))
	s.shoot(t, ctx, "api-documentation.png")

	// The shopkeeper sees the shop's own report, and nothing else.
	do(t, ctx, chromedp.Navigate(s.address+"/"))
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS("form[action='/logout'] button"))); err != nil {
		t.Fatal(err)
	}
	s.login(t, ctx, "shop")
	links := evaluate[[]string](t, ctx, "Array.from(document.querySelectorAll('main a')).map(a => a.getAttribute('href'))")
	if i := slices.IndexFunc(links, func(l string) bool { return strings.HasPrefix(l, "/shops") }); i < 0 {
		t.Fatalf("the shopkeeper's first page leads nowhere: %v", links)
	}
	do(t, ctx, chromedp.Navigate(s.address+"/shops"))
	reports := evaluate[[]string](t, ctx, "Array.from(document.querySelectorAll('main a')).map(a => a.getAttribute('href')).filter(h => h.endsWith('/report'))")
	if len(reports) != 1 {
		t.Fatalf("the shopkeeper sees %d reports, want one", len(reports))
	}
	do(t, ctx, chromedp.Navigate(s.address+reports[0]))
	if text := evaluate[string](t, ctx, "document.body.innerText"); !strings.Contains(text, "今期のまとめ") {
		t.Error("the report has no summary")
	}
	s.shoot(t, ctx, "shop-report.png")

	watch.mu.Lock()
	defer watch.mu.Unlock()
	if len(watch.complaints) > 0 {
		t.Errorf("the browser complains: %q", watch.complaints)
	}
	home, err := url.Parse(s.address)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(watch.hosts, []string{home.Host}) {
		t.Errorf("pages ask the hosts %v, want their own alone", watch.hosts)
	}

	// Other shops and the city's page are not the shop's; CSV and PDF are real.
	shop, office := s.session(t, "shop"), s.session(t, "office")
	for path, want := range map[string]int{"/ebpm": 404, "/shops/s-0024/report": 404, reports[0]: 200, reports[0] + ".pdf": 200} {
		if status, _ := get(t, shop, s.address+path); status != want {
			t.Errorf("shop: %s answers %d, want %d", path, status, want)
		}
	}
	_, pdf := get(t, shop, s.address+reports[0]+".pdf")
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Error("the report on paper is no PDF")
	}
	_, page := get(t, office, s.address+"/ebpm")
	at := bytes.Index(page, []byte(`.csv"`))
	if at < 0 {
		t.Fatal("the page has no CSV")
	}
	start := bytes.LastIndexByte(page[:at], '"') + 1
	status, csv := get(t, office, s.address+string(page[start:at+4]))
	if status != 200 || !bytes.HasPrefix(csv, []byte("\xef\xbb\xbf")) {
		t.Errorf("CSV: status %d, begins %q, want a byte order mark for spreadsheets", status, csv[:min(8, len(csv))])
	}
}

// session logs in without a browser.
func (s site) session(t *testing.T, who string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	_, page := get(t, client, s.address+"/login")
	_, rest, ok := strings.Cut(string(page), `name="csrf" value="`)
	token, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		t.Fatal("the login form has no CSRF token")
	}
	resp, err := client.PostForm(s.address+"/login", url.Values{"user": {who}, "password": {s.logins[who]}, "csrf": {token}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("login as %s: %d %v", who, resp.StatusCode, err)
	}
	return client
}

func get(t *testing.T, client *http.Client, address string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,*/*")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}
