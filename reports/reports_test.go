package reports

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

var update = flag.Bool("update", false, "write the golden files anew")

func options(lang string) Options {
	return Options{
		Lang: lang, Demo: true, City: "めぐり市", Programme: "めぐり市プレミアム商品券", From: "2026-10-01", To: "2026-11-30",
		User: "市政策課", CSRF: "token",
		Nav: []Link{{Href: "/", Text: "ホーム"}, {Href: "/dashboard", Text: "EBPMダッシュボード", Current: true}, {Href: "/shops", Text: "店舗レポート"}},
		Links: Links{
			CSV: func(q analytics.Query) string {
				return "/v1/statistics/" + q.Metric + ".csv?by=" + strings.Join(q.By, ",")
			},
			PDF: "/shops/s-001.pdf",
		},
	}
}

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s (-got +want; go test -update writes it anew):\n%s", path, diff)
	}
}

func written(t *testing.T, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ebpm(t *testing.T, e town, o Options) EBPM {
	t.Helper()
	page, err := BuildEBPM(context.Background(), gate(e), o)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func shop(t *testing.T, e town, name string, o Options) Shop {
	t.Helper()
	s, err := BuildShop(context.Background(), gate(e), "s-001", name, "restaurant", o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func released(t *testing.T, e town, a disclosure.Audience, q analytics.Query) disclosure.Released {
	t.Helper()
	r, err := gate(e).Release(context.Background(), q, a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPages_AreAsBefore(t *testing.T) {
	for _, lang := range []string{"ja", "en"} {
		golden(t, "ebpm."+lang+".html", written(t, ebpm(t, town{}, options(lang)).HTML))
		golden(t, "shop."+lang+".html", written(t, shop(t, town{}, "そば処 髙﨑屋", options(lang)).HTML))
	}
	golden(t, "shop.few.html", written(t, shop(t, town{persons: 4}, "そば処 髙﨑屋", options("ja")).HTML))
}

func TestFiles_AreAsBefore(t *testing.T) {
	weekly := released(t, town{}, disclosure.City, analytics.Query{Metric: "M01a", From: "2026-10-01", To: "2026-11-30", By: []string{"week"}})
	ages := released(t, town{}, disclosure.Owner, analytics.Query{Metric: "M03", From: "2026-10-01", To: "2026-11-30", By: []string{"age_band", "sex"}, Shop: "s-001"})
	for name, r := range map[string]disclosure.Released{"weekly": weekly, "ages": ages} {
		for _, lang := range []string{"ja", "en"} {
			golden(t, name+"."+lang+".csv", written(t, func(w io.Writer) error { return CSV(w, r, lang) }))
			golden(t, name+"."+lang+".txt", written(t, func(w io.Writer) error { return Text(w, r, lang) }))
		}
		golden(t, name+".json", written(t, func(w io.Writer) error { return JSON(w, r) }))
	}
}

// pdfText reads the text of a PDF in the order in which it was set. Pages end
// with a form feed; white space, which programs find differently, is one space.
func pdfText(t *testing.T, pdf []byte) string {
	t.Helper()
	if _, err := exec.LookPath("pdftotext"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pdftotext is needed in CI: install poppler-utils")
		}
		t.Skip("pdftotext is not installed (poppler-utils): the text of the PDF is not checked")
	}
	cmd := exec.Command("pdftotext", "-raw", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, p := range strings.SplitAfter(string(out), "\f") {
		if p != "" {
			pages = append(pages, strings.Join(strings.Fields(p), " ")+"\f")
		}
	}
	return strings.Join(pages, "\n")
}

func TestShopPDF_IsReproducible(t *testing.T) {
	a := written(t, shop(t, town{}, "そば処 髙﨑屋", options("ja")).PDF)
	b := written(t, shop(t, town{}, "そば処 髙﨑屋", options("ja")).PDF)
	if !bytes.Equal(a, b) {
		t.Error("the same released tables gave two different PDFs")
	}
}

func TestShopPDF_SaysWhatItMust(t *testing.T) {
	for _, lang := range []string{"ja", "en"} {
		text := pdfText(t, written(t, shop(t, town{}, "そば処 髙﨑屋", options(lang)).PDF))
		golden(t, "shop."+lang+".pdf.txt", []byte(text))
		pages := strings.Split(strings.TrimSuffix(text, "\f"), "\f\n")
		if len(pages) != 2 {
			t.Errorf("%s: %d pages, want 2", lang, len(pages))
		}
		for i, p := range pages {
			for _, want := range []string{"デモデータ（架空）", "そば処 髙﨑屋"} {
				if !strings.Contains(p, want) {
					t.Errorf("%s: page %d lacks %q", lang, i+1, want)
				}
			}
		}
	}
}

func TestShopPDF_NamesAMissingCharacter(t *testing.T) {
	err := shop(t, town{}, "𠮷野商店", options("ja")).PDF(io.Discard)
	if err == nil || !strings.Contains(err.Error(), "𠮷 (U+20BB7)") {
		t.Errorf("a shop name with a character that the typeface lacks: got error %v, want one naming 𠮷 (U+20BB7)", err)
	}
}

func TestShop_WithFewUsersShowsNoNumber(t *testing.T) {
	s := shop(t, town{persons: 4, secret: true}, "小さな店", options("ja"))
	page := string(written(t, s.HTML))
	if !strings.Contains(page, "期間中の利用者が5人に満たないため") || strings.Contains(page, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 500") {
		t.Error("the page of a shop with 4 users is not the plain note")
	}
	if text := pdfText(t, written(t, s.PDF)); strings.Count(text, "\f") != 1 || !strings.Contains(text, "5人に満たない") {
		t.Errorf("the PDF of a shop with 4 users is not one page with the plain note:\n%s", text)
	}
}

// A hidden cell's number is in no form of a report.
func TestSuppressed_IsNeverShown(t *testing.T) {
	e := town{secret: true}
	forms := map[string][]byte{}
	for _, lang := range []string{"ja", "en"} {
		forms["ebpm "+lang] = written(t, ebpm(t, e, options(lang)).HTML)
		s := shop(t, e, "髙﨑屋", options(lang))
		forms["shop "+lang] = written(t, s.HTML)
		forms["shop pdf "+lang] = []byte(pdfText(t, written(t, s.PDF)))
		forms["few "+lang] = written(t, shop(t, town{persons: 3, secret: true}, "髙﨑屋", options(lang)).HTML)
		for _, q := range []analytics.Query{
			{Metric: "M01a", By: []string{"industry"}}, {Metric: "M03", By: []string{"age_band", "sex"}, Shop: "s-001"}, {Metric: "M02", By: []string{"weekday", "hour"}, Shop: "s-001"},
		} {
			q.From, q.To = "2026-10-01", "2026-11-30"
			audience := disclosure.Owner
			if q.Shop == "" {
				audience = disclosure.City
			}
			r := released(t, e, audience, q)
			if r.Hidden() == 0 {
				t.Fatalf("%s by %v hides no cell: the test shows nothing", q.Metric, q.By)
			}
			forms["csv "+q.Metric+lang] = written(t, func(w io.Writer) error { return CSV(w, r, lang) })
			forms["json "+q.Metric+lang] = written(t, func(w io.Writer) error { return JSON(w, r) })
			forms["text "+q.Metric+lang] = written(t, func(w io.Writer) error { return Text(w, r, lang) })
		}
	}
	secret := regexp.MustCompile(`777[,.]?313|77\.7万|78万円|¥77[78]K`)
	for name, form := range forms {
		if at := secret.FindIndex(form); at != nil {
			t.Errorf("%s shows the number of a hidden cell: …%s…", name, form[max(0, at[0]-60):min(len(form), at[1]+20)])
		}
		if !regexp.MustCompile(`秘匿|[Ss]uppressed|満たない|Fewer than`).Match(form) {
			t.Errorf("%s does not say that a cell is hidden", name)
		}
	}
}

func TestPages_WorkUnderTheContentPolicy(t *testing.T) {
	bad := regexp.MustCompile(`(?i)<script|<style|<[a-z][^>]*\s(style|on[a-z]+)=|"javascript:`)
	for name, page := range pages(t) {
		if at := bad.FindIndex(page); at != nil {
			t.Errorf("%s holds what the policy forbids: …%s…", name, page[max(0, at[0]-40):min(len(page), at[1]+40)])
		}
	}
}

func pages(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, lang := range []string{"ja", "en"} {
		o := options(lang)
		out["ebpm "+lang] = written(t, ebpm(t, town{label: `<script>alert(1)</script>" onload="x`}, o).HTML)
		out["shop "+lang] = written(t, shop(t, town{}, `<b onclick=x>店</b>`, o).HTML)
		out["few "+lang] = written(t, shop(t, town{persons: 2}, "店", o).HTML)
		out["login "+lang] = written(t, func(w io.Writer) error {
			return Login(w, LoginPage{Lang: lang, Demo: true, City: "めぐり市", CSRF: "t", Next: "/dashboard", Error: "IDまたはパスワードが違います。"})
		})
		out["home "+lang] = written(t, func(w io.Writer) error {
			return Home(w, HomePage{Lang: lang, Demo: true, City: "めぐり市", User: "u", CSRF: "t", Links: []Link{{Href: "/dashboard", Text: "EBPMダッシュボード", Note: "事業の利用状況を統計で見ます。"}, {Href: "/shops", Text: "店舗レポート", Note: "お店ごとのレポートです。"}}})
		})
		out["problem "+lang] = written(t, func(w io.Writer) error {
			return Problem(w, ProblemPage{Lang: lang, Demo: true, Status: 403, Title: "この画面は開けません", Detail: "権限がありません。事務局にお問い合わせください。"})
		})
		out["shops "+lang] = written(t, func(w io.Writer) error {
			return ShopList(w, ShopListPage{Lang: lang, Demo: true, User: "u", CSRF: "t", Shops: []ShopItem{{Name: "そば処 髙﨑屋", Industry: "restaurant", Href: "/shops/1", PDF: "/shops/1.pdf"}}})
		})
	}
	return out
}

func TestPages_SayThatDataAreMadeUp(t *testing.T) {
	for name, page := range pages(t) {
		if !bytes.Contains(page, []byte("デモデータ（架空）")) {
			t.Errorf("%s lacks デモデータ（架空）", name)
		}
		if strings.HasSuffix(name, "en") && !bytes.Contains(page, []byte("Demo data (fictitious)")) {
			t.Errorf("%s lacks Demo data (fictitious)", name)
		}
		if lang := name[len(name)-2:]; !bytes.Contains(page, []byte(`<html lang="`+lang+`">`)) {
			t.Errorf("%s does not declare its language", name)
		}
	}
	o := options("ja")
	o.Demo = false
	if page := written(t, ebpm(t, town{}, o).HTML); bytes.Contains(page, []byte("架空")) {
		t.Error("a page of real data says that it is made up")
	}
}

// Identifiers stand once on a page, or labels point to the wrong place.
func TestPages_HaveUniqueIdentifiers(t *testing.T) {
	id := regexp.MustCompile(`\sid="([^"]*)"`)
	for name, page := range pages(t) {
		seen := map[string]bool{}
		for _, m := range id.FindAllSubmatch(page, -1) {
			if seen[string(m[1])] {
				t.Errorf("%s has two elements with the id %s", name, m[1])
			}
			seen[string(m[1])] = true
		}
	}
}

// English pages have no Japanese but names, and what is marked as Japanese.
func TestEnglish_IsComplete(t *testing.T) {
	for key, w := range words {
		if w[0] == "" || w[1] == "" {
			t.Errorf("the word %s lacks a language", key)
		}
		if regexp.MustCompile(`[ぁ-んァ-ヶ一-龠]`).MatchString(w[1]) {
			t.Errorf("the English of %s has Japanese in it: %s", key, w[1])
		}
		verb := regexp.MustCompile(`%(\[\d\])?[sd]`)
		if len(verb.FindAllString(w[0], -1)) != len(verb.FindAllString(w[1], -1)) {
			t.Errorf("the word %s does not take the same arguments in both languages", key)
		}
	}
}

// A word that nothing asks for is out of date.
func TestWords_AreAllUsed(t *testing.T) {
	var all []byte
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			if f == "words.go" || strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	for key := range words {
		if !bytes.Contains(all, []byte(`"`+key+`"`)) && !strings.HasPrefix(key, "unit.") && !strings.HasPrefix(key, "reason.") {
			t.Errorf("nothing uses the word %s", key)
		}
	}
	for _, r := range disclosure.Reasons {
		if _, ok := words["reason."+string(r)]; !ok {
			t.Errorf("there is no word for the reason %s", r)
		}
	}
}

func TestEBPM_RefusesABadWindow(t *testing.T) {
	o := options("ja")
	o.From, o.To = o.To, o.From
	if _, err := BuildEBPM(context.Background(), gate(town{}), o); !errors.Is(err, ErrWindow) {
		t.Errorf("a window that ends before it begins: got error %v, want ErrWindow", err)
	}
}

func TestCSV_GuardsAgainstFormulas(t *testing.T) {
	r := released(t, town{label: `=HYPERLINK("http://x","y")`}, disclosure.City, analytics.Query{Metric: "M01a", From: "2026-10-01", To: "2026-11-30", By: []string{"industry"}})
	got := string(written(t, func(w io.Writer) error { return CSV(w, r, "ja") }))
	if !strings.Contains(got, `"'=HYPERLINK(""http://x"",""y"")"`) {
		t.Errorf("a label that begins with = is not guarded:\n%s", got)
	}
	if !strings.HasPrefix(got, "\ufeff業種,純利用額[円]\r\n") {
		t.Errorf("the head is not a byte order mark and labels: %q", got[:min(len(got), 60)])
	}
	for in, want := range map[string]string{"-12": "-12", "-x": "'-x", "@a": "'@a", "+1+1": "'+1+1", "\tx": "'\tx", "店": "店", "": ""} {
		if got := inert(in); got != want {
			t.Errorf("inert(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestJSON_SaysTheStateOfEachValue(t *testing.T) {
	r := released(t, town{}, disclosure.City, analytics.Query{Metric: "M01a", From: "2026-10-01", To: "2026-11-30", By: []string{"industry"}})
	var doc struct {
		Rows []struct {
			Keys   map[string]string
			Values map[string]struct {
				State string
				Value *float64
			}
		}
		Hidden int
		Rules  struct {
			Version    string
			MinPersons int64 `json:"min_persons"`
		}
	}
	if err := json.Unmarshal(written(t, func(w io.Writer) error { return JSON(w, r) }), &doc); err != nil {
		t.Fatal(err)
	}
	hidden := 0
	for _, row := range doc.Rows {
		if v := row.Values["net_yen"]; v.State == "suppressed" {
			hidden++
			if v.Value != nil {
				t.Errorf("the hidden cell %v has a value", row.Keys)
			}
		} else if v.Value == nil {
			t.Errorf("the shown cell %v has no value", row.Keys)
		}
	}
	if hidden != 1 || hidden != doc.Hidden || doc.Rules.MinPersons != 5 {
		t.Errorf("got %d hidden cells, %d by the count, minimum %d; want 1, 1, 5", hidden, doc.Hidden, doc.Rules.MinPersons)
	}
}

// The three findings are for the reader of the first page; what has no room is
// left out, and nothing runs off the page.
func TestShopPDF_FitsItsPages(t *testing.T) {
	for _, lang := range []string{"ja", "en"} {
		s := shop(t, town{}, "そば処 髙﨑屋", options(lang))
		p, err := newSheet(s)
		if err != nil {
			t.Fatal(err)
		}
		for n, fill := range []func(Shop){p.first, p.second} {
			p.page(n+1, 2)
			if n == 0 {
				p.head()
			}
			fill(s)
			if p.err != nil {
				t.Fatal(p.err)
			}
			if p.y > foot {
				t.Errorf("%s: page %d ends at %.0f points, below its foot at %.0f", lang, n+1, p.y, foot)
			}
		}
	}
}

func TestChange_SaysUpAndDown(t *testing.T) {
	l := tongue("ja")
	for _, c := range []struct {
		from, to float64
		want     string
	}{{100, 105.25, "5.2%増"}, {100, 90, "10.0%減"}, {100, 100.01, "増減なし"}} {
		if got := l.change(c.from, c.to); got != c.want {
			t.Errorf("from %v to %v reads %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

// The source that a page takes is what the gate is.
var _ Source = (*disclosure.Gate)(nil)

func ExampleText() {
	g := gate(town{})
	r, err := g.Release(context.Background(), analytics.Query{Metric: "M03", From: "2026-10-01", To: "2026-11-30", By: []string{"sex"}, Shop: "s-001"}, disclosure.Owner)
	if err != nil {
		panic(err)
	}
	if err := Text(os.Stdout, r, "ja"); err != nil {
		panic(err)
	}
	// Output:
	// 性別    利用者数[人]
	// ------  ------------
	// 女性           227人
	// 男性           177人
	// その他          秘匿
	// 不明             7人
	//
	// 指標: M03 利用者数
	// 計算式: 実人数
	// 取り決め: 実人数です。足しても合計にはなりません。
	// 対象期間: 2026-10-01 – 2026-11-30
	// データの時点: 2026-11-21T00:30:00+09:00
	// データの版: 42
	// 秘匿の規則: 版 2026-11.3、利用者5人未満のセルを秘匿
	// 秘匿したセル: 1件（25.0%）
	// 公表処理の時刻: 2026-11-21T09:05:00+09:00
	// 秘匿は人数が少ないため公表しない値で、0ではありません。
}

func TestWeeks_KnowWhichAreWhole(t *testing.T) {
	r := released(t, town{}, disclosure.City, analytics.Query{Metric: "M01a", From: "2026-10-01", To: "2026-11-30", By: []string{"week"}})
	got := map[string][2]bool{}
	for _, w := range weeksOf(r) {
		got[w.key] = [2]bool{w.whole, w.past}
	}
	want := map[string][2]bool{ // whole, past; as of 21 November
		"2026-09-28": {false, true}, "2026-10-05": {true, true}, "2026-10-12": {true, true}, "2026-10-19": {true, true}, "2026-10-26": {true, true},
		"2026-11-02": {true, true}, "2026-11-09": {true, true}, "2026-11-16": {false, true}, "2026-11-23": {false, false}, "2026-11-30": {false, false},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("weeks of the window (-got +want):\n%s", diff)
	}
}

func TestTile_TellsHiddenFromUnobserved(t *testing.T) {
	l := tongue("ja")
	for _, c := range []struct {
		v    chart.Value
		want string
	}{{chart.N(0), "0円"}, {chart.Value{State: chart.Suppressed}, "― 秘匿"}, {chart.Value{State: chart.Unobserved}, "… 未観測"}} {
		if got := l.tile("tile.net", c.v, chart.Yen, "").Value; got != c.want {
			t.Errorf("tile of %+v reads %q, want %q", c.v, got, c.want)
		}
	}
}
