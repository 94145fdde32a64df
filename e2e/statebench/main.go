// Command statebench measures queries whose state is larger than their memory: sessions of a million
// users, different values and groups of a million keys, OVER with a million partitions. It prints a
// Markdown table and fails when a row is lost or doubled.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "statebench:", err)
		os.Exit(1)
	}
}

// job is one query.
type job struct {
	name, sql string
	// rows is how many leave for n events of so many keys; total is what their column n adds up to.
	rows, total func(n, keys int64) int64
}

func events(n, _ int64) int64    { return n }
func perKey(_, keys int64) int64 { return keys }

var jobs = []job{
	{"`TUMBLE`, 1,000 keys, for comparison", "SELECT k % 1000 AS g, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS m FROM events GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k % 1000",
		func(int64, int64) int64 { return 1000 }, events},
	{"`TUMBLE`, a group for each key", "SELECT k, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS m FROM events GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k", perKey, events},
	{"`COUNT(DISTINCT)` of the keys", "SELECT COUNT(DISTINCT k) AS n, SUM(v) AS s FROM events GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
		func(int64, int64) int64 { return 1 }, perKey},
	{"`HOP` of 4 panes, a group for each key", "SELECT k, COUNT(*) AS n FROM events GROUP BY HOP(ts, INTERVAL '1' DAY, INTERVAL '4' DAY), k",
		func(_, keys int64) int64 { return 4 * keys }, func(n, _ int64) int64 { return 4 * n }},
	{"`SESSION` of each key, all open at once", "SELECT k, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS m FROM events GROUP BY SESSION(ts, INTERVAL '12' HOUR), k", perKey, events},
	{"`SESSION` of each key, closing all the time", "SELECT k, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS m FROM events GROUP BY SESSION(ts, INTERVAL '10' MINUTE), k", nil, events},
	{"`OVER`, a partition for each key", "SELECT k, ROW_NUMBER() OVER w AS r, 1 AS n, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 3 PRECEDING) AS s FROM events WINDOW w AS (PARTITION BY k ORDER BY ts)", events, events},
}

const pipeline = `version: 1
memory: %s
streams:
  events: {shards: 2, retention: 24h, schema: {ts: timestamp, k: bigint, v: bigint}, event_time: ts, watermark: 10s}
sources:
  file: {type: file, paths: ["%s"], format: ndjson, to: events}
queries:
  q:
    sql: |
      %s
sinks:
  out: {type: file, from: q, path: "%s", format: ndjson}
`

func run() (err error) {
	n := flag.Int64("events", 2_000_000, "how many events, half a millisecond of event time apart")
	keys := flag.Int64("keys", 1_000_000, "how many keys they have")
	memory := flag.String("memory", "64MiB", "the budget")
	only := flag.String("only", "", "only the jobs with this in their name")
	binary := flag.String("binary", "", "the program; built if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, err := rig.Root()
	if err != nil {
		return err
	}
	data := filepath.Join(root, "bench-data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(data, "state-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *binary == "" {
		if *binary, err = rig.Build(ctx, dir); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, "events.ndjson")
	if err := write(file, *n, *keys); err != nil {
		return err
	}
	fmt.Printf("%s, %d events of %d keys, `memory: %s`, %s, %d CPUs (%s).\n\n", time.Now().UTC().Format(time.DateOnly), *n, *keys, *memory, runtime.Version(), runtime.NumCPU(), rig.Processor())
	fmt.Println("| query | CPU µs/event | events/s | peak RSS MiB | rows |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: |")
	for i, j := range jobs {
		if !strings.Contains(j.name, *only) {
			continue
		}
		if err := measure(ctx, *binary, filepath.Join(dir, fmt.Sprint(i)), file, *memory, j, *n, *keys); err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
	}
	return nil
}

// write makes the events: the keys come in an order without pattern, each as often as the others.
func write(path string, n, keys int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	var line []byte
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		line = append(line[:0], `{"ts":"`...)
		line = start.Add(time.Duration(i)*500*time.Microsecond).AppendFormat(line, "2006-01-02T15:04:05.000000Z")
		line = fmt.Appendf(line, `","k":%d,"v":%d}`, i*7_368_787%keys, i%1000)
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return w.Flush()
}

func measure(ctx context.Context, binary, dir, file, memory string, j job, n, keys int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "out.ndjson")
	config := filepath.Join(dir, "state.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, pipeline, memory, file, j.sql, out), 0o600); err != nil {
		return err
	}
	process, err := rig.Command{Path: binary, Args: []string{"run", config, "--data", filepath.Join(dir, "data"), "--json"}, Dir: dir}.Start()
	if err != nil {
		return err
	}
	exit, err := process.Wait(ctx)
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("exit code %d: %s", exit.Code, exit.Stderr)
	}
	rows, total, err := count(out)
	if err != nil {
		return err
	}
	if j.rows != nil && rows != j.rows(n, keys) || total != j.total(n, keys) {
		return fmt.Errorf("%d rows that add up to %d", rows, total)
	}
	fmt.Printf("| %s | %.2f | %.0f | %d | %d |\n", j.name, float64(exit.CPU.Nanoseconds())/1e3/float64(n), float64(n)/exit.Elapsed.Seconds(), exit.PeakRSS>>20, rows)
	return nil
}

// count reads what was delivered.
func count(path string) (rows, total int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var row struct{ N int64 }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return 0, 0, err
		}
		rows, total = rows+1, total+row.N
	}
	return rows, total, lines.Err()
}
