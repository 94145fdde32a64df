package sqldiff

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// auction is a run of pipelines/examples/nexmark.yaml and the same events in DuckDB.
type auction struct {
	*testing.T
	duck    *rig.Duck
	dir     string
	binary  string
	summary rig.Summary
}

// TestNexmarkAgreesWithDuckDB runs the example as it is: events that are 10 ms apart and cross midnight. Its
// long form has ten times as many, and some that are 2 s apart, so that there are several days.
func TestNexmarkAgreesWithDuckDB(t *testing.T) {
	forms := map[string]struct {
		events   int64
		interval time.Duration
	}{"minutes": {100_000, 10 * time.Millisecond}}
	if os.Getenv("MILLRACE_PROVE") != "" {
		forms["hours"] = struct {
			events   int64
			interval time.Duration
		}{1_000_000, 10 * time.Millisecond}
		forms["days"] = struct {
			events   int64
			interval time.Duration
		}{200_000, 2 * time.Second}
	}
	binary, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			a := &auction{T: t, dir: t.TempDir(), binary: binary}
			a.run(form.events, form.interval)
			a.load(form.events, form.interval)
			for _, q := range nexmark {
				a.compare(q)
			}
			a.partitions()
		})
	}
}

func (a *auction) out(name string) string { return filepath.Join(a.dir, "out", name) }

func (a *auction) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// millrace runs a command to its end; env is added to the environment.
func (a *auction) millrace(env []string, args ...string) rig.Exit {
	a.Helper()
	root, err := rig.Root()
	a.must(err)
	ctx, cancel := context.WithTimeout(a.Context(), 10*time.Minute)
	defer cancel()
	p, err := rig.Command{Path: a.binary, Args: args, Dir: root, Env: env}.Start()
	a.must(err)
	exit, err := p.Wait(ctx)
	a.must(err)
	if exit.Code != 0 {
		a.Fatalf("exit code %d: %s", exit.Code, exit.Stderr)
	}
	return exit
}

// run lets the pipeline deliver.
func (a *auction) run(events int64, interval time.Duration) {
	a.Helper()
	env := []string{"OUT=" + a.out(""), fmt.Sprint("COUNT=", events), fmt.Sprint("INTERVAL=", interval), fmt.Sprint("WATERMARK=", 400*interval)}
	var err error
	a.summary, err = a.millrace(env, "run", "pipelines/examples/nexmark.yaml", "--data", filepath.Join(a.dir, "data"), "--json").Summary()
	a.must(err)
	for _, problem := range a.summary.Unbalanced() {
		a.Error(problem)
	}
	for _, task := range a.summary.Tasks {
		for _, step := range task.Steps {
			if step.Late+step.Bad > 0 {
				a.Errorf("%s: step %s: %+v", task.Name, step.Name, step.Counts)
			}
		}
	}
}

// load makes the tables bid, of events that the generator makes again, and arrived, of what the stream
// says of their arrival.
func (a *auction) load(events int64, interval time.Duration) {
	a.Helper()
	duck, err := rig.OpenDuck(2)
	a.must(err)
	a.Cleanup(func() { duck.Close() })
	a.duck = duck
	raw, arrivals := filepath.Join(a.dir, "raw.ndjson"), filepath.Join(a.dir, "arrivals.ndjson")
	a.must(rig.WriteNexmark(a.Context(), raw, events, interval))
	exit := a.millrace(nil, "stream", "get", "events", "--data", filepath.Join(a.dir, "data"), "--json")
	a.must(os.WriteFile(arrivals, []byte(exit.Stdout), 0o600))
	a.must(duck.Exec(a.Context(), fmt.Sprintf(`CREATE TABLE bid AS FROM %s;
		CREATE TABLE arrived AS SELECT arrival::TIMESTAMP AS arrival, (data->>'$.bid.bidder')::BIGINT AS bidder
		FROM read_ndjson('%s', columns = {arrival: 'VARCHAR', data: 'VARCHAR'}) WHERE (data->>'$.event_type') = '2'`, rig.NexmarkBids(raw), arrivals)))
	root, err := rig.Root()
	a.must(err)
	a.must(duck.Exec(a.Context(), fmt.Sprintf("CREATE TABLE side AS FROM read_csv('%s/pipelines/examples/data/nexmark-side.csv')", root)))
	var bids, arrived int64
	a.must(duck.Row(a.Context(), "SELECT (SELECT COUNT(*) FROM bid), (SELECT COUNT(*) FROM arrived)", &bids, &arrived))
	if want := events / 50 * 46; bids != want || arrived != want {
		a.Fatalf("%d bids were made, %d arrived, want %d", bids, arrived, want)
	}
}

// split is the names of columns and their types.
func (q answer) split() (names, types []string) {
	for _, c := range q.columns {
		name, kind, _ := strings.Cut(c, ":")
		names, types = append(names, name), append(types, kind)
	}
	return names, types
}

// compare fails the test unless a query delivered DuckDB's answer, as multisets.
func (a *auction) compare(q answer) {
	a.Helper()
	names, types := q.split()
	var read, cast []string
	for i, n := range names {
		kind := types[i]
		if kind == "TIMESTAMP" {
			kind = "VARCHAR" // with a Z
		}
		read, cast = append(read, fmt.Sprintf("%s: '%s'", n, kind)), append(cast, fmt.Sprintf("%s::%s AS %s", n, types[i], n))
	}
	a.must(a.duck.Exec(a.Context(), fmt.Sprintf("CREATE OR REPLACE TABLE got AS SELECT %s FROM read_ndjson('%s', columns = {%s}); CREATE OR REPLACE TABLE want AS SELECT %s FROM (%s) AS q(%s)",
		strings.Join(cast, ", "), a.out(q.query+".ndjson"), strings.Join(read, ", "), strings.Join(cast, ", "), q.sql, strings.Join(names, ", "))))
	columns := "*"
	if q.inexact != "" {
		columns = fmt.Sprintf("* EXCLUDE (%s)", q.inexact)
		a.none(q.query, fmt.Sprintf("SELECT g.*, w.%[1]s FROM got g JOIN want w USING (%[2]s) WHERE NOT abs(g.%[1]s - w.%[1]s) <= 1e-9 * abs(w.%[1]s)", q.inexact, q.key))
	}
	a.same(q.query, columns)
}

// same fails the test unless the tables got and want have the same rows, and some.
func (a *auction) same(what, columns string) {
	a.Helper()
	a.none(what+" has rows that DuckDB has not", fmt.Sprintf("SELECT %s FROM got EXCEPT ALL SELECT %[1]s FROM want", columns))
	a.none(what+" lacks rows that DuckDB has", fmt.Sprintf("SELECT %s FROM want EXCEPT ALL SELECT %[1]s FROM got", columns))
	var n int64
	a.must(a.duck.Row(a.Context(), "SELECT COUNT(*) FROM got", &n))
	if n == 0 {
		a.Errorf("%s: no rows to compare", what)
	}
	a.Logf("%s: %d rows", what, n)
}

// none fails the test if a query of DuckDB has rows.
func (a *auction) none(what, query string) {
	a.Helper()
	lines, err := a.duck.Lines(a.Context(), "FROM ("+query+") LIMIT 3")
	a.must(err)
	if len(lines) > 0 {
		a.Errorf("%s:\n%s", what, strings.Join(lines, "\n"))
	}
}

// partitions compares q10, the files of the sink, with the bids and their minutes.
func (a *auction) partitions() {
	a.Helper()
	const columns = "auction, bidder, price, channel, url, dateTime, extra"
	a.must(a.duck.Exec(a.Context(), fmt.Sprintf(`CREATE OR REPLACE TABLE got AS SELECT %s, dt::VARCHAR AS dt, hm::VARCHAR AS hm
			FROM read_parquet('%s/**/*.parquet', hive_partitioning = true, hive_types = {dt: VARCHAR, hm: VARCHAR});
		CREATE OR REPLACE TABLE want AS SELECT %[1]s, strftime(dateTime, '%%Y-%%m-%%d') AS dt, strftime(dateTime, '%%H:%%M') AS hm FROM bid`, columns, a.out("q10"))))
	a.same("q10", "*")
}
