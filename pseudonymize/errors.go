package pseudonymize

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"meguri/pseudonymize/scan"
)

var (
	// ErrPassphrase: the passphrase does not open the keyset.
	ErrPassphrase = errors.New("the passphrase does not open the keyset")
	// ErrKMS: the key management service does not open the keyset.
	ErrKMS = errors.New("the key management service does not open the keyset")
	// ErrKeyset: the file is not a keyset of this program.
	ErrKeyset = errors.New("the file is not a keyset")
	// ErrNoKey: the key ring has no such key.
	ErrNoKey = errors.New("the key ring has no such key")
	// ErrDestroyed: the key was destroyed, and its tokens cannot be made again.
	ErrDestroyed = errors.New("the key was destroyed, and nobody can make its tokens again")
	// ErrKeyExists: the purpose has a key already.
	ErrKeyExists = errors.New("the purpose has a key already: rotate it for a new epoch")
	// ErrScope: a project or purpose is not named as it must be.
	ErrScope = errors.New("a project and a purpose are named with 1 to 63 of a-z, 0-9, \".\", \"_\" and \"-\", a letter or digit first")
	// ErrPurpose: the policy is for another purpose than the key.
	ErrPurpose = errors.New("the field policy is for another purpose than the key")
	// ErrSealed: the file is not a sealed secret of the kind that is asked for.
	ErrSealed = errors.New("the file does not hold that kind of secret")
	// ErrPolicy: the policy document is not well formed.
	ErrPolicy = errors.New("the field policy is not well formed")
)

// UnknownColumnError says that data holds a column that the policy does not
// name. Nothing was written.
type UnknownColumnError struct{ Column string }

func (e *UnknownColumnError) Error() string {
	return fmt.Sprintf("column %q is not in the field policy: add a rule for it (drop, keep, token …) or take it out of the data", e.Column)
}

// FoundError says that a column that was to go on holds what must not. It names
// what was found and how often, and never a value. Nothing was written.
type FoundError struct {
	Column string
	Found  scan.Counts
}

func (e *FoundError) Error() string {
	var kinds []string
	for kind, n := range e.Found {
		kinds = append(kinds, fmt.Sprintf("%s (%d)", kind, n))
	}
	slices.Sort(kinds)
	return fmt.Sprintf("column %q holds what looks like %s: drop it or make a token of it, or exempt the column in the field policy with a reason",
		e.Column, strings.Join(kinds, ", "))
}
