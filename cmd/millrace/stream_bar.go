package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// putBar shows on a terminal how far a put is.
type putBar struct {
	out   io.Writer // nil without a terminal
	total int64
	began time.Time
	drawn time.Time
}

// newPutBar draws on a terminal only. total is the size of the input, 0 if it is not known.
func newPutBar(out io.Writer, total int64) *putBar {
	b := &putBar{total: total, began: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.out = out
	}
	return b
}

// draw replaces what was drawn, now and then.
func (b *putBar) draw(records, read int64) {
	if b.out == nil || time.Since(b.drawn) < drawEvery {
		return
	}
	b.drawn = time.Now()
	// A terminal that went away ends the process by its signal, not by this error.
	_, _ = io.WriteString(b.out, "\r\x1b[K"+b.line(records, read, b.drawn.Sub(b.began)))
}

func (b *putBar) line(records, read int64, took time.Duration) string {
	rate := float64(read) / max(took.Seconds(), 0.001)
	text := fmt.Sprintf("%s records, %s/s", count(records), size(int64(rate)))
	if b.total <= 0 {
		return text
	}
	const width = 30
	part := min(float64(read)/float64(b.total), 1)
	full := int(part * width)
	return fmt.Sprintf("%s%s %3.0f%%  %s", strings.Repeat("█", full), strings.Repeat("░", width-full), 100*part, text)
}

// finish takes the bar off the screen.
func (b *putBar) finish() {
	if b.out != nil && !b.drawn.IsZero() {
		_, _ = io.WriteString(b.out, "\r\x1b[K")
	}
}
