package crashtest

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// shim is a library before libc that sees what SQLite does to the files of one
// folder (testdata/shim.c).
type shim struct {
	library, dir string // the folder
	log, trigger string
}

// newShim compiles the library. Without a C compiler the test is skipped; with
// CI=true that fails.
func newShim(t testing.TB, dir string) *shim {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if !ci() {
			t.Skip("there is no C compiler: what happens to disks is not tested")
		}
		t.Fatal(err)
	}
	own := t.TempDir()
	s := &shim{library: filepath.Join(own, "shim.so"), dir: dir, log: filepath.Join(own, "trace"), trigger: filepath.Join(own, "trigger")}
	out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", s.library, filepath.Join("testdata", "shim.c"), "-ldl", "-pthread").CombinedOutput()
	if err != nil {
		t.Fatalf("compile the shim: %v\n%s", err, out)
	}
	if err := os.WriteFile(s.log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// env is for the program that is to be seen. fail is what is to fail once the
// trigger is pulled, as in the shim's SHIM_FAIL.
func (s *shim) env(fail string) []string {
	env := []string{"LD_PRELOAD=" + s.library, "SHIM_DIR=" + s.dir + "/", "SHIM_LOG=" + s.log}
	if fail != "" {
		env = append(env, "SHIM_FAIL="+fail, "SHIM_TRIGGER="+s.trigger)
	}
	return env
}

func (s *shim) pull(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(s.trigger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// call is what a program did to a file.
type call struct {
	kind   byte // 'o' open, 'w' write, 't' truncate, 's' sync, 'u' unlink
	file   string
	offset int64
	data   []byte
	failed bool
	end    int64 // the size of the trace after it
}

// calls reads the trace. What comes after the last whole record was not done.
func (s *shim) calls(t testing.TB) (all []call) {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	const head = 48
	names := map[int64]string{}
	for at := 0; len(text)-at >= head; {
		var n [6]int64
		if err := binary.Read(bytes.NewReader(text[at:]), binary.LittleEndian, &n); err != nil {
			t.Fatal(err)
		}
		if int64(len(text)-at-head) < n[3] {
			break
		}
		data := text[at+head : at+head+int(n[3])]
		at += head + int(n[3])
		if n[0] == 'o' {
			names[n[1]] = string(data)
		}
		all = append(all, call{byte(n[0]), filepath.Base(names[n[1]]), n[2], data, n[4] != 0, int64(at)})
	}
	return all
}
