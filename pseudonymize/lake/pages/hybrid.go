package pages

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Levels, codes and flags are numbers of a few bits each, in runs of one number
// and in packed groups of eight (Parquet's RLE/Bit-Packing Hybrid, RLE = 3).

var errHybrid = errors.New("a page's runs are cut off or too long")

// readHybrid appends n numbers of so many bits to dst.
func readHybrid(dst []uint32, src []byte, width, n int) ([]uint32, error) {
	if width < 0 || width > 32 {
		return dst, errHybrid
	}
	for n > 0 {
		header, size := binary.Uvarint(src)
		if size <= 0 {
			return dst, errHybrid
		}
		src = src[size:]
		if header&1 == 0 { // a run
			size := (width + 7) / 8
			if len(src) < size || header == 0 {
				return dst, errHybrid
			}
			var word [4]byte
			copy(word[:], src[:size])
			value := binary.LittleEndian.Uint32(word[:])
			if bits.Len32(value) > width {
				return dst, errHybrid
			}
			for range min(header>>1, uint64(n)) {
				dst = append(dst, value)
			}
			n -= int(min(header>>1, uint64(n)))
			src = src[size:]
			continue
		}
		count := int(min(header>>1, uint64(n+7)/8)) * 8
		if count == 0 {
			return dst, errHybrid
		}
		count = min(count, n)
		var err error
		if dst, err = readPacked(dst, src, width, count); err != nil {
			return dst, err
		}
		n -= count
		src = src[min(uint64(len(src)), header>>1*uint64(width)):]
	}
	return dst, nil
}

// oneRun tells whether n numbers of one bit are all the same.
func oneRun(src []byte, n int) (value uint32, is bool) {
	header, size := binary.Uvarint(src)
	if size <= 0 || header&1 != 0 || header>>1 < uint64(n) || len(src) == size || src[size] > 1 {
		return 0, false
	}
	return uint32(src[size]), true
}

// readPacked appends n numbers that lie bit beside bit.
func readPacked(dst []uint32, src []byte, width, n int) ([]uint32, error) {
	if (n*width+7)/8 > len(src) {
		return dst, errHybrid
	}
	mask := uint64(1)<<width - 1
	for i := range n {
		bit := i * width
		at := bit >> 3
		var word uint64
		if at+8 <= len(src) {
			word = binary.LittleEndian.Uint64(src[at:])
		} else {
			var last [8]byte
			copy(last[:], src[at:])
			word = binary.LittleEndian.Uint64(last[:])
		}
		dst = append(dst, uint32(word>>(bit&7)&mask))
	}
	return dst, nil
}

// appendHybrid writes numbers. A run begins where eight are one number: packed
// groups are of eight, and nearly all that are no run differ at once.
func appendHybrid(dst []byte, values []uint32, width int) []byte {
	packed := 0 // where the numbers begin that are not written yet
	for i := 0; i+8 <= len(values); {
		v := values[i]
		if values[i+1] != v || values[i+2] != v || values[i+3] != v || values[i+4] != v || values[i+5] != v || values[i+6] != v || values[i+7] != v {
			i += 8
			continue
		}
		end := i + 8
		for end < len(values) && values[end] == v {
			end++
		}
		dst = appendGroups(dst, values[packed:i], width)
		dst = appendRun(dst, v, end-i, width)
		packed, i = end, end
	}
	return appendGroups(dst, values[packed:], width)
}

func appendRun(dst []byte, value uint32, n, width int) []byte {
	if n == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	for range (width + 7) / 8 {
		dst = append(dst, byte(value))
		value >>= 8
	}
	return dst
}

func appendGroups(dst []byte, values []uint32, width int) []byte {
	if len(values) == 0 {
		return dst
	}
	groups := (len(values) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	end := len(dst) + groups*width
	dst = appendPacked(dst, values, width)
	for len(dst) < end {
		dst = append(dst, 0)
	}
	return dst
}

// appendPacked writes numbers bit beside bit.
func appendPacked(dst []byte, values []uint32, width int) []byte {
	var word uint64
	held := 0
	for _, v := range values {
		word |= uint64(v) << held
		if held += width; held >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(word))
			word >>= 32
			held -= 32
		}
	}
	for ; held > 0; held -= 8 {
		dst = append(dst, byte(word))
		word >>= 8
	}
	return dst
}
