package custody

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Use is a line of the log: who did what with which key. No secret is in it.
// Its hash is over the line and the hash before, so that a line that is changed,
// taken out or put in breaks the chain. Whoever can write the file can write all
// of it anew: so the last hash is to be noted elsewhere now and then.
type Use struct {
	At      time.Time `json:"at"`
	What    string    `json:"what"` // init, open, show, add, rotate, reseal, destroy, refused, failed
	Epoch   uint32    `json:"epoch,omitempty"`
	Project string    `json:"project,omitempty"`
	Purpose string    `json:"purpose,omitempty"`
	User    string    `json:"user"`
	Note    string    `json:"note,omitempty"`
	Before  string    `json:"before"` // the hash of the line before
	Hash    string    `json:"hash"`
}

func (u Use) hash() (string, error) {
	u.Hash = ""
	text, err := json.Marshal(u)
	return sum(text), err
}

// longest is how long a line may be.
const longest = 16 << 10

func (b *Box) auditPath() string { return filepath.Join(b.Dir, "audit.jsonl") }

// record adds a line and returns its hash.
func (b *Box) record(u Use) (hash string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("log the use of keys: %w", err)
		}
	}()
	f, err := os.OpenFile(b.auditPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil { // until it is closed
		return "", err
	}
	end, last, err := lastLine(f)
	if err != nil {
		return "", err
	}
	u.At, u.User, u.Before = b.Now().UTC().Truncate(time.Millisecond), b.User, last.Hash
	if u.Note = strings.ToValidUTF8(u.Note, ""); len(u.Note) > 500 {
		return "", errors.New("a reason has at most 500 bytes")
	}
	if u.Hash, err = u.hash(); err != nil {
		return "", err
	}
	line, err := json.Marshal(u)
	if err != nil {
		return "", err
	}
	if _, err := f.WriteAt(append(line, '\n'), end); err != nil {
		return "", err
	}
	return u.Hash, f.Sync()
}

// lastLine finds the end of the last whole line. What a process that died left
// behind it was never a use: the key was not handed out.
func lastLine(f *os.File) (end int64, last Use, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, last, err
	}
	from := max(0, info.Size()-2*longest)
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return 0, last, err
	}
	cut := bytes.LastIndexByte(tail, '\n')
	if cut < 0 {
		if from > 0 {
			return 0, last, fmt.Errorf("%w: its last line has no end", ErrAudit)
		}
		return 0, last, f.Truncate(0)
	}
	line := tail[bytes.LastIndexByte(tail[:cut], '\n')+1 : cut]
	if last, err = parseUse(line); err != nil {
		return 0, last, fmt.Errorf("%w: its last line is none: bring it back from its copy, and look who changed it", err)
	}
	end = from + int64(cut) + 1
	return end, last, f.Truncate(end)
}

// parseUse reads a line that is to the byte as record writes it.
func parseUse(line []byte) (Use, error) {
	var u Use
	if err := json.Unmarshal(line, &u); err != nil {
		return u, ErrAudit
	}
	hash, err := u.hash()
	if err != nil || hash != u.Hash {
		return u, ErrAudit
	}
	again, err := json.Marshal(u)
	if err != nil || !bytes.Equal(again, line) {
		return u, ErrAudit
	}
	return u, nil
}

// Audit reads the log and checks its chain. Through is the hash of a line that
// was noted earlier, and must still be in it, or "".
func (b *Box) Audit(through string) ([]Use, error) {
	f, err := os.Open(b.auditPath())
	if err != nil {
		return nil, fmt.Errorf("read the log of keys: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	uses, err := readUses(f)
	if err != nil {
		return uses, err
	}
	if through == "" {
		return uses, nil
	}
	for _, u := range uses {
		if u.Hash == through {
			return uses, nil
		}
	}
	return uses, fmt.Errorf("%w: the line that was noted is not in it any more", ErrAudit)
}

// readUses reads lines as long as the chain holds.
func readUses(r io.Reader) (uses []Use, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longest)
	last := ""
	for lines.Scan() {
		u, err := parseUse(lines.Bytes())
		if err != nil || u.Before != last {
			return uses, fmt.Errorf("%w: line %d does not follow from the one before", ErrAudit, len(uses)+1)
		}
		uses, last = append(uses, u), u.Hash
	}
	if err := lines.Err(); err != nil {
		return uses, fmt.Errorf("%w: line %d: %w", ErrAudit, len(uses)+1, err)
	}
	return uses, nil
}
