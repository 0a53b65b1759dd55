package budget

import "errors"

// The errors of the package.
var (
	ErrQuery     = errors.New("the question cannot be asked like this")
	ErrMechanism = errors.New("noise cannot be made like this")
	// ErrUsedUp: the recipient's account does not hold the cost of the answer.
	// Questions that were answered before are still answered.
	ErrUsedUp    = errors.New("the privacy budget of this recipient is used up")
	ErrNoAccount = errors.New("the recipient has no account")
	// ErrConflict: the entry is not the next one of its account. A Store returns
	// it when another one was first.
	ErrConflict = errors.New("another entry was first")
	// ErrBroken: the entries of an account are not those that were written.
	ErrBroken   = errors.New("the account's entries have been changed")
	ErrOverflow = errors.New("a figure is too large")
)
