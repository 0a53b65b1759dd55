package reports

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"meguri/analytics"
	"meguri/analytics/analyticstest"
	"meguri/analytics/disclosure"
)

// town is an engine that makes up a town's numbers, always the same. Its
// weights are smooth, so that charts look like those of a real town; its
// small cells are small on purpose.
type town struct {
	persons int64  // of the whole; 0 for the usual
	secret  bool   // small cells carry the sentinel instead of their value
	label   string // key of one more industry, to try labels that want to be markup
}

// sentinel is a value that must never be seen. It stands in hidden cells only.
const sentinel = 777313

var (
	asOf  = time.Date(2026, 11, 20, 15, 30, 0, 0, time.UTC) // 21st, 00:30 in Tokyo
	issue = time.Date(2026, 11, 21, 0, 5, 0, 0, time.UTC)
)

func gate(t town) *disclosure.Gate {
	return &disclosure.Gate{Engine: t, Now: func() time.Time { return issue }}
}

func col(name, ja, en string, u analytics.Unit) analytics.Column {
	return analytics.Column{Name: name, Ja: ja, En: en, Unit: u}
}

var testMetrics = map[string]analytics.Metric{
	"M01a": {ID: "M01a", Ja: "純利用額（発生日基準）", En: "Net amount used, by day of payment",
		FormulaJa: "取り消されていない決済の合計", Formula: "Σ amount of payments not cancelled", Rule: "a cancel takes the payment away", RuleJa: "キャンセルされた決済は、利用した日から除きます。",
		Window: "day of payment, Asia/Tokyo", AsOf: "a later cancel changes it", Source: "商品券の取引管理の定義",
		Measures: []analytics.Column{col("net_yen", "純利用額", "Net amount", analytics.Yen)}},
	"M02": {ID: "M02", Ja: "来店回数", En: "Visits", FormulaJa: "（利用者・店舗・日）の組の数", Formula: "distinct (person, shop, day)", RuleJa: "同じ人が同じ店で同じ日に何度払っても1回と数えます。",
		Measures: []analytics.Column{col("visits", "来店回数", "Visits", analytics.Visits), col("payments", "決済件数", "Payments", analytics.Count)}},
	"M03": {ID: "M03", Ja: "利用者数", En: "Persons", FormulaJa: "実人数", Formula: "distinct persons", RuleJa: "実人数です。足しても合計にはなりません。",
		Measures: []analytics.Column{col("persons", "利用者数", "Persons", analytics.Persons)}},
	"M04": {ID: "M04", Ja: "客単価", En: "Amount per visit", FormulaJa: "M01a÷M02", Formula: "M01a / M02", RuleJa: "平均と中央値を並べます。",
		Measures: []analytics.Column{col("yen_per_visit", "客単価", "Amount per visit", analytics.Yen), col("yen_per_payment", "決済単価", "Amount per payment", analytics.Yen),
			col("median_yen_per_visit", "客単価（中央値）", "Median", analytics.Yen), col("p25_yen_per_visit", "第1四分位", "P25", analytics.Yen), col("p75_yen_per_visit", "第3四分位", "P75", analytics.Yen)}},
	"M06": {ID: "M06", Ja: "新規・既存", En: "New and returning", FormulaJa: "期間内の初来店", Formula: "first visit in the window", RuleJa: "はじめての来店が期間内にある人を新規と数えます。",
		Measures: []analytics.Column{col("new_persons", "新規", "New", analytics.Persons), col("returning_persons", "既存", "Returning", analytics.Persons)}},
	"M07": {ID: "M07", Ja: "リピーター率", En: "Share of returning users", FormulaJa: "再来店者÷利用者", Formula: "returning / active", RuleJa: "分母は期間内の利用者です。",
		Measures: []analytics.Column{col("history", "履歴基準", "History basis", analytics.Ratio), col("within", "期間内基準", "Within basis", analytics.Ratio),
			col("active", "利用者", "Active", analytics.Persons), col("returning", "以前にも利用", "Returning", analytics.Persons), col("twice", "2日以上", "Twice", analytics.Persons)}},
}

func (t town) Behind(ctx context.Context, q analytics.Query, p analytics.Party) ([]analytics.Part, error) {
	q.Metric = "M01a"
	table, err := t.Run(ctx, q)
	return analyticstest.Behind(table, p), err
}

func (t town) Snapshot(context.Context) (int64, error) { return 42, nil }

func (t town) Run(_ context.Context, q analytics.Query) (analytics.Table, error) {
	m, ok := testMetrics[q.Metric]
	if !ok {
		return analytics.Table{}, fmt.Errorf("%w: %q", analytics.ErrUnknownMetric, q.Metric)
	}
	out := analytics.Table{Metric: m, Query: q, AsOf: asOf, Snapshot: 42, Measures: m.Measures}
	for _, by := range q.By {
		d, err := analytics.DimensionByName(by)
		if err != nil {
			return analytics.Table{}, err
		}
		out.Dims = append(out.Dims, d)
	}
	all := 18432.0
	if q.Shop != "" {
		all = 412
	}
	if t.persons > 0 {
		all = float64(t.persons)
	}
	keys := [][]string{nil}
	for _, by := range q.By {
		var next [][]string
		for _, k := range keys {
			for _, v := range t.keys(by, q) {
				next = append(next, append(slices.Clone(k), v))
			}
		}
		keys = next
	}
	for _, k := range keys {
		share := 1.0
		for i, by := range q.By {
			share *= weight(by, k[i])
		}
		n := math.Round(all * share)
		if n < 1 {
			continue
		}
		c := analytics.Cell{Keys: k, Persons: int64(n), Shops: 9}
		for _, m := range out.Measures {
			v := measure(m.Name, n)
			if t.secret && c.Persons < 5 {
				v = sentinel
			}
			c.Values = append(c.Values, v)
		}
		out.Cells = append(out.Cells, c)
	}
	return out, nil
}

func measure(name string, n float64) float64 {
	visits := math.Round(n * 3.4)
	switch name {
	case "net_yen":
		return visits * 1874
	case "visits":
		return visits
	case "payments":
		return math.Round(n * 3.9)
	case "yen_per_visit":
		return 1874.31
	case "yen_per_payment":
		return 1633.8
	case "median_yen_per_visit":
		return 1280
	case "p25_yen_per_visit":
		return 640
	case "p75_yen_per_visit":
		return 2350
	case "history":
		return math.Round(n*.62) / n
	case "within":
		return math.Round(n*.351) / n
	case "returning", "returning_persons":
		return math.Round(n * .62)
	case "new_persons":
		return n - math.Round(n*.62)
	case "twice":
		return math.Round(n * .351)
	}
	return n
}

func (t town) keys(dim string, q analytics.Query) []string {
	var out []string
	switch dim {
	case "week":
		d, _ := time.Parse(time.DateOnly, q.From)
		d = d.AddDate(0, 0, -(int(d.Weekday())+6)%7)
		for ; d.Format(time.DateOnly) <= q.To && !d.After(asOf); d = d.AddDate(0, 0, 7) {
			out = append(out, d.Format(time.DateOnly))
		}
	case "hour":
		for h := 9; h < 22; h++ {
			out = append(out, fmt.Sprintf("%02d", h))
		}
	default:
		for _, c := range analytics.CodeList(dim) {
			out = append(out, c.Code)
		}
	}
	if dim == "industry" && t.label != "" {
		out = append(out, t.label)
	}
	return out
}

func weight(dim, key string) float64 {
	in := map[string]map[string]float64{
		"sex":      {"female": .55, "male": .43, "other": .004, "unknown": .016},
		"age_band": {"0-9": .001, "10-19": .02, "20-29": .07, "30-39": .12, "40-49": .16, "50-59": .17, "60-69": .19, "70-79": .18, "80-89": .07, "90+": .009, "unknown": .01},
		"weekday":  {"1": .12, "2": .11, "3": .13, "4": .12, "5": .15, "6": .2, "7": .17},
		"industry": {"grocery": .2, "supermarket": .62, "convenience": .31, "drugstore": .28, "restaurant": .33, "cafe": .14, "clothing": .06, "household": .07, "books": .05, "beauty": .04, "leisure": .0002, "services": .02},
	}[dim]
	if w, ok := in[key]; ok {
		return w
	}
	switch dim {
	case "week":
		d, _ := time.Parse(time.DateOnly, key)
		n := float64(d.YearDay() / 7)
		if key == "2026-09-28" || key >= "2026-11-16" {
			return .07 // a few days only
		}
		return .16 + .05*math.Sin(n*1.3)
	case "hour":
		var h float64
		fmt.Sscanf(key, "%g", &h)
		return .02 + .13*math.Exp(-(h-11.4)*(h-11.4)/3) + .1*math.Exp(-(h-17.2)*(h-17.2)/4)
	}
	return .01
}
