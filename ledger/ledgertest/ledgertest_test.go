package ledgertest_test

import (
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/ledgertest"
)

func memory(_ testing.TB, now func() time.Time) ledger.Store { return ledgertest.NewMemory(now) }

func keeping(_ testing.TB, now func() time.Time) ledger.Store {
	return ledgertest.NewKeepingMemory(now)
}

func TestMemory_IsAStore(t *testing.T) { ledgertest.TestStore(t, memory) }

// A store may keep its state from one batch to the next.
func TestKeepingMemory_IsAStore(t *testing.T) { ledgertest.TestStore(t, keeping) }

func TestMemory_IsTheSameAsOneThatKeepsItsState(t *testing.T) {
	ledgertest.TestSame(t, map[string]ledgertest.Open{"memory": memory, "keeping": keeping})
}
