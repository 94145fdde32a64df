package e2e

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/e2e/rig"
)

// proving delivers the same stream twice, in two formats, partitions and tasks, and keeps bad rows
// both ways: lake in error objects, lines as dead letters.
const proving = `version: 1
name: proving
memory: 64MiB
streams:
  clicks:
    shards: ${env:SHARDS}
    schema:
` + clickColumns + `sources:
  events: {type: file, paths: ["${env:EVENTS}"], format: ndjson, partition_key: user_id, to: clicks}
sinks:
  lake:
    type: s3
    from: clicks
    endpoint: ${env:STORE}
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/lake/"
    error_prefix: "${env:PREFIX}/errors/!{firehose:error-output-type}/"
    partition_by: [country, "DATE(event_time) AS day"]
    parallelism: ${env:TASKS}
    format: {type: parquet, compression: zstd}
    buffer: {size: "${env:SIZE}", age: 1s}
  lines:
    type: s3
    from: clicks
    endpoint: ${env:STORE}
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/lines/!{timestamp:yyyy/MM/dd/HH}/"
    parallelism: ${env:TASKS}
    format: ndjson
    buffer: {size: "${env:SIZE}", age: 1s}
`

// proof is a place for it, with what went in.
type proof struct {
	*place
	form
	input string // the events that are rows
	// events is a table of them.
	events string
	codes  map[string]string // the lines that are none, and why
	began  time.Time
	// promise is how the guarantee of both sinks begins.
	promise string
}

// form is what may differ without a difference in what is delivered.
type form struct {
	shards, tasks int
	size          string // of a chunk, encoded
	store         string // endpoint; the store itself if empty
}

// prove makes a place for n events and a thousandth as many lines that are none.
func prove(t *testing.T, n int, s form) *proof {
	t.Helper()
	needStore(t)
	s.shards, s.tasks = cmp.Or(s.shards, 2), cmp.Or(s.tasks, 2)
	s.size, s.store = cmp.Or(s.size, "256KiB"), cmp.Or(s.store, store.Endpoint)
	p := &proof{form: s, input: clicks(t, n), began: time.Now(), promise: "exactly once"}
	mixed, codes := withBroken(t, p.input)
	p.codes = codes
	p.place = pipeline(t, "proving.yaml", proving, "EVENTS="+mixed, "STORE="+s.store, "SIZE="+s.size,
		fmt.Sprint("SHARDS=", s.shards), fmt.Sprint("TASKS=", s.tasks))
	return p
}

// tally is the fate of the lines that a test produced, at one sink.
type tally struct{ produced, acknowledged, delivered, duplicated, lost int64 }

func (c tally) String() string {
	return fmt.Sprintf("produced %d / acknowledged %d / delivered %d / duplicated %d / lost %d",
		c.produced, c.acknowledged, c.delivered, c.duplicated, c.lost)
}

func (c tally) plus(o tally) tally {
	return tally{c.produced + o.produced, c.acknowledged + o.acknowledged, c.delivered + o.delivered, c.duplicated + o.duplicated, c.lost + o.lost}
}

// verify holds all that was delivered against what went in, and sums both sinks.
func (p *proof) verify(summary rig.Summary) tally {
	p.t.Helper()
	dir := p.t.TempDir()
	all, err := store.Download(within(p.t, patience), "bench", p.prefix+"/", dir)
	must(p.t, err)
	lake := p.table(fmt.Sprintf("read_parquet('%s/lake/**/*.parquet', hive_partitioning=false, filename=true)", dir))
	lines := p.table(jsonClicks(dir+"/lines/**/*.ndjson*", "newline_delimited"))
	p.events = p.table(events(p.input))
	sum := p.sink(summary, "lake", lake, p.errorRows(dir))
	sum = sum.plus(p.sink(summary, "lines", lines, p.deadRows()))
	equalTables(p.t, p.events, lake)
	equalTables(p.t, p.events, lines)
	p.samePaths(lake, all)
	p.sameCounts(lake, "lake", all)
	p.noUploads()
	for _, name := range []string{"lake", "lines"} {
		if g := summary.Task(name).Guarantee; !strings.HasPrefix(g, p.promise) {
			p.t.Errorf("%s promises %q", name, g)
		}
	}
	return sum
}

// table reads a table function once, for as long as the test runs.
func (p *proof) table(function string) string {
	p.t.Helper()
	name := fmt.Sprintf("proof_%d", proofTables.Add(1))
	must(p.t, duck.Exec(p.t.Context(), "CREATE TABLE "+name+" AS FROM "+function))
	p.t.Cleanup(func() {
		if err := duck.Exec(context.WithoutCancel(p.t.Context()), "DROP TABLE "+name); err != nil {
			p.t.Error(err)
		}
	})
	return name
}

var proofTables atomic.Int64

// sink is the tally of one sink: rows in objects, and the others kept.
func (p *proof) sink(summary rig.Summary, name, table string, kept map[string]int) tally {
	p.t.Helper()
	rows := countBy(p.t, "seq", p.events, table)
	c := tally{
		produced: rows.produced + int64(len(p.codes)), acknowledged: summary.Stream("clicks").Records,
		delivered: rows.delivered, duplicated: rows.duplicated, lost: rows.lost,
	}
	for line, n := range kept {
		if _, ok := p.codes[line]; !ok {
			p.t.Errorf("%s: kept as bad: %q", name, line)
		}
		c.delivered += int64(n)
		c.duplicated += int64(n - 1)
	}
	for line := range p.codes {
		if kept[line] == 0 {
			c.lost++
		}
	}
	if c.duplicated != 0 || c.lost != 0 || c.acknowledged != c.produced || c.delivered != c.produced {
		p.t.Errorf("%s: %v", name, c)
	}
	if in := summary.Task(name).In(); in != c.produced {
		p.t.Errorf("%s took %d rows in over all runs, want %d", name, in, c.produced)
	}
	return c
}

// errorRows are the lines in the error objects that were downloaded.
func (p *proof) errorRows(dir string) map[string]int {
	p.t.Helper()
	kept := map[string]int{}
	files, err := filepath.Glob(dir + "/errors/*/*")
	must(p.t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		must(p.t, err)
		for line := range strings.Lines(string(text)) {
			var e struct{ RawData, ErrorCode string }
			must(p.t, json.Unmarshal([]byte(line), &e))
			raw, err := base64.StdEncoding.DecodeString(e.RawData)
			must(p.t, err)
			if kept[string(raw)]++; e.ErrorCode != p.codes[string(raw)] {
				p.t.Errorf("error object with %q for %q, want %q", e.ErrorCode, raw, p.codes[string(raw)])
			}
		}
	}
	return kept
}

// deadRows are the lines in the stream of dead letters.
func (p *proof) deadRows() map[string]int {
	p.t.Helper()
	exit := p.other("dead-letters", "--data", p.data)
	if exit.Code != 0 {
		p.t.Fatalf("dead-letters: exit code %d\n%s", exit.Code, exit.Stderr)
	}
	kept := map[string]int{}
	for line := range strings.Lines(exit.Stdout) {
		var l letter
		must(p.t, json.Unmarshal([]byte(line), &l))
		kept[l.Data+string(l.Base64)]++
	}
	return kept
}

// samePaths wants every row in the partition that its values name, and every object of lines in an
// hour in which the test ran.
func (p *proof) samePaths(lake string, all []rig.Downloaded) {
	p.t.Helper()
	if n := number(p.t, `SELECT COUNT(*) FROM %s WHERE NOT contains(filename,
		'/country=' || country || '/day=' || strftime(make_timestamp(epoch_us(event_time)), '%%Y-%%m-%%d') || '/')`, lake); n != 0 {
		p.t.Errorf("%d rows are in the partition of other values", n)
	}
	first, last := p.began.UTC().Truncate(time.Hour), time.Now().UTC()
	for _, o := range all {
		rest, ok := strings.CutPrefix(o.Key, p.prefix+"/lines/")
		if !ok {
			continue
		}
		at, err := time.Parse("2006/01/02/15/", rest[:min(len(rest), 14)])
		if err != nil || at.Before(first) || at.After(last) {
			p.t.Errorf("%s: the hour is not that of an arrival", o.Key)
		}
	}
}

// sameCounts wants in every object as many rows as its metadata says, and in the bucket as many
// objects as the ledger.
func (p *proof) sameCounts(table, name string, all []rig.Downloaded) {
	p.t.Helper()
	rows, err := duck.Lines(p.t.Context(), "SELECT filename, COUNT(*) FROM "+table+" GROUP BY ALL")
	must(p.t, err)
	counts := map[string]string{}
	for _, r := range rows {
		file, n, _ := strings.Cut(r, "|")
		counts[file] = n
	}
	for _, o := range all {
		if !strings.HasPrefix(o.Key, p.prefix+"/"+name+"/") {
			continue
		}
		info, err := store.Client.StatObject(p.t.Context(), "bench", o.Key, minio.StatObjectOptions{})
		must(p.t, err)
		if said := info.UserMetadata["Millrace-Rows"]; said != counts[o.Path] {
			p.t.Errorf("%s has %s rows, its metadata says %s", o.Key, counts[o.Path], said)
		}
	}
}

// noUploads wants no upload left unfinished.
func (p *proof) noUploads() {
	p.t.Helper()
	for u := range store.Client.ListIncompleteUploads(p.t.Context(), "bench", p.prefix+"/", true) {
		must(p.t, u.Err)
		p.t.Errorf("the upload of %s is left unfinished", u.Key)
	}
}

// sameObjects wants as many objects of a sink as its ledger has.
func (p *proof) sameObjects(summary rig.Summary, name string) {
	p.t.Helper()
	all, err := store.List(within(p.t, patience), "bench", p.prefix+"/"+name+"/")
	must(p.t, err)
	if n := summary.Task(name).Delivered.Objects; n != int64(len(all)) {
		p.t.Errorf("%s created %d objects in all runs, %d are in the bucket", name, n, len(all))
	}
}

func TestProvingPipelineDeliversExactly(t *testing.T) {
	p := prove(t, 50_000, form{})
	summary, exit := p.run()
	fmt.Printf("undisturbed: %v (%v, %v CPU)\n", p.verify(summary), exit.Elapsed, exit.CPU)
	p.sameObjects(summary, "lake")
	p.sameObjects(summary, "lines")
}
