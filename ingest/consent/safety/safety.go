// Package safety is the law's safety measures (安全管理措置) as a list that a
// program can go through: the basic pattern (通則編 別添 10-1 to 10-7), the enhanced
// one (金融庁 実務指針) where raw personal data are handled, and what the Act asks of
// pseudonymized data. Start with [Refuse] and [Examine].
//
// A measure is looked at live where a program can see it. What it cannot see, like
// a locked door or an encrypted disk, somebody states in the configuration, with
// name and day; after a year it must be stated anew.
package safety

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Profile is a pattern of safety measures (IC-11).
type Profile string

// The profiles.
const (
	Basic    Profile = "basic"
	Enhanced Profile = "enhanced"
)

// Component is a part of the platform with a profile of its own.
type Component struct {
	ID      string
	Raw     bool // it holds raw personal data, or what leads back to a person
	Ja, En  string
	Default Profile
}

// Components are all of them.
var Components = []Component{
	{"ledger", true, "元帳", "ledger", Enhanced},
	{"registry", true, "利用者の登録簿", "registry of residents", Enhanced},
	{"ingest", true, "取込・同意・隔離（個人データ）", "importer, consents, quarantine (personal data)", Enhanced},
	{"keys", true, "鍵（削除情報等）", "keys (what leads back to persons)", Enhanced},
	{"lake", false, "レイク（仮名加工情報）", "lake (pseudonymized)", Basic},
	{"analysts", false, "分析者の入口（仮名加工情報）", "analysts' door (pseudonymized)", Basic},
	{"pages", false, "画面・統計API（統計情報）", "pages and statistics API (statistics)", Basic},
}

// Statement is what somebody says of a measure that a program cannot see.
type Statement struct {
	By   string `yaml:"by" json:"by"`
	On   string `yaml:"on" json:"on"` // YYYY-MM-DD
	Note string `yaml:"note" json:"note,omitempty"`
}

// Site is an installation.
type Site struct {
	Dir            string // data folder
	Listen         string
	Database       string // "" is SQLite in Dir
	PassphraseFile string
	Profiles       map[string]Profile
	Stated         map[string]Statement
	Now            time.Time

	// Ask are live measures that need more than files and settings, by their ID.
	Ask map[string]func(context.Context) (Finding, error)
}

// Finding is what a look at a measure found.
type Finding struct {
	Met    bool
	Ja, En string
}

func found(met bool, ja, en string) Finding { return Finding{met, ja, en} }

// ErrUnsafe: raw personal data would sit where the basic profile is.
var ErrUnsafe = errors.New("raw personal data need the enhanced safety measures (rule IC-11, 安全管理措置 強化事例)")

// ErrConfig: the setting names what is not there.
var ErrConfig = errors.New("the safety settings do not hold")

// Profile is the profile of a component.
func (s Site) Profile(c Component) Profile {
	if p := s.Profiles[c.ID]; p != "" {
		return p
	}
	return c.Default
}

// check refuses settings that name nothing, which would be believed to be in force.
func (s Site) check() error {
	for id, p := range s.Profiles {
		if !slices.ContainsFunc(Components, func(c Component) bool { return c.ID == id }) {
			return fmt.Errorf("%w: safety: there is no component %q", ErrConfig, id)
		}
		if p != Basic && p != Enhanced {
			return fmt.Errorf("%w: safety: %s is basic or enhanced", ErrConfig, id)
		}
	}
	for id, v := range s.Stated {
		if !slices.ContainsFunc(Measures, func(m Measure) bool { return m.ID == id && m.live == nil && !m.Asked }) {
			return fmt.Errorf("%w: stated: %q is not a measure that is stated: \"meguri doctor\" lists them", ErrConfig, id)
		}
		if _, err := time.Parse(time.DateOnly, v.On); v.By == "" || err != nil {
			return fmt.Errorf("%w: stated: %s needs by and on (YYYY-MM-DD)", ErrConfig, id)
		}
	}
	return nil
}

// Refuse returns an error when raw personal data would sit in a component with
// the basic profile. Programs that handle such data do not start then.
func Refuse(s Site) error {
	if err := s.check(); err != nil {
		return err
	}
	for _, c := range Components {
		if c.Raw && s.Profile(c) != Enhanced {
			return fmt.Errorf("%w: safety: %s is %s: set it to enhanced, see docs/safety/", ErrUnsafe, c.ID, s.Profile(c))
		}
	}
	if f := apart(s); !f.Met {
		return fmt.Errorf("%w: %s: move the folder, see docs/safety/", ErrUnsafe, f.En)
	}
	return nil
}

// State is how it stands with a measure.
type State string

// The states.
const (
	Met      State = "met"      // seen by the program
	IsStated State = "stated"   // said by somebody
	Unmet    State = "unmet"    // not met, or nobody has stated it
	Advised  State = "advised"  // the same, of a measure that is not a must
	Outdated State = "outdated" // stated more than a year ago
)

// Result is a measure and how it stands.
type Result struct {
	Measure
	State  State  `json:"state"`
	Detail string `json:"detail"`
}

// Report is the whole list.
type Report struct {
	At       time.Time         `json:"at"`
	Profiles map[string]string `json:"profiles"`
	Results  []Result          `json:"results"`
	Unmet    int               `json:"unmet"` // musts
}

// Examine goes through all measures. Lang is ja or en.
func Examine(ctx context.Context, s Site, lang string) (Report, error) {
	r := Report{At: s.Now.UTC(), Profiles: map[string]string{}}
	if err := s.check(); err != nil {
		return r, err
	}
	for _, c := range Components {
		r.Profiles[c.ID] = string(s.Profile(c))
	}
	for _, m := range Measures {
		state, f := Unmet, Finding{}
		look := func(context.Context) (Finding, error) { return m.live(s), nil }
		if m.Asked {
			if look = s.Ask[m.ID]; look == nil {
				return r, fmt.Errorf("measure %s: nothing looks at it: this is a fault of the program", m.ID)
			}
		}
		if m.Asked || m.live != nil {
			var err error
			if f, err = look(ctx); err != nil {
				return r, fmt.Errorf("measure %s: %w", m.ID, err)
			}
			if f.Met {
				state = Met
			}
		} else {
			state, f = s.stated(m)
		}
		if state == Unmet && !m.Must {
			state = Advised
		}
		if m.Must && (state == Unmet || state == Outdated) {
			r.Unmet++
		}
		detail := f.Ja
		if lang == "en" {
			detail = f.En
		}
		r.Results = append(r.Results, Result{m, state, detail})
	}
	return r, nil
}

func (s Site) stated(m Measure) (State, Finding) {
	v, there := s.Stated[m.ID]
	if !there {
		return Unmet, Finding{Ja: "未記載。実施したら設定の stated: " + m.ID + " に書いてください", En: "not stated: when it is done, write it under stated: " + m.ID}
	}
	said := strings.TrimSpace(v.By + "、" + v.On + " " + v.Note)
	f := Finding{Ja: said, En: strings.TrimSpace(v.By + ", " + v.On + " " + v.Note)}
	switch on, _ := time.Parse(time.DateOnly, v.On); {
	case on.After(s.Now):
		return Unmet, Finding{Ja: "記載の日付が未来です", En: "the day that is stated lies in the future"}
	case s.Now.After(on.AddDate(1, 0, 0)):
		return Outdated, Finding{Ja: said + "（1年を過ぎました。見直してください）", En: f.En + " (more than a year ago: look again)"}
	}
	return IsStated, f
}

// folders looks who may open what.
func folders(s Site) Finding {
	for _, f := range []struct {
		name   string
		others os.FileMode
	}{{"", 0o007}, {"personal", 0o077}, {"keys", 0o077}, {"ledger.sqlite", 0o007}, {"personal/ingest.sqlite", 0o007}, {"keys/keyset.json", 0o077}} {
		path := filepath.Join(s.Dir, filepath.FromSlash(f.name))
		info, err := os.Stat(path)
		if err != nil {
			continue // what is not there cannot be opened
		}
		open := info.Mode().Perm()&f.others != 0
		if !info.IsDir() && f.others == 0o007 { // it lies in a folder that was looked at
			parent, err := os.Stat(filepath.Dir(path))
			open = open && err == nil && parent.Mode().Perm()&0o007 != 0
		}
		if open {
			return found(false, fmt.Sprintf("%s を持ち主以外が開けます（chmod go-rwx）", path), fmt.Sprintf("%s can be opened by others (chmod go-rwx)", path))
		}
	}
	return found(true, "データフォルダ・personal・keys は持ち主だけ", "the data folder, personal and keys are their owner's alone")
}

// apart looks whether the planes lie apart, wherever links lead.
func apart(s Site) Finding {
	real := map[string]string{}
	for _, name := range []string{"personal", "keys", "lake"} {
		path, err := filepath.EvalSymlinks(filepath.Join(s.Dir, name))
		if err != nil {
			continue // not there yet
		}
		if path, err = filepath.Abs(path); err == nil {
			real[name] = path
		}
	}
	for a, pa := range real {
		for b, pb := range real {
			if a != b && (pa == pb || strings.HasPrefix(pa, pb+string(filepath.Separator))) {
				return found(false, fmt.Sprintf("%s が %s の中にあります", a, b), fmt.Sprintf("the folder %s lies inside %s", a, b))
			}
		}
	}
	return found(true, "personal・keys・lake は互いの外", "personal, keys and lake lie apart")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// path looks whether what goes over the network is encrypted: the server itself
// speaks HTTP, for a proxy on the same machine.
func path(s Site) Finding {
	host, _, err := net.SplitHostPort(s.Listen)
	if err == nil && loopback(host) {
		return found(true, s.Listen+"（この機械の中だけ。外へはTLSのプロキシから）", s.Listen+" (this machine alone; TLS is the proxy's)")
	}
	return found(false, s.Listen+" は暗号化されずに外から届きます。127.0.0.1 にして、TLSのプロキシを前に置いてください",
		s.Listen+" can be reached from outside without encryption: listen on 127.0.0.1 behind a proxy with TLS")
}

func database(s Site) Finding {
	if s.Database == "" {
		return found(true, "SQLite（この機械の中だけ）", "SQLite, on this machine alone")
	}
	u, err := url.Parse(s.Database)
	if err != nil {
		return found(false, "接続先を読めません", "the address cannot be read")
	}
	host := u.Hostname()
	if host == "" || strings.HasPrefix(host, "/") || loopback(host) {
		return found(true, "PostgreSQL（この機械の中だけ）", "PostgreSQL, on this machine alone")
	}
	switch mode := u.Query().Get("sslmode"); mode {
	case "verify-full", "verify-ca":
		return found(true, "PostgreSQL、TLS（"+mode+"）", "PostgreSQL over TLS ("+mode+")")
	}
	return found(false, "PostgreSQLへの接続が相手を確かめていません（sslmode=verify-full にしてください）",
		"PostgreSQL is not verified: set sslmode=verify-full")
}

func passphrase(s Site) Finding {
	if s.PassphraseFile == "" {
		return found(true, "合言葉はファイルにない（環境変数または入力）", "the passphrase is in no file (environment or terminal)")
	}
	info, err := os.Stat(s.PassphraseFile)
	if err != nil {
		return found(false, "合言葉のファイルがありません", "there is no file with the passphrase")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return found(false, "合言葉のファイルを持ち主以外が読めます（chmod 600）", "the file with the passphrase can be read by others (chmod 600)")
	}
	file, err1 := filepath.Abs(s.PassphraseFile)
	keys, err2 := filepath.Abs(s.Dir)
	if err1 == nil && err2 == nil && strings.HasPrefix(file, keys+string(filepath.Separator)) {
		return found(false, "合言葉が鍵と同じデータフォルダにあります。別の場所に置いてください", "the passphrase lies in the data folder, beside the keys: put it elsewhere")
	}
	return found(true, "合言葉のファイルは持ち主だけ、データフォルダの外", "the file is its owner's alone, outside the data folder")
}

func profiles(s Site) Finding {
	for _, c := range Components {
		if c.Raw && s.Profile(c) != Enhanced {
			return found(false, c.Ja+"が基本事例です", c.ID+" has the basic profile")
		}
	}
	return found(true, "生データを扱う部分はすべて強化事例", "whatever holds raw data has the enhanced profile")
}
