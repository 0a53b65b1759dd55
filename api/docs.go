package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"meguri/analytics/disclosure"
)

//go:embed templates static
var files embed.FS

var docTemplates = template.Must(template.New("").Funcs(template.FuncMap{"in": phrases}).ParseFS(files, "templates/*.html"))

// manual is the documentation of one API, read out of its contract when the
// server starts. It needs no script and nothing from elsewhere.
type manual struct {
	Name    string
	Title   string
	Version string
	About   string
	Tags    []manualTag
	Schemas []manualSchema
	prefix  string // of every path
	yaml    []byte
}

type manualTag struct {
	Name, About string
	Operations  []manualOperation
}

type manualOperation struct {
	ID, Method, Path, Summary, About string
	Scopes                           []string
	Parameters                       []manualField
	Body                             manualBody
	Responses                        []manualResponse
	Curl                             string
}

type manualBody struct {
	Schema  string
	Example string
}

type manualResponse struct {
	Status, About string
	Headers       []manualField
	Bodies        []manualContent
}

type manualContent struct {
	Type string
	manualBody
}

type manualSchema struct {
	Name, About, Type string
	Rules             []string
	Fields            []manualField
	Example           string
}

// manualField is a parameter, a header or a member of an object.
type manualField struct {
	Name, In, Type, About string
	Schema                string // named type, to link to
	Required              bool
	Rules                 []string
}

func newManual(name string, yaml []byte, doc *openapi3.T) (manual, error) {
	m := manual{Name: name, Title: doc.Info.Title, Version: doc.Info.Version, About: doc.Info.Description, yaml: yaml}
	for _, tag := range doc.Tags {
		t := manualTag{Name: tag.Name, About: tag.Description}
		for _, path := range doc.Paths.InMatchingOrder() {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
				o := doc.Paths.Value(path).GetOperation(method)
				if o != nil && slices.Contains(o.Tags, tag.Name) {
					t.Operations = append(t.Operations, operationManual(path, method, o))
				}
			}
			first, _, _ := strings.Cut(path[1:], "/")
			if prefix := "/" + first + "/"; m.prefix == "" || m.prefix == prefix {
				m.prefix = prefix
			} else {
				return m, fmt.Errorf("paths of one contract begin alike, but not %s", path)
			}
		}
		slices.SortStableFunc(t.Operations, func(a, b manualOperation) int { return strings.Compare(a.Path, b.Path) })
		m.Tags = append(m.Tags, t)
	}
	for name, ref := range doc.Components.Schemas {
		m.Schemas = append(m.Schemas, schemaManual(name, ref.Value))
	}
	slices.SortFunc(m.Schemas, func(a, b manualSchema) int { return strings.Compare(a.Name, b.Name) })
	return m, nil
}

func operationManual(path, method string, o *openapi3.Operation) manualOperation {
	out := manualOperation{ID: o.OperationID, Method: method, Path: path, Summary: o.Summary, About: o.Description}
	if o.Security != nil {
		for _, requirement := range *o.Security {
			for scope := range requirement {
				out.Scopes = append(out.Scopes, scope)
			}
		}
	}
	slices.Sort(out.Scopes)
	for _, ref := range o.Parameters {
		p := ref.Value
		f := fieldManual(p.Name, p.Schema, p.Required)
		f.In, f.About = p.In, p.Description
		out.Parameters = append(out.Parameters, f)
	}
	if o.RequestBody != nil {
		if c := o.RequestBody.Value.Content["application/json"]; c != nil {
			out.Body = manualBody{refName(c.Schema), exampleOf(c)}
		}
	}
	for status, ref := range o.Responses.Map() {
		res := manualResponse{Status: status, About: *ref.Value.Description}
		for name, header := range ref.Value.Headers {
			f := fieldManual(name, header.Value.Schema, header.Value.Required)
			f.About = header.Value.Description
			res.Headers = append(res.Headers, f)
		}
		for media, c := range ref.Value.Content {
			body := manualBody{Schema: refName(c.Schema)}
			if strings.Contains(media, "json") {
				body.Example = exampleOf(c)
			}
			res.Bodies = append(res.Bodies, manualContent{media, body})
		}
		slices.SortFunc(res.Bodies, func(a, b manualContent) int { return strings.Compare(a.Type, b.Type) })
		out.Responses = append(out.Responses, res)
	}
	slices.SortFunc(out.Responses, func(a, b manualResponse) int { return strings.Compare(a.Status, b.Status) })
	out.Curl = curl(out, o)
	return out
}

// curl writes a call of the operation as one types it.
func curl(m manualOperation, o *openapi3.Operation) string {
	var b strings.Builder
	b.WriteString("curl")
	if m.Method != http.MethodGet {
		b.WriteString(" -X " + m.Method)
	}
	path, query := m.Path, ""
	for _, ref := range o.Parameters {
		p := ref.Value
		value, ok := p.Example, p.Example != nil
		if !ok {
			value = sample(p.Schema.Value)
		}
		if list, isList := value.([]any); isList && len(list) > 0 {
			value = list[0]
		}
		switch {
		case p.In == openapi3.ParameterInPath:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", fmt.Sprint(value))
		case p.In == openapi3.ParameterInQuery && (p.Required || ok):
			query += "&" + p.Name + "=" + fmt.Sprint(value)
		case p.In == openapi3.ParameterInHeader && p.Required:
			fmt.Fprintf(&b, " \\\n  -H '%s: %v'", p.Name, value)
		}
	}
	if len(m.Scopes) > 0 {
		b.WriteString(" \\\n  -H \"Authorization: Bearer $TOKEN\"")
	}
	if m.Body.Example != "" {
		b.WriteString(" \\\n  -H 'Content-Type: application/json' \\\n  -d @body.json")
	}
	if query != "" {
		query = "?" + query[1:]
	}
	b.WriteString(" \\\n  \"$MEGURI" + path + query + "\"")
	return b.String()
}

func schemaManual(name string, s *openapi3.Schema) manualSchema {
	out := manualSchema{Name: name, About: s.Description, Type: typeOf(s), Rules: rulesOf(s)}
	for member, ref := range s.Properties {
		out.Fields = append(out.Fields, fieldManual(member, ref, slices.Contains(s.Required, member)))
	}
	slices.SortFunc(out.Fields, func(a, b manualField) int {
		if a.Required != b.Required { // what must be there comes first
			if a.Required {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	if len(out.Fields) > 0 {
		out.Example = pretty(sample(s))
	}
	return out
}

func fieldManual(name string, ref *openapi3.SchemaRef, required bool) manualField {
	f := manualField{Name: name, Required: required, Schema: refName(ref), Type: typeOf(ref.Value), About: ref.Value.Description}
	if f.Schema == "" { // a named type tells its own rules
		f.Rules = rulesOf(ref.Value)
	}
	if items := ref.Value.Items; items != nil {
		f.Schema = refName(items)
		f.Type = "array of " + typeOf(items.Value)
	}
	return f
}

func refName(ref *openapi3.SchemaRef) string {
	if ref == nil {
		return ""
	}
	return strings.TrimPrefix(ref.Ref, "#/components/schemas/")
}

func typeOf(s *openapi3.Schema) string {
	name := strings.Join(s.Type.Slice(), ", ")
	if s.Format != "" {
		name += " (" + s.Format + ")"
	}
	return name
}

// rulesOf are the bounds of a schema, in words that need no translation.
func rulesOf(s *openapi3.Schema) []string {
	var rules []string
	add := func(format string, v any) { rules = append(rules, fmt.Sprintf(format, v)) }
	for _, v := range s.Enum {
		add("%v", v)
	}
	if s.Default != nil {
		add("default %v", s.Default)
	}
	if s.Min != nil {
		add("≥ %.0f", *s.Min)
	}
	if s.Max != nil {
		add("≤ %.0f", *s.Max)
	}
	if s.MinLength > 0 {
		add("length ≥ %d", s.MinLength)
	}
	if s.MaxLength != nil {
		add("length ≤ %d", *s.MaxLength)
	}
	if s.MinItems > 0 {
		add("items ≥ %d", s.MinItems)
	}
	if s.MaxItems != nil {
		add("items ≤ %d", *s.MaxItems)
	}
	if s.Pattern != "" {
		add("%s", s.Pattern)
	}
	return rules
}

// exampleOf is the contract's own example, or one made from the schema.
func exampleOf(c *openapi3.MediaType) string {
	if c.Example != nil {
		return pretty(c.Example)
	}
	return pretty(sample(c.Schema.Value))
}

// sample makes a value that fits a schema.
func sample(s *openapi3.Schema) any {
	switch {
	case s.Example != nil:
		return s.Example
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type.Is("object"):
		object := map[string]any{}
		for name, ref := range s.Properties {
			object[name] = sample(ref.Value)
		}
		return object
	case s.Type.Is("array"):
		return []any{sample(s.Items.Value)}
	case s.Type.Is("boolean"):
		return false
	case s.Type.Is("integer"), s.Type.Is("number"):
		if s.Min != nil {
			return *s.Min
		}
		return 1
	}
	switch s.Format {
	case "date":
		return "2026-07-01"
	case "date-time":
		return "2026-07-01T03:00:00Z"
	case "uri":
		return "urn:uuid:0197a7a0-5c3e-7b1a-8d57-3a1f2b6c9d10"
	case "uri-reference":
		return "/problems/invalid-request"
	}
	return "…"
}

func pretty(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "" // YAML that is no JSON; the contract's own check refuses it
	}
	return string(b)
}

// phrase is a piece of a description: plain words, or a name of the contract
// that stood between backquotes.
type phrase struct {
	Code bool
	Text string
}

// phrases is a description in one language, ready for a template.
func phrases(lang, about string) []phrase {
	var list []phrase
	for i, piece := range strings.Split(inLang(lang, about), "`") {
		list = append(list, phrase{i%2 == 1, piece})
	}
	return list
}

// inLang picks the sentences in one language out of a description that holds
// both; a description in one language is given whole. Japanese and English
// stand in paragraphs, lines, or on both sides of " / " or "。 ".
func inLang(lang, about string) string {
	about = strings.ReplaceAll(strings.ReplaceAll(about, " / ", "\n"), "。 ", "。\n")
	var chosen, all []string
	for line := range strings.Lines(about) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all = append(all, line)
		if isJapanese(line) == (lang == "ja") {
			chosen = append(chosen, line)
		}
	}
	if chosen == nil {
		chosen = all
	}
	if lang == "ja" {
		return strings.Join(chosen, "")
	}
	return strings.Join(chosen, " ")
}

func isJapanese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) })
}

// docPage is what the templates of the documentation see.
type docPage struct {
	Lang, City, Title string
	Demo              bool
	Manuals           []manual
	Manual            *manual
	Problems          []problemEntry
	Problem           *problemEntry
	RuleSets          []ruleSetEntry
}

// ruleSetEntry is what everybody may know of a rule set.
type ruleSetEntry struct{ Name, Persons, Shops, Rounding, Version string }

// ruleSetEntries are the rule sets in words.
func ruleSetEntries(lang string) (all []ruleSetEntry) {
	names := map[disclosure.Audience]text{
		disclosure.Public: {"公開（だれでも）", "The public"}, disclosure.Recipient: {"契約した提供先", "Recipients with a contract"},
		disclosure.City: {"市・運営事務局", "The city and its office"}, disclosure.Owner: {"店舗（自店の分）", "A shop, about itself"},
	}
	fewer := func(n int64, ja, en string) string {
		if n == 0 {
			return "―"
		}
		return fmt.Sprintf(text{ja, en}.in(lang), n)
	}
	for _, r := range disclosure.RuleSets {
		e := ruleSetEntry{Name: names[r.Audience].in(lang), Version: r.Version, Rounding: "―",
			Persons: fewer(r.MinPersons, "%d人未満なら秘匿", "suppressed if fewer than %d"), Shops: fewer(r.MinShops, "%d店未満なら秘匿", "suppressed if fewer than %d")}
		if r.RoundYen > 0 {
			e.Rounding = fmt.Sprintf(text{"%d円・%d件", "%d yen, %d counts"}.in(lang), r.RoundYen, r.RoundCount)
		}
		all = append(all, e)
	}
	return all
}

type problemEntry struct {
	Slug        string
	Status      int
	Title, Help string
}

// T picks between two languages within a template.
func (p docPage) T(ja, en string) string { return text{ja, en}.in(p.Lang) }

// Other is the language that this page is not in.
func (p docPage) Other() string {
	if p.Lang == "en" {
		return "ja"
	}
	return "en"
}

func problemEntries(lang string) []problemEntry {
	var list []problemEntry
	for _, p := range problems {
		list = append(list, problemEntry{p.slug, p.status, p.title.in(lang), p.help.in(lang)})
	}
	return list
}

func (s *server) mountManuals() {
	s.handle("GET /docs/", func(w http.ResponseWriter, r *http.Request) {
		s.docPage(w, r, "index.html", docPage{Title: text{"API文書", "API documentation"}.in(langOf(r))})
	})
	s.handle("GET /docs/disclosure", func(w http.ResponseWriter, r *http.Request) {
		s.docPage(w, r, "disclosure.html", docPage{Title: text{"秘匿のきまり", "How small numbers are protected"}.in(langOf(r)), RuleSets: ruleSetEntries(langOf(r))})
	})
	s.handle("GET /docs/{name}", func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(s.manuals, func(m manual) bool { return m.Name == chi.URLParam(r, "name") })
		if i < 0 {
			s.fail(w, r, errNoPage)
			return
		}
		s.docPage(w, r, "manual.html", docPage{Title: inLang(langOf(r), s.manuals[i].Title), Manual: &s.manuals[i]})
	})
	s.handle("GET /openapi/{file}", func(w http.ResponseWriter, r *http.Request) {
		for _, m := range s.manuals {
			if chi.URLParam(r, "file") == m.Name+".yaml" {
				w.Header().Set("Content-Type", "application/yaml")
				_, _ = w.Write(m.yaml)
				return
			}
		}
		s.fail(w, r, errNoPage)
	})
	s.handle("GET /problems/", func(w http.ResponseWriter, r *http.Request) {
		s.docPage(w, r, "problems.html", docPage{Title: text{"エラー一覧", "Problems"}.in(langOf(r))})
	})
	s.handle("GET /problems/{slug}", func(w http.ResponseWriter, r *http.Request) {
		for _, p := range problemEntries(langOf(r)) {
			if p.Slug == chi.URLParam(r, "slug") {
				s.docPage(w, r, "problem.html", docPage{Title: p.Title, Problem: &p})
				return
			}
		}
		s.fail(w, r, errNoPage)
	})
}

func (s *server) docPage(w http.ResponseWriter, r *http.Request, name string, p docPage) {
	rememberLang(w, r)
	p.Lang, p.City, p.Demo = langOf(r), s.City, s.Demo
	p.Manuals, p.Problems = s.manuals, problemEntries(p.Lang)
	s.page(w, r, http.StatusOK, typeHTML, func(b io.Writer) error { return docTemplates.ExecuteTemplate(b, name, p) })
}
