package evidence

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"meguri/pseudonymize"
	"meguri/pseudonymize/scan"
)

// Format is the version of the form of evidence.json.
const Format = "meguri-evidence/1"

// Run is what the caller knows of a run.
type Run struct {
	At       time.Time
	Project  string
	Epoch    uint32 // of the key
	Snapshot int64  // of the lake
	RowsRead int64  // before rows were held back or left out
	Held     int64  // rows without a link or a legal basis yet
	Excluded int64  // rows of test users
	Program  string // version of the program
	Files    []File
}

// File is a file that the run wrote.
type File struct {
	Path   string `json:"path"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Evidence is the record of a run over one dataset.
type Evidence struct {
	Format        string    `json:"format"`
	Dataset       string    `json:"dataset"`
	Project       string    `json:"project"`
	Purpose       string    `json:"purpose"`
	At            time.Time `json:"at"`
	Program       string    `json:"program,omitempty"`
	PolicyVersion string    `json:"policy_version"`
	PolicySHA256  string    `json:"policy_sha256"`
	KeyEpoch      uint32    `json:"key_epoch"`
	Snapshot      int64     `json:"snapshot"`
	RowsRead      int64     `json:"rows_read"`
	RowsHeld      int64     `json:"rows_held"`
	RowsExcluded  int64     `json:"rows_excluded"`
	RowsWritten   int64     `json:"rows_written"`
	Columns       []Column  `json:"columns"`
	Scanners      []Scanner `json:"scanners"`
	Files         []File    `json:"files"`
}

// Column is what became of a column.
type Column struct {
	Name       string      `json:"name"`
	Action     string      `json:"action"`
	As         string      `json:"as,omitempty"`
	Type       string      `json:"type,omitempty"`
	Clause     int         `json:"rule_31_clause,omitempty"` // 1, 2 or 3; none where the column tells nothing of a person
	Law        string      `json:"law"`
	Parameters string      `json:"parameters,omitempty"`
	Reason     string      `json:"reason,omitempty"` // of free text
	Nulls      int64       `json:"nulls"`
	Withheld   int64       `json:"withheld"`
	Scanned    int         `json:"values_scanned"`
	Found      scan.Counts `json:"found,omitempty"`
	Exempt     []Exemption `json:"exempt,omitempty"`
}

// Exemption is what a policy lets a column have, and why.
type Exemption struct {
	Kind   scan.Kind `json:"kind"`
	Reason string    `json:"reason"`
}

// Scanner is a scanner that ran, and what it found in all columns.
type Scanner struct {
	Kind   scan.Kind `json:"kind"`
	Clause int       `json:"rule_31_clause"`
	Found  int       `json:"found"`
}

// Of makes the record of what a plan did in a run.
func Of(r pseudonymize.Report, run Run) (Evidence, error) {
	document, err := yaml.Marshal(r.Policy)
	if err != nil {
		return Evidence{}, fmt.Errorf("make evidence: %w", err)
	}
	sum := sha256.Sum256(document)
	e := Evidence{
		Format: Format, Dataset: r.Policy.Dataset, Project: run.Project, Purpose: r.Policy.Purpose, At: run.At.UTC(), Program: run.Program,
		PolicyVersion: r.Policy.Version, PolicySHA256: hex.EncodeToString(sum[:]), KeyEpoch: run.Epoch, Snapshot: run.Snapshot,
		RowsRead: run.RowsRead, RowsHeld: run.Held, RowsExcluded: run.Excluded, RowsWritten: r.Rows,
		Files: slices.Clone(run.Files), Columns: []Column{},
	}
	if e.Files == nil {
		e.Files = []File{}
	}
	slices.SortFunc(e.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	found := scan.Counts{}
	for _, c := range r.Columns {
		found.Add(c.Found)
		column := Column{
			Name: c.Rule.From, Action: string(c.Rule.Action), As: c.Rule.As, Type: c.Type, Clause: c.Rule.Clause(), Law: c.Rule.Law,
			Parameters: c.Rule.Parameters(), Reason: c.Rule.Reason, Nulls: c.Nulls, Withheld: c.Withheld, Scanned: c.Scanned, Found: c.Found,
		}
		for _, x := range c.Rule.Exempt {
			column.Exempt = append(column.Exempt, Exemption(x))
		}
		e.Columns = append(e.Columns, column)
	}
	for _, kind := range scan.Kinds {
		e.Scanners = append(e.Scanners, Scanner{kind, kind.Clause(), found[kind]})
	}
	return e, nil
}

// Write writes evidence.json and evidence.html into a folder. The same record
// gives the same bytes.
func Write(dir string, r pseudonymize.Report, run Run) (Evidence, error) {
	e, err := Of(r, run)
	if err != nil {
		return e, err
	}
	var text, html bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := errors.Join(encoder.Encode(e), page.Execute(&html, e)); err != nil {
		return e, fmt.Errorf("make evidence: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return e, fmt.Errorf("write evidence: %w", err)
	}
	for name, content := range map[string][]byte{"evidence.json": text.Bytes(), "evidence.html": html.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o640); err != nil {
			return e, fmt.Errorf("write evidence: %w", err)
		}
	}
	return e, nil
}

//go:embed evidence.tmpl
var pageText string

var japanese = message.NewPrinter(language.Japanese)

var page = template.Must(template.New("evidence").Funcs(template.FuncMap{
	"action": func(a string) string { return actions[pseudonymize.Action(a)] },
	"kind":   func(k scan.Kind) string { return kinds[k] },
	"number": func(n any) string { return japanese.Sprintf("%d", n) },
	"under": func(e Evidence, clause int) (columns []Column) {
		for _, c := range e.Columns {
			if c.Clause == clause {
				columns = append(columns, c)
			}
		}
		return columns
	},
	"scanners": func(e Evidence, clause int) (found []Scanner) {
		for _, s := range e.Scanners {
			if s.Clause == clause {
				found = append(found, s)
			}
		}
		return found
	},
	"exempt": func(e Evidence) (exempt []Column) {
		for _, c := range e.Columns {
			if len(c.Exempt) > 0 || c.Reason != "" {
				exempt = append(exempt, c)
			}
		}
		return exempt
	},
	"local": func(t time.Time) string {
		return t.In(time.FixedZone("Asia/Tokyo", 9*60*60)).Format("2006年1月2日 15:04")
	},
}).Parse(pageText))

var actions = map[pseudonymize.Action]string{
	pseudonymize.Drop: "削除", pseudonymize.Keep: "そのまま", pseudonymize.Tokenize: "仮IDに置換", pseudonymize.AgeBand: "年齢階級に一般化",
	pseudonymize.Area: "地域に一般化", pseudonymize.AmountBand: "金額階級に一般化", pseudonymize.Category: "大きい分類に置換",
	pseudonymize.LocalTime: "分まで", pseudonymize.LocalHour: "時まで", pseudonymize.LocalDay: "日まで", pseudonymize.LocalWeek: "週まで",
	pseudonymize.LocalMonth: "月まで", pseudonymize.FreeText: "自由記述（検出分を削除）",
}

var kinds = map[scan.Kind]string{
	scan.Name: "氏名", scan.Phone: "電話番号", scan.Mail: "メールアドレス", scan.Address: "住所（番地まで）", scan.MyNumber: "個人番号",
	scan.Passport: "旅券番号", scan.Licence: "運転免許証番号", scan.Card: "クレジットカード番号", scan.Bank: "預金口座番号",
	scan.CPM: "利用者提示の決済コード", scan.Secret: "パスワード・認証情報",
}
