package lake_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meguri/pseudonymize/lake"
)

var (
	older = []row{payment(1, day(2026, 3, 1)), payment(2, day(2026, 4, 1))}
	newer = []row{payment(3, day(2026, 4, 2)), payment(4, day(2026, 5, 1)), payment(5, day(2026, 6, 1))}
)

// TestCrashChild is the process that TestCommit_SurvivesAKillAtEveryStep
// kills; by itself it does nothing.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv("MEGURI_CRASH_DIR")
	if dir == "" {
		return
	}
	at, err := strconv.Atoi(os.Getenv("MEGURI_CRASH_AT"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var mu sync.Mutex // row groups are written beside each other
	step := func(done string) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == at {
			fmt.Println("step:", done)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until the signal arrives
		}
	}
	w := begin(t, lake.Open(dir))
	lake.SetStep(w, step)
	lake.SetCreate(w, func(path string, create func(string) (io.WriteCloser, error)) (io.WriteCloser, error) {
		f, err := create(path)
		return &dying{f, step}, err
	})
	for _, r := range newer { // a batch each, so that there is more to die between
		write(t, w, []row{r})
	}
	commit(t, w, 2)
}

// dying is a file that a process may die over, half a write done.
type dying struct {
	io.WriteCloser
	step func(string)
}

func (d *dying) Write(p []byte) (int, error) {
	n, err := d.WriteCloser.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	d.step("half a write")
	rest, err := d.WriteCloser.Write(p[n:])
	return n + rest, err
}

// TestCommit_SurvivesAKillAtEveryStep kills a process at each step of a run.
// The lake is then as it was before the run or, once the manifest has its
// name, as it is after it; and the next run leaves nothing of the dead one.
func TestCommit_SurvivesAKillAtEveryStep(t *testing.T) {
	old := lake.Open(t.TempDir())
	run(t, old, 1, older...)
	seen := map[string]int{}
	step := 1
	for ; ; step++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(old.Dir())); err != nil {
			t.Fatal(err)
		}
		done, killed := crash(t, dir, step)
		if !killed {
			break
		}
		seen[done]++
		l := lake.Open(dir)
		m, want := manifest(t, l), older
		if done == "manifest named" {
			want = append(slices.Clone(older), newer...)
		}
		if diff := cmp.Diff(sorted(want), content(t, l)); diff != "" {
			t.Fatalf("killed at step %d (%s): %s", step, done, diff)
		}
		crash(t, dir, 4) // and once more, before anybody cleared up
		w := begin(t, l)
		if got, want := names(files(t, dir)), named(m); !slices.Equal(got, want) {
			t.Errorf("killed at step %d (%s): the next run left %q, want %q", step, done, got, want)
		}
		if !slices.Contains(m.Segments, 2) {
			write(t, w, newer)
			commit(t, w, 2)
		} else {
			w.Abort()
		}
		if diff := cmp.Diff(sorted(append(slices.Clone(older), newer...)), content(t, l)); diff != "" {
			t.Fatalf("killed at step %d (%s), and run again: %s", step, done, diff)
		}
	}
	for done, least := range map[string]int{"file made": 3, "rows written": 3, "half a write": 20, "file complete": 3, "file named": 3, "manifest complete": 1, "manifest named": 1} {
		if seen[done] < least {
			t.Errorf("%q: killed %d times, want %d", done, seen[done], least)
		}
	}
}

// named are the files of a lake that somebody may find.
func named(m lake.Manifest) []string {
	list := []string{"manifest.json"}
	for number := int64(1); number < m.Snapshot; number++ {
		list = append(list, fmt.Sprintf("snapshots/%06d.json", number))
	}
	for _, f := range m.Files {
		list = append(list, f.Path)
	}
	slices.Sort(list)
	return list
}

func crash(t *testing.T, dir string, at int) (done string, killed bool) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	command.Env = append(os.Environ(), "MEGURI_CRASH_DIR="+dir, fmt.Sprint("MEGURI_CRASH_AT=", at))
	output, err := command.CombinedOutput()
	if err == nil {
		return "", false
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child failed: %v\n%s", err, output)
	}
	_, done, _ = strings.Cut(string(output), "step: ")
	done, _, _ = strings.Cut(done, "\n")
	return done, true
}

// TestBegin_SweepsAnyPartOfARun takes the folder of a finished run apart: any
// of its files, whole or cut, under its own name or the temporary one, with the
// manifest from before. That is what a loss of power may leave.
func TestBegin_SweepsAnyPartOfARun(t *testing.T) {
	l := lake.Open(t.TempDir())
	run(t, l, 1, older...)
	before := files(t, l.Dir())
	run(t, l, 2, newer...)
	after := files(t, l.Dir())
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		dir := t.TempDir()
		put := func(name, text string) {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range before {
			put(name, text)
		}
		left := []string{}
		for name, text := range after {
			if before[name] == text || rng.IntN(3) == 0 {
				continue
			}
			if rng.IntN(2) == 0 {
				text = text[:rng.IntN(len(text))]
			}
			if name == "manifest.json" || rng.IntN(2) == 0 {
				name += ".tmp"
			}
			put(name, text)
			left = append(left, name)
		}
		l := lake.Open(dir)
		if diff := cmp.Diff(sorted(older), content(t, l)); diff != "" {
			t.Fatalf("with %q: %s", left, diff)
		}
		begin(t, l).Abort()
		if diff := cmp.Diff(before, files(t, dir)); diff != "" {
			t.Fatalf("with %q: %s", left, diff)
		}
	}
}

// full is a disk that has room for so many bytes.
type full struct {
	io.WriteCloser
	room *int
}

func (f *full) Write(p []byte) (int, error) {
	if len(p) > *f.room {
		n, _ := f.WriteCloser.Write(p[:*f.room])
		*f.room -= n
		return n, syscall.ENOSPC
	}
	*f.room -= len(p)
	return f.WriteCloser.Write(p)
}

// TestCommit_LeavesTheLakeAsItWasWhenTheDiskIsFull after any number of bytes.
func TestCommit_LeavesTheLakeAsItWasWhenTheDiskIsFull(t *testing.T) {
	l := lake.Open(t.TempDir())
	run(t, l, 1, older...)
	before := files(t, l.Dir())
	handles := openFiles(t)
	room := 0
	for ; ; room += 101 {
		left := room
		w := begin(t, l)
		lake.SetCreate(w, func(path string, create func(string) (io.WriteCloser, error)) (io.WriteCloser, error) {
			f, err := create(path)
			return &full{f, &left}, err
		})
		err := attempt(t, w)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.ENOSPC) || !slices.ContainsFunc([]string{"2026-04", "2026-05", "2026-06"}, func(m string) bool { return strings.Contains(err.Error(), m) }) {
			t.Errorf("room for %d bytes: got %v, want ENOSPC and the month", room, err)
		}
		if diff := cmp.Diff(before, files(t, l.Dir())); diff != "" {
			t.Fatalf("room for %d bytes: the lake changed: %s", room, diff)
		}
	}
	if room < 3000 {
		t.Errorf("the run needs only %d bytes", room)
	}
	if got := openFiles(t); got != handles {
		t.Errorf("%d files are open, %d were before", got, handles)
	}
	if diff := cmp.Diff(sorted(append(slices.Clone(older), newer...)), content(t, l)); diff != "" {
		t.Errorf("with room enough: %s", diff)
	}
}

// attempt runs to the end or to the first error.
func attempt(t *testing.T, w *lake.Writer, rows ...row) error {
	t.Helper()
	if rows == nil {
		rows = newer
	}
	b := batch(t, rows)
	defer b.Release()
	if err := table(t, w).Write(b); err != nil {
		w.Abort()
		return err
	}
	_, err := w.Commit(entered(2))
	return err
}

type failing struct {
	io.WriteCloser
	close error
}

func (f *failing) Close() error { return errors.Join(f.WriteCloser.Close(), f.close) }

func TestCommit_FailsWhenAFileCannotBeMadeOrClosed(t *testing.T) {
	l := lake.Open(t.TempDir())
	run(t, l, 1, older...)
	before := files(t, l.Dir())
	handles := openFiles(t)
	broken := errors.New("the disk has gone")
	for name, make := range map[string]func(path string, create func(string) (io.WriteCloser, error)) (io.WriteCloser, error){
		"made": func(path string, create func(string) (io.WriteCloser, error)) (io.WriteCloser, error) {
			if strings.Contains(path, "2026-05") {
				return nil, broken
			}
			return create(path)
		},
		"closed": func(path string, create func(string) (io.WriteCloser, error)) (io.WriteCloser, error) {
			f, err := create(path)
			if strings.Contains(path, "2026-05") {
				f = &failing{f, broken}
			}
			return f, err
		},
	} {
		w := begin(t, l)
		lake.SetCreate(w, make)
		if err := attempt(t, w); !errors.Is(err, broken) || !strings.Contains(err.Error(), "2026-05") {
			t.Errorf("%s: got %v", name, err)
		}
		if diff := cmp.Diff(before, files(t, l.Dir())); diff != "" {
			t.Errorf("%s: the lake changed: %s", name, diff)
		}
		if got := openFiles(t); got != handles {
			t.Errorf("%s: %d files are open, %d were before", name, got, handles)
		}
	}
	run(t, l, 2, newer...)
}
