package e2e

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

var seed = flag.Uint64("seed", 0, "seed of the random kills; 0 takes one from the clock")

// clickColumns are what tests declare of the clicks, below `schema:`.
const clickColumns = `      event_time: timestamp
      user_id: string
      session_id: string
      url: string
      action: string
      price: double
      quantity: bigint
      country: string
      user_agent: string
      geo: {lat: double, lon: double}
      seq: bigint
`

// impatientLake is the first example with chunks so small that a kill finds one in the making,
// planned, half put or published.
const impatientLake = `version: 1
name: impatient
streams:
  clicks:
    shards: 2
    schema:
` + clickColumns + `    event_time: event_time
    watermark: 10s
sources:
  events: {type: file, paths: ["${env:EVENTS}"], format: ndjson, partition_key: user_id, to: clicks}
sinks:
  lake:
    type: s3
    from: clicks
    endpoint: http://127.0.0.1:19000
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/"
    format: {type: parquet, compression: zstd}
    buffer: {size: 1MiB, age: 1s}
`

// impatient adds the second example on the same stream.
const impatient = impatientLake + `  out: {type: file, from: revenue, path: "${env:OUT}", format: ndjson}
transforms:
  purchases: {type: filter, from: clicks, where: "action = 'purchase'"}
queries:
  revenue:
    sql: |
      SELECT window_start, country, COUNT(*) AS n, SUM(price * quantity) AS revenue, MAX(price) AS top
      FROM purchases
      GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE), country
`

// impatientPlace is a place for it, and the query's output file.
func impatientPlace(t *testing.T, file string) (p *place, out string) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "revenue.ndjson")
	return pipeline(t, "impatient.yaml", impatient, "EVENTS="+file, "OUT="+out), out
}

// sameImpatient checks everything that the pipeline delivered when it is through.
func sameImpatient(t *testing.T, p *place, file, out string, summary rig.Summary) (lake, windows count) {
	t.Helper()
	table, objects := p.delivered()
	sameEvents(t, file, table)
	sameObjects(t, summary.Task("lake"), objects)
	lake = countBy(t, "seq", events(file), table)
	windows = sameRevenue(t, file, out)
	if got := summary.Stream("clicks").Records; got != lake.produced {
		t.Errorf("the stream holds %d records, the input %d", got, lake.produced)
	}
	for _, name := range []string{"lake", "revenue"} {
		if in := summary.Task(name).In(); in != lake.produced {
			t.Errorf("%s took %d rows in over all runs, want %d", name, in, lake.produced)
		}
	}
	return lake, windows
}

// The process is killed at random moments and started again with the same command until it ends
// by itself; when that came before enough kills, another one starts from nothing.
func TestKillsLoseAndDuplicateNothing(t *testing.T) {
	needStore(t)
	want, n := 20, 400_000
	if long() {
		want, n = 200, 2_000_000
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run %s -args -seed %d", t.Name(), *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	file := clicks(t, n)

	var kills, lives int
	var lake, windows count
	for kills < want {
		lives++
		t.Run(fmt.Sprintf("life%d", lives), func(t *testing.T) {
			p, out := impatientPlace(t, file)
			process, hits := killed(t, p, random, want-kills)
			kills += hits
			summary, _ := p.finish(process)
			l, w := sameImpatient(t, p, file, out, summary)
			lake, windows = lake.plus(l), windows.plus(w)
		})
		if t.Failed() {
			break
		}
	}
	fmt.Printf("%d kills in %d lives: events %v; windows %v\n", kills, lives, lake, windows)
}

// killed starts the pipeline and kills it at random moments, at most so many times. It returns
// the process that was let live and how many kills hit a running one.
func killed(t *testing.T, p *place, random *rand.Rand, most int) (survivor *rig.Process, hits int) {
	t.Helper()
	for hits < most {
		process := p.start()
		// From 20 ms to 800 ms, as many below 130 ms as above: the input is stored in the first
		// second or so, delivery takes longer.
		after := time.NewTimer(time.Duration(20 * math.Pow(40, random.Float64()) * float64(time.Millisecond)))
		select {
		case <-after.C:
		case <-process.Done():
		}
		after.Stop()
		exit := process.Kill()
		if !exit.Killed {
			return process, hits // it had ended by itself; finish looks at how
		}
		hits++
	}
	return p.start(), hits
}

func (c count) plus(o count) count {
	return count{c.produced + o.produced, c.delivered + o.delivered, c.duplicated + o.duplicated, c.lost + o.lost}
}

func TestTerminatedRunKeepsWindowsOpen(t *testing.T) {
	needStore(t)
	const n = 400_000
	file := clicks(t, n)
	p, out := impatientPlace(t, file)

	admin, err := rig.FreeAddress()
	must(t, err)
	process := p.start("--admin", admin)
	must(t, rig.Until(within(t, patience), "the query to begin", func() bool {
		return status(admin).Task("revenue").In() > 0 || !process.Running()
	}))
	process.Terminate()
	first, _ := p.finish(process)
	if taken := first.Task("revenue").In(); first.Result != "stopped" || taken == 0 || taken == n {
		t.Fatalf("result %q with %d of %d rows taken; want it stopped in the middle", first.Result, taken, n)
	}
	if wrong := wrongWindows(t, file, out); len(wrong) > 0 {
		t.Errorf("windows closed before their end: %v", wrong)
	}

	second, _ := p.run()
	sameImpatient(t, p, file, out, second)
	if again := first.Task("lake").In() + second.Task("lake").Run.In; again != n {
		t.Errorf("both runs together took %d rows in, want %d", again, n)
	}
}

func TestMemoryStaysInBudget(t *testing.T) {
	needStore(t)
	const n, most = 1_000_000, 192 << 20
	p := example(t, "clicks_to_s3.yaml", "EVENTS="+clicks(t, n))
	summary, exit := p.run()
	if summary.Task("lake").Total.Passed != n {
		t.Errorf("ledger %+v", summary.Task("lake").Total)
	}
	t.Logf("peak RSS %d MiB, %.2f µs CPU per event, %v", exit.PeakRSS>>20, float64(exit.CPU.Nanoseconds())/1e3/n, exit.Elapsed)
	if exit.PeakRSS > most {
		t.Errorf("peak RSS %d MiB, want at most %d", exit.PeakRSS>>20, most>>20)
	}
}
