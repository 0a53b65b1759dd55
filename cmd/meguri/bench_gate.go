package main

import (
	"context"
	"fmt"

	"meguri/internal/gatebench"
)

// gateGoals are the goals of an instance: hidden cells, and seconds for
// protection and audit together, or for a table of persons for protection.
var gateGoals = map[string]struct{ secondary, seconds, mib float64 }{
	"inst1k":  {secondary: 225, seconds: 2},
	"inst10k": {secondary: 600, seconds: 30},
	"inst70k": {seconds: 15 * 60, mib: 4096},

	"million, two-dimensional":   {seconds: 5 * 60, mib: 4096},
	"million, three-dimensional": {seconds: 5 * 60, mib: 4096},
}

func (p *program) benchGate(ctx context.Context, amounts benchAmounts) ([]figure, error) {
	var figures []figure
	for _, i := range gatebench.Instances {
		if amounts.quick && i.Name != "inst1k" {
			continue
		}
		fmt.Fprintf(p.stderr, "  %s\n", i.Name)
		f, err := gatebench.Run(ctx, i, 10)
		if err != nil {
			return nil, err
		}
		goal := gateGoals[i.Name]
		both := (f.Protect + f.Audit).Seconds()
		figures = append(figures,
			figure{Name: fmt.Sprintf("%s: violations an outsider finds (%d cells, %d sensitive)", i.Name, f.Cells, f.Primary), Value: float64(f.Outsider), Unit: "cells", none: true},
			figure{Name: i.Name + ": violations any single shop finds", Value: float64(f.Insider), Unit: "cells", none: true},
			figure{Name: i.Name + ": hidden to protect others", Value: float64(f.Secondary), Unit: "cells", Goal: goal.secondary, atMost: true},
			figure{Name: i.Name + ": protection and audit (ratio: the audit's part)", Value: both, Unit: "s", Goal: goal.seconds, Ratio: f.Audit.Seconds() / both, atMost: true},
			figure{Name: i.Name + ": largest heap", Value: f.PeakMiB, Unit: "MiB", Goal: goal.mib, atMost: true},
		)
	}
	counts := gatebench.Large
	if amounts.quick {
		counts = gatebench.Small
	}
	for _, c := range counts {
		fmt.Fprintf(p.stderr, "  %s\n", c.Name)
		f, err := gatebench.RunCounts(ctx, c)
		if err != nil {
			return nil, err
		}
		goal, judge := gateGoals[c.Name], "the audit"
		if c.Arithmetic {
			judge = "the arithmetic of the proofs"
		}
		figures = append(figures,
			figure{Name: fmt.Sprintf("%s: violations found by %s (%d cells, %d sensitive)", c.Name, judge, f.Cells, f.Primary), Value: float64(f.Outsider), Unit: "cells", none: true},
			figure{Name: c.Name + ": hidden to protect others (ratio: to the sensitive)", Value: float64(f.Secondary), Unit: "cells", Ratio: float64(f.Secondary) / float64(f.Primary)},
			figure{Name: c.Name + ": protection (ratio: of " + judge + " to it)", Value: f.Protect.Seconds(), Unit: "s", Goal: goal.seconds, Ratio: f.Audit.Seconds() / f.Protect.Seconds(), atMost: true},
			figure{Name: c.Name + ": largest heap", Value: f.PeakMiB, Unit: "MiB", Goal: goal.mib, atMost: true},
		)
	}
	return figures, nil
}
