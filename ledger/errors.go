package ledger

import "errors"

// Refusals: answers of the business, stored with the transaction's ID so that
// the same request gets the same answer again.
var (
	ErrUnbalanced          = errors.New("transfer crosses programmes")
	ErrInvalid             = errors.New("transaction is not well formed")
	ErrInsufficientBalance = errors.New("balance is not enough")
	ErrAccountNotFound     = errors.New("account does not exist")
	ErrAccountClosed       = errors.New("account is closed")
	ErrNotCancellable      = errors.New("only a posted payment can be cancelled")
	ErrAlreadyCancelled    = errors.New("payment was cancelled before")
	ErrOverflow            = errors.New("amount is out of range")
)

// Errors that are not kept.
var (
	// ErrConflict: the ID was used before with other content.
	ErrConflict = errors.New("the same ID was used with other content")
	// ErrNotFound: there is no such account or transaction.
	ErrNotFound = errors.New("not found in the ledger")
	// ErrBusy: the queue is full; nothing was recorded, try again later.
	ErrBusy = errors.New("too many transactions are waiting")
)

// refusals gives each stored refusal its code, which stands in the database
// and in problem documents. Codes are never reused.
var refusals = []struct {
	Code string
	Err  error
}{
	{"unbalanced", ErrUnbalanced},
	{"invalid", ErrInvalid},
	{"insufficient-balance", ErrInsufficientBalance},
	{"account-not-found", ErrAccountNotFound},
	{"account-closed", ErrAccountClosed},
	{"not-cancellable", ErrNotCancellable},
	{"already-cancelled", ErrAlreadyCancelled},
	{"overflow", ErrOverflow},
}

// RefusalCode returns the code of a refusal, or "" when err is none.
func RefusalCode(err error) string {
	for _, r := range refusals {
		if errors.Is(err, r.Err) {
			return r.Code
		}
	}
	return ""
}

// Refusal returns the refusal of a code, or nil when there is none such.
func Refusal(code string) error {
	for _, r := range refusals {
		if r.Code == code {
			return r.Err
		}
	}
	return nil
}
