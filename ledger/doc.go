// Package ledger is the double-entry core: accounts, and transactions of
// several transfers between them, in whole yen.
//
// Start with [Transaction], which says what is to happen, and [Fold], the pure
// function that decides whether it does. A [Store] keeps the result; [Writer]
// gathers what arrives while the last batch is committing and posts it as one.
// [Verify] recomputes everything from what is posted.
//
// What a ledger promises here:
//
//   - Money is int64 yen ([Yen]), never a float. An overflow is a refusal.
//   - Every transfer takes from one account what it gives to another of the
//     same programme, so every transaction sums to zero per programme.
//   - Posted rows are never changed or deleted. A correction is a new
//     transaction that names the old one as its parent.
//   - A transaction's ID is its idempotency key, and never expires. The same ID
//     with the same content gives the same answer, a refusal included; with
//     other content it is [ErrConflict].
//   - Sequence numbers have no gap, and ledger time rises.
//   - Lots are accounts: a resident's value of one programme, expiry and
//     funding. What expires first is spent first; a reversal gives back to the
//     lots it came from.
//   - What is held counts as gone from the moment it commits, ends once, and
//     ends at its instant whether or not anybody looks.
//   - A close fixes a sequence number: nothing enters a closed period.
//
// The package knows no SQL and no HTTP and imports nothing of ours.
package ledger
