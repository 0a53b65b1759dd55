package safety

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

var marks = map[State][2]string{
	Met:      {"確認", "met"},
	IsStated: {"記載", "stated"},
	Unmet:    {"不足", "UNMET"},
	Advised:  {"推奨", "advised"},
	Outdated: {"期限切れ", "OUTDATED"},
}

func words(lang string, ja, en string) string {
	if lang == "en" {
		return en
	}
	return ja
}

func (r Report) mark(s State, lang string) string { return words(lang, marks[s][0], marks[s][1]) }

// Text writes the list for a terminal.
func (r Report) Text(w io.Writer, lang string) error {
	var b strings.Builder
	section := ""
	for _, x := range r.Results {
		if x.Section != section {
			section = x.Section
			fmt.Fprintf(&b, "%s\n", section)
		}
		must := words(lang, "任意", "optional")
		if x.Must {
			must = words(lang, "必須", "must")
		}
		fmt.Fprintf(&b, "  [%s] %s: %s（%s）\n      %s\n", r.mark(x.State, lang), x.ID, words(lang, x.Ja, x.En), must, x.Detail)
	}
	fmt.Fprintf(&b, words(lang, "必須で足りないもの: %d件\n", "musts that are unmet: %d\n"), r.Unmet)
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown writes the list as a table, for the office's files.
func (r Report) Markdown(w io.Writer, lang string) error {
	var b strings.Builder
	fmt.Fprintf(&b, words(lang, "# 安全管理措置の点検（%s）\n\n", "# Safety measures, %s\n\n"), r.At.Format(time.DateOnly))
	for _, c := range Components {
		fmt.Fprintf(&b, "- %s: %s\n", words(lang, c.Ja, c.En), words(lang, map[string]string{"basic": "基本事例", "enhanced": "強化事例"}[r.Profiles[c.ID]], r.Profiles[c.ID]))
	}
	b.WriteString(words(lang, "\n| 根拠 | 措置 | 必須 | 状態 | 確かめ方・記載 |\n", "\n| section | measure | must | state | how |\n") + "| --- | --- | --- | --- | --- |\n")
	for _, x := range r.Results {
		must := ""
		if x.Must {
			must = words(lang, "必須", "must")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", x.Section, words(lang, x.Ja, x.En), must, r.mark(x.State, lang), strings.ReplaceAll(x.Detail, "|", `\|`))
	}
	fmt.Fprintf(&b, words(lang, "\n必須で足りないもの: %d件\n", "\nMusts that are unmet: %d\n"), r.Unmet)
	_, err := io.WriteString(w, b.String())
	return err
}

// JSON writes the list for programs.
func (r Report) JSON(w io.Writer, _ string) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Table is the part of the list of a pattern that the documents show.
func Table(pattern Profile) string {
	var b strings.Builder
	b.WriteString("| 根拠 | 番号 | 措置 | 必須 | 確かめ方 |\n| --- | --- | --- | --- | --- |\n")
	for _, m := range Measures {
		if m.Pattern != pattern {
			continue
		}
		must, how := "", "実施して `stated: "+m.ID+"` に記載"
		if m.Must {
			must = "必須"
		}
		if m.Live() {
			how = "プログラムが確認"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", m.Section, m.ID, m.Ja, must, how)
	}
	return b.String()
}

// Profiles is the table of components that the documents show.
func Profiles() string {
	var b strings.Builder
	b.WriteString("| 部分 | 設定名 | 生データ | 標準 |\n| --- | --- | --- | --- |\n")
	for _, c := range Components {
		raw := "いいえ"
		if c.Raw {
			raw = "はい（強化事例でなければ起動しない）"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", c.Ja, c.ID, raw, map[Profile]string{Basic: "基本事例", Enhanced: "強化事例"}[c.Default])
	}
	return b.String()
}
