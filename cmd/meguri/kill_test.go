package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// meguri returns a command that is this program, over a data folder.
func meguri(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "meguri" // the test binary becomes the program under this name
	cmd.Env = append(os.Environ(), "MEGURI_DIR="+dir, "MEGURI_PASSPHRASE=a passphrase for tests")
	return cmd
}

func mustRun(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := meguri(t, dir, args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("meguri %v: %v\n%s", args, err, exitText(err))
	}
	return out
}

func exitText(err error) []byte {
	if e, ok := err.(*exec.ExitError); ok {
		return e.Stderr
	}
	return nil
}

// killed runs the program again and again, each time with SIGKILL after a
// random while, until a run comes to its end by itself. peace is how long it
// takes when it is left alone, so that the first kill hits it in the middle. It
// returns how often it was killed.
func killed(t *testing.T, r *rand.Rand, peace time.Duration, dir string, args ...string) (kills int) {
	t.Helper()
	for {
		cmd := meguri(t, dir, args...)
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(r.Int64N(int64(peace/2))) + 5*time.Millisecond
		timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		if timer.Stop() {
			if err != nil {
				t.Fatalf("meguri %v after %d kills: %v\n%s", args, kills, err, said.Bytes())
			}
			return kills
		}
		if kills++; kills == 5 { // enough: let it finish
			mustRun(t, dir, args...)
			return kills
		}
	}
}

// timed runs the program and returns how long it took.
func timed(t *testing.T, dir string, args ...string) time.Duration {
	t.Helper()
	started := time.Now()
	mustRun(t, dir, args...)
	return time.Since(started)
}

// answers are what the lake says, whatever its files are named.
func answers(t *testing.T, dir string) (all []released) {
	t.Helper()
	for _, q := range [][]string{{"M01a", "--by", "week"}, {"M01b", "--by", "day"}, {"M02", "--by", "shop"}, {"M03"}, {"M10"}} {
		out := mustRun(t, dir, append(append([]string{"metrics", "run"}, q...), "--format", "json")...)
		var r released
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Rows) == 0 {
			t.Fatalf("metric %v has no rows", q)
		}
		all = append(all, r)
	}
	return all
}

var killSeed = flag.Uint64("kill-seed", 0, "repeat the kills of a failing run; 0 draws new ones")

func seeded(t *testing.T) *rand.Rand {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -kill-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// kill -9 in the middle of import and of the pipeline, one after the other or both
// at once, and start again: the lake says the same as one that was made in peace.
func TestKill_ImportAndPipeline(t *testing.T) {
	t.Parallel()
	r := seeded(t)
	file := filepath.Join(t.TempDir(), "transactions.csv")
	if err := newPayments(300_000).write(file, 300_000); err != nil {
		t.Fatal(err)
	}
	load := []string{"import", file, "--format", "mitaka-transactions"}
	pipeline := []string{"pipeline", "--pull=false"}

	peace, war, both := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{peace, war, both} {
		mustRun(t, dir, "keys", "init")
		if err := makeLawful(func(args ...string) error { mustRun(t, dir, args...); return nil }, file); err != nil {
			t.Fatal(err)
		}
	}
	loading := timed(t, peace, load...)
	making := timed(t, peace, pipeline...)

	kills := killed(t, r, loading, war, load...)
	kills += killed(t, r, making, war, pipeline...)
	kills += killed(t, r, loading, both, append(load, "--pipeline")...)
	t.Logf("killed %d times", kills)
	want := answers(t, peace)
	for _, dir := range []string{war, both} {
		if got := answers(t, dir); !reflect.DeepEqual(got, want) {
			t.Errorf("after %d kills the lake says other than in peace", kills)
		}
	}
}

// kill -9 in the middle of the demo, which is the ledger, the API, the pull and
// the pipeline at once: every payment is there once.
func TestKill_WholeWay(t *testing.T) {
	t.Parallel()
	r := seeded(t)
	demo := []string{"demo", "--no-serve", "--residents", "300", "--shops", "14", "--weeks", "4"}
	peace, war := t.TempDir(), t.TempDir()
	living := timed(t, peace, demo...)
	kills := killed(t, r, living, war, demo...)
	t.Logf("killed %d times", kills)
	if got, want := answers(t, war), answers(t, peace); !reflect.DeepEqual(got, want) {
		t.Errorf("after %d kills the lake says other than in peace", kills)
	}
}
