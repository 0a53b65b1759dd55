package disclosure

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"meguri/analytics"
)

// Audience is who a release is for.
type Audience string

// The audiences with a rule set.
const (
	Public    Audience = "public"    // anyone
	City      Audience = "city"      // city and office, under contract
	Owner     Audience = "shop"      // a merchant, about its own shop
	Recipient Audience = "recipient" // a third party with a contract: what it gets, it can put together with what is public
)

// RuleSet is a version of the rules for an audience, as it stands in a document
// of the folder rules. Released tables name it. Percent, Top and Share are the
// office's secret: who knows them can work back from what is hidden (Handbook on
// Statistical Disclosure Control, 2nd ed., 4.2).
type RuleSet struct {
	Audience   Audience `json:"audience" yaml:"audience"`
	Version    string   `json:"version" yaml:"version"`
	MinPersons int64    `json:"min_persons" yaml:"min_persons"`           // a cell with fewer persons is hidden, unless nothing happened in it
	MinShops   int64    `json:"min_shops,omitempty" yaml:"min_shops"`     // the same for shops
	RoundYen   int64    `json:"round_yen,omitempty" yaml:"round_yen"`     // amounts are shown in multiples of it
	RoundCount int64    `json:"round_count,omitempty" yaml:"round_count"` // counts are

	Percent float64 `json:"-" yaml:"percent"` // p % rule: nobody may estimate another one's part within p %
	Top     int     `json:"-" yaml:"top"`     // (n, k) rule: the n largest shops may not have more than k %
	Share   float64 `json:"-" yaml:"share"`

	Zeroes  *Zeroes  `json:"-" yaml:"zeroes"`
	Regions *Regions `json:"-" yaml:"regions"`

	Frozen      bool       `json:"frozen,omitempty" yaml:"frozen"` // what is published once stays as it is
	WholeMonths bool       `json:"-" yaml:"whole_months"`          // windows are whole months that are over
	OwnShop     bool       `json:"-" yaml:"own_shop"`
	Lattice     [][]string `json:"-" yaml:"lattice"` // the cuts there are; without, all that a metric has

	Methods map[string]Treatment `json:"-" yaml:"methods"` // by metric; what is not named is suppressed
}

// Zeroes are the rules of what a zero tells. Where nearly all persons of a group
// fall into one cell of a table of persons, everybody who is known to be of the
// group is known to be in it (Handbook, 5.2: group disclosure). An empty cell
// tells the same of all others, and cannot be told from a hidden one. Which shops
// and opening hours there are is public, so zeroes of these stay.
type Zeroes struct {
	Elsewhere int64 `yaml:"elsewhere"` // a cell is sensitive when so many or fewer of its group are elsewhere
}

// Regions are the rules of small areas: one with fewer persons, or of shops'
// areas also fewer shops, in the whole window is put together (合算) with its
// neighbour in all tables of the view, or hidden where no neighbour is named.
type Regions struct {
	MinPersons int64 `yaml:"min_persons"`
	MinShops   int64 `yaml:"min_shops"`
}

//go:embed rules/*.yaml
var documents embed.FS

// RuleSets are the rule sets in force.
var RuleSets = mustReadRules()

// Errors of the gate. Each is a refusal: nothing was released.
var (
	ErrNoRuleSet  = errors.New("no rule set for this audience")
	ErrNotOffered = errors.New("this table is not offered to this audience")
	ErrDiscloses  = errors.New("together with what was released before, this table would disclose what is hidden")
	ErrUneven     = errors.New("the numbers behind the table do not add up")
)

func mustReadRules() []RuleSet {
	names, err := documents.ReadDir("rules")
	if err != nil {
		panic("disclosure: " + err.Error())
	}
	var all []RuleSet
	for _, name := range names {
		text, err := documents.ReadFile("rules/" + name.Name())
		if err != nil {
			panic("disclosure: " + err.Error())
		}
		r, err := ParseRules(text)
		if err != nil {
			panic(fmt.Sprintf("disclosure: %s: %v", name.Name(), err))
		}
		all = append(all, r)
	}
	return all
}

// ParseRules reads a rule set's document. Unknown fields, and rules that protect
// nobody, are errors.
func ParseRules(text []byte) (RuleSet, error) {
	var r RuleSet
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&r); err != nil {
		return RuleSet{}, fmt.Errorf("read a rule set: %w", err)
	}
	fault := func(format string, args ...any) (RuleSet, error) {
		return RuleSet{}, fmt.Errorf("rule set %q: "+format, append([]any{r.Audience}, args...)...)
	}
	switch {
	case r.Audience == "" || r.Version == "":
		return fault("audience and version must be given")
	case r.MinPersons < 3:
		return fault("min_persons is %d; fewer than 3 protect nobody", r.MinPersons)
	case r.MinShops < 0 || r.Percent < 0 || r.Percent > 100 || r.RoundYen < 0 || r.RoundCount < 0:
		return fault("a number is out of range")
	case r.Zeroes != nil && (r.Zeroes.Elsewhere < 0 || r.Zeroes.Elsewhere >= r.MinPersons):
		return fault("zeroes: elsewhere is %d; it must be 0 or more, and less than min_persons", r.Zeroes.Elsewhere)
	case r.Regions != nil && (r.Regions.MinPersons < r.MinPersons || r.Regions.MinShops < r.MinShops):
		return fault("regions: an area cannot ask for less than a cell")
	case (r.Top > 0) != (r.Share > 0) || r.Top < 0 || r.Share < 0 || r.Share > 100:
		return fault("top and share go together, share in %%")
	}
	for i, cut := range r.Lattice {
		for _, d := range cut {
			if _, err := analytics.DimensionByName(d); err != nil {
				return fault("lattice: %w", err)
			}
		}
		if slices.ContainsFunc(r.Lattice[:i], func(other []string) bool { return cutName(other) == cutName(cut) }) {
			return fault("lattice: a cut stands twice")
		}
	}
	if err := r.checkMethods(); err != nil {
		return fault("methods: %w", err)
	}
	return r, nil
}

// RulesFor returns the rule set in force for an audience.
func RulesFor(a Audience) (RuleSet, error) {
	for _, r := range RuleSets {
		if r.Audience == a {
			return r, nil
		}
	}
	return RuleSet{}, fmt.Errorf("%w: %q", ErrNoRuleSet, a)
}
