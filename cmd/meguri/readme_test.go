package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme_TourHolds does what the short tour of the README says, in both
// languages, and finds what it says.
func TestReadme_TourHolds(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "README.ja.md"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			_, tour, found := strings.Cut(string(text), "```sh\nexport MEGURI_PASSPHRASE=")
			tour, _, ended := strings.Cut(tour, "```\n")
			if !found || !ended {
				t.Fatal("there is no tour")
			}
			dir := t.TempDir()
			for from, to := range map[string]string{
				self: "bin/meguri", filepath.Join(root, "ingest"): "ingest", filepath.Join(root, "README.md"): "README.md",
			} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(from, filepath.Join(dir, to)); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", "export MEGURI_PASSPHRASE="+tour)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, said := range []string{"read 15 = accepted 9 + duplicate 1 + quarantined 5", "秘匿"} {
				if !strings.Contains(string(text), said) || !strings.Contains(string(out), said) {
					t.Errorf("%q is not in both the README and what the program says:\n%s", said, out)
				}
			}
		})
	}
}
