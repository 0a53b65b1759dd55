package pages

import (
	"bytes"
	"cmp"
	"encoding/binary"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// limits are the smallest and the largest value of a column, as a footer has them.
type limits struct {
	known     bool
	low, high []byte
}

// of takes a value in. Where there is no order that every reader has, as of
// fractions, there are no limits.
func (l *limits) of(c *schema.Column, value []byte) {
	if c.SortOrder() == schema.SortUNKNOWN {
		return
	}
	var compare func(a, b []byte) int
	switch c.PhysicalType() {
	case parquet.Types.Int32:
		compare = func(a, b []byte) int {
			return cmp.Compare(int32(binary.LittleEndian.Uint32(a)), int32(binary.LittleEndian.Uint32(b)))
		}
	case parquet.Types.Int64:
		compare = func(a, b []byte) int {
			return cmp.Compare(int64(binary.LittleEndian.Uint64(a)), int64(binary.LittleEndian.Uint64(b)))
		}
	case parquet.Types.ByteArray:
		compare = bytes.Compare
	default:
		return
	}
	if compare == nil || (c.SortOrder() == schema.SortUNSIGNED) != (c.PhysicalType() == parquet.Types.ByteArray) {
		return
	}
	if !l.known {
		l.known, l.low, l.high = true, value, value
		return
	}
	if compare(value, l.low) < 0 {
		l.low = value
	}
	if compare(value, l.high) > 0 {
		l.high = value
	}
}

// ofAll takes the values of a plain page in.
func (l *limits) ofAll(t *taking, data []byte, n int) error {
	if !t.limit {
		return nil
	}
	all, err := t.split(data, n)
	for _, value := range all {
		l.of(t.of, value)
	}
	return err
}

// ofFlags takes flags in.
func (l *limits) ofFlags(pages []rawPage) {
	var seen [2]bool
	for _, p := range pages {
		for _, flag := range p.codes {
			seen[flag] = true
		}
	}
	if l.known = seen[0] || seen[1]; !l.known {
		return
	}
	l.low, l.high = []byte{0}, []byte{1}
	if !seen[0] {
		l.low = l.high
	}
	if !seen[1] {
		l.high = l.low
	}
}
