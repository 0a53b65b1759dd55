package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"meguri/ingest"
)

// A corporate number that was mistyped is refused, and not repeated.
func TestPutShops_RefusesABadOperator(t *testing.T) {
	im := open(t, t.TempDir())
	shop := ingest.Shop{Source: "mitaka", ID: "s1", Operator: "7000012050003"}
	err := im.PutShops(t.Context(), []ingest.Shop{shop})
	if !errors.Is(err, ingest.ErrInvalid) || !strings.Contains(err.Error(), "operator") || strings.Contains(err.Error(), shop.Operator) {
		t.Errorf("got %v", err)
	}
	shop.Operator = "7000012050002"
	if err := im.PutShops(t.Context(), []ingest.Shop{shop}); err != nil {
		t.Error(err)
	}
}
