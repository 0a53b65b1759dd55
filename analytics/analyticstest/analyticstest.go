// Package analyticstest helps tests that put an engine of their own in the place
// of the real one.
package analyticstest

import (
	"fmt"

	"meguri/analytics"
)

// Behind makes up who stands behind the cells of a table: so many with equal
// parts that no rule finds a cell sensitive. What the table itself says of small
// cells is left to say.
func Behind(t analytics.Table, p analytics.Party) []analytics.Part {
	var parts []analytics.Part
	for _, c := range t.Cells {
		for i := range 100 {
			parts = append(parts, analytics.Part{Keys: c.Keys, Party: fmt.Sprint(p, "-", i), Yen: 1, Payments: 1})
		}
	}
	return parts
}
