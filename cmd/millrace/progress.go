package main

import (
	"fmt"
	"io"
	"os"
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
	out   io.Writer
	width int
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
		p.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			p.width = w
		}
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
		if p.width == 0 {
			fmt.Fprintln(p.out, strings.Join(lines(r.Status()), " · "))
			continue
		}
		text := lines(r.Status())
		for _, s := range r.Screens() {
			text = append(text, "")
			text = append(text, s.Lines(p.width-1)...)
		}
		p.draw(text)
	}
}

// draw replaces the last drawing.
func (p *progress) draw(text []string) {
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", p.drawn)
	}
	for _, line := range text {
		b.WriteString(clip(line, p.width-1))
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
		line := fmt.Sprintf("%s → %s: %s records", x.Name, x.To, count(x.Written))
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
		line := fmt.Sprintf("%s: %s rows read", t.Name, count(t.Read()))
		if t.Kind == "sink" {
			line += fmt.Sprintf(", %s delivered in %s objects", count(t.Delivered.Rows), count(t.Delivered.Objects))
			if t.Delivered.ErrorRows > 0 {
				line += fmt.Sprintf(", %s under its error prefix", some(t.Delivered.ErrorRows, "rejected row"))
			}
		} else {
			line += fmt.Sprintf(", %s in windows, %s rows out", count(last.Aggregated), count(t.Delivered.Rows)) + lost(t.Steps)
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
