package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The books of a demo city are right by our own reckoning, and by that of a
// program that we did not write.
func TestLedger_HledgerAgrees(t *testing.T) {
	hledger, err := exec.LookPath("hledger")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("hledger is not installed, and in CI that is a failure")
		}
		t.Skip("hledger is not installed: the journal is checked by nobody else")
	}
	dir := t.TempDir()
	mustRun(t, dir, "demo", "--no-serve", "--residents", "60", "--shops", "12", "--weeks", "3")
	if out := mustRun(t, dir, "ledger", "verify"); !bytes.Contains(out, []byte("the ledger is right")) {
		t.Errorf("verify says %s", out)
	}
	journal := filepath.Join(dir, "books.journal")
	mustRun(t, dir, "ledger", "export", "--format", "hledger", "--out", journal)
	if out, err := exec.Command(hledger, "-f", journal, "check").CombinedOutput(); err != nil {
		t.Fatalf("hledger check: %v\n%s", err, out)
	}

	// It can fail: one yen more in one entry is found.
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), `  1000 "demo-voucher" =`, `  1001 "demo-voucher" =`, 1)
	if broken == string(text) {
		broken = strings.Replace(string(text), `000 "demo-voucher" =`, `001 "demo-voucher" =`, 1)
	}
	if err := os.WriteFile(journal, []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(hledger, "-f", journal, "check").CombinedOutput(); err == nil {
		t.Errorf("a broken journal passes: %s", out)
	}
}
