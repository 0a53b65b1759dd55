package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"sort"

	"github.com/zeebo/xxh3"
)

// The file of a run:
//
//	magic, number of entries, blocks of the filter      3 × 8 bytes
//	entries, sorted by key: high, low, content          24 bytes each
//	the high half of every 256th key                    8 bytes each
//	the filter                                          64 bytes a block
//	checksum of the entries, checksum of all the rest   2 × 8 bytes
//
// All numbers are little-endian. The rest is checked whenever a run is opened,
// the entries whenever it is merged. The first format differs in its filter
// alone, and is read as well.
const (
	magic1     = 0x31534e5552474d00 // "\0MGRUNS1"
	magic      = 0x32534e5552474d00 // "\0MGRUNS2"
	headBytes  = 24
	entryBytes = 24
	tailBytes  = 16
	stride     = 256 // entries between two of the table
)

// file is a run that is open.
type file struct {
	f       *os.File
	name    string
	entries int
	table   []uint64
	filter  filter
}

func open(path string) (_ *file, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it was only read
		}
	}()
	name := filepath.Base(path)
	damaged := func() error { return fmt.Errorf("%s: %w", name, ErrDamaged) }
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var head [headBytes]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, damaged()
	}
	entries, blocks := binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint64(head[16:])
	size := uint64(info.Size())
	form := binary.LittleEndian.Uint64(head[:])
	if form != magic && form != magic1 || entries > size/entryBytes || blocks > size/blockBytes {
		return nil, damaged()
	}
	table := (entries + stride - 1) / stride
	rest := table*8 + blocks*blockBytes
	if size != headBytes+entries*entryBytes+rest+tailBytes {
		return nil, damaged()
	}
	data := make([]byte, rest+tailBytes)
	if _, err := f.ReadAt(data, int64(headBytes+entries*entryBytes)); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	sum := xxh3.New()
	_, _ = sum.Write(head[:])       // a hash never fails
	_, _ = sum.Write(data[:rest+8]) // with the checksum of the entries
	if sum.Sum64() != binary.LittleEndian.Uint64(data[rest+8:]) {
		return nil, damaged()
	}
	o := &file{f: f, name: name, entries: int(entries), table: make([]uint64, table),
		filter: filter{words: make([]uint64, blocks*blockWords), scattered: form == magic1}}
	for i := range o.table {
		o.table[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	for i := range o.filter.words {
		o.filter.words[i] = binary.LittleEndian.Uint64(data[table*8+uint64(8*i):])
	}
	return o, nil
}

func (o *file) close() error { return o.f.Close() }

// known returns the entries that the run has; see Index.Known.
func (o *file) known(entries []Entry) (known []Entry, err error) {
	held := -1 // the stretch that buffer holds
	var buffer [stride * entryBytes]byte
	var n int
	for _, e := range entries {
		if !o.filter.has(e.Key) {
			continue
		}
		// The last stretch that begins at or before the key. That two keys with
		// one high half lie in two stretches is as likely as one key for two records.
		at := sort.Search(len(o.table), func(i int) bool { return o.table[i] > e.Key.Hi }) - 1
		if at < 0 {
			continue
		}
		if at != held {
			if n, err = o.stretch(at, buffer[:]); err != nil {
				return nil, err
			}
			held = at
		}
		i := sort.Search(n, func(i int) bool { return decode(buffer[i*entryBytes:]).Key.Compare(e.Key) >= 0 })
		if i == n {
			continue
		}
		if found := decode(buffer[i*entryBytes:]); found.Key == e.Key {
			known = append(known, found)
		}
	}
	return known, nil
}

// stretch reads the entries between two of the table and returns their number.
func (o *file) stretch(at int, into []byte) (int, error) {
	n := min(stride, o.entries-at*stride)
	if _, err := o.f.ReadAt(into[:n*entryBytes], int64(headBytes+at*stride*entryBytes)); err != nil {
		return 0, fmt.Errorf("read index %s: %w", o.name, err)
	}
	return n, nil
}

func decode(b []byte) Entry {
	return Entry{Key: Key{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}, Content: binary.LittleEndian.Uint64(b[16:])}
}

// writer writes a run.
type writer struct {
	f      *os.File
	w      *bufio.Writer
	head   [headBytes]byte
	sum    *xxh3.Hasher // of the entries
	filter filter
	table  []uint64
	n, of  int
	last   Key
	buffer []byte
}

// create begins a run of so many entries.
func create(path string, entries int) (*writer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	w := &writer{f: f, w: bufio.NewWriterSize(f, 1<<20), sum: xxh3.New(), filter: newFilter(entries), of: entries}
	binary.LittleEndian.PutUint64(w.head[:], magic)
	binary.LittleEndian.PutUint64(w.head[8:], uint64(entries))
	binary.LittleEndian.PutUint64(w.head[16:], uint64(len(w.filter.words)/blockWords))
	_, err = w.w.Write(w.head[:])
	return w, err
}

var errOrder = errors.New("the entries are not in order: this is a fault of the program")

func (w *writer) add(e Entry) error {
	if w.n > 0 && e.Key.Compare(w.last) <= 0 {
		return errOrder
	}
	if w.n%stride == 0 {
		w.table = append(w.table, e.Key.Hi)
	}
	w.n, w.last = w.n+1, e.Key
	w.filter.add(e.Key)
	w.buffer = binary.LittleEndian.AppendUint64(w.buffer, e.Key.Hi)
	w.buffer = binary.LittleEndian.AppendUint64(w.buffer, e.Key.Lo)
	w.buffer = binary.LittleEndian.AppendUint64(w.buffer, e.Content)
	if len(w.buffer) >= 64<<10 {
		return w.flush()
	}
	return nil
}

func (w *writer) flush() error {
	_, _ = w.sum.Write(w.buffer) // a hash never fails
	_, err := w.w.Write(w.buffer)
	w.buffer = w.buffer[:0]
	return err
}

// end completes the run and makes it durable.
func (w *writer) end() (size int64, err error) {
	if w.n != w.of {
		return 0, fmt.Errorf("write index: %d entries of %d: %w", w.n, w.of, ErrDamaged)
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	rest := make([]byte, 0, 8*(len(w.table)+len(w.filter.words))+tailBytes)
	for _, high := range w.table {
		rest = binary.LittleEndian.AppendUint64(rest, high)
	}
	for _, word := range w.filter.words {
		rest = binary.LittleEndian.AppendUint64(rest, word)
	}
	rest = binary.LittleEndian.AppendUint64(rest, w.sum.Sum64())
	sum := xxh3.New()
	_, _ = sum.Write(w.head[:])
	_, _ = sum.Write(rest)
	rest = binary.LittleEndian.AppendUint64(rest, sum.Sum64())
	if _, err := w.w.Write(rest); err != nil {
		return 0, err
	}
	if err := w.w.Flush(); err != nil {
		return 0, err
	}
	if size, err = w.f.Seek(0, io.SeekEnd); err != nil {
		return 0, err
	}
	return size, w.f.Sync()
}

// Write writes entries, sorted by key and distinct, as a run of the given
// path, which must not exist. It is durable but for its name.
func Write(path string, entries []Entry) (Run, error) {
	return fill(path, len(entries), func(add func(Entry) error) error {
		for _, e := range entries {
			if err := add(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Merge writes the entries of runs, which share none, as one run.
func (x *Index) Merge(path string, runs []Run) (Run, error) {
	total := 0
	sources := make([]*source, len(runs))
	for i, r := range runs {
		f, err := os.Open(x.Path(r))
		if err != nil {
			return Run{}, fmt.Errorf("merge index: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		sources[i] = &source{r: f, sum: xxh3.New(), left: r.Entries, space: make([]byte, 32<<10*entryBytes), name: r.File}
		if _, err := f.Seek(headBytes, io.SeekStart); err != nil {
			return Run{}, fmt.Errorf("merge index: %w", err)
		}
		if err := sources[i].next(); err != nil {
			return Run{}, err
		}
		total += int(r.Entries)
	}
	return fill(path, total, func(add func(Entry) error) error {
		for {
			least := -1 // among few, a look at each is as fast as a heap
			for i, s := range sources {
				if !s.ended && (least < 0 || s.entry.Key.Compare(sources[least].entry.Key) < 0) {
					least = i
				}
			}
			if least < 0 {
				return nil
			}
			if err := add(sources[least].entry); errors.Is(err, errOrder) { // each source was in order
				return fmt.Errorf("%s: %w", sources[least].name, ErrDamaged)
			} else if err != nil {
				return err
			}
			if err := sources[least].next(); err != nil {
				return err
			}
		}
	})
}

// source reads a run from its first entry to its last.
type source struct {
	r      io.Reader
	sum    *xxh3.Hasher
	left   int64  // entries behind those of buffer
	buffer []byte // what is read of the entries and not handed out
	space  []byte
	name   string
	entry  Entry
	ended  bool
}

func (s *source) next() error {
	if len(s.buffer) == 0 {
		if s.left == 0 {
			s.ended = true
			rest, err := io.ReadAll(s.r)
			if err != nil || len(rest) < tailBytes || binary.LittleEndian.Uint64(rest[len(rest)-tailBytes:]) != s.sum.Sum64() {
				return fmt.Errorf("merge index: %s: %w", s.name, ErrDamaged)
			}
			return nil
		}
		s.buffer = s.space[:min(s.left, int64(len(s.space)/entryBytes))*entryBytes]
		if _, err := io.ReadFull(s.r, s.buffer); err != nil {
			return fmt.Errorf("merge index: %s: %w", s.name, ErrDamaged)
		}
		_, _ = s.sum.Write(s.buffer) // a hash never fails
		s.left -= int64(len(s.buffer) / entryBytes)
	}
	s.entry = decode(s.buffer)
	s.buffer = s.buffer[entryBytes:]
	return nil
}

func fill(path string, entries int, each func(add func(Entry) error) error) (_ Run, err error) {
	w, err := create(path, entries)
	if err != nil {
		return Run{}, fmt.Errorf("write index: %w", err)
	}
	var size int64
	if err = each(w.add); err == nil {
		size, err = w.end()
	}
	if cerr := w.f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path) // it does not count
		return Run{}, fmt.Errorf("write index: %w", err)
	}
	return Run{File: filepath.Base(path), Entries: int64(entries), Bytes: size}, nil
}

// filter is a Bloom filter whose bits for a key lie in one block, a line of
// the processor's cache (Putze, Sanders, Singler 2009). Keys are hashes
// already, so their own bits say which. Blocks lie in the order of the keys:
// who comes with sorted keys, as all do, goes through memory once from its
// beginning to its end.
type filter struct {
	words     []uint64
	scattered bool // of the first format: blocks by the low half of a key
}

const (
	blockBytes     = 64
	blockWords     = blockBytes / 8
	keysPerBlock   = 42 // 12 bits a key: about one key in a hundred that is not there looks as if it were
	probesPerBlock = 6
)

func newFilter(entries int) filter {
	return filter{words: make([]uint64, (entries/keysPerBlock+1)*blockWords)}
}

// block is where the bits of a key lie, and which they are.
func (f filter) block(k Key) (block *[blockWords]uint64, bit uint64) {
	place, bit := k.Hi, k.Lo
	if f.scattered {
		place, bit = bit, place
	}
	at, _ := bits.Mul64(place, uint64(len(f.words)/blockWords))
	return (*[blockWords]uint64)(f.words[at*blockWords:]), bit
}

func (f filter) add(k Key) {
	block, bit := f.block(k)
	for range probesPerBlock {
		block[bit>>6&7] |= 1 << (bit & 63)
		bit >>= 9
	}
}

func (f filter) has(k Key) bool {
	block, bit := f.block(k)
	for range probesPerBlock {
		if block[bit>>6&7]&(1<<(bit&63)) == 0 {
			return false
		}
		bit >>= 9
	}
	return true
}
