package pipelines_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipelines"
)

// lateFile is a pipeline with a query whose late rows go to a stream, from where a sink reads them.
const lateFile = `
version: 1
streams:
  clicks: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 0s}
  latecomers: {schema: {ts: timestamp, v: bigint}}
sources:
  in: {type: file, paths: [DIR/in.ndjson], to: clicks}
queries:
  minutes:
    sql: |
      SELECT window_start, SUM(v) AS v FROM clicks GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)
      LATE ROWS INTO latecomers
sinks:
  sums: {type: file, from: minutes, dir: DIR/sums, format: ndjson}
  late: {type: file, from: latecomers, dir: DIR/late, format: ndjson}
`

// linesUnder are the lines of all files in a directory, sorted.
func linesUnder(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	}
	slices.Sort(out)
	return out
}

func TestLateRowsGoToTheStreamThatTheQueryNames(t *testing.T) {
	p := &place{t: t, dir: t.TempDir()}
	p.write("p.yaml", strings.ReplaceAll(lateFile, "DIR", p.dir))
	p.write("in.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:02:00Z","v":2}
{"ts":"2026-01-01T00:00:02Z","v":4}
{"ts":"2026-01-01T00:02:01Z","v":8}
{"ts":"2026-01-01T00:01:59Z","v":16}
`)
	status := p.run()
	if got, want := linesUnder(t, p.path("late")), []string{
		`{"ts":"2026-01-01T00:00:02Z","v":4}`, `{"ts":"2026-01-01T00:01:59Z","v":16}`,
	}; !slices.Equal(got, want) {
		t.Errorf("late rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := linesUnder(t, p.path("sums")); len(got) != 2 {
		t.Errorf("sums: %v", got)
	}
	if n := status.DeadLetters.Records; n != 0 {
		t.Errorf("%d late rows are dead letters too", n)
	}
	for _, task := range status.Tasks {
		if task.Name == "minutes" {
			c := task.Steps[len(task.Steps)-1].Counts
			if c.In != 5 || c.Late != 2 || c.Aggregated != 3 {
				t.Errorf("ledger: %+v", c)
			}
		}
	}
}

func TestLateRowsNeedADeclaredStream(t *testing.T) {
	for name, want := range map[string]string{
		"late_ones": `unknown stream "late_ones"`,
		"clicks":    `late rows go to a stream of their own`,
		"minutes":   `"minutes" is a query; late rows go to a stream`,
	} {
		p := &place{t: t, dir: t.TempDir()}
		p.write("p.yaml", strings.ReplaceAll(strings.ReplaceAll(lateFile, "INTO latecomers", "INTO "+name), "DIR", p.dir))
		if _, _, err := p.resolve(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("INTO %s: %v, want %s", name, err, want)
		}
	}
}

func TestAChangedQueryIsStartedOver(t *testing.T) {
	p := &place{t: t, dir: t.TempDir()}
	file := strings.ReplaceAll(lateFile, "DIR", p.dir)
	p.write("p.yaml", file)
	p.write("in.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:00:31Z","v":2}
`)
	p.run()
	p.write("p.yaml", strings.Replace(file, "TUMBLE(ts, INTERVAL '1' MINUTE)", "TUMBLE(ts, INTERVAL '30' SECOND)", 1))
	loaded, o, err := p.resolve()
	if err != nil {
		t.Fatal(err)
	}
	r, err := pipelines.Open(t.Context(), loaded, o)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(r.Wait(t.Context()), r.Close())
	if err == nil || !strings.Contains(err.Error(), "--reset minutes") {
		t.Fatalf("a changed query: %v", err)
	}

	loaded, o, err = p.resolve()
	if err != nil {
		t.Fatal(err)
	}
	o.Reset = []string{"minutes"}
	if r, err = pipelines.Open(t.Context(), loaded, o); err != nil {
		t.Fatal(err)
	}
	if err = errors.Join(r.Wait(t.Context()), r.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := linesUnder(t, p.path("sums")), []string{
		`{"window_start":"2026-01-01T00:00:00Z","v":1}`, `{"window_start":"2026-01-01T00:00:00Z","v":3}`, `{"window_start":"2026-01-01T00:00:30Z","v":2}`,
	}; !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	o.Reset, o.Stop = []string{"hours"}, make(chan struct{})
	if _, err := pipelines.Open(t.Context(), loaded, o); err == nil || !strings.Contains(err.Error(), `the file has no query of this name`) {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestWindowsOfTheArrivalTimeNeedNoEventTime(t *testing.T) {
	p := &place{t: t, dir: t.TempDir()}
	p.write("p.yaml", strings.ReplaceAll(`
version: 1
streams:
  clicks: {schema: {v: bigint}}
sources:
  in: {type: file, paths: [DIR/in.ndjson], to: clicks}
queries:
  days: {sql: "SELECT SUM(v) AS v, COUNT(*) AS n FROM clicks GROUP BY TUMBLE(arrival_time, INTERVAL '1000' DAY)"}
sinks:
  sums: {type: file, from: days, dir: DIR/sums, format: ndjson}
`, "DIR", p.dir))
	p.write("in.ndjson", "{\"v\":1}\n{\"v\":2}\n{\"v\":4}\n")
	p.run()
	if got, want := linesUnder(t, p.path("sums")), []string{`{"v":7,"n":3}`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
