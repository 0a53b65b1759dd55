package pseudonymize

import (
	"errors"
	"fmt"
)

var (
	// ErrPassphrase: the passphrase does not open the keyset.
	ErrPassphrase = errors.New("the passphrase does not open the keyset")
	// ErrKeyset: the file is not a keyset of this program.
	ErrKeyset = errors.New("the file is not a keyset")
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
