package analytics

import (
	"fmt"
	"slices"
	"time"
)

// Resolve checks a query against the registry and fills in what it leaves
// open. It returns the metric and the dimensions of the answer.
func (q Query) Resolve() (Query, Metric, []Column, error) {
	m, err := MetricByID(q.Metric)
	if err != nil {
		return q, m, nil, err
	}
	for _, day := range []struct {
		name string
		text *string
	}{{"from", &q.From}, {"to", &q.To}} {
		if _, err := time.Parse(time.DateOnly, *day.text); err != nil {
			return q, m, nil, fmt.Errorf("%w: %s must be a day, YYYY-MM-DD", ErrBadQuery, day.name)
		}
	}
	if q.From > q.To {
		return q, m, nil, fmt.Errorf("%w: the window ends before it begins", ErrBadQuery)
	}
	if q.SeenTo == "" {
		q.SeenTo = q.To
	}
	if _, err := time.Parse(time.DateOnly, q.SeenTo); err != nil || q.SeenTo < q.To {
		return q, m, nil, fmt.Errorf("%w: the base must end on a day, YYYY-MM-DD, not before the window does", ErrBadQuery)
	}
	switch q.Visit {
	case "":
		q.Visit = "day"
	case "day", "payment":
	default:
		return q, m, nil, fmt.Errorf("%w: a visit is a day or a payment", ErrBadQuery)
	}
	dims := slices.Clone(m.Fixed)
	for i, name := range q.By {
		if !slices.Contains(m.Cuts, name) || slices.Contains(q.By[:i], name) {
			return q, m, nil, fmt.Errorf("%w: %s cannot be cut by %q; its cuts are %v", ErrBadQuery, m.ID, name, m.Cuts)
		}
		d, err := DimensionByName(name)
		if err != nil {
			return q, m, nil, err
		}
		dims = append(dims, d)
	}
	return q, m, dims, nil
}
