package reports

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"meguri/analytics/disclosure"
	"meguri/reports/chart"
)

// Codes of SDMX: CL_OBS_STATUS 2.2 and CL_CONF_STATUS 1.3. That a value is
// hidden to protect another one (D, S) is not told apart, since that is a hint.
const (
	obsNormal   = "A"
	obsHidden   = "Q" // missing value; suppressed
	obsMissing  = "O" // missing value
	confFree    = "F"
	confPrivate = "C" // confidential statistical information
)

// SDMXCSV writes a table in the shape of SDMX-CSV 2.0 (SDMX 3.0): UTF-8 without
// a byte order mark, a row for each cell and measure, codes and no labels.
// A hidden value is empty, with OBS_STATUS Q and CONF_STATUS C; one that is not
// observed is empty with OBS_STATUS O. A month, week or day is TIME_PERIOD.
//
// What is the same in all rows (window, rule set, as-of time, release hash) is
// repeated, so that a row cannot be parted from it. A table with noise names its
// METHOD in another column.
func SDMXCSV(w io.Writer, r disclosure.Released) error {
	hash, err := Hash(r)
	if err != nil {
		return err
	}
	dims, at := r.Dims(), TimeDim(r.Query().By)
	head := []string{"STRUCTURE", "STRUCTURE_ID", "ACTION"}
	for _, d := range dims {
		if d.Name != at {
			head = append(head, strings.ToUpper(d.Name))
		}
	}
	head = append(head, strings.ToUpper(measureDim))
	if at != "" {
		head = append(head, "TIME_PERIOD")
	}
	head = append(head, "OBS_VALUE", "OBS_STATUS", "CONF_STATUS", "UNIT_MEASURE", "WINDOW", "RULE_SET", "AS_OF", "RELEASE_HASH")
	method := methodOf(r)
	if method != "" {
		head = append(head, "METHOD")
	}
	records := [][]string{head}
	for _, c := range InOrder(r) {
		for i, m := range r.Measures() {
			row := []string{"datastructure", StructureID(r.Metric().ID, r.Query().By), "I"}
			when := ""
			for d, column := range dims {
				if column.Name == at {
					when = timePeriod(at, c.Keys[d])
				} else {
					row = append(row, inert(code(c.Keys[d])))
				}
			}
			row = append(row, m.Name)
			if at != "" {
				row = append(row, when)
			}
			switch v := value(c, i); v.State {
			case chart.Suppressed:
				row = append(row, "", obsHidden, confPrivate)
			case chart.Unobserved:
				row = append(row, "", obsMissing, confFree)
			default:
				row = append(row, strconv.FormatFloat(v.N, 'f', -1, 64), obsNormal, confFree)
			}
			row = append(row, string(m.Unit), r.Query().From+"/"+r.Query().To, ruleSet(r), r.AsOf().UTC().Format(time.RFC3339), hash)
			if method != "" {
				row = append(row, string(method))
			}
			records = append(records, row)
		}
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true // RFC 4180
	if err := out.WriteAll(records); err != nil {
		return fmt.Errorf("write SDMX-CSV of %s: %w", r.Metric().ID, err)
	}
	return nil
}

// TimeDim is the dimension of a cut that SDMX calls TIME_PERIOD, or "".
func TimeDim(by []string) string {
	for _, d := range []string{"day", "week", "month"} {
		if slices.Contains(by, d) {
			return d
		}
	}
	return ""
}

// timePeriod is a key of a time dimension in SDMX form: 2026-07, 2026-W27,
// 2026-07-01.
func timePeriod(dim, key string) string {
	t, err := time.Parse(time.DateOnly, key)
	switch {
	case err != nil:
		return code(key)
	case dim == "month":
		return t.Format("2006-01")
	case dim == "week":
		year, week := t.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	}
	return key
}
