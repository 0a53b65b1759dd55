package analytics

import (
	"errors"
	"fmt"
	"slices"
)

// Metric is one entry of the registry: a number with a name, so that the same
// words stand on every page and in every file that shows it.
type Metric struct {
	ID        string   `json:"id"`
	Ja        string   `json:"ja"`
	En        string   `json:"en"`
	FormulaJa string   `json:"formula_ja"`
	Formula   string   `json:"formula"` // in words and symbols
	Rule      string   `json:"rule"`    // edge cases, decided
	RuleJa    string   `json:"rule_ja"` // the same for readers of pages
	WindowJa  string   `json:"window_ja"`
	Window    string   `json:"window"` // which days count
	AsOfJa    string   `json:"as_of_ja"`
	AsOf      string   `json:"as_of"`  // what later knowledge does to it
	Source    string   `json:"source"` // where the definition comes from
	Measures  []Column `json:"measures"`
	Cuts      []string `json:"cuts"`                 // dimensions it can be cut by
	Fixed     []Column `json:"fixed_dims,omitempty"` // dimensions it always has
	Groups    bool     `json:"-"`                    // tells groups of persons apart that add up: a cell's Persons is the smallest
	Quartiles bool     `json:"-"`                    // some of its measures are quartiles
	SQL       string   `json:"-"`                    // file in analytics/sql
}

// ErrUnknownMetric: the registry has no metric of that ID.
var ErrUnknownMetric = errors.New("there is no such metric")

// ErrBadQuery: a window, cut or option that the metric does not have.
var ErrBadQuery = errors.New("the query is not one this metric answers")

// MetricByID returns a metric of the registry.
func MetricByID(id string) (Metric, error) {
	for _, m := range Metrics {
		if m.ID == id {
			return m, nil
		}
	}
	return Metric{}, fmt.Errorf("%w: %q", ErrUnknownMetric, id)
}

// Dimensions are the cuts there are: a fixed list, so that no filter can be
// put together to single anybody out. Each is a column of that name in the
// view of payments, see sql/payment.sql.
var Dimensions = []Column{
	{Name: "month", Ja: "月", En: "Month"},
	{Name: "week", Ja: "週（月曜始まり）", En: "Week (from Monday)"},
	{Name: "day", Ja: "日", En: "Day"},
	{Name: "weekday", Ja: "曜日", En: "Weekday"}, // 1 Monday to 7 Sunday, ISO 8601
	{Name: "hour", Ja: "時", En: "Hour"},
	{Name: "industry", Ja: "業種", En: "Industry"},
	{Name: "shop", Ja: "店舗", En: "Shop"},
	{Name: "shop_area", Ja: "店舗の地区", En: "District of shop"},
	{Name: "age_band", Ja: "年代", En: "Age band"},
	{Name: "sex", Ja: "性別", En: "Sex"},
	{Name: "area", Ja: "居住地区", En: "District of residence"},
}

// DimensionByName returns a dimension of the list.
func DimensionByName(name string) (Column, error) {
	i := slices.IndexFunc(Dimensions, func(d Column) bool { return d.Name == name })
	if i < 0 {
		return Column{}, fmt.Errorf("%w: there is no dimension %q", ErrBadQuery, name)
	}
	return Dimensions[i], nil
}
