package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrOther is a lake that was to take the place of another, and is not its
// later state.
var ErrOther = errors.New("a lake takes the place of its own earlier state alone, and the other one is no such state")

// ParseManifest reads the text of a manifest.json that came from elsewhere.
func ParseManifest(text []byte) (m Manifest, err error) {
	if m, err = parse(text, "manifest.json"); err != nil {
		return m, err
	}
	for _, f := range m.Files {
		local := filepath.IsLocal(filepath.FromSlash(f.Path)) && strings.HasSuffix(f.Path, ".parquet")
		if !local || f.Bytes < 0 || f.Rows < 0 {
			return m, fmt.Errorf("read lake: %w: manifest.json names a file that no lake has", ErrChanged)
		}
	}
	return m, nil
}

// Text is a manifest as it stands in manifest.json.
func (m Manifest) Text() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// Follows tells whether a manifest may be a later state of another: files never
// change, so one that both name must be the same.
func (m Manifest) Follows(earlier Manifest) bool {
	if m.Snapshot <= earlier.Snapshot || m.At.Before(earlier.At) {
		return false
	}
	sums := map[string]string{}
	for _, f := range earlier.Files {
		sums[f.Path] = f.SHA256
	}
	for _, f := range m.Files {
		if sum, both := sums[f.Path]; both && sum != f.SHA256 {
			return false
		}
	}
	return true
}

// incoming is the manifest of files that Install is bringing in. While it is
// there, they may stand in the folder without counting.
const incoming = "incoming.json"

// Install makes the lake what the text of a manifest from elsewhere says.
// Fetch opens a file that is missing here; what does not have its hash does
// not come in. The lake must be empty or an earlier state of the other, or
// Install returns ErrOther. It is complete or not at all, and when it broke
// off it goes on from the files that it had.
func (l *Lake) Install(ctx context.Context, text []byte, fetch func(context.Context, File) (io.ReadCloser, error),
	progress func(bytes, of int64)) (Manifest, error) {
	m, err := ParseManifest(text)
	if err != nil {
		return m, err
	}
	if err := l.install(ctx, m, text, fetch, progress); err != nil {
		return Manifest{}, fmt.Errorf("install lake: %w", err)
	}
	return m, nil
}

func (l *Lake) install(ctx context.Context, m Manifest, text []byte, fetch func(context.Context, File) (io.ReadCloser, error),
	progress func(bytes, of int64)) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	base, err := l.Manifest()
	if err != nil {
		return err
	}
	if now, err := os.ReadFile(l.manifestPath()); err == nil && bytes.Equal(now, text) {
		return nil
	}
	if base.Snapshot > 0 && !m.Follows(base) {
		return ErrOther
	}
	begun, err := os.ReadFile(filepath.Join(l.dir, incoming))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(begun, text) {
		if err := l.sweep(base); err != nil {
			return err
		}
		if err := writeDurably(filepath.Join(l.dir, incoming), text, func(string) {}); err != nil {
			return err
		}
	}
	var done, of int64
	for _, f := range m.Files {
		of += f.Bytes
	}
	for _, f := range m.Files {
		if err := l.bring(ctx, f, fetch); err != nil {
			return err
		}
		if done += f.Bytes; progress != nil {
			progress(done, of)
		}
	}
	w := &Writer{lake: l, base: base}
	if err := w.keepBase(); err != nil {
		return err
	}
	if err := writeDurably(l.manifestPath(), text, func(string) {}); err != nil {
		return err
	}
	return os.Remove(filepath.Join(l.dir, incoming))
}

// bring has a file stand in its place with its hash.
func (l *Lake) bring(ctx context.Context, f File, fetch func(context.Context, File) (io.ReadCloser, error)) error {
	path := l.path(f)
	if sum, err := hashFile(path); err == nil && sum == f.SHA256 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	from, err := fetch(ctx, f)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was only read
	to, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, sum), io.LimitReader(from, f.Bytes+1))
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return errors.Join(fmt.Errorf("%w: %s", ErrChanged, f.Path), os.Remove(path+".tmp"))
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) { // folders may be new, too
		if err := syncDir(dir); err != nil || dir == filepath.Clean(l.dir) {
			return err
		}
	}
}
