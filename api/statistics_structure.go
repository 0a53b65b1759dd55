package api

import (
	"context"
	"slices"
	"strings"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/openapi/statistics"
	op "meguri/openapi/statistics/server"
	"meguri/reports"
)

// structureVersion is the version of the structures of reports.StructureID.
const structureVersion = "1.0.0"

// GetStructure describes a metric's tables in the manner of an SDMX 3.0 data
// structure definition: one for each cut that the caller may ask for.
func (a *statisticsAPI) GetStructure(ctx context.Context, r op.GetStructureRequestObject) (op.GetStructureResponseObject, error) {
	m, err := analytics.MetricByID(r.MetricID)
	if err != nil {
		return nil, err
	}
	rules, err := disclosure.RulesFor(disclosure.Public)
	if err != nil {
		return nil, err
	}
	cuts := rules.Lattice
	c, contracted, err := a.contract(ctx)
	if err != nil {
		return nil, err
	}
	if contracted {
		cuts = c.Cuts
	}
	out := op.GetStructure200JSONResponse{
		MetricID: m.ID, AgencyID: "MEGURI", Version: structureVersion, Ja: m.Ja, En: m.En, Structures: []statistics.CutStructure{},
		Concepts: []statistics.Code{}, CodeLists: []statistics.CodeList{}, Measures: columnsOut(m.Measures),
		Attributes: []statistics.Component{
			{ID: "OBS_STATUS", ConceptID: "OBS_STATUS", CodeListID: "CL_OBS_STATUS"},
			{ID: "CONF_STATUS", ConceptID: "CONF_STATUS", CodeListID: "CL_CONF_STATUS"},
			{ID: "UNIT_MEASURE", ConceptID: "UNIT_MEASURE", CodeListID: "CL_UNIT"},
			{ID: "WINDOW", ConceptID: "WINDOW"}, {ID: "RULE_SET", ConceptID: "RULE_SET"},
			{ID: "AS_OF", ConceptID: "AS_OF"}, {ID: "RELEASE_HASH", ConceptID: "RELEASE_HASH"},
			{ID: "METHOD", ConceptID: "METHOD", CodeListID: "CL_METHOD"},
		},
	}
	var used []string
	for _, cut := range cuts {
		if len(m.Fixed) > 0 || slices.ContainsFunc(cut, func(d string) bool { return !slices.Contains(m.Cuts, d) }) {
			continue
		}
		s := statistics.CutStructure{StructureID: reports.StructureID(m.ID, cut), By: dimensionsOut(cut), Dimensions: []statistics.Component{}}
		at := reports.TimeDim(cut)
		for _, d := range cut {
			if !slices.Contains(used, d) {
				used = append(used, d)
			}
			if d != at {
				s.Dimensions = append(s.Dimensions, component(d))
			}
		}
		s.Dimensions = append(s.Dimensions, statistics.Component{ID: "MEASURE", ConceptID: "MEASURE", CodeListID: "CL_MEASURE_" + m.ID})
		if at != "" {
			s.Dimensions = append(s.Dimensions, statistics.Component{ID: "TIME_PERIOD", ConceptID: strings.ToUpper(at)})
		}
		for i := range s.Dimensions {
			s.Dimensions[i].Position = i + 1
		}
		out.Structures = append(out.Structures, s)
	}
	for _, d := range analytics.Dimensions {
		if !slices.Contains(used, d.Name) {
			continue
		}
		out.Concepts = append(out.Concepts, statistics.Code{ID: strings.ToUpper(d.Name), Ja: d.Ja, En: d.En})
		if list := analytics.CodeList(d.Name); list != nil {
			cl := statistics.CodeList{ID: "CL_" + strings.ToUpper(d.Name), Ja: d.Ja, En: d.En, Codes: []statistics.Code{}}
			for _, code := range list {
				cl.Codes = append(cl.Codes, statistics.Code{ID: code.Code, Ja: code.Ja, En: code.En})
			}
			cl.Codes = append(cl.Codes, statistics.Code{ID: "_U", Ja: analytics.Label(d.Name, "", "ja"), En: analytics.Label(d.Name, "", "en")})
			out.CodeLists = append(out.CodeLists, cl)
		}
	}
	measures := statistics.CodeList{ID: "CL_MEASURE_" + m.ID, Ja: m.Ja, En: m.En, Codes: []statistics.Code{}}
	for _, c := range m.Measures {
		measures.Codes = append(measures.Codes, statistics.Code{ID: c.Name, Ja: c.Ja, En: c.En})
	}
	out.CodeLists = append(out.CodeLists, measures)
	out.CodeLists = append(out.CodeLists, commonLists...)
	out.Concepts = append(out.Concepts, commonConcepts...)
	return out, nil
}

func component(dim string) statistics.Component {
	c := statistics.Component{ID: strings.ToUpper(dim), ConceptID: strings.ToUpper(dim)}
	if analytics.CodeList(dim) != nil {
		c.CodeListID = "CL_" + c.ID
	}
	return c
}

// commonConcepts and commonLists stand in every structure. Of the lists of SDMX
// (CL_OBS_STATUS, CL_CONF_STATUS) only what is used is there.
var commonConcepts = []statistics.Code{
	{ID: "MEASURE", Ja: "測定値", En: "Measure"},
	{ID: "OBS_VALUE", Ja: "値", En: "Observation value"},
	{ID: "OBS_STATUS", Ja: "値の状態", En: "Observation status"},
	{ID: "CONF_STATUS", Ja: "秘匿の状態", En: "Confidentiality status"},
	{ID: "UNIT_MEASURE", Ja: "単位", En: "Unit of measure"},
	{ID: "WINDOW", Ja: "期間（初日/最終日）", En: "Window: first and last day"},
	{ID: "RULE_SET", Ja: "秘匿の基準と版", En: "Rule set and version"},
	{ID: "AS_OF", Ja: "データの時点", En: "What was known"},
	{ID: "RELEASE_HASH", Ja: "表の内容のSHA-256", En: "SHA-256 of what the table says"},
	{ID: "METHOD", Ja: "元の値を変えた方法（なければ秘匿だけ）", En: "How figures were changed; without it, some are suppressed and none changed"},
}

var commonLists = []statistics.CodeList{
	{ID: "CL_OBS_STATUS", Ja: "値の状態", En: "Observation status", Codes: []statistics.Code{
		{ID: "A", Ja: "通常の値", En: "Normal value"}, {ID: "Q", Ja: "秘匿", En: "Missing value; suppressed"}, {ID: "O", Ja: "未観測", En: "Missing value"}}},
	{ID: "CL_CONF_STATUS", Ja: "秘匿の状態", En: "Confidentiality status", Codes: []statistics.Code{
		{ID: "F", Ja: "公表", En: "Free (free for publication)"}, {ID: "C", Ja: "秘匿", En: "Confidential statistical information"}}},
	{ID: "CL_METHOD", Ja: "元の値を変えた方法", En: "How figures were changed", Codes: []statistics.Code{
		{ID: string(disclosure.Rounding), Ja: "丸め", En: "Controlled rounding"}, {ID: string(disclosure.CellKey), Ja: "摂動（セルキー法）", En: "Perturbation by cell keys"}}},
	{ID: "CL_UNIT", Ja: "単位", En: "Unit of measure", Codes: []statistics.Code{
		{ID: "yen", Ja: "円", En: "Yen"}, {ID: "persons", Ja: "人", En: "Persons"}, {ID: "visits", Ja: "回", En: "Visits"},
		{ID: "ratio", Ja: "比率", En: "Ratio, 0 to 1"}, {ID: "rate", Ja: "平均", En: "Rate"}, {ID: "count", Ja: "件", En: "Count"}}},
}
