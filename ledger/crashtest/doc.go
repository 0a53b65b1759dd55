// Package crashtest breaks what the ledger stands on, for real: it kills the
// program, the database server and single connections, stops processes, fills
// disks, fails syncs, takes the power away, and sets clocks wrong. It holds
// nothing but tests.
//
// The program that is killed is the test binary itself under another name
// (worker_test.go): a [ledger.Writer] with many clients. Each client writes what
// it sends to a log before it sends it, and what it is answered after it was
// answered. What must hold then is always the same (books_test.go):
//
//   - What was answered stands, with the content of the answer.
//   - What stands was sent, and stands once.
//   - What is sent again gets the answer that it got, or the one that it would
//     have got.
//   - What every client has is what follows from its own answers.
//   - [ledger.Verify] finds nothing.
//
// The cases are C1 to C8: fail points (failpoints_test.go), kills
// (kill_test.go), lost acknowledgements (ack_test.go), two writers
// (writers_test.go), loss of power (power_test.go), disks that fail
// (disk_test.go), clocks (clock_test.go) and the opening of a sale
// (drill_test.go).
package crashtest
