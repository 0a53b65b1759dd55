package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meguri/ingest"
	"meguri/internal/sqldb"
)

const crashRows = 1200

// TestCrashChild is the process that TestImport_SurvivesAKillAtEveryStep
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
	im := open(t, dir)
	ingest.SetChunkRows(im, 300)
	calls := make(chan int, 1)
	calls <- 0
	ingest.SetStep(im, func(string) {
		n := <-calls + 1
		if n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until the signal arrives
		}
		calls <- n
	})
	if _, err := im.Import(context.Background(), os.Getenv("MEGURI_CRASH_FILE"), ingest.Options{Format: ingest.MitakaTransactions}); err != nil {
		t.Fatal(err)
	}
}

// TestImport_SurvivesAKillAtEveryStep kills a process at each step of an
// import, the second time with a different step still, and then imports the
// file to the end. Whatever happened, the records are those of a run that was
// never killed, and no file lies about.
func TestImport_SurvivesAKillAtEveryStep(t *testing.T) {
	path := writeFile(t, "t.csv", func(w io.Writer) error { return writeMitaka(w, crashRows, 11) })
	opts := ingest.Options{Format: ingest.MitakaTransactions}
	whole := open(t, t.TempDir())
	first, err := whole.Import(context.Background(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	resumed := false
	want := content(t, whole)
	if len(want) != crashRows {
		t.Fatalf("the file gives %d records", len(want))
	}
	step := 1
	for ; ; step++ {
		dir := t.TempDir()
		killed := crash(t, dir, path, step)
		if !killed {
			break
		}
		crash(t, dir, path, 3)
		im := open(t, dir)
		ingest.SetChunkRows(im, 300)
		s, err := im.Import(context.Background(), path, opts)
		if err != nil {
			t.Fatalf("after a kill at step %d: %v", step, err)
		}
		// It goes on where the checkpoint was, and its days are the whole file's.
		resumed = resumed || s.Resumed > 0
		if s.Read+s.Resumed != crashRows || s.Quarantined != 0 || !slices.Equal(s.Days, first.Days) {
			t.Errorf("after a kill at step %d: %+v", step, s)
		}
		if diff := cmp.Diff(want, content(t, im)); diff != "" {
			t.Fatalf("after a kill at step %d: %s", step, diff)
		}
		segments, err := im.Segments(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(filepath.Join(dir, "personal", "segments"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != len(segments) {
			t.Errorf("after a kill at step %d: %d files for %d segments", step, len(files), len(segments))
		}
		if files, err = os.ReadDir(filepath.Join(dir, "personal", "identities")); err != nil || len(files) >= len(segments) {
			t.Errorf("after a kill at step %d: %d runs for %d segments, %v", step, len(files), len(segments), err)
		}
	}
	if !resumed {
		t.Error("no import went on where another stopped")
	}
	if step < 15 {
		t.Errorf("the import has only %d steps", step-1)
	}
}

func crash(t *testing.T, dir, path string, at int) (killed bool) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	command.Env = append(os.Environ(), "MEGURI_CRASH_DIR="+dir, "MEGURI_CRASH_FILE="+path, fmt.Sprint("MEGURI_CRASH_AT=", at))
	output, err := command.CombinedOutput()
	if err == nil {
		return false
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child failed: %v\n%s", err, output)
	}
	return true
}

// TestOpen_MakesIdentitiesOfSegmentsAnew for a folder that has none, as one of
// an earlier version: what was imported is still known.
func TestOpen_MakesIdentitiesOfSegmentsAnew(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, "t.csv", func(w io.Writer) error { return writeMitaka(w, crashRows, 11) })
	opts := ingest.Options{Format: ingest.MitakaTransactions}
	im := open(t, dir)
	ingest.SetChunkRows(im, 300)
	if _, err := im.Import(t.Context(), path, opts); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "personal", "identities")); err != nil {
		t.Fatal(err)
	}
	if _, err := openErr(t, dir); err == nil || !strings.Contains(err.Error(), ".keys is registered and its file is gone") {
		t.Errorf("lost identities: %v", err)
	}
	db, err := sqldb.Open(t.Context(), filepath.Join(dir, "ingest.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "DELETE FROM ingest_runs"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := open(t, dir).Import(t.Context(), path, opts)
	if err != nil || s.Duplicate != crashRows || s.Quarantined != 0 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestOpen_RemovesWhatNoTransactionKnows and keeps what one does.
func TestOpen_RemovesWhatNoTransactionKnows(t *testing.T) {
	dir := t.TempDir()
	im := open(t, dir)
	path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := io.WriteString(w, mitakaHeader+mitakaRow()); return err })
	if _, err := im.Import(context.Background(), path, ingest.Options{Format: ingest.MitakaTransactions}); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "personal", "segments")
	for _, name := range []string{"000002.arrow", "writing-123"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stray := filepath.Join(dir, "personal", "identities", "000002.keys")
	if err := os.WriteFile(stray, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(stray); err == nil {
		t.Error("a run that nobody registered is there")
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Name() != "000001.arrow" {
		t.Errorf("got %v", files)
	}
	if err := os.Remove(filepath.Join(folder, "000001.arrow")); err != nil {
		t.Fatal(err)
	}
	if _, err := openErr(t, dir); err == nil || !strings.Contains(err.Error(), "000001.arrow is registered and its file is gone") {
		t.Errorf("a lost segment: %v", err)
	}
}
