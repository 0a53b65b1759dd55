package crashtest

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// failures of a disk under a SQLite file, as the shim makes them, in the middle
// of work: EIO is 5, ENOSPC is 28.
var failures = map[string]string{
	"a sync fails once":              "sync:-wal:5:1",
	"a write fails once":             "write:-wal:5:1",
	"the disk is full":               "write:-wal:28:0",
	"the disk was full for a moment": "write:-wal:28:1",
	"syncs fail from now on":         "sync:-wal:5:0",
}

// C6: when the disk fails the writer stops for good. Nobody is told that
// something stands which may not, nothing is taken any more, and when the disk
// is well again everything that was answered is there.
func TestDisk_AFailureStopsTheWriter(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			file := newFile(t)
			b := openBooks(t, file)
			b.close() // the program is the only one
			s := newShim(t, filepath.Dir(file))
			dir := newRound(t, "d")
			w := hire(t, assignment{Database: file, Logs: dir, Name: "d", Clients: 16, Seed: seeded(t).Uint64()}, s.env(fail)...)
			eventually(t, "answers", func() bool { return answers(dir, "d") > 100 })
			s.pull(t)
			r, code := w.end(t)
			if code != storageFailed || !r.Storage {
				t.Errorf("the program ended with %d and %+v, want the fault of its storage", code, r)
			}
			for _, said := range r.After {
				if said != "unavailable" {
					t.Errorf("after that a request is answered %q", said)
				}
			}
			b.open(t)
			b.settle(t, dir, "d")
			b.verify(t)
			t.Logf("stopped with %q; %v", r.Fault, b.figures)
		})
	}
}

// C6: and the program that serves ends, with a code that says so.
func TestDisk_AFailureEndsTheProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the program is not built")
	}
	program := filepath.Join(t.TempDir(), "meguri")
	build := exec.Command("go", "build", "-tags", "duckdb_arrow", "-o", program, "./cmd/meguri")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, name := range []string{"a sync fails once", "the disk is full"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			command := func(args ...string) *exec.Cmd {
				cmd := exec.Command(program, args...)
				cmd.Env = append(os.Environ(), "MEGURI_DIR="+dir, "MEGURI_PASSPHRASE=a passphrase for tests")
				return cmd
			}
			out, err := command("access", "add-client", "till", "wallet.read", "wallet.write", "ledger.post").Output()
			if err != nil {
				t.Fatalf("add client: %v", err)
			}
			token := strings.TrimSpace(string(out))
			s := newShim(t, dir)
			serve := func(env ...string) (*exec.Cmd, string, *bytes.Buffer) {
				file := filepath.Join(t.TempDir(), "address")
				cmd := command("serve", "--listen", "127.0.0.1:0", "--address-file", file, "--log-level", "error")
				said := &bytes.Buffer{}
				cmd.Env, cmd.Stderr = append(cmd.Env, env...), said
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = cmd.Process.Kill() }) // does nothing to one that has ended
				var address []byte
				eventually(t, "the server", func() bool {
					address, err = os.ReadFile(file)
					return err == nil && len(address) > 0
				})
				return cmd, string(address), said
			}
			call := func(method, url, key, body string) (status int) {
				r, err := http.NewRequest(method, url, strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return 0
				}
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("Content-Type", "application/json")
				if key != "" {
					r.Header.Set("Idempotency-Key", key)
				}
				answer, err := http.DefaultClient.Do(r)
				if err != nil {
					return 0 // no answer
				}
				defer func() { _ = answer.Body.Close() }() // it was read
				text, _ := io.ReadAll(answer.Body)
				if answer.StatusCode >= 400 && answer.StatusCode < 500 {
					t.Errorf("%s %s: %d %s", method, url, answer.StatusCode, text)
					return 0
				}
				return answer.StatusCode
			}

			server, address, said := serve(s.env(failures[name])...)
			wallet := address + "/wallet/v1"
			call("PUT", wallet+"/programmes/v", "", `{"name":"試験用","class":"voucher","unit_price_yen":1000,"unit_value_yen":1200}`)
			call("POST", wallet+"/residents", "", `{"residents":[{"resident_id":"r1","consent_id":"c1","registered_at":"2026-06-01T00:00:00Z"}]}`)
			call("POST", wallet+"/shops", "", `{"shops":[{"shop_id":"s1","name":"試験店","industry":"grocery","joined_at":"2026-06-01T00:00:00Z"}]}`)
			call("POST", wallet+"/charges", uuid.NewString(), `{"resident_id":"r1","programme_id":"v","units":1000}`)

			var stands sync.Map
			var paid, refused atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						key := uuid.NewString()
						switch status := call("POST", wallet+"/payments", key,
							`{"resident_id":"r1","shop_id":"s1","parts":[{"programme_id":"v","amount_yen":1}]}`); {
						case status == 0:
							return // the server is gone
						case status < 300:
							stands.Store(key, true)
							paid.Add(1)
						default:
							refused.Add(1)
						}
					}
				})
			}
			eventually(t, "payments", func() bool { return paid.Load() > 100 })
			s.pull(t)
			ended := make(chan bool)
			go func() { _ = server.Wait(); close(ended) }() // its code tells
			select {
			case <-ended:
				if server.ProcessState.ExitCode() != 1 {
					t.Errorf("the server ended with %d, want 1", server.ProcessState.ExitCode())
				}
			case <-time.After(time.Minute):
				t.Error("the server goes on")
				_ = server.Process.Kill()
				<-ended
			}
			wg.Wait()
			t.Logf("%d payments answered, %d answered with a fault; the server ended with %d and says %.200q",
				paid.Load(), refused.Load(), server.ProcessState.ExitCode(), said)

			// With a disk that is well everything that was answered is there.
			out, err = command("ledger", "verify").Output()
			if err != nil || !bytes.Contains(out, []byte("the ledger is right")) {
				t.Errorf("verify says %s, %v", out, err)
			}
			again, address, _ := serve()
			stands.Range(func(key, _ any) bool {
				if status := call("GET", address+"/wallet/v1/transactions/"+key.(string), "", ""); status != http.StatusOK {
					t.Errorf("payment %s was answered and gets %d", key, status)
				}
				return !t.Failed()
			})
			_ = again.Process.Kill()
		})
	}
}
