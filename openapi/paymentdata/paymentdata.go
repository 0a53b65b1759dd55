// Package paymentdata is the contract of the standard payment-data API: how payments
// leave the ledger for those who may use them.
//
// openapi.yaml is written by hand and is the truth; everything that ends in
// .gen.go is made from it. Package server has the interface that package api
// meets, package client what programs call it with. Start with [Load].
package paymentdata

import (
	_ "embed"

	"github.com/getkin/kin-openapi/openapi3"

	"meguri/openapi"
)

//go:generate go tool -modfile=../tools.mod oapi-codegen -config types.yaml openapi.yaml
//go:generate go tool -modfile=../tools.mod oapi-codegen -config server/server.yaml openapi.yaml
//go:generate go tool -modfile=../tools.mod oapi-codegen -config client/client.yaml openapi.yaml

// YAML is the contract as it was written.
//
//go:embed openapi.yaml
var YAML []byte

// Load returns the contract, read and checked. Every call makes a new copy,
// which its caller may change.
func Load() (*openapi3.T, error) { return openapi.Load(YAML) }
