// Package api is the HTTP side of Meguri, and only that: it decodes a request,
// calls the room that knows the answer, and encodes it. Start with [New] and
// [Deps].
//
// What it promises:
//
//   - Nothing is open by default. An API operation needs a scope that its
//     contract names, a page needs a role that [pageRoles] names; what stands
//     on neither list does not exist.
//   - Every fault, wherever it arises, leaves as one problem document
//     (RFC 9457) out of one table, problem.go. No answer repeats a value that
//     was submitted, and none tells what went wrong inside.
//   - One log line per request. It never holds an amount, a token, a query or
//     the identifier of a person.
//
// It never holds a raw table: statistics come through the disclosure gate.
package api
