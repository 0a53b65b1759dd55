package ledger

import (
	"errors"
	"fmt"
)

// Refusal is an answer of the business, by its code. It is kept under the
// transaction's ID, so that the same request gets the same answer again,
// whatever has changed since. Codes stand in the database and in problem
// documents and are never reused.
type Refusal string

func (r Refusal) Error() string { return "refused: " + string(r) }

// The ledger's refusals. Other packages have more, and hand them in as
// Transaction.Refused.
const (
	ErrInvalid             Refusal = "invalid"               // not well formed
	ErrAmountZero          Refusal = "amount-zero"           // an amount is zero
	ErrAmountNegative      Refusal = "amount-negative"       // an amount is below zero
	ErrOverflow            Refusal = "overflow"              // an amount is out of range
	ErrSelfTransfer        Refusal = "self-transfer"         // from an account to itself
	ErrGroupTooLarge       Refusal = "group-too-large"       // more than MaxTransfers
	ErrUnbalanced          Refusal = "unbalanced"            // value would move to another programme
	ErrFlow                Refusal = "wrong-account"         // the kind of transaction does not touch such accounts
	ErrAccountNotFound     Refusal = "account-not-found"     // there is no such account
	ErrAccountDiffers      Refusal = "account-differs"       // it is there, as another account
	ErrAccountClosed       Refusal = "account-closed"        // it is closed
	ErrInsufficientBalance Refusal = "insufficient-balance"  // there is not enough on it
	ErrLimitExceeded       Refusal = "limit-exceeded"        // more than may be issued
	ErrExpired             Refusal = "expired"               // the value's time is up
	ErrNotCancellable      Refusal = "not-cancellable"       // there is no such transaction, or it cannot be taken back
	ErrReverseReversal     Refusal = "reversal-not-reversed" // a reversal cannot be taken back
	ErrAlreadyCancelled    Refusal = "already-cancelled"     // it was taken back before
	ErrHoldNotFound        Refusal = "hold-not-found"        // there is no such hold
	ErrHoldResolved        Refusal = "hold-resolved"         // it was captured or voided before
	ErrHoldExpired         Refusal = "hold-expired"          // its time is up
	ErrCaptureBeyondHold   Refusal = "capture-beyond-hold"   // more than was held
	ErrPeriodClosed        Refusal = "period-closed"         // the settlement period is closed
	ErrPeriodNotOver       Refusal = "period-not-over"       // its last day has not come
	ErrHoldsOpen           Refusal = "holds-open"            // something is still held for the period
)

// Errors that are not kept.
var (
	// ErrConflict: the ID was used before with other content.
	ErrConflict = errors.New("the same ID was used with other content")
	// ErrMissingID and ErrIDTooLong: the transaction has no usable ID.
	ErrMissingID = errors.New("the transaction has no ID")
	ErrIDTooLong = errors.New("the transaction's ID is too long")
	// ErrNotFound: there is no such account or transaction.
	ErrNotFound = errors.New("not found in the ledger")
	// ErrBusy: the queue is full; nothing was recorded, try again later.
	ErrBusy = errors.New("too many transactions are waiting")
	// ErrUnavailable: the database does not answer; nothing was recorded.
	ErrUnavailable = errors.New("the ledger's database does not answer")
	// ErrChecking: the database took the transaction and was lost before it said
	// whether it stands. The same ID sent again learns it.
	ErrChecking = errors.New("it is being checked whether the transaction stands")
	// ErrClock: the wall clock is behind ledger time by more than MaxClockStep;
	// nothing was recorded.
	ErrClock = errors.New("the clock has gone back")
	// ErrStorage: the disk failed or is full. The writer has stopped for good,
	// since what the file system holds is not known any more.
	ErrStorage = errors.New("the ledger's storage failed")
)

// UnknownError is a batch whose commit was sent and not answered. Its outcomes
// hold if the batch does.
type UnknownError struct {
	Batch    string // what the store knows it by
	Outcomes []Outcome
	Err      error
}

func (e *UnknownError) Error() string { return fmt.Sprintf("batch may or may not stand: %v", e.Err) }
func (e *UnknownError) Unwrap() error { return e.Err }

// IsRefusal reports whether err is an answer of the business rather than a
// fault: it is kept, and trying again gives it again.
func IsRefusal(err error) bool {
	var r Refusal
	return errors.As(err, &r)
}

// RefusalCode returns the code of a refusal, or "" when err is none.
func RefusalCode(err error) string {
	var r Refusal
	errors.As(err, &r)
	return string(r)
}
