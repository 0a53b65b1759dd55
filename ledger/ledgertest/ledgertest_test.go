package ledgertest_test

import (
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/ledgertest"
)

func memory(_ testing.TB, now func() time.Time) ledger.Store { return ledgertest.NewMemory(now) }

func TestMemory_IsAStore(t *testing.T) { ledgertest.TestStore(t, memory) }

func TestMemory_IsTheSameTwice(t *testing.T) {
	ledgertest.TestSame(t, map[string]ledgertest.Open{"one": memory, "another": memory})
}
