package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// numbers prints whole numbers with thousands apart.
var numbers = message.NewPrinter(language.English)

// progress shows how far something has come: a bar that is drawn over itself on
// a terminal, and a line every few seconds elsewhere. Calls are cheap.
type progress struct {
	w       io.Writer
	what    string
	tty     bool
	started time.Time
	shown   time.Time
	drawn   bool
}

func (p *program) progress(what string) *progress {
	f, ok := p.stderr.(*os.File)
	now := time.Now()
	return &progress{w: p.stderr, what: what, tty: ok && term.IsTerminal(int(f.Fd())), started: now, shown: now}
}

// show draws the share done of all, and the count of what is counted with its
// rate. An unknown all is 0.
func (b *progress) show(done, all, count int64, unit string) {
	every := 2 * time.Second
	if b.tty {
		every = 100 * time.Millisecond
	}
	now := time.Now()
	if now.Sub(b.shown) < every {
		return
	}
	b.shown = now
	b.draw(done, all, count, unit)
}

func (b *progress) draw(done, all, count int64, unit string) {
	rate := float64(count) / max(time.Since(b.started).Seconds(), 0.001)
	line := numbers.Sprintf("%d %s, %.0f/s", count, unit, rate)
	if all > 0 {
		share := min(float64(done)/float64(all), 1)
		const width = 30
		full := int(share * width)
		line = fmt.Sprintf("[%s%s] %3.0f%%  %s", strings.Repeat("#", full), strings.Repeat("-", width-full), share*100, line)
	}
	if b.tty {
		fmt.Fprintf(b.w, "\r\033[K%s  %s", b.what, line)
		b.drawn = true
		return
	}
	fmt.Fprintf(b.w, "%s  %s\n", b.what, line)
}

// step says on a line what begins, as one of so many steps. Of what is quick only
// a terminal hears.
func (b *progress) step(at, of int, what string) {
	if b.tty || time.Since(b.started) > 2*time.Second {
		fmt.Fprintf(b.w, "%s  %d/%d  %s\n", b.what, at+1, of, what)
	}
}

// end takes the bar away.
func (b *progress) end() {
	if b.drawn {
		fmt.Fprint(b.w, "\r\033[K")
	}
}
