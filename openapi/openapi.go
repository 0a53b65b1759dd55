// Package openapi holds the contracts of Meguri's APIs, one package each:
// wallet, paymentdata and statistics. [Load] reads a contract.
package openapi

import (
	"context"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

// Load reads a contract and checks it, its examples included.
func Load(yaml []byte) (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(yaml)
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("check contract: %w", err)
	}
	return doc, nil
}
