// Package scan looks for what must not be in pseudonymized rows: names,
// telephone numbers, addresses, 個人識別符号 (Rule 31(2)), and what could do
// somebody financial harm (Rule 31(3)). Start with [Column] and [Folder].
//
// It is the second line, behind the field policy: the policy says what goes on,
// and a scanner finds what a wrong mapping has put there. It says what kind of
// thing a column holds and how often, never a value. A detector asks for the
// check digit or the form that the real thing has, so that codes pass; a code
// that looks like the real thing all the same is exempted in the policy, with a
// reason. It finds forms. A person's name in the middle of a sentence it may
// well not find.
package scan
