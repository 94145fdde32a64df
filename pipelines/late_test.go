package pipelines_test

import (
	"strings"
	"testing"
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

func TestLateRowsGoToTheStreamThatTheQueryNames(t *testing.T) {
	p := placeOf(t, lateFile)
	p.write("in.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:02:00Z","v":2}
{"ts":"2026-01-01T00:00:02Z","v":4}
{"ts":"2026-01-01T00:02:01Z","v":8}
{"ts":"2026-01-01T00:01:59Z","v":16}
`)
	status := p.run()
	p.want("late",
		`{"ts":"2026-01-01T00:00:02Z","v":4}`, `{"ts":"2026-01-01T00:01:59Z","v":16}`,
	)
	if got := p.lines("sums"); len(got) != 2 {
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
		p := placeOf(t, lateFile)
		p.edit("INTO latecomers", "INTO "+name)
		p.refused(want)
	}
}

func TestAChangedQueryIsStartedOver(t *testing.T) {
	p := placeOf(t, lateFile)
	p.write("in.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:00:31Z","v":2}
`)
	p.run()
	p.edit("TUMBLE(ts, INTERVAL '1' MINUTE)", "TUMBLE(ts, INTERVAL '30' SECOND)")
	if _, err := p.attempt(); err == nil || !strings.Contains(err.Error(), "its windows, keys or aggregates have changed; run once with --reset minutes") {
		t.Fatalf("a changed query: %v", err)
	}
	if _, err := p.attempt("minutes"); err != nil {
		t.Fatal(err)
	}
	p.want("sums",
		`{"window_start":"2026-01-01T00:00:00Z","v":1}`, `{"window_start":"2026-01-01T00:00:00Z","v":3}`, `{"window_start":"2026-01-01T00:00:30Z","v":2}`,
	)
	if _, err := p.attempt("hours"); err == nil || !strings.Contains(err.Error(), `the file has no query of this name`) {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestWindowsOfTheArrivalTimeNeedNoEventTime(t *testing.T) {
	p := placeOf(t, `
version: 1
streams:
  clicks: {schema: {v: bigint}}
sources:
  in: {type: file, paths: [DIR/in.ndjson], to: clicks}
queries:
  days: {sql: "SELECT SUM(v) AS v, COUNT(*) AS n FROM clicks GROUP BY TUMBLE(arrival_time, INTERVAL '1000' DAY)"}
sinks:
  sums: {type: file, from: days, dir: DIR/sums, format: ndjson}
`)
	p.write("in.ndjson", "{\"v\":1}\n{\"v\":2}\n{\"v\":4}\n")
	p.run()
	p.want("sums", `{"v":7,"n":3}`)
}
