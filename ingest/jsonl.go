package ingest

import (
	"encoding/json"
	"slices"
	"strings"
)

// flattener turns a line of JSON Lines into fields by the paths of a mapping,
// such as shop.id. It is strict: a member that no path decides about and a
// member that is written twice are faults, and a number stays the text that it
// is. A member that is absent or null is empty.
type flattener struct {
	names   []string
	root    *member
	values  []string
	line    int64 // counts records, so that a member knows when it was seen
	unknown bool  // the last fault was a member that nobody decided about
}

// member is a step of a path.
type member struct {
	path    string
	at      int // its place among the fields, or -1
	ignored bool
	seen    int64
	below   map[string]*member
}

// deepest bounds how far paths and ignored values may be nested.
const deepest = 32

// newFlattener makes one for the paths that a mapping uses and ignores.
func newFlattener(used, ignored []string) (*flattener, string) {
	f := &flattener{root: &member{at: -1}}
	for i, path := range slices.Concat(used, ignored) {
		m := f.root
		steps := strings.Split(path, ".")
		if len(steps) > deepest || slices.Contains(steps, "") {
			return nil, "the path " + path + " is no path of names with points between them"
		}
		for _, step := range steps {
			if m.below == nil {
				m.below = map[string]*member{}
			}
			next := m.below[step]
			if next == nil {
				next = &member{at: -1, path: strings.TrimPrefix(m.path+"."+step, ".")}
				m.below[step] = next
			}
			m = next
		}
		switch {
		case i >= len(used):
			m.ignored = m.at < 0
		case m.at < 0:
			m.at = len(f.names)
			f.names = append(f.names, path)
		}
	}
	f.values = make([]string, len(f.names))
	return f, conflicting(f.root)
}

func conflicting(m *member) string {
	if len(m.below) > 0 && (m.at >= 0 || m.ignored) {
		return "the path " + m.path + " is a value and holds others"
	}
	for _, next := range m.below {
		if problem := conflicting(next); problem != "" {
			return problem
		}
	}
	return ""
}

// fields returns the values in the order of the names; they are valid until
// the next call.
func (f *flattener) fields(record string) ([]string, fault) {
	f.unknown = false
	text := strings.TrimLeft(record, " \t\r")
	if !json.Valid([]byte(text)) || text[0] != '{' {
		return nil, fault{"", "the line is not one object of JSON", "write one object a line, and nothing else"}
	}
	f.line++
	clear(f.values)
	_, bad := f.object(text, f.root)
	return f.values, bad
}

// object reads an object, which is known to be valid JSON, and returns what
// follows it.
func (f *flattener) object(s string, m *member) (rest string, bad fault) {
	s = blank(s[1:])
	for s[0] != '}' {
		end := stringEnd(s)
		name, bad := unquote(s[:end])
		if bad {
			return "", fault{m.path, "a name holds half a character", "export the file again as UTF-8"}
		}
		s = blank(blank(s[end:])[1:]) // over the colon
		next := m.below[name]
		switch {
		case next == nil:
			f.unknown = true
			return "", fault{strings.TrimPrefix(m.path+"."+plain(name), "."), "the mapping does not decide about the member",
				"map it, or name it under ignore:"}
		case next.seen == f.line:
			return "", fault{next.path, "the member is written twice", "write it once"}
		}
		next.seen = f.line
		var problem fault
		if s, problem = f.value(s, next); problem.bad() {
			return "", problem
		}
		if s = blank(s); s[0] == ',' {
			s = blank(s[1:])
		}
	}
	return s[1:], fault{}
}

func (f *flattener) value(s string, m *member) (rest string, bad fault) {
	switch {
	case m.ignored:
		return skipValue(s), fault{}
	case len(m.below) > 0:
		if s[0] == '{' {
			return f.object(s, m)
		}
		if strings.HasPrefix(s, "null") {
			return s[len("null"):], fault{}
		}
		return "", fault{m.path, "it is not an object", "the mapping names members inside it"}
	case s[0] == '{' || s[0] == '[':
		return "", fault{m.path, "it holds an object or a list, where one value is wanted", "name the member inside it in the mapping"}
	case s[0] == '"':
		end := stringEnd(s)
		text, broken := unquote(s[:end])
		if broken {
			return "", fault{m.path, "the text holds half a character", "export the file again as UTF-8"}
		}
		f.values[m.at] = text
		return s[end:], fault{}
	}
	end := strings.IndexAny(s, ",}] \t\r\n")
	if text := s[:end]; text != "null" {
		f.values[m.at] = text
	}
	return s[end:], fault{}
}

// skipValue returns what follows a value of valid JSON.
func skipValue(s string) string {
	depth := 0
	for {
		switch s[0] {
		case '"':
			s = s[stringEnd(s):]
		case '{', '[':
			depth++
			s = s[1:]
		case '}', ']':
			depth--
			s = s[1:]
		case ',', ':', ' ', '\t', '\r', '\n':
			s = s[1:]
			continue // only inside
		default:
			s = s[strings.IndexAny(s, ",}] \t\r\n"):]
		}
		if depth == 0 {
			return s
		}
	}
}

func blank(s string) string { return strings.TrimLeft(s, " \t\r\n") }

// stringEnd returns where the string that s begins with ends.
func stringEnd(s string) int {
	for i := 1; ; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquote returns a string's text. It is broken where half of a surrogate pair
// stands alone.
func unquote(s string) (text string, broken bool) {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1], false
	}
	if err := json.Unmarshal([]byte(s), &text); err != nil {
		return "", true
	}
	return text, strings.Count(text, "\uFFFD") > strings.Count(s, "\uFFFD")+strings.Count(strings.ToLower(s), `\ufffd`)
}

// plain cuts a name to what an error may show.
func plain(name string) string {
	const most = 64
	name = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, name), "?")
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}
