package ingest

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/zeebo/xxh3"
)

// Key is the identity of a record: 128 bits of hash over its source and ID.
// At ten thousand million records the chance that any two share one is below
// one in 10^18.
type Key struct{ Hi, Lo uint64 }

// Entry is what the index keeps of a record: who it is and what it said.
type Entry struct {
	Key     Key
	Content uint64 // hash of the content; the low three bits are the kind's code
}

// Kind returns the kind of the entry's record.
func (e Entry) Kind() Kind {
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
// comment.
func (h *hasher) content(r *Record) uint64 {
	code := uint64(0)
	for i, k := range kinds {
		if k == r.Kind {
			code = uint64(i)
		}
	}
	b := h.buf[:0]
	for _, s := range [...]string{r.ServiceType, r.ServiceID, r.PersonID, r.ShopID, r.MerchantID,
		r.TerminalID, r.TargetID, r.GroupID} {
		b = append(append(b, s...), 0)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(r.AmountYen))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.OccurredAt.UnixMicro()))
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
