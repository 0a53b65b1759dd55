package suppress_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"meguri/analytics/disclosure/suppress"
)

// known is the folder of tables with known answers.
func known(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("MEGURI_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	dir = filepath.Join(dir, "sdc")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("the tables with known answers are not here: set MEGURI_DATA")
	}
	return dir
}

func oracles(t *testing.T, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(known(t), "oracles.json"))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func byValue(value float64, _ int) float64 { return max(value, 1e-3) }

// tableOf makes a table of leaves with one respondent each.
func tableOf(dims []suppress.Dimension, leaves map[string]float64) *suppress.Table {
	table := suppress.NewTable(dims...)
	respondent := int32(0)
	names := make([]string, 0, len(leaves))
	for name := range leaves {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if leaves[name] > 0 {
			table.Add(respondent, leaves[name], strings.Split(name, "|")...)
			respondent++
		}
	}
	return table
}

func flat(codes ...string) suppress.Dimension {
	var d suppress.Dimension
	d.Add("", "")
	for _, c := range codes {
		d.Add(c, "")
	}
	return d
}

// cost is what is hidden beside the sensitive cells: how many cells, and what is
// in them.
func cost(p *suppress.Problem, r *suppress.Result) (cells int, value float64) {
	for i, h := range r.Hidden {
		if h && !p.Cells[i].Sensitive {
			cells++
			for _, l := range p.Cells[i].Leaves {
				for _, c := range p.Leaves[l] {
					value += c.Amount
				}
			}
		}
	}
	return cells, value
}

// Fischetti and Salazar's table of investments: 37 is the optimum for the first
// levels, 63 for the second.
func TestProtect_FischettiSalazar(t *testing.T) {
	var o struct {
		Table struct {
			Values map[string]float64
			Cases  []struct {
				LPL, UPL, Opt float64
				Cost          string
			}
		} `json:"fischetti_salazar_3x3"`
	}
	oracles(t, &o)
	leaves := map[string]float64{}
	for name, v := range o.Table.Values {
		if !strings.Contains(name, "T") {
			leaves[name] = v
		}
	}
	for _, c := range o.Table.Cases {
		if c.Cost != "value" {
			continue
		}
		p, keys := tableOf([]suppress.Dimension{flat("I", "II", "III"), flat("A", "B", "C")}, leaves).Problem(0, byValue)
		for i, k := range keys {
			if k[0] == "II" && k[1] == "C" {
				p.Cells[i].Sensitive, p.Cells[i].Up, p.Cells[i].Down = true, c.UPL, c.LPL
			}
		}
		r, err := suppress.Protect(p)
		if err != nil {
			t.Fatal(err)
		}
		if n, v := cost(p, r); v != c.Opt {
			t.Errorf("levels %v and %v: %d cells of %v in all are hidden, the optimum is %v", c.LPL, c.UPL, n, v, c.Opt)
		}
	}
}

// Two tables over the same places, each of which is safe alone: only N has to be
// hidden beside the small ones.
func TestProtect_Linked136(t *testing.T) {
	var o struct {
		Table struct {
			N                            map[string]float64
			County1, County2, Big, Small []string
			Primary, Required            []string
			RequiredSecondary            []string `json:"required_secondary"`
		} `json:"usersupport_136_linked"`
	}
	oracles(t, &o)
	names := []string{"A", "B", "I", "J", "K", "L", "M", "N"}
	p := &suppress.Problem{}
	add := func(members []string, sensitive bool) {
		c := suppress.Cell{Sensitive: sensitive}
		for _, m := range members {
			c.Leaves = append(c.Leaves, int32(slices.Index(names, m)))
			c.Cost += o.Table.N[m]
		}
		slices.Sort(c.Leaves)
		if sensitive {
			c.Up, c.Down = 1, 1
		}
		p.Cells = append(p.Cells, c)
	}
	for i, n := range names {
		p.Leaves = append(p.Leaves, []suppress.Contribution{{Respondent: int32(i), Amount: o.Table.N[n]}})
		add([]string{n}, slices.Contains(o.Table.Primary, n))
	}
	for _, group := range [][]string{o.Table.County1, o.Table.County2, o.Table.Big, o.Table.Small, names} {
		add(group, false)
	}
	r, err := suppress.Protect(p)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		if want := slices.Contains(o.Table.Primary, n) || slices.Contains(o.Table.RequiredSecondary, n); r.Hidden[i] != want {
			t.Errorf("%s: hidden %v, want %v", n, r.Hidden[i], want)
		}
	}
	for i := len(names); i < len(p.Cells); i++ {
		if r.Hidden[i] {
			t.Errorf("group %d is hidden", i-len(names))
		}
	}
}

// The vignette of sdcTable: 15 cells of at most 10; the best there is hides 354
// more, others' fast ways 358.
func TestProtect_Vignette(t *testing.T) {
	var o struct {
		Table struct {
			Leaves  map[string]float64 `json:"leaf_freq"`
			Optimum float64            `json:"exact_value_optimum"`
		} `json:"sdctable_vignette_3d"`
	}
	oracles(t, &o)
	var v1 suppress.Dimension
	v1.Add("", "")
	for _, c := range []string{"A", "B", "C", "D"} {
		v1.Add(c, "")
	}
	for _, c := range []string{"Ba", "Bb", "Bc"} {
		v1.Add(c, "B")
	}
	leaves := map[string]float64{}
	for name, v := range o.Table.Leaves {
		n := len(name)
		leaves[name[:n-2]+"|"+name[n-2:n-1]+"|"+name[n-1:]] = v
	}
	p, _ := tableOf([]suppress.Dimension{v1, flat("m", "w"), flat("a", "b", "c", "d", "e", "f")}, leaves).Problem(0, byValue)
	primary := 0
	for i := range p.Cells {
		sum := 0.0
		for _, l := range p.Cells[i].Leaves {
			sum += p.Leaves[l][0].Amount
		}
		if sum <= 10 {
			primary++
			p.Cells[i].Sensitive, p.Cells[i].Up, p.Cells[i].Down = true, 1, 1
		}
	}
	r, err := suppress.Protect(p)
	if err != nil {
		t.Fatal(err)
	}
	if n, v := cost(p, r); primary != 15 || v > 358 || v < o.Table.Optimum {
		t.Errorf("%d primary cells; %d more are hidden, of %v in all; want 15, and between %v and 358", primary, n, v, o.Table.Optimum)
	}
}

// τ-ARGUS' example file, in its additive column: at most a tenth more than the
// optimum.
func TestProtect_ArgusExample(t *testing.T) {
	var o struct {
		Table struct {
			Optimum float64 `json:"exact_value_optimum"`
		} `json:"tau_argus_pp"`
	}
	oracles(t, &o)
	file, err := os.Open(filepath.Join(known(t), "tauargus_pp.tab"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in := csv.NewReader(file)
	in.Comma, in.LazyQuotes, in.TrimLeadingSpace = ';', true, true
	rows, err := in.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(s), ",", ".", 1), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var size, region suppress.Dimension
	size.Add("Total", "")
	region.Add("Total", "")
	group, seen := "", map[string]bool{"Total": true}
	leaves := map[string]float64{}
	levels := map[string][2]float64{}
	for _, r := range rows {
		s, g := strings.TrimSpace(r[0]), strings.TrimSpace(r[1])
		if !seen["s"+s] && s != "Total" {
			seen["s"+s] = true
			size.Add(s, "Total")
		}
		if !seen["r"+g] && g != "Total" {
			seen["r"+g] = true
			switch {
			case len(g) == 2 && g[0] > '9':
				group = g
				region.Add(g, "Total")
			case g == "99":
				region.Add(g, "Total")
			default:
				region.Add(g, group)
			}
		}
		inner := s != "Total" && g != "Total" && (g[0] <= '9')
		if inner {
			leaves[s+"|"+g] = number(r[4])
		}
		if strings.TrimSpace(r[8]) == "U" {
			levels[s+"|"+g] = [2]float64{number(r[9]), number(r[10])}
		}
	}
	p, keys := tableOf([]suppress.Dimension{size, region}, leaves).Problem(0, byValue)
	primary := 0
	for i, k := range keys {
		if l, ok := levels[k[0]+"|"+k[1]]; ok {
			primary++
			p.Cells[i].Sensitive, p.Cells[i].Down, p.Cells[i].Up = true, l[0], l[1]
		}
	}
	r, err := suppress.Protect(p)
	if err != nil {
		t.Fatal(err)
	}
	if n, v := cost(p, r); primary == 0 || v > 1.1*o.Table.Optimum {
		t.Errorf("%d primary cells; %d more are hidden, of %v in all; the optimum is %v", primary, n, v, o.Table.Optimum)
	}
}
