package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"meguri/pseudonymize"
	"meguri/pseudonymize/scan"
)

func (p *program) policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "field policies: what becomes of every column, and whether the lake is as they say",
	}
	c.AddCommand(p.policyCheck(), p.policyShow(), p.policyScan())
	return c
}

// readPolicy reads a policy document. Its errors name file and line.
func readPolicy(path string) (pseudonymize.Policy, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return pseudonymize.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	policy, err := pseudonymize.ParsePolicy(text)
	if err != nil {
		return policy, fmt.Errorf("%s: %w", path, err)
	}
	return policy, nil
}

func (p *program) policyCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "check a policy document, and that it decides about every column of its dataset",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			policy, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			ours, err := pseudonymize.PolicyFor(policy.Dataset)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := policy.CheckColumns(ours.Columns()); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if policy.Purpose != p.config.Purpose {
				fmt.Fprintf(p.stderr, "the purpose %q is not the configuration's (%q): the pipeline will refuse it\n", policy.Purpose, p.config.Purpose)
			}
			count := map[pseudonymize.Action]int{}
			for _, r := range policy.Rules {
				count[r.Action]++
			}
			fmt.Fprintf(p.stdout, "%s is right: %s %s for %s, %d columns, %d dropped, %d tokens, %d kept\n", args[0], policy.Dataset, policy.Version,
				policy.Purpose, len(policy.Columns()), count[pseudonymize.Drop], count[pseudonymize.Tokenize], count[pseudonymize.Keep])
			return nil
		},
	}
}

func (p *program) policyShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show [DATASET]",
		Short: "list the policies that come with the program, or print one to start from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				text, err := pseudonymize.Document(args[0])
				if err != nil {
					return err
				}
				_, err = p.stdout.Write(text)
				return err
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "dataset\tversion\tpurpose\tcolumns")
			for _, dataset := range pseudonymize.Datasets() {
				policy, err := pseudonymize.PolicyFor(dataset)
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", dataset, policy.Version, policy.Purpose, len(policy.Columns()))
			}
			return w.Flush()
		},
	}
}

func (p *program) policyScan() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "scan [LAKE]",
		Short: "look for names, numbers and secrets in the Parquet files of a lake",
		Long: `Scans every column of every Parquet file below the folder, by default the lake's.
It prints file, column, kind and how many different values, and never a value.
What the policies exempt, with a reason, is shown as such. Anything else is a
failure (exit code 1): the mapping or the policy lets through what it must not.`,
		Args: cobra.MaximumNArgs(1),
	}
	c.Flags().StringArrayVar(&files, "policy", nil, "policy document with exemptions, instead of the program's for its dataset")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dir := filepath.Join(p.config.Dir, "lake")
		if len(args) == 1 {
			dir = args[0]
		}
		exempt, err := exemptions(files)
		if err != nil {
			return err
		}
		report, err := scan.Folder(cmd.Context(), dir)
		if err != nil {
			return err
		}
		found := 0
		for _, f := range report.Findings {
			kinds := make([]scan.Kind, 0, len(f.Found))
			for kind := range f.Found {
				kinds = append(kinds, kind)
			}
			slices.Sort(kinds)
			table, _, _ := strings.Cut(f.File, "/")
			dataset := strings.TrimSuffix(table, "s") // a table of payments holds the dataset payment
			for _, kind := range kinds {
				note := ""
				if reason, ok := exempt[[3]string{dataset, f.Column, string(kind)}]; ok {
					note = "\texempt: " + reason
				} else {
					found++
				}
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%d%s\n", f.File, f.Column, kind, f.Found[kind], note)
			}
		}
		fmt.Fprintf(p.stdout, "scanned %d files, %d rows: %d findings\n", report.Files, report.Rows, found)
		if found > 0 {
			return fmt.Errorf("%s holds what must not be in a lake: find the mapping that let it in, repair it, and build the lake anew", dir)
		}
		return nil
	}
	return c
}

// exemptions are the reasons by dataset, column of the lake and kind.
func exemptions(files []string) (map[[3]string]string, error) {
	policies := map[string]pseudonymize.Policy{}
	for _, dataset := range pseudonymize.Datasets() {
		policy, err := pseudonymize.PolicyFor(dataset)
		if err != nil {
			return nil, err
		}
		policies[dataset] = policy
	}
	for _, path := range files {
		policy, err := readPolicy(path)
		if err != nil {
			return nil, err
		}
		policies[policy.Dataset] = policy
	}
	reasons := map[[3]string]string{}
	for dataset, policy := range policies {
		for _, r := range policy.Rules {
			for _, e := range r.Exempt {
				reasons[[3]string{dataset, r.As, string(e.Kind)}] = e.Reason
			}
		}
	}
	return reasons, nil
}
