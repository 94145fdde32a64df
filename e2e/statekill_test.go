package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// spilling has windows of more keys than fit its memory.
const spilling = `version: 1
name: spilling
memory: 16MiB
streams:
  events: {shards: 3, schema: {ts: timestamp, k: bigint, v: bigint}, event_time: ts, watermark: 2s}
sources:
  file: {type: file, paths: ["${env:EVENTS}"], format: ndjson, partition_key: k, to: events}
queries:
  session:
    parallelism: ${env:LANES}
    sql: SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS s FROM events GROUP BY SESSION(ts, INTERVAL '4' MINUTE), k
  hop:
    parallelism: ${env:LANES}
    sql: SELECT window_start, k, COUNT(*) AS n, MAX(v) AS s FROM events GROUP BY HOP(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE), k
  distinct:
    parallelism: ${env:LANES}
    sql: SELECT window_start, COUNT(DISTINCT k) AS n, SUM(v) AS s FROM events GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE)
  over:
    parallelism: ${env:LANES}
    sql: SELECT ts, k, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS n, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING) AS s FROM events
sinks:
  session_out: {type: file, from: session, path: "${env:OUT}/session.ndjson", format: ndjson}
  hop_out: {type: file, from: hop, path: "${env:OUT}/hop.ndjson", format: ndjson}
  distinct_out: {type: file, from: distinct, path: "${env:OUT}/distinct.ndjson", format: ndjson}
  over_out: {type: file, from: over, path: "${env:OUT}/over.ndjson", format: ndjson}
`

// spilled is what DuckDB makes of the same events, and what tells the rows of a query apart.
var spilled = map[string]struct{ sql, key string }{
	"session": {`SELECT MIN(ts) AS window_start, MAX(ts) + INTERVAL 4 MINUTE AS window_end, k, COUNT(*) AS n, SUM(v)::BIGINT AS s FROM (
		SELECT *, SUM(fresh) OVER (PARTITION BY k ORDER BY ts) AS session FROM (
		SELECT *, CASE WHEN ts < LAG(ts) OVER (PARTITION BY k ORDER BY ts) + INTERVAL 4 MINUTE THEN 0 ELSE 1 END AS fresh FROM events))
		GROUP BY k, session`, "window_start, k"},
	"hop": {`SELECT w AS window_start, k, COUNT(*) AS n, MAX(v) AS s FROM (
		SELECT *, UNNEST([time_bucket(INTERVAL 5 MINUTE, ts), time_bucket(INTERVAL 5 MINUTE, ts) - INTERVAL 5 MINUTE]) AS w FROM events) GROUP BY w, k`, "window_start, k"},
	"distinct": {`SELECT time_bucket(INTERVAL 10 MINUTE, ts) AS window_start, COUNT(DISTINCT k) AS n, SUM(v)::BIGINT AS s FROM events GROUP BY 1`, "window_start"},
	"over":     {`SELECT ts, k, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS n, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING)::BIGINT AS s FROM events`, "k, n"},
}

// writeKeyed writes n events within a second of their order, no two at the same time. Half of the keys come
// again before a session ends, the others behind it.
func writeKeyed(t *testing.T, n int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyed.ndjson")
	f, err := os.Create(path)
	must(t, err)
	w := bufio.NewWriterSize(f, 1<<20)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		at := start.Add(time.Duration((i-i*7919%200)*5000+i%5000) * time.Microsecond)
		k := i / 2 * 31 % 20_000
		if i%2 == 1 {
			k = 20_000 + i*7_368_787%50_000
		}
		fmt.Fprintf(w, "{\"ts\":\"%s\",\"k\":%d,\"v\":%d}\n", at.Format("2006-01-02T15:04:05.000000Z"), k, i%1000)
	}
	must(t, w.Flush())
	must(t, f.Close())
	return path
}

// Queries whose state is on disk for the most part are killed at random moments, and in between their stream is
// split and merged and their parallelism changes.
func TestKillsWhileStateIsSpilledLoseAndDuplicateNoWindow(t *testing.T) {
	want, n := 20, int64(200_000)
	if long() {
		want, n = 200, 1_000_000
	}
	file := writeKeyed(t, n)
	var sum count
	siege := siege{want: want, random: seeded(t)}
	siege.run(t, func(t *testing.T) {
		out := t.TempDir()
		p := pipeline(t, "spilling.yaml", spilling, "EVENTS="+file, "OUT="+out)
		summary, exit := p.finish(siege.life(t, p, func() string {
			p.env = append(p.env, fmt.Sprint("LANES=", 1+siege.random.IntN(4)))
			return "events"
		}))
		if most := int64(16+64) << 20; exit.PeakRSS > most {
			t.Errorf("peak RSS %d MiB, want at most %d", exit.PeakRSS>>20, most>>20)
		}
		t.Logf("peak RSS of the last run: %d MiB", exit.PeakRSS>>20)
		for name := range spilled {
			if in := summary.Task(name).In(); in != n {
				t.Errorf("%s took %d rows in over all runs, want %d", name, in, n)
			}
			sum = sum.plus(sameWindows(t, name, file, filepath.Join(out, name+".ndjson")))
		}
		if files, _ := filepath.Glob(filepath.Join(p.data, "state", "*", "over", "*.state")); len(files) == 0 {
			t.Error("no state was spilled")
		}
	})
	fmt.Printf("%d kills in %d lives with spilled state: windows %v\n", siege.kills, siege.lives, sum)
}

// siege is kills of processes at random moments, with reshardings in between. Each life is of a data directory.
type siege struct {
	want, kills, lives, reshards int
	random                       *rand.Rand
}

// run lives until there were enough kills.
func (s *siege) run(t *testing.T, live func(t *testing.T)) {
	t.Helper()
	for s.kills < s.want && !t.Failed() {
		s.lives++
		t.Run(fmt.Sprintf("life%d", s.lives), live)
	}
	if s.reshards < s.want/8 {
		t.Errorf("streams were resharded %d times, too few to prove anything", s.reshards)
	}
}

// life kills processes of a pipeline until one ends by itself or there were enough, and returns the one that is to
// end by itself. next prepares some processes and names the stream that is resharded behind them.
func (s *siege) life(t *testing.T, p *place, next func() (stream string)) *rig.Process {
	t.Helper()
	for s.kills < s.want {
		stream := next()
		process, hits := killed(t, p, s.random, min(3, s.want-s.kills))
		s.kills += hits
		if !process.Kill().Killed {
			return process // it had ended by itself
		}
		s.kills++
		// A process that lived a few milliseconds made no stream.
		if p.other("stream", "reshard", stream, fmt.Sprint(1+s.random.IntN(5)), "--data", p.data).Code == 0 {
			s.reshards++
		}
	}
	return p.start()
}

// sameWindows compares a query's output with DuckDB's, row by row.
func sameWindows(t *testing.T, name, file, out string) (c count) {
	t.Helper()
	o := spilled[name]
	from := fmt.Sprintf("WITH events AS (SELECT * FROM read_ndjson('%s', columns = {ts: 'TIMESTAMP', k: 'BIGINT', v: 'BIGINT'})), want AS (%s), got AS (SELECT %%s FROM read_ndjson('%s', columns = {%%s}))",
		file, o.sql, out)
	columns := map[string][2]string{
		"session":  {"window_start, window_end, k, n, s", "window_start: 'TIMESTAMP', window_end: 'TIMESTAMP', k: 'BIGINT', n: 'BIGINT', s: 'BIGINT'"},
		"hop":      {"window_start, k, n, s", "window_start: 'TIMESTAMP', k: 'BIGINT', n: 'BIGINT', s: 'BIGINT'"},
		"distinct": {"window_start, n, s", "window_start: 'TIMESTAMP', n: 'BIGINT', s: 'BIGINT'"},
		"over":     {"ts, k, n, s", "ts: 'TIMESTAMP', k: 'BIGINT', n: 'BIGINT', s: 'BIGINT'"},
	}[name]
	from = fmt.Sprintf(from, columns[0], columns[1])
	var missing, wrong int64
	must(t, duck.Row(t.Context(), fmt.Sprintf(`%s SELECT (SELECT COUNT(*) FROM want), (SELECT COUNT(*) FROM got), (SELECT COUNT(*) - COUNT(DISTINCT (%s)) FROM got),
		(SELECT COUNT(*) FROM (FROM want EXCEPT ALL FROM got)), (SELECT COUNT(*) FROM (FROM got EXCEPT ALL FROM want))`, from, o.key),
		&c.produced, &c.delivered, &c.duplicated, &missing, &wrong))
	c.lost = missing
	if c.delivered != c.produced || c.duplicated != 0 || missing != 0 || wrong != 0 {
		t.Errorf("%s: %v, %d of them not DuckDB's", name, c, wrong)
	}
	return c
}
