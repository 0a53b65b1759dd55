// Package fonts carries the typeface of the printed reports: BIZ UDPGothic, a
// universal design face made for people who read with difficulty, under the
// SIL Open Font License (OFL.txt). Start with [Use] and [Missing].
//
// It promises that a character the typeface lacks is an error that names the
// character. Left alone, a PDF writer puts a blank there, and a person's or a
// shop's name loses a letter without anybody being told.
package fonts

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/signintech/gopdf"
)

// Family is the name under which the faces are known to a PDF. The bold face
// has gopdf's style "B".
const Family = "BIZ UDPGothic"

var (
	//go:embed BIZUDPGothic-Regular.ttf
	regular []byte
	//go:embed BIZUDPGothic-Bold.ttf
	bold []byte
)

// Missing collects the characters that were asked for and that the typeface
// does not have.
type Missing struct {
	chars []rune
}

// Use embeds both faces in the PDF. Ask the returned Missing for its error
// after the last text was set.
func Use(p *gopdf.GoPdf) (*Missing, error) {
	m := &Missing{}
	for _, f := range []struct {
		style int
		data  []byte
	}{{gopdf.Regular, regular}, {gopdf.Bold, bold}} {
		err := p.AddTTFFontDataWithOption(Family, f.data, gopdf.TtfOption{Style: f.style, OnGlyphNotFound: m.add})
		if err != nil {
			return nil, fmt.Errorf("read font %s: %w", Family, err)
		}
	}
	return m, nil
}

func (m *Missing) add(r rune) {
	for _, have := range m.chars {
		if have == r {
			return
		}
	}
	m.chars = append(m.chars, r)
}

// Err names the missing characters, or is nil when there were none.
func (m *Missing) Err() error {
	if len(m.chars) == 0 {
		return nil
	}
	var names []string
	for _, r := range m.chars {
		names = append(names, fmt.Sprintf("%c (%U)", r, r))
	}
	return fmt.Errorf("the font %s has no glyph for %s: write the name with other characters", Family, strings.Join(names, ", "))
}
