package api

import (
	"bytes"
	"context"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/openapi/statistics"
	op "meguri/openapi/statistics/server"
	"meguri/reports"
)

// statisticsAPI answers the operations of the statistics contract. It knows
// released tables only.
type statisticsAPI struct{ Deps }

func (a *statisticsAPI) ListMetrics(context.Context, op.ListMetricsRequestObject) (op.ListMetricsResponseObject, error) {
	list := op.ListMetrics200JSONResponse{Metrics: []statistics.Metric{}}
	for _, m := range analytics.Metrics {
		list.Metrics = append(list.Metrics, statistics.Metric{
			MetricID: m.ID, Ja: m.Ja, En: m.En, Formula: m.Formula, FormulaJa: m.FormulaJa, Rule: m.Rule, RuleJa: m.RuleJa, Window: m.Window, WindowJa: m.WindowJa,
			AsOf: m.AsOf, AsOfJa: m.AsOfJa, Source: m.Source, Measures: columnsOut(m.Measures), Cuts: dimensionsOut(m.Cuts),
			FixedDims: columnsOut(m.Fixed),
		})
	}
	return list, nil
}

func (a *statisticsAPI) GetTable(ctx context.Context, r op.GetTableRequestObject) (op.GetTableResponseObject, error) {
	q := analytics.Query{Metric: r.MetricID, From: dayIn(r.Params.From), To: dayIn(r.Params.To), Shop: r.Params.Shop}
	for _, d := range r.Params.By {
		q.By = append(q.By, string(d))
	}
	released, err := a.Gate.Release(ctx, q, disclosure.Public)
	if err != nil {
		return nil, err
	}
	if r.Params.Format == statistics.GetTableParamsFormatCsv {
		var b bytes.Buffer
		if err := reports.CSV(&b, released, string(r.Params.Lang)); err != nil {
			return nil, err
		}
		return op.GetTable200TextCsvResponse{Body: &b, ContentLength: int64(b.Len())}, nil
	}
	return op.GetTable200JSONResponse(tableOut(released)), nil
}

func tableOut(t disclosure.Released) statistics.Table {
	q := t.Query()
	out := statistics.Table{
		MetricID: t.Metric().ID, Dims: columnsOut(t.Dims()), Measures: columnsOut(t.Measures()),
		Query:  statistics.Query{From: dayOut(q.From), To: dayOut(q.To), Shop: q.Shop, By: dimensionsOut(q.By)},
		Hidden: t.Hidden(), AsOf: t.AsOf().UTC(), Snapshot: t.Snapshot(), ReleasedAt: t.ReleasedAt().UTC(),
		Rules: statistics.Rules{
			Audience: string(t.Rules().Audience), Version: t.Rules().Version, MinPersons: t.Rules().MinPersons,
		},
		Cells: []statistics.Cell{},
	}
	for _, c := range t.Cells() {
		cell := statistics.Cell{Keys: append([]string{}, c.Keys...), State: statistics.CellStateShown, Values: []*float64{}}
		if c.State != disclosure.Shown {
			cell.State = statistics.CellStateSuppressed
		}
		for i := range out.Measures {
			var value *float64 // null: hidden, or not observed
			if v, ok := c.Value(i); ok {
				value = &v
			}
			cell.Values = append(cell.Values, value)
		}
		out.Cells = append(out.Cells, cell)
	}
	return out
}

func columnsOut(columns []analytics.Column) []statistics.Column {
	out := []statistics.Column{}
	for _, c := range columns {
		out = append(out, statistics.Column{Name: c.Name, Ja: c.Ja, En: c.En, Unit: statistics.ColumnUnit(c.Unit)})
	}
	return out
}

func dimensionsOut(names []string) []statistics.Dimension {
	out := []statistics.Dimension{}
	for _, n := range names {
		out = append(out, statistics.Dimension(n))
	}
	return out
}
