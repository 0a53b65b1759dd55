package disclosure

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrPurpose: nothing is released for a purpose that may not be used.
var ErrPurpose = errors.New("the purpose is not in force")

// Purpose is what a gate releases for (利用目的).
type Purpose struct {
	Own     string                                          // the city's own, where a call names none
	InForce func(ctx context.Context, purpose string) error // says no; nil is for gates without a registry
}

type purposeKey struct{}

// For names the purpose of what is released under a context: a contract's,
// instead of the city's own.
func For(ctx context.Context, purpose string) context.Context {
	return context.WithValue(ctx, purposeKey{}, purpose)
}

// of is the purpose of a call.
func (p Purpose) of(ctx context.Context) string {
	named, _ := ctx.Value(purposeKey{}).(string)
	return cmp.Or(named, p.Own)
}

// check returns ErrPurpose unless the purpose of a call may be used now.
func (p Purpose) check(ctx context.Context) error {
	if p.InForce == nil {
		return nil
	}
	if err := p.InForce(ctx, p.of(ctx)); err != nil {
		return fmt.Errorf("%w: %w", ErrPurpose, err)
	}
	return nil
}

// Purpose is what an entry was released for, or "" where entries are older than
// purposes.
func (r Record) Purpose() string {
	var b struct {
		Purpose string `json:"purpose"`
	}
	_ = json.Unmarshal(r.Body, &b) // who reads the register has checked its hash
	return b.Purpose
}
