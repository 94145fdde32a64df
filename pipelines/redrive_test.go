package pipelines_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sinks/objects"
)

// workshop is a pipeline with a sink into a directory, whose file is changed between runs.
type workshop struct {
	t          *testing.T
	dir        string
	components pipelines.Components
	// stream, sink and more are parts of the file.
	stream, sink, more string
}

func newWorkshop(t *testing.T) *workshop {
	return &workshop{
		t: t, dir: t.TempDir(), components: realComponents(),
		stream: "schema: {id: bigint, n: bigint}",
		sink:   `type: file, from: in, dir: "DIR/out", prefix: ok, error_prefix: "bad/!{firehose:error-output-type}", buffer: {rows: 20}`,
	}
}

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

// lines writes the input: n rows with ids from 0, of which every tenth is bad.
func (w *workshop) lines(n int) {
	var text strings.Builder
	for i := range n {
		if i%10 == 3 {
			fmt.Fprintf(&text, `{"id":%d,"n":"x"}`+"\n", i)
		} else {
			fmt.Fprintf(&text, `{"id":%d,"n":1}`+"\n", i)
		}
	}
	w.put("in.ndjson", text.String())
}

func (w *workshop) put(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) options() pipelines.Options {
	return pipelines.Options{Data: w.path("data"), Stdout: os.Stderr, Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

func (w *workshop) load() *pipelines.Pipeline {
	w.t.Helper()
	text := fmt.Sprintf(`version: 1
name: p
streams:
  in: {shards: 2, %s}
sources:
  f: {type: file, paths: ["%s"], format: ndjson, partition_key: id, to: in}
sinks:
  out: {%s}
%s`, w.stream, w.path("in.ndjson"), strings.ReplaceAll(w.sink, "DIR", w.dir), w.more)
	w.put("p.yaml", text)
	p, err := pipelines.Resolve(w.t.Context(), w.path("p.yaml"), w.components, pipelines.ResolveOptions{Run: w.options()})
	if err != nil {
		w.t.Fatalf("%v in\n%s", err, text)
	}
	return p
}

// tryRun runs the pipeline to its end.
func (w *workshop) tryRun() (pipelines.Summary, error) {
	w.t.Helper()
	r, err := pipelines.Open(w.t.Context(), w.load(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	err = r.Wait(w.t.Context())
	s := r.Summary()
	if cerr := r.Close(); cerr != nil {
		w.t.Error(cerr)
	}
	return s, err
}

func (w *workshop) run() pipelines.TaskSummary {
	w.t.Helper()
	s, err := w.tryRun()
	if err != nil {
		w.t.Fatal(err)
	}
	return task(w.t, s, "out")
}

func (w *workshop) redrive(from string) pipelines.Redriven {
	w.t.Helper()
	r, err := pipelines.Redrive(w.t.Context(), w.load(), pipelines.RedriveOptions{Run: w.options(), Sink: "out", From: from})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// under are the lines of all files in a directory.
func (w *workshop) under(dir string) (lines []string) {
	w.t.Helper()
	err := filepath.WalkDir(w.path(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		lines = append(lines, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return lines
}

var idOf = regexp.MustCompile(`"id":(\d+)`)

// ids is how often each id is in lines.
func ids(lines []string) map[string]int {
	n := map[string]int{}
	for _, l := range lines {
		if m := idOf.FindStringSubmatch(l); m != nil {
			n[m[1]]++
		}
	}
	return n
}

// envelopes are the rejected rows of error objects.
func (w *workshop) envelopes() (all []objects.Envelope) {
	w.t.Helper()
	for _, l := range w.under("out/bad") {
		var e objects.Envelope
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			w.t.Fatalf("%v in %s", err, l)
		}
		all = append(all, e)
	}
	return all
}

// rejected is how often each id was rejected.
func (w *workshop) rejected() map[string]int {
	var lines []string
	for _, e := range w.envelopes() {
		lines = append(lines, string(e.Data))
	}
	return ids(lines)
}

// each is every id from 0 to n that ok says yes to, once.
func each(n int, ok func(i int) bool) map[string]int {
	want := map[string]int{}
	for i := range n {
		if ok(i) {
			want[fmt.Sprint(i)] = 1
		}
	}
	return want
}

func isBad(i int) bool  { return i%10 == 3 }
func isGood(i int) bool { return !isBad(i) }
func isAny(int) bool    { return true }

func (w *workshop) want(what string, got, want map[string]int) {
	w.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		w.t.Errorf("%s: %s", what, d)
	}
}

func TestRejectedRowsGoToTheErrorPrefixAndAgainToTheSinkOnce(t *testing.T) {
	w := newWorkshop(t)
	w.lines(100)
	s := w.run()
	w.want("delivered", ids(w.under("out/ok")), each(100, isGood))
	w.want("rejected", w.rejected(), each(100, isBad))
	if s.Delivered.Rows != 90 || s.Delivered.ErrorRows != 10 || s.Delivered.ErrorObjects == 0 || s.Steps[0].Bad != 10 {
		t.Errorf("%+v, bad %d", s.Delivered, s.Steps[0].Bad)
	}
	for _, e := range w.envelopes() {
		ending := time.UnixMilli(e.Ending)
		if e.Code != "type-mismatch" || e.Message == "" || e.AttemptsMade != 1 || e.Stream != "in" || e.Step != "in" || e.Shard == "" ||
			time.Since(ending) > time.Hour || e.Arrival > e.Ending || e.Arrival == 0 {
			t.Errorf("%+v", e)
		}
	}

	// Without a fix all fail again, and are there twice: as they failed first and now.
	if r := w.redrive(""); r.Records != 10 || r.Sent != 10 || r.Delivered != 0 || r.Failed != 10 || r.Codes["type-mismatch"] != 10 {
		t.Errorf("redriven without a fix: %+v", r)
	}
	// Half a fix: the first failures are not sent again, the second are.
	w.stream = "schema: {id: bigint, n: string}"
	w.more = `transforms:
  half: {type: filter, from: in, where: "id < 50"}`
	w.sink = strings.Replace(w.sink, "from: in", "from: half", 1)
	dry, err := pipelines.Redrive(t.Context(), w.load(), pipelines.RedriveOptions{Run: w.options(), Sink: "out", DryRun: true})
	if err != nil || dry.Sent != 10 || dry.Before != 10 || dry.Records != 20 || dry.Delivered != 0 {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	if r := w.redrive(""); r.Sent != 10 || r.Before != 10 || r.Delivered != 5 || r.Filtered != 5 || r.Failed != 0 {
		t.Errorf("redriven with half a fix: %+v", r)
	}
	want := each(100, func(i int) bool { return isGood(i) || i < 50 })
	w.want("delivered with half a fix", ids(w.under("out/ok")), want)
	for range 2 {
		if r := w.redrive(""); r.Sent != 0 || r.Before != 20 || r.Delivered != 0 {
			t.Errorf("redriven once more: %+v", r)
		}
		w.run()
	}
	w.want("delivered", ids(w.under("out/ok")), want)
}

func TestDeadLettersAndDirectoriesAreRedriven(t *testing.T) {
	w := newWorkshop(t)
	sink := w.sink
	w.sink = regexp.MustCompile(` error_prefix: "[^"]*",`).ReplaceAllString(sink, "")
	w.lines(50)
	// Every consumer rejects what is no JSON, so that letter names none.
	text, err := os.ReadFile(w.path("in.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	w.put("in.ndjson", string(text)+`{"id":13,"n":`+"\n")
	w.more = `  other: {type: stdout, from: in}`
	s, err := w.tryRun()
	if err != nil || s.DeadLetters.Total != 11 {
		t.Fatalf("%+v %v", s.DeadLetters, err)
	}
	if r := w.redrive(""); r.From != pipelines.FromDeadLetters || r.Sent != 6 || r.Failed != 6 || r.Codes["parse-error"] != 1 {
		t.Errorf("dead letters without a fix: %+v", r)
	}
	w.sink = sink // what fails from now on goes to the error prefix
	if r := w.redrive(pipelines.FromDeadLetters); r.Sent != 6 || r.Before != 6 || r.Failed != 6 {
		t.Errorf("dead letters that failed again: %+v", r)
	}
	want := each(50, isBad)
	want["13"]++ // and the one that is no JSON
	w.want("rejected", w.rejected(), want)
	w.stream = "schema: {id: bigint, n: string}"
	// Error objects are the same wherever they lie.
	if err := os.Rename(w.path("out/bad"), w.path("moved")); err != nil {
		t.Fatal(err)
	}
	if r := w.redrive(w.path("moved")); r.Sent != 6 || r.Delivered != 5 || r.Failed != 1 {
		t.Errorf("directory: %+v", r)
	}
	if err := os.Rename(w.path("moved"), w.path("again")); err != nil {
		t.Fatal(err)
	}
	if r := w.redrive(w.path("again")); r.Sent != 0 || r.Before != 6 {
		t.Errorf("directory that was moved: %+v", r)
	}
	w.want("delivered", ids(w.under("out/ok")), each(50, isAny))
	if keys := slices.Sorted(maps.Keys(w.rejected())); !slices.Equal(keys, []string{"13"}) {
		t.Errorf("rejected %v", keys)
	}
}
