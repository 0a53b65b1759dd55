// Package audit plays the attacker. It reads a dossier, looks at everything that
// is published in all of its tables together, and tries to find out what was
// hidden: as an outsider, as every single respondent who knows its own part, and
// as every two of them where the rules ask for it. Start with [Audit].
//
// It shares nothing with the engine that hides cells but the file. Which cells
// are sensitive, and how much protection each needs, it works out again from the
// parts of the leaves and the rules of the tables.
//
// A cell is found protected only by a witness: another table, which the attacker
// cannot tell from the true one, and in which the cell is as much larger or
// smaller as its protection asks. Witnesses come from linear programming, but
// they are believed only after plain arithmetic on the dossier itself: every
// published cell stays, no leaf falls below what the attacker knows, the cell
// moves far enough. A cell without witness is a violation if the linear program
// was solved to its end; anything else, such as a time-out, is an error, and an
// error means that nothing may leave.
//
// What attackers are taken to know: every published value exactly, that amounts
// are not negative, which leaves are nobody's or 0, their own amounts, and in
// which leaves they are alone. An attacker with no part in any leaf that differs
// between the true table and a witness knows no more about that witness than an
// outsider does. So only respondents with a part in it are asked one by one, and
// yet the answer is for all of them.
//
// A report names respondents and tells how near somebody can come to what they
// have. It is the office's, like the dossier, and never leaves.
package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"meguri/analytics/disclosure/dossier"
)

// Options are how to audit. The zero value is what a release needs.
type Options struct {
	// Intervals asks for the whole range of every hidden cell, as an outsider can
	// compute it. It takes much longer than the verdict.
	Intervals bool
	// Needless asks which hidden cells protect nothing: each is published and the
	// audit made anew. It takes as many audits as there are such cells.
	Needless bool
	// Unit is the smallest amount that counts: by so much a cell with too few
	// respondents must be uncertain. 0 is 1.
	Unit float64
	// Workers is how many cells are looked at at a time. 0 is as many as the
	// machine has processors. The verdict is the same for any number.
	Workers int
}

// ErrInconsistent says that a dossier contradicts itself: a published cell is
// not the sum of its parts, or two cells are the same sum and differ.
var ErrInconsistent = errors.New("the dossier contradicts itself")

// ErrMalformed says that a dossier, or a rule in it, is none that can be audited.
var ErrMalformed = errors.New("the dossier cannot be audited")

// ErrNotAudited says that the audit did not come to its end. It is never a pass.
var ErrNotAudited = errors.New("not audited")

// Audit attacks a dossier, and reports what it could find out. With an error
// there is no report: what was not audited to the end must not be released.
func Audit(ctx context.Context, d *dossier.Dossier, o Options) (*Report, error) {
	began := time.Now()
	if o.Unit == 0 {
		o.Unit = 1
	}
	if !(o.Unit > 0) {
		return nil, fmt.Errorf("%w: the unit %v is no amount", ErrMalformed, o.Unit)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	m, err := newModel(d, o.Unit)
	if err != nil {
		return nil, err
	}
	r := &Report{Format: Format}
	m.count(r)
	m.published(r)
	workers, err := m.attack(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAudited, err)
	}
	for _, w := range workers {
		w.hand(r)
	}
	slices.SortFunc(r.Violations, compareViolations)
	slices.SortStableFunc(r.CellMargin, func(a, b CellReport) int { return compareNames(a.Name, b.Name) })
	r.least()
	r.Findings = m.findings(workers)
	r.Protected = len(r.Violations) == 0
	if o.Needless && r.Protected {
		if r.Needless, err = needless(ctx, d, m, o); err != nil {
			return nil, err
		}
	}
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}
