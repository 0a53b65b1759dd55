package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFeatures holds docs/features.md against the tests: each test that it
// names exists and bears the ID of the row in its file.
func TestFeatures(t *testing.T) {
	text, err := os.ReadFile("../../docs/features.md")
	if err != nil {
		t.Fatal(err)
	}
	files := testFiles(t)
	row := regexp.MustCompile(`^\| ([A-Z]{2}-\d+) \| (\w*) \| (.*?) \| (.*?) \|$`)
	name := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		rows++
		id, state, tests, note := m[1], m[2], name.FindAllStringSubmatch(m[3], -1), m[4]
		switch state {
		case "":
			if len(tests) > 0 {
				t.Errorf("%s names a test and no state", id)
			}
			continue
		case "done", "begun":
			if len(tests) == 0 || note == "" {
				t.Errorf("%s is %s and names no test, or does not say what there is", id, state)
			}
		default:
			t.Errorf("%s has the state %q, want done, begun or none", id, state)
		}
		for _, test := range tests {
			content, ok := files[test[1]]
			if !ok {
				t.Errorf("%s names %s, and there is no such test", id, test[1])
			} else if !regexp.MustCompile(regexp.QuoteMeta(id) + `\b`).MatchString(content) {
				t.Errorf("%s names %s, and its file does not bear the ID", id, test[1])
			}
		}
	}
	if rows < 70 {
		t.Errorf("%d rows, want all of the requirements", rows)
	}
}

// testFiles returns the content of the file that each test stands in, by the
// test's name, and of each script by its file name.
func testFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		script := strings.HasSuffix(path, ".txtar")
		if d.IsDir() || !(script || strings.HasSuffix(path, ".go")) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if script {
			files[filepath.Base(path)] = string(text)
		}
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			files[m[1]] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRecipes_AreListed holds the table of attacks in docs/gate.md against the
// tests: each test that it names exists, and each recipe stands in it.
func TestRecipes_AreListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/gate.md")
	if err != nil {
		t.Fatal(err)
	}
	files := testFiles(t)
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = true
		if _, ok := files[m[1]]; !ok {
			t.Errorf("docs/gate.md names %s, and there is no such test", m[1])
		}
	}
	for name := range files {
		if strings.HasPrefix(name, "TestRecipe_") && !listed[name] {
			t.Errorf("%s is not in the table of docs/gate.md", name)
		}
	}
}
