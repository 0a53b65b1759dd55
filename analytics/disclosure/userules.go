package disclosure

import (
	"fmt"
	"io/fs"
	"slices"
)

// UseRules puts the rule sets of a folder in the place of those of the same
// audience that the program brings. It is called before anything is released.
// A document of another audience, or with a version that is taken, is an error,
// and nothing is changed.
func UseRules(folder fs.FS) error {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return err
	}
	all := mustReadRules()
	taken := map[Audience]string{}
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return fmt.Errorf("rules/%s: %w", name, err)
		}
		r, err := ParseRules(text)
		if err != nil {
			return fmt.Errorf("rules/%s: %w", name, err)
		}
		i := slices.IndexFunc(all, func(o RuleSet) bool { return o.Audience == r.Audience })
		switch {
		case i < 0:
			return fmt.Errorf("rules/%s: %w: %q", name, ErrNoRuleSet, r.Audience)
		case all[i].Version == r.Version:
			return fmt.Errorf("rules/%s: the version %q is that of other rules: give another one", name, r.Version)
		case taken[r.Audience] != "":
			return fmt.Errorf("rules/%s: the audience %q is that of rules/%s: keep one of them", name, r.Audience, taken[r.Audience])
		}
		all[i], taken[r.Audience] = r, name
	}
	if err := agree(all); err != nil {
		return err
	}
	RuleSets = all
	return nil
}

// agree checks that a recipient, who has what is public beside its own tables,
// has no figure both with noise and without.
func agree(all []RuleSet) error {
	of := map[Audience]RuleSet{}
	for _, r := range all {
		of[r.Audience] = r
	}
	public, recipient := of[Public], of[Recipient]
	for _, id := range append(sortedKeys(public.Methods), sortedKeys(recipient.Methods)...) {
		if public.treatment(id) != recipient.treatment(id) {
			return fmt.Errorf("rule sets %q and %q: %s must have one method in both, since recipients have what is public", Public, Recipient, id)
		}
	}
	return nil
}

// NeedsReleaseKey says whether a rule set in force perturbs by cell keys.
func NeedsReleaseKey() bool {
	return slices.ContainsFunc(RuleSets, func(r RuleSet) bool {
		for _, t := range r.Methods {
			if t.Method == CellKey {
				return true
			}
		}
		return false
	})
}
