package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wideRows is the beginning of pipelines whose rows are large and whose shards are many, with the least memory.
const wideRows = `version: 1
name: wide
memory: 16MiB
streams:
`

const wideStream = "  %s: {shards: 64, schema: {ts: timestamp, k: string, v: bigint, p: bigint, pad: string}, event_time: ts, watermark: 5s}\n"

const wideSource = "  %s: {type: file, paths: [\"${env:EVENTS}\"], partition_key: k, max_record: 1MiB, to: %s}\n"

// wideFile is n rows of so many bytes; of is put where the number v is. Most rows are hours before those in front of them if it
// is for late rows.
func wideFile(t *testing.T, n, size int, of string, late bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.ndjson")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 2*size)
	for i := range text {
		text[i] = 'a' + byte(random.IntN(26))
	}
	for i := range n {
		hour := i * 6 / n
		if late {
			hour = 6 - hour
		}
		head := fmt.Sprintf(`{"ts":"2026-01-01T%02d:%02d:00Z","k":"key%d","v":%s,"p":%d,"pad":"`, hour, i%60, random.IntN(1000), of, i%200)
		from := random.IntN(size)
		fmt.Fprintf(w, "%s%s\"}\n", head, text[from:from+size-len(head)-3])
	}
	must(t, w.Flush())
	return path
}

// Each case once took from 95 to 290 MiB.
func TestLargeRowsInManyShardsStayInBudget(t *testing.T) {
	const most = (16 + 64) << 20
	window := "SELECT window_start, k, COUNT(*) AS n, MAX(CHAR_LENGTH(pad)) AS m FROM %s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k"
	for name, c := range map[string]struct {
		rows, size int
		v          string
		streams    []string
		rest       string
	}{
		"a query without windows, in lanes": {rows: 100, size: 1_000_000, v: "1", streams: []string{"rows"},
			rest: "queries:\n  q: {parallelism: 8, sql: \"SELECT ts, k, UPPER(pad) AS pad FROM rows\"}\n"},
		"rejected rows": {rows: 2000, size: 20_000, v: `"no"`, streams: []string{"rows"},
			rest: "queries:\n  q: {sql: \"" + fmt.Sprintf(strings.Replace(window, "MAX", "SUM(v) AS s, MAX", 1), "rows") + "\"}\n"},
		"late rows": {rows: 2000, size: 20_000, v: "1", streams: []string{"rows", "late"},
			rest: "queries:\n  q: {sql: \"" + fmt.Sprintf(window, "rows") + " LATE ROWS INTO late\"}\n"},
		"several streams": {rows: 50, size: 1_000_000, v: "1", streams: []string{"rows", "b", "c"},
			rest: "queries:\n  q: {sql: \"" + fmt.Sprintf(window, "(SELECT * FROM rows UNION ALL SELECT * FROM b UNION ALL SELECT * FROM c) AS u") + "\"}\n"},
		"partitions of tasks": {rows: 500, size: 200_000, v: "1", streams: []string{"rows"},
			rest: "sinks:\n  lake: {type: file, from: rows, parallelism: 8, dir: out, format: {type: parquet}, partition_by: [p]}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, sources := "", "sources:\n"
			for _, name := range c.streams {
				if streams += fmt.Sprintf(wideStream, name); name != "late" {
					sources += fmt.Sprintf(wideSource, "from_"+name, name)
				}
			}
			p := pipeline(t, "wide.yaml", wideRows+streams+sources+c.rest, "EVENTS="+wideFile(t, c.rows, c.size, c.v, len(c.streams) == 2))
			summary, exit := p.run()
			if got := summary.Stream("rows").Records; got != int64(c.rows) {
				t.Errorf("%d rows are stored of %d", got, c.rows)
			}
			if t.Logf("peak RSS %d MiB, %v", exit.PeakRSS>>20, exit.Elapsed); exit.PeakRSS > most {
				t.Errorf("peak RSS %d MiB, want at most %d", exit.PeakRSS>>20, most>>20)
			}
		})
	}
}
