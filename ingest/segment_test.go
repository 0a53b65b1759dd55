package ingest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"meguri/ingest"
)

// linesOf are a batch's rows as texts.
func linesOf(batch arrow.RecordBatch) (rows []string) {
	for i := range int(batch.NumRows()) {
		var row []string
		for _, c := range batch.Columns() {
			row = append(row, c.ValueStr(i))
		}
		rows = append(rows, strings.Join(row, "|"))
	}
	return rows
}

// segmentOf is a segment of so many payments.
func segmentOf(t testing.TB, n int) string {
	t.Helper()
	im := open(t, t.TempDir())
	var records []ingest.Record
	for i := range n {
		records = append(records, paymentOf(fmt.Sprint("T", i), fmt.Sprint("person-", i%7)))
	}
	add(t, im, "mitaka", records...)
	segments, err := im.Segments(t.Context())
	if err != nil || len(segments) != 1 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	return segments[0].Path
}

// A segment that is mapped says what one says that is read, over several batches.
func TestSegment_ReadAndMappedAreOne(t *testing.T) {
	path := segmentOf(t, 70_000)
	var read, mapped []string
	for batch, err := range ingest.OpenSegment(path) {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, linesOf(batch)...)
	}
	batches := 0
	if err := ingest.ViewSegment(path, func(b arrow.RecordBatch) { batches++; mapped = append(mapped, linesOf(b)...) }); err != nil {
		t.Fatal(err)
	}
	if len(read) != 70_000 || batches < 2 || !slices.Equal(read, mapped) {
		t.Errorf("%d rows read, %d mapped in %d batches, or others", len(read), len(mapped), batches)
	}
}

func TestSegment_MappedIsRefusedWhenItIsNone(t *testing.T) {
	whole, err := os.ReadFile(segmentOf(t, 20))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": nil, "short": whole[:7], "cut off": whole[:len(whole)/2], "another file": []byte("ARROW1 is a name, and this ends in ARROW1"),
		"without its middle": append(slices.Clone(whole[:len(whole)/2]), whole[len(whole)-6:]...),
	} {
		path := filepath.Join(t.TempDir(), "000001.arrow")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		err := ingest.ViewSegment(path, func(arrow.RecordBatch) {})
		if err == nil || !strings.Contains(err.Error(), "000001.arrow") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzMessages: whatever stands in a segment's place ends, within its bytes. What
// a message says is arrow-go's to read.
func FuzzMessages(f *testing.F) {
	whole, err := os.ReadFile(segmentOf(f, 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("ARROW1\x00\x00\xff\xff\xff\xff\x08\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00ARROW1"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if n, _ := ingest.Messages(file); n > len(file)/8 {
			t.Errorf("%d messages in %d bytes", n, len(file))
		}
	})
}
