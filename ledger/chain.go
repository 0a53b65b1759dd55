package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// Batch is one commit: a stretch of the sequence under a seal. The seal covers
// the batch's rows and the seal before, so that no row of the past can be
// changed, taken out or put in without every later seal telling.
type Batch struct {
	First Seq
	Last  Seq
	Seal  string // SHA-256, hex
}

// Seal returns the seal of a batch of posted transactions that follows the
// batch with the previous seal; the first batch follows "".
func Seal(previous string, posted []Posted) string {
	c := canonical{sha256.New()}
	c.text(previous)
	for _, p := range posted {
		for _, s := range []string{p.ID, string(p.Kind), p.Resident, p.Shop, p.Terminal, p.Actor, p.Reason, p.Parent, p.BusinessOn} {
			c.text(s)
		}
		c.number(p.At.UnixMicro())
		c.number(p.LedgerAt.UnixMicro())
		c.number(int64(len(p.Entries)))
		for _, e := range p.Entries {
			c.number(int64(e.Seq))
			c.text(string(e.Programme))
			c.text(string(e.Debit))
			c.text(string(e.Credit))
			c.number(int64(e.Amount))
			c.number(int64(e.DebitAfter))
			c.number(int64(e.CreditAfter))
		}
	}
	return hex.EncodeToString(c.Sum(nil))
}

// canonical writes values so that no two different lists give the same bytes.
type canonical struct{ hash.Hash }

func (c canonical) text(s string) {
	c.number(int64(len(s)))
	_, _ = c.Write([]byte(s)) // a hash takes everything
}

func (c canonical) number(n int64) {
	_, _ = c.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
}
