package consent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/transform"
)

// Mapping says which columns of a CSV file hold consents.
type Mapping struct {
	Source     string   `yaml:"source"`      // whose numbers the persons have
	Text       string   `yaml:"text"`        // key of the version that was shown
	Route      Route    `yaml:"route"`       // app, web, paper or counter
	Actor      string   `yaml:"actor"`       // who took the consents
	Evidence   string   `yaml:"evidence"`    // what shows them, unless a column says so
	Unticked   bool     `yaml:"unticked"`    // the box was not ticked beforehand
	TimeLayout string   `yaml:"time_layout"` // in Go's form; default 2006-01-02 15:04:05, Japan
	Encoding   string   `yaml:"encoding"`    // utf-8 (default) or shift_jis
	Yes        []string `yaml:"yes"`         // values that mean yes
	Columns    struct {
		Person    string `yaml:"person"`
		At        string `yaml:"at"`
		Number    string `yaml:"number"`
		Purposes  string `yaml:"purposes"` // codes, separated by blanks; empty means all of the text's
		Items     string `yaml:"items"`
		Evidence  string `yaml:"evidence"`
		BornOn    string `yaml:"born_on"`
		Guardian  string `yaml:"guardian"`
		Withdrawn string `yaml:"withdrawn"` // time of withdrawal, or empty
	} `yaml:"columns"`
	Ignore []string `yaml:"ignore"` // columns that are read past
}

// ParseMapping reads a mapping in YAML. A key that does not exist is an error.
func ParseMapping(document []byte) (Mapping, error) {
	m := Mapping{TimeLayout: time.DateTime, Encoding: "utf-8", Yes: []string{"1", "yes", "true", "はい", "有"}}
	d := yaml.NewDecoder(bytes.NewReader(document))
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("mapping: %w: %w", ErrInvalid, err)
	}
	for _, f := range []struct{ name, value string }{
		{"source", m.Source}, {"text", m.Text}, {"route", string(m.Route)}, {"actor", m.Actor},
		{"columns.person", m.Columns.Person}, {"columns.at", m.Columns.At}, {"evidence or columns.evidence", m.Evidence + m.Columns.Evidence},
	} {
		if f.value == "" {
			return m, fmt.Errorf("mapping: %w: %s is missing", ErrInvalid, f.name)
		}
	}
	if m.Encoding != "utf-8" && m.Encoding != "shift_jis" {
		return m, fmt.Errorf("mapping: %w: the encoding is utf-8 or shift_jis", ErrInvalid)
	}
	return m, nil
}

// Fault is what is wrong with a row of a file. It never holds a value.
type Fault struct {
	File    string
	Line    int64
	Field   string // column; empty for the whole row
	Problem string
	Remedy  string
}

// Error tells the place, the problem and the remedy.
func (f *Fault) Error() string {
	s := fmt.Sprintf("%s line %d", f.File, f.Line)
	if f.Field != "" {
		s += ", column " + f.Field
	}
	return s + ": " + f.Problem + ": " + f.Remedy
}

// longest is how many bytes a line may have: a consent is a few short fields.
const longest = 64 << 10

// Import takes in a CSV file of consents. Good rows are entered; for each bad one
// fault is called. What stops it is a header that is not the mapping's.
func (d *Desk) Import(ctx context.Context, name string, file io.Reader, m Mapping, fault func(Fault) error) (Summary, error) {
	var s Summary
	in, err := d.intake(ctx)
	if err != nil {
		return s, err
	}
	if _, err := in.register.Text(m.Text); err != nil {
		return s, err
	}
	if m.Encoding == "shift_jis" {
		file = transform.NewReader(file, japanese.ShiftJIS.NewDecoder())
	}
	r := &rows{file: name, lines: bufio.NewReaderSize(file, longest)}
	if err := r.header(m); err != nil {
		return s, err
	}
	for {
		fields, f, err := r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return s, fmt.Errorf("%s line %d: %w", name, r.line, err)
		}
		s.Read++
		entered := int64(0)
		if f == nil {
			entered, f = r.enter(in, m, fields)
		}
		switch {
		case f != nil:
			s.Faulty++
			f.File, f.Line = name, r.line
			if err := fault(*f); err != nil {
				return s, err
			}
		case entered == 0:
			s.Duplicate++
		default:
			s.Entered++
			s.Withdrawn += entered >> 1
		}
		if err := in.flush(ctx, false); err != nil {
			return s, err
		}
	}
	if s.Read == 0 {
		return s, fmt.Errorf("%s has a header and no rows: check what was exported", name)
	}
	return s, in.flush(ctx, true)
}

// rows reads the lines of a file. A field holds no line end, so that a quote
// which is not closed spoils its own line and no other.
type rows struct {
	file    string
	lines   *bufio.Reader
	line    int64
	columns []string
}

func (r *rows) text() (string, *Fault, error) {
	raw, err := r.lines.ReadSlice('\n')
	r.line++
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.lines.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return "", nil, err
		}
		return "", &Fault{Problem: "the line is longer than 65,536 bytes", Remedy: "check for a line end that is missing"}, nil
	}
	if err != nil && (err != io.EOF || len(raw) == 0) {
		return "", nil, err
	}
	text := strings.TrimRight(string(raw), "\r\n")
	if r.line == 1 {
		text = strings.TrimPrefix(text, "\ufeff")
	}
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\uFFFD") {
		return "", &Fault{Problem: "the line is not text in the encoding of the mapping", Remedy: "give encoding: shift_jis, or save as UTF-8"}, nil
	}
	return text, nil, nil
}

func (r *rows) header(m Mapping) error {
	text, f, err := r.text()
	if err == io.EOF {
		return fmt.Errorf("%s is empty: export it again", r.file)
	}
	if err != nil {
		return err
	}
	if f == nil {
		r.columns, f = split(text)
	}
	if f != nil {
		f.File, f.Line = r.file, 1
		return f
	}
	c := m.Columns
	known := append([]string{c.Person, c.At, c.Number, c.Purposes, c.Items, c.Evidence, c.BornOn, c.Guardian, c.Withdrawn}, m.Ignore...)
	for i, name := range r.columns {
		switch {
		case name == "" || !slices.Contains(known, name):
			return &Fault{r.file, 1, fmt.Sprintf("no. %d", i+1), "the mapping says nothing of this column", "name it under columns or ignore"}
		case slices.Contains(r.columns[:i], name):
			return &Fault{r.file, 1, name, "the column stands twice", "export the file with each column once"}
		}
	}
	for _, name := range known {
		if name != "" && !slices.Contains(r.columns, name) {
			return &Fault{r.file, 1, name, "the column is missing", "export the file with it, or take it out of the mapping"}
		}
	}
	return nil
}

func (r *rows) next() ([]string, *Fault, error) {
	for {
		text, f, err := r.text()
		if err != nil || f != nil {
			return nil, f, err
		}
		if text == "" { // spreadsheets leave empty lines at the end
			continue
		}
		fields, f := split(text)
		if f == nil && len(fields) != len(r.columns) {
			f = &Fault{Problem: fmt.Sprintf("the row has %d fields and the header %d", len(fields), len(r.columns)), Remedy: "put a field with a comma in quotes"}
		}
		return fields, f, nil
	}
}

// split cuts a line into its fields (RFC 4180, without line ends in fields).
func split(line string) ([]string, *Fault) {
	unclosed := &Fault{Problem: "a quote is not closed, or stands inside a field", Remedy: `write a quote inside a field twice ("") and put the field in quotes`}
	var fields []string
	for {
		if !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, ",")
			if strings.Contains(field, `"`) {
				return nil, unclosed
			}
			fields = append(fields, strings.TrimSpace(field))
			if !more {
				return fields, nil
			}
			line = rest
			continue
		}
		var field strings.Builder
		rest := line[1:]
		for {
			part, after, closed := strings.Cut(rest, `"`)
			if !closed {
				return nil, unclosed
			}
			field.WriteString(part)
			if rest = after; !strings.HasPrefix(rest, `"`) {
				break
			}
			field.WriteByte('"')
			rest = rest[1:]
		}
		fields = append(fields, strings.TrimSpace(field.String()))
		if rest == "" {
			return fields, nil
		}
		if !strings.HasPrefix(rest, ",") {
			return nil, unclosed
		}
		line = rest[1:]
	}
}

// enter takes a row in: 0 when it is there, 1 for a receipt, 2 more for a
// withdrawal.
func (r *rows) enter(in *intake, m Mapping, fields []string) (entered int64, _ *Fault) {
	value := func(column string) string {
		if column == "" {
			return ""
		}
		return fields[slices.Index(r.columns, column)]
	}
	instant := func(column string) (time.Time, *Fault) {
		t, err := time.ParseInLocation(m.TimeLayout, value(column), japan)
		if err != nil || t.Year() < 1900 || t.Year() > 2199 {
			return t, &Fault{Field: column, Problem: "the time does not exist or is not in the mapping's layout", Remedy: "correct it, or give time_layout"}
		}
		return t, nil
	}
	c := m.Columns
	at, f := instant(c.At)
	if f != nil {
		return 0, f
	}
	evidence := value(c.Evidence)
	if evidence == "" {
		evidence = m.Evidence
	}
	form := Form{BornOn: value(c.BornOn), Receipt: Receipt{
		ID: value(c.Number), Person: Person{m.Source, value(c.Person)}, Text: m.Text, At: at, Route: m.Route, Evidence: evidence,
		Unticked: m.Unticked, Actor: m.Actor, Purposes: strings.Fields(value(c.Purposes)), Items: strings.Fields(value(c.Items)),
		Guardian: slices.Contains(m.Yes, value(c.Guardian)),
	}}
	var taken *Withdrawal
	if value(c.Withdrawn) != "" { // looked at first: a row is taken in whole or not at all
		when, f := instant(c.Withdrawn)
		if f != nil {
			return 0, f
		}
		if when.Before(at) || when.After(in.desk.Now()) {
			return 0, &Fault{Field: c.Withdrawn, Problem: "the withdrawal lies before the consent, or in the future", Remedy: "correct the times"}
		}
		taken = &Withdrawal{Person: form.Person, At: when, Route: m.Route, Actor: m.Actor}
	}
	ok, err := in.receipt(form)
	if err != nil {
		return 0, faultOf(err, c.Person)
	}
	if ok {
		entered = 1
	}
	if taken != nil {
		ok, err := in.withdrawal(*taken)
		if err != nil {
			return entered, faultOf(err, c.Withdrawn)
		}
		if ok {
			entered += 2
		}
	}
	return entered, nil
}

func faultOf(err error, column string) *Fault {
	f := &Fault{Field: column, Problem: err.Error(), Remedy: "correct the row and import the file again"}
	if errors.Is(err, ErrGuardian) {
		f.Remedy = "have a guardian sign, and say so in the column for guardians"
	}
	return f
}
