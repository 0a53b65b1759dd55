// Package rights is what the office owes to a person whose data it has: requests
// for disclosure, correction, stop of use and erasure (開示・訂正・利用停止・消去,
// Act 33 to 35), and deletion when data are no longer needed (Act 22). Start with
// [Desk] for requests, [Disclose] for a copy of what there is, and [Shredder] for
// deletion.
//
// # Deletion
//
// What deletes is an [Eraser]: each knows one place where data lie. The shredder
// asks it what would go, writes that down, has it erased, asks again, and takes
// only "nothing" for an answer. Then comes the next stage: intake is held first,
// then lake, segments, extracts and registry, so that nothing that is gone is made
// anew from what is still there. A run that was killed goes on at the stage where
// it was.
//
// At the end stands a receipt, signed with Ed25519: what went by data set, how
// many, a digest of the identities under a key that stays inside, when, and by
// which rule.
package rights
