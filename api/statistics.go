package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

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

// GetTable answers with a table of the caller's contract, or, to whom has none,
// with one for the public.
func (a *statisticsAPI) GetTable(ctx context.Context, r op.GetTableRequestObject) (op.GetTableResponseObject, error) {
	q := analytics.Query{Metric: r.MetricID, From: dayIn(r.Params.From), To: dayIn(r.Params.To), Shop: r.Params.Shop, By: dimensionsIn(r.Params.By)}
	format := r.Params.Format
	if format == "" {
		format = statistics.GetTableParamsFormatJSON
	}
	contract, ok, err := a.contract(ctx)
	if !ok && err == nil {
		released, err := a.Gate.Release(ctx, q, disclosure.Public)
		if err != nil {
			return nil, err
		}
		return render(released, format, string(r.Params.Lang))
	}
	e := entryOf(ctx, q)
	e.Contract, e.Operation, e.Purpose, e.Format = contract.ID, "getTable", r.Params.Purpose, string(format)
	if err != nil {
		return nil, a.refused(ctx, e, err)
	}
	answer, err := a.contracted(ctx, contract, q, e, format, string(r.Params.Lang))
	if err != nil {
		return nil, a.refused(ctx, e, err)
	}
	return answer, nil
}

// download is an answer that was made whole before it leaves, so that its
// length is known, and nothing leaves that is not in the log.
type download struct {
	media string
	body  []byte
}

func (d download) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", d.media)
	w.Header().Set("Content-Length", strconv.Itoa(len(d.body)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(d.body)
	return err
}

// VisitGetTableResponse implements op.GetTableResponseObject.
func (d download) VisitGetTableResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetBundleResponse implements op.GetBundleResponseObject.
func (d download) VisitGetBundleResponse(w http.ResponseWriter) error { return d.write(w) }

// render writes a table in one of the formats.
func render(r disclosure.Released, format statistics.GetTableParamsFormat, lang string) (download, error) {
	var b bytes.Buffer
	var media string
	var err error
	switch format {
	case statistics.GetTableParamsFormatCsv:
		media, err = "text/csv", reports.CSV(&b, r, lang)
	case statistics.GetTableParamsFormatSdmxCsv:
		media, err = "application/vnd.sdmx.data+csv; version=2.0.0", reports.SDMXCSV(&b, r)
	case statistics.GetTableParamsFormatJSONStat:
		media, err = "application/json", reports.JSONStat(&b, r, lang)
	default:
		var table statistics.Table
		if table, err = tableOut(r); err == nil {
			media, err = "application/json", json.NewEncoder(&b).Encode(table)
		}
	}
	if err != nil {
		return download{}, fmt.Errorf("write the table of %s: %w", r.Metric().ID, err)
	}
	return download{media, b.Bytes()}, nil
}

func tableOut(t disclosure.Released) (statistics.Table, error) {
	hash, err := reports.Hash(t)
	if err != nil {
		return statistics.Table{}, err
	}
	q, rules := t.Query(), t.Rules()
	out := statistics.Table{
		MetricID: t.Metric().ID, Dims: columnsOut(t.Dims()), Measures: columnsOut(t.Measures()),
		Query:  statistics.Query{From: dayOut(q.From), To: dayOut(q.To), Shop: q.Shop, By: dimensionsOut(q.By)},
		Hidden: t.Hidden(), HiddenShare: reports.HiddenShare(t),
		AsOf: t.AsOf().UTC(), Snapshot: t.Snapshot(), ReleasedAt: t.ReleasedAt().UTC(), ReleaseHash: hash,
		Rules: statistics.Rules{
			Audience: string(rules.Audience), Version: rules.Version, MinPersons: rules.MinPersons, MinShops: rules.MinShops,
			RoundYen: rules.RoundYen, RoundCount: rules.RoundCount, ExplainedAt: "/docs/statistics",
		},
		Method: statistics.Method(t.Method()), Cells: []statistics.Cell{},
	}
	for _, r := range t.Regions() {
		out.Regions = append(out.Regions, statistics.Region{Dim: statistics.Dimension(r.Dim), Name: r.Name, Areas: r.Areas})
	}
	for _, c := range reports.InOrder(t) {
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
	return out, nil
}

func columnsOut(columns []analytics.Column) []statistics.Column {
	out := []statistics.Column{}
	for _, c := range columns {
		out = append(out, statistics.Column{Name: c.Name, Ja: c.Ja, En: c.En, Unit: statistics.ColumnUnit(c.Unit)})
	}
	return out
}

func dimensionsIn(dims []statistics.Dimension) []string {
	var out []string
	for _, d := range dims {
		out = append(out, string(d))
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
