// Package pseudonymize turns personal rows into 仮名加工情報: tokens for
// identifiers, bands for ages, days for instants, and nothing at all for the
// rest. Start with [Policy], the document that says what becomes of every
// column, and [Tokenizer], which makes the tokens.
//
// What it promises:
//
//   - Default deny: a column that the policy does not name stops the run with
//     the column's name (enforcement rules of the APPI, Rule 31(1)–(3)).
//   - A token is the output of a keyed pseudorandom function, never a bare
//     hash (PPC guideline 3-2-2-1): without the keyset nobody can compute it
//     from an identifier, not even by trying every telephone number.
//   - Tokens of different domains and sources cannot be joined.
//
// It reads and writes no files of its own, and it never logs.
package pseudonymize
