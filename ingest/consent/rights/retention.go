package rights

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"meguri/ingest/consent"
)

// Retention says how long each data set is kept, and why (Act 22).
type Retention struct {
	Version     string `yaml:"version"`
	ProjectEnds string `yaml:"project_ends"`
	Rules       []Rule `yaml:"rules"`
}

// Rule is the time of keeping of a data set.
type Rule struct {
	Dataset      string `yaml:"dataset"`
	Years        int    `yaml:"years"`
	Days         int    `yaml:"days"`
	Basis        string `yaml:"basis"`
	AtProjectEnd bool   `yaml:"at_project_end"` // all of it goes when the project is over
}

//go:embed retention.yaml
var defaultRetention []byte

// DefaultRetention is the document that comes with the program.
func DefaultRetention() []byte { return slices.Clone(defaultRetention) }

// ErrRetention: the document does not hold.
var ErrRetention = errors.New("the retention document does not hold")

// leastYears are the times that a law asks for.
var leastYears = map[string]int{"provision": consent.KeepYears}

// ParseRetention reads a document in YAML. A key that does not exist is an error.
func ParseRetention(document []byte) (Retention, error) {
	var r Retention
	d := yaml.NewDecoder(bytes.NewReader(document))
	d.KnownFields(true)
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrRetention, err)
	}
	if r.Version == "" || len(r.Rules) == 0 {
		return r, fmt.Errorf("%w: version or rules are missing", ErrRetention)
	}
	if _, err := time.Parse(time.DateOnly, r.ProjectEnds); r.ProjectEnds != "" && err != nil {
		return r, fmt.Errorf("%w: project_ends is a day, YYYY-MM-DD", ErrRetention)
	}
	for i, rule := range r.Rules {
		least := leastYears[rule.Dataset]
		switch {
		case rule.Dataset == "" || rule.Basis == "":
			return r, fmt.Errorf("%w: rule %d: data set or basis is missing", ErrRetention, i+1)
		case (rule.Years > 0) == (rule.Days > 0) || rule.Years < 0 || rule.Days < 0 || rule.Years > 100 || rule.Days > 36500:
			return r, fmt.Errorf("%w: rule %d: give years or days, above zero", ErrRetention, i+1)
		case rule.Years < least && rule.Days < least*366 || least > 0 && rule.AtProjectEnd:
			return r, fmt.Errorf("%w: rule %d: the law asks for %d years at least", ErrRetention, i+1, least)
		case slices.ContainsFunc(r.Rules[:i], func(o Rule) bool { return o.Dataset == rule.Dataset }):
			return r, fmt.Errorf("%w: rule %d: the data set has a rule already", ErrRetention, i+1)
		}
	}
	return r, nil
}

// cut is where a rule cuts at a time.
func (r Retention) cut(rule Rule, now time.Time) Cut {
	c := Cut{Dataset: rule.Dataset, Before: now.AddDate(-rule.Years, 0, -rule.Days), Rule: fmt.Sprintf("%s %s: ", r.Version, rule.Dataset)}
	switch {
	case rule.AtProjectEnd && r.ProjectEnds != "" && r.ProjectEnds < consent.Day(now):
		c.Before, c.Rule = time.Time{}, c.Rule+"project ended on "+r.ProjectEnds
	case rule.Years > 0:
		c.Rule += fmt.Sprintf("%d years", rule.Years)
	default:
		c.Rule += fmt.Sprintf("%d days", rule.Days)
	}
	return c
}

// Due is what a rule would delete now.
type Due struct {
	Rule Rule
	Cut  Cut
	Gone []Gone
	Err  error // wraps ErrNoEraser when nothing can carry the rule out
}

// PlanRetention says for each rule what would go now.
func (s *Shredder) PlanRetention(ctx context.Context, r Retention) ([]Due, error) {
	now := s.Consents.Now()
	var all []Due
	for _, rule := range r.Rules {
		d := Due{Rule: rule, Cut: r.cut(rule, now)}
		d.Gone, d.Err = s.Plan(ctx, Order{Cuts: []Cut{d.Cut}})
		if d.Err != nil && !errors.Is(d.Err, ErrNoEraser) {
			return nil, d.Err
		}
		all = append(all, d)
	}
	return all, nil
}

// RunRetention carries out all rules that can be carried out, in one order. When
// nothing is due there is no order and no receipt. The rules that nothing can
// carry out are the error, after the others were.
func (s *Shredder) RunRetention(ctx context.Context, r Retention, by string) (receipts []Signed, err error) {
	unfinished, err := s.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range unfinished {
		signed, err := s.Resume(ctx, id)
		if err != nil {
			return receipts, fmt.Errorf("go on with %s: %w", id, err)
		}
		receipts = append(receipts, signed)
	}
	plan, err := s.PlanRetention(ctx, r)
	if err != nil {
		return receipts, err
	}
	o := Order{Reason: "retention " + r.Version, By: by}
	var cannot []error
	for _, d := range plan {
		switch {
		case d.Err != nil:
			cannot = append(cannot, d.Err)
		case len(d.Gone) > 0:
			o.Cuts = append(o.Cuts, d.Cut)
		}
	}
	if len(o.Cuts) > 0 {
		signed, err := s.Run(ctx, o)
		if err != nil {
			return receipts, errors.Join(append(cannot, err)...)
		}
		receipts = append(receipts, signed)
	}
	return receipts, errors.Join(cannot...)
}
