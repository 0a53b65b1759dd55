package perturb

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func release(t testing.TB) (*Release, []byte) {
	t.Helper()
	r, err := NewRelease(Params{Deviation: 4, Variance: big.NewRat(2, 1), Forbidden: 1})
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Document()
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

// A release that was kept and read again perturbs as before, and bears the same
// ID; another one bears another.
func TestRelease_ReadsWhatWasWritten(t *testing.T) {
	r, text := release(t)
	again, err := ParseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := release(t)
	if again.ID() != r.ID() || other.ID() == r.ID() || len(r.ID()) != 16 {
		t.Errorf("IDs %s, %s and %s", r.ID(), again.ID(), other.ID())
	}
	var cells []Cell
	same := true
	for i := range 200 {
		person := fmt.Sprint("p", i)
		same = same && r.Person(person) == other.Person(person)
		cells = append(cells, Cell{int64(i), r.Person(person)})
		if r.Person(person) != again.Person(person) {
			t.Fatal("a person's key changed")
		}
	}
	a, err1 := r.Counts(cells)
	b, err2 := again.Counts(cells)
	if fmt.Sprint(a, err1) != fmt.Sprint(b, err2) || same {
		t.Error("the same cells move otherwise, or other keys are the same")
	}
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%#v", r), r.LogValue().String()} {
		if s != hidden {
			t.Errorf("it says %q", s)
		}
	}
}

func TestParseRelease_Refuses(t *testing.T) {
	_, text := release(t)
	for name, bad := range map[string][]byte{
		"nothing":       nil,
		"half of it":    text[:len(text)/2],
		"more":          append(bytes.Clone(text), '1'),
		"a short key":   []byte(`{"key":"AAAA","p_table":` + string(text[bytes.Index(text, []byte(`"p_table":`))+10:])),
		"no p-table":    []byte(`{"key":"` + strings.Repeat("A", 44) + `"}`),
		"another field": []byte(`{"secret":1}`),
	} {
		if _, err := ParseRelease(bad); !errors.Is(err, ErrKey) && !errors.Is(err, ErrPTable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Whatever is read, it is whole: it comes out as it went in.
func FuzzParseRelease(f *testing.F) {
	_, text := release(f)
	f.Add(text)
	f.Add([]byte(`{"key":"","p_table":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRelease(text)
		if err != nil {
			return
		}
		out, err := r.Document()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRelease(out)
		if err != nil || again.ID() != r.ID() {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
	})
}
