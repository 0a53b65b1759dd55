package ledger_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"meguri/ledger"
)

// What a seal or a digest covers can be read back from the bytes that are
// hashed. So no two lists have the same bytes: whatever is changed, the seal
// tells.
func TestSeal_CoversWhatCanBeReadBack(t *testing.T)   { rapid.Check(t, sealReadsBack) }
func TestDigest_CoversWhatCanBeReadBack(t *testing.T) { rapid.Check(t, requestReadsBack) }

func FuzzSeal(f *testing.F)   { f.Fuzz(rapid.MakeFuzz(sealReadsBack)) }
func FuzzDigest(f *testing.F) { f.Fuzz(rapid.MakeFuzz(requestReadsBack)) }

func sealReadsBack(t *rapid.T) {
	want := rapid.SliceOfN(rapid.Custom(anyPosted), 0, 3).Draw(t, "posted")
	before := word.Draw(t, "seal before")
	var b []byte
	var list []*ledger.Posted
	for i := range want {
		b = ledger.AppendPosted(b, &want[i])
		list = append(list, &want[i])
	}
	sum := sha256.Sum256(slices.Concat(binary.BigEndian.AppendUint64(nil, uint64(len(before))), []byte(before), b))
	if seal := ledger.Seal(before, list); seal != hex.EncodeToString(sum[:]) {
		t.Fatalf("the seal %s is not that of what is read back", seal)
	}
	r := reader{rest: b}
	var got []ledger.Posted
	for len(r.rest) > 0 && r.err == nil {
		got = append(got, r.posted())
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); r.err != nil || d != "" {
		t.Fatalf("read back with %v:\n%s", r.err, d)
	}
}

func requestReadsBack(t *rapid.T) {
	want := anyRequest(t)
	r := reader{rest: ledger.AppendRequest(nil, &want)}
	got := r.request()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); r.err != nil || len(r.rest) > 0 || d != "" {
		t.Fatalf("read back with %v, and %d bytes are left:\n%s", r.err, len(r.rest), d)
	}
}

// reader reads canonical bytes.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.rest)) {
		r.err = errors.Join(r.err, fmt.Errorf("%d bytes where %d are left", n, len(r.rest)))
		return make([]byte, 32)
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number() int64 { return int64(binary.BigEndian.Uint64(r.take(8))) }
func (r *reader) text() string  { return string(r.take(r.number())) }

func (r *reader) instant() time.Time {
	if n := r.number(); n != 0 {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

func (r *reader) posted() (p ledger.Posted) {
	p.ID, p.Kind, p.Resident, p.Shop, p.Terminal = r.text(), ledger.Kind(r.text()), r.text(), r.text(), r.text()
	p.Actor, p.Reason, p.Parent, p.BusinessOn = r.text(), r.text(), r.text(), r.text()
	copy(p.Request[:], r.take(32))
	p.At, p.LedgerAt, p.Until = r.instant(), r.instant(), r.instant()
	if r.take(1)[0] == 1 {
		p.Closed = &ledger.Closing{Programme: ledger.ProgrammeID(r.text()), Period: r.text(), Cut: ledger.Seq(r.number())}
	}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		var e ledger.Entry
		e.Programme, e.Debit, e.Credit = ledger.ProgrammeID(r.text()), ledger.AccountID(r.text()), ledger.AccountID(r.text())
		e.Seq, e.Amount, e.Held = ledger.Seq(r.number()), ledger.Yen(r.number()), ledger.Yen(r.number())
		e.DebitAfter, e.CreditAfter, e.ResidentAfter = ledger.Yen(r.number()), ledger.Yen(r.number()), ledger.Yen(r.number())
		e.DebitPrev, e.CreditPrev = ledger.Seq(r.number()), ledger.Seq(r.number())
		p.Entries = append(p.Entries, e)
	}
	return p
}

func (r *reader) request() (t ledger.Transaction) {
	t.Kind, t.Resident, t.Shop, t.Terminal, t.Actor = ledger.Kind(r.text()), r.text(), r.text(), r.text(), r.text()
	t.Reason, t.Parent, t.Programme, t.Period, t.Refused = r.text(), r.text(), ledger.ProgrammeID(r.text()), r.text(), ledger.Refusal(r.text())
	t.Until, t.At, t.Amount = r.instant(), r.instant(), ledger.Yen(r.number())
	for n := r.number(); n > 0 && r.err == nil; n-- {
		t.Transfers = append(t.Transfers, ledger.Transfer{Debit: ledger.AccountID(r.text()), Credit: ledger.AccountID(r.text()), Amount: ledger.Yen(r.number())})
	}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		s := ledger.Spend{Programme: ledger.ProgrammeID(r.text()), Amount: ledger.Yen(r.number())}
		for k := r.number(); k > 0 && r.err == nil; k-- {
			s.Into = append(s.Into, ledger.AccountID(r.text()))
		}
		t.Spends = append(t.Spends, s)
	}
	return t
}

// word is short, so that words run into each other where nothing parts them.
var word = rapid.SampledFrom([]string{"", "a", "aa", "b", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x01", "0", "円"})

func named[T ~string](t *rapid.T) T { return T(word.Draw(t, "word")) }

func amount[T ~int64](t *rapid.T) T { return T(rapid.Int64().Draw(t, "number")) }

func anyInstant(t *rapid.T) time.Time {
	if n := rapid.Int64Range(-1, 1<<52).Draw(t, "instant"); n != 0 { // the epoch stands for none
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

func anyPosted(t *rapid.T) (p ledger.Posted) {
	p.ID, p.Kind, p.Resident, p.Shop, p.Terminal = named[string](t), named[ledger.Kind](t), named[string](t), named[string](t), named[string](t)
	p.Actor, p.Reason, p.Parent, p.BusinessOn = named[string](t), named[string](t), named[string](t), named[string](t)
	p.Request[rapid.IntRange(0, 31).Draw(t, "place")] = rapid.Byte().Draw(t, "byte")
	p.At, p.LedgerAt, p.Until = anyInstant(t), anyInstant(t), anyInstant(t)
	if rapid.Bool().Draw(t, "closed") {
		p.Closed = &ledger.Closing{Programme: named[ledger.ProgrammeID](t), Period: named[string](t), Cut: amount[ledger.Seq](t)}
	}
	for range rapid.IntRange(0, 3).Draw(t, "entries") {
		var e ledger.Entry
		e.Programme, e.Debit, e.Credit = named[ledger.ProgrammeID](t), named[ledger.AccountID](t), named[ledger.AccountID](t)
		e.Seq, e.Amount, e.Held = amount[ledger.Seq](t), amount[ledger.Yen](t), amount[ledger.Yen](t)
		e.DebitAfter, e.CreditAfter, e.ResidentAfter = amount[ledger.Yen](t), amount[ledger.Yen](t), amount[ledger.Yen](t)
		e.DebitPrev, e.CreditPrev = amount[ledger.Seq](t), amount[ledger.Seq](t)
		p.Entries = append(p.Entries, e)
	}
	return p
}

func anyRequest(t *rapid.T) (tx ledger.Transaction) {
	tx.Kind, tx.Resident, tx.Shop, tx.Terminal, tx.Actor = named[ledger.Kind](t), named[string](t), named[string](t), named[string](t), named[string](t)
	tx.Reason, tx.Parent, tx.Programme, tx.Period, tx.Refused = named[string](t), named[string](t), named[ledger.ProgrammeID](t), named[string](t), named[ledger.Refusal](t)
	tx.Until, tx.At, tx.Amount = anyInstant(t), anyInstant(t), amount[ledger.Yen](t)
	for range rapid.IntRange(0, 3).Draw(t, "transfers") {
		tx.Transfers = append(tx.Transfers, ledger.Transfer{Debit: named[ledger.AccountID](t), Credit: named[ledger.AccountID](t), Amount: amount[ledger.Yen](t)})
	}
	for range rapid.IntRange(0, 3).Draw(t, "spends") {
		s := ledger.Spend{Programme: named[ledger.ProgrammeID](t), Amount: amount[ledger.Yen](t)}
		for range rapid.IntRange(0, 3).Draw(t, "into") {
			s.Into = append(s.Into, named[ledger.AccountID](t))
		}
		tx.Spends = append(tx.Spends, s)
	}
	return tx
}

// The chain starts with nothing and goes on with the seal before.
func TestSeal_DependsOnTheOneBefore(t *testing.T) {
	p := []*ledger.Posted{{ID: "a"}}
	seals := map[string]bool{}
	for _, seal := range []string{ledger.Seal("", nil), ledger.Seal("", p), ledger.Seal("x", p), ledger.Seal(ledger.Seal("", p), p), ledger.Seal("", append(p, p...))} {
		if len(seal) != 64 || seals[seal] {
			t.Errorf("seal %q is not of 64 digits, or comes twice", seal)
		}
		seals[seal] = true
	}
}
