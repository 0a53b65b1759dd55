package reports

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// Statuses of a value in JSON-stat. A value without one is as usual.
const (
	statusHidden     = "c" // confidential, as Eurostat flags it
	statusUnobserved = "m" // missing: not observed
)

// jsonStat is a dataset of JSON-stat 2.0 (https://json-stat.org/full/). Values
// are in row-major order of id; the last dimension, measure, runs fastest.
type jsonStat struct {
	Version   string                 `json:"version"`
	Class     string                 `json:"class"`
	Label     string                 `json:"label"`
	Source    string                 `json:"source,omitempty"`
	Updated   string                 `json:"updated"`
	Note      []string               `json:"note"`
	ID        []string               `json:"id"`
	Size      []int                  `json:"size"`
	Role      map[string][]string    `json:"role"`
	Dimension map[string]jsonStatDim `json:"dimension"`
	Value     []*float64             `json:"value"`
	Status    map[string]string      `json:"status"`
	Extension jsonStatExtension      `json:"extension"`
}

type jsonStatDim struct {
	Label    string           `json:"label"`
	Category jsonStatCategory `json:"category"`
}

type jsonStatCategory struct {
	Index []string                `json:"index"`
	Label map[string]string       `json:"label"`
	Unit  map[string]jsonStatUnit `json:"unit,omitempty"`
}

type jsonStatUnit struct {
	Label string `json:"label"`
}

type jsonStatExtension struct {
	Metric      jsonStatMetric      `json:"metric"`
	StructureID string              `json:"structure_id"`
	Query       analytics.Query     `json:"query"`
	Rules       disclosure.RuleSet  `json:"rules"`
	Method      disclosure.Method   `json:"method,omitempty"` // none is suppression
	AsOf        time.Time           `json:"as_of"`
	Snapshot    int64               `json:"snapshot"`
	ReleaseHash string              `json:"release_hash"`
	Hidden      int                 `json:"hidden"`
	HiddenShare float64             `json:"hidden_share"`
	Regions     []disclosure.Region `json:"regions,omitempty"` // areas that were put together
	Status      jsonStatStatus      `json:"status"`
}

type jsonStatMetric struct {
	ID      string `json:"id"`
	Formula string `json:"formula"`
	Rule    string `json:"rule"`
	Window  string `json:"window"`
	AsOf    string `json:"as_of"`
}

type jsonStatStatus struct {
	Label map[string]string `json:"label"`
}

// measureDim is the dimension of a table's measures, in JSON-stat and SDMX.
const measureDim = "measure"

// JSONStat writes a table as a dataset of JSON-stat 2.0, with labels in lang. A
// hidden value is null with the status c, one that is not observed null with the
// status m. Of amounts and counts, a place of the cube for which the table has
// no cell is 0: nothing happened there. The same release gives the same bytes,
// whenever it was let out.
func JSONStat(w io.Writer, r disclosure.Released, lang string) error {
	doc, err := newJSONStat(r, tongue(lang))
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write JSON-stat of %s: %w", r.Metric().ID, err)
	}
	return nil
}

func newJSONStat(r disclosure.Released, l tongue) (jsonStat, error) {
	hash, err := Hash(r)
	if err != nil {
		return jsonStat{}, err
	}
	m, lang := r.Metric(), string(l)
	pick := func(ja, en string) string {
		if lang == "en" || ja == "" {
			return en
		}
		return ja
	}
	doc := jsonStat{
		Version: "2.0", Class: "dataset", Label: m.ID + " " + pick(m.Ja, m.En), Source: m.Source,
		Updated: r.AsOf().UTC().Format(time.RFC3339), Note: []string{l.T("file.note")},
		Role: map[string][]string{"metric": {measureDim}}, Dimension: map[string]jsonStatDim{}, Value: []*float64{}, Status: map[string]string{},
		Extension: jsonStatExtension{
			Metric: jsonStatMetric{m.ID, pick(m.FormulaJa, m.Formula), pick(m.RuleJa, m.Rule), pick(m.WindowJa, m.Window), pick(m.AsOfJa, m.AsOf)},
			Query:  r.Query(), StructureID: StructureID(m.ID, r.Query().By), Rules: r.Rules(), AsOf: r.AsOf().UTC(), Snapshot: r.Snapshot(),
			ReleaseHash: hash, Hidden: r.Hidden(), HiddenShare: HiddenShare(r), Regions: r.Regions(),
			Status: jsonStatStatus{map[string]string{statusHidden: l.T("suppressed"), statusUnobserved: l.T("unobserved")}},
		},
	}
	if method := methodOf(r); method != "" {
		doc.Extension.Method = method
		doc.Note = append(doc.Note, l.protection(r))
	}
	keys := make([][]string, len(r.Dims()))
	places := 1
	for i, d := range r.Dims() {
		keys[i] = keysOf(r, i)
		places *= len(keys[i])
		c := jsonStatCategory{Index: []string{}, Label: map[string]string{}}
		for _, key := range keys[i] {
			c.Index = append(c.Index, code(key))
			c.Label[code(key)] = fileLabel(d.Name, key, lang)
		}
		doc.add(d.Name, columnLabel(d, lang), c)
		switch d.Name {
		case "month", "week", "day", "cohort":
			doc.Role["time"] = append(doc.Role["time"], d.Name)
		case "area", "shop_area":
			doc.Role["geo"] = append(doc.Role["geo"], d.Name)
		}
	}
	c := jsonStatCategory{Index: []string{}, Label: map[string]string{}, Unit: map[string]jsonStatUnit{}}
	for _, column := range r.Measures() {
		c.Index = append(c.Index, column.Name)
		c.Label[column.Name] = columnLabel(column, lang)
		c.Unit[column.Name] = jsonStatUnit{l.T("unit." + string(column.Unit))}
	}
	doc.add(measureDim, l.T("def.metric"), c)

	cells := map[int]disclosure.Cell{} // by place, in row-major order
	for _, c := range r.Cells() {
		place := 0
		for i, key := range c.Keys {
			place = place*len(keys[i]) + indexOf(keys[i], key)
		}
		cells[place] = c
	}
	for place := range places {
		cell, there := cells[place]
		for i, column := range r.Measures() {
			v := nothing(m, column.Unit)
			if there {
				v = value(cell, i)
			}
			switch v.State {
			case chart.Suppressed:
				doc.Status[fmt.Sprint(len(doc.Value))] = statusHidden
			case chart.Unobserved:
				doc.Status[fmt.Sprint(len(doc.Value))] = statusUnobserved
			}
			var out *float64
			if v.State == chart.Shown {
				out = &v.N
			}
			doc.Value = append(doc.Value, out)
		}
	}
	return doc, nil
}

func (d *jsonStat) add(name, label string, c jsonStatCategory) {
	d.ID, d.Size = append(d.ID, name), append(d.Size, len(c.Index))
	d.Dimension[name] = jsonStatDim{label, c}
}

// nothing is the value of a place for which a table has no cell.
func nothing(m analytics.Metric, u analytics.Unit) chart.Value {
	switch {
	case len(m.Fixed) > 0 || u == analytics.Ratio || u == analytics.Rate || m.ID == "M04": // a mean of nothing
		return chart.Value{State: chart.Unobserved}
	}
	return chart.N(0)
}

func indexOf(list []string, s string) int {
	for i, one := range list {
		if one == s {
			return i
		}
	}
	return -1
}
