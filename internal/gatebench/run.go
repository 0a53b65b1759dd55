package gatebench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
	"meguri/analytics/disclosure/suppress"
)

// Figures are what protecting and auditing an instance came to.
type Figures struct {
	Cells, Primary, Secondary int
	Outsider, Insider         int // violations
	Protect, Audit            time.Duration
	PeakMiB                   float64 // of the heap, while it was protected and audited
}

// Run protects an instance by the p % rule and audits the outcome.
func Run(ctx context.Context, i Instance, percent float64) (Figures, error) {
	p, keys := i.Table().Problem(percent, suppress.Root)
	p.ByPercent()
	peak := watchHeap()
	began := time.Now()
	r, err := suppress.Protect(p)
	if err != nil {
		return Figures{}, fmt.Errorf("protect %s: %w", i.Name, err)
	}
	f := Figures{Cells: len(p.Cells), Primary: r.Primary, Secondary: r.Secondary, Protect: time.Since(began)}
	began = time.Now()
	report, err := audit.Audit(ctx, Dossier(p, keys, r, percent), audit.Options{})
	if err != nil {
		return Figures{}, fmt.Errorf("audit %s: %w", i.Name, err)
	}
	f.Audit = time.Since(began)
	f.PeakMiB = peak()
	for _, v := range report.Violations {
		if len(v.Attackers) == 0 {
			f.Outsider++
		} else {
			f.Insider++
		}
	}
	return f, nil
}

// Dossier is what was decided, for the auditor.
func Dossier(p *suppress.Problem, keys [][]string, r *suppress.Result, percent float64) *dossier.Dossier {
	d := &dossier.Dossier{Format: dossier.Format}
	sums := make([]float64, len(p.Leaves))
	for l, parts := range p.Leaves {
		leaf := dossier.Leaf{}
		for _, c := range parts {
			leaf.Parts = append(leaf.Parts, dossier.Part{Respondent: c.Respondent, Amount: c.Amount})
			sums[l] += c.Amount
		}
		d.Leaves = append(d.Leaves, leaf)
	}
	t := dossier.Table{Release: "1", Audience: "public", Measure: "yen", Rules: dossier.Rules{Name: "bench", Percent: percent}}
	for i, c := range p.Cells {
		cell := dossier.Cell{Keys: keys[i], Leaves: c.Leaves}
		if !r.Hidden[i] {
			value := 0.0
			for _, l := range c.Leaves {
				value += sums[l]
			}
			cell.Value = &value
		}
		t.Cells = append(t.Cells, cell)
	}
	d.Tables = []dossier.Table{t}
	return d
}

// watchHeap looks at the heap until the returned function is called, which
// returns the largest it was.
func watchHeap() func() float64 {
	done, answer := make(chan struct{}), make(chan float64)
	go func() {
		var largest uint64
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			largest = max(largest, m.HeapInuse)
			select {
			case <-done:
				answer <- float64(largest) / (1 << 20)
				return
			case <-tick.C:
			}
		}
	}()
	return func() float64 { close(done); return <-answer }
}
