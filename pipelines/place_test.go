package pipelines_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/pipelines"
)

// place is a directory with a pipeline file, its input, its data and its output.
type place struct {
	t    *testing.T
	dir  string
	said []string
}

// placeOf has a pipeline file, in which DIR is the place.
func placeOf(t *testing.T, file string) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	p.file(file)
	return p
}

// file writes the pipeline file.
func (p *place) file(text string) {
	p.t.Helper()
	p.write("p.yaml", strings.ReplaceAll(text, "DIR", p.dir))
}

// edit changes a part of the pipeline file.
func (p *place) edit(from, to string) {
	p.t.Helper()
	text := p.read("p.yaml")
	if !strings.Contains(text, from) {
		p.t.Fatalf("%q is not in the file", from)
	}
	p.write("p.yaml", strings.Replace(text, from, to, 1))
}

// refused checks what is said of a mistake in the pipeline file.
func (p *place) refused(want string) {
	p.t.Helper()
	if _, _, err := p.resolve(); err == nil || !strings.Contains(err.Error(), want) {
		p.t.Errorf("%s\n%v\nwant %s", p.read("p.yaml"), err, want)
	}
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(p.path(name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func (p *place) resolve() (*pipelines.Pipeline, pipelines.Options, error) {
	o := pipelines.Options{Data: p.path("data"), Stop: make(chan struct{}), Stdout: os.Stderr, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	loaded, err := pipelines.Resolve(p.t.Context(), p.path("p.yaml"), realComponents(), pipelines.ResolveOptions{Run: o, Say: func(text string) { p.said = append(p.said, text) }})
	return loaded, o, err
}

// attempt runs the pipeline to its end or an error; queries named in reset start over.
func (p *place) attempt(reset ...string) (pipelines.Status, error) {
	p.t.Helper()
	loaded, o, err := p.resolve()
	if err != nil {
		p.t.Fatal(err)
	}
	o.Reset = reset
	r, err := pipelines.Open(p.t.Context(), loaded, o)
	if err != nil {
		return pipelines.Status{}, err
	}
	err = r.Wait(p.t.Context())
	s := r.Status()
	return s, errors.Join(err, r.Close())
}

// run runs the pipeline to its end, when its ledgers balance.
func (p *place) run() pipelines.Status {
	p.t.Helper()
	s, err := p.attempt()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, task := range s.Tasks {
		balanced(p.t, task.Name, task.Steps)
	}
	return s
}

// balanced checks that a task's ledgers account for all rows.
func balanced(t *testing.T, task string, steps []checkpoint.Step) {
	t.Helper()
	for _, step := range steps {
		if n := step.InFlight(); n != 0 {
			t.Errorf("%s: step %s: the ledger leaves %d rows unaccounted: %+v", task, step.Name, n, step.Counts)
		}
	}
}

// stopped runs the pipeline until all that was written is read and delivered, and stops it without closing
// windows. Sources are to follow their files.
func (p *place) stopped(records int64) {
	p.t.Helper()
	loaded, o, err := p.resolve()
	if err != nil {
		p.t.Fatal(err)
	}
	stop := make(chan struct{})
	o.Stop = stop
	r, err := pipelines.Open(p.t.Context(), loaded, o)
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Wait(context.WithoutCancel(p.t.Context())) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for read := false; !read; {
		<-tick.C
		s := r.Status()
		written := int64(0)
		for _, x := range s.Streams {
			written += x.Records
		}
		read = written >= records
		for _, task := range s.Tasks {
			read = read && task.State != "starting" && len(task.Shards) > 0
			for _, sh := range task.Shards {
				read = read && sh.Lag == 0
			}
		}
	}
	close(stop)
	if err := errors.Join(<-done, r.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// rows are all delivered rows, by the file they are in.
func (p *place) rows() (files [][]string, all []string) {
	p.t.Helper()
	names, err := filepath.Glob(p.path("out/*.ndjson"))
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(names)
	for _, n := range names {
		f, err := os.Open(n)
		if err != nil {
			p.t.Fatal(err)
		}
		var rows []string
		for s := bufio.NewScanner(f); s.Scan(); {
			rows = append(rows, s.Text())
		}
		_ = f.Close()
		files, all = append(files, rows), append(all, rows...)
	}
	return files, all
}

// lines are those of all files in a directory of the place, sorted.
func (p *place) lines(dir string) []string {
	p.t.Helper()
	files, err := filepath.Glob(p.path(dir + "/*.ndjson"))
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	}
	slices.Sort(out)
	return out
}

// want checks the lines in a directory of the place.
func (p *place) want(dir string, lines ...string) {
	p.t.Helper()
	if got := p.lines(dir); !slices.Equal(got, lines) {
		p.t.Errorf("%s:\n%s\nwant\n%s", dir, strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}
