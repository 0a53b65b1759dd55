package api

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"meguri/ledger"
)

// A cursor is "1:" and a place, in base64url: opaque to callers, and marked
// with a version so that its form can change without mistaking an old one.
// There is one spelling of each cursor; any other is refused.
const cursorVersion = "1:"

var cursorCoding = base64.RawURLEncoding.Strict()

func encodeCursor(place string) string {
	return cursorCoding.EncodeToString([]byte(cursorVersion + place))
}

// decodeCursor returns the place of a cursor; "" is the beginning.
func decodeCursor(cursor string) (place string, err error) {
	if cursor == "" {
		return "", nil
	}
	// Go's decoder skips line breaks wherever they stand.
	raw, err := cursorCoding.DecodeString(cursor)
	if err != nil || strings.ContainsAny(cursor, "\r\n") {
		return "", errCursor
	}
	place, ok := strings.CutPrefix(string(raw), cursorVersion)
	if !ok || place == "" {
		return "", errCursor
	}
	return place, nil
}

func encodeSeq(seq ledger.Seq) string { return encodeCursor(strconv.FormatInt(int64(seq), 10)) }

// decodeSeq returns the sequence number of a cursor; "" is 0, the beginning.
func decodeSeq(cursor string) (ledger.Seq, error) {
	place, err := decodeCursor(cursor)
	if err != nil || place == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(place, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != place {
		return 0, fmt.Errorf("%w: it is no sequence number", errCursor)
	}
	return ledger.Seq(n), nil
}

// PlaceOf returns how far a cursor of our own payment-data API has read.
func PlaceOf(cursor string) (ledger.Seq, error) { return decodeSeq(cursor) }
