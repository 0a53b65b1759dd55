package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// JSON writes the report with everything in it.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// words are the report's sentences in one language.
type words struct {
	protected, open                     string
	tables, cells, sums                 string
	attackers, effort, seconds          string
	least, violations, more, findings   string
	needless                            string
	violation                           map[Kind]string
	finding                             map[FindingKind]string
	direction                           map[string]string
	respondents, needs, published, both string
}

var texts = map[string]words{
	"en": {
		protected:  "protected: no attacker comes too near to any hidden cell",
		open:       "NOT PROTECTED: %d violations",
		tables:     "tables\t%d, with %d cells",
		cells:      "hidden\t%d: %d sensitive, %d to protect them",
		sums:       "seen by attackers\t%d different sums over %d unknown amounts",
		attackers:  "questions\t%d of outsiders, %d of single respondents, %d of coalitions of two",
		effort:     "answers\t%d other tables, %d used again; %d linear programs, %d steps",
		seconds:    "time\t%.2f s",
		least:      "least margin\t%s: at least %.3g times the protection that it needs",
		violations: "violations",
		more:       "… and %d more (the JSON report has them all)",
		findings:   "worth a look",
		needless:   "hidden for nothing (any one of them could be published)",
		violation: map[Kind]string{
			Published:  "is published although it is sensitive",
			Outsider:   "an outsider comes too near",
			Respondent: "a respondent comes too near",
			Coalition:  "two respondents together come too near",
		},
		finding: map[FindingKind]string{
			Zero:      "is hidden and known to be 0",
			Redundant: "is hidden and can be computed from what is published; it is not sensitive",
			Dominated: "is published, and what is hidden in it breaks the p % rule as a whole",
		},
		direction:   map[string]string{"up": "upwards", "down": "downwards"},
		respondents: " (respondents %v)",
		needs:       ": %s by %.6g, and needs %.6g",
		published:   ", and needs a protection of %.6g",
		both:        "%s: %s",
	},
	"ja": {
		protected:  "保護されています：どの攻撃者も秘匿セルに近づきすぎません",
		open:       "保護されていません：違反 %d 件",
		tables:     "表\t%d 表、%d セル",
		cells:      "秘匿\t%d：一次秘匿 %d、二次秘匿 %d",
		sums:       "攻撃者に見えるもの\t合計 %d 種類、未知の値 %d 個",
		attackers:  "検査\t外部 %d、単独の回答者 %d、二者の結託 %d",
		effort:     "証拠\t別の表 %d、再利用 %d、線形計画 %d、反復 %d",
		seconds:    "時間\t%.2f 秒",
		least:      "最小の余裕\t%s：必要な保護の %.3g 倍以上",
		violations: "違反",
		more:       "… ほか %d 件（すべては JSON にあります）",
		findings:   "確認のお願い",
		needless:   "不要な秘匿（どれか一つなら公表できます）",
		violation: map[Kind]string{
			Published:  "秘匿すべきなのに公表されています",
			Outsider:   "外部の者が近づきすぎます",
			Respondent: "回答者の一人が近づきすぎます",
			Coalition:  "回答者二者が協力すると近づきすぎます",
		},
		finding: map[FindingKind]string{
			Zero:      "秘匿されていますが 0 と分かります",
			Redundant: "秘匿されていますが公表値から計算できます（秘匿の対象ではありません）",
			Dominated: "公表されており、その中の秘匿部分の合計が p % 規則に反します",
		},
		direction:   map[string]string{"up": "上", "down": "下"},
		respondents: "（回答者 %v）",
		needs:       "：%s方向に %.6g、必要 %.6g",
		published:   "（必要な保護 %.6g）",
		both:        "%s：%s",
	},
}

// Text writes the report for people, in "ja" or "en".
func (r *Report) Text(w io.Writer, lang string) error {
	t, ok := texts[lang]
	if !ok {
		return fmt.Errorf("the language %q is not there: ja or en", lang)
	}
	p := message.NewPrinter(language.English)
	var b strings.Builder
	line := func(format string, a ...any) { b.WriteString(p.Sprintf(format, a...) + "\n") }
	if r.Of != "" {
		line("── %s", r.Of)
	}
	if r.Protected {
		line(t.protected)
	} else {
		line(t.open, len(r.Violations))
	}
	line(t.tables, r.Tables, r.Cells)
	line(t.cells, r.Hidden, r.Sensitive, r.Secondary)
	line(t.sums, r.Sums, r.Unknowns)
	line(t.attackers, r.Outsider, r.Respondents, r.Coalitions)
	line(t.effort, r.Witnesses, r.Reused, r.Programmes, r.Steps)
	if r.Least != nil && r.Protected {
		line(t.least, r.Least.Name.String(), float64(r.Least.Margin))
	}
	line(t.seconds, r.Seconds)
	const most = 50
	if len(r.Violations) > 0 {
		line("\n%s", t.violations)
	}
	for i, v := range r.Violations {
		if i == most {
			line(t.more, len(r.Violations)-most)
			break
		}
		line("%s", t.say(&v))
	}
	if len(r.Findings) > 0 {
		line("\n%s", t.findings)
	}
	for i, f := range r.Findings {
		if i == most {
			line(t.more, len(r.Findings)-most)
			break
		}
		line("%s", fmt.Sprintf(t.both, f.Cells[0], t.finding[f.Kind]))
	}
	if len(r.Needless) > 0 {
		line("\n%s", t.needless)
	}
	for i, n := range r.Needless {
		if i == most {
			line(t.more, len(r.Needless)-most)
			break
		}
		line("%s", n.String())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// say is a violation in a sentence.
func (t *words) say(v *Violation) string {
	s := fmt.Sprintf(t.both, v.Cells[0], t.violation[v.Kind])
	if len(v.Attackers) > 0 {
		s += fmt.Sprintf(t.respondents, v.Attackers)
	}
	if v.Kind == Published {
		return s + fmt.Sprintf(t.published, v.Needed)
	}
	return s + fmt.Sprintf(t.needs, t.direction[v.Direction], v.Reached, v.Needed)
}
