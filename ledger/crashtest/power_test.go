package crashtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"meguri/internal/sqldb"
	"meguri/ledger"
	"meguri/ledger/sqlstore"
)

// sector is what a disk writes whole.
const sector = 512

// medium is what is on the disk of one file, and what was written since the
// last sync, of which nobody knows how much is there.
type medium struct {
	durable []byte
	pending []call
}

// do takes in one call of the program.
func (m *medium) do(c call, r *rand.Rand) {
	switch {
	case c.kind == 'w' || c.kind == 't':
		m.pending = append(m.pending, c)
	case c.kind == 's' && c.failed:
		// Linux says once that pages could not be written, and takes them for
		// written from then on.
		m.durable, m.pending = m.write(m.durable, r, mixed), nil
	case c.kind == 's':
		m.durable, m.pending = m.write(m.durable, r, whole), nil
	}
}

// fate is what becomes of a write that was not synced.
type fate func(r *rand.Rand, i, n int) (kept, torn bool)

var (
	whole fate = func(*rand.Rand, int, int) (bool, bool) { return true, false }
	none  fate = func(*rand.Rand, int, int) (bool, bool) { return false, false }
	mixed fate = func(r *rand.Rand, _, _ int) (bool, bool) { n := r.IntN(3); return n > 0, n == 1 }
	last  fate = func(_ *rand.Rand, i, n int) (bool, bool) { return true, i == n-1 }
)

// after is what is on the disk when the power goes now.
func (m *medium) after(r *rand.Rand, f fate) []byte {
	return m.write(bytes.Clone(m.durable), r, f)
}

func (m *medium) write(disk []byte, r *rand.Rand, f fate) []byte {
	for i, c := range m.pending {
		kept, torn := f(r, i, len(m.pending))
		switch {
		case !kept:
		case c.kind == 't':
			disk = append(disk, make([]byte, max(0, c.offset-int64(len(disk))))...)[:c.offset]
		default:
			for at := int64(0); at < int64(len(c.data)); {
				n := min(sector-(c.offset+at)%sector, int64(len(c.data))-at)
				if !torn || r.IntN(2) == 0 {
					end := c.offset + at + n
					disk = append(disk, make([]byte, max(0, end-int64(len(disk))))...)
					copy(disk[c.offset+at:], c.data[at:at+n])
				}
				at += n
			}
		}
	}
	return disk
}

// recording is a ledger that was written while every call was recorded, and
// what its clients were told.
type recording struct {
	calls   []call
	base    []byte // the database before
	batches []ledger.Batch
	acked   []*sent // in the order of the answers
	round   string
}

// record runs a program over a SQLite file until its clients have a number of
// answers, and kills it. Where something is to fail, that ends another program
// before it.
func record(t *testing.T, r *rand.Rand, fail, options string, n int) *recording {
	t.Helper()
	file := newFile(t)
	b := openBooks(t, file)
	b.close()
	rec := &recording{round: "p"}
	var err error
	if rec.base, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	s := newShim(t, filepath.Dir(file))
	dir := newRound(t, rec.round)
	a := assignment{Database: file + "?checkpoint=64" + options, Logs: dir, Clients: 8, Readers: 1, Trace: s.log}
	if fail != "" {
		a.Name, a.Seed = rec.round+"-failing", r.Uint64()
		s.pull(t)
		if said, code := hire(t, a, s.env(fail)...).end(t); code != storageFailed || !said.Storage {
			t.Errorf("the program ended with %d and %+v, want the fault of its storage", code, said)
		}
	}
	a.Name, a.Seed = rec.round+"-well", r.Uint64()
	w := hire(t, a, s.env("")...)
	eventually(t, "answers", func() bool { return answers(dir, a.Name) >= n })
	w.kill()
	rec.calls = s.calls(t)
	for _, list := range readLogs(t, dir, &b.figures) {
		for _, s := range list {
			if s.answer != nil {
				rec.acked = append(rec.acked, s)
			}
		}
	}
	slices.SortFunc(rec.acked, func(a, b *sent) int { return int(a.answer.At - b.answer.At) })
	b.open(t)
	b.settle(t, dir, rec.round)
	b.verify(t)
	if rec.batches, err = b.store.Batches(t.Context(), 0, 1_000_000); err != nil {
		t.Fatal(err)
	}
	return rec
}

// point is a moment at which the power goes: after so many calls.
type point struct {
	calls int
	fate  fate
	seed  uint64
}

// check makes the files as they are after every point, and looks at the ledger
// that is in them. It returns how many answers it held against what was left,
// and the first fault.
func (rec *recording) check(t *testing.T, points []point) (acked int, fault error) {
	t.Helper()
	slices.SortFunc(points, func(a, b point) int { return a.calls - b.calls })
	disk := map[string]*medium{"ledger.sqlite": {durable: bytes.Clone(rec.base)}, "ledger.sqlite-wal": {}}
	dir := quickDir(t)
	r := rand.New(rand.NewPCG(points[0].seed, 1))
	var group errgroup.Group
	group.SetLimit(2)
	done := 0
	for _, p := range points {
		for ; done < p.calls; done++ {
			c := rec.calls[done]
			if m := disk[c.file]; m != nil {
				m.do(c, r)
				if c.kind == 'u' {
					t.Fatalf("%s was removed: the recording goes on after the ledger was closed", c.file)
				}
			}
		}
		choice := rand.New(rand.NewPCG(p.seed, 2))
		folder, err := os.MkdirTemp(dir, "point")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ledger.sqlite", "ledger.sqlite-wal"} { // in one order, for the seed
			if err := os.WriteFile(filepath.Join(folder, name), disk[name].after(choice, p.fate), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n, _ := slices.BinarySearchFunc(rec.acked, rec.calls[p.calls-1].end+1, func(s *sent, at int64) int { return int(s.answer.At - at) })
		acked += n
		group.Go(func() error {
			err := rec.look(filepath.Join(folder, "ledger.sqlite"), rec.acked[:n])
			if err != nil {
				err = fmt.Errorf("power went after call %d with seed %d: %w", p.calls, p.seed, err)
			}
			return errors.Join(err, os.RemoveAll(folder))
		})
	}
	return acked, group.Wait()
}

// look opens a ledger that has lost its power: it is right, a prefix of the
// batches, and everything is there that was answered by then.
func (rec *recording) look(file string, acked []*sent) (err error) {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store, err := sqlstore.Open(ctx, db, time.Now)
	if err != nil {
		return err
	}
	audit, err := ledger.Verify(ctx, store, func(int64) {})
	if err != nil {
		return err
	}
	// The seals cover everything in a batch, so that what stands is what stood.
	batches, err := store.Batches(ctx, 0, 1_000_000)
	if err != nil {
		return err
	}
	if len(batches) > len(rec.batches) || !slices.Equal(batches, rec.batches[:len(batches)]) {
		return fmt.Errorf("the %d batches are no prefix of what was written", len(batches))
	}
	refused, err := refusals(ctx, db, rec.round)
	if err != nil {
		return err
	}
	for _, s := range acked {
		if s.answer.Seq > ledger.Seq(audit.Entries) || refused[s.ID] != s.answer.Code {
			return fmt.Errorf("%s was answered %v and is gone", s.ID, s.answer)
		}
	}
	return nil
}

// quickDir is a folder in memory where there is one: nothing in it has to
// survive.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "meguri-crash-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// C5: the power goes at any moment. What was synced is on the disk; of what was
// not, each write is there, or not, or torn between two sectors. And C1 on
// SQLite: the program ends before or after any call, when the system has all
// of what it wrote.
func TestPowerLoss_TheLedgerIsAPrefix(t *testing.T) {
	r := seeded(t)
	rec := record(t, r, "", "", 1000)
	syncs, checkpoints := rec.syncs()
	if checkpoints == 0 {
		t.Error("there was no checkpoint")
	}
	var killed, dark []point
	first := r.IntN(len(rec.calls) - 300)
	for i := range sized(t, "kills", 50, 250) {
		killed = append(killed, point{first + i + 1, whole, r.Uint64()})
	}
	fates := []fate{mixed, mixed, mixed, none, last}
	for i := range sized(t, "losses of power", 120, 600) {
		dark = append(dark, point{1 + r.IntN(len(rec.calls)), fates[i%len(fates)], r.Uint64()})
	}
	for name, points := range map[string][]point{"killed at each call": killed, "power": dark} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			acked, err := rec.check(t, points)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d points in %d calls, %d syncs and %d checkpoints of %d batches: %d answers held against what was left, in %v",
				len(points), len(rec.calls), syncs, checkpoints, len(rec.batches), acked, time.Since(began).Round(time.Second))
		})
	}
}

// A sync of the database file that fails is one of a checkpoint. The program
// ends; the write-ahead log has everything, and the next program copies it anew.
func TestPowerLoss_AfterACheckpointThatFailed(t *testing.T) {
	r := seeded(t)
	rec := record(t, r, "sync:ledger.sqlite:5:1", "", 1000)
	if failed := slices.IndexFunc(rec.calls, func(c call) bool { return c.failed }); failed < 0 {
		t.Fatal("no sync failed")
	}
	var points []point
	for range sized(t, "losses of power", 50, 150) {
		points = append(points, point{1 + r.IntN(len(rec.calls)), mixed, r.Uint64()})
	}
	acked, err := rec.check(t, points)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d points: %d answers held against what was left", len(points), acked)
}

// A ledger that does not wait for the disk does lose what it answered, and the
// tests above would see it.
func TestPowerLoss_WouldBeSeen(t *testing.T) {
	r := seeded(t)
	rec := record(t, r, "", "&synchronous=normal", 500)
	var points []point
	for range 50 {
		points = append(points, point{1 + r.IntN(len(rec.calls)), mixed, r.Uint64()})
	}
	if _, err := rec.check(t, points); err == nil {
		t.Error("nothing was lost")
	} else {
		t.Logf("as it should be: %v", err)
	}
}

func (rec *recording) syncs() (all, checkpoints int) {
	for _, c := range rec.calls {
		if c.kind == 's' {
			all++
			if !strings.HasSuffix(c.file, "-wal") {
				checkpoints++
			}
		}
	}
	return all, checkpoints
}
