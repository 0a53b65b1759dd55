package consent

import (
	"html/template"
	"io"
	"strings"
	texttemplate "text/template"
)

// The page of published purposes and joint uses, in Japanese with English
// beside it.
const (
	pageHTML = `<!DOCTYPE html>
<html lang="ja"><head><meta charset="utf-8"><title>利用目的と共同利用の公表 — {{.City}}</title></head><body>
<h1>利用目的と共同利用の公表</h1>
<p>{{.City}}　{{.Day}} 現在</p>
<h2>利用目的</h2>
<table><thead><tr><th scope="col">番号</th><th scope="col">利用目的</th><th scope="col" lang="en">Purpose</th><th scope="col">公表日</th></tr></thead><tbody>
{{range .Purposes}}<tr><td>{{.Code}}</td><td>{{.Ja}}</td><td lang="en">{{.En}}</td><td>{{.PublishedOn}}</td></tr>
{{end}}</tbody></table>
<h2>共同利用</h2>
{{range .Notices}}<section><h3>{{.ID}}（第{{.Version}}版、{{.PublishedOn}}公表）</h3><dl>
<dt>共同して利用する旨</dt><dd>次の個人データを共同利用します。</dd>
<dt>共同して利用される個人データの項目</dt><dd>{{join .Items "、"}}</dd>
<dt>共同して利用する者の範囲</dt><dd>{{join .Users "、"}}</dd>
<dt>利用する者の利用目的</dt><dd>{{join .Purposes "、"}}</dd>
<dt>管理について責任を有する者</dt><dd>{{.Responsible.Name}}、{{.Responsible.Address}}、{{.Responsible.Representative}}</dd>
</dl></section>
{{else}}<p>共同利用はありません。</p>
{{end}}</body></html>
`
	pageMarkdown = `# 利用目的と共同利用の公表

{{cell .City}}　{{.Day}} 現在

## 利用目的

| 番号 | 利用目的 | Purpose | 公表日 |
| --- | --- | --- | --- |
{{range .Purposes}}| {{.Code}} | {{cell .Ja}} | {{cell .En}} | {{.PublishedOn}} |
{{end}}
## 共同利用

{{range .Notices}}### {{.ID}}（第{{.Version}}版、{{.PublishedOn}}公表）

- 共同して利用する旨：次の個人データを共同利用します。
- 項目：{{cell (join .Items "、")}}
- 共同して利用する者の範囲：{{cell (join .Users "、")}}
- 利用する者の利用目的：{{join .Purposes "、"}}
- 管理について責任を有する者：{{cell .Responsible.Name}}、{{cell .Responsible.Address}}、{{cell .Responsible.Representative}}

{{else}}共同利用はありません。
{{end}}`
)

// Page writes what is public of the registers on a day, as HTML or Markdown.
func (r *Register) Page(w io.Writer, city, day string, html bool) error {
	about := struct {
		City, Day string
		Purposes  []Purpose
		Notices   []Notice
	}{City: city, Day: day}
	for _, p := range r.Purposes {
		if _, err := r.InForce(p.Code, day); err == nil {
			about.Purposes = append(about.Purposes, p)
		}
	}
	latest := map[string]bool{}
	for _, n := range r.Notices {
		if current, err := r.Notice(n.ID, day); err == nil && !latest[n.ID] {
			latest[n.ID] = true
			about.Notices = append(about.Notices, current)
		}
	}
	cell := func(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s) }
	if html {
		return template.Must(template.New("").Funcs(template.FuncMap{"join": strings.Join}).Parse(pageHTML)).Execute(w, about)
	}
	return texttemplate.Must(texttemplate.New("").Funcs(texttemplate.FuncMap{"join": strings.Join, "cell": cell}).Parse(pageMarkdown)).Execute(w, about)
}
