package api

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"meguri/openapi/paymentdata"
	"meguri/openapi/statistics"
	"meguri/openapi/wallet"
)

// Scopes are the scopes that a client program can be given: those that the
// contracts ask for, and the one that a handler asks for by content.
func Scopes() []string {
	scopes := []string{scopeBackdate}
	for _, load := range []func() (*openapi3.T, error){wallet.Load, paymentdata.Load, statistics.Load} {
		doc, err := load()
		if err != nil { // the contracts are part of the program
			panic(err)
		}
		ops, err := operationsOf(doc)
		if err != nil {
			panic(err)
		}
		for _, op := range ops {
			scopes = append(scopes, op.scopes...)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}
