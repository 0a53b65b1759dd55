package lake_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meguri/pseudonymize/lake"
)

// disk gives a file system of so many bytes and files.
func disk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small disk: %v: run this test as root", err)
		}
		t.Skipf("mount a small disk: %v: this test needs the right to mount (root)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error("a file of the lake is still open: ", err)
			_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	})
	return dir
}

// random rows do not compress well.
func random(n int, on ...int) []row {
	rng := rand.New(rand.NewPCG(3, 4))
	rows := make([]row, n)
	for i := range rows {
		rows[i] = payment(i, day(2026, 4, on[i%len(on)]))
		token := make([]byte, 16)
		for j := range token {
			token[j] = byte(rng.Uint32())
		}
		rows[i].Token, rows[i].Yen = string(token), rng.Int64()
	}
	return rows
}

// TestCommit_SurvivesAFullDisk fills a real one: while the rows are written,
// when the last of them are, when a file is made, and when only the manifest
// is missing.
func TestCommit_SurvivesAFullDisk(t *testing.T) {
	fill := func(dir string) {
		t.Helper()
		f, err := os.Create(filepath.Join(dir, "somebody else's"))
		if err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 512)
		for err == nil {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		options string
		rows    []row
		at      string // the step at which somebody else takes what is left of the disk
		says    string
	}{
		"while the rows are written": {"size=1m", random(lake.RowGroup+1000, 5), "", ": 2026-04"},
		"when the file is ended":     {"size=256k", random(20_000, 5, 40, 70), "", "commit lake: 2026-0"},
		"when a file is made":        {"size=1m,nr_inodes=17", random(100, 5, 40, 70, 100, 130), "", "write lake: payments: 2026-0"},
		"when the manifest is made":  {"size=1m", random(100, 5, 40, 70), "file named", "commit lake"},
	} {
		t.Run(name, func(t *testing.T) {
			mount := disk(t, c.options)
			dir := filepath.Join(mount, "lake")
			l := lake.Open(dir)
			run(t, l, 1, older...)
			before := files(t, dir)
			for range 2 { // the disk is as full the next time
				w := begin(t, l)
				lake.SetStep(w, func(done string) {
					if done == c.at && done != "" {
						if made, err := filepath.Glob(filepath.Join(dir, "payments", "*", "*", "*.tmp")); err == nil && len(made) == 0 {
							fill(mount)
						}
					}
				})
				err := attempt(t, w, c.rows...)
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want ENOSPC and %q", err, c.says)
				}
				if diff := cmp.Diff(before, files(t, dir)); diff != "" {
					t.Errorf("the lake changed: %s", diff)
				}
				if err := os.Remove(filepath.Join(mount, "somebody else's")); err != nil && c.at != "" {
					t.Fatal(err)
				}
			}
			if c.says == "write lake: payments: 2026-0" { // more files than the disk takes
				c.rows = random(100, 5)
			}
			run(t, l, 2, c.rows[:100]...)
			if got, want := len(content(t, l)), len(older)+100; got != want {
				t.Errorf("got %d rows, want %d", got, want)
			}
		})
	}
}
