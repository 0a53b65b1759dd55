package ingest

import (
	"testing"
	"time"

	"meguri/pseudonymize"
)

// TestPolicies_FitTheDatasets: the policies that come with the program decide
// about every column of every dataset's joined rows, and about no other.
func TestPolicies_FitTheDatasets(t *testing.T) {
	keys, err := pseudonymize.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := pseudonymize.NewTokenizer(keys)
	if err != nil {
		t.Fatal(err)
	}
	policies := pseudonymize.Policies()
	schemas := map[string]bool{ResidentDataset: true, ShopDataset: true, PaymentDataset: true}
	for _, d := range Datasets() {
		schemas[d.Name] = true
	}
	if len(policies) != len(schemas) {
		t.Errorf("%d policies for %d datasets", len(policies), len(schemas))
	}
	for dataset := range schemas {
		schema := residentSchema
		switch dataset {
		case ResidentDataset:
		case ShopDataset:
			schema = shopSchema
		default:
			schema = joinedSchema(dataset)
		}
		plan, err := policies[dataset].Compile(schema, tokens, time.Now())
		if err != nil {
			t.Errorf("%s: %v", dataset, err)
			continue
		}
		if dataset != ResidentDataset && dataset != ShopDataset && !plan.Schema.HasField("occurred_on") {
			t.Errorf("%s: it has no day", dataset)
		}
	}
}
