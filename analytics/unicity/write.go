package unicity

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// words are what readers see, in Japanese and in English.
var words = map[string][2]string{
	"title":     {"分析用データの個人識別リスク（k-匿名性・一意性）", "How easily a person can be singled out in analysts' rows"},
	"label":     {"仮名加工情報についての数値です。事務局の中だけで使い、公表しないでください。", "Figures of 仮名加工情報 (pseudonymized personal information), for the office alone: do not publish."},
	"policy":    {"基準：k ≧ %d、業種 l ≧ %d、訪問 %d 件で一意になる人 ≦ %s", "Policy: k ≥ %d, industries l ≥ %d, unique by %d visits ≤ %s"},
	"drawn":     {"抽出：%d 人（乱数の種 %d）、レイクのスナップショット %d（%s）", "Drawn: %d persons (seed %d), snapshot %d of the lake (%s)"},
	"classes":   {"性別 × 年齢階級 × 居住地区", "Sex × age band × home area"},
	"of":        {"母集団", "population"},
	"payers":    {"決済した人", "who paid"},
	"residents": {"住民の表", "residents' table"},
	"persons":   {"人数", "persons"},
	"count":     {"組数", "classes"},
	"unique":    {"一意の人", "unique"},
	"below-k":   {"k 未満の組の人", "in classes below k"},
	"below-l":   {"業種 l 未満の組の人", "in classes below l"},
	"visits":    {"無作為の訪問 p 件で一意になる人の割合（95％信頼区間）", "Share unique by p random visits (95 % interval)"},
	"visit":     {"訪問", "visit"},
	"ladder":    {"一般化の段階（前の段に重ねる）", "Ladder of generalisation (each on top of the one before)"},
	"step":      {"段階", "step"},
	"share":     {"p=%d で一意", "unique at p=%d"},
	"lost":      {"失う組", "classes lost"},
	"lost-keys": {"失う場所・時刻", "places and times lost"},
	"verdict":   {"基準", "policy"},
	"holds":     {"満たす", "holds"},
	"fails":     {"満たさない", "fails"},
	"mends":     {"基準を満たす最初の段階：%s（組 %d、場所・時刻 %d を失う）", "First step that keeps to the policy: %s (%d classes, %d places and times lost)"},
	"none":      {"どの段階でも基準を満たしません。行を渡さず、統計で渡してください。", "No step keeps to the policy: hand over statistics, not rows."},

	"as-is":    {"そのまま（店・日・時）", "as it is (shop, day, hour)"},
	"age":      {"年齢 10歳→20歳階級", "age in 20-year bands"},
	"area":     {"居住地区→市全体", "home area → whole city"},
	"week":     {"日→週", "day → week"},
	"month":    {"週→月", "week → month"},
	"industry": {"店→業種×店の地区", "shop → industry × shop area"},
	"hour":     {"時間帯を除く", "without the hour"},

	"by-shop":          {"店", "shop"},
	"by-shop_area":     {"店の地区", "shop area"},
	"by-industry_area": {"業種×店の地区", "industry × shop area"},
	"by-day":           {"日", "day"},
	"by-week":          {"週", "week"},
	"by-month":         {"月", "month"},
	"by-hour":          {"時", "hour"},
}

// tongue is a language: ja or en.
type tongue string

// T is a word, with arguments put in.
func (l tongue) T(key string, args ...any) string {
	w, ok := words[key]
	if !ok {
		panic("unicity: there was believed to be a word " + key)
	}
	text := w[0]
	if l == "en" {
		text = w[1]
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

func (l tongue) grain(g Grain) string {
	text := l.T("by-"+string(g.Place)) + " × " + l.T("by-"+string(g.Time))
	if g.Hour {
		text += " × " + l.T("by-hour")
	}
	return text
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", share*100) }

// view is a report as text: the same for terminals and pages.
type view struct {
	Lang                    string
	Title, Label, End       string
	Facts                   []string
	Classes, Visits, Ladder table
}

type table struct {
	Title string
	Head  []string
	Rows  [][]string
}

func (r *Report) view(lang string) view {
	l := tongue(lang)
	v := view{Lang: lang, Title: l.T("title"), Label: l.T("label"), Facts: []string{
		l.T("policy", r.Policy.K, r.Policy.L, r.Policy.Points, percent(r.Policy.Share)),
		l.T("drawn", r.Cuts[0].Known[0].Drawn, r.Draw.Seed, r.Snapshot, r.day()),
	}}
	v.Classes = table{Title: l.T("classes"), Head: []string{l.T("of"), l.T("persons"), l.T("count"), l.T("unique"), l.T("below-k"), l.T("below-l")}}
	for _, row := range []struct {
		of string
		c  Classes
	}{{"payers", r.Ladder[0].Classes}, {"residents", r.Residents}} {
		v.Classes.Rows = append(v.Classes.Rows, append([]string{l.T(row.of)}, integers(row.c.Persons, row.c.Classes, row.c.Unique, row.c.BelowK, row.c.BelowL)...))
	}
	v.Visits = table{Title: l.T("visits"), Head: []string{l.T("visit")}}
	for p := 1; p <= MostPoints; p++ {
		v.Visits.Head = append(v.Visits.Head, fmt.Sprintf("p=%d", p))
	}
	for _, c := range r.Cuts {
		row := []string{l.grain(c.Grain)}
		for _, k := range c.Known {
			row = append(row, k.text())
		}
		v.Visits.Rows = append(v.Visits.Rows, row)
	}
	v.Ladder = table{Title: l.T("ladder"), Head: []string{l.T("step"), l.T("below-k"), l.T("below-l"), l.T("share", r.Policy.Points), l.T("lost"), l.T("lost-keys"), l.T("verdict")}}
	v.End = l.T("none")
	for _, rung := range r.Ladder {
		verdict := l.T("fails")
		if rung.Holds {
			verdict = l.T("holds")
		}
		if rung.Step == r.Mends {
			v.End = l.T("mends", l.T(rung.Step), rung.LostClasses, rung.LostKeys)
		}
		n := integers(rung.Classes.BelowK, rung.Classes.BelowL, rung.LostClasses, rung.LostKeys)
		v.Ladder.Rows = append(v.Ladder.Rows, []string{l.T(rung.Step), n[0], n[1], rung.Known.text(), n[2], n[3], verdict})
	}
	return v
}

func (r *Report) day() string {
	if r.Snapshot == 0 {
		return "-"
	}
	return r.At.UTC().Format(time.RFC3339)
}

func (k Known) text() string {
	return fmt.Sprintf("%s (%s–%s)", percent(k.Share), percent(k.Low), percent(k.High))
}

func integers(numbers ...int64) (texts []string) {
	for _, n := range numbers {
		texts = append(texts, fmt.Sprint(n))
	}
	return texts
}

// Figures are a step's figures beside the policy, in one line of English.
func (p Policy) Figures(r Rung) string {
	return fmt.Sprintf("%d of %d persons are in classes below %d, %d in classes that visited fewer than %d industries, and %s are unique by %d visits (at most %s)",
		r.Classes.BelowK, r.Classes.Persons, p.K, r.Classes.BelowL, p.L, r.Known.text(), p.Points, percent(p.Share))
}

// Remedy is the first generalisation that keeps to the policy, with all before
// it, in one line of English.
func (r *Report) Remedy() string {
	var steps []string
	for _, rung := range r.Ladder[1:] {
		steps = append(steps, tongue("en").T(rung.Step))
		if rung.Step == r.Mends {
			return "generalise them: " + strings.Join(steps, ", ")
		}
	}
	return "no generalisation mends it: hand over statistics"
}

// Text writes a report for a terminal, in ja or en.
func (r *Report) Text(w io.Writer, lang string) error {
	v := r.view(lang)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", v.Title, v.Label)
	for _, fact := range v.Facts {
		fmt.Fprintln(&b, fact)
	}
	for _, t := range v.Tables() {
		fmt.Fprintf(&b, "\n%s\n", t.Title)
		for _, row := range append([][]string{t.Head}, t.Rows...) {
			fmt.Fprintln(&b, "  "+strings.Join(row, " | "))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", v.End)
	_, err := io.WriteString(w, b.String())
	return err
}

// JSON writes a report for programs.
func (r *Report) JSON(w io.Writer, _ string) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="{{.Lang}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title></head>
<body>
<h1>{{.Title}}</h1>
<p><strong>{{.Label}}</strong></p>
<ul>{{range .Facts}}<li>{{.}}</li>{{end}}</ul>
{{range .Tables}}<table>
<caption>{{.Title}}</caption>
<thead><tr>{{range .Head}}<th scope="col">{{.}}</th>{{end}}</tr></thead>
<tbody>
{{range .Rows}}<tr>{{range $i, $cell := .}}{{if $i}}<td>{{$cell}}</td>{{else}}<th scope="row">{{$cell}}</th>{{end}}{{end}}</tr>
{{end}}</tbody>
</table>
{{end}}<p>{{.End}}</p>
</body>
</html>
`))

// Tables are what the page shows.
func (v view) Tables() []table { return []table{v.Classes, v.Visits, v.Ladder} }

// HTML writes a report as a page of its own, in ja or en.
func (r *Report) HTML(w io.Writer, lang string) error { return page.Execute(w, r.view(lang)) }
