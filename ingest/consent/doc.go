// Package consent is the law's side of the personal plane: for what a row may be
// used, who said so, and what was done about it. Start with [Desk].
//
// Everything is an entry of one log that is only appended to and chained by hash:
// the texts that residents were shown, the registry of purposes, notices of joint
// use (共同利用), other legal bases, each receipt and each withdrawal, and the
// records of provision (Act 29, 30). What is in force is worked out from the log.
//
// The pipeline asks one question of it, through [Coverage]: on which basis may
// this row of this person be used for this purpose? No answer means no use.
//
// # Rules of coverage
//
//   - A receipt covers the purposes and items that were agreed to, from its text's
//     data_from on, or from the moment of consent, to its data_until. It counts
//     until the text's ends_on.
//   - A withdrawal takes back what was agreed to until then, whichever came to the
//     log first. It covers rows of all times unless it says from when. Whoever
//     agrees again is covered again.
//   - An item is a data set or a field of one. A data set is covered when it was
//     agreed to as a whole, and not when any field of it was withdrawn.
//   - Entrustment and joint use cover a data set for a period, for everybody but
//     those who have withdrawn. What a law orders is not ended by a withdrawal.
//   - A person under hold (erasure, stop of use) is covered by nothing until a new
//     consent.
//   - A purpose that is not published yet, or has ended, covers nothing.
//
// Whoever reads the lake's rows or hands statistics out names a purpose too; see
// [Desk.Use] and [Register.InForce].
package consent
