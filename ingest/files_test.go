package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"

	"meguri/ingest"
)

func squeezed(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// importBytes imports a file of these bytes.
func importBytes(t testing.TB, im *ingest.Importer, name string, text []byte, opts ingest.Options) (ingest.Summary, error) {
	t.Helper()
	path := writeFile(t, name, func(w io.Writer) error { _, err := w.Write(text); return err })
	return im.Import(context.Background(), path, opts)
}

// TestImport_Zstd: whole, cut short, damaged, and a file that unpacks to far
// more than it is.
func TestImport_Zstd(t *testing.T) {
	opts := ingest.Options{Format: ingest.MitakaTransactions}
	var text bytes.Buffer
	if err := writeMitaka(&text, 20_000, 3); err != nil {
		t.Fatal(err)
	}
	packed := squeezed(t, text.Bytes())
	damaged := bytes.Clone(packed)
	damaged[len(damaged)-2] ^= 1 // in the checksum
	bomb := squeezed(t, []byte(mitakaHeader+strings.Repeat("x", 256<<20)+"\n"+mitakaRow()))
	for name, c := range map[string]struct {
		bytes    []byte
		want     error
		accepted func(int64) bool
	}{
		"whole":     {packed, nil, func(n int64) bool { return n == 20_000 }},
		"cut short": {packed[:len(packed)*2/3], ingest.ErrTruncated, func(n int64) bool { return n > 0 && n < 20_000 }},
		"damaged":   {damaged, ingest.ErrDamaged, func(n int64) bool { return n > 0 }},
		"a bomb":    {bomb, nil, func(n int64) bool { return n == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := importBytes(t, open(t, t.TempDir()), "t.csv.zst", c.bytes, opts)
			if !errors.Is(err, c.want) || !c.accepted(s.Accepted) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
	if len(bomb) > 1<<20 {
		t.Errorf("the bomb has %d bytes", len(bomb))
	}
}

// TestImport_Encodings finds out how a file is written, and asks where two
// readings are possible.
func TestImport_Encodings(t *testing.T) {
	d := ingest.DatasetByName("purchase")
	var text bytes.Buffer
	if err := d.WriteSample(&text, ingest.CSV); err != nil {
		t.Fatal(err)
	}
	as := func(e encoding.Encoding, s string) []byte {
		out, err := e.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(out)
	}
	halfKana := strings.NewReplacer("牛乳 1L", "ｷﾞｭｳﾆｭｳ", "食パン", "ｼｮｸﾊﾟﾝ", "りんご（量り売り）", "ﾘﾝｺﾞ").Replace(text.String())
	kanji := strings.NewReplacer("牛乳 1L", "商品", "食パン", "商品", "りんご（量り売り）", "商品").Replace(text.String())
	for name, c := range map[string]struct {
		bytes []byte
		named ingest.Encoding
		want  error
		name  string
	}{
		"UTF-8":                       {text.Bytes(), "", nil, "食パン"},
		"UTF-8 with a mark":           {append([]byte("\xef\xbb\xbf"), text.Bytes()...), "", nil, "食パン"},
		"Shift_JIS":                   {as(japanese.ShiftJIS, text.String()), "", nil, "食パン"},
		"EUC-JP":                      {as(japanese.EUCJP, text.String()), "", nil, "食パン"},
		"EUC-JP, named":               {as(japanese.EUCJP, text.String()), ingest.EUCJP, nil, "食パン"},
		"kanji in Shift_JIS":          {as(japanese.ShiftJIS, kanji), "", nil, "商品"},
		"kanji alone in EUC-JP":       {as(japanese.EUCJP, kanji), "", ingest.ErrEncoding, ""},
		"kanji in EUC-JP, named":      {as(japanese.EUCJP, kanji), ingest.EUCJP, nil, "商品"},
		"half-width kana, named":      {as(japanese.ShiftJIS, halfKana), ingest.ShiftJIS, nil, "ｼｮｸﾊﾟﾝ"},
		"marked UTF-8 named as other": {append([]byte("\xef\xbb\xbf"), text.Bytes()...), ingest.EUCJP, ingest.ErrEncoding, ""},
	} {
		t.Run(name, func(t *testing.T) {
			im := open(t, t.TempDir())
			s, err := importBytes(t, im, "t.csv", c.bytes, ingest.Options{Mapping: template(t, d, ingest.CSV), Encoding: c.named})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %+v, %v", s, err)
			}
			if err == nil && (s.Accepted != 3 || !strings.Contains(strings.Join(rowsOf(t, im), "\n"), c.name)) {
				t.Errorf("got %+v\n%s", s, strings.Join(rowsOf(t, im), "\n"))
			}
		})
	}
	// What is named wrongly is bad row by row.
	s, err := importBytes(t, open(t, t.TempDir()), "t.csv", as(japanese.ShiftJIS, text.String()), ingest.Options{Mapping: template(t, d, ingest.CSV), Encoding: ingest.EUCJP})
	if err != nil || s.Quarantined != 3 || !strings.Contains(quarantined(t, s)[0][3], "not EUC-JP") {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestImport_GoesOnWhereItStopped: an import of a large file that stopped is
// continued, and a file that changed is read from its beginning.
func TestImport_GoesOnWhereItStopped(t *testing.T) {
	opts := ingest.Options{Format: ingest.MitakaTransactions}
	var text bytes.Buffer
	text.WriteString(mitakaHeader)
	for i := range 1000 {
		text.WriteString(mitakaRow(fmt.Sprintf("tranId=T%d", i)))
		switch {
		case i == 150: // waits for its payment, which comes much later
			text.WriteString(mitakaRow("tranId=C150", "operationType=CANCEL", "operationId=OP4", "targetTranId=T900"))
		case i == 160:
			text.WriteString(mitakaRow("tranId=T3", "amount=77")) // a conflict, which is written at the end
		case i == 170:
			text.WriteString(mitakaRow("tranId=BAD", "amount=-1"))
		}
	}
	whole := open(t, t.TempDir())
	want, err := importBytes(t, whole, "t.csv", text.Bytes(), opts)
	if err != nil || want.Accepted != 1001 || want.Quarantined != 2 {
		t.Fatalf("got %+v, %v", want, err)
	}
	for _, packed := range []bool{false, true} {
		bytesOf := func(b []byte) []byte {
			if packed {
				return squeezed(t, b)
			}
			return b
		}
		im := open(t, t.TempDir())
		ingest.SetChunkRows(im, 100)
		ctx, stop := context.WithCancel(context.Background())
		chunks := 0
		ingest.SetStep(im, func(step string) {
			if step == "checkpoint" {
				if chunks++; chunks == 5 {
					stop()
				}
			}
		})
		path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := w.Write(bytesOf(text.Bytes())); return err })
		if _, err := im.Import(ctx, path, opts); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		stop()
		checkpoint, err := ingest.CheckpointOf(im, "mitaka", "t.csv")
		if err != nil || checkpoint == nil || checkpoint.Rows < 400 || len(checkpoint.Pending) != 2 {
			t.Fatalf("got %+v, %v", checkpoint, err)
		}
		// Another file of the name is read from its beginning.
		other := bytes.Replace(text.Bytes(), []byte("T77,"), []byte("X77,"), 1)
		if s, err := importBytes(t, open(t, t.TempDir()), "t.csv", other, opts); err != nil || s.Resumed != 0 {
			t.Errorf("got %+v, %v", s, err)
		}
		s, err := im.Import(context.Background(), path, opts)
		if err != nil || s.Resumed != checkpoint.Rows-2 || s.Resumed+s.Read != want.Read || !slices.Equal(s.Days, want.Days) {
			t.Errorf("got %+v, %v\nwant %+v", s, err, want)
		}
		if diff := cmp.Diff(content(t, whole), content(t, im)); diff != "" {
			t.Error(diff)
		}
		if rows := quarantined(t, s); len(rows) != 1 || rows[0][2] != "tranId" {
			t.Errorf("the conflict from before the stop: got %q", rows)
		}
		if checkpoint, err = ingest.CheckpointOf(im, "mitaka", "t.csv"); err != nil || checkpoint != nil {
			t.Errorf("after the end: %+v, %v", checkpoint, err)
		}
	}
}

// TestImport_AChangedFileBeginsAgain: the checkpoint's prefix is compared.
func TestImport_AChangedFileBeginsAgain(t *testing.T) {
	opts := ingest.Options{Format: ingest.MitakaTransactions}
	im := open(t, t.TempDir())
	ingest.SetChunkRows(im, 10)
	ctx, stop := context.WithCancel(context.Background())
	ingest.SetStep(im, func(step string) {
		if step == "checkpoint" {
			stop()
		}
	})
	rows := func(prefix string) string {
		text := mitakaHeader
		for i := range 100 {
			text += mitakaRow(fmt.Sprintf("tranId=%s%d", prefix, i))
		}
		return text
	}
	path := writeFile(t, "t.csv", func(w io.Writer) error { _, err := io.WriteString(w, rows("A")); return err })
	if _, err := im.Import(ctx, path, opts); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for _, text := range []string{rows("B"), mitakaHeader + mitakaRow("tranId=C1")} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := im.Import(context.Background(), path, opts)
		if err != nil || s.Resumed != 0 || s.Accepted != int64(strings.Count(text, "\n")-1) {
			t.Errorf("got %+v, %v", s, err)
		}
	}
}

// TestImport_ComparesTotals with what the source says, by file and by trailer
// rows, and keeps both.
func TestImport_ComparesTotals(t *testing.T) {
	yen := func(n int64) *int64 { return &n }
	text := mitakaHeader + mitakaRow("tranId=A", "amount=100") + mitakaRow("tranId=B", "amount=200") +
		mitakaRow("tranId=C", "amount=50", "operationType=CANCEL", "operationId=OP4", "targetTranId=A", "createdAt=2024/02/15 00:00:00") +
		mitakaRow("tranId=D", "amount=-5")
	for name, c := range map[string]struct {
		told    []ingest.Told
		differs int
	}{
		"as they are":         {[]ingest.Told{{Day: "2024-02-13", Rows: 2, Yen: yen(300)}, {Day: "2024-02-15", Rows: 1, Yen: yen(50)}}, 0},
		"of the whole file":   {[]ingest.Told{{Rows: 3, Yen: yen(350)}}, 0},
		"of kinds":            {[]ingest.Told{{Kind: "pay", Rows: 2}, {Kind: "cancel", Rows: 1, Yen: yen(50)}}, 0},
		"more yen":            {[]ingest.Told{{Day: "2024-02-13", Rows: 2, Yen: yen(305)}, {Day: "2024-02-15", Rows: 1, Yen: yen(50)}}, 1},
		"the bad row counted": {[]ingest.Told{{Rows: 4}}, 1},
		"a day left out":      {[]ingest.Told{{Day: "2024-02-13", Rows: 2, Yen: yen(300)}}, 1},
		"a day that is not":   {[]ingest.Told{{Day: "2024-02-13", Rows: 2}, {Day: "2024-02-14", Rows: 1}, {Day: "2024-02-15", Rows: 1}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			im := open(t, t.TempDir())
			s, err := importBytes(t, im, "t.csv", []byte(text), ingest.Options{Format: ingest.MitakaTransactions, Totals: c.told})
			differs := 0
			for _, check := range s.Totals {
				if !check.Agrees() {
					differs++
				}
			}
			if err != nil || differs != c.differs || s.Differs() != (differs > 0) || s.Accepted != 3 {
				t.Fatalf("got %+v, %v", s, err)
			}
			kept, err := ingest.RegisterOf(im).Totals(context.Background(), s.ImportID)
			if diff := cmp.Diff(s.Totals, kept); diff != "" || err != nil {
				t.Errorf("kept: %s, %v", diff, err)
			}
			days, err := ingest.RegisterOf(im).Days(context.Background(), s.ImportID)
			want := []ingest.DayTotal{{Day: "2024-02-13", Kind: "pay", Rows: 2, AmountYen: 300}, {Day: "2024-02-15", Kind: "cancel", Rows: 1, AmountYen: 50}}
			if err != nil || !slices.Equal(days, want) {
				t.Errorf("got %+v, %v", days, err)
			}
		})
	}

	d := ingest.DatasetByName("purchase")
	m, err := ingest.ParseMapping("m.yaml", []byte(strings.Replace(d.Template(ingest.CSV), "ignore: []",
		"trailer: {column: record_id, equals: 合計, day: sold_at, layout: '2006-01-02', rows: line_no, yen: amount_yen}\nignore: []", 1)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := d.WriteSample(&b, ingest.CSV); err != nil {
		t.Fatal(err)
	}
	for trailer, differs := range map[string]bool{
		"合計,,,,,3,,,2026-10-01,,,,,,,860,\n":      false,
		"合計,,,,,3,,,2026-10-01,,,,,,,\"1,860\"\n": true, // shorter than a row
	} {
		s, err := importBytes(t, open(t, t.TempDir()), "t.csv", append(bytes.Clone(b.Bytes()), trailer...), ingest.Options{Mapping: m})
		if err != nil || s.Read != 3 || len(s.Totals) != 1 || s.Differs() != differs {
			t.Errorf("got %+v, %v", s, err)
		}
	}
}

// TestReadTotals_SaysWhatIsWrong.
func TestReadTotals_SaysWhatIsWrong(t *testing.T) {
	for text, says := range map[string]string{
		"day,yen\n2026-01-01,5\n":                 "column rows: the column is missing",
		"day,rows,yen,phone\n2026-01-01,5,5,0\n":  "column phone",
		"day,rows,yen\n2026-02-30,5,5\n":          "line 2, column day",
		"day,rows,yen\n2026-02-01,5,x\n":          "line 2, column yen",
		"day,rows\n2026-02-01,5\n2026-02-01,5\n":  "line 3, column day: the day and kind stand there twice",
		"day,rows\n":                              "no rows",
		"":                                        "empty",
		"day,rows,yen,kind\n2026-02-01,1,1,pay\n": "",
	} {
		path := writeFile(t, "totals.csv", func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		told, err := ingest.ReadTotals(path)
		if says == "" {
			if err != nil || len(told) != 1 || told[0].Kind != "pay" {
				t.Errorf("got %+v, %v", told, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "totals.csv") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// TestFiles_AreInOrderAndOnce.
func TestFiles_AreInOrderAndOnce(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.csv", "a.csv", ".hidden.csv", "c.txt", "done/old.csv"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ args, want string }{
		{".", "a.csv b.csv c.txt"},
		{"*.csv", "a.csv b.csv"},
		{"c.txt . *.csv b.csv", "c.txt a.csv b.csv"},
	} {
		var args []string
		for _, a := range strings.Fields(c.args) {
			args = append(args, filepath.Join(dir, a))
		}
		got, err := ingest.Files(args)
		for i := range got {
			got[i] = filepath.Base(got[i])
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, %v", c.args, got, err)
		}
	}
	for _, none := range []string{"x.csv", "*.gz"} {
		if _, err := ingest.Files([]string{filepath.Join(dir, none)}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), none) {
			t.Errorf("%s: got %v", none, err)
		}
	}
}

// TestWatcher_TakesWhatStandsStill and moves it beside, never over another; a
// fault that is not the file's stops it.
func TestWatcher_TakesWhatStandsStill(t *testing.T) {
	dir := t.TempDir()
	im := open(t, t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var moved []string
	w := &ingest.Watcher{Dir: dir, Every: time.Millisecond,
		Import: func(ctx context.Context, path string) error {
			_, err := im.Import(ctx, path, ingest.Options{Format: ingest.MitakaTransactions})
			return err
		},
	}
	w.Moved = func(path, to string, err error) {
		moved = append(moved, strings.TrimPrefix(to, dir))
		switch len(moved) {
		case 2:
			write("a.csv", mitakaHeader+mitakaRow("tranId=A2"))
		case 3:
			stop()
		}
	}
	write("a.csv", mitakaHeader+mitakaRow("tranId=A1"))
	write("b.csv", "")
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/done/a.csv", "/failed/b.csv", "/done/a.2.csv"}; !slices.Equal(moved, want) {
		t.Errorf("got %v", moved)
	}
	if got := content(t, im); len(got) != 2 {
		t.Errorf("got %v", got)
	}

	write("c.csv", mitakaHeader+mitakaRow("tranId=A3"))
	full := errors.New("disk full")
	w.Import = func(context.Context, string) error { return full }
	if err := w.Run(context.Background()); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "c.csv")); err != nil {
		t.Errorf("the file was moved: %v", err)
	}
	// Told to stop in the middle of a file, it leaves the file.
	ctx, stop = context.WithCancel(context.Background())
	w.Import = func(ctx context.Context, _ string) error { stop(); return ctx.Err() }
	if err := w.Run(ctx); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "c.csv")); err != nil {
		t.Errorf("the file was moved: %v", err)
	}
	// What still grows is not taken.
	ctx, stop = context.WithCancel(context.Background())
	w.Settle = time.Hour
	w.Import = func(context.Context, string) error { t.Error("it was taken"); return nil }
	go func() { time.Sleep(50 * time.Millisecond); stop() }()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
}
