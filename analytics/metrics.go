package analytics

var (
	netYen = Column{Name: "net_yen", Ja: "純利用額", En: "Net amount used", Unit: Yen}
)

// Metrics is the registry, in the order of the identifiers.
var Metrics = []Metric{
	{ID: "M01a", Measures: []Column{netYen}},
}
