package analytics

import "meguri/pseudonymize/lake"

var weekdays = []lake.Code{
	{Code: "1", Ja: "月", En: "Mon"}, {Code: "2", Ja: "火", En: "Tue"}, {Code: "3", Ja: "水", En: "Wed"},
	{Code: "4", Ja: "木", En: "Thu"}, {Code: "5", Ja: "金", En: "Fri"}, {Code: "6", Ja: "土", En: "Sat"},
	{Code: "7", Ja: "日", En: "Sun"},
}

// CodeList returns the codes of a dimension in the order in which they are
// shown, or nil for a dimension without a list (months, shops, districts).
func CodeList(dim string) []lake.Code {
	switch dim {
	case "industry":
		return lake.Industries
	case "sex":
		return lake.Sexes
	case "age_band":
		return lake.AgeBands
	case "weekday":
		return weekdays
	}
	return nil
}

// Label is what readers see for a key of a dimension. A key that is on no list
// is its own label; the empty key is "unknown".
func Label(dim, key, lang string) string {
	for _, c := range CodeList(dim) {
		if c.Code == key {
			if lang == "en" {
				return c.En
			}
			return c.Ja
		}
	}
	if key == "" {
		if lang == "en" {
			return "Unknown"
		}
		return "不明"
	}
	return key
}
