package pipelines_test

import (
	"slices"
	"strings"
	"testing"
)

// unionFile reads two streams in one query, which differ in their columns and in how many shards they have.
const unionFile = `
version: 1
streams:
  clicks: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 0s, shards: 2}
  views: {schema: {n: bigint, at: timestamp}, event_time: at, watermark: 0s}
sources:
  clicks: {type: file, paths: [DIR/clicks.ndjson], to: clicks}
  views: {type: file, paths: [DIR/views.ndjson], to: views}
queries:
  sums:
    sql: |
      SELECT window_start, kind, SUM(n) AS total FROM (
        SELECT ts, 'click' AS kind, v AS n FROM clicks UNION ALL SELECT at, 'view', n FROM views WHERE n > 0) AS u
      GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), kind
sinks:
  totals: {type: file, from: sums, dir: DIR/sums, format: ndjson}
`

func TestAQueryReadsTwoStreams(t *testing.T) {
	p := &place{t: t, dir: t.TempDir()}
	p.write("p.yaml", strings.ReplaceAll(unionFile, "DIR", p.dir))
	p.write("clicks.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:01:00Z","v":2}
{"ts":"2026-01-01T00:01:00Z","v":"x"}
`)
	p.write("views.ndjson", `{"at":"2026-01-01T00:00:05Z","n":4}
{"at":"2026-01-01T00:00:09Z","n":0}
`)
	status := p.run()
	if got, want := linesUnder(t, p.path("sums")), []string{
		`{"window_start":"2026-01-01T00:00:00Z","kind":"click","total":1}`,
		`{"window_start":"2026-01-01T00:00:00Z","kind":"view","total":4}`,
		`{"window_start":"2026-01-01T00:01:00Z","kind":"click","total":2}`,
	}; !slices.Equal(got, want) {
		t.Errorf("sums:\n%s", strings.Join(got, "\n"))
	}
	for _, task := range status.Tasks {
		if task.Name != "sums" {
			continue
		}
		if task.From != "clicks, views" || len(task.Shards) != 3 {
			t.Errorf("from %s: %+v", task.From, task.Shards)
		}
	}
}
