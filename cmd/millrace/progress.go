package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/pipelines"
)

// How often progress is drawn on a terminal, and printed elsewhere.
const (
	drawEvery  = 100 * time.Millisecond
	printEvery = 2 * time.Second
)

// progress shows what a run does while it runs: drawn in place on a terminal, a line now and then
// elsewhere.
type progress struct {
	out io.Writer
	// size is the width and height of the terminal, nil where there is none. It may change at any time.
	size func() (width, height int)
	// drawn is how many lines of the last drawing are on the screen.
	drawn int
	began time.Time
	stop  chan struct{}
	done  chan struct{}
}

// startProgress shows the run's progress until finish is called.
func startProgress(out io.Writer, r *pipelines.Run) *progress {
	p := &progress{out: out, began: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	every := printEvery
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		every = drawEvery
		p.size = func() (width, height int) { return sizeOf(f) }
	}
	go p.loop(r, every)
	return p
}

// finish takes the drawing off the screen and waits for the end.
func (p *progress) finish() {
	close(p.stop)
	<-p.done
}

func (p *progress) loop(r *pipelines.Run, every time.Duration) {
	defer close(p.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			p.draw(nil)
			return
		case <-tick.C:
		}
		if p.size == nil {
			fmt.Fprintln(p.out, strings.Join(lines(r.Status()), " · "))
			continue
		}
		width, height := p.size()
		var tables [][]string
		for _, x := range r.Screens() {
			tables = append(tables, x.Lines(width-1))
		}
		p.draw(clipped(arrange(lines(r.Status()), tables, height-1), width-1))
	}
}

// The size that a terminal is taken to have if it does not say.
const usualWidth, usualHeight = 80, 24

// sizeOf is the width and height of a terminal.
func sizeOf(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 2 || height < 2 {
		return usualWidth, usualHeight
	}
	return width, height
}

// widthOf is how wide lines may be that are written to out: that of the terminal, or another one where there is none.
func widthOf(out io.Writer, other int) int {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		width, _ := sizeOf(f)
		return width
	}
	return other
}

// arrange is text with tables below it in so many lines: what is higher than the terminal cannot be drawn in
// place. Tables share what is left to them and lose their oldest rows.
func arrange(text []string, tables [][]string, room int) []string {
	for i, table := range tables {
		share := (room - len(text)) / (len(tables) - i)
		if share < 2 {
			continue
		}
		text = append(append(text, ""), newest(table, share-1)...)
	}
	return text[:min(len(text), room)]
}

// tableHead is how many lines of a table are above its rows: the title, the names of the columns, a rule.
const tableHead = 3

// newest takes rows off a table until it has so many lines.
func newest(table []string, room int) []string {
	gone := len(table) - room
	switch {
	case gone <= 0:
		return table
	case room <= tableHead:
		return table[:room]
	}
	return slices.Delete(slices.Clone(table), tableHead, tableHead+gone)
}

func clipped(text []string, width int) []string {
	for i, line := range text {
		text[i] = clip(line, width)
	}
	return text
}

// draw replaces the last drawing.
func (p *progress) draw(text []string) {
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", p.drawn)
	}
	for _, line := range text {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	p.drawn = len(text)
	// A terminal that went away ends the process by its signal, not by this error.
	_, _ = io.WriteString(p.out, b.String())
}

// lines describes a run, one line a component.
func lines(s pipelines.Status) []string {
	var text []string
	for _, x := range s.Sources {
		line := fmt.Sprintf("%s → %s: %s", x.Name, x.To, some(x.Written, "record"))
		if x.Total > 0 {
			line += fmt.Sprintf(" (%d%%)", min(100*x.Read/x.Total, 100))
		}
		text = append(text, withState(line, x.State, x.Error))
	}
	for _, x := range s.Tables {
		text = append(text, "table "+x.Name+": "+tableText(x))
	}
	for _, t := range s.Tasks {
		last := t.Steps[len(t.Steps)-1].Counts
		line := fmt.Sprintf("%s: %s read", t.Name, some(t.Read(), "row"))
		if t.Kind == "sink" {
			line += fmt.Sprintf(", %s delivered in %s", count(t.Delivered.Rows), some(t.Delivered.Objects, "object"))
			if t.Delivered.ErrorRows > 0 {
				line += fmt.Sprintf(", %s under its error prefix", some(t.Delivered.ErrorRows, "rejected row"))
			}
		} else {
			line += fmt.Sprintf(", %s in windows, %s out", count(last.Aggregated), some(t.Delivered.Rows, "row")) + lost(t.Steps)
		}
		text = append(text, withState(line, t.State, t.Error))
	}
	return text
}

// lost says how many rows came to nothing in a query and the transforms before it.
func lost(steps []checkpoint.Step) string {
	var sum checkpoint.Counts
	for _, s := range steps {
		sum.Add(s.Counts)
	}
	text := ""
	for _, x := range []struct {
		rows int64
		what string
	}{{sum.Filtered, "filtered"}, {sum.Late, "late"}, {sum.Bad, "rejected"}} {
		if x.rows > 0 {
			text += fmt.Sprintf(", %s %s", count(x.rows), x.what)
		}
	}
	return text
}

func withState(line, state, fault string) string {
	if fault != "" {
		return line + " — " + state + ": " + fault
	}
	return line
}

// clip cuts a line to a width in characters.
func clip(line string, width int) string {
	if len(line) <= width {
		return line
	}
	r := []rune(line)
	if len(r) <= width {
		return line
	}
	return string(r[:width-1]) + "…"
}
