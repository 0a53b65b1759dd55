package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/japanese"

	"meguri/ingest"
)

// correct replaces texts in a quarantine file, as an office would.
func correct(t testing.TB, path string, pairs ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRetry_TakesCorrectedRowsIn through the layout that they first came by, in
// each format, and keeps who did it.
func TestRetry_TakesCorrectedRowsIn(t *testing.T) {
	ctx := context.Background()
	d := ingest.DatasetByName("survey")
	for _, format := range []ingest.Format{ingest.CSV, ingest.JSONL, ingest.Parquet} {
		t.Run(string(format), func(t *testing.T) {
			im := open(t, t.TempDir())
			m, err := ingest.ParseMapping("m.yaml", []byte(strings.Replace(d.Template(format), "wave: {from: wave}",
				"wave: {from: wave, values: {before: before}}", 1)))
			if err != nil {
				t.Fatal(err)
			}
			first, err := im.Import(ctx, sample(t, d, format), ingest.Options{Mapping: m})
			if err != nil || first.Accepted != 2 || first.Quarantined != 1 {
				t.Fatalf("got %+v, %v", first, err)
			}
			correct(t, first.QuarantinePath, "after", "before")
			s, err := im.Retry(ctx, first.ImportID, "", "田中")
			if err != nil || s.Accepted != 1 || s.Quarantined != 0 || s.Dataset != "survey" {
				t.Fatalf("got %+v, %v", s, err)
			}
			list, err := im.Quarantines(ctx)
			if err != nil || len(list) != 1 || list[0].State != ingest.QuarantineRetried || list[0].ChangedBy != "田中" ||
				list[0].RetriedAs != s.ImportID || list[0].Rows != 1 || list[0].ChangedAt.IsZero() {
				t.Errorf("got %+v, %v", list, err)
			}
			if _, err := im.Retry(ctx, first.ImportID, "", "田中"); !errors.Is(err, ingest.ErrSettled) {
				t.Errorf("again: %v", err)
			}
			if err := im.Discard(ctx, first.ImportID, "田中", "x"); !errors.Is(err, ingest.ErrSettled) {
				t.Errorf("discarded: %v", err)
			}
		})
	}
}

// TestRetry_OfPayments: a conflict, a formula, a row that still does not hold,
// a copy in Shift_JIS, and rows that were lost.
func TestRetry_OfPayments(t *testing.T) {
	ctx := context.Background()
	im := open(t, t.TempDir())
	text := mitakaHeader + mitakaRow("tranId=A") + mitakaRow("tranId=A", "amount=7") + mitakaRow("tranId==B", "amount=x") +
		mitakaRow("tranId='C", "amount=y") + mitakaRow("tranId=D", "amount=z") + mitakaRow("tranId="+strings.Repeat("l", 3000))
	path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	first, err := im.Import(ctx, path, ingest.Options{Format: ingest.MitakaTransactions, MaxRecordBytes: 2000})
	if err != nil || first.Quarantined != 5 {
		t.Fatalf("got %+v, %v", first, err)
	}
	// A row that vanished in the spreadsheet is not lost in silence.
	whole, err := os.ReadFile(first.QuarantinePath)
	if err != nil {
		t.Fatal(err)
	}
	short := writeFile(t, "short.csv", func(w io.Writer) error {
		_, err := w.Write(whole[:bytes.LastIndex(bytes.TrimSpace(whole), []byte("\r\n"))+2])
		return err
	})
	if _, err := im.Retry(ctx, first.ImportID, short, "x"); !errors.Is(err, ingest.ErrRowsGone) {
		t.Errorf("got %v", err)
	}
	copied := writeFile(t, "copy.csv", func(w io.Writer) error {
		corrected := strings.NewReplacer(",x,", ",10,", ",y,", ",20,", "amount=7", "", "A,mitaka", "A7,mitaka", "…", "...").Replace(
			strings.TrimPrefix(string(whole), "\xef\xbb\xbf"))
		corrected = strings.ReplaceAll(corrected, "...[cut]", "")
		out, err := japanese.ShiftJIS.NewEncoder().String(corrected)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, out)
		return err
	})
	s, err := im.Retry(ctx, first.ImportID, copied, "x")
	if err != nil || s.Read != 5 || s.Accepted != 3 || s.Quarantined != 2 {
		t.Fatalf("got %+v, %v", s, err)
	}
	for _, id := range []string{"=B", "'C", "A7"} {
		if !slices.ContainsFunc(content(t, im), func(r string) bool { return strings.Contains(r, "| "+id+" |") }) {
			t.Errorf("%s is not there", id)
		}
	}
	// What still does not hold is in a new quarantine file, with its line.
	var lines []int64
	if err := im.Show(ctx, s.ImportID, func(r ingest.QuarantineRow) error { lines = append(lines, r.Line); return nil }); err != nil || !slices.Equal(lines, []int64{6, 7}) {
		t.Errorf("got %v, %v", lines, err)
	}
	if err := im.Discard(ctx, s.ImportID, "佐藤", " "); !errors.Is(err, ingest.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
	if err := im.Discard(ctx, s.ImportID, "佐藤", "発行元が廃棄した試験データ"); err != nil {
		t.Error(err)
	}
	list, err := im.Quarantines(ctx)
	if err != nil || len(list) != 2 || list[1].State != ingest.QuarantineDiscarded || list[1].Reason == "" || list[1].ChangedBy != "佐藤" {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := os.Stat(im.QuarantinePath(s.ImportID)); err != nil {
		t.Errorf("the file of a discard is gone: %v", err)
	}
	if _, err := im.Retry(ctx, "none", "", "x"); !errors.Is(err, ingest.ErrNoQuarantine) {
		t.Errorf("got %v", err)
	}
}

// TestRetry_ARowWithoutItsEndIsNotARow: of an over-long row the file holds the
// beginning alone, which might look like a row.
func TestRetry_ARowWithoutItsEndIsNotARow(t *testing.T) {
	ctx := context.Background()
	im := open(t, t.TempDir())
	d := ingest.DatasetByName("survey")
	path := datasetFile(t, d, map[string]string{"answer_text": strings.Repeat("x", 500)}, map[string]string{"record_id": "b"})
	first, err := im.Import(ctx, path, ingest.Options{Mapping: template(t, d, ingest.CSV), MaxRecordBytes: 400})
	if err != nil || first.Quarantined != 1 {
		t.Fatalf("got %+v, %v", first, err)
	}
	s, err := im.Retry(ctx, first.ImportID, "", "x")
	if err != nil || s.Accepted != 0 || s.Quarantined != 1 || !strings.Contains(quarantined(t, s)[0][3], "beginning") {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestRetry_OfRecordsFromAnAPI reads them as the JSON that they are.
func TestRetry_OfRecordsFromAnAPI(t *testing.T) {
	ctx := context.Background()
	im := open(t, t.TempDir())
	now := payment("a").OccurredAt
	ingest.SetNow(im, func() time.Time { return now })
	late := payment("late")
	late.OccurredAt = now.Add(time.Hour)
	first, err := im.Add(ctx, "api", []ingest.Record{payment("a"), late})
	if err != nil || first.Quarantined != 1 {
		t.Fatalf("got %+v, %v", first, err)
	}
	now = now.Add(2 * time.Hour) // its time has come
	s, err := im.Retry(ctx, first.ImportID, "", "x")
	if err != nil || s.Accepted != 1 || len(content(t, im)) != 2 {
		t.Errorf("got %+v, %v", s, err)
	}
}
