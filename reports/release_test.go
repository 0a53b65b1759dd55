package reports

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"meguri/analytics"
	"meguri/analytics/disclosure"
)

// forRecipient releases a table of the town to the recipient r.
func forRecipient(t *testing.T, metric string, by ...string) disclosure.Released {
	t.Helper()
	q := analytics.Query{Metric: metric, From: "2026-10-01", To: "2026-10-31", By: by}
	r, err := gate(town{secret: true}).ReleaseTo(t.Context(), q, disclosure.Recipient, "r")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestJSONStatKeepsTheRules checks what https://json-stat.org/full/ asks of a
// dataset: class, version, one size for each id, a dimension for each, an index
// for every category, and as many values as the sizes multiply to.
func TestJSONStatKeepsTheRules(t *testing.T) {
	for _, by := range [][]string{nil, {"week"}, {"weekday", "hour"}, {"age_band", "sex"}} {
		for _, lang := range []string{"ja", "en"} {
			r := forRecipient(t, "M02", by...)
			var b bytes.Buffer
			if err := JSONStat(&b, r, lang); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b.Bytes(), []byte(strconv.Itoa(sentinel))) {
				t.Error("a hidden value is in it")
			}
			var d jsonStat
			if err := json.Unmarshal(b.Bytes(), &d); err != nil {
				t.Fatal(err)
			}
			if d.Version != "2.0" || d.Class != "dataset" || d.Label == "" || len(d.ID) != len(d.Size) || len(d.Dimension) != len(d.ID) {
				t.Errorf("by %v: %+v", by, d)
			}
			n := 1
			for i, id := range d.ID {
				n *= d.Size[i]
				c := d.Dimension[id].Category
				if len(c.Index) != d.Size[i] || len(c.Label) != d.Size[i] {
					t.Errorf("by %v: %s has %d and %d categories, its size is %d", by, id, len(c.Index), len(c.Label), d.Size[i])
				}
				for _, key := range c.Index {
					if c.Label[key] == "" || key == "" {
						t.Errorf("by %v: category %q of %s has no label", by, key, id)
					}
				}
				if len(slices.Compact(slices.Sorted(slices.Values(c.Index)))) != len(c.Index) {
					t.Errorf("by %v: a category of %s stands twice", by, id)
				}
			}
			if len(d.Value) != n {
				t.Errorf("by %v: %d values, sizes multiply to %d", by, len(d.Value), n)
			}
			for role, dims := range d.Role {
				for _, dim := range dims {
					if !slices.Contains(d.ID, dim) || !slices.Contains([]string{"time", "geo", "metric"}, role) {
						t.Errorf("by %v: role %s of %s", by, role, dim)
					}
				}
			}
			hidden := 0
			for place, status := range d.Status {
				i, err := strconv.Atoi(place)
				if err != nil || i >= len(d.Value) || d.Value[i] != nil || d.Extension.Status.Label[status] == "" {
					t.Errorf("by %v: status %s at %s", by, status, place)
				}
				if status == statusHidden {
					hidden++
				}
			}
			if hidden != r.Hidden()*len(r.Measures()) {
				t.Errorf("by %v: %d values are hidden, want %d cells of %d", by, hidden, r.Hidden(), len(r.Measures()))
			}
			for i, v := range d.Value {
				if _, there := d.Status[strconv.Itoa(i)]; v == nil && !there {
					t.Errorf("by %v: value %d is null and no status says why", by, i)
				}
			}
			// Each value stands where its keys say.
			for _, c := range r.Cells() {
				at := 0
				for i, key := range c.Keys {
					at = at*d.Size[i] + slices.Index(d.Dimension[d.ID[i]].Category.Index, key)
				}
				for i := range r.Measures() {
					v, ok := c.Value(i)
					if got := d.Value[at*len(r.Measures())+i]; ok != (got != nil) || ok && *got != v {
						t.Errorf("by %v: %v is %v, want %v", by, c.Keys, got, v)
					}
				}
			}
		}
	}
	if r := forRecipient(t, "M03", "age_band", "sex"); r.Hidden() == 0 {
		t.Error("nothing is hidden in the town")
	}
}

func TestSDMXCSVSaysWhatIsHidden(t *testing.T) {
	r := forRecipient(t, "M03", "age_band", "sex")
	var b bytes.Buffer
	if err := SDMXCSV(&b, r); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := "STRUCTURE STRUCTURE_ID ACTION AGE_BAND SEX MEASURE OBS_VALUE OBS_STATUS CONF_STATUS UNIT_MEASURE WINDOW RULE_SET AS_OF RELEASE_HASH"
	if got := strings.Join(rows[0], " "); got != want {
		t.Errorf("head %s", got)
	}
	hidden := 0
	for _, row := range rows[1:] {
		if row[0] != "datastructure" || row[1] != "MEGURI:M03_age_band_sex(1.0.0)" || row[2] != "I" {
			t.Errorf("row %q", row)
		}
		switch row[7] + row[8] {
		case "QC":
			hidden++
			if row[6] != "" {
				t.Errorf("hidden, and %q", row[6])
			}
		case "AF":
			if row[6] == "" {
				t.Errorf("shown, and nothing: %q", row)
			}
		default:
			t.Errorf("status %q", row)
		}
	}
	if hidden != r.Hidden() || hidden == 0 || len(rows)-1 != len(r.Cells()) {
		t.Errorf("%d rows, %d hidden; want %d and %d", len(rows)-1, hidden, len(r.Cells()), r.Hidden())
	}
	b.Reset()
	if err := SDMXCSV(&b, forRecipient(t, "M01a", "week")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), ",net_yen,2026-W41,") || !strings.HasPrefix(b.String(), "STRUCTURE,STRUCTURE_ID,ACTION,MEASURE,TIME_PERIOD,") {
		t.Errorf("weeks: %s", b.String()[:300])
	}
}

func TestHashIsOfWhatIsSaid(t *testing.T) {
	a, err := Hash(forRecipient(t, "M03", "age_band", "sex"))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := Hash(forRecipient(t, "M03", "age_band", "sex")); a != b {
		t.Error("the same table has two hashes")
	}
	if b, _ := Hash(forRecipient(t, "M03", "age_band")); a == b {
		t.Error("two tables have one hash")
	}
}

func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func testBundle(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	head := Manifest{Contract: "c", Organisation: "めぐり大学", PurposeID: "research", Purpose: "研究", Period: "2026-10", From: "2026-10-01", To: "2026-10-31"}
	_, err := Bundle(&b, head, []disclosure.Released{forRecipient(t, "M03", "age_band", "sex"), forRecipient(t, "M01a", "week")}, testKey())
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBundleIsCheckedToTheByte(t *testing.T) {
	bundle := testBundle(t)
	public := testKey().Public().(ed25519.PublicKey)
	m, err := VerifyBundle(bundle, public)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 5 || m.KeyID != KeyID(public) || *m.Files[4].HiddenCells == 0 || m.Files[4].RuleSet == "" {
		t.Errorf("manifest %+v", m)
	}
	if !bytes.Equal(bundle, testBundle(t)) {
		t.Error("the same releases gave other bytes")
	}
	if bytes.Contains(bundle, []byte(strconv.Itoa(sentinel))) {
		t.Error("a hidden value is in it")
	}
	if _, err := VerifyBundle(bundle, ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)); !errors.Is(err, ErrBundleSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := VerifyBundle(bundle, nil); !errors.Is(err, ErrBundleSignature) {
		t.Errorf("no key: %v", err)
	}
	if _, err := VerifyBundle(bundle[:len(bundle)/2], public); !errors.Is(err, ErrBundleContent) {
		t.Errorf("half a bundle: %v", err)
	}
	for name, spoil := range map[string]func(map[string][]byte) error{
		"a value changed":   func(z map[string][]byte) error { z[m.Files[4].Name][100] ^= 1; return ErrBundleContent },
		"a file taken away": func(z map[string][]byte) error { delete(z, m.Files[1].Name); return ErrBundleContent },
		"a file added":      func(z map[string][]byte) error { z["more.csv"] = []byte("x"); return ErrBundleContent },
		"manifest changed": func(z map[string][]byte) error {
			z[manifestName] = bytes.Replace(z[manifestName], []byte("研究"), []byte("広告"), 1)
			return ErrBundleSignature
		},
		"no signature": func(z map[string][]byte) error { delete(z, signatureName); return ErrBundleSignature },
		"no manifest":  func(z map[string][]byte) error { delete(z, manifestName); return ErrBundleSignature },
	} {
		members := map[string][]byte{}
		r, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.File {
			in, _ := f.Open()
			members[f.Name], _ = io.ReadAll(in)
		}
		want := spoil(members)
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, content := range members {
			out, _ := w.Create(name)
			_, _ = out.Write(content)
		}
		_ = w.Close()
		if _, err := VerifyBundle(b.Bytes(), public); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerifyBundle(f *testing.F) {
	f.Add([]byte("PK\x05\x06"))
	public := testKey().Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, bundle []byte) {
		if _, err := VerifyBundle(bundle, public); err == nil {
			t.Error("nobody signed this")
		}
	})
}
