// Package ledgertest is what every ledger.Store must pass: a conformance suite,
// and properties that hold it to a Model and to Books of its own. Call
// [TestStore] from the tests of a store, and [TestSame] with two or more.
package ledgertest

import (
	"sync"
	"testing"
	"time"

	"meguri/ledger"
)

// Clock is a clock that a test sets.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at noon of 3 June 2024 in Tokyo.
func NewClock() *Clock { return &Clock{now: time.Date(2024, 6, 3, 12, 0, 0, 0, ledger.Tokyo)} }

// Now is the time that was set.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock, back as well.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Open makes an empty store on a clock.
type Open func(t testing.TB, now func() time.Time) ledger.Store

// TestStore runs the suite.
func TestStore(t *testing.T, open Open) {
	t.Run("I1 to I11 hold, and every answer and row is the model's", func(t *testing.T) { testInvariants(t, open) })
	t.Run("I12: however the same transactions are cut into batches, they have the same answers and rows", func(t *testing.T) { testPartition(t, open) })
	t.Run("I14: the order of transactions that share no account changes only their places and times", func(t *testing.T) { testPermutation(t, open) })
}
