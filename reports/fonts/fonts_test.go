package fonts

import (
	"strings"
	"testing"

	"github.com/signintech/gopdf"
)

func set(t *testing.T, style, text string) error {
	t.Helper()
	var p gopdf.GoPdf
	p.Start(gopdf.Config{PageSize: *gopdf.PageSizeA4})
	m, err := Use(&p)
	if err != nil {
		t.Fatal(err)
	}
	p.AddPage()
	if err := p.SetFont(Family, style, 14); err != nil {
		t.Fatal(err)
	}
	if err := p.Text(text); err != nil {
		t.Fatal(err)
	}
	return m.Err()
}

func TestUse_HasTheCharactersOfNames(t *testing.T) {
	for _, style := range []string{"", "B"} {
		for _, text := range []string{"髙﨑", "渡邉・渡邊・齋藤・齊藤", "秘匿 ― 未観測 …", "¥1,234 −5.2% 1～2 （万円）「」＊／", "ヱビス屋 № ① ㈱"} {
			if err := set(t, style, text); err != nil {
				t.Errorf("style %q, %s: %v", style, text, err)
			}
		}
	}
}

func TestUse_NamesWhatIsMissing(t *testing.T) {
	for _, style := range []string{"", "B"} {
		err := set(t, style, "𠮷野家と𠮷田と髙橋")
		if err == nil {
			t.Fatalf("style %q: 𠮷 is not in the typeface and there was no error", style)
		}
		if got := err.Error(); strings.Count(got, "𠮷 (U+20BB7)") != 1 || strings.Contains(got, "髙") {
			t.Errorf("style %q: the error does not name 𠮷 once and alone: %s", style, got)
		}
	}
}
