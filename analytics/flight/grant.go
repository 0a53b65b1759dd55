package flight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meguri/analytics/duck"
)

// Basis is the ground in law on which somebody outside may work with the rows
// of the lake. There are two; whoever has neither gets statistics.
type Basis string

// The bases. Articles are of the Act on the Protection of Personal Information,
// for 仮名加工情報 by way of Art. 41(6).
const (
	Contract Basis = "contract"  // 委託, Art. 27(5)(i)
	JointUse Basis = "joint_use" // 共同利用, Art. 27(5)(iii)
)

// Law names the articles of a basis.
func (b Basis) Law() string {
	switch b {
	case Contract:
		return "委託（個人情報保護法 第27条第5項第1号、第41条第6項）"
	case JointUse:
		return "共同利用（個人情報保護法 第27条第5項第3号、第41条第6項）"
	}
	return ""
}

// Grant lets one analyst work for one purpose, until an end.
type Grant struct {
	ID           string
	Name         string // of the analyst
	Organisation string
	Basis        Basis
	Purpose      string   // code of a registered one
	Tables       []string // some of duck.SandboxTables
	TokenDigest  string
	CreatedAt    time.Time
	From         time.Time
	Until        time.Time
	RevokedAt    time.Time // zero while it is not
	Most         Volume    // of all answers and files together, from beginning to end
	Used         Volume    // of it; the store counts
}

// Volume is how much has left, or may.
type Volume struct{ Rows, Bytes int64 }

// Room reports whether anything more may leave under a grant.
func (g Grant) Room() bool { return g.Used.Rows < g.Most.Rows && g.Used.Bytes < g.Most.Bytes }

// longestGrant is how long a grant may last. Work that goes on is granted anew.
const longestGrant = 366 * 24 * time.Hour

// Check returns what is wrong with a grant that somebody wants to make.
func (g Grant) Check(now time.Time) error {
	for what, text := range map[string]string{"name": g.Name, "organisation": g.Organisation, "purpose": g.Purpose} {
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("a grant needs the %s", what)
		}
	}
	if g.Basis.Law() == "" {
		return fmt.Errorf("there is no basis %q: it is %s (委託) or %s (共同利用), and without one of them nobody may see rows", g.Basis, Contract, JointUse)
	}
	if !g.Until.After(g.From) || !g.Until.After(now) {
		return fmt.Errorf("the grant ends at %s, before it begins or in the past", g.Until.Format(time.RFC3339))
	}
	if g.Until.Sub(g.From) > longestGrant {
		return errors.New("a grant lasts for a year at most: make a new one when it ends")
	}
	if g.Most.Rows < 1 || g.Most.Bytes < 1 {
		return errors.New("a grant says how many rows and bytes it gives in all, at least 1 of each")
	}
	if len(g.Tables) == 0 {
		return errors.New("a grant names at least one table")
	}
	for _, t := range g.Tables {
		if !slices.Contains(duck.SandboxTables, t) {
			return fmt.Errorf("there is no table %q; there are %s", t, strings.Join(duck.SandboxTables, ", "))
		}
	}
	return nil
}

// State says in one word whether a grant works at a time: active, future,
// ended or revoked.
func (g Grant) State(now time.Time) string {
	switch {
	case !g.RevokedAt.IsZero():
		return "revoked"
	case now.Before(g.From):
		return "future"
	case !now.Before(g.Until):
		return "ended"
	}
	return "active"
}

// Kind is what an entry of the log is about.
type Kind string

// The kinds of entries.
const (
	Granted   Kind = "grant"     // a grant was made
	Revoked   Kind = "revoke"    // and taken back
	Opened    Kind = "session"   // an analyst's session began
	Ended     Kind = "end"       // and ended
	Began     Kind = "statement" // a statement is about to run, or is refused
	Answered  Kind = "answer"    // it has run; nothing of the answer has left yet
	Provision Kind = "provision" // rows left in a file, on the ground of joint use
	Denied    Kind = "denied"    // a call under a grant that is not in force
)

// Entry is a line of the log. It has no results, and no messages of the
// database, which might quote some.
type Entry struct {
	Number     int64 // 1, 2, 3 …; the log gives it
	At         time.Time
	Kind       Kind
	Grant      string
	Who        string // name and organisation
	Basis      Basis
	Purpose    string
	Session    string
	Statement  string // joins an answer to its statement
	Text       string
	Parameters string
	Snapshot   int64
	Rows       int64
	Bytes      int64
	Took       time.Duration
	Outcome    string // "ok", "refused", "timeout", "memory", "too_large", "used_up", "error", "cancelled"
	Client     string // network address
	Recipient  string // of a provision, as File and SHA256 are
	File       string
	SHA256     string
}

// entry is a log entry of a grant.
func (g Grant) entry(kind Kind, at time.Time) Entry {
	return Entry{At: at, Kind: kind, Grant: g.ID, Who: g.Name + " (" + g.Organisation + ")", Basis: g.Basis, Purpose: g.Purpose}
}

// Errors of a store.
var (
	ErrNotFound = errors.New("there is no such grant")
	ErrUsedUp   = errors.New("the grant's rows or bytes are used up")
)

// Log takes entries and never lets go of one.
type Log interface {
	Append(ctx context.Context, e Entry) error
}

// Store keeps grants and the log. Making and revoking a grant is entered in the
// log in the same transaction. Package sqlstore has the one there is.
type Store interface {
	Log
	PutGrant(ctx context.Context, g Grant) error
	Grant(ctx context.Context, id string) (Grant, error)
	GrantByToken(ctx context.Context, digest string) (Grant, error)
	Grants(ctx context.Context) ([]Grant, error)
	Revoke(ctx context.Context, id string, at time.Time) error
	// Take appends an entry about what is about to leave, and counts its rows and
	// bytes, in one transaction. When the grant has not so much left it does
	// neither and returns ErrUsedUp.
	Take(ctx context.Context, e Entry) error
	// Entries are those of a grant, or all for "", after a number.
	Entries(ctx context.Context, grant string, after int64, limit int) ([]Entry, error)
}

// MadeEntry is what the log says of a grant that is made, and RevokedEntry of
// one that is taken back.
func (g Grant) MadeEntry() Entry {
	e := g.entry(Granted, g.CreatedAt)
	e.Outcome = "ok"
	e.Text = fmt.Sprintf("until %s, tables %s, at most %d rows and %d bytes", g.Until.UTC().Format(time.RFC3339), strings.Join(g.Tables, ","), g.Most.Rows, g.Most.Bytes)
	return e
}

// RevokedEntry: see MadeEntry.
func (g Grant) RevokedEntry(at time.Time) Entry {
	e := g.entry(Revoked, at)
	e.Outcome = "ok"
	return e
}
