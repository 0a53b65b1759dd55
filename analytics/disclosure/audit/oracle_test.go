package audit_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"meguri/analytics/disclosure/audit"
	"meguri/analytics/disclosure/dossier"
)

// dataFile is a file of the known tables, which are not part of the project.
func dataFile(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("MEGURI_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	path := filepath.Join(dir, "sdc", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not there: set MEGURI_DATA", path)
		}
		t.Skipf("%s is not there: set MEGURI_DATA to run this test", path)
	}
	return path
}

// oracle reads one of the known tables.
func oracle(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(dataFile(t, "oracles.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all[name], into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestOracle_Geurts(t *testing.T) {
	var o struct{ Ranges map[string][]float64 }
	oracle(t, "geurts_1992", &o)
	b := newBuilder()
	for k, v := range map[string]float64{"1|1": 4, "1|2": 3, "2|1": 2, "2|2": 1, "3|1": 3, "3|2": 3} {
		b.lone(k, v)
	}
	b.table("geurts", anyone, [][]code{flat("1", "2", "3"), flat("1", "2")}, "1|1", "1|2", "2|1", "2|2")
	wantRanges(t, ranges(t, &b.d), o.Ranges, 1)
}

func TestOracle_FischettiSalazar(t *testing.T) {
	var o struct {
		Values map[string]float64
		Cases  []struct {
			LPL, UPL  float64
			Secondary []string
			IIC       []float64 `json:"range_IIC"`
		}
	}
	oracle(t, "fischetti_salazar_3x3", &o)
	for _, c := range o.Cases {
		b := newBuilder()
		for k, v := range o.Values {
			if !strings.Contains(k, "T") {
				b.lone(k, v)
			}
		}
		dim := func(names ...string) []code {
			d := flat(names...)
			d[0].name = "T"
			return d
		}
		table := b.table("fs", dossier.Rules{}, [][]code{dim("I", "II", "III"), dim("A", "B", "C")}, append(c.Secondary, "II|C")...)
		protect(table, "II|C", c.LPL, c.UPL)
		if r := run(t, &b.d, audit.Options{}); !r.Protected {
			t.Errorf("%v: %v, want no violation", c.Secondary, r.Violations)
		}
		if c.IIC != nil {
			wantRanges(t, ranges(t, &b.d), map[string][]float64{"II|C": c.IIC}, 1)
		}
		protect(table, "II|C", c.LPL, c.UPL+1000)
		if r := run(t, &b.d, audit.Options{}); c.IIC != nil && !found(r, audit.Outsider, "II|C") {
			t.Errorf("%v: more protection than there is was not missed", c.Secondary)
		}
	}
	// The rectangle that is enough for 5 and 8 is not for 10 and 10.
	b := newBuilder()
	for k, v := range o.Values {
		if !strings.Contains(k, "T") {
			b.lone(k, v)
		}
	}
	table := b.table("fs", dossier.Rules{}, [][]code{flat("I", "II", "III"), flat("A", "B", "C")}, "II|A", "II|C", "III|A", "III|C")
	protect(table, "II|C", 10, 10)
	r := run(t, &b.d, audit.Options{})
	if len(r.Violations) != 1 || r.Violations[0].Direction != "up" || math.Abs(r.Violations[0].Reached-8) > 1e-6 {
		t.Errorf("got %+v, want that II|C can only be 8 larger", r.Violations)
	}
}

type magnitude struct {
	Primary   []string
	Before    []string             `json:"secondary_before"`
	After     []string             `json:"secondary_after_rangeMin80"`
	RangesB   map[string][]float64 `json:"ranges_before"`
	RangesA   map[string][]float64 `json:"ranges_after"`
	microdata []struct {
		Sector4, Geo, Company string
		Value                 float64
	}
}

// dossier is the table in tenths, by sectors and their groups; every row is a
// respondent.
func (m *magnitude) dossier(hidden []string) *builder {
	b := newBuilder()
	for i, r := range m.microdata {
		b.leaf(r.Geo+"|"+r.Sector4, dossier.Part{Respondent: int32(i), Amount: math.Round(10 * r.Value)})
	}
	sectors := flat("Agriculture", "Entertainment", "Governmental", "Industry")
	sectors = append(sectors, code{"private", []string{"Agriculture", "Entertainment", "Industry"}}, code{"public", []string{"Governmental"}})
	b.table("magnitude1", anyone, [][]code{flat("Iceland", "Portugal", "Spain"), sectors}, hidden...)
	return b
}

func TestOracle_GaussSuppression(t *testing.T) {
	var m magnitude
	oracle(t, "gauss_magnitude1_T10", &m)
	oracle(t, "magnitude1_microdata", &m.microdata)
	wantRanges(t, ranges(t, &m.dossier(append(m.Before, m.Primary...)).d), m.RangesB, 10)
	wantRanges(t, ranges(t, &m.dossier(append(m.After, m.Primary...)).d), m.RangesA, 10)
}

func TestOracle_SdcTable(t *testing.T) {
	var o struct {
		Freq map[string][]int
		OPT  []string  `json:"opt_pattern"`
		G    []string  `json:"gauss_pattern"`
		AfO  []float64 `json:"freq_range_opt_Af"`
		AfG  []float64 `json:"freq_range_gauss_Af"`
	}
	oracle(t, "sdctable_microdata1", &o)
	for _, c := range []struct {
		hidden []string
		want   []float64
	}{{o.OPT, o.AfO}, {o.G, o.AfG}} {
		b := newBuilder()
		for k, f := range o.Freq {
			b.people(k+"|m", f[0])
			b.people(k+"|f", f[1])
		}
		for i, h := range c.hidden {
			c.hidden[i] = strings.ReplaceAll(h, " ", "|")
		}
		b.table("microdata1", anyone, [][]code{flat("A", "B", "C", "D"), flat("m", "f")}, c.hidden...)
		wantRanges(t, ranges(t, &b.d), map[string][]float64{"A|f": c.want}, 1)
	}
}

// linked is the two tables of UserSupport 136.
func linked(t *testing.T, hidden ...string) (*dossier.Dossier, map[string][]float64) {
	var o struct {
		N             map[string]int
		County1       []string
		County2       []string
		BIG           []string
		Small         []string             `json:"small"`
		Leak          map[string][]float64 `json:"leak_without_coordination"`
		After         map[string][]float64 `json:"ranges_after"`
		Primary, Also []string
	}
	oracle(t, "usersupport_136_linked", &o)
	b := newBuilder()
	names := slices.Concat(o.County1, o.County2)
	for _, n := range names {
		b.people(n, o.N[n])
	}
	rules := dossier.Rules{Name: "more than 3", MinRespondents: 4}
	hidden = append(hidden, o.Primary...)
	leaves := func(name string, of []string) code { return code{name, of} }
	by := func(release string, groups ...code) {
		dim := []code{{"Total", names}}
		for _, n := range names {
			dim = append(dim, code{n, []string{n}})
		}
		b.table(release, rules, [][]code{append(dim, groups...)}, hidden...)
	}
	by("by county", leaves("county1", o.County1), leaves("county2", o.County2))
	by("by size", leaves("BIG", o.BIG), leaves("small", o.Small))
	if len(hidden) == len(o.Primary) {
		return &b.d, o.Leak
	}
	return &b.d, o.After
}

func TestOracle_LinkedTables(t *testing.T) {
	d, leak := linked(t)
	wantRanges(t, ranges(t, d), leak, 1)
	if r := run(t, d, audit.Options{}); !found(r, audit.Outsider, "K") || found(r, audit.Outsider, "A") {
		t.Errorf("without coordination: %+v, want K and not A", r.Violations)
	}
	// Each table alone is safe.
	for i := range d.Tables {
		one := &dossier.Dossier{Leaves: d.Leaves, Tables: d.Tables[i : i+1]}
		if r := run(t, one, audit.Options{}); !r.Protected {
			t.Errorf("%s alone: %+v", d.Tables[i].Release, r.Violations)
		}
	}
	d, after := linked(t, "N")
	wantRanges(t, ranges(t, d), after, 1)
	if r := run(t, d, audit.Options{}); !r.Protected {
		t.Errorf("with N hidden: %+v, want no violation", r.Violations)
	}
}

func TestOracle_Singletons(t *testing.T) {
	var o struct {
		Row1, Row2 map[string]int
		Primary    []string `json:"primary_le2_nonzero"`
	}
	oracle(t, "usersupport_135_singletons", &o)
	b := newBuilder()
	want := map[string][]float64{}
	for c := range o.Row1 {
		b.people("1|"+c, o.Row1[c])
		b.people("2|"+c, o.Row2[c])
	}
	b.table("135", dossier.Rules{Name: "more than 2", MinRespondents: 3}, [][]code{flat("1", "2"), flat("A", "B", "H", "M", "W")}, o.Primary...)
	for _, p := range o.Primary {
		want[p] = []float64{0, 3}
	}
	wantRanges(t, ranges(t, &b.d), want, 1)
	// The singletons in row 1 know enough to break each other.
	if r := run(t, &b.d, audit.Options{}); !slices.ContainsFunc(r.Violations, func(v audit.Violation) bool { return v.Kind == audit.Respondent }) {
		t.Errorf("%+v, want that a singleton breaks another one", r.Violations)
	}
}

// argus reads τ-ARGUS's pp.tab: size by region, by one of its value columns.
func argus(t *testing.T, column int, secondary []string) *dossier.Dossier {
	t.Helper()
	f, err := os.Open(dataFile(t, "tauargus_pp.tab"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = ';'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", "."), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	groups := map[string][]string{"Nr": {"1", "2", "3"}, "Os": {"4", "5", "6", "7"}, "Ws": {"8", "9", "10"}, "Zd": {"11", "12"}}
	var sizes, regions []string
	b := newBuilder()
	for _, row := range rows {
		size, region := strings.TrimSpace(row[0]), strings.TrimSpace(row[1])
		if size != "Total" && !slices.Contains(sizes, size) {
			sizes = append(sizes, size)
		}
		if region != "Total" && groups[region] == nil && !slices.Contains(regions, region) {
			regions = append(regions, region)
		}
		if size != "Total" && region != "Total" && groups[region] == nil {
			b.lone(size+"|"+region, number(row[column]))
		}
	}
	dim := flat(regions...)
	for g, of := range groups {
		dim = append(dim, code{g, of})
	}
	hidden := slices.Clone(secondary)
	for _, row := range rows {
		if row[8] == "U" {
			hidden = append(hidden, strings.TrimSpace(row[0])+"|"+strings.TrimSpace(row[1]))
		}
	}
	table := b.table("pp", dossier.Rules{}, [][]code{flat(sizes...), dim}, hidden...)
	for _, row := range rows {
		key := strings.TrimSpace(row[0]) + "|" + strings.TrimSpace(row[1])
		for i := range table.Cells {
			if c := &table.Cells[i]; strings.Join(c.Keys, "|") == key && c.Value != nil {
				v := number(row[column])
				c.Value = &v
			}
		}
		if row[8] == "U" {
			protect(table, key, number(row[9]), number(row[10]))
		}
	}
	return &b.d
}

func TestOracle_TauArgus(t *testing.T) {
	var o struct {
		Unit  []string `json:"unit_secondary"`
		Value []string `json:"value_secondary"`
	}
	oracle(t, "tau_argus_pp", &o)
	_, err := audit.Audit(t.Context(), argus(t, 2, o.Value), audit.Options{})
	if !errors.Is(err, audit.ErrInconsistent) || !strings.Contains(err.Error(), `"pp"`) {
		t.Errorf("the column that does not add up: got %v, want that it is refused", err)
	}
	for _, secondary := range [][]string{o.Unit, o.Value} {
		d := argus(t, 4, secondary)
		r := run(t, d, audit.Options{})
		if !r.Protected || r.Sensitive != 9 || r.Cells != 162 {
			t.Errorf("%v: %d cells, %d sensitive, %+v, want 162, 9, no violation", secondary, r.Cells, r.Sensitive, r.Violations)
		}
	}
	wantRanges(t, ranges(t, argus(t, 4, o.Value)), map[string][]float64{"9|4": {0, 30118}}, 1)
	for i := range o.Value {
		r := run(t, argus(t, 4, slices.Delete(slices.Clone(o.Value), i, i+1)), audit.Options{})
		if r.Protected {
			t.Errorf("without %s nothing is found, want a violation", o.Value[i])
		}
	}
}

// TestOracle_Mie is the example of the prefecture's page on complementary x.
func TestOracle_Mie(t *testing.T) {
	b := newBuilder()
	share := func(name string, n int, total float64) {
		for i := range n {
			b.leaf(name, dossier.Part{Respondent: int32(10*len(b.d.Leaves) + i), Amount: total / float64(n)})
		}
	}
	share("A", 2, 300)
	share("B", 3, 500)
	share("C", 5, 1000)
	rules := dossier.Rules{Name: "three", MinRespondents: 3}
	b.table("mie", rules, [][]code{flat("A", "B", "C")}, "A")
	if r := run(t, &b.d, audit.Options{}); !found(r, audit.Outsider, "A") {
		t.Errorf("A alone: %+v, want a violation", r.Violations)
	}
	b.d.Tables = nil
	b.table("mie", rules, [][]code{flat("A", "B", "C")}, "A", "B")
	if r := run(t, &b.d, audit.Options{}); !r.Protected {
		t.Errorf("A and B: %+v, want no violation", r.Violations)
	}
	wantRanges(t, ranges(t, &b.d), map[string][]float64{"A": {0, 800}, "B": {0, 800}}, 1)
}

// TestOracle_Rules are the Handbook's examples of what is sensitive, and the
// levels that GaussSuppression's example needs.
func TestOracle_Rules(t *testing.T) {
	spread := func(total float64, largest ...float64) *builder {
		b := newBuilder()
		rest := total
		for i, x := range largest {
			b.leaf("x", part(int32(i), x))
			rest -= x
		}
		for i := range 40 {
			b.leaf("x", part(int32(100+i), rest/40))
		}
		return b
	}
	for _, c := range []struct {
		b     *builder
		rules dossier.Rules
		want  float64
	}{
		{spread(100_000, 50_000, 49_000), dossier.Rules{Top: 1, Share: 90}, 0},
		{spread(100_000, 50_000, 49_000), p10, 4000},
		{spread(110_000, 52_000, 50_000), p10, 0},
		{spread(110_000, 52_000, 50_000), dossier.Rules{Top: 2, Share: 90.9}, 102_000/0.909 - 110_000},
		{spread(330.001, 300, 20, 10), dossier.Rules{Top: 1, Share: 85}, 300/0.85 - 330.001},
		{spread(330, 300, 20), dossier.Rules{Top: 4, Share: 99}, 0},
		{spread(100, 60, 20, 10), dossier.Rules{Percent: 10, Coalition: 2}, 0},
		{spread(100, 60, 20, 15), dossier.Rules{Percent: 10, Coalition: 2}, 1},
		{spread(100, 60, 20, 15), p10, 0},
	} {
		c.b.table("t", c.rules, [][]code{{{"x", []string{"x"}}}})
		r := run(t, &c.b.d, audit.Options{})
		got := 0.0
		if len(r.Violations) > 0 {
			got = r.Violations[0].Needed
		}
		if math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%+v: a protection of %v is needed, want %v", c.rules, got, c.want)
		}
	}
	var m magnitude
	oracle(t, "magnitude1_microdata", &m.microdata)
	b := m.dossier(nil)
	for i := range b.d.Tables {
		b.d.Tables[i].Rules = p10
	}
	var got []float64
	for _, v := range run(t, &b.d, audit.Options{}).Violations {
		if k := v.Cells[0].Keys; k[0] != "Total" && !slices.Contains([]string{"Total", "private", "public"}, k[1]) {
			got = append(got, math.Round(10*v.Needed)/100)
		}
	}
	slices.Sort(got)
	if want := []float64{0.65, 0.71, 0.84, 1.68, 2.16, 2.57, 7.59, 9.66}; !slices.Equal(got, want) {
		t.Errorf("rows as respondents need %v, want %v", got, want)
	}
}
