package ingest

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
)

// waitingCancels holds the cancellations of a file until its end, because an
// export may list the newest row first. The first ones stay in memory; beyond
// the limit the rows go to a temporary file as they came, and are parsed again.
type waitingCancels struct {
	limit int
	lines []int64
	first chunk
	file  *os.File
	w     *bufio.Writer
}

func (wc *waitingCancels) add(r *Record, line int64, raw string) error {
	wc.lines = append(wc.lines, line)
	if !wc.first.full(wc.limit) {
		wc.first.add(r, line)
		return nil
	}
	if wc.file == nil {
		f, err := os.CreateTemp("", "meguri-cancels-*")
		if err != nil {
			return err
		}
		wc.file, wc.w = f, bufio.NewWriterSize(f, 256<<10)
		// Where the system allows it the name goes at once, so that not even a
		// crash leaves personal data behind; close removes it elsewhere.
		_ = os.Remove(f.Name())
	}
	var head [2 * binary.MaxVarintLen64]byte
	b := binary.AppendVarint(head[:0], line)
	b = binary.AppendUvarint(b, uint64(len(raw)))
	if _, err := wc.w.Write(b); err != nil {
		return err
	}
	_, err := wc.w.WriteString(raw)
	return err
}

// each calls fn with all of them, chunk by chunk.
func (wc *waitingCancels) each(rows rowSource, parse func(int64, []string, *Record) fault, fn func(*chunk) error) error {
	c := &wc.first
	if c.n > 0 {
		if err := fn(c); err != nil {
			return err
		}
		c.reset()
	}
	if wc.file == nil {
		return nil
	}
	if err := wc.w.Flush(); err != nil {
		return err
	}
	if _, err := wc.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReaderSize(wc.file, 256<<10)
	var record Record
	for {
		line, err := binary.ReadVarint(r)
		if err != nil && err != io.EOF {
			return err
		}
		if last := err == io.EOF; last || c.full(wc.limit) {
			if c.n > 0 {
				if err := fn(c); err != nil {
					return err
				}
				c.reset()
			}
			if last {
				return nil
			}
		}
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		raw := make([]byte, size)
		if _, err := io.ReadFull(r, raw); err != nil {
			return err
		}
		text := string(raw)
		fields, f := rows.split(text)
		if !f.bad() {
			f = parse(line, fields, &record)
		}
		if f.bad() {
			c.addBad(line, f, text) // the row was good before; it is still counted
			continue
		}
		c.add(&record, line)
	}
}

// close removes the temporary file.
func (wc *waitingCancels) close() {
	if wc.file != nil {
		_ = wc.file.Close()
		_ = os.Remove(wc.file.Name()) // gone already on most systems
	}
}
