package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// uniting has queries over two streams of different columns and numbers of shards, in either order.
const uniting = `version: 1
name: uniting
memory: 24MiB
streams:
  left: {shards: 3, schema: {ts: timestamp, k: bigint, v: bigint}, event_time: ts, watermark: 2s}
  right: {schema: {v: bigint, at: timestamp, k: bigint}, event_time: at, watermark: 3s}
sources:
  left: {type: file, paths: ["${env:LEFT}"], format: ndjson, partition_key: k, to: left}
  right: {type: file, paths: ["${env:RIGHT}"], format: ndjson, partition_key: k, to: right}
transforms:
  rights: {type: filter, from: right, where: v >= 0}
queries:
  session:
    parallelism: ${env:LANES}
    sql: SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS s FROM (${env:TERMS}) AS u GROUP BY SESSION(ts, INTERVAL '4' MINUTE), k
  hop:
    sql: SELECT window_start, k, COUNT(*) AS n, MAX(v) AS s FROM (${env:TERMS}) AS u GROUP BY HOP(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE), k
  over:
    parallelism: ${env:LANES}
    sql: SELECT ts, k, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS n, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING) AS s FROM (${env:TERMS}) AS u
  rows:
    sql: ${env:TERMS}
sinks:
  session_out: {type: file, from: session, path: "${env:OUT}/session.ndjson", format: ndjson}
  hop_out: {type: file, from: hop, path: "${env:OUT}/hop.ndjson", format: ndjson}
  over_out: {type: file, from: over, path: "${env:OUT}/over.ndjson", format: ndjson}
  rows_out: {type: file, from: rows, path: "${env:OUT}/rows.ndjson", format: ndjson}
`

// divideKeyed writes the events of a file to two, of which the second has another name for the time.
func divideKeyed(t *testing.T, file string) (left, right string) {
	t.Helper()
	in, err := os.Open(file)
	must(t, err)
	defer in.Close()
	var to [2]*bufio.Writer
	dir := t.TempDir()
	for i, name := range []string{"left.ndjson", "right.ndjson"} {
		f, err := os.Create(filepath.Join(dir, name))
		must(t, err)
		defer f.Close()
		to[i] = bufio.NewWriter(f)
	}
	lines := bufio.NewScanner(in)
	for n := 0; lines.Scan(); n++ {
		if text := lines.Text(); n%3 > 0 {
			fmt.Fprintln(to[0], text)
		} else {
			fmt.Fprintln(to[1], `{"at`+text[len(`{"ts`):])
		}
	}
	must(t, lines.Err())
	must(t, to[0].Flush())
	must(t, to[1].Flush())
	return filepath.Join(dir, "left.ndjson"), filepath.Join(dir, "right.ndjson")
}

// Queries over two streams are killed at random moments. In between one of the streams or the other is split and
// merged, the terms change places, and the parallelism changes.
func TestKillsOfQueriesOverTwoStreamsLoseAndDuplicateNothing(t *testing.T) {
	want, n := 20, int64(100_000)
	if long() {
		want, n = 200, 600_000
	}
	file := writeKeyed(t, n)
	left, right := divideKeyed(t, file)
	orders := []string{"SELECT ts, k, v FROM left UNION ALL SELECT at, k, v FROM rights", "SELECT at AS ts, k, v FROM rights UNION ALL SELECT ts, k, v FROM left"}
	var sum count
	siege := siege{want: want, random: seeded(t)}
	siege.run(t, func(t *testing.T) {
		out := t.TempDir()
		p := pipeline(t, "uniting.yaml", uniting, "LEFT="+left, "RIGHT="+right, "OUT="+out)
		summary, _ := p.finish(siege.life(t, p, func() string {
			p.env = append(p.env, fmt.Sprint("LANES=", 1+siege.random.IntN(3)), "TERMS="+orders[siege.random.IntN(2)])
			return []string{"left", "right"}[siege.random.IntN(2)]
		}))
		for _, name := range []string{"session", "hop", "over", "rows"} {
			in := int64(0)
			task := summary.Task(name)
			for _, s := range task.Steps {
				if s.Name == "left" || s.Name == "right" {
					in += s.In
				}
				if !s.Balanced() {
					t.Errorf("%s: step %s is not balanced: %+v", name, s.Name, s)
				}
			}
			if in != n {
				t.Errorf("%s took %d rows in over all runs, want %d", name, in, n)
			}
			if name != "rows" {
				sum = sum.plus(sameWindows(t, name, file, filepath.Join(out, name+".ndjson")))
			}
		}
		var rows, different int64
		must(t, duck.Row(t.Context(), fmt.Sprintf("SELECT COUNT(*), COUNT(DISTINCT ts) FROM read_ndjson('%s', columns = {ts: 'TIMESTAMP', k: 'BIGINT', v: 'BIGINT'})",
			filepath.Join(out, "rows.ndjson")), &rows, &different))
		if rows != n || different != n {
			t.Errorf("%d rows, %d different ones, want %d", rows, different, n)
		}
	})
	fmt.Printf("%d kills in %d lives of queries over two streams, %d reshardings: windows %v\n", siege.kills, siege.lives, siege.reshards, sum)
}
