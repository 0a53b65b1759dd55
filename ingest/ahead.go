package ingest

import (
	"bytes"
	"io"
	"sync"
)

// block is a piece of a text: whole lines, but for the last piece and for lines
// longer than a block. Nobody writes to it once it is handed over.
type block struct {
	text  []byte
	clean bool  // checkEncoding finds nothing in it
	err   error // what the reader said behind it, or nil
}

// readAhead reads and checks a text in a goroutine of its own, a few blocks before
// the scanner.
type readAhead struct {
	r        io.Reader
	encoding Encoding
	size     int
	blocks   chan block
	stop     chan struct{}
	started  sync.Once
	stopped  sync.Once
	ended    sync.WaitGroup
}

const (
	blockBytes  = 256 << 10
	blocksAhead = 4
)

func newReadAhead(r io.Reader, encoding Encoding, size int) *readAhead {
	return &readAhead{r: r, encoding: encoding, size: size, blocks: make(chan block, blocksAhead), stop: make(chan struct{})}
}

// next returns the next block; behind the last one it returns that one's error
// again.
func (a *readAhead) next() block {
	a.started.Do(func() { a.ended.Go(a.read) })
	b, ok := <-a.blocks
	if !ok {
		return block{err: io.ErrUnexpectedEOF} // nobody asks behind an error
	}
	return b
}

func (a *readAhead) read() {
	defer close(a.blocks)
	var rest []byte // of a line that has not ended
	for err := error(nil); err == nil; {
		text := make([]byte, len(rest)+a.size)
		n := copy(text, rest)
		for empty := 0; n < len(text) && err == nil; {
			var more int
			more, err = a.r.Read(text[n:])
			if n += more; more > 0 {
				empty = 0
			} else if empty++; empty == 100 && err == nil {
				err = io.ErrNoProgress
			}
		}
		cut := n
		if err == nil {
			if cut = bytes.LastIndexByte(text[:n], '\n') + 1; cut == 0 {
				cut = n
			}
		}
		b := block{text: text[:cut:cut], err: err}
		// Of a line that is cut the pieces are not checked: a character may lie in both.
		b.clean = (err != nil || text[cut-1] == '\n') && !checkEncoding(b.text, a.encoding).bad()
		rest = text[cut:n]
		select {
		case a.blocks <- b:
		case <-a.stop:
			return
		}
	}
}

// close ends the goroutine.
func (a *readAhead) close() {
	a.stopped.Do(func() { close(a.stop) })
	a.started.Do(func() {}) // it begins no more
	a.ended.Wait()
}
