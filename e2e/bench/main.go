// Command bench measures what docs/benchmarks.md reports: two million click events through the
// example pipelines, Parquet into a real MinIO and a windowed query into a file, beside DuckDB's
// in-memory batch COPY of the same events. It prints a Markdown table and fails when a row is lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/e2e/rig"
)

// reference is the first argument of the child process that runs DuckDB.
const reference = "duckdb-reference"

func main() {
	var err error
	if len(os.Args) == 3 && os.Args[1] == reference {
		err = inDuckDB(context.Background(), os.Args[2])
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one benchmark's surroundings.
type bench struct {
	n      int
	root   string
	dir    string // scratch space on the disk of the repository, removed at the end
	binary string
	events string
	store  *rig.MinIO
}

// figures are what one run of one job measured.
type figures struct {
	cpu, elapsed time.Duration
	rss          int64 // bytes
	objects      int
	bytes        int64 // delivered
}

// made notes the file that was delivered.
func (f *figures) made(file string) error {
	info, err := os.Stat(file)
	if err == nil {
		f.objects, f.bytes = 1, info.Size()
	}
	return err
}

func run() (err error) {
	n := flag.Int("events", 2_000_000, "how many events")
	runs := flag.Int("runs", 3, "how many runs; the median counts")
	parquet := flag.Bool("parquet", false, "only the first example, in variants, in turns with DuckDB")
	nexmark := flag.Bool("nexmark", false, "only the queries of NEXMark, each over a stream that is already filled")
	sql := flag.Bool("sql", false, "only queries over small events, each over a stream that is already filled, some beside DuckDB")
	parallelism := flag.String("parallelism", "1,2", "with -sql: how many cores some of the queries may have, over a stream of 4 shards; empty to leave that out")
	only := flag.String("only", "", "with -nexmark and -sql: these queries, such as q0,q7 and tumble,session")
	interval := flag.Duration("interval", 100*time.Microsecond, "with -nexmark: event time between two events")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	b := &bench{n: *n}
	if b.root, err = rig.Root(); err != nil {
		return err
	}
	data := filepath.Join(b.root, "bench-data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(data, "run-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.binary, err = rig.Build(ctx, b.dir); err != nil {
		return err
	}
	if *sql {
		return b.sql(ctx, data, *runs, *only, *parallelism)
	}
	if !*nexmark {
		if b.events, err = events(data, b.n); err != nil {
			return err
		}
	}
	// The address is part of the example file, which runs as it is.
	b.store, err = rig.StartMinIO(ctx, filepath.Join(b.dir, "minio"), "127.0.0.1:19000")
	if err != nil {
		return err
	}
	defer b.store.Stop()
	if err := b.store.Client.MakeBucket(ctx, "bench", minio.MakeBucketOptions{}); err != nil {
		return err
	}

	if *nexmark {
		return b.nexmark(ctx, *runs, *only, *interval)
	}
	if *parquet {
		return b.parquet(ctx, *runs)
	}
	return b.pipelines(ctx, *runs)
}

// pipelines measures the first two examples and DuckDB in turns.
func (b *bench) pipelines(ctx context.Context, runs int) error {
	jobs := []struct {
		name string
		run  func(ctx context.Context, turn int) (figures, error)
	}{
		{"`clicks_to_s3.yaml`: file → durable stream → Parquet in MinIO", b.lake},
		{"`revenue.yaml`: file → durable stream → filter → windows → file", b.revenue},
		{"DuckDB `COPY` to a local Parquet file, one thread, no log", b.duckdb},
	}
	results := make([][]figures, len(jobs))
	for turn := range runs {
		for i, job := range jobs {
			f, err := job.run(ctx, turn)
			if err != nil {
				return fmt.Errorf("%s: %w", job.name, err)
			}
			fmt.Fprintf(os.Stderr, "run %d: %s: %s\n", turn+1, job.name, f.cells(b.n))
			results[i] = append(results[i], f)
		}
	}
	size, err := os.Stat(b.events)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d events of %d bytes on average, %s, %d CPUs (%s), log synced before each ack; median of %d.\n\n",
		time.Now().UTC().Format(time.DateOnly), b.n, size.Size()/int64(b.n), runtime.Version(), runtime.NumCPU(), rig.Processor(), runs)
	fmt.Println("| job | CPU µs/row | rows/s | peak RSS MiB | objects | MiB out |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: |")
	for i, job := range jobs {
		fmt.Printf("| %s | %s |\n", job.name, median(results[i]).cells(b.n))
	}
	return nil
}

// cells are the columns of the table.
func (f figures) cells(n int) string {
	return fmt.Sprintf("%.2f | %.0f | %d | %d | %.1f",
		float64(f.cpu.Nanoseconds())/1e3/float64(n), float64(n)/f.elapsed.Seconds(), f.rss>>20, f.objects, float64(f.bytes)/(1<<20))
}

// median is the run with the middle CPU time, so that its figures belong together.
func median(all []figures) figures {
	slices.SortFunc(all, func(a, b figures) int { return int(a.cpu - b.cpu) })
	return all[len(all)/2]
}

// events returns the file of generated events, which is kept for the next time.
func events(dir string, n int) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("clicks-%d.ndjson", n))
	if rig.HoldsClicks(path) {
		return path, nil
	}
	fmt.Fprintf(os.Stderr, "generating %d events into %s\n", n, path)
	tmp := path + ".tmp"
	if err := rig.WriteClicks(tmp, n); err != nil {
		return "", errors.Join(err, os.Remove(tmp))
	}
	return path, os.Rename(tmp, path)
}

// example is the path of an example file.
func (b *bench) example(name string) string {
	return filepath.Join(b.root, "pipelines", "examples", name)
}

// millrace runs a pipeline file over a data directory to its end, in a working directory.
func (b *bench) millrace(ctx context.Context, file, data, dir string, env ...string) (figures, rig.Summary, error) {
	process, err := rig.Command{Path: b.binary, Args: []string{"run", file, "--data", data, "--json"}, Env: env, Dir: dir}.Start()
	if err != nil {
		return figures{}, rig.Summary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	exit, err := process.Wait(ctx)
	if err != nil {
		return figures{}, rig.Summary{}, err
	}
	if exit.Code != 0 {
		return figures{}, rig.Summary{}, fmt.Errorf("exit code %d: %s", exit.Code, exit.Stderr)
	}
	summary, err := exit.Summary()
	if problems := summary.Unbalanced(); err == nil && len(problems) > 0 {
		err = errors.New(strings.Join(problems, "; "))
	}
	return figures{cpu: exit.CPU, elapsed: exit.Elapsed, rss: exit.PeakRSS}, summary, err
}

// env is what pipelines need to know of the store, if there is one.
func (b *bench) env() []string {
	if b.store == nil {
		return nil
	}
	return b.store.Env()
}

// clicks runs a pipeline file over the generated events, in a fresh data directory.
func (b *bench) clicks(ctx context.Context, file, dir string, env ...string) (figures, error) {
	f, summary, err := b.millrace(ctx, file, filepath.Join(dir, "data"), dir, append(b.env(), append(env, "EVENTS="+b.events)...)...)
	if err == nil && (len(summary.Streams) != 1 || summary.Streams[0].Records != int64(b.n)) {
		err = fmt.Errorf("the stream holds %+v, want %d records", summary.Streams, b.n)
	}
	return f, err
}

// lake measures the first example and counts what is in the bucket.
func (b *bench) lake(ctx context.Context, turn int) (figures, error) {
	dir, done, err := b.scratch()
	if err != nil {
		return figures{}, err
	}
	defer done()
	prefix := fmt.Sprintf("lake-%d", turn)
	f, err := b.clicks(ctx, b.example("clicks_to_s3.yaml"), dir, "PREFIX="+prefix)
	if err != nil {
		return f, err
	}
	return b.inBucket(ctx, prefix, dir, f)
}

// inBucket adds to f what was delivered under a prefix, and fails when events are lost or doubled.
func (b *bench) inBucket(ctx context.Context, prefix, dir string, f figures) (figures, error) {
	objects, err := b.store.Download(ctx, "bench", prefix+"/", filepath.Join(dir, "objects"))
	if err != nil {
		return f, err
	}
	for _, o := range objects {
		f.objects, f.bytes = f.objects+1, f.bytes+o.Bytes
	}
	table := fmt.Sprintf("read_parquet('%s/objects/**/*.parquet')", dir)
	if err := b.expect(ctx, int64(b.n), "SELECT COUNT(*) FROM "+table); err != nil {
		return f, err
	}
	return f, b.expect(ctx, int64(b.n), "SELECT COUNT(DISTINCT seq) FROM "+table)
}

// revenue measures the second example and counts the rows that went into its windows.
func (b *bench) revenue(ctx context.Context, _ int) (figures, error) {
	dir, done, err := b.scratch()
	if err != nil {
		return figures{}, err
	}
	defer done()
	out := filepath.Join(dir, "revenue.ndjson")
	f, err := b.clicks(ctx, b.example("revenue.yaml"), dir, "OUT="+out)
	if err != nil {
		return f, err
	}
	if err := f.made(out); err != nil {
		return f, err
	}
	return f, b.expect(ctx, 0, fmt.Sprintf(`SELECT (SELECT COUNT(*) FROM read_ndjson('%s', columns = {action: 'VARCHAR'}) WHERE action = 'purchase')
		- (SELECT SUM(n)::BIGINT FROM read_ndjson('%s', columns = {n: 'BIGINT'}))`, b.events, out))
}

// duckdb measures the reference in a process of its own.
func (b *bench) duckdb(ctx context.Context, _ int) (figures, error) {
	dir, done, err := b.scratch()
	if err != nil {
		return figures{}, err
	}
	defer done()
	out := filepath.Join(dir, "reference.parquet")
	f, err := b.alone(ctx, copyOf(b.events, out))
	if err != nil {
		return f, err
	}
	err = f.made(out)
	return f, err
}

// alone runs statements in a DuckDB of one thread, which is a process of its own.
func (b *bench) alone(ctx context.Context, statements string) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return figures{}, err
	}
	process, err := rig.Command{Path: self, Args: []string{reference, statements}}.Start()
	if err != nil {
		return figures{}, err
	}
	exit, err := process.Wait(ctx)
	if err != nil {
		return figures{}, err
	}
	if exit.Code != 0 {
		return figures{}, errors.New(exit.Stderr)
	}
	return figures{cpu: exit.CPU, elapsed: exit.Elapsed, rss: exit.PeakRSS}, nil
}

func inDuckDB(ctx context.Context, statements string) error {
	duck, err := rig.OpenDuck(1)
	if err != nil {
		return err
	}
	defer duck.Close()
	return duck.Exec(ctx, statements)
}

// copyOf is what DuckDB does in place of the first example.
func copyOf(events, out string) string {
	return fmt.Sprintf(`COPY (SELECT * FROM read_ndjson('%s', columns = {
		event_time: 'TIMESTAMP', user_id: 'VARCHAR', session_id: 'VARCHAR', url: 'VARCHAR', action: 'VARCHAR',
		price: 'DOUBLE', quantity: 'BIGINT', country: 'VARCHAR', user_agent: 'VARCHAR',
		geo: 'STRUCT(lat DOUBLE, lon DOUBLE)', seq: 'BIGINT'})) TO '%s' (FORMAT parquet, COMPRESSION zstd)`, events, out)
}

// expect fails when a query does not answer want. DuckDB is opened for it alone, so that it
// holds no memory while something is measured.
func (b *bench) expect(ctx context.Context, want int64, query string) error {
	duck, err := rig.OpenDuck(2)
	if err != nil {
		return err
	}
	defer duck.Close()
	var got int64
	if err := duck.Row(ctx, query, &got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("rows are lost or doubled: %d, want %d, from %s", got, want, query)
	}
	return nil
}

// scratch is a directory for one run.
func (b *bench) scratch() (dir string, done func(), err error) {
	dir, err = os.MkdirTemp(b.dir, "job-")
	return dir, func() { os.RemoveAll(dir) }, err
}
