package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Batch is one commit that kept something: a stretch of the sequence under a
// seal. The seal covers what the batch posted and the seal before, so that no
// row of the past can be changed, taken out or put in without every later seal
// telling. First is after Last when the batch only refused, or only closed an
// empty period.
type Batch struct {
	Number       int64 // 1, 2, 3 … without a gap
	First        Seq
	Last         Seq
	Transactions int
	Seal         string // SHA-256, hex
}

// Seal returns the seal of a batch of posted transactions that follows the
// batch with the previous seal; the first batch follows "".
func Seal(previous string, posted []*Posted) string {
	c := sha256.New()
	_, _ = c.Write(appendText(nil, previous)) // a hash takes everything
	row := make([]byte, 0, 1024)              // one write to the digest a transaction
	for _, p := range posted {
		row = appendPosted(row[:0], p)
		_, _ = c.Write(row)
	}
	return hex.EncodeToString(c.Sum(nil))
}

func appendPosted(b []byte, p *Posted) []byte {
	for _, s := range [...]string{p.ID, string(p.Kind), p.Resident, p.Shop, p.Terminal, p.Actor, p.Reason, p.Parent, p.BusinessOn} {
		b = appendText(b, s)
	}
	b = append(b, p.Request[:]...)
	b = appendInstant(appendInstant(appendInstant(b, p.At), p.LedgerAt), p.Until)
	if p.Closed == nil {
		b = append(b, 0)
	} else {
		b = appendText(appendText(append(b, 1), string(p.Closed.Programme)), p.Closed.Period)
		b = appendNumber(b, int64(p.Closed.Cut))
	}
	b = appendNumber(b, int64(len(p.Entries)))
	for i := range p.Entries {
		e := &p.Entries[i]
		b = appendText(appendText(appendText(b, string(e.Programme)), string(e.Debit)), string(e.Credit))
		for _, n := range [...]int64{int64(e.Seq), int64(e.Amount), int64(e.Held), int64(e.DebitAfter), int64(e.CreditAfter),
			int64(e.ResidentAfter), int64(e.DebitPrev), int64(e.CreditPrev)} {
			b = appendNumber(b, n)
		}
	}
	return b
}

// What is written has its length before it, so that no two different lists
// give the same bytes.
func appendText(b []byte, s string) []byte { return append(appendNumber(b, int64(len(s))), s...) }

func appendNumber(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }

func appendInstant(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendNumber(b, 0)
	}
	return appendNumber(b, t.UnixMicro())
}
