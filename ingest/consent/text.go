package consent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Text is a version of what residents are shown before they agree. It is never
// changed: another word is another version.
type Text struct {
	ID       string `yaml:"id" json:"id"`
	Version  string `yaml:"version" json:"version"`
	Language string `yaml:"language" json:"language"`
	Title    string `yaml:"title" json:"title"`
	Body     string `yaml:"body" json:"body"` // as it is shown

	Controller    Party    `yaml:"controller" json:"controller"`
	Items         []string `yaml:"items" json:"items"`     // data sets, or data set.field
	Sources       []string `yaml:"sources" json:"sources"` // 取得元
	Purposes      []string `yaml:"purposes" json:"purposes"`
	Matching      bool     `yaml:"matching" json:"matching"`           // 突合
	Pseudonymized bool     `yaml:"pseudonymized" json:"pseudonymized"` // 仮名加工
	Statistics    bool     `yaml:"statistics" json:"statistics"`
	JointNotice   string   `yaml:"joint_notice" json:"joint_notice,omitempty"` // ID of the notice, if used jointly
	DataFrom      string   `yaml:"data_from" json:"data_from,omitempty"`       // first day of the data; "" is the moment of consent
	DataUntil     string   `yaml:"data_until" json:"data_until,omitempty"`
	EndsOn        string   `yaml:"ends_on" json:"ends_on"`       // last day of the project
	Withdrawal    string   `yaml:"withdrawal" json:"withdrawal"` // how to withdraw, and what it does
	Outsourcing   string   `yaml:"outsourcing" json:"outsourcing"`
	Abroad        string   `yaml:"abroad" json:"abroad"` // handling in foreign countries
	Contact       string   `yaml:"contact" json:"contact"`
	GuardianUnder int      `yaml:"guardian_under" json:"guardian_under"` // children below this age need a guardian

	Hash string `yaml:"-" json:"hash"` // SHA-256 of all of the above
}

// Party is somebody with an address.
type Party struct {
	Name           string `yaml:"name" json:"name"`
	Address        string `yaml:"address" json:"address"`
	Representative string `yaml:"representative" json:"representative,omitempty"`
}

func (p Party) whole() bool { return p.Name != "" && p.Address != "" && p.Representative != "" }

// Key names a version: id/version/language.
func (t Text) Key() string { return t.ID + "/" + t.Version + "/" + t.Language }

// Example is a text to begin with.
const Example = `id: wallet
version: "2026-10"
language: ja
title: 地域ウォレットのデータ利活用への同意
controller: {name: めぐり市, address: めぐり市本町1-1, representative: 市長 巡 太郎}
items: [payment, person, shop]          # データの種類。項目だけなら payment.amount_yen
sources: [meguri]                       # 取得元（決済事業者、店舗、本人）
purposes: [shopping-access]             # 利用目的の番号（meguri purpose list）
matching: true                          # 突合するか
pseudonymized: true                     # 仮名加工情報にして分析するか
statistics: true                        # 統計にして提供するか
joint_notice: ""                        # 共同利用の公表の番号
data_from: ""                           # 対象データの最初の日。空なら同意の時から
data_until: ""
ends_on: 2029-03-31                     # 事業の終わり
withdrawal: アプリの「設定→同意」または窓口で、いつでも撤回できます。撤回すると、以後は使わず、分析用のデータからも消します。
outsourcing: システムの運用を委託します。
abroad: 外国では取り扱いません。
contact: めぐり市 商工課 0000-00-0000
guardian_under: 16                      # この年齢に満たない人は、保護者の同意が要る
body: |
  めぐり市は、地域ウォレットの決済データを、買い物の不便をなくすための分析に使います。
`

// ParseText reads a text in YAML. A key that does not exist is an error.
func ParseText(document []byte) (Text, error) {
	var t Text
	d := yaml.NewDecoder(bytes.NewReader(document))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil {
		return t, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := t.check(); err != nil {
		return t, err
	}
	t.Hash = ""
	whole, err := json.Marshal(t)
	if err != nil {
		return t, err
	}
	sum := sha256.Sum256(whole)
	t.Hash = hex.EncodeToString(sum[:])
	return t, nil
}

var (
	slug     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	itemForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,62})?$`)
)

// check names the first field that is missing or wrong: the law asks for each.
func (t Text) check() error {
	fault := func(field, problem string) error { return fmt.Errorf("%w: %s %s", ErrInvalid, field, problem) }
	for _, f := range []struct{ name, value string }{
		{"title", t.Title}, {"body", t.Body}, {"withdrawal", t.Withdrawal}, {"outsourcing", t.Outsourcing}, {"abroad", t.Abroad},
		{"contact", t.Contact}, {"ends_on", t.EndsOn},
	} {
		if strings.TrimSpace(f.value) == "" {
			return fault(f.name, "is empty: say it, even if it is \"none\"")
		}
	}
	switch {
	case !slug.MatchString(t.ID) || !slug.MatchString(t.Version):
		return fault("id or version", "is not made of letters, digits, dots, hyphens and underscores")
	case t.Language != "ja" && t.Language != "en":
		return fault("language", "is ja or en")
	case !t.Controller.whole():
		return fault("controller", "needs name, address and representative")
	case len(t.Items) == 0 || len(t.Purposes) == 0 || len(t.Sources) == 0:
		return fault("items, sources or purposes", "is empty")
	case t.GuardianUnder < 1 || t.GuardianUnder > 20:
		return fault("guardian_under", "is an age from 1 to 20")
	}
	if err := checkItems(t.Items); err != nil {
		return err
	}
	for _, day := range []string{t.DataFrom, t.DataUntil, t.EndsOn} {
		if _, err := begins(day); day != "" && err != nil {
			return err
		}
	}
	if t.DataUntil != "" && t.DataUntil < t.DataFrom {
		return fault("data_until", "lies before data_from")
	}
	return nil
}

func checkItems(items []string) error {
	for i, item := range items {
		if !itemForm.MatchString(item) {
			return fmt.Errorf("%w: an item is a data set, or data set.field, in small letters", ErrInvalid)
		}
		if slices.Contains(items[:i], item) {
			return fmt.Errorf("%w: an item stands twice", ErrInvalid)
		}
	}
	return nil
}

// dataset is the data set of an item, and whether the item is the whole of it.
func dataset(item string) (name string, whole bool) {
	name, _, field := strings.Cut(item, ".")
	return name, !field
}
