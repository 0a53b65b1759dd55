package budget

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"
)

// Cost is what an answer costs, or what an account holds: exact fractions, which
// add up in any order.
type Cost struct {
	Value *big.Rat // ε or ρ, as the account's kind says
	Delta *big.Rat // δ; nil is 0
}

func (c Cost) check() error {
	switch {
	case c.Value == nil || c.Value.Sign() <= 0:
		return fmt.Errorf("%w: its cost is not positive", ErrMechanism)
	case long(c.Value) || c.Delta != nil && long(c.Delta):
		return fmt.Errorf("%w: its cost is too long a fraction", ErrMechanism)
	case c.Delta != nil && c.Delta.Sign() < 0:
		return fmt.Errorf("%w: its δ is negative", ErrMechanism)
	}
	return nil
}

// long keeps sums of many fractions from growing without end.
func long(x *big.Rat) bool { return x.Num().BitLen() > 64 || x.Denom().BitLen() > 64 }

// delta is Delta, never nil.
func (c Cost) delta() *big.Rat {
	if c.Delta == nil {
		return new(big.Rat)
	}
	return c.Delta
}

// Account is what a recipient may spend since some time, or, where that is zero,
// once and for all: what it learns in one period and the next adds up. Limits of
// ρ and ε cannot be mixed.
type Account struct {
	Recipient string
	Kind      Kind
	Limit     Cost
	Since     time.Time
}

// Entry is a spend. Entries are only ever added.
type Entry struct {
	Recipient   string    `json:"recipient"`
	Seq         int64     `json:"seq"` // 1, 2, 3 … for each recipient
	Kind        Kind      `json:"kind"`
	Cost        string    `json:"cost"`  // ε or ρ, a fraction in lowest terms
	Delta       string    `json:"delta"` // a fraction in lowest terms
	Fingerprint string    `json:"fingerprint"`
	Answer      []byte    `json:"answer"` // as it was given
	At          time.Time `json:"at"`     // UTC, whole microseconds
	Previous    string    `json:"previous"`
	Hash        string    `json:"hash"` // of all above; Previous is that of the entry before
}

// seal is what Hash has to be.
func (e Entry) seal() string {
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("budget: an entry does not make JSON: %v", err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Store keeps entries. It never changes or removes one.
type Store interface {
	// Entries are those of a recipient in order of Seq; none is no error.
	Entries(ctx context.Context, recipient string) ([]Entry, error)
	// Append adds an entry if its Seq is one more than the last one's of its
	// recipient, and returns ErrConflict otherwise. It is atomic, and has kept the
	// entry for good when it returns.
	Append(ctx context.Context, e Entry) error
}

// Accounts spends from accounts. It is safe for concurrent use, also by several
// processes with one Store.
type Accounts struct {
	Store Store
	// Find returns the account of a recipient, or ErrNoAccount.
	Find func(ctx context.Context, recipient string) (Account, error)
	Now  func() time.Time
}

// Spend returns the answer with a fingerprint that the recipient was given
// before, at no cost; repeated is true then. Otherwise it makes the answer,
// records it with its cost, and returns it. Nothing is made if the account does
// not hold the cost; an answer that could not be recorded is not returned.
//
// The error is ErrUsedUp, ErrNoAccount, ErrMechanism for a cost that is none or
// of another kind than the account, ErrBroken if earlier entries have been
// changed, or what make or the store returned.
func (a *Accounts) Spend(ctx context.Context, recipient string, kind Kind, cost Cost, fingerprint string, make func() ([]byte, error)) (answer []byte, repeated bool, err error) {
	if err := cost.check(); err != nil {
		return nil, false, err
	}
	account, err := a.Find(ctx, recipient)
	if err != nil {
		return nil, false, fmt.Errorf("find the account: %w", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		entries, spent, err := a.entries(ctx, account)
		if err != nil {
			return nil, false, err
		}
		for _, e := range entries {
			if e.Fingerprint == fingerprint {
				return slices.Clone(e.Answer), true, nil
			}
		}
		if kind != account.Kind {
			return nil, false, fmt.Errorf("%w: the account counts %s, not %s", ErrMechanism, account.Kind, kind)
		}
		left := account.left(spent)
		if left.Value.Cmp(cost.Value) < 0 || left.Delta.Cmp(cost.delta()) < 0 {
			return nil, false, fmt.Errorf("%w: the answer costs %s = %s, and %s is left of %s", ErrUsedUp,
				kind, cost.Value.RatString(), left.Value.RatString(), account.Limit.Value.RatString())
		}
		if answer == nil {
			if answer, err = make(); err != nil {
				return nil, false, err
			}
		}
		e := Entry{
			Recipient: recipient, Seq: int64(len(entries)) + 1, Kind: kind, Cost: cost.Value.RatString(), Delta: cost.delta().RatString(),
			Fingerprint: fingerprint, Answer: answer, At: a.Now().UTC().Truncate(time.Microsecond),
		}
		if len(entries) > 0 {
			e.Previous = entries[len(entries)-1].Hash
		}
		e.Hash = e.seal()
		err = a.Store.Append(ctx, e)
		if err == nil {
			return slices.Clone(answer), false, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, false, fmt.Errorf("record the spend: %w", err)
		}
	}
}

// Left is what a recipient's account still holds.
func (a *Accounts) Left(ctx context.Context, recipient string) (Cost, error) {
	account, err := a.Find(ctx, recipient)
	if err != nil {
		return Cost{}, fmt.Errorf("find the account: %w", err)
	}
	_, spent, err := a.entries(ctx, account)
	if err != nil {
		return Cost{}, err
	}
	return account.left(spent), nil
}

// Answers is how many answers a recipient was given, ever.
func (a *Accounts) Answers(ctx context.Context, recipient string) (int, error) {
	list, err := a.Store.Entries(ctx, recipient)
	return len(list), err
}

func (a Account) left(spent Cost) Cost {
	return Cost{new(big.Rat).Sub(a.Limit.Value, spent.Value), new(big.Rat).Sub(a.Limit.delta(), spent.Delta)}
}

// entries reads the entries of an account, checks that they are the ones that
// were written, and adds up what they cost.
func (a *Accounts) entries(ctx context.Context, account Account) ([]Entry, Cost, error) {
	if account.Limit.Value == nil || account.Kind != Pure && account.Kind != ZCDP {
		return nil, Cost{}, fmt.Errorf("%w: its limit or kind is missing", ErrNoAccount)
	}
	list, err := a.Store.Entries(ctx, account.Recipient)
	if err != nil {
		return nil, Cost{}, fmt.Errorf("read the entries: %w", err)
	}
	spent := Cost{new(big.Rat), new(big.Rat)}
	previous := ""
	for i, e := range list {
		cost, ok := new(big.Rat).SetString(e.Cost)
		delta, is := new(big.Rat).SetString(e.Delta)
		if !ok || !is || e.Recipient != account.Recipient || e.Seq != int64(i)+1 || e.Previous != previous || e.Hash != e.seal() {
			return nil, Cost{}, fmt.Errorf("%w: entry %d", ErrBroken, i+1)
		}
		previous = e.Hash
		if e.At.Before(account.Since) {
			continue
		}
		if e.Kind != account.Kind {
			return nil, Cost{}, fmt.Errorf("%w: the account counts %s, and %s was spent in the same period", ErrMechanism, account.Kind, e.Kind)
		}
		spent.Value.Add(spent.Value, cost)
		spent.Delta.Add(spent.Delta, delta)
	}
	return list, spent, nil
}

// Memory is a Store that forgets when the process ends: for tests. Its zero
// value is empty.
type Memory struct {
	mu   sync.Mutex
	list map[string][]Entry
}

// Entries implements Store.
func (m *Memory) Entries(_ context.Context, recipient string) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.list[recipient])
	for i := range list {
		list[i].Answer = slices.Clone(list[i].Answer)
	}
	return list, nil
}

// Append implements Store.
func (m *Memory) Append(_ context.Context, e Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Seq != int64(len(m.list[e.Recipient]))+1 {
		return ErrConflict
	}
	if m.list == nil {
		m.list = map[string][]Entry{}
	}
	e.Answer = slices.Clone(e.Answer)
	m.list[e.Recipient] = append(m.list[e.Recipient], e)
	return nil
}
