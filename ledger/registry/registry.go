// Package registry knows who takes part: residents (利用者), shops (店舗), the
// staff who may open pages, and the client programs that may call the APIs.
//
// Start with [Store]. Residents are personal data: this package belongs to the
// personal plane, and nothing of a [Resident] but what a policy allows reaches
// the lake. Passwords are kept as argon2id, client tokens as a digest.
package registry

import (
	"context"
	"errors"
	"time"
)

// Sex as residents state it. Unknown is an answer too.
type Sex string

// The answers that forms offer, after the census's categories.
const (
	Female  Sex = "female"
	Male    Sex = "male"
	Other   Sex = "other"
	Unknown Sex = "unknown"
)

// Resident is a person with a wallet.
type Resident struct {
	ID           string
	Name         string
	Phone        string // E.164
	BornOn       string // YYYY-MM-DD, "" when not told
	Sex          Sex
	Area         string // town or district of residence, as the city names it
	ConsentID    string // what the resident agreed to; stands on every row kept
	Test         bool   // staff and test users are left out of every statistic
	RegisteredAt time.Time
	ErasedAt     time.Time // when all of the above but ID and RegisteredAt was emptied; zero if it was not
}

// Shop takes payments. Merchant is the business behind it, which may have
// several shops (本部と店舗). Operator is who runs it (運営者), a corporate number
// or another code: shops of one operator are one respondent of the statistics.
// "" is the shop itself.
type Shop struct {
	ID       string
	Name     string
	Merchant string
	Operator string
	Industry string // code, see the lake's list of industries
	Area     string
	JoinedAt time.Time
}

// Role is what a member of staff may do. Deny is the default: a role has the
// operations that are listed for it and no other.
type Role string

// The roles that pages know.
const (
	Office     Role = "office" // 運営事務局
	City       Role = "city"   // 自治体: reads statistics
	Shopkeeper Role = "shop"   // 店舗: its own report
)

// Staff is somebody who logs in to pages.
type Staff struct {
	Login        string
	PasswordHash string // argon2id, PHC string format
	Role         Role
	Shop         string // for Shopkeeper: whose report
}

// Client is a program that calls an API with a bearer token.
type Client struct {
	ID          string
	TokenDigest string   // SHA-256 of the token, hex; the token itself is never kept
	Scopes      []string // what the contracts call scopes
}

// ErrNotFound: the registry has no such entry.
var ErrNotFound = errors.New("not found in the registry")

// ErrConflict: the entry exists with other content.
var ErrConflict = errors.New("already registered with other content")

// Store keeps the registry. Put methods are idempotent: the same content twice
// changes nothing.
type Store interface {
	// PutResidents adds residents, or returns ErrConflict when one of them is
	// registered with other content.
	PutResidents(ctx context.Context, residents ...Resident) error
	// Residents returns up to limit residents in ID order, after the given ID,
	// without those who were erased.
	Residents(ctx context.Context, after string, limit int) ([]Resident, error)
	Resident(ctx context.Context, id string) (Resident, error)

	PutShops(ctx context.Context, shops ...Shop) error
	Shops(ctx context.Context, after string, limit int) ([]Shop, error)
	Shop(ctx context.Context, id string) (Shop, error)

	PutStaff(ctx context.Context, s Staff) error // replaces
	Staff(ctx context.Context, login string) (Staff, error)
	AllStaff(ctx context.Context) ([]Staff, error)
	DeleteStaff(ctx context.Context, login string) error

	PutClient(ctx context.Context, c Client) error // replaces
	// ClientByToken returns the client whose token has the digest.
	ClientByToken(ctx context.Context, digest string) (Client, error)
	AllClients(ctx context.Context) ([]Client, error)
	DeleteClient(ctx context.Context, id string) error
}
