package pipelines_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipelines"
)

func TestWhoAddsUpRowsThatReplaceOthersIsWarned(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := `version: 1
streams:
  s: {schema: {ts: timestamp, k: string}, event_time: ts}
sources:
  f: {type: generate, count: 1, to: s}
transforms:
  final: {type: filter, from: early, where: window_final}
queries:
  early: {sql: "SELECT window_start, window_final, k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k EMIT CHANGES"}
  twice: {sql: "SELECT window_start, SUM(n) AS n FROM early GROUP BY TUMBLE(window_start, INTERVAL '1' HOUR)"}
  once: {sql: "SELECT window_start, SUM(n) AS n FROM final GROUP BY TUMBLE(window_start, INTERVAL '1' HOUR)"}
sinks:
  p:
    type: prometheus
    from: early
    metrics:
      - {name: last_value, value: n}
      - {name: all_total, kind: counter, value: n}
  right: {type: prometheus, from: final, metrics: [{name: final_total, kind: counter, value: n}]}
  a: {type: stdout, from: twice}
  b: {type: stdout, from: once}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pipelines.Load(file, realComponents(), pipelines.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const tail = `"early" shows rows early that later ones replace, and all of them are added up here; select window_final in it and read a filter with where: window_final`
	want := file + ":10:3: queries.twice: " + tail + "\n" + file + ":18:27: sinks.p.metrics[1].kind: " + tail
	if diff := cmp.Diff(want, p.Warnings.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
