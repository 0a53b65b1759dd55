package ingest

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/zeebo/xxh3"

	"meguri/ingest/index"
)

// The index knows identities and contents, and nothing of records.
type (
	Key   = index.Key
	Entry = index.Entry
)

// kindOf returns the kind of an entry's record: the low three bits of its
// content.
func kindOf(e Entry) Kind {
	if n := int(e.Content & 7); n < len(kinds) {
		return kinds[n]
	}
	return ""
}

// hasher makes keys and contents; its buffer is reused from record to record.
type hasher struct{ buf []byte }

// key hashes the pair. A NUL keeps the parts apart: no field holds one.
func (h *hasher) key(source, id string) Key {
	h.buf = append(append(append(h.buf[:0], source...), 0), id...)
	sum := xxh3.Hash128(h.buf)
	return Key{Hi: sum.Hi, Lo: sum.Lo}
}

// content hashes what happened; see "What counts as content" in the package
// comment. Times count to the second: one way of a provider tells parts of it,
// and another does not.
func (h *hasher) content(r *Record) uint64 {
	code := uint64(0)
	for i, k := range kinds {
		if k == r.Kind {
			code = uint64(i)
		}
	}
	b := h.buf[:0]
	for _, s := range [...]string{r.ServiceType, r.ServiceID, r.PersonID, r.ShopID, r.MerchantID,
		r.TerminalID, r.TargetID, cmp.Or(r.GroupID, r.ID)} {
		b = append(append(b, s...), 0)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(r.AmountYen))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.OccurredAt.Unix()*1_000_000))
	h.buf = b
	return xxh3.Hash(b)&^7 | code
}

// group names the rows of one payment made with several services. The name is
// a hash of what they share, so it is the same however the rows are spread
// over files.
func (h *hasher) group(r *Record) string {
	b := h.buf[:0]
	for _, s := range [...]string{r.Source, r.PersonID, r.ShopID, r.TerminalID} {
		b = append(append(b, s...), 0)
	}
	b = strconv.AppendInt(b, r.OccurredAt.Unix(), 10)
	h.buf = b
	sum := xxh3.Hash128(b).Bytes()
	return "group-" + hex.EncodeToString(sum[:])
}
