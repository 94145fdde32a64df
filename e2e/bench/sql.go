package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// sqlBench measures queries over readings in a stream that is already filled.
type sqlBench struct {
	*bench
	n    int
	data string // of the pipelines
	file string // of the readings
	all  parts
}

// sqlRuns are what a query, with so many cores, took in each turn, and DuckDB beside it.
type sqlRuns struct {
	sqlJob
	cores      int
	runs, duck []figures
}

// sql measures each of the queries on its own, beside DuckDB where that is of interest, then some of them with
// several cores, then revenue.yaml, whose events are ingested as well. What comes out in the first turn is
// compared with DuckDB's answer, and later turns must have as many rows.
func (b *bench) sql(ctx context.Context, dir string, turns int, only, parallelism string) error {
	s := &sqlBench{bench: b, n: b.n, data: filepath.Join(b.dir, "data")}
	idle, err := s.fill(ctx)
	if err != nil {
		return err
	}
	nothing, err := s.alone(ctx, "SELECT 1")
	if err != nil {
		return err
	}
	measured, err := s.chosen(only, parallelism)
	if err != nil {
		return err
	}
	var clicks []figures
	if only == "" {
		if b.events, err = events(dir, b.n); err != nil {
			return err
		}
	}
	for turn := range turns {
		for _, m := range measured {
			if err := s.measure(ctx, m, turn); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		if only == "" {
			f, err := b.revenue(ctx, turn)
			if err != nil {
				return fmt.Errorf("revenue.yaml: %w", err)
			}
			clicks = append(clicks, f)
		}
	}
	size, err := os.Stat(s.file)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d events of %d bytes on average, %s, %d CPUs (%s); median of %d. Starting and ending `millrace` takes %d ms of CPU and %d MiB, DuckDB %d ms, which are in the figures.\n",
		time.Now().UTC().Format(time.DateOnly), s.n, (size.Size()-int64(s.n))/int64(s.n), runtime.Version(), runtime.NumCPU(), rig.Processor(), turns, idle.cpu.Milliseconds(), idle.rss>>20, nothing.cpu.Milliseconds())
	s.print(measured, clicks, idle)
	return nil
}

// fill makes the readings and puts them into two streams. It returns what a run takes that does nothing.
func (s *sqlBench) fill(ctx context.Context) (idle figures, err error) {
	if s.file, err = readings(s.dir, s.n); err != nil {
		return figures{}, err
	}
	names, err := readingNames(s.dir)
	if err != nil {
		return figures{}, err
	}
	stream := func(shards int) map[string]any {
		return map[string]any{"shards": shards, "retention": "8760h", "event_time": "ts", "watermark": "1s",
			"schema": map[string]any{"ts": "timestamp", "k": "bigint", "v": "double", "n": "bigint", "city": "string", "ok": "boolean"}}
	}
	source := func(to string) map[string]any {
		return map[string]any{"type": "file", "paths": []string{s.file}, "format": "ndjson", "partition_key": "k", "to": to}
	}
	s.all = parts{
		Version: 1, Name: "readings", Memory: "128MiB",
		Streams: map[string]any{"events": stream(1), "sharded": stream(4)},
		Tables: map[string]any{"names": map[string]any{"type": "file", "path": names, "format": "csv", "key": []string{"k"},
			"schema": map[string]any{"k": "bigint", "name": "string"}}},
	}
	all := s.all
	all.Tables, all.Sources = nil, map[string]map[string]any{"one": source("events"), "four": source("sharded")}
	_, summary, err := s.pipe(ctx, all, s.data, "fill")
	if err != nil {
		return figures{}, err
	}
	for _, stream := range summary.Streams {
		if stream.Records != int64(s.n) {
			return figures{}, fmt.Errorf("stream %s holds %d records, want %d", stream.Name, stream.Records, s.n)
		}
	}
	idle, _, err = s.pipe(ctx, s.all, s.data, "idle")
	return idle, err
}

// chosen are the queries to measure: all or those that are named, and some of them with several cores.
func (s *sqlBench) chosen(only, parallelism string) ([]*sqlRuns, error) {
	var all []*sqlRuns
	names := strings.Split(only, ",")
	for _, j := range sqlJobs {
		if only == "" || slices.Contains(names, j.name) {
			all = append(all, &sqlRuns{sqlJob: j})
		}
	}
	if len(all) == 0 || only != "" && len(all) != len(names) {
		return nil, fmt.Errorf("-only %s: some of these are none of the queries", only)
	}
	for _, m := range slices.Clone(all) {
		if !m.sqlJob.cores || parallelism == "" {
			continue
		}
		for text := range strings.SplitSeq(parallelism, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("-parallelism %s: %q is no number of cores", parallelism, text)
			}
			several := &sqlRuns{sqlJob: m.sqlJob, cores: n}
			several.beside = false
			several.name = fmt.Sprintf("%s_with_%d", m.name, n)
			several.query = strings.Replace(m.query, "FROM events", "FROM sharded AS events", 1)
			all = append(all, several)
		}
	}
	return all, nil
}

// measure runs a query once, under a name of its own so that it begins at the beginning, and DuckDB beside it.
func (s *sqlBench) measure(ctx context.Context, m *sqlRuns, turn int) error {
	name := fmt.Sprintf("%s_%d", m.name, turn)
	query := map[string]any{"sql": m.query}
	if m.cores > 0 {
		query["parallelism"] = m.cores
	}
	one := s.all
	one.Queries = map[string]map[string]any{name: query}
	f, summary, err := s.pipe(ctx, one, s.data, name)
	if err != nil {
		return err
	}
	t := summary.Task(name)
	if err := complete(t, s.n); err != nil {
		return err
	}
	f.objects = int(t.Delivered.Rows)
	switch {
	case turn == 0:
		err = s.compare(ctx, m.sqlJob, one, name)
	case f.objects != m.runs[0].objects && !m.early:
		err = fmt.Errorf("%d rows came out, and %d in the first turn", f.objects, m.runs[0].objects)
	}
	if err != nil {
		return err
	}
	m.runs = append(m.runs, f)
	fmt.Fprintf(os.Stderr, "run %d: %s: %.2f µs", turn+1, m.name, perEvent(f, s.n))
	if m.beside {
		d, err := s.alone(ctx, fmt.Sprintf("%s; COPY (%s) TO '%s' (FORMAT json)", s.view(), m.answer, filepath.Join(s.dir, "beside.ndjson")))
		if err != nil {
			return err
		}
		m.duck = append(m.duck, d)
		fmt.Fprintf(os.Stderr, ", DuckDB %.2f µs", perEvent(d, s.n))
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// view makes the file of the readings a view of DuckDB.
func (s *sqlBench) view() string {
	return fmt.Sprintf("CREATE VIEW readings AS SELECT * FROM read_ndjson('%s', columns = %s)", s.file, readingColumns)
}

// compare fails when the rows of a query that has run are others than DuckDB's.
func (s *sqlBench) compare(ctx context.Context, j sqlJob, one parts, name string) error {
	out := filepath.Join(s.dir, "answer.ndjson")
	defer os.Remove(out)
	one.Sinks = map[string]map[string]any{"answer_of_" + name: {"type": "file", "from": name, "path": out, "format": "ndjson"}}
	if _, _, err := s.pipe(ctx, one, s.data, name); err != nil {
		return err
	}
	duck, err := rig.OpenDuck(2)
	if err != nil {
		return err
	}
	defer duck.Close()
	if err := duck.Exec(ctx, s.view()); err != nil {
		return err
	}
	got := fmt.Sprintf("SELECT * FROM read_ndjson('%s', columns = %s)", out, j.columns)
	if j.early {
		got += " WHERE window_final"
	}
	if err := duck.Exec(ctx, fmt.Sprintf("CREATE TABLE got AS SELECT %s FROM (%s); CREATE TABLE want AS SELECT %s FROM (%s)", j.exact, got, j.exact, j.answer)); err != nil {
		return err
	}
	var rows, wrong, missing int64
	if err := duck.Row(ctx, `SELECT (SELECT COUNT(*) FROM want), (SELECT COUNT(*) FROM (FROM got EXCEPT ALL FROM want)),
		(SELECT COUNT(*) FROM (FROM want EXCEPT ALL FROM got))`, &rows, &wrong, &missing); err != nil {
		return err
	}
	if rows == 0 || wrong+missing > 0 {
		return fmt.Errorf("of %d rows of DuckDB's answer %d are missing, and %d that came out are not in it", rows, missing, wrong)
	}
	return nil
}
