package pseudonymize

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"meguri/pseudonymize/scan"
)

// Action is what becomes of a column.
type Action string

// The actions there are.
const (
	Drop       Action = "drop"        // nothing of it goes on
	Keep       Action = "keep"        // goes on as it is: codes and amounts; scanned
	Tokenize   Action = "token"       // a token takes its place
	AgeBand    Action = "age_band"    // a birth date becomes a band of years, the oldest in one
	Area       Action = "area"        // an address or mesh code becomes a larger area; scanned
	AmountBand Action = "amount_band" // yen become a band of the row 1, 2, 5, 10, 20, 50 …
	Category   Action = "category"    // a code becomes a coarser one of a list
	LocalTime  Action = "local_time"  // an instant becomes the wall clock in Asia/Tokyo, to the minute
	LocalHour  Action = "local_hour"  // … to the hour
	LocalDay   Action = "local_day"   // … the day
	LocalWeek  Action = "local_week"  // … the Monday of its week
	LocalMonth Action = "local_month" // … the month, YYYY-MM
	FreeText   Action = "free_text"   // goes on where a reason is given; what a scanner finds is taken out
)

// Rule says what becomes of one column. A column may have several rules.
type Rule struct {
	From   string `yaml:"from"`
	Action Action `yaml:"action"`
	As     string `yaml:"as,omitempty"`     // the column of the lake; empty for drop
	Domain string `yaml:"domain,omitempty"` // for token: what kind of identifier it is
	Within string `yaml:"within,omitempty"` // for token: who gave it, where that is one for all rows and not the row's source
	Law    string `yaml:"law,omitempty"`    // why, for the evidence: "規則31条1号：…" (or "Rule 31(1)") or what it is needed for

	To     string            `yaml:"to,omitempty"`     // for area: town, district, mesh_500m, mesh_1km, mesh_10km
	Width  int               `yaml:"width,omitempty"`  // for age_band: 5 or 10 years
	Lowest int64             `yaml:"lowest,omitempty"` // for amount_band: one band below it
	Top    int64             `yaml:"top,omitempty"`    // for age_band and amount_band: one band from it upwards
	Codes  map[string]string `yaml:"codes,omitempty"`  // for category
	Other  string            `yaml:"other,omitempty"`  // for category: what every other code becomes
	Reason string            `yaml:"reason,omitempty"` // for free_text: why it is needed
	Exempt []Exemption       `yaml:"exempt,omitempty"` // for what is scanned
}

// Exemption lets a column have what a scanner takes for something else.
type Exemption struct {
	Kind   scan.Kind `yaml:"kind"`
	Reason string    `yaml:"reason"`
}

// Policy is a field policy (加工方法): a rule for every column of a dataset.
type Policy struct {
	Version string `yaml:"version"`
	Dataset string `yaml:"dataset"`
	Purpose string `yaml:"purpose"` // 利用目的; the key must be of it too
	Source  string `yaml:"source"`  // the column that says who gave the row
	Rules   []Rule `yaml:"rules"`
}

//go:embed *.yaml
var documents embed.FS

// Datasets are the datasets that the program has a policy for.
func Datasets() []string {
	files, err := documents.ReadDir(".")
	if err != nil {
		panic("pseudonymize: " + err.Error())
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), path.Ext(f.Name())))
	}
	return names
}

// Document is the text of the policy for a dataset that comes with the program.
func Document(dataset string) ([]byte, error) {
	if !slices.Contains(Datasets(), dataset) {
		return nil, fmt.Errorf("%w: there is no policy for %q, but for %s", ErrPolicy, dataset, strings.Join(Datasets(), ", "))
	}
	return documents.ReadFile(dataset + ".yaml")
}

// PolicyFor is the policy for a dataset that comes with the program.
func PolicyFor(dataset string) (Policy, error) {
	text, err := Document(dataset)
	if err != nil {
		return Policy{}, err
	}
	p, err := ParsePolicy(text)
	if err != nil {
		return p, fmt.Errorf("%s.yaml: %w", dataset, err)
	}
	return p, nil
}

// Policies are those that come with the program, by dataset.
func Policies() map[string]Policy {
	all := map[string]Policy{}
	for _, dataset := range Datasets() {
		p, err := PolicyFor(dataset)
		if err != nil {
			panic("pseudonymize: " + err.Error())
		}
		all[dataset] = p
	}
	return all
}

// PaymentPolicy is the policy for payments that comes with the program.
func PaymentPolicy() Policy { return Policies()["payment"] }

// ParsePolicy reads a policy document (YAML). Members it does not know are an
// error, and so is a rule without its reason in law. Errors name the line.
func ParsePolicy(text []byte) (Policy, error) {
	var p Policy
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return p, fmt.Errorf("%w: something follows the document", ErrPolicy)
	}
	i, err := p.fault()
	if err == nil {
		i = slices.IndexFunc(p.Rules, func(r Rule) bool { return strings.TrimSpace(r.Law) == "" })
		if i < 0 {
			return p, nil
		}
		err = fmt.Errorf("%s has no \"law\": say by which clause of Rule 31 it is changed, or what it is needed for", p.Rules[i].From)
	}
	if lines := ruleLines(text); i >= 0 && i < len(lines) {
		return p, fmt.Errorf("%w: line %d: %w", ErrPolicy, lines[i], err)
	}
	return p, fmt.Errorf("%w: %w", ErrPolicy, err)
}

// ruleLines are the lines on which the rules begin.
func ruleLines(text []byte) (lines []int) {
	var root yaml.Node
	if yaml.Unmarshal(text, &root) != nil || len(root.Content) == 0 {
		return nil
	}
	for i := 0; i+1 < len(root.Content[0].Content); i += 2 {
		if root.Content[0].Content[i].Value != "rules" {
			continue
		}
		list := root.Content[0].Content[i+1]
		if list.Alias != nil {
			list = list.Alias
		}
		for _, rule := range list.Content {
			lines = append(lines, rule.Line)
		}
	}
	return lines
}

// CheckColumns compares a policy with the columns that a dataset has: each needs
// a rule, and each rule a column.
func (p Policy) CheckColumns(columns []string) error {
	for _, c := range columns {
		if !slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.From == c }) {
			return &UnknownColumnError{Column: c}
		}
	}
	for _, r := range p.Rules {
		if !slices.Contains(columns, r.From) {
			return noColumn(r.From, p.Dataset)
		}
	}
	return nil
}

func noColumn(column, dataset string) error {
	return fmt.Errorf("%w: there is no column %q in the data of %q", ErrPolicy, column, dataset)
}

// Columns are the columns that the policy has rules for.
func (p Policy) Columns() (columns []string) {
	for _, r := range p.Rules {
		if !slices.Contains(columns, r.From) {
			columns = append(columns, r.From)
		}
	}
	return columns
}

func (p Policy) check() error {
	if _, err := p.fault(); err != nil {
		return fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return nil
}

// fault returns what is wrong with a policy, whatever the data are, and the
// number of the rule, or -1.
func (p Policy) fault() (int, error) {
	if p.Version == "" || p.Dataset == "" || p.Purpose == "" || len(p.Rules) == 0 {
		return -1, fmt.Errorf("it needs a version, a dataset, a purpose and rules")
	}
	var made, dropped, used []string
	for i, r := range p.Rules {
		if err := r.check(); err != nil {
			return i, err
		}
		switch {
		case r.Action == Drop && slices.Contains(used, r.From), r.Action != Drop && slices.Contains(dropped, r.From):
			return i, fmt.Errorf("%s is dropped by one rule and goes on by another", r.From)
		case r.Action == Drop:
			dropped = append(dropped, r.From)
		case r.As == "" || slices.Contains(made, r.As):
			return i, fmt.Errorf("every rule makes a column of its own (%q from %q)", r.As, r.From)
		default:
			made, used = append(made, r.As), append(used, r.From)
		}
	}
	return -1, nil
}

// parameters are those that an action takes.
var parameters = map[Action][]string{
	Drop: nil, Keep: {"exempt"}, Tokenize: {"domain", "within"}, AgeBand: {"width", "top"}, Area: {"to", "exempt"},
	AmountBand: {"lowest", "top"}, Category: {"codes", "other"}, LocalTime: nil, LocalHour: nil, LocalDay: nil, LocalWeek: nil,
	LocalMonth: nil, FreeText: {"reason", "exempt"},
}

func (r Rule) check() error {
	if r.From == "" {
		return fmt.Errorf("a rule names no column (\"from\")")
	}
	takes, known := parameters[r.Action]
	if !known {
		return fmt.Errorf("%s has the unknown action %q", r.From, r.Action)
	}
	given := map[string]bool{
		"domain": r.Domain != "", "within": r.Within != "", "to": r.To != "", "width": r.Width != 0, "lowest": r.Lowest != 0, "top": r.Top != 0,
		"codes": len(r.Codes) > 0, "other": r.Other != "", "reason": r.Reason != "", "exempt": len(r.Exempt) > 0,
	}
	for name, is := range given {
		if is && !slices.Contains(takes, name) {
			return fmt.Errorf("%s: the action %s takes no %q", r.From, r.Action, name)
		}
	}
	for _, e := range r.Exempt {
		if !slices.Contains(scan.Kinds, e.Kind) || strings.TrimSpace(e.Reason) == "" {
			return fmt.Errorf("%s: an exemption names one of %v and a reason, and not %q", r.From, scan.Kinds, e.Kind)
		}
	}
	switch r.Action {
	case Drop:
		if r.As != "" {
			return fmt.Errorf("%s is dropped, so it has no \"as\"", r.From)
		}
	case Tokenize:
		if r.Domain == "" {
			return fmt.Errorf("%s needs a domain", r.From)
		}
	case AgeBand:
		if width, top := r.ages(); (width != 5 && width != 10) || top < 60 || top > 90 || top%width != 0 {
			return fmt.Errorf("%s: bands are 5 or 10 years wide, and the top is one of their bounds from 60 to 90", r.From)
		}
	case AmountBand:
		if lowest, top := r.amounts(); !is125(lowest) || !is125(top) || lowest >= top || top > 1_000_000_000_000 {
			return fmt.Errorf("%s: lowest and top are of the row 1, 2, 5, 10, 20, 50 …, and lowest is less", r.From)
		}
	case Area:
		if _, known := areas[r.To]; !known {
			return fmt.Errorf("%s: an area is generalised \"to\" town, district, mesh_500m, mesh_1km or mesh_10km, and not to %q", r.From, r.To)
		}
	case Category:
		if len(r.Codes) == 0 || r.Other == "" {
			return fmt.Errorf("%s needs codes, and \"other\" for those that are not among them", r.From)
		}
	case FreeText:
		if strings.TrimSpace(r.Reason) == "" {
			return fmt.Errorf("%s: free text is refused, since it may hold anything; drop it, or give the reason why it is needed", r.From)
		}
	}
	return nil
}

// ages are a rule's width and top of bands of age.
func (r Rule) ages() (width, top int) {
	width, top = 10, 90
	if r.Width != 0 {
		width = r.Width
	}
	if r.Top != 0 {
		top = int(r.Top)
	}
	return width, top
}

// amounts are a rule's lowest and top bound of bands of yen.
func (r Rule) amounts() (lowest, top int64) {
	lowest, top = 100, 100_000
	if r.Lowest != 0 {
		lowest = r.Lowest
	}
	if r.Top != 0 {
		top = r.Top
	}
	return lowest, top
}

func (r Rule) exempt() (kinds []scan.Kind) {
	for _, e := range r.Exempt {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

var clause = regexp.MustCompile(`(?:規則第?31条第?|Rule 31\()([1-3])`)

// Clause is the number of Rule 31 that the rule is under, or 0 where the column
// tells nothing of a person.
func (r Rule) Clause() int {
	if m := clause.FindStringSubmatch(r.Law); m != nil {
		return int(m[1][0] - '0')
	}
	return 0
}

// Parameters are a rule's parameters in one line, for the evidence.
func (r Rule) Parameters() string {
	switch r.Action {
	case Tokenize:
		if r.Within != "" {
			return "domain=" + r.Domain + " within=" + r.Within
		}
		return "domain=" + r.Domain
	case AgeBand:
		width, top := r.ages()
		return fmt.Sprintf("width=%d top=%d", width, top)
	case AmountBand:
		lowest, top := r.amounts()
		return fmt.Sprintf("lowest=%d top=%d", lowest, top)
	case Area:
		return "to=" + r.To
	case Category:
		return fmt.Sprintf("codes=%d other=%s", len(r.Codes), r.Other)
	}
	return ""
}
