package api

import (
	"errors"
	"testing"
)

func FuzzDecodeCursor(f *testing.F) {
	for _, seed := range []string{"", encodeSeq(0), encodeSeq(42), encodeCursor("r-0001"), "MTow", "MTo", "MjoxMg", "MTowMQ", "MTorMQ", "MT ow", "MTo-MQ=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		place, err := decodeCursor(cursor)
		if err != nil && !errors.Is(err, errCursor) {
			t.Fatalf("error %v", err)
		}
		if err == nil && place != "" && encodeCursor(place) != cursor {
			t.Fatalf("%q and %q are one place", cursor, encodeCursor(place))
		}
		seq, err := decodeSeq(cursor)
		if err != nil && !errors.Is(err, errCursor) {
			t.Fatalf("error %v", err)
		}
		if err == nil && cursor != "" && (seq < 0 || encodeSeq(seq) != cursor) {
			t.Fatalf("%q is not how %d is written", cursor, seq)
		}
	})
}

func TestCursorRefusesOtherVersions(t *testing.T) {
	for _, bad := range []string{cursorCoding.EncodeToString([]byte("2:7")), cursorCoding.EncodeToString([]byte("1:")),
		encodeCursor("-1"), encodeCursor("007"), encodeCursor("9223372036854775808")} {
		if _, err := decodeSeq(bad); !errors.Is(err, errCursor) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
