package lake_test

import (
	"path/filepath"
	"strings"
	"testing"

	"meguri/pseudonymize/lake"
)

// FuzzParseManifest: what comes from elsewhere names nothing outside the lake.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"format":2,"snapshot":1,"files":[{"path":"payments/000001.parquet","table":"payments"}]}`))
	f.Add([]byte(`{"format":2,"snapshot":1,"files":[{"path":"../../x.parquet"}]}`))
	f.Add([]byte(`{"format":2,"snapshot":1,"files":[{"path":"..parquet"}]}`)) // a name like any other
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := lake.ParseManifest(text)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if rel, err := filepath.Rel("/lake", filepath.Join("/lake", file.Path)); err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
				t.Errorf("%q is outside the lake", file.Path)
			}
		}
	})
}
