// Package sql holds every DuckDB statement, as files: event.sql and payment.sql
// lay the lake out for questions, query.sql begins every question, and m01a.sql
// and its like answer one metric each.
package sql

import "embed"

// Files are the statements.
//
//go:embed *.sql
var Files embed.FS
